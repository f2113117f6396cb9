//! Which line something stands on, in any file of the policy.

use std::collections::BTreeMap;

use crate::diag::{FileId, Files, Lines, Span};

/// The lines of files, found once for each.
pub(super) struct LineNumbers<'a> {
    files: &'a dyn Files,
    known: BTreeMap<FileId, Lines<'a>>,
}

impl<'a> LineNumbers<'a> {
    pub(super) fn new(files: &'a dyn Files) -> Self {
        Self {
            files,
            known: BTreeMap::new(),
        }
    }

    /// The line that a place begins on, counted from 1 in its file.
    pub(super) fn of(&mut self, span: Span) -> u32 {
        let files = self.files;
        let lines = self
            .known
            .entry(span.file)
            .or_insert_with(|| Lines::new(files.text(span.file)));
        lines.position(span.start as usize).line
    }
}
