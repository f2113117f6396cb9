//! What parses says the same when it is printed, when it is laid out, and when it
//! goes through YAML and back, comments and all; and what is laid out stays as it
//! is.
#![no_main]

use edict::diag::FileId;
use edict::syntax::fmt::fmt;
use edict::syntax::print::print;
use edict::syntax::{Ast, Form, parse, parse_as, yaml};
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
    assert_eq!(parse(FileId(0), &neat).ast.as_ref(), Some(&ast), "{neat}");
    let twice = fmt(FileId(0), &neat).unwrap_or_else(|found| panic!("{found:?}"));
    assert_eq!(twice, neat);
    through_yaml(&ast, text);
});

/// What has one key stands together in YAML; nothing else changes.
fn through_yaml(ast: &Ast, text: &str) {
    let comments = yaml::comments(Form::Native, text);
    // What is no policy has no YAML form.
    let Ok(printed) = yaml::print(ast, &comments) else {
        return;
    };
    let grouped = yaml::grouped(ast);
    let Some(read) = parse_as(Form::Yaml, FileId(0), &printed).ast else {
        panic!("not read back:\n{printed}");
    };
    assert_eq!(read, grouped, "{printed}");
    let kept = yaml::comments(Form::Yaml, &printed);
    assert_eq!(kept.len(), comments.len(), "{printed}");
    let back = yaml::print_native(&read, &kept);
    assert_eq!(parse(FileId(0), &back).ast, Some(grouped), "{back}");
    let kept = yaml::comments(Form::Native, &back);
    assert_eq!(kept.len(), comments.len(), "{back}");
}
