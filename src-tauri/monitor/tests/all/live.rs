//! A sleeping process, measured from its start event to its end event.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::agent::{Agent, Runtime};
use model::attempt::{Attempt, AttemptState, Workplace};
use model::clock::{Clock, SystemClock};
use model::event::{Actor, Fact, NewEvent, Subject};
use model::id::{AgentId, AttemptId, EventId, MissionId, ShortId, SystemDraw};
use model::mission::{Mission, MissionState, Progress};
use model::process::{ProcessIdentity, ProcessRef};
use model::signal::SeriesRange;
use model::usage::{Tokens, Usage, UsageSource};
use monitor::{AgentUsage, Monitor, MonitorContext, Snapshot};
use store::telemetry::{RangeQuery, Telemetry};
use store::{Change, DataDir, Ledger};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

struct World {
    ledger: Ledger,
    telemetry: Telemetry,
    dir: DataDir,
    mission: MissionId,
    attempt: AttemptId,
    agent: AgentId,
    _home: tempfile::TempDir,
}

impl World {
    async fn open() -> Self {
        let home = tempfile::tempdir().unwrap();
        let dir = DataDir::open(&home.path().join("data")).unwrap();
        let clock = Arc::new(SystemClock);
        let world = Self {
            ledger: Ledger::open(&dir, clock.clone()).await.unwrap(),
            telemetry: Telemetry::open(&dir, clock).await.unwrap(),
            dir,
            mission: "0198c0de-0000-7000-8000-000000000001".parse().unwrap(),
            attempt: "0198c0de-0000-7000-8000-000000000002".parse().unwrap(),
            agent: "0198c0de-0000-7000-8000-000000000003".parse().unwrap(),
            _home: home,
        };
        let leased = world.leased();
        world
            .tell(vec![
                Fact::AgentAdded { agent: world.new_agent() },
                Fact::MissionCreated { mission: world.new_mission(), brief: "wait".into() },
                Fact::AttemptLeased { attempt: leased },
                Fact::AttemptPrepared {
                    attempt_id: world.attempt,
                    workplace: Workplace {
                        directory: "/".into(),
                        branch: None,
                        base_commit: None,
                        uncommitted_files: 0,
                    },
                },
            ])
            .await;
        world
    }

    async fn tell(&self, facts: Vec<Fact>) {
        let now = SystemClock.now();
        let subject = Subject {
            mission_id: Some(self.mission),
            attempt_id: Some(self.attempt),
            agent_id: Some(self.agent),
        };
        let events = facts.into_iter().map(|fact| NewEvent {
            id: EventId::draw(now, &mut SystemDraw),
            at: now,
            actor: Actor::Engine,
            correlation_id: None,
            subject,
            fact,
        });
        let change = Change::events(events.collect());
        self.ledger.commit(change).await.unwrap();
    }

    async fn start(&self, child: &Child) {
        let started =
            Fact::AttemptStarted { attempt_id: self.attempt, process: identity(child.id()) };
        self.tell(vec![started]).await;
    }

    async fn end(&self) {
        let ended =
            Fact::AttemptEnded { attempt_id: self.attempt, state: AttemptState::Lost, note: None };
        self.tell(vec![ended]).await;
    }

    fn new_agent(&self) -> Agent {
        Agent {
            id: self.agent,
            name: "hive-1".into(),
            role: String::new(),
            skills: Vec::new(),
            runtime: Runtime::Command {
                terminal: false,
                program: "sleep".into(),
                args: Vec::new(),
                env: BTreeMap::new(),
            },
            directory: None,
            grace_s: 10,
            conduct: model::agent::Conduct::default(),
            paused: false,
            demo: false,
            created_at: SystemClock.now(),
        }
    }

    fn new_mission(&self) -> Mission {
        Mission {
            short_id: ShortId::derive(self.mission, 4),
            state: MissionState::Running,
            ..Mission::draft(self.mission, "Wait", SystemClock.now())
        }
    }

    fn leased(&self) -> Attempt {
        Attempt::leased(self.attempt, self.mission, self.agent, 1, SystemClock.now())
    }
}

/// A monitor at work, and the sleeping process it measures.
struct Running {
    monitor: Monitor,
    tasks: TaskTracker,
    cancel: CancellationToken,
}

impl Running {
    async fn start(world: &World) -> Self {
        let (tasks, cancel) = (TaskTracker::new(), CancellationToken::new());
        let ctx = MonitorContext {
            ledger: world.ledger.clone(),
            telemetry: world.telemetry.clone(),
            clock: Arc::new(SystemClock),
            data_dir: world.dir.root().to_owned(),
            runs: world.dir.runs(),
            interval: Duration::from_millis(200),
        };
        let monitor = Monitor::start(ctx, &tasks, cancel.clone()).await.unwrap();
        Self { monitor, tasks, cancel }
    }

    async fn until(&self, what: &str, holds: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        let mut snapshots = self.monitor.snapshots();
        let wait = snapshots.wait_for(|snapshot| holds(snapshot));
        let found = tokio::time::timeout(Duration::from_secs(60), wait).await;
        let found = found.unwrap_or_else(|_| panic!("waited for {what}"));
        Arc::clone(&found.unwrap())
    }

    async fn stop(self) {
        self.cancel.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

struct Sleeper(Child);

impl Sleeper {
    fn start() -> Self {
        let mut command = Command::new("sleep");
        Self(command.arg("300").stdin(Stdio::null()).spawn().unwrap())
    }

    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.kill();
    }
}

fn identity(pid: u32) -> ProcessIdentity {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, rest) = stat.rsplit_once(')').unwrap();
    let process =
        ProcessRef { pid, start_ticks: rest.split_whitespace().nth(19).unwrap().parse().unwrap() };
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    ProcessIdentity {
        shim: process,
        program: process,
        boot_id: boot_id.trim().to_owned(),
        marker: "test".into(),
        started_at: SystemClock.now(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_is_measured_from_its_start_event_to_its_end_event() {
    let world = World::open().await;
    let running = Running::start(&world).await;
    let first = running.monitor.snapshots().borrow().clone();
    assert!(first.agents.is_empty() && first.machine.memory_total_bytes > 0);
    assert_eq!(first.machine.cpu_percent, None);

    let mut sleeper = Sleeper::start();
    world.start(&sleeper.0).await;
    let agent = world.agent;
    let measured = |snapshot: &Snapshot| {
        let usage: Option<&AgentUsage> = snapshot.agents.get(&agent);
        usage.is_some_and(|usage| usage.alive && usage.cpu_percent.is_some())
    };
    let seen = running.until("the agent", measured).await;
    let usage = &seen.agents[&agent];
    assert_eq!((usage.attempt_id, usage.processes), (world.attempt, 1));
    assert!(usage.memory_bytes > 0 && usage.cpu_percent.unwrap() < 50.0);
    assert!(seen.machine.cpu_percent.is_some());

    world.telemetry.flush().await.unwrap();
    let labels = BTreeMap::from([("agent".to_owned(), agent.to_string())]);
    let stored = world.telemetry.latest("agent_memory_bytes", &labels).await;
    assert_eq!(stored.unwrap().len(), 1);

    sleeper.kill();
    let dead = |snapshot: &Snapshot| snapshot.agents.get(&agent).is_some_and(|usage| !usage.alive);
    running.until("the agent to be missed", dead).await;
    world.end().await;
    let gone = |snapshot: &Snapshot| !snapshot.agents.contains_key(&agent);
    running.until("the attempt to be let go", gone).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_and_progress_over_time_stand_on_one_axis_with_cpu_and_memory() {
    let world = World::open().await;
    let sleeper = Sleeper::start();
    let running = Running::start(&world).await;
    world.start(&sleeper.0).await;
    let used = |output| Fact::UsageMeasured {
        attempt_id: world.attempt,
        usage: Usage {
            tokens: Tokens { output: Some(output), ..Tokens::default() },
            reported_cost_micros: Some(2_500),
            turns: 1,
            ..Usage::none(UsageSource::Result)
        },
    };
    let at = SystemClock.now();
    let progress = Progress { percent: Some(40), text: "x".into(), at };
    world
        .tell(vec![
            used(100),
            Fact::MissionProgressed { mission_id: world.mission, progress, criteria: Vec::new() },
        ])
        .await;
    let agent = world.agent;
    let output = |snapshot: &Snapshot| {
        snapshot.work.get(&agent).and_then(|work| work.usage.as_ref()?.tokens.output)
    };
    running.until("the first figures", |it| output(it) == Some(100)).await;
    // The last word of an attempt comes with its end.
    world.tell(vec![used(200)]).await;
    world.end().await;
    running.until("the last figures", |it| output(it) == Some(200)).await;
    running.until("the attempt to be let go", |it| !it.work.contains_key(&agent)).await;
    running.stop().await;

    world.telemetry.flush().await.unwrap();
    let range = async |name: &str| {
        let query = RangeQuery {
            name: name.to_owned(),
            labels: BTreeMap::from([("agent".to_owned(), agent.to_string())]),
            from: at - jiff::SignedDuration::from_secs(60),
            to: SystemClock.now() + jiff::SignedDuration::from_secs(60),
            points: 1,
        };
        let found = world.telemetry.range(query).await.unwrap();
        let last = |it: &SeriesRange| it.buckets.last().unwrap().last;
        found.iter().map(last).collect::<Vec<_>>()
    };
    assert_eq!(range("agent_tokens_total").await, [200.0], "what nobody said has no series");
    assert_eq!(range("agent_cost_usd_total").await, [0.0025]);
    assert_eq!(range("agent_turns_total").await, [1.0]);
    assert_eq!(range("agent_progress_percent").await, [40.0]);
    assert_eq!(range("agent_memory_bytes").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_of_an_earlier_run_is_measured_from_the_first_look() {
    let world = World::open().await;
    let sleeper = Sleeper::start();
    world.start(&sleeper.0).await;
    let running = Running::start(&world).await;
    let first = running.monitor.snapshots().borrow().clone();
    assert!(first.agents[&world.agent].alive);
    assert_eq!(first.agents[&world.agent].cpu_percent, None);
    let began = Instant::now();
    running.stop().await;
    assert!(began.elapsed() < Duration::from_secs(10), "cancelling took long");
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_of_an_agent_go_on_when_the_measuring_begins_anew() {
    let world = World::open().await;
    let sleeper = Sleeper::start();
    world.start(&sleeper.0).await;
    let agent = world.agent;
    std::fs::create_dir_all(world.dir.attempt(world.attempt)).unwrap();
    let printed = world.dir.attempt(world.attempt).join(model::process::file::STDOUT);
    let running = Running::start(&world).await;
    std::fs::write(&printed, "hello").unwrap();
    let output = |snapshot: &Snapshot| snapshot.agents.get(&agent).map(|it| it.totals.output_bytes);
    running.until("the output", |it| output(it) == Some(5)).await;
    running.stop().await;
    world.telemetry.flush().await.unwrap();

    let running = Running::start(&world).await;
    running.until("the same total", |it| output(it) == Some(5)).await;
    std::fs::write(&printed, "hello, world").unwrap();
    running.until("more output", |it| output(it) == Some(12)).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_a_screen_is_looked_at_four_times_a_second_until_it_is_closed() {
    let world = World::open().await;
    let sleeper = Sleeper::start();
    world.start(&sleeper.0).await;
    let running = Running::start(&world).await;
    let mut close_ups = running.monitor.close_ups();
    assert_eq!(close_ups.borrow_and_update().at, None, "nobody looks");
    let screen = running.monitor.interest().screen();
    assert_eq!(screen.show(&[world.agent]), 1);
    for _ in 0..3 {
        let changed = tokio::time::timeout(Duration::from_secs(60), close_ups.changed()).await;
        changed.unwrap().unwrap();
    }
    let found = close_ups.borrow_and_update().clone();
    assert_eq!(found.agents[&world.agent].processes, 1);
    running.stop().await;
}
