//! `edict plan`: what a policy compiles to.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::{Exit, Format, Terminal, complain, policy};
use crate::image::Image;
use crate::plan::{Partition, Placement, Plan};

/// Print what a policy compiles to: tiers, clauses, and what is evaluated where
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  edict plan policies/desktop
  edict plan --format json policies/desktop | jq .digest

The digest is the one that `edict status` prints once the policy is in force:
the same policy gives the same digest on every machine.")]
pub(super) struct PlanArgs {
    /// A policy file, a directory with a `policy.edict`, or `-`
    #[arg(value_name = "PATH")]
    path: PathBuf,
}

pub(super) fn run(args: &PlanArgs, terminal: &Terminal) -> Exit {
    let (policy, files) = match policy::valid(&args.path, terminal) {
        Ok(valid) => valid,
        Err(exit) => return exit,
    };
    let (plan, image) = match policy::compile(&policy) {
        Ok(compiled) => compiled,
        Err(diagnostics) => return complain(terminal, &diagnostics, &files, Exit::Invalid),
    };
    match terminal.format() {
        Format::Json => terminal.json(&document(&plan, &image)),
        Format::Human | Format::Plain => {
            terminal.print(&format!("{plan}\ndigest {}\n", image.digest()));
        }
    }
    Exit::Done
}

fn document(plan: &Plan, image: &Image) -> Value {
    let tiers: Vec<Value> = image
        .tiers()
        .iter()
        .map(|tier| {
            json!({
                "name": tier.name,
                "tickets": tier.tickets,
                "slice_ns": tier.slice_ns,
                "max_wait_ns": tier.max_wait_ns,
            })
        })
        .collect();
    let rules: Vec<Value> = plan
        .rules()
        .iter()
        .map(|rule| {
            json!({
                "name": rule.name,
                "line": rule.line,
                "tier": image.tiers().get(usize::from(rule.tier.0)).map(|tier| &tier.name),
            })
        })
        .collect();
    let attributes: Vec<Value> = plan
        .attributes()
        .iter()
        .map(|planned| {
            json!({
                "name": planned.attribute.about().name,
                "evaluated": match planned.placement {
                    Placement::Kernel => "kernel",
                    Placement::Agent => "agent",
                },
                "classes": planned.rows.len(),
                "kind": match planned.partition {
                    Partition::Text(_) => "text",
                    Partition::Number(_) => "number",
                },
            })
        })
        .collect();
    json!({
        "policy": plan.name(),
        "version": plan.version(),
        "digest": image.digest().to_string(),
        "tiers": tiers,
        "rules": rules,
        "clauses": plan.clauses().len(),
        "attributes": attributes,
        "text": plan.to_string(),
    })
}
