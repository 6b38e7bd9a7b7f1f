//! What is logged to standard error, without secrets, as the files have it.

use std::io::{self, Write};

/// How a colour begins.
const ESCAPE: char = '\u{1b}';

/// Takes out what looks like a secret. Each line comes whole, in one write.
#[derive(Debug)]
pub(super) struct Clean<W>(pub(super) W);

impl<W: Write> Write for Clean<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(cleaned(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A text without secrets. A colour right before one must not pass for a part of it.
fn cleaned(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for (n, part) in text.split(ESCAPE).enumerate() {
        let mut part = part;
        if n > 0 {
            clean.push(ESCAPE);
            let (colour, rest) = part.split_at(colour_bytes(part));
            clean.push_str(colour);
            part = rest;
        }
        clean.push_str(&engine::without_secrets(part));
    }
    clean
}

/// How long the rest of a colour is, such as `[31m`; nothing where there is none.
fn colour_bytes(part: &str) -> usize {
    let code = part.strip_prefix('[').and_then(|rest| {
        let end = rest.find(|ch: char| !ch.is_ascii_digit() && ch != ';')?;
        rest[end..].starts_with('m').then_some(end)
    });
    code.map_or(0, |code| code + "[m".len())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use proptest::prelude::*;
    use tracing_subscriber::fmt;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_secret_is_cut_out_of_what_standard_error_shows_with_and_without_colours() {
        let token = format!("ghp_{}", "a1B2".repeat(9));
        for colours in [false, true] {
            let kept = Kept::default();
            let to = kept.clone();
            let layer =
                fmt::layer().compact().with_ansi(colours).with_writer(move || Clean(to.clone()));
            tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
                tracing::warn!(%token, "said {token} to nobody");
            });
            let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
            assert!(text.contains("to nobody") && text.ends_with('\n'), "{text}");
            assert!(!text.contains(&token), "{text}");
            assert_eq!(text.contains(ESCAPE), colours);
        }
    }

    proptest! {
        #[test]
        fn a_text_without_secrets_stays_as_it_is(text in "[a-z \u{1b}\\[0-9m]{0,60}") {
            prop_assert_eq!(cleaned(&text), text);
        }
    }
}
