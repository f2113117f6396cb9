//! `edict snapshot`: what runs on this machine, for `edict diff` and for people.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::policy::{count, is_stdout};
use super::save::save;
use super::{Exit, Format, Terminal, fail};
use crate::check::Attribute;
use crate::hooks::snapshot::Snapshot;

/// Write down every task of this machine, with every attribute that can be read
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  edict snapshot -o before.json
  edict snapshot --seconds 10 --without cmdline -o shared.json
  edict snapshot | jq '.tasks | sort_by(-.share)[:5][] | {pid, share, comm: .attributes.comm}'
  edict diff old.edict new.edict --snapshot before.json

The result is JSON in every format, one task a line:
  version, time, host {kernel, ncpu, llcs}, window_ns, system {…},
  unreadable {ATTRIBUTE: tasks}, tasks [{pid, tgid, runtime_ns,
  window_runtime_ns, share, attributes {…}}]
An attribute that is left out is unknown. Durations are nanoseconds, ratios parts
per million; `share` is a part of all CPU time of the machine in the window.

How tasks behave is estimated from counters read at both ends of the window, or
over a task's life where it slept less than eight times in it: `runtime_avg` is
its CPU time by its sleeps, `wake_rate` sleeps by time, `sleep_avg` the time
neither running nor waiting by sleeps, `switch_rate` all switches by time, and
`lat_cri` follows from the first two. `runtime_dev` is unknown here. Needs no root, but root sees more.

A command line may hold a secret: a file is readable to its owner only, and
`--without cmdline` leaves them out.")]
pub(super) struct SnapshotArgs {
    /// Write to this file instead of standard output, which is also `-`
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How long the window is in which behaviour and CPU time are seen
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    seconds: Duration,
    /// Attributes to leave out
    #[arg(long, value_name = "ATTRIBUTES", value_delimiter = ',', value_parser = attribute)]
    without: Vec<Attribute>,
}

/// Longest window, in seconds.
const LONGEST: f64 = 3_600.0;

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=LONGEST).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(format!("a number of seconds from 0 to {LONGEST}")),
    }
}

/// An attribute by its name.
pub(super) fn attribute(text: &str) -> Result<Attribute, String> {
    super::task::attribute(text)
        .map(|about| about.attribute)
        .map_err(|error| match error.help {
            Some(help) => format!("{}; {help}", error.message),
            None => error.message,
        })
}

pub(super) fn run(args: &SnapshotArgs, terminal: &Terminal) -> Exit {
    let mut snapshot = match Snapshot::take(args.seconds) {
        Ok(snapshot) => snapshot,
        Err(error) => {
            return fail(
                terminal,
                &format!("cannot list the tasks of this machine: {error}"),
                Some("mount `/proc` here"),
            );
        }
    };
    for attribute in &args.without {
        snapshot.forget(*attribute);
    }
    let text = snapshot.to_text();
    let output = args.output.as_ref().filter(|path| !is_stdout(path));
    match output {
        None => terminal.document(&text),
        Some(path) => {
            // Only the owner may read what may hold secrets.
            if let Err(error) = save(path, text.as_bytes(), 0o600) {
                return fail(
                    terminal,
                    &format!("cannot write `{}`: {error}", path.display()),
                    None,
                );
            }
        }
    }
    if terminal.format() != Format::Json {
        terminal.complain(&closing(&snapshot));
    }
    Exit::Done
}

/// What was seen, and what was not.
fn closing(snapshot: &Snapshot) -> String {
    let mut line = format!(
        "{} of {}",
        count(snapshot.tasks.len(), "task"),
        match snapshot.processes() {
            1 => "1 process".to_owned(),
            number => format!("{number} processes"),
        }
    );
    if !snapshot.unreadable.is_empty() {
        let unreadable: Vec<String> = snapshot
            .unreadable
            .iter()
            .map(|(name, tasks)| format!("{name} of {tasks}"))
            .collect();
        line.push_str(&format!(
            "; not permitted, so unknown: {}{}",
            unreadable.join(", "),
            match rustix::process::geteuid().is_root() {
                true => "",
                false => " (root sees more)",
            }
        ));
    }
    line.push('\n');
    line
}
