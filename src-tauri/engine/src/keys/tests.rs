//! Access tokens, as the door looks them up.

use proptest::prelude::*;

use super::*;

fn token(secret: &str, now: Timestamp) -> (AccessToken, [u8; 32]) {
    let token = AccessToken {
        id: TokenId::draw(now, &mut SystemDraw),
        name: "ci".into(),
        prefix: secret.chars().take(PREFIX_CHARS).collect(),
        role: TokenRole::Viewer,
        scopes: Vec::new(),
        made_at: now,
        expires_at: Some(now + SignedDuration::from_secs(300)),
        revoked_at: None,
        made_by: None,
    };
    (token, Sha256::digest(secret.as_bytes()).into())
}

#[test]
fn a_token_is_recognised_by_all_of_its_secret_until_its_end() {
    let (keys, now) = (Keys::default(), Timestamp::UNIX_EPOCH);
    let secret = draw(TOKEN_PREFIX).unwrap();
    assert_eq!(secret.len(), SECRET_CHARS);
    let (token, hash) = token(&secret, now);
    let id = token.id;
    keys.add(token, hash);
    let who = |secret: &str, now| keys.recognise(secret, now).map(|(bearer, _)| bearer.id);
    assert_eq!(who(&secret, now), Some(id));
    assert_eq!(who(&secret[..SECRET_CHARS - 1], now), None);
    assert_eq!(who(&format!("{secret}0"), now), None);
    assert_eq!(who("", now), None);
    // The same beginning, and another end.
    let flipped = if secret.ends_with('0') { '1' } else { '0' };
    let other = format!("{}{flipped}", &secret[..SECRET_CHARS - 1]);
    assert_eq!(who(&other, now), None);
    assert_eq!(who(&secret, now + SignedDuration::from_secs(300)), None);
    keys.drop_token(id);
    assert_eq!(who(&secret, now), None);
}

#[test]
fn a_use_is_written_down_once_a_minute() {
    let (keys, now) = (Keys::default(), Timestamp::UNIX_EPOCH);
    let secret = draw(TOKEN_PREFIX).unwrap();
    let (token, hash) = token(&secret, now);
    keys.add(token.clone(), hash);
    let due = |after_s| {
        let now = now + SignedDuration::from_secs(after_s);
        let written = keys.recognise(&secret, now).unwrap().1.is_some();
        (written, keys.used_at(token.id) == Some(now))
    };
    assert_eq!(due(0), (true, true));
    assert_eq!(due(1), (false, true));
    assert_eq!(due(59), (false, true));
    assert_eq!(due(60), (true, true));
    assert_eq!(due(61), (false, true));
}

#[test]
fn of_two_tokens_that_begin_alike_each_is_known_and_forgotten_for_itself() {
    let (keys, now) = (Keys::default(), Timestamp::UNIX_EPOCH);
    let beginning = format!("{TOKEN_PREFIX}0000000");
    let secret = |digit: &str| format!("{beginning}{}", digit.repeat(SECRET_CHARS - PREFIX_CHARS));
    let ids = ["1", "2"].map(|digit| {
        let (token, hash) = token(&secret(digit), now);
        let id = token.id;
        keys.add(token, hash);
        id
    });
    let who = |digit: &str| keys.recognise(&secret(digit), now).map(|(bearer, _)| bearer.id);
    assert_eq!(["1", "2"].map(who), ids.map(Some));
    keys.drop_token(ids[0]);
    assert_eq!(["1", "2"].map(who), [None, Some(ids[1])]);
    assert_eq!((keys.is_valid(ids[0], now), keys.is_valid(ids[1], now)), (false, true));
    assert_eq!(
        keys.bearer_of(ids[1], now).unwrap().expires_at,
        Some(now + SignedDuration::from_secs(300))
    );
    keys.drop_token(ids[1]);
    assert!(keys.standing().by_prefix.is_empty(), "nothing is left of them");
}

proptest! {
    #[test]
    fn no_secret_panics(secret: String, tail in "[a-f0-9é]{64}") {
        let keys = Keys::default();
        prop_assert!(keys.recognise(&secret, Timestamp::UNIX_EPOCH).is_none());
        let secret = format!("{TOKEN_PREFIX}{tail}");
        prop_assert!(keys.recognise(&secret, Timestamp::UNIX_EPOCH).is_none());
    }
}
