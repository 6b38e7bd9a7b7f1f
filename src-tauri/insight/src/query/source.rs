//! Where series come from: what an evaluation reads, and a source in memory.

use std::collections::BTreeMap;

use super::error::QueryError;
use super::labels::{Labels, Matcher};

/// One sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// What was measured.
    pub value: f64,
}

/// What the samples of a minute or an hour amount to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sums {
    /// The beginning of the minute or hour, in milliseconds since 1970.
    pub at_ms: i64,
    /// The smallest sample.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// Their sum.
    pub sum: f64,
    /// How many there are, at least one.
    pub count: u64,
    /// The first.
    pub first: f64,
    /// When it was taken.
    pub first_at_ms: i64,
    /// The latest.
    pub last: f64,
    /// When it was taken.
    pub last_at_ms: i64,
}

/// How finely what was measured is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Sample by sample.
    Raw,
    /// By the minute.
    Minute,
    /// By the hour.
    Hour,
}

impl Tier {
    /// How long one of its stretches is, in milliseconds; 0 for samples.
    #[must_use]
    pub const fn width_ms(self) -> i64 {
        match self {
            Self::Raw => 0,
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
        }
    }
}

/// A stretch of time; both ends belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// Its beginning, in milliseconds since 1970.
    pub from_ms: i64,
    /// Its end, in milliseconds since 1970.
    pub to_ms: i64,
}

/// A series that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// What the source calls it.
    pub id: u64,
    /// Its labels, its name among them.
    pub labels: Labels,
}

/// Takes what was read of one series: its place among those asked for, and its samples by time.
pub type Each<'a, T> = &'a mut dyn FnMut(usize, &[T]) -> Result<(), QueryError>;

/// Where series come from.
pub trait Source {
    /// The series that pass every matcher.
    ///
    /// # Errors
    /// When they cannot be looked up.
    fn select(&self, matchers: &[Matcher]) -> Result<Vec<Found>, QueryError>;

    /// The tier that reaches back to a moment: the one that is wanted, or a coarser one where that is
    /// no longer kept.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn finest(&self, wanted: Tier, from_ms: i64) -> Result<Tier, QueryError>;

    /// Reads samples of several series, one series after the other, each sorted by time. Series
    /// without samples may be left out.
    ///
    /// # Errors
    /// When they cannot be read, or `each` ends it.
    fn samples(&self, ids: &[u64], within: Stretch, each: Each<Sample>) -> Result<(), QueryError>;

    /// Reads sums by the minute or hour as [`Source::samples`] reads samples; a stretch whose
    /// beginning lies within the range is read as a whole.
    ///
    /// # Errors
    /// As [`Source::samples`].
    fn sums(
        &self,
        ids: &[u64],
        within: Stretch,
        tier: Tier,
        each: Each<Sums>,
    ) -> Result<(), QueryError>;
}

/// Series in memory, for tests and for what is never stored.
#[derive(Debug, Clone, Default)]
pub struct InMemory {
    series: BTreeMap<Labels, Vec<Sample>>,
    oldest_raw_ms: Option<i64>,
}

impl InMemory {
    /// Adds a sample; one of the same moment is replaced.
    pub fn add(&mut self, labels: &Labels, at_ms: i64, value: f64) {
        let samples = self.series.entry(labels.clone()).or_default();
        match samples.binary_search_by_key(&at_ms, |sample| sample.at_ms) {
            Ok(place) => samples[place].value = value,
            Err(place) => samples.insert(place, Sample { at_ms, value }),
        }
    }

    /// Forgets the samples before a moment, as retention does; their sums stay.
    pub fn forget_samples_before(&mut self, at_ms: i64) {
        self.oldest_raw_ms = Some(at_ms);
    }

    /// Every series with its samples.
    pub fn iter(&self) -> impl Iterator<Item = (&Labels, &[Sample])> {
        self.series.iter().map(|(labels, samples)| (labels, samples.as_slice()))
    }

    fn of(&self, id: u64, within: Stretch) -> &[Sample] {
        let place = usize::try_from(id).unwrap_or(usize::MAX);
        let samples = self.series.values().nth(place).map_or(&[][..], Vec::as_slice);
        let start = samples.partition_point(|sample| sample.at_ms < within.from_ms);
        let end = samples.partition_point(|sample| sample.at_ms <= within.to_ms);
        samples.get(start..end).unwrap_or_default()
    }
}

impl Source for InMemory {
    fn select(&self, matchers: &[Matcher]) -> Result<Vec<Found>, QueryError> {
        let all = self.series.keys().zip(0u64..);
        let found = all.filter(|(labels, _)| matchers.iter().all(|matcher| matcher.takes(labels)));
        Ok(found.map(|(labels, id)| Found { id, labels: labels.clone() }).collect())
    }

    fn finest(&self, wanted: Tier, from_ms: i64) -> Result<Tier, QueryError> {
        let gone = self.oldest_raw_ms.is_some_and(|oldest| from_ms < oldest);
        Ok(if wanted == Tier::Raw && gone { Tier::Minute } else { wanted })
    }

    fn samples(&self, ids: &[u64], within: Stretch, each: Each<Sample>) -> Result<(), QueryError> {
        let from_ms = within.from_ms.max(self.oldest_raw_ms.unwrap_or(i64::MIN));
        for (place, id) in ids.iter().enumerate() {
            each(place, self.of(*id, Stretch { from_ms, ..within }))?;
        }
        Ok(())
    }

    fn sums(
        &self,
        ids: &[u64],
        within: Stretch,
        tier: Tier,
        each: Each<Sums>,
    ) -> Result<(), QueryError> {
        let width = tier.width_ms().max(1);
        let to_ms = within.to_ms.div_euclid(width) * width + width - 1;
        for (place, id) in ids.iter().enumerate() {
            let samples = self.of(*id, Stretch { to_ms, ..within });
            let stretches = samples
                .chunk_by(|one, next| one.at_ms.div_euclid(width) == next.at_ms.div_euclid(width));
            let begun = |sums: &Sums| sums.at_ms >= within.from_ms;
            let sums: Vec<Sums> =
                stretches.filter_map(|it| sum_up(it, width)).filter(begun).collect();
            each(place, &sums)?;
        }
        Ok(())
    }
}

/// What samples of one stretch amount to.
fn sum_up(samples: &[Sample], width_ms: i64) -> Option<Sums> {
    let (first, last) = (samples.first()?, samples.last()?);
    let values = samples.iter().map(|sample| sample.value);
    Some(Sums {
        at_ms: first.at_ms.div_euclid(width_ms) * width_ms,
        min: values.clone().fold(f64::INFINITY, f64::min),
        max: values.clone().fold(f64::NEG_INFINITY, f64::max),
        sum: values.sum(),
        count: samples.len() as u64,
        first: first.value,
        first_at_ms: first.at_ms,
        last: last.value,
        last_at_ms: last.at_ms,
    })
}
