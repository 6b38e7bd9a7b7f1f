//! `hivekeeper backup` and `hivekeeper restore`.

use std::time::Duration;

use engine::view::{BackupState, BackupView, Listing};
use engine::{Restored, Revival, RevivedKind};

use crate::args::{Backup, Restore};
use crate::failure::Failure;
use crate::input::confirm;
use crate::out::{Out, bytes, time, word};
use crate::remote::{Place, Remote};

/// Where the backups are.
const PATH: &str = "/api/v1/backups";
/// How often it is asked how far one is.
const LOOK: Duration = Duration::from_millis(200);

/// Makes a backup, or lists them.
pub(crate) async fn backup(args: Backup, place: &Place, out: &mut Out) -> Result<(), Failure> {
    if args.list {
        return list(place, out).await;
    }
    const OPERATION: &str = "make a backup";
    let remote = Remote::find(place, OPERATION)?;
    let nothing = serde_json::json!({});
    let begun: BackupView = remote.post(OPERATION, PATH, &nothing).await?;
    let made = loop {
        let all: Listing<BackupView> = remote.get(OPERATION, PATH).await?;
        match all.items.into_iter().find(|view| view.file == begun.file) {
            Some(view) if view.state == BackupState::Making => tokio::time::sleep(LOOK).await,
            Some(view) => break view,
            None => {
                return Err(Failure::new(OPERATION)
                    .since("it is not there any more")
                    .hint("see the log of the engine: 'hivekeeper log'"));
            }
        }
    };
    if made.state == BackupState::Failed {
        return Err(Failure::new(OPERATION).since(made.problem.unwrap_or_default()));
    }
    if out.is_json() {
        return out.value(&made);
    }
    let events = made.events.map_or_else(String::new, |events| format!(", {events} events"));
    out.line(&format!("made and verified: {} ({}{events})", made.path, bytes(made.bytes)))
}

async fn list(place: &Place, out: &mut Out) -> Result<(), Failure> {
    const OPERATION: &str = "list the backups";
    let remote = Remote::find(place, OPERATION)?;
    let all: Listing<BackupView> = remote.get(OPERATION, PATH).await?;
    if out.is_json() {
        return out.value(&all);
    }
    if all.items.is_empty() {
        return out.line("no backups: make one with 'hivekeeper backup'");
    }
    let row = |view: &BackupView| {
        let events = view.events.map_or_else(String::new, |events| events.to_string());
        vec![time(view.at), word(&view.state), bytes(view.bytes), events, view.file.clone()]
    };
    let rows: Vec<Vec<String>> = all.items.iter().map(row).collect();
    out.table(&["WHEN", "STATE", "SIZE", "EVENTS", "FILE"], &rows)
}

/// Puts a backup in the place of the ledger of a workspace that no engine holds.
pub(crate) async fn restore(args: Restore, place: &Place, out: &mut Out) -> Result<(), Failure> {
    const OPERATION: &str = "put a backup back";
    if !args.file.is_file() {
        let why = format!("there is no file {}", args.file.display());
        return Err(Failure::new(OPERATION)
            .since(why)
            .hint("the backups are in the folder 'backups' of the data directory"));
    }
    let question = format!(
        "Replace the ledger in {} by {}? What is there now is kept aside.",
        place.data_dir.display(),
        args.file.display()
    );
    confirm(OPERATION, &question, args.yes)?;
    let revival = if args.revive { Revival::Keep } else { Revival::End };
    let done = engine::restore(&place.data_dir, &args.file, revival).await;
    let done = done.map_err(|error| Failure::of(&error))?;
    if out.is_json() {
        return out.value(&done);
    }
    out.line(&format!("put back and verified: {} events, head {}", done.events, done.head))?;
    if let Some(aside) = &done.aside {
        out.line(&format!("what was there before is in {}", aside.display()))?;
    }
    say_revived(&done, out)
}

/// Says what became of keys that the backup accepts and the ledger before did not.
fn say_revived(done: &Restored, out: &mut Out) -> Result<(), Failure> {
    if done.revived.is_empty() {
        return Ok(());
    }
    out.line(match done.revived_ended {
        true => {
            "these keys of the backup were not good any more, or it is not known whether they were; they \
             were ended ('restore --revive' keeps them):"
        }
        false => {
            "these keys are good now and were not just before; once an engine runs, take back what is \
             not to be:"
        }
    })?;
    for key in &done.revived {
        let (what, end) = match key.kind {
            RevivedKind::Token => ("token", "hivekeeper token revoke"),
            RevivedKind::Login => ("login", "hivekeeper login end"),
        };
        out.line(&match done.revived_ended {
            true => format!("  {what} {}", key.name),
            false => format!("  {what} {}: {end} {}", key.name, key.id),
        })?;
    }
    Ok(())
}
