//! The schema that editors are given: it takes every policy that ships, and
//! refuses what is misspelt or of another type.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use edict::check::schema as tables;
use edict::check::{ATTRIBUTES, check_text};
use edict::diag::FileId;
use edict::syntax::{Form, parse_as, yaml};
use regex::Regex;
use serde_json::{Value, json};

/// What `edict schema` prints.
fn printed() -> String {
    let binary = env!("CARGO_BIN_EXE_edict");
    let run = std::process::Command::new(binary).arg("schema").output();
    let run = run.unwrap();
    assert!(run.status.success());
    String::from_utf8(run.stdout).unwrap()
}

fn schema() -> Value {
    serde_json::from_str(&printed()).unwrap()
}

/// A JSON Schema validator for the keywords that the schema uses; any other stops
/// the test. Tells where and by which keyword a value is refused.
fn validate(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let schema = schema.as_object().expect("a schema is an object");
    let fail = |keyword: &str| Err(format!("{at}: {keyword}: {value}"));
    let text = value.as_str();
    let fields = value.as_object();
    let items = value.as_array();
    let sub = |schema: &Value, value: &Value, at: &str| validate(root, schema, value, at);
    let holds = |schema: &Value| sub(schema, value, at).is_ok();
    for (keyword, rule) in schema {
        let all = || rule.as_array().unwrap().iter();
        let ok = match keyword.as_str() {
            "$schema" | "title" | "description" | "default" | "examples" | "$defs" => true,
            "$ref" => {
                let name = rule.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
                sub(&root["$defs"][name], value, at)?;
                true
            }
            "const" => value == rule,
            "enum" => all().any(|one| one == value),
            "type" => {
                let is = |ty: &Value| match ty.as_str().unwrap() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "integer" => value.is_i64() || value.is_u64(),
                    "boolean" => value.is_boolean(),
                    "null" => value.is_null(),
                    other => panic!("type {other}"),
                };
                if rule.is_array() {
                    all().any(is)
                } else {
                    is(rule)
                }
            }
            "pattern" => {
                text.is_none_or(|text| Regex::new(rule.as_str().unwrap()).unwrap().is_match(text))
            }
            "minimum" => value.as_i64().is_none_or(|n| n >= rule.as_i64().unwrap()),
            "maximum" => value.as_i64().is_none_or(|n| n <= rule.as_i64().unwrap()),
            "minItems" => items.is_none_or(|items| items.len() as u64 >= rule.as_u64().unwrap()),
            "uniqueItems" => items.is_none_or(|items| {
                let texts: BTreeSet<String> = items.iter().map(Value::to_string).collect();
                texts.len() == items.len()
            }),
            "maxProperties" => fields.is_none_or(|f| f.len() as u64 <= rule.as_u64().unwrap()),
            "required" => {
                fields.is_none_or(|f| all().all(|name| f.contains_key(name.as_str().unwrap())))
            }
            "items" => {
                for (index, item) in items.into_iter().flatten().enumerate() {
                    sub(rule, item, &format!("{at}[{index}]"))?;
                }
                true
            }
            "propertyNames" => {
                fields.is_none_or(|f| f.keys().all(|name| sub(rule, &json!(name), at).is_ok()))
            }
            "properties" => {
                for (name, rule) in rule.as_object().unwrap() {
                    if let Some(value) = value.get(name) {
                        sub(rule, value, &format!("{at}.{name}"))?;
                    }
                }
                true
            }
            "additionalProperties" => {
                let known = schema.get("properties").and_then(Value::as_object);
                for (name, value) in fields.into_iter().flatten() {
                    if known.is_some_and(|known| known.contains_key(name)) {
                        continue;
                    }
                    if rule == &json!(false) {
                        return Err(format!("{at}: no key {name}"));
                    }
                    sub(rule, value, &format!("{at}.{name}"))?;
                }
                true
            }
            "anyOf" => all().any(holds),
            "oneOf" => all().filter(|one| holds(one)).count() == 1,
            "not" => !holds(rule),
            other => panic!("the schema uses `{other}`, which this test does not know"),
        };
        if !ok {
            return fail(keyword);
        }
    }
    Ok(())
}

/// YAML as another program reads it.
fn json_of(yaml: &str) -> Value {
    serde_saphyr::from_str(yaml).unwrap_or_else(|error| panic!("{yaml}\n{error}"))
}

fn accepts(schema: &Value, yaml: &str) -> Result<(), String> {
    validate(schema, schema, &json_of(yaml), "")
}

/// Every file that ships, in the YAML form.
fn shipped() -> Vec<(String, String)> {
    fn below(directory: &Path, found: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                below(&path, found);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap_or_default();
            let name = path.display().to_string();
            if name.ends_with(".yaml") {
                found.push((name, text));
            } else if name.ends_with(".edict") {
                let ast = parse_as(Form::Native, FileId(0), &text).ast.unwrap();
                found.push((name, yaml::print(&ast, &[]).unwrap()));
            }
        }
    }
    let mut found = Vec::new();
    below(Path::new("policies"), &mut found);
    below(Path::new("examples"), &mut found);
    found
}

/// Everything that the language has.
const WHOLE: &str = r#"
language: 1
policy: { name: web-latency, version: "2.1.0", kernel: "6.12" }
include: [sets.edict, more.yaml]
const:
  base: 3ms
  long: base * 2
  shell: "bash"
  some: 5
set:
  edge: [nginx, envoy, "7z", = shell]
  ids: [0, 1000..1999]
tier:
  critical: { tickets: 800, slice: base, preempt: [regular], max_wait: 10ms, cpus: "0-3,8", exclusive: true }
  regular: { tickets: some * 20, slice: base * 2, order: fifo, perf: 80% }
  batch:
override:
  tier:
    background: { tickets: 5, slice: 20ms }
model:
  latcrit: { file: models/latcrit.onnx, inputs: [runtime_avg, wake_rate], budget: 200us, missing: 50% }
groups:
  web:
    - { name: edge, when: comm in edge and nice <= 0, tier: critical }
rules:
  - use: web
  - when: 'latcrit() > 80% and not kthread'
    tier: critical
  - otherwise: regular
lottery: { between: tiers, refill: 100ms, compensate: true, seed: 0 }
balance:
  rules:
    - { when: imbalance > 15%, for: 40ms, migrate: llc }
  max_moves: 2%
  model: latcrit
reward:
  script: hooks/reward.rhai
  every: 1s
  bounds: { critical.tickets: 400..1600, batch.slice: 5ms..40ms }
learn: { key: comm, limit: 64KiB, stale: 60s, min_confidence: 60% }
test:
  - name: nginx at default nice is critical
    task: { comm: nginx, nice: 0, kthread: false, runtime_avg: 3ms, cpu_util: 50%, parent.comm: bash }
    expect: critical
    by: web.edge
"#;

#[test]
fn the_schema_takes_what_ships() {
    let schema = schema();
    for (name, yaml) in shipped() {
        assert_eq!(accepts(&schema, &yaml), Ok(()), "{name}");
    }
    assert_eq!(accepts(&schema, WHOLE), Ok(()));
    assert!(
        parse_as(Form::Yaml, FileId(0), WHOLE)
            .diagnostics
            .is_empty()
    );
}

/// Each mistake in an otherwise good policy is refused by the schema, and by the
/// checker too.
#[test]
fn the_schema_refuses_mistakes() {
    let schema = schema();
    let mistakes = [
        ("tier:\n", "tiers:\n"),
        ("tickets: 800", "tikets: 800"),
        ("tickets: 800", "tickets: 5%"),
        ("tickets: 800", "tickets: 0"),
        ("tickets: 800", "tickets: \"800\""),
        ("tickets: 800", "tickets: 5ms"),
        ("max_wait: 10ms", "max_wait: 10"),
        ("max_wait: 10ms", "max_wait: 10 ms"),
        ("max_wait: 10ms", "max_wait: 10m"),
        ("max_wait: 10ms", "max_wait: [10ms]"),
        ("perf: 80%", "perf: 80"),
        ("order: fifo", "order: lifo"),
        ("preempt: [regular]", "preempt: regular"),
        ("cpus: \"0-3,8\"", "cpus: all"),
        ("exclusive: true", "exclusive: 1"),
        ("kernel: \"6.12\"", "kernel: 6.12"),
        ("kernel: \"6.12\"", "kernel: new"),
        ("name: web-latency, ", ""),
        ("name: web-latency", "name: web latency"),
        ("language: 1", "language: 2"),
        ("tier: critical\n", "teir: critical\n"),
        ("    tier: critical\n", ""),
        (
            "  - otherwise: regular",
            "  - otherwise: regular\n    when: nice > 5",
        ),
        ("  - use: web", "  - use: web\n    tier: batch"),
        ("between: tiers", "between: lots"),
        ("compensate: true", "compensate: \"5\""),
        ("migrate: llc", "migrate: core"),
        ("inputs: [runtime_avg, wake_rate]", "inputs: [comm]"),
        ("inputs: [runtime_avg, wake_rate]", "inputs: []"),
        ("file: models/latcrit.onnx, ", ""),
        ("critical.tickets: 400..1600", "critical.tickets: 400"),
        ("nice: 0", "nice: 40"),
        ("nice: 0", "niec: 0"),
        ("kthread: false", "kthread: nope"),
        ("runtime_avg: 3ms", "runtime_avg: 3"),
        ("    expect: critical\n", ""),
        ("edge: [nginx", "edge: [{ a: b }, nginx"),
        ("include: [sets.edict", "include: [/sets.edict"),
    ];
    let whole = without_what_is_elsewhere(WHOLE);
    assert!(
        is_clean(&whole),
        "{:?}",
        check_text("policy.yaml", &whole).diagnostics
    );
    for (right, wrong) in mistakes {
        assert!(WHOLE.contains(right), "{right}");
        let text = WHOLE.replacen(right, wrong, 1);
        assert!(accepts(&schema, &text).is_err(), "{wrong}");
        let text = without_what_is_elsewhere(&text);
        assert!(!is_clean(&text), "the checker takes: {wrong}");
    }
}

/// Includes and overrides are about other files.
fn without_what_is_elsewhere(text: &str) -> String {
    text.replace("include: [sets.edict, more.yaml]\n", "")
        .replace(
            "override:\n  tier:\n    background: { tickets: 5, slice: 20ms }\n",
            "",
        )
}

fn is_clean(text: &str) -> bool {
    let checked = check_text("policy.yaml", text);
    !checked
        .diagnostics
        .iter()
        .any(edict::diag::Diagnostic::is_error)
}

/// One fact, one home: the schema says what the tables say.
#[test]
fn the_schema_knows_every_word() {
    let schema = schema();
    for kind in tables::BLOCKS {
        let of = &schema["properties"][kind.word];
        assert!(
            of["description"]
                .as_str()
                .unwrap()
                .starts_with(kind.summary)
        );
        let all = of.to_string();
        for field in kind.fields {
            assert!(
                all.contains(&format!("\"{}\":", field.name)),
                "{}",
                field.name
            );
            assert!(
                all.contains(
                    &json!(field.summary)
                        .to_string()
                        .trim_matches('"')
                        .to_owned()
                )
            );
        }
    }
    for about in ATTRIBUTES {
        assert!(schema["$defs"]["task"]["properties"][about.name].is_object());
    }
    let keys: BTreeSet<&str> = schema["properties"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(keys, yaml::TOP.into_iter().collect());
}

/// `docs/editor/edict.schema.json` is what `edict schema` prints; after a change
/// that is meant, `EDICT_BLESS=1 cargo test --test schema`.
#[test]
fn the_schema_in_the_documentation_is_the_printed_one() {
    let printed = printed();
    let path = "docs/editor/edict.schema.json";
    if std::env::var_os("EDICT_BLESS").is_some() {
        fs::create_dir_all("docs/editor").unwrap();
        fs::write(path, &printed).unwrap();
    }
    assert_eq!(printed, fs::read_to_string(path).unwrap());
}
