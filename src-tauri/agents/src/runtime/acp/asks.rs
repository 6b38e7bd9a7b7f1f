//! What the agent asks and waits for: permissions and questions.

use std::collections::BTreeMap;

use agent_client_protocol_schema::v1::ElicitationContentValue;
use jiff::Timestamp;
use model::conversation::{Body, ToolCall, ToolKind, cut};
use model::id::RequestId;
use model::inbox::{ANSWER_BYTES_MAX, OPEN_MAX};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::read::Ran;
use super::script::SAID_BYTES_MAX;
use super::{AcpDriver, read, wire};
use crate::runtime::{Answer, Happening, Wanted};

/// The longest question, in bytes.
const QUESTION_BYTES_MAX: usize = 16 * 1024;
/// The longest schema of an answer that is kept, in bytes.
const SCHEMA_BYTES_MAX: usize = 64 * 1024;
/// The most answers to choose from.
const OPTIONS_MAX: usize = 50;
/// The longest id of a request, in bytes.
const KEY_BYTES_MAX: usize = 500;

/// A request of the agent that is not answered yet.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Asked {
    pub(super) key: String,
    id: Value,
    entry: String,
    title: String,
    at: Timestamp,
    about: About,
    /// What it is in the inbox, once it is there.
    #[serde(default)]
    request: Option<RequestId>,
}

/// What is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum About {
    /// A permission: the options, and the call it is for.
    Permission { options: Vec<Choice>, call: Option<String> },
    /// A question, and the schema of its answer.
    Question { schema: Value },
}

/// An option of a permission.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Choice {
    id: String,
    kind: String,
}

impl AcpDriver {
    /// The agent asks for something.
    pub(super) fn request(&mut self, id: &Value, message: &Value, raw: &str, at: Timestamp) {
        let method = read::text(message, "method").unwrap_or_default();
        let params = message.get("params").unwrap_or(&Value::Null);
        match method {
            "session/request_permission" => self.permission_asked(id, params, at),
            "elicitation/create" => self.question_asked(id, params, at),
            _ => {
                self.out.send(wire::not_offered(id, &cut(method, 200)));
                let why = format!("the agent asked for {}, which is not offered", cut(method, 100));
                self.state.script.odd(&why, raw, at, &mut self.out);
            }
        }
    }

    fn permission_asked(&mut self, id: &Value, params: &Value, at: Timestamp) {
        let told = params.get("toolCall").unwrap_or(&Value::Null);
        let call_id = read::text(told, "toolCallId").map(str::to_owned);
        let call = self.call_of(told, at);
        let choices = choices(params);
        if self.is_called_off() {
            self.out.send(wire::permission(id, None));
            return;
        }
        let ran = call_id.as_deref().and_then(|id| self.state.calls.ran(id)).cloned();
        let ask = wanted(told, (call.as_ref(), ran), &choices);
        let own = call.as_ref().is_some_and(|call| call.tool == ToolKind::Own);
        // What is asked now counts, not what the call was said to be before.
        let changes = matches!(ask.tool, ToolKind::Edit | ToolKind::Delete | ToolKind::Move);
        if own && ask.command.is_none() && ask.changes.is_empty() && !changes {
            let allow = choose(&choices, ["allow_once", "allow_always"]);
            self.out.send(wire::permission(id, allow));
            return;
        }
        if !self.may_ask(id, at) {
            self.out.send(wire::permission(id, None));
            return;
        }
        if let Some(call) = &call_id {
            let state = &mut self.state;
            state.calls.asks(
                call,
                state.judge.measure(state.turns, at),
                &mut state.script,
                &mut self.out,
            );
        }
        let about = About::Permission { options: choices, call: call_id };
        let key = self.keep(id, in_words(&ask), about, at);
        self.out.tell(Happening::AskedPermission { key, ask: Box::new(ask) });
        self.tool_changed();
    }

    /// The call a permission is for; one that was not told before is told by this.
    fn call_of(&mut self, told: &Value, at: Timestamp) -> Option<ToolCall> {
        let id = read::text(told, "toolCallId")?;
        if self.state.calls.get(id).is_none() {
            self.tool_call(told, at);
        }
        self.state.calls.get(id).cloned()
    }

    fn question_asked(&mut self, id: &Value, params: &Value, at: Timestamp) {
        if !self.may_ask(id, at) {
            self.out.send(wire::elicitation(id, wire::Reply::Cancel));
            return;
        }
        let schema = params.get("requestedSchema").cloned().unwrap_or(Value::Null);
        let schema = if schema.to_string().len() > SCHEMA_BYTES_MAX { Value::Null } else { schema };
        let mut text =
            cut(read::text(params, "message").unwrap_or("The agent asks."), QUESTION_BYTES_MAX);
        if let Some(url) = read::title(params, "url") {
            text = format!("{text}\n\n{url}");
        }
        let options = options(&schema);
        let about = About::Question { schema };
        let key = self.keep(id, cut(&text, read::TITLE_BYTES_MAX), about, at);
        self.out.tell(Happening::AskedQuestion { key, text, options });
    }

    fn is_called_off(&self) -> bool {
        self.state.turn.as_ref().is_some_and(|turn| turn.cancelled_at.is_some())
    }

    /// Whether there is room for one more, it is not there already, and the turn is not called off.
    fn may_ask(&mut self, id: &Value, at: Timestamp) -> bool {
        let called_off = self.is_called_off();
        let key = id.to_string();
        let known = self.state.asked.iter().any(|asked| asked.key == key);
        if called_off {
            return false;
        }
        if known || self.state.asked.len() >= OPEN_MAX || key.len() > KEY_BYTES_MAX {
            let why = "A request was refused: the agent has too many open, or this one already.";
            self.state.script.state(why, true, at, &mut self.out);
            return false;
        }
        true
    }

    fn keep(&mut self, id: &Value, title: String, about: About, at: Timestamp) -> String {
        self.state.asks += 1;
        let entry = self.state.script.id(&format!("ask:{}", self.state.asks));
        let key = id.to_string();
        let (request, id) = (None, id.clone());
        let asked = Asked { key: key.clone(), id, entry, title, at, about, request };
        self.put_asked(&asked, None, at);
        self.state.asked.push(asked);
        key
    }

    /// What was asked under `key` is in the inbox: its entry leads there.
    pub(super) fn note_asked(&mut self, key: &str, request: RequestId, at: Timestamp) {
        let Some(place) = self.state.asked.iter().position(|asked| asked.key == key) else {
            return;
        };
        self.state.asked[place].request = Some(request);
        let asked = self.state.asked[place].clone();
        self.put_asked(&asked, None, at);
    }

    fn put_asked(&mut self, asked: &Asked, answer: Option<String>, at: Timestamp) {
        let title = asked.title.clone();
        let body = Body::Request { request_id: asked.request, title, answer };
        self.state.script.put(asked.entry.clone(), (asked.at, at), body, &mut self.out);
    }

    /// Answers what was asked under `key`.
    pub(super) fn answer_asked(
        &mut self,
        key: &str,
        request: Option<RequestId>,
        answer: &Answer,
        at: Timestamp,
    ) {
        let Some(place) = self.state.asked.iter().position(|asked| asked.key == key) else {
            return;
        };
        let mut asked = self.state.asked.remove(place);
        asked.request = request.or(asked.request);
        let words = match &asked.about {
            About::Permission { options, call } => {
                let (option, words, allowed) = decide(options, answer);
                self.out.send(wire::permission(&asked.id, option));
                if let Some(call) = call {
                    let state = &mut self.state;
                    let measure = state.judge.measure(state.turns, at);
                    state.calls.answered(call, allowed, measure, &mut state.script, &mut self.out);
                }
                words
            }
            About::Question { schema } => {
                let (reply, words) = reply(schema, answer);
                self.out.send(wire::elicitation(&asked.id, reply));
                words
            }
        };
        self.put_asked(&asked, Some(words), at);
        self.tool_changed();
    }

    /// Answers everything that is open with *cancelled*: nobody will answer it any more.
    pub(super) fn withdraw_all(&mut self, why: &str, tell_agent: bool, at: Timestamp) {
        for asked in std::mem::take(&mut self.state.asked) {
            if tell_agent {
                self.out.send(match asked.about {
                    About::Permission { .. } => wire::permission(&asked.id, None),
                    About::Question { .. } => wire::elicitation(&asked.id, wire::Reply::Cancel),
                });
            }
            self.put_asked(&asked, Some(why.to_owned()), at);
            self.out.tell(Happening::Withdrawn { key: asked.key, why: why.to_owned() });
        }
    }

    /// The agent takes a request back.
    pub(super) fn taken_back(&mut self, id: &Value, at: Timestamp) {
        let key = id.to_string();
        let Some(place) = self.state.asked.iter().position(|asked| asked.key == key) else {
            return;
        };
        let asked = self.state.asked.remove(place);
        let why = "the agent took it back".to_owned();
        self.out.send(wire::taken_back(&asked.id));
        self.put_asked(&asked, Some(why.clone()), at);
        self.out.tell(Happening::Withdrawn { key, why });
    }
}

fn choices(params: &Value) -> Vec<Choice> {
    let options = params.get("options").and_then(Value::as_array).into_iter().flatten();
    options
        .filter_map(|option| {
            let kind = read::text(option, "kind").unwrap_or_default().to_owned();
            Some(Choice { id: read::text(option, "optionId")?.to_owned(), kind })
        })
        .take(OPTIONS_MAX)
        .collect()
}

fn choose<'a>(choices: &'a [Choice], kinds: [&str; 2]) -> Option<&'a str> {
    let of = |kind: &str| choices.iter().find(|choice| choice.kind == kind);
    kinds.into_iter().find_map(of).map(|choice| choice.id.as_str())
}

/// The option an answer means, the answer in words, and whether it allows.
fn decide<'a>(choices: &'a [Choice], answer: &Answer) -> (Option<&'a str>, String, bool) {
    let denied = |note: Option<&str>| match note {
        Some(note) => format!("denied: {}", cut(note, SAID_BYTES_MAX)),
        None => "denied".to_owned(),
    };
    let reject = || choose(choices, ["reject_once", "reject_always"]);
    match answer {
        Answer::Allow => match choose(choices, ["allow_once", "allow_always"]) {
            Some(option) => (Some(option), "allowed".to_owned(), true),
            None => (None, "allowed, but the agent offers no way to say so".to_owned(), false),
        },
        Answer::Deny { note } => (reject(), denied(note.as_deref()), false),
        Answer::Text { text } => (reject(), denied(Some(text)), false),
        Answer::Cancelled => (None, "called off".to_owned(), false),
    }
}

/// What a permission is asked for: what is told now counts, then what was told of the call before.
fn wanted(
    told: &Value,
    (call, before): (Option<&ToolCall>, Option<Ran>),
    choices: &[Choice],
) -> Wanted {
    let raw = told.get("rawInput").unwrap_or(&Value::Null);
    let known = |pick: fn(&ToolCall) -> Option<String>| call.and_then(pick);
    let tool = match read::kind(told) {
        Some(kind) if kind != ToolKind::Other => kind,
        _ => call.map_or(ToolKind::Other, |call| call.tool),
    };
    let name = read::tool_name(told).or_else(|| known(|call| call.name.clone()));
    let tool = match tool {
        ToolKind::Other => read::likely_kind(name.as_deref(), raw).unwrap_or(tool),
        _ => tool,
    };
    let title = read::title(told, "title").or_else(|| known(|call| Some(call.title.clone())));
    let title = title.unwrap_or_else(|| "use a tool".to_owned());
    let mut changes = read::changes(told);
    let mut places = read::places(told).unwrap_or_default();
    if let Some(call) = call {
        if changes.is_empty() {
            changes.clone_from(&call.changes);
        }
        if places.is_empty() {
            places.clone_from(&call.places);
        }
    }
    let there = before.as_ref().and_then(|ran| ran.directory.clone());
    let ran = read::ran(raw).or(before);
    let (command, directory, besides) = match ran {
        Some(Ran { command, directory, besides }) => (Some(command), directory.or(there), besides),
        None => (None, None, None),
    };
    if places.is_empty() {
        places.extend(read::place(raw));
    }
    let input = read::input(raw).or_else(|| known(|call| call.input.clone()));
    let input = besides.or(input.filter(|_| command.is_none() && changes.is_empty()));
    let why = read::output(told).filter(|why| *why != title);
    let tool = if command.is_some() { ToolKind::Execute } else { tool };
    let agent_remembers = choices.iter().any(|choice| choice.kind == "allow_always");
    Wanted { title, tool, name, command, directory, changes, places, input, why, agent_remembers }
}

/// What a permission is asked for: the title, and what it would do where that does not say so. Some
/// agents call what they ask for by the name of a tool only.
fn in_words(ask: &Wanted) -> String {
    let change = ask.changes.first().map(|change| &change.path);
    let deed = ask.command.as_ref().or(change).or(ask.places.first()).or(ask.input.as_ref());
    match deed.filter(|deed| !ask.title.contains(deed.as_str())) {
        Some(deed) if deed.starts_with(&ask.title) => cut(deed, read::TITLE_BYTES_MAX),
        Some(deed) => cut(&format!("{}: {deed}", ask.title), read::TITLE_BYTES_MAX),
        None => ask.title.clone(),
    }
}

/// The answers a schema lets choose from, where it asks for one thing only.
fn options(schema: &Value) -> Vec<String> {
    let Some((_, field)) = only_field(schema) else { return Vec::new() };
    if read::text(field, "type") == Some("boolean") {
        return vec!["yes".to_owned(), "no".to_owned()];
    }
    let listed = field.get("enum").and_then(Value::as_array).into_iter().flatten();
    let titled = field.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    let words = listed.filter_map(Value::as_str);
    let words = words.chain(titled.filter_map(|choice| read::text(choice, "const")));
    words.map(|word| cut(word, read::TITLE_BYTES_MAX)).take(OPTIONS_MAX).collect()
}

fn fields(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

fn only_field(schema: &Value) -> Option<(&String, &Value)> {
    let mut all = fields(schema);
    all.next().filter(|_| all.next().is_none())
}

fn reply(schema: &Value, answer: &Answer) -> (wire::Reply, String) {
    match answer {
        Answer::Text { text } => {
            let text = cut(text, ANSWER_BYTES_MAX);
            (wire::Reply::Accept(filled(schema, &text)), text)
        }
        Answer::Allow => (wire::Reply::Accept(filled(schema, "yes")), "yes".to_owned()),
        Answer::Deny { note: Some(note) } => {
            (wire::Reply::Decline, format!("declined: {}", cut(note, SAID_BYTES_MAX)))
        }
        Answer::Deny { note: None } => (wire::Reply::Decline, "declined".to_owned()),
        Answer::Cancelled => (wire::Reply::Cancel, "called off".to_owned()),
    }
}

/// The fields of a form, filled from one text: an object of JSON fills them by name, any other text
/// the first one, and the others have what the form itself proposes.
fn filled(schema: &Value, text: &str) -> BTreeMap<String, ElicitationContentValue> {
    let given: Option<serde_json::Map<String, Value>> = serde_json::from_str(text).ok();
    let mut first = true;
    let mut content = BTreeMap::new();
    for (name, field) in fields(schema).take(OPTIONS_MAX) {
        let value = match &given {
            Some(given) => given.get(name).cloned(),
            None if first => Some(typed(field, text)),
            None => field.get("default").cloned(),
        };
        first = false;
        if let Some(value) = value.and_then(|value| serde_json::from_value(value).ok()) {
            content.insert(name.clone(), value);
        }
    }
    content
}

fn typed(field: &Value, text: &str) -> Value {
    let word = text.trim();
    match read::text(field, "type") {
        Some("boolean") => Value::Bool(matches!(word, "yes" | "true" | "on" | "y")),
        Some("integer") => word.parse::<i64>().map_or_else(|_| text.into(), Value::from),
        Some("number") => word.parse::<f64>().map_or_else(|_| text.into(), Value::from),
        Some("array") => word.split(',').map(|part| Value::from(part.trim())).collect(),
        _ => text.into(),
    }
}
