//! The engine's own figures, as signals: what waits, how long things take, what was given up.

use std::sync::Arc;
use std::time::Duration;

use model::signal::Histogram;
use model::signal::catalogue::SHORT_BOUNDS;
use monitor::{Monitor, Samples, Source};
use store::ledger::Ledger;
use store::telemetry::Telemetry;

use crate::Engine;
use crate::live::Hub;

/// How long requests took until their answer began; clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct ApiTimes(Arc<Histogram>);

impl Default for ApiTimes {
    fn default() -> Self {
        Self(Arc::new(Histogram::new(SHORT_BOUNDS)))
    }
}

/// The monitor, and what is measured for it beside.
#[derive(Debug)]
pub(crate) struct Measuring {
    monitor: Monitor,
    api: ApiTimes,
}

impl Measuring {
    pub(crate) fn with(monitor: Monitor) -> Self {
        Self { monitor, api: ApiTimes::default() }
    }

    /// Asks this one, too, at every measurement from now on.
    pub(crate) fn add(&self, source: Arc<dyn Source>) {
        self.monitor.add(source);
    }
}

/// Where the figures are.
pub(crate) struct Own {
    pub(crate) ledger: Ledger,
    pub(crate) telemetry: Telemetry,
    pub(crate) hub: Arc<Hub>,
    pub(crate) api: ApiTimes,
}

impl Source for Own {
    #[expect(clippy::cast_precision_loss, reason = "nothing is counted 2^53 times")]
    fn measure(&self, samples: &mut Samples) {
        let ledger = self.ledger.status();
        samples.add_of("engine_queue_length", ("queue", "ledger"), ledger.queued as f64);
        samples.add_histogram("engine_append_seconds", self.ledger.commit_times());
        samples.add_histogram("engine_api_seconds", &self.api.0);
        samples.add("engine_events_total", ledger.head_seq as f64);
        samples.add("engine_wal_bytes", ledger.wal_bytes as f64);
        samples.add("engine_live_listeners", self.hub.listeners() as f64);
        samples.add("engine_frames_dropped_total", self.hub.frames_dropped() as f64);
        let counted = self.telemetry.counters();
        for (outcome, count) in [
            ("recorded", counted.samples_recorded),
            ("lost", counted.samples_lost),
            ("over_series_cap", counted.samples_over_series_cap),
        ] {
            samples.add_of("engine_samples_total", ("outcome", outcome), count as f64);
        }
    }
}

impl Engine {
    /// Has the engine's own figures measured with everything else from now on.
    pub(crate) fn begin_own_figures(&self) {
        let parts = &self.0;
        parts.measuring.monitor.add(Arc::new(Own {
            ledger: parts.ledger.clone(),
            telemetry: parts.telemetry.clone(),
            hub: Arc::clone(&parts.hub),
            api: parts.measuring.api.clone(),
        }));
    }

    /// Notes how long a request took until its answer began.
    pub fn request_took(&self, took: Duration) {
        self.0.measuring.api.0.observe(took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Instant;

    use model::signal::{CATALOGUE, SignalKind};

    use super::*;
    use crate::Config;

    #[tokio::test(flavor = "multi_thread")]
    async fn the_engine_measures_itself_by_every_signal_of_the_catalogue_that_is_its_own() {
        let place = tempfile::tempdir().unwrap();
        let config = Config::new(place.path().join("data"), "0.0.0-test");
        let engine = Engine::open(config).await.unwrap();
        engine.request_took(Duration::from_millis(3));
        let names = CATALOGUE.iter().filter(|signal| signal.name.starts_with("engine_"));
        let names: Vec<String> = names
            .map(|signal| match signal.kind {
                SignalKind::Histogram => format!("{}_count", signal.name),
                _ => signal.name.to_owned(),
            })
            .collect();
        let began = Instant::now();
        loop {
            let mut missing = Vec::new();
            for name in &names {
                let found = engine.0.telemetry.latest(name, &BTreeMap::new()).await.unwrap();
                let told = |name: &str| {
                    // One request and the start itself were before.
                    !name.ends_with("_count") || found.iter().any(|(_, _, value)| *value >= 1.0)
                };
                if found.is_empty() || !told(name) {
                    missing.push(name.clone());
                }
            }
            if missing.is_empty() {
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "no series of {missing:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        engine.shutdown().await;
    }
}
