//! `edict help`: about a verb, or about the language.

use clap::Args;

use super::{Exit, Terminal, command, fail};

/// The reference of the policy language.
const LANGUAGE: &str = include_str!("../../grammar/README.md");

/// Print help about a verb, or the reference of the policy language
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  edict help language | less
  edict help run")]
pub(super) struct HelpArgs {
    /// `language`, or a verb
    #[arg(value_name = "TOPIC")]
    topic: Option<String>,
}

pub(super) fn run(args: &HelpArgs, terminal: &Terminal) -> Exit {
    let topic = args.topic.as_deref();
    let command = command();
    match topic {
        Some("language") => {
            terminal.text(LANGUAGE);
            return Exit::Done;
        }
        Some(topic) if command.find_subcommand(topic).is_none() => {
            let near = command
                .get_subcommands()
                .map(clap::Command::get_name)
                .chain(["language"])
                .map(|name| (strsim::damerau_levenshtein(name, topic), name))
                .filter(|(distance, _)| *distance <= 2)
                .min()
                .map(|(_, name)| format!("did you mean `{name}`?"));
            let message = format!("there is no verb `{topic}`");
            return fail(terminal, &message, near.as_deref());
        }
        _ => {}
    }
    // The same text as `edict VERB --help`, by the same way.
    let words = ["edict"].into_iter().chain(topic).chain(["--help"]);
    if let Err(help) = command.try_get_matches_from(words) {
        terminal.text(&help.render().to_string());
    }
    Exit::Done
}
