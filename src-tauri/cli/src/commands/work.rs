//! Work and its places: conflicts, worktrees, the trash, checkpoints.

use engine::view::{
    CleanRequest, CleanView, Listing, MissionDetail, NewCheckpoint, Radar, RestoreView,
    TrashRestored, TrashView, WorktreeView, Worktrees,
};
use http::Method;
use model::attempt::Checkpoint as Kept;

use crate::args::{Checkpoint, Trash, Worktree};
use crate::commands::mission;
use crate::failure::Failure;
use crate::input;
use crate::out::{Out, bytes, remark, span, time, word};
use crate::remote::{Place, Remote};
use crate::selector::encode;

/// Shows which attempts touch the same files.
pub(crate) async fn radar(place: &Place, out: &mut Out) -> Result<(), Failure> {
    const OPERATION: &str = "look for conflicts";
    let remote = Remote::find(place, OPERATION)?;
    let radar: Radar = remote.get(OPERATION, "/api/v1/radar").await?;
    if out.is_json() {
        return out.value(&radar);
    }
    if radar.conflicts.is_empty() {
        out.line("no two attempts touch the same file")?;
    }
    mission::conflicts(&radar.conflicts, out)?;
    mission::order(&radar.order, out)?;
    for unseen in &radar.unseen {
        remark(&format!("not seen: {} attempt {}: {}", unseen.short_id, unseen.n, unseen.why));
    }
    Ok(())
}

/// `hivekeeper worktree`.
pub(crate) async fn worktree(
    command: Worktree,
    place: &Place,
    out: &mut Out,
) -> Result<(), Failure> {
    match command {
        Worktree::List { cursor } => {
            const OPERATION: &str = "list the worktrees";
            let remote = Remote::find(place, OPERATION)?;
            let path = format!("/api/v1/worktrees{}", page(cursor));
            let worktrees: Worktrees = remote.get(OPERATION, &path).await?;
            list_worktrees(&worktrees, out)
        }
        Worktree::Clean { apply, only } => {
            const OPERATION: &str = "clean up the worktrees";
            let remote = Remote::find(place, OPERATION)?;
            let only = (!only.is_empty()).then_some(only);
            let body = CleanRequest { apply, only };
            let clean: CleanView = match apply {
                true => remote.post(OPERATION, "/api/v1/worktrees/clean", &body).await?,
                false => remote.ask(OPERATION, "/api/v1/worktrees/clean", &body).await?,
            };
            say_clean(&clean, apply, out)
        }
    }
}

fn page(cursor: Option<String>) -> String {
    cursor.map_or_else(String::new, |cursor| format!("?cursor={}", encode(&cursor)))
}

fn list_worktrees(worktrees: &Worktrees, out: &mut Out) -> Result<(), Failure> {
    if out.is_json() {
        return out.value(worktrees);
    }
    if worktrees.items.is_empty() {
        return out.line("no worktrees: attempts on a repository get one each");
    }
    let rows: Vec<Vec<String>> = worktrees.items.iter().map(row).collect();
    out.table(&["MISSION", "ATTEMPT", "SIZE", "AGE", "KEPT BECAUSE", "WHERE"], &rows)?;
    out.line(&format!("{} in all", bytes(worktrees.bytes)))?;
    if let Some(next) = &worktrees.next {
        remark(&format!("there is more: --cursor {next}"));
    }
    Ok(())
}

fn row(worktree: &WorktreeView) -> Vec<String> {
    let kept = match (&worktree.problem, worktree.kept_because.is_empty()) {
        (Some(problem), _) => problem.clone(),
        (None, true) => "can go".to_owned(),
        (None, false) => worktree.kept_because.join("; "),
    };
    vec![
        worktree.short_id.to_string(),
        worktree.attempt.to_string(),
        worktree.bytes.map(bytes).unwrap_or_default(),
        span(worktree.age_s as f64),
        kept,
        worktree.path.clone(),
    ]
}

fn say_clean(clean: &CleanView, apply: bool, out: &mut Out) -> Result<(), Failure> {
    if out.is_json() {
        return out.value(clean);
    }
    let line = |what: &str, it: &WorktreeView| {
        let size = it.bytes.map_or_else(String::new, |size| format!(", {}", bytes(size)));
        format!("{what} {} attempt {} ({}{size})", it.short_id, it.attempt, it.path)
    };
    for worktree in &clean.would_remove {
        out.line(&line("would move to the trash:", worktree))?;
    }
    for removed in &clean.removed {
        out.line(&line("moved to the trash:", &removed.worktree))?;
    }
    for kept in &clean.kept {
        let why = match &kept.problem {
            Some(problem) => problem.clone(),
            None => kept.kept_because.join("; "),
        };
        out.line(&format!("{}: {why}", line("kept:", kept)))?;
    }
    let verb = if apply { "frees" } else { "would free" };
    out.line(&format!("it {verb} {} once the trash is emptied", bytes(clean.bytes)))?;
    if clean.more {
        remark("there are more worktrees than were looked at");
    }
    match apply || clean.would_remove.is_empty() {
        true => Ok(()),
        false => out.line("nothing was moved; --apply does it"),
    }
}

/// `hivekeeper trash`.
pub(crate) async fn trash(command: Trash, place: &Place, out: &mut Out) -> Result<(), Failure> {
    match command {
        Trash::List { cursor } => {
            const OPERATION: &str = "list the trash";
            let remote = Remote::find(place, OPERATION)?;
            let path = format!("/api/v1/trash{}", page(cursor));
            let items: Listing<TrashView> = remote.get(OPERATION, &path).await?;
            list_trash(&items, out)
        }
        Trash::Restore { item } => {
            let operation = format!("restore {item}");
            let remote = Remote::find(place, &operation)?;
            let to = format!("/api/v1/trash/{}/restore", encode(&item));
            let nothing = serde_json::json!({});
            let restored: TrashRestored = remote.post(&operation, &to, &nothing).await?;
            say_restored(&restored, &operation, out)
        }
        Trash::Purge { item, yes } => {
            let operation = format!("purge {item}");
            let remote = Remote::find(place, &operation)?;
            input::confirm(&operation, &format!("Delete {item} for good?"), yes)?;
            let path = format!("/api/v1/trash/{}", encode(&item));
            remote.change(&operation, Method::DELETE, &path, None).await?;
            if out.is_json() {
                return out.value(&serde_json::json!({"purged": true, "id": item}));
            }
            out.line(&format!("deleted {item} for good"))
        }
    }
}

fn say_restored(view: &TrashRestored, operation: &str, out: &mut Out) -> Result<(), Failure> {
    if out.is_json() {
        out.value(view)?;
    } else {
        for item in &view.restored {
            out.line(&format!("restored the {} '{}'", word(&item.kind), item.title))?;
        }
    }
    if view.problems.is_empty() {
        return Ok(());
    }
    out.flush()?;
    Err(Failure::new(operation).since(view.problems.join("; ")).hint("that is in the trash still"))
}

fn list_trash(items: &Listing<TrashView>, out: &mut Out) -> Result<(), Failure> {
    if out.is_json() {
        return out.value(items);
    }
    if items.items.is_empty() {
        return out.line("the trash is empty");
    }
    let rows: Vec<Vec<String>> = items
        .items
        .iter()
        .map(|view| {
            let item = &view.item;
            vec![
                item.id.to_string(),
                word(&item.kind),
                item.attempt.map_or_else(String::new, |n| n.to_string()),
                bytes(item.bytes),
                time(item.until),
                if view.exists { "yes" } else { "no" }.to_owned(),
                item.title.clone(),
            ]
        })
        .collect();
    let head = ["ID", "KIND", "ATTEMPT", "SIZE", "UNTIL", "RESTORABLE", "TITLE"];
    out.table(&head, &rows)?;
    if let Some(next) = &items.next {
        remark(&format!("there is more: --cursor {next}"));
    }
    Ok(())
}

/// `hivekeeper checkpoint`.
pub(crate) async fn checkpoint(
    command: Checkpoint,
    place: &Place,
    out: &mut Out,
) -> Result<(), Failure> {
    match command {
        Checkpoint::List { mission } => {
            let operation = format!("list the checkpoints of {mission}");
            let remote = Remote::find(place, &operation)?;
            let detail: MissionDetail = remote.get(&operation, &mission::path(&mission)).await?;
            list_checkpoints(&Listing { items: detail.checkpoints, next: None }, out)
        }
        Checkpoint::Make { mission, note } => {
            let operation = format!("keep the work of {mission}");
            let remote = Remote::find(place, &operation)?;
            let to = format!("{}/checkpoints", mission::path(&mission));
            let made: Kept = remote.post(&operation, &to, &NewCheckpoint { note }).await?;
            if out.is_json() {
                return out.value(&made);
            }
            out.line(&format!("kept {} as {}", mission, made.id))
        }
        Checkpoint::Restore { checkpoint } => {
            let operation = format!("restore the checkpoint {checkpoint}");
            let remote = Remote::find(place, &operation)?;
            let to = format!("/api/v1/checkpoints/{}/restore", encode(&checkpoint));
            let nothing = serde_json::json!({});
            let view: RestoreView = remote.post(&operation, &to, &nothing).await?;
            if out.is_json() {
                return out.value(&view);
            }
            out.line(&format!(
                "restored {}: {} files changed; what was there before is commit {}",
                view.restored.id, view.changed_files, view.before
            ))?;
            match view.gates_run_again {
                true => out.line("the gates run again, because the work was under review"),
                false => Ok(()),
            }
        }
    }
}

fn list_checkpoints(kept: &Listing<Kept>, out: &mut Out) -> Result<(), Failure> {
    if out.is_json() {
        return out.value(kept);
    }
    if kept.items.is_empty() {
        return out.line("no checkpoints: make one with 'hivekeeper checkpoint make'");
    }
    let rows: Vec<Vec<String>> = kept
        .items
        .iter()
        .map(|it| {
            let commit = it.commit.get(..10).unwrap_or(&it.commit).to_owned();
            vec![it.id.to_string(), it.n.to_string(), time(it.at), commit, it.note.clone()]
        })
        .collect();
    out.table(&["ID", "N", "MADE", "COMMIT", "NOTE"], &rows)
}
