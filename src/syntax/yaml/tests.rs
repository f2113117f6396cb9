use super::node::Style;
use super::scalar::Places;
use super::*;
use crate::syntax::{Form, parse_as};

/// Where each character of a value stands: the raw text of its place.
fn raw(text: &str, from: usize, value: &str, style: Style) -> Vec<(char, String)> {
    let file = FileId(0);
    let span = Span::new(file, from, text.trim_end().len());
    let places = Places::new(value, style, span, text);
    value
        .char_indices()
        .map(|(at, c)| {
            let place = places.of(Span::new(file, at, at + c.len_utf8()));
            (c, place.of(text).to_owned())
        })
        .collect()
}

/// Every character that is written as itself is found where it is written.
fn all_found(text: &str, from: usize, value: &str, style: Style, different: &[(char, &str)]) {
    for (c, found) in raw(text, from, value, style) {
        let special = different.iter().find(|(of, _)| *of == c);
        let expected = special.map_or_else(|| c.to_string(), |(_, raw)| (*raw).to_owned());
        assert_eq!(found, expected, "{c:?} of {value:?} in {text:?}");
    }
}

#[test]
fn each_character_has_its_place() {
    all_found("a: xyz é\n", 3, "xyz é", Style::Plain, &[]);
    all_found("a: x\n   y\n", 3, "x y", Style::Plain, &[(' ', "\n   ")]);
    all_found(
        "a: x  \r\n   y\r\n",
        3,
        "x y",
        Style::Plain,
        &[(' ', "  \r\n   ")],
    );
    all_found("a: 'it''s'\n", 3, "it's", Style::Single, &[('\'', "''")]);
    all_found(
        "a: \"x\\ty\\u00e9\\\"\"\n",
        3,
        "x\tyé\"",
        Style::Double,
        &[('\t', "\\t"), ('é', "\\u00e9"), ('"', "\\\"")],
    );
    all_found("a: \"x\\\n  y\"\n", 3, "xy", Style::Double, &[]);
    let literal = raw("a: |\n  x\n   y\n", 7, "x\n y\n", Style::Literal);
    let letters: String = literal
        .iter()
        .filter(|(c, raw)| raw == &c.to_string())
        .map(|(c, _)| *c)
        .collect();
    assert_eq!(letters, "x y");
}

#[test]
fn the_place_of_a_value_that_is_not_understood_is_the_whole() {
    let text = "a: 'x y'\n";
    let found = raw(text, 3, "something else", Style::Single);
    assert!(found.iter().all(|(_, raw)| raw == "'x y'"));
}

#[test]
fn the_form_is_told_by_the_name() {
    assert_eq!(Form::of("a/policy.yaml", ""), Form::Yaml);
    assert_eq!(Form::of("policy.yml", ""), Form::Yaml);
    assert_eq!(Form::of("policy.edict", "language: 1\n"), Form::Native);
    assert_eq!(Form::of("a.yaml/policy", "language: 1\n"), Form::Native);
    assert_eq!(Form::of("<stdin>", "# x\n\nlanguage: 1\n"), Form::Yaml);
    assert_eq!(Form::of("<stdin>", "---\nlanguage: 1\n"), Form::Yaml);
    assert_eq!(Form::of("<stdin>", "language 1\n"), Form::Native);
    assert_eq!(Form::of("<stdin>", "tier:a"), Form::Native);
}

#[test]
fn lines_may_end_as_on_other_systems() {
    let text = "\u{FEFF}language: 1\nrules:\n  - when: >-\n      nice > 5\n      and kthread\n    tier: a # x\n  - otherwise: b\n";
    let unix = parse_as(Form::Yaml, FileId(0), text);
    let other = parse_as(Form::Yaml, FileId(0), &text.replace('\n', "\r\n"));
    assert_eq!(unix.diagnostics, []);
    assert_eq!(other.diagnostics, []);
    assert_eq!(unix.ast, other.ast);
    assert!(unix.ast.is_some_and(|ast| ast.statements.len() == 2));
}

#[test]
fn what_is_left_out_is_an_empty_block() {
    let parsed = parse_as(
        Form::Yaml,
        FileId(0),
        "tier:\n  a:\n  b: {}\nlottery:\nrules: []\n",
    );
    assert_eq!(parsed.diagnostics, []);
    let native = "tier a { }\ntier b { }\nlottery { }\nrules { }\n";
    assert_eq!(parsed.ast, super::super::parse(FileId(0), native).ast);
}

#[test]
fn no_character_of_a_text_is_written_as_yaml_does_not_take_it() {
    for c in [
        '\u{7}', '\u{85}', '\u{2028}', '\u{FEFF}', '\u{FFFE}', '\u{FFFF}', '\u{202E}',
    ] {
        let number = u32::from(c);
        let text = format!("language 1\nset s = {{ \"a\\u{{{number:x}}}b\" }}\n");
        let ast = crate::syntax::parse(FileId(0), &text).ast.unwrap();
        let yaml = super::print(&ast, &[]).unwrap();
        let back = parse_as(Form::Yaml, FileId(0), &yaml);
        assert_eq!(back.diagnostics, [], "{yaml}");
        assert_eq!(back.ast.as_ref(), Some(&ast), "{yaml}");
        let native = crate::syntax::print::print(&ast);
        let back = crate::syntax::parse(FileId(0), &native);
        assert_eq!(back.ast, Some(ast), "{native}");
    }
}

#[test]
fn an_empty_set_is_one_whatever_is_said_in_it() {
    // Found by fuzzing: the set had lost its brackets to the comment.
    let text = "language 1\nset empty = {\n  # nothing\n}\nconst # odd\n  c = 5\n";
    let ast = crate::syntax::parse(FileId(0), text).ast.unwrap();
    let comments = super::comments(Form::Native, text);
    let yaml = super::print(&ast, &comments).unwrap();
    let back = parse_as(Form::Yaml, FileId(0), &yaml);
    assert_eq!(back.diagnostics, [], "{yaml}");
    assert_eq!(back.ast, Some(super::grouped(&ast)), "{yaml}");
    assert_eq!(super::comments(Form::Yaml, &yaml).len(), comments.len());
}

#[test]
fn what_hides_text_is_refused_in_comments_too() {
    for c in ['\r', '\u{1B}', '\u{85}', '\u{2028}'] {
        let text = format!("language: 1\n# a{c}b\npolicy: {{name: p}}\n");
        let parsed = parse_as(Form::Yaml, FileId(0), &text);
        assert!(parsed.ast.is_none(), "{c:?}");
        assert_eq!(parsed.diagnostics[0].code, Code::E0101, "{c:?}");
    }
    let text = "language: 1\r\n# a\tb\r\npolicy: {name: p}\r\n";
    assert_eq!(parse_as(Form::Yaml, FileId(0), text).diagnostics, []);
}
