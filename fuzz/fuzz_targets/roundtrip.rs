//! What parses says the same when it is printed, and when it is laid out; and what
//! is laid out stays as it is.
#![no_main]

use edict::diag::FileId;
use edict::syntax::fmt::fmt;
use edict::syntax::parse;
use edict::syntax::print::print;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let parsed = parse(FileId(0), text);
    let Some(ast) = parsed.ast else { return };
    if parsed.diagnostics.iter().any(|d| d.is_error()) {
        return;
    }
    let printed = print(&ast);
    let again = parse(FileId(0), &printed);
    assert_eq!(again.ast.as_ref(), Some(&ast), "{printed}");
    let neat = fmt(FileId(0), text).unwrap_or_else(|found| panic!("{found:?}"));
    assert_eq!(parse(FileId(0), &neat).ast, Some(ast), "{neat}");
    let twice = fmt(FileId(0), &neat).unwrap_or_else(|found| panic!("{found:?}"));
    assert_eq!(twice, neat);
});
