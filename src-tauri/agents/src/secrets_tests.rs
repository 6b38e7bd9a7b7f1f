//! Planted secrets are found, and what only resembles one is left alone. No line of this file holds
//! one: each is put together when the test runs.

use proptest::prelude::*;

use super::*;

/// A value that looks random: the same each time, of this many characters out of `alphabet`.
fn random(alphabet: &str, length: usize) -> String {
    let letters: Vec<char> = alphabet.chars().collect();
    let mut state = 0x2545_f491_u32;
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            letters[(state >> 16) as usize % letters.len()]
        })
        .collect()
}

const ALNUM: &str = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ0123456789";
const UPPER: &str = "ABCDEFGHJKLMNPQRSTUVWXYZ234567";
const HEX: &str = "0123456789abcdef";

fn alnum(length: usize) -> String {
    random(ALNUM, length)
}

/// What is planted, the rule that finds it, and the part that must not be shown.
fn planted() -> Vec<(String, &'static str, String)> {
    let token = |rule, before: &str, parts: &[&str], after: &str| {
        let secret = parts.concat();
        (format!("{before}{secret}{after}"), rule, secret)
    };
    let (jwt_head, jwt_body) = (alnum(30), alnum(60));
    vec![
        token("AWS access key", "id = ", &["AK", "IA", &random(UPPER, 16)], ""),
        token("AWS secret key", "aws_secret_access_key = ", &[&random(ALNUM, 40)], ""),
        token("GitHub token", "git clone https://", &["gh", "p_", &alnum(36)], "@host/x"),
        token("GitHub token", "t: ", &["github", "_pat_", &alnum(82)], "\r"),
        token("GitLab token", "GL='", &["glp", "at-", &alnum(20)], "'"),
        token("Slack token", "(", &["xo", "xb-", "2401-", &alnum(24)], ")"),
        token(
            "Slack webhook",
            "curl https://hooks.slack.com/services/",
            &["T0", &random(UPPER, 8), "/B0", &random(UPPER, 8), "/", &alnum(24)],
            "",
        ),
        token("Stripe key", "", &["sk", "_live_", &alnum(24)], ";"),
        token("Anthropic key", "x-api-key: ", &["sk-", "ant-api03-", &alnum(90)], ""),
        token("OpenAI key", "OPENAI=", &["sk-", "proj-", &alnum(48)], ""),
        token("OpenAI key", "key ", &["sk", "-", &alnum(48)], ""),
        token("Google API key", "?key=", &["AI", "za", &alnum(35)], "&x=1"),
        token(
            "JSON web token",
            "Authorization: Bearer ",
            &["ey", "J", &jwt_head, ".ey", "J", &jwt_body, ".", &alnum(43)],
            "",
        ),
        token("Hivekeeper token", "I was given ", &["hk", "_a_", &random(HEX, 64)], ", and"),
        token("npm token", "//registry/:_authToken=", &["np", "m_", &alnum(36)], ""),
        token("Telegram bot token", "/bot", &["12873465", "90:A", "A", &alnum(33)], "/"),
        token("private key", "", &["-----BEGIN RSA PRI", "VATE KEY-----"], ""),
        token("password in an address", "postgres://app:", &["h7Kq", "29vTz"], "@db.local/x"),
        token("bearer token", "curl -H 'authorization: bearer ", &[&alnum(32)], "'"),
        token("value called a secret", "const API_KEY: &str = \"", &[&alnum(32)], "\";"),
        token("value called a secret", "{\"clientSecret\": \"", &[&random(HEX, 40)], "\"}"),
        token("value called a secret", "SMTP_PASSWORD=", &[&alnum(20)], ""),
        token("value called a secret", "  token: ", &[&alnum(24)], ""),
    ]
}

#[test]
fn planted_secrets_are_found_and_taken_out() {
    for (line, rule, secret) in planted() {
        let found = find(&line);
        let found = found.unwrap_or_else(|| panic!("not found: {rule}: {line}"));
        assert_eq!(found.rule, rule, "{line}");
        assert_eq!(&line[found.start..found.end], secret, "{rule}");
        let text = format!("before\n{line}\nthen: after\n");
        let clean = redact(&text);
        assert!(!clean.contains(&secret), "{rule}: {clean}");
        assert!(clean.starts_with("before\n") && clean.ends_with("\nthen: after\n"), "{clean}");
        assert!(clean.contains(&format!("[removed: {rule}]")), "{clean}");
        assert!(find(&clean).is_none(), "{clean}");
    }
}

#[test]
fn what_only_resembles_a_secret_is_left_alone() {
    let image = format!("src=\"data:image/png;base64,iVBORw0KGgo{}==\"", alnum(4000));
    let lines = [
        format!("commit {}", random(HEX, 40)),
        format!("checksum = \"{}\"", random(HEX, 64)),
        format!("rev = \"{}\"", random(HEX, 40)),
        "id: 123e4567-e89b-12d3-a456-426614174000".to_owned(),
        image,
        format!("\"integrity\": \"sha512-{}==\"", alnum(86)),
        ["AK", "IAIOSFODNN7", "EXAMPLE"].concat(),
        ["gh", "p_", &"x".repeat(36)].concat(),
        ["sk", "_live_", "your_key_goes_here_please"].concat(),
        "API_KEY=xxxxxxxxxxxxxxxxxxxxxxxx".to_owned(),
        "api_key = \"<your api key here>\"".to_owned(),
        "password: \"changeme12345678\"".to_owned(),
        "token = \"${GITHUB_TOKEN_2024}\"".to_owned(),
        "secret: \"{{ vault_secret_0123 }}\"".to_owned(),
        "token = \"abcdefghijklmnop0123456789\"".to_owned(),
        "let token = next_token_of(&mut stream4, 12)?;".to_owned(),
        "token: Token::parse2(line)?,".to_owned(),
        "class=\"sk-fading-circle-element-12 sk-circle\"".to_owned(),
        "postgres://user:password@localhost/db".to_owned(),
        "postgres://user:${PG_PASS}@localhost/db".to_owned(),
        "https://example.org:8080/@scope/package".to_owned(),
        "http://[::1]:80/a@b".to_owned(),
        "password_file = \"/run/secrets/db-password-2024\"".to_owned(),
        "secret = \"a path/with 2 blanks 34\"".to_owned(),
        "if line.starts_with(\"-----BEGIN PRIVATE KEY-----\") {".to_owned(),
        "-----BEGIN PUBLIC KEY-----".to_owned(),
        "-----BEGIN CERTIFICATE-----".to_owned(),
        "tokenizer = \"Qwen2.5-7B-Instruct-x1234567\"".to_owned(),
        String::new(),
    ];
    for line in lines {
        assert_eq!(find(&line), None, "{line}");
        assert!(matches!(redact(&line), Cow::Borrowed(_)), "{line}");
    }
}

#[test]
fn several_secrets_of_a_line_are_all_taken_out() {
    let (one, two) = (["gh", "p_", &alnum(36)].concat(), ["np", "m_", &random(UPPER, 36)].concat());
    let line = format!("a={one} ä={two} end");
    let clean = redact(&line);
    assert_eq!(clean, "a=[removed: GitHub token] ä=[removed: npm token] end");
}

#[test]
fn a_private_key_of_several_lines_is_taken_out_with_its_body() {
    let body: Vec<String> = (0..4).map(|n| random(ALNUM, 64 - n)).collect();
    let kind = "PRIVATE KEY";
    let text = format!(
        "one\n-----BEGIN {kind}-----\r\n{}\n-----END {kind}-----\ntwo\n",
        body.join("\r\n")
    );
    assert_eq!(redact(&text), "one\n[removed: private key]\r\ntwo\n");
    let pgp = format!(
        "-----BEGIN PGP {kind} BLOCK-----\nVersion: 1\n\n{}\n-----END PGP {kind} BLOCK-----\n",
        body[0]
    );
    assert_eq!(redact(&pgp), "[removed: private key]\n");
    let cut = format!("-----BEGIN {kind}-----\n{}\nthen: text\n", body[0]);
    assert_eq!(redact(&cut), "[removed: private key]\nthen: text\n");
    let escaped = format!("k = \"-----BEGIN {kind}-----\\n{}\\n-----END {kind}-----\\n\"", body[0]);
    assert_eq!(redact(&escaped), "k = \"[removed: private key]\\n\"");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_text_panics_and_what_is_clean_stays_clean(text in "(?s).{0,200}") {
        let clean = redact(&text).into_owned();
        let again = redact(&clean).into_owned();
        prop_assert_eq!(&again, &clean);
    }

    #[test]
    fn a_planted_token_is_taken_out_wherever_it_stands(
        before in "[^A-Za-z0-9_]{0,20}", after in "[^A-Za-z0-9_]{0,20}"
    ) {
        let token = ["gh", "p_", &alnum(36)].concat();
        let text = format!("{before}{token}{after}");
        prop_assert!(!redact(&text).contains(&token));
    }

    #[test]
    fn any_bytes_are_searched_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Some(found) = find_from(&bytes, 0) {
            prop_assert!(found.start < found.end && found.end <= bytes.len());
        }
    }
}
