//! Which tasks of a snapshot would move, and how much CPU time they used.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Step;
use crate::check::{Attribute, Policy, RuleId};
use crate::cli::policy::count;
use crate::cli::terminal::{Align, table};
use crate::cli::{Format, Terminal};
use crate::diag::visible;
use crate::eval::evaluate;
use crate::hooks::snapshot::{Sampled, Snapshot};

/// As many tasks are named for each move.
const EXAMPLES: usize = 3;

/// The tasks that would move.
pub(super) struct Moves {
    /// By tiers and rules, those with the most CPU time first.
    all: Vec<Move>,
    /// All tasks of the snapshot, and their CPU time.
    tasks: usize,
    runtime: u64,
}

/// Tasks that would move from one tier to another, by one pair of rules.
struct Move {
    step: Step,
    tasks: usize,
    runtime: u64,
    /// The tasks with the most CPU time.
    examples: Vec<Example>,
}

struct Example {
    pid: u32,
    comm: String,
    runtime: u64,
}

impl Moves {
    pub(super) fn between(old: &Policy, new: &Policy, snapshot: &Snapshot) -> Self {
        let mut all: BTreeMap<(RuleId, RuleId), Move> = BTreeMap::new();
        // Without a window there is only the time of their whole lives.
        let runtime = |task: &Sampled| match snapshot.window_ns {
            0 => task.runtime_ns,
            _ => task.window_runtime_ns,
        };
        for sampled in &snapshot.tasks {
            let task = snapshot.whole(sampled);
            let (before, after) = (evaluate(old, &task), evaluate(new, &task));
            let tier = |policy: &Policy, id| policy.tier(id).map(|tier| tier.name.clone());
            if tier(old, before.tier) == tier(new, after.tier) {
                continue;
            }
            let entry = all
                .entry((before.rule, after.rule))
                .or_insert_with(|| Move {
                    step: Step::between((old, before.rule), (new, after.rule)),
                    tasks: 0,
                    runtime: 0,
                    examples: Vec::new(),
                });
            entry.tasks += 1;
            entry.runtime = entry.runtime.saturating_add(runtime(sampled));
            entry.examples.push(Example {
                pid: sampled.pid,
                comm: task.text(Attribute::Comm).unwrap_or("?").to_owned(),
                runtime: runtime(sampled),
            });
        }
        let mut all: Vec<Move> = all.into_values().collect();
        for one in &mut all {
            one.examples
                .sort_by_key(|example| (std::cmp::Reverse(example.runtime), example.pid));
            one.examples.truncate(EXAMPLES);
        }
        all.sort_by_key(|one| (std::cmp::Reverse(one.runtime), std::cmp::Reverse(one.tasks)));
        Self {
            all,
            tasks: snapshot.tasks.len(),
            runtime: snapshot
                .tasks
                .iter()
                .fold(0, |sum: u64, task| sum.saturating_add(runtime(task))),
        }
    }

    pub(super) fn is_any(&self) -> bool {
        !self.all.is_empty()
    }

    /// A part of the CPU time of all tasks.
    fn share(&self, runtime: u64) -> f64 {
        runtime as f64 / self.runtime.max(1) as f64
    }

    fn moved(&self) -> (usize, u64) {
        self.all.iter().fold((0, 0), |(tasks, runtime), one| {
            (tasks + one.tasks, runtime.saturating_add(one.runtime))
        })
    }

    pub(super) fn totals(&self) -> Value {
        let (tasks, runtime) = self.moved();
        json!({ "tasks": tasks, "runtime_ns": runtime, "share": self.share(runtime) })
    }

    pub(super) fn document(&self) -> Value {
        self.all
            .iter()
            .map(|one| {
                let examples: Vec<Value> = one
                    .examples
                    .iter()
                    .map(|example| json!({ "pid": example.pid, "comm": example.comm }))
                    .collect();
                one.step.document(json!({
                    "tasks": one.tasks,
                    "runtime_ns": one.runtime,
                    "share": self.share(one.runtime),
                    "examples": examples,
                }))
            })
            .collect()
    }

    pub(super) fn picture(&self, terminal: &Terminal, snapshot: &Snapshot) -> String {
        if !self.is_any() {
            return String::new();
        }
        let percent = |runtime| format!("{:.1}%", 100.0 * self.share(runtime));
        let mut out = String::new();
        if terminal.format() == Format::Human {
            let (tasks, runtime) = self.moved();
            out.push_str(&format!(
                "{tasks} of {} would move, with {} of the CPU time {} ({})\n\n",
                count(self.tasks, "task"),
                percent(runtime),
                match snapshot.window_ns {
                    0 => "of their lives".to_owned(),
                    nanos => format!("of {:.1} s", nanos as f64 / 1e9),
                },
                visible(&snapshot.time)
            ));
        }
        let rows: Vec<Vec<String>> = self
            .all
            .iter()
            .map(|one| {
                let examples: Vec<String> = one
                    .examples
                    .iter()
                    .map(|example| format!("{} ({})", visible(&example.comm), example.pid))
                    .collect();
                let more = [
                    one.tasks.to_string(),
                    percent(one.runtime),
                    examples.join(", "),
                ];
                one.step.cells().into_iter().chain(more).collect()
            })
            .collect();
        let more = [
            ("tasks", Align::Right),
            ("cpu", Align::Right),
            ("such as", Align::Left),
        ];
        out.push_str(&table(&[&Step::HEAD[..], &more].concat(), &rows));
        out
    }
}
