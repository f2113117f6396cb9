//! `edict new`: a pack to start from.
//!
//! What it writes is a policy that does something useful as it is, with a comment
//! for each thing a newcomer has to know and a test for each rule. It has to stay
//! true, so a test checks it, lays it out and runs its tests.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::save::save;
use super::{Exit, Format, Terminal, fail};
use crate::check;
use crate::diag::{FileId, shown, visible};
use crate::syntax::{self, Form, yaml};

/// Make a directory with a policy to start from, tests included
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  edict new web
  edict new --yaml web
  edict test --coverage web
  sudo edict run web

The last part of the path is the name of the policy. A directory that is there
already is used only if it is empty; nothing is ever overwritten.")]
pub(super) struct NewArgs {
    /// The directory to make; its name becomes the name of the policy
    #[arg(value_name = "NAME")]
    path: PathBuf,
    /// Write the files as YAML
    #[arg(long)]
    yaml: bool,
}

const POLICY: &str = include_str!("policy.edict");
const SETS: &str = include_str!("sets.edict");

/// What stands for the name in the texts.
const PLACEHOLDER: &str = "NAME";

pub(super) fn run(args: &NewArgs, terminal: &Terminal) -> Exit {
    let path = &args.path;
    let name = path.file_name().and_then(|name| name.to_str());
    let Some(name) = name.filter(|name| is_name(name)) else {
        return fail(
            terminal,
            &format!(
                "`{}` does not end with a name for a policy",
                shown(&path.to_string_lossy())
            ),
            Some("a name has letters, digits, `_` and, inside, `-`, as `web-latency`"),
        );
    };
    let policy = POLICY.replace(PLACEHOLDER, name);
    let files = match args.yaml {
        false => Some([
            (path.join("policy.edict"), policy),
            (path.join("sets.edict"), SETS.to_owned()),
        ]),
        true => as_yaml(&policy.replace("sets.edict", "sets.yaml"))
            .zip(as_yaml(&SETS.replace("policy.edict", "policy.yaml")))
            .map(|(policy, sets)| {
                [
                    (path.join("policy.yaml"), policy),
                    (path.join("sets.yaml"), sets),
                ]
            }),
    };
    // The texts are fixed and have a YAML form; a test holds them to that.
    let Some(files) = files else {
        return fail(terminal, "the pack has no YAML form", None);
    };
    if let Err(problem) = make(path, &files) {
        return fail(
            terminal,
            &format!("cannot make `{}`: {problem}", path.display()),
            Some("choose a path where nothing is yet, in a directory that you may write"),
        );
    }
    let shown_path = path.to_string_lossy();
    match terminal.format() {
        Format::Json => terminal.json(&json!({
            "ok": true,
            "path": shown_path,
            "files": files.iter().map(|(path, _)| path.to_string_lossy()).collect::<Vec<_>>(),
        })),
        Format::Plain => {
            for (path, _) in &files {
                terminal.print(&format!("{}\n", visible(&path.to_string_lossy())));
            }
        }
        Format::Human => terminal.print(&format!(
            "{}: {}\n\n  \
             edict check {path}             is it valid?\n  \
             edict test --coverage {path}   do its tests pass?\n  \
             sudo edict run {path}          put it in force\n",
            terminal.green("made"),
            files
                .iter()
                .map(|(path, _)| visible(&path.to_string_lossy()).into_owned())
                .collect::<Vec<_>>()
                .join(" and "),
            path = visible(&shown_path)
        )),
    }
    Exit::Done
}

/// A text of the native form as YAML, comments included.
fn as_yaml(text: &str) -> Option<String> {
    let ast = syntax::parse(FileId(0), text).ast?;
    let comments = yaml::comments(Form::Native, text);
    yaml::print(&ast, &comments).ok()
}

/// Whether a policy can have this name: asked of the checker itself.
fn is_name(name: &str) -> bool {
    let text =
        format!("language 1\npolicy {name} {{ }}\ntier a {{ }}\nrules {{ otherwise -> a }}\n");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    name.chars().all(is_plain) && check::check_text("name", &text).policy.is_some()
}

/// Writes the files into a directory that is new or empty; leaves nothing behind
/// when it cannot.
fn make(directory: &Path, files: &[(PathBuf, String)]) -> Result<(), String> {
    let mut created = true;
    // Whatever the process masks: edict takes no policy that others may write.
    match fs::DirBuilder::new().mode(0o755).create(directory) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            created = false;
            let mut entries = fs::read_dir(directory).map_err(|error| match error.kind() {
                io::ErrorKind::NotADirectory => "there is a file of that name".to_owned(),
                _ => error.to_string(),
            })?;
            if entries.next().is_some() {
                return Err("the directory is not empty".to_owned());
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err("the directory above it is not there".to_owned());
        }
        Err(error) => return Err(error.to_string()),
    }
    for (path, text) in files {
        if let Err(error) = save(path, text.as_bytes(), 0o644) {
            for (path, _) in files {
                let _ = fs::remove_file(path);
            }
            if created {
                let _ = fs::remove_dir(directory);
            }
            return Err(error.to_string());
        }
    }
    Ok(())
}
