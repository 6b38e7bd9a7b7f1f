//! The table `missions` as lists: by filter, by dependency, by text, and how many there are.
//!
//! Tested in `tests/ledger/commit.rs` and `tests/ledger/lists.rs`.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use model::id::{AgentId, MissionId, ShortId};
use model::mission::{Mission, MissionState};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::missions::{columns, read};
use crate::ledger::column;
use crate::ledger::error::RowError;
use crate::ledger::page::{collect, like, push_list};

/// The most missions, unfinished and finished, whose texts are handed out at once.
pub const TEXTS_MAX: (u32, u32) = (2_000, 500);
/// How much of a brief is compared with others, in bytes.
pub const TEXT_BYTES_MAX: usize = 16 * 1024;

/// Which missions to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MissionFilter {
    /// Only these states; empty means all.
    pub states: Vec<MissionState>,
    /// Only those the captain gave to this agent.
    pub agent: Option<AgentId>,
    /// Only those with this label.
    pub label: Option<String>,
    /// Only those that work on this repository.
    pub repository: Option<String>,
    /// Only those under the policy of this name.
    pub policy: Option<String>,
    /// Only those with this text in their title, short id or external id, whatever the case.
    pub text: Option<String>,
    /// Where to go on, from the page before.
    pub cursor: Option<String>,
    /// How many, at most [`crate::ledger::PAGE_ROWS_MAX`].
    pub limit: u32,
}

/// Where a mission stands, even a removed one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissionStanding {
    /// The mission.
    pub id: MissionId,
    /// Its readable id.
    pub short_id: ShortId,
    /// Where it stands.
    pub state: MissionState,
    /// Whether it was taken off the lists.
    pub removed: bool,
}

/// The words of a mission, for finding others that say the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissionText {
    /// The mission.
    pub id: MissionId,
    /// Its readable id.
    pub short_id: ShortId,
    /// Its title.
    pub title: String,
    /// The beginning of its brief, at most [`TEXT_BYTES_MAX`].
    pub brief: String,
    /// Where it stands.
    pub state: MissionState,
}

/// Missions that match, newest first, at most `limit`. Each state walks its own index, so that the
/// cost does not grow with the missions of other states.
pub(crate) async fn list(
    conn: &mut SqliteConnection,
    filter: &MissionFilter,
    before: Option<MissionId>,
    limit: usize,
) -> Result<Vec<Mission>, RowError> {
    let mut states = filter.states.clone();
    states.sort_unstable();
    states.dedup();
    if states.is_empty() {
        return list_of(conn, filter, None, before, limit).await;
    }
    let mut all = Vec::new();
    for state in states {
        all.extend(list_of(conn, filter, Some(state), before, limit).await?);
    }
    all.sort_unstable_by_key(|mission| Reverse(mission.id));
    all.truncate(limit);
    Ok(all)
}

async fn list_of(
    conn: &mut SqliteConnection,
    filter: &MissionFilter,
    state: Option<MissionState>,
    before: Option<MissionId>,
    limit: usize,
) -> Result<Vec<Mission>, RowError> {
    let mut query = QueryBuilder::<Sqlite>::new(concat!(
        "SELECT ",
        columns!(),
        " FROM missions WHERE removed_seq IS NULL"
    ));
    narrow(&mut query, filter, state);
    if let Some(before) = before {
        query.push(" AND id < ");
        query.push_bind(column::id(before.as_uuid()));
    }
    query.push(" ORDER BY id DESC LIMIT ").push_bind(limit as i64);
    collect(query.build_query_as().fetch_all(conn).await?, read)
}

fn narrow(query: &mut QueryBuilder<Sqlite>, filter: &MissionFilter, state: Option<MissionState>) {
    if let Some(state) = state {
        query.push(" AND state = ").push_bind(state.as_str());
    }
    if let Some(agent) = filter.agent {
        query.push(" AND agent_id = ");
        query.push_bind(column::id(agent.as_uuid()));
    }
    if let Some(repository) = &filter.repository {
        query.push(" AND repository = ").push_bind(repository.clone());
    }
    if let Some(policy) = &filter.policy {
        query.push(" AND policy = ").push_bind(policy.clone());
    }
    if let Some(label) = &filter.label {
        query.push(" AND id IN (SELECT mission_id FROM mission_labels WHERE label = ");
        query.push_bind(label.clone()).push(")");
    }
    if let Some(text) = filter.text.as_deref().map(str::trim).filter(|t| !t.is_empty()) {
        let pattern = like(&text.to_lowercase());
        query.push(" AND (title_key LIKE ").push_bind(pattern.clone());
        query.push(" ESCAPE '\\' OR short_id LIKE ").push_bind(pattern.clone());
        query.push(" ESCAPE '\\' OR external_id LIKE ").push_bind(pattern);
        query.push(" ESCAPE '\\')");
    }
}

/// The missions with these ids, removed ones included, in no particular order.
pub(crate) async fn by_id(
    conn: &mut SqliteConnection,
    ids: &[MissionId],
) -> Result<Vec<Mission>, RowError> {
    let mut found = Vec::with_capacity(ids.len());
    for some in ids.chunks(500) {
        let mut query = QueryBuilder::<Sqlite>::new(concat!(
            "SELECT ",
            columns!(),
            " FROM missions WHERE id IN ("
        ));
        push_list(&mut query, some.iter().map(|id| column::id(id.as_uuid())));
        query.push(")");
        found.extend(collect(query.build_query_as().fetch_all(&mut *conn).await?, read)?);
    }
    Ok(found)
}

/// Missions whose short id begins with `prefix`, as [`ShortId::normalise`] writes it.
pub(crate) async fn find(
    conn: &mut SqliteConnection,
    prefix: &str,
    limit: usize,
) -> Result<Vec<Mission>, RowError> {
    // Every character of a short id sorts before '~', so this is the range of the prefix.
    let rows = sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        " FROM missions WHERE short_id >= ?1 AND short_id < ?1 || '~' AND removed_seq IS NULL \
         ORDER BY short_id LIMIT ?2"
    ))
    .bind(prefix)
    .bind(limit as i64)
    .fetch_all(conn)
    .await?;
    collect(rows, read)
}

/// Every mission that is not in a final state, oldest first.
pub(crate) async fn unfinished(conn: &mut SqliteConnection) -> Result<Vec<Mission>, RowError> {
    let rows = sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        " FROM missions WHERE removed_seq IS NULL \
         AND state NOT IN ('done', 'failed', 'cancelled') ORDER BY id"
    ))
    .fetch_all(conn)
    .await?;
    collect(rows, read)
}

/// How many missions stand in each state that has any.
pub(crate) async fn counts(
    conn: &mut SqliteConnection,
) -> Result<BTreeMap<MissionState, u64>, RowError> {
    let rows: Vec<(String, i64)> =
        sqlx::query_as("SELECT state, n FROM mission_counts WHERE n > 0").fetch_all(conn).await?;
    rows.into_iter()
        .map(|(state, count)| {
            let state = column::read_word("mission_counts.state", state)?;
            Ok((state, column::read_count("mission_counts.n", count)?))
        })
        .collect()
}

/// Unfinished missions that cannot start before this one is done, oldest first.
pub(crate) async fn dependents(
    conn: &mut SqliteConnection,
    id: MissionId,
) -> Result<Vec<MissionId>, RowError> {
    let rows: Vec<Vec<u8>> = sqlx::query_scalar(
        "SELECT id FROM missions WHERE removed_seq IS NULL \
         AND state NOT IN ('done', 'failed', 'cancelled') AND depends_on <> '[]' \
         AND EXISTS (SELECT 1 FROM json_each(depends_on) WHERE value = ?) ORDER BY id",
    )
    .bind(id.to_string())
    .fetch_all(conn)
    .await?;
    collect(rows, |id| column::read_id("missions.id", &id, MissionId::from_uuid))
}

/// Where these missions stand, removed ones included, in no particular order.
pub(crate) async fn standings(
    conn: &mut SqliteConnection,
    ids: &[MissionId],
) -> Result<Vec<MissionStanding>, RowError> {
    let mut found = Vec::with_capacity(ids.len());
    for some in ids.chunks(500) {
        let mut query = QueryBuilder::<Sqlite>::new(
            "SELECT id, short_id, state, removed_seq IS NOT NULL FROM missions WHERE id IN (",
        );
        push_list(&mut query, some.iter().map(|id| column::id(id.as_uuid())));
        query.push(")");
        let rows: Vec<(Vec<u8>, String, String, bool)> =
            query.build_query_as().fetch_all(&mut *conn).await?;
        for (id, short_id, state, removed) in rows {
            found.push(MissionStanding {
                id: column::read_id("missions.id", &id, MissionId::from_uuid)?,
                short_id: column::read_word("missions.short_id", short_id)?,
                state: column::read_word("missions.state", state)?,
                removed,
            });
        }
    }
    Ok(found)
}

/// The words of missions, newest first: of those that are unfinished, then of those that are not.
pub(crate) async fn texts(
    conn: &mut SqliteConnection,
    limit: usize,
) -> Result<Vec<MissionText>, RowError> {
    let (unfinished_max, finished_max) = TEXTS_MAX;
    let of = |state: MissionState| if state.is_final() { finished_max } else { unfinished_max };
    let (mut unfinished, mut finished) = (Vec::new(), Vec::new());
    for state in MissionState::ALL {
        let found = texts_of(conn, state, limit.min(of(state) as usize)).await?;
        if state.is_final() { finished.extend(found) } else { unfinished.extend(found) }
    }
    for (texts, most) in [(&mut unfinished, unfinished_max), (&mut finished, finished_max)] {
        texts.sort_unstable_by_key(|text| Reverse(text.id));
        texts.truncate(most as usize);
    }
    unfinished.append(&mut finished);
    unfinished.truncate(limit);
    Ok(unfinished)
}

/// Each state walks its own index, as in [`list`].
async fn texts_of(
    conn: &mut SqliteConnection,
    state: MissionState,
    limit: usize,
) -> Result<Vec<MissionText>, RowError> {
    // A character has at least one byte, so that this is enough of them.
    let rows: Vec<(Vec<u8>, String, String, String)> = sqlx::query_as(
        "SELECT id, short_id, title, substr(briefs.text, 1, ?) FROM missions \
         JOIN briefs ON briefs.mission_id = missions.id \
         WHERE removed_seq IS NULL AND state = ? ORDER BY id DESC LIMIT ?",
    )
    .bind(TEXT_BYTES_MAX as i64)
    .bind(state.as_str())
    .bind(limit as i64)
    .fetch_all(conn)
    .await?;
    collect(rows, |(id, short_id, title, mut brief)| {
        brief.truncate(brief.floor_char_boundary(TEXT_BYTES_MAX));
        Ok(MissionText {
            id: column::read_id("missions.id", &id, MissionId::from_uuid)?,
            short_id: column::read_word("missions.short_id", short_id)?,
            title,
            brief,
            state,
        })
    })
}
