//! Starting no more agents of a kind at the same time than that kind bears, and none for which there
//! are no descriptors.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use std::time::Duration;

use agents::descriptors::{self, Full, Room};
use agents::runtime::presets::Preset;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};
use tracing::warn;

/// How long a start waits for descriptors.
const ROOM_WITHIN: Duration = Duration::from_secs(30);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(500);

/// Who may start.
#[derive(Debug, Default)]
pub(crate) struct Starts(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    places: HashMap<String, Arc<Semaphore>>,
    /// Kinds of which one has come to answer.
    warm: HashSet<String>,
}

/// The right to be starting; it ends when the agent has answered, or is given up.
#[derive(Debug)]
pub(super) struct StartRight {
    /// Its kind, and its place among those of its kind that start.
    kind: Option<(String, OwnedSemaphorePermit)>,
    _room: Room,
}

impl Starts {
    /// Waits until an agent of this kind may start, and there are descriptors for it.
    ///
    /// # Errors
    /// When there are none for a while.
    pub(super) async fn wait(&self, preset: Option<&Preset>) -> Result<StartRight, Full> {
        let kind = match preset {
            Some(preset) => self.place(preset).await.map(|it| (preset.name.clone(), it)),
            None => None,
        };
        let begun = Instant::now();
        let mut told = false;
        loop {
            match descriptors::room() {
                Ok(room) => return Ok(StartRight { kind, _room: room }),
                Err(full) if begun.elapsed() >= ROOM_WITHIN => return Err(full),
                Err(full) if !told => {
                    warn!(%full, "an agent waits with its start");
                    told = true;
                }
                Err(_) => {}
            }
            sleep(LOOK).await;
        }
    }

    /// Waits for a place among those of a kind that start. The very first one of a kind that must be
    /// alone takes every place.
    async fn place(&self, preset: &Preset) -> Option<OwnedSemaphorePermit> {
        let most = preset.starts_at_once.max(1);
        let (places, alone) = {
            let mut known = self.known();
            let alone = preset.first_start_alone && !known.warm.contains(&preset.name);
            let places = known.places.entry(preset.name.clone());
            let new = || Arc::new(Semaphore::new(most as usize));
            (Arc::clone(places.or_insert_with(new)), alone)
        };
        let wanted = if alone { most } else { 1 };
        places.acquire_many_owned(wanted).await.ok()
    }

    /// An agent has answered: others may start, and the next ones need not be alone.
    pub(super) fn answered(&self, right: StartRight) {
        if let Some((preset, _)) = &right.kind {
            self.known().warm.insert(preset.clone());
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use agents::runtime::presets::Presets;
    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn no_more_agents_of_a_kind_start_together_than_it_bears() {
        let (starts, presets) = (Starts::default(), Presets::built_in());
        let mut preset = presets.find("goose").unwrap().clone();
        (preset.starts_at_once, preset.first_start_alone) = (2, false);
        let one = starts.wait(Some(&preset)).await.unwrap();
        let _two = starts.wait(Some(&preset)).await.unwrap();
        assert!(timeout(SOON, starts.wait(Some(&preset))).await.is_err(), "two are starting");
        starts.answered(one);
        assert!(timeout(SOON, starts.wait(Some(&preset))).await.is_ok(), "one has answered");
    }

    #[tokio::test]
    async fn the_first_start_of_a_kind_that_must_be_alone_is_alone() {
        let (starts, presets) = (Starts::default(), Presets::built_in());
        let mut preset = presets.find("goose").unwrap().clone();
        (preset.starts_at_once, preset.first_start_alone) = (3, true);
        let first = starts.wait(Some(&preset)).await.unwrap();
        assert!(timeout(SOON, starts.wait(Some(&preset))).await.is_err(), "the first is alone");
        drop(first);
        let again = starts.wait(Some(&preset)).await.unwrap();
        assert!(timeout(SOON, starts.wait(Some(&preset))).await.is_err(), "it did not answer");
        starts.answered(again);
        let _two = starts.wait(Some(&preset)).await.unwrap();
        assert!(timeout(SOON, starts.wait(Some(&preset))).await.is_ok());
    }
}
