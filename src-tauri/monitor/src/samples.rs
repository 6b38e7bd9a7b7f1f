//! What was measured at one moment, on its way to telemetry.

use model::id::AgentId;
use model::signal::{Histogram, SeriesKey};

/// What tells two series of one signal apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Word {
    /// An agent.
    Agent(AgentId),
    /// A word of the program.
    Known(&'static str),
    /// A word of the machine, such as a device's name.
    Text(String),
    /// A number.
    Number(u32),
}

impl From<AgentId> for Word {
    fn from(agent: AgentId) -> Self {
        Self::Agent(agent)
    }
}

impl From<&'static str> for Word {
    fn from(word: &'static str) -> Self {
        Self::Known(word)
    }
}

impl From<String> for Word {
    fn from(word: String) -> Self {
        Self::Text(word)
    }
}

impl From<u32> for Word {
    fn from(number: u32) -> Self {
        Self::Number(number)
    }
}

impl std::fmt::Display for Word {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Agent(agent) => agent.fmt(f),
            Self::Known(word) => f.write_str(word),
            Self::Text(word) => f.write_str(word),
            Self::Number(number) => number.fmt(f),
        }
    }
}

/// A label with its value.
type Label = (&'static str, Word);

/// The series of a sample, cheap to make and to look up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    name: &'static str,
    /// What of a histogram it is: `_bucket`, `_sum` or `_count`.
    part: &'static str,
    labels: [Option<Label>; 2],
}

impl Key {
    /// The same as the store names it.
    pub(crate) fn series(&self) -> SeriesKey {
        let labels = self.labels.iter().flatten();
        let labels = labels.map(|(label, word)| ((*label).to_owned(), word.to_string()));
        SeriesKey { name: format!("{}{}", self.name, self.part), labels: labels.collect() }
    }
}

/// Samples of one moment.
#[derive(Debug, Default)]
pub struct Samples(Vec<(Key, f64)>);

impl Samples {
    /// Adds a sample of a signal without labels.
    pub fn add(&mut self, name: &'static str, value: f64) {
        self.push(name, "", [None, None], value);
    }

    /// Adds a sample of a signal with one label.
    pub fn add_of(
        &mut self,
        name: &'static str,
        label: (&'static str, impl Into<Word>),
        value: f64,
    ) {
        self.push(name, "", [Some((label.0, label.1.into())), None], value);
    }

    /// Adds a sample of a signal with two labels.
    pub fn add_of_both(
        &mut self,
        name: &'static str,
        one: (&'static str, impl Into<Word>),
        other: (&'static str, impl Into<Word>),
        value: f64,
    ) {
        let labels = [Some((one.0, one.1.into())), Some((other.0, other.1.into()))];
        self.push(name, "", labels, value);
    }

    /// Adds the samples of a signal that is a histogram.
    #[expect(clippy::cast_precision_loss, reason = "nothing is counted 2^53 times")]
    pub fn add_histogram(&mut self, name: &'static str, histogram: &Histogram) {
        let counted = histogram.counted();
        for (bound, count) in counted.buckets {
            let le = if bound.is_finite() { bound.to_string() } else { "+Inf".to_owned() };
            self.push(name, "_bucket", [Some(("le", Word::Text(le))), None], count as f64);
        }
        self.push(name, "_sum", [None, None], counted.sum);
        self.push(name, "_count", [None, None], counted.count as f64);
    }

    fn push(
        &mut self,
        name: &'static str,
        part: &'static str,
        labels: [Option<Label>; 2],
        value: f64,
    ) {
        self.0.push((Key { name, part, labels }, value));
    }

    pub(crate) fn each(&self) -> &[(Key, f64)] {
        &self.0
    }

    /// The samples as the store names them.
    #[must_use]
    pub fn named(&self) -> Vec<(SeriesKey, f64)> {
        self.0.iter().map(|(key, value)| (key.series(), *value)).collect()
    }
}

/// Something that knows figures of its own, and is asked for them at every measurement.
pub trait Source: Send + Sync {
    /// Adds them. It is called often: it must neither wait nor read files of any size.
    fn measure(&self, samples: &mut Samples);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(samples: &Samples) -> Vec<String> {
        let text = |(key, value): (SeriesKey, f64)| {
            let labels = key.labels.iter().map(|(label, value)| format!("{label}={value}"));
            format!("{}{{{}}} {value}", key.name, labels.collect::<Vec<_>>().join(","))
        };
        samples.named().into_iter().map(text).collect()
    }

    #[test]
    fn a_histogram_is_written_as_prometheus_writes_it() {
        let histogram = Histogram::new(&[0.0001, 0.5, 10.0]);
        for value in [0.25, 0.5, 7.0, 99.0] {
            histogram.observe(value);
        }
        let mut samples = Samples::default();
        samples.add_histogram("engine_api_seconds", &histogram);
        let expected = [
            "engine_api_seconds_bucket{le=0.0001} 0",
            "engine_api_seconds_bucket{le=0.5} 2",
            "engine_api_seconds_bucket{le=10} 3",
            "engine_api_seconds_bucket{le=+Inf} 4",
            "engine_api_seconds_sum{} 106.75",
            "engine_api_seconds_count{} 4",
        ];
        assert_eq!(written(&samples), expected);
    }

    #[test]
    fn labels_stand_by_their_names() {
        let agent: AgentId = "0198c0de-0000-7000-8000-00000000000b".parse().unwrap();
        let mut samples = Samples::default();
        samples.add("machine_cpu_percent", 1.5);
        samples.add_of("machine_core_cpu_percent", ("core", 3), 2.0);
        samples.add_of_both("agent_tokens_total", ("kind", "output"), ("agent", agent), 7.0);
        let expected = [
            "machine_cpu_percent{} 1.5",
            "machine_core_cpu_percent{core=3} 2",
            "agent_tokens_total{agent=0198c0de-0000-7000-8000-00000000000b,kind=output} 7",
        ];
        assert_eq!(written(&samples), expected);
    }
}
