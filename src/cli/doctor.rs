//! `edict doctor`: what this machine can do, and what to do about the rest.

use clap::Args;
use serde_json::json;

use super::terminal::{Align, table};
use super::{Exit, Format, Terminal};
use crate::live::{Finding, Verdict, probe};

/// Say what this machine can do, and what to do about what it cannot
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  edict doctor
  edict doctor --format json | jq '.findings[] | select(.verdict != \"good\")'

Needs no root, though root sees more. Exits with 0 whatever it finds, for it has
done what it was asked; scripts read `.ok` of `--format json`:
  edict doctor --format json | jq -e .ok")]
pub(super) struct DoctorArgs {}

pub(super) fn run(_: &DoctorArgs, terminal: &Terminal) -> Exit {
    let probe = probe();
    let findings = &probe.findings;
    let built_live = cfg!(feature = "live");
    let able = probe.sched_ext() && built_live;
    match terminal.format() {
        Format::Json => terminal.json(&json!({
            "ok": able,
            "kernel": probe.release,
            "backend": if able { "sched_ext" } else { "none" },
            "live": built_live,
            "findings": findings.iter().map(describe).collect::<Vec<_>>(),
        })),
        Format::Plain => {
            for finding in findings {
                terminal.print(&format!(
                    "{}\t{}\t{}\n",
                    finding.feature,
                    finding.verdict.word(),
                    finding.detail
                ));
            }
        }
        Format::Human => {
            terminal.print(&picture(findings));
            terminal.print(&match (able, built_live) {
                (true, _) => format!(
                    "\n{}\n",
                    terminal.green("`edict run` will use sched_ext here")
                ),
                (false, true) => format!(
                    "\n{}; check, eval, plan and explain work all the same\n",
                    terminal.red("`edict run` would be refused here")
                ),
                (false, false) => format!(
                    "\n{}; check, eval, plan and explain work all the same\n",
                    terminal.red(
                        "this edict was built without the feature `live` and cannot run a policy"
                    )
                ),
            });
        }
    }
    Exit::Done
}

fn describe(finding: &Finding) -> serde_json::Value {
    json!({
        "feature": finding.feature,
        "verdict": finding.verdict.word(),
        "detail": finding.detail,
        "cure": finding.cure,
        "code": finding.code.map(|code| code.to_string()),
    })
}

fn picture(findings: &[Finding]) -> String {
    let rows: Vec<Vec<String>> = findings
        .iter()
        .map(|finding| {
            let code = finding.code.map(|code| format!(" [{code}]"));
            vec![
                finding.feature.to_owned(),
                finding.verdict.word().to_owned(),
                format!("{}{}", finding.detail, code.unwrap_or_default()),
            ]
        })
        .collect();
    let head = [
        ("feature", Align::Left),
        ("verdict", Align::Left),
        ("seen", Align::Left),
    ];
    let mut out = table(&head, &rows);
    let mut cures = findings
        .iter()
        .filter(|finding| finding.verdict != Verdict::Good)
        .filter_map(|finding| Some((finding.feature, finding.cure.as_ref()?)))
        .peekable();
    if cures.peek().is_some() {
        out.push('\n');
    }
    for (feature, cure) in cures {
        out.push_str(&format!("{feature}: {cure}\n"));
    }
    out
}
