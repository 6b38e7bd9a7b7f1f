//! What stands behind the window: the engine of this program, or one that already runs.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;

use engine::Engine;
use engine::live::{LiveFrom, Wish};
use futures::{Stream, StreamExt as _};
use gateway::{Host, InProcess, Reattaching, logging};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use http_body_util::{BodyExt as _, Full};
use serde::Serialize;
use tokio::sync::mpsc;
use tower::ServiceExt as _;

/// Frames of the live stream, each as JSON.
pub(crate) type Frames = Pin<Box<dyn Stream<Item = String> + Send>>;

/// A request of the window's.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// The method.
    pub(crate) method: String,
    /// The path with its query, below `/api/v1/`.
    pub(crate) path: String,
    /// Headers the API knows, such as `Idempotency-Key`.
    pub(crate) headers: HashMap<String, String>,
    /// The body, JSON.
    pub(crate) body: Option<String>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Reply {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The headers.
    pub(crate) headers: HashMap<String, String>,
    /// The body; everything the API sends is text.
    pub(crate) body: String,
}

/// A request that got no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The window may call the API and nothing else.
    #[error("call '{0}': the window may call the API only")]
    NotApi(String),
    /// The request cannot be put into words.
    #[error("write the request")]
    Request(#[from] http::Error),
    /// The answer broke off.
    #[error("read the answer")]
    Answer(#[from] axum::Error),
    /// The other engine does not answer.
    #[error(transparent)]
    Client(#[from] gateway::ClientError),
}

/// The engine behind the window.
pub(crate) enum Backend {
    /// This program's own.
    Own {
        /// The engine.
        engine: Engine,
        /// What makes it reachable.
        host: Host,
        /// Keeps the log file open.
        _log: Option<logging::Guard>,
    },
    /// One that already runs for the workspace, and whichever runs for it after that.
    Other(Reattaching),
}

impl Backend {
    /// Passes a request to the router, in process or over loopback.
    pub(crate) async fn call(&self, call: Call) -> Result<Reply, CallError> {
        if !call.path.starts_with("/api/v1/") {
            return Err(CallError::NotApi(call.path));
        }
        let method = Method::from_bytes(call.method.as_bytes()).map_err(http::Error::from)?;
        let headers = headers(&call.headers);
        match self {
            Self::Own { host, .. } => own(host, method, &call.path, headers, call.body).await,
            Self::Other(client) => {
                let body = call.body.map(String::into_bytes);
                let answer = client.request_with(method, &call.path, &headers, body).await?;
                Ok(reply(answer.status, &answer.headers, &answer.body))
            }
        }
    }

    /// Listens to the live stream; wishes change what is listened to.
    pub(crate) async fn live(
        &self,
        from: LiveFrom,
        wishes: mpsc::Receiver<Wish>,
    ) -> Result<Frames, CallError> {
        match self {
            Self::Own { engine, .. } => {
                Ok(engine.live(from, wishes).map(|frame| frame.json.to_string()).boxed())
            }
            Self::Other(client) => Ok(client.converse(&from, wishes).await?.boxed()),
        }
    }

    /// Ends what this program started.
    pub(crate) async fn close(&self) {
        if let Self::Own { engine, host, .. } = self {
            host.close().await;
            engine.shutdown().await;
        }
    }
}

async fn own(
    host: &Host,
    method: Method,
    path: &str,
    headers: HeaderMap,
    body: Option<String>,
) -> Result<Reply, CallError> {
    let has_body = body.is_some();
    let body = axum::body::Body::new(Full::from(body.unwrap_or_default()));
    let mut request = Request::builder().method(method).uri(path).body(body)?;
    *request.headers_mut() = headers;
    if has_body {
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(http::header::CONTENT_TYPE, json);
    }
    request.extensions_mut().insert(InProcess);
    let response = match host.router().clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await?.to_bytes();
    Ok(reply(parts.status, &parts.headers, &bytes))
}

fn headers(pairs: &HashMap<String, String>) -> HeaderMap {
    let read = |(name, value): (&String, &String)| {
        Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
    };
    pairs.iter().filter_map(read).collect()
}

fn reply(status: http::StatusCode, headers: &HeaderMap, body: &[u8]) -> Reply {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    Reply {
        status: status.as_u16(),
        headers: headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body: String::from_utf8_lossy(body).into_owned(),
    }
}

/// The backend, shared between the window's commands.
pub(crate) type SharedBackend = Arc<Backend>;
