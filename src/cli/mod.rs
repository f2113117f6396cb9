//! The command line: one verb per file, the arguments of a verb beside the
//! function that carries it out.
//!
//! The contract, for every verb: results go to standard output, complaints to
//! standard error, log lines of `run` to standard error. With `--format json`
//! exactly one JSON document goes to standard output, also when the verb fails
//! or the arguments are wrong; only `run --stats`, the records of `trace` and what watches are one a line.
//! The exit code says what kind of failure it was ([`Exit`]). Colours are used
//! only on a terminal, and never where `NO_COLOR` is set. A reader that goes
//! away (`edict … | head`) is no failure.

mod check;
mod completions;
mod describe;
mod diff;
mod doctor;
mod eval;
mod explain;
#[cfg(feature = "live")]
mod exposition;
#[cfg(feature = "live")]
mod figures;
mod fmt;
mod help;
#[cfg(feature = "live")]
mod listing;
mod man;
mod new;
#[cfg(feature = "live")]
mod perfetto;
mod plan;
mod policy;
#[cfg(feature = "live")]
mod recorded;
mod reload;
mod run;
mod save;
mod schema;
mod serving;
mod snapshot;
mod status;
mod stop;
mod task;
mod terminal;
mod test;
mod trace;
mod translate;
mod unified;
mod watching;
mod why;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::diag::{self, Code, Diagnostic, Files, RenderOptions, visible, visible_lines};
pub use task::{TaskError, parse_task};
use terminal::Terminal;

/// What the exit code says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It was done.
    Done,
    /// It was not done: wrong arguments, no answer, no such task.
    Failed,
    /// A test of the policy, or another expectation, failed.
    Unmet,
    /// The policy is not valid.
    Invalid,
    /// The kernel, or the state of the machine, does not allow it.
    Refused,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Unmet => 2,
            Self::Invalid => 3,
            Self::Refused => 4,
        }
    }
}

/// Govern Linux CPU scheduling by declared policy.
#[derive(Debug, Parser)]
#[command(
    name = "edict",
    bin_name = "edict",
    version,
    max_term_width = 100,
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "\
Examples:
  edict check policies/desktop                   is the policy valid?
  edict eval policies/desktop --task comm=cc1    which tier would it be in?
  edict run policies/desktop                     put it in force
  edict why 4711                                 why is this task in its tier?
  edict help language                            the policy language

Exit codes: 0 done, 1 failed, 2 a test or an expectation failed, 3 the policy
is not valid, 4 refused by the kernel or by the state of the machine."
)]
pub struct Cli {
    #[command(flatten)]
    output: Output,
    #[command(subcommand)]
    verb: Verb,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, Args)]
struct Output {
    /// How results are printed: for people, for `grep` and editors, or for programs
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "human",
        value_name = "FORMAT",
        hide_possible_values = false
    )]
    format: Format,
    /// When to use colours
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "auto",
        value_name = "WHEN"
    )]
    color: Color,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Human,
    Plain,
    Json,
}

impl From<Format> for diag::Format {
    fn from(format: Format) -> Self {
        match format {
            Format::Human => Self::Human,
            Format::Plain => Self::Plain,
            Format::Json => Self::Json,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Check(check::CheckArgs),
    Test(test::TestArgs),
    Fmt(fmt::FmtArgs),
    Eval(eval::EvalArgs),
    Plan(plan::PlanArgs),
    Translate(translate::TranslateArgs),
    Schema(schema::SchemaArgs),
    Diff(diff::DiffArgs),
    Snapshot(snapshot::SnapshotArgs),
    New(new::NewArgs),
    Run(run::RunArgs),
    Status(status::StatusArgs),
    Why(why::WhyArgs),
    Trace(trace::TraceArgs),
    Reload(reload::ReloadArgs),
    Stop(stop::StopArgs),
    Doctor(doctor::DoctorArgs),
    Explain(explain::ExplainArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
    Help(help::HelpArgs),
}

/// Carry out what the arguments ask for.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let parsed = Cli::command()
        .try_get_matches_from(&args)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => return usage(&with_usage(error, &args), asked_for(&args)),
    };
    let terminal = Terminal::new(cli.output.format, cli.output.color);
    let exit = match cli.verb {
        Verb::Check(args) => check::run(&args, &terminal),
        Verb::Test(args) => test::run(&args, &terminal),
        Verb::Fmt(args) => fmt::run(&args, &terminal),
        Verb::Eval(args) => eval::run(&args, &terminal),
        Verb::Plan(args) => plan::run(&args, &terminal),
        Verb::Translate(args) => translate::run(&args, &terminal),
        Verb::Schema(args) => schema::run(&args, &terminal),
        Verb::Diff(args) => diff::run(&args, &terminal),
        Verb::Snapshot(args) => snapshot::run(&args, &terminal),
        Verb::New(args) => new::run(&args, &terminal),
        Verb::Run(args) => run::run(&args, &terminal),
        Verb::Status(args) => status::run(&args, &terminal),
        Verb::Why(args) => why::run(&args, &terminal),
        Verb::Trace(args) => trace::run(&args, &terminal),
        Verb::Reload(args) => reload::run(&args, &terminal),
        Verb::Stop(args) => stop::run(&args, &terminal),
        Verb::Doctor(args) => doctor::run(&args, &terminal),
        Verb::Explain(args) => explain::run(&args, &terminal),
        Verb::Completions(args) => completions::run(&args, &terminal),
        Verb::Man(args) => man::run(&args, &terminal),
        Verb::Help(args) => help::run(&args, &terminal),
    };
    ExitCode::from(delivered(exit, &terminal).code())
}

/// What is done but has not reached its reader has failed.
fn delivered(exit: Exit, terminal: &Terminal) -> Exit {
    let Some(error) = terminal.lost() else {
        return exit;
    };
    terminal.complain(&format!("edict: standard output: {error}\n"));
    match exit {
        Exit::Done => Exit::Failed,
        other => other,
    }
}

/// A value that is refused is refused with the usage of its verb, as a wrong
/// argument is.
fn with_usage(mut error: clap::Error, args: &[OsString]) -> clap::Error {
    let is_value = matches!(
        error.kind(),
        ErrorKind::ValueValidation | ErrorKind::InvalidValue
    );
    if !is_value || error.get(ContextKind::Usage).is_some() {
        return error;
    }
    let mut command = Cli::command();
    command.build();
    let words = args.iter().skip(1).filter_map(|arg| arg.to_str());
    let verb = words
        .filter_map(|word| command.find_subcommand(word))
        .map(|verb| verb.get_name().to_owned())
        .next();
    if let Some(verb) = verb.and_then(|name| command.find_subcommand_mut(name)) {
        let usage = ContextValue::StyledStr(verb.render_usage());
        error.insert(ContextKind::Usage, usage);
    }
    error
}

/// What clap has to say. Help and version are results; wrong arguments are a
/// plain failure, because 2 means something else here.
fn usage(error: &clap::Error, format: Format) -> ExitCode {
    let terminal = Terminal::new(format, Color::Auto);
    let text = error.render();
    let exit = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            match terminal.colors_results() {
                true if format != Format::Json => terminal.print(&text.ansi().to_string()),
                _ => terminal.text(&text.to_string()),
            }
            Exit::Done
        }
        _ if format == Format::Json => {
            let text = text.to_string();
            let (message, help) = match text.strip_prefix("error: ") {
                Some(text) => text.split_once("\n\n").unwrap_or((text, "")),
                None => ("no verb is given", text.as_str()),
            };
            fail(&terminal, message.trim(), Some(help.trim()))
        }
        _ => {
            terminal.complain(&match terminal.colors_errors() {
                true => text.ansi().to_string(),
                false => text.to_string(),
            });
            Exit::Failed
        }
    };
    ExitCode::from(delivered(exit, &terminal).code())
}

/// The format that arguments ask for which are wrong otherwise.
fn asked_for(args: &[OsString]) -> Format {
    let words: Vec<&str> = args
        .iter()
        .map(|arg| arg.to_str().unwrap_or(""))
        .take_while(|word| *word != "--")
        .collect();
    let is_json = words.contains(&"--format=json")
        || words.windows(2).any(|pair| pair == ["--format", "json"]);
    if is_json { Format::Json } else { Format::Human }
}

/// Say what is wrong, and what kind of failure that is.
fn complain(
    terminal: &Terminal,
    diagnostics: &[Diagnostic],
    files: &dyn Files,
    exit: Exit,
) -> Exit {
    match terminal.format() {
        Format::Json => terminal.json(&serde_json::json!({
            "ok": false,
            "diagnostics": diag::json::describe(diagnostics, files),
        })),
        format => terminal.complain(&diag::render(
            diagnostics,
            files,
            format.into(),
            RenderOptions {
                color: terminal.colors_errors(),
                width: terminal.width(),
            },
        )),
    }
    exit
}

/// A complaint about the machine, with a code of the catalogue.
fn refuse(terminal: &Terminal, diagnostic: Diagnostic) -> Exit {
    let exit = match diagnostic.code {
        Code::E0609 => Exit::Failed,
        _ => Exit::Refused,
    };
    complain(terminal, &[diagnostic], &(), exit)
}

/// A complaint that needs no code: wrong arguments, no such task.
fn fail(terminal: &Terminal, message: &str, help: Option<&str>) -> Exit {
    if terminal.format() == Format::Json {
        terminal.json(&serde_json::json!({
            "ok": false,
            "error": message,
            "help": help,
        }));
    } else {
        terminal.complain(&format!("edict: {}\n", visible(message)));
        if let Some(help) = help {
            terminal.complain(&format!("  help: {}\n", visible_lines(help)));
        }
    }
    Exit::Failed
}

/// The command, for completions and for `help`.
fn command() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_has_examples() {
        for verb in Cli::command().get_subcommands() {
            let help = verb.get_after_help().map(ToString::to_string);
            assert!(
                help.is_some_and(|help| help.starts_with("Examples:\n  edict ")),
                "{}",
                verb.get_name()
            );
        }
    }
}
