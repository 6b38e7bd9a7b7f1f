//! Who could do a mission: each agent with its measured history, and what keeps it back.

use std::collections::BTreeSet;

use insight::history::{self, Candidate};
use model::agent::Agent;
use model::id::AgentId;
use model::mission::Mission;
use model::refusal::Refusal;

use super::check::Background;
use crate::Engine;
use crate::resolve::unreadable;
use crate::view::{Measured, Spread, SuggestedAgent, Suggestion};

/// The most agents of one suggestion.
const CANDIDATES_MAX: usize = 50;

impl Engine {
    /// Who could do a mission; nothing where there is no agent.
    pub(crate) async fn suggestion(
        &self,
        mission: &Mission,
        back: &Background,
    ) -> Result<Option<Suggestion>, Refusal> {
        let now = self.0.ledger.circumstances().await.map_err(unreadable)?;
        Ok(suggestion(mission, back, &now.busy()))
    }
}

fn suggestion(
    mission: &Mission,
    back: &Background,
    busy: &BTreeSet<AgentId>,
) -> Option<Suggestion> {
    let agents: Vec<&Agent> =
        back.agents.iter().filter(|agent| agent.demo == mission.demo).collect();
    let asked: Vec<Candidate<AgentId>> = agents
        .iter()
        .map(|agent| Candidate { agent: agent.id, name: agent.name.clone() })
        .collect();
    let mut candidates: Vec<SuggestedAgent> = history::suggest(&asked, &mission.labels, &back.past)
        .into_iter()
        .filter_map(|found| {
            let agent = agents.iter().find(|agent| agent.id == found.agent)?;
            let free = !agent.paused && !busy.contains(&agent.id);
            Some(SuggestedAgent {
                agent_id: found.agent,
                name: found.name,
                because: found.because,
                success: found.record.success.map(|share| Measured {
                    value: share.rate,
                    low: share.low,
                    high: share.high,
                    n: found.record.n as u64,
                }),
                duration_s: found.record.duration_s.map(spread),
                cost_usd: found.record.cost_usd.map(spread),
                free,
                refused: refused(mission, agent, busy),
            })
        })
        .collect();
    // Those that cannot take it stay in view, behind those that can.
    candidates.sort_by_key(|candidate| candidate.refused.is_some());
    candidates.truncate(CANDIDATES_MAX);
    let first = candidates.first()?;
    let taken = first.refused.is_none().then_some(first);
    Some(Suggestion {
        agent_id: taken.map(|agent| agent.agent_id),
        agent_name: taken.map(|agent| agent.name.clone()),
        because: match &first.refused {
            None => format!("{}: {}", first.name, first.because),
            Some(why) => format!("no agent can take it now; {}: {why}", first.name),
        },
        candidates,
    })
}

const fn spread(found: history::Spread) -> Spread {
    Spread { p10: found.p10, p50: found.p50, p90: found.p90, n: found.n as u64 }
}

/// What keeps an agent from the mission now.
fn refused(mission: &Mission, agent: &Agent, busy: &BTreeSet<AgentId>) -> Option<String> {
    let can = |skill: &&String| agent.skills.iter().any(|has| has.eq_ignore_ascii_case(skill));
    let missing: Vec<&str> =
        mission.skills.iter().filter(|skill| !can(skill)).map(String::as_str).collect();
    if !missing.is_empty() {
        return Some(format!("it cannot {}", missing.join(", ")));
    }
    if agent.paused {
        return Some("it is paused".to_owned());
    }
    busy.contains(&agent.id).then(|| "it is at work".to_owned())
}
