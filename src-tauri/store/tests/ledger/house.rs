//! Hooks and the names of secrets as rows of the ledger, and backups of all of it.

use model::event::{Fact, Subject};
use model::hook::Hook;
use model::id::HookId;
use store::ledger::{BackupError, restore};
use store::{Change, CommitError, DataDir};

use crate::support::*;

fn hook(name: &str) -> Hook {
    Hook {
        id: HookId::draw(now(), &mut Rising),
        name: name.to_owned(),
        command: vec!["true".to_owned(), "'; DROP TABLE hooks; --".to_owned()],
        events: vec!["mission_moved".to_owned()],
        timeout_s: 5,
        memory_bytes: 64 << 20,
        per_minute: 3,
        enabled: true,
        off_because: None,
    }
}

async fn tell(place: &Place, fact: Fact) -> Result<(), CommitError> {
    let change = Change::events(vec![event(Subject::default(), fact)]);
    place.ledger.commit(change).await.map(drop)
}

#[tokio::test]
async fn hooks_and_the_names_of_secrets_are_read_back_and_follow_from_the_events() {
    let place = Place::new().await;
    let (one, two) = (hook("one"), hook("two"));
    for hook in [&one, &two] {
        tell(&place, Fact::HookSaved { hook: hook.clone() }).await.unwrap();
    }
    let off = Hook { enabled: false, off_because: Some("it failed".into()), ..one.clone() };
    tell(&place, Fact::HookSaved { hook: off.clone() }).await.unwrap();
    assert_eq!(place.ledger.hooks().await.unwrap(), [off, two.clone()]);
    tell(&place, Fact::HookRemoved { hook_id: one.id }).await.unwrap();
    assert_eq!(place.ledger.hooks().await.unwrap(), [two]);
    let gone = tell(&place, Fact::HookRemoved { hook_id: one.id }).await.unwrap_err();
    assert!(gone.to_string().contains("no such hook"), "{gone}");

    for name in ["mail", "db", "mail"] {
        tell(&place, Fact::SecretKept { name: name.into() }).await.unwrap();
    }
    let names = async || -> Vec<String> {
        place.ledger.secrets().await.unwrap().into_iter().map(|it| it.name).collect()
    };
    assert_eq!(names().await, ["db", "mail"]);
    tell(&place, Fact::SecretRemoved { name: "db".into() }).await.unwrap();
    assert_eq!(names().await, ["mail"]);
    tell(&place, Fact::SecretRemoved { name: "db".into() }).await.unwrap_err();
    let failed = Fact::HookFailed {
        hook_id: one.id,
        name: "one".into(),
        event_seq: 1,
        reason: "ended with exit code 1".into(),
    };
    tell(&place, failed).await.unwrap();
    assert_eq!(place.ledger.verify().await.unwrap().findings, []);
}

#[tokio::test]
async fn a_backup_holds_what_was_there_at_one_moment_and_is_put_back_whole() {
    let place = Place::new().await;
    tell(&place, Fact::SecretKept { name: "kept-earlier".into() }).await.unwrap();
    let file = place.path("backups/one.db");
    let made = place.ledger.back_up(&file).await.unwrap();
    assert_eq!(made.events, place.ledger.counts().await.unwrap().events);
    assert_eq!(made.bytes, std::fs::metadata(&file).unwrap().len());
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert!(!place.path("backups/making").exists());
    let twice = place.ledger.back_up(&file).await.unwrap_err();
    assert!(matches!(twice, BackupError::File { .. }), "{twice}");
    tell(&place, Fact::SecretKept { name: "after".into() }).await.unwrap();

    let folder = place.close().await;
    let clock: model::clock::SharedClock = std::sync::Arc::new(model::clock::SystemClock);
    let done = {
        let root = folder.path().join("data");
        let dir = DataDir::open(&root).unwrap();
        let kept = root.join("backups/one.db");
        // One byte in the middle of it is another.
        let mut bytes = std::fs::read(&kept).unwrap();
        let at = bytes.windows(12).position(|part| part == b"kept-earlier").unwrap();
        bytes[at] = b'K';
        let forged = root.join("forged.db");
        std::fs::write(&forged, bytes).unwrap();
        restore(&dir, &forged, &clock).await.unwrap_err();
        assert!(!root.join("making").exists() && !root.join("set-aside").exists());
        restore(&dir, &kept, &clock).await.unwrap()
    };
    assert_eq!(done.events, made.events);
    assert!(done.aside.unwrap().join("ledger.db").is_file());
    let place = reopen(folder).await.unwrap();
    let names: Vec<String> =
        place.ledger.secrets().await.unwrap().into_iter().map(|it| it.name).collect();
    assert_eq!(names, ["kept-earlier"]);
    assert_eq!(place.ledger.verify().await.unwrap().findings, []);
}
