//! What an edit has changed, in one line for the log.
//!
//! Two policies are compared by meaning: where something stands does not
//! matter, and a rule that only moved is named as moved. Names are what an
//! operator thinks in, so tiers and rules are matched by name.

use std::collections::BTreeMap;

use crate::check::{Cond, Lottery, Policy, Rule, Tier};

/// As many names are listed for each kind of change; then they are counted.
const NAMES_MAX: usize = 4;

/// The differences between two policies: `tier batch changed; rules added: a,
/// b`. Without any, `no change in meaning`.
pub fn between(old: &Policy, new: &Policy) -> String {
    let mut parts = Vec::new();
    if old.name() != new.name() {
        parts.push(format!("policy {} instead of {}", new.name(), old.name()));
    } else if old.version() != new.version() {
        parts.push(format!(
            "version {} instead of {}",
            new.version().unwrap_or("none"),
            old.version().unwrap_or("none")
        ));
    }
    tiers(old, new, &mut parts);
    rules(old, new, &mut parts);
    let fields = lottery_changes(old.lottery(), new.lottery());
    if !fields.is_empty() {
        parts.push(format!("lottery ({}) changed", fields.join(", ")));
    }
    others(old, new, &mut parts);
    if parts.is_empty() {
        return "no change in meaning".to_owned();
    }
    parts.join("; ")
}

fn tiers(old: &Policy, new: &Policy, parts: &mut Vec<String>) {
    let by_name = |policy: &Policy| -> BTreeMap<String, Tier> {
        let tiers = policy.tiers().iter().cloned();
        tiers.map(|tier| (tier.name.clone(), tier)).collect()
    };
    let (before, after) = (by_name(old), by_name(new));
    let changed = after.iter().filter_map(|(name, tier)| {
        let fields = tier_changes(old, before.get(name)?, new, tier);
        (!fields.is_empty()).then(|| format!("{name} ({})", fields.join(", ")))
    });
    list("tier", "changed", changed, parts);
    let added = after.keys().filter(|name| !before.contains_key(*name));
    list("tier", "added", added.cloned(), parts);
    let removed = before.keys().filter(|name| !after.contains_key(*name));
    list("tier", "removed", removed.cloned(), parts);
}

fn tier_changes(old: &Policy, before: &Tier, new: &Policy, after: &Tier) -> Vec<String> {
    let names = |policy: &Policy, tier: &Tier| -> Vec<String> {
        let preempt = tier.preempt.iter();
        preempt
            .filter_map(|id| policy.tier(*id))
            .map(|tier| tier.name.clone())
            .collect()
    };
    let both = |show: fn(&Tier) -> String| (show(before), show(after));
    let mut fields = values([
        ("tickets", both(|tier| tier.tickets.to_string())),
        ("slice", both(|tier| nanos(tier.slice.0))),
        (
            "max_wait",
            both(|tier| some(tier.max_wait.map(|wait| nanos(wait.0)))),
        ),
        ("order", both(|tier| tier.order.word().to_owned())),
    ]);
    if names(old, before) != names(new, after) {
        fields.push("preempt".to_owned());
    }
    fields.extend(values([
        (
            "cpus",
            both(|tier| {
                let cpus = tier.cpus.as_ref();
                cpus.map_or_else(|| "all".to_owned(), ToString::to_string)
            }),
        ),
        ("exclusive", both(|tier| tier.exclusive.to_string())),
        ("perf", both(|tier| some(tier.perf))),
        ("budget", both(|tier| some(tier.budget))),
    ]));
    // It comes and goes with the budget.
    if let (Some(was), Some(is)) = (before.burst, after.burst) {
        fields.extend(values([("burst", (nanos(was.0), nanos(is.0)))]));
    }
    fields
}

fn lottery_changes(before: Lottery, after: Lottery) -> Vec<String> {
    let both = |show: fn(Lottery) -> String| (show(before), show(after));
    values([
        ("between", both(|lottery| lottery.between.word().to_owned())),
        ("refill", both(|lottery| nanos(lottery.refill.0))),
        ("compensate", both(|lottery| lottery.compensate.to_string())),
        ("seed", both(|lottery| lottery.seed.to_string())),
    ])
}

/// `tickets 20 to 40` for each value that is another one.
fn values<const N: usize>(fields: [(&str, (String, String)); N]) -> Vec<String> {
    let changed = fields.into_iter().filter(|(_, (was, is))| was != is);
    changed
        .map(|(field, (was, is))| format!("{field} {was} to {is}"))
        .collect()
}

fn some(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}

/// Blocks that are compared as a whole: models by name, and those that there
/// are once.
fn others(old: &Policy, new: &Policy, parts: &mut Vec<String>) {
    let fields = |policy: &Policy| -> BTreeMap<String, Vec<(&'static str, String)>> {
        let mut blocks: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for model in policy.models() {
            blocks.entry(format!("model {}", model.name)).or_default();
        }
        for (word, is_there) in [
            ("balance", policy.balance().is_some()),
            ("reward", policy.reward().is_some()),
            ("learn", policy.learn().is_some()),
        ] {
            if is_there {
                blocks.entry(word.to_owned()).or_default();
            }
        }
        for setting in policy.settings() {
            // Those that are compared elsewhere have no entry.
            if let Some(fields) = blocks.get_mut(&setting.block) {
                fields.push((setting.name, setting.value.clone()));
            }
        }
        blocks
    };
    let (before, after) = (fields(old), fields(new));
    for (block, fields) in &after {
        match before.get(block) {
            None => parts.push(format!("{block} added")),
            Some(was) if was != fields || (block == "balance" && !same_balance(old, new)) => {
                parts.push(format!("{block} changed"));
            }
            Some(_) => {}
        }
    }
    let gone = before.keys().filter(|block| !after.contains_key(*block));
    parts.extend(gone.map(|block| format!("{block} removed")));
}

/// Whether the rules of `balance` say the same.
fn same_balance(old: &Policy, new: &Policy) -> bool {
    let (Some(before), Some(after)) = (old.balance(), new.balance()) else {
        return old.balance().is_some() == new.balance().is_some();
    };
    before.rules.len() == after.rules.len()
        && before.rules.iter().zip(&after.rules).all(|(was, is)| {
            was.hold == is.hold
                && was.within == is.within
                && same_cond((old, &was.when), (new, &is.when))
        })
}

fn rules(old: &Policy, new: &Policy, parts: &mut Vec<String>) {
    let before = named(old);
    let after = named(new);
    let changed = after.iter().filter(|(name, rule)| {
        before
            .get(*name)
            .is_some_and(|was| !same_rule(old, was, new, rule))
    });
    list("rule", "changed", changed.map(|(n, _)| n.clone()), parts);
    let added = after.keys().filter(|name| !before.contains_key(*name));
    list("rule", "added", added.cloned(), parts);
    let removed = before.keys().filter(|name| !after.contains_key(*name));
    list("rule", "removed", removed.cloned(), parts);
    let order = |policy: &Policy, other: &BTreeMap<String, &Rule>| -> Vec<String> {
        named_in_order(policy)
            .into_iter()
            .map(|(name, _)| name)
            .filter(|name| other.contains_key(name))
            .collect()
    };
    if order(old, &after) != order(new, &before) {
        parts.push("rules in another order".to_owned());
    }
}

/// Rules by name. A rule without a label is called after its line, which is no
/// name: it is called after its place among the unlabelled ones instead.
fn named_in_order(policy: &Policy) -> Vec<(String, &Rule)> {
    let mut unlabelled: BTreeMap<&str, u32> = BTreeMap::new();
    policy
        .rules()
        .iter()
        .map(|rule| {
            if rule.is_labelled() {
                return (rule.name.clone(), rule);
            }
            // `line 7`, or in a group `web line 7`
            let group = rule.name.split("line ").next().unwrap_or_default();
            let count = unlabelled.entry(group).or_default();
            *count += 1;
            (format!("{group}unlabelled {count}"), rule)
        })
        .collect()
}

fn named(policy: &Policy) -> BTreeMap<String, &Rule> {
    named_in_order(policy).into_iter().collect()
}

fn same_rule(old: &Policy, before: &Rule, new: &Policy, after: &Rule) -> bool {
    let tier = |policy: &Policy, rule: &Rule| policy.tier(rule.tier).map(|tier| tier.name.clone());
    let when = match (&before.when, &after.when) {
        (None, None) => true,
        (Some(before), Some(after)) => same_cond((old, before), (new, after)),
        _ => false,
    };
    when && tier(old, before) == tier(new, after)
}

/// Each condition comes with its policy, which knows its models by name.
fn same_cond((old, before): (&Policy, &Cond), (new, after): (&Policy, &Cond)) -> bool {
    let all = |before: &[Cond], after: &[Cond]| {
        before.len() == after.len()
            && before
                .iter()
                .zip(after)
                .all(|(b, a)| same_cond((old, b), (new, a)))
    };
    match (before, after) {
        (Cond::And(before), Cond::And(after)) | (Cond::Or(before), Cond::Or(after)) => {
            all(before, after)
        }
        (Cond::Not(before), Cond::Not(after)) => same_cond((old, before), (new, after)),
        (Cond::Test(before, _), Cond::Test(after, _)) => before == after,
        (Cond::Model(was, how, ppm, _), Cond::Model(is, now, than, _)) => {
            let name = |policy: &Policy, id| policy.model(id).map(|model| model.name.clone());
            how == now && ppm == than && name(old, *was) == name(new, *is)
        }
        _ => false,
    }
}

fn list(kind: &str, what: &str, names: impl Iterator<Item = String>, parts: &mut Vec<String>) {
    let names: Vec<String> = names.collect();
    let shown = names
        .iter()
        .take(NAMES_MAX)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    match names.len() {
        0 => {}
        1 => parts.push(format!("{kind} {shown} {what}")),
        count if count <= NAMES_MAX => parts.push(format!("{kind}s {what}: {shown}")),
        count => parts.push(format!(
            "{kind}s {what}: {shown} and {} more",
            count - NAMES_MAX
        )),
    }
}

/// A duration in the largest unit that holds it exactly.
fn nanos(value: u64) -> String {
    for (unit, size) in [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000)] {
        if value != 0 && value.is_multiple_of(size) {
            return format!("{}{unit}", value / size);
        }
    }
    format!("{value}ns")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::check_text;

    const OLD: &str = r#"language 1
policy web { version = "1.0" }
tier critical { tickets = 800   slice = 3ms }
tier regular  { tickets = 100 }
tier batch    { tickets = 20    slice = 20ms   max_wait = 500ms }
rules {
  edge:   when comm in { "nginx", "envoy" } and nice <= 0 -> critical
  when nice >= 15 -> batch
  polite: when nice >= 10 and not kthread -> batch
  otherwise -> regular
}
"#;

    fn policy(text: &str) -> Policy {
        let checked = check_text("policy.edict", text);
        checked
            .policy
            .unwrap_or_else(|| panic!("{:?}", checked.diagnostics))
    }

    #[track_caller]
    fn changed(from: &str, to: &str, says: &str) {
        let new = OLD.replace(from, to);
        assert_ne!(new, OLD);
        assert_eq!(between(&policy(OLD), &policy(&new)), says);
    }

    #[test]
    fn comments_and_lines_are_no_change() {
        changed("rules {", "# why\n\nrules {", "no change in meaning");
        changed("  edge:   when", "  edge: when", "no change in meaning");
    }

    #[test]
    fn fields_of_tiers() {
        changed(
            "tickets = 20    slice = 20ms   max_wait = 500ms",
            "tickets = 40 slice = 1500us preempt = [regular]",
            "tier batch (tickets 20 to 40, slice 20ms to 1500us, max_wait 500ms to none, preempt) changed",
        );
        changed(
            "tickets = 800",
            "tickets = 900   order = fifo",
            "tier critical (tickets 800 to 900, order vtime to fifo) changed",
        );
        changed(
            "tickets = 800",
            "tickets = 800   cpus = \"llc 0\"   exclusive = true   perf = 12%   budget = 30%",
            "tier critical (cpus all to llc 0, exclusive false to true, perf none to 12%, budget none to 30%) changed",
        );
        let limited = |burst: &str| {
            policy(&OLD.replace(
                "tickets = 20 ",
                &format!("tickets = 20 budget = 30% {burst} "),
            ))
        };
        assert_eq!(
            between(&limited("burst = 50ms"), &limited("")),
            "no change in meaning"
        );
        assert_eq!(
            between(&limited("burst = 20ms"), &limited("")),
            "tier batch (burst 20ms to 50ms) changed"
        );
    }

    #[test]
    fn tiers_and_rules_come_and_go() {
        changed(
            "tier batch ",
            "tier spare { }\ntier batch ",
            "tier spare added",
        );
        changed(
            "  polite: when nice >= 10 and not kthread -> batch\n",
            "  loud: when nice <= -10 -> critical\n",
            "rule loud added; rule polite removed",
        );
        changed("\"envoy\"", "\"haproxy\"", "rule edge changed");
        changed("-> regular\n", "-> batch\n", "rule otherwise changed");
        changed(">= 15", ">= 16", "rule unlabelled 1 changed");
    }

    #[test]
    fn order_matters_and_is_said() {
        let lines: Vec<&str> = OLD.lines().collect();
        let mut moved = lines.clone();
        moved.swap(6, 8);
        let text = moved.join("\n");
        assert_eq!(
            between(&policy(OLD), &policy(&text)),
            "rules in another order"
        );
    }

    #[test]
    fn many_names_are_counted() {
        let sets: String = (0..9)
            .map(|n| format!("  r{n}: when uid == {n} -> batch\n"))
            .collect();
        let text = OLD.replace("  otherwise", &format!("{sets}  otherwise"));
        assert_eq!(
            between(&policy(OLD), &policy(&text)),
            "rules added: r0, r1, r2, r3 and 5 more"
        );
    }

    #[test]
    fn rules_of_groups_are_known_by_their_group() {
        let group = "rules web {\n  edge: when comm == \"nginx\" -> critical\n  when comm == \"caddy\" -> critical\n}\n";
        let text = |edge: &str| {
            let text = OLD.replace("rules {\n", &format!("{group}rules {{\n  use web\n"));
            text.replace("in { \"nginx\", \"envoy\" }", edge)
        };
        let old = policy(&text("== \"envoy\""));
        assert_eq!(
            between(&policy(OLD), &old),
            "rule edge changed; rules added: web unlabelled 1, web.edge"
        );
        let moved = text("== \"envoy\"").replace("rules web", "\n\nrules web");
        assert_eq!(between(&old, &policy(&moved)), "no change in meaning");
        let changed = text("== \"envoy\"").replace("caddy", "lighttpd");
        assert_eq!(
            between(&old, &policy(&changed)),
            "rule web unlabelled 1 changed"
        );
    }

    #[test]
    fn other_blocks() {
        let balance = |when: &str, rest: &str| {
            let block =
                format!("balance {{ when {when} for 40ms -> migrate within llc {rest} }}\n");
            policy(&OLD.replace("rules {", &format!("{block}rules {{")))
        };
        let old = balance("imbalance > 15%", "");
        assert_eq!(between(&policy(OLD), &old), "balance added");
        assert_eq!(between(&old, &policy(OLD)), "balance removed");
        for new in [
            balance("imbalance > 20%", ""),
            balance("imbalance > 15%", "max_moves = 4%"),
        ] {
            assert_eq!(between(&old, &new), "balance changed");
        }
        let model = |inputs: &str| {
            let block = format!("model m {{ file = \"m.onnx\" inputs = [{inputs}] }}\n");
            policy(&OLD.replace("rules {", &format!("{block}rules {{")))
        };
        assert_eq!(
            between(&model("nice"), &model("nice, uid")),
            "model m changed"
        );
        assert_eq!(
            between(&model("nice"), &old),
            "balance added; model m removed"
        );
        changed(
            "tickets = 800",
            "tickets = 800   cpus = \"0-3\"",
            "tier critical (cpus all to 0-3) changed",
        );
    }

    #[test]
    fn head_and_lottery() {
        changed("1.0", "1.1", "version 1.1 instead of 1.0");
        changed("policy web", "policy wob", "policy wob instead of web");
        changed(
            "rules {",
            "lottery { between = strict   seed = 0 }\nrules {",
            "lottery (between tiers to strict) changed",
        );
        changed(
            "rules {",
            "lottery { refill = 200ms   compensate = false   seed = 7 }\nrules {",
            "lottery (refill 1s to 200ms, compensate true to false, seed 0 to 7) changed",
        );
    }
}
