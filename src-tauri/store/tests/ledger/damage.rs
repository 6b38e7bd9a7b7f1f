//! Damage is detected and named, and the files are left as they were found.

use std::fs;
use std::path::Path;

use model::event::{Fact, Subject};
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use store::{Change, Finding, OpenError};
use tempfile::TempDir;

use crate::support::*;

/// A ledger with `missions` events, closed.
async fn filled(missions: usize) -> TempDir {
    let place = Place::new().await;
    for n in 0..missions {
        let change = creation(&mission(&format!("mission {n}")));
        place.ledger.commit(change).await.unwrap();
    }
    place.close().await
}

fn file(folder: &TempDir, name: &str) -> std::path::PathBuf {
    folder.path().join("data").join(name)
}

/// Opens, expects a refusal, and checks that the database file is as it was.
async fn refused(folder: TempDir) -> OpenError {
    let path = file(&folder, "ledger.db");
    let before = fs::read(&path).ok();
    let dir = store::DataDir::open(&folder.path().join("data")).unwrap();
    let clock = std::sync::Arc::new(model::clock::SystemClock);
    let error = store::Ledger::open(&dir, clock).await.unwrap_err();
    assert!(fs::read(&path).ok() == before, "the file changed: {error}");
    let text = error.to_string();
    assert!(text.contains("ledger.db"), "{text}");
    assert!(text.contains("nothing was changed"), "{text}");
    error
}

async fn raw(path: &Path) -> SqliteConnection {
    sqlx::sqlite::SqliteConnectOptions::new().filename(path).connect().await.unwrap()
}

async fn alter(path: &Path, sql: &'static str) {
    let mut conn = raw(path).await;
    sqlx::raw_sql(sql).execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
}

#[tokio::test]
async fn a_file_of_another_program_is_refused_and_left_alone() {
    let folder = unused();
    let path = file(&folder, "ledger.db");
    let mut conn = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(true)
        .connect()
        .await
        .unwrap();
    sqlx::raw_sql("CREATE TABLE notes (text); INSERT INTO notes VALUES ('mine')")
        .execute(&mut conn)
        .await
        .unwrap();
    conn.close().await.unwrap();
    let error = refused(folder).await;
    assert!(matches!(error, OpenError::NotOurs { .. }), "{error}");
}

#[tokio::test]
async fn bytes_that_are_no_database_are_refused() {
    for bytes in [&b"just some text"[..], &[0x7f; 5000]] {
        let folder = unused();
        fs::write(file(&folder, "ledger.db"), bytes).unwrap();
        let error = refused(folder).await;
        assert!(matches!(error, OpenError::NotOurs { .. }), "{error}");
    }
}

#[tokio::test]
async fn an_empty_a_cut_and_a_vanished_file_are_damage() {
    type Harm = fn(&Path);
    let harms: [(&str, Harm); 4] = [
        ("the file is empty", |path| fs::write(path, b"").unwrap()),
        ("does not begin like a database", |path| {
            fs::write(path, b"SQLite for").unwrap();
        }),
        ("damaged", |path| {
            let bytes = fs::read(path).unwrap();
            fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("the file is gone", |path| fs::remove_file(path).unwrap()),
    ];
    for (words, harm) in harms {
        let folder = filled(20).await;
        harm(&file(&folder, "ledger.db"));
        let error = refused(folder).await;
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn an_overwritten_page_is_damage() {
    let folder = filled(40).await;
    let path = file(&folder, "ledger.db");
    let mut bytes = fs::read(&path).unwrap();
    let pages = bytes.len() / 4096;
    for page in 1..pages {
        bytes[page * 4096..page * 4096 + 200].fill(0xA5);
    }
    fs::write(&path, bytes).unwrap();
    let error = refused(folder).await;
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
}

#[tokio::test]
async fn an_altered_and_a_deleted_event_are_named_by_verify_and_refused_at_the_next_start() {
    let cases: [(&'static str, Finding, &str); 4] = [
        (
            "UPDATE events SET body = CAST(replace(CAST(body AS TEXT), 'mission 6', 'mission 7') \
             AS BLOB) WHERE seq = 7",
            Finding::Altered { seq: 7 },
            "event 7 was altered",
        ),
        (
            "UPDATE events SET actor = '{\"kind\":\"captain\"}' WHERE seq = 3",
            Finding::Altered { seq: 3 },
            "event 3 was altered",
        ),
        ("DELETE FROM events WHERE seq = 5", Finding::Missing { seq: 5 }, "event 5 is missing"),
        (
            "DELETE FROM events WHERE seq = 12",
            Finding::Head {
                why: "it says that 12 events were acknowledged, 11 are there".to_owned(),
            },
            "its newest events are lost",
        ),
    ];
    for (sql, finding, words) in cases {
        let place = Place::new().await;
        for n in 0..12 {
            let change = creation(&mission(&format!("mission {n}")));
            place.ledger.commit(change).await.unwrap();
        }
        assert!(place.ledger.verify().await.unwrap().is_sound());
        alter(&place.path("ledger.db"), sql).await;
        let found = place.ledger.verify().await.unwrap().findings;
        assert!(found.contains(&finding), "{sql}: {found:?}");
        let error = refused(place.close().await).await;
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_row_that_is_not_what_the_events_say_is_named() {
    let cases = [
        ("UPDATE missions SET title = 'else'", "missions", 1, 1),
        ("DELETE FROM agents", "agents", 1, 0),
        ("UPDATE briefs SET text = text || ' more'", "briefs", 1, 1),
    ];
    for (sql, table, missing, extra) in cases {
        let place = Place::new().await;
        let events = vec![created(&mission("said")), added(&agent("bee"))];
        place.ledger.commit(Change::events(events)).await.unwrap();
        alter(&place.path("ledger.db"), sql).await;
        let found = place.ledger.verify().await.unwrap().findings;
        let table = table.to_owned();
        let rows = Finding::Rows { table, missing, extra };
        assert_eq!(found, [rows], "{sql}");
    }
}

/// The files of a ledger as a power cut would leave them: nothing is closed in order.
async fn crashed(events: usize) -> (TempDir, usize) {
    let place = Place::new().await;
    for n in 0..events {
        let change = creation(&mission(&format!("mission {n}")));
        place.ledger.commit(change).await.unwrap();
    }
    let copy = unused();
    let data = copy.path().join("data");
    for name in ["ledger.db", "ledger.db-wal", "ledger.head"] {
        fs::copy(place.path(name), data.join(name)).unwrap();
    }
    let wal = fs::metadata(data.join("ledger.db-wal")).unwrap().len();
    (copy, usize::try_from(wal).unwrap())
}

#[tokio::test]
async fn a_crash_without_damage_opens_with_everything() {
    let (folder, _) = crashed(30).await;
    let place = reopen(folder).await.unwrap();
    assert_eq!(place.ledger.counts().await.unwrap().events, 30);
    assert!(place.ledger.verify().await.unwrap().is_sound());
}

#[tokio::test]
async fn a_cut_or_flipped_write_ahead_log_is_noticed_every_time() {
    let mut dice = Dice::new(11);
    for trial in 0..24 {
        let (folder, size) = crashed(20).await;
        let wal = file(&folder, "ledger.db-wal");
        let mut bytes = fs::read(&wal).unwrap();
        let at = usize::try_from(dice.below(size as u64)).unwrap();
        if trial % 2 == 0 {
            bytes.truncate(at);
        } else {
            bytes[at] ^= 1 << dice.below(8);
        }
        fs::write(&wal, bytes).unwrap();
        let dir = store::DataDir::open(&folder.path().join("data")).unwrap();
        let clock = std::sync::Arc::new(model::clock::SystemClock);
        match store::Ledger::open(&dir, clock).await {
            Err(error) => {
                assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
                assert!(error.to_string().contains("newest events are lost"), "{error}");
            }
            // A bit that no checksum covers, such as in the spare part of the header.
            Ok(ledger) => {
                assert_eq!(ledger.counts().await.unwrap().events, 20, "trial {trial} at {at}");
            }
        }
    }
}

#[tokio::test]
async fn a_head_file_left_behind_by_a_crash_is_brought_up_to_date() {
    let place = Place::new().await;
    place.ledger.commit(creation(&mission("1"))).await.unwrap();
    let old = fs::read(place.path("ledger.head")).unwrap();
    for n in 0..5 {
        let change = creation(&mission(&format!("{n}")));
        place.ledger.commit(change).await.unwrap();
    }
    let folder = place.close().await;
    fs::write(file(&folder, "ledger.head"), old).unwrap();
    let place = reopen(folder).await.unwrap();
    assert_eq!(place.ledger.counts().await.unwrap().events, 6);
    assert!(place.ledger.verify().await.unwrap().is_sound());
}

#[tokio::test]
async fn a_head_file_that_cannot_be_read_or_tells_of_another_history_is_refused() {
    let folder = filled(3).await;
    fs::write(file(&folder, "ledger.head"), "scribble").unwrap();
    let error = refused(folder).await;
    assert!(error.to_string().contains("ledger.head"), "{error}");

    let (ours, theirs) = (filled(3).await, filled(3).await);
    fs::copy(file(&theirs, "ledger.head"), file(&ours, "ledger.head")).unwrap();
    let error = refused(ours).await;
    assert!(error.to_string().contains("not the one that was written"), "{error}");
}

#[tokio::test]
async fn an_emptied_or_removed_head_file_makes_the_start_check_every_event() {
    let folder = filled(300).await;
    fs::write(file(&folder, "ledger.head"), "").unwrap();
    let place = reopen(folder).await.unwrap();
    assert_eq!(place.ledger.counts().await.unwrap().events, 300);
    let folder = place.close().await;
    fs::remove_file(file(&folder, "ledger.head")).unwrap();
    alter(
        &file(&folder, "ledger.db"),
        "UPDATE events SET at = replace(at, '20', '19') WHERE seq = 2",
    )
    .await;
    let error = refused(folder).await;
    assert!(error.to_string().contains("event 2 was altered"), "{error}");
}

#[tokio::test]
async fn a_half_made_ledger_of_a_start_that_was_interrupted_is_made_anew() {
    let folder = unused();
    fs::write(file(&folder, "ledger.db.new"), b"half").unwrap();
    let place = reopen(folder).await.unwrap();
    let stopped = event(Subject::default(), Fact::EngineStopped);
    let change = Change::events(vec![stopped]);
    assert_eq!(place.ledger.commit(change).await.unwrap().events[0].seq, 1);
    assert!(!place.path("ledger.db.new").exists());
}

#[cfg(unix)]
#[tokio::test]
async fn every_file_of_the_ledger_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new().await;
    place.ledger.commit(creation(&mission("m"))).await.unwrap();
    for name in ["ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.head"] {
        let mode = fs::metadata(place.path(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}
