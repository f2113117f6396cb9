//! Tasks and values, written so that `--task` and a shell read them back.

use serde_json::{Value as Json, json};

use crate::check::{Attribute, Type, Value, task_text};
use crate::eval::Task;

/// A task as `--task` takes it: `comm=nginx nice=-5`.
pub(super) fn describe(task: &Task) -> String {
    let values = task.values();
    let values: Vec<_> = values
        .map(|(attribute, value)| (attribute, value.clone()))
        .collect();
    task_text(&values)
}

/// A number with the unit of its attribute, nothing rounded.
pub(super) fn number_text(attribute: Attribute, value: i64) -> String {
    match attribute.about().ty {
        Type::Duration => {
            let (size, unit) = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")]
                .into_iter()
                .find(|(size, _)| value != 0 && value % size == 0)
                .unwrap_or((1, "ns"));
            format!("{}{unit}", value / size)
        }
        Type::Ratio => {
            let fraction = format!("{:04}", value % 10_000);
            match fraction.trim_end_matches('0') {
                "" => format!("{}%", value / 10_000),
                fraction => format!("{}.{fraction}%", value / 10_000),
            }
        }
        _ => value.to_string(),
    }
}

/// A value for programs: durations in nanoseconds, ratios in parts per million.
pub(super) fn value_json(value: &Value) -> Json {
    match value {
        Value::Text(text) => json!(text),
        Value::Number(number) => json!(number),
        Value::Truth(truth) => json!(truth),
    }
}

/// A word for a shell.
pub(super) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+%@".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parse_task;

    #[test]
    fn what_is_described_is_read_back() {
        let task = Task::default()
            .with(Attribute::Comm, "Web \"x\" \\'")
            .with(Attribute::Cmdline, "'a' b")
            .with(Attribute::Nice, -5)
            .with(Attribute::RuntimeAvg, 1_500_000)
            .with(Attribute::SleepAvg, 0)
            .with(Attribute::Age, 3_000_000_000)
            .with(Attribute::CpuUtil, 123_400)
            .with(Attribute::Load, 1_500_000)
            .with(Attribute::Kthread, true);
        let text = describe(&task);
        assert_eq!(parse_task(&text).unwrap(), task, "{text}");
        assert!(
            text.contains("runtime_avg=1500us") && text.contains("cpu_util=12.34%"),
            "{text}"
        );
    }

    #[test]
    fn words_for_a_shell() {
        assert_eq!(quoted("a/b=c"), "a/b=c");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!(quoted(""), "''");
    }
}
