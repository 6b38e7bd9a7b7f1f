//! Everything about a mission, and why it stands where it stands.

use engine::view::{AttemptView, EvidenceItem, Link, MissionDetail, Why};
use model::choice::Choice;
use model::mission::Mission;

use super::path;
use crate::failure::Failure;
use crate::out::{Out, span, time, word};
use crate::remote::{Place, Remote};

/// Shows everything about a mission.
pub(super) async fn show(id: &str, place: &Place, out: &mut Out) -> Result<(), Failure> {
    let operation = format!("show the mission {id}");
    let remote = Remote::find(place, &operation)?;
    let detail: MissionDetail = remote.get(&operation, &path(id)).await?;
    if out.is_json() {
        return out.value(&detail);
    }
    let mut pairs = standing(&detail);
    pairs.extend(plan(&detail));
    out.pairs(&pairs)?;
    criteria(&detail.view.mission, out)?;
    for item in &detail.evidence.items {
        out.line(&proof(item))?;
    }
    for attempt in &detail.attempts {
        show_attempt(attempt, out)?;
        // What the last one's gates found is told as evidence already.
        if !detail.evidence.items.iter().any(|item| item.attempt_id == attempt.attempt.id) {
            show_gates(attempt, out)?;
        }
    }
    out.line("")?;
    for line in detail.brief.lines() {
        out.line(line)?;
    }
    Ok(())
}

/// Where it stands and what was proved.
fn standing(detail: &MissionDetail) -> Vec<(&'static str, String)> {
    let mission = &detail.view.mission;
    let allowed: Vec<&str> = detail.view.allowed.iter().map(|input| input.as_str()).collect();
    let evidence = &detail.evidence;
    let stale = if evidence.stale { "; some of it is stale" } else { "" };
    let progress = mission.progress.as_ref().map(|it| {
        let percent = it.percent.map_or_else(String::new, |percent| format!("{percent} %, "));
        format!("{percent}{} ({})", it.text, time(it.at))
    });
    let handoff = mission.handoff.as_ref();
    let merged = mission.merged.as_ref().map(|it| {
        format!("{} into {} as {} ({})", word(&it.how), it.target, short(&it.commit), time(it.at))
    });
    vec![
        ("mission", format!("{} {}", mission.short_id, mission.title)),
        ("id", mission.id.to_string()),
        ("state", mission.state.to_string()),
        ("reason", detail.view.reason.clone().unwrap_or_default()),
        ("progress", progress.unwrap_or_default()),
        (
            "evidence",
            format!("{}, {} needed{stale}", word(&evidence.grade), word(&evidence.needed)),
        ),
        ("merged", merged.unwrap_or_default()),
        ("owner", detail.owner.clone().unwrap_or_default()),
        ("agent", detail.view.agent_name.clone().unwrap_or_default()),
        ("handed over", handoff.map_or_else(String::new, |it| it.text.clone())),
        ("possible", allowed.join(", ")),
    ]
}

/// What was planned for it.
fn plan(detail: &MissionDetail) -> Vec<(&'static str, String)> {
    let mission = &detail.view.mission;
    let gates: Vec<String> = mission.gates.iter().map(|gate| gate.label()).collect();
    let retries = match mission.retries_max {
        0 => String::new(),
        n => {
            let who = if mission.hand_over { ", by another agent" } else { "" };
            format!("{n}, after {} s{who}", mission.backoff_s)
        }
    };
    vec![
        ("repository", mission.repository.clone().unwrap_or_default()),
        ("target", mission.target.clone().unwrap_or_default()),
        ("links", mission.links.join(", ")),
        ("gates", gates.join("; ")),
        ("priority", word(&mission.priority)),
        ("policy", mission.policy.clone()),
        ("retries", retries),
        ("labels", mission.labels.join(", ")),
        ("skills", mission.skills.join(", ")),
        ("waits for", links(&detail.dependencies)),
        ("waited for by", links(&detail.dependents)),
        ("deadline", mission.deadline.map(time).unwrap_or_default()),
        ("estimate", estimate(detail)),
        ("unattended", if mission.unattended { "yes".to_owned() } else { String::new() }),
        ("external id", mission.external_id.clone().unwrap_or_default()),
        (
            "checkpoints",
            match detail.checkpoints.len() {
                0 => String::new(),
                n => format!("{n}: see 'hivekeeper checkpoint list {}'", mission.short_id),
            },
        ),
        ("created", time(mission.created_at)),
        ("changed", time(mission.updated_at)),
    ]
}

fn links(links: &[Link]) -> String {
    let named: Vec<String> =
        links.iter().map(|link| format!("{} ({})", link.short_id, link.state)).collect();
    named.join(", ")
}

/// How long it was expected to take, and how long it took.
fn estimate(detail: &MissionDetail) -> String {
    let estimate = detail.view.mission.estimate.as_ref();
    let expected = estimate.map(|it| format!("{} ({})", span(it.seconds as f64), it.because));
    let actual = detail.actual_s.map(|seconds| {
        let error = detail.estimate_error_percent.map(|percent| {
            let than = if percent < 0.0 { "less" } else { "more" };
            format!(", {:.0} % {than} than expected", percent.abs())
        });
        format!("it took {}{}", span(seconds), error.unwrap_or_default())
    });
    [expected, actual].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn criteria(mission: &Mission, out: &mut Out) -> Result<(), Failure> {
    for (n, criterion) in (1..).zip(&mission.criteria) {
        let mark = if criterion.met { "met" } else { "open" };
        out.line(&format!("criterion {n} ({mark}): {}", criterion.text))?;
    }
    Ok(())
}

/// A piece of evidence in one line.
fn proof(item: &EvidenceItem) -> String {
    let stale = if item.stale { " STALE" } else { "" };
    let by = item.by.as_ref().map(|by| format!(", by {by}")).unwrap_or_default();
    let commit = item.commit.as_deref().map(|it| format!(", at {}", short(it)));
    format!(
        "evidence {}{stale} ({}{by}{}) {}: {}",
        item.verdict.as_str(),
        word(&item.grade),
        commit.unwrap_or_default(),
        item.label,
        item.reason
    )
}

/// The beginning of a commit's hash, as people read it.
pub(super) fn short(commit: &str) -> &str {
    commit.get(..10).unwrap_or(commit)
}

/// Shows an attempt.
pub(super) fn show_attempt(view: &AttemptView, out: &mut Out) -> Result<(), Failure> {
    let attempt = &view.attempt;
    out.line("")?;
    let held = match (attempt.frozen, attempt.in_review) {
        (true, _) => ", held where it is",
        (false, true) => ", in review",
        (false, false) => "",
    };
    out.line(&format!(
        "attempt {} by {}: {}{held}",
        attempt.n,
        view.agent.as_deref().unwrap_or("a removed agent"),
        word(&attempt.state)
    ))?;
    let work = attempt.work.as_ref();
    let branch = attempt.workplace.as_ref().and_then(|place| place.branch.clone());
    out.pairs(&[
        ("  began", time(attempt.leased_at)),
        ("  ended", attempt.ended_at.map(time).unwrap_or_default()),
        ("  program", view.ended.clone().unwrap_or_default()),
        ("  note", attempt.note.clone().unwrap_or_default()),
        ("  branch", branch.unwrap_or_default()),
        (
            "  changes",
            work.map_or_else(String::new, |work| {
                format!(
                    "{} commits, {} files, +{} -{}",
                    work.commits.len(),
                    work.diff.files,
                    work.diff.insertions,
                    work.diff.deletions
                )
            }),
        ),
    ])
}

/// Shows what the gates of an attempt found.
pub(super) fn show_gates(view: &AttemptView, out: &mut Out) -> Result<(), Failure> {
    for gate in &view.gates {
        out.line(&format!(
            "  {:9}  {}: {}",
            gate.verdict.as_str(),
            gate.gate.label(),
            gate.reason
        ))?;
    }
    Ok(())
}

/// Says why a mission waits, and why it went to whom.
pub(super) async fn why(id: &str, place: &Place, out: &mut Out) -> Result<(), Failure> {
    let operation = format!("say why {id} stands where it stands");
    let remote = Remote::find(place, &operation)?;
    let why: Why = remote.get(&operation, &format!("{}/why", path(id))).await?;
    if out.is_json() {
        return out.value(&why);
    }
    match &why.waiting_text {
        Some(text) => out.line(text)?,
        None => out.line("it does not wait")?,
    }
    if let Some(now) = &why.now {
        out.line("")?;
        out.line("if it were decided now:")?;
        choice(now, out)?;
    }
    for decided in &why.decisions {
        out.line("")?;
        out.line(&format!(
            "attempt {} went to {} ({})",
            decided.n,
            decided.agent_name.as_deref().unwrap_or("a removed agent"),
            time(decided.leased_at)
        ))?;
        match &decided.choice {
            Some(taken) => choice(taken, out)?,
            None => out.line("  how that was decided was not kept")?,
        }
    }
    Ok(())
}

/// Prints a decision with every point it rests on.
pub(crate) fn choice(choice: &Choice, out: &mut Out) -> Result<(), Failure> {
    out.line(&format!("  {} points of its own, {} waited", choice.points, choice.waiting))?;
    for points in &choice.reasons {
        out.line(&format!("    {:+} {}: {}", points.points, points.what, points.because))?;
    }
    for candidate in &choice.candidates {
        let refused = candidate.refused.as_ref().map(|why| format!(" (not: {why})"));
        out.line(&format!(
            "  {}: {} points{}",
            candidate.name,
            candidate.points,
            refused.unwrap_or_default()
        ))?;
        for points in &candidate.reasons {
            out.line(&format!("    {:+} {}: {}", points.points, points.what, points.because))?;
        }
    }
    let more = choice.considered.saturating_sub(choice.candidates.len() as u64);
    match more {
        0 => Ok(()),
        n => out.line(&format!("  and {n} more were considered")),
    }
}
