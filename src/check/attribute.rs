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
    /// One sentence for `explain` and the reference.
    pub summary: &'static str,
    /// A condition that uses it.
    pub example: &'static str,
}

/// Every attribute, in the order of their discriminants.
pub const ATTRIBUTES: [About; 8] = [
    About {
        attribute: Attribute::Comm,
        name: "comm",
        ty: Type::Text,
        source: Source::Kernel,
        range: None,
        summary: "the task's name as the kernel keeps it: at most 15 bytes, and a thread may set its own",
        example: "comm in { \"cc1\", \"cc1plus\" }",
    },
    About {
        attribute: Attribute::Exe,
        name: "exe",
        ty: Type::Text,
        source: Source::Agent,
        range: None,
        summary: "the path of the program the process runs; unknown for kernel threads and for a moment after exec",
        example: "exe under \"/usr/libexec\"",
    },
    About {
        attribute: Attribute::Nice,
        name: "nice",
        ty: Type::Count,
        source: Source::Kernel,
        range: Some((-20, 19)),
        summary: "the nice value, from -20 (most favoured) to 19",
        example: "nice >= 10",
    },
    About {
        attribute: Attribute::Uid,
        name: "uid",
        ty: Type::Count,
        source: Source::Kernel,
        range: Some((0, u32::MAX as i64)),
        summary: "the effective user id, as the initial user namespace numbers it",
        example: "uid == 1000",
    },
    About {
        attribute: Attribute::Kthread,
        name: "kthread",
        ty: Type::Bool,
        source: Source::Kernel,
        range: None,
        summary: "true for kernel threads",
        example: "not kthread",
    },
    About {
        attribute: Attribute::Cgroup,
        name: "cgroup",
        ty: Type::Text,
        source: Source::Agent,
        range: None,
        summary: "the path of the task's cgroup in the version 2 hierarchy; unknown for a moment after a cgroup is made",
        example: "cgroup under \"/system.slice/backup.service\"",
    },
    About {
        attribute: Attribute::RuntimeAvg,
        name: "runtime_avg",
        ty: Type::Duration,
        source: Source::Kernel,
        range: Some((0, i64::MAX)),
        summary: "the CPU time of an average burst, from waking to sleeping (moving average, weight 1/8); unknown until eight bursts were seen",
        example: "runtime_avg < 2ms",
    },
    About {
        attribute: Attribute::WakeRate,
        name: "wake_rate",
        ty: Type::Count,
        source: Source::Kernel,
        range: Some((0, 1_000_000_000)),
        summary: "wake-ups per second (moving average, weight 1/8); unknown until eight wake-ups were seen",
        example: "wake_rate > 100",
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
