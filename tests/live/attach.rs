//! Attaching, detaching, and dying.

use std::time::{Duration, Instant};

use edict::live::{self, LiveError};

use crate::lab::{self, Worker};

const ONE_TIER: &str = r#"language 1
policy one { version = "1" }
tier all { tickets = 100   slice = 5ms }
rules { otherwise -> all }
"#;

#[test]
fn vm_the_kernel_says_who_is_in_charge() {
    let Some(_machine) = lab::machine("who is in charge") else {
        return;
    };
    let before: u64 = lab::sched_ext("enable_seq").parse().unwrap();
    let attached = lab::attach(ONE_TIER);
    assert_eq!(lab::sched_ext("state"), "enabled");
    assert!(lab::sched_ext("root/ops").starts_with("edict"));
    let after: u64 = lab::sched_ext("enable_seq").parse().unwrap();
    assert_eq!(after, before + 1);
    assert!(matches!(
        live::load(live::LoadOptions::default()).and_then(|mut second| {
            let prepared = second.prepare(&lab::image(ONE_TIER))?;
            second.commit(prepared)?;
            second.attach()
        }),
        Err(LiveError::Occupied(name)) if name.starts_with("edict")
    ));
    assert!(attached.ejection().is_none());

    let begun = Instant::now();
    attached.detach().unwrap();
    println!("detached in {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!(lab::sched_ext("state"), "disabled");
}

#[test]
fn vm_nothing_attaches_without_a_generation() {
    let Some(_machine) = lab::machine("nothing without a generation") else {
        return;
    };
    assert!(matches!(lab::load().attach(), Err(LiveError::NoGeneration)));
    assert_eq!(lab::sched_ext("state"), "disabled");
}

#[test]
fn vm_when_the_agent_is_killed_the_kernel_takes_over() {
    let Some(_machine) = lab::machine("killed agent") else {
        return;
    };
    let hog = Worker::start("hog", "spin");
    let agent = Worker::start("agent", "attach");
    assert_eq!(lab::sched_ext("state"), "enabled");
    drop(agent); // SIGKILL
    let took = lab::until(Duration::from_secs(5), || {
        lab::sched_ext("state") == "disabled"
    });
    println!("the kernel took over within {took:?}");
    assert!(took.unwrap() < Duration::from_secs(2));
    let before = hog.cpu_time();
    std::thread::sleep(Duration::from_millis(300));
    assert!(hog.cpu_time() > before + Duration::from_millis(100));
}
