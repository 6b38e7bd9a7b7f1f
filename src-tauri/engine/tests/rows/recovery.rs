//! Recovery controls: each reports what really changed.

use engine::MissionQuery;
use engine::view::NewMission;
use model::mission::MissionState;
use model::refusal::Code;

use crate::hive::{Hive, agent, mission};

#[tokio::test]
async fn restart_failed_clear_failed_and_reconcile_each_report_what_really_changed() {
    let hive = Hive::open().await;
    let ready = hive.place.path().join("ready");
    hive.add(agent("ann", &format!("sh -c 'test -e {}'", ready.display()))).await;
    let trusting =
        |title: &str| NewMission { policy: Some("trusting".into()), ..mission(title, title) };
    let (one, two) = (hive.mission(trusting("One")).await, hive.mission(trusting("Two")).await);
    for id in [&one, &two] {
        let failed = hive.until(id, MissionState::is_final).await;
        assert_eq!(failed.view.mission.state, MissionState::Failed);
    }
    std::fs::write(&ready, "").unwrap();
    let report = hive.engine.restart_failed(&hive.caller()).await.unwrap();
    let mut changed: Vec<_> = report.changed.iter().map(|it| it.short_id.to_string()).collect();
    changed.sort();
    let mut known = vec![one.clone(), two.clone()];
    known.sort();
    assert_eq!((changed, report.refused.len()), (known, 0));
    for id in [&one, &two] {
        let done = hive.until(id, MissionState::is_final).await;
        assert_eq!(done.view.mission.state, MissionState::Done);
    }
    assert!(hive.engine.restart_failed(&hive.caller()).await.unwrap().changed.is_empty());

    std::fs::remove_file(&ready).unwrap();
    let three = hive.mission(trusting("Three")).await;
    hive.until(&three, MissionState::is_final).await;
    let report = hive.engine.clear_failed(&hive.caller()).await.unwrap();
    assert_eq!(report.changed.len(), 1);
    assert_eq!(report.changed[0].short_id.as_str(), three);
    let left = hive.engine.missions(MissionQuery::default()).await.unwrap().items;
    assert_eq!(left.len(), 2, "what was done stays");
    assert_eq!(hive.engine.mission(&three).await.unwrap_err().code, Code::NotFound);

    let found = hive.engine.reconcile().await.unwrap();
    assert_eq!((found.attempts, found.differed, found.taken_up.len()), (0, false, 0));
}

#[tokio::test]
async fn a_mission_that_is_not_finished_is_not_removed() {
    let hive = Hive::open().await;
    let id = hive.mission(mission("Wait", "x")).await;
    let refused = hive.engine.remove_mission(&hive.caller(), &id).await.unwrap_err();
    assert_eq!(refused.code, Code::Conflict);
    hive.ask(&id, model::transition::MissionInput::Cancel).await.unwrap();
    hive.engine.remove_mission(&hive.caller(), &id).await.unwrap();
    assert_eq!(hive.engine.mission(&id).await.unwrap_err().code, Code::NotFound);
}

#[tokio::test]
async fn diagnostics_hold_no_briefs_no_environments_and_no_secrets() {
    let hive = Hive::open().await;
    let mut ann = agent("ann", "sh -c 'echo printed-words'");
    ann.env.insert("SECRET_THING".into(), "value-of-env".into());
    hive.add(ann).await;
    let id = hive.mission(mission("Titled-words", "briefed-words")).await;
    hive.until(&id, |state| state == MissionState::InReview).await;
    let logs = hive.engine.data_dir().join("logs");
    std::fs::create_dir_all(&logs).unwrap();
    let home = std::env::home_dir().unwrap().display().to_string();
    let token = format!("ghp_{}", "a1B2".repeat(9));
    let line = format!("{{\"message\":\"opened {home}/x with {token}\"}}\n");
    std::fs::write(logs.join("hivekeeper.2031-01-01.log"), line).unwrap();
    let bundle = hive.engine.diagnostics().await.unwrap();
    let read: serde_json::Value = serde_json::from_str(&bundle.body).unwrap();
    assert!(read["events"].as_array().unwrap().len() > 5);
    assert!(read["log"].as_str().unwrap().contains("opened ~/x"), "{}", read["log"]);
    for word in ["briefed-words", "Titled-words", "printed-words", "value-of-env", &token] {
        assert!(!bundle.body.contains(word), "{word}");
    }
    assert!(!read["left_out"].as_array().unwrap().is_empty());
}
