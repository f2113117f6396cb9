//! The agent: the process that owns the attached object.
//!
//! One thread, the owner, has the object and every decision. The others only
//! send it events: the worker that reads and compiles the policy, the threads of
//! the control socket and of the field's statistics, the thread that waits for
//! signals, the callback of the watch.
//!
//! ```text
//! watch ──poke──▶┌───────┐◀──found── worker (reads files, compiles)
//! signals ──────▶│ owner │──────────▶ object: prepare, commit, inspect
//! socket ──asked▶└───────┘──answer──▶ socket
//! ```
//!
//! A recording is turned on by the owner, and read by the thread of the socket
//! that asked for it.
//!
//! So nothing that is slow or hostile (a network file system, a client that
//! does not read) can hold up the thread that commits and detaches, and no lock
//! is needed around the object.

mod in_force;
mod interval;
pub mod lock;
mod machine;
pub mod metrics;
mod owner;
mod pack;
pub mod protocol;
pub mod recording;
pub mod refusals;
pub mod report;
mod rounds;
mod scheduler;
mod signals;
pub mod socket;
pub mod streaming;
mod supervisor;
pub mod trace;

pub use interval::Interval;
pub use owner::{Agent, Ended, Ending, Event, Outbox, Settings, attached_line};
pub use pack::{Compiled, PolicyPack, rejection};
pub use scheduler::{InKernel, Recorder, Scheduler};
pub use signals::Signals;
pub use supervisor::Supervisor;
