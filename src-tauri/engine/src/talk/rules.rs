//! Permission rules: what answers in the captain's place.

use model::id::{RuleId, SystemDraw};
use model::inbox::{Rule, Scope};
use model::refusal::{Code, Refusal};
use orchestrator::Input;
use store::ledger::RULES_MAX;

use crate::missions::invalid;
use crate::resolve::{self, unreadable};
use crate::view::{Listing, NewRule, NewScope, ScopeWord};
use crate::{Caller, Engine};

impl Engine {
    /// The permission rules, newest first.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn permission_rules(&self) -> Result<Listing<Rule>, Refusal> {
        Ok(Listing { items: self.0.ledger.rules().await.map_err(unreadable)?, next: None })
    }

    /// Makes a permission rule. It holds for what is asked from now on.
    ///
    /// # Errors
    /// When the pattern cannot be read, or there is no such mission or agent.
    pub async fn add_permission_rule(
        &self,
        caller: &Caller,
        new: NewRule,
    ) -> Result<Rule, Refusal> {
        let pattern = checked_pattern(&new.pattern)?;
        let scope = self.checked_scope(&new.scope).await?;
        let repeated = self.was_answered(caller).await?;
        if !repeated {
            self.room_for_rule().await?;
        }
        let known = self.0.ledger.rules().await.map_err(unreadable)?;
        let same = |rule: &&Rule| rule.pattern == pattern && rule.scope == scope;
        if let Some(rule) = known.iter().find(same).filter(|_| !repeated) {
            let does = if rule.allow { "allows" } else { "forbids" };
            let message = format!("a rule {does} '{pattern}' there already");
            return Err(Refusal::new(Code::Conflict, message).hint("remove that one first"));
        }
        let now = self.0.clock.now();
        let id = RuleId::draw(now, &mut SystemDraw);
        let rule = Rule { id, pattern, allow: new.allow, scope, created_at: now };
        let made = self.tell_creation(caller, Input::AddRule(rule), id.as_uuid()).await?;
        self.permission_rule(RuleId::from_uuid(made)).await
    }

    /// Whether there can be one more rule: of more than are read, the oldest would not be kept to.
    pub(super) async fn room_for_rule(&self) -> Result<(), Refusal> {
        let known = self.0.ledger.rules().await.map_err(unreadable)?;
        if known.len() < RULES_MAX as usize {
            return Ok(());
        }
        let message = format!("there are {RULES_MAX} rules already; nothing was changed");
        Err(Refusal::new(Code::Conflict, message).hint("remove those you do not need"))
    }

    async fn permission_rule(&self, id: RuleId) -> Result<Rule, Refusal> {
        let all = self.0.ledger.rules().await.map_err(unreadable)?;
        all.into_iter().find(|rule| rule.id == id).ok_or_else(|| {
            Refusal::new(Code::NotFound, format!("there is no rule '{id}'"))
                .hint("list the rules to see their ids")
        })
    }

    /// Removes a permission rule. What it answered stays answered.
    ///
    /// # Errors
    /// When there is no such rule.
    pub async fn remove_permission_rule(&self, caller: &Caller, id: RuleId) -> Result<(), Refusal> {
        if !self.was_answered(caller).await? {
            self.permission_rule(id).await?;
        }
        self.tell(caller, Input::RemoveRule(id)).await.map(drop)
    }

    async fn checked_scope(&self, scope: &NewScope) -> Result<Scope, Refusal> {
        let NewScope { kind, id } = scope;
        Ok(match (kind, id.as_deref()) {
            (ScopeWord::Workspace, None) => Scope::Workspace,
            (ScopeWord::Mission, Some(text)) => {
                Scope::Mission { id: resolve::mission(&self.0.ledger, text).await?.0.id }
            }
            (ScopeWord::Agent, Some(text)) => {
                Scope::Agent { id: resolve::agent(&self.0.ledger, text).await?.id }
            }
            (ScopeWord::Workspace, Some(_)) => {
                return Err(invalid("a rule for the workspace is for nobody in particular")
                    .hint("leave the id out"));
            }
            (_, None) => {
                return Err(invalid("it is not said for which mission or agent the rule is")
                    .hint("name it as 'id'"));
            }
        })
    }
}

/// A pattern as it is kept.
pub(crate) fn checked_pattern(text: &str) -> Result<String, Refusal> {
    let pattern = text.trim();
    match agents::permission::Pattern::parse(pattern) {
        Ok(_) => Ok(pattern.to_owned()),
        Err(err) => Err(invalid(format!("the pattern '{pattern}' cannot be used: {err}")).hint(
            "such as 'run: git status *', 'edit: src/**', 'tool: NAME' or 'fetch: example.org'",
        )),
    }
}
