//! Missions from templates and documents.

use std::collections::BTreeMap;

use engine::MissionQuery;
use engine::view::{
    EditMission, Filling, ImportAction, ImportFormat, ImportRequest, ImportResult, NewMission,
};
use model::mission::{MissionState, Priority};
use model::refusal::Code;
use model::settings::Template;

use crate::hive::Hive;

fn request(format: ImportFormat, text: &str, apply: bool) -> ImportRequest {
    ImportRequest {
        format,
        text: text.into(),
        repository: None,
        policy: None,
        labels: vec!["plan".into()],
        agent: None,
        queue: false,
        apply,
    }
}

fn counts(result: &ImportResult) -> [u64; 4] {
    [result.created, result.updated, result.unchanged, result.skipped]
}

async fn import(hive: &Hive, format: ImportFormat, text: &str, apply: bool) -> ImportResult {
    let request = request(format, text, apply);
    hive.engine.import(&hive.caller(), request).await.unwrap()
}

const JSON: &str = r#"[
    {"external_id": "b", "title": "Second", "brief": "Then this.", "depends_on": ["a"]},
    {"external_id": "a", "title": "First", "brief": "Do this.", "priority": "high",
     "gates": ["command: true"], "criteria": ["it is done"], "deadline": "2031-01-02"}
]"#;

#[tokio::test]
async fn a_mission_can_be_made_from_a_template() {
    let hive = Hive::open().await;
    let template = Template {
        name: "port".into(),
        about: "Ports a module.".into(),
        title: "Port {{module}}".into(),
        brief: "Port {{module}} to {{language|Rust}}.".into(),
        gates: vec!["command: test -n {{module}}".into()],
        labels: vec!["port".into()],
        skills: Vec::new(),
        policy: Some("trusting".into()),
        repository: None,
    };
    let exposed = Template { gates: vec!["command: {{module}}".into()], ..template.clone() };
    let refused = hive.engine.save_template(&hive.caller(), "port", exposed).await.unwrap_err();
    assert_eq!(refused.code, Code::InvalidInput, "{}", refused.message);
    let saved = hive.engine.save_template(&hive.caller(), "port", template).await.unwrap();
    let places: Vec<_> = saved.placeholders.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(places, ["module", "language"]);
    let from = |values: &[(&str, &str)]| NewMission {
        template: Some(Filling {
            name: "port".into(),
            values: values
                .iter()
                .map(|(k, v)| ((*k).into(), (*v).into()))
                .collect::<BTreeMap<_, _>>(),
        }),
        draft: true,
        ..NewMission::default()
    };
    let refused = hive.engine.add_mission(&hive.caller(), from(&[])).await.unwrap_err();
    assert_eq!(refused.allowed, ["module"]);
    let made = hive.engine.add_mission(&hive.caller(), from(&[("module", "a b; rm -rf /")])).await;
    let made = made.unwrap();
    assert_eq!(made.view.mission.title, "Port a b; rm -rf /");
    assert_eq!(made.brief, "Port a b; rm -rf / to Rust.");
    let gate = made.view.mission.gates[0].label();
    assert_eq!(gate, "command: test -n 'a b; rm -rf /'", "a value never becomes shell");
    assert_eq!(made.view.mission.policy, "trusting");
    hive.engine.remove_template(&hive.caller(), "port").await.unwrap();
    assert_eq!(hive.engine.template("port").await.unwrap_err().code, Code::NotFound);
}

#[tokio::test]
async fn an_import_makes_missions_and_a_re_import_makes_no_duplicates() {
    let hive = Hive::open().await;
    let before = hive.happened().await;
    let preview = import(&hive, ImportFormat::Json, JSON, false).await;
    assert_eq!((counts(&preview), preview.applied), ([2, 0, 0, 0], false), "{preview:#?}");
    assert_eq!(hive.happened().await, before, "a preview writes nothing");
    assert!(preview.items.iter().all(|it| it.mission_id.is_none() && it.short_id.is_none()));

    let made = import(&hive, ImportFormat::Json, JSON, true).await;
    assert_eq!(counts(&made), [2, 0, 0, 0], "{made:#?}");
    let short = |at: usize| made.items[at].short_id.clone().unwrap().to_string();
    let second = hive.engine.mission(&short(0)).await.unwrap();
    let first = hive.engine.mission(&short(1)).await.unwrap();
    assert_eq!(second.dependencies[0].mission_id, first.view.mission.id);
    assert_eq!(first.view.mission.state, MissionState::Draft);
    assert_eq!(first.view.mission.priority, Priority::High);
    assert_eq!(first.view.mission.labels, ["plan"]);
    assert_eq!(first.view.mission.deadline.unwrap().to_string(), "2031-01-02T23:59:59Z");

    let events = hive.happened().await;
    let again = import(&hive, ImportFormat::Json, JSON, true).await;
    assert_eq!(counts(&again), [0, 0, 2, 0], "{again:#?}");
    assert_eq!(hive.happened().await, events, "nothing was touched");

    let changed = JSON.replace("Then this.", "Then that.");
    let updated = import(&hive, ImportFormat::Json, &changed, true).await;
    assert_eq!(counts(&updated), [0, 1, 1, 0], "{updated:#?}");
    assert_eq!(hive.engine.mission(&short(0)).await.unwrap().brief, "Then that.");
    let all = hive.engine.missions(MissionQuery::default()).await.unwrap();
    assert_eq!(all.items.len(), 2);
}

#[tokio::test]
async fn a_name_from_outside_that_another_mission_has_is_refused_with_that_mission() {
    let hive = Hive::open().await;
    let made = import(&hive, ImportFormat::Json, JSON, true).await;
    let old = made.items[0].short_id.clone().unwrap().to_string();
    hive.engine.remove_mission(&hive.caller(), &old).await.unwrap();
    let made = import(&hive, ImportFormat::Json, JSON, true).await;
    assert_eq!(counts(&made), [1, 0, 1, 0], "{made:#?}");
    let new = made.items[0].short_id.clone().unwrap().to_string();
    let taken = |refused: model::refusal::Refusal| {
        assert_eq!(refused.code, Code::Conflict, "{refused:?}");
        assert!(refused.message.contains("external id 'b'"), "{refused:?}");
        assert_eq!(refused.allowed, [new.as_str()]);
    };
    let trash = hive.engine.trash(engine::TrashQuery::default()).await.unwrap().items[0].item.id;
    taken(hive.engine.restore_from_trash(&hive.caller(), trash).await.unwrap_err());
    let named = || Some("b".to_owned());
    let other = NewMission {
        title: "Another".into(),
        brief: "Something else.".into(),
        draft: true,
        ..NewMission::default()
    };
    let same = NewMission { external_id: named(), ..other.clone() };
    taken(hive.engine.add_mission(&hive.caller(), same).await.unwrap_err());
    let other = hive.engine.add_mission(&hive.caller(), other).await.unwrap();
    let other = other.view.mission.short_id.to_string();
    let edit = EditMission { external_id: Some(named()), ..EditMission::default() };
    taken(hive.engine.edit_mission(&hive.caller(), &other, edit).await.unwrap_err());

    let edit = EditMission { external_id: Some(None), ..EditMission::default() };
    hive.engine.edit_mission(&hive.caller(), &new, edit).await.unwrap();
    let back = hive.engine.restore_from_trash(&hive.caller(), trash).await.unwrap();
    assert_eq!(back.restored.len(), 1, "the way out that was named works");
    let free = || Some("c".to_owned());
    let again = NewMission {
        title: "Again".into(),
        brief: "Once only.".into(),
        draft: true,
        external_id: free(),
        ..NewMission::default()
    };
    let first = hive.engine.add_mission(&hive.keyed("once", 1), again.clone()).await.unwrap();
    let second = hive.engine.add_mission(&hive.keyed("once", 1), again).await.unwrap();
    assert_eq!(first.view.mission.id, second.view.mission.id, "it is not in its own way");
}

#[tokio::test]
async fn a_markdown_file_with_headings_a_csv_file_and_a_bad_document_say_what_becomes_of_them() {
    let hive = Hive::open().await;
    let markdown = "# Plan\n\n## Read the file\n\nRead it.\n\n## Write the file\n\nWrite it.\n";
    let made = import(&hive, ImportFormat::Markdown, markdown, true).await;
    assert!(made.errors.is_empty(), "{made:#?}");
    assert_eq!(made.created, made.items.len() as u64);
    assert!(made.items.iter().any(|item| item.title == "Read the file"), "{made:#?}");
    let csv = "title,brief,agent\nOne,do one,\nTwo,do two,nobody\n";
    let half = import(&hive, ImportFormat::Csv, csv, true).await;
    assert_eq!(counts(&half), [1, 0, 0, 1], "one failure does not lose the other: {half:#?}");
    let skipped = half.items.iter().find(|item| item.action == ImportAction::Skip).unwrap();
    assert!(skipped.problems[0].message.contains("nobody"), "{skipped:?}");
    let bad = import(&hive, ImportFormat::Json, "[{\"title\": 7}]", true).await;
    assert!(!bad.errors.is_empty() && !bad.applied, "{bad:#?}");
    assert_eq!(counts(&bad), [0; 4]);
}
