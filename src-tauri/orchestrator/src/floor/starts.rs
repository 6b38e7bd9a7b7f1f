//! Starting no more agents of a kind at the same time than that kind bears.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use agents::runtime::presets::Preset;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

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
    preset: String,
    _permit: OwnedSemaphorePermit,
}

impl Starts {
    /// Waits until an agent of this kind may start. The very first one of a kind that must be alone
    /// takes every place.
    pub(super) async fn wait(&self, preset: &Preset) -> Option<StartRight> {
        let most = preset.starts_at_once.max(1);
        let (places, alone) = {
            let mut known = self.known();
            let alone = preset.first_start_alone && !known.warm.contains(&preset.name);
            let places = known.places.entry(preset.name.clone());
            let new = || Arc::new(Semaphore::new(most as usize));
            (Arc::clone(places.or_insert_with(new)), alone)
        };
        let wanted = if alone { most } else { 1 };
        let permit = places.acquire_many_owned(wanted).await.ok()?;
        Some(StartRight { preset: preset.name.clone(), _permit: permit })
    }

    /// An agent has answered: others may start, and the next ones need not be alone.
    pub(super) fn answered(&self, right: StartRight) {
        self.known().warm.insert(right.preset.clone());
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
        let one = starts.wait(&preset).await.unwrap();
        let _two = starts.wait(&preset).await.unwrap();
        assert!(timeout(SOON, starts.wait(&preset)).await.is_err(), "two are starting");
        starts.answered(one);
        assert!(timeout(SOON, starts.wait(&preset)).await.is_ok(), "one has answered");
    }

    #[tokio::test]
    async fn the_first_start_of_a_kind_that_must_be_alone_is_alone() {
        let (starts, presets) = (Starts::default(), Presets::built_in());
        let mut preset = presets.find("goose").unwrap().clone();
        (preset.starts_at_once, preset.first_start_alone) = (3, true);
        let first = starts.wait(&preset).await.unwrap();
        assert!(timeout(SOON, starts.wait(&preset)).await.is_err(), "the first is alone");
        drop(first);
        let again = starts.wait(&preset).await.unwrap();
        assert!(timeout(SOON, starts.wait(&preset)).await.is_err(), "it did not answer");
        starts.answered(again);
        let _two = starts.wait(&preset).await.unwrap();
        assert!(timeout(SOON, starts.wait(&preset)).await.is_ok());
    }
}
