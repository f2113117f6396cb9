//! Any text is parsed as YAML or refused with places that are in it; what parses
//! can be written in the block form and is the same there.
#![no_main]

use edict::diag::FileId;
use edict::syntax::print::print;
use edict::syntax::{Form, parse, parse_as};
use edict_fuzz::{One, consistent};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let parsed = parse_as(Form::Yaml, FileId(0), text);
    assert!(parsed.ast.is_some() || !parsed.diagnostics.is_empty());
    consistent(&parsed.diagnostics, &One(text));
    let Some(ast) = parsed.ast else { return };
    if parsed.diagnostics.iter().any(|d| d.is_error()) {
        return;
    }
    let printed = print(&ast);
    assert_eq!(parse(FileId(0), &printed).ast, Some(ast), "{printed}");
});
