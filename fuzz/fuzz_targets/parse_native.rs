//! Any text is parsed or refused with places that are in it.
#![no_main]

use edict::diag::FileId;
use edict::syntax::parse;
use edict_fuzz::{One, consistent};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let parsed = parse(FileId(0), text);
    assert!(parsed.ast.is_some() || !parsed.diagnostics.is_empty());
    consistent(&parsed.diagnostics, &One(text));
});
