//! The short entries that follow a devlog: how a review came out, and where the work went.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use model::attempt::AttemptState;
use model::devlog::Devlog;
use model::id::{AttemptId, DevlogId, Draw};
use model::mission::{Handoff, Merge, MergeHow, Mission, MissionState};

use crate::devlog::{grade_words, sections, table};
use crate::facts::AttemptFacts;
use crate::text::{block, code, duration, inline, one_line, time};

/// The random part of an attempt's number, so that the same event gives the same number again.
struct Of(AttemptId);

impl Draw for Of {
    fn bytes(&mut self) -> [u8; 10] {
        let mut bytes = [0; 10];
        bytes.copy_from_slice(&self.0.as_uuid().as_bytes()[6..]);
        bytes
    }
}

/// The number of the entry about what happened to an attempt at this time.
pub(crate) fn closing_id(attempt_id: AttemptId, at: Timestamp) -> DevlogId {
    DevlogId::draw(at, &mut Of(attempt_id))
}

/// Writes how the review of an attempt came out.
pub(crate) fn reviewed(mission: &Mission, facts: &AttemptFacts, id: DevlogId) -> Devlog {
    let attempt = &facts.attempt;
    let merge = mission.merged.as_ref().filter(|merge| merge.attempt == attempt.n);
    let sent_back = mission.handoff.as_ref().filter(|handoff| {
        attempt.state == AttemptState::Rejected
            && handoff.from == attempt.n
            && mission.state != MissionState::Failed
    });
    let word = match attempt.state {
        AttemptState::Accepted if merge.is_some() => "merged",
        AttemptState::Accepted => "done",
        AttemptState::Rejected if mission.state == MissionState::Failed => "rejected",
        AttemptState::Rejected => "sent back",
        AttemptState::Lost => "lost",
        _ => "stopped",
    };
    let at = attempt.ended_at.unwrap_or(mission.updated_at);
    let waited = facts.reviewed_at.map(|from| duration(at.duration_since(from)));
    let mut rows = vec![("Evidence", grade_words(mission.grade).to_owned())];
    rows.extend(waited.map(|waited| ("In review for", waited)));
    rows.extend(merge.map(|merge| ("Merged", merge_words(merge))));
    let note = attempt.note.as_deref().filter(|note| !note.trim().is_empty());
    rows.extend(note.map(|note| ("Why", inline(note))));
    let mut text = format!("{}\n\n{}", sentence(facts, word), table(&rows));
    if let Some(handoff) = sent_back {
        text.push_str(&handoff_part(handoff, "##"));
    }
    if attempt.state == AttemptState::Rejected {
        text.push_str(&sections(facts, "##"));
    }
    entry(mission, facts, (id, at), word, &text)
}

/// Writes where the work of an attempt went that was over before.
pub(crate) fn merged(
    mission: &Mission,
    facts: &AttemptFacts,
    merge: &Merge,
    id: DevlogId,
) -> Devlog {
    let rows = [("Merged", merge_words(merge))];
    let text = format!("{}\n\n{}", sentence(facts, "merged"), table(&rows));
    entry(mission, facts, (id, merge.at), "merged", &text)
}

fn sentence(facts: &AttemptFacts, word: &str) -> String {
    let agent = inline(&facts.agent.words());
    format!("The work of attempt {} by {agent} was {}.", facts.attempt.n, past(word))
}

fn past(word: &str) -> &str {
    if word == "done" { "accepted" } else { word }
}

fn entry(
    mission: &Mission,
    facts: &AttemptFacts,
    (id, at): (DevlogId, Timestamp),
    word: &str,
    text: &str,
) -> Devlog {
    let short_id = &mission.short_id;
    let markdown = format!("# {short_id} · {} — {word}\n\n{text}", inline(&mission.title));
    Devlog {
        id,
        mission_id: mission.id,
        short_id: short_id.clone(),
        attempt_id: Some(facts.attempt.id),
        agent_id: Some(facts.attempt.agent_id),
        title: one_line(&format!("{short_id} · {} — {word}", mission.title)),
        markdown: format!("{}\n", markdown.trim_end()),
        demo: mission.demo,
        at,
    }
}

/// Where work went, in one line.
pub(crate) fn merge_words(merge: &Merge) -> String {
    let how = match merge.how {
        MergeHow::Merge => "merged",
        MergeHow::Squash => "squashed into one commit",
        MergeHow::Rebase => "rebased",
    };
    let short = |hash: &str| code(hash.get(..10).unwrap_or(hash));
    format!(
        "{} {how} onto {} as {}, {}",
        short(&merge.reviewed),
        code(&merge.target),
        short(&merge.commit),
        time(merge.at, &TimeZone::UTC)
    )
}

/// What the next attempt gets to know, under a heading of the given level.
pub(crate) fn handoff_part(handoff: &Handoff, level: &str) -> String {
    let from = match &handoff.commit {
        Some(commit) => format!(
            "From attempt {}; the next one goes on from {}.",
            handoff.from,
            code(commit.get(..10).unwrap_or(commit))
        ),
        None => format!("From attempt {}; the next one starts anew.", handoff.from),
    };
    format!("\n{level} Handoff\n\n{from}\n\n{}", block(&handoff.text))
}
