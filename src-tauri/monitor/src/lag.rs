//! How long something that is due in the engine waits for its turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// How often it is tried.
const EVERY: Duration = Duration::from_millis(250);

/// The longest wait since it was asked last, in microseconds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lag(Arc<AtomicU64>);

impl Lag {
    /// Tries until it is cancelled.
    pub(crate) async fn watch(self, cancel: CancellationToken) {
        loop {
            let due = Instant::now() + EVERY;
            if cancel.run_until_cancelled(sleep_until(due)).await.is_none() {
                return;
            }
            let late = Instant::now().saturating_duration_since(due).as_micros();
            self.0.fetch_max(u64::try_from(late).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    /// The longest wait since it was asked last.
    pub(crate) fn take(&self) -> Duration {
        Duration::from_micros(self.0.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_keeps_the_engine_from_its_turn_is_seen_and_told_once() {
        let (lag, cancel) = (Lag::default(), CancellationToken::new());
        let watching = tokio::spawn(lag.clone().watch(cancel.clone()));
        tokio::task::yield_now().await;
        // The only thread of this test is kept busy beyond the moment that is due.
        let busy = EVERY + Duration::from_millis(80);
        std::thread::sleep(busy);
        let began = Instant::now();
        let late = loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let late = lag.take();
            if !late.is_zero() {
                break late;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "it was not seen");
        };
        assert!(late >= Duration::from_millis(70), "{late:?}");
        cancel.cancel();
        watching.await.unwrap();
        lag.take();
        assert_eq!(lag.take(), Duration::ZERO);
    }
}
