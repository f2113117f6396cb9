//! The oracle, the classifier on the host and the classifier in the kernel say
//! the same about every task.
//!
//! Random policies, random tasks that nearly miss them; `EDICT_PAIRS` sets how
//! many pairs are tried and `EDICT_SEED` where to begin.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]
#![cfg(feature = "live")]

mod support;

use edict::eval::{self, Task};
use edict::{image, plan};
use support::facts::Facts;
use support::host::HostBank;
use support::proof::Proof;
use support::random;
use support::rng::Rng;

const TASKS_PER_POLICY: usize = 1000;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} must be a number"))
    })
}

#[test]
fn oracle_host_and_bpf_agree() {
    let pairs = setting("EDICT_PAIRS", 1_000_000) as usize;
    let seed = setting("EDICT_SEED", 1);
    let mut rng = Rng::new(seed);
    let mut proof = match support::proof::missing() {
        None => Some(Proof::load()),
        Some(why) => {
            eprintln!("SKIPPED: the classifier in the kernel is not compared: {why}");
            None
        }
    };

    let mut tried = 0;
    let mut policies = 0_u32;
    let mut otherwise = 0_usize;
    while tried < pairs {
        let (text, policy) = random::policy(&mut rng);
        let plan = plan::lower(&policy).unwrap();
        let image = image::emit(&plan).unwrap();
        let host = HostBank::new(&image);
        let bank = policies % 2;
        policies += 1;
        if let Some(proof) = &proof {
            proof.fill(bank, &image);
        }
        let tasks: Vec<Task> = (0..TASKS_PER_POLICY)
            .map(|_| random::task(&mut rng))
            .collect();
        let facts: Vec<Facts> = tasks.iter().map(|task| Facts::new(task, &image)).collect();
        let in_kernel = proof.as_mut().map(|proof| proof.classify(bank, &facts));

        for (index, (task, facts)) in tasks.iter().zip(&facts).enumerate() {
            let oracle = eval::evaluate(&policy, task);
            let expected = Some((oracle.rule.0, oracle.tier.0));
            let say = |who: &str, got| {
                panic!(
                    "seed {seed}: {who} says {got:?}, the oracle says {expected:?}\n{task:#?}\n{text}\n{plan}"
                )
            };
            let host = host.classify(facts);
            if host != expected {
                say("the host", host);
            }
            if let Some(verdicts) = &in_kernel
                && verdicts[index] != expected
            {
                say("the kernel", verdicts[index]);
            }
            otherwise += usize::from(usize::from(oracle.rule.0) + 1 == policy.rules().len());
        }
        tried += tasks.len();
    }
    println!(
        "{tried} pairs over {policies} policies agree; {:.0} % fell to `otherwise`",
        100.0 * otherwise as f64 / tried as f64
    );
    // A generator whose tasks all fall through would prove nothing.
    assert!(otherwise * 2 < tried, "the tasks hardly match any rule");
}
