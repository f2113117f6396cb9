//! The layout of a bank in Rust is the one that the C compiler gives it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]
#![cfg(feature = "live")]

mod support;

use edict::image::layout::tier::flag;
use edict::image::layout::{self, attr, bank, between, clause, head, order, tier, within};
use support::facts::Facts;

#[test]
fn rust_and_c_agree_on_every_size_and_offset() {
    let expected = [
        bank::SIZE,
        head::SIZE,
        attr::SIZE,
        tier::SIZE,
        clause::SIZE,
        size_of::<Facts>(),
        head::USES,
        head::NR_TIERS,
        head::NR_RULES,
        head::NR_CLAUSES,
        head::STRIDE,
        head::NR_ROWS,
        head::NAME_SLOTS,
        head::NAME_BUCKETS,
        head::NAME_SEED,
        head::BETWEEN,
        head::OTHERWISE_TIER,
        head::OTHERWISE_RULE,
        head::NR_OTHERS,
        head::COMPENSATE,
        head::SEED,
        head::REFILL_NS,
        head::CONFINED,
        head::EXCLUSIVE,
        head::BUDGETED,
        head::PACED,
        head::OTHER,
        head::ATTR,
        head::TIER,
        attr::ROW_DEFAULT,
        attr::ROW_UNKNOWN,
        attr::BOUNDS_FIRST,
        attr::BOUNDS_COUNT,
        attr::BOUNDS_TOP,
        attr::EXACT,
        attr::KIND,
        tier::SLICE_NS,
        tier::MAX_WAIT_NS,
        tier::TICKETS,
        tier::PREEMPT,
        tier::ORDER,
        tier::FLAGS,
        tier::PERF,
        tier::BUDGET_PPM,
        tier::BURST_NS,
        tier::WITHIN,
        tier::PLACE,
        tier::CPUS,
        clause::RULE,
        clause::TIER,
        bank::CLAUSE,
        bank::NAME_DISPLACEMENT,
        bank::NAME_ROW,
        bank::NAME_KEY,
        bank::PREFIX_BOUND,
        bank::BOUND,
        bank::PREFIX_ROW,
        bank::BOUND_ROW,
        bank::WORD,
        layout::TIERS_MAX,
        layout::RULES_MAX,
        layout::CLAUSES_MAX,
        layout::NAME_SLOTS_MAX,
        layout::NAME_BUCKETS_MAX,
        layout::BOUNDS_MAX,
        layout::PREFIX_BOUNDS_MAX,
        layout::ROW_WORDS_MAX,
        layout::ROWS_MAX,
        layout::ROW_UNKNOWN as usize,
        layout::ATTRS,
        layout::SLOTS,
        layout::OWN_PLACE,
        layout::kind::NUMBER as usize,
        layout::kind::TEXT as usize,
        layout::kind::TOLD as usize,
        layout::COMM_LEN,
        layout::CPUS_MAX,
        between::LOTTERY as usize,
        between::STRICT as usize,
        between::STRIDE as usize,
        order::VTIME as usize,
        order::FIFO as usize,
        order::LOTTERY as usize,
        within::MACHINE as usize,
        within::CPUS as usize,
        within::LLC as usize,
        within::NODE as usize,
        flag::EXCLUSIVE as usize,
        flag::PERF as usize,
        flag::BUDGET as usize,
    ];
    for (index, rust) in expected.iter().enumerate() {
        assert_eq!(
            support::host::c_layout(index),
            *rust as u64,
            "entry {index}"
        );
    }
    assert_eq!(support::host::c_layout(expected.len()), u64::MAX);
}
