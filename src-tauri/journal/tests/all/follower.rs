//! One devlog per attempt, exactly once, whatever happens to the follower.

use std::time::{Duration, Instant};

use journal::{CURSOR, Journal, devlog_id};
use model::devlog::Devlog;
use model::event::{Fact, Subject};
use store::{DevlogFilter, EventFilter};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::world::{Ending, Words, World, agent_id, attempt_id, mission_id};

/// A journal that follows the ledger of a world.
pub(crate) struct Running {
    tasks: TaskTracker,
    cancel: CancellationToken,
    _journal: Journal,
}

impl Running {
    pub(crate) fn start(world: &World) -> Self {
        let (tasks, cancel) = (TaskTracker::new(), CancellationToken::new());
        let journal = Journal::start(
            world.ledger.clone(),
            world.telemetry.clone(),
            world.clock.clone(),
            &tasks,
            cancel.clone(),
        );
        Self { tasks, cancel, _journal: journal }
    }

    pub(crate) async fn stop(self) {
        self.cancel.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn devlogs(world: &World) -> Vec<Devlog> {
    let filter = DevlogFilter { limit: 100, ..DevlogFilter::default() };
    world.ledger.devlogs(filter).await.unwrap().items
}

/// Waits until the journal has read all that is in the ledger.
pub(crate) async fn caught_up(world: &World) {
    let began = Instant::now();
    loop {
        let head = world.ledger.counts().await.unwrap().events;
        if world.ledger.cursor(CURSOR).await.unwrap() >= head {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "the journal did not catch up");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn written(world: &World) -> usize {
    let filter =
        EventFilter { kinds: vec!["devlog_written".into()], limit: 100, ..EventFilter::default() };
    world.ledger.events(filter).await.unwrap().items.len()
}

#[tokio::test]
async fn every_attempt_that_is_over_gets_one_devlog_with_its_subject() {
    let world = World::open().await;
    world.add_agent(1, "hive-1").await;
    world.add_mission(1, &Words::default()).await;
    world.attempt((1, 1, 1, 1), &Words::default(), Ending::GateFails, false).await;
    // The first was over before the journal ran, the second while it does.
    let running = Running::start(&world);
    world.attempt((1, 2, 1, 2), &Words::default(), Ending::Done, true).await;
    caught_up(&world).await;

    let found = devlogs(&world).await;
    assert_eq!(found.len(), 2);
    let last = found.iter().find(|devlog| devlog.id == devlog_id(attempt_id(2)));
    let last = last.unwrap();
    assert_eq!(last.title, format!("{} · Fix the parser — done", last.short_id));
    assert_eq!(last.mission_id, mission_id(1));
    assert_eq!(last.agent_id, Some(agent_id(1)));
    let filter = EventFilter {
        mission_id: Some(mission_id(1)),
        attempt_id: Some(attempt_id(2)),
        agent_id: Some(agent_id(1)),
        kinds: vec!["devlog_written".into()],
        limit: 10,
        ..EventFilter::default()
    };
    assert_eq!(world.ledger.events(filter).await.unwrap().items.len(), 1);
    running.stop().await;
}

#[tokio::test]
async fn a_journal_that_starts_again_writes_nothing_twice() {
    let world = World::open().await;
    world.add_agent(1, "hive-1").await;
    world.add_mission(1, &Words::default()).await;
    world.attempt((1, 1, 1, 1), &Words::default(), Ending::GateFails, false).await;
    for _ in 0..3 {
        let running = Running::start(&world);
        caught_up(&world).await;
        running.stop().await;
    }
    // Two at once, as after a crash that left one behind.
    let (one, two) = (Running::start(&world), Running::start(&world));
    world.attempt((1, 2, 1, 2), &Words::default(), Ending::Done, true).await;
    caught_up(&world).await;
    one.stop().await;
    two.stop().await;
    assert_eq!((devlogs(&world).await.len(), written(&world).await), (2, 2));
}

#[tokio::test]
async fn a_mission_removed_before_the_journal_came_gets_no_devlog() {
    let world = World::open().await;
    world.add_agent(1, "hive-1").await;
    world.add_mission(1, &Words::default()).await;
    world.attempt((1, 1, 1, 1), &Words::default(), Ending::Done, true).await;
    let removed = Fact::MissionRemoved { mission_id: mission_id(1) };
    world.facts(Subject::default(), vec![removed]).await;
    let running = Running::start(&world);
    caught_up(&world).await;
    assert!(devlogs(&world).await.is_empty());
    running.stop().await;
}

#[tokio::test]
async fn the_devlog_of_a_failed_gate_tells_what_happened() {
    let world = World::open().await;
    world.add_agent(1, "hive-1").await;
    world.add_mission(1, &Words::default()).await;
    world.attempt((1, 1, 1, 1), &Words::default(), Ending::GateFails, true).await;
    let running = Running::start(&world);
    caught_up(&world).await;
    running.stop().await;
    let found = devlogs(&world).await;
    insta::assert_snapshot!(found[0].markdown, @r#"
    # M-1800 · Fix the parser — failed

    Attempt 1 by hive-1 failed after 25 s: a gate did not pass

    | | |
    |---|---|
    | Mission | M-1800 Fix the parser |
    | Evidence | none |
    | Agent | hive-1 (writes code) |
    | Started | 2026-11-20 09:58:00 UTC |
    | Ended | 2026-11-20 09:58:25 UTC |
    | Duration | 25 s |
    | Program | ended with exit code 0 |
    | Program ran | 20 s |
    | Branch | `hive/M-0001/1` from `0123456789` |
    | Left out | 2 files with uncommitted changes in the repository: not part of the work |
    | Work | 1 commit, 2 files changed, +31 −4 |
    | Processor time | 12 s |
    | Processor use | 64 % of one core on average, at most 90 % |
    | Memory | 50.0 MiB on average, at most 50.0 MiB |

    ## Gates

    | Gate | Result | Took | Why |
    |---|---|---|---|
    | command: cargo test | failed | 3.2 s | it exited with code 101 |

    ### Output of command: cargo test

    ```text
    running 2 tests
    test a ... ok
    test b ... FAILED
    ```

    ## Commits

    - `fedcba9876` parser: read empty lines

    So that nothing is lost, the last commit holds 1 file that the agent had left uncommitted.
    "#);
}

#[tokio::test]
async fn a_lost_attempt_says_that_there_is_no_data_instead_of_zero() {
    let world = World::open().await;
    world.add_agent(1, "hive-1").await;
    let words = Words { note: "its process vanished without a record".into(), ..Words::default() };
    world.add_mission(1, &words).await;
    world.attempt((1, 1, 1, 1), &words, Ending::Lost, true).await;
    let running = Running::start(&world);
    caught_up(&world).await;
    running.stop().await;
    let markdown = &devlogs(&world).await[0].markdown;
    assert!(markdown.contains("| Processor time | no data |"), "{markdown}");
    assert!(markdown.contains("| Program | no end was recorded |"), "{markdown}");
    assert!(markdown.contains("No gate ran."), "{markdown}");
    assert!(markdown.contains("its process vanished without a record"), "{markdown}");
}
