//! What an agent was told first, kept beside its run before its program is started: an engine that dies
//! then, and the one after it, mean the same words.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use agents::record;
use agents::runtime::Opening;
use jiff::Timestamp;
use model::id::MessageId;
use serde::{Deserialize, Serialize};

/// The file in a run's directory.
const FILE: &str = "opening.json";

/// What is kept of an opening: all but the token, which is kept nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// When the program was about to be started.
    pub(super) at: Timestamp,
    prompt: String,
    messages: Vec<MessageId>,
    session: Option<String>,
}

impl Kept {
    pub(super) fn of(opening: &Opening, at: Timestamp) -> Self {
        let Opening { prompt, messages, session, .. } = opening.clone();
        Self { at, prompt, messages, session }
    }

    /// What was kept; nothing where no program was about to be started.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub(super) fn recall(run: &Path) -> std::io::Result<Option<Self>> {
        record::read_json(&run.join(FILE))
    }

    /// Keeps it. It is not flushed to the disk: with the machine, the program would be gone too.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn keep(&self, run: &Path) -> std::io::Result<()> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(run)?;
        record::write_soon(&run.join(FILE), &serde_json::to_vec(self)?)
    }

    /// The opening again; the agent's tools are what they are now.
    pub(super) fn opening(self, directory: &Path) -> Opening {
        let Self { prompt, messages, session, .. } = self;
        let directory = directory.display().to_string();
        Opening { directory, prompt, messages, tools: None, session }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_an_opening_is_what_is_told_again() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("run");
        let opening = Opening {
            directory: "/work".into(),
            prompt: "Do it.".into(),
            messages: vec![MessageId::from_uuid(Default::default())],
            tools: None,
            session: Some("s1".into()),
        };
        let kept = Kept::of(&opening, Timestamp::UNIX_EPOCH);
        assert_eq!(Kept::recall(&run).unwrap(), None);
        kept.keep(&run).unwrap();
        assert_eq!(Kept::recall(&run).unwrap(), Some(kept.clone()));
        assert_eq!(kept.opening(Path::new("/work")), opening);
    }
}
