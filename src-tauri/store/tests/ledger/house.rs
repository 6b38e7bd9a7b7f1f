//! Hooks and the names of secrets as rows of the ledger, and backups of all of it.

use std::path::PathBuf;

use jiff::SignedDuration;
use model::event::{Fact, Subject};
use model::hook::Hook;
use model::id::{HookId, LoginId, TokenId};
use model::login::{Login, LoginEnd, LoginVia};
use model::token::{AccessToken, TokenRole};
use store::ledger::{BackupError, Restored, Revival, RevivedKind, restore};
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
        restore(&dir, &forged, Revival::End, &clock).await.unwrap_err();
        assert!(!root.join("making").exists() && !root.join("set-aside").exists());
        restore(&dir, &kept, Revival::End, &clock).await.unwrap()
    };
    assert_eq!(done.events, made.events);
    assert!(done.aside.unwrap().join("ledger.db").is_file());
    let place = reopen(folder).await.unwrap();
    let names: Vec<String> =
        place.ledger.secrets().await.unwrap().into_iter().map(|it| it.name).collect();
    assert_eq!(names, ["kept-earlier"]);
    assert_eq!(place.ledger.verify().await.unwrap().findings, []);
}

fn clock() -> model::clock::SharedClock {
    std::sync::Arc::new(model::clock::SystemClock)
}

#[tokio::test]
async fn a_ledger_that_was_set_aside_is_put_back_with_its_write_ahead_log_or_not_at_all() {
    let place = Place::new().await;
    tell(&place, Fact::SecretKept { name: "in-the-log".into() }).await.unwrap();
    // As a crash leaves it: what was told is in the write-ahead log alone.
    let crashed = place.path("set-aside/ledger-x");
    std::fs::create_dir_all(&crashed).unwrap();
    for name in ["ledger.db", "ledger.db-wal", "ledger.head"] {
        std::fs::copy(place.path(name), crashed.join(name)).unwrap();
    }
    let events = place.ledger.counts().await.unwrap().events;
    let folder = place.close().await;
    let root = folder.path().join("data");
    let wal = crashed.join("ledger.db-wal");
    assert!(std::fs::metadata(&wal).unwrap().len() > 0);
    {
        let dir = DataDir::open(&root).unwrap();
        let done = restore(&dir, &crashed.join("ledger.db"), Revival::End, &clock()).await.unwrap();
        assert_eq!(done.events, events);
        // Without the log its newest events are gone, as the head file knows.
        std::fs::remove_file(&wal).unwrap();
        let lost =
            restore(&dir, &crashed.join("ledger.db"), Revival::End, &clock()).await.unwrap_err();
        assert!(matches!(lost, BackupError::Open { .. }), "{lost}");
    }
    let place = reopen(folder).await.unwrap();
    assert_eq!(place.ledger.secrets().await.unwrap()[0].name, "in-the-log");
    assert_eq!(place.ledger.verify().await.unwrap().findings, []);
}

#[tokio::test]
async fn a_backup_that_does_not_end_as_its_label_says_is_refused() {
    let place = Place::new().await;
    tell(&place, Fact::SecretKept { name: "one".into() }).await.unwrap();
    let file = place.path("backups/one.db");
    let made = place.ledger.back_up(&file).await.unwrap();
    let folder = place.close().await;
    let dir = DataDir::open(&folder.path().join("data")).unwrap();
    let label = |events: u64| {
        let text = format!(r#"{{"made_at": "x", "events": {events}, "head": "{}"}}"#, made.head);
        std::fs::write(file.with_extension("json"), text).unwrap();
    };
    label(made.events + 1);
    let refused = restore(&dir, &file, Revival::End, &clock()).await.unwrap_err();
    assert!(refused.to_string().contains("label"), "{refused}");
    label(made.events);
    assert_eq!(restore(&dir, &file, Revival::End, &clock()).await.unwrap().events, made.events);
}

/// Tokens and logins of which some are ended after a backup was made, and the backup.
struct Keyed {
    place: Place,
    file: PathBuf,
    lost: AccessToken,
    /// The login of that token, and one of the captain's that was signed out.
    logins: [Login; 2],
}

impl Keyed {
    async fn new() -> Self {
        let place = Place::new().await;
        let (stays, lost) = (token("stays"), token("lost phone"));
        for (token, digit) in [(&stays, "0a"), (&lost, "ff")] {
            let hash = digit.repeat(32);
            tell(&place, Fact::TokenMade { token: token.clone(), hash }).await.unwrap();
        }
        let logins = [login(Some(lost.id)), login(None)];
        for (login, digit) in logins.iter().zip(["1a", "1b"]) {
            let (cookie_hash, page_hash) = (digit.repeat(32), digit.repeat(32));
            let login = login.clone();
            tell(&place, Fact::LoggedIn { login, cookie_hash, page_hash }).await.unwrap();
        }
        let file = place.path("backups/one.db");
        place.ledger.back_up(&file).await.unwrap();
        let at = now();
        tell(&place, Fact::TokenRevoked { token_id: lost.id, at }).await.unwrap();
        let (login_id, why) = (logins[1].id, LoginEnd::SignedOut);
        tell(&place, Fact::LoggedOut { login_id, at, why }).await.unwrap();
        Self { place, file, lost, logins }
    }

    /// Puts the backup back; gives what is said, and the names and logins that are good afterwards.
    async fn put_back(self, revival: Revival) -> (Restored, Vec<String>, usize) {
        let Self { place, file, .. } = self;
        let folder = place.close().await;
        let dir = DataDir::open(&folder.path().join("data")).unwrap();
        let done = restore(&dir, &file, revival, &clock()).await.unwrap();
        drop(dir);
        let place = reopen(folder).await.unwrap();
        let tokens = place.ledger.tokens(false, 9).await.unwrap();
        let names = tokens.into_iter().map(|kept| kept.token.name).collect();
        let logins = place.ledger.logins(now(), false, 9).await.unwrap().len();
        assert_eq!(place.ledger.verify().await.unwrap().findings, []);
        (done, names, logins)
    }
}

fn token(name: &str) -> AccessToken {
    AccessToken {
        id: TokenId::draw(now(), &mut Rising),
        name: name.to_owned(),
        prefix: "hk_t_0123456".to_owned(),
        role: TokenRole::Viewer,
        scopes: Vec::new(),
        made_at: now(),
        expires_at: None,
        revoked_at: None,
        made_by: None,
    }
}

fn login(token_id: Option<TokenId>) -> Login {
    Login {
        id: LoginId::draw(now(), &mut Rising),
        via: LoginVia::Code,
        token_id,
        made_by: None,
        origin: "http://127.0.0.1:7171".to_owned(),
        from: None,
        agent: "Firefox".to_owned(),
        made_at: now(),
        expires_at: now() + SignedDuration::from_hours(1),
        ended: None,
    }
}

#[tokio::test]
async fn keys_that_ended_after_a_backup_was_made_are_named_and_ended_when_it_is_put_back() {
    let keyed = Keyed::new().await;
    let mut expected = vec![(RevivedKind::Token, keyed.lost.id.to_string())];
    let logins = keyed.logins.iter().map(|login| (RevivedKind::Login, login.id.to_string()));
    expected.extend(logins);
    let (done, names, logins) = keyed.put_back(Revival::End).await;
    let mut named: Vec<_> = done.revived.iter().map(|it| (it.kind, it.id.clone())).collect();
    named.sort_by_key(|(_, id)| id.clone());
    expected.sort_by_key(|(_, id)| id.clone());
    assert_eq!(named, expected);
    assert!(done.revived_ended && done.revived.iter().any(|it| it.name == "lost phone"));
    assert_eq!((names, logins), (vec!["stays".to_owned()], 0), "they open nothing");
}

#[tokio::test]
async fn keys_that_are_to_be_good_again_are() {
    let (done, names, logins) = Keyed::new().await.put_back(Revival::Keep).await;
    assert_eq!((done.revived.len(), done.revived_ended), (3, false));
    assert_eq!((names.len(), logins), (2, 2));
}
