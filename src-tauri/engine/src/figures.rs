//! The engine's own figures, for those who watch it from outside.

use std::collections::HashMap;

use model::id::AgentId;
use model::refusal::Refusal;
use store::ledger::{AgentUsage, LedgerStatus};
use store::telemetry::TelemetryCounters;

use crate::Engine;
use crate::resolve::unreadable;
use crate::traces::TraceCounts;
use crate::view::{InboxTotals, Overview};

/// What an agent has used in all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedBy {
    /// Its name; nothing where it was removed.
    pub agent: Option<String>,
    /// What it used.
    pub usage: AgentUsage,
}

/// What there is to know of an engine by numbers.
#[derive(Debug, Clone)]
pub struct Figures {
    /// Agents, missions, the machine.
    pub overview: Overview,
    /// What waits for the captain.
    pub inbox: InboxTotals,
    /// How the ledger does.
    pub ledger: LedgerStatus,
    /// What became of samples.
    pub telemetry: TelemetryCounters,
    /// Clients that listen to the live stream.
    pub listeners: usize,
    /// What each agent has used since there is a ledger.
    pub used: Vec<UsedBy>,
    /// What became of the traces that go out.
    pub traces: TraceCounts,
}

impl Engine {
    /// The figures as they are now.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn figures(&self) -> Result<Figures, Refusal> {
        let parts = &self.0;
        let overview = self.overview().await?;
        let inbox = self.inbox_totals().await?;
        let agents = parts.ledger.agents().await.map_err(unreadable)?;
        let names: HashMap<AgentId, String> =
            agents.into_iter().map(|agent| (agent.id, agent.name)).collect();
        let used = parts.ledger.usage_by_agent().await.map_err(unreadable)?;
        let named =
            |usage: AgentUsage| UsedBy { agent: names.get(&usage.agent_id).cloned(), usage };
        Ok(Figures {
            overview,
            inbox,
            ledger: parts.ledger.status(),
            telemetry: parts.telemetry.counters(),
            listeners: parts.hub.listeners(),
            used: used.into_iter().map(named).collect(),
            traces: parts.traces.counts(),
        })
    }
}
