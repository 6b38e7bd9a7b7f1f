//! What the loop does when the ledger holds more than it knows of, as after a write that failed and
//! was kept all the same.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

use std::sync::Arc;
use std::time::Duration;

use agents::Launcher;
use agents::runtime::presets::Presets;
use agents::runtime::prices::Prices;
use agents::runtime::sheet::Live;
use model::Timestamp;
use model::agent::{Agent, Runtime};
use model::attempt::Attempt;
use model::clock::SystemClock;
use model::effect::{Effect, OutboxEntry};
use model::event::{Actor, Fact, NewEvent, Subject};
use model::gate::Grade;
use model::id::{AgentId, AttemptId, EffectId, EventId, MissionId, SystemDraw};
use model::mission::{Mission, MissionState};
use model::process::Supervision;
use model::refusal::Code;
use model::transition::MissionInput;
use orchestrator::{Command, Input, Orchestrator, Setup, Wish};
use store::DataDir;
use store::ledger::{Change, Ledger};
use store::transcripts::Transcripts;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn agent(name: &str) -> Agent {
    Agent {
        id: AgentId::draw(NOW, &mut SystemDraw),
        name: name.to_owned(),
        role: String::new(),
        skills: Vec::new(),
        runtime: Runtime::Command {
            terminal: false,
            program: "true".to_owned(),
            args: Vec::new(),
            env: Default::default(),
        },
        directory: None,
        grace_s: 1,
        conduct: model::agent::Conduct::default(),
        paused: false,
        demo: false,
        created_at: NOW,
    }
}

fn mission() -> Mission {
    let id = MissionId::draw(NOW, &mut SystemDraw);
    Mission::draft(id, "t", NOW)
}

fn moved(mission: MissionId, from: MissionState, to: MissionState, tries: u32) -> Fact {
    Fact::MissionMoved {
        mission_id: mission,
        from,
        to,
        note: None,
        grade: Grade::None,
        tries,
        recoveries: 0,
        not_before: None,
    }
}

fn leased(mission: MissionId, agent: AgentId) -> Attempt {
    Attempt::leased(AttemptId::draw(NOW, &mut SystemDraw), mission, agent, 1, NOW)
}

/// Records an agent at work in the ledger alone: its mission is leased, its program not started.
async fn behind_its_back(ledger: &Ledger, agent: &Agent) -> MissionId {
    let mission = mission();
    let id = mission.id;
    let attempt = leased(id, agent.id);
    let effect = Effect::Start { mission_id: id, attempt_id: attempt.id };
    let about = Subject { mission_id: Some(id), ..Subject::default() };
    let facts = [
        (Subject::default(), Fact::AgentAdded { agent: agent.clone() }),
        (about, Fact::MissionCreated { mission, brief: "b".to_owned() }),
        (about, moved(id, MissionState::Draft, MissionState::Queued, 0)),
        (about, moved(id, MissionState::Queued, MissionState::Assigned, 1)),
        (about, Fact::AttemptLeased { attempt }),
    ];
    let events = facts.map(|(subject, fact)| NewEvent {
        id: EventId::draw(NOW, &mut SystemDraw),
        at: NOW,
        actor: Actor::Engine,
        correlation_id: None,
        subject,
        fact,
    });
    let effects = vec![OutboxEntry { id: EffectId::draw(NOW, &mut SystemDraw), effect }];
    ledger.commit(Change { events: events.into(), effects, ..Change::default() }).await.unwrap();
    id
}

/// An orchestrator at work on a ledger of its own.
struct House {
    orchestrator: Orchestrator,
    ledger: Ledger,
    tasks: TaskTracker,
    cancel: CancellationToken,
    _dir: DataDir,
    _place: tempfile::TempDir,
}

impl House {
    async fn open() -> Self {
        let place = tempfile::tempdir().unwrap();
        let dir = DataDir::open(&place.path().join("data")).unwrap();
        let ledger = Ledger::open(&dir, Arc::new(SystemClock)).await.unwrap();
        let (tasks, cancel) = (TaskTracker::new(), CancellationToken::new());
        let setup = Setup {
            ledger: ledger.clone(),
            clock: Arc::new(SystemClock),
            draw: Box::new(SystemDraw),
            launcher: Launcher::with_shim(place.path().join("no-shim")),
            runs: dir.runs(),
            worktrees: dir.worktrees(),
            url: watch::Sender::new(None).subscribe(),
            running_max: 10,
            memory_free_percent: watch::Sender::new(None).subscribe(),
            agents: dir.root().join("agents"),
            supervision: Some(Supervision::Session),
            transcripts: Transcripts::open(&dir, Arc::new(SystemClock)).await.unwrap(),
            presets: Arc::new(Live::<Presets>::built_in()),
            prices: Arc::new(Live::<Prices>::built_in()),
            vault: agents::vault::Vault::without_keychain(dir.root()),
            halt_mark: place.path().join("data/HALTED"),
        };
        let orchestrator = Orchestrator::start(setup, &tasks, cancel.clone()).await.unwrap();
        Self { orchestrator, ledger, tasks, cancel, _dir: dir, _place: place }
    }

    async fn close(self) {
        self.cancel.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.ledger.close().await;
    }
}

#[tokio::test]
async fn what_was_kept_without_the_loop_knowing_is_read_again_and_carried_out() {
    let house = House::open().await;
    let (orchestrator, ledger) = (&house.orchestrator, &house.ledger);
    let ann = agent("ann");
    let id = behind_its_back(ledger, &ann).await;

    let same_name = Command::own(Input::AddAgent(agent("ann")));
    for expect in [Code::Busy, Code::Conflict] {
        assert_eq!(orchestrator.tell(same_name.clone()).await.unwrap_err().code, expect);
    }
    let hold = Input::HoldAgent { id: ann.id, paused: true };
    assert_eq!(orchestrator.tell(Command::own(hold)).await.unwrap().events.len(), 1);

    let ended = async {
        while ledger.mission(id).await.unwrap().unwrap().0.state != MissionState::Failed {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), ended).await.unwrap();
    assert!(ledger.outbox(10).await.unwrap().is_empty());
    house.close().await;
}

#[tokio::test]
async fn a_circle_through_missions_long_finished_is_refused() {
    let house = House::open().await;
    let orchestrator = &house.orchestrator;
    let tell = async |input| orchestrator.tell(Command::own(input)).await;
    // A way of four, of which all but the last are cancelled and forgotten.
    let mut way: Vec<Mission> = Vec::new();
    for _ in 0..4 {
        let depends_on = way.last().map(|before| before.id).into_iter().collect();
        let mission = Mission { depends_on, ..mission() };
        way.push(mission.clone());
        tell(Input::AddMission { mission, brief: "b".to_owned(), queue: true }).await.unwrap();
    }
    for mission in &way[..3] {
        let wish = Wish::new(MissionInput::Cancel);
        tell(Input::Ask { id: mission.id, wish }).await.unwrap();
    }
    let circle = Mission { depends_on: vec![way[3].id], ..way[0].clone() };
    let refused = tell(Input::EditMission { mission: circle, brief: None }).await.unwrap_err();
    assert_eq!(refused.code, Code::Conflict);
    assert_eq!(refused.message.matches(" → ").count(), 4, "{}", refused.message);
    house.close().await;
}

#[tokio::test]
async fn what_waits_together_is_recorded_together_and_each_sees_the_one_before() {
    let house = House::open().await;
    let (orchestrator, ledger) = (&house.orchestrator, &house.ledger);
    let twins = (0..40).map(|_| {
        let add = Input::AddAgent(Agent { paused: true, ..agent("ann") });
        orchestrator.tell(Command::own(add))
    });
    let told = futures::future::join_all(twins).await;
    let made = told.iter().filter(|told| told.is_ok()).count();
    let refused = told.iter().filter_map(|told| told.as_ref().err());
    assert_eq!(made, 1);
    assert!(refused.into_iter().all(|refusal| refusal.code == Code::Conflict), "{told:?}");
    assert_eq!(ledger.agents().await.unwrap().len(), 1);
    house.close().await;
}
