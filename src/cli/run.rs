//! `edict run`: put a policy in force and keep it so.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::serving::{SocketArgs, seconds};
use super::{Exit, Terminal};

/// Put a policy in force, and reload it whenever its files change
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  edict run policies/desktop
  edict run /etc/edict --stats 10
  edict run --watch poll /mnt/nfs/policy.edict

Runs in the foreground and logs to standard error (`EDICT_LOG=debug` says
more). SIGHUP or a change of the files reloads, without detaching; a policy
that is not valid changes nothing. SIGINT and SIGTERM hand scheduling back to
the kernel and exit with 0. Needs root and a kernel with sched_ext: `edict
doctor` says what is missing. `--stats` prints counts a second, and with
`--format json` one status a line whose `interval` is the time since the last.
Clients of scx_stats read the same at /var/run/scx/root/stats.")]
pub(super) struct RunArgs {
    /// A policy file, or a directory with a policy
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// What carries the policy out [default: the best that there is]
    #[arg(long, value_enum, value_name = "BACKEND")]
    backend: Option<Backend>,
    /// Print what has happened since: every second, or so often
    #[arg(long, value_name = "SECS", num_args = 0..=1, default_missing_value = "1",
          allow_negative_numbers = true, value_parser = seconds)]
    stats: Option<u64>,
    /// Detach and attach again for a change that needs it, such as `watchdog`,
    /// instead of refusing it
    #[arg(long)]
    allow_restart: bool,
    /// How changes come to notice: `poll` looks every 5 s only
    #[arg(long, value_enum, value_name = "HOW", default_value = "events")]
    watch: How,
    #[command(flatten)]
    socket: SocketArgs,
}

/// What carries a policy out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Backend {
    /// A scheduler in the kernel
    #[value(name = "sched_ext")]
    SchedExt,
    /// Nice values, slices and cgroup weights (not in this version)
    Attr,
    /// Classify and count only (not in this version)
    Observe,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum How {
    Events,
    Poll,
}

#[cfg(not(feature = "live"))]
pub(super) fn run(args: &RunArgs, terminal: &Terminal) -> Exit {
    let RunArgs {
        path: _,
        backend: _,
        stats: _,
        allow_restart: _,
        watch: _,
        socket: _,
    } = args;
    super::serving::absent(terminal)
}

#[cfg(feature = "live")]
pub(super) use with::run;

#[cfg(feature = "live")]
mod with {
    use std::io::Write;
    use std::path::Path;
    use std::time::Duration;

    use log::{error, info, warn};

    use super::{Backend, Exit, How, RunArgs, Terminal};
    use crate::agent::lock::{Lock, LockError};
    use crate::agent::metrics;
    use crate::agent::protocol::Response;
    use crate::agent::refusals;
    use crate::agent::report::Status;
    use crate::agent::socket::{Deadlines, Server};
    use crate::agent::{
        Agent, Compiled, Ended, Ending, Event, InKernel, Outbox, Settings, Signals, attached_line,
    };
    use crate::check;
    use crate::cli::policy::is_stdin;
    use crate::cli::status::moment;
    use crate::cli::{Format, complain, fail, refuse};
    use crate::diag::{Code, Diagnostic};
    use crate::hooks::classify::FileSystems;
    use crate::live::{self, LiveError, LoadOptions, Loaded, Probe, Verdict};
    use crate::reload::Pace;

    pub(in crate::cli) fn run(args: &RunArgs, terminal: &Terminal) -> Exit {
        match serve(args, terminal) {
            Ok(()) => Exit::Done,
            Err(exit) => exit,
        }
    }

    fn serve(args: &RunArgs, terminal: &Terminal) -> Result<(), Exit> {
        if is_stdin(&args.path) {
            return Err(fail(
                terminal,
                "run needs a file: it looks at it again whenever it changes",
                Some("save the policy, and name the file or its directory"),
            ));
        }
        start_log();
        if let Some(backend @ (Backend::Attr | Backend::Observe)) = args.backend {
            let name = match backend {
                Backend::Attr => "attr",
                _ => "observe",
            };
            return Err(refuse(
                terminal,
                Diagnostic::new(
                    Code::E0611,
                    format!("the backend `{name}` is not in this version"),
                )
                .help("use `--backend sched_ext`, or leave the choice to edict"),
            ));
        }
        let compiled = compile(args, terminal)?;
        let probe = live::probe();
        able(&probe, terminal, |code| code != Code::E0604)?;
        // The other scheduler may be another edict, which is better known by name.
        let socket = args.socket.path();
        let _lock = Lock::take(&socket).map_err(|error| locked(terminal, &error))?;
        able(&probe, terminal, |_| true)?;
        info!(
            "backend sched_ext: {}, and nothing stands against it (kernel {})",
            match args.backend {
                Some(_) => "asked for",
                None => "the kernel has it",
            },
            probe.release
        );
        note_kernel(&probe, &compiled);

        let (outbox, inbox) = Outbox::new();
        let signals = Signals::listen(outbox.clone())
            .map_err(|error| fail(terminal, &format!("signals: {error}"), None))?;
        let (scheduler, generation) = InKernel::start(load, &compiled.image, || {
            if let Err(error) = signals.detach_on_end() {
                warn!("signals: {error}");
            }
        })
        .map_err(|diagnostic| refuse(terminal, *diagnostic))?;
        info!("{}", attached_line("sched_ext", generation, &compiled));

        let settings = Settings {
            path: args.path.clone(),
            pace: Pace::default(),
            poll_only: (args.watch == How::Poll).then(|| "asked to by --watch poll".to_owned()),
            stats: args.stats.map(Duration::from_secs),
            allow_restart: args.allow_restart,
        };
        let ask = outbox.clone();
        let server = Server::start(&socket, Deadlines::default(), move |asked| {
            ask.send(Event::Asked(asked))
        });
        let server = match server {
            Ok(server) => Some(server),
            Err(error) => {
                error!(
                    "`{}`: {error}; status, why, reload and stop will not work",
                    socket.display()
                );
                None
            }
        };
        let ask = outbox.clone();
        let published = Path::new(metrics::PATH);
        let published = metrics::serve(published, metrics::DEADLINES, move |asked| {
            ask.send(Event::Asked(asked))
        });
        if let Err(error) = &published {
            warn!(
                "`{}`: {error}; clients of scx_stats cannot read the statistics",
                metrics::PATH
            );
        }
        let agent = Agent::new(scheduler, compiled, generation, settings, (outbox, inbox))
            .map_err(|error| fail(terminal, &format!("threads: {error}"), None))?;
        let mut last: Option<Status> = None;
        let ended = agent.run(|status| {
            moment(terminal, status.clone(), last.as_ref());
            last = Some(status.clone());
        });
        drop(published);
        end(ended, server, terminal)
    }

    /// Detach, tell those who asked for it, and say how it ended.
    fn end(
        ended: Ended<InKernel>,
        server: Option<Server>,
        terminal: &Terminal,
    ) -> Result<(), Exit> {
        let Ended {
            scheduler,
            ending,
            farewell,
        } = ended;
        let detached = scheduler.detach();
        for answer in farewell {
            let _ = answer.try_send(match &detached {
                Ok(()) => Response::done(serde_json::json!({ "stopped": true })),
                Err(diagnostic) => Response::refused(diagnostic.message.clone())
                    .code(Some(diagnostic.code.to_string())),
            });
        }
        if let Some(server) = server {
            server.finish(Duration::from_millis(200));
        }
        if let Ending::Ejected(why) = ending {
            let code = why.code;
            error!(
                "ejected by the kernel, whose own scheduler has taken over: {} ({code})",
                why.message
            );
            if let Some(help) = &why.help {
                error!("what to do: {help}; `edict explain {code}` says more");
            }
            // The log is for people; a program reads it where the statistics are.
            return Err(match terminal.format() {
                Format::Json => {
                    terminal.one_document_a_line();
                    refuse(terminal, *why)
                }
                Format::Human | Format::Plain => Exit::Refused,
            });
        }
        match detached {
            Ok(()) => {
                info!("detached: the kernel's own scheduler has taken over");
                Ok(())
            }
            Err(diagnostic) => {
                error!("{}", diagnostic.message);
                Err(Exit::Refused)
            }
        }
    }

    fn compile(args: &RunArgs, terminal: &Terminal) -> Result<Box<Compiled>, Exit> {
        match Compiled::new(check::check_path(&args.path)) {
            Ok(compiled) => {
                let warnings = compiled.warnings();
                if !warnings.is_empty() {
                    warn!("the policy has warnings\n{}", warnings.trim_end());
                }
                Ok(Box::new(compiled))
            }
            Err((diagnostics, files)) => {
                Err(complain(terminal, &diagnostics, &files, Exit::Invalid))
            }
        }
    }

    /// Refuse if something stands against attaching, among what matters.
    fn able(
        probe: &Probe,
        terminal: &Terminal,
        matters: impl Fn(Code) -> bool,
    ) -> Result<(), Exit> {
        let obstacle = probe.findings.iter().find(|finding| {
            finding.verdict == Verdict::Missing && finding.code.is_some_and(&matters)
        });
        let Some(obstacle) = obstacle else {
            return Ok(());
        };
        let diagnostic = Diagnostic::new(
            obstacle.code.unwrap_or(Code::E0605),
            format!("{}: {}", obstacle.feature, obstacle.detail),
        );
        Err(refuse(
            terminal,
            diagnostic.maybe_help(obstacle.cure.clone()),
        ))
    }

    /// A policy may say which kernel it was written for.
    fn note_kernel(probe: &Probe, compiled: &Compiled) {
        let mut numbers = probe
            .release
            .split(['.', '-', '+'])
            .map(|part| part.parse().unwrap_or(0));
        let here = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if let Some(meant) = compiled.policy.kernel()
            && here < meant
        {
            warn!(
                "the policy is meant for kernel {}.{} and newer; this is {}",
                meant.0, meant.1, probe.release
            );
        }
    }

    fn locked(terminal: &Terminal, error: &LockError) -> Exit {
        match refusals::locked(error) {
            Some(diagnostic) => refuse(terminal, diagnostic),
            None => fail(terminal, &error.to_string(), None),
        }
    }

    fn load(watchdog: Duration) -> Result<Loaded, LiveError> {
        live::load(LoadOptions {
            watchdog,
            values: Box::new(FileSystems::new()),
            ..LoadOptions::default()
        })
    }

    /// Lines on standard error, each written as a whole. Under a supervisor
    /// that keeps the time itself there is no second time in them.
    fn start_log() {
        let is_journal = std::env::var_os("JOURNAL_STREAM").is_some();
        let filter = env_logger::Env::new().filter_or("EDICT_LOG", "warn,edict=info");
        let _ = env_logger::Builder::from_env(filter)
            .format(move |out, record| {
                let level = record.level().as_str().to_lowercase();
                if is_journal {
                    writeln!(out, "{level}: {}", record.args())
                } else {
                    let time = out.timestamp_millis();
                    writeln!(out, "{time} {level}: {}", record.args())
                }
            })
            .try_init();
    }
}
