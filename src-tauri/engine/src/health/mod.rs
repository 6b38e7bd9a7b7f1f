//! Health: what is checked, how it is, how it was, and when nobody is to ask.

mod crew;
mod keeping;
mod memory;
mod parts;
mod runner;
mod shown;

use model::event::Fact;
use model::health::{
    CHECKS_MAX, FAILURES_DEFAULT, HealthCheck, INTERVAL_S_DEFAULT, Maintenance, Probe,
    SUCCESSES_DEFAULT, TIMEOUT_S_DEFAULT, WINDOWS_MAX,
};
use model::id::{CheckId, MaintenanceId, SystemDraw};
use model::refusal::{Code, Refusal};
use orchestrator::Input;

use crate::missions::invalid;
use crate::resolve::unreadable;
use crate::view::{
    CheckView, EditCheck, Listing, MaintenanceView, NewCheck, NewMaintenance, NewReport,
};
use crate::{Caller, Engine};

pub(crate) use memory::Health;
pub use shown::CheckQuery;

impl Engine {
    /// Makes a health check. It is looked at at once.
    ///
    /// # Errors
    /// When its name is taken, there are too many, it needs what is not there, or something is out of
    /// bounds.
    pub async fn add_check(&self, caller: &Caller, new: NewCheck) -> Result<CheckView, Refusal> {
        let _alone = self.0.health.changing.lock().await;
        let id = CheckId::draw(self.0.clock.now(), &mut SystemDraw);
        let interval_s = new.interval_s.unwrap_or(INTERVAL_S_DEFAULT);
        let check = HealthCheck {
            id,
            name: new.name.trim().to_owned(),
            probe: new.probe,
            interval_s,
            // Shorter than the interval, where that is short.
            timeout_s: new.timeout_s.unwrap_or(TIMEOUT_S_DEFAULT.min(interval_s.max(2) - 1)),
            failures: new.failures.unwrap_or(FAILURES_DEFAULT),
            successes: new.successes.unwrap_or(SUCCESSES_DEFAULT),
            start_within_s: new.start_within_s,
            needs: new.needs,
            enabled: new.enabled.unwrap_or(true),
        };
        check.check().map_err(|fault| invalid(fault.to_string()))?;
        if !self.was_answered(caller).await? {
            self.has_room_for_check(&check).await?;
        }
        let input = Input::Record(Fact::CheckSaved { check });
        let made = self.tell_creation(caller, input, id.as_uuid()).await?;
        self.read_checks().await?;
        self.check(&made.to_string())
    }

    /// Changes a health check. Where it looks at something else from then on, it begins anew.
    ///
    /// # Errors
    /// When there is no such check, it is none of the captain's own, or something is out of bounds.
    pub async fn edit_check(
        &self,
        caller: &Caller,
        id: &str,
        edit: EditCheck,
    ) -> Result<CheckView, Refusal> {
        let _alone = self.0.health.changing.lock().await;
        let old = self.own_check(id).await?;
        let start = edit.start_within_s.map(|start| Some(start).filter(|start| *start > 0));
        let check = HealthCheck {
            id: old.id,
            name: edit.name.map_or_else(|| old.name.clone(), |name| name.trim().to_owned()),
            probe: edit.probe.unwrap_or_else(|| old.probe.clone()),
            interval_s: edit.interval_s.unwrap_or(old.interval_s),
            timeout_s: edit.timeout_s.unwrap_or(old.timeout_s),
            failures: edit.failures.unwrap_or(old.failures),
            successes: edit.successes.unwrap_or(old.successes),
            start_within_s: start.unwrap_or(old.start_within_s),
            needs: edit.needs.unwrap_or_else(|| old.needs.clone()),
            enabled: edit.enabled.unwrap_or(old.enabled),
        };
        check.check().map_err(|fault| invalid(fault.to_string()))?;
        self.has_room_for_check(&check).await?;
        if check != old {
            self.tell(caller, Input::Record(Fact::CheckSaved { check })).await?;
            self.read_checks().await?;
        }
        self.check(id)
    }

    /// Removes a health check with its history. A look that is under way comes to its end.
    ///
    /// # Errors
    /// When there is no such check, it is none of the captain's own, or another one needs it.
    pub async fn remove_check(&self, caller: &Caller, id: &str) -> Result<(), Refusal> {
        let _alone = self.0.health.changing.lock().await;
        if self.was_answered(caller).await? {
            return Ok(());
        }
        let check = self.own_check(id).await?;
        let all = self.0.ledger.health_checks().await.map_err(unreadable)?;
        let own = check.id.to_string();
        let needing: Vec<String> =
            all.into_iter().filter(|it| it.needs.contains(&own)).map(|it| it.name).collect();
        if !needing.is_empty() {
            let message = format!("'{}' is needed by other checks", check.name);
            return Err(Refusal::new(Code::Conflict, message)
                .hint("take it out of what those need first; nothing was changed")
                .allowed(needing));
        }
        let fact = Fact::CheckRemoved { check_id: check.id };
        self.tell(caller, Input::Record(fact)).await?;
        self.read_checks().await
    }

    /// Takes what something says by itself that is waited for.
    ///
    /// # Errors
    /// When there is no such check, or it waits for nothing.
    pub async fn report_to_check(
        &self,
        caller: &Caller,
        id: &str,
        new: NewReport,
    ) -> Result<CheckView, Refusal> {
        let check = self.own_check(id).await?;
        if !matches!(check.probe, Probe::Heartbeat { .. }) {
            let message = format!("'{}' looks by itself and waits for no report", check.name);
            return Err(Refusal::new(Code::Conflict, message)
                .hint("make a check of the kind 'heartbeat' for what reports by itself"));
        }
        let at = self.0.clock.now();
        let fact = Fact::CheckReported { check_id: check.id, report: new.report, at };
        self.tell(caller, Input::Record(fact)).await?;
        let reported = self.0.ledger.reported(check.id).await.map_err(unreadable)?;
        self.hear_report(&check, reported, new.report);
        self.check(id)
    }

    /// The times of maintenance, oldest first.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn maintenance(&self) -> Result<Listing<MaintenanceView>, Refusal> {
        let all = self.0.ledger.maintenance().await.map_err(unreadable)?;
        let items = all.into_iter().map(|it| self.maintenance_view(it)).collect();
        Ok(Listing { items, next: None })
    }

    /// Sets a time of maintenance. While it lasts, nobody looks at the checks it is for.
    ///
    /// # Errors
    /// When it names what is not there, there are too many, or something is out of bounds.
    pub async fn add_maintenance(
        &self,
        caller: &Caller,
        new: NewMaintenance,
    ) -> Result<MaintenanceView, Refusal> {
        let _alone = self.0.health.changing.lock().await;
        let now = self.0.clock.now();
        let id = MaintenanceId::draw(now, &mut SystemDraw);
        let maintenance = Maintenance {
            id,
            checks: new.checks,
            from: new.from.unwrap_or(now),
            until: new.until,
            recurs: new.recurs,
            zone: new.zone.unwrap_or_else(|| "UTC".to_owned()),
            note: new.note.trim().to_owned(),
        };
        maintenance.check().map_err(|fault| invalid(fault.to_string()))?;
        let known = self.0.ledger.maintenance().await.map_err(unreadable)?;
        if !self.was_answered(caller).await? {
            if maintenance.is_over(now) {
                return Err(invalid("this time of maintenance is over already"));
            }
            for named in &maintenance.checks {
                self.is_there(named)?;
            }
            // Those that are over make room.
            let there = known.iter().filter(|it| !it.is_over(now)).count();
            if there >= WINDOWS_MAX {
                let message =
                    format!("a workspace holds at most {WINDOWS_MAX} maintenance windows");
                return Err(
                    Refusal::new(Code::Conflict, message).hint("remove some you do not need")
                );
            }
        }
        let over = known
            .iter()
            .filter(|it| it.is_over(now))
            .map(|it| Input::Record(Fact::MaintenanceRemoved { maintenance_id: it.id }));
        let mut inputs = vec![Input::Record(Fact::MaintenanceSaved { maintenance })];
        inputs.extend(over);
        let input = Input::Several(inputs);
        let made = self.tell_creation(caller, input, id.as_uuid()).await?;
        self.read_checks().await?;
        let all = self.0.ledger.maintenance().await.map_err(unreadable)?;
        let made = MaintenanceId::from_uuid(made);
        let found = all.into_iter().find(|it| it.id == made);
        found.map(|it| self.maintenance_view(it)).ok_or_else(|| no_maintenance(made))
    }

    /// Calls a time of maintenance off, or ends it.
    ///
    /// # Errors
    /// When there is no such maintenance.
    pub async fn remove_maintenance(
        &self,
        caller: &Caller,
        id: MaintenanceId,
    ) -> Result<(), Refusal> {
        let _alone = self.0.health.changing.lock().await;
        if self.was_answered(caller).await? {
            return Ok(());
        }
        let known = self.0.ledger.maintenance().await.map_err(unreadable)?;
        if !known.iter().any(|it| it.id == id) {
            return Err(no_maintenance(id));
        }
        let fact = Fact::MaintenanceRemoved { maintenance_id: id };
        self.tell(caller, Input::Record(fact)).await?;
        self.read_checks().await
    }

    fn maintenance_view(&self, maintenance: Maintenance) -> MaintenanceView {
        let active_until = maintenance.active_until(self.0.clock.now());
        MaintenanceView { active: active_until.is_some(), active_until, maintenance }
    }

    /// A check of the captain's own, as the ledger has it.
    async fn own_check(&self, id: &str) -> Result<HealthCheck, Refusal> {
        let all = self.0.ledger.health_checks().await.map_err(unreadable)?;
        match all.into_iter().find(|check| check.id.to_string() == id) {
            Some(check) => Ok(check),
            None if self.is_there(id).is_ok() => {
                let message = format!("'{id}' is checked by the engine itself");
                Err(Refusal::new(Code::Conflict, message)
                    .hint("checks of your own can be changed; this one is always there"))
            }
            None => Err(no_check(id)),
        }
    }

    fn is_there(&self, id: &str) -> Result<(), Refusal> {
        if self.0.health.known().board.has(id) { Ok(()) } else { Err(no_check(id)) }
    }

    /// Whether a check by that name, with those needs, can be there.
    async fn has_room_for_check(&self, check: &HealthCheck) -> Result<(), Refusal> {
        let all = self.0.ledger.health_checks().await.map_err(unreadable)?;
        let others: Vec<&HealthCheck> = all.iter().filter(|it| it.id != check.id).collect();
        let name = check.name.to_lowercase();
        if let Some(taken) = others.iter().find(|it| it.name.to_lowercase() == name) {
            let message = format!("there is a check '{}' already", taken.name);
            return Err(Refusal::new(Code::Conflict, message).hint("choose another name"));
        }
        if others.len() >= CHECKS_MAX {
            let message = format!("a workspace holds at most {CHECKS_MAX} checks");
            return Err(Refusal::new(Code::Conflict, message).hint("remove some you do not need"));
        }
        let own = check.id.to_string();
        for need in &check.needs {
            if *need == own {
                return Err(invalid("a check cannot need itself"));
            }
            self.is_there(need)?;
        }
        match goes_round(check, &others) {
            Some(through) => Err(invalid(format!(
                "'{}' cannot need '{through}', which needs it: what they need goes round",
                check.name
            ))),
            None => Ok(()),
        }
    }
}

fn no_check(id: &str) -> Refusal {
    let id: String = id.chars().take(80).collect();
    Refusal::new(Code::NotFound, format!("there is no check '{id}'"))
        .hint("list the checks to see their ids")
}

fn no_maintenance(id: MaintenanceId) -> Refusal {
    Refusal::new(Code::NotFound, format!("there is no maintenance '{id}'"))
        .hint("list the times of maintenance to see their ids")
}

/// The name of a check through which one would need itself; nothing where it does not.
fn goes_round(check: &HealthCheck, others: &[&HealthCheck]) -> Option<String> {
    let own = check.id.to_string();
    let mut seen = std::collections::BTreeSet::new();
    let mut open: Vec<&str> = check.needs.iter().map(String::as_str).collect();
    while let Some(id) = open.pop() {
        let other = others.iter().find(|it| it.id.to_string() == id);
        let Some(other) = other.filter(|_| seen.insert(id)) else { continue };
        if other.needs.contains(&own) {
            return Some(other.name.clone());
        }
        open.extend(other.needs.iter().map(String::as_str));
    }
    None
}

#[cfg(test)]
mod needs {
    use uuid::Uuid;

    use super::*;

    fn check(n: u128, needs: &[u128]) -> HealthCheck {
        HealthCheck {
            id: CheckId::from_uuid(Uuid::from_u128(n)),
            name: format!("check {n}"),
            probe: Probe::Tcp { host: "a".to_owned(), port: 1, slow_ms: None },
            interval_s: 30,
            timeout_s: 5,
            failures: 3,
            successes: 2,
            start_within_s: None,
            needs: needs.iter().map(|n| Uuid::from_u128(*n).to_string()).collect(),
            enabled: true,
        }
    }

    #[test]
    fn what_checks_need_does_not_go_round() {
        let (two, three, four) = (check(2, &[3]), check(3, &[4]), check(4, &[]));
        let others = [&two, &three, &four];
        assert_eq!(goes_round(&check(1, &[2, 4]), &others), None);
        let back = check(4, &[1]);
        let others = [&two, &three, &back];
        assert_eq!(goes_round(&check(1, &[2]), &others), Some("check 4".to_owned()));
        // A ring that is there already does not keep it busy for ever.
        let (left, right) = (check(5, &[6]), check(6, &[5]));
        assert_eq!(goes_round(&check(1, &[5]), &[&left, &right]), None);
    }
}

#[cfg(test)]
mod tests;
