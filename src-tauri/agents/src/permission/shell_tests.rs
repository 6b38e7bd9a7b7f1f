//! Lines as agents and attackers write them.

use proptest::prelude::*;

use super::*;

fn programs(line: &str) -> Vec<String> {
    let read = read(line);
    read.commands
        .iter()
        .map(|command| {
            let words: Vec<&str> = command.words.iter().map(|it| it.text.as_str()).collect();
            words.join(" ")
        })
        .collect()
}

#[test]
fn every_command_of_a_line_is_found_wherever_it_hides() {
    for line in [
        "a; rm x",
        "a && rm x",
        "a || rm x",
        "a | rm x",
        "a & rm x",
        "a\nrm x",
        "a |& rm x",
        "a $(rm x)",
        "a \"$(rm x)\"",
        "a `rm x`",
        "a \"`rm x`\"",
        "(a; rm x)",
        "{ a; rm x; }",
        "a <(rm x)",
        "if a; then rm x; fi",
        "! rm x",
        "bash -c 'a; rm x'",
        "/bin/bash -lc 'rm x'",
        "sh -c \"sh -c 'rm x'\"",
        "a <<E\n$(rm x)\nE",
        "for i in 1; do rm x; done",
        "a;rm x",
        "a&&rm x",
        "a \\\n; rm x",
        "r\\m x",
        "'r'm x",
        "\"rm\" x",
        "A=1 rm x",
        "a # b; rm x",
        "a 2>&1 | rm x",
        "rm x > /dev/null",
        "a > b; rm x",
        "a '$(b)'; rm x",
    ] {
        assert!(programs(line).iter().any(|found| found == "rm x"), "{line}: {:?}", read(line));
    }
    for line in
        ["a 'rm x'", "a \"; rm x\"", "a <<'E'\nrm x\n$(rm x)\nE", "a \\; rm x", "a '`rm x`'"]
    {
        assert!(!programs(line).iter().any(|found| found == "rm x"), "{line}");
    }
}

#[test]
fn what_is_not_understood_is_opaque_and_what_is_is_not() {
    for line in [
        "a 'b",
        "a \"b",
        "a $(b",
        "a `b",
        "f() { a; }",
        "a ${b:-$(c)}",
        "a ${b@P}",
        "a $'b'",
        "a <(b)",
        "case a in b) c;; esac",
        "(a",
        "a)",
        "a $((b))",
        "if a; then b; fi",
        "a >",
        "a @(b)",
        "a \\",
    ] {
        assert!(read(line).opaque, "{line}: {:?}", read(line));
    }
    for line in [
        "a b",
        "a 'b;c'",
        "a && b",
        "a | b > c 2>&1",
        "a $b ${c}",
        "a *.rs",
        "(a; b)",
        "a <<E\nb\nE\nc",
    ] {
        assert!(!read(line).opaque, "{line}: {:?}", read(line));
    }
}

#[test]
fn files_that_the_shell_itself_writes_are_told() {
    let line = read("a > 'b c' 2>> d &> e < f 2>&1 >&- 3> /dev/null >| g");
    let names = |words: &[Word]| words.iter().map(|it| it.text.clone()).collect::<Vec<_>>();
    assert_eq!(names(&line.commands[0].writes), ["b c", "d", "e", "g"]);
    assert_eq!(names(&line.commands[0].reads), ["f"]);
    assert_eq!(names(&line.commands[0].words), ["a"]);
    assert!(!line.opaque);
}

proptest! {
    #[test]
    fn no_line_stops_the_reader(line in "[a-c '\"`$(){}<>|&;\\\\\n=#*~!0-9-]{0,80}") {
        let _ = read(&line);
    }

    #[test]
    fn a_quoted_word_is_one_word(text in "[^'\u{0}]{1,40}") {
        let line = read(&format!("a '{text}'"));
        prop_assert!(!line.opaque);
        prop_assert_eq!(line.commands.len(), 1);
        prop_assert_eq!(&line.commands[0].words[1].text, &text);
    }

    #[test]
    fn a_command_behind_a_separator_is_found(
        text in "[^'\u{0}]{0,20}",
        separator in prop::sample::select(vec![";", "&&", "||", "|", "&", "\n"]),
    ) {
        let line = format!("a '{text}' {separator} rm x");
        prop_assert!(programs(&line).contains(&"rm x".to_owned()));
    }
}
