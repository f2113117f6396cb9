//! Loads: the average of runnable weight.

use proptest::prelude::*;

/// `struct edict_mean`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct Mean {
    pub weight: i64,
    average: i64,
    area: i64,
    since: u64,
}

#[link(name = "edict_balance", kind = "static")]
unsafe extern "C" {
    fn edict_host_mean_advance(mean: *mut Mean, now: u64);
    fn edict_host_mean_load(mean: *const Mean) -> u64;
    fn edict_host_mean_take(mean: *mut Mean, weight: u32) -> i64;
    fn edict_host_share(part: u64, whole: u64) -> u32;
    fn edict_host_surplus(there: i64, cpus_there: u32, here: i64, cpus_here: u32) -> u64;
    fn edict_host_weight_of(static_prio: i32) -> u32;
    fn edict_host_is_hot(left_at: u64, now: u64) -> bool;
}

impl Mean {
    pub fn advance(&mut self, now: u64) {
        // SAFETY: `self` has the layout of the struct and outlives the call.
        unsafe { edict_host_mean_advance(self, now) }
    }

    pub fn load(&self) -> u64 {
        // SAFETY: `self` has the layout of the struct and outlives the call.
        unsafe { edict_host_mean_load(self) }
    }

    /// What a task takes along.
    pub fn take(&mut self, weight: u32) -> i64 {
        // SAFETY: `self` has the layout of the struct and outlives the call.
        unsafe { edict_host_mean_take(self, weight) }
    }

    pub fn give(&mut self, part: i64) {
        self.average += part;
    }

    /// The load in tasks of nice 0.
    fn tasks(&self) -> f64 {
        self.load() as f64 / ONE
    }
}

pub fn share(part: u64, whole: u64) -> u32 {
    // SAFETY: plain arithmetic on two numbers.
    unsafe { edict_host_share(part, whole) }
}

/// What may go from where there is more to where there is less.
fn surplus(there: i64, cpus_there: u32, here: i64, cpus_here: u32) -> u64 {
    // SAFETY: plain arithmetic on four numbers.
    unsafe { edict_host_surplus(there, cpus_there, here, cpus_here) }
}

const ONE: f64 = 65_536.0;
const PERIOD: u64 = 1 << 20;
const HALF: u64 = 32 * PERIOD;

#[test]
fn half_of_a_change_is_there_after_the_half_life() {
    let mut mean = Mean {
        weight: 1024,
        ..Mean::default()
    };
    let begun = 7 * PERIOD;
    mean.since = begun;
    for (halves, expected) in [(1, 0.5), (2, 0.75), (3, 0.875), (40, 1.0)] {
        mean.advance(begun + halves * HALF);
        assert!((mean.tasks() - expected).abs() < 1e-4, "{}", mean.tasks());
    }
    mean.weight = 0;
    mean.advance(begun + 41 * HALF);
    assert!((mean.tasks() - 0.5).abs() < 1e-4, "{}", mean.tasks());
    mean.advance(begun + 1_000_000 * HALF);
    assert_eq!(mean.load(), 0);
}

#[test]
fn who_comes_and_goes_within_a_period_counts_for_its_time() {
    // A quarter of each microsecond, for a second.
    let mut mean = Mean::default();
    for step in 0..1_000_000 {
        mean.weight = 1024;
        mean.advance(step * 1_000 + 250);
        mean.weight = 0;
        mean.advance((step + 1) * 1_000);
    }
    assert!((mean.tasks() - 0.25).abs() < 1e-3, "{}", mean.tasks());
}

#[test]
fn the_least_weight_is_not_lost_and_the_greatest_does_not_overflow() {
    let mut mean = Mean {
        weight: 3,
        ..Mean::default()
    };
    for step in 1..4_000 {
        mean.advance(step * 250_000);
    }
    assert!(
        (mean.tasks() - 3.0 / 1024.0).abs() < 1e-4,
        "{}",
        mean.tasks()
    );
    // Twelve thousand tasks of nice -20, looked at once in a month.
    let mut mean = Mean {
        weight: 12_000 * 88_761,
        ..Mean::default()
    };
    mean.advance(30 * 86_400 * 1_000_000_000);
    let due = 12_000.0 * 88_761.0 / 1024.0;
    assert!((mean.tasks() / due - 1.0).abs() < 1e-6, "{}", mean.tasks());
    mean.advance(u64::MAX / 4);
    mean.weight = i64::MAX;
    mean.advance(u64::MAX / 3);
    assert!(mean.tasks() <= f64::from(1 << 20) + 1.0);
}

#[test]
fn a_clock_that_went_back_changes_nothing() {
    let mut mean = Mean {
        weight: 1024,
        ..Mean::default()
    };
    mean.advance(10 * HALF);
    let load = mean.load();
    mean.advance(9 * HALF);
    assert_eq!(mean.load(), load);
    assert_eq!(mean.since, 10 * HALF);
    // Less than nothing, for a moment between two CPUs, counts as nothing.
    mean.weight = -1024;
    mean.advance(11 * HALF);
    assert!((mean.tasks() - 0.5).abs() < 1e-2, "{}", mean.tasks());
}

#[test]
fn a_task_takes_its_place_in_the_average_along() {
    let mut from = Mean {
        weight: 4 * 1024,
        ..Mean::default()
    };
    let mut to = Mean::default();
    from.advance(100 * HALF);
    to.advance(100 * HALF);
    to.give(from.take(1024));
    assert!((from.tasks() - 3.0).abs() < 1e-3);
    assert!((to.tasks() - 1.0).abs() < 1e-3);
    // Never more than there is.
    to.give(from.take(88_761));
    assert_eq!(from.load(), 0);
    assert!((to.tasks() - 4.0).abs() < 1e-3);
}

#[test]
fn shares_are_parts_of_one() {
    assert_eq!(share(0, 0), 0);
    assert_eq!(share(0, 7), 0);
    assert_eq!(share(1, 2), 1 << 15);
    assert_eq!(share(3, 4), 3 << 14);
    assert_eq!(share(7, 7), 1 << 16);
    assert_eq!(share(9, 7), 1 << 16);
    assert_eq!(share(u64::MAX / 2, u64::MAX), (1 << 15) - 1);
    assert_eq!(share(1 << 46, 1 << 47), 1 << 15);
}

#[test]
fn weights_are_the_kernels() {
    // SAFETY: plain arithmetic on a number.
    let weight = |prio| unsafe { edict_host_weight_of(prio) };
    assert_eq!(weight(120), 1024);
    assert_eq!(weight(100), 88_761);
    assert_eq!(weight(139), 15);
    assert_eq!(weight(140), 3, "SCHED_IDLE");
    assert_eq!(weight(99), 1024, "no normal priority");
    assert_eq!(weight(i32::MIN), 1024);
}

#[test]
fn what_ran_a_moment_ago_is_hot() {
    // SAFETY: plain arithmetic on two numbers.
    let is_hot = |left, now| unsafe { edict_host_is_hot(left, now) };
    assert!(is_hot(1_000_000, 1_000_000));
    assert!(is_hot(1_000_000, 1_499_999));
    assert!(!is_hot(1_000_000, 1_500_000));
    assert!(!is_hot(0, 400_000), "it has never run");
    assert!(is_hot(2_000_000, 1_000_000), "by another CPU's clock");
}

#[test]
fn an_odd_task_goes_to_and_fro_and_an_even_one_stays() {
    const NICE_0: i64 = 1024;
    assert_eq!(surplus(2 * NICE_0, 1, 2 * NICE_0, 1), 0);
    assert_eq!(surplus(3 * NICE_0, 1, 2 * NICE_0, 1), 1024);
    assert_eq!(surplus(2 * NICE_0, 1, 3 * NICE_0, 1), 0);
    // Five over four CPUs against four over four: one goes, whichever it is.
    assert_eq!(surplus(5 * NICE_0, 4, 4 * NICE_0, 4), 1024);
    // Two CPUs against four: a third of six is where they belong.
    assert_eq!(surplus(4 * NICE_0, 2, 8 * NICE_0, 4), 0);
    assert!(surplus(5 * NICE_0, 2, 7 * NICE_0, 4) >= 1024);
    // What was counted out of order, and where there is no CPU.
    assert_eq!(surplus(-1, 1, -5, 1), 0);
    assert_eq!(surplus(7, 1, -5, 1), 7);
    assert_eq!(surplus(7, 0, 0, 1), 0);
    assert_eq!(surplus(7, 1, 0, 0), 0);
    assert!(surplus(i64::MAX, 1024, i64::MIN, 1024) > 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// The average of whatever weights at whatever times is that of the formula:
    /// the mean of each period, each weighing half of what comes 32 later.
    #[test]
    fn the_average_is_that_of_the_formula(
        changes in prop::collection::vec((0_i64..100_000, 0_u64..60_000_000), 1..40),
        begun in 1_u64 << 30..1 << 50,
    ) {
        let mut mean = Mean { since: begun, ..Mean::default() };
        let mut now = begun;
        let fade = 0.5_f64.powf(1.0 / 32.0);
        let (mut average, mut area) = (0.0, 0.0);
        let mut greatest = 0;
        for (weight, time) in changes {
            mean.weight = weight;
            greatest = greatest.max(weight);
            let end = now + time;
            mean.advance(end);
            while now < end {
                let next = ((now / PERIOD + 1) * PERIOD).min(end);
                area += weight as f64 * (next - now) as f64;
                now = next;
                if now % PERIOD == 0 {
                    average = average * fade + area / PERIOD as f64 * (1.0 - fade);
                    area = 0.0;
                }
            }
            let due = average / 1024.0;
            prop_assert!((mean.tasks() - due).abs() < 1e-3 * due.max(1.0), "{} {due}", mean.tasks());
            prop_assert!(mean.tasks() <= greatest as f64 / 1024.0 + 1e-3);
        }
    }

    /// It does not matter how often the average is brought up to date.
    #[test]
    fn looks_do_not_change_the_average(
        weight in 0_i64..100_000,
        steps in prop::collection::vec(1_u64..5_000_000, 1..200),
    ) {
        let mut looked = Mean { weight, ..Mean::default() };
        let mut now = 0;
        for step in steps {
            now += step;
            looked.advance(now);
        }
        let mut once = Mean { weight, ..Mean::default() };
        once.advance(now);
        prop_assert!((looked.tasks() - once.tasks()).abs() < 1e-2, "{looked:?} {once:?}");
    }

    #[test]
    fn a_share_never_leaves_its_range(part: u64, whole: u64) {
        let share = share(part, whole);
        prop_assert!(share <= 1 << 16);
        if whole > 1 << 20 && part <= whole {
            let exact = part as f64 / whole as f64;
            prop_assert!((f64::from(share) / ONE - exact).abs() < 1e-4);
        }
    }

    /// What goes leaves the difference no greater than it was.
    #[test]
    fn a_surplus_never_makes_the_difference_greater(
        there in 0_i64..1 << 30,
        here in 0_i64..1 << 30,
        cpus_there in 1_u32..1024,
        cpus_here in 1_u32..1024,
        part in 0.0_f64..=1.0,
    ) {
        let most = surplus(there, cpus_there, here, cpus_here);
        let gone = (most as f64 * part) as i64;
        let difference = |moved: i64| {
            let each_there = (there - moved) as f64 / f64::from(cpus_there);
            (each_there - (here + moved) as f64 / f64::from(cpus_here)).abs()
        };
        prop_assert!(difference(gone) <= difference(0) * (1.0 + 1e-9), "{most}");
        prop_assert!(most == 0 || surplus(here, cpus_here, there, cpus_there) == 0);
    }
}
