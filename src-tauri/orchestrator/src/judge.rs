//! What a result means: a pure judgement of an ended attempt by its exit, its gates and the grade
//! that is needed.

use std::collections::BTreeMap;

use model::attempt::Attempt;
use model::gate::{Answerer, GateResult, GateSpec, Grade, Verdict};
use model::id::MissionId;
use model::mission::Mission;
use model::process::Exit;

use crate::state::State;

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

/// What a gate of the mission found on the work as it is.
///
/// The captain may change the gates while the work is in review: a result counts for the gate it is
/// of, wherever that stands now, and never for one that came to stand in its place.
#[must_use]
pub fn answer_of<'a>(
    mission: &Mission,
    index: u32,
    gate: &GateSpec,
    attempt: &Attempt,
    results: &'a Results,
) -> Option<&'a GateResult> {
    let fits = |result: &&GateResult| result.gate == *gate && is_fresh(result, attempt);
    let moved = |place: u32| mission.gates.get(place as usize) != Some(gate);
    results.get(&index).filter(fits).or_else(|| {
        let mut others = results.iter().filter(|(place, _)| moved(**place));
        others.find_map(|(_, result)| Some(result).filter(fits))
    })
}

/// The mission's gates with their places and what each found, if anything.
type Answers<'a> = Vec<(&'a GateSpec, Option<&'a GateResult>)>;

fn answers<'a>(mission: &'a Mission, attempt: &Attempt, results: &'a Results) -> Answers<'a> {
    let gates = (0..).zip(&mission.gates);
    gates.map(|(index, gate)| (gate, answer_of(mission, index, gate, attempt, results))).collect()
}

/// What build servers said of the work beside what the mission asks for.
fn unasked<'a>(
    mission: &Mission,
    attempt: &Attempt,
    results: &'a Results,
) -> impl Iterator<Item = &'a GateResult> {
    results.values().filter(move |result| {
        result.gate.answerer() == Answerer::Ci
            && !mission.gates.contains(&result.gate)
            && is_fresh(result, attempt)
    })
}

/// Judges an attempt that ended with `exit` and whose mission's gates found `results`.
#[must_use]
pub fn judge(mission: &Mission, attempt: &Attempt, exit: &Exit, results: &Results) -> Judgement {
    if *exit == Exit::CalledOff {
        return Judgement::Rejected { note: "you called its turn off".to_owned() };
    }
    if !exit.claims_completion() {
        return Judgement::Rejected { note: format!("the agent's program {exit}") };
    }
    let answers = answers(mission, attempt, results);
    let engines = || answers.iter().filter(|(gate, _)| gate.answerer() == Answerer::Engine);
    let is_red = |result: &&GateResult| result.verdict != Verdict::Passed;
    if let Some(failed) = engines().filter_map(|(_, result)| *result).find(is_red) {
        return Judgement::Rejected { note: red(failed) };
    }
    let needed = engines().count();
    let ran = engines().filter(|(_, result)| result.is_some()).count();
    if ran < needed {
        return Judgement::Rejected { note: format!("{ran} of {needed} gates were run") };
    }
    let asked = answers.iter().filter_map(|(_, result)| *result);
    let found: Vec<&GateResult> = asked.chain(unasked(mission, attempt, results)).collect();
    let grade = grade(found.iter().copied());
    let proof = match needed {
        0 if grade > Grade::SelfReport => "those who were asked agree".to_owned(),
        0 => "the agent says it is done; no gate of the engine checked it".to_owned(),
        1 => "its gate passed".to_owned(),
        n => format!("all {n} gates passed"),
    };
    if let Some(failed) = found.iter().copied().find(is_red) {
        return Judgement::Review { grade, note: format!("{proof}; but {}", red(failed)) };
    }
    let open = unanswered(&answers);
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
fn unanswered(answers: &Answers<'_>) -> Vec<String> {
    let open = answers.iter().filter(|(_, result)| result.is_none());
    open.filter_map(|(gate, _)| match gate {
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
    for (gate, result) in answers(mission, attempt, results) {
        match (gate.answerer(), result) {
            (Answerer::Captain, _) => {}
            (_, Some(result)) if result.verdict != Verdict::Passed => reasons.push(red(result)),
            (_, Some(_)) => {}
            (_, None) => reasons.push(format!("gate '{}' has not been answered", gate.label())),
        }
    }
    let others = unasked(mission, attempt, results);
    reasons.extend(others.filter(|result| result.verdict != Verdict::Passed).map(red));
    reasons
}

/// Why the work of a mission in review stands where it stands, with the answers there are by now;
/// nothing when it is not in review.
#[must_use]
pub fn standing(state: &State, id: MissionId) -> Option<String> {
    let mission = state.missions.get(&id)?;
    let attempt = state.attempt_of_mission(id).filter(|attempt| attempt.in_review)?;
    let none = Results::new();
    let results = state.results.get(&attempt.id).unwrap_or(&none);
    match judge(mission, attempt, attempt.exit()?, results) {
        Judgement::Done { note, .. }
        | Judgement::Review { note, .. }
        | Judgement::Rejected { note } => Some(note),
    }
}
