//! Messages, requests, rules, usage and reports.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use model::attempt::Attempt;
use model::clock::SystemClock;
use model::event::{Fact, Subject};
use model::id::{AgentId, AttemptId, MessageId, RequestId, RuleId};
use model::inbox::{Request, RequestEnd, Rule, Scope};
use model::message::{Message, MessageState, Source, Urgency};
use model::usage::{Tokens, Usage, UsageSource};
use store::ledger::REPORTS_KEPT;
use store::{Change, CommitError, DataDir, InboxCounts, Ledger, MessageFilter};

use crate::replay::talk::ask;
use crate::support::*;

/// Names the data directory to the child process.
const DIRECTORY: &str = "HIVEKEEPER_TEST_MESSAGES_DIR";

fn message(to: AgentId, text: &str) -> Message {
    let id = MessageId::draw(now(), &mut Rising);
    Message::queued(id, to, Source::Captain, text.to_owned(), now())
}

fn of(fact: Fact) -> Change {
    Change::events(vec![event(Subject::default(), fact)])
}

async fn commit(ledger: &Ledger, fact: Fact) {
    ledger.commit(of(fact)).await.unwrap();
}

async fn refused(ledger: &Ledger, fact: Fact) -> String {
    let error = ledger.commit(of(fact)).await.unwrap_err();
    let CommitError::Conflict { reason, .. } = &error else { unreachable!("{error:?}") };
    reason.clone()
}

/// An agent at work.
async fn at_work(ledger: &Ledger) -> (AgentId, Attempt) {
    let (bee, mission) = (agent(&format!("bee {}", effect_id())), mission("talk"));
    ledger.commit(Change::events(vec![added(&bee), created(&mission)])).await.unwrap();
    let attempt = attempt(mission.id, bee.id, 1);
    commit(ledger, Fact::AttemptLeased { attempt: attempt.clone() }).await;
    (bee.id, attempt)
}

fn request(attempt: &Attempt, a: u8) -> Request {
    Request {
        id: RequestId::draw(now(), &mut Rising),
        attempt_id: attempt.id,
        mission_id: attempt.mission_id,
        agent_id: attempt.agent_id,
        key: "7".to_owned(),
        ask: ask(a),
        asked_at: now(),
        not_before: None,
        end: None,
        ended_at: None,
        told: false,
    }
}

#[tokio::test]
async fn the_message_view_shows_queued_delivered_started_and_acknowledged_as_separate_timestamps() {
    let place = Place::new().await;
    let ledger = &place.ledger;
    let (bee, attempt) = at_work(ledger).await;
    let regular = message(bee, "first");
    let urgent = Message { urgency: Urgency::Urgent, ..message(bee, "at once") };
    for message in [&regular, &urgent] {
        commit(ledger, Fact::MessageQueued { message: message.clone() }).await;
    }
    let waiting = ledger.waiting_messages(bee, 9).await.unwrap();
    assert_eq!(waiting, [urgent.clone(), regular.clone()]);

    let message_ids = vec![urgent.id, regular.id];
    let (at, attempt_id) = (now(), attempt.id);
    let delivered = Fact::MessagesDelivered { message_ids: message_ids.clone(), attempt_id, at };
    commit(ledger, delivered.clone()).await;
    assert_eq!(ledger.waiting_count(bee).await.unwrap(), 0);
    let got = ledger.messages_of_attempt(attempt_id).await.unwrap();
    assert!(got.iter().map(|message| message.id).eq(message_ids.iter().copied()));
    // Once, not twice.
    let reason = refused(ledger, delivered).await;
    assert_eq!(reason, format!("message {} was already delivered", urgent.id));

    let at = now();
    let one = vec![urgent.id];
    commit(ledger, Fact::MessagesStarted { message_ids: one.clone(), at }).await;
    commit(ledger, Fact::MessagesAcknowledged { message_ids: one, at }).await;
    let read = ledger.message(urgent.id).await.unwrap().unwrap();
    assert_eq!(read.state(), MessageState::Acknowledged);
    assert!(read.queued_at <= read.delivered_at.unwrap());
    assert_eq!((read.started_at, read.acknowledged_at), (Some(at), Some(at)));
    let left = ledger.messages_of_attempt(attempt_id).await.unwrap();
    assert_eq!(left.iter().map(|message| message.id).collect::<Vec<_>>(), [regular.id]);
}

#[tokio::test]
async fn a_message_that_failed_three_times_is_in_quarantine_and_can_be_retried_or_discarded() {
    let place = Place::new().await;
    let ledger = &place.ledger;
    let (bee, attempt) = at_work(ledger).await;
    let (bad, other) = (message(bee, "bad"), message(bee, "other"));
    for message in [&bad, &other] {
        commit(ledger, Fact::MessageQueued { message: message.clone() }).await;
    }
    let message_id = bad.id;
    for tries in 1..=3 {
        let (problem, quarantined) = ("the program is gone".to_owned(), tries == 3);
        commit(ledger, Fact::MessageFailed { message_id, problem, tries, quarantined }).await;
    }
    let held = ledger.message(bad.id).await.unwrap().unwrap();
    assert_eq!((held.state(), held.tries), (MessageState::Quarantined, 3));
    assert_eq!(held.problem.as_deref(), Some("the program is gone"));
    let waiting = ledger.waiting_messages(bee, 9).await.unwrap();
    assert_eq!(waiting, std::slice::from_ref(&other));
    assert_eq!(ledger.inbox_counts().await.unwrap().quarantined, 1);
    // The one that fits is not named, and is not delivered either.
    let (message_ids, at) = (vec![other.id, bad.id], now());
    let both = Fact::MessagesDelivered { message_ids, attempt_id: attempt.id, at };
    assert_eq!(refused(ledger, both).await, format!("message {} is in quarantine", bad.id));
    assert_eq!(ledger.waiting_count(bee).await.unwrap(), 1);

    commit(ledger, Fact::MessageRetried { message_id }).await;
    assert_eq!(ledger.waiting_count(bee).await.unwrap(), 2);
    let by_agent = ledger.waiting_by_agent().await.unwrap();
    assert_eq!((by_agent[&bee].messages, by_agent[&bee].requests), (2, 0));
    assert_eq!(
        refused(ledger, Fact::MessageRetried { message_id }).await,
        format!("message {message_id} still waits")
    );
    commit(ledger, Fact::MessageDiscarded { message_id }).await;
    let message_ids = vec![message_id];
    let late = Fact::MessagesDelivered { message_ids, attempt_id: attempt.id, at: now() };
    assert_eq!(refused(ledger, late).await, format!("message {message_id} was discarded"));
    assert_eq!(ledger.verify().await.unwrap().findings, []);
}

#[tokio::test]
async fn what_was_delivered_in_vain_waits_again_in_its_old_place() {
    let place = Place::new().await;
    let ledger = &place.ledger;
    let (bee, attempt) = at_work(ledger).await;
    let (first, second) = (message(bee, "first"), message(bee, "second"));
    for message in [&first, &second] {
        commit(ledger, Fact::MessageQueued { message: message.clone() }).await;
    }
    let (message_ids, at) = (vec![first.id], now());
    commit(ledger, Fact::MessagesDelivered { message_ids, attempt_id: attempt.id, at }).await;
    let (message_id, problem) = (first.id, "the agent was lost".to_owned());
    commit(ledger, Fact::MessageFailed { message_id, problem, tries: 1, quarantined: false }).await;
    let waiting = ledger.waiting_messages(bee, 9).await.unwrap();
    assert_eq!(waiting.iter().map(|it| it.id).collect::<Vec<_>>(), [first.id, second.id]);
    assert_eq!((waiting[0].delivered_at, waiting[0].attempt_id), (None, None));
}

#[tokio::test]
async fn messages_are_listed_by_agent_mission_broadcast_and_state_page_by_page() {
    let place = Place::new().await;
    let ledger = &place.ledger;
    let (bee, attempt) = at_work(ledger).await;
    let (other, _) = at_work(ledger).await;
    let together = model::id::BroadcastId::draw(now(), &mut Rising);
    let mut all = Vec::new();
    for n in 0..7 {
        let mut message = message(if n % 2 == 0 { bee } else { other }, &n.to_string());
        message.mission_id = (n == 3).then_some(attempt.mission_id);
        message.broadcast_id = (n > 4).then_some(together);
        commit(ledger, Fact::MessageQueued { message: message.clone() }).await;
        all.push(message);
    }
    let list = async |filter: MessageFilter| {
        let filter = MessageFilter { limit: 2, ..filter };
        let (mut texts, mut cursor) = (Vec::new(), None);
        loop {
            let page = ledger.messages(MessageFilter { cursor, ..filter.clone() }).await.unwrap();
            texts.extend(page.items.into_iter().map(|message| message.text));
            cursor = page.next;
            if cursor.is_none() {
                return texts.join(" ");
            }
        }
    };
    let any = MessageFilter::default;
    assert_eq!(list(any()).await, "6 5 4 3 2 1 0");
    assert_eq!(list(MessageFilter { agent_id: Some(bee), ..any() }).await, "6 4 2 0");
    assert_eq!(list(MessageFilter { broadcast_id: Some(together), ..any() }).await, "6 5");
    let mission_id = Some(attempt.mission_id);
    assert_eq!(list(MessageFilter { mission_id, ..any() }).await, "3");
    commit(ledger, Fact::MessageDiscarded { message_id: all[2].id }).await;
    let states = vec![MessageState::Discarded];
    assert_eq!(list(MessageFilter { states, ..any() }).await, "2");
    let cursor = Some("nonsense".to_owned());
    assert!(ledger.messages(MessageFilter { cursor, ..any() }).await.is_err());
}

#[tokio::test]
async fn a_request_ends_once_and_its_answer_is_told_once() {
    let place = Place::new().await;
    let ledger = &place.ledger;
    let (_, attempt) = at_work(ledger).await;
    let (question, permission) = (request(&attempt, 0), request(&attempt, 1));
    for request in [&question, &permission] {
        commit(ledger, Fact::RequestAsked { request: request.clone() }).await;
    }
    let later = now() + std::time::Duration::from_secs(900);
    let request_id = permission.id;
    commit(ledger, Fact::RequestDeferred { request_id, not_before: later }).await;
    let counts = ledger.inbox_counts().await.unwrap();
    let expected =
        InboxCounts { requests: 2, questions: 1, deferred: 1, quarantined: 0, reviews: 0 };
    assert_eq!(counts, expected);
    let reason = refused(ledger, Fact::RequestTold { request_id }).await;
    assert_eq!(reason, "the request still waits for an answer");

    let ended = |end| Fact::RequestEnded { request_id, end, at: now() };
    commit(ledger, ended(RequestEnd::Once)).await;
    let reason = refused(ledger, ended(RequestEnd::Denied { note: None })).await;
    assert_eq!(reason, "the request has already ended");
    let open = ledger.open_requests_of(attempt.id).await.unwrap();
    assert_eq!(open, std::slice::from_ref(&question));
    let untold = ledger.untold_requests_of(attempt.id).await.unwrap();
    assert_eq!(untold.len(), 1);
    assert_eq!(ledger.untold_attempts().await.unwrap(), [attempt.id].into());
    assert_eq!((untold[0].id, &untold[0].end), (request_id, &Some(RequestEnd::Once)));
    commit(ledger, Fact::RequestTold { request_id }).await;
    assert_eq!(ledger.untold_requests_of(attempt.id).await.unwrap(), []);
    assert!(ledger.untold_attempts().await.unwrap().is_empty());
    let reason = refused(ledger, Fact::RequestTold { request_id }).await;
    assert_eq!(reason, "the agent was already told the answer");

    // Who withdrew waits for no answer.
    let end = RequestEnd::Withdrawn { why: "the turn ended".to_owned() };
    commit(ledger, Fact::RequestEnded { request_id: question.id, end, at: now() }).await;
    assert_eq!(ledger.untold_requests_of(attempt.id).await.unwrap(), []);
    assert_eq!(ledger.inbox_counts().await.unwrap(), InboxCounts::default());
    let nobodys = Request { attempt_id: AttemptId::draw(now(), &mut Rising), ..question };
    let reason = refused(ledger, Fact::RequestAsked { request: nobodys }).await;
    assert_eq!(reason, "there is no such attempt");
}

#[tokio::test]
async fn the_rules_of_a_mission_an_agent_and_the_workspace_hold_together() {
    let place = Place::new().await;
    let ledger = &place.ledger;
    let (bee, attempt) = at_work(ledger).await;
    let (other, elsewhere) = at_work(ledger).await;
    let rule = |scope| Rule {
        id: RuleId::draw(now(), &mut Rising),
        pattern: "run: git status *".to_owned(),
        allow: true,
        scope,
        created_at: now(),
    };
    let rules = [
        rule(Scope::Workspace),
        rule(Scope::Agent { id: bee }),
        rule(Scope::Mission { id: attempt.mission_id }),
        rule(Scope::Agent { id: other }),
    ];
    for rule in &rules {
        commit(ledger, Fact::RuleAdded { rule: rule.clone() }).await;
    }
    assert!(ledger.rules().await.unwrap().iter().eq(rules.iter().rev()));
    let held = ledger.rules_for(attempt.mission_id, bee).await.unwrap();
    assert!(held.iter().eq(rules[..3].iter().rev()));
    let held = ledger.rules_for(elsewhere.mission_id, bee).await.unwrap();
    assert!(held.iter().eq(rules[..2].iter().rev()));

    let rule_id = rules[0].id;
    commit(ledger, Fact::RuleRemoved { rule_id }).await;
    assert_eq!(refused(ledger, Fact::RuleRemoved { rule_id }).await, "there is no such rule");
    // With the agent go its rules and what it has not got.
    let waits = message(bee, "too late");
    commit(ledger, Fact::MessageQueued { message: waits.clone() }).await;
    commit(ledger, Fact::AgentRemoved { agent_id: bee }).await;
    assert_eq!(ledger.rules_for(elsewhere.mission_id, bee).await.unwrap(), []);
    assert!(ledger.message(waits.id).await.unwrap().unwrap().discarded);
    let reason = refused(ledger, Fact::MessageQueued { message: message(bee, "x") }).await;
    assert_eq!(reason, "there is no such agent");
    assert_eq!(ledger.verify().await.unwrap().findings, []);
}

#[tokio::test]
async fn usage_is_kept_once_per_source_and_the_latest_counts() {
    let place = Place::new().await;
    let ledger = &place.ledger;
    let (_, attempt) = at_work(ledger).await;
    let attempt_id = attempt.id;
    let usage = |source, turns| Usage { turns, ..Usage::none(source) };
    for usage in
        [usage(UsageSource::Sum, 1), usage(UsageSource::Otlp, 2), usage(UsageSource::Sum, 3)]
    {
        commit(ledger, Fact::UsageMeasured { attempt_id, usage }).await;
    }
    let all = ledger.usage_of(attempt_id).await.unwrap();
    assert_eq!(all, [usage(UsageSource::Otlp, 2), usage(UsageSource::Sum, 3)]);
    let of_mission = ledger.usage_of_mission(attempt.mission_id).await.unwrap();
    assert_eq!(of_mission, [(attempt_id, all)]);
    let of = |source, output| Usage {
        tokens: Tokens { output, ..Tokens::default() },
        tool_calls: 3,
        ..Usage::none(source)
    };
    for usage in [of(UsageSource::Result, Some(40)), of(UsageSource::Partial, Some(5))] {
        commit(ledger, Fact::UsageMeasured { attempt_id, usage }).await;
    }
    let all = ledger.usage_of(attempt_id).await.unwrap();
    let [by_agent] = ledger.usage_by_agent().await.unwrap().try_into().unwrap();
    assert_eq!(by_agent.agent_id, attempt.agent_id);
    assert_eq!(by_agent.tokens, Usage::best(&all).unwrap().tokens, "the best source alone");
    assert_eq!((by_agent.tokens.output, by_agent.tokens.cache_read), (Some(40), None));
    assert_eq!((by_agent.tool_calls, by_agent.own_cost_micros), (3, None));
    // Kept before there was a bound: what one agent said does not break the sums of all.
    let huge =
        Usage { tool_calls: u64::MAX, ..of(UsageSource::Otlp, Some(9_000_000_000_000_000_000)) };
    commit(ledger, Fact::UsageMeasured { attempt_id, usage: huge.clone() }).await;
    let (_, other) = at_work(ledger).await;
    commit(ledger, Fact::UsageMeasured { attempt_id: other.id, usage: huge }).await;
    for sum in ledger.usage_by_agent().await.unwrap() {
        assert!(sum.tokens.output.is_some_and(|it| it >= model::usage::FIGURE_MAX), "{sum:?}");
    }
    let attempt_id = AttemptId::draw(now(), &mut Rising);
    let nobodys = Fact::UsageMeasured { attempt_id, usage: usage(UsageSource::Sum, 1) };
    assert_eq!(refused(ledger, nobodys).await, "there is no such attempt");
}

#[tokio::test]
async fn a_report_is_applied_exactly_once_and_only_the_newest_are_remembered() {
    let place = Place::new().await;
    let ledger = &place.ledger;
    let (agent_id, attempt) = at_work(ledger).await;
    let taken = |n: u32| Fact::ReportTaken { agent_id, key: format!("r{n}"), problem: None };
    for from in (0..REPORTS_KEPT + 5).step_by(100) {
        let facts = (from..(from + 100).min(REPORTS_KEPT + 5)).map(taken);
        let events = facts.map(|fact| event(Subject::default(), fact)).collect();
        ledger.commit(Change::events(events)).await.unwrap();
    }
    assert_eq!(refused(ledger, taken(REPORTS_KEPT)).await, "the report was already taken");
    assert!(ledger.report_seen(agent_id, "r5").await.unwrap());
    assert!(!ledger.report_seen(agent_id, "r4").await.unwrap());
    let (attempt_id, at) = (attempt.id, now());
    let known = Fact::AttemptAcknowledged { attempt_id, at, said: "I know".to_owned() };
    commit(ledger, known.clone()).await;
    assert_eq!(refused(ledger, known).await, "that was already acknowledged");
    let attempt = ledger.attempt(attempt_id).await.unwrap().unwrap();
    assert_eq!(attempt.acknowledged_at, Some(at));
    assert_eq!(ledger.verify().await.unwrap().findings, []);
}

/// Run by the test below in a process of its own; without its variable there is nothing to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_queues_messages_until_it_is_killed() {
    let Ok(path) = std::env::var(DIRECTORY) else {
        return;
    };
    let dir = DataDir::open(Path::new(&path)).unwrap();
    let ledger = Ledger::open(&dir, Arc::new(SystemClock)).await.unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let ledger = ledger.clone();
        writers.spawn(async move {
            let (bee, attempt) = at_work(&ledger).await;
            for n in 0_u32.. {
                let message = message(bee, &n.to_string());
                commit(&ledger, Fact::MessageQueued { message: message.clone() }).await;
                let mut line = format!("ack {bee} {n}\n");
                if n % 3 == 0 {
                    let (message_ids, at) = (vec![message.id], now());
                    let attempt_id = attempt.id;
                    let got = Fact::MessagesDelivered { message_ids, attempt_id, at };
                    commit(&ledger, got).await;
                    line = format!("ack {bee} {n}\ngot {bee} {n}\n");
                }
                // One write call, so that a line is there as a whole or not at all.
                std::io::stdout().write_all(line.as_bytes()).unwrap();
            }
        });
    }
    writers.join_all().await;
}

#[tokio::test]
async fn queued_messages_are_still_there_in_order_and_once_after_a_crash_during_write() {
    for seed in 0..5 {
        let folder = unused();
        let data = folder.path().join("data");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "conversation::child_that_queues_messages_until_it_is_killed"])
            .args(["--nocapture", "--test-threads=1"])
            .env(DIRECTORY, &data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let enough = 20 + usize::try_from(Dice::new(seed).below(200)).unwrap();
        let said: Vec<String> = lines.by_ref().map_while(Result::ok).take(enough).collect();
        child.kill().unwrap();
        child.wait().unwrap();
        let said = said.into_iter().chain(lines.map_while(Result::ok));
        // The last message of each agent that was acknowledged, and the last delivery.
        let mut queued: BTreeMap<AgentId, u32> = BTreeMap::new();
        let mut got: BTreeMap<AgentId, u32> = BTreeMap::new();
        for line in said {
            let mut words = line.split(' ');
            let map = match words.next() {
                Some("ack") => &mut queued,
                Some("got") => &mut got,
                _ => continue,
            };
            let (Some(agent), Some(n)) = (words.next(), words.next()) else { continue };
            if let (Ok(agent), Ok(n)) = (agent.parse(), n.parse()) {
                map.insert(agent, n);
            }
        }
        assert!(!queued.is_empty());
        let dir = DataDir::open(&data).unwrap();
        let ledger = Ledger::open(&dir, Arc::new(SystemClock)).await.unwrap();
        for (agent_id, last) in queued {
            let mut numbers = Vec::new();
            for message in ledger.waiting_messages(agent_id, 500).await.unwrap() {
                numbers.push(message.text.parse::<u32>().unwrap());
            }
            assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
            let delivered = got.get(&agent_id).copied();
            for n in 0..=last.min(700) {
                let waits = numbers.contains(&n);
                // A delivery that was not acknowledged may have been committed all the same.
                let told = n % 3 == 0 && delivered.is_some_and(|last| n <= last);
                assert!(waits != told || (n % 3 == 0 && !told), "seed {seed}: {n} of {last}");
            }
        }
        assert_eq!(ledger.verify().await.unwrap().findings, [], "seed {seed}");
        ledger.close().await;
    }
}
