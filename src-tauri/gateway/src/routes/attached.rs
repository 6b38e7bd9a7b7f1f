//! Agents that run elsewhere on this machine: a program asks for missions and says how it gets on.

use axum::extract::State;
use axum::{Extension, Json};
use engine::view::{
    AttachedAgent, AttachedAsk, AttachedBeat, AttachedEnd, AttachedEvidence, AttachedFinish,
    AttachedInbox, AttachedMessages, AttachedOffer, AttachedProgress, AttachedUsage, AttachedWord,
    NewAttached,
};
use engine::{Bearer, Lent, NoteTaken, SignedIn};
use futures::future::OptionFuture;
use http::StatusCode;
use model::token::TokenRole;

use crate::Gate;
use crate::call::Call;
use crate::problem::Problem;

/// Who a request is from, as its token says.
type Token = Option<Extension<Bearer>>;

fn lent(bearer: &Token) -> Result<Lent, Problem> {
    Ok(Lent::of(bearer.as_deref())?)
}

/// Registers an agent that runs elsewhere.
///
/// The captain or an operator registers it and gives its program the token of the answer. The program
/// registers again with that token whenever it starts: it is the same agent then, with what is said of
/// it now; what is left out stays as it is. Its token ends with the access token or the browser that it
/// was asked for by; `new_token` is for the captain alone.
#[utoipa::path(
    post, path = "/api/v1/attached", tag = "attached",
    request_body = NewAttached,
    responses((status = 201, description = "The agent, and its token where one was made.",
        body = AttachedAgent)),
)]
pub(crate) async fn register_attached(
    State(gate): State<Gate>,
    bearer: Token,
    login: Option<Extension<SignedIn>>,
    Call { caller, input }: Call<NewAttached>,
) -> Result<(StatusCode, Json<AttachedAgent>), Problem> {
    let login = login.map(|Extension(login)| login.id);
    // One that is there already changes what is said of it, as an edit does.
    let again = bearer.as_ref().is_some_and(|bearer| bearer.role == TokenRole::Worker);
    let _alone = if again { Some(gate.edits.lock().await) } else { None };
    let made = gate.engine.register_attached(&caller, bearer.as_deref(), login, input).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// Says that an agent is there, and hears what it is to do.
///
/// An agent without a heartbeat is lost after a while, and its mission goes to another attempt.
/// `stop` means: stop working on the attempt, and finish it with `completed: false`.
#[utoipa::path(
    post, path = "/api/v1/attached/heartbeat", tag = "attached",
    request_body = Option<AttachedBeat>,
    responses((status = 200, description = "What the agent is to do.", body = AttachedWord)),
)]
pub(crate) async fn beat_attached(
    State(gate): State<Gate>,
    bearer: Token,
    Call { input, .. }: Call<AttachedBeat>,
) -> Result<Json<AttachedWord>, Problem> {
    Ok(Json(gate.engine.attached_heartbeat(lent(&bearer)?, input).await?))
}

/// Takes a mission.
///
/// Waits for one for up to 25 seconds, which counts as a heartbeat; where too many requests wait
/// already (two of one agent, 128 of all), the answer comes at once: ask again after a pause. The lease has a fencing number,
/// `fence`, that goes with everything that is said of the attempt. Whoever holds a lease gets the same
/// one again, also after a restart.
#[utoipa::path(
    post, path = "/api/v1/attached/lease", tag = "attached",
    request_body = Option<AttachedAsk>,
    responses((status = 200, description = "The lease, or none yet.", body = AttachedOffer)),
)]
pub(crate) async fn lease_attached(
    State(gate): State<Gate>,
    bearer: Token,
    Call { caller, input }: Call<AttachedAsk>,
) -> Result<Json<AttachedOffer>, Problem> {
    let ended = bearer.as_ref().map(|Extension(bearer)| gate.engine.until_ended(bearer.id));
    let offer = Box::pin(gate.engine.attached_lease(&caller, lent(&bearer)?, input));
    // Who waits is let in no longer than the token holds.
    tokio::select! {
        offer = offer => Ok(Json(offer?)),
        Some(()) = OptionFuture::from(ended) => Err(Problem::unauthorized("the token was revoked")
            .hint("stop working; the captain gives another token")),
    }
}

/// Says how far an attempt is.
///
/// The captain sees it at once. It counts as a heartbeat.
#[utoipa::path(
    post, path = "/api/v1/attached/progress", tag = "attached",
    request_body = AttachedProgress,
    responses((status = 204, description = "It is kept.")),
)]
pub(crate) async fn progress_attached(
    State(gate): State<Gate>,
    bearer: Token,
    Call { caller, input }: Call<AttachedProgress>,
) -> Result<StatusCode, Problem> {
    gate.engine.attached_progress(&caller, lent(&bearer)?, input).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Attaches something that shows what was done.
///
/// It is kept in the mission's devlog as the agent's own words, and proves nothing by itself: the
/// mission's gates do.
#[utoipa::path(
    post, path = "/api/v1/attached/evidence", tag = "attached",
    request_body = AttachedEvidence,
    responses((status = 201, description = "Where it is kept.", body = NoteTaken)),
)]
pub(crate) async fn attach_evidence(
    State(gate): State<Gate>,
    bearer: Token,
    Call { caller, input }: Call<AttachedEvidence>,
) -> Result<(StatusCode, Json<NoteTaken>), Problem> {
    let kept = gate.engine.attached_evidence(&caller, lent(&bearer)?, input).await?;
    Ok((StatusCode::CREATED, Json(kept)))
}

/// Says what an attempt has used so far.
///
/// The whole attempt's figures, in place of those that were said before; they are never added up.
#[utoipa::path(
    post, path = "/api/v1/attached/usage", tag = "attached",
    request_body = AttachedUsage,
    responses((status = 204, description = "It is kept.")),
)]
pub(crate) async fn use_attached(
    State(gate): State<Gate>,
    bearer: Token,
    Call { caller, input }: Call<AttachedUsage>,
) -> Result<StatusCode, Problem> {
    gate.engine.attached_usage(&caller, lent(&bearer)?, input).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives the messages to an agent.
///
/// Those it has not done with; they count as delivered from now on, and as acknowledged once they are
/// named in `done`.
#[utoipa::path(
    post, path = "/api/v1/attached/messages", tag = "attached",
    request_body = AttachedInbox,
    responses((status = 200, description = "The messages.", body = AttachedMessages)),
)]
pub(crate) async fn read_attached(
    State(gate): State<Gate>,
    bearer: Token,
    Call { caller, input }: Call<AttachedInbox>,
) -> Result<Json<AttachedMessages>, Problem> {
    Ok(Json(gate.engine.attached_messages(&caller, lent(&bearer)?, input).await?))
}

/// Ends an attempt.
///
/// `completed` claims that the work is done, and the gates decide; otherwise the mission gets another
/// try, if it has one left. A result that comes after the lease has ended is refused and kept as late.
#[utoipa::path(
    post, path = "/api/v1/attached/finish", tag = "attached",
    request_body = AttachedFinish,
    responses((status = 200, description = "What became of it so far.", body = AttachedEnd)),
)]
pub(crate) async fn finish_attached(
    State(gate): State<Gate>,
    bearer: Token,
    Call { caller, input }: Call<AttachedFinish>,
) -> Result<Json<AttachedEnd>, Problem> {
    Ok(Json(gate.engine.attached_finish(&caller, lent(&bearer)?, input).await?))
}
