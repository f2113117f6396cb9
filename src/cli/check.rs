//! `edict check`: is the policy valid?

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::policy::{self, Examined, count, title};
use super::{Exit, Format, Terminal, watching};
use crate::diag::{self, RenderOptions, Severity, visible};

/// Say whether a policy is valid, and everything that is wrong with it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  edict check policies/desktop
  edict check --format plain policies/*/policy.edict
  edict check --format json --deny-warnings /etc/edict/policy.edict
  edict check --watch policies/desktop
  generate-policy | edict check -

A directory stands for the `policy.edict` in it, `-` for standard input. What
is wrong goes to standard output. Exit code 3 if any of the policies is not
valid; with --watch, that of the last run. With --watch and `--format json`
standard output is one document a line.")]
pub(super) struct CheckArgs {
    /// Policy files, directories with a `policy.edict`, or `-`
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Treat warnings as errors
    #[arg(long)]
    deny_warnings: bool,
    /// Check again whenever a file changes, until Ctrl-C
    #[arg(long)]
    watch: bool,
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
    for (path, examined) in args.paths.iter().zip(all) {
        let diagnostics = &examined.diagnostics;
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
    }
    if !ok && !has_errors {
        deny(terminal);
    }
    if terminal.format() == Format::Json {
        terminal.json(&json!({ "ok": ok, "diagnostics": described }));
    }
    if ok { Exit::Done } else { Exit::Invalid }
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
