//! Signing in from a browser, with the one-time code of a login link, and out again.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use engine::view::NewToken;
use engine::{Bearer, Caller, MadeLogin, NewLogin, SignedIn};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use model::id::LoginId;
use model::login::LoginEnd;
use model::refusal::Code;
use model::token::TokenRole;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::Gate;
use crate::access::{AccessError, Grant, LOGIN_CODE_S, session_cookie};
use crate::auth::{login_of, origin_of};
use crate::call::{Call, LoginCode, Nothing};
use crate::door::Via;
use crate::problem::Problem;

/// A browser that is signed in.
#[derive(Serialize, Deserialize, ToSchema)]
pub(crate) struct NewSignIn {
    /// Its login, which is listed under this id and opens nothing by itself.
    login_id: LoginId,
    /// What its page sends as `X-Hivekeeper-Page` with every request. It is shown in this answer and
    /// never again, and is worth nothing without the cookie that came with it, or on another page.
    #[schema(example = "hk_p_3f9a1c2…")]
    page: String,
    /// What it may do.
    role: TokenRole,
    /// When it ends by itself.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// Signs a browser in.
///
/// Takes the code from the fragment of a login link or of a pairing, once and within ten minutes. The
/// answer sets a cookie that the page cannot read, and tells the page a secret of its own, which it
/// sends back as `X-Hivekeeper-Page` with every request, and over a WebSocket as one of the protocols
/// it offers beside `hivekeeper.live`: browsers send a cookie to every port of its host, and so it
/// opens nothing alone. A browser that was signed in before is so by the new login only.
#[utoipa::path(
    post, path = "/api/v1/login", tag = "house", security(()),
    request_body(content = LoginCode, example = json!({"code": "0123456789abcdef…"})),
    responses(
        (status = 200, description = "Signed in.", body = NewSignIn, example = json!({
            "login_id": "01a2b3c4-0000-7000-8000-000000000001", "page": "hk_p_3f9a1c2…",
            "role": "admin", "expires_at": "2026-02-07T09:30:00Z",
        })),
        (status = 401, description = "The code is wrong, used or too old.", body = Problem,
            content_type = "application/problem+json"),
        (status = 429, description = "Too many wrong codes.", body = Problem,
            content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn log_in(
    State(gate): State<Gate>,
    via: Option<Extension<Via>>,
    headers: HeaderMap,
    Call { caller, input }: Call<LoginCode>,
) -> Result<Response, Problem> {
    let via = via.map(|Extension(via)| via);
    let peer = via.and_then(|via| via.peer);
    let Some(code) = gate.access.take(&input.code, Instant::now()) else {
        gate.limits.wrong_code(peer)?;
        return Err(wrong_code());
    };
    let (pairing, role, by) = match code.grant() {
        Grant::Captain => (None, TokenRole::Admin, caller.clone()),
        Grant::Pairing(pairing) => {
            let new = NewToken {
                name: pairing.name.clone(),
                role: pairing.role,
                scopes: Vec::new(),
                days: Some(model::login::PAIRED_DAYS),
            };
            (Some(new), pairing.role, pairing.caller.clone())
        }
    };
    let agent = headers.get(header::USER_AGENT).map(HeaderValue::as_bytes).unwrap_or_default();
    let new = NewLogin {
        pairing,
        by: code.by(),
        origin: origin_of(&headers, via.as_ref()).unwrap_or_default(),
        from: peer,
        agent: String::from_utf8_lossy(agent).into_owned(),
        instead_of: login_of(&gate, &headers, via.as_ref()).map(|login| login.id),
    };
    // The key of a pairing was for the making of its link, and what is told here is told once.
    let by = Caller { key: None, correlation_id: caller.correlation_id, ..by };
    let made = match gate.engine.log_in(&by, new).await {
        Ok(made) => made,
        Err(refusal) => {
            gate.access.give_back(code);
            return Err(Problem::from(refusal));
        }
    };
    made.ended.iter().for_each(|old| gate.access.forget_codes_of(*old));
    Ok(answer(&gate, via.as_ref(), made, role))
}

fn answer(gate: &Gate, via: Option<&Via>, made: MadeLogin, role: TokenRole) -> Response {
    let MadeLogin { login, cookie, page, .. } = made;
    let seconds = login.expires_at.duration_since(login.made_at).as_secs();
    let view = NewSignIn { login_id: login.id, page, role, expires_at: login.expires_at };
    let mut response = Json(view).into_response();
    set_cookie(gate, via, &mut response, &cookie, seconds);
    response
}

/// Has the browser keep this for so long, out of reach of its pages; not at all for no time.
fn set_cookie(gate: &Gate, via: Option<&Via>, response: &mut Response, value: &str, seconds: i64) {
    let port = via.and_then(Via::port).or(gate.access.port()).unwrap_or_default();
    let secure = if via.is_some_and(|via| via.tls) { "; Secure" } else { "" };
    let name = session_cookie(port);
    let cookie =
        format!("{name}={value}; HttpOnly; Path=/; SameSite=Strict; Max-Age={seconds}{secure}");
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

fn wrong_code() -> Problem {
    Problem::unauthorized("the login code is wrong, was used, or is older than ten minutes")
        .hint("run 'hivekeeper login' for a new link, or pair the browser again")
}

/// Signs the browser out that asks.
///
/// Its cookie and its page's secret open nothing from now on, its live streams end, and a paired one's
/// token is revoked.
#[utoipa::path(
    post, path = "/api/v1/logout", tag = "house",
    responses((status = 204, description = "Signed out.")),
)]
pub(crate) async fn log_out(
    State(gate): State<Gate>,
    via: Option<Extension<Via>>,
    login: Option<Extension<SignedIn>>,
    Call { caller, .. }: Call<Nothing>,
) -> Result<Response, Problem> {
    let Some(Extension(login)) = login else {
        let detail = "the request does not come from a browser that is signed in";
        return Err(Problem::new(StatusCode::CONFLICT, Code::Conflict, detail)
            .hint("DELETE /api/v1/logins/ID signs another one out"));
    };
    gate.engine.end_login(&caller, login.id, LoginEnd::SignedOut).await?;
    gate.access.forget_codes_of(login.id);
    let mut response = StatusCode::NO_CONTENT.into_response();
    set_cookie(&gate, via.as_deref(), &mut response, "", 0);
    Ok(response)
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
/// It signs a browser in as the captain; works once and for ten minutes, and no longer than the browser
/// it was asked for by is signed in itself. Access tokens cannot make one.
#[utoipa::path(
    post, path = "/api/v1/login/links", tag = "house",
    responses((status = 201, description = "The link.", body = LoginLink)),
)]
pub(crate) async fn make_login_link(
    State(gate): State<Gate>,
    bearer: Option<Extension<Bearer>>,
    login: Option<Extension<SignedIn>>,
    _: Call<Nothing>,
) -> Result<Response, Problem> {
    captain_only(bearer.as_deref())?;
    let by = login.map(|Extension(login)| login.id);
    let made = gate.access.link(Instant::now(), Grant::Captain, by);
    let url = made.map_err(|error| broken(&error))?.ok_or_else(nowhere)?;
    let link = LoginLink { url, expires_in_s: LOGIN_CODE_S };
    Ok((StatusCode::CREATED, Json(link)).into_response())
}

pub(crate) fn nowhere() -> Problem {
    let detail = "this engine listens on no address a browser could open";
    Problem::new(StatusCode::CONFLICT, Code::Conflict, detail)
}
