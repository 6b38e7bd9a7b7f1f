//! Looks at what the engine needs, and says what to do about what is missing.

use std::collections::BTreeSet;
use std::path::Path;

use agents::supervision::{self, Probe};
use model::process::Supervision;
use model::refusal::Refusal;
use store::ledger::ReadError;

use crate::network;
use crate::resolve::unreadable;
use crate::view::{Check, CheckGrade};
use crate::{Engine, Verification};

/// Free space below which the disk is called short, in bytes: 1 GiB.
const DISK_SHORT_BYTES: u64 = 1024 * 1024 * 1024;
/// Free space below which the disk is called full, in bytes: 64 MiB.
const DISK_FULL_BYTES: u64 = 64 * 1024 * 1024;

impl Engine {
    /// Looks at everything the engine needs. What cannot be looked at is a check that failed, and
    /// hides none of the others.
    pub async fn doctor(&self) -> Vec<Check> {
        let free = self.0.snapshots.borrow().machine.disk_free_bytes;
        let mut checks = vec![self.ledger_check().await, disk_check(free), git_check().await];
        checks.extend(keeping_checks(supervision::probed().await));
        checks.extend(network_check(network::leads_out()));
        checks.push(self.secrets_check().await);
        checks.extend(self.program_checks().await);
        checks
    }

    /// Checks every link of the ledger, and every row against the events.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn verify(&self) -> Result<Verification, Refusal> {
        self.0.ledger.verify().await.map_err(unreadable)
    }

    async fn ledger_check(&self) -> Check {
        match self.0.ledger.verify().await {
            Ok(found) => ledger_check(&found),
            Err(err) => unread("ledger", &err),
        }
    }

    /// One check for each program an agent needs.
    async fn program_checks(&self) -> Vec<Check> {
        let agents = match self.0.ledger.agents().await {
            Ok(agents) => agents,
            Err(err) => return vec![unread("programs", &err)],
        };
        let programs: BTreeSet<(String, Option<String>)> = agents
            .into_iter()
            .filter(|agent| agent.runtime.lost_after_s().is_none())
            .map(|agent| (agent.runtime.program().to_owned(), agent.directory))
            .collect();
        let check = |(program, directory): (String, Option<String>)| {
            let missing = agents::detect::missing(&program, directory.as_deref().map(Path::new));
            Check {
                name: format!("program {program}"),
                grade: if missing.is_none() { CheckGrade::Ok } else { CheckGrade::Failed },
                fix: missing.as_ref().map(|_| program_fix(&program)),
                found: missing.unwrap_or_else(|| "can be started".to_owned()),
            }
        };
        programs.into_iter().map(check).collect()
    }
}

/// A check for which the ledger could not be read.
fn unread(name: &str, err: &ReadError) -> Check {
    tracing::error!(error = err as &dyn std::error::Error, "a check could not be done");
    Check {
        name: name.to_owned(),
        grade: CheckGrade::Failed,
        found: format!("failed to {err}"),
        fix: Some(
            "see the check of the disk, and the log in the data directory; nothing was changed"
                .to_owned(),
        ),
    }
}

fn program_fix(program: &str) -> String {
    let todo = if program.contains(std::path::is_separator) {
        format!("make {program} an executable program")
    } else {
        format!("install {program}")
    };
    format!("{todo}, or create the agent anew with another command")
}

fn disk_check(free: Option<u64>) -> Check {
    let (grade, found, fix) = match free {
        Some(bytes) if bytes < DISK_SHORT_BYTES => (
            if bytes < DISK_FULL_BYTES { CheckGrade::Failed } else { CheckGrade::Degraded },
            format!("{} MiB free for the data directory", bytes >> 20),
            Some("free space on the disk that holds the data directory"),
        ),
        Some(bytes) => {
            (CheckGrade::Ok, format!("{} GiB free for the data directory", bytes >> 30), None)
        }
        None => (
            CheckGrade::Degraded,
            "the free space is not known".to_owned(),
            Some("look again in a few seconds"),
        ),
    };
    Check { name: "disk".to_owned(), grade, found, fix: fix.map(str::to_owned) }
}

/// Looks at everything a start would need, where no engine runs. Changes nothing.
pub async fn doctor_without_engine(data_dir: &Path) -> Vec<Check> {
    let mut checks = vec![shim_check(), git_check().await];
    checks.extend(keeping_checks(supervision::probed().await));
    checks.extend(network_check(network::leads_out()));
    checks.push(workspace_check(data_dir).await);
    checks
}

/// Never worse than degraded: nothing here needs a network.
fn network_check(leads_out: Option<bool>) -> Option<Check> {
    let name = "network".to_owned();
    Some(if leads_out? {
        let found = "a route leads out of this machine".to_owned();
        Check { name, grade: CheckGrade::Ok, found, fix: None }
    } else {
        let found = "no route leads out of this machine: models elsewhere, remote repositories and \
                     export to other machines are unavailable; everything here works";
        let fix = Some("connect this machine to a network to use those".to_owned());
        Check { name, grade: CheckGrade::Degraded, found: found.to_owned(), fix }
    })
}

fn shim_check() -> Check {
    let name = "shim".to_owned();
    match agents::Launcher::locate() {
        Ok(_) => Check {
            name,
            grade: CheckGrade::Ok,
            found: "agents can be started".to_owned(),
            fix: None,
        },
        Err(err) => Check {
            name,
            grade: CheckGrade::Failed,
            found: format!("failed to {err}"),
            fix: Some("install hivekeeper-shim beside this program".to_owned()),
        },
    }
}

/// How agents' processes are kept together here, who holds their limits, and what walls them in.
fn keeping_checks(probe: &Probe) -> [Check; 3] {
    [supervision_check(probe), limits_check(probe), sandbox_check(probe)]
}

fn supervision_check(probe: &Probe) -> Check {
    let sure = matches!(probe.in_force, Supervision::Cgroup | Supervision::Namespace);
    let mut found = format!(
        "agents' processes are kept together by {}",
        supervision::supervision_words(probe.in_force)
    );
    for (way, tried) in &probe.available {
        if let Err(reason) = tried {
            found.push_str(&format!("; no {}: {reason}", way_word(*way)));
        }
    }
    Check {
        name: "supervision".to_owned(),
        grade: if sure { CheckGrade::Ok } else { CheckGrade::Degraded },
        found,
        fix: (!sure).then(|| "install bubblewrap".to_owned()),
    }
}

const fn way_word(way: Supervision) -> &'static str {
    match way {
        Supervision::Cgroup => "control group",
        Supervision::Namespace => "process namespace",
        Supervision::Session => "session",
        Supervision::Group => "process group",
    }
}

/// Never worse than degraded: what the kernel does not hold is watched.
fn limits_check(probe: &Probe) -> Check {
    let held = probe.held;
    let all =
        [(held.memory, "memory"), (held.processes, "processes"), (held.cpu, "processor share")];
    let names = |wanted: bool| -> Vec<&str> {
        all.iter().filter(|(held, _)| *held == wanted).map(|(_, name)| *name).collect()
    };
    let (kernels, watched) = (names(true), names(false));
    let found = match (kernels.as_slice(), watched.as_slice()) {
        (_, []) => {
            "the kernel holds the limits of memory, processes and processor share".to_owned()
        }
        ([], _) => {
            "limits of memory and processes are watched twice a second; the processor share \
                    is niceness"
                .to_owned()
        }
        (kernels, _) => format!(
            "the kernel holds the limits of {}; others are watched twice a second, and the \
             processor share is niceness",
            kernels.join(" and ")
        ),
    };
    Check { name: "limits".to_owned(), grade: CheckGrade::Ok, found, fix: None }
}

fn sandbox_check(probe: &Probe) -> Check {
    let landlock = match &probe.landlock {
        Ok(version) => format!("landlock of version {version}"),
        Err(reason) => format!("no landlock: {reason}"),
    };
    let (grade, found) = match &probe.bubblewrap {
        Ok(version) => (CheckGrade::Ok, format!("bubblewrap {version}, and {landlock}")),
        Err(reason) if probe.can_sandbox() => {
            (CheckGrade::Degraded, format!("{landlock} only; no bubblewrap: {reason}"))
        }
        Err(reason) => (
            CheckGrade::Degraded,
            format!(
                "agents that ask for a sandbox are not started; no bubblewrap: {reason}; {landlock}"
            ),
        ),
    };
    let fix = (grade != CheckGrade::Ok).then(|| "install bubblewrap".to_owned());
    Check { name: "sandbox".to_owned(), grade, found, fix }
}

async fn workspace_check(data_dir: &Path) -> Check {
    if !data_dir.exists() {
        return Check {
            name: "workspace".to_owned(),
            grade: CheckGrade::Ok,
            found: format!("{} will be made at the first start", data_dir.display()),
            fix: None,
        };
    }
    match crate::verify(data_dir).await {
        Ok(found) => ledger_check(&found),
        Err(err) => Check {
            name: "workspace".to_owned(),
            grade: CheckGrade::Failed,
            found: format!("failed to {err}"),
            fix: Some(
                "do what the text says, or name another workspace with --data-dir".to_owned(),
            ),
        },
    }
}

fn ledger_check(found: &Verification) -> Check {
    let whole = found.is_sound();
    Check {
        name: "ledger".to_owned(),
        grade: if whole { CheckGrade::Ok } else { CheckGrade::Failed },
        found: match found.findings.first() {
            None => format!("{} events, every link of the chain checked", found.events),
            Some(finding) => format!("{} findings; the first: {finding}", found.findings.len()),
        },
        fix: (!whole).then(|| {
            "stop the engine and restore the latest backup; keep the damaged files".to_owned()
        }),
    }
}

async fn git_check() -> Check {
    let name = "git".to_owned();
    match agents::worktree::Git::new().version().await {
        Ok(found) => Check { name, grade: CheckGrade::Ok, found, fix: None },
        Err(err) => Check {
            name,
            grade: CheckGrade::Failed,
            found: format!("failed to {err}"),
            fix: Some("install git; missions on repositories need it".to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_short_below_a_gibibyte_and_full_below_64_mebibytes() {
        const MIB: u64 = 1 << 20;
        let check = |free: u64, grade: CheckGrade, found: &str| {
            let check = disk_check(Some(free));
            assert_eq!((check.grade, check.found.as_str()), (grade, found));
            assert_eq!(check.fix.is_none(), grade == CheckGrade::Ok);
        };
        check(0, CheckGrade::Failed, "0 MiB free for the data directory");
        check(64 * MIB - 1, CheckGrade::Failed, "63 MiB free for the data directory");
        check(64 * MIB, CheckGrade::Degraded, "64 MiB free for the data directory");
        check(1024 * MIB - 1, CheckGrade::Degraded, "1023 MiB free for the data directory");
        check(1024 * MIB, CheckGrade::Ok, "1 GiB free for the data directory");
        assert_eq!(disk_check(None).grade, CheckGrade::Degraded);
    }

    #[test]
    fn without_a_way_out_the_check_says_what_is_unavailable_and_that_the_rest_works() {
        assert_eq!(network_check(None), None);
        assert_eq!(network_check(Some(true)).unwrap().grade, CheckGrade::Ok);
        let alone = network_check(Some(false)).unwrap();
        assert_eq!(alone.grade, CheckGrade::Degraded);
        assert!(alone.found.contains("unavailable"), "{}", alone.found);
        assert!(alone.fix.is_some());
    }

    #[tokio::test]
    async fn what_keeps_agents_together_is_said_with_what_is_missing_and_what_to_do() {
        let probe = supervision::probed().await;
        let [way, limits, sandbox] = keeping_checks(probe);
        assert!(way.found.starts_with("agents' processes are kept together by "), "{}", way.found);
        assert!(limits.found.contains("memory"), "{}", limits.found);
        for check in [way, sandbox] {
            assert_eq!(check.fix.is_none(), check.grade == CheckGrade::Ok, "{}", check.found);
        }
        let bare = Probe {
            in_force: Supervision::Session,
            held: Default::default(),
            bubblewrap: Err(agents::supervision::Reason::new("it is not installed")),
            landlock: Err(agents::supervision::Reason::new("the kernel is too old")),
            ..probe.clone()
        };
        let [way, limits, sandbox] = keeping_checks(&bare);
        assert_eq!((way.grade, sandbox.grade), (CheckGrade::Degraded, CheckGrade::Degraded));
        assert_eq!(limits.grade, CheckGrade::Ok);
        assert!(sandbox.found.contains("are not started"), "{}", sandbox.found);
        assert_eq!(sandbox.fix.as_deref(), Some("install bubblewrap"));
    }

    #[test]
    fn a_path_is_made_a_program_and_a_name_is_installed() {
        assert_eq!(
            program_fix("/tmp"),
            "make /tmp an executable program, or create the agent anew with another command"
        );
        assert_eq!(
            program_fix("ruff"),
            "install ruff, or create the agent anew with another command"
        );
    }
}
