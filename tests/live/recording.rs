//! What a recording is told, and that nothing of it is lost in silence.

use std::thread;
use std::time::Duration;

use edict::live::{Happening, Stretch};

use crate::lab::{self, Worker};

const TWO_TIERS: &str = r#"language 1
policy two { version = "1" }
tier first { tickets = 100   slice = 50ms }
tier rest  { tickets = 100   slice = 5ms }
rules {
  named: when comm starts with "edict-spin" -> first
  otherwise -> rest
}
"#;

/// Records that the ring of 512 KiB holds, each with its head of eight bytes.
const ROOM: usize = (512 << 10) / (72 + 8);

fn stretches(happened: Vec<Happening>) -> Vec<Stretch> {
    let ran = happened
        .into_iter()
        .filter_map(|happening| match happening {
            Happening::Ran(stretch) => Some(stretch),
            Happening::Committed { .. } => None,
        });
    ran.collect()
}

#[test]
fn vm_what_finds_no_room_in_a_recording_is_counted() {
    let Some(_machine) = lab::machine("a recording that is not read") else {
        return;
    };
    let attached = lab::attach(TWO_TIERS);
    let workers: Vec<Worker> = (0..4)
        .map(|_| Worker::start("edict-yields", "yields 20"))
        .collect();
    let mut recording = attached.record().unwrap();
    assert!(attached.record().is_err(), "one at a time");
    thread::sleep(Duration::from_secs(8));
    let closed = recording.end().unwrap();
    let mut told = 0;
    loop {
        let happened = recording.read(1_000);
        told += happened.len();
        if happened.is_empty() {
            break;
        }
    }
    println!("{told} told, {} lost", closed.lost);
    assert!(closed.lost > 0);
    assert!((ROOM - 100..=ROOM).contains(&told), "{told}");
    assert!(closed.at_ns - recording.began_ns() > 7_000_000_000);
    drop(workers);

    // It was turned off, and the next one begins with nothing.
    thread::sleep(Duration::from_millis(200));
    assert!(recording.read(1_000).is_empty());
    let mut next = attached.record().unwrap();
    drop(recording);
    thread::sleep(Duration::from_millis(200));
    let ran = stretches(next.read(1_000));
    assert!(!ran.is_empty());
    assert!(ran.iter().all(|run| run.begun_ns >= next.began_ns()));
    assert_eq!(next.end().unwrap().lost, 0);
    attached.detach().unwrap();
}

#[test]
fn vm_a_run_that_a_real_time_task_interrupts_is_two_stretches() {
    let Some(_machine) = lab::machine("an interrupted run") else {
        return;
    };
    let attached = lab::attach(TWO_TIERS);
    let worker = Worker::start("edict-spin", "spin");
    let other = Worker::start("edict-spin", "spin");
    worker.pin(1);
    other.pin(1);
    thread::sleep(Duration::from_millis(300));
    let mut recording = attached.record().unwrap();
    for _ in 0..4 {
        lab::occupy(1, Duration::from_millis(60));
        thread::sleep(Duration::from_millis(100));
    }
    recording.end().unwrap();
    let ran = stretches(recording.read(10_000));
    let ours: Vec<&Stretch> = ran
        .iter()
        .filter(|run| run.pid == worker.pid || run.pid == other.pid)
        .collect();
    let resumed: Vec<&&Stretch> = ours.iter().filter(|run| run.is_resumed).collect();
    println!("{} stretches, resumed: {resumed:?}", ours.len());
    assert!(
        ours.iter()
            .all(|run| run.cpu == 1 && run.comm == "edict-spin")
    );
    assert!(
        ours.iter()
            .all(|run| run.ended_ns - run.begun_ns < 100_000_000)
    );
    // Where it was interrupted it waits, and the decision is the one before.
    assert!(resumed.iter().any(|run| run.waited_ns > 40_000_000));
    assert!(resumed.iter().all(|run| run.tier.0 == 0 && run.rule.0 == 0));
    attached.detach().unwrap();
}
