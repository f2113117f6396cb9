//! A recording: what the scheduler decides, passed on to one client as it happens.
//!
//! The owner of the object only turns it on. From then on the thread that talks
//! to the client reads what happens, and when that thread has enough, or its
//! client has, or is gone, the recording is off. Nothing waits for it: what finds
//! no room in the kernel is lost, and counted.
//!
//! The names of a generation go before what is recorded of it. The owner commits
//! while it holds the list of names, and the reader looks at the list after it
//! has read: whatever it has read of a generation, the names are there.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::pack::Compiled;
use super::protocol::Response;
use super::scheduler::Recorder;
use super::streaming::Source;
use super::trace::{Committed, Ended, Line, Names, Run, Why};
use crate::live::{Closed, Happening};

/// The longest recording.
pub const LONGEST: Duration = Duration::from_secs(600);

/// So much is read before it is passed on.
const AT_ONCE: usize = 4_096;
/// A line without news is sent so often, for a client that waits.
const SILENCE: Duration = Duration::from_millis(200);

impl Names {
    fn of(compiled: &Compiled, generation: u64) -> Self {
        let image = &compiled.image;
        Self {
            generation,
            tiers: image.tiers().iter().map(|tier| tier.name.clone()).collect(),
            rules: image.rules().iter().map(|rule| rule.name.clone()).collect(),
        }
    }
}

/// What the owner and the reader both know.
#[derive(Debug, Default)]
struct Shared {
    /// Those that were not told yet.
    names: Mutex<Vec<Names>>,
    over: OnceLock<Why>,
}

impl Shared {
    fn names(&self) -> MutexGuard<'_, Vec<Names>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The recording that is on, if one is, as the owner sees it.
#[derive(Debug, Default)]
pub(super) struct Recordings(Weak<Shared>);

impl Recordings {
    /// Whether one is on.
    pub(super) fn is_on(&self) -> bool {
        self.0.strong_count() > 0
    }

    /// Begins one, of the policy in force.
    pub(super) fn begin(
        &mut self,
        recorder: Box<dyn Recorder>,
        compiled: &Compiled,
        generation: u64,
        length: Duration,
    ) -> Recording {
        let shared = Arc::new(Shared::default());
        shared.names().push(Names::of(compiled, generation));
        self.0 = Arc::downgrade(&shared);
        let now = Instant::now();
        Recording {
            recorder,
            shared,
            until: now + length,
            told: now,
        }
    }

    /// Puts `compiled` in force, so that nothing is recorded of it before its
    /// names are known.
    pub(super) fn commit<E>(
        &self,
        compiled: &Compiled,
        commit: impl FnOnce() -> Result<u64, E>,
    ) -> Result<u64, E> {
        let Some(shared) = self.0.upgrade() else {
            return commit();
        };
        let mut names = shared.names();
        let generation = commit()?;
        names.push(Names::of(compiled, generation));
        Ok(generation)
    }

    /// Ends the one that is on.
    pub(super) fn end(&self, why: Why) {
        if let Some(shared) = self.0.upgrade() {
            let _ = shared.over.set(why);
        }
    }
}

/// A recording that is on; dropping it turns it off.
pub struct Recording {
    recorder: Box<dyn Recorder>,
    shared: Arc<Shared>,
    until: Instant,
    /// When a line was made last.
    told: Instant,
}

impl std::fmt::Debug for Recording {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recording").finish_non_exhaustive()
    }
}

impl Recording {
    /// When it began, on the clock of the scheduler.
    pub(super) fn began_ns(&self) -> u64 {
        self.recorder.began_ns()
    }

    /// Tells what has happened; whether there is more already.
    fn tell(&mut self, to: &mut String) -> bool {
        let happened = self.recorder.read(AT_ONCE);
        let is_more = happened.len() >= AT_ONCE;
        // After the reading: see above.
        for names in self.shared.names().drain(..) {
            to.push_str(&Line::Names(names).answer());
        }
        let mut runs = Vec::with_capacity(happened.len());
        let mut commits = Vec::new();
        for happening in happened {
            match happening {
                Happening::Ran(stretch) => runs.push(Run::from(stretch)),
                Happening::Committed { at_ns, generation } => {
                    commits.push(Line::Committed(Committed { at_ns, generation }));
                }
            }
        }
        let is_silent = runs.is_empty() && self.told.elapsed() < SILENCE;
        if !is_silent {
            self.told = Instant::now();
            to.push_str(&Line::Runs(runs).answer());
        }
        commits.iter().for_each(|line| to.push_str(&line.answer()));
        is_more
    }

    fn over(&self) -> Option<Why> {
        let is_due = Instant::now() >= self.until;
        let over = self.shared.over.get().copied();
        over.or(is_due.then_some(Why::Time))
    }
}

impl Source for Recording {
    fn more(&mut self, to: &mut String) -> bool {
        let Some(why) = self.over() else {
            self.tell(to);
            return true;
        };
        let closed = self.recorder.end();
        while self.tell(to) {}
        to.push_str(&match closed {
            Ok(Closed { at_ns, lost }) => Line::Ended(Ended { why, at_ns, lost }).answer(),
            Err(refused) => Response::refused(refused.message.clone())
                .code(Some(refused.code.to_string()))
                .line(),
        });
        false
    }

    fn is_over(&self) -> bool {
        self.over().is_some()
    }

    fn enough(&mut self) {
        let _ = self.shared.over.set(Why::Enough);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{RuleId, TierId, check_text};
    use crate::diag::Diagnostic;
    use crate::live::{How, Stretch};

    /// Hands out what it holds.
    struct Fake(Vec<Happening>);

    impl Recorder for Fake {
        fn began_ns(&self) -> u64 {
            1_000
        }
        fn read(&mut self, most: usize) -> Vec<Happening> {
            self.0.drain(..most.min(self.0.len())).collect()
        }
        fn end(&mut self) -> Result<Closed, Box<Diagnostic>> {
            Ok(Closed {
                at_ns: 9_000,
                lost: 2,
            })
        }
    }

    fn stretch(begun_ns: u64) -> Happening {
        Happening::Ran(Stretch {
            begun_ns,
            ended_ns: begun_ns + 500,
            waited_ns: 20,
            cpu: 1,
            pid: 7,
            tgid: 6,
            comm: "a\"b".into(),
            tier: TierId(1),
            rule: RuleId(0),
            how: How::Preempt,
            generation: 3,
            is_runnable: true,
            is_resumed: false,
            is_cut: true,
        })
    }

    fn compiled() -> Compiled {
        let text = "language 1\npolicy web {}\ntier a {}\ntier b {}\n\
                    rules { edge: when nice < 0 -> b\n otherwise -> a }\n";
        Compiled::new(check_text("policy.edict", text)).unwrap_or_else(|_| panic!("no policy"))
    }

    fn begin(recordings: &mut Recordings, happened: Vec<Happening>, length: Duration) -> Recording {
        recordings.begin(Box::new(Fake(happened)), &compiled(), 3, length)
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_recording_is_names_runs_and_an_end() {
        let mut recordings = Recordings::default();
        let mut recording = begin(&mut recordings, vec![stretch(1_000)], LONG);
        assert!(recordings.is_on());
        let mut text = String::new();
        assert!(recording.more(&mut text));
        recordings.end(Why::Stopping);
        recordings.end(Why::Restarted);
        assert!(!recording.more(&mut text));
        let expected = "\
{\"ok\":true,\"result\":{\"names\":{\"generation\":3,\"tiers\":[\"a\",\"b\"],\"rules\":[\"edge\",\"otherwise\"]}}}
{\"ok\":true,\"result\":{\"runs\":[[1000,1500,20,1,7,6,1,0,\"preempt\",3,true,false,true,\"a\\\"b\"]]}}
{\"ok\":true,\"result\":{\"ended\":{\"why\":\"stopping\",\"at_ns\":9000,\"lost\":2}}}
";
        assert_eq!(text, expected);
        drop(recording);
        assert!(!recordings.is_on());
    }

    #[test]
    fn it_ends_by_time_and_when_the_client_has_enough() {
        let why = |length, enough: bool| {
            let mut recordings = Recordings::default();
            let mut recording = begin(&mut recordings, Vec::new(), length);
            if enough {
                recording.enough();
            }
            let mut text = String::new();
            let goes_on = recording.more(&mut text);
            (goes_on, text)
        };
        let (goes_on, text) = why(Duration::ZERO, false);
        assert!(!goes_on && text.contains(r#""why":"time""#), "{text}");
        let (goes_on, text) = why(LONG, true);
        assert!(!goes_on && text.contains(r#""why":"enough""#), "{text}");
        assert!(why(LONG, false).0);
    }

    #[test]
    fn names_go_before_what_is_recorded_of_a_generation() {
        let mut recordings = Recordings::default();
        let mut recording = begin(&mut recordings, Vec::new(), LONG);
        let commit = |outcome| recordings.commit(&compiled(), || outcome);
        assert_eq!(commit(Err("refused")), Err("refused"));
        assert_eq!(commit(Ok(4)), Ok(4));
        let mut text = String::new();
        recording.more(&mut text);
        let generations: Vec<&str> = text.matches("\"names\"").collect();
        assert_eq!(generations.len(), 2, "{text}");
        assert!(text.contains("\"generation\":4"), "{text}");
        drop(recording);
        assert_eq!(
            recordings.commit(&compiled(), || Ok::<u64, ()>(5)),
            Ok(5),
            "without a recording too"
        );
    }

    #[test]
    fn the_end_tells_everything_that_is_left() {
        let mut recordings = Recordings::default();
        let many = (0..2 * AT_ONCE as u64 + 1).map(stretch).collect();
        let mut recording = begin(&mut recordings, many, Duration::ZERO);
        let mut text = String::new();
        assert!(!recording.more(&mut text));
        assert_eq!(text.matches("preempt").count(), 2 * AT_ONCE + 1);
    }
}
