//! What a hook reads on its standard input: the event, without what nobody needs to know.

use model::event::Event;
use model::hook::Hook;
use serde_json::{Value, json};

/// The form of what hooks read.
const INPUT_VERSION: u32 = 1;
/// How deep an event is looked into; deeper there is nothing.
const DEPTH_MAX: usize = 64;

/// One line of JSON.
pub(super) fn of(hook: &Hook, event: &Event) -> Vec<u8> {
    // A struct of strings and numbers always becomes JSON.
    let mut event = serde_json::to_value(event).unwrap_or_default();
    clean(&mut event, 0);
    let all = json!({
        "version": INPUT_VERSION,
        "hook": { "id": hook.id, "name": hook.name },
        "event": event,
    });
    let mut bytes = all.to_string().into_bytes();
    bytes.push(b'\n');
    bytes
}

/// Takes out what looks like a secret, and what secrets are recognised by.
fn clean(value: &mut Value, depth: usize) {
    if depth > DEPTH_MAX {
        *value = Value::Null;
        return;
    }
    match value {
        Value::String(text) => {
            if let std::borrow::Cow::Owned(clean) = agents::secrets::redact(text) {
                *text = clean;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| clean(item, depth + 1)),
        Value::Object(fields) => {
            for (name, field) in fields {
                match name == "hash" || name.ends_with("_hash") {
                    true => *field = Value::Null,
                    false => clean(field, depth + 1),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn secrets_and_what_recognises_them_are_taken_out_and_the_rest_stays() {
        let token = format!("ghp_{}", "a1B2".repeat(9));
        let mut value = json!({
            "fact": { "kind": "token_made", "hash": "ab", "name": "phone", "cookie_hash": "cd" },
            "words": ["plain", format!("with {token}")],
            "n": 7,
        });
        clean(&mut value, 0);
        assert_eq!(value["fact"]["hash"], Value::Null);
        assert_eq!(value["fact"]["cookie_hash"], Value::Null);
        assert_eq!(value["fact"]["name"], "phone");
        assert_eq!(value["words"][0], "plain");
        assert_eq!(value["n"], 7);
        assert!(!value.to_string().contains(&token), "{value}");
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_left_is_json(text: String) {
            let mut value = json!({ "a": [text] });
            clean(&mut value, 0);
            prop_assert!(serde_json::from_str::<Value>(&value.to_string()).is_ok());
        }
    }
}
