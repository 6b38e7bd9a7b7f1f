//! What of health outlives the engine: read at its start, and recorded while it runs.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use model::event::Fact;
use model::health::{CHANGES_MAX, CheckChange, HealthCheck, Probe, Report, Reported};
use model::refusal::Refusal;
use monitor::health::{CheckSettings, Deadline, Looking, Reports, Spec};
use orchestrator::{Command, Input};
use store::ledger::{CHANGES_READ_MAX, ChangeFilter, ReadError};

use super::memory::Known;
use super::{crew, parts};
use crate::Engine;
use crate::resolve::unreadable;

/// For how long back changes are read at the start: the longest uptime that is shown.
const READ_BACK: SignedDuration = SignedDuration::from_hours(31 * 24);

/// How one of the captain's own is judged.
fn spec_of(check: &HealthCheck) -> Spec {
    let seconds = |s: u32| Duration::from_secs(u64::from(s));
    let waits = matches!(check.probe, Probe::Heartbeat { .. });
    let settings = CheckSettings {
        interval: seconds(check.interval_s),
        timeout: seconds(check.timeout_s),
        failures: if waits { 1 } else { check.failures },
        successes: if waits { 1 } else { check.successes },
        start_within: check.start_within_s.map(seconds),
    };
    Spec {
        name: check.name.clone(),
        settings,
        needs: check.needs.clone(),
        paused: !check.enabled,
        looking: if waits { Looking::Told } else { Looking::Due },
        own: true,
    }
}

/// When something that is waited for has to report.
pub(super) fn deadline_of(probe: &Probe) -> Option<Deadline> {
    let Probe::Heartbeat { period_s, grace_s } = probe else { return None };
    let span = |s: &u64| SignedDuration::from_secs(i64::try_from(*s).unwrap_or(i64::MAX));
    Some(Deadline { period: span(period_s), grace: span(grace_s) })
}

impl Engine {
    /// Takes over what the ledger says of checks and maintenance.
    pub(super) async fn read_checks(&self) -> Result<(), Refusal> {
        let checks = self.0.ledger.health_checks().await.map_err(unreadable)?;
        let windows = self.0.ledger.maintenance().await.map_err(unreadable)?;
        let mut known = self.0.health.known();
        let now = known.moment(self.0.clock.now());
        let gone: Vec<String> = {
            let there: Vec<String> = checks.iter().map(|it| it.id.to_string()).collect();
            known.own.keys().filter(|key| !there.contains(key)).cloned().collect()
        };
        for key in gone {
            known.own.remove(&key);
            known.reported.remove(&key);
            known.waits.remove(&key);
            known.board.remove(&key);
        }
        for check in checks {
            let key = check.id.to_string();
            let old = known.own.get(&key);
            let anew = old.is_some_and(|old| old.probe != check.probe);
            if deadline_of(&check.probe).is_none() {
                known.reported.remove(&key);
                known.waits.remove(&key);
            } else {
                known.reported.entry(key.clone()).or_default();
                known.waits.entry(key.clone()).or_default();
            }
            known.board.put(&key, spec_of(&check), anew, now);
            known.own.insert(key, check);
        }
        known.board.set_windows(windows);
        known.board.tick(now);
        Ok(())
    }

    /// Takes over everything at the start; `seen` is the last event of the run before.
    pub(super) async fn begin_health(&self, seen: u64) -> Result<(), Refusal> {
        self.read_checks().await?;
        let agents = self.0.ledger.agents().await.map_err(unreadable)?;
        {
            let mut known = self.0.health.known();
            let now = known.moment(self.0.clock.now());
            for (key, name) in parts::ALL {
                known.board.put(key, parts::spec(name), false, now);
            }
            for agent in &agents {
                known.board.put(&crew::key_of(agent.id), crew::spec(&agent.name), false, now);
            }
        }
        let alive_until = self.alive_until(seen).await.map_err(unreadable)?;
        let now = self.0.clock.now();
        let filter = ChangeFilter {
            check: None,
            from: now.checked_sub(READ_BACK).unwrap_or(Timestamp::MIN),
            to: Timestamp::MAX,
            limit: CHANGES_READ_MAX,
        };
        let mut changes = self.0.ledger.last_check_changes().await.map_err(unreadable)?;
        let recent = self.0.ledger.check_changes(filter).await.map_err(unreadable)?;
        let mut by_check: BTreeMap<String, Vec<CheckChange>> = BTreeMap::new();
        for change in recent.into_iter().rev() {
            by_check.entry(change.check.clone()).or_default().push(change);
        }
        // The last one may be from before.
        changes.retain(|change| !by_check.contains_key(&change.check));
        for change in changes {
            by_check.entry(change.check.clone()).or_default().push(change);
        }
        self.read_reports(alive_until).await?;
        let mut known = self.0.health.known();
        let moment = known.moment(now);
        for (key, changes) in by_check {
            known.board.restore(&key, changes);
            known.board.interrupted(&key, alive_until, "the engine did not run", moment);
        }
        Ok(())
    }

    /// When the run before was alive last, as far as anything says.
    async fn alive_until(&self, seen: u64) -> Result<Timestamp, ReadError> {
        let last = self.0.ledger.events_after(seen.saturating_sub(1), 1).await?;
        let last = last.first().map(|event| event.at);
        let measured = self.0.telemetry.latest("health_check_state", &BTreeMap::new()).await;
        let measured = measured.unwrap_or_default().into_iter().map(|(_, at, _)| at).max();
        let started = self.0.started_at;
        Ok(last.max(measured).unwrap_or(started).min(started))
    }

    async fn read_reports(&self, alive_until: Timestamp) -> Result<(), Refusal> {
        let own: Vec<HealthCheck> = self.0.health.known().own.values().cloned().collect();
        for check in own {
            let Some(deadline) = deadline_of(&check.probe) else { continue };
            let reported = self.0.ledger.reported(check.id).await.map_err(unreadable)?;
            let mut known = self.0.health.known();
            let now = known.moment(self.0.clock.now());
            let key = check.id.to_string();
            // Both clocks say the same at the start.
            let mut waits = reports_of(reported);
            excuse(&mut waits, &deadline, alive_until, now.steady);
            known.reported.insert(key.clone(), reported);
            known.waits.insert(key, waits);
        }
        Ok(())
    }

    /// Takes over that something has reported.
    pub(super) fn hear_report(&self, check: &HealthCheck, reported: Reported, report: Report) {
        let mut known = self.0.health.known();
        let now = known.moment(self.0.clock.now());
        let key = check.id.to_string();
        let waits = known.waits.entry(key.clone()).or_default();
        *waits = match report {
            Report::Start => Reports { started: Some(now.steady), ..*waits },
            Report::Success => Reports { last: Some(now.steady), started: None, failed: false },
            Report::Failure => Reports { started: None, failed: true, ..*waits },
        };
        known.reported.insert(key.clone(), reported);
        known.wait_for(&key, now);
    }

    /// Records what changed, a bounded part of it at a time, beside everything else.
    pub(super) fn record_changes(&self) {
        let health = &self.0.health;
        if health.recording.swap(true, Ordering::AcqRel) {
            return;
        }
        let changes = health.known().board.take_changes(CHANGES_MAX);
        if changes.is_empty() {
            health.recording.store(false, Ordering::Release);
            return;
        }
        let engine = self.clone();
        self.0.tasks.spawn(async move {
            let fact = Fact::ChecksChanged { changes: changes.clone() };
            let told = engine.0.orchestrator.tell(Command::own(Input::Record(fact))).await;
            let health = &engine.0.health;
            if let Err(refusal) = told {
                tracing::warn!(%refusal, "changes of health are not recorded yet");
                health.known().board.put_back(changes);
            }
            health.recording.store(false, Ordering::Release);
        });
    }
}

fn reports_of(reported: Reported) -> Reports {
    Reports { last: reported.last, started: reported.started, failed: reported.failed }
}

/// What should have reported while nobody could hear it is waited for anew.
pub(super) fn excuse(
    reports: &mut Reports,
    deadline: &Deadline,
    deaf_from: Timestamp,
    deaf_until: Timestamp,
) {
    let whole = deadline.period.checked_add(deadline.grace).unwrap_or(SignedDuration::MAX);
    let missed = |from: Option<Timestamp>, wait: SignedDuration| {
        let due = from.and_then(|from| from.checked_add(wait).ok());
        due.is_some_and(|due| deaf_from < due && due <= deaf_until)
    };
    if missed(reports.last, whole) {
        reports.last = Some(deaf_until);
    }
    if missed(reports.started, deadline.grace) {
        reports.started = Some(deaf_until);
    }
}

impl Known {
    /// Judges what has to report.
    pub(super) fn wait_for(&mut self, key: &str, now: monitor::health::Moment) {
        use monitor::health::{Finding, Standing};
        let Some(deadline) = self.own.get(key).and_then(|check| deadline_of(&check.probe)) else {
            return;
        };
        let reports = self.waits.get(key).copied().unwrap_or_default();
        let late = |from: Option<Timestamp>| {
            let seconds = from.map_or(0, |from| now.steady.duration_since(from).as_secs());
            model::status::span_in_words(u64::try_from(seconds).unwrap_or(0))
        };
        let finding = match deadline.standing(&reports, now.steady) {
            Standing::New => return self.board.withdraw(key, "it has not reported yet", now),
            Standing::Started if reports.last.is_none() => {
                return self.board.withdraw(key, "it has begun and not succeeded yet", now);
            }
            Standing::Started | Standing::Up | Standing::Grace => Finding::Good,
            Standing::Down if reports.failed => Finding::Bad("it said that it failed".to_owned()),
            Standing::Down if reports.started.is_some_and(|at| Some(at) > reports.last) => {
                Finding::Bad(format!("it began {} ago and is not done", late(reports.started)))
            }
            Standing::Down => Finding::Bad(format!("it reported last {} ago", late(reports.last))),
        };
        self.board.look(key, finding, None, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hours)
    }

    #[test]
    fn what_should_have_reported_while_nobody_could_hear_it_is_waited_for_anew() {
        let daily = Deadline {
            period: SignedDuration::from_hours(24),
            grace: SignedDuration::from_hours(1),
        };
        let check = |last: i64, deaf: (i64, i64), expected: i64| {
            let mut reports = Reports { last: Some(at(last)), ..Reports::default() };
            excuse(&mut reports, &daily, at(deaf.0), at(deaf.1));
            assert_eq!(reports.last, Some(at(expected)), "{last} {deaf:?}");
        };
        check(0, (20, 30), 30);
        check(0, (20, 24), 0);
        check(0, (26, 30), 0);
        let mut begun = Reports { started: Some(at(0)), ..Reports::default() };
        excuse(&mut begun, &daily, at(0), at(8));
        assert_eq!(begun.started, Some(at(8)));
    }
}
