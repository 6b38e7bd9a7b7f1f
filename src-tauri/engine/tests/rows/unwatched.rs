//! Hooks and secrets where whoever asked goes away in between, and what hooks hear.

use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use engine::EventQuery;
use engine::view::{EditHook, NewHook};
use model::refusal::Code;

use crate::hive::{Hive, caller};

fn shell(script: &str, events: &[&str]) -> NewHook {
    let words = |all: &[&str]| all.iter().map(|word| (*word).to_owned()).collect();
    NewHook {
        name: "tell".into(),
        command: words(&["sh", "-c", script]),
        events: words(events),
        timeout_s: Some(20),
        ..NewHook::default()
    }
}

/// Whether the process whose number is this text is there, and no zombie.
fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    stat.is_ok_and(|text| !text.rsplit(')').next().unwrap_or_default().trim().starts_with('Z'))
}

#[tokio::test]
async fn a_trial_that_nobody_waits_for_any_more_ends_at_its_limit_and_is_the_only_one_until_then() {
    let hive = Hive::open().await;
    let new = shell("echo $$ > own; exec sleep 600", &["settings_changed"]);
    let new = NewHook { timeout_s: Some(5), ..new };
    let id = hive.engine.add_hook(&hive.caller(), new).await.unwrap().hook.id;
    let own = hive.engine.data_dir().join("hooks").join(id.to_string()).join("work/own");
    let begun = Instant::now();
    let mut trial = Box::pin(hive.engine.try_hook(id));
    let pid = loop {
        assert!(begun.elapsed() < Duration::from_secs(60), "it did not start");
        let waited = tokio::time::timeout(Duration::from_millis(20), &mut trial).await;
        assert!(waited.is_err(), "{waited:?}");
        match std::fs::read_to_string(&own) {
            Ok(pid) if pid.ends_with('\n') => break pid,
            _ => {}
        }
    };
    drop(trial);
    assert_eq!(hive.engine.try_hook(id).await.unwrap_err().code, Code::Busy);
    hive.until_some("its end is noted", async |engine| {
        engine.hook_runs(id).await.unwrap().items.into_iter().find(|run| run.test)
    })
    .await;
    assert!(!lives(&pid));
}

/// Asks for something and goes away at once.
fn goes_away<T>(asked: impl Future<Output = T>) {
    let mut asked = Box::pin(asked);
    assert!(asked.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

#[tokio::test]
async fn a_secret_is_kept_and_listed_or_neither_when_whoever_keeps_it_goes_away() {
    let hive = Hive::open().await;
    let caller = caller();
    goes_away(hive.engine.keep_secret(&caller, "db", "correct-horse"));
    hive.until_some("it is listed", async |engine| {
        engine.secrets().await.unwrap().items.into_iter().find(|secret| secret.name == "db")
    })
    .await;
    goes_away(hive.engine.remove_secret(&caller, "db"));
    hive.until_some("it is gone", async |engine| {
        engine.secrets().await.unwrap().items.is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_hook_hears_the_start_of_the_engine_and_is_not_made_for_its_end() {
    let hive = Hive::open().await;
    let refused = hive.engine.add_hook(&hive.caller(), shell("true", &["engine_stopped"])).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code, Code::InvalidInput);
    assert!(refused.hint.unwrap().contains("engine_started"));
    let new = shell("true", &["engine_started"]);
    let id = hive.engine.add_hook(&hive.caller(), new).await.unwrap().hook.id;
    let edit = EditHook { events: Some(vec!["engine_stopped".to_owned()]), ..EditHook::default() };
    hive.engine.edit_hook(&hive.caller(), id, edit).await.unwrap_err();
    let hive = hive.reopen().await;
    let run = hive
        .until_some("it hears the start", async |engine| {
            engine.hook_runs(id).await.unwrap().items.into_iter().next()
        })
        .await;
    assert!(run.ok && run.event == "engine_started", "{run:?}");
}

#[tokio::test]
async fn switching_a_hook_on_is_told_also_where_the_ledger_has_it_on() {
    let hive = Hive::open().await;
    let new = shell("true", &["settings_changed"]);
    let id = hive.engine.add_hook(&hive.caller(), new).await.unwrap().hook.id;
    let told = async || {
        let kind = Some("hook_saved".to_owned());
        let query = EventQuery { kind, ..EventQuery::default() };
        hive.engine.events(query).await.unwrap().items.len()
    };
    let edit = |enabled| EditHook { enabled, ..EditHook::default() };
    hive.engine.edit_hook(&hive.caller(), id, edit(None)).await.unwrap();
    assert_eq!(told().await, 1);
    hive.engine.edit_hook(&hive.caller(), id, edit(Some(true))).await.unwrap();
    assert_eq!(told().await, 2);
}
