//! Follows includes: depth first, each file once, bounded.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::{Failure, FindIncludes, Include, Source, SourceSet};
use crate::diag::{Code, Diagnostic, FileId, Span, shown};

/// How deep includes may be nested.
pub const MOST_DEPTH: usize = 8;
/// How many files one policy may consist of.
pub const MOST_FILES: usize = 32;
/// How long the files of one policy may be together, in bytes.
pub const LARGEST_TOGETHER: u64 = 4 << 20;

/// A file as a store hands it over.
pub(super) struct Fetched<I> {
    pub(super) identity: I,
    pub(super) name: String,
    pub(super) key: String,
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
}

/// Why a store does not hand a file over.
pub(super) struct Refusal {
    pub(super) diagnostic: Box<Diagnostic>,
    pub(super) transient: bool,
}

/// Where files come from: the disk, or memory in tests.
pub(super) trait Store {
    /// Equal for two paths that lead to one file.
    type Identity: Clone + PartialEq;

    /// Finds and reads a file: the policy itself, or what `from` includes. When
    /// the file is one of `known`, it is not read again and `bytes` is empty.
    fn fetch(
        &mut self,
        from: Option<(FileId, &Include)>,
        known: &[Self::Identity],
    ) -> Result<Fetched<Self::Identity>, Refusal>;

    /// Whether every file is still what it was when it was read.
    fn still_the_same(&mut self) -> Result<(), Refusal>;

    /// The directories passed so far.
    fn directories(&self) -> BTreeSet<PathBuf>;
}

struct Collection<'a, S: Store> {
    store: &'a mut S,
    find: FindIncludes<'a>,
    sources: Vec<Source>,
    identities: Vec<S::Identity>,
    order: Vec<FileId>,
    /// The files whose includes are being followed.
    open: Vec<FileId>,
    diagnostics: Vec<Diagnostic>,
    transient: bool,
    /// Bytes that were read.
    together: u64,
}

/// Collects the policy and everything that it includes.
pub(super) fn collect<S: Store>(
    store: &mut S,
    find: FindIncludes<'_>,
) -> Result<SourceSet, Failure> {
    let mut collection = Collection {
        store,
        find,
        sources: Vec::new(),
        identities: Vec::new(),
        order: Vec::new(),
        open: Vec::new(),
        diagnostics: Vec::new(),
        transient: false,
        together: 0,
    };
    collection.follow(None);
    if collection.diagnostics.is_empty()
        && let Err(refusal) = collection.store.still_the_same()
    {
        collection.refuse(refusal);
    }
    let Collection {
        store,
        sources,
        order,
        diagnostics,
        transient,
        ..
    } = collection;
    let files = SourceSet::new(sources, order, store.directories());
    if diagnostics.is_empty() {
        Ok(files)
    } else {
        Err(Failure {
            diagnostics,
            files,
            transient,
        })
    }
}

impl<S: Store> Collection<'_, S> {
    fn refuse(&mut self, refusal: Refusal) {
        self.transient |= refusal.transient;
        self.diagnostics.push(*refusal.diagnostic);
    }

    /// Reads one file and what it includes. The depth of the recursion is
    /// bounded by [`MOST_DEPTH`].
    fn follow(&mut self, from: Option<(FileId, &Include)>) {
        // So many includes that fail are one mistake, not many.
        if self.together > LARGEST_TOGETHER || self.diagnostics.len() >= MOST_FILES {
            return;
        }
        let fetched = match self.store.fetch(from, &self.identities) {
            Ok(fetched) => fetched,
            Err(refusal) => return self.refuse(refusal),
        };
        let span = from.map(|(_, include)| include.span);
        if let Some(index) = self.identities.iter().position(|i| *i == fetched.identity) {
            let seen = file_id(index);
            if self.open.contains(&seen) {
                self.diagnostics.push(circle(&fetched.name, span));
            }
            return;
        }
        if self.sources.len() >= MOST_FILES {
            self.diagnostics.push(
                with_label(
                    Diagnostic::new(
                        Code::E0012,
                        format!("the policy consists of more than {MOST_FILES} files"),
                    ),
                    span,
                    "one file too many",
                )
                .help("put the sets of several files into one"),
            );
            return;
        }
        self.together = self.together.saturating_add(fetched.bytes.len() as u64);
        if self.together > LARGEST_TOGETHER {
            // Before it is parsed: that takes far longer than to read it.
            self.diagnostics.push(
                with_label(
                    Diagnostic::new(
                        Code::E0006,
                        format!(
                            "the files of the policy are more than {} KiB long together",
                            LARGEST_TOGETHER >> 10
                        ),
                    ),
                    span,
                    "this file crosses the limit",
                )
                .help("leave out sets that no rule uses, or name directories with `under` instead of every file"),
            );
            return;
        }
        let file = file_id(self.sources.len());
        let (text, invalid) = match String::from_utf8(fetched.bytes) {
            Ok(text) => (text, None),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                (text, Some(at))
            }
        };
        let name = fetched.name.clone();
        self.identities.push(fetched.identity);
        self.sources.push(Source {
            name: fetched.name,
            key: fetched.key,
            path: fetched.path,
            text: text.clone(),
        });
        if let Some(at) = invalid {
            // The replacement character is three bytes long.
            let span = Span::new(file, at, at + 3);
            self.diagnostics.push(
                Diagnostic::new(Code::E0007, format!("`{}` is not UTF-8 text", shown(&name)))
                    .label(span, format!("the byte at offset {at} is not UTF-8"))
                    .help("save the file as UTF-8"),
            );
            return;
        }
        if text.trim().is_empty() {
            let diagnostic = Diagnostic::new(Code::E0008, format!("`{}` is empty", shown(&name)));
            let diagnostic = with_label(diagnostic, span, "included here");
            self.diagnostics.push(if span.is_none() {
                diagnostic.help("a policy starts with `language 1`; see `edict help language`")
            } else {
                diagnostic.help("delete the include, or define a set in the file")
            });
            return;
        }
        let includes = (self.find)(file, &name, &text);
        if !includes.is_empty() && self.open.len() >= MOST_DEPTH {
            let first = includes.first().map(|include| include.span);
            self.diagnostics.push(
                with_label(
                    Diagnostic::new(
                        Code::E0012,
                        format!("includes are nested deeper than {MOST_DEPTH}"),
                    ),
                    first,
                    "one level too deep",
                )
                .help("include the file from the policy itself"),
            );
            return;
        }
        self.open.push(file);
        for include in &includes {
            self.follow(Some((file, include)));
        }
        self.open.pop();
        self.order.push(file);
    }
}

fn file_id(index: usize) -> FileId {
    // At most `MOST_FILES` files are ever kept.
    FileId(u16::try_from(index).unwrap_or(u16::MAX))
}

fn circle(name: &str, span: Option<Span>) -> Diagnostic {
    let diagnostic = Diagnostic::new(Code::E0011, format!("`{}` includes itself", shown(name)));
    with_label(diagnostic, span, "this closes the circle")
        .help("move what both need into a third file")
}

/// Adds a label if there is a place for it.
pub(super) fn with_label(diagnostic: Diagnostic, span: Option<Span>, text: &str) -> Diagnostic {
    match span {
        Some(span) => diagnostic.label(span, text),
        None => diagnostic,
    }
}

/// Texts in memory, by name.
pub(super) struct Texts<'a>(pub(super) &'a [(&'a str, &'a str)]);

impl Store for Texts<'_> {
    type Identity = String;

    fn fetch(
        &mut self,
        from: Option<(FileId, &Include)>,
        _: &[String],
    ) -> Result<Fetched<String>, Refusal> {
        let found = match from {
            None => self.0.first(),
            Some((_, include)) => self.0.iter().find(|(name, _)| *name == include.path),
        };
        let Some((name, text)) = found else {
            let path = from.map_or("", |(_, include)| &include.path);
            let span = from.map(|(_, include)| include.span);
            let diagnostic =
                Diagnostic::new(Code::E0001, format!("there is no file `{}`", shown(path)));
            return Err(Refusal {
                diagnostic: Box::new(with_label(diagnostic, span, "included here")),
                transient: false,
            });
        };
        Ok(Fetched {
            identity: (*name).to_owned(),
            name: (*name).to_owned(),
            key: (*name).to_owned(),
            path: PathBuf::from(name),
            bytes: text.as_bytes().to_vec(),
        })
    }

    fn still_the_same(&mut self) -> Result<(), Refusal> {
        Ok(())
    }

    fn directories(&self) -> BTreeSet<PathBuf> {
        BTreeSet::new()
    }
}
