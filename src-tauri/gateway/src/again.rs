//! Requests that come twice under one idempotency key: the second is told what the first was told.
//!
//! What is recorded is known by the ledger under its key, across restarts. The answer itself, word by
//! word, is kept here for as long as this engine runs, whatever was asked: something recorded, something
//! typed, a preview, a link. What was refused is kept nowhere, and is tried again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode, header};
use http_body_util::BodyExt as _;
use model::refusal::{Code, Refusal};
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

use crate::Gate;
use crate::call::IDEMPOTENCY_KEY;
use crate::problem::Problem;

/// How many keys are remembered; the oldest goes first.
const KEYS_MAX: usize = 1024;
/// How many bytes of answers are remembered, likewise.
const BYTES_MAX: usize = 8 * 1024 * 1024;
/// The longest answer that is remembered, in bytes; of a longer one, what was done is known by the
/// ledger.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// How long a key is remembered.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// What is done or told anew each time it is asked for, whatever its key, and why.
pub const ALWAYS_ANEW: &[(Method, &str, &str)] = &[
    (Method::POST, "/api/v1/login", "its code works once, and what it gives is told once"),
    (Method::POST, "/api/v1/logout", "whoever asked is not known any more"),
    (Method::POST, "/api/v1/tokens", "the secret is shown once; the ledger answers without it"),
    (Method::POST, "/api/v1/attached", "the token is shown once; the ledger answers without it"),
    (Method::POST, "/api/v1/attached/heartbeat", "it says that the agent is there now"),
    (Method::POST, "/api/v1/attached/lease", "whoever has a lease gets the same one again"),
    (Method::POST, "/api/v1/swarm/halt", "an emergency stop is obeyed each time"),
    (
        Method::PUT,
        "/api/v1/secrets/{name}",
        "what tells requests apart would be a hash of the secret",
    ),
];

/// An answer.
#[derive(Clone)]
struct Told {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl IntoResponse for Told {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

/// An answer, once it is there. Whoever comes with the same key meanwhile waits for it.
type Place = Arc<tokio::sync::Mutex<Option<Told>>>;

/// Answers by key.
#[derive(Default)]
pub(crate) struct Answers(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    by_key: HashMap<String, Entry>,
    /// Keys with the time they came, the oldest first.
    came: VecDeque<(Instant, String)>,
    bytes: usize,
}

struct Entry {
    fingerprint: [u8; 32],
    place: Place,
    bytes: usize,
}

impl Kept {
    fn forget_oldest(&mut self) {
        let oldest = self.came.pop_front().and_then(|(_, key)| self.by_key.remove(&key));
        self.bytes -= oldest.map_or(0, |entry| entry.bytes);
    }
}

/// The turn of a request: it is the first under its key, and others wait for what it is told.
struct Turn {
    key: String,
    place: OwnedMutexGuard<Option<Told>>,
}

/// Where the turn of a request is put until its answer is there.
#[derive(Clone, Default)]
pub(crate) struct Slot(Arc<Mutex<Option<Turn>>>);

/// Why a request goes no further.
pub(crate) enum Stop {
    /// It is refused.
    Refused(Problem),
    /// It was answered before.
    Told(Box<Response>),
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem)
    }
}

impl IntoResponse for Stop {
    fn into_response(self) -> Response {
        match self {
            Self::Refused(problem) => problem.into_response(),
            Self::Told(response) => *response,
        }
    }
}

impl std::fmt::Debug for Answers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answers").finish_non_exhaustive()
    }
}

impl Answers {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a request pass that is the first under its key, and stops every other.
    pub(crate) async fn pass(
        &self,
        slot: &Slot,
        key: &str,
        fingerprint: [u8; 32],
    ) -> Result<(), Stop> {
        let place = self.place(key, fingerprint)?.lock_owned().await;
        if let Some(told) = place.as_ref() {
            return Err(Stop::Told(Box::new(told.clone().into_response())));
        }
        let turn = Turn { key: key.to_owned(), place };
        *slot.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(turn);
        Ok(())
    }

    fn place(&self, key: &str, fingerprint: [u8; 32]) -> Result<Place, Problem> {
        let mut kept = self.kept();
        let now = Instant::now();
        while kept.came.front().is_some_and(|(came, _)| {
            kept.came.len() >= KEYS_MAX || now.duration_since(*came) > KEPT
        }) {
            kept.forget_oldest();
        }
        if let Some(known) = kept.by_key.get(key) {
            if known.fingerprint == fingerprint {
                return Ok(Arc::clone(&known.place));
            }
            return Err(Refusal::new(
                Code::IdempotencyMismatch,
                "this idempotency key was used before for another request; nothing was changed",
            )
            .hint("use a new key for a new request")
            .into());
        }
        let place = Place::default();
        let entry = Entry { fingerprint, place: Arc::clone(&place), bytes: 0 };
        kept.by_key.insert(key.to_owned(), entry);
        kept.came.push_back((now, key.to_owned()));
        Ok(place)
    }

    /// Keeps an answer for whoever comes with the same key, unless it is a refusal or too long.
    async fn keep(&self, mut turn: Turn, response: Response) -> Response {
        let size = response.body().size_hint().exact().and_then(|size| usize::try_from(size).ok());
        let fits = size.is_some_and(|size| size <= ANSWER_BYTES_MAX);
        if !response.status().is_success() || !fits {
            return response;
        }
        let (parts, body) = response.into_parts();
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => {
                let detail = format!("the answer broke off: {error}");
                let code = StatusCode::INTERNAL_SERVER_ERROR;
                return Problem::new(code, Code::Internal, detail).into_response();
            }
        };
        let mut headers = parts.headers.clone();
        headers.remove(header::SET_COOKIE);
        let told = Told { status: parts.status, headers, body: body.clone() };
        *turn.place = Some(told);
        let mut kept = self.kept();
        if let Some(entry) = kept.by_key.get_mut(&turn.key) {
            // It may have been forgotten meanwhile, and begun anew.
            if Arc::ptr_eq(&entry.place, OwnedMutexGuard::mutex(&turn.place)) {
                entry.bytes = body.len();
                kept.bytes += body.len();
            }
        }
        while kept.bytes > BYTES_MAX {
            kept.forget_oldest();
        }
        Response::from_parts(parts, Body::from(body))
    }
}

/// Has what is told once told again to whoever asks again under the same key.
pub(crate) async fn told_again(
    State(gate): State<Gate>,
    mut request: Request,
    next: Next,
) -> Response {
    if !request.headers().contains_key(IDEMPOTENCY_KEY) || is_always_anew(&request) {
        return next.run(request).await;
    }
    let slot = Slot::default();
    request.extensions_mut().insert(slot.clone());
    let response = next.run(request).await;
    let turn = slot.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    match turn {
        Some(turn) => gate.answers.keep(turn, response).await,
        None => response,
    }
}

fn is_always_anew(request: &Request) -> bool {
    let Some(path) = request.extensions().get::<MatchedPath>() else {
        return true;
    };
    ALWAYS_ANEW
        .iter()
        .any(|(method, always, _)| method == request.method() && *always == path.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks under a key; what is answered is the number, as long as a text may be.
    async fn ask(answers: &Answers, key: &str, what: u8, answer: Response) -> (u16, String) {
        let slot = Slot::default();
        let response = match answers.pass(&slot, key, [what; 32]).await {
            Err(stop) => stop.into_response(),
            Ok(()) => {
                tokio::task::yield_now().await;
                let turn = slot.0.lock().unwrap().take().unwrap();
                answers.keep(turn, answer).await
            }
        };
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    fn text(text: &str) -> Response {
        (StatusCode::CREATED, text.to_owned()).into_response()
    }

    #[tokio::test]
    async fn the_same_request_under_one_key_is_told_the_same_and_another_is_refused() {
        let answers = Answers::default();
        let told = async |key, what, answer| ask(&answers, key, what, text(answer)).await;
        let first = (201, "one".to_owned());
        assert_eq!(told("a", 1, "one").await, first);
        assert_eq!(told("a", 1, "two").await, first);
        let (status, problem) = told("a", 2, "three").await;
        assert!(status == 409 && problem.contains("idempotency_mismatch"), "{problem}");
        let (one, other) = tokio::join!(told("b", 1, "one"), told("b", 1, "other"));
        assert_eq!((one, other), (first.clone(), first), "at the same time");
    }

    #[tokio::test]
    async fn what_was_refused_broke_off_or_is_too_long_is_tried_again() {
        let answers = Answers::default();
        let refused = Problem::busy("not now").into_response();
        assert_eq!(ask(&answers, "a", 1, refused).await.0, 429);
        assert_eq!(ask(&answers, "a", 1, text("7")).await, (201, "7".to_owned()));
        let slot = Slot::default();
        assert!(answers.pass(&slot, "b", [1; 32]).await.is_ok());
        drop(slot);
        assert_eq!(ask(&answers, "b", 1, text("8")).await.1, "8");
        let long = "x".repeat(ANSWER_BYTES_MAX + 1);
        assert_eq!(ask(&answers, "c", 1, text(&long)).await.1.len(), long.len());
        assert_eq!(ask(&answers, "c", 1, text("9")).await.1, "9");
    }

    #[tokio::test]
    async fn old_keys_and_long_answers_are_forgotten() {
        let answers = Answers::default();
        let long = "x".repeat(ANSWER_BYTES_MAX);
        for n in 0..2 * KEYS_MAX {
            let answer = text(if n % 8 == 0 { &long } else { "short" });
            ask(&answers, &n.to_string(), 1, answer).await;
            let kept = answers.kept();
            assert!(kept.by_key.len() <= KEYS_MAX && kept.bytes <= BYTES_MAX);
            let sum: usize = kept.by_key.values().map(|entry| entry.bytes).sum();
            assert_eq!((sum, kept.came.len()), (kept.bytes, kept.by_key.len()));
        }
    }
}
