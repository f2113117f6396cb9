//! What happened between two readings of the counters.
//!
//! The object counts from zero for each generation. So what happened since a
//! reading of another generation, or of another agent, is what happened since
//! the commit.

use serde::{Deserialize, Serialize};

use super::report::{RuleStatus, Status, TierStatus, set_shares};

/// The counters of a time: those of its end less those of its beginning.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// How long it was.
    pub seconds: f64,
    /// How many CPUs the tiers kept busy.
    pub cpus_used: f64,
    /// The tiers in the order of the policy; how many tasks there are is said
    /// of the end.
    pub tiers: Vec<TierStatus>,
    /// The rules in the order of the policy.
    pub rules: Vec<RuleStatus>,
    /// How often a task was given a tier.
    pub classifications: u64,
    /// Decisions that no rule made.
    pub unmatched: u64,
}

impl Status {
    /// What happened since `before`, or since the commit if there is nothing to
    /// compare with.
    pub fn since(&self, before: Option<&Self>) -> Interval {
        let nothing = Self::default();
        let before = before
            .filter(|before| {
                before.agent_pid == self.agent_pid
                    && before.generation == self.generation
                    && before.since_commit_us <= self.since_commit_us
            })
            .unwrap_or(&nothing);
        let micros = self.since_commit_us - before.since_commit_us;
        let seconds = micros as f64 / 1e6;
        let none = TierStatus::default();
        let mut tiers: Vec<TierStatus> = self
            .tiers
            .iter()
            .enumerate()
            .map(|(index, now)| tier_since(now, before.tiers.get(index).unwrap_or(&none)))
            .collect();
        set_shares(&mut tiers, &self.between);
        let rules = self.rules.iter().enumerate().map(|(index, now)| {
            let then = before.rules.get(index).map_or(0, |rule| rule.hits);
            RuleStatus {
                hits: now.hits.saturating_sub(then),
                ..now.clone()
            }
        });
        let runtime: u64 = tiers.iter().map(|tier| tier.runtime_ns).sum();
        Interval {
            seconds,
            cpus_used: match micros {
                0 => 0.0,
                _ => runtime as f64 / 1e9 / seconds,
            },
            rules: rules.collect(),
            tiers,
            classifications: self.classifications.saturating_sub(before.classifications),
            unmatched: self.unmatched.saturating_sub(before.unmatched),
        }
    }
}

impl Interval {
    /// So often in a second.
    pub fn rate(&self, count: u64) -> f64 {
        match self.seconds {
            seconds if seconds > 0.0 => count as f64 / seconds,
            _ => 0.0,
        }
    }
}

fn tier_since(now: &TierStatus, before: &TierStatus) -> TierStatus {
    let less = |of: fn(&TierStatus) -> u64| of(now).saturating_sub(of(before));
    TierStatus {
        runtime_ns: less(|tier| tier.runtime_ns),
        dispatches: less(|tier| tier.dispatches),
        preemptions: less(|tier| tier.preemptions),
        direct: less(|tier| tier.direct),
        overdue: less(|tier| tier.overdue),
        migrations: less(|tier| tier.migrations),
        throttled: less(|tier| tier.throttled),
        strays: less(|tier| tier.strays),
        ..now.clone()
    }
    .waited(&now.waits().since(&before.waits()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::Waits;

    fn tier(tickets: u32, runtime_ms: u64, dispatches: u64) -> TierStatus {
        TierStatus {
            tickets,
            runtime_ns: runtime_ms * 1_000_000,
            dispatches,
            ..TierStatus::default()
        }
    }

    fn status(generation: u64, at_ms: u64, tiers: Vec<TierStatus>) -> Status {
        let mut status = Status {
            generation,
            since_commit_us: at_ms * 1_000,
            between: "tiers".into(),
            rules: vec![RuleStatus {
                name: "edge".into(),
                tier: "a".into(),
                hits: at_ms,
            }],
            tiers,
            ..Status::default()
        };
        set_shares(&mut status.tiers, &status.between);
        status
    }

    #[test]
    fn an_interval_is_the_difference_and_has_its_own_shares() {
        let before = status(3, 10_000, vec![tier(800, 9_000, 100), tier(200, 1_000, 10)]);
        let after = status(3, 12_000, vec![tier(800, 9_500, 140), tier(200, 2_500, 40)]);
        let since = after.since(Some(&before));
        assert_eq!(since.seconds, 2.0);
        assert_eq!(since.cpus_used, 1.0);
        assert_eq!(since.tiers[0].share, 0.25);
        assert_eq!(since.tiers[0].due, Some(0.8));
        assert_eq!(since.rate(since.tiers[1].dispatches), 15.0);
        assert_eq!(since.rules[0].hits, 2_000);
    }

    #[test]
    fn what_is_due_is_shared_by_those_that_had_something_to_run() {
        let before = status(
            1,
            0,
            vec![tier(700, 5, 5), tier(200, 0, 0), tier(100, 0, 0)],
        );
        let mut waiting = tier(100, 0, 0);
        waiting.runnable = 1;
        let mut after = status(1, 1_000, vec![tier(700, 5, 5), tier(200, 100, 9), waiting]);
        let due = |status: &Status| -> Vec<Option<f64>> {
            let since = status.since(Some(&before));
            since.tiers.iter().map(|tier| tier.due).collect()
        };
        let third = 100.0 / 300.0;
        assert_eq!(due(&after), [None, Some(200.0 / 300.0), Some(third)]);
        assert_eq!(after.tiers[0].ticket_share, 0.7);
        // Under `strict` nothing is due by tickets.
        after.between = "strict".into();
        assert_eq!(due(&after), [None, None, None]);
    }

    #[test]
    fn another_generation_counts_from_its_commit() {
        let before = status(3, 10_000, vec![tier(800, 9_000, 100)]);
        let after = status(4, 500, vec![tier(800, 400, 7)]);
        for before in [Some(&before), None] {
            let since = after.since(before);
            assert_eq!(since.seconds, 0.5);
            assert_eq!(since.tiers[0].dispatches, 7);
            assert_eq!(since.rules[0].hits, 500);
        }
        assert_eq!(before.since(Some(&before)).cpus_used, 0.0);
    }

    #[test]
    fn waits_survive_the_report() {
        let waits = Waits::new([0, 3, 0, 5], 7);
        let tier = TierStatus::default().waited(&waits);
        assert_eq!(tier.waits(), waits);
        assert_eq!((tier.wait_p50_us, tier.wait_p999_us), (7, 7));
        let text = serde_json::to_value(&tier).unwrap();
        assert_eq!(text["wait_histogram"][3]["below_us"], 8);
        assert_eq!(text["wait_histogram"][3]["count"], 5);
    }
}
