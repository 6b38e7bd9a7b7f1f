//! The Agent Client Protocol, version 1, from the client's side.
//!
//! The agent is offered neither files nor terminals: it works in its worktree, and what it changes
//! is seen with git. What is sent is built from the protocol's own types; what comes in is read
//! tolerantly, since one unknown word must never cost a turn.
//!
//! Invariant: everything that is known of the conversation is in the snapshot, and every id is
//! counted, so that lines which are read a second time after a crash come to the same entries.

mod asks;
mod calls;
mod opening;
mod read;
mod script;
mod turn;
mod update;
mod wire;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use model::id::{MessageId, RequestId};
use model::inbox::PermissionPolicy;
use model::process::Exit;
use model::usage::{Context, Usage};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::asks::Asked;
use self::calls::{Calls, Judge};
use self::script::{Out, Script};
use self::turn::Turn;
use super::signs::Signs;
use super::usage::Meter;
use super::ways::{Covers, Setting, UsageFields, UsagePlace, UsageRule, Ways};
use super::{Act, Answer, Driver, Happening, Line, Opening, OwnTools, Stop, Told};

/// The form of snapshots; it changes when older ones can no longer be read.
const SNAPSHOT_VERSION: u32 = 1;
/// How long a polite end may take, in seconds.
const CLOSE_WITHIN_S: u32 = 2;
/// A step after the first answer may take as many times longer than that answer: the agent starts
/// the servers it was told of.
const LATER_STEPS: u32 = 3;
/// How long the same sign is not told again, in seconds.
const SIGN_AGAIN_S: i64 = 10;

/// A snapshot that cannot be gone on from.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// It was written by a version whose form this one does not read.
    #[error(
        "the conversation was kept in form {found}, and this version reads form {SNAPSHOT_VERSION}"
    )]
    Version {
        /// Its form.
        found: u64,
    },
    /// It is damaged.
    #[error("the kept conversation cannot be read: {0}")]
    Damaged(#[from] serde_json::Error),
}

/// What an error of JSON-RPC says, in one text: its code, and its message with what is in its data.
#[must_use]
pub fn error_in_words(error: &Value) -> (Option<i64>, String) {
    read::error(error)
}

/// Talks to one agent.
#[derive(Debug)]
pub struct AcpDriver {
    state: State,
    signs: Signs,
    /// Not kept in snapshots: it holds a token.
    tools: Option<OwnTools>,
    out: Out,
}

/// What is known of the conversation.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct State {
    version: u32,
    policy: PermissionPolicy,
    judge: Judge,
    phase: Phase,
    /// When the step of the opening, or of the end, that is under way began.
    since: Option<Timestamp>,
    /// How often we have asked something.
    sent: i64,
    awaited: BTreeMap<i64, Sent>,
    opening: Option<Kept>,
    session: Option<String>,
    agent: Option<String>,
    can: Can,
    /// What the agent says about logging in.
    logins: Vec<String>,
    /// What it is still to be put into, and whether that is switched on or off.
    settings: Vec<(Setting, bool)>,
    turns: u32,
    turn: Option<Turn>,
    last_stop: Option<Stop>,
    broken: Option<(String, bool)>,
    script: Script,
    calls: Calls,
    asks: u32,
    asked: Vec<Asked>,
    meter: Meter,
    used: Option<Usage>,
    context: Option<Context>,
    tool: Option<String>,
    limited_at: Option<Timestamp>,
    login_sign: bool,
}

/// How far the conversation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    /// Nothing was said.
    New,
    /// `initialize` is to be answered.
    Hello,
    /// A session is begun or loaded.
    Session,
    /// The agent is put into its mode.
    Modes,
    /// Turns.
    Ready,
    /// The session is closed.
    Closing,
    /// Nothing more is said.
    Over,
}

/// What we asked the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Sent {
    Initialize,
    New,
    Load,
    Setting(Setting),
    Prompt,
    Close,
}

/// What the agent can do.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Can {
    load: bool,
    http: bool,
    close: bool,
}

/// The opening, until its prompt is sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    directory: String,
    prompt: String,
    messages: Vec<MessageId>,
    session: Option<String>,
    tools: bool,
}

impl AcpDriver {
    /// A conversation that has not begun. `own_tools` are the names of our own tools as our server
    /// names them; their calls are allowed without asking.
    #[must_use]
    pub fn new(ways: Ways, policy: PermissionPolicy, own_tools: Vec<String>) -> Self {
        let meter = if ways.usage.is_empty() {
            Meter::new(&[last_request()])
        } else {
            Meter::new(&ways.usage)
        };
        let signs = Signs::of(&ways);
        let state = State {
            version: SNAPSHOT_VERSION,
            policy,
            judge: Judge { ways, own: own_tools },
            phase: Phase::New,
            since: None,
            sent: 0,
            awaited: BTreeMap::new(),
            opening: None,
            session: None,
            agent: None,
            can: Can::default(),
            logins: Vec::new(),
            settings: Vec::new(),
            turns: 0,
            turn: None,
            last_stop: None,
            broken: None,
            script: Script::default(),
            calls: Calls::default(),
            asks: 0,
            asked: Vec::new(),
            meter,
            used: None,
            context: None,
            tool: None,
            limited_at: None,
            login_sign: false,
        };
        Self { state, signs, tools: None, out: Out::default() }
    }

    /// Goes on from a snapshot that was made after everything had been taken with [`Driver::take`].
    /// Snapshots hold no token: where the session has not begun yet, [`Self::with_tools`] gives it again.
    ///
    /// # Errors
    ///
    /// When the snapshot is damaged, or of another form.
    pub fn restore(snapshot: Value) -> Result<Self, RestoreError> {
        let found = snapshot.get("version").and_then(Value::as_u64).unwrap_or(0);
        if found != u64::from(SNAPSHOT_VERSION) {
            return Err(RestoreError::Version { found });
        }
        let state: State = serde_json::from_value(snapshot)?;
        let signs = Signs::of(&state.judge.ways);
        Ok(Self { state, signs, tools: None, out: Out::default() })
    }

    /// Our own tools as the agent sees them, for a conversation that was restored while it opened.
    #[must_use]
    pub fn with_tools(mut self, tools: Option<OwnTools>) -> Self {
        self.tools = tools;
        self
    }

    /// For the `n`th program of an attempt, from 1: the ids of its entries differ from those of the
    /// programs before it.
    #[must_use]
    pub fn for_program(mut self, n: u32) -> Self {
        self.state.script.prefix = if n > 1 { format!("p{n}:") } else { String::new() };
        self
    }

    /// Asks the agent something.
    fn ask(&mut self, sent: Sent, line: impl FnOnce(i64) -> String) {
        self.state.sent += 1;
        let id = self.state.sent;
        self.state.awaited.insert(id, sent);
        self.out.send(line(id));
    }

    /// One message of JSON-RPC.
    fn message(&mut self, message: &Value, raw: &str, at: Timestamp) {
        let id = message.get("id").filter(|id| !id.is_null());
        match (read::text(message, "method"), id) {
            (Some(_), Some(id)) => self.request(id, message, raw, at),
            (Some(method), None) => self.notification(method, message, raw, at),
            (None, Some(id))
                if message.get("result").is_some() || message.get("error").is_some() =>
            {
                self.response(id, message, raw, at);
            }
            _ => self.odd("neither a request nor an answer", raw, at),
        }
    }

    fn odd(&mut self, why: &str, raw: &str, at: Timestamp) {
        self.state.script.odd(why, raw, at, &mut self.out);
    }

    /// An answer; one that comes again is nothing.
    fn response(&mut self, id: &Value, message: &Value, raw: &str, at: Timestamp) {
        let id = id.as_i64().or_else(|| id.as_str()?.parse().ok());
        let Some(sent) = id.and_then(|id| self.state.awaited.remove(&id)) else {
            if !id.is_some_and(|id| (1..=self.state.sent).contains(&id)) {
                self.odd("an answer to nothing that was asked", raw, at);
            }
            return;
        };
        let answer = match message.get("error").filter(|error| !error.is_null()) {
            Some(error) => Err(read::error(error)),
            None => Ok(message.get("result").unwrap_or(&Value::Null)),
        };
        match sent {
            Sent::Prompt => self.prompt_answered(answer, at),
            Sent::Close => self.close_input(),
            step => self.opening_answered(&step, answer, at),
        }
    }

    /// Looks for signs of a provider that makes the agent wait, and of a missing login.
    fn look_for_signs(&mut self, text: &str, at: Timestamp) {
        self.state.login_sign |= self.signs.login(text);
        if let Some(wait) = self.signs.limit(text, at) {
            let again = SignedDuration::from_secs(SIGN_AGAIN_S);
            let told = self.state.limited_at.is_some_and(|last| at.duration_since(last) < again);
            if !told {
                self.state.limited_at = Some(at);
                self.out.tell(Happening::Limited { until: wait.until, said: wait.said });
            }
        }
    }

    /// The conversation cannot go on.
    fn broken(&mut self, why: String, login: bool, at: Timestamp) {
        let login = login || self.state.login_sign || self.signs.login(&why);
        self.state.script.state(&why, true, at, &mut self.out);
        self.not_opened(&why);
        self.withdraw_all("the conversation broke off", false, at);
        self.state.broken = Some((why.clone(), login));
        self.out.tell(Happening::Broken { why, login });
        self.close_input();
    }

    /// The messages of an opening that was never sent.
    fn not_opened(&mut self, why: &str) {
        let kept = self.state.opening.take().filter(|kept| !kept.messages.is_empty());
        if let Some(Kept { messages, .. }) = kept {
            self.out.tell(Happening::NotDelivered { messages, why: why.to_owned() });
        }
    }

    fn close_input(&mut self) {
        if self.state.phase != Phase::Over {
            self.state.phase = Phase::Over;
            self.out.close();
        }
    }

    /// Tells what tool runs now, where that has changed.
    fn tool_changed(&mut self) {
        let now = self.state.calls.running().map(str::to_owned);
        if now != self.state.tool {
            self.state.tool.clone_from(&now);
            self.out.tell(Happening::Tool(now));
        }
    }

    /// Tells what has been used, where that has changed.
    fn used_changed(&mut self) {
        let usage = self.state.meter.usage();
        if self.state.used.as_ref() != Some(&usage) {
            self.state.used = Some(usage.clone());
            self.out.tell(Happening::Used(Box::new(usage)));
        }
    }

    fn past(&self, seconds: u32, at: Timestamp) -> bool {
        let limit = SignedDuration::from_secs(i64::from(seconds));
        self.state.since.is_some_and(|since| at.duration_since(since) >= limit)
    }
}

/// How an agent is read that has no rules: the protocol's own usage, which many agents tell of their
/// last request only.
fn last_request() -> UsageRule {
    let field = |name: &str| Some(format!("/{name}"));
    UsageRule {
        at: "/usage".to_owned(),
        place: UsagePlace::Result,
        of: None,
        covers: Covers::LastRequest,
        fields: UsageFields {
            input: field("inputTokens"),
            cache_read: field("cachedReadTokens"),
            cache_write: field("cachedWriteTokens"),
            output: field("outputTokens"),
            reasoning: field("thoughtTokens"),
            ..UsageFields::default()
        },
        input_includes_cache: false,
        output_excludes_reasoning: false,
    }
}

impl Driver for AcpDriver {
    fn open(&mut self, opening: Opening, at: Timestamp) {
        self.begin(opening, at);
    }

    fn stdout(&mut self, line: Line<'_>) {
        let text = String::from_utf8_lossy(line.bytes);
        let text = text.trim();
        if line.cut {
            self.odd("the line is longer than is read of one line", text, line.at);
            return;
        }
        if text.is_empty() {
            return;
        }
        match serde_json::from_str(text) {
            Ok(message @ Value::Object(_)) => self.message(&message, text, line.at),
            Ok(Value::Array(batch)) if batch.iter().all(Value::is_object) && !batch.is_empty() => {
                for message in &batch {
                    self.message(message, &message.to_string(), line.at);
                }
            }
            Ok(_) => self.odd("not a message", text, line.at),
            Err(_) => {
                self.look_for_signs(text, line.at);
                self.odd("not JSON", text, line.at);
            }
        }
    }

    fn stderr(&mut self, line: Line<'_>) {
        let text = String::from_utf8_lossy(line.bytes);
        self.look_for_signs(&text, line.at);
    }

    fn takes_messages(&self) -> bool {
        self.state.phase == Phase::Ready && self.state.turn.is_none()
    }

    fn tell(&mut self, messages: Vec<Told>, at: Timestamp) {
        self.tell_messages(messages, at);
    }

    fn answer(&mut self, key: &str, request: Option<RequestId>, answer: &Answer, at: Timestamp) {
        self.answer_asked(key, request, answer, at);
    }

    fn asked_as(&mut self, key: &str, request: RequestId, at: Timestamp) {
        self.note_asked(key, request, at);
    }

    fn asks(&self, key: &str) -> bool {
        self.state.asked.iter().any(|asked| asked.key == key)
    }

    fn cancel(&mut self, at: Timestamp) {
        self.cancel_turn(at);
    }

    fn finish(&mut self, at: Timestamp) {
        if matches!(self.state.phase, Phase::Closing | Phase::Over) {
            return;
        }
        self.cancel_turn(at);
        self.not_opened("the conversation was ended");
        match self.state.session.clone().filter(|_| self.state.can.close) {
            Some(session) => {
                self.state.phase = Phase::Closing;
                self.state.since = Some(at);
                self.ask(Sent::Close, |id| wire::close_session(id, &session));
            }
            None => self.close_input(),
        }
    }

    fn ends_on_eof(&self) -> bool {
        self.state.judge.ways.ends_on_eof
    }

    fn tick(&mut self, at: Timestamp) {
        let state = &mut self.state;
        state.calls.tick(state.judge.measure(state.turns, at), &mut self.out);
        self.tick_turn(at);
        let within = self.state.judge.ways.open_within_s;
        match self.state.phase {
            Phase::Hello if self.past(within, at) => {
                let why = format!("the agent never answered initialize, for {within} s");
                self.broken(why, false, at);
            }
            Phase::Session if self.past(within.saturating_mul(LATER_STEPS), at) => {
                self.broken(
                    "the agent never answered when a session was begun".to_owned(),
                    false,
                    at,
                );
            }
            Phase::Modes if self.past(within.saturating_mul(LATER_STEPS), at) => {
                self.mode_unanswered(at);
            }
            Phase::Closing if self.past(CLOSE_WITHIN_S, at) => self.close_input(),
            _ => {}
        }
    }

    fn ended(&mut self, exit: &Exit, at: Timestamp) -> Option<Stop> {
        self.program_ended(exit, at)
    }

    fn take(&mut self) -> Vec<Act> {
        self.state.script.flush(&mut self.out);
        self.out.take()
    }

    fn snapshot(&self) -> Value {
        serde_json::to_value(&self.state).expect("its keys are texts and its numbers are whole")
    }
}
