//! A perfect hash of the names, and of many ids, that the policy mentions.
//!
//! Hash and displace (Belazzougui, Botelho, Dietzfelbinger, 2009): names fall
//! into buckets of about four, the fullest buckets first, and each bucket gets a
//! displacement that puts its names into free slots. A look-up reads one
//! displacement and one slot, whatever the number of names.
//!
//! Mirrors `edict_name_hash`, `edict_reduce` and `edict_name_slot` in
//! `bpf/classify.bpf.h`. The seed is the first of 0, 1, 2 … that works, so the
//! same names give the same table.

use crate::check::Attribute;

use super::layout::{COMM_LEN, NAME_BUCKETS_MAX, NAME_SLOTS_MAX};

/// A comm as the kernel compares it, two words padded with NUL, or an id.
pub(super) type Key = [u64; 2];

/// No comm: byte 15 of a comm is NUL.
pub(super) const EMPTY: Key = [u64::MAX; 2];

/// The finished table.
pub(super) struct NameTable {
    pub(super) seed: u64,
    /// One per bucket.
    pub(super) displacements: Vec<u16>,
    /// One per slot: a key and a value, or [`EMPTY`] and 0.
    pub(super) slots: Vec<(Key, u16)>,
}

/// The key of a name that an attribute has; longer ones are cut as the kernel
/// cuts them.
pub(super) fn name_key(attribute: Attribute, name: &str) -> Key {
    let [low, high] = key(name);
    match attribute {
        Attribute::Comm => [low, high],
        other => [low, high | tag(other)],
    }
}

fn key(name: &str) -> Key {
    // NUL pads a key; the checker lets none into a text.
    debug_assert!(!name.contains('\0'));
    let mut bytes = [0_u8; COMM_LEN];
    for (to, from) in bytes.iter_mut().take(COMM_LEN - 1).zip(name.bytes()) {
        *to = from;
    }
    let (low, high) = bytes.split_at(COMM_LEN / 2);
    [word(low), word(high)]
}

/// The key of a number of an attribute.
pub(super) fn id_key(attribute: Attribute, number: i64) -> Key {
    [number as u64, tag(attribute)]
}

/// `EDICT_KEY_TAG`: byte 15 of a comm is NUL, and so it says whose a key is.
fn tag(attribute: Attribute) -> u64 {
    (attribute as u64 + 1) << 56
}

fn word(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |word, byte| word << 8 | u64::from(*byte))
}

fn hash(key: Key, seed: u64) -> u64 {
    let [low, high] = key;
    let mut h = (low ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    h ^= h >> 32;
    h = (h ^ high).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    h ^= h >> 29;
    h = h.wrapping_mul(0x94d0_49bb_1331_11eb);
    h ^ (h >> 32)
}

fn reduce(hash: u32, n: usize) -> usize {
    ((u64::from(hash) * n as u64) >> 32) as usize
}

fn slot(hash: u64, displacement: u16, slots: usize) -> usize {
    let mut s =
        ((hash >> 32) as u32).wrapping_add(u32::from(displacement).wrapping_mul(0x9e37_79b1));
    s ^= s >> 16;
    s = s.wrapping_mul(0x85eb_ca6b);
    s ^= s >> 13;
    reduce(s, slots)
}

/// Builds the table of distinct keys; none when there are too many.
pub(super) fn build(entries: &[(Key, u16)]) -> Option<NameTable> {
    let buckets = entries.len().div_ceil(4).max(1);
    let slots = (entries.len() * 5).div_ceil(4).max(1);
    if buckets > NAME_BUCKETS_MAX || slots > NAME_SLOTS_MAX {
        return None;
    }
    // Two of 65,536 names share both halves of a 64-bit hash about once in ten
    // billion seeds, so a handful of seeds is more than enough.
    (0..64).find_map(|seed| place(entries, seed, buckets, slots))
}

fn place(entries: &[(Key, u16)], seed: u64, buckets: usize, slots: usize) -> Option<NameTable> {
    let mut members: Vec<Vec<(u64, Key, u16)>> = vec![Vec::new(); buckets];
    for (key, value) in entries {
        let hash = hash(*key, seed);
        members
            .get_mut(reduce(hash as u32, buckets))?
            .push((hash, *key, *value));
    }
    let mut order: Vec<usize> = (0..buckets).collect();
    order.sort_by_key(|bucket| std::cmp::Reverse(members.get(*bucket).map_or(0, Vec::len)));

    let mut table = NameTable {
        seed,
        displacements: vec![0; buckets],
        slots: vec![(EMPTY, 0); slots],
    };
    let mut taken = Vec::new();
    for bucket in order {
        let names = members.get(bucket)?;
        let found = (0..=u16::MAX).find(|displacement| {
            taken.clear();
            names.iter().all(|(hash, _, _)| {
                let at = slot(*hash, *displacement, slots);
                let free = table.slots.get(at).is_some_and(|(key, _)| *key == EMPTY)
                    && !taken.contains(&at);
                taken.push(at);
                free
            })
        })?;
        *table.displacements.get_mut(bucket)? = found;
        for (hash, key, value) in names {
            *table.slots.get_mut(slot(*hash, found, slots))? = (*key, *value);
        }
    }
    Some(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(table: &NameTable, name: &str) -> Option<u16> {
        let key = key(name);
        let hash = hash(key, table.seed);
        let bucket = reduce(hash as u32, table.displacements.len());
        let at = slot(hash, table.displacements[bucket], table.slots.len());
        (table.slots[at].0 == key).then_some(table.slots[at].1)
    }

    #[test]
    fn every_name_is_found_and_no_other() {
        for count in [0, 1, 2, 3, 17, 1_000, 15_000, 65_536] {
            let entries: Vec<(Key, u16)> = (0..count)
                .map(|i| (key(&format!("name-{i}")), (i % 60_000) as u16))
                .collect();
            let table = build(&entries).unwrap();
            for i in 0..count {
                assert_eq!(
                    find(&table, &format!("name-{i}")),
                    Some((i % 60_000) as u16)
                );
            }
            for i in 0..1_000 {
                assert_eq!(find(&table, &format!("other-{i}")), None);
            }
        }
    }

    #[test]
    fn too_many_names_are_refused() {
        let entries: Vec<(Key, u16)> = (0..65_537).map(|i| (key(&format!("{i}")), 0)).collect();
        assert!(build(&entries).is_none());
    }

    #[test]
    fn a_key_is_the_comm_in_memory_order() {
        assert_eq!(key("ab"), [0x6261, 0]);
        assert_eq!(key("0123456789abcdef"), key("0123456789abcde"));
    }
}
