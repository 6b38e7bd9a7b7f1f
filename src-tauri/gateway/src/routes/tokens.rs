//! Access tokens, and browsers that get one of their own.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use engine::view::{Listing, MadeToken, NewToken, TokenState, TokenView};
use engine::{Bearer, SignedIn};
use http::StatusCode;
use model::id::{LoginId, SystemDraw, TokenId};
use model::refusal::Code;
use model::token::{Maker, NAME_CHARS_MAX, TokenRole, TokenScope};
use qrcodegen::{QrCode, QrCodeEcc};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::Gate;
use crate::access::{Grant, LOGIN_CODE_S, Pairing};
use crate::call::{Call, NewPairing, Nothing, PairRole};
use crate::params::{Name, Params};
use crate::problem::Problem;
use crate::rights::Role;
use crate::routes::login::{broken, captain_only, nowhere};

/// Lists the access tokens.
///
/// The newest first, with the first characters of each, its role and scopes, its last use and its end.
/// Their secrets are kept nowhere.
#[utoipa::path(
    get, path = "/api/v1/tokens", tag = "house",
    params(("revoked" = Option<bool>, Query, description = "Also those that were revoked.")),
    responses((status = 200, description = "The tokens.", body = Listing<TokenView>)),
)]
pub(crate) async fn list_tokens(
    State(gate): State<Gate>,
    mut params: Params,
) -> Result<Json<Listing<TokenView>>, Problem> {
    let revoked = match params.text("revoked")?.as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Problem::invalid("'revoked' is true or false")),
    };
    params.done()?;
    Ok(Json(gate.engine.tokens(revoked).await?))
}

/// Makes an access token.
///
/// Its secret is in this answer and in no other: whoever loses it makes another token. A repeated
/// request under the same idempotency key answers with the token and without its secret. The captain
/// makes them; an access token cannot, whatever its role. One that was made in a browser ends when that
/// is signed out from elsewhere.
#[utoipa::path(
    post, path = "/api/v1/tokens", tag = "house",
    request_body(content = NewToken, example = json!({
        "name": "build server", "role": "operator",
        "scopes": [{"kind": "area", "area": "missions"}], "days": 90,
    })),
    responses((status = 201, description = "The token and its secret.", body = MadeToken,
        example = json!({
            "token": {
                "id": "01a2b3c4-0000-7000-8000-000000000001", "name": "build server",
                "prefix": "hk_t_3f9a1c2", "role": "operator",
                "scopes": [{"kind": "area", "area": "missions"}],
                "made_at": "2026-01-31T09:30:00Z", "expires_at": "2026-05-01T09:30:00Z",
                "revoked_at": null, "state": "valid", "used_at": null,
            },
            "secret": "hk_t_3f9a1c2…",
        }))),
)]
pub(crate) async fn add_token(
    State(gate): State<Gate>,
    bearer: Option<Extension<Bearer>>,
    login: Option<Extension<SignedIn>>,
    Call { caller, input }: Call<NewToken>,
) -> Result<(StatusCode, Json<MadeToken>), Problem> {
    captain_only(bearer.as_deref())?;
    let by = login.map(|Extension(login)| Maker::Login { id: login.id });
    Ok((StatusCode::CREATED, Json(gate.engine.make_token(&caller, by, input).await?)))
}

/// Revokes an access token.
///
/// It opens nothing from now on, and neither does any token it lent to an agent that runs elsewhere; live
/// streams end, and a browser that was paired by it is signed out.
#[utoipa::path(
    delete, path = "/api/v1/tokens/{id}", tag = "house",
    params(("id" = TokenId, Path, description = "The token's id.")),
    responses((status = 204, description = "The token opens nothing any more.")),
)]
pub(crate) async fn revoke_token(
    State(gate): State<Gate>,
    name: Name,
    Call { caller, .. }: Call<Nothing>,
) -> Result<StatusCode, Problem> {
    gate.engine.revoke_token(&caller, name.parse("a token")?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who asks.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WhoAmI {
    /// What they may do: `worker`, `viewer`, `operator` or `admin`.
    #[schema(example = "viewer")]
    role: &'static str,
    /// The access token they hold; nothing for the captain.
    token_id: Option<TokenId>,
    /// The login of the browser; nothing for a program.
    login_id: Option<LoginId>,
    /// Its name.
    name: Option<String>,
    /// Where it may be used; everywhere when there are none.
    scopes: Vec<TokenScope>,
}

/// Says who asks.
///
/// The role and the scopes of the token or login, so that a program need not try what it may do.
#[utoipa::path(
    get, path = "/api/v1/whoami", tag = "house",
    responses((status = 200, description = "Who asks.", body = WhoAmI)),
)]
pub(crate) async fn who_am_i(
    Extension(role): Extension<Role>,
    bearer: Option<Extension<Bearer>>,
    login: Option<Extension<SignedIn>>,
) -> Json<WhoAmI> {
    let (token_id, name, scopes) = match bearer {
        Some(Extension(Bearer { id, name, scopes, .. })) => (Some(id), Some(name), scopes),
        None => (None, None, Vec::new()),
    };
    let login_id = login.map(|Extension(login)| login.id);
    Json(WhoAmI { role: role.as_str(), token_id, login_id, name, scopes })
}

/// A link that pairs one browser.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct PairingView {
    /// What to open in it, once.
    url: String,
    /// For how long the link works, in seconds.
    expires_in_s: u64,
    /// The name its token will have.
    name: String,
    /// What it will be able to do.
    role: TokenRole,
    /// The link as a QR code.
    qr: Qr,
    /// Whether the link can be opened on another machine, such as a phone.
    reachable: bool,
}

/// A QR code to be drawn.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Qr {
    /// Its width and height with the quiet zone around it, in modules.
    #[schema(example = 45)]
    size: u32,
    /// Its dark modules, as the data of an SVG path in that size.
    #[schema(example = "M4 4h7v1h-7z")]
    path: String,
}

/// Pairs a browser.
///
/// Makes a link that works once and for ten minutes. The browser that opens it is signed in as a viewer
/// or an operator. It is listed among the logins and, as what it may do, among the access tokens; to end
/// either ends both, and both end after 30 days.
#[utoipa::path(
    post, path = "/api/v1/pairings", tag = "house",
    request_body(content = NewPairing, example = json!({"role": "viewer", "name": "phone"})),
    responses((status = 201, description = "The link.", body = PairingView)),
)]
pub(crate) async fn pair(
    State(gate): State<Gate>,
    bearer: Option<Extension<Bearer>>,
    login: Option<Extension<SignedIn>>,
    Call { caller, input }: Call<NewPairing>,
) -> Result<Response, Problem> {
    captain_only(bearer.as_deref())?;
    let role = match input.role {
        PairRole::Viewer => TokenRole::Viewer,
        PairRole::Operator => TokenRole::Operator,
    };
    let name = match input.name.as_deref().map(str::trim) {
        Some(name) if !name.is_empty() && name.chars().count() <= NAME_CHARS_MAX => name.to_owned(),
        Some(_) => {
            let detail = format!("a name has 1 to {NAME_CHARS_MAX} characters");
            return Err(Problem::invalid(detail));
        }
        None => {
            let id = TokenId::draw(gate.engine.clock().now(), &mut SystemDraw).to_string();
            format!("browser {}", &id[id.len() - 6..])
        }
    };
    let taken = gate.engine.tokens(false).await?.items.into_iter().any(|view| {
        view.state == TokenState::Valid && view.token.name.to_lowercase() == name.to_lowercase()
    });
    if taken {
        let detail = format!("there is a token '{name}' already");
        return Err(Problem::new(StatusCode::CONFLICT, Code::Conflict, detail)
            .hint("revoke it, or choose another name"));
    }
    let pairing = Pairing { name: name.clone(), role, caller };
    let by = login.map(|Extension(login)| login.id);
    let link = gate.access.link(Instant::now(), Grant::Pairing(pairing), by);
    let url = link.map_err(|error| broken(&error))?.ok_or_else(nowhere)?;
    let view = PairingView {
        qr: qr(&url)?,
        reachable: gate.access.outer_url().is_some(),
        expires_in_s: LOGIN_CODE_S,
        name,
        role,
        url,
    };
    Ok((StatusCode::CREATED, Json(view)).into_response())
}

/// Modules left free around a QR code, as its standard asks for.
const QUIET: i32 = 4;

fn qr(text: &str) -> Result<Qr, Problem> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).map_err(|error| {
        let detail = format!("failed to draw the QR code: {error}");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, detail)
    })?;
    let mut path = String::new();
    for y in 0..code.size() {
        let mut x = 0;
        while x < code.size() {
            let dark = (x..code.size()).take_while(|x| code.get_module(*x, y)).count();
            if dark > 0 {
                path.push_str(&format!("M{} {}h{dark}v1h-{dark}z", x + QUIET, y + QUIET));
            }
            x += i32::try_from(dark).unwrap_or(0).max(1);
        }
    }
    let size = u32::try_from(code.size() + 2 * QUIET).unwrap_or_default();
    Ok(Qr { size, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_qr_code_is_one_path_of_its_dark_modules() {
        let code = qr("https://build.example:7171/#login=0123456789abcdef").unwrap();
        // The first row begins with the seven dark modules of the finder.
        assert!(code.path.starts_with("M4 4h7v1h-7z"), "{}", code.path);
        let (mut modules, size) = (0, code.size);
        for row in code.path.split('M').skip(1) {
            let width: u32 = row.split(['h', 'v']).nth(1).unwrap().parse().unwrap();
            let x: u32 = row.split(' ').next().unwrap().parse().unwrap();
            assert!(width > 0 && x + width <= size - 4, "{row}");
            modules += width;
        }
        // About half of a QR code is dark.
        let inner = (size - 8) * (size - 8);
        assert!((inner / 3..inner * 2 / 3).contains(&modules), "{modules} of {inner}");
    }
}
