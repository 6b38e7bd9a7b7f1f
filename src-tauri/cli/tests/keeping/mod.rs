//! Configuration, hooks, secrets, backups and the engine's log, as scripts use them.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::house::{House, json, run_in};

/// The longest a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn settings_are_gone_back_to_and_a_configuration_is_taken_elsewhere() {
    let house = House::open();
    assert_eq!(house.ok(&["config", "get", "trash_days"]), "30\n");
    house.ok(&["config", "set", "trash_days=7"]);
    house.ok(&["config", "set", "trash_days=9", "running_max=3"]);
    let history = house.json(&["config", "history"]);
    let entries = history["items"].as_array().unwrap();
    assert_eq!(entries.len(), 2, "{history}");
    assert_eq!(entries[0]["changes"][1]["old"], 7, "{history}");
    let text = house.ok(&["config", "history"]);
    assert!(text.contains("trash_days") && text.contains("captain"), "{text}");
    let seq = entries[1]["seq"].to_string();
    let back = house.json(&["config", "rollback", &seq]);
    assert_eq!((&back["trash_days"], &back["running_max"]), (&7.into(), &Value::Null));
    let (code, _, error) = house.run(&["config", "rollback", "1"]);
    assert!(code == 1 && error.contains("did not change the settings"), "{error}");
    let (code, _, error) = house.run(&["config", "get", "nonsense"]);
    assert!(code == 2 && error.contains("trash_days"), "{error}");

    let file = house.place.path().join("config.json");
    let at = format!("@{}", file.display());
    house.ok(&["config", "export", "-o", file.to_str().unwrap()]);
    house.ok(&["config", "set", "trash_days=8"]);
    let dry = house.json(&["config", "import", &at, "--dry-run"]);
    assert_eq!((&dry["applied"], dry["changes"].as_array().unwrap().len()), (&false.into(), 1));
    assert_eq!(house.ok(&["config", "get", "trash_days"]), "8\n");
    house.ok(&["config", "import", &at]);
    assert_eq!(house.ok(&["config", "get", "trash_days"]), "7\n");
    assert!(house.ok(&["config", "import", &at]).contains("already"));
}

#[test]
fn a_hook_is_made_tried_out_and_removed_and_a_failing_one_exits_with_1() {
    let house = House::open();
    assert!(house.ok(&["hook", "events"]).lines().any(|kind| kind == "settings_changed"));
    let add = ["hook", "add", "tell", "--on", "settings_changed", "--timeout", "20", "--"];
    house.ok(&[&add[..], &["sh", "-c", "cat >> told; echo ran"]].concat());
    house.ok(&["config", "set", "trash_days=7"]);
    let until = Instant::now() + PATIENCE;
    let run = loop {
        let runs = house.json(&["hook", "runs", "tell"]);
        if let Some(run) = runs["items"].as_array().unwrap().first() {
            break run.clone();
        }
        assert!(Instant::now() < until, "{runs}");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!((&run["ok"], &run["output"]), (&true.into(), &"ran\n".into()), "{run}");
    assert!(house.ok(&["hook", "list"]).contains("settings_changed"));
    house.ok(&["hook", "edit", "tell", "--", "sh", "-c", "echo no; exit 3"]);
    let (code, out, _) = house.run(&["hook", "test", "tell"]);
    assert!(code == 1 && out.contains("exit code 3") && out.contains("no\n"), "{out}");
    let (code, _, error) = house.run(&["hook", "add", "odd", "--on", "nonsense", "--", "true"]);
    assert!(code == 1 && error.contains("mission_moved"), "{error}");
    house.ok(&["hook", "remove", "tell"]);
    assert_eq!(house.run(&["hook", "test", "tell"]).0, 1);
}

#[test]
fn a_secret_comes_from_a_file_reaches_its_agent_and_is_printed_nowhere() {
    let house = House::open();
    let file = house.place.path().join("value");
    fs::write(&file, "correct-horse-battery\n").unwrap();
    let at = format!("@{}", file.display());
    let said = house.ok(&["secret", "set", "db", &at]);
    assert!(said.contains("secret:db"), "{said}");
    let command =
        "sh -c 'test ${#DATABASE} -eq 21 && echo \"it is $DATABASE\" > out.txt; echo $DATABASE'";
    house.ok(&["agent", "add", "ann", "--command", command, "--env", "DATABASE=secret:db"]);
    let add = ["mission", "add", "--title", "T", "--brief", "b", "--gate", "file: out.txt"];
    let id = house.json(&add)["short_id"].as_str().unwrap().to_owned();
    house.ok(&["mission", "wait", &id, "--for", "done", "--timeout", "60s"]);
    let printed = house.ok(&["logs", &id]);
    assert!(!printed.contains("correct-horse"), "{printed}");
    let listed = house.json(&["secret", "list"]);
    assert_eq!(listed["items"][0]["used_by"][0], "ann", "{listed}");
    assert!(!listed.to_string().contains("correct-horse"));
    house.ok(&["secret", "remove", "db"]);
    assert!(house.ok(&["doctor"]).contains("secrets: kept in"));
}

#[test]
fn a_backup_is_put_back_only_without_an_engine_and_the_ledger_before_it_is_kept() {
    let mut house = House::open();
    house.ok(&["config", "set", "trash_days=7"]);
    let made = house.json(&["backup"]);
    assert_eq!((&made["state"], &made["percent"]), (&"done".into(), &100.into()), "{made}");
    let file = made["path"].as_str().unwrap().to_owned();
    assert!(house.ok(&["backup", "--list"]).contains("done"));
    house.ok(&["config", "set", "trash_days=8"]);
    let (code, _, error) = house.run(&["restore", &file, "--yes"]);
    assert!(code == 1 && error.contains("another engine uses it"), "{error}");
    assert_eq!(house.end(), Some(0));
    let (code, _, error) = house.run(&["restore", &file]);
    assert!(code == 1 && error.contains("--yes"), "nobody confirmed it: {error}");
    let (code, _, error) = house.run(&["restore", "/no/such/file", "--yes"]);
    assert!(code == 1 && error.contains("there is no file"), "{error}");
    let done = house.json(&["restore", &file, "--yes"]);
    assert_eq!(done["events"], made["events"], "{done}");
    assert_eq!(done["revived"], Value::Array(Vec::new()), "{done}");
    assert!(fs::exists(done["aside"].as_str().unwrap()).unwrap());
    assert_eq!(house.json(&["verify"])["sound"], true);
    let house = House::open_in(std::sync::Arc::clone(&house.place), None);
    assert_eq!(house.ok(&["config", "get", "trash_days"]), "7\n");
}

#[test]
fn the_log_is_read_and_more_of_it_is_written_for_a_while() {
    let house = House::open();
    house.ok(&["agent", "add", "ann", "--command", "true"]);
    let level = house.json(&["log", "level", "debug", "--for", "60"]);
    assert_eq!((&level["filter"], &level["usual"]), (&"debug".into(), &"info".into()), "{level}");
    assert!(level["until"].is_string());
    house.ok(&["agent", "list"]);
    // What is logged is written a moment later.
    let until = Instant::now() + PATIENCE;
    let lines = loop {
        let read = house.json(&["log", "--limit", "500"]);
        let found = |wanted: &str, level: &str| {
            let lines = read["items"].as_array().unwrap();
            lines.iter().any(|it| it["level"] == level && it["fields"]["path"] == wanted)
        };
        if found("/api/v1/agents", "INFO") && found("/api/v1/agents", "DEBUG") {
            break read;
        }
        assert!(Instant::now() < until, "{read}");
        std::thread::sleep(Duration::from_millis(50));
    };
    for line in lines["items"].as_array().unwrap() {
        for name in ["time", "level", "agent", "mission", "correlation_id", "message"] {
            assert!(line.get(name).is_some(), "{name}: {line}");
        }
    }
    assert!(house.ok(&["log", "--text", "listening"]).contains("listening"));
    let (code, _, error) = house.run(&["log", "level", "a=b=c"]);
    assert!(code == 1 && error.contains("a=b=c"), "{error}");
}

#[test]
fn completions_and_manual_pages_are_printed_without_an_engine() {
    let place = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let (code, out, error) = run_in(place.path(), &["completions", shell]);
        assert!(code == 0 && out.contains("hivekeeper") && out.contains("rollback"), "{error}");
    }
    let (code, page, error) = run_in(place.path(), &["man"]);
    assert!(code == 0 && page.contains(".TH hivekeeper 1"), "{error}{page}");
    let pages = place.path().join("man1");
    let (code, out, error) =
        run_in(place.path(), &["man", "--to", pages.to_str().unwrap(), "--json"]);
    assert_eq!(code, 0, "{error}");
    let count = json(&out)["files"].as_u64().unwrap();
    assert!(count > 50, "{count}");
    assert!(pages.join("hivekeeper-config-rollback.1").is_file());
}

#[test]
fn a_token_that_was_revoked_stays_so_when_a_backup_is_put_back_unless_it_is_to_be_good_again() {
    let mut house = House::open();
    let secret = house.json(&["token", "add", "old phone", "--role", "viewer"]);
    let id = secret["token"]["id"].as_str().unwrap().to_owned();
    let made = house.json(&["backup"]);
    let file = made["path"].as_str().unwrap().to_owned();
    house.ok(&["token", "revoke", &id]);
    assert_eq!(house.end(), Some(0));
    let told = house.ok(&["restore", &file, "--yes"]);
    assert!(told.contains("token old phone") && told.contains("--revive"), "{told}");
    let mut house = House::open_in(std::sync::Arc::clone(&house.place), None);
    assert!(!house.ok(&["token", "list"]).contains("old phone"));
    assert_eq!(house.end(), Some(0));
    let told = house.ok(&["restore", &file, "--revive", "--yes"]);
    assert!(told.contains(&format!("token revoke {id}")), "{told}");
    let house = House::open_in(std::sync::Arc::clone(&house.place), None);
    assert!(house.ok(&["token", "list"]).contains("old phone"));
}
