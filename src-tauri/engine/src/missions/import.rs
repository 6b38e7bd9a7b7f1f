//! Missions from a document: what would become of it, and making them. A document that is read
//! again names the same missions, so that a second import changes what changed and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil;
use jiff::tz::TimeZone;
use model::gate::GateSpec;
use model::id::MissionId;
use model::mission::{Criterion, Mission, Priority};
use model::refusal::{Code, Refusal};
use orchestrator::Input;
use orchestrator::import::{self, Imported};

use super::check::{Background, Drafted};
use super::edit::own_gates;
use super::{absolute, invalid};
use crate::resolve::unreadable;
use crate::twins::twins_of;
use crate::view::{
    EditMission, ImportAction, ImportFormat, ImportItem, ImportNote, ImportRequest, ImportResult,
    NewMission, Trouble,
};
use crate::{Caller, Engine};

/// What is to be done with one mission of a document.
enum Step {
    Create { mission: Box<Mission>, brief: String },
    Update { mission: Box<Mission>, brief: Option<String> },
    Nothing,
}

/// What is known while a document is gone through.
struct Going<'a> {
    request: &'a ImportRequest,
    back: &'a Background,
    /// Missions by their names in the document.
    made: BTreeMap<String, MissionId>,
    /// Names of missions that the document says are done and that are not there.
    gone: BTreeSet<String>,
}

impl Engine {
    /// Makes missions from a document, or says what would be made.
    ///
    /// # Errors
    /// When the ledger cannot be read. What is wrong with the document, or keeps one mission of it
    /// from being made, is in the answer.
    pub async fn import(
        &self,
        caller: &Caller,
        request: ImportRequest,
    ) -> Result<ImportResult, Refusal> {
        let mut result = ImportResult { applied: request.apply, ..ImportResult::default() };
        let read = read(request.format, request.text.clone()).await?;
        let (document, order) = match read {
            Ok(read) => read,
            Err(err) => return Ok(ImportResult { applied: false, ..unread(result, &err) }),
        };
        result.warnings = document.warnings.iter().map(|it| note(it.line, &it.message)).collect();
        let back = self.background().await?;
        let mut going =
            Going { request: &request, back: &back, made: BTreeMap::new(), gone: BTreeSet::new() };
        let mut items: BTreeMap<usize, ImportItem> = BTreeMap::new();
        for at in order {
            if let Some(entry) = document.missions.get(at) {
                items.insert(at, self.import_one(caller, entry, &mut going).await?);
            }
        }
        result.items = items.into_values().collect();
        let count = |action| result.items.iter().filter(|it| it.action == action).count() as u64;
        let counts = [
            ImportAction::Create,
            ImportAction::Update,
            ImportAction::Unchanged,
            ImportAction::Skip,
        ]
        .map(count);
        [result.created, result.updated, result.unchanged, result.skipped] = counts;
        Ok(result)
    }

    async fn import_one(
        &self,
        caller: &Caller,
        entry: &Imported,
        going: &mut Going<'_>,
    ) -> Result<ImportItem, Refusal> {
        let known = self.0.ledger.mission_by_external_id(&entry.external_id).await;
        let known = known.map_err(unreadable)?;
        let there = known.as_ref().map(|(mission, _)| mission.id);
        let mut item = ImportItem {
            external_id: entry.external_id.clone(),
            line: entry.line as u64,
            action: ImportAction::Skip,
            title: entry.title.clone(),
            short_id: known.as_ref().map(|(mission, _)| mission.short_id.clone()),
            mission_id: there,
            problems: Vec::new(),
            similar: twins_of(&going.back.known, &entry.title, &entry.brief, there),
        };
        if entry.done {
            match there {
                Some(id) => drop(going.made.insert(entry.external_id.clone(), id)),
                None => drop(going.gone.insert(entry.external_id.clone())),
            }
            item.problems.push(Trouble {
                message: "the document says that it is done".to_owned(),
                hint: Some("take the mark away to make a mission of it".to_owned()),
            });
            return Ok(item);
        }
        let step = match known {
            Some((mission, brief)) => self.update_of(entry, mission, &brief, going).await,
            None => self.creation_of(entry, going).await,
        };
        let done = match step {
            Ok(step) => self.carry_out(caller, step, going.request, &mut item).await,
            Err(problems) => Err(problems),
        };
        match (done, item.mission_id) {
            (Ok(()), Some(id)) => {
                going.made.insert(entry.external_id.clone(), id);
                if !going.request.apply {
                    // What is only looked at has no identity yet.
                    item.mission_id = there;
                }
            }
            (Ok(()), None) => {}
            (Err(problems), there) => {
                item.action = ImportAction::Skip;
                item.problems = problems.into_iter().map(Into::into).collect();
                // What is there can be depended on, although it was not changed.
                going.made.extend(there.map(|id| (entry.external_id.clone(), id)));
            }
        }
        Ok(item)
    }

    async fn creation_of(&self, entry: &Imported, going: &Going<'_>) -> Result<Step, Vec<Refusal>> {
        let new = new_mission(entry, going).map_err(|refusal| vec![refusal])?;
        let drafted = self.drafted(new, going.back, &going.made).await;
        let Drafted { mut mission, brief, problems, .. } = drafted;
        if !problems.is_empty() {
            return Err(problems);
        }
        mark(&mut mission.criteria, entry);
        Ok(Step::Create { mission: Box::new(mission), brief })
    }

    async fn update_of(
        &self,
        entry: &Imported,
        known: Mission,
        brief: &str,
        going: &Going<'_>,
    ) -> Result<Step, Vec<Refusal>> {
        let one = |refusal| vec![refusal];
        let edit = edit_mission(entry, &known, going).map_err(one)?;
        let edited = self.edited(known.clone(), edit, going.back, &going.made).await;
        let mut mission = edited.map_err(one)?;
        mark(&mut mission.criteria, entry);
        if mission.repository == known.repository {
            mission.target.clone_from(&known.target);
        }
        let new_brief = (entry.brief != brief).then(|| entry.brief.clone());
        if mission == known && new_brief.is_none() {
            return Ok(Step::Nothing);
        }
        Ok(Step::Update { mission: Box::new(mission), brief: new_brief })
    }

    async fn carry_out(
        &self,
        caller: &Caller,
        step: Step,
        request: &ImportRequest,
        item: &mut ImportItem,
    ) -> Result<(), Vec<Refusal>> {
        let (action, input) = match step {
            Step::Create { mission, brief } => {
                item.mission_id = Some(mission.id);
                let input = Input::AddMission { mission: *mission, brief, queue: request.queue };
                (ImportAction::Create, Some(input))
            }
            Step::Update { mission, brief } => {
                (ImportAction::Update, Some(Input::EditMission { mission: *mission, brief }))
            }
            Step::Nothing => (ImportAction::Unchanged, None),
        };
        item.action = action;
        if !request.apply {
            return Ok(());
        }
        if let Some(input) = input
            && let Err(refusal) = self.tell(&caller.without_key(), input).await
        {
            if action == ImportAction::Create {
                item.mission_id = None;
            }
            return Err(vec![refusal]);
        }
        if action == ImportAction::Create
            && let Some(id) = item.mission_id
            && let Ok(Some((mission, _))) = self.0.ledger.mission(id).await
        {
            item.short_id = Some(mission.short_id);
        }
        Ok(())
    }
}

type Read = Result<(import::Import, Vec<usize>), import::ImportError>;

/// Reads a document, and in which order its missions are to be made.
async fn read(format: ImportFormat, text: String) -> Result<Read, Refusal> {
    let format = match format {
        ImportFormat::Markdown => import::ImportFormat::Markdown,
        ImportFormat::Json => import::ImportFormat::Json,
        ImportFormat::Csv => import::ImportFormat::Csv,
    };
    let read = tokio::task::spawn_blocking(move || {
        let document = import::read(format, &text)?;
        let order = import::order(&document.missions)?.order;
        Ok((document, order))
    });
    read.await.map_err(|err| {
        Refusal::new(Code::Internal, format!("failed to read the document: {err}"))
            .hint("nothing was made of it")
    })
}

fn unread(result: ImportResult, err: &import::ImportError) -> ImportResult {
    let mut errors: Vec<ImportNote> = err
        .problems
        .iter()
        .map(|problem| note(problem.line, &format!("{} ({})", problem.message, problem.hint)))
        .collect();
    if err.more > 0 {
        let line = err.problems.last().map_or(1, |problem| problem.line);
        errors.push(note(line, &format!("and {} more problems", err.more)));
    }
    ImportResult { errors, ..result }
}

fn note(line: usize, message: &str) -> ImportNote {
    ImportNote { line: line as u64, message: message.to_owned() }
}

/// Criteria the document says hold already.
fn mark(criteria: &mut [Criterion], entry: &Imported) {
    for criterion in criteria {
        let done = entry.criteria.iter().any(|it| it.done && it.text.trim() == criterion.text);
        criterion.met |= done;
    }
}

fn new_mission(entry: &Imported, going: &Going<'_>) -> Result<NewMission, Refusal> {
    let request = going.request;
    Ok(NewMission {
        title: entry.title.clone(),
        brief: entry.brief.clone(),
        agent: entry.agent.clone().or_else(|| request.agent.clone()),
        repository: entry.repository.clone().or_else(|| request.repository.clone()),
        gates: entry.gates.clone(),
        priority: priority(entry)?.unwrap_or_default(),
        policy: entry.policy.clone().or_else(|| request.policy.clone()),
        retries: entry.retries,
        labels: labels(entry, request),
        skills: entry.skills.clone(),
        depends_on: depends_on(entry, going),
        deadline: deadline(entry)?,
        estimate_min: entry.estimate_min,
        criteria: entry.criteria.iter().map(|it| it.text.clone()).collect(),
        external_id: Some(entry.external_id.clone()),
        ..NewMission::default()
    })
}

/// What the document says, where it is not so already; of what it does not say, nothing.
fn edit_mission(
    entry: &Imported,
    known: &Mission,
    going: &Going<'_>,
) -> Result<EditMission, Refusal> {
    let there: Vec<String> = own_gates(known, going.back).iter().map(GateSpec::label).collect();
    let line = |line: &String| GateSpec::parse(line).map_or_else(|_| line.clone(), |it| it.label());
    let gates: Vec<String> = entry.gates.iter().map(line).collect();
    let place = entry.repository.as_deref().map(absolute).transpose()?;
    let moved = place.is_some_and(|it| known.repository != Some(it.display().to_string()));
    Ok(EditMission {
        title: Some(entry.title.clone()),
        agent: entry.agent.clone().map(Some),
        repository: moved.then(|| entry.repository.clone()),
        gates: (gates != there).then(|| entry.gates.clone()),
        priority: priority(entry)?,
        policy: entry.policy.clone().filter(|name| *name != known.policy),
        retries: entry.retries,
        labels: Some(labels(entry, going.request)),
        skills: Some(entry.skills.clone()),
        depends_on: Some(depends_on(entry, going)),
        deadline: deadline(entry)?.map(Some),
        estimate_min: entry.estimate_min.map(Some),
        criteria: Some(entry.criteria.iter().map(|it| it.text.clone()).collect()),
        ..EditMission::default()
    })
}

fn labels(entry: &Imported, request: &ImportRequest) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let all = entry.labels.iter().chain(&request.labels).cloned();
    all.filter(|label| seen.insert(label.clone())).collect()
}

/// What the mission depends on; what is done and was never made needs no waiting for.
fn depends_on(entry: &Imported, going: &Going<'_>) -> Vec<String> {
    entry.depends_on.iter().filter(|name| !going.gone.contains(*name)).cloned().collect()
}

fn priority(entry: &Imported) -> Result<Option<Priority>, Refusal> {
    match entry.priority.as_deref() {
        None => Ok(None),
        Some("low") => Ok(Some(Priority::Low)),
        Some("normal") => Ok(Some(Priority::Normal)),
        Some("high") => Ok(Some(Priority::High)),
        Some("urgent") => Ok(Some(Priority::Urgent)),
        Some(other) => {
            Err(invalid(format!("'{other}' is not a priority")).hint("low, normal, high or urgent"))
        }
    }
}

/// A point in time; a day ends at its end, and what names no zone is UTC.
fn deadline(entry: &Imported) -> Result<Option<jiff::Timestamp>, Refusal> {
    let Some(text) = entry.deadline.as_deref().map(str::trim) else {
        return Ok(None);
    };
    let end_of_day = || {
        let day: civil::Date = text.parse().ok()?;
        Some(day.to_datetime(civil::Time::constant(23, 59, 59, 0)))
    };
    let civil = |at: civil::DateTime| at.to_zoned(TimeZone::UTC).ok().map(|it| it.timestamp());
    let day_only = !text.contains(['T', 't', ':']);
    let found = match text.parse::<jiff::Timestamp>() {
        Ok(at) => Some(at),
        Err(_) if day_only => end_of_day().and_then(civil),
        Err(_) => text.parse().ok().and_then(civil),
    };
    let wrong = || invalid(format!("'{text}' is not a deadline")).hint("such as 2026-01-31");
    found.map(Some).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn due(text: &str) -> Option<String> {
        let entry = Imported { deadline: Some(text.to_owned()), ..Imported::default() };
        deadline(&entry).ok().flatten().map(|at| at.to_string())
    }

    #[test]
    fn a_deadline_is_a_day_a_local_time_or_a_point_in_time() {
        let check = |text: &str, at: Option<&str>| assert_eq!(due(text).as_deref(), at, "{text}");
        check("2026-01-31", Some("2026-01-31T23:59:59Z"));
        check("2026-01-31T12:00", Some("2026-01-31T12:00:00Z"));
        check("2026-01-31T12:00:00+02:00", Some("2026-01-31T10:00:00Z"));
        check("tomorrow", None);
        check("2026-02-30", None);
    }

    proptest! {
        #[test]
        fn no_deadline_panics(text: String) {
            let _ = due(&text);
        }
    }
}
