//! `path:line:col: error[E0203]: message`, then what else is known, indented.

use std::fmt::Write as _;

use super::json::{self, Located};
use super::{Diagnostic, Files, visible};

pub(super) fn render(diagnostics: &[Diagnostic], files: &dyn Files) -> String {
    let mut out = String::new();
    for diagnostic in json::describe(diagnostics, files) {
        let (severity, code) = (&diagnostic.severity, &diagnostic.code);
        if let Some(first) = diagnostic.labels.first() {
            let _ = write!(out, "{}: ", place(first));
        }
        let _ = writeln!(out, "{severity}[{code}]: {}", diagnostic.message);
        for (index, label) in diagnostic.labels.iter().enumerate() {
            if index > 0 {
                let _ = writeln!(out, "  label: {}: {}", place(label), label.text);
            } else if !label.text.is_empty() {
                let _ = writeln!(out, "  label: {}", label.text);
            }
        }
        if let Some(help) = &diagnostic.help {
            let _ = writeln!(out, "  help: {}", help.replace('\n', "\n        "));
        }
    }
    out
}

fn place(label: &Located) -> String {
    format!("{}:{}:{}", visible(&label.file), label.line, label.column)
}
