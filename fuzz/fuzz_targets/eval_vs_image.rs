//! The reference evaluator and the compiled bank agree about every task: the
//! differential test, with the fuzzer making the choices of its generator. The
//! policies are small: a thousand of them say more than ten large ones, which the
//! differential test has by the hundred.
#![no_main]

#[path = "../../tests/support/facts.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod facts;
#[path = "../../tests/support/host.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod host;
#[path = "../../tests/support/random.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod random;

use edict::eval;
use edict::{image, plan};
use edict_fuzz::rng::{self, Rng};
use facts::Facts;
use host::HostBank;
use libfuzzer_sys::fuzz_target;

/// A policy costs much more than a task.
const TASKS: usize = 128;

fuzz_target!(|data: &[u8]| {
    let mut rng = Rng::of(data);
    let (text, policy) = random::small_policy(&mut rng);
    let plan = plan::lower(&policy).expect("within the limits");
    let image = image::emit(&plan).expect("within the limits");
    let bank = HostBank::new(&image);
    for _ in 0..TASKS {
        let task = random::task(&mut rng);
        let oracle = eval::evaluate(&policy, &task);
        let found = bank.classify(&Facts::new(&task, &image));
        assert_eq!(
            found,
            Some((oracle.rule.0, oracle.tier.0)),
            "{task:#?}\n{text}\n{plan}"
        );
    }
});
