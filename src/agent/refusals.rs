//! What the agent refuses, and how its work may end, in words: each with its entry
//! in the catalogue and a cure.

use super::lock::LockError;
use crate::diag::{Code, Diagnostic, visible};

/// Another agent runs, or the lock cannot be had; the latter has no entry.
pub fn locked(error: &LockError) -> Option<Diagnostic> {
    matches!(error, LockError::Held { .. }).then(|| {
        Diagnostic::new(Code::E0608, error.to_string())
            .help("`edict status` asks it, `edict stop` ends it")
    })
}

/// The kernel has ended the scheduler, for a reason in its words.
pub fn ejected(reason: &str) -> Diagnostic {
    let reason = visible(reason);
    Diagnostic::new(
        Code::E0607,
        format!("ejected by the kernel, whose own scheduler has taken over: {reason}"),
    )
    .help("`dmesg` has the kernel's report; if a task waited too long, give its tier a `max_wait`")
}

/// An edit changes fields that cannot change while the scheduler is attached.
pub fn needs_restart(fields: &[String]) -> Diagnostic {
    let fields = fields.join(", ");
    Diagnostic::new(
        Code::E0613,
        format!("the edit changes {fields}, which needs a restart"),
    )
    .help("take the change back; or start edict with `--allow-restart`, which detaches and attaches for it")
}
