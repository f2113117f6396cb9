//! What is said over the control socket: one JSON object a line, one answer for
//! each; a recording is answered in many lines.
//!
//! ```text
//! → {"verb":"why","pid":4711}
//! ← {"ok":true,"result":{"pid":4711,"comm":"nginx","tier":"critical",…}}
//! → {"verb":"dance"}
//! ← {"ok":false,"message":"not a request: unknown variant `dance`, …"}
//! ```

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where the agent listens unless told otherwise.
pub const SOCKET: &str = "/run/edict/control.sock";

/// The longest line that is read.
pub const REQUEST_BYTES_MAX: usize = 64 << 10;

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "lowercase", deny_unknown_fields)]
pub enum Request {
    /// The state of the agent and its counters.
    Status {},
    /// How one task is scheduled, and why.
    Why {
        /// A thread id.
        pid: u32,
    },
    /// All tasks, those with the most CPU time first.
    Tasks {},
    /// Record what the scheduler decides; answered in many lines, those of
    /// [`super::trace`].
    Trace {
        /// For so long, if the client does not say anything before.
        millis: u32,
    },
    /// A word to end a recording with that this client has asked for: whatever it
    /// says ends it, and this does nothing else.
    Enough {},
    /// Look at the policy now.
    Reload {},
    /// Detach and exit.
    Stop {},
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// Whether it was done.
    pub ok: bool,
    /// What the verb gives, if it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Why not, if it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The code of the catalogue, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

impl Response {
    /// It was done.
    pub fn done(result: Value) -> Self {
        Self {
            ok: true,
            result: Some(result),
            message: None,
            code: None,
        }
    }

    /// It was not.
    pub fn refused(message: impl Into<String>) -> Self {
        Self {
            ok: false,
            result: None,
            message: Some(message.into()),
            code: None,
        }
    }

    /// With a code of the catalogue.
    #[must_use]
    pub fn code(mut self, code: Option<String>) -> Self {
        self.code = code;
        self
    }

    /// As one line.
    pub fn line(&self) -> String {
        let mut line = serde_json::to_string(self)
            .unwrap_or_else(|_| r#"{"ok":false,"message":"no answer"}"#.to_owned());
        line.push('\n');
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Request, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn requests_are_what_they_say_and_nothing_more() {
        assert_eq!(parse(r#"{"verb":"status"}"#).unwrap(), Request::Status {});
        assert_eq!(
            parse(r#"{"verb":"why","pid":1}"#).unwrap(),
            Request::Why { pid: 1 }
        );
        assert_eq!(
            parse(r#"{"verb":"trace","millis":50}"#).unwrap(),
            Request::Trace { millis: 50 }
        );
        assert!(parse(r#"{"verb":"trace","millis":-1}"#).is_err());
        assert!(parse(r#"{"verb":"why"}"#).is_err());
        assert!(parse(r#"{"verb":"why","pid":1,"uid":0}"#).is_err());
        assert!(parse(r#"{"verb":"status","x":1}"#).is_err());
        assert!(parse(r#"{"verb":"dance"}"#).is_err());
        assert!(parse("[]").is_err());
    }

    #[test]
    fn an_answer_is_one_line() {
        let line = Response::refused("a\nb").line();
        assert_eq!(line, "{\"ok\":false,\"message\":\"a\\nb\"}\n");
        let line = Response::done(serde_json::json!({"a": 1})).line();
        assert_eq!(line, "{\"ok\":true,\"result\":{\"a\":1}}\n");
    }
}
