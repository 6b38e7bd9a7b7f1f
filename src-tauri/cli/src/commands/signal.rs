//! `hivekeeper signal`.

use engine::view::Listing;
use engine::{AnsweredSeries, SignalAnswer};
use serde::{Deserialize, Serialize};

use crate::args::{QuerySignal, Signal};
use crate::failure::Failure;
use crate::out::{Out, remark, time};
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
    const OPERATION: &str = "evaluate the expression";
    let remote = Remote::find(place, OPERATION)?;
    let mut path = format!(
        "/api/v1/signals/query_range?expr={}&last={}&points={}",
        encode(&args.expr),
        args.last.as_secs().max(1),
        args.points
    );
    if let Some(top) = args.top {
        path.push_str(&format!("&top={top}"));
    }
    if args.csv {
        path.push_str("&format=csv");
        let answer = remote.get_raw(OPERATION, &path).await?;
        return out.raw(&answer.body);
    }
    let answer: SignalAnswer = remote.get(OPERATION, &path).await?;
    if out.is_json() {
        return out.value(&answer);
    }
    for note in &answer.notes {
        remark(note);
    }
    if answer.series.is_empty() {
        return out.line("nothing was measured in that time");
    }
    for series in &answer.series {
        show(series, out)?;
    }
    if answer.left_out > 0 {
        out.line(&format!("{} more series were left out", answer.left_out))?;
    }
    Ok(())
}

fn show(series: &AnsweredSeries, out: &mut Out) -> Result<(), Failure> {
    let name = series.labels.get("__name__").map_or("", String::as_str);
    let labels = series.labels.iter().filter(|(label, _)| *label != "__name__");
    let labels: Vec<String> = labels.map(|(label, value)| format!("{label}=\"{value}\"")).collect();
    let braces = match labels.is_empty() && !name.is_empty() {
        true => String::new(),
        false => format!("{{{}}}", labels.join(",")),
    };
    out.line(&format!("{name}{braces} {}", series.unit))?;
    let rows: Vec<Vec<String>> = series
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
    out.table(&["FROM", "MIN", "MEAN", "MAX", "LAST", "COUNT"], &rows)
}
