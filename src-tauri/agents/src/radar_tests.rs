//! Comparing what attempts touch, and reading git's headings.

use proptest::prelude::*;

use super::*;

fn file(path: &str, ranges: &[(u64, u64)]) -> TouchedFile {
    TouchedFile {
        path: path.to_owned(),
        status: FileStatus::Modified,
        lines: ranges.iter().map(|(first, last)| Lines { first: *first, last: *last }).collect(),
        lines_known: true,
        changed_lines: ranges.len() as u64,
        content: format!("100644 {ranges:?}"),
    }
}

fn touched(key: &str, files: &[TouchedFile]) -> Touched {
    Touched { key: key.to_owned(), base: "base".to_owned(), files: files.to_vec() }
}

fn met(a: &TouchedFile, b: &TouchedFile) -> (bool, bool) {
    let all = [touched("b", std::slice::from_ref(a)), touched("a", std::slice::from_ref(b))];
    let found = conflicts(&all);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].between, ["a", "b"]);
    (found[0].overlapping, found[0].by_file_only)
}

#[test]
fn lines_overlap_where_git_would_not_merge_them() {
    let check = |a: &[(u64, u64)], b: &[(u64, u64)], expect| {
        let one = TouchedFile { content: "100644 one".to_owned(), ..file("f", a) };
        let two = file("f", b);
        assert_eq!(met(&one, &two), (expect, false), "{a:?} {b:?}");
        assert_eq!(met(&two, &one), (expect, false), "{b:?} {a:?}");
    };
    check(&[(1, 3)], &[(3, 5)], true);
    check(&[(1, 3)], &[(4, 5)], true);
    check(&[(1, 3)], &[(5, 6)], false);
    check(&[(4, 3)], &[(4, 3)], true);
    check(&[(4, 3)], &[(5, 4)], false);
    check(&[(4, 3)], &[(4, 6)], true);
    check(&[(1, 1), (10, 10), (20, 30)], &[(5, 5), (15, 15), (25, 24)], true);
    check(&[(1, 1), (10, 10)], &[(5, 5), (15, 15)], false);
}

#[test]
fn what_is_deleted_or_added_as_a_whole_overlaps_unless_it_is_the_same() {
    let whole = |status, content: &str| TouchedFile {
        status,
        lines: Vec::new(),
        content: content.to_owned(),
        ..file("f", &[])
    };
    let deleted = whole(FileStatus::Deleted, "000000 0");
    assert_eq!(met(&deleted, &file("f", &[(1, 1)])), (true, false));
    assert_eq!(met(&deleted, &deleted), (false, false));
    let (one, two) = (whole(FileStatus::Added, "100644 1"), whole(FileStatus::Added, "100644 2"));
    assert_eq!(met(&one, &two), (true, false));
    assert_eq!(met(&one, &one), (false, false));
}

#[test]
fn of_different_bases_and_unknown_lines_only_the_file_is_compared() {
    let mut all = [touched("a", &[file("f", &[(1, 1)])]), touched("b", &[file("f", &[(90, 90)])])];
    assert!(!conflicts(&all)[0].overlapping);
    all[1].base = "another".to_owned();
    let found = conflicts(&all);
    assert!(found[0].overlapping && found[0].by_file_only);
    all[1].base = "base".to_owned();
    all[1].files[0].lines_known = false;
    let found = conflicts(&all);
    assert!(found[0].overlapping && found[0].by_file_only);
    all[1].files[0].lines = vec![Lines { first: 1, last: 2 }];
    let found = conflicts(&all);
    assert!(found[0].overlapping && !found[0].by_file_only, "what is known is enough");
}

#[test]
fn overlaps_come_first_and_files_of_one_attempt_are_no_conflict() {
    let all = [
        touched("a", &[file("f", &[(1, 1)]), file("g", &[(1, 1)]), file("own", &[(1, 1)])]),
        touched("b", &[file("f", &[(9, 9)]), file("g", &[(1, 2)])]),
        touched("c", &[file("f", &[(20, 20)])]),
    ];
    let found = conflicts(&all);
    let short: Vec<_> =
        found.iter().map(|it| (it.path.as_str(), it.overlapping, it.between.len())).collect();
    assert_eq!(short, [("g", true, 2), ("f", false, 3)]);
    assert_eq!(found[0].lines[1].lines[0].to_string(), "1-2");
}

#[test]
fn the_order_begins_with_what_is_in_nobodys_way_and_says_why() {
    let all = [
        touched("big", &[file("g", &[(1, 1), (5, 5)])]),
        touched("small", &[file("g", &[(1, 2)])]),
        touched("beside", &[file("g", &[(50, 50)])]),
        touched("alone", &[file("h", &[(1, 1), (3, 3)])]),
    ];
    let expect = [
        ("alone", "shares no file with another; 2 changed lines"),
        ("beside", "shares 1 file with others, on other lines; 1 changed line"),
        ("small", "overlaps with others in 1 file; 1 changed line"),
        ("big", "overlaps with others in 1 file; 2 changed lines"),
    ];
    let order = suggested_order(&all);
    let order: Vec<_> = order.iter().map(|it| (it.key.as_str(), it.why.as_str())).collect();
    assert_eq!(order, expect);
    let mut turned = all;
    turned.reverse();
    let turned: Vec<_> = suggested_order(&turned).into_iter().map(|it| it.key).collect();
    assert_eq!(turned, ["alone", "beside", "small", "big"]);
    assert!(suggested_order(&[]).is_empty() && conflicts(&[]).is_empty());
}

#[test]
fn headings_are_read_as_lines_of_the_base() {
    let check = |line: &str, expect: Option<(&str, u64)>| {
        let found = read_heading(line.as_bytes()).map(|(lines, n)| (lines.to_string(), n));
        assert_eq!(found, expect.map(|(lines, n)| (lines.to_owned(), n)), "{line}");
    };
    check("@@ -10,2 +12 @@ fn ä() {", Some(("10-11", 3)));
    check("@@ -3 +3,4 @@", Some(("3", 5)));
    check("@@ -0,0 +1,9 @@", Some(("before 1", 9)));
    check("@@ -7,0 +8 @@ x @@", Some(("before 8", 1)));
    check("@@ -1,2 +0,0 @@", Some(("1-2", 2)));
    check(&format!("@@ -{0},{0} +1 @@", u64::MAX), None);
    check("@@ -x +1 @@", None);
    check("@@ -1", None);
    let text = b"diff --git a/x b/x\n@@ -1 +1 @@\n@@ -5,2 +5 @@\ndiff --git a/y b/y\n\
        Binary files a/y and b/y differ\ndiff --git a/z b/z\n";
    let read = read_hunks(text);
    assert_eq!(read.len(), 3);
    assert_eq!((read[0].lines.len(), read[0].changed, read[0].whole), (2, 5, true));
    assert!(!read[1].whole && read[2].whole);
}

#[test]
fn more_changes_than_are_kept_are_one_range_to_the_last() {
    let mut text = String::from("diff --git a/x b/x\n");
    for n in 0..RANGES_MAX + 10 {
        text.push_str(&format!("@@ -{} +1 @@\n", n * 10 + 1));
    }
    let read = read_hunks(text.as_bytes());
    assert_eq!(read[0].lines.len(), RANGES_MAX);
    assert_eq!(read[0].lines[RANGES_MAX - 1].last, (RANGES_MAX as u64 + 9) * 10 + 1);
}

proptest! {
    #[test]
    fn a_heading_is_read_as_it_was_written(
        start in 1_u64..1_000_000, count in 0_u64..1_000, added in 0_u64..1_000, text in ".*",
    ) {
        let line = format!("@@ -{start},{count} +{start},{added} @@ {text}");
        let (lines, changed) = read_heading(line.as_bytes()).unwrap();
        prop_assert_eq!(changed, count + added);
        let first = if count == 0 { start + 1 } else { start };
        prop_assert_eq!((lines.first, lines.last + 1), (first, first + count));
    }

    #[test]
    fn no_heading_can_do_harm(text in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_heading(&text);
        let _ = read_hunks(&[b"diff --git \n@@ -", text.as_slice()].concat());
    }

    #[test]
    fn meeting_is_the_same_from_both_sides(a in 1_u64..50, n in 0_u64..9, b in 1_u64..50, m in 0_u64..9) {
        let one = Lines { first: a, last: a + n - 1 };
        let two = Lines { first: b, last: b + m - 1 };
        prop_assert_eq!(one.meets(&two), two.meets(&one));
        prop_assert!(one.meets(&one));
    }
}
