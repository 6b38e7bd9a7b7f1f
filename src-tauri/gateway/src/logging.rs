//! Where the engine's own log goes: warnings to standard error, everything to files of the workspace.

use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tracing_appender::non_blocking::NonBlocking;
/// Writes what is left when it is dropped.
pub use tracing_appender::non_blocking::WorkerGuard as Guard;
use tracing_appender::rolling::{InitError, RollingFileAppender, Rotation};
use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

/// Log files kept, one per day.
const FILES_MAX: usize = 7;
/// Lines that wait to be written; more are dropped, so that logging never holds up work.
const LINES_MAX: usize = 4_096;
/// The variable that says how much is logged, in the notation of `EnvFilter`.
pub const VARIABLE: &str = "HIVEKEEPER_LOG";

/// The log could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("write the log into {}", directory.display())]
pub struct LoggingError {
    directory: PathBuf,
    source: InitError,
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
    let level = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .with_env_var(VARIABLE)
        .from_env_lossy();
    let file = fmt::layer().json().with_writer(Late).with_filter(level);
    let screen = fmt::layer()
        .compact()
        .with_target(false)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .with_filter(LevelFilter::WARN);
    // Only a second call could fail, and there is none.
    let _ = tracing_subscriber::registry().with(file).with(screen).try_init();
}

/// Writes everything into the workspace's log from now on, until the guard is dropped.
///
/// # Errors
/// When the log cannot be written there.
pub fn write_to(data_dir: &Path) -> Result<Guard, LoggingError> {
    let directory = data_dir.join("logs");
    let files = RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix("hivekeeper")
        .filename_suffix("log")
        .max_log_files(FILES_MAX)
        .build(&directory)
        .map_err(|source| LoggingError { directory, source })?;
    let (writer, guard) = tracing_appender::non_blocking::NonBlockingBuilder::default()
        .buffered_lines_limit(LINES_MAX)
        .finish(files);
    // Only a second call could find it set, and there is none.
    let _ = FILE.set(writer);
    Ok(guard)
}
