//! The domains of a look: which there are, how loaded, which tasks should go.

use std::collections::BTreeMap;

use crate::check::Ppm;
use crate::live::{Between, Candidate, CpuLoad, Load, ONE, imbalance};

/// CPUs that tasks move to and from together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// The number of the CPU, or of the cache.
    pub number: u32,
    /// Its load, for each CPU.
    pub load: Load,
    /// Its CPUs.
    pub cpus: u32,
    /// Its runnable tasks.
    pub tasks: u64,
    /// Its least loaded CPU.
    pub idlest: u32,
}

/// Domains between which tasks may move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The number of the cache, or of the node, that they are all of.
    pub number: u32,
    /// In the order of their numbers.
    pub domains: Vec<Domain>,
}

/// The groups of a machine, in the order of their numbers.
pub fn groups(cpus: &[CpuLoad], between: Between) -> Vec<Group> {
    let mut groups: BTreeMap<u32, BTreeMap<u32, Vec<&CpuLoad>>> = BTreeMap::new();
    for cpu in cpus {
        let (group, domain) = match between {
            Between::Cpus => (cpu.llc, cpu.cpu),
            Between::Caches => (cpu.node, cpu.llc),
        };
        let domains = groups.entry(group).or_default();
        domains.entry(domain).or_default().push(cpu);
    }
    let group = |(number, domains): (u32, BTreeMap<u32, Vec<&CpuLoad>>)| Group {
        number,
        domains: domains.into_iter().filter_map(domain).collect(),
    };
    groups.into_iter().map(group).collect()
}

fn domain((number, cpus): (u32, Vec<&CpuLoad>)) -> Option<Domain> {
    let count = u32::try_from(cpus.len()).ok()?;
    let sum: u128 = cpus.iter().map(|cpu| u128::from(cpu.load.0)).sum();
    let idlest = cpus.iter().min_by_key(|cpu| (cpu.load, cpu.cpu))?;
    Some(Domain {
        number,
        load: Load(u64::try_from(sum / u128::from(count)).unwrap_or(u64::MAX)),
        cpus: count,
        tasks: cpus.iter().map(|cpu| u64::from(cpu.tasks)).sum(),
        idlest: idlest.cpu,
    })
}

impl Group {
    /// How far its domains are apart, in parts per million.
    pub fn imbalance(&self) -> i64 {
        imbalance(self.domains.iter().map(|domain| domain.load))
    }

    /// The most and the least loaded domain; none if there is nothing to move.
    pub fn route(&self) -> Option<(&Domain, &Domain)> {
        let by_load = |domain: &&Domain| (domain.load, std::cmp::Reverse(domain.number));
        let src = self.domains.iter().max_by_key(by_load)?;
        let dst = self.domains.iter().min_by_key(by_load)?;
        (src.load > dst.load).then_some((src, dst))
    }
}

/// How many tasks may move at once: a part of those of the source, rounded down,
/// and at least one of them, unless none may.
pub fn most_moves(src: &Domain, max_moves: Ppm) -> u64 {
    match max_moves.0 {
        0 => 0,
        parts => {
            let part = u128::from(src.tasks) * u128::from(parts) / 1_000_000;
            u64::try_from(part).unwrap_or(u64::MAX).max(1)
        }
    }
}

/// Follows the loads of two domains while tasks are chosen.
///
/// A task goes only as long as it brings the two nearer to each other by more
/// than it takes them apart in the other direction. What is left then is less
/// than would make the same task come back: with `d` the distance of the loads
/// and `w` what the task changes it by, it goes if `w <= 3/2 d`, so afterwards
/// the other direction has at most `w / 3`, of which it would need `2/3 w`.
#[derive(Debug, Clone, Copy)]
pub struct Scales {
    distance: i128,
    src_cpus: i128,
    dst_cpus: i128,
}

impl Scales {
    /// The two domains as they are.
    pub fn new(src: &Domain, dst: &Domain) -> Self {
        Self {
            distance: i128::from(src.load.0) - i128::from(dst.load.0),
            src_cpus: i128::from(src.cpus.max(1)),
            dst_cpus: i128::from(dst.cpus.max(1)),
        }
    }

    /// What a task changes the distance by.
    fn changes(self, task: &Candidate) -> i128 {
        let load = i128::from(task.weight) * i128::from(ONE) / 1024;
        load / self.src_cpus + load / self.dst_cpus
    }

    /// Whether the task brings the domains nearer to each other.
    pub fn improves(self, task: &Candidate) -> bool {
        2 * self.changes(task) <= 3 * self.distance
    }

    /// The task goes.
    pub fn moved(&mut self, task: &Candidate) {
        self.distance -= self.changes(task);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::RawFeatures;

    fn cpu(cpu: u32, llc: u32, node: u32, tasks: u32) -> CpuLoad {
        CpuLoad {
            cpu,
            llc,
            node,
            load: Load(u64::from(tasks) * ONE),
            tasks,
            is_idle: tasks == 0,
        }
    }

    fn task(weight: u32) -> Candidate {
        Candidate {
            pid: 1,
            weight,
            cpu: 0,
            features: RawFeatures::default(),
        }
    }

    #[test]
    fn domains_are_cpus_of_a_cache_or_caches_of_a_node() {
        let look = [
            cpu(0, 0, 0, 4),
            cpu(1, 0, 0, 2),
            cpu(2, 1, 0, 1),
            cpu(3, 1, 0, 1),
            cpu(4, 2, 1, 9),
        ];
        let caches = groups(&look, Between::Caches);
        assert_eq!(caches.len(), 2);
        assert_eq!((caches[0].number, caches[1].number), (0, 1));
        assert_eq!(caches[0].imbalance(), 1_000_000);
        assert_eq!(caches[1].imbalance(), 0, "one cache");
        let (src, dst) = caches[0].route().unwrap();
        assert_eq!((src.number, src.tasks, src.cpus, src.idlest), (0, 6, 2, 1));
        assert_eq!((dst.number, dst.tasks, dst.idlest), (1, 2, 2));
        assert_eq!(caches[1].route(), None);

        let cpus = groups(&look, Between::Cpus);
        assert_eq!(cpus.len(), 3);
        let (src, dst) = cpus[0].route().unwrap();
        assert_eq!((src.number, dst.number), (0, 1));
        assert_eq!(cpus[1].route(), None, "in balance");
        assert!(groups(&[], Between::Caches).is_empty());
    }

    #[test]
    fn a_part_of_the_tasks_and_at_least_one() {
        let look = [cpu(0, 0, 0, 100), cpu(1, 1, 0, 1)];
        let group = &groups(&look, Between::Caches)[0];
        let (src, _) = group.route().unwrap();
        assert_eq!(most_moves(src, Ppm(20_000)), 2);
        assert_eq!(most_moves(src, Ppm(29_999)), 2);
        assert_eq!(most_moves(src, Ppm(1)), 1);
        assert_eq!(most_moves(src, Ppm(0)), 0);
        assert_eq!(most_moves(src, Ppm(1_000_000)), 100);
    }

    #[test]
    fn a_move_that_would_only_change_sides_is_none() {
        let two = |src, dst| {
            let look = [
                cpu(0, 0, 0, src),
                cpu(1, 0, 0, 0),
                cpu(2, 1, 0, dst),
                cpu(3, 1, 0, 0),
            ];
            let group = groups(&look, Between::Caches).remove(0);
            let (src, dst) = group.route().unwrap();
            Scales::new(src, dst)
        };
        let mut scales = two(6, 2);
        assert!(scales.improves(&task(1024)));
        scales.moved(&task(1024));
        assert!(scales.improves(&task(1024)));
        scales.moved(&task(1024));
        assert!(!scales.improves(&task(1024)), "four and four");
        assert!(!two(4, 3).improves(&task(1024)));
        assert!(two(4, 3).improves(&task(655)));
        assert!(!two(6, 2).improves(&task(88_761)), "too heavy");
    }
}
