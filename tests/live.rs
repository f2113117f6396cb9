//! The object on a kernel with sched_ext: attached, measured from outside.
//!
//! These tests put a scheduler in charge of the machine, so they run only as
//! root on a kernel that has sched_ext, which `scripts/vm` provides; anywhere
//! else each says why it is skipped. The binary is the same in both places.

#![cfg(feature = "live")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on stops"
)]

#[path = "live/lab.rs"]
mod lab;

#[path = "live/adversary.rs"]
mod adversary;
#[path = "live/attach.rs"]
mod attach;
#[path = "live/attributes.rs"]
mod attributes;
#[path = "live/balance.rs"]
mod balance;
#[path = "live/cores.rs"]
mod cores;
#[path = "live/domains.rs"]
mod domains;
#[path = "live/draws.rs"]
mod draws;
#[path = "live/every.rs"]
mod every;
#[path = "live/exchange.rs"]
mod exchange;
#[path = "live/generations.rs"]
mod generations;
#[path = "live/hotplug.rs"]
mod hotplug;
#[path = "live/recording.rs"]
mod recording;
#[path = "live/shares.rs"]
mod shares;
#[path = "live/waits.rs"]
mod waits;
