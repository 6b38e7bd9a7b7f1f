//! Missions that say nearly the same, and what past attempts came to: kept in memory and brought up
//! to date by the events of the ledger, so that making a mission does not read all others.

use std::collections::BTreeMap;
use std::sync::Arc;

use insight::similar::{NEAR, Shingles, similarity};
use model::attempt::AttemptState;
use model::event::{Event, Fact};
use model::id::{MissionId, ShortId};
use model::mission::MissionState;
use model::refusal::{Code, Refusal};
use store::ledger::{Ledger, MissionText, PastAttempt, TEXT_BYTES_MAX, TEXTS_MAX};
use tokio::sync::Mutex;
use tokio::sync::broadcast::{self, error::TryRecvError};

use crate::Engine;
use crate::resolve::unreadable;
use crate::view::Similar;

/// The most twins that are named.
const TWINS_MAX: usize = 5;
/// Past attempts that suggestions and estimates rest on.
const PAST: u32 = 1_000;
/// Missions that are read one by one; where more changed, all are read.
const READ_AGAIN_MAX: usize = 32;

/// What was read of the words of missions and of past attempts.
#[derive(Debug, Default)]
pub(crate) struct Twins(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    /// What happens from now on; nothing where what is remembered does not count.
    events: Option<broadcast::Receiver<Arc<Event>>>,
    words: Words,
    /// The attempts that ended last, newest first; nothing where they are to be read.
    past: Option<Arc<Vec<PastAttempt>>>,
    /// Attempts that ended since those were read.
    ended: u32,
}

/// The words of the missions a new one is compared with.
#[derive(Debug, Default)]
struct Words {
    known: BTreeMap<MissionId, Arc<Known>>,
    /// Missions of which an event does not say all their words.
    unread: Vec<MissionId>,
}

/// The words of one mission.
#[derive(Debug)]
pub(crate) struct Known {
    id: MissionId,
    short_id: ShortId,
    title: String,
    state: MissionState,
    shingles: Arc<Shingles>,
}

impl Known {
    fn of(text: MissionText) -> Self {
        let MissionText { id, short_id, title, mut brief, state } = text;
        brief.truncate(brief.floor_char_boundary(TEXT_BYTES_MAX));
        let shingles = Arc::new(Shingles::of(&title, &brief));
        Self { id, short_id, title, state, shingles }
    }
}

impl Words {
    fn of(texts: Vec<MissionText>) -> Self {
        let known = texts.into_iter().map(|text| (text.id, Arc::new(Known::of(text))));
        Self { known: known.collect(), unread: Vec::new() }
    }

    fn put(&mut self, text: MissionText) {
        self.known.insert(text.id, Arc::new(Known::of(text)));
    }

    fn take_in(&mut self, event: &Event) {
        match &event.fact {
            Fact::MissionCreated { mission, brief }
            | Fact::MissionChanged { mission, brief: Some(brief) } => {
                self.put(MissionText {
                    id: mission.id,
                    short_id: mission.short_id.clone(),
                    title: mission.title.clone(),
                    brief: brief.clone(),
                    state: mission.state,
                });
            }
            Fact::MissionChanged { mission, brief: None } => {
                let known = self.known.get(&mission.id);
                if known.is_none_or(|known| known.title != mission.title) {
                    self.unread.push(mission.id);
                }
            }
            Fact::MissionRestored { mission_id } => self.unread.push(*mission_id),
            Fact::MissionRemoved { mission_id } => {
                self.known.remove(mission_id);
                self.unread.retain(|id| id != mission_id);
            }
            Fact::MissionMoved { mission_id, to, .. } => {
                if let Some(known) = self.known.get_mut(mission_id) {
                    *known = Arc::new(Known {
                        id: known.id,
                        short_id: known.short_id.clone(),
                        title: known.title.clone(),
                        state: *to,
                        shingles: Arc::clone(&known.shingles),
                    });
                }
            }
            _ => {}
        }
    }

    /// Keeps the newest unfinished and the newest finished ones.
    fn keep_newest(&mut self) {
        let (mut unfinished, mut finished) = TEXTS_MAX;
        let mut over = Vec::new();
        for (id, known) in self.known.iter().rev() {
            let left = if known.state.is_final() { &mut finished } else { &mut unfinished };
            match left.checked_sub(1) {
                Some(less) => *left = less,
                None => over.push(*id),
            }
        }
        for id in over {
            self.known.remove(&id);
        }
    }
}

impl Remembered {
    /// Brings what is remembered up to all that is acknowledged.
    async fn catch_up(&mut self, ledger: &Ledger) -> Result<(), Refusal> {
        // What is broken off in between does not count.
        let events = self.events.take();
        let (events, new) = match events.map(drained) {
            Some(Some((events, new))) => (events, Some(new)),
            _ => (ledger.subscribe(), None),
        };
        match new {
            Some(new) => self.take_in(ledger, new).await?,
            None => {
                (self.past, self.ended) = (None, 0);
                self.words = read_all(ledger).await?;
            }
        }
        self.read_past(ledger).await?;
        self.events = Some(events);
        Ok(())
    }

    async fn take_in(&mut self, ledger: &Ledger, new: Vec<Arc<Event>>) -> Result<(), Refusal> {
        for event in &new {
            match &event.fact {
                Fact::AttemptEnded { state, .. } if *state != AttemptState::Stopped => {
                    self.ended = self.ended.saturating_add(1);
                }
                // Its labels may be others.
                Fact::MissionChanged { .. } => self.past = None,
                _ => {}
            }
        }
        let words = std::mem::take(&mut self.words);
        self.words = beside(move || {
            let mut words = words;
            new.iter().for_each(|event| words.take_in(event));
            words
        })
        .await?;
        let mut unread = std::mem::take(&mut self.words.unread);
        unread.sort_unstable();
        unread.dedup();
        if unread.len() > READ_AGAIN_MAX {
            self.words = read_all(ledger).await?;
            unread.clear();
        }
        for id in unread {
            if let Some((mission, brief)) = ledger.mission(id).await.map_err(unreadable)? {
                let (short_id, title, state) = (mission.short_id, mission.title, mission.state);
                self.words.put(MissionText { id, short_id, title, brief, state });
            }
        }
        self.words.keep_newest();
        Ok(())
    }

    async fn read_past(&mut self, ledger: &Ledger) -> Result<(), Refusal> {
        let ended = std::mem::take(&mut self.ended);
        if let Some(known) = self.past.take() {
            if ended == 0 {
                self.past = Some(known);
                return Ok(());
            }
            let mut new = ledger.past(ended.min(PAST)).await.map_err(unreadable)?;
            let newest = known.first().map(|it| it.ended_at);
            // A clock that was set back, or ends that are not told of yet: what is known is no
            // longer simply what came before.
            let after = new.last().zip(newest).is_none_or(|(new, known)| new.ended_at > known);
            if after && new.len() == ended as usize {
                new.extend(known.iter().take((PAST as usize).saturating_sub(new.len())).cloned());
                self.past = Some(Arc::new(new));
                return Ok(());
            }
        }
        self.past = Some(Arc::new(ledger.past(PAST).await.map_err(unreadable)?));
        Ok(())
    }
}

type Drained = (broadcast::Receiver<Arc<Event>>, Vec<Arc<Event>>);

/// What happened since it was last asked for; nothing where not all of it is known any more.
fn drained(mut events: broadcast::Receiver<Arc<Event>>) -> Option<Drained> {
    let mut new = Vec::new();
    loop {
        match events.try_recv() {
            Ok(event) => new.push(event),
            Err(TryRecvError::Empty) => return Some((events, new)),
            Err(TryRecvError::Lagged(_) | TryRecvError::Closed) => return None,
        }
    }
}

async fn read_all(ledger: &Ledger) -> Result<Words, Refusal> {
    let texts = ledger.texts(TEXTS_MAX.0 + TEXTS_MAX.1).await.map_err(unreadable)?;
    beside(move || Words::of(texts)).await
}

async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work).await.map_err(|err| {
        Refusal::new(Code::Internal, format!("failed to compare with other missions: {err}"))
    })
}

/// The known missions that say nearly the same, the nearest first.
pub(crate) fn twins_of(
    known: &[Arc<Known>],
    title: &str,
    brief: &str,
    except: Option<MissionId>,
) -> Vec<Similar> {
    let new = Shingles::of(title, brief);
    let others = known.iter().filter(|it| Some(it.id) != except);
    let mut near: Vec<(f64, &Arc<Known>)> = others
        .map(|it| (similarity(&new, &it.shingles), it))
        .filter(|(near, _)| *near >= NEAR)
        .collect();
    near.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    near.truncate(TWINS_MAX);
    near.into_iter()
        .map(|(similarity, it)| Similar {
            mission_id: it.id,
            short_id: it.short_id.clone(),
            title: it.title.clone(),
            state: it.state,
            similarity,
        })
        .collect()
}

impl Engine {
    /// The words of the missions a new one is compared with, newest first, and what the attempts
    /// that ended last came to.
    pub(crate) async fn remembered(
        &self,
    ) -> Result<(Vec<Arc<Known>>, Arc<Vec<PastAttempt>>), Refusal> {
        let mut remembered = self.0.twins.0.lock().await;
        remembered.catch_up(&self.0.ledger).await?;
        let known = remembered.words.known.values().rev().map(Arc::clone).collect();
        Ok((known, remembered.past.clone().unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use model::id::SystemDraw;
    use model::mission::Mission;

    use super::*;
    use crate::open::Config;
    use crate::view::{EditMission, IfSimilar, NewMission};

    const BRIEF: &str = "Read the table of contents and write each chapter's summary into notes";

    fn named(words: &Words) -> Vec<(String, MissionState)> {
        words.known.values().map(|it| (it.title.clone(), it.state)).collect()
    }

    #[tokio::test]
    async fn what_is_remembered_is_what_would_be_read() {
        let place = tempfile::tempdir().unwrap();
        let engine = Engine::open(Config::new(place.path().join("data"), "0.0.0-test"));
        let engine = engine.await.unwrap();
        let caller = engine.own_caller();
        let made = async |title: &str| {
            let new = NewMission {
                title: title.into(),
                brief: BRIEF.into(),
                draft: true,
                if_similar: IfSimilar::Create,
                ..NewMission::default()
            };
            engine.add_mission(&caller, new).await.unwrap()
        };
        let same = async || {
            engine.remembered().await.unwrap();
            let read = read_all(&engine.0.ledger).await.unwrap();
            let remembered = engine.0.twins.0.lock().await;
            assert_eq!(named(&remembered.words), named(&read));
            for (id, known) in &read.known {
                assert_eq!(remembered.words.known[id].shingles, known.shingles, "{}", known.title);
            }
            read.known.len()
        };
        assert!(made("Summarise the book").await.similar.is_empty());
        let second = made("Summarise the book").await;
        assert_eq!(second.similar.len(), 1, "a mission is known as soon as it is acknowledged");
        assert_eq!(same().await, 2);
        let id = second.view.mission.id.to_string();
        let edit = EditMission { title: Some("Another title".into()), ..EditMission::default() };
        engine.edit_mission(&caller, &id, edit).await.unwrap();
        same().await;
        let edit = EditMission { brief: Some("Paint the shed".into()), ..EditMission::default() };
        engine.edit_mission(&caller, &id, edit).await.unwrap();
        same().await;
        engine.remove_mission(&caller, &id).await.unwrap();
        assert_eq!(same().await, 1);
        let trash = engine.trash(crate::TrashQuery::default()).await.unwrap().items;
        engine.restore_from_trash(&caller, trash[0].item.id).await.unwrap();
        assert_eq!(same().await, 2);
        engine.shutdown().await;
    }

    #[test]
    fn no_more_is_remembered_than_is_compared() {
        let mut words = Words::default();
        let now = "2030-01-01T00:00:00Z".parse().unwrap();
        let count = TEXTS_MAX.0 as usize + 7;
        for n in 0..count {
            let id = MissionId::draw(now, &mut SystemDraw);
            let mission = Mission::draft(id, format!("mission {n}"), now);
            let Mission { short_id, title, state, .. } = mission;
            words.put(MissionText { id, short_id, title, brief: "x".into(), state });
        }
        words.keep_newest();
        assert_eq!(words.known.len(), TEXTS_MAX.0 as usize);
    }
}
