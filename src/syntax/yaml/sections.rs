//! The keys at the top of a file.

use std::collections::HashMap;

use super::Lower;
use super::keys::{Entry, SECTIONS, Section, TOP};
use super::node::{Content, Node};
use crate::diag::{Code, Diagnostic, Span, shown};
use crate::syntax::ast::{Block, Definition, Directive, Expr, Kind, Name, Place, Statement, Title};

impl Lower<'_> {
    /// The whole file.
    pub(super) fn root(&mut self, root: &Node, out: &mut Vec<Statement>) {
        if let Content::Scalar(text, _) = &root.content
            && text.contains(':')
        {
            let span = self.first(root.span);
            return self.refuse(
                Diagnostic::new(Code::E0127, "the text is not a mapping of keys and values")
                    .label(span, "read as one text")
                    .help("write a blank behind each `:`, as in `language: 1`"),
            );
        }
        for entry in self.entries(root, "a policy") {
            let section = SECTIONS.iter().find(|(key, _)| *key == entry.key);
            match section {
                Some((_, section)) => self.section(*section, &entry, out),
                None => self.unknown(&entry, "a policy", &TOP),
            }
        }
        self.ambiguous_members(out);
    }

    fn section(&mut self, section: Section, entry: &Entry<'_>, out: &mut Vec<Statement>) {
        let value = entry.value;
        match section {
            Section::Language => {
                let Some(mut version) = self.value(value, entry.key) else {
                    return;
                };
                if !matches!(version.kind, Kind::Number { .. } | Kind::Text(_)) {
                    // Blocks have no way to write that.
                    self.refuse(
                        Diagnostic::new(Code::E0216, "the language version is a number")
                            .label(version.span(), "not a plain number")
                            .help("write `language: 1`"),
                    );
                    version.kind = Kind::Number {
                        value: 1,
                        unit: None,
                    };
                }
                out.push(directive(entry.key, entry.span, version));
            }
            Section::Include => self.includes(entry, out),
            Section::Constants => {
                for each in self.entries(value, "`const`") {
                    self.definition("const", &each, out);
                }
            }
            Section::Sets => {
                for each in self.entries(value, "`set`") {
                    self.definition("set", &each, out);
                }
            }
            Section::Policy => self.policy(entry, out),
            Section::Named => {
                let what = format!("`{}`", entry.key);
                for each in self.entries(value, &what) {
                    self.named(entry.key, &each, out);
                }
            }
            Section::Block => {
                let statements = self.body(entry.value, entry.key);
                out.push(block(entry.key, entry, Vec::new(), statements));
            }
            Section::Rules => {
                let statements = self.rules(value, "`rules`", false);
                out.push(block("rules", entry, Vec::new(), statements));
            }
            Section::Groups => {
                for each in self.entries(value, "`groups`") {
                    let statements = self.rules(each.value, "a group", false);
                    if let Some(title) = self.key_name(&each, "a group") {
                        out.push(block("rules", &each, vec![Title::Name(title)], statements));
                    }
                }
            }
            Section::Balance => {
                let statements = self.balance(value);
                out.push(block("balance", entry, Vec::new(), statements));
            }
            Section::Tests => {
                for item in self.items(value, "`test`") {
                    self.test(item, out);
                }
            }
            Section::Override => {
                for kind in self.entries(value, "`override`") {
                    let Some(word) = self.key_name(&kind, "what is overridden") else {
                        continue;
                    };
                    let what = format!("`{}`", shown(kind.key));
                    for each in self.entries(kind.value, &what) {
                        let statements = self.body(each.value, kind.key);
                        if let Some(title) = self.key_name(&each, "what is overridden") {
                            let titles = vec![Title::Name(word.clone()), Title::Name(title)];
                            out.push(block("override", &each, titles, statements));
                        }
                    }
                }
            }
        }
    }

    fn includes(&mut self, entry: &Entry<'_>, out: &mut Vec<Statement>) {
        let one = std::slice::from_ref(entry.value);
        let paths = match &entry.value.content {
            Content::Sequence(items) => items.as_slice(),
            _ => one,
        };
        for path in paths {
            if let Some(value) = self.text(path, "a path to include") {
                out.push(directive(entry.key, path.span, value));
            }
        }
    }

    fn definition(&mut self, word: &str, entry: &Entry<'_>, out: &mut Vec<Statement>) {
        let name = self.key_name(entry, "what is defined");
        let value = match &entry.value.content {
            Content::Sequence(items) if word == "set" => {
                let members = items
                    .iter()
                    .map(|item| self.text(item, "a member of a set"));
                let members: Vec<Option<Expr>> = members.collect();
                let members: Option<Vec<Expr>> = members.into_iter().collect();
                members.map(|members| Expr {
                    kind: Kind::Set(members),
                    place: Place(entry.value.span),
                })
            }
            _ => self.value(entry.value, entry.key),
        };
        let (Some(name), Some(value)) = (name, value) else {
            return;
        };
        out.push(Statement::Definition(Definition {
            word: Name {
                text: word.to_owned(),
                place: name.place,
            },
            place: Place(entry.span.to(value.span())),
            name,
            value,
        }));
    }

    /// `policy: { name: …, version: … }`
    fn policy(&mut self, entry: &Entry<'_>, out: &mut Vec<Statement>) {
        let mut titles = Vec::new();
        let mut statements = Vec::new();
        let mut has_name = !matches!(entry.value.content, Content::Mapping(_));
        for each in self.entries(entry.value, "`policy`") {
            if each.key == "name" {
                has_name = true;
                let name = self.name(each.value, "the name of a policy");
                titles.extend(name.map(Title::Name));
            } else {
                statements.extend(self.field(&each, "policy"));
            }
        }
        if titles.is_empty() {
            if !has_name {
                self.refuse(
                    Diagnostic::new(Code::E0129, "the policy has no `name`")
                        .label(entry.span, "has no name")
                        .help("write `name: NAME` below it"),
                );
            }
            return;
        }
        out.push(block("policy", entry, titles, statements));
    }

    fn named(&mut self, word: &str, entry: &Entry<'_>, out: &mut Vec<Statement>) {
        let statements = self.body(entry.value, word);
        let what = format!("what stands below `{word}`");
        if let Some(title) = self.key_name(entry, &what) {
            out.push(block(word, entry, vec![Title::Name(title)], statements));
        }
    }

    /// A key that is the name of something.
    pub(super) fn key_name(&mut self, entry: &Entry<'_>, what: &str) -> Option<Name> {
        let style = if entry.span.of(self.text).starts_with(['"', '\'']) {
            super::node::Style::Double
        } else {
            super::node::Style::Plain
        };
        let node = Node {
            span: entry.span,
            content: Content::Scalar(entry.key.to_owned(), style),
        };
        self.name(&node, what)
    }

    /// Complains of members without quotes that are called like a constant of
    /// this file: in the block form they would be the constant.
    fn ambiguous_members(&mut self, statements: &[Statement]) {
        let constants: HashMap<&str, Span> = statements
            .iter()
            .filter_map(|statement| match statement {
                Statement::Definition(d) if d.word.text == "const" => {
                    Some((d.name.text.as_str(), d.name.span()))
                }
                _ => None,
            })
            .collect();
        if constants.is_empty() {
            return;
        }
        let sets = statements.iter().filter_map(|statement| match statement {
            Statement::Definition(Definition {
                word,
                value:
                    Expr {
                        kind: Kind::Set(members),
                        ..
                    },
                ..
            }) if word.text == "set" => Some(members),
            _ => None,
        });
        let mut found = Vec::new();
        for member in sets.flatten() {
            if let Kind::Text(text) = &member.kind
                && let Some(constant) = constants.get(text.as_str())
                && member.span().of(self.text) == text
            {
                let text = shown(text);
                found.push(
                    Diagnostic::new(
                        Code::E0126,
                        format!("`{text}` is a text here, and also the name of a constant"),
                    )
                    .label(member.span(), "the text, or the constant?")
                    .label(*constant, "the constant")
                    .help(format!(
                        "write `\"{text}\"` for the text, or `= {text}` for the constant"
                    )),
                );
            }
        }
        self.diagnostics.extend(found);
    }
}

fn directive(word: &str, at: Span, value: Expr) -> Statement {
    let place = Place(at.to(value.span()));
    Statement::Directive(Directive {
        word: Name {
            text: word.to_owned(),
            place: Place(at),
        },
        value,
        place,
    })
}

/// A block. Its word stands where its name does: the key that says what it is may
/// be far above.
pub(super) fn block(
    word: &str,
    entry: &Entry<'_>,
    titles: Vec<Title>,
    statements: Vec<Statement>,
) -> Statement {
    Statement::Block(Block {
        word: Name {
            text: word.to_owned(),
            place: Place(entry.span),
        },
        titles,
        statements,
        place: Place(entry.span.to(entry.value.span)),
    })
}
