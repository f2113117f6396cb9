use super::*;

/// The net below the layout: what it must not let through.
#[test]
fn a_changed_policy_or_comment_is_refused() {
    let text = "# one\ntier a { tickets = 1 } # two\n";
    let ast = parse(FileId(0), text).ast.expect("a tree");
    let verdict = |out: &str| verify(FileId(0), text, &ast, out).map_err(|found| found.message);
    assert_eq!(verdict("# one\n\ntier a {\n  tickets = 1 # two\n}"), Ok(()));
    let changed = |what: &str| {
        Err(format!(
            "formatting would change {what}; nothing was written"
        ))
    };
    for out in [
        "# one\ntier a { tickets = 2 } # two\n",
        "# one\ntier a { } # two\n",
        "# one\ntier a { tickets = 1 # two\n",
        "# one\ntier a { tickets = 1 }\ntier b { } # two\n",
        "",
    ] {
        assert_eq!(verdict(out), changed("the policy"), "{out}");
    }
    for out in [
        "# one\ntier a { tickets = 1 }\n",
        "# two\ntier a { tickets = 1 } # one\n",
        "# one \ntier a { tickets = 1 } # two # three\n",
        "# one\n#\ntier a { tickets = 1 } # two\n",
    ] {
        assert_eq!(verdict(out), changed("the comments"), "{out}");
    }
}

/// It cannot be made to happen from outside, or it would be mended.
#[test]
fn the_refusal_is_said_in_every_format() {
    use crate::diag::{Format, RenderOptions, render};
    let text = "tier a { }\n";
    let ast = parse(FileId(0), text).ast.expect("a tree");
    let refusal = [*verify(FileId(0), text, &ast, "").expect_err("it is lost")];
    let says = |format| render(&refusal, &(), format, RenderOptions::default());
    assert_eq!(
        says(Format::Human),
        "  × formatting would change the policy; nothing was written              E0113\n\
        \x20 help: this is a mistake in edict; please report it with the policy\n"
    );
    assert_eq!(
        says(Format::Plain),
        "error[E0113]: formatting would change the policy; nothing was written\n\
        \x20 help: this is a mistake in edict; please report it with the policy\n"
    );
    let json: serde_json::Value = serde_json::from_str(&says(Format::Json)).expect("JSON");
    assert_eq!(
        json,
        serde_json::json!([{
            "code": "E0113",
            "severity": "error",
            "message": "formatting would change the policy; nothing was written",
            "help": "this is a mistake in edict; please report it with the policy",
            "labels": [],
        }])
    );
}
