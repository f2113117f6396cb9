//! The half of a reload that touches files: one thread that arms the watch,
//! reads the pack and compiles it.
//!
//! All file access happens here, so that a hung network file system stops
//! reloads and nothing else: the owner of the object goes on answering.
//!
//! After each build the pack is read once more. What was compiled is worth
//! committing only if the files still say the same.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::watch::{Watch, Watching};

/// A policy on disk that can be read and compiled.
pub trait Pack: Send + 'static {
    /// Identity of the content.
    type Digest: Clone + Eq + Send + 'static;
    /// What the owner of the object prepares and commits.
    type Built: Send + 'static;

    /// Read every file once, as one consistent snapshot, and say what it is.
    /// Done far more often than compiling, so it should be cheap.
    fn glance(&mut self) -> Result<Glance<Self::Digest>, Unreadable>;

    /// Read every file once, and compile what was read.
    fn compile(&mut self) -> Result<Compilation<Self::Digest, Self::Built>, Unreadable>;

    /// The directories to watch while nothing can be read.
    fn directories(&self) -> Vec<PathBuf>;
}

/// A consistent reading of the pack.
#[derive(Debug)]
pub struct Glance<D> {
    /// Its identity.
    pub digest: D,
    /// Where the files are.
    pub directories: Vec<PathBuf>,
}

/// What became of a consistent reading of the pack.
#[derive(Debug)]
pub struct Compilation<D, B> {
    /// Its identity.
    pub digest: D,
    /// What it compiles to.
    pub outcome: Result<B, Rejection>,
}

/// Why the pack could not be read.
#[derive(Debug)]
pub enum Unreadable {
    /// The files changed while they were read: read again.
    Moving(String),
    /// They cannot be read as they are.
    Failed(Rejection),
}

/// Why a policy was not taken. Two rejections with the same text are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// One line for `status`.
    pub summary: String,
    /// The whole report for the log; may be the same as the summary.
    pub report: String,
    /// The code of the first error, such as `E0201`.
    pub code: Option<String>,
}

/// What one pass is to do.
#[derive(Debug, Clone)]
pub struct Pass<D> {
    /// The content of the generation in force.
    pub running: D,
    /// Whether to compile whatever is new; if not, only what was seen by the
    /// pass before, because nothing told that the writer has finished.
    pub heard: bool,
    /// The content that the pass before has seen.
    pub seen: Option<D>,
    /// Content that was rejected; not compiled again unless asked for.
    pub rejected: Option<D>,
}

/// What one pass has found.
#[derive(Debug)]
pub enum Finding<D, B> {
    /// The files changed while they were read.
    Moving(String),
    /// The content is the one in force.
    Unchanged,
    /// The content is the one rejected before.
    StillRejected,
    /// New content, seen for the first time and by chance.
    Sighted(D),
    /// The content cannot be taken.
    Rejected {
        /// Its identity, if it could be read.
        digest: Option<D>,
        /// Why.
        rejection: Rejection,
        /// Whether the files say something else by now.
        moved: bool,
    },
    /// The content compiles.
    Built {
        /// Its identity.
        digest: D,
        /// What to prepare.
        built: B,
        /// How long the compilation took.
        took: Duration,
        /// Whether the files say something else by now.
        moved: bool,
    },
}

/// A finding, and how changes come to notice since.
pub type Found<P> = (Finding<<P as Pack>::Digest, <P as Pack>::Built>, Watching);

/// The thread; it ends when this is dropped.
pub struct Worker<D> {
    orders: mpsc::Sender<Pass<D>>,
}

impl<D: Clone + Eq + Send + 'static> Worker<D> {
    /// Start the thread. `deliver` is called once for each pass.
    pub fn spawn<P>(
        mut pack: P,
        mut watch: Watch,
        deliver: impl Fn(Found<P>) + Send + 'static,
    ) -> std::io::Result<Self>
    where
        P: Pack<Digest = D>,
    {
        let (orders, inbox) = mpsc::channel::<Pass<D>>();
        thread::Builder::new()
            .name("edict-build".to_owned())
            .spawn(move || {
                for order in inbox {
                    // A defect may cost an edit, but not every later one.
                    let attempt = AssertUnwindSafe(|| pass(&mut pack, &mut watch, &order));
                    let finding = catch_unwind(attempt).unwrap_or_else(|_| defect());
                    deliver((finding, watch.watching().clone()));
                }
            })?;
        Ok(Self { orders })
    }

    /// Ask for a pass; false if the thread is gone.
    pub fn order(&self, pass: Pass<D>) -> bool {
        self.orders.send(pass).is_ok()
    }
}

fn pass<P: Pack>(
    pack: &mut P,
    watch: &mut Watch,
    order: &Pass<P::Digest>,
) -> Finding<P::Digest, P::Built> {
    let digest = match glance_under_watch(pack, watch) {
        Ok(glance) => glance.digest,
        Err(unreadable) => return unread(unreadable),
    };
    if digest == order.running {
        return Finding::Unchanged;
    }
    if !order.heard && order.rejected.as_ref() == Some(&digest) {
        return Finding::StillRejected;
    }
    if !order.heard && order.seen.as_ref() != Some(&digest) {
        return Finding::Sighted(digest);
    }
    let start = Instant::now();
    let compiled = pack.compile();
    let took = start.elapsed();
    let Compilation { digest, outcome } = match compiled {
        Ok(compilation) => compilation,
        Err(unreadable) => return unread(unreadable),
    };
    let moved = !pack.glance().is_ok_and(|now| now.digest == digest);
    match outcome {
        Ok(built) => Finding::Built {
            digest,
            built,
            took,
            moved,
        },
        Err(rejection) => Finding::Rejected {
            digest: Some(digest),
            rejection,
            moved,
        },
    }
}

fn defect<D, B>() -> Finding<D, B> {
    let what = "edict failed on this policy, which is a defect; please report it";
    Finding::Rejected {
        digest: None,
        rejection: Rejection {
            summary: what.to_owned(),
            report: what.to_owned(),
            code: None,
        },
        moved: false,
    }
}

fn unread<D, B>(unreadable: Unreadable) -> Finding<D, B> {
    match unreadable {
        Unreadable::Moving(what) => Finding::Moving(what),
        Unreadable::Failed(rejection) => Finding::Rejected {
            digest: None,
            rejection,
            moved: false,
        },
    }
}

/// Arm, then read: whatever happens after the reading rings. Where the files
/// lie in directories not watched before, or one was replaced, read again.
fn glance_under_watch<P: Pack>(
    pack: &mut P,
    watch: &mut Watch,
) -> Result<Glance<P::Digest>, Unreadable> {
    watch.arm(&pack.directories());
    let mut seen = pack.glance();
    for _ in 0..3 {
        let directories = match &seen {
            Ok(glance) => glance.directories.clone(),
            Err(_) => pack.directories(),
        };
        if !watch.arm(&directories) {
            break;
        }
        seen = pack.glance();
    }
    seen
}
