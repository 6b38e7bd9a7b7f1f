//! What the product promises, sentence by sentence: doctor, command line, audit trail, offline.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::house::{House, PROGRAM, json};

/// The longest a command of an idle engine may take to start, ask and answer.
const AT_ONCE: Duration = Duration::from_millis(100);

#[test]
fn status_json_doctor_agent_start_stop_and_logs_f_work_with_the_ui_closed_and_start_in_under_100_ms()
 {
    let house = House::open();
    let go = house.place.path().join("go");
    let command = format!(
        "sh -c 'echo begun; until [ -e {} ]; do sleep 0.05; done; echo over'",
        go.display()
    );
    house.ok(&["agent", "add", "ann", "--command", &command]);
    let add = ["mission", "add", "--title", "T", "--brief", "b", "--agent", "ann"];
    let id = house.json(&add)["short_id"].as_str().unwrap().to_owned();
    house.ok(&["mission", "wait", &id, "--for", "running", "--timeout", "60s"]);
    let stopped = house.json(&["agent", "stop", "ann"]);
    assert_eq!(stopped["missions"], serde_json::json!([id]), "{stopped}");
    house.until(&id, |shown| shown["state"] == "paused");
    assert_eq!(house.json(&["status"])["missions"], serde_json::json!({"paused": 1}));
    fs::write(&go, "").unwrap();
    let started = house.json(&["agent", "start", "ann"]);
    assert_eq!(started["missions"], serde_json::json!([id]), "{started}");
    house.until(&id, |shown| shown["attempt_count"] == 2);
    let mut follow = house.follow(&["logs", &id, "-f"]);
    assert_eq!(follow.line(), "begun\n");
    assert_eq!(follow.line(), "over\n");
    assert_eq!(follow.end(), Some(0));
    assert!(house.json(&["doctor"])["items"].as_array().unwrap().len() > 3);
    // The quickest of several: what others do on this machine only adds to it.
    let quickest = (0..30).map(|_| {
        let begun = Instant::now();
        house.json(&["status"]);
        begun.elapsed()
    });
    let quickest = quickest.min().unwrap();
    assert!(quickest < AT_ONCE, "{quickest:?}");
}

/// A directory with links to these programs, for a search path without any others.
fn only(place: &Path, programs: &[&str]) -> std::path::PathBuf {
    let bin = place.join("bin");
    fs::create_dir(&bin).unwrap();
    for name in programs {
        let found = ["/usr/bin", "/bin"].iter().map(|it| Path::new(it).join(name));
        symlink(found.clone().find(|it| it.exists()).unwrap(), bin.join(name)).unwrap();
    }
    bin
}

#[test]
fn doctor_names_each_missing_dependency_with_the_fix_and_exits_non_zero() {
    let place = Arc::new(tempfile::tempdir().unwrap());
    let bin = only(place.path(), &["sh"]);
    let look = || {
        let output = Command::new(PROGRAM)
            .args(["doctor", "--json"])
            .env("HIVEKEEPER_DATA_DIR", place.path().join("data"))
            .env("PATH", &bin)
            .output()
            .unwrap();
        (output.status.code(), json(&String::from_utf8(output.stdout).unwrap()))
    };
    let named = |found: &Value, name: &str| {
        let items = found["items"].as_array().unwrap();
        let check = items.iter().find(|check| check["name"] == name);
        check.unwrap_or_else(|| panic!("{name}: {found}")).clone()
    };
    // Without an engine, and with one that has an agent whose program is not there.
    let (code, found) = look();
    assert_eq!(code, Some(1), "{found}");
    let git = named(&found, "git");
    assert_eq!(git["grade"], "failed", "{git}");
    assert!(git["fix"].as_str().unwrap().contains("install git"), "{git}");
    let house = House::open_in(Arc::clone(&place), Some(bin.as_os_str()));
    house.ok(&["agent", "add", "ann", "--command", "no-such-agent --help"]);
    let (code, found) = look();
    assert_eq!(code, Some(1), "{found}");
    assert_eq!(named(&found, "git")["grade"], "failed");
    let program = named(&found, "program no-such-agent");
    assert!(program["fix"].as_str().unwrap().contains("install no-such-agent"), "{program}");
    for check in found["items"].as_array().unwrap() {
        assert_eq!(check["fix"].is_string(), check["grade"] != "ok", "{check}");
    }
}

#[test]
fn every_captain_or_automatic_action_is_listed_with_actor_and_result_and_tampering_is_detected() {
    let mut house = House::open();
    let id = house.finished_mission("sh -c 'cat; echo x > out.txt'");
    let (endpoint, events) = (house.data.join("endpoint.json"), "/api/v1/events?limit=500");
    let endpoint = json(&fs::read_to_string(endpoint).unwrap());
    let url = format!("{}{events}", endpoint["url"].as_str().unwrap());
    let token = format!("Authorization: Bearer {}", endpoint["token"].as_str().unwrap());
    let output = Command::new("curl").args(["-s", "-H", &token, &url]).output().unwrap();
    let listed = json(&String::from_utf8(output.stdout).unwrap());
    let of = |kind: &str| {
        let items = listed["items"].as_array().unwrap();
        let found = items.iter().find(|event| event["fact"]["kind"] == kind);
        found.unwrap_or_else(|| panic!("{kind}: {listed}")).clone()
    };
    assert_eq!(of("agent_added")["actor"]["kind"], "captain");
    assert_eq!(of("mission_created")["actor"]["kind"], "captain");
    let ended = of("attempt_ended");
    assert_ne!(ended["actor"]["kind"], "captain", "{ended}");
    assert_eq!(ended["fact"]["state"], "accepted", "{ended}");
    for event in listed["items"].as_array().unwrap() {
        assert!(event["actor"]["kind"].is_string() && event["at"].is_string(), "{event}");
    }
    assert_eq!(house.json(&["verify"])["sound"], true);
    house.end();
    // Somebody changes a letter of what was recorded, behind the engine's back.
    let ledger = house.data.join("ledger.db");
    let change = "import sqlite3, sys; it = sqlite3.connect(sys.argv[1]); \
        it.execute(\"update events set actor = replace(actor, 'captain', 'engine') where seq = \
        (select max(seq) from events where actor like '%captain%')\"); it.commit(); \
        sys.exit(it.total_changes != 1)";
    let changed = Command::new("python3").args(["-c", change]).arg(&ledger).status().unwrap();
    assert!(changed.success());
    let (code, out, error) = house.run(&["verify"]);
    assert_eq!(code, 1, "{out}{error}");
    assert!(error.contains("was altered"), "{id}: {out}{error}");
}

/// What is done in a place without any network but its own loopback.
const ALONE: &str = r#"
set -e
ip link set lo up
"$PROGRAM" serve > "$PLACE/said" &
engine=$!
until [ -s "$PLACE/said" ]; do sleep 0.05; done
cd "$PLACE"
git init -q -b main work
git -C work -c user.name=a -c user.email=a@b commit -q --allow-empty -m first
"$PROGRAM" agent add ann --command "sh -c 'cat; echo x > out.txt; git add .; git commit -qm x'" > /dev/null
"$PROGRAM" mission add --title T --brief b --repo "$PLACE/work" --gate 'file: out.txt' --json > made
id=$(sed -n 's/.*"short_id": *"\([^"]*\)".*/\1/p' made)
"$PROGRAM" mission wait "$id" --for done --timeout 60s > /dev/null
"$PROGRAM" mission show "$id" --json > shown
"$PROGRAM" report mission "$id" --format json -o report > /dev/null
"$PROGRAM" status --json > status
"$PROGRAM" doctor --json > doctor
kill "$engine"
wait "$engine"
"#;

#[test]
fn without_network_all_local_functions_work_and_the_state_shows_remote_features_as_unavailable() {
    let may = Command::new("unshare").args(["-rn", "ip", "link", "set", "lo", "up"]).output();
    if !may.is_ok_and(|output| output.status.success()) {
        println!("skipped: this system makes no network namespaces, or has no 'ip'");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let output = Command::new("unshare")
        .args(["-rn", "sh", "-c", ALONE])
        .env("PROGRAM", PROGRAM)
        .env("PLACE", place.path())
        .env("HIVEKEEPER_DATA_DIR", place.path().join("data"))
        .env("GIT_CONFIG_COUNT", "2")
        .env("GIT_CONFIG_KEY_0", "user.name")
        .env("GIT_CONFIG_VALUE_0", "Ann")
        .env("GIT_CONFIG_KEY_1", "user.email")
        .env("GIT_CONFIG_VALUE_1", "ann@example.org")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let read = |name: &str| json(&fs::read_to_string(place.path().join(name)).unwrap());
    assert_eq!(read("shown")["state"], "done");
    assert_eq!(read("status")["missions"], serde_json::json!({"done": 1}));
    assert!(read("report").is_object());
    let doctor = read("doctor");
    let network = doctor["items"].as_array().unwrap().iter().find(|it| it["name"] == "network");
    let network = network.unwrap();
    assert_eq!(network["grade"], "degraded", "{network}");
    assert!(network["found"].as_str().unwrap().contains("unavailable"), "{network}");
}
