//! What an agent writes into its mission's devlog, whichever way it says it.

use jiff::Timestamp;
use model::attempt::Attempt;
use model::conversation::cut;
use model::devlog::Devlog;
use model::id::{DevlogId, SystemDraw};
use model::mission::Mission;

/// The longest title of a devlog, in bytes.
const TITLE_BYTES_MAX: usize = 120;

/// A devlog with an agent's own words, shown as text and never as anything else; what looks like a
/// secret is taken out.
pub(crate) fn note(
    name: &str,
    attempt: &Attempt,
    mission: &Mission,
    text: &str,
    now: Timestamp,
) -> Devlog {
    let text = clean(text);
    let first = text.lines().next().unwrap_or_default();
    Devlog {
        id: DevlogId::draw(now, &mut SystemDraw),
        mission_id: mission.id,
        short_id: mission.short_id.clone(),
        attempt_id: Some(attempt.id),
        agent_id: Some(attempt.agent_id),
        title: cut(&format!("{name}: {first}"), TITLE_BYTES_MAX),
        markdown: format!("In attempt {} its agent wrote:\n\n{}\n", attempt.n, fenced(&text)),
        demo: mission.demo,
        at: now,
    }
}

/// An agent's words as they may be kept: without what looks like a secret, and without NUL.
pub(crate) fn clean(text: &str) -> String {
    agents::secrets::redact(text).replace('\0', "\u{fffd}")
}

/// Text as Markdown that shows it as it is, whatever is in it.
fn fenced(text: &str) -> String {
    let mut longest = 0;
    let mut run = 0;
    for ch in text.chars() {
        run = if ch == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}text\n{text}\n{fence}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_agents_text_cannot_leave_its_fence() {
        assert_eq!(fenced("a"), "```text\na\n```");
        let text = "````\n# no heading";
        assert_eq!(fenced(text), format!("`````text\n{text}\n`````"));
    }

    proptest! {
        #[test]
        fn no_text_panics_and_none_holds_its_own_fence(text: String) {
            let shown = fenced(&text);
            let fence = shown.split("text").next().unwrap();
            prop_assert!(!text.contains(fence));
            prop_assert!(!clean(&text).contains('\0'));
        }
    }
}
