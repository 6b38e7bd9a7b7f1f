//! The engine itself: its state, its checks, its window, its demo.

use std::path::Path;
use std::process::ExitCode;

use engine::view::{Check, CheckGrade, DemoView, Listing, Overview, SwarmView};
use gateway::{Client, VerificationView};
use http::{Method, StatusCode};
use serde::Serialize;

use crate::args::Demo;
use crate::failure::Failure;
use crate::out::{Out, bytes, percent, time, word};
use crate::remote::{Place, Remote};

/// Opens the window, or brings the one that is open to the front.
pub(crate) async fn open_window(place: &Place, out: &mut Out) -> Result<(), Failure> {
    const OPERATION: &str = "open the window";
    if let Ok(client) = Client::for_data_dir(&place.data_dir)
        && let Ok(answer) = client.request(Method::POST, "/api/v1/window/focus", None).await
        && answer.status == StatusCode::NO_CONTENT
    {
        return Ok(());
    }
    let own = std::env::current_exe().map_err(|error| Failure::new(OPERATION).because(&error))?;
    engine::desktop::open(&own, &place.data_dir).map_err(|error| {
        Failure::new(OPERATION).because(&error).hint(
            "install the desktop package beside this program, or run 'hivekeeper serve' and open \
             the link it prints in a browser",
        )
    })?;
    out.line("opening the window")
}

/// Shows the swarm at a glance.
pub(crate) async fn status(place: &Place, out: &mut Out) -> Result<(), Failure> {
    const OPERATION: &str = "show the swarm";
    let remote = Remote::find(place, OPERATION)?;
    let overview: Overview = remote.get(OPERATION, "/api/v1/overview").await?;
    if out.is_json() {
        return out.value(&overview);
    }
    let endpoint = remote.client().endpoint();
    let mut pairs = vec![
        ("engine", format!("{} (pid {}), {}", overview.version, endpoint.pid, endpoint.url)),
        ("since", time(overview.started_at)),
        ("workspace", overview.data_dir.clone()),
        ("swarm", swarm(&overview.swarm)),
        ("agents", counts(&overview.agents)),
        ("missions", counts(&overview.missions)),
        ("needs you", overview.needs_you.to_string()),
        ("events", overview.events.to_string()),
    ];
    if let Some(machine) = &overview.machine {
        pairs.push(("cpu", percent(machine.cpu_percent)));
        pairs.push((
            "memory",
            format!(
                "{} of {}",
                bytes(machine.memory_used_bytes),
                bytes(machine.memory_total_bytes)
            ),
        ));
        pairs.push((
            "disk",
            machine
                .disk_free_bytes
                .map_or_else(String::new, |free| format!("{} free", bytes(free))),
        ));
    }
    if let Some(own) = &overview.engine {
        pairs
            .push(("own use", format!("{} {}", bytes(own.memory_bytes), percent(own.cpu_percent))));
    }
    if overview.demo {
        pairs.push(("demo", "the demo swarm is there".to_owned()));
    }
    out.pairs(&pairs)
}

/// The state and health of the swarm in one line.
fn swarm(swarm: &SwarmView) -> String {
    let grade = swarm.grade.map_or_else(String::new, |grade| format!(", grade {}", word(&grade)));
    let since = swarm.halted_since.map(|at| format!(" since {}", time(at)));
    let why = match swarm.because.is_empty() {
        true => String::new(),
        false => format!(": {}", swarm.because.join(", ")),
    };
    let advice = swarm.advice.as_ref().map(|advice| format!("; {advice}")).unwrap_or_default();
    format!("{}{}{grade}{why}{advice}", word(&swarm.state), since.unwrap_or_default())
}

fn counts<K: Serialize>(counts: &std::collections::BTreeMap<K, u64>) -> String {
    if counts.is_empty() {
        return "none".to_owned();
    }
    let total: u64 = counts.values().sum();
    let parts: Vec<String> = counts
        .iter()
        .map(|(state, count)| format!("{count} {}", word(state).replace('_', " ")))
        .collect();
    format!("{total}: {}", parts.join(", "))
}

/// Checks what the engine needs.
pub(crate) async fn doctor(place: &Place, out: &mut Out) -> Result<ExitCode, Failure> {
    const OPERATION: &str = "check the engine";
    let checks = match asked_for_checks(place, OPERATION).await {
        Err(failure) if failure.exit_code() == 3 => {
            let items = engine::doctor_without_engine(&place.data_dir).await;
            Listing { items, next: None }
        }
        checks => checks?,
    };
    if out.is_json() {
        out.value(&checks)?;
    } else {
        for check in &checks.items {
            out.line(&format!("{:8}  {}: {}", word(&check.grade), check.name, check.found))?;
            if let Some(fix) = &check.fix {
                out.line(&format!("          {fix}"))?;
            }
        }
    }
    let failed = checks.items.iter().any(|check| check.grade == CheckGrade::Failed);
    Ok(ExitCode::from(u8::from(failed)))
}

async fn asked_for_checks(
    place: &Place,
    operation: &'static str,
) -> Result<Listing<Check>, Failure> {
    Remote::find(place, operation)?.get(operation, "/api/v1/doctor").await
}

/// Checks the ledger, through the engine that holds it or without one.
pub(crate) async fn verify(place: &Place, out: &mut Out) -> Result<ExitCode, Failure> {
    const OPERATION: &str = "check the ledger";
    let found = match asked_for_verification(place, OPERATION).await {
        Err(failure) if failure.exit_code() == 3 => {
            verified_here(&place.data_dir, OPERATION).await?
        }
        found => found?,
    };
    if out.is_json() {
        out.value(&found)?;
    } else if found.sound {
        out.line(&format!("sound: {} events, head {}", found.events, found.head))?;
    } else {
        out.line(&format!("damaged: {} events looked at", found.events))?;
        for finding in &found.findings {
            out.line(&format!("  {finding}"))?;
        }
        out.line("nothing was changed; keep the files and restore the latest backup")?;
    }
    Ok(ExitCode::from(u8::from(!found.sound)))
}

async fn asked_for_verification(
    place: &Place,
    operation: &str,
) -> Result<VerificationView, Failure> {
    let remote = Remote::find(place, operation)?;
    remote.get(operation, "/api/v1/verification").await
}

async fn verified_here(data_dir: &Path, operation: &str) -> Result<VerificationView, Failure> {
    if !data_dir.is_dir() {
        return Err(Failure::new(operation)
            .since(format!("there is no workspace at {}", data_dir.display()))
            .hint("name another one with --data-dir"));
    }
    let found =
        engine::verify(data_dir).await.map_err(|error| Failure::new(operation).because(&error))?;
    Ok(found.into())
}

/// Starts or removes the demo swarm.
pub(crate) async fn demo(command: &Demo, place: &Place, out: &mut Out) -> Result<(), Failure> {
    match command {
        Demo::Start => {
            const OPERATION: &str = "start the demo swarm";
            let remote = Remote::find(place, OPERATION)?;
            let nothing = serde_json::json!({});
            let demo: DemoView = remote.post(OPERATION, "/api/v1/demo", &nothing).await?;
            if out.is_json() {
                return out.value(&demo);
            }
            out.line(&format!(
                "the demo swarm works: {} agents, {} missions, in {}",
                demo.agents.len(),
                demo.missions.len(),
                demo.repository
            ))?;
            out.line("remove it with 'hivekeeper demo remove'")
        }
        Demo::Remove => {
            const OPERATION: &str = "remove the demo swarm";
            let remote = Remote::find(place, OPERATION)?;
            remote.change(OPERATION, Method::DELETE, "/api/v1/demo", None).await?;
            if out.is_json() {
                return out.value(&serde_json::json!({"removed": true}));
            }
            out.line("the demo swarm is gone")
        }
    }
}

/// Prints the description of the API.
pub(crate) fn openapi(out: &mut Out) -> Result<(), Failure> {
    let text = gateway::openapi::text()
        .map_err(|error| Failure::new("describe the API").because(&error))?;
    out.raw(text.as_bytes())
}
