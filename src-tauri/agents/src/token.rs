//! Tokens of attempts: by them an agent's calls are known to be its own.
//!
//! A token names its attempt and holds 244 random bits. Only its SHA-256 is kept, beside the run, so
//! that it holds across a restart of the engine; it ends with its attempt.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use model::id::AttemptId;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

/// What every such token starts with, so that leaked ones can be found.
pub const PREFIX: &str = "hk_a_";
/// The file in a run's directory: one hash after the other.
const FILE: &str = "token.sha256";
/// How long a hash is, in bytes.
const HASH_BYTES: usize = 32;
/// The most tokens of one attempt; an engine that starts again may not know the one before.
const TOKENS_MAX: usize = 16;
/// Tokens of one attempt are made one after the other, so that none is lost: one lock for each
/// attempt's last four bits.
static TURNS: [Mutex<()>; 16] = [const { Mutex::new(()) }; 16];

/// Makes a token of an attempt, beside earlier ones, of which the oldest end at last.
///
/// # Errors
/// When its hash cannot be kept.
pub fn mint(run: &Path, attempt: AttemptId) -> std::io::Result<String> {
    // Version 4 is random but for six bits.
    let (one, other) = (Uuid::new_v4().simple(), Uuid::new_v4().simple());
    let token = format!("{PREFIX}{}_{one}{other}", attempt.as_uuid().simple());
    let turn = usize::from(attempt.as_uuid().as_bytes()[15]) % TURNS.len();
    let _turn = TURNS[turn].lock().unwrap_or_else(PoisonError::into_inner);
    crate::run_files::make_private(run)?;
    let path = run.join(FILE);
    let mut kept = match std::fs::read(&path) {
        Ok(kept) => kept,
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(err) => return Err(err),
    };
    if kept.len() >= TOKENS_MAX * HASH_BYTES {
        kept.drain(..HASH_BYTES);
    }
    kept.extend(hash(&token));
    shim::record::write(&path, &kept)?;
    Ok(token)
}

/// The attempt a token says it is of; that has to be proven by [`is_of`].
#[must_use]
pub fn claims(token: &str) -> Option<AttemptId> {
    let (id, _) = token.strip_prefix(PREFIX)?.split_once('_')?;
    (id.len() == 32).then(|| Uuid::try_parse(id).ok().map(AttemptId::from_uuid)).flatten()
}

/// Whether a token is the one of the attempt whose run is at `run`.
#[must_use]
pub fn is_of(run: &Path, token: &str) -> bool {
    let Ok(kept) = std::fs::read(run.join(FILE)) else {
        return false;
    };
    let own = hash(token);
    // All are compared, so that the time says nothing.
    let same = kept.chunks(HASH_BYTES).map(|kept| kept.ct_eq(&own));
    same.fold(subtle::Choice::from(0), |any, same| any | same).into()
}

fn hash(token: &str) -> [u8; HASH_BYTES] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use model::id::SystemDraw;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_is_of_its_own_run_only_and_is_kept_nowhere() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let id = AttemptId::draw(model::Timestamp::UNIX_EPOCH, &mut SystemDraw);
        let token = mint(one.path(), id).unwrap();
        assert_eq!(claims(&token), Some(id));
        assert!(is_of(one.path(), &token));
        assert!(!is_of(other.path(), &token), "no token was made there");
        let later = mint(other.path(), id).unwrap();
        assert!(!is_of(one.path(), &later) && !is_of(other.path(), &token));
        let second = mint(one.path(), id).unwrap();
        assert!(is_of(one.path(), &token) && is_of(one.path(), &second));
        for _ in 0..TOKENS_MAX {
            mint(one.path(), id).unwrap();
        }
        assert!(!is_of(one.path(), &token), "the oldest end");
        let kept = std::fs::read(one.path().join(FILE)).unwrap();
        assert!(!kept.windows(8).any(|part| token.as_bytes().windows(8).any(|own| own == part)));
    }

    #[test]
    fn tokens_that_are_made_at_the_same_time_all_hold() {
        let run = tempfile::tempdir().unwrap();
        let id = AttemptId::draw(model::Timestamp::UNIX_EPOCH, &mut SystemDraw);
        let tokens: Vec<_> = std::thread::scope(|scope| {
            let makers: Vec<_> =
                (0..TOKENS_MAX).map(|_| scope.spawn(|| mint(run.path(), id))).collect();
            makers.into_iter().map(|maker| maker.join().unwrap().unwrap()).collect()
        });
        assert!(tokens.iter().all(|token| is_of(run.path(), token)));
    }

    proptest! {
        #[test]
        fn nothing_but_a_token_claims_an_attempt(text: String) {
            prop_assert_eq!(claims(&text), None);
            let run = tempfile::tempdir().unwrap();
            prop_assert!(!is_of(run.path(), &text));
        }
    }
}
