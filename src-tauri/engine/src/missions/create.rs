//! Making missions.

use std::collections::BTreeMap;

use model::id::MissionId;
use model::refusal::{Code, Refusal};
use orchestrator::Input;

use super::check::Drafted;
use crate::view::{IfSimilar, MissionDetail, NewMission, Similar};
use crate::{Caller, Engine};

impl Engine {
    /// Creates a mission and, unless it is a draft, offers it to the agents.
    ///
    /// # Errors
    /// When the input is out of bounds, or when it says nearly the same as another mission and the
    /// captain wants to be asked; nothing is created then.
    pub async fn add_mission(
        &self,
        caller: &Caller,
        new: NewMission,
    ) -> Result<MissionDetail, Refusal> {
        let (queue, if_similar) = (!new.draft, new.if_similar);
        let back = self.background().await?;
        let drafted = self.drafted(new, &back, &BTreeMap::new()).await.sound()?;
        let again = self.was_answered(caller).await?;
        if if_similar == IfSimilar::Ask && !again {
            refuse_twins(&drafted.similar)?;
        }
        let Drafted { mission, brief, similar, .. } = drafted;
        let id = mission.id;
        let input = Input::AddMission { mission, brief, queue };
        let id = MissionId::from_uuid(self.tell_creation(caller, input, id.as_uuid()).await?);
        let detail = self.mission_of(id).await?;
        let similar = similar.into_iter().filter(|twin| twin.mission_id != id).collect();
        Ok(MissionDetail { similar, ..detail })
    }
}

fn refuse_twins(similar: &[Similar]) -> Result<(), Refusal> {
    let Some(nearest) = similar.first() else {
        return Ok(());
    };
    let message = format!(
        "{} '{}' says nearly the same ({:.0} % of the words)",
        nearest.short_id,
        nearest.title,
        nearest.similarity * 100.0
    );
    let names = similar.iter().map(|twin| twin.short_id.to_string()).collect();
    Err(Refusal::new(Code::NearDuplicate, message)
        .hint("look at it first; to create this one all the same, send if_similar: create")
        .allowed(names))
}
