//! Reports: what agents say through files, for those that know nothing else.
//!
//! ```text
//! DATA_DIR/agents/ID/inbox       where the agent puts reports: `*.json`, one each
//! DATA_DIR/agents/ID/archive     reports that were applied, the last thousand
//! DATA_DIR/agents/ID/quarantine  reports that could not be, until the captain decides
//! DATA_DIR/agents/ID/messages    messages to the agent: `MESSAGE_ID.json`, one each, the last thousand
//! ```
//!
//! A report is recorded as taken together with what it asks for, and only then put away: one that is
//! still in the inbox after a crash is known by its name, its checksum and when it was written, and
//! only put away.

mod files;
mod outbound;
mod said;

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use agents::reports::{Report as Told, Waiting};
use futures::{StreamExt as _, stream};
use jiff::SignedDuration;
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
use crate::tools::clean;

pub(crate) use files::make_private;
use files::{Dates, Place};
use said::{Came, Said};

/// How often the inboxes are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(400);
/// How often it is looked whether a message waits that nobody told of.
const DELIVER_EVERY: Duration = Duration::from_secs(5);
/// How long a file that is no report must have been left alone before it is called wrong: it may
/// be half written.
const SETTLED: SignedDuration = SignedDuration::from_secs(1);
/// A directory that changed this long ago is looked into again: two files may come within one tick
/// of the clock that stamps it.
const RECENT: Duration = Duration::from_secs(2);
/// How long an inbox is left alone after something was in the way of its reports.
const PUT_OFF: Duration = Duration::from_secs(5);
/// The most reports of one inbox that are taken in one look.
const AT_ONCE: u32 = 100;
/// The most reports of one agent that are taken within a minute; the others wait in its inbox.
const PER_MINUTE: u32 = 600;
const MINUTE: Duration = Duration::from_secs(60);
/// How long a message for an agent that can take no more is tried before it is in quarantine.
const NO_ROOM: SignedDuration = SignedDuration::from_secs(60);
/// Inboxes that are looked into at the same time.
const SIDE_BY_SIDE: usize = 8;
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
    /// What was taken of it lately.
    pace: Pace,
}

/// How many reports of an agent were taken within a minute.
#[derive(Debug, Clone, Copy)]
struct Pace {
    since: Instant,
    taken: u32,
}

impl Pace {
    const fn new(now: Instant) -> Self {
        Self { since: now, taken: 0 }
    }

    /// How many may be taken now.
    fn room(&mut self, now: Instant) -> u32 {
        if now.duration_since(self.since) >= MINUTE {
            *self = Self::new(now);
        }
        PER_MINUTE.saturating_sub(self.taken).min(AT_ONCE)
    }
}

/// What one look into an inbox came to.
#[derive(Debug, Clone, Copy, Default)]
struct Look {
    /// Whether something is left.
    left: bool,
    /// How many reports were done with.
    taken: u32,
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

    /// Puts reports back that a crash left in quarantine before the inbox knew of them, and away those
    /// that were given up before their file was.
    async fn give_back_unknown(&self, id: AgentId) {
        let place = self.place(id);
        for message in place.quarantined() {
            let done = match self.0.ledger.message(message).await {
                Ok(None) => place.give_back(message, &format!("again-{message}.json")),
                Ok(Some(known)) if known.state() == MessageState::Discarded => {
                    place.give_up(message)
                }
                _ => Ok(()),
            };
            if let Err(err) = done {
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
        let begun = Instant::now();
        let due = inboxes.into_iter().filter_map(|(id, changed)| {
            let known = looked.get(&id).copied();
            let put_off = known.and_then(|it| it.not_before).is_some_and(|at| at > begun);
            let recent = now.duration_since(changed).is_ok_and(|age| age < RECENT);
            let news = known.is_none_or(|it| it.unfinished || it.changed != changed) || recent;
            let pace = known.map_or_else(|| Pace::new(begun), |it| it.pace);
            (news && !put_off).then_some((id, changed, pace))
        });
        // One agent's full inbox or slow disk does not hold the others up.
        let looks =
            stream::iter(due.collect::<Vec<_>>()).map(|(id, changed, mut pace)| async move {
                let room = pace.room(begun);
                let (unfinished, not_before) = match self.look_at_inbox(id, room).await {
                    Ok(look) => {
                        pace.taken += look.taken;
                        (look.left, None)
                    }
                    Err(refusal) => {
                        tracing::warn!(%refusal, agent = %id, "reports of an agent wait");
                        (true, Some(Instant::now() + PUT_OFF))
                    }
                };
                (id, Looked { changed, unfinished, not_before, pace })
            });
        let looks: Vec<_> = looks.buffer_unordered(SIDE_BY_SIDE).collect().await;
        looked.extend(looks);
    }

    /// Takes what is in an inbox, the oldest first, at most so many; says whether something is left.
    async fn look_at_inbox(&self, id: AgentId, room: u32) -> Result<Look, Refusal> {
        if room == 0 {
            return Ok(Look { left: true, taken: 0 });
        }
        let place = self.place(id);
        let (inbox, now) = (place.inbox(), self.0.clock.now());
        let read = tokio::task::spawn_blocking(move || {
            let waiting = agents::reports::waiting(&inbox, room as usize, now);
            waiting.map(|waiting| (waiting, files::count(&inbox)))
        });
        let (waiting, files) = match read.await {
            Ok(Ok(read)) => read,
            Ok(Err(err)) => return Err(trouble(format!("failed to {err}"))),
            Err(err) => return Err(trouble(format!("the inbox could not be read: {err}"))),
        };
        let mut look = Look { left: files > waiting.len(), taken: 0 };
        if waiting.is_empty() {
            return Ok(look);
        }
        // What was dropped for an agent that is gone stays where it is.
        let Some(agent) = self.0.ledger.agent(id).await.map_err(unreadable)? else {
            return Ok(Look::default());
        };
        for file in waiting {
            match self.take_report(&agent, &place, file).await? {
                true => look.taken += 1,
                false => look.left = true,
            }
        }
        Ok(look)
    }

    /// Takes one report; says whether it is done with.
    async fn take_report(
        &self,
        agent: &Agent,
        place: &Place,
        file: Waiting,
    ) -> Result<bool, Refusal> {
        let Some(dates) = Dates::of(&file.path) else {
            return Ok(true);
        };
        // The same words in a file of the same name are another report when they are written anew.
        let key = format!("{}:{}", file.key, dates.written.as_nanosecond());
        if self.0.ledger.report_seen(agent.id, &key).await.map_err(unreadable)? {
            // The run before recorded it and ended before it put the file away.
            return put_away(place, file).await;
        }
        let came = Came { agent, key: &key, at: dates.placed };
        let asked = match Said::of(&file) {
            Ok(said) => self.asked_for(&came, said).await,
            Err(err) => Err(Refusal::new(Code::InvalidInput, err.to_string())),
        };
        let told = match asked {
            Ok(inputs) => {
                let report = Report { agent_id: agent.id, key: key.clone(), problem: None, inputs };
                self.own(Input::Report(report)).await
            }
            Err(refusal) => Err(refusal),
        };
        let Err(refusal) = told else {
            return put_away(place, file).await;
        };
        match after(&file, &refusal, self.age(dates)) {
            Next::Wait => Ok(false),
            Next::WaitWithAll => Err(refusal),
            Next::Hold => self.hold(agent, place, (&file, key), &refusal).await,
        }
    }

    /// How long a file has been as it is. One from the future has been so for long: its clock is
    /// wrong, and it must not wait for ever.
    fn age(&self, dates: Dates) -> SignedDuration {
        self.0.clock.now().duration_since(dates.placed).abs()
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
        let text = format!("report {}:\n{}", file.name, clean(&shown));
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
        let inputs = vec![Input::QueueMessage(message)];
        let report = Report { agent_id: agent.id, key, problem: Some(problem), inputs };
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

async fn put_away(place: &Place, file: Waiting) -> Result<bool, Refusal> {
    let place = place.clone();
    let away = tokio::task::spawn_blocking(move || place.put_away(&file.path)).await;
    match away {
        Ok(Ok(())) => Ok(true),
        Ok(Err(err)) => Err(trouble(format!("failed to {err}"))),
        Err(err) => Err(trouble(format!("a report could not be put away: {err}"))),
    }
}

fn trouble(why: String) -> Refusal {
    Refusal::new(Code::Internal, why).hint("nothing was lost; it is tried again")
}

/// What becomes of a report that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// It is tried again with the next look, and the others are not held up by it.
    Wait,
    /// It is tried again later, and so is everything that came after it.
    WaitWithAll,
    /// It waits for the captain.
    Hold,
}

/// What becomes of a report that was refused, by its age.
fn after(file: &Waiting, refusal: &Refusal, age: SignedDuration) -> Next {
    let message = matches!(file.report, Ok(Told::Message { .. }));
    match refusal.code {
        // Whoever it is for can take no more: nothing else of this agent depends on it.
        Code::Busy if message && age < NO_ROOM => Next::Wait,
        Code::Busy if message => Next::Hold,
        // Trying again may help without anybody doing something.
        Code::Busy | Code::Internal => Next::WaitWithAll,
        // It may still be being written.
        _ if file.report.is_err() && age < SETTLED => Next::Wait,
        _ => Next::Hold,
    }
}

#[cfg(test)]
mod tests {
    use agents::reports::ReportError;

    use super::*;

    #[test]
    fn what_is_in_the_way_of_one_report_holds_the_others_up_only_where_it_is_in_their_way_too() {
        let file = |report| Waiting {
            path: "a.json".into(),
            name: "a.json".into(),
            key: "a.json:k".into(),
            report,
        };
        let text = |text: &str| Told::parse(text.as_bytes());
        let message = file(text(r#"{"kind":"message","to":"bob","text":"hi"}"#));
        let progress = file(text(r#"{"kind":"progress","percent":4}"#));
        let torn = file(Err(ReportError::NotJson("eof".to_owned())));
        let refusal = |code| Refusal::new(code, "no");
        let s = SignedDuration::from_secs;
        let check = |file: &Waiting, code, age, next| {
            assert_eq!(after(file, &refusal(code), age), next, "{file:?} {code:?}");
        };
        check(&message, Code::Busy, s(1), Next::Wait);
        check(&message, Code::Busy, NO_ROOM, Next::Hold);
        check(&message, Code::NotFound, s(0), Next::Hold);
        check(&progress, Code::Busy, s(999), Next::WaitWithAll);
        check(&progress, Code::Internal, s(999), Next::WaitWithAll);
        check(&progress, Code::Conflict, s(0), Next::Hold);
        check(&torn, Code::InvalidInput, s(0), Next::Wait);
        check(&torn, Code::InvalidInput, SETTLED, Next::Hold);
    }

    #[test]
    fn an_agent_that_reports_without_end_is_taken_at_a_bounded_pace() {
        let begun = Instant::now();
        let mut pace = Pace::new(begun);
        let mut taken = 0;
        for _ in 0..100 {
            let room = pace.room(begun);
            pace.taken += room;
            taken += room;
        }
        assert_eq!(taken, PER_MINUTE);
        assert_eq!(pace.room(begun + MINUTE), AT_ONCE);
    }
}
