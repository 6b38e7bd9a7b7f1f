//! The tools of an agent at work, called by a client of the protocol as it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use engine::DevlogQuery;
use engine::view::{AnswerWord, NewMessage, RequestAnswer};
use model::inbox::Request;
use model::message::{MessageState, Source};
use model::mission::MissionState;
use rmcp::model::{CallToolRequestParams, ClientConfig, ProgressNotificationParam};
use rmcp::service::{NotificationContext, RoleClient, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientHandler, ServiceExt as _};
use serde_json::{Value, json};

use crate::{AtWork, House, PATIENCE, caller};

/// A client that counts what it is told while it waits.
#[derive(Debug, Clone, Default)]
struct Ear(Arc<AtomicUsize>);

impl ClientHandler for Ear {
    fn get_info(&self) -> ClientConfig {
        ClientConfig::default()
    }

    async fn on_progress(
        &self,
        _told: ProgressNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

struct Agent {
    client: RunningService<RoleClient, Ear>,
    heard: Ear,
}

impl House {
    async fn agent(&self, work: &AtWork) -> Agent {
        self.connect(&work.token).await.unwrap_or_else(|error| panic!("{error}"))
    }

    async fn connect(&self, token: &str) -> Result<Agent, String> {
        let url = format!("{}/mcp", self.host.url());
        let config = StreamableHttpClientTransportConfig::with_uri(url).auth_header(token);
        let heard = Ear::default();
        let client = heard.clone().serve(StreamableHttpClientTransport::from_config(config)).await;
        Ok(Agent { client: client.map_err(|error| error.to_string())?, heard })
    }

    /// The one question that waits for the captain.
    async fn question(&self) -> Request {
        self.until("a question", async |engine| {
            let mut open = engine.inbox().await.unwrap().requests;
            assert!(open.len() < 2, "{open:#?}");
            open.pop().map(|view| view.request)
        })
        .await
    }

    async fn answer(&self, request: &Request, text: &str) {
        let answer = RequestAnswer {
            answer: AnswerWord::Text,
            scope: None,
            pattern: None,
            note: None,
            text: Some(text.to_owned()),
        };
        self.engine.answer_request(&caller(), request.id, answer).await.unwrap();
    }

    async fn says(&self, to: &str, text: &str) {
        let new = NewMessage { text: text.into(), ..NewMessage::default() };
        self.engine.send_message(&caller(), to, new).await.unwrap();
    }
}

impl Agent {
    /// Calls a tool; what it refuses is an error.
    async fn call(&self, tool: &'static str, arguments: Value) -> Result<Value, String> {
        let arguments = arguments.as_object().unwrap().clone();
        let asked = CallToolRequestParams::new(tool).with_arguments(arguments);
        let result = self.client.call_tool(asked).await.map_err(|error| error.to_string())?;
        match (result.is_error, result.structured_content) {
            (Some(false), Some(value)) => Ok(value),
            _ => Err(format!("{:?}", result.content)),
        }
    }

    async fn close(self) {
        self.client.cancel().await.unwrap();
    }
}

#[tokio::test]
async fn an_unmodified_mcp_client_reports_progress_asks_the_captain_reads_its_inbox_and_writes_its_devlog()
 {
    let house = House::open().await;
    let work = house.at_work("ann").await;
    let agent = house.agent(&work).await;

    let tools = agent.client.list_all_tools().await.unwrap();
    let names: Vec<_> = tools.iter().map(|tool| tool.name.as_ref()).collect();
    assert_eq!(names, engine::OWN_TOOLS);
    assert!(tools.iter().all(|it| it.meta.as_ref().unwrap().0["anthropic/alwaysLoad"] == true));

    let mission = agent.call("mission_get", json!({})).await.unwrap();
    assert_eq!(mission["mission"], work.mission.as_str());
    assert_eq!(mission["brief"], "Only ann may know this.");
    assert_eq!(mission["attempt"], 1);

    agent.call("report_progress", json!({"percent": 40, "note": "half\nway"})).await.unwrap();
    let detail = house.engine.mission(&work.mission).await.unwrap();
    let progress = detail.view.mission.progress.unwrap();
    assert_eq!((progress.percent, progress.text.as_str()), (Some(40), "half way"));

    let secret = ["h7Kq", "29vTz"].concat();
    let note = json!({"note": format!("uses postgres://app:{secret}@db.local/x")});
    agent.call("report_progress", note).await.unwrap();
    let detail = house.engine.mission(&work.mission).await.unwrap();
    let said = detail.view.mission.progress.unwrap().text;
    assert!(!said.contains(&secret) && said.contains("[removed"), "{said}");

    house.says("ann", "mind the gap").await;
    let inbox = agent.call("inbox_read", json!({})).await.unwrap();
    assert_eq!(inbox["messages"][0]["text"], "mind the gap", "{inbox}");
    assert_eq!(inbox["messages"][0]["from"], "captain");
    let again = agent.call("inbox_read", json!({})).await.unwrap();
    assert_eq!(inbox, again, "an answer that was lost is given again");
    let id = inbox["messages"][0]["id"].clone();
    for _ in 0..2 {
        agent.call("inbox_acknowledge", json!({"message_id": id})).await.unwrap();
    }
    assert_eq!(agent.call("inbox_read", json!({})).await.unwrap(), json!({"messages": []}));
    let message = house.engine.message(id.as_str().unwrap().parse().unwrap()).await.unwrap();
    assert_eq!(message.state, MessageState::Acknowledged);

    let text = "Chose B.\n```\n# not a heading <script>";
    let written = agent.call("devlog", json!({"text": text})).await.unwrap();
    let devlog = house.engine.devlog(written["devlog_id"].as_str().unwrap().parse().unwrap());
    let devlog = devlog.await.unwrap();
    assert_eq!(devlog.agent_id, Some(work.attempt.agent_id));
    assert_eq!(devlog.title, "ann: Chose B.");
    assert!(devlog.markdown.contains(&format!("````text\n{text}\n````")), "{}", devlog.markdown);

    let ask = json!({"question": "A or B?", "options": ["A", "B"]});
    let (answer, ()) = tokio::join!(agent.call("ask_captain", ask), async {
        let request = house.question().await;
        assert_eq!(request.attempt_id, work.attempt.id);
        assert!(request.key.starts_with("mcp:"));
        let detail = house.engine.mission(&work.mission).await.unwrap();
        assert_eq!(detail.view.mission.state, MissionState::NeedsInput);
        let begun = Instant::now();
        while agent.heard.0.load(Ordering::SeqCst) == 0 {
            assert!(begun.elapsed() < PATIENCE, "nothing was told while it waited");
            tokio::task::yield_now().await;
        }
        house.answer(&request, "B").await;
    });
    let answer = answer.unwrap();
    assert_eq!((&answer["state"], &answer["answer"]), (&json!("answered"), &json!("B")));
    let asked = house.engine.request(answer["ask_id"].as_str().unwrap().parse().unwrap());
    assert!(asked.await.unwrap().request.told, "the result told it");

    agent.call("mission_done", json!({"summary": "Did B."})).await.unwrap();
    let detail = house.engine.mission(&work.mission).await.unwrap();
    assert_eq!(detail.view.mission.state, MissionState::Running, "it decides nothing");
    assert_eq!(detail.view.mission.progress.unwrap().percent, Some(100));
    agent.close().await;
    house.close().await;
}

#[tokio::test]
async fn a_question_that_is_not_answered_in_time_is_pending_and_is_asked_for_again() {
    let house = House::open().await;
    let work = house.at_work("ann").await;
    let agent = house.agent(&work).await;
    let ask = json!({"question": "Why?", "wait_s": 0});
    let pending = agent.call("ask_captain", ask.clone()).await.unwrap();
    assert_eq!(pending["state"], "pending");
    assert_eq!(agent.call("ask_captain", ask).await.unwrap(), pending, "it waits already");
    let id = pending["ask_id"].clone();
    let request = house.question().await;
    let again = json!({"ask_id": id, "wait_s": 0});
    assert_eq!(agent.call("ask_result", again.clone()).await.unwrap()["state"], "pending");

    // It survives its client, and an engine that starts again.
    agent.close().await;
    let house = house.reopen().await;
    let agent = house.agent(&work).await;
    assert_eq!(house.question().await.id, request.id);
    let waiting = agent.call("ask_result", json!({"ask_id": id}));
    let (answer, ()) = tokio::join!(waiting, house.answer(&request, "Because."));
    assert_eq!(answer.unwrap()["answer"], "Because.");
    let unknown = json!({"ask_id": "01980000-0000-7000-8000-000000000000", "wait_s": 0});
    assert!(agent.call("ask_result", unknown).await.unwrap_err().contains("have not asked"));
    agent.close().await;
    house.close().await;
}

#[tokio::test]
async fn a_call_that_is_sent_twice_is_carried_out_once() {
    let house = House::open().await;
    let (ann, _bob) = (house.at_work("ann").await, house.at_work("bob").await);
    let agent = house.agent(&ann).await;
    let twice = async |tool: &'static str, arguments: Value| {
        let one = agent.call(tool, arguments.clone()).await.unwrap();
        assert_eq!(agent.call(tool, arguments).await.unwrap(), one, "{tool}");
        one
    };
    let sent = twice("message_send", json!({"to": "bob", "text": "hello", "call_id": "1"})).await;
    let message = house.engine.message(sent["message_id"].as_str().unwrap().parse().unwrap());
    let message = message.await.unwrap();
    assert!(matches!(&message.message.from, Source::Agent { name, .. } if name == "ann"));
    twice("devlog", json!({"text": "once", "call_id": "2"})).await;
    twice("mission_done", json!({"summary": "done once", "call_id": "3"})).await;
    twice("report_progress", json!({"percent": 5, "call_id": "4"})).await;
    twice("ask_captain", json!({"question": "once?", "wait_s": 0, "call_id": "5"})).await;
    let query = DevlogQuery { mission: Some(ann.mission.clone()), ..DevlogQuery::default() };
    assert_eq!(house.engine.devlogs(query).await.unwrap().items.len(), 2);
    let other = json!({"text": "something else", "call_id": "2"});
    assert!(agent.call("devlog", other).await.is_err(), "a key is for one call");
    let long = json!({"text": "x", "call_id": "x".repeat(129)});
    assert!(agent.call("devlog", long).await.unwrap_err().contains("call_id"));
    agent.close().await;
    house.close().await;
}

#[tokio::test]
async fn a_proposal_tells_nothing_of_others_missions_and_repeated_takes_no_more_room() {
    let house = House::open().await;
    let ann = house.at_work("ann").await;
    let agent = house.agent(&ann).await;
    let plan = |title: &str, brief: &str| engine::view::NewMission {
        title: title.into(),
        brief: brief.into(),
        draft: true,
        labels: vec!["proposed".into()],
        if_similar: engine::view::IfSimilar::Create,
        ..engine::view::NewMission::default()
    };
    let (title, brief) = (
        "Port the lexer to tables",
        "Port the lexer of the parser to generated tables, measure it before and after, keep every \
         error message as it is and its position, and write down what became faster or slower.",
    );
    let made = house.engine.add_mission(&caller(), plan(title, brief)).await.unwrap();
    let secret = made.view.mission.short_id.to_string();
    let same = json!({"title": title, "brief": brief});
    let refused = agent.call("mission_propose", same).await.unwrap_err();
    assert!(refused.contains("planned already"), "{refused}");
    for untold in [title, secret.as_str(), "if_similar"] {
        assert!(!refused.contains(untold), "{refused}");
    }

    let other = json!({"title": "Warm the cache", "brief": "At the start.", "call_id": "1"});
    let proposed = agent.call("mission_propose", other.clone()).await.unwrap();
    for n in 2..50 {
        let more = plan(&format!("Number {n}"), &format!("{n} {}", "word ".repeat(n)));
        house.engine.add_mission(&caller(), more).await.unwrap();
    }
    let full = json!({"title": "One more", "brief": "Of another kind."});
    let refused = agent.call("mission_propose", full).await.unwrap_err();
    assert!(refused.contains("wait for the captain already"), "{refused}");
    assert_eq!(agent.call("mission_propose", other).await.unwrap(), proposed, "the same answer");
    agent.close().await;
    house.close().await;
}

#[tokio::test]
async fn an_agent_speaks_for_itself_and_sees_its_own_mission_only() {
    let house = House::open().await;
    let (ann, bob) = (house.at_work("ann").await, house.at_work("bob").await);
    let (first, second) = (house.agent(&ann).await, house.agent(&bob).await);
    let named = json!({
        "agent_id": bob.attempt.agent_id, "attempt_id": bob.attempt.id, "mission": bob.mission,
    });
    let mission = first.call("mission_get", named).await.unwrap();
    assert_eq!(mission["mission"], ann.mission.as_str());

    house.says("bob", "for bob alone").await;
    let own = first.call("inbox_read", json!({})).await.unwrap();
    assert_eq!(own, json!({"messages": []}));
    let inbox = second.call("inbox_read", json!({})).await.unwrap();
    let id = inbox["messages"][0]["id"].clone();
    let foreign = first.call("inbox_acknowledge", json!({"message_id": id})).await;
    assert!(foreign.unwrap_err().contains("no message"));
    let pending = json!({"question": "May I?", "wait_s": 0});
    let pending = second.call("ask_captain", pending).await.unwrap();
    let foreign = json!({"ask_id": pending["ask_id"], "wait_s": 0});
    assert!(first.call("ask_result", foreign).await.unwrap_err().contains("have not asked"));
    assert!(first.call("report_progress", json!({})).await.is_err());
    assert!(first.call("no_such_tool", json!({})).await.is_err());
    first.close().await;
    second.close().await;
    house.close().await;
}

#[tokio::test]
async fn a_call_that_never_ends_holds_no_connection() {
    let house = House::open().await;
    let work = house.at_work("ann").await;
    let request = format!(
        "POST /mcp HTTP/1.1\r\nhost: HERE\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\naccept: application/json, text/event-stream\r\n\
         content-length: 99\r\n\r\n{{",
        work.token
    );
    let answer = house.say(&request).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    house.close().await;
}

#[tokio::test]
async fn only_the_token_of_an_attempt_at_work_opens_the_tools_and_it_opens_nothing_else() {
    let house = House::open().await;
    let (ann, bob) = (house.at_work("ann").await, house.at_work("bob").await);
    let hello = json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": {"name": "t", "version": "1"},
        },
    })
    .to_string();
    let ask = async |token: &str, extra: &[(&str, &str)]| {
        let token = format!("Bearer {token}");
        let mut headers = vec![
            ("authorization", token.as_str()),
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
        ];
        headers.extend_from_slice(extra);
        house.post("/mcp", &headers, hello.as_bytes()).await.0
    };
    assert_eq!(ask(&ann.token, &[]).await, 200);
    let own_page = format!("http://{}", house.address());
    assert_eq!(ask(&ann.token, &[("origin", &own_page)]).await, 200);
    for origin in ["http://attacker.example", "null", "https://127.0.0.1"] {
        assert_eq!(ask(&ann.token, &[("origin", origin)]).await, 403, "{origin}");
    }
    assert_eq!(ask(&house.captain(), &[]).await, 403, "the captain is no agent");
    // Ann's attempt with the secret of bob's, and the other way round.
    let secret = |token: &str| token.rsplit_once('_').unwrap().1.to_owned();
    let claim = |token: &str| token.rsplit_once('_').unwrap().0.to_owned();
    let mixed = format!("{}_{}", claim(&ann.token), secret(&bob.token));
    let cut = &ann.token[..ann.token.len() - 1];
    for token in [mixed.as_str(), cut, "hk_a_", "hk_", ""] {
        assert_eq!(ask(token, &[]).await, 401, "{token}");
    }
    assert_eq!(house.post("/mcp", &[], hello.as_bytes()).await.0, 401);

    let own = format!("Bearer {}", ann.token);
    let own = [("authorization", own.as_str())];
    assert_eq!(house.send("GET", "/mcp", &own, b"").await.0, 405);
    for (method, path, _) in gateway::rights::RULES {
        let public = gateway::rights::Rule::Anybody;
        if gateway::rights::look_up(method, path) == gateway::rights::Verdict::Rule(public) {
            continue;
        }
        let status = house.send(method.as_str(), path, &own, b"").await.0;
        assert_eq!(status, 403, "{method} {path}");
    }

    let stop = engine::view::Ask::default();
    let input = model::transition::MissionInput::Cancel;
    house.engine.ask_mission(&caller(), &ann.mission, input, stop).await.unwrap();
    house
        .until("the attempt's end", async |engine| {
            let detail = engine.mission(&ann.mission).await.unwrap();
            detail.attempts[0].attempt.state.is_final().then_some(())
        })
        .await;
    assert_eq!(ask(&ann.token, &[]).await, 401, "it ended with its attempt");
    assert_eq!(ask(&bob.token, &[]).await, 200);
    house.close().await;
}

#[tokio::test]
async fn what_a_call_of_a_tool_causes_bears_the_id_that_its_answer_names() {
    let house = House::open().await;
    let work = house.at_work("ann").await;
    let own = format!("Bearer {}", work.token);
    let headers = [
        ("authorization", own.as_str()),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
    ];
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "report_progress", "arguments": {"percent": 30, "note": "so far"}}});
    let body = call.to_string();
    let (status, head, body) = house.exchange("POST", "/mcp", &headers, body.as_bytes()).await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    let named = head.lines().find_map(|line| line.strip_prefix("x-correlation-id: ")).unwrap();
    let path = format!("/api/v1/events?mission={}&kind=mission_progressed", work.mission);
    let (status, _, events) = house.ask("GET", &path, "").await;
    assert_eq!(status, 200, "{events}");
    assert_eq!(events["items"][0]["correlation_id"], named, "{events}");
    house.close().await;
}
