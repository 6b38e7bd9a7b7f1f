//! What must hold after every step, told apart from how it is brought about.

use std::collections::{BTreeMap, BTreeSet};

use model::attempt::{Attempt, AttemptState};
use model::effect::Effect;
use model::event::{Event, Fact};
use model::gate::{Answerer, GateResult, Verdict};
use model::id::{AgentId, AttemptId, MissionId};
use model::mission::{Mission, MissionState};
use model::transition::MISSION_TABLE;
use orchestrator::Input;
use orchestrator::decide::Decision;
use orchestrator::state::State;

use crate::engine::RUNNING_MAX;
use crate::sim::Sim;

/// Stands in briefs and in what agents get in their environment, and belongs nowhere else.
pub(crate) const SECRET: &str = "hk-planted-0c5f";

type Finding = Result<(), String>;

fn must(holds: bool, else_: impl FnOnce() -> String) -> Finding {
    if holds { Ok(()) } else { Err(else_()) }
}

/// Evidence is about the work as it is: the same tree, or where there is none, the same commit.
fn about_this_work(result: &GateResult, attempt: &Attempt) -> bool {
    let Some(work) = &attempt.work else {
        return true;
    };
    match (&work.tree, &result.tree) {
        (Some(there), Some(seen)) => there == seen,
        _ => result.commit.as_ref() == Some(&work.head_commit),
    }
}

impl Sim {
    /// Looks at what one commit added.
    pub(crate) fn check_commit(&mut self, first: usize, facts: usize) {
        let events = &self.book.events[first..first + facts];
        let looked = events.iter().try_for_each(|event| self.check_event(event));
        let looked = looked.and_then(|()| self.check_limits(events));
        if let Err(what) = looked {
            self.violate(what);
        }
        if self.trace.is_some() {
            for at in first..first + facts {
                let fact = format!("{:?}", self.book.events[at].fact);
                self.note(|_| format!("  {}", fact.chars().take(240).collect::<String>()));
            }
        }
    }

    fn check_event(&self, event: &Event) -> Finding {
        match &event.fact {
            Fact::MissionMoved { mission_id, from, to, .. } => {
                let listed = MISSION_TABLE.iter().any(|it| it.from == *from && it.to == *to);
                must(listed, || format!("I2: a mission went from {from} to {to}"))?;
                let mission = &self.book.rows.missions[mission_id].mission;
                match to {
                    MissionState::Done => self.check_done(mission, event),
                    _ => Ok(()),
                }
            }
            Fact::AttemptLeased { attempt } => self.check_lease(attempt),
            Fact::AttemptEnded { attempt_id, state, .. } => {
                let program = self.machine.runs.get(&(*attempt_id, None));
                let program = program.is_some_and(|run| run.alive);
                let any = *state == AttemptState::Stopped && self.machine.lives(*attempt_id);
                must(!program && !any, || {
                    format!("I9: an attempt ended as {} with a process", state.as_str())
                })
            }
            _ => Ok(()),
        }
    }

    /// Done means: every gate has passed on the work as it is, and the evidence is enough.
    fn check_done(&self, mission: &Mission, event: &Event) -> Finding {
        let grade = mission.grade;
        must(grade >= mission.grade_needed(), || {
            format!("done with {}, which is not enough", grade.as_str())
        })?;
        let id = event.subject.attempt_id;
        let id = id.ok_or("done without an attempt")?;
        let attempt = &self.book.rows.attempts[&id];
        let none = BTreeMap::new();
        let results = self.book.rows.results.get(&id).unwrap_or(&none);
        for gate in &mission.gates {
            let passed = results.values().any(|result| {
                result.gate == *gate
                    && result.verdict == Verdict::Passed
                    && about_this_work(result, attempt)
            });
            must(passed, || format!("done, and gate '{}' has not passed on it", gate.label()))?;
            let red = results.values().find(|result| {
                result.gate == *gate
                    && result.verdict != Verdict::Passed
                    && gate.answerer() != Answerer::Captain
                    && about_this_work(result, attempt)
            });
            // The same gate may stand on a mission twice; then each of them must have passed.
            must(red.is_none(), || format!("done, and gate '{}' is red", gate.label()))?;
        }
        let claims = attempt.exit().is_some_and(model::process::Exit::claims_completion);
        must(claims, || "done, and its program did not say so".to_owned())
    }

    fn check_lease(&self, leased: &Attempt) -> Finding {
        let rows = &self.book.rows;
        let row = &rows.missions[&leased.mission_id];
        let mission = &row.mission;
        must(rows.halted.is_none(), || "a lease while everything is stopped".to_owned())?;
        must(mission.tries <= row.retries_max + 1, || {
            format!("try {} of at most {}", mission.tries, row.retries_max + 1)
        })?;
        for id in &mission.depends_on {
            must(rows.stands(*id) == Some(MissionState::Done), || {
                format!("a lease, and what it depends on is {:?}", rows.stands(*id))
            })?;
        }
        let agent = rows.agents.get(&leased.agent_id).ok_or("a lease to nobody")?;
        let can = |skill: &String| agent.skills.iter().any(|it| it.eq_ignore_ascii_case(skill));
        must(mission.skills.iter().all(can), || "a lease to who lacks a skill".to_owned())?;
        must(!agent.paused && agent.demo == mission.demo, || {
            "a lease to the wrong agent".to_owned()
        })?;
        must(mission.agent.is_none_or(|it| it == agent.id) || mission.hand_over, || {
            "a lease to an agent that was not chosen".to_owned()
        })?;
        let known = self.engine.state.missions.get(&mission.id);
        let waits = known.and_then(|it| it.not_before).is_some_and(|at| at > self.now);
        must(!waits, || "a lease before its time".to_owned())?;
        let live = || rows.live.iter().map(|id| &rows.attempts[id]);
        let leases = live().filter(|it| it.mission_id == mission.id).count();
        must(leases == 1, || format!("I3: a mission has {leases} live leases"))?;
        let at_work = live().filter(|it| it.agent_id == agent.id && it.occupies_agent()).count();
        let reviews = rows.reviews.values().filter(|it| **it == agent.id).count();
        must(at_work + reviews == 1, || "I3: a lease to an agent at work".to_owned())
    }

    fn check_limits(&self, events: &[Event]) -> Finding {
        let leases =
            events.iter().filter(|it| matches!(it.fact, Fact::AttemptLeased { .. })).count();
        let reviews = events.iter().any(|it| matches!(it.fact, Fact::ReviewAssigned { .. }));
        if leases == 0 && !reviews {
            return Ok(());
        }
        let rows = &self.book.rows;
        let most = rows.settings.starts_per_cycle as usize;
        must(leases <= most, || format!("{leases} starts in one go, at most {most}"))?;
        let at_work = rows.live.iter().filter(|id| rows.attempts[id].occupies_agent()).count();
        let under_way = at_work + rows.reviews.len();
        let most = rows.settings.running_max.unwrap_or(RUNNING_MAX) as usize;
        must(under_way <= most, || format!("{under_way} under way, at most {most}"))?;
        must(rows.halted.is_none(), || "a review while everything is stopped".to_owned())
    }

    /// Whether what comes in is a result of an attempt that is over.
    pub(crate) fn is_over(&self, input: &Input) -> bool {
        let attempt = input.attempt_id().and_then(|id| self.book.rows.attempts.get(&id));
        attempt.is_some_and(|attempt| attempt.state.is_final())
    }

    /// A result that comes late is kept as late, and changes nothing.
    pub(crate) fn check_late(&mut self, input: &Input, decision: &Decision) {
        let kept = decision.facts.iter().all(|(_, fact)| match fact {
            Fact::ResultLate { .. } => true,
            Fact::CheckpointMade { .. } => matches!(input, Input::Checkpointed(_)),
            Fact::CheckpointRestored { .. } => matches!(input, Input::Restored { .. }),
            _ => false,
        });
        let result = matches!(
            input,
            Input::Exited { .. }
                | Input::Secured { .. }
                | Input::GateFinished { .. }
                | Input::Verified { .. }
                | Input::Stopped { .. }
        );
        if !kept || !decision.effects.is_empty() || result && decision.facts.is_empty() {
            self.violate(format!("I3: what came too late was applied: {input:?}"));
        }
    }

    /// Looks at everything after a step.
    pub(crate) fn check_all(&mut self) {
        let looked = self.check_processes().and_then(|()| self.check_work());
        let looked = looked.and_then(|()| {
            if self.engine.unsure || self.compared == self.book.events.len() {
                return Ok(());
            }
            self.check_missions()?;
            self.check_outbox()?;
            // The whole picture is compared at every fourth change or so, and at every crash.
            let due = self.calm || self.book.events.len().is_multiple_of(4);
            let recalled = due.then(|| self.book.rows.recall(RUNNING_MAX));
            match recalled.and_then(|recalled| differs(&recalled, &self.engine.state)) {
                Some(what) => Err(format!("I6: the state is not what the ledger says: {what}")),
                None => Ok(()),
            }
        });
        self.compared = self.book.events.len();
        if let Err(what) = looked {
            self.violate(what);
        }
    }

    /// Every live process belongs to an attempt that is not over.
    fn check_processes(&self) -> Finding {
        for ((id, gate), run) in &self.machine.runs {
            if run.alive && gate.is_none() {
                let live = self.book.rows.live.contains(id);
                must(live, || "I9: a program runs whose attempt is over".to_owned())?;
            }
        }
        Ok(())
    }

    /// Somebody works on each attempt, and will tell its end.
    fn check_work(&self) -> Finding {
        if self.engine.unsure {
            return Ok(());
        }
        for id in &self.book.rows.live {
            let attempt = &self.book.rows.attempts[id];
            let waits = attempt.in_review && !attempt.stopping;
            let worked_on = self.engine.slots.contains_key(id);
            must(worked_on || waits, || {
                format!("I4: nobody works on an attempt that is {}", attempt.state.as_str())
            })?;
        }
        for (id, _) in self.book.rows.reviews.keys() {
            let worked_on = self.engine.slots.contains_key(id);
            must(worked_on, || "I4: nobody asks the reviewing agent".to_owned())?;
        }
        Ok(())
    }

    /// What a mission's state says about its attempts is so.
    fn check_missions(&self) -> Finding {
        let rows = &self.book.rows;
        let mut of_mission: BTreeMap<MissionId, &Attempt> = BTreeMap::new();
        let mut programs: BTreeSet<AgentId> = BTreeSet::new();
        for id in &rows.live {
            let attempt = &rows.attempts[id];
            let twice = of_mission.insert(attempt.mission_id, attempt).is_some();
            must(!twice, || "I3: a mission has two live leases".to_owned())?;
            let program = attempt.occupies_agent() && attempt.state != AttemptState::Verifying;
            let twice = program && !programs.insert(attempt.agent_id);
            must(!twice, || "I3: an agent works on two missions".to_owned())?;
        }
        for row in rows.missions.values() {
            let state = row.mission.state;
            let attempt = of_mission.get(&row.mission.id);
            let held = attempt.filter(|it| !it.stopping);
            let as_said = match state {
                MissionState::Assigned => held.is_some_and(|it| {
                    matches!(it.state, AttemptState::Leased | AttemptState::Starting)
                }),
                MissionState::Running => {
                    held.is_some_and(|it| it.state == AttemptState::Running && !it.frozen)
                }
                MissionState::Verifying => {
                    held.is_some_and(|it| it.state == AttemptState::Verifying && !it.in_review)
                }
                MissionState::InReview => held.is_some_and(|it| it.in_review),
                MissionState::Paused => held.is_none_or(|it| it.frozen),
                MissionState::Done => attempt.is_none(),
                _ => held.is_none(),
            };
            must(as_said, || {
                let attempt = attempt.map(|it| (it.state, it.stopping, it.in_review, it.frozen));
                format!("a mission is {state}, and its attempt {attempt:?}")
            })?;
        }
        Ok(())
    }

    /// What is to be done stands in the outbox until it is done.
    fn check_outbox(&self) -> Finding {
        let mut open: BTreeSet<(AttemptId, &str)> = BTreeSet::new();
        for (entry, delivered) in &self.book.outbox {
            if !delivered {
                open.insert((entry.effect.attempt_id(), entry.effect.kind()));
                let live = self.book.rows.live.contains(&entry.effect.attempt_id());
                must(live, || "I7: an effect is open of an attempt that is over".to_owned())?;
            }
        }
        let known = self.engine.pending.values().flatten();
        let known: BTreeSet<_> =
            known.map(|it| (it.effect.attempt_id(), it.effect.kind())).collect();
        must(known == open, || format!("I7: the loop knows of {known:?}, open is {open:?}"))?;
        for id in &self.book.rows.live {
            let attempt = &self.book.rows.attempts[id];
            let needed = match attempt.state {
                _ if attempt.stopping => "stop",
                AttemptState::Leased | AttemptState::Starting => "start",
                AttemptState::Verifying if !attempt.in_review => "verify",
                _ => continue,
            };
            must(open.contains(&(*id, needed)), || format!("I7: no '{needed}' is in the outbox"))?;
        }
        for (id, index) in self.book.rows.reviews.keys() {
            let asked = self.book.outbox.iter().any(|(entry, delivered)| {
                !delivered
                    && matches!(entry.effect, Effect::Review { attempt_id, index: its, .. }
                        if attempt_id == *id && its == *index)
            });
            must(asked, || "I7: no 'review' is in the outbox".to_owned())?;
        }
        Ok(())
    }

    /// When nothing goes wrong any more, nothing that could go on may be left.
    pub(crate) fn check_quiet(&mut self) {
        let looked = self.check_starved().and_then(|()| {
            must(self.engine.slots.is_empty(), || "somebody works on for ever".to_owned())?;
            must(self.book.open_effects().is_empty(), || "effects stay open".to_owned())?;
            let mut replayed = State::new(RUNNING_MAX);
            let mut removed: Vec<Mission> = Vec::new();
            let mut last: BTreeMap<MissionId, u64> = BTreeMap::new();
            for (place, event) in (1..).zip(&self.book.events) {
                must(event.seq == place, || "I5: the log has a gap".to_owned())?;
                if let (Some(id), Some(seq)) = (event.subject.mission_id, event.mission_seq) {
                    let before = last.insert(id, seq).unwrap_or(0);
                    must(before + 1 == seq, || "I5: a mission's events have a gap".to_owned())?;
                }
                match &event.fact {
                    Fact::MissionRemoved { mission_id } => {
                        removed.extend(replayed.missions.get(mission_id).cloned());
                    }
                    // What is restored is read again when it is asked for.
                    Fact::MissionRestored { mission_id } => {
                        let back = removed.iter().rposition(|it| it.id == *mission_id);
                        back.into_iter().for_each(|at| replayed.admit_mission(removed.remove(at)));
                    }
                    _ => {}
                }
                replayed.apply(&event.fact);
            }
            replayed.forget_finished();
            // Others may depend on what was removed before they came.
            let missions = replayed.missions.values();
            let wanted = missions.flat_map(|it| it.depends_on.clone()).collect();
            self.book.rows.recall_dependencies(&mut replayed, wanted);
            match differs(&replayed, &self.engine.state) {
                Some(what) => Err(format!("I6: replaying gives another state: {what}")),
                None => self.check_secret(),
            }
        });
        if let Err(what) = looked {
            self.violate(what);
        }
    }

    /// What stands in a brief or an environment does not get into anything else that is told.
    fn check_secret(&self) -> Finding {
        if !self.book.events.len().is_multiple_of(8) {
            // Writing all facts out takes longer than everything else.
            return Ok(());
        }
        let told = self.book.events.iter().filter(|event| {
            !matches!(
                event.fact,
                Fact::MissionCreated { .. } | Fact::AgentAdded { .. } | Fact::AgentChanged { .. }
            )
        });
        let mut told = told.map(|event| &event.fact);
        let leak = told.find(|fact| format!("{fact:?}").contains(SECRET));
        must(leak.is_none(), || format!("I8: {} holds a secret", leak.map_or("", Fact::kind)))
    }

    fn check_starved(&self) -> Finding {
        let rows = &self.book.rows;
        for row in rows.missions.values().filter(|row| !row.removed) {
            let mission = &row.mission;
            match mission.state {
                MissionState::Queued => {
                    let done = |id: &MissionId| rows.stands(*id) == Some(MissionState::Done);
                    let ready = mission.depends_on.iter().all(done);
                    let agent =
                        mission.agent.filter(|_| !mission.hand_over || mission.handoff.is_none());
                    let fits = agent.is_none_or(|id| {
                        rows.agents.get(&id).is_some_and(|agent| {
                            agent.demo == mission.demo
                                && mission.skills.iter().all(|skill| {
                                    agent.skills.iter().any(|it| it.eq_ignore_ascii_case(skill))
                                })
                        })
                    });
                    must(!ready || !fits, || {
                        format!("{} starves in the queue: {:?}", mission.short_id, mission.note)
                    })?;
                }
                MissionState::Assigned | MissionState::Running | MissionState::Verifying => {
                    return Err(format!("{} stays {} for ever", mission.short_id, mission.state));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Where two states say something different about what is unfinished.
pub(crate) fn differs(a: &State, b: &State) -> Option<String> {
    let live = |state: &State| -> BTreeMap<AttemptId, Attempt> {
        let all = state.attempts.values().filter(|it| !it.state.is_final());
        all.map(|it| (it.id, it.clone())).collect()
    };
    let (these, those) = (live(a), live(b));
    if these != those {
        return Some(first_difference(&these, &those));
    }
    // What is a draft or finished is read when somebody asks for it.
    let open = |state: &State| -> BTreeMap<MissionId, Mission> {
        let all = state.missions.values();
        let all = all.filter(|it| !it.state.is_final() && it.state != MissionState::Draft);
        all.map(|it| (it.id, it.clone())).collect()
    };
    let (missions, others) = (open(a), open(b));
    if missions != others {
        return Some(first_difference(&missions, &others));
    }
    for id in missions.keys() {
        let (one, other) = (a.attempt_of_mission(*id), b.attempt_of_mission(*id));
        if one.map(|it| it.id) != other.map(|it| it.id) {
            return Some(format!("the lease of {id}"));
        }
    }
    for mission in missions.values() {
        for id in &mission.depends_on {
            if a.dependency(*id) != b.dependency(*id) {
                return Some(format!("{id}: {:?} and {:?}", a.dependency(*id), b.dependency(*id)));
            }
        }
    }
    for id in these.keys() {
        let none = BTreeMap::new();
        let (one, other) = (a.results.get(id).unwrap_or(&none), b.results.get(id).unwrap_or(&none));
        if one != other {
            return Some(format!("what the gates of {id} found: {one:?} and {other:?}"));
        }
    }
    let queued = |state: &State| state.queued().map(|it| it.id).collect::<Vec<_>>();
    let same = [
        ("agents", a.agents == b.agents),
        ("reviews", a.reviews == b.reviews),
        ("tracks", a.tracks == b.tracks),
        ("topics", a.topics == b.topics),
        ("votes", a.votes == b.votes),
        ("halted", a.halted == b.halted),
        ("settings", a.settings == b.settings),
        ("busy agents", a.busy() == b.busy()),
        ("under way", a.under_way() == b.under_way()),
        ("the queue", queued(a) == queued(b)),
    ];
    same.iter().find(|(_, same)| !same).map(|(what, _)| (*what).to_owned())
}

fn first_difference<K: Ord + std::fmt::Debug, V: PartialEq + std::fmt::Debug>(
    a: &BTreeMap<K, V>,
    b: &BTreeMap<K, V>,
) -> String {
    let keys: BTreeSet<&K> = a.keys().chain(b.keys()).collect();
    let different = keys.into_iter().find(|key| a.get(key) != b.get(key));
    different.map_or_else(String::new, |key| format!("{:?}\nand {:?}", a.get(key), b.get(key)))
}
