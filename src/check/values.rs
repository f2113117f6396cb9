//! Types the value of one field.

use super::attribute::{Attribute, Type};
use super::blocks::{Blocks, Given, tier_id};
use super::kernel;
use super::literals::bare_number;
use super::misfit::unknown_attribute;
use super::parts::Cpus;
use super::policy::TierId;
use super::schema::{Field, FieldType};
use super::scope::unknown_tier;
use super::sink::meant;
use super::types::{self, Value};
use crate::diag::{Code, Diagnostic, Span, shown};
use crate::syntax::ast::{Expr, Kind};

/// CPUs, caches or nodes: as many as the mask of a tier has bits.
pub const MOST_CPUS: usize = 1_024;

/// Attributes that a model can be given.
const MOST_INPUTS: usize = 16;

impl Blocks<'_> {
    /// The value of a field, as its type asks for it. Complains and returns none
    /// when it is something else.
    pub(super) fn given(&mut self, field: &'static Field, expr: &Expr) -> Option<Given> {
        match field.ty {
            FieldType::Choice(choices) => self.choice(field, choices, expr),
            FieldType::Tiers => self.tiers(field, expr),
            FieldType::Attributes => self.attributes(field, expr),
            FieldType::Model => self.model(field, expr),
            FieldType::Count(low, high)
            | FieldType::Duration(low, high)
            | FieldType::Ratio(low, high)
            | FieldType::Bytes(low, high) => {
                let number = self.number(field, (low, high), expr)?;
                Some(Given::Number(number))
            }
            FieldType::Truth => {
                if let Some(problem) = other_truth(field.name, expr) {
                    return self.refuse(problem);
                }
                match types::value(expr, self.scope, self.sink)? {
                    Value::Truth(truth) => Some(Given::Truth(truth)),
                    other => self.refuse(wrong(field, "true or false", &other, expr.span())),
                }
            }
            FieldType::Text => self.text(field, expr).map(Given::Text),
            FieldType::Kernel => {
                let text = self.text(field, expr)?;
                match kernel::version(&text) {
                    Some((major, minor)) => Some(Given::Kernel(major, minor)),
                    None => self.refuse(
                        Diagnostic::new(
                            Code::E0315,
                            format!("`{}` is not a kernel version", shown(&text)),
                        )
                        .label(expr.span(), "expected two numbers and a dot")
                        .help(format!("write `{}`", field.written())),
                    ),
                }
            }
            FieldType::Digest => {
                let text = self.text(field, expr)?;
                match digest(&text) {
                    Some(bytes) => Some(Given::Digest(bytes)),
                    None => self.refuse(
                        Diagnostic::new(
                            Code::E0315,
                            format!("`{}` is not a SHA-256 digest", shown(&text)),
                        )
                        .label(expr.span(), "expected 64 hexadecimal digits")
                        .help("`sha256sum FILE` prints it"),
                    ),
                }
            }
            FieldType::Path => {
                let text = self.text(field, expr)?;
                match unfit_path(&text, expr.span()) {
                    Some(problem) => self.refuse(problem),
                    None => Some(Given::Path(text)),
                }
            }
            FieldType::Cpus => {
                let text = self.text(field, expr)?;
                match cpus(&text) {
                    Ok(cpus) => Some(Given::Cpus(cpus)),
                    Err(problem) => self.refuse(
                        Diagnostic::new(
                            Code::E0315,
                            format!("`{}` names no CPUs", shown(&text)),
                        )
                        .label(expr.span(), problem)
                        .help(
                            "write numbers and ranges as in `\"0-3,8\"`, or one domain as `\"llc 0\"` or `\"node 1\"`",
                        ),
                    ),
                }
            }
            FieldType::Bounds => self.refuse(
                Diagnostic::new(Code::E0301, format!("`{}` is a block", field.name))
                    .label(expr.span(), "a value")
                    .help(format!("write `{}`", field.written())),
            ),
        }
    }

    pub(super) fn refuse<T>(&mut self, diagnostic: Diagnostic) -> Option<T> {
        self.sink.push(diagnostic);
        None
    }

    /// A text that says something.
    fn text(&mut self, field: &Field, expr: &Expr) -> Option<String> {
        let span = expr.span();
        match types::value(expr, self.scope, self.sink)? {
            Value::Text(text) if !text.trim().is_empty() => Some(text),
            Value::Text(_) => self.refuse(
                Diagnostic::new(Code::E0315, format!("`{}` is empty", field.name))
                    .label(span, "")
                    .help(if field.required {
                        format!("write `{}`", field.written())
                    } else {
                        format!("write a text, or leave `{}` out", field.name)
                    }),
            ),
            other => self.refuse(wrong(field, "a text", &other, span)),
        }
    }

    /// A number of the type of the field, in a range.
    pub(super) fn number(
        &mut self,
        field: &Field,
        (low, high): (i64, i64),
        expr: &Expr,
    ) -> Option<i64> {
        let span = expr.span();
        let value = types::value(expr, self.scope, self.sink)?;
        let number = match (field.ty, &value) {
            (FieldType::Count(..), Value::Count(number))
            | (FieldType::Duration(..), Value::Duration(number))
            | (FieldType::Ratio(..), Value::Ratio(number))
            | (FieldType::Bytes(..), Value::Bytes(number)) => *number,
            (FieldType::Duration(..), Value::Count(number)) => {
                return self.refuse(bare_number(field.name, *number, (low, high), span));
            }
            (FieldType::Ratio(..), Value::Count(number)) => {
                return self.refuse(without_unit(field, "a ratio", &format!("{number}%"), span));
            }
            (FieldType::Bytes(..), Value::Count(number)) => {
                let example = format!("{number}KiB");
                return self.refuse(without_unit(field, "a size", &example, span));
            }
            _ => {
                let due = match field.ty {
                    FieldType::Duration(..) => "a duration",
                    FieldType::Ratio(..) => "a ratio",
                    FieldType::Bytes(..) => "a size",
                    _ => "a number",
                };
                return self.refuse(wrong(field, due, &value, span));
            }
        };
        if (low..=high).contains(&number) {
            return Some(number);
        }
        let show = |number| field.ty.written(number);
        self.refuse(out_of_range(
            field,
            span,
            &show(number),
            &show(low),
            &show(high),
        ))
    }

    fn choice(
        &mut self,
        field: &Field,
        choices: &'static [&'static str],
        expr: &Expr,
    ) -> Option<Given> {
        let span = expr.span();
        let (Kind::Name(word) | Kind::Text(word)) = &expr.bare().kind else {
            return self.refuse(
                Diagnostic::new(Code::E0301, format!("`{}` is a choice", field.name))
                    .label(span, "expected a word")
                    .maybe_help(meant("", choices.iter().copied(), "choice")),
            );
        };
        if let Kind::Text(_) = &expr.bare().kind {
            return self.refuse(
                Diagnostic::new(
                    Code::E0301,
                    format!("`{}` is a choice, not a text", field.name),
                )
                .label(span, "a text")
                .help(format!("write `{} = {}`", field.name, shown(word))),
            );
        }
        if let Some(choice) = choices.iter().find(|choice| **choice == word.as_str()) {
            return Some(Given::Choice(choice));
        }
        self.refuse(
            Diagnostic::new(
                Code::E0312,
                format!("`{}` cannot be `{}`", field.name, shown(word)),
            )
            .label(span, "no such choice")
            .maybe_help(meant(word, choices.iter().copied(), "choice")),
        )
    }

    /// The members of a list; `what` says of what.
    fn list<'e>(
        &mut self,
        field: &Field,
        what: &str,
        example: &str,
        expr: &'e Expr,
    ) -> Option<&'e [Expr]> {
        let (label, help) = match &expr.bare().kind {
            Kind::List(members) => return Some(members),
            Kind::Name(name) => (
                "a single name",
                format!("{} = [{}]", field.name, shown(name)),
            ),
            Kind::Set(_) => ("a set", format!("{} = {example}", field.name)),
            _ => ("expected a list", format!("{} = {example}", field.name)),
        };
        self.refuse(
            Diagnostic::new(Code::E0301, format!("`{}` is a list of {what}", field.name))
                .label(expr.span(), label)
                .help(format!("write `{help}`")),
        )
    }

    fn tiers(&mut self, field: &Field, expr: &Expr) -> Option<Given> {
        // Tiers that there are, for an example.
        let some: Vec<_> = self.tiers.iter().take(2).map(|tier| shown(tier)).collect();
        let example = format!("[{}]", some.join(", "));
        let members = self.list(field, "tiers", &example, expr)?;
        let mut tiers: Vec<TierId> = Vec::new();
        let mut sound = true;
        for member in members {
            let Kind::Name(name) = &member.bare().kind else {
                self.sink.push(
                    Diagnostic::new(Code::E0301, "a tier is due here")
                        .label(member.span(), "not the name of a tier"),
                );
                sound = false;
                continue;
            };
            match self.tiers.iter().position(|tier| tier == name) {
                Some(index) if tiers.contains(&tier_id(index)) => self.repeated(name, member),
                Some(index) => tiers.push(tier_id(index)),
                None => {
                    self.sink
                        .push(unknown_tier(name, member.span(), self.tiers));
                    sound = false;
                }
            }
        }
        sound.then_some(Given::Tiers(tiers))
    }

    fn attributes(&mut self, field: &Field, expr: &Expr) -> Option<Given> {
        let members = self.list(field, "attributes", field.example, expr)?;
        let mut attributes: Vec<Attribute> = Vec::new();
        let mut sound = true;
        for member in members {
            let at = member.span();
            let problem = match &member.bare().kind {
                Kind::Name(name) => match Attribute::by_name(name) {
                    Some(attribute) if attribute.about().ty == Type::Text => {
                        Diagnostic::new(Code::E0301, format!("`{name}` is a text"))
                            .label(at, "a model is given numbers and truth values")
                    }
                    Some(attribute) if attributes.contains(&attribute) => {
                        self.repeated(name, member);
                        continue;
                    }
                    Some(attribute) => {
                        attributes.push(attribute);
                        continue;
                    }
                    None => unknown_attribute(name, at),
                },
                _ => Diagnostic::new(Code::E0301, "an attribute is due here")
                    .label(at, "not the name of an attribute"),
            };
            self.sink.push(problem);
            sound = false;
        }
        if members.is_empty() {
            return self.refuse(
                Diagnostic::new(Code::E0301, format!("`{}` is empty", field.name))
                    .label(expr.span(), "a model without inputs knows nothing")
                    .help(format!("write `{}`", field.written())),
            );
        }
        if members.len() > MOST_INPUTS {
            return self.refuse(
                Diagnostic::new(Code::E0229, format!("more than {MOST_INPUTS} inputs"))
                    .label(expr.span(), format!("{} attributes", members.len()))
                    .help("leave out what matters least"),
            );
        }
        sound.then_some(Given::Attributes(attributes))
    }

    /// Warns of a member that is given twice.
    fn repeated(&mut self, name: &str, member: &Expr) {
        self.sink.push(
            Diagnostic::new(
                Code::W0203,
                format!("`{}` is in the list twice", shown(name)),
            )
            .label(member.span(), "again")
            .help("delete one of the two"),
        );
    }

    fn model(&mut self, field: &Field, expr: &Expr) -> Option<Given> {
        let span = expr.span();
        let name = match &expr.bare().kind {
            Kind::Name(name) => name,
            Kind::Call(name, _) => {
                return self.refuse(
                    Diagnostic::new(
                        Code::E0301,
                        format!("`{}` is the name of a model", field.name),
                    )
                    .label(span, "asked, not named")
                    .help(format!("write `{} = {}`", field.name, shown(name))),
                );
            }
            _ => {
                return self.refuse(
                    Diagnostic::new(
                        Code::E0301,
                        format!("`{}` is the name of a model", field.name),
                    )
                    .label(span, "expected a name")
                    .help(format!("write `{}`", field.written())),
                );
            }
        };
        match self.scope.model(name) {
            Some(id) => Some(Given::Model(id)),
            None => {
                let unknown = self.scope.unknown_model(name, span);
                self.refuse(unknown)
            }
        }
    }
}

fn wrong(field: &Field, due: &str, found: &Value, span: Span) -> Diagnostic {
    Diagnostic::new(
        Code::E0301,
        format!("`{}` is {due}, not {}", field.name, found.phrase()),
    )
    .label(span, found.phrase())
    .help(format!("write it as in `{}`", field.written()))
}

/// A truth value as other languages write it.
pub(super) fn other_truth(name: &str, expr: &Expr) -> Option<Diagnostic> {
    let Kind::Name(word) = &expr.bare().kind else {
        return None;
    };
    let truth = match word.to_ascii_lowercase().as_str() {
        "yes" | "on" | "true" => true,
        "no" | "off" | "false" => false,
        _ => return None,
    };
    Some(
        Diagnostic::new(Code::E0301, format!("`{name}` is true or false"))
            .label(expr.span(), "not a truth value of this language")
            .help(format!("write `{name} = {truth}`")),
    )
}

fn without_unit(field: &Field, due: &str, example: &str, span: Span) -> Diagnostic {
    Diagnostic::new(Code::E0302, format!("`{}` is {due}", field.name))
        .label(span, "a number without a unit")
        .help(format!("write `{example}`"))
}

fn out_of_range(field: &Field, span: Span, found: &str, low: &str, high: &str) -> Diagnostic {
    let diagnostic = |range: String, help: String| {
        Diagnostic::new(Code::E0304, format!("`{}` is {range}", field.name))
            .label(span, format!("{found} is outside"))
            .help(help)
    };
    if high == i64::MAX.to_string() {
        return diagnostic(format!("at least {low}"), format!("write `{low}` or more"));
    }
    diagnostic(
        format!("from {low} to {high}"),
        format!("write a value from `{low}` to `{high}`"),
    )
}

/// Digits and nothing else.
fn decimal<N: std::str::FromStr>(text: &str) -> Option<N> {
    let proper = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    text.parse().ok().filter(|_| proper)
}

fn digest(text: &str) -> Option<[u8; 32]> {
    let bytes = text.as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = bytes.chunks_exact(2).map(|pair| match pair {
        [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
        _ => None,
    });
    let decoded: Option<Vec<u8>> = pairs.collect();
    decoded
        .filter(|_| bytes.len() == 64)
        .and_then(|decoded| decoded.try_into().ok())
}

/// Why a path cannot be that of a file of the pack. Where it leads is found out
/// by who reads it; what no reading could make right is said here.
fn unfit_path(path: &str, span: Span) -> Option<Diagnostic> {
    let leaves = path.starts_with('/');
    if !leaves && !path.contains('\0') && !path.ends_with('/') {
        return None;
    }
    Some(if leaves {
        Diagnostic::new(
            Code::E0010,
            format!("the path `{}` leaves the pack", shown(path)),
        )
        .label(span, "not relative to this file")
        .help("put the file beside the policy, and name it relative to this file")
    } else {
        Diagnostic::new(
            Code::E0315,
            format!("`{}` is not the path of a file", shown(path)),
        )
        .label(span, "names no file")
        .help("write the path of a file, relative to this one")
    })
}

/// `0-3,8`, `llc 0`, `node 1`; the label for what is not.
fn cpus(text: &str) -> Result<Cpus, &'static str> {
    const NUMBER: &str = "expected numbers up to 1023";
    let number = |digits: &str| {
        let number = decimal::<u16>(digits.trim());
        number
            .filter(|cpu| usize::from(*cpu) < MOST_CPUS)
            .ok_or(NUMBER)
    };
    let text = text.trim();
    for (word, make) in [("llc", Cpus::Llc as fn(u16) -> Cpus), ("node", Cpus::Node)] {
        if let Some(rest) = text.strip_prefix(word) {
            return number(rest).map(make);
        }
    }
    let mut ranges = Vec::new();
    for part in text.split(',') {
        let (low, high) = match part.split_once('-') {
            Some((low, high)) => (number(low)?, number(high)?),
            None => (number(part)?, number(part)?),
        };
        if low > high {
            return Err("a range that runs backwards");
        }
        ranges.push((low, high));
    }
    ranges.sort_unstable();
    let mut joined: Vec<(u16, u16)> = Vec::new();
    for (low, high) in ranges {
        match joined.last_mut() {
            Some((_, end)) if low <= *end => return Err("names a CPU twice"),
            Some((_, end)) if low == *end + 1 => *end = high,
            _ => joined.push((low, high)),
        }
    }
    Ok(Cpus::List(joined))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus() {
        assert_eq!(cpus("0-3,8"), Ok(Cpus::List(vec![(0, 3), (8, 8)])));
        assert_eq!(cpus(" 8, 0-3,4 "), Ok(Cpus::List(vec![(0, 4), (8, 8)])));
        assert_eq!(cpus("llc 2"), Ok(Cpus::Llc(2)));
        assert_eq!(cpus("node 0"), Ok(Cpus::Node(0)));
        assert_eq!(cpus("0-1023"), Ok(Cpus::List(vec![(0, 1023)])));
        for wrong in [
            "", ",", "1-", "-1", "3-1", "1,1", "0-4,2", "1024", "0-1024", "llc 1024", "99999",
            "llc", "llc x", "a", "+1",
        ] {
            assert!(cpus(wrong).is_err(), "{wrong}");
        }
        let list = cpus("0-3,8").unwrap().to_string();
        assert_eq!(cpus(&list), cpus("0-3,8"));
    }

    #[test]
    fn digests() {
        let text = "0f".repeat(32);
        assert_eq!(digest(&text), Some([15; 32]));
        assert_eq!(digest(&text.to_uppercase()), Some([15; 32]));
        assert_eq!(digest(&"0".repeat(63)), None);
        assert_eq!(digest(&"é".repeat(32)), None);
    }
}
