//! What the agents' views are derived from, kept in memory and corrected by what is recorded.
//!
//! The ledger is asked about those agents only that an event spoke of since the last look. All of
//! them are read once, at the first look, and again when too much was recorded in between.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use model::agent::Agent;
use model::attempt::{Attempt, AttemptState};
use model::event::{Event, Fact};
use model::id::{AgentId, AttemptId, MissionId};
use model::mission::Mission;
use model::refusal::Refusal;
use model::status::{AgentState, CRASH_LOOP_TIMES};
use store::ledger::WaitingOf;
use tokio::sync::MutexGuard;

use crate::Engine;
use crate::resolve::unreadable;
use crate::roster::Standing;
use crate::view::AgentView;

/// Events read at once.
const NEWS: u32 = 500;
/// When more than this was recorded since the last look, everything is read afresh.
const NEWS_MAX: u64 = 5_000;
/// From this many agents on that something was recorded about, all attempts under way are read at
/// once.
const ONE_BY_ONE_MAX: usize = 16;
/// How often agents that do nothing are looked at, in case their program has gone or come.
const LOOK_AT_IDLE: Duration = Duration::from_secs(10);

/// The agents with the facts about them.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// The last event that is in here; nothing before the first look.
    seq: Option<u64>,
    slots: BTreeMap<AgentId, Slot>,
    reviewing: HashSet<AgentId>,
    all: Option<Arc<Vec<Agent>>>,
    /// The measurement the views were derived from.
    tick: u64,
    looked_at_idle: Option<Instant>,
    /// Where the next round of views begins, so that everybody's turn comes.
    turn: Option<AgentId>,
    gone: Vec<AgentId>,
    #[cfg(test)]
    pub(crate) reads: Reads,
}

/// How often the ledger was asked, for tests.
#[cfg(test)]
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reads {
    pub(crate) everything: u64,
    pub(crate) agents: u64,
}

/// One agent.
#[derive(Debug)]
struct Slot {
    agent: Agent,
    /// The attempt that occupies it, with its mission.
    work: Option<(Attempt, Option<Mission>)>,
    waiting: WaitingOf,
    free_since: Timestamp,
    /// Its last attempts, newest first, where the last one came to nothing.
    failed: Vec<Attempt>,
    /// Whether something was recorded about it since its view was derived.
    is_new: bool,
    /// Its view as it was told last.
    told: Option<AgentView>,
}

/// What was recorded since the last look.
#[derive(Debug, Default)]
struct News {
    last: u64,
    /// Agents whose work may be different.
    agents: BTreeSet<AgentId>,
    /// Those of them that are themselves different, new or gone.
    rows: BTreeSet<AgentId>,
    /// Those of them whose past is different.
    pasts: BTreeSet<AgentId>,
    reviews: bool,
    waiting: bool,
}

/// What is different about the agents since it was told last.
#[derive(Debug, Default)]
pub(crate) struct Difference {
    pub(crate) changed: Vec<AgentView>,
    pub(crate) removed: Vec<AgentId>,
    /// Whether there is more than fits into one telling.
    pub(crate) more: bool,
}

impl News {
    fn note(&mut self, event: &Event, book: &Book) {
        self.last = event.seq;
        let subject = &event.subject;
        let of_attempt =
            || subject.attempt_id.and_then(|id| book.agent_of(|(attempt, _)| attempt.id == id));
        let agent = subject.agent_id.or_else(of_attempt);
        self.agents.extend(agent);
        if let Some(id) = subject.mission_id {
            self.agents.extend(book.agent_of(|(attempt, _)| attempt.mission_id == id));
        }
        match &event.fact {
            Fact::AgentAdded { agent } | Fact::AgentChanged { agent } => {
                self.agents.insert(agent.id);
                self.rows.insert(agent.id);
            }
            Fact::AgentRemoved { agent_id } | Fact::AgentCleared { agent_id } => {
                self.agents.insert(*agent_id);
                self.rows.insert(*agent_id);
                self.pasts.insert(*agent_id);
                self.reviews = true;
            }
            Fact::ReviewAssigned { agent_id, .. } => {
                self.agents.insert(*agent_id);
                self.reviews = true;
            }
            Fact::AttemptLeased { attempt } => {
                self.agents.insert(attempt.agent_id);
            }
            Fact::AttemptReviewing { .. } | Fact::AttemptEnded { .. } => {
                self.pasts.extend(agent);
                self.reviews = true;
            }
            Fact::GateFinished { .. }
            | Fact::AttemptVerifying { .. }
            | Fact::MissionMoved { .. }
            | Fact::MissionRemoved { .. } => self.reviews = true,
            fact => {
                let kind = fact.kind();
                self.waiting |= kind.starts_with("message") || kind.starts_with("request");
            }
        }
    }
}

impl Book {
    fn agent_of(&self, is: impl Fn(&(Attempt, Option<Mission>)) -> bool) -> Option<AgentId> {
        let slot = self.slots.values().find(|slot| slot.work.as_ref().is_some_and(&is));
        slot.map(|slot| slot.agent.id)
    }

    /// The states of all agents as they were told last, and whether one belongs to the demo.
    pub(crate) fn states(&self) -> (Vec<AgentState>, bool) {
        let told = || self.slots.values().filter_map(|slot| slot.told.as_ref());
        (told().map(|view| view.status.state).collect(), told().any(|view| view.agent.demo))
    }

    /// Every agent as it was told last.
    pub(crate) fn told(&self) -> Vec<AgentView> {
        self.slots.values().filter_map(|slot| slot.told.clone()).collect()
    }

    fn put_waiting(&mut self, waiting: &HashMap<AgentId, WaitingOf>) {
        for (id, slot) in &mut self.slots {
            let now = waiting.get(id).copied().unwrap_or_default();
            slot.is_new |= slot.waiting != now;
            slot.waiting = now;
        }
    }

    fn put_reviews(&mut self, reviews: &[(AttemptId, u32, AgentId)]) {
        let now: HashSet<AgentId> = reviews.iter().map(|(_, _, agent)| *agent).collect();
        for id in self.reviewing.symmetric_difference(&now) {
            if let Some(slot) = self.slots.get_mut(id) {
                slot.is_new = true;
            }
        }
        self.reviewing = now;
    }

    /// The agents whose views may be different, from where the last round ended.
    fn candidates(&mut self, tick: u64) -> Vec<AgentId> {
        let now = Instant::now();
        let idle = self.looked_at_idle.is_none_or(|at| now.duration_since(at) >= LOOK_AT_IDLE);
        if idle {
            self.looked_at_idle = Some(now);
        }
        let moved = self.tick != tick;
        self.tick = tick;
        let moves = |slot: &Slot| {
            slot.work.is_some()
                || !slot.failed.is_empty()
                || self.reviewing.contains(&slot.agent.id)
        };
        let due = |slot: &Slot| idle || slot.is_new || slot.told.is_none() || moved && moves(slot);
        let due: Vec<AgentId> =
            self.slots.values().filter(|slot| due(slot)).map(|slot| slot.agent.id).collect();
        let (before, after): (Vec<_>, Vec<_>) =
            due.into_iter().partition(|id| self.turn.is_some_and(|turn| *id < turn));
        for id in after.iter().chain(&before) {
            if let Some(slot) = self.slots.get_mut(id) {
                slot.is_new = true;
            }
        }
        after.into_iter().chain(before).collect()
    }
}

impl Engine {
    /// The book, with everything in it that is in the ledger by now.
    pub(crate) async fn book(&self) -> Result<MutexGuard<'_, Book>, Refusal> {
        let mut book = self.0.roster.book.lock().await;
        let head = self.0.ledger.status().head_seq;
        match book.seq {
            Some(seq) if seq >= head => {}
            Some(seq) if head - seq <= NEWS_MAX => {
                let news = self.news(&book, seq, head).await?;
                // Noted last: what could not be read is read at the next look.
                let last = news.last;
                self.correct(&mut book, news).await?;
                book.seq = Some(last);
            }
            _ => {
                self.read_all(&mut book).await?;
                book.seq = Some(head);
            }
        }
        Ok(book)
    }

    /// Every agent as configured, by name.
    pub(crate) async fn known_agents(&self) -> Result<Arc<Vec<Agent>>, Refusal> {
        let mut book = self.book().await?;
        if let Some(all) = &book.all {
            return Ok(Arc::clone(all));
        }
        let mut all: Vec<Agent> = book.slots.values().map(|slot| slot.agent.clone()).collect();
        all.sort_by_cached_key(|agent| (agent.name.to_lowercase(), agent.id));
        let all = Arc::new(all);
        book.all = Some(Arc::clone(&all));
        Ok(all)
    }

    async fn news(&self, book: &Book, mut seq: u64, head: u64) -> Result<News, Refusal> {
        let mut news = News { last: seq, ..News::default() };
        while seq < head {
            let events = self.0.ledger.events_after(seq, NEWS).await.map_err(unreadable)?;
            let Some(last) = events.last() else {
                break;
            };
            seq = last.seq;
            events.iter().for_each(|event| news.note(event, book));
        }
        Ok(news)
    }

    async fn read_all(&self, book: &mut Book) -> Result<(), Refusal> {
        let ledger = &self.0.ledger;
        let agents = ledger.agents().await.map_err(unreadable)?;
        let unfinished = ledger.unfinished_attempts().await.map_err(unreadable)?;
        let mut works = self.works(unfinished).await?;
        let waiting = ledger.waiting_by_agent().await.map_err(unreadable)?;
        let reviews = ledger.pending_reviews().await.map_err(unreadable)?;
        let mut before = std::mem::take(&mut book.slots);
        for agent in agents {
            let (free_since, failed) = self.past(&agent, None).await?;
            let slot = Slot {
                work: works.remove(&agent.id),
                waiting: WaitingOf::default(),
                free_since,
                failed,
                is_new: true,
                told: before.remove(&agent.id).and_then(|slot| slot.told),
                agent,
            };
            book.slots.insert(slot.agent.id, slot);
        }
        book.gone.extend(before.into_values().filter_map(|slot| Some(slot.told?.agent.id)));
        book.put_waiting(&waiting);
        book.put_reviews(&reviews);
        book.all = None;
        #[cfg(test)]
        {
            book.reads.everything += 1;
        }
        Ok(())
    }

    async fn correct(&self, book: &mut Book, news: News) -> Result<(), Refusal> {
        let ledger = &self.0.ledger;
        if !news.agents.is_empty() {
            let mut works = self.works_of(&news.agents).await?;
            for id in news.agents {
                let work = works.remove(&id);
                match book.slots.get_mut(&id) {
                    Some(slot) if !news.rows.contains(&id) => {
                        if news.pasts.contains(&id) {
                            (slot.free_since, slot.failed) =
                                self.past(&slot.agent, Some(slot.free_since)).await?;
                        }
                        slot.work = work;
                        slot.is_new = true;
                    }
                    _ => self.correct_row(book, id, work).await?,
                }
            }
        }
        if news.waiting {
            book.put_waiting(&ledger.waiting_by_agent().await.map_err(unreadable)?);
        }
        if news.reviews {
            book.put_reviews(&ledger.pending_reviews().await.map_err(unreadable)?);
        }
        Ok(())
    }

    /// Reads an agent that is different, new or gone.
    async fn correct_row(
        &self,
        book: &mut Book,
        id: AgentId,
        work: Option<(Attempt, Option<Mission>)>,
    ) -> Result<(), Refusal> {
        #[cfg(test)]
        {
            book.reads.agents += 1;
        }
        book.all = None;
        let Some(agent) = self.0.ledger.agent(id).await.map_err(unreadable)? else {
            let gone = book.slots.remove(&id).and_then(|slot| slot.told);
            book.gone.extend(gone.map(|view| view.agent.id));
            return Ok(());
        };
        let known = book.slots.get(&agent.id);
        let (free_since, failed) = self.past(&agent, known.map(|slot| slot.free_since)).await?;
        let waiting = known.map_or_else(WaitingOf::default, |slot| slot.waiting);
        let told = book.slots.remove(&id).and_then(|slot| slot.told);
        let slot = Slot { agent, work, waiting, free_since, failed, is_new: true, told };
        book.slots.insert(id, slot);
        Ok(())
    }

    /// What these agents are occupied with.
    async fn works_of(
        &self,
        agents: &BTreeSet<AgentId>,
    ) -> Result<HashMap<AgentId, (Attempt, Option<Mission>)>, Refusal> {
        let ledger = &self.0.ledger;
        let mut unfinished = Vec::new();
        if agents.len() > ONE_BY_ONE_MAX {
            unfinished = ledger.unfinished_attempts().await.map_err(unreadable)?;
            unfinished.retain(|attempt| agents.contains(&attempt.agent_id));
        } else {
            for id in agents {
                unfinished.extend(ledger.unfinished_attempts_of(*id).await.map_err(unreadable)?);
            }
        }
        self.works(unfinished).await
    }

    /// Attempts with their missions, by agent. One under review keeps its mission, not its agent.
    async fn works(
        &self,
        mut unfinished: Vec<Attempt>,
    ) -> Result<HashMap<AgentId, (Attempt, Option<Mission>)>, Refusal> {
        unfinished.retain(Attempt::occupies_agent);
        let ids: Vec<MissionId> = unfinished.iter().map(|attempt| attempt.mission_id).collect();
        let missions = match ids.as_slice() {
            [] => Vec::new(),
            ids => self.0.ledger.missions_by_id(ids).await.map_err(unreadable)?,
        };
        let missions: HashMap<MissionId, Mission> =
            missions.into_iter().map(|mission| (mission.id, mission)).collect();
        let with = |attempt: Attempt| {
            let mission = missions.get(&attempt.mission_id).cloned();
            (attempt.agent_id, (attempt, mission))
        };
        Ok(unfinished.into_iter().map(with).collect())
    }

    /// Since when an agent is free, and its last attempts where the last one came to nothing.
    async fn past(
        &self,
        agent: &Agent,
        free_since: Option<Timestamp>,
    ) -> Result<(Timestamp, Vec<Attempt>), Refusal> {
        let limit = u32::try_from(CRASH_LOOP_TIMES).unwrap_or(u32::MAX);
        let mut last =
            self.0.ledger.attempts_of_agent(agent.id, limit).await.map_err(unreadable)?;
        // What is in review has not ended, and yet its agent is free.
        let exited = |attempt: &Attempt| attempt.exit.as_ref().map(|record| record.ended_at);
        let ended = last.first().and_then(|attempt| attempt.ended_at.or_else(|| exited(attempt)));
        let since = ended.or(free_since).unwrap_or(agent.created_at);
        if last.first().is_none_or(|attempt| attempt.state != AttemptState::Rejected) {
            last.clear();
        }
        Ok((since, last))
    }

    /// Derives the views of all agents, by name.
    pub(crate) async fn roster_views(&self) -> Result<Vec<AgentView>, Refusal> {
        let book = self.book().await?;
        let around = self.around();
        let mut views: Vec<AgentView> =
            book.slots.values().map(|slot| self.view_in(&book, slot, &around)).collect();
        drop(book);
        views.sort_by_cached_key(|view| (view.agent.name.to_lowercase(), view.agent.id));
        Ok(views)
    }

    /// One agent with its status.
    pub(crate) async fn roster_view(&self, agent: Agent) -> Result<AgentView, Refusal> {
        let book = self.book().await?;
        let slot = book.slots.get(&agent.id).ok_or_else(|| {
            Refusal::new(model::refusal::Code::NotFound, "there is no such agent")
        })?;
        Ok(self.view_in(&book, slot, &self.around()))
    }

    fn view_in(&self, book: &Book, slot: &Slot, around: &crate::roster::Around) -> AgentView {
        let standing = Standing {
            attempt: slot.work.as_ref().map(|(attempt, _)| attempt),
            mission: slot.work.as_ref().and_then(|(_, mission)| mission.as_ref()),
            reviewing: book.reviewing.contains(&slot.agent.id),
            waiting: slot.waiting,
            failed: &slot.failed,
            free_since: slot.free_since,
        };
        self.view(slot.agent.clone(), &standing, around)
    }

    /// Derives the views that may be different, and gives those that are, at most so many.
    pub(crate) fn difference(&self, book: &mut Book, most: usize) -> Difference {
        let around = self.around();
        let mut found =
            Difference { removed: std::mem::take(&mut book.gone), ..Difference::default() };
        for id in book.candidates(around.tick()) {
            if found.changed.len() >= most {
                book.turn = Some(id);
                found.more = true;
                break;
            }
            let Some(view) = book.slots.get(&id).map(|slot| self.view_in(book, slot, &around))
            else {
                continue;
            };
            if let Some(slot) = book.slots.get_mut(&id) {
                slot.is_new = false;
                if slot.told.as_ref() != Some(&view) {
                    slot.told = Some(view.clone());
                    found.changed.push(view);
                }
            }
        }
        self.0.roster.keep_lines_of(
            &book
                .slots
                .values()
                .filter_map(|slot| slot.work.as_ref().map(|(attempt, _)| attempt.id))
                .collect(),
        );
        found
    }
}

#[cfg(test)]
mod tests {
    use model::event::Actor;
    use model::id::CorrelationId;

    use super::*;
    use crate::view::NewAgent;
    use crate::{Caller, Config};

    fn caller() -> Caller {
        Caller {
            actor: Actor::Captain,
            correlation_id: CorrelationId::from_uuid(uuid::Uuid::now_v7()),
            key: None,
            fingerprint: [0; 32],
        }
    }

    async fn add(engine: &Engine, name: String) {
        let command = Some("true".to_owned());
        let new = NewAgent { name, command, ..NewAgent::default() };
        engine.add_agent(&caller(), new).await.unwrap();
    }

    #[tokio::test]
    async fn the_ledger_is_asked_about_those_agents_only_that_something_was_recorded_about() {
        let place = tempfile::tempdir().unwrap();
        let config = Config::new(place.path().join("data"), "0.0.0");
        let engine = Engine::open(config).await.unwrap();
        for n in 0..40 {
            add(&engine, format!("a{n}")).await;
        }
        let before = {
            let mut book = engine.book().await.unwrap();
            let found = engine.difference(&mut book, 100);
            assert_eq!(found.changed.len(), 40, "everybody is told once");
            book.reads
        };
        for _ in 0..5 {
            let mut book = engine.book().await.unwrap();
            assert!(engine.difference(&mut book, 100).changed.is_empty());
            assert_eq!(book.reads, before, "a look when nothing was recorded reads nothing");
        }
        engine.pause_agent(&caller(), "a7").await.unwrap();
        let mut book = engine.book().await.unwrap();
        let found = engine.difference(&mut book, 100);
        let names: Vec<_> = found.changed.iter().map(|view| view.agent.name.as_str()).collect();
        assert_eq!(names, ["a7"]);
        let agents = before.agents + 1;
        assert_eq!(book.reads, Reads { agents, ..before }, "one agent is read, not all");
        drop(book);
        engine.remove_agent(&caller(), "a7").await.unwrap();
        assert_eq!(engine.known_agents().await.unwrap().len(), 39);
        let mut book = engine.book().await.unwrap();
        let found = engine.difference(&mut book, 100);
        assert_eq!((found.changed.len(), found.removed.len()), (0, 1));
        drop(book);
        engine.shutdown().await;
    }

    #[tokio::test]
    async fn a_telling_holds_so_many_agents_and_the_rest_comes_with_the_next() {
        let place = tempfile::tempdir().unwrap();
        let config = Config::new(place.path().join("data"), "0.0.0");
        let engine = Engine::open(config).await.unwrap();
        for n in 0..7 {
            add(&engine, format!("a{n}")).await;
        }
        let mut told = HashSet::new();
        for (count, more) in [(3, true), (3, true), (1, false), (0, false)] {
            let mut book = engine.book().await.unwrap();
            let found = engine.difference(&mut book, 3);
            assert_eq!((found.changed.len(), found.more), (count, more));
            told.extend(found.changed.into_iter().map(|view| view.agent.id));
        }
        assert_eq!(told.len(), 7);
        engine.shutdown().await;
    }
}
