//! Agent-side work that a policy asks for.

#[cfg(feature = "live")]
pub mod classify;
