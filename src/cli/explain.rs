//! `edict explain`: a page about a code, or about a word of the language, offline.

use clap::Args;
use serde_json::json;

use super::terminal::{Align, table};
use super::{Exit, Format, Terminal, fail};
use crate::check::schema::{self, BLOCKS, BlockKind, Class, Engine, Field, FieldType, STATEMENTS};
use crate::check::{ATTRIBUTES, About, Attribute, Source, Type};
use crate::diag::{Code, codes, shown};
use crate::syntax::RESERVED;

/// Explain an error code, an attribute, a block, a field or a statement
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  edict explain E0203
  edict explain runtime_avg
  edict explain tier             a block, and its fields
  edict explain tier.tickets
  edict explain override
  edict explain                  lists all of them")]
pub(super) struct ExplainArgs {
    /// A code such as E0203, an attribute such as `comm`, a block such as `tier`, a field such as
    /// `tier.slice`, or a statement such as `include`; without it, all are listed
    #[arg(value_name = "TOPIC")]
    topic: Option<String>,
}

pub(super) fn run(args: &ExplainArgs, terminal: &Terminal) -> Exit {
    let Some(topic) = &args.topic else {
        return list(terminal);
    };
    if let Some(attribute) = Attribute::by_name(topic) {
        explain_attribute(terminal, attribute.about());
    } else if let Some(code) = Code::by_name(topic) {
        explain_code(terminal, code);
    } else if let Some(block) = schema::block(topic) {
        explain_block(terminal, block);
    } else if let Some(statement) = STATEMENTS.iter().find(|(word, ..)| word == topic) {
        explain_statement(terminal, statement);
    } else if let Some((block, field)) = field(topic) {
        explain_field(terminal, block, field);
    } else {
        return fail(
            terminal,
            &format!(
                "there is no code, attribute, block, field or statement `{}`",
                shown(topic)
            ),
            Some(&nearest(topic)),
        );
    }
    Exit::Done
}

/// Every field, with its block.
fn fields() -> impl Iterator<Item = (&'static BlockKind, &'static Field)> {
    const KINDS: &[BlockKind] = &BLOCKS;
    let of = |block: &'static BlockKind| block.fields.iter().map(move |field| (block, field));
    KINDS.iter().flat_map(of)
}

/// The field called `block.field`, or `field`.
fn field(topic: &str) -> Option<(&'static BlockKind, &'static Field)> {
    let is_meant = |block: &str, field: &str| match topic.split_once('.') {
        Some((first, second)) => first == block && second == field,
        None => topic == field,
    };
    fields().find(|(block, field)| is_meant(block.word, field.name))
}

fn explain_block(terminal: &Terminal, block: &BlockKind) {
    if terminal.format() == Format::Json {
        let fields: Vec<&str> = block.fields.iter().map(|field| field.name).collect();
        terminal.json(&json!({
            "block": block.word,
            "many": block.many,
            "included": block.included,
            "carried_out": block.engine != Engine::Missing,
            "fields": fields,
            "summary": block.summary,
            "example": block.example,
        }));
        return;
    }
    let mut text = format!("{}: {}\n\n", terminal.bold(block.word), block.summary);
    text.push_str(&format!("  example  {}\n", block.example));
    if block.engine == Engine::Missing {
        text.push_str("  note     checked, but not carried out by this version\n");
    }
    if !block.fields.is_empty() {
        let rows: Vec<Vec<String>> = block
            .fields
            .iter()
            .map(|field| {
                vec![
                    field.name.to_owned(),
                    field.default.unwrap_or("none").to_owned(),
                    field.summary.to_owned(),
                ]
            })
            .collect();
        let head = [
            ("field", Align::Left),
            ("default", Align::Left),
            ("is", Align::Left),
        ];
        text.push('\n');
        text.push_str(&table(&head, &rows));
    }
    terminal.print(&text);
}

fn explain_statement(terminal: &Terminal, (word, example, summary): &(&str, &str, &str)) {
    match terminal.format() {
        Format::Json => terminal.json(&json!({
            "statement": word,
            "summary": summary,
            "example": example,
        })),
        Format::Human | Format::Plain => terminal.print(&format!(
            "{}: {summary}\n\n  example  {example}\n",
            terminal.bold(word)
        )),
    }
}

fn takes(ty: FieldType) -> String {
    match ty {
        FieldType::Text => "text".to_owned(),
        FieldType::Kernel => "a kernel version in a text".to_owned(),
        FieldType::Count(low, high) => format!("a number from {low} to {high}"),
        FieldType::Duration(..) => format!("a duration from {}", range(ty)),
        FieldType::Ratio(..) => format!("a ratio from {}", range(ty)),
        FieldType::Bytes(..) => format!("a size from {}", range(ty)),
        FieldType::Truth => "true or false".to_owned(),
        FieldType::Choice(words) => match words {
            [others @ .., last] if others.len() > 1 => format!("{} or {last}", others.join(", ")),
            words => words.join(" or "),
        },
        FieldType::Tiers => "a list of tiers".to_owned(),
        FieldType::Attributes => "a list of attributes that are no texts".to_owned(),
        FieldType::Model => "the name of a model".to_owned(),
        FieldType::Digest => "64 hexadecimal digits in a text".to_owned(),
        FieldType::Path => "a path in a text, relative to the file it stands in".to_owned(),
        FieldType::Cpus => "CPUs in a text".to_owned(),
        FieldType::Bounds => "a block of lines `TIER.FIELD = LOW..HIGH`".to_owned(),
    }
}

/// The range of a field that is a number, with its units.
fn range(ty: FieldType) -> String {
    ty.range().map_or_else(String::new, |(low, high)| {
        format!("{} to {}", ty.written(low), ty.written(high))
    })
}

fn explain_field(terminal: &Terminal, block: &BlockKind, field: &Field) {
    if terminal.format() == Format::Json {
        terminal.json(&json!({
            "field": field.name,
            "block": block.word,
            "takes": takes(field.ty),
            "default": field.default,
            "class": match field.class {
                Class::Live => "live",
                Class::Restart => "restart",
            },
            "required": field.required,
            "carried_out": carried_out(block, field),
            "summary": field.summary,
            "example": field.written(),
        }));
        return;
    }
    let name = format!("{}.{}", block.word, field.name);
    terminal.print(&format!(
        "{}: {}\n\n  takes    {}\n  default  {}\n  changes  {}\n  example  {}\n",
        terminal.bold(&name),
        field.summary,
        takes(field.ty),
        field.default.unwrap_or(match field.required {
            true => "none, it must be given",
            false => "none",
        }),
        match field.class {
            Class::Live => "by a reload",
            Class::Restart => "by detaching and attaching: `edict run --allow-restart`",
        },
        field.written()
    ));
    if !carried_out(block, field) {
        terminal.print("  note     checked, but not carried out by this version\n");
    }
}

fn carried_out(block: &BlockKind, field: &Field) -> bool {
    block.engine != Engine::Missing && field.engine != Engine::Missing
}

/// Words of the language that are no topics of their own.
const WORDS: [&str; 7] = ["with", "for", "within", "by", "expect", "use", "group"];

fn nearest(topic: &str) -> String {
    if RESERVED.contains(&topic) || WORDS.contains(&topic) {
        return format!("`{topic}` is a word of the language; see `edict help language`");
    }
    let words = ATTRIBUTES
        .iter()
        .map(|about| about.name.to_owned())
        .chain(BLOCKS.iter().map(|block| block.word.to_owned()))
        .chain(STATEMENTS.iter().map(|(word, ..)| (*word).to_owned()))
        .chain(fields().map(|(_, field)| field.name.to_owned()))
        .chain(fields().map(|(block, field)| format!("{}.{}", block.word, field.name)))
        .map(|word| (strsim::damerau_levenshtein(&word, topic), word));
    let upper = topic.to_uppercase();
    let codes = Code::ALL.iter().map(|code| {
        let code = code.as_str();
        (strsim::damerau_levenshtein(code, &upper), code.to_owned())
    });
    words
        .chain(codes)
        .filter(|(distance, _)| *distance <= 2)
        .min()
        .map_or_else(
            || "`edict explain` lists them all".to_owned(),
            |(_, name)| format!("did you mean `{name}`? `edict explain` lists them all"),
        )
}

fn explain_code(terminal: &Terminal, code: Code) {
    match terminal.format() {
        Format::Json => terminal.json(&json!({
            "code": code.as_str(),
            "severity": code.severity().to_string(),
            "title": code.title(),
            "page": codes::page(code),
        })),
        Format::Human | Format::Plain => terminal.print(codes::page(code)),
    }
}

fn explain_attribute(terminal: &Terminal, about: &About) {
    if terminal.format() == Format::Json {
        terminal.json(&json!({
            "attribute": about.name,
            "type": type_word(about.ty),
            "known": source_words(about.source),
            "range": about.range.map(|(low, high)| [low, high]),
            "summary": about.summary,
            "example": about.example,
        }));
        return;
    }
    let mut text = format!("{}: {}\n\n", terminal.bold(about.name), about.summary);
    text.push_str(&format!("  type     {}\n", type_word(about.ty)));
    if let Some((low, high)) = about.range
        && about.ty == Type::Count
    {
        text.push_str(&format!("  range    {low} to {high}\n"));
    }
    text.push_str(&format!("  known    {}\n", source_words(about.source)));
    text.push_str(&format!("  example  when {}\n", about.example));
    terminal.print(&text);
}

fn list(terminal: &Terminal) -> Exit {
    if terminal.format() == Format::Json {
        let attributes: Vec<_> = ATTRIBUTES
            .iter()
            .map(|about| json!({ "name": about.name, "summary": about.summary }))
            .collect();
        let codes: Vec<_> = Code::ALL
            .iter()
            .map(|code| json!({ "code": code.as_str(), "title": code.title() }))
            .collect();
        let fields: Vec<_> = fields()
            .map(|(block, field)| {
                json!({ "name": field.name, "block": block.word, "summary": field.summary })
            })
            .collect();
        let blocks: Vec<_> = BLOCKS
            .iter()
            .map(|block| json!({ "name": block.word, "summary": block.summary }))
            .collect();
        let statements: Vec<_> = STATEMENTS
            .iter()
            .map(|(word, _, summary)| json!({ "name": word, "summary": summary }))
            .collect();
        terminal.json(&json!({
            "attributes": attributes,
            "blocks": blocks,
            "fields": fields,
            "statements": statements,
            "codes": codes,
        }));
        return Exit::Done;
    }
    let mut text = String::new();
    let mut section = |what: &str, about: &str, rows: &[Vec<String>]| {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&table(&[(what, Align::Left), (about, Align::Left)], rows));
    };
    let row = |name: &str, summary: &str| vec![name.to_owned(), summary.to_owned()];
    let attributes = ATTRIBUTES
        .iter()
        .map(|about| row(about.name, about.summary));
    section("attribute", "is", &attributes.collect::<Vec<_>>());
    let blocks = BLOCKS.iter().map(|block| row(block.word, block.summary));
    section("block", "is", &blocks.collect::<Vec<_>>());
    let rows = fields().map(|(block, field)| {
        let name = format!("{}.{}", block.word, field.name);
        row(&name, field.summary)
    });
    section("field", "is", &rows.collect::<Vec<_>>());
    let statements = STATEMENTS
        .iter()
        .map(|(word, _, summary)| row(word, summary));
    section("statement", "does", &statements.collect::<Vec<_>>());
    let codes = Code::ALL
        .iter()
        .map(|code| row(code.as_str(), code.title()));
    section("code", "means", &codes.collect::<Vec<_>>());
    terminal.print(&text);
    Exit::Done
}

fn type_word(ty: Type) -> &'static str {
    match ty {
        Type::Text => "text",
        Type::Count => "number",
        Type::Duration => "duration",
        Type::Ratio => "ratio",
        Type::Bool => "true or false",
    }
}

fn source_words(source: Source) -> &'static str {
    match source {
        Source::Kernel => "to the kernel, whenever it changes",
        Source::Agent => "to the agent, which tells the kernel; unknown until it has",
        Source::System => "to the agent, once a second, for the whole machine",
    }
}
