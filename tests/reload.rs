//! What file systems do to a policy, and what a reload makes of it.
//!
//! Real files and real inotify; only the kernel is missing: the engine keeps
//! what was committed in a list. The policy is a text whose last line is `end`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]
#![cfg(feature = "live")]

#[path = "reload/rig.rs"]
mod rig;

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::thread;
use std::time::Duration;

use rig::{EVENTS, Ending, POLL, Rig, text};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn a_saved_file_is_committed_once() {
    let rig = Rig::start(EVENTS);
    rig.write("policy.edict", &text(1));
    rig.expect(&[Ending::Committed(text(1))]);
    rig.expect_silence();
}

#[test]
fn a_file_replaced_by_rename_twice_is_seen_twice() {
    let rig = Rig::start(EVENTS);
    for n in 1..=2 {
        rig.write("policy.edict.new", &text(n));
        fs::rename(rig.path("policy.edict.new"), rig.path("policy.edict")).unwrap();
        rig.expect(&[Ending::Committed(text(n))]);
    }
}

#[test]
fn a_config_map_swap_is_seen_although_no_event_names_the_policy() {
    let rig = Rig::with(EVENTS, |dir| {
        fs::create_dir(dir.join("..v0")).unwrap();
        fs::write(dir.join("..v0/policy.edict"), text(0)).unwrap();
        symlink("..v0", dir.join("..data")).unwrap();
        symlink("..data/policy.edict", dir.join("policy.edict")).unwrap();
    });
    for n in 1..=2 {
        let version = rig.path(&format!("..v{n}"));
        fs::create_dir(&version).unwrap();
        fs::write(version.join("policy.edict"), text(n)).unwrap();
        symlink(format!("..v{n}"), rig.path("..data_tmp")).unwrap();
        fs::rename(rig.path("..data_tmp"), rig.path("..data")).unwrap();
        fs::remove_dir_all(rig.path(&format!("..v{}", n - 1))).unwrap();
        rig.expect(&[Ending::Committed(text(n))]);
    }
}

#[test]
fn a_slow_write_in_place_is_read_when_it_is_complete() {
    let rig = Rig::start(EVENTS);
    let new = text(1);
    let (first, second) = new.split_at(new.len() / 2);
    let mut file = fs::File::create(rig.path("policy.edict")).unwrap();
    thread::sleep(ms(60));
    file.write_all(first.as_bytes()).unwrap();
    file.sync_all().unwrap();
    thread::sleep(ms(60));
    file.write_all(second.as_bytes()).unwrap();
    drop(file);
    rig.expect(&[Ending::Committed(new)]);
    rig.expect_silence();
}

#[test]
fn a_replaced_directory_is_watched_like_the_old_one() {
    let rig = Rig::start(EVENTS);
    for n in 1..=2 {
        let next = rig.beside("next");
        fs::create_dir(&next).unwrap();
        fs::write(next.join("policy.edict"), text(10 * n)).unwrap();
        fs::rename(rig.dir(), rig.beside(&format!("old{n}"))).unwrap();
        fs::rename(&next, rig.dir()).unwrap();
        rig.expect(&[Ending::Committed(text(10 * n))]);
        rig.write("policy.edict", &text(10 * n + 1));
        rig.expect(&[Ending::Committed(text(10 * n + 1))]);
    }
}

#[test]
fn a_directory_deleted_and_made_again_is_watched_although_its_inode_may_be_the_same() {
    let rig = Rig::start(EVENTS);
    for n in 1..=3 {
        fs::remove_dir_all(rig.dir()).unwrap();
        fs::create_dir(rig.dir()).unwrap();
        rig.write("policy.edict", &text(10 * n));
        // A machine that is busy lets it be seen that there is nothing for a while.
        let made = Ending::Committed(text(10 * n));
        let mut before = rig.until(|ending| *ending == made);
        before.pop();
        assert!(before.iter().all(|ending| *ending == Ending::Unreadable));
        rig.write("policy.edict", &text(10 * n + 1));
        rig.expect(&[Ending::Committed(text(10 * n + 1))]);
    }
}

#[test]
fn a_file_system_without_events_is_polled() {
    let rig = Rig::start(POLL);
    rig.write("policy.edict", &text(1));
    rig.expect(&[Ending::Committed(text(1))]);
    rig.write("policy.edict", "half");
    rig.expect(&[Ending::Rejected("half".into())]);
    rig.expect_silence();
    rig.write("policy.edict", &text(1));
    rig.expect(&[Ending::Recovered]);
}

#[test]
fn a_slow_write_is_not_taken_half_by_the_poll() {
    let rig = Rig::start(POLL);
    // Every prefix is valid, so only the settling keeps them out.
    let mut file = fs::File::create(rig.path("policy.edict")).unwrap();
    for _ in 0..20 {
        file.write_all(b"end\n").unwrap();
        thread::sleep(ms(10));
    }
    drop(file);
    rig.expect(&[Ending::Committed("end\n".repeat(20))]);
    rig.expect_silence();
}

#[test]
fn of_a_thousand_saves_the_last_wins_with_few_generations() {
    let rig = Rig::start(EVENTS);
    for n in 1..=1_000 {
        if n % 2 == 0 {
            rig.write("policy.edict", &text(n));
        } else {
            rig.write(".policy.edict.swp", &text(n));
            fs::rename(rig.path(".policy.edict.swp"), rig.path("policy.edict")).unwrap();
        }
    }
    let endings = rig.until(|ending| *ending == Ending::Committed(text(1_000)));
    rig.expect_silence();
    println!("1,000 saves, {} generations", endings.len());
    assert!(endings.len() <= 20, "{endings:?}");
    assert!(
        endings.iter().all(|e| matches!(e, Ending::Committed(_))),
        "{endings:?}"
    );
}

#[test]
fn thousands_of_files_in_the_directory_do_not_hide_the_edit() {
    let rig = Rig::start(EVENTS);
    for n in 0..20_000 {
        fs::write(rig.path(&format!("noise{n}")), "x").unwrap();
        if n == 15_000 {
            rig.write("policy.edict", &text(1));
        }
    }
    rig.expect(&[Ending::Committed(text(1))]);
    rig.expect_silence();
}

#[test]
fn a_writer_that_never_rests_does_not_keep_the_edit_out() {
    let rig = Rig::start(EVENTS);
    rig.write("policy.edict", &text(1));
    let noise = rig.path("noise");
    let stop = rig.stop_flag();
    let writer = thread::spawn(move || {
        while !stop.load(std::sync::atomic::Ordering::SeqCst) {
            fs::write(&noise, "x").unwrap();
            thread::sleep(ms(5));
        }
    });
    rig.expect(&[Ending::Committed(text(1))]);
    rig.expect_silence();
    rig.stop();
    writer.join().unwrap();
}

#[test]
fn what_is_bad_is_reported_once_and_forgotten_when_it_is_good() {
    let rig = Rig::start(EVENTS);
    rig.write("policy.edict", "");
    rig.expect(&[Ending::Rejected("".into())]);
    rig.write("policy.edict", "");
    rig.write("unrelated", "x");
    rig.expect_silence();
    rig.write("policy.edict", "broken");
    rig.expect(&[Ending::Rejected("broken".into())]);
    fs::remove_file(rig.path("policy.edict")).unwrap();
    rig.expect(&[Ending::Unreadable]);
    rig.expect_silence();
    rig.write("policy.edict", &text(0));
    rig.expect(&[Ending::Recovered]);
    rig.write("policy.edict", &text(1));
    rig.expect(&[Ending::Committed(text(1))]);
    assert_eq!(rig.rejected(), 3);
}

#[test]
fn a_deleted_directory_keeps_the_generation_and_its_return_is_seen() {
    let rig = Rig::start(EVENTS);
    fs::remove_dir_all(rig.dir()).unwrap();
    rig.expect(&[Ending::Unreadable]);
    rig.expect_silence();
    fs::create_dir(rig.dir()).unwrap();
    rig.write("policy.edict", &text(2));
    rig.expect(&[Ending::Committed(text(2))]);
}

#[test]
fn an_editor_that_deletes_before_it_writes_is_not_reported() {
    let rig = Rig::start(EVENTS);
    fs::remove_file(rig.path("policy.edict")).unwrap();
    thread::sleep(ms(90));
    rig.write("policy.edict", &text(1));
    rig.expect(&[Ending::Committed(text(1))]);
}

#[test]
fn an_unreadable_file_is_reported_and_its_new_mode_is_seen() {
    use std::os::unix::fs::PermissionsExt;
    let rig = Rig::start(EVENTS);
    if rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: root reads every file");
        return;
    }
    let path = rig.path("policy.edict");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    rig.expect(&[Ending::Unreadable]);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    rig.expect(&[Ending::Recovered]);
}

#[test]
fn what_the_kernel_refuses_is_rejected_and_not_tried_again_by_the_poll() {
    let rig = Rig::start(POLL);
    rig.write("policy.edict", "refuse\nend\n");
    rig.expect(&[Ending::Rejected("refuse\nend\n".into())]);
    rig.expect_silence();
    assert_eq!(rig.prepared(), 1);
    rig.request();
    rig.expect(&[Ending::Again("refuse\nend\n".into())]);
    assert_eq!(
        rig.prepared(),
        2,
        "the operator may ask for another attempt"
    );
}

#[test]
fn a_compiler_that_fails_costs_one_edit_and_no_more() {
    let rig = Rig::start(EVENTS);
    rig.write("policy.edict", "defect\nend\n");
    rig.expect(&[Ending::Defect]);
    rig.write("policy.edict", &text(1));
    rig.expect(&[Ending::Committed(text(1))]);
}

#[test]
fn a_request_is_answered_even_when_nothing_has_changed() {
    let rig = Rig::start(EVENTS);
    rig.request();
    rig.expect(&[Ending::Unchanged]);
}

#[test]
fn an_edit_saved_while_the_last_one_is_compiled_is_not_lost() {
    let rig = Rig::start(EVENTS);
    rig.write("policy.edict", "slow\nend\n");
    rig.wait_for_build();
    rig.write("policy.edict", &text(7));
    let endings = rig.until(|ending| *ending == Ending::Committed(text(7)));
    rig.expect_silence();
    assert_eq!(endings.len(), 1, "the stale build is thrown away");
}

#[test]
fn a_policy_outside_the_pack_directory_is_seen_through_its_link() {
    let rig = Rig::with(EVENTS, |dir| {
        let real = dir.parent().unwrap().join("real");
        fs::create_dir(&real).unwrap();
        fs::write(real.join("p"), text(0)).unwrap();
        symlink(real.join("p"), dir.join("policy.edict")).unwrap();
    });
    fs::write(rig.beside("real").join("p"), text(1)).unwrap();
    rig.expect(&[Ending::Committed(text(1))]);
}

/// The limits of inotify belong to a user namespace, so a namespace of its own
/// can have none at all without disturbing anybody.
#[test]
fn reached_limits_fall_back_to_polling_and_say_so() {
    const INSIDE: &str = "EDICT_TEST_NO_INOTIFY";
    if std::env::var_os(INSIDE).is_some() {
        let rig = Rig::start(rig::Kind {
            poll: ms(100),
            ..EVENTS
        });
        rig.write("policy.edict", &text(1));
        rig.expect(&[Ending::Committed(text(1))]);
        let why = rig.polling().expect("it should say that it polls");
        assert!(why.contains("fs.inotify.max_user_instances"), "{why}");
        println!("polling: {why}");
        return;
    }
    let output = Command::new("unshare")
        .args(["-Ur", "sh", "-c"])
        .arg("echo 0 > /proc/sys/user/max_inotify_instances || exit 99; exec \"$@\"")
        .arg("sh")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "reached_limits_fall_back_to_polling_and_say_so"])
        .arg("--nocapture")
        .env(INSIDE, "1")
        .output();
    match output {
        Ok(output) if output.status.success() => {
            let out = String::from_utf8_lossy(&output.stdout);
            assert!(out.contains("polling: "), "{out}");
        }
        Ok(output) if output.status.code() == Some(101) => {
            panic!("{}", String::from_utf8_lossy(&output.stderr))
        }
        other => eprintln!("SKIPPED: no user namespace without inotify here: {other:?}"),
    }
}
