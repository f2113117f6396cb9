//! What a text could be if it is not what it says it is: YAML given to the parser
//! of the block form, and an include of C's preprocessor, which is a comment here.

use super::scan;
use crate::diag::{Code, Diagnostic, FileId, Severity, Span, shown};

/// Comments about which something is said.
const MOST_INCLUDES: usize = 8;

/// If most lines are keys and items of YAML: one sentence in place of the errors.
pub(super) fn yaml(file: FileId, text: &str) -> Option<Diagnostic> {
    let mut first = None;
    let (mut all, mut of_yaml) = (0_usize, 0_usize);
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let bare = line.trim();
        if !bare.is_empty() && !bare.starts_with('#') {
            let start = at + line.len() - line.trim_start().len();
            first.get_or_insert(start..start + bare.len());
            all += 1;
            of_yaml += usize::from(is_yaml(bare));
            if all == 1 && of_yaml == 0 {
                return None;
            }
        }
        at += line.len();
    }
    // A block has braces, also one that is written with `:`.
    let is_meant = of_yaml >= 2 && of_yaml * 3 >= all * 2 && !text.contains(" {\n");
    let place = first.filter(|_| is_meant)?;
    Some(
        Diagnostic::new(Code::E0112, "this is YAML, not the block form")
            .label(Span::new(file, place.start, place.end), "")
            .help(
                "name the file `policy.yaml`, or write it in the block form; see `edict help language`",
            ),
    )
}

/// `key:`, `key: value`, `- item`, `---`
fn is_yaml(line: &str) -> bool {
    if line == "---" || line == "-" {
        return true;
    }
    let item = line.strip_prefix("- ");
    let rest = item.unwrap_or(line).trim_start();
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '"');
    let key = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
    let (key, rest) = rest.split_at_checked(key).unwrap_or((rest, ""));
    let is_pair = !key.is_empty()
        && rest
            .strip_prefix(':')
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
    // A rule with a label looks like a pair.
    (is_pair || item.is_some()) && !line.contains("->") && !line.ends_with('{')
}

/// `#include "x"` without a blank: probably no comment.
pub(super) fn includes(file: FileId, text: &str) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for place in scan::comments(text) {
        let comment = text.get(place.clone()).unwrap_or("");
        let Some(path) = comment.strip_prefix("#include") else {
            continue;
        };
        let path = path.trim();
        if !path.starts_with(['"', '<', '\'']) || found.len() >= MOST_INCLUDES {
            continue;
        }
        let path = path.trim_matches(['"', '<', '>', '\'']);
        found.push(
            Diagnostic::new(Code::E0114, "`#include` is a comment")
                .severity(Severity::Note)
                .label(
                    Span::new(file, place.start, place.end),
                    "nothing is included",
                )
                .help(format!(
                    "write `include \"{}\"`; if a comment is meant, put a blank behind the `#`",
                    shown(path)
                )),
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_is_told_from_the_block_form() {
        let is = |text: &str| yaml(FileId(0), text).is_some();
        assert!(is(
            "# a\npolicy:\n  name: x\nrules:\n  - when: kthread\n    tier: a\n"
        ));
        assert!(is("---\ntiers:\n  critical: { tickets: 8 }\n"));
        assert!(!is("tier a {\n  slice: 5ms\n  tickets: 3\n}\n"));
        assert!(!is("rules {\n  a: when b -> c\n  d: otherwise -> c\n}\n"));
        assert!(!is("a: when b -> c\nd: otherwise -> c\n"));
        assert!(!is("language 1\nslice: 1\nslice: 2\nslice: 3\n"));
        assert!(!is(""));
    }
}
