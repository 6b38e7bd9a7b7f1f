//! Scans of real directories.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use agents::scan::{self, Place, Progress, ScanError, ScanOptions, ScanReport};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::repo::write;

fn scan_of(root: &Path, options: &ScanOptions) -> Result<ScanReport, ScanError> {
    scan::scan(root, options, &CancellationToken::new(), &mut |_| {})
}

fn place(path: &str, line: u32) -> Place {
    Place { path: path.to_owned(), line }
}

fn numbered(prefix: &str, lines: std::ops::Range<u32>) -> String {
    lines.map(|n| format!("{prefix} {n}\n")).collect()
}

/// Everything in a directory: kinds, times of change, modes and contents.
fn state(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut state = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(path) = left.pop() {
        let metadata = path.symlink_metadata().unwrap();
        let mut about = format!("{:?} {:?}", metadata.permissions(), metadata.modified().unwrap());
        if metadata.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if metadata.is_file() {
            about.push_str(&format!("{:?}", fs::read(&path).unwrap()));
        }
        state.insert(path, about);
    }
    state
}

#[test]
fn duplicates_and_oversize_files_are_listed_with_file_and_line_and_nothing_is_edited() {
    let root = TempDir::new().unwrap();
    let shared = numbered("shared", 0..12);
    write(root.path(), "src/one.rs", &format!("head\n\n{shared}"));
    write(root.path(), "src/deep/two.rs", &format!("{}    {}", numbered("own", 0..5), shared));
    write(root.path(), "long.txt", &numbered("line", 0..601));
    write(root.path(), "exact.txt", &numbered("other", 0..600));
    write(root.path(), ".gitignore", "target/\n");
    write(root.path(), "target/one.rs", &shared);
    write(root.path(), ".git/hooks/one.rs", &shared);
    write(root.path(), ".github/ci.yml", "on: push\n");
    let before = state(root.path());
    let report = scan_of(root.path(), &ScanOptions::default()).unwrap();
    assert_eq!(state(root.path()), before);
    let oversize: Vec<_> =
        report.oversize.iter().map(|file| (file.path.as_str(), file.lines)).collect();
    assert_eq!(oversize, [("long.txt", 601)]);
    assert_eq!(report.duplicates.len(), 1, "{:?}", report.duplicates);
    let found = &report.duplicates[0];
    assert_eq!((found.lines, found.places_total), (12, 2));
    assert_eq!(found.places, [place("src/deep/two.rs", 6), place("src/one.rs", 3)]);
    assert_eq!((report.files, report.lines), (6, 14 + 17 + 601 + 600 + 1 + 1));
    assert_eq!((report.skipped, report.truncated), (Vec::new(), None));
}

#[test]
fn a_directory_of_odd_things_is_scanned_and_what_cannot_be_read_is_listed() {
    let root = TempDir::new().unwrap();
    let at = |name: &str| root.path().join(name);
    let mut bytes = b"caf\xe9 \xff\xfe\n".to_vec();
    bytes.extend(numbered("same", 0..10).into_bytes());
    fs::write(at("latin-one.txt"), &bytes).unwrap();
    fs::write(at("latin-two.txt"), &bytes).unwrap();
    fs::write(at("image.png"), b"\x89PNG\0\0\n\n\n").unwrap();
    fs::write(at("one-line.js"), "x".repeat(4 << 20)).unwrap();
    fs::write(at("empty"), "").unwrap();
    fs::File::create(at("large.sql")).unwrap().set_len(scan::FILE_BYTES_MAX + 1).unwrap();
    symlink(".", at("loop")).unwrap();
    symlink("latin-one.txt", at("link.txt")).unwrap();
    symlink("nowhere", at("broken")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        at("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    fs::create_dir(at("closed")).unwrap();
    fs::write(at("closed/file"), "x\n").unwrap();
    fs::set_permissions(at("closed"), fs::Permissions::from_mode(0o000)).unwrap();
    let closed = fs::read_dir(at("closed")).is_err();
    let report = scan_of(root.path(), &ScanOptions::default()).unwrap();
    fs::set_permissions(at("closed"), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(report.duplicates.len(), 1);
    assert_eq!(report.duplicates[0].lines, 11);
    assert_eq!(
        report.duplicates[0].places,
        [place("latin-one.txt", 1), place("latin-two.txt", 1)],
        "a link is no second copy"
    );
    assert_eq!(report.binary_files, 1);
    let skipped: Vec<_> = report.skipped.iter().map(|left| left.path.as_str()).collect();
    // Nothing is closed to the superuser.
    let expect = if closed { vec!["closed", "large.sql"] } else { vec!["large.sql"] };
    assert_eq!(skipped, expect, "{:?}", report.skipped);
    assert!(report.skipped.last().unwrap().why.contains("larger than 8 MiB"));
}

#[test]
fn two_scans_of_the_same_files_give_the_same_report() {
    let root = TempDir::new().unwrap();
    for n in 0..40u32 {
        let text = format!("{}{}", numbered("a", n % 3..20), numbered("b", 0..n));
        write(root.path(), &format!("d{}/f{n}.txt", n % 7), &text);
    }
    let options = ScanOptions { block_lines: 3, lines_max: 20, ..ScanOptions::default() };
    let first = scan_of(root.path(), &options).unwrap();
    assert!(first.duplicates.len() > 3 && first.oversize.len() > 3);
    assert_eq!(scan_of(root.path(), &options).unwrap(), first);
    let json = serde_json::to_string(&first).unwrap();
    assert_eq!(serde_json::from_str::<ScanReport>(&json).unwrap(), first);
}

#[test]
fn a_hundred_thousand_lines_are_scanned_in_seconds_with_progress() {
    let root = TempDir::new().unwrap();
    for n in 0..100 {
        let text = format!("{}{}", numbered(&format!("own {n}"), 0..950), numbered("all", 0..50));
        write(root.path(), &format!("f{n}.txt"), &text);
    }
    let begun = std::time::Instant::now();
    let mut last = Progress::default();
    let cancel = CancellationToken::new();
    let report = scan::scan(root.path(), &ScanOptions::default(), &cancel, &mut |progress| {
        assert!(progress.files == last.files + 1 && progress.bytes > last.bytes);
        last = progress;
    })
    .unwrap();
    assert_eq!((report.files, report.lines, last.files), (100, 100_000, 100));
    assert_eq!(report.duplicates.len(), 1);
    assert_eq!((report.duplicates[0].lines, report.duplicates[0].places_total), (50, 100));
    assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
}

#[test]
fn a_scan_that_meets_a_limit_says_so_and_one_that_is_cancelled_ends() {
    let root = TempDir::new().unwrap();
    for n in 0..5 {
        write(root.path(), &format!("f{n}"), "1\n2\n");
    }
    let options = ScanOptions { files_max: 3, ..ScanOptions::default() };
    let report = scan_of(root.path(), &options).unwrap();
    assert_eq!(report.files, 3);
    assert_eq!(report.truncated.as_deref(), Some("only the first 3 files were read"));
    let options = ScanOptions { bytes_max: 5, ..ScanOptions::default() };
    let report = scan_of(root.path(), &options).unwrap();
    assert_eq!(report.truncated.as_deref(), Some("only the first 5 bytes were read"));
    let cancel = CancellationToken::new();
    let mut seen = 0;
    let ended = scan::scan(root.path(), &ScanOptions::default(), &cancel, &mut |_| {
        seen += 1;
        cancel.cancel();
    });
    assert!(matches!(ended, Err(ScanError::Cancelled)));
    assert_eq!(seen, 1);
    let cancel = CancellationToken::new();
    let go_on = &mut |come: Progress| come.files < 2;
    let report = scan::scan_while(root.path(), &ScanOptions::default(), &cancel, go_on).unwrap();
    assert_eq!(report.files, 2);
    let said = "only the first 2 files were read in the time there was";
    assert_eq!(report.truncated.as_deref(), Some(said));
}

#[test]
fn a_scan_of_nothing_says_what_is_wrong() {
    let root = TempDir::new().unwrap();
    write(root.path(), "file", "x");
    let said = |path: &str, options: &ScanOptions| {
        scan_of(&root.path().join(path), options).unwrap_err().to_string()
    };
    let options = ScanOptions::default();
    assert!(said("absent", &options).ends_with("absent': it does not exist"));
    assert!(said("file", &options).ends_with("file': it is not a directory"));
    let options = ScanOptions { block_lines: 1, ..options };
    assert_eq!(said("", &options), "scan with block_lines = 1: it must be at least 3");
}
