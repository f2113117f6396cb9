//! What every verb that takes a policy begins with.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::{Exit, Terminal, complain};
use crate::check::{self, Checked, Policy};
use crate::diag::{Code, Diagnostic, Severity, Span, visible};
use crate::image::{self, Image};
use crate::plan::{self, Plan};
use crate::source::{LARGEST_POLICY, SourceSet};

/// How messages call standard input.
pub(super) const STDIN: &str = "<stdin>";

/// What came of looking at a policy.
pub(super) struct Examined {
    /// What is wrong.
    pub(super) diagnostics: Vec<Diagnostic>,
    /// What was read, as far as it was read.
    pub(super) files: SourceSet,
    /// What it compiles to; none when a diagnostic is an error.
    pub(super) built: Option<Built>,
}

/// A policy, and what it compiles to.
pub(super) struct Built {
    pub(super) policy: Policy,
    pub(super) plan: Plan,
    pub(super) image: Image,
}

/// Whether a path stands for standard input.
pub(super) fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// Whether a path to write to stands for standard output.
pub(super) fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}

/// Check and compile the policy at `path`, for the limits of a bank are part of
/// being valid; `-` is standard input, which may include nothing.
pub(super) fn examine(path: &Path) -> Examined {
    let checked = if is_stdin(path) {
        match read_stdin() {
            Ok(text) => check::check_text(STDIN, &text),
            Err((diagnostic, files)) => {
                return Examined {
                    diagnostics: vec![*diagnostic],
                    files,
                    built: None,
                };
            }
        }
    } else {
        check::check_path(path)
    };
    let Checked {
        files,
        mut diagnostics,
        policy,
        ..
    } = checked;
    // Only `check` tells what could not be put in force; the others ask what the
    // policy says.
    diagnostics
        .retain(|d| d.severity != Severity::Note || !matches!(d.code, Code::E0506 | Code::E0507));
    let built = policy.and_then(|policy| match compile(&policy) {
        Ok((plan, image)) => Some(Built {
            policy,
            plan,
            image,
        }),
        Err(limits) => {
            diagnostics.extend(limits);
            None
        }
    });
    Examined {
        diagnostics,
        files,
        built,
    }
}

/// Check and compile several policies, in their order.
pub(super) fn examine_all(paths: &[PathBuf]) -> Vec<Examined> {
    paths.iter().map(|path| examine(path)).collect()
}

/// Refuse to read standard input twice, or, where policies are read again and
/// again, at all.
pub(super) fn readable(paths: &[PathBuf], watch: bool, terminal: &Terminal) -> Result<(), Exit> {
    let inputs = paths.iter().filter(|path| is_stdin(path)).count();
    if watch && inputs > 0 {
        return Err(super::fail(
            terminal,
            "--watch needs files: it looks at them again whenever they change",
            Some("save the policy, and name the file or its directory"),
        ));
    }
    if inputs > 1 {
        return Err(super::fail(
            terminal,
            "`-` is given twice, but there is one standard input",
            None,
        ));
    }
    Ok(())
}

/// The text on standard input, judged as the text of a file is.
pub(super) fn read_stdin() -> Result<String, (Box<Diagnostic>, SourceSet)> {
    let refused = |diagnostic, files| Err((Box::new(diagnostic), files));
    let mut bytes = Vec::new();
    let mut input = std::io::stdin().lock().take(LARGEST_POLICY + 1);
    if let Err(error) = input.read_to_end(&mut bytes) {
        let message = format!("cannot read `{STDIN}`: {error}");
        return refused(Diagnostic::new(Code::E0013, message), SourceSet::default());
    }
    if bytes.len() as u64 > LARGEST_POLICY {
        let most = LARGEST_POLICY >> 10;
        let message = format!("`{STDIN}` is longer than {most} KiB; at most {most} KiB are read");
        let diagnostic = Diagnostic::new(Code::E0006, message)
            .help("put the policy into a file, and long sets into one that it includes");
        return refused(diagnostic, SourceSet::default());
    }
    let error = match String::from_utf8(bytes) {
        Ok(text) => return Ok(text),
        Err(error) => error,
    };
    let at = error.utf8_error().valid_up_to();
    let text = String::from_utf8_lossy(error.as_bytes());
    let files = SourceSet::in_memory(&[(STDIN, &text)], &mut |_, _, _| Vec::new())
        .unwrap_or_else(|failure| failure.files);
    // The replacement character is three bytes long.
    let span = Span::new(files.root(), at, at + 3);
    let diagnostic = Diagnostic::new(Code::E0007, format!("`{STDIN}` is not UTF-8 text"))
        .label(span, format!("the byte at offset {at} is not UTF-8"))
        .help("write the policy as UTF-8");
    refused(diagnostic, files)
}

/// A valid policy, or the complaints about it. Warnings are said in passing.
pub(super) fn valid(path: &Path, terminal: &Terminal) -> Result<(Built, SourceSet), Exit> {
    let Examined {
        diagnostics,
        files,
        built,
    } = examine(path);
    match built {
        Some(built) => {
            warn(terminal, &diagnostics, &files);
            Ok((built, files))
        }
        None => Err(complain(terminal, &diagnostics, &files, Exit::Invalid)),
    }
}

/// Complain to people; for programs the complaints are in the document.
pub(super) fn say(terminal: &Terminal, diagnostics: &[Diagnostic], files: &SourceSet) {
    if terminal.format() != super::Format::Json {
        complain(terminal, diagnostics, files, Exit::Done);
    }
}

/// Say warnings and notes to people, without making a failure of them.
pub(super) fn warn(terminal: &Terminal, diagnostics: &[Diagnostic], files: &SourceSet) {
    let mild: Vec<_> = diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.severity != Severity::Error)
        .cloned()
        .collect();
    if !mild.is_empty() {
        say(terminal, &mild, files);
    }
}

/// Lower and emit.
fn compile(policy: &Policy) -> Result<(Plan, Image), Vec<Diagnostic>> {
    let plan = plan::lower(policy)?;
    let image = image::emit(&plan)?;
    Ok((plan, image))
}

/// `desktop 1.0`, fit to print
pub(super) fn title(policy: &Policy) -> String {
    match policy.version() {
        Some(version) => format!("{} {}", policy.name(), visible(version)),
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
