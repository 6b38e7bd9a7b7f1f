//! `hivekeeper hook`.

use std::process::ExitCode;

use engine::view::{EditHook, HookRun, HookView, Listing, NewHook};
use http::Method;

use crate::args::Hook;
use crate::failure::Failure;
use crate::out::{Out, bytes, quotable, time};
use crate::remote::{Place, Remote};

/// Where the hooks are.
const PATH: &str = "/api/v1/hooks";

/// Carries it out.
pub(crate) async fn run(command: Hook, place: &Place, out: &mut Out) -> Result<ExitCode, Failure> {
    match command {
        Hook::List => list(place, out).await?,
        Hook::Add { name, limits, events, off, command } => {
            const OPERATION: &str = "make a hook";
            let remote = Remote::find(place, OPERATION)?;
            let new = NewHook {
                name,
                command,
                events,
                timeout_s: limits.timeout,
                memory_bytes: limits.memory,
                per_minute: limits.per_minute,
                enabled: Some(!off),
            };
            let made: HookView = remote.post(OPERATION, PATH, &new).await?;
            show(&made, out)?;
        }
        Hook::Edit { hook, limits, events, on, off, command } => {
            const OPERATION: &str = "change a hook";
            let remote = Remote::find(place, OPERATION)?;
            let edit = EditHook {
                name: None,
                command: (!command.is_empty()).then_some(command),
                events,
                timeout_s: limits.timeout,
                memory_bytes: limits.memory,
                per_minute: limits.per_minute,
                enabled: (on || off).then_some(on),
            };
            let path = one(&remote, OPERATION, &hook).await?;
            let view: HookView = remote.send(OPERATION, Method::PATCH, &path, &edit).await?;
            show(&view, out)?;
        }
        Hook::Remove { hook } => {
            const OPERATION: &str = "remove a hook";
            let remote = Remote::find(place, OPERATION)?;
            let path = one(&remote, OPERATION, &hook).await?;
            remote.change(OPERATION, Method::DELETE, &path, None).await?;
            match out.is_json() {
                true => out.value(&serde_json::json!({"removed": hook}))?,
                false => out.line(&format!("the hook '{}' is gone", quotable(&hook)))?,
            }
        }
        Hook::Test { hook } => return test(&hook, place, out).await,
        Hook::Runs { hook } => runs(&hook, place, out).await?,
        Hook::Events => {
            const OPERATION: &str = "list the kinds of events";
            let remote = Remote::find(place, OPERATION)?;
            let all: Listing<String> = remote.get(OPERATION, "/api/v1/events/kinds").await?;
            if out.is_json() {
                out.value(&all)?;
            } else {
                all.items.iter().try_for_each(|kind| out.line(kind))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The path of the hook that goes by a name or an id.
async fn one(remote: &Remote, operation: &str, named: &str) -> Result<String, Failure> {
    let all: Listing<HookView> = remote.get(operation, PATH).await?;
    let is = |view: &&HookView| view.hook.name == named || view.hook.id.to_string() == named;
    match all.items.iter().find(is) {
        Some(view) => Ok(format!("{PATH}/{}", view.hook.id)),
        None => Err(Failure::new(operation)
            .since(format!("there is no hook '{}'", quotable(named)))
            .allowed(all.items.into_iter().map(|view| view.hook.name).collect())),
    }
}

/// What a hook does now, in a few words.
fn state(view: &HookView) -> String {
    match (&view.hook.off_because, view.hook.enabled) {
        (Some(because), false) => format!("off: {because}"),
        (None, false) => "off".to_owned(),
        (_, true) if view.running => "runs".to_owned(),
        (_, true) if view.failures > 0 => format!("on, failed {} times in a row", view.failures),
        (_, true) => "on".to_owned(),
    }
}

async fn list(place: &Place, out: &mut Out) -> Result<(), Failure> {
    const OPERATION: &str = "list the hooks";
    let remote = Remote::find(place, OPERATION)?;
    let all: Listing<HookView> = remote.get(OPERATION, PATH).await?;
    if out.is_json() {
        return out.value(&all);
    }
    if all.items.is_empty() {
        return out.line("no hooks: make one with 'hivekeeper hook add'");
    }
    let rows: Vec<Vec<String>> = all
        .items
        .iter()
        .map(|view| {
            let last = view.last.as_ref().map(|run| run.how.clone()).unwrap_or_default();
            let events = view.hook.events.join(", ");
            vec![view.hook.name.clone(), state(view), events, last]
        })
        .collect();
    out.table(&["NAME", "STATE", "RUNS ON", "LAST RUN"], &rows)
}

fn show(view: &HookView, out: &mut Out) -> Result<(), Failure> {
    if out.is_json() {
        return out.value(view);
    }
    let hook = &view.hook;
    out.pairs(&[
        ("hook", hook.name.clone()),
        ("id", hook.id.to_string()),
        ("state", state(view)),
        ("command", hook.command.join(" ")),
        ("runs on", hook.events.join(", ")),
        ("time", format!("{} s", hook.timeout_s)),
        ("memory", bytes(hook.memory_bytes)),
        ("rate", format!("{} in a minute", hook.per_minute)),
    ])
}

async fn test(named: &str, place: &Place, out: &mut Out) -> Result<ExitCode, Failure> {
    const OPERATION: &str = "try a hook out";
    let remote = Remote::find(place, OPERATION)?;
    let path = one(&remote, OPERATION, named).await?;
    let nothing = serde_json::json!({});
    let run: HookRun = remote.post(OPERATION, &format!("{path}/test"), &nothing).await?;
    if out.is_json() {
        out.value(&run)?;
    } else {
        out.line(&format!("it {} after {} ms", run.how, run.ms))?;
        run.output.lines().try_for_each(|line| out.line(line))?;
    }
    Ok(ExitCode::from(u8::from(!run.ok)))
}

async fn runs(named: &str, place: &Place, out: &mut Out) -> Result<(), Failure> {
    const OPERATION: &str = "list the runs of a hook";
    let remote = Remote::find(place, OPERATION)?;
    let path = one(&remote, OPERATION, named).await?;
    let all: Listing<HookRun> = remote.get(OPERATION, &format!("{path}/runs")).await?;
    if out.is_json() {
        return out.value(&all);
    }
    if all.items.is_empty() {
        return out.line("it did not run since the engine was started");
    }
    let row = |run: &HookRun| {
        let event = format!("{} ({})", run.event, run.event_seq);
        let last = run.output.lines().last().unwrap_or_default().to_owned();
        vec![time(run.at), event, run.how.clone(), format!("{} ms", run.ms), last]
    };
    let rows: Vec<Vec<String>> = all.items.iter().map(row).collect();
    out.table(&["WHEN", "EVENT", "HOW IT ENDED", "TOOK", "LAST LINE"], &rows)
}
