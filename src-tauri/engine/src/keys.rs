//! Access tokens: made, listed, revoked, and recognised.
//!
//! Invariant: a secret is drawn here, handed out once, and kept nowhere. What recognises it is its
//! SHA-256, compared in constant time. A token that is revoked opens nothing from before its
//! revocation is written on.

mod chain;

use std::collections::{HashMap, HashSet};
use std::sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use model::event::{Actor, Fact, NewEvent, Subject};
use model::id::{AgentId, EventId, SystemDraw, TokenId};
use model::refusal::{Code, Refusal};
use model::token::{
    AccessToken, DAYS_MAX, Maker, NAME_CHARS_MAX, PREFIX_CHARS, SCOPES_MAX, SECRET_CHARS,
    TOKEN_PREFIX, TOKENS_MAX, TokenRole, TokenScope,
};
use sha2::{Digest, Sha256};
use store::ledger::{Change, CommitError, KeptToken, Ledger, ReadError, StoredAnswer};
use subtle::ConstantTimeEq;
use tokio::sync::watch;

use crate::missions::{invalid, text_line};
use crate::resolve::unreadable;
use crate::view::{Listing, MadeToken, NewToken, TokenState, TokenView};
use crate::{Caller, Engine};

pub(crate) use chain::{Roots, not_ended};

/// A use is written down when the one before is so old, in seconds.
const USE_EVERY_S: i64 = 60;
/// How often it is looked whether a token that is still in use has come to its end.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// How many tokens a list shows of those of agents that run elsewhere, and of those that were revoked;
/// the others are never more than [`TOKENS_MAX`] and all shown.
const SHOWN_MAX: u32 = 500;

/// Who holds a token that was recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    /// The token.
    pub id: TokenId,
    /// Its name.
    pub name: String,
    /// What its holder may do.
    pub role: TokenRole,
    /// Where; everywhere when there are none.
    pub scopes: Vec<TokenScope>,
    /// When it ends by itself: what its holder makes ends no later.
    pub expires_at: Option<Timestamp>,
}

impl From<&AccessToken> for Bearer {
    fn from(token: &AccessToken) -> Self {
        let AccessToken { id, name, role, scopes, expires_at, .. } = token.clone();
        Self { id, name, role, scopes, expires_at }
    }
}

impl Bearer {
    /// Who did something, for the log of events.
    #[must_use]
    pub fn actor(&self) -> Actor {
        Actor::Token { id: self.id, name: self.name.clone() }
    }

    /// Whether it is good for some agents and missions alone.
    #[must_use]
    pub fn is_for_some_things(&self) -> bool {
        self.scopes.iter().any(|scope| !matches!(scope, TokenScope::Area { .. }))
    }
}

/// The tokens that are not revoked, as the door needs them.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    standing: RwLock<Table>,
    /// One change of the tokens at a time.
    changing: tokio::sync::Mutex<()>,
    /// Counts the tokens that were revoked.
    revoked: watch::Sender<u64>,
    /// How other machines reach this engine.
    exposed: OnceLock<String>,
}

#[derive(Debug, Default)]
struct Table {
    by_id: HashMap<TokenId, Standing>,
    /// By the beginning of the secret.
    by_prefix: HashMap<String, Vec<TokenId>>,
}

impl Table {
    fn add(&mut self, standing: Standing) {
        let AccessToken { id, prefix, .. } = &standing.token;
        self.by_prefix.entry(prefix.clone()).or_default().push(*id);
        self.by_id.insert(*id, standing);
    }

    fn remove(&mut self, id: TokenId) {
        let Some(Standing { token, .. }) = self.by_id.remove(&id) else {
            return;
        };
        if let Some(ids) = self.by_prefix.get_mut(&token.prefix) {
            ids.retain(|it| *it != id);
            if ids.is_empty() {
                self.by_prefix.remove(&token.prefix);
            }
        }
    }
}

#[derive(Debug, Clone)]
struct Standing {
    token: AccessToken,
    hash: [u8; 32],
    used_at: Option<Timestamp>,
    /// The use that is on disk, or on its way there.
    written_at: Option<Timestamp>,
}

impl Keys {
    /// Reads the tokens.
    pub(crate) async fn read(ledger: &Ledger) -> Result<Self, ReadError> {
        let keys = Self::default();
        keys.replace(ledger.standing_tokens().await?);
        Ok(keys)
    }

    fn standing(&self) -> RwLockReadGuard<'_, Table> {
        self.standing.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn standing_mut(&self) -> RwLockWriteGuard<'_, Table> {
        self.standing.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn replace(&self, tokens: Vec<KeptToken>) {
        let mut all = Table::default();
        for KeptToken { token, hash, used_at } in tokens {
            all.add(Standing { token, hash, used_at, written_at: used_at });
        }
        *self.standing_mut() = all;
    }

    /// The tokens of agents that run elsewhere are counted with their agents, not here.
    fn others(&self) -> Vec<AccessToken> {
        let all = self.standing();
        let others = all.by_id.values().filter(|it| it.token.lent_to().is_none());
        others.map(|standing| standing.token.clone()).collect()
    }

    /// The tokens of an agent that runs elsewhere.
    pub(crate) fn lent_to(&self, agent: AgentId) -> Vec<TokenId> {
        let all = self.standing();
        let own = all.by_id.values().filter(|it| it.token.lent_to() == Some(agent));
        own.map(|standing| standing.token.id).collect()
    }

    /// Whether an agent that runs elsewhere has a token that opens anything.
    pub(crate) fn lends_to(&self, agent: AgentId, now: Timestamp) -> bool {
        let all = self.standing();
        let own = |it: &Standing| it.token.lent_to() == Some(agent) && it.token.is_valid(now);
        all.by_id.values().any(own)
    }

    /// Keeps others from changing the tokens meanwhile.
    pub(crate) async fn alone(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    /// Takes in a token that was made.
    pub(crate) fn add(&self, token: AccessToken, hash: [u8; 32]) {
        self.standing_mut().add(Standing { token, hash, used_at: None, written_at: None });
    }

    /// Lets a token open nothing from now on.
    pub(crate) fn drop_token(&self, id: TokenId) {
        self.standing_mut().remove(id);
        self.revoked.send_modify(|count| *count += 1);
    }

    /// Tells when a token is revoked.
    pub(crate) fn revocations(&self) -> watch::Receiver<u64> {
        self.revoked.subscribe()
    }

    /// Whether a token opens anything.
    pub(crate) fn is_valid(&self, id: TokenId, now: Timestamp) -> bool {
        self.standing().by_id.get(&id).is_some_and(|standing| standing.token.is_valid(now))
    }

    /// Recognises a secret. The second value is a use to be written down.
    fn recognise(
        &self,
        secret: &str,
        now: Timestamp,
    ) -> Option<(Bearer, Option<(TokenId, Timestamp)>)> {
        let prefix = secret.get(..PREFIX_CHARS).filter(|_| secret.len() == SECRET_CHARS)?;
        let hash: [u8; 32] = Sha256::digest(secret.as_bytes()).into();
        let found = {
            let all = self.standing();
            let fits = |it: &&Standing| bool::from(it.hash.ct_eq(&hash));
            let mut alike = all.by_prefix.get(prefix)?.iter().filter_map(|id| all.by_id.get(id));
            Bearer::from(&alike.find(fits).filter(|it| it.token.is_valid(now))?.token)
        };
        let due = self.note_use(found.id, now);
        Some((found, due))
    }

    /// Who holds a token, by its id; nothing where it opens nothing.
    pub(crate) fn bearer_of(&self, id: TokenId, now: Timestamp) -> Option<Bearer> {
        let all = self.standing();
        all.by_id.get(&id).filter(|it| it.token.is_valid(now)).map(|it| Bearer::from(&it.token))
    }

    /// Notes a use; gives it where it is to be written down.
    pub(crate) fn note_use(&self, id: TokenId, now: Timestamp) -> Option<(TokenId, Timestamp)> {
        let noted = |it: &Standing| {
            it.used_at.is_some_and(|at| now.duration_since(at).as_secs() < 1)
                && !it.written_at.is_none_or(|at| is_older(at, now))
        };
        if self.standing().by_id.get(&id).is_none_or(noted) {
            return None;
        }
        let mut all = self.standing_mut();
        let standing = all.by_id.get_mut(&id)?;
        standing.used_at = Some(now);
        if !standing.written_at.is_none_or(|at| is_older(at, now)) {
            return None;
        }
        standing.written_at = Some(now);
        Some((id, now))
    }

    /// When a token was used last, in this run of the engine or before.
    fn used_at(&self, id: TokenId) -> Option<Timestamp> {
        self.standing().by_id.get(&id)?.used_at
    }
}

/// Whether a use that was written down is so old that the next one is to be.
pub(crate) fn is_older(at: Timestamp, now: Timestamp) -> bool {
    // A clock that was set back counts as much as one that went on.
    now.duration_since(at).as_secs().abs() >= USE_EVERY_S
}

impl Engine {
    /// The time by which keys come to their end: it does not go back while the engine runs.
    pub(crate) fn now_for_keys(&self) -> Timestamp {
        self.0.steady.at_least(self.0.clock.now())
    }

    /// Whose token this is; nothing where it is unknown, expired or revoked.
    #[must_use]
    pub fn bearer(&self, secret: &str) -> Option<Bearer> {
        let (bearer, due) = self.0.keys.recognise(secret, self.now_for_keys())?;
        if let Some(use_) = due {
            let ledger = self.0.ledger.clone();
            self.0.tasks.spawn(async move {
                let change = Change { token_uses: vec![use_], ..Change::default() };
                if let Err(error) = ledger.commit(change).await {
                    tracing::debug!(%error, "a token's last use was not written down");
                }
            });
        }
        Some(bearer)
    }

    /// Waits until a token is revoked or has come to its end, for what goes on after its request was
    /// let in, such as a stream.
    pub fn until_ended(&self, id: TokenId) -> impl Future<Output = ()> + Send + use<> {
        let engine = self.clone();
        let mut revoked = self.0.keys.revoked.subscribe();
        async move {
            while engine.0.keys.is_valid(id, engine.now_for_keys()) {
                // Its end by itself is seen within the minute.
                let news = tokio::time::timeout(LOOK_EVERY, revoked.changed()).await;
                if matches!(news, Ok(Err(_))) {
                    return;
                }
            }
        }
    }

    /// The tokens, newest first; the newest of those that were revoked only where they are asked for.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn tokens(&self, revoked: bool) -> Result<Listing<TokenView>, Refusal> {
        let ledger = &self.0.ledger;
        let mut kept = ledger.standing_tokens().await.map_err(unreadable)?;
        // However many agents run elsewhere, the tokens of others are not crowded out.
        let mut lent = 0;
        kept.retain(|kept| {
            lent += u32::from(kept.token.lent_to().is_some());
            kept.token.lent_to().is_none() || lent <= SHOWN_MAX
        });
        if revoked {
            let ever = ledger.tokens(true, SHOWN_MAX).await.map_err(unreadable)?;
            let known: HashSet<TokenId> = kept.iter().map(|kept| kept.token.id).collect();
            kept.extend(ever.into_iter().filter(|kept| !known.contains(&kept.token.id)));
            kept.sort_unstable_by_key(|kept| std::cmp::Reverse(kept.token.id));
        }
        let now = self.now_for_keys();
        let items = kept.into_iter().map(|kept| self.token_view(kept, now)).collect();
        Ok(Listing { items, next: None })
    }

    fn token_view(&self, kept: KeptToken, now: Timestamp) -> TokenView {
        let used_at = self.0.keys.used_at(kept.token.id).max(kept.used_at);
        TokenView { state: TokenState::of(&kept.token, now), used_at, token: kept.token }
    }

    /// Makes a token. Its secret is in the answer and nowhere else. It ends with what it was made by.
    ///
    /// # Errors
    /// When the name is taken, something is out of bounds, or there are too many tokens.
    pub async fn make_token(
        &self,
        caller: &Caller,
        by: Option<Maker>,
        new: NewToken,
    ) -> Result<MadeToken, Refusal> {
        let _alone = self.0.keys.changing.lock().await;
        if let Some(known) = self.made_before(caller).await? {
            return Ok(known);
        }
        self.maker_stands(by)?;
        let now = self.now_for_keys();
        let secret = draw(TOKEN_PREFIX)?;
        let token = AccessToken { made_by: by, ..self.checked(new, &secret, now).await? };
        let hash: [u8; 32] = Sha256::digest(secret.as_bytes()).into();
        let answer = caller.answer(serde_json::Value::String(token.id.to_string()));
        let fact = Fact::TokenMade { token: token.clone(), hash: hex(&hash) };
        self.record(caller, fact, answer).await?;
        self.0.keys.add(token.clone(), hash);
        let token = TokenView { state: TokenState::of(&token, now), used_at: None, token };
        Ok(MadeToken { token, secret: Some(secret) })
    }

    /// A token whose secret nobody is given: it says what a browser may do that has a login. Whoever
    /// asks for one is [`Keys::alone`] until it is written.
    pub(crate) async fn new_token(
        &self,
        new: NewToken,
    ) -> Result<(AccessToken, [u8; 32]), Refusal> {
        let secret = draw(TOKEN_PREFIX)?;
        let token = self.checked(new, &secret, self.now_for_keys()).await?;
        Ok((token, Sha256::digest(secret.as_bytes()).into()))
    }

    /// What this very request was answered before.
    pub(crate) async fn answered_before(
        &self,
        caller: &Caller,
    ) -> Result<Option<StoredAnswer>, Refusal> {
        let Some(key) = &caller.key else {
            return Ok(None);
        };
        match self.0.ledger.answer(key).await.map_err(unreadable)? {
            Some(known) if known.fingerprint != caller.fingerprint => Err(reused()),
            known => Ok(known),
        }
    }

    /// The token this very request made before.
    async fn made_before(&self, caller: &Caller) -> Result<Option<MadeToken>, Refusal> {
        let Some(known) = self.answered_before(caller).await? else {
            return Ok(None);
        };
        let id = known.body.as_str().and_then(|text| text.parse::<TokenId>().ok());
        let id = id.ok_or_else(reused)?;
        let kept = self.0.ledger.token(id).await.map_err(unreadable)?.ok_or_else(reused)?;
        let token = self.token_view(kept, self.now_for_keys());
        Ok(Some(MadeToken { token, secret: None }))
    }

    async fn checked(
        &self,
        new: NewToken,
        secret: &str,
        now: Timestamp,
    ) -> Result<AccessToken, Refusal> {
        let name = text_line("name", &new.name, NAME_CHARS_MAX)?;
        let standing = self.0.keys.others();
        let is_named = |token: &AccessToken| {
            token.is_valid(now) && token.name.to_lowercase() == name.to_lowercase()
        };
        if standing.iter().any(is_named) {
            return Err(Refusal::new(Code::Conflict, format!("there is a token '{name}' already"))
                .hint("revoke it, or choose another name"));
        }
        if standing.len() >= TOKENS_MAX {
            let message = format!("there are {TOKENS_MAX} tokens already");
            return Err(Refusal::new(Code::Conflict, message)
                .hint("revoke those that expired, and those that nothing uses any more"));
        }
        if new.scopes.len() > SCOPES_MAX {
            return Err(invalid(format!("a token has at most {SCOPES_MAX} scopes")));
        }
        let mut scopes: Vec<TokenScope> = Vec::new();
        for scope in new.scopes {
            self.check_scope(scope).await?;
            if !scopes.contains(&scope) {
                scopes.push(scope);
            }
        }
        let expires_at = match new.days {
            None => None,
            Some(days) if (1..=DAYS_MAX).contains(&days) => {
                Some(now + SignedDuration::from_hours(24 * i64::from(days)))
            }
            Some(days) => {
                let message = format!("a token cannot hold for {days} days");
                return Err(invalid(message).hint(format!("give 1 to {DAYS_MAX} days, or none")));
            }
        };
        Ok(AccessToken {
            id: TokenId::draw(now, &mut SystemDraw),
            name,
            prefix: secret.chars().take(PREFIX_CHARS).collect(),
            role: new.role,
            scopes,
            made_at: now,
            expires_at,
            revoked_at: None,
            made_by: None,
        })
    }

    async fn check_scope(&self, scope: TokenScope) -> Result<(), Refusal> {
        let ledger = &self.0.ledger;
        let there = match scope {
            TokenScope::Area { .. } => true,
            TokenScope::Agent { id } => ledger.agent(id).await.map_err(unreadable)?.is_some(),
            TokenScope::Mission { id } => ledger.mission(id).await.map_err(unreadable)?.is_some(),
        };
        match there {
            true => Ok(()),
            false => Err(invalid("a scope names something that is not there")
                .hint("give the id of an agent or a mission that there is")),
        }
    }

    /// Revokes a token, with everything that was made by it. They open nothing from the moment this is
    /// called, also where the revocation cannot be written at once.
    ///
    /// # Errors
    /// When there is no such token, or it was revoked before.
    pub async fn revoke_token(&self, caller: &Caller, id: TokenId) -> Result<(), Refusal> {
        let _no_login = self.0.logins.alone().await;
        let _alone = self.0.keys.changing.lock().await;
        if self.answered_before(caller).await?.is_some() {
            return Ok(());
        }
        let standing = self.0.ledger.standing_tokens().await.map_err(unreadable)?;
        if !standing.iter().any(|kept| kept.token.id == id) {
            return Err(match self.0.ledger.token(id).await.map_err(unreadable)? {
                Some(KeptToken { token, .. }) => {
                    let message = format!("the token '{}' is already revoked", token.name);
                    Refusal::new(Code::Conflict, message)
                }
                None => Refusal::new(Code::NotFound, format!("there is no token '{id}'"))
                    .hint("list the tokens to see their ids"),
            });
        }
        self.0.keys.drop_token(id);
        let chain = self.chain_of(&Roots::token(id)).await?;
        self.end_chain(caller, &chain).await.map_err(|error| not_ended(&error))?;
        let answer = caller.answer(serde_json::Value::Null);
        let fact = Fact::TokenRevoked { token_id: id, at: self.0.clock.now() };
        self.record(caller, fact, answer).await.map_err(|refusal| {
            refusal.hint("the token opens nothing until the next start; revoke it again")
        })
    }

    async fn record(
        &self,
        caller: &Caller,
        fact: Fact,
        answer: Option<StoredAnswer>,
    ) -> Result<(), Refusal> {
        let event = self.event_by(caller, caller.actor.clone(), fact);
        let change = Change { events: vec![event], answer, ..Change::default() };
        self.0.ledger.commit(change).await.map(drop).map_err(|error| unwritten(&error))
    }

    /// An event of a request about the house.
    pub(crate) fn event_by(&self, caller: &Caller, actor: Actor, fact: Fact) -> NewEvent {
        let now = self.0.clock.now();
        NewEvent {
            id: EventId::draw(now, &mut SystemDraw),
            at: now,
            actor,
            correlation_id: Some(caller.correlation_id),
            subject: Subject::default(),
            fact,
        }
    }

    /// Says how other machines reach this engine; it is shown to everybody from now on.
    pub fn set_exposed(&self, how: String) {
        // A second door would be told with the first.
        let _ = self.0.keys.exposed.set(how);
    }

    /// How other machines reach this engine; nothing when they cannot.
    #[must_use]
    pub fn exposed(&self) -> Option<String> {
        self.0.keys.exposed.get().cloned()
    }
}

fn reused() -> Refusal {
    Refusal::new(
        Code::IdempotencyMismatch,
        "this idempotency key was used before for another request; nothing was changed",
    )
}

impl Caller {
    /// What to answer when the same request comes again.
    pub(crate) fn answer(&self, body: serde_json::Value) -> Option<StoredAnswer> {
        let fingerprint = self.fingerprint;
        self.key.clone().map(|key| StoredAnswer { key, fingerprint, body })
    }
}

/// Why a change of the keys was not written.
pub(crate) fn unwritten(error: &CommitError) -> Refusal {
    match error {
        CommitError::KeyReused => reused(),
        CommitError::Busy => Refusal::new(Code::Busy, format!("failed to {error}")),
        CommitError::Conflict { .. } => Refusal::new(Code::Conflict, error.to_string()),
        _ => {
            tracing::error!(
                error = error as &dyn std::error::Error,
                "a change of the access tokens or logins was not written"
            );
            Refusal::new(Code::Internal, format!("failed to {error}"))
        }
    }
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A secret of 256 random bits.
pub(crate) fn draw(prefix: &str) -> Result<String, Refusal> {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| {
        Refusal::new(Code::Internal, format!("failed to draw random numbers: {error}"))
    })?;
    Ok(format!("{prefix}{}", hex(&bytes)))
}

#[cfg(test)]
mod tests;
