//! The policy on disk, as the worker of a reload sees it.

use std::path::{Path, PathBuf};

use super::machine;
use crate::check::{self, Checked, Policy};
use crate::diag::{Diagnostic, Files, Format, Lines, RenderOptions, Severity, render};
use crate::image::{self, Image};
use crate::plan;
use crate::reload::{Compilation, Glance, Pack, Rejection, Unreadable};
use crate::source::{self, Digest, SourceSet};
use crate::syntax;

/// Columns of the diagnostics in the log, which is no terminal.
const LOG_WIDTH: usize = 100;

/// A policy that is ready to be prepared, with what is needed to talk about it.
pub struct Compiled {
    /// The policy.
    pub policy: Policy,
    /// Its text.
    pub files: SourceSet,
    /// Its bank.
    pub image: Image,
    /// Warnings about it, also about what this machine has not.
    pub warnings: Vec<Diagnostic>,
}

impl Compiled {
    /// Compile what was checked. A policy that this version cannot carry out in
    /// full is refused like one that is not valid.
    pub fn new(checked: Checked) -> Result<Self, (Vec<Diagnostic>, SourceSet)> {
        let Checked {
            files,
            mut diagnostics,
            policy,
            ..
        } = checked;
        let Some(policy) = policy else {
            return Err((diagnostics, files));
        };
        // Valid, but nothing here does what it says: to put it in force would be
        // to carry out a part of it.
        if !policy.unready().is_empty() {
            return Err((policy.unready().to_vec(), files));
        }
        let image = plan::lower(&policy).and_then(|plan| image::emit(&plan));
        match image {
            Ok(image) => {
                diagnostics.extend(machine::misfits(&policy));
                Ok(Self {
                    policy,
                    files,
                    image,
                    warnings: diagnostics,
                })
            }
            Err(limits) => Err((limits, files)),
        }
    }

    /// The warnings as text for the log; empty without any.
    pub fn warnings(&self) -> String {
        picture(&self.warnings, &self.files)
    }

    /// `desktop 1.0`
    pub fn title(&self) -> String {
        match self.policy.version() {
            Some(version) => format!("{} {version}", self.policy.name()),
            None => self.policy.name().to_owned(),
        }
    }
}

/// Reads and compiles the policy at a path.
pub struct PolicyPack {
    path: PathBuf,
    directories: Vec<PathBuf>,
}

impl PolicyPack {
    /// The policy at `path`: a file, or a directory.
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            directories: Vec::new(),
        }
    }
}

impl PolicyPack {
    /// Remember where the files are, for as long as they cannot be read.
    fn remember(&mut self, files: &SourceSet) {
        let directories = watched(files.directories().iter().map(PathBuf::as_path));
        if !directories.is_empty() {
            self.directories = directories;
        }
    }
}

impl Pack for PolicyPack {
    type Digest = Digest;
    type Built = Box<Compiled>;

    fn glance(&mut self) -> Result<Glance<Digest>, Unreadable> {
        let find = &mut |file, name: &str, text: &str| {
            // Most policies include nothing, and need no parsing to be known by.
            // A key may be spelled with escapes.
            if !text.contains("include") && !text.contains('\\') {
                return Vec::new();
            }
            let parsed = syntax::parse_named(file, name, text);
            parsed.ast.as_ref().map_or_else(Vec::new, syntax::includes)
        };
        match source::load(&self.path, find) {
            Ok(files) => {
                self.remember(&files);
                Ok(Glance {
                    digest: files.digest(),
                    directories: self.directories.clone(),
                })
            }
            Err(failure) => {
                self.remember(&failure.files);
                let rejection = rejection(&failure.diagnostics, &failure.files);
                Err(unreadable(failure.is_transient(), rejection))
            }
        }
    }

    fn compile(&mut self) -> Result<Compilation<Digest, Box<Compiled>>, Unreadable> {
        let checked = check::check_path(&self.path);
        self.remember(&checked.files);
        if checked.is_transient() || checked.diagnostics.iter().any(is_about_files) {
            let rejection = rejection(&checked.diagnostics, &checked.files);
            return Err(unreadable(checked.is_transient(), rejection));
        }
        let digest = checked.files.digest();
        let outcome = match Compiled::new(checked) {
            Ok(compiled) => Ok(Box::new(compiled)),
            Err((diagnostics, files)) => Err(rejection(&diagnostics, &files)),
        };
        Ok(Compilation { digest, outcome })
    }

    fn directories(&self) -> Vec<PathBuf> {
        self.directories.clone()
    }
}

fn unreadable(is_moving: bool, rejection: Rejection) -> Unreadable {
    match is_moving {
        true => Unreadable::Moving(rejection.summary),
        false => Unreadable::Failed(rejection),
    }
}

/// A directory above all the others is watched as the parent of what lies in it
/// anyway, and may be as busy as `/tmp`: as one of ours it would never settle.
fn watched<'a>(directories: impl Iterator<Item = &'a Path> + Clone) -> Vec<PathBuf> {
    let is_above_all = |top: &Path| {
        directories.clone().count() > 1 && directories.clone().all(|d| d.starts_with(top))
    };
    directories
        .clone()
        .filter(|directory| !is_above_all(directory))
        .map(Path::to_path_buf)
        .collect()
}

/// Whether the policy could not be read, as opposed to not understood.
fn is_about_files(diagnostic: &Diagnostic) -> bool {
    diagnostic.is_error() && diagnostic.code.as_str().starts_with("E00")
}

/// What is wrong, in one line and as a picture.
pub fn rejection(diagnostics: &[Diagnostic], files: &SourceSet) -> Rejection {
    let errors: Vec<&Diagnostic> = diagnostics.iter().filter(|d| d.is_error()).collect();
    let summary = errors.first().map_or_else(String::new, |first| {
        let place = first.labels.first().map_or(String::new(), |label| {
            let text = files.text(label.span.file);
            let position = Lines::new(text).position(label.span.start as usize);
            format!(" ({}:{})", files.name(label.span.file), position.line)
        });
        let more = match errors.len() - 1 {
            0 => String::new(),
            1 => ", and 1 more error".to_owned(),
            count => format!(", and {count} more errors"),
        };
        format!("{}: {}{place}{more}", first.code, first.message)
    });
    Rejection {
        summary,
        report: picture(diagnostics, files),
        code: errors.first().map(|first| first.code.to_string()),
    }
}

fn picture(diagnostics: &[Diagnostic], files: &SourceSet) -> String {
    let worth_it: Vec<Diagnostic> = diagnostics
        .iter()
        .filter(|d| d.severity != Severity::Note)
        .cloned()
        .collect();
    let options = RenderOptions {
        color: false,
        width: LOG_WIDTH,
    };
    render(&worth_it, files, Format::Human, options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_above_all_others_is_left_to_their_parents() {
        let watched = |names: &[&str]| watched(names.iter().map(Path::new));
        assert_eq!(
            watched(&["/etc", "/etc/edict", "/etc/edict/sets"]),
            [
                PathBuf::from("/etc/edict"),
                PathBuf::from("/etc/edict/sets")
            ]
        );
        assert_eq!(watched(&["/etc"]), [PathBuf::from("/etc")]);
        assert_eq!(
            watched(&["/a", "/b"]),
            [PathBuf::from("/a"), PathBuf::from("/b")]
        );
    }
}
