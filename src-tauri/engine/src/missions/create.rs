//! Making missions.

use std::collections::BTreeMap;

use model::id::MissionId;
use model::mission::Mission;
use model::refusal::{Code, Refusal};
use orchestrator::Input;

use super::check::Drafted;
use crate::resolve::unreadable;
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
        if !again {
            self.refuse_taken_name(&drafted.mission).await?;
        }
        let Drafted { mission, brief, similar, .. } = drafted;
        let id = mission.id;
        let input = Input::AddMission { mission, brief, queue };
        let id = MissionId::from_uuid(self.tell_creation(caller, input, id.as_uuid()).await?);
        let detail = self.mission_of(id).await?;
        let similar = similar.into_iter().filter(|twin| twin.mission_id != id).collect();
        Ok(MissionDetail { similar, ..detail })
    }

    /// Refuses a name from outside that another mission has: two of them could not be told apart
    /// when their document is imported again.
    pub(crate) async fn refuse_taken_name(&self, mission: &Mission) -> Result<(), Refusal> {
        let Some(name) = &mission.external_id else {
            return Ok(());
        };
        match self.0.ledger.mission_by_external_id(name).await.map_err(unreadable)? {
            Some((other, _)) if other.id != mission.id => {
                let message =
                    format!("{} '{}' has the external id '{name}'", other.short_id, other.title);
                Err(Refusal::new(Code::Conflict, message)
                    .hint("change or empty the external id of one of them; nothing was changed")
                    .allowed(vec![other.short_id.to_string()]))
            }
            _ => Ok(()),
        }
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
        .hint("look at it first; 'if_similar: create' (--if-similar create) makes this one all the same")
        .allowed(names))
}
