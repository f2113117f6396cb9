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
    use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
    use std::os::unix::fs::FileTypeExt;
    use std::os::unix::net::UnixStream;
    use std::path::{Path, PathBuf};
    use std::time::Duration;

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
        serde_json::from_value(result).map_err(|error| {
            let message = format!("the agent's answer is not understood: {error}");
            fail(
                terminal,
                &message,
                Some("is the agent of the same version? `edict --version`"),
            )
        })
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
