//! Who may do what: one table of every route with the right it asks for.

mod table;

use std::borrow::Cow;

use engine::Named;
use http::Method;
use model::token::{TokenArea, TokenRole};

pub use table::RULES;

/// Who somebody is to this engine: the captain's token and logins are [`Role::Admin`], attempts are
/// [`Role::Agent`], and an access token says itself what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// An agent at work; speaks only through the tools made for it.
    Agent,
    /// A machine that lends its agents.
    Worker,
    /// Sees everything, changes nothing.
    Viewer,
    /// Works with agents and missions.
    Operator,
    /// The captain.
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] =
        [Self::Agent, Self::Worker, Self::Viewer, Self::Operator, Self::Admin];

    /// The word used in interfaces.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Worker => "worker",
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// Whether the role has a right.
    #[must_use]
    pub const fn may(self, right: Right) -> bool {
        match right {
            Right::Know => !matches!(self, Self::Agent),
            Right::See => matches!(self, Self::Viewer | Self::Operator | Self::Admin),
            Right::Operate => matches!(self, Self::Operator | Self::Admin),
            Right::Administer => matches!(self, Self::Admin),
            Right::Speak => matches!(self, Self::Agent),
            Right::Lend => matches!(self, Self::Worker | Self::Operator | Self::Admin),
            Right::Measure => matches!(self, Self::Agent | Self::Admin),
        }
    }
}

impl From<TokenRole> for Role {
    fn from(role: TokenRole) -> Self {
        match role {
            TokenRole::Worker => Self::Worker,
            TokenRole::Viewer => Self::Viewer,
            TokenRole::Operator => Self::Operator,
            TokenRole::Admin => Self::Admin,
        }
    }
}

/// What a route asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Right {
    /// To ask who one is, and to leave.
    Know,
    /// To read.
    See,
    /// To work with agents and missions.
    Operate,
    /// To decide what runs on this machine and who gets in.
    Administer,
    /// To use the tools of an agent at work, in its own name.
    Speak,
    /// To deliver figures.
    Measure,
    /// To lend an agent that runs elsewhere: to register it, and to speak as one.
    Lend,
}

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// Anybody on this machine.
    Anybody,
    /// Who has this right.
    Needs(Right),
}

/// What the table says about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The route exists and has this rule.
    Rule(Rule),
    /// The path exists, but takes only these methods.
    OtherMethods(String),
    /// No such path.
    Unknown,
}

const KNOW: Rule = Rule::Needs(Right::Know);
const SEE: Rule = Rule::Needs(Right::See);
const OPERATE: Rule = Rule::Needs(Right::Operate);
const ADMINISTER: Rule = Rule::Needs(Right::Administer);
const SPEAK: Rule = Rule::Needs(Right::Speak);
const MEASURE: Rule = Rule::Needs(Right::Measure);
const LEND: Rule = Rule::Needs(Right::Lend);

/// The doors of protocols that have a description of their own.
pub const PROTOCOLS: &[(Method, &str, Rule)] = &[
    (Method::POST, "/mcp", SPEAK),
    (Method::POST, "/v1/metrics", MEASURE),
    (Method::POST, "/v1/logs", MEASURE),
    (Method::POST, "/v1/traces", MEASURE),
];

/// Says who somebody is; every token may ask that, whatever its scopes are.
pub(crate) const WHO_AM_I: &str = "/api/v1/whoami";
/// Signs a browser out; every login may do that, whatever its scopes are.
pub(crate) const LOG_OUT: &str = "/api/v1/logout";

/// Registers an agent that runs elsewhere; what it says of itself is below.
const ATTACHED: &str = "/api/v1/attached";

/// Whether a path is one of those where a token of an agent that runs elsewhere speaks for that agent
/// alone, so that nothing else has to be named.
pub(crate) fn is_attached(path: &str) -> bool {
    path.strip_prefix(ATTACHED).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The part of the API that a path belongs to; nothing where it belongs to none.
#[must_use]
pub fn area_of(path: &str) -> Option<TokenArea> {
    let Some(path) = path.strip_prefix("/api/v1/") else {
        let figures = path.starts_with("/v1/") || path == crate::METRICS;
        return figures.then_some(TokenArea::Signals);
    };
    let mut parts = path.split('/');
    let (noun, verb) = (parts.next()?, parts.nth(1));
    Some(match (noun, verb) {
        ("agents", Some("messages")) => TokenArea::Talk,
        ("overview" | "schedule" | "swarm" | "recovery", _) => TokenArea::Swarm,
        ("attached" | "efficiency", _) => TokenArea::Agents,
        ("agents" | "presets" | "supervision" | "commands" | "runtimes" | "repositories", _) => {
            TokenArea::Agents
        }
        ("missions" | "mission-table" | "attempts" | "attempt-table" | "conversations", _)
        | ("radar" | "checkpoints" | "scan" | "worktrees" | "trash", _) => TokenArea::Missions,
        ("broadcasts" | "messages" | "inbox" | "requests" | "rules" | "topics", _) => {
            TokenArea::Talk
        }
        ("settings" | "policies" | "templates" | "hooks", _) => TokenArea::Rules,
        ("secrets" | "backups" | "log", _) => TokenArea::House,
        ("devlogs" | "reports", _) => TokenArea::Journal,
        ("signals" | "health", _) => TokenArea::Signals,
        ("events" | "live", _) => TokenArea::Events,
        ("login" | "logout" | "logins", _) => TokenArea::House,
        ("about" | "tokens" | "pairings" | "whoami" | "openapi.json" | "doctor", _)
        | ("verification" | "diagnostics" | "demo" | "window", _) => TokenArea::House,
        _ => return None,
    })
}

/// The one thing a path is about, as its handler will read its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object<'p> {
    noun: Noun,
    name: Cow<'p, str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Noun {
    Agent,
    Mission,
    Attempt,
    Message,
    Request,
    Devlog,
}

impl Object<'_> {
    /// The thing, to be looked up.
    #[must_use]
    pub fn named(&self) -> Named<'_> {
        match self.noun {
            Noun::Agent => Named::Agent(&self.name),
            Noun::Mission => Named::Mission(&self.name),
            Noun::Attempt => Named::Attempt(&self.name),
            Noun::Message => Named::Message(&self.name),
            Noun::Request => Named::Request(&self.name),
            Noun::Devlog => Named::Devlog(&self.name),
        }
    }
}

/// The one thing a path is about; nothing where it is about several, or about the whole.
#[must_use]
pub fn object_of(path: &str) -> Option<Object<'_>> {
    let mut parts = path.strip_prefix("/api/v1/")?.split('/');
    let (place, mut name) = (parts.next()?, parts.next()?);
    let noun = match place {
        "agents" => Noun::Agent,
        "missions" if !matches!(name, "check" | "import") => Noun::Mission,
        "reports" if name == "mission" => {
            name = parts.next()?;
            Noun::Mission
        }
        "attempts" => Noun::Attempt,
        "messages" => Noun::Message,
        "requests" => Noun::Request,
        "devlogs" => Noun::Devlog,
        _ => return None,
    };
    Some(Object { noun, name: decoded(name) })
}

/// A part of a path as it is meant; what is not written as it has to be stays as it is, and is found
/// nowhere.
fn decoded(part: &str) -> Cow<'_, str> {
    if !part.contains('%') {
        return Cow::Borrowed(part);
    }
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let byte = match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                rest = after;
                let digit = |byte: u8| char::from(byte).to_digit(16);
                digit(*high).zip(digit(*low)).and_then(|(h, l)| u8::try_from(h * 16 + l).ok())
            }
            (b'%', _) => None,
            (byte, after) => {
                rest = after;
                Some(*byte)
            }
        };
        match byte {
            Some(byte) => bytes.push(byte),
            None => return Cow::Borrowed(part),
        }
    }
    String::from_utf8(bytes).map_or(Cow::Borrowed(part), Cow::Owned)
}

/// Looks a request up in the table. `HEAD` is judged as `GET`.
#[must_use]
pub fn look_up(method: &Method, path: &str) -> Verdict {
    let method = if method == Method::HEAD { &Method::GET } else { method };
    let mut others = Vec::new();
    // A path that is written out is that one, and not a name in the place of another.
    let written_out = RULES.iter().any(|(_, template, _)| *template == path);
    for (allowed, template, rule) in RULES.iter().chain(PROTOCOLS) {
        if !fits(template, path) || (written_out && *template != path) {
            continue;
        }
        if allowed == method {
            return Verdict::Rule(*rule);
        }
        others.push(allowed.as_str());
    }
    if others.is_empty() { Verdict::Unknown } else { Verdict::OtherMethods(others.join(", ")) }
}

/// Whether a path is one of those a template describes.
fn fits(template: &str, path: &str) -> bool {
    let mut parts = path.split('/');
    for wanted in template.split('/') {
        match parts.next() {
            Some(part) if wanted.starts_with('{') && !part.is_empty() => {}
            Some(part) if part == wanted => {}
            _ => return false,
        }
    }
    parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_table_and_the_description_name_the_same_routes() {
        let described: BTreeSet<String> = crate::openapi::description()
            .paths
            .paths
            .iter()
            .flat_map(|(path, item)| {
                [
                    ("GET", item.get.is_some()),
                    ("POST", item.post.is_some()),
                    ("PUT", item.put.is_some()),
                    ("PATCH", item.patch.is_some()),
                    ("DELETE", item.delete.is_some()),
                ]
                .into_iter()
                .filter(|(_, there)| *there)
                .map(|(method, _)| format!("{method} {path}"))
                .collect::<Vec<_>>()
            })
            .collect();
        let ruled: BTreeSet<String> =
            RULES.iter().map(|(method, path, _)| format!("{method} {path}")).collect();
        assert_eq!(described, ruled);
    }

    #[test]
    fn every_role_has_exactly_the_rights_of_its_station() {
        let rights = [
            Right::Know,
            Right::See,
            Right::Operate,
            Right::Administer,
            Right::Speak,
            Right::Measure,
            Right::Lend,
        ];
        let check = |role: Role, expected: [bool; 7]| {
            assert_eq!(rights.map(|right| role.may(right)), expected, "{role:?}");
        };
        check(Role::Agent, [false, false, false, false, true, true, false]);
        check(Role::Worker, [true, false, false, false, false, false, true]);
        check(Role::Viewer, [true, true, false, false, false, false, false]);
        check(Role::Operator, [true, true, true, false, false, false, true]);
        check(Role::Admin, [true, true, true, true, false, true, true]);
    }

    #[test]
    fn an_agent_may_use_its_tools_and_deliver_figures_and_nothing_else_of_every_route() {
        for (method, path, rule) in RULES.iter().chain(PROTOCOLS) {
            let open = match rule {
                Rule::Anybody => continue,
                Rule::Needs(right) => Role::Agent.may(*right),
            };
            let own = ["/mcp", "/v1/metrics", "/v1/logs", "/v1/traces"].contains(path);
            assert_eq!(open, own, "{method} {path}");
        }
        let speaks = |role: &Role| role.may(Right::Speak);
        assert_eq!(Role::ALL.into_iter().filter(speaks).collect::<Vec<_>>(), [Role::Agent]);
    }

    #[test]
    fn what_decides_what_runs_on_this_machine_or_leaves_it_is_the_captains_alone() {
        let check = |method: Method, path: &str| {
            let rule = look_up(&method, path);
            assert_eq!(rule, Verdict::Rule(Rule::Needs(Right::Administer)), "{method} {path}");
        };
        check(Method::POST, "/api/v1/agents");
        check(Method::POST, "/api/v1/missions");
        check(Method::POST, "/api/v1/missions/import");
        check(Method::PATCH, "/api/v1/missions/M-7K2P");
        check(Method::POST, "/api/v1/demo");
        check(Method::PUT, "/api/v1/settings");
        check(Method::POST, "/api/v1/settings/rollback");
        check(Method::POST, "/api/v1/settings/import");
        check(Method::POST, "/api/v1/hooks");
        check(Method::PATCH, "/api/v1/hooks/x");
        check(Method::POST, "/api/v1/hooks/x/test");
        check(Method::PUT, "/api/v1/secrets/db");
        check(Method::GET, "/api/v1/log");
        check(Method::PUT, "/api/v1/policies/docs");
        check(Method::DELETE, "/api/v1/policies/docs");
        check(Method::PUT, "/api/v1/templates/port");
        check(Method::GET, "/api/v1/diagnostics");
        // A permission that is given runs something, and so does what is typed.
        check(Method::PATCH, "/api/v1/agents/ann");
        check(Method::POST, "/api/v1/rules");
        check(Method::DELETE, "/api/v1/rules/x");
        check(Method::POST, "/api/v1/presets/goose/test");
        check(Method::POST, "/api/v1/attempts/x/input");
        // Who gets in is decided by the captain, and is seen by nobody else.
        check(Method::GET, "/api/v1/tokens");
        check(Method::POST, "/api/v1/tokens");
        check(Method::DELETE, "/api/v1/tokens/x");
        check(Method::POST, "/api/v1/pairings");
        check(Method::POST, "/api/v1/login/links");
        check(Method::GET, "/api/v1/logins");
        check(Method::DELETE, "/api/v1/logins/x");
        // Whoever works with the swarm can stop it and say something to it.
        for path in [
            "/api/v1/swarm/halt",
            "/api/v1/swarm/resume",
            "/api/v1/attempts/x/cancel-turn",
            "/api/v1/agents/ann/messages",
            // An answer to one question; a rule for those to come is refused by its handler.
            "/api/v1/requests/x/answer",
        ] {
            assert_eq!(look_up(&Method::POST, path), Verdict::Rule(OPERATE), "{path}");
        }
    }

    #[test]
    fn every_route_belongs_to_an_area_and_those_of_one_thing_name_it() {
        for (method, template, rule) in RULES.iter().chain(PROTOCOLS) {
            if *rule == Rule::Anybody || *template == "/mcp" {
                continue;
            }
            assert!(area_of(template).is_some(), "{method} {template}");
        }
        assert_eq!(area_of("/api/v1/agents/ann/messages"), Some(TokenArea::Talk));
        assert_eq!(area_of("/api/v1/agents/ann/pause"), Some(TokenArea::Agents));
        assert_eq!(area_of("/api/v1/nope"), None);
        assert_eq!(area_of("/mcp"), None);
        let check = |path: &str, expected: Option<Named<'_>>| {
            let object = object_of(path);
            assert_eq!(object.as_ref().map(Object::named), expected, "{path}");
        };
        check("/api/v1/agents/ann/pause", Some(Named::Agent("ann")));
        check("/api/v1/missions/M-7K2P", Some(Named::Mission("M-7K2P")));
        check("/api/v1/missions/import", None);
        check("/api/v1/reports/mission/x", Some(Named::Mission("x")));
        check("/api/v1/reports/day/x", None);
        check("/api/v1/agents", None);
        // A name means here what it means to its handler, however it is written.
        check("/api/v1/agents/%61n%6E", Some(Named::Agent("ann")));
        check("/api/v1/agents/J%C3%BCrgen%20B", Some(Named::Agent("Jürgen B")));
        check("/api/v1/agents/a%2Fb/pause", Some(Named::Agent("a/b")));
        check("/api/v1/agents/100%/pause", Some(Named::Agent("100%")));
        check("/api/v1/agents/%ff", Some(Named::Agent("%ff")));
        check("/api/v1/agents/%+1", Some(Named::Agent("%+1")));
    }

    proptest::proptest! {
        #[test]
        fn no_path_panics_and_what_is_written_for_a_path_is_read_back(name: String) {
            let _ = object_of(&name);
            let written: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
            proptest::prop_assert_eq!(decoded(&written), name.as_str());
            let _ = decoded(&name);
        }
    }

    #[test]
    fn a_request_outside_of_the_table_is_unknown_or_has_the_wrong_method() {
        let check = |method: Method, path: &str, expected: Verdict| {
            assert_eq!(look_up(&method, path), expected, "{method} {path}");
        };
        check(Method::GET, "/api/v1/agents/a", Verdict::Rule(SEE));
        check(Method::HEAD, "/api/v1/agents/a", Verdict::Rule(SEE));
        check(Method::GET, "/api/v1/agents/", Verdict::Unknown);
        check(Method::GET, "/api/v1/agents//pause", Verdict::Unknown);
        check(Method::GET, "/api/v1/agents/a/b", Verdict::Unknown);
        check(Method::GET, "/api/v2/agents", Verdict::Unknown);
        check(Method::PUT, "/api/v1/agents", Verdict::OtherMethods("GET, POST".into()));
        check(Method::OPTIONS, "/api/v1/missions/x/queue", Verdict::OtherMethods("POST".into()));
        check(Method::OPTIONS, "/api/v1/missions/check", Verdict::OtherMethods("POST".into()));
        check(Method::GET, "/api/v1/missions/import", Verdict::OtherMethods("POST".into()));
    }
}
