//! `edict man`: manual pages, from the same definitions as `--help`.

use std::fs;
use std::io;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{Exit, Format, Terminal, command, fail};

/// Print a manual page, or write all of them
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  edict man | man -l -
  edict man run | man -l -
  sudo edict man --dir /usr/local/share/man/man1

There is a page for edict, `edict.1`, and one for each verb, `edict-run.1`.")]
pub(super) struct ManArgs {
    /// A verb; without it, the page of edict itself
    #[arg(value_name = "VERB", conflicts_with = "dir")]
    verb: Option<String>,
    /// Write every page into this directory, which is made if it is not there
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) fn run(args: &ManArgs, terminal: &Terminal) -> Exit {
    let all = match pages() {
        Ok(all) => all,
        Err(error) => return fail(terminal, &format!("manual pages: {error}"), None),
    };
    let Some(directory) = &args.dir else {
        let name = match &args.verb {
            Some(verb) => format!("edict-{verb}.1"),
            None => "edict.1".to_owned(),
        };
        return match all.iter().find(|(page, _)| *page == name) {
            Some((_, text)) => {
                terminal.text(text);
                Exit::Done
            }
            None => fail(
                terminal,
                &format!("there is no verb `{}`", args.verb.as_deref().unwrap_or("")),
                Some("`edict --help` lists them"),
            ),
        };
    };
    let mut written = Vec::new();
    if let Err(error) = fs::create_dir_all(directory) {
        let message = format!("cannot make `{}`: {error}", directory.display());
        return fail(terminal, &message, None);
    }
    for (name, text) in &all {
        let path = directory.join(name);
        if let Err(error) = super::save::save(&path, text.as_bytes(), 0o644) {
            let message = format!("cannot write `{}`: {error}", path.display());
            return fail(terminal, &message, None);
        }
        written.push(path.to_string_lossy().into_owned());
    }
    match terminal.format() {
        Format::Json => terminal.json(&json!({ "ok": true, "written": written })),
        Format::Human | Format::Plain => {
            for path in written {
                terminal.print(&format!("{}\n", crate::diag::visible(&path)));
            }
        }
    }
    Exit::Done
}

/// Every page, with the name of its file.
fn pages() -> io::Result<Vec<(String, String)>> {
    let mut whole = command();
    whole.build();
    let mut all = vec![("edict.1".to_owned(), page(whole.clone())?)];
    for verb in whole.get_subcommands() {
        let name = format!("edict-{}", verb.get_name());
        let verb = verb.clone().version(VERSION);
        all.push((format!("{name}.1"), page(verb)?));
    }
    Ok(all)
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn page(command: clap::Command) -> io::Result<String> {
    let after = command.get_after_help().map(ToString::to_string);
    let has_verbs = command.has_subcommands();
    let man = clap_mangen::Man::new(command)
        .source(format!("edict {VERSION}"))
        .manual("edict");
    let mut out = Vec::new();
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    man.render_options_section(&mut out)?;
    if has_verbs {
        man.render_subcommands_section(&mut out)?;
    }
    let mut text = String::from_utf8_lossy(&out).into_owned();
    // The text behind the options begins with examples; the rest are notes.
    let after = after.unwrap_or_default();
    let (examples, notes) = after.split_once("\n\n").unwrap_or((&after, ""));
    let examples = examples.strip_prefix("Examples:\n").unwrap_or(examples);
    for (title, lines) in [("EXAMPLES", examples), ("NOTES", notes)] {
        if !lines.is_empty() {
            text.push_str(&format!(".SH {title}\n.nf\n{}\n.fi\n", verbatim(lines)));
        }
    }
    Ok(text)
}

/// Lines as they are, though roff would read some characters as its own.
fn verbatim(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    let lines = text
        .lines()
        .map(|line| match line.starts_with(['.', '\'']) {
            true => format!("\\&{line}"),
            false => line.to_owned(),
        });
    lines.collect::<Vec<_>>().join("\n")
}
