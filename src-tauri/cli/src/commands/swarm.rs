//! The whole swarm: what it does next, stopping it, putting it right.

use std::process::ExitCode;

use engine::view::{HaltRequest, HaltView, Plan, ReconciledView, RecoveryReport};
use http::Method;

use crate::args::{Diagnostics, Halt, Recover};
use crate::commands::deliver;
use crate::failure::Failure;
use crate::out::Out;
use crate::remote::{Place, Remote};

/// Says what would be started now.
pub(crate) async fn plan(place: &Place, out: &mut Out) -> Result<(), Failure> {
    const OPERATION: &str = "say what would be started";
    let remote = Remote::find(place, OPERATION)?;
    let plan: Plan = remote.get(OPERATION, "/api/v1/schedule/plan").await?;
    if out.is_json() {
        return out.value(&plan);
    }
    if plan.halted {
        out.line("everything is stopped; after 'hivekeeper resume':")?;
    }
    if let Some(free) = plan.memory_free_percent {
        out.line(&format!("{free} % of the memory is free"))?;
    }
    if plan.starts.is_empty() {
        out.line("nothing would be started")?;
    }
    for start in &plan.starts {
        out.line(&format!(
            "would start {} '{}' with {}",
            start.short_id, start.title, start.agent_name
        ))?;
        for points in &start.choice.reasons {
            out.line(&format!("  {:+} {}: {}", points.points, points.what, points.because))?;
        }
    }
    for review in &plan.reviews {
        let gate = review.index + 1;
        let (agent, attempt) = (&review.agent_name, review.attempt_id);
        out.line(&format!("would ask {agent} for the review of attempt {attempt} (gate {gate})"))?;
    }
    for wait in &plan.waiting {
        out.line(&format!("would wait: {} '{}': {}", wait.short_id, wait.title, wait.reason))?;
    }
    let more = plan.waiting_count.saturating_sub(plan.waiting.len() as u64);
    if more > 0 {
        out.line(&format!("and {more} more would wait"))?;
    }
    out.line("nothing was touched")
}

/// Stops everything; exits with 1 when a process could not be ended.
pub(crate) async fn halt(args: Halt, place: &Place, out: &mut Out) -> Result<ExitCode, Failure> {
    const OPERATION: &str = "stop all agents";
    let remote = Remote::find(place, OPERATION)?;
    let body = HaltRequest { note: args.note };
    let halt: HaltView = remote.post(OPERATION, "/api/v1/swarm/halt", &body).await?;
    if out.is_json() {
        out.value(&halt)?;
    } else {
        out.line(&format!(
            "stopped: {} process trees, {} processes ended in {} ms",
            halt.trees, halt.ended, halt.took_ms
        ))?;
        for survivor in &halt.survivors {
            let (pid, program) = (survivor.pid, &survivor.program);
            out.line(&format!("STILL THERE: {program} (pid {pid}); end it with 'kill -9 {pid}'"))?;
        }
        if !halt.recorded {
            let why = halt.problem.as_deref().unwrap_or("the ledger did not answer");
            out.line(&format!("it is not in the ledger: {why}"))?;
        }
        out.line("nothing is started until 'hivekeeper resume'")?;
    }
    Ok(ExitCode::from(u8::from(!halt.survivors.is_empty())))
}

/// Lets work go on.
pub(crate) async fn resume(place: &Place, out: &mut Out) -> Result<(), Failure> {
    const OPERATION: &str = "let work go on";
    let remote = Remote::find(place, OPERATION)?;
    let nothing = Some(b"{}".to_vec());
    remote.change(OPERATION, Method::POST, "/api/v1/swarm/resume", nothing).await?;
    if out.is_json() {
        return out.value(&serde_json::json!({"resumed": true}));
    }
    out.line("work goes on")
}

/// Puts the swarm right; exits with 1 when something could not be changed.
pub(crate) async fn recover(
    command: &Recover,
    place: &Place,
    out: &mut Out,
) -> Result<ExitCode, Failure> {
    let (operation, what) = match command {
        Recover::RestartFailed => ("queue the failed missions again", "restart-failed"),
        Recover::ClearFailed => ("move the failed missions to the trash", "clear-failed"),
        Recover::Reconcile => {
            reconcile(place, out).await?;
            return Ok(ExitCode::SUCCESS);
        }
    };
    let remote = Remote::find(place, operation)?;
    let nothing = serde_json::json!({});
    let to = format!("/api/v1/recovery/{what}");
    let report: RecoveryReport = remote.post(operation, &to, &nothing).await?;
    if out.is_json() {
        out.value(&report)?;
    } else {
        for changed in &report.changed {
            out.line(&format!("{} '{}': {}", changed.short_id, changed.title, changed.what))?;
        }
        for refused in &report.refused {
            out.line(&format!("{}: not changed: {}", refused.short_id, refused.why))?;
        }
        out.line(&format!("{} changed, {} not", report.changed.len(), report.refused.len()))?;
    }
    Ok(ExitCode::from(u8::from(!report.refused.is_empty())))
}

async fn reconcile(place: &Place, out: &mut Out) -> Result<(), Failure> {
    const OPERATION: &str = "compare the engine with the ledger";
    let remote = Remote::find(place, OPERATION)?;
    let nothing = serde_json::json!({});
    let view: ReconciledView =
        remote.post(OPERATION, "/api/v1/recovery/reconcile", &nothing).await?;
    if out.is_json() {
        return out.value(&view);
    }
    let found = match view.differed {
        true => "the engine's own picture was different and was read anew",
        false => "the engine's own picture is that of the ledger",
    };
    out.line(&format!("{} attempts are not over; {found}", view.attempts))?;
    for attempt in &view.taken_up {
        let mission = attempt.short_id.as_ref().map_or("?".to_owned(), ToString::to_string);
        out.line(&format!("taken up again: attempt {} of {mission}", attempt.n))?;
    }
    Ok(())
}

/// Writes what is needed to understand what is wrong.
pub(crate) async fn diagnostics(
    args: &Diagnostics,
    place: &Place,
    out: &mut Out,
) -> Result<(), Failure> {
    const OPERATION: &str = "collect what is needed to understand what is wrong";
    let remote = Remote::find(place, OPERATION)?;
    let answer = remote.get_raw(OPERATION, "/api/v1/diagnostics").await?;
    deliver(&answer.body, args.output.as_deref(), out)
}
