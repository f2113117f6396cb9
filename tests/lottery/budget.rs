//! Budgets: never more than budget and burst while others wait, everything
//! when alone.

use super::host::{Random, arrival, exhausted, measured};

const MS: u64 = 1_000_000;

/// A tier with a budget, and the time that it has taken.
struct Tier {
    budget_ppm: u32,
    cpus: u32,
    burst: u64,
    most: u64,
    arrival: u64,
}

impl Tier {
    /// As `edict_budget_most` bounds it: the burst, a slice on each CPU, and `refill`.
    fn new(budget_ppm: u32, cpus: u32, burst_ns: u64, slice: u64, refill: u64) -> Self {
        let burst = measured(burst_ns, budget_ppm, cpus);
        Self {
            budget_ppm,
            cpus,
            burst,
            most: burst + measured(slice, budget_ppm, 1) + refill,
            arrival: 0,
        }
    }

    fn exhausted(&self, now: u64) -> bool {
        exhausted(self.arrival, now, self.burst)
    }

    fn take(&mut self, used: u64, now: u64, spare: bool) {
        let most = if spare { self.burst } else { self.most };
        self.arrival = arrival(
            self.arrival,
            measured(used, self.budget_ppm, self.cpus),
            now,
            most,
        );
    }
}

/// Runs on all CPUs whatever the budget allows, another tier always waiting;
/// gives what was used in each millisecond.
fn contended(
    tier: &mut Tier,
    slice: u64,
    mut now: u64,
    steps: usize,
    random: &mut Random,
) -> Vec<u64> {
    let mut left = vec![0_u64; tier.cpus as usize];
    let mut used = Vec::with_capacity(steps);
    let mut asleep = 0;
    for _ in 0..steps {
        let mut here = 0;
        if asleep == 0 && random.below(400) == 0 {
            asleep = random.below(200);
        }
        asleep = asleep.saturating_sub(1);
        for left in &mut left {
            if *left == 0 && asleep == 0 && !tier.exhausted(now) {
                *left = slice;
            }
            let run = (*left).min(MS);
            *left -= run;
            if run > 0 {
                tier.take(run, now.wrapping_add(run), false);
                here += run;
            }
        }
        used.push(here);
        now = now.wrapping_add(MS);
    }
    used
}

/// The most that was used beyond `rate` in any stretch of time.
fn worst_excess(used: &[u64], rate: f64) -> f64 {
    let (mut here, mut worst) = (0.0_f64, 0.0_f64);
    for used in used {
        here = (here + *used as f64 - rate * MS as f64).max(0.0);
        worst = worst.max(here);
    }
    worst
}

#[test]
fn no_stretch_of_time_has_more_than_budget_and_burst() {
    let mut random = Random::of(21, 0);
    for round in 0..200 {
        let cpus = random.between(1, 8) as u32;
        let budget = random.between(10_000, 1_000_000) as u32;
        let burst = random.between(1, 1_000) * MS;
        let slice = random.between(1, 100) * MS;
        let refill = random.between(1, 10_000) * MS;
        let mut tier = Tier::new(budget, cpus, burst, slice, refill);
        let begin = if round % 2 == 0 {
            5_000_000_000
        } else {
            u64::MAX - 3_000_000_000
        };
        tier.arrival = begin;
        let used = contended(&mut tier, slice, begin, 20_000, &mut random);
        let rate = f64::from(budget) / 1e6 * f64::from(cpus);
        // On each CPU a slice may have begun just before it was used up.
        let most = (burst + u64::from(cpus) * (slice + MS)) as f64;
        let excess = worst_excess(&used, rate);
        assert!(
            excess <= most,
            "{excess} of {most}: {budget} ppm of {cpus} CPUs, burst {burst}, slice {slice}"
        );
    }
}

/// A ceiling is also reached: who always has something to run gets it all.
#[test]
fn a_tier_that_asks_for_more_gets_its_budget() {
    for (budget, cpus) in [(10_000, 1), (300_000, 2), (300_000, 8), (900_000, 4)] {
        let mut tier = Tier::new(budget, cpus, 50 * MS, 5 * MS, 1_000 * MS);
        let mut busy = vec![0_u64; cpus as usize];
        let (mut now, mut used) = (1_000_000 * MS, 0);
        let begin = now;
        while now < begin + 60_000 * MS {
            for left in &mut busy {
                if *left == 0 && !tier.exhausted(now) {
                    *left = 5 * MS;
                }
                if *left > 0 {
                    *left -= MS;
                    tier.take(MS, now, false);
                    used += MS;
                }
            }
            now += MS;
        }
        let share = used as f64 / (60_000.0 * MS as f64 * f64::from(cpus));
        let due = f64::from(budget) / 1e6;
        assert!((share - due).abs() < 0.003, "{share} for {due}");
    }
}

/// What nobody else wanted costs nothing: after an hour alone it has no more
/// than its rate, from the first moment, and no less.
#[test]
fn an_hour_alone_is_not_held_against_it() {
    let mut tier = Tier::new(200_000, 1, 10 * MS, 5 * MS, 1_000 * MS);
    let mut now = 1_000_000 * MS;
    let mut alone = 0;
    for _ in 0..3_600_000 {
        // Alone it runs whether or not it is exhausted.
        let spare = tier.exhausted(now);
        tier.take(MS, now, spare);
        now += MS;
        alone += u32::from(spare);
    }
    assert!(alone > 2_000_000);
    let mut used = 0;
    let mut random = Random::of(1, 1);
    for _ in 0..100 {
        used += contended(&mut tier, 5 * MS, now, 10, &mut random)
            .iter()
            .sum::<u64>();
        now += 10 * MS;
    }
    assert!(used <= 215 * MS, "{used}");
    assert!(used >= 150 * MS, "{used}");
}

/// Promises are kept beyond the budget, and remembered no longer than `refill`.
#[test]
fn what_was_taken_beyond_it_is_remembered_for_a_while() {
    let mut tier = Tier::new(10_000, 1, MS, 5 * MS, 1_000 * MS);
    let now = 1_000 * MS;
    tier.take(600_000 * MS, now, false);
    assert!(tier.exhausted(now + 1_000 * MS));
    // A slice of five milliseconds lasts half a second in this budget.
    assert!(!tier.exhausted(now + 1_501 * MS));
}

#[test]
fn times_hold_at_the_edges() {
    // Beyond reason: nothing wraps into the past.
    for used in [0, 1, u64::MAX] {
        for ppm in [0, 1, 1_000_000, u32::MAX] {
            for cpus in [0, 1, 1024, u32::MAX] {
                let long = measured(used, ppm, cpus);
                assert!(long < 1 << 62);
                for now in [0, 1, 1 << 63, u64::MAX - 1] {
                    let most = 1 << 60;
                    let after = arrival(now, long, now, most);
                    assert!(after.wrapping_sub(now) <= most);
                    assert_eq!(exhausted(after, now, 0), long > 0);
                }
            }
        }
    }
    assert_eq!(measured(3 * MS, 300_000, 2), 5 * MS);
    // What was not taken is lost.
    assert_eq!(arrival(10, 5, 1_000, 100), 1_005);
    // Beyond the most that counts, it stays where it is.
    assert_eq!(arrival(1_500, 5, 1_000, 100), 1_500);
    assert!(!exhausted(1_100, 1_000, 100));
    assert!(exhausted(1_101, 1_000, 100));
}
