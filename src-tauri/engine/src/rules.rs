//! What the captain decides once for all missions: settings, policies and templates.

use model::gate::GateSpec;
use model::mission::{BACKOFF_S_MAX, GATES_MAX, RETRIES_MAX};
use model::policy::{self, POLICIES_MAX, Policy};
use model::refusal::{Code, Refusal};
use model::settings::{Settings, Template};
use orchestrator::Input;
use orchestrator::template::MissionTemplate;

use crate::missions::{invalid, text_line};
use crate::resolve::unreadable;
use crate::view::{Listing, PlaceView, TemplateView};
use crate::{Caller, Engine};

/// The longest line that says what something is for, in characters.
const ABOUT_CHARS_MAX: usize = 300;
/// The most templates of one workspace.
pub(crate) const TEMPLATES_MAX: usize = 500;
/// The most labels that have a policy of their own.
const LABEL_POLICIES_MAX: usize = 100;

impl Engine {
    /// The settings of the workspace.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn settings(&self) -> Result<Settings, Refusal> {
        self.0.ledger.settings().await.map_err(unreadable)
    }

    /// Changes the settings of the workspace.
    ///
    /// # Errors
    /// When a value is out of bounds, or names a policy that is not there; nothing is changed then.
    pub async fn configure(
        &self,
        caller: &Caller,
        settings: Settings,
    ) -> Result<Settings, Refusal> {
        let names = self.all_policies().await?.into_iter().map(|policy| policy.name).collect();
        checked_settings(&settings, names)?;
        self.tell(caller, Input::Configure(settings)).await?;
        self.settings().await
    }

    /// The policies that come with the program, then the captain's own by name.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn policies(&self) -> Result<Listing<Policy>, Refusal> {
        Ok(Listing { items: self.all_policies().await?, next: None })
    }

    pub(crate) async fn all_policies(&self) -> Result<Vec<Policy>, Refusal> {
        let mut all = policy::builtin();
        all.extend(self.0.ledger.policies().await.map_err(unreadable)?);
        Ok(all)
    }

    /// One policy.
    ///
    /// # Errors
    /// When there is none by that name.
    pub async fn policy(&self, name: &str) -> Result<Policy, Refusal> {
        let all = self.all_policies().await?;
        let names = all.iter().map(|policy| policy.name.clone()).collect();
        all.into_iter().find(|policy| policy.name == name).ok_or_else(|| {
            Refusal::new(Code::NotFound, format!("there is no policy '{name}'")).allowed(names)
        })
    }

    /// Creates or changes a policy. Missions that are there keep the gates they have.
    ///
    /// # Errors
    /// When it is one that comes with the program, or something is out of bounds.
    pub async fn save_policy(
        &self,
        caller: &Caller,
        name: &str,
        policy: Policy,
    ) -> Result<Policy, Refusal> {
        same_name(name, &policy.name)?;
        let policy = checked_policy(policy)?;
        let own = self.0.ledger.policies().await.map_err(unreadable)?;
        if own.len() >= POLICIES_MAX && !own.iter().any(|known| known.name == name) {
            return Err(full("policies", POLICIES_MAX));
        }
        self.tell(caller, Input::SavePolicy(policy)).await?;
        self.policy(name).await
    }

    /// Removes a policy. Missions under it keep the gates they have.
    ///
    /// # Errors
    /// When there is none by that name, it comes with the program, or the settings use it.
    pub async fn remove_policy(&self, caller: &Caller, name: &str) -> Result<(), Refusal> {
        if !self.was_answered(caller).await? && self.policy(name).await?.builtin {
            let message = format!("'{name}' comes with the program and cannot be removed");
            return Err(Refusal::new(Code::Conflict, message));
        }
        self.tell(caller, Input::RemovePolicy(name.to_owned())).await.map(drop)
    }

    /// The templates, by name.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn templates(&self) -> Result<Listing<TemplateView>, Refusal> {
        let all = self.0.ledger.templates().await.map_err(unreadable)?;
        Ok(Listing { items: all.into_iter().map(shown).collect(), next: None })
    }

    /// One template with the places to be filled.
    ///
    /// # Errors
    /// When there is none by that name.
    pub async fn template(&self, name: &str) -> Result<TemplateView, Refusal> {
        self.template_named(name).await.map(shown)
    }

    pub(crate) async fn template_named(&self, name: &str) -> Result<Template, Refusal> {
        let found = self.0.ledger.template(name).await.map_err(unreadable)?;
        found.ok_or_else(|| {
            Refusal::new(Code::NotFound, format!("there is no template '{name}'"))
                .hint("list the templates to see their names")
        })
    }

    /// Creates or changes a template.
    ///
    /// # Errors
    /// When a place in it is malformed, or stands in a gate's command where a value could run as
    /// code.
    pub async fn save_template(
        &self,
        caller: &Caller,
        name: &str,
        template: Template,
    ) -> Result<TemplateView, Refusal> {
        same_name(name, &template.name)?;
        let template = checked_template(template)?;
        if let Some(policy) = &template.policy {
            self.policy(policy).await?;
        }
        let all = self.0.ledger.templates().await.map_err(unreadable)?;
        if all.len() >= TEMPLATES_MAX && !all.iter().any(|known| known.name == name) {
            return Err(full("templates", TEMPLATES_MAX));
        }
        self.tell(caller, Input::SaveTemplate(template)).await?;
        self.template(name).await
    }

    /// Removes a template. Missions made from it stay.
    ///
    /// # Errors
    /// When there is none by that name.
    pub async fn remove_template(&self, caller: &Caller, name: &str) -> Result<(), Refusal> {
        if !self.was_answered(caller).await? {
            self.template_named(name).await?;
        }
        self.tell(caller, Input::RemoveTemplate(name.to_owned())).await.map(drop)
    }
}

/// Checks what the orchestrator cannot: the names of policies, of which these are there, and labels.
pub(crate) fn checked_settings(settings: &Settings, policies: Vec<String>) -> Result<(), Refusal> {
    if settings.policy_of_label.len() > LABEL_POLICIES_MAX {
        return Err(invalid("too many labels have a policy of their own")
            .hint(format!("at most {LABEL_POLICIES_MAX}")));
    }
    let by_label = settings.policy_of_label.iter().map(|choice| &choice.policy);
    for name in by_label.chain([&settings.policy]) {
        if !policies.contains(name) {
            return Err(invalid(format!("there is no policy '{name}'")).allowed(policies));
        }
    }
    for choice in &settings.policy_of_label {
        text_line("label", &choice.label, ABOUT_CHARS_MAX)?;
    }
    Ok(())
}

fn same_name(path: &str, body: &str) -> Result<(), Refusal> {
    if path == body {
        return Ok(());
    }
    Err(invalid(format!("the path says '{path}' and the body '{body}'"))
        .hint("give both the same name; to rename, save it anew and remove the old one"))
}

fn full(what: &str, max: usize) -> Refusal {
    Refusal::new(Code::Conflict, format!("a workspace holds at most {max} {what}"))
        .hint("remove some you do not need")
}

fn about(text: &str) -> Result<String, Refusal> {
    match text.trim() {
        "" => Ok(String::new()),
        text => text_line("line that says what it is for", text, ABOUT_CHARS_MAX),
    }
}

pub(crate) fn checked_policy(policy: Policy) -> Result<Policy, Refusal> {
    if policy.gates.len() > GATES_MAX {
        return Err(invalid(format!("{} gates are too many", policy.gates.len()))
            .hint(format!("at most {GATES_MAX}, and missions add their own")));
    }
    if policy.retries > RETRIES_MAX || policy.backoff_s > BACKOFF_S_MAX {
        return Err(invalid("the retries or the pause between them are out of range")
            .hint(format!("at most {RETRIES_MAX} retries and {BACKOFF_S_MAX} s")));
    }
    let checked =
        |gate: GateSpec| gate.checked().map_err(|err| invalid(err.to_string()).hint(err.hint()));
    let gates = policy.gates.into_iter().map(checked).collect::<Result<_, _>>()?;
    Ok(Policy { about: about(&policy.about)?, gates, builtin: false, ..policy })
}

fn texts(template: &Template) -> MissionTemplate {
    MissionTemplate {
        title: template.title.clone(),
        brief: template.brief.clone(),
        labels: template.labels.clone(),
        skills: template.skills.clone(),
        gates: template.gates.clone(),
        criteria: Vec::new(),
    }
}

/// A template that can be filled at all: tried out with a harmless word in every place.
pub(crate) fn checked_template(template: Template) -> Result<Template, Refusal> {
    let texts = texts(&template);
    let places = texts.placeholders();
    let tried = places.into_iter().map(|place| (place.name, "word".to_owned())).collect();
    texts.fill(&tried).map_err(|err| invalid(err.to_string()).hint(err.hint()))?;
    if template.title.trim().is_empty() || template.brief.trim().is_empty() {
        return Err(invalid("a template needs a title and a brief")
            .hint("write {{name}} where something is to be filled in"));
    }
    Ok(Template { about: about(&template.about)?, ..template })
}

fn shown(template: Template) -> TemplateView {
    let places = texts(&template).placeholders().into_iter();
    let placeholders =
        places.map(|place| PlaceView { name: place.name, default: place.default }).collect();
    TemplateView { template, placeholders }
}
