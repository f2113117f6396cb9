//! `edict reload`: look at the policy now, and say what came of it.

use clap::Args;

use super::serving::{self, SocketArgs};
use super::{Exit, Terminal};

/// Have the running edict look at its policy now
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  edict reload
  edict reload --format json

The running edict looks by itself whenever the files change; this waits for the
outcome. A policy that is not valid leaves the generation in force and gives
exit code 3.")]
pub(super) struct ReloadArgs {
    #[command(flatten)]
    socket: SocketArgs,
}

#[cfg(not(feature = "live"))]
pub(super) fn run(_: &ReloadArgs, terminal: &Terminal) -> Exit {
    serving::absent(terminal)
}

#[cfg(feature = "live")]
pub(super) fn run(args: &ReloadArgs, terminal: &Terminal) -> Exit {
    use super::Format;
    use crate::agent::protocol::Request;
    use crate::agent::report::Reloaded;

    match serving::ask::<Reloaded>(&args.socket, &Request::Reload {}, terminal) {
        Ok(reloaded) => {
            match terminal.format() {
                Format::Json => terminal.json(&reloaded),
                Format::Human | Format::Plain => terminal.print(&match reloaded.outcome.as_str() {
                    "committed" => format!("generation {} is in force\n", reloaded.generation),
                    _ => format!("unchanged, generation {}\n", reloaded.generation),
                }),
            }
            Exit::Done
        }
        Err(exit) => exit,
    }
}
