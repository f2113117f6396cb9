//! What rows are, and what stands below each other in neighbouring ones.

use super::super::ast::{Block, Definition, Field, Rule};
use super::WIDTH;
use super::lines::{GAP, pad, width};

/// What takes one or more lines of its own.
#[derive(Debug)]
pub(super) enum Shape<'t> {
    Blank,
    Comment(String),
    /// One field, or several that the author put on one line.
    Fields(Vec<&'t Field>),
    Definition(&'t Definition),
    Rule(&'t Rule),
    Plain(String),
    /// A block on one line.
    Short(Short<'t>),
    Block(&'t Block),
}

#[derive(Debug)]
pub(super) struct Row<'t> {
    pub(super) shape: Shape<'t>,
    /// The comment behind it.
    pub(super) comment: Option<String>,
}

impl Row<'_> {
    fn is_comment(&self) -> bool {
        matches!(self.shape, Shape::Comment(_))
    }
}

/// A block on one line: its head, and its statements with the names of those that
/// are fields.
#[derive(Debug)]
pub(super) struct Short<'t> {
    pub(super) word: &'t str,
    /// Blocks with a text as their name are not aligned.
    pub(super) is_aligned: bool,
    pub(super) head: String,
    pub(super) cells: Vec<(&'t str, String)>,
}

impl Short<'_> {
    /// The line, its head and its first cells padded.
    pub(super) fn line(&self, head: usize, columns: &[usize]) -> String {
        let mut line = self.head.clone();
        pad(&mut line, head);
        line += " {";
        for (index, (_, cell)) in self.cells.iter().enumerate() {
            line += if index == 0 { " " } else { GAP };
            let mut cell = cell.clone();
            if index + 1 < self.cells.len() {
                pad(&mut cell, columns.get(index).copied().unwrap_or(0));
            }
            line += &cell;
        }
        line + " }"
    }
}

/// A row without a comment behind it.
pub(super) fn row(shape: Shape<'_>) -> Row<'_> {
    Row {
        shape,
        comment: None,
    }
}

/// Runs of rows that have a key: without a blank line or another row in between,
/// and all of one kind. Comments do not end a run.
fn runs<'r, T>(
    rows: &'r [Row<'_>],
    key: impl Fn(&'r Shape<'r>) -> Option<(&'r str, T)>,
) -> Vec<Vec<(usize, T)>> {
    let mut runs: Vec<Vec<(usize, T)>> = Vec::new();
    let mut kind = None;
    for (index, row) in rows.iter().enumerate() {
        match key(&row.shape) {
            _ if row.is_comment() => {}
            None => kind = None,
            Some((found, value)) => {
                if kind != Some(found) {
                    runs.push(Vec::new());
                    kind = Some(found);
                }
                if let Some(run) = runs.last_mut() {
                    run.push((index, value));
                }
            }
        }
    }
    runs
}

/// For each row, the largest number of its run; 0 for a row that has none.
pub(super) fn columns<'r>(
    rows: &'r [Row<'_>],
    key: impl Fn(&'r Shape<'r>) -> Option<(&'r str, usize)>,
) -> Vec<usize> {
    let mut found = vec![0; rows.len()];
    for run in runs(rows, key) {
        let most = run.iter().map(|(_, width)| *width).max().unwrap_or(0);
        for (index, _) in run {
            if let Some(place) = found.get_mut(index) {
                *place = most;
            }
        }
    }
    found
}

/// The lines of blocks on one line. Their fields stand below each other as long as
/// they have the same names and the lines do not become too long.
pub(super) fn tables(rows: &[Row<'_>], indent: usize) -> Vec<String> {
    let mut lines = vec![String::new(); rows.len()];
    let runs = runs(rows, |shape| match shape {
        Shape::Short(short) => Some((short.word, short)),
        _ => None,
    });
    for run in runs {
        let shorts: Vec<&Short<'_>> = run.iter().map(|(_, short)| *short).collect();
        let drawn = table(&shorts, indent);
        for ((index, _), line) in run.iter().zip(drawn) {
            if let Some(place) = lines.get_mut(*index) {
                *place = line;
            }
        }
    }
    lines
}

fn table(shorts: &[&Short<'_>], indent: usize) -> Vec<String> {
    let plain = || shorts.iter().map(|short| short.line(0, &[])).collect();
    if shorts.len() < 2 || !shorts.iter().all(|short| short.is_aligned) {
        return plain();
    }
    let head = shorts
        .iter()
        .map(|short| width(&short.head))
        .max()
        .unwrap_or(0);
    let mut columns = Vec::new();
    loop {
        let cells: Vec<&(&str, String)> = shorts
            .iter()
            .filter_map(|short| short.cells.get(columns.len()))
            .collect();
        let same = cells.windows(2).all(|pair| match pair {
            [(one, _), (other, _)] => one == other && !one.is_empty(),
            _ => false,
        });
        if cells.len() < 2 || !same {
            break;
        }
        let most = cells.iter().map(|(_, cell)| width(cell)).max();
        columns.push(most.unwrap_or(0));
    }
    let draw = |columns: &[usize]| -> Vec<String> {
        shorts
            .iter()
            .map(|short| short.line(head, columns))
            .collect()
    };
    let fits = |lines: &[String]| lines.iter().all(|line| indent + width(line) <= WIDTH);
    for count in (0..=columns.len()).rev() {
        let lines = draw(columns.get(..count).unwrap_or(&[]));
        if fits(&lines) {
            return lines;
        }
    }
    plain()
}
