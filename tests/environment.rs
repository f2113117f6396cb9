//! What edict says when the kernel or the machine cannot do it: goldens for each
//! refusal, and the refusals themselves where they can be made to happen.
//!
//! `EDICT_BLESS=1 cargo test --test environment` writes the goldens anew.
#![cfg(feature = "live")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use edict::agent::lock::LockError;
use edict::agent::refusals;
use edict::diag::{Diagnostic, Format, RenderOptions, render};
use edict::live::{Ejection, LiveError};

fn golden(name: &str, error: &Diagnostic) {
    let mut text = String::new();
    for format in [Format::Human, Format::Plain, Format::Json] {
        text += &render(
            std::slice::from_ref(error),
            &(),
            format,
            RenderOptions::default(),
        );
        text += "\n";
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/environment/{name}.txt"));
    if std::env::var_os("EDICT_BLESS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "{}", path.display());
}

#[test]
fn every_refusal_has_a_code_and_a_cure() {
    let refused = || LiveError::Refused {
        message: "Permission denied (os error 13)".into(),
        log: "R1 invalid mem access 'scalar'\nprocessed 17 insns".into(),
    };
    for (name, error) in [
        ("no-sched-ext", LiveError::NoSchedExt),
        ("no-root", LiveError::NotPermitted),
        ("no-btf", LiveError::NoBtf),
        ("occupied", LiveError::Occupied("scx_bpfland".into())),
        ("isolated", LiveError::Isolated("2-3".into())),
        (
            "unsound",
            LiveError::Unsound(vec!["scx_bpf_dsq_insert".into()]),
        ),
        ("refused", refused()),
    ] {
        assert!(!error.cure().is_empty());
        golden(name, &error.diagnostic());
    }
}

#[test]
fn every_way_to_be_ejected_is_said_in_words_with_a_cure() {
    let ejected = |kind, code: i64, reason: &str, message: &str| Ejection {
        reason: reason.into(),
        message: message.into(),
        ..Ejection::new(kind, code)
    };
    let hotplug = 1 << 32;
    for (name, ejection) in [
        (
            "ejected-stall",
            ejected(
                1026,
                0,
                "runnable task stall",
                "cc\u{1b}1[4711] failed to run for 20.128s",
            ),
        ),
        (
            "ejected-watchdog",
            ejected(
                1026,
                0,
                "runnable task stall",
                "watchdog failed to check in for 20.480s",
            ),
        ),
        (
            "ejected-error",
            ejected(
                1024,
                0,
                "runtime error",
                "scx_bpf_dsq_insert: invalid DSQ ID 0x7",
            ),
        ),
        (
            "ejected-error-bpf",
            ejected(1025, 0, "scx_bpf_error", "no queue"),
        ),
        ("ejected-left", ejected(65, 0, "unregistered from BPF", "")),
        ("ejected-sysrq", ejected(67, 0, "disabled by sysrq-S", "")),
        (
            "ejected-hotplug",
            ejected(
                66,
                hotplug,
                "unregistered from the main kernel",
                "cpu 1 going offline, exiting scheduler",
            ),
        ),
        (
            "ejected-by-kernel",
            ejected(66, 0, "unregistered from the main kernel", ""),
        ),
        (
            "ejected-unregistered",
            ejected(64, 0, "unregistered from user space", ""),
        ),
        ("ejected-unknown", ejected(4242, 0, "", "")),
    ] {
        let diagnostic = ejection.diagnostic();
        assert!(diagnostic.help.is_some(), "{name}");
        golden(name, &diagnostic);
    }
}

#[test]
fn what_the_agent_refuses_has_a_code_and_a_cure() {
    let locked = |error| refusals::locked(&error);
    let held = locked(LockError::Held { pid: Some(4711) }).unwrap();
    golden("running-already", &held);
    golden(
        "needs-restart",
        &refusals::needs_restart(&["`policy.watchdog`".to_owned()]),
    );
    let foreign = LockError::Foreign {
        directory: "/run/edict".into(),
        owner: 1000,
    };
    assert_eq!(locked(foreign), None);
}

/// Why the refusals cannot be provoked here, if so.
fn skipped() -> bool {
    let why = if !rustix::process::geteuid().is_root() {
        "not root"
    } else if !Path::new("/sys/kernel/sched_ext/state").exists() {
        "this kernel has no sched_ext"
    } else if std::env::var_os("EDICT_BIN").is_none() {
        "EDICT_BIN does not name the program"
    } else {
        return false;
    };
    eprintln!("SKIPPED: {why}; scripts/test --only vm runs it");
    true
}

fn policy() -> PathBuf {
    let path = std::env::temp_dir().join("environment.edict");
    fs::write(
        &path,
        "language 1\npolicy p {}\ntier only {}\nrules { otherwise -> only }\n",
    )
    .unwrap();
    path
}

fn refusal(command: &mut Command) -> (i32, String) {
    let out = command.arg("run").arg(policy()).output().unwrap();
    (
        out.status.code().unwrap_or(-1),
        String::from_utf8_lossy(&out.stderr).into_owned(),
    )
}

fn edict() -> Command {
    Command::new(std::env::var_os("EDICT_BIN").unwrap())
}

#[test]
fn vm_without_root_nothing_is_loaded() {
    if skipped() {
        return;
    }
    let (status, said) = refusal(edict().uid(65534).gid(65534));
    assert_eq!(status, 4, "{said}");
    assert!(
        said.contains("E0602") && said.contains("run as root"),
        "{said}"
    );
}

#[test]
fn vm_without_btf_nothing_is_loaded() {
    if skipped() {
        return;
    }
    let hidden = std::env::temp_dir().join("no-btf");
    fs::create_dir_all(&hidden).unwrap();
    let mount = |arguments: &[&str]| {
        assert!(
            Command::new("mount")
                .args(arguments)
                .status()
                .unwrap()
                .success()
        );
    };
    mount(&["--bind", hidden.to_str().unwrap(), "/sys/kernel/btf"]);
    let (status, said) = refusal(&mut edict());
    assert!(
        Command::new("umount")
            .arg("/sys/kernel/btf")
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(status, 4, "{said}");
    assert!(said.contains("E0603"), "{said}");
}
