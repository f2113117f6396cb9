//! `edict completions`: what a shell needs to complete arguments.

use clap::Args;
use clap_complete::Shell;

use super::{Exit, Terminal, command};

/// Print the completions for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  edict completions bash > /usr/share/bash-completion/completions/edict
  edict completions zsh > /usr/share/zsh/site-functions/_edict
  edict completions fish > ~/.config/fish/completions/edict.fish")]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs, terminal: &Terminal) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command(), "edict", &mut script);
    terminal.text(&String::from_utf8_lossy(&script));
    Exit::Done
}
