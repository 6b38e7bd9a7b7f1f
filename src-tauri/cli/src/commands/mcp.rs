//! A bridge for programs that speak to their tools over standard input and output: each line is a
//! message to `/mcp`, and what comes back is printed, a line each.
//!
//! The token comes from the environment or from a file that it names, never from an argument, which
//! every process of the machine could read.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gateway::{Client, ClientError, Problem};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinSet};

use crate::args::Mcp;
use crate::failure::Failure;
use crate::remote::Place;

/// The variable with the token.
const TOKEN: &str = "HIVEKEEPER_TOKEN";
/// The variable with the path of a file that holds it, as agents are given it.
const TOKEN_FILE: &str = "HIVEKEEPER_TOKEN_FILE";
/// The largest token file, in bytes.
const TOKEN_BYTES_MAX: u64 = 4 * 1024;
/// The longest line, in bytes: what `/mcp` takes.
const LINE_BYTES_MAX: u64 = 1024 * 1024;
/// Messages that may be on their way at once; a question to the captain takes its time.
const AT_ONCE: usize = 32;
/// Lines that wait to be printed.
const PRINTED: usize = 256;
/// How long what is on its way may take once nothing more comes in.
const LAST: Duration = Duration::from_secs(5);
/// The code of an error that is not the protocol's own.
const FAILED: i64 = -32_000;

/// Passes messages on until standard input ends.
pub(crate) async fn run(args: Mcp, place: &Place) -> Result<(), Failure> {
    let bridge = Arc::new(Bridge {
        token: token()?,
        url: args.url,
        data_dir: place.data_dir.clone(),
        version: Mutex::default(),
        under_way: Mutex::default(),
    });
    // Found once before anything is read, so that what is wrong is said at once.
    bridge.client().map_err(|error| Failure::unasked("reach the engine", &error))?;
    let (print, printed) = mpsc::channel(PRINTED);
    let printing = std::thread::spawn(move || write_lines(printed));
    let mut lines = read_lines();
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = JoinSet::new();
    while let Some(line) = lines.recv().await {
        let Ok(permit) = Arc::clone(&places).acquire_owned().await else { break };
        while tasks.try_join_next().is_some() {}
        let message = match read(&line) {
            Ok(message) => message,
            Err(answer) => {
                drop(print.send(answer).await);
                continue;
            }
        };
        if let Some(id) = cancelled(&message) {
            bridge.call_off(&id);
        }
        let id = id_of(&message);
        let (bridge_, print) = (Arc::clone(&bridge), print.clone());
        let task = tasks.spawn(async move {
            bridge_.pass(message, &print).await;
            drop(permit);
        });
        if let Some(id) = id {
            bridge.under_way().insert(id, task);
        }
    }
    let rest = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(LAST, rest).await.is_err() {
        tracing::debug!("what was on its way is given up");
    }
    drop(print);
    tasks.shutdown().await;
    // Who reads it may have gone away.
    drop(printing.join());
    Ok(())
}

fn token() -> Result<String, Failure> {
    let operation = "find the agent's token";
    if let Ok(token) = std::env::var(TOKEN)
        && !token.trim().is_empty()
    {
        return Ok(token.trim().to_owned());
    }
    let Some(path) = std::env::var_os(TOKEN_FILE) else {
        return Err(Failure::new(operation).hint(format!(
            "set {TOKEN} to the token of the lease, or {TOKEN_FILE} to a file that holds it"
        )));
    };
    let mut token = String::new();
    let read = std::fs::File::open(&path)
        .and_then(|file| file.take(TOKEN_BYTES_MAX).read_to_string(&mut token));
    read.map_err(|error| Failure::new(operation).because(&error))?;
    Ok(token.trim().to_owned())
}

struct Bridge {
    token: String,
    url: Option<String>,
    data_dir: std::path::PathBuf,
    /// The version of the protocol that was agreed on.
    version: Mutex<Option<String>>,
    /// Requests that are not answered, by their ids.
    under_way: Mutex<HashMap<String, AbortHandle>>,
}

impl Bridge {
    /// The engine, as it is there now: one that was started again listens elsewhere.
    fn client(&self) -> Result<Client, ClientError> {
        match &self.url {
            Some(url) => Client::at(url, self.token.clone()),
            None => Ok(Client::for_data_dir(&self.data_dir)?.with_token(self.token.clone())),
        }
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<String, AbortHandle>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn version(&self) -> MutexGuard<'_, Option<String>> {
        self.version.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client waits no more: the connection is closed, and with it the call.
    fn call_off(&self, id: &str) {
        if let Some(task) = self.under_way().remove(id) {
            task.abort();
        }
    }

    /// Passes a message on, and prints what comes back.
    async fn pass(&self, message: Value, print: &mpsc::Sender<Value>) {
        let answered = self.exchange(&message, print).await;
        if let Some(id) = id_of(&message) {
            self.under_way().remove(&id);
            if let Err(why) = answered {
                let error = json!({ "code": FAILED, "message": why });
                let answer = json!({ "jsonrpc": "2.0", "id": message["id"], "error": error });
                drop(print.send(answer).await);
            }
        }
    }

    /// Gives why there is no answer, in words.
    async fn exchange(&self, message: &Value, print: &mpsc::Sender<Value>) -> Result<(), Why> {
        let client = self.client()?;
        let body = serde_json::to_vec(message)?;
        let mut answer = client.mcp(body, self.headers(message)).await?;
        let status = answer.status();
        let mut answered = id_of(message).is_none();
        while let Some(data) = answer.next().await? {
            let Ok(said) = serde_json::from_slice::<Value>(&data) else {
                return Err(Why(format!("the engine answered {status}, and not in JSON")));
            };
            if said.get("jsonrpc").is_none() {
                let problem = serde_json::from_value::<Problem>(said);
                let why = problem.map_or_else(|_| status.to_string(), |it| in_words(&it));
                return Err(Why(why));
            }
            if let Some(version) = said["result"]["protocolVersion"].as_str() {
                *self.version() = Some(version.to_owned());
            }
            // What it is told meanwhile is no answer.
            answered |= said.get("method").is_none() && said.get("id") == message.get("id");
            drop(print.send(said).await);
        }
        match (answered, status.is_success()) {
            (true, _) => Ok(()),
            (false, true) => Err(Why(format!("the engine answered {status} without a result"))),
            (false, false) => Err(Why(format!("the engine answered {status}"))),
        }
    }

    /// The headers of the protocol: what they say stands in the message as well.
    fn headers(&self, message: &Value) -> HeaderMap {
        let params = &message["params"];
        let own = params["_meta"]["io.modelcontextprotocol/protocolVersion"].as_str();
        let agreed = self.version().clone();
        let method = message["method"].as_str();
        let version = own.or(agreed.as_deref()).filter(|_| method != Some("initialize"));
        let name = params["name"].as_str().or(params["uri"].as_str());
        let all = [("mcp-protocol-version", version), ("mcp-method", method), ("mcp-name", name)];
        let of = |(name, value): (&'static str, Option<&str>)| {
            Some((HeaderName::from_static(name), HeaderValue::from_str(value?).ok()?))
        };
        all.into_iter().filter_map(of).collect()
    }
}

/// Why a message was not answered.
struct Why(String);

impl serde::Serialize for Why {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for Why {
    fn from(error: E) -> Self {
        Self(format!("failed to {error}"))
    }
}

fn in_words(problem: &Problem) -> String {
    match &problem.hint {
        Some(hint) => format!("{}; {hint}", problem.detail),
        None => problem.detail.to_string(),
    }
}

/// The id of a request; nothing for what is not answered.
fn id_of(message: &Value) -> Option<String> {
    message["method"].as_str()?;
    message.get("id").filter(|id| !id.is_null()).map(Value::to_string)
}

/// The id of the request that a message calls off.
fn cancelled(message: &Value) -> Option<String> {
    let is = message["method"] == "notifications/cancelled";
    is.then(|| message["params"]["requestId"].to_string())
}

/// A message, or what is answered to something that is none.
fn read(line: &str) -> Result<Value, Value> {
    let refused = |code: i64, why: String| json!({ "jsonrpc": "2.0", "id": null, "error": { "code": code, "message": why } });
    match serde_json::from_str::<Value>(line) {
        Ok(message) if message.is_object() => Ok(message),
        Ok(_) => Err(refused(-32_600, "a message is one JSON object on one line".to_owned())),
        Err(error) => Err(refused(-32_700, format!("the line is no JSON: {error}"))),
    }
}

/// The lines of standard input. A line that is too long is taken for what fits, which is no JSON.
fn read_lines() -> mpsc::Receiver<String> {
    let (send, lines) = mpsc::channel(AT_ONCE);
    // Standard input can only be waited for by a thread, which ends with the program.
    std::thread::spawn(move || {
        let mut input = BufReader::new(std::io::stdin().lock());
        while let Ok(Some(line)) = next_line(&mut input) {
            if !line.trim().is_empty() && send.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

fn next_line(input: &mut impl BufRead) -> std::io::Result<Option<String>> {
    let mut bytes = Vec::new();
    let read = input.take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes)?;
    if read as u64 == LINE_BYTES_MAX && !bytes.ends_with(b"\n") {
        // The rest of it is passed over, a piece at a time.
        loop {
            let mut rest = Vec::new();
            let more = input.take(LINE_BYTES_MAX).read_until(b'\n', &mut rest)?;
            if more == 0 || rest.ends_with(b"\n") {
                break;
            }
        }
    }
    Ok((read > 0).then(|| String::from_utf8_lossy(&bytes).into_owned()))
}

/// Prints messages, a line each, until there are no more or nobody reads them.
fn write_lines(mut lines: mpsc::Receiver<Value>) {
    let mut out = std::io::stdout().lock();
    while let Some(line) = lines.blocking_recv() {
        if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn requests_have_ids_and_notifications_and_answers_have_none() {
        assert_eq!(id_of(&json!({"id": 1, "method": "ping"})).as_deref(), Some("1"));
        assert_eq!(id_of(&json!({"id": "1", "method": "ping"})).as_deref(), Some("\"1\""));
        assert_eq!(id_of(&json!({"method": "notifications/initialized"})), None);
        assert_eq!(id_of(&json!({"id": 1, "result": {}})), None);
        let off = json!({"method": "notifications/cancelled", "params": {"requestId": 1}});
        assert_eq!(cancelled(&off).as_deref(), Some("1"));
        assert_eq!(cancelled(&json!({"method": "ping"})), None);
    }

    /// An engine that answers one message with these words.
    fn answering(answer: String) -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"}") {
                let mut piece = [0; 1024];
                let read = stream.read(&mut piece).unwrap();
                assert!(read > 0);
                asked.extend_from_slice(&piece[..read]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
        });
        url
    }

    #[tokio::test]
    async fn what_is_told_meanwhile_and_an_empty_answer_are_no_results() {
        let told = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{}}"#;
        let result = r#"{"jsonrpc":"2.0","id":7,"result":{}}"#;
        let other = r#"{"jsonrpc":"2.0","id":8,"result":{}}"#;
        let stream = |said: &[&str]| {
            let said: String = said.iter().map(|it| format!("data: {it}\n\n")).collect();
            format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n{said}"
            )
        };
        let empty = "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        for (answer, printed, is_result) in [
            (empty.to_owned(), 1, false),
            (stream(&[told]), 2, false),
            (stream(&[other]), 2, false),
            (stream(&[told, result]), 2, true),
        ] {
            let bridge = Bridge {
                token: "t".into(),
                url: Some(answering(answer.clone())),
                data_dir: std::path::PathBuf::new(),
                version: Mutex::default(),
                under_way: Mutex::default(),
            };
            let (print, mut lines) = mpsc::channel(PRINTED);
            bridge.pass(json!({"jsonrpc": "2.0", "id": 7, "method": "ping"}), &print).await;
            drop(print);
            let mut all = Vec::new();
            while let Some(line) = lines.recv().await {
                all.push(line);
            }
            assert_eq!(all.len(), printed, "{answer}: {all:?}");
            let last = &all[printed - 1];
            assert_eq!(
                (&last["id"], last["result"].is_object()),
                (&json!(7), is_result),
                "{all:?}"
            );
            assert_eq!(last["error"]["code"] == FAILED, !is_result, "{all:?}");
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_and_the_next_one_is_whole() {
        let long = "x".repeat(LINE_BYTES_MAX as usize * 2 + 7);
        let text = format!("{long}\n{{}}\nlast");
        let mut input = BufReader::new(text.as_bytes());
        assert_eq!(next_line(&mut input).unwrap().unwrap().len() as u64, LINE_BYTES_MAX);
        assert_eq!(next_line(&mut input).unwrap().unwrap(), "{}\n");
        assert_eq!(next_line(&mut input).unwrap().unwrap(), "last");
        assert_eq!(next_line(&mut input).unwrap(), None);
    }

    proptest! {
        #[test]
        fn no_line_panics(line: String) {
            match read(&line) {
                Ok(message) => drop((id_of(&message), cancelled(&message))),
                Err(answer) => prop_assert!(answer["error"]["code"].is_i64()),
            }
        }
    }
}
