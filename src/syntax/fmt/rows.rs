//! The statements of a block as rows, and the rows as lines.
//!
//! First each statement becomes a row with the comments and blank lines around
//! it; then the rows of a block are looked at together, because what stands below
//! each other is aligned.

use super::super::ast::{Ast, Block, Definition, Expr, Field, Rule, Statement, Title};
use super::WIDTH;
use super::align::{Row, Shape, Short, columns, row, tables};
use super::lay::{Gap, Layout, Margins, Source, ends};
use super::lines::{GAP, Line, pad, width};

/// A condition that ends further to the right does not move the `->` of others.
const ARROW_COLUMN: usize = 72;

/// The lines of a file.
pub(super) fn file(ast: &Ast, text: &str) -> Vec<Line> {
    let source = Source::new(text);
    let start = if text.starts_with('\u{FEFF}') { 3 } else { 0 };
    let (mut rows, first) = source.body((start, text.len()), &ast.statements, false, 0);
    if let Some(comment) = first {
        rows.insert(0, row(Shape::Comment(comment)));
    }
    source.lines(&rows, 0)
}

/// Offsets of a statement, without blanks and comments at its end.
fn extent(statement: &Statement) -> (usize, usize) {
    let (start, end) = (statement.span().start, statement.last().end);
    (start as usize, end as usize)
}

impl<'a> Source<'a> {
    /// The rows of the statements between two offsets, and the comment behind the
    /// first of them. `is_short` says that they stood on one line.
    fn body<'t>(
        &self,
        (from, to): (usize, usize),
        statements: &'t [Statement],
        is_short: bool,
        indent: usize,
    ) -> (Vec<Row<'t>>, Option<String>) {
        let mut rows: Vec<Row<'t>> = Vec::new();
        let mut first = None;
        let mut at = from;
        for statement in statements {
            let (start, end) = extent(statement);
            let gap = self.gap(at, start);
            self.remarks(&gap, &mut rows, &mut first);
            at = end;
            if gap.has_blank && !(rows.is_empty() && first.is_none()) && !is_short {
                rows.push(row(Shape::Blank));
            }
            let moved = self.move_comments(statement);
            rows.extend(moved.into_iter().map(|text| row(Shape::Comment(text))));
            let joins = !is_short && !gap.has_break;
            if let (Statement::Field(field), true) = (statement, joins)
                && let Some(Row {
                    shape: Shape::Fields(fields),
                    ..
                }) = rows.last_mut()
                && self.side_by_side(fields, field, indent)
            {
                fields.push(field);
                continue;
            }
            rows.push(row(self.shape(statement, indent)));
        }
        let gap = self.gap(at, to);
        self.remarks(&gap, &mut rows, &mut first);
        (rows, first)
    }

    /// The comments of a gap: behind the row above, or rows of their own.
    fn remarks(&self, gap: &Gap<'_>, rows: &mut Vec<Row<'_>>, first: &mut Option<String>) {
        for remark in &gap.comments {
            let text = remark.text.to_owned();
            match rows.last_mut() {
                Some(last) if remark.is_behind => last.comment = Some(text),
                None if remark.is_behind => *first = Some(text),
                _ => {
                    if remark.has_blank && !(rows.is_empty() && first.is_none()) {
                        rows.push(row(Shape::Blank));
                    }
                    rows.push(row(Shape::Comment(text)));
                }
            }
        }
    }

    /// Finds the comments of a statement that stand where no line can end. They
    /// and those before them, whose order must not change, move above it.
    fn move_comments(&self, statement: &Statement) -> Vec<String> {
        let (start, end) = match statement {
            Statement::Block(block) => (block.place.0.start as usize, self.brace(block)),
            other => extent(other),
        };
        let comments = self.comments_in(start, end);
        if comments.is_empty() {
            return Vec::new();
        }
        match statement {
            Statement::Definition(Definition { value, .. })
            | Statement::Field(Field { value, .. }) => {
                let layout = Layout::new(self, 0, String::new());
                value_lines(layout, value, 0);
            }
            Statement::Rule(rule) => {
                self.rule_lines(rule, 0, 0);
            }
            _ => {}
        }
        let odd = comments.iter().rposition(|comment| !comment.taken.get());
        let moved = comments.get(..odd.map_or(0, |odd| odd + 1)).unwrap_or(&[]);
        for comment in moved {
            comment.moved.set(true);
        }
        let texts = moved.iter().map(|c| self.slice(c.at.start, c.at.end));
        texts.map(str::to_owned).collect()
    }

    /// The offset of the brace that opens a block.
    fn brace(&self, block: &Block) -> usize {
        let end = block.place.0.end as usize;
        let mut at = block.head().end as usize;
        loop {
            let found = self
                .slice(at, end)
                .find('{')
                .map_or(end, |found| at + found);
            let inside = self
                .comments_in(at, found)
                .last()
                .filter(|comment| comment.at.end > found);
            match inside {
                Some(comment) => at = comment.at.end,
                None => return found,
            }
        }
    }

    /// Whether a field may stand behind others on their line.
    fn side_by_side(&self, fields: &[&Field], field: &Field, indent: usize) -> bool {
        let mut line = String::new();
        let all = fields.iter().copied().chain([field]).all(|field| {
            let (start, end) = (field.name.span().start as usize, ends(&field.value).1);
            line.push_str(GAP);
            self.comments_in(start, end).is_empty() && self.flat_field(field, &mut line)
        });
        all && indent + width(&line) <= WIDTH + GAP.len()
    }

    fn flat_field(&self, field: &Field, out: &mut String) -> bool {
        out.push_str(&field.name.text);
        out.push_str(" = ");
        self.flat(&field.value, false, out)
    }

    fn shape<'t>(&self, statement: &'t Statement, indent: usize) -> Shape<'t> {
        match statement {
            Statement::Block(block) => match self.short(block, indent) {
                Some(short) => Shape::Short(short),
                None => Shape::Block(block),
            },
            Statement::Definition(definition) => Shape::Definition(definition),
            Statement::Field(field) => Shape::Fields(vec![field]),
            Statement::Rule(rule) => Shape::Rule(rule),
            other => {
                let mut text = String::new();
                self.flat_statement(other, &mut text);
                Shape::Plain(text)
            }
        }
    }

    /// A statement on one line; `false` if it has to take several.
    fn flat_statement(&self, statement: &Statement, out: &mut String) -> bool {
        match statement {
            Statement::Block(block) => match self.short(block, 0) {
                Some(short) => {
                    out.push_str(&short.line(0, &[]));
                    true
                }
                None => false,
            },
            Statement::Definition(definition) => {
                let (word, name) = (&definition.word.text, &definition.name.text);
                out.push_str(&format!("{word} {name} = "));
                self.flat(&definition.value, false, out)
            }
            Statement::Field(field) => self.flat_field(field, out),
            Statement::Rule(rule) => self.flat_rule(rule, out),
            Statement::Directive(directive) => {
                out.push_str(&directive.word.text);
                out.push(' ');
                self.flat(&directive.value, true, out)
            }
            Statement::Use(named) => {
                out.push_str(&format!("use {}", named.name.text));
                true
            }
            Statement::Expect(expect) => {
                out.push_str(&format!("expect {}", expect.tier.text));
                if let Some(by) = &expect.by {
                    out.push_str(&format!(" by {}", by.text));
                }
                true
            }
        }
    }

    fn flat_rule(&self, rule: &Rule, out: &mut String) -> bool {
        if let Some(label) = &rule.label {
            out.push_str(&format!("{}: ", label.text));
        }
        out.push_str(rule_word(rule));
        let flat = rule
            .when
            .as_ref()
            .is_none_or(|when| self.flat(when, false, out));
        out.push_str(&self.hold(rule));
        out.push_str(&arrow(rule));
        flat
    }

    /// A block that was written on one line and fits, or an empty one.
    fn short<'t>(&self, block: &'t Block, indent: usize) -> Option<Short<'t>> {
        let (brace, end) = (self.brace(block), block.place.0.end as usize);
        let is_empty = block.statements.is_empty() && self.comments_in(brace, end).is_empty();
        if !is_empty && self.slice(brace, end).contains('\n') {
            return None;
        }
        let mut cells = Vec::new();
        for statement in &block.statements {
            let mut cell = String::new();
            if !self.flat_statement(statement, &mut cell) {
                return None;
            }
            let name = match statement {
                Statement::Field(field) => field.name.text.as_str(),
                _ => "",
            };
            cells.push((name, cell));
        }
        let has_text = |title: &Title| matches!(title, Title::Text(..));
        let short = Short {
            word: &block.word.text,
            is_aligned: !block.titles.iter().any(has_text),
            head: self.head(block),
            cells,
        };
        (is_empty || indent + width(&short.line(0, &[])) <= WIDTH).then_some(short)
    }

    fn head(&self, block: &Block) -> String {
        let mut head = block.word.text.clone();
        for title in &block.titles {
            head.push(' ');
            head.push_str(title.span().of(self.text));
        }
        head
    }

    /// The lines of rows that stand in one block.
    fn lines(&self, rows: &[Row<'_>], indent: usize) -> Vec<Line> {
        let names = columns(rows, |shape| match shape {
            Shape::Fields(fields) => match fields.as_slice() {
                [field] => Some(("", width(&field.name.text))),
                _ => None,
            },
            Shape::Definition(definition) => {
                Some((definition.word.text.as_str(), width(&definition.name.text)))
            }
            _ => None,
        });
        let tables = tables(rows, indent);
        let rules = self.rules(rows, indent);
        let mut out = Vec::new();
        let columns = names.into_iter().zip(tables).zip(rules);
        for (row, ((name, table), rule)) in rows.iter().zip(columns) {
            let mut lines = match &row.shape {
                Shape::Blank => vec![Line::default()],
                Shape::Comment(text) => vec![Line::comment(indent, text)],
                Shape::Plain(text) => vec![Line::new(indent, text.as_str())],
                Shape::Rule(_) => rule,
                Shape::Short(_) => vec![Line::new(indent, table)],
                Shape::Definition(definition) => {
                    let mut start = definition.name.text.clone();
                    pad(&mut start, name);
                    let start = format!("{} {start} = ", definition.word.text);
                    value_lines(Layout::new(self, indent, start), &definition.value, indent)
                }
                Shape::Fields(fields) => match fields.as_slice() {
                    [field] => {
                        let mut start = field.name.text.clone();
                        pad(&mut start, name);
                        let start = start + " = ";
                        value_lines(Layout::new(self, indent, start), &field.value, indent)
                    }
                    fields => {
                        let mut line = String::new();
                        for field in fields {
                            if !line.is_empty() {
                                line += GAP;
                            }
                            self.flat_field(field, &mut line);
                        }
                        vec![Line::new(indent, line)]
                    }
                },
                Shape::Block(block) => self.block(block, indent),
            };
            if let (Some(comment), Some(last)) = (&row.comment, lines.last_mut()) {
                last.comment = Some(comment.clone());
            }
            out.extend(lines);
        }
        out
    }

    fn block(&self, block: &Block, indent: usize) -> Vec<Line> {
        let (brace, end) = (self.brace(block), block.place.0.end as usize);
        let inside = (brace + 1, end.saturating_sub(1));
        let was_short = !self.slice(brace, end).contains('\n');
        let (rows, first) = self.body(inside, &block.statements, was_short, indent + 2);
        let mut head = Line::new(indent, self.head(block) + " {");
        head.comment = first;
        let mut lines = vec![head];
        lines.extend(self.lines(&rows, indent + 2));
        lines.push(Line::new(indent, "}"));
        lines
    }

    /// The lines of each row that is a rule.
    fn rules(&self, rows: &[Row<'_>], indent: usize) -> Vec<Vec<Line>> {
        let rule = |row: &Row<'_>| match &row.shape {
            Shape::Rule(rule) => Some(rule.label.as_ref().map_or(0, |l| width(&l.text) + 2)),
            _ => None,
        };
        let label = rows.iter().filter_map(rule).max().unwrap_or(0);
        let mut all: Vec<Vec<Line>> = rows
            .iter()
            .map(|row| match &row.shape {
                Shape::Rule(rule) => self.rule_lines(rule, indent, label),
                _ => Vec::new(),
            })
            .collect();
        let ends = all.iter().flatten().map(Line::end);
        let column = ends.filter(|end| *end <= ARROW_COLUMN).max().unwrap_or(0);
        for (row, lines) in rows.iter().zip(&mut all) {
            if let (Shape::Rule(rule), Some(last)) = (&row.shape, lines.last_mut()) {
                pad(&mut last.text, column.saturating_sub(last.indent));
                last.text += &arrow(rule);
            }
        }
        all
    }

    /// A rule without its arrow, for which the last line has room.
    fn rule_lines(&self, rule: &Rule, indent: usize, label: usize) -> Vec<Line> {
        let mut start = rule
            .label
            .as_ref()
            .map_or(String::new(), |label| format!("{}:", label.text));
        pad(&mut start, label);
        start += rule_word(rule);
        let margin = indent + label + 2;
        let margins = Margins {
            close: margin,
            word: margin,
        };
        let hold = self.hold(rule);
        let after = width(&arrow(rule));
        let mut layout = Layout::new(self, indent, start);
        let mut from = None;
        if let Some(when) = &rule.when {
            layout.expression(when, margins, width(&hold) + after);
            let last = rule.hold.as_ref().unwrap_or(when);
            from = Some(ends(last).1);
        }
        layout.push(&hold);
        let has_comments = from.is_some_and(|from| {
            let gap = self.gap(from, rule.target.span().start as usize);
            layout.comments(&gap, margin)
        });
        if has_comments || (rule.when.is_some() && layout.column() + after > WIDTH) {
            layout.turn(margin);
        }
        layout.finish()
    }

    /// ` for 40ms`
    fn hold(&self, rule: &Rule) -> String {
        let mut hold = String::new();
        if let Some(value) = &rule.hold {
            hold.push_str(" for ");
            self.flat(value, true, &mut hold);
        }
        hold
    }
}

fn rule_word(rule: &Rule) -> &'static str {
    match rule.when {
        Some(_) => "when ",
        None => "otherwise",
    }
}

/// ` -> migrate within llc`
fn arrow(rule: &Rule) -> String {
    match &rule.within {
        Some(within) => format!(" -> {} within {}", rule.target.text, within.text),
        None => format!(" -> {}", rule.target.text),
    }
}

/// The lines of a definition or field whose start is laid out.
fn value_lines(mut layout: Layout<'_, '_>, value: &Expr, indent: usize) -> Vec<Line> {
    let margins = Margins {
        close: indent,
        word: indent + 2,
    };
    layout.expression(value, margins, 0);
    layout.finish()
}
