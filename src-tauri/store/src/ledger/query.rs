//! The shapes that most statements about rows have: one by its id, those of something, and lists that
//! are narrowed and cut into pages.
//!
//! Tested with the tables that use them.

use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, QueryBuilder, Sqlite, SqliteConnection};
use uuid::Uuid;

use super::column;
use super::error::RowError;
use super::page::collect;

/// A row as it is read.
pub(crate) trait Row: for<'r> FromRow<'r, SqliteRow> + Send + Unpin {}

impl<R: for<'r> FromRow<'r, SqliteRow> + Send + Unpin> Row for R {}

/// The row that a statement finds by an id.
pub(crate) async fn one<R: Row, T>(
    conn: &mut SqliteConnection,
    sql: &'static str,
    id: Uuid,
    read: impl FnOnce(R) -> Result<T, RowError>,
) -> Result<Option<T>, RowError> {
    let row: Option<R> = sqlx::query_as(sql).bind(column::id(id)).fetch_optional(conn).await?;
    row.map(read).transpose()
}

/// Every row that a statement finds by an id.
pub(crate) async fn all_of<R: Row, T>(
    conn: &mut SqliteConnection,
    sql: &'static str,
    id: Uuid,
    read: impl Fn(R) -> Result<T, RowError>,
) -> Result<Vec<T>, RowError> {
    collect(sqlx::query_as(sql).bind(column::id(id)).fetch_all(conn).await?, read)
}

/// The rows that a statement finds by an id, at most `limit`, its second value.
pub(crate) async fn some_of<R: Row, T>(
    conn: &mut SqliteConnection,
    sql: &'static str,
    id: Uuid,
    limit: usize,
    read: impl Fn(R) -> Result<T, RowError>,
) -> Result<Vec<T>, RowError> {
    let query = sqlx::query_as(sql).bind(column::id(id)).bind(limit as i64);
    collect(query.fetch_all(conn).await?, read)
}

/// Narrows a list to the rows with this id in a column, where there is one. `condition` is the column
/// with what comes before and after it, such as ` AND agent_id = `.
pub(crate) fn narrow(query: &mut QueryBuilder<Sqlite>, condition: &'static str, id: Option<Uuid>) {
    if let Some(id) = id {
        query.push(condition).push_bind(column::id(id));
    }
}

/// Cuts a list into pages by the id, newest first.
pub(crate) fn page(query: &mut QueryBuilder<Sqlite>, before: Option<Uuid>, limit: usize) {
    narrow(query, " AND id < ", before);
    query.push(" ORDER BY id DESC LIMIT ").push_bind(limit as i64);
}
