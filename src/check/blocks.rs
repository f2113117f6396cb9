//! Types the fields of blocks, by the schema.

use std::collections::BTreeMap;

use super::literals::bare_number;
use super::policy::{Between, Lottery, Nanos, Order, Tier, TierId};
use super::schema::{
    self, BlockKind, Field, FieldType, LATER_BLOCKS, LATER_CHOICES, LATER_FIELDS, Titled,
};
use super::scope::{Scope, unknown_tier};
use super::sink::{Sink, meant};
use super::types::{self, Value};
use crate::diag::{Code, Diagnostic, Span, shown};
use crate::syntax::ast::{self, Block, Expr, Kind, Statement, Title};

/// A field that was given, typed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Given {
    Text(String),
    Kernel(u32, u32),
    Count(i64),
    Duration(i64),
    Choice(&'static str),
    Tiers(Vec<TierId>),
}

/// The fields that were given, by name, each with the place of its value.
type Fields = BTreeMap<&'static str, (Given, Span)>;

/// What typing a block needs to know.
pub(super) struct Blocks<'a> {
    pub(super) scope: &'a mut Scope,
    pub(super) sink: &'a mut Sink,
    /// The tiers in the order of the text.
    pub(super) tiers: &'a [&'a str],
}

/// The `policy` block.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub(super) name: String,
    pub(super) version: Option<String>,
    pub(super) kernel: Option<(u32, u32)>,
}

impl Blocks<'_> {
    pub(super) fn head(&mut self, block: &Block) -> Head {
        let mut fields = self.fields(block);
        let name = title(block, self.sink).map(|name| name.text.clone());
        Head {
            name: name.unwrap_or_default(),
            version: match fields.remove("version") {
                Some((Given::Text(text), _)) => Some(text),
                _ => None,
            },
            kernel: match fields.remove("kernel") {
                Some((Given::Kernel(major, minor), _)) => Some((major, minor)),
                _ => None,
            },
        }
    }

    pub(super) fn lottery(&mut self, block: &Block) -> Lottery {
        title(block, self.sink);
        let strict = matches!(
            self.fields(block).remove("between"),
            Some((Given::Choice("strict"), _))
        );
        Lottery {
            between: if strict {
                Between::Strict
            } else {
                Between::Tiers
            },
        }
    }

    /// The tier in position `id`.
    pub(super) fn tier(&mut self, block: &Block, id: TierId) -> Option<Tier> {
        let fields = self.fields(block);
        let Some(Title::Name(name)) = block.titles.first() else {
            return None;
        };
        let number = |field: &str, default: i64| match fields.get(field) {
            Some((Given::Count(n) | Given::Duration(n), _)) => *n,
            _ => default,
        };
        let preempt = match fields.get("preempt") {
            Some((Given::Tiers(tiers), _)) => tiers.clone(),
            _ => Vec::new(),
        };
        if let Some((_, at)) = fields.get("preempt")
            && preempt.contains(&id)
        {
            self.sink.push(
                Diagnostic::new(
                    Code::E0223,
                    format!("the tier `{}` preempts itself", shown(&name.text)),
                )
                .label(*at, "names its own tier")
                .help("within a tier, `order` and `slice` decide; leave it out of the list"),
            );
        }
        let slice = number("slice", 5_000_000);
        let max_wait = match fields.get("max_wait") {
            Some((Given::Duration(wait), at)) => {
                if *wait < slice {
                    self.sink.push(promise(block, *wait, *at, slice, &fields));
                }
                Some(nanos(*wait))
            }
            _ => None,
        };
        Some(Tier {
            name: name.text.clone(),
            span: name.span(),
            tickets: u32::try_from(number("tickets", 100)).unwrap_or(1),
            slice: nanos(slice),
            order: match fields.get("order") {
                Some((Given::Choice("fifo"), _)) => Order::Fifo,
                _ => Order::Vtime,
            },
            preempt,
            max_wait,
        })
    }

    /// Types every field of a block and complains of everything else in it.
    fn fields(&mut self, block: &Block) -> Fields {
        let mut fields = Fields::new();
        let mut places: BTreeMap<&str, Span> = BTreeMap::new();
        let Some(kind) = schema::block(&block.word.text) else {
            return fields;
        };
        for statement in &block.statements {
            let Statement::Field(field) = statement else {
                self.sink.push(misplaced(statement, kind));
                continue;
            };
            let name = field.name.text.as_str();
            let Some(about) = kind.field(name) else {
                self.sink.push(unknown_field(kind, field));
                continue;
            };
            if let Some(first) = places.insert(about.name, field.name.span()) {
                self.sink.push(
                    Diagnostic::new(Code::E0221, format!("`{name}` is given twice"))
                        .label(field.name.span(), "again")
                        .label(first, "first here")
                        .help("delete one of the two"),
                );
                continue;
            }
            if let Some(given) = self.given(about, &field.value) {
                fields.insert(about.name, (given, field.value.span()));
            }
        }
        fields
    }

    fn given(&mut self, field: &Field, expr: &Expr) -> Option<Given> {
        let span = expr.span();
        match field.ty {
            FieldType::Choice(choices) => self.choice(field, choices, expr),
            FieldType::Tiers => self.tiers(field, expr),
            FieldType::Text => match types::value(expr, self.scope, self.sink)? {
                Value::Text(text) if !text.trim().is_empty() => Some(Given::Text(text)),
                Value::Text(_) => self.refuse(
                    Diagnostic::new(Code::E0315, format!("`{}` is empty", field.name))
                        .label(span, "")
                        .help(format!("write a text, or leave `{}` out", field.name)),
                ),
                other => self.refuse(wrong(field, "a text", &other, span)),
            },
            FieldType::Kernel => match types::value(expr, self.scope, self.sink)? {
                Value::Text(text) => match kernel_version(&text) {
                    Some((major, minor)) => Some(Given::Kernel(major, minor)),
                    None => self.refuse(
                        Diagnostic::new(
                            Code::E0315,
                            format!("`{}` is not a kernel version", shown(&text)),
                        )
                        .label(span, "expected two numbers and a dot")
                        .help(format!("write `{} = {}`", field.name, field.example)),
                    ),
                },
                other => self.refuse(wrong(field, "a text", &other, span)),
            },
            FieldType::Count(low, high) => match types::value(expr, self.scope, self.sink)? {
                Value::Count(number) if (low..=high).contains(&number) => {
                    Some(Given::Count(number))
                }
                Value::Count(number) => self.refuse(out_of_range(
                    field,
                    span,
                    &number.to_string(),
                    &low.to_string(),
                    &high.to_string(),
                )),
                other => self.refuse(wrong(field, "a number", &other, span)),
            },
            FieldType::Duration(low, high) => match types::value(expr, self.scope, self.sink)? {
                Value::Duration(n) if (low..=high).contains(&n) => Some(Given::Duration(n)),
                Value::Duration(n) => self.refuse(out_of_range(
                    field,
                    span,
                    &types::duration(n),
                    &types::duration(low),
                    &types::duration(high),
                )),
                Value::Count(number) => {
                    self.refuse(bare_number(field.name, number, (low, high), span))
                }
                other => self.refuse(wrong(field, "a duration", &other, span)),
            },
        }
    }

    fn refuse<T>(&mut self, diagnostic: Diagnostic) -> Option<T> {
        self.sink.push(diagnostic);
        None
    }

    fn choice(
        &mut self,
        field: &Field,
        choices: &'static [&'static str],
        expr: &Expr,
    ) -> Option<Given> {
        let span = expr.span();
        let (Kind::Name(word) | Kind::Text(word)) = &expr.bare().kind else {
            return self.refuse(
                Diagnostic::new(Code::E0301, format!("`{}` is a choice", field.name))
                    .label(span, "expected a word")
                    .maybe_help(meant("", choices.iter().copied(), "choice")),
            );
        };
        if let Kind::Text(_) = &expr.bare().kind {
            return self.refuse(
                Diagnostic::new(
                    Code::E0301,
                    format!("`{}` is a choice, not a text", field.name),
                )
                .label(span, "a text")
                .help(format!("write `{} = {}`", field.name, shown(word))),
            );
        }
        if let Some(choice) = choices.iter().find(|choice| **choice == word.as_str()) {
            return Some(Given::Choice(choice));
        }
        if LATER_CHOICES.contains(&(field.name, word.as_str())) {
            return self.refuse(
                Diagnostic::new(
                    Code::E0505,
                    format!("`{} = {word}` is not in this version", field.name),
                )
                .label(span, "")
                .maybe_help(meant("", choices.iter().copied(), "choice")),
            );
        }
        self.refuse(
            Diagnostic::new(
                Code::E0312,
                format!("`{}` cannot be `{}`", field.name, shown(word)),
            )
            .label(span, "no such choice")
            .maybe_help(meant(word, choices.iter().copied(), "choice")),
        )
    }

    fn tiers(&mut self, field: &Field, expr: &Expr) -> Option<Given> {
        let span = expr.span();
        // Tiers that there are, for an example.
        let some: Vec<_> = self.tiers.iter().take(2).map(|tier| shown(tier)).collect();
        let members = match &expr.bare().kind {
            Kind::List(members) => members.as_slice(),
            Kind::Name(name) => {
                let help = format!("write `{} = [{}]`", field.name, shown(name));
                return self.refuse(
                    Diagnostic::new(Code::E0301, format!("`{}` is a list of tiers", field.name))
                        .label(span, "a single name")
                        .help(help),
                );
            }
            _ => {
                return self.refuse(
                    Diagnostic::new(Code::E0301, format!("`{}` is a list of tiers", field.name))
                        .label(span, "expected a list")
                        .help(format!("write `{} = [{}]`", field.name, some.join(", "))),
                );
            }
        };
        let mut tiers: Vec<TierId> = Vec::new();
        let mut sound = true;
        for member in members {
            let Kind::Name(name) = &member.bare().kind else {
                self.sink.push(
                    Diagnostic::new(Code::E0301, "a tier is due here")
                        .label(member.span(), "not the name of a tier"),
                );
                sound = false;
                continue;
            };
            match self.tiers.iter().position(|tier| tier == name) {
                Some(index) => {
                    let id = tier_id(index);
                    if tiers.contains(&id) {
                        self.sink.push(
                            Diagnostic::new(Code::W0203, format!("`{name}` is in the list twice"))
                                .label(member.span(), "again")
                                .help("delete one of the two"),
                        );
                    } else {
                        tiers.push(id);
                    }
                }
                None => {
                    self.sink
                        .push(unknown_tier(name, member.span(), self.tiers));
                    sound = false;
                }
            }
        }
        sound.then_some(Given::Tiers(tiers))
    }
}

/// The id of the tier in that position.
pub(super) fn tier_id(index: usize) -> TierId {
    // More tiers than fit were refused.
    TierId(u8::try_from(index).unwrap_or(u8::MAX))
}

fn nanos(value: i64) -> Nanos {
    Nanos(u64::try_from(value).unwrap_or(0))
}

/// `6.12`
fn kernel_version(text: &str) -> Option<(u32, u32)> {
    let number = |digits: &str| {
        let proper = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        digits.parse().ok().filter(|_| proper)
    };
    let (major, minor) = text.split_once('.')?;
    Some((number(major)?, number(minor)?))
}

/// The name of a block, which must have exactly one, or none at all.
pub(super) fn title<'a>(block: &'a Block, sink: &mut Sink) -> Option<&'a ast::Name> {
    let word = &block.word.text;
    let kind = schema::block(word)?;
    let wrong = |message: String, label: &str, help: String| {
        Diagnostic::new(Code::E0222, message)
            .label(block.head(), label)
            .help(help)
    };
    match (kind.titled, block.titles.as_slice()) {
        (Titled::None, []) => None,
        (Titled::None, _) => {
            sink.push(wrong(
                format!("`{word}` has no name"),
                "a name that is not needed",
                format!("write `{word} {{ … }}`"),
            ));
            None
        }
        (Titled::Name, [Title::Name(name)]) => super::scope::proper(name, sink).then_some(name),
        (Titled::Name, [Title::Text(text, _)]) => {
            sink.push(wrong(
                format!("the name of the {word} is a text"),
                "expected a name",
                format!("write `{word} {} {{ … }}`", shown(&name_of(text))),
            ));
            None
        }
        (Titled::Name, []) => {
            sink.push(wrong(
                format!("a `{word}` without a name"),
                "expected a name",
                format!("write `{word} NAME {{ … }}`"),
            ));
            None
        }
        (Titled::Name, titles) => {
            let words: Vec<&str> = titles.iter().map(Title::text).collect();
            sink.push(wrong(
                format!("a `{word}` with two names"),
                "expected one name",
                format!("write `{word} {} {{ … }}`", shown(&words.join("-"))),
            ));
            None
        }
    }
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

fn unknown_field(kind: &BlockKind, field: &ast::Field) -> Diagnostic {
    let (word, name) = (kind.word, field.name.text.as_str());
    let span = field.name.span();
    if LATER_FIELDS.contains(&(word, name)) {
        return Diagnostic::new(
            Code::E0505,
            format!("the field `{name}` of `{word}` is not in this version"),
        )
        .label(span, "")
        .help("leave it out");
    }
    Diagnostic::new(
        Code::E0207,
        format!("`{word}` has no field `{}`", shown(name)),
    )
    .label(span, "no such field")
    .maybe_help(meant(name, kind.fields.iter().map(|f| f.name), "field"))
}

/// A statement that does not belong in a block with fields.
fn misplaced(statement: &Statement, kind: &BlockKind) -> Diagnostic {
    let word = kind.word;
    let wrong = |what: String, help: &str| {
        Diagnostic::new(Code::E0219, what)
            .label(first_word(statement), format!("not in `{word}`"))
            .help(help)
    };
    match statement {
        Statement::Rule(_) => wrong(
            format!("a rule in `{word}`"),
            "rules stand in `rules { … }`",
        ),
        Statement::Directive(directive) => {
            let name = &directive.word.text;
            Diagnostic::new(Code::E0219, format!("`{}` has no `=`", shown(name)))
                .label(directive.place.0, "expected a field")
                .help(format!("write `{} = …`", shown(name)))
        }
        Statement::Block(block) => wrong(
            format!("the block `{}` in `{word}`", shown(&block.word.text)),
            "end the block above with `}` first",
        ),
        Statement::Definition(definition) => wrong(
            format!(
                "the definition of `{}` in `{word}`",
                shown(&definition.name.text)
            ),
            "definitions stand outside of blocks",
        ),
        _ => wrong(
            format!("a statement that does not belong in `{word}`"),
            "delete it",
        ),
    }
}

/// The first word of a statement, to point at.
pub(super) fn first_word(statement: &Statement) -> Span {
    match statement {
        Statement::Block(block) => block.head(),
        Statement::Definition(definition) => definition.word.span().to(definition.name.span()),
        Statement::Field(field) => field.name.span(),
        Statement::Directive(directive) => directive.word.span(),
        other => other.span(),
    }
}

/// What to say about a block of a kind that is not there.
pub(super) fn unknown_block(block: &Block) -> Diagnostic {
    let word = block.word.text.as_str();
    if let Some((_, about)) = LATER_BLOCKS.iter().find(|(later, _)| *later == word) {
        return Diagnostic::new(
            Code::E0501,
            format!("the block `{word}` ({about}) is not in this version"),
        )
        .label(block.head(), "")
        .help("delete the block");
    }
    let names = schema::BLOCKS.iter().map(|kind| kind.word);
    let diagnostic = Diagnostic::new(Code::E0206, format!("unknown block `{}`", shown(word)))
        .label(block.word.span(), "no such block");
    let alias = match word {
        "class" | "layer" | "group" | "queue" => Some("tier"),
        "rule" | "match" | "classify" => Some("rules"),
        _ => None,
    };
    diagnostic.maybe_help(match alias {
        Some(alias) => Some(format!("did you mean `{alias}`?")),
        None => meant(word, names, "block"),
    })
}

fn wrong(field: &Field, due: &str, found: &Value, span: Span) -> Diagnostic {
    Diagnostic::new(
        Code::E0301,
        format!("`{}` is {due}, not {}", field.name, found.phrase()),
    )
    .label(span, found.phrase())
    .help(format!(
        "write it as in `{} = {}`",
        field.name, field.example
    ))
}

fn out_of_range(field: &Field, span: Span, found: &str, low: &str, high: &str) -> Diagnostic {
    Diagnostic::new(
        Code::E0304,
        format!("`{}` is from {low} to {high}", field.name),
    )
    .label(span, format!("{found} is outside"))
    .help(format!("write a value from `{low}` to `{high}`"))
}

/// A `max_wait` that cannot be kept.
fn promise(block: &Block, wait: i64, at: Span, slice: i64, fields: &Fields) -> Diagnostic {
    let name = block.titles.first().map_or("", Title::text);
    let diagnostic = Diagnostic::new(
        Code::E0313,
        format!(
            "the `max_wait` of `{}` is shorter than its `slice`",
            shown(name)
        ),
    )
    .label(at, types::duration(wait));
    match fields.get("slice") {
        Some((_, span)) => diagnostic.label(*span, types::duration(slice)),
        None => diagnostic,
    }
    .help(format!(
        "a task waits at least while another of its tier runs for a slice of {}: write `{}` or more",
        types::duration(slice),
        types::duration(slice)
    ))
}
