//! Signals: what was measured.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use engine::SignalQuery;
use engine::view::Listing;
use jiff::SignedDuration;
use model::signal::{SeriesRange, Signal};

use crate::Gate;
use crate::params::Params;
use crate::problem::Problem;

/// How far back a query reaches unless it says so, in seconds.
const LAST_S_DEFAULT: u32 = 600;
/// The furthest a query reaches back, in seconds: ten years.
const LAST_S_MAX: u32 = 10 * 366 * 24 * 3_600;
/// Buckets per series unless the request says how many.
const POINTS_DEFAULT: u32 = 200;
/// The most buckets per series.
const POINTS_MAX: u32 = 2_000;

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
    let now = gate.engine.clock().now();
    let name = params.text("name")?;
    let last = params.number("last", 1..=LAST_S_MAX)?;
    let from = params.time("from")?;
    let query = SignalQuery {
        name: name.ok_or_else(|| Problem::invalid("'name' is missing"))?,
        labels: labels(&params.all("label"))?,
        to: params.time("to")?.unwrap_or(now),
        from: match (from, last) {
            (Some(_), Some(_)) => {
                return Err(Problem::invalid("give either 'from' or 'last', not both"));
            }
            (Some(from), None) => from,
            (None, last) => {
                let last = SignedDuration::from_secs(last.unwrap_or(LAST_S_DEFAULT).into());
                now.saturating_sub(last)
                    .map_err(|error| Problem::invalid(format!("'last': {error}")))?
            }
        },
        points: params.number("points", 1..=POINTS_MAX)?.unwrap_or(POINTS_DEFAULT),
    };
    params.done()?;
    let items = gate.engine.range(query).await?;
    Ok(Json(Listing { items, next: None }))
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
