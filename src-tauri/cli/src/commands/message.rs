//! `hivekeeper message`.

use std::process::ExitCode;

use engine::view::{
    BroadcastState, BroadcastView, MessagePage, MessageView, NewBroadcast, NewMessage,
};
use model::message::{self, MessageState, TEXT_BYTES_MAX, Urgency};

use crate::args::{ListMessages, Message};
use crate::failure::Failure;
use crate::input::Source;
use crate::out::{Out, time, word};
use crate::remote::{Place, Remote};
use crate::selector::encode;

/// Carries it out; exits with 1 when somebody could not be told.
pub(crate) async fn run(
    command: Message,
    place: &Place,
    out: &mut Out,
) -> Result<ExitCode, Failure> {
    match command {
        Message::Send { agent, text, urgent, mission } => {
            let operation = format!("say something to '{agent}'");
            let body = NewMessage { text: read(&text)?, urgent, mission };
            let remote = Remote::find(place, &operation)?;
            let to = format!("/api/v1/agents/{}/messages", encode(&agent));
            let message: MessageView = remote.post(&operation, &to, &body).await?;
            told(&message, out)?;
        }
        Message::Broadcast { text, to, all, urgent } => {
            let agents = if all { vec!["all".to_owned()] } else { to };
            let body = NewBroadcast { agents, text: read(&text)?, urgent };
            return broadcast(&body, place, out).await;
        }
        Message::List(args) => list(args, place, out).await?,
        Message::Status { broadcast } => status(&broadcast, place, out).await?,
        Message::Retry { message } => settle(&message, "retry", place, out).await?,
        Message::Discard { message } => settle(&message, "discard", place, out).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn read(given: &str) -> Result<String, Failure> {
    let too_large = "put the long part into a file and name it";
    Source { what: "the message", given, bytes_max: TEXT_BYTES_MAX, too_large }.read()
}

fn told(view: &MessageView, out: &mut Out) -> Result<(), Failure> {
    if out.is_json() {
        return out.value(view);
    }
    let agent = view.agent.as_deref().unwrap_or("a removed agent");
    out.line(&format!("{} to {agent}: {}", view.message.id, word(&view.state)))
}

async fn broadcast(body: &NewBroadcast, place: &Place, out: &mut Out) -> Result<ExitCode, Failure> {
    const OPERATION: &str = "say something to several agents";
    let remote = Remote::find(place, OPERATION)?;
    let view: BroadcastView = remote.post(OPERATION, "/api/v1/broadcasts", body).await?;
    let failed = view.results.iter().any(|result| result.problem.is_some());
    if out.is_json() {
        out.value(&view)?;
    } else {
        for result in &view.results {
            let what = match (&result.message_id, &result.problem) {
                (Some(id), _) => format!("queued as {id}"),
                (None, problem) => format!("NOT TOLD: {}", problem.as_deref().unwrap_or("?")),
            };
            out.line(&format!("{}: {what}", result.name))?;
        }
        if let Some(id) = &view.broadcast_id {
            out.line(&format!("how far they are: hivekeeper message status {id}"))?;
        }
    }
    Ok(ExitCode::from(u8::from(failed)))
}

async fn list(args: ListMessages, place: &Place, out: &mut Out) -> Result<(), Failure> {
    const OPERATION: &str = "list the messages";
    let remote = Remote::find(place, OPERATION)?;
    let mut path = format!("/api/v1/messages?limit={}", args.limit);
    let named = [("agent", &args.agent), ("mission", &args.mission), ("cursor", &args.cursor)];
    for (name, value) in named {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", encode(value)));
        }
    }
    for state in args.states {
        path.push_str(&format!("&state={}", word(&MessageState::from(state))));
    }
    let page: MessagePage = remote.get(OPERATION, &path).await?;
    if out.is_json() {
        return out.value(&page);
    }
    table(&page.items, out)?;
    match &page.next_cursor {
        Some(cursor) => out.line(&format!("more: --cursor {cursor}")),
        None => Ok(()),
    }
}

/// Messages in lines.
pub(crate) fn table(messages: &[MessageView], out: &mut Out) -> Result<(), Failure> {
    if messages.is_empty() {
        return out.line("no messages");
    }
    let rows: Vec<Vec<String>> = messages.iter().map(row).collect();
    out.table(&["ID", "QUEUED", "FROM", "TO", "STATE", "TEXT"], &rows)
}

fn row(view: &MessageView) -> Vec<String> {
    let it = &view.message;
    let from = match &it.from {
        message::Source::Captain => "you",
        message::Source::Agent { name, .. } => name,
        message::Source::System => "hivekeeper",
    };
    let urgent = if it.urgency == Urgency::Urgent { "! " } else { "" };
    let state = match &it.problem {
        Some(problem) if it.quarantined => format!("{}: {problem}", word(&view.state)),
        _ => word(&view.state),
    };
    vec![
        it.id.to_string(),
        time(it.queued_at),
        from.to_owned(),
        view.agent.clone().unwrap_or_default(),
        state,
        format!("{urgent}{}", it.text.lines().next().unwrap_or_default()),
    ]
}

async fn status(id: &str, place: &Place, out: &mut Out) -> Result<(), Failure> {
    let operation = format!("show the broadcast {id}");
    let remote = Remote::find(place, &operation)?;
    let path = format!("/api/v1/broadcasts/{}", encode(id));
    let state: BroadcastState = remote.get(&operation, &path).await?;
    if out.is_json() {
        return out.value(&state);
    }
    let messages: Vec<MessageView> =
        state.results.into_iter().map(|result| result.message).collect();
    table(&messages, out)
}

async fn settle(id: &str, what: &str, place: &Place, out: &mut Out) -> Result<(), Failure> {
    let operation = format!("{what} the message {id}");
    let remote = Remote::find(place, &operation)?;
    let to = format!("/api/v1/messages/{}/{what}", encode(id));
    let view: MessageView = remote.post(&operation, &to, &serde_json::json!({})).await?;
    told(&view, out)
}
