//! Logins: kept without what they are recognised by in clear, ended once, by themselves or with their
//! token, and their last use beside the log.

use jiff::SignedDuration;
use model::event::{Fact, Subject};
use model::id::{LoginId, TokenId};
use model::login::{Login, LoginEnd, LoginEnded, LoginVia};
use model::token::{AccessToken, TokenRole};
use store::{Change, CommitError, KeptLogin};

use crate::support::*;

fn login(token_id: Option<TokenId>) -> Login {
    Login {
        id: LoginId::draw(now(), &mut Rising),
        via: if token_id.is_some() { LoginVia::Pairing } else { LoginVia::Code },
        token_id,
        made_by: None,
        origin: "http://127.0.0.1:7171".to_owned(),
        from: Some("127.0.0.1".to_owned()),
        agent: "'; DROP TABLE logins; --".to_owned(),
        made_at: now(),
        expires_at: now() + SignedDuration::from_hours(1),
        ended: None,
    }
}

async fn tell(place: &Place, fact: Fact) -> Result<(), CommitError> {
    let change = Change::events(vec![event(Subject::default(), fact)]);
    place.ledger.commit(change).await.map(drop)
}

async fn sign_in(place: &Place, login: &Login, digit: &str) {
    let (cookie_hash, page_hash) = (digit.repeat(32), "77".repeat(32));
    tell(place, Fact::LoggedIn { login: login.clone(), cookie_hash, page_hash }).await.unwrap();
}

#[tokio::test]
async fn a_login_is_read_back_as_it_was_made_and_ended_once() {
    let place = Place::new().await;
    let (old, new) = (login(None), login(None));
    sign_in(&place, &old, "0a").await;
    sign_in(&place, &new, "ff").await;
    let kept = |login: &Login, byte| KeptLogin {
        login: login.clone(),
        cookie_hash: [byte; 32],
        page_hash: [0x77; 32],
        used_at: None,
    };
    let all = place.ledger.logins(now(), false, 9).await.unwrap();
    assert_eq!(all, [kept(&new, 0xff), kept(&old, 0x0a)]);

    let (at, why) = (now(), LoginEnd::SignedOut);
    tell(&place, Fact::LoggedOut { login_id: old.id, at, why }).await.unwrap();
    assert_eq!(place.ledger.logins(now(), false, 9).await.unwrap(), [kept(&new, 0xff)]);
    let ever = place.ledger.logins(now(), true, 9).await.unwrap();
    assert_eq!(ever[1].login.ended, Some(LoginEnded { at, why }));
    let later = now() + SignedDuration::from_hours(1);
    assert_eq!(place.ledger.logins(later, false, 9).await.unwrap(), [], "it came to its end");

    let refused = async |login_id| {
        tell(&place, Fact::LoggedOut { login_id, at, why }).await.unwrap_err().to_string()
    };
    assert!(refused(old.id).await.contains("already signed out"));
    assert!(refused(LoginId::draw(now(), &mut Rising)).await.contains("no such login"));
    assert_eq!(place.ledger.verify().await.unwrap().findings, []);
}

#[tokio::test]
async fn a_token_that_is_revoked_ends_the_logins_that_are_its_own() {
    let place = Place::new().await;
    let token = AccessToken {
        id: TokenId::draw(now(), &mut Rising),
        name: "phone".to_owned(),
        prefix: "hk_t_0123456".to_owned(),
        role: TokenRole::Viewer,
        scopes: Vec::new(),
        made_at: now(),
        expires_at: None,
        revoked_at: None,
        made_by: None,
    };
    tell(&place, Fact::TokenMade { token: token.clone(), hash: "1b".repeat(32) }).await.unwrap();
    let (own, other) = (login(Some(token.id)), login(None));
    sign_in(&place, &own, "0a").await;
    sign_in(&place, &other, "0b").await;
    let at = now();
    tell(&place, Fact::TokenRevoked { token_id: token.id, at }).await.unwrap();
    let left = place.ledger.logins(now(), false, 9).await.unwrap();
    assert_eq!(left.iter().map(|kept| kept.login.id).collect::<Vec<_>>(), [other.id]);
    let ever = place.ledger.logins(now(), true, 9).await.unwrap();
    let why = LoginEnd::TokenRevoked;
    assert_eq!(ever[1].login.ended, Some(LoginEnded { at, why }));
    assert_eq!(place.ledger.verify().await.unwrap().findings, []);
}

#[tokio::test]
async fn a_last_use_of_a_login_only_moves_forward_and_is_no_event() {
    let place = Place::new().await;
    let login = login(None);
    sign_in(&place, &login, "1b").await;
    let used = async |at| {
        let login_uses = vec![(login.id, at), (LoginId::draw(now(), &mut Rising), at)];
        let change = Change { login_uses, ..Change::default() };
        place.ledger.commit(change).await.unwrap();
        place.ledger.logins(now(), false, 9).await.unwrap()[0].used_at
    };
    let (early, late) = (now(), now() + SignedDuration::from_secs(60));
    assert_eq!(used(early).await, Some(early));
    assert_eq!(used(late).await, Some(late));
    assert_eq!(used(early).await, Some(late), "it does not go back");
    assert_eq!(place.ledger.counts().await.unwrap().events, 1);
    assert_eq!(place.ledger.verify().await.unwrap().findings, []);
}

#[tokio::test]
async fn a_login_with_a_hash_that_is_none_is_refused() {
    let place = Place::new().await;
    let fact = Fact::LoggedIn {
        login: login(None),
        cookie_hash: "secret".to_owned(),
        page_hash: "77".repeat(32),
    };
    tell(&place, fact).await.unwrap_err();
    assert_eq!(place.ledger.logins(now(), true, 9).await.unwrap(), []);
}
