//! One API for everybody: HTTP routes, live stream, authentication, and the UI's files.
//!
//! Invariant: the gateway decides nothing about missions or agents and stores nothing; it checks
//! who asks, reads what was asked, and passes it to the engine. No request reaches a handler that
//! the table in [`rights`] does not allow.

pub mod accept;
pub mod access;
mod again;
mod auth;
mod call;
pub mod client;
mod crowd;
pub mod door;
pub mod endpoint;
mod etag;
mod files;
pub mod host;
mod latency;
mod limits;
mod live;
pub mod logging;
mod mcp;
mod measure;
pub mod openapi;
mod otlp;
mod pace;
mod params;
pub mod problem;
pub mod rights;
mod routes;
mod trace;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use engine::Engine;
use http::{HeaderName, HeaderValue, StatusCode, header};

pub use accept::{NotLoopback, bind, bind_again, bind_anywhere, serve};
pub use access::{Access, AccessError};
pub use again::ALWAYS_ANEW;
pub use auth::InProcess;
pub use client::{Answer, Client, ClientError, McpAnswer, Reattaching};
pub use door::{DoorError, Tls};
pub use endpoint::{Endpoint, EndpointError};
pub use host::{Host, HostError, Outer};
pub use problem::Problem;
pub use routes::VerificationView;

use latency::Latency;
use limits::Limits;
use model::refusal::Code;
use pace::Pace;

/// How long a request may take until its answer begins, except for what waits on purpose.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The window of this engine, where there is one.
pub trait WindowControl: Send + Sync {
    /// Brings the window to the front; `false` when there is none.
    fn focus(&self) -> bool;
}

/// An engine without a window.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoWindow;

impl WindowControl for NoWindow {
    fn focus(&self) -> bool {
        false
    }
}

/// What every handler is given.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) engine: Engine,
    pub(crate) access: Arc<Access>,
    pub(crate) window: Arc<dyn WindowControl>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) answers: Arc<again::Answers>,
    /// Held while something is edited, so that nobody edits what another one is editing.
    pub(crate) edits: Arc<tokio::sync::Mutex<()>>,
    pub(crate) latency: Arc<Latency>,
    pub(crate) pace: Arc<Pace>,
}

/// The whole API and the UI's files, with authentication, limits and security headers.
pub fn router(engine: Engine, access: Arc<Access>, window: Arc<dyn WindowControl>) -> Router {
    let (limits, latency, pace) = (Arc::default(), Arc::default(), Arc::default());
    let (edits, answers) = (Arc::default(), Arc::default());
    let gate = Gate { engine, access, window, limits, edits, latency, pace, answers };
    let correlating = gate.clone();
    let (api, _) = routes::all().split_for_parts();
    api.merge(mcp::routes(&gate))
        .merge(otlp::routes())
        .fallback(files::serve)
        .method_not_allowed_fallback(wrong_method)
        .with_state(gate.clone())
        .layer(middleware::from_fn_with_state(gate.clone(), again::told_again))
        .layer(middleware::from_fn_with_state(gate.clone(), auth::guard))
        .layer(middleware::from_fn_with_state(gate.clone(), pace::kept))
        .layer(middleware::from_fn_with_state(gate, latency::timed))
        .layer(middleware::from_fn(in_time))
        .layer(middleware::from_fn_with_state(correlating, trace::correlated))
        .layer(middleware::from_fn(with_security_headers))
}

async fn wrong_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        Code::InvalidInput,
        "this path does not take that method",
    )
}

/// Answers with a problem when nothing else was answered in time.
async fn in_time(request: Request, next: Next) -> Response {
    if request.uri().path() == mcp::PATH {
        // A question to the captain waits longer, for as long as the tools say.
        return next.run(request).await;
    }
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            Code::Busy,
            format!("no answer within {} s", REQUEST_TIMEOUT.as_secs()),
        )
        .retry_after(1)
        .into_response(),
    }
}

/// What the UI's own pages may load: themselves, and nothing from anywhere else.
const UI_POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; \
    form-action 'none'; frame-src 'none'; frame-ancestors 'none'";
/// What an answer of the API may load if a browser were made to show it as a page: nothing.
const API_POLICY: &str = "default-src 'none'; frame-ancestors 'none'; sandbox";

async fn with_security_headers(request: Request, next: Next) -> Response {
    let api = is_api(request.uri().path());
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(header::CONTENT_SECURITY_POLICY, if api { API_POLICY } else { UI_POLICY });
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::X_FRAME_OPTIONS, "DENY");
    set(header::REFERRER_POLICY, "no-referrer");
    set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    set(header::CACHE_CONTROL, "no-store");
    response
}

/// Where Prometheus reads the figures of the engine.
pub(crate) const METRICS: &str = "/metrics";

/// Whether a path belongs to the API rather than to the UI's files.
pub(crate) fn is_api(path: &str) -> bool {
    let is =
        |name: &str| path.strip_prefix(name).is_some_and(|it| it.is_empty() || it.starts_with('/'));
    is("/api")
        || is(mcp::PATH)
        || is("/v1")
        || path == METRICS
        || path == "/healthz"
        || path == "/readyz"
}
