//! How long a condition has held without a break.

/// One condition, of one group of domains.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hold {
    /// When it began to hold; none while it does not.
    since: Option<u64>,
    /// When it was looked at last.
    seen: u64,
}

impl Hold {
    /// A look at `now`, in nanoseconds: whether the condition has held for all of
    /// `time` by then.
    ///
    /// Between two looks nobody knows. As long as they are not further apart
    /// than that, what holds at both counts as held; after a longer gap
    /// (the agent was busy, the machine was asleep) it begins anew.
    pub fn see(&mut self, now: u64, holds: bool, time: u64, gap: u64) -> bool {
        let is_new = now.saturating_sub(self.seen) > gap;
        self.seen = now;
        match (holds, self.since) {
            (false, _) => self.since = None,
            (true, Some(_)) if !is_new => {}
            (true, _) => self.since = Some(now),
        }
        self.since
            .is_some_and(|since| now.saturating_sub(since) >= time)
    }

    /// What it was waited for is done: it has to hold for as long again.
    pub fn restart(&mut self, now: u64) {
        self.since = Some(now);
    }

    /// Since when it holds.
    pub fn since(&self) -> Option<u64> {
        self.since
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_is_due_when_the_time_is_over_and_not_before() {
        let mut hold = Hold::default();
        assert!(!hold.see(1_000, true, 40, 100));
        assert!(!hold.see(1_039, true, 40, 100));
        assert!(hold.see(1_040, true, 40, 100));
        assert!(hold.see(1_050, true, 40, 100), "as long as it holds");
        hold.restart(1_050);
        assert!(!hold.see(1_089, true, 40, 100));
        assert!(hold.see(1_090, true, 40, 100));
    }

    #[test]
    fn a_break_begins_anew() {
        let mut hold = Hold::default();
        assert!(!hold.see(0, true, 40, 100));
        assert!(!hold.see(30, false, 40, 100));
        assert!(!hold.see(31, true, 40, 100));
        assert!(!hold.see(70, true, 40, 100));
        assert!(hold.see(71, true, 40, 100));
        assert!(!hold.see(172, true, 40, 100), "nobody looked for too long");
        assert_eq!(hold.since(), Some(172));
    }

    #[test]
    fn no_time_at_all_is_over_at_once() {
        assert!(Hold::default().see(7, true, 0, 5));
        assert!(!Hold::default().see(7, false, 0, 5));
    }

    proptest! {
        /// Due exactly if the last run of looks that found it true, none further
        /// apart than the gap, is as long as the time.
        #[test]
        fn due_means_held_without_a_break(
            looks in prop::collection::vec((1_u64..50, any::<bool>()), 1..60),
            time in 0_u64..200,
            gap in 10_u64..60,
        ) {
            let mut hold = Hold::default();
            let mut now = 1_000;
            let mut begun: Option<u64> = None;
            let mut last: Option<u64> = None;
            for (step, holds) in looks {
                now += step;
                let together = last.is_some_and(|last: u64| now - last <= gap);
                begun = match (holds, begun) {
                    (false, _) => None,
                    (true, Some(begun)) if together => Some(begun),
                    (true, _) => Some(now),
                };
                last = Some(now);
                let due = begun.is_some_and(|begun| now - begun >= time);
                prop_assert_eq!(hold.see(now, holds, time, gap), due);
            }
        }
    }
}
