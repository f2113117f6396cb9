//! The arithmetic of `bpf/lottery.bpf.h`, on the host.
#![cfg(feature = "live")]
#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

#[path = "lottery/budget.rs"]
mod budget;
#[path = "lottery/host.rs"]
mod host;
#[path = "lottery/race.rs"]
mod race;
#[path = "lottery/stride.rs"]
mod stride;

use host::{Random, average, chi_square, elapsed, once_in_ten_thousand, scatter, sequence, weight};

/// Draws as `edict_draw` does, and returns each tier's share of the time when a
/// win uses `used` nanoseconds.
fn shares(tickets: &[u32], used: &[u64], draws: u32, seed: u64) -> Vec<f64> {
    let weights: Vec<u64> = tickets
        .iter()
        .zip(used)
        .map(|(tickets, used)| weight(*tickets, *used))
        .collect();
    let sum: u64 = weights.iter().sum();
    let mut random = Random::of(seed, 0);
    let mut time = vec![0_u64; weights.len()];
    for _ in 0..draws {
        let mut ticket = random.below(sum);
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
        let wins: Vec<u64> = shares
            .iter()
            .map(|share| (share * f64::from(draws)).round() as u64)
            .collect();
        let chi = chi_square(&wins, &tickets.map(f64::from));
        assert!(chi < once_in_ten_thousand(6), "{chi} with seed {seed}");
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
    let average = |before, sample| average(before, sample, 3);
    assert_eq!(average(0, 800), 800, "the first sample assigns");
    assert_eq!(average(800, 1600), 900);
    assert_eq!(average(800, 0), 700);
    let mut value = 1_000_000;
    for _ in 0..1_000 {
        value = average(value, 0);
        assert!(value > 0);
    }
}

/// The same seed is the same draws, on every CPU others; a seed that is one
/// more is not the sequence of the next CPU.
#[test]
fn a_seed_is_a_sequence_for_each_cpu() {
    let draws = |seed, cpu| {
        let mut random = Random::of(seed, cpu);
        (0..64).map(|_| random.next()).collect::<Vec<u64>>()
    };
    let mut seen = std::collections::BTreeSet::new();
    for seed in [1, 2, 3, 42, u64::MAX >> 1, u64::MAX] {
        for cpu in 0..64 {
            let sequence = draws(seed, cpu);
            assert_eq!(sequence, draws(seed, cpu));
            assert!(seen.insert(sequence), "seed {seed}, CPU {cpu}");
        }
    }
    assert_ne!(sequence(0, 0), 0);
    // As it was first written down: what a seed means is not to change.
    assert_eq!(sequence(42, 1), 0xfa4f_9455_99f9_054a);
    assert_eq!(scatter(0), 0xe220_a839_7b1d_cdaf);
}

/// Jain's index of what equal tasks won: 1 is equal, 1/n is one for all.
#[test]
fn equal_tickets_are_equal_turns() {
    for seed in 1..9 {
        let shares = shares(&[100; 8], &[3_000_000; 8], 40_000, seed);
        let sum: f64 = shares.iter().sum();
        let squares: f64 = shares.iter().map(|share| share * share).sum();
        let index = sum * sum / (8.0 * squares);
        assert!(index > 0.999, "{index}");
    }
}
