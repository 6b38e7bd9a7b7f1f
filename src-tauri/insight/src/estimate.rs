//! How long something is likely to take, from how long it took before.

use std::time::Duration;

use crate::sample::Sample;

/// Half of the cases took at most `p50`, nine of ten at most `p90`; `n` says how much that is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// The median.
    pub p50: Duration,
    /// The ninth decile.
    pub p90: Duration,
    /// On how many cases this rests, at least one.
    pub n: usize,
}

impl Estimate {
    /// Estimates from earlier cases; nothing where there are none.
    #[must_use]
    pub fn of(durations: impl IntoIterator<Item = Duration>) -> Option<Self> {
        let seconds = durations.into_iter().map(|duration| duration.as_secs_f64());
        let sample = Sample::new(seconds).ok()?;
        let at = |p| Duration::try_from_secs_f64(sample.quantile(p)).unwrap_or(Duration::MAX);
        Some(Self { p50: at(0.5), p90: at(0.9), n: sample.count() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_estimate_rests_on_cases_or_is_not_made() {
        let check = |seconds: &[u64], expect: Option<(u64, u64, usize)>| {
            let durations = seconds.iter().copied().map(Duration::from_secs);
            let found = Estimate::of(durations);
            let found = found.map(|e| (e.p50.as_secs(), e.p90.as_secs(), e.n));
            assert_eq!(found, expect, "{seconds:?}");
        };
        check(&[], None);
        check(&[30], Some((30, 30, 1)));
        check(&[10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 1_000], Some((60, 100, 11)));
    }

    proptest! {
        #[test]
        fn no_durations_panic_and_the_estimate_is_in_order(
            parts in prop::collection::vec((any::<u64>(), 0u32..1_000_000_000), 0..20),
        ) {
            let durations: Vec<_> = parts.iter().map(|(s, ns)| Duration::new(*s, *ns)).collect();
            match Estimate::of(durations.iter().copied()) {
                Some(estimate) => prop_assert!(estimate.p50 <= estimate.p90),
                None => prop_assert!(durations.is_empty()),
            }
        }
    }
}
