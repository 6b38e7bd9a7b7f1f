//! What people are told about it, in plain sentences.

use model::process::{HomeAccess, Sandbox, Supervision};
use shim::confine::landlock::{FILES_LEVEL, NETWORK_LEVEL, SCOPE_LEVEL};

use super::Probe;

/// What a way of keeping processes together means.
#[must_use]
pub const fn supervision_words(way: Supervision) -> &'static str {
    match way {
        Supervision::Cgroup => {
            "a control group of its own, which no process leaves without meaning to"
        }
        Supervision::Namespace => {
            "a process namespace of its own (bubblewrap), which ends with its first process"
        }
        Supervision::Session => {
            "descent and a marker in the environment; a process that loses both while its \
             supervisor is being killed can escape"
        }
        Supervision::Group => "a process group only, which any process can leave",
    }
}

/// What `sandbox` protects on the machine that `probe` describes, and what it does not: plain
/// sentences, the protection first.
#[must_use]
pub fn statement(sandbox: &Sandbox, probe: &Probe) -> Vec<String> {
    if probe.bubblewrap.is_ok() {
        let level = probe.landlock.as_ref().ok().copied().unwrap_or_default();
        let beside = beside_bubblewrap(sandbox, level >= SCOPE_LEVEL);
        return [protection(sandbox), beside, limits_of_any(sandbox)].concat();
    }
    let needed = if sandbox.network { FILES_LEVEL } else { NETWORK_LEVEL };
    match &probe.landlock {
        Ok(level) if *level >= needed => {
            [protection(sandbox), beside_landlock(sandbox), limits_of_any(sandbox)].concat()
        }
        Ok(level) => vec![format!(
            "This sandbox cannot be had here, so an agent that asks for it is not started: \
             bubblewrap does not work, and the kernel's landlock is of version {level} where \
             {needed} is needed. Install bubblewrap."
        )],
        Err(reason) => vec![format!(
            "This sandbox cannot be had here, so an agent that asks for it is not started: \
             bubblewrap does not work, and {reason}. Install bubblewrap."
        )],
    }
}

fn protection(sandbox: &Sandbox) -> Vec<String> {
    let mut said = vec![match sandbox.writable.as_slice() {
        [] => "It can write where it works and in a directory of its own for temporary files, and \
               nowhere else."
            .to_owned(),
        paths => format!(
            "It can write where it works, in a directory of its own for temporary files, and in {}; \
             nowhere else.",
            paths.join(", ")
        ),
    }];
    said.push(
        match sandbox.home {
            HomeAccess::Full => "It can read and change everything in your home.",
            HomeAccess::ReadOnly => "It can read your home, and not change it.",
            HomeAccess::Hidden => {
                "It cannot see your home, but for directories that PATH names and the one its \
                 program is in. An agent that keeps its sign-in there has to be given that place."
            }
        }
        .to_owned(),
    );
    said.push("It cannot see the records and worktrees of other agents.".to_owned());
    said.push("Commands of gates that look at its work run behind the same walls.".to_owned());
    said
}

/// `scoped` is whether the kernel keeps it from sockets without a file as well.
fn beside_bubblewrap(sandbox: &Sandbox, scoped: bool) -> Vec<String> {
    let mut said = vec![
        "It cannot see or signal processes outside, and cannot gain rights through programs like \
         sudo."
            .to_owned(),
        "It cannot change the hooks and settings of a repository that is there when it starts, of \
         its submodules and its other worktrees."
            .to_owned(),
        "Not protected: what else git finds in a repository it may write, such as its index, its \
         branches, and a file 'commondir' that makes git look for settings elsewhere: look for one \
         before you trust a repository that such an agent has worked in."
            .to_owned(),
    ];
    if sandbox.home == HomeAccess::Hidden {
        said.push(
            "What it writes into its empty home is kept in memory and lost when it ends."
                .to_owned(),
        );
    }
    if !sandbox.network {
        said.push("It has no network, not even to this machine itself.".to_owned());
    }
    said.push(
        "Not protected: programs of the system that listen on a socket in the file system, such as \
         the system's message bus, can still be asked; those of your session and of Docker and its \
         like cannot, at their usual places."
            .to_owned(),
    );
    if sandbox.network && !scoped {
        said.push(
            "Not protected: this kernel is too old to keep it from programs that listen without a \
             file, such as your screen (X11) and some message buses: it can ask them, and your \
             screen may let it read what you type. Linux 6.12 closes this; so does a sandbox \
             without a network."
                .to_owned(),
        );
    }
    said
}

fn beside_landlock(sandbox: &Sandbox) -> Vec<String> {
    let mut said =
        vec!["It cannot gain rights through programs like sudo; /tmp is not writable.".to_owned()];
    if !sandbox.network {
        said.push(
            "It cannot open or accept TCP connections. Not protected: UDP, so names can be looked \
             up and data can leave that way."
                .to_owned(),
        );
    }
    said.push(
        "Not protected: it sees the processes of this machine; it can talk to any program that \
         listens on a socket in the file system, your session's and Docker's included; it can \
         change the hooks and settings of a repository it may write. Install bubblewrap to close \
         these."
            .to_owned(),
    );
    said
}

fn limits_of_any(sandbox: &Sandbox) -> Vec<String> {
    let mut said = Vec::new();
    if sandbox.home != HomeAccess::Hidden {
        said.push("Not protected: keys and passwords in your home can be read.".to_owned());
    }
    if sandbox.network {
        said.push("Not protected: whatever it can read, it can send anywhere.".to_owned());
    }
    said.push(
        "Not protected: what it leaves where it may write. Look at it before you build, run or \
         merge it."
            .to_owned(),
    );
    said.push(
        "Not protected: faults in the kernel itself, which all of this relies on.".to_owned(),
    );
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervision::{Reason, untried};

    fn with(bubblewrap: bool, landlock: Option<u8>) -> Probe {
        let reason = Reason("it was switched off".to_owned());
        Probe {
            bubblewrap: if bubblewrap { Ok("0.8.0".to_owned()) } else { Err(reason.clone()) },
            landlock: landlock.ok_or(reason),
            ..untried()
        }
    }

    #[test]
    fn a_statement_says_what_is_protected_and_what_is_not() {
        let off = Sandbox { network: false, home: HomeAccess::Hidden, ..Sandbox::default() };
        let said = statement(&off, &with(true, None)).join("\n");
        assert!(said.contains("no network, not even to this machine"), "{said}");
        assert!(said.contains("cannot see your home"), "{said}");
        assert!(!said.contains("send anywhere") && !said.contains("keys and passwords"), "{said}");
        let said = statement(&off, &with(false, Some(6))).join("\n");
        assert!(said.contains("UDP") && said.contains("Install bubblewrap"), "{said}");
        let on = Sandbox { writable: vec!["/srv/cache".to_owned()], ..Sandbox::default() };
        let said = statement(&on, &with(true, Some(6))).join("\n");
        assert!(!said.contains("X11"), "{said}");
        for level in [None, Some(4)] {
            let old = statement(&on, &with(true, level)).join("\n");
            assert!(old.contains("X11") && old.contains("Linux 6.12"), "{old}");
            assert!(!statement(&off, &with(true, level)).join("\n").contains("X11"), "no network");
        }
        for part in ["/srv/cache", "keys and passwords", "send anywhere", "Not protected"] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }

    #[test]
    fn where_no_sandbox_can_be_had_that_is_all_that_is_said() {
        let off = Sandbox { network: false, ..Sandbox::default() };
        for probe in [with(false, None), with(false, Some(3))] {
            let said = statement(&off, &probe);
            assert_eq!(said.len(), 1);
            assert!(said[0].contains("is not started"), "{said:?}");
        }
        let on = Sandbox::default();
        assert!(statement(&on, &with(false, Some(3))).len() > 3, "files alone need less");
    }
}
