//! `edict translate`: a policy in the other form.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;

use super::policy::{STDIN, is_stdin, read_stdin};
use super::{Exit, Format, Terminal, complain, save};
use crate::diag::{Code, Diagnostic, Files, visible};
use crate::source::{self, SourceSet};
use crate::syntax::{self, Ast, Form, yaml};

/// Write a policy in the other form: blocks as YAML, or YAML as blocks
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  edict translate --to yaml policies/desktop
  edict translate --to yaml policies/desktop/policy.edict -o policy.yaml
  edict translate --to native policy.yaml -o policy.edict
  edict translate --to native - < policy.yaml

One file is translated; what it includes stays as it is, for files of both forms
may include each other. Comments are carried over. The result is parsed again
before it is written: it says exactly what the original says. In YAML, what has
one key stands together.")]
pub(super) struct TranslateArgs {
    /// A policy file, a directory with a policy, or `-`
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// The form to write
    #[arg(long, value_enum, value_name = "FORM")]
    to: To,
    /// Where to write it, instead of standard output; an existing file is replaced
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum To {
    /// YAML
    Yaml,
    /// Blocks in braces
    Native,
}

pub(super) fn run(args: &TranslateArgs, terminal: &Terminal) -> Exit {
    let files = match read(&args.path) {
        Ok(files) => files,
        Err((diagnostics, files)) => {
            return complain(terminal, &diagnostics, &files, Exit::Invalid);
        }
    };
    let translated = match translate(&files, args.to) {
        Ok(translated) => translated,
        Err(diagnostics) => return complain(terminal, &diagnostics, &files, Exit::Invalid),
    };
    let Some(output) = &args.output else {
        if terminal.format() == Format::Json {
            terminal.json(&json!({ "ok": true, "text": translated }));
        } else {
            terminal.print(&translated);
        }
        return Exit::Done;
    };
    if let Err(error) = save::replace(output, translated.as_bytes()) {
        let name = output.to_string_lossy();
        let message = format!("`{}` cannot be written: {error}", visible(&name));
        return complain(
            terminal,
            &[Diagnostic::new(Code::E0014, message)],
            &(),
            Exit::Failed,
        );
    }
    if terminal.format() == Format::Json {
        terminal.json(&json!({ "ok": true, "output": output.display().to_string() }));
    }
    Exit::Done
}

/// The one file that is translated.
fn read(path: &Path) -> Result<SourceSet, (Vec<Diagnostic>, SourceSet)> {
    let unread = &mut |_, _: &str, _: &str| Vec::new();
    let read = if is_stdin(path) {
        let text = read_stdin().map_err(|(diagnostic, files)| (vec![*diagnostic], files))?;
        SourceSet::in_memory(&[(STDIN, &text)], unread)
    } else {
        source::load(path, unread)
    };
    read.map_err(|failure| (failure.diagnostics, failure.files))
}

/// The text in the other form, proven to mean the same.
fn translate(files: &SourceSet, to: To) -> Result<String, Vec<Diagnostic>> {
    let file = files.root();
    let (name, text) = (files.name(file), files.text(file));
    let parsed = syntax::parse_named(file, name, text);
    let refused = parsed.diagnostics.iter().any(Diagnostic::is_error);
    let ast = match parsed.ast {
        Some(ast) if !refused => ast,
        _ => return Err(parsed.diagnostics),
    };
    let comments = yaml::comments(Form::of(name, text), text);
    let (printed, form, expected) = match to {
        To::Yaml => match yaml::print(&ast, &comments) {
            Ok(printed) => (printed, Form::Yaml, yaml::grouped(&ast)),
            Err(untranslatable) => {
                return Err(vec![
                    Diagnostic::new(Code::E0133, "the policy has no YAML form")
                        .label(untranslatable.span, untranslatable.why)
                        .help("`edict check` says what is wrong with it"),
                ]);
            }
        },
        To::Native => {
            let printed = yaml::print_native(&ast, &comments);
            let printed = syntax::fmt::fmt(file, &printed).unwrap_or(printed);
            (printed, Form::Native, ast)
        }
    };
    match proven(&printed, form, &expected) {
        Ok(()) => Ok(printed),
        Err(why) => Err(vec![why]),
    }
}

/// Whether a text says what the tree says, and nothing was lost on the way.
fn proven(printed: &str, form: Form, expected: &Ast) -> Result<(), Diagnostic> {
    let parsed = syntax::parse_as(form, expected.file(), printed);
    if parsed.ast.as_ref() == Some(expected) {
        return Ok(());
    }
    let first = parsed.diagnostics.first().map(|d| d.message.clone());
    let why = first.unwrap_or_else(|| "it would mean something else".to_owned());
    Err(Diagnostic::new(
        Code::E0133,
        format!("a mistake in edict: the translation is wrong ({why})"),
    )
    .help("nothing was written; please report it, with the policy"))
}
