//! Signals: measured time series, and the catalogue of those the engine measures.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What the numbers of a signal mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignalKind {
    /// A level that goes up and down.
    Gauge,
    /// A total that only grows, and starts again at zero when its source does.
    Counter,
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
    /// What it says.
    pub description: &'static str,
}

macro_rules! catalogue {
    ($($name:literal, $unit:literal, $kind:ident, $resolution:literal, [$($label:literal),*], $text:literal;)*) => {
        &[$(Signal {
            name: $name,
            unit: $unit,
            kind: SignalKind::$kind,
            resolution: $resolution,
            labels: &[$($label),*],
            description: $text,
        }),*]
    };
}

/// Every signal the engine measures.
pub const CATALOGUE: &[Signal] = catalogue![
    "machine_cpu_percent", "%", Gauge, 0.1, [], "Processor use of the machine, 100 % = all cores.";
    "machine_memory_used_bytes", "B", Gauge, 1024.0, [], "Memory in use.";
    "machine_memory_total_bytes", "B", Gauge, 1024.0, [], "Memory installed.";
    "machine_disk_free_bytes", "B", Gauge, 1024.0, [], "Space left on the disk that holds the data directory.";
    "machine_disk_read_bytes_total", "B", Counter, 1.0, [], "Bytes read from disks.";
    "machine_disk_written_bytes_total", "B", Counter, 1.0, [], "Bytes written to disks.";
    "machine_network_received_bytes_total", "B", Counter, 1.0, [], "Bytes received on all interfaces but loopback.";
    "machine_network_sent_bytes_total", "B", Counter, 1.0, [], "Bytes sent on all interfaces but loopback.";
    "agent_cpu_percent", "%", Gauge, 0.1, ["agent"], "Processor use of the agent's process tree, 100 % = one core.";
    "agent_memory_bytes", "B", Gauge, 1024.0, ["agent"], "Resident memory of the agent's process tree.";
    "agent_processes", "", Gauge, 1.0, ["agent"], "Processes in the agent's tree.";
    "agent_output_bytes_total", "B", Counter, 1.0, ["agent"], "Bytes the agent's current attempt has printed.";
    "agent_tokens_total", "", Counter, 1.0, ["agent", "kind"], "Tokens the agent's current attempt has used, by kind: uncached_input, cache_read, cache_write, output, reasoning (part of the output).";
    "agent_cost_usd_total", "$", Counter, 0.000001, ["agent", "by"], "What the agent's current attempt has cost, as the agent says (by=agent) and by our prices (by=prices).";
    "agent_tool_calls_total", "", Counter, 1.0, ["agent"], "Tools the agent's current attempt has called.";
    "agent_turns_total", "", Counter, 1.0, ["agent"], "Turns of the agent's current attempt.";
    "agent_progress_percent", "%", Gauge, 1.0, ["agent"], "How far the agent's current mission is, as was said last.";
    "engine_memory_bytes", "B", Gauge, 1024.0, [], "Resident memory of the engine itself.";
    "engine_cpu_percent", "%", Gauge, 0.1, [], "Processor use of the engine itself, 100 % = one core.";
    "engine_missed_ticks_total", "", Counter, 1.0, [], "Measurements that were skipped because the one before took too long.";
];

/// Looks a signal up by its name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Signal> {
    CATALOGUE.iter().find(|signal| signal.name == name)
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
