//! What a result means: a pure judgement of an ended attempt by its exit, its gates and the grade
//! that is needed.

use std::collections::BTreeMap;

use model::attempt::Attempt;
use model::gate::{Answerer, GateResult, GateSpec, Grade, Verdict};
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
    /// Everything the engine checks passed, and somebody else has to answer.
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

/// What the gates found, by their place; gates that are not the mission's own follow its own.
pub type Results = BTreeMap<u32, GateResult>;

/// Whether a result is about the work as it is. Evidence for another commit is stale.
#[must_use]
pub fn is_fresh(result: &GateResult, attempt: &Attempt) -> bool {
    match (&attempt.work, &result.tree, &result.commit) {
        (Some(work), Some(tree), _) if work.tree.is_some() => work.tree.as_ref() == Some(tree),
        (Some(work), _, Some(commit)) => work.head_commit == *commit,
        (Some(_), _, None) => false,
        (None, ..) => true,
    }
}

/// Judges an attempt that ended with `exit` and whose mission's gates found `results`.
#[must_use]
pub fn judge(mission: &Mission, attempt: &Attempt, exit: &Exit, results: &Results) -> Judgement {
    if !exit.claims_completion() {
        return Judgement::Rejected { note: format!("the agent's program {exit}") };
    }
    let fresh: BTreeMap<u32, &GateResult> = results
        .iter()
        .filter(|(_, result)| is_fresh(result, attempt))
        .map(|(index, result)| (*index, result))
        .collect();
    let engines = |result: &&&GateResult| result.gate.answerer() == Answerer::Engine;
    let failed = |result: &&&GateResult| result.verdict != Verdict::Passed;
    if let Some(failed) = fresh.values().filter(engines).find(failed) {
        return Judgement::Rejected { note: red(failed) };
    }
    let (mut ran, mut needed) = (0, 0);
    for (index, gate) in (0..).zip(&mission.gates) {
        if gate.answerer() == Answerer::Engine {
            needed += 1;
            ran += u32::from(fresh.contains_key(&index));
        }
    }
    if ran < needed {
        return Judgement::Rejected { note: format!("{ran} of {needed} gates were run") };
    }
    let grade = grade(fresh.values().copied());
    let proof = match needed {
        0 => "the agent says it is done; no gate of the engine checked it".to_owned(),
        1 => "its gate passed".to_owned(),
        n => format!("all {n} gates passed"),
    };
    if let Some(failed) = fresh.values().find(failed) {
        return Judgement::Review { grade, note: format!("{proof}; but {}", red(failed)) };
    }
    let open = unanswered(mission, &fresh);
    if !open.is_empty() {
        return Judgement::Review { grade, note: format!("{proof}; {}", open.join("; ")) };
    }
    if grade >= mission.grade_needed() {
        Judgement::Done { grade, note: proof }
    } else {
        Judgement::Review { grade, note: format!("{proof}; the policy asks for your review") }
    }
}

fn red(result: &GateResult) -> String {
    format!("gate '{}' did not pass: {}", result.gate.label(), result.reason)
}

/// What the gates nobody has answered wait for.
fn unanswered(mission: &Mission, fresh: &BTreeMap<u32, &GateResult>) -> Vec<String> {
    let open = (0..).zip(&mission.gates).filter(|(index, _)| !fresh.contains_key(index));
    open.filter_map(|(_, gate)| match gate {
        GateSpec::Ci { name } => Some(format!("the result of CI '{name}' is awaited")),
        GateSpec::Reviewer { agent: Some(name) } => Some(format!("{name} is to review it")),
        GateSpec::Reviewer { agent: None } => Some("another agent is to review it".to_owned()),
        GateSpec::Human { question } => Some(format!("you are asked: {question}")),
        _ => None,
    })
    .collect()
}

/// The strongest evidence of those that passed; the agent's own word where there is no other.
fn grade<'a>(results: impl Iterator<Item = &'a GateResult>) -> Grade {
    results
        .filter(|result| result.verdict == Verdict::Passed)
        .map(|result| result.gate.proves())
        .max()
        .unwrap_or_default()
        .max(Grade::SelfReport)
}

/// What keeps the captain from accepting: gates that are red or that others have to answer.
#[must_use]
pub fn in_the_way(mission: &Mission, attempt: &Attempt, results: &Results) -> Vec<String> {
    let mut reasons = Vec::new();
    let fresh = |index: u32| results.get(&index).filter(|result| is_fresh(result, attempt));
    for (index, gate) in (0..).zip(&mission.gates) {
        match (gate.answerer(), fresh(index)) {
            (Answerer::Captain, _) => {}
            (_, Some(result)) if result.verdict != Verdict::Passed => reasons.push(red(result)),
            (_, Some(_)) => {}
            (_, None) => reasons.push(format!("gate '{}' has not been answered", gate.label())),
        }
    }
    let own = u32::try_from(mission.gates.len()).unwrap_or(u32::MAX);
    for (_, result) in results.range(own..) {
        if is_fresh(result, attempt) && result.verdict != Verdict::Passed {
            reasons.push(red(result));
        }
    }
    reasons
}
