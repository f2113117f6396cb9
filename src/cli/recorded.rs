//! What was recorded, and its records as programs read them.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::agent::trace::{Begun, Committed, Ended, Line, Names, Run, Why};
use crate::live::How;

/// A recording.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    pub(super) begun: Option<Begun>,
    pub(super) names: BTreeMap<u64, Names>,
    pub(super) runs: Vec<Run>,
    pub(super) commits: Vec<Committed>,
    pub(super) ended: Option<Ended>,
    /// It is as large as it may be.
    pub(super) is_full: bool,
    /// The agent has refused to go on, and that was said.
    pub(super) is_refused: bool,
}

impl Recorded {
    /// Takes in a line.
    pub(super) fn add(&mut self, line: Line) {
        match line {
            Line::Begun(begun) => self.begun = Some(begun),
            Line::Names(names) => {
                self.names.insert(names.generation, names);
            }
            Line::Runs(runs) => self.runs.extend(runs),
            Line::Committed(committed) => self.commits.push(committed),
            Line::Ended(ended) => self.ended = Some(ended),
        }
    }

    pub(super) fn began_ns(&self) -> u64 {
        self.begun.as_ref().map_or(0, |begun| begun.at_ns)
    }

    /// How long it took; as far as it is known, if nobody said that it ended.
    pub(super) fn length_ns(&self) -> u64 {
        let last = self.runs.iter().map(|run| run.ended_ns).max();
        let ended = self.ended.map(|ended| ended.at_ns).or(last);
        ended.unwrap_or(0).saturating_sub(self.began_ns())
    }

    /// None for a generation that was over before the recording.
    pub(super) fn tier(&self, run: &Run) -> Option<&str> {
        let names = self.names.get(&run.generation);
        let name = names.and_then(|names| names.tiers.get(usize::from(run.tier)));
        name.map(String::as_str)
    }

    /// None for a generation that was over before the recording.
    pub(super) fn rule(&self, run: &Run) -> Option<&str> {
        let names = self.names.get(&run.generation);
        let name = names.and_then(|names| names.rules.get(usize::from(run.rule)));
        name.map(String::as_str)
    }

    /// The runs by their beginnings. Clocks of CPUs may differ a little, and a
    /// callback may run on another CPU than it is about: a run does not begin
    /// before the one before it on its CPU has ended.
    pub(super) fn in_order(&self) -> Vec<(u64, &Run)> {
        let mut ordered: Vec<(u64, &Run)> = self.runs.iter().map(|r| (r.begun_ns, r)).collect();
        ordered.sort_by_key(|(begun, run)| (*begun, run.ended_ns));
        let mut free: BTreeMap<u32, u64> = BTreeMap::new();
        for (begun, run) in &mut ordered {
            let free = free.entry(run.cpu).or_insert(0);
            *begun = (*begun).max(*free).min(run.ended_ns);
            *free = (*free).max(run.ended_ns);
        }
        ordered.sort_by_key(|(begun, run)| (*begun, run.ended_ns));
        ordered
    }
}

/// Everything, one document a line.
pub(super) fn records(recorded: &Recorded) -> String {
    let mut lines = Lines::default();
    if let Some(begun) = &recorded.begun {
        lines.add(&Record::Begun {
            at_ns: begun.at_ns,
            policy: &begun.policy,
            backend: &begun.backend,
        });
    }
    let committed = |commit: &Committed| Record::Committed {
        at_ns: commit.at_ns,
        generation: commit.generation,
    };
    let mut commits = recorded.commits.iter().peekable();
    // In the order in which they ended.
    let mut runs: Vec<&Run> = recorded.runs.iter().collect();
    runs.sort_by_key(|run| run.ended_ns);
    for run in runs {
        while let Some(commit) = commits.next_if(|commit| commit.at_ns <= run.ended_ns) {
            lines.add(&committed(commit));
        }
        lines.add(&Record::Run {
            cpu: run.cpu,
            begun_ns: run.begun_ns,
            ended_ns: run.ended_ns,
            waited_ns: run.waited_ns,
            pid: run.pid,
            tgid: run.tgid,
            comm: &run.comm,
            tier: recorded.tier(run),
            rule: recorded.rule(run),
            how: run.how,
            generation: run.generation,
            runnable: run.is_runnable,
            resumed: run.is_resumed,
            cut: run.is_cut,
        });
    }
    commits.for_each(|commit| lines.add(&committed(commit)));
    if let Some(ended) = recorded.ended {
        lines.add(&Record::Ended {
            at_ns: ended.at_ns,
            why: ended.why,
            lost: ended.lost,
        });
    }
    lines.text
}

/// A line of the records: a contract, to which fields are only added.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Record<'a> {
    Begun {
        at_ns: u64,
        policy: &'a str,
        backend: &'a str,
    },
    Run {
        cpu: u32,
        begun_ns: u64,
        ended_ns: u64,
        waited_ns: u64,
        pid: u32,
        tgid: u32,
        comm: &'a str,
        tier: Option<&'a str>,
        rule: Option<&'a str>,
        how: How,
        generation: u64,
        runnable: bool,
        resumed: bool,
        cut: bool,
    },
    Committed {
        at_ns: u64,
        generation: u64,
    },
    Ended {
        at_ns: u64,
        why: Why,
        lost: u64,
    },
}

/// JSON documents, each made into text at once: there may be a million.
#[derive(Default)]
pub(super) struct Lines {
    text: String,
}

impl Lines {
    pub(super) fn add(&mut self, value: &impl Serialize) {
        // Only maps with keys that are no strings could fail.
        self.text
            .push_str(&serde_json::to_string(value).unwrap_or_default());
        self.text.push('\n');
    }

    /// The same as members of a list.
    pub(super) fn list(mut self) -> String {
        // No text in a document has a newline that is not escaped.
        self.text.pop();
        self.text.replace('\n', ",\n")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    pub(in crate::cli) fn run(cpu: u32, begun_ns: u64, ended_ns: u64, comm: &str) -> Run {
        Run {
            begun_ns,
            ended_ns,
            waited_ns: 1_500,
            cpu,
            pid: 4711,
            tgid: 4700,
            tier: 1,
            rule: 0,
            how: How::Drawn,
            generation: 3,
            is_runnable: true,
            is_resumed: false,
            is_cut: false,
            comm: comm.into(),
        }
    }

    /// Two tasks on two CPUs, and a commit.
    pub(in crate::cli) fn recorded() -> Recorded {
        let mut recorded = Recorded::default();
        recorded.add(Line::Begun(Begun {
            policy: "web".into(),
            backend: "sched_ext".into(),
            at_ns: 1_000_000,
            millis: 20,
        }));
        recorded.add(Line::Names(Names {
            generation: 3,
            tiers: vec!["critical".into(), "batch".into()],
            rules: vec!["builds".into(), "otherwise".into()],
        }));
        let mut cut = run(1, 1_000_000, 6_000_000, "a \"b\"");
        cut.is_cut = true;
        cut.how = How::Preempt;
        cut.is_runnable = false;
        recorded.add(Line::Runs(vec![run(0, 1_200_345, 4_200_345, "cc1"), cut]));
        recorded.add(Line::Committed(Committed {
            at_ns: 5_000_000,
            generation: 4,
        }));
        recorded.add(Line::Runs(vec![run(0, 4_200_345, 16_000_000, "cc1")]));
        recorded.add(Line::Ended(Ended {
            why: Why::Time,
            at_ns: 21_000_000,
            lost: 2,
        }));
        recorded
    }

    #[test]
    fn records_are_one_document_a_line_in_the_order_of_their_ends() {
        let text = records(&recorded());
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let types: Vec<&str> = lines.iter().map(|l| l["type"].as_str().unwrap()).collect();
        assert_eq!(types, ["begun", "run", "committed", "run", "run", "ended"]);
        let expected = json!({
            "type": "run", "cpu": 0, "begun_ns": 1_200_345, "ended_ns": 4_200_345,
            "waited_ns": 1_500, "pid": 4711, "tgid": 4700, "comm": "cc1", "tier": "batch",
            "rule": "builds", "how": "drawn", "generation": 3, "runnable": true,
            "resumed": false, "cut": false,
        });
        assert_eq!(lines[1], expected);
        assert_eq!(lines[5]["lost"], 2);
        assert_eq!(lines[5]["why"], "time");
        assert_eq!(records(&Recorded::default()), "");
    }
}
