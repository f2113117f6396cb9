//! How a task behaves, from what the kernel has counted of it.
//!
//! Pure but for the reading of `schedstat`; the module above says what is
//! estimated, and how.

use std::path::Path;

use super::tasks::{read, stat_fields};
use crate::check::Attribute;

/// Ticks of a second in `/proc/PID/stat`: 100 on every architecture that has
/// sched_ext.
pub(super) const TICKS: u64 = 100;
/// In nanoseconds.
pub(super) const SECOND: u64 = 1_000_000_000;
/// So many events make an average, as in the kernel half.
const ENOUGH: u64 = 8;

/// What the kernel has counted since the task began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counters {
    /// Nanoseconds on a CPU.
    pub(super) run: u64,
    /// Nanoseconds waiting for one; none where the kernel does not count them.
    pub(super) wait: Option<u64>,
    /// Voluntary switches: the task went to sleep.
    pub(super) sleeps: u64,
    /// Involuntary switches.
    pub(super) preemptions: u64,
}

impl Counters {
    /// What was counted since `before`; none if that was another task.
    pub(super) fn since(&self, before: &Self) -> Option<Self> {
        Some(Self {
            run: self.run.checked_sub(before.run)?,
            wait: match (self.wait, before.wait) {
                (Some(now), Some(before)) => Some(now.checked_sub(before)?),
                _ => None,
            },
            sleeps: self.sleeps.checked_sub(before.sleeps)?,
            preemptions: self.preemptions.checked_sub(before.preemptions)?,
        })
    }
}

/// What the counters say of how a task behaves; see the module above.
pub(super) fn behaviour(
    window: &Counters,
    passed: u64,
    life: &Counters,
    age: u64,
) -> Vec<(Attribute, i64)> {
    let mut found = Vec::new();
    let mut put = |attribute: Attribute, value: u64| {
        let (_, high) = attribute.about().range.unwrap_or((0, i64::MAX));
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        found.push((attribute, value.min(high)));
    };
    let rate = |count: u64, time: u64| {
        let per_second = u128::from(count) * u128::from(SECOND) / u128::from(time.max(1));
        u64::try_from(per_second).unwrap_or(u64::MAX)
    };
    let spans = [(window, passed), (life, age)];
    if let Some((seen, time)) = spans.iter().find(|(seen, _)| seen.sleeps >= ENOUGH) {
        put(Attribute::RuntimeAvg, seen.run / seen.sleeps);
        let (burst, wakes) = (seen.run / seen.sleeps, rate(seen.sleeps, *time));
        put(Attribute::WakeRate, wakes);
        put(Attribute::LatCri, lat_cri(burst, wakes));
        if let Some(wait) = seen.wait {
            let asleep = time.saturating_sub(seen.run).saturating_sub(wait);
            put(Attribute::SleepAvg, asleep / seen.sleeps);
        }
    }
    let switches = |seen: &Counters| seen.sleeps + seen.preemptions;
    if let Some((seen, time)) = spans.iter().find(|(seen, _)| switches(seen) >= ENOUGH) {
        put(Attribute::SwitchRate, rate(switches(seen), *time));
    }
    found
}

/// How much latency matters, as `bpf/behaviour.bpf.h` has it: one half at bursts
/// of 4 ms, and at 20 wake-ups a second.
fn lat_cri(burst: u64, wakes: u64) -> u64 {
    const WHOLE: u128 = 1_000_000;
    const BURST: u128 = 4_000_000;
    const WAKES: u128 = 20;
    let brief = WHOLE * BURST / (BURST + u128::from(burst));
    let often = WHOLE * u128::from(wakes) / (u128::from(wakes) + WAKES);
    u64::try_from(brief * often / WHOLE).unwrap_or(0)
}

/// What the kernel has counted, from `schedstat` and the text of `status`; from
/// `stat` where the kernel has no `schedstat`. None if the task has ended.
pub(super) fn counters(
    directory: &Path,
    status: &str,
    stat: impl FnOnce() -> Option<String>,
) -> Option<Counters> {
    let number = |name: &str| -> Option<u64> {
        let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
        rest.trim().parse().ok()
    };
    let (run, wait) = match read(&directory.join("schedstat")) {
        Some(text) => {
            let mut words = text.split_ascii_whitespace();
            let mut next = || words.next()?.parse::<u64>().ok();
            (next()?, Some(next()?))
        }
        // A kernel without CONFIG_SCHED_INFO counts ticks only.
        None => {
            let stat = stat()?;
            let (_, fields) = stat_fields(&stat)?;
            let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
            ((ticks(11)? + ticks(12)?) * (SECOND / TICKS), None)
        }
    };
    Some(Counters {
        run,
        wait,
        sleeps: number("voluntary_ctxt_switches:")?,
        preemptions: number("nonvoluntary_ctxt_switches:")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behaviour_is_that_of_the_window_where_it_saw_enough() {
        let counters = |run, wait, sleeps, preemptions| Counters {
            run,
            wait,
            sleeps,
            preemptions,
        };
        let life = counters(9_000_000_000, Some(0), 9, 0);
        let busy = counters(500_000_000, Some(100_000_000), 100, 50);
        assert_eq!(
            behaviour(&busy, SECOND, &life, 90 * SECOND),
            [
                (Attribute::RuntimeAvg, 5_000_000),
                (Attribute::WakeRate, 100),
                // 4/9 of 5/6
                (Attribute::LatCri, 370_369),
                (Attribute::SleepAvg, 4_000_000),
                (Attribute::SwitchRate, 150),
            ]
        );
        let idle = counters(0, None, 0, 0);
        let old = behaviour(&idle, SECOND, &life, 90 * SECOND);
        assert_eq!(old[0], (Attribute::RuntimeAvg, SECOND as i64));
        assert_eq!(old[1], (Attribute::WakeRate, 0));
        assert!(behaviour(&idle, SECOND, &counters(1, None, 7, 0), SECOND).is_empty());
        // Never asleep, often interrupted.
        let spinning = counters(SECOND, None, 0, 20);
        assert_eq!(
            behaviour(&spinning, SECOND, &spinning, SECOND),
            [(Attribute::SwitchRate, 20)]
        );
    }
}
