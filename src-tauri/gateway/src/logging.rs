//! The engine's own log: one JSON object a line, a file a day, a week kept.

use std::path::Path;

use tracing_appender::rolling::{InitError, RollingFileAppender, Rotation};
use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

/// What is logged, in the notation of `tracing_subscriber::EnvFilter`.
pub const LEVEL_VARIABLE: &str = "HIVEKEEPER_LOG";
/// Files kept; older ones are removed.
const FILES_KEPT: usize = 7;

/// The log could not be set up; the engine works without it.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The file cannot be made.
    #[error("open the log")]
    File(#[from] InitError),
    /// There is a log already.
    #[error("set up the log")]
    Twice(#[from] TryInitError),
}

/// Where warnings are shown besides the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Warnings {
    /// On standard error, for people at a terminal.
    Shown,
    /// Nowhere else.
    FileOnly,
}

/// Logs into the directory `logs` of a data directory.
///
/// # Errors
/// When the log cannot be written there, or was set up before.
pub fn start(data_dir: &Path, warnings: Warnings) -> Result<(), LoggingError> {
    let file = RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix("hivekeeper")
        .filename_suffix("log")
        .max_log_files(FILES_KEPT)
        .build(data_dir.join("logs"))?;
    let level = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .with_env_var(LEVEL_VARIABLE)
        .from_env_lossy();
    let file = fmt::layer().json().with_writer(file).with_filter(level);
    let shown = (warnings == Warnings::Shown).then(|| {
        fmt::layer()
            .compact()
            .with_target(false)
            .with_writer(std::io::stderr)
            .with_filter(LevelFilter::WARN)
    });
    tracing_subscriber::registry().with(file).with(shown).try_init()?;
    Ok(())
}
