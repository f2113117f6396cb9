//! Which CPUs share a core, a last-level cache and a NUMA node, from sysfs.
//!
//! The numbers of caches count from 0 in the order of nodes and CPUs, as those
//! of `scx_utils::Topology` do: the kernel's own ids have holes.
//!
//! CPUs come and go. The kernel forgets the caches of one that is offline, and
//! takes it off the lists of those that shared them; rules and queues go by the
//! numbers. So a CPU that was seen once keeps its place, and a new one takes the
//! number of those that it shares its cache with, or the next.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Where one CPU is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Number of its last-level cache.
    pub llc: u32,
    /// Number of its node.
    pub node: u32,
}

/// The CPUs that are or were online, each with its place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topology {
    cpus: BTreeMap<u32, Place>,
    siblings: BTreeMap<u32, Vec<u32>>,
    online: BTreeSet<u32>,
    llcs: u32,
    /// Of the CPUs of a node that name no cache.
    nameless: BTreeMap<u32, u32>,
}

impl Topology {
    /// Reads `/sys/devices/system/cpu`; empty where it cannot be read.
    pub fn read() -> Self {
        Self::read_from(Path::new("/sys/devices/system/cpu"))
    }

    /// Reads a directory like that one.
    pub fn read_from(root: &Path) -> Self {
        let mut topology = Self::default();
        topology.look_again_at(root);
        topology
    }

    /// Reads again which CPUs are online, and where those are that are new.
    pub fn look_again(&mut self) {
        self.look_again_at(Path::new("/sys/devices/system/cpu"));
    }

    fn look_again_at(&mut self, root: &Path) {
        let online = fs::read_to_string(root.join("online")).unwrap_or_default();
        self.online = list(&online).into_iter().collect();
        let mut new: Vec<(u32, u32, Vec<u32>)> = self
            .online
            .iter()
            .filter(|cpu| !self.cpus.contains_key(cpu))
            .map(|cpu| {
                let directory = root.join(format!("cpu{cpu}"));
                (node(&directory), *cpu, list(&cache(&directory)))
            })
            .collect();
        let of_core = |cpu: &u32| (*cpu, siblings(root, *cpu));
        self.siblings = self.online.iter().map(of_core).collect();
        new.sort_unstable();
        for (node, cpu, shared) in new {
            let known = match shared.as_slice() {
                [] => self.nameless.get(&node).copied(),
                shared => shared
                    .iter()
                    .filter_map(|other| self.cpus.get(other))
                    .find(|place| place.node == node)
                    .map(|place| place.llc),
            };
            let llc = known.unwrap_or_else(|| {
                self.llcs += 1;
                self.llcs - 1
            });
            if shared.is_empty() {
                self.nameless.insert(node, llc);
            }
            self.cpus.insert(cpu, Place { llc, node });
        }
    }

    /// How many CPUs are online.
    pub fn ncpu(&self) -> usize {
        self.online.len()
    }

    /// How many last-level caches there are, or have been seen.
    pub fn llcs(&self) -> u32 {
        self.llcs
    }

    /// Every CPU that is online, and where it is.
    pub fn places(&self) -> impl Iterator<Item = (u32, Place)> {
        let online = |cpu: &u32| self.online.contains(cpu);
        self.cpus
            .iter()
            .filter(move |(cpu, _)| online(cpu))
            .map(|(cpu, place)| (*cpu, *place))
    }

    /// The other CPUs of a CPU's core that are online.
    pub fn siblings(&self, cpu: u32) -> &[u32] {
        self.siblings.get(&cpu).map_or(&[], Vec::as_slice)
    }

    /// Where a CPU is; none if it has never been online.
    pub fn place(&self, cpu: u32) -> Option<Place> {
        self.cpus.get(&cpu).copied()
    }
}

/// The other threads of a CPU's core.
fn siblings(root: &Path, cpu: u32) -> Vec<u32> {
    let path = root.join(format!("cpu{cpu}/topology/thread_siblings_list"));
    let mut threads = list(&fs::read_to_string(path).unwrap_or_default());
    threads.retain(|thread| *thread != cpu);
    threads
}

/// The CPUs that share the cache of the highest level, as the kernel writes
/// them; empty where it does not say.
fn cache(cpu: &Path) -> String {
    let Ok(entries) = fs::read_dir(cpu.join("cache")) else {
        return String::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let text = |name: &str| fs::read_to_string(entry.path().join(name)).ok();
            let level: u32 = text("level")?.trim().parse().ok()?;
            Some((level, text("shared_cpu_list")?))
        })
        .max()
        .map_or(String::new(), |(_, shared)| shared)
}

/// The node whose link stands in the directory of a CPU.
fn node(cpu: &Path) -> u32 {
    let Ok(entries) = fs::read_dir(cpu) else {
        return 0;
    };
    entries
        .flatten()
        .find_map(|entry| {
            let name = entry.file_name();
            name.to_str()?.strip_prefix("node")?.parse().ok()
        })
        .unwrap_or(0)
}

/// `0-3,8` as numbers; what is no number is left out.
pub fn list(text: &str) -> Vec<u32> {
    const MOST: u32 = 1 << 16;
    text.trim()
        .split(',')
        .filter_map(|part| {
            let (low, high) = part.split_once('-').unwrap_or((part, part));
            let (low, high) = (low.trim().parse().ok()?, high.trim().parse().ok()?);
            Some(low..=u32::min(high, MOST))
        })
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus() {
        assert_eq!(list("0-3,8\n"), [0, 1, 2, 3, 8]);
        assert_eq!(list("5"), [5]);
        assert_eq!(list(""), [] as [u32; 0]);
        assert_eq!(list("3-1,x"), [] as [u32; 0]);
    }

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// CPUs that are online, each with its node and who shares its cache.
    fn machine(root: &Path, online: &str, cpus: &[(u32, u32, &str)]) {
        write(root, "online", online);
        for (cpu, node, shared) in cpus {
            write(root, &format!("cpu{cpu}/node{node}/x"), "");
            let cache = format!("cpu{cpu}/cache");
            write(root, &format!("{cache}/index0/level"), "1\n");
            write(root, &format!("{cache}/index0/shared_cpu_list"), "9\n");
            write(root, &format!("{cache}/index3/level"), "3\n");
            write(root, &format!("{cache}/index3/shared_cpu_list"), shared);
            write(
                root,
                &format!("cpu{cpu}/topology/thread_siblings_list"),
                shared,
            );
        }
    }

    #[test]
    fn caches_are_numbered_by_node_and_cpu() {
        let root = tempfile::tempdir().unwrap();
        machine(
            root.path(),
            "0-3,5\n",
            &[
                (0, 1, "0-1\n"),
                (1, 1, "0-1\n"),
                (2, 0, "2\n"),
                (3, 0, "3,5\n"),
                (5, 0, "3,5\n"),
            ],
        );
        let topology = Topology::read_from(root.path());
        assert_eq!((topology.ncpu(), topology.llcs()), (5, 3));
        let place = |cpu| topology.place(cpu).map(|place| (place.node, place.llc));
        assert_eq!(place(2), Some((0, 0)));
        assert_eq!(place(3), Some((0, 1)));
        assert_eq!(place(5), Some((0, 1)));
        assert_eq!(place(0), Some((1, 2)));
        assert_eq!(place(4), None);
        assert_eq!(topology.siblings(3), [5]);
        assert_eq!(topology.siblings(2), [] as [u32; 0]);
        assert_eq!(Topology::read_from(Path::new("/nowhere")).ncpu(), 0);
    }

    /// The numbers stay, although the kernel forgets what an offline CPU shared.
    #[test]
    fn cpus_that_come_and_go_keep_their_numbers() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        machine(root, "1-3", &[(1, 0, "1"), (2, 0, "2-3"), (3, 0, "2-3")]);
        let mut topology = Topology::read_from(root);
        let llcs = |topology: &Topology| -> Vec<(u32, u32)> {
            let place = |(cpu, place): (u32, Place)| (cpu, place.llc);
            topology.places().map(place).collect()
        };
        assert_eq!(llcs(&topology), [(1, 0), (2, 1), (3, 1)]);

        fs::remove_dir_all(root.join("cpu1")).unwrap();
        machine(root, "2-3", &[]);
        topology.look_again_at(root);
        assert_eq!(llcs(&topology), [(2, 1), (3, 1)]);
        assert_eq!((topology.ncpu(), topology.llcs()), (2, 2));
        assert_eq!(topology.place(1).map(|place| place.llc), Some(0));

        // New ones: one whose neighbour is away seems to be alone, and keeps that.
        machine(root, "0,2-4", &[(0, 0, "0"), (4, 0, "2-4")]);
        topology.look_again_at(root);
        assert_eq!(llcs(&topology), [(0, 2), (2, 1), (3, 1), (4, 1)]);
        machine(root, "0-4", &[(1, 0, "0-1"), (0, 0, "0-1")]);
        topology.look_again_at(root);
        assert_eq!(llcs(&topology), [(0, 2), (1, 0), (2, 1), (3, 1), (4, 1)]);
        assert_eq!((topology.ncpu(), topology.llcs()), (5, 3));
    }

    #[test]
    fn cpus_without_caches_are_one_for_each_node() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "online", "0-3");
        for (cpu, node) in [(0, 0), (1, 1), (2, 0), (3, 1)] {
            write(root.path(), &format!("cpu{cpu}/node{node}/x"), "");
        }
        let topology = Topology::read_from(root.path());
        let llcs: Vec<u32> = topology.places().map(|(_, place)| place.llc).collect();
        assert_eq!((llcs, topology.llcs()), (vec![0, 1, 0, 1], 2));
    }

    #[test]
    fn this_machine_has_a_cpu() {
        assert!(Topology::read().ncpu() >= 1);
    }
}
