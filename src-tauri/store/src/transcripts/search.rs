//! What a person looks for, as an expression of the search index, and what is shown of a hit.

use super::Piece;

/// The most words of one search; the rest is not looked for.
const WORDS_MAX: usize = 32;
/// The longest text that is looked for, in characters; the rest is not looked for.
const TEXT_CHARS_MAX: usize = 1_000;
/// Characters of a snippet, and of these, before the first hit.
const SNIPPET_CHARS: usize = 240;
const SNIPPET_CHARS_BEFORE: usize = 60;

/// What has to occur.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Words {
    /// Words, and texts that stood in quotes, without quotes.
    terms: Vec<String>,
    /// Whether the last one may go on.
    open_end: bool,
}

impl Words {
    /// Reads what a person typed; nothing where there is nothing to look for. Every text can be
    /// looked for: no character has a meaning but the quotation mark.
    pub(super) fn of(text: &str) -> Option<Self> {
        let text: String = text
            .chars()
            .take(TEXT_CHARS_MAX)
            .map(|ch| if ch.is_control() { ' ' } else { ch })
            .collect();
        let mut terms: Vec<String> = Vec::new();
        let mut open_end = false;
        for (n, part) in text.split('"').enumerate() {
            // Every second part stood in quotes.
            if n % 2 == 1 {
                terms.push(part.trim().to_owned());
                open_end = false;
            } else {
                terms.extend(part.split_whitespace().map(str::to_owned));
                open_end |= !part.trim().is_empty();
            }
        }
        terms.retain(|term| term.chars().any(char::is_alphanumeric));
        terms.truncate(WORDS_MAX);
        (!terms.is_empty()).then_some(Self { terms, open_end })
    }

    /// The expression that finds them in some attempts, or in all, in entries of some kinds, or all.
    pub(super) fn expression(&self, attempts: &[i64], kinds: &[String]) -> String {
        let mut terms: Vec<String> = self.terms.iter().map(|term| format!("\"{term}\"")).collect();
        if let Some(last) = terms.last_mut().filter(|_| self.open_end) {
            last.push('*');
        }
        let mut expression = format!("text : ({})", terms.join(" AND "));
        let attempts: Vec<String> = attempts.iter().map(|key| attempt_tag(*key)).collect();
        let kinds: Vec<String> = kinds.iter().map(|kind| kind_tag(kind)).collect();
        for tags in [attempts, kinds].into_iter().filter(|tags| !tags.is_empty()) {
            expression.push_str(&format!(" AND tags : ({})", tags.join(" OR ")));
        }
        expression
    }

    /// The text around the first of them, in which all are marked; its beginning where they occur
    /// only in another spelling.
    pub(super) fn snippet(&self, text: &str) -> Vec<Piece> {
        let wanted: Vec<String> =
            self.terms.iter().flat_map(|term| words(term)).map(|(_, word)| word).collect();
        let open_end = self.open_end.then(|| wanted.last().cloned()).flatten();
        let is_hit = |word: &String| {
            wanted.contains(word)
                || open_end.as_ref().is_some_and(|start| word.starts_with(start.as_str()))
        };
        let first = words(text).find(|(_, word)| is_hit(word)).map_or(0, |(range, _)| range.start);
        let before = text[..first].char_indices().rev().nth(SNIPPET_CHARS_BEFORE);
        let from = before.map_or(0, |(at, ch)| at + ch.len_utf8());
        let rest = &text[from..];
        let shown =
            &rest[..rest.char_indices().nth(SNIPPET_CHARS).map_or(rest.len(), |(at, _)| at)];
        let mut pieces = Vec::new();
        let mut push = |text: &str, hit| {
            if !text.is_empty() {
                let text = text.chars().map(|ch| if ch.is_control() { ' ' } else { ch }).collect();
                pieces.push(Piece { text, hit });
            }
        };
        push(if from > 0 { "…" } else { "" }, false);
        let mut told = 0;
        for (range, _) in words(shown).filter(|(_, word)| is_hit(word)) {
            push(&shown[told..range.start], false);
            push(&shown[range.clone()], true);
            told = range.end;
        }
        push(&shown[told..], false);
        push(if shown.len() < rest.len() { "…" } else { "" }, false);
        pieces
    }
}

/// The word that stands for an attempt in the index.
pub(super) fn attempt_tag(key: i64) -> String {
    format!("a{key}")
}

/// The word that stands for a kind of entry.
pub(super) fn kind_tag(kind: &str) -> String {
    let kind: String = kind.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("k{kind}")
}

/// The words of a text in small letters, with where they stand.
fn words(text: &str) -> impl Iterator<Item = (std::ops::Range<usize>, String)> {
    let mut chars = text.char_indices().peekable();
    std::iter::from_fn(move || {
        while chars.next_if(|(_, ch)| !ch.is_alphanumeric()).is_some() {}
        let start = chars.peek()?.0;
        let mut end = start;
        while let Some((at, ch)) = chars.next_if(|(_, ch)| ch.is_alphanumeric()) {
            end = at + ch.len_utf8();
        }
        Some((start..end, text[start..end].to_lowercase()))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_phrases_and_filters_become_an_expression() {
        let words = Words::of(r#"don't "two words" AND (x"#).unwrap();
        assert_eq!(
            words.expression(&[7, 8], &["tool_call".to_owned()]),
            r#"text : ("don't" AND "two words" AND "AND" AND "(x"*) AND tags : (a7 OR a8) AND tags : (ktoolcall)"#
        );
        assert_eq!(Words::of("  \"\" -- * "), None);
        let closed = Words::of(r#""as it stands""#).unwrap();
        assert_eq!(closed.expression(&[], &[]), r#"text : ("as it stands")"#);
    }

    #[test]
    fn a_snippet_shows_and_marks_what_was_found() {
        let words = Words::of("Needle thr").unwrap();
        let text = format!("{} a needle\nand thread {}", "hay ".repeat(100), "straw ".repeat(100));
        let pieces = words.snippet(&text);
        let hits: Vec<&str> =
            pieces.iter().filter(|piece| piece.hit).map(|piece| piece.text.as_str()).collect();
        assert_eq!(hits, ["needle", "thread"]);
        assert_eq!(pieces.first().unwrap().text, "…");
        assert_eq!(pieces.last().unwrap().text, "…");
        assert!(pieces.iter().map(|piece| piece.text.chars().count()).sum::<usize>() <= 242);
    }

    proptest! {
        #[test]
        fn any_text_can_be_looked_for_and_shown(typed: String, text: String) {
            if let Some(words) = Words::of(&typed) {
                let expression = words.expression(&[1], &[typed]);
                prop_assert_eq!(expression.matches('"').count() % 2, 0);
                let shown: String =
                    words.snippet(&text).into_iter().map(|piece| piece.text).collect();
                prop_assert!(shown.chars().count() <= SNIPPET_CHARS + 2);
            }
        }
    }
}
