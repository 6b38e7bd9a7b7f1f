//! Templates: what is filled, what is refused, and that no value of a gate becomes shell.

use std::collections::BTreeMap;

use orchestrator::template::{
    MissionTemplate, Placeholder, TEXT_BYTES_MAX, TemplateError, escape, fill, fill_command,
    fill_gate, placeholders,
};
use proptest::prelude::*;

fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn a_template_lists_its_places_once_with_the_first_default() {
    let check = |text: &str, expect: &[(&str, Option<&str>)]| {
        let expect: Vec<_> = expect
            .iter()
            .map(|(name, default)| Placeholder {
                name: (*name).to_owned(),
                default: default.map(ToOwned::to_owned),
            })
            .collect();
        assert_eq!(placeholders(text), expect, "{text}");
    };
    check("", &[]);
    check("{{a}} and {{ b }} and {{a}}", &[("a", None), ("b", None)]);
    check("{{a}} {{a|x}} {{a|y}}", &[("a", Some("x"))]);
    check("{{a|}} {{b_1-c| two words }}", &[("a", Some("")), ("b_1-c", Some(" two words "))]);
    check("{{{{a}} {a} {{1}} {{a b}} {{}} {{c", &[]);
    check("{{x.y}}{{z}}", &[("z", None)]);
}

#[test]
fn values_go_in_verbatim_and_are_not_read_again() {
    let check = |text: &str, given: &[(&str, &str)], expect: &str| {
        assert_eq!(fill(text, &values(given)).unwrap(), expect, "{text}");
    };
    check("Fix {{file}}.", &[("file", "src/a.rs")], "Fix src/a.rs.");
    check("{{a}}{{b}}", &[("a", "{{b}}"), ("b", "{{a}}")], "{{b}}{{a}}");
    check("on {{branch|main}}", &[], "on main");
    check("on {{branch|main}}", &[("branch", "dev")], "on dev");
    check("{{a|1}} {{a}} {{a|2}}", &[], "1 1 1");
    check("${{{{ matrix }} {{{{{{x}}", &[("x", "1")], "${{ matrix }} {{1");
    check("}} {a} { {", &[], "}} {a} { {");
}

#[test]
fn everything_missing_and_unknown_is_listed_at_once() {
    let error =
        fill("{{a}} {{b}} {{c|}}", &values(&[("c", ""), ("x", ""), ("y", "")])).unwrap_err();
    assert_eq!(error.to_string(), "no value is given for: a, b; there is no place for: x, y");
    let error = fill("{{a}}", &values(&[])).unwrap_err();
    assert_eq!(error.to_string(), "no value is given for: a");
}

#[test]
fn a_malformed_place_is_named_with_its_line() {
    let check = |text: &str, line: usize, shown: &str| {
        let shown = shown.to_owned();
        assert_eq!(fill(text, &values(&[])), Err(TemplateError::Malformed { line, shown }));
    };
    check("one\ntwo {{a b}} three", 2, "{{a b}} three");
    check("{{", 1, "{{");
    check("{{{a}}", 1, "{{{a}}");
    check("{{ä}}", 1, "{{ä}}");
    check(&format!("{{{{{}}}}}", "a".repeat(65)), 1, &format!("{{{{{}", "a".repeat(38)));
}

#[test]
fn what_is_too_large_is_refused_before_it_is_made() {
    let half = "x".repeat(TEXT_BYTES_MAX / 2 + 1);
    let filled = fill("{{a}}{{a}}", &values(&[("a", &half)]));
    assert_eq!(filled, Err(TemplateError::TooLarge));
    assert_eq!(fill(&(half.clone() + &half), &values(&[])), Err(TemplateError::TooLarge));
}

const EVIL: &str = "'; rm -rf \"$HOME\" `id` $(id) \\";

#[test]
fn a_value_is_one_word_of_the_command() {
    let check = |text: &str, value: &str, expect: &str| {
        assert_eq!(fill_command(text, &values(&[("x", value)])).unwrap(), expect);
    };
    check("cargo test -p {{x}}", "model", "cargo test -p 'model'");
    check("cargo test -p {{x}}", "", "cargo test -p ''");
    check("cargo test -p {{x}} 2>&1 | tail", "a b", "cargo test -p 'a b' 2>&1 | tail");
    check("echo {{x}}>out", "2", "echo '2'>out");
    check("grep -q {{x}} out", "it's", "grep -q 'it'\\''s' out");
    check("test -f \"$DIR\"/{{x}}.rs", "a", "test -f \"$DIR\"/'a'.rs");
    check("FILE={{x}} make", "a;b", "FILE='a;b' make");
    check("echo $(basename {{x}})", "a", "echo $(basename 'a')");
    check("bash -c 'echo \"$1\"' _ {{x}}", "a", "bash -c 'echo \"$1\"' _ 'a'");
    check(
        "if test -f {{x}}; then echo a\\'b {{x}}; fi",
        "-",
        "if test -f '-'; then echo a\\'b '-'; fi",
    );
    let filled = fill_command("printf %s {{x}}", &values(&[("x", EVIL)])).unwrap();
    assert_eq!(shell_words::split(&filled).unwrap(), ["printf", "%s", EVIL]);
}

#[test]
fn a_place_where_a_value_could_run_as_code_is_refused() {
    let check = |text: &str| match fill_command(text, &values(&[("x", "id")])) {
        Err(TemplateError::Exposed { name, .. }) => assert_eq!(name, "x"),
        other => panic!("{text}: {other:?}"),
    };
    // In quotes, or where a quote is taken literally or opens something else.
    check("grep \"{{x}}\" out");
    check("grep '{{x}}' out");
    check("grep \"a\\\"{{x}}\" out");
    check("echo \"$(echo \" {{x}} \")\"");
    check("echo \"`echo \" {{x}} \"`\"");
    check("echo \\{{x}}");
    check("echo ${{x}}");
    check("echo $'a\\' {{x}}");
    check("echo `echo {{x}}`");
    check("make # not {{x}}");
    check("cat <<EOF\n{{x}}\nEOF");
    check("echo ${a:-{{x}}}");
    check("echo $(( {{x}} ))");
    check("(( {{x}} ))");
    check("[[ 1 -eq {{x}} ]]");
    // As what is run.
    check("{{x}}");
    check("  {{x}} --version");
    check("true && {{x}}");
    check("true\n{{x}}");
    check("A=1 {{x}}");
    check("if {{x}}; then true; fi");
    check("echo $({{x}})");
    check("env {{x}}");
    check("find . | xargs {{x}}");
    check("eval {{x}}");
    check("eval echo {{x}}");
    check(". {{x}}");
    check("sh -c {{x}}");
    check("/bin/bash -ec {{x}}");
    check("sh 2>&1 -c {{x}}");
    check("sh $(true) -c {{x}}");
    check("python3.12 -c {{x}}");
    check("node --eval {{x}}");
    check("ssh host {{x}}");
}

#[test]
fn a_gate_has_a_fixed_kind_and_stays_one_line() {
    let check = |line: &str, value: &str, expect: Result<&str, TemplateError>| {
        let found = fill_gate(line, &values(&[("x", value)]));
        assert_eq!(found, expect.map(ToOwned::to_owned), "{line}");
    };
    let no_gate = |line: &str| Err(TemplateError::NotAGate(line.chars().take(40).collect()));
    check("command: cargo test -p {{x}}", "a b", Ok("command: cargo test -p 'a b'"));
    check(
        "command(timeout=5, proof=\"(: {n}\"): cargo test {{x}}",
        "a",
        Ok("command(timeout=5, proof=\"(: {n}\"): cargo test 'a'"),
    );
    check("file: {{x}}", "a b.txt", Ok("file: a b.txt"));
    check("human: is {{x}} good?", "it's", Ok("human: is it's good?"));
    check("file: {{x}}", "a\ncommand: id", Err(TemplateError::Control("x".to_owned())));
    check("command: ls {{x}}", "a\nb", Err(TemplateError::Control("x".to_owned())));
    for line in
        ["{{x}}", "{{x}}: a", "comm{{x}}: a", "command(timeout={{x}}): ls", "command(: {{x}}"]
    {
        check(line, "command: id", no_gate(line));
    }
}

fn template() -> MissionTemplate {
    let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    MissionTemplate {
        title: "Document {{file}}".to_owned(),
        brief: "Work on {{file}} in {{branch|main}}.".to_owned(),
        labels: list(&["docs", "{{kind|rust}}"]),
        skills: list(&[]),
        gates: list(&["command: rustdoc {{file}}", "paths: {{file}}"]),
        criteria: list(&["{{file}} has no warning"]),
    }
}

#[test]
fn a_mission_is_made_from_a_template() {
    let names: Vec<_> = template().placeholders().into_iter().map(|place| place.name).collect();
    assert_eq!(names, ["file", "branch", "kind"]);
    let filled = template().fill(&values(&[("file", "src/a b.rs")])).unwrap();
    assert_eq!(filled.title, "Document src/a b.rs");
    assert_eq!(filled.brief, "Work on src/a b.rs in main.");
    assert_eq!(filled.labels, ["docs", "rust"]);
    assert_eq!(filled.gates, ["command: rustdoc 'src/a b.rs'", "paths: src/a b.rs"]);
    assert_eq!(filled.criteria, ["src/a b.rs has no warning"]);
    let error = template().fill(&values(&[("branch", "a"), ("fil", "b")])).unwrap_err();
    assert_eq!(error.to_string(), "no value is given for: file; there is no place for: fil");
    let error = template().fill(&values(&[("file", "a\nb")])).unwrap_err();
    assert_eq!(error, TemplateError::Control("file".to_owned()));
}

proptest! {
    #[test]
    fn no_template_panics(text: String, value: String, mixed in "([{}|ax'\"\\\\ :(#$`\n]|\\{\\{a\\}\\}){0,40}") {
        for text in [&text, &mixed] {
            let places = placeholders(text);
            for given in [values(&[]), values(&[("a", &value)]), values(&[("a", &value), ("x", "")])] {
                let _ = fill_command(text, &given);
                let _ = fill_gate(text, &given);
                if let Ok(filled) = fill(text, &given) {
                    prop_assert!(places.iter().all(|p| p.default.is_some() || given.contains_key(&p.name)));
                    prop_assert!(given.keys().all(|name| places.iter().any(|p| p.name == *name)));
                    prop_assert!(!places.iter().any(|p| p.name == "a") || given.get("a").is_none_or(|v| filled.contains(v)));
                }
            }
        }
    }

    #[test]
    fn escaped_text_comes_back_as_it_is(text: String, braces in "[{}a|]{0,30}") {
        for text in [text, braces] {
            prop_assert_eq!(fill(&escape(&text), &BTreeMap::new()), Ok(text));
        }
    }

    #[test]
    fn a_value_stays_one_word_wherever_it_is_let_in(
        value in "\\PC{0,20}|['\"\\\\$`;&|<>(){}#~*? =]{0,12}",
        front in prop::collection::vec(
            prop::sample::select(vec!["a", "b=c", "'q q'", "\"q $X q\"", "\\'", "x\\ y", "$X", "${X}", "-"]), 0..5,
        ),
        glue in prop::sample::select(vec!["", " ", "p/", "k=", "'q'", "\"q\""]),
    ) {
        let front = format!("run {} {glue}", front.join(" "));
        let filled = fill_command(&format!("{front}{{{{x}}}} end"), &values(&[("x", &value)]));
        let words = shell_words::split(&filled.unwrap()).unwrap();
        let mut expect = shell_words::split(&front).unwrap();
        if glue.trim().is_empty() { expect.push(String::new()); }
        expect.last_mut().unwrap().push_str(&value);
        expect.push("end".to_owned());
        prop_assert_eq!(words, expect);
    }
}
