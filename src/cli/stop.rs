//! `edict stop`: detach, and leave the kernel's own scheduler in charge.

use clap::Args;

use super::serving::{self, SocketArgs};
use super::{Exit, Terminal};

/// Detach the running edict and end it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  edict stop

The answer comes when the scheduler is detached. The kernel's own scheduler
goes on with every task; none is stopped or lost.")]
pub(super) struct StopArgs {
    #[command(flatten)]
    socket: SocketArgs,
}

#[cfg(not(feature = "live"))]
pub(super) fn run(_: &StopArgs, terminal: &Terminal) -> Exit {
    serving::absent(terminal)
}

#[cfg(feature = "live")]
pub(super) fn run(args: &StopArgs, terminal: &Terminal) -> Exit {
    use super::Format;
    use crate::agent::protocol::Request;

    match serving::ask::<serde_json::Value>(&args.socket, &Request::Stop {}, terminal) {
        Ok(result) => {
            match terminal.format() {
                Format::Json => terminal.json(&result),
                Format::Human | Format::Plain => terminal.print("stopped\n"),
            }
            Exit::Done
        }
        Err(exit) => exit,
    }
}
