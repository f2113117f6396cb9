//! A task described on the command line: `comm=nginx nice=-5 cgroup=/a/b`.
//!
//! Pairs of attribute and value, separated by white space. A value with white
//! space in it stands in quotes, single or double; in double quotes `\"` and
//! `\\` stand for themselves. An attribute that is left out is *unknown*, as it
//! is for a task that the kernel knows too little about yet: every condition on
//! it is false, and so is its negation. Nothing is filled in by guess.

use thiserror::Error;

use crate::check::{ATTRIBUTES, About, Attribute, COMM_BYTES, Type};
use crate::diag::shown;
use crate::eval::Task;

/// Why a description is not one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct TaskError {
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

fn error(message: impl Into<String>, help: Option<String>) -> TaskError {
    TaskError {
        message: message.into(),
        help,
    }
}

/// Read a description.
pub fn parse_task(text: &str) -> Result<Task, TaskError> {
    let mut task = Task::default();
    let mut given = Vec::new();
    for (key, value) in pairs(text)? {
        let about = attribute(&key)?;
        if given.contains(&about.attribute) {
            return Err(error(format!("`{key}` is given twice"), None));
        }
        given.push(about.attribute);
        set(&mut task, about, &value)?;
    }
    Ok(task)
}

pub(super) fn attribute(key: &str) -> Result<&'static About, TaskError> {
    if let Some(attribute) = Attribute::by_name(key) {
        return Ok(attribute.about());
    }
    let lower = key.to_lowercase();
    let near = ATTRIBUTES
        .iter()
        .map(|about| (strsim::damerau_levenshtein(about.name, &lower), about.name))
        .filter(|(distance, _)| *distance <= 2)
        .min();
    let help = match near {
        Some((_, name)) => format!("did you mean `{name}`?"),
        None => all_of_them(),
    };
    Err(error(
        format!("there is no attribute `{}`", shown(key)),
        Some(help),
    ))
}

fn all_of_them() -> String {
    let names: Vec<&str> = ATTRIBUTES.iter().map(|about| about.name).collect();
    format!("the attributes are {}", names.join(", "))
}

/// What to write if a value looks like several pairs run together.
fn divided(name: &str, value: &str) -> Option<String> {
    let (first, second) = value.split_once([';', ',', '&'])?;
    let (key, _) = second.split_once('=')?;
    Attribute::by_name(key.trim())?;
    Some(format!(
        "white space stands between attributes: `{name}={} {}`",
        shown(first),
        shown(second.trim())
    ))
}

/// A value as it can be written behind `=`.
fn written(value: &str) -> String {
    let is_plain = !value.is_empty()
        && !value.starts_with(['"', '\''])
        && !value.contains(char::is_whitespace);
    match is_plain {
        true => value.to_owned(),
        false => format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

fn set(task: &mut Task, about: &About, value: &str) -> Result<(), TaskError> {
    let name = about.name;
    match about.ty {
        Type::Text => {
            check_text(about, value)?;
            task.set(about.attribute, value);
        }
        Type::Bool => {
            let value = match value {
                "true" => true,
                "false" => false,
                _ => {
                    return Err(error(
                        format!("`{name}` is true or false, not `{}`", shown(value)),
                        divided(name, value),
                    ));
                }
            };
            task.set(about.attribute, value);
        }
        Type::Count | Type::Duration | Type::Ratio => {
            let number = match about.ty {
                Type::Duration => duration(name, value)?,
                Type::Ratio => ratio(name, value)?,
                _ => value.parse().map_err(|_| {
                    error(
                        format!("`{name}` is a number, not `{}`", shown(value)),
                        divided(name, value),
                    )
                })?,
            };
            if let Some((low, high)) = about.range
                && !(low..=high).contains(&number)
            {
                let value = shown(value);
                return Err(error(
                    match about.ty {
                        Type::Ratio => {
                            let (low, high) = (low / 10_000, high / 10_000);
                            format!("`{name}` is a ratio from {low}% to {high}%, not {value}")
                        }
                        Type::Duration => {
                            format!(
                                "`{name}` is a duration, which is never negative, not `{value}`"
                            )
                        }
                        _ => format!("`{name}` is a number from {low} to {high}, not {value}"),
                    },
                    None,
                ));
            }
            task.set(about.attribute, number);
        }
    }
    Ok(())
}

fn check_text(about: &About, value: &str) -> Result<(), TaskError> {
    let name = about.name;
    match about.attribute {
        Attribute::Comm if value.len() > COMM_BYTES => {
            let end = value.floor_char_boundary(COMM_BYTES);
            Err(error(
                format!(
                    "`{name}` has at most {COMM_BYTES} bytes; `{}` has {}",
                    shown(value),
                    value.len()
                ),
                value.get(..end).map(|kept| {
                    format!(
                        "the kernel keeps the first {end}: `{name}={}`",
                        written(kept)
                    )
                }),
            ))
        }
        Attribute::Exe | Attribute::Cgroup => check_path(name, value),
        _ => Ok(()),
    }
}

/// A path as the kernel tells it: from the root, and without detours.
fn check_path(name: &str, value: &str) -> Result<(), TaskError> {
    let parts = || value.split('/').filter(|part| !matches!(*part, "" | "."));
    let direct = format!("/{}", parts().collect::<Vec<_>>().join("/"));
    if value == direct && parts().all(|part| part != "..") {
        return Ok(());
    }
    let value = shown(value);
    let message = match value.starts_with('/') {
        false => format!("`{name}` is a path from the root, not `{value}`"),
        true => format!(
            "`{name}` is a path without `.`, `..`, `//` and a `/` at the end, not `{value}`"
        ),
    };
    let help = parts()
        .all(|part| part != "..")
        .then(|| format!("write `{name}={}`", written(&direct)));
    Err(error(message, help))
}

fn duration(name: &str, value: &str) -> Result<i64, TaskError> {
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = value.get(digits.len()..).unwrap_or("");
    let size: i64 = match unit {
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "" if digits.parse::<i64>().is_ok_and(|count| count >= 0) => {
            return Err(error(
                format!("`{name}` is a duration"),
                Some(format!("write `{name}={value}ms`, or us, s, ns")),
            ));
        }
        _ => {
            return Err(error(
                format!("`{name}` is a duration like 2ms, not `{}`", shown(value)),
                divided(name, value),
            ));
        }
    };
    digits
        .parse::<i64>()
        .ok()
        .and_then(|count| count.checked_mul(size))
        .ok_or_else(|| {
            error(
                format!("`{name}` is a duration like 2ms, not `{}`", shown(value)),
                None,
            )
        })
}

/// `80%` or `12.5%`, in parts per million.
fn ratio(name: &str, value: &str) -> Result<i64, TaskError> {
    let parts = value.strip_suffix('%').and_then(|number| {
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.len() > 4 {
            return None;
        }
        let whole: i64 = whole.parse().ok()?;
        let fraction: i64 = format!("{fraction:0<4}").parse().ok()?;
        whole.checked_mul(10_000)?.checked_add(fraction)
    });
    parts.ok_or_else(|| {
        error(
            format!("`{name}` is a ratio like 80%, not `{}`", shown(value)),
            divided(name, value),
        )
    })
}

fn pairs(text: &str) -> Result<Vec<(String, String)>, TaskError> {
    let mut pairs = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| c == '=' || c.is_whitespace())
            .unwrap_or(rest.len());
        let (key, behind) = rest.split_at(end);
        let Some(behind) = behind.strip_prefix('=') else {
            return Err(error(
                format!("`{}` has no value", shown(key)),
                Some(format!(
                    "write `{}=…`; a value with spaces stands in quotes",
                    shown(key)
                )),
            ));
        };
        let (value, behind) = value(key, behind)?;
        pairs.push((key.to_owned(), value));
        rest = behind.trim_start();
    }
    Ok(pairs)
}

fn value<'a>(key: &str, text: &'a str) -> Result<(String, &'a str), TaskError> {
    let Some(quote) = text.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        let (value, behind) = text.split_at(end);
        return Ok((value.to_owned(), behind));
    };
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => {
                let behind = text.get(at + 1..).unwrap_or("");
                if behind.is_empty() || behind.starts_with(char::is_whitespace) {
                    return Ok((value, behind));
                }
                return Err(error(
                    format!("text stands right behind the quotes of `{key}`"),
                    Some("put a space between, or all of it into the quotes".to_owned()),
                ));
            }
            '\\' if quote == '"' => match chars.next() {
                Some((_, c @ ('"' | '\\'))) => value.push(c),
                _ => {
                    return Err(error(
                        format!("in the value of `{key}`, `\\` stands only before `\"` and `\\`"),
                        None,
                    ));
                }
            },
            c => value.push(c),
        }
    }
    Err(error(format!("the quotes of `{key}` are not closed"), None))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> (String, String) {
        let error = parse_task(text).unwrap_err();
        (error.message, error.help.unwrap_or_default())
    }

    #[test]
    fn every_attribute_can_be_given() {
        let task = parse_task(
            "comm=nginx exe=/usr/sbin/nginx nice=-5 uid=33 kthread=false \
             cgroup=/system.slice/nginx.service runtime_avg=2ms wake_rate=100",
        )
        .unwrap();
        assert_eq!(
            task,
            Task::default()
                .with(Attribute::Comm, "nginx")
                .with(Attribute::Exe, "/usr/sbin/nginx")
                .with(Attribute::Nice, -5)
                .with(Attribute::Uid, 33)
                .with(Attribute::Kthread, false)
                .with(Attribute::Cgroup, "/system.slice/nginx.service")
                .with(Attribute::RuntimeAvg, 2_000_000)
                .with(Attribute::WakeRate, 100)
        );
    }

    #[test]
    fn what_is_left_out_is_unknown() {
        assert_eq!(parse_task("  ").unwrap(), Task::default());
    }

    #[test]
    fn quotes_hold_spaces_together() {
        let comm = |text| {
            let task = parse_task(text).unwrap();
            task.text(Attribute::Comm).unwrap().to_owned()
        };
        assert_eq!(comm("comm='Web Content' nice=0"), "Web Content");
        assert_eq!(comm(r#"comm="a \"b\" \\""#), r#"a "b" \"#);
        assert_eq!(comm("comm=a=b"), "a=b");
        assert_eq!(comm("comm="), "");
    }

    #[test]
    fn what_is_suggested_is_accepted() {
        for text in [
            "comm=abcdefghijklmnéé",
            "comm='Web Content is long'",
            "comm='\"quoted\" and long'",
            "comm=' \\\\ \" and long enough'",
            "exe=a/b",
            "exe='a b//c'",
            "exe=/a/./b/",
            "cgroup=/a/",
            "cgroup=",
            "cgroup=//",
            "nice=5;uid=3",
        ] {
            let (_, help) = wrong(text);
            let (_, written) = help.split_once('`').expect(text);
            let written = written.strip_suffix('`').expect(text);
            assert!(parse_task(written).is_ok(), "{text}: {written}");
        }
        assert!(parse_task("cgroup=/ exe=/usr/bin/x").is_ok());
        for text in ["exe=/a/../b", "cgroup=../x"] {
            assert_eq!(wrong(text).1, "", "{text}");
        }
    }

    #[test]
    fn mistakes_are_named_with_a_cure() {
        assert_eq!(
            wrong("com=x"),
            (
                "there is no attribute `com`".into(),
                "did you mean `comm`?".into()
            )
        );
        assert!(
            wrong("colour=red")
                .1
                .starts_with("the attributes are comm, exe")
        );
        assert_eq!(wrong("nice=5 nice=6").0, "`nice` is given twice");
        assert_eq!(
            wrong("nice=20").0,
            "`nice` is a number from -20 to 19, not 20"
        );
        assert_eq!(wrong("nice=low").0, "`nice` is a number, not `low`");
        assert_eq!(
            wrong("kthread=yes").0,
            "`kthread` is true or false, not `yes`"
        );
        assert_eq!(
            wrong("runtime_avg=2"),
            (
                "`runtime_avg` is a duration".into(),
                "write `runtime_avg=2ms`, or us, s, ns".into()
            )
        );
        assert_eq!(
            wrong("runtime_avg=2min").0,
            "`runtime_avg` is a duration like 2ms, not `2min`"
        );
        assert_eq!(
            wrong("comm=abcdefghijklmnopq"),
            (
                "`comm` has at most 15 bytes; `abcdefghijklmnopq` has 17".into(),
                "the kernel keeps the first 15: `comm=abcdefghijklmno`".into()
            )
        );
        assert_eq!(
            wrong("cgroup=a/b"),
            (
                "`cgroup` is a path from the root, not `a/b`".into(),
                "write `cgroup=/a/b`".into()
            )
        );
        assert_eq!(
            wrong("runtime_avg=-2ms").0,
            "`runtime_avg` is a duration, which is never negative, not `-2ms`"
        );
        assert_eq!(
            wrong("cpu_util=150%").0,
            "`cpu_util` is a ratio from 0% to 100%, not 150%"
        );
        assert_eq!(wrong("NICE=5").1, "did you mean `nice`?");
        assert_eq!(
            wrong("nice=5;uid=3"),
            (
                "`nice` is a number, not `5;uid=3`".into(),
                "white space stands between attributes: `nice=5 uid=3`".into()
            )
        );
        assert_eq!(wrong("comm").0, "`comm` has no value");
        assert_eq!(wrong("comm='a").0, "the quotes of `comm` are not closed");
        assert_eq!(
            wrong("comm='a'b").0,
            "text stands right behind the quotes of `comm`"
        );
    }
}
