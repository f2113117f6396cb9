//! The form of a snapshot in a file: JSON, one task a line.
//!
//! Attributes are an object from names to values: texts, whole numbers
//! (durations in nanoseconds, ratios in parts per million) and truth values. What
//! is unknown is left out. A name or a value that no attribute has is refused
//! with its place, because a file that says something else than it seems to would
//! make a wrong answer.

use serde::de::{Deserialize as _, Deserializer, Error as _};

use super::{Sampled, Snapshot, VERSION};

/// Why a text is no snapshot, and where that shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// What is wrong, as a part of a sentence.
    pub message: String,
    /// The line, from 1; 0 where there is no place.
    pub line: usize,
    /// The byte in the line, from 1.
    pub column: usize,
}

impl Snapshot {
    /// The text of the file.
    pub fn to_text(&self) -> String {
        let mut head = self.clone();
        head.tasks.clear();
        // Strings and numbers only: none of this can fail.
        let head = serde_json::to_string_pretty(&head).unwrap_or_default();
        let tasks: Vec<String> = self
            .tasks
            .iter()
            .map(|task: &Sampled| serde_json::to_string(task).unwrap_or_default())
            .collect();
        match head.strip_suffix("[]\n}") {
            Some(head) if !tasks.is_empty() => {
                format!("{head}[\n    {}\n  ]\n}}\n", tasks.join(",\n    "))
            }
            _ => format!("{head}\n"),
        }
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// [`Malformed`] when it is not JSON, of another version, or says something
    /// that no attribute can be.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let failed = |error: serde_json::Error| {
            let text = error.to_string();
            let place = format!(" at line {} column {}", error.line(), error.column());
            Malformed {
                message: text.strip_suffix(&place).unwrap_or(&text).to_owned(),
                line: error.line(),
                column: error.column(),
            }
        };
        #[derive(serde::Deserialize)]
        struct Versioned {
            version: Option<u64>,
        }
        // Another version may have any other field, so this comes first.
        let known = serde_json::from_str::<Versioned>(text).map_err(failed)?;
        if known.version != Some(u64::from(VERSION)) {
            let message = match known.version {
                None => "it has no version, so it is no snapshot".to_owned(),
                Some(other) => format!("it has version {other}; this edict reads {VERSION}"),
            };
            return Err(Malformed {
                message,
                line: 0,
                column: 0,
            });
        }
        let snapshot: Self = serde_json::from_str(text).map_err(failed)?;
        let is_odd = |task: &&Sampled| task.window_runtime_ns > task.runtime_ns;
        match snapshot.tasks.iter().find(is_odd) {
            None => Ok(snapshot),
            Some(task) => Err(Malformed {
                message: format!(
                    "the task {} ran longer in the window than in its whole life",
                    task.pid
                ),
                line: 0,
                column: 0,
            }),
        }
    }
}

/// A part of all CPU time, judged while it is read.
pub(super) fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let share = f64::deserialize(deserializer)?;
    match (0.0..=1.0).contains(&share) {
        true => Ok(share),
        false => Err(D::Error::custom(format!(
            "`share` is a part of all CPU time, from 0 to 1; it cannot be {share}"
        ))),
    }
}

/// Attributes as an object. Names and values are judged while they are read,
/// because then it is known where they stand.
pub(super) mod attributes {
    use std::fmt;

    use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
    use serde::ser::{SerializeMap as _, Serializer};

    use crate::check::{Attribute, Type, Value};
    use crate::diag::shown;
    use crate::eval::Task;

    pub(in super::super) fn serialize<S: Serializer>(
        task: &Task,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (attribute, value) in task.values() {
            let name = attribute.about().name;
            match value {
                Value::Text(text) => map.serialize_entry(name, text)?,
                Value::Number(number) => map.serialize_entry(name, number)?,
                Value::Truth(truth) => map.serialize_entry(name, truth)?,
            }
        }
        map.end()
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Task, D::Error> {
        deserializer.deserialize_map(Attributes)
    }

    struct Attributes;

    impl<'de> Visitor<'de> for Attributes {
        type Value = Task;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of attributes")
        }

        fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Task, M::Error> {
            let mut task = Task::default();
            while let Some(attribute) = map.next_key_seed(Name)? {
                let value = map.next_value_seed(Of(attribute))?;
                task.set(attribute, value);
            }
            Ok(task)
        }
    }

    /// The name of an attribute.
    struct Name;

    impl<'de> DeserializeSeed<'de> for Name {
        type Value = Attribute;

        fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Attribute, D::Error> {
            deserializer.deserialize_str(self)
        }
    }

    impl Visitor<'_> for Name {
        type Value = Attribute;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the name of an attribute")
        }

        fn visit_str<E: Error>(self, name: &str) -> Result<Attribute, E> {
            Attribute::by_name(name)
                .ok_or_else(|| E::custom(format!("there is no attribute `{}`", shown(name))))
        }
    }

    /// A value of this attribute.
    struct Of(Attribute);

    impl Of {
        fn number<E: Error>(
            self,
            number: Option<i64>,
            written: &dyn fmt::Display,
        ) -> Result<Value, E> {
            let about = self.0.about();
            if matches!(about.ty, Type::Text | Type::Bool) {
                return Err(E::custom(self.wanted()));
            }
            let (low, high) = about.range.unwrap_or((i64::MIN, i64::MAX));
            match number {
                Some(number) if (low..=high).contains(&number) => Ok(Value::Number(number)),
                _ => Err(E::custom(format!("`{}` cannot be {written}", about.name))),
            }
        }

        fn wanted(&self) -> String {
            let about = self.0.about();
            let what = match about.ty {
                Type::Text => "a text",
                Type::Count => "a whole number",
                Type::Duration => "a whole number of nanoseconds",
                Type::Ratio => "a whole number of parts per million",
                Type::Bool => "true or false",
            };
            format!("`{}` is {what}", about.name)
        }
    }

    impl<'de> DeserializeSeed<'de> for Of {
        type Value = Value;

        fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
            deserializer.deserialize_any(self)
        }
    }

    impl Visitor<'_> for Of {
        type Value = Value;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(&self.wanted())
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
            match self.0.about().ty {
                Type::Text => Ok(Value::Text(text.to_owned())),
                _ => Err(E::custom(self.wanted())),
            }
        }

        fn visit_bool<E: Error>(self, truth: bool) -> Result<Value, E> {
            match self.0.about().ty {
                Type::Bool => Ok(Value::Truth(truth)),
                _ => Err(E::custom(self.wanted())),
            }
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
            self.number(Some(number), &number)
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
            self.number(i64::try_from(number).ok(), &number)
        }

        fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
            self.number(None, &number)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Host;
    use super::*;
    use crate::check::Attribute;
    use crate::eval::Task;

    fn snapshot() -> Snapshot {
        Snapshot {
            version: VERSION,
            time: "2026-11-21T15:30:00Z".into(),
            host: Host {
                kernel: "6.18.0".into(),
                ncpu: 8,
                llcs: 2,
            },
            window_ns: 1_000_000_000,
            system: Task::default().with(Attribute::Load, 1_500_000),
            unreadable: [("exe".to_owned(), 3)].into(),
            tasks: vec![
                Sampled {
                    pid: 7,
                    tgid: 7,
                    runtime_ns: 5_000,
                    window_runtime_ns: 80,
                    share: 0.25,
                    attributes: Task::default()
                        .with(Attribute::Comm, "a\"b\u{202e}")
                        .with(Attribute::Nice, -5)
                        .with(Attribute::Kthread, false),
                },
                Sampled {
                    pid: 8,
                    tgid: 7,
                    runtime_ns: 0,
                    window_runtime_ns: 0,
                    share: 0.0,
                    attributes: Task::default(),
                },
            ],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut whole = snapshot();
        let text = whole.to_text();
        assert_eq!(Snapshot::parse(&text).unwrap(), whole);
        let lines: Vec<&str> = text.lines().filter(|l| l.contains("\"pid\"")).collect();
        assert_eq!(lines.len(), 2, "one task a line: {text}");
        whole.tasks.clear();
        assert_eq!(Snapshot::parse(&whole.to_text()).unwrap(), whole);
    }

    #[test]
    fn what_is_wrong_has_a_place() {
        let text = snapshot().to_text();
        let wrong = |from: &str, to: &str| {
            assert!(text.contains(from), "{from}");
            Snapshot::parse(&text.replace(from, to)).unwrap_err()
        };
        for (from, to, message) in [
            ("\"nice\":-5", "\"nice\":-50", "`nice` cannot be -50"),
            ("\"nice\":-5", "\"nice\":1.5", "`nice` cannot be 1.5"),
            (
                "\"nice\":-5",
                "\"nice\":\"low\"",
                "`nice` is a whole number",
            ),
            (
                "\"nice\":-5",
                "\"nicer\":-5",
                "there is no attribute `nicer`",
            ),
            (
                "\"kthread\":false",
                "\"kthread\":0",
                "`kthread` is true or false",
            ),
            (
                "\"share\":0.25",
                "\"share\":-0.25",
                "`share` is a part of all CPU time, from 0 to 1; it cannot be -0.25",
            ),
            (
                "\"share\":0.25",
                "\"share\":25.5",
                "`share` is a part of all CPU time, from 0 to 1; it cannot be 25.5",
            ),
        ] {
            let error = wrong(from, to);
            assert_eq!(error.message, message);
            let line = text.lines().position(|line| line.contains(from)).unwrap();
            assert_eq!(error.line, line + 1, "{message}");
            assert!(error.column > 1);
        }
        assert!(wrong("\"tgid\"", "\"tgidd\"").message.contains("tgidd"));
        assert_eq!(
            wrong("\"version\": 1", "\"version\": 2").message,
            "it has version 2; this edict reads 1"
        );
        assert!(wrong("\"version\": 1,", "").message.contains("no version"));
        // More than a number can be, less than nothing, more than there was.
        for (from, to) in [
            ("\"share\":0.25", "\"share\":1e999"),
            ("\"runtime_ns\":5000", "\"runtime_ns\":-1"),
            ("\"window_runtime_ns\":80", "\"window_runtime_ns\":-80"),
        ] {
            assert!(wrong(from, to).line > 1, "{to}");
        }
        assert_eq!(
            wrong("\"window_runtime_ns\":80", "\"window_runtime_ns\":5001").message,
            "the task 7 ran longer in the window than in its whole life"
        );
        let cut = Snapshot::parse(&text[..text.len() / 2]).unwrap_err();
        assert!(cut.message.starts_with("EOF while parsing"), "{cut:?}");
        assert!(Snapshot::parse("").is_err() && Snapshot::parse("[]").is_err());
        let deep = "[".repeat(100_000);
        assert!(Snapshot::parse(&deep).is_err());
    }
}
