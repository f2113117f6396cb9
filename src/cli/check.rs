//! `edict check`: is the policy valid?

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::policy::{self, count, title};
use super::{Exit, Format, Terminal};
use crate::diag::{self, RenderOptions, Severity};

/// Say whether a policy is valid, and everything that is wrong with it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  edict check policies/desktop
  edict check --format plain policies/*/policy.edict
  edict check --format json --deny-warnings /etc/edict/policy.edict
  generate-policy | edict check -

A directory stands for the `policy.edict` in it, `-` for standard input. What
is wrong goes to standard output. Exit code 3 if any of the policies is not
valid.")]
pub(super) struct CheckArgs {
    /// Policy files, directories with a `policy.edict`, or `-`
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Treat warnings as errors
    #[arg(long)]
    deny_warnings: bool,
}

pub(super) fn run(args: &CheckArgs, terminal: &Terminal) -> Exit {
    let mut ok = true;
    let mut described = Vec::new();
    for path in &args.paths {
        let checked = match policy::check(path) {
            Ok(checked) => checked,
            Err(error) => return super::fail(terminal, &error.to_string(), None),
        };
        let mut diagnostics = checked.diagnostics;
        if let Some(policy) = &checked.policy
            && let Err(limits) = policy::compile(policy)
        {
            diagnostics.extend(limits);
        }
        let worst = diagnostics.iter().map(|d| d.severity).min();
        let valid = match worst {
            Some(Severity::Error) => false,
            Some(Severity::Warning) => !args.deny_warnings,
            _ => true,
        };
        ok &= valid;
        match terminal.format() {
            Format::Json => described.extend(diag::json::describe(&diagnostics, &checked.files)),
            format => {
                let options = RenderOptions {
                    color: terminal.colors_results(),
                    width: terminal.width(),
                };
                terminal.print(&diag::render(
                    &diagnostics,
                    &checked.files,
                    format.into(),
                    options,
                ));
            }
        }
        if format_is_human(terminal)
            && let (true, Some(policy)) = (valid, &checked.policy)
        {
            terminal.print(&format!(
                "{}: {}: policy {}, {}, {}\n",
                terminal.green("ok"),
                path.display(),
                title(policy),
                count(policy.tiers().len(), "tier"),
                count(policy.rules().len(), "rule"),
            ));
        }
    }
    if terminal.format() == Format::Json {
        terminal.json(&json!({ "ok": ok, "diagnostics": described }));
    }
    if ok { Exit::Done } else { Exit::Invalid }
}

fn format_is_human(terminal: &Terminal) -> bool {
    terminal.format() == Format::Human
}
