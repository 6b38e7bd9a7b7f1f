//! Permissions: who answers what an agent asks, how dangerous it looks, and what *always* would mean.
//!
//! Nothing is remembered and nobody is asked here. Looks at the file system only to see where paths
//! lead. A rule of the captain is no wall: what an agent must not reach is kept from it by a sandbox.
//!
//! Invariants: a rule that forbids wins over one that allows, however narrow either is; a request is
//! allowed only when each of its parts is.

mod options;
mod parts;
mod pattern;
mod places;
mod risk;
mod shell;
mod suggest;
mod within;

use std::path::Path;

use model::id::{AgentId, MissionId};
use model::inbox::{PermissionAsk, PermissionPolicy, Risk, RiskLevel, Rule, Scope};

use self::parts::Part;
use self::places::{Place, is_secret};
use crate::runtime::Wanted;

pub use self::pattern::{PATTERN_BYTES_MAX, Pattern, PatternError};
pub use self::risk::risk;
pub(crate) use self::shell::quoted;
pub use self::suggest::pattern;

/// Who asks, and where it works.
#[derive(Debug, Clone, Copy)]
pub struct Who<'a> {
    /// Its mission.
    pub mission_id: MissionId,
    /// The agent.
    pub agent_id: AgentId,
    /// Where it works.
    pub worktree: &'a Path,
}

/// A request as the captain sees it: with what it can do at worst, and what *always* would allow.
#[must_use]
pub fn assess(wanted: Wanted, worktree: &Path) -> PermissionAsk {
    let agent_remembers = wanted.agent_remembers;
    let Wanted { title, tool, name, command, directory, changes, places, input, why, .. } = wanted;
    let unjudged = Risk { level: RiskLevel::Low, reasons: Vec::new() };
    let mut ask = PermissionAsk {
        title,
        tool,
        name,
        command,
        directory,
        changes,
        places,
        input,
        why,
        risk: unjudged,
        pattern: String::new(),
        agent_remembers,
    };
    ask.risk = risk(&ask, worktree);
    ask.pattern = pattern(&ask, worktree);
    ask
}

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is allowed.
    Allow {
        /// Why, in words a person reads.
        because: String,
    },
    /// It is denied.
    Deny {
        /// Why, in words a person and the agent read.
        because: String,
    },
    /// The captain decides.
    Ask,
}

/// Answers a request by the agent's policy and the captain's rules, or leaves it to the captain.
///
/// A rule that forbids holds under every policy. Rules that allow hold under every policy but *read
/// only*. Our own tools are always allowed.
#[must_use]
pub fn judge(
    policy: PermissionPolicy,
    rules: &[Rule],
    ask: &PermissionAsk,
    who: Who<'_>,
) -> Verdict {
    let parts = parts::of(ask, who.worktree);
    let mut allowing = Vec::new();
    for rule in rules.iter().filter(|rule| reaches(rule, who)) {
        match (Pattern::parse(&rule.pattern), rule.allow) {
            (Ok(pattern), true) => allowing.push((rule, pattern)),
            (Ok(pattern), false) => {
                if parts.iter().any(|part| pattern.hits(part, ask)) {
                    return deny(format!("the rule '{}' forbids it", rule.pattern));
                }
            }
            (Err(_), true) => {}
            // What it was meant to forbid is not known any more.
            (Err(why), false) => {
                return deny(format!("a rule that forbids cannot be read, correct it: {why}"));
            }
        }
    }
    if policy == PermissionPolicy::Unattended {
        return allow("this agent works unattended".to_owned());
    }
    let mut because = Vec::new();
    for part in parts.iter().filter(|part| !matches!(part, Part::Within(_))) {
        let rule = allowing.iter().find(|(_, pattern)| pattern.covers(part, ask));
        let why = match (policy, part, rule) {
            (_, Part::Own, _) => Some("it is one of our own tools".to_owned()),
            (PermissionPolicy::ReadOnly, part, _) => by_policy(policy, part),
            (_, _, Some((rule, _))) => Some(format!("the rule '{}' allows it", rule.pattern)),
            (_, part, None) => by_policy(policy, part),
        };
        match why {
            Some(why) if because.contains(&why) => {}
            Some(why) => because.push(why),
            None => return otherwise(policy),
        }
    }
    allow(because.join("; "))
}

fn allow(because: String) -> Verdict {
    Verdict::Allow { because }
}

fn deny(because: String) -> Verdict {
    Verdict::Deny { because }
}

fn reaches(rule: &Rule, who: Who<'_>) -> bool {
    match rule.scope {
        Scope::Mission { id } => id == who.mission_id,
        Scope::Agent { id } => id == who.agent_id,
        Scope::Workspace => true,
    }
}

/// What a policy allows by itself. Files with credentials are never among it.
fn by_policy(policy: PermissionPolicy, part: &Part) -> Option<String> {
    let reads = matches!(policy, PermissionPolicy::AutoInWorktree | PermissionPolicy::ReadOnly);
    let edits = policy == PermissionPolicy::AutoInWorktree;
    match part {
        Part::Read { path: None, .. } if reads => Some("reading is allowed".to_owned()),
        Part::Read { path: Some(path), place } if reads => {
            let known = matches!(place, Place::Inside(_) | Place::Outside(_));
            let secret = is_secret(path) || leads_to_secret(place);
            (known && !secret).then(|| "reading is allowed".to_owned())
        }
        Part::Write { place: Place::Inside(_), .. } if edits => {
            Some("changes inside of its worktree are allowed".to_owned())
        }
        _ => None,
    }
}

fn leads_to_secret(place: &Place) -> bool {
    match place {
        Place::Inside(path) | Place::Outside(path) => is_secret(&path.to_string_lossy()),
        Place::Git | Place::Unknown => false,
    }
}

fn otherwise(policy: PermissionPolicy) -> Verdict {
    match policy {
        PermissionPolicy::ReadOnly => deny("this agent may only read".to_owned()),
        PermissionPolicy::AllowList => {
            deny("this agent may do only what a rule allows, and none does".to_owned())
        }
        _ => Verdict::Ask,
    }
}
