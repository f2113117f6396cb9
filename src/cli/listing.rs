//! The tasks that have the most CPU time, as a table.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::figures::nanos;
use super::terminal::{Align, Terminal, table};
use crate::agent::report::{TaskLine, Tasks};
use crate::diag::visible;
use crate::hooks::snapshot::rfc3339;

/// The tasks that had the most CPU time since `before`, or since their birth:
/// each with that time, `most` of them at the most.
pub(super) fn busiest(tasks: &Tasks, before: Option<&Tasks>, most: usize) -> Vec<(u64, TaskLine)> {
    let before: BTreeMap<u32, &TaskLine> = before
        .iter()
        .flat_map(|tasks| &tasks.tasks)
        .map(|task| (task.pid, task))
        .collect();
    let mut busy: Vec<(u64, TaskLine)> = tasks
        .tasks
        .iter()
        .map(|task| {
            // A number may have gone to another task, which has less behind it.
            let then = before.get(&task.pid).map(|task| task.runtime_ns);
            let then = then.filter(|then| *then <= task.runtime_ns);
            (task.runtime_ns - then.unwrap_or(0), task.clone())
        })
        .collect();
    busy.sort_by_key(|(time, task)| (std::cmp::Reverse(*time), task.pid));
    busy.truncate(most);
    busy
}

/// A line for each, below a line that says when it was.
pub(super) fn picture(terminal: &Terminal, tasks: &Tasks, busy: &[(u64, TaskLine)]) -> String {
    picture_at(terminal, tasks, busy, SystemTime::now())
}

fn picture_at(
    terminal: &Terminal,
    tasks: &Tasks,
    busy: &[(u64, TaskLine)],
    now: SystemTime,
) -> String {
    let head = [
        ("pid", Align::Right),
        ("vruntime", Align::Right),
        ("cpu", Align::Right),
        ("priority", Align::Right),
        ("time", Align::Right),
        ("tier", Align::Left),
        ("rule", Align::Left),
        ("comm", Align::Left),
    ];
    let rows: Vec<Vec<String>> = busy
        .iter()
        .map(|(time, task)| {
            let none = || "-".to_owned();
            vec![
                task.pid.to_string(),
                format!("{:.3}", task.vruntime_ns as f64 / 1e6),
                task.cpu.to_string(),
                task.priority.to_string(),
                nanos(*time),
                task.tier.clone().unwrap_or_else(none),
                task.rule.clone().unwrap_or_else(none),
                visible(&task.comm).into_owned(),
            ]
        })
        .collect();
    format!(
        "{}\n\n{}",
        terminal.bold(&format!(
            "{}  {}, generation {}  {} of {} tasks",
            rfc3339(now),
            visible(&tasks.policy),
            tasks.generation,
            busy.len(),
            tasks.total,
        )),
        table(&head, &rows)
    )
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::cli::{Color, Format};

    fn task(pid: u32, runtime_ns: u64) -> TaskLine {
        TaskLine {
            pid,
            tgid: pid,
            comm: format!("task{pid}"),
            tier: (pid != 9).then(|| "batch".into()),
            rule: (pid != 9).then(|| "builds".into()),
            vruntime_ns: 1_234_567_000 + u64::from(pid),
            runtime_ns,
            cpu: 2,
            priority: 120,
            weight: 100,
            runnable: true,
        }
    }

    fn tasks(of: &[(u32, u64)]) -> Tasks {
        Tasks {
            policy: "desktop".into(),
            generation: 7,
            total: 312,
            tasks: of.iter().map(|(pid, time)| task(*pid, *time)).collect(),
        }
    }

    #[test]
    fn the_busiest_of_the_time_come_first() {
        let before = tasks(&[(1, 90_000_000_000), (2, 5), (3, 7)]);
        let after = tasks(&[(1, 90_000_000_001), (2, 1_005), (3, 6), (4, 300)]);
        let order = |busy: Vec<(u64, TaskLine)>| -> Vec<(u32, u64)> {
            busy.iter().map(|(time, task)| (task.pid, *time)).collect()
        };
        let busy = busiest(&after, Some(&before), 3);
        assert_eq!(order(busy), [(2, 1_000), (4, 300), (3, 6)]);
        let first = busiest(&after, None, 1);
        assert_eq!(order(first), [(1, 90_000_000_001)]);
    }

    #[test]
    fn the_table_has_a_time_and_its_columns() {
        let tasks = tasks(&[(4711, 1_500_000_000), (9, 20_000_000)]);
        let busy = busiest(&tasks, None, 10);
        let now = UNIX_EPOCH + Duration::from_secs(1_792_000_000);
        let terminal = Terminal::new(Format::Human, Color::Never);
        let expected = "\
2026-10-14T17:46:40Z  desktop, generation 7  2 of 312 tasks

 pid  vruntime  cpu  priority  time  tier   rule    comm
4711  1234.572    2       120  1.5s  batch  builds  task4711
   9  1234.567    2       120  20ms  -      -       task9
";
        assert_eq!(picture_at(&terminal, &tasks, &busy, now), expected);
    }
}
