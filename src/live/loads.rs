//! What is known of the load of each CPU, and of the moves between domains.
//!
//! The numbers are the object's (`bpf/balance.bpf.h`): loads and parts of loads
//! have sixteen bits of fraction. This file is only about what they mean, and
//! works in every build.

use std::collections::BTreeMap;

/// One, of what has sixteen bits of fraction.
pub const ONE: u64 = 1 << 16;
/// One, in parts per million.
const MILLION: u128 = 1_000_000;

/// The nice weights of the tasks that are runnable in a place, averaged with a
/// half-life of 33.6 ms: [`ONE`] is one task of nice 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Load(pub u64);

/// One CPU at a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuLoad {
    /// Its number.
    pub cpu: u32,
    /// The number of its last-level cache.
    pub llc: u32,
    /// The number of its node.
    pub node: u32,
    /// Its load.
    pub load: Load,
    /// The tasks that are runnable there: running, or queued where they ran last.
    pub tasks: u32,
    /// Whether it has nothing to run.
    pub is_idle: bool,
}

/// How far the most and the least loaded of some domains are apart, as a part
/// of the mean, in parts per million; loads are those for each CPU. What is one
/// domain, or has nothing to run, is in balance.
pub fn imbalance(loads: impl IntoIterator<Item = Load>) -> i64 {
    let (mut most, mut least, mut sum, mut count) = (0, u64::MAX, 0, 0);
    for Load(load) in loads {
        most = most.max(load);
        least = least.min(load);
        sum += u128::from(load);
        count += 1;
    }
    let apart = u128::from(most.saturating_sub(least));
    let parts = (apart * MILLION * count).checked_div(sum).unwrap_or(0);
    i64::try_from(parts).unwrap_or(i64::MAX)
}

/// The imbalance of the last-level caches of a machine.
pub fn imbalance_of_caches(cpus: &[CpuLoad]) -> i64 {
    let mut caches: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    for cpu in cpus {
        let (sum, count) = caches.entry(cpu.llc).or_default();
        *sum = sum.saturating_add(cpu.load.0);
        *count += 1;
    }
    imbalance(caches.into_values().map(|(sum, count)| Load(sum / count)))
}

/// What tasks move between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Between {
    /// The CPUs of a last-level cache.
    Cpus,
    /// The last-level caches of a node.
    Caches,
}

/// From where to where tasks could move, and what is to be remembered of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The number of the round, from 1.
    pub round: u32,
    /// What `src` and `dst` are numbers of.
    pub between: Between,
    /// The most loaded domain.
    pub src: u32,
    /// The least loaded one.
    pub dst: u32,
    /// The least loaded CPU of `dst`.
    pub dst_cpu: u32,
    /// The load of `src`, for each of its CPUs.
    pub src_load: Load,
    /// The load of `dst`, for each of its CPUs.
    pub dst_load: Load,
    /// The CPUs of the machine that are idle.
    pub cpu_idle: i32,
    /// Those that are not.
    pub cpu_not_idle: i32,
}

/// The features of a move as the object keeps them at the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RawFeatures {
    /// The source's part of the loads of both domains, [`ONE`] for all of it.
    pub src_dom_load: u64,
    /// The destination's part.
    pub dst_dom_load: u64,
    /// Idle CPUs of the machine.
    pub cpu_idle: i32,
    /// The others.
    pub cpu_not_idle: i32,
    /// The CPU that the task ran on last.
    pub cpu: i32,
    /// The round that it was considered in last; 0 if it never was.
    pub round: u32,
}

/// A task that could be moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Its thread id.
    pub pid: u32,
    /// Its nice weight; 1024 for nice 0.
    pub weight: u32,
    /// A CPU of the destination that it may use.
    pub cpu: u32,
    /// What is known of the move.
    pub features: RawFeatures,
}

/// The tasks that wait in a domain and could move to another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Considered {
    /// Those that would lose little by it, in the order in which they should go.
    pub candidates: Vec<Candidate>,
    /// How many others ran a moment ago: what they need is in the caches.
    pub hot: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(loads: &[u64]) -> i64 {
        imbalance(loads.iter().map(|load| Load(load * ONE)))
    }

    #[test]
    fn imbalance_is_the_distance_as_a_part_of_the_mean() {
        assert_eq!(at(&[3, 1]), 1_000_000);
        assert_eq!(at(&[1, 3]), 1_000_000);
        assert_eq!(at(&[5, 3]), 500_000);
        assert_eq!(at(&[4, 0, 0, 0]), 4_000_000);
        assert_eq!(at(&[7]), 0, "one domain is in balance");
        assert_eq!(at(&[]), 0);
        assert_eq!(at(&[0, 0]), 0, "nothing to run");
        let most = [Load(u64::MAX), Load(0)];
        assert_eq!(imbalance(most), 2_000_000);
    }

    #[test]
    fn a_cache_is_as_loaded_as_its_cpus_are_on_average() {
        let cpu = |cpu, llc, load| CpuLoad {
            cpu,
            llc,
            node: 0,
            load: Load(load * ONE),
            tasks: 0,
            is_idle: false,
        };
        // Three CPUs with six tasks are as loaded as one with two.
        let even = [cpu(0, 0, 1), cpu(1, 0, 3), cpu(2, 0, 2), cpu(3, 1, 2)];
        assert_eq!(imbalance_of_caches(&even), 0);
        let odd = [cpu(0, 0, 3), cpu(1, 0, 3), cpu(2, 1, 1), cpu(3, 1, 1)];
        assert_eq!(imbalance_of_caches(&odd), 1_000_000);
        assert_eq!(imbalance_of_caches(&[]), 0);
    }
}
