//! Types the `rules` block, and the groups that are placed in it.
//!
//! The rules of a group stand where `use` places them, as if they were written
//! there; each is called after its group, `web.edge`, and keeps the place of its
//! own text. A group is placed once at most, so that a rule is one rule.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::attribute::Attribute;
use super::blocks::tier_id;
use super::conditions::Conditions;
use super::limits::{self, MOST_CLAUSES, MOST_RULES};
use super::lines::LineNumbers;
use super::policy::{Rule, TierId};
use super::scope::{Scope, proper, unknown_tier};
use super::sink::{Sink, meant};
use super::titles::first_word;
use crate::diag::{Code, Diagnostic, Span, shown};
use crate::syntax::ast::{self, Block, Operator, Statement, Use};

/// Groups that a policy may have.
pub(super) const MOST_GROUPS: usize = 512;
/// How deep groups may use each other.
pub(super) const MOST_DEPTH: usize = 8;

/// A rule that was typed, and what the analysis needs to talk about it.
pub(super) struct Typed {
    pub(super) rule: Rule,
    /// The condition, or the whole rule.
    pub(super) when: Span,
    /// The label, or the whole rule.
    pub(super) head: Span,
}

/// The rules of a policy; those that are wrong are left out.
#[derive(Default)]
pub(super) struct Rules {
    pub(super) rules: Vec<Typed>,
    /// The tiers that some rule names, even a wrong rule.
    pub(super) tiers: HashSet<TierId>,
    /// What labelled rules are called, even wrong ones.
    pub(super) named: BTreeSet<String>,
    /// The groups that were placed.
    pub(super) placed: BTreeSet<String>,
    pub(super) clauses: u64,
}

/// The groups by name.
pub(super) type Groups<'a> = BTreeMap<&'a str, &'a Block>;

/// What typing rules needs to know.
pub(super) struct Walk<'a, 'c> {
    pub(super) groups: &'c Groups<'a>,
    pub(super) tiers: &'c [&'a str],
    pub(super) scope: &'c mut Scope,
    pub(super) sink: &'c mut Sink,
    out: Rules,
    lines: &'c mut LineNumbers<'a>,
    examined: HashSet<(Attribute, String, Operator)>,
    /// The `use` that placed a group.
    placed: BTreeMap<&'a str, Span>,
    /// How many rules without a label were called after one line.
    on_line: BTreeMap<String, u32>,
    /// The groups around the rule that is typed.
    open: Vec<&'a str>,
    count: usize,
    otherwise: Option<Span>,
    second: bool,
    last: Option<Span>,
}

impl<'a, 'c> Walk<'a, 'c> {
    pub(super) fn new(
        lines: &'c mut LineNumbers<'a>,
        groups: &'c Groups<'a>,
        tiers: &'c [&'a str],
        scope: &'c mut Scope,
        sink: &'c mut Sink,
    ) -> Self {
        Self {
            lines,
            groups,
            tiers,
            scope,
            sink,
            out: Rules::default(),
            examined: HashSet::new(),
            placed: BTreeMap::new(),
            on_line: BTreeMap::new(),
            open: Vec::new(),
            count: 0,
            otherwise: None,
            second: false,
            last: None,
        }
    }

    /// Types the rules of a policy, groups and all.
    pub(super) fn policy(mut self, block: &'a Block) -> Rules {
        self.statements(block);
        match (self.otherwise, self.last) {
            (None, last) => self.sink.push(
                Diagnostic::new(Code::E0209, "the rules have no `otherwise`")
                    .label(
                        last.unwrap_or(block.head()),
                        if last.is_some() {
                            "this is the last rule, and it does not match every task"
                        } else {
                            "has no rules"
                        },
                    )
                    .help("end the rules with `otherwise -> TIER`"),
            ),
            (Some(at), Some(last)) if at != last && !self.second => self.sink.push(
                Diagnostic::new(Code::E0210, "`otherwise` is not the last rule")
                    .label(at, "takes every task")
                    .label(last, "so this is never reached")
                    .help("move `otherwise` to the end"),
            ),
            _ => {}
        }
        self.finish()
    }

    /// Types the rules of a group that nothing places, to find what is wrong in
    /// them.
    pub(super) fn unplaced(mut self, block: &'a Block) {
        // It is not in the tables of the classifier.
        let budget = std::mem::take(&mut self.scope.budget);
        if let Some(name) = block.titles.first() {
            self.open.push(name.text());
        }
        self.statements(block);
        self.scope.budget = budget;
    }

    fn finish(mut self) -> Rules {
        let placed = self.placed.keys().map(|name| (*name).to_owned());
        self.out.placed = placed.collect();
        self.out
    }

    /// The rules of a block, and of the groups that it uses. Recursion is
    /// bounded by [`MOST_DEPTH`].
    fn statements(&mut self, block: &'a Block) {
        let mut labels: BTreeMap<&str, Span> = BTreeMap::new();
        for statement in &block.statements {
            match statement {
                Statement::Rule(rule) => {
                    if let Some(label) = &rule.label
                        && proper(label, self.sink)
                        && let Some(first) = labels.insert(&label.text, label.span())
                    {
                        self.sink.push(
                            Diagnostic::new(
                                Code::E0213,
                                format!("the label `{}` is used twice", shown(&label.text)),
                            )
                            .label(label.span(), "again")
                            .label(first, "first here")
                            .help("give each rule a label of its own"),
                        );
                    }
                    self.rule(rule);
                }
                Statement::Use(named) => self.place(named),
                _ => self.sink.push(misplaced(statement)),
            }
        }
    }

    /// `use web`
    fn place(&mut self, named: &'a Use) {
        let (name, at) = (named.name.text.as_str(), named.name.span());
        if self.open.is_empty() {
            self.last = Some(named.place.0);
        }
        let Some(group) = self.groups.get(name).copied() else {
            let names = self.groups.keys().copied();
            let define = format!("define it with `rules {} {{ … }}`", shown(name));
            self.sink.push(
                Diagnostic::new(
                    Code::E0230,
                    format!("unknown group of rules `{}`", shown(name)),
                )
                .label(at, "no such group")
                .help(meant(name, names, "group").unwrap_or(define)),
            );
            return;
        };
        // A circle was complained of when the groups were gathered.
        if self.open.contains(&name) {
            return;
        }
        if self.open.len() >= MOST_DEPTH {
            self.sink.push(
                Diagnostic::new(
                    Code::E0407,
                    format!("groups of rules use each other deeper than {MOST_DEPTH}"),
                )
                .label(at, "one level too deep")
                .help("place the group in `rules` itself"),
            );
            return;
        }
        if let Some(first) = self.placed.insert(name, at) {
            self.placed.insert(name, first);
            self.sink.push(
                Diagnostic::new(
                    Code::E0231,
                    format!("the group `{}` is placed twice", shown(name)),
                )
                .label(at, "again")
                .label(first, "first here")
                .help("delete one of the two; a rule that decided above decides nothing below"),
            );
            return;
        }
        self.open.push(name);
        self.statements(group);
        self.open.pop();
    }

    /// What a rule is called: `edge`, `line 7`, `otherwise`, and in a group
    /// `web.edge`, `web line 7`. The second on one line is `line 7 (2)`.
    fn called(&mut self, rule: &ast::Rule) -> String {
        let line = self.lines.of(rule.place.0);
        let group = self.open.last();
        match (&rule.label, group) {
            (Some(label), Some(group)) => format!("{group}.{}", label.text),
            (Some(label), None) => label.text.clone(),
            (None, _) if rule.when.is_none() => "otherwise".to_owned(),
            (None, group) => {
                let group = group.map_or_else(String::new, |group| format!("{group} "));
                let name = format!("{group}line {line}");
                // Several rules may stand on one line.
                let count = self.on_line.entry(name.clone()).or_insert(0u32);
                *count += 1;
                match *count {
                    1 => name,
                    count => format!("{name} ({count})"),
                }
            }
        }
    }

    fn rule(&mut self, rule: &'a ast::Rule) {
        let span = rule.place.0;
        if self.open.is_empty() {
            self.last = Some(span);
        }
        self.count += 1;
        if self.count == MOST_RULES + 1 {
            self.sink.push(
                Diagnostic::new(Code::E0402, format!("more than {MOST_RULES} rules"))
                    .label(first_line(rule), "this rule crosses the limit")
                    .help("join rules that lead to one tier with `or` or a set"),
            );
        }
        refuse_balance(rule, self.sink);
        let name = self.called(rule);
        if rule.label.is_some() {
            self.out.named.insert(name.clone());
        }

        let target = &rule.target;
        let tier = self.tiers.iter().position(|tier| *tier == target.text);
        match tier {
            Some(index) => {
                self.out.tiers.insert(tier_id(index));
            }
            // Without any tier, that is what is said.
            None if self.tiers.is_empty() => {}
            None => self
                .sink
                .push(unknown_tier(&target.text, target.span(), self.tiers)),
        }
        let when = match &rule.when {
            None => {
                if !self.otherwise_here(span) {
                    return;
                }
                None
            }
            Some(expr) => {
                let mut conditions = Conditions {
                    scope: &mut *self.scope,
                    sink: &mut *self.sink,
                    examined: &mut self.examined,
                };
                let Some(cond) = conditions.condition(expr) else {
                    return;
                };
                Some((cond, expr.span()))
            }
        };
        let before = self.out.clauses;
        let more = when
            .as_ref()
            .map_or(1, |(cond, _)| limits::clauses(cond, false));
        self.out.clauses = before.saturating_add(more);
        if self.out.clauses > MOST_CLAUSES && before <= MOST_CLAUSES {
            self.sink.push(too_many_clauses(rule, more));
        }
        let Some(tier) = tier else {
            return;
        };
        let line = self.lines.of(span);
        let at = when.as_ref().map_or(span, |(_, at)| *at);
        self.out.rules.push(Typed {
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

    /// Whether an `otherwise` may stand here.
    fn otherwise_here(&mut self, span: Span) -> bool {
        if let Some(group) = self.open.last() {
            self.sink.push(
                Diagnostic::new(
                    Code::E0233,
                    format!("`otherwise` in the group `{}`", shown(group)),
                )
                .label(span, "would take every task that reaches the group")
                .help("move it to the end of the policy's own `rules`"),
            );
            return false;
        }
        if let Some(first) = self.otherwise {
            self.second = true;
            self.sink.push(
                Diagnostic::new(Code::E0210, "a second `otherwise`")
                    .label(span, "never reached")
                    .label(first, "this one takes every task")
                    .help("delete one of the two"),
            );
        }
        self.otherwise.get_or_insert(span);
        true
    }
}

/// Complains of groups that use each other in a circle.
pub(super) fn circles(groups: &Groups<'_>, sink: &mut Sink) {
    let uses = |group: &str| -> Vec<(&str, Span)> {
        let Some(block) = groups.get(group) else {
            return Vec::new();
        };
        let used = block
            .statements
            .iter()
            .filter_map(|statement| match statement {
                Statement::Use(named) => groups
                    .get_key_value(named.name.text.as_str())
                    .map(|(name, _)| (*name, named.name.span())),
                _ => None,
            });
        used.collect()
    };
    // Depth first, without recursion: chains may be long.
    let mut done: BTreeSet<&str> = BTreeSet::new();
    let mut on_path: BTreeSet<&str> = BTreeSet::new();
    for start in groups.keys().copied() {
        if done.contains(start) {
            continue;
        }
        let mut path: Vec<(&str, Vec<(&str, Span)>)> = vec![(start, uses(start))];
        on_path.insert(start);
        while let Some((name, rest)) = path.last_mut() {
            let name = *name;
            let Some((next, at)) = rest.pop() else {
                done.insert(name);
                on_path.remove(name);
                path.pop();
                continue;
            };
            if on_path.contains(next) {
                sink.push(
                    Diagnostic::new(
                        Code::E0232,
                        format!("the group `{}` uses itself", shown(next)),
                    )
                    .label(at, "this closes the circle")
                    .help("leave this `use` out"),
                );
            } else if !done.contains(next) {
                on_path.insert(next);
                path.push((next, uses(next)));
            }
        }
    }
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
    Diagnostic::new(Code::E0219, "a statement in `rules` that is not a rule")
        .label(first_word(statement), "expected `when … -> TIER`")
        .help("end the rules with `}` first, or write a rule")
}
