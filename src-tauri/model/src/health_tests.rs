//! What can be looked at and what cannot, and when maintenance is.

use jiff::SignedDuration;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::id::MaintenanceId;

fn http(url: &str) -> Probe {
    Probe::Http { url: url.to_owned(), status: None, contains: None, slow_ms: None }
}

fn check(probe: Probe) -> HealthCheck {
    HealthCheck {
        id: CheckId::from_uuid(Uuid::nil()),
        name: "shop".to_owned(),
        probe,
        interval_s: INTERVAL_S_DEFAULT,
        timeout_s: TIMEOUT_S_DEFAULT,
        failures: FAILURES_DEFAULT,
        successes: SUCCESSES_DEFAULT,
        start_within_s: None,
        needs: Vec::new(),
        enabled: true,
    }
}

#[test]
fn a_check_is_refused_for_the_field_that_cannot_be() {
    let usual = || check(http("https://shop.example/health"));
    assert_eq!(usual().check(), Ok(()));
    let wrong = |change: &dyn Fn(&mut HealthCheck), expected: CheckFault| {
        let mut check = usual();
        change(&mut check);
        assert_eq!(check.check(), Err(expected));
    };
    wrong(&|it| it.name = " shop".into(), CheckFault::Name);
    wrong(&|it| it.name = "a\nb".into(), CheckFault::Name);
    wrong(&|it| it.interval_s = 0, CheckFault::Interval(0));
    wrong(&|it| it.interval_s = 86_401, CheckFault::Interval(86_401));
    let timeout = |timeout_s| CheckFault::Timeout { timeout_s, interval_s: 30 };
    wrong(&|it| it.timeout_s = 0, timeout(0));
    wrong(&|it| it.timeout_s = 26, timeout(26));
    let equal = CheckFault::Timeout { timeout_s: 5, interval_s: 5 };
    wrong(&|it| it.interval_s = 5, equal);
    wrong(&|it| it.failures = 0, CheckFault::Threshold(0));
    wrong(&|it| it.successes = 101, CheckFault::Threshold(101));
    wrong(&|it| it.start_within_s = Some(0), CheckFault::Start(0));
    wrong(&|it| it.needs = vec![String::new(); 51], CheckFault::Needs);
}

#[test]
fn a_probe_is_refused_for_what_cannot_be_looked_at() {
    let text = |text: &str| text.to_owned();
    for wrong in [
        http("ftp://shop.example"),
        http("https://"),
        http("https://:80/"),
        http("https://ann:secret@shop.example/"),
        http("https://shop.example/a b"),
        http(&format!("https://shop.example/{}", "a".repeat(5_000))),
        Probe::Http { url: text("http://a"), status: Some(99), contains: None, slow_ms: None },
        Probe::Http {
            url: text("http://a"),
            status: None,
            contains: Some(String::new()),
            slow_ms: None,
        },
        Probe::Tcp { host: text(""), port: 80, slow_ms: None },
        Probe::Tcp { host: text("a/b"), port: 80, slow_ms: None },
        Probe::Tcp { host: text("a"), port: 0, slow_ms: None },
        Probe::Command { command: Vec::new(), degraded_code: None },
        Probe::Command { command: vec![text("a"), text("b\0")], degraded_code: None },
        Probe::Command { command: vec![text("a")], degraded_code: Some(0) },
        Probe::FileAge { path: text("relative"), max_age_s: 1, degraded_age_s: None },
        Probe::FileAge { path: text("/a"), max_age_s: 0, degraded_age_s: None },
        Probe::FileAge { path: text("/a"), max_age_s: 5, degraded_age_s: Some(6) },
        Probe::Disk { path: text("/"), failed_free_percent: 10, degraded_free_percent: 5 },
        Probe::Disk { path: text("/"), failed_free_percent: 5, degraded_free_percent: 101 },
        Probe::Certificate { host: text("a"), port: 443, failed_days: 8, degraded_days: 7 },
        Probe::Heartbeat { period_s: 0, grace_s: 1 },
        Probe::Heartbeat { period_s: 1, grace_s: u64::MAX },
    ] {
        assert!(wrong.check().is_err(), "{wrong:?}");
    }
}

#[test]
fn what_a_check_looks_at_is_told_without_secrets() {
    let url = http("https://ann:pw@shop.example/health?key=abc#x");
    assert_eq!(url.target(), "https://shop.example/health");
    assert_eq!(url.told(), http("https://shop.example/health"));
    let command = vec!["curl".to_owned(), "-H".to_owned(), "key: abc".to_owned()];
    let command = Probe::Command { command, degraded_code: None };
    assert_eq!(command.target(), "curl");
    assert!(!serde_json::to_string(&command.told()).unwrap().contains("abc"));
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn window(from: &str, until: &str, recurs: Option<Recurrence>, zone: &str) -> Maintenance {
    Maintenance {
        id: MaintenanceId::from_uuid(Uuid::nil()),
        checks: Vec::new(),
        from: at(from),
        until: at(until),
        recurs,
        zone: zone.to_owned(),
        note: String::new(),
    }
}

#[test]
fn maintenance_begins_and_ends_to_the_second() {
    let once = window("2026-03-01T10:00:00Z", "2026-03-01T12:00:00Z", None, "UTC");
    assert_eq!(once.check(), Ok(()));
    assert_eq!(once.active_until(at("2026-03-01T09:59:59Z")), None);
    assert_eq!(once.active_until(at("2026-03-01T10:00:00Z")), Some(once.until));
    assert_eq!(once.active_until(at("2026-03-01T12:00:00Z")), None);
    assert_eq!(once.active_until(at("2026-03-02T10:30:00Z")), None);
    assert!(once.is_over(once.until) && !once.is_over(once.from));
}

#[test]
fn recurring_maintenance_keeps_its_time_of_day_when_the_clocks_change() {
    // 02:30 to 04:30 in Berlin; on 29 March the clocks go from 02:00 to 03:00.
    let daily = Some(Recurrence::Daily);
    let nightly = window("2026-03-25T02:30:00Z", "2026-03-25T04:30:00Z", daily, "Europe/Berlin");
    assert_eq!(nightly.check(), Ok(()));
    let active = |text: &str| nightly.active_until(at(text)).is_some();
    // Winter: 03:30 local is 02:30 UTC.
    assert!(active("2026-03-28T02:30:00Z") && !active("2026-03-28T02:29:59Z"));
    // Summer: 03:30 local is 01:30 UTC.
    assert!(active("2026-03-30T01:30:00Z") && !active("2026-03-30T01:29:59Z"));
    assert!(!active("2026-03-30T03:30:00Z"));
    assert!(!active("2026-03-24T03:00:00Z"), "not before the first");
    let weekly = Some(Recurrence::Weekly);
    let sundays = window("2026-03-01T22:00:00Z", "2026-03-02T02:00:00Z", weekly, "UTC");
    let active = |text: &str| sundays.active_until(at(text)).is_some();
    assert!(active("2026-03-09T01:00:00Z") && active("2026-03-08T22:00:00Z"));
    assert!(!active("2026-03-07T23:00:00Z") && !active("2026-03-09T02:00:00Z"));
}

#[test]
fn maintenance_that_cannot_be_is_refused() {
    let daily = Some(Recurrence::Daily);
    let (from, later) = ("2026-03-01T10:00:00Z", "2026-03-01T12:00:00Z");
    let length = Err(MaintenanceFault::Length);
    assert_eq!(window(later, from, None, "UTC").check(), length);
    assert_eq!(window(from, from, None, "UTC").check(), length);
    assert_eq!(window(from, "2028-03-01T12:00:00Z", None, "UTC").check(), length);
    let long = window(from, "2026-03-02T09:30:00Z", daily, "UTC");
    assert_eq!(long.check(), Err(MaintenanceFault::Overlap));
    let nowhere = window(from, later, None, "Nowhere/Atall");
    assert!(matches!(nowhere.check(), Err(MaintenanceFault::Zone(_))));
}

#[test]
fn reports_are_remembered_as_healthchecks_does() {
    let (one, two) = (at("2026-03-01T10:00:00Z"), at("2026-03-01T11:00:00Z"));
    let none = Reported::default();
    let begun = none.after(Report::Start, one);
    assert_eq!(begun, Reported { started: Some(one), ..none });
    let done = begun.after(Report::Success, two);
    assert_eq!(done, Reported { last: Some(two), started: None, failed: false });
    let failed = done.after(Report::Failure, two);
    assert_eq!(failed, Reported { last: Some(two), started: None, failed: true });
    assert!(failed.after(Report::Start, two).failed, "only a success ends a failure");
    assert!(!failed.after(Report::Success, two).failed);
}

proptest! {
    #[test]
    fn no_text_makes_a_probe_panic_and_what_passes_names_a_host(text in "\\PC{0,80}") {
        let probe = http(&text);
        let _ = (probe.target(), probe.told());
        if probe.check().is_ok() {
            prop_assert!(text.starts_with("http"));
            prop_assert!(!text.contains(' ') && text.len() > 7);
        }
        let _ = serde_json::from_str::<Probe>(&text);
    }

    #[test]
    fn recurring_maintenance_is_as_long_each_time(start in 0_i64..30_000_000, length in 60_i64..80_000, probe in 0_i64..400) {
        let from = Timestamp::from_second(1_760_000_000 + start).unwrap();
        let until = Timestamp::from_second(1_760_000_000 + start + length).unwrap();
        let zone = "America/New_York".to_owned();
        let base = window("2026-03-01T10:00:00Z", "2026-03-01T12:00:00Z", Some(Recurrence::Daily), "UTC");
        let window = Maintenance { from, until, zone, ..base };
        prop_assert_eq!(window.check(), Ok(()));
        let now = from + SignedDuration::from_secs(probe * 7_777);
        if let Some(ends) = window.active_until(now) {
            prop_assert!(ends > now && ends.duration_since(now).as_secs() <= length);
            prop_assert!(window.active_until(ends).is_none());
        }
    }
}
