//! What is sent to an agent: lines of JSON-RPC, built from the protocol's own types.
//!
//! What comes back is read by hand instead (see `read`): those types refuse a whole answer for one
//! word they do not know.

use std::collections::BTreeMap;

use agent_client_protocol_schema::ProtocolVersion;
use agent_client_protocol_schema::rpc::{
    JsonRpcMessage, Notification, Request, RequestId, Response,
};
use agent_client_protocol_schema::v1::{
    AGENT_METHOD_NAMES, BooleanConfigOptionCapabilities, CancelNotification, ClientCapabilities,
    ClientSessionCapabilities, CloseSessionRequest, CompactionCapabilities, ContentBlock,
    CreateElicitationResponse, ElicitationAcceptAction, ElicitationAction, ElicitationCapabilities,
    ElicitationContentValue, ElicitationFormCapabilities, ElicitationUrlCapabilities, Error,
    HttpHeader, Implementation, InitializeRequest, LoadSessionRequest, McpServer, McpServerHttp,
    NewSessionRequest, NoticeCapabilities, PromptRequest, RequestPermissionOutcome,
    RequestPermissionResponse, SelectedPermissionOutcome, SessionConfigOptionValue,
    SessionConfigOptionsCapabilities, SetSessionConfigOptionRequest, SetSessionModeRequest,
    TextContent,
};
use serde::Serialize;
use serde_json::Value;

use crate::runtime::OwnTools;
use crate::runtime::ways::Setting;

/// The name our own tools are known by.
pub(super) const SERVER_NAME: &str = "hivekeeper";
/// The code of an error that means: no such method.
const METHOD_NOT_FOUND: i32 = -32601;
/// The code of an error that means: the request was called off.
const REQUEST_CANCELLED: i32 = -32800;

/// `initialize`: version 1, neither files nor terminals offered, notices and compaction understood.
pub(super) fn initialize(id: i64, meta: &serde_json::Map<String, Value>) -> String {
    let boolean = BooleanConfigOptionCapabilities::new();
    let session = ClientSessionCapabilities::new()
        .notices(NoticeCapabilities::new())
        .compaction(CompactionCapabilities::new())
        .config_options(SessionConfigOptionsCapabilities::new().boolean(boolean));
    let elicitation = ElicitationCapabilities::new()
        .form(ElicitationFormCapabilities::new())
        .url(ElicitationUrlCapabilities::new());
    let mut abilities = ClientCapabilities::new().session(session).elicitation(elicitation);
    if !meta.is_empty() {
        abilities = abilities.meta(meta.clone());
    }
    let us =
        Implementation::new(SERVER_NAME, env!("CARGO_PKG_VERSION")).title("Hivekeeper".to_owned());
    let params =
        InitializeRequest::new(ProtocolVersion::V1).client_capabilities(abilities).client_info(us);
    request(id, AGENT_METHOD_NAMES.initialize, params)
}

/// `session/new`.
pub(super) fn new_session(id: i64, directory: &str, tools: Option<&OwnTools>) -> String {
    let params = NewSessionRequest::new(directory).mcp_servers(servers(tools));
    request(id, AGENT_METHOD_NAMES.session_new, params)
}

/// `session/load`.
pub(super) fn load_session(
    id: i64,
    session: &str,
    directory: &str,
    tools: Option<&OwnTools>,
) -> String {
    let params = LoadSessionRequest::new(session.to_owned(), directory).mcp_servers(servers(tools));
    request(id, AGENT_METHOD_NAMES.session_load, params)
}

fn servers(tools: Option<&OwnTools>) -> Vec<McpServer> {
    let Some(tools) = tools else { return Vec::new() };
    let token = HttpHeader::new("Authorization", format!("Bearer {}", tools.token));
    vec![McpServer::Http(McpServerHttp::new(SERVER_NAME, tools.url.clone()).headers(vec![token]))]
}

/// `session/set_mode` or `session/set_config_option`; `boolean` where the option is switched on or off.
pub(super) fn setting(id: i64, session: &str, setting: &Setting, boolean: bool) -> String {
    match setting {
        Setting::Mode { mode } => {
            let params = SetSessionModeRequest::new(session.to_owned(), mode.clone());
            request(id, AGENT_METHOD_NAMES.session_set_mode, params)
        }
        Setting::Option { option, value } => {
            let value = if boolean {
                SessionConfigOptionValue::boolean(matches!(value.as_str(), "on" | "true" | "yes"))
            } else {
                SessionConfigOptionValue::value_id(value.clone())
            };
            let params =
                SetSessionConfigOptionRequest::new(session.to_owned(), option.clone(), value);
            request(id, AGENT_METHOD_NAMES.session_set_config_option, params)
        }
    }
}

/// `session/prompt`.
pub(super) fn prompt(id: i64, session: &str, text: &str) -> String {
    let content = vec![ContentBlock::Text(TextContent::new(text))];
    request(id, AGENT_METHOD_NAMES.session_prompt, PromptRequest::new(session.to_owned(), content))
}

/// `session/cancel`.
pub(super) fn cancel(session: &str) -> String {
    let params = CancelNotification::new(session.to_owned());
    let method = AGENT_METHOD_NAMES.session_cancel.into();
    line(&JsonRpcMessage::wrap(Notification { method, params: Some(params) }))
}

/// `session/close`.
pub(super) fn close_session(id: i64, session: &str) -> String {
    request(id, AGENT_METHOD_NAMES.session_close, CloseSessionRequest::new(session.to_owned()))
}

/// The answer to `session/request_permission`: the option that was chosen, or that nothing was.
pub(super) fn permission(id: &Value, option: Option<&str>) -> String {
    let outcome = option.map_or(RequestPermissionOutcome::Cancelled, |option| {
        RequestPermissionOutcome::Selected(SelectedPermissionOutcome::new(option.to_owned()))
    });
    answer(id, RequestPermissionResponse::new(outcome))
}

/// What is answered to `elicitation/create`.
pub(super) enum Reply {
    /// The question is answered by these fields.
    Accept(BTreeMap<String, ElicitationContentValue>),
    /// The captain will not answer.
    Decline,
    /// Nobody answers.
    Cancel,
}

/// The answer to `elicitation/create`.
pub(super) fn elicitation(id: &Value, reply: Reply) -> String {
    let action = match reply {
        Reply::Accept(fields) => {
            ElicitationAction::Accept(ElicitationAcceptAction::new().content(fields))
        }
        Reply::Decline => ElicitationAction::Decline,
        Reply::Cancel => ElicitationAction::Cancel,
    };
    answer(id, CreateElicitationResponse::new(action))
}

/// Refuses a request for something that is not offered.
pub(super) fn not_offered(id: &Value, method: &str) -> String {
    refuse(id, METHOD_NOT_FOUND, &format!("Hivekeeper does not offer {method}"))
}

/// Tells an agent that took its own request back that it is gone.
pub(super) fn taken_back(id: &Value) -> String {
    refuse(id, REQUEST_CANCELLED, "the request was taken back")
}

fn refuse(id: &Value, code: i32, why: &str) -> String {
    let response: Response<Value> = Response::Error { id: their(id), error: Error::new(code, why) };
    line(&JsonRpcMessage::wrap(response))
}

fn answer(id: &Value, result: impl Serialize) -> String {
    let response: Response<_> = Response::Result { id: their(id), result };
    line(&JsonRpcMessage::wrap(response))
}

fn request(id: i64, method: &str, params: impl Serialize) -> String {
    let request =
        Request { id: RequestId::Number(id), method: method.into(), params: Some(params) };
    line(&JsonRpcMessage::wrap(request))
}

/// An id as the agent wrote it; one that is neither a number nor a text is answered as if it had none.
fn their(id: &Value) -> RequestId {
    match id {
        Value::String(text) => RequestId::Str(text.clone()),
        other => other.as_i64().map_or(RequestId::Null, RequestId::Number),
    }
}

fn line(message: &impl Serialize) -> String {
    serde_json::to_string(message).expect("the protocol's types have text keys and no floats")
}
