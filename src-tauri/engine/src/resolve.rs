//! Finds what a person means: an id, a short id, a unique prefix, a name.

use model::agent::Agent;
use model::attempt::Attempt;
use model::id::{AgentId, AttemptId, MissionId, ShortId};
use model::mission::Mission;
use model::refusal::{Code, Refusal};
use store::ledger::{Ledger, ReadError};

/// Candidates named in a refusal.
const CANDIDATES: u32 = 10;

/// Turns a failed read into what the caller is told.
pub(crate) fn unreadable(err: ReadError) -> Refusal {
    if let ReadError::BadCursor { .. } = err {
        return Refusal::new(Code::InvalidInput, format!("failed to {err}"));
    }
    tracing::error!(error = &err as &dyn std::error::Error, "the store could not be read");
    Refusal::new(Code::Internal, format!("failed to {err}"))
        .hint("nothing was changed; see the log in the data directory")
}

/// Finds a mission by its id, its short id or a unique prefix of it.
pub(crate) async fn mission(ledger: &Ledger, text: &str) -> Result<(Mission, String), Refusal> {
    let none = || {
        Refusal::new(Code::NotFound, format!("there is no mission '{text}'"))
            .hint("list the missions to see their ids")
    };
    if let Ok(id) = text.parse::<MissionId>() {
        return ledger.mission(id).await.map_err(unreadable)?.ok_or_else(none);
    }
    let prefix = ShortId::normalise(text)
        .map_err(|err| Refusal::new(Code::NotFound, err.to_string()).hint("list the missions"))?;
    let found = ledger.find_missions(&prefix, CANDIDATES).await.map_err(unreadable)?;
    let exact = found.iter().find(|mission| mission.short_id.as_str() == prefix);
    let id = match (exact, found.as_slice()) {
        (Some(mission), _) => mission.id,
        (None, []) => return Err(none()),
        (None, [only]) => only.id,
        (None, several) => {
            let names = several.iter().map(|m| format!("{} {}", m.short_id, m.title)).collect();
            return Err(Refusal::new(
                Code::Ambiguous,
                format!("'{text}' is the beginning of several missions' ids"),
            )
            .hint("type more of the id")
            .allowed(names));
        }
    };
    ledger.mission(id).await.map_err(unreadable)?.ok_or_else(none)
}

/// Nobody has this name.
pub(crate) fn no_agent(text: &str) -> Refusal {
    Refusal::new(Code::NotFound, format!("there is no agent '{text}'"))
        .hint("list the agents to see their names")
}

/// Finds an agent by its id or its name, whatever the case.
pub(crate) async fn agent(ledger: &Ledger, text: &str) -> Result<Agent, Refusal> {
    let none = || no_agent(text);
    if let Ok(id) = text.parse::<AgentId>() {
        return ledger.agent(id).await.map_err(unreadable)?.ok_or_else(none);
    }
    let wanted = text.trim().to_lowercase();
    let agents = ledger.agents().await.map_err(unreadable)?;
    agents.into_iter().find(|agent| agent.name.to_lowercase() == wanted).ok_or_else(none)
}

/// Finds an attempt by its id.
pub(crate) async fn attempt(ledger: &Ledger, id: AttemptId) -> Result<Attempt, Refusal> {
    ledger
        .attempt(id)
        .await
        .map_err(unreadable)?
        .ok_or_else(|| Refusal::new(Code::NotFound, format!("there is no attempt '{id}'")))
}
