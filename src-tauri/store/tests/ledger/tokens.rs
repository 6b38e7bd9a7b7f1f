//! Access tokens: kept without their secrets, revoked once, and their last use beside the log.

use jiff::SignedDuration;
use model::event::{Fact, Subject};
use model::id::{AgentId, TokenId};
use model::token::{AccessToken, TokenArea, TokenRole, TokenScope};
use store::{Change, CommitError, KeptToken};

use crate::support::*;

fn token(name: &str) -> AccessToken {
    AccessToken {
        id: TokenId::draw(now(), &mut Rising),
        name: name.to_owned(),
        prefix: "hk_t_0123456".to_owned(),
        role: TokenRole::Operator,
        scopes: vec![
            TokenScope::Area { area: TokenArea::Talk },
            TokenScope::Agent { id: AgentId::draw(now(), &mut Rising) },
        ],
        made_at: now(),
        expires_at: Some(now() + SignedDuration::from_hours(1)),
        revoked_at: None,
        made_by: None,
    }
}

async fn tell(place: &Place, fact: Fact) -> Result<(), CommitError> {
    let change = Change::events(vec![event(Subject::default(), fact)]);
    place.ledger.commit(change).await.map(drop)
}

#[tokio::test]
async fn a_token_is_read_back_as_it_was_made_and_revoked_once() {
    let place = Place::new().await;
    let (old, new) = (token("'; DROP TABLE tokens; --"), token("phone"));
    for (token, digit) in [(&old, "0a"), (&new, "ff")] {
        let hash = digit.repeat(32);
        tell(&place, Fact::TokenMade { token: token.clone(), hash }).await.unwrap();
    }
    let kept = |token: &AccessToken, byte| KeptToken {
        token: token.clone(),
        hash: [byte; 32],
        used_at: None,
    };
    let all = place.ledger.tokens(false, 9).await.unwrap();
    assert_eq!(all, [kept(&new, 0xff), kept(&old, 0x0a)]);

    let at = now();
    tell(&place, Fact::TokenRevoked { token_id: old.id, at }).await.unwrap();
    assert_eq!(place.ledger.tokens(false, 9).await.unwrap(), [kept(&new, 0xff)]);
    let ever = place.ledger.tokens(true, 9).await.unwrap();
    assert_eq!(ever[1].token.revoked_at, Some(at));
    for kept in &ever {
        let one = place.ledger.token(kept.token.id).await.unwrap();
        assert_eq!(one.as_ref(), Some(kept), "by its id, revoked or not");
    }
    let unknown = TokenId::draw(now(), &mut Rising);
    assert_eq!(place.ledger.token(unknown).await.unwrap(), None);

    let refused = async |token_id| {
        let refused = tell(&place, Fact::TokenRevoked { token_id, at }).await;
        refused.unwrap_err().to_string()
    };
    assert!(refused(old.id).await.contains("already revoked"));
    let unknown = TokenId::draw(now(), &mut Rising);
    assert!(refused(unknown).await.contains("no such token"));
    assert_eq!(place.ledger.verify().await.unwrap().findings, []);
}

#[tokio::test]
async fn a_last_use_only_moves_forward_and_is_no_event() {
    let place = Place::new().await;
    let token = token("ci");
    tell(&place, Fact::TokenMade { token: token.clone(), hash: "1b".repeat(32) }).await.unwrap();
    let used = async |at| {
        let token_uses = vec![(token.id, at), (TokenId::draw(now(), &mut Rising), at)];
        let change = Change { token_uses, ..Change::default() };
        place.ledger.commit(change).await.unwrap();
        place.ledger.tokens(false, 9).await.unwrap()[0].used_at
    };
    let (early, late) = (now(), now() + SignedDuration::from_secs(60));
    assert_eq!(used(early).await, Some(early));
    assert_eq!(used(late).await, Some(late));
    assert_eq!(used(early).await, Some(late), "it does not go back");
    assert_eq!(place.ledger.counts().await.unwrap().events, 1);
    assert_eq!(place.ledger.verify().await.unwrap().findings, []);
}

#[tokio::test]
async fn a_fact_with_a_hash_that_is_none_is_refused() {
    let place = Place::new().await;
    let fact = Fact::TokenMade { token: token("x"), hash: "secret".to_owned() };
    tell(&place, fact).await.unwrap_err();
    assert_eq!(place.ledger.tokens(true, 9).await.unwrap(), []);
}
