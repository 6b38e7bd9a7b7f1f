//! The live stream: numbered frames as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use engine::live::{Frame, LiveFrom};
use futures::StreamExt;
use http::HeaderMap;

use crate::Gate;
use crate::params::Params;
use crate::problem::Problem;

/// How often something is sent although there is nothing to say.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Listens to what happens.
///
/// Server-sent events: each has the id `EPOCH:SEQ` and a frame as data. A listener that comes back
/// with `Last-Event-ID`, or with `epoch` and `since`, gets everything after it, or a frame of kind
/// `reset` that tells it to read everything afresh.
#[utoipa::path(
    get, path = "/api/v1/live", tag = "events",
    params(
        ("epoch" = Option<String>, Query, description = "The epoch of the last frame seen."),
        ("since" = Option<u64>, Query, description = "The number of the last frame seen."),
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last frame seen."),
    ),
    responses((status = 200, description = "The stream.", body = Frame,
        content_type = "text/event-stream")),
)]
pub(crate) async fn listen(
    State(gate): State<Gate>,
    headers: HeaderMap,
    mut params: Params,
) -> Result<Response, Problem> {
    let epoch = params.text("epoch")?;
    let since = params.number("since", 0..=u64::MAX)?;
    params.done()?;
    let from = match last_event_id(&headers) {
        Some((epoch, since)) => LiveFrom { epoch: Some(epoch), since: Some(since) },
        None => LiveFrom { epoch, since },
    };
    let epoch = gate.engine.epoch().to_owned();
    let frames = gate.engine.live(&from).map(move |frame| {
        let event = Event::default().id(format!("{epoch}:{}", frame.seq)).data(&*frame.json);
        Ok::<_, Infallible>(event)
    });
    let stream = Sse::new(frames).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    Ok(stream.into_response())
}

/// The frame a browser saw last before it lost the connection.
fn last_event_id(headers: &HeaderMap) -> Option<(String, u64)> {
    let id = headers.get("last-event-id")?.to_str().ok()?;
    let (epoch, seq) = id.rsplit_once(':')?;
    Some((epoch.to_owned(), seq.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_event_id_names_epoch_and_number_or_nothing() {
        let check = |id: &'static str, read: Option<(&str, u64)>| {
            let mut headers = HeaderMap::new();
            headers.insert("last-event-id", http::HeaderValue::from_static(id));
            let seen = last_event_id(&headers);
            assert_eq!(seen.as_ref().map(|(epoch, seq)| (epoch.as_str(), *seq)), read, "{id}");
        };
        check("e1:7", Some(("e1", 7)));
        check("a:b:7", Some(("a:b", 7)));
        check("7", None);
        check("e1:x", None);
        check("e1:-1", None);
    }
}
