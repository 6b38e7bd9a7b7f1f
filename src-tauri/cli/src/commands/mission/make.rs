//! Making, changing and checking missions.

use std::process::ExitCode;

use engine::view::{
    EditMission, Filling, GateFrom, IfSimilar, MissionCheck, MissionDetail, NewMission, Similar,
    Suggestion,
};
use http::Method;

use super::{brief, path, read_brief, said, tell};
use crate::args::{self, AddMission, CheckMission, Clearable, Fields};
use crate::commands::agent::absolute;
use crate::failure::Failure;
use crate::input;
use crate::out::{Out, remark, span, word};
use crate::remote::{Place, Remote};

/// Creates a mission.
pub(super) async fn add(args: AddMission, place: &Place, out: &mut Out) -> Result<(), Failure> {
    const OPERATION: &str = "create the mission";
    let asks = args.if_similar != Some(args::IfSimilar::Create);
    let mut new = wanted(args.new, OPERATION)?;
    new.draft = args.draft;
    let remote = Remote::find(place, OPERATION)?;
    if asks && !out.is_json() && input::can_ask() {
        ask_about_twins(&remote, &new, OPERATION).await?;
    } else if args.if_similar == Some(args::IfSimilar::Ask) {
        new.if_similar = IfSimilar::Ask;
    }
    let detail: MissionDetail = remote.post(OPERATION, "/api/v1/missions", &new).await?;
    for twin in &detail.similar {
        remark(&format!("{} says nearly the same", named(twin)));
    }
    tell(&detail.view, out)
}

/// Shows the missions that say nearly the same and asks whether to go on.
async fn ask_about_twins(
    remote: &Remote,
    new: &NewMission,
    operation: &str,
) -> Result<(), Failure> {
    let found: MissionCheck = remote.ask(operation, "/api/v1/missions/check", new).await?;
    if found.similar.is_empty() {
        return Ok(());
    }
    for twin in &found.similar {
        remark(&format!("{} says nearly the same", named(twin)));
    }
    if input::agrees("Create the new one all the same?")? {
        return Ok(());
    }
    Err(Failure::new(operation)
        .since("a mission says nearly the same, and you said no")
        .kind("near_duplicate")
        .hint("nothing was created"))
}

fn named(twin: &Similar) -> String {
    let percent = (twin.similarity * 100.0).round();
    format!("{} '{}' ({}, {percent} % the same)", twin.short_id, twin.title, twin.state)
}

/// What is to be made, as the API takes it.
fn wanted(new: args::NewMission, operation: &str) -> Result<NewMission, Failure> {
    let args::NewMission { title, brief, template, values, fields } = new;
    Ok(NewMission {
        title: title.unwrap_or_default(),
        brief: brief.as_deref().map(read_brief).transpose()?.unwrap_or_default(),
        agent: fields.agent,
        repository: fields.repo.map(|repo| absolute(&repo, operation)).transpose()?,
        gates: fields.gates,
        priority: fields.priority.map(Into::into).unwrap_or_default(),
        policy: fields.policy,
        proof: fields.proof.map(Into::into),
        retries: fields.retries,
        backoff_s: fields.backoff,
        hand_over: fields.hand_over,
        labels: fields.labels,
        skills: fields.skills,
        depends_on: fields.depends_on,
        deadline: fields.deadline,
        estimate_min: fields.estimate,
        criteria: fields.criteria,
        unattended: fields.unattended.unwrap_or_default(),
        links: fields.links,
        external_id: fields.external_id,
        draft: false,
        template: template.map(|name| Filling { name, values: values.into_iter().collect() }),
        if_similar: IfSimilar::Create,
    })
}

/// Changes a mission.
pub(super) async fn edit(
    args: args::EditMission,
    place: &Place,
    out: &mut Out,
) -> Result<(), Failure> {
    let id = args.which.mission.clone();
    let operation = format!("change {id}");
    let change = changed(args, &operation)?;
    if change == EditMission::default() {
        return Err(Failure::usage(operation)
            .since("nothing to change was named")
            .hint("name it, such as --priority high; 'hivekeeper mission edit --help' lists all")
            .exit(2));
    }
    let remote = Remote::find(place, &operation)?;
    let detail: MissionDetail = remote.send(&operation, Method::PATCH, &path(&id), &change).await?;
    if out.is_json() {
        return out.value(&brief(&detail.view));
    }
    out.line(&format!("changed {}", said(&detail.view)))
}

fn changed(args: args::EditMission, operation: &str) -> Result<EditMission, Failure> {
    let args::EditMission { which: _, title, brief, fields, clear } = args;
    let Fields { repo, .. } = &fields;
    let repository = repo.as_deref().map(|repo| absolute(repo, operation)).transpose()?;
    let emptied = |field| clear.contains(&field);
    let list = |given: Vec<String>, field| match given.is_empty() {
        false => Some(given),
        true => emptied(field).then(Vec::new),
    };
    Ok(EditMission {
        title,
        brief: brief.as_deref().map(read_brief).transpose()?,
        agent: or_emptied(fields.agent, emptied(Clearable::Agent)),
        repository: or_emptied(repository, emptied(Clearable::Repo)),
        gates: list(fields.gates, Clearable::Gates),
        priority: fields.priority.map(Into::into),
        policy: fields.policy,
        proof: or_emptied(fields.proof.map(Into::into), emptied(Clearable::Proof)),
        retries: fields.retries,
        backoff_s: fields.backoff,
        hand_over: fields.hand_over,
        labels: list(fields.labels, Clearable::Labels),
        skills: list(fields.skills, Clearable::Skills),
        depends_on: list(fields.depends_on, Clearable::DependsOn),
        deadline: or_emptied(fields.deadline, emptied(Clearable::Deadline)),
        estimate_min: or_emptied(fields.estimate, emptied(Clearable::Estimate)),
        criteria: list(fields.criteria, Clearable::Criteria),
        unattended: fields.unattended,
        links: list(fields.links, Clearable::Links),
        external_id: or_emptied(fields.external_id, emptied(Clearable::ExternalId)),
    })
}

/// What was given, or that it is to be empty, or neither.
fn or_emptied<T>(given: Option<T>, emptied: bool) -> Option<Option<T>> {
    match given {
        Some(value) => Some(Some(value)),
        None => emptied.then_some(None),
    }
}

/// Says what would become of a mission.
pub(super) async fn check(
    args: CheckMission,
    place: &Place,
    out: &mut Out,
) -> Result<ExitCode, Failure> {
    const OPERATION: &str = "check the mission";
    let new = wanted(args.new, OPERATION)?;
    let remote = Remote::find(place, OPERATION)?;
    let found: MissionCheck = remote.ask(OPERATION, "/api/v1/missions/check", &new).await?;
    if out.is_json() {
        out.value(&found)?;
    } else {
        say(&found, out)?;
    }
    Ok(ExitCode::from(u8::from(!found.problems.is_empty())))
}

fn say(found: &MissionCheck, out: &mut Out) -> Result<(), Failure> {
    for problem in &found.problems {
        out.line(&format!("problem: {}", problem.message))?;
        if let Some(hint) = &problem.hint {
            out.line(&format!("  hint: {hint}"))?;
        }
    }
    let estimate = found.estimate.as_ref();
    out.pairs(&[
        ("policy", format!("{}: {}", found.policy.name, found.policy_because)),
        ("proof", word(&found.policy.grade)),
        ("review", if found.needs_review { "somebody has to answer" } else { "not needed" }.into()),
        (
            "estimate",
            estimate.map_or_else(
                || "too little is known".to_owned(),
                |it| format!("{} ({})", span(it.seconds as f64), it.because),
            ),
        ),
    ])?;
    for gate in &found.gates {
        let from = match gate.from {
            GateFrom::Policy => "policy",
            GateFrom::Mission => "mission",
        };
        out.line(&format!("gate ({from})  {}", gate.line))?;
    }
    for twin in &found.similar {
        out.line(&format!("nearly the same: {}", named(twin)))?;
    }
    match &found.suggestion {
        None => Ok(()),
        Some(suggestion) => suggest(suggestion, out),
    }
}

fn suggest(suggestion: &Suggestion, out: &mut Out) -> Result<(), Failure> {
    // Whoever is suggested stands in the reason.
    let nobody = if suggestion.agent_name.is_none() { "nobody, " } else { "" };
    out.line(&format!("suggested: {nobody}{}", suggestion.because))?;
    if suggestion.candidates.is_empty() {
        return Ok(());
    }
    let rows: Vec<Vec<String>> = suggestion
        .candidates
        .iter()
        .map(|agent| {
            let success = agent.success.map(|it| {
                let percent = |share: f64| (share * 100.0).round();
                let (low, high) = (percent(it.low), percent(it.high));
                format!("{} % ({low} to {high}, n={})", percent(it.value), it.n)
            });
            let time = agent.duration_s.map(|it| {
                format!("{} ({} to {}, n={})", span(it.p50), span(it.p10), span(it.p90), it.n)
            });
            let state = match (&agent.refused, agent.free) {
                (Some(why), _) => why.clone(),
                (None, true) => "free".to_owned(),
                (None, false) => "busy".to_owned(),
            };
            let unknown = || "no data".to_owned();
            vec![
                agent.name.clone(),
                success.unwrap_or_else(unknown),
                time.unwrap_or_else(unknown),
                state,
                agent.because.clone(),
            ]
        })
        .collect();
    out.table(&["AGENT", "SUCCESS", "TIME", "STATE", "WHY"], &rows)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command, Mission};

    fn edit_of(words: &[&str]) -> EditMission {
        let line = ["hivekeeper", "mission", "edit", "M-1"].iter().chain(words);
        match Cli::try_parse_from(line).unwrap().command {
            Some(Command::Mission(Mission::Edit(args))) => changed(*args, "change").unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_change_names_what_was_said_and_nothing_else() {
        assert_eq!(edit_of(&[]), EditMission::default());
        let edit = edit_of(&["--title", "T", "--label", "a", "--clear", "agent,gates"]);
        let json = serde_json::to_value(&edit).unwrap();
        let expected = serde_json::json!({
            "title": "T", "labels": ["a"], "agent": null, "gates": [],
        });
        assert_eq!(json, expected);
        assert_eq!(edit_of(&["--hand-over=false"]).hand_over, Some(false));
        assert_eq!(edit_of(&["--unattended"]).unattended, Some(true));
    }
}
