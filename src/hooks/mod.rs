//! Agent-side work that a policy asks for, and readers of `/proc` and `/sys`
//! that need no kernel half.

pub mod balance;
pub mod cgroup;
#[cfg(feature = "live")]
pub mod classify;
#[cfg(feature = "live")]
mod hierarchy;
pub mod snapshot;
pub mod system;
pub mod topology;
