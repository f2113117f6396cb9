//! What edict says when something is wrong.
//!
//! A [`Diagnostic`] is a code from the [catalogue](codes), one sentence, the
//! places in the text that it is about, and a cure. Every stage collects them;
//! nobody prints them but [`render`], in one of three formats: `human` draws
//! the text, `plain` is one line that editors and `grep` understand, `json` is
//! for programs.
//!
//! The wording has rules. Lower case, no final period. The user's own text
//! stands in backticks and goes through [`shown`], which shortens it and makes
//! control characters visible. The message says what is wrong, a label says
//! what is wrong *here*, the help says what to write instead.
//!
//! This module refuses to know anything about policies: it sees spans and text.

pub mod codes;
mod human;
pub mod json;
mod plain;
mod text;

use std::fmt;

pub use codes::Code;
pub use text::{Lines, Position, shown, visible, visible_lines};

/// One file of a policy; its position in the set of files that were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct FileId(pub u16);

/// A piece of one file, in byte offsets; `end` is exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// Offset of the first byte.
    pub start: u32,
    /// Offset behind the last byte.
    pub end: u32,
}

impl Span {
    /// The piece from `start` to `end` of `file`. Offsets beyond 4 GiB are held
    /// at the largest number; no file that large is ever read.
    pub fn new(file: FileId, start: usize, end: usize) -> Self {
        let clamp = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        Self {
            file,
            start: clamp(start),
            end: clamp(end),
        }
    }

    /// From the start of this to the end of `other`, which must not be in
    /// another file.
    pub fn to(self, other: Self) -> Self {
        debug_assert_eq!(self.file, other.file);
        Self {
            file: self.file,
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        }
    }

    /// The text of the span; empty when the span lies outside `text`.
    pub fn of(self, text: &str) -> &str {
        text.get(self.start as usize..self.end as usize)
            .unwrap_or("")
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The policy is not valid.
    Error,
    /// The policy is valid, but something in it is probably not meant.
    Warning,
    /// Worth knowing.
    Note,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

/// A place and what is to be said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// What is said; may be empty.
    pub text: String,
}

/// One thing that is wrong. The first label is the place to go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Its entry in the catalogue.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// One sentence.
    pub message: String,
    /// The places it is about; none when it is not about text.
    pub labels: Vec<Label>,
    /// What to do.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A diagnostic of the severity that `code` has in the catalogue.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: code.severity(),
            message: message.into(),
            labels: Vec::new(),
            help: None,
        }
    }

    /// Adds a place; the first one added is the place to go to.
    #[must_use]
    pub fn label(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label {
            span,
            text: text.into(),
        });
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says what to do, if something is known.
    #[must_use]
    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }

    /// Changes the severity.
    #[must_use]
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// Whether this makes the policy invalid.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// The texts that spans point into.
pub trait Files {
    /// The name to print; empty for a file that is not there.
    fn name(&self, file: FileId) -> &str;
    /// The text; empty for a file that is not there.
    fn text(&self, file: FileId) -> &str;
}

/// No files: for diagnostics without labels.
impl Files for () {
    fn name(&self, _: FileId) -> &str {
        ""
    }
    fn text(&self, _: FileId) -> &str {
        ""
    }
}

/// How diagnostics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Format {
    /// A picture of the text for people.
    #[default]
    Human,
    /// `path:line:col: error[E0203]: message` for editors.
    Plain,
    /// A JSON array for programs.
    Json,
}

/// Details of rendering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenderOptions {
    /// Whether to use ANSI colours (`human` only).
    pub color: bool,
    /// Columns to fill (`human` only).
    pub width: usize,
}

impl Default for RenderOptions {
    fn default() -> Self {
        Self {
            color: false,
            width: 80,
        }
    }
}

/// Writes diagnostics, each ended by a newline; nothing for none (`[]` in JSON).
pub fn render(
    diagnostics: &[Diagnostic],
    files: &dyn Files,
    format: Format,
    options: RenderOptions,
) -> String {
    match format {
        Format::Human => human::render(diagnostics, files, options),
        Format::Plain => plain::render(diagnostics, files),
        Format::Json => json::render(diagnostics, files),
    }
}
