//! The engine's own log: its lines, and how much is logged.

use axum::Json;
use axum::extract::State;
use engine::view::Listing;
use http::StatusCode;
use model::refusal::Code;

use crate::Gate;
use crate::call::Call;
use crate::logging::{self, LevelError, LevelView, LogLine, LogQuery, NewLevel};
use crate::params::Params;
use crate::problem::Problem;

/// Reads the log.
///
/// The newest lines first, without secrets. Each has its time, level, agent, mission and correlation id.
#[utoipa::path(
    get, path = "/api/v1/log", tag = "log",
    params(
        ("level" = Option<String>, Query, description = "Only lines at least as grave: error, warn, info, debug or trace."),
        ("text" = Option<String>, Query, description = "Only lines that contain this, in any letter case."),
        ("before" = Option<String>, Query, description = "Where the page before ended, its `next`."),
        ("limit" = Option<u32>, Query, description = "How many at most, 1 to 500; 200 unless given."),
    ),
    responses((status = 200, description = "One page.", body = Listing<LogLine>)),
)]
pub(crate) async fn read_log(
    State(gate): State<Gate>,
    mut params: Params,
) -> Result<Json<Listing<LogLine>>, Problem> {
    let query = LogQuery {
        level: params.parsed("level")?,
        text: params.text("text")?,
        before: params.parsed("before")?,
        limit: params.limit()?.map(|limit| limit as usize),
    };
    params.done()?;
    let directory = logging::directory(gate.engine.data_dir());
    let read = tokio::task::spawn_blocking(move || logging::read(&directory, &query)).await;
    let broken = |error: &dyn std::error::Error| {
        let detail = format!("failed to read the log: {error}");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, detail)
    };
    let (items, next) = read.map_err(|error| broken(&error))?.map_err(|error| broken(&error))?;
    Ok(Json(Listing { items, next: next.map(|place| place.to_string()) }))
}

/// Shows how much is logged.
///
/// The filter that is in force, until when, and what is usual.
#[utoipa::path(
    get, path = "/api/v1/log/level", tag = "log",
    responses((status = 200, description = "The filter.", body = LevelView)),
)]
pub(crate) async fn get_log_level() -> Result<Json<LevelView>, Problem> {
    Ok(Json(logging::level().map_err(refused)?))
}

/// Changes how much is logged.
///
/// At once, for a time or until the engine ends.
#[utoipa::path(
    put, path = "/api/v1/log/level", tag = "log",
    request_body(content = NewLevel, example = json!({"filter": "debug", "for_seconds": 600})),
    responses((status = 200, description = "The filter.", body = LevelView)),
)]
pub(crate) async fn put_log_level(
    State(gate): State<Gate>,
    Call { input, .. }: Call<NewLevel>,
) -> Result<Json<LevelView>, Problem> {
    Ok(Json(logging::set_level(&gate.engine, input).map_err(refused)?))
}

fn refused(error: LevelError) -> Problem {
    match error {
        LevelError::NoLog => Problem::new(StatusCode::CONFLICT, Code::Conflict, error.to_string()),
        LevelError::Filter(..) | LevelError::Time(_) => Problem::invalid(error.to_string())
            .hint("such as 'debug', or 'info,orchestrator=debug'"),
    }
}
