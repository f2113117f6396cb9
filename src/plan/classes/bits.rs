//! Sets of small numbers: clauses in a row, tests in a signature.

/// A set of small numbers, as words of 64 bits; trailing zero words are cut.
pub type Bits = Vec<u64>;

pub(super) fn set(bits: &mut Bits, index: usize) {
    let word = index / 64;
    if bits.len() <= word {
        bits.resize(word + 1, 0);
    }
    if let Some(word) = bits.get_mut(word) {
        *word |= 1 << (index % 64);
    }
}

pub(super) fn unset(bits: &mut Bits, index: usize) {
    if let Some(word) = bits.get_mut(index / 64) {
        *word &= !(1 << (index % 64));
    }
    while bits.last() == Some(&0) {
        bits.pop();
    }
}

pub(super) fn has(bits: &Bits, index: usize) -> bool {
    bits.get(index / 64)
        .is_some_and(|word| word >> (index % 64) & 1 == 1)
}

pub(super) fn unite(bits: &mut Bits, other: &Bits) {
    if bits.len() < other.len() {
        bits.resize(other.len(), 0);
    }
    for (word, more) in bits.iter_mut().zip(other) {
        *word |= more;
    }
}

/// Whether all of `bits` are in `other`.
pub(super) fn subset(bits: &Bits, other: &Bits) -> bool {
    bits.iter()
        .enumerate()
        .all(|(at, word)| word & !other.get(at).copied().unwrap_or(0) == 0)
}

/// Whether nothing is in both.
pub(super) fn disjoint(bits: &Bits, other: &Bits) -> bool {
    bits.iter().zip(other).all(|(a, b)| a & b == 0)
}

/// The members, ascending.
pub(super) fn ones(bits: &Bits) -> impl Iterator<Item = usize> {
    bits.iter().enumerate().flat_map(|(at, word)| {
        let mut rest = *word;
        std::iter::from_fn(move || {
            let bit = (rest != 0).then(|| rest.trailing_zeros() as usize)?;
            rest &= rest - 1;
            Some(at * 64 + bit)
        })
    })
}
