//! OTLP over HTTP: figures that agents export, at `/v1/metrics`, `/v1/logs` and `/v1/traces`.
//!
//! Invariant: what is not a name or a number of the table is dropped while it is read. Both the body
//! and what comes out of its compression are bounded, and reading either makes nothing larger.

mod gather;
mod json;
mod proto;

use std::io::Read as _;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use engine::{Exported, Speaker, Taken};
use flate2::read::MultiGzDecoder;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use model::refusal::Code;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use crate::Gate;
use crate::call;
use crate::measure::{Measure, TooMuch};
use crate::problem::Problem;

/// The largest body, in bytes.
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The most bytes that come out of a compressed body.
const UNPACKED_BYTES_MAX: usize = 20 * 1024 * 1024;
/// How much may come in at once, in KiB.
const COMING_KIB_MAX: usize = 32 * 1024;
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
    coming: Semaphore,
    reading: Semaphore,
    measure: Arc<Measure>,
}

/// The routes of the receivers.
pub(crate) fn routes() -> Router<Gate> {
    let places = Arc::new(Places {
        coming: Semaphore::new(COMING_KIB_MAX),
        reading: Semaphore::new(READING_MAX),
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
    let packed = is_packed(&parts.headers)?;
    let busy = || {
        let message = "too many exports are being read; nothing was taken";
        Problem::busy(message).retry_after(RETRY_AFTER_S)
    };
    let _coming = places.coming.try_acquire_many(kib(&parts.headers)).map_err(|_| busy())?;
    let bytes = call::read_bytes(&parts.headers, body, BODY_BYTES_MAX).await?;
    let reading = places.reading.acquire().await.map_err(|_| busy())?;
    let read = tokio::task::spawn_blocking(move || read(signal, json, packed, bytes)).await;
    let exported = match read {
        Ok(Ok(exported)) => exported,
        Ok(Err(unreadable)) => return Err(refused(&unreadable)),
        Err(err) => {
            let message = format!("the body could not be read: {err}");
            return Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, message));
        }
    };
    drop(reading);
    let taken = gate.engine.take_telemetry(speaker, exported).await?;
    Ok(answer(json, signal, taken))
}

/// How much room a body takes, in KiB; as much as any where it does not say.
fn kib(headers: &HeaderMap) -> u32 {
    let said = headers.get(header::CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse().ok());
    let bytes = said.unwrap_or(BODY_BYTES_MAX).min(BODY_BYTES_MAX);
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
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

fn is_packed(headers: &HeaderMap) -> Result<bool, Problem> {
    let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
    let value = values.next().map(HeaderValue::as_bytes).unwrap_or_default();
    let is = |name: &str| value.eq_ignore_ascii_case(name.as_bytes());
    if values.next().is_none() {
        if value.is_empty() || is("identity") {
            return Ok(false);
        }
        if is("gzip") {
            return Ok(true);
        }
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Code::InvalidInput,
        "the body may be compressed with gzip only",
    ))
}

/// Reads a body as it came.
fn read(
    signal: Signal,
    json: bool,
    packed: bool,
    bytes: Vec<u8>,
) -> Result<Vec<Exported>, Unreadable> {
    let bytes = if packed { unpack(&bytes)? } else { bytes };
    let mut exported = if json { json::read(signal, &bytes) } else { proto::read(signal, &bytes) }?;
    // Every point has its time, so that only the same export has the same bytes.
    let body = gather::short(Sha256::new_with_prefix(&bytes));
    for export in &mut exported {
        export.batch = Some(body);
    }
    Ok(exported)
}

fn unpack(packed: &[u8]) -> Result<Vec<u8>, Unreadable> {
    let mut bytes = Vec::new();
    let most = UNPACKED_BYTES_MAX as u64 + 1;
    MultiGzDecoder::new(packed).take(most).read_to_end(&mut bytes).map_err(Unreadable::Packed)?;
    if bytes.len() > UNPACKED_BYTES_MAX { Err(Unreadable::Bomb) } else { Ok(bytes) }
}

/// The answer of the standard: empty, or how much could not be put onto anybody.
fn answer(json: bool, signal: Signal, taken: Taken) -> Response {
    const WHY: &str = "no attempt under way is named by 'hivekeeper.attempt.id'";
    let what = match signal {
        Signal::Metrics => "rejectedDataPoints",
        Signal::Logs => "rejectedLogRecords",
        Signal::Traces => "rejectedSpans",
    };
    let strangers = taken.strangers;
    if json {
        let body = match strangers {
            0 => serde_json::json!({}),
            // 64-bit numbers are text in the standard's JSON.
            _ => serde_json::json!({
                "partialSuccess": { what: strangers.to_string(), "errorMessage": WHY }
            }),
        };
        return axum::Json(body).into_response();
    }
    let body = if strangers == 0 { Vec::new() } else { proto::partial_success(strangers, WHY) };
    let mut response = body.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROTOBUF));
    response
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn pack(bytes: &[u8]) -> Vec<u8> {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    }

    #[test]
    fn what_becomes_too_large_when_it_is_decompressed_is_refused() {
        let bomb = pack(&vec![b' '; UNPACKED_BYTES_MAX + 1]);
        assert!(bomb.len() < 256 * 1024);
        assert!(matches!(unpack(&bomb), Err(Unreadable::Bomb)));
        // One after the other in one body.
        let half = pack(&vec![b' '; UNPACKED_BYTES_MAX / 2 + 1]);
        assert!(matches!(unpack(&[half.clone(), half.clone()].concat()), Err(Unreadable::Bomb)));
        assert!(unpack(&half).is_ok());
        assert!(unpack(&bomb[..bomb.len() / 2]).is_err(), "cut off");
        assert!(matches!(unpack(b"no gzip"), Err(Unreadable::Packed(_))));
    }

    #[test]
    fn a_body_that_does_not_say_how_large_it_is_takes_as_much_room_as_any() {
        let of = |length: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(length) = length {
                headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static(length));
            }
            kib(&headers)
        };
        assert_eq!((of(Some("0")), of(Some("1")), of(Some("2048"))), (0, 1, 2));
        assert_eq!((of(None), of(Some("x")), of(Some("99999999"))), (8192, 8192, 8192));
    }

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
        let packed = |value| is_packed(&headers(&[(header::CONTENT_ENCODING, value)])).ok();
        assert_eq!(packed("GZIP"), Some(true));
        assert_eq!(packed("identity"), Some(false));
        assert_eq!(packed("deflate"), None);
        assert_eq!(packed("gzip, gzip"), None);
    }

    #[test]
    fn the_answer_says_what_could_not_be_put_onto_anybody() {
        let taken = Taken { taken: 1, strangers: 300 };
        let body = proto::partial_success(taken.strangers, "why");
        use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
        let read: ExportMetricsServiceResponse = prost::Message::decode(body.as_slice()).unwrap();
        let partial = read.partial_success.unwrap();
        assert_eq!((partial.rejected_data_points, partial.error_message.as_str()), (300, "why"));
    }

    proptest! {
        #[test]
        fn no_body_panics(bytes: Vec<u8>, json: bool, packed: bool) {
            for signal in [Signal::Metrics, Signal::Logs, Signal::Traces] {
                let _ = read(signal, json, packed, bytes.clone());
                let _ = read(signal, json, true, pack(&bytes));
            }
        }
    }
}
