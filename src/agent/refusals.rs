//! What the agent refuses, in words: each with its entry in the catalogue and a
//! cure. Why the kernel ends its work is said by [`crate::live::Ejection`].

use super::lock::LockError;
use crate::diag::{Code, Diagnostic};

/// Another agent runs, or the lock cannot be had; the latter has no entry.
pub fn locked(error: &LockError) -> Option<Diagnostic> {
    matches!(error, LockError::Held { .. }).then(|| {
        Diagnostic::new(Code::E0608, error.to_string())
            .help("`edict status` asks it, `edict stop` ends it")
    })
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
