//! The tables in ARCHITECTURE.md are those of the code. `HIVEKEEPER_UPDATE_DOCS=1` writes them anew.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

use std::fmt::Write as _;
use std::path::PathBuf;

use model::attempt::AttemptState;
use model::mission::MissionState;
use model::transition::{ATTEMPT_TABLE, MISSION_TABLE};
use serde::Serialize;

fn word(value: impl Serialize) -> String {
    serde_json::to_value(value).unwrap().as_str().unwrap().to_owned()
}

fn mission_table() -> String {
    let mut text = String::from("```mermaid\nstateDiagram-v2\n    [*] --> draft\n");
    for rule in MISSION_TABLE {
        writeln!(text, "    {} --> {}: {}", rule.from, rule.to, word(rule.input)).unwrap();
    }
    let ends = |state: &MissionState| MISSION_TABLE.iter().all(|rule| rule.from != *state);
    let reached = |state: &MissionState| MISSION_TABLE.iter().any(|rule| rule.to == *state);
    for state in MissionState::ALL.iter().filter(|state| ends(state) && reached(state)) {
        writeln!(text, "    {state} --> [*]").unwrap();
    }
    text.push_str(
        "```\n\n| from | input | to | provided that | sets off |\n|---|---|---|---|---|\n",
    );
    for rule in MISSION_TABLE {
        let (from, to, input) = (rule.from, rule.to, word(rule.input));
        writeln!(text, "| {from} | {input} | {to} | {} | {} |", rule.guard, rule.effects).unwrap();
    }
    text
}

fn attempt_table() -> String {
    let mut text =
        String::from("| from | input | to | provided that | sets off |\n|---|---|---|---|---|\n");
    for rule in ATTEMPT_TABLE {
        let name = |state: AttemptState| state.as_str();
        let (from, to) = (name(rule.from), name(rule.to));
        let (input, guard, effects) = (word(rule.input), rule.guard, rule.effects);
        writeln!(text, "| {from} | {input} | {to} | {guard} | {effects} |").unwrap();
    }
    text
}

/// Puts `table` between the section's marks; gives the page as it should be.
fn with_section(page: &str, name: &str, table: &str) -> String {
    let begin = format!("<!-- generated:{name} -->\n");
    let (before, rest) = page.split_once(&begin).unwrap();
    let (_, after) = rest.split_once("<!-- /generated -->").unwrap();
    format!("{before}{begin}{table}<!-- /generated -->{after}")
}

#[test]
fn the_tables_in_the_architecture_are_those_of_the_code() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../ARCHITECTURE.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let fresh = with_section(&page, "mission-table", &mission_table());
    let fresh = with_section(&fresh, "attempt-table", &attempt_table());
    if std::env::var_os("HIVEKEEPER_UPDATE_DOCS").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    } else {
        assert!(page == fresh, "stale: HIVEKEEPER_UPDATE_DOCS=1 cargo test -p model");
    }
}
