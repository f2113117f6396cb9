//! Writes the lists of a policy as YAML: rules and tests.

use std::collections::HashSet;

use super::comments::lead;
use super::print::{Printed, Printer, none};
use super::scalars::{self, WIDTH};
use crate::syntax::ast::{Block, Rule, Statement, Title};

impl Printer {
    pub(super) fn rules(&mut self, key: &str, statements: &[Statement], indent: usize) -> Printed {
        if statements.is_empty() {
            self.line(indent, &format!("{key}: []"));
            return Ok(());
        }
        self.line(indent, &format!("{key}:"));
        for statement in statements {
            self.comments_before(lead(statement), indent + 2);
            match statement {
                Statement::Rule(rule) => self.rule(rule, indent + 2),
                Statement::Use(named) => {
                    let name = scalars::word(&named.name.text);
                    self.line(indent + 2, &format!("- use: {name}"));
                }
                _ => {
                    return Err(none(
                        statement,
                        "not a rule, and nothing else can stand here",
                    ));
                }
            }
            self.comment_behind(statement);
        }
        Ok(())
    }

    fn rule(&mut self, rule: &Rule, indent: usize) {
        let mut keys: Vec<String> = Vec::new();
        if let Some(label) = &rule.label {
            keys.push(format!("name: {}", scalars::word(&label.text)));
        }
        let target = scalars::word(&rule.target.text);
        let moves = match &rule.within {
            Some(within) if rule.target.text == "migrate" => Some(scalars::word(&within.text)),
            _ => None,
        };
        match &rule.when {
            Some(when) => {
                let text = scalars::condition(when, indent + 2, indent + 8);
                keys.push(format!("when: {text}"));
            }
            None if moves.is_some() => keys.push("otherwise:".to_owned()),
            None => keys.push(format!("otherwise: {target}")),
        }
        if let Some(hold) = &rule.hold {
            keys.push(format!(
                "for: {}",
                scalars::condition(hold, indent + 2, indent + 7)
            ));
        }
        match (&rule.within, moves) {
            (_, Some(within)) => keys.push(format!("migrate: {within}")),
            (within, None) => {
                if rule.when.is_some() {
                    keys.push(format!("tier: {target}"));
                }
                if let Some(within) = within {
                    keys.push(format!("within: {}", scalars::word(&within.text)));
                }
            }
        }
        for (index, key) in keys.iter().enumerate() {
            self.line(
                indent,
                &format!("{}{key}", if index == 0 { "- " } else { "  " }),
            );
        }
    }

    pub(super) fn test(&mut self, block: &Block, indent: usize) -> Printed {
        let name = scalars::sentence(block.titles.first().map_or("", Title::text));
        self.line(indent, &format!("- name: {name}"));
        let indent = indent + 2;
        let reserved = ["name", "task", "expect", "by"];
        let mut names: HashSet<String> = reserved.map(str::to_owned).into();
        for statement in &block.statements {
            match statement {
                Statement::Block(task) if task.word.text == "task" && task.titles.is_empty() => {
                    if !names.remove("task") {
                        return Err(none(statement, "a second task"));
                    }
                    self.comments_before(task.place.0.start, indent);
                    self.task(task, indent)?;
                    self.comment_behind(statement);
                }
                Statement::Expect(expect) => {
                    if !names.remove("expect") {
                        return Err(none(statement, "a second expectation"));
                    }
                    self.comments_before(lead(statement), indent);
                    self.line(
                        indent,
                        &format!("expect: {}", scalars::word(&expect.tier.text)),
                    );
                    if let Some(by) = &expect.by {
                        self.line(indent, &format!("by: {}", scalars::word(&by.text)));
                    }
                    self.comment_behind(statement);
                }
                Statement::Field(field) if !reserved.contains(&field.name.text.as_str()) => {
                    self.inside(statement, "test", indent, &mut names)?;
                }
                _ => return Err(none(statement, "this has no place in a test")),
            }
        }
        Ok(())
    }

    /// The task of a test, on one line if it fits.
    fn task(&mut self, block: &Block, indent: usize) -> Printed {
        let mut names = HashSet::new();
        let mut pairs = Vec::new();
        for statement in &block.statements {
            let Statement::Field(field) = statement else {
                return Err(none(statement, "not an attribute of the task"));
            };
            if !names.insert(&field.name.text) {
                return Err(none(statement, "a second value of one attribute"));
            }
            let key = scalars::word(&field.name.text);
            let value = scalars::text(&field.value, indent + 2, indent + key.len() + 4);
            pairs.push((key, value));
        }
        let fits = pairs
            .iter()
            .all(|(_, value)| scalars::fits_in_brackets(value));
        let short: Vec<String> = pairs
            .iter()
            .map(|(key, value)| format!("{key}: {value}"))
            .collect();
        let short = match short.join(", ") {
            none if none.is_empty() => "task: {}".to_owned(),
            some => format!("task: {{ {some} }}"),
        };
        if fits && indent + short.chars().count() <= WIDTH {
            self.line(indent, &short);
            return Ok(());
        }
        self.line(indent, "task:");
        for (key, value) in pairs {
            self.line(indent + 2, &format!("{key}: {value}"));
        }
        Ok(())
    }
}
