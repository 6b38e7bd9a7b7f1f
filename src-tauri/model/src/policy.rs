//! Policies: named sets of gates, with how much proof *done* needs and what follows a failure.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::gate::{GateSpec, Grade};
use crate::mission::BACKOFF_S_DEFAULT;

/// The name of the built-in policy under which the agent's word is enough when there is no gate.
pub const TRUSTING: &str = "trusting";
/// The name of the built-in policy under which a gate must have passed.
pub const STANDARD: &str = "standard";
/// The name of the built-in policy under which the captain reviews every time.
pub const STRICT: &str = "strict";
/// The longest name, in characters.
pub const POLICY_NAME_CHARS_MAX: usize = 40;
/// The most policies of one workspace, the built-in ones aside.
pub const POLICIES_MAX: usize = 100;

/// A named set of gates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Policy {
    /// Its name: small letters, digits and `-`.
    pub name: String,
    /// What it is for, in one line.
    pub about: String,
    /// The weakest evidence with which a mission under it is done.
    pub grade: Grade,
    /// Gates every mission under it has, before its own. Those that look at changes are left out
    /// where a mission has no repository.
    pub gates: Vec<GateSpec>,
    /// How often a failed attempt is followed by another one, unless the mission says otherwise.
    pub retries: u32,
    /// The pause before the first retry, in seconds; it doubles with each further one.
    pub backoff_s: u32,
    /// Whether a retry goes to another agent where one is there.
    pub hand_over: bool,
    /// Whether it came with the program and cannot be changed.
    #[serde(default)]
    pub builtin: bool,
}

/// The policies that come with the program.
#[must_use]
pub fn builtin() -> Vec<Policy> {
    let policy = |name: &str, about: &str, grade, gates| Policy {
        name: name.to_owned(),
        about: about.to_owned(),
        grade,
        gates,
        retries: 0,
        backoff_s: BACKOFF_S_DEFAULT,
        hand_over: false,
        builtin: true,
    };
    let human = GateSpec::Human { question: "Is the work what was asked for?".to_owned() };
    let trusting = "The agent's own word is enough when there is no gate.";
    let standard = "A gate must have passed; without gates you review.";
    let strict = "Something must have changed, nothing may look like a secret, and you review.";
    vec![
        policy(TRUSTING, trusting, Grade::SelfReport, Vec::new()),
        policy(STANDARD, standard, Grade::Observed, Vec::new()),
        policy(
            STRICT,
            strict,
            Grade::Human,
            vec![GateSpec::DiffNotEmpty, GateSpec::NoSecrets, human],
        ),
    ]
}

/// The weakest evidence a built-in policy asks for; that of *standard* for any other name.
#[must_use]
pub fn grade_of(name: &str) -> Grade {
    match name {
        TRUSTING => Grade::SelfReport,
        STRICT => Grade::Human,
        _ => Grade::Observed,
    }
}

/// Whether a text can be the name of a policy.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let plain = |ch: char| ch.is_ascii_lowercase() || ch.is_ascii_digit() || ch == '-';
    !name.is_empty() && name.len() <= POLICY_NAME_CHARS_MAX && name.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_built_in_policy_asks_for_the_grade_its_name_stands_for() {
        for policy in builtin() {
            assert_eq!(policy.grade, grade_of(&policy.name));
            assert!(is_name(&policy.name));
        }
    }
}
