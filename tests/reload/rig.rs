//! A pack of one file, an engine that only remembers, and the loop between.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use edict::reload::worker::Found;
use edict::reload::{
    Bell, Compilation, Engine, Glance, Pace, Pack, Rejection, Reload, Report, Unreadable, Watch,
    Watching, Worker,
};

/// How a rig watches.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    pub events: bool,
    pub poll: Duration,
}

/// Events only: the poll would hide a lost one.
pub const EVENTS: Kind = Kind {
    events: true,
    poll: Duration::from_secs(3_600),
};

/// The poll only.
pub const POLL: Kind = Kind {
    events: false,
    poll: Duration::from_millis(50),
};

const PATIENCE: Duration = Duration::from_secs(20);
const SILENCE: Duration = Duration::from_millis(600);

/// The end of a pass, with the content that it was about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    Committed(String),
    Rejected(String),
    Again(String),
    Unreadable,
    Defect,
    Recovered,
    Unchanged,
}

pub fn text(n: u32) -> String {
    format!("policy {n}\nend\n")
}

enum Event {
    Poke,
    Found(Found<Files>),
    Request,
    Quit,
}

struct Files {
    dir: PathBuf,
    building: Arc<AtomicBool>,
}

impl Files {
    fn read(&self) -> Result<Glance<String>, Unreadable> {
        let path = self.dir.join("policy.edict");
        let failed = |error: std::io::Error| {
            Unreadable::Failed(Rejection {
                summary: format!("unreadable: {error}"),
                report: format!("unreadable: {error}"),
                code: None,
            })
        };
        let stamp =
            |path: &Path| fs::metadata(path).map(|m| (m.ino(), m.len(), m.mtime(), m.mtime_nsec()));
        let before = stamp(&path).map_err(failed)?;
        let digest = fs::read_to_string(&path).map_err(failed)?;
        if stamp(&path).map_err(failed)? != before {
            return Err(Unreadable::Moving("moving".to_owned()));
        }
        let real = fs::canonicalize(&path).map_err(failed)?;
        Ok(Glance {
            digest,
            directories: vec![self.dir.clone(), real.parent().unwrap().to_path_buf()],
        })
    }
}

impl Pack for Files {
    type Digest = String;
    type Built = String;

    fn glance(&mut self) -> Result<Glance<String>, Unreadable> {
        self.read()
    }

    fn compile(&mut self) -> Result<Compilation<String, String>, Unreadable> {
        let text = self.read()?.digest;
        if text.starts_with("slow") {
            self.building.store(true, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(400));
        }
        if text.starts_with("defect") {
            panic!("a defect in the compiler");
        }
        let outcome = match text.ends_with("end\n") {
            true => Ok(text.clone()),
            false => Err(rejection(&text)),
        };
        Ok(Compilation {
            digest: text,
            outcome,
        })
    }

    fn directories(&self) -> Vec<PathBuf> {
        vec![self.dir.clone()]
    }
}

fn rejection(content: &str) -> Rejection {
    Rejection {
        summary: content.to_owned(),
        report: content.to_owned(),
        code: None,
    }
}

struct Memory {
    prepared: Arc<AtomicU64>,
}

impl Engine for Memory {
    type Built = String;
    type Prepared = String;
    type Committed = String;

    fn prepare(&mut self, built: String) -> Result<String, Rejection> {
        self.prepared.fetch_add(1, Ordering::SeqCst);
        match built.starts_with("refuse") {
            true => Err(rejection(&built)),
            false => Ok(built),
        }
    }

    fn commit(&mut self, prepared: String) -> Result<String, Rejection> {
        Ok(prepared)
    }
}

/// A running reload.
pub struct Rig {
    _root: tempfile::TempDir,
    dir: PathBuf,
    events: Sender<Event>,
    endings: Receiver<Ending>,
    building: Arc<AtomicBool>,
    prepared: Arc<AtomicU64>,
    rejected: Arc<AtomicU64>,
    polling: Arc<Mutex<Option<String>>>,
    stop: Arc<AtomicBool>,
    owner: Option<JoinHandle<()>>,
}

impl Rig {
    pub fn start(kind: Kind) -> Self {
        Self::with(kind, |dir| {
            fs::write(dir.join("policy.edict"), text(0)).unwrap();
        })
    }

    pub fn with(kind: Kind, fill: impl FnOnce(&Path)) -> Self {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("pack");
        fs::create_dir(&dir).unwrap();
        fill(&dir);

        let (events, inbox) = mpsc::channel();
        let (tell, endings) = mpsc::channel();
        let building = Arc::new(AtomicBool::new(false));
        let prepared = Arc::new(AtomicU64::new(0));
        let rejected = Arc::new(AtomicU64::new(0));
        let polling = Arc::new(Mutex::new(None));
        let (armed, ready) = mpsc::channel();

        let poke = Mutex::new(events.clone());
        let bell = Bell::new(move || {
            let _ = poke.lock().unwrap().send(Event::Poke);
        });
        let pack = Files {
            dir: dir.clone(),
            building: Arc::clone(&building),
        };
        let watch = match kind.events {
            true => Watch::events(bell.clone()),
            false => Watch::poll_only(bell.clone(), "asked to"),
        };
        let deliver = events.clone();
        let worker = Worker::spawn(pack, watch, move |found| {
            let _ = deliver.send(Event::Found(found));
        })
        .unwrap();
        let pace = Pace {
            quiet: Duration::from_millis(80),
            at_most: Duration::from_millis(1_000),
            poll: kind.poll,
        };
        let owner = thread::spawn({
            let mut engine = Memory {
                prepared: Arc::clone(&prepared),
            };
            let rejected = Arc::clone(&rejected);
            let polling = Arc::clone(&polling);
            move || {
                let mut reload: Reload<Files> =
                    Reload::new(pace, bell, worker, text(0), Instant::now());
                let mut asked = None;
                loop {
                    let event = match reload.deadline() {
                        Some(at) => {
                            inbox.recv_timeout(at.saturating_duration_since(Instant::now()))
                        }
                        None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
                    };
                    let now = Instant::now();
                    match event {
                        Ok(Event::Poke) | Err(RecvTimeoutError::Timeout) => reload.step(now),
                        Ok(Event::Request) => asked = Some(reload.request(now)),
                        Ok(Event::Quit) | Err(RecvTimeoutError::Disconnected) => return,
                        Ok(Event::Found(found)) => {
                            let Some(step) = reload.found(now, found, &mut engine) else {
                                continue;
                            };
                            rejected.store(reload.nr_rejected(), Ordering::SeqCst);
                            if let Watching::Polling(why) = reload.watching() {
                                *polling.lock().unwrap() = Some(why.clone());
                            }
                            let answers = asked.is_some_and(|asked| asked <= step.pass);
                            if answers {
                                asked = None;
                            }
                            let ending = match step.report {
                                Report::Committed { committed, .. } => Ending::Committed(committed),
                                Report::Recovered => Ending::Recovered,
                                Report::Unchanged if answers => Ending::Unchanged,
                                Report::Rejected { rejection, again } if !again => {
                                    let summary = rejection.summary;
                                    match summary.split([' ', ':']).next() {
                                        Some("unreadable") => Ending::Unreadable,
                                        Some("edict") => Ending::Defect,
                                        _ => Ending::Rejected(summary),
                                    }
                                }
                                Report::Rejected { rejection, .. } if answers => {
                                    Ending::Again(rejection.summary)
                                }
                                Report::Unchanged | Report::Rejected { .. } => {
                                    let _ = armed.send(());
                                    continue;
                                }
                            };
                            let _ = tell.send(ending);
                        }
                    }
                }
            }
        });
        ready
            .recv_timeout(PATIENCE)
            .expect("the first pass finds what runs");
        Self {
            _root: root,
            dir,
            events,
            endings,
            building,
            prepared,
            rejected,
            polling,
            stop: Arc::new(AtomicBool::new(false)),
            owner: Some(owner),
        }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub fn beside(&self, name: &str) -> PathBuf {
        self.dir.with_file_name(name)
    }

    pub fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).unwrap();
    }

    pub fn request(&self) {
        self.events.send(Event::Request).unwrap();
    }

    pub fn wait_for_build(&self) {
        let start = Instant::now();
        while !self.building.load(Ordering::SeqCst) {
            assert!(start.elapsed() < PATIENCE, "nothing is built");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The next endings are these.
    #[track_caller]
    pub fn expect(&self, wanted: &[Ending]) {
        for wanted in wanted {
            match self.endings.recv_timeout(PATIENCE) {
                Ok(ending) => assert_eq!(ending, *wanted),
                Err(_) => panic!("nothing came, {wanted:?} was expected"),
            }
        }
    }

    /// Nothing ends for a while.
    #[track_caller]
    pub fn expect_silence(&self) {
        if let Ok(ending) = self.endings.recv_timeout(SILENCE) {
            panic!("nothing was expected, {ending:?} came");
        }
    }

    /// Everything up to the ending that is waited for.
    #[track_caller]
    pub fn until(&self, last: impl Fn(&Ending) -> bool) -> Vec<Ending> {
        let mut all = Vec::new();
        loop {
            match self.endings.recv_timeout(PATIENCE) {
                Ok(ending) => {
                    let done = last(&ending);
                    all.push(ending);
                    if done {
                        return all;
                    }
                }
                Err(_) => panic!("it never came, only {all:?}"),
            }
        }
    }

    pub fn rejected(&self) -> u64 {
        self.rejected.load(Ordering::SeqCst)
    }

    pub fn prepared(&self) -> u64 {
        self.prepared.load(Ordering::SeqCst)
    }

    pub fn polling(&self) -> Option<String> {
        self.polling.lock().unwrap().clone()
    }

    pub fn stop_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop();
        let _ = self.events.send(Event::Quit);
        if let Some(owner) = self.owner.take() {
            let _ = owner.join();
        }
    }
}
