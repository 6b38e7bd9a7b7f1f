//! Who holds the places of a door: so many at once, and so many of each other machine.
//!
//! Invariant: nobody who has shown that it is known is sent away. Where no place is left, whoever has
//! been there longest without showing that gives way; and where few are left, nobody keeps a connection
//! that it does not use: each answer ends its own, so that more can come than there are places.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::door::network_of;

/// The most connections of one other machine; it is cut off beyond that, so that it leaves room for
/// others. Whoever is on this machine shares it with nobody else.
const CONNECTIONS_EACH: usize = 64;
/// Few places are left when fewer than one in so many are free.
const FEW: usize = 4;
/// Whoever was sent away is gone within this; otherwise the next one is.
const GOING: Duration = Duration::from_millis(50);

/// The places of a door.
#[derive(Debug)]
pub(crate) struct Crowd {
    free: Arc<Semaphore>,
    max: usize,
    /// How long everybody may take to show that it is known.
    grace: Duration,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    /// How many came so far.
    came: u64,
    /// Those that have not shown that they are known, the oldest first.
    strangers: BTreeMap<u64, (Instant, CancellationToken)>,
    by_peer: HashMap<IpAddr, usize>,
}

/// A place among the connections. It is free again when the last that holds it lets go: the
/// connection, and whatever it was turned into, such as a WebSocket.
#[derive(Debug, Clone)]
pub(crate) struct Place(Arc<Held>);

#[derive(Debug)]
struct Held {
    crowd: Arc<Crowd>,
    number: u64,
    peer: Option<IpAddr>,
    leave: CancellationToken,
    _free: OwnedSemaphorePermit,
}

impl Crowd {
    /// So many places, where everybody has so long to show that it is known.
    pub(crate) fn new(max: usize, grace: Duration) -> Arc<Self> {
        let free = Arc::new(Semaphore::new(max));
        Arc::new(Self { free, max, grace, inside: Mutex::default() })
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place, and has strangers give way for it. Nothing where this machine has its share;
    /// `peer` is which other machine it is, where it is one.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        peer: Option<IpAddr>,
    ) -> Result<Option<Place>, AcquireError> {
        let peer = peer.map(network_of);
        let is_full =
            |peer| self.inside().by_peer.get(&peer).is_some_and(|n| *n >= CONNECTIONS_EACH);
        if peer.is_some_and(is_full) {
            return Ok(None);
        }
        let free = self.place().await?;
        let mut inside = self.inside();
        inside.came += 1;
        let number = inside.came;
        let leave = CancellationToken::new();
        inside.strangers.insert(number, (Instant::now(), leave.clone()));
        if let Some(peer) = peer {
            *inside.by_peer.entry(peer).or_default() += 1;
        }
        drop(inside);
        let crowd = Arc::clone(self);
        Ok(Some(Place(Arc::new(Held { crowd, number, peer, leave, _free: free }))))
    }

    async fn place(&self) -> Result<OwnedSemaphorePermit, AcquireError> {
        if let Ok(place) = Arc::clone(&self.free).try_acquire_owned() {
            return Ok(place);
        }
        let place = Arc::clone(&self.free).acquire_owned();
        tokio::pin!(place);
        loop {
            let wait = self.send_one_away();
            tokio::select! {
                place = place.as_mut() => return place,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Has the oldest stranger give way where it has had its time; says when to look again.
    fn send_one_away(&self) -> Duration {
        let mut inside = self.inside();
        let Some(oldest) = inside.strangers.first_entry() else {
            return GOING;
        };
        let left = self.grace.saturating_sub(oldest.get().0.elapsed());
        if left.is_zero() {
            oldest.remove().1.cancel();
            tracing::debug!("a peer that had not shown a token gave way to another");
            return GOING;
        }
        left
    }
}

impl Place {
    /// Notes that whoever holds it has shown that it is known.
    pub(crate) fn prove(&self) {
        self.0.crowd.inside().strangers.remove(&self.0.number);
    }

    /// Whether so few places are left that nobody is to keep one it does not use.
    pub(crate) fn is_wanted(&self) -> bool {
        self.0.crowd.free.available_permits() < self.0.crowd.max.div_ceil(FEW)
    }

    /// Waits until it has to be given to another.
    pub(crate) fn until_wanted(&self) -> impl Future<Output = ()> + Send + use<> {
        self.0.leave.clone().cancelled_owned()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut inside = self.crowd.inside();
        inside.strangers.remove(&self.number);
        let Some(peer) = self.peer else {
            return;
        };
        if let Some(count) = inside.by_peer.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                inside.by_peer.remove(&peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    #[tokio::test]
    async fn another_machine_has_its_share_of_the_connections_and_this_one_has_all() {
        let crowd = Crowd::new(512, LONG);
        let of = async |text: &str| crowd.enter(Some(text.parse().unwrap())).await.unwrap();
        for (one, same, other) in [
            ("192.168.1.9", "192.168.1.9", "192.168.1.8"),
            // Whoever has one address of such a network has them all.
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff::7", "2001:db8:1:3::1"),
        ] {
            let mut held = Vec::new();
            for _ in 0..CONNECTIONS_EACH {
                held.push(of(one).await.unwrap());
            }
            assert!(of(one).await.is_none() && of(same).await.is_none());
            assert!(of(other).await.is_some());
            assert!(crowd.enter(None).await.unwrap().is_some());
            held.pop();
            held.push(of(same).await.unwrap());
        }
        assert!(crowd.inside().by_peer.is_empty(), "nobody is remembered who is gone");
        assert!(crowd.inside().strangers.is_empty());
    }

    #[tokio::test]
    async fn the_oldest_that_is_not_known_gives_way_once_it_has_had_its_time() {
        let grace = Duration::from_millis(300);
        let crowd = Crowd::new(3, grace);
        let enter = async || crowd.enter(None).await.unwrap().unwrap();
        let known = enter().await;
        known.prove();
        let (oldest, younger) = (enter().await, enter().await);
        let gives_way = async {
            oldest.until_wanted().await;
            drop(oldest);
        };
        let begun = Instant::now();
        let (late, ()) = tokio::join!(enter(), gives_way);
        assert!(begun.elapsed() > grace / 2, "{:?}", begun.elapsed());
        for place in [&known, &younger, &late] {
            let sent_away = tokio::time::timeout(Duration::ZERO, place.until_wanted()).await;
            assert!(sent_away.is_err());
        }
        younger.prove();
        late.prove();
        let nobody = tokio::time::timeout(grace * 2, enter()).await;
        assert!(nobody.is_err(), "who is known stays");
        drop(known);
        enter().await;
    }

    #[tokio::test]
    async fn places_are_wanted_when_few_are_left() {
        let crowd = Crowd::new(8, LONG);
        let mut held = Vec::new();
        for n in 1..=8 {
            held.push(crowd.enter(None).await.unwrap().unwrap());
            assert_eq!(held[0].is_wanted(), n > 6, "{n}");
        }
        held.truncate(6);
        assert!(!held[0].is_wanted());
    }
}
