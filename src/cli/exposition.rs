//! The counters as Prometheus reads them (text exposition format 0.0.4).
//!
//! Counters begin at zero with each generation, which `rate()` takes for the
//! restart of a program. A histogram has no sum, because the object counts waits
//! and does not add them up.

use std::fmt::Write;

use crate::agent::report::{BalanceStatus, Status, TierStatus};

/// All of it, as one text.
pub(super) fn text(status: &Status) -> String {
    let mut out = Exposition(String::new());
    let version = status.version.as_deref().unwrap_or_default();
    out.family("edict_policy_info", "gauge", "the policy in force");
    out.sample(
        "edict_policy_info",
        &[
            ("policy", &status.policy),
            ("version", version),
            ("digest", &status.digest),
        ],
        1.0,
    );
    for (name, kind, help, value) in [
        (
            "edict_generation",
            "gauge",
            "number of the generation in force",
            status.generation as f64,
        ),
        (
            "edict_uptime_seconds",
            "gauge",
            "time since the scheduler was attached",
            status.uptime_s as f64,
        ),
        (
            "edict_since_commit_seconds",
            "gauge",
            "time since the generation was committed, which counters are about",
            status.since_commit_us as f64 / 1e6,
        ),
        (
            "edict_cpus",
            "gauge",
            "CPUs that are online",
            status.cpus as f64,
        ),
        (
            "edict_rejected_edits_total",
            "counter",
            "edits of the policy that were rejected",
            status.rejected as f64,
        ),
        (
            "edict_classifications_total",
            "counter",
            "how often a task was given a tier",
            status.classifications as f64,
        ),
        (
            "edict_unmatched_total",
            "counter",
            "decisions that no rule made",
            status.unmatched as f64,
        ),
        (
            "edict_events_lost_total",
            "counter",
            "questions that did not reach the agent",
            status.events_lost as f64,
        ),
    ] {
        out.family(name, kind, help);
        out.sample(name, &[], value);
    }
    out.tiers(&status.tiers);
    out.family(
        "edict_rule_hits_total",
        "counter",
        "how often a rule decided",
    );
    for rule in &status.rules {
        let labels = [("rule", rule.name.as_str()), ("tier", rule.tier.as_str())];
        out.sample("edict_rule_hits_total", &labels, rule.hits as f64);
    }
    if let Some(balance) = &status.balance {
        out.moves(balance);
    }
    out.0
}

struct Exposition(String);

impl Exposition {
    fn moves(&mut self, of: &BalanceStatus) {
        for (name, help, count) in [
            ("rounds", "looks at the loads of the CPUs", of.rounds),
            ("considered", "tasks that could have moved", of.considered),
            ("hot", "tasks that ran a moment ago and stayed", of.hot),
            ("vetoed", "tasks that a model kept from moving", of.vetoed),
            ("moved", "tasks that were moved", of.moved),
        ] {
            let name = format!("edict_balance_{name}_total");
            self.family(&name, "counter", help);
            self.sample(&name, &[], count as f64);
        }
    }

    fn tiers(&mut self, tiers: &[TierStatus]) {
        let families: [(&str, &str, &str, fn(&TierStatus) -> f64); 11] = [
            ("tasks", "gauge", "tasks in a tier, asleep or not", |t| {
                t.tasks as f64
            }),
            (
                "runnable",
                "gauge",
                "tasks that run or wait for a CPU",
                |t| t.runnable as f64,
            ),
            ("tickets", "gauge", "tickets of a tier", |t| {
                t.tickets.into()
            }),
            ("runtime_seconds_total", "counter", "CPU time", |t| {
                t.runtime_ns as f64 / 1e9
            }),
            ("dispatches_total", "counter", "runs begun", |t| {
                t.dispatches as f64
            }),
            (
                "preemptions_total",
                "counter",
                "wake-ups that interrupted another tier",
                |t| t.preemptions as f64,
            ),
            (
                "direct_total",
                "counter",
                "runs begun on an idle CPU",
                |t| t.direct as f64,
            ),
            (
                "overdue_total",
                "counter",
                "runs begun because max_wait was near",
                |t| t.overdue as f64,
            ),
            (
                "migrations_total",
                "counter",
                "runs begun under another cache than the last",
                |t| t.migrations as f64,
            ),
            (
                "throttled_total",
                "counter",
                "draws that its budget kept a tier from",
                |t| t.throttled as f64,
            ),
            (
                "strays_total",
                "counter",
                "times that a task was queued which may use none of the tier's CPUs",
                |t| t.strays as f64,
            ),
        ];
        for (name, kind, help, value) in families {
            let name = format!("edict_tier_{name}");
            self.family(&name, kind, help);
            for tier in tiers {
                self.sample(&name, &[("tier", &tier.name)], value(tier));
            }
        }
        let name = "edict_tier_wait_seconds";
        self.family(name, "histogram", "how long tasks waited for a CPU");
        for tier in tiers {
            let mut seen = 0;
            for bucket in &tier.wait_histogram {
                seen += bucket.count;
                if let Some(below) = bucket.below_us {
                    let end = (below as f64 / 1e6).to_string();
                    let labels = [("tier", tier.name.as_str()), ("le", &end)];
                    self.sample(&format!("{name}_bucket"), &labels, seen as f64);
                }
            }
            let labels = [("tier", tier.name.as_str()), ("le", "+Inf")];
            self.sample(&format!("{name}_bucket"), &labels, seen as f64);
            let labels = [("tier", tier.name.as_str())];
            self.sample(&format!("{name}_count"), &labels, seen as f64);
        }
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            self.0.push(if index == 0 { '{' } else { ',' });
            let _ = write!(self.0, "{label}=\"{}\"", escaped(text));
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::agent::report::RuleStatus;
    use crate::live::Waits;

    fn status() -> Status {
        let tier = |name: &str, runtime_ns| {
            TierStatus {
                name: name.into(),
                tickets: 800,
                runtime_ns,
                dispatches: 12,
                strays: 1,
                ..TierStatus::default()
            }
            .waited(&Waits::new([0, 5, 0, 2], 7))
        };
        Status {
            policy: "we\"b\\\n".into(),
            tiers: vec![tier("critical", 1_500_000_000), tier("batch", 0)],
            rules: vec![RuleStatus {
                name: "edge".into(),
                tier: "critical".into(),
                hits: 31,
            }],
            balance: Some(BalanceStatus {
                rounds: 9,
                considered: 3,
                hot: 1,
                vetoed: 0,
                moved: 2,
                rules: Vec::new(),
            }),
            ..Status::default()
        }
    }

    #[test]
    fn samples_follow_their_family_and_are_numbers() {
        let text = text(&status());
        let mut kinds = BTreeMap::new();
        let mut family = "";
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(kinds.insert(name, kind).is_none(), "{name} twice");
                family = name;
            } else if !line.starts_with("# HELP ") {
                let (series, value) = line.rsplit_once(' ').unwrap();
                value.parse::<f64>().unwrap();
                let name = series.split('{').next().unwrap();
                assert!(name.starts_with(family), "{name} in {family}");
                assert_eq!(
                    name.ends_with("_total"),
                    kinds[family] == "counter",
                    "{name}"
                );
            }
        }
        assert_eq!(kinds.len(), 8 + 1 + 12 + 1 + 5);
    }

    #[test]
    fn labels_are_escaped_and_buckets_add_up() {
        let text = text(&status());
        for line in [
            "edict_policy_info{policy=\"we\\\"b\\\\\\n\",version=\"\",digest=\"\"} 1",
            "edict_tier_runtime_seconds_total{tier=\"critical\"} 1.5",
            "edict_tier_wait_seconds_bucket{tier=\"batch\",le=\"0.000002\"} 5",
            "edict_tier_wait_seconds_bucket{tier=\"batch\",le=\"0.000004\"} 5",
            "edict_tier_wait_seconds_bucket{tier=\"batch\",le=\"0.000008\"} 7",
            "edict_tier_wait_seconds_bucket{tier=\"batch\",le=\"+Inf\"} 7",
            "edict_tier_wait_seconds_count{tier=\"batch\"} 7",
            "edict_rule_hits_total{rule=\"edge\",tier=\"critical\"} 31",
        ] {
            assert!(text.lines().any(|one| one == line), "{line}\n{text}");
        }
    }
}
