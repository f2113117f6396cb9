//! Scalars and lists as expressions.
//!
//! The rule is short. In quotes, a value is a text. Without quotes it is an
//! expression of the language, parsed by the grammar of the block form. Where
//! the language wants texts (members of sets, tasks of tests, paths), a value
//! without quotes is a text as well, unless it is a number or a truth value; an
//! expression is written there with `= ` in front of it. A condition is always an
//! expression: quotes around it only keep it from YAML.
//!
//! What other YAML programs would read as something else is refused.

use std::ops::Range;

use super::Lower;
use super::node::{Content, Node, Style};
use super::scalar::Places;
use crate::diag::{Code, Diagnostic, Span, shown};
use crate::syntax::ast::{Expr, Kind, Name, Place};
use crate::syntax::{native, scan};

/// Units of numbers, to tell `5ms` from `7z`.
pub(super) const UNITS: [&str; 10] = ["ns", "us", "µs", "ms", "s", "%", "B", "KiB", "MiB", "GiB"];

/// Words that YAML 1.1 takes for truth values, and for nothing.
const TRUE: [&str; 2] = ["yes", "on"];
const FALSE: [&str; 2] = ["no", "off"];

/// What a plain scalar is to be taken for where texts stand.
enum Look {
    Text,
    Number,
    Truth,
    /// Something that starts like a number.
    Odd,
}

/// Looks at a plain scalar.
fn look(text: &str) -> Look {
    if matches!(text, "true" | "false") {
        return Look::Truth;
    }
    let one = |part: &str| {
        let digits = part.strip_prefix('-').unwrap_or(part);
        let rest = digits.trim_start_matches(|c: char| c.is_ascii_digit() || c == '_');
        let starts = digits.starts_with(|c: char| c.is_ascii_digit());
        (starts, starts && (rest.is_empty() || UNITS.contains(&rest)))
    };
    let (starts, is_number) = match text.split_once("..") {
        Some((low, high)) => (
            one(low).0,
            one(low.trim_end()).1 && one(high.trim_start()).1,
        ),
        None => one(text),
    };
    match (starts, is_number) {
        (_, true) => Look::Number,
        (true, false) => Look::Odd,
        (false, false) => Look::Text,
    }
}

/// Whether a text means the same without quotes, where texts stand.
pub(super) fn is_plain_text(text: &str) -> bool {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "_./@+=~^-".contains(c);
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || "_./".contains(c));
    let starts =
        starts && (!text.starts_with('.') || text.starts_with("./") || text.starts_with("../"));
    starts && text.chars().all(is_safe) && !is_ambiguous(text) && matches!(look(text), Look::Text)
}

/// What a plain word is to YAML 1.1, and what to write instead.
fn other_reading(text: &str) -> Option<(&'static str, Option<String>)> {
    let lower = text.to_ascii_lowercase();
    let lower = lower.as_str();
    let is_octal = |text: &str| {
        text.len() > 1 && text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit())
    };
    if TRUE.contains(&lower) || (lower == "true" && text != "true") {
        Some(("a truth value", Some("true".to_owned())))
    } else if FALSE.contains(&lower) || (lower == "false" && text != "false") {
        Some(("a truth value", Some("false".to_owned())))
    } else if matches!(lower, "null" | "~") {
        Some(("nothing at all", None))
    } else if is_octal(text.trim_start_matches('-')) {
        let sign = if text.starts_with('-') { "-" } else { "" };
        let digits = text.trim_start_matches(['-', '0']);
        let digits = if digits.is_empty() { "0" } else { digits };
        Some(("an octal number", Some(format!("{sign}{digits}"))))
    } else if lower.starts_with("0x") || lower.starts_with("0o") {
        Some(("a number of another base", None))
    } else if lower
        .strip_prefix('+')
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    {
        let digits = text.trim_start_matches(['+', '0']);
        let digits = if digits.is_empty() { "0" } else { digits };
        let is_whole = digits.bytes().all(|b| b.is_ascii_digit());
        Some(("a number", is_whole.then(|| digits.to_owned())))
    } else if lower
        .trim_start_matches(['+', '-'])
        .strip_prefix('.')
        .is_some_and(|rest| {
            matches!(rest, "inf" | "nan") || rest.starts_with(|c: char| c.is_ascii_digit())
        })
    {
        Some(("a floating-point number", None))
    } else {
        None
    }
}

/// Whether YAML programs disagree about a plain word.
pub(super) fn is_ambiguous(text: &str) -> bool {
    other_reading(text).is_some()
}

/// Whether a word can be a name, as in the grammar.
pub(super) fn is_name(text: &str) -> bool {
    let part = |part: &str| {
        let is_inner = |c: char| c.is_ascii_alphanumeric() || c == '_';
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.ends_with(is_inner)
            && !part.contains("--")
            && part.chars().all(|c| is_inner(c) || c == '-')
    };
    let first = text.split('.').next().unwrap_or("");
    text.split('.').all(part) && !native::RESERVED.contains(&first)
}

impl Lower<'_> {
    /// A word that names something.
    pub(super) fn name(&mut self, node: &Node, what: &str) -> Option<Name> {
        let Content::Scalar(text, style) = &node.content else {
            self.shape(node, what, "a name");
            return None;
        };
        if !style.is_quoted() && self.refuse_ambiguous(text, node.span) {
            if let Some(last) = self.diagnostics.last_mut() {
                last.help = Some(format!("write `\"{}\"` if that is its name", shown(text)));
            }
            self.broken = true;
            return None;
        }
        if !is_name(text) {
            let help = if native::RESERVED.contains(&text.as_str()) {
                format!("`{text}` is a word of the language; choose another name")
            } else {
                "a name consists of letters, digits, `_` and, inside, `-`, as in `web-latency`"
                    .to_owned()
            };
            self.refuse(
                Diagnostic::new(Code::E0130, format!("`{}` is not a name", shown(text)))
                    .label(node.span, what)
                    .help(help),
            );
            return None;
        }
        Some(Name {
            text: text.clone(),
            place: Place(node.span),
        })
    }

    /// An expression, whatever the quotes around it.
    pub(super) fn expression(&mut self, node: &Node, key: &str) -> Option<Expr> {
        let Content::Scalar(text, style) = &node.content else {
            let what = format!("`{}`", shown(key));
            self.shape(node, &what, "an expression");
            return None;
        };
        self.parsed(text, *style, node.span, 0)
    }

    /// The value of a field or constant.
    pub(super) fn value(&mut self, node: &Node, key: &str) -> Option<Expr> {
        match &node.content {
            Content::Scalar(text, style) if style.is_quoted() => Some(Expr {
                kind: Kind::Text(text.clone()),
                place: Place(node.span),
            }),
            Content::Scalar(text, style) => {
                if *style == Style::Plain && self.refuse_ambiguous(text, node.span) {
                    self.broken = true;
                    return None;
                }
                self.parsed(text, *style, node.span, 0)
            }
            Content::Sequence(items) => {
                let members = items.iter().map(|item| self.value(item, key));
                let members: Option<Vec<Expr>> = members.collect();
                Some(Expr {
                    kind: Kind::List(members?),
                    place: Place(node.span),
                })
            }
            Content::Empty | Content::Refused | Content::Mapping(_) => {
                let what = format!("`{}`", shown(key));
                self.shape(node, &what, "a value");
                None
            }
        }
    }

    /// A value where texts stand.
    pub(super) fn text(&mut self, node: &Node, what: &str) -> Option<Expr> {
        let expr = |kind| {
            let place = Place(node.span);
            Some(Expr { kind, place })
        };
        let Content::Scalar(text, style) = &node.content else {
            self.shape(node, what, "a text or a number");
            return None;
        };
        if style.is_quoted() {
            return expr(Kind::Text(text.clone()));
        }
        if let Some(rest) = text
            .strip_prefix('=')
            .filter(|rest| rest.starts_with([' ', '\n']))
        {
            return self.parsed(rest, *style, node.span, 1);
        }
        if *style == Style::Plain && self.refuse_ambiguous(text, node.span) {
            self.broken = true;
            return None;
        }
        match look(text) {
            Look::Text => expr(Kind::Text(text.clone())),
            Look::Truth => expr(Kind::Truth(text == "true")),
            // Long lists of plain numbers need no grammar.
            Look::Number if text.bytes().all(|b| b.is_ascii_digit()) && text.len() < 19 => {
                let value = text.parse().ok()?;
                expr(Kind::Number { value, unit: None })
            }
            Look::Number => self.parsed(text, *style, node.span, 0),
            Look::Odd => {
                let message = if text.parse::<f64>().is_ok() {
                    format!(
                        "`{}` without quotes is a floating-point number",
                        shown(text)
                    )
                } else {
                    format!("`{}` starts like a number, but is none", shown(text))
                };
                self.refuse(
                    Diagnostic::new(Code::E0126, message)
                        .label(node.span, "a text, or a number?")
                        .help(format!(
                            "if it is a text, put it into quotes: `\"{}\"`",
                            shown(text)
                        )),
                );
                None
            }
        }
    }

    /// Complains of a plain word that other programs read differently.
    pub(super) fn refuse_ambiguous(&mut self, text: &str, span: Span) -> bool {
        let Some((reading, instead)) = other_reading(text) else {
            return false;
        };
        let text = shown(text);
        let quoted = format!("`\"{text}\"`");
        self.diagnostics.push(
            Diagnostic::new(
                Code::E0126,
                format!("`{text}` without quotes is {reading} to some YAML programs"),
            )
            .label(span, "a text, or not?")
            .help(match instead {
                Some(instead) => format!("write `{instead}`, or {quoted} if it is a text"),
                None => format!("write {quoted} if it is a text, or leave the key out"),
            }),
        );
        true
    }

    /// Parses `text`, which begins `skip` bytes into the value at `span`.
    fn parsed(&mut self, text: &str, style: Style, span: Span, skip: usize) -> Option<Expr> {
        let whole;
        let value = if skip == 0 {
            text
        } else {
            // The `=` is not part of the expression, but of the places.
            whole = format!(" {text}");
            &whole
        };
        let original = if skip == 0 {
            None
        } else {
            Some(format!("={text}"))
        };
        let places = Places::new(original.as_deref().unwrap_or(value), style, span, self.text);
        if let Some(hidden) = self.folded_comment(value, style, &places) {
            self.refuse(hidden);
            return None;
        }
        for comment in scan::comments(value) {
            let place = places.of(Span::new(self.file, comment.start, comment.end));
            let said = value.get(comment).unwrap_or("").to_owned();
            self.inner_comments.push((place, said));
        }
        let (expr, mut found) = native::parse_expression(self.file, value);
        let Some(mut expr) = expr else {
            self.broken = true;
            if let Some(cut) = self.cut(&found, span) {
                self.diagnostics.push(cut);
                return None;
            }
            self.told(&mut found, &places);
            return None;
        };
        places.settle(&mut expr);
        self.told(&mut found, &places);
        Some(expr)
    }

    /// What is said of a comment that takes in the next line: YAML has joined the
    /// lines of this value, and a comment of the language ends with its line.
    fn folded_comment(&self, value: &str, style: Style, places: &Places) -> Option<Diagnostic> {
        if style == Style::Literal {
            return None;
        }
        let place = |comment: Range<usize>| {
            let place = places.of(Span::new(self.file, comment.start, comment.end));
            let (line, rest) = place.of(self.text).split_once(['\n', '\r'])?;
            let start = place.start as usize;
            let line = Span::new(self.file, start, start + line.trim_end().len());
            (!rest.trim().is_empty()).then_some(line)
        };
        let comment = scan::comments(value).into_iter().find_map(place)?;
        Some(
            Diagnostic::new(Code::E0128, "in a folded value a `#` hides what follows")
                .label(comment, "the lines below are a part of this comment")
                .help("delete the comment, or write the expression below `|`, which keeps lines"),
        )
    }

    /// Takes over what was found in a value.
    fn told(&mut self, found: &mut Vec<Diagnostic>, places: &Places) {
        for mut diagnostic in found.drain(..) {
            for label in &mut diagnostic.labels {
                label.span = places.of(label.span);
            }
            self.diagnostics.push(diagnostic);
        }
    }

    /// What is said when a ` #` ended the value in the middle of an expression.
    fn cut(&self, found: &[Diagnostic], span: Span) -> Option<Diagnostic> {
        // Only what is missing at the end can have been cut off.
        let is_open = found.iter().any(|d| {
            matches!(d.code, Code::E0107)
                || d.message.contains("never closed")
                || d.message.contains("the end of the value")
        });
        let comment = self.comments.iter().find(|c| c.start >= span.end)?;
        let between = self.text.get(span.end as usize..comment.start as usize)?;
        if !is_open || between.contains('\n') {
            return None;
        }
        Some(
            Diagnostic::new(Code::E0128, "a ` #` cuts off the end of an expression")
                .label(*comment, "a comment to YAML, and not a part of the value")
                .label(span, "the value ends here")
                .help("put the whole expression into single quotes: `'…'`"),
        )
    }
}
