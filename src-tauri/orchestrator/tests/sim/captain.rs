//! The captain asks anything at any time, allowed or not, and repeats requests under their keys.

use jiff::SignedDuration;
use model::agent::{Agent, Runtime};
use model::event::Actor;
use model::gate::{GateSpec, Grade, Verdict};
use model::id::{AgentId, AttemptId, CheckpointId, MissionId, TopicId, TrashId};
use model::mission::{Criterion, Merge, MergeHow, Mission, MissionState, Priority, Progress};
use model::policy::{Policy, STANDARD, STRICT, TRUSTING};
use model::process::Exit;
use model::settings::{Settings, Template};
use model::topic::{Topic, Vote};
use model::transition::MissionInput;
use model::trash::{TrashEnd, TrashItem, TrashKind};
use orchestrator::{Input, Wish};
use store::ledger::StoredAnswer;

use crate::engine::Told;
use crate::floor::found;
use crate::machine::record;
use crate::sim::Sim;

/// What agents can do and missions ask for.
const SKILLS: [&str; 3] = ["review", "rust", "docs"];
/// Gates of missions, as a person writes them.
const GATES: [&str; 7] = [
    "command: make",
    "command: make test",
    "file: out.txt",
    "diff",
    "ci: build",
    "reviewer",
    "human: ok?",
];
/// Missions of one run; more would only make it slower.
const MISSIONS_MAX: usize = 14;

/// A request that was made under a key.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    input: Input,
    answer: StoredAnswer,
    acknowledged: bool,
}

impl Sim {
    /// The captain asks something, or repeats a request.
    pub(crate) fn captain_asks(&mut self) {
        if self.dice.often(60) && !self.requests.is_empty() {
            let n = usize::try_from(self.dice.below(self.requests.len() as u64)).unwrap_or(0);
            return self.repeat(n);
        }
        let Some(input) = self.wanted() else {
            return;
        };
        if self.dice.often(700) {
            self.tell(input, None, Actor::Captain);
            return;
        }
        let n = self.requests.len();
        let answer = StoredAnswer {
            key: format!("key {n}"),
            fingerprint: [u8::try_from(n % 250).unwrap_or(0); 32],
            body: serde_json::json!({ "request": n }),
        };
        self.requests.push(Request { input, answer, acknowledged: false });
        self.repeat(n);
    }

    /// Makes a request, for the first time or again.
    fn repeat(&mut self, n: usize) {
        let Request { input, answer, acknowledged } = self.requests[n].clone();
        if self.dice.often(50) {
            let other = StoredAnswer { fingerprint: [255; 32], ..answer.clone() };
            if self.book.answers.contains_key(&answer.key)
                && matches!(self.tell(input.clone(), Some(other), Actor::Captain), Told::Kept(_))
            {
                self.violate("a key was used again for another request".to_owned());
            }
        }
        let kept = self.book.answers.contains_key(&answer.key);
        let told = self.tell(input.clone(), Some(answer.clone()), Actor::Captain);
        match told {
            // What was not sure whether it was kept is answered once it is.
            Told::Kept(_) if acknowledged => {
                self.violate(format!("{} was carried out again", answer.key));
            }
            // Letting go of a stop that could not be recorded leaves no answer behind.
            Told::Kept(0) if input == Input::ResumeSwarm => {}
            Told::Kept(_) => self.requests[n].acknowledged = true,
            Told::Replayed(known) if known != answer || !kept => {
                self.violate(format!("{} was answered otherwise", answer.key));
            }
            Told::Refused(refusal)
                if acknowledged && refusal.code != model::refusal::Code::Internal =>
            {
                self.violate(format!("{} was acknowledged and is refused: {refusal}", answer.key));
            }
            _ => {}
        }
    }

    fn wanted(&mut self) -> Option<Input> {
        Some(match self.dice.below(100) {
            0..=5 => Input::AddAgent(self.an_agent()),
            6 => Input::RemoveAgent(self.agent_id()?),
            7..=9 => Input::HoldAgent { id: self.agent_id()?, paused: self.dice.often(400) },
            10..=27 => self.a_mission()?,
            28..=33 => self.an_edit()?,
            34..=58 => self.a_wish()?,
            59..=61 => {
                let agent = if self.dice.often(500) { self.agent_id() } else { None };
                Input::Assign { id: self.mission_id()?, agent }
            }
            62..=64 => Input::Progress {
                id: self.mission_id()?,
                progress: Progress { percent: Some(50), text: "half".to_owned(), at: self.now },
                criteria: vec![(usize::try_from(self.dice.below(3)).ok()?, true)],
            },
            65..=67 => self.a_removal()?,
            68 => Input::Halt { note: None },
            69..=73 => Input::ResumeSwarm,
            74..=77 => Input::Configure(self.settings()),
            78..=84 => self.something_of_the_house()?,
            85..=91 => self.a_late_word()?,
            _ => self.a_build()?,
        })
    }

    fn an_agent(&mut self) -> Agent {
        let can = self.dice.below(8);
        let skills = (0..).zip(SKILLS).filter(|(bit, _)| can & (1 << bit) != 0);
        Agent {
            id: AgentId::draw(self.now, &mut self.ids),
            name: format!("agent {}", self.dice.below(12)),
            role: String::new(),
            skills: skills.map(|(_, skill)| skill.to_owned()).collect(),
            runtime: Runtime::Command {
                terminal: false,
                program: "agent".to_owned(),
                args: Vec::new(),
                env: [("TOKEN".to_owned(), crate::check::SECRET.to_owned())].into(),
            },
            directory: None,
            grace_s: 1,
            conduct: model::agent::Conduct::default(),
            paused: self.dice.often(100),
            demo: self.dice.often(50),
            created_at: self.now,
        }
    }

    fn gates(&mut self) -> Vec<GateSpec> {
        let count = self.dice.below(4);
        let lines = (0..count).filter_map(|_| self.dice.one(&GATES)).collect::<Vec<_>>();
        lines.into_iter().filter_map(|line| GateSpec::parse(line).ok()).collect()
    }

    fn dependencies(&mut self) -> Vec<MissionId> {
        let mut all = Vec::new();
        while self.dice.often(300) {
            all.extend(self.mission_id());
        }
        if self.dice.often(20) {
            all.push(MissionId::draw(self.now, &mut self.ids));
        }
        all
    }

    /// Changes what the captain can choose of a mission.
    fn arrange(&mut self, mission: &mut Mission) {
        mission.policy =
            self.dice.one(&[TRUSTING, STANDARD, STRICT]).unwrap_or(STANDARD).to_owned();
        mission.proof =
            self.dice.one(&[None, None, Some(Grade::Independent), Some(Grade::None)]).flatten();
        mission.priority =
            self.dice.one(&[Priority::Low, Priority::Normal, Priority::Urgent]).unwrap_or_default();
        mission.gates = self.gates();
        mission.depends_on = self.dependencies();
        mission.retries_max = u32::try_from(self.dice.below(4)).unwrap_or(0);
        mission.backoff_s = 60;
        mission.hand_over = self.dice.often(300);
        mission.unattended = self.dice.often(500);
        mission.demo = self.dice.often(40);
        mission.agent = if self.dice.often(150) { self.agent_id() } else { None };
        mission.skills = match self.dice.below(6) {
            0 => vec!["Rust".to_owned()],
            1 => vec!["docs".to_owned(), "rust".to_owned()],
            _ => Vec::new(),
        };
        mission.deadline = self.dice.often(200).then(|| self.now + SignedDuration::from_hours(5));
        mission.criteria = vec![Criterion { text: "it works".to_owned(), met: false }];
    }

    fn a_mission(&mut self) -> Option<Input> {
        if self.book.rows.missions.len() >= MISSIONS_MAX {
            return None;
        }
        let id = MissionId::draw(self.now, &mut self.ids);
        let mut mission = Mission::draft(id, "a mission", self.now);
        self.arrange(&mut mission);
        mission.repository = self.dice.often(600).then(|| "/repo".to_owned());
        let brief = format!("Use {}.", crate::check::SECRET);
        Some(Input::AddMission { mission, brief, queue: self.dice.often(850) })
    }

    fn an_edit(&mut self) -> Option<Input> {
        let id = self.mission_id()?;
        let mut mission = self.book.rows.missions.get(&id)?.mission.clone();
        match self.dice.below(4) {
            0 => self.arrange(&mut mission),
            1 => mission.depends_on = self.dependencies(),
            2 => mission.gates = self.gates(),
            _ => {
                let taken_off = self.dice.below(4).min(mission.gates.len() as u64);
                mission.gates.drain(..usize::try_from(taken_off).ok()?);
            }
        }
        Some(Input::EditMission { mission, brief: None })
    }

    fn a_wish(&mut self) -> Option<Input> {
        let id = self.mission_id()?;
        let row = self.book.rows.missions.get(&id)?;
        let allowed = model::transition::allowed(row.mission.state);
        let input = match self.dice.often(750) {
            true => self.dice.one(&allowed).or_else(|| self.dice.one(&MissionInput::ALL))?,
            false => self.dice.one(&MissionInput::ALL)?,
        };
        let merge = Merge {
            attempt: 1,
            reviewed: "c".to_owned(),
            target: "main".to_owned(),
            commit: "m".to_owned(),
            how: MergeHow::Merge,
            at: self.now,
        };
        let wish = Wish {
            note: self.dice.often(800).then(|| "so".to_owned()),
            keep_processes: self.dice.often(500),
            fresh: self.dice.often(300),
            merge: self.dice.often(300).then_some(merge),
            reviewed: self.dice.often(50).then(|| "another commit".to_owned()),
            ..Wish::new(input)
        };
        Some(Input::Ask { id, wish })
    }

    fn a_removal(&mut self) -> Option<Input> {
        let id = self.mission_id()?;
        if self.dice.often(300) {
            let trash: Vec<TrashId> = self.book.rows.trash.keys().copied().collect();
            return Some(Input::RestoreMission { id, trash_id: self.dice.one(&trash)? });
        }
        let trash = self.dice.often(700).then(|| self.trash_item(id));
        Some(Input::RemoveMission { id, trash })
    }

    fn trash_item(&mut self, mission_id: MissionId) -> TrashItem {
        TrashItem {
            id: TrashId::draw(self.now, &mut self.ids),
            kind: TrashKind::Mission,
            mission_id,
            attempt: None,
            title: "t".to_owned(),
            path: None,
            repository: None,
            branch: None,
            bytes: 0,
            at: self.now,
            until: self.now,
        }
    }

    fn settings(&mut self) -> Settings {
        Settings {
            running_max: self.dice.one(&[None, Some(0), Some(1), Some(2), Some(9)]).flatten(),
            starts_per_cycle: self.dice.one(&[0, 1, 2, 50]).unwrap_or(1),
            memory_free_min_percent: self.dice.one(&[0, 5, 50, 95]).unwrap_or(0),
            ..Settings::default()
        }
    }

    fn something_of_the_house(&mut self) -> Option<Input> {
        let name = self.dice.one(&["standard", "mine", "other", "Not A Name"])?.to_owned();
        let topics: Vec<TopicId> = self.book.rows.topics.keys().copied().collect();
        Some(match self.dice.below(9) {
            0 => Input::SavePolicy(Policy {
                name,
                about: String::new(),
                grade: Grade::Observed,
                gates: Vec::new(),
                retries: 0,
                backoff_s: 1,
                hand_over: false,
                builtin: false,
            }),
            1 => Input::RemovePolicy(name),
            2 => Input::SaveTemplate(Template {
                name,
                about: String::new(),
                title: "t".to_owned(),
                brief: "b".to_owned(),
                gates: Vec::new(),
                labels: Vec::new(),
                skills: Vec::new(),
                policy: None,
                repository: None,
            }),
            3 => Input::RemoveTemplate(name),
            4 => {
                let id = self.mission_id()?;
                Input::Trash(self.trash_item(id))
            }
            5 => {
                let trash: Vec<TrashId> = self.book.rows.trash.keys().copied().collect();
                Input::EmptyTrash { id: self.dice.one(&trash)?, end: TrashEnd::Purged }
            }
            6 => Input::OpenTopic(Topic {
                id: TopicId::draw(self.now, &mut self.ids),
                title: "?".to_owned(),
                text: String::new(),
                options: vec!["a".to_owned(), "b".to_owned()],
                opened_at: self.now,
                decision: None,
            }),
            7 => Input::Vote(Vote {
                topic_id: self.dice.one(&topics)?,
                agent_id: self.agent_id()?,
                option: self.dice.one(&["a", "b", "c"])?.to_owned(),
                rationale: "because".to_owned(),
                at: self.now,
            }),
            _ => Input::CloseTopic { id: self.dice.one(&topics)?, option: None, note: None },
        })
    }

    /// A word about an attempt from somebody who comes too late, or who says what is known.
    fn a_late_word(&mut self) -> Option<Input> {
        let rows = &self.book.rows;
        let all: Vec<AttemptId> = rows.attempts.keys().copied().collect();
        let id = self.dice.one(&all)?;
        let attempt = self.book.rows.attempts.get(&id)?.clone();
        let checkpoints: Vec<CheckpointId> = self.book.rows.checkpoints.iter().copied().collect();
        if self.dice.often(100) {
            let checkpoint_id = self.dice.one(&checkpoints)?;
            return Some(Input::Restored { id, checkpoint_id, before: "c".to_owned() });
        }
        if !attempt.state.is_final() {
            return Some(match self.dice.below(4) {
                0 => Input::Adopted { id, process: attempt.process? },
                1 => Input::Started { id, process: attempt.process? },
                2 => Input::Exited { id, record: attempt.exit? },
                _ => Input::Prepared { id, workplace: attempt.workplace? },
            });
        }
        let record = record(Exit::Code { code: 0 }, self.now);
        let gate = GateSpec::parse("command: make").ok()?;
        Some(match self.dice.below(8) {
            0 => Input::Exited { id, record },
            1 => Input::Stopped { id, record, problem: None },
            2 => Input::Secured { id, work: self.machine.work(id) },
            3 => Input::Verified { id, problem: None },
            4 => Input::Prepared { id, workplace: attempt.workplace? },
            5 => Input::Started { id, process: attempt.process? },
            6 => Input::Froze { id, frozen: attempt.frozen },
            _ => {
                let result = found(&attempt, 0, &gate, Verdict::Passed, self.now);
                Input::GateFinished { id, result }
            }
        })
    }

    /// A build server posts a result: early, late, twice, for another commit; or the work changes.
    fn a_build(&mut self) -> Option<Input> {
        let all: Vec<AttemptId> = self.book.rows.live.iter().copied().collect();
        let id = self.dice.one(&all)?;
        let attempt = self.book.rows.attempts.get(&id)?.clone();
        if self.dice.often(300) && attempt.in_review {
            if self.dice.often(500) {
                self.machine.commit(id);
            }
            return Some(Input::Changed { id: attempt.mission_id, note: "it moved".to_owned() });
        }
        let name = self.dice.one(&["build", "build", "lint"])?.to_owned();
        let verdict = self.dice.one(&[Verdict::Passed, Verdict::Passed, Verdict::Failed])?;
        let mut result = found(&attempt, 0, &GateSpec::Ci { name }, verdict, self.now);
        result.by = Some("https://ci.example/1".to_owned());
        if self.dice.often(200) {
            result.commit = Some("some other commit".to_owned());
            result.tree = None;
        }
        Some(Input::GateFinished { id, result })
    }

    fn agent_id(&mut self) -> Option<AgentId> {
        let all: Vec<AgentId> = self.book.rows.agents.keys().copied().collect();
        self.dice.one(&all)
    }

    fn mission_id(&mut self) -> Option<MissionId> {
        let all: Vec<MissionId> = self.book.rows.missions.keys().copied().collect();
        self.dice.one(&all)
    }

    /// The captain lets everything go on that was held back.
    pub(crate) fn captain_resumes_everything(&mut self) {
        self.tell(Input::ResumeSwarm, None, Actor::Captain);
        self.tell(Input::Configure(Settings::default()), None, Actor::Captain);
        for id in self.book.rows.agents.keys().copied().collect::<Vec<_>>() {
            self.tell(Input::HoldAgent { id, paused: false }, None, Actor::Captain);
        }
        for demo in [false, true] {
            for name in ["first", "second"] {
                let name = format!("{name} who can do everything, demo {demo}");
                let skills = SKILLS.map(str::to_owned).to_vec();
                let agent = Agent { name, skills, demo, paused: false, ..self.an_agent() };
                self.tell(Input::AddAgent(agent), None, Actor::Captain);
            }
        }
        let missions = self.book.rows.missions.values();
        let held = missions.filter(|row| row.mission.state == MissionState::Paused);
        for id in held.map(|row| row.mission.id).collect::<Vec<_>>() {
            let wish = Wish::new(MissionInput::Resume);
            self.tell(Input::Ask { id, wish }, None, Actor::Captain);
        }
    }
}
