//! The names that a policy defines: constants, sets, models.

use std::collections::BTreeMap;

use super::attribute::Attribute;
use super::limits::Budget;
use super::policy::ModelId;
use super::sets::SetValue;
use super::sink::{Sink, meant, nearest};
use super::types::{self, Value};
use crate::diag::{Code, Diagnostic, Span, shown};
use crate::syntax::ast::{Expr, Kind, Name};

#[derive(Debug)]
enum Meaning {
    /// None when the definition is wrong; that was said already.
    Constant(Option<Value>),
    Set(Option<SetValue>),
}

#[derive(Debug)]
struct Entry {
    meaning: Meaning,
    span: Span,
    used: bool,
}

/// Constants and sets by name.
#[derive(Debug, Default)]
pub(super) struct Scope {
    entries: BTreeMap<String, Entry>,
    /// Where names are defined that were not reached yet.
    below: BTreeMap<String, Span>,
    models: Vec<ModelEntry>,
    pub(super) budget: Budget,
}

#[derive(Debug)]
struct ModelEntry {
    name: String,
    span: Span,
    used: bool,
}

impl Scope {
    /// Announces a definition that comes later.
    pub(super) fn announce(&mut self, name: &Name) {
        self.below
            .entry(name.text.clone())
            .or_insert_with(|| name.span());
    }

    /// Defines a constant.
    pub(super) fn define_constant(&mut self, name: &Name, expr: &Expr, sink: &mut Sink) {
        if let Kind::Set(_) = expr.bare().kind {
            sink.push(
                Diagnostic::new(
                    Code::E0301,
                    format!("the constant `{}` is a set", shown(&name.text)),
                )
                .label(expr.span(), "a set")
                .help(format!("write `set {} = …`", shown(&name.text))),
            );
            self.define(name, Meaning::Constant(None), sink);
            return;
        }
        let value = types::value(expr, self, sink);
        self.define(name, Meaning::Constant(value), sink);
    }

    /// Defines a set.
    pub(super) fn define_set(&mut self, name: &Name, expr: &Expr, sink: &mut Sink) {
        let set = match &expr.bare().kind {
            Kind::Set(members) => self.literal_set(members, expr.span(), sink),
            _ => {
                sink.push(
                    Diagnostic::new(
                        Code::E0301,
                        format!("the set `{}` is not a set", shown(&name.text)),
                    )
                    .label(expr.span(), "expected members in braces")
                    .help(format!(
                        "write `set {} = {{ … }}`, or `const` for a single value",
                        shown(&name.text)
                    )),
                );
                None
            }
        };
        self.define(name, Meaning::Set(set), sink);
    }

    fn define(&mut self, name: &Name, meaning: Meaning, sink: &mut Sink) {
        let span = name.span();
        if !proper(name, sink) {
            return;
        }
        if Attribute::by_name(&name.text).is_some() {
            sink.push(
                Diagnostic::new(
                    Code::E0225,
                    format!("`{}` is the name of an attribute", name.text),
                )
                .label(span, "taken")
                .help("choose another name"),
            );
            return;
        }
        if let Some(first) = self.entries.get(&name.text) {
            sink.push(twice("name", &name.text, span, first.span));
            return;
        }
        self.below.remove(&name.text);
        self.entries.insert(
            name.text.clone(),
            Entry {
                meaning,
                span,
                used: false,
            },
        );
    }

    /// Whether a name is that of a constant or a set.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.entries.contains_key(name) || self.below.contains_key(name)
    }

    /// The value of a constant.
    pub(super) fn constant(&mut self, name: &str, span: Span, sink: &mut Sink) -> Option<Value> {
        match self.entries.get_mut(name) {
            Some(entry) => {
                entry.used = true;
                match &entry.meaning {
                    Meaning::Constant(value) => value.clone(),
                    Meaning::Set(_) => {
                        sink.push(
                            Diagnostic::new(
                                Code::E0301,
                                format!("`{}` is a set, not a single value", shown(name)),
                            )
                            .label(span, "a set"),
                        );
                        None
                    }
                }
            }
            None => {
                sink.push(self.unknown(name, span));
                None
            }
        }
    }

    /// The set of that name; none, and no complaint, when it is not a set.
    pub(super) fn set(&mut self, name: &str) -> Option<Option<SetValue>> {
        let entry = self.entries.get_mut(name)?;
        match &entry.meaning {
            Meaning::Set(set) => {
                entry.used = true;
                Some(set.clone())
            }
            Meaning::Constant(_) => None,
        }
    }

    /// Defines the next model.
    pub(super) fn define_model(&mut self, name: &Name) {
        self.models.push(ModelEntry {
            name: name.text.clone(),
            span: name.span(),
            used: false,
        });
    }

    /// The model of that name, which is used by this.
    pub(super) fn model(&mut self, name: &str) -> Option<ModelId> {
        let index = self.models.iter().position(|model| model.name == name)?;
        if let Some(model) = self.models.get_mut(index) {
            model.used = true;
        }
        u8::try_from(index).ok().map(ModelId)
    }

    /// The name of a model; empty for one that is not there.
    pub(super) fn model_name(&self, id: ModelId) -> &str {
        let model = self.models.get(usize::from(id.0));
        model.map_or("", |model| &model.name)
    }

    /// What to say about a model that is not there.
    pub(super) fn unknown_model(&self, name: &str, span: Span) -> Diagnostic {
        let names = self.models.iter().map(|model| model.name.as_str());
        let define = format!("define it with `model {} {{ … }}`", shown(name));
        Diagnostic::new(Code::E0239, format!("unknown model `{}`", shown(name)))
            .label(span, "no such model")
            .help(meant(name, names, "model").unwrap_or(define))
    }

    /// What to say about a name that is not defined.
    pub(super) fn unknown(&self, name: &str, span: Span) -> Diagnostic {
        if let Some(below) = self.below.get(name) {
            return Diagnostic::new(
                Code::E0224,
                format!("`{}` is used above its definition", shown(name)),
            )
            .label(span, "not defined yet")
            .label(*below, "defined here")
            .help("move the definition up");
        }
        let unknown = Diagnostic::new(Code::E0208, format!("unknown name `{}`", shown(name)));
        if let Some((left, right)) = self.subtraction(name) {
            let (left, right) = (shown(left), shown(right));
            return unknown
                .label(span, "one name, as `-` may stand inside of one")
                .help(format!("a subtraction needs blanks: `{left} - {right}`"));
        }
        let known = self.entries.keys().map(String::as_str);
        match nearest(name, known) {
            Some(meant) => unknown
                .label(span, "not defined")
                .help(format!("did you mean `{meant}`?")),
            None => unknown
                .label(span, "not defined")
                .help(format!("if it is a text, write `\"{}\"`", shown(name))),
        }
    }

    /// The two sides of a `-` in a name that were probably meant as values: a name
    /// that is defined, and a number or another such name.
    fn subtraction<'n>(&self, name: &'n str) -> Option<(&'n str, &'n str)> {
        name.match_indices('-')
            .filter_map(|(at, _)| Some((name.get(..at)?, name.get(at + 1..)?)))
            .find(|(left, right)| {
                let is_number = right.starts_with(|c: char| c.is_ascii_digit());
                self.knows(left) && (is_number || self.knows(right))
            })
    }

    /// Warns of what nothing uses. Definitions in files other than `root` are
    /// there to be shared.
    pub(super) fn warn_unused(&self, root: crate::diag::FileId, sink: &mut Sink) {
        for (name, entry) in &self.entries {
            if entry.used || entry.span.file != root {
                continue;
            }
            let kind = match entry.meaning {
                Meaning::Constant(_) => "constant",
                Meaning::Set(_) => "set",
            };
            sink.push(
                Diagnostic::new(Code::W0201, format!("nothing uses the {kind} `{name}`"))
                    .label(entry.span, "not used")
                    .help("delete it, or use it in a rule"),
            );
        }
        for model in &self.models {
            if model.used || model.span.file != root {
                continue;
            }
            sink.push(
                Diagnostic::new(
                    Code::W0212,
                    format!("nothing asks the model `{}`", model.name),
                )
                .label(model.span, "not used")
                .help(format!(
                    "delete it, or ask it in a rule, as in `{}() > 80%`",
                    model.name
                )),
            );
        }
    }
}

/// Refuses a name with a dot in it.
pub(super) fn proper(name: &Name, sink: &mut Sink) -> bool {
    if !name.text.contains('.') {
        return true;
    }
    sink.push(
        Diagnostic::new(
            Code::E0225,
            format!("`{}` cannot be defined", shown(&name.text)),
        )
        .label(name.span(), "has a dot in it")
        .help("names consist of letters, digits, `_` and `-`"),
    );
    false
}

/// The diagnostic for a second definition.
pub(super) fn twice(kind: &str, name: &str, span: Span, first: Span) -> Diagnostic {
    Diagnostic::new(
        Code::E0211,
        format!("the {kind} `{}` is defined twice", shown(name)),
    )
    .label(span, "again")
    .label(first, "first here")
    .help("delete or rename one of the two")
}

/// What to say about a tier that is not there.
pub(super) fn unknown_tier(name: &str, span: Span, tiers: &[&str]) -> Diagnostic {
    Diagnostic::new(Code::E0202, format!("unknown tier `{}`", shown(name)))
        .label(span, "no such tier")
        .maybe_help(meant(name, tiers.iter().copied(), "tier"))
}
