//! Plain rows in SQLite, as many programs keep their measurements.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};
use store::telemetry::Sample;

use super::{END_MS, Size, cpu_s, middle_and_p95, own, tell};

/// What a dashboard asks.
pub(crate) const QUESTIONS: [&str; 5] = [
    "1 h at 1 s of one series",
    "24 h of 50 series to 800 columns",
    "top 10 by CPU over 1 h",
    "sum of rates by label over 6 h",
    "p95 over 7 days",
];

/// Rows in one statement.
const ROWS: usize = 300;
const TIMES: usize = 10;

pub(crate) async fn measure(size: &Size, path: &Path) {
    let mut conn = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .connect()
        .await
        .unwrap();
    sqlx::raw_sql(
        "CREATE TABLE series (id INTEGER PRIMARY KEY, name TEXT, labels TEXT);
         CREATE TABLE samples (at INTEGER, series INTEGER, value REAL,
             PRIMARY KEY (series, at)) WITHOUT ROWID;",
    )
    .execute(&mut conn)
    .await
    .unwrap();
    let (written, cpu, mut samples) = (own("io", "write_bytes"), cpu_s(), 0_u64);
    let mut groups = size.groups();
    let mut id = 0_i64;
    let mut ids = Vec::new();
    for (shapes, _) in &groups {
        let first = id + 1;
        for shape in shapes {
            id += 1;
            let labels: Vec<String> =
                shape.key.labels.iter().map(|(label, value)| format!("{label}={value}")).collect();
            sqlx::query("INSERT INTO series (id, name, labels) VALUES (?1, ?2, ?3)")
                .bind(id)
                .bind(&shape.key.name)
                .bind(labels.join(","))
                .execute(&mut conn)
                .await
                .unwrap();
        }
        ids.push(first);
    }
    for second in END_MS / 1000 - size.longest_s()..END_MS / 1000 {
        let mut rows = Vec::new();
        for ((shapes, span), first) in groups.iter_mut().zip(&ids) {
            if second >= END_MS / 1000 - *span {
                rows.extend((*first..).zip(shapes.iter_mut().map(super::shapes::Shape::next)));
            }
        }
        samples += rows.len() as u64;
        insert(&mut conn, second * 1000, &rows).await;
    }
    tell("rows", "samples", samples as f64, "");
    tell("rows", "ingest", samples as f64 / (cpu_s() - cpu) / 1e6, "M samples/s of a core");
    let wrote = own("io", "write_bytes") - written;
    tell("rows", "written per sample", wrote / samples as f64, "B");
    sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut conn).await.unwrap();
    let stored = std::fs::metadata(path).unwrap().len() as f64;
    tell("rows", "stored per sample", stored / samples as f64, "B");
    ask(&mut conn, size).await;
    conn.close().await.unwrap();
}

/// One transaction a second, as a collector would write it.
async fn insert(conn: &mut SqliteConnection, at: i64, rows: &[(i64, f64)]) {
    let mut tx = conn.begin().await.unwrap();
    for rows in rows.chunks(ROWS) {
        let places = vec!["(?,?,?)"; rows.len()].join(",");
        let text = format!("INSERT INTO samples (at, series, value) VALUES {places}");
        let mut query = sqlx::query(sqlx::AssertSqlSafe(text));
        for (series, value) in rows {
            query = query.bind(at).bind(series).bind(value);
        }
        query.execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
}

async fn ask(conn: &mut SqliteConnection, size: &Size) {
    for (number, name) in QUESTIONS.iter().enumerate() {
        let (mut times, mut answer) = (Vec::new(), 0.0);
        while times.len() < TIMES && times.iter().sum::<f64>() < 20_000.0 {
            let started = Instant::now();
            answer = answer_to(number, conn, size).await;
            times.push(started.elapsed().as_secs_f64() * 1000.0);
        }
        let (middle, p95) = middle_and_p95(times);
        tell("rows", &format!("{name}: p50"), middle, "ms");
        tell("rows", &format!("{name}: p95"), p95, "ms");
        tell("rows", &format!("{name}: answer"), answer, "");
    }
}

async fn answer_to(number: usize, conn: &mut SqliteConnection, size: &Size) -> f64 {
    let since = |span_s: i64| END_MS - span_s * 1000;
    match number {
        0 => {
            let rows: Vec<(i64, f64)> = sqlx::query_as(
                "SELECT at, value FROM samples WHERE at >= ?1 AND series = (SELECT id FROM series
                 WHERE name = 'agent_cpu_percent' AND labels = 'agent=bee-0000')",
            )
            .bind(since(size.wide_s.min(3600)))
            .fetch_all(conn)
            .await
            .unwrap();
            rows.iter().map(|row| row.1).sum()
        }
        1 => {
            let rows: Vec<(i64, i64, f64)> = sqlx::query_as(
                "SELECT s.series, s.at / ?2, sum(s.value) FROM series AS n
                 JOIN samples AS s ON s.series = n.id AND s.at >= ?1
                 WHERE n.name = 'machine_core_cpu_percent' GROUP BY 1, 2",
            )
            .bind(since(size.deep_s))
            .bind((size.deep_s * 1000 / 800).max(1000))
            .fetch_all(conn)
            .await
            .unwrap();
            rows.iter().map(|row| row.2).sum()
        }
        2 => {
            let rows: Vec<(i64, f64)> = sqlx::query_as(
                "SELECT s.series, avg(s.value) AS mean FROM series AS n
                 JOIN samples AS s ON s.series = n.id AND s.at >= ?1
                 WHERE n.name = 'agent_cpu_percent' GROUP BY 1 ORDER BY mean DESC LIMIT 10",
            )
            .bind(since(size.wide_s.min(3600)))
            .fetch_all(conn)
            .await
            .unwrap();
            rows.iter().map(|row| row.1).sum()
        }
        3 => {
            let mut rates: BTreeMap<i64, f64> = BTreeMap::new();
            let series: Vec<i64> =
                sqlx::query_scalar("SELECT id FROM series WHERE name = 'agent_tokens_total'")
                    .fetch_all(&mut *conn)
                    .await
                    .unwrap();
            for id in series {
                let rows: Vec<(i64, f64)> = sqlx::query_as(
                    "SELECT at, value FROM samples WHERE series = ?1 AND at >= ?2 ORDER BY at",
                )
                .bind(id)
                .bind(since(size.wide_s))
                .fetch_all(&mut *conn)
                .await
                .unwrap();
                let sample = |row: &(i64, f64)| Sample { at_ms: row.0, value: row.1 };
                let samples: Vec<Sample> = rows.iter().map(sample).collect();
                super::ours::add_rates(&samples, &mut rates);
            }
            rates.values().sum()
        }
        _ => {
            let mut values: Vec<f64> = sqlx::query_scalar(
                "SELECT value FROM samples WHERE at >= ?1 AND series =
                 (SELECT id FROM series WHERE name = 'machine_cpu_percent')",
            )
            .bind(since(size.long_s))
            .fetch_all(conn)
            .await
            .unwrap();
            super::ours::p95_of(&mut values)
        }
    }
}
