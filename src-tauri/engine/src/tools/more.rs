//! What an agent adds to the house beside its mission: evidence, proposals, and what it looks up.

use agents::reports::TEXT_BYTES_MAX;
use jiff::Timestamp;
use model::conversation::cut;
use model::id::ShortId;
use model::mission::MissionState;
use model::refusal::{Code, Refusal};
use serde::Serialize;
use store::ledger::MissionFilter;

use super::{NoteTaken, Speaker, ToolCall, checked_text};
use crate::attached::evidence_text;
use crate::missions::invalid;
use crate::resolve::unreadable;
use crate::view::{IfSimilar, NewMission};
use crate::{DevlogQuery, Engine, SearchQuery};

/// The label of missions that agents proposed.
const PROPOSED: &str = "proposed";
/// As many proposals may wait for the captain.
const PROPOSALS_MAX: u32 = 50;
/// The most that a search gives of each kind.
const FOUND_MAX: u32 = 10;
/// The most of an entry that a search shows, in bytes.
const SHOWN_BYTES: usize = 600;
/// The longest search, in bytes.
const QUERY_BYTES_MAX: usize = 500;

/// A mission an agent proposes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proposal {
    /// One line.
    pub title: String,
    /// What is to be done.
    pub brief: String,
    /// What the work must do, a line each.
    pub criteria: Vec<String>,
}

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is: `devlog` or `conversation`.
    pub kind: &'static str,
    /// The mission it is about.
    pub mission: Option<ShortId>,
    /// What it is called; nothing for a part of a conversation.
    pub title: Option<String>,
    /// The part of it that fits.
    pub text: String,
    /// When it was written.
    pub at: Timestamp,
}

impl Engine {
    /// Keeps something that shows what was done, in the mission's devlog. It proves nothing by itself.
    ///
    /// # Errors
    /// When it is empty or too long, or the attempt is over.
    pub async fn tool_evidence(
        &self,
        call: ToolCall<'_>,
        name: &str,
        text: &str,
    ) -> Result<NoteTaken, Refusal> {
        let text = evidence_text(name, text)?;
        let caller = call.caller(&[&text])?;
        self.write_note(&caller, call.who, &text).await
    }

    /// Makes a draft of a mission, which the captain may queue. It has no gates and no agent: what runs
    /// is the captain's to say.
    ///
    /// # Errors
    /// When it is out of bounds, a mission says nearly the same, or too many proposals wait.
    pub async fn tool_propose(
        &self,
        call: ToolCall<'_>,
        proposal: Proposal,
    ) -> Result<ShortId, Refusal> {
        let Proposal { title, brief, criteria } = proposal;
        self.attempt_of(call.who).await?;
        let brief = checked_text(&brief)?;
        let said: Vec<&str> = [title.as_str(), brief.as_str()]
            .into_iter()
            .chain(criteria.iter().map(String::as_str))
            .collect();
        let caller = call.caller(&said)?;
        // What was proposed takes no more room when it comes again.
        if self.answered_before(&caller).await?.is_none() {
            self.room_for_proposals().await?;
        }
        let (own, _) = self.own_mission(call.who.mission).await?;
        let agent = self.0.ledger.agent(call.who.agent).await.map_err(unreadable)?;
        let name = agent.map_or_else(|| "An agent".to_owned(), |agent| agent.name);
        let brief = agents::secrets::redact(&brief).into_owned();
        let new = NewMission {
            title: agents::secrets::redact(&title).into_owned(),
            brief: format!(
                "{brief}\n\n({name} proposed this while it worked on {}.)",
                own.short_id
            ),
            criteria,
            repository: own.repository,
            labels: vec![PROPOSED.to_owned()],
            draft: true,
            if_similar: IfSimilar::Ask,
            ..NewMission::default()
        };
        let made = self.add_mission(&caller, new).await.map_err(untold)?;
        Ok(made.view.mission.short_id)
    }

    async fn room_for_proposals(&self) -> Result<(), Refusal> {
        let filter = MissionFilter {
            states: vec![MissionState::Draft],
            label: Some(PROPOSED.to_owned()),
            limit: PROPOSALS_MAX,
            ..MissionFilter::default()
        };
        let waiting = self.0.ledger.missions(filter).await.map_err(unreadable)?.items.len();
        if waiting < PROPOSALS_MAX as usize {
            return Ok(());
        }
        let message = format!("{PROPOSALS_MAX} proposals wait for the captain already");
        Err(Refusal::new(Code::Conflict, message).hint("write it into your devlog instead"))
    }

    /// Looks in the devlogs of the workspace, which all agents share, and in the conversations of the
    /// speaker's own mission.
    ///
    /// # Errors
    /// When nothing is looked for, or what there is cannot be read.
    pub async fn tool_search(&self, who: &Speaker, text: &str) -> Result<Vec<Finding>, Refusal> {
        self.attempt_of(who).await?;
        let text = text.trim();
        if text.is_empty() || text.len() > QUERY_BYTES_MAX {
            return Err(invalid(format!("a search has 1 to {QUERY_BYTES_MAX} bytes"))
                .hint("give a word or two that stand in what you look for"));
        }
        let (own, _) = self.own_mission(who.mission).await?;
        let query = DevlogQuery {
            text: Some(text.to_owned()),
            limit: Some(FOUND_MAX),
            ..DevlogQuery::default()
        };
        let devlogs = self.devlogs(query).await?.items.into_iter();
        let mut found: Vec<Finding> = devlogs
            .filter(|devlog| devlog.demo == own.demo)
            .map(|devlog| Finding {
                kind: "devlog",
                mission: Some(devlog.short_id),
                title: Some(devlog.title),
                text: around(&devlog.markdown, text),
                at: devlog.at,
            })
            .collect();
        let query = SearchQuery {
            text: text.to_owned(),
            mission: Some(own.id.to_string()),
            limit: Some(FOUND_MAX),
            ..SearchQuery::default()
        };
        let said = self.search_conversations(query).await?.hits.into_iter();
        found.extend(said.map(|hit| Finding {
            kind: "conversation",
            mission: hit.short_id,
            title: None,
            text: cut(&hit.snippet, SHOWN_BYTES),
            at: hit.at,
        }));
        Ok(found)
    }

    /// What the attempt before left, for the speaker.
    ///
    /// # Errors
    /// When the attempt is over, or the ledger cannot be read.
    pub async fn tool_handoff(&self, who: &Speaker) -> Result<Option<String>, Refusal> {
        Ok(self.attempt_of(who).await?.handoff.map(|handoff| handoff.text))
    }

    /// Everything the speaker was told when it began.
    ///
    /// # Errors
    /// When the attempt is over, or it cannot be read.
    pub async fn tool_onboarding(&self, who: &Speaker) -> Result<String, Refusal> {
        self.attempt_of(who).await?;
        let run = self.0.dir.attempt(who.attempt);
        let told =
            tokio::task::spawn_blocking(move || orchestrator::FirstWords::recall(&run)).await;
        let told = told.map_err(std::io::Error::other).flatten();
        let told =
            told.map_err(|error| Refusal::new(Code::Internal, format!("failed to read: {error}")));
        Ok(told?.map(|told| told.prompt).unwrap_or_default())
    }
}

/// A refusal without what an agent may not know: the missions of others.
fn untold(refusal: Refusal) -> Refusal {
    match refusal.code {
        Code::NearDuplicate => {
            Refusal::new(Code::NearDuplicate, "something like it is planned already")
                .hint("write into your devlog what is different about yours")
        }
        _ => refusal,
    }
}

/// The part of a text around what was looked for.
fn around(text: &str, wanted: &str) -> String {
    let (low, wanted) = (text.to_ascii_lowercase(), wanted.to_ascii_lowercase());
    let at = low.find(&wanted).unwrap_or(0);
    let from = text.floor_char_boundary(at.saturating_sub(SHOWN_BYTES / 3));
    let part = text.get(from..).unwrap_or_default();
    let before = if from > 0 { "…" } else { "" };
    format!("{before}{}", cut(part, SHOWN_BYTES.min(TEXT_BYTES_MAX)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_found_is_shown_with_what_stands_around_it() {
        let text = format!("{}the Needle lies here", "hay ".repeat(1_000));
        let shown = around(&text, "needle");
        assert!(shown.starts_with('…') && shown.contains("Needle lies here"), "{shown}");
        assert!(shown.len() <= SHOWN_BYTES + 10);
        assert_eq!(around("short", "else"), "short");
    }

    proptest! {
        #[test]
        fn no_text_panics(text: String, wanted: String) {
            let _ = around(&text, &wanted);
        }
    }
}
