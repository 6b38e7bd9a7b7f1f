//! Who plays the agent, and who keeps what the driver wants done.

use agents::runtime::acp::AcpDriver;
use agents::runtime::ways::{Covers, Setting, UsageFields, UsagePlace, UsageRule, Ways};
use agents::runtime::{
    Act, Answer, Driver, Happening, Line, Opening, OwnTools, Stop, Told, Wanted,
};
use jiff::{SignedDuration, Timestamp};
use model::conversation::{Body, Entry};
use model::id::MessageId;
use model::inbox::PermissionPolicy;
use model::message::Source;
use serde_json::{Value, json};

/// A driver, the time, and everything it wanted done.
pub(crate) struct Desk {
    pub(crate) driver: AcpDriver,
    pub(crate) now: Timestamp,
    pub(crate) entries: Vec<Entry>,
    pub(crate) told: Vec<Happening>,
    pub(crate) sent: Vec<Value>,
    pub(crate) closed: bool,
}

pub(crate) fn own_tools() -> Vec<String> {
    vec!["report_progress".to_owned(), "ask_human".to_owned()]
}

pub(crate) fn tools() -> OwnTools {
    OwnTools { url: "http://127.0.0.1:18090/mcp".to_owned(), token: "not-for-the-disk".to_owned() }
}

impl Desk {
    /// An agent that asks by itself, where no mode is named in which it does.
    pub(crate) fn new(mut ways: Ways, policy: PermissionPolicy) -> Self {
        ways.asks_by_itself = ways.ask_mode.is_empty();
        Self::exactly(ways, policy)
    }

    pub(crate) fn exactly(ways: Ways, policy: PermissionPolicy) -> Self {
        Self::of(AcpDriver::new(ways, policy, own_tools()))
    }

    pub(crate) fn of(driver: AcpDriver) -> Self {
        let (entries, told, sent) = (Vec::new(), Vec::new(), Vec::new());
        let now = "2026-11-21T12:00:00Z".parse().unwrap();
        Self { driver, now, entries, told, sent, closed: false }
    }

    pub(crate) fn open(&mut self, prompt: &str) {
        self.open_with(prompt, None);
    }

    pub(crate) fn open_with(&mut self, prompt: &str, session: Option<&str>) {
        let opening = Opening {
            directory: "/W/cwd".to_owned(),
            prompt: prompt.to_owned(),
            messages: Vec::new(),
            tools: Some(tools()),
            session: session.map(str::to_owned),
        };
        self.driver.open(opening, self.now);
        self.take();
    }

    /// Opens a session with an agent that can do everything, up to the first prompt.
    pub(crate) fn opened(ways: Ways, policy: PermissionPolicy) -> Self {
        let mut desk = Self::new(ways, policy);
        desk.open("Do it.");
        desk.says(&json!({"id": 1, "result": {"protocolVersion": 1, "agentCapabilities": {
            "loadSession": true, "mcpCapabilities": {"http": true}, "sessionCapabilities": {"close": {}}}}}));
        desk.says(&json!({"id": 2, "result": {"sessionId": "s1"}}));
        desk
    }

    pub(crate) fn pass(&mut self, seconds: i64) {
        self.now = self.now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
        self.driver.tick(self.now);
        self.take();
    }

    pub(crate) fn says(&mut self, message: &Value) {
        let mut message = message.clone();
        message["jsonrpc"] = json!("2.0");
        self.line(&message.to_string());
    }

    pub(crate) fn line(&mut self, line: &str) {
        self.bytes(line.as_bytes(), false);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8], cut: bool) {
        self.driver.stdout(Line { bytes, cut, at: self.now });
        self.take();
    }

    pub(crate) fn stderr(&mut self, line: &str) {
        self.driver.stderr(Line { bytes: line.as_bytes(), cut: false, at: self.now });
        self.take();
    }

    pub(crate) fn update(&mut self, update: &Value) {
        self.says(
            &json!({"method": "session/update", "params": {"sessionId": "s1", "update": update}}),
        );
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.update(&json!({"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}}));
    }

    pub(crate) fn answer(&mut self, key: &str, answer: &Answer) {
        self.driver.answer(key, None, answer, self.now);
        self.take();
    }

    pub(crate) fn cancel(&mut self) {
        self.driver.cancel(self.now);
        self.take();
    }

    pub(crate) fn tell(&mut self, messages: Vec<Told>) {
        self.driver.tell(messages, self.now);
        self.take();
    }

    /// The engine dies and starts again.
    pub(crate) fn crash(&mut self) {
        self.take();
        let kept = serde_json::to_string(&self.driver.snapshot()).unwrap();
        assert!(!kept.contains(&tools().token), "a snapshot holds no token");
        let kept = serde_json::from_str(&kept).unwrap();
        self.driver = AcpDriver::restore(kept).unwrap().with_tools(Some(tools()));
    }

    pub(crate) fn take(&mut self) {
        for act in self.driver.take() {
            match act {
                Act::Send(line) => self.sent.push(serde_json::from_str(&line).unwrap()),
                Act::CloseInput => self.closed = true,
                Act::Tell(happening) => self.told.push(happening),
                Act::Put(entry) => match self.entries.iter_mut().find(|known| known.id == entry.id)
                {
                    Some(known) => *known = entry,
                    None => self.entries.push(entry),
                },
            }
        }
    }

    /// The methods that were sent, in order; answers by what they answer.
    pub(crate) fn methods(&self) -> Vec<&str> {
        self.sent.iter().map(|sent| sent["method"].as_str().unwrap_or("answer")).collect()
    }

    pub(crate) fn body(&self, id: &str) -> &Body {
        &self.entries.iter().find(|entry| entry.id == id).unwrap().body
    }

    /// The conversation, one line per entry.
    pub(crate) fn written(&self) -> Vec<String> {
        self.entries.iter().map(|entry| format!("{} {}", entry.id, brief(&entry.body))).collect()
    }

    pub(crate) fn stops(&self) -> Vec<&Stop> {
        let stop = |told: &'_ Happening| matches!(told, Happening::TurnEnded { .. });
        let ends = self.told.iter().filter(|told| stop(told));
        ends.filter_map(|told| {
            if let Happening::TurnEnded { stop, .. } = told { Some(stop) } else { None }
        })
        .collect()
    }

    pub(crate) fn asked(&self) -> Vec<(&str, &Wanted)> {
        let ask = |told: &'_ Happening| matches!(told, Happening::AskedPermission { .. });
        let asks = self.told.iter().filter(|told| ask(told));
        asks.filter_map(|told| match told {
            Happening::AskedPermission { key, ask } => Some((key.as_str(), &**ask)),
            _ => None,
        })
        .collect()
    }

    pub(crate) fn used(&self) -> &model::usage::Usage {
        let last = self.told.iter().rev().find_map(|told| match told {
            Happening::Used(usage) => Some(&**usage),
            _ => None,
        });
        last.unwrap()
    }
}

fn brief(body: &Body) -> String {
    let line = |text: &str| text.replace('\n', "|").chars().take(90).collect::<String>();
    match body {
        Body::Prompt { from, text } => format!("prompt {from:?}: {}", line(text)),
        Body::Message { text } => format!("says {}", line(text)),
        Body::Thought { text } => format!("thinks {}", line(text)),
        Body::ToolCall { call } => {
            let own = call.name.as_deref().map(|name| format!(" [{name}]")).unwrap_or_default();
            let gave =
                call.output.as_deref().map(|out| format!(" -> {}", line(out))).unwrap_or_default();
            let given = call
                .input
                .as_deref()
                .map(|given| format!(" <- {}", line(given)))
                .unwrap_or_default();
            format!("{:?} {:?} {}{own}{given}{gave}", call.tool, call.state, line(&call.title))
        }
        Body::Request { title, answer, .. } => format!("asks {}: {answer:?}", line(title)),
        Body::Usage { tokens, context, .. } => format!(
            "used {:?} + {:?}, context {:?}",
            tokens.input(),
            tokens.output,
            context.map(|context| context.used)
        ),
        Body::State { text, problem } => {
            format!("state{} {}", if *problem { "!" } else { "" }, line(text))
        }
        Body::Plan { steps } => format!("plan of {}", steps.len()),
        Body::Unsupported { why, .. } => format!("odd: {why}"),
        other @ Body::Output { .. } => other.kind().to_owned(),
    }
}

pub(crate) fn told(text: &str, from: Source) -> Told {
    let id: MessageId = format!("01930000-0000-7000-8000-{:012}", text.len()).parse().unwrap();
    Told { id, from, text: text.to_owned() }
}

fn rule(
    place: UsagePlace,
    of: Option<&str>,
    at: &str,
    covers: Covers,
    names: [&str; 2],
) -> UsageRule {
    let field = |name: &str| Some(format!("/{name}"));
    UsageRule {
        at: at.to_owned(),
        place,
        of: of.map(str::to_owned),
        covers,
        fields: UsageFields {
            input: field(names[0]),
            output: field(names[1]),
            ..UsageFields::default()
        },
        input_includes_cache: true,
        output_excludes_reasoning: false,
    }
}

/// The ways of the agents whose conversations were recorded.
pub(crate) fn ways(agent: &str) -> Ways {
    let last = rule(
        UsagePlace::Result,
        None,
        "/usage",
        Covers::LastRequest,
        ["inputTokens", "outputTokens"],
    );
    let names = |name: &str| vec![name.to_owned()];
    let login_signs = names(r"(?-u)Status: 401");
    let limit_signs = names(r"(?-u)rate limit");
    let base = Ways { login_signs, limit_signs, ..Ways::default() };
    match agent {
        "goose" => {
            let total = rule(
                UsagePlace::Update,
                Some("_goose/unstable/session/update"),
                "/update",
                Covers::Conversation,
                ["accumulatedInputTokens", "accumulatedOutputTokens"],
            );
            Ways {
                tool_names: names("hivekeeper__{tool}"),
                usage: vec![last, total],
                error_signs: names("^Ran into this error: "),
                ..base
            }
        }
        "codex-zed" => Ways { tool_names: names("Tool: hivekeeper/{tool}"), ..base },
        "opencode" => {
            let mut last =
                UsageRule { input_includes_cache: false, output_excludes_reasoning: true, ..last };
            last.fields.cache_read = Some("/cachedReadTokens".to_owned());
            last.fields.reasoning = Some("/thoughtTokens".to_owned());
            Ways { tool_names: names("hivekeeper_{tool}"), usage: vec![last], ..base }
        }
        _ => base,
    }
}

pub(crate) fn mode(mode: &str) -> Setting {
    Setting::Mode { mode: mode.to_owned() }
}
