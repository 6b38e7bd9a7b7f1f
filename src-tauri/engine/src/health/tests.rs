//! Health of a real engine: its parts, checks of the captain's own, and what outlives it.

use std::path::Path;
use std::time::Duration;

use jiff::SignedDuration;
use model::event::Actor;
use model::health::{CheckKind, HealthState, Probe, Report};
use model::id::{CorrelationId, SystemDraw};
use model::refusal::Code;
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::*;
use crate::Config;
use crate::view::{CheckView, SubjectKind};

const PATIENCE: Duration = Duration::from_secs(60);

async fn open(place: &Path) -> Engine {
    let config = Config::new(place.join("data"), "0.0.0-test").without_keychain();
    Engine::open(config).await.unwrap()
}

fn caller(engine: &Engine) -> Caller {
    Caller {
        actor: Actor::Captain,
        correlation_id: CorrelationId::draw(engine.0.clock.now(), &mut SystemDraw),
        key: None,
        fingerprint: [0; 32],
    }
}

/// Waits until a check is as it should be.
async fn until(
    engine: &Engine,
    id: &str,
    within: Duration,
    is: impl Fn(&CheckView) -> bool,
) -> CheckView {
    let began = Instant::now();
    loop {
        let view = engine.check(id);
        if let Some(view) = view.as_ref().ok().filter(|view| is(view)) {
            return view.clone();
        }
        assert!(began.elapsed() < within, "{id} is not so: {view:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn until_state(engine: &Engine, id: &str, state: HealthState) -> CheckView {
    until(engine, id, PATIENCE, |view| view.state == state).await
}

fn new(name: &str, probe: Probe) -> NewCheck {
    NewCheck {
        name: name.to_owned(),
        probe,
        interval_s: Some(2),
        timeout_s: Some(1),
        failures: Some(2),
        successes: Some(1),
        start_within_s: None,
        needs: Vec::new(),
        enabled: None,
    }
}

fn tcp(port: u16) -> Probe {
    Probe::Tcp { host: "127.0.0.1".to_owned(), port, slow_ms: None }
}

fn command(words: &[&str]) -> Probe {
    let command = words.iter().map(|word| (*word).to_owned()).collect();
    Probe::Command { command, degraded_code: Some(3) }
}

/// A port on which nobody listens.
async fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_subsystem_reports_ok_degraded_or_failed_with_reason_and_a_forced_failure_appears_within_one_interval()
 {
    let place = tempfile::tempdir().unwrap();
    let engine = open(place.path()).await;
    for (key, name) in parts::ALL {
        let expected = match key {
            "engine.alerts" | "engine.gateway" => HealthState::Unknown,
            _ => HealthState::Ok,
        };
        let view = until(&engine, key, PATIENCE, |it| it.last_at.is_some() && it.state == expected);
        let view = view.await;
        assert_eq!((view.name.as_str(), view.kind), (name, CheckKind::Engine));
        assert_eq!(view.reason.is_empty(), expected == HealthState::Ok, "{view:#?}");
    }
    engine.set_endpoint("http://127.0.0.1:1".to_owned());
    until_state(&engine, "engine.gateway", HealthState::Ok).await;
    // It is forced to fail: it takes nothing any more.
    engine.0.ledger.close().await;
    let interval = parts::spec("").settings.interval;
    let failed = until(&engine, "engine.store", interval, |it| it.state == HealthState::Failed);
    let failed = failed.await;
    assert!(failed.reason.contains("takes nothing"), "{failed:#?}");
    assert!(engine.health_counts().failed >= 1);
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_of_measurements_is_told_and_the_ledger_is_as_it_was() {
    let place = tempfile::tempdir().unwrap();
    let engine = open(place.path()).await;
    let events = engine.0.ledger.counts().await.unwrap().events;
    engine.shutdown().await;
    // The place is free when nobody holds the engine any more.
    drop(engine);
    std::fs::write(place.path().join("data/telemetry.db"), b"no database at all").unwrap();
    let engine = open(place.path()).await;
    let view = until_state(&engine, "engine.telemetry", HealthState::Degraded).await;
    assert!(view.reason.contains("damaged") && view.reason.contains("new one"), "{view:#?}");
    assert!(engine.0.ledger.counts().await.unwrap().events > events);
    assert!(engine.verify().await.unwrap().is_sound());
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_fails_after_its_threshold_recovers_and_is_remembered_after_a_restart() {
    let place = tempfile::tempdir().unwrap();
    let engine = open(place.path()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let made = engine.add_check(&caller(&engine), new("shop", tcp(address.port()))).await.unwrap();
    assert_eq!((made.kind, made.subject.kind), (CheckKind::Tcp, SubjectKind::User));
    let ok = until_state(&engine, &made.id, HealthState::Ok).await;
    assert!(ok.latency_ms.is_some() && ok.next_at.is_some(), "{ok:#?}");
    drop(listener);
    let failed = until_state(&engine, &made.id, HealthState::Failed).await;
    assert!(failed.reason.contains("refused"), "{failed:#?}");
    let listener = TcpListener::bind(address).await.unwrap();
    until_state(&engine, &made.id, HealthState::Ok).await;
    let ran = engine.run_check(&made.id).await;
    assert!(ran.is_ok_and(|run| run.beat.state == HealthState::Ok), "it is looked at when asked");
    let states = async |engine: &Engine| -> Vec<HealthState> {
        let history = engine.check_history(&made.id, None, None).await.unwrap();
        history.changes.iter().map(|change| change.to).collect()
    };
    let began = Instant::now();
    while states(&engine).await.len() < 3 {
        assert!(began.elapsed() < PATIENCE, "the changes are not recorded");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(states(&engine).await, [HealthState::Ok, HealthState::Failed, HealthState::Ok]);
    let history = engine.check_history(&made.id, None, None).await.unwrap();
    assert_eq!(history.outages, 1);
    assert!(history.uptime.is_some_and(|share| share > 0.0 && share < 1.0), "{history:#?}");
    assert!(history.beats.len() >= 4, "{history:#?}");
    engine.shutdown().await;
    drop((engine, listener));

    let engine = open(place.path()).await;
    let view = until(&engine, &made.id, PATIENCE, |view| view.last_at.is_some()).await;
    assert_eq!((view.name.as_str(), view.settings), ("shop", made.settings.clone()));
    let began = Instant::now();
    // Nobody knows how it was while the engine did not run.
    while states(&engine).await.get(3) != Some(&HealthState::Unknown) {
        assert!(began.elapsed() < PATIENCE, "{:?}", states(&engine).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(engine.verify().await.unwrap().is_sound());
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_hangs_or_floods_is_ended_at_its_limit_and_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    let engine = open(place.path()).await;
    let who = caller(&engine);
    let marker = format!("{}", 70_000 + std::process::id() % 10_000);
    let add = async |name: &str, words: &[&str]| {
        let check = NewCheck { failures: Some(1), ..new(name, command(words)) };
        engine.add_check(&who, check).await.unwrap().id
    };
    let fine = add("fine", &["sh", "-c", "echo all is well"]).await;
    let worse = add("worse", &["sh", "-c", "echo nearly full; exit 3"]).await;
    let broken = add("broken", &["sh", "-c", "echo it is broken; exit 2"]).await;
    let hangs = add("hangs", &["sh", "-c", &format!("sleep {marker}")]).await;
    let floods = add("floods", &["yes", "flood"]).await;
    until_state(&engine, &fine, HealthState::Ok).await;
    let degraded = until_state(&engine, &worse, HealthState::Degraded).await;
    assert!(degraded.reason.contains("nearly full"), "{degraded:#?}");
    let failed = until_state(&engine, &broken, HealthState::Failed).await;
    assert!(failed.reason.contains("it is broken"), "{failed:#?}");
    for id in [&hangs, &floods] {
        let failed = until_state(&engine, id, HealthState::Failed).await;
        assert!(failed.reason.contains("did not end within 1 s"), "{failed:#?}");
        assert!(failed.reason.len() < 1_000);
    }
    engine.shutdown().await;
    let command_line = |entry: std::fs::DirEntry| std::fs::read(entry.path().join("cmdline")).ok();
    let left = std::fs::read_dir("/proc").unwrap().flatten().filter_map(command_line);
    let sleeps = format!("sleep\0{marker}").into_bytes();
    let is_left = |line: Vec<u8>| line.windows(sleeps.len()).any(|part| part == sleeps);
    assert!(!left.into_iter().any(is_left), "a process is left");
    let kept = std::fs::read_dir(place.path().join("data/checks")).unwrap().flatten();
    assert!(kept.map(|it| it.path()).all(|it| !it.join("run").exists()), "its files are gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_to_report_is_in_order_when_it_does_and_fails_when_it_says_so() {
    let place = tempfile::tempdir().unwrap();
    let engine = open(place.path()).await;
    let who = caller(&engine);
    let probe = Probe::Heartbeat { period_s: 2, grace_s: 1 };
    let made = engine.add_check(&who, new("nightly", probe)).await.unwrap();
    let waits = until(&engine, &made.id, PATIENCE, |view| view.last_at.is_some()).await;
    assert_eq!(waits.state, HealthState::Unknown);
    assert!(waits.reason.contains("not reported yet"), "{waits:#?}");
    let report = async |report| {
        engine.report_to_check(&who, &made.id, NewReport { report }).await.unwrap().state
    };
    assert_eq!(report(Report::Success).await, HealthState::Ok);
    let late = until_state(&engine, &made.id, HealthState::Failed).await;
    assert!(late.reason.contains("it reported last"), "{late:#?}");
    assert_eq!(report(Report::Success).await, HealthState::Ok);
    assert_eq!(report(Report::Failure).await, HealthState::Failed);
    let port = closed_port().await;
    let looks = engine.add_check(&who, new("looks", tcp(port))).await.unwrap();
    let refused = engine.report_to_check(&who, &looks.id, NewReport::default()).await.unwrap_err();
    assert_eq!(refused.code, Code::Conflict);
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn during_maintenance_nobody_looks_and_it_counts_neither_way() {
    let place = tempfile::tempdir().unwrap();
    let engine = open(place.path()).await;
    let who = caller(&engine);
    let port = closed_port().await;
    let made = engine.add_check(&who, new("shop", tcp(port))).await.unwrap();
    let now = engine.0.clock.now();
    let window = |until, checks: Vec<String>| NewMaintenance {
        checks,
        from: None,
        until,
        recurs: None,
        zone: None,
        note: "the disk".to_owned(),
    };
    let hour = now + SignedDuration::from_hours(1);
    let set = engine.add_maintenance(&who, window(hour, vec![made.id.clone()])).await.unwrap();
    assert!(set.active);
    let under = engine.check(&made.id).unwrap();
    assert!(under.maintenance && under.reason.contains("the disk"), "{under:#?}");
    assert_eq!(engine.run_check(&made.id).await.unwrap_err().code, Code::Conflict);
    engine.remove_maintenance(&who, set.maintenance.id).await.unwrap();
    until_state(&engine, &made.id, HealthState::Failed).await;
    let refused = async |new| engine.add_maintenance(&who, new).await.unwrap_err().code;
    assert_eq!(refused(window(now, Vec::new())).await, Code::InvalidInput);
    assert_eq!(refused(window(hour, vec!["nobody".to_owned()])).await, Code::NotFound);
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_is_refused_with_the_reason_and_nothing_is_changed() {
    let place = tempfile::tempdir().unwrap();
    let engine = open(place.path()).await;
    let who = caller(&engine);
    let refused = async |new| {
        let refusal = engine.add_check(&who, new).await.unwrap_err();
        (refusal.code, refusal.message)
    };
    let base = engine.add_check(&who, new("base", tcp(1))).await.unwrap();
    let (code, said) = refused(new("Base", tcp(1))).await;
    assert_eq!((code, said.contains("already")), (Code::Conflict, true), "{said}");
    let nobody = NewCheck { needs: vec!["nobody".to_owned()], ..new("shop", tcp(1)) };
    assert_eq!(refused(nobody).await.0, Code::NotFound);
    let slow = NewCheck { timeout_s: Some(2), ..new("shop", tcp(1)) };
    assert_eq!(refused(slow).await.0, Code::InvalidInput);
    let ftp =
        Probe::Http { url: "ftp://a".to_owned(), status: None, contains: None, slow_ms: None };
    assert_eq!(refused(new("shop", ftp)).await.0, Code::InvalidInput);
    let needs = NewCheck { needs: vec![base.id.clone()], ..new("shop", tcp(1)) };
    let shop = engine.add_check(&who, needs).await.unwrap();
    let round = EditCheck { needs: Some(vec![shop.id.clone()]), ..EditCheck::default() };
    let round = engine.edit_check(&who, &base.id, round).await.unwrap_err();
    assert!(round.message.contains("goes round"), "{round:?}");
    assert_eq!(engine.remove_check(&who, &base.id).await.unwrap_err().code, Code::Conflict);
    let own = engine.edit_check(&who, "engine.store", EditCheck::default()).await.unwrap_err();
    assert_eq!(own.code, Code::Conflict);
    assert_eq!(engine.check("nobody").unwrap_err().code, Code::NotFound);
    engine.remove_check(&who, &shop.id).await.unwrap();
    engine.remove_check(&who, &base.id).await.unwrap();
    let none = CheckQuery { subject: Some(SubjectKind::User), ..CheckQuery::default() };
    assert!(engine.checks(&none).unwrap().items.is_empty());
    engine.shutdown().await;
}
