//! `edict status`: what is in force, and what each tier gets.

use clap::Args;

use super::serving::{self, SocketArgs};
use super::{Exit, Terminal};

/// Print what is in force, and what each tier and rule got since the last commit
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  edict status
  edict status --format json | jq '.tiers[] | {name, share, ticket_share}'
  watch -n1 edict status

`cpu` is the part of the CPU time of all tiers that a tier got since the last
commit, `due` its part of the tickets. A tier may get more than is due while
others have nothing to run.")]
pub(super) struct StatusArgs {
    #[command(flatten)]
    socket: SocketArgs,
}

#[cfg(not(feature = "live"))]
pub(super) fn run(_: &StatusArgs, terminal: &Terminal) -> Exit {
    serving::absent(terminal)
}

#[cfg(feature = "live")]
pub(super) use with::{nanos, picture, run};

#[cfg(feature = "live")]
mod with {
    use super::{Exit, StatusArgs, Terminal, serving};
    use crate::agent::protocol::Request;
    use crate::agent::report::Status;
    use crate::cli::Format;
    use crate::cli::terminal::{Align, table};
    use crate::diag::visible;

    pub(in crate::cli) fn run(args: &StatusArgs, terminal: &Terminal) -> Exit {
        match serving::ask::<Status>(&args.socket, &Request::Status {}, terminal) {
            Ok(status) => {
                match terminal.format() {
                    Format::Json => terminal.json(&status),
                    Format::Human | Format::Plain => {
                        terminal.print(&picture(terminal, &status));
                    }
                }
                Exit::Done
            }
            Err(exit) => exit,
        }
    }

    pub(in crate::cli) fn picture(terminal: &Terminal, status: &Status) -> String {
        let mut out = String::new();
        let version = status.version.as_deref().unwrap_or("");
        let mut line = |name: &str, value: String| {
            out.push_str(&format!("{name:<12}{value}\n"));
        };
        line("backend", status.backend.clone());
        line("state", status.state.clone());
        line(
            "policy",
            visible(format!("{} {version}", status.policy).trim_end()).into_owned(),
        );
        line("path", visible(&status.path).into_owned());
        line(
            "generation",
            format!(
                "{}, committed {} ago",
                status.generation,
                ago(status.since_commit_s)
            ),
        );
        line("digest", status.digest.clone());
        line(
            "attached",
            format!(
                "{} ago by process {}{}",
                ago(status.uptime_s),
                status.agent_pid,
                status
                    .enable_seq
                    .map_or(String::new(), |seq| format!(", enable_seq {seq}"))
            ),
        );
        line("watching", status.watching.clone());
        line("rejected", status.rejected.to_string());
        line(
            "last error",
            match &status.last_error {
                Some(error) => terminal.red(error),
                None => "none".to_owned(),
            },
        );
        out.push('\n');
        out.push_str(&tiers(status));
        out.push('\n');
        out.push_str(&rules(status));
        if status.unmatched > 0 {
            out.push_str(&format!("\nunmatched   {}\n", status.unmatched));
        }
        out
    }

    fn tiers(status: &Status) -> String {
        let mut head = vec![
            ("tier", Align::Left),
            ("tasks", Align::Right),
            ("tickets", Align::Right),
            ("cpu", Align::Right),
            ("due", Align::Right),
            ("runtime", Align::Right),
            ("dispatches", Align::Right),
            ("wait p50", Align::Right),
            ("p99", Align::Right),
            ("max", Align::Right),
        ];
        // Few policies have them.
        let is_limited = status.tiers.iter().any(|tier| tier.budget.is_some());
        let is_confined = status.tiers.iter().any(|tier| tier.cpus.is_some());
        head.extend(is_limited.then_some(("budget", Align::Right)));
        head.extend(is_confined.then_some(("cpus", Align::Left)));
        let rows: Vec<Vec<String>> = status
            .tiers
            .iter()
            .map(|tier| {
                let mut row = vec![
                    tier.name.clone(),
                    tier.tasks.to_string(),
                    tier.tickets.to_string(),
                    percent(tier.share),
                    percent(tier.ticket_share),
                    nanos(tier.runtime_ns),
                    tier.dispatches.to_string(),
                    micros(tier.wait_p50_us),
                    micros(tier.wait_p99_us),
                    micros(tier.wait_max_us),
                ];
                if is_limited {
                    row.push(tier.budget.map_or("none".to_owned(), percent));
                }
                if is_confined {
                    row.push(tier.cpus.clone().unwrap_or_else(|| "all".to_owned()));
                }
                row
            })
            .collect();
        table(&head, &rows)
    }

    fn rules(status: &Status) -> String {
        let head = [
            ("rule", Align::Left),
            ("tier", Align::Left),
            ("hits", Align::Right),
        ];
        let rows: Vec<Vec<String>> = status
            .rules
            .iter()
            .map(|rule| vec![rule.name.clone(), rule.tier.clone(), rule.hits.to_string()])
            .collect();
        table(&head, &rows)
    }

    fn percent(part: f64) -> String {
        format!("{:.1}%", part * 100.0)
    }

    fn micros(value: u64) -> String {
        nanos(value.saturating_mul(1_000))
    }

    /// Three digits at most, and a unit.
    pub(in crate::cli) fn nanos(value: u64) -> String {
        let number = value as f64;
        let (number, unit) = match value {
            0 => return "0".to_owned(),
            1..1_000 => (number, "ns"),
            1_000..1_000_000 => (number / 1e3, "us"),
            1_000_000..1_000_000_000 => (number / 1e6, "ms"),
            _ => (number / 1e9, "s"),
        };
        match number {
            number if number < 10.0 => format!("{number:.1}{unit}"),
            number => format!("{number:.0}{unit}"),
        }
    }

    /// `3 s`, `2 min 5 s`, `3 h 7 min`, `2 d 4 h`
    fn ago(seconds: u64) -> String {
        let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
        let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
        match seconds {
            0..60 => format!("{rest} s"),
            60..3_600 => format!("{minutes} min {rest} s"),
            3_600..86_400 => format!("{hours} h {minutes} min"),
            _ => format!("{days} d {hours} h"),
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use crate::agent::report::{RuleStatus, TierStatus};
        use crate::cli::Color;

        fn status() -> Status {
            let tier = |name: &str, tickets, runtime_ns, share| TierStatus {
                name: name.into(),
                tasks: 12,
                runtime_ns,
                dispatches: 48_211,
                tickets,
                share,
                ticket_share: 0.5,
                wait_p50_us: 12,
                wait_p99_us: 3_100,
                wait_max_us: 9_900,
                preemptions: 3,
                budget: None,
                cpus: None,
            };
            Status {
                backend: "sched_ext".into(),
                state: "rejected".into(),
                generation: 7,
                digest: "1a2b3c4d".repeat(8),
                policy: "desktop".into(),
                version: Some("1.0".into()),
                path: "policies/desktop".into(),
                enable_seq: Some(3),
                uptime_s: 3_725,
                since_commit_s: 61,
                rejected: 1,
                last_error: Some("E0209: no `otherwise` rule (policy.edict:9)".into()),
                watching: "events".into(),
                agent_pid: 411,
                tiers: vec![
                    tier("critical", 800, 12_300_000_000, 0.871),
                    tier("batch", 20, 0, 0.0),
                ],
                rules: vec![
                    RuleStatus {
                        name: "edge".into(),
                        tier: "critical".into(),
                        hits: 31,
                    },
                    RuleStatus {
                        name: "otherwise".into(),
                        tier: "batch".into(),
                        hits: 4_000,
                    },
                ],
                unmatched: 0,
            }
        }

        #[test]
        fn the_picture_is_aligned() {
            let terminal = Terminal::new(Format::Human, Color::Never);
            let expected = "\
backend     sched_ext
state       rejected
policy      desktop 1.0
path        policies/desktop
generation  7, committed 1 min 1 s ago
digest      1a2b3c4d1a2b3c4d1a2b3c4d1a2b3c4d1a2b3c4d1a2b3c4d1a2b3c4d1a2b3c4d
attached    1 h 2 min ago by process 411, enable_seq 3
watching    events
rejected    1
last error  E0209: no `otherwise` rule (policy.edict:9)

tier      tasks  tickets    cpu    due  runtime  dispatches  wait p50    p99    max
critical     12      800  87.1%  50.0%      12s       48211      12us  3.1ms  9.9ms
batch        12       20   0.0%  50.0%        0       48211      12us  3.1ms  9.9ms

rule       tier      hits
edge       critical    31
otherwise  batch     4000
";
            assert_eq!(picture(&terminal, &status()), expected);
        }

        #[test]
        fn limits_are_shown_where_there_are_any() {
            let mut status = status();
            status.tiers[0].cpus = Some("0-3,8".into());
            status.tiers[1].budget = Some(0.3);
            let expected = "\
tier      tasks  tickets    cpu    due  runtime  dispatches  wait p50    p99    max  budget  cpus
critical     12      800  87.1%  50.0%      12s       48211      12us  3.1ms  9.9ms    none  0-3,8
batch        12       20   0.0%  50.0%        0       48211      12us  3.1ms  9.9ms   30.0%  all
";
            assert_eq!(tiers(&status), expected);
        }

        #[test]
        fn the_document_has_the_promised_keys() {
            let document = serde_json::to_value(status()).unwrap();
            for key in [
                "backend",
                "state",
                "generation",
                "digest",
                "policy",
                "enable_seq",
                "last_error",
                "tiers",
                "rules",
            ] {
                assert!(document.get(key).is_some(), "{key}");
            }
            let tier = &document["tiers"][0];
            for key in [
                "name",
                "tasks",
                "runtime_ns",
                "dispatches",
                "tickets",
                "share",
                "wait_p50_us",
                "wait_p99_us",
            ] {
                assert!(tier.get(key).is_some(), "{key}");
            }
            assert_eq!(document["rules"][0]["hits"], 31);
        }
    }
}
