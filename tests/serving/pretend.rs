//! An object in memory, an agent around it, and the command line against it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use edict::agent::metrics;
use edict::agent::protocol::Response;
use edict::agent::socket::{Deadlines, Server};
use edict::agent::{Agent, Compiled, Ending, Event, Outbox, Recorder, Scheduler, Settings};
use edict::check::{self, Attribute, RuleId, TierId};
use edict::diag::{Code, Diagnostic};
use edict::eval::Task;
use edict::hooks::balance::Domains;
use edict::image::Image;
use edict::live::{
    Candidate, Closed, Considered, CpuLoad, Ejection, Happening, Inspection, Listed, Load, ONE,
    RawFeatures, Route, Statistics, TierStatistics,
};
use edict::reload::Pace;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(20);

/// A policy whose first tier has so many tickets.
pub fn policy(tickets: u32) -> String {
    format!(
        "language 1\n\
         policy web {{ version = \"1.0\" }}\n\
         tier critical {{ tickets = {tickets} }}\n\
         tier regular  {{ tickets = 100 }}\n\
         rules {{\n  # The servers at the edge.\n  \
         edge:  when comm == \"nginx\" and nice <= 0 -> critical\n  \
         otherwise -> regular\n}}\n"
    )
}

#[derive(Default)]
struct Shared {
    ejection: Option<Ejection>,
    commits: u32,
    attached_again: u32,
    /// So many attempts to attach again fail.
    refusals: u32,
    /// What was counted beside what is there from the beginning.
    counted: Vec<TierStatistics>,
    /// Whether a recording is on, and what it has not told yet.
    is_recording: bool,
    happened: Vec<Happening>,
}

struct Pretend {
    shared: Arc<Mutex<Shared>>,
    generation: u64,
    tiers: usize,
    /// The tasks of each of two caches with one CPU each.
    tasks: [u32; 2],
}

impl Domains for Pretend {
    fn look(&mut self) -> Result<Vec<CpuLoad>, Box<Diagnostic>> {
        let cpu = |(cpu, tasks): (u32, u32)| CpuLoad {
            cpu,
            llc: cpu,
            node: 0,
            load: Load(u64::from(tasks) * ONE),
            tasks,
            is_idle: false,
        };
        Ok((0..).zip(self.tasks).map(cpu).collect())
    }

    fn consider(&mut self, route: &Route) -> Result<Considered, Box<Diagnostic>> {
        let candidate = |pid| Candidate {
            pid,
            weight: 1024,
            cpu: route.dst_cpu,
            features: RawFeatures::default(),
        };
        Ok(Considered {
            candidates: (1..self.tasks[route.src as usize]).map(candidate).collect(),
            hot: 1,
        })
    }

    fn migrate(&mut self, route: &Route, tasks: &[Candidate]) -> Result<u32, Box<Diagnostic>> {
        let moved = tasks.len() as u32;
        self.tasks[route.src as usize] -= moved;
        self.tasks[route.dst as usize] += moved;
        Ok(moved)
    }
}

/// When every recording begins.
pub const BEGAN_NS: u64 = 1_000_000_000;

struct Recording(Arc<Mutex<Shared>>);

impl Recorder for Recording {
    fn began_ns(&self) -> u64 {
        BEGAN_NS
    }

    fn read(&mut self, most: usize) -> Vec<Happening> {
        let happened = &mut self.0.lock().unwrap().happened;
        let most = most.min(happened.len());
        happened.drain(..most).collect()
    }

    fn end(&mut self) -> Result<Closed, Box<Diagnostic>> {
        self.0.lock().unwrap().is_recording = false;
        Ok(Closed {
            at_ns: BEGAN_NS + 20_000_000,
            lost: 3,
        })
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.0.lock().unwrap().is_recording = false;
    }
}

impl Scheduler for Pretend {
    type Prepared = usize;

    fn backend(&self) -> &'static str {
        "pretend"
    }

    fn prepare(&mut self, image: &Image) -> Result<usize, Box<Diagnostic>> {
        let first = image.tiers().first().unwrap();
        match first.tickets {
            666 => Err(Box::new(Diagnostic::new(
                Code::E0605,
                "the bank that was read back is not the one that was written",
            ))),
            _ => Ok(image.tiers().len()),
        }
    }

    fn commit(&mut self, prepared: usize) -> Result<u64, Box<Diagnostic>> {
        self.generation += 1;
        let mut shared = self.shared.lock().unwrap();
        shared.commits += 1;
        if shared.is_recording {
            shared.happened.push(Happening::Committed {
                at_ns: BEGAN_NS + 5_000_000,
                generation: self.generation,
            });
        }
        self.tiers = prepared;
        Ok(self.generation)
    }

    fn statistics(&mut self) -> Result<Statistics, Box<Diagnostic>> {
        let counted = self.shared.lock().unwrap().counted.clone();
        let tier = |index: usize| {
            let more = counted.get(index).cloned().unwrap_or_default();
            let first = if index == 0 { 3 } else { 1 };
            TierStatistics {
                tasks: 3,
                runtime_ns: first * 1_000_000_000 + more.runtime_ns,
                dispatches: 500 + more.dispatches,
                ..more
            }
        };
        Ok(Statistics {
            tiers: (0..self.tiers).map(tier).collect(),
            rules: vec![7, 11],
            ..Statistics::default()
        })
    }

    fn inspect(&mut self, pid: u32) -> Result<Option<Inspection>, Box<Diagnostic>> {
        let seen = |comm: &str, class| Inspection {
            pid,
            tgid: pid,
            comm: comm.into(),
            task: Task::default()
                .with(Attribute::Comm, comm)
                .with(Attribute::Nice, -5),
            tier: TierId(0),
            rule: RuleId(0),
            generation: self.generation,
            perf: 1024,
            class,
        };
        Ok(match pid {
            100 => Some(seen("nginx", "ext")),
            300 => {
                let mut hostile = seen("\u{1b}[2J\u{202e}x", "ext");
                let exe = "/tmp/a\n  by rule edge\u{9b}2J";
                hostile.task.set(Attribute::Exe, exe);
                Some(hostile)
            }
            200 => Some(seen("migration/0", "rt")),
            _ => None,
        })
    }

    fn tasks(&mut self) -> Result<Vec<Listed>, Box<Diagnostic>> {
        let task = |pid, comm: &str, runtime_ms: u64, generation| Listed {
            pid,
            tgid: pid,
            comm: comm.into(),
            generation,
            tier: TierId(0),
            rule: RuleId(0),
            vtime: 7_000_000 + u64::from(pid),
            runtime_ns: runtime_ms * 1_000_000,
            cpu: 3,
            weight: 335,
            priority: 115,
            is_runnable: pid == 100,
        };
        let more: u64 = self
            .shared
            .lock()
            .unwrap()
            .counted
            .iter()
            .map(|t| t.dispatches)
            .sum();
        Ok(vec![
            task(300, "asleep", 20, 0),
            task(100, "nginx", 1_500, self.generation),
            task(101, "\u{1b}[2Jx", 10 + more, self.generation),
        ])
    }

    fn ejection(&mut self) -> Option<Ejection> {
        self.shared.lock().unwrap().ejection.clone()
    }

    fn domains(&mut self) -> Option<&mut dyn Domains> {
        Some(self)
    }

    fn record(&mut self) -> Result<Option<Box<dyn Recorder>>, Box<Diagnostic>> {
        let mut shared = self.shared.lock().unwrap();
        assert!(!shared.is_recording, "one at a time");
        shared.is_recording = true;
        Ok(Some(Box::new(Recording(Arc::clone(&self.shared)))))
    }

    fn attach_again(&mut self, image: &Image) -> Result<u64, Box<Diagnostic>> {
        {
            let mut shared = self.shared.lock().unwrap();
            shared.ejection = None;
            shared.attached_again += 1;
            if shared.refusals > 0 {
                shared.refusals -= 1;
                return Err(Box::new(Diagnostic::new(
                    Code::E0605,
                    "the kernel refused the object",
                )));
            }
        }
        self.commit(image.tiers().len())
    }
}

/// What came of a command.
pub struct Out {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Out {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Out {
    #[track_caller]
    pub fn done(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.stdout, self.stderr);
        self.stdout
    }
}

/// A running agent.
pub struct Served {
    root: tempfile::TempDir,
    shared: Arc<Mutex<Shared>>,
    outbox: Outbox,
    owner: Option<JoinHandle<Ending>>,
}

impl Served {
    pub fn start() -> Self {
        Self::start_with(false)
    }

    /// With or without `--allow-restart`.
    pub fn start_with(allow_restart: bool) -> Self {
        let fill = |dir: &Path| fs::write(dir.join("policy.edict"), policy(800)).unwrap();
        Self::set_up(fill, allow_restart)
    }

    pub fn with(fill: impl FnOnce(&Path)) -> Self {
        Self::set_up(fill, false)
    }

    /// How often the object was replaced, or its replacement was tried.
    pub fn attached_again(&self) -> u32 {
        self.shared.lock().unwrap().attached_again
    }

    /// Lets the next attempts to attach again fail.
    pub fn refuse_attaching(&self, times: u32) {
        self.shared.lock().unwrap().refusals = times;
    }

    fn set_up(fill: impl FnOnce(&Path), allow_restart: bool) -> Self {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("pack");
        fs::create_dir(&dir).unwrap();
        fill(&dir);
        let compiled = Compiled::new(check::check_path(&dir))
            .unwrap_or_else(|(diagnostics, _)| panic!("{diagnostics:?}"));
        let shared = Arc::new(Mutex::new(Shared::default()));
        let (outbox, inbox) = Outbox::new();
        let ask = outbox.clone();
        let server = Server::start(
            &root.path().join("control.sock"),
            Deadlines::default(),
            move |asked| ask.send(Event::Asked(asked)),
        )
        .unwrap();
        let ask = outbox.clone();
        let published = root.path().join("scx/root/stats");
        let published = metrics::serve(&published, metrics::DEADLINES, move |asked| {
            ask.send(Event::Asked(asked))
        })
        .unwrap();
        let settings = Settings {
            path: dir,
            pace: Pace {
                // Only events: the poll would hide a lost one.
                poll: Duration::from_secs(3_600),
                ..Pace::default()
            },
            poll_only: None,
            stats: None,
            allow_restart,
        };
        let pretend = Pretend {
            shared: Arc::clone(&shared),
            generation: 1,
            tiers: compiled.image.tiers().len(),
            tasks: [5, 1],
        };
        let sender = outbox.clone();
        let owner = thread::spawn(move || {
            let agent =
                Agent::new(pretend, Box::new(compiled), 1, settings, (outbox, inbox)).unwrap();
            let ended = agent.run(|_| {});
            for answer in ended.farewell {
                let _ = answer.try_send(Response::done(serde_json::json!({"stopped": true})));
            }
            drop(published);
            server.finish(Duration::from_millis(200));
            ended.ending
        });
        let served = Self {
            root,
            shared,
            outbox: sender,
            owner: Some(owner),
        };
        // The first pass arms the watch.
        served.edict(&["reload"]).done();
        served
    }

    pub fn dir(&self) -> PathBuf {
        self.root.path().join("pack")
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.dir().join(name), text).unwrap();
    }

    /// What the tiers do from now on, beside what they have done.
    pub fn count(&self, counted: Vec<TierStatistics>) {
        self.shared.lock().unwrap().counted = counted;
    }

    /// What a recording that is on has to tell.
    pub fn happens(&self, happened: Vec<Happening>) {
        self.shared.lock().unwrap().happened.extend(happened);
    }

    /// Waits until a recording is on, or off.
    #[track_caller]
    pub fn wait_recording(&self, is_on: bool) {
        let until = Instant::now() + PATIENCE;
        while self.shared.lock().unwrap().is_recording != is_on {
            assert!(Instant::now() < until, "recording does not become {is_on}");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Begins a command, to be ended by itself or by a signal.
    pub fn spawn(&self, args: &[&str]) -> Child {
        self.command(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    pub fn socket(&self) -> PathBuf {
        self.root.path().join("control.sock")
    }

    /// Where the field's tools read.
    pub fn metrics(&self) -> PathBuf {
        self.root.path().join("scx/root/stats")
    }

    pub fn eject(&self, ejection: Ejection) {
        self.shared.lock().unwrap().ejection = Some(ejection);
    }

    /// Waits for so many commits, without asking the agent.
    #[track_caller]
    pub fn wait_commits(&self, commits: u32) {
        let until = Instant::now() + PATIENCE;
        while self.shared.lock().unwrap().commits < commits {
            assert!(Instant::now() < until, "no commit {commits}");
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_edict"));
        command
            .args(args)
            .current_dir(self.root.path())
            .env("EDICT_SOCKET", self.socket())
            .env("COLUMNS", "80")
            .stdin(Stdio::null());
        command
    }

    pub fn edict(&self, args: &[&str]) -> Out {
        self.command(args).output().unwrap().into()
    }

    #[track_caller]
    pub fn json(&self, args: &[&str], code: i32) -> Value {
        let out = self.edict(&[args, &["--format", "json"]].concat());
        assert_eq!(out.code, code, "{args:?}: {}{}", out.stdout, out.stderr);
        serde_json::from_str(&out.stdout).unwrap()
    }

    /// A file that a command has written.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.root.path().join(name)).unwrap()
    }

    /// The first status that is as it should be.
    #[track_caller]
    pub fn wait(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let status = self.json(&["status"], 0);
            if is(&status) {
                return status;
            }
            assert!(Instant::now() < until, "{what} did not come: {status}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn ending(&mut self) -> Ending {
        self.owner.take().unwrap().join().unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.outbox.send(Event::Stop);
        if let Some(owner) = self.owner.take() {
            let _ = owner.join();
        }
    }
}
