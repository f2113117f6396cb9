//! Collects diagnostics, up to a number that a person can use, and finds what a
//! misspelt word was meant to be.

use std::collections::HashSet;

use crate::diag::{Code, Diagnostic, Files, Severity, Span};

/// Diagnostics reported in one run.
const MOST: usize = 100;

/// Where diagnostics go.
#[derive(Debug, Default)]
pub(super) struct Sink {
    found: Vec<Diagnostic>,
    seen: HashSet<(Code, Option<Span>, String)>,
    errors: usize,
    dropped: usize,
    inside: Vec<Inside>,
}

/// A place inside of a text, of which only the whole literal has a span.
#[derive(Debug)]
struct Inside {
    whole: Span,
    text: String,
    place: (usize, usize),
}

impl Sink {
    /// Takes a diagnostic. The same one for the same place is taken once.
    pub(super) fn push(&mut self, diagnostic: Diagnostic) {
        if diagnostic.is_error() {
            self.errors += 1;
        }
        if self.found.len() >= MOST {
            self.dropped += 1;
            return;
        }
        let place = diagnostic.labels.first().map(|label| label.span);
        if self
            .seen
            .insert((diagnostic.code, place, diagnostic.message.clone()))
        {
            self.found.push(diagnostic);
        }
    }

    /// Takes a diagnostic about a part of a text: the bytes from `place.0` to
    /// `place.1` of what the literal at the first label says.
    pub(super) fn push_inside(
        &mut self,
        diagnostic: Diagnostic,
        text: &str,
        place: (usize, usize),
    ) {
        if let Some(label) = diagnostic.labels.first() {
            self.inside.push(Inside {
                whole: label.span,
                text: text.to_owned(),
                place,
            });
        }
        self.push(diagnostic);
    }

    /// Moves labels to the parts of texts that they are about. A text that comes
    /// from a constant, or is written in another way, keeps the whole place.
    pub(super) fn locate(&mut self, files: &dyn Files) {
        for inside in std::mem::take(&mut self.inside) {
            let source = inside.whole.of(files.text(inside.whole.file));
            let Some((start, end)) = locate(source, &inside.text, inside.place) else {
                continue;
            };
            let first = inside.whole.start as usize;
            let part = Span::new(inside.whole.file, first + start, first + end);
            for diagnostic in &mut self.found {
                if let Some(label) = diagnostic.labels.first_mut()
                    && label.span == inside.whole
                    && matches!(diagnostic.code, Code::E0319 | Code::E0320)
                {
                    label.span = part;
                }
            }
        }
    }

    pub(super) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// Everything, in the order of the text; `order` is the order of the files.
    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        self.found.sort_by_key(|diagnostic| {
            diagnostic
                .labels
                .first()
                .map(|label| (label.span.file, label.span.start, label.span.end))
        });
        if self.dropped > 0
            && let Some(last) = self.found.last()
        {
            let mut note = Diagnostic::new(
                last.code,
                format!("{} more diagnostics are not shown", self.dropped),
            )
            .severity(Severity::Note);
            if self.errors > 0 && !self.found.iter().any(Diagnostic::is_error) {
                // Warnings filled the list: the policy is refused all the same.
                note = note.severity(Severity::Error);
            }
            self.found.push(note);
        }
        self.found
    }
}

/// Where bytes of a text stand in the literal that says it; none when the literal
/// does not say it in that way.
fn locate(source: &str, text: &str, place: (usize, usize)) -> Option<(usize, usize)> {
    let inner = source.strip_prefix('"')?.strip_suffix('"')?;
    let (mut start, mut end) = (None, None);
    let mut at = 0;
    let mut rest = inner;
    while let Some(c) = rest.chars().next() {
        let offset = 1 + inner.len() - rest.len();
        if at >= place.0 {
            start.get_or_insert(offset);
        }
        let (said, length) = match c {
            '\\' => {
                let second = rest.chars().nth(1)?;
                match second {
                    'n' => ('\n', 2),
                    't' => ('\t', 2),
                    'u' => {
                        let digits = rest.strip_prefix("\\u{")?.split('}').next()?;
                        let number = u32::from_str_radix(digits, 16).ok()?;
                        (char::from_u32(number)?, digits.len() + 4)
                    }
                    '"' | '\\' => (second, 2),
                    _ => return None,
                }
            }
            c => (c, c.len_utf8()),
        };
        if !text.get(at..)?.starts_with(said) {
            return None;
        }
        at += said.len_utf8();
        rest = rest.get(length..)?;
        if at >= place.1 {
            end.get_or_insert(offset + length);
        }
    }
    let last = 1 + inner.len();
    let start = start.unwrap_or(last);
    // Nothing is underlined by one column, as behind the last character.
    Some((start, end.unwrap_or(last).max(start)))
}

/// The candidate that `word` is a misspelling of: at most two edits away, and
/// not all of a short word.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    if word.len() > 64 {
        return None;
    }
    let lower = word.to_ascii_lowercase().replace('-', "_");
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let plain = candidate.to_ascii_lowercase().replace('-', "_");
            let distance = strsim::osa_distance(&lower, &plain);
            let allowed = match word.len().max(candidate.len()) {
                0..=2 => 0,
                3..=4 => 1,
                _ => 2,
            };
            (distance <= allowed).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// "did you mean `x`?", or else the list of what there is, if it is short.
pub(super) fn meant<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str> + Clone,
    kind: &str,
) -> Option<String> {
    if let Some(found) = nearest(word, candidates.clone()) {
        return Some(format!("did you mean `{found}`?"));
    }
    let all: Vec<String> = candidates
        .into_iter()
        .map(|candidate| format!("`{candidate}`"))
        .collect();
    match all.as_slice() {
        [] => None,
        [only] => Some(format!("the only {kind} is {only}")),
        [others @ .., last] if all.len() <= 12 => {
            Some(format!("the {kind}s are {} and {last}", others.join(", ")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspellings_are_recognised_but_not_invented() {
        let names = ["comm", "cgroup", "nice", "uid"];
        assert_eq!(nearest("com", names), Some("comm"));
        assert_eq!(nearest("cgruop", names), Some("cgroup"));
        assert_eq!(nearest("NICE", names), Some("nice"));
        assert_eq!(nearest("gid", names), Some("uid"));
        assert_eq!(nearest("a", ["b"]), None);
        assert_eq!(nearest("priority", names), None);
    }

    #[test]
    fn places_inside_of_texts_are_found_behind_escapes() {
        let found = |source, text, place| locate(source, text, place);
        assert_eq!(found(r#""abc""#, "abc", (1, 2)), Some((2, 3)));
        assert_eq!(found(r#""a\\bc""#, "a\\bc", (1, 2)), Some((2, 4)));
        assert_eq!(found(r#""\u{e9}(""#, "é(", (2, 3)), Some((7, 8)));
        assert_eq!(found(r#""ab""#, "ab", (2, 2)), Some((3, 3)));
        assert_eq!(found("base", "abc", (1, 2)), None);
        assert_eq!(found("'abc'", "abc", (1, 2)), None);
        assert_eq!(found(r#""abd""#, "abc", (1, 2)), None);
    }

    #[test]
    fn a_flood_is_cut_short_but_still_refuses() {
        let mut sink = Sink::default();
        for at in 0..150 {
            let span = Span::new(crate::diag::FileId(0), at, at);
            sink.push(Diagnostic::new(Code::W0203, "twice").label(span, ""));
        }
        sink.push(Diagnostic::new(Code::E0209, "none"));
        assert!(sink.has_errors());
        let found = sink.finish();
        assert_eq!(found.len(), MOST + 1);
        assert!(found.iter().any(Diagnostic::is_error));
    }
}
