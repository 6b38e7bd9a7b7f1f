//! A test client: an agent that speaks the Agent Client Protocol and does what the prompt says.
//!
//! Lines of the prompt that begin with `@` are done one after the other; a prompt without any is
//! answered with `You said: …`. `;;` parts several texts of one line.
//!
//! ```text
//! @say TEXT              answer with a text      @think TEXT         think it first
//! @verdict X             answer a review with X, where the prompt asks for one
//! @stream N MS           answer with N words, one every MS milliseconds
//! @plan A;;B             show a plan             @tool KIND TITLE    use a tool that succeeds
//! @slow-tool MS TITLE    use one that takes MS   @fail-tool TITLE    use one that fails
//! @run COMMAND           ask for a permission; when it is given, run the command
//! @ask A;;B              ask for several permissions at once, then say what was answered
//! @question TEXT;;A;;B   ask a question, then say the answer
//! @edit PATH TEXT        write a file, told as a change       @write PATH TEXT   untold
//! @commit MESSAGE        commit everything in the directory   @child MS  leave a child behind
//! @usage IN OUT          say at the end what was used         @context USED SIZE  say it now
//! @sleep MS   @until FILE   @hang (until it is cancelled)   @forever (cancelled or not)
//! @wind-down FILE        once cancelled, say so again and again until FILE is there
//! @ignore-cancel         do not hear that a turn is cancelled from now on
//! @empty                 say nothing             @claim              claim done, having done nothing
//! @forge                 pretend to be the engine that says the mission is complete
//! @noise                 print what is no protocol, and updates nobody knows
//! @complain TEXT         print on standard error @show               say the HIVEKEEPER_ variables
//! @stop REASON           end with this reason    @error CODE TEXT    end with an error
//! @die                   die in the middle of a line                 @exit CODE
//! ```
//!
//! Arguments: `--never-initialize`, `--initialize-after MS`, `--login` (no session without one),
//! `--no-load`, `--ignore-eof`, `--banner`, `--cancel-looks-done`, `--version`.

#[path = "fake_acp/turn.rs"]
mod turn;

use std::collections::HashMap;
use std::io::{BufRead as _, Error, Result, Write as _};
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use turn::Turn;

/// How long the client waits for anything before it looks again.
const LOOK: Duration = Duration::from_millis(20);

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|arg| arg == "--version") {
        let _ = writeln!(std::io::stdout(), "hivekeeper-fake-acp 1.2.3");
        return ExitCode::SUCCESS;
    }
    // Between a turn and its end nobody sends more than a few lines.
    let (tell, input) = mpsc::sync_channel(1_000);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if let Ok(message) = serde_json::from_str(&line)
                && tell.send(message).is_err()
            {
                return;
            }
        }
    });
    let mut client = Client::new(Options::read(&args), input);
    match client.serve() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "fake agent: {error}");
            ExitCode::from(99)
        }
    }
}

#[derive(Debug, Default)]
struct Options {
    never_initialize: bool,
    initialize_after_ms: u64,
    login: bool,
    no_load: bool,
    ignore_eof: bool,
    banner: bool,
    cancel_looks_done: bool,
}

impl Options {
    fn read(args: &[String]) -> Self {
        let has = |name: &str| args.iter().any(|arg| arg == name);
        let after = args.iter().skip_while(|arg| *arg != "--initialize-after").nth(1);
        Self {
            never_initialize: has("--never-initialize"),
            initialize_after_ms: after.and_then(|text| text.parse().ok()).unwrap_or(0),
            login: has("--login"),
            no_load: has("--no-load"),
            ignore_eof: has("--ignore-eof"),
            banner: has("--banner"),
            cancel_looks_done: has("--cancel-looks-done"),
        }
    }
}

/// Why the client ends in the middle of something.
enum Halt {
    /// It was told to, with this code.
    Exit(u8),
    /// Nobody listens any more.
    Closed,
    /// Something broke.
    Broken(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Broken(error)
    }
}

/// How a turn ended.
enum End {
    Reason(String),
    Error(i64, String),
}

struct Client {
    options: Options,
    input: Receiver<Value>,
    /// Where each session works.
    sessions: HashMap<String, String>,
    /// Answers to what was asked, by id.
    answers: HashMap<u64, Value>,
    asked: u64,
    calls: u64,
    cancelled: bool,
    ignore_cancel: bool,
    used: (u64, u64),
}

impl Client {
    fn new(options: Options, input: Receiver<Value>) -> Self {
        Self {
            options,
            input,
            sessions: HashMap::new(),
            answers: HashMap::new(),
            asked: 1_000,
            calls: 0,
            cancelled: false,
            ignore_cancel: false,
            used: (0, 0),
        }
    }

    fn serve(&mut self) -> Result<u8> {
        if self.options.banner {
            raw("Welcome to the fake agent!\n")?;
        }
        loop {
            let Ok(message) = self.input.recv() else {
                if self.options.ignore_eof {
                    std::thread::sleep(Duration::MAX);
                }
                return Ok(0);
            };
            match self.handle(&message) {
                Ok(()) => {}
                Err(Halt::Exit(code)) => return Ok(code),
                Err(Halt::Closed) => return Ok(0),
                Err(Halt::Broken(error)) => return Err(error),
            }
        }
    }

    fn handle(&mut self, message: &Value) -> std::result::Result<(), Halt> {
        let (Some(method), id) = (message["method"].as_str(), &message["id"]) else {
            return Ok(());
        };
        let params = &message["params"];
        match method {
            "initialize" => self.initialize(id)?,
            "session/new" | "session/load" if self.options.login => {
                refuse(id, -32_000, "Authentication required: run 'fake login' first")?;
            }
            "session/new" => {
                let session = format!("session-{}-{}", std::process::id(), self.sessions.len());
                self.begin(&session, params);
                let modes = json!({"currentModeId": "ask", "availableModes": [
                    {"id": "ask", "name": "Ask"}, {"id": "auto", "name": "Do everything"}]});
                answer(id, &json!({"sessionId": session, "modes": modes}))?;
            }
            "session/load" if self.options.no_load => {
                refuse(id, -32_603, "No previous sessions found for this project")?;
            }
            "session/load" => {
                let session = params["sessionId"].as_str().unwrap_or_default().to_owned();
                self.begin(&session, params);
                let text = json!({"type": "text", "text": "what was said before"});
                let replayed = json!({"sessionUpdate": "agent_message_chunk", "content": text});
                update(&session, &replayed)?;
                answer(id, &json!({}))?;
            }
            "session/prompt" => self.prompt(id, params)?,
            "session/cancel" => {}
            "session/set_mode" | "session/set_config_option" | "session/close" => {
                answer(id, &json!({}))?;
            }
            _ if id.is_null() => {}
            other => refuse(id, -32_601, &format!("no such method: {other}"))?,
        }
        Ok(())
    }

    fn initialize(&self, id: &Value) -> Result<()> {
        if self.options.never_initialize {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(self.options.initialize_after_ms));
        answer(
            id,
            &json!({
                "protocolVersion": 1,
                "agentCapabilities": {
                    "loadSession": !self.options.no_load,
                    "promptCapabilities": {"embeddedContext": true},
                    "mcpCapabilities": {"http": true, "sse": false},
                    "sessionCapabilities": {"close": {}},
                },
                "authMethods": [{"id": "login", "name": "Log in", "description": "fake login"}],
                "agentInfo": {"name": "hivekeeper-fake-acp", "version": "1.2.3"},
            }),
        )
    }

    fn begin(&mut self, session: &str, params: &Value) {
        let directory = params["cwd"].as_str().unwrap_or(".").to_owned();
        self.sessions.insert(session.to_owned(), directory);
    }

    fn prompt(&mut self, id: &Value, params: &Value) -> std::result::Result<(), Halt> {
        let session = params["sessionId"].as_str().unwrap_or_default().to_owned();
        let Some(directory) = self.sessions.get(&session).cloned() else {
            refuse(id, -32_602, "no such session")?;
            return Ok(());
        };
        let parts = params["prompt"].as_array().map(Vec::as_slice).unwrap_or_default();
        let text: Vec<&str> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
        self.cancelled = false;
        self.used = (0, 0);
        let mut turn = Turn { client: self, session, directory, verdict: None };
        let end = turn.follow(&text.join("\n"))?;
        let looks_done = self.options.cancel_looks_done;
        let reason = match end {
            End::Error(code, text) => return Ok(refuse(id, code, &text)?),
            End::Reason(_) if self.cancelled && looks_done => "end_turn".to_owned(),
            End::Reason(_) if self.cancelled => "cancelled".to_owned(),
            End::Reason(reason) => reason,
        };
        let mut result = json!({"stopReason": reason});
        if self.used != (0, 0) {
            let (input, output) = self.used;
            result["usage"] = json!({"inputTokens": input, "outputTokens": output,
                "totalTokens": input + output});
        }
        Ok(answer(id, &result)?)
    }

    /// Looks at one message that came, for at most this long.
    fn look(&mut self, wait: Duration) -> std::result::Result<(), Halt> {
        let message = match self.input.recv_timeout(wait) {
            Ok(message) => message,
            Err(RecvTimeoutError::Timeout) => return Ok(()),
            Err(RecvTimeoutError::Disconnected) if self.options.ignore_eof => {
                std::thread::sleep(wait);
                return Ok(());
            }
            Err(RecvTimeoutError::Disconnected) => return Err(Halt::Closed),
        };
        match (message["method"].as_str(), message["id"].as_u64()) {
            (Some("session/cancel"), _) => self.cancelled |= !self.ignore_cancel,
            (Some(_), Some(_)) => refuse(&message["id"], -32_600, "a turn is under way")?,
            (None, Some(id)) => {
                self.answers.insert(id, message);
            }
            _ => {}
        }
        Ok(())
    }

    /// Waits this long, or until the turn is cancelled.
    fn pause(&mut self, ms: u64) -> std::result::Result<(), Halt> {
        let until = Instant::now() + Duration::from_millis(ms);
        while !self.cancelled {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.look(left.min(LOOK))?;
        }
        Ok(())
    }

    fn ask(&mut self, method: &str, params: &Value) -> Result<u64> {
        self.asked += 1;
        let id = self.asked;
        send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))?;
        Ok(id)
    }

    /// Waits for the answer: forever, as the protocol has no other way.
    fn answered(&mut self, id: u64) -> std::result::Result<Value, Halt> {
        loop {
            if let Some(answer) = self.answers.remove(&id) {
                return Ok(answer["result"].clone());
            }
            self.look(LOOK)?;
        }
    }
}

fn update(session: &str, what: &Value) -> Result<()> {
    let params = json!({"sessionId": session, "update": what});
    send(&json!({"jsonrpc": "2.0", "method": "session/update", "params": params}))
}

fn answer(id: &Value, result: &Value) -> Result<()> {
    send(&json!({"jsonrpc": "2.0", "id": id, "result": result}))
}

fn refuse(id: &Value, code: i64, message: &str) -> Result<()> {
    let error = json!({"code": code, "message": message});
    send(&json!({"jsonrpc": "2.0", "id": id, "error": error}))
}

fn send(message: &Value) -> Result<()> {
    raw(&format!("{message}\n"))
}

fn raw(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
