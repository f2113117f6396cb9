//! `edict eval`: which tier would a task be in?

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::policy::{self, Built};
use super::{Exit, Format, Terminal, parse_task};
use crate::check::{Attribute, Policy};
use crate::diag::{Files, visible};
use crate::eval::{Explanation, Residual, explain, residual};
use crate::source::SourceSet;

/// Say which tier a described task would be in, and why
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  edict eval policies/desktop --task 'comm=cc1plus nice=5'
  edict eval policies/desktop --task 'comm=\"Web Content\" uid=1000'
  edict eval --format json policies/desktop --task runtime_avg=2ms
  edict eval policies/desktop --task 'comm=bash kthread=false' --unknown nice,cgroup

An attribute that is left out is unknown: every condition on it is false, and
so is its negation. `edict explain` lists the attributes. Nothing is read from
the machine: the answer is the same everywhere.

With --unknown, what is left of the policy for such a task is printed: the rules
that can still decide, and what they still ask of the attributes that are open.")]
pub(super) struct EvalArgs {
    /// A policy file, a directory with a policy, or `-`
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// The task: pairs of attribute and value, such as `comm=nginx nice=-5`
    #[arg(
        long,
        value_name = "ATTRIBUTES",
        default_value = "",
        allow_hyphen_values = true
    )]
    task: String,
    /// Attributes that may have any value: print the rules that can still decide
    #[arg(long, value_name = "ATTRIBUTES", value_delimiter = ',', value_parser = super::snapshot::attribute)]
    unknown: Vec<Attribute>,
}

pub(super) fn run(args: &EvalArgs, terminal: &Terminal) -> Exit {
    let task = match parse_task(&args.task) {
        Ok(task) => task,
        Err(error) => return super::fail(terminal, &error.message, error.help.as_deref()),
    };
    let (Built { policy, .. }, files) = match policy::valid(&args.path, terminal) {
        Ok(valid) => valid,
        Err(exit) => return exit,
    };
    if !args.unknown.is_empty() {
        if let Some(twice) = args.unknown.iter().find(|one| task.value(**one).is_some()) {
            return super::fail(
                terminal,
                &format!("`{twice}` is given by --task and open by --unknown"),
                Some("leave it out of one of them"),
            );
        }
        let rest = residual(&policy, &task, &args.unknown);
        match terminal.format() {
            Format::Json => terminal.json(&residual_json(&policy, &files, &rest)),
            Format::Human | Format::Plain => terminal.print(&residual_text(&policy, &rest)),
        }
        return Exit::Done;
    }
    let explanation = explain(&policy, &task);
    match terminal.format() {
        Format::Json => terminal.json(&document(&policy, &files, &explanation)),
        Format::Plain => {
            let verdict = verdict(&policy, &files, &explanation);
            terminal.print(&format!("{}\t{}\n", verdict.tier, verdict.rule));
        }
        Format::Human => terminal.print(&picture(terminal, &policy, &files, &explanation)),
    }
    Exit::Done
}

/// What is left of a policy, as rules that could stand in one.
fn residual_text(policy: &Policy, rest: &Residual) -> String {
    let mut left: Vec<(String, String, &str)> = Vec::new();
    for one in &rest.rules {
        let rule = policy.rules().get(usize::from(one.rule.0));
        // A rule without a label is called after its line, and `a.b` names a rule
        // of a group: neither can be written in front of a rule.
        let is_label = rule.is_some_and(|rule| rule.is_labelled() && rule.when.is_some());
        let label = match is_label && !one.name.contains('.') {
            true => format!("{}: ", one.name),
            false => String::new(),
        };
        let asks = match &one.text {
            Some(text) => format!("when {text}"),
            None => "otherwise".to_owned(),
        };
        let tier = policy.tier(one.tier).map_or("", |tier| &tier.name);
        left.push((label, asks, tier));
    }
    let width = |texts: &mut dyn Iterator<Item = &String>| {
        texts.map(|text| text.chars().count()).max().unwrap_or(0)
    };
    let labels = width(&mut left.iter().map(|(label, ..)| label));
    let asks = width(&mut left.iter().map(|(_, asks, _)| asks));
    left.iter()
        .map(|(label, ask, tier)| format!("{label:labels$}{ask:asks$} -> {tier}\n"))
        .collect()
}

fn residual_json(policy: &Policy, files: &SourceSet, rest: &Residual) -> serde_json::Value {
    let rules: Vec<serde_json::Value> = rest
        .rules
        .iter()
        .map(|one| {
            let rule = policy.rules().get(usize::from(one.rule.0));
            json!({
                "rule": one.name,
                "file": rule.map_or("", |rule| files.name(rule.span.file)),
                "line": one.line,
                "tier": policy.tier(one.tier).map(|tier| &tier.name),
                "when": one.text,
            })
        })
        .collect();
    json!({ "rules": rules })
}

/// The verdict in words.
pub(super) struct Words {
    pub(super) tier: String,
    pub(super) rule: String,
    pub(super) file: String,
    pub(super) line: u32,
    /// The line of the policy that decided.
    pub(super) source: String,
}

/// The names of what an explanation decides, and where the rule stands.
pub(super) fn verdict(policy: &Policy, files: &SourceSet, explanation: &Explanation) -> Words {
    let rule = policy.rules().get(usize::from(explanation.verdict.rule.0));
    let tier = policy.tier(explanation.verdict.tier);
    Words {
        tier: tier.map_or(String::new(), |tier| tier.name.clone()),
        rule: rule.map_or(String::new(), |rule| rule.name.clone()),
        file: rule.map_or(String::new(), |rule| files.name(rule.span.file).to_owned()),
        line: rule.map_or(0, |rule| rule.line),
        source: rule.map_or(String::new(), |rule| {
            rule.span.of(files.text(rule.span.file)).trim().to_owned()
        }),
    }
}

/// The steps of an explanation for programs.
pub(super) fn trace(explanation: &Explanation) -> serde_json::Value {
    explanation
        .trace
        .iter()
        .map(|step| {
            json!({
                "rule": step.name,
                "line": step.line,
                "matched": step.matched,
                "because": step.because,
            })
        })
        .collect()
}

fn document(policy: &Policy, files: &SourceSet, explanation: &Explanation) -> serde_json::Value {
    let words = verdict(policy, files, explanation);
    json!({
        "tier": words.tier,
        "rule": words.rule,
        "file": words.file,
        "line": words.line,
        "trace": trace(explanation),
    })
}

fn picture(
    terminal: &Terminal,
    policy: &Policy,
    files: &SourceSet,
    explanation: &Explanation,
) -> String {
    let words = verdict(policy, files, explanation);
    let mut out = format!(
        "{} by {}, {}:{}\n",
        terminal.bold(&words.tier),
        words.rule,
        visible(&words.file),
        words.line
    );
    out.push_str(&source_lines(terminal, &words));
    out.push_str(&steps(terminal, explanation));
    let unknown: BTreeSet<Attribute> = explanation
        .trace
        .iter()
        .flat_map(|step| step.unknown.iter().copied())
        .collect();
    let asked: Vec<&str> = unknown.iter().map(|one| one.about().name).collect();
    if !asked.is_empty() {
        out.push_str(&format!(
            "  note: {} not given, so no condition on {} holds\n",
            match asked.as_slice() {
                [one] => format!("{one} is"),
                many => format!("{} are", many.join(", ")),
            },
            if asked.len() == 1 { "it" } else { "them" },
        ));
    }
    out
}

/// The rule as it is written, indented.
pub(super) fn source_lines(terminal: &Terminal, words: &Words) -> String {
    words
        .source
        .lines()
        .map(|line| format!("  {}\n", terminal.dim(line.trim())))
        .collect()
}

/// The trace, one line a rule.
pub(super) fn steps(terminal: &Terminal, explanation: &Explanation) -> String {
    let width = explanation
        .trace
        .iter()
        .map(|step| step.name.chars().count())
        .max()
        .unwrap_or(0);
    explanation
        .trace
        .iter()
        .map(|step| {
            let name = format!("{:width$}", step.name);
            match step.matched {
                true => format!(
                    "  {} {name}  {}\n",
                    terminal.green("✓"),
                    visible(&step.because)
                ),
                false => format!("  · {name}  {}\n", terminal.dim(&step.because)),
            }
        })
        .collect()
}
