//! What is shown of health.

use jiff::{SignedDuration, Timestamp};
use model::health::{CheckChange, CheckKind, HealthState};
use model::refusal::{Code, Refusal};
use monitor::health::{Beat, Change, Health as Core, Looking, Uptime};
use store::ledger::ChangeFilter;

use super::memory::Known;
use super::{crew, no_check, parts};
use crate::Engine;
use crate::missions::invalid;
use crate::resolve::unreadable;
use crate::view::{
    BeatView, CheckHistory, CheckRun, CheckSettingsView, CheckSubject, CheckView, HealthCounts,
    Listing, SubjectKind, UptimeView,
};

/// Checks of one page unless more or fewer are asked for.
const PAGE_DEFAULT: u32 = 500;
/// The most checks of one page.
const PAGE_MAX: u32 = 500;
/// The most changes of one history.
const CHANGES_MAX: u32 = 1_000;
/// The longest history: 400 days.
const HISTORY_MAX: SignedDuration = SignedDuration::from_hours(400 * 24);

/// Which checks to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckQuery {
    /// Only those about this.
    pub subject: Option<SubjectKind>,
    /// Only those that are so.
    pub state: Option<HealthState>,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// How many at most.
    pub limit: Option<u32>,
}

impl Engine {
    /// The checks: those of the engine's parts, the captain's own, and those of agents, each by name.
    ///
    /// # Errors
    /// When the limit is out of bounds, or the cursor is none of this list.
    pub fn checks(&self, query: &CheckQuery) -> Result<Listing<CheckView>, Refusal> {
        let limit = query.limit.unwrap_or(PAGE_DEFAULT);
        if !(1..=PAGE_MAX).contains(&limit) {
            return Err(invalid(format!("'limit={limit}' is not between 1 and {PAGE_MAX}")));
        }
        let known = self.0.health.known();
        let now = known.moment(self.0.clock.now());
        let mut rows: Vec<(SubjectKind, String, String)> = known
            .board
            .keys()
            .filter_map(|key| {
                let spec = known.board.spec(key)?;
                Some((subject_of(key), spec.name.to_lowercase(), key.to_owned()))
            })
            .collect();
        rows.sort();
        let from = match &query.cursor {
            Some(cursor) => {
                let place = rows.iter().position(|(_, _, key)| key == cursor);
                1 + place.ok_or_else(|| invalid("the cursor is none of this list any more"))?
            }
            None => 0,
        };
        let mut items = Vec::new();
        for (subject, _, key) in rows.into_iter().skip(from) {
            let state = known.board.standing(&key, now).map(|it| it.state);
            if query.subject.is_some_and(|wanted| wanted != subject)
                || query.state.is_some_and(|wanted| Some(wanted) != state)
            {
                continue;
            }
            if items.len() == limit as usize {
                let next = items.last().map(|view: &CheckView| view.id.clone());
                return Ok(Listing { items, next });
            }
            items.extend(known.view(&key, self.0.clock.now()));
        }
        Ok(Listing { items, next: None })
    }

    /// One check.
    ///
    /// # Errors
    /// When there is no such check.
    pub fn check(&self, id: &str) -> Result<CheckView, Refusal> {
        self.0.health.known().view(id, self.0.clock.now()).ok_or_else(|| no_check(id))
    }

    /// How many checks are how.
    #[must_use]
    pub fn health_counts(&self) -> HealthCounts {
        let counts = self.0.health.known().board.counts();
        let of = |state| {
            let found = counts.get(&state).copied().unwrap_or_default();
            u32::try_from(found).unwrap_or(u32::MAX)
        };
        HealthCounts {
            ok: of(HealthState::Ok),
            degraded: of(HealthState::Degraded),
            failed: of(HealthState::Failed),
            unknown: of(HealthState::Unknown),
        }
    }

    /// How a check was, of the last 24 hours unless said otherwise.
    ///
    /// # Errors
    /// When there is no such check, the range is none or too long, or the ledger cannot be read.
    pub async fn check_history(
        &self,
        id: &str,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
    ) -> Result<CheckHistory, Refusal> {
        let now = self.0.clock.now();
        let state = self.check(id)?.state;
        let to = to.unwrap_or(now);
        let from = match from {
            Some(from) => from,
            None => to.checked_sub(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MIN),
        };
        if from >= to || to.duration_since(from) > HISTORY_MAX {
            return Err(invalid("a history begins before it ends, at most 400 days before"));
        }
        let filter = ChangeFilter {
            check: Some(id.to_owned()),
            from,
            to: Timestamp::MAX,
            limit: CHANGES_MAX,
        };
        let mut changes = self.0.ledger.check_changes(filter).await.map_err(unreadable)?;
        changes.reverse();
        let sum = Uptime::over(
            &changes.iter().map(change_of).collect::<Vec<_>>(),
            core_of(state),
            from,
            to.min(now.max(from)),
        );
        let seconds = |time: Option<std::time::Duration>| time.map(|time| time.as_secs_f64());
        let known = self.0.health.known();
        let within = |at: Timestamp| from <= at && at < to;
        Ok(CheckHistory {
            beats: known.board.beats(id).filter(|beat| within(beat.at)).map(beat_view).collect(),
            uptime: sum.share(),
            outages: sum.outages,
            mean_to_repair_s: seconds(sum.mean_to_repair()),
            mean_between_failures_s: seconds(sum.mean_between_failures()),
            changes: changes.into_iter().filter(|change| change.at < to).collect(),
        })
    }

    /// Looks at a check now, beside its interval. What is found counts as every look does; it comes to
    /// its end also where nobody waits for that any more.
    ///
    /// # Errors
    /// When there is no such check, it is being looked at, is switched off or under maintenance, or
    /// nothing can be said of it.
    pub async fn run_check(&self, id: &str) -> Result<CheckRun, Refusal> {
        let view = self.check(id)?;
        if view.maintenance || view.settings.as_ref().is_some_and(|it| !it.enabled) {
            return Err(Refusal::new(Code::Conflict, format!("'{}': {}", view.name, view.reason))
                .hint("a look would say nothing now"));
        }
        let before = view.last_at;
        let looking = {
            let mut known = self.0.health.known();
            let now = known.moment(self.0.clock.now());
            let due = known.board.spec(id).is_some_and(|spec| spec.looking == Looking::Due);
            if due && !known.board.begin(id, now) {
                return Err(Refusal::new(
                    Code::Busy,
                    format!("'{}' is being looked at", view.name),
                )
                .hint("ask for its history in a moment"));
            }
            due
        };
        let engine = self.clone();
        let key = id.to_owned();
        let work = self.0.tasks.spawn(async move {
            if looking { engine.look_at(key).await } else { engine.look_over().await }
        });
        drop(work.await);
        let check = self.check(id)?;
        let beat = self.0.health.known().board.beats(id).last().map(beat_view);
        match beat.filter(|_| check.last_at != before) {
            Some(beat) => Ok(CheckRun { beat, check }),
            None => Err(Refusal::new(Code::Busy, format!("'{}': nothing was found", check.name))
                .hint("the engine is about to end, or the check is looked at once in a second")),
        }
    }
}

impl Known {
    /// What is shown of a check.
    pub(super) fn view(&self, key: &str, wall: Timestamp) -> Option<CheckView> {
        let now = self.moment(wall);
        let (spec, standing) = (self.board.spec(key)?, self.board.standing(key, now)?);
        let own = self.own.get(key);
        let since = |days: i64| wall - SignedDuration::from_hours(24 * days);
        let uptime = |days| self.board.uptime(key, since(days), now);
        let agent = crew::agent_of(key).and_then(|id| self.agents.get(&id));
        let (kind, subject) = match subject_of(key) {
            SubjectKind::Engine => (CheckKind::Engine, parts::name_of(key)),
            SubjectKind::Agent => {
                (CheckKind::Agent, key.trim_start_matches(crew::PREFIX).to_owned())
            }
            SubjectKind::User => {
                (own.map_or(CheckKind::Http, |own| own.probe.kind()), key.to_owned())
            }
        };
        Some(CheckView {
            id: key.to_owned(),
            name: spec.name.clone(),
            kind,
            subject: CheckSubject { kind: subject_of(key), id: subject },
            state: standing.state,
            reason: standing.reason,
            since: standing.since,
            last_at: standing.last_at,
            next_at: standing.next_at,
            latency_ms: standing.latency.map(|it| it.as_secs_f64() * 1_000.0),
            running: standing.under_way,
            uptime: UptimeView { day: uptime(1), week: uptime(7), month: uptime(30) },
            maintenance: standing.maintenance,
            target: own.map(|own| own.probe.target()).unwrap_or_default(),
            settings: own.map(|own| CheckSettingsView {
                probe: own.probe.clone(),
                interval_s: own.interval_s,
                timeout_s: own.timeout_s,
                failures: own.failures,
                successes: own.successes,
                start_within_s: own.start_within_s,
                needs: own.needs.clone(),
                enabled: own.enabled,
            }),
            vitals: agent.map(|agent| agent.vitals.clone()),
            reported: self.reported.get(key).copied(),
        })
    }
}

impl CheckView {
    /// The same as it is told to whoever may not change checks: without what may hold a secret.
    #[must_use]
    pub fn told(mut self) -> Self {
        if let Some(settings) = &mut self.settings {
            settings.probe = settings.probe.told();
        }
        self
    }
}

/// What a check is about, by its id.
fn subject_of(key: &str) -> SubjectKind {
    if key.starts_with(parts::PREFIX) {
        SubjectKind::Engine
    } else if key.starts_with(crew::PREFIX) {
        SubjectKind::Agent
    } else {
        SubjectKind::User
    }
}

fn beat_view(beat: &Beat) -> BeatView {
    BeatView {
        at: beat.at,
        state: beat.state,
        latency_ms: beat.latency.map(|it| it.as_secs_f64() * 1_000.0),
        reason: beat.reason.clone(),
    }
}

const fn core_of(state: HealthState) -> Core {
    match state {
        HealthState::Ok => Core::Up,
        HealthState::Degraded => Core::Degraded,
        HealthState::Failed => Core::Down,
        HealthState::Unknown => Core::Unknown,
    }
}

fn change_of(change: &CheckChange) -> Change {
    Change {
        at: change.at,
        from: core_of(change.from),
        to: core_of(change.to),
        reason: String::new(),
    }
}
