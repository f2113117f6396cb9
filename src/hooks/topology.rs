//! Which CPUs share a core, a last-level cache and a NUMA node, from sysfs.
//!
//! The numbers of caches count from 0 in the order of nodes and CPUs, as those
//! of `scx_utils::Topology` do: the kernel's own ids have holes.

use std::collections::BTreeMap;
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

/// The CPUs that are online, each with its place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topology {
    cpus: BTreeMap<u32, Place>,
    siblings: BTreeMap<u32, Vec<u32>>,
    llcs: u32,
}

impl Topology {
    /// Reads `/sys/devices/system/cpu`; empty where it cannot be read.
    pub fn read() -> Self {
        Self::read_from(Path::new("/sys/devices/system/cpu"))
    }

    /// Reads a directory like that one.
    pub fn read_from(root: &Path) -> Self {
        let online = fs::read_to_string(root.join("online")).unwrap_or_default();
        let mut cpus: Vec<(u32, u32, String)> = list(&online)
            .into_iter()
            .map(|cpu| {
                let directory = root.join(format!("cpu{cpu}"));
                (node(&directory), cpu, cache(&directory))
            })
            .collect();
        let siblings = cpus
            .iter()
            .map(|(_, cpu, _)| (*cpu, siblings(root, *cpu)))
            .collect();
        cpus.sort();
        let mut caches: BTreeMap<(u32, String), u32> = BTreeMap::new();
        let mut places = BTreeMap::new();
        for (node, cpu, cache) in cpus {
            let next = u32::try_from(caches.len()).unwrap_or(u32::MAX);
            let llc = *caches.entry((node, cache)).or_insert(next);
            places.insert(cpu, Place { llc, node });
        }
        Self {
            cpus: places,
            siblings,
            llcs: u32::try_from(caches.len()).unwrap_or(u32::MAX),
        }
    }

    /// How many CPUs are online.
    pub fn ncpu(&self) -> usize {
        self.cpus.len()
    }

    /// How many last-level caches there are.
    pub fn llcs(&self) -> u32 {
        self.llcs
    }

    /// Every CPU that is online, and where it is.
    pub fn places(&self) -> impl Iterator<Item = (u32, Place)> {
        self.cpus.iter().map(|(cpu, place)| (*cpu, *place))
    }

    /// The other CPUs of a CPU's core that are online.
    pub fn siblings(&self, cpu: u32) -> &[u32] {
        self.siblings.get(&cpu).map_or(&[], Vec::as_slice)
    }

    /// Where a CPU is; none if it is not online.
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

    #[test]
    fn caches_are_numbered_by_node_and_cpu() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("online", "0-3,5\n");
        for (cpu, node, shared) in [
            (0, 1, "0-1\n"),
            (1, 1, "0-1\n"),
            (2, 0, "2\n"),
            (3, 0, "3,5\n"),
            (5, 0, "3,5\n"),
        ] {
            write(&format!("cpu{cpu}/node{node}/x"), "");
            write(&format!("cpu{cpu}/cache/index0/level"), "1\n");
            write(&format!("cpu{cpu}/cache/index0/shared_cpu_list"), "9\n");
            write(&format!("cpu{cpu}/cache/index3/level"), "3\n");
            write(&format!("cpu{cpu}/cache/index3/shared_cpu_list"), shared);
            write(&format!("cpu{cpu}/topology/thread_siblings_list"), shared);
        }
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

    #[test]
    fn this_machine_has_a_cpu() {
        assert!(Topology::read().ncpu() >= 1);
    }
}
