//! What is acknowledged is there, in order, once; lists, answers, outbox and cursors.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::clock::{Clock, ManualClock, SystemClock};
use model::devlog::Devlog;
use model::effect::{Effect, OutboxEntry};
use model::event::{Fact, Subject};
use model::id::{DevlogId, MissionId, SystemDraw};
use model::mission::MissionState;
use serde_json::json;
use store::ledger::CHANGE_EVENTS_MAX;
use store::{
    Change, CommitError, DevlogFilter, EventFilter, MissionFilter, ReadError, StoredAnswer,
};
use tokio::task::JoinSet;

use crate::support::*;

#[tokio::test]
async fn what_was_acknowledged_is_there_after_closing_and_opening_again() {
    let place = Place::new().await;
    let mission = mission("paint the shed");
    let committed = place.ledger.commit(creation(&mission)).await.unwrap();
    assert_eq!(committed.events[0].seq, 1);
    assert_eq!(committed.events[0].mission_seq, Some(1));
    let place = reopen(place.close().await).await.unwrap();
    let (read, brief) = place.ledger.mission(mission.id).await.unwrap().unwrap();
    assert_eq!(read, mission);
    assert_eq!(brief, "do paint the shed");
    let events = place.ledger.events_after(0, 10).await.unwrap();
    assert_eq!(events, [committed.events[0].as_ref().clone()]);
    assert!(place.ledger.verify().await.unwrap().is_sound());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_writers_at_once_leave_no_gap_in_any_numbering() {
    let place = Place::new().await;
    let mut published = place.ledger.subscribe();
    let mut writers = JoinSet::new();
    for writer in 0..64 {
        let ledger = place.ledger.clone();
        writers.spawn(async move {
            let mission = mission(&format!("writer {writer}"));
            let mut seqs = Vec::new();
            let mut commit = vec![creation(&mission)];
            for _ in 0..4 {
                commit.push(Change::events(vec![
                    moved(mission.id, MissionState::Draft, MissionState::Queued),
                    moved(mission.id, MissionState::Queued, MissionState::Draft),
                ]));
            }
            for change in commit {
                for event in ledger.commit(change).await.unwrap().events {
                    seqs.push((event.seq, event.mission_seq.unwrap()));
                }
            }
            seqs
        });
    }
    let mut all = BTreeSet::new();
    for seqs in writers.join_all().await {
        let places: Vec<u64> = seqs.iter().map(|(_, place)| *place).collect();
        assert_eq!(places, (1..=9).collect::<Vec<_>>());
        all.extend(seqs.iter().map(|(seq, _)| *seq));
    }
    assert_eq!(all, (1..=64 * 9).collect());
    for seq in 1..=64 * 9 {
        assert_eq!(published.recv().await.unwrap().seq, seq);
    }
    let status = place.ledger.status();
    assert_eq!((status.changes, status.head_seq), (64 * 5, 64 * 9));
    assert!(status.accepting && status.queued == 0 && status.wal_bytes > 0);
    assert!(status.groups < status.changes, "{status:?}");
    assert!(place.ledger.verify().await.unwrap().is_sound());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_conflict_takes_back_its_own_change_and_no_other_of_its_group() {
    let place = Place::new().await;
    let target = mission("target");
    place.ledger.commit(creation(&target)).await.unwrap();
    let mut writers = JoinSet::new();
    for n in 0..90 {
        let ledger = place.ledger.clone();
        let target = target.id;
        writers.spawn(async move {
            let mission = mission(&format!("m {n}"));
            let mut change = creation(&mission);
            if n % 3 == 0 {
                // The first event of this change is fine, the second is not.
                change.events.push(moved(target, MissionState::Running, MissionState::Done));
            }
            (n, mission.id, ledger.commit(change).await)
        });
    }
    for (n, id, result) in writers.join_all().await {
        let there = place.ledger.mission(id).await.unwrap().is_some();
        assert_eq!(there, n % 3 != 0, "{n}");
        match result {
            Ok(_) => assert_ne!(n % 3, 0),
            Err(CommitError::Conflict { what, reason }) => {
                assert_eq!(what, "mission_moved");
                assert_eq!(reason, "the mission is draft, not running");
                assert_eq!(n % 3, 0);
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(place.ledger.counts().await.unwrap().events, 61);
    assert!(place.ledger.verify().await.unwrap().is_sound());
}

#[tokio::test]
async fn facts_that_do_not_fit_are_refused_in_words() {
    let place = Place::new().await;
    let (bee, other) = (agent("Bee"), agent("bEE"));
    let draft = mission("one");
    place.ledger.commit(Change::events(vec![added(&bee), created(&draft)])).await.unwrap();
    let lease = |n| Fact::AttemptLeased { attempt: attempt(draft.id, bee.id, n) };
    let nobody = mission("never created").id;
    let check = async |fact: Fact, words: &str| {
        let change = Change::events(vec![event(about(draft.id), fact)]);
        let error = place.ledger.commit(change).await.unwrap_err();
        assert!(matches!(error, CommitError::Conflict { .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    };
    check(Fact::AgentAdded { agent: other }, "contradicts what is stored").await;
    check(lease(2), "attempt 2 does not follow attempt 0").await;
    check(
        Fact::AttemptLeased { attempt: attempt(nobody, bee.id, 1) },
        "contradicts what is stored",
    )
    .await;
    check(
        Fact::AttemptStopping { attempt_id: attempt(draft.id, bee.id, 1).id },
        "there is no such attempt",
    )
    .await;
    check(Fact::MissionRemoved { mission_id: nobody }, "no such mission").await;
    place.ledger.commit(Change::events(vec![event(about(draft.id), lease(1))])).await.unwrap();
    // The second lease has the right number, but the first one is still live.
    check(lease(2), "contradicts what is stored").await;
    assert_eq!(place.ledger.counts().await.unwrap().events, 3);
}

#[tokio::test]
async fn a_known_key_gives_the_first_answer_again_and_refuses_another_request() {
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    let place = Place::with(clock.clone()).await;
    let answer = |fingerprint: u8, body| StoredAnswer {
        key: "k-1".to_owned(),
        fingerprint: [fingerprint; 32],
        body,
    };
    let change = |answer| Change { answer: Some(answer), ..creation(&mission("once")) };
    let first = change(answer(1, json!({"id": 1})));
    let committed = place.ledger.commit(first).await.unwrap();
    assert_eq!((committed.events.len(), committed.replayed), (1, None));

    let again = change(answer(1, json!({"id": 2})));
    let replayed = place.ledger.commit(again).await.unwrap();
    assert!(replayed.events.is_empty());
    assert_eq!(replayed.replayed.unwrap().body, json!({"id": 1}));

    let other = change(answer(2, json!({"id": 3})));
    let refused = place.ledger.commit(other).await.unwrap_err();
    assert!(matches!(refused, CommitError::KeyReused), "{refused}");
    assert_eq!(place.ledger.counts().await.unwrap().events, 1);
    assert!(place.ledger.answer("k-1").await.unwrap().is_some());

    clock.advance(jiff::SignedDuration::from_hours(25));
    assert_eq!(place.ledger.answer("k-1").await.unwrap(), None);
    let late = change(answer(2, json!({"id": 4})));
    assert_eq!(place.ledger.commit(late).await.unwrap().replayed, None);
    assert_eq!(place.ledger.answer("k-1").await.unwrap().unwrap().body, json!({"id": 4}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_request_sent_by_many_at_once_is_written_once() {
    let place = Place::new().await;
    let mut clients = JoinSet::new();
    for n in 0..50 {
        let ledger = place.ledger.clone();
        clients.spawn(async move {
            let mission = mission("the same");
            let answer = StoredAnswer {
                key: format!("key {}", n % 5),
                fingerprint: [7; 32],
                body: json!({"id": mission.id}),
            };
            let change = Change { answer: Some(answer.clone()), ..creation(&mission) };
            let done = ledger.commit(change).await.unwrap();
            (n % 5, done.replayed.map_or(answer.body, |known| known.body))
        });
    }
    let mut bodies = BTreeMap::<_, BTreeSet<String>>::new();
    for (key, body) in clients.join_all().await {
        bodies.entry(key).or_default().insert(body.to_string());
    }
    assert!(bodies.values().all(|answers| answers.len() == 1), "{bodies:?}");
    assert_eq!(place.ledger.counts().await.unwrap().events, 5);
}

#[tokio::test]
async fn an_effect_waits_in_the_outbox_until_it_is_delivered_once() {
    let place = Place::new().await;
    let attempt_id = attempt(mission("x").id, agent("a").id, 1).id;
    let entries: Vec<_> = (0..3)
        .map(|_| OutboxEntry { id: effect_id(), effect: Effect::Stop { attempt_id } })
        .collect();
    let change = Change { effects: entries.clone(), ..Change::default() };
    place.ledger.commit(change).await.unwrap();
    assert_eq!(place.ledger.outbox(10).await.unwrap(), entries);
    assert_eq!(place.ledger.outbox(2).await.unwrap(), entries[..2]);
    let delivered = |id| Change {
        delivered: vec![id],
        events: vec![event(Subject::default(), Fact::EngineStopped)],
        ..Change::default()
    };
    place.ledger.commit(delivered(entries[1].id)).await.unwrap();
    let left = [entries[0].clone(), entries[2].clone()];
    assert_eq!(place.ledger.outbox(10).await.unwrap(), left);
    let twice = place.ledger.commit(delivered(entries[1].id)).await;
    assert!(matches!(twice.unwrap_err(), CommitError::Conflict { what: "outbox", .. }));
    assert_eq!(place.ledger.counts().await.unwrap().events, 1);
}

#[tokio::test]
async fn a_follower_moves_forward_only_and_never_beyond_the_log() {
    let place = Place::new().await;
    for n in 0..3 {
        let change = creation(&mission(&format!("m{n}")));
        place.ledger.commit(change).await.unwrap();
    }
    let step = |seq| Change { cursor: Some(("journal".to_owned(), seq)), ..Change::default() };
    assert_eq!(place.ledger.cursor("journal").await.unwrap(), 0);
    place.ledger.commit(step(2)).await.unwrap();
    assert_eq!(place.ledger.cursor("journal").await.unwrap(), 2);
    for seq in [1, 2, 4] {
        let error = place.ledger.commit(step(seq)).await.unwrap_err();
        assert!(matches!(error, CommitError::Conflict { what: "cursor", .. }), "{seq}: {error}");
    }
    place.ledger.commit(step(3)).await.unwrap();
}

#[tokio::test]
async fn pages_list_every_mission_exactly_once_newest_first() {
    let place = Place::new().await;
    let mut ids = Vec::new();
    for n in 0..57 {
        let mut mission = mission(&format!("mission {n} of Ünï%code_x"));
        if n % 4 == 0 {
            mission.state = MissionState::Queued;
        }
        ids.push((mission.id, mission.state, mission.short_id.clone()));
        place.ledger.commit(creation(&mission)).await.unwrap();
    }
    ids.sort_unstable_by_key(|(id, ..)| std::cmp::Reverse(*id));
    let check = async |filter: MissionFilter, expected: Vec<MissionId>| {
        let mut seen = Vec::new();
        let mut cursor = None;
        loop {
            let page = place
                .ledger
                .missions(MissionFilter { cursor, limit: 10, ..filter.clone() })
                .await
                .unwrap();
            assert!(page.items.len() <= 10);
            seen.extend(page.items.iter().map(|mission| mission.id));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, expected, "{filter:?}");
    };
    let all: Vec<_> = ids.iter().map(|(id, ..)| *id).collect();
    let states = |wanted: &[MissionState]| {
        let wanted = wanted.to_vec();
        ids.iter()
            .filter(move |(_, state, _)| wanted.contains(state))
            .map(|(id, ..)| *id)
            .collect::<Vec<_>>()
    };
    let text =
        |text: &str| MissionFilter { text: Some(text.to_owned()), ..MissionFilter::default() };
    let of = |states: &[MissionState]| MissionFilter {
        states: states.to_vec(),
        ..MissionFilter::default()
    };
    let queued = [MissionState::Queued];
    let both = [MissionState::Queued, MissionState::Draft, MissionState::Queued];
    check(MissionFilter::default(), all.clone()).await;
    check(of(&queued), states(&queued)).await;
    check(of(&both), all.clone()).await;
    check(of(&[MissionState::Done]), Vec::new()).await;
    check(text("ÜNÏ%CODE_"), all.clone()).await;
    check(text("Ünï_code"), Vec::new()).await;
    check(text("%x"), Vec::new()).await;
    check(text(ids[9].2.as_str()), vec![ids[9].0]).await;
    let bad = place.ledger.missions(MissionFilter {
        cursor: Some("' OR 1=1".to_owned()),
        ..MissionFilter::default()
    });
    assert!(matches!(bad.await, Err(ReadError::BadCursor { .. })));
    let found = place.ledger.find_missions(ids[3].2.as_str(), 5).await;
    assert_eq!(found.unwrap()[0].id, ids[3].0);
    assert_eq!(place.ledger.find_missions("M-", 500).await.unwrap().len(), 57);
    assert!(place.ledger.short_id_taken(&ids[3].2).await.unwrap());
}

#[tokio::test]
async fn events_are_found_by_what_they_are_about_and_by_kind() {
    let place = Place::new().await;
    let bee = agent("bee");
    let (one, two) = (mission("one"), mission("two"));
    let mut events = vec![added(&bee), created(&one), created(&two)];
    for _ in 0..7 {
        events.push(moved(one.id, MissionState::Draft, MissionState::Queued));
        events.push(moved(one.id, MissionState::Queued, MissionState::Draft));
    }
    place.ledger.commit(Change::events(events)).await.unwrap();
    let check = async |filter: EventFilter, seqs: Vec<u64>| {
        let mut seen = Vec::new();
        let mut cursor = None;
        loop {
            let filter = EventFilter { cursor, limit: 4, ..filter.clone() };
            let page = place.ledger.events(filter).await.unwrap();
            seen.extend(page.items.iter().map(|event| event.seq));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, seqs, "{filter:?}");
    };
    let kinds = |kinds: &[&str]| kinds.iter().map(|kind| (*kind).to_owned()).collect();
    check(EventFilter::default(), (1..=17).rev().collect()).await;
    let of_two = EventFilter { mission_id: Some(two.id), ..EventFilter::default() };
    check(of_two, vec![3]).await;
    let of_bee = EventFilter { agent_id: Some(bee.id), ..EventFilter::default() };
    check(of_bee, vec![1]).await;
    let creations =
        EventFilter { kinds: kinds(&["mission_created", "agent_added"]), ..EventFilter::default() };
    check(creations, vec![3, 2, 1]).await;
    let moves_of_one = EventFilter {
        mission_id: Some(one.id),
        kinds: kinds(&["mission_moved", "agent_added"]),
        ..EventFilter::default()
    };
    check(moves_of_one, (4..=17).rev().collect()).await;
}

#[tokio::test]
async fn a_page_of_huge_events_is_bounded_in_bytes() {
    let place = Place::new().await;
    for n in 0..12 {
        let mission = mission(&format!("m{n}"));
        let fact =
            Fact::MissionCreated { mission: mission.clone(), brief: "x".repeat(1024 * 1024) };
        let change = Change::events(vec![event(about(mission.id), fact)]);
        place.ledger.commit(change).await.unwrap();
    }
    let first = place.ledger.events_after(0, 500).await.unwrap();
    assert_eq!(first.len(), 7);
    let rest = place.ledger.events_after(7, 500).await.unwrap();
    assert_eq!(rest.len(), 5);
    let page = place.ledger.events(EventFilter { limit: 500, ..EventFilter::default() });
    let page = page.await.unwrap();
    assert_eq!((page.items.len(), page.next.as_deref()), (7, Some("6")));
}

#[tokio::test]
async fn devlogs_are_listed_by_time_and_removed_ones_are_not() {
    let place = Place::new().await;
    let mission = mission("told");
    place.ledger.commit(creation(&mission)).await.unwrap();
    let start = now();
    let mut logs = Vec::new();
    for n in 0..25_i64 {
        let devlog = Devlog {
            id: DevlogId::draw(now(), &mut SystemDraw),
            mission_id: mission.id,
            short_id: mission.short_id.clone(),
            attempt_id: None,
            agent_id: None,
            title: format!("entry {n}"),
            markdown: "# Entry".to_owned(),
            demo: false,
            // Pairs share a time, so that the id has to break the tie.
            at: start + jiff::SignedDuration::from_secs(n / 2),
        };
        let fact = Fact::DevlogWritten { devlog: devlog.clone() };
        let change = Change::events(vec![event(about(mission.id), fact)]);
        place.ledger.commit(change).await.unwrap();
        logs.push(devlog);
    }
    let gone = logs.remove(4);
    let fact = Fact::DevlogRemoved { devlog_id: gone.id };
    let change = Change::events(vec![event(about(mission.id), fact)]);
    place.ledger.commit(change).await.unwrap();
    logs.sort_unstable_by_key(|log| std::cmp::Reverse((log.at, log.id)));
    let mut seen = Vec::new();
    let mut filter =
        DevlogFilter { mission_id: Some(mission.id), limit: 4, ..DevlogFilter::default() };
    loop {
        let page = place.ledger.devlogs(filter.clone()).await.unwrap();
        seen.extend(page.items);
        filter.cursor = page.next;
        if filter.cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, logs);
    assert_eq!(place.ledger.devlog(gone.id).await.unwrap(), None);
    let window = DevlogFilter {
        from: Some(start + jiff::SignedDuration::from_secs(3)),
        to: Some(start + jiff::SignedDuration::from_secs(5)),
        limit: 100,
        ..DevlogFilter::default()
    };
    assert_eq!(place.ledger.devlogs(window).await.unwrap().items.len(), 4);
    assert!(place.ledger.verify().await.unwrap().is_sound());
}

#[tokio::test]
async fn removed_missions_and_agents_leave_the_lists_and_stay_known() {
    let place = Place::new().await;
    let (bee, gone) = (agent("bee"), mission("gone"));
    let events = vec![
        added(&bee),
        created(&gone),
        event(about(gone.id), Fact::MissionRemoved { mission_id: gone.id }),
        event(Subject::default(), Fact::AgentRemoved { agent_id: bee.id }),
        // The name is free again.
        added(&agent("BEE")),
    ];
    place.ledger.commit(Change::events(events)).await.unwrap();
    assert_eq!(place.ledger.agents().await.unwrap().len(), 1);
    assert_eq!(place.ledger.agent(bee.id).await.unwrap(), None);
    assert_eq!(place.ledger.agent_ever(bee.id).await.unwrap(), Some(bee));
    let filter = MissionFilter { limit: 10, ..MissionFilter::default() };
    assert!(place.ledger.missions(filter).await.unwrap().items.is_empty());
    assert!(place.ledger.unfinished_missions().await.unwrap().is_empty());
    assert_eq!(place.ledger.mission(gone.id).await.unwrap(), None);
    assert!(place.ledger.mission_ever(gone.id).await.unwrap().is_some());
    assert!(place.ledger.short_id_taken(&gone.short_id).await.unwrap());
    let counts = place.ledger.counts().await.unwrap();
    assert_eq!((counts.agents, counts.missions.len()), (1, 0));
}

#[tokio::test]
async fn what_waits_when_the_ledger_closes_is_still_written() {
    let place = Place::new().await;
    let mut writers = JoinSet::new();
    for n in 0..100 {
        let ledger = place.ledger.clone();
        writers.spawn(async move { ledger.commit(creation(&mission(&format!("{n}")))).await });
    }
    tokio::task::yield_now().await;
    place.ledger.close().await;
    let written = writers
        .join_all()
        .await
        .into_iter()
        .filter(|result| match result {
            Ok(_) => true,
            Err(CommitError::Closed) => false,
            Err(other) => panic!("{other}"),
        })
        .count();
    let late = place.ledger.commit(creation(&mission("late"))).await;
    assert!(matches!(late, Err(CommitError::Closed)));
    assert!(matches!(place.ledger.agents().await, Err(ReadError::Closed { .. })));
    let place = reopen(place.close().await).await.unwrap();
    let counts = place.ledger.counts().await.unwrap();
    assert_eq!(counts.events, written as u64);
}

#[tokio::test]
async fn a_change_with_too_many_events_is_refused() {
    let place = Place::new().await;
    let many = |n| {
        let stopped = || event(Subject::default(), Fact::EngineStopped);
        Change::events((0..n).map(|_| stopped()).collect())
    };
    let refused = place.ledger.commit(many(CHANGE_EVENTS_MAX + 1)).await;
    assert!(matches!(refused, Err(CommitError::TooLarge { .. })));
    place.ledger.commit(many(CHANGE_EVENTS_MAX)).await.unwrap();
}
