//! The servers behind the sockets: the control socket, and the one that the
//! field's tools read statistics from.
//!
//! A client may be slow, broken or hostile; the scheduler must not care. So the
//! socket has threads of its own, each request has a size, a deadline and an
//! answer, and what needs the object goes through a channel to the thread that
//! owns it. The owner never reads from or writes to a client.
//!
//! A socket is 0600 from the moment it exists, and every client is asked by
//! the kernel who it is: only root and the agent's own user are served.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, mpsc::RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::Mode;
use rustix::net::sockopt::socket_peercred;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::protocol::{REQUEST_BYTES_MAX, Request, Response};
use super::recording::Recording;
use super::streaming::{Source, pass_on};

/// So many clients are served at a time.
pub const CLIENTS_MAX: usize = 16;

/// How long each step may take.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// For a client to begin a line.
    pub idle: Duration,
    /// For a client to send the rest of it.
    pub request: Duration,
    /// For the owner of the object to answer.
    pub answer: Duration,
    /// For a client to take the answer.
    pub response: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(5),
            request: Duration::from_secs(5),
            answer: Duration::from_secs(20),
            response: Duration::from_secs(5),
        }
    }
}

/// A request on its way to the owner of the object. Answering after the client
/// has gone is harmless.
#[derive(Debug)]
pub struct Asked {
    /// What is asked.
    pub request: Request,
    /// Where the answer goes; never blocks.
    pub answer: SyncSender<Response>,
    /// Where a recording goes that was asked for, before the answer does.
    pub recording: SyncSender<Recording>,
}

/// What a line is answered with.
pub enum Answer {
    /// A line, with its newline.
    Line(String),
    /// That line, and more as they come.
    Lines(String, Box<dyn Source>),
}

/// What is spoken over a socket.
pub trait Dialect: Send + Sync + 'static {
    /// What is remembered of a client from one line to the next.
    type Memory: Default;

    /// The answer to a line, which comes without its newline.
    fn answer(&self, line: &[u8], memory: &mut Self::Memory) -> Answer;

    /// Says why there is no answer.
    fn refuse(&self, why: &str) -> String;
}

/// Requests and responses of [`super::protocol`].
struct Control<F> {
    ask: F,
    patience: Duration,
}

impl<F: Fn(Asked) -> bool + Send + Sync + 'static> Dialect for Control<F> {
    type Memory = ();

    fn answer(&self, line: &[u8], (): &mut ()) -> Answer {
        let (response, recording) = match serde_json::from_slice::<Request>(line) {
            Ok(request) => put_and_take(request, self.patience, &self.ask),
            Err(error) => (Response::refused(format!("not a request: {error}")), None),
        };
        match recording {
            Some(recording) => Answer::Lines(response.line(), Box::new(recording)),
            None => Answer::Line(response.line()),
        }
    }

    fn refuse(&self, why: &str) -> String {
        Response::refused(why).line()
    }
}

/// The socket. Dropping it removes the file; open conversations end by
/// themselves.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
    clients: Arc<AtomicUsize>,
}

impl Server {
    /// Listen at `path`, replacing a socket that is left there: the caller holds
    /// the lock that belongs to it. `ask` hands a request to the owner and must
    /// not block; false means that the owner is gone.
    pub fn start(
        path: &Path,
        deadlines: Deadlines,
        ask: impl Fn(Asked) -> bool + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let patience = deadlines.answer;
        Self::speak(path, deadlines, Control { ask, patience })
    }

    /// The same in any dialect.
    pub(super) fn speak(
        path: &Path,
        deadlines: Deadlines,
        dialect: impl Dialect,
    ) -> io::Result<Self> {
        let listener = listen(path)?;
        let dialect = Arc::new(dialect);
        let clients = Arc::new(AtomicUsize::new(0));
        let server = Self {
            path: path.to_path_buf(),
            clients: Arc::clone(&clients),
        };
        thread::Builder::new()
            .name("edict-control".to_owned())
            .spawn(move || accept(&listener, deadlines, &dialect, &clients))?;
        Ok(server)
    }

    /// Stop listening, and give answers that are on their way a moment.
    pub fn finish(self, patience: Duration) {
        let until = Instant::now() + patience;
        while self.clients.load(Ordering::Acquire) > 0 && Instant::now() < until {
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket: OwnedFd = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    // Linux gives the file the mode of the unbound socket: no moment in which
    // others could connect.
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    rustix::net::listen(&socket, 64)?;
    Ok(UnixListener::from(socket))
}

fn accept(
    listener: &UnixListener,
    deadlines: Deadlines,
    dialect: &Arc<impl Dialect>,
    clients: &Arc<AtomicUsize>,
) {
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            // Out of file descriptors: leave the backlog alone for a moment.
            thread::sleep(Duration::from_millis(100));
            continue;
        };
        let seat = Seat::take(clients);
        if seat.number > CLIENTS_MAX {
            let busy = format!("{CLIENTS_MAX} clients are being served; try again");
            let _ = stream.set_nonblocking(true);
            let _ = (&stream).write_all(dialect.refuse(&busy).as_bytes());
            continue;
        }
        let dialect = Arc::clone(dialect);
        // Without a thread there is no conversation; the client sees the end.
        let _ = thread::Builder::new()
            .name("edict-client".to_owned())
            .stack_size(256 << 10)
            .spawn(move || {
                let _seat = seat;
                let _ = converse(&stream, deadlines, &*dialect);
            });
    }
}

/// Counts a client for as long as it is served.
struct Seat {
    number: usize,
    clients: Arc<AtomicUsize>,
}

impl Seat {
    fn take(clients: &Arc<AtomicUsize>) -> Self {
        Self {
            number: clients.fetch_add(1, Ordering::AcqRel) + 1,
            clients: Arc::clone(clients),
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.clients.fetch_sub(1, Ordering::AcqRel);
    }
}

fn converse<D: Dialect>(stream: &UnixStream, deadlines: Deadlines, dialect: &D) -> io::Result<()> {
    stream.set_write_timeout(Some(deadlines.response))?;
    let respond = |text: &str| {
        let mut stream = stream;
        stream.write_all(text.as_bytes())
    };
    let peer = socket_peercred(stream)?.uid;
    if !may_ask(peer.as_raw(), rustix::process::geteuid().as_raw()) {
        return respond(&dialect.refuse("only root and the agent's own user may ask"));
    }
    let mut memory = D::Memory::default();
    let mut lines = Lines::new(stream, deadlines);
    loop {
        let line = match lines.next()? {
            Line::Request(line) => line,
            Line::End => return Ok(()),
            Line::TooLong => {
                let message = format!("a request has at most {REQUEST_BYTES_MAX} bytes");
                return respond(&dialect.refuse(&message));
            }
        };
        match dialect.answer(&line, &mut memory) {
            Answer::Line(line) => respond(&line)?,
            Answer::Lines(first, mut rest) => {
                respond(&first)?;
                pass_on(stream, &mut *rest, deadlines.response)?;
            }
        }
    }
}

/// Whether user `peer` may talk to an agent of user `own`.
fn may_ask(peer: u32, own: u32) -> bool {
    peer == 0 || peer == own
}

/// Hands a request to the owner, and waits for the answer.
pub(super) fn put(request: Request, patience: Duration, ask: &impl Fn(Asked) -> bool) -> Response {
    put_and_take(request, patience, ask).0
}

/// The same, with the recording that may come of it.
fn put_and_take(
    request: Request,
    patience: Duration,
    ask: &impl Fn(Asked) -> bool,
) -> (Response, Option<Recording>) {
    let (answer, inbox) = mpsc::sync_channel(1);
    let (recording, made) = mpsc::sync_channel(1);
    let asked = Asked {
        request,
        answer,
        recording,
    };
    if !ask(asked) {
        return (Response::refused("the agent is stopping"), None);
    }
    let response = match inbox.recv_timeout(patience) {
        Ok(response) => response,
        Err(RecvTimeoutError::Timeout) => {
            Response::refused(format!("no answer within {} s", patience.as_secs()))
        }
        Err(RecvTimeoutError::Disconnected) => Response::refused("the agent is stopping"),
    };
    let recording = made.try_recv().ok().filter(|_| response.ok);
    (response, recording)
}

/// Lines with a limit on their length and on the time they take as a whole, so
/// that a byte a second is no way to keep a seat.
struct Lines<'a> {
    stream: &'a UnixStream,
    deadlines: Deadlines,
    rest: Vec<u8>,
}

enum Line {
    Request(Vec<u8>),
    End,
    TooLong,
}

impl<'a> Lines<'a> {
    fn new(stream: &'a UnixStream, deadlines: Deadlines) -> Self {
        Self {
            stream,
            deadlines,
            rest: Vec::new(),
        }
    }

    fn next(&mut self) -> io::Result<Line> {
        let wait = |patience| Instant::now() + patience;
        let mut has_begun = !self.rest.is_empty();
        let mut until = match has_begun {
            true => wait(self.deadlines.request),
            false => wait(self.deadlines.idle),
        };
        let mut chunk = [0; 4096];
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.rest.drain(..=end).collect();
                line.pop();
                return Ok(Line::Request(line));
            }
            if self.rest.len() > REQUEST_BYTES_MAX {
                return Ok(Line::TooLong);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Line::End);
            }
            self.stream.set_read_timeout(Some(left))?;
            let mut stream = self.stream;
            match stream.read(&mut chunk) {
                Ok(0) => return Ok(Line::End),
                Ok(count) => {
                    self.rest.extend(chunk.iter().take(count));
                    if !has_begun {
                        has_begun = true;
                        until = wait(self.deadlines.request);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Mutex;

    use serde_json::json;

    use super::*;

    const SHORT: Deadlines = Deadlines {
        idle: Duration::from_millis(300),
        request: Duration::from_millis(300),
        answer: Duration::from_millis(200),
        response: Duration::from_millis(300),
    };

    /// Answers `status`, is silent for `stop`.
    fn serve(deadlines: Deadlines) -> (tempfile::TempDir, PathBuf, Server) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        let silent = Mutex::new(Vec::new());
        let server = Server::start(&path, deadlines, move |asked: Asked| {
            match asked.request {
                Request::Stop {} => silent.lock().unwrap().push(asked.answer),
                _ => asked
                    .answer
                    .try_send(Response::done(json!("fine")))
                    .unwrap(),
            }
            true
        })
        .unwrap();
        (dir, path, server)
    }

    fn ask(path: &Path, bytes: &[u8]) -> String {
        let mut stream = UnixStream::connect(path).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let _ = stream.write_all(bytes);
        let mut line = String::new();
        let _ = BufReader::new(stream).read_line(&mut line);
        line
    }

    const FINE: &str = "{\"ok\":true,\"result\":\"fine\"}\n";

    #[test]
    fn a_question_gets_an_answer_and_the_file_is_private() {
        let (_dir, path, server) = serve(SHORT);
        assert_eq!(ask(&path, b"{\"verb\":\"status\"}\n"), FINE);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(server);
        assert!(!path.exists());
    }

    #[test]
    fn two_questions_in_one_write_get_two_answers() {
        let (_dir, path, _server) = serve(SHORT);
        let mut stream = UnixStream::connect(&path).unwrap();
        stream
            .write_all(b"{\"verb\":\"status\"}\n{\"verb\":\"status\"}\n")
            .unwrap();
        let mut lines = BufReader::new(stream).lines();
        assert_eq!(lines.next().unwrap().unwrap() + "\n", FINE);
        assert_eq!(lines.next().unwrap().unwrap() + "\n", FINE);
    }

    #[test]
    fn nonsense_is_answered_and_the_conversation_goes_on() {
        let (_dir, path, _server) = serve(SHORT);
        let mut stream = UnixStream::connect(&path).unwrap();
        stream
            .write_all(b"\xff\xfe{}\n{\"verb\":\"status\"}\n")
            .unwrap();
        let mut lines = BufReader::new(stream).lines();
        let first = lines.next().unwrap().unwrap();
        assert!(first.contains("not a request"), "{first}");
        assert_eq!(lines.next().unwrap().unwrap() + "\n", FINE);
    }

    #[test]
    fn a_request_that_is_too_long_is_refused() {
        let (_dir, path, _server) = serve(SHORT);
        let answer = ask(&path, &vec![b'x'; REQUEST_BYTES_MAX + 5000]);
        assert!(answer.contains("at most 65536 bytes"), "{answer}");
    }

    #[test]
    fn an_owner_that_does_not_answer_is_said_so() {
        let (_dir, path, _server) = serve(SHORT);
        let answer = ask(&path, b"{\"verb\":\"stop\"}\n");
        assert!(answer.contains("no answer within"), "{answer}");
    }

    #[test]
    fn slow_clients_lose_their_seats_and_do_not_keep_others_out() {
        let (_dir, path, _server) = serve(SHORT);
        let slow: Vec<UnixStream> = (0..CLIENTS_MAX)
            .map(|_| {
                let mut stream = UnixStream::connect(&path).unwrap();
                stream.write_all(b"{").unwrap();
                stream
            })
            .collect();
        thread::sleep(Duration::from_millis(50));
        let answer = ask(&path, b"{\"verb\":\"status\"}\n");
        assert!(answer.contains("clients are being served"), "{answer}");
        // A byte now and then does not extend the time.
        for _ in 0..6 {
            thread::sleep(Duration::from_millis(70));
            for mut stream in &slow {
                let _ = stream.write_all(b" ");
            }
        }
        assert_eq!(ask(&path, b"{\"verb\":\"status\"}\n"), FINE);
    }

    #[test]
    fn a_client_that_does_not_read_does_not_keep_its_seat() {
        let (_dir, path, _server) = serve(SHORT);
        let mut deaf = UnixStream::connect(&path).unwrap();
        deaf.set_write_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        while deaf
            .write_all(&b"{\"verb\":\"status\"}\n".repeat(100))
            .is_ok()
        {}
        assert_eq!(ask(&path, b"{\"verb\":\"status\"}\n"), FINE);
    }

    #[test]
    fn a_socket_left_by_a_killed_agent_is_replaced() {
        let (_dir, path, server) = serve(SHORT);
        std::mem::forget(server);
        let _server = Server::start(&path, SHORT, |asked: Asked| {
            let _ = asked.answer.try_send(Response::done(json!("new")));
            true
        })
        .unwrap();
        assert!(ask(&path, b"{\"verb\":\"status\"}\n").contains("new"));
    }

    #[test]
    fn strangers_may_not_ask() {
        assert!(may_ask(0, 1000));
        assert!(may_ask(1000, 1000));
        assert!(!may_ask(1001, 1000));
        assert!(!may_ask(1000, 0));
    }
}
