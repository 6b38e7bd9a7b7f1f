//! What is kept of an export while it is read, whatever it is written in.

use engine::{Exported, Measurement, Names, Sample, Temporality, Value};
use sha2::{Digest, Sha256};

use super::Unreadable;

/// The most resources of one body.
const RESOURCES_MAX: usize = 10_000;
/// The most samples of one body.
const SAMPLES_MAX: usize = 50_000;
/// The most attributes that are kept of one thing.
const KEPT_MAX: usize = 64;
/// The longest text of an attribute that is kept, in bytes.
const TEXT_BYTES_MAX: usize = 200;
/// Temporalities as the standard numbers them.
pub(super) const DELTA: u64 = 1;
pub(super) const CUMULATIVE: u64 = 2;

/// The value of an attribute, as it is read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scalar<'a> {
    Text(&'a str),
    Number(f64),
    Int(i64),
    Flag(bool),
    /// Lists, maps and bytes: never kept.
    Other(&'a [u8]),
}

/// Attributes: those that are read, and what tells all of them from others.
#[derive(Debug, Clone, Default)]
pub(super) struct Attributes {
    pub(super) kept: Vec<(String, Value)>,
    pub(super) series: u64,
}

impl Attributes {
    /// Adds an attribute. Their order makes no difference.
    pub(super) fn add(&mut self, key: &str, value: Scalar<'_>) {
        let mut hash = Sha256::new();
        hash.update((key.len() as u64).to_le_bytes());
        hash.update(key.as_bytes());
        match value {
            Scalar::Text(text) => hash.update(text.as_bytes()),
            Scalar::Number(number) => hash.update(number.to_le_bytes()),
            Scalar::Int(number) => hash.update(number.to_le_bytes()),
            Scalar::Flag(flag) => hash.update([u8::from(flag)]),
            Scalar::Other(bytes) => hash.update(bytes),
        }
        self.series = self.series.wrapping_add(short(hash));
        if self.kept.len() < KEPT_MAX
            && Names::built_in().has_attribute(key)
            && let Some(value) = kept(value)
        {
            self.kept.push((key.to_owned(), value));
        }
    }
}

fn kept(value: Scalar<'_>) -> Option<Value> {
    match value {
        Scalar::Text(text) if text.len() <= TEXT_BYTES_MAX => Some(Value::Text(text.to_owned())),
        Scalar::Number(number) => Some(Value::Number(number)),
        #[expect(clippy::cast_precision_loss, reason = "no figure that is read is that large")]
        Scalar::Int(number) => Some(Value::Number(number as f64)),
        Scalar::Flag(flag) => Some(Value::Flag(flag)),
        Scalar::Text(_) | Scalar::Other(_) => None,
    }
}

pub(super) fn short(hash: Sha256) -> u64 {
    let digest: [u8; 32] = hash.finalize().into();
    digest.iter().take(8).fold(0, |all, byte| all << 8 | u64::from(*byte))
}

/// What tells a metric's series from those of another metric.
fn of_name(name: &str) -> u64 {
    short(Sha256::new_with_prefix(name.as_bytes()))
}

/// A point of a metric.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub(super) sum: f64,
    pub(super) count: f64,
}

/// What has been read so far.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    exported: Vec<Exported>,
    samples: usize,
}

impl Gathered {
    /// What follows is of this resource.
    pub(super) fn resource(&mut self, attributes: Attributes) -> Result<(), Unreadable> {
        if self.exported.len() >= RESOURCES_MAX {
            return Err(Unreadable::TooMuch("10,000 resources"));
        }
        let Attributes { kept, series } = attributes;
        self.exported.push(Exported { resource: kept, series, batch: None, samples: Vec::new() });
        Ok(())
    }

    fn push(&mut self, sample: Sample) -> Result<(), Unreadable> {
        self.samples += 1;
        if self.samples > SAMPLES_MAX {
            return Err(Unreadable::TooMuch("50,000 figures"));
        }
        if let Some(export) = self.exported.last_mut() {
            export.samples.push(sample);
        }
        Ok(())
    }

    /// A point of a metric whose name says anything.
    pub(super) fn point(
        &mut self,
        name: &str,
        temporality: u64,
        point: Point,
        attributes: Attributes,
    ) -> Result<(), Unreadable> {
        let temporality = match temporality {
            DELTA => Temporality::Delta,
            CUMULATIVE => Temporality::Cumulative,
            // It does not say what it is, so it says nothing.
            _ => return Ok(()),
        };
        let series = attributes.series.wrapping_add(of_name(name));
        let Point { sum, count } = point;
        self.push(Sample {
            name: name.to_owned(),
            what: Measurement::Metric { temporality, sum, count, series },
            attributes: attributes.kept,
        })
    }

    /// A log record under the first of these names that says anything.
    pub(super) fn event<'a>(
        &mut self,
        names: impl IntoIterator<Item = Option<&'a str>>,
        attributes: Attributes,
    ) -> Result<(), Unreadable> {
        let table = Names::built_in();
        let name = names.into_iter().flatten().find(|name| table.has_event(name));
        let Some(name) = name else { return Ok(()) };
        let (name, attributes) = (name.to_owned(), attributes.kept);
        self.push(Sample { name, what: Measurement::Event, attributes })
    }

    /// A span that took so many milliseconds; one without anything that is read is left out.
    pub(super) fn span(
        &mut self,
        ms: f64,
        failed: bool,
        attributes: Attributes,
    ) -> Result<(), Unreadable> {
        if attributes.kept.is_empty() {
            return Ok(());
        }
        let what = Measurement::Span { ms, failed };
        self.push(Sample { name: String::new(), what, attributes: attributes.kept })
    }

    /// Everything that says anything.
    pub(super) fn take(mut self) -> Vec<Exported> {
        self.exported.retain(|export| !export.samples.is_empty());
        self.exported
    }
}

/// The event's name as an attribute says it; some leave it nowhere else.
pub(super) const EVENT_NAME: &str = "event.name";
