//! What can only be tested from inside: shorter deadlines, other schemas, failing writes.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use model::clock::{Clock, SharedClock, SystemClock};
use model::event::{Actor, Fact, NewEvent, Subject};
use model::id::{EventId, SystemDraw};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{ConnectOptions, SqlSafeStr};

use super::open::MIGRATOR;
use super::*;

/// A ledger of an older program is brought along.
mod migration;

fn clock() -> SharedClock {
    Arc::new(SystemClock)
}

fn started() -> Change {
    Change::events(vec![NewEvent {
        id: EventId::draw(SystemClock.now(), &mut SystemDraw),
        at: SystemClock.now(),
        actor: Actor::Engine,
        correlation_id: None,
        subject: Subject::default(),
        fact: Fact::EngineStopped,
    }])
}

/// A schema from the future: one step more than ours.
static NEWER: LazyLock<Migrator> = LazyLock::new(|| {
    let mut steps: Vec<Migration> = MIGRATOR.iter().cloned().collect();
    steps.push(Migration::new(
        9_000,
        "future".into(),
        MigrationType::Simple,
        "CREATE TABLE later (x INTEGER) STRICT".into_sql_str(),
        false,
    ));
    Migrator::with_migrations(steps)
});

fn newer() -> Settings {
    Settings { migrator: &NEWER, ..Settings::default() }
}

#[test]
fn what_the_ledger_does_can_be_awaited_in_any_task() {
    fn sendable<T: Send>(_: impl FnOnce(Ledger) -> T) {}
    sendable(|ledger| async move { ledger.commit(Change::default()).await });
    sendable(|ledger| async move { ledger.missions(MissionFilter::default()).await });
    sendable(|ledger| async move { ledger.events(EventFilter::default()).await });
    sendable(|ledger| async move { ledger.find_missions("M-", 1).await });
    sendable(|ledger| async move { ledger.counts().await });
    sendable(|ledger| async move { ledger.verify().await });
    sendable(|ledger| async move { ledger.close().await });
}

#[tokio::test]
async fn a_read_that_takes_too_long_is_ended_and_the_reader_can_be_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { read_deadline: Duration::from_millis(100), ..Settings::default() };
    let ledger = Ledger::open_with(dir.path(), clock(), settings).await.unwrap();
    for _ in 0..6 {
        let mut reading = ledger.0.readers.begin("count forever").await.unwrap();
        let endless = sqlx::query_scalar::<_, i64>(
            "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) \
             SELECT COUNT(*) FROM n",
        )
        .fetch_one(&mut *reading)
        .await;
        let error = reading.end(endless.map_err(Into::into)).unwrap_err();
        assert!(matches!(error, ReadError::Deadline { .. }), "{error}");
    }
    assert_eq!(ledger.counts().await.unwrap(), Counts::default());
    ledger.close().await;
}

#[tokio::test]
async fn waiting_for_a_free_reader_has_the_same_deadline() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { read_deadline: Duration::from_millis(100), ..Settings::default() };
    let ledger = Ledger::open_with(dir.path(), clock(), settings).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(ledger.0.readers.begin("hold").await.unwrap());
    }
    let error = ledger.agents().await.unwrap_err();
    assert!(matches!(error, ReadError::Deadline { .. }), "{error}");
    drop(held);
    assert!(ledger.agents().await.unwrap().is_empty());
}

#[tokio::test]
async fn readers_cannot_write() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open_with(dir.path(), clock(), Settings::default()).await.unwrap();
    let mut reading = ledger.0.readers.begin("write").await.unwrap();
    let written = sqlx::query("DELETE FROM events").execute(&mut *reading).await;
    assert!(written.unwrap_err().to_string().contains("readonly"));
}

#[tokio::test]
async fn a_migration_copies_the_ledger_first_and_an_older_program_then_refuses_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let ledger = Ledger::open_with(dir.path(), clock(), Settings::default()).await.unwrap();
    for _ in 0..3 {
        ledger.commit(started()).await.unwrap();
    }
    ledger.close().await;

    let ledger = Ledger::open_with(dir.path(), clock(), newer()).await.unwrap();
    assert_eq!(ledger.counts().await.unwrap().events, 3);
    ledger.commit(started()).await.unwrap();
    ledger.close().await;
    let copies: Vec<_> = std::fs::read_dir(dir.path().join("backups"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(copies.len(), 1);

    let before = std::fs::read(&path).unwrap();
    let refused = Ledger::open_with(dir.path(), clock(), Settings::default()).await;
    let error = refused.unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 9_000, .. }), "{error}");
    assert!(error.to_string().contains("nothing was changed"));
    assert!(std::fs::read(&path).unwrap() == before);

    // The copy is a whole ledger: the way back that the texts describe works.
    std::fs::copy(&copies[0], &path).unwrap();
    std::fs::remove_file(dir.path().join("ledger.head")).unwrap();
    let ledger = Ledger::open_with(dir.path(), clock(), Settings::default()).await.unwrap();
    assert_eq!(ledger.counts().await.unwrap().events, 3);
    assert!(ledger.verify().await.unwrap().is_sound());
    ledger.close().await;
}

#[tokio::test]
async fn a_migration_that_fails_leaves_the_ledger_as_it_was() {
    static BROKEN: LazyLock<Migrator> = LazyLock::new(|| {
        let mut steps: Vec<Migration> = MIGRATOR.iter().cloned().collect();
        steps.push(Migration::new(
            8_000,
            "broken".into(),
            MigrationType::Simple,
            "CREATE TABLE half (x INTEGER) STRICT; CREATE TABLE missions (x)".into_sql_str(),
            false,
        ));
        Migrator::with_migrations(steps)
    });
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open_with(dir.path(), clock(), Settings::default()).await.unwrap();
    ledger.commit(started()).await.unwrap();
    ledger.close().await;
    let settings = Settings { migrator: &BROKEN, ..Settings::default() };
    let error = Ledger::open_with(dir.path(), clock(), settings).await.unwrap_err();
    assert!(matches!(error, OpenError::Migrate { .. }), "{error}");
    let ledger = Ledger::open_with(dir.path(), clock(), Settings::default()).await.unwrap();
    assert!(ledger.verify().await.unwrap().is_sound());
    ledger.close().await;
}

#[tokio::test]
async fn the_first_page_of_any_list_of_missions_is_found_by_an_index_and_needs_no_sorting() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open_with(dir.path(), clock(), Settings::default()).await.unwrap();
    let mut reading = ledger.0.readers.begin("explain").await.unwrap();
    for (narrow, index) in [
        ("", "missions_listed"),
        (" AND state = 'done'", "missions_by_state"),
        (" AND agent_id = x'00'", "missions_by_agent"),
        (" AND repository = '/srv'", "missions_by_repository"),
        (" AND policy = 'strict'", "missions_by_policy"),
        (" AND id IN (SELECT mission_id FROM mission_labels WHERE label = 'x')", "missions"),
        (" AND (title_key LIKE '%x%' ESCAPE '\\')", "missions_listed"),
    ] {
        for before in ["", " AND id < x'ff'"] {
            let sql = format!(
                "EXPLAIN QUERY PLAN SELECT id, title FROM missions WHERE removed_seq IS NULL\
                 {narrow}{before} ORDER BY id DESC LIMIT 101"
            );
            let plan: Vec<(i64, i64, i64, String)> =
                sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_all(&mut *reading).await.unwrap();
            let plan: Vec<_> = plan.into_iter().map(|step| step.3).collect();
            let plan = plan.join("; ");
            assert!(plan.contains(index), "{narrow}{before}: {plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{narrow}{before}: {plan}");
        }
    }
}

/// A connection beside the ledger's own that keeps it from writing.
async fn lock(dir: &Path) -> sqlx::SqliteConnection {
    let mut conn = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(dir.join("ledger.db"))
        .connect()
        .await
        .unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut conn).await.unwrap();
    conn
}

#[tokio::test]
async fn a_write_that_fails_says_so_and_the_writer_goes_on_after_checking() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { busy_timeout: Duration::from_millis(50), ..Settings::default() };
    let ledger = Ledger::open_with(dir.path(), clock(), settings).await.unwrap();
    ledger.commit(started()).await.unwrap();
    let locked = lock(dir.path()).await;
    let error = ledger.commit(started()).await.unwrap_err();
    assert!(matches!(error, CommitError::Storage { .. }), "{error}");
    assert!(error.to_string().contains("idempotency key"));
    locked.close().await.unwrap();
    let done = ledger.commit(started()).await.unwrap();
    assert_eq!(done.events[0].seq, 2);
    assert!(ledger.status().accepting);
    assert!(ledger.verify().await.unwrap().is_sound());
    ledger.close().await;
}

#[tokio::test]
async fn what_was_committed_in_spite_of_an_error_is_published_after_the_writer_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { busy_timeout: Duration::from_millis(50), ..Settings::default() };
    let ledger = Ledger::open_with(dir.path(), clock(), settings.clone()).await.unwrap();
    let mut published = ledger.subscribe();
    // Stands for a COMMIT that was done although its answer was an error.
    let unseen = Ledger::open_with(dir.path(), clock(), settings).await.unwrap();
    for _ in 0..3 {
        unseen.commit(started()).await.unwrap();
    }
    unseen.close().await;
    let locked = lock(dir.path()).await;
    ledger.commit(started()).await.unwrap_err();
    for seq in 1..=3 {
        assert_eq!(published.recv().await.unwrap().seq, seq);
    }
    locked.close().await.unwrap();
    assert_eq!(ledger.commit(started()).await.unwrap().events[0].seq, 4);
    assert_eq!(published.recv().await.unwrap().seq, 4);
    assert!(ledger.verify().await.unwrap().is_sound());
    ledger.close().await;
}

#[tokio::test]
async fn a_ledger_that_is_gone_refuses_writes_instead_of_making_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { busy_timeout: Duration::from_millis(50), ..Settings::default() };
    let ledger = Ledger::open_with(dir.path(), clock(), settings).await.unwrap();
    ledger.commit(started()).await.unwrap();
    let locked = lock(dir.path()).await;
    let away = dir.path().join("away.db");
    std::fs::rename(dir.path().join("ledger.db"), &away).unwrap();
    ledger.commit(started()).await.unwrap_err();
    ledger.commit(started()).await.unwrap_err();
    assert!(!ledger.status().accepting);
    assert!(!dir.path().join("ledger.db").exists());
    locked.close().await.unwrap();
    std::fs::rename(&away, dir.path().join("ledger.db")).unwrap();
    assert_eq!(ledger.commit(started()).await.unwrap().events[0].seq, 2);
    ledger.close().await;
}

/// Our schema on a disk that has no room for one page more.
static NO_ROOM: LazyLock<Migrator> = LazyLock::new(|| {
    let mut steps: Vec<Migration> = MIGRATOR.iter().cloned().collect();
    steps.push(Migration::new(
        9_000,
        "no room".into(),
        MigrationType::Simple,
        "PRAGMA max_page_count = 1; CREATE TABLE later (x INTEGER) STRICT".into_sql_str(),
        false,
    ));
    Migrator::with_migrations(steps)
});

#[tokio::test]
async fn a_full_disk_is_named_as_such_and_not_taken_for_damage() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open_with(dir.path(), clock(), Settings::default()).await.unwrap();
    let settings = Settings { migrator: &NO_ROOM, ..Settings::default() };
    let error = verify::verify(&Files::within(dir.path()), &settings).await.unwrap_err();
    assert!(matches!(error, ReadError::Storage { .. }), "{error}");
    assert_eq!(error.to_string(), "verify the ledger: the disk is full");

    let ReadError::Storage { source, .. } = error else { unreachable!() };
    let error = CommitError::Storage { operation: "write", source: Arc::new(source) };
    assert!(error.is_disk_full());
    assert!(error.to_string().starts_with("write: the disk is full; whether"), "{error}");
    assert!(!CommitError::Busy.is_disk_full());
    ledger.close().await;
}

#[test]
fn what_caused_an_error_is_searched_for_a_full_disk() {
    let of = |kind: std::io::ErrorKind| CommitError::Storage {
        operation: "write",
        source: Arc::new(OpenError::File {
            operation: "create",
            path: "ledger.head".into(),
            source: kind.into(),
        }),
    };
    assert!(of(std::io::ErrorKind::StorageFull).is_disk_full());
    assert!(!of(std::io::ErrorKind::PermissionDenied).is_disk_full());
}
