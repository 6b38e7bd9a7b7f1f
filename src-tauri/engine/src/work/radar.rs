//! Where attempts that are not over touch the same files, before either is merged.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use agents::radar::{Touched, TouchedFile, conflicts, suggested_order};
use agents::worktree::GitError;
use futures::StreamExt as _;
use model::attempt::Attempt;
use model::id::MissionId;
use model::mission::Mission;
use model::refusal::{Code, Refusal};
use tokio::time::{Instant, timeout_at};

use super::{Place, SIDE_BY_SIDE, quick_git};
use crate::Engine;
use crate::missions::names;
use crate::resolve::unreadable;
use crate::view::{
    LineRange, Radar, RadarConflict, RadarLines, RadarParty, RadarPlace, RadarUnseen,
};

/// The most worktrees that are looked at.
const LOOKED_AT_MAX: usize = 200;
/// How long looking at them may take.
const LOOKING_MAX: Duration = Duration::from_secs(5);
/// How long what was seen is good for.
const GOOD_FOR: Duration = Duration::from_secs(5);

/// What was seen, and when.
#[derive(Debug)]
pub(super) struct Seen {
    at: Instant,
    radar: Arc<Radar>,
}

/// An attempt whose worktree is looked at.
struct Candidate {
    key: String,
    party: RadarParty,
    place: Place,
}

impl Engine {
    /// The files that two or more attempts touch whose work may still be merged, with the lines and
    /// a suggested order. Looked at when it is asked for, by one caller at a time; the others get
    /// what that one saw.
    ///
    /// # Errors
    /// When the ledger cannot be read. A worktree that cannot be looked at is named in the answer.
    pub async fn radar(&self) -> Result<Radar, Refusal> {
        Ok(self.radar_seen().await?.as_ref().clone())
    }

    /// As [`Engine::radar`], shared.
    pub(super) async fn radar_seen(&self) -> Result<Arc<Radar>, Refusal> {
        let mut seen = self.0.bench.radar.lock().await;
        if let Some(known) = seen.as_ref().filter(|known| known.at.elapsed() < GOOD_FOR) {
            return Ok(Arc::clone(&known.radar));
        }
        let radar = Arc::new(self.look_around().await?);
        *seen = Some(Seen { at: Instant::now(), radar: Arc::clone(&radar) });
        Ok(radar)
    }

    async fn look_around(&self) -> Result<Radar, Refusal> {
        let at = self.0.clock.now();
        let (mut candidates, missing) = self.candidates().await?;
        // The newest: older ones are nearer to their end.
        let skipped = candidates.split_off(candidates.len().min(LOOKED_AT_MAX));
        let until = Instant::now() + LOOKING_MAX;
        let places: Vec<Place> = candidates.iter().map(|it| it.place.clone()).collect();
        let mut looks = futures::stream::iter(places.into_iter().enumerate())
            .map(async |(index, place)| {
                (index, quick_git(LOOKING_MAX).touched(place.dir(), &place.base).await)
            })
            .buffer_unordered(SIDE_BY_SIDE);
        let mut found: BTreeMap<usize, Result<Vec<TouchedFile>, GitError>> = BTreeMap::new();
        while let Ok(Some((index, touched))) = timeout_at(until, looks.next()).await {
            found.insert(index, touched);
        }
        drop(looks);
        let mut unseen = missing;
        let mut by_repository: BTreeMap<String, Vec<(Candidate, Touched)>> = BTreeMap::new();
        for (index, candidate) in candidates.into_iter().enumerate() {
            match found.remove(&index) {
                Some(Ok(files)) => {
                    let base = candidate.place.base.clone();
                    let touched = Touched { key: candidate.key.clone(), base, files };
                    let repository = candidate.place.repository.clone();
                    by_repository.entry(repository).or_default().push((candidate, touched));
                }
                Some(Err(error)) => {
                    unseen.push(unseen_of(&candidate, format!("failed to {error}")))
                }
                None => {
                    let why = format!("there was no time left after {} s", LOOKING_MAX.as_secs());
                    unseen.push(unseen_of(&candidate, why));
                }
            }
        }
        let most = format!("{LOOKED_AT_MAX} worktrees are looked at, those of the newest attempts");
        unseen.extend(skipped.iter().map(|candidate| unseen_of(candidate, most.clone())));
        let compared = tokio::task::spawn_blocking(move || compare(by_repository)).await;
        let (conflicts, order) = compared.map_err(|error| {
            tracing::error!(%error, "comparing what attempts touch ended early");
            Refusal::new(Code::Internal, "comparing the worktrees ended early")
        })?;
        Ok(Radar { conflicts, order, unseen, at })
    }

    /// The attempts with worktrees that are not over, newest first, and those without their worktree.
    async fn candidates(&self) -> Result<(Vec<Candidate>, Vec<RadarUnseen>), Refusal> {
        let ledger = &self.0.ledger;
        let mut attempts = ledger.unfinished_attempts().await.map_err(unreadable)?;
        attempts.reverse();
        let missions = self.missions_of(&attempts).await?;
        let names = names(&ledger.agents().await.map_err(unreadable)?);
        let (mut candidates, mut missing) = (Vec::new(), Vec::new());
        for attempt in &attempts {
            let Some(candidate) = candidate(attempt, &missions, &names) else { continue };
            if candidate.place.dir().is_dir() {
                candidates.push(candidate);
            } else {
                missing.push(unseen_of(&candidate, "its worktree is not there".to_owned()));
            }
        }
        Ok((candidates, missing))
    }
}

fn candidate(
    attempt: &Attempt,
    missions: &BTreeMap<MissionId, Mission>,
    names: &HashMap<model::id::AgentId, String>,
) -> Option<Candidate> {
    let mission = missions.get(&attempt.mission_id)?;
    Some(Candidate {
        key: format!("{}/{}", mission.short_id, attempt.n),
        party: RadarParty {
            mission_id: mission.id,
            short_id: mission.short_id.clone(),
            title: mission.title.clone(),
            n: attempt.n,
            agent_name: names.get(&attempt.agent_id).cloned(),
        },
        place: Place::of(mission, attempt)?,
    })
}

fn unseen_of(candidate: &Candidate, why: String) -> RadarUnseen {
    RadarUnseen { short_id: candidate.party.short_id.clone(), n: candidate.party.n, why }
}

/// Compares the attempts of each repository with one another.
fn compare(
    by_repository: BTreeMap<String, Vec<(Candidate, Touched)>>,
) -> (Vec<RadarConflict>, Vec<RadarPlace>) {
    let (mut found, mut order) = (Vec::new(), Vec::new());
    for (repository, attempts) in by_repository {
        let (candidates, touched): (Vec<_>, Vec<_>) = attempts.into_iter().unzip();
        let parties: HashMap<&str, &RadarParty> =
            candidates.iter().map(|it| (it.key.as_str(), &it.party)).collect();
        let party = |key: &str| parties.get(key).copied();
        for conflict in conflicts(&touched) {
            let lines = conflict.lines.iter().filter_map(|of| {
                let party = party(&of.key)?;
                let range = |lines: &agents::radar::Lines| LineRange {
                    start: lines.first,
                    end: lines.last,
                };
                Some(RadarLines {
                    short_id: party.short_id.clone(),
                    n: party.n,
                    ranges: of.lines.iter().map(range).collect(),
                })
            });
            found.push(RadarConflict {
                repository: repository.clone(),
                between: conflict.between.iter().filter_map(|key| party(key)).cloned().collect(),
                overlapping: conflict.overlapping,
                by_file_only: conflict.by_file_only,
                lines: lines.collect(),
                path: conflict.path,
            });
        }
        order.extend(suggested_order(&touched).into_iter().filter_map(|suggested| {
            let party = party(&suggested.key)?;
            Some(RadarPlace {
                repository: repository.clone(),
                mission_id: party.mission_id,
                short_id: party.short_id.clone(),
                n: party.n,
                because: suggested.why,
            })
        }));
    }
    found.sort_by_key(|conflict| !conflict.overlapping);
    (found, order)
}
