//! `edict status`: what is in force, and what each tier gets.

use clap::Args;

use super::serving::{self, SocketArgs, seconds};
use super::{Exit, Terminal};

/// Print what is in force, and what each tier and rule got since the last commit
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  edict status
  edict status --watch 5
  edict status --tasks 10 --watch
  edict status --prometheus > /var/lib/node_exporter/edict.prom
  edict status --format json | jq '.tiers[] | {name, share, due}'
  edict status --format json | jq '.tiers[].wait_histogram'

`cpu` is the part of the CPU time of all tiers that a tier got. `due` is its
part of the tickets of the tiers that had something to run: what it gets if it
always has something to run. It may get less because it had no more to run, and
more because others had not. Waits are counted in powers of two, so p50 to p99.9 are
the ends of buckets; `wait_histogram` has the counts.

`--watch` goes on printing, then in counts a second since the last time, and
with `--format json` one document a line with an `interval`. Ctrl-C ends.

`--tasks` shows each task's place on the virtual clock of its tier in ms, the
CPU it runs on or ran on last, the kernel's priority (120 at nice 0), and its
CPU time: since its birth, or since the last time. A task without a tier has
not run since the last commit.")]
pub(super) struct StatusArgs {
    #[command(flatten)]
    socket: SocketArgs,
    /// Go on, and print what has happened since: every second, or so often
    #[arg(long, value_name = "SECS", num_args = 0..=1, default_missing_value = "1",
          allow_negative_numbers = true, value_parser = seconds)]
    watch: Option<u64>,
    /// Print the tasks with the most CPU time instead, so many of them
    #[arg(long, value_name = "COUNT", num_args = 0..=1, default_missing_value = "20",
          value_parser = clap::value_parser!(u16).range(1..=10_000))]
    tasks: Option<u16>,
    /// Print the counters as Prometheus reads them
    #[arg(long, conflicts_with_all = ["watch", "tasks", "format"])]
    prometheus: bool,
}

#[cfg(not(feature = "live"))]
pub(super) fn run(args: &StatusArgs, terminal: &Terminal) -> Exit {
    let StatusArgs {
        socket: _,
        watch: _,
        tasks: _,
        prometheus: _,
    } = args;
    serving::absent(terminal)
}

#[cfg(feature = "live")]
pub(super) use with::{moment, run};

#[cfg(feature = "live")]
mod with {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use std::time::{Duration, Instant, SystemTime};

    use serde::de::DeserializeOwned;
    use signal_hook::consts::{SIGINT, SIGTERM};

    use super::{Exit, StatusArgs, Terminal, serving};
    use crate::agent::protocol::Request;
    use crate::agent::report::{Status, Tasks};
    use crate::cli::figures::{in_interval, moves, since_commit};
    use crate::cli::{Format, exposition, fail, listing};
    use crate::diag::visible;
    use crate::hooks::snapshot::rfc3339;

    pub(in crate::cli) fn run(args: &StatusArgs, terminal: &Terminal) -> Exit {
        if args.prometheus {
            return match serving::ask::<Status>(&args.socket, &Request::Status {}, terminal) {
                Ok(status) => {
                    terminal.document(&exposition::text(&status));
                    Exit::Done
                }
                Err(exit) => exit,
            };
        }
        match args.tasks {
            None => again(
                args,
                terminal,
                &Request::Status {},
                |status: &Status, before| match (before, terminal.format()) {
                    (Some(before), _) => moment(terminal, status.clone(), Some(before)),
                    (None, Format::Json) => terminal.json(status),
                    (None, _) => terminal.print(&picture(terminal, status)),
                },
            ),
            Some(most) => again(
                args,
                terminal,
                &Request::Tasks {},
                |tasks: &Tasks, before| {
                    let busy = listing::busiest(tasks, before, most.into());
                    match (before, terminal.format()) {
                        (_, Format::Json) => terminal.json(&Tasks {
                            tasks: busy.into_iter().map(|(_, task)| task).collect(),
                            ..tasks.clone()
                        }),
                        (Some(_), _) => {
                            let table = listing::picture(terminal, tasks, &busy);
                            terminal.print(&format!("\n{table}"));
                        }
                        (None, _) => terminal.print(&listing::picture(terminal, tasks, &busy)),
                    }
                },
            ),
        }
    }

    /// Asks and shows once, or until Ctrl-C, or until the agent or the reader
    /// has gone. `show` is given the last answer too.
    fn again<T: DeserializeOwned>(
        args: &StatusArgs,
        terminal: &Terminal,
        request: &Request,
        mut show: impl FnMut(&T, Option<&T>),
    ) -> Exit {
        let ask = || serving::ask::<T>(&args.socket, request, terminal);
        if args.watch.is_some() {
            terminal.one_document_a_line();
        }
        let mut last = match ask() {
            Ok(answer) => answer,
            Err(exit) => return exit,
        };
        show(&last, None);
        let Some(every) = args.watch.map(Duration::from_secs) else {
            return Exit::Done;
        };
        let ended = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            if let Err(error) = signal_hook::flag::register(signal, Arc::clone(&ended)) {
                return fail(terminal, &format!("signals: {error}"), None);
            }
        }
        let mut next = Instant::now() + every;
        loop {
            // A signal does not shorten a sleep, which starts again.
            while Instant::now() < next {
                if ended.load(Ordering::Relaxed) || terminal.is_unread() {
                    return Exit::Done;
                }
                let left = next.saturating_duration_since(Instant::now());
                thread::sleep(left.min(Duration::from_millis(20)));
            }
            next = (next + every).max(Instant::now());
            let answer = match ask() {
                Ok(answer) => answer,
                Err(exit) => return exit,
            };
            show(&answer, Some(&last));
            last = answer;
        }
    }

    /// What has happened since `before`, or since the commit.
    pub(in crate::cli) fn moment(terminal: &Terminal, mut status: Status, before: Option<&Status>) {
        let interval = status.since(before);
        if terminal.format() == Format::Json {
            status.interval = Some(interval);
            terminal.json_line(&status);
            return;
        }
        let time = rfc3339(SystemTime::now());
        terminal.print(&format!("\n{}", in_interval(&status, &interval, &time)));
    }

    fn picture(terminal: &Terminal, status: &Status) -> String {
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
        out.push_str(&since_commit(status));
        if let Some(balance) = &status.balance {
            out.push('\n');
            out.push_str(&moves(balance));
        }
        if status.unmatched > 0 {
            out.push_str(&format!("\nunmatched   {}\n", status.unmatched));
        }
        out
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
        use crate::agent::report::{
            BalanceRuleStatus, BalanceStatus, RuleStatus, TierStatus, set_shares,
        };
        use crate::cli::Color;
        use crate::live::Waits;

        fn status() -> Status {
            let tier = |name: &str, tickets, runtime_ns| {
                TierStatus {
                    name: name.into(),
                    tasks: 12,
                    runnable: 2,
                    runtime_ns,
                    dispatches: 48_211,
                    tickets,
                    preemptions: 3,
                    migrations: 40,
                    ..TierStatus::default()
                }
                .waited(&Waits::new(
                    [0, 9_000, 800, 150, 0, 0, 0, 0, 40, 0, 0, 0, 9, 0, 1],
                    9_900,
                ))
            };
            let mut tiers = vec![
                tier("critical", 800, 12_300_000_000),
                tier("batch", 200, 1_822_000_000),
            ];
            tiers[1].overdue = 7;
            set_shares(&mut tiers, "tiers");
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
                since_commit_us: 61_000_000,
                rejected: 1,
                last_error: Some("E0209: no `otherwise` rule (policy.edict:9)".into()),
                watching: "events".into(),
                agent_pid: 411,
                cpus: 4,
                between: "tiers".into(),
                tiers,
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
                ..Status::default()
            }
        }

        #[test]
        fn the_rules_of_balance_have_their_lines() {
            let terminal = Terminal::new(Format::Human, Color::Never);
            let status = Status {
                balance: Some(BalanceStatus {
                    rounds: 900,
                    considered: 12,
                    hot: 3,
                    vetoed: 0,
                    moved: 7,
                    rules: vec![BalanceRuleStatus {
                        rule: "when imbalance > 30% for 80ms -> migrate within node".into(),
                        within: "node".into(),
                        imbalance: 0.125,
                        due: 5,
                        moved: 7,
                    }],
                }),
                ..status()
            };
            let expected = "
balance                                               within  imbalance  due  moved
when imbalance > 30% for 80ms -> migrate within node  node        12.5%    5      7
of 12 tasks considered 3 were hot, 0 vetoed, 7 moved, in 900 rounds
";
            let picture = picture(&terminal, &status);
            assert!(picture.ends_with(expected), "{picture}");
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

tier      tasks  runnable  tickets    cpu    due  runtime  dispatches
critical     12         2      800  87.1%  80.0%      12s       48211
batch        12         2      200  12.9%  20.0%     1.8s       48211

tier      wait p50    p90    p99  p99.9    max  preempts  migrated  overdue
critical     2.0us  2.0us  8.0us  256us  9.9ms         3        40        0
batch        2.0us  2.0us  8.0us  256us  9.9ms         3        40        7

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
tier      tasks  runnable  tickets    cpu    due  runtime  dispatches  budget   cpus
critical     12         2      800  87.1%  80.0%      12s       48211    none  0-3,8
batch        12         2      200  12.9%  20.0%     1.8s       48211   30.0%    all
";
            let picture = since_commit(&status);
            assert!(picture.starts_with(expected), "{picture}");
        }

        #[test]
        fn a_moment_is_counts_a_second_under_the_time() {
            let before = status();
            let mut after = status();
            after.since_commit_us += 2_000_000;
            let batch = &mut after.tiers[1];
            batch.runtime_ns += 3_000_000_000;
            batch.dispatches += 3;
            batch.migrations += 500;
            batch.runnable = 9;
            after.tiers[0].runnable = 0;
            after.rules[1].hits += 7;
            let interval = after.since(Some(&before));
            let expected = "\
2026-11-21T19:00:00Z  desktop 1.0  generation 7, rejected  1.50 of 4 CPUs in 2.0 s

tier      runnable     cpu     due  runs/s  preempts/s  migrated/s  overdue/s  wait p50  p90  p99  p99.9  max
critical         0    0.0%       -       0           0           0          0         0    0    0      0    0
batch            9  100.0%  100.0%     1.5           0         250          0         0    0    0      0    0

rule       tier   hits/s  hits
otherwise  batch     3.5  4007
";
            let picture = in_interval(&after, &interval, "2026-11-21T19:00:00Z");
            assert_eq!(picture, expected);
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
