//! The board: what the conversations that are under way are doing, for everybody to see.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use model::activity::{Activity, Phase};
use model::clock::SharedClock;
use model::id::AttemptId;
use model::usage::{Context, Usage};
use tokio::sync::mpsc;

/// Wishes that may wait for one conversation; a further one is refused.
const POKES: usize = 64;

/// The most shown of what an agent said last, in characters.
const SAID_CHARS_MAX: usize = 200;

/// Something a conversation is to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Poke {
    /// There may be messages, or answers.
    News,
    /// The captain types into the terminal.
    Type(String),
    /// The captain's terminal has another size.
    Resize {
        /// Columns.
        cols: u16,
        /// Rows.
        rows: u16,
    },
    /// The captain calls the turn off.
    CancelTurn,
    /// The turn is called off, so that what waits is heard: the captain did not ask for it.
    InterruptTurn,
}

/// Why a wish did not reach a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotReached {
    /// There is no conversation under way.
    #[error("nobody listens: the attempt does not run, or it is not one that can be talked to")]
    NoConversation,
    /// Too much waits already.
    #[error("too much waits already; try again in a moment")]
    Busy,
}

struct Place {
    activity: Activity,
    /// What it used by now, according to each source.
    used: Vec<Usage>,
    pokes: mpsc::Sender<Poke>,
}

/// What the conversations that are under way are doing.
pub(crate) struct Board {
    clock: SharedClock,
    places: Mutex<HashMap<AttemptId, Place>>,
}

impl std::fmt::Debug for Board {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Board").finish_non_exhaustive()
    }
}

impl Board {
    pub(crate) fn new(clock: SharedClock) -> Self {
        Self { clock, places: Mutex::default() }
    }

    /// A conversation begins, or is taken up again.
    pub(super) fn join(&self, id: AttemptId, silence: Silence) -> mpsc::Receiver<Poke> {
        let (pokes, receiver) = mpsc::channel(POKES);
        let phase = if silence.opening { Phase::Opening } else { Phase::Turn };
        let activity = Activity {
            phase,
            since: self.clock.now(),
            last_event_at: None,
            tool: None,
            tool_since: None,
            said: None,
            turn: 0,
            context: None,
            usage: None,
            quiet_after_s: silence.quiet_after_s,
            stalled_after_s: silence.stalled_after_s,
        };
        self.places().insert(id, Place { activity, used: Vec::new(), pokes });
        receiver
    }

    pub(super) fn leave(&self, id: AttemptId) {
        self.places().remove(&id);
    }

    /// Tells a conversation something.
    ///
    /// # Errors
    /// When there is none, or too much waits for it.
    pub(crate) fn poke(&self, id: AttemptId, poke: Poke) -> Result<(), NotReached> {
        let places = self.places();
        let place = places.get(&id).ok_or(NotReached::NoConversation)?;
        place.pokes.try_send(poke).map_err(|err| match err {
            mpsc::error::TrySendError::Full(_) => NotReached::Busy,
            mpsc::error::TrySendError::Closed(_) => NotReached::NoConversation,
        })
    }

    /// Has a conversation, or all of them, look whether there is something to be said.
    pub(crate) fn news(&self, id: Option<AttemptId>) {
        let places = self.places();
        for (_, place) in places.iter().filter(|(place, _)| id.is_none_or(|id| id == **place)) {
            // Where much waits it is looked at anyway.
            let _ = place.pokes.try_send(Poke::News);
        }
    }

    /// What a conversation is doing.
    pub(crate) fn activity(&self, id: AttemptId) -> Option<Activity> {
        self.places().get(&id).map(|place| place.activity.clone())
    }

    /// What all conversations are doing.
    pub(crate) fn activities(&self) -> HashMap<AttemptId, Activity> {
        self.places().iter().map(|(id, place)| (*id, place.activity.clone())).collect()
    }

    pub(super) fn phase(&self, id: AttemptId, phase: Phase) {
        let now = self.clock.now();
        self.change(id, |activity| {
            if activity.phase != phase {
                activity.phase = phase;
                activity.since = now;
            }
        });
    }

    /// The agent waits for so many answers of the captain. What is being called off or ended stays so.
    pub(super) fn asking(&self, id: AttemptId, open: u32) {
        let now = self.clock.now();
        self.change(id, |activity| {
            let phase = match activity.phase {
                Phase::Cancelling | Phase::Ending => return,
                _ if open > 0 => Phase::Asking { open },
                Phase::Asking { .. } => Phase::Turn,
                _ => return,
            };
            if activity.phase != phase {
                activity.phase = phase;
                activity.since = now;
            }
        });
    }

    pub(super) fn heard(&self, id: AttemptId, at: Timestamp) {
        self.change(id, |activity| {
            activity.last_event_at = Some(at);
            // Who speaks again is no longer kept waiting.
            if matches!(activity.phase, Phase::Limited { .. }) {
                activity.phase = Phase::Turn;
                activity.since = at;
            }
        });
    }

    pub(super) fn turn(&self, id: AttemptId, n: u32) {
        self.change(id, |activity| activity.turn = n);
        self.phase(id, Phase::Turn);
    }

    pub(super) fn tool(&self, id: AttemptId, tool: Option<String>) {
        let now = self.clock.now();
        self.change(id, |activity| {
            activity.tool_since = tool.as_ref().map(|_| now);
            activity.tool = tool;
        });
    }

    pub(super) fn said(&self, id: AttemptId, text: &str) {
        let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
        let shown = line.map(|line| {
            line.chars().filter(|ch| !ch.is_control()).take(SAID_CHARS_MAX).collect::<String>()
        });
        self.change(id, |activity| activity.said = shown);
    }

    /// What a source says by now takes the place of what it said before.
    pub(super) fn used(&self, id: AttemptId, usage: Usage) {
        if let Some(place) = self.places().get_mut(&id) {
            place.used.retain(|known| known.source != usage.source);
            place.used.push(usage);
            place.activity.usage = Usage::best(&place.used).cloned();
        }
    }

    /// What a conversation used by now, according to each source that was heard since it was joined.
    pub(crate) fn usage(&self, id: AttemptId) -> Vec<Usage> {
        self.places().get(&id).map(|place| place.used.clone()).unwrap_or_default()
    }

    pub(super) fn context(&self, id: AttemptId, context: Context) {
        self.change(id, |activity| activity.context = Some(context));
    }

    fn change(&self, id: AttemptId, change: impl FnOnce(&mut Activity)) {
        if let Some(place) = self.places().get_mut(&id) {
            change(&mut place.activity);
        }
    }

    fn places(&self) -> MutexGuard<'_, HashMap<AttemptId, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What silence means for an agent.
#[derive(Debug, Clone, Copy)]
pub(in crate::floor) struct Silence {
    /// Whether the conversation begins.
    pub(in crate::floor) opening: bool,
    /// Silence that is still normal, in seconds.
    pub(in crate::floor) quiet_after_s: u32,
    /// Silence after which it is called stalled, in seconds.
    pub(in crate::floor) stalled_after_s: u32,
}
