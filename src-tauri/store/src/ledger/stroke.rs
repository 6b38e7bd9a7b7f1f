//! What is written to one row of a table, apart from when: the same write of many rows is one
//! statement, because handing a statement to SQLite's thread costs more than a row in it.
//!
//! Tested here and, with what is made of it, in `tests/ledger/commit.rs` and `tests/ledger/replay.rs`.

use sqlx::{AssertSqlSafe, SqliteConnection};
use uuid::Uuid;

use super::error::RowError;

/// How many rows a statement is made for. Few sizes, so that each is compiled once and kept; any
/// number of rows is made up of them.
const SIZES: [usize; 7] = [64, 32, 16, 8, 4, 2, 1];

/// A value of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Number(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl Value {
    /// Its size in bytes, about.
    fn size(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Null | Self::Number(_) => 0,
                Self::Text(text) => text.len(),
                Self::Bytes(bytes) => bytes.len(),
            }
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Number(value)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Number(value.into())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Number(value.into())
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<&String> for Value {
    fn from(value: &String) -> Self {
        Self::Text(value.clone())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Self::Bytes(value)
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// The values of one row, in the order of the statement's placeholders.
macro_rules! values {
    ($($value:expr),+ $(,)?) => {
        vec![$($crate::ledger::stroke::Value::from($value)),+]
    };
}
pub(crate) use values;

/// A statement around a list of rows: `head (?, ?), (?, ?) tail`.
#[derive(Debug)]
pub(crate) struct Rows {
    /// What stands before the rows.
    pub(crate) head: &'static str,
    /// Placeholders of a row.
    pub(crate) columns: usize,
    /// What stands after the rows.
    pub(crate) tail: &'static str,
    /// Whether each has to change exactly one row of the table.
    pub(crate) exact: bool,
}

impl Rows {
    /// The statement for `count` rows.
    fn sql(&self, count: usize) -> String {
        let row = format!("({})", vec!["?"; self.columns].join(", "));
        format!("{}{}{}", self.head, vec![row.as_str(); count].join(", "), self.tail)
    }

    /// Writes rows in their order; says whether each changed as many rows of the table as it has to.
    pub(crate) async fn write(
        &self,
        conn: &mut SqliteConnection,
        rows: Vec<Vec<Value>>,
    ) -> Result<bool, RowError> {
        let mut fits = true;
        let mut left = rows.len();
        let mut rows = rows.into_iter();
        while let Some(count) = SIZES.into_iter().find(|size| *size <= left) {
            left -= count;
            let mut query = sqlx::query(AssertSqlSafe(self.sql(count)));
            for value in rows.by_ref().take(count).flatten() {
                query = match value {
                    Value::Null => query.bind(None::<i64>),
                    Value::Number(number) => query.bind(number),
                    Value::Text(text) => query.bind(text),
                    Value::Bytes(bytes) => query.bind(bytes),
                };
            }
            let done = query.execute(&mut *conn).await?;
            fits &= !self.exact || done.rows_affected() == count as u64;
        }
        Ok(fits)
    }
}

/// One row that is to be written.
#[derive(Debug)]
pub(crate) struct Stroke {
    /// Which write it is.
    pub(crate) rows: &'static Rows,
    /// What it is about: writes about the same keep their order.
    pub(crate) subject: Option<Uuid>,
    /// The values.
    pub(crate) values: Vec<Value>,
}

impl Stroke {
    /// Its size in bytes, about.
    pub(crate) fn size(&self) -> usize {
        size_of_row(&self.values)
    }

    /// Writes it by itself; says whether it fits what is stored.
    pub(crate) async fn write(self, conn: &mut SqliteConnection) -> Result<bool, RowError> {
        self.rows.write(conn, vec![self.values]).await
    }
}

/// The size of a row in bytes, about.
pub(crate) fn size_of_row(values: &[Value]) -> usize {
    values.iter().map(Value::size).sum()
}

#[cfg(test)]
mod tests {
    use sqlx::Connection as _;

    use super::*;

    static PUT: Rows =
        Rows { head: "INSERT INTO t (a, b) VALUES ", columns: 2, tail: "", exact: true };
    static MOVE: Rows = Rows {
        head: "UPDATE t SET b = v.column2 FROM (VALUES ",
        columns: 2,
        tail: ") AS v WHERE a = v.column1",
        exact: true,
    };

    #[tokio::test]
    async fn any_number_of_rows_is_written_in_order_and_counted() {
        let mut conn = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        sqlx::raw_sql("CREATE TABLE t (place INTEGER PRIMARY KEY, a INTEGER UNIQUE, b TEXT)")
            .execute(&mut conn)
            .await
            .unwrap();
        for (first, count) in [(0_i64, 0_i64), (0, 1), (1, 3), (4, 87), (91, 200)] {
            let rows = (first..first + count).map(|n| values![n, n.to_string()]).collect();
            assert!(PUT.write(&mut conn, rows).await.unwrap(), "{count}");
        }
        let found: Vec<(i64, String)> =
            sqlx::query_as("SELECT a, b FROM t ORDER BY place").fetch_all(&mut conn).await.unwrap();
        let wanted: Vec<_> = (0..291).map(|n| (n, n.to_string())).collect();
        assert_eq!(found, wanted);
        let moved = |to: i64| (280..to).map(|n| values![n, None::<String>]).collect();
        assert!(MOVE.write(&mut conn, moved(291)).await.unwrap());
        assert!(!MOVE.write(&mut conn, moved(292)).await.unwrap(), "one of them is not there");
        assert!(PUT.write(&mut conn, vec![values![5_i64, "again"]]).await.is_err());
    }
}
