//! What an agent can read beside its tools: its mission, the handoff, and what it was told first.

use engine::Speaker;
use model::refusal::{Code, Refusal};
use rmcp::ErrorData;
use rmcp::model::{ReadResourceResult, Resource, ResourceContents};
use rmcp::service::{RequestContext, RoleServer};

use super::Tools;
use super::call::{in_words, speaker};

/// The speaker's own mission, as `mission_get` gives it.
const MISSION: &str = "hivekeeper://mission";
/// What the attempt before left.
const HANDOFF: &str = "hivekeeper://handoff";
/// Everything the speaker was told when it began.
const ONBOARDING: &str = "hivekeeper://onboarding";

/// The resources: the same for everybody, with what is in them by the token.
pub(super) fn all() -> Vec<Resource> {
    vec![
        Resource::new(MISSION, "mission")
            .with_title("Your mission")
            .with_description("Title, brief, criteria, gates, progress and where you work.")
            .with_mime_type("application/json"),
        Resource::new(HANDOFF, "handoff")
            .with_title("Handoff")
            .with_description("What the attempt before yours left; empty where there was none.")
            .with_mime_type("text/markdown"),
        Resource::new(ONBOARDING, "onboarding")
            .with_title("Onboarding pack")
            .with_description("Role, rules, mission, handoff and messages, as you were told first.")
            .with_mime_type("text/markdown"),
    ]
}

impl Tools {
    /// Reads a resource of whoever asks.
    pub(super) async fn read(
        &self,
        uri: &str,
        context: &RequestContext<RoleServer>,
    ) -> Result<ReadResourceResult, ErrorData> {
        let who = speaker(context)?;
        let (text, kind) = match self.text_of(uri, &who).await {
            Ok(Some(found)) => found,
            Ok(None) => {
                let message = format!("there is no resource '{uri}'");
                return Err(ErrorData::resource_not_found(message, None));
            }
            Err(refusal) if refusal.code == Code::Internal => {
                return Err(ErrorData::internal_error(in_words(&refusal), None));
            }
            Err(refusal) => return Err(ErrorData::invalid_request(in_words(&refusal), None)),
        };
        let contents = ResourceContents::text(text, uri).with_mime_type(kind);
        Ok(ReadResourceResult::new(vec![contents]))
    }

    /// The text of a resource and its kind; nothing where there is no such resource.
    async fn text_of(
        &self,
        uri: &str,
        who: &Speaker,
    ) -> Result<Option<(String, &'static str)>, Refusal> {
        Ok(Some(match uri {
            MISSION => {
                let mission = self.engine.tool_mission(who).await?;
                let text = serde_json::to_string_pretty(&mission)
                    .map_err(|err| Refusal::new(Code::Internal, err.to_string()))?;
                (text, "application/json")
            }
            HANDOFF => {
                let handoff = self.engine.tool_handoff(who).await?;
                (handoff.unwrap_or_default(), "text/markdown")
            }
            ONBOARDING => (self.engine.tool_onboarding(who).await?, "text/markdown"),
            _ => return Ok(None),
        }))
    }
}
