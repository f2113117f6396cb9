//! Why the kernel's own scheduler is back in charge, in words and with a cure.
//!
//! The kernel gives a kind (`enum scx_exit_kind`), a code (`enum scx_exit_code`)
//! and two texts. What an operator can do follows from the kind; the texts name
//! the task or the CPU. The numbers are part of the kernel's interface for
//! schedulers and the same on every kernel that has sched_ext.

use crate::diag::{Code, Diagnostic, visible};

/// What ended a scheduler.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ExitKind {
    /// It was unregistered from user space, and not by its agent.
    Unregistered,
    /// It left by itself (`scx_bpf_exit`).
    Left,
    /// The kernel unregistered it, and calls that no error.
    ByKernel,
    /// SysRq-S.
    SysRq,
    /// The kernel found an error in what it did.
    Error,
    /// Its program reported an error (`scx_bpf_error`).
    ErrorOfProgram,
    /// A runnable task was not run in time.
    Stall,
    /// A kind that this edict does not know.
    #[default]
    Unknown,
}

impl ExitKind {
    /// From `enum scx_exit_kind`.
    pub fn from_raw(kind: i32) -> Self {
        match kind {
            64 => Self::Unregistered,
            65 => Self::Left,
            66 => Self::ByKernel,
            67 => Self::SysRq,
            1024 => Self::Error,
            1025 => Self::ErrorOfProgram,
            1026 => Self::Stall,
            _ => Self::Unknown,
        }
    }
}

/// `SCX_ECODE_RSN_HOTPLUG`: a CPU came or went.
const HOTPLUG: u64 = 1 << 32;
/// `SCX_ECODE_ACT_RESTART`: the scheduler may be attached again at once.
const RESTART: u64 = 1 << 48;

/// The kernel put its own scheduler back in charge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ejection {
    /// What kind of end it was.
    pub kind: ExitKind,
    /// Why, in the kernel's words: "runnable task stall", "unregistered from
    /// the main kernel" …
    pub reason: String,
    /// More about it; may be empty.
    pub message: String,
    /// What the scheduler looked like; may be empty.
    pub dump: String,
    /// A CPU came or went.
    pub hotplug: bool,
    /// It was no failure but a CPU that came or went: attach again.
    pub restart: bool,
}

impl Ejection {
    /// From the words of `struct user_exit_info`.
    pub fn new(kind: i32, code: i64) -> Self {
        let code = code.cast_unsigned();
        let kind = ExitKind::from_raw(kind);
        // Only these two kinds of exits have a code.
        let says = |bit| matches!(kind, ExitKind::Left | ExitKind::ByKernel) && code & bit != 0;
        Self {
            kind,
            hotplug: says(HOTPLUG),
            restart: says(RESTART),
            ..Self::default()
        }
    }

    /// What the kernel said, on one line.
    pub fn words(&self) -> String {
        let reason = match self.reason.trim() {
            "" => "no reason given",
            reason => reason,
        };
        match self.message.trim() {
            "" => reason.to_owned(),
            message => format!("{reason}: {message}"),
        }
    }

    /// The task that was not run in time, if it was that: its name, its thread
    /// id and how long it waited.
    pub fn stalled(&self) -> Option<Stalled<'_>> {
        if self.kind != ExitKind::Stall {
            return None;
        }
        // "%s[%d] failed to run for %u.%03us"; a name may hold anything.
        let (task, waited) = self.message.trim().rsplit_once(" failed to run for ")?;
        let (comm, pid) = task.strip_suffix(']')?.rsplit_once('[')?;
        Some(Stalled {
            comm,
            pid: pid.parse().ok()?,
            waited: waited.strip_suffix('s')?,
        })
    }

    /// In words: what has happened, and what to do about it.
    pub fn diagnostic(&self) -> Diagnostic {
        // A task may be called anything.
        let words = self.words();
        let words = visible(&words);
        let (code, message, help) = match self.kind {
            ExitKind::Stall => match self.stalled() {
                Some(stalled) => (
                    Code::E0630,
                    format!(
                        "`{}` ({}) waited {} s for a CPU, longer than the kernel's watchdog allows",
                        visible(stalled.comm),
                        stalled.pid,
                        visible(stalled.waited)
                    ),
                    "give its tier a `max_wait`, or more tickets; if it may run on one CPU only, look for a real-time task that keeps that CPU; `watchdog` in the `policy` block sets the kernel's patience (at most 30s)",
                ),
                None => (
                    Code::E0630,
                    format!("the kernel's watchdog ran out: {words}"),
                    "if no task is named, the machine itself stood still: look for real-time tasks that never sleep, and for a virtual machine that was paused",
                ),
            },
            ExitKind::Error | ExitKind::ErrorOfProgram | ExitKind::Left => (
                Code::E0631,
                format!("the kernel found a fault in the scheduler: {words}"),
                "this is a defect of edict, not of the policy; report it with the log of this run, which holds what the scheduler looked like",
            ),
            ExitKind::SysRq => (
                Code::E0632,
                format!("somebody asked for it with SysRq-S: {words}"),
                "start edict again when the machine is as it should be; `dmesg` has the time",
            ),
            ExitKind::ByKernel if self.hotplug => (
                Code::E0633,
                format!("a CPU came or went: {words}"),
                "start edict again, which then knows the CPUs that there are",
            ),
            ExitKind::Unregistered => (
                Code::E0634,
                format!("somebody detached the scheduler: {words}"),
                "look for what unregisters schedulers (`bpftool struct_ops`, another scheduler's service), then start edict again",
            ),
            ExitKind::ByKernel | ExitKind::Unknown => (
                Code::E0607,
                format!("the kernel ended the scheduler: {words}"),
                "`dmesg` has the kernel's report; start edict again when its cause is gone",
            ),
        };
        Diagnostic::new(code, message).help(help)
    }
}

/// Who was not run in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stalled<'a> {
    /// The name of the task.
    pub comm: &'a str,
    /// Its thread id.
    pub pid: u32,
    /// How long it waited, in seconds.
    pub waited: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_count_only_where_the_kernel_gives_them() {
        let both = (HOTPLUG | RESTART).cast_signed();
        let hotplug = Ejection::new(66, both);
        assert!(hotplug.hotplug && hotplug.restart);
        let error = Ejection::new(1024, both);
        assert!(!error.hotplug && !error.restart);
        assert_eq!(Ejection::new(99, 0).kind, ExitKind::Unknown);
    }

    #[test]
    fn names_of_tasks_cannot_hide_what_is_said_about_them() {
        let stall = |message: &str| Ejection {
            message: message.to_owned(),
            ..Ejection::new(1026, 0)
        };
        let odd = stall("a[1] failed to run for 9s[42] failed to run for 30.123s");
        let stalled = odd.stalled().unwrap();
        assert_eq!((stalled.pid, stalled.waited), (42, "30.123"));
        assert_eq!(stalled.comm, "a[1] failed to run for 9s");
        for none in [
            "",
            "watchdog failed to check in for 40.000s",
            "x[y] failed to run for 1s",
        ] {
            assert_eq!(stall(none).stalled(), None, "{none}");
        }
        let other = Ejection {
            message: "x[1] failed to run for 1.000s".into(),
            ..Ejection::new(1024, 0)
        };
        assert_eq!(other.stalled(), None);
    }
}
