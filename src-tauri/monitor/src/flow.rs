//! How missions flow, and how long people let agents wait: a fold over the ledger's events.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use model::event::{Event, Fact};
use model::id::{AgentId, MissionId, RequestId};
use model::inbox::Request;
use model::mission::MissionState;
use model::signal::{Histogram, catalogue::LONG_BOUNDS};

use crate::samples::Samples;

/// The most missions whose time in the queue is remembered, and requests that wait; what comes beyond
/// is not in the histograms.
const REMEMBERED_MAX: usize = 100_000;

/// What has flowed since the engine was started, and what waits now.
#[derive(Debug)]
pub(crate) struct Flow {
    /// Missions by state, as the ledger counted them last.
    missions: BTreeMap<MissionState, u64>,
    /// Whether they must be counted anew.
    stale: bool,
    queued: HashMap<MissionId, Timestamp>,
    waiting: HashMap<RequestId, (AgentId, Timestamp)>,
    queue: Histogram,
    lead: Histogram,
    wait: Histogram,
    ends: BTreeMap<&'static str, u64>,
    verdicts: BTreeMap<&'static str, u64>,
}

impl Flow {
    /// Begins with the requests that wait.
    pub(crate) fn new(waiting: Vec<Request>) -> Self {
        let mut flow = Self {
            missions: BTreeMap::new(),
            stale: true,
            queued: HashMap::new(),
            waiting: HashMap::new(),
            queue: Histogram::new(LONG_BOUNDS),
            lead: Histogram::new(LONG_BOUNDS),
            wait: Histogram::new(LONG_BOUNDS),
            ends: BTreeMap::new(),
            verdicts: BTreeMap::new(),
        };
        flow.waits(waiting);
        flow
    }

    /// Takes what waits from the ledger; events were missed.
    pub(crate) fn resume(&mut self, waiting: Vec<Request>) {
        self.stale = true;
        self.queued.clear();
        self.waits(waiting);
    }

    fn waits(&mut self, waiting: Vec<Request>) {
        let waiting = waiting.into_iter().filter(Request::waits).take(REMEMBERED_MAX);
        self.waiting = waiting.map(|it| (it.id, (it.agent_id, it.asked_at))).collect();
    }

    /// Whether missions must be counted anew.
    pub(crate) const fn is_stale(&self) -> bool {
        self.stale
    }

    /// Takes the missions by state.
    pub(crate) fn counted(&mut self, missions: BTreeMap<MissionState, u64>) {
        self.missions = missions;
        self.stale = false;
    }

    /// How many requests of each agent wait.
    pub(crate) fn waiting(&self) -> HashMap<AgentId, u32> {
        let mut waiting = HashMap::new();
        for (agent, _) in self.waiting.values() {
            *waiting.entry(*agent).or_insert(0) += 1;
        }
        waiting
    }

    /// Follows one event.
    pub(crate) fn apply(&mut self, event: &Event) {
        match &event.fact {
            Fact::MissionCreated { mission, .. } => {
                self.stale = true;
                self.moved(mission.id, mission.state, event.at);
            }
            Fact::MissionMoved { mission_id, to, .. } => {
                self.stale = true;
                self.moved(*mission_id, *to, event.at);
            }
            Fact::MissionRemoved { mission_id } => {
                self.stale = true;
                self.queued.remove(mission_id);
            }
            Fact::MissionRestored { .. } => self.stale = true,
            Fact::AttemptEnded { state, .. } => *self.ends.entry(state.as_str()).or_insert(0) += 1,
            Fact::GateFinished { result, .. } => {
                *self.verdicts.entry(result.verdict.as_str()).or_insert(0) += 1;
            }
            Fact::RequestAsked { request } if self.waiting.len() < REMEMBERED_MAX => {
                self.waiting.insert(request.id, (request.agent_id, request.asked_at));
            }
            Fact::RequestEnded { request_id, at, .. } => {
                if let Some((_, asked_at)) = self.waiting.remove(request_id) {
                    self.wait.observe(seconds_between(asked_at, *at));
                }
            }
            _ => {}
        }
    }

    fn moved(&mut self, id: MissionId, to: MissionState, at: Timestamp) {
        match to {
            MissionState::Queued if self.queued.len() < REMEMBERED_MAX => {
                self.queued.insert(id, at);
            }
            MissionState::Queued => {}
            MissionState::Assigned => {
                if let Some(since) = self.queued.remove(&id) {
                    self.queue.observe(seconds_between(since, at));
                }
            }
            MissionState::Done => {
                self.queued.remove(&id);
                self.lead.observe(made_at(id).map_or(f64::NAN, |made| seconds_between(made, at)));
            }
            _ => drop(self.queued.remove(&id)),
        }
    }

    /// Adds the samples. A state that no mission is in is told as zero, so that it can be watched.
    #[expect(clippy::cast_precision_loss, reason = "nothing is counted 2^53 times")]
    pub(crate) fn put(&self, samples: &mut Samples) {
        if !self.stale {
            for state in MissionState::ALL {
                let count = self.missions.get(&state).copied().unwrap_or(0);
                samples.add_of("missions", ("state", state.as_str()), count as f64);
            }
        }
        for (end, count) in &self.ends {
            samples.add_of("mission_attempts_total", ("end", *end), *count as f64);
        }
        for (verdict, count) in &self.verdicts {
            samples.add_of("mission_gates_total", ("verdict", *verdict), *count as f64);
        }
        samples.add_histogram("mission_queue_seconds", &self.queue);
        samples.add_histogram("mission_lead_seconds", &self.lead);
        samples.add_histogram("permission_wait_seconds", &self.wait);
    }
}

/// The time at which a mission was made is in its id.
fn made_at(id: MissionId) -> Option<Timestamp> {
    let (seconds, nanos) = id.as_uuid().get_timestamp()?.to_unix();
    Timestamp::new(i64::try_from(seconds).ok()?, i32::try_from(nanos).ok()?).ok()
}

/// A clock that was set back makes no time negative.
fn seconds_between(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64().max(0.0)
}

#[cfg(test)]
mod tests {
    use model::attempt::AttemptState;
    use model::event::{Actor, Subject};
    use model::gate::Grade;
    use model::id::SystemDraw;
    use model::inbox::{Ask, RequestEnd};

    use super::*;

    fn at(s: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + s).unwrap()
    }

    fn event(at: Timestamp, fact: Fact) -> Event {
        Event {
            seq: 1,
            id: "0198c0de-0000-7000-8000-00000000000c".parse().unwrap(),
            at,
            actor: Actor::Engine,
            correlation_id: None,
            subject: Subject::default(),
            mission_seq: None,
            fact,
        }
    }

    fn moved(id: MissionId, from: MissionState, to: MissionState) -> Fact {
        Fact::MissionMoved {
            mission_id: id,
            from,
            to,
            note: None,
            grade: Grade::None,
            tries: 0,
            recoveries: 0,
            not_before: None,
        }
    }

    fn said(flow: &Flow, name: &str) -> Option<f64> {
        let mut samples = Samples::default();
        flow.put(&mut samples);
        let named = samples.named().into_iter();
        let mut found = named.filter(|(key, _)| {
            let labels: Vec<_> = key.labels.values().map(String::as_str).collect();
            format!("{} {}", key.name, labels.join(" ")).trim() == name
        });
        found.next().map(|(_, value)| value)
    }

    #[test]
    fn queue_time_and_lead_time_are_counted_for_each_mission_once() {
        use MissionState::{Assigned, Done, Queued, Running, Verifying};
        let mut flow = Flow::new(Vec::new());
        assert_eq!(said(&flow, "missions queued"), None, "nobody has counted yet");
        flow.counted(BTreeMap::from([(Queued, 3)]));
        assert_eq!(said(&flow, "missions queued"), Some(3.0));
        assert_eq!(said(&flow, "missions done"), Some(0.0));
        let id = MissionId::draw(at(0), &mut SystemDraw);
        let steps = [
            (10, MissionState::Draft, Queued),
            (40, Queued, Assigned),
            (41, Assigned, Running),
            (90, Running, Verifying),
            (100, Verifying, Done),
        ];
        for (second, from, to) in steps {
            flow.apply(&event(at(second), moved(id, from, to)));
        }
        assert!(flow.is_stale());
        assert_eq!(said(&flow, "mission_queue_seconds_sum"), Some(30.0));
        assert_eq!(said(&flow, "mission_queue_seconds_count"), Some(1.0));
        let lead = said(&flow, "mission_lead_seconds_sum").unwrap();
        assert!((lead - 100.0).abs() < 0.01, "{lead}");
        // One whose way into the queue was not seen, and a clock that was set back.
        let other = MissionId::draw(at(500), &mut SystemDraw);
        flow.apply(&event(at(300), moved(other, Queued, Assigned)));
        flow.apply(&event(at(300), moved(other, Verifying, Done)));
        assert_eq!(said(&flow, "mission_queue_seconds_count"), Some(1.0));
        assert_eq!(said(&flow, "mission_lead_seconds_count"), Some(2.0));
        assert!((said(&flow, "mission_lead_seconds_sum").unwrap() - lead).abs() < 1e-9);
    }

    #[test]
    fn a_permission_waits_from_its_question_to_its_answer() {
        let draw = &mut SystemDraw;
        let agent_id = AgentId::draw(at(0), draw);
        let request = Request {
            id: RequestId::draw(at(0), draw),
            attempt_id: "0198c0de-0000-7000-8000-0000000000a1".parse().unwrap(),
            mission_id: MissionId::draw(at(0), draw),
            agent_id,
            key: "1".into(),
            ask: Ask::Question { text: "which one?".into(), options: Vec::new() },
            asked_at: at(5),
            not_before: None,
            end: None,
            ended_at: None,
            told: false,
        };
        let mut flow = Flow::new(Vec::new());
        flow.apply(&event(at(5), Fact::RequestAsked { request: request.clone() }));
        assert_eq!(flow.waiting()[&agent_id], 1);
        let end = RequestEnd::Denied { note: None };
        let ended = Fact::RequestEnded { request_id: request.id, end, at: at(25) };
        flow.apply(&event(at(25), ended.clone()));
        flow.apply(&event(at(26), ended));
        assert!(flow.waiting().is_empty());
        assert_eq!(said(&flow, "permission_wait_seconds_sum"), Some(20.0));
        assert_eq!(said(&flow, "permission_wait_seconds_count"), Some(1.0));
        flow.resume(vec![request]);
        assert_eq!(flow.waiting()[&agent_id], 1);
    }

    #[test]
    fn ends_of_attempts_are_counted_by_how_they_ended() {
        let mut flow = Flow::new(Vec::new());
        let attempt_id = "0198c0de-0000-7000-8000-0000000000a1".parse().unwrap();
        for state in [AttemptState::Accepted, AttemptState::Lost, AttemptState::Accepted] {
            flow.apply(&event(at(0), Fact::AttemptEnded { attempt_id, state, note: None }));
        }
        assert_eq!(said(&flow, "mission_attempts_total accepted"), Some(2.0));
        assert_eq!(said(&flow, "mission_attempts_total lost"), Some(1.0));
        assert_eq!(said(&flow, "mission_attempts_total stopped"), None);
    }
}
