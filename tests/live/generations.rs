//! Replacing the policy a thousand times under load.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use edict::check::TierId;
use edict::live::{Attached, LiveError, LoadOptions};

use crate::lab::{self, Worker};

/// Two policies that agree in nothing: what rule n of one puts into tier n,
/// the other puts elsewhere and with another slice. A decision that read both
/// would show as a triple that neither has.
fn policy(which: u64) -> (String, BTreeSet<(u16, u16, u64)>) {
    let names = ["churn-a", "churn-b", "churn-c"];
    let slices = if which == 0 { [3, 6, 9] } else { [4, 7, 11] };
    let mut text = format!("language 1\npolicy p{which} {{ version = \"1\" }}\n");
    for (tier, slice) in slices.iter().enumerate() {
        text += &format!("tier t{tier} {{ tickets = 100 slice = {slice}ms }}\n");
    }
    text += "rules {\n";
    let mut legitimate = BTreeSet::new();
    for (rule, name) in names.iter().enumerate() {
        let tier = (rule + which as usize) % 3;
        text += &format!("r{rule}: when comm == \"{name}\" -> t{tier}\n");
        legitimate.insert((rule as u16, tier as u16, slices[tier] * 1_000_000));
    }
    let tier = (3 + which as usize) % 3;
    text += &format!("otherwise -> t{tier}\n}}\n");
    legitimate.insert((3, tier as u16, slices[tier] * 1_000_000));
    (text, legitimate)
}

#[test]
fn vm_a_thousand_commits_while_tasks_churn() {
    let Some(_machine) = lab::machine("a thousand commits") else {
        return;
    };
    let policies = [policy(0), policy(1)];
    let images = [lab::image(&policies[0].0), lab::image(&policies[1].0)];
    let mut loaded = lab::load_with(LoadOptions {
        audit: true,
        ..LoadOptions::default()
    });
    // Generation 1 is odd, and the first of the pair.
    let prepared = loaded.prepare(&images[0]).unwrap();
    loaded.commit(prepared).unwrap();
    let mut attached = loaded.attach().unwrap();
    let sequence = lab::sched_ext("enable_seq");

    let workers: Vec<Worker> = ["churn-a", "churn-b", "churn-c"]
        .iter()
        .map(|name| Worker::start(name, "naps 300 300"))
        .collect();
    let stop = AtomicBool::new(false);
    let mut prepare = Vec::new();
    let mut commit = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Forks, renames and exits.
            while !stop.load(Ordering::Relaxed) {
                let threads: Vec<_> = ["churn-a", "churn-b", "churn-c"]
                    .iter()
                    .map(|name| std::thread::spawn(|| lab::rename(name)))
                    .collect();
                threads
                    .into_iter()
                    .for_each(|thread| thread.join().unwrap());
            }
        });
        for number in 1..=1000_u64 {
            let begun = Instant::now();
            let prepared = attached.prepare(&images[number as usize % 2]).unwrap();
            prepare.push(begun.elapsed());
            let begun = Instant::now();
            let generation = attached.commit(prepared).unwrap();
            commit.push(begun.elapsed());
            assert_eq!(generation.number, number + 1);
        }
        stop.store(true, Ordering::Relaxed);
    });

    assert_eq!(lab::sched_ext("enable_seq"), sequence);
    assert_eq!(lab::sched_ext("nr_rejected"), "0");
    assert_eq!(lab::sched_ext("state"), "enabled");
    prepare.sort();
    commit.sort();
    println!(
        "prepare {:?} in the middle, {:?} at most; commit {:?}, {:?}",
        prepare[500], prepare[999], commit[500], commit[999]
    );
    let decisions = attached.decisions();
    let total: u64 = decisions.iter().map(|decision| decision.count).sum();
    println!("{total} decisions of {} kinds", decisions.len());
    for decision in &decisions {
        // Odd generations are the first policy.
        let legitimate = &policies[1 - decision.generation_parity as usize].1;
        assert!(
            legitimate.contains(&(decision.rule, decision.tier, decision.slice_ns)),
            "neither policy decides {decision:?}"
        );
    }
    assert!(total > 10_000, "only {total} decisions");
    assert!(decisions.len() >= 6);
    drop(workers);
    attached.detach().unwrap();
}

#[test]
fn vm_what_was_overtaken_is_refused_and_roll_back_is_a_generation() {
    let Some(_machine) = lab::machine("overtaken") else {
        return;
    };
    let images = [lab::image(&policy(0).0), lab::image(&policy(1).0)];
    let mut loaded = lab::load();
    assert!(matches!(loaded.roll_back(), Err(LiveError::NoGeneration)));
    let first = loaded.prepare(&images[0]).unwrap();
    let second = loaded.prepare(&images[1]).unwrap();
    assert!(matches!(loaded.commit(first), Err(LiveError::Overtaken)));
    // The number of what was overtaken is nobody's any more.
    assert_eq!(loaded.commit(second).unwrap().number, 2);
    let prepared = loaded.prepare(&images[0]).unwrap();
    assert_eq!(loaded.commit(prepared).unwrap().number, 3);
    let back = loaded.roll_back().unwrap();
    assert_eq!((back.number, back.digest), (4, images[1].digest()));
    let forth = loaded.roll_back().unwrap();
    assert_eq!((forth.number, forth.digest), (5, images[0].digest()));
}

/// What the agent told for a policy that never came into force is not taken for
/// the next one's, although it stands in the same bank.
#[test]
fn vm_rows_of_an_abandoned_policy_are_nobodys() {
    let Some(_machine) = lab::machine("abandoned") else {
        return;
    };
    let policy = |pattern: &str| {
        format!(
            "language 1\npolicy p {{ version = \"1\" }}\n\
             tier no {{ tickets = 100 slice = 5ms }}\ntier yes {{ tickets = 100 slice = 5ms }}\n\
             rules {{\n when comm like {pattern:?} -> yes\n otherwise -> no\n}}\n"
        )
    };
    let mut attached = lab::attach(&policy("nobody-*"));
    let mut worker = Worker::start("told-before", "spin");
    let pid = worker.pid;
    let is_in = |attached: &Attached, tier: u8| {
        let found = || attached.inspect(pid).unwrap();
        let took = lab::until(Duration::from_secs(5), || found().tier == TierId(tier));
        println!("in tier {tier} after {took:?}");
        took.is_some()
    };
    // Told as one that matches, and dropped.
    drop(attached.prepare(&lab::image(&policy("told-*"))).unwrap());
    worker.say("rename other-after");
    std::thread::sleep(Duration::from_millis(50));
    lab::replace(&mut attached, &policy("other-*"));
    assert!(is_in(&attached, 1));
    worker.say("rename told-before");
    assert!(is_in(&attached, 0));
    for _ in 0..100 {
        let found = attached.inspect(worker.pid).unwrap();
        assert_eq!(found.tier, TierId(0), "{found:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
    attached.detach().unwrap();
}

/// Commits with queued tasks whose tier, order and number of tiers change.
#[test]
fn vm_what_an_older_generation_queued_is_served() {
    let Some(_machine) = lab::machine("older queues") else {
        return;
    };
    let many = |order: &str| {
        let mut text = String::from("language 1\npolicy many { version = \"1\" }\n");
        for tier in 0..6 {
            text += &format!("tier t{tier} {{ tickets = 10 slice = 2ms order = {order} }}\n");
        }
        text += "rules {\n";
        for tier in 0..5 {
            text += &format!("when comm == \"hog-{tier}\" -> t{tier}\n");
        }
        text + "otherwise -> t5\n}\n"
    };
    let one = "language 1\npolicy one { version = \"1\" }\ntier t { tickets = 1 slice = 2ms }\nrules { otherwise -> t }\n";
    let texts = [many("vtime"), one.to_owned(), many("fifo"), one.to_owned()];
    let images = texts.each_ref().map(|text| lab::image(text));
    let mut attached = lab::attach(&texts[0]);
    let hogs: Vec<Worker> = (0..10)
        .map(|hog| Worker::start(&format!("hog-{}", hog % 5), "spin"))
        .collect();
    for round in 1..=60 {
        let prepared = attached.prepare(&images[round % 4]).unwrap();
        attached.commit(prepared).unwrap();
        std::thread::sleep(Duration::from_millis(10));
    }
    // A host that stops a CPU in the middle of a slice makes the task on it
    // owe that time to the others, so patience is in order; forgetting a task
    // would take five seconds to be noticed by the object itself.
    let before: Vec<Duration> = hogs.iter().map(Worker::cpu_time).collect();
    let took = lab::until(Duration::from_millis(4500), || {
        hogs.iter()
            .zip(&before)
            .all(|(hog, before)| hog.cpu_time() > *before + Duration::from_millis(20))
    });
    println!("every hog went on within {took:?}");
    assert!(took.is_some(), "{:?}", attached.statistics());
    assert!(attached.ejection().is_none());
    attached.detach().unwrap();
}
