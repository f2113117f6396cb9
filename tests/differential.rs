//! The oracle, the classifier on the host and the classifier in the kernel say
//! the same about every task.
//!
//! Random policies, random tasks that nearly miss them; `EDICT_PAIRS` sets how
//! many pairs are tried and `EDICT_SEED` where to begin. A failure names the seed of
//! its part.
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

const TASKS_PER_POLICY: usize = 1500;
/// Parts of the work that run beside each other.
const PARTS: u64 = 4;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} must be a number"))
    })
}

/// What one part of the work found.
struct Tried {
    pairs: usize,
    policies: usize,
    otherwise: usize,
}

#[test]
fn oracle_host_and_bpf_agree() {
    let pairs = setting("EDICT_PAIRS", 1_000_000) as usize;
    let seed = setting("EDICT_SEED", 1);
    let why = support::proof::missing();
    if let Some(why) = &why {
        eprintln!("SKIPPED: the classifier in the kernel is not compared: {why}");
    }
    // The same parts on every machine, so that a seed means the same.
    let tried: Vec<Tried> = std::thread::scope(|scope| {
        let parts: Vec<_> = (0..PARTS)
            .map(|part| {
                let seed = seed * PARTS + part;
                let proof = why.is_none();
                scope.spawn(move || compare(pairs / PARTS as usize, seed, proof))
            })
            .collect();
        parts.into_iter().map(|part| part.join().unwrap()).collect()
    });
    let sum = |of: fn(&Tried) -> usize| tried.iter().map(of).sum::<usize>();
    let (pairs, otherwise) = (sum(|t| t.pairs), sum(|t| t.otherwise));
    println!(
        "{pairs} pairs over {} policies agree; {:.0} % fell to `otherwise`",
        sum(|t| t.policies),
        100.0 * otherwise as f64 / pairs as f64
    );
    // A generator whose tasks all fall through would prove nothing.
    assert!(otherwise * 2 < pairs, "the tasks hardly match any rule");
}

fn compare(pairs: usize, seed: u64, in_kernel: bool) -> Tried {
    let mut rng = Rng::new(seed);
    let mut proof = in_kernel.then(Proof::load);
    let mut tried = Tried {
        pairs: 0,
        policies: 0,
        otherwise: 0,
    };
    while tried.pairs < pairs {
        let (text, policy) = random::policy(&mut rng);
        let plan = plan::lower(&policy).unwrap();
        let image = image::emit(&plan).unwrap();
        let host = HostBank::new(&image);
        let bank = (tried.policies % 2) as u32;
        tried.policies += 1;
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
            tried.otherwise += usize::from(usize::from(oracle.rule.0) + 1 == policy.rules().len());
        }
        tried.pairs += tasks.len();
    }
    tried
}
