//! What agents say through files, and what could not be understood.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use engine::view::{InboxView, MessageView, NewMessage};
use model::agent::Conduct;
use model::id::AgentId;
use model::message::{MessageState, Source};
use model::mission::MissionState;
use model::process::{HomeAccess, Sandbox};
use model::transition::MissionInput;

use crate::hive::{Hive, agent, fake_agent, mission};

/// A workspace with an agent at work, and where it drops its reports.
async fn at_work() -> (Hive, String, PathBuf) {
    let hive = Hive::open().await;
    hive.add(agent("ann", &format!("{} forever", fake_agent()))).await;
    let id = hive.mission(mission("Report", "x")).await;
    hive.until(&id, |state| state == MissionState::Running).await;
    let place = place(&hive).await;
    (hive, id, place)
}

async fn place(hive: &Hive) -> PathBuf {
    let id: AgentId = hive.engine.agent("ann").await.unwrap().agent.id;
    let place = hive.engine.data_dir().join("agents").join(id.to_string());
    hive.until_some("its directories are made", async |_| {
        place.join("inbox").is_dir().then_some(())
    })
    .await;
    place
}

fn names(folder: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

async fn progressed(hive: &Hive) -> usize {
    let query = engine::EventQuery {
        kind: Some("mission_progressed".into()),
        ..engine::EventQuery::default()
    };
    hive.engine.events(query).await.unwrap().items.len()
}

async fn quarantined(hive: &Hive, count: usize) -> InboxView {
    hive.until_some("the quarantine", async |engine| {
        Some(engine.inbox().await.unwrap()).filter(|inbox| inbox.quarantined.len() == count)
    })
    .await
}

async fn end(hive: &Hive, id: &str) {
    hive.ask(id, MissionInput::Cancel).await.unwrap();
    hive.until_over(id).await;
}

#[tokio::test]
async fn a_valid_report_dropped_in_an_agents_inbox_is_applied_exactly_once_within_2_s_and_archived()
{
    let (hive, id, place) = at_work().await;
    let text = r#"{"kind":"progress","percent":40,"note":"reading works"}"#;
    let begun = Instant::now();
    std::fs::write(place.join("inbox/one.json"), text).unwrap();
    let detail = hive.until_detail(&id, |it| it.view.mission.progress.is_some()).await;
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(2), "it took {took:?}");
    assert_eq!(detail.view.mission.progress.unwrap().percent, Some(40));
    hive.until_some("it is archived", async |_| {
        (names(&place.join("archive")) == ["one.json"]).then_some(())
    })
    .await;
    assert_eq!(names(&place.join("inbox")), Vec::<String>::new());
    assert_eq!(progressed(&hive).await, 1);

    // As after a crash between recording it and putting it away: the file is there again.
    let hive = hive.reopen().await;
    std::fs::rename(place.join("archive/one.json"), place.join("inbox/one.json")).unwrap();
    hive.until_some("it is put away", async |_| {
        names(&place.join("inbox")).is_empty().then_some(())
    })
    .await;
    assert_eq!(names(&place.join("archive")), ["one.json"]);
    assert_eq!(progressed(&hive).await, 1, "it was applied once");
    end(&hive, &id).await;
}

#[tokio::test]
async fn the_same_words_written_anew_in_a_file_of_the_same_name_are_another_report() {
    let hive = Hive::open().await;
    hive.add(agent("ann", &format!("{} forever", fake_agent()))).await;
    let new =
        engine::view::NewMission { criteria: vec!["it works".into()], ..mission("Report", "x") };
    let id = hive.mission(new).await;
    hive.until(&id, |state| state == MissionState::Running).await;
    let place = place(&hive).await;
    for (n, met) in [true, false, true].into_iter().enumerate() {
        let text = format!(r#"{{"kind":"criterion","n":1,"met":{met}}}"#);
        std::fs::write(place.join("inbox/criterion.json"), text).unwrap();
        hive.until_some("it is put away", async |_| {
            (names(&place.join("archive")).len() == n + 1).then_some(())
        })
        .await;
    }
    assert_eq!(progressed(&hive).await, 3);
    let detail = hive.engine.mission(&id).await.unwrap();
    assert!(detail.view.mission.criteria[0].met, "as was said last");
    end(&hive, &id).await;
}

#[tokio::test]
async fn what_an_agent_reports_with_its_last_breath_is_taken_whole_and_without_secrets() {
    let hive = Hive::open().await;
    hive.add(agent("ann", "true")).await;
    let place = place(&hive).await;
    let secret = ["h7Kq", "29vTz"].concat();
    let long = "found it. ".repeat(200);
    let devlog =
        format!(r#"{{"kind":"devlog","text":"postgres://app:{secret}@db.local/x {long}the end"}}"#);
    let done = r#"{"kind":"done","summary":"Did it all."}"#;
    std::fs::write(hive.place.path().join("devlog.json"), devlog).unwrap();
    std::fs::write(hive.place.path().join("done.json"), done).unwrap();
    let command = format!(
        "cp '{0}/devlog.json' '{0}/done.json' '{1}/inbox/'",
        hive.place.path().display(),
        place.display()
    );
    let edit = engine::view::EditAgent {
        command: Some(format!("sh -c \"{command}\"")),
        ..engine::view::EditAgent::default()
    };
    hive.engine.edit_agent(&hive.caller(), "ann", edit).await.unwrap();
    let id = hive.mission(mission("Report", "x")).await;
    let detail = hive.until_detail(&id, |it| it.view.mission.progress.as_ref().is_some()).await;
    let progress = detail.view.mission.progress.unwrap();
    assert_eq!(progress.percent, Some(100));
    assert_eq!(progress.text, "says that it is done: Did it all.");
    let own = hive
        .until_some("both devlogs", async |engine| {
            let query = engine::DevlogQuery { mission: Some(id.clone()), ..Default::default() };
            let all = engine.devlogs(query).await.unwrap().items;
            let own: Vec<_> =
                all.into_iter().filter(|it| it.markdown.contains("its agent wrote")).collect();
            (own.len() == 2).then_some(own)
        })
        .await;
    let all: String = own.iter().map(|it| it.markdown.as_str()).collect();
    assert!(all.contains("the end") && all.contains("Did it all."), "{all}");
    assert!(!all.contains(&secret), "{all}");
    assert_eq!(hive.engine.inbox().await.unwrap().quarantined.len(), 0);
}

#[tokio::test]
async fn a_report_that_has_to_wait_for_another_agent_holds_nothing_else_up() {
    let (hive, id, place) = at_work().await;
    hive.add(agent("bob", "true")).await;
    let bob = hive.engine.pause_agent(&hive.caller(), "bob").await.unwrap().agent.id;
    let full = model::message::WAITING_MAX / 2;
    let ann: AgentId = hive.engine.agent("ann").await.unwrap().agent.id;
    for n in 0..full {
        let said = engine::Caller {
            actor: model::event::Actor::Agent { id: ann },
            ..hive.keyed(&n.to_string(), 0)
        };
        let new = engine::view::NewMessage { text: n.to_string(), ..Default::default() };
        hive.engine.send_message(&said, "bob", new).await.unwrap();
    }
    let message = r#"{"kind":"message","to":"bob","text":"one more"}"#;
    std::fs::write(place.join("inbox/a.json"), message).unwrap();
    std::fs::write(place.join("inbox/b.json"), r#"{"kind":"progress","percent":9}"#).unwrap();
    let detail = hive.until_detail(&id, |it| it.view.mission.progress.is_some()).await;
    assert_eq!(detail.view.mission.progress.unwrap().percent, Some(9));
    assert_eq!(names(&place.join("inbox")), ["a.json"], "it waits");
    // The captain is heard all the same, and with one less the message goes.
    let new = engine::view::NewMessage { text: "hello".into(), ..Default::default() };
    hive.engine.send_message(&hive.caller(), "bob", new).await.unwrap();
    let query = engine::MessageQuery { agent: Some(bob.to_string()), ..Default::default() };
    for old in hive.engine.messages(query).await.unwrap().items.iter().take(2) {
        hive.engine.discard_message(&hive.caller(), old.message.id).await.unwrap();
    }
    hive.until_some("it is taken", async |_| names(&place.join("inbox")).is_empty().then_some(()))
        .await;
    end(&hive, &id).await;
}

#[tokio::test]
async fn a_sandboxed_command_agent_reports_through_its_inbox() {
    if !agents::supervision::probe().can_sandbox() {
        let _ = writeln!(std::io::stderr(), "SKIPPED: nothing makes a sandbox here");
        return;
    }
    let hive = Hive::open().await;
    let report = r#"{"kind":"progress","percent":40}"#;
    let script = format!(
        "printf %s {} > $HIVEKEEPER_INBOX/one.json; \
         until cat $HIVEKEEPER_MESSAGES/*.json 2>/dev/null; do sleep 0.05; done; exec sleep 600",
        report.replace('"', "\\\"").replace('{', "\\{").replace('}', "\\}")
    );
    let script = format!("sh -c '{script}'");
    let sandbox = Sandbox { home: HomeAccess::Hidden, network: false, ..Sandbox::default() };
    let conduct = Conduct { sandbox: Some(sandbox), ..Conduct::default() };
    hive.add(engine::view::NewAgent { conduct, ..agent("ann", &script) }).await;
    place(&hive).await;
    let id = hive.mission(mission("Report", "x")).await;
    let detail = hive.until_detail(&id, |it| it.view.mission.progress.is_some()).await;
    assert_eq!(detail.view.mission.progress.unwrap().percent, Some(40));
    let told = NewMessage { text: "well done".into(), ..NewMessage::default() };
    hive.engine.send_message(&hive.caller(), "ann", told).await.unwrap();
    hive.until_some("it reads what it is told", async |engine| {
        let detail = engine.mission(&id).await.unwrap();
        hive.printed(&detail).await.contains("well done").then_some(())
    })
    .await;
    end(&hive, &id).await;
}

#[tokio::test]
async fn a_malformed_oversized_or_3_times_failed_message_is_in_quarantine_with_its_error_and_can_be_retried_or_discarded()
 {
    let (hive, id, place) = at_work().await;
    std::fs::write(place.join("inbox/torn.json"), r#"{"kind":"progress","per"#).unwrap();
    std::fs::write(place.join("inbox/vast.json"), "x".repeat(300_000)).unwrap();
    let inbox = quarantined(&hive, 2).await;
    assert_eq!((inbox.counts.quarantined, inbox.counts.total), (2, 2));
    let find = |name: &str| -> MessageView {
        let named = |it: &&MessageView| it.message.text.starts_with(&format!("report {name}"));
        inbox.quarantined.iter().find(named).unwrap().clone()
    };
    let (torn, vast) = (find("torn.json"), find("vast.json"));
    assert!(matches!(&torn.message.from, Source::Agent { name, .. } if name == "ann"));
    let why = |view: &MessageView| view.message.problem.clone().unwrap();
    assert!(why(&torn).contains("JSON"), "{}", why(&torn));
    assert!(why(&vast).contains("262144 bytes"), "{}", why(&vast));
    assert_eq!(names(&place.join("inbox")), Vec::<String>::new());

    // The captain repairs one and gives the other up.
    let held = place.join(format!("quarantine/{}.json", torn.message.id));
    std::fs::write(&held, r#"{"kind":"progress","percent":7}"#).unwrap();
    hive.engine.retry_message(&hive.caller(), torn.message.id).await.unwrap();
    let detail = hive.until_detail(&id, |it| it.view.mission.progress.is_some()).await;
    assert_eq!(detail.view.mission.progress.unwrap().percent, Some(7));
    let given_up = hive.engine.discard_message(&hive.caller(), vast.message.id).await.unwrap();
    assert_eq!(given_up.state, MessageState::Discarded);
    let inbox = quarantined(&hive, 0).await;
    assert_eq!(inbox.counts.total, 0);
    assert_eq!(names(&place.join("quarantine")), Vec::<String>::new());
    let again = hive.engine.discard_message(&hive.caller(), vast.message.id).await;
    assert!(again.is_err(), "it is settled");

    // A message that cannot be handed over: a directory is where its file would be.
    let folder = place.join("messages");
    std::fs::remove_dir(&folder).unwrap();
    std::fs::write(&folder, "in the way").unwrap();
    let new = engine::view::NewMessage { text: "hello".into(), ..Default::default() };
    let sent = hive.engine.send_message(&hive.caller(), "ann", new).await.unwrap().message.id;
    let inbox = quarantined(&hive, 1).await;
    assert_eq!((inbox.quarantined[0].message.id, inbox.quarantined[0].message.tries), (sent, 3));
    assert!(why(&inbox.quarantined[0]).contains("file cannot be written"));
    std::fs::remove_file(&folder).unwrap();
    hive.engine.retry_message(&hive.caller(), sent).await.unwrap();
    hive.until_some("it is delivered", async |engine| {
        let message = engine.message(sent).await.unwrap();
        (message.state == MessageState::Delivered).then_some(())
    })
    .await;
    end(&hive, &id).await;
}

#[tokio::test]
async fn the_answer_to_a_question_asked_by_file_comes_as_a_file_also_while_the_agent_talks() {
    let hive = Hive::open().await;
    hive.add(crate::hive::acp("ann")).await;
    let new = engine::view::NewMission { agent: Some("ann".into()), ..mission("Talk", "@hang") };
    let id = hive.mission(new).await;
    hive.until(&id, |state| state == model::mission::MissionState::Running).await;
    let place = place(&hive).await;
    let question = r#"{"kind":"question","text":"left or right?"}"#;
    std::fs::write(place.join("inbox/ask.json"), question).unwrap();
    let asked = hive
        .until_some("the question", async |engine| engine.inbox().await.unwrap().requests.pop())
        .await;
    let answer = serde_json::from_str(r#"{"answer":"text","text":"left"}"#).unwrap();
    hive.engine.answer_request(&hive.caller(), asked.request.id, answer).await.unwrap();
    let path = place.join(format!("messages/{}.json", asked.request.id));
    let text =
        hive.until_some("the answer is there", async |_| std::fs::read_to_string(&path).ok()).await;
    assert!(text.contains("left"), "{text}");
    end(&hive, &id).await;
}

#[tokio::test]
async fn an_agent_that_only_knows_files_gets_messages_and_answers_as_files_and_says_what_it_read() {
    let (hive, id, place) = at_work().await;
    let new = engine::view::NewMessage { text: "look here".into(), ..Default::default() };
    let sent = hive.engine.send_message(&hive.caller(), "ann", new).await.unwrap().message.id;
    let path = place.join(format!("messages/{sent}.json"));
    let text =
        hive.until_some("the file is there", async |_| std::fs::read_to_string(&path).ok()).await;
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&value["text"], &value["from"]["kind"]), (&"look here".into(), &"captain".into()));
    for (kind, state) in
        [("started", MessageState::Started), ("acknowledge", MessageState::Acknowledged)]
    {
        let report = format!(r#"{{"kind":"{kind}","message":"{sent}"}}"#);
        std::fs::write(place.join(format!("inbox/{kind}.json")), report).unwrap();
        hive.until_some(kind, async |engine| {
            (engine.message(sent).await.unwrap().state == state).then_some(())
        })
        .await;
    }
    let read = hive.engine.message(sent).await.unwrap().message;
    assert!(read.delivered_at <= read.started_at && read.started_at <= read.acknowledged_at);

    let question = r#"{"kind":"question","text":"left or right?","options":["left","right"]}"#;
    std::fs::write(place.join("inbox/ask.json"), question).unwrap();
    let asked = hive
        .until_some("the question", async |engine| engine.inbox().await.unwrap().requests.pop())
        .await;
    assert_eq!(asked.request.ask.title(), "left or right?");
    let answer = serde_json::from_str(r#"{"answer":"text","text":"left"}"#).unwrap();
    hive.engine.answer_request(&hive.caller(), asked.request.id, answer).await.unwrap();
    let path = place.join(format!("messages/{}.json", asked.request.id));
    let text =
        hive.until_some("the answer is there", async |_| std::fs::read_to_string(&path).ok()).await;
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&value["answer"], &value["report"]), (&"left".into(), &"ask.json".into()));
    end(&hive, &id).await;
}
