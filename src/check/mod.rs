//! From a parsed policy to a valid one.

mod attribute;
mod policy;

pub use attribute::*;
pub use policy::*;
