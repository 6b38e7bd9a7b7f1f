//! What this engine is and what it uses: its files, its queues, its memory.

use std::path::Path;

use model::refusal::{Code, Refusal};

use crate::Engine;
use crate::resolve::unreadable;
use crate::view::{About, QueueView, TelemetryView};

/// The most entries of the data directory and of the logs that are looked at.
const ENTRIES_MAX: usize = 10_000;

/// What the parts of the store take on the disk, in bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Sizes {
    ledger: u64,
    telemetry: u64,
    transcripts: u64,
    logs: u64,
}

impl Engine {
    /// What this engine is and what it uses.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn about(&self) -> Result<About, Refusal> {
        let parts = &self.0;
        let counts = parts.ledger.counts().await.map_err(unreadable)?;
        let (root, logs) = (parts.dir.root().to_owned(), parts.dir.logs());
        let sizes = tokio::task::spawn_blocking(move || measure(&root, &logs)).await;
        let sizes = sizes.map_err(|err| Refusal::new(Code::Internal, err.to_string()))?;
        let ledger = parts.ledger.status();
        let samples = parts.telemetry.counters();
        let usage = parts.snapshots.borrow().engine.clone();
        let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        Ok(About {
            version: parts.version.to_owned(),
            platform: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            started_at: parts.started_at,
            now: parts.clock.now(),
            data_dir: parts.dir.root().display().to_string(),
            memory_bytes: usage.as_ref().map(|it| it.memory_bytes),
            cpu_percent: usage.as_ref().and_then(|it| it.cpu_percent),
            ledger_bytes: sizes.ledger,
            telemetry_bytes: sizes.telemetry,
            transcripts_bytes: sizes.transcripts,
            logs_bytes: sizes.logs,
            events: counts.events,
            open_streams: number(self.listeners()),
            commit_ms: std::time::Duration::from_micros(ledger.last_commit_us).as_secs_f64()
                * 1_000.0,
            queues: vec![QueueView {
                name: "changes to be written".to_owned(),
                waiting: number(ledger.queued),
                max: Some(number(ledger.queue_max)),
            }],
            samples_lost: samples.samples_lost + samples.ticks_dropped,
            telemetry: TelemetryView {
                set_aside: parts.telemetry.set_aside().map(|path| path.display().to_string()),
                series: samples.series,
                series_max: samples.series_max,
                over_series_cap: samples.samples_over_series_cap,
                damaged: samples.journal_rows_damaged + samples.chunks_damaged,
            },
        })
    }
}

/// Adds up what belongs to each part; what goes away meanwhile counts for nothing.
fn measure(root: &Path, logs: &Path) -> Sizes {
    let mut sizes = Sizes::default();
    for (name, bytes) in files(root) {
        match name.split('.').next() {
            Some("ledger") => sizes.ledger += bytes,
            Some("telemetry") => sizes.telemetry += bytes,
            Some("transcripts") => sizes.transcripts += bytes,
            _ => {}
        }
    }
    sizes.logs = files(logs).map(|(_, bytes)| bytes).sum();
    sizes
}

/// The plain files of a directory with their sizes.
fn files(directory: &Path) -> impl Iterator<Item = (String, u64)> {
    std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .take(ENTRIES_MAX)
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let meta = entry.metadata().ok().filter(std::fs::Metadata::is_file)?;
            Some((entry.file_name().to_string_lossy().into_owned(), meta.len()))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_is_counted_to_the_part_it_belongs_to() {
        let home = tempfile::tempdir().unwrap();
        let logs = home.path().join("logs");
        std::fs::create_dir(&logs).unwrap();
        for (name, bytes) in
            [("ledger.db", 3), ("ledger.db-wal", 4), ("telemetry.db", 5), ("endpoint.json", 90)]
        {
            std::fs::write(home.path().join(name), vec![0; bytes]).unwrap();
        }
        std::fs::write(logs.join("engine.log"), [0; 6]).unwrap();
        let expected = Sizes { ledger: 7, telemetry: 5, transcripts: 0, logs: 6 };
        assert_eq!(measure(home.path(), &logs), expected);
        assert_eq!(measure(&home.path().join("nowhere"), &logs).ledger, 0);
    }
}
