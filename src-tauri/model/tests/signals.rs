//! The page about signals is that of the catalogue. `HIVEKEEPER_UPDATE_DOCS=1` writes it anew.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

use std::fmt::Write as _;
use std::path::PathBuf;

use model::signal::{CATALOGUE, Signal};

const ABOUT: &str = "# Signals

What Hivekeeper measures, once a second unless said otherwise, and keeps. A signal has one series for each set of values of
its labels, written `name{label=\"value\"}`. What a machine does not have, and what nobody said, has no series: it is never
zero. A measurement that did not happen is a gap.

- A **gauge** is a level that goes up and down.
- A **counter** only grows. Those of an agent go on when its process is replaced; where a counter starts again at zero, so
  did its source.
- A **state** is a small number that stands for a name, listed with it.
- A **histogram** `x` is kept as `x_bucket{le=\"…\"}`, `x_sum` and `x_count`, as Prometheus does.

Values are kept as multiples of the resolution, exactly; nothing finer is kept.

This page is made from the catalogue: `HIVEKEEPER_UPDATE_DOCS=1 cargo test -p model --test signals`.
";

/// The parts of the page, by how the names of their signals begin.
const PARTS: [(&str, &str); 5] = [
    ("machine", "The machine"),
    ("agent", "Agents: their processes and their work"),
    ("mission", "Missions and what waits for the captain"),
    ("engine", "The engine itself"),
    ("health", "Health checks"),
];

fn belongs(signal: &Signal, part: &str) -> bool {
    let begins = |word: &str| signal.name.starts_with(word);
    begins(part) || (part == "mission" && begins("permission"))
}

fn row(signal: &Signal) -> String {
    let mut text = signal.description.to_owned();
    if !signal.states.is_empty() {
        let states = signal.states.iter().enumerate();
        let states: Vec<_> = states.map(|(at, name)| format!("{at} = {name}")).collect();
        write!(text, " States: {}.", states.join(", ")).unwrap();
    }
    if !signal.bounds.is_empty() {
        let bounds: Vec<_> = signal.bounds.iter().map(ToString::to_string).collect();
        write!(text, " Bounds: {}.", bounds.join(", ")).unwrap();
    }
    let labels: Vec<_> = signal.labels.iter().map(|label| format!("`{label}`")).collect();
    let (kind, unit, step) = (signal.kind.as_str(), signal.unit, signal.resolution);
    let labels = labels.join(", ");
    format!("| `{}` | {kind} | {unit} | {step} | {labels} | {text} |\n", signal.name)
}

fn page() -> String {
    let mut text = ABOUT.to_owned();
    for (part, title) in PARTS {
        write!(text, "\n## {title}\n\n").unwrap();
        text.push_str("| signal | kind | unit | resolution | labels | what it says |\n");
        text.push_str("|---|---|---|---|---|---|\n");
        text.extend(CATALOGUE.iter().filter(|signal| belongs(signal, part)).map(row));
    }
    text
}

#[test]
fn the_page_about_signals_is_that_of_the_catalogue() {
    let fresh = page();
    for signal in CATALOGUE {
        assert_eq!(fresh.matches(&format!("`{}`", signal.name)).count(), 1, "{}", signal.name);
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/signals.md");
    if std::env::var_os("HIVEKEEPER_UPDATE_DOCS").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    } else {
        let page = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            page == fresh,
            "stale: HIVEKEEPER_UPDATE_DOCS=1 cargo test -p model --test signals"
        );
    }
}
