//! What aider says of its use, among its text:
//! `Tokens: 2.3k sent, 1.1k cache hit, 50 received. Cost: $0.0010 message, $0.0020 session.`

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Value, json};

use super::heard::Heard;

static FIGURE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"([0-9][0-9.,]*)([kM]?) (sent|received|cache write|cache hit)")
        .expect("a test reads the pattern")
});
static COST: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\$([0-9.]+) message").expect("a test reads the pattern"));

/// The figures of a line, for the meter.
pub(super) fn figures(line: &str) -> Option<Heard> {
    let said = line.strip_prefix("Tokens: ")?;
    let mut value = serde_json::Map::new();
    for figure in FIGURE.captures_iter(said) {
        let number: f64 = figure[1].replace(',', "").trim_end_matches('.').parse().ok()?;
        let scale = match &figure[2] {
            "k" => 1_000.0,
            "M" => 1_000_000.0,
            _ => 1.0,
        };
        // Below 2^53 in any line of this length that a program prints.
        let whole = (number * scale).round().clamp(0.0, 1e15) as u64;
        value.insert(figure[3].replace(' ', "_"), json!(whole));
    }
    let of = |name: &str| value.get(name).and_then(Value::as_u64).unwrap_or_default();
    // What was sent holds what came from the cache and what was put there.
    let uncached = of("sent").saturating_sub(of("cache_hit")).saturating_sub(of("cache_write"));
    if value.contains_key("sent") {
        value.insert("uncached".to_owned(), json!(uncached));
    }
    if let Some(cost) = COST.captures(said).and_then(|cost| cost[1].parse::<f64>().ok()) {
        value.insert("cost".to_owned(), json!(cost));
    }
    let known = !value.is_empty();
    known.then(|| Heard::Figures { kind: "tokens".to_owned(), value: Value::Object(value) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn figures_are_found_among_the_text_and_their_units_are_read() {
        let line = "Tokens: 2.3k sent, 1.1k cache hit, 50 received. Cost: $0.0010 message, $0.0020 session.";
        let Some(Heard::Figures { kind, value }) = figures(line) else {
            panic!("no figures");
        };
        assert_eq!(kind, "tokens");
        let expect = json!({
            "sent": 2300, "cache_hit": 1100, "received": 50, "uncached": 1200, "cost": 0.001
        });
        assert_eq!(value, expect);
        assert_eq!(figures("Tokens: none"), None);
        assert_eq!(figures("I sent 5 Tokens: 1k sent"), None);
    }

    proptest! {
        #[test]
        fn no_line_is_too_odd(line in "(Tokens: )?[0-9.,kM sentrcivdah$]{0,60}") {
            let _ = figures(&line);
        }
    }
}
