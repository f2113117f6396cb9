//! Talking to a running agent.

use std::path::PathBuf;

use clap::Args;

use super::{Exit, Terminal};

/// Where the agent listens
#[derive(Debug, Clone, Args)]
pub(super) struct SocketArgs {
    /// The control socket [default: $EDICT_SOCKET, else /run/edict/control.sock]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

/// How often something is printed: a number of seconds from 1 to 86400.
pub(super) fn seconds(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(seconds @ 1..=86_400) => Ok(seconds),
        _ => Err("it is a number of seconds, from 1 to 86400".to_owned()),
    }
}

#[cfg(not(feature = "live"))]
pub(super) use without::*;

/// This edict cannot have an agent.
#[cfg(not(feature = "live"))]
mod without {
    use super::{Exit, Terminal};
    use crate::cli::refuse;
    use crate::diag::{Code, Diagnostic};

    /// The answer of every verb that needs the kernel.
    pub(in crate::cli) fn absent(terminal: &Terminal) -> Exit {
        refuse(
            terminal,
            Diagnostic::new(
                Code::E0610,
                "this edict was built without the feature `live`",
            )
            .help("install one that was built with it: `cargo install scx_edict`"),
        )
    }
}

#[cfg(feature = "live")]
pub(super) use with::*;

#[cfg(feature = "live")]
mod with {
    use std::io::{BufRead, BufReader, ErrorKind, Read, Take, Write};
    use std::os::unix::fs::FileTypeExt;
    use std::os::unix::net::UnixStream;
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use serde::Deserialize;
    use serde::de::DeserializeOwned;
    use serde_json::Value;

    use super::{Exit, SocketArgs, Terminal};
    use crate::agent::protocol::{Request, Response, SOCKET};
    use crate::cli::{Format, complain, fail, refuse};
    use crate::diag::{Code, Diagnostic, visible, visible_lines};

    /// The longest answer that is read.
    const ANSWER_BYTES_MAX: u64 = 16 << 20;

    /// The agent has 20 s for an answer; then it says so itself.
    const PATIENCE: Duration = Duration::from_secs(30);

    impl SocketArgs {
        /// The path that is meant.
        pub(in crate::cli) fn path(&self) -> PathBuf {
            self.socket
                .clone()
                .or_else(|| std::env::var_os("EDICT_SOCKET").map(PathBuf::from))
                .unwrap_or_else(|| PathBuf::from(SOCKET))
        }
    }

    /// Ask the running agent; a complaint has been made if there is no answer.
    pub(in crate::cli) fn ask<T: DeserializeOwned>(
        socket: &SocketArgs,
        request: &Request,
        terminal: &Terminal,
    ) -> Result<T, Exit> {
        let path = socket.path();
        let response = match exchange(&path, request) {
            Ok(response) => response,
            Err(error) => return Err(no_answer(terminal, &path, &error)),
        };
        if !response.ok {
            return Err(refused(terminal, &response));
        }
        let mut result = response.result.unwrap_or_default();
        if terminal.format() != Format::Json {
            tame(&mut result);
        }
        serde_json::from_value(result).map_err(|error| not_understood(terminal, &error.to_string()))
    }

    /// A request that is answered in many lines.
    pub(in crate::cli) struct Conversation {
        path: PathBuf,
        stream: UnixStream,
        reader: BufReader<Take<UnixStream>>,
        /// What has come of the next line.
        line: Vec<u8>,
    }

    /// What came of listening for a while.
    pub(in crate::cli) enum Heard<T> {
        Said(T),
        Nothing,
        /// There will be nothing more.
        End,
    }

    /// A line of the answer: a [`Response`] whose result has a type.
    #[derive(Deserialize)]
    struct Said<T> {
        ok: bool,
        result: Option<T>,
        message: Option<String>,
        code: Option<String>,
    }

    impl Conversation {
        /// Ask the running agent; a complaint has been made if there is none.
        pub(in crate::cli) fn begin(
            socket: &SocketArgs,
            request: &Request,
            terminal: &Terminal,
        ) -> Result<Self, Exit> {
            let path = socket.path();
            let connect = || -> std::io::Result<(UnixStream, UnixStream)> {
                let stream = UnixStream::connect(&path)?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Ok((stream.try_clone()?, stream))
            };
            let (own, stream) = connect().map_err(|error| no_answer(terminal, &path, &error))?;
            let mut conversation = Self {
                path,
                stream: own,
                reader: BufReader::new(stream.take(0)),
                line: Vec::new(),
            };
            match conversation.say(request) {
                Ok(()) => Ok(conversation),
                Err(error) => Err(no_answer(terminal, &conversation.path, &error)),
            }
        }

        /// Say something more.
        pub(in crate::cli) fn say(&mut self, request: &Request) -> std::io::Result<()> {
            let mut line = serde_json::to_string(request)?;
            line.push('\n');
            self.stream.write_all(line.as_bytes())
        }

        /// The next line of the answer, if it comes in time. The agent's refusals
        /// are complaints.
        pub(in crate::cli) fn hear<T: DeserializeOwned>(
            &mut self,
            patience: Duration,
            terminal: &Terminal,
        ) -> Result<Heard<T>, Exit> {
            let listened = self.stream.set_read_timeout(Some(patience)).and_then(|()| {
                let room = ANSWER_BYTES_MAX.saturating_sub(self.line.len() as u64);
                self.reader.get_mut().set_limit(room);
                self.reader.read_until(b'\n', &mut self.line)
            });
            match listened {
                Ok(_) if self.line.ends_with(b"\n") => {}
                Ok(_) => return Ok(Heard::End),
                Err(error) => {
                    return match error.kind() {
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {
                            Ok(Heard::Nothing)
                        }
                        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Ok(Heard::End),
                        _ => Err(no_answer(terminal, &self.path, &error)),
                    };
                }
            }
            let said = serde_json::from_slice::<Said<T>>(&self.line);
            self.line.clear();
            match said {
                Ok(Said {
                    ok: true,
                    result: Some(result),
                    ..
                }) => Ok(Heard::Said(result)),
                Ok(Said {
                    ok: false,
                    message,
                    code,
                    ..
                }) => Err(refused(
                    terminal,
                    &Response::refused(message.unwrap_or_default()).code(code),
                )),
                Ok(_) => Err(not_understood(terminal, "it has no result")),
                Err(error) => Err(not_understood(terminal, &error.to_string())),
            }
        }

        /// Complain that it ended without an answer.
        pub(in crate::cli) fn is_gone(&self, terminal: &Terminal) -> Exit {
            no_answer(terminal, &self.path, &ErrorKind::UnexpectedEof.into())
        }
    }

    fn not_understood(terminal: &Terminal, why: &str) -> Exit {
        let message = format!("the agent's answer is not understood: {why}");
        let help = "is the agent of the same version? `edict --version`";
        fail(terminal, &message, Some(help))
    }

    /// Make what tasks and files are called fit to print. Only the text of a
    /// rule has lines.
    fn tame(value: &mut Value) {
        match value {
            Value::String(text) => *text = visible(text).into_owned(),
            Value::Array(values) => values.iter_mut().for_each(tame),
            Value::Object(values) => {
                for (key, value) in values {
                    match value {
                        Value::String(text) if key == "source" => {
                            *text = visible_lines(text).into_owned();
                        }
                        value => tame(value),
                    }
                }
            }
            _ => {}
        }
    }

    fn exchange(path: &Path, request: &Request) -> std::io::Result<Response> {
        let mut stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut line = serde_json::to_string(request)?;
        line.push('\n');
        stream.write_all(line.as_bytes())?;
        let mut answer = String::new();
        let mut reader = BufReader::new(stream.take(ANSWER_BYTES_MAX));
        if reader.read_line(&mut answer)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if !answer.ends_with('\n') && answer.len() as u64 >= ANSWER_BYTES_MAX {
            return Err(std::io::Error::other(format!(
                "the answer is longer than {} MiB",
                ANSWER_BYTES_MAX >> 20
            )));
        }
        Ok(serde_json::from_str(&answer)?)
    }

    fn no_answer(terminal: &Terminal, path: &Path, error: &std::io::Error) -> Exit {
        let shown = path.to_string_lossy();
        let shown = visible(&shown);
        let is_something_else = std::fs::metadata(path).is_ok_and(|at| !at.file_type().is_socket());
        match error.kind() {
            ErrorKind::ConnectionRefused if is_something_else => refuse(
                terminal,
                Diagnostic::new(Code::E0609, format!("`{shown}` is not a socket")).help(format!(
                    "leave `--socket` out: it is {SOCKET} unless `edict run` was told otherwise"
                )),
            ),
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => refuse(
                terminal,
                Diagnostic::new(Code::E0609, format!("no edict listens at `{shown}`"))
                    .help("start one: `edict run POLICY`"),
            ),
            ErrorKind::PermissionDenied => refuse(
                terminal,
                Diagnostic::new(Code::E0602, format!("no permission to ask at `{shown}`"))
                    .help("ask as root, or as the user that the agent runs as"),
            ),
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => fail(
                terminal,
                "the agent ended the conversation without an answer",
                Some("it may be stopping, or serve too many clients; try again"),
            ),
            _ => fail(terminal, &format!("`{shown}`: {error}"), None),
        }
    }

    /// What the agent does not do, in the agent's words.
    fn refused(terminal: &Terminal, response: &Response) -> Exit {
        let message = response.message.as_deref().unwrap_or("no reason given");
        let Some(code) = response.code.as_deref().and_then(Code::by_name) else {
            return fail(terminal, message, None);
        };
        let exit = match code.as_str() {
            code if code.starts_with("E06") => Exit::Refused,
            _ => Exit::Invalid,
        };
        if terminal.format() == Format::Json {
            return complain(terminal, &[Diagnostic::new(code, message)], &(), exit);
        }
        terminal.complain(&format!("edict: {}\n", message.trim_end()));
        exit
    }
}
