//! `edict translate`: a policy in the other form.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;

use super::policy::{STDIN, is_stdin, is_stdout, read_stdin};
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
    /// Where to write it, instead of standard output, which is also `-`; an existing
    /// file is replaced, but not the policy itself
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
    let output = args.output.as_ref().filter(|path| !is_stdout(path));
    let Some(output) = output else {
        if terminal.format() == Format::Json {
            terminal.json(&json!({ "ok": true, "text": translated }));
        } else {
            terminal.print(&translated);
        }
        return Exit::Done;
    };
    let written = unfit(output, args.to, &files).map_or_else(
        || save::replace(output, translated.as_bytes()).map_err(|why| (why.to_string(), None)),
        |(why, help)| Err((why.to_owned(), Some(help))),
    );
    if let Err((why, help)) = written {
        let name = output.to_string_lossy();
        let message = format!("`{}` cannot be written: {why}", visible(&name));
        let mut diagnostic = Diagnostic::new(Code::E0014, message);
        diagnostic.help = help.map(str::to_owned);
        return complain(terminal, &[diagnostic], &(), Exit::Failed);
    }
    if terminal.format() == Format::Json {
        terminal.json(&json!({ "ok": true, "output": output.display().to_string() }));
    }
    Exit::Done
}

/// Why a file must not be written to, and what to write to instead.
fn unfit(output: &Path, to: To, files: &SourceSet) -> Option<(&'static str, &'static str)> {
    let extension = output.extension().and_then(|extension| extension.to_str());
    match (to, extension) {
        (To::Yaml, Some("edict")) => {
            return Some((
                "its name says the block form",
                "choose a name that ends in `.yaml`",
            ));
        }
        (To::Native, Some("yaml" | "yml")) => {
            return Some(("its name says YAML", "choose a name that ends in `.edict`"));
        }
        _ => {}
    }
    let file = |path: &Path| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.dev(), metadata.ino()))
    };
    let root = files.paths().first().and_then(|path| file(path));
    let is_policy = root.is_some() && root == file(output);
    is_policy.then_some((
        "it is the policy that is translated",
        "choose another name, so that the original stays",
    ))
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
    match proven(&printed, form, &expected, comments.len()) {
        Ok(()) => Ok(printed),
        Err(why) => Err(vec![why]),
    }
}

/// Whether a text says what the tree says, and nothing was lost on the way, no
/// comment either.
fn proven(printed: &str, form: Form, expected: &Ast, comments: usize) -> Result<(), Diagnostic> {
    let parsed = syntax::parse_as(form, expected.file(), printed);
    let why = if parsed.ast.as_ref() != Some(expected) {
        let first = parsed.diagnostics.first().map(|d| d.message.clone());
        first.unwrap_or_else(|| "it would mean something else".to_owned())
    } else if yaml::comments(form, printed).len() != comments {
        "a comment would be lost".to_owned()
    } else {
        return Ok(());
    };
    Err(Diagnostic::new(
        Code::E0133,
        format!("a mistake in edict: the translation is wrong ({why})"),
    )
    .help("nothing was written; please report it, with the policy"))
}
