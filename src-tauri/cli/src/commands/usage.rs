//! `hivekeeper usage`.

use engine::view::UsageView;

use crate::args::Usage;
use crate::commands::conversation::used;
use crate::commands::logs;
use crate::failure::Failure;
use crate::out::{Out, word};
use crate::remote::{Place, Remote};

/// Carries it out.
pub(crate) async fn run(args: &Usage, place: &Place, out: &mut Out) -> Result<(), Failure> {
    let id = &args.which.mission;
    let operation = format!("say what {id} has used");
    let remote = Remote::find(place, &operation)?;
    let attempt = logs::find(id, args.attempt, false, &remote, &operation).await?.attempt.id;
    let view: UsageView =
        remote.get(&operation, &format!("/api/v1/attempts/{attempt}/usage")).await?;
    if out.is_json() {
        return out.value(&view);
    }
    let Some(best) = &view.best else {
        out.line("nobody said what it used: that is unknown, not nothing")?;
        return tools(&view, out);
    };
    let tokens = used(&best.tokens);
    let context = best.context.map(|context| match context.percent() {
        Some(percent) => format!("{} of {} ({percent} %)", context.used, context.size),
        None => context.used.to_string(),
    });
    out.pairs(&[
        ("tokens", tokens.trim_start_matches("-- tokens: ").to_owned()),
        ("according to", word(&best.source)),
        ("model", best.model.clone().unwrap_or_default()),
        ("cost, as it says", money(best.reported_cost_micros)),
        ("cost, by our prices", money(best.own_cost_micros)),
        ("prices of", best.prices_of.clone().unwrap_or_default()),
        ("context", context.unwrap_or_default()),
        ("turns", best.turns.to_string()),
    ])?;
    tools(&view, out)
}

fn tools(view: &UsageView, out: &mut Out) -> Result<(), Failure> {
    let calls = &view.tool_calls;
    out.line(&format!(
        "tool calls: {}, of which {} failed, {} were slow, {} are under way",
        calls.total, calls.failed, calls.slow, calls.running
    ))
}

/// Millionths of a US dollar; empty where nobody knows.
fn money(micros: Option<u64>) -> String {
    micros.map_or_else(String::new, |micros| {
        format!("{}.{:04} USD", micros / 1_000_000, micros % 1_000_000 / 100)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_knows_is_not_shown_as_nothing() {
        assert_eq!(money(None), "");
        assert_eq!(money(Some(0)), "0.0000 USD");
        assert_eq!(money(Some(1_234_567)), "1.2345 USD");
    }
}
