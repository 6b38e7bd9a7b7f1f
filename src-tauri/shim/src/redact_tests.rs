//! Secrets in pieces of every size, text without any, and JSON that stays JSON.

use proptest::prelude::*;

use super::*;

const KEY: &str = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,AB12\n\nMIIEowIBAAKCAQEA1234567890abcdef+/==\nabcdef\n-----END RSA PRIVATE KEY-----";
const JWT: &str =
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U";

/// A token of every shape, made so that no scanner takes this file for a leak.
fn tokens() -> Vec<String> {
    let body = "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hI6";
    let mut tokens: Vec<String> =
        ["ghp_", "gho_", "github_pat_", "glpat-", "xoxb-", "xoxp-", "AIza"]
            .iter()
            .map(|prefix| format!("{prefix}{body}"))
            .collect();
    tokens.push(format!("sk-ant-api03-{body}"));
    tokens.push(format!("sk-proj-{body}"));
    tokens.push(format!("AKIA{}", "IOSFODNN7EXAMPL2"));
    tokens.push(format!("hk_a_{0}_{0}{0}", "0123456789abcdef0123456789abcdef"));
    tokens.push(format!("hk_{0}{0}", "0123456789abcdef0123456789abcdef"));
    tokens.push(JWT.to_owned());
    tokens.push(KEY.to_owned());
    tokens
}

fn values() -> Values {
    let variables = [
        ("DB_PASSWORD", "hunter2-hunter2"),
        ("LONG_SECRET", "hunter2-hunter2-and-more"),
        ("PIN_TOKEN", "1234567890"),
        ("ODD_SECRET", "quo\"te\\back\nsl\u{e9}sh"),
        ("JSON_CREDENTIALS", "{\"type\":\"account\",\"id\":7}"),
        ("HOME", "/home/somebody"),
        ("TINY_TOKEN", "short"),
    ];
    Values::of(variables.iter().map(|(name, value)| (*name, value.as_bytes())))
}

fn in_pieces(text: &[u8], cuts: &[usize]) -> Vec<u8> {
    let mut redactor = Redactor::new(values());
    let (mut out, mut from) = (Vec::new(), 0);
    for cut in cuts {
        let to = (*cut).clamp(from, text.len());
        redactor.push(&text[from..to], &mut out);
        from = to;
    }
    redactor.push(&text[from..], &mut out);
    redactor.finish(&mut out);
    out
}

fn redacted(text: &str) -> String {
    String::from_utf8(in_pieces(text.as_bytes(), &[])).unwrap()
}

#[test]
fn a_token_of_every_shape_is_taken_out_wherever_the_stream_is_cut() {
    for token in tokens() {
        let text = format!("before {token} after\n");
        for cut in 0..=text.len() {
            let out = in_pieces(text.as_bytes(), &[cut]);
            assert_eq!(String::from_utf8_lossy(&out), "before «redacted» after\n", "{token} {cut}");
        }
        let singly: Vec<usize> = (0..text.len()).collect();
        assert_eq!(in_pieces(text.as_bytes(), &singly), "before «redacted» after\n".as_bytes());
    }
    assert_eq!(
        redacted("Authorization: Bearer abc123def456ghi789\n"),
        "Authorization: Bearer «redacted»\n"
    );
}

#[test]
fn values_of_the_environment_are_taken_out_in_every_form_they_are_printed_in() {
    let check = |text: &str, expect: &str| assert_eq!(redacted(text), expect, "{text}");
    check("is hunter2-hunter2!", "is «redacted»!");
    check("is hunter2-hunter2-and-more!", "is «redacted»!");
    check("is hunter2-hunter2-and-mo", "is «redacted»");
    check("is hunter2-hun", "is «redacted»");
    check("is hunter2", "is hunter2");
    check("at /home/somebody short", "at /home/somebody short");
    check("quo\"te\\back\nsl\u{e9}sh", "«redacted»");
    check("{\"a\":\"quo\\\"te\\\\back\\nsl\u{e9}sh\"}", "{\"a\":\"«redacted»\"}");
    check("{\"a\":\"quo\\\"te\\\\back\\nsl\\u00e9sh\"}", "{\"a\":\"«redacted»\"}");
    check("{\"a\":1234567890,\"b\":\"1234567890\"}", "{\"a\":9999999999,\"b\":\"«redacted»\"}");
    check("{\"a\":{\"type\":\"account\",\"id\":7}}", "{\"a\":\"«redacted»\"}");
}

#[test]
fn words_that_only_look_similar_stay() {
    for text in [
        "task-9876543210-9876543210-9876543210",
        "the disk-usage-of-everything-below-2024-01-01",
        "sk-short1",
        "Bearer of good news: everything is fine here",
        "eyJ is how base64 of {\" begins",
        "---------- BEGIN ----------",
        "-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----",
        "ghp_tooshort",
        "MAX_TOKENS=100000",
    ] {
        assert_eq!(redacted(text), text);
    }
}

#[test]
fn a_token_after_an_escape_or_a_colour_begins_a_word() {
    let token = &tokens()[7];
    for before in ["\\n", "\u{1b}[32m", "\\u001b[1;32m", "\\u001b", "(", "=", "'"] {
        assert_eq!(redacted(&format!("a {before}{token} b")), format!("a {before}«redacted» b"));
    }
}

#[test]
fn a_key_inside_json_is_taken_out_to_its_end_or_to_the_end_of_its_string() {
    let line = serde_json::json!({ "key": KEY, "n": 1 }).to_string();
    assert_eq!(redacted(&line), "{\"key\":\"«redacted»\",\"n\":1}");
    let nested = serde_json::json!({ "line": line }).to_string();
    assert!(serde_json::from_str::<serde_json::Value>(&redacted(&nested)).is_ok());
    assert!(!redacted(&nested).contains("MIIE"));
    let cut = serde_json::json!({ "key": &KEY[..KEY.len() - 40], "n": "\"" }).to_string();
    assert_eq!(redacted(&cut), "{\"key\":\"«redacted»\",\"n\":\"\\\"\"}");
    assert_eq!(
        redacted("see -----BEGIN PRIVATE KEY----- in the file\n"),
        "see «redacted» in the file\n"
    );
    assert_eq!(
        redacted("-----BEGIN PRIVATE KEY-----\n{\"a\":1}\n"),
        "«redacted»\n{\"a\":1}\n",
        "the next line stays a line"
    );
}

#[test]
fn what_is_held_back_is_let_go_and_a_secret_begun_before_loses_its_rest() {
    let mut redactor = Redactor::new(values());
    let mut out = Vec::new();
    redactor.push(b"name: gh", &mut out);
    assert_eq!(out, b"name: ");
    assert!(redactor.holds());
    redactor.let_go(&mut out);
    assert_eq!(out, b"name: gh");
    assert!(!redactor.holds());
    redactor.push(b"p_aB3dE6gH9jK2mN5pQ8sT1vW4yZ and", &mut out);
    assert_eq!(String::from_utf8_lossy(&out), "name: gh«redacted» and");
    redactor.push(b" hunt", &mut out);
    redactor.let_go(&mut out);
    redactor.push(b"ing season", &mut out);
    redactor.finish(&mut out);
    assert_eq!(String::from_utf8_lossy(&out), "name: gh«redacted» and hunting season");
}

#[test]
fn eight_bytes_of_a_known_value_are_never_let_go() {
    let mut redactor = Redactor::new(values());
    let mut out = Vec::new();
    redactor.push(b"hunter2-h", &mut out);
    assert!(!redactor.holds());
    redactor.let_go(&mut out);
    assert_eq!(out, b"");
    redactor.push(b"unting\n", &mut out);
    assert_eq!(out, b"hunter2-hunting\n");
}

#[test]
fn names_say_what_is_a_secret() {
    for name in [
        "GH_TOKEN",
        "openai_api_key",
        "AWS_SECRET_ACCESS_KEY",
        "PGPASSWORD",
        "MYSQL_PWD",
        "GOOGLE_CREDENTIALS",
        "GITHUB_PAT",
        "DEPLOY_KEY_PROD",
    ] {
        assert!(is_secret_name(name), "{name}");
    }
    for name in [
        "PATH",
        "PWD",
        "OLDPWD",
        "HIVEKEEPER_TOKEN_FILE",
        "SSH_AUTH_SOCK",
        "KEYBOARD",
        "AWS_ACCESS_KEY_ID",
        "MAX_OUTPUT_TOKENS",
        "GIT_AUTHOR_NAME",
        "LS_PATTERN",
    ] {
        assert!(!is_secret_name(name), "{name}");
    }
}

/// Text with secrets, beginnings of secrets, and what surrounds them.
fn text() -> impl Strategy<Value = String> {
    let mut pieces: Vec<BoxedStrategy<String>> = vec![
        "[ -~]{0,12}".boxed(),
        "[a-z0-9\\-\n\\\\\"{}:,é]{0,6}".boxed(),
        Just("hunter2-hunter2-and-more".to_owned()).boxed(),
        Just("quo\\\"te\\\\back\\nsl\u{e9}sh".to_owned()).boxed(),
    ];
    let cut = tokens()
        .into_iter()
        .map(|token| (0..=token.len()).prop_map(move |length| token[..length].to_owned()).boxed());
    pieces.extend(cut);
    prop::collection::vec(prop::strategy::Union::new(pieces), 0..8).prop_map(|parts| parts.concat())
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        text().prop_map(serde_json::Value::from),
        Just(serde_json::json!({"type": "account", "id": 7})),
        Just(serde_json::json!(1_234_567_890_u64)),
        Just(serde_json::json!("quo\"te\\back\nsl\u{e9}sh")),
        any::<i64>().prop_map(serde_json::Value::from),
    ];
    prop::collection::vec(leaf, 0..5)
        .prop_map(|leaves| serde_json::json!({ "a": leaves, "b": "end" }))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn where_the_stream_is_cut_makes_no_difference(
        text in text(), mut cuts in prop::collection::vec(0usize..200, 0..8),
    ) {
        cuts.sort_unstable();
        let whole = in_pieces(text.as_bytes(), &[]);
        let pieces = in_pieces(text.as_bytes(), &cuts);
        prop_assert_eq!(String::from_utf8_lossy(&pieces), String::from_utf8_lossy(&whole));
        let singly: Vec<usize> = (0..text.len()).collect();
        prop_assert_eq!(in_pieces(text.as_bytes(), &singly), whole);
    }

    #[test]
    fn bytes_without_a_secret_pass_unchanged(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert_eq!(in_pieces(&bytes, &[bytes.len() / 2]), bytes);
    }

    #[test]
    fn lines_of_json_stay_lines_of_json_and_hold_no_value(value in json(), cut in 0usize..200) {
        let line = format!("{value}\n{{\"next\":true}}\n");
        let out = String::from_utf8(in_pieces(line.as_bytes(), &[cut])).unwrap();
        prop_assert_eq!(out.lines().count(), 2);
        for line in out.lines() {
            let read: Result<serde_json::Value, _> = serde_json::from_str(line);
            prop_assert!(read.is_ok(), "{} of {}", line, value);
        }
        prop_assert!(!out.contains("hunter2-hunter2"));
    }
}
