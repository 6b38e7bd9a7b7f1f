//! Facts to write, and a ledger in a directory of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use model::Timestamp;
use model::agent::{Agent, Runtime};
use model::attempt::Attempt;
use model::clock::{Clock, SharedClock, SystemClock};
use model::event::{Actor, Fact, NewEvent, Subject};
use model::gate::{GateSpec, Grade};
use model::id::{
    AgentId, AttemptId, Draw, EffectId, EventId, MissionId, SHORT_ID_LEN_MAX, ShortId, SystemDraw,
};
use model::mission::{Mission, MissionState, Priority};
use model::process::{ProcessIdentity, ProcessRef};
use store::{Change, DataDir, Ledger};
use tempfile::TempDir;

pub(crate) fn now() -> Timestamp {
    SystemClock.now()
}

/// Random bits behind a number that counts up, so that ids sort as they were drawn even within a
/// millisecond.
pub(crate) struct Rising;

impl Draw for Rising {
    fn bytes(&mut self) -> [u8; 10] {
        static DRAWN: AtomicU16 = AtomicU16::new(0);
        let mut bytes = SystemDraw.bytes();
        let [high, low] = DRAWN.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        (bytes[0], bytes[1]) = (high, low);
        bytes
    }
}

/// A ledger, the directory it holds, and the folder that goes away with it.
pub(crate) struct Place {
    pub(crate) ledger: Ledger,
    pub(crate) dir: Option<DataDir>,
    pub(crate) folder: TempDir,
}

impl Place {
    pub(crate) async fn new() -> Self {
        Self::with(Arc::new(SystemClock)).await
    }

    pub(crate) async fn with(clock: SharedClock) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = DataDir::open(&folder.path().join("data")).unwrap();
        let ledger = Ledger::open(&dir, clock).await.unwrap();
        Self { ledger, dir: Some(dir), folder }
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join("data").join(name)
    }

    /// Closes the ledger and lets go of the directory.
    pub(crate) async fn close(mut self) -> TempDir {
        self.ledger.close().await;
        self.dir = None;
        self.folder
    }
}

/// A folder with an empty data directory.
pub(crate) fn unused() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    DataDir::open(&folder.path().join("data")).unwrap();
    folder
}

/// Opens the ledger in a folder made by [`Place`].
pub(crate) async fn reopen(folder: TempDir) -> Result<Place, store::OpenError> {
    let dir = DataDir::open(&folder.path().join("data")).unwrap();
    let ledger = Ledger::open(&dir, Arc::new(SystemClock)).await?;
    Ok(Place { ledger, dir: Some(dir), folder })
}

pub(crate) fn effect_id() -> EffectId {
    EffectId::draw(now(), &mut Rising)
}

pub(crate) fn agent(name: &str) -> Agent {
    Agent {
        id: AgentId::draw(now(), &mut Rising),
        name: name.to_owned(),
        role: "tests".to_owned(),
        skills: vec!["rust".to_owned()],
        runtime: Runtime::Command {
            terminal: false,
            program: "sh".to_owned(),
            args: vec!["-c".to_owned(), "true".to_owned()],
            env: BTreeMap::from([("A".to_owned(), "b".to_owned())]),
        },
        directory: None,
        grace_s: 10,
        conduct: model::agent::Conduct::default(),
        paused: false,
        demo: false,
        created_at: now(),
    }
}

pub(crate) fn mission(title: &str) -> Mission {
    let id = MissionId::draw(now(), &mut Rising);
    Mission {
        short_id: ShortId::derive(id, SHORT_ID_LEN_MAX),
        priority: Priority::High,
        policy: model::policy::STRICT.to_owned(),
        repository: Some("/srv/repo".to_owned()),
        gates: vec![GateSpec::parse("file: out.txt").unwrap()],
        retries_max: 2,
        ..Mission::draft(id, title, now())
    }
}

pub(crate) fn attempt(mission: MissionId, agent: AgentId, n: u32) -> Attempt {
    Attempt::leased(AttemptId::draw(now(), &mut Rising), mission, agent, n, now())
}

pub(crate) fn process(pid: u32) -> ProcessIdentity {
    ProcessIdentity {
        shim: ProcessRef { pid, start_ticks: 1 },
        program: ProcessRef { pid: pid + 1, start_ticks: 2 },
        boot_id: "boot".to_owned(),
        marker: format!("run-{pid}"),
        started_at: now(),
    }
}

pub(crate) fn event(subject: Subject, fact: Fact) -> NewEvent {
    NewEvent {
        id: EventId::draw(now(), &mut Rising),
        at: now(),
        actor: Actor::Engine,
        correlation_id: None,
        subject,
        fact,
    }
}

pub(crate) fn about(mission: MissionId) -> Subject {
    Subject { mission_id: Some(mission), ..Subject::default() }
}

pub(crate) fn created(mission: &Mission) -> NewEvent {
    let fact =
        Fact::MissionCreated { mission: mission.clone(), brief: format!("do {}", mission.title) };
    event(about(mission.id), fact)
}

pub(crate) fn moved(id: MissionId, from: MissionState, to: MissionState) -> NewEvent {
    let fact = Fact::MissionMoved {
        mission_id: id,
        from,
        to,
        note: None,
        grade: Grade::None,
        tries: 0,
        recoveries: 0,
        not_before: None,
    };
    event(about(id), fact)
}

pub(crate) fn added(agent: &Agent) -> NewEvent {
    let subject = Subject { agent_id: Some(agent.id), ..Subject::default() };
    let agent = agent.clone();
    event(subject, Fact::AgentAdded { agent })
}

pub(crate) fn creation(mission: &Mission) -> Change {
    Change::events(vec![created(mission)])
}

/// A small generator whose whole state is its seed.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(2).wrapping_add(0x9E37_79B9_7F4A_7C15))
    }

    /// A number below `end` (splitmix64, Steele et al. 2014).
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % end
    }
}
