//! Backups of the ledger: made while work goes on, listed, and put back while no engine runs.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use agents::{Found, Launcher};
use jiff::Timestamp;
use model::clock::{SharedClock, SystemClock};
use model::event::Fact;
use model::refusal::{Code, Refusal};
use orchestrator::{Command, Input};
use serde::{Deserialize, Serialize};
use store::ledger::{Backup, BackupError, Ledger, Restored};
use store::{DataDir, DataDirError};

pub use store::ledger::Revival;

use crate::view::{BackupState, BackupView, Listing};
use crate::{Caller, Engine};

/// Where backups are, in the data directory.
const BACKUPS: &str = "backups";
/// The most that are listed, the newest.
const LISTED_MAX: usize = 500;

/// What stands beside a backup.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Label {
    made_at: Timestamp,
    events: u64,
    head: String,
}

/// The backup that is being made, or the one that failed last.
#[derive(Debug, Default)]
pub(crate) struct Backups(Mutex<Option<Making>>);

#[derive(Debug, Clone)]
struct Making {
    path: PathBuf,
    at: Timestamp,
    problem: Option<String>,
}

impl Backups {
    fn making(&self) -> MutexGuard<'_, Option<Making>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// Begins to make a backup; the list says how far it is, and whether it was made.
    ///
    /// # Errors
    /// When one is being made already.
    pub fn back_up(&self, caller: &Caller) -> Result<BackupView, Refusal> {
        let at = self.0.clock.now();
        let path =
            self.backups_place().join(format!("ledger-{}.db", at.strftime("%Y%m%dT%H%M%SZ")));
        let making = Making { path, at, problem: None };
        {
            let mut now = self.0.backups.making();
            if now.as_ref().is_some_and(|it| it.problem.is_none()) {
                return Err(Refusal::new(Code::Conflict, "a backup is being made already")
                    .hint("list the backups to see how far it is"));
            }
            *now = Some(making.clone());
        }
        let engine = self.clone();
        let caller = caller.clone();
        let view = self.growing(&making);
        self.0.tasks.spawn(async move { engine.make_backup(caller, making).await });
        Ok(view)
    }

    async fn make_backup(self, caller: Caller, making: Making) {
        let made = self.0.ledger.back_up(&making.path).await;
        let labelled = made.map_err(|error| told(&error)).and_then(|made| {
            label(&making, &made)
                .map_err(|error| format!("write what is in the backup: {error}"))?;
            Ok(made)
        });
        match labelled {
            Ok(made) => {
                let file = name_of(&making.path);
                tracing::info!(file, events = made.events, "a backup was made");
                let command = Command {
                    input: Input::Record(Fact::BackupMade { file, events: made.events }),
                    actor: caller.actor,
                    correlation_id: Some(caller.correlation_id),
                    answer: None,
                };
                if let Err(refusal) = self.0.orchestrator.tell(command).await {
                    tracing::warn!(%refusal, "a backup was made, and that was not recorded");
                }
                *self.0.backups.making() = None;
            }
            Err(problem) => {
                tracing::error!(problem, "no backup was made");
                *self.0.backups.making() = Some(Making { problem: Some(problem), ..making });
            }
        }
    }

    /// The backups, the newest first, with the one that is being made.
    ///
    /// # Errors
    /// When their directory cannot be read.
    pub async fn backups(&self) -> Result<Listing<BackupView>, Refusal> {
        let place = self.backups_place();
        let listed = tokio::task::spawn_blocking(move || listed(&place)).await;
        let broken = |error: String| {
            Refusal::new(Code::Internal, format!("failed to list the backups: {error}"))
        };
        let mut items = listed
            .map_err(|error| broken(error.to_string()))?
            .map_err(|error| broken(error.to_string()))?;
        let making = self.0.backups.making().clone();
        if let Some(making) = making {
            items.retain(|view| view.file != name_of(&making.path));
            items.insert(0, self.growing(&making));
        }
        Ok(Listing { items, next: None })
    }

    fn growing(&self, making: &Making) -> BackupView {
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |it| it.len());
        let bytes = size(&Ledger::growing_backup(&making.path));
        let all = size(&self.data_dir().join("ledger.db")).max(1);
        // It is checked after it was copied; that it is whole is only known at the end.
        let percent = u8::try_from(bytes.saturating_mul(100) / all).unwrap_or(99).min(99);
        let state = match making.problem {
            Some(_) => BackupState::Failed,
            None => BackupState::Making,
        };
        BackupView {
            file: name_of(&making.path),
            path: making.path.display().to_string(),
            at: making.at,
            state,
            percent: if state == BackupState::Making { percent } else { 0 },
            bytes,
            events: None,
            head: None,
            problem: making.problem.clone(),
        }
    }

    fn backups_place(&self) -> PathBuf {
        self.data_dir().join(BACKUPS)
    }
}

fn told(error: &BackupError) -> String {
    let mut text = format!("failed to {error}");
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn label_path(backup: &Path) -> PathBuf {
    backup.with_extension("json")
}

fn label(making: &Making, made: &Backup) -> std::io::Result<()> {
    let label = Label { made_at: making.at, events: made.events, head: made.head.clone() };
    agents::record::write_json(&label_path(&making.path), &label)
}

/// The backups in a directory, the newest first.
fn listed(place: &Path) -> std::io::Result<Vec<BackupView>> {
    let entries = match std::fs::read_dir(place) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let (path, data) = (entry.path(), entry.metadata()?);
        if !data.is_file() || path.extension().is_none_or(|it| it != "db") {
            continue;
        }
        let label: Option<Label> = agents::record::read_json(&label_path(&path)).ok().flatten();
        let modified = data.modified().ok().and_then(|at| Timestamp::try_from(at).ok());
        let at = label.as_ref().map(|it| it.made_at).or(modified).unwrap_or(Timestamp::UNIX_EPOCH);
        found.push(BackupView {
            file: name_of(&path),
            path: path.display().to_string(),
            at,
            state: BackupState::Done,
            percent: 100,
            bytes: data.len(),
            events: label.as_ref().map(|it| it.events),
            head: label.map(|it| it.head),
            problem: None,
        });
    }
    found.sort_by(|a, b| (b.at, &b.file).cmp(&(a.at, &a.file)));
    found.truncate(LISTED_MAX);
    Ok(found)
}

/// A backup could not be put back. Everything is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The data directory cannot be used, most likely because an engine holds it.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The backup is not sound, or cannot be put in the ledger's place.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// Agents still work.
    #[error(
        "put a backup back while {0} agents still work; nothing was changed: start the engine, stop \
         them with `hivekeeper halt`, end the engine, and try again"
    )]
    AtWork(usize),
    /// Whether agents still work cannot be found out.
    #[error("find out whether agents still work; nothing was changed")]
    Agents(#[from] agents::LaunchError),
}

/// Puts a backup in the place of the ledger of a workspace that no engine holds. What was there before
/// is kept in the workspace. Tokens and logins that it accepts and the ledger before did not any more are
/// ended, unless they are to stay.
///
/// # Errors
/// When an engine or agents of it run, or the backup is not sound; everything is as it was then.
pub async fn restore(
    data_dir: &Path,
    file: &Path,
    revival: Revival,
) -> Result<Restored, RestoreError> {
    let dir = DataDir::open(data_dir)?;
    let at_work = at_work(&dir.runs())?;
    if at_work > 0 {
        return Err(RestoreError::AtWork(at_work));
    }
    let clock: SharedClock = Arc::new(SystemClock);
    Ok(store::ledger::restore(&dir, file, revival, &clock).await?)
}

/// How many runs are under way: what they do would be in no ledger.
fn at_work(runs: &Path) -> Result<usize, RestoreError> {
    let launcher = Launcher::locate()?;
    let mut count = 0;
    for entry in std::fs::read_dir(runs).into_iter().flatten().flatten() {
        let found = launcher.look(&entry.path())?;
        let lives = match found {
            Found::Running(_) => true,
            Found::Gone { left, .. } => !left.is_empty(),
            Found::NotStarted | Found::Ended(_) => false,
        };
        count += usize::from(lives);
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backups_are_listed_newest_first_with_what_is_known_of_them() {
        let dir = tempfile::tempdir().unwrap();
        assert!(listed(&dir.path().join("none")).unwrap().is_empty());
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        for (name, time) in
            [("ledger-a.db", "2026-01-01T00:00:00Z"), ("ledger-b.db", "2026-01-02T00:00:00Z")]
        {
            let path = dir.path().join(name);
            std::fs::write(&path, "x").unwrap();
            let making = Making { path, at: at(time), problem: None };
            let made = Backup { bytes: 1, events: 7, head: "ab".to_owned() };
            label(&making, &made).unwrap();
        }
        std::fs::write(dir.path().join("ledger-schema-3-old.db"), "xyz").unwrap();
        std::fs::write(dir.path().join("notes.txt"), "x").unwrap();
        std::fs::create_dir(dir.path().join("making")).unwrap();
        let found = listed(dir.path()).unwrap();
        let names: Vec<&str> = found.iter().map(|it| it.file.as_str()).collect();
        assert_eq!(names, ["ledger-schema-3-old.db", "ledger-b.db", "ledger-a.db"]);
        assert_eq!((found[0].events, found[0].bytes), (None, 3));
        assert_eq!((found[1].events, found[1].head.as_deref()), (Some(7), Some("ab")));
    }
}
