//! From a saved file to a running generation, without ever detaching.
//!
//! Three parts, none of which knows the others' secrets:
//!
//! - [`watch`] notices that something may have changed. It looks at
//!   directories, never at files, because editors and package tools replace
//!   files; and it says only *that*, never *what*, because event queues lose
//!   events, name other files, or say nothing at all.
//! - [`settle`] decides when the writers have finished: 100 ms of quiet, but
//!   never more than 2 s after the first sign.
//! - [`control`] reads the whole pack, compiles it on a worker thread, and has
//!   the owner of the object prepare and commit it.
//!
//! ```text
//!          bell, SIGHUP, `reload`, 5 s poll
//!  Idle ────────────────────────────────────▶ Settling ──quiet──▶ Building
//!   ▲                                            ▲  ▲                │ │
//!   │                    moved while it was built │  └───transient───┘ │
//!   ├── content is the running one ───────────────┼────────────────────┤
//!   ├── Rejected ◀── unreadable, invalid, refused ┼────────────────────┤
//!   └── Committed ◀──────────────── Prepared ◀────┴────────────────────┘
//! ```
//!
//! What it refuses to do: to give up a generation that runs. A policy that is
//! empty, deleted, unreadable, invalid or refused by the kernel leaves the old
//! one in force, is reported once, and is forgotten as soon as the files are
//! good again.

pub mod changes;
pub mod control;
pub mod settle;
pub mod watch;
pub mod worker;

pub use control::{Engine, Reload, Report, State, Step};
pub use settle::{Bell, Distance, Pace};
pub use watch::{Watch, Watching};
pub use worker::{Compilation, Finding, Glance, Pack, Pass, Rejection, Unreadable, Worker};
