//! Balancing without a kernel: the arithmetic of `bpf/balance.bpf.h`, and the
//! rounds of the agent against a machine in memory that keeps its loads with
//! that arithmetic.
#![cfg(feature = "live")]
#![allow(
    unsafe_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "functions of another language; a test stops at the first surprise"
)]

#[path = "balance/means.rs"]
mod means;
#[path = "balance/rounds.rs"]
mod rounds;
