//! A sandbox in terms of this machine: which paths are hidden, shown and writable.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use model::process::{HomeAccess, LaunchSpec, Sandbox};

use crate::program::NotStarted;

/// The directory in a run's directory that a sandboxed program has for its temporary files.
pub const TMP: &str = "tmp";
/// How many bytes of a file that names a repository are read.
const POINTER_BYTES_MAX: u64 = 8 * 1024;
/// Directories of which a sandboxed program has its own, where bubblewrap is used.
const REPLACED: [&str; 2] = ["/tmp", "/run/user"];
/// The settings of one worktree, in its own place in the repository.
const WORKTREE_CONFIG: &str = "config.worktree";
/// Where a repository keeps those of its submodules.
const MODULES: &str = "modules";
/// The directory of all runs, inside of the engine's data directory.
const RUNS: &str = "runs";

/// What a sandboxed program sees and may do. Every path exists and leads over no symbolic link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walls {
    /// The home, unless it is hidden.
    pub home: Option<PathBuf>,
    /// Whether all of it may be written.
    pub home_is_open: bool,
    /// What is not seen.
    pub hidden: Vec<PathBuf>,
    /// What of that stays as empty as it seems; in a hidden home a program may write, but nothing of
    /// it is kept.
    pub empty: Option<PathBuf>,
    /// What is seen of that all the same, to read only.
    pub shown: Vec<PathBuf>,
    /// What may be written.
    pub writable: Vec<PathBuf>,
    /// What of that may not, and what of that may again: each path, and whether it may be written.
    pub guarded: Vec<(PathBuf, bool)>,
    /// Where it starts.
    pub directory: PathBuf,
    /// Its own directory for temporary files.
    pub tmp: PathBuf,
    /// Whether it may use the network.
    pub network: bool,
}

impl Walls {
    /// The walls `sandbox` asks for around the run in `run`, whose program is the file `found`.
    /// Makes the directory for temporary files.
    ///
    /// # Errors
    /// When a path it may write does not exist.
    pub fn around(
        run: &Path,
        spec: &LaunchSpec,
        sandbox: &Sandbox,
        found: &Path,
    ) -> Result<Self, NotStarted> {
        let tmp = run.join(TMP);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&tmp).map_err(|error| {
            NotStarted::Sandbox(format!("'{}' cannot be made: {error}", tmp.display()))
        })?;
        let directory = real(Path::new(&spec.directory))?;
        let mut writable = vec![directory.clone(), tmp.clone()];
        for path in &sandbox.writable {
            writable.push(real(&directory.join(path))?);
        }
        let home = variable(spec, "HOME")
            .and_then(|home| Path::new(&home).canonicalize().ok())
            .filter(|home| home.parent().is_some());
        let data = data_directory(run);
        let (home, hidden_home) = match sandbox.home {
            HomeAccess::Hidden => (None, home),
            HomeAccess::ReadOnly | HomeAccess::Full => (home, None),
        };
        let hidden: Vec<PathBuf> = hidden_home.into_iter().chain(data.clone()).collect();
        let mut shown: Vec<PathBuf> = vec![run.to_owned()];
        shown.extend(spec.shown.iter().filter_map(|path| Path::new(path).canonicalize().ok()));
        shown.extend(programs(spec, found));
        // What can be seen anyway needs not be shown.
        shown.retain(|path| {
            let replaced = REPLACED.iter().any(|place| path.starts_with(place));
            replaced || hidden.iter().any(|hidden| path.starts_with(hidden))
        });
        shown
            .retain(|path| !hidden.contains(path) && REPLACED.iter().all(|p| path != Path::new(p)));
        shown.sort();
        shown.dedup();
        let guarded = git_traps(&directory, &writable);
        Ok(Self {
            home,
            home_is_open: sandbox.home == HomeAccess::Full,
            hidden,
            empty: data,
            shown,
            writable,
            guarded,
            directory,
            tmp,
            network: sandbox.network,
        })
    }
}

fn real(path: &Path) -> Result<PathBuf, NotStarted> {
    path.canonicalize().map_err(|error| {
        NotStarted::Sandbox(match error.kind() {
            ErrorKind::NotFound => {
                format!("'{}', which it may write, does not exist", path.display())
            }
            _ => format!("'{}', which it may write, cannot be used: {error}", path.display()),
        })
    })
}

/// A variable as the program will see it.
pub(crate) fn variable(spec: &LaunchSpec, name: &str) -> Option<OsString> {
    let own = spec.env.iter().rev().find(|(own, _)| own == name);
    own.map(|(_, value)| value.into()).or_else(|| std::env::var_os(name))
}

/// The engine's data directory: its ledger and the other runs are no business of this one's.
fn data_directory(run: &Path) -> Option<PathBuf> {
    let runs = run.ancestors().skip(1).find(|path| path.file_name().is_some_and(|n| n == RUNS))?;
    runs.parent().filter(|data| data.parent().is_some()).map(Path::to_owned)
}

/// Where programs are: the one to start with what lies beside it, this one, and those of `PATH`.
fn programs(spec: &LaunchSpec, found: &Path) -> Vec<PathBuf> {
    let mut places = Vec::new();
    for program in [Some(found.to_owned()), std::env::current_exe().ok()].into_iter().flatten() {
        places.extend(program.parent().map(Path::to_owned));
        let real = program.canonicalize().ok();
        places.extend(real.as_deref().and_then(Path::parent).map(Path::to_owned));
    }
    let path = variable(spec, "PATH").unwrap_or_default();
    places.extend(std::env::split_paths(&path).filter(|place| place.is_absolute()));
    places.iter().filter_map(|place| place.canonicalize().ok()).collect()
}

/// What in a repository is run or obeyed by whoever uses it next, outside of the sandbox: hooks,
/// settings, and the files by which a worktree and its repository find each other. The worktree's own
/// place in the repository stays writable.
fn git_traps(directory: &Path, writable: &[PathBuf]) -> Vec<(PathBuf, bool)> {
    let mut guarded = Vec::new();
    for place in writable.iter().flat_map(|path| [path.clone(), path.join(".git")]) {
        if place.join("objects").is_dir() && place.join("refs").is_dir() {
            // What is not there cannot be guarded. Hooks are made by git with every repository; without
            // modules and worktrees' settings an empty place and an empty file are what git finds.
            for name in ["hooks", MODULES] {
                let _ = std::fs::create_dir(place.join(name));
            }
            let settings = place.join(WORKTREE_CONFIG);
            let _ = OpenOptions::new().append(true).create(true).open(settings);
            // Submodules as a whole: a place that is prepared is taken for theirs later.
            let names = ["hooks", "config", WORKTREE_CONFIG, MODULES, "worktrees"];
            guarded.extend(names.map(|name| (place.join(name), false)));
        }
    }
    let pointer = directory.join(".git");
    if let Some(own) = pointed(&pointer, "gitdir: ") {
        let own = directory.join(own);
        guarded.push((pointer, false));
        // As with the hooks: where a repository has settings for each worktree, git reads these.
        if own.join("commondir").is_file() {
            let _ = OpenOptions::new().append(true).create(true).open(own.join(WORKTREE_CONFIG));
        }
        guarded.extend(own.canonicalize().ok().map(|own| (own, true)));
        for name in ["commondir", "gitdir", WORKTREE_CONFIG] {
            guarded.push((own.join(name), false));
        }
    }
    let real = |(path, open): (PathBuf, bool)| Some((path.canonicalize().ok()?, open));
    let inside = |(path, _): &(PathBuf, bool)| writable.iter().any(|w| path.starts_with(w));
    guarded.into_iter().filter_map(real).filter(inside).collect()
}

/// The path that a file of one line names after `before`, as git writes them; nothing where it is no
/// such file.
#[must_use]
pub fn pointed(file: &Path, before: &str) -> Option<PathBuf> {
    use std::io::Read as _;
    if !file.is_file() {
        return None;
    }
    let mut text = String::new();
    std::fs::File::open(file).ok()?.take(POINTER_BYTES_MAX).read_to_string(&mut text).ok()?;
    pointer(&text, before).map(PathBuf::from)
}

fn pointer<'a>(text: &'a str, before: &str) -> Option<&'a str> {
    let path = text.strip_prefix(before)?.trim_end_matches(['\n', '\r']);
    (!path.is_empty() && !path.contains(['\n', '\0'])).then_some(path)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spec(place: &Path) -> LaunchSpec {
        let text = |name: &str| place.join(name).display().to_string();
        LaunchSpec {
            directory: text("data/worktrees/a"),
            env: vec![
                ("HOME".to_owned(), text("home")),
                ("PATH".to_owned(), format!("{}:/usr/bin", text("home/bin"))),
            ],
            ..LaunchSpec::default()
        }
    }

    #[test]
    fn the_home_and_the_engines_data_are_hidden_but_for_what_the_run_needs() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().canonicalize().unwrap();
        for name in ["home/bin", "data/worktrees/a", "data/runs/r/gates/1", "repo/objects"] {
            std::fs::create_dir_all(root.join(name)).unwrap();
        }
        for name in ["repo/refs", "repo/hooks"] {
            std::fs::create_dir_all(root.join(name)).unwrap();
        }
        let spec = spec(&root);
        let sandbox = Sandbox {
            writable: vec![root.join("repo").display().to_string()],
            home: HomeAccess::Hidden,
            network: false,
        };
        let run = root.join("data/runs/r");
        let walls = Walls::around(&run, &spec, &sandbox, Path::new("/bin/sh")).unwrap();
        assert_eq!(walls.hidden, [root.join("home"), root.join("data")]);
        let shown = |path: &&PathBuf| path.starts_with(&root);
        let shown: Vec<&PathBuf> = walls.shown.iter().filter(shown).collect();
        assert_eq!(shown, [&root.join("data/runs/r"), &root.join("home/bin")]);
        let writable = ["data/worktrees/a", "data/runs/r/tmp", "repo"].map(|name| root.join(name));
        assert_eq!(walls.writable, writable);
        let guarded =
            ["hooks", "config.worktree", "modules"].map(|name| root.join("repo").join(name));
        assert_eq!(walls.guarded, guarded.map(|path| (path, false)));
        assert!(walls.tmp.is_dir() && !walls.network);
        let gate = Walls::around(&run.join("gates/1"), &spec, &sandbox, Path::new("/bin/sh"));
        assert_eq!(gate.unwrap().hidden, walls.hidden, "a gate's run lies deeper");
    }

    #[test]
    fn a_path_that_does_not_exist_is_named() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("data/worktrees/a")).unwrap();
        let sandbox = Sandbox { writable: vec!["gone".to_owned()], ..Sandbox::default() };
        let run = root.join("run");
        let said = Walls::around(&run, &spec(&root), &sandbox, Path::new("/bin/sh")).unwrap_err();
        assert!(said.to_string().contains("a/gone', which it may write, does not exist"), "{said}");
    }

    #[test]
    fn of_a_repository_only_the_worktrees_own_place_stays_open_among_the_others() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().canonicalize().unwrap();
        for name in ["a", "git/objects", "git/refs", "git/worktrees/a", "git/worktrees/b"] {
            std::fs::create_dir_all(root.join(name)).unwrap();
        }
        let own = root.join("git/worktrees/a");
        std::fs::write(root.join("a/.git"), format!("gitdir: {}\n", own.display())).unwrap();
        std::fs::write(own.join("commondir"), "../..\n").unwrap();
        let traps = git_traps(&root.join("a"), &[root.join("a"), root.join("git")]);
        let at = |name: &str, open| (root.join(name), open);
        let expected = [
            at("git/hooks", false),
            at("git/config.worktree", false),
            at("git/modules", false),
            at("git/worktrees", false),
            at("a/.git", false),
            at("git/worktrees/a", true),
            at("git/worktrees/a/commondir", false),
            at("git/worktrees/a/config.worktree", false),
        ];
        assert_eq!(traps, expected);
        let traps = git_traps(&root.join("a"), &[root.join("a")]);
        assert_eq!(traps, [at("a/.git", false)], "what is not writable needs no guard");
    }

    proptest! {
        #[test]
        fn a_pointer_is_read_back_and_no_text_panics(path in "[^\\n\\r\\x00]{1,40}", text in "\\PC*") {
            let line = format!("gitdir: {path}\n");
            prop_assert_eq!(pointer(&line, "gitdir: "), Some(path.as_str()));
            let _ = pointer(&text, "gitdir: ");
        }
    }
}
