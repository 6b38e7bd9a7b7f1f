//! The room that bodies take while they come in and are read: for all together, and for each attempt.
//!
//! Invariant: a body takes as much as has come of it, whatever it says of itself, so that nobody keeps
//! others out by promising much and sending little.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::id::AttemptId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::BODY_BYTES_MAX;

/// How much may be there at once, in KiB.
const KIB_MAX: usize = 32 * 1024;
/// How much of one attempt may be, in KiB: one of the largest bodies.
const KIB_EACH: usize = BODY_BYTES_MAX / 1024;
/// How much is taken at a time, in KiB.
const STEP_KIB: usize = 64;

/// The room for bodies.
#[derive(Debug)]
pub(super) struct Room {
    free: Arc<Semaphore>,
    /// What attempts have taken, in KiB.
    by_attempt: Mutex<HashMap<AttemptId, usize>>,
}

impl Default for Room {
    fn default() -> Self {
        Self { free: Arc::new(Semaphore::new(KIB_MAX)), by_attempt: Mutex::default() }
    }
}

/// Why a body gets no further room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// There is none.
    ForAll,
    /// Its attempt has taken its share.
    ForOne,
}

/// What one body has taken. It is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Share {
    room: Arc<Room>,
    who: Option<AttemptId>,
    kib: usize,
    taken: Option<OwnedSemaphorePermit>,
}

impl Room {
    fn by_attempt(&self) -> MutexGuard<'_, HashMap<AttemptId, usize>> {
        self.by_attempt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The share of a body that begins; of an attempt, or of somebody who collects for several.
    pub(super) fn share(self: &Arc<Self>, who: Option<AttemptId>) -> Share {
        Share { room: Arc::clone(self), who, kib: 0, taken: None }
    }
}

impl Share {
    /// Takes what is missing for so many bytes.
    pub(super) fn grow_to(&mut self, bytes: usize) -> Result<(), Full> {
        let wanted = bytes.div_ceil(1024).next_multiple_of(STEP_KIB).min(KIB_EACH);
        let more = wanted.saturating_sub(self.kib);
        if more == 0 {
            return Ok(());
        }
        if let Some(id) = self.who {
            let mut by_attempt = self.room.by_attempt();
            let taken = by_attempt.entry(id).or_default();
            if *taken + more > KIB_EACH {
                return Err(Full::ForOne);
            }
            *taken += more;
        }
        self.kib = wanted;
        let free = Arc::clone(&self.room.free);
        let permits = u32::try_from(more).unwrap_or(u32::MAX);
        let more = free.try_acquire_many_owned(permits).map_err(|_| Full::ForAll)?;
        match &mut self.taken {
            Some(taken) => taken.merge(more),
            none => *none = Some(more),
        }
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let Some(id) = self.who else {
            return;
        };
        let mut by_attempt = self.room.by_attempt();
        if let Some(taken) = by_attempt.get_mut(&id) {
            *taken = taken.saturating_sub(self.kib);
            if *taken == 0 {
                by_attempt.remove(&id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use model::id::SystemDraw;

    use super::*;

    fn attempt() -> Option<AttemptId> {
        Some(AttemptId::draw(model::Timestamp::UNIX_EPOCH, &mut SystemDraw))
    }

    #[test]
    fn one_attempt_takes_its_share_and_leaves_the_rest_to_others() {
        let room = Arc::new(Room::default());
        let (one, other) = (attempt(), attempt());
        let mut all = Vec::new();
        for _ in 0..KIB_EACH / STEP_KIB {
            let mut share = room.share(one);
            share.grow_to(1).unwrap();
            all.push(share);
        }
        let full = room.share(one).grow_to(1);
        assert_eq!(full, Err(Full::ForOne));
        room.share(other).grow_to(BODY_BYTES_MAX).unwrap();
        room.share(None).grow_to(BODY_BYTES_MAX).unwrap();
        all.clear();
        room.share(one).grow_to(BODY_BYTES_MAX).unwrap();
        assert!(room.by_attempt().is_empty(), "nobody is remembered who has nothing");
        assert_eq!(room.free.available_permits(), KIB_MAX);
    }

    #[test]
    fn a_body_takes_what_came_of_it_and_all_together_have_so_much() {
        let room = Arc::new(Room::default());
        let mut share = room.share(attempt());
        for (bytes, kib) in [(0, 0), (1, 64), (64 * 1024, 64), (64 * 1024 + 1, 128), (5, 128)] {
            share.grow_to(bytes).unwrap();
            assert_eq!(KIB_MAX - room.free.available_permits(), kib, "{bytes}");
        }
        drop(share);
        let mut all: Vec<_> = (0..KIB_MAX / KIB_EACH).map(|_| room.share(attempt())).collect();
        all.iter_mut().for_each(|share| share.grow_to(BODY_BYTES_MAX).unwrap());
        assert_eq!(room.share(attempt()).grow_to(1), Err(Full::ForAll));
        all.pop();
        room.share(attempt()).grow_to(1).unwrap();
    }
}
