//! Agents come, go, and are held back.

use model::agent::{AGENTS_MAX, Agent};
use model::event::Fact;
use model::id::AgentId;
use model::refusal::{Code, Refusal};

use super::{Desk, of_agent};

impl<'a> Desk<'a> {
    pub(super) fn agent(&self, id: AgentId) -> Result<&'a Agent, Refusal> {
        self.state.agents.get(&id).ok_or_else(|| {
            Refusal::new(Code::NotFound, "there is no such agent")
                .hint("it may have been removed; list the agents")
        })
    }

    pub(super) fn add_agent(&mut self, agent: Agent) -> Result<(), Refusal> {
        let taken = |other: &Agent| other.name.to_lowercase() == agent.name.to_lowercase();
        if self.state.agents.values().any(taken) {
            let message = format!("there is already an agent named '{}'", agent.name);
            return Err(Refusal::new(Code::Conflict, message).hint("choose another name"));
        }
        if self.state.agents.len() >= AGENTS_MAX {
            let message = format!("a workspace holds at most {AGENTS_MAX} agents");
            return Err(Refusal::new(Code::Conflict, message).hint("remove agents you do not need"));
        }
        self.fact(of_agent(agent.id), Fact::AgentAdded { agent });
        Ok(())
    }

    pub(super) fn remove_agent(&mut self, id: AgentId) -> Result<(), Refusal> {
        let name = self.agent(id)?.name.clone();
        if self.state.is_busy(id) {
            return Err(Refusal::new(Code::Conflict, format!("{name} is at work"))
                .hint("cancel its mission first, or wait until it has ended"));
        }
        self.fact(of_agent(id), Fact::AgentRemoved { agent_id: id });
        Ok(())
    }

    pub(super) fn clear_agent(&mut self, id: AgentId) -> Result<(), Refusal> {
        self.agent(id)?;
        self.fact(of_agent(id), Fact::AgentCleared { agent_id: id });
        Ok(())
    }

    pub(super) fn hold_agent(&mut self, id: AgentId, paused: bool) -> Result<(), Refusal> {
        let agent = self.agent(id)?;
        if agent.paused != paused {
            let agent = Agent { paused, ..agent.clone() };
            self.fact(of_agent(id), Fact::AgentChanged { agent });
        }
        Ok(())
    }
}
