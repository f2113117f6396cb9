//! A running `edict`, and the work that it schedules.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// Loading takes long where the verifier is emulated.
const TO_ATTACH: Duration = Duration::from_secs(120);
const PATIENCE: Duration = Duration::from_secs(30);

pub fn policy(tickets: u32) -> String {
    format!(
        r#"language 1
policy lab {{ version = "1.0" }}
tier critical {{ tickets = 800   slice = 3ms }}
tier regular  {{ tickets = {tickets} }}
tier batch    {{ tickets = 50    max_wait = 500ms }}
rules {{
  hog: when comm == "edict-hog" -> batch
  top: when comm == "edict-top" -> critical
  low: when nice >= 15 -> batch
  otherwise -> regular
}}
"#
    )
}

/// A file of the kernel about sched_ext.
pub fn sched_ext(name: &str) -> String {
    fs::read_to_string(Path::new("/sys/kernel/sched_ext").join(name))
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// A task that is real-time, if there is one.
pub fn realtime_task() -> Option<u32> {
    let entries = fs::read_dir("/proc").ok()?;
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .find(|pid: &u32| {
            // Field 41 is the policy: 1 is FIFO, 2 is round robin.
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let behind = stat.rsplit(") ").next().unwrap_or_default();
            matches!(behind.split(' ').nth(38), Some("1" | "2"))
        })
}

pub struct Out {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

pub struct Lab {
    root: tempfile::TempDir,
    edict: PathBuf,
    child: Child,
}

impl Lab {
    /// A running edict; none where there is no sched_ext to run it on.
    pub fn start(test: &str) -> Option<Self> {
        let edict = binary();
        let why_not = if !Path::new("/sys/kernel/sched_ext/state").exists() {
            Some("this kernel has no sched_ext".to_owned())
        } else if !rustix::process::geteuid().is_root() {
            Some("it needs root".to_owned())
        } else if sched_ext("state") != "disabled" {
            Some(format!(
                "the scheduler {} is attached",
                sched_ext("root/ops")
            ))
        } else if !edict.exists() {
            Some(format!("there is no {}", edict.display()))
        } else {
            None
        };
        if let Some(why_not) = why_not {
            eprintln!("SKIPPED {test}: {why_not}");
            return None;
        }
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("pack")).unwrap();
        fs::write(root.path().join("pack/policy.edict"), policy(100)).unwrap();
        let child = spawn(&edict, root.path());
        let lab = Self { root, edict, child };
        lab.wait_log("attached: ", TO_ATTACH);
        lab.wait_socket();
        Some(lab)
    }

    /// Another one, after the first has ended.
    pub fn restart(&mut self) {
        fs::remove_file(self.root.path().join("log")).unwrap();
        self.child = spawn(&self.edict, self.root.path());
        self.wait_log("attached: ", TO_ATTACH);
        self.wait_socket();
    }

    fn wait_socket(&self) {
        let until = Instant::now() + PATIENCE;
        while UnixStream::connect(self.socket()).is_err() {
            assert!(Instant::now() < until, "no socket: {}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn pack(&self) -> String {
        self.root.path().join("pack").display().to_string()
    }

    pub fn file(&self) -> PathBuf {
        self.root.path().join("pack/policy.edict")
    }

    /// Where a file of that name may be written.
    pub fn place(&self, name: &str) -> String {
        self.root.path().join(name).display().to_string()
    }

    /// Where an edict listens that is told nothing else.
    pub fn socket(&self) -> PathBuf {
        PathBuf::from("/run/edict/control.sock")
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.root.path().join("log")).unwrap_or_default()
    }

    /// What `--stats` has printed.
    pub fn stats(&self) -> String {
        fs::read_to_string(self.root.path().join("stats")).unwrap_or_default()
    }

    /// Save in place, as many editors do.
    pub fn write(&self, text: &str) {
        fs::write(self.file(), text).unwrap();
    }

    pub fn touch(&self, name: &str) {
        fs::write(self.root.path().join("pack").join(name), "x").unwrap();
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// The exit code; none if a signal ended it.
    #[track_caller]
    pub fn wait_exit(&mut self) -> Option<i32> {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < until, "it does not end: {}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.edict);
        command.args(args).stdin(Stdio::null());
        command
    }

    pub fn edict(&self, args: &[&str]) -> Out {
        let output = self.command(args).output().unwrap();
        Out {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Ask without the command line, which takes its time to start here.
    fn ask(&self, request: &Value) -> std::io::Result<Value> {
        let mut stream = UnixStream::connect(self.socket())?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(format!("{request}\n").as_bytes())?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        Ok(serde_json::from_str(&line).unwrap_or(Value::Null))
    }

    pub fn status(&self) -> Value {
        self.wait_status("a status", |_| true)
    }

    #[track_caller]
    pub fn wait_status(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let answer = self.ask(&json!({"verb": "status"})).unwrap_or(Value::Null);
            let status = &answer["result"];
            if answer["ok"] == true && is(status) {
                return status.clone();
            }
            assert!(
                Instant::now() < until,
                "{what} did not come: {answer}\n{}",
                self.log()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    #[track_caller]
    pub fn wait_generation(&self, generation: u64) -> Value {
        self.wait_status(&format!("generation {generation}"), |status| {
            status["generation"] == generation
        })
    }

    /// The answer to `why`, once the kernel has the task in that tier.
    #[track_caller]
    pub fn wait_why(&self, pid: u32, tier: &str) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let answer = self.ask(&json!({"verb": "why", "pid": pid})).unwrap();
            let why = &answer["result"];
            if why["cached"]["tier"] == tier && why["tier"] == tier {
                return why.clone();
            }
            assert!(
                Instant::now() < until,
                "not in {tier}: {answer}\n{}",
                self.log()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[track_caller]
    pub fn wait_log(&self, text: &str, patience: Duration) {
        let until = Instant::now() + patience;
        while !self.log().contains(text) {
            assert!(
                Instant::now() < until,
                "no `{text}` in the log: {}",
                self.log()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn logged_latencies(&self) -> Vec<Duration> {
        self.logged_latencies_from(0)
    }

    /// The times that the log gives from the save to the commit.
    pub fn logged_latencies_from(&self, line: usize) -> Vec<Duration> {
        let log = self.log();
        log.lines()
            .skip(line)
            .filter_map(|line| {
                let time = line.strip_suffix(" after the save")?.rsplit(", ").next()?;
                let (number, unit) = time.split_once(' ')?;
                let number: f64 = number.parse().ok()?;
                let seconds = match unit {
                    "s" => number,
                    "ms" => number / 1e3,
                    _ => return None,
                };
                Some(Duration::from_secs_f64(seconds))
            })
            .collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the log of edict:\n{}", self.log());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(edict: &Path, root: &Path) -> Child {
    let log = File::create(root.join("log")).unwrap();
    Command::new(edict)
        .arg("run")
        .arg(root.join("pack"))
        .args(["--stats", "1", "--allow-restart"])
        .stdin(Stdio::null())
        .stdout(File::create(root.join("stats")).unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// `EDICT_BIN`, or the one that was built with this test, or one beside it.
fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("EDICT_BIN") {
        return path.into();
    }
    let built = PathBuf::from(env!("CARGO_BIN_EXE_edict"));
    if built.exists() {
        return built;
    }
    let test = std::env::current_exe().unwrap_or_default();
    test.with_file_name("edict")
}

/// A thread that never sleeps, called `edict-hog`.
pub struct Hog {
    tid: u32,
    turns: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Hog {
    pub fn start() -> Self {
        let turns = Arc::new(AtomicU64::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let (tell, told) = mpsc::channel();
        thread::Builder::new()
            .name("edict-hog".into())
            .spawn({
                let (turns, stop) = (Arc::clone(&turns), Arc::clone(&stop));
                move || {
                    let tid = rustix::thread::gettid().as_raw_nonzero().get();
                    tell.send(tid.cast_unsigned()).unwrap();
                    while !stop.load(Ordering::Relaxed) {
                        turns.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
            .unwrap();
        Self {
            tid: told.recv().unwrap(),
            turns,
            stop,
        }
    }

    pub fn tid(&self) -> u32 {
        self.tid
    }

    pub fn is_running(&self) -> bool {
        let before = self.turns.load(Ordering::Relaxed);
        thread::sleep(Duration::from_millis(300));
        self.turns.load(Ordering::Relaxed) > before
    }
}

impl Drop for Hog {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Pairs of threads that wake each other, as hackbench does: messages of 100
/// bytes through socket pairs.
pub struct Load {
    stop: Arc<AtomicBool>,
    messages: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    pub fn start(pairs: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let messages = Arc::new(AtomicU64::new(0));
        let mut threads = Vec::new();
        for _ in 0..pairs {
            let (mut sender, mut receiver) = UnixStream::pair().unwrap();
            let stopped = Arc::clone(&stop);
            threads.push(thread::spawn(move || {
                let message = [0x5a; 100];
                while !stopped.load(Ordering::Relaxed) && sender.write_all(&message).is_ok() {}
            }));
            let counted = Arc::clone(&messages);
            threads.push(thread::spawn(move || {
                let mut message = [0; 100];
                while receiver.read_exact(&mut message).is_ok() {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            }));
        }
        Self {
            stop,
            messages,
            threads,
        }
    }

    pub fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            let _ = thread.join();
        }
        self.messages.load(Ordering::Relaxed)
    }
}
