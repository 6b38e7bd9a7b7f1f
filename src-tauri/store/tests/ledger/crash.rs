//! The process that writes is killed with SIGKILL at any moment; what it acknowledged is there.
//!
//! The harness is worth something only because it catches writers that are wrong on purpose: run
//! it with the feature `mutants`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::attempt::AttemptState;
use model::clock::SystemClock;
use model::effect::{Effect, OutboxEntry};
use model::event::Fact;
use model::id::{AgentId, AttemptId, MissionId, SystemDraw};
use model::mission::MissionState;
use store::{Change, DataDir, Ledger};

use crate::support::*;

/// Names the data directory to the child process.
const DIRECTORY: &str = "HIVEKEEPER_TEST_CRASH_DIR";
/// Names it to the one that walks missions through their states.
const WALK_DIRECTORY: &str = "HIVEKEEPER_TEST_WALK_DIR";
/// Tells the writer which fault to have, where the feature `mutants` is on.
const MUTANT: &str = "HIVEKEEPER_LEDGER_MUTANT";
const WRITERS: usize = 8;

/// One change with everything a change can have: two events of one mission and an effect.
fn change_of(n: usize) -> (MissionId, Change) {
    let mission = mission(&format!("mission {n}"));
    let mut change = creation(&mission);
    let to_queue = moved(mission.id, MissionState::Draft, MissionState::Queued);
    change.events.push(to_queue);
    change.effects.push(OutboxEntry {
        id: effect_id(),
        effect: Effect::Stop { attempt_id: AttemptId::draw(now(), &mut SystemDraw) },
    });
    (mission.id, change)
}

/// Run by the test below in a process of its own; without its variable there is nothing to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_commits_until_it_is_killed() {
    let Ok(path) = std::env::var(DIRECTORY) else {
        return;
    };
    let dir = DataDir::open(Path::new(&path)).unwrap();
    let ledger = Ledger::open(&dir, Arc::new(SystemClock)).await.unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..WRITERS {
        let ledger = ledger.clone();
        writers.spawn(async move {
            for n in 0.. {
                let (id, change) = change_of(n);
                let committed = ledger.commit(change).await.unwrap();
                let seq = committed.events.last().unwrap().seq;
                // One write call, so that a line is there as a whole or not at all.
                let line = format!("ack {seq} {id}\n");
                std::io::stdout().write_all(line.as_bytes()).unwrap();
                std::io::stdout().flush().unwrap();
            }
        });
    }
    writers.join_all().await;
}

fn child(data: &Path, mutant: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child_that_commits_until_it_is_killed"])
        .args(["--nocapture", "--test-threads=1"])
        .env(DIRECTORY, data)
        .env(MUTANT, mutant)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

fn read_ack(line: &str) -> Option<(u64, MissionId)> {
    let mut words = line.strip_prefix("ack ")?.split(' ');
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

/// Lets a child write, kills it, and gives everything it acknowledged.
fn kill_one(data: &Path, mutant: &str, dice: &mut Dice) -> Vec<(u64, MissionId)> {
    let mut child = child(data, mutant);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let enough = 1 + usize::try_from(dice.below(200)).unwrap();
    let mut acks = Vec::new();
    while acks.len() < enough {
        let line = lines.next().expect("the child writes until it is killed");
        acks.extend(read_ack(&line.unwrap()));
    }
    // Spread the moment of the kill over more than one whole group, from begin to acknowledgement.
    let until = Instant::now() + Duration::from_micros(dice.below(12_000));
    while Instant::now() < until {
        std::hint::spin_loop();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // A last line that was cut by the kill acknowledged nothing.
    acks.extend(lines.map_while(Result::ok).filter_map(|line| read_ack(&line)));
    acks
}

/// Says what is wrong after a kill, in words.
async fn examine(data: &Path, acks: &[(u64, MissionId)]) -> Vec<String> {
    let dir = DataDir::open(data).unwrap();
    let ledger = match Ledger::open(&dir, Arc::new(SystemClock)).await {
        Ok(ledger) => ledger,
        Err(error) => return vec![error.to_string()],
    };
    let mut wrong = Vec::new();
    let mut created = 0;
    for (seq, id) in acks {
        match ledger.mission(*id).await.unwrap() {
            Some((mission, _)) if mission.state == MissionState::Queued => created += 1,
            Some((mission, _)) => wrong.push(format!("{id} is half done: {}", mission.state)),
            None => wrong.push(format!("{id} was acknowledged at {seq} and is lost")),
        }
        let at = ledger.events_after(seq - 1, 1).await.unwrap();
        if at.first().and_then(|event| event.subject.mission_id) != Some(*id) {
            wrong.push(format!("event {seq} is not of {id}"));
        }
    }
    let verified = ledger.verify().await.unwrap();
    wrong.extend(verified.findings.iter().map(ToString::to_string));
    if verified.events % 2 != 0 || verified.events < 2 * created {
        wrong.push(format!("{} events are half a change", verified.events));
    }
    let effects = ledger.outbox(500).await.unwrap().len() as u64;
    if effects != (verified.events / 2).min(500) {
        wrong.push(format!("{effects} effects for {} events", verified.events));
    }
    ledger.close().await;
    wrong
}

fn trials() -> u64 {
    std::env::var("HIVEKEEPER_CRASH_TRIALS").ok().and_then(|text| text.parse().ok()).unwrap_or(20)
}

/// The life of a mission through a review, as the changes of an orchestrator: every state it takes
/// is reached by one of them, together with the attempt's.
fn life(id: MissionId, agent_id: AgentId, n: u32) -> Vec<(MissionState, Vec<Fact>)> {
    use MissionState::{Assigned, Done, InReview, Queued, Running, Verifying};
    let leased = attempt(id, agent_id, n);
    let attempt_id = leased.id;
    let result = crate::workspace::answer(0);
    let step = |from, to, facts: Vec<Fact>| {
        let mut facts = facts;
        facts.push(moved(id, from, to).fact);
        (to, facts)
    };
    vec![
        step(Queued, Assigned, vec![Fact::AttemptLeased { attempt: leased }]),
        step(Assigned, Running, vec![Fact::AttemptStarted { attempt_id, process: process(4) }]),
        step(Running, Verifying, vec![Fact::AttemptVerifying { attempt_id }]),
        step(
            Verifying,
            InReview,
            vec![
                Fact::AttemptReviewing { attempt_id },
                Fact::ReviewAssigned { attempt_id, index: 0, agent_id },
            ],
        ),
        step(InReview, Verifying, vec![Fact::AttemptVerifying { attempt_id }]),
        step(Verifying, InReview, vec![Fact::AttemptReviewing { attempt_id }]),
        step(
            InReview,
            Done,
            vec![
                Fact::GateFinished { attempt_id, result },
                Fact::AttemptEnded { attempt_id, state: AttemptState::Accepted, note: None },
            ],
        ),
    ]
}

/// Run by the test below in a process of its own; without its variable there is nothing to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_walks_missions_until_it_is_killed() {
    let Ok(path) = std::env::var(WALK_DIRECTORY) else {
        return;
    };
    let dir = DataDir::open(Path::new(&path)).unwrap();
    let ledger = Ledger::open(&dir, Arc::new(SystemClock)).await.unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let ledger = ledger.clone();
        writers.spawn(async move {
            let bee = agent(&format!("bee {writer} {}", effect_id()));
            ledger.commit(Change::events(vec![added(&bee)])).await.unwrap();
            loop {
                let (id, change) = change_of(writer);
                ledger.commit(change).await.unwrap();
                for (state, facts) in life(id, bee.id, 1) {
                    let events = facts.into_iter().map(|fact| event(about(id), fact));
                    let change = Change::events(events.collect());
                    let committed = ledger.commit(change).await.unwrap();
                    let seq = committed.events.last().unwrap().seq;
                    let line = format!("ack {seq} {id} {state}\n");
                    std::io::stdout().write_all(line.as_bytes()).unwrap();
                }
            }
        });
    }
    writers.join_all().await;
}

/// Where each mission stood when that was acknowledged last.
fn walk_until_killed(data: &Path, dice: &mut Dice) -> BTreeMap<MissionId, (u64, MissionState)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child_that_walks_missions_until_it_is_killed"])
        .args(["--nocapture", "--test-threads=1"])
        .env(WALK_DIRECTORY, data)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let read = |line: &str| {
        let mut words = line.strip_prefix("ack ")?.split(' ');
        let seq: u64 = words.next()?.parse().ok()?;
        let id: MissionId = words.next()?.parse().ok()?;
        Some((id, (seq, words.next()?.parse::<MissionState>().ok()?)))
    };
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let enough = 1 + usize::try_from(dice.below(200)).unwrap();
    let mut acks = Vec::new();
    while acks.len() < enough {
        let line = lines.next().expect("the child writes until it is killed");
        acks.extend(read(&line.unwrap()));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    acks.extend(lines.map_while(Result::ok).filter_map(|line| read(&line)));
    // Each mission has one writer, so that its lines are in order.
    acks.into_iter().collect()
}

#[tokio::test]
async fn every_accepted_transition_survives_a_kill_and_a_restart() {
    for seed in 0..trials().div_ceil(4) {
        let folder = unused();
        let data = folder.path().join("data");
        let stood = walk_until_killed(&data, &mut Dice::new(seed));
        let dir = DataDir::open(&data).unwrap();
        let ledger = Ledger::open(&dir, Arc::new(SystemClock)).await.unwrap();
        for (id, (seq, state)) in stood {
            let (mission, _) = ledger.mission(id).await.unwrap().unwrap();
            let mut moves = ledger.events_after(seq - 1, 500).await.unwrap();
            moves.retain(|event| event.subject.mission_id == Some(id));
            assert!(
                matches!(moves[0].fact, Fact::MissionMoved { to, .. } if to == state),
                "{id}: {:?}",
                moves[0]
            );
            // What came after was committed and not yet acknowledged; rows and events agree.
            let last = moves.iter().rev().find_map(|event| match event.fact {
                Fact::MissionMoved { to, .. } => Some(to),
                _ => None,
            });
            assert_eq!(Some(mission.state), last, "seed {seed}");
            let attempts = ledger.attempts_of(id).await.unwrap();
            assert_eq!(attempts.len(), 1);
            assert_eq!(attempts[0].in_review, mission.state == MissionState::InReview);
            assert_eq!(attempts[0].state.is_final(), mission.state == MissionState::Done);
        }
        assert_eq!(ledger.verify().await.unwrap().findings, [], "seed {seed}");
        ledger.close().await;
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill_at_any_moment() {
    let mut acknowledged = 0;
    for seed in 0..trials() {
        let folder = unused();
        let data = folder.path().join("data");
        let mut dice = Dice::new(seed);
        let mut acks = Vec::new();
        // The second round starts from what the first one left.
        for _ in 0..1 + dice.below(2) {
            acks.extend(kill_one(&data, "none", &mut dice));
        }
        acknowledged += acks.len();
        let wrong = examine(&data, &acks).await;
        assert!(wrong.is_empty(), "seed {seed}: {wrong:?}");
    }
    println!("{} kills, {acknowledged} acknowledged, none lost", trials());
}

/// Kills a writer with a fault until the harness has noticed, at most five times as often as the
/// sound one; says how often it noticed, and of how many.
#[cfg(feature = "mutants")]
async fn caught(mutant: &str) -> (u64, u64) {
    let (mut caught, mut kills) = (0, 0);
    while kills < trials() || (caught == 0 && kills < 5 * trials()) {
        let folder = unused();
        let data = folder.path().join("data");
        let acks = kill_one(&data, mutant, &mut Dice::new(kills));
        caught += u64::from(!examine(&data, &acks).await.is_empty());
        kills += 1;
    }
    (caught, kills)
}

#[cfg(feature = "mutants")]
#[tokio::test]
async fn a_writer_that_acknowledges_before_it_commits_is_caught() {
    let (caught, kills) = caught("ack_before_commit").await;
    println!("mutant ack_before_commit: caught in {caught} of {kills} kills");
    assert!(caught > 0);
}

#[cfg(feature = "mutants")]
#[tokio::test]
async fn a_writer_that_parts_events_from_their_rows_is_caught() {
    let (caught, kills) = caught("split").await;
    println!("mutant split: caught in {caught} of {kills} kills");
    assert!(caught > 0);
}
