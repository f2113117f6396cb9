//! `edict fmt`: the house style.
//!
//! The layout is [`crate::syntax::fmt`]; this is what is around it: which files,
//! how they are read, and what is said of them.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::save::exchange;
use super::unified::unified;
use super::{Exit, Format, Terminal, policy};
use crate::diag::{self, Code, Diagnostic, FileId, RenderOptions, Severity, visible};
use crate::source::{LARGEST_INCLUDED, SourceSet};
use crate::syntax;

/// Lay policies out in the one style, changing nothing that they say
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  edict fmt policies/desktop                 lay out every .edict file below
  edict fmt --check policies examples        exit code 1 and a list, for a CI
  edict fmt --diff /etc/edict/policy.edict   show what would change
  edict fmt - < policy.edict                 for an editor

A directory stands for every file below it that ends in `.edict`; hidden ones,
and what symbolic links lead to, are left out. `-` reads standard input and
writes to standard output. Comments, blank lines and the spelling of values
stay. What is written is parsed again first, and must be the same policy with
the same comments; then the file is replaced at once, or not at all. The files
need not be valid policies, but they must be readable as the language: exit
code 3 if one is not.")]
pub(super) struct FmtArgs {
    /// Policy files, directories, or `-`
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Write nothing; name the files that are not in the style, and fail if there
    /// are any
    #[arg(long)]
    check: bool,
    /// Write nothing; show what would change
    #[arg(long)]
    diff: bool,
}

/// How messages call standard input.
const STDIN: &str = "<stdin>";
/// Deepest directory that is looked into.
const MOST_DEPTH: usize = 32;

pub(super) fn run(args: &FmtArgs, terminal: &Terminal) -> Exit {
    let stdin = args.paths.iter().filter(|path| policy::is_stdin(path));
    if stdin.count() > 1 {
        return super::fail(
            terminal,
            "`-` is given twice, but there is one standard input",
            None,
        );
    }
    let mut run = Run {
        args,
        terminal,
        files: Vec::new(),
        described: Vec::new(),
        exit: Exit::Done,
        differs: false,
    };
    for path in &args.paths {
        if policy::is_stdin(path) {
            run.stdin();
        } else if path.is_dir() {
            let mut found = Vec::new();
            match below(path, MOST_DEPTH, &mut found) {
                Ok(()) => found.iter().for_each(|path| run.file(path)),
                Err(error) => run.refuse(&path.to_string_lossy(), "", unreadable(path, &error)),
            }
        } else {
            run.file(path);
        }
    }
    run.end()
}

/// The `.edict` files below a directory, in the order of their names.
fn below(directory: &Path, depth: usize, found: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut entries = fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (kind, path) = (entry.file_type()?, entry.path());
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if kind.is_dir() && depth > 0 {
            below(&path, depth - 1, found)?;
        } else if kind.is_file() && path.extension().is_some_and(|e| e == "edict") {
            found.push(path);
        }
    }
    Ok(())
}

/// What came of the paths so far.
struct Run<'a> {
    args: &'a FmtArgs,
    terminal: &'a Terminal,
    files: Vec<Value>,
    described: Vec<diag::json::Described>,
    exit: Exit,
    differs: bool,
}

impl Run<'_> {
    fn stdin(&mut self) {
        let mut bytes = Vec::new();
        let mut input = io::stdin().lock().take(LARGEST_INCLUDED + 1);
        let text = match input.read_to_end(&mut bytes) {
            Ok(_) => decode(STDIN, bytes),
            Err(error) => Err(unreadable(Path::new(STDIN), &error)),
        };
        let Some((text, out)) = self.laid_out(STDIN, text) else {
            return;
        };
        let mut about = json!({ "path": STDIN, "changed": text != out });
        if !self.told(STDIN, &text, &out, &mut about) {
            match self.terminal.format() {
                Format::Json => set(&mut about, "text", out),
                Format::Human | Format::Plain => self.terminal.print(&out),
            }
        }
        self.files.push(about);
    }

    fn file(&mut self, path: &Path) {
        let name = path.to_string_lossy().into_owned();
        let Some((text, out)) = self.laid_out(&name, read(path)) else {
            return;
        };
        let mut about = json!({ "path": &name, "changed": text != out });
        if !self.told(&name, &text, &out, &mut about) && text != out {
            match exchange(path, text.as_bytes(), out.as_bytes()) {
                Ok(()) => {
                    if self.terminal.format() == Format::Human {
                        let done = self.terminal.green("formatted");
                        self.terminal
                            .print(&format!("{done}: {}\n", visible(&name)));
                    }
                }
                Err(why) => {
                    let message = format!("`{}` cannot be written: {why}", visible(&name));
                    let diagnostic = Diagnostic::new(Code::E0014, message)
                        .help("the file is as it was; `edict fmt --diff` shows what would change");
                    self.refuse(&name, "", diagnostic);
                    return;
                }
            }
        }
        self.files.push(about);
    }

    /// The text and what becomes of it, unless it is refused.
    fn laid_out(
        &mut self,
        name: &str,
        text: Result<String, Diagnostic>,
    ) -> Option<(String, String)> {
        let text = match text {
            Ok(text) => text,
            Err(diagnostic) => {
                self.refuse(name, "", diagnostic);
                return None;
            }
        };
        match syntax::fmt::fmt(FileId(0), &text) {
            Ok(out) => Some((text, out)),
            Err(found) => {
                self.complain(name, &text, &found);
                None
            }
        }
    }

    /// Says what would change, where only that is asked for.
    fn told(&mut self, name: &str, text: &str, out: &str, about: &mut Value) -> bool {
        self.differs |= text != out;
        if self.args.diff {
            let difference = unified(name, text, out);
            match self.terminal.format() {
                Format::Json => set(about, "diff", difference),
                Format::Human | Format::Plain => self.terminal.print(&self.colored(&difference)),
            }
        } else if self.args.check && text != out {
            match self.terminal.format() {
                Format::Human => {
                    let not = self.terminal.red("not formatted");
                    self.terminal.print(&format!("{not}: {}\n", visible(name)));
                }
                Format::Plain => self.terminal.print(&format!("{}\n", visible(name))),
                Format::Json => {}
            }
        }
        self.args.diff || self.args.check
    }

    fn colored(&self, difference: &str) -> String {
        let line = |line: &str| match line.as_bytes().first() {
            Some(b'+') => self.terminal.green(line) + "\n",
            Some(b'-') => self.terminal.red(line) + "\n",
            Some(b'@') => self.terminal.dim(line) + "\n",
            _ => format!("{}\n", visible(line)),
        };
        difference.lines().map(line).collect()
    }

    fn refuse(&mut self, name: &str, text: &str, diagnostic: Diagnostic) {
        self.complain(name, text, &[diagnostic]);
    }

    fn complain(&mut self, name: &str, text: &str, found: &[Diagnostic]) {
        let files = SourceSet::in_memory(&[(name, text)], &mut |_, _, _| Vec::new())
            .unwrap_or_else(|failure| failure.files);
        match self.terminal.format() {
            Format::Json => self.described.extend(diag::json::describe(found, &files)),
            format => self.terminal.complain(&diag::render(
                found,
                &files,
                format.into(),
                RenderOptions {
                    color: self.terminal.colors_errors(),
                    width: self.terminal.width(),
                },
            )),
        }
        let is_bad = |d: &Diagnostic| d.severity == Severity::Error && d.code != Code::E0014;
        if found.iter().any(is_bad) {
            self.exit = Exit::Invalid;
        } else if self.exit == Exit::Done {
            self.exit = Exit::Failed;
        }
    }

    fn end(self) -> Exit {
        let exit = match self.exit {
            Exit::Done if self.args.check && self.differs => Exit::Failed,
            exit => exit,
        };
        if self.terminal.format() == Format::Json {
            self.terminal.json(&json!({
                "ok": exit == Exit::Done,
                "files": self.files,
                "diagnostics": self.described,
            }));
        }
        exit
    }
}

fn set(about: &mut Value, key: &str, value: String) {
    if let Some(fields) = about.as_object_mut() {
        fields.insert(key.to_owned(), value.into());
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Diagnostic {
    let name = path.to_string_lossy();
    let name = visible(&name);
    match error.kind() {
        io::ErrorKind::NotFound => Diagnostic::new(Code::E0001, format!("there is no `{name}`")),
        io::ErrorKind::PermissionDenied => {
            Diagnostic::new(Code::E0002, format!("no permission to read `{name}`"))
                .help("run as the owner of the policy")
        }
        _ => Diagnostic::new(Code::E0013, format!("cannot read `{name}`: {error}")),
    }
}

/// The text of a file. Not through [`crate::source`]: whether a text can be
/// trusted is no question here.
fn read(path: &Path) -> Result<String, Diagnostic> {
    let name = path.to_string_lossy();
    let failed = |error: &io::Error| unreadable(path, error);
    if path.extension().is_some_and(|e| e == "yaml" || e == "yml") {
        let message = format!("`{}` is YAML; `fmt` is for the block form", visible(&name));
        return Err(Diagnostic::new(Code::E0132, message)
            .help("any YAML formatter does for it; `edict translate --to yaml` writes it anew"));
    }
    // Before it is opened: to open a pipe waits for its other end.
    if !fs::metadata(path)
        .map_err(|error| failed(&error))?
        .is_file()
    {
        let message = format!("`{}` is not a regular file", visible(&name));
        return Err(Diagnostic::new(Code::E0004, message)
            .help("name a file, a directory, or `-` for standard input"));
    }
    let file = File::open(path).map_err(|error| failed(&error))?;
    let mut bytes = Vec::new();
    file.take(LARGEST_INCLUDED + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| failed(&error))?;
    decode(&name, bytes)
}

fn decode(name: &str, bytes: Vec<u8>) -> Result<String, Diagnostic> {
    let name = visible(name);
    if bytes.len() as u64 > LARGEST_INCLUDED {
        let most = LARGEST_INCLUDED >> 20;
        let message = format!("`{name}` is longer than {most} MiB");
        return Err(Diagnostic::new(Code::E0006, message)
            .help("no file of a policy may be that long; divide it"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let message = format!("`{name}` is not UTF-8 text, from the byte at offset {at} on");
        Diagnostic::new(Code::E0007, message).help("write the policy as UTF-8")
    })
}
