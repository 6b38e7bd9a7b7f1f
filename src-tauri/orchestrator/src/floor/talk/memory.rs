//! What is kept of a conversation beside its run, to go on from.

use std::collections::BTreeMap;
use std::path::Path;

use agents::record;
use agents::runtime::Stop;
use agents::runtime::session_file::SessionMeter;
use model::conversation::{cut, one_line};
use model::id::{MessageId, RequestId};
use model::process::Exit;
use serde::{Deserialize, Serialize};

use super::line::Wire;

/// The most kept of what an agent writes for the next attempt, in bytes.
const WRITTEN_BYTES_MAX: usize = 64 * 1024;

/// The file in a run's directory.
pub(crate) const FILE: &str = "conversation.json";

/// What is kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Memory {
    /// What the driver knows.
    pub(super) driver: serde_json::Value,
    /// How far standard output was read, in bytes.
    pub(super) stdout: u64,
    /// How far standard error was read, in bytes.
    pub(super) stderr: u64,
    /// The number of the last line for the program.
    pub(super) sent: u64,
    /// Texts the shim has not taken yet, by their number; nothing closes the input.
    pub(super) unsaid: BTreeMap<u64, Option<String>>,
    /// What the agent asked and waits for, by the driver's key.
    pub(super) asked: BTreeMap<String, RequestId>,
    /// Messages that are being handed over, and are not yet recorded as delivered.
    pub(super) handing: Vec<MessageId>,
    /// Those of them that the program is told of by what is kept with this.
    pub(super) handed: Vec<MessageId>,
    /// Messages the agent has begun with, and that is not recorded.
    pub(super) begun: Vec<MessageId>,
    /// Messages the agent has answered, and that is not recorded.
    pub(super) answered: Vec<MessageId>,
    /// Requests whose answers the program is told by what is kept with this, and that is not recorded.
    pub(super) replied: Vec<RequestId>,
    /// Messages of Hivekeeper itself that are not in the ledger.
    pub(super) own: Vec<MessageId>,
    /// Thresholds of the context that were crossed, in percent.
    pub(super) crossed: Vec<u8>,
    /// Where the agent is with handing over.
    pub(super) handover: Handover,
    /// What it has written for the next attempt so far: its messages, by their entries.
    pub(super) written: Vec<(String, String)>,
    /// What the agent writes down of its session, as far as it was read.
    pub(super) metered: Option<SessionMeter>,
    /// An ACP session that can be taken up again.
    pub(crate) session: Option<String>,
    /// Whether the captain called the turn under way off.
    pub(super) called_off: bool,
    /// How the conversation ended.
    pub(super) verdict: Option<Verdict>,
}

/// How far an agent is with handing over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Handover {
    /// It need not.
    #[default]
    None,
    /// Its turn was called off for it.
    Cancelled,
    /// It was asked to write down what the next attempt needs to know.
    Asked,
}

/// How a conversation ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Verdict {
    /// The agent ended it.
    Answered { completed: bool, reason: String },
    /// The agent has to be logged in first.
    NoLogin { reason: String },
    /// The captain called its turn off, and nothing waited to be told.
    CalledOff,
    /// The agent handed over.
    HandedOver { text: String },
}

impl Verdict {
    /// What the end of a turn says about the work.
    pub(super) fn of(stop: &Stop) -> Self {
        let not = |reason: String| Self::Answered { completed: false, reason };
        match stop {
            Stop::Done => {
                Self::Answered { completed: true, reason: "it says that it is done".to_owned() }
            }
            Stop::Empty => not("it ended its turn without having said or done anything; its \
                                provider may have refused"
                .to_owned()),
            Stop::Cancelled => not("its turn was called off".to_owned()),
            Stop::Limit { what } => not(format!("it reached a limit: {what}")),
            Stop::Refused => not("its model refused".to_owned()),
            Stop::Failed { why, login: true } => Self::NoLogin { reason: one_line(why) },
            Stop::Failed { why, login: false } => {
                not(format!("it could not go on: {}", one_line(why)))
            }
            Stop::Unknown { reason } => {
                not(format!("it ended its turn for a reason that is not known: '{reason}'"))
            }
        }
    }

    /// How the program is recorded to have ended.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Answered { completed, reason } => {
                Exit::Answered { completed: *completed, reason: reason.clone() }
            }
            Self::NoLogin { reason } => Exit::NoLogin { reason: reason.clone() },
            Self::CalledOff => Exit::CalledOff,
            Self::HandedOver { text } => Exit::HandedOver { text: text.clone() },
        }
    }
}

impl Memory {
    /// What is kept in a run's directory; nothing where there was no conversation yet.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub(crate) fn recall(run: &Path) -> std::io::Result<Option<Self>> {
        record::read_json(&run.join(FILE))
    }

    /// What the driver knew.
    pub(crate) const fn driver(&self) -> &serde_json::Value {
        &self.driver
    }

    /// Keeps it; an engine that dies leaves either this or what was kept before. It is not flushed
    /// to the disk: with the machine, the program would be gone too.
    pub(super) fn keep(&self, run: &Path) -> std::io::Result<()> {
        record::write_soon(&run.join(FILE), &serde_json::to_vec(self)?)
    }

    /// Notes what the agent writes for the next attempt, in place of what it said in the same entry,
    /// as far as there is room.
    pub(super) fn write_down(&mut self, entry: &str, text: &str) {
        if self.handover != Handover::Asked {
            return;
        }
        let others = self.written.iter().filter(|(id, _)| id != entry);
        let room = WRITTEN_BYTES_MAX.saturating_sub(others.map(|(_, text)| text.len()).sum());
        let text = cut(text, room);
        match self.written.iter_mut().find(|(id, _)| id == entry) {
            Some((_, known)) => *known = text,
            None if room > 0 => self.written.push((entry.to_owned(), text)),
            None => {}
        }
    }

    /// Takes everything the agent has written for the next attempt.
    pub(super) fn take_written(&mut self) -> String {
        let texts = std::mem::take(&mut self.written).into_iter().map(|(_, text)| text);
        texts.collect::<Vec<_>>().join("\n\n")
    }

    /// Notes a text for the program; nothing closes its input.
    pub(super) fn send(&mut self, text: Option<String>) {
        self.sent += 1;
        self.unsaid.insert(self.sent, text);
    }

    /// How much the shim has not taken yet, in bytes.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.unsaid.values().flatten().map(String::len).sum()
    }

    /// Notes how far the program was read.
    pub(super) fn read_to(&mut self, wire: &Wire) {
        (self.stdout, self.stderr) = wire.offsets();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_what_is_recalled_and_a_run_without_a_conversation_has_none() {
        let run = tempfile::tempdir().unwrap();
        assert_eq!(Memory::recall(run.path()).unwrap(), None);
        let mut memory = Memory { stdout: 7, session: Some("s".into()), ..Memory::default() };
        memory.send(Some("one".into()));
        memory.send(None);
        memory.verdict = Some(Verdict::of(&Stop::Empty));
        memory.keep(run.path()).unwrap();
        assert_eq!(Memory::recall(run.path()).unwrap(), Some(memory));
    }

    #[test]
    fn what_is_written_for_the_next_attempt_is_kept_whole_and_bounded() {
        let mut memory = Memory::default();
        memory.write_down("m1", "not asked for");
        memory.handover = Handover::Asked;
        memory.write_down("m2", "Done: ha");
        memory.write_down("m2", "Done: half.");
        memory.write_down("m3", "Open: the rest.");
        let kept: Memory = serde_json::from_slice(&serde_json::to_vec(&memory).unwrap()).unwrap();
        assert_eq!(kept.clone().take_written(), "Done: half.\n\nOpen: the rest.");
        memory.write_down("m4", &"x".repeat(2 * WRITTEN_BYTES_MAX));
        memory.write_down("m5", "no room");
        assert!(memory.take_written().len() <= WRITTEN_BYTES_MAX + 100);
    }

    #[test]
    fn why_an_agent_could_not_go_on_is_told_in_one_line() {
        let why = "From the captain:\nStop what you do.\u{7}".to_owned();
        let failed = |login| Verdict::of(&Stop::Failed { why: why.clone(), login }).exit();
        let words = [failed(false), failed(true)].map(|exit| exit.to_string());
        assert_eq!(
            words,
            [
                "ended its conversation: it could not go on: From the captain: Stop what you do.",
                "has to be logged in: From the captain: Stop what you do.",
            ]
        );
    }

    #[test]
    fn only_an_agent_that_says_it_is_done_claims_completion() {
        let claims = |stop: Stop| Verdict::of(&stop).exit().claims_completion();
        assert!(claims(Stop::Done));
        let others = [
            Stop::Empty,
            Stop::Cancelled,
            Stop::Refused,
            Stop::Limit { what: "max_tokens".into() },
            Stop::Failed { why: "401".into(), login: true },
            Stop::Unknown { reason: "bored".into() },
        ];
        assert!(others.into_iter().all(|stop| !claims(stop)));
    }
}
