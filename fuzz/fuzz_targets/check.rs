//! Any text is refused or becomes a policy, which can be evaluated and compiled.
#![no_main]

use edict::check::check_text;
use edict::diag::Diagnostic;
use edict::eval::{self, Task};
use edict::{image, plan};
use edict_fuzz::consistent;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let checked = check_text("fuzz", text);
    consistent(&checked.diagnostics, &checked.files);
    let refused = checked.diagnostics.iter().any(Diagnostic::is_error);
    assert_eq!(checked.policy.is_none(), refused);
    let Some(policy) = checked.policy else { return };
    eval::evaluate(&policy, &Task::default());
    match plan::lower(&policy).map(|plan| image::emit(&plan)) {
        Ok(Ok(_)) => {}
        Ok(Err(found)) | Err(found) => consistent(&found, &checked.files),
    }
});
