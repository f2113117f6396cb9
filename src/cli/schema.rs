//! `edict schema`: the YAML form for editors.
//!
//! Everything is made from the tables that the checker reads: blocks, fields,
//! ranges, units, attributes. A JSON Schema sees the values that YAML makes, not
//! the text, so it is a little more generous than `edict check`: which tiers
//! there are, and whether an expression is one, only the checker knows.

use clap::Args;
use serde_json::{Map, Value, json};

use super::{Exit, Terminal};
use crate::check::schema::{self, BlockKind, Engine, Field, FieldType, UNITS, Unit};
use crate::check::{ATTRIBUTES, About, Type};

/// Print the JSON Schema of the YAML form, for editors
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  edict schema > edict.schema.json
  edict schema | jq '.properties | keys'

An editor with a YAML language server completes and checks a policy that begins
with `# yaml-language-server: $schema=edict.schema.json`. The schema says what
can be seen without the rest of the policy; `edict check` says everything. It is
draft 2020-12.")]
pub(super) struct SchemaArgs {}

pub(super) fn run(_: &SchemaArgs, terminal: &Terminal) -> Exit {
    terminal.json(&document());
    Exit::Done
}

/// A name, as in the grammar.
const NAME: &str =
    r"^[A-Za-z_][A-Za-z0-9_]*(-[A-Za-z0-9_]+)*(\.[A-Za-z_][A-Za-z0-9_]*(-[A-Za-z0-9_]+)*)*$";
/// An expression that is more than a literal: it begins with a name or a bracket,
/// or goes on behind a number.
const FORMULA: &str = r"^-?([A-Za-z_(].*|[0-9][0-9_]*[A-Za-zµ%]* *[-+*/] .+)$";
/// An expression where texts stand.
const MARKED: &str = r"^= .+$";

fn document() -> Value {
    let mut properties = Map::new();
    let mut set = |name: &str, value: Value| {
        properties.insert(name.to_owned(), value);
    };
    for (word, _, summary) in schema::STATEMENTS {
        let shape = match word {
            "language" => json!({ "const": 1 }),
            "include" => json!({ "anyOf": [
                { "$ref": "#/$defs/path" },
                { "type": "array", "items": { "$ref": "#/$defs/path" } },
            ]}),
            "const" => named(json!({ "$ref": "#/$defs/constant" })),
            "set" => named(json!({ "$ref": "#/$defs/members" })),
            // `use` stands among rules.
            _ => continue,
        };
        set(word, with(shape, summary));
    }
    for kind in &schema::BLOCKS {
        let shape = match kind.word {
            "policy" => policy(kind),
            "rules" => rules("rule"),
            "balance" => balance(kind),
            "test" => test(),
            _ if kind.many => named(json!({ "anyOf": [body(kind), { "type": "null" }] })),
            _ => body(kind),
        };
        set(kind.word, with(shape, &about(kind.summary, kind.engine)));
    }
    set(
        "groups",
        with(
            named(rules("grouped_rule")),
            "groups of rules, each placed by `use`",
        ),
    );
    if let Some(tier) = schema::block("tier") {
        let tiers = named(body(tier));
        let shape = object(json!({ "tier": tiers }), &[]);
        set(
            "override",
            with(shape, "changes fields of tiers that another file defines"),
        );
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "edict policy",
        "description": "The YAML form of a policy for `edict`, or of a file that a policy includes",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "$defs": definitions(),
    })
}

fn with(mut shape: Value, description: &str) -> Value {
    if let Some(fields) = shape.as_object_mut() {
        fields.insert("description".to_owned(), description.into());
    }
    shape
}

fn about(summary: &str, engine: Engine) -> String {
    match engine {
        Engine::There => summary.to_owned(),
        Engine::Missing => format!("{summary} (not carried out by this version)"),
    }
}

fn object(properties: Value, required: &[&str]) -> Value {
    let mut shape = json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if let (Some(fields), false) = (shape.as_object_mut(), required.is_empty()) {
        fields.insert("required".to_owned(), json!(required));
    }
    shape
}

/// A mapping from names to something.
fn named(value: Value) -> Value {
    json!({
        "type": "object",
        "propertyNames": { "$ref": "#/$defs/name" },
        "additionalProperties": value,
    })
}

fn fields(kind: &BlockKind) -> Map<String, Value> {
    let described = |field: &Field| {
        let mut shape = with(value(field.ty), &about(field.summary, field.engine));
        if let Some(fields) = shape.as_object_mut() {
            let default = field.default.map(|default| literal(field.ty, default));
            fields.extend(default.map(|default| ("default".to_owned(), default)));
            if !matches!(field.ty, FieldType::Bounds) {
                let example = literal(field.ty, field.example);
                fields.insert("examples".to_owned(), json!([example]));
            }
        }
        (field.name.to_owned(), shape)
    };
    kind.fields.iter().map(described).collect()
}

fn required(kind: &BlockKind) -> Vec<&'static str> {
    let fields = kind.fields.iter().filter(|field| field.required);
    fields.map(|field| field.name).collect()
}

fn body(kind: &BlockKind) -> Value {
    object(fields(kind).into(), &required(kind))
}

fn policy(kind: &BlockKind) -> Value {
    let mut fields = fields(kind);
    let name = json!({ "$ref": "#/$defs/name", "description": "the name of the policy" });
    fields.insert("name".to_owned(), name);
    object(fields.into(), &["name"])
}

fn balance(kind: &BlockKind) -> Value {
    let mut fields = fields(kind);
    let moves = json!({ "type": "array", "items": { "$ref": "#/$defs/move" } });
    fields.insert(
        "rules".to_owned(),
        with(moves, "when tasks move, and how far"),
    );
    object(fields.into(), &[])
}

fn rules(item: &str) -> Value {
    json!({ "type": "array", "items": { "$ref": format!("#/$defs/{item}") } })
}

fn test() -> Value {
    let name = json!({ "type": "string", "description": "a sentence that says what holds" });
    let by = json!({
        "anyOf": [{ "$ref": "#/$defs/name" }, { "const": "otherwise" }],
        "description": "the rule that must decide",
    });
    let item = object(
        json!({
            "name": name,
            "task": { "$ref": "#/$defs/task" },
            "expect": { "$ref": "#/$defs/name", "description": "the tier that it must be in" },
            "by": by,
        }),
        &["name", "task", "expect"],
    );
    json!({ "type": "array", "items": item })
}

/// A literal of the block form as the value that YAML makes of it.
fn literal(ty: FieldType, text: &str) -> Value {
    match ty {
        FieldType::Count(..) => text
            .parse::<i64>()
            .map_or_else(|_| text.into(), Value::from),
        FieldType::Truth => (text == "true").into(),
        FieldType::Tiers | FieldType::Attributes => {
            let inner = text.trim_matches(['[', ']']);
            let items = inner
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty());
            items.map(Value::from).collect()
        }
        _ => text.trim_matches('"').into(),
    }
}

/// What a field takes.
fn value(ty: FieldType) -> Value {
    let text = |pattern: &str| {
        json!({ "anyOf": [
            { "type": "string", "pattern": pattern },
            { "type": "string", "pattern": MARKED },
        ]})
    };
    match ty {
        FieldType::Text => json!({ "type": "string" }),
        FieldType::Kernel => text(r"^[0-9]+\.[0-9]+(\.[0-9]+)?$"),
        FieldType::Digest => text("^[0-9a-fA-F]{64}$"),
        FieldType::Path => json!({ "$ref": "#/$defs/path" }),
        FieldType::Cpus => text(r"^([0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*|(llc|node) [0-9]+)$"),
        FieldType::Count(low, high) => json!({ "anyOf": [
            { "type": "integer", "minimum": low, "maximum": high },
            { "$ref": "#/$defs/formula" },
        ]}),
        FieldType::Duration(..) => amount(Unit::Duration),
        FieldType::Ratio(..) => amount(Unit::Ratio),
        FieldType::Bytes(..) => amount(Unit::Bytes),
        FieldType::Truth => json!({ "anyOf": [{ "type": "boolean" }, { "$ref": "#/$defs/name" }] }),
        FieldType::Choice(choices) => json!({ "enum": choices }),
        FieldType::Model => json!({ "$ref": "#/$defs/name" }),
        FieldType::Tiers => json!({
            "type": "array",
            "items": { "$ref": "#/$defs/name" },
            "uniqueItems": true,
        }),
        FieldType::Attributes => {
            let is_number = |about: &&About| about.ty != Type::Text;
            let names: Vec<&str> = ATTRIBUTES
                .iter()
                .filter(is_number)
                .map(|a| a.name)
                .collect();
            json!({ "type": "array", "items": { "enum": names }, "minItems": 1 })
        }
        FieldType::Bounds => json!({
            "type": "object",
            "propertyNames": { "pattern": r"^[^.]+\.[a-z_]+$" },
            "additionalProperties": { "type": "string", "pattern": r"^.+\.\..+$" },
        }),
    }
}

/// A number with a unit, or something that is calculated.
fn amount(unit: Unit) -> Value {
    let name = match unit {
        Unit::Duration => "duration",
        Unit::Ratio => "ratio",
        Unit::Bytes => "size",
    };
    json!({ "$ref": format!("#/$defs/{name}") })
}

/// The pattern of a number with a unit of a kind.
fn pattern(unit: Unit) -> String {
    let units = UNITS.iter().filter(|(_, of, _)| *of == unit);
    let units: Vec<&str> = units.map(|(name, ..)| *name).collect();
    format!("[0-9][0-9_]*({})", units.join("|"))
}

/// The value of an attribute of a task.
fn attribute(about: &About) -> Value {
    let unit = match about.ty {
        Type::Text => return with(json!({ "type": "string" }), about.summary),
        Type::Bool => {
            let shape = json!({ "anyOf": [
                { "type": "boolean" },
                { "type": "string", "pattern": MARKED },
            ]});
            return with(shape, about.summary);
        }
        Type::Count => {
            let mut number = json!({ "type": "integer" });
            if let (Some(fields), Some((low, high))) = (number.as_object_mut(), about.range) {
                fields.insert("minimum".to_owned(), low.into());
                if high < i64::MAX {
                    fields.insert("maximum".to_owned(), high.into());
                }
            }
            let shape = json!({ "anyOf": [number, { "type": "string", "pattern": MARKED }] });
            return with(shape, about.summary);
        }
        Type::Duration => Unit::Duration,
        Type::Ratio => Unit::Ratio,
    };
    let shape = json!({ "anyOf": [
        { "type": "string", "pattern": format!("^-?{}$", pattern(unit)) },
        { "type": "string", "pattern": MARKED },
    ]});
    with(shape, about.summary)
}

fn definitions() -> Value {
    let amount = |unit: Unit, example: &str| {
        json!({
            "anyOf": [
                { "type": "string", "pattern": format!("^-?{}$", pattern(unit)) },
                { "$ref": "#/$defs/formula" },
            ],
            "examples": [example],
        })
    };
    let scalar = json!(["string", "integer", "boolean"]);
    let name = |what: &str| json!({ "$ref": "#/$defs/name", "description": what });
    let when = json!({ "$ref": "#/$defs/condition" });
    let rule = |last: bool| {
        let mut properties = json!({
            "name": name("what statistics and explanations call the rule"),
            "when": when,
            "tier": name("the tier that a task goes to"),
            "use": name("a group whose rules stand here; beside nothing else"),
        });
        let mut kinds = vec![
            json!({ "required": ["when", "tier"], "not": { "required": ["use"] } }),
            json!({ "required": ["use"], "maxProperties": 1 }),
        ];
        if let (true, Some(fields)) = (last, properties.as_object_mut()) {
            fields.insert(
                "otherwise".to_owned(),
                name("the tier of every other task; last"),
            );
            let others = json!({ "anyOf": [
                { "required": ["when"] }, { "required": ["tier"] }, { "required": ["use"] },
            ]});
            kinds.push(json!({ "required": ["otherwise"], "not": others }));
            if let Some(first) = kinds.first_mut() {
                *first = json!({
                    "required": ["when", "tier"],
                    "not": { "anyOf": [{ "required": ["use"] }, { "required": ["otherwise"] }] },
                });
            }
        }
        let mut shape = object(properties, &[]);
        if let Some(fields) = shape.as_object_mut() {
            fields.insert("oneOf".to_owned(), kinds.into());
        }
        shape
    };
    let attributes: Map<String, Value> = ATTRIBUTES
        .iter()
        .map(|about| (about.name.to_owned(), attribute(about)))
        .collect();
    json!({
        "name": {
            "type": "string",
            "pattern": NAME,
            "not": { "enum": crate::syntax::RESERVED },
        },
        "formula": { "type": "string", "pattern": FORMULA, "description": "an expression of constants and numbers" },
        "path": { "type": "string", "pattern": "^[^/].*$", "description": "a path relative to this file, inside of the pack" },
        "duration": amount(Unit::Duration, "5ms"),
        "ratio": amount(Unit::Ratio, "50%"),
        "size": amount(Unit::Bytes, "4KiB"),
        "constant": { "type": scalar, "description": "in quotes a text, without quotes a number or an expression" },
        "members": {
            "anyOf": [
                { "type": "array", "items": { "type": scalar } },
                { "type": "string", "description": "an expression" },
            ],
            "description": "texts, or numbers; `= NAME` is a constant",
        },
        "condition": {
            "type": ["string", "boolean"],
            "description": "an expression over the attributes of a task, as `comm in shells and nice <= 0`",
            "examples": ["comm in shells and nice <= 0"],
        },
        "rule": rule(true),
        "grouped_rule": rule(false),
        "move": object(
            json!({
                "name": name("what statistics call the rule"),
                "when": when,
                "for": amount_of_time(),
                "migrate": { "enum": ["llc", "node"], "description": "how far tasks may move" },
            }),
            &["when", "migrate"],
        ),
        "task": {
            "type": "object",
            "properties": attributes,
            "additionalProperties": false,
            "description": "the attributes of a task; one that is left out is unknown",
        },
    })
}

fn amount_of_time() -> Value {
    with(
        amount(Unit::Duration),
        "for how long the condition must have held",
    )
}
