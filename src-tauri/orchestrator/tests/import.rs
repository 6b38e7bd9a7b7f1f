//! Documents and the missions they hold: rules, faults, and what never changes.
#![expect(clippy::unwrap_used, reason = "a test may stop where it finds a fault")]

use orchestrator::import::{
    Criterion, Import, ImportFormat, Imported, MISSIONS_MAX, PROBLEMS_MAX, TEXT_BYTES_MAX,
    Unresolved, order, read, to_json,
};
use proptest::prelude::*;

fn markdown(text: &str) -> Import {
    read(ImportFormat::Markdown, text).unwrap()
}

fn titles(import: &Import) -> Vec<&str> {
    import.missions.iter().map(|mission| mission.title.as_str()).collect()
}

fn ids(import: &Import) -> Vec<&str> {
    import.missions.iter().map(|mission| mission.external_id.as_str()).collect()
}

fn warned(import: &Import) -> Vec<(usize, &str)> {
    import.warnings.iter().map(|warning| (warning.line, warning.message.as_str())).collect()
}

/// The problems as lines of text.
fn problems(format: ImportFormat, text: &str) -> Vec<String> {
    let error = read(format, text).unwrap_err();
    assert!(error.problems.iter().all(|problem| !problem.hint.is_empty()));
    error.problems.iter().map(|p| format!("{}: {}", p.line, p.message)).collect()
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

const PLAN: &str = "# Release 2

## Login

### Fix the form
labels: ui, bug
priority: High
id: EXT-1
gates:
- command: cargo test -p ui, --all
- `file: out.txt`

The button stays disabled.

    code, indented

- [ ] the button is enabled
- [x] the text is kept
  over two lines

#### By the way
More of the brief.

### Write a test {#login-test}
depends-on: EXT-1, M-7K2P
skills: rust
agent: ada
retries: 2
estimate: 45
deadline: 2030-12-24
policy: strict
repository: /srv/app

## Manual
";

#[test]
fn a_mission_can_be_made_from_a_markdown_file_with_headings() {
    let import = markdown(PLAN);
    assert_eq!(titles(&import), ["Fix the form", "Write a test", "Manual"]);
    assert_eq!(warned(&import), []);
    let [form, test, manual] = &import.missions[..] else { panic!("three missions") };
    assert_eq!((form.line, test.line, manual.line), (5, 24, 34));
    assert_eq!(form.external_id, "EXT-1");
    assert_eq!(form.labels, ["ui", "bug"]);
    assert_eq!(form.priority.as_deref(), Some("high"));
    assert_eq!(form.gates, ["command: cargo test -p ui, --all", "file: out.txt"]);
    let brief = PLAN.split_once("out.txt`\n\n").unwrap().1.split("\n\n### Write").next().unwrap();
    assert_eq!(form.brief, brief);
    let criterion = |text: &str, done| Criterion { text: text.to_owned(), done };
    let expect = [
        criterion("the button is enabled", false),
        criterion("the text is kept over two lines", true),
    ];
    assert_eq!(form.criteria, expect);
    assert_eq!(test.external_id, "login-test");
    assert_eq!(test.depends_on, ["EXT-1", "M-7K2P"]);
    assert_eq!((test.retries, test.estimate_min), (Some(2), Some(45)));
    assert_eq!((test.skills.clone(), test.agent.as_deref()), (strings(&["rust"]), Some("ada")));
    assert_eq!(
        (test.deadline.as_deref(), test.policy.as_deref()),
        (Some("2030-12-24"), Some("strict"))
    );
    assert_eq!(
        (test.repository.as_deref(), test.brief.as_str()),
        (Some("/srv/app"), "Write a test")
    );
    assert_eq!(manual.brief, "Manual");
    assert!(manual.external_id.starts_with("manual-"), "{}", manual.external_id);
}

#[test]
fn boxes_under_a_top_heading_are_missions_of_their_own() {
    let import = markdown(
        "# Todo\n\n- [ ] Fix the form {#form}\n  labels: ui\n\n  The button hangs.\n  - [ ] enabled\n\
         - [x] Write the manual\n- [ ] Ship\n",
    );
    assert_eq!(titles(&import), ["Fix the form", "Write the manual", "Ship"]);
    let form = &import.missions[0];
    assert_eq!((form.external_id.as_str(), form.labels.clone()), ("form", strings(&["ui"])));
    assert_eq!(form.brief, "The button hangs.\n- [ ] enabled");
    assert_eq!(form.criteria, [Criterion { text: "enabled".to_owned(), done: false }]);
    assert_eq!(import.missions.iter().map(|m| m.done).collect::<Vec<_>>(), [false, true, false]);
    assert_eq!(
        warned(&import),
        [(8, "'Write the manual' is done already; no mission is made of it")]
    );
    assert_eq!(import.open().count(), 2);
    // Without any heading, and under several.
    assert_eq!(titles(&markdown("- [ ] a\n- [ ] b\n")), ["a", "b"]);
    assert_eq!(titles(&markdown("# A\n* [ ] a\n# B\n1. [ ] b\n2. [ ] c")), ["a", "b", "c"]);
    // Text beside them is told.
    let import = markdown("# Todo\n\nSoon.\n\n- [ ] a\n- plain\n- [ ] b\n\nEnd.\n");
    assert_eq!(titles(&import), ["a", "b"]);
    let lines: Vec<_> = import.warnings.iter().map(|warning| warning.line).collect();
    assert_eq!(lines, [3, 6, 9]);
}

#[test]
fn boxes_under_a_mission_are_its_criteria() {
    let check = |text: &str, title: &str, criteria: usize| {
        let import = markdown(text);
        assert_eq!(titles(&import), [title], "{text}");
        assert_eq!(import.missions[0].criteria.len(), criteria, "{text}");
    };
    check("## Fix\n- [ ] a\n- [x] b\n", "Fix", 2);
    check("# Fix\nlabels: a\n\n- [ ] a\n", "Fix", 1);
    check("# Fix {#f}\n- [ ] a\n  - [ ] b\n", "Fix", 2);
    check("# Fix\nText.\n\n## Acceptance criteria\n- [ ] a\n", "Fix", 1);
    check("Fix it\n\n- [ ] a\n", "Fix it", 1);
    check("## Fix\n> - [ ] quoted\n\n```\n- [ ] code\n## code\n```\n", "Fix", 0);
}

#[test]
fn a_mission_can_be_made_from_an_issues_text() {
    let import = markdown("The form hangs\n\nAfter a wrong password.\n");
    assert_eq!(titles(&import), ["The form hangs"]);
    assert_eq!(import.missions[0].brief, "After a wrong password.");
    let import =
        markdown("### What happened?\n\nThe form hangs.\n\n### Steps to reproduce\n1. open\n");
    assert_eq!(titles(&import), ["The form hangs."]);
    assert_eq!(import.missions[0].brief, "### Steps to reproduce\n1. open");
    let import = markdown(
        "# The form hangs\nAfter a wrong password.\n## Expected behavior:\nIt does not.\n",
    );
    assert_eq!(titles(&import), ["The form hangs"]);
    assert_eq!(markdown("labels: ui\n\nThe form hangs").missions[0].labels, ["ui"]);
    let long = "word ".repeat(60);
    let import = markdown(&format!("{long}\n\nMore."));
    assert_eq!(import.missions[0].title.chars().count(), 200);
    assert_eq!(import.missions[0].brief, format!("{}\n\nMore.", long.trim()));
}

#[test]
fn text_that_belongs_to_no_mission_is_told() {
    let import = markdown(
        "---\na: b\n---\nHello.\n\n# Plan\nAbout.\n\n## Context\nWhy.\n\n## A\na\n\n## Notes\nn\n",
    );
    assert_eq!(titles(&import), ["A"]);
    let lines: Vec<_> = import.warnings.iter().map(|warning| warning.line).collect();
    assert_eq!(lines, [1, 4, 7, 16]);
    // A group that says that it is a mission is one, with all that is under it.
    let import = markdown("## A\nid: a\n\nText.\n### B\nb\n## C\nc\n");
    assert_eq!(titles(&import), ["A", "C"]);
    assert_eq!(import.missions[0].brief, "Text.\n### B\nb");
    // What is nearly a field is asked about, and stays in the text.
    let import = markdown("## A\nlables: x\n");
    assert_eq!(
        warned(&import),
        [(2, "'lables:' is no field and stays in the text; is 'labels:' meant?")]
    );
    assert_eq!(import.missions[0].brief, "lables: x");
    assert_eq!(warned(&markdown("## A\nNote: x\n\nAgent: not at the front\n")), []);
}

#[test]
fn faults_of_a_markdown_document_are_told_all_at_once() {
    let text = "## A\nid: x\npriority: soon\n\n## B\ngates:\n- command cargo\n## C\nid: x\ndeadline: tomorrow\nretries: many\n##\n";
    assert_eq!(
        problems(ImportFormat::Markdown, text),
        [
            "3: priority 'soon' is no priority",
            "6: gates is not usable: the gate 'command cargo' does not begin with its kind",
            "8: 'C' has the id 'x' of the mission in line 1",
            "10: deadline 'tomorrow' is no date",
            "11: retries is not a whole number",
            "12: the title is empty",
        ]
    );
    assert_eq!(problems(ImportFormat::Markdown, " \n"), ["1: there is no mission in the document"]);
    let twice = problems(ImportFormat::Markdown, "## A\n\n## A\n");
    assert!(twice[0].starts_with("3: 'A' has the id 'a-"), "{twice:?}");
    assert!(twice[0].ends_with("of the mission in line 1"), "{twice:?}");
}

#[test]
fn a_mission_can_be_made_from_a_json_file() {
    let text = r#"[{"title": "A", "labels": ["x"], "criteria": ["a", {"text": "b", "done": true}]},
        {"title": "B", "external_id": "b", "depends_on": ["b"], "agent": null, "done": true}]"#;
    let import = read(ImportFormat::Json, text).unwrap();
    assert_eq!(titles(&import), ["A", "B"]);
    assert_eq!(import.missions[0].criteria.len(), 2);
    assert_eq!(import.missions[1].line, 2);
    assert_eq!(warned(&import), [(2, "'B' is done already; no mission is made of it")]);
    let whole = format!("\u{feff}{{\"missions\": {text}}}");
    assert_eq!(read(ImportFormat::Json, &whole).unwrap().missions, import.missions);
}

#[test]
fn faults_of_a_json_document_name_field_index_and_line() {
    let check =
        |text: &str, expect: &[&str]| assert_eq!(problems(ImportFormat::Json, text), expect);
    check(
        "[{\"title\": \"A\", \"titel\": 1},\n 7,\n {\"title\": 1, \"labels\": [\"a\", 2],\n \"retries\": -1, \
         \"done\": \"no\", \"labels\": []}, {\"brief\": \"\"}, {\"title\": \"a\\u0000\"}]",
        &[
            "1: [0].titel is not a field of a mission",
            "2: [1] is no object",
            "3: [2].title is not a text",
            "3: [2].labels[1] is not a text",
            "4: [2].retries is not a whole number",
            "4: [2].done is not true or false",
            "4: [2].labels is there twice",
            "4: [3] has no title",
            "4: [4].title has a control character (U+0000)",
        ],
    );
    check(
        "{\"missions\": [{\"title\": \"A\", \"criteria\": [{}]}], \"x\": 1}",
        &[
            "1: 'x' is not known here",
            "1: missions[0].criteria[0] is not a text or {\"text\": \"…\", \"done\": false}",
        ],
    );
    check("{}", &["1: the object has no 'missions'"]);
    check("[]", &["1: there is no mission in the document"]);
    check("[\n{]", &["2: key must be a string at line 2 column 2"]);
    check(
        "[{\"title\": \"\\ud800\"}]",
        &["1: [0].title: unexpected end of hex escape at line 1 column 8"],
    );
    let deep = format!("[{{\"title\": {}1{}}}]", "[".repeat(300), "]".repeat(300));
    assert!(problems(ImportFormat::Json, &deep)[0].contains("recursion limit"));
}

#[test]
fn a_mission_can_be_made_from_a_csv_file() {
    let text = "\u{feff}id,Title,labels,gates,Depends-On,criteria,done,brief\r\n\
        a,Fix,ui; bug,command: a\\; b;file: x,,[x] one;two,,\"two\r\nlines, \"\"quoted\"\"\"\r\n\r\n\
        ,,,,,,,\r\nb,Ship,,,a;M-7K2P,,yes,\r\n";
    let import = read(ImportFormat::Csv, text).unwrap();
    assert_eq!(ids(&import), ["a", "b"]);
    let fix = &import.missions[0];
    assert_eq!(fix.labels, ["ui", "bug"]);
    assert_eq!(fix.gates, ["command: a; b", "file: x"]);
    assert_eq!(fix.brief, "two\nlines, \"quoted\"");
    assert_eq!(fix.criteria.iter().map(|one| one.done).collect::<Vec<_>>(), [true, false]);
    let ship = &import.missions[1];
    assert_eq!((ship.line, ship.done, ship.brief.as_str()), (6, true, "Ship"));
    assert_eq!(ship.depends_on, ["a", "M-7K2P"]);
}

#[test]
fn faults_of_a_csv_document_name_line_and_column() {
    let check = |text: &str, expect: &[&str]| assert_eq!(problems(ImportFormat::Csv, text), expect);
    check(
        "title;labels\na;b\n",
        &[
            "1: column 1: 'title;labels' is not a field of a mission",
            "1: the header row has no column 'title'",
            "2: column 1: 'x'",
        ][..2],
    );
    check(
        "title,retries,title\n\nA,many,\nB,1\n,2,\nC,99,\n",
        &[
            "1: column 3: 'title' is there twice",
            "3: column 2 (retries): 'many' is not a whole number",
            "3: column 3 (title) is empty",
            "4: the row has 2 cells, the header 3",
            "5: column 1 (title) is empty",
            "6: column 2 (retries) is above 20",
            "6: column 3 (title) is empty",
        ],
    );
    check("title,brief\nA,\"open\nB,b\n", &["2: a quote opens or closes alone"]);
    check("title\n", &["1: there is no mission in the document"]);
    check("", &["1: there is no mission in the document"]);
}

#[test]
fn a_document_has_limits() {
    let large = "x".repeat(TEXT_BYTES_MAX + 1);
    assert!(
        problems(ImportFormat::Markdown, &large)[0]
            .starts_with("1: the document has 5242881 bytes")
    );
    let check = |text: &str, expect: &str| {
        for format in [ImportFormat::Markdown, ImportFormat::Json, ImportFormat::Csv] {
            assert_eq!(problems(format, text), [expect]);
        }
    };
    check("## A\nb\0\n", "2: there is a control character (U+0000)");
    check("## A\rb", "1: there is a control character (U+000D)");
    let many: String = (0..=MISSIONS_MAX).map(|n| format!("## mission {n}\n")).collect();
    assert_eq!(problems(ImportFormat::Markdown, &many), ["1001: the document has 1001 missions"]);
    let json = format!("[{}]", vec!["0"; MISSIONS_MAX + 1].join(","));
    assert_eq!(problems(ImportFormat::Json, &json), ["1: the document has 1001 missions"]);
    let faulty: String = (0..70).map(|n| format!("## {n}\nretries: x\n")).collect();
    let error = read(ImportFormat::Markdown, &faulty).unwrap_err();
    assert_eq!((error.problems.len(), error.more), (PROBLEMS_MAX, 20));
    let boxes = format!("## A\n{}", "- [ ] a\n".repeat(51));
    assert!(problems(ImportFormat::Markdown, &boxes)[0].contains("more than 50"));
}

fn chain(pairs: &[(&str, &[&str])]) -> Vec<Imported> {
    let mission = |(index, (id, on)): (usize, &(&str, &[&str]))| Imported {
        external_id: (*id).to_owned(),
        depends_on: strings(on),
        line: index + 1,
        ..Imported::default()
    };
    pairs.iter().enumerate().map(mission).collect()
}

#[test]
fn missions_are_made_after_those_they_depend_on() {
    let ordered =
        order(&chain(&[("c", &["b"]), ("a", &[]), ("b", &["a", "M-7K2P"]), ("d", &[])])).unwrap();
    assert_eq!(ordered.order, [1, 2, 0, 3]);
    assert_eq!(ordered.unresolved, [Unresolved { mission: 2, id: "M-7K2P".to_owned() }]);
    let check = |missions: &[(&str, &[&str])], line: usize, circle: &str| {
        let problem = &order(&chain(missions)).unwrap_err().problems[0];
        assert_eq!(problem.message, format!("missions wait for each other: {circle}"));
        assert_eq!(problem.line, line);
    };
    check(&[("a", &["b"]), ("b", &["a"])], 1, "a → b → a");
    check(&[("a", &["a"])], 1, "a → a");
    check(&[("x", &["b"]), ("a", &["c"]), ("b", &["a"]), ("c", &["b"])], 3, "b → a → c → b");
}

/// Missions of a document without the lines they stand in.
fn without_lines(mut missions: Vec<Imported>) -> Vec<Imported> {
    missions.iter_mut().for_each(|mission| mission.line = 0);
    missions
}

prop_compose! {
    fn any_mission()(
        id in "[a-z0-9#-]{0,8}",
        title in "[^\\p{Cc}]{0,20}[a-z]",
        brief in "[^\\p{Cc}]{0,20}(\n\t?[^\\p{Cc}]{0,20}){0,3}",
        lists in prop::collection::vec(prop::collection::vec("[a-zä ,;\"]{0,6}[a-z]", 0..4), 2..=2),
        gates in prop::collection::vec(prop::sample::select(vec!["command: a; b", "file: a \"b\"", "diff: not empty"]), 0..3),
        criteria in prop::collection::vec(("[^\\p{Cc}]{0,9}[a-z]", any::<bool>()), 0..4),
        depends_on in prop::collection::vec("[a-z]{1,3}", 0..3),
        words in prop::collection::vec(prop::option::of("[^\\p{Cc}]{0,9}[a-z]"), 3..=3),
        priority in prop::option::of(prop::sample::select(vec!["low", "urgent"])),
        counts in (prop::option::of(0u32..20), prop::option::of(1u32..500)),
        done: bool,
    ) -> Imported {
        Imported {
            external_id: id, title, brief, done, depends_on,
            labels: lists[0].clone(), skills: lists[1].clone(), gates: strings(&gates),
            criteria: criteria.into_iter().map(|(text, done)| Criterion { text, done }).collect(),
            priority: priority.map(ToOwned::to_owned),
            policy: words[0].clone(), agent: words[1].clone(), repository: words[2].clone(),
            deadline: None, retries: counts.0, estimate_min: counts.1, line: 0,
        }
    }
}

const WORDS: [&str; 24] = [
    "# A",
    "## B",
    "### C",
    "#### D",
    "## Notes",
    "## {#x}",
    "- [ ] a",
    "  - [x] b",
    "- c",
    "1. [ ] d",
    "labels: a, b",
    "gates:",
    "- file: x",
    "id: y",
    "depends-on: z",
    "text",
    "",
    "    indented",
    "> - [ ] q",
    "```",
    "---",
    "===",
    "\t- [ ] \u{2028}é",
    "<!--",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_document_panics(
        text: String,
        lines in prop::collection::vec(prop::sample::select(WORDS.to_vec()), 0..25),
        cells in prop::collection::vec(prop::sample::select(vec!["title", "\"", "a", ";", "x\ny", "[x]", "\\;"]), 0..25),
        tokens in prop::collection::vec(prop::sample::select(vec!["[", "]", "{", "}", ":", ",", "\"title\"", "1", "null", "\"\\u0000\""]), 0..25),
    ) {
        let documents = [text, lines.join("\n"), format!("title\n{}", cells.join(",")), tokens.concat()];
        for document in &documents {
            for format in [ImportFormat::Markdown, ImportFormat::Json, ImportFormat::Csv] {
                match read(format, document) {
                    Ok(import) => {
                        prop_assert!(!import.missions.is_empty());
                        let last = document.matches('\n').count() + 1;
                        prop_assert!(import.missions.iter().all(|m| (1..=last).contains(&m.line)));
                        prop_assert!(import.missions.iter().all(|m| !m.brief.is_empty()));
                        let _ = order(&import.missions);
                        let again = read(ImportFormat::Json, &to_json(&import.missions)).unwrap();
                        prop_assert_eq!(without_lines(again.missions), without_lines(import.missions));
                    }
                    Err(error) => prop_assert!(error.problems.iter().all(|p| p.line > 0)),
                }
            }
        }
    }

    #[test]
    fn an_import_written_as_json_reads_back_equal(
        missions in prop::collection::vec(any_mission(), 1..5),
    ) {
        if let Ok(first) = read(ImportFormat::Json, &to_json(&missions)
            .replace("\"external_id\": \"\"", "\"external_id\": null")) {
            let again = read(ImportFormat::Json, &to_json(&first.missions)).unwrap();
            prop_assert_eq!(without_lines(again.missions), without_lines(first.missions));
        } else {
            // Only ids that are there twice stand in the way.
            let mut known: Vec<_> = missions.iter().map(|m| (&m.external_id, &m.title)).collect();
            known.sort();
            prop_assert!(known.windows(2).any(|pair| pair[0].0 == pair[1].0));
        }
    }

    #[test]
    fn the_same_document_names_the_same_missions(
        groups in prop::collection::vec(("[a-z]{1,6}", prop::collection::vec("[a-z]{1,6}", 1..4)), 1..4),
        before in any::<prop::sample::Index>(),
    ) {
        let mut lines = vec!["# Plan".to_owned()];
        for (at, (group, missions)) in groups.iter().enumerate() {
            lines.push(format!("## {group} {at}"));
            for (at, mission) in missions.iter().enumerate() {
                lines.push(format!("### {mission} {at}\n\nlabels: x\n\nText.\n\n- [ ] box"));
            }
        }
        let import = markdown(&lines.join("\n\n"));
        let windows = markdown(&lines.join("\r\n\r\n"));
        prop_assert_eq!(ids(&windows), ids(&import));
        // A paragraph anywhere, even under a group, renames nothing.
        lines.insert(1 + before.index(lines.len()), "A paragraph that was added.".to_owned());
        let changed = markdown(&lines.join("\n\n"));
        prop_assert_eq!(ids(&changed), ids(&import));
        prop_assert_eq!(titles(&changed), titles(&import));
    }

    #[test]
    fn a_paragraph_beside_boxes_renames_none(
        boxes in prop::collection::hash_set("[a-z]{1,6}", 1..6),
        before in any::<prop::sample::Index>(),
    ) {
        let mut lines = vec!["# Todo".to_owned()];
        lines.extend(boxes.iter().map(|title| format!("- [ ] {title}")));
        let import = markdown(&lines.join("\n\n"));
        prop_assert_eq!(import.missions.len(), boxes.len());
        lines.insert(1 + before.index(lines.len()), "A paragraph that was added.".to_owned());
        let changed = markdown(&lines.join("\n\n"));
        prop_assert_eq!(ids(&changed), ids(&import));
    }

    #[test]
    fn an_order_has_every_mission_once_and_none_before_what_it_needs(
        edges in prop::collection::vec((0usize..8, 0usize..8), 0..12),
    ) {
        let mut missions = chain(&[("0", &[]), ("1", &[]), ("2", &[]), ("3", &[]), ("4", &[]), ("5", &[]), ("6", &[]), ("7", &[])]);
        for (from, to) in &edges {
            missions[*from].depends_on.push(to.to_string());
        }
        match order(&missions) {
            Ok(ordered) => {
                let at = |index: usize| ordered.order.iter().position(|one| *one == index).unwrap();
                prop_assert!((0..8).all(|index| at(index) < 8));
                prop_assert!(edges.iter().all(|(from, to)| at(*to) < at(*from)));
            }
            Err(error) => {
                let circle = error.problems[0].message.rsplit(": ").next().unwrap();
                let steps: Vec<usize> = circle.split(" → ").map(|id| id.parse().unwrap()).collect();
                prop_assert_eq!(steps.first(), steps.last());
                prop_assert!(steps.windows(2).all(|pair| edges.contains(&(pair[0], pair[1]))));
            }
        }
    }
}
