//! What a model is asked with before a task is moved.
//!
//! The names are those of MLLB (Chen, Banerjee, Kalbarczyk and Iyer, "Machine
//! Learning for Load Balancing in the Linux Kernel", 2020), which takes them from
//! the kernel's own balancer. There `cpu_idle` and `cpu_not_idle` are two flags,
//! of which one is set: whether the CPU that looks for work is idle. A round
//! looks for the whole machine, so here they are the number of idle CPUs and the
//! number of the others.
//!
//! A domain's load is its part of the loads of both domains, each taken for each
//! CPU: 0.5 and 0.5 are in balance, however much there is to do and however
//! large the domains are.

use crate::live::{ONE, RawFeatures};

/// A number from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Part(f32);

/// NaN, where a part of something is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a number")]
pub struct NotANumber(pub &'static str);

impl Part {
    /// What is outside of 0 to 1 is taken to the nearer end.
    ///
    /// # Errors
    ///
    /// When it is not a number.
    pub fn new(name: &'static str, value: f32) -> Result<Self, NotANumber> {
        match value.is_nan() {
            true => Err(NotANumber(name)),
            // Negative zero too is zero.
            false => Ok(Self(value.clamp(0.0, 1.0).abs())),
        }
    }

    /// From a number with sixteen bits of fraction: exact, for single precision
    /// has twenty-four bits.
    pub fn from_fixed(fixed: u64) -> Self {
        Self(fixed.min(ONE) as f32 / ONE as f32)
    }

    /// The number.
    pub fn get(self) -> f32 {
        self.0
    }
}

/// One move, before it is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MigrationFeatures {
    /// The CPU that the task ran on last.
    pub cpu: u32,
    /// Idle CPUs of the machine.
    pub cpu_idle: u32,
    /// The others.
    pub cpu_not_idle: u32,
    /// How loaded the domain is that the task would leave.
    pub src_dom_load: Part,
    /// How loaded the domain is that it would come to.
    pub dst_dom_load: Part,
}

impl MigrationFeatures {
    /// Features from anywhere.
    ///
    /// # Errors
    ///
    /// When a load is not a number.
    pub fn new(
        cpu: u32,
        cpu_idle: u32,
        cpu_not_idle: u32,
        src_dom_load: f32,
        dst_dom_load: f32,
    ) -> Result<Self, NotANumber> {
        Ok(Self {
            cpu,
            cpu_idle,
            cpu_not_idle,
            src_dom_load: Part::new("src_dom_load", src_dom_load)?,
            dst_dom_load: Part::new("dst_dom_load", dst_dom_load)?,
        })
    }
}

impl From<RawFeatures> for MigrationFeatures {
    fn from(raw: RawFeatures) -> Self {
        let count = |number: i32| u32::try_from(number).unwrap_or(0);
        Self {
            cpu: count(raw.cpu),
            cpu_idle: count(raw.cpu_idle),
            cpu_not_idle: count(raw.cpu_not_idle),
            src_dom_load: Part::from_fixed(raw.src_dom_load),
            dst_dom_load: Part::from_fixed(raw.dst_dom_load),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fixed_number_survives_the_conversion() {
        for fixed in 0..=ONE {
            let part = Part::from_fixed(fixed).get();
            assert_eq!(f64::from(part) * 65_536.0, fixed as f64);
        }
        assert_eq!(Part::from_fixed(ONE + 1).get(), 1.0);
        assert_eq!(Part::from_fixed(u64::MAX).get(), 1.0);
    }

    #[test]
    fn loads_are_clamped_and_what_is_no_number_is_refused() {
        let part = |value| Part::new("src_dom_load", value).map(Part::get);
        assert_eq!(part(0.9), Ok(0.9));
        assert_eq!(part(1.5), Ok(1.0));
        assert_eq!(part(-0.1), Ok(0.0));
        assert!(part(-0.0).unwrap().is_sign_positive());
        assert_eq!(part(f32::INFINITY), Ok(1.0));
        assert_eq!(part(f32::NEG_INFINITY), Ok(0.0));
        assert_eq!(part(f32::MIN_POSITIVE), Ok(f32::MIN_POSITIVE));
        assert_eq!(part(f32::NAN), Err(NotANumber("src_dom_load")));
        assert_eq!(
            MigrationFeatures::new(4, 2, 6, 0.9, -f32::NAN),
            Err(NotANumber("dst_dom_load"))
        );
        let features = MigrationFeatures::new(4, 2, 6, 0.9, 0.2).unwrap();
        assert_eq!((features.cpu_idle, features.cpu_not_idle), (2, 6));
    }

    #[test]
    fn numbers_of_the_kernel_are_never_negative_here() {
        let features = MigrationFeatures::from(RawFeatures {
            cpu: -1,
            src_dom_load: 3 * ONE / 4,
            dst_dom_load: ONE / 4,
            ..RawFeatures::default()
        });
        assert_eq!(features.cpu, 0);
        assert_eq!(features.src_dom_load.get(), 0.75);
        assert_eq!(features.dst_dom_load.get(), 0.25);
    }
}
