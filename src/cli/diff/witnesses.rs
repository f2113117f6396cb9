//! Tasks that two policies send to different tiers, found without any task.
//!
//! The analysis of conditions that finds unreachable rules also finds, for each
//! pair of rules that decide differently, a task for which they do: a few
//! attributes, everything else unknown. It knows no machine, so such a task may
//! be one that never runs; a snapshot tells what does.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::check::{Difference, Policy, RuleId, differences, task_text};
use crate::cli::describe::{quoted, value_json};
use crate::cli::terminal::{Align, table};
use crate::cli::{Format, Terminal};
use crate::diag::visible;

/// As many are looked for.
const MOST: usize = 200;

/// What was found.
pub(super) struct Witnesses {
    all: Vec<Witness>,
    complete: bool,
}

/// A task, and what becomes of it.
struct Witness {
    task: String,
    attributes: Map<String, Value>,
    from: String,
    to: String,
    old_rule: String,
    new_rule: String,
}

impl Witnesses {
    pub(super) fn between(old: &Policy, new: &Policy) -> Self {
        let found = differences(old, new, MOST);
        let decided = |policy: &Policy, rule: RuleId| {
            let rule = policy.rules().get(usize::from(rule.0));
            let tier = rule.and_then(|rule| policy.tier(rule.tier));
            (
                rule.map_or(String::new(), |rule| rule.name.clone()),
                tier.map_or(String::new(), |tier| tier.name.clone()),
            )
        };
        let witness = |difference: Difference| {
            let (old_rule, from) = decided(old, difference.old_rule);
            let (new_rule, to) = decided(new, difference.new_rule);
            let values = difference.values.iter();
            Witness {
                task: task_text(&difference.values),
                attributes: values
                    .map(|(attribute, value)| (attribute.to_string(), value_json(value)))
                    .collect(),
                from,
                to,
                old_rule,
                new_rule,
            }
        };
        Self {
            all: found.found.into_iter().map(witness).collect(),
            complete: found.complete,
        }
    }

    pub(super) fn is_any(&self) -> bool {
        !self.all.is_empty()
    }

    /// Whether every pair of rules was looked at to the end.
    pub(super) fn complete(&self) -> bool {
        self.complete
    }

    pub(super) fn document(&self) -> Value {
        self.all
            .iter()
            .map(|one| {
                json!({
                    "task": one.task,
                    "attributes": one.attributes,
                    "from": one.from,
                    "to": one.to,
                    "old_rule": one.old_rule,
                    "new_rule": one.new_rule,
                })
            })
            .collect()
    }

    pub(super) fn picture(&self, terminal: &Terminal) -> String {
        let mut out = String::new();
        if self.is_any() {
            let rows: Vec<Vec<String>> = self
                .all
                .iter()
                .map(|one| {
                    // Any task at all, where nothing needs to be known of it.
                    let task = match one.task.as_str() {
                        "" => "--task ''".to_owned(),
                        task => format!("--task {}", quoted(task)),
                    };
                    vec![
                        one.from.clone(),
                        one.to.clone(),
                        one.old_rule.clone(),
                        one.new_rule.clone(),
                        visible(&task).into_owned(),
                    ]
                })
                .collect();
            let head = [
                ("from", Align::Left),
                ("to", Align::Left),
                ("old rule", Align::Left),
                ("new rule", Align::Left),
                ("such as", Align::Left),
            ];
            out.push_str(&table(&head, &rows));
            if terminal.format() == Format::Human {
                out.push_str(&self.summary());
            }
        }
        if !self.complete && terminal.format() == Format::Human {
            out.push_str("\nnot every pair of rules could be compared: there may be more\n");
        }
        out
    }

    /// How many there are of each move, where that is not plain to see.
    fn summary(&self) -> String {
        let mut pairs: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for one in &self.all {
            *pairs.entry((&one.from, &one.to)).or_default() += 1;
        }
        if self.all.len() < 8 {
            return String::new();
        }
        let pairs: Vec<String> = pairs
            .into_iter()
            .map(|((from, to), count)| format!("{from} to {to} by {count}"))
            .collect();
        format!("\npairs of rules: {}\n", pairs.join(", "))
    }
}
