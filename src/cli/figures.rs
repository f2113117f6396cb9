//! The counters of tiers and rules as tables: since the commit, and of a second
//! or so.

use crate::agent::Interval;
use crate::agent::report::{BalanceRuleStatus, BalanceStatus, RuleStatus, Status, TierStatus};
use crate::cli::terminal::{Align, table};
use crate::diag::visible;

type Column<'a> = (&'a str, Box<dyn Fn(&TierStatus) -> String + 'a>);

/// The tiers, with numbers in columns.
fn tiers(of: &[TierStatus], columns: &[Column<'_>]) -> String {
    let head: Vec<(&str, Align)> = std::iter::once(("tier", Align::Left))
        .chain(columns.iter().map(|(title, _)| (*title, Align::Right)))
        .collect();
    let cells = |tier: &TierStatus| -> Vec<String> {
        let numbers = columns.iter().map(|(_, number)| number(tier));
        std::iter::once(tier.name.clone()).chain(numbers).collect()
    };
    let rows: Vec<Vec<String>> = of.iter().map(cells).collect();
    table(&head, &rows)
}

fn column<'a>(title: &'a str, number: impl Fn(&TierStatus) -> String + 'a) -> Column<'a> {
    (title, Box::new(number))
}

fn waits<'a>() -> Vec<Column<'a>> {
    vec![
        column("wait p50", |tier| micros(tier.wait_p50_us)),
        column("p90", |tier| micros(tier.wait_p90_us)),
        column("p99", |tier| micros(tier.wait_p99_us)),
        column("p99.9", |tier| micros(tier.wait_p999_us)),
        column("max", |tier| micros(tier.wait_max_us)),
    ]
}

/// What only some policies bring about is shown where it happened.
fn add_rare<'a>(
    columns: &mut Vec<Column<'a>>,
    seen: &[TierStatus],
    titles: [&'a str; 3],
    show: impl Fn(u64) -> String + Copy + 'a,
) {
    let [overdue, throttled, strays] = titles;
    let rare: [(&str, fn(&TierStatus) -> u64); 3] = [
        (overdue, |tier| tier.overdue),
        (throttled, |tier| tier.throttled),
        (strays, |tier| tier.strays),
    ];
    for (title, count) in rare {
        if seen.iter().any(|tier| count(tier) > 0) {
            columns.push(column(title, move |tier| show(count(tier))));
        }
    }
}

/// What the rules of `balance` have moved since the commit.
pub(super) fn moves(balance: &BalanceStatus) -> String {
    let head = [
        ("balance", Align::Left),
        ("within", Align::Left),
        ("imbalance", Align::Right),
        ("due", Align::Right),
        ("moved", Align::Right),
    ];
    let row = |rule: &BalanceRuleStatus| {
        vec![
            visible(&rule.rule).into_owned(),
            rule.within.clone(),
            percent(rule.imbalance),
            rule.due.to_string(),
            rule.moved.to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = balance.rules.iter().map(row).collect();
    format!(
        "{}of {} tasks considered {} were hot, {} vetoed, {} moved, in {} rounds\n",
        table(&head, &rows),
        balance.considered,
        balance.hot,
        balance.vetoed,
        balance.moved,
        balance.rounds
    )
}

/// What each tier got since the commit.
pub(super) fn since_commit(status: &Status) -> String {
    let mut got = vec![
        column("tasks", |tier| tier.tasks.to_string()),
        column("runnable", |tier| tier.runnable.to_string()),
        column("tickets", |tier| tier.tickets.to_string()),
        column("cpu", |tier| percent(tier.share)),
        column("due", |tier| tier.due.map_or("-".to_owned(), percent)),
        column("runtime", |tier| nanos(tier.runtime_ns)),
        column("dispatches", |tier| tier.dispatches.to_string()),
    ];
    // Few policies have them.
    if status.tiers.iter().any(|tier| tier.budget.is_some()) {
        got.push(column("budget", |tier| {
            tier.budget.map_or("none".to_owned(), percent)
        }));
    }
    if status.tiers.iter().any(|tier| tier.cpus.is_some()) {
        got.push(column("cpus", |tier| {
            tier.cpus.clone().unwrap_or_else(|| "all".to_owned())
        }));
    }
    let mut waited = waits();
    waited.push(column("preempts", |tier| tier.preemptions.to_string()));
    waited.push(column("migrated", |tier| tier.migrations.to_string()));
    let titles = ["overdue", "throttled", "strays"];
    add_rare(&mut waited, &status.tiers, titles, |count| {
        count.to_string()
    });
    format!(
        "{}\n{}\n{}",
        tiers(&status.tiers, &got),
        tiers(&status.tiers, &waited),
        rules(&status.rules)
    )
}

fn rules(rules: &[RuleStatus]) -> String {
    let head = [
        ("rule", Align::Left),
        ("tier", Align::Left),
        ("hits", Align::Right),
    ];
    let rows: Vec<Vec<String>> = rules
        .iter()
        .map(|rule| vec![rule.name.clone(), rule.tier.clone(), rule.hits.to_string()])
        .collect();
    table(&head, &rows)
}

/// What happened in an interval, in counts a second.
pub(super) fn in_interval(status: &Status, interval: &Interval, time: &str) -> String {
    let per_second = |count: u64| rate(interval.rate(count));
    let mut columns = vec![
        column("runnable", |tier| tier.runnable.to_string()),
        column("cpu", |tier| percent(tier.share)),
        column("due", |tier| tier.due.map_or("-".to_owned(), percent)),
        column("runs/s", |tier| per_second(tier.dispatches)),
        column("preempts/s", |tier| per_second(tier.preemptions)),
        column("migrated/s", |tier| per_second(tier.migrations)),
    ];
    // A column that has come stays, or lines would not stand below each other.
    let titles = ["overdue/s", "throttled/s", "strays/s"];
    add_rare(&mut columns, &status.tiers, titles, per_second);
    columns.extend(waits());
    let version = status.version.as_deref().unwrap_or_default();
    let mut out = format!(
        "{time}  {}  generation {}, {}  {:.2} of {} CPUs in {:.1} s\n\n{}",
        visible(format!("{} {version}", status.policy).trim_end()),
        status.generation,
        status.state,
        interval.cpus_used,
        status.cpus,
        interval.seconds,
        tiers(&interval.tiers, &columns),
    );
    let head = [
        ("rule", Align::Left),
        ("tier", Align::Left),
        ("hits/s", Align::Right),
        ("hits", Align::Right),
    ];
    let hit: Vec<Vec<String>> = interval
        .rules
        .iter()
        .zip(&status.rules)
        .filter(|(rule, _)| rule.hits > 0)
        .map(|(rule, all)| {
            vec![
                rule.name.clone(),
                rule.tier.clone(),
                per_second(rule.hits),
                all.hits.to_string(),
            ]
        })
        .collect();
    if !hit.is_empty() {
        out.push('\n');
        out.push_str(&table(&head, &hit));
    }
    if interval.unmatched > 0 {
        out.push_str(&format!(
            "\nunmatched   {} a second\n",
            per_second(interval.unmatched)
        ));
    }
    out
}

fn percent(part: f64) -> String {
    format!("{:.1}%", part * 100.0)
}

fn rate(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        value if value < 10.0 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

fn micros(value: u64) -> String {
    nanos(value.saturating_mul(1_000))
}

/// Three digits at most, and a unit.
pub(super) fn nanos(value: u64) -> String {
    let number = value as f64;
    let (number, unit) = match value {
        0 => return "0".to_owned(),
        1..1_000 => (number, "ns"),
        1_000..1_000_000 => (number / 1e3, "us"),
        1_000_000..1_000_000_000 => (number / 1e6, "ms"),
        _ => (number / 1e9, "s"),
    };
    match number {
        number if number < 10.0 => format!("{number:.1}{unit}"),
        number => format!("{number:.0}{unit}"),
    }
}
