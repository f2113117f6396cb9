//! `edict trace`: record what the scheduler decides, for a viewer or a program.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::serving::SocketArgs;
#[cfg(not(feature = "live"))]
use super::{Exit, Terminal};

/// Record what the scheduler decides for a while, for Perfetto
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  edict trace
  edict trace --seconds 0.5 -o burst.json
  sudo edict trace -o - > trace.json
  edict trace --to records -o - | jq -c 'select(.waited_ns > 10000000)'

Open the file at https://ui.perfetto.dev or chrome://tracing: a row for each CPU
with the task that had it, its tier and rule, how it got the CPU and how long it
had waited; for each tier how many CPUs it had and its longest waits; and each
commit of a policy. Times count from the beginning of the recording.

A recording lasts 600 seconds at most and holds about a million runs.

`--to records` writes one JSON document a line instead, by `type`: `begun` first,
then `run` and `committed`, `ended` last. Times are ns on the scheduler's clock.
A task that keeps its CPU has a run for each slice; those that had not ended are
missing. `how` is `drawn` (it won a draw between the tiers), `direct` (nobody
else wanted that CPU, or it serves that CPU or edict itself), `preempt` (it interrupted another tier) or `due` (it
would have waited too long, or `balance` moved it); `cut` began before the recording, and `resumed`
goes on with a run that a real-time task interrupted.

Ctrl-C ends the recording and writes what there is. There is one recording at a
time. What does not find room on its way is lost, counted, and said. While
nobody records, it costs next to nothing. With `--format json` a summary goes to
standard output, unless the recording does.

Times and names tell about everybody's work: the file is readable to its owner
only.")]
pub(super) struct TraceArgs {
    /// How long to record
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    seconds: Duration,
    /// Write to this file; `-` is standard output
    /// [default: edict-trace.json, or edict-trace.ndjson for records]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// What to write
    #[arg(long, value_enum, value_name = "FORM", default_value = "perfetto")]
    to: Form,
    #[command(flatten)]
    socket: SocketArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Trace events, as Perfetto and Chrome read them
    Perfetto,
    /// Everything that was recorded, one JSON document a line
    Records,
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.001..=600.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("a number of seconds from 0.001 to 600".to_owned()),
    }
}

#[cfg(not(feature = "live"))]
pub(super) fn run(args: &TraceArgs, terminal: &Terminal) -> Exit {
    let TraceArgs {
        seconds: _,
        output: _,
        to: _,
        socket: _,
    } = args;
    super::serving::absent(terminal)
}

#[cfg(feature = "live")]
pub(super) use with::run;

#[cfg(feature = "live")]
mod with {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, Instant};

    use serde_json::json;
    use signal_hook::consts::{SIGINT, SIGTERM};

    use super::{Form, TraceArgs};
    use crate::agent::protocol::Request;
    use crate::agent::trace::{Line, Why};
    use crate::cli::perfetto::perfetto;
    use crate::cli::policy::{count, is_stdout};
    use crate::cli::recorded::{Recorded, records};
    use crate::cli::save::save;
    use crate::cli::serving::{Conversation, Heard};
    use crate::cli::{Exit, Format, Terminal, fail};
    use crate::diag::visible;

    /// So many runs are kept: more would make a file that no viewer opens.
    const RUNS_MAX: usize = 1_000_000;
    /// How long the agent may say nothing.
    const PATIENCE: Duration = Duration::from_secs(10);
    /// How often it is looked whether Ctrl-C was pressed.
    const LOOK: Duration = Duration::from_millis(50);

    pub(in crate::cli) fn run(args: &TraceArgs, terminal: &Terminal) -> Exit {
        match trace(args, terminal) {
            Ok(()) => Exit::Done,
            Err(exit) => exit,
        }
    }

    fn trace(args: &TraceArgs, terminal: &Terminal) -> Result<(), Exit> {
        let output = output(args);
        if let Some(path) = &output {
            // Not only after the recording.
            let directory = path.parent().filter(|parent| *parent != Path::new(""));
            let obstacle = match directory {
                _ if path.is_dir() => Some("it is a directory"),
                Some(directory) if !directory.is_dir() => Some("there is no such directory"),
                _ => None,
            };
            if let Some(obstacle) = obstacle {
                let message = format!("cannot write `{}`: {obstacle}", path.display());
                return Err(fail(terminal, &message, None));
            }
        } else if args.to == Form::Records {
            terminal.one_document_a_line();
        }
        let ended = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&ended))
                .map_err(|error| fail(terminal, &format!("signals: {error}"), None))?;
        }
        let millis = u32::try_from(args.seconds.as_millis().max(1)).unwrap_or(u32::MAX);
        let mut agent = Conversation::begin(&args.socket, &Request::Trace { millis }, terminal)?;
        let recorded = listen(&mut agent, terminal, &ended)?;
        let text = match args.to {
            Form::Perfetto => perfetto(&recorded),
            Form::Records => records(&recorded),
        };
        match &output {
            None => terminal.document(&text),
            Some(path) => save(path, text.as_bytes(), 0o600).map_err(|error| {
                let message = format!("cannot write `{}`: {error}", path.display());
                fail(terminal, &message, None)
            })?,
        }
        close(args, &recorded, output.as_deref(), terminal);
        match recorded.ended {
            Some(_) => Ok(()),
            None => Err(Exit::Failed),
        }
    }

    /// Where to write; none for standard output.
    fn output(args: &TraceArgs) -> Option<PathBuf> {
        let name = match args.to {
            Form::Perfetto => "edict-trace.json",
            Form::Records => "edict-trace.ndjson",
        };
        match &args.output {
            Some(path) => Some(path.clone()).filter(|path| !is_stdout(path)),
            None => Some(PathBuf::from(name)),
        }
    }

    /// Takes in what the agent tells, until its end or Ctrl-C.
    fn listen(
        agent: &mut Conversation,
        terminal: &Terminal,
        ended: &AtomicBool,
    ) -> Result<Recorded, Exit> {
        let mut recorded = Recorded::default();
        let mut has_enough = false;
        let mut heard = Instant::now();
        while recorded.ended.is_none() {
            let is_full = recorded.runs.len() >= RUNS_MAX;
            if !has_enough && (is_full || ended.load(Ordering::Relaxed)) {
                has_enough = true;
                recorded.is_full = is_full;
                // If it cannot be told it is gone, which will be noticed.
                let _ = agent.say(&Request::Enough {});
            }
            match agent.hear::<Line>(LOOK, terminal) {
                Ok(Heard::Said(line)) => {
                    heard = Instant::now();
                    if let Line::Begun(begun) = &line
                        && terminal.format() == Format::Human
                    {
                        let seconds = f64::from(begun.millis) / 1e3;
                        let policy = visible(&begun.policy);
                        terminal.complain(&format!(
                            "recording policy {policy} for {seconds} s; Ctrl-C ends it\n"
                        ));
                    }
                    if recorded.runs.len() < RUNS_MAX || !matches!(line, Line::Runs(_)) {
                        recorded.add(line);
                    }
                }
                Ok(Heard::Nothing) if heard.elapsed() < PATIENCE => {}
                // What there is is worth having.
                Ok(Heard::Nothing | Heard::End) if recorded.begun.is_some() => break,
                Ok(Heard::Nothing | Heard::End) => return Err(agent.is_gone(terminal)),
                Err(_) if recorded.begun.is_some() => {
                    recorded.is_refused = true;
                    break;
                }
                Err(exit) => return Err(exit),
            }
        }
        Ok(recorded)
    }

    /// Says what was recorded, and what is missing.
    fn close(args: &TraceArgs, recorded: &Recorded, output: Option<&Path>, terminal: &Terminal) {
        let tasks: BTreeSet<u32> = recorded.runs.iter().map(|run| run.pid).collect();
        let seconds = recorded.length_ns() as f64 / 1e9;
        if terminal.format() == Format::Json {
            // A complaint was the one document.
            if let Some(path) = output.filter(|_| !recorded.is_refused) {
                terminal.json(&json!({
                    "ok": recorded.ended.is_some(),
                    "output": path.to_string_lossy(),
                    "seconds": seconds,
                    "runs": recorded.runs.len(),
                    "tasks": tasks.len(),
                    "commits": recorded.commits.len(),
                    "ended": recorded.ended.map(|ended| ended.why),
                    "lost": recorded.ended.map(|ended| ended.lost),
                }));
            }
            return;
        }
        let mut text = format!(
            "{} of {} in {seconds:.1} s",
            count(recorded.runs.len(), "run"),
            count(tasks.len(), "task"),
        );
        if let Some(path) = output {
            let shown = path.display().to_string();
            text.push_str(&format!(", written to `{}`", visible(&shown)));
            if args.to == Form::Perfetto {
                text.push_str("; open it at https://ui.perfetto.dev");
            }
        }
        text.push('\n');
        let missing = match recorded.ended.map(|ended| ended.why) {
            Some(Why::Time) => None,
            Some(Why::Enough) if recorded.is_full => {
                Some("ended early: it is as large as a recording may be")
            }
            Some(Why::Enough) => None,
            Some(Why::Stopping) => Some("ended early: the agent was stopped"),
            Some(Why::Restarted) => Some("ended early: the scheduler was attached again"),
            None => Some("the agent did not say how it ended, so something may be missing"),
        };
        if let Some(missing) = missing {
            text.push_str(&format!("{missing}\n"));
        }
        let lost = recorded.ended.map_or(0, |ended| ended.lost);
        if lost > 0 {
            text.push_str(&format!(
                "{lost} more were lost: they came faster than they could be taken away\n"
            ));
        }
        terminal.complain(&text);
    }
}
