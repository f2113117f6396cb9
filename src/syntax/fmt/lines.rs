//! Lines, and how neighbours are brought below each other.

use unicode_width::UnicodeWidthStr;

/// Blanks between two things that stand side by side: fields, and a line and its
/// comment.
pub(super) const GAP: &str = "   ";

/// A comment stands no further to the right than this to be below others.
const COMMENT_COLUMN: usize = 80;

/// A line of the outcome. Without text it is a comment of its own line, or blank.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) indent: usize,
    pub(super) text: String,
    pub(super) comment: Option<String>,
}

impl Line {
    pub(super) fn new(indent: usize, text: impl Into<String>) -> Self {
        Self {
            indent,
            text: text.into(),
            comment: None,
        }
    }

    /// A comment on its own line.
    pub(super) fn comment(indent: usize, text: &str) -> Self {
        Self {
            indent,
            text: String::new(),
            comment: Some(text.to_owned()),
        }
    }

    /// Whether it has a comment that may stand below others: the brackets of blocks
    /// and sets are apart from what they enclose.
    fn is_remarked(&self) -> bool {
        let text = self.text.as_str();
        self.comment.is_some()
            && !text.is_empty()
            && !text.ends_with(['{', '['])
            && !text.starts_with(['}', ']'])
    }

    /// The column behind the text.
    pub(super) fn end(&self) -> usize {
        self.indent + width(&self.text)
    }
}

/// Columns that a text takes.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// Adds blanks up to a width.
pub(super) fn pad(text: &mut String, to: usize) {
    for _ in width(text)..to {
        text.push(' ');
    }
}

/// The text of all lines; comments behind neighbouring lines stand below each
/// other.
pub(super) fn write(lines: Vec<Line>) -> String {
    let mut out = String::new();
    let mut rest = lines.as_slice();
    while let Some(first) = rest.first() {
        let in_run = |line: &&Line| line.is_remarked() && line.indent == first.indent;
        let length = rest.iter().take_while(in_run).count().max(1);
        let (run, others) = rest.split_at(length);
        let column = run
            .iter()
            .map(Line::end)
            .filter(|end| *end <= COMMENT_COLUMN)
            .max();
        for line in run {
            write_line(&mut out, line, column.unwrap_or(0));
        }
        rest = others;
    }
    out
}

fn write_line(out: &mut String, line: &Line, column: usize) {
    let mut text = " ".repeat(line.indent) + &line.text;
    if let Some(comment) = &line.comment {
        if !line.text.is_empty() {
            let column = column.max(line.end());
            pad(&mut text, column);
            text += GAP;
        }
        text += comment;
    }
    out.push_str(text.trim_end());
    out.push('\n');
}
