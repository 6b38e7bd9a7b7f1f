//! Reports as files: what is one, what waits in an inbox, and where it goes.
#![expect(clippy::unwrap_used, reason = "what cannot be set up fails the test that needs it")]

use std::path::Path;

use agents::reports::{
    REPORT_BYTES_MAX, Report, ReportError, Waiting, archive, quarantine, waiting,
};
use model::clock::{Clock, SystemClock};
use proptest::prelude::*;

/// What waits as seen a while later, when nobody writes any more.
fn later(dir: &Path, limit: usize) -> Vec<Waiting> {
    let now = SystemClock.now() + jiff::SignedDuration::from_secs(5);
    waiting(dir, limit, now).unwrap()
}

#[test]
fn every_kind_of_report_is_read() {
    for (text, kind) in [
        (r#"{"kind":"progress","percent":40,"note":"half way"}"#, "progress"),
        (r#"{"kind":"progress","note":"going on"}"#, "progress"),
        (r#"{"kind":"devlog","text":"I chose B."}"#, "devlog"),
        (r#"{"kind":"criterion","n":1,"met":true}"#, "criterion"),
        (r#"{"kind":"message","to":"Ada","text":"hello","urgent":true}"#, "message"),
        (r#"{"kind":"question","text":"A or B?","options":["A","B"]}"#, "question"),
        (r#"{"kind":"handoff","text":"go on"}"#, "handoff"),
        ("\u{feff} {\"kind\":\"done\",\"summary\":\"all of it\"}", "done"),
        (r#"{"kind":"done"}"#, "done"),
    ] {
        assert_eq!(
            Report::parse(text.trim_start_matches(' ').as_bytes()).unwrap().kind(),
            kind,
            "{text}"
        );
    }
}

#[test]
fn what_is_no_report_is_refused_with_what_is_wrong() {
    let long = format!(r#"{{"kind":"devlog","text":"{}"}}"#, "x".repeat(70_000));
    for (text, expect) in [
        ("{", "no JSON"),
        ("[]", "no JSON object"),
        ("{}", "'kind' is missing"),
        (r#"{"kind":7}"#, "'kind' is missing"),
        (r#"{"kind":"walk"}"#, "'walk' is no kind"),
        (r#"{"kind":"progress"}"#, "neither 'percent' nor 'note'"),
        (r#"{"kind":"progress","percent":101}"#, "more than 100"),
        (r#"{"kind":"progress","percent":-1}"#, "progress"),
        (r#"{"kind":"devlog"}"#, "text"),
        (r#"{"kind":"devlog","text":" "}"#, "empty"),
        (r#"{"kind":"devlog","text":"a","txet":"b"}"#, "txet"),
        (r#"{"kind":"criterion","n":0,"met":true}"#, "the first criterion is 1"),
        (r#"{"kind":"message","to":"","text":"a"}"#, "nobody"),
        (long.as_str(), "longer than"),
    ] {
        let said = Report::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(said.contains(expect), "{said}");
    }
    assert_eq!(Report::parse(&vec![b' '; REPORT_BYTES_MAX + 1]), Err(ReportError::TooLarge));
}

#[test]
fn what_waits_is_told_the_oldest_first_and_what_is_no_finished_file_is_left_alone() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("inbox");
    assert_eq!(later(&dir, 10), []);
    std::fs::create_dir(&dir).unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.join(name), text).unwrap();
    write("b.json", r#"{"kind":"done"}"#);
    write("c.json", "nonsense");
    write("large.json", &"x".repeat(REPORT_BYTES_MAX + 1));
    write("d.json.tmp", r#"{"kind":"done"}"#);
    write(".hidden.json", r#"{"kind":"done"}"#);
    std::fs::create_dir(dir.join("directory.json")).unwrap();
    std::os::unix::fs::symlink(dir.join("b.json"), dir.join("link.json")).unwrap();
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1000);
    std::fs::File::options()
        .write(true)
        .open(dir.join("c.json"))
        .unwrap()
        .set_modified(old)
        .unwrap();
    // Somebody may still be writing.
    assert!(waiting(&dir, 10, SystemClock.now()).unwrap().iter().all(|it| it.name == "c.json"));
    let all = later(&dir, 10);
    let mut names: Vec<_> = all.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names[0], "c.json");
    names.sort_unstable();
    assert_eq!(names, ["b.json", "c.json", "large.json"]);
    let of = |name: &str| all.iter().find(|it| it.name == name).unwrap();
    assert_eq!(of("b.json").report, Ok(Report::Done { summary: None }));
    assert_eq!(of("large.json").report, Err(ReportError::TooLarge));
    assert_eq!(later(&dir, 1).len(), 1);
    assert_eq!(of("b.json").key.len(), "b.json:".len() + 64);
    write("b.json", r#"{"kind":"done","summary":"other"}"#);
    let again = later(&dir, 10);
    assert_ne!(again.iter().find(|it| it.name == "b.json").unwrap().key, of("b.json").key);
}

#[test]
fn a_report_is_archived_and_what_is_none_is_put_aside_with_its_error() {
    let place = tempfile::tempdir().unwrap();
    let (dir, done, bad) =
        (place.path().join("inbox"), place.path().join("done"), place.path().join("bad"));
    std::fs::create_dir(&dir).unwrap();
    for n in 0..3 {
        std::fs::write(dir.join("a.json"), format!(r#"{{"kind":"progress","percent":{n}}}"#))
            .unwrap();
        archive(&later(&dir, 1)[0].path, &done).unwrap().unwrap();
    }
    assert_eq!(std::fs::read_dir(&done).unwrap().count(), 3);
    assert!(std::fs::read_to_string(done.join("a.json.2")).unwrap().contains('2'));
    assert_eq!(archive(&dir.join("a.json"), &done).unwrap(), None);
    for n in 1..=2 {
        std::fs::write(dir.join("a.json"), "{").unwrap();
        let found = later(&dir, 1).remove(0);
        let moved = quarantine(&found.path, &bad, &found.report.unwrap_err()).unwrap().unwrap();
        assert_eq!(std::fs::read_to_string(&moved).unwrap(), "{");
        assert_eq!(std::fs::read_dir(&bad).unwrap().count(), 2 * n);
    }
    let said = std::fs::read_to_string(bad.join("a.json.error.txt")).unwrap();
    assert!(said.contains("no JSON") && said.contains("Nothing of it was applied"), "{said}");
    assert_eq!(later(&dir, 10), []);
}

proptest! {
    #[test]
    fn nothing_stops_the_reading_of_reports(bytes: Vec<u8>, text: String, percent: i64) {
        let _ = Report::parse(&bytes);
        for kind in ["progress", "devlog", "message", "question", "done"] {
            let value = serde_json::json!({"kind": kind, "text": text, "to": text, "percent": percent});
            let _ = Report::parse(value.to_string().as_bytes());
        }
    }

    #[test]
    fn a_report_that_was_written_is_read_as_it_was(text in "\\PC{1,80}", urgent: bool) {
        let report = Report::Message { to: "Ada".to_owned(), text: format!("x{text}"), urgent };
        let read = Report::parse(serde_json::to_string(&report).unwrap().as_bytes());
        prop_assert_eq!(read, Ok(report));
    }
}
