//! Presets: the agents known by name, where they are on this machine, and whether one starts.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use agents::channel::{Channel, ChannelError, Heard, ShimSays};
use agents::detect::Detected;
use agents::lines::LineReader;
use agents::runtime::acp::error_in_words;
use agents::runtime::presets::{Kind, Preset, Presets, Start};
use agents::runtime::prices::Prices;
use agents::runtime::sheet::Live;
use agents::transcript::TranscriptError;
use agents::{Found, LaunchError, Launcher, ansi, secrets};
use model::conversation::{cut, one_line};
use model::inbox::PermissionPolicy;
use model::process::{Exit, ExitRecord, LaunchSpec, ProcessIdentity, file};
use model::refusal::{Code, Refusal};
use serde_json::{Value, json};
use store::DataDir;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::Engine;
use crate::view::{InstalledPreset, PresetList, PresetModes, PresetTest, PresetView};

/// How long what was found on this machine is believed.
const FOUND_KNOWN: Duration = Duration::from_secs(60);
/// How long trying a preset may take; some agents take this long the first time.
const TRY_WITHIN: Duration = Duration::from_secs(55);
/// How long a program that was asked to end may take before it is ended.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);
/// Time between TERM and KILL of a tried program, in milliseconds.
const GRACE_MS: u64 = 2_000;
/// The longest text shown of what a program said, in bytes.
const SAID_BYTES_MAX: usize = 2_000;
/// The longest last line of it beside what is in the way, in bytes.
const LAST_BYTES_MAX: usize = 500;
/// Where presets are tried, in the data directory.
const TRIALS: &str = "trials";
/// What the name of such a place begins with.
const TRIAL: &str = "trial-";
/// The protocol's code for an agent that has to be logged in.
const AUTH_REQUIRED: i64 = -32_000;

/// The presets and prices in force, and what was found of the presets.
#[derive(Debug)]
pub(crate) struct Shelf {
    presets: Arc<Live<Presets>>,
    prices: Arc<Live<Prices>>,
    found: Mutex<Option<OnMachine>>,
}

/// What was found, of which presets and when.
#[derive(Debug)]
struct OnMachine {
    looked: Instant,
    of: Arc<Presets>,
    found: Arc<Vec<Detected>>,
}

impl Shelf {
    /// Reads the captain's own presets and prices; what comes with the program holds where they
    /// cannot be used.
    pub(crate) fn open(dir: &DataDir) -> Self {
        Self {
            presets: Arc::new(Live::open(dir.root())),
            prices: Arc::new(Live::open(dir.root())),
            found: Mutex::default(),
        }
    }

    /// The presets in force.
    pub(crate) fn presets(&self) -> Arc<Presets> {
        self.presets.now()
    }

    /// The presets as they change.
    pub(crate) const fn live_presets(&self) -> &Arc<Live<Presets>> {
        &self.presets
    }

    /// The prices as they change.
    pub(crate) const fn live_prices(&self) -> &Arc<Live<Prices>> {
        &self.prices
    }

    /// What is wrong with the captain's own files.
    pub(crate) fn problem(&self) -> Option<String> {
        let problems = [self.presets.problem(), self.prices.problem()];
        let problems: Vec<String> = problems.into_iter().flatten().collect();
        (!problems.is_empty()).then(|| problems.join("; "))
    }

    /// What is installed; each program was asked for its version.
    async fn found(&self) -> Arc<Vec<Detected>> {
        let presets = self.presets();
        let mut known = self.found.lock().await;
        if let Some(known) = known.as_ref()
            && known.looked.elapsed() < FOUND_KNOWN
            && Arc::ptr_eq(&known.of, &presets)
        {
            return Arc::clone(&known.found);
        }
        let found = Arc::new(agents::detect::examined(&presets).await);
        let looked = Instant::now();
        *known = Some(OnMachine { looked, of: presets, found: Arc::clone(&found) });
        found
    }
}

impl Engine {
    /// Every preset in force, those found on this machine first.
    pub async fn presets(&self) -> PresetList {
        let shelf = &self.0.presets;
        let found = shelf.found().await;
        let known = shelf.presets();
        let view = |preset: &Preset| {
            let found = found.iter().find(|found| found.preset == preset.name);
            let can_leave = preset.modes.unattended != Default::default()
                || !preset.ways.unattended_mode.is_empty();
            PresetView {
                name: preset.name.clone(),
                title: preset.title.clone(),
                kind: preset.kind,
                program: preset.program.clone().unwrap_or_default(),
                command: found.map(|found| found.command.clone()).unwrap_or_default(),
                note: preset.note.clone(),
                install: preset.install.clone(),
                installed: found.and_then(|found| {
                    let path = found.path.as_ref()?.display().to_string();
                    Some(InstalledPreset { path, version: found.version.clone() })
                }),
                missing: found.and_then(|found| found.problem.clone()).into_iter().collect(),
                modes: PresetModes { ask: preset.kind == Kind::Acp, unattended: can_leave },
            }
        };
        let mut presets: Vec<PresetView> = known.iter().map(view).collect();
        presets.sort_by_key(|preset| preset.installed.is_none());
        PresetList { presets, problem: shelf.problem() }
    }

    /// Starts a preset's program in a place of its own, greets it, and ends it. Nothing is asked of
    /// its model. When the caller goes away, it is ended at once.
    ///
    /// # Errors
    /// When there is no such preset, or it names no program.
    pub async fn try_preset(&self, name: &str) -> Result<PresetTest, Refusal> {
        let presets = self.0.presets.presets();
        let Some(preset) = presets.find(name) else {
            let names = presets.iter().map(|preset| preset.name.clone()).collect();
            let why = format!("there is no preset '{name}'");
            return Err(Refusal::new(Code::NotFound, why).allowed(names));
        };
        if preset.program.is_none() {
            let why = format!("the preset '{name}' names no program; there is nothing to try");
            return Err(Refusal::new(Code::InvalidInput, why)
                .hint("create an agent with a command line of your own"));
        }
        let found = self.0.presets.found().await;
        let found = found.iter().find(|found| found.preset == name);
        let version = found.and_then(|found| found.version.clone());
        let failed = |problem: String| PresetTest {
            ok: false,
            version: version.clone(),
            opened_ms: None,
            said: String::new(),
            problem: Some(problem),
        };
        if let Some(problem) = found.and_then(|found| found.problem.clone()) {
            return Ok(failed(problem));
        }
        if preset.kind != Kind::Acp {
            let said = version.clone().unwrap_or_default();
            return Ok(PresetTest { ok: true, version, opened_ms: None, said, problem: None });
        }
        let place = match Place::make(self.0.dir.root()) {
            Ok(place) => place,
            Err(err) => return Ok(failed(format!("no place could be made to try it in: {err}"))),
        };
        let (launcher, preset) = (self.0.launcher.clone(), preset.clone());
        let tried = preset.name.clone();
        let stop = self.0.cancel.child_token();
        let gone = stop.clone().drop_guard();
        // On its own, so that the program is ended even if nobody waits for the answer any more.
        let trial =
            self.0.tasks.spawn(async move { trial(&launcher, &preset, place, &stop).await });
        let result = trial.await;
        drop(gone.disarm());
        let result = result.map_err(|error| {
            tracing::error!(%error, "trying a preset ended early");
            Refusal::new(Code::Internal, "the engine could not finish trying it")
        })?;
        if result.ok {
            self.let_logged_in_go_on(&tried).await;
        }
        Ok(PresetTest { version: result.version.clone().or(version), ..result })
    }

    /// Ends what an earlier run of the engine was trying when it died.
    pub(crate) async fn sweep_trials(self) {
        let place = self.0.dir.root().join(TRIALS);
        for trial in std::fs::read_dir(&place).into_iter().flatten().flatten() {
            let trial = trial.path();
            if begun(&trial).is_some_and(|at| at >= self.0.started_at) {
                // It is being tried right now.
                continue;
            }
            let run = trial.join("run");
            let running = match self.0.launcher.look(&run) {
                Ok(Found::Running(identity) | Found::Gone { identity, .. }) => Some(identity),
                Ok(Found::NotStarted | Found::Ended(_)) => None,
                // It is looked at again at the next start.
                Err(_) => continue,
            };
            if let Some(identity) = running
                && let Err(err) = self.0.launcher.stop(&run, &identity).await
            {
                tracing::warn!(
                    error = &err as &dyn std::error::Error,
                    "what was tried before could not be ended"
                );
                continue;
            }
            remove(&trial);
        }
    }
}

/// When something began to be tried, by the name of its place.
fn begun(trial: &Path) -> Option<jiff::Timestamp> {
    let id = trial.file_name()?.to_str()?.strip_prefix(TRIAL)?;
    let (s, ns) = uuid::Uuid::try_parse(id).ok()?.get_timestamp()?.to_unix();
    jiff::Timestamp::new(i64::try_from(s).ok()?, i32::try_from(ns).ok()?).ok()
}

/// Where a preset is tried: a run, and an empty directory to work in.
struct Place {
    root: PathBuf,
    marker: String,
}

impl Place {
    fn make(data: &Path) -> std::io::Result<Self> {
        let marker = format!("{TRIAL}{}", uuid::Uuid::now_v7());
        let root = data.join(TRIALS).join(&marker);
        let this = Self { root, marker };
        crate::reports::make_private(&this.work())?;
        crate::reports::make_private(&this.data())?;
        Ok(this)
    }

    fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    fn work(&self) -> PathBuf {
        self.root.join("work")
    }

    fn data(&self) -> PathBuf {
        self.root.join("data")
    }
}

fn remove(place: &Path) {
    if let Err(err) = std::fs::remove_dir_all(place)
        && err.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(error = &err as &dyn std::error::Error, place = %place.display(), "a place of a trial is left behind");
    }
}

/// What came of greeting a program.
#[derive(Debug, Default)]
struct Greeting {
    /// Its own name and version.
    agent: Option<String>,
    opened_ms: Option<u64>,
    problem: Option<String>,
}

async fn trial(
    launcher: &Launcher,
    preset: &Preset,
    place: Place,
    stop: &CancellationToken,
) -> PresetTest {
    let begun = Instant::now();
    let (greeting, said) = match start(launcher, preset, &place).await {
        Err(err) => {
            let why = match err {
                LaunchError::NotStarted { reason } => reason,
                other => other.to_string(),
            };
            let problem = Some(format!("it could not be started: {why}"));
            (Greeting { problem, ..Greeting::default() }, String::new())
        }
        Ok(identity) => {
            let never = CancellationToken::new();
            let (run, work) = (place.run(), place.work());
            let greeted = tokio::select! {
                biased;
                () = stop.cancelled() => None,
                ended = launcher.wait(&run, &identity, &never) => Some(gone(ended)),
                greeted = timeout(TRY_WITHIN, greet(&run, &work, begun)) => Some(
                    greeted.unwrap_or_else(|_| silent()),
                ),
            };
            let mut greeting = greeted.unwrap_or_default();
            if let Some(left) = end(launcher, &run, &identity).await {
                greeting.problem = Some(left);
            }
            let said = tokio::task::spawn_blocking(move || said(&run)).await.unwrap_or_default();
            if let Some(problem) = &mut greeting.problem
                && let Some(last) = said.lines().map(str::trim).rfind(|line| !line.is_empty())
            {
                *problem = format!("{problem}; it said: {}", cut(&one_line(last), LAST_BYTES_MAX));
            }
            (greeting, said)
        }
    };
    remove(&place.root);
    PresetTest {
        ok: greeting.problem.is_none() && greeting.opened_ms.is_some(),
        version: greeting.agent,
        opened_ms: greeting.opened_ms,
        said,
        problem: greeting.problem,
    }
}

async fn start(
    launcher: &Launcher,
    preset: &Preset,
    place: &Place,
) -> Result<ProcessIdentity, LaunchError> {
    let (run, data) = (place.run(), place.data());
    let added = preset.additions(&Start {
        policy: PermissionPolicy::ReadOnly,
        tools: None,
        run: &run,
        data: Some(&data),
        apart: false,
    });
    for directory in &added.directories {
        crate::reports::make_private(directory)
            .map_err(|source| LaunchError::Prepare { path: directory.clone(), source })?;
    }
    let mut env: Vec<(String, String)> =
        preset.env.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    env.extend(added.env);
    let spec = LaunchSpec {
        program: preset.program.clone().unwrap_or_default(),
        args: preset.args.iter().chain(&added.args).cloned().collect(),
        env,
        directory: place.work().display().to_string(),
        grace_ms: GRACE_MS,
        marker: place.marker.clone(),
        channel: true,
        ..LaunchSpec::default()
    };
    launcher.start(&run, &spec, None).await
}

/// Says hello and opens a conversation, in which nothing is said.
async fn greet(run: &Path, work: &Path, begun: Instant) -> Greeting {
    let broken = |why: NoAnswer| Greeting { problem: Some(why.to_string()), ..Greeting::default() };
    let mut line = match Line::open(run).await {
        Ok(line) => line,
        Err(why) => {
            // Most likely it has ended, which is noticed elsewhere and says more.
            sleep(LEAVE_WITHIN).await;
            return broken(why);
        }
    };
    let hello = json!({
        "protocolVersion": 1,
        "clientCapabilities": {"fs": {"readTextFile": false, "writeTextFile": false}},
        "clientInfo": {"name": "hivekeeper", "version": env!("CARGO_PKG_VERSION")},
    });
    let answer = match line.ask(1, "initialize", &hello).await {
        Ok(answer) => answer,
        Err(why) => {
            sleep(LEAVE_WITHIN).await;
            return broken(why);
        }
    };
    let info = &answer["result"]["agentInfo"];
    let agent = info["version"].as_str().map(|version| cut(version, 100));
    if let Some(why) = refusal(&answer) {
        return Greeting { agent, problem: Some(why), ..Greeting::default() };
    }
    let here = json!({"cwd": work, "mcpServers": []});
    let problem = match line.ask(2, "session/new", &here).await {
        Ok(answer) => refusal(&answer),
        Err(why) => Some(why.to_string()),
    };
    let opened_ms = u64::try_from(begun.elapsed().as_millis()).ok();
    line.close().await;
    Greeting { agent, opened_ms: opened_ms.filter(|_| problem.is_none()), problem }
}

/// Why the agent does not do what was asked, in words.
fn refusal(answer: &Value) -> Option<String> {
    let error = answer.get("error")?;
    let (code, said) = error_in_words(error);
    let said = secrets::redact(&one_line(&said)).into_owned();
    match code {
        Some(AUTH_REQUIRED) => Some(format!(
            "it has to be logged in first: {said}; start it once in a terminal and log in"
        )),
        _ => Some(format!("it refused to begin: {said}")),
    }
}

/// Why a program did not answer.
#[derive(Debug, thiserror::Error)]
enum NoAnswer {
    #[error("failed to {0}")]
    Channel(#[from] ChannelError),
    #[error("failed to {0}")]
    Output(#[from] TranscriptError),
    #[error("it did not take what was sent: {reason}")]
    Refused { reason: String },
    #[error("the connection to it is gone")]
    Gone,
}

/// The line to the tried program.
struct Line {
    channel: Channel,
    reader: LineReader,
    offset: u64,
    sent: u64,
}

impl Line {
    async fn open(run: &Path) -> Result<Self, NoAnswer> {
        let channel = Channel::connect(run).await?;
        let reader = LineReader::new(&run.join(file::STDOUT));
        Ok(Self { channel, reader, offset: 0, sent: 0 })
    }

    /// Asks something and waits for the answer; whoever calls sets the time.
    async fn ask(&mut self, id: u64, method: &str, params: &Value) -> Result<Value, NoAnswer> {
        let line = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.sent += 1;
        let text = format!("{line}\n");
        self.channel.send_input(self.sent, &text).await?;
        loop {
            while let Some(line) = self.reader.next_line(self.offset)? {
                self.offset = line.next_offset;
                // What is no answer to this is not of interest: banners, notes, updates.
                if let Ok(message) = serde_json::from_slice::<Value>(&line.bytes)
                    && message["id"].as_u64() == Some(id)
                    && message.get("method").is_none()
                {
                    return Ok(message);
                }
            }
            self.channel.read_up_to(self.offset).await?;
            match self.channel.hear(agents::channel::LOOK).await {
                Heard::Said(ShimSays::Refused { reason, .. }) => {
                    return Err(NoAnswer::Refused { reason });
                }
                Heard::Gone => return Err(NoAnswer::Gone),
                _ => {}
            }
        }
    }

    async fn close(&mut self) {
        self.sent += 1;
        // It is ended anyway.
        let _ = self.channel.close_input(self.sent).await;
    }
}

fn silent() -> Greeting {
    let problem = format!(
        "it was started and did not answer within {} s; it may not speak the Agent Client Protocol",
        TRY_WITHIN.as_secs()
    );
    Greeting { problem: Some(problem), ..Greeting::default() }
}

fn gone(ended: Result<ExitRecord, LaunchError>) -> Greeting {
    let how = match ended {
        Ok(record) => record.exit.to_string(),
        Err(err) => format!("failed to {err}"),
    };
    let problem = Some(format!("it ended before it answered: it {how}"));
    Greeting { problem, ..Greeting::default() }
}

/// Ends the program and everything it started; gives what is in the way of that.
async fn end(launcher: &Launcher, run: &Path, identity: &ProcessIdentity) -> Option<String> {
    let never = CancellationToken::new();
    let left = timeout(LEAVE_WITHIN, launcher.wait(run, identity, &never)).await;
    let record = match left {
        Ok(Ok(record)) if !matches!(record.exit, Exit::Lost { .. }) => Ok(record),
        _ => launcher.stop(run, identity).await,
    };
    match record {
        Ok(record) if record.survivors.is_empty() => None,
        Ok(record) => {
            let pids: Vec<String> =
                record.survivors.iter().map(|process| process.pid.to_string()).collect();
            Some(format!(
                "processes of it are still there and have to be ended: {}",
                pids.join(", ")
            ))
        }
        Err(err) => Some(format!("it could not be ended: failed to {err}")),
    }
}

/// The end of what it complained about, or else printed, where that is no protocol; without secrets.
fn said(run: &Path) -> String {
    let tail = |name: &str, protocol: bool| {
        let text =
            String::from_utf8_lossy(&end_of(&run.join(name)).unwrap_or_default()).into_owned();
        let plain = |line: &&str| !protocol || !line.trim_start().starts_with('{');
        let text = text.lines().filter(plain).collect::<Vec<_>>().join("\n");
        secrets::redact(ansi::plain(&text).trim()).into_owned()
    };
    let complained = tail(file::STDERR, false);
    if complained.is_empty() { tail(file::STDOUT, true) } else { complained }
}

/// The last bytes of a file. What was printed may be larger than any memory: the file keeps its size
/// when its beginning is given up.
fn end_of(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = std::fs::File::open(path)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(SAID_BYTES_MAX as u64)))?;
    let mut bytes = Vec::new();
    file.take(SAID_BYTES_MAX as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_something_began_to_be_tried_is_in_the_name_of_its_place() {
        let before = model::clock::Clock::now(&model::clock::SystemClock);
        let place = tempfile::tempdir().unwrap();
        let place = Place::make(place.path()).unwrap();
        let at = begun(&place.root).unwrap();
        assert!(at.duration_since(before).abs() < jiff::SignedDuration::from_secs(60));
        assert_eq!(begun(Path::new("/x/trial-7")), None);
    }

    #[test]
    fn why_a_program_refused_is_told_with_its_data_and_without_secrets() {
        let key = ["sk-ant-api03-", &"a1B2c3D4".repeat(12), "AA"].concat();
        let answer = json!({"error": {"code": -32_603, "message": "Internal error", "data":
            {"details": format!("no provider is configured\nkey {key}")}}});
        let told = refusal(&answer).unwrap();
        assert!(told.contains("Internal error: no provider is configured key "), "{told}");
        assert!(!told.contains(&key) && told.lines().count() == 1, "{told}");
        let answer = json!({"error": {"message": "Internal error", "data": {"at": [7]}}});
        assert!(refusal(&answer).unwrap().ends_with(r#"Internal error: {"at":[7]}"#));
        let run = tempfile::tempdir().unwrap();
        let complained = format!("{{\"level\":\"error\"}}\n\u{1b}[31mno key {key}\u{1b}[0m\n");
        std::fs::write(run.path().join(file::STDERR), complained).unwrap();
        let said = said(run.path());
        assert!(
            said.starts_with("{\"level\":\"error\"}\nno key ") && !said.contains(&key),
            "{said}"
        );
    }

    #[test]
    fn of_what_a_tried_program_printed_only_the_end_is_read_however_much_it_was() {
        let run = tempfile::tempdir().unwrap();
        let path = run.path().join(file::STDERR);
        let mut log = std::fs::File::create(&path).unwrap();
        // A terabyte of which nothing is on the disk but the last words.
        log.set_len(1 << 40).unwrap();
        log.seek(SeekFrom::End(0)).unwrap();
        std::io::Write::write_all(&mut log, b"\nno config file\n{\"json\":1}\n").unwrap();
        let end = said(run.path());
        assert!(end.ends_with("no config file\n{\"json\":1}"), "{end}");
        assert_eq!(end_of(&path).unwrap().len(), SAID_BYTES_MAX);
        assert!(end_of(&run.path().join("none")).is_err());
    }
}
