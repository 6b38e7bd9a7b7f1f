//! What the checks look at: the repository's files, and views of them.

use std::path::Path;
use std::process::Command;

/// One file of the repository: its path from the root, its text (empty when binary), its size.
pub(super) struct File {
    pub(super) path: String,
    pub(super) text: String,
    pub(super) bytes: u64,
}

pub(super) fn rust(files: &[File]) -> impl Iterator<Item = &File> {
    files.iter().filter(|file| extension(&file.path) == "rs")
}

/// The Rust code that is shipped: without tests, benches and comments.
pub(super) fn product(files: &[File]) -> impl Iterator<Item = (&File, String)> {
    rust(files)
        .filter(|file| {
            let path = &file.path;
            !path.starts_with("tests/")
                && !path.contains("/tests/")
                && !path.contains("/benches/")
                && !path.ends_with("tests.rs")
        })
        .map(|file| (file, without_tests(&file.text)))
}

/// Keeps the line numbers: what is left out becomes an empty line.
fn without_tests(text: &str) -> String {
    let mut kept = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let test_module = line.trim() == "#[cfg(test)]"
            && lines.peek().is_some_and(|next| next.starts_with("mod ") && next.ends_with('{'));
        if test_module {
            break;
        }
        if !line.trim_start().starts_with("//") {
            kept.push_str(line);
        }
        kept.push('\n');
    }
    kept
}

pub(super) fn ui_sources(files: &[File]) -> impl Iterator<Item = &File> {
    files.iter().filter(|file| {
        file.path.starts_with("ui/src/")
            && matches!(extension(&file.path), "ts" | "svelte" | "css" | "html")
    })
}

pub(super) fn is_ui_test(path: &str) -> bool {
    path.ends_with(".test.ts") || path.contains("/fixtures/")
}

pub(super) fn is_source(path: &str) -> bool {
    let kinds = ["rs", "ts", "svelte", "css", "html", "sh", "sql", "toml", "yml"];
    kinds.contains(&extension(path)) && !is_own(path)
}

pub(super) fn extension(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(_, extension)| extension)
}

/// The lines that contain one of the words, each with its place.
pub(super) fn lines_with(file: &File, text: &str, words: &[&str]) -> Vec<String> {
    lines_where(file, text, |line| words.iter().any(|word| line.contains(word)))
}

/// The lines of a text that are wanted, each with its place. The checks themselves, which name what
/// they forbid, are left out.
pub(super) fn lines_where(file: &File, text: &str, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    if is_own(&file.path) {
        return Vec::new();
    }
    text.lines()
        .enumerate()
        .filter(|(_, line)| wanted(line))
        .map(|(n, line)| format!("{}:{}: {}", file.path, n + 1, line.trim()))
        .collect()
}

/// Every file that git tracks or would track.
pub(super) fn repository() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .expect("git lists the files");
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let paths = String::from_utf8(listed.stdout).expect("paths are UTF-8");
    let files: Vec<File> = paths
        .split_terminator('\0')
        .filter_map(|path| {
            let bytes = std::fs::read(root.join(path)).ok()?;
            Some(File {
                path: path.to_owned(),
                bytes: bytes.len() as u64,
                text: String::from_utf8(bytes).unwrap_or_default(),
            })
        })
        .collect();
    assert!(files.len() > 50, "only {} files were found", files.len());
    files
}

fn is_own(path: &str) -> bool {
    path.starts_with("tests/tidy")
}
