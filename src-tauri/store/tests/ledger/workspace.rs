//! What holds for the workspace as a whole, and what belongs to an attempt beside its state.

use jiff::SignedDuration;
use model::attempt::{AttemptState, Checkpoint};
use model::event::{Fact, Subject};
use model::gate::{GateResult, GateSpec, Verdict};
use model::id::{AgentId, CheckpointId, MissionId, TopicId, TrashId};
use model::policy::Policy;
use model::settings::{Settings, Template};
use model::topic::{Decided, Topic, Vote};
use model::trash::{TrashEnd, TrashItem, TrashKind};
use store::{Change, CommitError, Halted, TrashFilter};

use crate::support::*;

/// Writes facts about nothing in particular, as one change.
async fn tell(place: &Place, facts: Vec<Fact>) -> Result<(), CommitError> {
    let events = facts.into_iter().map(|fact| event(Subject::default(), fact));
    place.ledger.commit(Change::events(events.collect())).await.map(|_| ())
}

async fn refused(place: &Place, fact: Fact, words: &str) {
    let error = tell(place, vec![fact]).await.unwrap_err();
    assert!(matches!(error, CommitError::Conflict { .. }), "{error}");
    assert!(error.to_string().contains(words), "{error}");
}

#[tokio::test]
async fn settings_policies_and_templates_are_kept_by_name() {
    let place = Place::new().await;
    assert_eq!(place.ledger.settings().await.unwrap(), Settings::default());
    let settings = Settings { running_max: Some(3), trash_days: 7, ..Settings::default() };
    let policy = |name: &str, retries| Policy {
        name: name.to_owned(),
        retries,
        builtin: false,
        ..model::policy::builtin().remove(2)
    };
    let template = Template {
        name: "bug".into(),
        about: String::new(),
        title: "Fix {{what}}".into(),
        brief: "…".into(),
        gates: vec!["command: make test".into()],
        labels: Vec::new(),
        skills: Vec::new(),
        policy: None,
        repository: None,
    };
    let facts = vec![
        Fact::SettingsChanged { settings: settings.clone() },
        Fact::PolicySaved { policy: policy("night", 1) },
        Fact::PolicySaved { policy: policy("day", 2) },
        Fact::PolicySaved { policy: policy("night", 3) },
        Fact::TemplateSaved { template: template.clone() },
    ];
    tell(&place, facts).await.unwrap();
    assert_eq!(place.ledger.settings().await.unwrap(), settings);
    let policies = place.ledger.policies().await.unwrap();
    assert_eq!(policies, [policy("day", 2), policy("night", 3)]);
    assert_eq!(place.ledger.templates().await.unwrap(), std::slice::from_ref(&template));
    assert_eq!(place.ledger.template("bug").await.unwrap(), Some(template));
    assert_eq!(place.ledger.template("none").await.unwrap(), None);

    let gone = vec![
        Fact::PolicyRemoved { name: "day".into() },
        Fact::TemplateRemoved { name: "bug".into() },
    ];
    tell(&place, gone.clone()).await.unwrap();
    assert_eq!(place.ledger.policies().await.unwrap().len(), 1);
    assert!(place.ledger.templates().await.unwrap().is_empty());
    refused(&place, gone[0].clone(), "there is no policy 'day'").await;
    refused(&place, gone[1].clone(), "there is no template 'bug'").await;
    assert_eq!(place.ledger.verify().await.unwrap().findings, []);
}

#[tokio::test]
async fn a_halt_lasts_until_it_is_lifted() {
    let place = Place::new().await;
    let halted = Halted { since: now(), note: Some("too hot".into()) };
    let halt = Fact::SwarmHalted { note: halted.note.clone(), at: halted.since };
    refused(&place, Fact::SwarmResumed, "the swarm is not halted").await;
    tell(&place, vec![halt.clone()]).await.unwrap();
    refused(&place, halt, "the swarm is already halted").await;
    let place = reopen(place.close().await).await.unwrap();
    assert_eq!(place.ledger.halted().await.unwrap(), Some(halted));
    tell(&place, vec![Fact::SwarmResumed]).await.unwrap();
    assert_eq!(place.ledger.halted().await.unwrap(), None);
}

fn item(mission_id: MissionId, kind: TrashKind, days: i64) -> TrashItem {
    TrashItem {
        id: TrashId::draw(now(), &mut Rising),
        kind,
        mission_id,
        attempt: None,
        title: "old".into(),
        path: None,
        repository: None,
        branch: None,
        bytes: 12,
        at: now(),
        until: now() + SignedDuration::from_hours(24 * days),
    }
}

#[tokio::test]
async fn the_trash_is_listed_due_in_time_and_emptied_once() {
    let place = Place::new().await;
    let (one, two) = (mission("one"), mission("two"));
    let events = vec![created(&one), created(&two)];
    place.ledger.commit(Change::events(events)).await.unwrap();
    let items = [
        item(one.id, TrashKind::Mission, 30),
        item(one.id, TrashKind::Worktree, 1),
        item(two.id, TrashKind::Worktree, 2),
    ];
    tell(&place, items.iter().map(|item| Fact::Trashed { item: item.clone() }).collect())
        .await
        .unwrap();
    let listed = async |filter: TrashFilter| {
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let filter = TrashFilter { cursor, limit: 1, ..filter.clone() };
            let page = place.ledger.trash(filter).await.unwrap();
            seen.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                return seen;
            }
        }
    };
    let [a, b, c] = &items;
    let all = TrashFilter::default();
    assert_eq!(listed(all.clone()).await, [c.clone(), b.clone(), a.clone()]);
    let worktrees = TrashFilter { kind: Some(TrashKind::Worktree), ..all.clone() };
    assert_eq!(listed(worktrees).await, [c.clone(), b.clone()]);
    let of_one = TrashFilter { mission_id: Some(one.id), ..all.clone() };
    assert_eq!(listed(of_one).await, [b.clone(), a.clone()]);
    let in_days = |days: i64| now() + SignedDuration::from_hours(24 * days);
    assert!(place.ledger.trash_due(in_days(0), 10).await.unwrap().is_empty());
    assert_eq!(place.ledger.trash_due(in_days(3), 10).await.unwrap(), [b.clone(), c.clone()]);
    assert_eq!(place.ledger.trash_due(in_days(3), 1).await.unwrap(), std::slice::from_ref(b));

    let emptied = |end| Fact::TrashEmptied { trash_id: b.id, end };
    tell(&place, vec![emptied(TrashEnd::Restored)]).await.unwrap();
    refused(&place, emptied(TrashEnd::Purged), "it is already restored").await;
    let never = TrashId::draw(now(), &mut Rising);
    let fact = Fact::TrashEmptied { trash_id: never, end: TrashEnd::Purged };
    refused(&place, fact, "there is no such thing in the trash").await;
    assert_eq!(place.ledger.trash_item(b.id).await.unwrap(), None);
    assert_eq!(place.ledger.trash_item(a.id).await.unwrap().as_ref(), Some(a));
    assert_eq!(listed(all).await, [c.clone(), a.clone()]);
    assert_eq!(place.ledger.verify().await.unwrap().findings, []);
}

#[tokio::test]
async fn an_agent_has_one_vote_until_the_topic_is_closed() {
    let place = Place::new().await;
    let (bee, wasp) = (agent("bee"), agent("wasp"));
    place.ledger.commit(Change::events(vec![added(&bee), added(&wasp)])).await.unwrap();
    let mut topic = Topic {
        id: TopicId::draw(now(), &mut Rising),
        title: "Which parser?".into(),
        text: String::new(),
        options: vec!["ours".into(), "theirs".into()],
        opened_at: now(),
        decision: None,
    };
    let vote = |agent_id: AgentId, option: &str| Vote {
        topic_id: topic.id,
        agent_id,
        option: option.to_owned(),
        rationale: "because".into(),
        at: now(),
    };
    let early = vote(bee.id, "ours");
    refused(&place, Fact::VoteCast { vote: early.clone() }, "there is no such topic").await;
    let (last, other) = (vote(bee.id, "theirs"), vote(wasp.id, "theirs"));
    let mut facts = vec![Fact::TopicOpened { topic: topic.clone() }];
    facts.extend([&early, &other, &last].map(|vote| Fact::VoteCast { vote: vote.clone() }));
    tell(&place, facts).await.unwrap();
    assert_eq!(place.ledger.votes_of(topic.id).await.unwrap(), [last.clone(), other]);
    let decision = Decided { option: Some("theirs".into()), because: "2 of 2".into(), at: now() };
    let closed = Fact::TopicClosed { topic_id: topic.id, decision: decision.clone() };
    tell(&place, vec![closed.clone()]).await.unwrap();
    topic.decision = Some(decision);
    assert_eq!(place.ledger.topic(topic.id).await.unwrap().as_ref(), Some(&topic));
    assert_eq!(place.ledger.topics(5).await.unwrap(), [topic]);
    refused(&place, Fact::VoteCast { vote: last }, "the topic is closed").await;
    refused(&place, closed, "the topic is closed").await;
    assert_eq!(place.ledger.verify().await.unwrap().findings, []);
}

/// What a reviewing agent says.
pub(crate) fn answer(index: u32) -> GateResult {
    GateResult {
        index,
        gate: GateSpec::Reviewer { agent: None },
        verdict: Verdict::Passed,
        exit_code: None,
        reason: "looks right".into(),
        output: String::new(),
        output_bytes: 0,
        commit: None,
        tree: Some("t1".into()),
        checks: Some(4),
        by: Some("wasp".into()),
        started_at: now(),
        duration_ms: 1,
    }
}

#[tokio::test]
async fn a_review_is_awaited_until_its_gate_has_its_answer_or_the_attempt_ends() {
    let place = Place::new().await;
    let (bee, wasp, one) = (agent("bee"), agent("wasp"), mission("one"));
    let leased = attempt(one.id, bee.id, 1);
    let attempt_id = leased.id;
    let mut events = vec![added(&bee), added(&wasp), created(&one)];
    events.push(event(about(one.id), Fact::AttemptLeased { attempt: leased }));
    place.ledger.commit(Change::events(events)).await.unwrap();
    let reviewing = Fact::AttemptReviewing { attempt_id };
    refused(&place, reviewing.clone(), "the attempt is leased, not verifying").await;
    let asked = |index, agent_id| Fact::ReviewAssigned { attempt_id, index, agent_id };
    let facts = vec![
        Fact::AttemptVerifying { attempt_id },
        reviewing.clone(),
        asked(1, wasp.id),
        asked(0, bee.id),
        // Another one is asked in place of the first.
        asked(0, wasp.id),
    ];
    tell(&place, facts).await.unwrap();
    let stored = place.ledger.attempt(attempt_id).await.unwrap().unwrap();
    assert!(stored.in_review && !stored.occupies_agent());
    assert_eq!(place.ledger.unfinished_attempts_of(bee.id).await.unwrap(), [stored]);
    let pending = async || place.ledger.pending_reviews().await.unwrap();
    assert_eq!(pending().await, [(attempt_id, 1, wasp.id), (attempt_id, 0, wasp.id)]);

    tell(&place, vec![Fact::GateFinished { attempt_id, result: answer(1) }]).await.unwrap();
    assert_eq!(pending().await, [(attempt_id, 0, wasp.id)]);
    assert_eq!(place.ledger.gate_results(attempt_id).await.unwrap().len(), 1);

    // What was reviewed has changed: its gates run again.
    tell(&place, vec![Fact::AttemptVerifying { attempt_id }]).await.unwrap();
    assert!(!place.ledger.attempt(attempt_id).await.unwrap().unwrap().in_review);
    assert_eq!(pending().await, [], "nobody is awaited for the work as it was");
    let ended = Fact::AttemptEnded { attempt_id, state: AttemptState::Accepted, note: None };
    tell(&place, vec![reviewing, ended]).await.unwrap();
    assert_eq!(pending().await, []);
    assert!(!place.ledger.attempt(attempt_id).await.unwrap().unwrap().in_review);
    refused(&place, asked(0, wasp.id), "the attempt is already accepted").await;
    // A late answer is kept all the same.
    tell(&place, vec![Fact::GateFinished { attempt_id, result: answer(0) }]).await.unwrap();
    assert_eq!(place.ledger.verify().await.unwrap().findings, []);
}

#[tokio::test]
async fn held_processes_and_checkpoints_belong_to_their_attempt() {
    let place = Place::new().await;
    let (bee, one) = (agent("bee"), mission("one"));
    let leased = attempt(one.id, bee.id, 1);
    let attempt_id = leased.id;
    let mut events = vec![added(&bee), created(&one)];
    events.push(event(about(one.id), Fact::AttemptLeased { attempt: leased }));
    place.ledger.commit(Change::events(events)).await.unwrap();
    let frozen = |frozen| Fact::AttemptFrozen { attempt_id, frozen };
    let held = async || place.ledger.attempt(attempt_id).await.unwrap().unwrap().frozen;
    tell(&place, vec![frozen(true)]).await.unwrap();
    assert!(held().await);
    tell(&place, vec![frozen(false)]).await.unwrap();
    assert!(!held().await);

    let checkpoint = |n| Checkpoint {
        id: CheckpointId::draw(now(), &mut Rising),
        mission_id: one.id,
        attempt_id,
        n,
        commit: "abc".into(),
        tree: "def".into(),
        uncommitted_files: 2,
        output_bytes: 3,
        note: "before the pause".into(),
        at: now(),
    };
    let (first, second) = (checkpoint(1), checkpoint(2));
    let made = |checkpoint: &Checkpoint| Fact::CheckpointMade { checkpoint: checkpoint.clone() };
    tell(&place, vec![made(&first), made(&second)]).await.unwrap();
    refused(&place, made(&checkpoint(2)), "contradicts what is stored").await;
    let both = [first.clone(), second];
    assert_eq!(place.ledger.checkpoints_of(attempt_id).await.unwrap(), both);
    assert_eq!(place.ledger.checkpoints_of_mission(one.id).await.unwrap(), both);
    assert_eq!(place.ledger.checkpoint(first.id).await.unwrap(), Some(first.clone()));
    let restored = |checkpoint_id| Fact::CheckpointRestored { checkpoint_id, before: "x".into() };
    tell(&place, vec![restored(first.id), frozen(true)]).await.unwrap();
    let never = CheckpointId::draw(now(), &mut Rising);
    refused(&place, restored(never), "there is no such checkpoint").await;

    let ended = Fact::AttemptEnded { attempt_id, state: AttemptState::Stopped, note: None };
    tell(&place, vec![ended]).await.unwrap();
    assert!(!held().await);
    refused(&place, frozen(true), "the attempt is already stopped").await;
    assert_eq!(place.ledger.verify().await.unwrap().findings, []);
}
