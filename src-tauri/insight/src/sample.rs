//! Finite numbers in order, at least one, and what can be said of them without a mean.

/// Why numbers say nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotASample {
    /// There are none.
    #[error("describe numbers: there are none")]
    Empty,
    /// One of them is infinite or not a number.
    #[error("describe numbers: one of them is not finite")]
    NotFinite,
}

/// At least one finite number, in ascending order.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample(Vec<f64>);

impl Sample {
    /// Takes numbers in any order.
    ///
    /// # Errors
    /// When there are none, or one of them is not finite.
    pub fn new(values: impl IntoIterator<Item = f64>) -> Result<Self, NotASample> {
        let mut values: Vec<f64> = values.into_iter().collect();
        if values.is_empty() {
            return Err(NotASample::Empty);
        }
        if !values.iter().all(|value| value.is_finite()) {
            return Err(NotASample::NotFinite);
        }
        values.sort_unstable_by(f64::total_cmp);
        Ok(Self(values))
    }

    /// How many numbers there are, at least one.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The value below which the share `p` (0 to 1, clamped) of the numbers lies, interpolated
    /// between neighbours: type 7 of Hyndman and Fan, "Sample Quantiles in Statistical Packages"
    /// (1996), as in R, NumPy and spreadsheets.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positions in a list that fits in memory, not negative by the clamp"
    )]
    pub fn quantile(&self, p: f64) -> f64 {
        let last = self.0.len() - 1;
        let p = if p.is_nan() { 0.0 } else { p.clamp(0.0, 1.0) };
        let at = p * last as f64;
        let below = (at.floor() as usize).min(last);
        let above = (below + 1).min(last);
        let (low, high) = (self.0[below], self.0[above]);
        let share = at - below as f64;
        if share == 0.0 || low == high {
            return low;
        }
        // The weighted form cannot overflow where `high - low` would.
        (low * (1.0 - share) + high * share).clamp(low, high)
    }

    /// The value in the middle.
    #[must_use]
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The median distance from the median, not scaled to a standard deviation (Hampel 1974).
    #[must_use]
    pub fn mad(&self) -> f64 {
        let median = self.median();
        let far = |value: &f64| (value - median).abs().min(f64::MAX);
        let mut distances: Vec<f64> = self.0.iter().map(far).collect();
        distances.sort_unstable_by(f64::total_cmp);
        Self(distances).median()
    }

    /// The smallest number.
    #[must_use]
    pub fn min(&self) -> f64 {
        self.0[0]
    }

    /// The largest number.
    #[must_use]
    pub fn max(&self) -> f64 {
        self.0[self.0.len() - 1]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_that_say_nothing_are_refused() {
        assert_eq!(Sample::new([]), Err(NotASample::Empty));
        assert_eq!(Sample::new([1.0, f64::NAN]), Err(NotASample::NotFinite));
        assert_eq!(Sample::new([f64::INFINITY]), Err(NotASample::NotFinite));
    }

    #[test]
    fn figures_agree_with_r_and_numpy() {
        let check = |values: &[f64], p: f64, quantile: f64| {
            let sample = Sample::new(values.iter().copied()).unwrap();
            assert!((sample.quantile(p) - quantile).abs() < 1e-12, "{values:?} {p}");
        };
        check(&[5.0], 0.9, 5.0);
        check(&[4.0, 1.0, 3.0, 2.0], 0.5, 2.5);
        check(&[1.0, 2.0, 3.0, 4.0], 0.25, 1.75);
        check(&[1.0, 2.0, 3.0, 4.0], 0.9, 3.7);
        check(&[15.0, 20.0, 35.0, 40.0, 50.0], 0.4, 29.0);
        check(&[1.0, 2.0], 7.0, 2.0);
        check(&[1.0, 2.0], f64::NAN, 1.0);
        check(&[f64::MIN, f64::MAX], 0.5, 0.0);
        // R: mad(c(1, 1, 2, 2, 4, 6, 9), constant = 1)
        let sample = Sample::new([1.0, 1.0, 2.0, 2.0, 4.0, 6.0, 9.0]).unwrap();
        assert_eq!((sample.median(), sample.mad()), (2.0, 1.0));
        assert_eq!((sample.min(), sample.max(), sample.count()), (1.0, 9.0, 7));
    }

    /// The definition, written without regard for speed.
    fn reference(values: &[f64], p: f64) -> f64 {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let h = (sorted.len() - 1) as f64 * p;
        let (low, high) = (sorted[h.floor() as usize], sorted[h.ceil() as usize]);
        low + (h - h.floor()) * (high - low)
    }

    proptest! {
        #[test]
        fn a_quantile_is_the_one_of_the_definition(
            values in prop::collection::vec(-1e9f64..1e9, 1..60),
            p in 0.0f64..=1.0,
        ) {
            let sample = Sample::new(values.iter().copied()).unwrap();
            prop_assert!((sample.quantile(p) - reference(&values, p)).abs() <= 1e-5);
        }

        #[test]
        fn quantiles_grow_with_their_share_and_stay_between_the_ends(
            values in prop::collection::vec(-1e300f64..1e300, 1..60),
            mut shares in prop::collection::vec(0.0f64..=1.0, 2..10),
        ) {
            let sample = Sample::new(values).unwrap();
            shares.sort_by(f64::total_cmp);
            let found: Vec<_> = shares.iter().map(|p| sample.quantile(*p)).collect();
            prop_assert!(found.windows(2).all(|pair| pair[0] <= pair[1] * (1.0 + 1e-12 * pair[1].signum()) + 1e-9));
            prop_assert!(found.iter().all(|value| (sample.min()..=sample.max()).contains(value)));
        }

        #[test]
        fn the_order_of_the_numbers_does_not_matter(
            mut values in prop::collection::vec(-1e9f64..1e9, 1..60),
        ) {
            let forward = Sample::new(values.iter().copied()).unwrap();
            values.reverse();
            let backward = Sample::new(values.iter().copied()).unwrap();
            prop_assert_eq!(forward.mad().to_bits(), backward.mad().to_bits());
            let median = forward.median();
            let distances: Vec<_> = values.iter().map(|value| (value - median).abs()).collect();
            prop_assert!((forward.mad() - reference(&distances, 0.5)).abs() <= 1e-5);
        }

        #[test]
        fn no_numbers_panic(values: Vec<f64>, p: f64) {
            if let Ok(sample) = Sample::new(values) {
                prop_assert!(sample.quantile(p).is_finite());
                prop_assert!(sample.mad() >= 0.0);
            }
        }
    }
}
