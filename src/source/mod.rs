//! Stage 1: the text of a policy, read once.
//!
//! A [`SourceSet`] is an immutable snapshot of every file that a policy is made
//! of. Nothing after this stage opens a policy file, so nothing can see two
//! versions of one; the [`Digest`] of the snapshot is the policy's identity.
//!
//! The files come from people and from tools that write while edict reads, and
//! the reader may be root. So: every path is walked one component at a time from
//! one directory handle and cannot leave the *pack*, the directory above the
//! policy's own; a file that others may write, or that lies in a directory in
//! which others may replace it, is refused; devices, pipes and sockets are
//! refused before they are opened; every read is bounded; a file that changed
//! while it was read is a [`Failure`] that says so ([`Failure::is_transient`])
//! and means "try again".
//!
//! This module does not know the language. What a file includes is told by the
//! caller through a closure.

mod digest;
mod include;
mod read;
mod walk;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::diag::{Diagnostic, FileId, Files, Span};

pub use digest::Digest;
pub use include::{LARGEST_TOGETHER, MOST_DEPTH, MOST_FILES};
pub use read::{LARGEST_INCLUDED, LARGEST_POLICY};

/// The file that stands for a directory.
pub const POLICY_FILE: &str = "policy.edict";
/// The file that stands for a directory, in the YAML form.
pub const POLICY_YAML: &str = "policy.yaml";

/// An `include` found in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Include {
    /// The path as written, relative to the file that includes.
    pub path: String,
    /// Where the path is written.
    pub span: Span,
}

/// Tells what a file, given with its name and text, includes, in the order of the
/// text.
pub type FindIncludes<'a> = &'a mut dyn FnMut(FileId, &str, &str) -> Vec<Include>;

/// One file of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Source {
    /// As printed.
    name: String,
    /// Relative to the policy's directory; part of the digest.
    key: String,
    path: PathBuf,
    text: String,
}

/// An immutable snapshot of every file of a policy. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct SourceSet {
    inner: Arc<Inner>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Inner {
    sources: Vec<Source>,
    order: Vec<FileId>,
    directories: BTreeSet<PathBuf>,
    digest: Digest,
}

/// Two snapshots are equal when they hold the same files.
impl PartialEq for SourceSet {
    fn eq(&self, other: &Self) -> bool {
        self.inner == other.inner
    }
}

impl SourceSet {
    fn new(sources: Vec<Source>, order: Vec<FileId>, directories: BTreeSet<PathBuf>) -> Self {
        let digest = Digest::of(sources.iter().map(|s| (s.key.as_str(), s.text.as_str())));
        Self {
            inner: Arc::new(Inner {
                sources,
                order,
                directories,
                digest,
            }),
        }
    }

    /// A snapshot of texts that are in no file; the first is the policy.
    /// Includes are looked up among the names.
    ///
    /// # Errors
    /// As [`load`], but never transient.
    pub fn in_memory(texts: &[(&str, &str)], find: FindIncludes<'_>) -> Result<Self, Failure> {
        let mut store = include::Texts(texts);
        include::collect(&mut store, find)
    }

    /// The policy itself, as opposed to what it includes.
    pub fn root(&self) -> FileId {
        FileId(0)
    }

    /// Every file in the order in which its definitions count: what is included
    /// before what includes it, the policy itself last.
    pub fn order(&self) -> &[FileId] {
        &self.inner.order
    }

    /// The identity of the snapshot: SHA-256 over the names (relative to the
    /// policy's directory) and the contents of every file.
    pub fn digest(&self) -> Digest {
        self.inner.digest
    }

    /// The paths of the files that were read.
    pub fn paths(&self) -> Vec<&Path> {
        let sources = self.inner.sources.iter();
        sources.map(|source| source.path.as_path()).collect()
    }

    /// The directories to watch for changes: every one that was passed on the
    /// way to a file, and the one above the policy's own. Never empty after
    /// [`load`], whether it succeeded or not, unless no directory exists.
    pub fn directories(&self) -> &BTreeSet<PathBuf> {
        &self.inner.directories
    }

    fn source(&self, file: FileId) -> Option<&Source> {
        self.inner.sources.get(usize::from(file.0))
    }
}

impl Files for SourceSet {
    fn name(&self, file: FileId) -> &str {
        self.source(file).map_or("", |source| &source.name)
    }

    fn text(&self, file: FileId) -> &str {
        self.source(file).map_or("", |source| &source.text)
    }
}

/// Why a policy could not be read.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What is wrong; never empty.
    pub diagnostics: Vec<Diagnostic>,
    /// The files as far as they were read, to render the diagnostics with.
    pub files: SourceSet,
    transient: bool,
}

impl Failure {
    /// Whether a file changed while it was read: the same load may succeed a
    /// moment later.
    pub fn is_transient(&self) -> bool {
        self.transient
    }
}

/// Reads the policy at `path`, a file or a directory with a `policy.edict` or a
/// `policy.yaml`, and every file that it includes.
///
/// # Errors
/// A [`Failure`] when anything in the policy cannot be read or may not be
/// trusted.
pub fn load(path: &Path, find: FindIncludes<'_>) -> Result<SourceSet, Failure> {
    let mut store = match walk::Pack::open(path) {
        Ok(pack) => pack,
        Err((diagnostic, directories)) => {
            return Err(Failure {
                diagnostics: vec![*diagnostic],
                files: SourceSet::new(Vec::new(), Vec::new(), directories),
                transient: false,
            });
        }
    };
    include::collect(&mut store, find)
}

#[cfg(test)]
mod tests;
