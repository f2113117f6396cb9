//! The functions of `bpf/lottery.bpf.h`, compiled for the host, as safe ones.
#![allow(
    unsafe_code,
    reason = "functions of another language, which do nothing but arithmetic"
)]

#[link(name = "edict_lottery", kind = "static")]
unsafe extern "C" {
    fn edict_host_random(state: *mut u64) -> u64;
    #[link_name = "edict_host_arrival"]
    pub safe fn arrival(arrival: u64, measured: u64, now: u64, most: u64) -> u64;
    #[link_name = "edict_host_average"]
    pub safe fn average(average: u64, sample: u64, shift: u32) -> u64;
    #[link_name = "edict_host_before"]
    pub safe fn before(a: u64, b: u64) -> bool;
    #[link_name = "edict_host_bounded"]
    pub safe fn bounded(pass: u64, clock: u64, lag: u64, lead: u64) -> u64;
    #[link_name = "edict_host_virtual"]
    pub safe fn elapsed(used_ns: u64, static_prio: i32) -> u64;
    #[link_name = "edict_host_exhausted"]
    pub safe fn exhausted(arrival: u64, now: u64, burst: u64) -> bool;
    #[link_name = "edict_host_exponential"]
    pub safe fn exponential(random: u64) -> u64;
    #[link_name = "edict_host_measured"]
    pub safe fn measured(used_ns: u64, budget_ppm: u32, cpus: u32) -> u64;
    #[link_name = "edict_host_race"]
    pub safe fn race(random: u64, static_prio: i32) -> u64;
    #[link_name = "edict_host_scatter"]
    pub safe fn scatter(seed: u64) -> u64;
    #[link_name = "edict_host_sequence"]
    pub safe fn sequence(seed: u64, cpu: u32) -> u64;
    #[link_name = "edict_host_stride"]
    pub safe fn stride(used_ns: u64, tickets: u32) -> u64;
    #[link_name = "edict_host_stride_bound"]
    pub safe fn stride_bound(refill: u64, cpus: u32, tickets: u64, longest: u64) -> u64;
    #[link_name = "edict_host_weight"]
    pub safe fn weight(tickets: u32, used_ns: u64) -> u64;
}

/// A generator of the object's, and what the tests take from it.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// That of one CPU under a seed.
    pub fn of(seed: u64, cpu: u32) -> Self {
        Self(sequence(seed, cpu))
    }

    pub fn next(&mut self) -> u64 {
        // SAFETY: the state outlives the call, which keeps nothing.
        unsafe { edict_host_random(&raw mut self.0) }
    }

    /// Less than `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }
}

/// The sum of squared deviations that a chi-square test compares.
pub fn chi_square(got: &[u64], weights: &[f64]) -> f64 {
    let all: u64 = got.iter().sum();
    let sum: f64 = weights.iter().sum();
    got.iter()
        .zip(weights)
        .map(|(got, weight)| {
            let due = weight / sum * all as f64;
            (*got as f64 - due).powi(2) / due
        })
        .sum()
}

/// What a chi-square of that many degrees of freedom exceeds once in ten
/// thousand times (Wilson and Hilferty, 1931).
pub fn once_in_ten_thousand(degrees: usize) -> f64 {
    let degrees = degrees as f64;
    let part = 2.0 / (9.0 * degrees);
    degrees * (1.0 - part + 3.719 * part.sqrt()).powi(3)
}
