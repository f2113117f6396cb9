//! Two kilobytes from a hostile author: parsed, laid out or refused at once.
//!
//! The bound is that of an optimised build, a tenth of a second; without
//! optimisation, and on a machine that is busy, it is ten times that.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

#[path = "support/hostile.rs"]
mod hostile;

use std::time::{Duration, Instant};

use edict::diag::FileId;
use edict::syntax::fmt::fmt;
use edict::syntax::{Form, Parsed, parse, parse_as};

const BOUND: Duration = Duration::from_millis(if cfg!(debug_assertions) { 1_000 } else { 100 });
const SIZE: usize = 2 << 10;

/// The best of three: what else runs here is not the parser's fault.
fn quick<T>(name: &str, what: &str, run: impl Fn() -> T) -> T {
    let mut best = Duration::MAX;
    let mut outcome = None;
    for _ in 0..3 {
        let start = Instant::now();
        outcome = Some(run());
        best = best.min(start.elapsed());
    }
    assert!(best < BOUND, "{what} of {name} took {best:?}");
    outcome.unwrap()
}

fn answered(name: &str, text: &str, parsed: &Parsed) {
    assert!(
        parsed.ast.is_some() || !parsed.diagnostics.is_empty(),
        "{name}"
    );
    assert!(parsed.diagnostics.len() <= 80, "{name}");
    for label in parsed.diagnostics.iter().flat_map(|found| &found.labels) {
        let (start, end) = (label.span.start as usize, label.span.end as usize);
        assert!(start <= end && end <= text.len(), "{name}");
    }
}

#[test]
fn hostile_texts_are_answered_at_once() {
    let run = || {
        let texts = hostile::hostile(SIZE);
        assert!(texts.len() >= 50);
        for (name, text) in texts {
            let parsed = quick(name, "parsing", || parse(FileId(0), &text));
            answered(name, &text, &parsed);
            let parsed = quick(name, "parsing as YAML", || {
                parse_as(Form::Yaml, FileId(0), &text)
            });
            answered(name, &text, &parsed);
            // E0113 would be the layout's own mistake.
            if let Err(found) = quick(name, "laying out", || fmt(FileId(0), &text)) {
                let own = found.iter().find(|d| d.code.as_str() == "E0113");
                assert_eq!(own, None, "{name}");
            }
        }
    };
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(run);
    thread.unwrap().join().unwrap();
}
