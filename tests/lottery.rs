//! The arithmetic of `bpf/lottery.bpf.h`, on the host.
#![cfg(feature = "live")]
#![allow(
    unsafe_code,
    clippy::indexing_slicing,
    reason = "functions of another language; a test stops at the first surprise"
)]

#[link(name = "edict_lottery", kind = "static")]
unsafe extern "C" {
    fn edict_host_random(state: *mut u64) -> u64;
    fn edict_host_scatter(seed: u64) -> u64;
    fn edict_host_weight(tickets: u32, used_ns: u64) -> u64;
    fn edict_host_average(average: u64, sample: u64, shift: u32) -> u64;
    fn edict_host_virtual(used_ns: u64, static_prio: i32) -> u64;
}

fn weight(tickets: u32, used_ns: u64) -> u64 {
    // SAFETY: plain arithmetic on two numbers.
    unsafe { edict_host_weight(tickets, used_ns) }
}

fn elapsed(used_ns: u64, static_prio: i32) -> u64 {
    // SAFETY: plain arithmetic on two numbers.
    unsafe { edict_host_virtual(used_ns, static_prio) }
}

/// Draws as `edict_draw` does, and returns each tier's share of the time when a
/// win uses `used` nanoseconds.
fn shares(tickets: &[u32], used: &[u64], draws: u32, seed: u64) -> Vec<f64> {
    let weights: Vec<u64> = tickets
        .iter()
        .zip(used)
        .map(|(tickets, used)| weight(*tickets, *used))
        .collect();
    let sum: u64 = weights.iter().sum();
    // SAFETY: the state is a number of ours.
    let mut state = unsafe { edict_host_scatter(seed) };
    let mut time = vec![0_u64; weights.len()];
    for _ in 0..draws {
        // SAFETY: `state` outlives the call, which keeps nothing.
        let mut ticket = unsafe { edict_host_random(&raw mut state) } % sum;
        for (index, weight) in weights.iter().enumerate() {
            if ticket < *weight {
                time[index] += used[index];
                break;
            }
            ticket -= weight;
        }
    }
    let all: u64 = time.iter().sum();
    time.iter().map(|time| *time as f64 / all as f64).collect()
}

#[test]
fn tickets_are_shares_of_time_whatever_a_win_uses() {
    let tickets = [800, 100, 20];
    for used in [
        [3_000_000; 3],
        [1_000_000, 5_000_000, 20_000_000],
        [20_000_000, 40_000, 700_000],
    ] {
        for seed in 1..5 {
            for (got, due) in shares(&tickets, &used, 400_000, seed).iter().zip(tickets) {
                let due = f64::from(due) / 920.0;
                assert!(
                    (got - due).abs() < 0.01,
                    "{got} for {due}, {used:?}, seed {seed}"
                );
            }
        }
    }
}

#[test]
fn draws_pass_a_chi_square_test() {
    let tickets = [5_u32, 10, 20, 40, 80, 160, 320];
    let draws = 200_000;
    for seed in 1..9 {
        let shares = shares(&tickets, &[1_000_000; 7], draws, seed);
        let chi: f64 = shares
            .iter()
            .zip(tickets)
            .map(|(got, tickets)| {
                let due = f64::from(tickets) / 635.0 * f64::from(draws);
                (got * f64::from(draws) - due).powi(2) / due
            })
            .sum();
        // Six degrees of freedom: 27.9 is exceeded once in ten thousand.
        assert!(chi < 27.9, "{chi} with seed {seed}");
    }
}

#[test]
fn virtual_time_goes_by_the_kernels_weights() {
    assert_eq!(elapsed(1_000_000, 120), 1_000_000);
    assert_eq!(elapsed(335_000, 125), 1_024_000);
    assert_eq!(elapsed(88_761_000, 100), 1_024_000);
    assert_eq!(elapsed(15_000, 139), 1_024_000);
    // SCHED_IDLE, and what is no normal priority.
    assert_eq!(elapsed(3_000, 140), 1_024_000);
    assert_eq!(elapsed(7, 99), 7);
    // A month at once does not overflow.
    assert!(elapsed(30 * 86_400 * 1_000_000_000, 139) > 30 * 86_400 * 1_000_000_000);
}

#[test]
fn weights_never_vanish_and_never_overflow_together() {
    assert!(weight(0, u64::MAX) >= 1);
    assert!(weight(u32::MAX, 0).checked_mul(16).is_some());
    assert!(weight(1_000_000, 100_000).checked_mul(16).is_some());
}

#[test]
fn an_average_moves_towards_its_samples_and_stays_above_zero() {
    let average = |average, sample| {
        // SAFETY: plain arithmetic on three numbers.
        unsafe { edict_host_average(average, sample, 3) }
    };
    assert_eq!(average(0, 800), 800, "the first sample assigns");
    assert_eq!(average(800, 1600), 900);
    assert_eq!(average(800, 0), 700);
    let mut value = 1_000_000;
    for _ in 0..1_000 {
        value = average(value, 0);
        assert!(value > 0);
    }
}
