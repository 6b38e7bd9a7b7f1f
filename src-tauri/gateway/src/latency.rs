//! How long requests take, by route: counted for everybody, read by whoever watches the engine.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{Method, StatusCode};
use prometheus::{HistogramOpts, HistogramVec};

use crate::Gate;
use crate::trace::turned_away;

/// The name of the histogram.
const NAME: &str = "hivekeeper_http_request_duration_seconds";
/// What a request belongs to that no route was found for: a page of the UI, or nothing there is.
const NO_ROUTE: &str = "other";
/// The bounds of the histogram, in seconds.
const BOUNDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// How long requests took until their answer began. There are as many series as the API has routes,
/// whatever is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Latency(pub(crate) HistogramVec);

impl Default for Latency {
    fn default() -> Self {
        let help = "How long requests took until their answer began.";
        let options = HistogramOpts::new(NAME, help).buckets(BOUNDS.to_vec());
        let labels = ["method", "route", "code"];
        Self(HistogramVec::new(options, &labels).expect("the names are well formed"))
    }
}

impl Latency {
    fn took(&self, method: &Method, route: &str, status: StatusCode, seconds: f64) {
        let labels = [word_of(method), route, class_of(status)];
        self.0.with_label_values(&labels).observe(seconds);
    }
}

/// Methods that anybody makes up are one.
fn word_of(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "OTHER",
    }
}

const fn class_of(status: StatusCode) -> &'static str {
    match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}

/// Counts a request, whoever sent it and whatever came of it.
pub(crate) async fn timed(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = request.method().clone();
    let path = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let route = path.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    let took = begun.elapsed();
    gate.latency.took(&method, route, response.status(), took.as_secs_f64());
    if !turned_away(response.status()) {
        gate.engine.request_took(took);
    }
    response
}
