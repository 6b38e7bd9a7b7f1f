//! Lists of missions by what they have in common, and attempts as experience.

use jiff::SignedDuration;
use model::attempt::{AttemptState, Workplace};
use model::event::{Fact, NewEvent, Subject};
use model::id::{AgentId, AttemptId, MissionId, TrashId};
use model::mission::{Mission, MissionState};
use model::process::{Exit, ExitRecord};
use model::trash::{TrashEnd, TrashItem, TrashKind};
use store::ledger::{TEXT_BYTES_MAX, TEXTS_MAX};
use store::{Change, CommitError, MissionFilter, MissionStanding};

use crate::support::*;

async fn listed(place: &Place, filter: MissionFilter) -> Vec<MissionId> {
    let filter = MissionFilter { limit: 100, ..filter };
    let page = place.ledger.missions(filter).await.unwrap();
    page.items.iter().map(|mission| mission.id).collect()
}

#[tokio::test]
async fn missions_are_found_by_label_repository_policy_and_external_id() {
    let place = Place::new().await;
    let mut one = mission("one");
    one.labels = vec!["parser".into(), "ünï \"q\"".into(), "parser".into()];
    one.external_id = Some("GH-17".into());
    let mut two = mission("two");
    two.labels = vec!["parser".into()];
    two.policy = "nightly".into();
    two.repository = Some("/srv/other".into());
    let events = vec![created(&one), created(&two)];
    place.ledger.commit(Change::events(events)).await.unwrap();
    let label = |label: &str| MissionFilter { label: Some(label.into()), ..Default::default() };
    let text = |text: &str| MissionFilter { text: Some(text.into()), ..Default::default() };
    let repository =
        |path: &str| MissionFilter { repository: Some(path.into()), ..Default::default() };
    let policy = |name: &str| MissionFilter { policy: Some(name.into()), ..Default::default() };
    let check = async |filter: MissionFilter, ids: &[MissionId]| {
        assert_eq!(listed(&place, filter.clone()).await, ids, "{filter:?}");
    };
    check(label("parser"), &[two.id, one.id]).await;
    check(label("ünï \"q\""), &[one.id]).await;
    check(label("pars"), &[]).await;
    check(text("gh-1"), &[one.id]).await;
    check(repository("/srv/other"), &[two.id]).await;
    check(policy("nightly"), &[two.id]).await;
    check(MissionFilter { agent: None, ..label("parser") }, &[two.id, one.id]).await;
    let both = MissionFilter { policy: Some("nightly".into()), ..label("ünï \"q\"") };
    check(both, &[]).await;

    // What is changed is found by what it is now; what is removed is not found.
    one.labels = vec!["docs".into()];
    let changed = Fact::MissionChanged { mission: one.clone(), brief: None };
    let removed = Fact::MissionRemoved { mission_id: two.id };
    let events = vec![event(about(one.id), changed), event(about(two.id), removed)];
    place.ledger.commit(Change::events(events)).await.unwrap();
    check(label("parser"), &[]).await;
    check(label("docs"), &[one.id]).await;
    check(policy("nightly"), &[]).await;
    assert_eq!(place.ledger.verify().await.unwrap().findings, []);
}

#[tokio::test]
async fn an_external_id_names_one_mission_until_that_is_removed() {
    let place = Place::new().await;
    let imported = |title: &str| {
        let mut mission = mission(title);
        mission.external_id = Some("JIRA-9".into());
        mission
    };
    let (first, second) = (imported("first"), imported("second"));
    place.ledger.commit(creation(&first)).await.unwrap();
    let refused = place.ledger.commit(creation(&second)).await;
    assert!(matches!(refused, Err(CommitError::Conflict { what: "mission_created", .. })));
    let found = place.ledger.mission_by_external_id("JIRA-9").await.unwrap();
    assert_eq!(found.unwrap(), (first.clone(), "do first".to_owned()));
    assert_eq!(place.ledger.mission_by_external_id("JIRA-10").await.unwrap(), None);

    let removed = event(about(first.id), Fact::MissionRemoved { mission_id: first.id });
    let events = vec![removed, created(&second)];
    place.ledger.commit(Change::events(events)).await.unwrap();
    let found = place.ledger.mission_by_external_id("JIRA-9").await.unwrap();
    assert_eq!(found.unwrap().0.id, second.id);
    let restored = event(about(first.id), Fact::MissionRestored { mission_id: first.id });
    let refused = place.ledger.commit(Change::events(vec![restored])).await;
    assert!(matches!(refused, Err(CommitError::Conflict { what: "mission_restored", .. })));
}

#[tokio::test]
async fn a_removed_mission_comes_back_as_it_was_and_is_counted_again() {
    let place = Place::new().await;
    let mut back = mission("back");
    back.labels = vec!["x".into()];
    place.ledger.commit(creation(&back)).await.unwrap();
    let restored = || event(about(back.id), Fact::MissionRestored { mission_id: back.id });
    let refused = place.ledger.commit(Change::events(vec![restored()])).await.unwrap_err();
    assert!(refused.to_string().contains("the mission is not removed"), "{refused}");

    let removed = event(about(back.id), Fact::MissionRemoved { mission_id: back.id });
    place.ledger.commit(Change::events(vec![removed])).await.unwrap();
    assert!(place.ledger.counts().await.unwrap().missions.is_empty());
    let standing = |removed| MissionStanding {
        id: back.id,
        short_id: back.short_id.clone(),
        state: MissionState::Draft,
        removed,
    };
    let asked = [back.id, mission("never").id];
    assert_eq!(place.ledger.mission_states(&asked).await.unwrap(), [standing(true)]);

    place.ledger.commit(Change::events(vec![restored()])).await.unwrap();
    assert_eq!(place.ledger.mission_states(&asked).await.unwrap(), [standing(false)]);
    assert_eq!(place.ledger.mission(back.id).await.unwrap().unwrap().0, back);
    assert_eq!(place.ledger.counts().await.unwrap().missions[&MissionState::Draft], 1);
    assert!(place.ledger.verify().await.unwrap().is_sound());
}

#[tokio::test]
async fn dependents_are_the_unfinished_missions_that_wait() {
    let place = Place::new().await;
    let first = mission("first");
    let needs = |title: &str, state| {
        let mut mission = mission(title);
        mission.depends_on = vec![model_id(), first.id];
        mission.state = state;
        mission
    };
    let waiting = needs("waiting", MissionState::Queued);
    let over = needs("over", MissionState::Cancelled);
    let gone = needs("gone", MissionState::Draft);
    let mut events: Vec<_> = [&first, &waiting, &over, &gone].map(created).to_vec();
    events.push(event(about(gone.id), Fact::MissionRemoved { mission_id: gone.id }));
    place.ledger.commit(Change::events(events)).await.unwrap();
    assert_eq!(place.ledger.dependents_of(first.id).await.unwrap(), [waiting.id]);
    assert_eq!(place.ledger.dependents_of(waiting.id).await.unwrap(), []);
}

fn model_id() -> MissionId {
    MissionId::draw(now(), &mut Rising)
}

#[tokio::test]
async fn texts_are_the_newest_of_what_is_unfinished_then_of_what_is_over_and_are_bounded() {
    let place = Place::new().await;
    let mut done = mission("done");
    done.state = MissionState::Done;
    let (first, long) = (mission("first"), mission("long"));
    let brief = format!("a{}", "ü".repeat(TEXT_BYTES_MAX));
    let fact = Fact::MissionCreated { mission: long.clone(), brief };
    let mut gone = mission("gone");
    gone.state = MissionState::Queued;
    let removed = event(about(gone.id), Fact::MissionRemoved { mission_id: gone.id });
    let events =
        vec![created(&first), event(about(long.id), fact), created(&done), created(&gone), removed];
    place.ledger.commit(Change::events(events)).await.unwrap();
    let texts = place.ledger.texts(u32::MAX).await.unwrap();
    let ids: Vec<_> = texts.iter().map(|text| text.id).collect();
    assert_eq!(ids, [long.id, first.id, done.id]);
    // An odd byte in front: the cut falls into a character, which goes as a whole.
    assert_eq!(texts[0].brief.len(), TEXT_BYTES_MAX - 1);
    assert_eq!((texts[2].brief.as_str(), texts[2].state), ("do done", MissionState::Done));
    let some = place.ledger.texts(2).await.unwrap();
    assert_eq!(some, texts[..2]);

    let many = |n: u32, state| {
        (0..n).map(move |n| {
            let mut mission = mission(&format!("{state} {n}"));
            mission.state = state;
            created(&mission)
        })
    };
    let finished: Vec<NewEvent> = many(TEXTS_MAX.1, MissionState::Failed).collect();
    place.ledger.commit(Change::events(finished)).await.unwrap();
    let texts = place.ledger.texts(u32::MAX).await.unwrap();
    assert_eq!(texts.len(), 2 + TEXTS_MAX.1 as usize);
    assert!(texts.iter().all(|text| text.id != done.id), "the newest finished ones");
}

/// The facts of an attempt that ran for some seconds.
fn run(
    mission: &Mission,
    agent: AgentId,
    n: u32,
    (seconds, end): (i64, AttemptState),
) -> (AttemptId, Vec<NewEvent>) {
    let leased = attempt(mission.id, agent, n);
    let attempt_id = leased.id;
    let process = process(40);
    let ended_at = process.started_at + SignedDuration::from_secs(seconds);
    let exit = Exit::Code { code: 0 };
    let record = ExitRecord { cpu_ms: 1, memory_peak_bytes: 1, ..ExitRecord::bare(exit, ended_at) };
    let workplace = Workplace {
        directory: "/tmp/\",\"branch\":\"w".into(),
        branch: Some("hive/x".into()),
        base_commit: None,
        uncommitted_files: 0,
    };
    let facts = [
        Fact::AttemptLeased { attempt: leased },
        Fact::AttemptPrepared { attempt_id, workplace },
        Fact::AttemptStarted { attempt_id, process },
        Fact::AttemptExited { attempt_id, record },
        Fact::AttemptEnded { attempt_id, state: end, note: None },
    ];
    (attempt_id, facts.into_iter().map(|fact| event(about(mission.id), fact)).collect())
}

#[tokio::test]
async fn past_attempts_say_who_did_what_how_long_and_whether_it_counted() {
    let place = Place::new().await;
    let (bee, wasp) = (agent("bee"), agent("wasp"));
    let mut one = mission("one");
    one.labels = vec!["parser".into()];
    let events = vec![added(&bee), added(&wasp), created(&one)];
    place.ledger.commit(Change::events(events)).await.unwrap();
    let ends = [
        (bee.id, (5, AttemptState::Rejected)),
        (bee.id, (7, AttemptState::Stopped)),
        (wasp.id, (9, AttemptState::Lost)),
        (bee.id, (11, AttemptState::Accepted)),
    ];
    for (n, (agent, end)) in ends.into_iter().enumerate() {
        let (_, events) = run(&one, agent, u32::try_from(n).unwrap() + 1, end);
        place.ledger.commit(Change::events(events)).await.unwrap();
    }
    let past = place.ledger.past(10).await.unwrap();
    let told: Vec<_> =
        past.iter().map(|past| (past.agent_id, past.seconds, past.accepted)).collect();
    assert_eq!(told, [(bee.id, 11.0, true), (wasp.id, 9.0, false), (bee.id, 5.0, false)]);
    assert!(past.iter().all(|past| past.labels == ["parser"] && past.mission_id == one.id));
    assert_eq!(place.ledger.past(1).await.unwrap(), past[..1]);
    let counts = place.ledger.counts_by_agent().await.unwrap();
    let counts: Vec<_> = counts.iter().map(|c| (c.agent_id, c.accepted, c.ended)).collect();
    assert_eq!(counts, [(bee.id, 1, 2), (wasp.id, 0, 1)]);
    assert!(place.ledger.verify().await.unwrap().is_sound());
}

#[tokio::test]
async fn worktrees_are_listed_until_they_are_in_the_trash_and_again_when_restored() {
    let place = Place::new().await;
    let (bee, one) = (agent("bee"), mission("one"));
    place.ledger.commit(Change::events(vec![added(&bee), created(&one)])).await.unwrap();
    let mut ids = Vec::new();
    for n in 1..=3 {
        let (id, events) = run(&one, bee.id, n, (1, AttemptState::Rejected));
        place.ledger.commit(Change::events(events)).await.unwrap();
        ids.insert(0, id);
    }
    // Without a branch there is no worktree, whatever the directory is called.
    let (plain, mut events) = run(&one, bee.id, 4, (1, AttemptState::Rejected));
    if let Fact::AttemptPrepared { workplace, .. } = &mut events[1].fact {
        workplace.branch = None;
    }
    place.ledger.commit(Change::events(events)).await.unwrap();
    let listed = async || {
        let mut seen = Vec::new();
        let mut cursor = None;
        loop {
            let page = place.ledger.worktrees(cursor.as_deref(), 1).await.unwrap();
            seen.extend(page.items.iter().map(|attempt| attempt.id));
            cursor = page.next;
            if cursor.is_none() {
                return seen;
            }
        }
    };
    assert_eq!(listed().await, ids);
    assert!(!ids.contains(&plain));

    let item = |attempt| TrashItem {
        id: TrashId::draw(now(), &mut Rising),
        kind: TrashKind::Worktree,
        mission_id: one.id,
        attempt: Some(attempt),
        title: "worktree".into(),
        path: Some("/tmp/w".into()),
        repository: None,
        branch: None,
        bytes: 1,
        at: now(),
        until: now(),
    };
    let (back, purged) = (item(3), item(1));
    let facts = [&back, &purged].map(|item| Fact::Trashed { item: item.clone() });
    let trashed = facts.map(|fact| event(Subject::default(), fact)).to_vec();
    place.ledger.commit(Change::events(trashed)).await.unwrap();
    assert_eq!(listed().await, ids[1..2]);
    let ends = [(back.id, TrashEnd::Restored), (purged.id, TrashEnd::Purged)];
    let ends =
        ends.map(|(trash_id, end)| event(Subject::default(), Fact::TrashEmptied { trash_id, end }));
    place.ledger.commit(Change::events(ends.to_vec())).await.unwrap();
    assert_eq!(listed().await, ids[..2]);
}
