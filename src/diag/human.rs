//! The picture for people.
//!
//! What is drawn is an excerpt made for the purpose instead of the file: only
//! the lines that have labels, tabs and control characters made visible, lines
//! that are too long cut to a window around their label. So nothing that a file
//! contains can distort the picture, and its size follows the labels.
//!
//! The shape is that of miette, which made it popular; miette itself cannot be
//! linked, for its licence (Apache-2.0) and ours do not go together.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::text::{floor, is_hidden};
use super::{Diagnostic, FileId, Files, Label, Lines, RenderOptions, Severity};

/// Columns that stay free at the right of the headline for the code.
const ROOM_FOR_CODE: usize = 8;
/// The narrowest picture drawn.
const NARROWEST: usize = 40;
/// The column the code ends at, in a wide terminal.
const WIDEST_HEADLINE: usize = 78;
/// Columns kept before a label when its line is cut.
const BEFORE_LABEL: usize = 24;
const TAB: &str = "    ";

pub(super) fn render(
    diagnostics: &[Diagnostic],
    files: &dyn Files,
    options: RenderOptions,
) -> String {
    let pen = Pen {
        color: options.color,
    };
    let width = options.width.max(NARROWEST);
    let mut out = String::new();
    for (index, diagnostic) in diagnostics.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        draw(&mut out, pen, diagnostic, files, width);
    }
    out
}

fn draw(out: &mut String, pen: Pen, diagnostic: &Diagnostic, files: &dyn Files, width: usize) {
    let end = width.min(WIDEST_HEADLINE);
    let tint = match diagnostic.severity {
        Severity::Error => Tint::Red,
        Severity::Warning => Tint::Yellow,
        Severity::Note => Tint::Cyan,
    };
    let sign = match diagnostic.severity {
        Severity::Error => "×",
        Severity::Warning => "⚠",
        Severity::Note => "☞",
    };
    let code = diagnostic.code.as_str();
    for (row, line) in wrap(&diagnostic.message, end - ROOM_FOR_CODE - 4)
        .iter()
        .enumerate()
    {
        if row > 0 {
            out.push_str(&format!("  {} {line}\n", pen.paint(tint, "│")));
            continue;
        }
        let gap = end.saturating_sub(4 + line.width() + code.len()).max(2);
        out.push_str(&format!(
            "  {} {line}{:gap$}{}\n",
            pen.paint(tint, sign),
            "",
            pen.paint(Tint::Dim, code)
        ));
    }

    // One frame for each file, in the order of the labels.
    let mut order: Vec<FileId> = Vec::new();
    for label in &diagnostic.labels {
        if !order.contains(&label.span.file) {
            order.push(label.span.file);
        }
    }
    for file in order {
        frame(out, pen, tint, file, &diagnostic.labels, files, width);
    }

    if let Some(help) = &diagnostic.help {
        let mut lead = pen.paint(Tint::Cyan, "help: ");
        for paragraph in help.split('\n') {
            for line in wrap(paragraph, end.saturating_sub(8)) {
                out.push_str(&format!("  {lead}{line}\n"));
                lead = "      ".to_owned();
            }
        }
    }
}

/// The labelled lines of one file.
fn frame(
    out: &mut String,
    pen: Pen,
    tint: Tint,
    file: FileId,
    labels: &[Label],
    files: &dyn Files,
    width: usize,
) {
    let text = files.text(file);
    let lines = Lines::new(text);
    let line_of = |label: &Label| lines.index(floor(text, label.span.start as usize));
    // The first label is the place to go to, and the one in the strong colour.
    let mut here: Vec<(usize, Tint, &Label)> = labels
        .iter()
        .enumerate()
        .filter(|(_, label)| label.span.file == file)
        .map(|(at, label)| {
            (
                line_of(label),
                if at == 0 { tint } else { Tint::Blue },
                label,
            )
        })
        .collect();
    let start = here.first().map_or(0, |(_, _, l)| l.span.start as usize);
    let position = lines.position(start);
    here.sort_by_key(|(line, _, label)| (*line, label.span.start, label.span.end));

    let name: String = files
        .name(file)
        .chars()
        .map(|c| if is_hidden(c) { '\u{FFFD}' } else { c })
        .collect();
    let last = here.last().map_or(0, |(line, _, _)| line + 1);
    let gutter = last.to_string().len().max(2);
    out.push_str(&format!(
        "{:gutter$} ╭─[{name}:{}:{}]\n",
        "", position.line, position.column
    ));
    for group in here.chunk_by(|(a, _, _), (b, _, _)| a == b) {
        let Some((index, _, _)) = group.first() else {
            continue;
        };
        let (from, to) = lines.bounds(*index);
        let spans: Vec<(usize, usize)> = group
            .iter()
            .map(|(_, _, l)| (l.span.start as usize, l.span.end as usize))
            .map(|(a, b)| (a.clamp(from, to) - from, b.clamp(from, to) - from))
            .collect();
        let (drawn, spans) = fit(
            text.get(from..to).unwrap_or(""),
            &spans,
            width.saturating_sub(10),
        );
        let number = pen.paint(Tint::Dim, &format!("{:>gutter$}", index + 1));
        out.push_str(format!("{number} │ {drawn}").trim_end());
        out.push('\n');
        let marks: Vec<Mark<'_>> = group
            .iter()
            .zip(spans)
            .map(|((_, tint, label), (from, to))| Mark {
                from: drawn.get(..from).unwrap_or("").width(),
                to: drawn.get(..to).unwrap_or("").width(),
                tint: *tint,
                text: &label.text,
            })
            .collect();
        for row in underline(&marks, pen) {
            out.push_str(&format!("{:gutter$} · {row}\n", ""));
        }
    }
    out.push_str(&format!("{:gutter$} ╰────\n", ""));
}

/// A label on a drawn line, in columns.
struct Mark<'a> {
    from: usize,
    to: usize,
    tint: Tint,
    text: &'a str,
}

impl Mark<'_> {
    fn middle(&self) -> usize {
        self.from + (self.to - self.from) / 2
    }
}

/// The rows below a line: the underlines, then the texts from right to left.
fn underline(marks: &[Mark<'_>], pen: Pen) -> Vec<String> {
    let mut rows = Vec::new();
    let mut cells: Vec<(usize, Tint, char)> = Vec::new();
    for mark in marks {
        for column in mark.from..mark.to {
            let c = if column == mark.middle() && !mark.text.is_empty() {
                '┬'
            } else {
                '─'
            };
            cells.retain(|(at, _, _)| *at != column);
            cells.push((column, mark.tint, c));
        }
    }
    rows.push(place(&mut cells, pen));

    let mut said: Vec<&Mark<'_>> = marks.iter().filter(|m| !m.text.is_empty()).collect();
    said.sort_by_key(|mark| mark.middle());
    while let Some(mark) = said.pop() {
        let mut cells: Vec<(usize, Tint, char)> = said
            .iter()
            .filter(|other| other.middle() < mark.middle())
            .map(|other| (other.middle(), other.tint, '│'))
            .collect();
        cells.push((mark.middle(), mark.tint, '╰'));
        let row = place(&mut cells, pen);
        rows.push(format!("{row}{} {}", pen.paint(mark.tint, "──"), mark.text));
    }
    rows
}

/// One character in each of the given columns, blanks between them.
fn place(cells: &mut Vec<(usize, Tint, char)>, pen: Pen) -> String {
    cells.sort_by_key(|(column, _, _)| *column);
    cells.dedup_by_key(|(column, _, _)| *column);
    let mut row = String::new();
    let mut column = 0;
    for (at, tint, c) in cells {
        row.extend(std::iter::repeat_n(' ', at.saturating_sub(column)));
        row.push_str(&pen.paint(*tint, c.encode_utf8(&mut [0; 4])));
        column = *at + 1;
    }
    row
}

#[derive(Clone, Copy)]
enum Tint {
    Red,
    Yellow,
    Cyan,
    Blue,
    Dim,
}

#[derive(Clone, Copy)]
struct Pen {
    color: bool,
}

impl Pen {
    fn paint(self, tint: Tint, text: &str) -> String {
        if !self.color {
            return text.to_owned();
        }
        let number = match tint {
            Tint::Red => "1;31",
            Tint::Yellow => "1;33",
            Tint::Cyan => "36",
            Tint::Blue => "1;34",
            Tint::Dim => "2",
        };
        format!("\u{1b}[{number}m{text}\u{1b}[0m")
    }
}

/// Breaks a text at blanks; a word longer than a line stays whole.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let Some(line) = lines.last_mut() else { break };
        if !line.is_empty() && line.width() + 1 + word.width() > width {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// Makes a line fit to draw: returns its text and where the given pieces of it
/// went. Each piece is at least one column wide afterwards.
fn fit(line: &str, spans: &[(usize, usize)], width: usize) -> (String, Vec<(usize, usize)>) {
    // `map` pairs offsets in the line with offsets in `out`.
    let mut out = String::new();
    let mut map: Vec<(usize, usize)> = Vec::new();
    let whole = line.len() <= width * 4 && line.width() + line.matches('\t').count() * 3 <= width;
    let anchor = spans.iter().map(|(from, _)| *from).min().unwrap_or(0);
    let begin = if whole {
        0
    } else {
        let before = line.get(..floor(line, anchor)).unwrap_or("");
        before
            .char_indices()
            .rev()
            .nth(BEFORE_LABEL)
            .map_or(0, |(at, _)| at)
    };
    if begin > 0 {
        out.push('…');
    }
    let mut columns = 0;
    let mut end = line.len();
    for (at, c) in line.char_indices().skip_while(|(at, _)| *at < begin) {
        if !whole && columns >= width.saturating_sub(2) {
            end = at;
            break;
        }
        map.push((at, out.len()));
        columns += match c {
            '\t' => {
                out.push_str(TAB);
                TAB.len()
            }
            c if is_hidden(c) => {
                out.push('\u{FFFD}');
                1
            }
            c => {
                out.push(c);
                c.width().unwrap_or(0)
            }
        };
    }
    map.push((end, out.len()));
    if end < line.len() {
        out.push('…');
    }
    // Room for a label at the end of the line.
    out.push(' ');
    let to_out = |offset: usize| {
        let index = map.partition_point(|(from, _)| *from < offset);
        map.get(index).or(map.last()).map_or(0, |(_, to)| *to)
    };
    let spans = spans
        .iter()
        .map(|(from, to)| {
            let (from, to) = (to_out(*from), to_out(*to));
            let next = out
                .get(from..)
                .and_then(|rest| rest.chars().next())
                .map_or(1, char::len_utf8);
            (from, to.max(from + next))
        })
        .collect();
    (out, spans)
}

#[cfg(test)]
mod tests {
    use super::super::{Code, Format, Span, render};
    use super::*;

    struct One(&'static str, String);

    impl Files for One {
        fn name(&self, _: FileId) -> &str {
            self.0
        }
        fn text(&self, _: FileId) -> &str {
            &self.1
        }
    }

    fn human(text: &str, labels: &[(usize, usize, &str)]) -> String {
        let mut diagnostic = Diagnostic::new(Code::E0203, "rule `builds` can never match")
            .help("move `builds` above `backups`, or delete it");
        for (start, end, text) in labels {
            diagnostic = diagnostic.label(Span::new(FileId(0), *start, *end), *text);
        }
        let files = One("web/policy.edict", text.to_owned());
        render(
            &[diagnostic],
            &files,
            Format::Human,
            RenderOptions::default(),
        )
    }

    #[test]
    fn the_picture_of_an_unreachable_rule() {
        let text = "rules {\n  backups: when cgroup under batch -> batch\n\n  builds: when x -> batch\n}\n";
        let drawn = human(
            text,
            &[
                (55, 61, "unreachable"),
                (19, 42, "every such task is already taken here"),
            ],
        );
        assert_eq!(
            drawn,
            "  × rule `builds` can never match                                        E0203\n\
            \x20  ╭─[web/policy.edict:4:3]\n\
            \x202 │   backups: when cgroup under batch -> batch\n\
            \x20  ·            ───────────┬───────────\n\
            \x20  ·                       ╰── every such task is already taken here\n\
            \x204 │   builds: when x -> batch\n\
            \x20  ·   ───┬──\n\
            \x20  ·      ╰── unreachable\n\
            \x20  ╰────\n\
            \x20 help: move `builds` above `backups`, or delete it\n"
        );
    }

    #[test]
    fn any_span_in_any_text_can_be_drawn() {
        let long = format!("{}\t\u{1b}[31m{}", "世".repeat(90_000), "b".repeat(90_000));
        for text in ["", "\n", "a", "a\n", "\r\n", "\t世\u{202e}", long.as_str()] {
            for start in [0, 1, 2, 4, 200_000, text.len(), text.len() + 9] {
                for length in [0, 1, 3, 500_000] {
                    let drawn = human(text, &[(start, start + length, "here"), (0, 0, "there")]);
                    assert!(drawn.contains("here") && drawn.contains("E0203"), "{drawn}");
                    assert!(drawn.len() < 4_000, "{}", drawn.len());
                    assert!(!drawn.contains('\u{1b}') && !drawn.contains('\u{202e}'));
                }
            }
        }
    }

    #[test]
    fn far_labels_do_not_drag_the_lines_between_them_along() {
        let text = "x\n".repeat(5_000);
        let drawn = human(&text, &[(9_000, 9_001, "a"), (2, 3, "b")]);
        assert!(drawn.lines().count() < 12, "{drawn}");
        assert!(drawn.contains("4501 │ x"), "{drawn}");
    }

    #[test]
    fn a_diagnostic_without_a_place_has_no_frame() {
        assert!(!human("", &[]).contains('╭'));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,80}", spans in proptest::collection::vec((0usize..400, 0usize..400), 0..4)) {
            let labels: Vec<_> = spans.iter().map(|(a, b)| (*a, a + b, "l")).collect();
            human(&text, &labels);
        }
    }
}
