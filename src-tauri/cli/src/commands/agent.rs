//! `hivekeeper agent`.

use std::path::Path;

use engine::view::{self, AgentView, Listing, MissionView, NewAgent};
use http::Method;
use model::agent::{Conduct, RULES_BYTES_MAX};
use model::process::{Limits, Sandbox};
use model::status::AgentState;

use crate::args::{AddAgent, Agent, ConductFlags, EditAgent};
use crate::commands::efficiency;
use crate::failure::Failure;
use crate::input::Source;
use crate::out::{Out, bytes, percent, time, word};
use crate::remote::{Place, Remote};
use crate::selector::encode;

/// Carries it out.
pub(crate) async fn run(command: Agent, place: &Place, out: &mut Out) -> Result<(), Failure> {
    match command {
        Agent::List => list(place, out).await,
        Agent::Add(args) => add(args, place, out).await,
        Agent::Edit(args) => edit(args, place, out).await,
        Agent::Show { agent } => show(&agent, place, out).await,
        Agent::Efficiency { agent, last } => {
            efficiency::run(agent.as_deref(), last, place, out).await
        }
        Agent::Pause { agent } => hold(&agent, "pause", place, out).await,
        Agent::Resume { agent } => hold(&agent, "resume", place, out).await,
        Agent::Stop { agent } => stop(&agent, place, out).await,
        Agent::Start { agent } => start(&agent, place, out).await,
        Agent::Remove { agent } => remove(&agent, place, out).await,
    }
}

fn path(agent: &str) -> String {
    format!("/api/v1/agents/{}", encode(agent))
}

/// The state in words for people.
fn state(view: &AgentView) -> String {
    let state = word(&view.status.state);
    match view.agent.paused && view.status.state != AgentState::Paused {
        true if view.current.is_some() => format!("{state}, paused after this mission"),
        true => format!("{state}, paused"),
        false => state,
    }
}

/// What says that an agent is in its state, and how sure that is.
fn known_from(view: &AgentView) -> String {
    format!("{} ({})", view.status.signal, word(&view.status.confidence))
}

/// What scripts read of an agent.
fn brief(agent: &AgentView) -> serde_json::Value {
    serde_json::json!({
        "id": agent.agent.id,
        "name": agent.agent.name,
        "state": agent.status.state,
    })
}

async fn list(place: &Place, out: &mut Out) -> Result<(), Failure> {
    const OPERATION: &str = "list the agents";
    let remote = Remote::find(place, OPERATION)?;
    let agents: Listing<AgentView> = remote.get(OPERATION, "/api/v1/agents").await?;
    if out.is_json() {
        let items: Vec<_> = agents.items.iter().map(with_state).collect();
        return out.value(&serde_json::json!({"items": items, "next": agents.next}));
    }
    if agents.items.is_empty() {
        return out.line("no agents yet: create one with 'hivekeeper agent add'");
    }
    let rows: Vec<Vec<String>> = agents
        .items
        .iter()
        .map(|view| {
            let current = view.current.as_ref();
            let usage = view.usage.as_ref();
            vec![
                view.agent.name.clone(),
                state(view),
                time(view.status.since),
                current
                    .map_or_else(String::new, |work| format!("{} {}", work.short_id, work.title)),
                usage.map_or_else(String::new, |usage| percent(usage.cpu_percent)),
                usage.map_or_else(String::new, |usage| bytes(usage.memory_bytes)),
                view.status.reason.clone(),
            ]
        })
        .collect();
    let head = ["NAME", "STATE", "SINCE", "MISSION", "CPU", "MEMORY", "WHY"];
    out.table(&head, &rows)
}

/// An agent as the API shows it, with its state where scripts look for it.
fn with_state(agent: &AgentView) -> serde_json::Value {
    let mut value = serde_json::to_value(agent).unwrap_or_default();
    if let Some(object) = value.as_object_mut() {
        object.insert("state".to_owned(), word(&agent.status.state).into());
    }
    value
}

async fn add(args: AddAgent, place: &Place, out: &mut Out) -> Result<(), Failure> {
    let operation = format!("create the agent '{}'", args.name);
    let mut conduct = Conduct::default();
    apply(args.conduct, &mut conduct, &operation)?;
    let new = NewAgent {
        format: args.format,
        name: args.name,
        role: args.role,
        skills: args.skills,
        runtime: args.runtime,
        command: args.command,
        preset: args.preset,
        terminal: args.terminal,
        env: args.env.into_iter().collect(),
        directory: args.dir.map(|dir| absolute(&dir, &operation)).transpose()?,
        grace_s: args.grace,
        conduct,
    };
    let remote = Remote::find(place, &operation)?;
    let agent: AgentView = remote.post(&operation, "/api/v1/agents", &new).await?;
    if out.is_json() {
        return out.value(&brief(&agent));
    }
    out.line(&format!("created {}: {}", agent.agent.name, word(&agent.status.state)))
}

async fn edit(args: EditAgent, place: &Place, out: &mut Out) -> Result<(), Failure> {
    let operation = format!("change the agent '{}'", args.agent);
    let remote = Remote::find(place, &operation)?;
    let now: AgentView = remote.get(&operation, &path(&args.agent)).await?;
    let mut conduct = now.agent.conduct.clone();
    if args.no_limits {
        conduct.limits = Limits::default();
    }
    if args.no_sandbox {
        conduct.sandbox = None;
    }
    if args.no_hand_over {
        conduct.handover_at_percent = None;
    }
    conduct.files &= !args.no_rule_files;
    apply(args.conduct, &mut conduct, &operation)?;
    let mut env = now.agent.runtime.env().clone();
    for name in &args.unset_env {
        env.remove(name);
    }
    env.extend(args.env);
    let directory = match (args.dir, args.no_dir) {
        (Some(dir), _) => Some(Some(absolute(&dir, &operation)?)),
        (None, true) => Some(None),
        (None, false) => None,
    };
    let body = view::EditAgent {
        name: args.name,
        role: args.role,
        skills: (args.no_skills || !args.skills.is_empty()).then_some(args.skills),
        command: args.command,
        env: (env != *now.agent.runtime.env()).then_some(env),
        directory,
        grace_s: args.grace,
        conduct: (conduct != now.agent.conduct).then_some(conduct),
    };
    let to = path(&now.agent.id.to_string());
    let agent: AgentView = remote.send(&operation, Method::PATCH, &to, &body).await?;
    if out.is_json() {
        return out.value(&with_state(&agent));
    }
    out.line(&format!("changed {}", agent.agent.name))
}

/// Puts what was said of an agent's conduct over what there is.
fn apply(flags: ConductFlags, conduct: &mut Conduct, operation: &str) -> Result<(), Failure> {
    let limits = &mut conduct.limits;
    limits.memory_bytes = flags.limit_memory.or(limits.memory_bytes);
    limits.processes = flags.limit_processes.or(limits.processes);
    limits.open_files = flags.limit_files.or(limits.open_files);
    limits.output_bytes = flags.limit_output.or(limits.output_bytes);
    limits.cpu_weight = flags.cpu_weight.or(limits.cpu_weight);
    if let Some(policy) = flags.permissions {
        conduct.permissions = policy.into();
    }
    let walls = flags.sandbox
        || flags.sandbox_no_network
        || flags.sandbox_home.is_some()
        || !flags.sandbox_write.is_empty();
    if walls {
        let sandbox = conduct.sandbox.get_or_insert_with(Sandbox::default);
        if !flags.sandbox_write.is_empty() {
            let whole = flags.sandbox_write.iter().map(|path| absolute(path, operation));
            sandbox.writable = whole.collect::<Result<_, _>>()?;
        }
        if let Some(home) = flags.sandbox_home {
            sandbox.home = home.into();
        }
        sandbox.network &= !flags.sandbox_no_network;
    }
    if let Some(given) = &flags.rules {
        let too_large = "put the long part into a file of the repository and name it";
        let what = "the rules";
        conduct.rules = Source { what, given, bytes_max: RULES_BYTES_MAX, too_large }.read()?;
    }
    conduct.files |= flags.rule_files;
    conduct.handover_at_percent = flags.hand_over_at.or(conduct.handover_at_percent);
    Ok(())
}

/// A path as the engine sees it, whose working directory is another one.
pub(crate) fn absolute(path: &Path, operation: &str) -> Result<String, Failure> {
    let absolute =
        std::path::absolute(path).map_err(|error| Failure::new(operation).because(&error))?;
    absolute
        .into_os_string()
        .into_string()
        .map_err(|path| Failure::new(operation).since(format!("{} is not UTF-8", path.display())))
}

async fn show(name: &str, place: &Place, out: &mut Out) -> Result<(), Failure> {
    let operation = format!("show the agent '{name}'");
    let remote = Remote::find(place, &operation)?;
    let view: AgentView = remote.get(&operation, &path(name)).await?;
    if out.is_json() {
        return out.value(&with_state(&view));
    }
    let mut pairs = vec![
        ("name", view.agent.name.clone()),
        ("id", view.agent.id.to_string()),
        ("state", format!("{}: {}", state(&view), view.status.reason)),
        ("since", time(view.status.since)),
        ("known from", known_from(&view)),
        ("command", view.command.clone()),
        ("role", view.agent.role.clone()),
        ("skills", view.agent.skills.join(", ")),
        ("directory", view.agent.directory.clone().unwrap_or_default()),
        ("created", time(view.agent.created_at)),
    ];
    if let Some(work) = &view.current {
        pairs.push(("works on", format!("{} {} (attempt {})", work.short_id, work.title, work.n)));
    }
    if let Some(usage) = &view.usage {
        pairs.push(("cpu", percent(usage.cpu_percent)));
        pairs.push((
            "memory",
            format!("{} in {} processes", bytes(usage.memory_bytes), usage.processes),
        ));
        pairs.push(("printed", bytes(usage.output_bytes)));
    }
    pairs.push(("last line", view.last_line.unwrap_or_default()));
    let some = |count: u32| if count > 0 { count.to_string() } else { String::new() };
    pairs.push(("asks", some(view.requests_open)));
    pairs.push(("messages", some(view.messages_waiting)));
    pairs.push(("permissions", word(&view.agent.conduct.permissions)));
    let memory = view.agent.conduct.limits.memory_bytes;
    pairs.push(("memory limit", memory.map(bytes).unwrap_or_default()));
    let walls = if view.agent.conduct.sandbox.is_some() { "yes" } else { "" };
    pairs.push(("sandbox", walls.to_owned()));
    pairs.push(("kept by", view.supervision.as_ref().map(word).unwrap_or_default()));
    out.pairs(&pairs)
}

async fn hold(name: &str, what: &str, place: &Place, out: &mut Out) -> Result<(), Failure> {
    let operation = format!("{what} the agent '{name}'");
    let remote = Remote::find(place, &operation)?;
    let nothing = serde_json::json!({});
    let to = format!("{}/{what}", path(name));
    let agent: AgentView = remote.post(&operation, &to, &nothing).await?;
    if out.is_json() {
        return out.value(&brief(&agent));
    }
    out.line(&format!("{}: {}", agent.agent.name, state(&agent)))
}

/// What a stopped agent's mission is held back with; a start lets go of no other.
fn stopped(agent: &AgentView) -> String {
    format!("its agent {} was stopped", agent.agent.name)
}

/// Holds an agent back and the mission it works on, in this order: nothing new comes in between.
async fn stop(name: &str, place: &Place, out: &mut Out) -> Result<(), Failure> {
    let operation = format!("stop the agent '{name}'");
    let nothing = serde_json::json!({});
    let remote = Remote::find(place, &operation)?;
    let agent: AgentView =
        remote.post(&operation, &format!("{}/pause", path(name)), &nothing).await?;
    let mission = agent.current.as_ref().map(|work| work.short_id.to_string());
    if let Some(mission) = &mission {
        let body = serde_json::json!({ "note": stopped(&agent) });
        ask(&operation, &step(place, mission), mission, "pause", &body).await?;
    }
    told(&operation, &remote, &agent, mission.as_slice(), "held back", out).await
}

/// Lets an agent go on, and the missions a stop held back.
async fn start(name: &str, place: &Place, out: &mut Out) -> Result<(), Failure> {
    let operation = format!("start the agent '{name}'");
    let nothing = serde_json::json!({});
    let remote = Remote::find(place, &operation)?;
    let agent: AgentView =
        remote.post(&operation, &format!("{}/resume", path(name)), &nothing).await?;
    let held: Listing<MissionView> =
        remote.get(&operation, "/api/v1/missions?state=paused&limit=500").await?;
    let (mut missions, stopped) = (Vec::new(), stopped(&agent));
    for view in held.items {
        if view.mission.note.as_deref().is_some_and(|note| note.ends_with(&stopped)) {
            let mission = view.mission.short_id.to_string();
            ask(&operation, &step(place, &mission), &mission, "resume", &nothing).await?;
            missions.push(mission);
        }
    }
    told(&operation, &remote, &agent, &missions, "goes on", out).await
}

/// The same place with a key for one step of several, where a key was given.
fn step(place: &Place, mission: &str) -> Place {
    let key = place.key.as_ref().map(|key| format!("{key}/{mission}"));
    Place { data_dir: place.data_dir.clone(), key }
}

async fn ask(
    operation: &str,
    place: &Place,
    mission: &str,
    what: &str,
    body: &serde_json::Value,
) -> Result<(), Failure> {
    let to = format!("/api/v1/missions/{}/{what}", encode(mission));
    let _: serde_json::Value = Remote::find(place, operation)?.post(operation, &to, body).await?;
    Ok(())
}

async fn told(
    operation: &str,
    remote: &Remote,
    agent: &AgentView,
    missions: &[String],
    became: &str,
    out: &mut Out,
) -> Result<(), Failure> {
    let agent: AgentView = remote.get(operation, &path(&agent.agent.id.to_string())).await?;
    if out.is_json() {
        let mut value = brief(&agent);
        value["missions"] = serde_json::json!(missions);
        return out.value(&value);
    }
    out.line(&format!("{}: {}", agent.agent.name, state(&agent)))?;
    missions.iter().try_for_each(|mission| out.line(&format!("{mission} {became}")))
}

async fn remove(name: &str, place: &Place, out: &mut Out) -> Result<(), Failure> {
    let operation = format!("remove the agent '{name}'");
    let remote = Remote::find(place, &operation)?;
    remote.change(&operation, Method::DELETE, &path(name), None).await?;
    if out.is_json() {
        return out.value(&serde_json::json!({"removed": true, "name": name}));
    }
    out.line(&format!("removed {name}"))
}
