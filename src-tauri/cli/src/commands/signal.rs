//! `hivekeeper signal`.

use engine::view::Listing;
use model::signal::SeriesRange;
use serde::{Deserialize, Serialize};

use crate::args::{QuerySignal, Signal};
use crate::failure::Failure;
use crate::out::{Out, time};
use crate::remote::{Place, Remote};
use crate::selector::encode;

/// A signal of the catalogue, as the API shows it.
#[derive(Debug, Serialize, Deserialize)]
struct Known {
    name: String,
    unit: String,
    kind: String,
    resolution: f64,
    labels: Vec<String>,
    description: String,
}

/// Carries it out.
pub(crate) async fn run(command: Signal, place: &Place, out: &mut Out) -> Result<(), Failure> {
    match command {
        Signal::List => list(place, out).await,
        Signal::Query(args) => query(&args, place, out).await,
    }
}

async fn list(place: &Place, out: &mut Out) -> Result<(), Failure> {
    const OPERATION: &str = "list the signals";
    let remote = Remote::find(place, OPERATION)?;
    let signals: Listing<Known> = remote.get(OPERATION, "/api/v1/signals").await?;
    if out.is_json() {
        return out.value(&signals);
    }
    let rows: Vec<Vec<String>> = signals
        .items
        .into_iter()
        .map(|signal| vec![signal.name, signal.unit, signal.labels.join(", "), signal.description])
        .collect();
    out.table(&["NAME", "UNIT", "LABELS", "WHAT IT SAYS"], &rows)
}

async fn query(args: &QuerySignal, place: &Place, out: &mut Out) -> Result<(), Failure> {
    let operation = format!("read the signal {}", args.signal.name);
    let remote = Remote::find(place, &operation)?;
    let mut path = format!(
        "/api/v1/signals/range?name={}&last={}&points={}",
        encode(&args.signal.name),
        args.last.as_secs().max(1),
        args.points
    );
    for (label, value) in &args.signal.labels {
        path.push_str(&format!("&label={}", encode(&format!("{label}:{value}"))));
    }
    let ranges: Listing<SeriesRange> = remote.get(&operation, &path).await?;
    if out.is_json() {
        return out.value(&ranges);
    }
    if ranges.items.is_empty() {
        return out.line("nothing was measured in that time");
    }
    for range in &ranges.items {
        show(range, out)?;
    }
    Ok(())
}

fn show(range: &SeriesRange, out: &mut Out) -> Result<(), Failure> {
    let labels: Vec<String> =
        range.key.labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
    let braces = match labels.is_empty() {
        true => String::new(),
        false => format!("{{{}}}", labels.join(",")),
    };
    out.line(&format!("{}{braces} {}", range.key.name, range.unit))?;
    let rows: Vec<Vec<String>> = range
        .buckets
        .iter()
        .map(|bucket| {
            vec![
                time(bucket.at),
                format!("{:.2}", bucket.min),
                format!("{:.2}", bucket.mean),
                format!("{:.2}", bucket.max),
                format!("{:.2}", bucket.last),
                bucket.count.to_string(),
            ]
        })
        .collect();
    out.table(&["FROM", "MIN", "MEAN", "MAX", "LAST", "SAMPLES"], &rows)
}
