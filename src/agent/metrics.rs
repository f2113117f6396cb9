//! The statistics as the field's tools read them: an `scx_stats` server.
//!
//! A client sends `{"req":"stats","args":{}}` or `{"req":"stats_meta"}`, a line
//! each, and gets `{"errno":0,"args":{"resp":…}}`. The shapes and what they mean
//! are `scx_stats`'; the server is that of the control socket, because the
//! library's own has no limits: a line without an end, or a thousand clients,
//! would be the agent's memory.
//!
//! Counters are those since the last commit. Shares, waits and CPUs are of the
//! time since the client asked before, or since the commit when it asks first.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use scx_stats::{Meta, StatsRequest, StatsResponse};
use scx_stats_derive::Stats;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::protocol::Request;
use super::report::Status;
use super::socket::{Answer, Asked, Deadlines, Dialect, Server, put};

/// Where the field's tools look for the scheduler of the machine.
pub const PATH: &str = "/var/run/scx/root/stats";

/// A client asks every few seconds or minutes, over one connection.
pub const DEADLINES: Deadlines = Deadlines {
    idle: Duration::from_secs(600),
    request: Duration::from_secs(5),
    answer: Duration::from_secs(20),
    response: Duration::from_secs(5),
};

/// EINVAL: what the library's own server answers to what it does not know.
const INVALID: i32 = 22;

/// All of it.
#[expect(missing_docs, reason = "`desc` says what each field is")]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, Stats)]
#[stat(top, desc = "edict", _om_prefix = "edict_")]
pub struct Metrics {
    #[stat(desc = "name of the policy in force")]
    pub policy: String,
    #[stat(desc = "SHA-256 of the bank in force")]
    pub digest: String,
    #[stat(desc = "number of the generation in force")]
    pub generation: u64,
    #[stat(desc = "seconds since the generation was committed")]
    pub since_commit: f64,
    #[stat(desc = "seconds since the scheduler was attached")]
    pub uptime: u64,
    #[stat(desc = "edits that were rejected")]
    pub rejected: u64,
    #[stat(desc = "CPUs that are online")]
    pub cpus: u64,
    #[stat(desc = "CPUs that the tiers kept busy since the last request")]
    pub cpus_used: f64,
    #[stat(desc = "seconds that shares and waits are about")]
    pub interval: f64,
    #[stat(desc = "how often a task was given a tier")]
    pub classifications: u64,
    #[stat(desc = "decisions that no rule made")]
    pub unmatched: u64,
    #[stat(desc = "tiers by name")]
    pub tiers: BTreeMap<String, TierMetrics>,
    #[stat(desc = "rules by name")]
    pub rules: BTreeMap<String, RuleMetrics>,
}

/// One tier.
#[expect(missing_docs, reason = "`desc` says what each field is")]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, Stats)]
#[stat(desc = "a tier", _om_prefix = "edict_tier_", _om_label = "tier")]
pub struct TierMetrics {
    #[stat(desc = "tasks in it, asleep or not")]
    pub tasks: u64,
    #[stat(desc = "tasks that run or wait for a CPU")]
    pub runnable: u64,
    #[stat(desc = "its tickets")]
    pub tickets: u64,
    #[stat(desc = "CPU time in ns")]
    pub runtime_ns: u64,
    #[stat(desc = "percent of the CPU time of all tiers since the last request")]
    pub share: f64,
    #[stat(desc = "percent of the tickets of the tiers that had something to run")]
    pub due: f64,
    #[stat(desc = "runs begun")]
    pub dispatches: u64,
    #[stat(desc = "wake-ups that interrupted another tier")]
    pub preemptions: u64,
    #[stat(desc = "runs begun on an idle CPU")]
    pub direct: u64,
    #[stat(desc = "runs begun because max_wait was near")]
    pub overdue: u64,
    #[stat(desc = "runs begun under another cache than the last")]
    pub migrations: u64,
    #[stat(desc = "draws that its budget kept it from")]
    pub throttled: u64,
    #[stat(desc = "times queued with none of its CPUs allowed to the task")]
    pub strays: u64,
    #[stat(desc = "half of the waits since the last request were not longer, in us")]
    pub wait_p50_us: u64,
    #[stat(desc = "nine of ten waits were not longer, in us")]
    pub wait_p90_us: u64,
    #[stat(desc = "all but 1 of 100 waits were not longer, in us")]
    pub wait_p99_us: u64,
    #[stat(desc = "all but 1 of 1000 waits were not longer, in us")]
    pub wait_p999_us: u64,
    #[stat(desc = "longest wait, in us")]
    pub wait_max_us: u64,
}

/// One rule.
#[expect(missing_docs, reason = "`desc` says what each field is")]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, Stats)]
#[stat(desc = "a rule", _om_prefix = "edict_rule_", _om_label = "rule")]
pub struct RuleMetrics {
    #[stat(desc = "name of its tier")]
    pub tier: String,
    #[stat(desc = "how often it decided")]
    pub hits: u64,
}

impl Metrics {
    /// What a status says; shares and waits of the time since `before`.
    pub fn new(status: &Status, before: Option<&Status>) -> Self {
        let interval = status.since(before);
        let tiers = status.tiers.iter().zip(&interval.tiers);
        let tiers = tiers.map(|(all, since)| {
            let metrics = TierMetrics {
                tasks: all.tasks,
                runnable: all.runnable,
                tickets: all.tickets.into(),
                runtime_ns: all.runtime_ns,
                share: since.share * 100.0,
                due: since.due.unwrap_or(0.0) * 100.0,
                dispatches: all.dispatches,
                preemptions: all.preemptions,
                direct: all.direct,
                overdue: all.overdue,
                migrations: all.migrations,
                throttled: all.throttled,
                strays: all.strays,
                wait_p50_us: since.wait_p50_us,
                wait_p90_us: since.wait_p90_us,
                wait_p99_us: since.wait_p99_us,
                wait_p999_us: since.wait_p999_us,
                wait_max_us: since.wait_max_us,
            };
            (all.name.clone(), metrics)
        });
        let rules = status.rules.iter().map(|rule| {
            let metrics = RuleMetrics {
                tier: rule.tier.clone(),
                hits: rule.hits,
            };
            (rule.name.clone(), metrics)
        });
        Self {
            policy: status.policy.clone(),
            digest: status.digest.clone(),
            generation: status.generation,
            since_commit: status.since_commit_us as f64 / 1e6,
            uptime: status.uptime_s,
            rejected: status.rejected,
            cpus: status.cpus,
            cpus_used: interval.cpus_used,
            interval: interval.seconds,
            classifications: status.classifications,
            unmatched: status.unmatched,
            tiers: tiers.collect(),
            rules: rules.collect(),
        }
    }
}

struct Field<F> {
    ask: F,
    patience: Duration,
}

impl<F: Fn(Asked) -> bool> Field<F> {
    fn result(&self, line: &[u8], before: &mut Option<Status>) -> Result<Value, String> {
        let request: StatsRequest =
            serde_json::from_slice(line).map_err(|error| format!("not a request: {error}"))?;
        let target = request.args.get("target").map_or("top", String::as_str);
        match (request.req.as_str(), target) {
            ("stats", "top") => {
                let response = put(Request::Status {}, self.patience, &self.ask);
                let result = response
                    .result
                    .ok_or_else(|| response.message.unwrap_or_default())?;
                let status: Status = in_words(serde_json::from_value(result))?;
                let metrics = Metrics::new(&status, before.as_ref());
                *before = Some(status);
                in_words(serde_json::to_value(metrics))
            }
            ("stats", target) => Err(format!("no target `{target}`: there is only `top`")),
            ("stats_meta", _) => {
                let metas = [Metrics::meta(), TierMetrics::meta(), RuleMetrics::meta()];
                let by_name = metas.map(|meta| (meta.name.clone(), meta));
                in_words(serde_json::to_value(BTreeMap::from(by_name)))
            }
            (request, _) => Err(format!("no request `{request}`: `stats` or `stats_meta`")),
        }
    }
}

fn in_words<T>(result: serde_json::Result<T>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

impl<F: Fn(Asked) -> bool + Send + Sync + 'static> Dialect for Field<F> {
    type Memory = Option<Status>;

    fn answer(&self, line: &[u8], before: &mut Option<Status>) -> Answer {
        Answer::Line(match self.result(line, before) {
            Ok(value) => response(0, value),
            Err(why) => self.refuse(&why),
        })
    }

    fn refuse(&self, why: &str) -> String {
        response(INVALID, why.into())
    }
}

fn response(errno: i32, value: Value) -> String {
    let args = BTreeMap::from([("resp".to_owned(), value)]);
    let mut line = serde_json::to_string(&StatsResponse { errno, args }).unwrap_or_default();
    line.push('\n');
    line
}

/// Serve the statistics at `path`, which is made with its directories. `ask`
/// hands a request to the owner and must not block.
///
/// # Errors
///
/// When the directory is not ours alone to write, or something else is there.
pub fn serve(
    path: &Path,
    deadlines: Deadlines,
    ask: impl Fn(Asked) -> bool + Send + Sync + 'static,
) -> io::Result<Server> {
    if let Some(directory) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(directory)?;
        let about = fs::metadata(directory)?;
        let own = rustix::process::geteuid().as_raw();
        if (about.uid() != 0 && about.uid() != own) || about.mode() & 0o022 != 0 {
            return Err(io::Error::new(
                ErrorKind::PermissionDenied,
                "others may write its directory",
            ));
        }
    }
    make_room(path)?;
    let patience = deadlines.answer;
    Server::speak(path, deadlines, Field { ask, patience })
}

/// A socket that nobody listens at is left from a scheduler that was killed.
fn make_room(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(about) if !about.file_type().is_socket() => Err(io::Error::new(
            ErrorKind::AlreadyExists,
            "something that is no socket is there",
        )),
        Ok(_) if is_left_over(path)? => Ok(()),
        Ok(_) => Err(io::Error::new(
            ErrorKind::AddrInUse,
            "another program listens there",
        )),
    }
}

/// Whether nobody listens. Without waiting: who listens may not accept.
fn is_left_over(path: &Path) -> io::Result<bool> {
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    let answer = rustix::net::connect(&socket, &SocketAddrUnix::new(path)?);
    Ok(answer == Err(rustix::io::Errno::CONNREFUSED))
}
