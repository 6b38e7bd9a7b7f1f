//! The places of work and the swarm as a whole: scans, worktrees, the trash, checkpoints, the stop.

use std::fs;

use crate::house::{House, json, run};

#[test]
fn a_scan_without_an_engine_lists_file_and_line_and_edits_nothing() {
    let place = tempfile::tempdir().unwrap();
    let block: String = (0..12).map(|n| format!("let number_{n} = compute({n});\n")).collect();
    let files = [
        ("a.rs", format!("// first\n{block}")),
        ("b.rs", format!("// one\n// two\n{block}")),
        ("long.txt", (0..40).map(|n| format!("line {n}\n")).collect()),
    ];
    for (name, text) in &files {
        fs::write(place.path().join(name), text).unwrap();
    }
    let before: Vec<_> =
        files.iter().map(|(name, _)| fs::metadata(place.path().join(name)).unwrap()).collect();
    let root = place.path().to_str().unwrap();
    let (code, out, error) = run(&["scan", root, "--max-lines", "30", "--block", "6"]);
    assert_eq!(code, 1, "{error}");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], format!("{root}/long.txt:31: 40 lines, 30 allowed"));
    assert_eq!(lines[1], format!("{root}/a.rs:2: 12 equal lines, also at {root}/b.rs:3"));
    assert_eq!(lines[2], format!("{root}/b.rs:3: 12 equal lines, also at {root}/a.rs:2"));
    let (code, out, _) = run(&["scan", root, "--max-lines", "30", "--block", "6", "--json"]);
    assert_eq!(code, 1);
    let report = json(&out);
    assert_eq!(report["oversize"][0]["lines"], 40);
    assert_eq!(report["duplicates"][0]["places"][1]["line"], 3);
    for ((name, text), before) in files.iter().zip(before) {
        let path = place.path().join(name);
        assert_eq!(&fs::read_to_string(&path).unwrap(), text);
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before.modified().unwrap());
    }
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 3, "nothing was added");
    assert_eq!(run(&["scan", root]).0, 1, "twelve equal lines are a duplicate by default");
    fs::remove_file(place.path().join("b.rs")).unwrap();
    let (code, out, _) = run(&["scan", root]);
    assert_eq!(code, 0, "{out}");
    assert_eq!(run(&["scan", "/nowhere/at/all"]).0, 2);
    assert_eq!(run(&["scan"]).0, 2);
}

#[test]
fn the_stop_ends_every_process_and_starts_nothing_until_it_is_lifted() {
    let house = House::open();
    house.ok(&["agent", "add", "ann", "--command", "sh -c 'echo on; sleep 600'"]);
    let add = ["mission", "add", "--title", "T", "--brief", "b"];
    let id = house.json(&add)["short_id"].as_str().unwrap().to_owned();
    house.until(&id, |shown| shown["attempts"][0]["stdout_bytes"].as_u64() == Some(3));
    let halt = house.json(&["halt", "--note", "enough"]);
    assert_eq!(halt["survivors"], serde_json::json!([]));
    assert!(halt["trees"].as_u64() >= Some(1) && halt["ended"].as_u64() >= Some(2), "{halt}");
    let again = house.ok(&["halt"]);
    assert!(again.contains("nothing is started until 'hivekeeper resume'"), "{again}");
    assert!(house.ok(&["status"]).contains("halted"), "status says so");
    house.ok(&["mission", "add", "--title", "U", "--brief", "c"]);
    assert_eq!(house.json(&["plan"])["halted"], true);
    let agent = house.json(&["agent", "show", "ann"]);
    assert!(agent["current"].is_null(), "nothing was started: {agent}");
    let plan = house.ok(&["plan"]);
    assert!(plan.contains("everything is stopped; after 'hivekeeper resume':"), "{plan}");
    assert!(house.ok(&["plan"]).ends_with("nothing was touched\n"));
    assert_eq!(house.json(&["resume"])["resumed"], true);
    assert_eq!(house.json(&["plan"])["halted"], false);
}

#[test]
fn what_is_deleted_waits_in_the_trash_and_goes_for_good_only_when_confirmed() {
    let house = House::open();
    let draft = ["mission", "add", "--title", "Gone", "--brief", "b", "--draft"];
    let id = house.json(&draft)["short_id"].as_str().unwrap().to_owned();
    let (code, _, error) = house.run(&["mission", "delete", &id]);
    assert!(code == 1 && error.contains("--yes; nothing was changed"), "{error}");
    house.ok(&["mission", "delete", &id, "--yes"]);
    assert_eq!(house.run(&["mission", "show", &id]).0, 1);
    let listed = house.json(&["trash", "list"]);
    let item = listed["items"][0]["id"].as_str().unwrap();
    assert!(house.ok(&["trash", "list"]).contains("Gone"));
    house.ok(&["trash", "restore", item]);
    house.ok(&["mission", "show", &id]);
    house.ok(&["mission", "delete", &id, "--yes"]);
    let listed = house.json(&["trash", "list"]);
    let item = listed["items"][0]["id"].as_str().unwrap();
    assert_eq!(house.run(&["trash", "purge", item]).0, 1);
    house.ok(&["trash", "purge", item, "--yes"]);
    assert_eq!(house.json(&["trash", "list"])["items"], serde_json::json!([]));
}

#[test]
fn worktrees_and_checkpoints_are_seen_kept_and_cleaned_up() {
    let house = House::open();
    let repo = house.repository();
    let script = "sh -c 'echo x > out.txt; git add .; git commit -qm x'";
    house.ok(&["agent", "add", "ann", "--command", script]);
    let repo = repo.to_str().unwrap();
    let add = ["mission", "add", "--title", "T", "--brief", "b", "--repo", repo];
    let strict = [&add[..], &["--policy", "strict"]].concat();
    let id = house.json(&strict)["short_id"].as_str().unwrap().to_owned();
    house.ok(&["mission", "wait", &id, "--for", "in_review", "--timeout", "60s"]);
    let kept = house.json(&["checkpoint", "make", &id, "--note", "before"]);
    let checkpoint = kept["id"].as_str().unwrap();
    assert!(house.ok(&["checkpoint", "list", &id]).contains("before"));
    let worktrees = house.json(&["worktree", "list"]);
    let path = worktrees["items"][0]["path"].as_str().unwrap().to_owned();
    fs::write(format!("{path}/out.txt"), "spoiled").unwrap();
    house.json(&["checkpoint", "restore", checkpoint]);
    assert_eq!(fs::read_to_string(format!("{path}/out.txt")).unwrap(), "x\n");
    assert!(house.ok(&["worktree", "list"]).contains(&id));
    let clean = house.json(&["worktree", "clean"]);
    assert_eq!(clean["would_remove"], serde_json::json!([]), "the work is under review");
    assert!(house.ok(&["worktree", "clean"]).contains("kept: "));
    assert!(house.ok(&["radar"]).contains("no two attempts touch the same file"));
}

#[test]
fn recovery_says_what_really_changed_and_diagnostics_are_a_file() {
    let house = House::open();
    house.ok(&["agent", "add", "ann", "--command", "false"]);
    let add = ["mission", "add", "--title", "Bad", "--brief", "b"];
    let id = house.json(&add)["short_id"].as_str().unwrap().to_owned();
    house.ok(&["mission", "wait", &id, "--for", "failed", "--timeout", "60s"]);
    let report = house.json(&["recover", "restart-failed"]);
    assert_eq!(report["changed"][0]["short_id"], id.as_str(), "{report}");
    house.ok(&["mission", "wait", &id, "--for", "failed", "--timeout", "60s"]);
    let told = house.ok(&["recover", "clear-failed"]);
    assert!(told.contains(&id) && told.contains("1 changed, 0 not"), "{told}");
    assert!(house.ok(&["recover", "restart-failed"]).contains("0 changed, 0 not"));
    assert!(house.ok(&["recover", "reconcile"]).contains("0 attempts are not over"));
    let file = house.place.path().join("diagnostics.json");
    house.ok(&["diagnostics", "-o", file.to_str().unwrap()]);
    assert!(json(&fs::read_to_string(&file).unwrap()).is_object());
}
