//! Caches that are both busy: a task has the same wherever it is.

use std::time::Duration;

use crate::domains::{Caches, hogs, parts};
use crate::draws::jain;
use crate::lab;

fn policy(between: &str, order: &str, balance: &str) -> String {
    format!(
        "language 1\npolicy equal {{ version = \"1\" }}\n\
         tier equal {{ tickets = 100   slice = 5ms   order = {order} }}\n\
         tier other {{ tickets = 100   slice = 5ms }}\n\
         lottery {{ between = {between} }}\n{balance}\n\
         rules {{ e: when comm == \"equal\" -> equal   otherwise -> other }}\n"
    )
}

/// An odd number of tasks on one CPU of each of two caches: whoever is among fewer
/// has more, unless they change places.
#[test]
fn vm_domains_equal_hogs_get_the_same_over_two_busy_caches() {
    let Some(_machine) = lab::machine("busy caches") else {
        return;
    };
    let Some(caches) = Caches::of("busy caches") else {
        return;
    };
    let mask = caches
        .cpus
        .values()
        .take(2)
        .fold(0, |mask, cpus| mask | 1 << cpus[0]);
    let ruled = "balance { when imbalance > 1000% for 10s -> migrate within node }";
    let mut attached = lab::attach(&policy("tiers", "vtime", ruled));
    let workers = hogs("equal", 3);
    workers
        .iter()
        .for_each(|worker| lab::pin_to(worker.pid, mask));
    std::thread::sleep(Duration::from_secs(1));
    let moved = || attached.statistics().unwrap().tiers[0].migrations;
    let before = moved();
    let apart = parts(&workers, Duration::from_secs(4));
    let moves = moved() - before;
    println!(
        "by rules: {:.4} of {apart:.2?}, {moves} moves",
        jain(&apart)
    );
    // Rules say what moves, and these move nothing. The lab's own threads do not
    // compute for long, but a CPU that is idle for a moment may take one.
    assert!(moves < 60, "{moves}");
    for (between, order) in [("tiers", "vtime"), ("tiers", "lottery"), ("stride", "fifo")] {
        lab::replace(&mut attached, &policy(between, order, ""));
        std::thread::sleep(Duration::from_millis(500));
        let fair = (0..2).any(|_| {
            let used = parts(&workers, Duration::from_secs(6));
            println!("{between}, {order}: {:.4} of {used:.2?}", jain(&used));
            jain(&used) >= 0.98
        });
        assert!(fair, "{between}, {order}");
    }
    attached.detach().unwrap();
}
