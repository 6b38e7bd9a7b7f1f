//! The configuration as a whole: what the settings were before, going back to that, and the document
//! that carries settings, policies, templates, rules and hooks from one workspace to another.

use std::collections::{BTreeMap, BTreeSet};

use agents::secrets;
use model::config::{CONFIG_VERSION, Configuration, PlainRule};
use model::event::{Event, Fact};
use model::hook::{HOOKS_MAX, Hook};
use model::id::{HookId, RuleId, SystemDraw};
use model::inbox::{Rule, Scope};
use model::policy::POLICIES_MAX;
use model::refusal::{Code, Refusal};
use model::settings::Settings;
use orchestrator::Input;
use orchestrator::decide::{possible_policy, possible_settings, possible_template};
use serde::Serialize;
use serde_json::Value;
use store::ledger::{EventFilter, PAGE_ROWS_DEFAULT, RULES_MAX};

use crate::missions::invalid;
use crate::resolve::unreadable;
use crate::rules::{TEMPLATES_MAX, checked_policy, checked_settings, checked_template};
use crate::talk::checked_pattern;
use crate::view::{
    ConfigChange, ConfigPart, HowChanged, ImportConfig, Imported, Listing, SettingChange,
    SettingsChange,
};
use crate::{Caller, Engine};

/// The kind of the events that say what the settings are.
const CHANGED: &str = "settings_changed";
/// The most changes of one import; they are one transaction.
const CHANGES_MAX: usize = 1_000;

impl Engine {
    /// How the settings were changed, the newest change first.
    ///
    /// # Errors
    /// When the ledger cannot be read, or the cursor is not one of this list.
    pub async fn settings_history(
        &self,
        cursor: Option<String>,
        limit: Option<u32>,
    ) -> Result<Listing<SettingsChange>, Refusal> {
        let limit = limit.unwrap_or(PAGE_ROWS_DEFAULT);
        let page = self.settings_events(cursor, limit).await?;
        // What was before the last change of the page is said by the one before it.
        let older = match page.items.last() {
            Some(event) => self.settings_events(Some(event.seq.to_string()), 1).await?.items,
            None => Vec::new(),
        };
        let before = page.items.iter().skip(1).chain(&older).map(settings_of).map(Some);
        let before = before.chain(std::iter::repeat(None));
        let items = page.items.iter().zip(before).map(|(event, before)| SettingsChange {
            seq: event.seq,
            at: event.at,
            actor: event.actor.clone(),
            changes: differences(&before.unwrap_or_default(), &settings_of(event)),
        });
        Ok(Listing { items: items.collect(), next: page.next })
    }

    /// Makes the settings again what they were right after a change; 0 names the time before the
    /// first one. It is a change as every other.
    ///
    /// # Errors
    /// When there was no such change, or the settings of then are not possible now.
    pub async fn roll_back_settings(&self, caller: &Caller, seq: u64) -> Result<Settings, Refusal> {
        let settings = match seq {
            0 => Settings::default(),
            seq => {
                let after = seq.saturating_add(1).to_string();
                let found = self.settings_events(Some(after), 1).await?.items;
                let found = found.first().filter(|event| event.seq == seq);
                found.map(settings_of).ok_or_else(|| {
                    let message = format!("event {seq} did not change the settings");
                    Refusal::new(Code::NotFound, message)
                        .hint("the history of the settings lists the numbers of its changes")
                })?
            }
        };
        self.configure(caller, settings).await
    }

    async fn settings_events(
        &self,
        cursor: Option<String>,
        limit: u32,
    ) -> Result<Listing<Event>, Refusal> {
        let kinds = vec![CHANGED.to_owned()];
        let filter = EventFilter { kinds, cursor, limit, ..EventFilter::default() };
        let page = self.0.ledger.events(filter).await.map_err(unreadable)?;
        Ok(Listing { items: page.items, next: page.next })
    }

    /// Settings, policies, templates, rules of the whole workspace and hooks, as one document.
    ///
    /// # Errors
    /// When the ledger cannot be read, or something in it looks like a secret.
    pub async fn export_config(&self) -> Result<Configuration, Refusal> {
        let ledger = &self.0.ledger;
        let rules = ledger.rules().await.map_err(unreadable)?.into_iter();
        let mut rules: Vec<PlainRule> = rules
            .filter(|rule| rule.scope == Scope::Workspace)
            .map(|rule| PlainRule { pattern: rule.pattern, allow: rule.allow })
            .collect();
        rules.sort();
        let config = Configuration {
            version: CONFIG_VERSION,
            settings: Some((&self.settings().await?).into()),
            policies: ledger.policies().await.map_err(unreadable)?,
            templates: ledger.templates().await.map_err(unreadable)?,
            rules,
            hooks: ledger.hooks().await.map_err(unreadable)?,
        };
        free_of_secrets(&config)?;
        Ok(config)
    }

    /// Takes a configuration over: what it names is added or changed, what it does not name stays.
    /// All of it is applied, or nothing. Without applying it, it is only said what would change.
    ///
    /// # Errors
    /// When anything in it cannot be; nothing is changed then.
    pub async fn import_config(
        &self,
        caller: &Caller,
        import: ImportConfig,
    ) -> Result<Imported, Refusal> {
        let ImportConfig { config, dry_run } = import;
        if config.version != CONFIG_VERSION {
            let message = format!("the configuration has the form {}", config.version);
            return Err(invalid(message).hint(format!("this program reads {CONFIG_VERSION}")));
        }
        let mut plan = Plan::default();
        self.plan_policies(&config, &mut plan).await?;
        self.plan_templates(&config, &mut plan).await?;
        self.plan_settings(&config, &mut plan).await?;
        self.plan_rules(&config, &mut plan).await?;
        self.plan_hooks(config.hooks, &mut plan).await?;
        if plan.inputs.len() > CHANGES_MAX {
            let message = format!("{} changes are too many at once", plan.inputs.len());
            return Err(invalid(message).hint(format!("at most {CHANGES_MAX}; import it in parts")));
        }
        if !dry_run && !plan.inputs.is_empty() {
            self.tell(caller, Input::Several(plan.inputs)).await?;
        }
        Ok(Imported { applied: !dry_run, changes: plan.changes })
    }

    async fn plan_policies(&self, config: &Configuration, plan: &mut Plan) -> Result<(), Refusal> {
        let own = self.0.ledger.policies().await.map_err(unreadable)?;
        let mut all: BTreeMap<&str, _> = own.iter().map(|it| (it.name.as_str(), it)).collect();
        let checked = config.policies.iter().cloned().map(checked_policy);
        let checked = checked.collect::<Result<Vec<_>, _>>()?;
        for policy in &checked {
            possible_policy(&policy.name)?;
            let known = own.iter().find(|known| known.name == policy.name);
            let input = Input::SavePolicy(policy.clone());
            plan.take(ConfigPart::Policy, &policy.name, known, policy, input);
            all.insert(&policy.name, policy);
        }
        at_most("policies", all.len(), POLICIES_MAX)
    }

    async fn plan_templates(&self, config: &Configuration, plan: &mut Plan) -> Result<(), Refusal> {
        let known = self.0.ledger.templates().await.map_err(unreadable)?;
        let mut count = known.len();
        for template in &config.templates {
            let template = checked_template(template.clone())?;
            possible_template(&template.name)?;
            if let Some(policy) = &template.policy
                && !config.policies.iter().any(|it| it.name == *policy)
            {
                self.policy(policy).await?;
            }
            let old = known.iter().find(|known| known.name == template.name);
            count += usize::from(old.is_none());
            let input = Input::SaveTemplate(template.clone());
            plan.take(ConfigPart::Template, &template.name, old, &template, input);
        }
        at_most("templates", count, TEMPLATES_MAX)
    }

    async fn plan_settings(&self, config: &Configuration, plan: &mut Plan) -> Result<(), Refusal> {
        let Some(given) = &config.settings else {
            return Ok(());
        };
        let old = self.settings().await?;
        // What the document does not name stays.
        let settings = given.over(&old).map_err(|error| invalid(error.to_string()))?;
        let mut names: Vec<String> =
            self.all_policies().await?.into_iter().map(|policy| policy.name).collect();
        names.extend(config.policies.iter().map(|policy| policy.name.clone()));
        checked_settings(&settings, names)?;
        possible_settings(&settings)?;
        let input = Input::Configure(settings.clone());
        plan.take(ConfigPart::Settings, "settings", Some(&old), &settings, input);
        Ok(())
    }

    async fn plan_rules(&self, config: &Configuration, plan: &mut Plan) -> Result<(), Refusal> {
        let known = self.0.ledger.rules().await.map_err(unreadable)?;
        let mut count = known.len();
        let now = self.0.clock.now();
        for rule in &config.rules {
            let pattern = checked_pattern(&rule.pattern)?;
            let old = known.iter().find(|it| it.pattern == pattern && it.scope == Scope::Workspace);
            if old.is_some_and(|old| old.allow == rule.allow) {
                continue;
            }
            count += usize::from(old.is_none());
            let id = RuleId::draw(now, &mut SystemDraw);
            let allow = rule.allow;
            let (scope, created_at) = (Scope::Workspace, now);
            let new = Rule { id, pattern: pattern.clone(), allow, scope, created_at };
            let mut inputs = vec![Input::AddRule(new)];
            inputs.extend(old.map(|old| Input::RemoveRule(old.id)));
            inputs.reverse();
            let plain = |it: &Rule| PlainRule { pattern: it.pattern.clone(), allow: it.allow };
            let (before, after) = (old.map(plain), PlainRule { pattern: pattern.clone(), allow });
            let input = Input::Several(inputs);
            plan.take(ConfigPart::Rule, &pattern, before.as_ref(), &after, input);
        }
        at_most("rules", count, RULES_MAX as usize)
    }

    async fn plan_hooks(&self, hooks: Vec<Hook>, plan: &mut Plan) -> Result<(), Refusal> {
        let known = self.0.ledger.hooks().await.map_err(unreadable)?;
        let mut count = known.len();
        let now = self.0.clock.now();
        let mut named = BTreeSet::new();
        for hook in hooks {
            let name = hook.name.to_lowercase();
            let old = known.iter().find(|known| known.name.to_lowercase() == name);
            if !named.insert(name) {
                return Err(invalid(format!("two hooks have the name '{}'", hook.name))
                    .hint("a hook is known by its name, in which capitals count for nothing"));
            }
            count += usize::from(old.is_none());
            let id = old.map_or_else(|| HookId::draw(now, &mut SystemDraw), |old| old.id);
            let hook = Hook { id, ..hook };
            hook.check(Fact::kinds()).map_err(|fault| invalid(fault.to_string()))?;
            let input = Input::Record(Fact::HookSaved { hook: hook.clone() });
            plan.take(ConfigPart::Hook, &hook.name, old, &hook, input);
        }
        at_most("hooks", count, HOOKS_MAX)
    }
}

/// A configuration goes from hand to hand, and is kept in places where no secret belongs.
fn free_of_secrets(config: &Configuration) -> Result<(), Refusal> {
    fn all<'a, T: Serialize + 'a>(
        part: &'static str,
        items: impl IntoIterator<Item = &'a T>,
        name: impl Fn(&T) -> &str,
    ) -> Vec<(&'static str, String, Value)> {
        // Structs of words and numbers always become JSON.
        let json = |it: &T| serde_json::to_value(it).unwrap_or_default();
        items.into_iter().map(|it| (part, name(it).to_owned(), json(it))).collect()
    }
    let mut parts = all("part", &config.settings, |_| "settings");
    parts.extend(all("policy", &config.policies, |it| &it.name));
    parts.extend(all("template", &config.templates, |it| &it.name));
    parts.extend(all("rule", &config.rules, |it| &it.pattern));
    parts.extend(all("hook", &config.hooks, |it| &it.name));
    for (part, name, value) in parts {
        if let Some(looks_like) = secret_in(&value) {
            let name = secrets::redact(&name);
            let message =
                format!("the {part} '{name}' holds what looks like a secret: {looks_like}");
            return Err(Refusal::new(Code::Conflict, message)
                .hint("nothing was exported: let it be read from a file or a variable instead"));
        }
    }
    Ok(())
}

/// What the first secret in a value looks like.
fn secret_in(value: &Value) -> Option<&'static str> {
    match value {
        Value::String(text) => text.lines().find_map(secrets::find).map(|found| found.rule),
        Value::Array(items) => items.iter().find_map(secret_in),
        Value::Object(fields) => fields.values().find_map(secret_in),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// What an import comes to.
#[derive(Default)]
struct Plan {
    inputs: Vec<Input>,
    changes: Vec<ConfigChange>,
}

impl Plan {
    /// Adds a change, unless everything is as it was.
    fn take<T: PartialEq + Serialize>(
        &mut self,
        part: ConfigPart,
        name: &str,
        old: Option<&T>,
        new: &T,
        input: Input,
    ) {
        if old == Some(new) {
            return;
        }
        let how = if old.is_some() { HowChanged::Changed } else { HowChanged::Added };
        let changes = old.map(|old| differences(old, new)).unwrap_or_default();
        self.inputs.push(input);
        self.changes.push(ConfigChange { part, name: name.to_owned(), how, changes });
    }
}

fn at_most(what: &str, count: usize, max: usize) -> Result<(), Refusal> {
    if count <= max {
        return Ok(());
    }
    let message = format!("there would be {count} {what}, and a workspace holds at most {max}");
    Err(Refusal::new(Code::Conflict, message).hint("remove some you do not need"))
}

/// The settings that a change left.
fn settings_of(event: &Event) -> Settings {
    match &event.fact {
        Fact::SettingsChanged { settings } => settings.clone(),
        // Only events of that kind are read.
        _ => Settings::default(),
    }
}

/// What is different, by name and in the order of the names.
fn differences<T: Serialize>(old: &T, new: &T) -> Vec<SettingChange> {
    let fields = |it: &T| match serde_json::to_value(it) {
        Ok(Value::Object(fields)) => fields.into_iter().collect::<BTreeMap<String, Value>>(),
        _ => BTreeMap::new(),
    };
    let (old, mut new) = (fields(old), fields(new));
    let mut changes = Vec::new();
    for (key, old) in old {
        let new = new.remove(&key).unwrap_or(Value::Null);
        if old != new {
            changes.push(SettingChange { key, old, new });
        }
    }
    changes.extend(new.into_iter().map(|(key, new)| SettingChange { key, old: Value::Null, new }));
    changes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn differences_name_the_field_with_its_old_and_new_value() {
        let old = Settings::default();
        let new = Settings { running_max: Some(3), trash_days: 7, ..old.clone() };
        let found = differences(&old, &new);
        let said: Vec<_> = found
            .iter()
            .map(|it| (it.key.as_str(), it.old.to_string(), it.new.to_string()))
            .collect();
        assert_eq!(
            said,
            [
                ("running_max", "null".to_owned(), "3".to_owned()),
                ("trash_days", "30".to_owned(), "7".to_owned()),
            ]
        );
        assert!(differences(&new, &new).is_empty());
    }

    proptest! {
        #[test]
        fn equal_settings_have_no_differences_and_others_do(a in 1..100_u32, b in 1..100_u32) {
            let of = |days| Settings { trash_days: days, ..Settings::default() };
            prop_assert_eq!(differences(&of(a), &of(b)).is_empty(), a == b);
        }
    }
}
