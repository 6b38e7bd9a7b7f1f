//! Agents that run elsewhere on this machine: programs that somebody else started and that ask for
//! missions over the API. They live by their heartbeats, and everything they say of an attempt
//! carries its lease's fencing number.
//!
//! Invariant: which agent speaks comes from its token alone.

mod lease;
mod report;

pub(crate) use report::evidence_text;

use std::time::Duration;

use jiff::Timestamp;
use model::agent::{
    Agent, GRACE_S_DEFAULT, LOST_AFTER_S_DEFAULT, LOST_AFTER_S_RANGE, NAME_CHARS_MAX, Runtime,
};
use model::event::{Actor, Fact};
use model::id::{AgentId, LoginId, SystemDraw, TokenId};
use model::refusal::{Code, Refusal};
use model::token::{AccessToken, Maker, PREFIX_CHARS, TOKEN_PREFIX, TokenRole, TokenScope};
use orchestrator::{Input, Say};
use sha2::{Digest, Sha256};
use store::ledger::Change;

use crate::crew::{checked_grace, checked_name, checked_words};
use crate::keys::{draw, hex, unwritten};
use crate::missions::invalid;
use crate::resolve::{self, unreadable};
use crate::view::{AttachedAgent, AttachedBeat, AttachedSay, AttachedWord, NewAttached};
use crate::{Bearer, Caller, Engine};

/// A heartbeat should come as often as fits this many times into the silence that is allowed.
const BEATS: u32 = 3;

/// The agent of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lent {
    agent: AgentId,
}

impl Lent {
    /// The agent a token was made for when that was registered.
    ///
    /// # Errors
    /// When the token is for something else.
    pub fn of(bearer: Option<&Bearer>) -> Result<Self, Refusal> {
        let lent = bearer.and_then(|bearer| match (bearer.role, bearer.scopes.as_slice()) {
            (TokenRole::Worker, [TokenScope::Agent { id }]) => Some(Self { agent: *id }),
            _ => None,
        });
        lent.ok_or_else(|| {
            Refusal::new(Code::Forbidden, "this is for an agent that runs elsewhere, by its token")
                .hint("POST /api/v1/attached registers one and gives its token")
        })
    }

    /// Who does what is asked: the agent itself.
    fn caller(self, caller: &Caller) -> Caller {
        Caller { actor: Actor::Agent { id: self.agent }, ..caller.clone() }
    }
}

/// How often a heartbeat should come, in seconds.
fn every_s(lost_after_s: u32) -> u32 {
    (lost_after_s / BEATS).max(1)
}

impl Engine {
    /// Registers an agent that runs elsewhere. By its own token it is the same agent again, with what
    /// is said of it now; what is left out stays as it is. The token it gets ends with what asked for it.
    ///
    /// # Errors
    /// When the name is taken, or something is out of bounds.
    pub async fn register_attached(
        &self,
        caller: &Caller,
        bearer: Option<&Bearer>,
        login: Option<LoginId>,
        new: NewAttached,
    ) -> Result<AttachedAgent, Refusal> {
        if let Some(lost_after_s) = new.lost_after_s
            && !LOST_AFTER_S_RANGE.contains(&lost_after_s)
        {
            let (least, most) = (LOST_AFTER_S_RANGE.start(), LOST_AFTER_S_RANGE.end());
            return Err(invalid(format!("an agent cannot be lost after {lost_after_s} s"))
                .hint(format!("between {least} and {most} s, or leave it out")));
        }
        let (agent, fresh) = match Lent::of(bearer) {
            Ok(lent) => (self.registered_again(caller, lent, &new).await?, false),
            Err(_) if bearer.is_some_and(|bearer| bearer.role == TokenRole::Worker) => {
                return Err(Refusal::new(Code::Forbidden, "this token registers no agents"));
            }
            Err(_) if bearer.is_some() && new.new_token => {
                let message = "an access token gives no agent another token";
                return Err(Refusal::new(Code::Forbidden, message).hint(
                    "ask for it as the captain, or leave 'new_token' out to register a new agent",
                ));
            }
            Err(_) => self.registered(caller, &new).await?,
        };
        let token = match (fresh, new.new_token && Lent::of(bearer).is_err()) {
            (true, _) | (_, true) => {
                let by = match (bearer, login) {
                    (Some(bearer), _) => Some(Maker::Token { id: bearer.id }),
                    (None, login) => login.map(|id| Maker::Login { id }),
                };
                self.lend_token(caller, &agent, by, bearer.and_then(|it| it.expires_at)).await?
            }
            _ => None,
        };
        let lost_after_s = agent.runtime.lost_after_s().unwrap_or(LOST_AFTER_S_DEFAULT);
        self.0.orchestrator.attached().expect(agent.id, seconds(lost_after_s));
        let agent = self.agent(&agent.id.to_string()).await?;
        Ok(AttachedAgent { agent, token, heartbeat_every_s: every_s(lost_after_s) })
    }

    /// The agent of this name; says whether it was made now.
    async fn registered(
        &self,
        caller: &Caller,
        new: &NewAttached,
    ) -> Result<(Agent, bool), Refusal> {
        let name = checked_name(&new.name)?;
        if new.new_token {
            let agent = resolve::agent(&self.0.ledger, &name).await?;
            if agent.runtime.lost_after_s().is_none() {
                let message = format!("the agent '{}' does not run elsewhere", agent.name);
                return Err(Refusal::new(Code::Conflict, message)
                    .hint("choose another name to register one that does"));
            }
            return Ok((agent, false));
        }
        let role = new.role.as_deref().unwrap_or_default().trim().to_owned();
        let skills = new.skills.clone().unwrap_or_default();
        checked_words(&role, &skills)?;
        let lost_after_s = new.lost_after_s.unwrap_or(LOST_AFTER_S_DEFAULT);
        let now = self.0.clock.now();
        let agent = Agent {
            id: AgentId::draw(now, &mut SystemDraw),
            name,
            role,
            skills,
            runtime: Runtime::Attached { lost_after_s },
            directory: None,
            grace_s: checked_grace(Some(new.grace_s.unwrap_or(GRACE_S_DEFAULT)))?,
            conduct: Default::default(),
            paused: false,
            demo: false,
            created_at: now,
        };
        let made = self.tell_creation(caller, Input::AddAgent(agent.clone()), agent.id.as_uuid());
        match made.await {
            Ok(id) => {
                let id = AgentId::from_uuid(id).to_string();
                Ok((resolve::agent(&self.0.ledger, &id).await?, true))
            }
            Err(refusal) if refusal.code == Code::Conflict => Err(refusal.hint(
                "register it with its own token; where that was lost, 'new_token: true' gives \
                 the captain another one",
            )),
            Err(refusal) => Err(refusal),
        }
    }

    /// The agent of this token, with what is said of it now; what is left out stays as it is.
    async fn registered_again(
        &self,
        caller: &Caller,
        lent: Lent,
        new: &NewAttached,
    ) -> Result<Agent, Refusal> {
        let _turn = self.0.agents_turn.lock().await;
        let known = self.lent_agent(lent).await?;
        if known.name.to_lowercase() != checked_name(&new.name)?.to_lowercase() {
            let message = format!("this token is that of '{}'", known.name);
            return Err(Refusal::new(Code::Conflict, message)
                .hint("use its name, or register another agent as the captain or an operator"));
        }
        let agent = Agent {
            role: new.role.as_ref().map_or(known.role.clone(), |role| role.trim().to_owned()),
            skills: new.skills.as_ref().unwrap_or(&known.skills).clone(),
            runtime: match new.lost_after_s {
                Some(lost_after_s) => Runtime::Attached { lost_after_s },
                None => known.runtime.clone(),
            },
            grace_s: checked_grace(Some(new.grace_s.unwrap_or(known.grace_s)))?,
            ..known.clone()
        };
        checked_words(&agent.role, &agent.skills)?;
        if agent != known {
            let caller = lent.caller(caller);
            self.tell(&caller, Input::EditAgent(agent.clone())).await?;
        }
        Ok(agent)
    }

    /// The agent of a token.
    async fn lent_agent(&self, lent: Lent) -> Result<Agent, Refusal> {
        let agent = self.0.ledger.agent(lent.agent).await.map_err(unreadable)?;
        agent.filter(|agent| agent.runtime.lost_after_s().is_some()).ok_or_else(|| {
            Refusal::new(Code::Forbidden, "the agent of this token was removed")
                .hint("register it again")
        })
    }

    /// Makes a token for an agent that runs elsewhere, in place of those it has; nothing where this
    /// very request made one before. It ends with what it was asked for by.
    async fn lend_token(
        &self,
        caller: &Caller,
        agent: &Agent,
        by: Option<Maker>,
        expires_at: Option<Timestamp>,
    ) -> Result<Option<String>, Refusal> {
        // One at a time, so that the last one alone is left, however many ask for one.
        let _turn = self.0.agents_turn.lock().await;
        let caller =
            Caller { key: caller.key.as_ref().map(|key| format!("{key}/token")), ..caller.clone() };
        if self.answered_before(&caller).await?.is_some() {
            return Ok(None);
        }
        self.end_lent_tokens(&caller.without_key(), agent.id).await?;
        let _alone = self.0.keys.alone().await;
        self.maker_stands(by)?;
        let (secret, now) = (draw(TOKEN_PREFIX)?, self.now_for_keys());
        let name: String = agent.name.chars().take(NAME_CHARS_MAX).collect();
        let token = AccessToken {
            id: TokenId::draw(now, &mut SystemDraw),
            name: format!("attached: {name}"),
            prefix: secret.chars().take(PREFIX_CHARS).collect(),
            role: TokenRole::Worker,
            scopes: vec![TokenScope::Agent { id: agent.id }],
            made_at: now,
            expires_at,
            revoked_at: None,
            made_by: by,
        };
        let hash: [u8; 32] = Sha256::digest(secret.as_bytes()).into();
        let fact = Fact::TokenMade { token: token.clone(), hash: hex(&hash) };
        let answer = caller.answer(serde_json::Value::String(token.id.to_string()));
        let events = vec![self.event_by(&caller, caller.actor.clone(), fact)];
        let change = Change { events, answer, ..Change::default() };
        self.0.ledger.commit(change).await.map_err(|error| unwritten(&error))?;
        self.0.keys.add(token, hash);
        Ok(Some(secret))
    }

    /// Ends the tokens of an agent that runs elsewhere.
    async fn end_lent_tokens(&self, caller: &Caller, id: AgentId) -> Result<(), Refusal> {
        for token in self.0.keys.lent_to(id) {
            self.revoke_token(&caller.without_key(), token).await?;
        }
        Ok(())
    }

    /// An agent was removed: its token opens nothing any more.
    pub(crate) async fn forget_attached(&self, caller: &Caller, agent: &Agent) {
        if agent.runtime.lost_after_s().is_none() {
            return;
        }
        self.0.orchestrator.attached().dismiss(agent.id);
        if let Err(refusal) = self.end_lent_tokens(caller, agent.id).await {
            tracing::warn!(%refusal, agent = agent.name, "the token of a removed agent stands still");
        }
    }

    /// A heartbeat: says what the agent is to do.
    ///
    /// # Errors
    /// When the agent was removed, or the ledger cannot be read.
    pub async fn attached_heartbeat(
        &self,
        lent: Lent,
        beat: AttachedBeat,
    ) -> Result<AttachedWord, Refusal> {
        let word = self.heard(lent).await?;
        let attached = self.0.orchestrator.attached();
        if let (Say::Stop, Some(standing)) = (word.say, word.attempt) {
            attached.told(standing.id);
        }
        let mut told = AttachedWord {
            say: match word.say {
                Say::Nothing => AttachedSay::Nothing,
                Say::Lease => AttachedSay::Lease,
                Say::Messages => AttachedSay::Messages,
                Say::Hold => AttachedSay::Hold,
                Say::Stop => AttachedSay::Stop,
            },
            attempt: word.attempt.map(|standing| standing.id),
            mission_id: word.attempt.map(|standing| standing.mission_id),
            fence: word.attempt.map(|standing| standing.n),
            messages_waiting: 0,
            next_within_s: every_s(u32::try_from(word.lost_after.as_secs()).unwrap_or(u32::MAX)),
        };
        if let (AttachedSay::Messages, Some(standing)) = (told.say, word.attempt) {
            let look = attached.look_for_news(standing.id);
            let count = self.0.ledger.waiting_count(lent.agent).await.map_err(unreadable)?;
            told.messages_waiting = count;
            if count == 0 {
                look.none_wait();
                told.say = AttachedSay::Nothing;
            }
        }
        // What it works on belongs to it no more.
        let stale = beat.attempt.is_some_and(|id| told.attempt != Some(id));
        if stale && !self.is_coming(beat).await? {
            told.say = AttachedSay::Stop;
        }
        Ok(told)
    }

    /// Whether an attempt is under way although nobody waits for it yet, as when the engine started.
    async fn is_coming(&self, beat: AttachedBeat) -> Result<bool, Refusal> {
        let Some(id) = beat.attempt else {
            return Ok(false);
        };
        let attempt = self.0.ledger.attempt(id).await.map_err(unreadable)?;
        Ok(attempt.is_some_and(|attempt| attempt.exit.is_none() && !attempt.state.is_final()))
    }

    /// Notes that an agent was heard of.
    async fn heard(&self, lent: Lent) -> Result<orchestrator::Word, Refusal> {
        let orchestrator = &self.0.orchestrator;
        let attached = orchestrator.attached();
        let gone = || Refusal::new(Code::Conflict, "the agent was removed");
        let word = match attached.heard(lent.agent, orchestrator.is_halted()) {
            Some(word) => word,
            None => {
                let agent = self.lent_agent(lent).await?;
                let lost_after_s = agent.runtime.lost_after_s().unwrap_or(LOST_AFTER_S_DEFAULT);
                attached.expect(agent.id, seconds(lost_after_s));
                attached.heard(lent.agent, orchestrator.is_halted()).ok_or_else(gone)?
            }
        };
        if word.came_back {
            orchestrator.look_again().await?;
        }
        Ok(word)
    }
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}
