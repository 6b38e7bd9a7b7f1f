//! The table `check_changes`: how things that are checked changed, and what was reported.
//!
//! Tested in `tests/ledger/health.rs` and by the replay in `tests/ledger/replay.rs`.

use jiff::Timestamp;
use model::event::{Event, Fact};
use model::health::{CheckChange, Reported};
use model::id::{AgentId, CheckId};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::named;
use crate::ledger::column;
use crate::ledger::error::RowError;
use crate::ledger::page::collect;

/// The most changes that are read at once.
pub const CHANGES_READ_MAX: u32 = 100_000;

/// Which changes to read, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeFilter {
    /// Only those of this check.
    pub check: Option<String>,
    /// Only those that were certain from then on.
    pub from: Timestamp,
    /// Only those that were certain before.
    pub to: Timestamp,
    /// At most so many, the newest; at most [`CHANGES_READ_MAX`].
    pub limit: u32,
}

#[derive(sqlx::FromRow)]
struct ChangeRow {
    check_id: String,
    at: String,
    confirmed_at: String,
    from_state: String,
    to_state: String,
    reason: String,
}

fn read(row: ChangeRow) -> Result<CheckChange, RowError> {
    Ok(CheckChange {
        at: column::read_time("check_changes.at", &row.at)?,
        confirmed_at: column::read_time("check_changes.confirmed_at", &row.confirmed_at)?,
        from: column::read_word("check_changes.from_state", row.from_state)?,
        to: column::read_word("check_changes.to_state", row.to_state)?,
        check: row.check_id,
        reason: row.reason,
    })
}

/// The name under which rows of an agent stand.
fn of_agent(id: AgentId) -> String {
    format!("agent.{id}")
}

/// Writes what a fact about health says; says whether it fits.
pub(crate) async fn apply(conn: &mut SqliteConnection, event: &Event) -> Result<bool, RowError> {
    match &event.fact {
        Fact::CheckSaved { check } => {
            named::CHECKS.put(conn, &check.id.to_string(), check).await.map(|()| true)
        }
        Fact::CheckRemoved { check_id } => {
            let id = check_id.to_string();
            named::REPORTS.remove(conn, &id).await?;
            forget(conn, &id).await?;
            named::CHECKS.remove(conn, &id).await
        }
        Fact::CheckReported { check_id, report, at } => {
            let id = check_id.to_string();
            let check: Option<model::health::HealthCheck> = named::CHECKS.get(conn, &id).await?;
            if check.is_none() {
                return Ok(false);
            }
            let before: Option<Reported> = named::REPORTS.get(conn, &id).await?;
            let after = before.unwrap_or_default().after(*report, *at);
            named::REPORTS.put(conn, &id, &after).await.map(|()| true)
        }
        Fact::ChecksChanged { changes } => {
            for (n, change) in (0_i64..).zip(changes) {
                insert(conn, event.seq, n, change).await?;
            }
            Ok(true)
        }
        Fact::MaintenanceSaved { maintenance } => {
            let id = maintenance.id.to_string();
            named::MAINTENANCE.put(conn, &id, maintenance).await.map(|()| true)
        }
        Fact::MaintenanceRemoved { maintenance_id } => {
            named::MAINTENANCE.remove(conn, &maintenance_id.to_string()).await
        }
        _ => Ok(false),
    }
}

async fn insert(
    conn: &mut SqliteConnection,
    seq: u64,
    n: i64,
    change: &CheckChange,
) -> Result<(), RowError> {
    sqlx::query(
        "INSERT INTO check_changes \
         (seq, n, check_id, at, confirmed_at, from_state, to_state, reason) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(column::count(seq))
    .bind(n)
    .bind(&change.check)
    .bind(column::time(change.at))
    .bind(column::time(change.confirmed_at))
    .bind(change.from.as_str())
    .bind(change.to.as_str())
    .bind(&change.reason)
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets how an agent was, which is there no more.
pub(crate) async fn forget_agent(conn: &mut SqliteConnection, id: AgentId) -> Result<(), RowError> {
    forget(conn, &of_agent(id)).await
}

async fn forget(conn: &mut SqliteConnection, check: &str) -> Result<(), RowError> {
    sqlx::query("DELETE FROM check_changes WHERE check_id = ?").bind(check).execute(conn).await?;
    Ok(())
}

/// The changes that match, newest first.
pub(crate) async fn list(
    conn: &mut SqliteConnection,
    filter: &ChangeFilter,
) -> Result<Vec<CheckChange>, RowError> {
    let mut query = QueryBuilder::<Sqlite>::new(
        "SELECT check_id, at, confirmed_at, from_state, to_state, reason FROM check_changes \
         WHERE confirmed_at >= ",
    );
    query.push_bind(column::time(filter.from));
    query.push(" AND confirmed_at < ").push_bind(column::time(filter.to));
    if let Some(check) = &filter.check {
        query.push(" AND check_id = ").push_bind(check.clone());
    }
    query.push(" ORDER BY seq DESC, n DESC LIMIT ");
    query.push_bind(i64::from(filter.limit.clamp(1, CHANGES_READ_MAX)));
    let rows = query.build_query_as().fetch_all(conn).await?;
    collect(rows, read)
}

/// The last change of each check that has any.
pub(crate) async fn last(conn: &mut SqliteConnection) -> Result<Vec<CheckChange>, RowError> {
    let rows = sqlx::query_as(
        "SELECT check_id, at, confirmed_at, from_state, to_state, reason FROM check_changes AS it \
         WHERE NOT EXISTS (SELECT 1 FROM check_changes AS later \
         WHERE later.check_id = it.check_id AND (later.seq, later.n) > (it.seq, it.n)) \
         ORDER BY check_id LIMIT ?",
    )
    .bind(i64::from(CHANGES_READ_MAX))
    .fetch_all(conn)
    .await?;
    collect(rows, read)
}

/// What was reported to a check.
pub(crate) async fn reported(
    conn: &mut SqliteConnection,
    id: CheckId,
) -> Result<Reported, RowError> {
    Ok(named::REPORTS.get(conn, &id.to_string()).await?.unwrap_or_default())
}
