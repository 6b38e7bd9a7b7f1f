//! Answers to questions about what was measured, as they are shown.

use std::collections::BTreeMap;
use std::time::Duration;

use insight::query::{Answered, Labels, Points, Progress, Row, Tier};
use jiff::Timestamp;
use model::signal::{Bucket, Mark, SeriesKey, SignalKind};
use serde::{Deserialize, Serialize};
use store::telemetry::SeriesMeta;
use utoipa::ToSchema;

use super::source::moment;
use super::{SignalAsk, When};

/// How finely what was measured was read for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AnswerTier {
    /// Sample by sample.
    Raw,
    /// By the minute.
    Minute,
    /// By the hour.
    Hour,
}

impl AnswerTier {
    /// The word used in interfaces.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Minute => "minute",
            Self::Hour => "hour",
        }
    }
}

/// By what series are ranked over a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TopBy {
    /// By the mean of what was found.
    Mean,
    /// By the largest.
    Max,
    /// By the smallest; the smallest comes first.
    Min,
    /// By the latest.
    Last,
}

/// A series of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AnsweredSeries {
    /// Its labels, the signal's name as `__name__` where there is one.
    pub labels: BTreeMap<String, String>,
    /// The unit of its values; empty where there is none.
    pub unit: String,
    /// Its values, oldest first; where nothing was measured there is none.
    pub buckets: Vec<Bucket>,
}

/// What an answer took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QuestionStats {
    /// Series that were read.
    pub series: u64,
    /// Samples, or sums of samples, that were read.
    pub samples_read: u64,
    /// How long it took, in milliseconds.
    pub ms: u64,
}

/// An answer to a question about what was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SignalAnswer {
    /// How finely what was measured was read.
    pub tier: AnswerTier,
    /// The width of a bucket, or the distance of moments, in milliseconds; 0 for one moment.
    pub step_ms: u64,
    /// The beginning of what was asked for.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// Its end.
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
    /// The series.
    pub series: Vec<AnsweredSeries>,
    /// Series that were left out because only the top ones were asked for.
    pub left_out: u64,
    /// What happened to time meanwhile, such as a machine that slept.
    pub marks: Vec<Mark>,
    /// What one should know of the answer.
    pub notes: Vec<String>,
    /// What it took.
    pub stats: QuestionStats,
}

/// A series that is known, with its latest sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KnownSeries {
    /// Its name and labels.
    pub key: SeriesKey,
    /// What its numbers mean.
    pub kind: SignalKind,
    /// Their unit.
    pub unit: String,
    /// The latest sample.
    pub latest: Option<LatestSample>,
}

/// The latest sample of a series.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LatestSample {
    /// When it was taken.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Its value; nothing where it is not a finite number.
    pub value: Option<f64>,
}

impl From<SeriesMeta> for KnownSeries {
    fn from(meta: SeriesMeta) -> Self {
        let latest = meta.latest.map(|(at, value)| LatestSample {
            at,
            value: Some(value).filter(|value| value.is_finite()),
        });
        Self { key: meta.key, kind: meta.kind, unit: meta.unit.to_owned(), latest }
    }
}

/// A question that is being answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignalQuestion {
    /// Its number, to give it up by.
    pub id: u64,
    /// The expression.
    pub expr: String,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// Series that were found so far.
    pub series_found: u64,
    /// Of which so many were read.
    pub series_read: u64,
    /// Samples that were read so far.
    pub samples_read: u64,
}

/// What an evaluation found.
#[derive(Debug)]
pub(super) struct Found {
    tier: Tier,
    step_ms: i64,
    read: Progress,
    notes: Vec<String>,
    series: Vec<(Labels, String, Vec<Bucket>)>,
    odd: u64,
}

impl Found {
    /// Values at moments.
    pub(super) fn points(answered: Answered<Points>) -> Self {
        let Answered { tier, step_ms, series, read, notes } = answered;
        let mut found = Self { tier, step_ms, read, notes, series: Vec::new(), odd: 0 };
        for Points { labels, points } in series {
            let buckets = points.into_iter().map(|(at_ms, value)| Bucket {
                at: moment(at_ms),
                min: value,
                max: value,
                mean: value,
                last: value,
                count: 1,
            });
            found.keep(labels, buckets.collect());
        }
        found
    }

    /// Values in columns.
    pub(super) fn columns(answered: Answered<Row>) -> Self {
        let Answered { tier, step_ms, series, read, notes } = answered;
        let mut found = Self { tier, step_ms, read, notes, series: Vec::new(), odd: 0 };
        for Row { labels, columns } in series {
            let buckets = columns.into_iter().map(|column| Bucket {
                at: moment(column.at_ms),
                min: column.min,
                max: column.max,
                mean: column.mean,
                last: column.last,
                count: column.count,
            });
            found.keep(labels, buckets.collect());
        }
        found
    }

    /// JSON has no word for what is not a finite number: it is left out, and that is said.
    fn keep(&mut self, labels: Labels, mut buckets: Vec<Bucket>) {
        let before = buckets.len();
        buckets.retain(|it| [it.min, it.max, it.mean, it.last].iter().all(|it| it.is_finite()));
        self.odd += (before - buckets.len()) as u64;
        if !buckets.is_empty() {
            self.series.push((labels, String::new(), buckets));
        }
    }

    /// Says something of the answer.
    pub(super) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Gives each series its unit: that of the expression, or of the signal it is.
    pub(super) fn name_units(&mut self, unit: &str, unit_of: &dyn Fn(&str) -> Option<String>) {
        for (labels, own, _) in &mut self.series {
            *own = unit_of(labels.name()).unwrap_or_else(|| unit.to_owned());
        }
    }

    /// The answer as it is shown.
    pub(super) fn shown(
        mut self,
        ask: &SignalAsk,
        marks: Vec<Mark>,
        took: Duration,
    ) -> SignalAnswer {
        let (from, to) = ask.when.ends();
        if self.odd > 0 {
            self.note(format!("{} values that are no finite numbers were left out", self.odd));
        }
        let all = self.series.len();
        if let Some((count, by)) = ask.top {
            self.rank(by);
            self.series.truncate(usize::try_from(count).unwrap_or(usize::MAX));
        }
        let left_out = (all - self.series.len()) as u64;
        let series = self.series.into_iter().map(|(labels, unit, buckets)| {
            let labels = labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
            AnsweredSeries { labels: labels.collect(), unit, buckets }
        });
        SignalAnswer {
            tier: match self.tier {
                Tier::Raw => AnswerTier::Raw,
                Tier::Minute => AnswerTier::Minute,
                Tier::Hour => AnswerTier::Hour,
            },
            step_ms: match ask.when {
                When::At(_) => 0,
                _ => self.step_ms.unsigned_abs(),
            },
            from,
            to,
            series: series.collect(),
            left_out,
            marks,
            notes: self.notes,
            stats: QuestionStats {
                series: self.read.series_read,
                samples_read: self.read.samples_read,
                ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            },
        }
    }

    fn rank(&mut self, by: TopBy) {
        let figure = |buckets: &[Bucket]| {
            let count: u64 = buckets.iter().map(|it| it.count).sum();
            match by {
                TopBy::Mean => {
                    let sum: f64 = buckets.iter().map(|it| it.mean * it.count as f64).sum();
                    -sum / count.max(1) as f64
                }
                TopBy::Max => -buckets.iter().map(|it| it.max).fold(f64::MIN, f64::max),
                TopBy::Min => buckets.iter().map(|it| it.min).fold(f64::MAX, f64::min),
                TopBy::Last => -buckets.last().map_or(f64::MIN, |it| it.last),
            }
        };
        self.series.sort_by(|one, other| {
            figure(&one.2).total_cmp(&figure(&other.2)).then_with(|| one.0.cmp(&other.0))
        });
    }
}
