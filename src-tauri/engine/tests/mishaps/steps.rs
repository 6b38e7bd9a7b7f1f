//! The engine is killed at every named step of an attempt's start and end. Whatever the step: the next
//! engine carries on, the program runs once, nothing is said or lost twice, and nothing is left.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};

use agents::step::{self, Step};
use engine::view::{MissionDetail, NewAgent};
use model::agent::Conduct;
use model::attempt::AttemptState;
use model::conversation::{Body, Stream};
use model::mission::MissionState;
use model::process::Exit;
use model::transition::MissionInput;

use crate::hive::{self, Hive, acp, agent, processes_of};
use crate::{PLACE, copy, count, entries, lines, of, only_mission, said, talks};

/// Names the walk to the copy that dies on it.
const WALK: &str = "HIVEKEEPER_TEST_WALK";
/// How many copies die at the same time.
const TOGETHER: usize = 3;

/// What a mission goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Walk {
    /// A plain program does it.
    Command,
    /// An agent that is talked to does it.
    Talk,
    /// It is cancelled while its program runs.
    Cancel,
    /// Its agent asks for a permission, and gets it.
    Ask,
    /// Its agent is told a message.
    Message,
    /// Its agent hands over to the next attempt.
    Handover,
}

const BEGINNING: &[Step] = &[
    Step::WorktreeMade,
    Step::Prepared,
    Step::BriefWritten,
    Step::SpecWritten,
    Step::ShimSpawned,
    Step::Answered,
    Step::Started,
    Step::OpeningSent,
];
const END: &[Step] = &[
    Step::ExitFound,
    Step::ExitRecorded,
    Step::WorkSecured,
    Step::WorkRecorded,
    Step::GateAnswered,
    Step::GateRecorded,
    Step::Verified,
    Step::Accepted,
];
const ASK: &[Step] =
    &[Step::AskHeard, Step::AskRecorded, Step::AnswerFound, Step::AnswerTold, Step::AnswerRecorded];
const STOP: &[Step] = &[
    Step::StopAsked,
    Step::StopSent,
    Step::TreeEnded,
    Step::WorkSecured,
    Step::WorkRecorded,
    Step::StopSecured,
    Step::Checkpointed,
    Step::Stopped,
];

impl Walk {
    const ALL: [Self; 6] =
        [Self::Command, Self::Talk, Self::Cancel, Self::Ask, Self::Message, Self::Handover];

    fn steps(self) -> Vec<Step> {
        match self {
            Self::Command => [BEGINNING, END].concat(),
            Self::Talk => [BEGINNING, &[Step::FirstWords, Step::Judged], END].concat(),
            Self::Cancel => STOP.to_vec(),
            Self::Ask => ASK.to_vec(),
            Self::Message => vec![Step::MessageTold, Step::MessageRecorded],
            Self::Handover => vec![Step::HandoverSaid, Step::Judged],
        }
    }

    /// What the agent is told to do.
    fn brief(self, place: &Path) -> String {
        let at = |name: &str| place.join(name).display().to_string();
        match self {
            Self::Command | Self::Talk | Self::Cancel => {
                "@say first words\n@write work.txt x".to_owned()
            }
            Self::Ask => {
                format!("@say first words\n@run echo ran >> {}\n@write work.txt x", at("ran"))
            }
            Self::Message => {
                format!("@say first words\n@until {}\n@write work.txt x", at("go"))
            }
            Self::Handover => "@say first words\n@context 90 100\n@hang".to_owned(),
        }
    }

    fn agent(self, place: &Path) -> NewAgent {
        let ran = place.join("ran").display().to_string();
        match self {
            Self::Command => {
                let script = format!("echo ran >> {ran}; echo first words; echo x > work.txt");
                agent("ann", &format!("sh -c '{script}'"))
            }
            Self::Talk | Self::Ask | Self::Message => acp("ann"),
            Self::Handover => {
                let conduct = Conduct { handover_at_percent: Some(80), ..Conduct::default() };
                NewAgent { conduct, ..acp("ann") }
            }
            Self::Cancel => {
                let script = format!("echo ran >> {ran}; echo first words; exec sleep 600");
                agent("ann", &format!("sh -c '{script}'"))
            }
        }
    }
}

/// The place of a walk: its workspace and its repository.
struct Ground(tempfile::TempDir);

impl Ground {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let repository = place.path().join("repository");
        std::fs::create_dir(&repository).unwrap();
        std::fs::write(repository.join("README.md"), "# Test\n").unwrap();
        hive::git(&repository, &["init", "-q", "-b", "main"]);
        hive::git(&repository, &["add", "-A"]);
        let by = ["-c", "user.name=T", "-c", "user.email=t@x"];
        hive::git(&repository, &[&by[..], &["commit", "-q", "-m", "first"]].concat());
        Self(place)
    }

    fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }
}

/// Run by the tests below in a process of its own, which does not live to see its end.
#[tokio::test]
async fn copy_that_dies_at_a_step() {
    let (Some(place), Ok(walk)) = (std::env::var_os(PLACE), std::env::var(WALK)) else {
        return;
    };
    let place = Path::new(&place);
    let walk = Walk::ALL.into_iter().find(|known| format!("{known:?}") == walk).unwrap();
    let engine = hive::open(&place.join("data")).await;
    engine.set_endpoint("http://127.0.0.1:9".to_owned());
    engine.add_agent(&hive::caller(), walk.agent(place)).await.unwrap();
    let gate = format!("command: echo gate >> {}", place.join("gates").display());
    let mission = engine::view::NewMission {
        repository: Some(place.join("repository").display().to_string()),
        gates: vec![gate, "file: work.txt".to_owned()],
        ..of("ann", &walk.brief(place))
    };
    let made = engine.add_mission(&hive::caller(), mission).await.unwrap();
    let id = made.view.mission.short_id.to_string();
    let mut asked = false;
    loop {
        let detail = engine.mission(&id).await.unwrap();
        let running =
            detail.attempts.first().is_some_and(|it| it.attempt.state == AttemptState::Running);
        if walk == Walk::Cancel && running && !asked && lines(&place.join("ran")) == 1 {
            asked = true;
            let cancel = MissionInput::Cancel;
            let ask = engine::view::Ask::default();
            engine.ask_mission(&hive::caller(), &id, cancel, ask).await.unwrap();
        }
        match walk {
            Walk::Ask => talks::allow_all(&engine).await,
            Walk::Message if !asked && talks::has_begun(&engine, &detail).await => {
                asked = true;
                talks::send(&engine, place).await;
            }
            _ => {}
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// Lets a copy die at a step, and the next engine carry on.
async fn dies_at(walk: Walk, step: Step) {
    let ground = Ground::new();
    let place = ground.0.path().to_owned();
    let ending = hive::Ending::of(&ground.data().join("runs"));
    let mut dying = copy("steps::copy_that_dies_at_a_step", &place);
    dying.env(WALK, format!("{walk:?}")).env(step::VARIABLE, step.name());
    let died = tokio::task::spawn_blocking(move || {
        let mut child = dying.spawn().unwrap();
        let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return Some(status);
            }
            if std::time::Instant::now() > until {
                child.kill().unwrap();
                child.wait().unwrap();
                return None;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    });
    let at = format!("{walk:?}, {}", step.name());
    let died = died.await.unwrap().unwrap_or_else(|| panic!("{at}: it never came to that step"));
    assert_eq!(died.signal(), Some(9), "{at}: {died}");

    let engine = hive::open_when_free(&ground.data()).await;
    engine.set_endpoint("http://127.0.0.1:9".to_owned());
    let hive = Hive { engine, ending, place: ground.0 };
    let id = only_mission(&hive.engine).await.view.mission.short_id.to_string();
    if walk == Walk::Handover {
        return talks::handed_over(&at, hive, &id).await;
    }
    hive.until_some(&at, async |engine| {
        if walk == Walk::Ask {
            talks::allow_all(engine).await;
        }
        let state = engine.mission(&id).await.unwrap().view.mission.state;
        state.is_final().then_some(())
    })
    .await;
    let detail = hive.until_over(&id).await;
    is_right(walk, &at, &hive, &detail).await;
    nothing_is_left(&at, hive, &detail.attempts[0].attempt.id.to_string()).await;
}

/// Everything that must hold in the end, wherever the engine was killed.
async fn is_right(walk: Walk, at: &str, hive: &Hive, detail: &MissionDetail) {
    let wanted = if walk == Walk::Cancel { MissionState::Cancelled } else { MissionState::Done };
    assert_eq!(detail.view.mission.state, wanted, "{at}: {detail:#?}");
    let [view] = detail.attempts.as_slice() else {
        panic!("{at}: one attempt is enough: {detail:#?}");
    };
    let attempt = &view.attempt;
    let run = hive.engine.data_dir().join("runs").join(attempt.id.to_string());
    let (state, exit) = match walk {
        Walk::Command => (AttemptState::Accepted, Exit::Code { code: 0 }),
        Walk::Talk | Walk::Ask | Walk::Message | Walk::Handover => {
            let reason = "it says that it is done".to_owned();
            (AttemptState::Accepted, Exit::Answered { completed: true, reason })
        }
        Walk::Cancel => (AttemptState::Stopped, Exit::Stopped { killed: false }),
    };
    assert_eq!((attempt.state, attempt.exit()), (state, Some(&exit)), "{at}");

    let entries = entries(&hive.engine, attempt.id).await;
    let turns = if walk == Walk::Message { 2 } else { 1 };
    let prompts = count(&entries, |it| matches!(it, Body::Prompt { .. }));
    assert_eq!(prompts, turns, "{at}: {entries:#?}");
    let ran = hive.place.path().join("ran");
    if matches!(walk, Walk::Talk | Walk::Ask | Walk::Message) {
        let said = said(&hive.engine, attempt.id).await;
        assert_eq!(said.matches("first words").count(), 1, "{at}: {said}");
        let sent = std::fs::read_to_string(run.join("stdin.log")).unwrap();
        assert_eq!(sent.matches("session/prompt").count(), turns, "{at}: {sent}");
        match walk {
            Walk::Ask => talks::asked_once(at, hive, &sent).await,
            Walk::Message => talks::told_once(at, hive, &said).await,
            _ => {}
        }
    } else {
        assert_eq!(lines(&ran), 1, "{at}: the program ran once");
        assert_eq!(hive.printed(detail).await, "first words\n", "{at}");
    }
    if walk == Walk::Command {
        let printed = Body::Output { stream: Stream::Stdout, from: 0, to: 12 };
        assert_eq!(count(&entries, |it| *it == printed), 1, "{at}: {entries:#?}");
    }
    let gates = if walk == Walk::Cancel { 0 } else { 1 };
    assert_eq!(lines(&hive.place.path().join("gates")), gates, "{at}: the gate ran once");
}

/// No process, no token, nothing to be done, and a ledger that is sound.
pub(crate) async fn nothing_is_left(at: &str, hive: Hive, id: &str) {
    let run = hive.engine.data_dir().join("runs").join(id);
    assert_eq!(processes_of(id), Vec::<String>::new(), "{at}");
    let gate = run.join("gates/0").display().to_string();
    assert_eq!(processes_of(&gate), Vec::<String>::new(), "{at}");
    for file in files_in(&run) {
        let bytes = std::fs::read(&file).unwrap();
        let token = bytes.windows(5).any(|part| part == b"hk_a_");
        assert!(!token, "{at}: a token stands in {}", file.display());
    }
    let found = hive.engine.reconcile().await.unwrap();
    assert_eq!((found.attempts, found.differed), (0, false), "{at}: {found:?}");
    hive.end_soundly(at).await;
}

fn files_in(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(Result::unwrap);
    let files = entries.flat_map(|entry| match entry.file_type().unwrap() {
        kind if kind.is_dir() => files_in(&entry.path()),
        kind if kind.is_file() => vec![entry.path()],
        _ => Vec::new(),
    });
    files.collect()
}

async fn dies_at_each(walk: Walk) {
    if !cfg!(debug_assertions) {
        return;
    }
    for steps in walk.steps().chunks(TOGETHER) {
        futures::future::join_all(steps.iter().map(|step| dies_at(walk, *step))).await;
    }
}

#[test]
fn every_named_step_is_on_a_walk() {
    let walked: Vec<Step> = Walk::ALL.into_iter().flat_map(Walk::steps).collect();
    for step in Step::ALL {
        assert!(walked.contains(step), "{step:?}");
    }
}

#[tokio::test]
async fn an_engine_killed_at_any_step_of_a_plain_programs_attempt_leaves_no_wrong_state_and_no_orphan()
 {
    dies_at_each(Walk::Command).await;
}

#[tokio::test]
async fn an_engine_killed_at_any_step_of_a_conversation_leaves_no_wrong_state_and_no_orphan() {
    dies_at_each(Walk::Talk).await;
}

#[tokio::test]
async fn an_engine_killed_at_any_step_of_a_stop_leaves_no_wrong_state_and_no_orphan() {
    dies_at_each(Walk::Cancel).await;
}

#[tokio::test]
async fn an_engine_killed_at_any_step_of_a_permission_asks_once_and_tells_the_answer_once() {
    dies_at_each(Walk::Ask).await;
}

#[tokio::test]
async fn an_engine_killed_at_any_step_of_a_message_tells_it_once() {
    dies_at_each(Walk::Message).await;
}

#[tokio::test]
async fn an_engine_killed_at_any_step_of_a_handover_hands_over_once() {
    dies_at_each(Walk::Handover).await;
}
