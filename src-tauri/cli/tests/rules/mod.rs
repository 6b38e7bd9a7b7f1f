//! What holds for missions: policies, templates, settings; and topics, and completions.

use crate::house::{House, json, run};

#[test]
fn a_policy_of_ones_own_is_saved_used_and_removed() {
    let house = House::open();
    let text = r#"{"about": "tests", "grade": "human", "gates": ["file: out.txt"], "retries": 1}"#;
    let saved = house.json(&["policy", "save", "careful", text]);
    assert_eq!(saved["gates"][0]["kind"], "file");
    let listed = house.ok(&["policy", "list"]);
    assert!(listed.contains("careful") && listed.contains("strict"), "{listed}");
    assert!(house.ok(&["policy", "show", "careful"]).contains("gate  file: out.txt"));
    let draft =
        ["mission", "add", "--title", "T", "--brief", "b", "--draft", "--policy", "careful"];
    let made = house.json(&draft);
    let shown = house.json(&["mission", "show", made["short_id"].as_str().unwrap()]);
    assert_eq!((&shown["policy"], &shown["retries_max"]), (&"careful".into(), &1.into()));
    let (code, _, error) = house.run(&["policy", "save", "careful", r#"{"gate": []}"#]);
    assert!(code == 1 && error.contains("there is no 'gate' in it"), "{error}");
    house.ok(&["policy", "remove", "careful"]);
    assert_eq!(house.run(&["policy", "show", "careful"]).0, 1);
    assert_eq!(house.run(&["policy", "remove", "strict"]).0, 1, "what is built in stays");
}

#[test]
fn a_mission_is_made_from_a_template_and_a_place_without_value_is_named() {
    let house = House::open();
    let text = r#"{"title": "Fix {{what}}", "brief": "In {{where|src}}.", "labels": ["fix"]}"#;
    house.ok(&["template", "save", "fix", text]);
    assert!(house.ok(&["template", "show", "fix"]).contains("what, where=src"));
    let add = ["mission", "add", "--template", "fix", "--draft"];
    let made = house.json(&[&add[..], &["--set", "what=the door"]].concat());
    let shown = house.json(&["mission", "show", made["short_id"].as_str().unwrap()]);
    assert_eq!((&shown["title"], &shown["brief"]), (&"Fix the door".into(), &"In src.".into()));
    let (code, _, error) = house.run(&add);
    assert!(code == 1 && error.contains("what"), "{error}");
    let again = house.json(&["template", "show", "fix"]).to_string();
    house.ok(&["template", "save", "mend", &again]);
    house.ok(&["template", "remove", "fix"]);
    assert!(!house.ok(&["template", "list"]).contains("fix  "));
}

#[test]
fn settings_are_changed_one_by_one_and_an_unknown_one_names_them_all() {
    let house = House::open();
    let before = house.json(&["settings", "show"]);
    let after = house.json(&["settings", "set", "running_max=3", "policy=strict"]);
    assert_eq!((&after["running_max"], &after["policy"]), (&3.into(), &"strict".into()));
    assert_eq!(after["trash_days"], before["trash_days"]);
    assert_eq!(house.json(&["settings", "show"]), after);
    let (code, _, error) = house.run(&["settings", "set", "nonsense=1"]);
    assert!(code == 2 && error.contains("trash_days"), "{error}");
    assert_eq!(house.run(&["settings", "set", "policy=unheard-of"]).0, 1);
}

#[test]
fn a_topic_is_opened_voted_on_and_closed_with_its_reason() {
    let house = House::open();
    house.ok(&["agent", "add", "ann", "--command", "true"]);
    let open = ["topic", "open", "--title", "Which?", "--option", "a", "--option", "b"];
    let topic = house.json(&open)["topic"]["id"].as_str().unwrap().to_owned();
    let vote = ["--agent", "ann", "--option", "b", "--because", "it is here"];
    house.ok(&[&["topic", "vote", &topic][..], &vote].concat());
    let shown = house.ok(&["topic", "show", &topic]);
    assert!(shown.contains("b: 1 votes") && shown.contains("ann: it is here"), "{shown}");
    let closed = house.json(&["topic", "close", &topic]);
    assert_eq!(closed["topic"]["decision"]["option"], "b", "{closed}");
    assert!(house.ok(&["topic", "list"]).contains("Which?"));
}

#[test]
fn every_command_needs_an_engine_but_those_that_do_without() {
    for command in [
        &["plan"][..],
        &["halt"],
        &["resume"],
        &["radar"],
        &["worktree", "list"],
        &["trash", "list"],
        &["checkpoint", "list", "M-1"],
        &["policy", "list"],
        &["template", "list"],
        &["settings", "show"],
        &["topic", "list"],
        &["recover", "reconcile"],
        &["diagnostics"],
        &["mission", "why", "M-1"],
        &["mission", "review", "M-1"],
    ] {
        let (code, out, error) = run(&[command, &["--json"]].concat());
        assert_eq!(code, 3, "{command:?}: {error}");
        assert!(out.is_empty(), "{out}");
        assert_eq!(json(&error)["error"]["code"], "no_engine");
    }
    for shell in ["bash", "zsh", "fish"] {
        let (code, out, _) = run(&["completions", shell]);
        assert_eq!(code, 0);
        for word in ["send-back", "restart-failed", "checkpoint", "if-similar", "keep-processes"] {
            assert!(out.contains(word), "{shell}: {word}");
        }
    }
}
