//! What an agent may do, checked: limits that leave room to work, walls that can be built, and
//! permissions that its runtime can keep.

use agents::runtime::presets::Presets;
use model::agent::{Conduct, RULES_BYTES_MAX, Runtime};
use model::inbox::PermissionPolicy;
use model::process::{Limits, Sandbox};
use model::refusal::Refusal;

use crate::missions::{absolute, invalid};

/// The least and the most memory that can be set, in bytes: 32 MiB to 16 TiB.
const MEMORY_BYTES: (u64, u64) = (32 << 20, 16 << 40);
/// The least and the most processes that can be set.
const PROCESSES: (u64, u64) = (2, 100_000);
/// The least and the most share of the processor that can be set.
const CPU_WEIGHT: (u64, u64) = (1, 10_000);
/// The least and the most open files that can be set.
const OPEN_FILES: (u64, u64) = (32, 1_048_576);
/// The least and the most kept output that can be set, in bytes: 64 KiB to 1 TiB.
const OUTPUT_BYTES: (u64, u64) = (64 << 10, 1 << 40);
/// The most places a sandboxed agent may write.
const WRITABLE_MAX: usize = 100;
/// How full a context may be, in percent, for an agent to hand over.
const HANDOVER_PERCENT: (u64, u64) = (10, 99);

/// Checks what an agent of this runtime may do; paths come back whole.
pub(crate) fn checked(
    conduct: Conduct,
    runtime: &Runtime,
    presets: &Presets,
) -> Result<Conduct, Refusal> {
    checked_policy(conduct.permissions, runtime)?;
    checked_reading(conduct.permissions, runtime, presets)?;
    checked_limits(&conduct.limits)?;
    if conduct.rules.len() > RULES_BYTES_MAX {
        return Err(invalid(format!("the rules are longer than {RULES_BYTES_MAX} bytes"))
            .hint("put the long part into a file of the repository and name it"));
    }
    if conduct.rules.contains('\0') {
        return Err(invalid("the rules hold a NUL character"));
    }
    if let Some(percent) = conduct.handover_at_percent {
        within("handing over at a context of", percent.into(), HANDOVER_PERCENT, "percent")?;
    }
    let sandbox = conduct.sandbox.map(checked_sandbox).transpose()?;
    Ok(Conduct { sandbox, ..conduct })
}

/// Whether the runtime can keep the policy: only a conversation can be asked into.
fn checked_policy(policy: PermissionPolicy, runtime: &Runtime) -> Result<(), Refusal> {
    if policy != PermissionPolicy::Ask || matches!(runtime, Runtime::Acp { .. }) {
        return Ok(());
    }
    let why = match runtime {
        Runtime::Headless { preset, .. } => {
            format!("an agent of the preset '{preset}' does its mission without asking")
        }
        Runtime::Attached { .. } => "an agent that runs elsewhere does not ask here".to_owned(),
        _ => "a plain command does its mission without asking".to_owned(),
    };
    let others = PermissionPolicy::ALL.into_iter().filter(|it| *it != PermissionPolicy::Ask);
    Err(invalid(format!("{why}, so it cannot have the permissions 'ask'"))
        .hint("agents that speak the Agent Client Protocol can ask: presets of the kind 'acp'")
        .allowed(others.map(|policy| policy.as_str().to_owned()).collect()))
}

/// Whether an agent that is to read only, or to do only what rules allow, can be kept from more.
fn checked_reading(
    policy: PermissionPolicy,
    runtime: &Runtime,
    presets: &Presets,
) -> Result<(), Refusal> {
    let (Runtime::Headless { preset, .. } | Runtime::Acp { preset, .. }) = runtime else {
        return Ok(());
    };
    let all = PermissionPolicy::ALL.into_iter();
    let Some(known) = presets.find(preset).filter(|known| !known.keeps(policy)) else {
        return Ok(());
    };
    let kept = all.filter(|it| *it != PermissionPolicy::Ask && known.keeps(*it));
    Err(invalid(format!(
        "nothing keeps an agent of the preset '{preset}' from changing files, so it cannot have the \
         permissions '{}'",
        policy.as_str()
    ))
    .hint(match runtime {
        Runtime::Acp { .. } => {
            "say in runtimes.toml how it is made to ask before it acts (ways.ask_mode, or \
             ways.asks_by_itself), or choose an agent of another preset"
        }
        _ => "give it a sandbox without places to write, or choose an agent that can be asked",
    })
    .allowed(kept.map(|policy| policy.as_str().to_owned()).collect()))
}

fn checked_limits(limits: &Limits) -> Result<(), Refusal> {
    let all = [
        ("memory of", limits.memory_bytes, MEMORY_BYTES, "bytes"),
        ("a number of", limits.processes.map(u64::from), PROCESSES, "processes"),
        ("a processor weight of", limits.cpu_weight.map(u64::from), CPU_WEIGHT, ""),
        ("a number of", limits.open_files.map(u64::from), OPEN_FILES, "open files"),
        ("kept output of", limits.output_bytes, OUTPUT_BYTES, "bytes"),
    ];
    for (what, value, range, unit) in all {
        if let Some(value) = value {
            within(what, value, range, unit)?;
        }
    }
    Ok(())
}

fn within(what: &str, value: u64, (least, most): (u64, u64), unit: &str) -> Result<(), Refusal> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    let (space, hint) = match unit {
        "" => ("", format!("between {least} and {most}, or leave it out")),
        unit => (" ", format!("between {least} and {most} {unit}, or leave it out")),
    };
    Err(invalid(format!("{what} {value}{space}{unit} is out of range")).hint(hint))
}

fn checked_sandbox(sandbox: Sandbox) -> Result<Sandbox, Refusal> {
    if sandbox.writable.len() > WRITABLE_MAX {
        return Err(invalid(format!("a sandbox has at most {WRITABLE_MAX} places to write"))
            .hint("name a directory above several of them"));
    }
    let whole = |text: &String| {
        let path = absolute(text)?;
        if path.exists() {
            return Ok(path.display().to_string());
        }
        Err(invalid(format!("there is nothing at {}, which is to be written", path.display()))
            .hint("create it first: what is not there cannot be opened to a sandbox"))
    };
    let writable = sandbox.writable.iter().map(whole).collect::<Result<_, _>>()?;
    Ok(Sandbox { writable, ..sandbox })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn runtime(kind: &str) -> Runtime {
        let (program, args, env) = ("x".to_owned(), Vec::new(), BTreeMap::new());
        let preset = "claude".to_owned();
        match kind {
            "acp" => Runtime::Acp { program, args, env, preset },
            "headless" => Runtime::Headless { program, args, env, preset },
            _ => Runtime::Command { program, args, env, terminal: false },
        }
    }

    #[test]
    fn only_an_agent_that_can_ask_may_have_to_ask() {
        for policy in PermissionPolicy::ALL {
            for kind in ["acp", "headless", "command"] {
                let conduct = Conduct { permissions: policy, ..Conduct::default() };
                let fits = policy != PermissionPolicy::Ask || kind == "acp";
                let checked = checked(conduct, &runtime(kind), &Presets::built_in());
                assert_eq!(checked.is_ok(), fits, "{kind} {policy:?}");
                if let Err(refusal) = checked {
                    assert!(refusal.hint.unwrap().contains("acp"));
                    assert_eq!(refusal.allowed.len(), 4);
                }
            }
        }
    }

    #[test]
    fn an_agent_that_nobody_knows_how_to_make_ask_is_refused_to_read_only() {
        let all =
            [("goose", true), ("claude-acp", true), ("opencode-acp", true), ("custom", false)];
        for (preset, fits) in all {
            let (program, args, env) = ("x".to_owned(), Vec::new(), BTreeMap::new());
            let runtime = Runtime::Acp { program, args, env, preset: preset.into() };
            for permissions in [PermissionPolicy::ReadOnly, PermissionPolicy::AllowList] {
                let conduct = Conduct { permissions, ..Conduct::default() };
                let checked = checked(conduct, &runtime, &Presets::built_in());
                assert_eq!(checked.is_ok(), fits, "{preset} {permissions:?}");
                if let Err(refusal) = checked {
                    assert!(refusal.hint.unwrap().contains("runtimes.toml"));
                }
            }
        }
    }

    #[test]
    fn an_agent_that_nothing_keeps_from_changing_files_is_refused_to_read_only() {
        for (preset, fits) in
            [("claude", true), ("codex", true), ("goose-run", false), ("aider", false)]
        {
            for permissions in [PermissionPolicy::ReadOnly, PermissionPolicy::AllowList] {
                let runtime = Runtime::Headless {
                    program: "x".into(),
                    args: Vec::new(),
                    env: BTreeMap::new(),
                    preset: preset.into(),
                };
                let conduct = Conduct { permissions, ..Conduct::default() };
                let checked = checked(conduct, &runtime, &Presets::built_in());
                assert_eq!(checked.is_ok(), fits, "{preset} {permissions:?}");
                if let Err(refusal) = checked {
                    assert_eq!(refusal.allowed, ["auto_in_worktree", "unattended"]);
                    assert!(refusal.hint.unwrap().contains("sandbox"));
                }
            }
        }
    }

    #[test]
    fn limits_that_leave_no_room_and_walls_that_cannot_be_built_are_refused() {
        let check = |conduct: Conduct, fits: bool| {
            let read = checked(conduct.clone(), &runtime("acp"), &Presets::built_in());
            assert_eq!(read.is_ok(), fits, "{conduct:?}: {read:?}");
        };
        let limits = |limits: Limits| Conduct { limits, ..Conduct::default() };
        check(Conduct::default(), true);
        check(limits(Limits { memory_bytes: Some(1 << 30), ..Limits::default() }), true);
        check(limits(Limits { memory_bytes: Some(1 << 20), ..Limits::default() }), false);
        check(limits(Limits { processes: Some(1), ..Limits::default() }), false);
        check(limits(Limits { cpu_weight: Some(0), ..Limits::default() }), false);
        check(limits(Limits { cpu_weight: Some(100), ..Limits::default() }), true);
        check(limits(Limits { open_files: Some(8), ..Limits::default() }), false);
        check(limits(Limits { output_bytes: Some(1), ..Limits::default() }), false);
        let sandbox = |writable: &[&str]| Conduct {
            sandbox: Some(Sandbox {
                writable: writable.iter().map(ToString::to_string).collect(),
                ..Sandbox::default()
            }),
            ..Conduct::default()
        };
        check(sandbox(&["/tmp"]), true);
        check(sandbox(&["target"]), false);
        check(sandbox(&["/no/such/place/at/all"]), false);
        check(sandbox(&["/tmp"; WRITABLE_MAX + 1]), false);
        let rules = |rules: String| Conduct { rules, ..Conduct::default() };
        check(rules("x".repeat(RULES_BYTES_MAX)), true);
        check(rules("x".repeat(RULES_BYTES_MAX + 1)), false);
        check(rules("a\0".to_owned()), false);
        let handover = |percent| Conduct { handover_at_percent: percent, ..Conduct::default() };
        check(handover(Some(80)), true);
        check(handover(Some(100)), false);
    }

    proptest! {
        #[test]
        fn no_conduct_panics(memory: Option<u64>, processes: Option<u32>, rules: String) {
            let limits = Limits { memory_bytes: memory, processes, ..Limits::default() };
            let conduct = Conduct { limits, rules, ..Conduct::default() };
            if let Ok(taken) = checked(conduct.clone(), &runtime("command"), &Presets::built_in()) {
                prop_assert_eq!(taken, conduct);
            }
        }
    }
}
