//! When have the writers finished?
//!
//! Nobody tells. A save arrives as a burst of events: truncated, half written,
//! written, renamed, attributes set. So the first event opens a window, each
//! further one extends it, and the window closes after a pause without events,
//! or at a fixed time after the first event when the events never pause.
//!
//! The [`Bell`] is all that an event callback may touch. It stores a time and
//! sets a flag, and wakes the owner only when the flag was not set: a callback
//! that does more blocks the reader of the event queue, and the kernel throws
//! events away once the queue is full.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The times that rule a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// How long nothing may happen before the files are read.
    pub quiet: Duration,
    /// The longest that they are left unread after the first event.
    pub at_most: Duration,
    /// How often they are read although nothing was heard.
    pub poll: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            quiet: Duration::from_millis(100),
            at_most: Duration::from_secs(2),
            poll: Duration::from_secs(5),
        }
    }
}

/// How close to the policy an event was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distance {
    /// In a directory that the policy's files are in.
    Near,
    /// In the parent of such a directory, which may be as busy as `/tmp`: the
    /// event is a reason to look, but none to wait longer.
    Far,
}

/// Rung by whoever notices that something may have changed.
#[derive(Clone)]
pub struct Bell {
    inner: Arc<Inner>,
}

struct Inner {
    rung: AtomicBool,
    /// Nanoseconds from `origin` to the last near event, plus one; 0 is never.
    last: AtomicU64,
    origin: Instant,
    poke: Box<dyn Fn() + Send + Sync>,
}

impl Bell {
    /// A bell that calls `poke` when it is rung for the first time since
    /// [`Bell::silence`]. `poke` must not block.
    pub fn new(poke: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            inner: Arc::new(Inner {
                rung: AtomicBool::new(false),
                last: AtomicU64::new(0),
                origin: Instant::now(),
                poke: Box::new(poke),
            }),
        }
    }

    /// Something may have changed.
    pub fn ring(&self, distance: Distance) {
        let inner = &self.inner;
        if distance == Distance::Near {
            let nanos = inner.origin.elapsed().as_nanos();
            let nanos = u64::try_from(nanos).unwrap_or(u64::MAX - 1);
            inner.last.store(nanos + 1, Ordering::Release);
        }
        if !inner.rung.swap(true, Ordering::AcqRel) {
            (inner.poke)();
        }
    }

    /// Whether it was rung since [`Bell::silence`].
    pub fn is_rung(&self) -> bool {
        self.inner.rung.load(Ordering::Acquire)
    }

    /// When the last near event came, since [`Bell::silence`].
    pub fn last(&self) -> Option<Instant> {
        match self.inner.last.load(Ordering::Acquire) {
            0 => None,
            nanos => Some(self.inner.origin + Duration::from_nanos(nanos - 1)),
        }
    }

    /// Forget what was heard; returns what [`Bell::last`] said.
    ///
    /// To be called *before* the files are read, so that whatever happens while
    /// they are read rings again.
    pub fn silence(&self) -> Option<Instant> {
        self.inner.rung.store(false, Ordering::Release);
        match self.inner.last.swap(0, Ordering::AcqRel) {
            0 => None,
            nanos => Some(self.inner.origin + Duration::from_nanos(nanos - 1)),
        }
    }
}

/// One window, from the first sign to the reading of the files.
#[derive(Debug, Clone, Copy)]
pub struct Settle {
    since: Instant,
}

impl Settle {
    /// A window that opens now.
    pub fn open(now: Instant) -> Self {
        Self { since: now }
    }

    /// When the files may be read, if nothing more happens than what the bell
    /// has heard.
    pub fn ready_at(&self, last: Option<Instant>, pace: &Pace) -> Instant {
        let newest = last.map_or(self.since, |last| last.max(self.since));
        (newest + pace.quiet).min(self.since + pace.at_most)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    const PACE: Pace = Pace {
        quiet: Duration::from_millis(100),
        at_most: Duration::from_secs(2),
        poll: Duration::from_secs(5),
    };

    fn after(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    #[test]
    fn a_single_event_settles_after_the_quiet_time() {
        let start = Instant::now();
        assert_eq!(Settle::open(start).ready_at(None, &PACE), after(start, 100));
    }

    #[test]
    fn every_event_extends_the_window() {
        let start = Instant::now();
        let settle = Settle::open(start);
        assert_eq!(
            settle.ready_at(Some(after(start, 250)), &PACE),
            after(start, 350)
        );
    }

    #[test]
    fn the_window_never_stays_open_longer_than_its_limit() {
        let start = Instant::now();
        let settle = Settle::open(start);
        assert_eq!(
            settle.ready_at(Some(after(start, 1_950)), &PACE),
            after(start, 2_000)
        );
    }

    #[test]
    fn an_event_before_the_window_does_not_shorten_it() {
        let start = Instant::now();
        let settle = Settle::open(after(start, 500));
        assert_eq!(settle.ready_at(Some(start), &PACE), after(start, 600));
    }

    #[test]
    fn a_thousand_rings_poke_once() {
        let pokes = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&pokes);
        let bell = Bell::new(move || {
            counter.fetch_add(1, Ordering::SeqCst);
        });
        for _ in 0..1_000 {
            bell.ring(Distance::Near);
        }
        assert_eq!(pokes.load(Ordering::SeqCst), 1);
        assert!(bell.last().is_some());
        bell.silence();
        assert!(!bell.is_rung());
        bell.ring(Distance::Far);
        assert_eq!(pokes.load(Ordering::SeqCst), 2);
        assert_eq!(bell.last(), None, "a far event does not extend the window");
    }
}
