//! The picture for people, drawn by miette.
//!
//! miette is given an excerpt made for the purpose instead of the file: only the
//! lines that have labels, tabs and control characters made visible, lines that
//! are too long cut to a window around their label. So nothing that a file
//! contains can distort the picture, and its size follows the labels.
//!
//! Two things are changed afterwards: the code goes to the right end of the
//! headline, and the lines between labels (empty in the excerpt) are left out.

use std::collections::BTreeSet;
use std::fmt;

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents,
    SourceCode, SourceSpan, SpanContents,
};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::text::{floor, is_hidden};
use super::{Diagnostic, FileId, Files, Label, Lines, Position, RenderOptions, Severity};

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
    let width = options.width.max(NARROWEST);
    let mut theme = if options.color {
        GraphicalTheme::unicode()
    } else {
        GraphicalTheme::unicode_nocolor()
    };
    theme.characters.error = "×".into();
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(width.min(WIDEST_HEADLINE) - ROOM_FOR_CODE)
        .with_context_lines(1)
        .without_syntax_highlighting()
        .without_cause_chain();

    let mut out = String::new();
    for (index, diagnostic) in diagnostics.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        draw(&mut out, &handler, diagnostic, files, options.color, width);
    }
    out
}

fn draw(
    out: &mut String,
    handler: &GraphicalReportHandler,
    diagnostic: &Diagnostic,
    files: &dyn Files,
    color: bool,
    width: usize,
) {
    // miette draws one file at a time: one report for each file, in the order of
    // the labels; the first has the headline, the last has the help.
    let mut order: Vec<FileId> = Vec::new();
    for label in &diagnostic.labels {
        if !order.contains(&label.span.file) {
            order.push(label.span.file);
        }
    }
    let parts = order.len().max(1);
    for part in 0..parts {
        let excerpt = order
            .get(part)
            .map(|file| Excerpt::new(*file, &diagnostic.labels, files, width));
        let report = Report {
            diagnostic,
            help: (part + 1 == parts)
                .then_some(diagnostic.help.as_deref())
                .flatten(),
            excerpt,
        };
        let mut drawn = String::new();
        if handler.render_report(&mut drawn, &report).is_err() {
            drawn = format!("  × {}\n", diagnostic.message);
        }
        let skip = if part == 0 { 0 } else { headline_lines(&drawn) };
        let filler = report.excerpt.as_ref().map(|excerpt| &excerpt.filler);
        for (row, line) in drawn.lines().enumerate().skip(skip) {
            if row == 0 {
                out.push_str(&with_code(line, diagnostic, color, width));
            } else if filler.is_some_and(|filler| is_filler(line, filler)) {
                continue;
            } else {
                out.push_str(line.trim_end());
            }
            out.push('\n');
        }
    }
}

/// Rows before the frame of the snippet.
fn headline_lines(drawn: &str) -> usize {
    drawn
        .lines()
        .position(|line| line.contains("╭─"))
        .unwrap_or(0)
}

fn is_filler(line: &str, filler: &BTreeSet<usize>) -> bool {
    let bare = strip_colors(line);
    bare.trim()
        .strip_suffix('│')
        .and_then(|number| number.trim().parse::<usize>().ok())
        .is_some_and(|number| filler.contains(&number))
}

fn with_code(headline: &str, diagnostic: &Diagnostic, color: bool, width: usize) -> String {
    let headline = headline.trim_end();
    let used = strip_colors(headline).width();
    let code = diagnostic.code.as_str();
    let end = width.min(WIDEST_HEADLINE);
    let gap = end.saturating_sub(used + code.len()).max(2);
    let (on, off) = if color {
        ("\u{1b}[2m", "\u{1b}[0m")
    } else {
        ("", "")
    };
    format!("{headline}{:gap$}{on}{code}{off}", "")
}

fn strip_colors(line: &str) -> String {
    let mut out = String::new();
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            chars.by_ref().find(|c| *c == 'm');
        } else {
            out.push(c);
        }
    }
    out
}

/// The lines of one file that have labels, fit to draw.
#[derive(Debug)]
struct Excerpt {
    name: String,
    text: String,
    /// Line number, from 0, of the first line of `text`.
    first: usize,
    labels: Vec<(SourceSpan, String)>,
    /// Where the first label stands in the real file.
    position: Position,
    /// Line numbers, from 1, that are here only to keep the count right.
    filler: BTreeSet<usize>,
}

impl Excerpt {
    fn new(file: FileId, labels: &[Label], files: &dyn Files, width: usize) -> Self {
        let text = files.text(file);
        let lines = Lines::new(text);
        let here: Vec<&Label> = labels.iter().filter(|l| l.span.file == file).collect();
        let line_of = |label: &Label| lines.index(floor(text, label.span.start as usize));
        let first = here.iter().map(|l| line_of(l)).min().unwrap_or(0);
        let last = here.iter().map(|l| line_of(l)).max().unwrap_or(0);
        let position = lines.position(here.first().map_or(0, |l| l.span.start as usize));

        let mut excerpt = Self {
            name: files
                .name(file)
                .chars()
                .map(|c| if is_hidden(c) { '\u{FFFD}' } else { c })
                .collect(),
            text: String::new(),
            first,
            labels: Vec::new(),
            position,
            filler: BTreeSet::new(),
        };
        let mut placed: Vec<Option<(SourceSpan, String)>> = vec![None; here.len()];
        for index in first..=last {
            let on_line: Vec<usize> = (0..here.len())
                .filter(|i| here.get(*i).is_some_and(|l| line_of(l) == index))
                .collect();
            if on_line.is_empty() {
                excerpt.filler.insert(index + 1);
                excerpt.text.push('\n');
                continue;
            }
            let (start, end) = lines.bounds(index);
            let spans: Vec<(usize, usize)> = on_line
                .iter()
                .filter_map(|i| here.get(*i))
                .map(|l| (l.span.start as usize, l.span.end as usize))
                .map(|(from, to)| (from.clamp(start, end) - start, to.clamp(start, end) - start))
                .collect();
            let line = text.get(start..end).unwrap_or("");
            let offset = excerpt.text.len();
            let (drawn, spans) = fit(line, &spans, width.saturating_sub(10));
            for (label, (from, to)) in on_line.iter().zip(spans) {
                let span = SourceSpan::new((offset + from).into(), to - from);
                let text = here.get(*label).map_or(String::new(), |l| l.text.clone());
                if let Some(slot) = placed.get_mut(*label) {
                    *slot = Some((span, text));
                }
            }
            excerpt.text.push_str(&drawn);
            excerpt.text.push('\n');
        }
        excerpt.labels = placed.into_iter().flatten().collect();
        excerpt
    }
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

/// One diagnostic and one excerpt, as miette wants to see them.
#[derive(Debug)]
struct Report<'a> {
    diagnostic: &'a Diagnostic,
    help: Option<&'a str>,
    excerpt: Option<Excerpt>,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.diagnostic.message)
    }
}

impl std::error::Error for Report<'_> {}

impl miette::Diagnostic for Report<'_> {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.diagnostic.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
            Severity::Note => miette::Severity::Advice,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help
            .map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.excerpt
            .as_ref()
            .map(|excerpt| excerpt as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let excerpt = self.excerpt.as_ref()?;
        Some(Box::new(excerpt.labels.iter().enumerate().map(
            |(index, (span, text))| {
                let text = (!text.is_empty()).then(|| text.clone());
                if index == 0 {
                    LabeledSpan::new_primary_with_span(text, *span)
                } else {
                    LabeledSpan::new_with_span(text, *span)
                }
            },
        )))
    }
}

impl SourceCode for Excerpt {
    /// Always the whole excerpt, so that it is drawn in one frame. miette asks
    /// for no lines of context when it wants only the position of a label.
    fn read_span<'a>(
        &'a self,
        _: &SourceSpan,
        before: usize,
        _: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let (line, column) = if before == 0 {
            (
                self.position.line as usize - 1,
                self.position.column as usize - 1,
            )
        } else {
            (self.first, 0)
        };
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            self.text.as_bytes(),
            (0, self.text.len()).into(),
            line,
            column,
            self.text.matches('\n').count(),
        )))
    }
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
