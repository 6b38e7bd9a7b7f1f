//! `hivekeeper check`.

use std::process::ExitCode;
use std::time::Duration;

use engine::view::{
    CheckHistory, CheckRun, CheckView, EditCheck, Listing, MaintenanceView, NewCheck,
    NewMaintenance, NewReport,
};
use http::Method;
use jiff::{SignedDuration, Timestamp};
use model::health::{HealthState, Probe, Recurrence, Report};

use crate::args::{
    Check, Judging, MaintenanceCommand, ProbeArgs, RecursWord, ReportWord, StateWord, SubjectWord,
};
use crate::failure::Failure;
use crate::out::{Out, percent, quotable, span, time, word};
use crate::remote::{Place, Remote};
use crate::selector::encode;

/// Where the checks are.
const PATH: &str = "/api/v1/health/checks";
/// Where the times of maintenance are.
const MAINTENANCE: &str = "/api/v1/health/maintenance";
/// Looks of a history that are shown to people.
const BEATS_SHOWN: usize = 20;
/// The port of what is encrypted.
const HTTPS: u16 = 443;

/// Carries it out.
pub(crate) async fn run(command: Check, place: &Place, out: &mut Out) -> Result<ExitCode, Failure> {
    match command {
        Check::List { state, subject } => list(state, subject, place, out).await?,
        Check::Show { check } => {
            const OPERATION: &str = "show a check";
            let remote = Remote::find(place, OPERATION)?;
            show(&one(&remote, OPERATION, &check).await?, out)?;
        }
        Check::Add { name, probe, judging, off } => {
            const OPERATION: &str = "make a check";
            let remote = Remote::find(place, OPERATION)?;
            let probe = probe_of(probe, OPERATION)?.ok_or_else(|| nothing_to_look_at(OPERATION))?;
            let judging = Judged::of(&remote, OPERATION, judging).await?;
            let new = NewCheck {
                name,
                probe,
                interval_s: judging.interval_s,
                timeout_s: judging.timeout_s,
                failures: judging.failures,
                successes: judging.successes,
                start_within_s: judging.start_within_s,
                needs: judging.needs.unwrap_or_default(),
                enabled: Some(!off),
            };
            show(&remote.post(OPERATION, PATH, &new).await?, out)?;
        }
        Check::Edit { check, name, probe, judging, on, off } => {
            const OPERATION: &str = "change a check";
            let remote = Remote::find(place, OPERATION)?;
            let path = path_of(&one(&remote, OPERATION, &check).await?);
            let judging = Judged::of(&remote, OPERATION, judging).await?;
            let edit = EditCheck {
                name,
                probe: probe_of(probe, OPERATION)?,
                interval_s: judging.interval_s,
                timeout_s: judging.timeout_s,
                failures: judging.failures,
                successes: judging.successes,
                start_within_s: judging.start_within_s,
                needs: judging.needs,
                enabled: (on || off).then_some(on),
            };
            show(&remote.send(OPERATION, Method::PATCH, &path, &edit).await?, out)?;
        }
        Check::Remove { check } => {
            const OPERATION: &str = "remove a check";
            let remote = Remote::find(place, OPERATION)?;
            let path = path_of(&one(&remote, OPERATION, &check).await?);
            remote.change(OPERATION, Method::DELETE, &path, None).await?;
            gone("the check", &check, out)?;
        }
        Check::Run { check } => return look(&check, place, out).await,
        Check::History { check, last } => history(&check, last, place, out).await?,
        Check::Report { check, report } => {
            const OPERATION: &str = "report to a check";
            let remote = Remote::find(place, OPERATION)?;
            let path = format!("{}/report", path_of(&one(&remote, OPERATION, &check).await?));
            let report = match report {
                ReportWord::Start => Report::Start,
                ReportWord::Success => Report::Success,
                ReportWord::Failure => Report::Failure,
            };
            show(&remote.post(OPERATION, &path, &NewReport { report }).await?, out)?;
        }
        Check::Maintenance(command) => maintenance(command, place, out).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn nothing_to_look_at(operation: &str) -> Failure {
    Failure::new(operation).since("nothing is named that is to be looked at".to_owned()).hint(
        "name it with --http, --tcp, --file, --disk, --certificate or --heartbeat, or a command after --",
    )
}

fn gone(what: &str, named: &str, out: &mut Out) -> Result<(), Failure> {
    match out.is_json() {
        true => out.value(&serde_json::json!({"removed": named})),
        false => out.line(&format!("{what} '{}' is gone", quotable(named))),
    }
}

fn path_of(view: &CheckView) -> String {
    format!("{PATH}/{}", encode(&view.id))
}

/// Every check, page by page.
async fn all(remote: &Remote, operation: &str, query: &str) -> Result<Vec<CheckView>, Failure> {
    let mut items = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("{PATH}?{query}{cursor}");
        let page: Listing<CheckView> =
            remote.get(operation, path.trim_end_matches(['?', '&'])).await?;
        items.extend(page.items);
        match page.next {
            Some(next) => cursor = format!("cursor={}", encode(&next)),
            None => return Ok(items),
        }
    }
}

/// The check that goes by a name or an id.
async fn one(remote: &Remote, operation: &str, named: &str) -> Result<CheckView, Failure> {
    let found = all(remote, operation, "").await?;
    let is = |view: &&CheckView| view.name == named || view.id == named;
    match found.iter().find(is) {
        Some(view) => Ok(view.clone()),
        None => Err(Failure::new(operation)
            .since(format!("there is no check '{}'", quotable(named)))
            .allowed(found.into_iter().map(|view| view.name).collect())),
    }
}

/// How it is to be judged, with what it needs by its ids.
struct Judged {
    interval_s: Option<u32>,
    timeout_s: Option<u32>,
    failures: Option<u32>,
    successes: Option<u32>,
    start_within_s: Option<u32>,
    needs: Option<Vec<String>>,
}

impl Judged {
    async fn of(remote: &Remote, operation: &str, judging: Judging) -> Result<Self, Failure> {
        let needs = match judging.needs {
            Some(named) => Some(ids(remote, operation, &named).await?),
            None => None,
        };
        Ok(Self {
            interval_s: judging.interval.map(small),
            timeout_s: judging.timeout.map(small),
            failures: judging.failures,
            successes: judging.successes,
            start_within_s: judging.start_within.map(small),
            needs,
        })
    }
}

/// The ids of checks that go by names or ids.
async fn ids(remote: &Remote, operation: &str, named: &[String]) -> Result<Vec<String>, Failure> {
    let mut ids = Vec::new();
    for name in named {
        ids.push(one(remote, operation, name).await?.id);
    }
    Ok(ids)
}

fn seconds(time: Duration) -> u64 {
    time.as_millis().div_ceil(1_000).try_into().unwrap_or(u64::MAX)
}

fn small(time: Duration) -> u32 {
    u32::try_from(seconds(time)).unwrap_or(u32::MAX)
}

/// What is to be looked at; nothing where nothing is named.
fn probe_of(args: ProbeArgs, operation: &str) -> Result<Option<Probe>, Failure> {
    let slow_ms = args.slow_ms;
    if let Some(url) = args.http {
        return Ok(Some(Probe::Http {
            url,
            status: args.status,
            contains: args.contains,
            slow_ms,
        }));
    }
    if let Some(place) = args.tcp {
        let (host, port) = host_and_port(&place, None).ok_or_else(|| no_host(operation, &place))?;
        return Ok(Some(Probe::Tcp { host, port, slow_ms }));
    }
    if let Some(path) = args.file {
        return Ok(Some(Probe::FileAge {
            path,
            max_age_s: args.max_age.map(seconds).unwrap_or_default(),
            degraded_age_s: args.degraded_age.map(seconds),
        }));
    }
    if let Some(path) = args.disk {
        return Ok(Some(Probe::Disk {
            path,
            failed_free_percent: args.failed_percent.unwrap_or(5),
            degraded_free_percent: args.degraded_percent.unwrap_or(10),
        }));
    }
    if let Some(place) = args.certificate {
        let found = host_and_port(&place, Some(HTTPS));
        let (host, port) = found.ok_or_else(|| no_host(operation, &place))?;
        return Ok(Some(Probe::Certificate {
            host,
            port,
            failed_days: args.failed_days.unwrap_or(7),
            degraded_days: args.degraded_days.unwrap_or(21),
        }));
    }
    if let Some(period) = args.heartbeat {
        return Ok(Some(Probe::Heartbeat {
            period_s: seconds(period),
            grace_s: args.grace.map(seconds).unwrap_or_default(),
        }));
    }
    if args.command.is_empty() {
        return Ok(None);
    }
    Ok(Some(Probe::Command { command: args.command, degraded_code: args.degraded_code }))
}

fn no_host(operation: &str, place: &str) -> Failure {
    Failure::new(operation)
        .since(format!("'{}' names no host and port", quotable(place)))
        .hint("write them as in 127.0.0.1:5432 or [::1]:5432")
}

/// A host and its port; of an address in brackets, what is in them.
fn host_and_port(text: &str, usual: Option<u16>) -> Option<(String, u16)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            (host, after.strip_prefix(':'))
        }
        None => match text.split_once(':') {
            Some((_, rest)) if rest.contains(':') => (text, None),
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = match port {
        Some(port) => port.parse().ok()?,
        None => usual?,
    };
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

async fn list(
    state: Option<StateWord>,
    subject: Option<SubjectWord>,
    place: &Place,
    out: &mut Out,
) -> Result<(), Failure> {
    const OPERATION: &str = "list the checks";
    let remote = Remote::find(place, OPERATION)?;
    let mut query = String::new();
    if let Some(state) = state {
        let state = match state {
            StateWord::Ok => HealthState::Ok,
            StateWord::Degraded => HealthState::Degraded,
            StateWord::Failed => HealthState::Failed,
            StateWord::Unknown => HealthState::Unknown,
        };
        query.push_str(&format!("state={}&", state.as_str()));
    }
    if let Some(subject) = subject {
        let subject = match subject {
            SubjectWord::Engine => "engine",
            SubjectWord::User => "user",
            SubjectWord::Agent => "agent",
        };
        query.push_str(&format!("subject={subject}&"));
    }
    let mut items = all(&remote, OPERATION, &query).await?;
    if out.is_json() {
        return out.value(&Listing { items, next: None });
    }
    if items.is_empty() {
        return out.line("no such checks: make one with 'hivekeeper check add'");
    }
    items.sort_by_key(|view| rank(view.state));
    let row = |view: &CheckView| {
        vec![
            view.name.clone(),
            view.kind.as_str().to_owned(),
            view.state.as_str().to_owned(),
            percent(view.uptime.day.map(|share| share * 100.0)),
            view.reason.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = items.iter().map(row).collect();
    out.table(&["NAME", "KIND", "STATE", "LAST 24 H", "REASON"], &rows)
}

/// The worst first.
const fn rank(state: HealthState) -> u8 {
    match state {
        HealthState::Failed => 0,
        HealthState::Degraded => 1,
        HealthState::Unknown => 2,
        HealthState::Ok => 3,
    }
}

fn show(view: &CheckView, out: &mut Out) -> Result<(), Failure> {
    if out.is_json() {
        return out.value(view);
    }
    let share = |share: Option<f64>| match share {
        Some(share) => percent(Some(share * 100.0)),
        None => "no data".to_owned(),
    };
    let mut pairs = vec![
        ("check", view.name.clone()),
        ("id", view.id.clone()),
        ("kind", view.kind.as_str().to_owned()),
        ("state", view.state.as_str().to_owned()),
        ("reason", view.reason.clone()),
        ("since", time(view.since)),
        ("last look", view.last_at.map(time).unwrap_or_default()),
        ("took", view.latency_ms.map(|ms| format!("{ms:.1} ms")).unwrap_or_default()),
        ("uptime", share(view.uptime.day) + " of 24 h"),
        ("", share(view.uptime.week) + " of 7 d"),
        ("", share(view.uptime.month) + " of 30 d"),
    ];
    if let Some(settings) = &view.settings {
        pairs.push(("looks at", view.target.clone()));
        pairs.push(("every", span(f64::from(settings.interval_s))));
        let judged = format!(
            "failed after {} bad looks in a row, in order after {} good ones",
            settings.failures, settings.successes
        );
        pairs.push(("judged", judged));
        pairs.push(("needs", settings.needs.join(", ")));
    }
    if let Some(vitals) = &view.vitals {
        for (name, answer) in vitals.each() {
            pairs.push((name, format!("{}: {}", answer.state.as_str(), answer.reason)));
        }
    }
    pairs.retain(|(_, value)| !value.is_empty());
    out.pairs(&pairs)
}

async fn look(named: &str, place: &Place, out: &mut Out) -> Result<ExitCode, Failure> {
    const OPERATION: &str = "look at a check";
    let remote = Remote::find(place, OPERATION)?;
    let path = format!("{}/run", path_of(&one(&remote, OPERATION, named).await?));
    let run: CheckRun = remote.post(OPERATION, &path, &serde_json::json!({})).await?;
    if out.is_json() {
        out.value(&run)?;
    } else {
        let took = run.beat.latency_ms.map(|ms| format!(" after {ms:.1} ms")).unwrap_or_default();
        let why = if run.beat.reason.is_empty() { "it is in order" } else { &run.beat.reason };
        out.line(&format!("{}{took}: {why}", run.beat.state.as_str()))?;
        if run.check.state != run.beat.state {
            let (state, reason) = (run.check.state.as_str(), &run.check.reason);
            out.line(format!("with the looks before it is {state} {reason}").trim_end())?;
        }
    }
    Ok(ExitCode::from(u8::from(run.beat.state == HealthState::Failed)))
}

async fn history(named: &str, last: Duration, place: &Place, out: &mut Out) -> Result<(), Failure> {
    const OPERATION: &str = "tell how a check was";
    let remote = Remote::find(place, OPERATION)?;
    let view = one(&remote, OPERATION, named).await?;
    // What the engine takes for now is the end.
    let last = SignedDuration::try_from(last).unwrap_or(SignedDuration::MAX);
    let from =
        view.last_at.unwrap_or(view.since).checked_sub(last).unwrap_or(Timestamp::UNIX_EPOCH);
    let path = format!("{}/history?from={}", path_of(&view), encode(&from.to_string()));
    let history: CheckHistory = remote.get(OPERATION, &path).await?;
    if out.is_json() {
        return out.value(&history);
    }
    let share = match history.uptime {
        Some(share) => percent(Some(share * 100.0)),
        None => "no data".to_owned(),
    };
    out.pairs(&[
        ("uptime", share),
        ("outages", history.outages.to_string()),
        ("mean to repair", history.mean_to_repair_s.map(span).unwrap_or_default()),
        ("mean between", history.mean_between_failures_s.map(span).unwrap_or_default()),
    ])?;
    let changes: Vec<Vec<String>> = history
        .changes
        .iter()
        .rev()
        .map(|it| vec![time(it.at), it.to.as_str().to_owned(), it.reason.clone()])
        .collect();
    if !changes.is_empty() {
        out.line("")?;
        out.table(&["SINCE", "STATE", "REASON"], &changes)?;
    }
    let beats: Vec<Vec<String>> = history
        .beats
        .iter()
        .rev()
        .take(BEATS_SHOWN)
        .map(|it| {
            let took = it.latency_ms.map(|ms| format!("{ms:.1} ms")).unwrap_or_default();
            vec![time(it.at), it.state.as_str().to_owned(), took, it.reason.clone()]
        })
        .collect();
    if beats.is_empty() {
        return Ok(());
    }
    out.line("")?;
    out.table(&["LOOK", "FOUND", "TOOK", "REASON"], &beats)
}

async fn maintenance(
    command: MaintenanceCommand,
    place: &Place,
    out: &mut Out,
) -> Result<(), Failure> {
    match command {
        MaintenanceCommand::List => {
            const OPERATION: &str = "list the times of maintenance";
            let remote = Remote::find(place, OPERATION)?;
            let all: Listing<MaintenanceView> = remote.get(OPERATION, MAINTENANCE).await?;
            if out.is_json() {
                return out.value(&all);
            }
            if all.items.is_empty() {
                return out.line("no maintenance is set");
            }
            let rows: Vec<Vec<String>> = all.items.iter().map(row_of).collect();
            out.table(&["ID", "FROM", "UNTIL", "RECURS", "NOW", "NOTE"], &rows)
        }
        MaintenanceCommand::Add { from, lasts, recurs, zone, checks, note } => {
            const OPERATION: &str = "set a time of maintenance";
            let remote = Remote::find(place, OPERATION)?;
            let checks = ids(&remote, OPERATION, &checks).await?;
            let begins = match from {
                Some(from) => from,
                None => model::clock::Clock::now(&model::clock::SystemClock),
            };
            let lasts = SignedDuration::try_from(lasts).unwrap_or(SignedDuration::MAX);
            let until = begins.checked_add(lasts).unwrap_or(Timestamp::MAX);
            let recurs = recurs.map(|recurs| match recurs {
                RecursWord::Daily => Recurrence::Daily,
                RecursWord::Weekly => Recurrence::Weekly,
            });
            let from = Some(begins);
            let new = NewMaintenance { checks, from, until, recurs, zone, note };
            let made: MaintenanceView = remote.post(OPERATION, MAINTENANCE, &new).await?;
            if out.is_json() {
                return out.value(&made);
            }
            let (id, until) = (made.maintenance.id, time(made.maintenance.until));
            out.line(&format!("maintenance {id} ends at {until}"))
        }
        MaintenanceCommand::Remove { id } => {
            const OPERATION: &str = "call maintenance off";
            let remote = Remote::find(place, OPERATION)?;
            let path = format!("{MAINTENANCE}/{}", encode(&id));
            remote.change(OPERATION, Method::DELETE, &path, None).await?;
            gone("the maintenance", &id, out)
        }
    }
}

fn row_of(view: &MaintenanceView) -> Vec<String> {
    let it = &view.maintenance;
    let recurs = it.recurs.as_ref().map(word).unwrap_or_default();
    vec![
        it.id.to_string(),
        time(it.from),
        time(it.until),
        recurs,
        if view.active { "yes".to_owned() } else { String::new() },
        it.note.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_host_and_a_port_are_told_apart() {
        let check = |text: &str, usual, expected: Option<(&str, u16)>| {
            let found = host_and_port(text, usual);
            assert_eq!(found, expected.map(|(host, port)| (host.to_owned(), port)), "{text}");
        };
        check("shop.example:5432", None, Some(("shop.example", 5_432)));
        check("[::1]:5432", None, Some(("::1", 5_432)));
        check("[::1]", Some(443), Some(("::1", 443)));
        check("2001:db8::1", Some(443), Some(("2001:db8::1", 443)));
        check("shop.example", Some(443), Some(("shop.example", 443)));
        check("shop.example", None, None);
        check(":80", None, None);
        check("a:99999", None, None);
        check("[::1", Some(443), None);
    }

    #[test]
    fn a_part_of_a_second_is_a_whole_one() {
        assert_eq!(seconds(Duration::from_millis(1)), 1);
        assert_eq!(seconds(Duration::from_millis(1_001)), 2);
        assert_eq!(small(Duration::from_secs(30)), 30);
    }

    proptest! {
        #[test]
        fn no_text_panics_as_a_host(text: String) {
            if let Some((host, _)) = host_and_port(&text, Some(443)) {
                prop_assert!(!host.is_empty());
            }
        }
    }
}
