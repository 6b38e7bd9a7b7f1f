//! Work in review: its devlog, the short entry that follows, and the days in between.

use jiff::civil::date;
use jiff::tz::TimeZone;
use journal::{Format, ReportOf, devlog_id, report};
use model::attempt::{AttemptState, Checkpoint};
use model::devlog::Devlog;
use model::event::{Fact, Subject};
use model::mission::{Handoff, Merge, MergeHow};
use store::DevlogFilter;

use crate::follower::{Running, caught_up};
use crate::world::{Words, World, agent_id, attempt_id, mission_id, subject};

const FIRST: (u8, u8, u8, u32) = (1, 1, 1, 1);

async fn in_review() -> World {
    let world = World::open().await;
    world.add_agent(1, "hive-1").await;
    world.add_mission(1, &Words::default()).await;
    world.reviewing(FIRST).await;
    world
}

fn merge(world: &World) -> Fact {
    let merge = Merge {
        attempt: 1,
        reviewed: "fedcba9876543210".into(),
        target: "main".into(),
        commit: "00112233445566".into(),
        how: MergeHow::Squash,
        at: world.now(),
    };
    Fact::WorkMerged { mission_id: mission_id(1), merge }
}

/// Every devlog, oldest first.
async fn told(world: &World) -> Vec<Devlog> {
    let filter = DevlogFilter { limit: 100, ..DevlogFilter::default() };
    let mut found = world.ledger.devlogs(filter).await.unwrap().items;
    found.reverse();
    found
}

fn titles(devlogs: &[Devlog]) -> Vec<&str> {
    devlogs.iter().map(|devlog| devlog.title.rsplit(" — ").next().unwrap()).collect()
}

#[tokio::test]
async fn work_that_goes_to_review_is_told_then_and_again_shortly_when_it_is_merged() {
    let world = in_review().await;
    let running = Running::start(&world);
    caught_up(&world).await;
    let found = told(&world).await;
    assert_eq!(titles(&found), ["in review"]);
    assert_eq!(found[0].id, devlog_id(attempt_id(1)));
    let first = &found[0].markdown;
    assert!(first.contains("Attempt 1 by hive-1 is in review after 20 s."), "{first}");
    assert!(first.contains("| Ended | not yet; in review since 2026-11-20"), "{first}");

    world.pass(3_600);
    let before = vec![merge(&world)];
    world.reviewed(FIRST, AttemptState::Accepted, before).await;
    caught_up(&world).await;
    running.stop().await;
    let found = told(&world).await;
    assert_eq!(titles(&found), ["in review", "merged"]);
    insta::assert_snapshot!(found[1].markdown, @r"
    # M-1800 · Fix the parser — merged

    The work of attempt 1 by hive-1 was merged.

    | | |
    |---|---|
    | Evidence | accepted by the captain |
    | In review for | 1 h 0 min |
    | Merged | `fedcba9876` squashed into one commit onto `main` as `0011223344`, 2026-11-20 10:58:20 UTC |
    ");
}

#[tokio::test]
async fn two_journals_that_start_late_and_again_tell_of_a_review_once() {
    let world = in_review().await;
    world.pass(60);
    world.reviewed(FIRST, AttemptState::Accepted, Vec::new()).await;
    // Merged later, when the mission was already done.
    world.pass(60);
    world.facts(subject(1, 1, 1), vec![merge(&world)]).await;
    let (one, two) = (Running::start(&world), Running::start(&world));
    caught_up(&world).await;
    one.stop().await;
    two.stop().await;
    let again = Running::start(&world);
    caught_up(&world).await;
    again.stop().await;
    let found = told(&world).await;
    assert_eq!(found.len(), 3, "{:?}", titles(&found));
    let mut short = found.iter().filter(|devlog| devlog.id != devlog_id(attempt_id(1)));
    assert!(short.all(|devlog| devlog.markdown.contains("onto `main`")));
}

#[tokio::test]
async fn work_that_is_sent_back_says_what_is_to_be_changed() {
    let world = in_review().await;
    let running = Running::start(&world);
    caught_up(&world).await;
    world.pass(120);
    let handoff = Handoff {
        from: 1,
        agent_id: agent_id(1),
        commit: Some("fedcba9876543210".into()),
        text: "Handle `\\r\\n` too.\n# not a heading".into(),
        at: world.now(),
    };
    let written = Fact::HandoffWritten { mission_id: mission_id(1), handoff: Some(handoff) };
    world.reviewed(FIRST, AttemptState::Rejected, vec![written]).await;
    caught_up(&world).await;
    running.stop().await;
    let found = told(&world).await;
    assert_eq!(titles(&found), ["in review", "sent back"]);
    let text = &found[1].markdown;
    assert!(text.contains("From attempt 1; the next one goes on from `fedcba9876`."), "{text}");
    assert!(text.contains("```text\nHandle `\\r\\n` too.\n# not a heading\n```"), "{text}");
    assert!(text.contains("| command: cargo test | passed |"), "{text}");
}

#[tokio::test]
async fn a_day_tells_of_halts_reviews_and_merges_and_waiting_for_an_answer_is_not_being_busy() {
    let world = in_review().await;
    let checkpoint = Checkpoint {
        id: "0198c0de-0000-7000-8000-000000000401".parse().unwrap(),
        mission_id: mission_id(1),
        attempt_id: attempt_id(1),
        n: 1,
        commit: "abcdef0123456789".into(),
        tree: "t".into(),
        uncommitted_files: 1,
        output_bytes: 2,
        note: "before the pause".into(),
        at: world.now(),
    };
    world.facts(subject(1, 1, 1), vec![Fact::CheckpointMade { checkpoint }]).await;
    let halted = Fact::SwarmHalted { note: Some("too | hot".into()), at: world.now() };
    world.facts(Subject::default(), vec![halted]).await;
    world.pass(60);
    world.facts(Subject::default(), vec![Fact::SwarmResumed]).await;
    // Two days later.
    world.pass(2 * 86_400);
    let merged = vec![merge(&world)];
    world.reviewed(FIRST, AttemptState::Accepted, merged).await;

    let day = async |of, format| {
        let (ledger, telemetry, utc) = (&world.ledger, &world.telemetry, TimeZone::UTC);
        report(ledger, telemetry, of, format, &utc, world.now()).await.unwrap().body
    };
    let friday = day(ReportOf::Day(date(2026, 11, 20)), Format::Markdown).await;
    let expect = [
        "| Work | 1 went to review, 1 checkpoint made |",
        "| Swarm | halted at 09:58:20 (too \\| hot), resumed at 09:59:20 |",
        "| hive-1 | 1 | 20 s |",
    ];
    for row in expect {
        assert!(friday.contains(row), "{row} in {friday}");
    }
    let sunday = day(ReportOf::Day(date(2026, 11, 22)), Format::Markdown).await;
    assert!(sunday.contains("| Work | 1 merged |"), "{sunday}");
    assert!(sunday.contains("No agent held a mission."), "{sunday}");
    let mission = day(ReportOf::Mission(mission_id(1)), Format::Markdown).await;
    for row in ["| Attempts | 1, together 20 s |", "| Merged | `fedcba9876` squashed"] {
        assert!(mission.contains(row), "{row} in {mission}");
    }
    let checkpoints = "| Checkpoints | 1 checkpoint, the last `abcdef0123`: before the pause |";
    assert!(mission.contains(checkpoints), "{mission}");
}
