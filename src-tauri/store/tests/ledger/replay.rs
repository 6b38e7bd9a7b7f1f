//! Rows follow from events: any legal history, told by facts, gives the rows a plain fold gives,
//! and replaying the log gives them again.

use std::collections::BTreeMap;

use model::agent::Agent;
use model::attempt::{Attempt, AttemptState, DiffStat, Work, Workplace};
use model::devlog::Devlog;
use model::event::{Fact, NewEvent, Subject};
use model::gate::{GateResult, Grade, Verdict};
use model::id::{AgentId, AttemptId, DevlogId, MissionId};
use model::mission::{Mission, MissionState};
use model::process::{Exit, ExitRecord};
use model::transition::MISSION_TABLE;
use proptest::prelude::*;
use store::Change;

use crate::support::*;
use beyond::Beyond;
use talk::Talk;

/// Facts beyond the life of a mission.
mod beyond;
/// Facts about what passes between agents and the captain.
pub(crate) mod talk;

/// What the ledger must say after the facts so far.
#[derive(Default)]
struct World {
    agents: BTreeMap<AgentId, Agent>,
    missions: BTreeMap<MissionId, Mission>,
    removed: BTreeMap<MissionId, Mission>,
    attempts: BTreeMap<AttemptId, Attempt>,
    gates: BTreeMap<AttemptId, Vec<GateResult>>,
    devlogs: BTreeMap<DevlogId, Devlog>,
    dice_names: u32,
    /// Briefs that were changed.
    briefs: BTreeMap<MissionId, String>,
    beyond: Beyond,
    talk: Talk,
}

fn pick<K: Copy + Ord, V>(map: &BTreeMap<K, V>, n: u8) -> Option<K> {
    let at = usize::from(n) % map.len().max(1);
    map.keys().nth(at).copied()
}

impl World {
    /// Turns a step into a legal fact, or into nothing when there is none.
    fn step(&mut self, (what, a, b): (u8, u8, u8)) -> Option<NewEvent> {
        match what % 18 {
            0 => Some(self.agent(a)),
            1 => Some(self.mission(a)),
            2 | 3 => self.move_mission(a, b),
            4 => self.lease(a, b),
            5 | 6 => self.attempt(a, b),
            7 => self.tell(a, b),
            8 => self.change_or_remove(a, b),
            9 => self.say(a, b),
            10 | 11 => self.attend(a, b),
            12 | 13 => self.write(a, b),
            14 | 15 => self.ask(a, b),
            16 => self.report(a, b),
            _ => self.decide(a, b),
        }
    }

    fn agent(&mut self, a: u8) -> NewEvent {
        self.dice_names += 1;
        let mut agent = agent(&format!("Agent {} ü", self.dice_names));
        agent.paused = a.is_multiple_of(2);
        agent.directory = (a.is_multiple_of(3)).then(|| "/tmp".to_owned());
        agent.conduct.rules = format!("rule {a}");
        self.agents.insert(agent.id, agent.clone());
        added(&agent)
    }

    fn mission(&mut self, a: u8) -> NewEvent {
        let mut mission = mission(&format!("mission {a} 'quoted' \u{202e}"));
        mission.agent = pick(&self.agents, a);
        mission.demo = a.is_multiple_of(2);
        self.missions.insert(mission.id, mission.clone());
        created(&mission)
    }

    fn move_mission(&mut self, a: u8, b: u8) -> Option<NewEvent> {
        let id = pick(&self.missions, a)?;
        let mission = self.missions.get_mut(&id)?;
        let rules: Vec<_> =
            MISSION_TABLE.iter().filter(|rule| rule.from == mission.state).collect();
        let rule = rules.get(usize::from(b) % rules.len().max(1))?;
        let mut event = moved(id, rule.from, rule.to);
        if let Fact::MissionMoved { note, grade, tries, recoveries, not_before, .. } =
            &mut event.fact
        {
            *recoveries = u32::from(b % 3);
            *not_before = b.is_multiple_of(4).then(now);
            (mission.recoveries, mission.not_before) = (*recoveries, *not_before);
            *note = (b.is_multiple_of(2)).then(|| format!("because {b}"));
            *grade = Grade::ALL[usize::from(b) % 5];
            *tries = u32::from(b % 4);
            mission.note.clone_from(note);
            (mission.grade, mission.tries) = (*grade, *tries);
        }
        mission.state = rule.to;
        mission.updated_at = event.at;
        Some(event)
    }

    fn lease(&mut self, a: u8, b: u8) -> Option<NewEvent> {
        let (mission_id, agent_id) = (pick(&self.missions, a)?, pick(&self.agents, b)?);
        let live =
            |attempt: &Attempt| attempt.mission_id == mission_id && !attempt.state.is_final();
        if self.attempts.values().any(live) {
            return None;
        }
        let mission = self.missions.get_mut(&mission_id)?;
        let attempt = attempt(mission_id, agent_id, mission.attempts + 1);
        let fact = Fact::AttemptLeased { attempt: attempt.clone() };
        let event = event(about(mission_id), fact);
        mission.attempts += 1;
        mission.updated_at = event.at;
        self.attempts.insert(attempt.id, attempt);
        Some(event)
    }

    fn attempt(&mut self, a: u8, b: u8) -> Option<NewEvent> {
        let attempt_id = pick(&self.attempts, a)?;
        let attempt = self.attempts.get_mut(&attempt_id)?;
        let over = attempt.state.is_final();
        let fact = match b % 9 {
            6 => {
                let work = work(b);
                attempt.work = Some(work.clone());
                Fact::WorkRecorded { attempt_id, work }
            }
            7 => {
                let result = gate_result(b);
                let results = self.gates.entry(attempt_id).or_default();
                results.retain(|known| known.index != result.index);
                results.push(result.clone());
                results.sort_by_key(|known| known.index);
                self.beyond.answered(attempt_id, result.index);
                Fact::GateFinished { attempt_id, result }
            }
            _ if over => return None,
            n => progress(attempt, n),
        };
        let subject = Subject {
            mission_id: Some(attempt.mission_id),
            attempt_id: Some(attempt_id),
            agent_id: Some(attempt.agent_id),
        };
        if matches!(fact, Fact::AttemptVerifying { .. }) {
            self.beyond.over(attempt_id);
        }
        let event = event(subject, fact);
        if attempt.state.is_final() && !over {
            attempt.ended_at = Some(event.at);
            (attempt.in_review, attempt.frozen) = (false, false);
            self.beyond.over(attempt_id);
        }
        Some(event)
    }

    fn tell(&mut self, a: u8, b: u8) -> Option<NewEvent> {
        if b.is_multiple_of(4) {
            let devlog_id = pick(&self.devlogs, a)?;
            self.devlogs.remove(&devlog_id);
            let fact = Fact::DevlogRemoved { devlog_id };
            return Some(event(Subject::default(), fact));
        }
        let mission = self.missions.get(&pick(&self.missions, a)?)?;
        let attempt = pick(&self.attempts, b).and_then(|id| self.attempts.get(&id));
        let devlog = Devlog {
            id: DevlogId::draw(now(), &mut Rising),
            mission_id: mission.id,
            short_id: mission.short_id.clone(),
            attempt_id: attempt.map(|attempt| attempt.id),
            agent_id: attempt.map(|attempt| attempt.agent_id),
            title: "told".to_owned(),
            markdown: format!("# {b}"),
            demo: false,
            at: now(),
        };
        self.devlogs.insert(devlog.id, devlog.clone());
        Some(event(about(mission.id), Fact::DevlogWritten { devlog }))
    }

    fn change_or_remove(&mut self, a: u8, b: u8) -> Option<NewEvent> {
        match b % 4 {
            0 => {
                let agent = self.agents.get_mut(&pick(&self.agents, a)?)?;
                agent.paused = !agent.paused;
                agent.grace_s = u32::from(a) + 1;
                agent.conduct.handover_at_percent = a.is_multiple_of(2).then_some(90);
                let agent = agent.clone();
                Some(event(Subject::default(), Fact::AgentChanged { agent }))
            }
            1 => {
                let agent_id = pick(&self.agents, a)?;
                self.agents.remove(&agent_id);
                self.talk.removed(agent_id);
                Some(event(Subject::default(), Fact::AgentRemoved { agent_id }))
            }
            2 => {
                let mission_id = pick(&self.missions, a)?;
                let mission = self.missions.remove(&mission_id)?;
                self.removed.insert(mission_id, mission);
                Some(event(about(mission_id), Fact::MissionRemoved { mission_id }))
            }
            _ => {
                let mission_id = pick(&self.missions, a)?;
                let agent_id = pick(&self.agents, b);
                let mission = self.missions.get_mut(&mission_id)?;
                let fact = Fact::MissionAssigned { mission_id, agent_id };
                let event = event(about(mission_id), fact);
                mission.agent = agent_id;
                mission.updated_at = event.at;
                Some(event)
            }
        }
    }

    async fn compare(&self, place: &Place) {
        let ledger = &place.ledger;
        let mut agents = ledger.agents().await.unwrap();
        agents.sort_by_key(|agent| agent.id);
        assert_eq!(agents, self.agents.values().cloned().collect::<Vec<_>>());
        for (id, mission) in &self.missions {
            assert_eq!(&ledger.mission(*id).await.unwrap().unwrap().0, mission);
        }
        for id in self.removed.keys() {
            assert_eq!(ledger.mission(*id).await.unwrap(), None);
        }
        let unfinished = ledger.unfinished_missions().await.unwrap();
        let expected = self.missions.values().filter(|m| !m.state.is_final());
        assert!(unfinished.iter().eq(expected));
        for (id, attempt) in &self.attempts {
            assert_eq!(ledger.attempt(*id).await.unwrap().as_ref(), Some(attempt));
            let results = self.gates.get(id).cloned().unwrap_or_default();
            assert_eq!(ledger.gate_results(*id).await.unwrap(), results);
        }
        let live = ledger.unfinished_attempts().await.unwrap();
        assert!(live.iter().eq(self.attempts.values().filter(|a| !a.state.is_final())));
        let now = ledger.circumstances().await.unwrap();
        let held = now.holds.iter().map(|it| (it.mission_id, it.agent_id, it.occupies_agent));
        assert!(held.eq(live.iter().map(|a| (a.mission_id, a.agent_id, a.occupies_agent()))));
        let reviews = ledger.pending_reviews().await.unwrap();
        assert!(now.reviewers.iter().eq(reviews.iter().map(|(_, _, agent)| agent)));
        assert_eq!(now.settings, ledger.settings().await.unwrap());
        assert_eq!(now.halted, ledger.halted().await.unwrap().is_some());
        for (id, devlog) in &self.devlogs {
            assert_eq!(ledger.devlog(*id).await.unwrap().as_ref(), Some(devlog));
        }
        let counts = ledger.counts().await.unwrap();
        let states = counts.missions.values().sum::<u64>();
        assert_eq!(states, self.missions.len() as u64);
        let of = |state| self.missions.values().filter(|m| m.state == state).count() as u64;
        for state in MissionState::ALL {
            assert_eq!(counts.missions.get(&state).copied().unwrap_or(0), of(state));
        }
        let in_review = of(MissionState::InReview);
        assert_eq!(ledger.inbox_counts().await.unwrap().reviews, in_review);
    }
}

fn progress(attempt: &mut Attempt, n: u8) -> Fact {
    let attempt_id = attempt.id;
    match n {
        0 => {
            let workplace = Workplace {
                directory: "/tmp/w".to_owned(),
                branch: Some("hive/x".to_owned()),
                base_commit: None,
                uncommitted_files: 3,
            };
            attempt.state = AttemptState::Starting;
            attempt.workplace = Some(workplace.clone());
            Fact::AttemptPrepared { attempt_id, workplace }
        }
        1 | 2 => {
            let process = process(u32::from(n));
            attempt.state = AttemptState::Running;
            attempt.process = Some(process.clone());
            match n {
                1 => Fact::AttemptStarted { attempt_id, process },
                _ => Fact::AttemptAdopted { attempt_id, process },
            }
        }
        3 => {
            attempt.stopping = true;
            Fact::AttemptStopping { attempt_id }
        }
        4 => {
            let record = ExitRecord {
                cpu_ms: 12,
                memory_peak_bytes: 1 << 40,
                ..ExitRecord::bare(Exit::Signal { signal: 9 }, now())
            };
            attempt.state = AttemptState::Exited;
            attempt.frozen = false;
            attempt.exit = Some(record.clone());
            Fact::AttemptExited { attempt_id, record }
        }
        5 => {
            attempt.state = AttemptState::Verifying;
            attempt.in_review = false;
            Fact::AttemptVerifying { attempt_id }
        }
        _ => {
            attempt.state = AttemptState::Stopped;
            attempt.stopping = false;
            attempt.note = Some("asked to".to_owned());
            Fact::AttemptEnded {
                attempt_id,
                state: AttemptState::Stopped,
                note: attempt.note.clone(),
            }
        }
    }
}

fn work(b: u8) -> Work {
    Work {
        head_commit: "abc".to_owned(),
        commits: Vec::new(),
        tree: b.is_multiple_of(2).then(|| "def".to_owned()),
        diff: DiffStat { files: u64::from(b), insertions: 2, deletions: 3 },
        rescued_files: 0,
    }
}

fn gate_result(b: u8) -> GateResult {
    GateResult {
        index: u32::from(b / 9 % 3),
        gate: model::gate::GateSpec::parse("command: make test").unwrap(),
        verdict: [Verdict::Passed, Verdict::Failed, Verdict::TimedOut, Verdict::Broken]
            [usize::from(b) % 4],
        exit_code: Some(-1),
        reason: "it said so".to_owned(),
        output: "…\u{0}\u{fffd}".to_owned(),
        output_bytes: u64::from(b),
        commit: None,
        tree: b.is_multiple_of(2).then(|| "def".to_owned()),
        checks: b.is_multiple_of(3).then_some(u64::from(b)),
        by: b.is_multiple_of(5).then(|| "captain".to_owned()),
        started_at: now(),
        duration_ms: 5,
    }
}

async fn check(steps: Vec<(u8, u8, u8)>, per_change: usize) {
    let place = Place::new().await;
    let mut world = World::default();
    let events: Vec<_> = steps.into_iter().filter_map(|step| world.step(step)).collect();
    for part in events.chunks(per_change) {
        let change = Change::events(part.to_vec());
        place.ledger.commit(change).await.unwrap();
    }
    world.compare(&place).await;
    world.compare_beyond(&place).await;
    world.talk.compare(&place).await;
    let verified = place.ledger.verify().await.unwrap();
    assert_eq!(verified.findings, []);
    assert_eq!(verified.events, events.len() as u64);
    let place = reopen(place.close().await).await.unwrap();
    world.compare(&place).await;
    world.compare_beyond(&place).await;
    world.talk.compare(&place).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn any_legal_history_gives_the_same_rows_live_folded_and_replayed(
        steps in prop::collection::vec(any::<(u8, u8, u8)>(), 1..240),
        per_change in 1usize..12,
    ) {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(check(steps, per_change));
    }
}
