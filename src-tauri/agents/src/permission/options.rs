//! Options that only change what a program looks at or how it tells it: what a `*` may stand for.
//!
//! Invariant: an option that is not listed is not harmless. A program without a list has none, and so
//! has one that is named by a path which is not the system's.

/// How the options of a program are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// `--name`, and letters that stand together behind one dash.
    Letters,
    /// `-name` or `--name`, never letters that stand together.
    Names,
}

/// The harmless options of a program, or of one of its verbs.
#[derive(Debug)]
struct Known {
    program: &'static str,
    /// Its first words, apart by blanks; empty for the program as a whole.
    verb: &'static str,
    style: Style,
    /// Letters that stand alone; a `#` for numbers such as `-20`.
    flags: &'static str,
    /// Letters that a value follows.
    valued: &'static str,
    /// Long names without their dashes, apart by blanks; `=` and a value may follow each.
    names: &'static str,
}

/// Where the system keeps its programs.
const SYSTEM_PLACES: &[&str] = &["/bin/", "/usr/bin/", "/usr/local/bin/"];

const LOG: &str = "oneline stat numstat shortstat summary name-only name-status graph decorate \
     no-decorate all branches tags remotes max-count skip since after until before \
     author committer grep follow pretty format abbrev abbrev-commit \
     no-abbrev-commit color no-color cached staged word-diff word-diff-regex \
     ignore-all-space ignore-space-change ignore-blank-lines unified reverse merges \
     no-merges first-parent date patch no-patch raw find-renames find-copies \
     diff-filter no-renames check quiet exit-code no-ext-diff no-textconv \
     merge-base function-context minimal histogram patience no-prefix full-index \
     left-right cherry-pick no-notes topo-order date-order left-only right-only \
     ignore-submodules compact-summary dirstat";
const CARGO: &str = "quiet verbose release all workspace all-targets all-features features \
     no-default-features lib bins bin tests test examples example benches bench doc \
     no-run no-fail-fast locked offline frozen package exclude profile keep-going \
     jobs color no-deps check depth invert edges duplicates prefix format-version \
     nocapture no-capture test-threads exact ignored include-ignored skip list \
     show-output run-ignored retries fail-fast status-level final-status-level \
     document-private-items charset";
const GO: &str = "v run count race short timeout cover covermode bench benchmem benchtime \
     failfast parallel cpu json list p tags trimpath skip shuffle n x a";

const fn letters(
    program: &'static str,
    verb: &'static str,
    flags: &'static str,
    valued: &'static str,
    names: &'static str,
) -> Known {
    Known { program, verb, style: Style::Letters, flags, valued, names }
}

const fn by_name(program: &'static str, verb: &'static str, names: &'static str) -> Known {
    Known { program, verb, style: Style::Names, flags: "", valued: "", names }
}

const KNOWN: &[Known] = &[
    letters("git", "", "P", "", "no-pager no-optional-locks version"),
    letters(
        "git",
        "status",
        "sbvz",
        "u",
        "short branch porcelain untracked-files ignored show-stash long verbose \
     no-renames ahead-behind no-ahead-behind column",
    ),
    letters("git", "diff", "psuwbaRqz", "UMCSG", LOG),
    letters("git", "log", "#psuwbaciEFRqz", "nUMCSG", LOG),
    letters("git", "show", "#psuwbaciEFRqz", "nUMCSG", LOG),
    letters("git", "add", "Aunv", "", "all update verbose dry-run intent-to-add"),
    letters("git", "commit", "aqsv", "m", "all message quiet signoff verbose"),
    letters("git", "blame", "wslpetfnc", "LMC", "date show-email porcelain root"),
    letters(
        "git",
        "rev-parse",
        "q",
        "",
        "short abbrev-ref show-toplevel verify quiet git-dir git-common-dir \
     is-inside-work-tree show-prefix symbolic-full-name is-bare-repository",
    ),
    letters(
        "git",
        "ls-files",
        "cdmosktuvz",
        "x",
        "cached deleted modified others stage exclude-standard unmerged directory \
     full-name error-unmatch exclude eol",
    ),
    letters("cargo", "build", "qvr", "pjF", CARGO),
    letters("cargo", "check", "qvr", "pjF", CARGO),
    letters("cargo", "test", "qvr", "pjF", CARGO),
    letters("cargo", "bench", "qv", "pjF", CARGO),
    letters("cargo", "doc", "qvr", "pjF", CARGO),
    letters("cargo", "clippy", "qvr", "pjFDWA", CARGO),
    letters("cargo", "fmt", "qv", "p", CARGO),
    letters("cargo", "tree", "qvd", "piFe", CARGO),
    letters("cargo", "metadata", "qv", "F", CARGO),
    letters("cargo", "nextest run", "qvr", "pjFEP", CARGO),
    by_name("go", "build", GO),
    by_name("go", "test", GO),
    by_name("go", "vet", GO),
    by_name("go", "fmt", "n x"),
    by_name(
        "find",
        "",
        "H L P name iname path ipath wholename regex iregex type xtype maxdepth \
     mindepth size mtime mmin ctime cmin atime amin newer not a and o or print \
     print0 empty prune perm user group true false xdev mount depth links readable \
     writable executable ls quit",
    ),
    letters(
        "ls",
        "",
        "abcdfghiklmnopqrstuvxABCFGHLNQRSUXZ1",
        "Iw",
        "all almost-all color human-readable recursive reverse size sort time directory \
     classify file-type format full-time group-directories-first inode ignore \
     time-style no-group si",
    ),
    letters("cat", "", "AbeEnstTuv", "", "number number-nonblank show-all squeeze-blank"),
    letters("head", "", "#qvz", "nc", "lines bytes quiet verbose"),
    letters("tail", "", "#qvz", "nc", "lines bytes quiet verbose"),
    letters("wc", "", "clmwL", "", "bytes chars lines words max-line-length"),
    letters(
        "grep",
        "",
        "#EFGPachHiIlLnoqsvwxyz",
        "ABCme",
        "extended-regexp fixed-strings basic-regexp perl-regexp ignore-case \
     invert-match word-regexp line-regexp count color colour files-with-matches \
     files-without-match max-count only-matching quiet no-messages line-number \
     with-filename no-filename after-context before-context context text regexp",
    ),
    letters(
        "rg",
        "",
        "#acFhHiIlnNopqsSvVwx",
        "ABCmtTje",
        "count count-matches fixed-strings ignore-case smart-case case-sensitive \
     files-with-matches files-without-match files line-number no-line-number \
     only-matching invert-match word-regexp line-regexp max-count max-depth type \
     type-not type-list after-context before-context context color heading \
     no-heading with-filename no-filename json stats sort vimgrep column trim quiet \
     regexp multiline pretty threads",
    ),
    letters("pwd", "", "LP", "", ""),
    letters("echo", "", "neE", "", ""),
    letters("stat", "", "Lft", "c", "format printf dereference file-system terse"),
    letters(
        "du",
        "",
        "abchHklmsSx",
        "d",
        "all apparent-size bytes total max-depth human-readable summarize",
    ),
    letters("df", "", "ahHiklPT", "t", "all human-readable inodes total type"),
    letters("which", "", "a", "", "all"),
    letters("tree", "", "adfhipugsDFJn", "LIP", "dirsfirst noreport gitignore prune"),
    letters(
        "diff",
        "",
        "#qsyuwbBiatE",
        "UCI",
        "brief side-by-side unified context color ignore-all-space ignore-space-change \
     ignore-blank-lines ignore-case text width suppress-common-lines minimal \
     report-identical-files",
    ),
    letters("cmp", "", "bls", "ni", "bytes print-bytes verbose silent quiet"),
    letters("basename", "", "az", "s", "multiple suffix zero"),
    letters("dirname", "", "z", "", "zero"),
    letters("realpath", "", "ePLmqsz", "", "canonicalize-existing relative-to relative-base"),
    letters(
        "sort",
        "",
        "bcCdfghiMnRrsuVz",
        "kt",
        "numeric-sort general-numeric-sort human-numeric-sort version-sort month-sort \
     reverse unique key field-separator ignore-case dictionary-order \
     ignore-leading-blanks check stable zero-terminated",
    ),
    letters(
        "cut",
        "",
        "snz",
        "bcdf",
        "bytes characters delimiter fields only-delimited complement output-delimiter",
    ),
    letters(
        "pytest",
        "",
        "qvxsl",
        "kmnr",
        "quiet verbose exitfirst maxfail lf last-failed ff failed-first tb co \
     collect-only durations no-header no-summary color showlocals sw stepwise nf \
     new-first strict-markers capture",
    ),
    letters(
        "mypy",
        "",
        "vp",
        "",
        "strict ignore-missing-imports no-error-summary pretty verbose package \
     show-error-codes no-incremental check-untyped-defs warn-unused-ignores \
     show-column-numbers no-color-output explicit-package-bases namespace-packages",
    ),
];

/// The name of a program of the system, or of one that is looked up; nothing for any other path.
pub(super) fn program_name(program: &str) -> Option<&str> {
    let name = SYSTEM_PLACES.iter().find_map(|place| program.strip_prefix(place));
    Some(name.unwrap_or(program)).filter(|name| !name.contains('/'))
}

/// Whether a command shows what is in every file below what it is given: a `*` stands for nothing that
/// leads out of the worktree then. Two directories outside of it are compared by `git diff` as well.
pub(super) fn is_deep(words: &[&str]) -> bool {
    let Some((program, rest)) = words.split_first() else {
        return false;
    };
    match program_name(program) {
        Some("rg" | "diff") => true,
        Some("git") => rest.contains(&"diff"),
        Some("grep") => rest.iter().any(|word| match word.strip_prefix("--") {
            Some(long) => long.ends_with("recursive"),
            None => word.starts_with('-') && word.contains(['r', 'R']),
        }),
        _ => false,
    }
}

/// Whether a word is written as an option is, or as what some programs take for one.
pub(super) fn is_option(program: &str, word: &str) -> bool {
    let marked = word.starts_with('-') && word != "-";
    // Words that are read from a file; another toolchain or another place to begin.
    let from_file = word.starts_with('@') && program_name(program) != Some("git");
    marked || from_file || word.starts_with('+')
}

/// Whether the word at `at` of a command is an option that changes nothing but what is looked at and
/// how it is told.
pub(super) fn is_harmless(words: &[&str], at: usize) -> bool {
    let (Some(program), Some(word)) = (words.first(), words.get(at)) else { return false };
    if *word == "--" {
        // What stands behind it is judged as if it were an option all the same.
        return KNOWN.iter().any(|known| program_name(program) == Some(known.program));
    }
    let Some(name) = program_name(program) else { return false };
    let fits = |known: &&Known| {
        let mut verbs = known.verb.split(' ').filter(|verb| !verb.is_empty()).enumerate();
        known.program == name
            && verbs.all(|(place, verb)| place + 1 < at && words.get(place + 1) == Some(&verb))
    };
    // The narrowest list: options of a verb are others than those before it.
    let known = KNOWN.iter().filter(fits).max_by_key(|known| known.verb.len());
    known.is_some_and(|known| {
        let has_verb = words.get(1).is_some_and(|first| !first.starts_with('-')) && at > 1;
        let verbs = KNOWN.iter().any(|other| other.program == name && !other.verb.is_empty());
        // A verb that is not known takes none.
        !(known.verb.is_empty() && verbs && has_verb) && known.lists(word)
    })
}

impl Known {
    fn lists(&self, word: &str) -> bool {
        let named = |name: &str| {
            let name = name.split('=').next().unwrap_or_default();
            !name.is_empty() && self.names.split(' ').any(|known| known == name)
        };
        if let Some(name) = word.strip_prefix("--") {
            return named(name);
        }
        let Some(rest) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) else {
            return false;
        };
        match self.style {
            Style::Names => named(rest),
            Style::Letters => self.lists_letters(rest),
        }
    }

    fn lists_letters(&self, letters: &str) -> bool {
        if letters.chars().all(|ch| ch.is_ascii_digit()) {
            return self.flags.contains('#');
        }
        for letter in letters.chars() {
            if self.valued.contains(letter) {
                return true;
            }
            if letter == '#' || !self.flags.contains(letter) {
                return false;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn harmless(line: &str) -> bool {
        let words: Vec<&str> = line.split(' ').collect();
        (1..words.len())
            .filter(|at| is_option(words[0], words[*at]))
            .all(|at| is_harmless(&words, at))
    }

    #[test]
    fn only_listed_options_are_harmless_however_they_are_written() {
        for fine in [
            "git log -5 --oneline",
            "git commit -am words",
            "cargo test -p x --release -- --nocapture",
            "cargo clippy --all-targets -- -D warnings",
            "cargo nextest run -E test(x)",
            "go test -run=X --count=1 ./...",
            "/usr/bin/sort -rn -k2 a",
            "head -n20 a",
            "ls -la --color=never",
            "find . -name x -type f",
        ] {
            assert!(harmless(fine), "{fine}");
        }
        for bad in [
            "sort --compress-prog=./evil a",
            "sort -uo x a",
            "sort --outp=x a",
            "sort -S100k a",
            "go test --exec=./evil",
            "go test -o F",
            "go build -coverprofile=F",
            "git -c alias.x=!evil x",
            "git --config-env=a=b status",
            "git grep -O./evil x",
            "git diff --outpu=x",
            "git log --ext-diff",
            "cargo build --config x",
            "cargo build --target-dir x",
            "cargo +nightly build",
            "cargo nextest self --version",
            "make test --eval=x",
            "pytest -p evil",
            "pytest --junitxml=x",
            "mypy --python-executable x",
            "mypy @x",
            "./git log -5",
            "/tmp/git log -5",
            "find . -delete",
            "find . -exec x",
            "rg --pre=./x a",
            "rg -uu a",
            "grep -r a b",
            "tree -o x",
            "anything -x",
        ] {
            assert!(!harmless(bad), "{bad}");
        }
    }
}
