//! Logins: browsers that sign in, are recognised, listed and signed out.
//!
//! Invariant: a login is two secrets, drawn here, handed out once and kept nowhere: one for a cookie,
//! which a browser sends to every port of its host, and one for the page, which it keeps to itself.
//! Neither opens anything without the other. A login that is ended opens nothing from before its end
//! is written on.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use model::event::{Actor, Fact};
use model::id::{LoginId, SystemDraw, TokenId};
use model::login::{CAPTAIN_DAYS, LOGINS_MAX, Login, LoginEnd, LoginVia, PAIRED_DAYS, agent_text};
use model::refusal::{Code, Refusal};
use model::token::{AccessToken, Maker, TokenRole};
use sha2::{Digest, Sha256};
use store::ledger::{Change, KeptLogin, Ledger, ReadError};
use subtle::ConstantTimeEq;
use tokio::sync::watch;

use crate::keys::{Bearer, Roots, draw, hex, is_older, not_ended, unwritten};
use crate::resolve::unreadable;
use crate::view::{Listing, LoginState, LoginView, NewToken};
use crate::{Caller, Engine};

/// What the secret in a cookie starts with, so that a leaked one can be found.
pub const COOKIE_PREFIX: &str = "hk_l_";
/// What the secret of a page starts with.
pub const PAGE_PREFIX: &str = "hk_p_";
/// How often it is looked whether a login that is still in use has come to its end.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// How many logins a list shows, with those that were ended.
const SHOWN_MAX: u32 = 500;

type Hash = [u8; 32];

/// A browser that wants to sign in, and has shown a one-time code.
#[derive(Debug, Clone)]
pub struct NewLogin {
    /// The token it is to get, where it is paired; nothing for the captain.
    pub pairing: Option<NewToken>,
    /// The browser whose link it comes in by.
    pub by: Option<LoginId>,
    /// The page it asks from.
    pub origin: String,
    /// Where it is.
    pub from: Option<IpAddr>,
    /// What it calls itself.
    pub agent: String,
    /// The login it has now, which ends with this.
    pub instead_of: Option<LoginId>,
}

/// A login that was made.
pub struct MadeLogin {
    /// The login.
    pub login: Login,
    /// What its cookie is to hold.
    pub cookie: String,
    /// What its page is to show.
    pub page: String,
    /// The logins that ended with this: nothing they asked for is good any more.
    pub ended: Vec<LoginId>,
}

impl std::fmt::Debug for MadeLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MadeLogin").field("login", &self.login).finish_non_exhaustive()
    }
}

/// A login whose cookie was shown. It opens nothing yet: its page has to prove itself too.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// The login.
    pub id: LoginId,
    /// The page it is good for.
    pub origin: String,
    /// The token that says what it may do; nothing for the captain.
    pub bearer: Option<Bearer>,
    page_hash: Hash,
}

impl SignedIn {
    /// Whether this is the secret of its page.
    #[must_use]
    pub fn is_page(&self, shown: &str) -> bool {
        self.page_hash.ct_eq(&digest(shown)).into()
    }

    /// Who does what is asked with it.
    #[must_use]
    pub fn actor(&self) -> Actor {
        self.bearer.as_ref().map_or(Actor::Captain, Bearer::actor)
    }
}

/// The logins that stand, as the door needs them.
#[derive(Debug, Default)]
pub(crate) struct Logins {
    standing: RwLock<HashMap<Hash, Standing>>,
    /// One change of the logins at a time.
    changing: tokio::sync::Mutex<()>,
    /// Counts the logins that were ended.
    ended: watch::Sender<u64>,
}

#[derive(Debug, Clone)]
struct Standing {
    login: Login,
    page_hash: Hash,
    used_at: Option<Timestamp>,
    /// The use that is on disk, or on its way there.
    written_at: Option<Timestamp>,
}

impl Logins {
    /// Reads the logins.
    pub(crate) async fn read(ledger: &Ledger, now: Timestamp) -> Result<Self, ReadError> {
        let logins = Self::default();
        for kept in ledger.standing_logins(now).await? {
            let KeptLogin { login, cookie_hash, page_hash, used_at } = kept;
            let standing = Standing { login, page_hash, used_at, written_at: used_at };
            logins.standing_mut().insert(cookie_hash, standing);
        }
        Ok(logins)
    }

    fn standing(&self) -> RwLockReadGuard<'_, HashMap<Hash, Standing>> {
        self.standing.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn standing_mut(&self) -> RwLockWriteGuard<'_, HashMap<Hash, Standing>> {
        self.standing.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, id: LoginId) -> Option<Login> {
        let all = self.standing();
        all.values().find(|it| it.login.id == id).map(|it| it.login.clone())
    }

    fn find(&self, cookie: &str, now: Timestamp) -> Option<Standing> {
        if !cookie.starts_with(COOKIE_PREFIX) {
            return None;
        }
        self.standing().get(&digest(cookie)).filter(|it| it.login.is_valid(now)).cloned()
    }

    /// Keeps others from changing the logins meanwhile.
    pub(crate) async fn alone(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    /// Lets a login open nothing from now on.
    pub(crate) fn drop_login(&self, id: LoginId) {
        self.standing_mut().retain(|_, it| it.login.id != id);
        self.ended.send_modify(|count| *count += 1);
    }

    /// Adds a login; those that open nothing any more are looked for no longer.
    fn add(&self, cookie: Hash, standing: Standing, is_good: impl Fn(&Login) -> bool) {
        let mut all = self.standing_mut();
        all.retain(|_, it| is_good(&it.login));
        all.insert(cookie, standing);
    }

    /// Notes a use; gives it where it is to be written down.
    fn note(&self, id: LoginId, now: Timestamp) -> Option<(LoginId, Timestamp)> {
        let noted = |it: &Standing| {
            it.used_at.is_some_and(|at| now.duration_since(at).as_secs() < 1)
                && !it.written_at.is_none_or(|at| is_older(at, now))
        };
        if self.standing().values().find(|it| it.login.id == id).is_none_or(noted) {
            return None;
        }
        let mut all = self.standing_mut();
        let standing = all.values_mut().find(|it| it.login.id == id)?;
        standing.used_at = Some(now);
        if !standing.written_at.is_none_or(|at| is_older(at, now)) {
            return None;
        }
        standing.written_at = Some(now);
        Some((id, now))
    }

    fn used_at(&self, id: LoginId) -> Option<Timestamp> {
        self.standing().values().find(|it| it.login.id == id)?.used_at
    }

    /// The captain's logins that give way to one more, the oldest first.
    fn crowded(&self, now: Timestamp) -> Vec<Login> {
        let all = self.standing();
        let own = |it: &&Standing| it.login.token_id.is_none() && it.login.is_valid(now);
        let mut own: Vec<&Login> = all.values().filter(own).map(|it| &it.login).collect();
        own.sort_by_key(|login| (login.made_at, login.id));
        let over = (own.len() + 1).saturating_sub(LOGINS_MAX);
        own.into_iter().take(over).cloned().collect()
    }
}

fn digest(secret: &str) -> Hash {
    Sha256::digest(secret.as_bytes()).into()
}

fn new_login(new: &NewLogin, token: Option<&AccessToken>, now: Timestamp) -> Login {
    let (via, days) = match token {
        None => (LoginVia::Code, CAPTAIN_DAYS),
        Some(_) => (LoginVia::Pairing, PAIRED_DAYS),
    };
    Login {
        id: LoginId::draw(now, &mut SystemDraw),
        via,
        token_id: token.map(|token| token.id),
        made_by: new.by,
        origin: new.origin.clone(),
        from: new.from.map(|ip| ip.to_string()),
        agent: agent_text(&new.agent),
        made_at: now,
        expires_at: now + SignedDuration::from_hours(24 * i64::from(days)),
        ended: None,
    }
}

/// What happens when a login ends: nobody else holds its token, which was made for it alone.
fn ends_of(login: &Login, why: LoginEnd, at: Timestamp) -> Vec<Fact> {
    let out = Fact::LoggedOut { login_id: login.id, at, why };
    let revoked = login.token_id.map(|token_id| Fact::TokenRevoked { token_id, at });
    [out].into_iter().chain(revoked).collect()
}

impl Engine {
    /// Signs a browser in, and gives a paired one its token.
    ///
    /// # Errors
    /// When a paired browser's name is taken by now, or the login cannot be written; nobody is signed
    /// in then.
    pub async fn log_in(&self, caller: &Caller, new: NewLogin) -> Result<MadeLogin, Refusal> {
        let _alone = self.0.logins.changing.lock().await;
        let _no_other_token = self.0.keys.alone().await;
        let now = self.now_for_keys();
        let by = new.by.map(|id| Maker::Login { id });
        self.maker_stands(by)?;
        let token = match new.pairing.clone() {
            Some(pairing) => {
                let (token, hash) = self.new_token(pairing).await?;
                Some((AccessToken { made_by: by, ..token }, hash))
            }
            None => None,
        };
        let login = new_login(&new, token.as_ref().map(|(token, _)| token), now);
        let (cookie, page) = (draw(COOKIE_PREFIX)?, draw(PAGE_PREFIX)?);
        let (cookie_hash, page_hash) = (digest(&cookie), digest(&page));
        let mut actor = caller.actor.clone();
        let mut events = Vec::new();
        if let Some((token, hash)) = &token {
            let made = Fact::TokenMade { token: token.clone(), hash: hex(hash) };
            events.push(self.event_by(caller, actor, made));
            actor = Actor::Token { id: token.id, name: token.name.clone() };
        }
        let over = self.giving_way(&login, new.instead_of);
        for (old, why) in &over {
            // What it lent to others goes first, so that none of it is left behind.
            let chain = self.chain_of(&Roots::login(old, false)).await?;
            self.end_chain(&caller.without_key(), &chain)
                .await
                .map_err(|error| not_ended(&error))?;
            let by = if *why == LoginEnd::Crowded { Actor::Engine } else { actor.clone() };
            // That of a browser that signs in again says by its time which login took its place.
            let at = if *why == LoginEnd::Again { now } else { self.0.clock.now() };
            let ends = ends_of(old, *why, at).into_iter();
            events.extend(ends.map(|fact| self.event_by(caller, by.clone(), fact)));
        }
        let (cookie_hex, page_hex) = (hex(&cookie_hash), hex(&page_hash));
        let login_fact = login.clone();
        let fact =
            Fact::LoggedIn { login: login_fact, cookie_hash: cookie_hex, page_hash: page_hex };
        events.push(self.event_by(caller, actor, fact));
        let change = Change { events, ..Change::default() };
        self.0.ledger.commit(change).await.map_err(|error| unwritten(&error))?;
        if let Some((token, hash)) = token {
            self.0.keys.add(token, hash);
        }
        over.iter().for_each(|(old, _)| self.forget_login(old));
        let keep = |login: &Login| self.is_good(login, now);
        let standing =
            Standing { login: login.clone(), page_hash, used_at: None, written_at: None };
        self.0.logins.add(cookie_hash, standing, keep);
        let ended = over.into_iter().map(|(old, _)| old.id).collect();
        Ok(MadeLogin { login, cookie, page, ended })
    }

    /// The logins that end when this one begins.
    fn giving_way(&self, login: &Login, instead_of: Option<LoginId>) -> Vec<(Login, LoginEnd)> {
        let again = instead_of.and_then(|id| self.0.logins.of(id));
        let again = again.filter(|old| self.is_good(old, login.made_at));
        let crowded = match login.token_id {
            None => self.0.logins.crowded(login.made_at),
            Some(_) => Vec::new(),
        };
        let others = crowded.into_iter().filter(|old| again.as_ref() != Some(old));
        let others: Vec<_> = others.map(|old| (old, LoginEnd::Crowded)).collect();
        again.map(|old| (old, LoginEnd::Again)).into_iter().chain(others).collect()
    }

    /// Lets a login and its token open nothing from now on.
    fn forget_login(&self, login: &Login) {
        self.0.logins.drop_login(login.id);
        if let Some(id) = login.token_id {
            self.0.keys.drop_token(id);
        }
    }

    /// Whether a login opens anything.
    fn is_good(&self, login: &Login, now: Timestamp) -> bool {
        login.is_valid(now) && login.token_id.is_none_or(|id| self.0.keys.is_valid(id, now))
    }

    /// Whose cookie this is; nothing where it is unknown, has come to its end, or was ended.
    #[must_use]
    pub fn signed_in(&self, cookie: &str) -> Option<SignedIn> {
        let now = self.now_for_keys();
        let Standing { login, page_hash, .. } = self.0.logins.find(cookie, now)?;
        let bearer = match login.token_id {
            Some(id) => Some(self.0.keys.bearer_of(id, now)?),
            None => None,
        };
        Some(SignedIn { id: login.id, origin: login.origin, bearer, page_hash })
    }

    /// Notes that a login was used, now that its page has proved itself.
    pub fn login_used(&self, signed_in: &SignedIn) {
        let now = self.0.clock.now();
        let login_uses: Vec<_> = self.0.logins.note(signed_in.id, now).into_iter().collect();
        let token = signed_in.bearer.as_ref();
        let token_uses: Vec<_> =
            token.and_then(|bearer| self.0.keys.note_use(bearer.id, now)).into_iter().collect();
        if login_uses.is_empty() && token_uses.is_empty() {
            return;
        }
        let ledger = self.0.ledger.clone();
        self.0.tasks.spawn(async move {
            let change = Change { login_uses, token_uses, ..Change::default() };
            if let Err(error) = ledger.commit(change).await {
                tracing::debug!(%error, "a login's last use was not written down");
            }
        });
    }

    /// Waits until a login is ended or has come to its end, for what goes on after its request was let
    /// in, such as a stream.
    pub fn until_signed_out(&self, id: LoginId) -> impl Future<Output = ()> + Send + use<> {
        let engine = self.clone();
        let mut ended = self.0.logins.ended.subscribe();
        let mut revoked = self.0.keys.revocations();
        async move {
            while engine.stands(id) {
                // Its end by itself is seen within the minute.
                tokio::select! {
                    news = ended.changed() => if news.is_err() { return },
                    news = revoked.changed() => if news.is_err() { return },
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
            }
        }
    }

    /// Whether a login opens anything.
    pub(crate) fn stands(&self, id: LoginId) -> bool {
        let now = self.now_for_keys();
        self.0.logins.of(id).is_some_and(|login| self.is_good(&login, now))
    }

    /// The logins, newest first; those that came to their end only where they are asked for.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn logins(&self, ended: bool) -> Result<Listing<LoginView>, Refusal> {
        let (ledger, now) = (&self.0.ledger, self.now_for_keys());
        let kept = ledger.logins(now, ended, SHOWN_MAX).await.map_err(unreadable)?;
        let ids = kept.iter().filter_map(|kept| kept.login.token_id);
        let named = self.named(ids, now).await?;
        let view = |kept: KeptLogin| {
            let token = kept.login.token_id.and_then(|id| named.get(&id));
            LoginView {
                state: LoginState::of(&kept.login, now),
                role: match kept.login.token_id {
                    None => TokenRole::Admin,
                    Some(_) => token.map_or(TokenRole::Viewer, |token| token.role),
                },
                name: token.map(|token| token.name.clone()),
                used_at: self.0.logins.used_at(kept.login.id).max(kept.used_at),
                current: false,
                login: kept.login,
            }
        };
        Ok(Listing { items: kept.into_iter().map(view).collect(), next: None })
    }

    /// What the tokens of logins say, those that open nothing any more included.
    async fn named(
        &self,
        ids: impl Iterator<Item = TokenId>,
        now: Timestamp,
    ) -> Result<HashMap<TokenId, Bearer>, Refusal> {
        let mut named = HashMap::new();
        for id in ids {
            let known = match self.0.keys.bearer_of(id, now) {
                Some(bearer) => Some(bearer),
                None => {
                    let kept = self.0.ledger.token(id).await.map_err(unreadable)?;
                    kept.map(|kept| Bearer::from(&kept.token))
                }
            };
            named.extend(known.map(|bearer| (id, bearer)));
        }
        Ok(named)
    }

    /// A login that opens nothing here: its end could not be written, or it ended before.
    async fn login_on_disk(&self, id: LoginId) -> Result<Login, Refusal> {
        let mut all = self.0.ledger.logins_ever().await.map_err(unreadable)?.into_iter();
        match all.find(|kept| kept.login.id == id) {
            Some(kept) => Ok(kept.login),
            None => Err(Refusal::new(Code::NotFound, format!("there is no login '{id}'"))
                .hint("list the logins to see their ids")),
        }
    }

    /// Ends a login, with the token that was made for it and what that lent to others; where it is ended
    /// from elsewhere, with all that was made in it and by the logins that its browser had before or has
    /// since. They open nothing from the moment this is called, also where their end cannot be written at
    /// once. Of one that ended before, only what was made in it is left to end.
    ///
    /// # Errors
    /// When there is no such login, or it was ended before.
    pub async fn end_login(
        &self,
        caller: &Caller,
        id: LoginId,
        why: LoginEnd,
    ) -> Result<(), Refusal> {
        let _alone = self.0.logins.changing.lock().await;
        if self.answered_before(caller).await?.is_some() {
            return Ok(());
        }
        let now = self.now_for_keys();
        let login = match self.0.logins.of(id).filter(|login| self.is_good(login, now)) {
            Some(login) => login,
            None => self.login_on_disk(id).await?,
        };
        let _no_token = self.0.keys.alone().await;
        let stood = login.is_valid(now);
        self.forget_login(&login);
        let chain = self.chain_of(&Roots::login(&login, why == LoginEnd::Revoked)).await?;
        if !stood && chain.is_empty() {
            return Err(Refusal::new(Code::Conflict, "the browser is already signed out"));
        }
        let ends = if stood { ends_of(&login, why, self.0.clock.now()) } else { Vec::new() };
        self.end_chain(caller, &chain).await.map_err(|error| not_ended(&error))?;
        let events = ends.into_iter();
        let events = events.map(|fact| self.event_by(caller, caller.actor.clone(), fact)).collect();
        let answer = caller.answer(serde_json::Value::Null);
        let change = Change { events, answer, ..Change::default() };
        self.0.ledger.commit(change).await.map(drop).map_err(|error| {
            unwritten(&error).hint("the browser is signed out until the next start; end it again")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(n: i64, token: bool) -> Standing {
        let made_at = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(n);
        let login = Login {
            id: LoginId::draw(made_at, &mut SystemDraw),
            via: LoginVia::Code,
            token_id: token.then(|| model::id::TokenId::draw(made_at, &mut SystemDraw)),
            made_by: None,
            origin: "http://127.0.0.1:7171".into(),
            from: None,
            agent: String::new(),
            made_at,
            expires_at: made_at + SignedDuration::from_hours(1),
            ended: None,
        };
        Standing { login, page_hash: digest("page"), used_at: None, written_at: None }
    }

    #[test]
    fn a_cookie_is_recognised_whole_until_its_end() {
        let (logins, now) = (Logins::default(), Timestamp::UNIX_EPOCH);
        let cookie = draw(COOKIE_PREFIX).unwrap();
        let it = standing(0, false);
        let id = it.login.id;
        logins.add(digest(&cookie), it, |_| true);
        let who = |cookie: &str, now| logins.find(cookie, now).map(|it| it.login.id);
        assert_eq!(who(&cookie, now), Some(id));
        assert_eq!(who(&cookie[..cookie.len() - 1], now), None);
        assert_eq!(who("", now), None);
        assert_eq!(who(&cookie, now + SignedDuration::from_hours(1)), None);
        logins.drop_login(id);
        assert_eq!(who(&cookie, now), None);
    }

    #[test]
    fn a_page_is_recognised_by_its_own_secret_alone() {
        let Standing { login, page_hash, .. } = standing(0, false);
        let it = SignedIn { id: login.id, origin: login.origin, bearer: None, page_hash };
        assert!(it.is_page("page"));
        assert!(!it.is_page("") && !it.is_page("pag") && !it.is_page("page "));
        assert_eq!(it.actor(), Actor::Captain);
    }

    #[test]
    fn the_oldest_of_the_captains_logins_give_way_and_paired_ones_do_not_count() {
        let (logins, now) = (Logins::default(), Timestamp::UNIX_EPOCH);
        let mut ids = Vec::new();
        for n in 0..LOGINS_MAX as i64 {
            assert_eq!(logins.crowded(now), [], "{n}");
            let it = standing(n, false);
            ids.push(it.login.id);
            logins.add(digest(&n.to_string()), it, |_| true);
            logins.add(digest(&format!("paired {n}")), standing(n, true), |_| true);
        }
        let crowded: Vec<_> = logins.crowded(now).iter().map(|login| login.id).collect();
        assert_eq!(crowded, ids[..1]);
    }

    #[test]
    fn a_use_of_a_login_is_written_down_once_a_minute() {
        let (logins, now) = (Logins::default(), Timestamp::UNIX_EPOCH);
        let it = standing(0, false);
        let id = it.login.id;
        logins.add(digest("x"), it, |_| true);
        let due = |after_s| {
            let now = now + SignedDuration::from_secs(after_s);
            (logins.note(id, now).is_some(), logins.used_at(id) == Some(now))
        };
        assert_eq!(due(0), (true, true));
        assert_eq!(due(1), (false, true));
        assert_eq!(due(59), (false, true));
        assert_eq!(due(60), (true, true));
        assert_eq!(due(61), (false, true));
    }
}
