//! The devlog of an attempt, and the parts it shares with reports: pure functions of facts.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use model::devlog::Devlog;
use model::gate::{GateResult, Grade, Verdict};
use model::id::{AttemptId, DevlogId};
use model::mission::Mission;

use crate::closing::handoff_part;
use crate::facts::{AttemptFacts, Resources, attempt_words, outcome};
use crate::text::{
    NONE, block, bytes, code, count, duration, duration_ms, inline, one_line, tail, time,
};

/// How much of a failed gate's output a devlog quotes; all of it is kept with the gate's result.
const QUOTE_LINES_MAX: usize = 40;
const QUOTE_BYTES_MAX: usize = 8 * 1024;
/// Commits named one by one.
const COMMITS_SHOWN: usize = 30;

/// The devlog of an attempt has the attempt's own number: writing it twice cannot make two.
#[must_use]
pub fn devlog_id(attempt_id: AttemptId) -> DevlogId {
    DevlogId::from_uuid(attempt_id.as_uuid())
}

/// Writes the devlog of an attempt that is over or in review.
pub(crate) fn write(mission: &Mission, facts: &AttemptFacts, at: Timestamp) -> Devlog {
    let word = outcome(mission, &facts.attempt);
    let title = one_line(&format!("{} · {} — {word}", mission.short_id, mission.title));
    let zone = &TimeZone::UTC;
    let mut out = format!("# {} · {} — {word}\n\n", mission.short_id, inline(&mission.title));
    out.push_str(&summary(facts, at));
    out.push_str("\n\n");
    let mut rows = vec![
        ("Mission", inline(&format!("{} {}", mission.short_id, mission.title))),
        ("Evidence", grade_words(mission.grade).to_owned()),
    ];
    rows.extend(attempt_rows(facts, at, zone));
    out.push_str(&table(&rows));
    out.push_str(&sections(facts, "##"));
    out.truncate(out.trim_end().len());
    out.push('\n');
    Devlog {
        id: devlog_id(facts.attempt.id),
        mission_id: mission.id,
        short_id: mission.short_id.clone(),
        attempt_id: Some(facts.attempt.id),
        agent_id: Some(facts.attempt.agent_id),
        title,
        markdown: out,
        demo: mission.demo,
        at,
    }
}

/// One sentence: who tried, for how long, and what came of it.
pub(crate) fn summary(facts: &AttemptFacts, now: Timestamp) -> String {
    let attempt = &facts.attempt;
    let verb = if attempt.state.is_final() { "was" } else { "is" };
    let mut text = format!(
        "Attempt {} by {} {verb} {} after {}",
        attempt.n,
        inline(&facts.agent.words()),
        attempt_words(attempt),
        duration(facts.whole_time(now)),
    );
    match attempt.note.as_deref().filter(|note| !note.trim().is_empty()) {
        Some(note) => {
            text.push_str(": ");
            text.push_str(&inline(note));
        }
        None => text.push('.'),
    }
    text.replacen("was failed", "failed", 1).replacen("was passed", "passed", 1)
}

/// The facts of an attempt that have one value each.
pub(crate) fn attempt_rows(
    facts: &AttemptFacts,
    now: Timestamp,
    zone: &TimeZone,
) -> Vec<(&'static str, String)> {
    let attempt = &facts.attempt;
    let agent = match &facts.agent.role {
        Some(role) => format!("{} ({role})", facts.agent.words()),
        None => facts.agent.words(),
    };
    let ended = match (attempt.ended_at, facts.reviewed_at) {
        (Some(at), _) => time(at, zone),
        (None, Some(at)) => format!("not yet; in review since {}", time(at, zone)),
        (None, None) => "not yet".to_owned(),
    };
    let program = match (attempt.exit(), &attempt.process) {
        (Some(exit), _) => inline(&exit.to_string()),
        (None, Some(_)) => "no end was recorded".to_owned(),
        (None, None) => "was never started".to_owned(),
    };
    let ran = facts.program_time(now).map_or_else(|| NONE.to_owned(), duration);
    let mut rows = vec![
        ("Agent", inline(&agent)),
        ("Started", time(attempt.leased_at, zone)),
        ("Ended", ended),
        ("Duration", duration(facts.whole_time(now))),
        ("Program", program),
        ("Program ran", ran),
    ];
    rows.extend(place_rows(facts));
    rows.extend(resource_rows(&facts.resources));
    rows
}

fn place_rows(facts: &AttemptFacts) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    if let Some(place) = &facts.attempt.workplace {
        if let Some(branch) = &place.branch {
            let base = place.base_commit.as_deref();
            let base = base.map_or_else(String::new, |hash| format!(" from {}", code(short(hash))));
            rows.push(("Branch", format!("{}{base}", code(branch))));
        }
        if place.uncommitted_files > 0 {
            let files = count(place.uncommitted_files, "file", "files");
            let text =
                format!("{files} with uncommitted changes in the repository: not part of the work");
            rows.push(("Left out", text));
        }
    }
    if let Some(work) = &facts.attempt.work {
        let diff = &work.diff;
        let files = count(diff.files, "file", "files");
        let commits = count(work.commits.len() as u64, "commit", "commits");
        let text = format!("{commits}, {files} changed, +{} −{}", diff.insertions, diff.deletions);
        rows.push(("Work", text));
    }
    if let Some(last) = facts.checkpoints.last() {
        let made = count(facts.checkpoints.len() as u64, "checkpoint", "checkpoints");
        let commit = code(short(&last.commit));
        rows.push(("Checkpoints", format!("{made}, the last {commit}: {}", inline(&last.note))));
    }
    rows
}

fn resource_rows(resources: &Resources) -> Vec<(&'static str, String)> {
    let no_data = || "no data".to_owned();
    let cpu = match (resources.cpu_percent_mean, resources.cpu_percent_max) {
        (Some(mean), Some(max)) => {
            format!("{mean:.0} % of one core on average, at most {max:.0} %")
        }
        _ => no_data(),
    };
    let memory = match (resources.memory_mean_bytes, resources.memory_max_bytes) {
        (Some(mean), Some(max)) => {
            format!("{} on average, at most {}", float_bytes(mean), float_bytes(max))
        }
        _ => match resources.process_memory_peak_bytes {
            Some(peak) => format!("at most {} in one process", bytes(peak)),
            None => no_data(),
        },
    };
    vec![
        ("Processor time", resources.cpu_ms.map_or_else(no_data, duration_ms)),
        ("Processor use", cpu),
        ("Memory", memory),
    ]
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a mean of byte counts is neither negative nor near 2^64; the cast saturates"
)]
pub(crate) fn float_bytes(value: f64) -> String {
    bytes(value.round() as u64)
}

/// What it was given, gates and commits, each under a heading of the given level.
pub(crate) fn sections(facts: &AttemptFacts, level: &str) -> String {
    let given = facts.attempt.handoff.as_ref();
    let mut out = given.map_or_else(String::new, |handoff| handoff_part(handoff, level));
    out.push_str(&format!("\n{level} Gates\n\n"));
    if facts.gates.is_empty() {
        out.push_str("No gate ran.\n");
    } else {
        out.push_str("| Gate | Result | Took | Why |\n|---|---|---|---|\n");
        for gate in &facts.gates {
            let row = format!(
                "| {} | {} | {} | {} |\n",
                inline(&gate.gate.label()),
                verdict_words(gate.verdict),
                duration_ms(gate.duration_ms),
                why(gate),
            );
            out.push_str(&row);
        }
    }
    for gate in facts.gates.iter().filter(|gate| gate.verdict != Verdict::Passed) {
        out.push_str(&quote(gate, level));
    }
    out.push_str(&commits(facts, level));
    out
}

/// Why a gate decided as it did, with what it counted and who answered.
fn why(gate: &GateResult) -> String {
    let mut text = inline(&gate.reason);
    if let Some(checks) = gate.checks {
        text.push_str(&format!(", {}", count(checks, "check", "checks")));
    }
    if let Some(by) = &gate.by {
        text.push_str(&format!(", answered by {}", inline(by)));
    }
    text
}

/// The end of what a gate printed that did not pass.
fn quote(gate: &GateResult, level: &str) -> String {
    let name = inline(&gate.gate.label());
    if gate.output.trim().is_empty() {
        return format!("\n{level}# Output of {name}\n\nIt printed nothing.\n");
    }
    let (end, cut) = tail(&gate.output, QUOTE_LINES_MAX, QUOTE_BYTES_MAX);
    let part = if cut || gate.output_bytes > gate.output.len() as u64 {
        format!("The end of {} that it printed:\n\n", bytes(gate.output_bytes))
    } else {
        String::new()
    };
    format!("\n{level}# Output of {name}\n\n{part}{}", block(end))
}

fn commits(facts: &AttemptFacts, level: &str) -> String {
    let Some(work) = &facts.attempt.work else {
        return String::new();
    };
    let mut out = format!("\n{level} Commits\n\n");
    if work.commits.is_empty() {
        out.push_str("The branch has no commit of its own.\n");
    }
    for commit in work.commits.iter().take(COMMITS_SHOWN) {
        let row = format!("- {} {}\n", code(short(&commit.hash)), inline(&commit.subject));
        out.push_str(&row);
    }
    if let Some(more) = work.commits.len().checked_sub(COMMITS_SHOWN).filter(|n| *n > 0) {
        out.push_str(&format!("- and {more} more\n"));
    }
    if work.rescued_files > 0 {
        let files = count(work.rescued_files, "file", "files");
        out.push_str(&format!(
            "\nSo that nothing is lost, the last commit holds {files} that the agent had left uncommitted.\n"
        ));
    }
    out
}

/// Two columns without a head.
pub(crate) fn table(rows: &[(&str, String)]) -> String {
    let mut out = String::from("| | |\n|---|---|\n");
    for (name, value) in rows {
        out.push_str(&format!("| {name} | {value} |\n"));
    }
    out
}

fn short(hash: &str) -> &str {
    hash.get(..10).unwrap_or(hash)
}

pub(crate) const fn grade_words(grade: Grade) -> &'static str {
    match grade {
        Grade::None => "none",
        Grade::SelfReport => "the agent's own word",
        Grade::Observed => "gates run by the engine passed",
        Grade::Independent => "confirmed from outside",
        Grade::Human => "accepted by the captain",
    }
}

const fn verdict_words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Failed => "failed",
        Verdict::TimedOut => "timed out",
        Verdict::Broken => "could not run",
    }
}
