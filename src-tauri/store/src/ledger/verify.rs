//! Verification: walks the whole chain page by page, replays it into scratch rows and compares.
//!
//! Memory does not depend on how long the history is: the replay goes into a scratch database.

use std::path::PathBuf;

use model::id::MissionId;
use serde::Serialize;
use sqlx::migrate::MigrateError;
use sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};

use super::chain::{Tail, hex};
use super::error::{CODE_CORRUPT, CODE_NOT_A_DATABASE, ReadError, RowError, sqlite_code};
use super::head::{self, Head};
use super::open::{Files, Settings, WALK_ROWS, options};
use super::project::project;
use super::table::events::{self, EventRow};

/// Findings after which the verification stops looking.
pub const FINDINGS_MAX: usize = 100;
const OPERATION: &str = "verify the ledger";

/// Something in the ledger that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Finding {
    /// An event is not there.
    #[error("event {seq} is missing")]
    Missing {
        /// Its place.
        seq: u64,
    },
    /// An event is not as it was written, or one before it is not.
    #[error("event {seq} was altered")]
    Altered {
        /// Its place.
        seq: u64,
    },
    /// An event cannot be understood.
    #[error("event {seq} cannot be read: {why}")]
    Unreadable {
        /// Its place.
        seq: u64,
        /// What is wrong with it.
        why: String,
    },
    /// An event does not fit the events before it.
    #[error("event {seq} does not fit what was before it: {why}")]
    Misfit {
        /// Its place.
        seq: u64,
        /// Why.
        why: String,
    },
    /// The events of a mission are not numbered without gaps.
    #[error("the events of mission {mission_id} are not numbered without gaps")]
    MissionGap {
        /// Which mission.
        mission_id: MissionId,
    },
    /// The head file contradicts the log.
    #[error("ledger.head does not fit the events: {why}")]
    Head {
        /// How.
        why: String,
    },
    /// The database file contradicts itself.
    #[error("the database file is damaged: {why}")]
    File {
        /// What SQLite said.
        why: String,
    },
    /// Rows are not what the events say.
    #[error("table {table} is not what the events say: {missing} rows missing, {extra} too many")]
    Rows {
        /// Which table.
        table: String,
        /// Rows the events give that are not there, or differ.
        missing: u64,
        /// Rows that are there and that the events do not give.
        extra: u64,
    },
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Events whose links were checked.
    pub events: u64,
    /// The last event's hash, as 64 hexadecimal digits.
    pub head: String,
    /// What is wrong, at most [`FINDINGS_MAX`]; empty when everything is sound.
    pub findings: Vec<Finding>,
}

impl Verification {
    /// Whether everything is as it must be.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }
}

/// The rows that follow from the events, table by table, with their columns.
const PROJECTED: &[(&str, &str)] = &[
    (
        "agents",
        "id, name, name_key, role, skills, runtime, directory, grace_s, conduct, paused, demo, \
         created_at, removed_seq",
    ),
    (
        "missions",
        "id, short_id, title, title_key, state, note, priority, policy, proof, agent_id, \
         repository, target, links, gates, retries_max, backoff_s, hand_over, attempts, tries, \
         recoveries, not_before, handoff, labels, skills, depends_on, deadline, estimate, \
         criteria, progress, external_id, unattended, merged, grade, demo, created_at, \
         updated_at, removed_seq",
    ),
    ("briefs", "mission_id, text"),
    ("mission_counts", "state, n"),
    ("mission_labels", "label, mission_id"),
    (
        "attempts",
        "id, mission_id, agent_id, n, state, stopping, in_review, frozen, note, acknowledged_at, \
         handoff, choice, workplace, process, exit, work, leased_at, ended_at",
    ),
    ("agent_counts", "agent_id, accepted, ended"),
    (
        "gate_results",
        "attempt_id, gate_index, gate, verdict, exit_code, reason, output, output_bytes, \
         commit_hash, tree, checks, answered_by, started_at, duration_ms",
    ),
    (
        "checkpoints",
        "id, mission_id, attempt_id, n, commit_hash, tree, uncommitted_files, output_bytes, note, \
         at",
    ),
    ("reviews", "attempt_id, gate_index, agent_id, asked_seq"),
    (
        "devlogs",
        "id, mission_id, short_id, attempt_id, agent_id, title, demo, at, removed_seq, markdown",
    ),
    ("policies", "name, body"),
    ("templates", "name, body"),
    ("settings", "key, value"),
    ("hooks", "id, body"),
    ("secrets", "name, body"),
    ("health_checks", "id, body"),
    ("maintenance", "id, body"),
    ("check_reports", "id, body"),
    ("check_changes", "seq, n, check_id, at, confirmed_at, from_state, to_state, reason"),
    ("trash", "id, kind, mission_id, attempt, body, at, until, ended"),
    ("topics", "id, title, text, options, opened_at, decision"),
    ("votes", "topic_id, agent_id, option, rationale, at"),
    (
        "messages",
        "id, agent_id, source, text, urgent, mission_id, broadcast_id, attempt_id, queued_at, \
         delivered_at, started_at, acknowledged_at, tries, problem, quarantined, discarded",
    ),
    (
        "requests",
        "id, attempt_id, mission_id, agent_id, key, ask, asked_at, not_before, outcome, ended_at, \
         told",
    ),
    ("rules", "id, pattern, allow, scope, scope_id, created_at"),
    ("attempt_usage", "attempt_id, source, body"),
    ("reports", "agent_id, key, seq"),
    ("tokens", "id, name, prefix, hash, role, scopes, made_at, expires_at, revoked_at, made_by"),
    (
        "logins",
        "id, cookie_hash, page_hash, via, token_id, origin, from_address, agent, made_at, \
         expires_at, ended_at, ended_why, made_by",
    ),
];

/// Verifies the ledger while it is in use.
pub(crate) async fn verify(files: &Files, settings: &Settings) -> Result<Verification, ReadError> {
    // Read first: the log only grows, so what is stated now must be there later.
    let stated = head::read(&files.head).map_err(|source| ReadError::File {
        operation: "read",
        path: files.head.clone(),
        source,
    })?;
    let scratch = Scratch(files.scratch.clone());
    scratch.remove();
    let outcome = run(files, settings, stated).await;
    scratch.remove();
    outcome.map_err(|error| match error {
        RowError::Sql(source) => ReadError::Storage { operation: OPERATION, source },
        RowError::Unreadable { column, source } => {
            ReadError::Unreadable { operation: OPERATION, column, source }
        }
        RowError::Conflict { what, reason } => {
            ReadError::Unreadable { operation: OPERATION, column: what, source: reason.into() }
        }
    })
}

struct Scratch(PathBuf);

impl Scratch {
    fn remove(&self) {
        match std::fs::remove_file(&self.0) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(%error, path = %self.0.display(), "scratch file was not removed");
            }
            _ => {}
        }
    }
}

async fn run(files: &Files, settings: &Settings, stated: Head) -> Result<Verification, RowError> {
    let mut conn = open_scratch(files, settings).await?;
    let mut check = Check::default();
    let outcome = check.everything(&mut conn, &stated).await;
    conn.close().await?;
    if let Err(error) = outcome {
        check.broken(error)?;
    }
    Ok(Verification {
        events: check.tail.seq,
        head: hex(&check.tail.hash),
        findings: check.findings,
    })
}

/// An empty database with the ledger's tables, and the ledger beside it as `live`.
async fn open_scratch(files: &Files, settings: &Settings) -> Result<SqliteConnection, RowError> {
    let mut conn = options(&files.scratch, settings)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Off)
        .synchronous(SqliteSynchronous::Off)
        .connect()
        .await?;
    settings.migrator.run_direct(None, &mut conn, false).await.map_err(|error| match error {
        // The scratch file could not be written; that says nothing about the ledger.
        MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => {
            RowError::Sql(source)
        }
        other => RowError::unreadable("schema", other),
    })?;
    // Without a table `events` of its own, the name means the ledger's.
    sqlx::raw_sql("DROP TABLE events").execute(&mut conn).await?;
    sqlx::query("ATTACH DATABASE ? AS live")
        .bind(files.db.to_string_lossy().into_owned())
        .execute(&mut conn)
        .await?;
    Ok(conn)
}

#[derive(Default)]
struct Check {
    tail: Tail,
    findings: Vec<Finding>,
    /// Rows are compared only when every event could be replayed.
    replayed: bool,
}

impl Check {
    fn found(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        }
    }

    /// A damaged file is a finding; everything else is an error.
    fn broken(&mut self, error: RowError) -> Result<(), RowError> {
        match error {
            RowError::Sql(error)
                if matches!(sqlite_code(&error), Some(CODE_CORRUPT | CODE_NOT_A_DATABASE)) =>
            {
                let why = error.to_string();
                self.found(Finding::File { why });
                Ok(())
            }
            RowError::Unreadable { column, source } => {
                self.found(Finding::Unreadable {
                    seq: self.tail.seq + 1,
                    why: format!("{column}: {source}"),
                });
                Ok(())
            }
            other => Err(other),
        }
    }

    async fn everything(
        &mut self,
        conn: &mut SqliteConnection,
        stated: &Head,
    ) -> Result<(), RowError> {
        self.replayed = true;
        // Page by page, so that no read lasts long; what is written meanwhile comes last.
        while self.page(conn).await? {}
        sqlx::raw_sql("BEGIN").execute(&mut *conn).await?;
        while self.page(conn).await? {}
        self.compare_head(conn, stated).await?;
        self.compare_rows(conn).await?;
        for mission_id in events::missions_with_gaps(conn, FINDINGS_MAX).await? {
            self.found(Finding::MissionGap { mission_id });
        }
        sqlx::raw_sql("COMMIT").execute(&mut *conn).await?;
        self.integrity(conn).await
    }

    /// Checks and replays the next events; says whether there were any.
    async fn page(&mut self, conn: &mut SqliteConnection) -> Result<bool, RowError> {
        let rows = events::after(conn, self.tail.seq, WALK_ROWS).await?;
        for row in &rows {
            self.event(conn, row).await?;
        }
        Ok(!rows.is_empty())
    }

    async fn event(&mut self, conn: &mut SqliteConnection, row: &EventRow) -> Result<(), RowError> {
        let seq = u64::try_from(row.seq).unwrap_or(0);
        let next = self.tail.seq + 1;
        let gap = seq != next;
        if gap {
            self.found(Finding::Missing { seq: next });
        }
        let hash = row.stored_hash()?;
        // After a gap the link cannot hold; the gap is named already.
        if !gap && row.link(&self.tail.hash) != hash {
            self.found(Finding::Altered { seq });
        }
        self.tail = Tail { seq, hash };
        match row.read() {
            Err(error) => {
                self.replayed = false;
                let why = error.to_string();
                self.found(Finding::Unreadable { seq, why });
            }
            Ok(event) => match project(conn, &event).await {
                Ok(()) => {}
                Err(RowError::Conflict { what, reason }) => {
                    let why = format!("{what}: {reason}");
                    self.found(Finding::Misfit { seq, why });
                }
                Err(error) => return Err(error),
            },
        }
        Ok(())
    }

    async fn compare_head(
        &mut self,
        conn: &mut SqliteConnection,
        stated: &Head,
    ) -> Result<(), RowError> {
        let why = match stated {
            Head::Missing => "it is missing".to_owned(),
            Head::Unreadable => "it cannot be read".to_owned(),
            Head::At(head) if head.seq > self.tail.seq => format!(
                "it says that {} events were acknowledged, {} are there",
                head.seq, self.tail.seq
            ),
            Head::At(head) => match events::hash_at(conn, head.seq).await? {
                Some(hash) if hash == head.hash => return Ok(()),
                _ => format!("event {} is not the one that was written", head.seq),
            },
        };
        self.found(Finding::Head { why });
        Ok(())
    }

    async fn compare_rows(&mut self, conn: &mut SqliteConnection) -> Result<(), RowError> {
        if !self.replayed {
            return Ok(());
        }
        for &(table, columns) in PROJECTED {
            let missing = difference(conn, table, columns, "main", "live").await?;
            let extra = difference(conn, table, columns, "live", "main").await?;
            if missing + extra > 0 {
                self.found(Finding::Rows { table: table.to_owned(), missing, extra });
            }
        }
        Ok(())
    }

    async fn integrity(&mut self, conn: &mut SqliteConnection) -> Result<(), RowError> {
        let said: Vec<String> =
            sqlx::query_scalar("PRAGMA live.integrity_check(20)").fetch_all(conn).await?;
        for why in said.into_iter().filter(|line| line != "ok") {
            self.found(Finding::File { why });
        }
        Ok(())
    }
}

/// Rows that are in one database and not in the other. Table and columns are constants from above.
async fn difference(
    conn: &mut SqliteConnection,
    table: &str,
    columns: &str,
    here: &str,
    there: &str,
) -> Result<u64, RowError> {
    let sql = format!(
        "SELECT COUNT(*) FROM (SELECT {columns} FROM {here}.{table} \
         EXCEPT SELECT {columns} FROM {there}.{table})"
    );
    let count: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(conn).await?;
    super::column::read_count("difference", count)
}
