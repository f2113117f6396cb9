//! Lists of rules and of tests.

use super::Lower;
use super::keys::Entry;
use super::node::{Content, Node};
use super::sections::block;
use crate::diag::{Code, Diagnostic, Span, shown};
use crate::syntax::ast::{Block, Expect, Expr, Name, Place, Rule, Statement, Title, Use};

const RULE_KEYS: [&str; 5] = ["name", "when", "otherwise", "tier", "use"];
const MOVE_KEYS: [&str; 6] = ["name", "when", "otherwise", "for", "migrate", "tier"];
const TEST_KEYS: [&str; 4] = ["name", "task", "expect", "by"];

/// The keys of a rule, as far as they are there.
#[derive(Default)]
struct Parts {
    label: Option<Name>,
    when: Option<Expr>,
    hold: Option<Expr>,
    /// The place of the key.
    otherwise: Option<Span>,
    target: Option<Name>,
    within: Option<Name>,
    named: Option<(Name, Span)>,
}

impl Lower<'_> {
    /// A list of rules; `moves` in `balance`.
    pub(super) fn rules(&mut self, node: &Node, what: &str, moves: bool) -> Vec<Statement> {
        if matches!(node.content, Content::Empty) {
            return Vec::new();
        }
        let items = self.items(node, what);
        items
            .iter()
            .filter_map(|item| self.rule(item, moves))
            .collect()
    }

    fn rule(&mut self, node: &Node, moves: bool) -> Option<Statement> {
        let entries = self.entries(node, "a rule");
        if entries.is_empty() {
            return None;
        }
        let mut parts = Parts::default();
        let mut is_whole = true;
        for entry in &entries {
            is_whole &= self.part(entry, moves, &mut parts);
        }
        if !is_whole {
            return None;
        }
        if let Some((name, key)) = parts.named {
            if let Some(other) = entries.iter().find(|entry| entry.key != "use") {
                self.refuse(
                    Diagnostic::new(Code::E0127, "`use` stands for itself")
                        .label(other.span, "not beside `use`")
                        .help("begin another item of the list for it"),
                );
                return None;
            }
            let place = Place(key.to(name.span()));
            return Some(Statement::Use(Use { name, place }));
        }
        let head = entries.first().map_or(node.span, |entry| entry.span);
        let lacks = |what: &str, help: &str| {
            Diagnostic::new(Code::E0129, format!("a rule without {what}"))
                .label(head, format!("this rule has no {what}"))
                .help(help)
        };
        match (&parts.when, parts.otherwise) {
            (None, None) => {
                self.refuse(lacks(
                    "`when`",
                    "write `when: CONDITION`, or `otherwise: TIER` for the last rule",
                ));
                return None;
            }
            (Some(when), Some(key)) => {
                let span = when.span();
                self.refuse(
                    Diagnostic::new(Code::E0127, "a rule with both `when` and `otherwise`")
                        .label(key, "takes every task")
                        .label(span, "takes some")
                        .help("make two rules of it"),
                );
                return None;
            }
            _ => {}
        }
        let Some(target) = parts.target else {
            let (what, help) = if moves {
                ("`migrate`", "write `migrate: llc` or `migrate: node`")
            } else {
                ("`tier`", "write `tier: NAME`")
            };
            self.refuse(lacks(what, help));
            return None;
        };
        Some(Statement::Rule(Rule {
            label: parts.label,
            when: parts.when,
            hold: parts.hold,
            target,
            within: parts.within,
            place: Place(node.span),
        }))
    }

    /// Takes in one key; tells whether something came of it.
    fn part(&mut self, entry: &Entry<'_>, moves: bool, parts: &mut Parts) -> bool {
        let value = entry.value;
        let is_empty = matches!(value.content, Content::Empty);
        match entry.key {
            "name" => {
                parts.label = self.name(value, "the name of a rule");
                parts.label.is_some()
            }
            "when" => {
                parts.when = self.expression(value, entry.key);
                parts.when.is_some()
            }
            "for" => {
                parts.hold = self.expression(value, entry.key);
                parts.hold.is_some()
            }
            "otherwise" => {
                parts.otherwise = Some(entry.span);
                if !is_empty {
                    parts.target = self.name(value, "a tier");
                }
                is_empty || parts.target.is_some()
            }
            "tier" => {
                parts.target = self.name(value, "a tier");
                parts.target.is_some()
            }
            "within" => {
                parts.within = self.name(value, "a domain");
                parts.within.is_some()
            }
            "migrate" => {
                parts.target = Some(Name {
                    text: "migrate".to_owned(),
                    place: Place(entry.span),
                });
                if !is_empty {
                    parts.within = self.name(value, "a domain");
                }
                is_empty || parts.within.is_some()
            }
            "use" => {
                parts.named = self.name(value, "a group").map(|name| (name, entry.span));
                parts.named.is_some()
            }
            _ => {
                let known: &[&str] = if moves { &MOVE_KEYS } else { &RULE_KEYS };
                self.unknown(entry, "a rule", known);
                false
            }
        }
    }

    /// `balance`: fields, and a list of rules.
    pub(super) fn balance(&mut self, node: &Node) -> Vec<Statement> {
        if matches!(node.content, Content::Empty) {
            return Vec::new();
        }
        let mut out = Vec::new();
        for entry in self.entries(node, "`balance`") {
            if entry.key == "rules" {
                out.extend(self.rules(entry.value, "`rules`", true));
            } else {
                out.extend(self.field(&entry, "balance"));
            }
        }
        out
    }

    /// One test.
    pub(super) fn test(&mut self, node: &Node, out: &mut Vec<Statement>) {
        let entries = self.entries(node, "a test");
        let Some(first) = entries.first() else {
            return;
        };
        let mut titles = Vec::new();
        let mut statements = Vec::new();
        let by = entries.iter().find(|entry| entry.key == "by");
        let by = by.and_then(|by| self.by(by.value).map(|name| (name, by.span)));
        let expects = entries.iter().any(|entry| entry.key == "expect");
        if let (Some((_, key)), false) = (&by, expects) {
            self.refuse(
                Diagnostic::new(Code::E0129, "`by` without `expect`")
                    .label(*key, "by which rule is what expected?")
                    .help("write `expect: TIER` beside it"),
            );
        }
        for entry in &entries {
            match entry.key {
                "name" => match &entry.value.content {
                    Content::Scalar(text, _) => {
                        titles.push(Title::Text(text.clone(), Place(entry.value.span)));
                    }
                    _ => self.shape(entry.value, "the name of a test", "a text"),
                },
                "task" => {
                    let statements_of_task = self.task(entry.value);
                    statements.push(block("task", entry, Vec::new(), statements_of_task));
                }
                "expect" => {
                    let Some(tier) = self.name(entry.value, "a tier") else {
                        continue;
                    };
                    let place = Place(entry.span.to(tier.span()));
                    let by = by.as_ref().map(|(name, _)| name.clone());
                    statements.push(Statement::Expect(Expect { tier, by, place }));
                }
                "by" => {}
                _ if matches!(entry.value.content, Content::Mapping(_)) => {
                    self.unknown(entry, "a test", &TEST_KEYS);
                }
                _ => statements.extend(self.field(entry, "test")),
            }
        }
        if titles.is_empty() {
            if !entries.iter().any(|entry| entry.key == "name") {
                self.refuse(
                    Diagnostic::new(Code::E0129, "a test without `name`")
                        .label(first.span, "this test has no name")
                        .help("write `name: TEXT`: a sentence that says what holds"),
                );
            }
            return;
        }
        out.push(Statement::Block(Block {
            word: Name {
                text: "test".to_owned(),
                place: Place(first.span),
            },
            titles,
            statements,
            place: Place(node.span),
        }));
    }

    /// The rule that a test expects to decide; the last one is `otherwise`.
    fn by(&mut self, node: &Node) -> Option<Name> {
        match &node.content {
            Content::Scalar(text, _) if text == "otherwise" => Some(Name {
                text: text.clone(),
                place: Place(node.span),
            }),
            _ => self.name(node, "a rule"),
        }
    }

    fn task(&mut self, node: &Node) -> Vec<Statement> {
        if matches!(node.content, Content::Empty) {
            return Vec::new();
        }
        let mut out = Vec::new();
        for entry in self.entries(node, "`task`") {
            let what = format!("`{}`", shown(entry.key));
            if let Some(value) = self.text(entry.value, &what) {
                out.extend(self.assigned(&entry, value));
            }
        }
        out
    }
}
