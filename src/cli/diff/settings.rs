//! What blocks say, compared field by field.
//!
//! Every field has one spelling for each meaning, and a field that is left out is
//! its default. So `slice = 3ms`, `slice = base` and `slice = 3000us` are the same.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::check::schema::{self, FieldType};
use crate::check::{Between, Cond, Policy};
use crate::cli::terminal::{Align, table};
use crate::cli::{Format, Terminal};
use crate::diag::visible;

/// The differences between the blocks of two policies, rules and tests left out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    /// Blocks with a name that only one of the policies has, as `tier batch`.
    added: Vec<String>,
    removed: Vec<String>,
    changed: Vec<Change>,
    /// The tiers that are in both, in another order, where that has a meaning.
    reordered: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Change {
    block: String,
    field: &'static str,
    old: String,
    new: String,
}

impl Settings {
    pub(super) fn between(old: &Policy, new: &Policy) -> Self {
        let (before, after) = (titled(old), titled(new));
        let without = |all: &[String], others: &[String]| -> Vec<String> {
            let gone = all.iter().filter(|name| !others.contains(name));
            gone.cloned().collect()
        };
        let (removed, added) = (without(&before, &after), without(&after, &before));
        let (given_before, given_after) = (given(old), given(new));
        let mut places: Vec<&Place> = given_before.keys().chain(given_after.keys()).collect();
        places.sort();
        places.dedup();
        let mut changed: Vec<Change> = places
            .into_iter()
            .filter(|place| !removed.contains(&place.block) && !added.contains(&place.block))
            .filter_map(|place| {
                let value = |given: &BTreeMap<Place, String>, policy: &Policy| {
                    let default = || place.default(policy);
                    given.get(place).cloned().unwrap_or_else(default)
                };
                let (old, new) = (value(&given_before, old), value(&given_after, new));
                (old != new).then(|| Change {
                    block: place.block.clone(),
                    field: place.field,
                    old,
                    new,
                })
            })
            .collect();
        if !same_balance(old, new) {
            let rules = |policy: &Policy| policy.balance().map_or(0, |b| b.rules.len()).to_string();
            changed.push(Change {
                block: "balance".to_owned(),
                field: "rules",
                old: rules(old),
                new: format!("{} (changed)", rules(new)),
            });
        }
        let common = |all: &[String], others: &[String]| -> Vec<String> {
            let kept = all.iter().filter(|name| others.contains(name));
            kept.cloned().collect()
        };
        let strict = |policy: &Policy| policy.lottery().between == Between::Strict;
        Self {
            added,
            removed,
            changed,
            reordered: (strict(old) || strict(new))
                && common(&before, &after) != common(&after, &before),
        }
    }

    pub(super) fn is_any(&self) -> bool {
        *self != Self::default()
    }

    pub(super) fn document(&self) -> Value {
        let changed: Vec<Value> = self
            .changed
            .iter()
            .map(|change| {
                json!({
                    "block": change.block,
                    "field": change.field,
                    "old": change.old,
                    "new": change.new,
                })
            })
            .collect();
        json!({
            "added": self.added,
            "removed": self.removed,
            "changed": changed,
            "reordered": self.reordered,
        })
    }

    pub(super) fn picture(&self, terminal: &Terminal) -> String {
        let mut out = String::new();
        for name in &self.removed {
            out.push_str(&format!("{} {name}\n", terminal.red("-")));
        }
        for name in &self.added {
            out.push_str(&format!("{} {name}\n", terminal.green("+")));
        }
        if self.reordered {
            out.push_str("the tiers stand in another order, and the first is served first\n");
        }
        if !self.changed.is_empty() {
            let rows: Vec<Vec<String>> = self
                .changed
                .iter()
                .map(|change| {
                    vec![
                        format!("{}.{}", change.block, change.field),
                        visible(&change.old).into_owned(),
                        visible(&change.new).into_owned(),
                    ]
                })
                .collect();
            let head = [
                ("field", Align::Left),
                ("old", Align::Left),
                ("new", Align::Left),
            ];
            out.push_str(&table(&head, &rows));
        }
        if !out.is_empty() && terminal.format() == Format::Human {
            out.push('\n');
        }
        out
    }
}

/// A field of a block.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    block: String,
    /// Its position in the schema, so that fields come in their order.
    at: usize,
    field: &'static str,
}

impl Place {
    /// What the field is when it is left out.
    fn default(&self, policy: &Policy) -> String {
        let has = match self.block.as_str() {
            "balance" => policy.balance().is_some(),
            "reward" => policy.reward().is_some(),
            "learn" => policy.learn().is_some(),
            _ => true,
        };
        let field = word(&self.block).and_then(|kind| kind.field(self.field));
        let default = field.and_then(|field| match field.ty {
            FieldType::Cpus => Some("all"),
            _ => field.default,
        });
        default.filter(|_| has).unwrap_or("none").to_owned()
    }
}

/// The kind of block that is called `tier batch`.
fn word(block: &str) -> Option<&'static schema::BlockKind> {
    schema::block(block.split(' ').next().unwrap_or(block))
}

/// Every field that was given. What is only for people makes no difference.
fn given(policy: &Policy) -> BTreeMap<Place, String> {
    policy
        .settings()
        .iter()
        .filter(|setting| !setting.block.starts_with("policy"))
        .map(|setting| {
            let kind = word(&setting.block);
            let field = kind.and_then(|kind| kind.field(setting.name));
            let value = match field.map(|field| &field.ty) {
                // A set: in which order the tiers stand means nothing.
                Some(FieldType::Tiers) => {
                    let mut tiers: Vec<&str> = setting.value.split(", ").collect();
                    tiers.sort_unstable();
                    format!("[{}]", tiers.join(", "))
                }
                Some(FieldType::Attributes) => format!("[{}]", setting.value),
                _ => setting.value.clone(),
            };
            let at = kind.and_then(|kind| kind.fields.iter().position(|f| f.name == setting.name));
            let place = Place {
                block: setting.block.clone(),
                at: at.unwrap_or(usize::MAX),
                field: setting.name,
            };
            (place, value)
        })
        .collect()
}

/// The blocks that have names, in the order of the text.
fn titled(policy: &Policy) -> Vec<String> {
    let tiers = policy
        .tiers()
        .iter()
        .map(|tier| format!("tier {}", tier.name));
    let models = policy.models().iter();
    let models = models.map(|model| format!("model {}", model.name));
    tiers.chain(models).collect()
}

fn same_balance(old: &Policy, new: &Policy) -> bool {
    let rules = |policy: &Policy| {
        policy
            .balance()
            .map(|b| b.rules.clone())
            .unwrap_or_default()
    };
    let (old, new) = (rules(old), rules(new));
    old.len() == new.len()
        && old.iter().zip(&new).all(|(old, new)| {
            (old.hold, old.within) == (new.hold, new.within) && same_cond(&old.when, &new.when)
        })
}

/// Whether two conditions are the same but for where they stand.
fn same_cond(old: &Cond, new: &Cond) -> bool {
    match (old, new) {
        (Cond::And(old), Cond::And(new)) | (Cond::Or(old), Cond::Or(new)) => {
            old.len() == new.len() && old.iter().zip(new).all(|(old, new)| same_cond(old, new))
        }
        (Cond::Not(old), Cond::Not(new)) => same_cond(old, new),
        (Cond::Test(old, _), Cond::Test(new, _)) => old == new,
        (Cond::Model(a, b, c, _), Cond::Model(d, e, f, _)) => (a, b, c) == (d, e, f),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::check_text;
    use crate::cli::Color;

    fn policy(tiers: &str, lottery: &str) -> Policy {
        let text =
            format!("language 1\npolicy p {{ }}\n{tiers}\nrules {{ otherwise -> a }}\n{lottery}\n");
        check_text("p", &text).policy.unwrap()
    }

    #[test]
    fn every_field_is_compared() {
        let old = policy("tier a { }\ntier b { tickets = 20 }\ntier c { }", "");
        let new = policy(
            "tier a { slice = 1500us order = fifo preempt = [b] max_wait = 2s cpus = \"1-2\" }\n\
             tier b { tickets = 30 perf = 12% budget = 30% exclusive = true }\ntier d { }",
            "lottery { between = strict refill = 2s }",
        );
        let settings = Settings::between(&old, &new);
        let terminal = Terminal::new(Format::Human, Color::Never);
        assert_eq!(
            settings.picture(&terminal),
            "\
- tier c
+ tier d
field             old    new
lottery.between   tiers  strict
lottery.refill    1s     2s
tier a.slice      5ms    1500us
tier a.order      vtime  fifo
tier a.preempt    []     [b]
tier a.max_wait   none   2s
tier a.cpus       all    1-2
tier b.tickets    20     30
tier b.exclusive  false  true
tier b.perf       none   12%
tier b.budget     none   30%

"
        );
        assert!(settings.is_any() && !Settings::between(&old, &old).is_any());
        assert_eq!(settings.document()["changed"][2]["new"], "1500us");
    }

    #[test]
    fn one_meaning_is_one_spelling() {
        let old = policy(
            "const s = 3ms\ntier a { slice = s }\ntier b { preempt = [c, a] }\ntier c { }",
            "",
        );
        let new = policy(
            "tier a { slice = 3000us tickets = 100 }\ntier b { preempt = [a, c] }\ntier c { }",
            "",
        );
        assert_eq!(Settings::between(&old, &new), Settings::default());
    }

    #[test]
    fn blocks_beside_tiers_are_compared() {
        let balance = |limit: &str| {
            policy(
                "tier a { }",
                &format!(
                    "balance {{ when imbalance > {limit} for 40ms -> migrate within llc max_moves = 2% }}"
                ),
            )
        };
        let differ = |old: &Policy, new: &Policy| Settings::between(old, new).is_any();
        assert!(!differ(&balance("15%"), &balance("15%")));
        assert!(differ(&balance("15%"), &balance("16%")));
        assert!(differ(&policy("tier a { }", ""), &balance("15%")));
        let seed = policy("tier a { }", "lottery { seed = 5 }");
        let plain = policy("tier a { }", "lottery { between = tiers }");
        assert!(differ(&plain, &seed));
        assert!(!differ(&plain, &policy("tier a { }", "")));
    }

    #[test]
    fn order_matters_where_it_has_a_meaning() {
        let strict = "lottery { between = strict }";
        let (ab, ba) = ("tier a { }\ntier b { }", "tier b { }\ntier a { }");
        let differ =
            |lottery| Settings::between(&policy(ab, lottery), &policy(ba, lottery)).is_any();
        assert!(differ(strict));
        assert!(!differ(""));
    }
}
