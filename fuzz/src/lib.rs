//! What the fuzz targets share: choices made by the bytes of the fuzzer, and what
//! holds of every outcome.
//!
//! The two targets that run the classifier take the differential test's own view
//! of a task and a bank, and its generator, from `tests/support`.

pub mod rng;

use edict::diag::{Diagnostic, Files, Format, RenderOptions, render};

/// Every diagnostic points into its file, and can be written in every format.
pub fn consistent(diagnostics: &[Diagnostic], files: &dyn Files) {
    for diagnostic in diagnostics {
        assert!(!diagnostic.message.is_empty());
        for label in &diagnostic.labels {
            let text = files.text(label.span.file);
            let (start, end) = (label.span.start as usize, label.span.end as usize);
            assert!(start <= end && end <= text.len(), "{diagnostic:?}");
            assert!(text.is_char_boundary(start) && text.is_char_boundary(end));
        }
    }
    for format in [Format::Human, Format::Plain, Format::Json] {
        render(diagnostics, files, format, RenderOptions::default());
    }
}

/// One text as the only file.
pub struct One<'a>(pub &'a str);

impl Files for One<'_> {
    fn name(&self, _: edict::diag::FileId) -> &str {
        "fuzz"
    }
    fn text(&self, _: edict::diag::FileId) -> &str {
        self.0
    }
}
