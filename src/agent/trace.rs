//! What a recording says over the control socket, line by line.
//!
//! ```text
//! → {"verb":"trace","millis":5000}
//! ← {"ok":true,"result":{"begun":{"policy":"web",…}}}
//! ← {"ok":true,"result":{"names":{"generation":3,"tiers":["critical",…],"rules":["edge",…]}}}
//! ← {"ok":true,"result":{"runs":[[…],…]}}
//! ← {"ok":true,"result":{"ended":{"why":"time","at_ns":…,"lost":0}}}
//! ```
//!
//! Numbers of tiers and rules mean nothing without their generation; the names of
//! one come before the first line that has its numbers.

use serde::{Deserialize, Serialize};

use crate::live::{How, Stretch};

/// A line of a recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Line {
    /// The first.
    Begun(Begun),
    /// What the numbers of a generation stand for.
    Names(Names),
    /// Tasks had CPUs; nothing, if nothing has happened for a while.
    Runs(Vec<Run>),
    /// A policy was put in force.
    Committed(Committed),
    /// The last.
    Ended(Ended),
}

/// How a recording begins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// The name of the policy in force.
    pub policy: String,
    /// The backend.
    pub backend: String,
    /// On the clock of the scheduler, in ns.
    pub at_ns: u64,
    /// How long it is to be.
    pub millis: u32,
}

/// The names of a generation, in the order of their numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// Its number.
    pub generation: u64,
    /// Its tiers.
    pub tiers: Vec<String>,
    /// Its rules.
    pub rules: Vec<String>,
}

/// A commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    /// On the clock of the scheduler, in ns.
    pub at_ns: u64,
    /// The generation that is in force from then on.
    pub generation: u64,
}

/// How a recording ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Why.
    pub why: Why,
    /// On the clock of the scheduler, in ns.
    pub at_ns: u64,
    /// So many records found no room.
    pub lost: u64,
}

/// Why a recording ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    /// Its time is over.
    Time,
    /// The client has enough.
    Enough,
    /// The agent ends.
    Stopping,
    /// The scheduler was attached again, which what was recorded is not part of.
    Restarted,
}

/// The time for which a task had a CPU; a list, because there are many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Row", into = "Row")]
pub struct Run {
    /// On the clock of the scheduler, in ns.
    pub begun_ns: u64,
    /// On the same clock.
    pub ended_ns: u64,
    /// How long it had waited; 0 if it kept its CPU.
    pub waited_ns: u64,
    /// The CPU.
    pub cpu: u32,
    /// The task.
    pub pid: u32,
    /// Its process.
    pub tgid: u32,
    /// The number of its tier.
    pub tier: u8,
    /// The number of the rule that took it.
    pub rule: u16,
    /// How it got the CPU.
    pub how: How,
    /// The generation that the numbers belong to.
    pub generation: u64,
    /// Whether it would have gone on, or did.
    pub is_runnable: bool,
    /// Whether it goes on with a run that another class interrupted.
    pub is_resumed: bool,
    /// Whether it began before the recording, which is when it is said to begin.
    pub is_cut: bool,
    /// The name of the task.
    pub comm: String,
}

/// The same, in the same order.
type Row = (
    u64,
    u64,
    u64,
    u32,
    u32,
    u32,
    u8,
    u16,
    How,
    u64,
    bool,
    bool,
    bool,
    String,
);

impl From<Row> for Run {
    fn from(row: Row) -> Self {
        let (begun_ns, ended_ns, waited_ns, cpu, pid, tgid, tier, rule, how, generation, ..) = row;
        let (.., is_runnable, is_resumed, is_cut, comm) = row;
        Self {
            begun_ns,
            ended_ns,
            waited_ns,
            cpu,
            pid,
            tgid,
            tier,
            rule,
            how,
            generation,
            is_runnable,
            is_resumed,
            is_cut,
            comm,
        }
    }
}

impl From<Run> for Row {
    fn from(run: Run) -> Self {
        (
            run.begun_ns,
            run.ended_ns,
            run.waited_ns,
            run.cpu,
            run.pid,
            run.tgid,
            run.tier,
            run.rule,
            run.how,
            run.generation,
            run.is_runnable,
            run.is_resumed,
            run.is_cut,
            run.comm,
        )
    }
}

impl From<Stretch> for Run {
    fn from(stretch: Stretch) -> Self {
        Self {
            begun_ns: stretch.begun_ns,
            ended_ns: stretch.ended_ns,
            waited_ns: stretch.waited_ns,
            cpu: stretch.cpu,
            pid: stretch.pid,
            tgid: stretch.tgid,
            tier: stretch.tier.0,
            rule: stretch.rule.0,
            how: stretch.how,
            generation: stretch.generation,
            is_runnable: stretch.is_runnable,
            is_resumed: stretch.is_resumed,
            is_cut: stretch.is_cut,
            comm: stretch.comm,
        }
    }
}

impl Line {
    /// As an answer of [`super::protocol`], with its newline.
    pub fn answer(&self) -> String {
        #[derive(Serialize)]
        struct Answer<'a> {
            ok: bool,
            result: &'a Line,
        }
        let answer = Answer {
            ok: true,
            result: self,
        };
        // Only maps with keys that are no strings could fail.
        let mut text = serde_json::to_string(&answer).unwrap_or_default();
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_a_list_and_survives_the_wire() {
        let line = Line::Runs(vec![Run {
            begun_ns: 1_000,
            ended_ns: 1_500,
            waited_ns: 20,
            cpu: 1,
            pid: 7,
            tgid: 6,
            tier: 1,
            rule: 0,
            how: How::Preempt,
            generation: 3,
            is_runnable: true,
            is_resumed: false,
            is_cut: true,
            comm: "a\"b".into(),
        }]);
        let text = line.answer();
        assert_eq!(
            text,
            "{\"ok\":true,\"result\":{\"runs\":[[1000,1500,20,1,7,6,1,0,\"preempt\",3,true,false,true,\
             \"a\\\"b\"]]}}\n"
        );
        let whole: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            serde_json::from_value::<Line>(whole["result"].clone()).unwrap(),
            line
        );
    }
}
