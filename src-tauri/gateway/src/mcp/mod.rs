//! The Model Context Protocol at `/mcp`: the tools of an agent at work.
//!
//! Invariant: only an attempt's own token opens this door, and who speaks comes from that token,
//! never from an argument. No session is kept: a client that comes back after a restart goes on.

mod call;
mod offer;
mod resources;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use engine::{Engine, Speaker};
use http::{HeaderValue, StatusCode, header};
use model::refusal::Code;
use rmcp::handler::server::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, Implementation, ListResourcesResult, ListToolsResult,
    PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities,
    ServerConfig, Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::time::timeout;

use crate::Gate;
use crate::call::{read_bytes, too_slow};
use crate::measure::{Measure, TooMuch};
use crate::problem::Problem;

/// Where the tools are.
pub(crate) const PATH: &str = "/mcp";
/// What the tools are called behind the door.
const HERE: &str = "localhost";
/// The largest message, in bytes.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// How long a call may take to come in.
const BODY_WITHIN: Duration = Duration::from_secs(30);
/// How long a call may take until its answer begins: a question to the captain waits for a while.
const ANSWER_WITHIN: Duration = Duration::from_secs(call::ASK_WAIT_S + 30);
/// What a client is told about us.
const INSTRUCTIONS: &str = "Hivekeeper runs this agent on one mission. Read it with mission_get, say \
    how far you are with report_progress, write what is worth keeping with devlog, ask the human in \
    charge with ask_captain, and say with mission_done that you have finished.";

/// The route of the tools.
pub(crate) fn routes(gate: &Gate) -> Router<Gate> {
    let tools = Tools { engine: gate.engine.clone(), measure: Arc::default() };
    let measure = Arc::clone(&tools.measure);
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(BODY_BYTES_MAX)
        .with_allowed_hosts([HERE])
        .with_allowed_origins([format!("http://{HERE}:*")])
        .enforce_origin_validation();
    let sessions = Arc::new(NeverSessionManager::default());
    let service = StreamableHttpService::new(move || Ok(tools.clone()), sessions, config);
    Router::new().route_service(PATH, service).layer(middleware::from_fn(
        move |request: Request, next: Next| at_work(Arc::clone(&measure), request, next),
    ))
}

/// Lets only an attempt pass whose program may run, and not too often.
async fn at_work(measure: Arc<Measure>, request: Request, next: Next) -> Response {
    let_in(&measure, request, next).await.unwrap_or_else(Problem::into_response)
}

async fn let_in(measure: &Arc<Measure>, request: Request, next: Next) -> Result<Response, Problem> {
    let place = match request.extensions().get::<Speaker>() {
        Some(speaker) if speaker.is_at_work() => measure.enter(speaker.attempt()),
        Some(_) => {
            return Err(Problem::unauthorized("the attempt of this token has come to its end")
                .hint("stop working"));
        }
        None => return Err(Problem::forbidden("these tools are for agents at work")),
    };
    let _place = place.map_err(|TooMuch(wait_s)| {
        Problem::busy("these tools are called too often; nothing was done").retry_after(wait_s)
    })?;
    let (mut parts, body) = request.into_parts();
    // The door has judged by which name it was called, and which page asks; there is one such judge,
    // and what stands behind it is told a name that it knows.
    parts.headers.insert(header::HOST, HeaderValue::from_static(HERE));
    parts.headers.remove(header::ORIGIN);
    // Read here, so that who sends its call too slowly does not hold a connection.
    let read = timeout(BODY_WITHIN, read_bytes(&parts.headers, body, BODY_BYTES_MAX)).await;
    let body = read.unwrap_or_else(|_| Err(too_slow()))?;
    let request = Request::from_parts(parts, Body::from(body));
    match timeout(ANSWER_WITHIN, next.run(request)).await {
        Ok(response) => Ok(response),
        Err(_) => Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            Code::Busy,
            format!("no answer within {} s", ANSWER_WITHIN.as_secs()),
        )
        .hint("call again with the same call_id: it is carried out once")
        .retry_after(1)),
    }
}

/// The tools of every agent; whose they are is in each request.
#[derive(Debug, Clone)]
struct Tools {
    engine: Engine,
    measure: Arc<Measure>,
}

impl ServerHandler for Tools {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().enable_resources().build();
        let name =
            Implementation::new("hivekeeper", self.engine.version()).with_title("Hivekeeper");
        ServerConfig::new(capabilities).with_server_info(name).with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, rmcp::ErrorData> {
        Ok(ListToolsResult::with_all_items(offer::tools().to_vec()))
    }

    async fn list_resources(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, rmcp::ErrorData> {
        Ok(ListResourcesResult::with_all_items(resources::all()))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, rmcp::ErrorData> {
        self.read(&request.uri, &context).await.map(Into::into)
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        offer::tools().iter().find(|tool| tool.name == name).cloned()
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, rmcp::ErrorData> {
        let CallToolRequestParams { name, arguments, .. } = request;
        if self.get_tool(&name).is_none() {
            let message: Cow<'static, str> = format!("there is no tool '{name}'").into();
            return Err(rmcp::ErrorData::invalid_params(message, None));
        }
        self.call(&name, arguments.unwrap_or_default(), context).await.map(Into::into)
    }
}
