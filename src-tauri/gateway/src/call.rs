//! What is asked of the engine: who asks, under which key, and the body, read within limits.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use engine::view::{
    Ask, Assign, AttachedAsk, AttachedBeat, AttachedEvidence, AttachedFinish, AttachedInbox,
    AttachedProgress, AttachedUsage, CiResult, CleanRequest, CloseTopic, EditAgent, EditCheck,
    EditHook, EditMission, HaltRequest, ImportConfig, ImportRequest, NewAgent, NewAttached,
    NewBroadcast, NewCheck, NewCheckpoint, NewHook, NewMaintenance, NewMessage, NewMission,
    NewProgress, NewReport, NewRule, NewToken, NewTopic, NewVote, RequestAnswer, RollBack,
    ScanRequest, SecretValue, TerminalInput,
};
use engine::{Bearer, Caller};
use http::uri::PathAndQuery;
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use model::event::Actor;
use model::id::{CorrelationId, SystemDraw};
use model::policy::Policy;
use model::process::TerminalSize;
use model::refusal::Code;
use model::settings::{Settings, Template};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::Gate;
use crate::again::{Slot, Stop};
use crate::logging::NewLevel;
use crate::problem::Problem;

/// How long a body may pause, so that a slow sender does not hold a connection.
const BODY_IDLE: Duration = Duration::from_secs(10);
/// The largest body, in bytes, unless its kind says otherwise.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// The largest body with a mission: a brief of 1 MiB may be written in up to six times as many
/// bytes of JSON.
const MISSION_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The largest body with a document to import: 5 MiB of text, written as JSON.
const IMPORT_BYTES_MAX: usize = 12 * 1024 * 1024;
/// How deep JSON may be nested: what the reader takes.
const JSON_DEPTH_MAX: usize = 128;
/// The longest idempotency key, in characters.
const KEY_CHARS_MAX: usize = 200;
/// The header that carries the idempotency key.
pub(crate) const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// A body that a request may carry.
pub(crate) trait Input: Sized + Send {
    /// The most bytes it may have.
    const BYTES_MAX: usize = BODY_BYTES_MAX;
    /// Reads it.
    fn read(body: &[u8]) -> Result<Self, Problem>;
}

/// No body at all.
#[derive(Debug)]
pub(crate) struct Nothing;

/// A command line to look at.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CommandLine {
    /// The command line, quoted as in a shell.
    pub(crate) command: String,
    /// Where it would be started.
    #[serde(default)]
    pub(crate) directory: Option<String>,
}

/// What a browser signs in with.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoginCode {
    /// The one-time code of the login link.
    pub(crate) code: String,
}

/// A browser to pair.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPairing {
    /// What it may do.
    pub(crate) role: PairRole,
    /// Its name; a made-up one where none is given.
    #[serde(default)]
    #[schema(example = "phone")]
    pub(crate) name: Option<String>,
}

/// What a paired browser may do.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PairRole {
    /// It sees everything and changes nothing.
    Viewer,
    /// It works with agents and missions.
    Operator,
}

impl Input for Nothing {
    fn read(body: &[u8]) -> Result<Self, Problem> {
        if body.is_empty() {
            return Ok(Self);
        }
        object::<Empty>(body).map(|_| Self)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Empty {}

/// Bodies that must be there.
macro_rules! bodies {
    ($($kind:ty: $bytes_max:expr),* $(,)?) => {
        $(impl Input for $kind {
            const BYTES_MAX: usize = $bytes_max;

            fn read(body: &[u8]) -> Result<Self, Problem> {
                object(body)
            }
        })*
    };
}

bodies! {
    NewAgent: BODY_BYTES_MAX,
    NewAttached: 64 * 1024,
    AttachedProgress: 64 * 1024,
    AttachedEvidence: BODY_BYTES_MAX,
    AttachedUsage: 64 * 1024,
    AttachedInbox: 64 * 1024,
    AttachedFinish: BODY_BYTES_MAX,
    EditAgent: BODY_BYTES_MAX,
    NewMessage: BODY_BYTES_MAX,
    NewBroadcast: BODY_BYTES_MAX,
    RequestAnswer: BODY_BYTES_MAX,
    NewRule: BODY_BYTES_MAX,
    TerminalInput: BODY_BYTES_MAX,
    TerminalSize: 4 * 1024,
    NewMission: MISSION_BYTES_MAX,
    EditMission: MISSION_BYTES_MAX,
    ImportRequest: IMPORT_BYTES_MAX,
    Assign: BODY_BYTES_MAX,
    NewProgress: BODY_BYTES_MAX,
    CiResult: MISSION_BYTES_MAX,
    NewTopic: BODY_BYTES_MAX,
    NewVote: BODY_BYTES_MAX,
    CleanRequest: BODY_BYTES_MAX,
    ScanRequest: BODY_BYTES_MAX,
    Settings: BODY_BYTES_MAX,
    RollBack: 4 * 1024,
    ImportConfig: MISSION_BYTES_MAX,
    NewHook: BODY_BYTES_MAX,
    EditHook: BODY_BYTES_MAX,
    NewCheck: BODY_BYTES_MAX,
    EditCheck: BODY_BYTES_MAX,
    NewMaintenance: 64 * 1024,
    SecretValue: BODY_BYTES_MAX,
    NewLevel: 16 * 1024,
    Policy: BODY_BYTES_MAX,
    Template: MISSION_BYTES_MAX,
    CommandLine: BODY_BYTES_MAX,
    LoginCode: 4 * 1024,
    NewToken: 64 * 1024,
    NewPairing: 4 * 1024,
}

/// Bodies that may be left out.
macro_rules! optional_bodies {
    ($($kind:ty),* $(,)?) => {
        $(impl Input for $kind {
            fn read(body: &[u8]) -> Result<Self, Problem> {
                if body.is_empty() {
                    return Ok(Self::default());
                }
                object(body)
            }
        })*
    };
}

optional_bodies!(Ask, AttachedAsk, AttachedBeat, HaltRequest, CloseTopic, NewCheckpoint, NewReport);

/// Reads an object. A list of its values in their order, which the reader takes as well, is none.
fn object<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let read = json(body)?;
    match body.trim_ascii_start().first() {
        Some(b'{') => Ok(read),
        _ => Err(Problem::invalid("the body is no JSON object")),
    }
}

/// Reads JSON: what is no JSON is a bad request, what does not fit is invalid input.
fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        // The reader itself goes no deeper than 128.
        if error.is_syntax() && error.to_string().starts_with("recursion limit exceeded") {
            let detail = format!("the body is nested more than {JSON_DEPTH_MAX} deep");
            return Problem::new(StatusCode::BAD_REQUEST, Code::InvalidInput, detail);
        }
        let detail = format!("the body cannot be used: {error}");
        if error.is_data() {
            Problem::invalid(detail)
        } else {
            Problem::new(StatusCode::BAD_REQUEST, Code::InvalidInput, detail)
        }
    })
}

/// A request that changes something.
pub(crate) struct Call<T> {
    /// Who asks.
    pub(crate) caller: Caller,
    /// What is asked.
    pub(crate) input: T,
}

impl<T: Input> FromRequest<Gate> for Call<T> {
    type Rejection = Stop;

    async fn from_request(request: Request, gate: &Gate) -> Result<Self, Stop> {
        let (parts, body) = request.into_parts();
        let key = idempotency_key(&parts.headers)?;
        let body = read_body(&parts.headers, body, T::BYTES_MAX).await?;
        let input = T::read(&body)?;
        let now = gate.engine.clock().now();
        let bearer = parts.extensions.get::<Bearer>();
        let key = key.map(|key| own_key(bearer, &key));
        let asked =
            parts.uri.path_and_query().map_or_else(|| parts.uri.path(), PathAndQuery::as_str);
        let fingerprint = fingerprint(parts.method.as_str(), asked, &body);
        if let (Some(key), Some(slot)) = (&key, parts.extensions.get::<Slot>()) {
            gate.answers.pass(slot, bearer.map(|it| it.id), key, fingerprint).await?;
        }
        Ok(Self {
            caller: Caller {
                actor: bearer.map_or(Actor::Captain, Bearer::actor),
                correlation_id: parts
                    .extensions
                    .get::<CorrelationId>()
                    .copied()
                    .unwrap_or_else(|| CorrelationId::draw(now, &mut SystemDraw)),
                key,
                fingerprint,
            },
            input,
        })
    }
}

/// A key as the ledger keeps it: whoever asks has keys of their own, and none that the engine makes.
fn own_key(bearer: Option<&Bearer>, key: &str) -> String {
    match bearer {
        Some(bearer) => format!("token:{}:{key}", bearer.id),
        None => format!("captain:{key}"),
    }
}

/// What tells two requests with the same key apart.
fn fingerprint(method: &str, path: &str, body: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [method.as_bytes(), path.as_bytes()] {
        hash.update(part);
        hash.update([0]);
    }
    hash.update(body);
    hash.finalize().into()
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let key = value.to_str().unwrap_or_default();
    let visible = key.bytes().all(|byte| byte.is_ascii_graphic());
    let fits = (1..=KEY_CHARS_MAX).contains(&key.len()) && visible;
    if !fits || values.next().is_some() {
        return Err(Problem::invalid(format!(
            "the Idempotency-Key must be one value of 1 to {KEY_CHARS_MAX} visible ASCII characters"
        )));
    }
    Ok(Some(key.to_owned()))
}

/// Reads a body of JSON.
async fn read_body(headers: &HeaderMap, body: Body, max: usize) -> Result<Vec<u8>, Problem> {
    let bytes = read_bytes(headers, body, max).await?;
    if !bytes.is_empty() && !is_json(headers) {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Code::InvalidInput,
            "the body must be sent as Content-Type: application/json",
        ));
    }
    Ok(bytes)
}

/// Reads a body of bounded size from a sender that does not pause for too long.
pub(crate) async fn read_bytes(
    headers: &HeaderMap,
    body: Body,
    max: usize,
) -> Result<Vec<u8>, Problem> {
    read_growing(headers, body, max, |_| Ok(())).await
}

/// As [`read_bytes`]; `grows` is asked whether the body may become so many bytes, as they come.
pub(crate) async fn read_growing(
    headers: &HeaderMap,
    mut body: Body,
    max: usize,
    mut grows: impl FnMut(usize) -> Result<(), Problem>,
) -> Result<Vec<u8>, Problem> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok())
        .unwrap_or(0);
    if announced > max as u64 {
        return Err(too_large(max));
    }
    let mut bytes = Vec::new();
    loop {
        let frame = match tokio::time::timeout(BODY_IDLE, body.frame()).await {
            Err(_) => return Err(too_slow()),
            Ok(None) => break,
            Ok(Some(Err(error))) => {
                return Err(Problem::new(
                    StatusCode::BAD_REQUEST,
                    Code::InvalidInput,
                    format!("the body ended early: {error}"),
                ));
            }
            Ok(Some(Ok(frame))) => frame,
        };
        if let Ok(data) = frame.into_data() {
            if bytes.len() + data.len() > max {
                return Err(too_large(max));
            }
            grows(bytes.len() + data.len())?;
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes)
}

pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

pub(crate) fn too_large(max: usize) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        Code::InvalidInput,
        format!("the body is larger than {max} bytes"),
    )
}

pub(crate) fn too_slow() -> Problem {
    Problem::new(
        StatusCode::REQUEST_TIMEOUT,
        Code::InvalidInput,
        format!("the body paused for more than {} s, or took too long", BODY_IDLE.as_secs()),
    )
}

#[cfg(test)]
mod tests {
    use model::id::TokenId;
    use model::token::TokenRole;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_json_is_a_bad_request_and_what_does_not_fit_is_invalid() {
        let check = |body: &str, status: u16| {
            let problem = <NewAgent as Input>::read(body.as_bytes()).unwrap_err();
            assert_eq!(problem.status, status, "{body}");
        };
        check("", 400);
        check("{", 400);
        check("nonsense", 400);
        check("{}", 422);
        check(r#"{"name":"a","colour":"red"}"#, 422);
        check(r#"{"name":7}"#, 422);
        check(&format!("{{\"name\":{}", "[".repeat(200_000)), 422);
        assert!(<NewAgent as Input>::read(br#"{"name":"a"}"#).is_ok());
    }

    #[test]
    fn json_is_read_128_deep_and_no_deeper() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(json::<serde_json::Value>(nested(127).as_bytes()).is_ok());
        for depth in [129, 200_000] {
            let problem = json::<serde_json::Value>(nested(depth).as_bytes()).unwrap_err();
            assert_eq!(problem.status, 400);
            assert!(problem.detail.contains("nested more than 128 deep"), "{}", problem.detail);
        }
    }

    #[test]
    fn a_body_that_may_be_absent_is_still_checked_when_it_is_there() {
        assert!(<Ask as Input>::read(b"").is_ok());
        assert!(<Ask as Input>::read(br#"{"note":"x"}"#).is_ok());
        assert!(<Ask as Input>::read(br#"{"nope":"x"}"#).is_err());
        assert!(<Nothing as Input>::read(b"{}").is_ok());
        assert!(<Nothing as Input>::read(br#"{"a":1}"#).is_err());
        assert!(<Nothing as Input>::read(b" \n{}").is_ok());
        for list in [&b"[]"[..], b" [] "] {
            assert_eq!(<Nothing as Input>::read(list).unwrap_err().status, 422);
            assert_eq!(<Ask as Input>::read(list).unwrap_err().status, 422);
        }
    }

    #[test]
    fn the_fingerprint_tells_method_path_and_body_apart() {
        let base = fingerprint("POST", "/a", b"x");
        assert_eq!(base, fingerprint("POST", "/a", b"x"));
        assert_ne!(base, fingerprint("DELETE", "/a", b"x"));
        assert_ne!(base, fingerprint("POST", "/ax", b""));
        assert_ne!(base, fingerprint("POST", "/a", b"y"));
    }

    #[test]
    fn a_key_belongs_to_whoever_sends_it_and_is_none_that_the_engine_draws() {
        let bearer = |n: u128| Bearer {
            id: TokenId::from_uuid(uuid::Uuid::from_u128(n)),
            name: "a".into(),
            role: TokenRole::Operator,
            scopes: Vec::new(),
            expires_at: None,
        };
        let keys = [None, Some(&bearer(1)), Some(&bearer(2))].map(|who| own_key(who, "mcp:1"));
        let different: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(different.len(), keys.len(), "{keys:?}");
        assert!(!keys.iter().any(|key| key.starts_with("mcp:")), "{keys:?}");
        assert_eq!(own_key(Some(&bearer(1)), "mcp:1"), keys[1]);
    }

    #[test]
    fn an_idempotency_key_is_one_short_ascii_value() {
        let check = |values: &[&'static [u8]], fits: bool| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(IDEMPOTENCY_KEY, http::HeaderValue::from_bytes(value).unwrap());
            }
            assert_eq!(idempotency_key(&headers).is_ok(), fits, "{values:?}");
        };
        check(&[], true);
        check(&[b"0198"], true);
        check(&[b""], false);
        check(&[b"a", b"b"], false);
        check(&[b"\xff"], false);
        check(&[b"a b"], false);
        check(&[&[b'a'; 201]], false);
    }

    #[tokio::test]
    async fn a_body_over_its_limit_is_refused_whether_it_says_so_or_not() {
        let mut said = HeaderMap::new();
        said.insert(header::CONTENT_LENGTH, http::HeaderValue::from(11));
        let problem = read_body(&said, Body::empty(), 10).await.unwrap_err();
        assert_eq!(problem.status, 413);
        let problem =
            read_body(&HeaderMap::new(), Body::from(vec![b'1'; 11]), 10).await.unwrap_err();
        assert_eq!(problem.status, 413);
        let problem = read_body(&HeaderMap::new(), Body::from("1"), 10).await.unwrap_err();
        assert_eq!(problem.status, 415);
    }

    proptest! {
        #[test]
        fn no_body_panics(body: Vec<u8>) {
            let _ = <NewMission as Input>::read(&body);
            let _ = <Ask as Input>::read(&body);
        }
    }
}
