//! Where the values come from that only the agent can read.
//!
//! The agent's side of the system implements [`Values`]; what it says goes
//! through the policy's classes to the rows of a bank, and to `why`.

use crate::check::{Attribute, Value};

/// Where a CPU is: the numbers of its last-level cache and of its node, and
/// what it shares its core with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// The CPU.
    pub cpu: u32,
    /// The last-level cache.
    pub llc: u32,
    /// The NUMA node.
    pub node: u32,
    /// The other CPUs of its core.
    pub siblings: Vec<u32>,
}

/// Where the values of the attributes come from that the kernel cannot
/// evaluate itself. What an implementation does not say is not known.
///
/// Several threads ask at once: what takes long, such as a look at all cgroups,
/// must not keep the others waiting.
pub trait Values: Send + Sync {
    /// The ids of all processes.
    fn processes(&self) -> Vec<u32> {
        Vec::new()
    }
    /// The path of the program that a process runs.
    fn exe(&self, _pid: u32) -> Option<String> {
        None
    }
    /// The arguments of a process, joined by blanks; empty where it has none.
    fn cmdline(&self, _pid: u32) -> Option<String> {
        None
    }
    /// Whether there is such a process still.
    fn lives(&self, _pid: u32) -> bool {
        false
    }
    /// Every cgroup of the version 2 hierarchy: its id and its path.
    fn cgroups(&self) -> Vec<(u64, String)> {
        Vec::new()
    }
    /// The path of one cgroup, as far as the last look at all of them tells.
    fn cgroup(&self, _id: u64) -> Option<String> {
        None
    }
    /// The path of the cgroup that a task is in, if it is the one with that id.
    /// Looks at no other.
    fn cgroup_of(&self, _pid: u32, _id: u64) -> Option<String> {
        None
    }
    /// Looks at all cgroups again.
    fn look_again(&self) {}
    /// This cgroup is no more.
    fn forget_cgroup(&self, _id: u64) {}
    /// What the path of a cgroup says about `container` or `unit`.
    fn of_path<'a>(&self, _attribute: Attribute, _path: &'a str) -> Option<&'a str> {
        None
    }
    /// The name of a user.
    fn user(&self, _uid: u32) -> Option<String> {
        None
    }
    /// The users that there are, as far as they can be listed.
    fn users(&self) -> Vec<u32> {
        Vec::new()
    }
    /// A number that changes with the list of users and their names.
    fn users_version(&self) -> u64 {
        0
    }
    /// The names that tasks have now.
    fn names(&self) -> Vec<String> {
        Vec::new()
    }
    /// What is known of the machine as a whole, since it was asked last.
    fn system(&self) -> Vec<(Attribute, Value)> {
        Vec::new()
    }
    /// Where each CPU is.
    fn places(&self) -> Vec<Place> {
        Vec::new()
    }
}

/// Knows nothing: every such attribute stays unknown.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoValues;

impl Values for NoValues {}
