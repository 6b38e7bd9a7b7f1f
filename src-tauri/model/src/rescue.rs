//! Rescue: how an agent that shows no sign of life is woken, one step after the other.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::agent::Runtime;

/// After as many stalls of one attempt the next one begins with the last step.
pub const STALLS_MAX: u32 = 3;

/// One step towards an agent that shows no sign of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RescueStep {
    /// It is sent a message.
    Nudge,
    /// Its turn is called off, so that it hears what waits.
    Rescue,
    /// The captain is told: nothing else can be done without harm.
    Captain,
    /// Its attempt is ended, and its mission goes on with another one.
    Restart,
}

impl RescueStep {
    /// The steps for an agent that is driven like this, in their order. What can be told nothing is
    /// not told; a plain program may be silent for good reasons, and is never ended for that.
    #[must_use]
    pub const fn ladder(runtime: &Runtime) -> &'static [Self] {
        match runtime {
            Runtime::Acp { .. } => &[Self::Nudge, Self::Rescue, Self::Restart],
            Runtime::Headless { .. } => &[Self::Captain, Self::Restart],
            Runtime::Command { terminal: false, .. } | Runtime::Attached { .. } => {
                &[Self::Nudge, Self::Captain]
            }
            Runtime::Command { terminal: true, .. } => &[Self::Captain],
        }
    }

    /// What follows a step of an agent that is driven like this; nothing after the last.
    #[must_use]
    pub fn next(self, runtime: &Runtime) -> Option<Self> {
        let ladder = Self::ladder(runtime);
        let at = ladder.iter().position(|step| *step == self)?;
        ladder.get(at + 1).copied()
    }

    /// What was done, in words that follow *it*.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Nudge => "was nudged",
            Self::Rescue => "had its turn called off",
            Self::Captain => "needs you to look at it",
            Self::Restart => "is started again",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn every_ladder_ends_and_only_agents_that_cannot_be_silent_for_long_are_restarted() {
        let (program, args, env) = ("x".to_owned(), Vec::new(), BTreeMap::new());
        let preset = "goose".to_owned();
        let command = |terminal| Runtime::Command {
            program: program.clone(),
            args: args.clone(),
            env: env.clone(),
            terminal,
        };
        let (plain, typed) = (command(false), command(true));
        let acp = Runtime::Acp {
            program: program.clone(),
            args: args.clone(),
            env: env.clone(),
            preset: preset.clone(),
        };
        let headless = Runtime::Headless { program, args, env, preset };
        for (runtime, restarts) in
            [(&plain, false), (&typed, false), (&acp, true), (&headless, true)]
        {
            let mut step = RescueStep::ladder(runtime)[0];
            let mut steps = 1;
            while let Some(next) = step.next(runtime) {
                (step, steps) = (next, steps + 1);
                assert!(steps < 5);
            }
            assert_eq!(step == RescueStep::Restart, restarts);
        }
    }
}
