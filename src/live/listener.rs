//! The thread that answers what the object asks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use libbpf_rs::{MapHandle, RingBufferBuilder};

use super::agent_rows::AgentRows;
use super::error::LiveError;
use super::questions::{Questions, ROUND};
use super::request::Event;

/// Questions that follow each other faster than this are answered together.
const GATHER: Duration = Duration::from_millis(2);

impl AgentRows {
    /// Starts the thread that answers.
    pub(super) fn listen(&self) -> Result<Listener, LiveError> {
        let rows = self.clone();
        let events = MapHandle::try_from(&self.tables.events)
            .map_err(LiveError::kernel("opening the ring of events"))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("edict-classes".into())
            .spawn(move || {
                if let Err(error) = rows.listen_until(&events, &stopped) {
                    log::error!("listening to the object: {error}");
                }
            })
            .map_err(LiveError::io("starting a thread"))?;
        Ok(Listener {
            stop,
            thread: Some(thread),
        })
    }

    fn listen_until(&self, events: &MapHandle, stop: &AtomicBool) -> libbpf_rs::Result<()> {
        let heard = Mutex::new(Vec::new());
        let mut builder = RingBufferBuilder::new();
        builder.add(events, |bytes| {
            if let Some(event) = Event::parse(bytes) {
                heard
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(event);
            }
            0
        })?;
        let ring = builder.build()?;
        // A cgroup is announced a moment before its directory can be seen.
        let mut questions = Questions::default();
        let mut answered: Option<Instant> = None;
        // A CPU may have come since the object was loaded.
        self.look_at_the_cpus();
        while !stop.load(Ordering::Relaxed) {
            self.look_at_the_machine(Instant::now());
            self.look_at_the_users(Instant::now());
            let patience = ROUND * if questions.is_empty() { 20 } else { 1 };
            // Where processes come and go all the time, each would be a question of
            // its own, and take the CPU from them for it.
            if answered.is_some_and(|at| at.elapsed() < GATHER) {
                std::thread::sleep(GATHER);
            }
            // Interrupted by a signal is no failure.
            let _ = ring.poll(patience);
            let events = std::mem::take(&mut *heard.lock().unwrap_or_else(PoisonError::into_inner));
            if events.contains(&Event::Cpus) {
                self.look_at_the_cpus();
            }
            if events.is_empty() && questions.is_empty() {
                continue;
            }
            self.answer(&mut questions, &events);
            answered = Some(Instant::now());
        }
        Ok(())
    }
}

/// The thread; it ends with this.
#[derive(Debug)]
pub(super) struct Listener {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the thread that answers the object died");
        }
    }
}
