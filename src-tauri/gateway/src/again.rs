//! Requests that come twice under one idempotency key: the second is told what the first was told.
//!
//! What is recorded is known by the ledger under its key, across restarts. The answer itself, word by
//! word, is kept here for as long as this engine runs, whatever was asked: something recorded, something
//! typed, a preview, a link. What was refused is kept nowhere: it is tried again, and its key is free for
//! a request that is put right.
//!
//! Invariant: what is under way is not forgotten, and nobody's keys are forgotten because somebody else
//! uses many. Each token has room for its own, the captain beside all of them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode, header};
use http_body_util::BodyExt as _;
use model::id::TokenId;
use model::refusal::{Code, Refusal};
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

use crate::Gate;
use crate::call::IDEMPOTENCY_KEY;
use crate::problem::Problem;

/// What is remembered of the captain; the oldest goes first.
const CAPTAIN: Sum = Sum { keys: 1_024, bytes: 4 * 1024 * 1024 };
/// What is remembered of one token.
const TOKEN: Sum = Sum { keys: 256, bytes: 512 * 1024 };
/// What is remembered of all tokens together.
const TOKENS: Sum = Sum { keys: 4_096, bytes: 4 * 1024 * 1024 };
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

/// Keys, and the bytes of what was told under them.
#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    keys: usize,
    bytes: usize,
}

/// Who asks: the captain, or whoever holds a token.
type Who = Option<TokenId>;

/// Answers by key.
#[derive(Default)]
pub(crate) struct Answers(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    by_who: HashMap<Who, Own>,
    /// What is remembered of all tokens together.
    lent: Sum,
}

/// What is remembered of one who asks.
#[derive(Default)]
struct Own {
    by_key: HashMap<String, Entry>,
    /// Keys with the time they came, the oldest first.
    came: VecDeque<(Instant, String)>,
    bytes: usize,
}

struct Entry {
    fingerprint: [u8; 32],
    place: Place,
    bytes: usize,
    /// Whether it was refused, so that nothing was done under this key.
    refused: bool,
}

impl Entry {
    /// Whether nobody has its turn or waits for it.
    fn is_idle(&self) -> bool {
        Arc::strong_count(&self.place) == 1
    }
}

impl Own {
    fn is_over(&self, max: Sum, more: usize, now: Instant) -> bool {
        let is_old = |(came, _): &(Instant, String)| now.duration_since(*came) > KEPT;
        self.by_key.len() + more > max.keys
            || self.bytes > max.bytes
            || self.came.front().is_some_and(is_old)
    }

    /// Forgets the oldest that is not under way; gives how many bytes it had.
    fn forget_oldest(&mut self) -> Option<usize> {
        let is_idle =
            |(_, key): &(Instant, String)| self.by_key.get(key).is_none_or(Entry::is_idle);
        let at = self.came.iter().position(is_idle)?;
        let (_, key) = self.came.remove(at)?;
        let bytes = self.by_key.remove(&key).map_or(0, |entry| entry.bytes);
        self.bytes -= bytes;
        Some(bytes)
    }
}

impl Kept {
    fn forget_oldest_of(&mut self, who: Who) -> bool {
        let Some(own) = self.by_who.get_mut(&who) else {
            return false;
        };
        let Some(bytes) = own.forget_oldest() else {
            return false;
        };
        if own.by_key.is_empty() {
            self.by_who.remove(&who);
        }
        if who.is_some() {
            self.lent.keys -= 1;
            self.lent.bytes -= bytes;
        }
        true
    }

    /// Makes room for so many keys more; what is under way stays, however many that are.
    fn make_room(&mut self, who: Who, more: usize, now: Instant) {
        let max = if who.is_none() { CAPTAIN } else { TOKEN };
        while self.by_who.get(&who).is_some_and(|own| own.is_over(max, more, now))
            && self.forget_oldest_of(who)
        {}
        let is_over = |lent: Sum| lent.keys + more > TOKENS.keys || lent.bytes > TOKENS.bytes;
        while who.is_some() && is_over(self.lent) {
            let came = |(who, own): (&Who, &Own)| Some((own.came.front()?.0, (*who)?));
            let oldest = self.by_who.iter().filter_map(came).min();
            if !oldest.is_some_and(|(_, id)| self.forget_oldest_of(Some(id))) {
                return;
            }
        }
    }

    /// The place of a key; nothing where something else was done under it.
    fn place(&mut self, who: Who, key: &str, fingerprint: [u8; 32]) -> Option<Place> {
        let now = Instant::now();
        let own = self.by_who.get(&who);
        if own.is_none_or(|own| !own.by_key.contains_key(key)) {
            self.make_room(who, 1, now);
        }
        let own = self.by_who.entry(who).or_default();
        if let Some(entry) = own.by_key.get_mut(key) {
            if entry.refused && entry.is_idle() {
                entry.fingerprint = fingerprint;
            }
            return (entry.fingerprint == fingerprint).then(|| Arc::clone(&entry.place));
        }
        let place = Place::default();
        let entry = Entry { fingerprint, place: Arc::clone(&place), bytes: 0, refused: false };
        own.by_key.insert(key.to_owned(), entry);
        own.came.push_back((now, key.to_owned()));
        if who.is_some() {
            self.lent.keys += 1;
        }
        Some(place)
    }

    fn entry_of(&mut self, turn: &Turn) -> Option<&mut Entry> {
        self.by_who.get_mut(&turn.who)?.by_key.get_mut(&turn.key)
    }

    /// Counts what was told in a turn.
    fn told(&mut self, turn: &Turn, bytes: usize) {
        let Some(own) = self.by_who.get_mut(&turn.who) else {
            return;
        };
        let Some(entry) = own.by_key.get_mut(&turn.key) else {
            return;
        };
        entry.bytes = bytes;
        own.bytes += bytes;
        if turn.who.is_some() {
            self.lent.bytes += bytes;
        }
        self.make_room(turn.who, 0, Instant::now());
    }
}

/// The turn of a request: it is the first under its key, and others wait for what it is told.
struct Turn {
    who: Who,
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
        who: Option<TokenId>,
        key: &str,
        fingerprint: [u8; 32],
    ) -> Result<(), Stop> {
        let place = self.kept().place(who, key, fingerprint);
        let place = place.ok_or_else(mismatch)?.lock_owned().await;
        if let Some(told) = place.as_ref() {
            return Err(Stop::Told(Box::new(told.clone().into_response())));
        }
        let turn = Turn { who, key: key.to_owned(), place };
        if let Some(entry) = self.kept().entry_of(&turn) {
            entry.refused = false;
        }
        *slot.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(turn);
        Ok(())
    }

    /// Keeps an answer for whoever comes with the same key, unless it is a refusal or too long.
    async fn keep(&self, mut turn: Turn, response: Response) -> Response {
        if response.status().is_client_error()
            && let Some(entry) = self.kept().entry_of(&turn)
        {
            entry.refused = true;
        }
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
        self.kept().told(&turn, body.len());
        Response::from_parts(parts, Body::from(body))
    }
}

fn mismatch() -> Problem {
    Refusal::new(
        Code::IdempotencyMismatch,
        "this idempotency key was used before for another request; nothing was changed",
    )
    .hint("use a new key for a new request")
    .into()
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
    async fn ask_as(
        answers: &Answers,
        who: Who,
        key: &str,
        what: u8,
        answer: Response,
    ) -> (u16, String) {
        let slot = Slot::default();
        let response = match answers.pass(&slot, who, key, [what; 32]).await {
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

    async fn ask(answers: &Answers, key: &str, what: u8, answer: Response) -> (u16, String) {
        ask_as(answers, None, key, what, answer).await
    }

    fn text(text: &str) -> Response {
        (StatusCode::CREATED, text.to_owned()).into_response()
    }

    fn token(n: u128) -> Who {
        Some(TokenId::from_uuid(uuid::Uuid::from_u128(n)))
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
        assert!(answers.pass(&slot, None, "b", [1; 32]).await.is_ok());
        drop(slot);
        assert_eq!(ask(&answers, "b", 1, text("8")).await.1, "8");
        let long = "x".repeat(ANSWER_BYTES_MAX + 1);
        assert_eq!(ask(&answers, "c", 1, text(&long)).await.1.len(), long.len());
        assert_eq!(ask(&answers, "c", 1, text("9")).await.1, "9");
    }

    #[tokio::test]
    async fn the_key_of_a_refused_request_is_free_for_one_that_is_put_right() {
        let answers = Answers::default();
        let refused = || Problem::invalid("no name").into_response();
        assert_eq!(ask(&answers, "a", 1, refused()).await.0, 422);
        assert_eq!(ask(&answers, "a", 2, text("made")).await, (201, "made".to_owned()));
        assert_eq!(ask(&answers, "a", 1, text("other")).await.0, 409, "something was done by now");
        // What came to an end nobody knows may have been done, and so may what was too long to keep.
        let failed = (StatusCode::INTERNAL_SERVER_ERROR, "?").into_response();
        assert_eq!(ask(&answers, "b", 1, failed).await.0, 500);
        assert_eq!(ask(&answers, "b", 2, text("other")).await.0, 409);
        let long = "x".repeat(ANSWER_BYTES_MAX + 1);
        ask(&answers, "c", 1, text(&long)).await;
        assert_eq!(ask(&answers, "c", 2, text("other")).await.0, 409);
    }

    #[tokio::test]
    async fn nobody_pushes_out_the_keys_of_others() {
        let answers = Answers::default();
        ask(&answers, "mine", 1, text("the captain's")).await;
        ask_as(&answers, token(1), "mine", 1, text("of one")).await;
        let long = "x".repeat(64 * 1024);
        for n in 0..4 * TOKENS.keys {
            let answer = text(if n % 8 == 0 { &long } else { "short" });
            ask_as(&answers, token(2), &n.to_string(), 1, answer).await;
        }
        assert_eq!(ask(&answers, "mine", 1, text("anew")).await.1, "the captain's");
        assert_eq!(ask_as(&answers, token(1), "mine", 1, text("anew")).await.1, "of one");
        assert_eq!(answers.kept().by_who.len(), 3);
    }

    #[tokio::test]
    async fn what_is_under_way_is_not_forgotten() {
        let answers = Answers::default();
        let slot = Slot::default();
        assert!(answers.pass(&slot, None, "under way", [1; 32]).await.is_ok());
        for n in 0..2 * CAPTAIN.keys {
            ask(&answers, &n.to_string(), 1, text("short")).await;
        }
        let again = ask(&answers, "under way", 1, text("twice"));
        tokio::pin!(again);
        assert!(futures::poll!(again.as_mut()).is_pending(), "it waits for the first");
        let turn = slot.0.lock().unwrap().take().unwrap();
        answers.keep(turn, text("once")).await;
        assert_eq!(again.await.1, "once");
    }

    #[tokio::test]
    async fn old_keys_and_long_answers_are_forgotten() {
        let answers = Answers::default();
        let long = "x".repeat(ANSWER_BYTES_MAX);
        for n in 0..8 * TOKENS.keys {
            let answer = text(if n % 63 == 0 { &long } else { "short" });
            // Many tokens, and now and then the captain.
            let who = token(n as u128 % 100).filter(|_| n % 4 != 0);
            ask_as(&answers, who, &n.to_string(), 1, answer).await;
        }
        let kept = answers.kept();
        let mut lent = Sum::default();
        for (who, own) in &kept.by_who {
            let max = if who.is_none() { CAPTAIN } else { TOKEN };
            let sum: usize = own.by_key.values().map(|entry| entry.bytes).sum();
            assert_eq!((sum, own.came.len()), (own.bytes, own.by_key.len()));
            assert!(own.by_key.len() <= max.keys && own.bytes <= max.bytes);
            if who.is_some() {
                lent.keys += own.by_key.len();
                lent.bytes += own.bytes;
            }
        }
        assert_eq!((lent.keys, lent.bytes), (kept.lent.keys, kept.lent.bytes));
        assert!(lent.keys <= TOKENS.keys && lent.bytes <= TOKENS.bytes);
    }
}
