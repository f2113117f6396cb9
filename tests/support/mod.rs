//! What several test crates need: randomness that can be repeated, random
//! policies and tasks, and the classifier on the host and in BPF.
#![allow(
    dead_code,
    reason = "each test crate compiles this module and uses a part of it"
)]

pub mod facts;
#[cfg(feature = "live")]
pub mod host;
#[cfg(feature = "live")]
pub mod proof;
pub mod random;
pub mod rng;
