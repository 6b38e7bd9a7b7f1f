//! A repository that would run programs wherever git lets it, each leaving a trace of its name.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::repo::Repo;

/// The traps of one repository.
pub(crate) struct Traps {
    trace: PathBuf,
    config: PathBuf,
}

/// Every hook that the commands in use could run.
const HOOKS: &[&str] = &[
    "post-checkout",
    "post-index-change",
    "post-merge",
    "post-rewrite",
    "pre-auto-gc",
    "pre-commit",
    "pre-merge-commit",
    "commit-msg",
    "prepare-commit-msg",
    "reference-transaction",
];

impl Traps {
    /// What a file of attributes must say for them to be used.
    pub(crate) const ATTRIBUTES: &str = "*.txt diff=trap merge=trap filter=trap\n";

    /// Sets them.
    pub(crate) fn set(repo: &Repo) -> Self {
        let trace = repo.root.path().join("trace");
        let program = |name: &str, then: &str| {
            let path = repo.root.path().join(format!("trap-{name}"));
            let text = format!("#!/bin/sh\necho {name} >> '{}'\n{then}\n", trace.display());
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
            path.display().to_string()
        };
        let hooks = repo.path().join(".git/hooks");
        std::fs::create_dir_all(&hooks).unwrap();
        for hook in HOOKS {
            std::fs::copy(program(hook, ""), hooks.join(hook)).unwrap();
        }
        for (key, name, then) in [
            ("core.fsmonitor", "fsmonitor", "exit 1"),
            ("core.sshCommand", "ssh", "exit 1"),
            ("core.editor", "editor", ""),
            ("core.pager", "pager", "cat"),
            ("core.askPass", "askpass", ""),
            ("credential.helper", "credential", ""),
            ("gpg.program", "gpg", "exit 1"),
            ("diff.external", "external", ""),
            ("diff.trap.command", "command", ""),
            ("diff.trap.textconv", "textconv", "cat \"$1\""),
            ("merge.trap.driver", "driver", "exit 0"),
            ("merge.trap=x y.driver", "odd-driver", "exit 0"),
            ("filter.trap.clean", "clean", "cat"),
            ("filter.trap.smudge", "smudge", "cat"),
        ] {
            repo.git(&["config", key, &program(name, then)]);
        }
        for (key, value) in [
            ("commit.gpgSign", "true"),
            ("log.showSignature", "true"),
            ("merge.verifySignatures", "true"),
            ("merge.renormalize", "true"),
            ("merge.autoStash", "true"),
            ("merge.default", "trap=x y"),
            ("branch.main.mergeOptions", "--squash --no-ff --strategy=ours"),
            ("pull.twohead", "ours"),
            ("merge.ff", "false"),
            ("submodule.recurse", "true"),
            ("protocol.allow", "always"),
            ("protocol.ext.allow", "always"),
        ] {
            repo.git(&["config", key, value]);
        }
        let config = repo.path().join(".git/config");
        Self { trace, config }
    }

    /// Does something by hand that is to set nothing off.
    pub(crate) fn while_off<T>(&self, act: impl FnOnce() -> T) -> T {
        let config = std::fs::read(&self.config).unwrap();
        let hooks = self.config.with_file_name("hooks");
        let aside = self.config.with_file_name("hooks-aside");
        std::fs::write(&self.config, "[core]\n\trepositoryformatversion = 0\n").unwrap();
        std::fs::rename(&hooks, &aside).unwrap();
        let done = act();
        std::fs::rename(&aside, &hooks).unwrap();
        std::fs::write(&self.config, config).unwrap();
        done
    }

    /// None of them was set off.
    pub(crate) fn expect_none(&self) {
        self.expect_only(&[]);
    }

    /// None was set off but the filters of files that were put into a checkout or read from it.
    pub(crate) fn expect_filters_at_most(&self) {
        let trace = std::fs::read_to_string(&self.trace).unwrap_or_default();
        assert!(trace.lines().all(|ran| ["clean", "smudge"].contains(&ran)), "{trace}");
    }

    /// These were set off, and no others.
    pub(crate) fn expect_only(&self, names: &[&str]) {
        let trace = std::fs::read_to_string(&self.trace).unwrap_or_default();
        let mut ran: Vec<&str> = trace.lines().collect();
        ran.sort_unstable();
        ran.dedup();
        assert_eq!(ran, names);
    }
}

#[test]
fn git_by_hand_sets_the_traps_off() {
    let repo = Repo::new();
    repo.write(".gitattributes", "*.txt diff=trap merge=trap\nb.txt filter=trap\n");
    repo.git(&["add", "."]);
    repo.git(&["commit", "-q", "-m", "attributes"]);
    let [main, other] = ["theirs\n", "ours\n"].map(|text| {
        repo.git(&["checkout", "-q", "--detach", "main"]);
        repo.write("a.txt", text);
        repo.git(&["commit", "-q", "-a", "-m", "change"]);
        repo.git(&["rev-parse", "HEAD"])
    });
    let traps = Traps::set(&repo);
    repo.git(&["diff", &main, &other]);
    repo.git(&["show", "--no-ext-diff", &main]);
    repo.git(&["merge-tree", "--write-tree", &main, &other]);
    repo.write("b.txt", "b");
    repo.git(&["add", "b.txt"]);
    repo.git(&["update-ref", "refs/heads/new", &main]);
    let ran = ["clean", "command", "driver", "fsmonitor", "post-index-change"];
    traps.expect_only(&[&ran[..], &["reference-transaction", "textconv"]].concat());
}
