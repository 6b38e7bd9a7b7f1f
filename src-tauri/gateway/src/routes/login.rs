//! Signing in from a browser, with the one-time code of a login link.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use model::refusal::Code;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::Gate;
use crate::access::{AccessError, LOGIN_CODE_S, LoginRefused};
use crate::call::{Call, LoginCode, Nothing};
use crate::problem::Problem;

/// Signs a browser in.
///
/// Takes the code from the login link's fragment, once and within ten minutes. The answer sets two
/// cookies: one the page cannot read, and `hivekeeper_csrf_PORT` with the port of this engine, whose
/// value the page sends back as `X-Hivekeeper-CSRF` with every request that changes something.
#[utoipa::path(
    post, path = "/api/v1/login", tag = "house", security(()),
    request_body = LoginCode,
    responses(
        (status = 204, description = "Signed in."),
        (status = 401, description = "The code is wrong, used or too old.", body = Problem,
            content_type = "application/problem+json"),
        (status = 429, description = "Too many wrong codes.", body = Problem,
            content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn log_in(
    State(gate): State<Gate>,
    Call { input, .. }: Call<LoginCode>,
) -> Result<Response, Problem> {
    let login = gate.access.log_in(&input.code, Instant::now()).map_err(refused)?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    for cookie in login.cookies() {
        if let Ok(value) = HeaderValue::from_str(&cookie) {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
    }
    Ok(response)
}

fn refused(refused: LoginRefused) -> Problem {
    match refused {
        LoginRefused::Wrong => {
            Problem::unauthorized("the login code is wrong, was used, or is older than ten minutes")
                .hint("run 'hivekeeper login' for a new link")
        }
        LoginRefused::TooMany { retry_after_s } => {
            Problem::new(StatusCode::TOO_MANY_REQUESTS, Code::Busy, "too many wrong login codes")
                .retry_after(retry_after_s)
        }
        LoginRefused::Broken(error) => broken(&error),
    }
}

fn broken(error: &AccessError) -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, format!("failed to {error}"))
}

/// A link that signs one browser in.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct LoginLink {
    /// What to open; the code is in its fragment and so never sent to a server by opening it.
    url: String,
    /// For how long it works, in seconds.
    expires_in_s: u64,
}

/// Makes a login link.
///
/// For a browser on this machine; works once and for ten minutes.
#[utoipa::path(
    post, path = "/api/v1/login/links", tag = "house",
    responses((status = 201, description = "The link.", body = LoginLink)),
)]
pub(crate) async fn make_login_link(
    State(gate): State<Gate>,
    _: Call<Nothing>,
) -> Result<Response, Problem> {
    let url = gate.access.login_link(Instant::now()).map_err(|error| broken(&error))?.ok_or_else(
        || {
            Problem::new(
                StatusCode::CONFLICT,
                Code::Conflict,
                "this engine listens on no address a browser could open",
            )
        },
    )?;
    let link = LoginLink { url, expires_in_s: LOGIN_CODE_S };
    Ok((StatusCode::CREATED, axum::Json(link)).into_response())
}
