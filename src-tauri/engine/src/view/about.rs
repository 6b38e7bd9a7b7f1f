//! What this engine is, and what it uses.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What this engine is, and what it uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct About {
    /// The engine's version.
    #[schema(example = "0.4.0")]
    pub version: String,
    /// The system and the kind of processor it was made for.
    #[schema(example = "linux x86_64")]
    pub platform: String,
    /// When it was started.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// The time this was read.
    #[schema(value_type = String, format = DateTime)]
    pub now: Timestamp,
    /// The data directory.
    pub data_dir: String,
    /// Resident memory, in bytes; nothing before the first measurement.
    pub memory_bytes: Option<u64>,
    /// Processor use, 100 = one core; nothing before the second measurement.
    pub cpu_percent: Option<f64>,
    /// What the ledger takes on the disk, its write-ahead log included, in bytes.
    pub ledger_bytes: u64,
    /// What the telemetry takes, likewise.
    pub telemetry_bytes: u64,
    /// What the transcripts take, likewise.
    pub transcripts_bytes: u64,
    /// What the logs take, in bytes.
    pub logs_bytes: u64,
    /// How many events the ledger holds.
    pub events: u64,
    /// Clients that listen to the live stream.
    pub open_streams: u64,
    /// How long the last commit took, in milliseconds.
    pub commit_ms: f64,
    /// What waits inside of it.
    pub queues: Vec<QueueView>,
    /// Samples that were lost or refused since the telemetry was begun.
    pub samples_lost: u64,
    /// How the measuring itself is doing.
    pub telemetry: TelemetryView,
}

/// How the measuring itself is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TelemetryView {
    /// Where the file lies now that was found damaged, or of another release, when the engine was
    /// started; nothing where there was no such file.
    pub set_aside: Option<String>,
    /// Series there are.
    pub series: u64,
    /// Series there may be.
    pub series_max: u64,
    /// Samples of new series that were refused because there were too many.
    pub over_series_cap: u64,
    /// Parts of the file that could not be read back.
    pub damaged: u64,
}

/// Something that waits its turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueueView {
    /// What waits there.
    #[schema(example = "changes to be written")]
    pub name: String,
    /// How many wait now.
    pub waiting: u64,
    /// How many may wait; nothing where there is no limit.
    pub max: Option<u64>,
}
