//! What passed between an attempt and its agent, as text or as JSON.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use engine::view::{ConversationChanges, ConversationPage, EntryAt, MissionDetail};
use model::conversation::{Body, PlanState};
use model::id::AttemptId;
use model::message;
use model::usage::Tokens;

use crate::commands::mission;
use crate::failure::Failure;
use crate::out::{Out, Sanitizer, word};
use crate::remote::Remote;

/// Entries read at once.
const ENTRIES: u32 = 500;
/// How long the engine waits for a change before it answers, in milliseconds.
const WAIT_MS: u32 = 10_000;

/// A conversation to be printed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Talk<'a> {
    /// The attempt.
    pub(crate) id: AttemptId,
    /// Its mission, as it was named.
    pub(crate) mission: &'a str,
    /// Whether to go on until the attempt ends.
    pub(crate) follow: bool,
}

/// Whether there is more to a conversation than its output.
pub(crate) async fn has_words(
    id: AttemptId,
    remote: &Remote,
    operation: &str,
) -> Result<bool, Failure> {
    let path = format!("/api/v1/attempts/{id}/conversation?after=0&limit={ENTRIES}");
    let page: ConversationPage = remote.get(operation, &path).await?;
    let speaks =
        |at: &EntryAt| matches!(at.entry.body, Body::Message { .. } | Body::ToolCall { .. });
    Ok(page.entries.iter().any(speaks))
}

impl Talk<'_> {
    /// Prints it.
    pub(crate) async fn print(
        self,
        remote: &Remote,
        operation: &str,
        out: &mut Out,
    ) -> Result<(), Failure> {
        let mut printed = Printed::default();
        let base = format!("/api/v1/attempts/{}/conversation", self.id);
        let (mut after, mut revision) = (0, 0);
        loop {
            let path = format!("{base}?after={after}&limit={ENTRIES}");
            let page: ConversationPage = remote.get(operation, &path).await?;
            for at in &page.entries {
                printed.show(at, out)?;
            }
            // What changes while it is read comes with the changes.
            revision = if revision == 0 { page.revision } else { revision };
            match page.entries.last() {
                Some(last) => after = last.ordinal,
                None => break,
            }
        }
        if !self.follow {
            return printed.end(out);
        }
        loop {
            let path = format!("{base}/changes?revision={revision}&wait_ms={WAIT_MS}");
            let changes: ConversationChanges = remote.get(operation, &path).await?;
            revision = changes.revision;
            for at in &changes.entries {
                printed.show(at, out)?;
            }
            if changes.entries.is_empty() && self.is_over(remote, operation).await? {
                return printed.end(out);
            }
        }
    }

    async fn is_over(&self, remote: &Remote, operation: &str) -> Result<bool, Failure> {
        let detail: MissionDetail = remote.get(operation, &mission::path(self.mission)).await?;
        let ours = detail.attempts.iter().find(|view| view.attempt.id == self.id);
        Ok(ours.is_none_or(|it| it.attempt.exit.is_some() || it.attempt.state.is_final()))
    }
}

/// What was printed so far: a text that grows goes on where it was.
#[derive(Default)]
struct Printed {
    /// The revision of each entry, and what tells its text from others.
    shown: HashMap<u64, (u64, u64)>,
    /// The entry whose line is not ended, and its text. Only this one's is kept.
    open: Option<(u64, String)>,
    terminal: Sanitizer,
}

impl Printed {
    fn show(&mut self, at: &EntryAt, out: &mut Out) -> Result<(), Failure> {
        if self.shown.get(&at.ordinal).is_some_and(|(revision, _)| *revision >= at.revision) {
            return Ok(());
        }
        if out.is_json() {
            out.value(at)?;
            self.shown.insert(at.ordinal, (at.revision, 0));
            return out.flush();
        }
        match self.piece(at.ordinal, at.revision, text(&at.entry.body)) {
            Some(piece) => out.transcript(&piece, &mut self.terminal),
            None => Ok(()),
        }
    }

    /// What is to be printed of an entry's text; nothing where it is as it was.
    fn piece(&mut self, ordinal: u64, revision: u64, text: String) -> Option<String> {
        let mut hash = DefaultHasher::new();
        text.hash(&mut hash);
        let told = hash.finish();
        let before = self.shown.insert(ordinal, (revision, told));
        if before.map_or(text.is_empty(), |(_, before)| before == told) {
            return None;
        }
        let piece = match &self.open {
            None => text.clone(),
            Some((open, said)) => match text.strip_prefix(said.as_str()) {
                Some(more) if *open == ordinal => more.to_owned(),
                _ => format!("\n{text}"),
            },
        };
        self.open = Some((ordinal, text));
        Some(piece)
    }

    fn end(&mut self, out: &mut Out) -> Result<(), Failure> {
        match self.open.take() {
            Some(_) => out.transcript("\n", &mut self.terminal),
            None => Ok(()),
        }
    }
}

/// An entry in words; empty where it says nothing to people.
fn text(body: &Body) -> String {
    match body {
        Body::Prompt { from, text } => {
            let from = match from {
                message::Source::Captain => "you",
                message::Source::Agent { name, .. } => name,
                message::Source::System => "hivekeeper",
            };
            format!("{from} > {text}")
        }
        Body::Message { text } => text.clone(),
        Body::Thought { text } => format!("(thinks) {text}"),
        Body::ToolCall { call } => {
            let slow = if call.slow { ", slow" } else { "" };
            format!("* {} ({}{slow})", call.title, word(&call.state))
        }
        Body::Plan { steps } => {
            let step = |state| match state {
                PlanState::Pending => " ",
                PlanState::InProgress => "~",
                PlanState::Completed => "x",
            };
            let lines: Vec<String> =
                steps.iter().map(|it| format!("- [{}] {}", step(it.state), it.text)).collect();
            lines.join("\n")
        }
        Body::Request { title, answer, .. } => {
            format!("? {title}: {}", answer.as_deref().unwrap_or("waits for you"))
        }
        Body::Usage { tokens, .. } => used(tokens),
        Body::State { text, problem: true } => format!("! {text}"),
        Body::State { text, problem: false } => format!("-- {text}"),
        Body::Output { .. } => String::new(),
        Body::Unsupported { text, why } => format!("!! {why}: {text}"),
    }
}

/// Tokens in words; what is not known is left out.
pub(crate) fn used(tokens: &Tokens) -> String {
    let parts = [
        ("in", tokens.uncached_input),
        ("from the cache", tokens.cache_read),
        ("to the cache", tokens.cache_write),
        ("out", tokens.output),
    ];
    let known: Vec<String> =
        parts.into_iter().filter_map(|(name, count)| Some(format!("{} {name}", count?))).collect();
    match known.is_empty() {
        true => String::new(),
        false => format!("-- tokens: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_one_text_for_people_and_output_is_none() {
        let state = |problem| Body::State { text: "a turn began".into(), problem };
        assert_eq!(text(&state(false)), "-- a turn began");
        assert_eq!(text(&state(true)), "! a turn began");
        let request = Body::Request { request_id: None, title: "Run x".into(), answer: None };
        assert_eq!(text(&request), "? Run x: waits for you");
        let output = Body::Output { stream: model::conversation::Stream::Stdout, from: 0, to: 9 };
        assert_eq!(text(&output), "");
    }

    #[test]
    fn a_text_that_grows_goes_on_where_it_was_and_only_the_last_one_is_kept() {
        let mut printed = Printed::default();
        let mut say = |ordinal, revision, text: &str| {
            printed.piece(ordinal, revision, text.to_owned()).unwrap_or_default()
        };
        assert_eq!(say(1, 1, "I rea"), "I rea");
        assert_eq!(say(1, 2, "I read"), "d");
        assert_eq!(say(1, 3, "I read"), "", "only its time changed");
        assert_eq!(say(2, 4, ""), "");
        assert_eq!(say(3, 5, "* Edit (running)"), "\n* Edit (running)");
        assert_eq!(say(1, 6, "I read it"), "\nI read it", "another line was begun");
        assert_eq!(printed.open, Some((1, "I read it".to_owned())));
    }

    #[test]
    fn tokens_nobody_counted_are_not_shown() {
        assert_eq!(used(&Tokens::default()), "");
        let some = Tokens { output: Some(7), uncached_input: Some(3), ..Tokens::default() };
        assert_eq!(used(&some), "-- tokens: 3 in, 7 out");
    }
}
