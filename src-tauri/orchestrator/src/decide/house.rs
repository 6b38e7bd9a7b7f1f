//! Settings, policies, templates, the trash, and questions to the agents.

use model::event::{Fact, Subject};
use model::id::TopicId;
use model::policy::{self, Policy};
use model::refusal::{Code, Refusal};
use model::settings::{STARTS_PER_CYCLE_MAX, Settings, Template};
use model::topic::{Decided, OPTIONS_MAX, RATIONALE_CHARS_MAX, Topic, Vote};
use model::trace;
use model::trash::TrashItem;

use super::{Desk, of_agent};

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(Code::InvalidInput, message)
}

/// Whether settings can be these, whatever the policies are.
///
/// # Errors
/// When a value is out of bounds.
pub fn possible_settings(settings: &Settings) -> Result<(), Refusal> {
    if settings.running_max == Some(0) {
        return Err(invalid("at least one attempt must be allowed to run")
            .hint("to hold everything back, stop the swarm"));
    }
    if !(1..=STARTS_PER_CYCLE_MAX).contains(&settings.starts_per_cycle) {
        return Err(invalid(format!("{} starts in one go", settings.starts_per_cycle))
            .hint(format!("between 1 and {STARTS_PER_CYCLE_MAX}")));
    }
    if settings.memory_free_min_percent > 90 {
        return Err(invalid("no machine keeps more than 90 % of its memory free")
            .hint("between 0, which switches it off, and 90"));
    }
    if !(1..=3650).contains(&settings.trash_days) {
        return Err(invalid(format!("{} days in the trash", settings.trash_days))
            .hint("between 1 and 3650 days"));
    }
    if let Some(why) = settings.traces_to.as_deref().and_then(trace::wrong_endpoint) {
        return Err(invalid(format!("traces cannot be sent there: {why}"))
            .hint("an address such as http://127.0.0.1:4318/v1/traces, or nothing"));
    }
    Ok(())
}

/// Whether a policy can have this name.
///
/// # Errors
/// When it is none, or that of a policy that comes with the program.
pub fn possible_policy(name: &str) -> Result<(), Refusal> {
    if !policy::is_name(name) {
        return Err(invalid(format!("'{name}' cannot be the name of a policy"))
            .hint("small letters, digits and '-', at most 40"));
    }
    if policy::builtin().iter().any(|known| known.name == name) {
        let message = format!("'{name}' comes with the program and cannot be changed");
        return Err(Refusal::new(Code::Conflict, message).hint("save it under another name"));
    }
    Ok(())
}

/// Whether a template can have this name.
///
/// # Errors
/// When it is none.
pub fn possible_template(name: &str) -> Result<(), Refusal> {
    if policy::is_name(name) {
        return Ok(());
    }
    Err(invalid(format!("'{name}' cannot be the name of a template"))
        .hint("small letters, digits and '-', at most 40"))
}

impl Desk<'_> {
    /// Records a fact about the workspace as a whole.
    pub(super) fn house(&mut self, fact: Fact) {
        self.fact(Subject::default(), fact);
    }

    pub(super) fn configure(&mut self, settings: Settings) -> Result<(), Refusal> {
        possible_settings(&settings)?;
        if settings != self.state.settings {
            self.house(Fact::SettingsChanged { settings });
        }
        Ok(())
    }

    pub(super) fn save_policy(&mut self, policy: Policy) -> Result<(), Refusal> {
        possible_policy(&policy.name)?;
        self.house(Fact::PolicySaved { policy: Policy { builtin: false, ..policy } });
        Ok(())
    }

    pub(super) fn remove_policy(&mut self, name: String) -> Result<(), Refusal> {
        let settings = &self.state.settings;
        let used = settings.policy == name
            || settings.policy_of_label.iter().any(|choice| choice.policy == name);
        if used {
            let message = format!("the policy '{name}' is used by the settings");
            return Err(Refusal::new(Code::Conflict, message)
                .hint("choose another one there first; missions keep the gates they have"));
        }
        self.house(Fact::PolicyRemoved { name });
        Ok(())
    }

    pub(super) fn save_template(&mut self, template: Template) -> Result<(), Refusal> {
        possible_template(&template.name)?;
        self.house(Fact::TemplateSaved { template });
        Ok(())
    }

    pub(super) fn trash(&mut self, item: TrashItem) {
        let subject = Subject { mission_id: Some(item.mission_id), ..Subject::default() };
        self.fact(subject, Fact::Trashed { item });
    }

    pub(super) fn open_topic(&mut self, topic: Topic) -> Result<(), Refusal> {
        let mut options = topic.options.clone();
        options.sort();
        options.dedup();
        let count = topic.options.len();
        if topic.title.trim().is_empty() || !(2..=OPTIONS_MAX).contains(&count) {
            return Err(invalid("a topic needs a question and at least two options")
                .hint(format!("at most {OPTIONS_MAX} options")));
        }
        if options.len() != count || options.iter().any(|option| option.trim().is_empty()) {
            return Err(invalid("two options are the same, or one is empty"));
        }
        self.house(Fact::TopicOpened { topic });
        Ok(())
    }

    fn topic(&self, id: TopicId) -> Result<&Topic, Refusal> {
        self.state.topics.get(&id).ok_or_else(|| {
            Refusal::new(Code::Conflict, "there is no such open topic").hint("it may be decided")
        })
    }

    pub(super) fn vote(&mut self, vote: Vote) -> Result<(), Refusal> {
        let topic = self.topic(vote.topic_id)?;
        self.agent(vote.agent_id)?;
        if !topic.options.contains(&vote.option) {
            return Err(invalid(format!("'{}' is not an option of this topic", vote.option))
                .allowed(topic.options.clone()));
        }
        if vote.rationale.trim().is_empty() {
            return Err(invalid("a vote needs its rationale").hint("say why in a few words"));
        }
        if vote.rationale.chars().count() > RATIONALE_CHARS_MAX {
            return Err(invalid(format!("the rationale is over {RATIONALE_CHARS_MAX} characters")));
        }
        self.fact(of_agent(vote.agent_id), Fact::VoteCast { vote });
        Ok(())
    }

    pub(super) fn close_topic(
        &mut self,
        id: TopicId,
        option: Option<String>,
        note: Option<String>,
    ) -> Result<(), Refusal> {
        let topic = self.topic(id)?;
        if let Some(option) = option.as_ref().filter(|option| !topic.options.contains(option)) {
            return Err(invalid(format!("'{option}' is not an option of this topic"))
                .allowed(topic.options.clone()));
        }
        let count = |option: &String| {
            let votes = self.state.votes.iter();
            votes.filter(|((topic, _), its)| *topic == id && *its == option).count()
        };
        let most = topic.options.iter().map(count).max().unwrap_or(0);
        let leading: Vec<&String> =
            topic.options.iter().filter(|option| most > 0 && count(option) == most).collect();
        let (option, because) = match (option, leading.as_slice()) {
            (Some(option), _) => {
                let votes = count(&option);
                (Some(option), format!("the captain took it; it had {votes} votes"))
            }
            (None, []) => (None, "nobody voted".to_owned()),
            (None, [one]) => (Some((*one).clone()), format!("it had most votes: {most}")),
            (None, several) => {
                let names: Vec<String> = several.iter().map(|it| (*it).clone()).collect();
                let message = format!("{} have {most} votes each", names.join(", "));
                return Err(Refusal::new(Code::Conflict, message)
                    .hint("name the option to take")
                    .allowed(names));
            }
        };
        let because = match note {
            Some(note) if !note.trim().is_empty() => format!("{because}; {}", note.trim()),
            _ => because,
        };
        let decision = Decided { option, because, at: self.now };
        self.house(Fact::TopicClosed { topic_id: id, decision });
        Ok(())
    }
}
