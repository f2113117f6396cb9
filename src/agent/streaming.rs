//! An answer of many lines, over time.
//!
//! The thread that talks to the client does nothing else meanwhile, so it never
//! waits for the client: it looks for what is new, hands over what the socket
//! takes, and sleeps for a moment. What a slow client has not taken is kept up to
//! a limit, beyond which nothing new is looked for. One that takes nothing for
//! long, or is gone, has ended it.

use std::io::{self, ErrorKind};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

/// Something that is told line by line.
pub trait Source: Send {
    /// Adds whole lines, those that there are by now, and does not wait for any.
    /// False after the last.
    fn more(&mut self, to: &mut String) -> bool;

    /// Whether nothing will be added but an end.
    fn is_over(&self) -> bool;

    /// The client has said something meanwhile: it wants no more.
    fn enough(&mut self);
}

/// How often it looks for what is new.
const LOOK: Duration = Duration::from_millis(10);
/// So many bytes are kept for a client that is slow.
const KEPT_MAX: usize = 8 << 20;

/// Passes everything on. A client that takes nothing for `patience` has gone.
///
/// # Errors
///
/// When the client is gone.
pub(super) fn pass_on(
    stream: &UnixStream,
    source: &mut dyn Source,
    patience: Duration,
) -> io::Result<()> {
    let mut kept = Kept::default();
    let mut goes_on = true;
    let mut has_spoken = false;
    let mut look = Instant::now();
    let mut taken = Instant::now();
    while goes_on || !kept.rest().is_empty() {
        if !has_spoken && speaks(stream)? {
            has_spoken = true;
            source.enough();
        }
        let now = Instant::now();
        let is_full = kept.rest().len() >= KEPT_MAX && !source.is_over();
        if goes_on && !is_full && now >= look {
            look = now + LOOK;
            let mut lines = String::new();
            goes_on = source.more(&mut lines);
            kept.add(&lines);
        }
        match kept.hand_over(stream)? {
            0 if taken.elapsed() > patience => return Err(ErrorKind::TimedOut.into()),
            0 if !kept.rest().is_empty() => {}
            _ => taken = Instant::now(),
        }
        let left = match goes_on && !is_full {
            true => look.saturating_duration_since(Instant::now()),
            false => LOOK,
        };
        if goes_on || !kept.rest().is_empty() {
            rest(stream, left, !kept.rest().is_empty())?;
        }
    }
    Ok(())
}

/// What the client has not taken yet.
#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    sent: usize,
}

impl Kept {
    fn rest(&self) -> &[u8] {
        self.bytes.get(self.sent..).unwrap_or_default()
    }

    fn add(&mut self, lines: &str) {
        // Moving what is left pays once it is the smaller part.
        if self.sent > self.bytes.len() / 2 {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
        self.bytes.extend_from_slice(lines.as_bytes());
    }

    /// Gives the client what it takes at once; how much that was.
    fn hand_over(&mut self, stream: &UnixStream) -> io::Result<usize> {
        if self.rest().is_empty() {
            return Ok(0);
        }
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        match send(stream, self.rest(), flags) {
            Ok(count) => {
                self.sent += count;
                Ok(count)
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether the client has said something. That it says nothing more is no word:
/// it may still read.
fn speaks(stream: &UnixStream) -> io::Result<bool> {
    let mut byte = [0_u8];
    match recv(stream, &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Ok((count, _)) => Ok(count > 0),
        Err(Errno::AGAIN | Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Sleeps for so long, or until the client takes more of what is kept for it. An
/// error if it is gone.
fn rest(stream: &UnixStream, length: Duration, has_more: bool) -> io::Result<()> {
    let timeout = Timespec::try_from(length).map_err(io::Error::other)?;
    let mut wanted = PollFlags::empty();
    wanted.set(PollFlags::OUT, has_more);
    let mut fds = [PollFd::new(stream, wanted)];
    match poll(&mut fds, Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let [fd] = &fds;
    match fd.revents().intersects(PollFlags::HUP | PollFlags::ERR) {
        true => Err(ErrorKind::BrokenPipe.into()),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::Shutdown;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread;

    use super::*;

    /// So many lines, of so many bytes each.
    struct Lines {
        left: u64,
        bytes: usize,
        made: Arc<AtomicU64>,
    }

    impl Source for Lines {
        fn more(&mut self, to: &mut String) -> bool {
            if self.left > 0 {
                self.left -= 1;
                self.made.fetch_add(1, Ordering::Relaxed);
                to.push_str(&"ü".repeat(self.bytes / 2));
                to.push('\n');
            }
            self.left > 0
        }
        fn is_over(&self) -> bool {
            self.left == 0
        }
        fn enough(&mut self) {
            self.left = self.left.min(1);
        }
    }

    /// Passes lines on to the other end of a pair; the outcome, and how many
    /// were made.
    fn passing(
        left: u64,
        bytes: usize,
        patience: Duration,
        client: impl FnOnce(UnixStream),
    ) -> (io::Result<()>, u64) {
        let (own, others) = UnixStream::pair().unwrap();
        let made = Arc::new(AtomicU64::new(0));
        let mut lines = Lines {
            left,
            bytes,
            made: Arc::clone(&made),
        };
        let passed = thread::spawn(move || pass_on(&own, &mut lines, patience));
        client(others);
        (passed.join().unwrap(), made.load(Ordering::Relaxed))
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn everything_arrives_whole() {
        let (outcome, made) = passing(30, 100_000, LONG, |mut client| {
            let mut text = String::new();
            thread::sleep(Duration::from_millis(100));
            client.read_to_string(&mut text).unwrap();
            assert_eq!(text.lines().count(), 30);
            assert!(text.lines().all(|line| line.len() == 100_000));
        });
        assert_eq!((outcome.map_err(|e| e.kind()), made), (Ok(()), 30));
    }

    #[test]
    fn a_client_that_speaks_has_enough_and_one_that_ends_its_side_has_not() {
        let (outcome, made) = passing(u64::MAX, 10, LONG, |mut client| {
            let mut lines = BufReader::new(client.try_clone().unwrap()).lines();
            lines.next().unwrap().unwrap();
            client.write_all(b"{}\n").unwrap();
            // The word that nobody reads here is an error at the end.
            assert!(lines.by_ref().take_while(Result::is_ok).count() < 1_000);
        });
        assert!(outcome.is_ok() && made < 1_000, "{outcome:?} {made}");
        let (outcome, made) = passing(20, 10, LONG, |client| {
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(BufReader::new(client).lines().count(), 20);
        });
        assert_eq!((outcome.map_err(|e| e.kind()), made), (Ok(()), 20));
    }

    #[test]
    fn a_client_that_goes_or_never_reads_ends_it() {
        let (outcome, _) = passing(u64::MAX, 10, LONG, drop);
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::BrokenPipe);
        let patience = Duration::from_millis(300);
        let begun = Instant::now();
        let (outcome, made) = passing(u64::MAX, 2 << 20, patience, |client| {
            thread::sleep(Duration::from_millis(800));
            drop(client);
        });
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::TimedOut);
        assert!(begun.elapsed() < LONG);
        // Beyond the limit nothing is made for it.
        assert!(made <= 6, "{made}");
    }
}
