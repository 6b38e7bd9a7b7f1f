//! The tables `policies`, `templates`, `hooks`, `secrets`, `settings`, `health_checks`, `maintenance`
//! and `check_reports`: records found by a name.
//!
//! Tested in `tests/ledger/workspace.rs` and by the replay in `tests/ledger/replay.rs`.

use model::settings::Settings;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::SqliteConnection;

use crate::ledger::column;
use crate::ledger::error::RowError;
use crate::ledger::page::collect;

/// The key of the settings.
const SETTINGS: &str = "settings";
/// The key under which it stands that everything was stopped.
const HALTED: &str = "halted";

/// That the captain stopped everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Halted {
    /// Since when.
    pub since: jiff::Timestamp,
    /// Why, in the captain's words.
    pub note: Option<String>,
}

/// That there is a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct KeptSecret {
    /// Its name.
    pub name: String,
    /// When its value was given last.
    pub kept_at: jiff::Timestamp,
}

/// A table of records by name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named {
    column: &'static str,
    put: &'static str,
    remove: &'static str,
    get: &'static str,
    all: &'static str,
}

/// The captain's policies.
pub(crate) const POLICIES: Named = Named {
    column: "policies.body",
    put: "INSERT OR REPLACE INTO policies (name, body) VALUES (?, ?)",
    remove: "DELETE FROM policies WHERE name = ?",
    get: "SELECT body FROM policies WHERE name = ?",
    all: "SELECT body FROM policies ORDER BY name",
};

/// The templates of missions.
pub(crate) const TEMPLATES: Named = Named {
    column: "templates.body",
    put: "INSERT OR REPLACE INTO templates (name, body) VALUES (?, ?)",
    remove: "DELETE FROM templates WHERE name = ?",
    get: "SELECT body FROM templates WHERE name = ?",
    all: "SELECT body FROM templates ORDER BY name",
};

/// The hooks, by their ids, which sort by age.
pub(crate) const HOOKS: Named = Named {
    column: "hooks.body",
    put: "INSERT OR REPLACE INTO hooks (id, body) VALUES (?, ?)",
    remove: "DELETE FROM hooks WHERE id = ?",
    get: "SELECT body FROM hooks WHERE id = ?",
    all: "SELECT body FROM hooks ORDER BY id",
};

/// The captain's health checks, by their ids, which sort by age.
pub(crate) const CHECKS: Named = Named {
    column: "health_checks.body",
    put: "INSERT OR REPLACE INTO health_checks (id, body) VALUES (?, ?)",
    remove: "DELETE FROM health_checks WHERE id = ?",
    get: "SELECT body FROM health_checks WHERE id = ?",
    all: "SELECT body FROM health_checks ORDER BY id",
};

/// The times of maintenance, by their ids, which sort by age.
pub(crate) const MAINTENANCE: Named = Named {
    column: "maintenance.body",
    put: "INSERT OR REPLACE INTO maintenance (id, body) VALUES (?, ?)",
    remove: "DELETE FROM maintenance WHERE id = ?",
    get: "SELECT body FROM maintenance WHERE id = ?",
    all: "SELECT body FROM maintenance ORDER BY id",
};

/// What was reported, by the ids of the checks that wait for it.
pub(crate) const REPORTS: Named = Named {
    column: "check_reports.body",
    put: "INSERT OR REPLACE INTO check_reports (id, body) VALUES (?, ?)",
    remove: "DELETE FROM check_reports WHERE id = ?",
    get: "SELECT body FROM check_reports WHERE id = ?",
    all: "SELECT body FROM check_reports ORDER BY id",
};

/// The names of the secrets; their values are kept elsewhere.
pub(crate) const SECRETS: Named = Named {
    column: "secrets.body",
    put: "INSERT OR REPLACE INTO secrets (name, body) VALUES (?, ?)",
    remove: "DELETE FROM secrets WHERE name = ?",
    get: "SELECT body FROM secrets WHERE name = ?",
    all: "SELECT body FROM secrets ORDER BY name",
};

/// What there is one of.
const SINGLE: Named = Named {
    column: "settings.value",
    put: "INSERT OR REPLACE INTO settings (key, value) VALUES (?, ?)",
    remove: "DELETE FROM settings WHERE key = ?",
    get: "SELECT value FROM settings WHERE key = ?",
    all: "SELECT value FROM settings ORDER BY key",
};

impl Named {
    /// Adds or replaces a record.
    pub(crate) async fn put<T: Serialize>(
        self,
        conn: &mut SqliteConnection,
        name: &str,
        record: &T,
    ) -> Result<(), RowError> {
        let body = column::json(self.column, record)?;
        sqlx::query(self.put).bind(name).bind(body).execute(conn).await?;
        Ok(())
    }

    /// Removes a record; says whether it was there.
    pub(crate) async fn remove(
        self,
        conn: &mut SqliteConnection,
        name: &str,
    ) -> Result<bool, RowError> {
        let done = sqlx::query(self.remove).bind(name).execute(conn).await?;
        Ok(done.rows_affected() == 1)
    }

    /// One record.
    pub(crate) async fn get<T: DeserializeOwned>(
        self,
        conn: &mut SqliteConnection,
        name: &str,
    ) -> Result<Option<T>, RowError> {
        let body: Option<String> =
            sqlx::query_scalar(self.get).bind(name).fetch_optional(conn).await?;
        column::read_json_opt(self.column, body.as_deref())
    }

    /// Every record, by name.
    pub(crate) async fn all<T: DeserializeOwned>(
        self,
        conn: &mut SqliteConnection,
    ) -> Result<Vec<T>, RowError> {
        let rows: Vec<String> = sqlx::query_scalar(self.all).fetch_all(conn).await?;
        collect(rows, |body| column::read_json(self.column, &body))
    }
}

/// Replaces the settings.
pub(crate) async fn set(conn: &mut SqliteConnection, settings: &Settings) -> Result<(), RowError> {
    SINGLE.put(conn, SETTINGS, settings).await
}

/// The settings; the defaults until they were changed.
pub(crate) async fn settings(conn: &mut SqliteConnection) -> Result<Settings, RowError> {
    Ok(SINGLE.get(conn, SETTINGS).await?.unwrap_or_default())
}

/// Remembers that everything was stopped; says whether it was not already.
pub(crate) async fn halt(conn: &mut SqliteConnection, halted: &Halted) -> Result<bool, RowError> {
    if self::halted(conn).await?.is_some() {
        return Ok(false);
    }
    SINGLE.put(conn, HALTED, halted).await.map(|()| true)
}

/// Remembers that the swarm goes on; says whether it was stopped.
pub(crate) async fn resume(conn: &mut SqliteConnection) -> Result<bool, RowError> {
    SINGLE.remove(conn, HALTED).await
}

/// Whether everything was stopped.
pub(crate) async fn halted(conn: &mut SqliteConnection) -> Result<Option<Halted>, RowError> {
    SINGLE.get(conn, HALTED).await
}
