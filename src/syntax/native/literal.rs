//! The values of literals.

use pest::iterators::Pair;

use super::{Builder, Rule};
use crate::diag::{Code, Span, shown};
use crate::syntax::ast::Kind;

impl Builder<'_> {
    pub(super) fn number(&mut self, pair: Pair<'_, Rule>) -> Option<Kind> {
        let span = self.span(&pair);
        let whole = pair.as_str().to_owned();
        let mut value = 0;
        let mut unit = None;
        let mut fraction = None;
        for part in pair.into_inner() {
            let at = self.span(&part);
            match part.as_rule() {
                Rule::digits => {
                    let digits: String = part.as_str().chars().filter(|c| *c != '_').collect();
                    value = digits.parse::<u64>().unwrap_or_else(|_| {
                        self.complain(
                            Code::E0111,
                            at,
                            "a number too large to be held",
                            "",
                            "write a smaller number; the largest is 18446744073709551615",
                        );
                        0
                    });
                }
                Rule::foreign_fraction => fraction = Some(part.as_str().to_owned()),
                Rule::unit => unit = Some(part.as_str().to_owned()),
                Rule::foreign_spaced_unit => {
                    let spelled = part.as_str().trim();
                    if unit.is_none() {
                        self.complain(
                            Code::E0105,
                            span,
                            "a unit apart from its number",
                            "",
                            &format!("write `{value}{spelled}`"),
                        );
                        unit = Some(spelled.to_owned());
                    }
                }
                _ => {}
            }
        }
        if let Some(fraction) = fraction {
            let help = match unit.as_deref() {
                Some("ns" | "us" | "µs" | "μs" | "ms" | "s") => {
                    "write a whole number of a smaller unit: `1500us` for one and a half milliseconds"
                        .to_owned()
                }
                Some("KiB" | "MiB" | "GiB") => {
                    "write a whole number of a smaller unit: `1536KiB` for one and a half `MiB`"
                        .to_owned()
                }
                unit => {
                    let unit = shown(unit.unwrap_or_default()).into_owned();
                    let next = value.saturating_add(1);
                    match fraction.trim_matches(['.', '0']) {
                        "" => format!("write `{value}{unit}`"),
                        _ => format!("write a whole number, `{value}{unit}` or `{next}{unit}`"),
                    }
                }
            };
            let message = format!("`{}` is not a whole number", shown(&whole));
            self.complain(Code::E0111, span, &message, "", &help);
        }
        Some(Kind::Number { value, unit })
    }

    /// The value of a text, its escapes resolved.
    pub(super) fn text_value(&mut self, pair: Pair<'_, Rule>) -> String {
        let Some(body) = pair.into_inner().next() else {
            return String::new();
        };
        let start = self.span(&body).start as usize;
        let raw = body.as_str();
        if !raw.contains('\\') {
            return raw.to_owned();
        }
        let mut out = String::with_capacity(raw.len());
        let mut rest = raw;
        while let Some(at) = rest.find('\\') {
            out.push_str(rest.get(..at).unwrap_or(""));
            let offset = start + raw.len() - rest.len() + at;
            let tail = rest.get(at + 1..).unwrap_or("");
            let (value, length) = unescape(tail);
            match value {
                Some(c) => out.push(c),
                None => {
                    let span = Span::new(self.file, offset, offset + 1 + length);
                    self.complain(
                        Code::E0108,
                        span,
                        "an unknown escape in a text",
                        "",
                        "the escapes are `\\\"` `\\\\` `\\n` `\\t` and `\\u{…}`; write a `\\` as `\\\\`",
                    );
                }
            }
            rest = tail.get(length..).unwrap_or("");
        }
        out.push_str(rest);
        out
    }
}

/// Resolves what stands behind a `\`; tells how long it is.
fn unescape(tail: &str) -> (Option<char>, usize) {
    let mut chars = tail.chars();
    match chars.next() {
        Some('"') => (Some('"'), 1),
        Some('\\') => (Some('\\'), 1),
        Some('n') => (Some('\n'), 1),
        Some('t') => (Some('\t'), 1),
        Some('u') => {
            let Some(digits) = chars
                .as_str()
                .strip_prefix('{')
                .and_then(|rest| rest.split_once('}'))
                .map(|(digits, _)| digits)
            else {
                return (None, 1);
            };
            let length = digits.len() + 3;
            let valid = (1..=6).contains(&digits.len())
                && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            let value = u32::from_str_radix(digits, 16).ok().filter(|_| valid);
            // A NUL ends every name that the kernel hands out.
            let value = value.and_then(char::from_u32).filter(|c| *c != '\0');
            (value, length)
        }
        Some(other) => (None, other.len_utf8()),
        None => (None, 0),
    }
}
