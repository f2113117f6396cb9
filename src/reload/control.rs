//! The states of a reload, as a machine without threads or clocks of its own:
//! the owner of the object tells it the time, and it tells the owner when to
//! call again.
//!
//! Every answer is given once. A [`Report`] is made when a generation was
//! committed, when content was rejected for the first time, and when what was
//! rejected is gone again; a pass that finds nothing new says nothing.

use std::time::{Duration, Instant};

use super::settle::{Bell, Distance, Pace, Settle};
use super::watch::Watching;
use super::worker::{Finding, Found, Pack, Pass, Rejection, Worker};

/// So often in a row may the files move while they are compiled; after that the
/// snapshot is taken as it is, or a writer that never rests would keep every
/// edit out.
const MOVES_MAX: u32 = 3;

/// So often in a row is looked again before files that keep changing are called
/// unreadable.
const LOOKS_MAX: u32 = 20;

/// So often in a row is content given another chance that was read amid writes,
/// and may be half of what it is going to be.
const CHANCES_MAX: u32 = 5;

/// So often in a row must the files be missing or empty to be so: an editor may
/// delete before it writes, a directory may be between two renames.
const SAME_MAX: u32 = 3;

/// The owner of the object.
pub trait Engine {
    /// What the worker compiles.
    type Built;
    /// What a filled, idle bank is.
    type Prepared;
    /// What is known about a generation once it is in force.
    type Committed;

    /// Fill the idle bank. May refuse; then nothing has changed.
    fn prepare(&mut self, built: Self::Built) -> Result<Self::Prepared, Rejection>;

    /// Make it the one in force. May refuse; then nothing has changed.
    fn commit(&mut self, prepared: Self::Prepared) -> Result<Self::Committed, Rejection>;
}

/// Where a reload is, for `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The content on disk is in force.
    Committed,
    /// Something may have changed; waiting until the writers have finished.
    Settling,
    /// Reading and compiling.
    Building,
    /// The content on disk cannot be taken; an older generation is in force.
    Rejected,
}

impl State {
    /// The word that `status` prints.
    pub fn word(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Settling => "settling",
            Self::Building => "building",
            Self::Rejected => "rejected",
        }
    }
}

/// The end of a pass.
#[derive(Debug)]
pub struct Step<C> {
    /// Which pass; compare with what [`Reload::request`] returned.
    pub pass: u64,
    /// What became of it.
    pub report: Report<C>,
}

/// What became of a pass.
#[derive(Debug)]
pub enum Report<C> {
    /// The content is the one in force, as it was before.
    Unchanged,
    /// The content is the one in force again; the rejected one is gone.
    Recovered,
    /// A new generation is in force.
    Committed {
        /// What the engine says about it.
        committed: C,
        /// How long it took to compile.
        built_in: Duration,
        /// How long it took to fill the idle bank.
        prepared_in: Duration,
        /// How long the switch took.
        committed_in: Duration,
        /// Time from the last event to the switch; none if nothing was heard.
        after_save: Option<Duration>,
    },
    /// The old generation stays in force.
    Rejected {
        /// Why.
        rejection: Rejection,
        /// Whether the same was reported before.
        again: bool,
    },
}

enum Phase {
    Idle,
    Settling(Settle),
    Building,
}

/// The machine.
pub struct Reload<P: Pack> {
    pace: Pace,
    bell: Bell,
    worker: Worker<P::Digest>,
    phase: Phase,
    running: P::Digest,
    /// Content that is known to be bad, and why.
    rejected: Option<(Option<P::Digest>, Rejection)>,
    nr_rejected: u64,
    /// Content that a pass has seen but not compiled.
    seen: Option<P::Digest>,
    /// Whether this pass was asked for, by an event or by the operator.
    heard: bool,
    /// The last event before this pass.
    saved: Option<Instant>,
    /// The files were read although the events had not paused.
    is_restless: bool,
    /// How often this pass has looked again.
    looks: u32,
    /// What kept it from reading the files, and how often in a row.
    obstacle: Option<(Rejection, u32)>,
    /// Asked for while a pass was under way.
    requested: bool,
    pass: u64,
    next_poll: Instant,
    watching: Watching,
}

impl<P: Pack> Reload<P> {
    /// Begins with `running` in force and looks at the files at once, to arm
    /// the watch and to see what has changed since `running` was read.
    pub fn new(
        pace: Pace,
        bell: Bell,
        worker: Worker<P::Digest>,
        running: P::Digest,
        now: Instant,
    ) -> Self {
        let mut reload = Self {
            pace,
            bell,
            worker,
            phase: Phase::Idle,
            running,
            rejected: None,
            nr_rejected: 0,
            seen: None,
            heard: false,
            saved: None,
            is_restless: false,
            looks: 0,
            obstacle: None,
            requested: false,
            pass: 0,
            next_poll: now + pace.poll,
            watching: Watching::Events,
        };
        reload.build();
        reload
    }

    /// The state, for `status`.
    pub fn state(&self) -> State {
        match (&self.phase, &self.rejected) {
            (Phase::Settling(_), _) => State::Settling,
            (Phase::Building, _) if self.heard => State::Building,
            (_, Some(_)) => State::Rejected,
            (_, None) => State::Committed,
        }
    }

    /// Why the content on disk is not in force.
    pub fn last_error(&self) -> Option<&Rejection> {
        self.rejected.as_ref().map(|(_, rejection)| rejection)
    }

    /// How many different contents were rejected.
    pub fn nr_rejected(&self) -> u64 {
        self.nr_rejected
    }

    /// How changes come to notice.
    pub fn watching(&self) -> &Watching {
        &self.watching
    }

    /// Ask for a reload; returns the number of the pass whose end answers it.
    pub fn request(&mut self, now: Instant) -> u64 {
        match self.phase {
            // What is being read now may be older than the request.
            Phase::Building => {
                self.requested = true;
                self.pass + 1
            }
            Phase::Settling(_) => self.pass,
            Phase::Idle => {
                self.settle(now);
                self.pass
            }
        }
    }

    /// When to call [`Reload::step`] next, at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Idle => Some(self.next_poll),
            Phase::Settling(settle) => Some(settle.ready_at(self.bell.last(), &self.pace)),
            Phase::Building => None,
        }
    }

    /// Call when the bell was rung and when the deadline has passed.
    pub fn step(&mut self, now: Instant) {
        match &self.phase {
            Phase::Building => {}
            Phase::Idle if self.bell.is_rung() => self.settle(now),
            Phase::Idle if now >= self.next_poll => {
                self.heard = false;
                self.build();
            }
            Phase::Idle => {}
            Phase::Settling(settle) => {
                if now >= settle.ready_at(self.bell.last(), &self.pace) {
                    let rung = self.bell.is_rung();
                    let last = self.bell.last();
                    self.is_restless = last.is_some_and(|last| now < last + self.pace.quiet);
                    if let Some(last) = self.bell.silence() {
                        self.saved = Some(last);
                    }
                    self.heard |= rung;
                    self.build();
                }
            }
        }
    }

    /// Call with each delivery of the worker.
    pub fn found<E>(
        &mut self,
        now: Instant,
        (finding, watching): Found<P>,
        engine: &mut E,
    ) -> Option<Step<E::Committed>>
    where
        E: Engine<Built = P::Built>,
    {
        self.watching = watching;
        match finding {
            Finding::Moving(what) => {
                if self.again(now, LOOKS_MAX) {
                    return None;
                }
                let rejection = Rejection {
                    summary: what.clone(),
                    report: what,
                    code: None,
                };
                Some(self.reject(now, None, rejection))
            }
            Finding::Sighted(digest) => {
                if self.seen.as_ref() != Some(&digest) && self.seen.is_some() {
                    self.looks += 1;
                }
                // A writer that never rests may not keep every edit out.
                self.heard = self.looks >= MOVES_MAX;
                self.seen = Some(digest);
                self.phase = Phase::Settling(Settle::open(now));
                None
            }
            Finding::Unchanged => {
                let report = match self.rejected.take() {
                    Some(_) => Report::Recovered,
                    None => Report::Unchanged,
                };
                Some(self.end(now, report))
            }
            Finding::StillRejected => {
                let rejection = self.last_error().cloned();
                Some(self.end(
                    now,
                    match rejection {
                        Some(rejection) => Report::Rejected {
                            rejection,
                            again: true,
                        },
                        None => Report::Unchanged,
                    },
                ))
            }
            Finding::Built { moved: true, .. } if self.again(now, MOVES_MAX) => None,
            Finding::Rejected { moved, .. }
                if (moved || self.is_restless || self.bell.is_rung())
                    && self.again(now, CHANCES_MAX) =>
            {
                None
            }
            Finding::Rejected {
                digest: None,
                rejection,
                ..
            } if self.is_passing(&rejection) && self.again(now, LOOKS_MAX) => None,
            Finding::Rejected {
                digest, rejection, ..
            } => Some(self.reject(now, digest, rejection)),
            Finding::Built {
                digest,
                built,
                took,
                moved,
            } => {
                if moved {
                    self.bell.ring(Distance::Far);
                }
                Some(self.commit(now, digest, built, took, engine))
            }
        }
    }

    fn commit<E>(
        &mut self,
        now: Instant,
        digest: P::Digest,
        built: P::Built,
        built_in: Duration,
        engine: &mut E,
    ) -> Step<E::Committed>
    where
        E: Engine<Built = P::Built>,
    {
        let start = Instant::now();
        let prepared = match engine.prepare(built) {
            Ok(prepared) => prepared,
            Err(rejection) => return self.reject(now, Some(digest), rejection),
        };
        let prepared_in = start.elapsed();
        let start = Instant::now();
        let committed = match engine.commit(prepared) {
            Ok(committed) => committed,
            Err(rejection) => return self.reject(now, Some(digest), rejection),
        };
        let committed_in = start.elapsed();
        let after_save = self.saved.map(|saved| saved.elapsed());
        self.running = digest;
        self.rejected = None;
        self.end(
            now,
            Report::Committed {
                committed,
                built_in,
                prepared_in,
                committed_in,
                after_save,
            },
        )
    }

    fn reject<C>(
        &mut self,
        now: Instant,
        digest: Option<P::Digest>,
        rejection: Rejection,
    ) -> Step<C> {
        let again = self.is_known(digest.as_ref(), &rejection);
        if !again {
            self.nr_rejected += 1;
            self.rejected = Some((digest, rejection.clone()));
        }
        self.end(now, Report::Rejected { rejection, again })
    }

    fn is_known(&self, digest: Option<&P::Digest>, rejection: &Rejection) -> bool {
        self.rejected
            .as_ref()
            .is_some_and(|(known, why)| known.as_ref() == digest && why.report == rejection.report)
    }

    /// Whether what keeps the files from being read may be over in a moment.
    fn is_passing(&mut self, rejection: &Rejection) -> bool {
        if self.is_known(None, rejection) {
            return false;
        }
        let before = match &self.obstacle {
            Some((same, count)) if same == rejection => *count,
            _ => 0,
        };
        self.obstacle = Some((rejection.clone(), before + 1));
        before + 1 < SAME_MAX
    }

    /// Another look after a pause, unless there were too many.
    fn again(&mut self, now: Instant, most: u32) -> bool {
        if self.looks >= most {
            return false;
        }
        self.looks += 1;
        self.phase = Phase::Settling(Settle::open(now));
        true
    }

    fn settle(&mut self, now: Instant) {
        self.heard = true;
        self.phase = Phase::Settling(Settle::open(now));
    }

    fn build(&mut self) {
        self.phase = Phase::Building;
        let _ = self.worker.order(Pass {
            running: self.running.clone(),
            heard: self.heard,
            seen: self.seen.clone(),
            rejected: self
                .rejected
                .as_ref()
                .and_then(|(digest, _)| digest.clone()),
        });
    }

    fn end<C>(&mut self, now: Instant, report: Report<C>) -> Step<C> {
        let pass = self.pass;
        self.pass += 1;
        self.is_restless = false;
        self.looks = 0;
        self.obstacle = None;
        self.seen = None;
        self.saved = None;
        self.heard = false;
        self.next_poll = now + self.pace.poll;
        self.phase = Phase::Idle;
        if self.bell.is_rung() || std::mem::take(&mut self.requested) {
            self.settle(now);
        }
        Step { pass, report }
    }
}
