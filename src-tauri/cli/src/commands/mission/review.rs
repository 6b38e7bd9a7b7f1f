//! The work of a mission: its files, its gates, what merging would do, and the patch itself.

use engine::view::{MergeView, MissionDetail, PatchView, RadarConflict, RadarPlace, ReviewView};

use super::path;
use super::show::{short, show_attempt, show_gates};
use crate::args::Diff;
use crate::failure::Failure;
use crate::out::{Out, remark, word};
use crate::remote::{Place, Remote};
use crate::selector::encode;

/// Shows the work of a mission.
pub(super) async fn review(id: &str, place: &Place, out: &mut Out) -> Result<(), Failure> {
    let operation = format!("review {id}");
    let remote = Remote::find(place, &operation)?;
    let review: ReviewView = remote.get(&operation, &format!("{}/review", path(id))).await?;
    if out.is_json() {
        return out.value(&review);
    }
    show_attempt(&review.attempt, out)?;
    show_gates(&review.attempt, out)?;
    out.line("")?;
    let commit = |commit: &Option<String>| commit.as_deref().map(short).unwrap_or("").to_owned();
    out.pairs(&[
        ("reviewed", commit(&review.reviewed_commit)),
        ("base", commit(&review.base)),
        ("changed since", review.changed_since.clone().unwrap_or_default()),
        (
            "changes",
            format!(
                "{} files, +{} -{}",
                review.diff.files, review.diff.insertions, review.diff.deletions
            ),
        ),
    ])?;
    files(&review, out)?;
    if let Some(view) = &review.merge {
        merge(view, out)?;
    }
    conflicts(&review.radar, out)?;
    order(&review.order, out)?;
    for problem in &review.problems {
        out.line(&format!("not looked at: {problem}"))?;
    }
    Ok(())
}

fn files(review: &ReviewView, out: &mut Out) -> Result<(), Failure> {
    if review.files.is_empty() {
        return Ok(());
    }
    let lines = |count: Option<u64>, sign| {
        count.map_or_else(|| "binary".to_owned(), |count| format!("{sign}{count}"))
    };
    let rows: Vec<Vec<String>> = review
        .files
        .iter()
        .map(|file| {
            let from = file.old_path.as_ref().map(|old| format!("{old} -> ")).unwrap_or_default();
            vec![
                word(&file.status),
                lines(file.insertions, '+'),
                lines(file.deletions, '-'),
                format!("{from}{}", file.path),
            ]
        })
        .collect();
    out.table(&["STATUS", "ADDED", "REMOVED", "FILE"], &rows)?;
    match review.files_truncated {
        true => out.line("there are more files"),
        false => Ok(()),
    }
}

fn merge(view: &MergeView, out: &mut Out) -> Result<(), Failure> {
    let Some(preview) = &view.preview else {
        let why = view.problem.as_deref().unwrap_or("it could not be found out");
        return out.line(&format!("merging into {}: {why}", view.target));
    };
    let found = match (preview.already_merged, preview.conflicts.len()) {
        (true, _) => "everything is there already".to_owned(),
        (false, 0) if preview.can_fast_forward => "fits, the branch did not move".to_owned(),
        (false, 0) => format!("fits, {} commits behind", preview.commits_behind),
        (false, n) => format!("conflicts in {n} files: {}", preview.conflicts.join(", ")),
    };
    out.line(&format!("merging into {} ({}): {found}", view.target, word(&view.how)))?;
    if preview.checkout_dirty_files.is_empty() {
        return Ok(());
    }
    out.line(&format!(
        "  in the way: {} in {}",
        preview.checkout_dirty_files.join(", "),
        preview.checked_out_at.as_deref().unwrap_or("its checkout")
    ))
}

/// Prints files that several attempts touch.
pub(crate) fn conflicts(conflicts: &[RadarConflict], out: &mut Out) -> Result<(), Failure> {
    for conflict in conflicts {
        let how = match (conflict.overlapping, conflict.by_file_only) {
            (_, true) => "same file, lines not known",
            (true, false) => "overlapping lines",
            (false, false) => "different lines",
        };
        out.line(&format!("{}/{}: {how}", conflict.repository, conflict.path))?;
        for party in &conflict.between {
            let at =
                |it: &&engine::view::RadarLines| (it.short_id == party.short_id) && it.n == party.n;
            // A file that each of them adds has no lines in common to name.
            let known = |it: &&engine::view::RadarLines| !it.ranges.is_empty();
            let ranges = conflict.lines.iter().find(at).filter(known).map(|lines| {
                let ranges: Vec<String> = lines
                    .ranges
                    .iter()
                    .map(|range| match range.end < range.start {
                        true => format!("before {}", range.start),
                        false => format!("{}-{}", range.start, range.end),
                    })
                    .collect();
                format!(", lines {}", ranges.join(", "))
            });
            out.line(&format!(
                "  {} '{}' (attempt {} by {}){}",
                party.short_id,
                party.title,
                party.n,
                party.agent_name.as_deref().unwrap_or("a removed agent"),
                ranges.unwrap_or_default()
            ))?;
        }
    }
    Ok(())
}

/// Prints the order in which work is best merged.
pub(crate) fn order(places: &[RadarPlace], out: &mut Out) -> Result<(), Failure> {
    for (n, place) in (1..).zip(places) {
        out.line(&format!(
            "merge {n}. {} (attempt {}): {}",
            place.short_id, place.n, place.because
        ))?;
    }
    Ok(())
}

/// Prints the work as a patch.
pub(super) async fn diff(args: &Diff, place: &Place, out: &mut Out) -> Result<(), Failure> {
    let id = &args.which.mission;
    let operation = format!("show the patch of {id}");
    let remote = Remote::find(place, &operation)?;
    let detail: MissionDetail = remote.get(&operation, &path(id)).await?;
    let wanted = |n: u32| args.attempt.is_none_or(|attempt| attempt == n);
    let found = detail.attempts.iter().find(|view| wanted(view.attempt.n));
    let Some(attempt) = found else {
        return Err(Failure::new(&operation)
            .since("it has no such attempt")
            .allowed(detail.attempts.iter().map(|it| it.attempt.n.to_string()).collect()));
    };
    let mut query = format!("/api/v1/attempts/{}/diff?", attempt.attempt.id);
    if let Some(path) = &args.path {
        query.push_str(&format!("path={}&", encode(path)));
    }
    if let Some(lines) = args.context {
        query.push_str(&format!("context={lines}"));
    }
    let query = query.trim_end_matches(['?', '&']);
    let patch: PatchView = remote.get(&operation, query).await?;
    if out.is_json() {
        return out.value(&patch);
    }
    out.patch(&patch.text)?;
    if patch.truncated {
        remark("the patch is longer than is shown: name a file or directory");
    }
    if patch.binary {
        remark("files that are no text are named only");
    }
    Ok(())
}
