//! The tools an agent uses: calls that are told piece by piece and become one entry each.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};
use model::conversation::{Body, Entry, TOOL_BYTES_MAX, ToolCall, ToolKind, ToolState, cut};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::read::{self, Ran};
use super::script::{Out, Script};
use super::wire::SERVER_NAME;
use crate::runtime::ways::Ways;

/// The most calls that are followed at once; the oldest is given up for a new one.
const OPEN_MAX: usize = 100;
/// How many calls that are over are still held whole, for what comes after the end.
const OVER_MAX: usize = 8;
/// How many calls that are over are remembered by their id.
const GONE_MAX: usize = 500;
/// The longest id of a call, in bytes.
const ID_BYTES_MAX: usize = 200;

/// The calls of a conversation, as far as they can still change.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Calls {
    known: VecDeque<Call>,
    gone: VecDeque<(String, u32)>,
}

/// One call.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Call {
    /// The agent's id of it.
    id: String,
    /// The id of its entry.
    entry: String,
    at: Timestamp,
    updated_at: Timestamp,
    turn: u32,
    /// Whether it waits for a permission.
    asks: bool,
    denied: bool,
    /// What it runs, where that was told.
    #[serde(default)]
    ran: Option<Ran>,
    pub(super) call: ToolCall,
}

/// What an update of a call came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Came {
    /// It is a call that was not known.
    pub(super) new: bool,
    /// It failed just now.
    pub(super) failed: bool,
}

/// What calls are judged by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measure<'a> {
    /// The agent's ways.
    pub(super) ways: &'a Ways,
    /// The names of our own tools.
    pub(super) own: &'a [String],
    /// The turn under way.
    pub(super) turn: u32,
    /// When it is.
    pub(super) at: Timestamp,
}

/// What does not change: the agent's ways and the names of our own tools.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Judge {
    pub(super) ways: Ways,
    pub(super) own: Vec<String>,
}

impl Judge {
    pub(super) fn measure(&self, turn: u32, at: Timestamp) -> Measure<'_> {
        Measure { ways: &self.ways, own: &self.own, turn, at }
    }
}

impl Calls {
    /// A call, or a change of one, was told.
    pub(super) fn update(
        &mut self,
        update: &Value,
        measure: Measure<'_>,
        script: &mut Script,
        out: &mut Out,
    ) -> Option<Came> {
        let id = cut(read::text(update, "toolCallId")?, ID_BYTES_MAX);
        let announced = read::text(update, "sessionUpdate") == Some("tool_call");
        let known = self.known.iter().position(|call| {
            call.id == id && !(announced && call.call.state.is_over() && call.turn != measure.turn)
        });
        let mut came = Came::default();
        let place = if let Some(place) = known {
            place
        } else {
            if !announced && self.gone.iter().any(|(gone, _)| *gone == id) {
                return Some(came);
            }
            came.new = true;
            self.begin(id, measure, script, out)
        };
        let call = self.known.get_mut(place)?;
        let over = call.call.state.is_over();
        call.apply(update, came.new, measure);
        call.put(script, out);
        came.failed = !over && call.call.state == ToolState::Failed;
        if !over && call.call.state.is_over() {
            self.forget();
        }
        Some(came)
    }

    fn begin(
        &mut self,
        id: String,
        measure: Measure<'_>,
        script: &mut Script,
        out: &mut Out,
    ) -> usize {
        let at = measure.at;
        let open = |call: &Call| !call.call.state.is_over();
        if self.known.iter().filter(|call| open(call)).count() >= OPEN_MAX
            && let Some(oldest) = self.known.iter_mut().find(|call| open(call))
        {
            oldest.end(ToolState::Abandoned, measure);
            oldest.put(script, out);
            self.forget();
        }
        let used = self.gone.iter().any(|(gone, _)| *gone == id)
            || self.known.iter().any(|call| call.id == id);
        let name = if used { format!("call:{id}@{}", measure.turn) } else { format!("call:{id}") };
        let call = ToolCall {
            title: String::new(),
            name: None,
            tool: ToolKind::Other,
            state: ToolState::Pending,
            input: None,
            output: None,
            changes: Vec::new(),
            places: Vec::new(),
            started_at: None,
            ended_at: None,
            slow: false,
        };
        let (entry, turn) = (script.id(&name), measure.turn);
        let (asks, denied, ran) = (false, false, None);
        let call = Call { id, entry, at, updated_at: at, turn, asks, denied, ran, call };
        self.known.push_back(call);
        self.known.len() - 1
    }

    /// Lets go of the oldest calls that are over.
    fn forget(&mut self) {
        let over = |call: &Call| call.call.state.is_over();
        while self.known.iter().filter(|call| over(call)).count() > OVER_MAX {
            let Some(oldest) = self.known.iter().position(over) else { break };
            if let Some(call) = self.known.remove(oldest) {
                self.gone.push_back((call.id, call.turn));
            }
        }
        while self.gone.len() > GONE_MAX {
            self.gone.pop_front();
        }
    }

    /// The call the agent means, the newest first.
    pub(super) fn get(&self, id: &str) -> Option<&ToolCall> {
        let id = cut(id, ID_BYTES_MAX);
        self.known.iter().rev().find(|call| call.id == id).map(|call| &call.call)
    }

    /// What the call the agent means runs.
    pub(super) fn ran(&self, id: &str) -> Option<&Ran> {
        let id = cut(id, ID_BYTES_MAX);
        self.known.iter().rev().find(|call| call.id == id)?.ran.as_ref()
    }

    /// A permission is asked for a call.
    pub(super) fn asks(
        &mut self,
        id: &str,
        measure: Measure<'_>,
        script: &mut Script,
        out: &mut Out,
    ) {
        if let Some(call) = self.waiting(id) {
            call.asks = true;
            call.call.state = ToolState::Pending;
            call.call.started_at = None;
            call.updated_at = measure.at;
            call.put(script, out);
        }
    }

    /// A permission was given, or not.
    pub(super) fn answered(
        &mut self,
        id: &str,
        allowed: bool,
        measure: Measure<'_>,
        script: &mut Script,
        out: &mut Out,
    ) {
        if let Some(call) = self.waiting(id) {
            call.asks = false;
            call.denied = !allowed;
            if allowed {
                call.call.state = ToolState::Running;
                call.call.started_at = Some(measure.at);
            }
            call.updated_at = measure.at;
            call.put(script, out);
        }
    }

    fn waiting(&mut self, id: &str) -> Option<&mut Call> {
        let id = cut(id, ID_BYTES_MAX);
        self.known.iter_mut().rev().find(|call| call.id == id && !call.call.state.is_over())
    }

    /// The turn is over: so is every call. Gives how many failed by that.
    pub(super) fn end_turn(
        &mut self,
        measure: Measure<'_>,
        script: &mut Script,
        out: &mut Out,
    ) -> u32 {
        let mut failed = 0;
        for call in self.known.iter_mut().filter(|call| !call.call.state.is_over()) {
            let state = if call.denied { ToolState::Failed } else { ToolState::Abandoned };
            failed += u32::from(call.denied);
            call.end(state, measure);
            call.put(script, out);
        }
        self.forget();
        failed
    }

    /// Marks the calls that take too long; a text that grows meanwhile is not cut in two by that.
    pub(super) fn tick(&mut self, measure: Measure<'_>, out: &mut Out) {
        for call in self.known.iter_mut().filter(|call| !call.call.state.is_over()) {
            if call.is_slow(measure) && !call.call.slow {
                call.call.slow = true;
                call.updated_at = measure.at;
                let (id, body) = (call.entry.clone(), call.body());
                out.put(Entry { id, at: call.at, updated_at: call.updated_at, body });
            }
        }
    }

    /// The title of the call that runs, the newest first.
    pub(super) fn running(&self) -> Option<&str> {
        let runs = |call: &&Call| call.call.state == ToolState::Running;
        self.known.iter().rev().find(runs).map(|call| call.call.title.as_str())
    }
}

impl Call {
    fn apply(&mut self, update: &Value, new: bool, measure: Measure<'_>) {
        self.updated_at = measure.at;
        let call = &mut self.call;
        if let Some(title) = read::title(update, "title") {
            call.title = title;
        }
        if let Some(name) = read::tool_name(update) {
            call.name = Some(name);
        }
        if let Some(kind) = read::kind(update)
            && (call.tool != ToolKind::Own || acts_on_files(kind))
        {
            call.tool = kind;
        }
        let raw = update.get("rawInput");
        if let Some(input) = raw.and_then(read::input) {
            call.input = Some(input);
        }
        // Some agents give the line itself.
        let line = raw.and_then(Value::as_str).filter(|_| call.tool == ToolKind::Execute);
        let line = line.map(|line| Ran {
            command: cut(line, TOOL_BYTES_MAX),
            directory: None,
            besides: None,
        });
        self.ran = raw.and_then(read::ran).or(line).or(self.ran.take());
        if let Some(output) = read::output(update) {
            call.output = Some(output);
        }
        let changes = read::changes(update);
        if !changes.is_empty() {
            call.changes = changes;
        }
        if let Some(places) = read::places(update).filter(|places| !places.is_empty()) {
            call.places = places;
        } else if let Some(place) = raw.and_then(read::place)
            && call.places.is_empty()
        {
            call.places.push(place);
        }
        if is_own(call, update, new, measure) {
            call.tool = ToolKind::Own;
        } else if call.tool == ToolKind::Other
            && let Some(kind) = read::likely_kind(call.name.as_deref(), raw.unwrap_or(&Value::Null))
        {
            call.tool = kind;
        }
        if call.title.is_empty() {
            call.title = call.name.clone().unwrap_or_else(|| "a tool".to_owned());
        }
        self.advance(read::state(update), new, measure);
    }

    /// An agent that does not say how far a new call is has begun it.
    fn advance(&mut self, said: Option<ToolState>, new: bool, measure: Measure<'_>) {
        match said {
            Some(state) if state.is_over() => self.end(state, measure),
            _ if self.call.state.is_over() => {}
            Some(ToolState::Running) => self.run(measure),
            None if new => self.run(measure),
            _ => {}
        }
    }

    fn run(&mut self, measure: Measure<'_>) {
        self.asks = false;
        self.call.state = ToolState::Running;
        self.call.started_at.get_or_insert(measure.at);
    }

    fn end(&mut self, state: ToolState, measure: Measure<'_>) {
        self.call.slow |= self.is_slow(measure);
        self.call.state = state;
        if self.call.ended_at.is_none() {
            self.call.ended_at = Some(measure.at);
        }
        if state != ToolState::Abandoned && !self.denied {
            self.call.started_at.get_or_insert(self.at);
        }
        self.updated_at = measure.at;
    }

    fn is_slow(&self, measure: Measure<'_>) -> bool {
        let limit = SignedDuration::from_secs(i64::from(measure.ways.slow_tool_s));
        let ran = self.call.started_at.filter(|_| !self.asks && !self.call.state.is_over());
        ran.is_some_and(|since| measure.at.duration_since(since) >= limit)
    }

    fn put(&self, script: &mut Script, out: &mut Out) {
        script.put(self.entry.clone(), (self.at, self.updated_at), self.body(), out);
    }

    fn body(&self) -> Body {
        Body::ToolCall { call: self.call.clone() }
    }
}

/// Whether a call uses one of our own tools. The agent's program says which tool it is; a title is
/// believed only where nothing else is said, since it may be the model's own words, and never for
/// what runs a command or changes files.
fn is_own(call: &ToolCall, update: &Value, new: bool, measure: Measure<'_>) -> bool {
    if let Some(name) = &call.name {
        return is_own_name(name, measure);
    }
    if !new || call.tool != ToolKind::Other {
        return false;
    }
    let input = update.get("rawInput");
    if input.is_some_and(|input| read::command(input).is_some()) {
        return false;
    }
    is_own_name(&call.title, measure)
}

const fn acts_on_files(kind: ToolKind) -> bool {
    matches!(kind, ToolKind::Edit | ToolKind::Delete | ToolKind::Move | ToolKind::Execute)
}

fn is_own_name(name: &str, measure: Measure<'_>) -> bool {
    let templates = &measure.ways.tool_names;
    measure.own.iter().any(|tool| {
        templates.iter().any(|template| template.replace("{tool}", tool) == name)
            || name == format!("{SERVER_NAME}/{tool}")
    })
}
