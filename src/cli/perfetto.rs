//! What was recorded, as viewers read it.
//!
//! Perfetto and Chrome read *trace events*, JSON objects with a phase `ph`: `M`
//! names what follows, `X` is something with a beginning and a length, `C` is the
//! value of a counter, `i` a moment. Times are microseconds. The format is
//! described in Google's document "Trace Event Format"; what is made here is the
//! part that both of them show.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};

use super::recorded::{Lines, Recorded};
use crate::live::How;

/// Numbers of what the viewer calls processes. Thread 0 of a process would be
/// taken for the idle task, so threads are one more than the CPU.
const CPUS: u32 = 1;
const TIERS: u32 = 2;
const POLICY: u32 = 3;

/// What is of a generation from before the recording.
const UNKNOWN: &str = "(unknown)";

/// Counters have so many values at most, but none for less than a while.
const STEPS: u64 = 500;
const STEP_MIN_NS: u64 = 10_000_000;

/// Trace events.
pub(super) fn perfetto(recorded: &Recorded) -> String {
    let mut events = Lines::default();
    add_names(recorded, &mut events);
    let began = recorded.began_ns();
    for (begun, run) in recorded.in_order() {
        events.add(&Slice {
            ph: "X",
            name: &run.comm,
            cat: recorded.tier(run).unwrap_or(UNKNOWN),
            pid: CPUS,
            tid: run.cpu + 1,
            ts: micros(begun.saturating_sub(began)),
            dur: micros(run.ended_ns.saturating_sub(begun)),
            args: About {
                pid: run.pid,
                tgid: run.tgid,
                tier: recorded.tier(run).unwrap_or(UNKNOWN),
                rule: recorded.rule(run).unwrap_or(UNKNOWN),
                how: words(run.how),
                waited_us: micros(run.waited_ns),
                generation: run.generation,
                then: match run.is_runnable {
                    true => "runnable",
                    false => "not runnable",
                },
                resumed: run.is_resumed,
                cut: run.is_cut,
            },
        });
    }
    add_counters(recorded, &mut events);
    for commit in &recorded.commits {
        events.add(&Moment {
            ph: "i",
            s: "g",
            name: format!("generation {} committed", commit.generation),
            cat: "policy",
            pid: POLICY,
            tid: 1,
            ts: micros(commit.at_ns.saturating_sub(began)),
        });
    }
    let whole = Whole {
        made_by: concat!("edict ", env!("CARGO_PKG_VERSION")),
        policy: recorded.begun.as_ref().map(|begun| begun.policy.as_str()),
        backend: recorded.begun.as_ref().map(|begun| begun.backend.as_str()),
        lost: recorded.ended.map(|ended| ended.lost),
    };
    format!(
        "{{\"displayTimeUnit\":\"ms\",\"otherData\":{},\"traceEvents\":[\n{}\n]}}\n",
        serde_json::to_string(&whole).unwrap_or_default(),
        events.list()
    )
}

/// About the recording as a whole.
#[derive(Serialize)]
struct Whole<'a> {
    made_by: &'a str,
    policy: Option<&'a str>,
    backend: Option<&'a str>,
    lost: Option<u64>,
}

/// The event of a task that had a CPU.
#[derive(Serialize)]
struct Slice<'a> {
    ph: &'static str,
    name: &'a str,
    cat: &'a str,
    pid: u32,
    tid: u32,
    ts: f64,
    dur: f64,
    args: About<'a>,
}

/// What the viewer shows of it.
#[derive(Serialize)]
struct About<'a> {
    pid: u32,
    tgid: u32,
    tier: &'a str,
    rule: &'a str,
    how: &'static str,
    waited_us: f64,
    generation: u64,
    then: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    resumed: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cut: bool,
}

/// An event that takes no time.
#[derive(Serialize)]
struct Moment {
    ph: &'static str,
    s: &'static str,
    name: String,
    cat: &'static str,
    pid: u32,
    tid: u32,
    ts: f64,
}

/// The value of a counter from then on.
#[derive(Serialize)]
struct Counter<'a> {
    ph: &'static str,
    name: &'a str,
    pid: u32,
    ts: f64,
    args: Value,
}

/// What something is called, or where it stands.
#[derive(Serialize)]
struct Metadata {
    ph: &'static str,
    name: &'static str,
    pid: u32,
    tid: u32,
    args: Value,
}

fn words(how: How) -> &'static str {
    match how {
        How::Drawn => "drawn: its tier won the draw",
        How::Direct => "direct: nobody else wanted this CPU",
        How::Preempt => "preempt: it interrupted another tier",
        How::Due => "due: it would have waited too long",
    }
}

/// What the rows are called, and in which order they stand.
fn add_names(recorded: &Recorded, events: &mut Lines) {
    let mut add = |name, pid, tid, args| {
        events.add(&Metadata {
            ph: "M",
            name,
            pid,
            tid,
            args,
        });
    };
    for (pid, what) in [(CPUS, "CPUs"), (TIERS, "tiers"), (POLICY, "policy")] {
        add("process_name", pid, 0, json!({ "name": what }));
        add("process_sort_index", pid, 0, json!({ "sort_index": pid }));
    }
    let cpus: BTreeSet<u32> = recorded.runs.iter().map(|run| run.cpu).collect();
    for cpu in cpus {
        let name = format!("CPU {cpu}");
        add("thread_name", CPUS, cpu + 1, json!({ "name": name }));
        add(
            "thread_sort_index",
            CPUS,
            cpu + 1,
            json!({ "sort_index": cpu }),
        );
    }
    add("thread_name", POLICY, 1, json!({ "name": "commits" }));
}

/// How many CPUs each tier had, and its longest wait that ended, step by step.
fn add_counters(recorded: &Recorded, events: &mut Lines) {
    let began = recorded.began_ns();
    let length = recorded.length_ns();
    let step = (length / STEPS).max(STEP_MIN_NS);
    let steps = usize::try_from(length.div_ceil(step)).unwrap_or(0);
    let mut tiers: BTreeMap<&str, Vec<(u64, u64)>> = BTreeMap::new();
    for run in &recorded.runs {
        let had = tiers
            .entry(recorded.tier(run).unwrap_or(UNKNOWN))
            .or_insert_with(|| vec![(0, 0); steps]);
        let begun = run.begun_ns.saturating_sub(began);
        let ended = run.ended_ns.saturating_sub(began);
        if let Some((_, longest)) = at(had, begun / step) {
            *longest = (*longest).max(run.waited_ns);
        }
        for number in begun / step..=ended / step {
            let from = begun.max(number * step);
            let to = ended.min((number + 1) * step);
            if let Some((ran, _)) = at(had, number) {
                *ran += to.saturating_sub(from);
            }
        }
    }
    for (tier, had) in tiers {
        let names = [format!("{tier}: CPUs"), format!("{tier}: longest wait")];
        for (number, (ran, waited)) in (0_u64..).zip(had) {
            let begins = number * step;
            // The last step may be short.
            let lasts = step.min(length.saturating_sub(begins)).max(1);
            let cpus = (ran as f64 / lasts as f64 * 1_000.0).round() / 1_000.0;
            let values = [json!({ "CPUs": cpus }), json!({ "us": micros(waited) })];
            for (name, args) in names.iter().zip(values) {
                events.add(&Counter {
                    ph: "C",
                    name,
                    pid: TIERS,
                    ts: micros(begins),
                    args,
                });
            }
        }
    }
}

fn at(steps: &mut [(u64, u64)], number: u64) -> Option<&mut (u64, u64)> {
    steps.get_mut(usize::try_from(number).ok()?)
}

/// Microseconds with their fraction; exact for a hundred days.
fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::recorded::tests::{recorded, run};

    #[test]
    fn trace_events_are_what_viewers_read() {
        let expected = r#"{"displayTimeUnit":"ms","otherData":{"made_by":"edict VERSION","policy":"web","backend":"sched_ext","lost":2},"traceEvents":[
{"ph":"M","name":"process_name","pid":1,"tid":0,"args":{"name":"CPUs"}},
{"ph":"M","name":"process_sort_index","pid":1,"tid":0,"args":{"sort_index":1}},
{"ph":"M","name":"process_name","pid":2,"tid":0,"args":{"name":"tiers"}},
{"ph":"M","name":"process_sort_index","pid":2,"tid":0,"args":{"sort_index":2}},
{"ph":"M","name":"process_name","pid":3,"tid":0,"args":{"name":"policy"}},
{"ph":"M","name":"process_sort_index","pid":3,"tid":0,"args":{"sort_index":3}},
{"ph":"M","name":"thread_name","pid":1,"tid":1,"args":{"name":"CPU 0"}},
{"ph":"M","name":"thread_sort_index","pid":1,"tid":1,"args":{"sort_index":0}},
{"ph":"M","name":"thread_name","pid":1,"tid":2,"args":{"name":"CPU 1"}},
{"ph":"M","name":"thread_sort_index","pid":1,"tid":2,"args":{"sort_index":1}},
{"ph":"M","name":"thread_name","pid":3,"tid":1,"args":{"name":"commits"}},
{"ph":"X","name":"a \"b\"","cat":"batch","pid":1,"tid":2,"ts":0.0,"dur":5000.0,"args":{"pid":4711,"tgid":4700,"tier":"batch","rule":"builds","how":"preempt: it interrupted another tier","waited_us":1.5,"generation":3,"then":"not runnable","cut":true}},
{"ph":"X","name":"cc1","cat":"batch","pid":1,"tid":1,"ts":200.345,"dur":3000.0,"args":{"pid":4711,"tgid":4700,"tier":"batch","rule":"builds","how":"drawn: its tier won the draw","waited_us":1.5,"generation":3,"then":"runnable"}},
{"ph":"X","name":"cc1","cat":"batch","pid":1,"tid":1,"ts":3200.345,"dur":11799.655,"args":{"pid":4711,"tgid":4700,"tier":"batch","rule":"builds","how":"drawn: its tier won the draw","waited_us":1.5,"generation":3,"then":"runnable"}},
{"ph":"C","name":"batch: CPUs","pid":2,"ts":0.0,"args":{"CPUs":1.48}},
{"ph":"C","name":"batch: longest wait","pid":2,"ts":0.0,"args":{"us":1.5}},
{"ph":"C","name":"batch: CPUs","pid":2,"ts":10000.0,"args":{"CPUs":0.5}},
{"ph":"C","name":"batch: longest wait","pid":2,"ts":10000.0,"args":{"us":0.0}},
{"ph":"i","s":"g","name":"generation 4 committed","cat":"policy","pid":3,"tid":1,"ts":4000.0}
]}
"#;
        let text = perfetto(&recorded());
        let expected = expected.replace("VERSION", env!("CARGO_PKG_VERSION"));
        assert_eq!(text, expected);
        serde_json::from_str::<Value>(&text).unwrap();
    }

    #[test]
    fn runs_of_a_cpu_follow_each_other_whatever_the_clocks_say() {
        let mut recorded = recorded();
        // Told in the order of their ends, by clocks that do not quite agree.
        recorded.runs = vec![
            run(0, 1_000_000, 1_500_000, "a"),
            run(0, 1_499_000, 2_000_000, "b"),
            run(1, 1_100_000, 2_100_000, "c"),
            run(0, 1_999_999, 1_999_999, "d"),
            run(0, 2_000_000, 2_400_000, "e"),
        ];
        let document: Value = serde_json::from_str(&perfetto(&recorded)).unwrap();
        let events = document["traceEvents"].as_array().unwrap();
        let mut last = 0.0;
        let mut free = [0.0; 3];
        let runs = events.iter().filter(|event| event["ph"] == "X");
        for event in runs {
            let (ts, dur) = (
                event["ts"].as_f64().unwrap(),
                event["dur"].as_f64().unwrap(),
            );
            let tid = event["tid"].as_u64().unwrap() as usize;
            assert!(ts >= last && dur >= 0.0, "{event}");
            if event["name"] != "d" {
                assert!(ts >= free[tid] - 0.001, "{event}");
            }
            last = ts;
            free[tid] = f64::max(free[tid], ts + dur);
        }
    }

    #[test]
    fn nothing_is_a_recording_too() {
        let text = perfetto(&Recorded::default());
        assert!(serde_json::from_str::<Value>(&text).is_ok(), "{text}");
    }
}
