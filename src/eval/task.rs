//! A task as a policy sees it: one value, or none, for each attribute.

use crate::check::Attribute;

/// The attributes of one task. `None` is *unknown*: every condition on an
/// unknown attribute is false, and so is its negation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Task {
    /// At most 15 bytes, without NUL.
    pub comm: Option<String>,
    /// Absolute path.
    pub exe: Option<String>,
    /// -20 to 19.
    pub nice: Option<i64>,
    /// Effective user id.
    pub uid: Option<i64>,
    /// Kernel thread.
    pub kthread: Option<bool>,
    /// Path in the cgroup v2 hierarchy, from its root: `/` or `/a/b`.
    pub cgroup: Option<String>,
    /// Nanoseconds.
    pub runtime_avg: Option<i64>,
    /// Wake-ups per second.
    pub wake_rate: Option<i64>,
}

impl Task {
    /// The value of a text attribute.
    pub fn text(&self, attribute: Attribute) -> Option<&str> {
        match attribute {
            Attribute::Comm => self.comm.as_deref(),
            Attribute::Exe => self.exe.as_deref(),
            Attribute::Cgroup => self.cgroup.as_deref(),
            _ => None,
        }
    }

    /// The value of a number attribute.
    pub fn number(&self, attribute: Attribute) -> Option<i64> {
        match attribute {
            Attribute::Nice => self.nice,
            Attribute::Uid => self.uid,
            Attribute::RuntimeAvg => self.runtime_avg,
            Attribute::WakeRate => self.wake_rate,
            _ => None,
        }
    }

    /// The value of a truth attribute.
    pub fn truth(&self, attribute: Attribute) -> Option<bool> {
        match attribute {
            Attribute::Kthread => self.kthread,
            _ => None,
        }
    }
}
