//! `--watch`: the same again whenever a file of the policy changes.
//!
//! The files are looked at five times a second: their inodes, sizes and times,
//! and those of the directories on the way to them. That is a few dozen system
//! calls, works on every file system, and needs no limit of anybody's; the agent,
//! which runs for months, has [`crate::reload`]. Times can lie, so the texts are
//! read every five seconds whatever they say, and a run that would say the same
//! of the same texts is left out.
//!
//! A policy that is broken, half written or gone is shown like any other and
//! ends nothing: it is the usual state between two good ones. Ctrl-C ends with
//! the exit code of the last run, and so does a reader that goes away.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};

use super::policy::{Examined, count, examine_all};
use super::{Exit, Format, Terminal, fail};
use crate::diag::{Diagnostic, FileId, Files as _, visible};
use crate::source::SourceSet;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How long they must stay as they are before they are read.
const QUIET: Duration = Duration::from_millis(100);
/// The longest that a change is left unread.
const AT_MOST: Duration = Duration::from_secs(2);
/// How often they are read although nothing was seen.
const READ: Duration = Duration::from_secs(5);

/// Reports on the policies at `paths`, and again after each change.
pub(super) fn again(
    paths: &[PathBuf],
    terminal: &Terminal,
    mut report: impl FnMut(&[Examined]) -> Exit,
) -> Exit {
    let ended = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        if let Err(error) = signal_hook::flag::register(signal, Arc::clone(&ended)) {
            return fail(terminal, &format!("signals: {error}"), None);
        }
    }
    terminal.one_document_a_line();
    let mut exit = Exit::Done;
    let mut last: Option<Seen> = None;
    let mut number = 0;
    loop {
        let all = examine_all(paths);
        let seen = Seen::of(&all);
        if last.as_ref() != Some(&seen) {
            number += 1;
            if let Some(last) = &last {
                separate(terminal, number, &last.changed(&seen));
            }
            exit = report(&all);
            if number == 1 && terminal.format() == Format::Human {
                let files = seen.files.iter().map(|files| files.paths().len()).sum();
                terminal.complain(&format!("watching {}; Ctrl-C ends\n", count(files, "file")));
            }
            last = Some(seen);
        }
        if terminal.is_unread() || !changed(&stamps(paths, &all), paths, &all, &ended) {
            return exit;
        }
    }
}

/// What a run was about; the same again is not worth another.
#[derive(PartialEq)]
struct Seen {
    files: Vec<SourceSet>,
    diagnostics: Vec<Vec<Diagnostic>>,
}

impl Seen {
    fn of(all: &[Examined]) -> Self {
        Self {
            files: all.iter().map(|one| one.files.clone()).collect(),
            diagnostics: all.iter().map(|one| one.diagnostics.clone()).collect(),
        }
    }

    /// The names of the files whose text is another in `new`.
    fn changed(&self, new: &Self) -> Vec<String> {
        let texts = |seen: &Self| -> BTreeMap<PathBuf, String> {
            let of = |files: &SourceSet| -> Vec<(PathBuf, String)> {
                let paths = files.paths().into_iter().zip(0..);
                paths
                    .map(|(path, id)| (path.to_owned(), files.text(FileId(id)).to_owned()))
                    .collect()
            };
            seen.files.iter().flat_map(of).collect()
        };
        let (before, after) = (texts(self), texts(new));
        before
            .iter()
            .filter(|(path, text)| after.get(*path) != Some(*text))
            .map(|(path, _)| path)
            .chain(after.keys().filter(|path| !before.contains_key(*path)))
            .map(|path| {
                let name = path.file_name().unwrap_or(path.as_os_str());
                visible(&name.to_string_lossy()).into_owned()
            })
            .collect()
    }
}

/// A line between two runs.
fn separate(terminal: &Terminal, number: usize, changed: &[String]) {
    let why = match changed {
        [] => String::new(),
        names => format!(": {} changed", names.join(", ")),
    };
    match terminal.format() {
        Format::Json => {}
        Format::Plain => terminal.print(&format!("--- run {number}{why}\n")),
        Format::Human => {
            let title = format!("── run {number}{why} ");
            let width = terminal.width().saturating_sub(title.chars().count());
            let line = format!("{title}{}", "─".repeat(width));
            terminal.print(&format!("\n{}\n", terminal.bold(&line)));
        }
    }
}

type Stamps = Vec<Option<[i64; 7]>>;

/// What the file system says of everything that the policies are read from.
fn stamps(paths: &[PathBuf], all: &[Examined]) -> Stamps {
    let read = all.iter().flat_map(|one| {
        let files: Vec<&Path> = one.files.paths();
        let directories = one.files.directories().iter().map(PathBuf::as_path);
        files.into_iter().chain(directories)
    });
    paths
        .iter()
        .map(PathBuf::as_path)
        .chain(read)
        .map(|path| {
            let meta = fs::metadata(path).ok()?;
            let number = |n: u64| i64::from_ne_bytes(n.to_ne_bytes());
            Some([
                number(meta.dev()),
                number(meta.ino()),
                number(meta.size()),
                meta.mtime(),
                meta.mtime_nsec(),
                meta.ctime(),
                meta.ctime_nsec(),
            ])
        })
        .collect()
}

/// Waits until it is time to read again; false when it is time to end.
fn changed(known: &Stamps, paths: &[PathBuf], all: &[Examined], ended: &AtomicBool) -> bool {
    let since = Instant::now();
    let mut moved: Option<(Instant, Stamps)> = None;
    loop {
        if ended.load(Ordering::Relaxed) {
            return false;
        }
        let pause = match &moved {
            Some((first, _)) if first.elapsed() > AT_MOST => return true,
            Some(_) => QUIET,
            None if since.elapsed() > READ => return true,
            None => LOOK,
        };
        // A signal does not shorten a sleep, which starts again.
        let wake = Instant::now() + pause;
        while Instant::now() < wake {
            if ended.load(Ordering::Relaxed) {
                return false;
            }
            thread::sleep(Duration::from_millis(20));
        }
        let now = stamps(paths, all);
        match &moved {
            None if now != *known => moved = Some((Instant::now(), now)),
            None => {}
            Some((_, before)) if *before == now => return true,
            Some((first, _)) => moved = Some((*first, now)),
        }
    }
}
