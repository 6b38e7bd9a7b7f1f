//! What agents ask the captain, and what each answer does.

use std::time::Duration;

use engine::view::{NewAgent, NewRule, NewScope, RequestAnswer, RequestView, ScopeWord};
use engine::{ConversationQuery, RequestQuery};
use model::agent::Conduct;
use model::conversation::Body;
use model::id::{AttemptId, RequestId};
use model::inbox::{PermissionPolicy, RequestEnd, Scope};
use model::mission::MissionState;
use model::refusal::Code;
use model::transition::MissionInput;

use crate::hive::{Hive, acp, agent, mission};

/// How soon a request must be in the inbox.
const SOON: Duration = Duration::from_secs(1);

fn asking(name: &str) -> NewAgent {
    let conduct = Conduct { permissions: PermissionPolicy::Ask, ..Conduct::default() };
    NewAgent { conduct, ..acp(name) }
}

fn answer(json: &str) -> RequestAnswer {
    serde_json::from_str(json).unwrap()
}

impl Hive {
    async fn asking_mission(&self, agent: &str, brief: &str) -> String {
        let new = engine::view::NewMission {
            agent: Some(agent.into()),
            policy: Some("trusting".into()),
            ..mission("Ask", brief)
        };
        self.mission(new).await
    }

    /// Waits until as many requests wait as are said.
    async fn asked(&self, count: usize) -> Vec<RequestView> {
        self.until_some(&format!("{count} requests wait"), async |engine| {
            Some(engine.inbox().await.unwrap().requests).filter(|it| it.len() == count)
        })
        .await
    }

    async fn reply(&self, id: RequestId, json: &str) -> RequestView {
        self.engine.answer_request(&self.caller(), id, answer(json)).await.unwrap()
    }

    /// Everything the agent of an attempt said.
    async fn said(&self, id: AttemptId) -> String {
        let query = ConversationQuery { after: Some(0), ..ConversationQuery::default() };
        let page = self.engine.conversation(id, query).await.unwrap();
        let text = |body| match body {
            Body::Message { text } => Some(text),
            _ => None,
        };
        page.entries.into_iter().filter_map(|at| text(at.entry.body)).collect()
    }
}

#[tokio::test]
async fn a_permission_request_appears_in_the_inbox_within_1_s_and_once_deny_and_always_do_what_they_say()
 {
    let hive = Hive::open().await;
    hive.add(asking("ann")).await;
    let brief = "@run echo one > one.txt\n@run echo two > two.txt\n@run touch three.txt";
    let id = hive.asking_mission("ann", brief).await;
    let first = hive.asked(1).await.remove(0);
    let late = hive.engine.clock().now().duration_since(first.request.asked_at);
    assert!(late.unsigned_abs() < SOON, "it took {late}");
    assert_eq!(
        (first.agent.as_deref(), first.mission_title.as_deref()),
        (Some("ann"), Some("Ask"))
    );
    let detail = hive.engine.mission(&id).await.unwrap();
    assert_eq!(detail.view.mission.state, MissionState::NeedsInput);
    assert_eq!(hive.engine.agent("ann").await.unwrap().requests_open, 1);
    assert_eq!(hive.engine.inbox().await.unwrap().counts.permissions, 1);

    let ended = hive.reply(first.request.id, r#"{"answer":"once"}"#).await;
    assert_eq!(ended.request.end, Some(RequestEnd::Once));
    let second = hive.asked(1).await.remove(0);
    assert_ne!(second.request.id, first.request.id);
    // The first answer counts, and a second one is no second answer.
    let json = r#"{"answer":"deny"}"#;
    let caller = hive.keyed("deny", 1);
    let late = hive.engine.answer_request(&hive.caller(), first.request.id, answer(json)).await;
    assert_eq!(late.unwrap_err().code, Code::Conflict);
    hive.engine.answer_request(&caller, second.request.id, answer(json)).await.unwrap();
    let again = hive.engine.answer_request(&caller, second.request.id, answer(json)).await.unwrap();
    assert_eq!(again.request.end, Some(RequestEnd::Denied { note: None }));

    let third = hive
        .until_some("the third", async |engine| {
            let open = engine.inbox().await.unwrap().requests;
            open.into_iter().find(|it| it.request.id != second.request.id)
        })
        .await;
    let json = r#"{"answer":"always","pattern":"run: touch *","scope":"workspace"}"#;
    let ended = hive.reply(third.request.id, json).await;
    let Some(RequestEnd::Always { rule_id }) = ended.request.end else {
        panic!("{:?}", ended.request.end);
    };
    let rules = hive.engine.permission_rules().await.unwrap().items;
    assert_eq!((rules[0].id, rules[0].scope, rules[0].allow), (rule_id, Scope::Workspace, true));
    let detail = hive.until_over(&id).await;
    let attempt = detail.attempts[0].attempt.clone();
    let work = std::path::PathBuf::from(attempt.workplace.unwrap().directory);
    let made = |name: &str| work.join(name).exists();
    assert_eq!((made("one.txt"), made("two.txt"), made("three.txt")), (true, false, true));
    assert!(hive.said(attempt.id).await.contains("not allowed to run echo two"));

    // What fits the rule is not asked any more.
    let id = hive.asking_mission("ann", "@run touch four.txt").await;
    let detail = hive.until_over(&id).await;
    let work = detail.attempts[0].attempt.workplace.as_ref().unwrap().directory.clone();
    assert!(std::path::Path::new(&work).join("four.txt").exists());
    let all = hive.engine.requests(RequestQuery::default()).await.unwrap().items;
    assert_eq!(all.len(), 3, "nobody was asked a fourth time");
    hive.engine.remove_permission_rule(&hive.caller(), rule_id).await.unwrap();
    assert!(hive.engine.permission_rules().await.unwrap().items.is_empty());
}

#[tokio::test]
async fn not_now_puts_a_request_off_and_two_at_once_do_not_overwrite_each_other() {
    let hive = Hive::open().await;
    hive.add(asking("ann")).await;
    let id = hive.asking_mission("ann", "@ask rm -rf left;;rm -rf right").await;
    let both = hive.asked(2).await;
    let of = |word: &str| {
        let about = |it: &&RequestView| it.request.ask.title().contains(word);
        both.iter().find(about).unwrap().request.id
    };
    let (left, right) = (of("left"), of("right"));
    let put_off = hive.reply(left, r#"{"answer":"not_now"}"#).await;
    assert!(put_off.request.waits() && put_off.request.not_before.is_some());
    let order: Vec<_> = hive.asked(2).await.iter().map(|it| it.request.id).collect();
    assert_eq!(order, [right, left], "what was put off comes last");
    let (one, two) = tokio::join!(
        hive.reply(right, r#"{"answer":"once"}"#),
        hive.reply(left, r#"{"answer":"deny","note":"keep it"}"#),
    );
    assert_eq!(one.request.end, Some(RequestEnd::Once));
    assert_eq!(two.request.end, Some(RequestEnd::Denied { note: Some("keep it".into()) }));
    let detail = hive.until_over(&id).await;
    let said = hive.said(detail.attempts[0].attempt.id).await;
    assert!(said.contains("rm -rf right: once"), "{said}");
    assert!(!said.contains("rm -rf left: once"), "{said}");
}

#[tokio::test]
async fn what_an_answer_cannot_mean_is_refused_and_changes_nothing() {
    let hive = Hive::open().await;
    hive.add(asking("ann")).await;
    let id = hive.asking_mission("ann", "@run true").await;
    let asked = hive.asked(1).await.remove(0).request.id;
    for wrong in [
        r#"{"answer":"text","text":"yes"}"#,
        r#"{"answer":"text"}"#,
        r#"{"answer":"always","pattern":"do: anything"}"#,
        r#"{"answer":"once","note":"hm"}"#,
    ] {
        let refused =
            hive.engine.answer_request(&hive.caller(), asked, answer(wrong)).await.unwrap_err();
        assert_eq!(refused.code, Code::InvalidInput, "{wrong}");
    }
    assert!(hive.engine.request(asked).await.unwrap().request.waits());
    let rule = |pattern: &str, kind, id: Option<&str>| NewRule {
        pattern: pattern.into(),
        allow: false,
        scope: NewScope { kind, id: id.map(Into::into) },
    };
    let engine = &hive.engine;
    let add = async |new| engine.add_permission_rule(&hive.caller(), new).await;
    assert!(add(rule("nonsense", ScopeWord::Workspace, None)).await.is_err());
    assert!(add(rule("run: git *", ScopeWord::Agent, None)).await.is_err());
    assert!(add(rule("run: git *", ScopeWord::Agent, Some("nobody"))).await.is_err());
    assert!(add(rule("run: git *", ScopeWord::Agent, Some("ann"))).await.is_ok());
    let twice = add(rule("run: git *", ScopeWord::Agent, Some("ann"))).await.unwrap_err();
    assert_eq!(twice.code, Code::Conflict);
    // What ends takes its requests with it.
    hive.ask(&id, MissionInput::Cancel).await.unwrap();
    hive.until_over(&id).await;
    hive.asked(0).await;
    let end = hive.engine.request(asked).await.unwrap().request.end;
    assert!(matches!(end, Some(RequestEnd::Withdrawn { .. })), "{end:?}");
}

#[tokio::test]
async fn only_an_agent_that_can_ask_may_have_to_ask() {
    let hive = Hive::open().await;
    let conduct = Conduct { permissions: PermissionPolicy::Ask, ..Conduct::default() };
    let new = NewAgent { conduct, ..agent("ann", "true") };
    let refused = hive.engine.add_agent(&hive.caller(), new).await.unwrap_err();
    assert!(refused.hint.unwrap().contains("acp"));
}
