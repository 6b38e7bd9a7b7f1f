//! Where an access token may be used: in some areas, on some agents and missions.

use model::id::{AgentId, MissionId};
use model::token::{TokenArea, TokenScope};

use crate::keys::Bearer;
use crate::{Engine, resolve};

/// The one thing a request is about, as it was named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named<'a> {
    /// An agent, by its id or name.
    Agent(&'a str),
    /// A mission, by its id, short id or the beginning of it.
    Mission(&'a str),
    /// An attempt.
    Attempt(&'a str),
    /// A message to an agent.
    Message(&'a str),
    /// What an agent asked.
    Request(&'a str),
    /// A devlog.
    Devlog(&'a str),
}

/// Whose a thing is.
type Owners = (Option<AgentId>, Option<MissionId>);

impl Engine {
    /// Whether something lies within the scopes of a token. What cannot be found out does not.
    pub async fn is_within(
        &self,
        bearer: &Bearer,
        area: Option<TokenArea>,
        object: Option<Named<'_>>,
    ) -> bool {
        if !is_in_areas(&bearer.scopes, area) {
            return false;
        }
        let is_object = |scope: &&TokenScope| !matches!(scope, TokenScope::Area { .. });
        if !bearer.scopes.iter().any(|scope| is_object(&scope)) {
            return true;
        }
        let Some(object) = object else {
            return false;
        };
        let (agent, mission) = self.owners(object).await.unwrap_or_default();
        bearer.scopes.iter().any(|scope| match scope {
            TokenScope::Area { .. } => false,
            TokenScope::Agent { id } => agent == Some(*id),
            TokenScope::Mission { id } => mission == Some(*id),
        })
    }

    async fn owners(&self, object: Named<'_>) -> Option<Owners> {
        let ledger = &self.0.ledger;
        match object {
            Named::Agent(text) => {
                let agent = resolve::agent(ledger, text).await.ok()?;
                Some((Some(agent.id), None))
            }
            Named::Mission(text) => {
                let (mission, _) = resolve::mission(ledger, text).await.ok()?;
                // An agent does not own the missions it works on.
                Some((None, Some(mission.id)))
            }
            Named::Attempt(text) => {
                let attempt = ledger.attempt(text.parse().ok()?).await.ok()??;
                Some((Some(attempt.agent_id), Some(attempt.mission_id)))
            }
            Named::Message(text) => {
                let message = ledger.message(text.parse().ok()?).await.ok()??;
                Some((Some(message.to), message.mission_id))
            }
            Named::Request(text) => {
                let request = ledger.request(text.parse().ok()?).await.ok()??;
                Some((Some(request.agent_id), Some(request.mission_id)))
            }
            Named::Devlog(text) => {
                let devlog = ledger.devlog(text.parse().ok()?).await.ok()??;
                Some((devlog.agent_id, Some(devlog.mission_id)))
            }
        }
    }
}

fn is_in_areas(scopes: &[TokenScope], area: Option<TokenArea>) -> bool {
    let mut areas = scopes.iter().filter_map(|scope| match scope {
        TokenScope::Area { area } => Some(*area),
        _ => None,
    });
    let limited = areas.clone().next().is_some();
    !limited || areas.any(|it| Some(it) == area)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_widen_each_other_and_none_means_all() {
        let area = |area| TokenScope::Area { area };
        assert!(is_in_areas(&[], Some(TokenArea::House)));
        assert!(is_in_areas(&[], None));
        let some = [area(TokenArea::Talk), area(TokenArea::Missions)];
        assert!(is_in_areas(&some, Some(TokenArea::Talk)));
        assert!(is_in_areas(&some, Some(TokenArea::Missions)));
        assert!(!is_in_areas(&some, Some(TokenArea::House)));
        assert!(!is_in_areas(&some, None), "what belongs nowhere lies outside");
    }
}
