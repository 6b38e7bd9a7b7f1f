//! `hivekeeper config`.

use engine::view::{ImportConfig, Imported, Listing, RollBack, SettingsChange};
use http::{Method, header};
use model::config::Configuration;
use model::settings::Settings;
use serde_json::Value;

use super::rules::{show_settings, with};
use crate::args::Config;
use crate::failure::Failure;
use crate::input::Source;
use crate::out::{Out, quotable, time};
use crate::remote::{Place, Remote};

/// Where the settings are.
const PATH: &str = "/api/v1/settings";
/// The largest document, in bytes.
const DOCUMENT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Carries it out.
pub(crate) async fn run(command: Config, place: &Place, out: &mut Out) -> Result<(), Failure> {
    match command {
        Config::Get { key } => get(key, place, out).await,
        Config::Set { values } => set(values, place, out).await,
        Config::History { limit } => history(limit, place, out).await,
        Config::Rollback { seq } => {
            const OPERATION: &str = "go back to earlier settings";
            let remote = Remote::find(place, OPERATION)?;
            let path = format!("{PATH}/rollback");
            let settings: Settings = remote.post(OPERATION, &path, &RollBack { seq }).await?;
            show_settings(&settings, out)
        }
        Config::Export { output } => {
            const OPERATION: &str = "export the configuration";
            let remote = Remote::find(place, OPERATION)?;
            let config: Configuration = remote.get(OPERATION, &format!("{PATH}/export")).await?;
            let mut text = serde_json::to_string_pretty(&config)
                .map_err(|error| Failure::new(OPERATION).because(&error))?;
            text.push('\n');
            super::deliver(text.as_bytes(), output.as_deref(), out)
        }
        Config::Import { document, dry_run } => import(&document, dry_run, place, out).await,
    }
}

async fn get(key: Option<String>, place: &Place, out: &mut Out) -> Result<(), Failure> {
    const OPERATION: &str = "show the settings";
    let remote = Remote::find(place, OPERATION)?;
    let settings: Settings = remote.get(OPERATION, PATH).await?;
    let Some(key) = key else {
        return show_settings(&settings, out);
    };
    let whole = serde_json::to_value(&settings).unwrap_or_default();
    let fields = whole.as_object().cloned().unwrap_or_default();
    match fields.get(&key.replace('-', "_")) {
        Some(value) if out.is_json() => out.value(value),
        Some(value) => out.line(&plain(value)),
        None => Err(Failure::usage(OPERATION)
            .since(format!("there is no setting '{}'", quotable(&key)))
            .allowed(fields.keys().cloned().collect())
            .exit(2)),
    }
}

async fn set(values: Vec<(String, String)>, place: &Place, out: &mut Out) -> Result<(), Failure> {
    const OPERATION: &str = "change the settings";
    let remote = Remote::find(place, OPERATION)?;
    let answer = remote.get_raw(OPERATION, PATH).await?;
    let settings: Settings = serde_json::from_slice(&answer.body)
        .map_err(|error| Failure::new(OPERATION).because(&error))?;
    let settings = with(&settings, values, OPERATION)?;
    // Nobody's change in between is taken back.
    let tag = answer.headers.get(header::ETAG).cloned();
    let settings: Settings =
        remote.send_for(OPERATION, Method::PUT, PATH, (tag, &settings)).await?;
    show_settings(&settings, out)
}

async fn history(limit: u32, place: &Place, out: &mut Out) -> Result<(), Failure> {
    const OPERATION: &str = "show the history of the settings";
    let remote = Remote::find(place, OPERATION)?;
    let path = format!("{PATH}/history?limit={limit}");
    let all: Listing<SettingsChange> = remote.get(OPERATION, &path).await?;
    if out.is_json() {
        return out.value(&all);
    }
    if all.items.is_empty() {
        return out.line("the settings were never changed");
    }
    let mut rows = Vec::new();
    for entry in &all.items {
        for change in &entry.changes {
            rows.push(vec![
                entry.seq.to_string(),
                time(entry.at),
                super::actor(&entry.actor),
                change.key.clone(),
                plain(&change.old),
                plain(&change.new),
            ]);
        }
    }
    out.table(&["SEQ", "WHEN", "WHO", "SETTING", "WAS", "BECAME"], &rows)
}

async fn import(
    document: &str,
    dry_run: bool,
    place: &Place,
    out: &mut Out,
) -> Result<(), Failure> {
    const OPERATION: &str = "import the configuration";
    let source = Source {
        what: "the configuration",
        given: document,
        bytes_max: DOCUMENT_BYTES_MAX,
        too_large: "import it in parts",
    };
    let config: Configuration = serde_json::from_str(&source.read()?).map_err(|error| {
        Failure::new(OPERATION)
            .because(&error)
            .hint("'hivekeeper config export' writes such a document")
    })?;
    let remote = Remote::find(place, OPERATION)?;
    let path = format!("{PATH}/import");
    let done: Imported = remote.post(OPERATION, &path, &ImportConfig { config, dry_run }).await?;
    if out.is_json() {
        return out.value(&done);
    }
    let rows: Vec<Vec<String>> = done
        .changes
        .iter()
        .map(|it| {
            let fields: Vec<&str> = it.changes.iter().map(|field| field.key.as_str()).collect();
            let (part, how) = (crate::out::word(&it.part), crate::out::word(&it.how));
            vec![part, it.name.clone(), how, fields.join(", ")]
        })
        .collect();
    if rows.is_empty() {
        return out.line("everything is like that already");
    }
    out.table(&["WHAT", "NAME", "HOW", "FIELDS"], &rows)?;
    if done.applied { Ok(()) } else { out.line("nothing was changed: this was a dry run") }
}

/// A value as a person writes it.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
