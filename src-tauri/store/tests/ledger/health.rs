//! Health checks, maintenance, reports and changes as rows of the ledger.

use jiff::{SignedDuration, Timestamp};
use model::event::{Fact, Subject};
use model::health::{
    CheckChange, HealthCheck, HealthState, Maintenance, Probe, Recurrence, Report, Reported,
};
use model::id::{CheckId, MaintenanceId};
use store::ledger::ChangeFilter;
use store::{Change, CommitError};

use crate::support::*;

fn check(name: &str) -> HealthCheck {
    HealthCheck {
        id: CheckId::draw(now(), &mut Rising),
        name: name.to_owned(),
        probe: Probe::Heartbeat { period_s: 60, grace_s: 10 },
        interval_s: 30,
        timeout_s: 5,
        failures: 3,
        successes: 2,
        start_within_s: None,
        needs: vec!["engine.store".to_owned()],
        enabled: true,
    }
}

async fn tell(place: &Place, fact: Fact) -> Result<(), CommitError> {
    let change = Change::events(vec![event(Subject::default(), fact)]);
    place.ledger.commit(change).await.map(drop)
}

/// So many seconds after a moment.
fn after(s: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + s).unwrap()
}

fn change(check: &str, s: i64, from: HealthState, to: HealthState) -> CheckChange {
    let at = after(s);
    CheckChange {
        check: check.to_owned(),
        at,
        confirmed_at: at + SignedDuration::from_secs(1),
        from,
        to,
        reason: "'; DROP TABLE check_changes; --".to_owned(),
    }
}

#[tokio::test]
async fn checks_reports_and_maintenance_are_read_back_and_follow_from_the_events() {
    let place = Place::new().await;
    let (one, two) = (check("one"), check("two"));
    for check in [&one, &two] {
        tell(&place, Fact::CheckSaved { check: check.clone() }).await.unwrap();
    }
    let off = HealthCheck { enabled: false, ..one.clone() };
    tell(&place, Fact::CheckSaved { check: off.clone() }).await.unwrap();
    assert_eq!(place.ledger.health_checks().await.unwrap(), [off, two.clone()]);

    assert_eq!(place.ledger.reported(two.id).await.unwrap(), Reported::default());
    let at = now();
    let report = |check_id, report| Fact::CheckReported { check_id, report, at };
    tell(&place, report(two.id, Report::Start)).await.unwrap();
    tell(&place, report(two.id, Report::Success)).await.unwrap();
    let reported = Reported { last: Some(at), started: None, failed: false };
    assert_eq!(place.ledger.reported(two.id).await.unwrap(), reported);
    let nobody = CheckId::draw(now(), &mut Rising);
    let refused = tell(&place, report(nobody, Report::Success)).await.unwrap_err();
    assert!(refused.to_string().contains("no such check"), "{refused}");

    let window = Maintenance {
        id: MaintenanceId::draw(now(), &mut Rising),
        checks: vec![two.id.to_string()],
        from: now(),
        until: now() + SignedDuration::from_hours(1),
        recurs: Some(Recurrence::Weekly),
        zone: "Europe/Berlin".to_owned(),
        note: "the disk".to_owned(),
    };
    tell(&place, Fact::MaintenanceSaved { maintenance: window.clone() }).await.unwrap();
    assert_eq!(place.ledger.maintenance().await.unwrap(), std::slice::from_ref(&window));
    let gone = Fact::MaintenanceRemoved { maintenance_id: window.id };
    tell(&place, gone.clone()).await.unwrap();
    tell(&place, gone).await.unwrap_err();

    tell(&place, Fact::CheckRemoved { check_id: two.id }).await.unwrap();
    assert_eq!(place.ledger.reported(two.id).await.unwrap(), Reported::default());
    let again = tell(&place, Fact::CheckRemoved { check_id: two.id }).await.unwrap_err();
    assert!(again.to_string().contains("no such check"), "{again}");
    assert_eq!(place.ledger.verify().await.unwrap().findings, []);
}

#[tokio::test]
async fn changes_of_health_are_kept_by_check_and_time_and_go_with_their_check() {
    use HealthState::{Failed, Ok, Unknown};
    let place = Place::new().await;
    let own = check("own");
    tell(&place, Fact::CheckSaved { check: own.clone() }).await.unwrap();
    let key = own.id.to_string();
    let first = vec![change(&key, 0, Unknown, Ok), change("engine.store", 0, Unknown, Ok)];
    let second = vec![change(&key, 60, Ok, Failed)];
    for changes in [first.clone(), second.clone()] {
        tell(&place, Fact::ChecksChanged { changes }).await.unwrap();
    }
    let filter = |check: Option<&str>, from: i64, limit| ChangeFilter {
        check: check.map(str::to_owned),
        from: after(from),
        to: Timestamp::MAX,
        limit,
    };
    let read = async |filter| place.ledger.check_changes(filter).await.unwrap();
    assert_eq!(read(filter(Some(&key), 0, 9)).await, [second[0].clone(), first[0].clone()]);
    assert_eq!(read(filter(Some(&key), 10, 9)).await, second);
    assert_eq!(read(filter(None, 0, 1)).await, second, "the newest");
    let last = place.ledger.last_check_changes().await.unwrap();
    assert_eq!(last, [second[0].clone(), first[1].clone()]);
    assert_eq!(place.ledger.verify().await.unwrap().findings, []);
    tell(&place, Fact::CheckRemoved { check_id: own.id }).await.unwrap();
    assert_eq!(read(filter(None, 0, 9)).await, first[1..]);
    assert_eq!(place.ledger.verify().await.unwrap().findings, []);
}
