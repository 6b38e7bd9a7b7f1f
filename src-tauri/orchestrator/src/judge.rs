//! What a result means: a pure judgement of an ended attempt by its exit, its gates and the policy.

use model::gate::{GateResult, Grade, Verdict};
use model::mission::Mission;
use model::process::Exit;

/// What an attempt came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// The evidence is enough: the mission is done.
    Done {
        /// The evidence.
        grade: Grade,
        /// Why, in words a person reads.
        note: String,
    },
    /// Everything asked of it passed, and the captain has to look.
    Review {
        /// The evidence so far.
        grade: Grade,
        /// Why, in words a person reads.
        note: String,
    },
    /// It does not count.
    Rejected {
        /// Why, in words a person reads.
        note: String,
    },
}

/// Judges an attempt that ended with `exit` and whose mission's gates found `gates`.
#[must_use]
pub fn judge(mission: &Mission, exit: &Exit, gates: &[GateResult]) -> Judgement {
    if !exit.claims_completion() {
        return Judgement::Rejected { note: format!("the agent's program {exit}") };
    }
    if let Some(failed) = gates.iter().find(|result| result.verdict != Verdict::Passed) {
        return Judgement::Rejected {
            note: format!("gate '{}' did not pass: {}", failed.gate.label(), failed.reason),
        };
    }
    if gates.len() < mission.gates.len() {
        let note = format!("{} of {} gates were run", gates.len(), mission.gates.len());
        return Judgement::Rejected { note };
    }
    let (grade, proof) = match gates.len() {
        0 => (Grade::SelfReport, "the agent says it is done; no gate checked it".to_owned()),
        1 => (Grade::Observed, "its gate passed".to_owned()),
        n => (Grade::Observed, format!("all {n} gates passed")),
    };
    if grade >= mission.policy.grade_needed() {
        Judgement::Done { grade, note: proof }
    } else {
        Judgement::Review { grade, note: format!("{proof}; the policy asks for your review") }
    }
}
