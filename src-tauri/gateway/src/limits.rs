//! How often somebody may ask: a measure for each token, and one for each peer that shows none.
//!
//! Who is known never waits for who is not, though both may come from the same address. Who is not, and
//! asks too often, loses its connection with all that it had sent ahead on it.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use http::StatusCode;
use model::id::{LoginId, TokenId};
use model::refusal::Code;
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::door::network_of;
use crate::problem::Problem;

/// Requests of the captain's own token and logins, per second and at once.
const CAPTAIN: (u32, u32) = (2_000, 4_000);
/// Requests with one access token, per second and at once.
const TOKEN: (u32, u32) = (50, 200);
/// Requests of one peer without a valid token or login, per second and at once.
const STRANGER: (u32, u32) = (10, 100);
/// Requests of one peer for what anybody may ask, such as the files of the interface, per second and
/// at once.
const ANYBODY: (u32, u32) = (200, 1_000);
/// Wrong login codes of one peer per minute, and at once. A right one is always taken: a code has 256
/// random bits, so that what is kept off is the noise, not the guess.
const WRONG_CODES: u32 = 5;
/// After so many tokens or peers it is looked for those that may be forgotten.
const REMEMBERED: usize = 1_024;
/// The most tokens of attempts that are remembered as proven; the oldest is forgotten.
const PROVEN_MAX: usize = 4_096;
/// How many tokens that are not proven are looked up in files at once. Each costs one look, after which
/// a wrong one has lost its connection; a right one waits for no more than those before it.
const LOOKED_UP_MAX: usize = 8;
/// The most live streams of one token or one browser.
const LISTENERS_EACH: usize = 16;
/// The most live streams with the captain's own token.
const LISTENERS_CAPTAIN: usize = 128;
/// The most live streams of all together.
const LISTENERS_MAX: usize = 256;

type Keyed<K> = RateLimiter<K, HashMapStateStore<K>, DefaultClock>;
type Digested = [u8; 32];

/// What everybody has asked lately.
pub(crate) struct Limits {
    captain: Keyed<()>,
    tokens: Keyed<TokenId>,
    strangers: Keyed<IpAddr>,
    anybody: Keyed<IpAddr>,
    codes: Keyed<Option<IpAddr>>,
    /// For tokens of attempts that are not proven.
    looks: Semaphore,
    proven: Mutex<VecDeque<Digested>>,
    listeners: Arc<Listeners>,
}

impl std::fmt::Debug for Limits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limits").finish_non_exhaustive()
    }
}

impl Default for Limits {
    fn default() -> Self {
        let a_minute = NonZeroU32::new(WRONG_CODES).unwrap_or(NonZeroU32::MIN);
        Self {
            captain: RateLimiter::hashmap(quota(CAPTAIN)),
            tokens: RateLimiter::hashmap(quota(TOKEN)),
            strangers: RateLimiter::hashmap(quota(STRANGER)),
            anybody: RateLimiter::hashmap(quota(ANYBODY)),
            codes: RateLimiter::hashmap(Quota::per_minute(a_minute)),
            looks: Semaphore::new(LOOKED_UP_MAX),
            proven: Mutex::default(),
            listeners: Arc::default(),
        }
    }
}

fn quota((per_second, at_once): (u32, u32)) -> Quota {
    let some = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
    Quota::per_second(some(per_second)).allow_burst(some(at_once))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Limits {
    /// Counts a request of the captain.
    pub(crate) fn captain(&self) -> Result<(), Problem> {
        count(&self.captain, &(), "more is asked at once than this engine takes").map_err(told)
    }

    /// Counts a request with an access token.
    pub(crate) fn token(&self, id: TokenId) -> Result<(), Problem> {
        count(&self.tokens, &id, "this token asks too often").map_err(told)
    }

    /// Counts a request for what anybody may ask.
    pub(crate) fn anybody(&self, peer: IpAddr) -> Result<(), Problem> {
        let often = "too many requests from this address";
        count(&self.anybody, &network_of(peer), often).map_err(|wait| told(wait).closing())
    }

    /// Counts a login code that was none.
    pub(crate) fn wrong_code(&self, peer: Option<IpAddr>) -> Result<(), Problem> {
        count(&self.codes, &peer.map(network_of), "too many wrong login codes").map_err(told)
    }

    /// Counts a request of somebody who is not known.
    pub(crate) fn stranger(&self, peer: IpAddr) -> Result<(), Problem> {
        let often = "too many requests without a valid token";
        count(&self.strangers, &network_of(peer), often).map_err(|wait| told(wait).closing())
    }

    /// Waits for the turn of a token to be looked up in files; one that was found to be an attempt's
    /// before waits for nobody.
    pub(crate) async fn turn_of(&self, token: &str) -> Option<SemaphorePermit<'_>> {
        if locked(&self.proven).contains(&digest(token)) {
            return None;
        }
        self.looks.acquire().await.ok()
    }

    /// Remembers that a token is an attempt's.
    pub(crate) fn prove(&self, token: &str) {
        let digest = digest(token);
        let mut proven = locked(&self.proven);
        if proven.contains(&digest) {
            return;
        }
        if proven.len() >= PROVEN_MAX {
            proven.pop_front();
        }
        proven.push_back(digest);
    }

    /// Takes a place among those who listen to the live stream; it is free again when it is dropped.
    pub(crate) fn listener(&self, who: Listener) -> Result<ListenerPlace, Problem> {
        let max = if who == Listener::Captain { LISTENERS_CAPTAIN } else { LISTENERS_EACH };
        let mut all = locked(&self.listeners.0);
        if all.values().sum::<usize>() >= LISTENERS_MAX {
            let why = format!("{LISTENERS_MAX} clients listen already");
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, Code::Busy, why)
                .hint("close one, or read by requests")
                .retry_after(5));
        }
        let count = all.entry(who).or_default();
        if *count >= max {
            return Err(Problem::busy(format!("{max} live streams are open already by this key"))
                .hint("close one")
                .retry_after(5));
        }
        *count += 1;
        Ok(ListenerPlace { who, listeners: Arc::clone(&self.listeners) })
    }
}

fn digest(token: &str) -> Digested {
    Sha256::digest(token.as_bytes()).into()
}

/// Who listens to the live stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Listener {
    /// The captain's token of this run.
    Captain,
    /// A browser.
    Login(LoginId),
    /// Whoever holds an access token.
    Token(TokenId),
}

#[derive(Debug, Default)]
struct Listeners(Mutex<HashMap<Listener, usize>>);

/// A place among those who listen.
#[derive(Debug)]
pub(crate) struct ListenerPlace {
    who: Listener,
    listeners: Arc<Listeners>,
}

impl Drop for ListenerPlace {
    fn drop(&mut self) {
        let mut all = locked(&self.listeners.0);
        if let Some(count) = all.get_mut(&self.who) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.who);
            }
        }
    }
}

type TooOften = (Duration, &'static str);

fn count<K: Hash + Eq + Clone>(
    limits: &Keyed<K>,
    key: &K,
    detail: &'static str,
) -> Result<(), TooOften> {
    if limits.len() > REMEMBERED {
        limits.retain_recent();
    }
    limits
        .check_key(key)
        .map_err(|not_until| (not_until.wait_time_from(DefaultClock::default().now()), detail))
}

fn told((wait, detail): TooOften) -> Problem {
    let wait_s = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX - 1) + 1;
    Problem::busy(detail)
        .hint(format!("ask again in {wait_s} s; Retry-After says the same"))
        .retry_after(wait_s)
}

#[cfg(test)]
mod tests {
    use model::id::SystemDraw;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

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
        limits.stranger(HERE).unwrap();
        limits.anybody(HERE).unwrap();
    }

    #[test]
    fn peers_that_come_and_go_are_forgotten() {
        let limits = Limits::default();
        for n in 0..4 * REMEMBERED as u32 {
            limits.stranger(IpAddr::from(n.to_be_bytes())).unwrap();
        }
        let until = std::time::Instant::now() + Duration::from_secs(30);
        while limits.strangers.len() > REMEMBERED {
            assert!(std::time::Instant::now() < until, "{} are remembered", limits.strangers.len());
            drop(limits.stranger(IpAddr::from([10, 0, 0, 1])));
            std::thread::yield_now();
        }
    }

    #[tokio::test]
    async fn a_token_that_is_proven_waits_for_none_that_is_not() {
        let limits = Limits::default();
        limits.prove("hk_a_1");
        limits.prove("hk_a_1");
        let mut held = Vec::new();
        for n in 0..LOOKED_UP_MAX {
            held.push(limits.turn_of(&format!("hk_a_wrong{n}")).await.unwrap());
        }
        assert!(limits.turn_of("hk_a_1").await.is_none());
        let waits = limits.turn_of("hk_a_2");
        tokio::pin!(waits);
        assert!(futures::poll!(waits.as_mut()).is_pending());
        held.pop();
        assert!(waits.await.is_some());
        for n in 0..PROVEN_MAX {
            limits.prove(&n.to_string());
        }
        assert!(limits.turn_of("hk_a_1").await.is_some(), "the oldest is forgotten");
        assert_eq!(locked(&limits.proven).len(), PROVEN_MAX);
    }

    #[test]
    fn all_addresses_of_one_network_have_one_measure() {
        let limits = Limits::default();
        let ip = |host: u32| -> IpAddr { format!("2001:db8::{host:x}").parse().unwrap() };
        let refused = (0..10_000).find_map(|n| limits.stranger(ip(n)).err()).unwrap();
        assert_eq!(refused.status, 429);
        assert!((0..100_000).any(|n| limits.anybody(ip(n)).is_err()));
        for n in 0..WRONG_CODES {
            limits.wrong_code(Some(ip(n))).unwrap();
        }
        assert_eq!(limits.wrong_code(Some(ip(77))).unwrap_err().status, 429);
        limits.wrong_code(Some("2001:db8:0:1::1".parse().unwrap())).unwrap();
    }

    #[test]
    fn wrong_codes_hold_up_nobody_but_the_peer_they_come_from() {
        let limits = Limits::default();
        for _ in 0..WRONG_CODES {
            limits.wrong_code(Some(HERE)).unwrap();
        }
        assert_eq!(limits.wrong_code(Some(HERE)).unwrap_err().status, 429);
        limits.wrong_code(Some(IpAddr::from([10, 0, 0, 1]))).unwrap();
        limits.wrong_code(None).unwrap();
    }

    #[test]
    fn a_key_has_so_many_streams_and_one_that_is_closed_makes_room() {
        let limits = Limits::default();
        let id = LoginId::draw(model::Timestamp::UNIX_EPOCH, &mut SystemDraw);
        let mut places: Vec<_> =
            (0..LISTENERS_EACH).map(|_| limits.listener(Listener::Login(id)).unwrap()).collect();
        assert_eq!(limits.listener(Listener::Login(id)).unwrap_err().status, 429);
        limits.listener(Listener::Captain).unwrap();
        places.pop();
        places.push(limits.listener(Listener::Login(id)).unwrap());
        drop(places);
        assert!(locked(&limits.listeners.0).is_empty(), "nobody is remembered who is gone");
        let anybody = || LoginId::draw(model::Timestamp::UNIX_EPOCH, &mut SystemDraw);
        let all: Vec<_> = (0..LISTENERS_MAX)
            .map(|_| limits.listener(Listener::Login(anybody())).unwrap())
            .collect();
        assert_eq!(limits.listener(Listener::Captain).unwrap_err().status, 503);
        drop(all);
        limits.listener(Listener::Captain).unwrap();
    }
}
