//! Looking through a directory for files that are too long and lines that are there twice.

use std::time::Duration;

use agents::scan::{ScanError, ScanOptions, ScanReport, scan_while};
use model::refusal::{Code, Refusal};
use tokio::time::{Instant, timeout_at};

use crate::Engine;
use crate::missions::absolute;
use crate::view::ScanRequest;

/// How long a scan may read before what was read so far is all there is.
const READING_MAX: Duration = Duration::from_secs(20);
/// How long the whole scan may take.
const COMPARING_MAX: Duration = Duration::from_secs(25);

impl Engine {
    /// Scans a directory. Nothing in it is changed. A scan whose caller goes away ends.
    ///
    /// # Errors
    /// When the path is not absolute, is no directory or cannot be read, when an option makes no
    /// sense, or comparing takes too long.
    pub async fn scan(&self, request: ScanRequest) -> Result<ScanReport, Refusal> {
        let root = absolute(&request.path)?;
        let usual = ScanOptions::default();
        let options = ScanOptions {
            lines_max: request.lines_max.unwrap_or(usual.lines_max),
            block_lines: request.block_lines.unwrap_or(usual.block_lines),
            ..usual
        };
        let _turn = self.0.bench.scans.try_acquire().map_err(|_| {
            Refusal::new(Code::Busy, "other directories are being scanned")
                .hint("try again when they are done")
        })?;
        let begun = Instant::now();
        let cancel = self.0.cancel.child_token();
        // Dropped with this future, which ends the scan.
        let _ends_with_the_caller = cancel.clone().drop_guard();
        let scanning = tokio::task::spawn_blocking(move || {
            let mut go_on = |_| begun.elapsed() < READING_MAX;
            scan_while(&root, &options, &cancel, &mut go_on)
        });
        match timeout_at(begun + COMPARING_MAX, scanning).await {
            Ok(Ok(report)) => report.map_err(|error| scan_refusal(&error)),
            Ok(Err(error)) => {
                tracing::error!(%error, "a scan ended early");
                Err(Refusal::new(Code::Internal, "the scan ended early; nothing was changed"))
            }
            Err(_) => Err(Refusal::new(Code::Busy, "the scan did not end in time")
                .hint("scan a directory with fewer files; nothing was changed")),
        }
    }
}

fn scan_refusal(error: &ScanError) -> Refusal {
    let code = match error {
        ScanError::Missing(_) => Code::NotFound,
        ScanError::NotADirectory(_) | ScanError::Unreadable { .. } | ScanError::Option(..) => {
            Code::InvalidInput
        }
        ScanError::Cancelled => Code::Busy,
    };
    Refusal::new(code, format!("failed to {error}")).hint("nothing was changed")
}
