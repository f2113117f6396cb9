//! Tasks that show something: which one a rule takes, which one two rules both
//! ask for, which one two policies treat differently.
//!
//! A task is found as a part of the space of classes that is left when what must
//! not be is taken away; each class knows a value that is in it. Before it is
//! handed out it is made short, attribute by attribute, as long as it still shows
//! what it should, by a plain evaluation of the conditions.
//!
//! A condition that asks a model is unknown here, as it is for a task that no
//! model has seen.

use std::collections::BTreeMap;

use super::super::attribute::Attribute;
use super::super::partition::{partitions, patterns};
use super::super::policy::{Cond, Policy, RuleId, Value};
use super::super::types;
use super::boxes::{Conjunction, Models, Region, Space, everything, expand};
use super::search::Search;
use super::{BUDGET, WHOLE_BUDGET};
use crate::diag::{Code, Diagnostic, Severity};

/// What is known of a task; everything else is unknown.
pub type Values = Vec<(Attribute, Value)>;

/// A task that two policies put into tiers of different names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The task.
    pub values: Values,
    /// The rule of the old policy that decides.
    pub old_rule: RuleId,
    /// The rule of the new policy that decides.
    pub new_rule: RuleId,
}

/// What [`differences`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Differences {
    /// One task for each pair of rules.
    pub found: Vec<Difference>,
    /// Whether there are no others: neither the limit nor the work that the
    /// search may do was reached, and no condition asks a model.
    pub complete: bool,
}

/// The class of each attribute; an attribute that is left out is unknown.
type Point = BTreeMap<Attribute, usize>;

/// The conditions of some rules, none for one that always holds, as boxes.
struct Rules<'a> {
    conds: Vec<Option<&'a Cond>>,
    boxes: Vec<Vec<Conjunction>>,
}

impl<'a> Rules<'a> {
    fn new(policy: &'a Policy, space: &Space<'_>, left: &mut usize) -> Option<Self> {
        let conds: Vec<_> = policy
            .rules()
            .iter()
            .map(|rule| rule.when.as_ref())
            .collect();
        let expanded = conds.iter().map(|cond| match cond {
            None => Some(vec![Conjunction::default()]),
            Some(cond) => expand(cond, true, Models::Unknown, space, left),
        });
        let boxes = expanded.collect::<Option<_>>()?;
        Some(Self { conds, boxes })
    }

    fn of(&self, rule: usize) -> &[Conjunction] {
        self.boxes.get(rule).map_or(&[], Vec::as_slice)
    }

    /// Adds the boxes above a rule that have something of a region.
    fn above<'b>(
        &'b self,
        rule: usize,
        region: &Region,
        search: &mut Search,
        out: &mut Vec<(usize, &'b Conjunction)>,
    ) -> Option<()> {
        for (index, boxes) in self.boxes.iter().enumerate().take(rule) {
            for one in boxes {
                if search.meets(region, one)? {
                    out.push((index, one));
                }
            }
        }
        Some(())
    }

    /// The rule that decides for a point.
    fn decides(&self, point: &Point, space: &Space<'_>) -> Option<usize> {
        self.conds.iter().position(|cond| match cond {
            None => true,
            Some(cond) => truth(cond, point, space) == Some(true),
        })
    }

    fn holds(&self, rule: usize, point: &Point, space: &Space<'_>) -> bool {
        match self.conds.get(rule) {
            Some(Some(cond)) => truth(cond, point, space) == Some(true),
            Some(None) => true,
            None => false,
        }
    }
}

/// Kleene's logic, over classes.
fn truth(cond: &Cond, point: &Point, space: &Space<'_>) -> Option<bool> {
    let some = |members: &[Cond], decisive: bool| {
        let mut unknown = false;
        for member in members {
            match truth(member, point, space) {
                Some(truth) if truth == decisive => return Some(decisive),
                Some(_) => {}
                None => unknown = true,
            }
        }
        (!unknown).then_some(!decisive)
    };
    match cond {
        Cond::And(members) => some(members, false),
        Cond::Or(members) => some(members, true),
        Cond::Not(inner) => truth(inner, point, space).map(|truth| !truth),
        Cond::Model(..) => None,
        Cond::Test(test, _) => {
            let attribute = test.attribute();
            let class = *point.get(&attribute)?;
            space.get(&attribute)?.holds(test, class)
        }
    }
}

fn asks_a_model(cond: &Cond) -> bool {
    match cond {
        Cond::And(members) | Cond::Or(members) => members.iter().any(asks_a_model),
        Cond::Not(inner) => asks_a_model(inner),
        Cond::Model(..) => true,
        Cond::Test(..) => false,
    }
}

/// A task in a region that shows what it should, as short as it can be.
fn task_of(region: &Region, space: &Space<'_>, shows: impl Fn(&Point) -> bool) -> Option<Values> {
    let mut point = Point::new();
    for (attribute, mask) in region {
        let partition = space.get(attribute)?;
        let unknown = partition.unknown().is_some_and(|class| mask.has(class));
        if !unknown {
            point.insert(*attribute, mask.members().next()?);
        }
    }
    if !shows(&point) {
        return None;
    }
    for attribute in region.keys() {
        if let Some(class) = point.remove(attribute)
            && !shows(&point)
        {
            point.insert(*attribute, class);
        }
    }
    let values = point.into_iter().map(|(attribute, class)| {
        let value = space.get(&attribute)?.value(class)?;
        Some((attribute, value.clone()))
    });
    values.collect()
}

/// The space of the conditions of policies, with values.
fn space<'a>(policies: &[&'a Policy], left: &mut usize) -> Option<Space<'a>> {
    let conds = || {
        let rules = policies.iter().flat_map(|policy| policy.rules());
        rules.filter_map(|rule| rule.when.as_ref())
    };
    let patterns = patterns(conds()).ok()?;
    partitions(conds(), &patterns, true, left)
}

fn search(left: usize) -> Search {
    Search {
        budget: BUDGET.min(left),
        used: Default::default(),
    }
}

fn id(rule: usize) -> RuleId {
    RuleId(u16::try_from(rule).unwrap_or(u16::MAX))
}

/// A task that a rule takes; none where it takes none but by a model, or where
/// finding one is too much work.
pub fn witness(policy: &Policy, rule: RuleId) -> Option<Values> {
    let mut left = WHOLE_BUDGET;
    let space = space(&[policy], &mut left)?;
    let rules = Rules::new(policy, &space, &mut left)?;
    let everything = everything(&space);
    let rule = usize::from(rule.0);
    let mut search = search(left);
    for one in rules.of(rule) {
        let region = one.within(&everything);
        let mut above = Vec::new();
        rules.above(rule, &region, &mut search, &mut above)?;
        let Some(rest) = search.uncovered(&region, &above)? else {
            continue;
        };
        let shows = |point: &Point| rules.decides(point, &space) == Some(rule);
        if let Some(values) = task_of(&rest, &space, shows) {
            return Some(values);
        }
    }
    None
}

/// One warning for each pair of rules that lead to different tiers and that some
/// task meets both of, with that task. The upper of the two decides for it.
pub fn overlaps(policy: &Policy) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    if look_for_overlaps(policy, &mut found).is_none() {
        found.push(
            Diagnostic::new(Code::W0204, "not every pair of rules was looked at")
                .severity(Severity::Note)
                .help("there are too many ways in which they overlap"),
        );
    }
    found
}

fn look_for_overlaps(policy: &Policy, found: &mut Vec<Diagnostic>) -> Option<()> {
    let mut left = WHOLE_BUDGET;
    let space = space(&[policy], &mut left)?;
    let rules = Rules::new(policy, &space, &mut left)?;
    let everything = everything(&space);
    let mut complete = true;
    for (lower, second) in policy.rules().iter().enumerate() {
        if second.when.is_none() {
            continue;
        }
        for (upper, first) in policy.rules().iter().enumerate().take(lower) {
            if first.tier == second.tier {
                continue;
            }
            let mut search = search(left);
            let before = search.budget;
            let values = both(&rules, &space, &everything, (upper, lower), &mut search);
            left = left.checked_sub(before - search.budget)?;
            let Some(values) = values else {
                complete = false;
                continue;
            };
            let Some(values) = values else { continue };
            let tier = |id| policy.tier(id).map_or("", |tier| tier.name.as_str());
            found.push(
                Diagnostic::new(
                    Code::W0204,
                    format!("{} and {} overlap", called(first), called(second)),
                )
                .label(second.span, format!("leads to `{}`", tier(second.tier)))
                .label(first.span, format!("takes it to `{}`", tier(first.tier)))
                .help(format!("both ask for the task `{}`", task_text(&values))),
            );
        }
    }
    complete.then_some(())
}

fn called(rule: &super::super::policy::Rule) -> String {
    if rule.is_labelled() {
        format!("`{}`", rule.name)
    } else {
        format!("the rule on line {}", rule.line)
    }
}

/// A task for which the upper rule decides, and that the lower one asks for too;
/// none inside when there is none, none outside when the budget is used up.
fn both(
    rules: &Rules<'_>,
    space: &Space<'_>,
    everything: &Region,
    (upper, lower): (usize, usize),
    search: &mut Search,
) -> Option<Option<Values>> {
    for one in rules.of(upper) {
        let region = one.within(everything);
        for other in rules.of(lower) {
            if !search.meets(&region, other)? {
                continue;
            }
            let region = other.within(&region);
            let mut above = Vec::new();
            rules.above(upper, &region, search, &mut above)?;
            let Some(rest) = search.uncovered(&region, &above)? else {
                continue;
            };
            let shows = |point: &Point| {
                rules.decides(point, space) == Some(upper) && rules.holds(lower, point, space)
            };
            if let Some(values) = task_of(&rest, space, shows) {
                return Some(Some(values));
            }
        }
    }
    Some(None)
}

/// Tasks that two policies put into tiers of different names: one for each pair
/// of rules that decide for such a task, `most` at most.
pub fn differences(old: &Policy, new: &Policy, most: usize) -> Differences {
    let mut found = Vec::new();
    let conds = old.rules().iter().chain(new.rules());
    let foreseen = !conds
        .filter_map(|rule| rule.when.as_ref())
        .any(asks_a_model);
    let complete = look_for_differences(old, new, most, &mut found).is_some() && foreseen;
    Differences { found, complete }
}

fn look_for_differences(
    old: &Policy,
    new: &Policy,
    most: usize,
    found: &mut Vec<Difference>,
) -> Option<()> {
    let mut left = WHOLE_BUDGET;
    let space = space(&[old, new], &mut left)?;
    let before = Rules::new(old, &space, &mut left)?;
    let after = Rules::new(new, &space, &mut left)?;
    let everything = everything(&space);
    let mut complete = true;
    for (first, old_rule) in old.rules().iter().enumerate() {
        let from = old.tier(old_rule.tier).map(|tier| &tier.name);
        for (second, new_rule) in new.rules().iter().enumerate() {
            if from == new.tier(new_rule.tier).map(|tier| &tier.name) {
                continue;
            }
            let mut search = search(left);
            let budget = search.budget;
            let pair = (first, second);
            let values = moved(&before, &after, &space, &everything, pair, &mut search);
            left = left.checked_sub(budget - search.budget)?;
            match values {
                None => complete = false,
                Some(None) => {}
                Some(Some(_)) if found.len() >= most => return None,
                Some(Some(values)) => found.push(Difference {
                    values,
                    old_rule: id(first),
                    new_rule: id(second),
                }),
            }
        }
    }
    complete.then_some(())
}

/// A task for which these two rules decide.
fn moved(
    before: &Rules<'_>,
    after: &Rules<'_>,
    space: &Space<'_>,
    everything: &Region,
    (first, second): (usize, usize),
    search: &mut Search,
) -> Option<Option<Values>> {
    for one in before.of(first) {
        let region = one.within(everything);
        for other in after.of(second) {
            if !search.meets(&region, other)? {
                continue;
            }
            let region = other.within(&region);
            let mut above = Vec::new();
            after.above(second, &region, search, &mut above)?;
            before.above(first, &region, search, &mut above)?;
            let Some(rest) = search.uncovered(&region, &above)? else {
                continue;
            };
            let shows = |point: &Point| {
                before.decides(point, space) == Some(first)
                    && after.decides(point, space) == Some(second)
            };
            if let Some(values) = task_of(&rest, space, shows) {
                return Some(Some(values));
            }
        }
    }
    Some(None)
}

/// A task as `edict eval --task` takes it: `comm=nginx nice=-5`.
pub fn task_text(values: &[(Attribute, Value)]) -> String {
    let pairs = values.iter().map(|(attribute, value)| {
        let value = match value {
            Value::Truth(truth) => truth.to_string(),
            Value::Number(number) => types::number(attribute.about().ty, *number),
            Value::Text(text) => {
                let plain = !text.is_empty()
                    && !text.starts_with(['"', '\''])
                    && !text.contains(char::is_whitespace);
                if plain {
                    text.clone()
                } else {
                    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
                }
            }
        };
        format!("{attribute}={value}")
    });
    pairs.collect::<Vec<_>>().join(" ")
}
