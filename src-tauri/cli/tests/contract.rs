//! What scripts may rely on: the real program, its output, its exit codes, its messages.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on says where it stopped"
)]

mod house;
mod keeping;
mod mcp;
mod missions;
mod outside;
mod places;
mod rows;
mod rules;
mod tokens;

use std::fs;
use std::time::{Duration, Instant};

use house::{House, json, run, run_in};
use serde_json::Value;

/// The names in an object, sorted: their order is no part of what scripts may rely on.
fn keys(value: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

#[test]
fn serve_says_where_it_listens_and_how_to_sign_in_and_ends_in_order() {
    let mut house = House::open();
    assert!(house.said[0].starts_with("listening on http://127.0.0.1:"), "{:?}", house.said);
    let url = house.said[0].strip_prefix("listening on ").unwrap();
    let link = house.said[1]
        .strip_prefix("open ")
        .and_then(|rest| rest.strip_suffix(" to sign in (once, within 10 minutes)"))
        .unwrap();
    assert!(link.starts_with(&format!("{url}/#login=")), "{link}");
    let endpoint = json(&fs::read_to_string(house.data.join("endpoint.json")).unwrap());
    assert_eq!(endpoint["url"], url);
    assert_eq!(endpoint["pid"], house.pid());
    assert_eq!(house.end(), Some(0));
    assert!(!house.data.join("endpoint.json").exists());
}

#[test]
fn a_mission_goes_from_created_to_done_in_the_shapes_scripts_read() {
    let house = House::open();
    let command = "sh -c 'cat; echo result > out.txt; echo oops >&2'";
    let agent = house.json(&["agent", "add", "ann", "--command", command]);
    assert_eq!(keys(&agent), ["id", "name", "state"]);
    assert_eq!(agent["name"], "ann");
    assert_eq!(agent["state"], "idle");
    let made = house.json(&[
        "mission",
        "add",
        "--title",
        "First",
        "--brief",
        "say hello",
        "--agent",
        "ann",
        "--gate",
        "file: out.txt",
        "--gate",
        "command: grep -q result out.txt",
    ]);
    assert_eq!(keys(&made), ["id", "short_id", "state"]);
    let id = made["short_id"].as_str().unwrap();
    let waited = house.ok(&["mission", "wait", id, "--for", "done", "--timeout", "60s"]);
    assert!(waited.contains("done"), "{waited}");
    let shown = house.json(&["mission", "show", id]);
    assert_eq!(shown["state"], "done");
    assert_eq!(shown["title"], "First");
    assert_eq!(shown["short_id"], id);
    assert_eq!(shown["evidence"]["grade"], "observed");
    let attempt = &shown["attempts"][0];
    assert_eq!(attempt["n"], 1);
    assert_eq!(attempt["agent"], "ann");
    assert_eq!(attempt["state"], "accepted");
    assert_eq!(attempt["exit_code"], 0);
    assert_eq!(house.ok(&["logs", id]), "say hello\n");
    assert_eq!(house.ok(&["logs", id, "--stderr"]), "oops\n");
    let lowered = id.to_lowercase();
    assert_eq!(house.json(&["mission", "show", &lowered])["short_id"], id);
    let text = house.ok(&["mission", "show", id]);
    assert!(text.contains("file: out.txt"), "{text}");
}

#[test]
fn what_was_done_is_told_in_devlogs_and_reports() {
    let house = House::open();
    let id = house.finished_mission("sh -c 'cat; echo x > out.txt'");
    let until = Instant::now() + Duration::from_secs(60);
    let devlog = loop {
        let listed = house.json(&["devlog", "list", "--mission", &id]);
        if let Some(devlog) = listed["items"].as_array().unwrap().first() {
            break devlog.clone();
        }
        assert!(Instant::now() < until, "no devlog was written");
    };
    let devlog_id = devlog["id"].as_str().unwrap();
    let file = house.place.path().join("devlog.html");
    let path = file.to_str().unwrap();
    house.ok(&["devlog", "export", devlog_id, "--format", "html", "-o", path]);
    assert!(fs::read_to_string(&file).unwrap().contains("</html>"));
    assert!(house.ok(&["devlog", "show", devlog_id]).contains(&id));
    let file = house.place.path().join("report.json");
    let path = file.to_str().unwrap();
    house.ok(&["report", "mission", &id, "--format", "json", "-o", path]);
    json(&fs::read_to_string(&file).unwrap());
    let day = house.ok(&["report", "day", "--format", "md"]);
    assert!(day.contains(&id), "{day}");
    let (code, _, error) = house.run(&["report", "day", "-o", "/nowhere/at/all.md"]);
    assert_eq!(code, 1);
    assert!(error.contains("/nowhere/at/all.md"), "{error}");
}

#[test]
fn the_ledger_is_verified_with_and_without_a_running_engine() {
    let mut house = House::open();
    let running = house.json(&["verify"]);
    assert_eq!(running["sound"], true);
    house.end();
    let alone = house.json(&["verify"]);
    assert_eq!(alone["sound"], true);
    assert!(alone["events"].as_u64() >= running["events"].as_u64());
    let (code, _, error) = run_in(&house.place.path().join("nothing"), &["verify"]);
    assert_eq!(code, 1, "{error}");
    assert!(!house.place.path().join("nothing").exists());
}

#[test]
fn exit_codes_tell_refused_from_usage_and_from_no_engine() {
    let house = House::open();
    let draft = ["mission", "add", "--title", "T", "--brief", "b", "--draft"];
    let made = house.json(&draft);
    let id = made["short_id"].as_str().unwrap().to_owned();
    let (code, _, error) = house.run(&["mission", "accept", &id]);
    assert_eq!(code, 1);
    assert!(error.starts_with("hivekeeper: failed to accept"), "{error}");
    assert!(error.contains("queue"), "names what is possible: {error}");
    assert_eq!(house.run(&["mission", "accept"]).0, 2);
    assert_eq!(house.run(&["mission", "show", "M-ZZZZ"]).0, 1);
    assert_eq!(house.run(&["nonsense"]).0, 2);
    let began = Instant::now();
    let (code, _, error) = house.run(&["mission", "wait", &id, "--timeout", "300ms"]);
    assert_eq!(code, 1);
    assert!(error.contains("the time is over"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(20));
    let nowhere = house.place.path().join("nothing");
    for command in [&["status"][..], &["agent", "list"], &["devlog", "list"]] {
        let (code, out, error) = run_in(&nowhere, command);
        assert_eq!(code, 3, "{command:?}: {error}");
        assert!(out.is_empty(), "{out}");
        assert!(error.contains("hivekeeper serve"), "{error}");
    }
}

#[test]
fn doctor_names_what_is_missing_with_and_without_an_engine() {
    let mut house = House::open();
    let names = |found: &Value| {
        let items = found["items"].as_array().unwrap().iter();
        items.map(|check| check["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    house.json(&["agent", "add", "ann", "--command", "no-such-program"]);
    let (code, out, _) = house.run(&["doctor", "--json"]);
    assert_eq!(code, 1, "a program is missing");
    assert!(names(&json(&out)).contains(&"program no-such-program".to_owned()), "{out}");
    house.kill();
    let all = ["shim", "git", "supervision", "limits", "sandbox", "network", "ledger"];
    assert_eq!(names(&house.json(&["doctor"])), all);
    std::fs::write(house.data.join("ledger.db"), "not a ledger, but long enough to look").unwrap();
    let (code, out, _) = house.run(&["doctor"]);
    assert_eq!(code, 1);
    assert!(out.contains("ledger.db"), "{out}");
    let nowhere = house.place.path().join("nothing");
    let (code, out, _) = run_in(&nowhere, &["doctor"]);
    assert_eq!(code, 0, "{out}");
    assert!(!nowhere.exists(), "looking makes nothing");
}

#[test]
fn an_engine_that_was_killed_counts_as_none() {
    let mut house = House::open();
    house.kill();
    assert!(house.data.join("endpoint.json").exists());
    assert_eq!(house.run(&["status"]).0, 3);
    assert_eq!(house.json(&["verify"])["sound"], true);
}

/// An engine that reads a request and hangs up, and then gives these answers.
fn engine_that_hangs_up(
    answers: &'static [&'static str],
) -> (tempfile::TempDir, std::thread::JoinHandle<Vec<String>>) {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let place = tempfile::tempdir().unwrap();
    let endpoint = serde_json::json!({
        "url": format!("http://{}", listener.local_addr().unwrap()),
        "token": "hk_x",
        "pid": std::process::id(),
        "started_at": "2026-01-01T00:00:00Z",
        "version": "0",
    });
    fs::write(place.path().join("endpoint.json"), endpoint.to_string()).unwrap();
    let answers = [""].iter().chain(answers);
    let engine = std::thread::spawn(move || {
        let mut keys = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"{}") {
                let mut some = [0; 1_024];
                let count = stream.read(&mut some).unwrap();
                request.extend_from_slice(&some[..count]);
            }
            let request = String::from_utf8(request).unwrap();
            let key = request.lines().find_map(|line| line.strip_prefix("idempotency-key: "));
            keys.push(key.unwrap().to_owned());
            stream.write_all(answer.as_bytes()).unwrap();
        }
        keys
    });
    (place, engine)
}

#[test]
fn a_change_whose_answer_was_lost_is_asked_once_more_under_the_same_key() {
    let (place, engine) = engine_that_hangs_up(&[
        "HTTP/1.1 200 OK\r\ncontent-length: 38\r\n\r\n{\"url\":\"http://x/\",\"expires_in_s\":600}",
    ]);
    let (code, out, error) = run_in(place.path(), &["login"]);
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("http://x/"), "{out}");
    let keys = engine.join().unwrap();
    assert_eq!(keys[0], keys[1]);
}

#[test]
fn a_change_that_may_have_been_made_is_not_called_a_missing_engine() {
    let (place, engine) = engine_that_hangs_up(&[""]);
    let (code, _, error) = run_in(place.path(), &["login", "--idempotency-key", "mine"]);
    assert_eq!(code, 1, "{error}");
    assert!(error.contains("whether it was carried out is not known"), "{error}");
    assert!(error.contains("--idempotency-key mine is safe"), "{error}");
    assert_eq!(engine.join().unwrap(), ["mine", "mine"]);
}

#[test]
fn a_complaint_is_harmless_and_for_programs_it_is_json() {
    let house = House::open();
    let name = format!("\u{1b}[2J\u{202e}{}", "x".repeat(5_000));
    let (code, _, error) = house.run(&["agent", "show", &name]);
    assert_eq!(code, 1);
    assert!(error.contains("‹U+001B›[2J‹U+202E›xx") && error.len() < 1_000, "{error}");
    let add = ["agent", "add", "a\u{202e}b", "--command", "cat", "--json"];
    let (code, out, error) = house.run(&add);
    assert!(code == 1 && out.is_empty(), "{out}");
    let error = &json(&error)["error"];
    assert_eq!(keys(error), ["allowed", "code", "hint", "message"]);
    assert_eq!(error["code"], "invalid_input");
    assert!(error["message"].as_str().unwrap().contains("the invisible character U+202E"));
    let (code, _, error) = house.run(&["agent", "show", "", "--json"]);
    assert_eq!(code, 2);
    assert_eq!(json(&error)["error"]["code"], "usage");
    let (code, _, error) = house.run(&["mission", "show", " "]);
    assert!(code == 2 && error.contains("an id or name is needed"), "{error}");
    let (_, _, error) = house.run(&["agent", "add", "ann", "--command", " "]);
    assert!(error.contains("neither a command line nor a preset is given"), "{error}");
}

#[test]
fn who_stops_an_engine_with_agents_at_work_is_told_that_they_go_on() {
    let mut house = House::open();
    let go = house.place.path().join("go");
    let command = format!("sh -c 'until [ -e {} ]; do sleep 0.05; done'", go.display());
    house.ok(&["agent", "add", "ann", "--command", &command]);
    house.ok(&["mission", "add", "--title", "T", "--brief", "b"]);
    let until = Instant::now() + Duration::from_secs(60);
    while house.json(&["agent", "show", "ann"])["state"] != "working" {
        assert!(Instant::now() < until, "it never began");
    }
    let held = house.ok(&["agent", "pause", "ann"]);
    assert_eq!(held, "ann: working, paused after this mission\n");
    assert!(house.ok(&["agent", "list"]).contains("working, paused after this mission"));
    assert_eq!(house.end(), Some(0));
    fs::write(&go, "").unwrap();
    let told = "hivekeeper: 1 agent goes on; start again to take it over\n";
    assert!(house.complained().contains(told), "{}", house.complained());
    // It goes on indeed, and ends when it is let go, without an engine.
    let runs = fs::read_dir(house.data.join("runs")).unwrap().flatten();
    let runs: Vec<_> = runs.map(|run| run.path().join("exit.json")).collect();
    while !runs.iter().all(|exit| exit.exists()) {
        assert!(Instant::now() < until, "it never ended");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn waiting_for_a_state_that_cannot_come_ends_at_once() {
    let house = House::open();
    let id = house.finished_mission("sh -c 'echo x > out.txt'");
    let (code, _, error) = house.run(&["mission", "wait", &id, "--for", "failed"]);
    assert_eq!(code, 1);
    assert!(error.contains("it is done"), "{error}");
}

#[test]
fn logs_are_followed_until_the_attempt_ends() {
    let house = House::open();
    let go = house.place.path().join("go");
    let command =
        format!("sh -c 'echo one; until [ -e {} ]; do sleep 0.05; done; echo two'", go.display());
    house.ok(&["agent", "add", "ann", "--command", &command]);
    let add = ["mission", "add", "--title", "T", "--brief", "b"];
    let made = house.json(&add);
    let id = made["short_id"].as_str().unwrap().to_owned();
    let mut follow = house.follow(&["logs", &id, "-f"]);
    assert_eq!(follow.line(), "one\n");
    fs::write(&go, "").unwrap();
    assert_eq!(follow.line(), "two\n");
    assert_eq!(follow.end(), Some(0));
}

#[test]
fn what_is_measured_is_read_by_name() {
    let house = House::open();
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let read = house.json(&["signal", "query", "engine_memory_bytes", "--last", "10m"]);
        if read["series"][0]["buckets"][0]["max"].as_f64() > Some(0.0) {
            break;
        }
        assert!(Instant::now() < until, "nothing was measured: {read}");
    }
    let (code, _, error) = house.run(&["signal", "query", "no_such_signal"]);
    assert_eq!(code, 1, "{error}");
    let (code, _, error) = house.run(&["signal", "query", "rates(engine_memory_bytes[1m])"]);
    assert!(code == 1 && error.contains("did you mean rate?"), "{error}");
    let csv = house.ok(&["signal", "query", "engine_memory_bytes / 1024", "--csv"]);
    assert!(csv.starts_with("at,series,unit,min,max,mean,last,count"), "{csv}");
    assert!(house.ok(&["signal", "list"]).contains("machine_cpu_percent"));
}

#[test]
fn a_second_engine_is_refused_and_the_first_one_named() {
    let house = House::open();
    let (code, out, error) = house.run(&["serve"]);
    assert_eq!(code, 1);
    assert!(out.is_empty(), "{out}");
    assert!(error.contains(&house.pid().to_string()), "{error}");
    assert_eq!(house.run(&["status"]).0, 0, "the first one goes on");
}

#[test]
fn an_address_that_cannot_be_listened_on_is_named_with_the_reason() {
    let house = House::open();
    let taken = house.said[0].rsplit('/').next().unwrap().to_owned();
    let place = tempfile::tempdir().unwrap();
    let check = |address: &str, words: &str| {
        let (code, _, error) = run_in(place.path(), &["serve", "--listen", address]);
        assert_eq!(code, 1, "{error}");
        assert!(error.contains(words) && error.contains(address), "{error}");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0, "something was made");
    };
    check(&taken, "another program");
    check("0.0.0.0:0", "other machines");
    let named = taken.replace("127.0.0.1", "localhost");
    let (code, _, error) = run_in(place.path(), &["serve", "--listen", &named]);
    assert!(code == 1 && error.contains("another program"), "{error}");
    assert_eq!(run_in(place.path(), &["serve", "--listen", "x"]).0, 2);
}

#[test]
fn a_data_directory_that_cannot_be_used_is_named_and_left_alone() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    fs::write(&file, "mine").unwrap();
    for path in [file.clone(), file.join("below")] {
        let (code, _, error) = run_in(&path, &["serve"]);
        assert_eq!(code, 1, "{error}");
        assert!(error.contains(path.to_str().unwrap()), "{error}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
}

#[test]
fn a_damaged_ledger_is_refused_and_left_as_it_is() {
    let mut house = House::open();
    house.end();
    let ledger = house.data.join("ledger.db");
    let mut bytes = fs::read(&ledger).unwrap();
    for byte in &mut bytes[200..8_000] {
        *byte = 0x5a;
    }
    fs::write(&ledger, &bytes).unwrap();
    let (code, _, error) = house.run(&["serve"]);
    assert_eq!(code, 1, "{error}");
    assert!(error.contains("ledger"), "{error}");
    assert_eq!(fs::read(&ledger).unwrap(), bytes, "it was changed");
    assert_ne!(house.run(&["verify"]).0, 0);
}

#[test]
fn a_brief_of_one_mebibyte_arrives_and_a_larger_one_is_explained() {
    let house = House::open();
    let file = house.place.path().join("brief.md");
    let named = format!("@{}", file.display());
    let add = ["mission", "add", "--draft", "--title", "T", "--brief", &named];
    fs::write(&file, "é".repeat(512 * 1024)).unwrap();
    let id = house.json(&add)["short_id"].as_str().unwrap().to_owned();
    let shown = house.json(&["mission", "show", &id]);
    assert_eq!(shown["brief"].as_str().unwrap().len(), 1024 * 1024);
    fs::write(&file, "x".repeat(1024 * 1024 + 1)).unwrap();
    let (code, _, error) = house.run(&add);
    assert_eq!(code, 1);
    assert!(error.contains("1 MiB"), "{error}");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let (code, error) = house::run_unread(&["openapi"]);
    assert_eq!(code, Some(0), "{error}");
    assert!(error.is_empty(), "{error}");
}

#[test]
fn the_description_and_the_completions_need_no_engine() {
    let (code, out, _) = run(&["openapi"]);
    assert_eq!(code, 0);
    assert_eq!(json(&out)["openapi"].as_str().map(|it| &it[..3]), Some("3.1"));
    let (code, out, _) = run(&["completions", "bash"]);
    assert_eq!(code, 0);
    assert!(out.contains("_hivekeeper"), "{out}");
}

#[test]
fn status_shows_the_swarm_at_a_glance() {
    let house = House::open();
    house.finished_mission("sh -c 'echo x > out.txt'");
    let status = house.json(&["status"]);
    assert_eq!(status["data_dir"], house.data.display().to_string());
    assert_eq!(status["agents"], serde_json::json!({"idle": 1}));
    assert_eq!(status["missions"], serde_json::json!({"done": 1}));
    assert_eq!(status["needs_you"], 0);
    assert!(house.ok(&["status"]).contains("1 idle"), "{}", house.ok(&["status"]));
}

#[test]
fn without_a_command_and_without_the_window_it_says_what_to_do() {
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let alone = place.path().join("hivekeeper");
    fs::hard_link(house::PROGRAM, &alone).unwrap();
    let (code, _, error) = house::run_program(&alone, place.path(), &[]);
    assert_eq!(code, 1, "{error}");
    assert!(error.contains("hivekeeper-desktop"), "{error}");
    assert!(error.contains("hivekeeper serve"), "{error}");
}

#[test]
fn a_login_link_is_made_for_a_running_engine() {
    let house = House::open();
    let link = house.json(&["login"]);
    let url = house.said[0].strip_prefix("listening on ").unwrap();
    assert!(link["url"].as_str().unwrap().starts_with(url));
    assert_ne!(house.json(&["login"])["url"], link["url"]);
}

#[test]
fn agents_are_held_back_let_go_and_removed() {
    let house = House::open();
    house.ok(&["agent", "add", "ann", "--command", "cat", "--skill", "rust"]);
    assert_eq!(house.json(&["agent", "pause", "ANN"])["state"], "paused");
    assert_eq!(house.json(&["agent", "resume", "ann"])["state"], "idle");
    let listed = house.json(&["agent", "list"]);
    assert_eq!(listed["items"][0]["state"], "idle");
    assert_eq!(listed["items"][0]["skills"][0], "rust");
    let (code, _, error) = house.run(&["agent", "add", "Ann", "--command", "cat"]);
    assert_eq!(code, 1);
    assert!(error.contains("'Ann' is taken by the agent 'ann'"), "{error}");
    house.ok(&["agent", "remove", "ann"]);
    assert!(house.ok(&["agent", "list"]).contains("no agents yet"));
}
