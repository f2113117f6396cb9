//! Types `test` blocks: a task, and where the policy must send it.

use std::collections::{BTreeMap, BTreeSet};

use super::attribute::{About, Attribute, Type};
use super::blocks::given_twice;
use super::lines::LineNumbers;
use super::literals::{self, bare_number};
use super::misfit::unknown_attribute;
use super::policy::{Rule, RuleId, TestCase, Value};
use super::scope::{Scope, twice, unknown_tier};
use super::sink::{Sink, meant};
use super::titles::{first_word, text_title};
use super::types;
use super::values::other_truth;
use super::{tier_id, units};
use crate::diag::{Code, Diagnostic, Span, shown};
use crate::syntax::ast::{self, Block, Expect, Expr, Name, Statement};

/// Tests of a policy.
pub const MOST_TESTS: usize = 4_096;

/// What typing tests needs to know.
pub(super) struct Cases<'a, 't> {
    pub(super) scope: &'a mut Scope,
    pub(super) sink: &'a mut Sink,
    pub(super) tiers: &'a [&'a str],
    /// The rules that were typed.
    pub(super) rules: &'a [&'a Rule],
    /// What every rule is called, even a wrong one.
    pub(super) named: &'a BTreeSet<String>,
    pub(super) lines: &'a mut LineNumbers<'t>,
}

impl Cases<'_, '_> {
    /// Types every test; those that are wrong are left out.
    pub(super) fn cases(&mut self, blocks: &[&Block]) -> Vec<TestCase> {
        let mut names: BTreeMap<&str, Span> = BTreeMap::new();
        let mut cases = Vec::new();
        for (index, block) in blocks.iter().enumerate() {
            if index == MOST_TESTS {
                self.sink.push(
                    Diagnostic::new(Code::E0229, format!("more than {MOST_TESTS} tests"))
                        .label(block.head(), "this test crosses the limit")
                        .help("leave out tests that show the same"),
                );
                break;
            }
            let title = text_title(block, self.sink);
            if let Some((name, at)) = title
                && let Some(first) = names.insert(name, at)
            {
                self.sink.push(twice("test", name, at, first));
            }
            let line = self.lines.of(block.word.span());
            let case = self.case(block, title.map_or("", |(name, _)| name), line);
            cases.extend(case.filter(|_| title.is_some()));
        }
        cases
    }

    fn case(&mut self, block: &Block, name: &str, line: u32) -> Option<TestCase> {
        let mut task: Option<&Block> = None;
        let mut expect: Option<&Expect> = None;
        for statement in &block.statements {
            match statement {
                Statement::Block(inner) if inner.word.text == "task" => {
                    if let Some(first) = task {
                        self.once("task", inner.head(), first.head());
                    }
                    task.get_or_insert(inner);
                }
                Statement::Expect(inner) => {
                    if let Some(first) = expect {
                        self.once("expect", inner.place.0, first.place.0);
                    }
                    expect.get_or_insert(inner);
                }
                other => self.sink.push(misplaced(other)),
            }
        }
        let lacks = |what: &str, help: &str| {
            Diagnostic::new(Code::E0226, format!("a test without {what}"))
                .label(block.head(), format!("{what} is needed"))
                .help(help)
        };
        if task.is_none() {
            self.sink.push(lacks(
                "a task",
                "say what is known of a task, as `task { comm = \"nginx\" }`",
            ));
        }
        if expect.is_none() {
            self.sink.push(lacks(
                "an expectation",
                "say which tier is expected, as `expect TIER` or `expect TIER by RULE`",
            ));
        }
        let values = task.and_then(|task| self.task(task));
        let expected = expect.and_then(|expect| {
            let (tier, rule) = self.expectation(expect)?;
            Some((tier, rule, expect.place.0))
        });
        let (tier, rule, span) = expected?;
        Some(TestCase {
            name: name.to_owned(),
            values: values?,
            tier,
            rule,
            span,
            line,
        })
    }

    fn once(&mut self, word: &str, again: Span, first: Span) {
        self.sink.push(
            Diagnostic::new(Code::E0212, format!("a second `{word}` in a test"))
                .label(again, "again")
                .label(first, "first here")
                .help("make a test of each"),
        );
    }

    /// What is known of the task.
    fn task(&mut self, block: &Block) -> Option<Vec<(Attribute, Value)>> {
        if let Some(named) = block.titles.first() {
            self.sink.push(
                Diagnostic::new(Code::E0222, "`task` has no name")
                    .label(named.span(), "a name that is not needed")
                    .help("the test has one: write `task { … }`"),
            );
        }
        let mut values = Vec::new();
        let mut places: BTreeMap<&str, Span> = BTreeMap::new();
        let mut sound = true;
        for statement in &block.statements {
            let Statement::Field(field) = statement else {
                self.sink.push(no_attribute(statement));
                sound = false;
                continue;
            };
            let name = &field.name;
            let Some(attribute) = Attribute::by_name(&name.text) else {
                self.sink.push(unknown_attribute(&name.text, name.span()));
                sound = false;
                continue;
            };
            if let Some(first) = places.insert(&name.text, name.span()) {
                let help = "a task has one value of each attribute";
                self.sink
                    .push(given_twice(&name.text, name.span(), first, help));
                sound = false;
                continue;
            }
            match self.value(attribute.about(), &field.value) {
                Some(value) => values.push((attribute, value)),
                None => sound = false,
            }
        }
        sound.then_some(values)
    }

    /// A value that a task can have.
    fn value(&mut self, about: &'static About, expr: &Expr) -> Option<Value> {
        let at = expr.span();
        if let Some(problem) = other_truth(about.name, expr).filter(|_| about.ty == Type::Bool) {
            return self.refuse(problem);
        }
        let found = types::value(expr, self.scope, self.sink)?;
        let number = match (about.ty, found) {
            (Type::Text, types::Value::Text(text)) => {
                return match literals::unusable(about.attribute, &text, at) {
                    Some(problem) => self.refuse(problem),
                    None => Some(Value::Text(text)),
                };
            }
            (Type::Bool, types::Value::Truth(truth)) => return Some(Value::Truth(truth)),
            (Type::Count, types::Value::Count(number))
            | (Type::Duration, types::Value::Duration(number))
            | (Type::Ratio, types::Value::Ratio(number)) => number,
            (Type::Duration, types::Value::Count(number)) => {
                let range = about.range.unwrap_or((0, i64::MAX));
                return self.refuse(bare_number(about.name, number, range, at));
            }
            (Type::Ratio, types::Value::Count(number)) => {
                return self.refuse(
                    Diagnostic::new(Code::E0302, format!("`{}` is a ratio", about.name))
                        .label(at, "a number without a unit")
                        .help(format!("write `{number}%`")),
                );
            }
            (ty, other) => {
                let help = match ty {
                    Type::Text => literals::quoted(expr, &other),
                    Type::Bool => {
                        format!("write `{} = true` or `{} = false`", about.name, about.name)
                    }
                    ty => format!("write {}, as a task has it", ty.phrase()),
                };
                return self.refuse(
                    Diagnostic::new(
                        Code::E0301,
                        format!(
                            "`{}` is {}, not {}",
                            about.name,
                            ty.phrase(),
                            other.phrase()
                        ),
                    )
                    .label(at, other.phrase())
                    .help(help),
                );
            }
        };
        let (low, high) = about.range.unwrap_or((i64::MIN, i64::MAX));
        if (low..=high).contains(&number) {
            return Some(Value::Number(number));
        }
        let show = |number| match about.ty {
            Type::Duration => types::duration(number),
            Type::Ratio => units::ratio(number),
            _ => number.to_string(),
        };
        let range = if high == i64::MAX {
            format!("`{}` is at least {}", about.name, show(low))
        } else {
            format!("`{}` is from {} to {}", about.name, show(low), show(high))
        };
        self.refuse(
            Diagnostic::new(Code::E0304, range)
                .label(at, format!("{} is outside", show(number)))
                .help("write a value that a task can have"),
        )
    }

    fn refuse<T>(&mut self, diagnostic: Diagnostic) -> Option<T> {
        self.sink.push(diagnostic);
        None
    }

    /// The tier and the rule, which must not contradict each other.
    fn expectation(&mut self, expect: &Expect) -> Option<(super::policy::TierId, Option<RuleId>)> {
        let tier = self
            .tiers
            .iter()
            .position(|tier| *tier == expect.tier.text)
            .map(tier_id);
        if tier.is_none() && !self.tiers.is_empty() {
            self.sink.push(unknown_tier(
                &expect.tier.text,
                expect.tier.span(),
                self.tiers,
            ));
        }
        let Some(by) = &expect.by else {
            return Some((tier?, None));
        };
        let is_meant =
            |rule: &Rule| rule.name == by.text || (by.text == "otherwise" && rule.when.is_none());
        let Some(index) = self.rules.iter().position(|rule| is_meant(rule)) else {
            if !self.named.contains(&by.text) && by.text != "otherwise" {
                self.sink.push(self.unknown_rule(by));
            }
            return None;
        };
        let (tier, rule) = (tier?, self.rules.get(index)?);
        if rule.tier != tier {
            let leads = self.tiers.get(usize::from(rule.tier.0)).copied();
            let leads = shown(leads.unwrap_or("")).into_owned();
            return self.refuse(
                Diagnostic::new(
                    Code::E0228,
                    format!(
                        "`{}` is expected of a rule that leads to `{leads}`",
                        shown(&expect.tier.text)
                    ),
                )
                .label(expect.place.0, "can never be")
                .label(rule.span, format!("leads to `{leads}`"))
                .help(format!(
                    "write `expect {leads} by {}`, or name another rule",
                    shown(&by.text)
                )),
            );
        }
        let index = u16::try_from(index).ok()?;
        Some((tier, Some(RuleId(index))))
    }

    fn unknown_rule(&self, by: &Name) -> Diagnostic {
        let text = by.text.as_str();
        let names = || self.named.iter().map(String::as_str);
        // A rule of a group has the name of the group in front of its own.
        let inner = names().find(|name| name.rsplit_once('.').is_some_and(|(_, own)| own == text));
        let help = match inner {
            Some(name) => Some(format!("did you mean `{name}`?")),
            None => meant(text, names().chain(["otherwise"]), "rule"),
        };
        Diagnostic::new(Code::E0227, format!("unknown rule `{}`", shown(text)))
            .label(by.span(), "no rule has this label")
            .maybe_help(help)
    }
}

/// What does not belong in a `task`.
fn no_attribute(statement: &Statement) -> Diagnostic {
    let at = first_word(statement);
    match statement {
        Statement::Directive(directive) => {
            let name = shown(&directive.word.text).into_owned();
            Diagnostic::new(Code::E0219, format!("`{name}` has no `=`"))
                .label(directive.place.0, "expected an attribute and its value")
                .help(format!("write `{name} = …`"))
        }
        _ => Diagnostic::new(Code::E0219, "a statement in `task` that is no attribute")
            .label(at, "not in `task`")
            .help("write attributes and their values, as `comm = \"nginx\"`"),
    }
}

/// What does not belong in a `test`.
fn misplaced(statement: &Statement) -> Diagnostic {
    let at = first_word(statement);
    let diagnostic = Diagnostic::new(
        Code::E0219,
        "a statement in `test` that is neither a task nor an expectation",
    )
    .label(at, "not in `test`");
    match statement {
        Statement::Field(ast::Field { name, .. }) if Attribute::by_name(&name.text).is_some() => {
            diagnostic.help(format!("put it into `task {{ {} = … }}`", name.text))
        }
        Statement::Rule(_) => diagnostic.help("rules stand in `rules { … }`"),
        _ => diagnostic.help("write `task { … }` and `expect TIER by RULE`"),
    }
}
