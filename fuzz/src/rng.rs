//! The choices of a generator, made by the fuzzer: each takes bytes of the input,
//! so that a change of one byte is a change of one choice. When they are used up,
//! SplitMix64 goes on, for a generator may ask for any number of them.

pub struct Rng {
    bytes: Vec<u8>,
    at: usize,
    state: u64,
}

impl Rng {
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.to_vec(),
            at: 0,
            state: bytes.len() as u64,
        }
    }

    /// A choice from a small number of things takes one byte, else two.
    fn take(&mut self, n: usize) -> Option<usize> {
        let count = if n <= 256 { 1 } else { 2 };
        let piece = self.bytes.get(self.at..self.at + count)?;
        self.at += count;
        Some(
            piece
                .iter()
                .fold(0, |value, byte| value << 8 | usize::from(*byte)),
        )
    }

    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to n-1.
    pub fn below(&mut self, n: usize) -> usize {
        match self.take(n) {
            Some(value) => value % n,
            None => (self.next() % n as u64) as usize,
        }
    }

    /// True once in n.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}
