use proptest::prelude::*;

use super::ast::*;
use super::print::print;
use super::*;
use crate::diag::Code;

fn parsed(text: &str) -> Ast {
    let parsed = parse(FileId(0), text);
    assert_eq!(parsed.diagnostics, [], "{text}");
    parsed.ast.expect("a tree")
}

fn codes(text: &str) -> Vec<Code> {
    let parsed = parse(FileId(0), text);
    parsed.diagnostics.iter().map(|d| d.code).collect()
}

/// The expression of a rule, printed with every operation in parentheses.
fn shape(condition: &str) -> String {
    let ast = parsed(&format!("rules {{ when {condition} -> a }}"));
    let Statement::Block(block) = &ast.statements[0] else {
        panic!("a block")
    };
    let Statement::Rule(rule) = &block.statements[0] else {
        panic!("a rule")
    };
    fn show(expr: &Expr) -> String {
        let all = |members: &[Expr], between: &str| {
            let members: Vec<_> = members.iter().map(show).collect();
            format!("({})", members.join(between))
        };
        match &expr.kind {
            Kind::Group(inner) => show(inner),
            Kind::Not(inner) => format!("(not {})", show(inner)),
            Kind::Negative(inner) => format!("(-{})", show(inner)),
            Kind::All(members) => all(members, " and "),
            Kind::Any(members) => all(members, " or "),
            Kind::Binary(op, _, a, b) => format!("({} {} {})", show(a), op.as_str(), show(b)),
            _ => print::print_expression(expr),
        }
    }
    show(rule.when.as_ref().expect("a condition"))
}

#[test]
fn operators_bind_as_the_table_says() {
    for (condition, expected) in [
        ("a == 1 + 2 * 3", "(a == (1 + (2 * 3)))"),
        ("a == 1 - 2 - 3", "(a == ((1 - 2) - 3))"),
        ("a and b and not c", "(a and b and (not c))"),
        ("(a and b) or c or d", "((a and b) or c or d)"),
        ("not not a", "(not (not a))"),
        (
            "a not in { 1 } and b in c",
            "((a not in { 1 }) and (b in c))",
        ),
        ("a < -1", "(a < (-1))"),
        ("a <-1", "(a < (-1))"),
        ("a starts   with \"x\"", "(a starts with \"x\")"),
        ("a not # of it\n # more\n in { 1 }", "(a not in { 1 })"),
        ("a starts# how\nwith \"x\"", "(a starts with \"x\")"),
        ("a ends # how\n with \"x\"", "(a ends with \"x\")"),
        ("a in 1..2", "(a in (1 .. 2))"),
        (
            "android or order or not-this",
            "(android or order or not-this)",
        ),
        ("m() > 80%", "(m() > 80%)"),
        ("not (a == 1)", "(not (a == 1))"),
    ] {
        assert_eq!(shape(condition), expected, "{condition}");
    }
}

#[test]
fn what_is_legal_but_misread_is_refused() {
    let refused = |condition: &str| codes(&format!("rules {{ when {condition} -> a }}"));
    assert_eq!(refused("a and b or c"), [Code::E0103]);
    assert_eq!(refused("a or b and c"), [Code::E0103]);
    assert_eq!(refused("a or (b and c)"), []);
    assert_eq!(refused("1 < a < 3"), [Code::E0104]);
    assert_eq!(refused("not a == 1"), [Code::E0110]);
    assert_eq!(refused("not a in { 1 } and b"), [Code::E0110]);
}

#[test]
fn a_comment_may_stand_between_any_two_words() {
    let text = "rules { use # which\n g } test \"t\" { expect # what\n a by # which\n x }";
    let plain: String = text.replace("# which", "").replace("# what", "");
    assert_eq!(parsed(text), parsed(&plain));
}

#[test]
fn a_word_of_the_language_is_not_taken_for_a_tier() {
    let refused = parse(FileId(0), "rules { when a not\n -> b }");
    assert_eq!(refused.diagnostics[0].help, None);
}

#[test]
fn a_tree_that_is_too_deep_is_no_tree() {
    for text in [
        format!("const a = {}1", "- ".repeat(80)),
        format!("rules {{ when {}a -> b }}", "not ".repeat(80)),
    ] {
        let parsed = parse(FileId(0), &text);
        let codes: Vec<Code> = parsed.diagnostics.iter().map(|d| d.code).collect();
        assert_eq!(codes, [Code::E0407]);
        assert!(parsed.ast.is_none());
        // Nothing is said of what stands in place of the tree.
        let checked = crate::check::check_text("<text>", &format!("language 1\n{text}"));
        let codes: Vec<Code> = checked.diagnostics.iter().map(|d| d.code).collect();
        assert_eq!(codes, [Code::E0407], "{text}");
    }
}

#[test]
fn the_fix_for_a_mixture_is_written_out() {
    let parsed = parse(
        FileId(0),
        "rules { when a or b\n  and c == \"x\" or d -> t }",
    );
    let help = parsed.diagnostics[0].help.as_deref().unwrap();
    assert!(help.contains("`a or (b and c == \"x\") or d`"), "{help}");
}

#[test]
fn spellings_of_other_languages_are_named() {
    for (text, code) in [
        ("rules { when a && b -> t }", Code::E0102),
        ("rules { when a || b -> t }", Code::E0102),
        ("rules { when !a -> t }", Code::E0102),
        ("rules { when a = 1 -> t }", Code::E0102),
        ("rules { when a === 1 -> t }", Code::E0102),
        ("rules { when a => t }", Code::E0102),
        ("rules { if a -> t }", Code::E0112),
        ("rules { x: else -> t }", Code::E0112),
        ("rules { when a == 'x' -> t }", Code::E0106),
        ("rules { when a under /x/y -> t }", Code::E0106),
        ("rules { when a == “x” -> t }", Code::E0106),
        ("include ../x.edict", Code::E0106),
        ("tier a { slice = 5 ms tickets = 4 }", Code::E0105),
        ("tier a { slice = 1.5ms }", Code::E0111),
        ("tier a { slice = 99999999999999999999ms }", Code::E0111),
        ("tier a { slice: 5ms }", Code::E0112),
        ("tier a { slice == 5ms }", Code::E0112),
        ("set a == { 1 }", Code::E0112),
        ("tier a { slice = 5ms, tickets = 4 }", Code::E0109),
        ("tier a { slice = 5ms; }", Code::E0109),
        ("// a comment\ntier a { }", Code::E0112),
        ("/* a\n comment */ tier a { }", Code::E0112),
        ("set a = { \"\\x41\" }", Code::E0108),
        ("set a = { \"\\u{0}\" }", Code::E0108),
    ] {
        assert_eq!(codes(text), [code], "{text}");
        // What was meant is clear, so that checking can go on.
        assert!(parse(FileId(0), text).ast.is_some(), "{text}");
    }
    // Fields, labels and names that merely look like them.
    parsed("tier a { slice = 5 s = 3 if = 1 else = 2 for = 3 by = 4 use = 5 }");
    parsed("rules { if: when a -> t else: when a -> t use: when a -> t by: otherwise -> for }");
}

#[test]
fn a_unit_on_the_next_line_is_a_word_of_its_own() {
    // Found by fuzzing: printed without its comment, it was taken for `1s`.
    let tree = parsed("language 1 # one\ns order = fifo\n");
    let printed = crate::syntax::print::print(&tree);
    assert_eq!(parsed(&printed), tree, "{printed}");
}

#[test]
fn errors_in_several_statements_are_found_in_one_run() {
    let text = "language 1\ntier a { slice 5ms = }\nset b = { \"x\" \"y\" }\ntier c { }\nrules { when -> a }\n";
    let parsed = parse(FileId(0), text);
    let lines: Vec<usize> = parsed
        .diagnostics
        .iter()
        .map(|d| {
            text[..d.labels[0].span.start as usize]
                .matches('\n')
                .count()
                + 1
        })
        .collect();
    assert_eq!(lines, [2, 3, 5]);
    assert!(parsed.ast.is_none());
}

#[test]
fn misspelt_words_of_the_grammar_are_recognised() {
    for (text, help) in [
        (
            "rules { when comm startswith \"x\" -> a }",
            "did you mean `starts with`?",
        ),
        ("rules { when comm is \"x\" -> a }", "did you mean `==`?"),
        ("rules { when a adn b -> a }", "did you mean `and`?"),
        (
            "rules { whne comm == \"x\" -> a }",
            "did you mean `when` by `whne`?",
        ),
        (
            "rules { x: wen comm == \"x\" -> a }",
            "did you mean `when` by `wen`?",
        ),
        ("rules { edge when a -> b }", "a label ends with `:`"),
        (
            "tier otherwise { }",
            "`otherwise` is a word of the language; choose another name",
        ),
        (
            "rules { otherwize -> a }",
            "did you mean `otherwise` by `otherwize`?",
        ),
    ] {
        let parsed = parse(FileId(0), text);
        assert_eq!(parsed.diagnostics.len(), 1, "{text}");
        assert_eq!(parsed.diagnostics[0].help.as_deref(), Some(help), "{text}");
    }
}

#[test]
fn texts_hold_any_character() {
    let ast = parsed(r#"set a = { "\"\\\n\t\u{e9}\u{1F600} # ' }" }"#);
    let Statement::Definition(definition) = &ast.statements[0] else {
        panic!("a definition")
    };
    let Kind::Set(members) = &definition.value.kind else {
        panic!("a set")
    };
    assert_eq!(members[0].kind, Kind::Text("\"\\\n\té😀 # ' }".to_owned()));
}

#[test]
fn places_are_those_of_the_words() {
    let text = "\u{FEFF}# é\nrules { x: when a in { 1, 2 }   -> t  }  ";
    let ast = parsed(text);
    let Statement::Block(block) = &ast.statements[0] else {
        panic!("a block")
    };
    let Statement::Rule(rule) = &block.statements[0] else {
        panic!("a rule")
    };
    assert_eq!(block.head().of(text), "rules");
    assert_eq!(rule.place.0.of(text), "x: when a in { 1, 2 }   -> t");
    assert_eq!(rule.when.as_ref().unwrap().span().of(text), "a in { 1, 2 }");
    assert_eq!(rule.target.span().of(text), "t");
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused_with_a_place(text in "(\\PC|[\n\"(){}\\[\\]=:#,/.-]|when |rules |tier |-> ){0,60}") {
        let parsed = parse(FileId(0), &text);
        prop_assert!(parsed.ast.is_some() || !parsed.diagnostics.is_empty());
        for diagnostic in &parsed.diagnostics {
            let span = diagnostic.labels[0].span;
            prop_assert!(span.start <= span.end && span.end as usize <= text.len());
        }
        if let Some(ast) = parsed.ast.filter(|_| parsed.diagnostics.is_empty()) {
            let printed = print(&ast);
            prop_assert_eq!(parse(FileId(0), &printed).ast, Some(ast), "{}", printed);
        }
    }
}
