//! Problem details (RFC 9457): how every refusal of the API looks.

use std::num::NonZeroU32;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use model::refusal::{Code, Refusal};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";
/// How long a caller waits after a full queue, in seconds.
const RETRY_AFTER_S: u32 = 1;

/// Why a request was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// A name for this kind of problem.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    pub kind: Box<str>,
    /// The kind of problem in a few words.
    #[schema(value_type = String)]
    pub title: Box<str>,
    /// The HTTP status.
    pub status: u16,
    /// What happened, in words a person reads.
    #[schema(value_type = String)]
    pub detail: Box<str>,
    /// What programs act on.
    pub code: Code,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub hint: Option<Box<str>>,
    /// What would have been accepted instead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed: Vec<String>,
    /// The character of what was sent that is at fault, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u32>,
    #[serde(skip)]
    retry_after_s: Option<NonZeroU32>,
    #[serde(skip)]
    allow: Option<Box<str>>,
    #[serde(skip)]
    closes: bool,
}

impl Problem {
    /// A problem with a status of its own.
    pub fn new(status: StatusCode, code: Code, detail: impl Into<Box<str>>) -> Self {
        Self {
            kind: format!("urn:hivekeeper:problem:{}", code.as_str()).into(),
            title: title(code).into(),
            status: status.as_u16(),
            detail: detail.into(),
            code,
            hint: None,
            allowed: Vec::new(),
            position: None,
            retry_after_s: None,
            allow: None,
            closes: false,
        }
    }

    /// What was sent cannot be understood or is out of bounds.
    pub(crate) fn invalid(detail: impl Into<Box<str>>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, Code::InvalidInput, detail)
    }

    /// The caller did not prove who it is.
    pub(crate) fn unauthorized(detail: impl Into<Box<str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, Code::Unauthorized, detail)
    }

    /// The caller may not do this.
    pub(crate) fn forbidden(detail: impl Into<Box<str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, Code::Forbidden, detail)
    }

    /// Too much is asked at once.
    pub(crate) fn busy(detail: impl Into<Box<str>>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, Code::Busy, detail)
    }

    /// There is nothing at this path.
    pub(crate) fn no_such_path(path: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, Code::NotFound, format!("there is nothing at '{path}'"))
            .hint("GET /api/v1/openapi.json lists every path")
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Box<str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds after how many seconds to try again.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = NonZeroU32::new(seconds);
        self
    }

    /// Ends the connection with this answer: what else was sent on it is not looked at.
    #[must_use]
    pub(crate) fn closing(mut self) -> Self {
        self.closes = true;
        self
    }

    /// Adds the methods a path takes.
    #[must_use]
    pub(crate) fn allow(mut self, methods: &str) -> Self {
        self.allow = Some(methods.into());
        self
    }
}

/// The status that goes with a code.
#[must_use]
pub const fn status(code: Code) -> StatusCode {
    match code {
        Code::InvalidInput => StatusCode::UNPROCESSABLE_ENTITY,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::Ambiguous
        | Code::TransitionRefused
        | Code::Conflict
        | Code::StaleLease
        | Code::NearDuplicate
        | Code::IdempotencyMismatch => StatusCode::CONFLICT,
        Code::ChangedMeanwhile => StatusCode::PRECONDITION_FAILED,
        Code::Busy => StatusCode::TOO_MANY_REQUESTS,
        Code::Unauthorized => StatusCode::UNAUTHORIZED,
        Code::Forbidden => StatusCode::FORBIDDEN,
        Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// What a code says in a few words.
pub(crate) const fn title(code: Code) -> &'static str {
    match code {
        Code::InvalidInput => "The request cannot be used",
        Code::NotFound => "There is no such thing",
        Code::Ambiguous => "Several things go by that name",
        Code::TransitionRefused => "Not possible in this state",
        Code::Conflict => "Something else is in the way",
        Code::StaleLease => "The lease has ended",
        Code::NearDuplicate => "A mission says nearly the same",
        Code::IdempotencyMismatch => "The idempotency key was used for another request",
        Code::ChangedMeanwhile => "Somebody else changed it meanwhile",
        Code::Busy => "Too much at once",
        Code::Unauthorized => "Sign in first",
        Code::Forbidden => "Not allowed",
        Code::Internal => "The engine could not do it",
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let mut problem = Self::new(status(refusal.code), refusal.code, refusal.message);
        problem.hint = refusal.hint.map(Into::into);
        problem.allowed = refusal.allowed;
        problem.position = refusal.position;
        if refusal.code == Code::Busy {
            problem = problem.retry_after(RETRY_AFTER_S);
        }
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(detail = %self.detail, "request failed");
        }
        // A struct of strings and numbers always becomes JSON.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.get()));
        }
        if self.closes {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"hivekeeper\""),
            );
        }
        if let Some(allow) = self.allow.as_deref().and_then(|text| text.parse().ok()) {
            headers.insert(header::ALLOW, allow);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_becomes_the_status_of_its_code_and_keeps_its_words() {
        let check = |code, status: u16| {
            let refusal = Refusal::new(code, "why").hint("do").allowed(vec!["queue".into()]);
            let problem = Problem::from(refusal);
            assert_eq!(problem.status, status, "{code:?}");
            let json = serde_json::to_value(&problem).unwrap();
            assert_eq!(json["detail"], "why");
            assert_eq!(json["hint"], "do");
            assert_eq!(json["allowed"][0], "queue");
            assert_eq!(json["code"], code.as_str());
        };
        check(Code::InvalidInput, 422);
        check(Code::NotFound, 404);
        check(Code::Ambiguous, 409);
        check(Code::TransitionRefused, 409);
        check(Code::Conflict, 409);
        check(Code::NearDuplicate, 409);
        check(Code::IdempotencyMismatch, 409);
        check(Code::ChangedMeanwhile, 412);
        check(Code::Busy, 429);
        check(Code::Unauthorized, 401);
        check(Code::Forbidden, 403);
        check(Code::Internal, 500);
    }

    #[test]
    fn a_full_queue_says_when_to_try_again_and_a_missing_login_how_to_sign_in() {
        let busy = Problem::from(Refusal::new(Code::Busy, "full")).into_response();
        assert_eq!(busy.headers()[header::RETRY_AFTER], "1");
        assert_eq!(busy.headers()[header::CONTENT_TYPE], MEDIA_TYPE);
        let who = Problem::unauthorized("who?").into_response();
        assert!(who.headers().contains_key(header::WWW_AUTHENTICATE));
    }
}
