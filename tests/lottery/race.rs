//! The exponential race: the logarithm, the chances, and that those who wait
//! lose nothing when others arrive.

use super::host::{Random, before, chi_square, exponential, once_in_ten_thousand, race};

/// `sched_prio_to_weight` of kernel/sched/core.c, for the nice values used here.
fn weight(nice: i32) -> f64 {
    match nice {
        -20 => 88761.0,
        -19 => 71755.0,
        -18 => 56483.0,
        -5 => 3121.0,
        0 => 1024.0,
        3 => 526.0,
        5 => 335.0,
        10 => 110.0,
        15 => 36.0,
        18 => 18.0,
        19 => 15.0,
        // In place of SCHED_IDLE: see EDICT_PRIO_IDLE.
        20 => 3.0,
        other => panic!("no weight for {other}"),
    }
}

const MEAN: f64 = 4_294_967_296.0;

/// -ln of a number of 64 binary digits after the point, without losing those
/// of numbers near 1.
fn logarithm(random: u64) -> f64 {
    let parts = 2.0_f64.powi(64);
    if random >> 63 == 1 {
        -(-(random.wrapping_neg() as f64) / parts).ln_1p()
    } else {
        -(random as f64 / parts).ln()
    }
}

#[test]
fn the_logarithm_is_right_to_its_bound() {
    let mut edges = vec![1, 2, 3, u64::MAX, u64::MAX - 1];
    for bit in 1..64 {
        let power = 1_u64 << bit;
        edges.extend([power - 1, power, power + 1, power + power / 512]);
    }
    // Where one line ends and the next begins.
    for part in 0..256_u64 {
        let begin = 1_u64 << 63 | part << 55;
        edges.extend([begin, begin + 1, begin - 1, begin + (1 << 54)]);
    }
    let mut random = Random::of(1, 0);
    edges.extend((0..200_000).map(|_| random.next()));
    edges.extend((0..200_000).map(|_| {
        let by = random.below(64);
        (random.next() >> by).max(1)
    }));
    let mut worst = 0.0_f64;
    for value in edges {
        let error = (exponential(value) as f64 / MEAN - logarithm(value)).abs();
        worst = worst.max(error);
        assert!(error < 2.0_f64.powi(-18), "{error} for {value:#x}");
    }
    println!("off by at most 2^{:.2} of the mean", worst.log2());
    // A generator gives no 0; and if it did, it would be the last number.
    assert_eq!(exponential(0), exponential(1));
}

#[test]
fn the_logarithm_never_goes_up() {
    let mut random = Random::of(2, 0);
    let mut values: Vec<u64> = (0..100_000)
        .map(|_| random.next() >> (random.below(64)))
        .filter(|value| *value > 0)
        .collect();
    values.extend((0..1000_u64).map(|step| (1 << 63) - 500 + step));
    values.sort_unstable();
    for pair in values.windows(2) {
        assert!(
            exponential(pair[0]) >= exponential(pair[1]),
            "{:#x}, {:#x}",
            pair[0],
            pair[1]
        );
    }
    assert!(exponential(u64::MAX) <= 1);
}

#[test]
fn what_is_drawn_is_distributed_exponentially() {
    // Twenty parts that are equally likely, and the far end of the last.
    let parts = 20;
    for seed in 1..6 {
        let mut random = Random::of(seed, 0);
        let mut counts = vec![0_u64; parts];
        let draws = 200_000;
        let mut far = 0;
        for _ in 0..draws {
            let value = exponential(random.next()) as f64 / MEAN;
            let part = (-value).exp() * parts as f64;
            counts[(part as usize).min(parts - 1)] += 1;
            far += u32::from(value > 1000_f64.ln());
        }
        let chi = chi_square(&counts, &vec![1.0; parts]);
        assert!(chi < once_in_ten_thousand(parts - 1), "{chi}, seed {seed}");
        let due = draws as f64 / 1000.0;
        assert!((f64::from(far) - due).abs() < 4.0 * due.sqrt(), "{far}");
    }
}

/// A queue ordered by keys, as the kernel keeps one.
struct Queue {
    clock: u64,
    random: Random,
    /// Key and nice value of who waits; none for who is away.
    waits: Vec<(Option<u64>, i32)>,
}

impl Queue {
    fn new(nice: &[i32], clock: u64, seed: u64) -> Self {
        let mut queue = Self {
            clock,
            random: Random::of(seed, 0),
            waits: nice.iter().map(|nice| (None, *nice)).collect(),
        };
        for who in 0..nice.len() {
            queue.arrive(who);
        }
        queue
    }

    fn arrive(&mut self, who: usize) {
        let ahead = race(self.random.next(), 120 + self.waits[who].1);
        self.waits[who].0 = Some(self.clock.wrapping_add(ahead));
    }

    /// Takes the head away.
    fn draw(&mut self) -> usize {
        let mut head: Option<(usize, u64)> = None;
        for (who, (key, _)) in self.waits.iter().enumerate() {
            if let Some(key) = *key
                && head.is_none_or(|(_, least)| before(key, least))
            {
                head = Some((who, key));
            }
        }
        let (who, key) = head.expect("somebody waits");
        assert!(!before(key, self.clock), "the race goes forward only");
        self.clock = key;
        self.waits[who].0 = None;
        who
    }
}

#[test]
fn the_head_of_the_queue_is_the_winner_of_a_lottery() {
    let vectors: [&[i32]; 8] = [
        &[0, 0],
        &[0, 5, 10],
        &[-5, 0, 0, 5],
        &[-20, -19, -18],
        &[19, 18, 15, 20],
        &[0, 3, 5, 10, 15],
        &[0; 16],
        &[5, -5, 10, 0, 3, 5, 0],
    ];
    for nice in vectors {
        for seed in 1..6 {
            let weights: Vec<f64> = nice.iter().map(|nice| weight(*nice)).collect();
            // Over the point where keys wrap, half of the time.
            let begin = if seed % 2 == 0 {
                0
            } else {
                u64::MAX - (1 << 40)
            };
            let mut queue = Queue::new(nice, begin, seed);
            let mut wins = vec![0_u64; nice.len()];
            for _ in 0..100_000 {
                let winner = queue.draw();
                wins[winner] += 1;
                queue.arrive(winner);
            }
            let chi = chi_square(&wins, &weights);
            assert!(
                chi < once_in_ten_thousand(nice.len() - 1),
                "{chi}: {wins:?} for nice {nice:?}, seed {seed}"
            );
            assert!(begin == 0 || queue.clock < begin, "it has not wrapped");
        }
    }
}

/// Tasks come and go all the time. Each draw is judged by the weights of those
/// who waited then: whoever kept an older key must have the same chance.
#[test]
fn those_who_wait_lose_nothing_when_others_arrive() {
    let nice = [0, 0, 5, 5, 10, -5, 3, 15];
    for seed in 1..6 {
        let mut queue = Queue::new(&nice, 0, seed);
        let mut changes = Random::of(seed, 99);
        // For each task: wins, and what was to be expected; while it is the
        // one that waits for longest, and otherwise.
        let mut sums = vec![[(0.0, 0.0, 0.0); 2]; nice.len()];
        let mut since = vec![0_u64; nice.len()];
        for step in 1..200_000_u64 {
            for (who, since) in since.iter_mut().enumerate() {
                if changes.below(3) == 0 {
                    if queue.waits[who].0.is_none() {
                        queue.arrive(who);
                        *since = step;
                    } else if changes.below(8) == 0 {
                        queue.waits[who].0 = None;
                    }
                }
            }
            let waiting: Vec<usize> = (0..nice.len())
                .filter(|who| queue.waits[*who].0.is_some())
                .collect();
            if waiting.len() < 2 {
                continue;
            }
            let all: f64 = waiting.iter().map(|who| weight(nice[*who])).sum();
            let oldest = waiting.iter().map(|who| since[*who]).min();
            let winner = queue.draw();
            for who in waiting {
                let chance = weight(nice[who]) / all;
                let sum = &mut sums[who][usize::from(Some(since[who]) == oldest)];
                sum.0 += f64::from(who == winner);
                sum.1 += chance;
                sum.2 += chance * (1.0 - chance);
            }
        }
        for (who, sums) in sums.iter().enumerate() {
            for (won, due, variance) in sums {
                let z = (won - due) / variance.sqrt();
                assert!(
                    z.abs() < 4.0,
                    "task {who} won {won} of {due}: {z}, seed {seed}"
                );
                assert!(*due > 100.0, "too few to tell");
            }
        }
    }
}

#[test]
fn keys_are_far_from_where_their_order_would_turn() {
    for nice in -20..=20 {
        // The longest that can be drawn, and nearly no distance.
        assert!(race(1, 120 + nice) < 1 << 50);
        assert!(race(u64::MAX, 120 + nice) < 1 << 10);
    }
    // The heaviest draw distances that are still told apart.
    let mut random = Random::of(3, 0);
    let drawn: std::collections::BTreeSet<u64> =
        (0..10_000).map(|_| race(random.next(), 100)).collect();
    assert!(drawn.len() > 9_990);
}
