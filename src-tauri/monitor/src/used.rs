//! What agents have used and how far their missions are: a fold over the ledger's events, so that it
//! stands on the same axis as what their processes use.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

use model::event::{Event, Fact};
use model::id::{AgentId, AttemptId, MissionId};
use model::usage::{Tokens, Usage};
use store::ledger::AgentUsage;

use crate::roster::Watched;
use crate::snapshot::AgentWork;
use crate::totals::add;

/// How many attempts that have ended are remembered, for what is said of them late.
const ENDED_MAX: usize = 1_000;

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

/// What an agent has used in all its attempts; what nobody said is nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WorkTotals {
    /// Tokens by kind.
    pub tokens: Tokens,
    /// What it cost as the agent says, in millionths of a US dollar.
    pub reported_cost_micros: Option<u64>,
    /// What it cost by our own prices, in millionths of a US dollar.
    pub own_cost_micros: Option<u64>,
    /// Requests to its model.
    pub requests: Option<u64>,
    /// Time it waited for its model, in milliseconds.
    pub model_ms: Option<u64>,
    /// Turns.
    pub turns: u64,
    /// Tool calls.
    pub tool_calls: u64,
    /// Of these, the ones that failed.
    pub tool_failures: u64,
}

impl WorkTotals {
    /// Adds what an attempt has used since `before`. A better source may know less than the one
    /// before; a total does not shrink for that.
    fn grow(&mut self, before: Option<&Usage>, now: &Usage) {
        let nothing = Usage::none(now.source);
        let before = before.unwrap_or(&nothing);
        let more = |now: Option<u64>, then: Option<u64>| {
            now.map(|now| now.saturating_sub(then.unwrap_or(0)))
        };
        let (to, one, other) = (&mut self.tokens, &now.tokens, &before.tokens);
        add(&mut to.uncached_input, more(one.uncached_input, other.uncached_input));
        add(&mut to.cache_read, more(one.cache_read, other.cache_read));
        add(&mut to.cache_write, more(one.cache_write, other.cache_write));
        add(&mut to.output, more(one.output, other.output));
        add(&mut to.reasoning, more(one.reasoning, other.reasoning));
        let cost = more(now.reported_cost_micros, before.reported_cost_micros);
        add(&mut self.reported_cost_micros, cost);
        add(&mut self.own_cost_micros, more(now.own_cost_micros, before.own_cost_micros));
        add(&mut self.requests, more(now.requests, before.requests));
        add(&mut self.model_ms, more(now.model_ms, before.model_ms));
        let count = |total: &mut u64, now: u64, then: u64| {
            *total = total.saturating_add(now.saturating_sub(then));
        };
        count(&mut self.turns, now.turns, before.turns);
        count(&mut self.tool_calls, now.tool_calls, before.tool_calls);
        count(&mut self.tool_failures, now.tool_failures, before.tool_failures);
    }
}

/// What the ledger has added up of an agent; turns and waiting are not among it.
impl From<&AgentUsage> for WorkTotals {
    fn from(usage: &AgentUsage) -> Self {
        Self {
            tokens: usage.tokens,
            reported_cost_micros: usage.reported_cost_micros,
            own_cost_micros: usage.own_cost_micros,
            requests: usage.requests,
            model_ms: None,
            turns: 0,
            tool_calls: usage.tool_calls,
            tool_failures: usage.tool_failures,
        }
    }
}

/// What attempts have used and how far they are, and what agents have used in all.
#[derive(Debug, Default)]
pub(crate) struct Used {
    told: BTreeMap<AttemptId, Told>,
    totals: HashMap<AgentId, WorkTotals>,
}

impl Used {
    /// Begins with what agents have used in all.
    pub(crate) fn with_totals(totals: HashMap<AgentId, WorkTotals>) -> Self {
        Self { told: BTreeMap::new(), totals }
    }

    /// Begins with an attempt whose program runs; what it has used is in the totals already.
    pub(crate) fn begin(
        &mut self,
        watched: &Watched,
        mission_id: Option<MissionId>,
        usage: Vec<Usage>,
        percent: Option<u8>,
    ) {
        let agent_id = watched.agent_id;
        let told = Told { agent_id, mission_id, usage, percent, fresh: true };
        self.told.insert(watched.attempt_id, told);
    }

    /// What agents have used in all, to go on with.
    pub(crate) fn totals(&self) -> &HashMap<AgentId, WorkTotals> {
        &self.totals
    }

    /// Follows one event.
    pub(crate) fn apply(&mut self, event: &Event) {
        match &event.fact {
            // Of an agent that runs elsewhere no process is started here.
            Fact::AttemptStarted { attempt_id, .. }
            | Fact::AttemptAdopted { attempt_id, .. }
            | Fact::AttemptTaken { attempt_id } => self.know(*attempt_id, event),
            Fact::UsageMeasured { attempt_id, usage } => {
                if let Some(told) = self.told.get_mut(attempt_id) {
                    let before = Usage::best(&told.usage).cloned();
                    told.usage.retain(|known| known.source != usage.source);
                    told.usage.push(usage.clone());
                    told.fresh = true;
                    if let Some(now) = Usage::best(&told.usage) {
                        let totals = self.totals.entry(told.agent_id).or_default();
                        totals.grow(before.as_ref(), now);
                    }
                }
            }
            Fact::MissionProgressed { mission_id, progress, .. } => {
                let of_it = |told: &&mut Told| told.mission_id == Some(*mission_id);
                for told in self.told.values_mut().filter(of_it) {
                    told.percent = progress.percent.or(told.percent);
                    told.fresh = true;
                }
            }
            Fact::AgentRemoved { agent_id } => drop(self.totals.remove(agent_id)),
            _ => {}
        }
    }

    fn know(&mut self, attempt_id: AttemptId, event: &Event) {
        if let Some(agent_id) = event.subject.agent_id {
            self.told.entry(attempt_id).or_insert(Told {
                agent_id,
                mission_id: event.subject.mission_id,
                usage: Vec::new(),
                percent: None,
                fresh: false,
            });
        }
    }

    /// What belongs to this measurement, one attempt for each agent. What one said at its end goes
    /// before what the next one of the same agent says: that is in the measurement after it.
    pub(crate) fn measured(&mut self, watched: &[Watched]) -> BTreeMap<AgentId, AgentWork> {
        let running: HashSet<AttemptId> = watched.iter().map(|it| it.attempt_id).collect();
        let mut found = BTreeMap::new();
        let totals = &self.totals;
        let is_over = |id: &AttemptId, told: &Told| !running.contains(id) && !told.fresh;
        let ended = self.told.iter().filter(|(id, told)| is_over(id, told)).count();
        let mut too_many = ended.saturating_sub(ENDED_MAX);
        // Older attempts have smaller ids.
        self.told.retain(|id, told| {
            if is_over(id, told) {
                // What it says late is counted from what it had said before.
                let forgotten = too_many > 0;
                too_many = too_many.saturating_sub(1);
                return !forgotten;
            }
            if let Entry::Vacant(place) = found.entry(told.agent_id) {
                told.fresh = false;
                let usage = Usage::best(&told.usage).cloned();
                let totals = totals.get(&told.agent_id).copied().unwrap_or_default();
                place.insert(AgentWork { usage, totals, percent: told.percent, waiting: 0 });
            }
            true
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
        let total = |found: BTreeMap<AgentId, AgentWork>| {
            found.values().next().and_then(|work| work.totals.tokens.output)
        };
        used.apply(&said(1, UsageSource::Result, 300));
        assert_eq!(total(used.measured(&[])), Some(301), "what it says late counts once");
        assert_eq!(total(used.measured(&[])), None);
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

    #[test]
    fn counters_of_an_agent_go_on_when_its_attempt_is_replaced_and_never_shrink() {
        let mut used = Used::default();
        let totals = |used: &Used| used.totals().values().next().map(|it| it.tokens.output);
        used.apply(&started(1));
        used.apply(&said(1, UsageSource::Sum, 5));
        used.apply(&said(1, UsageSource::Sum, 9));
        assert_eq!(totals(&used), Some(Some(9)));
        // The better source knows less; what was counted stays.
        used.apply(&said(1, UsageSource::Otlp, 7));
        assert_eq!(totals(&used), Some(Some(9)));
        used.apply(&said(1, UsageSource::Otlp, 10));
        assert_eq!(totals(&used), Some(Some(12)));
        used.apply(&started(2));
        used.apply(&said(2, UsageSource::Sum, 4));
        assert_eq!(totals(&used), Some(Some(16)), "the next attempt begins at zero, the agent not");
        used.measured(&[]);
        let found = used.measured(&[watched(2)]);
        let work = found.values().next().unwrap();
        assert_eq!((work.totals.tokens.output, work.totals.tokens.cache_read), (Some(16), None));
    }

    #[test]
    fn attempts_that_have_ended_are_forgotten_in_the_end() {
        let mut used = Used::default();
        for n in 0..3 * ENDED_MAX {
            let mut started = started(1);
            let attempt_id = format!("0198c0de-0000-7000-8000-{n:012x}").parse().unwrap();
            started.fact = Fact::AttemptTaken { attempt_id };
            used.apply(&started);
            used.measured(&[]);
        }
        assert!(used.told.len() <= ENDED_MAX, "{}", used.told.len());
    }
}
