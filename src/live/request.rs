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
const PROCESS: usize = 40;

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
    pub(super) fn of_rows(rows: &[(Process, u32)], generation: u64, bank: u32) -> Self {
        let mut batch = Self::empty(rows.len());
        for (index, (process, row)) in rows.iter().enumerate() {
            batch.put(index, 0, &process.exec_id.to_le_bytes());
            batch.put(index, 8, &process.started.to_le_bytes());
            batch.put(index, 16, &generation.to_le_bytes());
            batch.put(index, 24, &process.pid.to_le_bytes());
            batch.put(index, 28, &bank.to_le_bytes());
            batch.put(index, 32, &row.to_le_bytes());
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
            (word32(&self.0, at + 36) == 0).then(|| Process {
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
    Exe(Process),
    Cgroup(u64),
    CgroupGone(u64),
}

impl Event {
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < 24 {
            return None;
        }
        let id = word64(bytes, 8);
        match word32(bytes, 0) {
            1 => Some(Self::Exe(Process {
                pid: word32(bytes, 4),
                exec_id: id,
                started: word64(bytes, 16),
            })),
            2 => Some(Self::Cgroup(id)),
            3 => Some(Self::CgroupGone(id)),
            _ => None,
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
