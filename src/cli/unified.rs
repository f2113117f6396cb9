//! The difference of two texts, as `diff -u` prints it.
//!
//! The longest common subsequence of lines, by the book: a table of lengths. What
//! the texts begin and end with alike is taken away first; where the rest is too
//! much for the table, it is printed as replaced whole.

/// Lines shown around a change.
const CONTEXT: usize = 3;
/// Cells of the table.
const MOST_CELLS: usize = 16 << 20;

/// A line of the outcome, with what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edit<'a> {
    Kept(&'a str),
    Gone(&'a str),
    New(&'a str),
}

/// The difference, or nothing for equal texts.
pub(super) fn unified(name: &str, old: &str, new: &str) -> String {
    if old == new {
        return String::new();
    }
    let edits = edits(&lines(old), &lines(new));
    let mut out = format!("--- {name}\n+++ {name}\n");
    let (mut old_at, mut new_at) = (1, 1);
    let mut rest = edits.as_slice();
    let is_kept = |edit: &Edit<'_>| matches!(edit, Edit::Kept(_));
    while let Some(first) = rest.iter().position(|edit| !is_kept(edit)) {
        // A hunk ends where more lines are kept than two contexts hold.
        let mut end = first;
        let mut kept = 0;
        for (index, edit) in rest.iter().enumerate().skip(first) {
            if is_kept(edit) {
                kept += 1;
                if kept > 2 * CONTEXT {
                    break;
                }
            } else {
                kept = 0;
                end = index + 1;
            }
        }
        let start = first.saturating_sub(CONTEXT);
        let end = (end + CONTEXT).min(rest.len());
        let (before, others) = rest.split_at(start);
        let (hunk, others) = others.split_at(end - start);
        old_at += before.len();
        new_at += before.len();
        let of_old = hunk.iter().filter(|e| !matches!(e, Edit::New(_))).count();
        let of_new = hunk.iter().filter(|e| !matches!(e, Edit::Gone(_))).count();
        out += &format!(
            "@@ -{} +{} @@\n",
            range(old_at, of_old),
            range(new_at, of_new)
        );
        for edit in hunk {
            let (sign, line) = match edit {
                Edit::Kept(line) => (' ', line),
                Edit::Gone(line) => ('-', line),
                Edit::New(line) => ('+', line),
            };
            out.push(sign);
            out.push_str(line);
            if !line.ends_with('\n') {
                out.push_str("\n\\ No newline at end of file\n");
            }
        }
        old_at += of_old;
        new_at += of_new;
        rest = others;
    }
    out
}

fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// `4,7`; an empty range names the line before it.
fn range(first: usize, count: usize) -> String {
    match count {
        0 => format!("{},0", first - 1),
        1 => first.to_string(),
        count => format!("{first},{count}"),
    }
}

fn edits<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<Edit<'a>> {
    let same = |(one, other): &(&&str, &&str)| one == other;
    let head = old.iter().zip(new).take_while(same).count();
    let (start, old) = old.split_at(head);
    let (_, new) = new.split_at(head);
    let tail = old
        .iter()
        .rev()
        .zip(new.iter().rev())
        .take_while(same)
        .count();
    let (old, end) = old.split_at(old.len() - tail);
    let (new, _) = new.split_at(new.len() - tail);
    let mut out: Vec<Edit<'a>> = start.iter().map(|line| Edit::Kept(line)).collect();
    if old.len() * new.len() > MOST_CELLS {
        out.extend(old.iter().map(|line| Edit::Gone(line)));
        out.extend(new.iter().map(|line| Edit::New(line)));
    } else {
        middle(old, new, &mut out);
    }
    out.extend(end.iter().map(|line| Edit::Kept(line)));
    out
}

fn middle<'a>(old: &[&'a str], new: &[&'a str], out: &mut Vec<Edit<'a>>) {
    // Row `i`, column `j`: what `old[i..]` and `new[j..]` have in common.
    let width = new.len() + 1;
    let mut table = vec![0_u32; width * (old.len() + 1)];
    let length = |table: &[u32], i: usize, j: usize| table.get(i * width + j).copied().unwrap_or(0);
    for (i, one) in old.iter().enumerate().rev() {
        for (j, other) in new.iter().enumerate().rev() {
            let value = if one == other {
                length(&table, i + 1, j + 1) + 1
            } else {
                length(&table, i + 1, j).max(length(&table, i, j + 1))
            };
            if let Some(cell) = table.get_mut(i * width + j) {
                *cell = value;
            }
        }
    }
    let (mut i, mut j) = (0, 0);
    loop {
        match (old.get(i), new.get(j)) {
            (Some(one), Some(other)) if one == other => {
                out.push(Edit::Kept(one));
                i += 1;
                j += 1;
            }
            (Some(one), other)
                if other.is_none() || length(&table, i + 1, j) >= length(&table, i, j + 1) =>
            {
                out.push(Edit::Gone(one));
                i += 1;
            }
            (_, Some(other)) => {
                out.push(Edit::New(other));
                j += 1;
            }
            (_, None) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_reads_as_diff_prints_it() {
        assert_eq!(unified("f", "a\n", "a\n"), "");
        assert_eq!(
            unified("f", "1\n2\n3\n4\n5\n6\n", "1\n2\n3\n4\nfive\n6"),
            "--- f\n+++ f\n@@ -2,5 +2,5 @@\n 2\n 3\n 4\n-5\n-6\n+five\n+6\n\\ No newline at end of file\n"
        );
        assert_eq!(unified("f", "", "a\n"), "--- f\n+++ f\n@@ -0,0 +1 @@\n+a\n");
    }

    #[test]
    fn changes_far_apart_have_hunks_of_their_own() {
        let old: String = (1..=30).map(|n| format!("{n}\n")).collect();
        let new = old.replace("\n5\n", "\nfive\n").replace("\n25\n", "\n");
        let found = unified("f", &old, &new);
        assert!(
            found.contains(
                "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n@@ -22,7 +22,6 @@\n 22\n"
            ),
            "{found}"
        );
        assert!(found.ends_with(" 24\n-25\n 26\n 27\n 28\n"), "{found}");
    }

    #[test]
    fn what_is_too_much_for_the_table_is_replaced() {
        let old: String = (0..5_000).map(|n| format!("a{n}\n")).collect();
        let new: String = (0..5_000).map(|n| format!("b{n}\n")).collect();
        let found = unified("f", &old, &new);
        assert_eq!(found.lines().filter(|l| l.starts_with("-a")).count(), 5_000);
        assert_eq!(found.lines().filter(|l| l.starts_with("+b")).count(), 5_000);
    }
}
