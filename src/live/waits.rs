//! How long the tasks of a tier waited: counts in powers of two.
//!
//! Counts add up over CPUs and can be taken from each other, which quantiles
//! cannot. So the object counts, and quantiles are made where they are shown.

/// How many buckets there are: `EDICT_WAIT_BUCKETS` of `bpf/intf.h`.
pub const WAIT_BUCKETS: usize = 32;

/// Bucket b counts the waits of less than 2^b microseconds that no bucket
/// before it counts; the last one all that were longer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waits {
    counts: [u64; WAIT_BUCKETS],
    longest_us: u64,
}

impl Waits {
    /// What each bucket counted, and the longest wait of all.
    pub fn new(counts: impl IntoIterator<Item = u64>, longest_us: u64) -> Self {
        let mut waits = Self {
            longest_us,
            ..Self::default()
        };
        for (to, count) in waits.counts.iter_mut().zip(counts) {
            *to = count;
        }
        waits
    }

    /// How many waits there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, n| sum.saturating_add(*n))
    }

    /// The longest, in microseconds.
    pub fn longest_us(&self) -> u64 {
        self.longest_us
    }

    /// So many of a thousand waits took no longer, in microseconds: the end of
    /// the bucket, and no more than the longest. 0 if nobody waited.
    pub fn quantile_us(&self, per_mille: u64) -> u64 {
        let all = u128::from(self.count());
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += u128::from(*count);
            if all > 0 && seen * 1_000 >= all * u128::from(per_mille) {
                return end(bucket).unwrap_or(u64::MAX).min(self.longest_us.max(1));
            }
        }
        0
    }

    /// The buckets up to the last that counted anything: where each ends, in
    /// microseconds (the last of all has no end), and its count.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<u64>, u64)> + '_ {
        let used = self.counts.iter().rposition(|count| *count > 0);
        let used = used.map_or(0, |last| last + 1);
        let counts = self.counts.iter().take(used).enumerate();
        counts.map(|(bucket, count)| (end(bucket), *count))
    }

    /// What came since `before`. The longest wait is known to the bucket only,
    /// unless it is the longest of all.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let pairs = self.counts.iter().zip(&before.counts);
        let mut since = Self::new(pairs.map(|(now, then)| now.saturating_sub(*then)), 0);
        since.longest_us = match since.counts.iter().rposition(|count| *count > 0) {
            _ if self.longest_us > before.longest_us => self.longest_us,
            None => 0,
            Some(bucket) => end(bucket).unwrap_or(u64::MAX).min(self.longest_us),
        };
        since
    }
}

fn end(bucket: usize) -> Option<u64> {
    (bucket + 1 < WAIT_BUCKETS).then(|| 1 << bucket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(counts: &[(usize, u64)], longest_us: u64) -> Waits {
        let of = |bucket| {
            counts
                .iter()
                .filter(move |(b, _)| *b == bucket)
                .map(|(_, n)| n)
        };
        Waits::new((0..WAIT_BUCKETS).map(|b| of(b).sum()), longest_us)
    }

    #[test]
    fn quantiles_are_ends_of_buckets_and_never_beyond_the_longest() {
        let waits = waits(&[(0, 500), (4, 400), (10, 90), (12, 9), (13, 1)], 5_000);
        assert_eq!(waits.count(), 1_000);
        assert_eq!(waits.quantile_us(500), 1);
        assert_eq!(waits.quantile_us(501), 16);
        assert_eq!(waits.quantile_us(900), 16);
        assert_eq!(waits.quantile_us(990), 1_024);
        assert_eq!(waits.quantile_us(999), 4_096);
        assert_eq!(waits.quantile_us(1_000), 5_000);
        assert_eq!(Waits::default().quantile_us(990), 0);
        // Waits of less than a microsecond.
        assert_eq!(Waits::new([3], 0).quantile_us(500), 1);
    }

    #[test]
    fn what_is_beyond_every_bucket_has_no_end() {
        let far = waits(&[(31, 1)], 40 << 30);
        assert_eq!(far.quantile_us(500), 40 << 30);
        assert_eq!(far.buckets().last(), Some((None, 1)));
        assert_eq!(far.buckets().count(), 32);
        let near = waits(&[(2, 7)], 3);
        let listed: Vec<_> = near.buckets().collect();
        assert_eq!(listed, [(Some(1), 0), (Some(2), 0), (Some(4), 7)]);
        assert_eq!(Waits::default().buckets().count(), 0);
    }

    #[test]
    fn an_interval_has_its_own_quantiles() {
        let before = waits(&[(3, 1_000), (14, 1)], 9_000);
        let quiet = waits(&[(3, 1_000), (5, 10), (14, 1)], 9_000);
        let since = quiet.since(&before);
        assert_eq!((since.count(), since.quantile_us(500)), (10, 32));
        assert_eq!(since.longest_us(), 32);
        let worse = waits(&[(3, 1_000), (14, 2)], 12_000).since(&before);
        assert_eq!((worse.count(), worse.longest_us()), (1, 12_000));
        assert_eq!(before.since(&before), Waits::default());
    }
}
