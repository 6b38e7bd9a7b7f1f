//! Missions that say nearly the same: what is known of their words, read anew only where it changed.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};

use insight::similar::{NEAR, Shingles, similarity};
use model::id::MissionId;
use model::refusal::Refusal;
use store::ledger::{MissionText, TEXTS_MAX};

use crate::Engine;
use crate::resolve::unreadable;
use crate::view::Similar;

/// The most twins that are named.
const TWINS_MAX: usize = 5;

/// What was read of the words of missions.
#[derive(Debug, Default)]
pub(crate) struct Twins(Mutex<HashMap<MissionId, (u64, Arc<Shingles>)>>);

/// The words of one mission.
pub(crate) struct Known {
    text: MissionText,
    shingles: Arc<Shingles>,
}

impl Twins {
    fn read(&self, texts: Vec<MissionText>) -> Vec<Known> {
        let before = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let known: Vec<(u64, Known)> = texts
            .into_iter()
            .map(|text| {
                let mark = mark_of(&text);
                let shingles = match before.get(&text.id) {
                    Some((known, shingles)) if *known == mark => Arc::clone(shingles),
                    _ => Arc::new(Shingles::of(&text.title, &text.brief)),
                };
                (mark, Known { text, shingles })
            })
            .collect();
        let kept = known.iter().map(|(mark, it)| (it.text.id, (*mark, Arc::clone(&it.shingles))));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = kept.collect();
        known.into_iter().map(|(_, known)| known).collect()
    }
}

/// Tells words that changed from words that did not.
fn mark_of(text: &MissionText) -> u64 {
    let mut hash = DefaultHasher::new();
    (&text.title, &text.brief).hash(&mut hash);
    hash.finish()
}

/// The known missions that say nearly the same, the nearest first.
pub(crate) fn twins_of(
    known: &[Known],
    title: &str,
    brief: &str,
    except: Option<MissionId>,
) -> Vec<Similar> {
    let new = Shingles::of(title, brief);
    let others = known.iter().filter(|it| Some(it.text.id) != except);
    let mut near: Vec<(f64, &Known)> = others
        .map(|it| (similarity(&new, &it.shingles), it))
        .filter(|(near, _)| *near >= NEAR)
        .collect();
    near.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    near.truncate(TWINS_MAX);
    near.into_iter()
        .map(|(similarity, it)| Similar {
            mission_id: it.text.id,
            short_id: it.text.short_id.clone(),
            title: it.text.title.clone(),
            state: it.text.state,
            similarity,
        })
        .collect()
}

impl Engine {
    /// The words of the missions a new one is compared with.
    pub(crate) async fn known_words(&self) -> Result<Vec<Known>, Refusal> {
        let texts = self.0.ledger.texts(TEXTS_MAX.0 + TEXTS_MAX.1).await.map_err(unreadable)?;
        let engine = self.clone();
        let read = tokio::task::spawn_blocking(move || engine.0.twins.read(texts)).await;
        read.map_err(|err| {
            Refusal::new(
                model::refusal::Code::Internal,
                format!("failed to compare with other missions: {err}"),
            )
        })
    }
}
