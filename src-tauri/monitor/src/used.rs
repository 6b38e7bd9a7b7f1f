//! What attempts have used and how far they are: a fold over the ledger's events, so that it stands on
//! the same axis as what their processes use.

use std::collections::BTreeMap;

use model::event::{Event, Fact};
use model::id::{AgentId, AttemptId, MissionId};
use model::usage::Usage;

use crate::roster::Watched;
use crate::snapshot::AgentWork;

/// What is known of one attempt.
#[derive(Debug, Clone)]
struct Told {
    agent_id: AgentId,
    mission_id: Option<MissionId>,
    /// What each source says.
    usage: Vec<Usage>,
    percent: Option<u8>,
    /// Whether something of it is not in a measurement yet.
    fresh: bool,
}

/// What attempts have used and how far they are.
#[derive(Debug, Default)]
pub(crate) struct Used(BTreeMap<AttemptId, Told>);

impl Used {
    /// Begins with an attempt whose program runs.
    pub(crate) fn begin(
        &mut self,
        watched: &Watched,
        mission_id: Option<MissionId>,
        usage: Vec<Usage>,
        percent: Option<u8>,
    ) {
        let agent_id = watched.agent_id;
        let told = Told { agent_id, mission_id, usage, percent, fresh: true };
        self.0.insert(watched.attempt_id, told);
    }

    /// Follows one event.
    pub(crate) fn apply(&mut self, event: &Event) {
        match &event.fact {
            Fact::AttemptStarted { attempt_id, .. } | Fact::AttemptAdopted { attempt_id, .. } => {
                if let Some(agent_id) = event.subject.agent_id {
                    self.0.entry(*attempt_id).or_insert(Told {
                        agent_id,
                        mission_id: event.subject.mission_id,
                        usage: Vec::new(),
                        percent: None,
                        fresh: false,
                    });
                }
            }
            Fact::UsageMeasured { attempt_id, usage } => {
                if let Some(told) = self.0.get_mut(attempt_id) {
                    told.usage.retain(|known| known.source != usage.source);
                    told.usage.push(usage.clone());
                    told.fresh = true;
                }
            }
            Fact::MissionProgressed { mission_id, progress, .. } => {
                let of_it = |told: &&mut Told| told.mission_id == Some(*mission_id);
                for told in self.0.values_mut().filter(of_it) {
                    told.percent = progress.percent.or(told.percent);
                    told.fresh = true;
                }
            }
            _ => {}
        }
    }

    /// What belongs to this measurement, one attempt for each agent. What one said at its end goes
    /// before what the next one of the same agent says: that is in the measurement after it.
    pub(crate) fn measured(&mut self, watched: &[Watched]) -> BTreeMap<AgentId, AgentWork> {
        let runs = |id: &AttemptId| watched.iter().any(|watched| watched.attempt_id == *id);
        let mut found = BTreeMap::new();
        // Older attempts have smaller ids.
        self.0.retain(|id, told| {
            let runs = runs(id);
            if (runs || told.fresh) && !found.contains_key(&told.agent_id) {
                told.fresh = false;
                let usage = Usage::best(&told.usage).cloned();
                found.insert(told.agent_id, AgentWork { usage, percent: told.percent });
            }
            runs || told.fresh
        });
        found
    }
}

#[cfg(test)]
mod tests {
    use model::event::{Actor, Subject};
    use model::mission::Progress;
    use model::process::{ProcessIdentity, ProcessRef};
    use model::usage::{Tokens, UsageSource};

    use super::*;

    const AGENT: &str = "0198c0de-0000-7000-8000-00000000000b";
    const MISSION: &str = "0198c0de-0000-7000-8000-00000000000d";

    fn attempt(n: u8) -> AttemptId {
        format!("0198c0de-0000-7000-8000-0000000000a{n}").parse().unwrap()
    }

    fn watched(n: u8) -> Watched {
        let process = ProcessRef { pid: 7, start_ticks: 7 };
        let process = ProcessIdentity {
            shim: process,
            program: process,
            boot_id: String::new(),
            marker: String::new(),
            started_at: jiff::Timestamp::UNIX_EPOCH,
        };
        Watched { attempt_id: attempt(n), agent_id: AGENT.parse().unwrap(), process }
    }

    fn event(fact: Fact) -> Event {
        Event {
            seq: 1,
            id: "0198c0de-0000-7000-8000-00000000000c".parse().unwrap(),
            at: jiff::Timestamp::UNIX_EPOCH,
            actor: Actor::Engine,
            correlation_id: None,
            subject: Subject {
                agent_id: Some(AGENT.parse().unwrap()),
                mission_id: Some(MISSION.parse().unwrap()),
                ..Subject::default()
            },
            mission_seq: None,
            fact,
        }
    }

    fn said(n: u8, source: UsageSource, output: u64) -> Event {
        let tokens = Tokens { output: Some(output), ..Tokens::default() };
        let usage = Usage { tokens, ..Usage::none(source) };
        event(Fact::UsageMeasured { attempt_id: attempt(n), usage })
    }

    fn started(n: u8) -> Event {
        event(Fact::AttemptStarted { attempt_id: attempt(n), process: watched(n).process })
    }

    fn output(found: &BTreeMap<AgentId, AgentWork>) -> Option<u64> {
        found.values().next()?.usage.as_ref()?.tokens.output
    }

    #[test]
    fn of_what_several_sources_say_the_best_counts_and_they_are_never_added_up() {
        let mut used = Used::default();
        used.apply(&started(1));
        assert_eq!(output(&used.measured(&[watched(1)])), None, "nobody said anything");
        used.apply(&said(1, UsageSource::Sum, 5));
        used.apply(&said(1, UsageSource::Otlp, 7));
        used.apply(&said(1, UsageSource::Sum, 9));
        assert_eq!(output(&used.measured(&[watched(1)])), Some(7));
        assert_eq!(output(&used.measured(&[watched(1)])), Some(7), "as long as it runs");
    }

    #[test]
    fn what_an_attempt_says_at_its_very_end_is_measured_before_the_next_one_of_its_agent() {
        let mut used = Used::default();
        used.apply(&started(1));
        used.apply(&said(1, UsageSource::Result, 200));
        used.apply(&started(2));
        used.apply(&said(2, UsageSource::Result, 1));
        assert_eq!(output(&used.measured(&[watched(2)])), Some(200));
        assert_eq!(output(&used.measured(&[watched(2)])), Some(1));
        assert!(used.measured(&[]).is_empty(), "it was said");
        used.apply(&said(1, UsageSource::Result, 300));
        assert!(used.measured(&[]).is_empty() && used.0.is_empty(), "it is forgotten");
    }

    #[test]
    fn how_far_a_mission_is_stands_with_the_agent_that_works_on_it() {
        let mut used = Used::default();
        used.apply(&started(1));
        let progress = |percent, mission: &str| {
            event(Fact::MissionProgressed {
                mission_id: mission.parse().unwrap(),
                progress: Progress { percent, text: "x".into(), at: jiff::Timestamp::UNIX_EPOCH },
                criteria: Vec::new(),
            })
        };
        used.apply(&progress(Some(40), MISSION));
        used.apply(&progress(None, MISSION));
        used.apply(&progress(Some(90), "0198c0de-0000-7000-8000-00000000000e"));
        let found = used.measured(&[watched(1)]);
        assert_eq!(found.values().next().unwrap().percent, Some(40));
    }
}
