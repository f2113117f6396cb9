//! The attributes that a rule may read: name, type, and where each is known.
//!
//! One table, one home. The checker types conditions by it, the compiler places
//! them by it, `explain` and the language reference print it.

use std::fmt;

/// A property of a task that a rule may test.
///
/// INVARIANT: the discriminants equal `enum edict_attr` in `bpf/intf.h`
/// (asserted in `image::layout`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Attribute {
    /// The task's name, as in `/proc/PID/comm`.
    Comm = 0,
    /// The path of the program file, as in `/proc/PID/exe`.
    Exe = 1,
    /// The nice value.
    Nice = 2,
    /// The effective user id, in the initial user namespace.
    Uid = 3,
    /// Whether the task is a kernel thread.
    Kthread = 4,
    /// The path in the cgroup v2 hierarchy.
    Cgroup = 5,
    /// CPU time of an average burst, from waking to sleeping.
    RuntimeAvg = 6,
    /// How often the task wakes, per second.
    WakeRate = 7,
    /// The arguments of the process, joined by blanks.
    Cmdline = 8,
    /// The id of the task itself, a thread's own.
    Pid = 9,
    /// The id of the process.
    Tgid = 10,
    /// The id of the parent process.
    Ppid = 11,
    /// The name of the parent process.
    ParentComm = 12,
    /// The effective group id.
    Gid = 13,
    /// The name of the effective user.
    User = 14,
    /// Whether the task is the first of its process.
    GroupLeader = 15,
    /// The id of the container.
    Container = 16,
    /// The systemd unit.
    Unit = 17,
    /// The inode number of the pid namespace.
    NsPid = 18,
    /// How far bursts are from their average.
    RuntimeDev = 19,
    /// How often the task leaves a CPU, per second.
    SwitchRate = 20,
    /// How much the latency of the task matters.
    LatCri = 21,
    /// How long the task sleeps, on average.
    SleepAvg = 22,
    /// How long the task has lived.
    Age = 23,
    /// How busy the CPUs are.
    CpuUtil = 24,
    /// The load average for each CPU.
    Load = 25,
    /// How unequal the load of the domains is.
    Imbalance = 26,
    /// How much of the time some task waits for a CPU.
    PsiCpu = 27,
    /// Whether the machine runs on battery.
    OnBattery = 28,
    /// How many CPUs are online.
    Ncpu = 29,
    /// The last-level cache that the task is at.
    Llc = 30,
    /// The NUMA node that the task is at.
    Node = 31,
}

/// The type of an attribute or of a literal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    /// A string.
    Text,
    /// A whole number without a unit.
    Count,
    /// A span of time; held in nanoseconds.
    Duration,
    /// A part of a whole; held in parts per million.
    Ratio,
    /// A truth value.
    Bool,
}

/// Where the value of an attribute is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// In the kernel, by the BPF object, whenever it changes.
    Kernel,
    /// By the agent, which tells the kernel the class of the value. Until it
    /// has, the value is unknown and every condition on it is false.
    Agent,
    /// By the agent, once a second, for the machine as a whole.
    System,
}

/// What is written down about one attribute.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// The attribute.
    pub attribute: Attribute,
    /// Its name in the language.
    pub name: &'static str,
    /// Its type.
    pub ty: Type,
    /// Where it is read.
    pub source: Source,
    /// Inclusive range of possible values, for numbers.
    pub range: Option<(i64, i64)>,
    /// Whether a task can be without a value, for a while or for ever.
    pub may_be_unknown: bool,
    /// One sentence for `explain` and the reference.
    pub summary: &'static str,
    /// A condition that uses it.
    pub example: &'static str,
}

/// Every attribute, in the order of their discriminants.
pub const ATTRIBUTES: [About; 32] = [
    About {
        attribute: Attribute::Comm,
        name: "comm",
        ty: Type::Text,
        source: Source::Kernel,
        range: None,
        may_be_unknown: false,
        summary: "the task's name as the kernel keeps it: at most 15 bytes, and a thread may set its own",
        example: "comm in { \"cc1\", \"cc1plus\" }",
    },
    About {
        attribute: Attribute::Exe,
        name: "exe",
        ty: Type::Text,
        source: Source::Agent,
        range: None,
        may_be_unknown: true,
        summary: "the path of the program the process runs; unknown for kernel threads, and until the agent has looked, 10 ms after exec or when the process first sleeps",
        example: "exe under \"/usr/libexec\"",
    },
    About {
        attribute: Attribute::Nice,
        name: "nice",
        ty: Type::Count,
        source: Source::Kernel,
        range: Some((-20, 19)),
        may_be_unknown: false,
        summary: "the nice value, from -20 (most favoured) to 19",
        example: "nice >= 10",
    },
    About {
        attribute: Attribute::Uid,
        name: "uid",
        ty: Type::Count,
        source: Source::Kernel,
        range: Some((0, u32::MAX as i64)),
        may_be_unknown: false,
        summary: "the effective user id, as the initial user namespace numbers it",
        example: "uid == 1000",
    },
    About {
        attribute: Attribute::Kthread,
        name: "kthread",
        ty: Type::Bool,
        source: Source::Kernel,
        range: None,
        may_be_unknown: false,
        summary: "true for kernel threads",
        example: "not kthread",
    },
    About {
        attribute: Attribute::Cgroup,
        name: "cgroup",
        ty: Type::Text,
        source: Source::Agent,
        range: None,
        may_be_unknown: true,
        summary: "the path of the task's cgroup in the version 2 hierarchy; unknown for a moment after a cgroup is made",
        example: "cgroup under \"/system.slice/backup.service\"",
    },
    About {
        attribute: Attribute::RuntimeAvg,
        name: "runtime_avg",
        ty: Type::Duration,
        source: Source::Kernel,
        range: Some((0, i64::MAX)),
        may_be_unknown: true,
        summary: "the CPU time of an average burst, from waking to sleeping (moving average, weight 1/8); unknown until eight bursts were seen",
        example: "runtime_avg < 2ms",
    },
    About {
        attribute: Attribute::WakeRate,
        name: "wake_rate",
        ty: Type::Count,
        source: Source::Kernel,
        range: Some((0, 1_000_000_000)),
        may_be_unknown: true,
        summary: "wake-ups per second (moving average, weight 1/8); unknown until eight wake-ups were seen",
        example: "wake_rate > 100",
    },
    About {
        attribute: Attribute::Cmdline,
        name: "cmdline",
        ty: Type::Text,
        source: Source::Agent,
        range: None,
        may_be_unknown: true,
        summary: "the arguments of the process, joined by single blanks, at most 4,095 bytes; unknown for kernel threads, and until the agent has looked, 10 ms after exec or when the process first sleeps",
        example: "cmdline like \"*/ninja *\"",
    },
    About {
        attribute: Attribute::Pid,
        name: "pid",
        ty: Type::Count,
        source: Source::Kernel,
        range: Some((1, 4_194_304)),
        may_be_unknown: false,
        summary: "the id of the task itself; each thread has its own",
        example: "pid == 1",
    },
    About {
        attribute: Attribute::Tgid,
        name: "tgid",
        ty: Type::Count,
        source: Source::Kernel,
        range: Some((1, 4_194_304)),
        may_be_unknown: false,
        summary: "the id of the process that the task belongs to",
        example: "tgid == 1",
    },
    About {
        attribute: Attribute::Ppid,
        name: "ppid",
        ty: Type::Count,
        source: Source::Kernel,
        range: Some((0, 4_194_304)),
        may_be_unknown: false,
        summary: "the id of the parent process; 0 when there is none",
        example: "ppid == 2",
    },
    About {
        attribute: Attribute::ParentComm,
        name: "parent.comm",
        ty: Type::Text,
        source: Source::Kernel,
        range: None,
        may_be_unknown: false,
        summary: "the name of the parent process, at most 15 bytes",
        example: "parent.comm == \"make\"",
    },
    About {
        attribute: Attribute::Gid,
        name: "gid",
        ty: Type::Count,
        source: Source::Kernel,
        range: Some((0, u32::MAX as i64)),
        may_be_unknown: false,
        summary: "the effective group id, as the initial user namespace numbers it",
        example: "gid == 100",
    },
    About {
        attribute: Attribute::User,
        name: "user",
        ty: Type::Text,
        source: Source::Agent,
        range: None,
        may_be_unknown: true,
        summary: "the name of the effective user, as the user database of the machine tells it; unknown where it has none",
        example: "user == \"postgres\"",
    },
    About {
        attribute: Attribute::GroupLeader,
        name: "group_leader",
        ty: Type::Bool,
        source: Source::Kernel,
        range: None,
        may_be_unknown: false,
        summary: "true for the first thread of a process",
        example: "not group_leader",
    },
    About {
        attribute: Attribute::Container,
        name: "container",
        ty: Type::Text,
        source: Source::Agent,
        range: None,
        may_be_unknown: true,
        summary: "the id of the container that the cgroup belongs to, as Docker, Podman, containerd and CRI-O name their cgroups; empty outside of one",
        example: "container != \"\"",
    },
    About {
        attribute: Attribute::Unit,
        name: "unit",
        ty: Type::Text,
        source: Source::Agent,
        range: None,
        may_be_unknown: true,
        summary: "the systemd unit that the cgroup belongs to, the innermost service or scope, else the slice; empty without one",
        example: "unit == \"nginx.service\"",
    },
    About {
        attribute: Attribute::NsPid,
        name: "ns.pid",
        ty: Type::Count,
        source: Source::Kernel,
        range: Some((0, u32::MAX as i64)),
        may_be_unknown: false,
        summary: "the inode number of the pid namespace, as in `/proc/PID/ns/pid`",
        example: "ns.pid != 4026531836",
    },
    About {
        attribute: Attribute::RuntimeDev,
        name: "runtime_dev",
        ty: Type::Duration,
        source: Source::Kernel,
        range: Some((0, i64::MAX)),
        may_be_unknown: true,
        summary: "how far bursts are from their average (moving average of the distance, weight 1/8); unknown until eight bursts were seen",
        example: "runtime_dev < 500us",
    },
    About {
        attribute: Attribute::SwitchRate,
        name: "switch_rate",
        ty: Type::Count,
        source: Source::Kernel,
        range: Some((0, 1_000_000_000)),
        may_be_unknown: true,
        summary: "how often the task leaves a CPU, per second (moving average, weight 1/8); unknown until eight times were seen",
        example: "switch_rate > 1000",
    },
    About {
        attribute: Attribute::LatCri,
        name: "lat_cri",
        ty: Type::Ratio,
        source: Source::Kernel,
        range: Some((0, 1_000_000)),
        may_be_unknown: true,
        summary: "how much the latency of the task matters: near 100% for short bursts that often wake, near 0% for long ones that seldom do; unknown until eight of both were seen",
        example: "lat_cri > 80%",
    },
    About {
        attribute: Attribute::SleepAvg,
        name: "sleep_avg",
        ty: Type::Duration,
        source: Source::Kernel,
        range: Some((0, i64::MAX)),
        may_be_unknown: true,
        summary: "how long the task sleeps between bursts (moving average, weight 1/8); unknown until eight sleeps were seen",
        example: "sleep_avg > 100ms",
    },
    About {
        attribute: Attribute::Age,
        name: "age",
        ty: Type::Duration,
        source: Source::Kernel,
        range: Some((0, i64::MAX)),
        may_be_unknown: false,
        summary: "how long the task has lived",
        example: "age < 1s",
    },
    About {
        attribute: Attribute::CpuUtil,
        name: "cpu_util",
        ty: Type::Ratio,
        source: Source::System,
        range: Some((0, 1_000_000)),
        may_be_unknown: true,
        summary: "how busy the CPUs are together, over the last second",
        example: "cpu_util > 90%",
    },
    About {
        attribute: Attribute::Load,
        name: "load",
        ty: Type::Ratio,
        source: Source::System,
        range: Some((0, i64::MAX)),
        may_be_unknown: true,
        summary: "the load average over one minute, divided by the number of CPUs: 100% is one runnable task for each CPU",
        example: "load > 150%",
    },
    About {
        attribute: Attribute::Imbalance,
        name: "imbalance",
        ty: Type::Ratio,
        source: Source::System,
        range: Some((0, i64::MAX)),
        may_be_unknown: true,
        summary: "how far the most and the least loaded last-level cache are apart, as a part of the mean of their loads; 0% on a machine with one",
        example: "imbalance > 30%",
    },
    About {
        attribute: Attribute::PsiCpu,
        name: "psi.cpu",
        ty: Type::Ratio,
        source: Source::System,
        range: Some((0, 1_000_000)),
        may_be_unknown: true,
        summary: "how much of the last ten seconds some task waited for a CPU (pressure stall information)",
        example: "psi.cpu > 20%",
    },
    About {
        attribute: Attribute::OnBattery,
        name: "on_battery",
        ty: Type::Bool,
        source: Source::System,
        range: None,
        may_be_unknown: true,
        summary: "true while no power supply but a battery is there",
        example: "on_battery",
    },
    About {
        attribute: Attribute::Ncpu,
        name: "ncpu",
        ty: Type::Count,
        source: Source::System,
        range: Some((1, 65_536)),
        may_be_unknown: true,
        summary: "how many CPUs are online",
        example: "ncpu >= 8",
    },
    About {
        attribute: Attribute::Llc,
        name: "llc",
        ty: Type::Count,
        source: Source::Kernel,
        range: Some((0, 65_535)),
        may_be_unknown: false,
        summary: "the number of the last-level cache whose CPU the task runs or ran on last",
        example: "llc == 0",
    },
    About {
        attribute: Attribute::Node,
        name: "node",
        ty: Type::Count,
        source: Source::Kernel,
        range: Some((0, 65_535)),
        may_be_unknown: false,
        summary: "the number of the NUMA node whose CPU the task runs or ran on last",
        example: "node == 1",
    },
];

impl Attribute {
    /// How many attributes there are.
    pub const COUNT: usize = ATTRIBUTES.len();

    /// The row of [`ATTRIBUTES`] for this attribute.
    pub fn about(self) -> &'static About {
        match self {
            Self::Comm => &ATTRIBUTES[0],
            Self::Exe => &ATTRIBUTES[1],
            Self::Nice => &ATTRIBUTES[2],
            Self::Uid => &ATTRIBUTES[3],
            Self::Kthread => &ATTRIBUTES[4],
            Self::Cgroup => &ATTRIBUTES[5],
            Self::RuntimeAvg => &ATTRIBUTES[6],
            Self::WakeRate => &ATTRIBUTES[7],
            Self::Cmdline => &ATTRIBUTES[8],
            Self::Pid => &ATTRIBUTES[9],
            Self::Tgid => &ATTRIBUTES[10],
            Self::Ppid => &ATTRIBUTES[11],
            Self::ParentComm => &ATTRIBUTES[12],
            Self::Gid => &ATTRIBUTES[13],
            Self::User => &ATTRIBUTES[14],
            Self::GroupLeader => &ATTRIBUTES[15],
            Self::Container => &ATTRIBUTES[16],
            Self::Unit => &ATTRIBUTES[17],
            Self::NsPid => &ATTRIBUTES[18],
            Self::RuntimeDev => &ATTRIBUTES[19],
            Self::SwitchRate => &ATTRIBUTES[20],
            Self::LatCri => &ATTRIBUTES[21],
            Self::SleepAvg => &ATTRIBUTES[22],
            Self::Age => &ATTRIBUTES[23],
            Self::CpuUtil => &ATTRIBUTES[24],
            Self::Load => &ATTRIBUTES[25],
            Self::Imbalance => &ATTRIBUTES[26],
            Self::PsiCpu => &ATTRIBUTES[27],
            Self::OnBattery => &ATTRIBUTES[28],
            Self::Ncpu => &ATTRIBUTES[29],
            Self::Llc => &ATTRIBUTES[30],
            Self::Node => &ATTRIBUTES[31],
        }
    }

    /// The attribute of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        ATTRIBUTES
            .iter()
            .find(|about| about.name == name)
            .map(|about| about.attribute)
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.about().name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_discriminants() {
        for (index, about) in ATTRIBUTES.iter().enumerate() {
            assert_eq!(about.attribute as usize, index);
            assert_eq!(about.attribute.about().name, about.name);
            assert_eq!(Attribute::by_name(about.name), Some(about.attribute));
        }
    }
}
