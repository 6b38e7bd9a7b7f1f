//! How fast the API answered in the last minutes.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::Gate;
use crate::trace::turned_away;

/// The upper bound of the first bucket, in microseconds.
const FIRST_US: f64 = 50.0;
/// How much wider each bucket is than the one before it: no figure is off by more.
const WIDER: f64 = 1.2;
/// Buckets; the last one ends at about half a minute.
const BUCKETS: usize = 74;
/// How long one window is filled; figures are of the last two.
const WINDOW: Duration = Duration::from_secs(300);
/// What a client waits for on purpose says nothing about how fast the engine is.
const WAITING_QUERY: &str = "wait_ms=";
/// The end of the path of the other request that waits on purpose.
const WAITING_PATH: &str = "/lease";

/// How fast the API answered of late.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct ApiFigures {
    /// Requests answered since the engine was started.
    #[schema(example = 48_211)]
    pub(crate) requests: u64,
    /// Requests the figures are made from: those of the last five to ten minutes.
    #[schema(example = 1_904)]
    pub(crate) samples: u64,
    /// Half of them were answered within this, in milliseconds; nothing without requests.
    #[schema(example = 0.8)]
    pub(crate) p50_ms: Option<f64>,
    /// 95 of 100 were, likewise.
    #[schema(example = 3.1)]
    pub(crate) p95_ms: Option<f64>,
    /// 99 of 100 were, likewise.
    #[schema(example = 7.6)]
    pub(crate) p99_ms: Option<f64>,
}

type Window = [u64; BUCKETS];

#[derive(Debug)]
struct Windows {
    since: Option<Instant>,
    now: Window,
    before: Window,
    requests: u64,
}

/// How long answers took, without what waits on purpose.
#[derive(Debug)]
pub(crate) struct Pace(Mutex<Windows>);

impl Default for Pace {
    fn default() -> Self {
        let (now, before) = ([0; BUCKETS], [0; BUCKETS]);
        Self(Mutex::new(Windows { since: None, now, before, requests: 0 }))
    }
}

impl Windows {
    /// Turns the page when a window is full; after a longer silence both are empty.
    fn turn(&mut self, now: Instant) {
        let age = now.duration_since(*self.since.get_or_insert(now));
        if age < WINDOW {
            return;
        }
        self.before = if age < 2 * WINDOW { self.now } else { [0; BUCKETS] };
        self.now = [0; BUCKETS];
        self.since = Some(now);
    }

    /// The time within which so many of 100 were answered, in milliseconds.
    fn quantile(&self, samples: u64, of_100: u64) -> Option<f64> {
        // The rank, from 1, of the answer that is asked for.
        let rank = samples.saturating_mul(of_100).div_ceil(100).max(1);
        let mut seen = 0;
        let counts = self.now.iter().zip(&self.before).map(|(now, before)| now + before);
        let found = counts.enumerate().find(|(_, count)| {
            seen += count;
            seen >= rank
        });
        found.map(|(at, _)| bound_us(at) / 1_000.0)
    }
}

/// The upper bound of a bucket, in microseconds.
fn bound_us(at: usize) -> f64 {
    FIRST_US * WIDER.powi(i32::try_from(at).unwrap_or(i32::MAX))
}

/// The bucket of a time.
fn bucket_of(took: Duration) -> usize {
    let us = took.as_secs_f64() * 1e6;
    (0..BUCKETS).find(|at| us <= bound_us(*at)).unwrap_or(BUCKETS - 1)
}

impl Pace {
    fn took(&self, took: Duration, now: Instant) {
        let at = bucket_of(took);
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        windows.turn(now);
        windows.requests += 1;
        windows.now[at] += 1;
    }

    /// How fast it was of late.
    pub(crate) fn figures(&self, now: Instant) -> ApiFigures {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        windows.turn(now);
        let samples = windows.now.iter().chain(&windows.before).sum();
        ApiFigures {
            requests: windows.requests,
            samples,
            p50_ms: windows.quantile(samples, 50),
            p95_ms: windows.quantile(samples, 95),
            p99_ms: windows.quantile(samples, 99),
        }
    }
}

/// Measures what goes by.
pub(crate) async fn kept(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let uri = request.uri();
    let waits = uri.path() == crate::mcp::PATH
        || uri.path().ends_with(WAITING_PATH)
        || uri.query().is_some_and(|query| query.contains(WAITING_QUERY));
    let counts = crate::is_api(uri.path()) && !waits;
    let begun = Instant::now();
    let response = next.run(request).await;
    if counts && !turned_away(response.status()) {
        gate.pace.took(begun.elapsed(), Instant::now());
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_of_the_last_minutes_and_within_a_fifth_of_the_truth() {
        let (pace, begun) = (Pace::default(), Instant::now());
        let none = pace.figures(begun);
        assert_eq!((none.samples, none.p50_ms, none.p99_ms), (0, None, None));
        for n in 1..=100 {
            pace.took(Duration::from_millis(n), begun);
        }
        let all = pace.figures(begun);
        assert_eq!((all.requests, all.samples), (100, 100));
        for (found, truth) in [(all.p50_ms, 50.0), (all.p95_ms, 95.0), (all.p99_ms, 99.0)] {
            let found = found.unwrap();
            assert!(found >= truth && found <= truth * WIDER, "{found} for {truth}");
        }
        // Still of the last two windows; then of none.
        assert_eq!(pace.figures(begun + WINDOW).samples, 100);
        let later = pace.figures(begun + 3 * WINDOW);
        assert_eq!((later.requests, later.samples, later.p95_ms), (100, 0, None));
    }

    #[test]
    fn an_answer_that_took_longer_than_all_bounds_is_counted_in_the_last() {
        let pace = Pace::default();
        pace.took(Duration::from_secs(3_600), Instant::now());
        assert_eq!(pace.figures(Instant::now()).p50_ms, Some(bound_us(BUCKETS - 1) / 1_000.0));
    }
}
