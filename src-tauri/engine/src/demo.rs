//! The demo swarm: real local processes that do small real work in a scratch repository.
//!
//! Everything it makes is marked `demo` and is removed, files and all, by one request.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use agents::worktree::Git;
use model::agent::Agent;
use model::event::{Actor, Fact, NewEvent, Subject};
use model::id::{AgentId, EventId, MissionId, SystemDraw};
use model::mission::{Mission, Priority};
use model::policy::{STANDARD, STRICT};
use model::refusal::{Code, Refusal};
use model::transition::MissionInput;
use orchestrator::{Input, Wish};
use store::ledger::{Change, DevlogFilter, MissionFilter};
use tokio::time::{Instant, sleep};

use crate::resolve::unreadable;
use crate::view::{DemoView, NewAgent, NewMission};
use crate::{Caller, Engine};

/// How long removal waits for the demo's processes to be gone and its devlogs to be written.
const REMOVAL_MAX: Duration = Duration::from_secs(30);
/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Missions and devlogs read at once.
const PAGE: u32 = 500;

/// An agent of the demo.
struct DemoAgent {
    name: &'static str,
    role: &'static str,
    script: &'static str,
}

/// A mission of the demo.
struct DemoMission {
    agent: usize,
    title: &'static str,
    brief: &'static str,
    gates: &'static [&'static str],
    policy: &'static str,
    priority: Priority,
}

const AGENTS: &[DemoAgent] = &[
    DemoAgent { name: "demo-primes", role: "computes", script: include_str!("demo/primes.sh") },
    DemoAgent { name: "demo-scribe", role: "writes", script: include_str!("demo/scribe.sh") },
    DemoAgent { name: "demo-counter", role: "measures", script: include_str!("demo/counter.sh") },
    DemoAgent {
        name: "demo-hasty",
        role: "stops too early",
        script: include_str!("demo/hasty.sh"),
    },
];

const MISSIONS: &[DemoMission] = &[
    DemoMission {
        agent: 0,
        title: "List the primes below 1000",
        brief: "Write every prime below 1000 into primes.txt, one a line, and commit it.",
        gates: &["file: primes.txt", "command: test \"$(wc -l < primes.txt)\" -eq 168"],
        policy: STANDARD,
        priority: Priority::High,
    },
    DemoMission {
        agent: 1,
        title: "Keep a log for half a minute",
        brief: "Write a line a second into log.md for half a minute, and commit it.",
        gates: &["command: test \"$(wc -l < log.md)\" -ge 30"],
        policy: STRICT,
        priority: Priority::Normal,
    },
    DemoMission {
        agent: 2,
        title: "Count the words of the notes",
        brief: "Count how often each word stands in notes.md and commit the table as words.txt.",
        gates: &["file: words.txt", "command: sort -rn -c words.txt"],
        policy: STANDARD,
        priority: Priority::Normal,
    },
    DemoMission {
        agent: 3,
        title: "Write twenty lines",
        brief: "Write twenty lines into lines.txt. This agent stops too early and says it is done: \
                the gate finds out.",
        gates: &["command: test \"$(wc -l < lines.txt)\" -eq 20"],
        policy: STANDARD,
        priority: Priority::Normal,
    },
    DemoMission {
        agent: 0,
        title: "List the primes below 1000 again",
        brief: "The same once more, so that the first one's agent has something in its queue.",
        gates: &["file: primes.txt"],
        policy: STANDARD,
        priority: Priority::Low,
    },
];

const NOTES: &str = include_str!("demo/notes.md");

impl Engine {
    /// Makes the demo swarm and sets it to work.
    ///
    /// # Errors
    /// When it is there already, or its scratch repository cannot be made.
    pub async fn start_demo(&self, caller: &Caller) -> Result<DemoView, Refusal> {
        let agents = self.0.ledger.agents().await.map_err(unreadable)?;
        if agents.iter().any(|agent| agent.demo) {
            return Err(Refusal::new(Code::Conflict, "the demo swarm is there already")
                .hint("remove it first to start it afresh"));
        }
        let repository = self.demo_directory();
        remove_directory(&repository)?;
        Git::new().scratch(&repository, &[("notes.md", NOTES)]).await.map_err(|err| {
            Refusal::new(Code::Internal, format!("failed to {err}"))
                .hint("git is needed; see the health checks in the settings")
        })?;
        let repository = repository.display().to_string();
        let mut view = DemoView { agents: Vec::new(), missions: Vec::new(), repository };
        for demo in AGENTS {
            let agent = self.demo_agent(demo)?;
            view.agents.push(agent.id);
            self.tell(&caller.without_key(), Input::AddAgent(agent)).await?;
        }
        for demo in MISSIONS {
            let mission =
                self.demo_mission(demo, view.agents[demo.agent], &view.repository).await?;
            view.missions.push(mission.id);
            let brief = demo.brief.to_owned();
            let input = Input::AddMission { mission, brief, queue: true };
            self.tell(&caller.without_key(), input).await?;
        }
        Ok(view)
    }

    /// Stops the demo swarm and removes everything it made.
    ///
    /// # Errors
    /// When a process of it is not gone in time; what is left can be removed by asking again.
    pub async fn remove_demo(&self, caller: &Caller) -> Result<(), Refusal> {
        let until = Instant::now() + REMOVAL_MAX;
        let missions = self.demo_missions().await?;
        for mission in missions.iter().filter(|mission| !mission.state.is_final()) {
            let note = Some("the demo swarm is removed".to_owned());
            let wish = Wish { note, ..Wish::new(MissionInput::Cancel) };
            let input = Input::Ask { id: mission.id, wish };
            // It may have ended by itself in the meantime.
            match self.tell(&caller.without_key(), input).await {
                Err(refusal) if refusal.code != Code::TransitionRefused => return Err(refusal),
                _ => {}
            }
        }
        self.wait_until_quiet(&missions, until).await?;
        for mission in &missions {
            self.remove_demo_mission(caller, mission).await?;
        }
        for agent in self.0.ledger.agents().await.map_err(unreadable)? {
            if agent.demo {
                self.tell(&caller.without_key(), Input::RemoveAgent(agent.id)).await?;
            }
        }
        remove_directory(&self.demo_directory())
    }

    fn demo_directory(&self) -> PathBuf {
        self.0.dir.root().join("demo")
    }

    fn demo_agent(&self, demo: &DemoAgent) -> Result<Agent, Refusal> {
        let words = ["sh".to_owned(), "-c".to_owned(), demo.script.to_owned()];
        let agent = self.checked_agent(NewAgent {
            name: demo.name.to_owned(),
            role: demo.role.to_owned(),
            command: Some(shell_words::join(words)),
            grace_s: Some(2),
            ..NewAgent::default()
        })?;
        Ok(Agent { demo: true, ..agent })
    }

    async fn demo_mission(
        &self,
        demo: &DemoMission,
        agent: AgentId,
        repository: &str,
    ) -> Result<Mission, Refusal> {
        let new = NewMission {
            title: demo.title.to_owned(),
            brief: demo.brief.to_owned(),
            agent: Some(agent.to_string()),
            repository: Some(repository.to_owned()),
            gates: demo.gates.iter().map(ToString::to_string).collect(),
            priority: demo.priority,
            policy: Some(demo.policy.to_owned()),
            retries: Some(0),
            ..NewMission::default()
        };
        let back = self.background().await?;
        let drafted = self.drafted(new, &back, &BTreeMap::new()).await.sound()?;
        Ok(Mission { demo: true, estimate: None, ..drafted.mission })
    }

    async fn demo_missions(&self) -> Result<Vec<Mission>, Refusal> {
        let mut found = Vec::new();
        let mut cursor = None;
        loop {
            let filter = MissionFilter { cursor, limit: PAGE, ..MissionFilter::default() };
            let page = self.0.ledger.missions(filter).await.map_err(unreadable)?;
            found.extend(page.items.into_iter().filter(|mission| mission.demo));
            cursor = page.next;
            if cursor.is_none() {
                return Ok(found);
            }
        }
    }

    /// Waits until no attempt of these missions is under way and the journal has told of them.
    async fn wait_until_quiet(&self, missions: &[Mission], until: Instant) -> Result<(), Refusal> {
        let ledger = &self.0.ledger;
        let of_demo = |id: MissionId| missions.iter().any(|mission| mission.id == id);
        let mut head = None;
        loop {
            let unfinished = ledger.unfinished_attempts().await.map_err(unreadable)?;
            let busy = unfinished.iter().any(|attempt| of_demo(attempt.mission_id));
            if !busy {
                let head = match head {
                    Some(head) => head,
                    None => *head.insert(ledger.counts().await.map_err(unreadable)?.events),
                };
                if ledger.cursor(journal::CURSOR).await.map_err(unreadable)? >= head {
                    return Ok(());
                }
            }
            if Instant::now() >= until {
                return Err(Refusal::new(Code::Busy, "the demo's processes are not yet all gone")
                    .hint("nothing was removed; try again in a few seconds"));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    async fn remove_demo_mission(&self, caller: &Caller, mission: &Mission) -> Result<(), Refusal> {
        let ledger = &self.0.ledger;
        let filter =
            DevlogFilter { mission_id: Some(mission.id), limit: PAGE, ..DevlogFilter::default() };
        let now = self.0.clock.now();
        let devlogs = ledger.devlogs(filter).await.map_err(unreadable)?.items;
        let events = devlogs
            .into_iter()
            .map(|devlog| NewEvent {
                id: EventId::draw(now, &mut SystemDraw),
                at: now,
                actor: Actor::Captain,
                correlation_id: Some(caller.correlation_id),
                subject: Subject { mission_id: Some(mission.id), ..Subject::default() },
                fact: Fact::DevlogRemoved { devlog_id: devlog.id },
            })
            .collect();
        ledger.commit(Change { events, ..Change::default() }).await.map_err(|err| {
            Refusal::new(Code::Internal, format!("failed to remove the demo's devlogs: {err}"))
        })?;
        for attempt in ledger.attempts_of(mission.id).await.map_err(unreadable)? {
            remove_directory(&self.0.dir.attempt(attempt.id))?;
        }
        remove_directory(&self.0.dir.worktrees().join(mission.id.to_string()))?;
        self.tell(&caller.without_key(), Input::RemoveMission { id: mission.id, trash: None })
            .await
            .map(drop)
    }
}

fn remove_directory(path: &std::path::Path) -> Result<(), Refusal> {
    match std::fs::remove_dir_all(path) {
        Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
            Err(Refusal::new(Code::Internal, format!("failed to remove {}: {err}", path.display()))
                .hint("remove it by hand, or try again"))
        }
        _ => Ok(()),
    }
}
