//! Putting a backup back: a copy is looked at, brought up to date and verified aside, and only then takes
//! the place of the ledger.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::Timestamp;
use model::clock::SharedClock;
use model::event::{Actor, Fact, NewEvent, Subject};
use model::id::{EventId, LoginId, SystemDraw, TokenId};
use model::login::LoginEnd;
use serde::Deserialize;
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::{
    BackupError, Making, Restored, Revival, Revived, RevivedKind, checked, create_private,
    file_error, private_file, put, sql, sync_folder,
};
use crate::datadir::DataDir;
use crate::ledger::chain::hex;
use crate::ledger::error::{CommitError, RowError};
use crate::ledger::open::{self, Files, Settings, options};
use crate::ledger::table::keys;
use crate::ledger::verify::Finding;
use crate::ledger::{CHANGE_EVENTS_MAX, Change, Ledger};

/// Where what was replaced is kept, in the data directory.
const ASIDE: &str = "set-aside";
/// What belongs to a ledger besides its file.
const SUFFIXES: [&str; 3] = ["-wal", "-shm", "-journal"];
/// The longest label of a backup that is read, in bytes.
const LABEL_BYTES_MAX: u64 = 64 * 1024;

/// What stands beside a backup, as far as it is compared.
#[derive(Debug, Deserialize)]
struct Label {
    events: u64,
    head: String,
}

/// Puts a backup in the place of the ledger of a data directory that no engine holds: it is copied with
/// what belongs to it, brought up to date, and verified, and only then takes the ledger's place. What was
/// there before is kept beside it. Keys that only the backup accepts are ended unless they are to stay.
///
/// # Errors
/// When the file is no ledger, is newer than this program, is not sound, or does not end as its label or
/// the head file beside it says; everything is as it was then.
pub async fn restore(
    dir: &DataDir,
    file: &Path,
    revival: Revival,
    clock: &SharedClock,
) -> Result<Restored, BackupError> {
    let making = Making::new(dir.root())?;
    let copy = Files::within(&making.0);
    take(file, &copy)?;
    let unopened = |source| {
        let source = Box::new(source);
        BackupError::Open { path: file.to_owned(), source }
    };
    let opened = open::open(&copy, &Settings::default(), clock).await.map_err(unopened)?;
    let failed = |source| BackupError::Copy { path: copy.db.clone(), source };
    opened.conn.close().await.map_err(failed)?;
    as_labelled(file, opened.tail.seq, &hex(&opened.tail.hash))?;
    let now = clock.now();
    let mut revived = good(&copy.db, now).await.map_err(|error| failed(sql(error)))?;
    let before = good_before(&Files::within(dir.root()).db, now).await;
    revived.retain(|key| !before.contains(key));
    if revival == Revival::End && !revived.is_empty() {
        let ledger = Ledger::open_with(&making.0, Arc::clone(clock), Settings::default()).await;
        let ledger = ledger.map_err(unopened)?;
        let ended = end_all(&ledger, &revived, now).await;
        ledger.close().await;
        ended.map_err(|source| {
            let source = Box::new(source);
            BackupError::Keys { path: file.to_owned(), source }
        })?;
    }
    let found = checked(&copy, file).await?;
    if fs::metadata(&copy.wal).is_ok_and(|wal| wal.len() > 0) {
        let apart = io::Error::other("its newest events are still in its write-ahead log");
        return Err(file_error("read", &copy.db)(apart));
    }
    let stamp = now.strftime("%Y%m%dT%H%M%S%fZ").to_string();
    let aside = swap(dir.root(), &copy, &stamp)?;
    let revived_ended = revival == Revival::End && !revived.is_empty();
    let revived = revived.into_iter().map(Revived::from).collect();
    Ok(Restored { events: found.events, head: found.head, aside, revived, revived_ended })
}

fn copy_private(from: &Path, to: &Path) -> Result<(), BackupError> {
    private_file(to)?;
    File::open(from)
        .and_then(|mut from| io::copy(&mut from, &mut File::options().write(true).open(to)?))
        .map(drop)
        .map_err(file_error("read", from))
}

/// Copies a ledger with its write-ahead log, in which its newest events may be, and with what states its
/// end.
fn take(file: &Path, copy: &Files) -> Result<(), BackupError> {
    copy_private(file, &copy.db)?;
    let mut wal = file.as_os_str().to_owned();
    wal.push("-wal");
    let wal = PathBuf::from(wal);
    if wal.is_file() {
        copy_private(&wal, &copy.wal)?;
    }
    // Beside a file by another name, it is that of another ledger.
    let own = copy.db.file_name() == file.file_name();
    let head = copy.head.file_name().map(|name| file.with_file_name(name));
    match head.filter(|head| own && head.is_file()) {
        Some(head) => copy_private(&head, &copy.head),
        None => Ok(()),
    }
}

/// Compares a copy with the label of the backup, where it has one.
fn as_labelled(file: &Path, events: u64, head: &str) -> Result<(), BackupError> {
    let path = file.with_extension("json");
    let mut text = String::new();
    let read = File::open(&path)
        .and_then(|label| label.take(LABEL_BYTES_MAX).read_to_string(&mut text).map(drop));
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(file_error("read", &path))?,
    }
    let Ok(label) = serde_json::from_str::<Label>(&text) else {
        tracing::warn!(path = %path.display(), "what stands beside the backup is no label of one");
        return Ok(());
    };
    if (label.events, label.head.as_str()) == (events, head) {
        return Ok(());
    }
    let why = format!(
        "its label says that it holds {} events and ends with {}; it holds {events} and ends with \
         {head}",
        label.events, label.head
    );
    Err(BackupError::Unsound { path: file.to_owned(), findings: vec![Finding::Head { why }] })
}

/// A key that a ledger accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Good {
    Login(LoginId, String),
    Token(TokenId, String),
}

impl Good {
    /// What ends it.
    fn end(&self, at: Timestamp) -> Fact {
        match self {
            Self::Login(id, _) => Fact::LoggedOut { login_id: *id, at, why: LoginEnd::Revoked },
            Self::Token(id, _) => Fact::TokenRevoked { token_id: *id, at },
        }
    }
}

impl From<Good> for Revived {
    fn from(key: Good) -> Self {
        match key {
            Good::Login(id, name) => Self { kind: RevivedKind::Login, id: id.to_string(), name },
            Good::Token(id, name) => Self { kind: RevivedKind::Token, id: id.to_string(), name },
        }
    }
}

/// The keys that a ledger accepts: logins first, since those of a token end with it.
async fn good(db: &Path, now: Timestamp) -> Result<Vec<Good>, RowError> {
    let mut conn = options(db, &Settings::default()).read_only(true).connect().await?;
    let read = async |conn: &mut SqliteConnection| {
        let mut all = Vec::new();
        for it in keys::good_logins(conn, now).await? {
            all.push(Good::Login(it.id(LoginId::from_uuid)?, it.name));
        }
        for it in keys::good_tokens(conn, now).await? {
            all.push(Good::Token(it.id(TokenId::from_uuid)?, it.name));
        }
        Ok(all)
    };
    let found = read(&mut conn).await;
    conn.close().await?;
    found
}

/// The keys that the ledger accepts which is about to be replaced; none where it is not there, or cannot
/// be read: better one too many is ended.
async fn good_before(db: &Path, now: Timestamp) -> Vec<Good> {
    if !db.exists() {
        return Vec::new();
    }
    good(db, now).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "which keys the ledger before accepted cannot be found out");
        Vec::new()
    })
}

/// Ends keys in the copy of a ledger.
async fn end_all(ledger: &Ledger, all: &[Good], now: Timestamp) -> Result<(), CommitError> {
    for some in all.chunks(CHANGE_EVENTS_MAX) {
        let event = |key: &Good| NewEvent {
            id: EventId::draw(now, &mut SystemDraw),
            at: now,
            actor: Actor::Engine,
            correlation_id: None,
            subject: Subject::default(),
            fact: key.end(now),
        };
        ledger.commit(Change::events(some.iter().map(event).collect())).await?;
    }
    Ok(())
}

/// Puts a copy in the place of the ledger. At each step in between, the head file beside it says that
/// something is missing, so that nobody takes it for whole, or for a new workspace. Where a step fails,
/// those before it are undone.
fn swap(root: &Path, copy: &Files, stamp: &str) -> Result<Option<PathBuf>, BackupError> {
    let live = Files::within(root);
    let aside = root.join(ASIDE).join(format!("ledger-{stamp}"));
    let was_there = live.db.exists() || live.head.exists();
    let mut moved = Vec::new();
    let kept = if was_there { set_aside(root, &aside, &mut moved) } else { Ok(()) };
    let done =
        kept.and_then(|()| put(&copy.db, &live.db)).and_then(|()| put(&copy.head, &live.head));
    let Err(error) = done else {
        return Ok(was_there.then_some(aside));
    };
    match undo(&live, copy, &aside, &moved) {
        Ok(()) => Err(error),
        Err(problem) => {
            tracing::warn!(%problem, "the ledger was not moved back");
            Err(BackupError::Aside { aside, source: Box::new(error) })
        }
    }
}

/// Moves the ledger aside, but for its head file, of which there is a copy then; notes each file.
fn set_aside(
    root: &Path,
    aside: &Path,
    moved: &mut Vec<(PathBuf, PathBuf)>,
) -> Result<(), BackupError> {
    let live = Files::within(root);
    create_private(aside)?;
    if live.head.exists() {
        let kept = Files::within(aside).head;
        fs::copy(&live.head, &kept).map_err(file_error("copy", &live.head))?;
    }
    for suffix in [""].iter().chain(&SUFFIXES) {
        let from = root.join(format!("ledger.db{suffix}"));
        if from.exists() {
            let to = aside.join(format!("ledger.db{suffix}"));
            fs::rename(&from, &to).map_err(file_error("move", &from))?;
            moved.push((from, to));
        }
    }
    sync_folder(&live.db).map_err(file_error("sync", root))
}

/// Makes the ledger what it was before a copy began to take its place.
fn undo(live: &Files, copy: &Files, aside: &Path, moved: &[(PathBuf, PathBuf)]) -> io::Result<()> {
    let gone = |path: &Path| match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    // Of the copy, what is not there any more has taken its place.
    if !copy.db.exists() {
        gone(&live.db)?;
    }
    for (from, to) in moved.iter().rev() {
        fs::rename(to, from)?;
    }
    let kept = Files::within(aside).head;
    if kept.exists() {
        fs::copy(&kept, &live.head)?;
        File::open(&live.head)?.sync_all()?;
    } else if !copy.head.exists() {
        gone(&live.head)?;
    }
    sync_folder(&live.db)?;
    if aside.exists() {
        gone(&kept)?;
        fs::remove_dir(aside)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::MAKING;
    use super::*;

    fn written(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_copy_that_cannot_take_the_place_of_the_ledger_leaves_it_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let live = Files::within(root);
        let copy = Files::within(&root.join(MAKING));
        for there in [false, true] {
            if there {
                written(&live.db, "db");
                written(&live.wal, "wal");
                written(&live.head, "head");
            }
            // Its head file is missing: the last step fails.
            written(&copy.db, "copy");
            let refused = swap(root, &copy, "now").unwrap_err();
            assert!(refused.to_string().contains("as it was"), "{refused}");
            let read = |path: &Path| fs::read_to_string(path).ok();
            let expected = |text: &str| there.then(|| text.to_owned());
            assert_eq!(read(&live.db), expected("db"));
            assert_eq!(read(&live.wal), expected("wal"));
            assert_eq!(read(&live.head), expected("head"));
            assert!(!root.join(ASIDE).join("ledger-now").exists());
        }
    }
}
