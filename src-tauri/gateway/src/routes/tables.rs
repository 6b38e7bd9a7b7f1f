//! The published transition tables.

use axum::Json;
use model::attempt::AttemptState;
use model::mission::MissionState;
use model::transition::{ATTEMPT_TABLE, AttemptInput, MISSION_TABLE, MissionInput};
use serde::Serialize;
use utoipa::ToSchema;

/// One line of the missions' table.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Transition {
    /// From this state,
    from: MissionState,
    /// on this input,
    input: MissionInput,
    /// to this state,
    to: MissionState,
    /// provided that.
    guard: &'static str,
    /// What is set off.
    effects: &'static str,
}

/// Shows the published transition table.
///
/// A mission changes its state by a line of this table or not at all.
#[utoipa::path(
    get, path = "/api/v1/mission-table", tag = "missions",
    responses((status = 200, description = "Every line.", body = Vec<Transition>)),
)]
pub(crate) async fn get_mission_table() -> Json<Vec<Transition>> {
    let lines = MISSION_TABLE.iter().map(|rule| Transition {
        from: rule.from,
        input: rule.input,
        to: rule.to,
        guard: rule.guard,
        effects: rule.effects,
    });
    Json(lines.collect())
}

/// One line of the attempts' table.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AttemptTransition {
    /// From this state,
    from: AttemptState,
    /// on this input,
    input: AttemptInput,
    /// to this state,
    to: AttemptState,
    /// provided that.
    guard: &'static str,
    /// What is set off.
    effects: &'static str,
}

/// Shows the published transition table of attempts.
///
/// An attempt changes its state by a line of this table or not at all.
#[utoipa::path(
    get, path = "/api/v1/attempt-table", tag = "attempts",
    responses((status = 200, description = "Every line.", body = Vec<AttemptTransition>)),
)]
pub(crate) async fn get_attempt_table() -> Json<Vec<AttemptTransition>> {
    let lines = ATTEMPT_TABLE.iter().map(|rule| AttemptTransition {
        from: rule.from,
        input: rule.input,
        to: rule.to,
        guard: rule.guard,
        effects: rule.effects,
    });
    Json(lines.collect())
}
