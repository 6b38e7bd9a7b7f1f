//! Reports: what agents say through files, for those that know nothing else.
//!
//! ```text
//! DATA_DIR/agents/ID/inbox       where the agent puts reports: `*.json`, one each
//! DATA_DIR/agents/ID/archive     reports that were applied, the last thousand
//! DATA_DIR/agents/ID/quarantine  reports that could not be, until the captain decides
//! DATA_DIR/agents/ID/messages    messages to the agent: `MESSAGE_ID.json`, one each
//! ```
//!
//! A report is recorded as taken together with what it asks for, and only then put away: one that is
//! still in the inbox after a crash is known by its name and checksum, and only put away.

mod files;
mod outbound;
mod said;

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use agents::reports::{ReportError, Waiting};
use model::agent::Agent;
use model::id::{AgentId, MessageId, SystemDraw};
use model::message::{Message, MessageState, Source};
use model::refusal::{Code, Refusal};
use orchestrator::Input;
use orchestrator::input::Report;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::Engine;
use crate::resolve::unreadable;

use files::Place;
pub(crate) use files::make_private;
use said::Said;

/// How often the inboxes are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(400);
/// How often it is looked whether a message waits that nobody told of.
const DELIVER_EVERY: Duration = Duration::from_secs(5);
/// How long a file that is no report must have been left alone before it is called wrong: it may
/// be half written.
const SETTLED: Duration = Duration::from_secs(1);
/// A directory that changed this long ago is looked into again: two files may come within one tick
/// of the clock that stamps it.
const RECENT: Duration = Duration::from_secs(2);
/// How long an inbox is left alone after something was in the way of its reports.
const PUT_OFF: Duration = Duration::from_secs(5);
/// The most reports of one inbox that are taken in one look.
const AT_ONCE: usize = 100;
/// How much of a report that could not be applied is shown, in bytes.
const SHOWN_BYTES_MAX: usize = 4 * 1024;

/// Wakes who delivers.
#[derive(Debug, Default)]
pub(crate) struct Courier(Notify);

impl Courier {
    /// Somebody may have something to be delivered.
    pub(crate) fn wake(&self) {
        self.0.notify_one();
    }
}

/// What is remembered of an agent's inbox between two looks.
#[derive(Debug, Clone, Copy)]
struct Looked {
    /// When the directory had last changed.
    changed: SystemTime,
    /// Whether there is something left that has to be looked at again.
    unfinished: bool,
    /// Until when it is left alone.
    not_before: Option<Instant>,
}

impl Engine {
    /// Looks after the files of agents until the engine ends.
    pub(crate) async fn tend_the_reports(self) {
        let cancel = self.0.cancel.clone();
        cancel.run_until_cancelled(self.tend()).await;
    }

    async fn tend(&self) {
        self.make_places().await;
        let mut looked = HashMap::new();
        let mut delivered: Option<Instant> = None;
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let told = tokio::select! {
                _ = ticks.tick() => false,
                () = self.0.courier.0.notified() => true,
            };
            if told || delivered.is_none_or(|at| at.elapsed() >= DELIVER_EVERY) {
                delivered = Some(Instant::now());
                if let Err(refusal) = self.deliver_files().await {
                    tracing::warn!(%refusal, "messages could not be delivered as files");
                }
            }
            self.look_at_inboxes(&mut looked).await;
        }
    }

    /// The files of an agent.
    fn place(&self, id: AgentId) -> Place {
        Place::of(self.0.dir.root(), id)
    }

    /// Makes the directories of every agent.
    async fn make_places(&self) {
        match self.0.ledger.agents().await {
            Ok(agents) => {
                for agent in agents {
                    self.make_place(agent.id);
                    self.give_back_unknown(agent.id).await;
                }
            }
            Err(err) => {
                tracing::warn!(
                    error = &err as &dyn std::error::Error,
                    "the directories of agents could not be made"
                );
            }
        }
    }

    /// Puts reports back that a crash left in quarantine before the inbox knew of them.
    async fn give_back_unknown(&self, id: AgentId) {
        let place = self.place(id);
        for message in place.quarantined() {
            if let Ok(None) = self.0.ledger.message(message).await
                && let Err(err) = place.give_back(message, &format!("again-{message}.json"))
            {
                tracing::warn!(error = &err as &dyn std::error::Error, agent = %id, "a report is left in quarantine");
            }
        }
    }

    /// Makes the directories of an agent.
    pub(crate) fn make_place(&self, id: AgentId) {
        if let Err(err) = self.place(id).make() {
            tracing::warn!(error = &err as &dyn std::error::Error, agent = %id, "the directories of an agent could not be made");
        }
    }

    /// Looks into every inbox that has changed since the last look.
    async fn look_at_inboxes(&self, looked: &mut HashMap<AgentId, Looked>) {
        let root = self.0.dir.root().to_owned();
        let seen = tokio::task::spawn_blocking(move || files::inboxes(&root)).await;
        let Ok(inboxes) = seen else {
            return;
        };
        looked.retain(|id, _| inboxes.contains_key(id));
        let now = SystemTime::from(self.0.clock.now());
        for (id, changed) in inboxes {
            let known = looked.get(&id).copied();
            let put_off = known.and_then(|it| it.not_before).is_some_and(|at| at > Instant::now());
            let recent = now.duration_since(changed).is_ok_and(|age| age < RECENT);
            let news = known.is_none_or(|it| it.unfinished || it.changed != changed) || recent;
            if put_off || !news {
                continue;
            }
            let (unfinished, not_before) = match self.look_at_inbox(id).await {
                Ok(unfinished) => (unfinished, None),
                Err(refusal) => {
                    tracing::warn!(%refusal, agent = %id, "reports of an agent wait");
                    (true, Some(Instant::now() + PUT_OFF))
                }
            };
            looked.insert(id, Looked { changed, unfinished, not_before });
        }
    }

    /// Takes what is in an inbox, the oldest first; says whether something is left.
    async fn look_at_inbox(&self, id: AgentId) -> Result<bool, Refusal> {
        let place = self.place(id);
        let (inbox, now) = (place.inbox(), self.0.clock.now());
        let read = tokio::task::spawn_blocking(move || {
            let waiting = agents::reports::waiting(&inbox, AT_ONCE, now);
            waiting.map(|waiting| (waiting, files::count(&inbox)))
        });
        let (waiting, files) = match read.await {
            Ok(Ok(read)) => read,
            Ok(Err(err)) => return Err(trouble(format!("failed to {err}"))),
            Err(err) => return Err(trouble(format!("the inbox could not be read: {err}"))),
        };
        let mut left = files > waiting.len();
        if waiting.is_empty() {
            return Ok(left);
        }
        // What was dropped for an agent that is gone stays where it is.
        let Some(agent) = self.0.ledger.agent(id).await.map_err(unreadable)? else {
            return Ok(false);
        };
        for file in waiting {
            left |= !self.take_report(&agent, &place, file).await?;
        }
        Ok(left)
    }

    /// Takes one report; says whether it is done with.
    async fn take_report(
        &self,
        agent: &Agent,
        place: &Place,
        file: Waiting,
    ) -> Result<bool, Refusal> {
        let changed = files::changed(&file.path).unwrap_or(SystemTime::UNIX_EPOCH);
        let key = match &file.report {
            Err(ReportError::TooLarge | ReportError::Unreadable(_)) => {
                // Its content is not known: what tells it from another is when it was written.
                let at = changed.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                format!("{}:{}", file.key, at.as_nanos())
            }
            _ => file.key.clone(),
        };
        if self.0.ledger.report_seen(agent.id, &key).await.map_err(unreadable)? {
            // The run before recorded it and ended before it put the file away.
            return put_away(place, &file);
        }
        let asked = match Said::of(&file) {
            Ok(said) => self.asked_for(agent, &key, said).await,
            Err(err) => Err(Refusal::new(Code::InvalidInput, err.to_string())),
        };
        let unread = file.report.is_err();
        let told = match asked {
            Ok(input) => {
                let input = Some(Box::new(input));
                let report = Report { agent_id: agent.id, key: key.clone(), problem: None, input };
                self.own(Input::Report(report)).await
            }
            Err(refusal) => Err(refusal),
        };
        match told {
            Ok(()) => put_away(place, &file),
            Err(refusal) if is_passing(&refusal) => Err(refusal),
            // It may still be being written.
            Err(_) if unread && !self.is_settled(changed) => Ok(false),
            Err(refusal) => self.hold(agent, place, (&file, key), &refusal).await,
        }
    }

    fn is_settled(&self, changed: SystemTime) -> bool {
        let now = SystemTime::from(self.0.clock.now());
        now.duration_since(changed).is_ok_and(|age| age >= SETTLED)
    }

    /// Puts a report into quarantine, where the captain sees it as a message of the agent.
    async fn hold(
        &self,
        agent: &Agent,
        place: &Place,
        (file, key): (&Waiting, String),
        refusal: &Refusal,
    ) -> Result<bool, Refusal> {
        let now = self.0.clock.now();
        let id = MessageId::draw(now, &mut SystemDraw);
        let from = Source::Agent { id: agent.id, name: agent.name.clone() };
        let shown = files::beginning(&file.path, SHOWN_BYTES_MAX);
        let text = format!("report {}:\n{shown}", file.name);
        let problem = match &refusal.hint {
            Some(hint) => format!("{}; {hint}", refusal.message),
            None => refusal.message.clone(),
        };
        let message = Message {
            quarantined: true,
            tries: 1,
            problem: Some(problem.clone()),
            ..Message::queued(id, agent.id, from, text, now)
        };
        // First the file: one that the inbox does not know of is put back at the next start.
        match place.hold(&file.path, id) {
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(true),
            Err(err) => {
                let why = format!("'{}' cannot be put into quarantine: {err}", file.name);
                return Err(trouble(why));
            }
            Ok(()) => {}
        }
        let input = Some(Box::new(Input::QueueMessage(message)));
        let report = Report { agent_id: agent.id, key, problem: Some(problem), input };
        if let Err(refusal) = self.own(Input::Report(report)).await {
            if let Err(err) = place.give_back(id, &file.name) {
                tracing::error!(
                    error = &err as &dyn std::error::Error,
                    "a report is in quarantine that the inbox does not show"
                );
            }
            return Err(refusal);
        }
        Ok(true)
    }

    async fn own(&self, input: Input) -> Result<(), Refusal> {
        self.0.orchestrator.tell(orchestrator::Command::own(input)).await.map(drop)
    }

    /// Offers a report in quarantine to be read again, where the message stands for one; says
    /// whether it did.
    pub(crate) fn offer_report_again(&self, message: &Message) -> Result<bool, Refusal> {
        if !stands_for_report(message) || message.state() != MessageState::Quarantined {
            return Ok(false);
        }
        // Under another name it is another report, even if it says the same.
        let name = format!("again-{}.json", MessageId::draw(self.0.clock.now(), &mut SystemDraw));
        match self.place(message.to).give_back(message.id, &name) {
            Ok(()) => Ok(true),
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => {
                Err(Refusal::new(Code::Conflict, "the report's file is gone from the quarantine")
                    .hint("discard it, and have the agent say it again"))
            }
            Err(err) => Err(trouble(format!("the report cannot be put back: {err}"))),
        }
    }

    /// Puts the file of a report away that the captain gave up.
    pub(crate) fn put_report_away(&self, message: &Message) {
        if stands_for_report(message)
            && let Err(err) = self.place(message.to).give_up(message.id)
            && err.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(
                error = &err as &dyn std::error::Error,
                "the file of a discarded report is left in quarantine"
            );
        }
    }
}

/// Whether a message is a report of the agent it is kept with, in quarantine.
fn stands_for_report(message: &Message) -> bool {
    matches!(&message.from, Source::Agent { id, .. } if *id == message.to)
}

fn put_away(place: &Place, file: &Waiting) -> Result<bool, Refusal> {
    match place.put_away(&file.path) {
        Ok(()) => Ok(true),
        Err(err) => Err(trouble(format!("failed to {err}"))),
    }
}

fn trouble(why: String) -> Refusal {
    Refusal::new(Code::Internal, why).hint("nothing was lost; it is tried again")
}

/// Whether trying again may help without anybody doing something.
fn is_passing(refusal: &Refusal) -> bool {
    matches!(refusal.code, Code::Busy | Code::Internal)
}
