//! `edict diff`: what would be different if one policy replaced another?
//!
//! Policies are compared by meaning. Tiers are matched by name: what a tier gets
//! is compared field by field, and a task has moved when the tier it is sent to
//! has another name. With a snapshot, the tasks are those that ran.

mod moves;
mod settings;
mod witnesses;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::policy::{self, Built, count, title};
use super::terminal::Align;
use super::{Exit, Format, Terminal, complain, fail};
use crate::check::{Policy, RuleId};
use crate::diag::{Code, Diagnostic, FileId, Files, Span, shown, visible};
use crate::hooks::snapshot::{Malformed, Snapshot};
use moves::Moves;
use settings::Settings;
use witnesses::Witnesses;

/// Say what another policy would change: tiers, and which tasks would move
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  edict diff /etc/edict/policy.edict new.edict --snapshot now.json
  git show HEAD:policy.edict | edict diff - policy.edict
  edict diff --exit-code old.edict new.edict > /dev/null || echo \"they differ\"
  edict diff --format json old.edict new.edict --snapshot now.json | jq '.moves[]'

With a snapshot (`edict snapshot -o now.json`) both policies are asked about
every task in it: which would move from which tier to which, and how much of
the CPU time of the window they used. Without one, each pair of rules that decide
differently is shown with a task that `edict eval --task` takes.

Exits with 0 whether or not the policies differ; with --exit-code a difference
is exit code 2. How a policy is written makes no difference, nor do the names of
rules.")]
pub(super) struct DiffArgs {
    /// The policy to start from: a file, a directory, or `-`
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The policy to compare with: a file, a directory, or `-`
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// Compare on the tasks of this snapshot; `-` is standard input
    #[arg(long, value_name = "FILE")]
    snapshot: Option<PathBuf>,
    /// Exit with 2 if the policies differ
    #[arg(long)]
    exit_code: bool,
}

/// From which tier tasks go to which, and the rules that decide so. Tiers are
/// matched by name, so that is what is kept.
struct Step {
    from: String,
    to: String,
    old_rule: String,
    new_rule: String,
}

impl Step {
    /// The heads of [`Step::cells`].
    const HEAD: [(&'static str, Align); 4] = [
        ("from", Align::Left),
        ("to", Align::Left),
        ("old rule", Align::Left),
        ("new rule", Align::Left),
    ];

    fn between((old, old_rule): (&Policy, RuleId), (new, new_rule): (&Policy, RuleId)) -> Self {
        let decided = |policy: &Policy, rule: RuleId| {
            let rule = policy.rules().get(usize::from(rule.0));
            let tier = rule.and_then(|rule| policy.tier(rule.tier));
            (
                rule.map_or(String::new(), |rule| rule.name.clone()),
                tier.map_or(String::new(), |tier| tier.name.clone()),
            )
        };
        let (old_rule, from) = decided(old, old_rule);
        let (new_rule, to) = decided(new, new_rule);
        Self {
            from,
            to,
            old_rule,
            new_rule,
        }
    }

    fn cells(&self) -> [String; 4] {
        [&self.from, &self.to, &self.old_rule, &self.new_rule].map(String::clone)
    }

    /// As an object, with what else is known.
    fn document(&self, more: Value) -> Value {
        let mut document = json!({
            "from": self.from,
            "to": self.to,
            "old_rule": self.old_rule,
            "new_rule": self.new_rule,
        });
        if let (Some(fields), Value::Object(more)) = (document.as_object_mut(), more) {
            fields.extend(more);
        }
        document
    }
}

/// Largest snapshot that is read, in bytes: a quarter of a million tasks.
const LARGEST: u64 = 256 << 20;

pub(super) fn run(args: &DiffArgs, terminal: &Terminal) -> Exit {
    let inputs = [Some(&args.old), Some(&args.new), args.snapshot.as_ref()];
    let inputs = inputs.into_iter().flatten().map(PathBuf::as_path);
    if inputs.filter(|path| policy::is_stdin(path)).count() > 1 {
        return fail(
            terminal,
            "`-` is given twice, but there is one standard input",
            None,
        );
    }
    let policies = policy::valid(&args.old, terminal)
        .and_then(|old| Ok((old, policy::valid(&args.new, terminal)?)));
    let ((old, _), (new, _)) = match policies {
        Ok(policies) => policies,
        Err(exit) => return exit,
    };
    let snapshot = match args.snapshot.as_deref().map(|path| read(path, terminal)) {
        None => None,
        Some(Ok(snapshot)) => Some(snapshot),
        Some(Err(exit)) => return exit,
    };
    let difference = Difference {
        args,
        settings: Settings::between(&old.policy, &new.policy),
        moves: snapshot
            .as_ref()
            .map(|snapshot| Moves::between(&old.policy, &new.policy, snapshot)),
        witnesses: match snapshot {
            Some(_) => None,
            None => Some(Witnesses::between(&old.policy, &new.policy)),
        },
        snapshot,
        old,
        new,
    };
    match terminal.format() {
        Format::Json => terminal.json(&difference.document()),
        Format::Human | Format::Plain => terminal.print(&difference.picture(terminal)),
    }
    match args.exit_code && difference.is_any() {
        true => Exit::Unmet,
        false => Exit::Done,
    }
}

/// A snapshot from a file, or the complaint about it.
fn read(path: &Path, terminal: &Terminal) -> Result<Snapshot, Exit> {
    let refused = |diagnostic: Diagnostic, text: &str| {
        let name = path.to_string_lossy();
        let file = One { name: &name, text };
        complain(terminal, &[diagnostic], &file, Exit::Failed)
    };
    let name = path.to_string_lossy();
    let text = text(path).map_err(|problem| {
        let message = format!("cannot read the snapshot `{}`: {problem}", shown(&name));
        refused(Diagnostic::new(Code::E0622, message), "")
    })?;
    Snapshot::parse(&text).map_err(|malformed| {
        let Malformed {
            message,
            line,
            column,
        } = malformed;
        let diagnostic = Diagnostic::new(
            Code::E0622,
            format!("`{}` is no snapshot: {message}", shown(&name)),
        )
        .help("take one: `edict snapshot -o FILE`");
        match line {
            0 => refused(diagnostic, ""),
            line => {
                let before = text.split_inclusive('\n').take(line - 1);
                let start = before.map(str::len).sum::<usize>();
                let at = (start + column.saturating_sub(1)).min(text.len());
                let at = text.floor_char_boundary(at);
                let end = text.len().min(text.ceil_char_boundary(at + 1));
                let span = Span::new(FileId(0), at, end);
                refused(diagnostic.label(span, "here"), &text)
            }
        }
    })
}

/// The text of a file that is no policy.
fn text(path: &Path) -> Result<String, String> {
    let in_words = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        io::ErrorKind::PermissionDenied => "no permission".to_owned(),
        _ => error.to_string(),
    };
    let mut bytes = Vec::new();
    let outcome = match policy::is_stdin(path) {
        true => io::stdin().lock().take(LARGEST + 1).read_to_end(&mut bytes),
        false => File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes)),
    };
    outcome.map_err(in_words)?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("it is longer than {} MiB", LARGEST >> 20));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        format!("the byte at offset {at} is not UTF-8")
    })
}

/// A file that diagnostics point into.
struct One<'a> {
    name: &'a str,
    text: &'a str,
}

impl Files for One<'_> {
    fn name(&self, _: FileId) -> &str {
        self.name
    }
    fn text(&self, _: FileId) -> &str {
        self.text
    }
}

/// Everything that differs.
struct Difference<'a> {
    args: &'a DiffArgs,
    old: Built,
    new: Built,
    settings: Settings,
    snapshot: Option<Snapshot>,
    moves: Option<Moves>,
    witnesses: Option<Witnesses>,
}

impl Difference<'_> {
    fn is_any(&self) -> bool {
        self.settings.is_any()
            || self.moves.as_ref().is_some_and(Moves::is_any)
            || self.witnesses.as_ref().is_some_and(Witnesses::is_any)
    }

    fn document(&self) -> Value {
        let about = |path: &Path, policy: &Policy| {
            json!({
                "path": path.to_string_lossy(),
                "policy": policy.name(),
                "version": policy.version(),
            })
        };
        json!({
            "ok": true,
            "differ": self.is_any(),
            "old": about(&self.args.old, &self.old.policy),
            "new": about(&self.args.new, &self.new.policy),
            "blocks": self.settings.document(),
            "snapshot": self.snapshot.as_ref().map(|snapshot| json!({
                "time": snapshot.time,
                "kernel": snapshot.host.kernel,
                "window_ns": snapshot.window_ns,
                "tasks": snapshot.tasks.len(),
            })),
            "moved": self.moves.as_ref().map(Moves::totals),
            "moves": self.moves.as_ref().map(Moves::document),
            "witnesses": self.witnesses.as_ref().map(Witnesses::document),
            "complete": self.witnesses.as_ref().is_none_or(Witnesses::complete),
        })
    }

    fn picture(&self, terminal: &Terminal) -> String {
        let named = |path: &Path, policy: &Policy| {
            let path = path.to_string_lossy();
            format!("{} ({})", visible(&path), title(policy))
        };
        let mut out = match terminal.format() {
            Format::Human => format!(
                "{} {}\n{} {}\n\n",
                terminal.red("-"),
                named(&self.args.old, &self.old.policy),
                terminal.green("+"),
                named(&self.args.new, &self.new.policy)
            ),
            _ => String::new(),
        };
        out.push_str(&self.settings.picture(terminal));
        if let (Some(moves), Some(snapshot)) = (&self.moves, &self.snapshot) {
            out.push_str(&moves.picture(terminal, snapshot));
        }
        if let Some(witnesses) = &self.witnesses {
            out.push_str(&witnesses.picture(terminal));
        }
        if terminal.format() == Format::Human && !self.is_any() {
            out.push_str(&match &self.snapshot {
                Some(snapshot) => format!(
                    "no difference to {}: none would move, and no setting differs\n",
                    count(snapshot.tasks.len(), "task")
                ),
                None => "no difference\n".to_owned(),
            });
        }
        out
    }
}
