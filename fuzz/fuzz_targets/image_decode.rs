//! The classifier reads any bank and any facts without leaving either: the bytes
//! of a bank are data of the agent, which the object must not have to trust.
//!
//! The bank is as large as a struct of C, so a run writes into one that is kept:
//! the header, and words at any offset. It begins as zeros or as a real image.
#![no_main]
#![allow(unsafe_code, reason = "it is C, called")]

#[path = "../../tests/support/facts.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod facts;
#[path = "../../tests/support/host.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod host;

use std::sync::LazyLock;

use edict::check::check_text;
use edict::image::layout;
use edict::{image, plan};
use facts::Facts;
use host::HostBank;
use libfuzzer_sys::fuzz_target;

const POLICY: &str = include_str!("../seeds/bank.edict");

static REAL: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let policy = check_text("bank", POLICY).policy.expect("a policy");
    let plan = plan::lower(&policy).expect("a plan");
    image::emit(&plan).expect("an image").bank().to_vec()
});

fuzz_target!(|data: &[u8]| {
    let Some((kind, rest)) = data.split_first() else {
        return;
    };
    let mut bank = match kind & 1 {
        0 => vec![0; layout::bank::SIZE],
        _ => REAL.clone(),
    };
    let mut facts = Facts::default();
    let size = size_of::<Facts>();
    let (of_facts, rest) = rest.split_at(rest.len().min(size));
    // SAFETY: `Facts` is a struct of integers, of which any bytes are a value.
    let target = unsafe { std::slice::from_raw_parts_mut((&raw mut facts).cast::<u8>(), size) };
    target[..of_facts.len()].copy_from_slice(of_facts);
    let (head, words) = match kind & 2 {
        0 => (rest, &rest[..0]),
        _ => (&rest[..0], rest),
    };
    let length = head.len().min(bank.len());
    bank[..length].copy_from_slice(&head[..length]);
    for word in words.chunks_exact(8) {
        let at = u32::from_le_bytes([word[0], word[1], word[2], word[3]]) as usize;
        let at = (at * 4) % bank.len();
        bank[at..at + 4].copy_from_slice(&word[4..]);
    }
    HostBank::of_bytes(&bank).classify(&facts);
});
