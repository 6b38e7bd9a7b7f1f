//! `hivekeeper log`.

use engine::view::Listing;
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::args::{Log, LogCommand};
use crate::failure::Failure;
use crate::out::Out;
use crate::remote::{Place, Remote};
use crate::selector::encode;

/// A line, as the engine tells it.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    time: String,
    level: String,
    target: String,
    agent: Option<String>,
    mission: Option<String>,
    correlation_id: Option<String>,
    message: Option<String>,
    fields: Map<String, Value>,
}

/// How much is logged.
#[derive(Debug, Serialize, Deserialize)]
struct Level {
    filter: String,
    usual: String,
    until: Option<String>,
}

/// Carries it out.
pub(crate) async fn run(args: Log, place: &Place, out: &mut Out) -> Result<(), Failure> {
    if let Some(LogCommand::Level { filter, seconds }) = args.command {
        return level(filter, seconds, place, out).await;
    }
    const OPERATION: &str = "read the log of the engine";
    let remote = Remote::find(place, OPERATION)?;
    let mut path = format!("/api/v1/log?limit={}", args.limit);
    if let Some(level) = args.level {
        path.push_str(&format!("&level={}", level.as_str()));
    }
    if let Some(text) = &args.text {
        path.push_str(&format!("&text={}", encode(text)));
    }
    let all: Listing<Line> = remote.get(OPERATION, &path).await?;
    if out.is_json() {
        return out.value(&all);
    }
    // As in a terminal: the newest line last.
    for line in all.items.iter().rev() {
        out.line(&told(line))?;
    }
    Ok(())
}

fn told(line: &Line) -> String {
    let mut text = format!(
        "{} {:5} {}: {}",
        line.time,
        line.level,
        line.target,
        line.message.as_deref().unwrap_or_default()
    );
    let named = [("agent", &line.agent), ("mission", &line.mission)];
    for (name, value) in named.into_iter().filter_map(|(name, it)| Some((name, it.as_ref()?))) {
        text.push_str(&format!(" {name}={value}"));
    }
    for (name, value) in &line.fields {
        match value.as_str() {
            Some(value) => text.push_str(&format!(" {name}={value}")),
            None => text.push_str(&format!(" {name}={value}")),
        }
    }
    text
}

async fn level(
    filter: Option<String>,
    seconds: Option<u32>,
    place: &Place,
    out: &mut Out,
) -> Result<(), Failure> {
    const PATH: &str = "/api/v1/log/level";
    const OPERATION: &str = "change how much is logged";
    let remote = Remote::find(place, OPERATION)?;
    let level: Level = match filter {
        Some(filter) => {
            let new = json!({"filter": filter, "for_seconds": seconds});
            remote.send(OPERATION, Method::PUT, PATH, &new).await?
        }
        None => remote.get(OPERATION, PATH).await?,
    };
    if out.is_json() {
        return out.value(&level);
    }
    out.pairs(&[
        ("filter", level.filter),
        ("until", level.until.unwrap_or_default()),
        ("usual", level.usual),
    ])
}
