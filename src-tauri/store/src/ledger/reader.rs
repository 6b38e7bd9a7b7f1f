//! Readers: a few read-only connections, each read with a deadline, because one forgotten read
//! keeps the write-ahead log from being emptied.

use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{Sqlite, SqliteConnection, SqlitePool};

use super::error::{CODE_INTERRUPT, ReadError, RowError, sqlite_code};

/// Connections that read at the same time.
const READERS_MAX: u32 = 4;
/// Steps of SQLite's machine between two looks at the clock.
const STEPS_PER_LOOK: i32 = 4_000;

/// Runs one query of a [`super::Ledger`] on a reader, by its deadline.
macro_rules! read {
    ($self:ident, $operation:literal, |$conn:ident| $query:expr) => {{
        let mut reading = $self.0.readers.begin($operation).await?;
        let $conn = &mut *reading;
        let result = $query.await;
        reading.end(result)
    }};
}
pub(crate) use read;

/// The pool of readers.
#[derive(Debug)]
pub(crate) struct Readers {
    pool: SqlitePool,
    deadline: Duration,
}

impl Readers {
    /// Prepares the pool; connections are made when they are needed.
    pub(crate) fn new(options: SqliteConnectOptions, deadline: Duration) -> Self {
        let pool = SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            .min_connections(0)
            .acquire_timeout(deadline)
            .test_before_acquire(false)
            .connect_lazy_with(options.pragma("query_only", "ON"));
        Self { pool, deadline }
    }

    /// Takes a connection for one read. Waiting for it counts towards the deadline.
    pub(crate) async fn begin(&self, operation: &'static str) -> Result<Reading, ReadError> {
        let mut reading = Reading { operation, deadline: self.deadline, conn: None };
        let until = Instant::now() + self.deadline;
        match self.arm(until).await {
            Ok(conn) => {
                reading.conn = Some(conn);
                Ok(reading)
            }
            Err(error) => Err(reading.error(error.into())),
        }
    }

    async fn arm(&self, until: Instant) -> Result<PoolConnection<Sqlite>, sqlx::Error> {
        let mut conn = self.pool.acquire().await?;
        conn.lock_handle()
            .await?
            .set_progress_handler(STEPS_PER_LOOK, move || Instant::now() < until);
        Ok(conn)
    }

    /// Closes every connection.
    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}

/// One read under way.
pub(crate) struct Reading {
    operation: &'static str,
    deadline: Duration,
    conn: Option<PoolConnection<Sqlite>>,
}

impl Reading {
    /// Gives the connection back and names what went wrong.
    pub(crate) fn end<T>(self, result: Result<T, RowError>) -> Result<T, ReadError> {
        result.map_err(|error| self.error(error))
    }

    fn error(&self, error: RowError) -> ReadError {
        let operation = self.operation;
        match error {
            RowError::Sql(sqlx::Error::PoolClosed) => ReadError::Closed { operation },
            RowError::Sql(error) if is_deadline(&error) => {
                ReadError::Deadline { operation, seconds: self.deadline.as_secs_f64() }
            }
            RowError::Sql(source) => ReadError::Storage { operation, source },
            RowError::Unreadable { column, source } => {
                ReadError::Unreadable { operation, column, source }
            }
            RowError::Conflict { what, reason } => {
                ReadError::Unreadable { operation, column: what, source: reason.into() }
            }
        }
    }
}

fn is_deadline(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::PoolTimedOut) || sqlite_code(error) == Some(CODE_INTERRUPT)
}

impl Deref for Reading {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        self.conn.as_ref().expect("a reading holds its connection until it is dropped")
    }
}

impl DerefMut for Reading {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        self.conn.as_mut().expect("a reading holds its connection until it is dropped")
    }
}
