//! The bridge to an agent's tools, used by a client of the protocol as it is.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rmcp::ServiceExt as _;
use rmcp::model::{CallToolRequestParams, ReadResourceRequestParams, ResourceContents};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::house::{House, PROGRAM, run};

/// An agent at work, with where its token is.
fn at_work(house: &House) -> (String, std::path::PathBuf) {
    house.ok(&["agent", "add", "ann", "--command", "sleep 600", "--grace", "1"]);
    let add = ["mission", "add", "--title", "T", "--brief", "Only ann may know this."];
    let id = house.json(&add)["short_id"].as_str().unwrap().to_owned();
    house.until(&id, |shown| shown["state"] == "running");
    let attempt = house.json(&["mission", "show", &id])["attempts"][0]["id"].clone();
    let run = house.data.join("runs").join(attempt.as_str().unwrap());
    (id, run.join("token"))
}

/// Starts the bridge as a client of the protocol does.
fn bridge(house: &House, token_file: &std::path::Path) -> Child {
    Command::new(PROGRAM)
        .arg("mcp")
        .env("HIVEKEEPER_DATA_DIR", &house.data)
        .env("HIVEKEEPER_TOKEN_FILE", token_file)
        .env_remove("HIVEKEEPER_TOKEN")
        .env_remove("HIVEKEEPER_URL")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn an_unmodified_mcp_client_uses_the_tools_and_resources_over_standard_input_and_output() {
    let mut house = House::open();
    let (id, token) = at_work(&house);
    let mut child = bridge(&house, &token);
    let pipes = (child.stdout.take().unwrap(), child.stdin.take().unwrap());
    let client = ().serve(pipes).await.unwrap();
    let tools = client.list_all_tools().await.unwrap();
    let names: Vec<_> = tools.iter().map(|tool| tool.name.as_ref()).collect();
    assert_eq!(names, engine::OWN_TOOLS);
    let call = async |tool: &'static str, arguments: Value| {
        let arguments = arguments.as_object().unwrap().clone();
        let asked = CallToolRequestParams::new(tool).with_arguments(arguments);
        let result = client.call_tool(asked).await.unwrap();
        assert_eq!(result.is_error, Some(false), "{tool}: {result:?}");
        result.structured_content.unwrap()
    };
    let mission = call("mission_get", json!({})).await;
    assert_eq!(mission["mission"], id.as_str());
    call("report_progress", json!({"percent": 40, "note": "half way"})).await;
    assert_eq!(house.json(&["mission", "show", &id])["progress"]["percent"], 40);
    let kept = call("evidence_attach", json!({"name": "tests", "text": "3 passed"})).await;
    assert!(kept["devlog_id"].is_string());
    let found = call("knowledge_search", json!({"query": "3 PASSED"})).await;
    assert_eq!(found["found"][0]["kind"], "devlog", "{found}");
    assert!(found["found"][0]["text"].as_str().unwrap().contains("3 passed"), "{found}");
    let proposal = json!({"title": "Port the lexer", "brief": "It is slow.", "criteria": ["fast"]});
    let proposed = call("mission_propose", proposal).await;
    let draft = house.json(&["mission", "show", proposed["mission"].as_str().unwrap()]);
    assert_eq!((&draft["state"], &draft["labels"]), (&json!("draft"), &json!(["proposed"])));
    assert_eq!(draft["gates"], json!([]), "what runs is the captain's to say");

    let resources = client.list_all_resources().await.unwrap();
    assert_eq!(resources.len(), 3);
    let mut texts = Vec::new();
    for resource in &resources {
        let asked = ReadResourceRequestParams::new(resource.uri.clone());
        let read = client.read_resource(asked).await.unwrap();
        let ResourceContents::TextResourceContents { text, .. } = &read.contents[0] else {
            panic!("{} is no text", resource.uri);
        };
        texts.push(text.clone());
    }
    assert!(texts[0].contains(&id) && texts[1].is_empty(), "{texts:?}");
    assert!(texts[2].contains("Only ann may know this."), "{texts:?}");
    let unknown = ReadResourceRequestParams::new("hivekeeper://other");
    assert!(client.read_resource(unknown).await.is_err());

    // A new run of the engine listens elsewhere; the bridge finds it.
    house.end();
    let house = House::open_in(std::sync::Arc::clone(&house.place), None);
    let mission = call("mission_get", json!({})).await;
    assert_eq!(mission["mission"], id.as_str());
    client.cancel().await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(30), child.wait()).await;
    assert!(ended.unwrap().unwrap().success(), "it ends with its client");
    house.ok(&["halt"]);
}

#[tokio::test]
async fn what_is_no_message_is_answered_and_a_token_that_opens_nothing_is_said_so() {
    let house = House::open();
    let (id, token) = at_work(&house);
    let mut child = bridge(&house, &token);
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut input = child.stdin.take().unwrap();
    let mut say = async |line: &str| {
        input.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        let next = tokio::time::timeout(Duration::from_secs(30), out.next_line());
        serde_json::from_str::<Value>(&next.await.unwrap().unwrap().unwrap()).unwrap()
    };
    assert_eq!(say("nonsense").await["error"]["code"], -32_700);
    assert_eq!(say("[]").await["error"]["code"], -32_600);
    let nested = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    assert_eq!(say(&nested).await["error"]["code"], -32_700);
    let ping = r#"{"jsonrpc":"2.0","id":"seven","method":"tools/list"}"#;
    let listed = say(ping).await;
    assert_eq!(listed["id"], "seven", "{listed}");
    house.ok(&["mission", "cancel", &id]);
    let begun = Instant::now();
    loop {
        let refused = say(ping).await;
        if refused["error"]["message"].as_str().is_some_and(|why| why.contains("stop working")) {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{refused}");
    }
}

#[test]
fn without_a_token_the_bridge_says_what_it_needs() {
    let (code, out, error) = run(&["mcp"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(error.contains("HIVEKEEPER_TOKEN"), "{error}");
}
