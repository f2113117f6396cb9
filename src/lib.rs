//! edict governs Linux CPU scheduling by declared policy.
//!
//! The modules are the pipeline, in order; each may use only those before it
//! (`tests/tidy.rs` holds them to it):
//!
//! ```text
//! files ─source─▶ SourceSet ─syntax─▶ Ast ─check─▶ Policy ─plan─▶ Plan ─image─▶ Image ─live─▶ Generation
//!                                                    └─▶ eval (the oracle)
//! ```
#![warn(missing_docs)]

#[cfg(feature = "live")]
pub mod agent;
pub mod check;
pub mod cli;
pub mod diag;
pub mod eval;
pub mod hooks;
pub mod image;
pub mod live;
pub mod plan;
#[cfg(feature = "live")]
pub mod reload;
pub mod source;
pub mod syntax;
