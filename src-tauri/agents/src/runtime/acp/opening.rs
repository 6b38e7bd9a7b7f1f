//! The beginning: who the agent is, its session, and the mode it works in.

use jiff::Timestamp;
use model::inbox::PermissionPolicy;
use serde_json::Value;

use super::{AcpDriver, Can, Kept, Phase, Sent, read, wire};
use crate::runtime::ways::Setting;
use crate::runtime::{Happening, Opening};

/// The code of an error that means: log in first.
const AUTH_REQUIRED: i64 = -32000;
/// The code some agents take for the same.
const UNAUTHORIZED: i64 = 401;
/// The most ways to log in that are told.
const LOGINS_MAX: usize = 5;

/// What an agent answered: its result, or the code and the words of its error.
pub(super) type Answered<'a> = Result<&'a Value, (Option<i64>, String)>;

impl AcpDriver {
    pub(super) fn begin(&mut self, opening: Opening, at: Timestamp) {
        let Opening { directory, prompt, messages, tools, session } = opening;
        let kept = Kept { directory, prompt, messages, session, tools: tools.is_some() };
        self.tools = tools;
        self.state.opening = Some(kept);
        self.step(Phase::Hello, at);
        let meta = self.state.judge.ways.client_meta.clone();
        self.ask(Sent::Initialize, |id| wire::initialize(id, &meta));
    }

    fn step(&mut self, phase: Phase, at: Timestamp) {
        self.state.phase = phase;
        self.state.since = Some(at);
    }

    pub(super) fn opening_answered(&mut self, sent: &Sent, answer: Answered<'_>, at: Timestamp) {
        match (sent, answer) {
            (Sent::Setting(_), _) if self.state.phase != Phase::Modes => {}
            (_, _) if matches!(self.state.phase, Phase::Closing | Phase::Over) => {}
            (Sent::Initialize, Ok(result)) => self.greeted(result, at),
            (Sent::New | Sent::Load, Ok(result)) => self.session_began(sent, result, at),
            (Sent::Setting(_), Ok(_)) => self.next_setting(at),
            (Sent::Setting(setting), Err((_, why))) => {
                if self.without_mode(setting, &why, at) {
                    self.next_setting(at);
                }
            }
            (_, Err((code, why))) if self.is_login(code, &why) => {
                let logins = self.state.logins.join("; ");
                let how = if logins.is_empty() { String::new() } else { format!(" ({logins})") };
                self.broken(format!("the agent has to be logged in first: {why}{how}"), true, at);
            }
            (Sent::Load, Err((_, why))) => {
                let text = format!(
                    "The earlier session could not be taken up again: {why}. A new one begins."
                );
                self.state.script.state(&text, true, at, &mut self.out);
                self.new_session(at);
            }
            (_, Err((_, why))) => {
                self.broken(format!("the agent refused to begin: {why}"), false, at)
            }
            (Sent::Prompt | Sent::Close, Ok(_)) => {}
        }
    }

    /// Whether an error means that the agent has to be logged in.
    pub(super) fn is_login(&self, code: Option<i64>, why: &str) -> bool {
        matches!(code, Some(AUTH_REQUIRED | UNAUTHORIZED)) || self.signs.login(why)
    }

    fn greeted(&mut self, result: &Value, at: Timestamp) {
        let is = |pointer: &str| result.pointer(pointer).and_then(Value::as_bool).unwrap_or(false);
        let has = |pointer: &str| {
            result
                .pointer(pointer)
                .is_some_and(|ability| !matches!(ability, Value::Null | Value::Bool(false)))
        };
        self.state.can = Can {
            load: is("/agentCapabilities/loadSession"),
            http: is("/agentCapabilities/mcpCapabilities/http"),
            close: has("/agentCapabilities/sessionCapabilities/close"),
        };
        self.state.agent = result.get("agentInfo").and_then(named);
        self.state.logins = logins(result);
        match result.get("protocolVersion").and_then(Value::as_u64) {
            None | Some(1) => {}
            Some(other) => {
                let text = format!(
                    "The agent answered with version {other} of the protocol instead of 1."
                );
                self.state.script.state(&text, true, at, &mut self.out);
            }
        }
        let Some(kept) = &self.state.opening else { return };
        if kept.tools && !self.state.can.http {
            let text = "The agent cannot reach Hivekeeper's own tools: it does not take servers over HTTP.";
            self.state.script.state(text, true, at, &mut self.out);
        }
        let earlier = self.state.opening.as_ref().and_then(|kept| kept.session.clone());
        match earlier {
            Some(session) if self.state.can.load => self.load_session(&session, at),
            Some(_) => {
                let text = "The agent cannot take up its earlier session again. A new one begins.";
                self.state.script.state(text, false, at, &mut self.out);
                self.new_session(at);
            }
            None => self.new_session(at),
        }
    }

    fn new_session(&mut self, at: Timestamp) {
        self.step(Phase::Session, at);
        let Some(kept) = self.state.opening.clone() else { return };
        let tools = self.tools.clone().filter(|_| self.state.can.http);
        self.ask(Sent::New, |id| wire::new_session(id, &kept.directory, tools.as_ref()));
    }

    fn load_session(&mut self, session: &str, at: Timestamp) {
        self.step(Phase::Session, at);
        let Some(kept) = self.state.opening.clone() else { return };
        let tools = self.tools.clone().filter(|_| self.state.can.http);
        let line = |id| wire::load_session(id, session, &kept.directory, tools.as_ref());
        self.ask(Sent::Load, line);
    }

    fn session_began(&mut self, sent: &Sent, result: &Value, at: Timestamp) {
        let earlier = self.state.opening.as_ref().and_then(|kept| kept.session.clone());
        let earlier = earlier.filter(|_| *sent == Sent::Load);
        let Some(session) = read::text(result, "sessionId").map(str::to_owned).or(earlier) else {
            self.broken("the agent began a session without a name".to_owned(), false, at);
            return;
        };
        if *sent == Sent::Load {
            self.state.script.state("The earlier session goes on.", false, at, &mut self.out);
            self.state.meter.goes_on();
        }
        self.state.session = Some(session.clone());
        let again = self.state.can.load && self.state.judge.ways.loads_after_kill;
        let agent = self.state.agent.clone();
        self.out.tell(Happening::Opened { session: again.then_some(session), agent });
        self.step(Phase::Modes, at);
        let ways = &self.state.judge.ways;
        let wanted = match self.state.policy {
            PermissionPolicy::Unattended => ways.unattended_mode.clone(),
            _ => ways.ask_mode.clone(),
        };
        if !self.knows_how_to_ask(at) {
            return;
        }
        // Who takes an earlier session up again need not say what it offers; what it says to the wish
        // decides.
        let unsaid = *sent == Sent::Load
            && ["modes", "configOptions"]
                .iter()
                .all(|it| result.get(*it).is_none_or(Value::is_null));
        for setting in wanted {
            match offered(result, &setting) {
                Offer::IsSo => {}
                Offer::No if unsaid => self.state.settings.push((setting, false)),
                Offer::As { setting, boolean } => self.state.settings.push((setting, boolean)),
                Offer::No if self.without_mode(&setting, "it offers no such thing", at) => {}
                Offer::No => return,
            }
        }
        self.next_setting(at);
    }

    fn next_setting(&mut self, at: Timestamp) {
        self.state.since = Some(at);
        let session = self.state.session.clone().unwrap_or_default();
        if self.state.settings.is_empty() {
            self.opened(at);
            return;
        }
        let (setting, boolean) = self.state.settings.remove(0);
        let sent = Sent::Setting(setting.clone());
        self.ask(sent, |id| wire::setting(id, &session, &setting, boolean));
    }

    /// Nobody answers to the mode that is being set: the work begins all the same.
    pub(super) fn mode_unanswered(&mut self, at: Timestamp) {
        let awaited = self.state.awaited.values().find_map(|sent| match sent {
            Sent::Setting(setting) => Some(setting.clone()),
            _ => None,
        });
        self.state.awaited.retain(|_, sent| !matches!(sent, Sent::Setting(_)));
        let goes_on =
            awaited.is_none_or(|setting| self.without_mode(&setting, "it never answered", at));
        if goes_on {
            self.next_setting(at);
        }
    }

    /// Whether the work may begin for all that is known of how this agent is made to ask. Nothing else
    /// keeps it from acting.
    fn knows_how_to_ask(&mut self, at: Timestamp) -> bool {
        let policy = self.state.policy;
        if policy == PermissionPolicy::Unattended || self.state.judge.ways.can_be_asked() {
            return true;
        }
        let what = "how such an agent is made to ask before it acts is not known";
        let hint = "say it in runtimes.toml (ways.ask_mode, or ways.asks_by_itself)";
        if matches!(policy, PermissionPolicy::ReadOnly | PermissionPolicy::AllowList) {
            let policy = policy.as_str();
            let why = format!("{what}, so it cannot work with the permissions '{policy}': {hint}");
            self.broken(why, false, at);
            return false;
        }
        if policy == PermissionPolicy::Ask {
            let text = format!("It may act without asking: {what}. To be sure, {hint}.");
            self.state.script.state(&text, true, at, &mut self.out);
        }
        true
    }

    /// The agent is not in the mode it should be in. Gives whether it may work all the same: not where
    /// it would then do what nobody allows.
    fn without_mode(&mut self, setting: &Setting, why: &str, at: Timestamp) -> bool {
        let what = match setting {
            Setting::Mode { mode } => format!("mode {mode}"),
            Setting::Option { option, value } => format!("{option} = {value}"),
        };
        let policy = self.state.policy;
        let must_ask = matches!(
            policy,
            PermissionPolicy::Ask | PermissionPolicy::AllowList | PermissionPolicy::ReadOnly
        );
        if must_ask {
            let why = format!(
                "the agent was not put into {what}: {why}. With the permissions '{}' it does not \
                 work without: choose others, install the version that its preset is for, or \
                 correct ways.ask_mode in runtimes.toml",
                policy.as_str()
            );
            self.broken(why, false, at);
            return false;
        }
        let text = format!(
            "The agent was not put into {what}: {why}. It works in the mode it chose itself."
        );
        self.state.script.state(&text, true, at, &mut self.out);
        true
    }

    /// The session is as it should be: the opening is said.
    fn opened(&mut self, at: Timestamp) {
        self.step(Phase::Ready, at);
        if let Some(kept) = self.state.opening.take()
            && !kept.prompt.is_empty()
        {
            self.open_turn(kept.prompt, kept.messages, at);
        }
    }
}

/// Whether an agent offers a mode or an option.
enum Offer {
    /// It does not.
    No,
    /// It does, under this name; `boolean` where the option is switched on or off.
    As { setting: Setting, boolean: bool },
    /// It is so already.
    IsSo,
}

/// Modes are options of their own kind in some agents; what is offered under either name is taken.
fn offered(session: &Value, setting: &Setting) -> Offer {
    match setting {
        Setting::Mode { mode } => {
            let modes = session.get("modes").unwrap_or(&Value::Null);
            if listed(modes, "availableModes").any(|listed| read::text(listed, "id") == Some(mode))
            {
                if read::text(modes, "currentModeId") == Some(mode) {
                    return Offer::IsSo;
                }
                return Offer::As { setting: setting.clone(), boolean: false };
            }
            let is_choice = |choice: &Value| read::text(choice, "value") == Some(mode);
            let option = listed(session, "configOptions")
                .filter(|option| read::text(option, "category") == Some("mode"))
                .find(|option| listed(option, "options").any(is_choice))
                .and_then(|option| read::text(option, "id"));
            let Some(option) = option else { return Offer::No };
            let (option, value) = (option.to_owned(), mode.clone());
            offered(session, &Setting::Option { option, value })
        }
        Setting::Option { option, value } => {
            let found = listed(session, "configOptions")
                .find(|listed| read::text(listed, "id") == Some(option));
            let Some(found) = found else { return Offer::No };
            if read::text(found, "currentValue") == Some(value) {
                return Offer::IsSo;
            }
            let boolean = read::text(found, "type") == Some("boolean")
                || found.get("currentValue").is_some_and(Value::is_boolean);
            Offer::As { setting: setting.clone(), boolean }
        }
    }
}

fn listed<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn named(info: &Value) -> Option<String> {
    let name = read::title(info, "title").or_else(|| read::title(info, "name"))?;
    Some(match read::title(info, "version") {
        Some(version) => format!("{name} {version}"),
        None => name,
    })
}

fn logins(result: &Value) -> Vec<String> {
    let methods = result.get("authMethods").and_then(Value::as_array).into_iter().flatten();
    methods
        .filter_map(|method| {
            read::title(method, "description").or_else(|| read::title(method, "name"))
        })
        .take(LOGINS_MAX)
        .collect()
}
