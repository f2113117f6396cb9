//! A zeroed buffer that is written at offsets. Everything is little-endian.

pub(super) struct Bytes(Vec<u8>);

impl Bytes {
    pub(super) fn new(size: usize) -> Self {
        Self(vec![0; size])
    }

    /// INVARIANT: offsets come from `layout` and are within the buffer; a
    /// write beyond it would be a wrong layout, which `tests/layout.rs` catches.
    fn write(&mut self, at: usize, bytes: &[u8]) {
        if let Some(to) = self.0.get_mut(at..at + bytes.len()) {
            to.copy_from_slice(bytes);
        } else {
            debug_assert!(false, "offset {at} is outside of the bank");
        }
    }

    pub(super) fn u8(&mut self, at: usize, value: u8) {
        self.write(at, &[value]);
    }

    pub(super) fn u16(&mut self, at: usize, value: u16) {
        self.write(at, &value.to_le_bytes());
    }

    pub(super) fn u32(&mut self, at: usize, value: u32) {
        self.write(at, &value.to_le_bytes());
    }

    pub(super) fn u64(&mut self, at: usize, value: u64) {
        self.write(at, &value.to_le_bytes());
    }

    pub(super) fn i64(&mut self, at: usize, value: i64) {
        self.write(at, &value.to_le_bytes());
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }
}
