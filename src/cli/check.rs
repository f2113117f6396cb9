//! `edict check`: is the policy valid?

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::policy::{self, Examined, count, title};
use super::{Exit, Format, Terminal, watching};
use crate::check::kernel::{self, Version};
use crate::check::overlaps;
use crate::diag::{self, Diagnostic, RenderOptions, Severity, visible};
use crate::plan::{Cost, Placement, cost};

/// Say whether a policy is valid, and everything that is wrong with it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  edict check policies/desktop
  edict check --format plain policies/*/policy.edict
  edict check --format json --deny-warnings /etc/edict/policy.edict
  edict check --watch policies/desktop
  edict check --kernel 6.16 --cost policies/desktop
  edict check --overlaps policies/desktop
  generate-policy | edict check -

A directory stands for the `policy.edict` or `policy.yaml` in it, `-` for
standard input. What is wrong goes to standard output. What is valid but not
carried out by this version is a note; `edict run` refuses it. Exit code 3 if
any of the policies is not valid; with --watch, that of the last run. With
--watch and `--format json` standard output is one document a line.")]
pub(super) struct CheckArgs {
    /// Policy files, directories with a policy, or `-`
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Treat warnings as errors
    #[arg(long)]
    deny_warnings: bool,
    /// Check for what a kernel of this version lacks, as `6.16`
    #[arg(long, value_name = "VERSION", value_parser = version)]
    kernel: Option<Version>,
    /// Warn of rules for different tiers that the same task meets, with such a task
    #[arg(long)]
    overlaps: bool,
    /// Say what the policy costs: room in a bank, look-ups, questions to the agent
    #[arg(long)]
    cost: bool,
    /// Check again whenever a file changes, until Ctrl-C
    #[arg(long)]
    watch: bool,
}

/// `6.16`
fn version(text: &str) -> Result<Version, String> {
    kernel::version(text).ok_or_else(|| "a version is written as `6.16`".to_owned())
}

pub(super) fn run(args: &CheckArgs, terminal: &Terminal) -> Exit {
    if let Err(exit) = policy::readable(&args.paths, args.watch, terminal) {
        return exit;
    }
    match args.watch {
        true => watching::again(&args.paths, terminal, |all| report(args, all, terminal)),
        false => report(args, &policy::examine_all(&args.paths), terminal),
    }
}

fn report(args: &CheckArgs, all: &[Examined], terminal: &Terminal) -> Exit {
    let mut ok = true;
    let mut has_errors = false;
    let mut described = Vec::new();
    let mut costs = Vec::new();
    for (path, examined) in args.paths.iter().zip(all) {
        let diagnostics = &complete(args, examined);
        let worst = diagnostics.iter().map(|d| d.severity).min();
        let valid = match worst {
            Some(Severity::Error) => {
                has_errors = true;
                false
            }
            Some(Severity::Warning) => !args.deny_warnings,
            _ => true,
        };
        ok &= valid;
        match terminal.format() {
            Format::Json => described.extend(diag::json::describe(diagnostics, &examined.files)),
            format => {
                let options = RenderOptions {
                    color: terminal.colors_results(),
                    width: terminal.width(),
                };
                terminal.print(&diag::render(
                    diagnostics,
                    &examined.files,
                    format.into(),
                    options,
                ));
            }
        }
        if terminal.format() == Format::Human
            && let (true, Some(built)) = (valid, &examined.built)
        {
            terminal.print(&format!(
                "{}: {}: policy {}, {}, {}\n",
                terminal.green("ok"),
                visible(&path.to_string_lossy()),
                title(&built.policy),
                count(built.policy.tiers().len(), "tier"),
                count(built.policy.rules().len(), "rule"),
            ));
        }
        if let (true, Some(built)) = (args.cost, &examined.built) {
            let cost = cost(&built.plan);
            match terminal.format() {
                Format::Json => costs.push(cost_json(&path.to_string_lossy(), &cost)),
                Format::Human | Format::Plain => terminal.print(&format!("\n{cost}")),
            }
        }
    }
    if !ok && !has_errors {
        deny(terminal);
    }
    if terminal.format() == Format::Json {
        let mut document = json!({ "ok": ok, "diagnostics": described });
        if let (true, Some(document)) = (args.cost, document.as_object_mut()) {
            document.insert("costs".to_owned(), costs.into());
        }
        terminal.json(&document);
    }
    if ok { Exit::Done } else { Exit::Invalid }
}

/// What is wrong, and what else was asked for.
fn complete(args: &CheckArgs, examined: &Examined) -> Vec<Diagnostic> {
    let mut all = examined.diagnostics.clone();
    let Some(built) = &examined.built else {
        return all;
    };
    let unready = built.policy.unready().iter().cloned();
    all.extend(unready.map(|diagnostic| diagnostic.severity(Severity::Note)));
    if let Some(version) = args.kernel {
        all.extend(kernel::lacking(&built.policy, version));
    }
    if args.overlaps {
        all.extend(overlaps(&built.policy));
    }
    all
}

fn cost_json(path: &str, cost: &Cost) -> Value {
    let attributes: Vec<Value> = cost
        .slots
        .iter()
        .map(|slot| {
            json!({
                "slot": slot.slot.to_string(),
                "evaluated": match slot.placement {
                    Placement::Kernel => "kernel",
                    Placement::Agent => "agent",
                },
                "classes": slot.classes,
                "names": slot.names,
                "bounds": slot.bounds,
                "patterns": slot.patterns,
                "hashes": slot.hashes,
                "comparisons": slot.comparisons,
                "bytes": slot.bytes,
                "agent_asked": slot.asked.map(|asked| asked.phrase()),
            })
        })
        .collect();
    let tables: Vec<Value> = cost
        .tables
        .iter()
        .map(|table| {
            json!({
                "what": table.what,
                "used": table.used,
                "most": table.most,
                "bytes": table.bytes(),
            })
        })
        .collect();
    json!({
        "path": path,
        "clauses": cost.clauses,
        "rows": cost.rows,
        "words": cost.words,
        "look_ups": cost.look_ups(),
        "bytes": cost.bytes(),
        "bytes_most": cost.bytes_most(),
        "attributes": attributes,
        "tables": tables,
    })
}

/// Say why there is a failure without an error. In a list for editors it has no
/// place, so there it is a complaint.
fn deny(terminal: &Terminal) {
    let line = "warnings are denied (--deny-warnings)\n";
    match terminal.format() {
        Format::Human => terminal.print(&format!("{}: {line}", terminal.red("not ok"))),
        Format::Plain => terminal.complain(&format!("edict: {line}")),
        Format::Json => {}
    }
}
