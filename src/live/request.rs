//! Calls of the object's requests, and the bytes of `bpf/intf.h` that go with
//! them.
//!
//! A request is a BPF program that runs once, with a context of bytes that the
//! kernel copies in and back out.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use libbpf_rs::libbpf_sys;

/// Processes in one request.
pub(super) const BATCH: usize = 256;
const PROCESS: usize = 48;

/// A program that runs when it is called.
#[derive(Debug)]
pub(super) struct Request(OwnedFd);

impl Request {
    pub(super) fn new(program: &impl AsFd) -> io::Result<Self> {
        Ok(Self(program.as_fd().try_clone_to_owned()?))
    }

    /// Runs the program over `context`; what it returns is a negative errno.
    #[expect(unsafe_code, reason = "BPF_PROG_RUN")]
    pub(super) fn run(&self, context: &mut [u8]) -> io::Result<()> {
        let mut options = libbpf_sys::bpf_test_run_opts {
            sz: size_of::<libbpf_sys::bpf_test_run_opts>() as libbpf_sys::size_t,
            ctx_size_in: u32::try_from(context.len()).map_err(io::Error::other)?,
            ..Default::default()
        };
        if !context.is_empty() {
            options.ctx_in = context.as_mut_ptr().cast();
        }
        // SAFETY: the descriptor is open, and `ctx_in` points to `ctx_size_in`
        // bytes that are borrowed mutably for the whole call: for programs of
        // this type the kernel copies the context back to where it came from.
        let error = unsafe { libbpf_sys::bpf_prog_test_run_opts(self.0.as_raw_fd(), &mut options) };
        if error != 0 {
            return Err(io::Error::from_raw_os_error(-error));
        }
        match options.retval.cast_signed() {
            0.. => Ok(()),
            errno => Err(io::Error::from_raw_os_error(-errno)),
        }
    }
}

/// Which execution of which process: a pid alone may be reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) exec_id: u64,
    pub(super) started: u64,
}

/// What the agent tells of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ProcessRows {
    pub(super) exe: u32,
    pub(super) cmdline: u32,
}

/// What the agent tells for many tasks at once: a kind and a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// By its id: `cgroup`, `container`, `unit`.
    Cgroup(u64),
    /// By the effective user id: `user`.
    User(u32),
    /// By a comm: the patterns on `comm`.
    Comm([u64; 2]),
    /// By a comm: the patterns on `parent.comm`.
    ParentComm([u64; 2]),
}

impl Key {
    /// Bytes of `struct edict_told_key`.
    pub(super) const SIZE: usize = 24;

    fn from_words(kind: u32, words: [u64; 2]) -> Option<Self> {
        let [first, _] = words;
        match kind {
            0 => Some(Self::Cgroup(first)),
            1 => Some(Self::User(u32::try_from(first).ok()?)),
            2 => Some(Self::Comm(words)),
            3 => Some(Self::ParentComm(words)),
            _ => None,
        }
    }

    /// `struct edict_told_key`.
    pub(super) fn bytes(self, bank: u32) -> [u8; Self::SIZE] {
        let [first, second] = match self {
            Self::Cgroup(id) => [id, 0],
            Self::User(uid) => [u64::from(uid), 0],
            Self::Comm(words) | Self::ParentComm(words) => words,
        };
        let mut bytes = [0; Self::SIZE];
        put(&mut bytes, 0, &self.kind().to_le_bytes());
        put(&mut bytes, 4, &bank.to_le_bytes());
        put(&mut bytes, 8, &first.to_le_bytes());
        put(&mut bytes, 16, &second.to_le_bytes());
        bytes
    }

    /// Its kind, as `enum edict_told_kind` counts them.
    pub(super) fn kind(self) -> u32 {
        match self {
            Self::Cgroup(_) => 0,
            Self::User(_) => 1,
            Self::Comm(_) => 2,
            Self::ParentComm(_) => 3,
        }
    }

    /// The key and its bank.
    pub(super) fn parse(bytes: &[u8]) -> Option<(Self, u32)> {
        let words = [word64(bytes, 8), word64(bytes, 16)];
        Some((Self::from_words(word32(bytes, 0), words)?, word32(bytes, 4)))
    }
}

/// For which keys rows were told: `struct edict_news`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct News {
    kinds: u32,
    changed: bool,
}

impl News {
    /// Rows of this key were told.
    pub(super) fn of(&mut self, key: Key) {
        self.kinds |= 1 << key.kind();
    }

    /// Among them are some that were known and are others now.
    pub(super) fn changed(&mut self) {
        self.changed = true;
    }

    pub(super) fn is_none(self) -> bool {
        self == Self::default()
    }

    pub(super) fn bytes(self) -> [u8; 8] {
        let mut bytes = [0; 8];
        put(&mut bytes, 0, &self.kinds.to_le_bytes());
        put(&mut bytes, 4, &u32::from(self.changed).to_le_bytes());
        bytes
    }
}

/// A comm in the two words of a key, cut as the kernel cuts it.
pub(super) fn comm_words(name: &str) -> [u64; 2] {
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().take(15).zip(name.bytes()) {
        *to = from;
    }
    [word64(&bytes, 0), word64(&bytes, 8)]
}

/// A comm as text.
pub(super) fn comm_text(words: [u64; 2]) -> String {
    let bytes: Vec<u8> = words
        .into_iter()
        .flat_map(u64::to_le_bytes)
        .take_while(|byte| *byte != 0)
        .collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The context of the requests about processes.
pub(super) struct Batch(Vec<u8>);

impl Batch {
    pub(super) fn of_pids(pids: &[u32]) -> Self {
        let mut batch = Self::empty(pids.len());
        for (index, pid) in pids.iter().enumerate() {
            batch.put(index, 24, &pid.to_le_bytes());
        }
        batch
    }

    /// Rows for one bank.
    pub(super) fn of_rows(rows: &[(Process, ProcessRows)], generation: u64, bank: u32) -> Self {
        let mut batch = Self::empty(rows.len());
        for (index, (process, row)) in rows.iter().enumerate() {
            batch.put(index, 0, &process.exec_id.to_le_bytes());
            batch.put(index, 8, &process.started.to_le_bytes());
            batch.put(index, 16, &generation.to_le_bytes());
            batch.put(index, 24, &process.pid.to_le_bytes());
            batch.put(index, 28, &bank.to_le_bytes());
            batch.put(index, 32, &row.exe.to_le_bytes());
            batch.put(index, 36, &row.cmdline.to_le_bytes());
        }
        batch
    }

    fn empty(count: usize) -> Self {
        let mut bytes = vec![0; 8 + BATCH * PROCESS];
        let count = u32::try_from(count.min(BATCH)).unwrap_or(0);
        put(&mut bytes, 0, &count.to_le_bytes());
        Self(bytes)
    }

    fn put(&mut self, index: usize, at: usize, value: &[u8]) {
        if index < BATCH {
            put(&mut self.0, 8 + index * PROCESS + at, value);
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The processes that the request found.
    pub(super) fn found(&self) -> impl Iterator<Item = Process> + '_ {
        let count = word32(&self.0, 0) as usize;
        (0..count.min(BATCH)).filter_map(|index| {
            let at = 8 + index * PROCESS;
            (word32(&self.0, at + 40) == 0).then(|| Process {
                pid: word32(&self.0, at + 24),
                exec_id: word64(&self.0, at),
                started: word64(&self.0, at + 8),
            })
        })
    }
}

impl From<Vec<u8>> for Batch {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

/// What the object tells the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// The rows of a process are not known.
    Process(Process),
    /// The rows of a key are not known.
    Key(Key),
    CgroupGone(u64),
    /// A CPU came or went.
    Cpus,
}

impl Event {
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < 24 {
            return None;
        }
        let words = [word64(bytes, 8), word64(bytes, 16)];
        let [first, second] = words;
        match word32(bytes, 0) {
            1 => Some(Self::Process(Process {
                pid: word32(bytes, 4),
                exec_id: first,
                started: second,
            })),
            2 => Some(Self::CgroupGone(first)),
            3 => Some(Self::Cpus),
            kind => Key::from_words(kind.checked_sub(16)?, words).map(Self::Key),
        }
    }
}

pub(super) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

/// A little-endian word; 0 beyond the end.
pub(super) fn word32(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..at + 4)
        .and_then(|word| word.try_into().ok())
        .map_or(0, u32::from_le_bytes)
}

/// A little-endian word; 0 beyond the end.
pub(super) fn word64(bytes: &[u8], at: usize) -> u64 {
    bytes
        .get(at..at + 8)
        .and_then(|word| word.try_into().ok())
        .map_or(0, u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_bytes() {
        for key in [
            Key::Cgroup(u64::MAX),
            Key::User(u32::MAX),
            Key::Comm(comm_words("fifteen-bytes-a")),
            Key::ParentComm(comm_words("\u{fc}")),
        ] {
            for bank in 0..2 {
                assert_eq!(Key::parse(&key.bytes(bank)), Some((key, bank)));
            }
            assert_eq!(u32::from(key.bytes(0)[0]), key.kind());
        }
        assert_eq!(Key::parse(&[9; Key::SIZE]), None);
    }

    #[test]
    fn news_have_a_bit_for_each_kind() {
        let mut news = News::default();
        assert!(news.is_none());
        news.of(Key::Cgroup(7));
        news.of(Key::ParentComm([1, 2]));
        assert_eq!(news.bytes(), [0b1001, 0, 0, 0, 0, 0, 0, 0]);
        news.changed();
        assert_eq!(news.bytes()[4], 1);
        assert!(!news.is_none());
    }

    #[test]
    fn a_comm_survives_its_words() {
        for name in ["", "a", "fifteen-bytes-a", "\u{fc}ber"] {
            assert_eq!(comm_text(comm_words(name)), name);
        }
        assert_eq!(
            comm_text(comm_words("fifteen-bytes-and-more")),
            "fifteen-bytes-a"
        );
        assert_eq!(comm_text([0xff, 0]), "\u{fffd}");
    }
}
