//! The engine's own log: warnings to standard error, everything to files of the workspace, one line of
//! JSON each; how much is logged can be changed while it runs.

mod files;
mod level;
mod line;
mod read;
mod screen;

use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use model::clock::SystemClock;
use tracing_appender::non_blocking::NonBlocking;
/// Writes what is left when it is dropped.
pub use tracing_appender::non_blocking::WorkerGuard as Guard;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

pub(crate) use level::{LevelError, LevelView, NewLevel, level, set_level};
pub(crate) use read::{LogLine, LogQuery, read};

use files::{Files, Keep};
use line::Lines;

/// Lines that wait to be written; more are dropped, so that logging never holds up work.
const LINES_MAX: usize = 4_096;
/// The variable that says how much is logged, in the notation of `EnvFilter`.
pub const VARIABLE: &str = "HIVEKEEPER_LOG";

/// The log could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("write the log into {}", directory.display())]
pub struct LoggingError {
    directory: PathBuf,
    source: io::Error,
}

static FILE: OnceLock<NonBlocking> = OnceLock::new();

/// Writes into the workspace's log once that is known; before, there is no place for it.
struct Late;

enum LateWriter {
    Nowhere,
    File(NonBlocking),
}

impl<'a> MakeWriter<'a> for Late {
    type Writer = LateWriter;

    fn make_writer(&'a self) -> LateWriter {
        FILE.get().map_or(LateWriter::Nowhere, |file| LateWriter::File(file.clone()))
    }
}

impl Write for LateWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Nowhere => Ok(bytes.len()),
            Self::File(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Nowhere => Ok(()),
            Self::File(file) => file.flush(),
        }
    }
}

/// Sends warnings to standard error from now on.
pub fn begin() {
    let wanted = std::env::var(VARIABLE).unwrap_or_default();
    let file = fmt::layer()
        .fmt_fields(JsonFields::new())
        .event_format(Lines)
        .with_writer(Late)
        .with_filter(level::begin(&wanted));
    let screen = fmt::layer()
        .compact()
        .with_target(false)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(|| screen::Clean(io::stderr()))
        .with_filter(LevelFilter::WARN);
    // Only a second call could fail, and there is none.
    let _ = tracing_subscriber::registry().with(file).with(screen).try_init();
}

/// Writes everything into the workspace's log from now on, until the guard is dropped.
///
/// # Errors
/// When the log cannot be written there.
pub fn write_to(data_dir: &Path) -> Result<Guard, LoggingError> {
    let directory = directory(data_dir);
    let files = Files::open(&directory, Keep::default(), Arc::new(SystemClock))
        .map_err(|source| LoggingError { directory, source })?;
    let (writer, guard) = tracing_appender::non_blocking::NonBlockingBuilder::default()
        .buffered_lines_limit(LINES_MAX)
        .finish(files);
    // Only a second call could find it set, and there is none.
    let _ = FILE.set(writer);
    Ok(guard)
}

/// Where the log of a workspace is.
pub(crate) fn directory(data_dir: &Path) -> PathBuf {
    data_dir.join("logs")
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use serde_json::Value;

    use super::*;

    #[test]
    fn every_line_has_time_level_agent_mission_correlation_id_rotation_keeps_within_the_set_size() {
        let dir = tempfile::tempdir().unwrap();
        let keep = Keep { file_bytes: 4_000, total_bytes: 20_000, days: 14 };
        let files = Files::open(dir.path(), keep, Arc::new(SystemClock)).unwrap();
        let layer = fmt::layer()
            .fmt_fields(JsonFields::new())
            .event_format(Lines)
            .with_writer(Mutex::new(files));
        let total = || -> u64 {
            let files = std::fs::read_dir(dir.path()).unwrap();
            files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
        };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            for n in 0..500 {
                let span = tracing::info_span!("attempt", mission = "M-7K2P", agent = "ann");
                span.in_scope(|| tracing::info!(n, correlation_id = "c-1", "a line"));
                tracing::warn!(n, "a line about nobody");
                assert!(total() <= keep.total_bytes, "after {n}");
            }
        });
        assert!(total() > keep.total_bytes / 2, "as much is kept as may be");
        let mut read_lines = 0;
        for file in std::fs::read_dir(dir.path()).unwrap() {
            for line in std::fs::read_to_string(file.unwrap().path()).unwrap().lines() {
                let line: Value = serde_json::from_str(line).unwrap();
                for name in ["time", "level", "agent", "mission", "correlation_id"] {
                    assert!(line.get(name).is_some(), "{name}: {line}");
                }
                let known = line["message"] == "a line";
                assert_eq!(line["mission"] == "M-7K2P" && line["agent"] == "ann", known, "{line}");
                read_lines += 1;
            }
        }
        assert!(read_lines > 50, "{read_lines}");
        // The newest are among them.
        let query = LogQuery { limit: Some(1), ..LogQuery::default() };
        let (newest, _) = read(dir.path(), &query).unwrap();
        assert_eq!(newest[0].fields["n"], 499);
    }
}
