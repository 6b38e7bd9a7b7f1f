//! The table `rules`: what is allowed or forbidden in the captain's place.
//!
//! Tested in `tests/ledger/conversation.rs` and by the replay in `tests/ledger/replay.rs`.

use model::id::{AgentId, MissionId, RuleId};
use model::inbox::{Rule, Scope};
use sqlx::SqliteConnection;

use crate::ledger::column;
use crate::ledger::error::RowError;
use crate::ledger::page::collect;

/// The most rules that are handed out at once, the newest.
pub const RULES_MAX: u32 = 10_000;

#[derive(sqlx::FromRow)]
struct RuleRow {
    id: Vec<u8>,
    pattern: String,
    allow: bool,
    scope: String,
    scope_id: Option<Vec<u8>>,
    created_at: String,
}

fn read(row: RuleRow) -> Result<Rule, RowError> {
    let bytes = row.scope_id.unwrap_or_default();
    let scope = match row.scope.as_str() {
        "workspace" => Scope::Workspace,
        "mission" => {
            Scope::Mission { id: column::read_id("rules.scope_id", &bytes, MissionId::from_uuid)? }
        }
        "agent" => {
            Scope::Agent { id: column::read_id("rules.scope_id", &bytes, AgentId::from_uuid)? }
        }
        other => return Err(RowError::unreadable("rules.scope", format!("{other} is no scope"))),
    };
    Ok(Rule {
        id: column::read_id("rules.id", &row.id, RuleId::from_uuid)?,
        pattern: row.pattern,
        allow: row.allow,
        scope,
        created_at: column::read_time("rules.created_at", &row.created_at)?,
    })
}

/// Adds a rule.
pub(crate) async fn insert(conn: &mut SqliteConnection, rule: &Rule) -> Result<(), RowError> {
    let (scope, scope_id) = match rule.scope {
        Scope::Workspace => ("workspace", None),
        Scope::Mission { id } => ("mission", Some(id.as_uuid())),
        Scope::Agent { id } => ("agent", Some(id.as_uuid())),
    };
    sqlx::query(
        "INSERT INTO rules (id, pattern, allow, scope, scope_id, created_at) \
         VALUES (?, ?, ?, ?, ?, ?)",
    )
    .bind(column::id(rule.id.as_uuid()))
    .bind(&rule.pattern)
    .bind(rule.allow)
    .bind(scope)
    .bind(scope_id.map(column::id))
    .bind(column::time(rule.created_at))
    .execute(conn)
    .await?;
    Ok(())
}

/// Removes a rule; says whether it was there.
pub(crate) async fn remove(conn: &mut SqliteConnection, id: RuleId) -> Result<bool, RowError> {
    let done = sqlx::query("DELETE FROM rules WHERE id = ?")
        .bind(column::id(id.as_uuid()))
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Removes the rules of an agent.
pub(crate) async fn remove_of_agent(
    conn: &mut SqliteConnection,
    id: AgentId,
) -> Result<(), RowError> {
    sqlx::query("DELETE FROM rules WHERE scope = 'agent' AND scope_id = ?")
        .bind(column::id(id.as_uuid()))
        .execute(conn)
        .await?;
    Ok(())
}

/// Every rule, newest first.
pub(crate) async fn all(conn: &mut SqliteConnection) -> Result<Vec<Rule>, RowError> {
    let rows = sqlx::query_as(
        "SELECT id, pattern, allow, scope, scope_id, created_at FROM rules \
         ORDER BY id DESC LIMIT ?",
    )
    .bind(i64::from(RULES_MAX))
    .fetch_all(conn)
    .await?;
    collect(rows, read)
}

/// The rules that hold for an agent on a mission, newest first.
pub(crate) async fn of(
    conn: &mut SqliteConnection,
    mission_id: MissionId,
    agent_id: AgentId,
) -> Result<Vec<Rule>, RowError> {
    let rows = sqlx::query_as(
        "SELECT id, pattern, allow, scope, scope_id, created_at FROM rules \
         WHERE scope = 'workspace' OR (scope = 'mission' AND scope_id = ?) \
         OR (scope = 'agent' AND scope_id = ?) ORDER BY id DESC LIMIT ?",
    )
    .bind(column::id(mission_id.as_uuid()))
    .bind(column::id(agent_id.as_uuid()))
    .bind(i64::from(RULES_MAX))
    .fetch_all(conn)
    .await?;
    collect(rows, read)
}
