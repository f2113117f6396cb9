//! Tasks that two policies send to different tiers, found without any task.
//!
//! The analysis of conditions that finds unreachable rules also finds, for each
//! pair of rules that decide differently, a task for which they do: a few
//! attributes, everything else unknown. It knows no machine, so such a task may
//! be one that never runs; a snapshot tells what does.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Step;
use crate::check::{Difference, Policy, differences, task_text};
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
    step: Step,
}

impl Witnesses {
    pub(super) fn between(old: &Policy, new: &Policy) -> Self {
        let found = differences(old, new, MOST);
        let witness = |difference: Difference| {
            let values = difference.values.iter();
            Witness {
                task: task_text(&difference.values),
                attributes: values
                    .map(|(attribute, value)| (attribute.to_string(), value_json(value)))
                    .collect(),
                step: Step::between((old, difference.old_rule), (new, difference.new_rule)),
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
                one.step.document(json!({
                    "task": one.task,
                    "attributes": one.attributes,
                }))
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
                    let task = visible(&task).into_owned();
                    one.step.cells().into_iter().chain([task]).collect()
                })
                .collect();
            let such_as = ("such as", Align::Left);
            out.push_str(&table(&[&Step::HEAD[..], &[such_as]].concat(), &rows));
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
            *pairs.entry((&one.step.from, &one.step.to)).or_default() += 1;
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
