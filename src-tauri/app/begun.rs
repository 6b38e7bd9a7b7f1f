//! When this program began, and how long it took until the page in its window asked for something.

use std::sync::OnceLock;
use std::time::Instant;

static BEGUN: OnceLock<Instant> = OnceLock::new();
static ASKED: OnceLock<()> = OnceLock::new();

/// Notes the begin; the first call counts.
pub(crate) fn now() {
    BEGUN.get_or_init(Instant::now);
}

/// Logs once how long the start took, from the begin until the page is there and asks; says whether
/// this was that once.
pub(crate) fn first_request() -> bool {
    let mut first = false;
    ASKED.get_or_init(|| {
        first = true;
        if let Some(begun) = BEGUN.get() {
            let start_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            tracing::info!(start_ms, "the page in the window asks for the first time");
        }
    });
    first
}
