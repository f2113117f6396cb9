//! The names of blocks, and what is said of blocks that are not there.

use super::schema::{self, Titled};
use super::scope::proper;
use super::sink::{Sink, meant};
use crate::diag::{Code, Diagnostic, Span, shown};
use crate::syntax::ast::{Block, Definition, Name, Statement, Title};
use crate::syntax::print::print_text;

/// The name of a block, which has one or none as its kind demands. Complains
/// when it has not.
pub(super) fn title<'a>(block: &'a Block, sink: &mut Sink) -> Option<&'a Name> {
    let word = &block.word.text;
    let kind = schema::block(word)?;
    let wrong = |message: String, label: &str, help: String| {
        Diagnostic::new(Code::E0222, message)
            .label(block.head(), label)
            .help(help)
    };
    let problem = match (kind.titled, block.titles.as_slice()) {
        (Titled::None | Titled::MaybeName, []) => return None,
        (Titled::Name | Titled::MaybeName, [Title::Name(name)]) => {
            return proper(name, sink).then_some(name);
        }
        (Titled::Text, _) => return None,
        (Titled::None, _) => wrong(
            format!("`{word}` has no name"),
            "a name that is not needed",
            format!("write `{word} {{ … }}`"),
        ),
        (_, [Title::Text(text, _)]) => wrong(
            format!("the name of the {word} is a text"),
            "expected a name",
            format!("write `{word} {} {{ … }}`", shown(&name_of(text))),
        ),
        (_, []) => wrong(
            format!("a `{word}` without a name"),
            "expected a name",
            format!("write `{word} NAME {{ … }}`"),
        ),
        (_, titles) => {
            let words: Vec<&str> = titles.iter().map(Title::text).collect();
            wrong(
                format!("a `{word}` with two names"),
                "expected one name",
                format!("write `{word} {} {{ … }}`", shown(&words.join("-"))),
            )
        }
    };
    sink.push(problem);
    None
}

/// The text that a block is called by, which must have exactly one. Complains
/// when it has not.
pub(super) fn text_title<'a>(block: &'a Block, sink: &mut Sink) -> Option<(&'a str, Span)> {
    let word = &block.word.text;
    let (message, label, example) = match block.titles.as_slice() {
        [Title::Text(text, place)] if !text.trim().is_empty() => return Some((text, place.0)),
        [Title::Text(..)] => (
            format!("the {word} has an empty name"),
            "says nothing",
            "\"what it shows\"".to_owned(),
        ),
        [] => (
            format!("a `{word}` without a name"),
            "expected a text",
            "\"what it shows\"".to_owned(),
        ),
        titles => {
            let words: Vec<&str> = titles.iter().map(Title::text).collect();
            (
                format!("the name of a {word} is a text"),
                "expected a text",
                print_text(&words.join(" ")),
            )
        }
    };
    sink.push(
        Diagnostic::new(Code::E0222, message)
            .label(block.head(), label)
            .help(format!("write `{word} {} {{ … }}`", shown(&example))),
    );
    None
}

/// The tier that an `override` changes. Complains when it names none.
pub(super) fn overridden<'a>(block: &'a Block, sink: &mut Sink) -> Option<&'a Name> {
    let problem = match block.titles.as_slice() {
        [Title::Name(kind), Title::Name(name)] if kind.text == "tier" => {
            return proper(name, sink).then_some(name);
        }
        [Title::Name(kind), Title::Name(_)] => {
            let kind = shown(&kind.text).into_owned();
            Diagnostic::new(
                Code::E0234,
                format!("`override {kind}`: only tiers are overridden"),
            )
            .label(block.head(), "not a tier")
            .help("change the definition itself, or give yours another name")
        }
        titles => {
            let name = titles.first().map_or("NAME", Title::text);
            let name = if name == "tier" { "NAME" } else { name };
            Diagnostic::new(Code::E0234, "`override` does not say what it changes")
                .label(block.head(), "expected the kind and the name")
                .help(format!(
                    "write `override tier {} {{ … }}`",
                    shown(&name_of(name))
                ))
        }
    };
    sink.push(problem);
    None
}

/// A name made of the words of a text.
fn name_of(text: &str) -> String {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !part(c)).filter(|word| !word.is_empty());
    let name = words.collect::<Vec<_>>().join("-");
    if name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        name
    } else {
        "NAME".to_owned()
    }
}

/// The first word of a statement, to point at.
pub(super) fn first_word(statement: &Statement) -> Span {
    match statement {
        Statement::Block(block) => block.head(),
        Statement::Definition(definition) => first_place(definition),
        Statement::Field(field) => field.name.span(),
        Statement::Directive(directive) => directive.word.span(),
        other => other.span(),
    }
}

/// What to say about a block of a kind that is not there.
pub(super) fn unknown_block(block: &Block) -> Diagnostic {
    let word = block.word.text.as_str();
    let inner = match word {
        "task" => Some(("a test", "test \"…\" { task { … } expect TIER }")),
        "bounds" => Some(("`reward`", "reward { bounds { … } }")),
        _ => None,
    };
    if let Some((outer, example)) = inner {
        return Diagnostic::new(Code::E0219, format!("`{word}` outside of {outer}"))
            .label(block.word.span(), "not here")
            .help(format!("write `{example}`"));
    }
    let names = schema::BLOCKS.iter().map(|kind| kind.word);
    let names = names.chain(["override"]);
    let diagnostic = Diagnostic::new(Code::E0206, format!("unknown block `{}`", shown(word)))
        .label(block.word.span(), "no such block");
    let alias = match word {
        "class" | "layer" | "queue" => Some("tier"),
        "rule" | "match" | "classify" | "group" => Some("rules"),
        _ => None,
    };
    diagnostic.maybe_help(match alias {
        Some(alias) => Some(format!("did you mean `{alias}`?")),
        None => meant(word, names, "block"),
    })
}

/// What to say about `tier a = { … }`.
pub(super) fn block_as_value(kind: &schema::BlockKind, definition: &Definition) -> Diagnostic {
    let word = kind.word;
    let name = shown(&definition.name.text);
    let written = match kind.titled {
        Titled::None => format!("{word} {{ … }}"),
        Titled::Text => format!("{word} \"{name}\" {{ … }}"),
        Titled::Name | Titled::MaybeName => format!("{word} {name} {{ … }}"),
    };
    Diagnostic::new(
        Code::E0206,
        format!("`{word}` is a block, not a definition"),
    )
    .label(first_place(definition), "has no value")
    .help(format!("write `{written}`, without `=`"))
}

fn first_place(definition: &Definition) -> Span {
    definition.word.span().to(definition.name.span())
}
