//! Browsers that are signed in: listed, and signed out from elsewhere.

use axum::extract::State;
use axum::{Extension, Json};
use engine::SignedIn;
use engine::view::{Listing, LoginView};
use http::StatusCode;
use model::id::LoginId;
use model::login::LoginEnd;

use crate::Gate;
use crate::call::{Call, Nothing};
use crate::params::{Name, Params};
use crate::problem::Problem;

/// Lists the browsers that are signed in.
///
/// The newest first: how and when each came in, from where, what it calls itself, its last use and its
/// end. What they prove themselves with is kept nowhere.
#[utoipa::path(
    get, path = "/api/v1/logins", tag = "house",
    params(("ended" = Option<bool>, Query, description = "Also those that are signed out.")),
    responses((status = 200, description = "The logins.", body = Listing<LoginView>)),
)]
pub(crate) async fn list_logins(
    State(gate): State<Gate>,
    login: Option<Extension<SignedIn>>,
    mut params: Params,
) -> Result<Json<Listing<LoginView>>, Problem> {
    let ended = match params.text("ended")?.as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Problem::invalid("'ended' is true or false")),
    };
    params.done()?;
    let mut logins = gate.engine.logins(ended).await?;
    let own = login.map(|Extension(login)| login.id);
    for view in &mut logins.items {
        view.current = Some(view.login.id) == own;
    }
    Ok(Json(logins))
}

/// Signs a browser out.
///
/// It opens nothing from now on, its live streams end, and the links it asked for work no longer; a
/// paired one's token is revoked. Whatever was made in it ends too: tokens, agents' tokens, and browsers
/// that came in by its links.
#[utoipa::path(
    delete, path = "/api/v1/logins/{id}", tag = "house",
    params(("id" = LoginId, Path, description = "The login's id.")),
    responses((status = 204, description = "The browser is signed out.")),
)]
pub(crate) async fn end_login(
    State(gate): State<Gate>,
    name: Name,
    Call { caller, .. }: Call<Nothing>,
) -> Result<StatusCode, Problem> {
    let id: LoginId = name.parse("a login")?;
    gate.engine.end_login(&caller, id, LoginEnd::Revoked).await?;
    gate.access.forget_codes_of(id);
    Ok(StatusCode::NO_CONTENT)
}
