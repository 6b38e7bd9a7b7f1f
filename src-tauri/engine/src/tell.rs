//! The way to the orchestrator, and what is told from the ledger: events, devlogs, reports, signals.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use journal::{Format, Rendered, ReportOf};
use model::devlog::Devlog;
use model::event::{Actor, Event, Fact, NewEvent, Subject};
use model::id::{DevlogId, EventId, SystemDraw};
use model::refusal::{Code, Refusal};
use model::signal::{CATALOGUE, SeriesRange, Signal};
use orchestrator::Input;
use orchestrator::{Command, Outcome};
use store::ledger::{Change, DevlogFilter, EventFilter, PAGE_ROWS_DEFAULT, StoredAnswer};
use store::telemetry::RangeQuery;
use uuid::Uuid;

use crate::missions::invalid;
use crate::resolve::{self, unreadable};
use crate::view::Listing;
use crate::{Caller, Engine, Parts};

/// The longest range of a signal, in seconds: 400 days.
const RANGE_S_MAX: i64 = 400 * 86_400;
/// The most points of one range.
const POINTS_MAX: u32 = 2_000;

/// Which events to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// Only those of this mission.
    pub mission: Option<String>,
    /// Only those of this agent.
    pub agent: Option<String>,
    /// Only those of this kind.
    pub kind: Option<String>,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// How many at most.
    pub limit: Option<u32>,
}

/// Which devlogs to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DevlogQuery {
    /// Only those of this mission.
    pub mission: Option<String>,
    /// Only those that hold this text.
    pub text: Option<String>,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// How many at most.
    pub limit: Option<u32>,
}

/// What a report is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReportTarget {
    /// One mission.
    Mission(String),
    /// One day, `YYYY-MM-DD`.
    Day(String),
}

/// Which report, in which form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportQuery {
    /// What it is about.
    pub of: ReportTarget,
    /// Its form.
    pub format: Format,
    /// The time zone of its days and hours, an IANA name; UTC when not given.
    pub zone: Option<String>,
}

/// Which samples.
#[derive(Debug, Clone, PartialEq)]
pub struct SignalQuery {
    /// The signal.
    pub name: String,
    /// Only series with these labels.
    pub labels: BTreeMap<String, String>,
    /// From here.
    pub from: Timestamp,
    /// To here.
    pub to: Timestamp,
    /// Into how many buckets at most.
    pub points: u32,
}

impl Caller {
    /// The same caller without its key: one request may be several inputs.
    pub(crate) fn without_key(&self) -> Self {
        Self { key: None, ..self.clone() }
    }
}

impl Engine {
    /// Hands an input in on behalf of a caller.
    pub(crate) async fn tell(&self, caller: &Caller, input: Input) -> Result<Outcome, Refusal> {
        let answer = caller.key.clone().map(|key| StoredAnswer {
            key,
            fingerprint: caller.fingerprint,
            body: serde_json::Value::Null,
        });
        self.hand_in(caller, input, answer).await
    }

    /// Hands in the creation of the thing with this id; a repeated request gives the first one's.
    pub(crate) async fn tell_creation(
        &self,
        caller: &Caller,
        input: Input,
        id: Uuid,
    ) -> Result<Uuid, Refusal> {
        let answer = caller.key.clone().map(|key| StoredAnswer {
            key,
            fingerprint: caller.fingerprint,
            body: serde_json::Value::String(id.to_string()),
        });
        let outcome = self.hand_in(caller, input, answer).await?;
        let Some(known) = outcome.replayed else {
            return Ok(id);
        };
        known.body.as_str().and_then(|text| text.parse().ok()).ok_or_else(|| {
            Refusal::new(
                Code::IdempotencyMismatch,
                "this idempotency key was used before for another request; nothing was changed",
            )
        })
    }

    /// Whether this request was carried out before, under the caller's key.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn was_answered(&self, caller: &Caller) -> Result<bool, Refusal> {
        match &caller.key {
            Some(key) => Ok(self.0.ledger.answer(key).await.map_err(unreadable)?.is_some()),
            None => Ok(false),
        }
    }

    /// Hands an input in with the answer that a repeated request gets.
    pub(crate) async fn hand_in(
        &self,
        caller: &Caller,
        input: Input,
        answer: Option<StoredAnswer>,
    ) -> Result<Outcome, Refusal> {
        let command = Command {
            input,
            actor: caller.actor.clone(),
            correlation_id: Some(caller.correlation_id),
            answer,
        };
        self.0.orchestrator.tell(command).await
    }

    /// Lists events, newest first.
    ///
    /// # Errors
    /// When the filter names something unknown, or the ledger cannot be read.
    pub async fn events(&self, query: EventQuery) -> Result<Listing<Event>, Refusal> {
        let ledger = &self.0.ledger;
        let mission = match &query.mission {
            Some(text) => Some(resolve::mission(ledger, text).await?.0.id),
            None => None,
        };
        let agent = match &query.agent {
            Some(text) => Some(resolve::agent(ledger, text).await?.id),
            None => None,
        };
        let filter = EventFilter {
            mission_id: mission,
            agent_id: agent,
            attempt_id: None,
            kinds: query.kind.into_iter().collect(),
            cursor: query.cursor,
            limit: query.limit.unwrap_or(PAGE_ROWS_DEFAULT),
        };
        let page = ledger.events(filter).await.map_err(unreadable)?;
        let items = page.items.into_iter().map(Event::told).collect();
        Ok(Listing { items, next: page.next })
    }

    /// Lists devlogs, newest first.
    ///
    /// # Errors
    /// When the filter names an unknown mission, or the ledger cannot be read.
    pub async fn devlogs(&self, query: DevlogQuery) -> Result<Listing<Devlog>, Refusal> {
        let ledger = &self.0.ledger;
        let mission = match &query.mission {
            Some(text) => Some(resolve::mission(ledger, text).await?.0.id),
            None => None,
        };
        let filter = DevlogFilter {
            mission_id: mission,
            text: query.text,
            cursor: query.cursor,
            limit: query.limit.unwrap_or(PAGE_ROWS_DEFAULT),
            ..DevlogFilter::default()
        };
        let page = ledger.devlogs(filter).await.map_err(unreadable)?;
        Ok(Listing { items: page.items, next: page.next })
    }

    /// One devlog.
    ///
    /// # Errors
    /// When there is no such devlog.
    pub async fn devlog(&self, id: DevlogId) -> Result<Devlog, Refusal> {
        let found = self.0.ledger.devlog(id).await.map_err(unreadable)?;
        found.ok_or_else(|| Refusal::new(Code::NotFound, format!("there is no devlog '{id}'")))
    }

    /// One devlog as a file.
    ///
    /// # Errors
    /// When there is no such devlog, or it has no such form.
    pub async fn export_devlog(&self, id: DevlogId, format: Format) -> Result<Rendered, Refusal> {
        let devlog = self.devlog(id).await?;
        journal::export(&devlog, format)
            .map_err(|err| Refusal::new(Code::InvalidInput, err.to_string()))
    }

    /// A report as a file, computed from what is stored.
    ///
    /// # Errors
    /// When there is nothing by that name, or the zone or day cannot be read.
    pub async fn report(&self, query: ReportQuery) -> Result<Rendered, Refusal> {
        let zone = match query.zone.as_deref() {
            None => TimeZone::UTC,
            Some(name) => TimeZone::get(name).map_err(|_| {
                invalid(format!("'{name}' is not a time zone")).hint("such as Europe/Berlin")
            })?,
        };
        let of = match &query.of {
            ReportTarget::Mission(text) => {
                ReportOf::Mission(resolve::mission(&self.0.ledger, text).await?.0.id)
            }
            ReportTarget::Day(text) => ReportOf::Day(text.parse().map_err(|_| {
                invalid(format!("'{text}' is not a day")).hint("write it as 2026-01-31")
            })?),
        };
        let now = self.0.clock.now();
        let (ledger, telemetry) = (&self.0.ledger, &self.0.telemetry);
        journal::report(ledger, telemetry, of, query.format, &zone, now).await.map_err(|err| {
            tracing::error!(error = &err as &dyn std::error::Error, "a report failed");
            Refusal::new(Code::Internal, format!("failed to write the report: {err}"))
        })
    }

    /// The catalogue of signals.
    #[must_use]
    pub fn signals(&self) -> &'static [Signal] {
        CATALOGUE
    }

    /// The samples of a signal over a range of time, in buckets.
    ///
    /// # Errors
    /// When the signal is unknown or the range is empty or too long.
    pub async fn range(&self, query: SignalQuery) -> Result<Vec<SeriesRange>, Refusal> {
        if model::signal::by_name(&query.name).is_none() {
            let names = CATALOGUE.iter().map(|signal| signal.name.to_owned()).collect();
            return Err(Refusal::new(
                Code::NotFound,
                format!("there is no signal '{}'", query.name),
            )
            .allowed(names));
        }
        let span_s = query.to.duration_since(query.from).as_secs();
        if query.to <= query.from || span_s > RANGE_S_MAX {
            return Err(invalid("the range is empty or longer than 400 days")
                .hint("'from' must lie before 'to'"));
        }
        let query = RangeQuery {
            name: query.name,
            labels: query.labels,
            from: query.from,
            to: query.to,
            points: query.points.clamp(1, POINTS_MAX),
        };
        self.0.telemetry.range(query).await.map_err(|err| {
            tracing::error!(error = &err as &dyn std::error::Error, "telemetry could not be read");
            Refusal::new(Code::Internal, format!("failed to {err}"))
        })
    }
}

/// Records that the engine ends in order.
pub(crate) async fn record_stop(parts: &Parts) {
    let change = engine_event(parts.clock.now(), Fact::EngineStopped);
    if let Err(err) = parts.ledger.commit(change).await {
        tracing::warn!(error = &err as &dyn std::error::Error, "the end was not recorded");
    }
}

/// A change that holds one fact about the engine itself.
pub(crate) fn engine_event(now: Timestamp, fact: Fact) -> Change {
    Change {
        events: vec![NewEvent {
            id: EventId::draw(now, &mut SystemDraw),
            at: now,
            actor: Actor::Engine,
            correlation_id: None,
            subject: Subject::default(),
            fact,
        }],
        ..Change::default()
    }
}
