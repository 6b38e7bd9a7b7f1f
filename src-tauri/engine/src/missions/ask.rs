//! What the captain asks of missions, and what is reported about them.

use model::gate::{GATE_OUTPUT_BYTES_MAX, GateResult, GateSpec, Verdict};
use model::id::{AttemptId, SystemDraw, TrashId};
use model::mission::{Mission, Progress, WORDS_CHARS_MAX};
use model::refusal::{Code, Refusal};
use model::transition::MissionInput;
use model::trash::{TrashItem, TrashKind};
use orchestrator::{Input, Wish};

use super::{invalid, text_line};
use crate::resolve::{self, unreadable};
use crate::view::{Ask, Assign, CiResult, CiStatus, MissionDetail, NewProgress};
use crate::{Caller, Engine};

/// The longest note, in characters.
const NOTE_CHARS_MAX: usize = 20_000;
/// How much of a commit's hash must be given.
const HASH_CHARS_MIN: usize = 7;
/// The most checks of build servers that are kept of one attempt.
const CI_RESULTS_MAX: usize = 64;
/// The longest address of a build, in characters.
const URL_CHARS_MAX: usize = 2_000;

impl Engine {
    /// Asks something of a mission: queue, accept, reject, pause, resume, cancel, retry, send back.
    ///
    /// # Errors
    /// When the published table has no such transition; the refusal names the allowed ones.
    pub async fn ask_mission(
        &self,
        caller: &Caller,
        text: &str,
        input: MissionInput,
        ask: Ask,
    ) -> Result<MissionDetail, Refusal> {
        let (mission, _) = resolve::mission(&self.0.ledger, text).await?;
        if let Some(note) = ask.note.as_ref().filter(|it| it.chars().count() > NOTE_CHARS_MAX) {
            let count = note.chars().count();
            return Err(invalid(format!("the note has {count} characters"))
                .hint(format!("at most {NOTE_CHARS_MAX}; name a file for more")));
        }
        if input == MissionInput::Accept {
            self.accept(caller, &mission, ask).await?;
            return self.mission_of(mission.id).await;
        }
        let wish = Wish {
            input,
            note: ask.note,
            keep_processes: ask.keep_processes,
            fresh: ask.fresh,
            merge: None,
            reviewed: ask.reviewed,
        };
        self.tell(caller, Input::Ask { id: mission.id, wish }).await?;
        self.mission_of(mission.id).await
    }

    /// Chooses the agent of a mission; a draft is queued by it.
    ///
    /// # Errors
    /// When the mission is under way or done, or there is no such agent.
    pub async fn assign_mission(
        &self,
        caller: &Caller,
        text: &str,
        assign: Assign,
    ) -> Result<MissionDetail, Refusal> {
        let (mission, _) = resolve::mission(&self.0.ledger, text).await?;
        let agent = match assign.agent {
            Some(name) => Some(resolve::agent(&self.0.ledger, &name).await?.id),
            None => None,
        };
        self.tell(caller, Input::Assign { id: mission.id, agent }).await?;
        self.mission_of(mission.id).await
    }

    /// Takes a finished mission or a draft off the lists; it can be restored from the trash.
    ///
    /// # Errors
    /// When it is not finished, or there is no such mission.
    pub async fn remove_mission(&self, caller: &Caller, text: &str) -> Result<(), Refusal> {
        let (mission, _) = resolve::mission(&self.0.ledger, text).await?;
        self.trash_mission(caller, &mission).await
    }

    pub(crate) async fn trash_mission(
        &self,
        caller: &Caller,
        mission: &Mission,
    ) -> Result<(), Refusal> {
        let settings = self.0.ledger.settings().await.map_err(unreadable)?;
        let now = self.0.clock.now();
        let kept = jiff::SignedDuration::from_hours(i64::from(settings.trash_days) * 24);
        let item = TrashItem {
            id: TrashId::draw(now, &mut SystemDraw),
            kind: TrashKind::Mission,
            mission_id: mission.id,
            attempt: None,
            title: format!("{} {}", mission.short_id, mission.title),
            path: None,
            repository: mission.repository.clone(),
            branch: None,
            bytes: 0,
            at: now,
            until: now.saturating_add(kept).unwrap_or(jiff::Timestamp::MAX),
        };
        let input = Input::RemoveMission { id: mission.id, trash: Some(item) };
        self.tell(caller, input).await?;
        self.trash_worktrees_of(caller, mission.id).await;
        Ok(())
    }

    /// Keeps how far a mission is, as it was said.
    ///
    /// # Errors
    /// When the mission is finished, or what is said is out of bounds.
    pub async fn progress_mission(
        &self,
        caller: &Caller,
        text: &str,
        new: NewProgress,
    ) -> Result<MissionDetail, Refusal> {
        let (mission, _) = resolve::mission(&self.0.ledger, text).await?;
        if let Some(percent) = new.percent.filter(|percent| *percent > 100) {
            return Err(
                invalid(format!("{percent} % is more than everything")).hint("between 0 and 100")
            );
        }
        let progress = Progress {
            percent: new.percent,
            text: text_line("progress", &new.text, WORDS_CHARS_MAX)?,
            at: self.0.clock.now(),
        };
        let criteria = new.criteria.iter().map(|mark| (mark.place as usize, mark.met)).collect();
        self.tell(caller, Input::Progress { id: mission.id, progress, criteria }).await?;
        self.mission_of(mission.id).await
    }

    /// Takes in what a build server found for a commit of a mission.
    ///
    /// # Errors
    /// When the commit is not the last one of an attempt, or the attempt is over; a result that
    /// comes too late is kept in the timeline and changes nothing.
    pub async fn take_ci(
        &self,
        caller: &Caller,
        text: &str,
        new: CiResult,
    ) -> Result<MissionDetail, Refusal> {
        let (mission, _) = resolve::mission(&self.0.ledger, text).await?;
        let name = text_line("name of the check", &new.name, WORDS_CHARS_MAX)?;
        let url = new.url.as_deref().map(checked_url).transpose()?;
        let wanted = checked_hash(&new.commit)?;
        let attempts = self.0.ledger.attempts_of(mission.id).await.map_err(unreadable)?;
        let fitting: Vec<_> = attempts
            .iter()
            .filter_map(|attempt| Some((attempt, attempt.work.as_ref()?)))
            .filter(|(_, work)| work.head_commit.starts_with(&wanted))
            .collect();
        // Two attempts may end with the same commit: the later one counts.
        let Some((attempt, work)) = fitting.last() else {
            return Err(no_such_commit(&mission, &new.commit));
        };
        if fitting.iter().any(|(_, other)| other.head_commit != work.head_commit) {
            let message = format!("'{}' is the beginning of several commits", new.commit);
            return Err(Refusal::new(Code::Ambiguous, message).hint("give the whole hash"));
        }
        self.check_room_for_ci(attempt.id, &name).await?;
        let output = new.output.unwrap_or_default();
        let at = output.len().saturating_sub(GATE_OUTPUT_BYTES_MAX);
        let end = output.ceil_char_boundary(at);
        let passed = new.status == CiStatus::Passed;
        let result = GateResult {
            index: u32::MAX,
            verdict: if passed { Verdict::Passed } else { Verdict::Failed },
            exit_code: None,
            reason: format!("CI '{name}' {}", if passed { "passed" } else { "failed" }),
            output: output.get(end..).unwrap_or_default().to_owned(),
            output_bytes: output.len() as u64,
            commit: Some(work.head_commit.clone()),
            tree: work.tree.clone(),
            checks: None,
            by: Some(url.unwrap_or_else(|| format!("CI {name}"))),
            started_at: self.0.clock.now(),
            duration_ms: 0,
            gate: GateSpec::Ci { name },
        };
        let over = attempt.state.is_final();
        self.tell(caller, Input::GateFinished { id: attempt.id, result }).await?;
        if over {
            let message = format!(
                "attempt {} of {} is over: the result is kept in the timeline as late and changes \
                 nothing",
                attempt.n, mission.short_id
            );
            return Err(Refusal::new(Code::Conflict, message)
                .hint("post the result while the mission is in review"));
        }
        self.mission_of(mission.id).await
    }
}

impl Engine {
    /// Refuses one more name of a check where an attempt has as many as are kept.
    async fn check_room_for_ci(&self, id: AttemptId, name: &str) -> Result<(), Refusal> {
        let known = self.0.ledger.gate_results(id).await.map_err(unreadable)?;
        let of = |result: &GateResult| match &result.gate {
            GateSpec::Ci { name } => Some(name.clone()),
            _ => None,
        };
        let names: Vec<String> = known.iter().filter_map(of).collect();
        if names.len() < CI_RESULTS_MAX || names.iter().any(|it| it == name) {
            return Ok(());
        }
        let message = format!("the attempt has the results of {} checks", names.len());
        Err(Refusal::new(Code::Conflict, message)
            .hint("nothing was recorded; post one result for all checks of a build"))
    }
}

fn no_such_commit(mission: &Mission, commit: &str) -> Refusal {
    let message = format!("no attempt of {} ends with the commit '{commit}'", mission.short_id);
    Refusal::new(Code::NotFound, message).hint(
        "nothing was recorded; send the last commit of the attempt's branch, once its program \
         has ended",
    )
}

fn checked_hash(text: &str) -> Result<String, Refusal> {
    let hash = text.trim().to_ascii_lowercase();
    let fits = (HASH_CHARS_MIN..=64).contains(&hash.len())
        && hash.chars().all(|ch| ch.is_ascii_hexdigit());
    if !fits {
        return Err(invalid(format!("'{}' is not the hash of a commit", text.trim()))
            .hint(format!("give the whole hash, or at least {HASH_CHARS_MIN} characters of it")));
    }
    Ok(hash)
}

/// Only addresses a browser may safely be sent to.
fn checked_url(text: &str) -> Result<String, Refusal> {
    let text = text_line("address", text, URL_CHARS_MAX)?;
    if text.starts_with("https://") || text.starts_with("http://") {
        return Ok(text);
    }
    Err(invalid(format!("'{text}' is not an address of a web page"))
        .hint("it begins with https:// or http://"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_hash_is_given_whole_or_by_seven_characters_at_least() {
        let check = |text: &str, hash: Option<&str>| {
            assert_eq!(checked_hash(text).ok().as_deref(), hash, "{text}");
        };
        check(" ABCDEF1 ", Some("abcdef1"));
        check(&"a".repeat(40), Some(&"a".repeat(40)));
        check("abcdef", None);
        check("../../../etc/passwd", None);
        check("ghijklm", None);
        check(&"a".repeat(65), None);
    }

    #[test]
    fn an_address_that_a_browser_would_run_is_refused() {
        assert!(checked_url("https://ci.example/7").is_ok());
        assert!(checked_url("javascript:alert(1)").is_err());
        assert!(checked_url("file:///etc/passwd").is_err());
    }

    proptest! {
        #[test]
        fn a_hash_that_is_taken_is_nothing_but_a_hash(text: String) {
            if let Ok(hash) = checked_hash(&text) {
                prop_assert!(hash.chars().all(|ch| ch.is_ascii_hexdigit()));
            }
        }
    }
}
