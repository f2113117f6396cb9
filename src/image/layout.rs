//! The layout of a bank: the mirror of `bpf/intf.h`.
//!
//! Offsets are computed here the way the C compiler computes them and checked
//! against it by `tests/layout.rs`, which asks the compiler.

use std::mem::size_of;

/// Bytes of a comm, the final NUL included.
pub const COMM_LEN: usize = 16;
/// Tiers.
pub const TIERS_MAX: usize = 16;
/// Rules.
pub const RULES_MAX: usize = 512;
/// Clauses.
pub const CLAUSES_MAX: usize = 1024;
/// Slots of the exact table.
pub const NAME_SLOTS_MAX: usize = 81920;
/// Buckets of the exact table.
pub const NAME_BUCKETS_MAX: usize = 16384;
/// Interval bounds of numbers.
pub const BOUNDS_MAX: usize = 32768;
/// Interval bounds of names.
pub const PREFIX_BOUNDS_MAX: usize = 2048;
/// Words of bitmaps.
pub const ROW_WORDS_MAX: usize = 131_072;
/// Rows.
pub const ROWS_MAX: usize = 65_536;
/// The class of a value that the agent has not told.
pub const ROW_UNKNOWN: u32 = u32::MAX;
/// Attributes.
pub const ATTRS: usize = 32;
/// CPUs that a tier can name.
pub const CPUS_MAX: usize = 1024;
/// The highest performance level, `SCX_CPUPERF_ONE` of the kernel.
pub const PERF_ONE: u32 = 1024;
/// What has rows: the attributes, and the patterns on two of them.
pub const SLOTS: usize = 34;

/// The slots that the classifier knows by name; it goes over the others.
pub const OWN_PLACE: usize = 8;

/// `struct edict_bank_header`, up to its arrays.
pub mod head {
    /// Bit per slot.
    pub const USES: usize = 0;
    /// Tiers.
    pub const NR_TIERS: usize = 8;
    /// Rules.
    pub const NR_RULES: usize = 12;
    /// Clauses.
    pub const NR_CLAUSES: usize = 16;
    /// Words per row.
    pub const STRIDE: usize = 20;
    /// Rows.
    pub const NR_ROWS: usize = 24;
    /// Slots of the exact table in use.
    pub const NAME_SLOTS: usize = 28;
    /// Seed of the name hash.
    pub const NAME_SEED: usize = 32;
    /// Buckets in use.
    pub const NAME_BUCKETS: usize = 40;
    /// How the next tier is chosen.
    pub const BETWEEN: usize = 44;
    /// Tier of `otherwise`.
    pub const OTHERWISE_TIER: usize = 48;
    /// Rule of `otherwise`.
    pub const OTHERWISE_RULE: usize = 52;
    /// How many slots the policy uses beyond the first [`super::OWN_PLACE`].
    pub const NR_OTHERS: usize = 56;
    /// Whether what a win uses weighs in a draw.
    pub const COMPENSATE: usize = 60;
    /// Seed of the draws; 0 is the object's own.
    pub const SEED: usize = 64;
    /// Nanoseconds: how far back what a tier took or missed counts.
    pub const REFILL_NS: usize = 72;
    /// Bit per tier that does not run everywhere.
    pub const CONFINED: usize = 80;
    /// Bit per tier with [`super::tier::flag::EXCLUSIVE`].
    pub const EXCLUSIVE: usize = 84;
    /// Bit per tier with [`super::tier::flag::BUDGET`].
    pub const BUDGETED: usize = 88;
    /// Bit per tier with [`super::tier::flag::PERF`].
    pub const PACED: usize = 92;
    /// Whether rules say what moves between caches.
    pub const BALANCED: usize = 96;
    /// `u8 other[]`: which.
    pub const OTHER: usize = 104;
    /// `struct edict_attr_table attr[]`.
    pub const ATTR: usize = 144;
    /// `struct edict_tier tier[]`.
    pub const TIER: usize = ATTR + super::SLOTS * super::attr::SIZE;
    /// The whole header.
    pub const SIZE: usize = TIER + super::TIERS_MAX * super::tier::SIZE;
}

/// `struct edict_attr_table`.
pub mod attr {
    /// Row of values in no table.
    pub const ROW_DEFAULT: usize = 0;
    /// Row of unknown values.
    pub const ROW_UNKNOWN: usize = 4;
    /// First bound.
    pub const BOUNDS_FIRST: usize = 8;
    /// Number of bounds.
    pub const BOUNDS_COUNT: usize = 12;
    /// Highest power of two that is not greater.
    pub const BOUNDS_TOP: usize = 16;
    /// Number of exact names.
    pub const EXACT: usize = 20;
    /// `enum edict_kind`.
    pub const KIND: usize = 24;
    /// The whole struct.
    pub const SIZE: usize = 32;
}

/// `enum edict_kind`: how a slot finds its row.
pub mod kind {
    /// An id, or an interval.
    pub const NUMBER: u32 = 0;
    /// A name, or a prefix.
    pub const TEXT: u32 = 1;
    /// The agent tells the row.
    pub const TOLD: u32 = 2;
}

/// `enum edict_between`: how the next tier is chosen.
pub mod between {
    /// A lottery by tickets.
    pub const LOTTERY: u32 = 0;
    /// The first that has something to run.
    pub const STRICT: u32 = 1;
    /// In turns, as frequent as the tickets are many.
    pub const STRIDE: u32 = 2;
}

/// `enum edict_order`: in which order the tasks of a tier run.
pub mod order {
    /// By virtual time.
    pub const VTIME: u32 = 0;
    /// By arrival.
    pub const FIFO: u32 = 1;
    /// By a lottery.
    pub const LOTTERY: u32 = 2;
}

/// `enum edict_within`: where the tasks of a tier run.
pub mod within {
    /// Everywhere.
    pub const MACHINE: u32 = 0;
    /// The CPUs of [`super::tier::CPUS`].
    pub const CPUS: u32 = 1;
    /// The cache of the number [`super::tier::PLACE`].
    pub const LLC: u32 = 2;
    /// The node of that number.
    pub const NODE: u32 = 3;
}

/// `struct edict_tier`.
pub mod tier {
    /// Nanoseconds.
    pub const SLICE_NS: usize = 0;
    /// Nanoseconds; 0 is no promise.
    pub const MAX_WAIT_NS: usize = 8;
    /// Tickets.
    pub const TICKETS: usize = 16;
    /// Bit per tier.
    pub const PREEMPT: usize = 20;
    /// `enum edict_order`.
    pub const ORDER: usize = 24;
    /// `enum edict_tier_flags`.
    pub const FLAGS: usize = 28;
    /// Of 1024.
    pub const PERF: usize = 32;
    /// Parts per million of the machine's CPU time.
    pub const BUDGET_PPM: usize = 36;
    /// Nanoseconds.
    pub const BURST_NS: usize = 40;
    /// `enum edict_within`.
    pub const WITHIN: usize = 48;
    /// Number of the cache or the node.
    pub const PLACE: usize = 52;
    /// `u64 cpus[]`: bit per CPU.
    pub const CPUS: usize = 56;
    /// The whole struct.
    pub const SIZE: usize = CPUS + super::CPUS_MAX / 8;

    /// `enum edict_tier_flags`.
    pub mod flag {
        /// No other tier on the CPUs of the same core.
        pub const EXCLUSIVE: u32 = 1;
        /// The performance level is given.
        pub const PERF: u32 = 2;
        /// The budget and the burst are given.
        pub const BUDGET: u32 = 4;
    }
}

/// `struct edict_clause`.
pub mod clause {
    /// Rule.
    pub const RULE: usize = 0;
    /// Tier.
    pub const TIER: usize = 2;
    /// The whole struct.
    pub const SIZE: usize = 4;
}

/// `struct edict_bank`: offsets of its arrays.
pub mod bank {
    use super::*;

    /// `struct edict_clause clause[]`.
    pub const CLAUSE: usize = head::SIZE;
    /// `u16 name_displacement[]`.
    pub const NAME_DISPLACEMENT: usize = CLAUSE + CLAUSES_MAX * clause::SIZE;
    /// `u16 name_row[]`.
    pub const NAME_ROW: usize = NAME_DISPLACEMENT + NAME_BUCKETS_MAX * size_of::<u16>();
    /// `u64 name_key[][2]`.
    pub const NAME_KEY: usize = NAME_ROW + NAME_SLOTS_MAX * size_of::<u16>();
    /// `u64 prefix_bound[][2]`.
    pub const PREFIX_BOUND: usize = NAME_KEY + NAME_SLOTS_MAX * COMM_LEN;
    /// `s64 bound[]`.
    pub const BOUND: usize = PREFIX_BOUND + PREFIX_BOUNDS_MAX * COMM_LEN;
    /// `u16 prefix_row[]`.
    pub const PREFIX_ROW: usize = BOUND + BOUNDS_MAX * size_of::<i64>();
    /// `u16 bound_row[]`.
    pub const BOUND_ROW: usize = PREFIX_ROW + PREFIX_BOUNDS_MAX * size_of::<u16>();
    /// `u64 word[]`.
    pub const WORD: usize = BOUND_ROW + BOUNDS_MAX * size_of::<u16>();
    /// The whole bank.
    pub const SIZE: usize = WORD + ROW_WORDS_MAX * size_of::<u64>();
}

const _: () = {
    assert!(head::SIZE == 144 + 34 * 32 + 16 * 184);
    assert!(bank::NAME_KEY.is_multiple_of(8));
    assert!(bank::WORD.is_multiple_of(8));
    assert!(ATTRS == crate::check::Attribute::COUNT);
    assert!(SLOTS == crate::plan::Slot::COUNT);
    assert!(CPUS_MAX == crate::check::MOST_CPUS);
    assert!(CLAUSES_MAX == crate::plan::CLAUSES_MAX);
    assert!(NAME_SLOTS_MAX == crate::plan::cost::NAME_SLOTS);
    assert!(PREFIX_BOUNDS_MAX == crate::plan::cost::PREFIX_BOUNDS);
    assert!(BOUNDS_MAX == crate::plan::cost::NUMBER_BOUNDS);
    assert!(ROW_WORDS_MAX == crate::plan::cost::ROW_WORDS);
    assert!(
        cfg!(target_endian = "little"),
        "the layout is little-endian"
    );
};
