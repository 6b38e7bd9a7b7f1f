//! The configuration as a whole: the history of the settings, going back, and taking it elsewhere.

use axum::Json;
use axum::extract::State;
use engine::view::{ImportConfig, Imported, Listing, RollBack, SettingsChange};
use model::config::Configuration;
use model::settings::Settings;

use crate::Gate;
use crate::call::Call;
use crate::etag::{IfMatch, Tag, Tagged};
use crate::params::Params;
use crate::problem::Problem;

/// Lists the changes of the settings.
///
/// The newest first: who changed what from which value to which, and when.
#[utoipa::path(
    get, path = "/api/v1/settings/history", tag = "house",
    params(
        ("cursor" = Option<String>, Query, description = "Where the page before ended."),
        ("limit" = Option<u32>, Query, description = "How many at most, 1 to 500; 100 unless given."),
    ),
    responses((status = 200, description = "One page.", body = Listing<SettingsChange>)),
)]
pub(crate) async fn list_settings_changes(
    State(gate): State<Gate>,
    mut params: Params,
) -> Result<Json<Listing<SettingsChange>>, Problem> {
    let (cursor, limit) = (params.text("cursor")?, params.limit()?);
    params.done()?;
    Ok(Json(gate.engine.settings_history(cursor, limit).await?))
}

/// Goes back to earlier settings.
///
/// They become exactly what they were right after the change with this number; 0 is the time before the
/// first one. It is a change as every other, and can be gone back from.
#[utoipa::path(
    post, path = "/api/v1/settings/rollback", tag = "house",
    params(("If-Match" = Option<String>, Header, description = "The ETag of the settings you saw.")),
    request_body(content = RollBack, example = json!({"seq": 41})),
    responses((status = 200, description = "The settings.", body = Settings)),
)]
pub(crate) async fn roll_back_settings(
    State(gate): State<Gate>,
    wanted: IfMatch,
    Call { caller, input }: Call<RollBack>,
) -> Result<Tagged<Settings>, Problem> {
    let current = async || Ok(Tag::of(&gate.engine.settings().await?));
    let _alone = wanted.begin(&gate, &caller, current).await?;
    let settings = gate.engine.roll_back_settings(&caller, input.seq).await?;
    let tag = Tag::of(&settings);
    Ok(Tagged(settings, tag))
}

/// Writes the configuration as one document.
///
/// Settings, policies, templates, rules of the whole workspace and hooks. No secrets are in it.
#[utoipa::path(
    get, path = "/api/v1/settings/export", tag = "house",
    responses((status = 200, description = "The configuration.", body = Configuration)),
)]
pub(crate) async fn export_config(
    State(gate): State<Gate>,
) -> Result<Json<Configuration>, Problem> {
    Ok(Json(gate.engine.export_config().await?))
}

/// Takes a configuration over.
///
/// What it names is added or changed, what it does not name stays; all of it, or nothing. With `dry_run`
/// it is only said what would change.
#[utoipa::path(
    post, path = "/api/v1/settings/import", tag = "house",
    request_body = ImportConfig,
    responses((status = 200, description = "What changed, or would.", body = Imported)),
)]
pub(crate) async fn import_config(
    State(gate): State<Gate>,
    Call { caller, input }: Call<ImportConfig>,
) -> Result<Json<Imported>, Problem> {
    let _alone = gate.edits.lock().await;
    Ok(Json(gate.engine.import_config(&caller, input).await?))
}
