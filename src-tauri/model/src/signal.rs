//! Signals: measured time series, and the catalogue of those the engine measures.

pub mod catalogue;
mod histogram;
mod mark;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use catalogue::{CATALOGUE, Part, SeriesOf, by_name, of_series};
pub use histogram::{Counted, Histogram};
pub use mark::{Mark, MarkKind};

/// What the numbers of a signal mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignalKind {
    /// A level that goes up and down.
    Gauge,
    /// A total that only grows, and starts again at zero when its source does.
    Counter,
    /// A small whole number that stands for a named state.
    State,
    /// How many values lay below each of some bounds, counted like a [`Self::Counter`]. A histogram
    /// `x` is kept as the series `x_bucket{le="…"}`, `x_sum` and `x_count`.
    Histogram,
}

impl SignalKind {
    /// The word used in interfaces.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::State => "state",
            Self::Histogram => "histogram",
        }
    }
}

/// A signal of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct Signal {
    /// Its name.
    pub name: &'static str,
    /// Its unit, as shown after a number.
    pub unit: &'static str,
    /// What its numbers mean.
    pub kind: SignalKind,
    /// The smallest difference that is kept; values are stored as multiples of it.
    pub resolution: f64,
    /// The labels its series carry.
    pub labels: &'static [&'static str],
    /// The names of its states, from 0; none where it is no [`SignalKind::State`].
    pub states: &'static [&'static str],
    /// The upper bounds of a histogram's buckets, in its unit, without the last one, which has none.
    pub bounds: &'static [f64],
    /// What it says.
    pub description: &'static str,
}

/// One time series: `name{label="value"}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
pub struct SeriesKey {
    /// The signal's name.
    pub name: String,
    /// What tells its series apart.
    pub labels: BTreeMap<String, String>,
}

impl SeriesKey {
    /// A series without labels.
    #[must_use]
    pub fn plain(name: &str) -> Self {
        Self { name: name.to_owned(), labels: BTreeMap::new() }
    }

    /// A series with one label.
    #[must_use]
    pub fn with(name: &str, label: &str, value: impl Into<String>) -> Self {
        Self { name: name.to_owned(), labels: BTreeMap::from([(label.to_owned(), value.into())]) }
    }
}

/// Everything measured at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// When.
    pub at: Timestamp,
    /// What, in the signal's unit.
    pub samples: Vec<(SeriesKey, f64)>,
}

/// The samples of one stretch of time, in the width of one pixel column.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Bucket {
    /// The start of the stretch.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// The smallest sample.
    pub min: f64,
    /// The largest sample.
    pub max: f64,
    /// Their mean.
    pub mean: f64,
    /// The latest.
    pub last: f64,
    /// How many there are.
    pub count: u64,
}

/// One series over a range of time. Stretches without samples have no bucket: a gap stays a gap.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SeriesRange {
    /// Which series.
    pub key: SeriesKey,
    /// The signal's unit.
    pub unit: String,
    /// The width of a bucket, in milliseconds.
    pub step_ms: u64,
    /// The buckets that hold samples, oldest first.
    pub buckets: Vec<Bucket>,
}
