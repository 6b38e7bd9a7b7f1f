//! What was proved for a mission, and reading what each gate printed.

use std::path::{Path, PathBuf};

use agents::gate::readable;
use agents::transcript;
use model::attempt::Attempt;
use model::gate::{GateResult, Grade};
use model::id::AttemptId;
use model::mission::Mission;
use model::refusal::{Code, Refusal};
use orchestrator::judge;

use crate::Engine;
use crate::output;
use crate::resolve::{self, unreadable};
use crate::view::{AttemptView, Evidence, EvidenceItem, GateOutput};

/// The largest piece of a gate's output, in bytes.
const BYTES_MAX: usize = 1024 * 1024;

/// What the gates of the latest attempt that has results prove.
pub(crate) fn evidence(mission: &Mission, attempts: &[AttemptView]) -> Evidence {
    let last = attempts.iter().find(|view| !view.gates.is_empty());
    let items: Vec<EvidenceItem> = last
        .into_iter()
        .flat_map(|view| view.gates.iter().map(|result| item(&view.attempt, result)))
        .collect();
    let needed = mission.grade_needed();
    let own = u32::try_from(mission.gates.len()).unwrap_or(u32::MAX);
    let stale = items.iter().any(|item| item.stale && item.index < own);
    Evidence {
        grade: mission.grade,
        needed,
        enough: mission.grade >= needed && mission.grade > Grade::None && !stale,
        stale,
        items,
    }
}

fn item(attempt: &Attempt, result: &GateResult) -> EvidenceItem {
    EvidenceItem {
        attempt: attempt.n,
        attempt_id: attempt.id,
        index: result.index,
        label: result.gate.label(),
        kind: result.gate.kind().to_owned(),
        grade: result.gate.proves(),
        verdict: result.verdict,
        reason: result.reason.clone(),
        stale: !judge::is_fresh(result, attempt),
        by: result.by.clone(),
        commit: result.commit.clone(),
        at: result.started_at,
        openable: result.output_bytes > 0 || !result.output.is_empty(),
    }
}

impl Engine {
    /// A piece of everything a gate printed.
    ///
    /// # Errors
    /// When there is no such attempt or result, or its output cannot be read.
    pub async fn gate_output(
        &self,
        id: AttemptId,
        index: u32,
        offset: u64,
    ) -> Result<GateOutput, Refusal> {
        let attempt = resolve::attempt(&self.0.ledger, id).await?;
        let results = self.0.ledger.gate_results(attempt.id).await.map_err(unreadable)?;
        let result = results.into_iter().find(|result| result.index == index).ok_or_else(|| {
            Refusal::new(Code::NotFound, format!("gate {index} of this attempt has no result"))
                .hint("gates are counted from 0; one that has not run yet has no output")
        })?;
        let place = printed(&self.0.dir.attempt(id), &result);
        let chunk = match place {
            Some(path) => output::read(path, offset, BYTES_MAX, true).await?,
            None => of_ledger(&result, offset),
        };
        Ok(GateOutput {
            attempt_id: id,
            index,
            label: result.gate.label(),
            offset: chunk.offset,
            next_offset: chunk.next_offset,
            size: chunk.size,
            printed: result.output_bytes.max(chunk.size),
            text: chunk.text,
        })
    }
}

/// The file with everything the gate printed when it looked at the work of this result.
fn printed(run: &Path, result: &GateResult) -> Option<PathBuf> {
    let name = |folder: &str| readable(&run.join(folder).join(result.index.to_string()));
    if let Some(commit) = result.commit.as_ref().filter(|it| is_hash(it)) {
        let aside = name(&format!("gates-{commit}"));
        if aside.is_file() {
            return Some(aside);
        }
        let about = std::fs::read_to_string(run.join("gates.commit")).unwrap_or_default();
        if !about.is_empty() && about != *commit {
            return None;
        }
    }
    Some(name("gates")).filter(|path| path.is_file())
}

fn is_hash(text: &str) -> bool {
    text.chars().all(|ch| ch.is_ascii_hexdigit())
}

/// The end of the output that is in the ledger, where there is no file.
fn of_ledger(result: &GateResult, offset: u64) -> transcript::Chunk {
    let text = &result.output;
    let wanted = usize::try_from(offset).unwrap_or(usize::MAX).min(text.len());
    let from = text.floor_char_boundary(wanted);
    let size = text.len() as u64;
    let text = text.get(from..).unwrap_or_default().to_owned();
    transcript::Chunk { offset: from as u64, kept_from: 0, next_offset: size, size, text }
}
