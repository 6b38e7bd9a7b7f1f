//! One correlation id for everything a request causes: drawn here, in each line of the log that is
//! written on the way, in the events it leads to, and in the answer.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use model::id::{CorrelationId, SystemDraw};
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::Gate;

/// The header of an answer that names what it caused.
pub(crate) const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");

/// Gives a request its id, and writes one line about how it was answered.
pub(crate) async fn correlated(
    State(gate): State<Gate>,
    mut request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    if !crate::is_api(path) {
        return next.run(request).await;
    }
    let id = CorrelationId::draw(gate.engine.clock().now(), &mut SystemDraw);
    let (agent, mission) = (after(path, "agents"), after(path, "missions"));
    let span = tracing::info_span!(
        "request", correlation_id = %id, agent, mission, method = %request.method(), path,
    );
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    request.extensions_mut().insert(id);
    let begun = Instant::now();
    let work = async {
        let response = next.run(request).await;
        let status = response.status().as_u16();
        let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        // Whoever is turned away writes no log: it could have it rotated away.
        match changes && !turned_away(response.status()) {
            true => tracing::info!(status, ms, "answered"),
            false => tracing::debug!(status, ms, "answered"),
        }
        response
    };
    let mut response = work.instrument(span).await;
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert(CORRELATION_ID, value);
    }
    response
}

/// Whether the door let nobody in: what anybody can have as often as it likes, and says nothing of how
/// the engine does.
pub(crate) fn turned_away(status: StatusCode) -> bool {
    [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::TOO_MANY_REQUESTS]
        .contains(&status)
}

/// The name that follows a noun in a path.
fn after<'p>(path: &'p str, noun: &str) -> Option<&'p str> {
    let rest = path.strip_prefix("/api/v1/")?.strip_prefix(noun)?.strip_prefix('/')?;
    rest.split('/').next().filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_the_agent_or_mission_of_its_path() {
        assert_eq!(after("/api/v1/agents/ann/pause", "agents"), Some("ann"));
        assert_eq!(after("/api/v1/agents", "agents"), None);
        assert_eq!(after("/api/v1/missions/M-7K2P", "missions"), Some("M-7K2P"));
        assert_eq!(after("/api/v1/missions/M-7K2P", "agents"), None);
    }
}
