//! Types the `rules` block.

use std::collections::{BTreeMap, HashSet};

use super::attribute::Attribute;
use super::blocks::{first_word, tier_id};
use super::conditions::Conditions;
use super::limits::{self, MOST_CLAUSES, MOST_RULES};
use super::policy::{Rule, TierId};
use super::reach::{self, Finding};
use super::scope::{Scope, proper, unknown_tier};
use super::sink::Sink;
use crate::diag::{Code, Diagnostic, Lines, Span, shown};
use crate::syntax::ast::{self, Block, Operator, Statement};

/// A rule that was typed, and what the analysis needs to talk about it.
pub(super) struct Typed {
    pub(super) rule: Rule,
    /// The condition, or the whole rule.
    pub(super) when: Span,
    /// The label, or the whole rule.
    pub(super) head: Span,
}

/// The rules of a block; those that are wrong are left out.
pub(super) struct Rules {
    pub(super) rules: Vec<Typed>,
    /// The tiers that some rule names, even a wrong rule.
    pub(super) tiers: HashSet<TierId>,
    clauses: u64,
}

impl Rules {
    /// Complains of rules that never match, always match, or are never reached.
    pub(super) fn complain_of_reach(&self, names: &[&str], sink: &mut Sink) {
        if self.clauses > MOST_CLAUSES {
            return;
        }
        let conds: Vec<_> = self
            .rules
            .iter()
            .map(|typed| typed.rule.when.as_ref())
            .collect();
        for finding in reach::analyse(&conds) {
            let diagnostic = match finding {
                Finding::Never(index) => self.rules.get(index).map(never),
                Finding::Always(index) => self.rules.get(index).map(|typed| always(typed, names)),
                Finding::Unreachable(index, by, equal) => self.rules.get(index).map(|typed| {
                    let by: Vec<&Typed> = by.iter().filter_map(|by| self.rules.get(*by)).collect();
                    unreachable_rule(typed, &by, equal)
                }),
            };
            diagnostic
                .into_iter()
                .for_each(|diagnostic| sink.push(diagnostic));
        }
    }
}

/// How messages call a rule.
fn called(rule: &Rule) -> String {
    if rule.name.starts_with("line ") {
        format!("the rule on {}", rule.name)
    } else {
        format!("rule `{}`", rule.name)
    }
}

fn never(typed: &Typed) -> Diagnostic {
    Diagnostic::new(
        Code::E0204,
        format!("{} asks for what no task can be", called(&typed.rule)),
    )
    .label(typed.when, "never true")
    .help("one part of the condition excludes another; look for `and` where `or` is meant")
}

fn always(typed: &Typed, tiers: &[&str]) -> Diagnostic {
    let tier = tiers.get(usize::from(typed.rule.tier.0)).copied();
    Diagnostic::new(
        Code::E0205,
        format!("{} matches every task", called(&typed.rule)),
    )
    .label(typed.when, "always true")
    .help(format!(
        "write `otherwise -> {}` at the end instead, or correct the condition",
        shown(tier.unwrap_or("TIER"))
    ))
}

fn unreachable_rule(typed: &Typed, by: &[&Typed], equal: bool) -> Diagnostic {
    let name = called(&typed.rule);
    let mut diagnostic = Diagnostic::new(Code::E0203, format!("{name} can never match"))
        .label(typed.head, "unreachable");
    match by {
        [one] => {
            let bare = name.trim_start_matches("rule ");
            diagnostic = diagnostic.label(
                one.when,
                format!("every task that reaches {bare} is already taken here"),
            );
            let other = called(&one.rule);
            let other = other.trim_start_matches("rule ");
            if equal {
                diagnostic.help("both ask for the same tasks; delete one")
            } else if one.rule.tier == typed.rule.tier {
                diagnostic.help(format!("delete {bare}; {other} leads to the same tier"))
            } else {
                diagnostic.help(format!("move {bare} above {other}, or delete it"))
            }
        }
        several => {
            // The whole list would bury the rule itself.
            for one in several.iter().take(4) {
                diagnostic = diagnostic.label(one.when, "takes a part of its tasks");
            }
            diagnostic.help(format!(
                "{} rules above take all of its tasks together; move it up, or delete it",
                several.len()
            ))
        }
    }
}

pub(super) fn rules(
    block: &Block,
    lines: &Lines<'_>,
    tiers: &[&str],
    scope: &mut Scope,
    sink: &mut Sink,
) -> Rules {
    let mut out = Rules {
        rules: Vec::new(),
        tiers: HashSet::new(),
        clauses: 0,
    };
    let mut examined: HashSet<(Attribute, String, Operator)> = HashSet::new();
    let mut labels: BTreeMap<&str, Span> = BTreeMap::new();
    let mut otherwise: Option<Span> = None;
    let mut second = false;
    let mut last: Option<Span> = None;
    let mut count = 0usize;
    let mut clauses = 0u64;
    for statement in &block.statements {
        let Statement::Rule(rule) = statement else {
            sink.push(misplaced(statement));
            continue;
        };
        let span = rule.place.0;
        last = Some(span);
        count += 1;
        if count == MOST_RULES + 1 {
            sink.push(
                Diagnostic::new(Code::E0402, format!("more than {MOST_RULES} rules"))
                    .label(first_line(rule), "this rule crosses the limit")
                    .help("join rules that lead to one tier with `or` or a set"),
            );
        }
        if let Some(label) = &rule.label
            && proper(label, sink)
            && let Some(first) = labels.insert(&label.text, label.span())
        {
            sink.push(
                Diagnostic::new(
                    Code::E0213,
                    format!("the label `{}` is used twice", shown(&label.text)),
                )
                .label(label.span(), "again")
                .label(first, "first here")
                .help("give each rule a label of its own"),
            );
        }
        refuse_balance(rule, sink);

        let tier = tiers.iter().position(|tier| *tier == rule.target.text);
        match tier {
            Some(index) => {
                out.tiers.insert(tier_id(index));
            }
            // Without any tier, that is what is said.
            None if tiers.is_empty() => {}
            None => sink.push(unknown_tier(&rule.target.text, rule.target.span(), tiers)),
        }
        let when = match &rule.when {
            None => {
                if let Some(first) = otherwise {
                    second = true;
                    sink.push(
                        Diagnostic::new(Code::E0210, "a second `otherwise`")
                            .label(span, "never reached")
                            .label(first, "this one takes every task")
                            .help("delete one of the two"),
                    );
                }
                otherwise.get_or_insert(span);
                None
            }
            Some(expr) => {
                let mut conditions = Conditions {
                    scope: &mut *scope,
                    sink: &mut *sink,
                    examined: &mut examined,
                };
                let Some(cond) = conditions.condition(expr) else {
                    continue;
                };
                Some((cond, expr.span()))
            }
        };
        let before = clauses;
        let more = when
            .as_ref()
            .map_or(1, |(cond, _)| limits::clauses(cond, false));
        clauses = clauses.saturating_add(more);
        if clauses > MOST_CLAUSES && before <= MOST_CLAUSES {
            sink.push(too_many_clauses(rule, more));
        }
        let Some(tier) = tier else {
            continue;
        };
        let line = lines.position(span.start as usize).line;
        let name = match (&rule.label, &when) {
            (Some(label), _) => label.text.clone(),
            (None, None) => "otherwise".to_owned(),
            (None, Some(_)) => format!("line {line}"),
        };
        let at = when.as_ref().map_or(span, |(_, at)| *at);
        out.rules.push(Typed {
            rule: Rule {
                name,
                when: when.map(|(cond, _)| cond),
                tier: tier_id(tier),
                span,
                line,
            },
            when: at,
            head: rule.label.as_ref().map_or(span, ast::Name::span),
        });
    }
    out.clauses = clauses;
    match (otherwise, last) {
        (None, _) => sink.push(
            Diagnostic::new(Code::E0209, "the rules have no `otherwise`")
                .label(
                    last.map_or(block.head(), |span| span),
                    if last.is_some() {
                        "this is the last rule, and it does not match every task"
                    } else {
                        "has no rules"
                    },
                )
                .help("end the rules with `otherwise -> TIER`"),
        ),
        (Some(at), Some(last)) if at != last && !second => sink.push(
            Diagnostic::new(Code::E0210, "`otherwise` is not the last rule")
                .label(at, "takes every task")
                .label(last, "so this is never reached")
                .help("move `otherwise` to the end"),
        ),
        _ => {}
    }
    out
}

/// What only rules of `balance` have.
fn refuse_balance(rule: &ast::Rule, sink: &mut Sink) {
    if let Some(hold) = &rule.hold {
        sink.push(
            Diagnostic::new(Code::E0219, "`for` in a rule that sends tasks to a tier")
                .label(hold.span(), "a duration that is not needed")
                .help("leave it out; `runtime_avg` and `wake_rate` are averages already"),
        );
    }
    if let Some(within) = &rule.within {
        sink.push(
            Diagnostic::new(Code::E0219, "`within` in a rule that sends tasks to a tier")
                .label(within.span(), "not needed")
                .help("leave it out"),
        );
    }
}

fn too_many_clauses(rule: &ast::Rule, more: u64) -> Diagnostic {
    let own = if more == u64::MAX {
        "more than can be counted".to_owned()
    } else {
        more.to_string()
    };
    Diagnostic::new(
        Code::E0403,
        format!("the rules become more than {MOST_CLAUSES} clauses"),
    )
    .label(
        first_line(rule),
        format!("this rule crosses the limit; it becomes {own}"),
    )
    .help("an `or` inside an `and` multiplies: use a set instead, or divide the rule")
}

/// The label or the first word of a rule and what follows.
fn first_line(rule: &ast::Rule) -> Span {
    rule.label
        .as_ref()
        .map(ast::Name::span)
        .or(rule.when.as_ref().map(ast::Expr::span))
        .unwrap_or(rule.place.0)
}

fn misplaced(statement: &Statement) -> Diagnostic {
    let span = first_word(statement);
    match statement {
        Statement::Use(named) => Diagnostic::new(
            Code::E0501,
            format!(
                "`use {}`: groups of rules are not in this version",
                shown(&named.name.text)
            ),
        )
        .label(span, "")
        .help("write the rules here"),
        _ => Diagnostic::new(Code::E0219, "a statement in `rules` that is not a rule")
            .label(span, "expected `when … -> TIER`")
            .help("end the rules with `}` first, or write a rule"),
    }
}
