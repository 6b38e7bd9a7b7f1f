//! Signing in from a browser, with the one-time code of a login link.

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use engine::view::NewToken;
use engine::{Bearer, Caller};
use http::{HeaderValue, StatusCode, header};
use model::refusal::Code;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::Gate;
use crate::access::{
    AccessError, BrowserLogin, LOGIN_CODE_S, LoginRefused, PAIRED_DAYS, Pairing, Redeemed,
};
use crate::call::{Call, LoginCode, Nothing};
use crate::door::Via;
use crate::problem::Problem;

/// Signs a browser in.
///
/// Takes the code from the fragment of a login link or of a pairing, once and within ten minutes. The
/// answer sets two cookies: one the page cannot read, and `hivekeeper_csrf_PORT` with the port of this
/// engine, whose value the page sends back as `X-Hivekeeper-CSRF` with every request that changes
/// something.
#[utoipa::path(
    post, path = "/api/v1/login", tag = "house", security(()),
    request_body(content = LoginCode, example = json!({"code": "0123456789abcdef…"})),
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
    via: Option<Extension<Via>>,
    Call { input, .. }: Call<LoginCode>,
) -> Result<Response, Problem> {
    let via = via.map(|Extension(via)| via);
    let login = match gate.access.log_in(&input.code, Instant::now()).map_err(refused)? {
        Redeemed::Captain(login) => login,
        Redeemed::Pairing(pairing) => paired(&gate, pairing).await?,
    };
    let port = via.and_then(|via| via.port()).or(gate.access.port()).unwrap_or_default();
    let mut response = StatusCode::NO_CONTENT.into_response();
    for cookie in login.cookies(port, via.is_some_and(|via| via.tls)) {
        if let Ok(value) = HeaderValue::from_str(&cookie) {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
    }
    Ok(response)
}

/// Gives a browser an access token of its own.
async fn paired(gate: &Gate, pairing: Pairing) -> Result<BrowserLogin, Problem> {
    let Pairing { name, role, caller } = pairing;
    let new = NewToken { name, role, scopes: Vec::new(), days: Some(PAIRED_DAYS) };
    // Its key was for the making of the link.
    let caller = Caller { key: None, ..caller };
    let made = gate.engine.make_token(&caller, new).await?;
    let secret = made.secret.ok_or_else(|| {
        let detail = "the token of the browser was made and not handed out";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, detail)
    })?;
    Ok(BrowserLogin::paired(secret))
}

fn refused(refused: LoginRefused) -> Problem {
    match refused {
        LoginRefused::Wrong => {
            Problem::unauthorized("the login code is wrong, was used, or is older than ten minutes")
                .hint("run 'hivekeeper login' for a new link, or pair the browser again")
        }
        LoginRefused::TooMany { retry_after_s } => {
            Problem::new(StatusCode::TOO_MANY_REQUESTS, Code::Busy, "too many wrong login codes")
                .retry_after(retry_after_s)
        }
        LoginRefused::Broken(error) => broken(&error),
    }
}

pub(crate) fn broken(error: &AccessError) -> Problem {
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

/// Lets nobody in who came with an access token: what lets others in is the captain's alone, so that a
/// token never opens more, or for longer, than it was made for.
pub(crate) fn captain_only(bearer: Option<&Bearer>) -> Result<(), Problem> {
    match bearer {
        None => Ok(()),
        Some(_) => Err(Problem::forbidden("an access token does not let others in")
            .hint("sign in as the captain, or use the command line on this machine")),
    }
}

/// Makes a login link.
///
/// It signs a browser in as the captain; works once and for ten minutes. Access tokens cannot make one.
#[utoipa::path(
    post, path = "/api/v1/login/links", tag = "house",
    responses((status = 201, description = "The link.", body = LoginLink)),
)]
pub(crate) async fn make_login_link(
    State(gate): State<Gate>,
    bearer: Option<Extension<Bearer>>,
    _: Call<Nothing>,
) -> Result<Response, Problem> {
    captain_only(bearer.as_deref())?;
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
