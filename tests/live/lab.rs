//! What the tests of the object share: policies, processes that behave in a
//! certain way, and readings of the kernel's own accounts.
//!
//! Workers are the test binary itself, started again with `EDICT_WORKER` set:
//! nothing but that file is needed in the guest. They spin or sleep, and do
//! what lines on their standard input say.

#![allow(unsafe_code, reason = "system calls that std does not have")]

use std::ffi::CString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use edict::check::check_text;
use edict::hooks::classify::FileSystems;
use edict::image::Image;
use edict::live::{self, Attached, LoadOptions, Loaded};

/// One test at a time: there is one scheduler.
static MACHINE: Mutex<()> = Mutex::new(());

/// The machine, if it can run a scheduler; says why not otherwise.
pub fn machine(test: &str) -> Option<MutexGuard<'static, ()>> {
    let probe = live::probe();
    if let Some(obstacle) = probe.obstacle() {
        eprintln!("SKIPPED {test}: {}: {}", obstacle.feature, obstacle.detail);
        return None;
    }
    Some(MACHINE.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Compiles a policy, which must be valid.
pub fn image(text: &str) -> Image {
    let checked = check_text("policy.edict", text);
    let policy = checked
        .policy
        .unwrap_or_else(|| panic!("not valid: {:#?}", checked.diagnostics));
    let plan = edict::plan::lower(&policy).unwrap();
    edict::image::emit(&plan).unwrap()
}

/// Loads the object with what the agent knows about processes and cgroups.
pub fn load() -> Loaded {
    load_with(LoadOptions::default())
}

pub fn load_with(options: LoadOptions) -> Loaded {
    let begun = Instant::now();
    let loaded = live::load(LoadOptions {
        values: Box::new(FileSystems::new()),
        ..options
    })
    .unwrap_or_else(|error| panic!("{} {error}\n{}", error.code(), error.cure()));
    println!("loaded in {:?}", begun.elapsed());
    if std::env::var_os("EDICT_VERIFIER").is_some() {
        for program in libbpf_rs::query::ProgInfoIter::default() {
            println!(
                "{:24} {:7} instructions verified, {:6} bytes",
                program.name.to_string_lossy(),
                program.verified_insns,
                program.xlated_prog_insns.len(),
            );
        }
    }
    loaded
}

/// Puts a policy in charge.
pub fn attach(text: &str) -> Attached {
    let mut loaded = load();
    let prepared = loaded.prepare(&image(text)).unwrap();
    loaded.commit(prepared).unwrap();
    loaded
        .attach()
        .unwrap_or_else(|error| panic!("{} {error}\n{}", error.code(), error.cure()))
}

/// Replaces the policy in charge.
pub fn replace(attached: &mut Attached, text: &str) {
    let prepared = attached.prepare(&image(text)).unwrap();
    attached.commit(prepared).unwrap();
}

pub fn sched_ext(file: &str) -> String {
    fs::read_to_string(Path::new("/sys/kernel/sched_ext").join(file))
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// Waits until something holds; how long that took, or none after `limit`.
pub fn until(limit: Duration, mut holds: impl FnMut() -> bool) -> Option<Duration> {
    let begun = Instant::now();
    loop {
        if holds() {
            return Some(begun.elapsed());
        }
        if begun.elapsed() > limit {
            return None;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A process of ours.
pub struct Worker {
    child: Child,
    /// Never read again, but open: a worker that execs says that it is ready.
    _said: BufReader<ChildStdout>,
    pub pid: u32,
}

impl Worker {
    /// Starts a worker: `spin`, `sleep`, `naps PERIOD_US BUSY_US`, `yields BUSY_US`
    /// or `breeds BUSY_US`, whose children do the work.
    pub fn start(name: &str, does: &str) -> Self {
        Self::start_from(&std::env::current_exe().unwrap(), name, does)
    }

    pub fn start_from(program: &Path, name: &str, does: &str) -> Self {
        let mut child = Command::new(program)
            .env("EDICT_WORKER", does)
            .env("EDICT_WORKER_NAME", name)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Ready when it has its name.
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("READY") {
            line.clear();
            assert_ne!(said.read_line(&mut line).unwrap(), 0, "worker {name} died");
        }
        let pid = child.id();
        Self {
            child,
            _said: said,
            pid,
        }
    }

    /// Lets it do something between two rounds of what it does.
    pub fn say(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// CPU time used so far.
    pub fn cpu_time(&self) -> Duration {
        cpu_time(self.pid)
    }

    /// CPU time used so far, that of its children that have ended included.
    pub fn cpu_time_of_all(&self) -> Duration {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        let (_, rest) = text.rsplit_once(')').unwrap_or_default();
        let fields = rest.split_whitespace().skip(11).take(4);
        // In hundredths of a second, whatever the kernel's own clock is.
        fields
            .map(|ticks| Duration::from_millis(10 * ticks.parse().unwrap_or(0)))
            .sum()
    }

    pub fn nice(&self, nice: i32) {
        // SAFETY: no pointer is passed.
        assert_eq!(0, unsafe { libc_setpriority(0, self.pid, nice) });
    }

    pub fn pin(&self, cpu: u32) {
        pin(self.pid, cpu);
    }

    /// The CPU that it runs on, or ran on last.
    pub fn processor(&self) -> u32 {
        processor(self.pid)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

unsafe extern "C" {
    #[link_name = "setpriority"]
    fn libc_setpriority(which: i32, who: u32, value: i32) -> i32;
    #[link_name = "sched_setaffinity"]
    fn libc_sched_setaffinity(pid: i32, size: usize, mask: *const u64) -> i32;
    #[link_name = "sched_setscheduler"]
    fn libc_sched_setscheduler(pid: i32, policy: i32, priority: *const i32) -> i32;
    #[link_name = "sched_getcpu"]
    fn libc_sched_getcpu() -> i32;
    #[link_name = "prctl"]
    fn libc_prctl(option: i32, argument: *const std::ffi::c_char) -> i32;
    #[link_name = "fork"]
    fn libc_fork() -> i32;
    #[link_name = "waitpid"]
    fn libc_waitpid(pid: i32, status: *mut i32, options: i32) -> i32;
    #[link_name = "_exit"]
    fn libc_exit(status: i32) -> !;
    #[link_name = "sched_yield"]
    fn libc_sched_yield() -> i32;
    #[link_name = "setresuid"]
    fn libc_setresuid(real: u32, effective: u32, saved: u32) -> i32;
    #[link_name = "setresgid"]
    fn libc_setresgid(real: u32, effective: u32, saved: u32) -> i32;
    #[link_name = "unshare"]
    fn libc_unshare(flags: i32) -> i32;
    #[link_name = "execv"]
    fn libc_execv(path: *const std::ffi::c_char, argv: *const *const std::ffi::c_char) -> i32;
}

/// How long a test runs: `EDICT_SOAK` seconds, or what the default suite can spare.
pub fn soak(default: u64) -> Duration {
    let asked = std::env::var("EDICT_SOAK").ok();
    let seconds = asked.and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(default))
}

/// Starts a process that runs `child` and ends; none where there can be no more.
pub fn fork(child: impl FnOnce()) -> Option<i32> {
    // SAFETY: the child uses nothing that another thread may hold.
    match unsafe { libc_fork() } {
        0 => {
            child();
            // SAFETY: nothing is to be cleaned up.
            unsafe { libc_exit(0) }
        }
        pid => (pid > 0).then_some(pid),
    }
}

/// Takes note of one that has ended, if there is one.
pub fn reap() -> bool {
    // SAFETY: no status is asked for; WNOHANG.
    unsafe { libc_waitpid(-1, std::ptr::null_mut(), 1) > 0 }
}

pub fn pin(pid: u32, cpu: u32) {
    pin_to(pid, 1 << cpu);
}

/// Allows a task the CPUs of a mask.
pub fn pin_to(pid: u32, cpus: u64) {
    let mask = [cpus, 0];
    // SAFETY: the mask is 16 bytes long and outlives the call.
    assert_eq!(0, unsafe {
        libc_sched_setaffinity(pid as i32, 16, mask.as_ptr())
    });
}

/// Lets it run everywhere again.
pub fn unpin(pid: u32) {
    let mask = [u64::MAX; 2];
    // SAFETY: the mask is 16 bytes long and outlives the call.
    assert_eq!(0, unsafe {
        libc_sched_setaffinity(pid as i32, 16, mask.as_ptr())
    });
}

/// The CPU that a task runs or ran on last.
pub fn last_cpu(pid: u32) -> u32 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = text.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let processor = fields.split(' ').nth(36);
    processor
        .and_then(|cpu| cpu.parse().ok())
        .unwrap_or(u32::MAX)
}

pub fn cpu_time(pid: u32) -> Duration {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default();
    let used = text.split(' ').next().and_then(|ns| ns.parse().ok());
    Duration::from_nanos(used.unwrap_or(0))
}

/// The CPU that this thread runs on.
pub fn this_cpu() -> u32 {
    // SAFETY: no pointer is passed.
    unsafe { libc_sched_getcpu() as u32 }
}

/// The CPU that a task runs on, or ran on last.
pub fn processor(pid: u32) -> u32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name may have blanks; what follows it begins with field 3.
    let rest = &stat[stat.rfind(')').unwrap() + 2..];
    rest.split(' ').nth(39 - 3).unwrap().parse().unwrap()
}

/// The longest time that a real-time thread was kept off each CPU: what the
/// host took from the guest, and no scheduler in the guest can give back.
pub struct Host {
    stop: Arc<AtomicBool>,
    worst: Arc<AtomicU64>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Host {
    pub fn watch() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let worst = Arc::new(AtomicU64::new(0));
        let threads = (0..cpus())
            .map(|cpu| {
                let (stop, worst) = (Arc::clone(&stop), Arc::clone(&worst));
                std::thread::spawn(move || {
                    pin(0, cpu);
                    // SAFETY: the priority outlives the call.
                    unsafe { libc_sched_setscheduler(0, 1, &50) };
                    while !stop.load(Ordering::Relaxed) {
                        let before = Instant::now();
                        std::thread::sleep(Duration::from_millis(1));
                        let late = before.elapsed().saturating_sub(Duration::from_millis(1));
                        worst.fetch_max(late.as_micros() as u64, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        Self {
            stop,
            worst,
            threads,
        }
    }

    pub fn worst(self) -> Duration {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
        Duration::from_micros(self.worst.load(Ordering::Relaxed))
    }
}

/// Keeps a CPU with a real-time thread; how long that was.
pub fn occupy(cpu: u32, time: Duration) -> Duration {
    std::thread::spawn(move || {
        pin(0, cpu);
        // SAFETY: the priority outlives the call.
        assert_eq!(0, unsafe { libc_sched_setscheduler(0, 1, &40) });
        // It is to interrupt a task, not to arrive between two.
        std::thread::sleep(Duration::from_millis(20));
        let begun = Instant::now();
        spin(time);
        begun.elapsed()
    })
    .join()
    .unwrap()
}

pub fn cpus() -> u32 {
    std::thread::available_parallelism().unwrap().get() as u32
}

/// Runs before `main`: the test harness would run a worker in a second thread,
/// and a worker is to be its process' first.
#[used]
#[unsafe(link_section = ".init_array")]
static WORKER: extern "C" fn() = worker;

extern "C" fn worker() {
    let Ok(does) = std::env::var("EDICT_WORKER") else {
        return;
    };
    let name = std::env::var("EDICT_WORKER_NAME").unwrap();
    if !name.is_empty() {
        rename(&name);
    }
    let _attached = does
        .starts_with("attach")
        .then(|| attach("language 1\npolicy kill { version = \"1\" }\ntier t { tickets = 1 slice = 5ms }\nrules { otherwise -> t }\n"));
    println!("READY");
    if does == "unshares" {
        // SAFETY: no pointer is passed; CLONE_NEWPID.
        assert_eq!(0, unsafe { libc_unshare(0x2000_0000) });
    }
    if does == "forks" || does == "unshares" {
        // A child that never execs.
        // SAFETY: there is no other thread yet, and the child only spins.
        if unsafe { libc_fork() } == 0 {
            spin(Duration::from_secs(3));
            std::process::exit(0);
        }
    }
    let orders = Arc::new(Mutex::new(Vec::<String>::new()));
    let heard = Arc::clone(&orders);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            heard.lock().unwrap().push(line);
        }
        std::process::exit(0);
    });
    let mut words = does.split(' ');
    let kind = words.next().unwrap().to_owned();
    let mut number = || -> u64 { words.next().map_or(0, |word| word.parse().unwrap()) };
    let (period, busy) = (number(), number());
    loop {
        match kind.as_str() {
            "spin" => spin(Duration::from_millis(1)),
            "naps" => {
                std::thread::sleep(Duration::from_micros(period));
                spin(Duration::from_micros(busy));
            }
            "yields" => {
                spin(Duration::from_micros(period));
                // SAFETY: it takes nothing.
                unsafe { libc_sched_yield() };
            }
            "breeds" => breed(Duration::from_micros(period)),
            // Often awake, but for a while now and then.
            "bursts" => {
                for _ in 0..10 {
                    std::thread::sleep(Duration::from_millis(2));
                    spin(Duration::from_micros(100));
                }
                std::thread::sleep(Duration::from_millis(80));
            }
            other => crate::adversary::misbehave(other, period),
        }
        for order in orders.lock().unwrap().drain(..) {
            obey(&order);
        }
    }
}

/// Lets a child do the work, and waits for it.
fn breed(time: Duration) {
    // SAFETY: the other thread only reads orders; the child spins and ends,
    // without running what the process would at its end.
    let child = unsafe { libc_fork() };
    if child == 0 {
        spin(time);
        // SAFETY: it takes a number and does not return.
        unsafe { libc_exit(0) };
    }
    // SAFETY: a null pointer asks for no status.
    unsafe { libc_waitpid(child, std::ptr::null_mut(), 0) };
}

pub fn spin(time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        std::hint::spin_loop();
    }
}

pub fn rename(name: &str) {
    let name = CString::new(name).unwrap();
    // SAFETY: PR_SET_NAME reads a string that ends with NUL.
    unsafe { libc_prctl(15, name.as_ptr()) };
}

fn obey(order: &str) {
    let (verb, rest) = order.split_once(' ').unwrap_or((order, ""));
    match verb {
        "rename" => rename(rest),
        // SAFETY: as below.
        "setgid" => unsafe {
            let gid = rest.parse().unwrap();
            libc_setresgid(u32::MAX, gid, u32::MAX);
        },
        // SAFETY: no pointer is passed. The system call is the C library's,
        // which sets the ids of every thread.
        "setuid" => unsafe {
            let uid = rest.parse().unwrap();
            libc_setresuid(u32::MAX, uid, u32::MAX);
        },
        "exec" => {
            let path = CString::new(rest).unwrap();
            let argv = [path.as_ptr(), std::ptr::null()];
            // SAFETY: strings that end with NUL, and an array that ends with a
            // null pointer; both outlive the call.
            unsafe { libc_execv(path.as_ptr(), argv.as_ptr()) };
        }
        "go" => crate::adversary::go(),
        other => panic!("unknown order {other}"),
    }
}
