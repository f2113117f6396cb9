//! Diagnostics for programs. The shape is a contract: fields are added, never
//! renamed or removed.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{Diagnostic, FileId, Files, Lines};

/// One diagnostic, its labels located.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Described {
    /// The code, as `E0203`.
    pub code: String,
    /// `error`, `warning` or `note`.
    pub severity: String,
    /// One sentence.
    pub message: String,
    /// What to do, or null.
    pub help: Option<String>,
    /// The places; the first is the place to go to.
    pub labels: Vec<Located>,
}

/// One label, located.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Located {
    /// Name of the file.
    pub file: String,
    /// Line of the first byte, from 1.
    pub line: u32,
    /// Column of the first byte, from 1, in characters.
    pub column: u32,
    /// Offset of the first byte.
    pub start: u32,
    /// Offset behind the last byte.
    pub end: u32,
    /// What is said about the place.
    pub text: String,
}

/// Locates the labels of diagnostics.
pub fn describe(diagnostics: &[Diagnostic], files: &dyn Files) -> Vec<Described> {
    let mut lines: HashMap<FileId, Lines<'_>> = HashMap::new();
    diagnostics
        .iter()
        .map(|diagnostic| Described {
            code: diagnostic.code.as_str().to_owned(),
            severity: diagnostic.severity.to_string(),
            message: diagnostic.message.clone(),
            help: diagnostic.help.clone(),
            labels: diagnostic
                .labels
                .iter()
                .map(|label| {
                    let file = label.span.file;
                    let position = lines
                        .entry(file)
                        .or_insert_with(|| Lines::new(files.text(file)))
                        .position(label.span.start as usize);
                    Located {
                        file: files.name(file).to_owned(),
                        line: position.line,
                        column: position.column,
                        start: label.span.start,
                        end: label.span.end,
                        text: label.text.clone(),
                    }
                })
                .collect(),
        })
        .collect()
}

pub(super) fn render(diagnostics: &[Diagnostic], files: &dyn Files) -> String {
    // Strings and numbers only: serialising them cannot fail.
    let mut out = serde_json::to_string_pretty(&describe(diagnostics, files)).unwrap_or_default();
    out.push('\n');
    out
}
