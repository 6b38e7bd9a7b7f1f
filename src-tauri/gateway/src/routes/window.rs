//! The window of this engine.

use axum::extract::State;
use http::StatusCode;
use model::refusal::Code;

use crate::Gate;
use crate::call::{Call, Nothing};
use crate::problem::Problem;

/// Brings the window to the front.
///
/// Refused when this engine has none.
#[utoipa::path(
    post, path = "/api/v1/window/focus", tag = "house",
    responses((status = 204, description = "The window is in front.")),
)]
pub(crate) async fn focus_window(
    State(gate): State<Gate>,
    _: Call<Nothing>,
) -> Result<StatusCode, Problem> {
    if gate.window.focus() {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Problem::new(StatusCode::CONFLICT, Code::Conflict, "this engine has no window").hint(
        "start hivekeeper-desktop, or open the login link of 'hivekeeper serve' in a browser",
    ))
}
