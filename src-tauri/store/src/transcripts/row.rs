//! An entry as it stands in the file, and the text by which it is found.

use model::conversation::{Body, Entry, ToolCall};

/// An entry on its way into the file.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) kind: &'static str,
    pub(super) call: Option<Call>,
    pub(super) body: String,
    /// What it is found by; empty where there is nothing to find.
    pub(super) text: String,
}

/// What is counted of a tool call.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) tool: String,
    pub(super) state: String,
    /// How long it took, once it is over.
    pub(super) ms: Option<i64>,
    pub(super) slow: bool,
}

impl Row {
    pub(super) fn of(entry: &Entry) -> Result<Self, serde_json::Error> {
        let call = match &entry.body {
            Body::ToolCall { call } => Some(Call::of(call)?),
            _ => None,
        };
        Ok(Self {
            id: entry.id.clone(),
            kind: entry.body.kind(),
            call,
            body: serde_json::to_string(entry)?,
            text: text(&entry.body),
        })
    }

    /// Its size in bytes, about.
    pub(super) const fn size(&self) -> usize {
        self.id.len() + self.body.len() + self.text.len() + size_of::<Self>()
    }
}

impl Call {
    fn of(call: &ToolCall) -> Result<Self, serde_json::Error> {
        let ms = call.started_at.zip(call.ended_at).map(|(began, ended)| {
            i64::try_from(ended.duration_since(began).as_millis()).unwrap_or(0).max(0)
        });
        Ok(Self { tool: word(&call.tool)?, state: word(&call.state)?, ms, slow: call.slow })
    }
}

/// The word a unit variant serialises to.
fn word<T: serde::Serialize>(value: &T) -> Result<String, serde_json::Error> {
    serde_json::to_value(value).and_then(serde_json::from_value)
}

/// What an entry is found by: what a person reads of it.
pub(super) fn text(body: &Body) -> String {
    match body {
        Body::Prompt { text, .. }
        | Body::Message { text }
        | Body::Thought { text }
        | Body::State { text, .. }
        | Body::Unsupported { text, .. } => text.clone(),
        Body::ToolCall { call } => call_text(call),
        Body::Plan { steps } => {
            steps.iter().map(|step| step.text.as_str()).collect::<Vec<_>>().join("\n")
        }
        Body::Request { title, answer, .. } => {
            [title.as_str(), answer.as_deref().unwrap_or_default()].join("\n")
        }
        Body::Usage { .. } | Body::Output { .. } => String::new(),
    }
}

fn call_text(call: &ToolCall) -> String {
    let mut parts = vec![call.title.as_str()];
    parts.extend([&call.name, &call.input, &call.output].into_iter().flatten().map(String::as_str));
    parts.extend(call.changes.iter().map(|change| change.path.as_str()));
    parts.extend(call.places.iter().map(String::as_str));
    parts.join("\n")
}
