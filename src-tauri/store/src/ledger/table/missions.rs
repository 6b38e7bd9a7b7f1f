//! The table `missions`, and `briefs` beside it: their rows, and how facts change them.
//!
//! Tested in `tests/ledger/commit.rs` and by the replay in `tests/ledger/replay.rs`.

use jiff::Timestamp;
use model::event::Fact;
use model::id::{AgentId, MissionId, ShortId};
use model::mission::{Criterion, Handoff, Merge, Mission, Progress};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteQueryResult;

use crate::ledger::column;
use crate::ledger::error::RowError;
use crate::ledger::stroke::{Rows, Stroke, values};

#[derive(sqlx::FromRow)]
pub(super) struct MissionRow {
    id: Vec<u8>,
    short_id: String,
    title: String,
    state: String,
    note: Option<String>,
    priority: String,
    policy: String,
    proof: Option<String>,
    agent_id: Option<Vec<u8>>,
    repository: Option<String>,
    target: Option<String>,
    links: String,
    gates: String,
    retries_max: i64,
    backoff_s: i64,
    hand_over: bool,
    attempts: i64,
    tries: i64,
    recoveries: i64,
    not_before: Option<String>,
    handoff: Option<String>,
    labels: String,
    skills: String,
    depends_on: String,
    deadline: Option<String>,
    estimate: Option<String>,
    criteria: String,
    progress: Option<String>,
    external_id: Option<String>,
    unattended: bool,
    merged: Option<String>,
    grade: String,
    demo: bool,
    created_at: String,
    updated_at: String,
}

macro_rules! columns {
    () => {
        "id, short_id, title, state, note, priority, policy, proof, agent_id, repository, target, \
         links, gates, retries_max, backoff_s, hand_over, attempts, tries, recoveries, not_before, \
         handoff, labels, skills, depends_on, deadline, estimate, criteria, progress, external_id, \
         unattended, merged, grade, demo, created_at, updated_at"
    };
}
pub(super) use columns;

pub(super) fn read(row: MissionRow) -> Result<Mission, RowError> {
    let agent = row.agent_id.as_deref();
    Ok(Mission {
        id: column::read_id("missions.id", &row.id, MissionId::from_uuid)?,
        short_id: column::read_word("missions.short_id", row.short_id)?,
        title: row.title,
        state: column::read_word("missions.state", row.state)?,
        note: row.note,
        priority: column::read_word("missions.priority", row.priority)?,
        policy: row.policy,
        proof: row.proof.map(|word| column::read_word("missions.proof", word)).transpose()?,
        agent: column::read_id_opt("missions.agent_id", agent, AgentId::from_uuid)?,
        repository: row.repository,
        target: row.target,
        links: column::read_json("missions.links", &row.links)?,
        gates: column::read_json("missions.gates", &row.gates)?,
        retries_max: column::read_small("missions.retries_max", row.retries_max)?,
        backoff_s: column::read_small("missions.backoff_s", row.backoff_s)?,
        hand_over: row.hand_over,
        attempts: column::read_small("missions.attempts", row.attempts)?,
        tries: column::read_small("missions.tries", row.tries)?,
        recoveries: column::read_small("missions.recoveries", row.recoveries)?,
        not_before: column::read_time_opt("missions.not_before", row.not_before.as_deref())?,
        handoff: column::read_json_opt("missions.handoff", row.handoff.as_deref())?,
        labels: column::read_json("missions.labels", &row.labels)?,
        skills: column::read_json("missions.skills", &row.skills)?,
        depends_on: column::read_json("missions.depends_on", &row.depends_on)?,
        deadline: column::read_time_opt("missions.deadline", row.deadline.as_deref())?,
        estimate: column::read_json_opt("missions.estimate", row.estimate.as_deref())?,
        criteria: column::read_json("missions.criteria", &row.criteria)?,
        progress: column::read_json_opt("missions.progress", row.progress.as_deref())?,
        external_id: row.external_id,
        unattended: row.unattended,
        merged: column::read_json_opt("missions.merged", row.merged.as_deref())?,
        grade: column::read_word("missions.grade", row.grade)?,
        demo: row.demo,
        created_at: column::read_time("missions.created_at", &row.created_at)?,
        updated_at: column::read_time("missions.updated_at", &row.updated_at)?,
    })
}

fn one(done: &SqliteQueryResult) -> bool {
    done.rows_affected() == 1
}

static INSERT: Rows = Rows {
    head: concat!("INSERT INTO missions (", columns!(), ", title_key) VALUES "),
    columns: 36,
    tail: "",
    exact: true,
};

static BRIEF: Rows = Rows {
    head: "INSERT INTO briefs (mission_id, text) VALUES ",
    columns: 2,
    tail: "",
    exact: true,
};

/// Adds a mission.
pub(crate) fn insert(mission: &Mission, brief: &str) -> Result<Vec<Stroke>, RowError> {
    let id = mission.id.as_uuid();
    let values = values![
        column::id(mission.id.as_uuid()),
        mission.short_id.as_str(),
        &mission.title,
        mission.state.as_str(),
        mission.note.as_ref(),
        column::word("missions.priority", &mission.priority)?,
        &mission.policy,
        mission.proof.map(|grade| grade.as_str()),
        mission.agent.map(|id| column::id(id.as_uuid())),
        mission.repository.as_ref(),
        mission.target.as_ref(),
        column::json("missions.links", &mission.links)?,
        column::json("missions.gates", &mission.gates)?,
        mission.retries_max,
        mission.backoff_s,
        mission.hand_over,
        mission.attempts,
        mission.tries,
        mission.recoveries,
        mission.not_before.map(column::time),
        column::json_opt("missions.handoff", mission.handoff.as_ref())?,
        column::json("missions.labels", &mission.labels)?,
        column::json("missions.skills", &mission.skills)?,
        column::json("missions.depends_on", &mission.depends_on)?,
        mission.deadline.map(column::time),
        column::json_opt("missions.estimate", mission.estimate.as_ref())?,
        column::json("missions.criteria", &mission.criteria)?,
        column::json_opt("missions.progress", mission.progress.as_ref())?,
        mission.external_id.as_ref(),
        mission.unattended,
        column::json_opt("missions.merged", mission.merged.as_ref())?,
        mission.grade.as_str(),
        mission.demo,
        column::time(mission.created_at),
        column::time(mission.updated_at),
        mission.title.to_lowercase(),
    ];
    let mission = Stroke { rows: &INSERT, subject: Some(id), values };
    let values = values![column::id(id), brief];
    Ok(vec![mission, Stroke { rows: &BRIEF, subject: Some(id), values }])
}

/// Replaces what the captain can edit, and the brief where there is a new one; says whether the
/// mission was there. Where it stands, and what came of it, stays.
pub(crate) async fn change(
    conn: &mut SqliteConnection,
    mission: &Mission,
    brief: Option<&str>,
    at: Timestamp,
) -> Result<bool, RowError> {
    let done = sqlx::query(
        "UPDATE missions SET title = ?, title_key = ?, priority = ?, policy = ?, proof = ?, \
         agent_id = ?, repository = ?, target = ?, links = ?, gates = ?, retries_max = ?, \
         backoff_s = ?, hand_over = ?, labels = ?, skills = ?, depends_on = ?, deadline = ?, \
         estimate = ?, criteria = ?, external_id = ?, unattended = ?, updated_at = ? \
         WHERE id = ? AND removed_seq IS NULL",
    )
    .bind(&mission.title)
    .bind(mission.title.to_lowercase())
    .bind(column::word("missions.priority", &mission.priority)?)
    .bind(&mission.policy)
    .bind(mission.proof.map(|grade| grade.as_str()))
    .bind(mission.agent.map(|id| column::id(id.as_uuid())))
    .bind(&mission.repository)
    .bind(&mission.target)
    .bind(column::json("missions.links", &mission.links)?)
    .bind(column::json("missions.gates", &mission.gates)?)
    .bind(i64::from(mission.retries_max))
    .bind(i64::from(mission.backoff_s))
    .bind(mission.hand_over)
    .bind(column::json("missions.labels", &mission.labels)?)
    .bind(column::json("missions.skills", &mission.skills)?)
    .bind(column::json("missions.depends_on", &mission.depends_on)?)
    .bind(mission.deadline.map(column::time))
    .bind(column::json_opt("missions.estimate", mission.estimate.as_ref())?)
    .bind(column::json("missions.criteria", &mission.criteria)?)
    .bind(&mission.external_id)
    .bind(mission.unattended)
    .bind(column::time(at))
    .bind(column::id(mission.id.as_uuid()))
    .execute(&mut *conn)
    .await?;
    let (true, Some(brief)) = (one(&done), brief) else {
        return Ok(one(&done));
    };
    let done = sqlx::query("UPDATE briefs SET text = ? WHERE mission_id = ?")
        .bind(brief)
        .bind(column::id(mission.id.as_uuid()))
        .execute(conn)
        .await?;
    Ok(one(&done))
}

static SHIFT: Rows = Rows {
    head: "UPDATE missions SET state = v.column1, note = v.column2, grade = v.column3, \
           tries = v.column4, recoveries = v.column5, not_before = v.column6, \
           updated_at = v.column7 FROM (VALUES ",
    columns: 9,
    tail: ") AS v WHERE id = v.column8 AND state = v.column9",
    exact: true,
};

/// Moves a mission as a [`Fact::MissionMoved`] says; fits where it stood where it should.
pub(crate) fn shift(fact: &Fact, at: Timestamp) -> Option<Stroke> {
    let Fact::MissionMoved { mission_id, from, to, note, grade, tries, recoveries, not_before } =
        fact
    else {
        return None;
    };
    let values = values![
        to.as_str(),
        note.as_ref(),
        grade.as_str(),
        *tries,
        *recoveries,
        not_before.map(column::time),
        column::time(at),
        column::id(mission_id.as_uuid()),
        from.as_str(),
    ];
    Some(Stroke { rows: &SHIFT, subject: Some(mission_id.as_uuid()), values })
}

/// Sets the chosen agent. Like the others below: says whether the mission was there.
pub(crate) async fn assign(
    conn: &mut SqliteConnection,
    id: MissionId,
    agent: Option<AgentId>,
    at: Timestamp,
) -> Result<bool, RowError> {
    let done = sqlx::query(
        "UPDATE missions SET agent_id = ?, updated_at = ? WHERE id = ? AND removed_seq IS NULL",
    )
    .bind(agent.map(|id| column::id(id.as_uuid())))
    .bind(column::time(at))
    .bind(column::id(id.as_uuid()))
    .execute(conn)
    .await?;
    Ok(one(&done))
}

/// Sets how far it is.
pub(crate) async fn progress(
    conn: &mut SqliteConnection,
    id: MissionId,
    progress: &Progress,
    criteria: &[Criterion],
    at: Timestamp,
) -> Result<bool, RowError> {
    let done = sqlx::query(
        "UPDATE missions SET progress = ?, criteria = ?, updated_at = ? \
         WHERE id = ? AND removed_seq IS NULL",
    )
    .bind(column::json("missions.progress", progress)?)
    .bind(column::json("missions.criteria", &criteria)?)
    .bind(column::time(at))
    .bind(column::id(id.as_uuid()))
    .execute(conn)
    .await?;
    Ok(one(&done))
}

static HAND_OFF: Rows = Rows {
    head: "UPDATE missions SET handoff = v.column1, updated_at = v.column2 FROM (VALUES ",
    columns: 3,
    tail: ") AS v WHERE id = v.column3",
    exact: true,
};

/// Sets what the next attempt needs to know.
pub(crate) fn hand_off(
    id: MissionId,
    handoff: Option<&Handoff>,
    at: Timestamp,
) -> Result<Stroke, RowError> {
    let handoff = column::json_opt("missions.handoff", handoff)?;
    let values = values![handoff, column::time(at), column::id(id.as_uuid())];
    Ok(Stroke { rows: &HAND_OFF, subject: Some(id.as_uuid()), values })
}

/// Sets where its work went.
pub(crate) async fn merge(
    conn: &mut SqliteConnection,
    id: MissionId,
    merge: &Merge,
    at: Timestamp,
) -> Result<bool, RowError> {
    let done = sqlx::query("UPDATE missions SET merged = ?, updated_at = ? WHERE id = ?")
        .bind(column::json("missions.merged", merge)?)
        .bind(column::time(at))
        .bind(column::id(id.as_uuid()))
        .execute(conn)
        .await?;
    Ok(one(&done))
}

static COUNT_ATTEMPT: Rows = Rows {
    head: "UPDATE missions SET attempts = v.column1, updated_at = v.column2 FROM (VALUES ",
    columns: 3,
    tail: ") AS v WHERE id = v.column3 AND attempts = v.column1 - 1",
    exact: true,
};

/// Counts attempt `n`; fits where it is the one after the last.
pub(crate) fn count_attempt(id: MissionId, n: u32, at: Timestamp) -> Stroke {
    let values = values![n, column::time(at), column::id(id.as_uuid())];
    Stroke { rows: &COUNT_ATTEMPT, subject: Some(id.as_uuid()), values }
}

/// Marks a mission as removed; says whether it was there.
pub(crate) async fn remove(
    conn: &mut SqliteConnection,
    id: MissionId,
    seq: u64,
) -> Result<bool, RowError> {
    let done =
        sqlx::query("UPDATE missions SET removed_seq = ? WHERE id = ? AND removed_seq IS NULL")
            .bind(column::count(seq))
            .bind(column::id(id.as_uuid()))
            .execute(conn)
            .await?;
    Ok(one(&done))
}

/// Puts a removed mission back on the lists; says whether it was removed.
pub(crate) async fn restore(conn: &mut SqliteConnection, id: MissionId) -> Result<bool, RowError> {
    let done = sqlx::query(
        "UPDATE missions SET removed_seq = NULL WHERE id = ? AND removed_seq IS NOT NULL",
    )
    .bind(column::id(id.as_uuid()))
    .execute(conn)
    .await?;
    Ok(one(&done))
}

#[derive(sqlx::FromRow)]
struct Found {
    #[sqlx(flatten)]
    row: MissionRow,
    brief: String,
    removed: bool,
}

macro_rules! with_brief {
    () => {
        concat!(
            "SELECT ",
            columns!(),
            ", briefs.text AS brief, removed_seq IS NOT NULL AS removed \
             FROM missions JOIN briefs ON briefs.mission_id = missions.id WHERE "
        )
    };
}

/// One mission with its brief and whether it is removed.
pub(crate) async fn get(
    conn: &mut SqliteConnection,
    id: MissionId,
) -> Result<Option<(Mission, String, bool)>, RowError> {
    let found: Option<Found> = sqlx::query_as(concat!(with_brief!(), "missions.id = ?"))
        .bind(column::id(id.as_uuid()))
        .fetch_optional(conn)
        .await?;
    found.map(|found| Ok((read(found.row)?, found.brief, found.removed))).transpose()
}

/// The mission that is not removed with this name where it was imported from.
pub(crate) async fn by_external_id(
    conn: &mut SqliteConnection,
    external_id: &str,
) -> Result<Option<(Mission, String)>, RowError> {
    let found: Option<Found> =
        sqlx::query_as(concat!(with_brief!(), "external_id = ? AND removed_seq IS NULL"))
            .bind(external_id)
            .fetch_optional(conn)
            .await?;
    found.map(|found| Ok((read(found.row)?, found.brief))).transpose()
}

/// Where a mission stands, for the text of a conflict.
pub(crate) async fn state(
    conn: &mut SqliteConnection,
    id: MissionId,
) -> Result<Option<String>, RowError> {
    Ok(sqlx::query_scalar("SELECT state FROM missions WHERE id = ?")
        .bind(column::id(id.as_uuid()))
        .fetch_optional(conn)
        .await?)
}

/// Whether a short id was ever given, even to a mission since removed.
pub(crate) async fn short_id_taken(
    conn: &mut SqliteConnection,
    short: &ShortId,
) -> Result<bool, RowError> {
    let taken = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM missions WHERE short_id = ?)")
        .bind(short.as_str())
        .fetch_one(conn)
        .await?;
    Ok(taken)
}

/// Those of these short ids that were ever given.
pub(crate) async fn short_ids_taken(
    conn: &mut SqliteConnection,
    shorts: &[ShortId],
) -> Result<Vec<ShortId>, RowError> {
    let wanted: Vec<&str> = shorts.iter().map(ShortId::as_str).collect();
    let taken: Vec<String> = sqlx::query_scalar(
        "SELECT short_id FROM missions WHERE short_id IN (SELECT value FROM json_each(?))",
    )
    .bind(column::json("missions.short_id", &wanted)?)
    .fetch_all(conn)
    .await?;
    taken.into_iter().map(|word| column::read_word("missions.short_id", word)).collect()
}
