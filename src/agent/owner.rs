//! The thread that owns the object: waits for events and answers them.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::time::{Duration, Instant};

use log::{info, warn};
use serde_json::json;

use super::in_force::InForce;
use super::pack::{Compiled, PolicyPack};
use super::protocol::{Request, Response};
use super::report::{Reloaded, Status};
use super::scheduler::Scheduler;
use super::socket::Asked;
use super::supervisor::Supervisor;
use super::trace::Line;
use crate::diag::{Code, Diagnostic};
use crate::reload::worker::Found;
use crate::reload::{Bell, Pace, Rejection, Reload, Report, Step, Watch, Watching, Worker};

/// How often the kernel is asked whether the scheduler is still attached.
const TICK: Duration = Duration::from_millis(100);

/// What the owner waits for.
pub enum Event {
    /// The bell was rung.
    Poke,
    /// The worker has finished a pass.
    Found(Box<Found<PolicyPack>>),
    /// Somebody asks through the control socket.
    Asked(Asked),
    /// SIGHUP.
    Reload,
    /// SIGINT or SIGTERM.
    Stop,
}

/// Sends events to the owner; never blocks.
#[derive(Clone)]
pub struct Outbox(Sender<Event>);

impl Outbox {
    /// An outbox and what comes out of it.
    pub fn new() -> (Self, Receiver<Event>) {
        let (sender, inbox) = mpsc::channel();
        (Self(sender), inbox)
    }

    /// False if the owner is gone.
    pub fn send(&self, event: Event) -> bool {
        self.0.send(event).is_ok()
    }
}

/// How the agent is to work.
pub struct Settings {
    /// The policy.
    pub path: PathBuf,
    /// The times of a reload.
    pub pace: Pace,
    /// Do not rely on events, and why.
    pub poll_only: Option<String>,
    /// Print the status so often.
    pub stats: Option<Duration>,
    /// Detach and attach again for a change that needs it.
    pub allow_restart: bool,
}

/// Why the agent has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It was asked to.
    Stopped,
    /// The kernel has thrown the scheduler out: why, and what to do.
    Ejected(Box<Diagnostic>),
}

/// What is left when the agent has ended.
pub struct Ended<S> {
    /// The object, to be detached.
    pub scheduler: S,
    /// Why.
    pub ending: Ending,
    /// Those who asked for the end; to be answered once it is detached.
    pub farewell: Vec<SyncSender<Response>>,
}

enum Next {
    Event(Event),
    Nothing,
    Nobody,
}

/// The owner.
pub struct Agent<S: Scheduler> {
    in_force: InForce<S>,
    reload: Reload<PolicyPack>,
    inbox: Receiver<Event>,
    /// At most one for each client.
    questions: VecDeque<Asked>,
    settings: Settings,
    /// Those who asked for a reload, and the pass that answers them.
    waiting: Vec<(u64, SyncSender<Response>)>,
    supervisor: Supervisor,
    watching: Watching,
}

impl<S: Scheduler> Agent<S> {
    /// Begins with `compiled` in force as `generation`, attached.
    pub fn new(
        scheduler: S,
        compiled: Box<Compiled>,
        generation: u64,
        settings: Settings,
        (outbox, inbox): (Outbox, Receiver<Event>),
    ) -> std::io::Result<Self> {
        let poke = outbox.clone();
        let bell = Bell::new(move || {
            poke.send(Event::Poke);
        });
        let watch = match &settings.poll_only {
            None => Watch::events(bell.clone()),
            Some(why) => Watch::poll_only(bell.clone(), why),
        };
        let pack = PolicyPack::new(&settings.path);
        let worker = Worker::spawn(pack, watch, move |found| {
            outbox.send(Event::Found(Box::new(found)));
        })?;
        let running = compiled.files.digest();
        let reload = Reload::new(settings.pace, bell, worker, running, Instant::now());
        Ok(Self {
            in_force: InForce::new(scheduler, compiled, generation, settings.allow_restart),
            reload,
            inbox,
            questions: VecDeque::new(),
            settings,
            waiting: Vec::new(),
            supervisor: Supervisor::find(),
            watching: Watching::Events,
        })
    }

    /// Serve until something ends it. `print` is given the status as often as
    /// the settings say.
    pub fn run(mut self, mut print: impl FnMut(&Status)) -> Ended<S> {
        self.supervisor.ready();
        let mut tick = Instant::now();
        let mut stats = self.settings.stats.map(|every| Instant::now() + every);
        loop {
            let round = self.in_force.next_round();
            let until = [Some(tick), stats, self.reload.deadline(), round]
                .into_iter()
                .flatten()
                .min()
                .unwrap_or(tick);
            match self.next(until) {
                Next::Event(event) => {
                    if let Some(farewell) = self.answer(event) {
                        return self.end(Ending::Stopped, farewell);
                    }
                }
                Next::Nothing => self.reload.step(Instant::now()),
                Next::Nobody => return self.end(Ending::Stopped, Vec::new()),
            }
            self.in_force.round();
            let now = Instant::now();
            if now >= tick {
                tick = now + TICK;
                if let Some(ending) = self.attend() {
                    return self.end(ending, Vec::new());
                }
            }
            if let (Some(at), Some(every)) = (stats, self.settings.stats)
                && now >= at
            {
                stats = Some(now + every);
                print(&self.status());
            }
        }
    }

    /// The next event. Questions wait for everything else, so that no crowd of
    /// clients can delay a commit or the end.
    fn next(&mut self, until: Instant) -> Next {
        loop {
            let event = match self.questions.is_empty() {
                true => {
                    let wait = until.saturating_duration_since(Instant::now());
                    match self.inbox.recv_timeout(wait) {
                        Ok(event) => event,
                        Err(RecvTimeoutError::Timeout) => return Next::Nothing,
                        Err(RecvTimeoutError::Disconnected) => return Next::Nobody,
                    }
                }
                false => match self.inbox.try_recv() {
                    Ok(event) => event,
                    Err(_) if Instant::now() >= until => return Next::Nothing,
                    Err(_) => match self.questions.pop_front() {
                        Some(asked) => return Next::Event(Event::Asked(asked)),
                        None => return Next::Nothing,
                    },
                },
            };
            match event {
                Event::Asked(asked) => self.questions.push_back(asked),
                event => return Next::Event(event),
            }
        }
    }

    /// Answer an event; some if it is the end, with those to be told.
    fn answer(&mut self, event: Event) -> Option<Vec<SyncSender<Response>>> {
        let now = Instant::now();
        match event {
            Event::Poke => self.reload.step(now),
            Event::Found(found) => {
                let step = self.reload.found(now, *found, &mut self.in_force);
                self.note_watching();
                if let Some(step) = step {
                    self.conclude(step);
                }
            }
            Event::Reload => {
                self.supervisor.reloading();
                self.reload.request(now);
            }
            Event::Stop => return Some(Vec::new()),
            Event::Asked(Asked {
                request,
                answer,
                recording,
            }) => match request {
                Request::Stop {} => return Some(vec![answer]),
                Request::Reload {} => {
                    let pass = self.reload.request(now);
                    self.waiting.push((pass, answer));
                }
                Request::Status {} => {
                    let status = serde_json::to_value(self.status());
                    let _ = answer.try_send(done(status));
                }
                Request::Tasks {} => {
                    let _ = answer.try_send(match self.in_force.tasks() {
                        Ok(tasks) => done(serde_json::to_value(tasks)),
                        Err(why) => {
                            Response::refused(why.message.clone()).code(Some(why.code.to_string()))
                        }
                    });
                }
                Request::Trace { millis } => {
                    let _ = answer.try_send(match self.in_force.record(millis) {
                        Ok((begun, made)) => {
                            // Where it is not taken it is dropped, and off.
                            let _ = recording.try_send(made);
                            done(serde_json::to_value(Line::Begun(begun)))
                        }
                        Err(refused) => refused,
                    });
                }
                Request::Enough {} => {
                    let _ = answer.try_send(Response::done(json!({ "recording": false })));
                }
                Request::Why { pid } => {
                    let _ = answer.try_send(self.in_force.why(pid));
                }
            },
        }
        None
    }

    /// The end of a pass: log it, and tell those who asked for it.
    fn conclude(&mut self, step: Step<()>) {
        let generation = self.in_force.generation();
        match &step.report {
            Report::Unchanged => {}
            Report::Recovered => info!(
                "generation {generation} is what the files say again; the rejected edit is gone"
            ),
            Report::Committed {
                built_in,
                prepared_in,
                committed_in,
                after_save,
                ..
            } => {
                let changes = self.in_force.changes();
                info!(
                    "generation {generation}: {changes}, compiled in {}, prepared in {}, committed in {}{}",
                    span(*built_in),
                    span(*prepared_in),
                    span(*committed_in),
                    after_save.map_or(String::new(), |after| format!(
                        ", {} after the save",
                        span(after)
                    )),
                );
                let warnings = self.in_force.active().warnings();
                if !warnings.is_empty() {
                    warn!(
                        "generation {generation} has warnings\n{}",
                        warnings.trim_end()
                    );
                }
            }
            Report::Rejected { again: true, .. } => {}
            Report::Rejected { rejection, .. } => {
                warn!(
                    "kept generation {generation}: {}\n{}",
                    why_kept(rejection),
                    rejection.report.trim_end()
                );
            }
        }
        self.supervisor.ready();
        let response = self.outcome(&step.report);
        self.waiting.retain(|(pass, answer)| {
            let is_answered = *pass <= step.pass;
            if is_answered {
                let _ = answer.try_send(response.clone());
            }
            !is_answered
        });
    }

    fn outcome(&self, report: &Report<()>) -> Response {
        let reloaded = |outcome: &str| {
            done(serde_json::to_value(Reloaded {
                outcome: outcome.to_owned(),
                generation: self.in_force.generation(),
            }))
        };
        match report {
            Report::Unchanged | Report::Recovered => reloaded("unchanged"),
            Report::Committed { .. } => reloaded("committed"),
            Report::Rejected { rejection, .. } => Response::refused(format!(
                "kept generation {}: {}\n{}",
                self.in_force.generation(),
                why_kept(rejection),
                rejection.report.trim_end()
            ))
            .code(rejection.code.clone()),
        }
    }

    fn note_watching(&mut self) {
        let watching = self.reload.watching();
        if *watching == self.watching {
            return;
        }
        match watching {
            Watching::Events => info!("watching by events again"),
            Watching::Polling(why) => warn!(
                "watching by polling only, every {}: {why}",
                span(self.settings.pace.poll)
            ),
        }
        self.watching = watching.clone();
    }

    /// Ask whether the kernel has thrown the scheduler out.
    fn attend(&mut self) -> Option<Ending> {
        if let Some(lost) = self.in_force.lost() {
            return Some(Ending::Ejected(lost));
        }
        let ejection = self.in_force.ejection()?;
        if !ejection.dump.trim().is_empty() {
            info!("what the scheduler looked like:\n{}", ejection.dump);
        }
        if !ejection.restart {
            let diagnostic = self.in_force.ejected(&ejection);
            return Some(Ending::Ejected(Box::new(diagnostic)));
        }
        let words = ejection.words();
        info!("attaching again: {words}");
        match self.in_force.attach_again() {
            Ok(generation) => {
                info!("attached again, generation {generation}");
                None
            }
            Err(refused) => {
                let message = format!("{words}, and attaching again failed: {}", refused.message);
                let diagnostic = Diagnostic::new(Code::E0633, message);
                let diagnostic = diagnostic.maybe_help(refused.help);
                Some(Ending::Ejected(Box::new(diagnostic)))
            }
        }
    }

    fn status(&mut self) -> Status {
        let watching = match self.reload.watching() {
            Watching::Events => "events".to_owned(),
            Watching::Polling(why) => format!("polling: {why}"),
        };
        let path = self.settings.path.display().to_string();
        let last_error = self.reload.last_error().map(|r| r.summary.clone());
        Status {
            state: self.reload.state().word().to_owned(),
            last_error,
            rejected: self.reload.nr_rejected(),
            watching,
            path,
            ..self.in_force.status()
        }
    }

    fn end(mut self, ending: Ending, farewell: Vec<SyncSender<Response>>) -> Ended<S> {
        self.supervisor.stopping();
        self.in_force.end_recording();
        for (_, answer) in self.waiting {
            let _ = answer.try_send(Response::refused("the agent is stopping"));
        }
        Ended {
            scheduler: self.in_force.into_scheduler(),
            ending,
            farewell,
        }
    }
}

/// The line that says that a policy is in force.
pub fn attached_line(backend: &str, generation: u64, compiled: &Compiled) -> String {
    let count = |number: usize, what: &str| match number {
        1 => format!("1 {what}"),
        number => format!("{number} {what}s"),
    };
    format!(
        "attached: backend {backend}, generation {generation}, policy {} ({}, {}, digest {})",
        compiled.title(),
        count(compiled.policy.tiers().len(), "tier"),
        count(compiled.policy.rules().len(), "rule"),
        short(&compiled.image.digest().to_string()),
    )
}

/// The first eight digits, as people compare them.
fn short(digest: &str) -> &str {
    digest.get(..8).unwrap_or(digest)
}

fn why_kept(rejection: &Rejection) -> &'static str {
    match rejection.code.as_deref() {
        Some("E0613") => "the edit needs a restart",
        Some(code) if code.starts_with("E06") => "the kernel refused the edit",
        Some(code) if code.starts_with("E00") => "the policy cannot be read",
        Some(code) if code.starts_with("E05") => "this version cannot carry the edit out",
        Some(_) => "the edit is not valid",
        None => "the policy cannot be taken",
    }
}

fn done(value: serde_json::Result<serde_json::Value>) -> Response {
    match value {
        Ok(value) => Response::done(value),
        Err(error) => Response::refused(error.to_string()),
    }
}

/// `3.1 ms`: two or three digits and a unit.
fn span(time: Duration) -> String {
    let nanos = time.as_nanos() as f64;
    let (value, unit) = match time.as_nanos() {
        0..1_000 => (nanos, "ns"),
        1_000..1_000_000 => (nanos / 1e3, "µs"),
        1_000_000..1_000_000_000 => (nanos / 1e6, "ms"),
        _ => (nanos / 1e9, "s"),
    };
    let text = match value {
        value if value < 10.0 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    };
    format!("{} {unit}", text.strip_suffix(".0").unwrap_or(&text))
}

/// Names of the files whose text differs between two snapshots.
pub(super) fn changed_files(
    old: &crate::source::SourceSet,
    new: &crate::source::SourceSet,
) -> String {
    use crate::diag::Files;
    let texts = |files: &crate::source::SourceSet| -> std::collections::BTreeMap<String, String> {
        let order = files.order().iter();
        order
            .map(|id| (files.name(*id).to_owned(), files.text(*id).to_owned()))
            .collect()
    };
    let (before, after) = (texts(old), texts(new));
    let mut names: Vec<&String> = after
        .iter()
        .filter(|(name, text)| before.get(*name) != Some(text))
        .map(|(name, _)| name)
        .chain(before.keys().filter(|name| !after.contains_key(*name)))
        .collect();
    names.sort();
    match names.as_slice() {
        [] => "nothing".to_owned(),
        [one] => (*one).clone(),
        [one, rest @ ..] => format!("{one} and {} more", rest.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        let of = |nanos| span(Duration::from_nanos(nanos));
        assert_eq!(of(512), "512 ns");
        assert_eq!(of(12_345), "12 µs");
        assert_eq!(of(3_100_000), "3.1 ms");
        assert_eq!(of(118_000_000), "118 ms");
        assert_eq!(of(5_000_000_000), "5 s");
    }
}
