//! Hooks: commands of the captain's that run when something happens.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::HookId;

/// The longest name, in characters.
pub const NAME_CHARS_MAX: usize = 60;
/// The most hooks of one workspace.
pub const HOOKS_MAX: usize = 50;
/// The most words of a command.
pub const WORDS_MAX: usize = 100;
/// The longest word of a command, in bytes.
pub const WORD_BYTES_MAX: usize = 8 * 1024;
/// The most kinds of events one hook listens to.
pub const KINDS_MAX: usize = 100;
/// How long a run may take unless the captain says otherwise, in seconds.
pub const TIMEOUT_S_DEFAULT: u32 = 10;
/// The longest a run may take, in seconds.
pub const TIMEOUT_S_MAX: u32 = 60;
/// How much memory a run may use unless the captain says otherwise, in bytes: 256 MiB.
pub const MEMORY_BYTES_DEFAULT: u64 = 256 * 1024 * 1024;
/// The least memory a limit may leave, in bytes: 8 MiB.
pub const MEMORY_BYTES_MIN: u64 = 8 * 1024 * 1024;
/// The most memory a limit may allow, in bytes: 16 GiB.
pub const MEMORY_BYTES_MAX: u64 = 16 * 1024 * 1024 * 1024;
/// How often a hook runs in a minute unless the captain says otherwise.
pub const PER_MINUTE_DEFAULT: u32 = 60;
/// The most runs of a hook in a minute.
pub const PER_MINUTE_MAX: u32 = 600;
/// After how many failures in a row a hook is switched off.
pub const FAILURES_MAX: u32 = 5;
/// How many runs of a hook are remembered.
pub const RUNS_KEPT: usize = 50;

/// A command that runs when something happens, with the event as JSON on its standard input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Hook {
    /// Its identity.
    pub id: HookId,
    /// Its name, which nothing else has.
    pub name: String,
    /// The program and its arguments; no shell reads them.
    pub command: Vec<String>,
    /// The kinds of events it runs on.
    pub events: Vec<String>,
    /// How long a run may take, in seconds; it is ended then, with all its processes.
    pub timeout_s: u32,
    /// How much memory its processes may use together, in bytes.
    pub memory_bytes: u64,
    /// How often it runs in a minute; events beyond that are passed over and counted.
    pub per_minute: u32,
    /// Whether it runs at all.
    pub enabled: bool,
    /// Why the engine switched it off; nothing where it did not.
    #[serde(default)]
    pub off_because: Option<String>,
}

/// A hook that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HookFault {
    /// The name is empty, too long, or holds control characters.
    #[error("a hook's name is one line of 1 to {NAME_CHARS_MAX} characters")]
    Name,
    /// There is no program, or something in the command cannot be handed over.
    #[error(
        "a hook's command is a program and its arguments: at most {WORDS_MAX} words of {WORD_BYTES_MAX} bytes, without NUL"
    )]
    Command,
    /// It listens to nothing, or to too much.
    #[error("a hook listens to 1 to {KINDS_MAX} kinds of events")]
    Events,
    /// It listens to what never happens.
    #[error("'{0}' is not a kind of event")]
    Kind(String),
    /// The time limit is out of range.
    #[error("a run takes between 1 and {TIMEOUT_S_MAX} s, not {0}")]
    Timeout(u32),
    /// The memory limit is out of range.
    #[error("a memory limit lies between {MEMORY_BYTES_MIN} and {MEMORY_BYTES_MAX} bytes, not {0}")]
    Memory(u64),
    /// The rate is out of range.
    #[error("a hook runs 1 to {PER_MINUTE_MAX} times in a minute, not {0}")]
    Rate(u32),
}

impl Hook {
    /// Checks every field; `kinds` are the kinds of events there are.
    ///
    /// # Errors
    /// Names the first field that cannot be.
    pub fn check(&self, kinds: &[String]) -> Result<(), HookFault> {
        let name = self.name.trim();
        let plain = !name.is_empty() && !self.name.chars().any(char::is_control);
        if !plain || name.len() != self.name.len() || self.name.chars().count() > NAME_CHARS_MAX {
            return Err(HookFault::Name);
        }
        let odd = |word: &String| word.len() > WORD_BYTES_MAX || word.contains('\0');
        let program = self.command.first().is_some_and(|word| !word.trim().is_empty());
        if !program || self.command.len() > WORDS_MAX || self.command.iter().any(odd) {
            return Err(HookFault::Command);
        }
        if !(1..=KINDS_MAX).contains(&self.events.len()) {
            return Err(HookFault::Events);
        }
        if let Some(unknown) = self.events.iter().find(|kind| !kinds.contains(kind)) {
            return Err(HookFault::Kind(unknown.clone()));
        }
        if !(1..=TIMEOUT_S_MAX).contains(&self.timeout_s) {
            return Err(HookFault::Timeout(self.timeout_s));
        }
        if !(MEMORY_BYTES_MIN..=MEMORY_BYTES_MAX).contains(&self.memory_bytes) {
            return Err(HookFault::Memory(self.memory_bytes));
        }
        if !(1..=PER_MINUTE_MAX).contains(&self.per_minute) {
            return Err(HookFault::Rate(self.per_minute));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hook() -> Hook {
        Hook {
            id: HookId::from_uuid(uuid::Uuid::nil()),
            name: "tell me".to_owned(),
            command: vec!["notify-send".to_owned(), "done".to_owned()],
            events: vec!["mission_moved".to_owned()],
            timeout_s: TIMEOUT_S_DEFAULT,
            memory_bytes: MEMORY_BYTES_DEFAULT,
            per_minute: PER_MINUTE_DEFAULT,
            enabled: true,
            off_because: None,
        }
    }

    fn kinds() -> Vec<String> {
        vec!["mission_moved".to_owned(), "swarm_halted".to_owned()]
    }

    #[test]
    fn a_hook_is_refused_for_the_field_that_cannot_be() {
        assert_eq!(hook().check(&kinds()), Ok(()));
        let check = |change: &dyn Fn(&mut Hook), expected: HookFault| {
            let mut hook = hook();
            change(&mut hook);
            assert_eq!(hook.check(&kinds()), Err(expected));
        };
        check(&|it| it.name = " ".to_owned(), HookFault::Name);
        check(&|it| it.name = "a\nb".to_owned(), HookFault::Name);
        check(&|it| it.name = "x".repeat(61), HookFault::Name);
        check(&|it| it.command.clear(), HookFault::Command);
        check(&|it| it.command = vec!["a".into(), "b\0".into()], HookFault::Command);
        check(&|it| it.command = vec!["a".into(); 101], HookFault::Command);
        check(&|it| it.events.clear(), HookFault::Events);
        check(&|it| it.events.push("nope".into()), HookFault::Kind("nope".into()));
        check(&|it| it.timeout_s = 0, HookFault::Timeout(0));
        check(&|it| it.timeout_s = 61, HookFault::Timeout(61));
        check(&|it| it.memory_bytes = 1, HookFault::Memory(1));
        check(&|it| it.per_minute = 601, HookFault::Rate(601));
    }

    proptest! {
        #[test]
        fn a_hook_that_passes_is_within_every_bound(
            name in "\\PC{0,70}", timeout_s: u32, memory_bytes: u64, per_minute: u32,
        ) {
            let hook = Hook { name, timeout_s, memory_bytes, per_minute, ..hook() };
            if hook.check(&kinds()).is_ok() {
                prop_assert!((1..=TIMEOUT_S_MAX).contains(&hook.timeout_s));
                prop_assert!(hook.memory_bytes >= MEMORY_BYTES_MIN);
                prop_assert!((1..=PER_MINUTE_MAX).contains(&hook.per_minute));
                prop_assert!(!hook.name.trim().is_empty());
            }
        }
    }
}
