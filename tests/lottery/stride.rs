//! Stride: an error that does not grow, and advantages that are bounded.

use super::host::{Random, before, bounded, stride, stride_bound};

#[derive(Debug, Clone)]
struct Tier {
    tickets: u32,
    slice: u64,
    pass: u64,
    used: u64,
}

/// What `edict_stride_draw` does: every pass is brought near the clock, the
/// least is next, and the clock goes as far as that.
struct Draw {
    tiers: Vec<Tier>,
    clock: u64,
    bound: u64,
    refill: u64,
}

impl Draw {
    fn new(tiers: Vec<(u32, u64)>, refill: u64, cpus: u32, clock: u64) -> Self {
        let all = tiers.iter().map(|(tickets, _)| u64::from(*tickets)).sum();
        let longest = tiers
            .iter()
            .map(|(tickets, slice)| stride(*slice, *tickets));
        Self {
            clock,
            refill,
            bound: stride_bound(refill, cpus, all, longest.max().unwrap()),
            tiers: tiers
                .into_iter()
                .map(|(tickets, slice)| Tier {
                    tickets,
                    slice,
                    pass: clock,
                    used: 0,
                })
                .collect(),
        }
    }

    fn next(&mut self, waits: impl Fn(usize) -> bool) -> usize {
        let mut least: Option<(usize, u64)> = None;
        for (index, tier) in self.tiers.iter_mut().enumerate() {
            if !waits(index) {
                continue;
            }
            tier.pass = bounded(
                tier.pass,
                self.clock,
                self.bound,
                self.bound + stride(self.refill, tier.tickets),
            );
            if least.is_none_or(|(_, pass)| before(tier.pass, pass)) {
                least = Some((index, tier.pass));
            }
        }
        let (index, pass) = least.expect("one waits");
        if before(self.clock, pass) {
            self.clock = pass;
        }
        index
    }

    fn run(&mut self, index: usize, used: u64) {
        let tier = &mut self.tiers[index];
        tier.used += used;
        tier.pass = tier.pass.wrapping_add(stride(used, tier.tickets));
    }
}

fn random_tiers(random: &mut Random) -> Vec<(u32, u64)> {
    (0..random.between(2, 16))
        .map(|_| {
            let tickets = match random.below(4) {
                0 => 1,
                1 => 1_000_000,
                2 => random.between(1, 1_000),
                _ => random.between(1, 1_000_000),
            };
            (tickets as u32, random.between(100_000, 100_000_000))
        })
        .collect()
}

/// No tier is ever further from its share than the slices of all together,
/// after a hundred draws or a hundred thousand, wherever the passes wrap.
#[test]
fn the_error_does_not_grow_with_time() {
    let mut random = Random::of(11, 0);
    for round in 0..60 {
        let tiers = random_tiers(&mut random);
        let all: f64 = tiers.iter().map(|(tickets, _)| f64::from(*tickets)).sum();
        let slices: u64 = tiers.iter().map(|(_, slice)| slice).sum();
        let begin = match round % 3 {
            0 => 0,
            1 => u64::MAX - 1_000_000,
            _ => (1 << 63) - 1_000_000,
        };
        let mut draw = Draw::new(tiers.clone(), 1_000_000, 1, begin);
        let (mut time, mut worst) = (0, 0.0_f64);
        for step in 0..20_000 {
            let next = draw.next(|_| true);
            // Most turns end early, at whatever moment.
            let slice = draw.tiers[next].slice;
            let used = if random.below(3) == 0 {
                slice
            } else {
                random.between(1_000, slice)
            };
            draw.run(next, used);
            time += used;
            for tier in &draw.tiers {
                let due = f64::from(tier.tickets) / all * time as f64;
                worst = worst.max((tier.used as f64 - due).abs());
            }
            assert!(
                worst <= slices as f64 * 1.001 + time as f64 * 1e-5,
                "{worst} ns after {step} draws, the slices are {slices} ns, {tiers:?}"
            );
        }
    }
}

/// The usual case in numbers: two tenths of a point are far more than it needs.
#[test]
fn shares_are_exact_after_thirty_seconds() {
    let tiers = vec![(800, 3_000_000), (100, 6_000_000), (20, 20_000_000)];
    let mut draw = Draw::new(tiers, 1_000_000_000, 1, 0);
    let mut time = 0;
    while time < 30_000_000_000 {
        let next = draw.next(|_| true);
        let slice = draw.tiers[next].slice;
        draw.run(next, slice);
        time += slice;
    }
    for tier in &draw.tiers {
        let share = tier.used as f64 / time as f64;
        let due = f64::from(tier.tickets) / 920.0;
        assert!((share - due).abs() < 0.001, "{share} for {due}");
    }
}

/// A tier that was away for an hour goes first when it is back, but no longer
/// than its share of `refill` and some turns; nor is what it took alone held
/// against it for longer.
#[test]
fn what_was_missed_counts_no_longer_than_refill() {
    for refill in [1_000_000, 100_000_000, 1_000_000_000, 10_000_000_000_u64] {
        let tiers = vec![(300, 3_000_000), (100, 3_000_000), (100, 3_000_000)];
        let mut draw = Draw::new(tiers, refill, 1, u64::MAX - 5);
        let mut time = 0_u64;
        while time < 3_600_000_000_000 {
            let next = draw.next(|tier| tier != 0);
            draw.run(next, 3_000_000);
            time += 3_000_000;
        }
        let (mut alone, mut seen) = (0, [false; 3]);
        while (!seen[1] || !seen[2]) && alone < 3_600_000_000_000 {
            let next = draw.next(|_| true);
            draw.run(next, 3_000_000);
            seen[next] = true;
            if next == 0 {
                alone += 3_000_000;
            }
        }
        // Three fifths of `refill`, and of the grain six steps of a third.
        let most = refill * 3 / 5 + 24 * 3_000_000;
        assert!(alone <= most, "{alone} ns alone, refill {refill}");
        assert!(
            alone >= (refill * 3 / 5).saturating_sub(9_000_000),
            "{alone} of {refill}"
        );
        // From there on it is its share again.
        let before: Vec<u64> = draw.tiers.iter().map(|tier| tier.used).collect();
        for _ in 0..5_000 {
            let next = draw.next(|_| true);
            draw.run(next, 3_000_000);
        }
        let share = (draw.tiers[0].used - before[0]) as f64 / (5_000.0 * 3_000_000.0);
        assert!((share - 0.6).abs() < 0.001, "{share}");
    }
}

#[test]
fn what_was_taken_counts_no_longer_than_refill() {
    let mut draw = Draw::new(vec![(100, 3_000_000); 3], 1_000_000_000, 1, 77);
    // Interruptions: a thousand seconds that no draw gave.
    draw.run(1, 1_000_000_000_000);
    let mut waited = 0_u64;
    let mut others = [0_u64; 3];
    while waited < 10_000_000_000 {
        let next = draw.next(|_| true);
        if next == 1 {
            break;
        }
        draw.run(next, 3_000_000);
        others[next] += 3_000_000;
        waited += 3_000_000;
    }
    // A second of its own, so two of the others, and the way to the clock.
    assert!(waited < 2_800_000_000, "{waited}");
    assert!(waited > 2_000_000_000, "{waited}");
    // Who had to wait for it is still equal among themselves.
    assert!(others[0].abs_diff(others[2]) <= 3_000_000, "{others:?}");
}

#[test]
fn bounds_hold_at_the_edges() {
    let mut random = Random::of(12, 0);
    for _ in 0..100_000 {
        let (pass, clock) = (random.next(), random.next());
        let bound = random.next() >> random.between(3, 63);
        let lead = random.next() >> random.between(3, 63);
        let near = bounded(pass, clock, bound, lead);
        let ahead = near.wrapping_sub(clock).cast_signed();
        let within = -bound.cast_signed()..=lead.cast_signed();
        assert!(within.contains(&ahead), "{pass} {clock} {bound} {lead}");
        if within.contains(&pass.wrapping_sub(clock).cast_signed()) {
            assert_eq!(near, pass);
        }
    }
    // Tickets as few and as many as there can be, and charges beyond reason.
    assert_eq!(stride(1_000, 1), 1_000 << 20);
    assert_eq!(stride(1_000, 1_000_000), 1_048);
    assert_eq!(stride(5, 0), 5 << 20);
    assert!(stride(u64::MAX, 1) <= 1 << 63);
    for cpus in [0, 1, 1024, u32::MAX] {
        for refill in [0, 1, 10_000_000_000, u64::MAX] {
            for tickets in [0, 1, 16_000_000, u64::MAX] {
                for longest in [0, 1, u64::MAX] {
                    let bound = stride_bound(refill, cpus, tickets, longest);
                    assert!(bound <= 1 << 61);
                    assert!(bound >= 2 * longest.min(1 << 58));
                }
            }
        }
    }
    // In its range nothing is cut: ten seconds, a thousand CPUs, two tiers.
    assert_eq!(
        stride_bound(10_000_000_000, 1024, 1_000, 7),
        (10_000_000_000_u64 << 20) / 1_000 * 1024 + 14
    );
}
