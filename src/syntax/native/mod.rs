//! The block form: runs the grammar in `grammar/edict.pest` and builds the tree.
//!
//! The only module that names pest.

use pest::Parser as _;
use pest::iterators::{Pair, Pairs};
use pest_derive::Parser;

use super::ast::{
    Ast, Block, Definition, Directive, Expect, Expr, Field, Kind, Name, Operator, Place, Statement,
    Title, Use,
};
use super::expr::{self, Infix, Token};
use super::{Parsed, ast, scan};
use crate::diag::{Code, Diagnostic, FileId, Severity, Span, shown};

mod expected;
mod foreign;
mod literal;
mod lone;

pub use expected::RESERVED;
pub(super) use lone::parse_expression;

#[derive(Parser)]
#[grammar = "../grammar/edict.pest"]
struct Grammar;

/// Statements that are given up in one run.
const MOST_ERRORS: usize = 16;
/// Diagnostics reported in one run.
const MOST_DIAGNOSTICS: usize = 64;

/// Parses a file whose brackets are in pairs.
pub(super) fn parse(file: FileId, text: &str) -> Parsed {
    let mut builder = Builder {
        file,
        base: 0,
        text,
        diagnostics: Vec::new(),
    };
    let mut statements = Vec::new();
    let mut broken = 0;
    let mut from = 0;
    loop {
        builder.base = from;
        let rest = text.get(from..).unwrap_or("");
        let error = match Grammar::parse(Rule::file, rest) {
            Ok(mut pairs) => {
                if let Some(file) = pairs.next() {
                    builder.statements(file.into_inner(), &mut statements);
                }
                break;
            }
            Err(error) => error,
        };
        let diagnostic = builder.unexpected(&error);
        let at = diagnostic
            .labels
            .first()
            .map_or(text.len(), |label| label.span.start as usize);
        builder.diagnostics.push(diagnostic);
        broken += 1;
        if broken >= MOST_ERRORS {
            break;
        }
        // Go on at the next statement behind the mistake.
        match scan::next_statement(text, at) {
            Some(next) => from = next,
            None => break,
        }
    }
    let Builder {
        mut diagnostics, ..
    } = builder;
    diagnostics.sort_by_key(|diagnostic| diagnostic.labels.first().map(|label| label.span.start));
    if diagnostics.len() > MOST_DIAGNOSTICS {
        let more = diagnostics.len() - MOST_DIAGNOSTICS;
        diagnostics.truncate(MOST_DIAGNOSTICS);
        let code = diagnostics.last().map_or(Code::E0101, |last| last.code);
        diagnostics.push(
            Diagnostic::new(code, format!("{more} more diagnostics are not shown"))
                .severity(Severity::Note),
        );
    }
    // What stands in place of a tree that is too deep means nothing.
    let too_deep = diagnostics.iter().any(|found| found.code == Code::E0407);
    Parsed {
        ast: (broken == 0 && !too_deep).then(|| Ast {
            statements,
            place: Place(Span::new(file, 0, text.len())),
        }),
        diagnostics,
    }
}

struct Builder<'a> {
    file: FileId,
    /// Where in the file the parsed piece begins.
    base: usize,
    text: &'a str,
    diagnostics: Vec<Diagnostic>,
}

impl Builder<'_> {
    fn span(&self, pair: &Pair<'_, Rule>) -> Span {
        let span = pair.as_span();
        Span::new(self.file, self.base + span.start(), self.base + span.end())
    }

    /// Like `span`, without the blanks that a rule may have taken in at its end.
    fn trimmed(&self, pair: &Pair<'_, Rule>) -> Span {
        let mut span = self.span(pair);
        let kept = pair.as_str().trim_end().len();
        span.end = span.start.saturating_add(u32::try_from(kept).unwrap_or(0));
        span
    }

    fn complain(&mut self, code: Code, span: Span, message: &str, label: &str, help: &str) {
        self.diagnostics
            .push(Diagnostic::new(code, message).label(span, label).help(help));
    }

    fn statements(&mut self, pairs: Pairs<'_, Rule>, out: &mut Vec<Statement>) {
        for pair in pairs {
            let span = self.span(&pair);
            match pair.as_rule() {
                Rule::separator => {
                    let found = pair.as_str();
                    self.complain(
                        Code::E0109,
                        span,
                        &format!("`{found}` between statements"),
                        "not needed",
                        "separate statements by blanks or line breaks",
                    );
                }
                Rule::foreign_comment => self.complain(
                    Code::E0112,
                    span,
                    "a comment of another language",
                    "",
                    "start a comment with `#`",
                ),
                _ => out.extend(self.statement(pair)),
            }
        }
    }

    fn statement(&mut self, pair: Pair<'_, Rule>) -> Option<Statement> {
        let place = Place(self.trimmed(&pair));
        let shape = pair.as_rule();
        let mut inner = pair.into_inner();
        Some(match shape {
            Rule::block => Statement::Block(self.block(inner, place)?),
            Rule::rule => Statement::Rule(self.rule(inner, place)?),
            Rule::definition => {
                let (word, name) = (self.name(&inner.next()?), self.name(&inner.next()?));
                self.assign(&inner.next()?);
                let value = self.expression(inner.next()?)?;
                Statement::Definition(Definition {
                    word,
                    name,
                    place: Place(place.0.to(value.span())),
                    value,
                })
            }
            Rule::field => {
                let name = self.name(&inner.next()?);
                let assign = inner.next()?;
                let value = self.expression(inner.next()?)?;
                if self.foreign_block(&name, &assign, &value) {
                    return None;
                }
                self.assign(&assign);
                Statement::Field(Field { name, value, place })
            }
            Rule::directive => {
                let mut word = self.name(&inner.next()?);
                let (value, _) = self.operand(inner.next()?)?;
                if matches!(value.kind, Kind::Text(_)) {
                    self.foreign_include(&mut word);
                }
                Statement::Directive(Directive { word, value, place })
            }
            Rule::use_statement => Statement::Use(Use {
                name: self.name(&inner.nth(1)?),
                place,
            }),
            Rule::expect_statement => Statement::Expect(Expect {
                tier: self.name(&inner.nth(1)?),
                by: inner.nth(1).map(|by| self.name(&by)),
                place,
            }),
            _ => return None,
        })
    }

    fn name(&self, pair: &Pair<'_, Rule>) -> Name {
        Name {
            text: pair.as_str().to_owned(),
            place: Place(self.span(pair)),
        }
    }

    fn block(&mut self, inner: Pairs<'_, Rule>, place: Place) -> Option<Block> {
        let mut word = None;
        let mut titles = Vec::new();
        let mut body = Vec::new();
        let mut rest = inner;
        for pair in rest.by_ref() {
            match pair.as_rule() {
                Rule::word => word = Some(self.name(&pair)),
                Rule::title => titles.push(Title::Name(self.name(&pair))),
                Rule::text_title => {
                    let text = pair.into_inner().next()?;
                    let place = Place(self.span(&text));
                    titles.push(Title::Text(self.text_value(text), place));
                }
                _ => break,
            }
        }
        let statements: Vec<_> = rest.filter(|pair| pair.as_rule() != Rule::close).collect();
        for pair in statements {
            self.statements(Pairs::single(pair), &mut body);
        }
        Some(Block {
            word: word?,
            titles,
            statements: body,
            place,
        })
    }

    fn rule(&mut self, inner: Pairs<'_, Rule>, place: Place) -> Option<ast::Rule> {
        let mut rule = ast::Rule {
            label: None,
            when: None,
            hold: None,
            target: Name {
                text: String::new(),
                place,
            },
            within: None,
            place,
        };
        for pair in inner {
            let span = self.span(&pair);
            match pair.as_rule() {
                Rule::word => rule.label = Some(self.name(&pair)),
                Rule::foreign_if if pair.as_str() == "unless" => {
                    self.foreign(Code::E0112, span, "unless", "when not (…)");
                }
                Rule::foreign_if => self.foreign(Code::E0112, span, pair.as_str(), "when"),
                Rule::foreign_else => self.foreign(Code::E0112, span, pair.as_str(), "otherwise"),
                Rule::expression => {
                    let value = self.expression(pair);
                    if rule.when.is_none() {
                        rule.when = Some(value?);
                    } else {
                        rule.hold = Some(value?);
                    }
                }
                Rule::arrow => {
                    let foreign = pair.clone().into_inner().next()?;
                    if foreign.as_rule() == Rule::foreign_arrow {
                        self.foreign_arrow(span, pair.as_str());
                    }
                }
                Rule::target => self.target(pair, &mut rule),
                _ => {}
            }
        }
        Some(rule)
    }

    /// `critical`, `migrate within llc`
    fn target(&mut self, pair: Pair<'_, Rule>, rule: &mut ast::Rule) {
        let mut is_first = true;
        for part in pair.into_inner() {
            let span = self.span(&part);
            match part.as_rule() {
                Rule::foreign_tier => self.complain(
                    Code::E0112,
                    span,
                    "`tier` in front of the name of a tier",
                    "not needed",
                    "write the name alone behind `->`",
                ),
                Rule::text => {
                    let name = self.text_value(part);
                    self.complain(
                        Code::E0112,
                        span,
                        "the name of a tier in quotes",
                        "a text",
                        &format!("write `-> {}`", shown(&name)),
                    );
                    rule.target = Name {
                        text: name,
                        place: Place(span),
                    };
                    is_first = false;
                }
                Rule::word if is_first => {
                    rule.target = self.name(&part);
                    is_first = false;
                }
                Rule::word => rule.within = Some(self.name(&part)),
                _ => {}
            }
        }
    }

    fn expression(&mut self, pair: Pair<'_, Rule>) -> Option<Expr> {
        self.nested(pair).map(|(expr, _)| expr)
    }

    /// The tree of an expression and how deep it is nested. Recursion follows
    /// brackets, whose depth was checked.
    fn nested(&mut self, pair: Pair<'_, Rule>) -> Option<(Expr, usize)> {
        let mut parts = pair.into_inner().peekable();
        let first = parts.next()?;
        if parts.peek().is_none() {
            // Most expressions are a single operand.
            return self.operand(first);
        }
        let mut tokens = Vec::new();
        for part in std::iter::once(first).chain(parts) {
            let span = self.span(&part);
            tokens.push(match part.as_rule() {
                Rule::prefix => match part.into_inner().next()?.as_rule() {
                    Rule::minus => Token::Negative(span),
                    Rule::foreign_not | Rule::foreign_upper_not => {
                        self.foreign(Code::E0102, span, span.of(self.text), "not");
                        Token::Not(span)
                    }
                    _ => Token::Not(span),
                },
                Rule::infix => Token::Infix(self.infix(&part.into_inner().next()?), span),
                _ => {
                    let (expr, depth) = self.operand(part)?;
                    Token::Operand(expr, depth)
                }
            });
        }
        expr::build(tokens, self.text, &mut self.diagnostics)
    }

    fn infix(&mut self, pair: &Pair<'_, Rule>) -> Infix {
        let span = self.span(pair);
        let found = pair.as_str();
        let operator = match pair.as_rule() {
            Rule::and => return Infix::And,
            Rule::or => return Infix::Or,
            Rule::foreign_and
            | Rule::foreign_or
            | Rule::foreign_triple
            | Rule::foreign_equal
            | Rule::foreign_compare
            | Rule::foreign_sign
            | Rule::foreign_word => return self.foreign_infix(span, found),
            Rule::not_in => Operator::NotIn,
            Rule::r#in => Operator::In,
            Rule::under => Operator::Under,
            Rule::starts_with => Operator::StartsWith,
            Rule::like => Operator::Like,
            Rule::matches => Operator::Matches,
            Rule::contains => Operator::Contains,
            Rule::ends_with => Operator::EndsWith,
            Rule::less_equal => Operator::LessEqual,
            Rule::greater_equal => Operator::GreaterEqual,
            Rule::less => Operator::Less,
            Rule::greater => Operator::Greater,
            Rule::not_equal => Operator::NotEqual,
            Rule::dots => Operator::Range,
            Rule::plus => Operator::Plus,
            Rule::minus => Operator::Minus,
            Rule::times => Operator::Times,
            Rule::divide => Operator::Divide,
            _ => Operator::Equal,
        };
        Infix::Binary(operator)
    }

    fn operand(&mut self, pair: Pair<'_, Rule>) -> Option<(Expr, usize)> {
        let place = Place(self.trimmed(&pair));
        let shape = pair.as_rule();
        let (kind, depth) = match shape {
            Rule::text => (Kind::Text(self.text_value(pair)), 0),
            Rule::foreign_text => {
                let found = pair.as_str();
                let value = found.trim_matches(['\'', '“', '”', '„', '‘', '’']);
                self.complain(
                    Code::E0106,
                    place.0,
                    "text without double quotes",
                    "",
                    &format!("write `\"{}\"`", shown(value)),
                );
                (Kind::Text(value.to_owned()), 0)
            }
            Rule::number => (self.number(pair)?, 0),
            Rule::boolean => (Kind::Truth(pair.as_str() == "true"), 0),
            Rule::word => (Kind::Name(pair.as_str().to_owned()), 0),
            Rule::group => {
                let (inner, depth) = self.nested(pair.into_inner().next()?)?;
                (Kind::Group(Box::new(inner)), depth + 1)
            }
            Rule::set | Rule::list => {
                let (members, depth) = self.members(pair.into_inner())?;
                let kind = if shape == Rule::set {
                    Kind::Set(members)
                } else {
                    Kind::List(members)
                };
                (kind, depth + 1)
            }
            Rule::call => {
                let mut inner = pair.into_inner();
                let name = inner.next()?.into_inner().next()?.as_str().to_owned();
                let (members, depth) = self.members(inner)?;
                (Kind::Call(name, members), depth + 1)
            }
            _ => return None,
        };
        Some((Expr { kind, place }, depth))
    }

    fn members(&mut self, pairs: Pairs<'_, Rule>) -> Option<(Vec<Expr>, usize)> {
        let mut members = Vec::new();
        let mut deepest = 0;
        for pair in pairs {
            let (expr, depth) = match pair.as_rule() {
                Rule::expression => self.nested(pair)?,
                Rule::text => self.operand(pair)?,
                _ => continue,
            };
            deepest = deepest.max(depth);
            members.push(expr);
        }
        Some((members, deepest))
    }
}
