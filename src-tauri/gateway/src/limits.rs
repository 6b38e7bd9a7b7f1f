//! How often somebody may ask: a measure for each token, and one for each peer that shows none.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;

use governor::clock::{Clock as _, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use model::id::TokenId;

use crate::problem::Problem;

/// Requests of the captain's own token and logins, per second and at once.
const CAPTAIN: (u32, u32) = (2_000, 4_000);
/// Requests with one access token, per second and at once.
const TOKEN: (u32, u32) = (50, 200);
/// Requests of one peer without a valid token or login, per second and at once.
const STRANGER: (u32, u32) = (10, 100);
/// After so many tokens or peers it is looked for those that may be forgotten.
const REMEMBERED: usize = 1_024;

type Keyed<K> = RateLimiter<K, HashMapStateStore<K>, DefaultClock>;

/// What everybody has asked lately.
pub(crate) struct Limits {
    captain: Keyed<()>,
    tokens: Keyed<TokenId>,
    strangers: Keyed<IpAddr>,
}

impl std::fmt::Debug for Limits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limits").finish_non_exhaustive()
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            captain: RateLimiter::hashmap(quota(CAPTAIN)),
            tokens: RateLimiter::hashmap(quota(TOKEN)),
            strangers: RateLimiter::hashmap(quota(STRANGER)),
        }
    }
}

fn quota((per_second, at_once): (u32, u32)) -> Quota {
    let some = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
    Quota::per_second(some(per_second)).allow_burst(some(at_once))
}

impl Limits {
    /// Counts a request of the captain.
    pub(crate) fn captain(&self) -> Result<(), Problem> {
        count(&self.captain, &(), "more is asked at once than this engine takes")
    }

    /// Counts a request with an access token.
    pub(crate) fn token(&self, id: TokenId) -> Result<(), Problem> {
        count(&self.tokens, &id, "this token asks too often")
    }

    /// Counts a request of somebody who is not known.
    pub(crate) fn stranger(&self, peer: IpAddr) -> Result<(), Problem> {
        count(&self.strangers, &peer, "too many requests without a valid token")
    }
}

fn count<K: Hash + Eq + Clone>(limits: &Keyed<K>, key: &K, detail: &str) -> Result<(), Problem> {
    if limits.len() > REMEMBERED {
        limits.retain_recent();
    }
    limits.check_key(key).map_err(|not_until| {
        let wait = not_until.wait_time_from(DefaultClock::default().now());
        let wait_s = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX - 1) + 1;
        Problem::busy(detail)
            .hint(format!("ask again in {wait_s} s; Retry-After says the same"))
            .retry_after(wait_s)
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use model::id::SystemDraw;

    use super::*;

    #[test]
    fn a_token_that_asks_too_often_waits_and_others_do_not() {
        let limits = Limits::default();
        let draw = || TokenId::draw(model::Timestamp::UNIX_EPOCH, &mut SystemDraw);
        let (one, other) = (draw(), draw());
        let passed = (0..1_000).take_while(|_| limits.token(one).is_ok()).count();
        assert!((200..1_000).contains(&passed), "{passed}");
        let problem = (0..1_000).find_map(|_| limits.token(one).err()).unwrap();
        assert_eq!(problem.status, 429);
        limits.token(other).unwrap();
        limits.captain().unwrap();
        limits.stranger(IpAddr::from([127, 0, 0, 1])).unwrap();
    }

    #[test]
    fn peers_that_come_and_go_are_forgotten() {
        let limits = Limits::default();
        for n in 0..4 * REMEMBERED as u32 {
            limits.stranger(IpAddr::from(n.to_be_bytes())).unwrap();
        }
        let until = Instant::now() + Duration::from_secs(30);
        while limits.strangers.len() > REMEMBERED {
            assert!(Instant::now() < until, "{} are remembered", limits.strangers.len());
            drop(limits.stranger(IpAddr::from([10, 0, 0, 1])));
            std::thread::yield_now();
        }
    }
}
