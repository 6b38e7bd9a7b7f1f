//! `hivekeeper agent efficiency`.

use std::time::Duration;

use engine::view::{
    EfficiencyChange, EfficiencyPerAccepted, EfficiencyShare, EfficiencyStanding, EfficiencyView,
    Listing,
};

use crate::failure::Failure;
use crate::out::{Out, span, time};
use crate::remote::{Place, Remote};
use crate::selector::encode;

/// Nobody knows it, or there is none.
const NONE: &str = "—";

/// Carries it out: for one agent, or for all of them side by side.
pub(crate) async fn run(
    agent: Option<&str>,
    last: Duration,
    place: &Place,
    out: &mut Out,
) -> Result<(), Failure> {
    const OPERATION: &str = "count what the agents did";
    let remote = Remote::find(place, OPERATION)?;
    let last_s = last.as_secs();
    if let Some(agent) = agent {
        let path = format!("/api/v1/agents/{}/efficiency?last={last_s}", encode(agent));
        let view: EfficiencyView = remote.get(OPERATION, &path).await?;
        return if out.is_json() { out.value(&view) } else { one(&view, out) };
    }
    let path = format!("/api/v1/efficiency?last={last_s}");
    let all: Listing<EfficiencyView> = remote.get(OPERATION, &path).await?;
    if out.is_json() {
        return out.value(&all);
    }
    let Some(first) = all.items.first() else {
        return out.line("no agents yet: create one with 'hivekeeper agent add'");
    };
    stretch(first, out)?;
    let head = [
        "AGENT", "ENDED", "PER HOUR", "SUCCESS", "EVIDENCE", "REWORK", "CYCLE", "TOKENS", "COST",
        "IDLE",
    ];
    out.table(&head, &all.items.iter().map(row).collect::<Vec<_>>())
}

/// Of what time the figures are.
fn stretch(view: &EfficiencyView, out: &mut Out) -> Result<(), Failure> {
    out.line(&format!("from {} to {}", time(view.from), time(view.to)))?;
    if view.cut {
        out.line("more ended in the time that was asked for than is counted at once")?;
    }
    Ok(())
}

fn row(view: &EfficiencyView) -> Vec<String> {
    let it = &view.figures;
    vec![
        view.agent.clone(),
        view.n.to_string(),
        plain(it.missions_per_hour.value),
        share(it.success.value),
        share(it.evidence.value),
        share(it.rework.value),
        length(it.cycle_time.p50),
        used(&it.tokens_per_accepted, whole),
        used(&it.cost_per_accepted, money),
        share(it.idle_share.value),
    ]
}

fn one(view: &EfficiencyView, out: &mut Out) -> Result<(), Failure> {
    stretch(view, out)?;
    let (it, before, peers) = (&view.figures, &view.trend, &view.peers);
    let line = |name: &str, value: String, n: u64, change: &EfficiencyChange, show: Show, peers| {
        vec![name.to_owned(), value, n.to_string(), was(change, show), others(peers, show)]
    };
    let cycle = match it.cycle_time.p90 {
        Some(p90) => format!("{}, nine in ten {}", length(it.cycle_time.p50), length(Some(p90))),
        None => NONE.to_owned(),
    };
    let (tokens, cost) = (&it.tokens_per_accepted, &it.cost_per_accepted);
    let (rate, idle) = (&it.missions_per_hour, &it.idle_share);
    let rows = [
        line(
            "missions per hour",
            plain(rate.value),
            rate.n,
            &before.missions_per_hour,
            plain,
            &peers.missions_per_hour,
        ),
        line("success", between(&it.success), it.success.n, &before.success, share, &peers.success),
        line(
            "evidence",
            between(&it.evidence),
            it.evidence.n,
            &before.evidence,
            share,
            &peers.evidence,
        ),
        line("rework", between(&it.rework), it.rework.n, &before.rework, share, &peers.rework),
        line("cycle time", cycle, it.cycle_time.n, &before.cycle_time, length, &peers.cycle_time),
        line(
            "tokens per accepted",
            used(tokens, whole),
            tokens.n,
            &before.tokens_per_accepted,
            whole,
            &peers.tokens_per_accepted,
        ),
        line(
            "cost per accepted",
            used(cost, money),
            cost.n,
            &before.cost_per_accepted,
            money,
            &peers.cost_per_accepted,
        ),
        line("idle", share(idle.value), idle.n, &before.idle_share, share, &peers.idle_share),
    ];
    out.table(&["FIGURE", "NOW", "CASES", "BEFORE", "OTHERS"], &rows)
}

/// How a figure is written.
type Show = fn(Option<f64>) -> String;

fn plain(value: Option<f64>) -> String {
    value.map_or_else(|| NONE.to_owned(), |value| format!("{value:.2}"))
}

fn whole(value: Option<f64>) -> String {
    value.map_or_else(|| NONE.to_owned(), |value| format!("{value:.0}"))
}

fn share(value: Option<f64>) -> String {
    value.map_or_else(|| NONE.to_owned(), |value| format!("{:.0} %", value * 100.0))
}

fn length(value: Option<f64>) -> String {
    value.map_or_else(|| NONE.to_owned(), span)
}

fn money(value: Option<f64>) -> String {
    value.map_or_else(|| NONE.to_owned(), |value| format!("{value:.4} USD"))
}

/// A share with the interval it lies in.
fn between(found: &EfficiencyShare) -> String {
    match found.low.zip(found.high) {
        Some((low, high)) => {
            format!("{} ({:.0} to {:.0})", share(found.value), low * 100.0, high * 100.0)
        }
        None => NONE.to_owned(),
    }
}

/// Where nobody said what some of it used, it is at least that.
fn used(found: &EfficiencyPerAccepted, show: Show) -> String {
    let least = if found.unknown > 0 && found.value.is_some() { "≥ " } else { "" };
    format!("{least}{}", show(found.value))
}

fn was(change: &EfficiencyChange, show: Show) -> String {
    let percent = change.percent.map(|percent| format!(" ({percent:+.0} % since)"));
    format!("{}{}", show(change.before), percent.unwrap_or_default())
}

fn others(standing: &EfficiencyStanding, show: Show) -> String {
    match standing.rank {
        Some(rank) => {
            let all = standing.n + 1;
            format!("{}, place {rank} of {all}", show(standing.median))
        }
        None if standing.n > 0 => format!("{}, of {}", show(standing.median), standing.n),
        None => NONE.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_no_zero_and_what_is_known_in_part_is_a_lower_bound() {
        let known = |value, unknown| EfficiencyPerAccepted { value, n: 1, unknown };
        assert_eq!(used(&known(None, 2), money), "—");
        assert_eq!(used(&known(Some(0.0), 0), money), "0.0000 USD");
        assert_eq!(used(&known(Some(1_200.4), 1), whole), "≥ 1200");
        let change =
            EfficiencyChange { before: Some(0.5), change: Some(0.25), percent: Some(50.0), n: 4 };
        assert_eq!(was(&change, share), "50 % (+50 % since)");
        let alone = EfficiencyStanding { median: None, n: 0, rank: None };
        assert_eq!(others(&alone, share), "—");
        let second = EfficiencyStanding { median: Some(0.5), n: 3, rank: Some(2) };
        assert_eq!(others(&second, share), "50 %, place 2 of 4");
    }
}
