//! Changing missions that are not under way.

use std::collections::BTreeMap;

use model::gate::GateSpec;
use model::id::MissionId;
use model::mission::{Criterion, Mission};
use model::refusal::Refusal;
use orchestrator::Input;

use super::check::{Background, Checking, under};
use super::words::{checked_brief, checked_gates, checked_title, text_lines};
use crate::resolve;
use crate::view::{EditMission, MissionDetail};
use crate::{Caller, Engine};

impl Engine {
    /// Changes what is named and leaves the rest as it is.
    ///
    /// # Errors
    /// When the mission is under way or done, or something is out of bounds; nothing is changed
    /// then.
    pub async fn edit_mission(
        &self,
        caller: &Caller,
        text: &str,
        edit: EditMission,
    ) -> Result<MissionDetail, Refusal> {
        let (mission, _) = resolve::mission(&self.0.ledger, text).await?;
        let id = mission.id;
        let back = self.background().await?;
        let brief = edit.brief.as_deref().map(checked_brief).transpose()?;
        let mission = self.edited(mission, edit, &back, &BTreeMap::new()).await?;
        self.refuse_taken_name(&mission).await?;
        self.tell(caller, Input::EditMission { mission, brief }).await?;
        self.mission_of(id).await
    }

    /// The mission as it is to be. `also` are names of missions that are only about to be made.
    pub(crate) async fn edited(
        &self,
        mut mission: Mission,
        edit: EditMission,
        back: &Background,
        also: &BTreeMap<String, MissionId>,
    ) -> Result<Mission, Refusal> {
        let mut check = Checking::new(self, back, also);
        let own = own_gates(&mission, back);
        let regated = edit.gates.is_some() || edit.policy.is_some() || edit.repository.is_some();
        if let Some(title) = &edit.title {
            mission.title = check.keep(checked_title(title), String::new());
        }
        for (list, what, given) in [
            (&mut mission.labels, "label", edit.labels),
            (&mut mission.skills, "skill", edit.skills),
        ] {
            if let Some(lines) = given {
                *list = check.keep(text_lines(what, &lines), Vec::new());
            }
        }
        if let Some(lines) = edit.criteria {
            let lines = check.keep(text_lines("criterion", &lines), Vec::new());
            mission.criteria = marked(lines, &mission.criteria);
        }
        if let Some(agent) = edit.agent {
            mission.agent = check.agent(agent.as_deref()).await;
        }
        if let Some(path) = edit.repository {
            check.place(&mut mission, path.as_deref()).await;
        }
        if let Some(links) = edit.links {
            mission.links = check.links(&links, mission.repository.is_some());
        }
        if let Some(names) = edit.depends_on {
            mission.depends_on = check.depends_on(&names).await;
        }
        let name = edit.policy.clone().unwrap_or_else(|| mission.policy.clone());
        if regated {
            let (policy, _) = check.policy(Some(&name), &mission.labels);
            if edit.policy.is_some() {
                under(&mut mission, &policy);
            }
            let own = match &edit.gates {
                Some(lines) => check.keep(checked_gates(lines), Vec::new()),
                None => own,
            };
            let gates = check.gates(&policy, own, &mission);
            mission.gates = gates.into_iter().map(|(gate, _)| gate).collect();
        }
        mission.proof = edit.proof.unwrap_or(mission.proof);
        mission.retries_max = check.retries(edit.retries).unwrap_or(mission.retries_max);
        mission.backoff_s = check.backoff(edit.backoff_s).unwrap_or(mission.backoff_s);
        mission.hand_over = edit.hand_over.unwrap_or(mission.hand_over);
        mission.priority = edit.priority.unwrap_or(mission.priority);
        mission.deadline = edit.deadline.unwrap_or(mission.deadline);
        mission.unattended = edit.unattended.unwrap_or(mission.unattended);
        if let Some(minutes) = edit.estimate_min {
            mission.estimate = check.estimate(minutes, &mission.labels);
        }
        if let Some(external_id) = edit.external_id {
            mission.external_id = check.external_id(external_id.as_deref());
        }
        match check.problems.into_iter().next() {
            Some(first) => Err(first),
            None => Ok(mission),
        }
    }
}

/// The gates a mission has beside those its policy has now.
pub(crate) fn own_gates(mission: &Mission, back: &Background) -> Vec<GateSpec> {
    let policy = back.policies.iter().find(|policy| policy.name == mission.policy);
    let of_policy = |gate: &&GateSpec| policy.is_some_and(|it| it.gates.contains(gate));
    mission.gates.iter().filter(|gate| !of_policy(gate)).cloned().collect()
}

/// Criteria that were there keep whether they are met.
pub(crate) fn marked(lines: Vec<String>, before: &[Criterion]) -> Vec<Criterion> {
    lines
        .into_iter()
        .map(|text| {
            let met = before.iter().any(|known| known.met && known.text == text);
            Criterion { text, met }
        })
        .collect()
}
