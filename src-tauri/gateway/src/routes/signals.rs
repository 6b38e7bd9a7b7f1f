//! Signals: what was measured.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use engine::view::Listing;
use engine::{
    KnownSeries, QUESTION_DEADLINE, QUESTION_DEADLINE_MAX, SignalAnswer, SignalAsk, SignalQuery,
    SignalQuestion, TopBy, When,
};
use http::{HeaderMap, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use model::signal::{SeriesRange, Signal};

use crate::Gate;
use crate::params::{Name, Params};
use crate::problem::Problem;

mod table;

/// How far back a query reaches unless it says so, in seconds.
const LAST_S_DEFAULT: u32 = 600;
/// The furthest a query reaches back, in seconds: ten years.
const LAST_S_MAX: u32 = 10 * 366 * 24 * 3_600;
/// Buckets per series unless the request says how many.
const POINTS_DEFAULT: u32 = 200;
/// The most buckets per series.
const POINTS_MAX: u32 = 2_000;
/// The longest look-back, in seconds: a day.
const LOOKBACK_S_MAX: u32 = 86_400;
/// The most series of `top`.
const TOP_MAX: u32 = 500;

/// Lists the signals.
///
/// The catalogue of what the engine measures.
#[utoipa::path(
    get, path = "/api/v1/signals", tag = "signals",
    responses((status = 200, description = "The catalogue.", body = Listing<Signal>)),
)]
pub(crate) async fn list_signals(State(gate): State<Gate>) -> Json<Listing<Signal>> {
    Json(Listing { items: gate.engine.signals().to_vec(), next: None })
}

/// Lists series.
///
/// Every series that a selector finds, with its latest sample.
#[utoipa::path(
    get, path = "/api/v1/signals/series", tag = "signals",
    params(
        ("match" = String, Query, description = "The selector, such as `agent_cpu_percent` or `{agent=\"a1\"}`."),
        ("cursor" = Option<String>, Query, description = "Where the page before ended."),
    ),
    responses((status = 200, description = "The series.", body = Listing<KnownSeries>)),
)]
pub(crate) async fn list_series(
    State(gate): State<Gate>,
    mut params: Params,
) -> Result<Json<Listing<KnownSeries>>, Problem> {
    let selector = params.text("match")?.ok_or_else(|| Problem::invalid("'match' is missing"))?;
    let cursor = params.text("cursor")?;
    params.done()?;
    Ok(Json(gate.engine.signal_series(&selector, cursor.as_deref())?))
}

/// Evaluates an expression at a moment.
///
/// The language is PromQL's as far as it goes (`docs/query.md`); what it does not have is refused with
/// its `position`. A series has one bucket, whose values are all the same.
#[utoipa::path(
    get, path = "/api/v1/signals/query", tag = "signals",
    params(
        ("expr" = String, Query, description = "The expression, such as `topk(3, avg_over_time(agent_cpu_percent[5m]))`."),
        ("at" = Option<String>, Query, description = "The moment, RFC 3339; now unless given."),
        ("lookback" = Option<u32>, Query, description = "For how many seconds a sample counts as present; by the intervals of the series unless given, 300 is Prometheus' own."),
        ("timeout" = Option<u32>, Query, description = "How many seconds it may take, 1 to 25; 10 unless given."),
        ("format" = Option<String>, Query, description = "json or csv; as `Accept` says unless given."),
    ),
    responses((status = 200, description = "The series.",
        content((SignalAnswer = "application/json"), (String = "text/csv")))),
)]
pub(crate) async fn query_moment(
    State(gate): State<Gate>,
    headers: HeaderMap,
    mut params: Params,
) -> Result<Response, Problem> {
    let at = params.time("at")?.unwrap_or_else(|| gate.engine.clock().now());
    answer(&gate, &headers, params, When::At(at), None).await
}

/// Evaluates an expression over a range of time.
///
/// The range is `from` and `to`, or the `last` seconds. Each column holds the smallest, largest, mean
/// and last value and how many there are: of a plain signal of everything that was measured in it, of
/// any other expression of up to ten moments. `step` asks for single moments instead, as Prometheus
/// answers. What was not measured is not there: a gap stays a gap.
#[utoipa::path(
    get, path = "/api/v1/signals/query_range", tag = "signals",
    params(
        ("expr" = String, Query, description = "The expression, such as `sum by (agent) (rate(agent_output_bytes_total[1m]))`."),
        ("from" = Option<String>, Query, description = "The start of the range, RFC 3339."),
        ("to" = Option<String>, Query, description = "Its end, RFC 3339; now unless given."),
        ("last" = Option<u32>, Query, description = "The length of a range that ends now, in seconds; 600 unless given."),
        ("points" = Option<u32>, Query, description = "How many columns, 1 to 2000; 200 unless given."),
        ("step" = Option<u32>, Query, description = "Moments so many seconds apart, instead of columns."),
        ("lookback" = Option<u32>, Query, description = "For how many seconds a sample counts as present; by the intervals of the series unless given, 300 is Prometheus' own."),
        ("top" = Option<u32>, Query, description = "Only so many series, 1 to 500, ranked over the whole range."),
        ("top_by" = Option<String>, Query, description = "By what they are ranked: mean, max, min (smallest first) or last; mean unless given."),
        ("timeout" = Option<u32>, Query, description = "How many seconds it may take, 1 to 25; 10 unless given."),
        ("format" = Option<String>, Query, description = "json or csv; as `Accept` says unless given."),
    ),
    responses((status = 200, description = "The series.",
        content((SignalAnswer = "application/json"), (String = "text/csv")))),
)]
pub(crate) async fn query_range(
    State(gate): State<Gate>,
    headers: HeaderMap,
    mut params: Params,
) -> Result<Response, Problem> {
    let (from, to) = range(&mut params, gate.engine.clock().now())?;
    let points = params.number("points", 1..=POINTS_MAX)?;
    let step = params.number("step", 1..=LAST_S_MAX)?;
    let when = match (points, step) {
        (Some(_), Some(_)) => {
            return Err(Problem::invalid("give either 'points' or 'step', not both"));
        }
        (_, Some(step)) => When::Steps { from, to, step_ms: u64::from(step) * 1000 },
        (points, None) => When::Across { from, to, points: points.unwrap_or(POINTS_DEFAULT) },
    };
    let top = params.number("top", 1..=TOP_MAX)?;
    let by = match params.text("top_by")?.as_deref() {
        None | Some("mean") => TopBy::Mean,
        Some("max") => TopBy::Max,
        Some("min") => TopBy::Min,
        Some("last") => TopBy::Last,
        Some(other) => {
            return Err(Problem::invalid(format!(
                "'top_by={other}' is not mean, max, min or last"
            )));
        }
    };
    answer(&gate, &headers, params, when, top.map(|top| (top, by))).await
}

/// What all expressions have in common.
async fn answer(
    gate: &Gate,
    headers: &HeaderMap,
    mut params: Params,
    when: When,
    top: Option<(u32, TopBy)>,
) -> Result<Response, Problem> {
    let csv = wants_csv(params.text("format")?.as_deref(), headers)?;
    let expr = params.text("expr")?.ok_or_else(|| Problem::invalid("'expr' is missing"))?;
    let lookback_s = params.number("lookback", 1..=LOOKBACK_S_MAX)?;
    let longest = u32::try_from(QUESTION_DEADLINE_MAX.as_secs()).unwrap_or(u32::MAX);
    let timeout_s = params.number("timeout", 1..=longest)?;
    params.done()?;
    let ask = SignalAsk {
        expr,
        when,
        lookback_ms: lookback_s.map(|seconds| seconds * 1000),
        top,
        deadline: timeout_s.map_or(QUESTION_DEADLINE, |it| Duration::from_secs(it.into())),
    };
    let answer = gate.engine.ask_signals(ask).await?;
    if !csv {
        return Ok(Json(answer).into_response());
    }
    let text = table::csv(&answer);
    Ok(([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], text).into_response())
}

fn wants_csv(format: Option<&str>, headers: &HeaderMap) -> Result<bool, Problem> {
    match format {
        Some("csv") => Ok(true),
        Some("json") => Ok(false),
        Some(other) => Err(Problem::invalid(format!("'format={other}' is neither json nor csv"))),
        None => {
            let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
            Ok(accept
                .is_some_and(|accept| accept.split([',', ';']).any(|it| it.trim() == "text/csv")))
        }
    }
}

/// Lists the questions that are being answered.
///
/// With how far each has come.
#[utoipa::path(
    get, path = "/api/v1/signals/questions", tag = "signals",
    responses((status = 200, description = "The questions.", body = Listing<SignalQuestion>)),
)]
pub(crate) async fn list_questions(State(gate): State<Gate>) -> Json<Listing<SignalQuestion>> {
    Json(gate.engine.signal_questions())
}

/// Gives up a question that is being answered.
///
/// A question whose request is dropped is given up by itself.
#[utoipa::path(
    delete, path = "/api/v1/signals/questions/{id}", tag = "signals",
    params(("id" = String, Path, description = "The question's number.")),
    responses((status = 204, description = "It will end.")),
)]
pub(crate) async fn cancel_question(
    State(gate): State<Gate>,
    name: Name,
) -> Result<StatusCode, Problem> {
    let id: u64 = name.parse("a question")?;
    gate.engine.cancel_signal_question(id)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Reads a signal over a range of time.
///
/// Every series of that name with those labels, as smallest, largest, mean and last value per
/// bucket. The range is `from` and `to`, or the `last` seconds.
#[utoipa::path(
    get, path = "/api/v1/signals/range", tag = "signals",
    params(
        ("name" = String, Query, description = "The signal's name."),
        ("label" = Option<Vec<String>>, Query, description = "Only series with this label, as key:value; may be repeated."),
        ("from" = Option<String>, Query, description = "The start of the range, RFC 3339."),
        ("to" = Option<String>, Query, description = "Its end, RFC 3339; now unless given."),
        ("last" = Option<u32>, Query, description = "The length of a range that ends now, in seconds; 600 unless given."),
        ("points" = Option<u32>, Query, description = "How many buckets, 1 to 2000; 200 unless given."),
    ),
    responses((status = 200, description = "The series.", body = Listing<SeriesRange>)),
)]
pub(crate) async fn query_signal(
    State(gate): State<Gate>,
    mut params: Params,
) -> Result<Json<Listing<SeriesRange>>, Problem> {
    let (from, to) = range(&mut params, gate.engine.clock().now())?;
    let name = params.text("name")?;
    let query = SignalQuery {
        name: name.ok_or_else(|| Problem::invalid("'name' is missing"))?,
        labels: labels(&params.all("label"))?,
        to,
        from,
        points: params.number("points", 1..=POINTS_MAX)?.unwrap_or(POINTS_DEFAULT),
    };
    params.done()?;
    let items = gate.engine.range(query).await?;
    Ok(Json(Listing { items, next: None }))
}

/// `from` and `to`, or the `last` seconds.
fn range(params: &mut Params, now: Timestamp) -> Result<(Timestamp, Timestamp), Problem> {
    let last = params.number("last", 1..=LAST_S_MAX)?;
    let from = params.time("from")?;
    let to = params.time("to")?.unwrap_or(now);
    let from = match (from, last) {
        (Some(_), Some(_)) => {
            return Err(Problem::invalid("give either 'from' or 'last', not both"));
        }
        (Some(from), None) => from,
        (None, last) => {
            let last = SignedDuration::from_secs(last.unwrap_or(LAST_S_DEFAULT).into());
            now.saturating_sub(last)
                .map_err(|error| Problem::invalid(format!("'last': {error}")))?
        }
    };
    Ok((from, to))
}

fn labels(pairs: &[String]) -> Result<BTreeMap<String, String>, Problem> {
    pairs
        .iter()
        .map(|pair| {
            pair.split_once(':')
                .filter(|(key, _)| !key.is_empty())
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .ok_or_else(|| Problem::invalid(format!("'label={pair}' is not key:value")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_split_at_its_first_colon() {
        let read = labels(&["agent:a:b".into(), "zone:".into()]).unwrap();
        assert_eq!(read["agent"], "a:b");
        assert_eq!(read["zone"], "");
        assert!(labels(&["agent".into()]).is_err());
        assert!(labels(&[":x".into()]).is_err());
    }
}
