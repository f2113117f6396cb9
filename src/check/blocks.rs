//! Types the fields of blocks, by the schema. What a kind of block makes of its
//! fields is said beside it: tiers in [`super::tiers`], the others in
//! [`super::others`].

use std::collections::BTreeMap;

use super::attribute::Attribute;
use super::parts::{Bound, Cpus, Setting};
use super::policy::{ModelId, Nanos, Ppm, TierId};
use super::schema::{self, BlockKind, Class, Engine, Field, FieldType};
use super::scope::Scope;
use super::sink::{Sink, meant};
use super::titles::first_word;
use super::units;
use crate::diag::{Code, Diagnostic, Span, shown};
use crate::syntax::ast::{self, Block, Statement};

/// The value of a field, typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Given {
    Text(String),
    Kernel(u32, u32),
    /// A count as it is, a duration in nanoseconds, a ratio in parts per
    /// million, a size in bytes.
    Number(i64),
    Truth(bool),
    Choice(&'static str),
    Tiers(Vec<TierId>),
    Attributes(Vec<Attribute>),
    Model(ModelId),
    Digest([u8; 32]),
    Path(String),
    Cpus(Cpus),
    Bounds(Vec<Bound>),
}

/// A field that was given.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) given: Given,
    /// Where its value stands.
    pub(super) at: Span,
    /// Where its name stands.
    pub(super) name: Span,
}

/// The fields of one block.
#[derive(Debug)]
pub(super) struct Fields {
    pub(super) kind: &'static BlockKind,
    pub(super) entries: BTreeMap<&'static str, Entry>,
}

impl Fields {
    pub(super) fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    fn default(&self, name: &str) -> Option<&'static str> {
        self.kind.field(name)?.default
    }

    /// The number that was given, or the default.
    pub(super) fn number(&self, name: &str) -> Option<i64> {
        match self.get(name).map(|entry| &entry.given) {
            Some(Given::Number(number)) => Some(*number),
            _ => self.default(name).and_then(units::number),
        }
    }

    /// A duration.
    pub(super) fn nanos(&self, name: &str) -> Option<Nanos> {
        self.number(name).map(nanos)
    }

    /// A ratio.
    pub(super) fn ppm(&self, name: &str) -> Option<Ppm> {
        let number = self.number(name)?;
        Some(Ppm(u32::try_from(number).unwrap_or(0)))
    }

    /// A truth value.
    pub(super) fn truth(&self, name: &str) -> bool {
        match self.get(name).map(|entry| &entry.given) {
            Some(Given::Truth(truth)) => *truth,
            _ => self.default(name) == Some("true"),
        }
    }

    /// A choice.
    pub(super) fn choice(&self, name: &str) -> &'static str {
        match self.get(name).map(|entry| &entry.given) {
            Some(Given::Choice(choice)) => choice,
            _ => self.default(name).unwrap_or(""),
        }
    }
}

/// Whether a block gives a field, be it a value that was refused.
pub(super) fn gives(block: &Block, field: &str) -> bool {
    let is_it = |statement: &Statement| matches!(statement, Statement::Field(given) if given.name.text == field);
    block.statements.iter().any(is_it)
}

/// What typing a block needs to know.
pub(super) struct Blocks<'a> {
    pub(super) scope: &'a mut Scope,
    pub(super) sink: &'a mut Sink,
    /// The tiers in the order of the text.
    pub(super) tiers: &'a [&'a str],
    /// What no engine of this version carries out.
    pub(super) unready: Vec<Diagnostic>,
    /// What was given, for those who compare policies.
    pub(super) settings: Vec<Setting>,
}

impl Blocks<'_> {
    /// Types every field of a block and complains of everything else in it;
    /// `other` takes what is no field, and tells whether it did.
    pub(super) fn fields_and(
        &mut self,
        block: &Block,
        kind: &'static BlockKind,
        mut other: impl FnMut(&mut Self, &Statement) -> bool,
    ) -> Fields {
        let mut fields = Fields {
            kind,
            entries: BTreeMap::new(),
        };
        let mut places: BTreeMap<&str, Span> = BTreeMap::new();
        for statement in &block.statements {
            let (name, bounds) = match statement {
                Statement::Field(field) => (&field.name, None),
                Statement::Block(block) if is_bounds(kind, block) => (&block.word, Some(block)),
                _ if other(self, statement) => continue,
                _ => {
                    self.sink.push(misplaced(statement, kind));
                    continue;
                }
            };
            let Some(about) = kind.field(&name.text) else {
                self.sink.push(unknown_field(kind, name));
                continue;
            };
            if let Some(first) = places.insert(about.name, name.span()) {
                self.sink.push(given_twice(
                    &name.text,
                    name.span(),
                    first,
                    "delete one of the two",
                ));
                continue;
            }
            let (given, at) = match (bounds, statement) {
                (Some(block), _) => (self.bounds(about, block), block.head()),
                (None, Statement::Field(field)) => {
                    (self.given(about, &field.value), field.value.span())
                }
                _ => continue,
            };
            if let Some(given) = given {
                let entry = Entry {
                    given,
                    at,
                    name: name.span(),
                };
                fields.entries.insert(about.name, entry);
            }
        }
        for about in kind.fields {
            if about.required && !places.contains_key(about.name) {
                self.sink.push(
                    Diagnostic::new(
                        Code::E0236,
                        format!("`{}` has no `{}`", kind.word, about.name),
                    )
                    .label(block.head(), format!("`{}` is needed here", about.name))
                    .help(format!("add `{}`", about.written())),
                );
            }
        }
        fields
    }

    /// Types every field of a block.
    pub(super) fn fields(&mut self, block: &Block) -> Option<Fields> {
        let kind = schema::block(&block.word.text)?;
        Some(self.fields_and(block, kind, |_, _| false))
    }

    /// Remembers what was given, and what of it no engine carries out. `called`
    /// is the block as people call it, `tier batch`.
    pub(super) fn note(&mut self, fields: &Fields, called: &str, head: Span) {
        let kind = fields.kind;
        if kind.engine == Engine::Missing {
            self.unready.push(
                Diagnostic::new(
                    Code::E0506,
                    format!("`{}` cannot be carried out by this version", kind.word),
                )
                .label(head, "checked, but not carried out")
                .help("leave it out to run the policy"),
            );
        }
        for about in kind.fields {
            let Some(entry) = fields.get(about.name) else {
                continue;
            };
            self.settings.push(Setting {
                block: called.to_owned(),
                name: about.name,
                value: self.shown(about, &entry.given),
                restart: about.class == Class::Restart,
                span: entry.at,
            });
            if about.engine == Engine::There {
                continue;
            }
            self.unready.push(
                Diagnostic::new(
                    Code::E0507,
                    format!(
                        "`{}` of `{}` cannot be carried out by this version",
                        about.name, kind.word
                    ),
                )
                .label(entry.name, "checked, but not carried out")
                .help("leave it out to run the policy"),
            );
        }
    }

    /// A value in one spelling for each meaning.
    fn shown(&self, field: &Field, given: &Given) -> String {
        let tier = |id: &TierId| self.tiers.get(usize::from(id.0)).copied().unwrap_or("");
        match given {
            Given::Text(text) | Given::Path(text) => text.clone(),
            Given::Kernel(major, minor) => format!("{major}.{minor}"),
            Given::Number(number) => field.ty.written(*number),
            Given::Truth(truth) => truth.to_string(),
            Given::Choice(choice) => (*choice).to_owned(),
            Given::Tiers(tiers) => tiers.iter().map(tier).collect::<Vec<_>>().join(", "),
            Given::Attributes(attributes) => {
                let names: Vec<&str> = attributes.iter().map(|a| a.about().name).collect();
                names.join(", ")
            }
            Given::Model(id) => self.scope.model_name(*id).to_owned(),
            Given::Digest(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            Given::Cpus(cpus) => cpus.to_string(),
            Given::Bounds(bounds) => {
                let line = |bound: &Bound| {
                    let show = |number| bound.field.ty.written(number);
                    let (low, high) = (show(bound.low), show(bound.high));
                    format!("{}.{} = {low}..{high}", tier(&bound.tier), bound.field.name)
                };
                bounds.iter().map(line).collect::<Vec<_>>().join(", ")
            }
        }
    }
}

pub(super) fn nanos(value: i64) -> Nanos {
    Nanos(u64::try_from(value).unwrap_or(0))
}

/// The id of the tier in that position.
pub(super) fn tier_id(index: usize) -> TierId {
    // More tiers than fit were refused.
    TierId(u8::try_from(index).unwrap_or(u8::MAX))
}

fn is_bounds(kind: &BlockKind, block: &Block) -> bool {
    let field = kind.field(&block.word.text);
    field.is_some_and(|field| field.ty == FieldType::Bounds)
}

pub(super) fn given_twice(name: &str, again: Span, first: Span, help: &str) -> Diagnostic {
    Diagnostic::new(Code::E0221, format!("`{}` is given twice", shown(name)))
        .label(again, "again")
        .label(first, "first here")
        .help(help)
}

pub(super) fn unknown_field(kind: &BlockKind, name: &ast::Name) -> Diagnostic {
    let text = name.text.as_str();
    Diagnostic::new(
        Code::E0207,
        format!("`{}` has no field `{}`", kind.word, shown(text)),
    )
    .label(name.span(), "no such field")
    .maybe_help(meant(text, kind.fields.iter().map(|f| f.name), "field"))
}

/// A statement that does not belong in a block with fields.
pub(super) fn misplaced(statement: &Statement, kind: &BlockKind) -> Diagnostic {
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
        Statement::Expect(_) => wrong(
            format!("`expect` in `{word}`"),
            "it stands in `test \"…\" { … }`",
        ),
        Statement::Use(_) => wrong(format!("`use` in `{word}`"), "it stands in `rules { … }`"),
        Statement::Field(_) => wrong(format!("a field in `{word}`"), "delete it"),
    }
}
