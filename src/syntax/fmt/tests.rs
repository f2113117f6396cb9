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
