//! Missions on the command line: made, found, changed, checked, imported, proved.

use std::fs;

use crate::house::{House, json};

fn short_id(value: &serde_json::Value) -> String {
    value["short_id"].as_str().unwrap().to_owned()
}

/// The shortest beginning of an id that no other one has.
fn prefix<'a>(id: &'a str, other: &str) -> &'a str {
    let shared = id.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    &id[..=shared]
}

#[test]
fn a_unique_prefix_resolves_everywhere_and_an_ambiguous_one_lists_candidates() {
    let house = House::open();
    let id = house.finished_mission("sh -c 'cat; echo x > out.txt'");
    let add = ["mission", "add", "--title", "Something else", "--brief", "other words", "--draft"];
    let other = short_id(&house.json(&add));
    let mine = prefix(&id, &other);
    for command in [
        &["mission", "show", mine][..],
        &["mission", "why", mine],
        &["mission", "wait", mine, "--for", "done"],
        &["mission", "edit", prefix(&other, &id), "--depends-on", mine],
        &["logs", mine],
        &["devlog", "list", "--mission", mine],
        &["report", "mission", mine],
        &["checkpoint", "list", mine],
        &["mission", "delete", &mine.to_lowercase(), "--yes"],
    ] {
        let (code, _, error) = house.run(command);
        assert_eq!(code, 0, "{command:?}: {error}");
    }
    // Of 33 ids, two begin with the same of 32 letters.
    let rows: String = (0..33).map(|n| format!("number {n},brief of number {n}\n")).collect();
    let file = house.place.path().join("many.csv");
    fs::write(&file, format!("title,brief\n{rows}")).unwrap();
    house.ok(&["mission", "import", file.to_str().unwrap(), "--apply"]);
    let listed = house.json(&["mission", "list", "--text", "number"]);
    let ids: Vec<String> = listed["items"].as_array().unwrap().iter().map(short_id).collect();
    let same = |a: &&String| ids.iter().filter(|b| a[..3] == b[..3]).count() > 1;
    let twice = ids.iter().find(same).unwrap();
    for command in [["mission", "show"], ["mission", "why"], ["mission", "accept"]] {
        let (code, _, error) = house.run(&[&command[..], &[&twice[..3], "--json"]].concat());
        assert_eq!(code, 1, "{command:?}");
        let error = &json(&error)["error"];
        assert_eq!(error["code"], "ambiguous", "{error}");
        let named = error["allowed"].to_string();
        assert!(named.contains(twice.as_str()), "{named}");
    }
}

#[test]
fn everything_a_mission_is_told_is_kept_and_shown() {
    let house = House::open();
    let first =
        short_id(&house.json(&["mission", "add", "--title", "A", "--brief", "a", "--draft"]));
    let made = house.json(&[
        "mission",
        "add",
        "--title",
        "Clean the stables",
        "--brief",
        "all thirty of them",
        "--label",
        "farm",
        "--label",
        "water",
        "--skill",
        "shovel",
        "--depends-on",
        &first,
        "--deadline",
        "2031-05-01T17:00:00Z",
        "--estimate",
        "30",
        "--criterion",
        "no dung",
        "--criterion",
        "no flood",
        "--unattended",
        "--external-id",
        "H-5",
        "--proof",
        "human",
        "--retries",
        "2",
        "--backoff",
        "7",
        "--hand-over",
        "--draft",
    ]);
    let id = short_id(&made);
    let shown = house.json(&["mission", "show", &id]);
    assert_eq!(shown["labels"], serde_json::json!(["farm", "water"]));
    assert_eq!(shown["deadline"], "2031-05-01T17:00:00Z");
    assert_eq!(shown["estimate"]["seconds"], 1800);
    assert_eq!(shown["dependencies"][0]["short_id"], first.as_str());
    assert_eq!(shown["evidence"]["needed"], "human");
    assert_eq!((&shown["backoff_s"], &shown["hand_over"]), (&7.into(), &true.into()));
    let text = house.ok(&["mission", "show", &id]);
    for words in ["criterion 1 (open): no dung", "farm, water", "H-5", "shovel", "by another agent"]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
    let filtered = house.json(&["mission", "list", "--label", "farm"]);
    assert_eq!(filtered["items"].as_array().unwrap().len(), 1);
    house.ok(&["mission", "progress", &id, "--text", "half", "--percent", "50", "--met", "2"]);
    let text = house.ok(&["mission", "show", &id]);
    assert!(text.contains("criterion 2 (met): no flood") && text.contains("50 %, half"), "{text}");
    house.ok(&["mission", "edit", &id, "--title", "Clean", "--clear", "deadline,skills"]);
    let shown = house.json(&["mission", "show", &id]);
    assert_eq!(shown["title"], "Clean");
    assert_eq!(shown["deadline"], serde_json::Value::Null);
    assert_eq!(shown["labels"], serde_json::json!(["farm", "water"]), "the rest stays");
    assert_eq!(house.run(&["mission", "edit", &id]).0, 2, "nothing to change is no command");
}

#[test]
fn a_mission_like_one_that_is_there_is_named_and_refused_when_asked_to() {
    let house = House::open();
    let brief = "sort the numbers in the file numbers.txt by size and write them to sorted.txt";
    let add = ["mission", "add", "--title", "Sort the numbers", "--brief", brief, "--draft"];
    let twin = short_id(&house.json(&add));
    let (code, _, error) = house.run(&[&add[..], &["--if-similar", "ask", "--json"]].concat());
    assert_eq!(code, 1);
    let error = &json(&error)["error"];
    assert_eq!(error["code"], "near_duplicate");
    assert!(error["allowed"].to_string().contains(&twin), "{error}");
    let check = ["mission", "check", "--title", "Sort the numbers", "--brief", brief];
    let found = house.json(&check);
    assert_eq!(found["similar"][0]["short_id"], twin.as_str());
    assert!(house.ok(&check).contains("nearly the same: M-"));
    let count = || house.json(&["mission", "list"])["items"].as_array().unwrap().len();
    assert_eq!(count(), 1, "neither made one");
    let (code, _, error) = house.run(&add);
    assert_eq!(code, 0);
    assert!(error.contains(&twin) && error.contains("nearly the same"), "{error}");
    assert_eq!(count(), 2);
}

#[test]
fn what_cannot_be_created_is_said_before_it_is_tried() {
    let house = House::open();
    let check = ["mission", "check", "--title", "T", "--brief", "b", "--gate", "nonsense"];
    let (code, out, _) = house.run(&check);
    assert_eq!(code, 1);
    assert!(out.contains("problem: ") && out.contains("hint: "), "{out}");
}

#[test]
fn a_document_is_shown_before_it_is_imported_and_twice_makes_nothing_twice() {
    let house = House::open();
    let file = house.place.path().join("tasks.md");
    fs::write(&file, "# Work\n\n## Paint the fence\n\nIn green.\n\n## Mow the lawn\n\nAll.\n")
        .unwrap();
    let file = file.to_str().unwrap();
    let import = ["mission", "import", file, "--label", "garden"];
    let preview = house.json(&import);
    assert_eq!((&preview["created"], &preview["applied"]), (&2.into(), &false.into()), "{preview}");
    assert_eq!(house.json(&["mission", "list"])["items"], serde_json::json!([]));
    let apply = [&import[..], &["--apply"]].concat();
    assert_eq!(house.json(&apply)["created"], 2);
    let again = house.json(&apply);
    assert_eq!((&again["created"], &again["unchanged"]), (&0.into(), &2.into()), "{again}");
    assert_eq!(
        house.json(&["mission", "list", "--label", "garden"])["items"].as_array().unwrap().len(),
        2
    );
    let wrong = house.place.path().join("wrong.json");
    fs::write(&wrong, "{not json").unwrap();
    let (code, out, _) = house.run(&["mission", "import", wrong.to_str().unwrap(), "--apply"]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("nothing was made; correct the document"), "{out}");
    let (code, _, error) = house.run(&["mission", "import", "no/such.md"]);
    assert!(code == 1 && error.contains("check the path"), "{error}");
    let (code, _, error) = house.run(&["mission", "import", "-"]);
    assert!(code == 2 && error.contains("--format"), "{error}");
}

#[test]
fn a_red_build_blocks_done_and_a_green_one_proves_it() {
    let house = House::open();
    let repo = house.repository();
    let script = "sh -c 'echo x > out.txt; git add .; git commit -qm x'";
    house.ok(&["agent", "add", "ann", "--command", script]);
    let log = house.place.path().join("log");
    fs::write(&log, "3 tests failed\n").unwrap();
    let log = format!("@{}", log.display());
    let worked = |title| {
        let add = ["mission", "add", "--title", title, "--brief", "b", "--gate", "ci: build"];
        let made = house.json(&[&add[..], &["--repo", repo.to_str().unwrap()]].concat());
        let id = short_id(&made);
        house.until(&id, |shown| shown["attempts"][0]["work"]["head_commit"].is_string());
        let shown = house.json(&["mission", "show", &id]);
        let commit = shown["attempts"][0]["work"]["head_commit"].as_str().unwrap().to_owned();
        (id, commit)
    };
    let post = |id: &str, status, commit: &str| {
        let result = ["--name", "build", "--status", status, "--commit", commit];
        house.run(&[&["ci", "post", "--mission", id, "--output", &log][..], &result].concat())
    };
    let (green, commit) = worked("Green");
    assert_eq!(post(&green, "passed", "x").0, 1, "that is no commit");
    assert_ne!(house.json(&["mission", "show", &green])["state"], "done");
    assert_eq!(post(&green, "passed", &commit).0, 0);
    house.ok(&["mission", "wait", &green, "--for", "done", "--timeout", "60s"]);
    let (red, commit) = worked("Red");
    assert_eq!(post(&red, "failed", &commit).0, 0);
    house.until(&red, |shown| shown["evidence"]["items"][0]["verdict"] == "failed");
    let text = house.ok(&["mission", "show", &red]);
    assert!(text.contains("ci: build") && !text.contains("state        done"), "{text}");
    assert_ne!(house.json(&["mission", "show", &red])["state"], "done");
}

#[test]
fn work_is_reviewed_read_as_a_patch_sent_back_and_merged() {
    let house = House::open();
    let repo = house.repository();
    let script = "sh -c 'echo line >> out.txt; git add .; git commit -qm work'";
    house.ok(&["agent", "add", "ann", "--command", script]);
    let repository = repo.to_str().unwrap();
    let add = ["mission", "add", "--title", "T", "--brief", "b", "--repo", repository];
    let id = short_id(&house.json(&[&add[..], &["--policy", "strict"]].concat()));
    house.ok(&["mission", "wait", &id, "--for", "in_review", "--timeout", "60s"]);
    let review = house.json(&["mission", "review", &id]);
    assert_eq!(review["files"][0]["path"], "out.txt", "{review}");
    let text = house.ok(&["mission", "review", &id]);
    assert!(text.contains("out.txt") && text.contains("merging into"), "{text}");
    let patch = house.ok(&["mission", "diff", &id]);
    assert!(patch.contains("\n+line\n") && !patch.contains('\u{1b}'), "{patch}");
    assert_eq!(house.ok(&["mission", "diff", &id, "nowhere"]), "");
    let (code, _, error) = house.run(&["mission", "diff", &id, "--attempt", "7"]);
    assert!(code == 1 && error.contains("possible now: 1"), "{error}");
    house.ok(&["mission", "send-back", &id, "--note", "one line is not enough"]);
    house.until(&id, |shown| shown["state"] == "in_review" && shown["attempt_count"] == 2);
    let commit = house.json(&["mission", "review", &id])["reviewed_commit"].clone();
    let (code, _, error) = house.run(&["mission", "accept", &id, "--reviewed", "0123456789abcdef"]);
    assert_eq!(code, 1, "{error}");
    let reviewed = commit.as_str().unwrap();
    house.ok(&["mission", "accept", &id, "--merge", "merge", "--reviewed", reviewed]);
    house.ok(&["mission", "wait", &id, "--for", "done", "--timeout", "60s"]);
    assert_eq!(fs::read_to_string(repo.join("out.txt")).unwrap(), "line\nline\n");
    assert!(house.ok(&["mission", "show", &id]).contains("merged"));
}

#[test]
fn how_well_agents_work_is_shown_with_the_cases_each_figure_rests_on() {
    let house = House::open();
    let repo = house.repository();
    let script = "sh -c 'echo line >> out.txt; git add .; git commit -qm work'";
    house.ok(&["agent", "add", "ann", "--command", script]);
    house.ok(&["agent", "add", "bob", "--command", "true"]);
    let add = ["mission", "add", "--title", "T", "--brief", "b", "--agent", "ann"];
    let strict = ["--repo", repo.to_str().unwrap(), "--policy", "strict"];
    let id = short_id(&house.json(&[&add[..], &strict].concat()));
    house.ok(&["mission", "wait", &id, "--for", "in_review", "--timeout", "60s"]);
    house.ok(&["mission", "send-back", &id, "--note", "one line is not enough"]);
    house.until(&id, |shown| shown["state"] == "in_review" && shown["attempt_count"] == 2);
    house.ok(&["mission", "accept", &id]);
    house.ok(&["mission", "wait", &id, "--for", "done", "--timeout", "60s"]);

    let ann = house.json(&["agent", "efficiency", "ann", "--last", "1h"]);
    assert_eq!((&ann["agent"], &ann["n"]), (&"ann".into(), &2.into()), "{ann}");
    assert_eq!(ann["success"]["value"], 0.5, "{ann}");
    assert_eq!((&ann["rework"]["value"], &ann["rework"]["n"]), (&1.0.into(), &1.into()), "{ann}");
    assert_eq!(ann["evidence"]["value"], 1.0, "you accepted it: {ann}");
    assert!(ann["cycle_time"]["p50"].as_f64().unwrap() > 0.0, "{ann}");
    let cost = &ann["cost_per_accepted"];
    assert!(cost["value"].is_null() && cost["unknown"] == 2, "nobody said what it cost: {cost}");
    assert!(ann["trend"]["success"]["before"].is_null(), "{ann}");
    let all = house.json(&["agent", "efficiency"]);
    let names: Vec<_> = all["items"].as_array().unwrap().iter().map(|it| &it["agent"]).collect();
    assert_eq!(names, ["ann", "bob"]);
    assert!(all["items"][1]["success"]["value"].is_null(), "it did nothing: {all}");

    let text = house.ok(&["agent", "efficiency", "ann"]);
    assert!(text.contains("success") && text.contains("50 %") && text.contains("—"), "{text}");
    let (code, _, error) = house.run(&["agent", "efficiency", "nobody"]);
    assert!(code == 1 && error.contains("no agent 'nobody'"), "{error}");
    let (code, _, error) = house.run(&["agent", "efficiency", "--last", "1s"]);
    assert!(code == 1 && error.contains("'last=1'"), "{error}");
}
