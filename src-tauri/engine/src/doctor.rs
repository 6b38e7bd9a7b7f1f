//! Looks at what the engine needs, and says what to do about what is missing.

use std::collections::BTreeSet;
use std::path::Path;

use model::refusal::Refusal;

use crate::resolve::unreadable;
use crate::view::{Check, CheckGrade};
use crate::{Engine, Verification};

/// Free space below which the disk is called short, in bytes: 1 GiB.
const DISK_SHORT_BYTES: u64 = 1024 * 1024 * 1024;

impl Engine {
    /// Looks at everything the engine needs.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn doctor(&self) -> Result<Vec<Check>, Refusal> {
        let mut checks = vec![self.ledger_check().await?, self.disk_check(), git_check().await];
        checks.extend(self.program_checks().await?);
        Ok(checks)
    }

    /// Checks every link of the ledger, and every row against the events.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn verify(&self) -> Result<Verification, Refusal> {
        self.0.ledger.verify().await.map_err(unreadable)
    }

    async fn ledger_check(&self) -> Result<Check, Refusal> {
        Ok(ledger_check(&self.verify().await?))
    }

    fn disk_check(&self) -> Check {
        let free = self.0.snapshots.borrow().machine.disk_free_bytes;
        let name = "disk".to_owned();
        match free {
            Some(bytes) if bytes < DISK_SHORT_BYTES => Check {
                name,
                grade: CheckGrade::Degraded,
                found: format!("{} MiB free for the data directory", bytes >> 20),
                fix: Some("free space on the disk that holds the data directory".to_owned()),
            },
            Some(bytes) => Check {
                name,
                grade: CheckGrade::Ok,
                found: format!("{} GiB free for the data directory", bytes >> 30),
                fix: None,
            },
            None => Check {
                name,
                grade: CheckGrade::Degraded,
                found: "the free space is not known".to_owned(),
                fix: Some("look again in a few seconds".to_owned()),
            },
        }
    }

    /// One check for each program an agent needs.
    async fn program_checks(&self) -> Result<Vec<Check>, Refusal> {
        let agents = self.0.ledger.agents().await.map_err(unreadable)?;
        let programs: BTreeSet<(String, Option<String>)> = agents
            .into_iter()
            .map(|agent| (agent.runtime.program().to_owned(), agent.directory))
            .collect();
        let check = |(program, directory): (String, Option<String>)| {
            let missing =
                agents::detect::missing(&program, directory.as_deref().map(std::path::Path::new));
            Check {
                name: format!("program {program}"),
                grade: if missing.is_none() { CheckGrade::Ok } else { CheckGrade::Failed },
                fix: missing
                    .as_ref()
                    .map(|_| format!("install {program}, or change the agents that use it")),
                found: missing.unwrap_or_else(|| "can be started".to_owned()),
            }
        };
        Ok(programs.into_iter().map(check).collect())
    }
}

/// Looks at everything a start would need, where no engine runs. Changes nothing.
pub async fn doctor_without_engine(data_dir: &Path) -> Vec<Check> {
    let mut checks = vec![shim_check(), git_check().await];
    checks.push(workspace_check(data_dir).await);
    checks
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
