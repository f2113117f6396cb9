//! Writes a tree as YAML. What [`parse`](super::super::parse) makes of the text is
//! the same tree, but for the order of what stands at the top: YAML says each key
//! once, so that all tiers stand together ([`grouped`]).
//!
//! The style is what people write by hand: blocks, quotes only where YAML or the
//! language needs them.

use std::collections::HashSet;

use super::comments::{Comment, Pending, lead};
use super::keys::TEXT_FIELDS;
use super::scalars::{self, WIDTH};
use crate::diag::Span;
use crate::syntax::ast::{Ast, Block, Expr, Kind, Statement, Title};

/// Why a tree has no YAML form. Only policies that are not valid have none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untranslatable {
    /// The statement that has none.
    pub span: Span,
    /// What is wrong with it, in a few words.
    pub why: &'static str,
}

/// The key below which a statement at the top stands.
fn section(statement: &Statement) -> Option<&str> {
    match statement {
        Statement::Directive(directive) => {
            let word = directive.word.text.as_str();
            matches!(word, "language" | "include").then_some(word)
        }
        Statement::Definition(definition) => {
            let word = definition.word.text.as_str();
            matches!(word, "const" | "set").then_some(word)
        }
        Statement::Block(block) => {
            let word = block.word.text.as_str();
            match (word, block.titles.as_slice()) {
                ("rules", []) => Some("rules"),
                ("rules", [Title::Name(_)]) => Some("groups"),
                ("policy" | "tier" | "model", [Title::Name(_)])
                | ("lottery" | "balance" | "learn" | "reward", [])
                | ("test", [Title::Text(..)])
                | ("override", [Title::Name(_), Title::Name(_)]) => Some(word),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The kind of what an `override` changes.
fn kind(statement: &Statement) -> &str {
    match statement {
        Statement::Block(block) if block.word.text == "override" => {
            block.titles.first().map_or("", Title::text)
        }
        _ => "",
    }
}

/// The tree with all statements of one key side by side, in the order in which
/// the keys come first. It means the same: constants stand in front of the sets
/// that use them, and no other order at the top has a meaning across keys.
pub fn grouped(ast: &Ast) -> Ast {
    let mut groups: Vec<((&str, &str), Vec<Statement>)> = Vec::new();
    for statement in &ast.statements {
        let key = (section(statement).unwrap_or(""), kind(statement));
        let statement = match statement {
            Statement::Block(block) if block.word.text == "balance" => {
                Statement::Block(rules_together(block))
            }
            other => other.clone(),
        };
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, group)) => group.push(statement),
            None => {
                let same = |((known, _), _): &((&str, &str), Vec<_>)| *known == key.0;
                let at = groups
                    .iter()
                    .rposition(same)
                    .map_or(groups.len(), |at| at + 1);
                groups.insert(at, (key, vec![statement]));
            }
        }
    }
    Ast {
        statements: groups.into_iter().flat_map(|(_, group)| group).collect(),
        place: ast.place,
    }
}

/// A `balance` with its rules side by side, where the first of them stands.
fn rules_together(block: &Block) -> Block {
    let is_rule =
        |statement: &&Statement| matches!(statement, Statement::Rule(_) | Statement::Use(_));
    let first = block.statements.iter().position(|s| is_rule(&s));
    let mut statements = Vec::new();
    for (index, statement) in block.statements.iter().enumerate() {
        if Some(index) == first {
            statements.extend(block.statements.iter().filter(is_rule).cloned());
        }
        if !is_rule(&statement) {
            statements.push(statement.clone());
        }
    }
    Block {
        statements,
        ..block.clone()
    }
}

/// The YAML text of a tree, with the comments of the text that it is of.
///
/// # Errors
/// When a statement has no YAML form.
pub fn print(ast: &Ast, comments: &[Comment]) -> Result<String, Untranslatable> {
    let ast = grouped(ast);
    let mut comments = comments.to_vec();
    for comment in &mut comments {
        // Two characters of comments do not exist in YAML.
        comment.text = comment.text.replace(['\u{FFFE}', '\u{FFFF}'], "\u{FFFD}");
    }
    let mut printer = Printer {
        out: String::new(),
        comments: Pending::new(&comments),
        constants: HashSet::new(),
    };
    for statement in &ast.statements {
        if let Statement::Definition(definition) = statement
            && definition.word.text == "const"
        {
            printer.constants.insert(definition.name.text.clone());
        }
    }
    let mut rest = ast.statements.as_slice();
    while let Some(first) = rest.first() {
        let Some(key) = section(first) else {
            return Err(none(first, "this statement has no place in the YAML form"));
        };
        let count = rest.iter().take_while(|s| section(s) == Some(key)).count();
        let (group, behind) = rest.split_at(count);
        rest = behind;
        if !printer.out.is_empty() {
            printer.out.push('\n');
        }
        printer.section(key, group)?;
    }
    printer.comments_before(u32::MAX, 0);
    Ok(printer.out)
}

pub(super) fn none(statement: &Statement, why: &'static str) -> Untranslatable {
    Untranslatable {
        span: statement.span(),
        why,
    }
}

pub(super) struct Printer {
    out: String,
    comments: Pending,
    /// The names of constants: a text of that name needs quotes in a set.
    constants: HashSet<String>,
}

pub(super) type Printed = Result<(), Untranslatable>;

impl Printer {
    pub(super) fn line(&mut self, indent: usize, text: &str) {
        self.out.push_str(&" ".repeat(indent));
        self.out.push_str(text);
        self.out.push('\n');
    }

    pub(super) fn comments_before(&mut self, at: u32, indent: usize) {
        self.comments.before(at, indent, &mut self.out);
    }

    pub(super) fn comment_behind(&mut self, statement: &Statement) {
        self.comments.behind(statement.last().end, &mut self.out);
    }

    fn section(&mut self, key: &str, group: &[Statement]) -> Printed {
        let first = group.first().map_or(0, lead);
        let is_single = !matches!(
            key,
            "include" | "const" | "set" | "tier" | "model" | "groups" | "test" | "override"
        );
        if let (true, Some(second)) = (is_single, group.get(1)) {
            return Err(none(second, "a second one, which YAML cannot say"));
        }
        if is_single || key == "include" {
            self.comments_before(first, 0);
        } else {
            self.comments.before_gap(first, &mut self.out);
        }
        match group {
            [one @ Statement::Directive(directive)] => {
                let value = if key == "include" {
                    scalars::text(&directive.value, 0, key.len() + 2)
                } else {
                    self.field_value(&directive.value, 0, key.len() + 2)
                };
                self.line(0, &format!("{key}: {value}"));
                self.comment_behind(one);
                return Ok(());
            }
            [Statement::Block(block)] if is_single => {
                return self.single(key, block);
            }
            _ => {}
        }
        self.line(0, &format!("{key}:"));
        let mut names = HashSet::new();
        let mut kinds: Vec<&str> = Vec::new();
        for statement in group {
            self.comments_before(lead(statement), 2);
            let name = match statement {
                Statement::Definition(definition) => Some(definition.name.text.clone()),
                Statement::Block(block) if key != "test" => {
                    let title = block.titles.last().map_or("", Title::text);
                    Some(format!("{} {title}", kind(statement)))
                }
                _ => None,
            };
            if name.is_some_and(|name| !names.insert(name)) {
                return Err(none(statement, "a second one of that name"));
            }
            match statement {
                Statement::Directive(directive) => {
                    let value = scalars::text(&directive.value, 2, 4);
                    self.line(2, &format!("- {value}"));
                }
                Statement::Definition(definition) => {
                    let name = scalars::word(&definition.name.text);
                    match &definition.value.kind {
                        Kind::Set(members) if key == "set" => {
                            self.members(&name, &definition.value, members, 2);
                        }
                        // Below `set`, a list is a set.
                        Kind::List(_) if key == "set" => {
                            let value = scalars::value(&definition.value, 2, WIDTH);
                            self.line(2, &format!("{name}: {value}"));
                        }
                        _ => self.field_line(&name, &definition.value, 2),
                    }
                }
                Statement::Block(block) if key == "test" => self.test(block, 2)?,
                Statement::Block(block) => {
                    let title = scalars::word(block.titles.last().map_or("", Title::text));
                    let mut indent = 2;
                    if key == "override" {
                        let of = kind(statement);
                        if !kinds.contains(&of) {
                            kinds.push(of);
                            self.line(2, &format!("{}:", scalars::word(of)));
                        }
                        indent = 4;
                    }
                    if key == "groups" {
                        self.rules(&title, &block.statements, indent)?;
                    } else {
                        let word = if key == "override" {
                            kind(statement)
                        } else {
                            key
                        };
                        self.body(&title, word, block, indent)?;
                    }
                }
                _ => {
                    return Err(none(
                        statement,
                        "this statement has no place in the YAML form",
                    ));
                }
            }
            self.comment_behind(statement);
        }
        Ok(())
    }

    /// A block that stands by itself.
    fn single(&mut self, key: &str, block: &Block) -> Printed {
        match key {
            "rules" => self.rules(key, &block.statements, 0),
            "balance" => {
                self.line(0, "balance:");
                let mut names = HashSet::from(["rules".to_owned()]);
                let mut has_rules = false;
                for statement in &block.statements {
                    match statement {
                        Statement::Rule(_) | Statement::Use(_) if has_rules => {}
                        Statement::Rule(_) | Statement::Use(_) => {
                            has_rules = true;
                            let is_rule = |s: &&Statement| {
                                matches!(s, Statement::Rule(_) | Statement::Use(_))
                            };
                            let rules = block.statements.iter().filter(is_rule);
                            let rules: Vec<Statement> = rules.cloned().collect();
                            self.rules("rules", &rules, 2)?;
                        }
                        other => self.inside(other, key, 2, &mut names)?,
                    }
                }
                if block.statements.is_empty() {
                    self.out.truncate(self.out.len() - 1);
                    self.out.push_str(" {}\n");
                }
                Ok(())
            }
            "policy" => {
                self.line(0, "policy:");
                let name = scalars::word(block.titles.first().map_or("", Title::text));
                self.line(2, &format!("name: {name}"));
                let mut names = HashSet::from(["name".to_owned()]);
                for statement in &block.statements {
                    self.inside(statement, key, 2, &mut names)?;
                }
                Ok(())
            }
            _ => self.body(key, key, block, 0),
        }
    }

    /// A block below its key.
    fn body(&mut self, key: &str, word: &str, block: &Block, indent: usize) -> Printed {
        if block.statements.is_empty() {
            self.line(indent, &format!("{key}: {{}}"));
            return Ok(());
        }
        self.line(indent, &format!("{key}:"));
        let mut names = HashSet::new();
        for statement in &block.statements {
            self.inside(statement, word, indent + 2, &mut names)?;
        }
        Ok(())
    }

    /// A statement in the block `word`.
    pub(super) fn inside(
        &mut self,
        statement: &Statement,
        word: &str,
        indent: usize,
        names: &mut HashSet<String>,
    ) -> Printed {
        self.comments_before(lead(statement), indent);
        let name = match statement {
            Statement::Field(field) => &field.name.text,
            Statement::Block(block) if block.titles.is_empty() => &block.word.text,
            _ => return Err(none(statement, "no field, and nothing else can stand here")),
        };
        if !names.insert(name.clone()) {
            return Err(none(statement, "a second one of that name"));
        }
        match statement {
            Statement::Field(field) => {
                let key = scalars::word(name);
                if TEXT_FIELDS.contains(&(word, name)) {
                    let value = match &field.value.kind {
                        Kind::Text(text) => scalars::quoted(text),
                        _ => scalars::text(&field.value, indent, indent + key.len() + 2),
                    };
                    self.line(indent, &format!("{key}: {value}"));
                } else {
                    self.field_line(&key, &field.value, indent);
                }
                self.comment_behind(statement);
                Ok(())
            }
            Statement::Block(block) => {
                let key = scalars::word(name);
                self.body(&key, name, block, indent)
            }
            _ => Ok(()),
        }
    }

    /// The value of a field on the line of its key.
    fn field_value(&self, expr: &Expr, indent: usize, used: usize) -> String {
        scalars::value(expr, indent, used)
    }

    /// A key and its value, which may be a list.
    fn field_line(&mut self, key: &str, expr: &Expr, indent: usize) {
        let Kind::List(members) = &expr.kind else {
            let used = indent + key.len() + 2;
            let value = self.field_value(expr, indent, used);
            return self.line(indent, &format!("{key}: {value}"));
        };
        let is_nested = members.iter().any(|m| matches!(m.kind, Kind::List(_)));
        if is_nested {
            let value = scalars::value(expr, indent, WIDTH);
            return self.line(indent, &format!("{key}: {value}"));
        }
        let items: Vec<String> = members
            .iter()
            .map(|member| scalars::value(member, indent + 2, indent + 4))
            .collect();
        self.list(key, &items, indent);
    }

    /// The members of a set.
    fn members(&mut self, key: &str, set: &Expr, members: &[Expr], indent: usize) {
        let has_comments = self.comments.inside(set.span());
        let one = |member: &Expr| match &member.kind {
            Kind::Text(text) if self.constants.contains(text) => scalars::quoted(text),
            _ => scalars::text(member, indent + 2, indent + 4),
        };
        let items: Vec<String> = members.iter().map(one).collect();
        // A key with nothing under it would be no set: what is in an empty one goes below.
        if !has_comments || items.is_empty() {
            return self.list(key, &items, indent);
        }
        self.line(indent, &format!("{key}:"));
        for (item, member) in items.iter().zip(members) {
            self.comments_before(member.span().start, indent + 2);
            self.line(indent + 2, &format!("- {item}"));
            self.comments.behind(member.span().end, &mut self.out);
        }
    }

    /// In brackets if that fits on the line, or else one item a line.
    fn list(&mut self, key: &str, items: &[String], indent: usize) {
        let short = format!("{key}: [{}]", items.join(", "));
        let fits = indent + short.chars().count() <= WIDTH;
        if fits && items.iter().all(|item| scalars::fits_in_brackets(item)) {
            return self.line(indent, &short);
        }
        self.line(indent, &format!("{key}:"));
        for item in items {
            self.line(indent + 2, &format!("- {item}"));
        }
    }
}
