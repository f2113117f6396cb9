//! `edict plan`: what a policy compiles to.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::policy::{self, Built};
use super::{Exit, Format, Terminal};
use crate::check::TierId;
use crate::diag::visible;
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
    /// A policy file, a directory with a policy, or `-`
    #[arg(value_name = "PATH")]
    path: PathBuf,
}

pub(super) fn run(args: &PlanArgs, terminal: &Terminal) -> Exit {
    let (Built { plan, image, .. }, _) = match policy::valid(&args.path, terminal) {
        Ok(valid) => valid,
        Err(exit) => return exit,
    };
    match terminal.format() {
        Format::Json => terminal.json(&document(&plan, &image)),
        Format::Human | Format::Plain => {
            terminal.print(&format!("{}\ndigest {}\n", picture(&plan), image.digest()));
        }
    }
    Exit::Done
}

/// The plan as it prints itself, but for its version: any text can be that.
fn picture(plan: &Plan) -> String {
    let text = plan.to_string();
    match plan.version() {
        Some(version) if visible(version) != version => {
            text.replacen(version, &visible(version), 1)
        }
        _ => text,
    }
}

fn document(plan: &Plan, image: &Image) -> Value {
    let name = |id: &TierId| plan.tiers().get(usize::from(id.0)).map(|tier| &tier.name);
    let tiers: Vec<Value> = plan
        .tiers()
        .iter()
        .map(|tier| {
            json!({
                "name": tier.name,
                "tickets": tier.tickets,
                "slice_ns": tier.slice.0,
                "order": tier.order.word(),
                "preempt": tier.preempt.iter().map(name).collect::<Vec<_>>(),
                "max_wait_ns": tier.max_wait.map(|wait| wait.0),
                "cpus": tier.cpus.as_ref().map(ToString::to_string),
                "exclusive": tier.exclusive,
                "perf_ppm": tier.perf.map(|perf| perf.0),
                "budget_ppm": tier.budget.map(|budget| budget.0),
                "burst_ns": tier.burst.map(|burst| burst.0),
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
                "tier": name(&rule.tier),
            })
        })
        .collect();
    let attributes: Vec<Value> = plan
        .attributes()
        .iter()
        .map(|planned| {
            json!({
                "name": planned.attribute.about().name,
                "slot": planned.slot.index(),
                "evaluated": match planned.placement {
                    Placement::Kernel => "kernel",
                    Placement::Agent => "agent",
                },
                "classes": planned.classes(),
                "kind": match planned.partition {
                    Partition::Text(_) => "text",
                    Partition::Pattern(_) => "pattern",
                    Partition::Number(_) => "number",
                },
            })
        })
        .collect();
    let lottery = plan.lottery();
    json!({
        "policy": plan.name(),
        "version": plan.version(),
        "digest": image.digest().to_string(),
        "between": lottery.between.word(),
        "refill_ns": lottery.refill.0,
        "compensate": lottery.compensate,
        "seed": lottery.seed,
        "tiers": tiers,
        "rules": rules,
        "clauses": plan.clauses().len(),
        "attributes": attributes,
        "text": plan.to_string(),
    })
}
