//! Presets: the agents known by name, as data. A file in the data directory changes and adds some.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use model::agent::Runtime;
use model::inbox::PermissionPolicy;
use serde::{Deserialize, Serialize};
use toml::Spanned;
use utoipa::ToSchema;

use super::headless::Format;
use super::session_file;
use super::sheet::{self, Sheet, SheetError};
use super::ways::Ways;

/// The file's name in the data directory.
pub const FILE: &str = "runtimes.toml";
/// The most presets one file may hold.
const PRESETS_MAX: usize = 500;
/// The longest name of a preset, in bytes.
const NAME_BYTES_MAX: usize = 60;
/// The presets that come with the program.
const BUILT_IN: &str = include_str!("runtimes.toml");
/// The preset without a program; the captain names one.
pub const CUSTOM: &str = "custom";
/// The private file beside a run that tells a program of our tools.
pub const MCP_FILE: &str = "mcp.json";

/// What kind of runtime a preset is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Any program.
    Command,
    /// It speaks the Agent Client Protocol.
    Acp,
    /// It does one mission and tells of it in lines.
    Headless,
}

/// An agent known by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preset {
    /// Its name.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// How it is driven.
    pub kind: Kind,
    /// How its lines are read, where it is headless.
    pub format: Option<Format>,
    /// Its program; nothing where the captain names one.
    pub program: Option<String>,
    /// The arguments of its program.
    pub args: Vec<String>,
    /// Variables set for its program.
    pub env: BTreeMap<String, String>,
    /// What is added for each policy.
    pub modes: Modes,
    /// The arguments by which its program tells its version.
    pub health: Vec<String>,
    /// How it is installed, for people.
    pub install: String,
    /// What it needs on the machine, such as `node>=22`.
    pub needs: Vec<String>,
    /// What one should know about it.
    pub note: String,
    /// What is added to give it our tools.
    pub mcp: Mcp,
    /// What is added so that it exports its figures to us by OpenTelemetry; with `{otlp_url}` and
    /// `{mcp_token}`, of which only variables may hold the latter.
    pub export: Added,
    /// Variables that give it a place of its own for its data.
    pub isolate: Vec<Isolate>,
    /// How many of it may be starting at the same time.
    pub starts_at_once: u32,
    /// Whether its very first start on a machine must be alone.
    pub first_start_alone: bool,
    /// How it behaves.
    pub ways: Ways,
}

/// What is added for an agent's permission policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Modes {
    /// For *read only*; nothing where the program cannot be kept from changing files.
    pub read_only: Option<Added>,
    /// For every policy between.
    pub ask: Added,
    /// For *unattended*.
    pub unattended: Added,
}

/// Arguments and variables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Added {
    /// Arguments, behind the others.
    pub args: Vec<String>,
    /// Variables.
    pub env: BTreeMap<String, String>,
}

/// How a program that does not speak ACP is given our tools.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mcp {
    /// Arguments and variables with `{mcp_url}`, `{otlp_url}`, `{mcp_token}` and `{mcp_file}`.
    pub added: Added,
    /// The text of the file that `{mcp_file}` stands for.
    pub file: Option<String>,
}

/// A variable that gives an agent a place of its own for its data.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Isolate {
    /// The variable.
    pub env: String,
    /// The place below the agent's directory; a directory where it ends in `/`.
    pub path: String,
    /// Whether the person's login is not found there, so that it is set only where it is asked for.
    #[serde(default)]
    pub loses_login: bool,
}

/// What a start adds to a preset's own arguments and variables.
#[derive(Debug, Clone, Copy)]
pub struct Start<'a> {
    /// Who answers the agent's permission requests.
    pub policy: PermissionPolicy,
    /// Our own tools, where the program is to have them.
    pub tools: Option<&'a super::OwnTools>,
    /// The run's directory, for a private file.
    pub run: &'a Path,
    /// The agent's own directory, for its data.
    pub data: Option<&'a Path>,
    /// Whether the person's login may be lost by keeping its data apart.
    pub apart: bool,
}

/// What is added.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Additions {
    /// Arguments, behind the others.
    pub args: Vec<String>,
    /// Variables.
    pub env: Vec<(String, String)>,
    /// What has it export its figures to us; left out where the captain says where they go.
    pub export: Added,
    /// A file to be written before the start, to be read by its owner alone, and its text.
    pub file: Option<(PathBuf, String)>,
    /// Directories to be made before the start.
    pub directories: Vec<PathBuf>,
}

impl std::fmt::Debug for Additions {
    /// Leaves out values: they hold the agent's token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.env.iter().map(|(name, _)| name.as_str()).collect();
        let file = self.file.as_ref().map(|(path, _)| path);
        f.debug_struct("Additions")
            .field("args", &self.args.len())
            .field("env", &names)
            .field("file", &file)
            .field("directories", &self.directories)
            .finish()
    }
}

impl Preset {
    fn blank(name: String, kind: Kind) -> Self {
        Self {
            title: name.clone(),
            name,
            kind,
            format: None,
            program: None,
            args: Vec::new(),
            env: BTreeMap::new(),
            modes: Modes::default(),
            health: Vec::new(),
            install: String::new(),
            needs: Vec::new(),
            note: String::new(),
            mcp: Mcp::default(),
            export: Added::default(),
            isolate: Vec::new(),
            starts_at_once: 2,
            first_start_alone: false,
            ways: Ways::default(),
        }
    }

    /// The runtime of a new agent made from it; nothing where its program has to be named first.
    #[must_use]
    pub fn runtime(&self) -> Option<Runtime> {
        let (program, args, env) = (self.program.clone()?, self.args.clone(), self.env.clone());
        let preset = self.name.clone();
        Some(match self.kind {
            Kind::Command => Runtime::Command { program, args, env, terminal: false },
            Kind::Acp => Runtime::Acp { program, args, env, preset },
            Kind::Headless => Runtime::Headless { program, args, env, preset },
        })
    }

    /// What a start adds: the policy's mode, our tools (where it does not get them by ACP), where its
    /// figures go, its place.
    #[must_use]
    pub fn additions(&self, start: &Start<'_>) -> Additions {
        let mut all = Additions::default();
        all.added(self.mode(start.policy), |text| text.to_owned());
        if let Some(tools) = start.tools {
            let path = start.run.join(MCP_FILE);
            let own = tools.url.trim_end_matches("/mcp");
            let fill = |text: &str| {
                text.replace("{mcp_url}", &tools.url)
                    .replace("{otlp_url}", own)
                    .replace("{mcp_token}", &tools.token)
                    .replace("{mcp_file}", &path.display().to_string())
            };
            if self.kind != Kind::Acp {
                all.added(&self.mcp.added, fill);
                all.file = self.mcp.file.as_deref().map(|text| (path.clone(), fill(text)));
            }
            all.export.args.extend(self.export.args.iter().map(|arg| fill(arg)));
            let filled = self.export.env.iter().map(|(name, value)| (name.clone(), fill(value)));
            all.export.env.extend(filled);
        }
        for isolate in self.isolate.iter().filter(|isolate| !isolate.loses_login || start.apart) {
            let Some(data) = start.data else { continue };
            let place = data.join(&isolate.path);
            let directory =
                if isolate.path.ends_with('/') { place.clone() } else { data.to_owned() };
            if !all.directories.contains(&directory) {
                all.directories.push(directory);
            }
            all.env.push((isolate.env.clone(), place.display().to_string()));
        }
        all
    }

    /// What is added for a policy. A program that cannot ask does what needs nobody's answer.
    fn mode(&self, policy: PermissionPolicy) -> &Added {
        let Modes { read_only, ask, unattended } = &self.modes;
        match policy {
            PermissionPolicy::Unattended => unattended,
            PermissionPolicy::ReadOnly => read_only.as_ref().unwrap_or(ask),
            // Nobody looks up what a rule allows for it.
            PermissionPolicy::AllowList if self.kind == Kind::Headless => {
                read_only.as_ref().unwrap_or(ask)
            }
            _ => ask,
        }
    }

    /// Whether such an agent can be kept from more than the policy allows.
    #[must_use]
    pub fn keeps(&self, policy: PermissionPolicy) -> bool {
        let only_reads = matches!(policy, PermissionPolicy::ReadOnly | PermissionPolicy::AllowList);
        let kept = match self.kind {
            Kind::Acp => self.ways.can_be_asked(),
            Kind::Command | Kind::Headless => self.modes.read_only.is_some(),
        };
        !only_reads || kept
    }

    /// Whether such an agent can use our tools.
    #[must_use]
    pub fn takes_tools(&self) -> bool {
        self.kind == Kind::Acp || self.mcp != Mcp::default()
    }
}

impl Additions {
    fn added(&mut self, added: &Added, fill: impl Fn(&str) -> String) {
        self.args.extend(added.args.iter().map(|arg| fill(arg)));
        self.env.extend(added.env.iter().map(|(name, value)| (name.clone(), fill(value))));
    }
}

/// Every preset in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Presets {
    all: Vec<Preset>,
    /// For headless programs that are no preset, one for each form of lines; not listed.
    custom: Vec<Preset>,
    signs: Signs,
}

/// The name of the preset for a headless program of the captain's own whose lines are of this form.
#[must_use]
pub fn custom(format: Format) -> String {
    format!("{CUSTOM}-{}", format.as_str())
}

/// Texts that mean the same whichever agent says them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Signs {
    limit: Vec<String>,
    login: Vec<String>,
}

/// A file of presets.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default)]
    runtime: Vec<Spanned<Entry>>,
    #[serde(default)]
    signs: Signs,
}

/// A preset as it stands in a file: a name, and what it changes.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Entry {
    name: String,
    title: Option<String>,
    kind: Option<Kind>,
    format: Option<Format>,
    program: Option<String>,
    args: Option<Vec<String>>,
    env: Option<BTreeMap<String, String>>,
    read_only_args: Option<Vec<String>>,
    read_only_env: Option<BTreeMap<String, String>>,
    ask_args: Option<Vec<String>>,
    ask_env: Option<BTreeMap<String, String>>,
    unattended_args: Option<Vec<String>>,
    unattended_env: Option<BTreeMap<String, String>>,
    health: Option<Vec<String>>,
    install: Option<String>,
    needs: Option<Vec<String>>,
    note: Option<String>,
    mcp_args: Option<Vec<String>>,
    mcp_env: Option<BTreeMap<String, String>>,
    mcp_file: Option<String>,
    export_args: Option<Vec<String>>,
    export_env: Option<BTreeMap<String, String>>,
    isolate: Option<Vec<Isolate>>,
    starts_at_once: Option<u32>,
    first_start_alone: Option<bool>,
    ways: Option<Ways>,
}

impl Sheet for Presets {
    const FILE: &'static str = FILE;
    const WHAT: &'static str = "presets";

    fn built_in() -> Self {
        Self::built_in()
    }

    fn with(&self, file: Option<&Path>) -> Result<Self, SheetError> {
        self.with(file)
    }
}

impl Presets {
    /// The presets that come with the program.
    ///
    /// # Panics
    /// Never: the text is part of this program, and a test reads it.
    #[must_use]
    pub fn built_in() -> Self {
        static BUILT_IN_PRESETS: LazyLock<Presets> = LazyLock::new(|| {
            let none = Presets::default();
            none.read(Path::new(FILE), BUILT_IN).expect("a test reads the text")
        });
        BUILT_IN_PRESETS.clone()
    }

    /// These, changed by a file; the same where it is not there. An entry changes the fields it
    /// names of the preset with its name (`ways` as a whole), or is a new one.
    ///
    /// # Errors
    /// The file cannot be read, or is not what it should be: its line and field are named. Nothing
    /// of it is taken then.
    pub fn with(&self, file: Option<&Path>) -> Result<Self, SheetError> {
        let Some(path) = file else { return Ok(self.clone()) };
        match sheet::text_of(path)? {
            Some(text) => self.read(path, &text),
            None => Ok(self.clone()),
        }
    }

    /// The preset of that name: a listed one, or the one for headless programs of the captain's own
    /// that print in a known form (see [`custom`]).
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Preset> {
        self.all.iter().chain(&self.custom).find(|preset| preset.name == name)
    }

    /// The ways of an agent made from that preset; the ordinary ones where it is not there any more.
    #[must_use]
    pub fn ways(&self, name: &str) -> Ways {
        self.find(name)
            .map_or_else(|| with_signs(Ways::default(), &self.signs), |it| it.ways.clone())
    }

    /// Every preset, the built-in ones first.
    pub fn iter(&self) -> impl Iterator<Item = &Preset> {
        self.all.iter()
    }

    fn read(&self, path: &Path, text: &str) -> Result<Self, SheetError> {
        let table: Table =
            toml::from_str(text).map_err(|err| SheetError::of_toml(path, text, &err))?;
        let mut all = self.clone();
        check_signs(table.signs.limit.iter().chain(&table.signs.login))
            .map_err(|Wrong(why)| SheetError::form(path, format!("the table 'signs' {why}")))?;
        all.signs.limit.extend(table.signs.limit);
        all.signs.login.extend(table.signs.login);
        if table.runtime.len() > PRESETS_MAX {
            let why = format!("it has more than {PRESETS_MAX} runtimes");
            return Err(SheetError::form(path, why));
        }
        let mut seen = std::collections::BTreeSet::new();
        for entry in table.runtime {
            let line = sheet::line_at(text, entry.span().start);
            let entry = entry.into_inner();
            let name = entry.name.clone();
            let checked = if seen.insert(name.clone()) {
                all.take(entry)
            } else {
                Err("is there twice: put both into one entry".to_owned().into())
            };
            checked.map_err(|Wrong(why)| {
                SheetError::form(path, format!("line {line}: the runtime '{name}' {why}"))
            })?;
        }
        all.custom = Format::ALL.into_iter().map(|format| all.custom_of(format)).collect();
        Ok(all)
    }

    /// What a headless program of the captain's own is, by the form of its lines: who prints like a
    /// known one says what it used like that one.
    fn custom_of(&self, format: Format) -> Preset {
        let known = self.all.iter().find(|preset| preset.format == Some(format));
        let usage = known.map(|known| known.ways.usage.clone()).unwrap_or_default();
        let ways = with_signs(Ways { usage, ..Ways::default() }, &self.signs);
        let name = custom(format);
        let title = format!("Another program that prints {}", format.in_words());
        let kind = Kind::Headless;
        Preset { title, ways, format: Some(format), ..Preset::blank(name, kind) }
    }

    fn take(&mut self, mut entry: Entry) -> Result<(), Wrong> {
        check_name(&entry.name)?;
        if let Some(ways) = &entry.ways {
            check_signs(ways.limit_signs.iter().chain(&ways.login_signs).chain(&ways.error_signs))?;
            let file = ways.session_file.as_ref();
            file.map_or(Ok(()), session_file::check).map_err(|err| Wrong(err.to_string()))?;
        }
        entry.ways = entry.ways.map(|ways| with_signs(ways, &self.signs));
        let at = self.all.iter().position(|preset| preset.name == entry.name);
        let mut preset = match at {
            Some(at) => self.all[at].clone(),
            None => blank(&entry, &self.signs)?,
        };
        entry.change(&mut preset);
        check(&preset)?;
        match at {
            Some(at) => self.all[at] = preset,
            None => self.all.push(preset),
        }
        Ok(())
    }
}

/// What is wrong with an entry, in words that follow its name.
struct Wrong(String);

impl From<String> for Wrong {
    fn from(why: String) -> Self {
        Self(why)
    }
}

fn with_signs(mut ways: Ways, signs: &Signs) -> Ways {
    ways.limit_signs.extend(signs.limit.iter().cloned());
    ways.login_signs.extend(signs.login.iter().cloned());
    ways
}

/// A preset of which only what every one needs is known.
fn blank(entry: &Entry, signs: &Signs) -> Result<Preset, Wrong> {
    let kind = entry
        .kind
        .ok_or_else(|| "has no field 'kind': it is 'acp', 'headless' or 'command'".to_owned())?;
    let ways = with_signs(Ways::default(), signs);
    Ok(Preset { ways, ..Preset::blank(entry.name.clone(), kind) })
}

impl Entry {
    fn change(self, preset: &mut Preset) {
        fn set<T>(place: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *place = value;
            }
        }
        set(&mut preset.title, self.title);
        set(&mut preset.kind, self.kind);
        preset.format = self.format.or(preset.format);
        preset.program = self.program.or_else(|| preset.program.take());
        set(&mut preset.args, self.args);
        set(&mut preset.env, self.env);
        if self.read_only_args.is_some() || self.read_only_env.is_some() {
            let read_only = preset.modes.read_only.get_or_insert_default();
            set(&mut read_only.args, self.read_only_args);
            set(&mut read_only.env, self.read_only_env);
        }
        set(&mut preset.modes.ask.args, self.ask_args);
        set(&mut preset.modes.ask.env, self.ask_env);
        set(&mut preset.modes.unattended.args, self.unattended_args);
        set(&mut preset.modes.unattended.env, self.unattended_env);
        set(&mut preset.health, self.health);
        set(&mut preset.install, self.install);
        set(&mut preset.needs, self.needs);
        set(&mut preset.note, self.note);
        set(&mut preset.mcp.added.args, self.mcp_args);
        set(&mut preset.mcp.added.env, self.mcp_env);
        set(&mut preset.export.args, self.export_args);
        set(&mut preset.export.env, self.export_env);
        preset.mcp.file = self.mcp_file.or_else(|| preset.mcp.file.take());
        set(&mut preset.isolate, self.isolate);
        set(&mut preset.starts_at_once, self.starts_at_once);
        set(&mut preset.first_start_alone, self.first_start_alone);
        set(&mut preset.ways, self.ways);
    }
}

fn check_name(name: &str) -> Result<(), Wrong> {
    let fine = |ch: char| ch.is_ascii_lowercase() || ch.is_ascii_digit() || ch == '-';
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(fine) {
        let rule = "is no name (field 'name'): use small letters, digits and '-', at most 60";
        return Err(rule.to_owned().into());
    }
    Ok(())
}

fn check(preset: &Preset) -> Result<(), Wrong> {
    let wrong = |why: &str| Err(Wrong(why.to_owned()));
    let named = preset.program.as_deref().is_some_and(|program| !program.trim().is_empty());
    if !named && (preset.program.is_some() || preset.name != CUSTOM) {
        return wrong("has no field 'program': name the program it starts");
    }
    if (preset.kind == Kind::Headless) != preset.format.is_some() {
        return wrong(
            "needs the field 'format' where its kind is 'headless', and only there: 'claude', \
             'codex', 'gemini', 'opencode', 'goose', 'copilot', 'chat', 'aider' or 'text'",
        );
    }
    if preset.starts_at_once == 0 {
        return wrong("could never start: its field 'starts_at_once' is 0");
    }
    for isolate in &preset.isolate {
        let path = Path::new(&isolate.path);
        let below = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        if !below || isolate.path.is_empty() || !is_variable(&isolate.env) {
            return wrong(
                "has a field 'isolate' whose 'env' is no variable or whose 'path' leaves the agent's directory",
            );
        }
    }
    let arguments = preset.mcp.added.args.iter().chain(&preset.export.args);
    if arguments.into_iter().any(|arg| arg.contains("{mcp_token}")) {
        return wrong(
            "puts '{mcp_token}' into an argument, where everybody on the machine sees it: put it into a variable",
        );
    }
    let modes = [&preset.modes.ask, &preset.modes.unattended].into_iter();
    let added = modes.chain(&preset.modes.read_only).chain([&preset.mcp.added, &preset.export]);
    let mut names = preset.env.keys().chain(added.flat_map(|added| added.env.keys()));
    if let Some(name) = names.find(|name| !is_variable(name)) {
        return Err(Wrong(format!("sets '{name}', which is no name of a variable (field 'env')")));
    }
    Ok(())
}

fn check_signs<'a>(mut signs: impl Iterator<Item = &'a String>) -> Result<(), Wrong> {
    let wrong = signs.find_map(|sign| Some((sign, regex::Regex::new(sign).err()?)));
    match wrong {
        Some((sign, err)) => {
            Err(Wrong(format!("has a sign that is no regular expression, '{sign}': {err}")))
        }
        None => Ok(()),
    }
}

fn is_variable(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && chars.all(|ch| ch.is_ascii_alphanumeric() || ch == '_')
}
