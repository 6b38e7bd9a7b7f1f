//! Who may do what: one table of every route with the right it asks for.

use engine::Named;
use http::Method;
use model::token::{TokenArea, TokenRole};

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
            Right::See => matches!(self, Self::Viewer | Self::Operator | Self::Admin),
            Right::Operate => matches!(self, Self::Operator | Self::Admin),
            Right::Administer => matches!(self, Self::Admin),
            Right::Speak => matches!(self, Self::Agent),
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

const SEE: Rule = Rule::Needs(Right::See);
const OPERATE: Rule = Rule::Needs(Right::Operate);
const ADMINISTER: Rule = Rule::Needs(Right::Administer);
const SPEAK: Rule = Rule::Needs(Right::Speak);
const MEASURE: Rule = Rule::Needs(Right::Measure);

/// The doors of protocols that have a description of their own.
pub const PROTOCOLS: &[(Method, &str, Rule)] = &[
    (Method::POST, "/mcp", SPEAK),
    (Method::POST, "/v1/metrics", MEASURE),
    (Method::POST, "/v1/logs", MEASURE),
    (Method::POST, "/v1/traces", MEASURE),
];

/// Says who somebody is; every token may ask that, whatever its scopes are.
pub(crate) const WHO_AM_I: &str = "/api/v1/whoami";

/// Every route of the API. What is not here is never reached.
pub const RULES: &[(Method, &str, Rule)] = &[
    (Method::GET, "/healthz", Rule::Anybody),
    (Method::GET, "/readyz", Rule::Anybody),
    (Method::POST, "/api/v1/login", Rule::Anybody),
    (Method::POST, "/api/v1/login/links", ADMINISTER),
    (Method::GET, WHO_AM_I, SEE),
    (Method::GET, "/api/v1/tokens", ADMINISTER),
    (Method::POST, "/api/v1/tokens", ADMINISTER),
    (Method::DELETE, "/api/v1/tokens/{id}", ADMINISTER),
    (Method::POST, "/api/v1/pairings", ADMINISTER),
    (Method::GET, "/api/v1/openapi.json", SEE),
    (Method::GET, "/api/v1/overview", SEE),
    (Method::GET, "/api/v1/doctor", SEE),
    (Method::GET, "/api/v1/verification", SEE),
    (Method::GET, "/api/v1/agents", SEE),
    (Method::POST, "/api/v1/agents", ADMINISTER),
    (Method::GET, "/api/v1/agents/{id}", SEE),
    (Method::PATCH, "/api/v1/agents/{id}", ADMINISTER),
    (Method::DELETE, "/api/v1/agents/{id}", ADMINISTER),
    (Method::POST, "/api/v1/agents/{id}/pause", OPERATE),
    (Method::POST, "/api/v1/agents/{id}/resume", OPERATE),
    (Method::GET, "/api/v1/agents/{id}/attempts", SEE),
    (Method::POST, "/api/v1/agents/{id}/messages", OPERATE),
    (Method::POST, "/api/v1/broadcasts", OPERATE),
    (Method::GET, "/api/v1/broadcasts/{id}", SEE),
    (Method::GET, "/api/v1/messages", SEE),
    (Method::POST, "/api/v1/messages/{id}/retry", OPERATE),
    (Method::POST, "/api/v1/messages/{id}/discard", OPERATE),
    (Method::GET, "/api/v1/inbox", SEE),
    (Method::GET, "/api/v1/requests", SEE),
    (Method::POST, "/api/v1/requests/{id}/answer", OPERATE),
    (Method::GET, "/api/v1/rules", SEE),
    (Method::POST, "/api/v1/rules", ADMINISTER),
    (Method::DELETE, "/api/v1/rules/{id}", ADMINISTER),
    (Method::GET, "/api/v1/presets", SEE),
    (Method::POST, "/api/v1/presets/{name}/test", ADMINISTER),
    (Method::GET, "/api/v1/supervision", SEE),
    (Method::POST, "/api/v1/commands/check", ADMINISTER),
    (Method::GET, "/api/v1/runtimes", SEE),
    (Method::GET, "/api/v1/repositories", OPERATE),
    (Method::GET, "/api/v1/missions", SEE),
    (Method::POST, "/api/v1/missions", ADMINISTER),
    (Method::GET, "/api/v1/mission-table", SEE),
    (Method::POST, "/api/v1/missions/check", OPERATE),
    (Method::POST, "/api/v1/missions/import", ADMINISTER),
    (Method::GET, "/api/v1/missions/{id}", SEE),
    (Method::PATCH, "/api/v1/missions/{id}", ADMINISTER),
    (Method::DELETE, "/api/v1/missions/{id}", OPERATE),
    (Method::POST, "/api/v1/missions/{id}/queue", OPERATE),
    (Method::POST, "/api/v1/missions/{id}/accept", OPERATE),
    (Method::POST, "/api/v1/missions/{id}/reject", OPERATE),
    (Method::POST, "/api/v1/missions/{id}/pause", OPERATE),
    (Method::POST, "/api/v1/missions/{id}/resume", OPERATE),
    (Method::POST, "/api/v1/missions/{id}/cancel", OPERATE),
    (Method::POST, "/api/v1/missions/{id}/retry", OPERATE),
    (Method::POST, "/api/v1/missions/{id}/send_back", OPERATE),
    (Method::POST, "/api/v1/missions/{id}/assign", OPERATE),
    (Method::GET, "/api/v1/missions/{id}/why", SEE),
    (Method::POST, "/api/v1/missions/{id}/progress", OPERATE),
    (Method::POST, "/api/v1/missions/{id}/ci", OPERATE),
    (Method::GET, "/api/v1/attempt-table", SEE),
    (Method::GET, "/api/v1/attempts/{id}/gates/{index}/output", SEE),
    (Method::GET, "/api/v1/schedule/plan", SEE),
    (Method::POST, "/api/v1/swarm/halt", OPERATE),
    (Method::POST, "/api/v1/swarm/resume", OPERATE),
    (Method::POST, "/api/v1/recovery/restart-failed", OPERATE),
    (Method::POST, "/api/v1/recovery/clear-failed", OPERATE),
    (Method::POST, "/api/v1/recovery/reconcile", OPERATE),
    (Method::GET, "/api/v1/diagnostics", ADMINISTER),
    (Method::GET, "/api/v1/settings", SEE),
    (Method::PUT, "/api/v1/settings", ADMINISTER),
    (Method::GET, "/api/v1/policies", SEE),
    (Method::GET, "/api/v1/policies/{name}", SEE),
    (Method::PUT, "/api/v1/policies/{name}", ADMINISTER),
    (Method::DELETE, "/api/v1/policies/{name}", ADMINISTER),
    (Method::GET, "/api/v1/templates", SEE),
    (Method::GET, "/api/v1/templates/{name}", SEE),
    (Method::PUT, "/api/v1/templates/{name}", ADMINISTER),
    (Method::DELETE, "/api/v1/templates/{name}", ADMINISTER),
    (Method::GET, "/api/v1/topics", SEE),
    (Method::POST, "/api/v1/topics", OPERATE),
    (Method::GET, "/api/v1/topics/{id}", SEE),
    (Method::POST, "/api/v1/topics/{id}/votes", OPERATE),
    (Method::POST, "/api/v1/topics/{id}/close", OPERATE),
    (Method::GET, "/api/v1/attempts/{id}/transcript", SEE),
    (Method::GET, "/api/v1/attempts/{id}/conversation", SEE),
    (Method::GET, "/api/v1/attempts/{id}/conversation/changes", SEE),
    (Method::GET, "/api/v1/conversations/search", SEE),
    (Method::GET, "/api/v1/attempts/{id}/usage", SEE),
    (Method::POST, "/api/v1/attempts/{id}/input", ADMINISTER),
    (Method::POST, "/api/v1/attempts/{id}/resize", OPERATE),
    (Method::POST, "/api/v1/attempts/{id}/cancel-turn", OPERATE),
    (Method::GET, "/api/v1/missions/{id}/review", SEE),
    (Method::GET, "/api/v1/attempts/{id}/diff", SEE),
    (Method::GET, "/api/v1/radar", SEE),
    (Method::GET, "/api/v1/missions/{id}/checkpoints", SEE),
    (Method::POST, "/api/v1/missions/{id}/checkpoints", OPERATE),
    (Method::POST, "/api/v1/checkpoints/{id}/restore", OPERATE),
    (Method::POST, "/api/v1/scan", ADMINISTER),
    (Method::GET, "/api/v1/worktrees", SEE),
    (Method::POST, "/api/v1/worktrees/clean", OPERATE),
    (Method::GET, "/api/v1/trash", SEE),
    (Method::POST, "/api/v1/trash/{id}/restore", OPERATE),
    (Method::DELETE, "/api/v1/trash/{id}", ADMINISTER),
    (Method::GET, "/api/v1/events", SEE),
    (Method::GET, "/api/v1/live", SEE),
    (Method::GET, "/api/v1/live/schema.json", SEE),
    (Method::GET, "/api/v1/devlogs", SEE),
    (Method::GET, "/api/v1/devlogs/{id}", SEE),
    (Method::GET, "/api/v1/devlogs/{id}/export", SEE),
    (Method::GET, "/api/v1/reports/mission/{id}", SEE),
    (Method::GET, "/api/v1/reports/day/{day}", SEE),
    (Method::GET, "/api/v1/signals", SEE),
    (Method::GET, "/api/v1/signals/range", SEE),
    (Method::POST, "/api/v1/demo", ADMINISTER),
    (Method::DELETE, "/api/v1/demo", ADMINISTER),
    (Method::POST, "/api/v1/window/focus", OPERATE),
];

/// The part of the API that a path belongs to; nothing where it belongs to none.
#[must_use]
pub fn area_of(path: &str) -> Option<TokenArea> {
    let Some(path) = path.strip_prefix("/api/v1/") else {
        return path.starts_with("/v1/").then_some(TokenArea::Signals);
    };
    let mut parts = path.split('/');
    let (noun, verb) = (parts.next()?, parts.nth(1));
    Some(match (noun, verb) {
        ("agents", Some("messages")) => TokenArea::Talk,
        ("overview" | "schedule" | "swarm" | "recovery", _) => TokenArea::Swarm,
        ("agents" | "presets" | "supervision" | "commands" | "runtimes" | "repositories", _) => {
            TokenArea::Agents
        }
        ("missions" | "mission-table" | "attempts" | "attempt-table" | "conversations", _)
        | ("radar" | "checkpoints" | "scan" | "worktrees" | "trash", _) => TokenArea::Missions,
        ("broadcasts" | "messages" | "inbox" | "requests" | "rules" | "topics", _) => {
            TokenArea::Talk
        }
        ("settings" | "policies" | "templates", _) => TokenArea::Rules,
        ("devlogs" | "reports", _) => TokenArea::Journal,
        ("signals", _) => TokenArea::Signals,
        ("events" | "live", _) => TokenArea::Events,
        ("login" | "tokens" | "pairings" | "whoami" | "openapi.json" | "doctor", _)
        | ("verification" | "diagnostics" | "demo" | "window", _) => TokenArea::House,
        _ => return None,
    })
}

/// The one thing a path is about; nothing where it is about several, or about the whole.
#[must_use]
pub fn object_of(path: &str) -> Option<Named<'_>> {
    let mut parts = path.strip_prefix("/api/v1/")?.split('/');
    let (noun, name) = (parts.next()?, parts.next()?);
    match noun {
        "agents" => Some(Named::Agent(name)),
        "missions" if !matches!(name, "check" | "import") => Some(Named::Mission(name)),
        "reports" if name == "mission" => parts.next().map(Named::Mission),
        "attempts" => Some(Named::Attempt(name)),
        "messages" => Some(Named::Message(name)),
        "requests" => Some(Named::Request(name)),
        "devlogs" => Some(Named::Devlog(name)),
        _ => None,
    }
}

/// Looks a request up in the table. `HEAD` is judged as `GET`.
#[must_use]
pub fn look_up(method: &Method, path: &str) -> Verdict {
    let method = if method == Method::HEAD { &Method::GET } else { method };
    let mut others = Vec::new();
    for (allowed, template, rule) in RULES.iter().chain(PROTOCOLS) {
        if !fits(template, path) {
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
        let rights = [Right::See, Right::Operate, Right::Administer, Right::Speak, Right::Measure];
        let check = |role: Role, expected: [bool; 5]| {
            assert_eq!(rights.map(|right| role.may(right)), expected, "{role:?}");
        };
        check(Role::Agent, [false, false, false, true, true]);
        check(Role::Worker, [false, false, false, false, false]);
        check(Role::Viewer, [true, false, false, false, false]);
        check(Role::Operator, [true, true, false, false, false]);
        check(Role::Admin, [true, true, true, false, true]);
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
        assert_eq!(object_of("/api/v1/agents/ann/pause"), Some(Named::Agent("ann")));
        assert_eq!(object_of("/api/v1/missions/M-7K2P"), Some(Named::Mission("M-7K2P")));
        assert_eq!(object_of("/api/v1/missions/import"), None);
        assert_eq!(object_of("/api/v1/reports/mission/x"), Some(Named::Mission("x")));
        assert_eq!(object_of("/api/v1/reports/day/x"), None);
        assert_eq!(object_of("/api/v1/agents"), None);
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
    }
}
