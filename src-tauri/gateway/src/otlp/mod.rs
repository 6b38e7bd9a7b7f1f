//! OTLP over HTTP: figures that agents export, at `/v1/metrics`, `/v1/logs` and `/v1/traces`.
//!
//! Invariant: what is not a name or a number of the table is dropped while it is read. Both the body
//! and what comes out of its compression are bounded, and reading either makes nothing larger.

mod gather;
mod json;
mod packed;
mod proto;
mod room;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use engine::{Exported, Speaker, Taken};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use model::refusal::Code;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use crate::Gate;
use crate::call;
use crate::measure::{Measure, TooMuch};
use crate::problem::Problem;

use packed::{Packing, UNPACKED_BYTES_MAX};
use room::{Full, Room};

/// The largest body, in bytes.
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The most bodies that are decompressed and read at once.
const READING_MAX: usize = 2;
/// When to come again where too many are read already, in seconds.
const RETRY_AFTER_S: u32 = 2;
/// The media type of protobuf.
const PROTOBUF: &str = "application/x-protobuf";

/// What is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signal {
    Metrics,
    Logs,
    Traces,
}

/// Why a body says nothing.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    /// It is no such message.
    #[error("the body is no OTLP in protobuf: {0}")]
    Proto(&'static str),
    /// It is no such JSON.
    #[error("the body is no OTLP in JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// It holds more than is read at once.
    #[error("the body holds more than {0}")]
    TooMuch(&'static str),
    /// Its compression is damaged.
    #[error("the body cannot be decompressed: {0}")]
    Packed(std::io::Error),
    /// It becomes too large.
    #[error("the body becomes larger than {UNPACKED_BYTES_MAX} bytes when it is decompressed")]
    Bomb,
}

/// How much there may be at once.
#[derive(Debug)]
struct Places {
    room: Arc<Room>,
    reading: Arc<Semaphore>,
    measure: Arc<Measure>,
}

/// The routes of the receivers.
pub(crate) fn routes() -> Router<Gate> {
    let places = Arc::new(Places {
        room: Arc::default(),
        reading: Arc::new(Semaphore::new(READING_MAX)),
        measure: Arc::default(),
    });
    let route = |signal: Signal| {
        let places = Arc::clone(&places);
        post(move |State(gate): State<Gate>, request: Request| async move {
            receive(&gate, &places, signal, request).await.unwrap_or_else(Problem::into_response)
        })
    };
    Router::new()
        .route("/v1/metrics", route(Signal::Metrics))
        .route("/v1/logs", route(Signal::Logs))
        .route("/v1/traces", route(Signal::Traces))
}

async fn receive(
    gate: &Gate,
    places: &Places,
    signal: Signal,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let speaker = parts.extensions.get::<Speaker>();
    let place = speaker.map(|speaker| places.measure.enter(speaker.attempt())).transpose();
    let _place = place.map_err(|TooMuch(wait_s)| {
        let message = "this attempt exports too often; nothing was taken";
        Problem::busy(message).retry_after(wait_s)
    })?;
    let json = is_json(&parts.headers)?;
    let packed = packed::packing(&parts.headers)?;
    let mut share = places.room.share(speaker.map(Speaker::attempt));
    let grows = |bytes: usize| share.grow_to(bytes).map_err(busy);
    let bytes = call::read_growing(&parts.headers, body, BODY_BYTES_MAX, grows).await?;
    let reading = Arc::clone(&places.reading).acquire_owned().await;
    let reading = reading.map_err(|_| busy(Full::ForAll))?;
    // Both stay taken until it is really over, also where nobody waits for the answer any more.
    let work = move || {
        let _taken = (reading, share);
        read(signal, json, packed, bytes)
    };
    let exported = match tokio::task::spawn_blocking(work).await {
        Ok(Ok(exported)) => exported,
        Ok(Err(unreadable)) => return Err(refused(&unreadable)),
        Err(err) => {
            let message = format!("the body could not be read: {err}");
            return Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, message));
        }
    };
    let taken = gate.engine.take_telemetry(speaker, exported).await?;
    Ok(answer(json, signal, taken))
}

/// Why a body is not read to its end.
fn busy(full: Full) -> Problem {
    Problem::busy(match full {
        Full::ForAll => "too many exports are being read; nothing was taken",
        Full::ForOne => "this attempt sends too many exports at once; nothing was taken",
    })
    .retry_after(RETRY_AFTER_S)
}

fn refused(unreadable: &Unreadable) -> Problem {
    let status = match unreadable {
        Unreadable::Bomb | Unreadable::TooMuch(_) => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::BAD_REQUEST,
    };
    Problem::new(status, Code::InvalidInput, unreadable.to_string())
}

fn is_json(headers: &HeaderMap) -> Result<bool, Problem> {
    if call::is_json(headers) {
        return Ok(true);
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).map(str::trim).unwrap_or_default();
    if kind.eq_ignore_ascii_case(PROTOBUF) || kind.eq_ignore_ascii_case("application/protobuf") {
        return Ok(false);
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Code::InvalidInput,
        format!("the body must be sent as Content-Type: application/json or {PROTOBUF}"),
    ))
}

/// Reads a body as it came.
fn read(
    signal: Signal,
    json: bool,
    packed: Packing,
    bytes: Vec<u8>,
) -> Result<Vec<Exported>, Unreadable> {
    let bytes = packed.unpack(bytes)?;
    let mut exported = if json { json::read(signal, &bytes) } else { proto::read(signal, &bytes) }?;
    // Every point has its time, so that only the same export has the same bytes.
    let body = gather::short(Sha256::new_with_prefix(&bytes));
    for export in &mut exported {
        export.batch = Some(body);
    }
    Ok(exported)
}

/// The answer of the standard: empty, or how much could not be put onto anybody.
fn answer(json: bool, signal: Signal, taken: Taken) -> Response {
    let what = match signal {
        Signal::Metrics => "rejectedDataPoints",
        Signal::Logs => "rejectedLogRecords",
        Signal::Traces => "rejectedSpans",
    };
    let rejected = rejected(taken);
    if json {
        let body = match rejected {
            None => serde_json::json!({}),
            // 64-bit numbers are text in the standard's JSON.
            Some((count, why)) => serde_json::json!({
                "partialSuccess": { what: count.to_string(), "errorMessage": why }
            }),
        };
        return axum::Json(body).into_response();
    }
    let body = rejected.map(|(count, why)| proto::partial_success(count, why)).unwrap_or_default();
    let mut response = body.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROTOBUF));
    response
}

/// How much was not taken, and why; nothing where all was.
const fn rejected(taken: Taken) -> Option<(u64, &'static str)> {
    const STRANGERS: &str = "no attempt under way is named by 'hivekeeper.attempt.id'";
    const OVER_CAP: &str = "there are more series than are kept apart for one attempt";
    const BOTH: &str = "no attempt under way is named by 'hivekeeper.attempt.id', and there are more \
        series than are kept apart for one attempt";
    Some(match (taken.strangers, taken.over_cap) {
        (0, 0) => return None,
        (strangers, 0) => (strangers, STRANGERS),
        (0, over_cap) => (over_cap, OVER_CAP),
        (strangers, over_cap) => (strangers.saturating_add(over_cap), BOTH),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_can_be_read_is_taken() {
        let headers = |pairs: &[(http::HeaderName, &'static str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in pairs {
                map.append(name.clone(), HeaderValue::from_static(value));
            }
            map
        };
        let kind = |value| is_json(&headers(&[(header::CONTENT_TYPE, value)])).ok();
        assert_eq!(kind("application/json; charset=utf-8"), Some(true));
        assert_eq!(kind("application/x-protobuf"), Some(false));
        assert_eq!(kind("text/plain"), None);
        let packed = |value| packed::packing(&headers(&[(header::CONTENT_ENCODING, value)])).ok();
        assert_eq!(packed("GZIP"), Some(Packing::Gzip));
        assert_eq!(packed("zstd"), Some(Packing::Zstd));
        assert_eq!(packed("identity"), Some(Packing::Not));
        assert_eq!(packed("deflate"), None);
        assert_eq!(packed("gzip, gzip"), None);
    }

    #[test]
    fn the_answer_says_what_could_not_be_put_onto_anybody() {
        let taken = Taken { taken: 1, strangers: 200, over_cap: 100 };
        let (rejected, _) = rejected(taken).unwrap();
        let body = proto::partial_success(rejected, "why");
        use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
        let read: ExportMetricsServiceResponse = prost::Message::decode(body.as_slice()).unwrap();
        let partial = read.partial_success.unwrap();
        assert_eq!((partial.rejected_data_points, partial.error_message.as_str()), (300, "why"));
    }

    proptest! {
        #[test]
        fn no_body_panics(bytes: Vec<u8>, json: bool) {
            for signal in [Signal::Metrics, Signal::Logs, Signal::Traces] {
                for packing in [Packing::Not, Packing::Gzip, Packing::Zstd] {
                    let _ = read(signal, json, packing, bytes.clone());
                    let _ = read(signal, json, packing, packing.pack(&bytes));
                }
            }
        }
    }
}
