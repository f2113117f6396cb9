//! What every verb that takes a policy begins with.

use std::io::Read;
use std::path::Path;

use super::{Exit, Terminal, complain};
use crate::check::{self, Checked, Policy};
use crate::diag::Severity;
use crate::image::{self, Image};
use crate::plan::{self, Plan};
use crate::source::SourceSet;

/// The most that is read from standard input.
const STDIN_BYTES_MAX: u64 = 256 << 10;

/// Check the policy at `path`; `-` is standard input, which may include
/// nothing.
pub(super) fn check(path: &Path) -> std::io::Result<Checked> {
    if path != Path::new("-") {
        return Ok(check::check_path(path));
    }
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(STDIN_BYTES_MAX + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > STDIN_BYTES_MAX {
        return Err(std::io::Error::other(format!(
            "more than {} KiB on standard input",
            STDIN_BYTES_MAX >> 10
        )));
    }
    Ok(check::check_text("<stdin>", &text))
}

/// A valid policy, or the complaints about it. Warnings are said in passing.
pub(super) fn valid(path: &Path, terminal: &Terminal) -> Result<(Policy, SourceSet), Exit> {
    let checked = match check(path) {
        Ok(checked) => checked,
        Err(error) => return Err(super::fail(terminal, &error.to_string(), None)),
    };
    match checked.policy {
        Some(policy) => {
            if terminal.format() != super::Format::Json {
                warn(terminal, &checked.diagnostics, &checked.files);
            }
            Ok((policy, checked.files))
        }
        None => Err(complain(
            terminal,
            &checked.diagnostics,
            &checked.files,
            Exit::Invalid,
        )),
    }
}

/// Say warnings and notes, without making a failure of them.
pub(super) fn warn(
    terminal: &Terminal,
    diagnostics: &[crate::diag::Diagnostic],
    files: &SourceSet,
) {
    let mild: Vec<_> = diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.severity != Severity::Error)
        .cloned()
        .collect();
    if !mild.is_empty() {
        complain(terminal, &mild, files, Exit::Done);
    }
}

/// Lower and emit; the limits of a bank are part of being valid.
pub(super) fn compile(policy: &Policy) -> Result<(Plan, Image), Vec<crate::diag::Diagnostic>> {
    let plan = plan::lower(policy)?;
    let image = image::emit(&plan)?;
    Ok((plan, image))
}

/// `desktop 1.0`
pub(super) fn title(policy: &Policy) -> String {
    match policy.version() {
        Some(version) => format!("{} {version}", policy.name()),
        None => policy.name().to_owned(),
    }
}

/// `1 rule`, `2 rules`
pub(super) fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        number => format!("{number} {what}s"),
    }
}
