//! The fake ledger: an append-only log, the rows it gives, the outbox, and answers under their keys.
//!
//! A fact that does not fit the rows is told apart by whether a request can bring it about: a policy
//! that is not there to be removed is a conflict, a mission that does not stand where the fact says
//! is a broken promise of whoever decided it.

use std::collections::{BTreeMap, BTreeSet};

use model::effect::OutboxEntry;
use model::event::{Event, Fact, NewEvent};
use model::id::{EffectId, MissionId};
use store::ledger::StoredAnswer;

use crate::rows::Rows;

/// What goes in at once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Change {
    pub(crate) events: Vec<NewEvent>,
    pub(crate) effects: Vec<OutboxEntry>,
    pub(crate) delivered: Vec<EffectId>,
    pub(crate) answer: Option<StoredAnswer>,
}

/// Why a change is not there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum NotKept {
    /// What is there says otherwise.
    Conflict,
    /// It must never have been asked for.
    Broken(String),
}

/// The ledger.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) events: Vec<Event>,
    pub(crate) rows: Rows,
    /// Every effect, and whether it is delivered.
    pub(crate) outbox: Vec<(OutboxEntry, bool)>,
    pub(crate) answers: BTreeMap<String, StoredAnswer>,
    of_mission: BTreeMap<MissionId, u64>,
    open: BTreeSet<EffectId>,
}

impl Book {
    /// Writes a change as a whole, or not at all. Gives the place of its first event.
    pub(crate) fn commit(&mut self, change: Change) -> Result<usize, NotKept> {
        let first = self.events.len();
        if change.events.iter().any(|new| !self.rows.takes(&new.fact)) {
            return Err(NotKept::Conflict);
        }
        for new in change.events {
            self.append(new)?;
        }
        for entry in change.effects {
            self.open.insert(entry.id);
            self.outbox.push((entry, false));
        }
        for id in change.delivered {
            if !self.open.remove(&id) {
                return Err(NotKept::Broken(format!("effect {id} is delivered twice")));
            }
            for (entry, delivered) in &mut self.outbox {
                *delivered |= entry.id == id;
            }
        }
        if let Some(answer) = change.answer {
            self.answers.insert(answer.key.clone(), answer);
        }
        Ok(first)
    }

    fn append(&mut self, new: NewEvent) -> Result<(), NotKept> {
        if let Some(id) = self.rows.mission_of(&new.fact)
            && new.subject.mission_id != Some(id)
        {
            let kind = new.fact.kind();
            return Err(NotKept::Broken(format!("{kind} is missing from its mission's events")));
        }
        let mission_seq = new.subject.mission_id.map(|id| {
            let last = self.of_mission.entry(id).or_default();
            *last += 1;
            *last
        });
        if mission_seq == Some(1) && !matches!(new.fact, Fact::MissionCreated { .. }) {
            let kind = new.fact.kind();
            return Err(NotKept::Broken(format!("a mission's events begin with {kind}")));
        }
        self.rows.project(&new.fact, new.at).map_err(NotKept::Broken)?;
        self.events.push(Event {
            seq: self.events.len() as u64 + 1,
            id: new.id,
            at: new.at,
            actor: new.actor,
            correlation_id: new.correlation_id,
            subject: new.subject,
            mission_seq,
            fact: new.fact,
        });
        Ok(())
    }

    /// Effects that are still to be carried out, oldest first.
    pub(crate) fn open_effects(&self) -> Vec<OutboxEntry> {
        let open = self.outbox.iter().filter(|(_, delivered)| !delivered);
        open.map(|(entry, _)| entry.clone()).collect()
    }
}
