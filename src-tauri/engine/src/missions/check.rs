//! What a mission would be: everything the captain says of it, checked, and completed from its
//! policy, its template and what was measured before.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use insight::history::{self, Past};
use model::agent::Agent;
use model::gate::{Answerer, GateSpec, Grade};
use model::id::{AgentId, MissionId, SystemDraw};
use model::mission::{
    BACKOFF_S_MAX, Criterion, Estimate, GATES_MAX, LIST_MAX, Mission, RETRIES_MAX,
};
use model::policy::{self, Policy};
use model::refusal::{Code, Refusal};
use model::settings::Settings;
use orchestrator::template::{MissionTemplate, TemplateError};

use super::words::{checked_brief, checked_gates, checked_title, text_lines, too_many_gates};
use super::{invalid, text_line};
use crate::Engine;
use crate::resolve::{self, unreadable};
use crate::twins::{Known, twins_of};
use crate::view::{Filling, GateFrom, GateView, MissionCheck, NewMission, RepositoryView, Similar};

/// The longest estimate, in minutes: a year.
const ESTIMATE_MIN_MAX: u32 = 366 * 24 * 60;
/// The longest name of a mission where it comes from, in characters.
const EXTERNAL_ID_CHARS_MAX: usize = 200;

/// What a new mission is checked against, read once for any number of them.
pub(crate) struct Background {
    pub(crate) settings: Settings,
    pub(crate) policies: Vec<Policy>,
    pub(crate) agents: Vec<Agent>,
    pub(crate) past: Vec<Past<AgentId>>,
    pub(crate) known: Vec<Arc<Known>>,
    /// Repositories that were looked at, by the directory that was named.
    places: Mutex<HashMap<String, RepositoryView>>,
}

/// A mission that could be made.
pub(crate) struct Drafted {
    pub(crate) mission: Mission,
    pub(crate) brief: String,
    policy: Policy,
    policy_because: String,
    gates: Vec<GateView>,
    pub(crate) similar: Vec<Similar>,
    /// What keeps it from being made.
    pub(crate) problems: Vec<Refusal>,
}

impl Drafted {
    /// The mission, unless something keeps it from being made.
    pub(crate) fn sound(self) -> Result<Self, Refusal> {
        match self.problems.first() {
            None => Ok(self),
            Some(first) => Err(first.clone()),
        }
    }
}

impl Engine {
    /// Says what would become of a mission, and makes nothing.
    ///
    /// # Errors
    /// When the ledger cannot be read; what is wrong with the mission is in the answer.
    pub async fn check_mission(&self, new: NewMission) -> Result<MissionCheck, Refusal> {
        let back = self.background().await?;
        let drafted = self.drafted(new, &back, &BTreeMap::new()).await;
        let suggestion = self.suggestion(&drafted.mission, &back).await?;
        Ok(MissionCheck {
            similar: drafted.similar,
            threshold: insight::similar::NEAR,
            needs_review: needs_review(&drafted.mission),
            estimate: drafted.mission.estimate,
            policy: drafted.policy,
            policy_because: drafted.policy_because,
            gates: drafted.gates,
            suggestion,
            problems: drafted.problems.into_iter().map(Into::into).collect(),
        })
    }

    pub(crate) async fn background(&self) -> Result<Background, Refusal> {
        let ledger = &self.0.ledger;
        let (known, past) = self.remembered().await?;
        Ok(Background {
            settings: ledger.settings().await.map_err(unreadable)?,
            policies: self.all_policies().await?,
            agents: ledger.agents().await.map_err(unreadable)?,
            past: past
                .iter()
                .map(|it| Past {
                    agent: it.agent_id,
                    labels: it.labels.clone(),
                    accepted: it.accepted,
                    duration_s: it.seconds,
                    cost_usd: None,
                })
                .collect(),
            known,
            places: Mutex::default(),
        })
    }

    /// What a mission would be, with everything that keeps it from being made. `also` are names of
    /// missions that are only about to be made.
    pub(crate) async fn drafted(
        &self,
        new: NewMission,
        back: &Background,
        also: &BTreeMap<String, MissionId>,
    ) -> Drafted {
        let mut check = Checking::new(self, back, also);
        let new = match new.template.clone() {
            Some(filling) => check.filled(new, &filling).await,
            None => new,
        };
        let title = check.keep(checked_title(&new.title), String::new());
        let now = self.0.clock.now();
        let mut mission = Mission::draft(MissionId::draw(now, &mut SystemDraw), title, now);
        let brief = check.keep(checked_brief(&new.brief), String::new());
        mission.labels = check.keep(text_lines("label", &new.labels), Vec::new());
        mission.skills = check.keep(text_lines("skill", &new.skills), Vec::new());
        let criteria = check.keep(text_lines("criterion", &new.criteria), Vec::new());
        mission.criteria =
            criteria.into_iter().map(|text| Criterion { text, met: false }).collect();
        mission.agent = check.agent(new.agent.as_deref()).await;
        check.place(&mut mission, new.repository.as_deref()).await;
        mission.links = check.links(&new.links, mission.repository.is_some());
        mission.depends_on = check.depends_on(&new.depends_on).await;
        let (policy, policy_because) = check.policy(new.policy.as_deref(), &mission.labels);
        let own = check.keep(checked_gates(&new.gates), Vec::new());
        let gates = check.gates(&policy, own, &mission);
        under(&mut mission, &policy);
        mission.gates = gates.iter().map(|(gate, _)| gate.clone()).collect();
        mission.proof = new.proof.or(mission.proof);
        mission.retries_max = check.retries(new.retries).unwrap_or(policy.retries);
        mission.backoff_s = check.backoff(new.backoff_s).unwrap_or(policy.backoff_s);
        mission.hand_over = new.hand_over.unwrap_or(policy.hand_over);
        mission.priority = new.priority;
        mission.deadline = new.deadline;
        mission.unattended = new.unattended;
        mission.estimate = check.estimate(new.estimate_min, &mission.labels);
        mission.external_id = check.external_id(new.external_id.as_deref());
        let similar = twins_of(&back.known, &mission.title, &brief, None);
        let gates = gates.into_iter().map(|(gate, from)| shown(&gate, from)).collect();
        let problems = check.problems;
        Drafted { mission, brief, policy, policy_because, gates, similar, problems }
    }
}

/// Puts a mission under a policy: its name, its grade, and what follows a failure.
pub(crate) fn under(mission: &mut Mission, policy: &Policy) {
    mission.policy.clone_from(&policy.name);
    mission.proof = (!policy.builtin).then_some(policy.grade);
    mission.retries_max = policy.retries;
    mission.backoff_s = policy.backoff_s;
    mission.hand_over = policy.hand_over;
}

fn shown(gate: &GateSpec, from: GateFrom) -> GateView {
    GateView { line: gate.label(), kind: gate.kind().to_owned(), from }
}

/// Whether somebody's answer is needed before the mission is done.
fn needs_review(mission: &Mission) -> bool {
    let asks = mission.gates.iter().any(|gate| gate.answerer() != Answerer::Engine);
    let provable = mission.gates.iter().map(GateSpec::proves).max().unwrap_or_default();
    asks || mission.grade_needed() > provable.max(Grade::SelfReport)
}

/// Checks one field after the other and keeps what is wrong.
pub(crate) struct Checking<'a> {
    engine: &'a Engine,
    back: &'a Background,
    also: &'a BTreeMap<String, MissionId>,
    pub(crate) problems: Vec<Refusal>,
}

impl<'a> Checking<'a> {
    pub(crate) const fn new(
        engine: &'a Engine,
        back: &'a Background,
        also: &'a BTreeMap<String, MissionId>,
    ) -> Self {
        Self { engine, back, also, problems: Vec::new() }
    }

    /// The value, or what stands in for it where it is refused.
    pub(crate) fn keep<T>(&mut self, checked: Result<T, Refusal>, otherwise: T) -> T {
        checked.unwrap_or_else(|refusal| {
            self.problems.push(refusal);
            otherwise
        })
    }

    pub(crate) async fn agent(&mut self, text: Option<&str>) -> Option<AgentId> {
        let found = resolve::agent(&self.engine.0.ledger, text?).await;
        self.keep(found.map(|agent| Some(agent.id)), None)
    }

    /// Where the mission works, and the branch its work is for.
    pub(crate) async fn place(&mut self, mission: &mut Mission, path: Option<&str>) {
        let known = |path: &str| {
            let places = self.back.places.lock().unwrap_or_else(PoisonError::into_inner);
            places.get(path).cloned()
        };
        let found = match path.map(|path| (path, known(path))) {
            None => Ok(None),
            Some((_, Some(known))) => Ok(Some(known)),
            Some((path, None)) => self.engine.inspect_repository(path).await.map(Some),
        };
        let found = self.keep(found, None);
        if let (Some(path), Some(found)) = (path, &found) {
            let mut places = self.back.places.lock().unwrap_or_else(PoisonError::into_inner);
            places.insert(path.to_owned(), found.clone());
        }
        mission.target = found.as_ref().and_then(|repository| repository.branch.clone());
        mission.repository = found.map(|repository| repository.root);
    }

    pub(crate) fn links(&mut self, links: &[String], repository: bool) -> Vec<String> {
        let links = self.keep(text_lines("link", links), Vec::new());
        let leads_out = |link: &&String| {
            link.starts_with('/') || link.split('/').any(|part| matches!(part, ".." | ".git"))
        };
        if let Some(link) = links.iter().find(leads_out) {
            self.problems.push(
                invalid(format!("'{link}' is not a directory inside of the repository"))
                    .hint("write its path from the repository's root, such as node_modules"),
            );
        } else if !links.is_empty() && !repository {
            self.problems.push(
                invalid("links need a repository")
                    .hint("name the repository whose directories are to be linked"),
            );
        }
        links
    }

    pub(crate) async fn depends_on(&mut self, names: &[String]) -> Vec<MissionId> {
        if names.len() > LIST_MAX {
            let message = format!("{} dependencies are too many", names.len());
            self.problems.push(invalid(message).hint(format!("at most {LIST_MAX}")));
            return Vec::new();
        }
        let mut found = Vec::new();
        for name in names {
            let id = match self.also.get(name) {
                Some(id) => Some(*id),
                None => {
                    let known = resolve::mission(&self.engine.0.ledger, name).await;
                    self.keep(known.map(|(mission, _)| Some(mission.id)), None)
                }
            };
            found.extend(id.filter(|id| !found.contains(id)));
        }
        found
    }

    /// The policy of the mission: the one it names, else that of its labels, else the workspace's.
    pub(crate) fn policy(&mut self, named: Option<&str>, labels: &[String]) -> (Policy, String) {
        let settings = &self.back.settings;
        let by_label =
            settings.policy_of_label.iter().find(|choice| labels.contains(&choice.label));
        let (name, because) = match (named, by_label) {
            (Some(name), _) => (name, "you chose it".to_owned()),
            (None, Some(choice)) => (
                choice.policy.as_str(),
                format!("missions labelled '{}' are under it", choice.label),
            ),
            (None, None) => {
                (settings.policy.as_str(), "it is the policy of this workspace".to_owned())
            }
        };
        let policies = &self.back.policies;
        if let Some(policy) = policies.iter().find(|policy| policy.name == name) {
            return (policy.clone(), because);
        }
        let names = policies.iter().map(|policy| policy.name.clone()).collect();
        self.problems.push(invalid(format!("there is no policy '{name}'")).allowed(names));
        let standard = policies.iter().find(|policy| policy.name == policy::STANDARD);
        let standard = standard.or(policies.first()).cloned();
        (standard.expect("the built-in policies are among them"), because)
    }

    /// The gates of the policy, then the mission's own, each once.
    pub(crate) fn gates(
        &mut self,
        policy: &Policy,
        own: Vec<GateSpec>,
        mission: &Mission,
    ) -> Vec<(GateSpec, GateFrom)> {
        let repository = mission.repository.is_some();
        let fits = |gate: &&GateSpec| repository || !gate.needs_repository();
        let given = policy.gates.iter().filter(fits).cloned().map(|it| (it, GateFrom::Policy));
        let mut gates: Vec<(GateSpec, GateFrom)> = given.collect();
        for gate in own {
            if !repository && gate.needs_repository() {
                let message =
                    format!("the gate '{}' looks at changes and needs a repository", gate.label());
                self.problems
                    .push(invalid(message).hint("name a repository, or leave the gate out"));
            } else if !gates.iter().any(|(known, _)| *known == gate) {
                gates.push((gate, GateFrom::Mission));
            }
        }
        if gates.len() > GATES_MAX {
            self.problems.push(too_many_gates(gates.len()));
        }
        for (gate, _) in &gates {
            self.reviewer(gate, mission.agent);
        }
        gates
    }

    /// A review by an agent there is not, or by the one whose work it is, would be waited for
    /// without end.
    fn reviewer(&mut self, gate: &GateSpec, author: Option<AgentId>) {
        let GateSpec::Reviewer { agent: Some(name) } = gate else {
            return;
        };
        let named = self.back.agents.iter().find(|agent| agent.name.eq_ignore_ascii_case(name));
        let problem = match named {
            None => invalid(format!("the gate '{}' names no agent there is", gate.label()))
                .hint("create that agent first, or name another one, or 'any'")
                .allowed(self.back.agents.iter().map(|agent| agent.name.clone()).collect()),
            Some(agent) if Some(agent.id) == author => {
                invalid(format!("'{}' would review its own work", agent.name))
                    .hint("name another agent in the gate or for the mission, or write 'any'")
            }
            Some(_) => return,
        };
        self.problems.push(problem);
    }

    pub(crate) fn retries(&mut self, given: Option<u32>) -> Option<u32> {
        let too_many = given.filter(|retries| *retries > RETRIES_MAX);
        if let Some(retries) = too_many {
            let message = format!("{retries} retries are too many");
            self.problems.push(invalid(message).hint(format!("at most {RETRIES_MAX}")));
        }
        given
    }

    pub(crate) fn backoff(&mut self, given: Option<u32>) -> Option<u32> {
        if let Some(backoff) = given.filter(|backoff| *backoff > BACKOFF_S_MAX) {
            let message = format!("a pause of {backoff} s before the first retry is too long");
            self.problems.push(invalid(message).hint(format!("at most {BACKOFF_S_MAX} s")));
        }
        given
    }

    /// What the captain says, or else what similar missions took.
    pub(crate) fn estimate(&mut self, minutes: Option<u32>, labels: &[String]) -> Option<Estimate> {
        match minutes {
            Some(minutes) if (1..=ESTIMATE_MIN_MAX).contains(&minutes) => Some(Estimate {
                seconds: u64::from(minutes) * 60,
                samples: None,
                because: "you said so".to_owned(),
            }),
            Some(minutes) => {
                let message = format!("{minutes} min is no estimate");
                self.problems.push(invalid(message).hint("between a minute and a year"));
                None
            }
            None => history::estimate(labels, &self.back.past).map(|found| Estimate {
                seconds: whole_seconds(found.p50_s),
                samples: Some(found.n as u64),
                because: format!("the median of {} {}", found.n, found.of),
            }),
        }
    }

    pub(crate) fn external_id(&mut self, text: Option<&str>) -> Option<String> {
        let checked = text_line("external id", text?, EXTERNAL_ID_CHARS_MAX);
        self.keep(checked.map(Some), None)
    }

    /// The mission with what its template gives, where it does not say so itself.
    async fn filled(&mut self, new: NewMission, filling: &Filling) -> NewMission {
        let found = self.engine.template_named(&filling.name).await;
        let Some(template) = self.keep(found.map(Some), None) else {
            return new;
        };
        let texts = MissionTemplate {
            title: template.title,
            brief: template.brief,
            labels: template.labels,
            skills: template.skills,
            gates: template.gates,
            criteria: Vec::new(),
        };
        let filled = texts.fill(&filling.values).map_err(|err| unfilled(&err));
        let texts = self.keep(filled, MissionTemplate::default());
        let joined = |first: Vec<String>, then: Vec<String>| {
            let mut seen = BTreeSet::new();
            first.into_iter().chain(then).filter(|line| seen.insert(line.clone())).collect()
        };
        let or =
            |given: String, filled: String| if given.trim().is_empty() { filled } else { given };
        NewMission {
            title: or(new.title, texts.title),
            brief: or(new.brief, texts.brief),
            labels: joined(texts.labels, new.labels),
            skills: joined(texts.skills, new.skills),
            gates: joined(texts.gates, new.gates),
            policy: new.policy.or(template.policy),
            repository: new.repository.or(template.repository),
            ..new
        }
    }
}

fn unfilled(err: &TemplateError) -> Refusal {
    let refusal = Refusal::new(Code::InvalidInput, err.to_string()).hint(err.hint());
    match err {
        TemplateError::Values { missing, .. } => refusal.allowed(missing.clone()),
        _ => refusal,
    }
}

/// Seconds without their fraction, at least one.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped before")]
fn whole_seconds(seconds: f64) -> u64 {
    seconds.round().clamp(1.0, 1e12) as u64
}
