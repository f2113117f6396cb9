//! The pool of bitmaps, one row for each distinct one.
//!
//! A row is one bit per clause. Row 0 is all ones.

use std::collections::HashMap;

pub(super) struct Rows {
    /// Words per row.
    width: usize,
    words: Vec<u64>,
    of: HashMap<Vec<u64>, u32>,
}

impl Rows {
    pub(super) fn new(clauses: usize) -> Self {
        let mut rows = Self {
            width: clauses.div_ceil(64),
            words: Vec::new(),
            of: HashMap::new(),
        };
        let ones: Vec<u64> = (0..rows.width)
            .map(|word| match clauses - word * 64 {
                64.. => u64::MAX,
                rest => (1 << rest) - 1,
            })
            .collect();
        rows.intern(&ones);
        rows
    }

    /// The number of the row with that bitmap.
    pub(super) fn intern(&mut self, bits: &[u64]) -> u32 {
        let mut padded = bits.to_vec();
        padded.resize(self.width, 0);
        if let Some(row) = self.of.get(&padded) {
            return *row;
        }
        let row = u32::try_from(self.of.len()).unwrap_or(u32::MAX);
        self.words.extend(&padded);
        self.of.insert(padded, row);
        row
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        self.of.len()
    }

    /// How many words they take.
    pub(super) fn words(&self) -> usize {
        self.words.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = u64> {
        self.words.iter().copied()
    }
}
