//! A call of a tool: its arguments are read, the engine is asked, and its answer told.

use std::time::Duration;

use engine::{AskState, Proposal, Question, Speaker, ToolCall};
use http::request::Parts;
use model::id::{CorrelationId, MessageId, RequestId, SystemDraw};
use model::refusal::{Code, Refusal};
use rmcp::ErrorData;
use rmcp::model::{CallToolResult, ContentBlock, JsonObject, ProgressNotificationParam};
use rmcp::service::{RequestContext, RoleServer};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};

use super::Tools;

/// How long a call waits for the captain, in seconds: some clients give up after 60.
pub(super) const ASK_WAIT_S: u64 = 45;
/// How often a client is told that the captain has not answered yet.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
struct ProgressArgs {
    percent: Option<u8>,
    note: Option<String>,
}

#[derive(Deserialize)]
struct TextArgs {
    #[serde(alias = "summary")]
    text: String,
}

#[derive(Deserialize)]
struct AskArgs {
    question: String,
    #[serde(default)]
    options: Option<Vec<String>>,
    wait_s: Option<u64>,
}

#[derive(Deserialize)]
struct ResultArgs {
    ask_id: RequestId,
    wait_s: Option<u64>,
}

#[derive(Deserialize)]
struct AcknowledgeArgs {
    message_id: MessageId,
}

#[derive(Deserialize)]
struct SendArgs {
    to: String,
    text: String,
    #[serde(default)]
    urgent: Option<bool>,
}

#[derive(Deserialize)]
struct EvidenceArgs {
    name: String,
    text: String,
}

#[derive(Deserialize)]
struct SearchArgs {
    query: String,
}

#[derive(Deserialize)]
struct ProposeArgs {
    title: String,
    brief: String,
    #[serde(default)]
    criteria: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct CallId {
    call_id: Option<String>,
}

/// Reads what a tool was given.
fn read<T: DeserializeOwned>(arguments: &JsonObject) -> Result<T, Refusal> {
    T::deserialize(Value::Object(arguments.clone())).map_err(|err| {
        Refusal::new(Code::InvalidInput, format!("the arguments cannot be used: {err}"))
            .hint("see the tool's input schema")
    })
}

/// Who asks: put there by the door, from the token.
pub(super) fn speaker(context: &RequestContext<RoleServer>) -> Result<Speaker, ErrorData> {
    let parts = context.extensions.get::<Parts>();
    let speaker = parts.and_then(|parts| parts.extensions.get::<Speaker>().cloned());
    speaker.ok_or_else(|| ErrorData::invalid_request("these tools are for agents at work", None))
}

fn shown(value: impl serde::Serialize) -> Result<Value, Refusal> {
    serde_json::to_value(value).map_err(|err| Refusal::new(Code::Internal, err.to_string()))
}

impl Tools {
    /// Carries a call out. What the engine refuses is told to the agent, which may do it better.
    pub(super) async fn call(
        &self,
        tool: &str,
        arguments: JsonObject,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResult, ErrorData> {
        let who = speaker(&context)?;
        let answer = match read::<CallId>(&arguments) {
            Ok(CallId { call_id }) => {
                let correlation_id = self.correlation_of(&context);
                let call = ToolCall { who: &who, tool, id: call_id.as_deref(), correlation_id };
                self.carry_out(call, &arguments, &context).await
            }
            Err(refusal) => Err(refusal),
        };
        Ok(match answer {
            Ok(value) => CallToolResult::structured(value),
            Err(refusal) => CallToolResult::error(vec![ContentBlock::text(in_words(&refusal))]),
        })
    }

    /// What the log and the answer call this request, so that what it causes is called so as well.
    fn correlation_of(&self, context: &RequestContext<RoleServer>) -> CorrelationId {
        let parts = context.extensions.get::<Parts>();
        let known = parts.and_then(|parts| parts.extensions.get::<CorrelationId>().copied());
        known.unwrap_or_else(|| CorrelationId::draw(self.engine.clock().now(), &mut SystemDraw))
    }

    async fn carry_out(
        &self,
        call: ToolCall<'_>,
        arguments: &JsonObject,
        context: &RequestContext<RoleServer>,
    ) -> Result<Value, Refusal> {
        let engine = &self.engine;
        match call.tool {
            "mission_get" => shown(engine.tool_mission(call.who).await?),
            "report_progress" => {
                let ProgressArgs { percent, note } = read(arguments)?;
                engine.tool_progress(call, percent, note.as_deref()).await?;
                Ok(json!({ "noted": true }))
            }
            "devlog" => {
                let TextArgs { text } = read(arguments)?;
                shown(engine.tool_devlog(call, &text).await?)
            }
            "ask_captain" => {
                let AskArgs { question, options, wait_s } = read(arguments)?;
                let ask = Question { text: question, options: options.unwrap_or_default() };
                let id = engine.tool_ask(call, ask).await?;
                shown(self.answer(call.who, id, wait_s, context).await?)
            }
            "ask_result" => {
                let ResultArgs { ask_id, wait_s } = read(arguments)?;
                shown(self.answer(call.who, ask_id, wait_s, context).await?)
            }
            "inbox_read" => Ok(json!({ "messages": shown(engine.tool_inbox(call).await?)? })),
            "inbox_acknowledge" => {
                let AcknowledgeArgs { message_id } = read(arguments)?;
                engine.tool_acknowledge(call, message_id).await?;
                Ok(json!({ "acknowledged": message_id }))
            }
            "message_send" => {
                let SendArgs { to, text, urgent } = read(arguments)?;
                let id = engine.tool_send(call, &to, text, urgent.unwrap_or(false)).await?;
                Ok(json!({ "message_id": id }))
            }
            "evidence_attach" | "knowledge_search" | "mission_propose" => {
                self.carry_out_more(call, arguments).await
            }
            "mission_done" => {
                let TextArgs { text } = read(arguments)?;
                let taken = engine.tool_done(call, &text).await?;
                Ok(json!({
                    "devlog_id": taken.devlog_id,
                    "next": "end your turn; the gates decide once your program has ended",
                }))
            }
            other => Err(Refusal::new(Code::NotFound, format!("there is no tool '{other}'"))),
        }
    }

    async fn carry_out_more(
        &self,
        call: ToolCall<'_>,
        arguments: &JsonObject,
    ) -> Result<Value, Refusal> {
        let engine = &self.engine;
        match call.tool {
            "evidence_attach" => {
                let EvidenceArgs { name, text } = read(arguments)?;
                shown(engine.tool_evidence(call, &name, &text).await?)
            }
            "knowledge_search" => {
                let SearchArgs { query } = read(arguments)?;
                Ok(json!({ "found": shown(engine.tool_search(call.who, &query).await?)? }))
            }
            _ => {
                let ProposeArgs { title, brief, criteria } = read(arguments)?;
                let criteria = criteria.unwrap_or_default();
                let made = engine.tool_propose(call, Proposal { title, brief, criteria }).await?;
                Ok(json!({ "mission": made, "state": "draft" }))
            }
        }
    }

    /// Waits for the captain's answer, and lets the client know that it is waited for.
    async fn answer(
        &self,
        who: &Speaker,
        id: RequestId,
        wait_s: Option<u64>,
        context: &RequestContext<RoleServer>,
    ) -> Result<AskState, Refusal> {
        let Some(_place) = self.measure.wait(who.attempt()) else {
            return Err(Refusal::new(Code::Busy, "too many of your calls wait for the captain")
                .hint("wait for one of them to end"));
        };
        let wait = Duration::from_secs(wait_s.unwrap_or(ASK_WAIT_S).min(ASK_WAIT_S));
        let answer = self.engine.tool_answer(who, id, wait);
        tokio::pin!(answer);
        let token = context.meta.get_progress_token().filter(|_| !wait.is_zero());
        let mut ticks = interval(PROGRESS_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = 0u32;
        loop {
            let due = async {
                match &token {
                    Some(token) => {
                        ticks.tick().await;
                        token.clone()
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                state = &mut answer => return state,
                // The client went away; the question stays in the captain's inbox.
                () = context.ct.cancelled() => return Ok(AskState::Pending { ask_id: id }),
                token = due => {
                    told += 1;
                    let told = ProgressNotificationParam::new(token, f64::from(told))
                        .with_message("the captain has not answered yet");
                    // Who does not listen any more is seen above.
                    let _ = context.peer.notify_progress(told).await;
                }
            }
        }
    }
}

pub(super) fn in_words(refusal: &Refusal) -> String {
    match &refusal.hint {
        Some(hint) => format!("{}; {hint}", refusal.message),
        None => refusal.message.clone(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_missing_or_of_another_type_is_named() {
        let arguments = |value: Value| value.as_object().unwrap().clone();
        let refusal = read::<SendArgs>(&arguments(json!({"to": "ann"}))).err().unwrap();
        assert!(refusal.message.contains("text"), "{refusal:?}");
        assert!(read::<ResultArgs>(&arguments(json!({"ask_id": "7"}))).is_err());
        assert!(read::<ProgressArgs>(&arguments(json!({"percent": 300}))).is_err());
        let both = arguments(json!({"note": "x", "agent_id": "somebody else"}));
        assert!(read::<ProgressArgs>(&both).is_ok(), "what is not asked for is not looked at");
    }

    proptest! {
        #[test]
        fn no_arguments_panic(key in "[a-z_]{0,12}", text: String, number: f64) {
            for value in [json!(text), json!(number), json!([text]), json!({"a": null})] {
                let arguments = JsonObject::from_iter([(key.clone(), value)]);
                let _ = (read::<AskArgs>(&arguments), read::<TextArgs>(&arguments));
                let _ = (read::<SendArgs>(&arguments), read::<CallId>(&arguments));
            }
        }
    }
}
