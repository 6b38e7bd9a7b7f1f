//! What ends with a key: everything that was made by it, and by what it made.
//!
//! A token that lets another one in must not leave it behind; neither must a browser that somebody signs
//! out from elsewhere because it is not trusted any more, whichever of its logins that was made in. What
//! the captain made in a browser that signed out by itself stays.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use model::event::Fact;
use model::id::{LoginId, TokenId};
use model::login::{Login, LoginEnd, LoginEnded};
use model::refusal::{Code, Refusal};
use model::token::{AccessToken, Maker};
use store::ledger::{CHANGE_EVENTS_MAX, Change, CommitError};

use super::unwritten;
use crate::resolve::unreadable;
use crate::{Caller, Engine};

/// Keys that end together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Chain {
    /// Logins, without those that begin it.
    logins: Vec<Login>,
    /// Tokens, without those that begin it; what was made last first.
    tokens: Vec<TokenId>,
}

impl Chain {
    /// Whether nothing ends.
    pub(crate) fn is_empty(&self) -> bool {
        self.logins.is_empty() && self.tokens.is_empty()
    }
}

/// Where a chain begins.
#[derive(Debug, Clone, Default)]
pub(crate) struct Roots {
    /// Tokens that end.
    tokens: Vec<TokenId>,
    /// Logins that end together with what was made in them.
    logins: Vec<LoginId>,
}

impl Roots {
    /// A token that is revoked.
    pub(crate) fn token(id: TokenId) -> Self {
        Self { tokens: vec![id], logins: Vec::new() }
    }

    /// A login that ends, with its token; with what was made in it where it is not trusted any more.
    pub(crate) fn login(login: &Login, mistrusted: bool) -> Self {
        let logins = if mistrusted { vec![login.id] } else { Vec::new() };
        Self { tokens: login.token_id.into_iter().collect(), logins }
    }
}

/// All logins of the browsers that are not trusted any more, and of those that these let in: a browser
/// that signs in again is the same one, and one that has signed out may have let others in.
fn mistrusted(roots: &[LoginId], logins: &[&Login]) -> HashSet<LoginId> {
    let mut found: HashSet<LoginId> = roots.iter().copied().collect();
    // By the time at which one took the place of another.
    let mut again: HashMap<Timestamp, Vec<&Login>> = HashMap::new();
    for login in logins {
        if let Some(LoginEnded { at, why: LoginEnd::Again }) = login.ended {
            again.entry(at).or_default().push(login);
        }
    }
    loop {
        let before = found.len();
        for login in logins {
            let old = again.get(&login.made_at).into_iter().flatten();
            let before = old.filter(|old| login.is_instead_of(old));
            let same: Vec<LoginId> = before.map(|old| old.id).collect();
            let is_same = same.iter().any(|id| found.contains(id));
            if is_same || login.made_by.is_some_and(|by| found.contains(&by)) {
                found.insert(login.id);
            }
            if found.contains(&login.id) {
                found.extend(same);
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

/// What ends with the roots, of the keys that stand; `ever` are all logins there were.
fn chain<'a>(
    roots: &Roots,
    tokens: impl Iterator<Item = &'a AccessToken> + Clone,
    ever: &[&Login],
    now: Timestamp,
) -> Chain {
    let mut ended_tokens: HashSet<TokenId> = roots.tokens.iter().copied().collect();
    let mut ended_logins = mistrusted(&roots.logins, ever);
    let logins = ever.iter().copied().filter(|login| login.is_valid(now));
    let mut chain = Chain::default();
    // What begins it is ended by whoever asks.
    let others = |login: &&Login| {
        ended_logins.contains(&login.id)
            && !roots.logins.contains(&login.id)
            && login.token_id.is_none_or(|id| !roots.tokens.contains(&id))
    };
    chain.logins.extend(logins.clone().filter(others).cloned());
    for login in &chain.logins {
        chain.tokens.extend(login.token_id.filter(|id| ended_tokens.insert(*id)));
    }
    loop {
        let before = (chain.tokens.len(), chain.logins.len());
        for token in tokens.clone().filter(|token| !ended_tokens.contains(&token.id)) {
            if match token.made_by {
                None => false,
                Some(Maker::Token { id }) => ended_tokens.contains(&id),
                Some(Maker::Login { id }) => ended_logins.contains(&id),
            } {
                chain.tokens.push(token.id);
            }
        }
        ended_tokens.extend(chain.tokens[before.0..].iter().copied());
        for login in logins.clone().filter(|login| !ended_logins.contains(&login.id)) {
            if login.token_id.is_some_and(|id| ended_tokens.contains(&id))
                || login.made_by.is_some_and(|id| ended_logins.contains(&id))
            {
                chain.logins.push(login.clone());
            }
        }
        for login in &chain.logins[before.1..] {
            ended_logins.insert(login.id);
            chain.tokens.extend(login.token_id.filter(|id| ended_tokens.insert(*id)));
        }
        if before == (chain.tokens.len(), chain.logins.len()) {
            chain.tokens.reverse();
            return chain;
        }
    }
}

impl Engine {
    /// What ends with these, as the ledger has it. Whoever asks keeps others from changing keys
    /// meanwhile.
    pub(crate) async fn chain_of(&self, roots: &Roots) -> Result<Chain, Refusal> {
        if roots.tokens.is_empty() && roots.logins.is_empty() {
            return Ok(Chain::default());
        }
        let ledger = &self.0.ledger;
        let tokens = ledger.standing_tokens().await.map_err(unreadable)?;
        let now = self.now_for_keys();
        // Only a browser that is not trusted is followed through what it was before.
        let logins = match roots.logins.is_empty() {
            true => ledger.standing_logins(now).await.map_err(unreadable)?,
            false => ledger.logins_ever().await.map_err(unreadable)?,
        };
        let tokens = tokens.iter().map(|kept| &kept.token);
        let logins: Vec<&Login> = logins.iter().map(|kept| &kept.login).collect();
        Ok(chain(roots, tokens, &logins, now))
    }

    /// Ends a chain: it opens nothing from the moment this is called, also where that cannot be written
    /// at once. What begins it is to be ended afterwards, so that it can be ended again where this fails.
    pub(crate) async fn end_chain(
        &self,
        caller: &Caller,
        chain: &Chain,
    ) -> Result<(), CommitError> {
        chain.tokens.iter().for_each(|id| self.0.keys.drop_token(*id));
        chain.logins.iter().for_each(|login| self.0.logins.drop_login(login.id));
        let at = self.0.clock.now();
        // A login that has a token ends with that.
        let own = chain.logins.iter().filter(|login| login.token_id.is_none());
        let outs =
            own.map(|login| Fact::LoggedOut { login_id: login.id, at, why: LoginEnd::Revoked });
        let revoked = chain.tokens.iter().map(|id| Fact::TokenRevoked { token_id: *id, at });
        let facts: Vec<Fact> = outs.chain(revoked).collect();
        for some in facts.chunks(CHANGE_EVENTS_MAX) {
            let event = |fact: &Fact| self.event_by(caller, caller.actor.clone(), fact.clone());
            self.0.ledger.commit(Change::events(some.iter().map(event).collect())).await?;
        }
        Ok(())
    }

    /// Refuses what was asked for by a key that has come to its end since.
    pub(crate) fn maker_stands(&self, by: Option<Maker>) -> Result<(), Refusal> {
        let stands = match by {
            None => true,
            Some(Maker::Token { id }) => self.0.keys.is_valid(id, self.now_for_keys()),
            Some(Maker::Login { id }) => self.stands(id),
        };
        match stands {
            true => Ok(()),
            false => {
                Err(Refusal::new(Code::Forbidden, "what this was asked for by has just ended"))
            }
        }
    }
}

/// Why a chain was not written.
pub(crate) fn not_ended(error: &CommitError) -> Refusal {
    unwritten(error).hint("it opens nothing until the next start; end it again")
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use model::id::SystemDraw;
    use model::login::LoginVia;
    use model::token::TokenRole;
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn token(made_by: Option<Maker>) -> AccessToken {
        AccessToken {
            id: TokenId::draw(Timestamp::UNIX_EPOCH, &mut SystemDraw),
            name: String::new(),
            prefix: String::new(),
            role: TokenRole::Operator,
            scopes: Vec::new(),
            made_at: Timestamp::UNIX_EPOCH,
            expires_at: None,
            revoked_at: None,
            made_by,
        }
    }

    fn login(token_id: Option<TokenId>, made_by: Option<LoginId>) -> Login {
        Login {
            id: LoginId::draw(Timestamp::UNIX_EPOCH, &mut SystemDraw),
            via: LoginVia::Code,
            token_id,
            made_by,
            origin: String::new(),
            from: None,
            agent: String::new(),
            made_at: Timestamp::UNIX_EPOCH,
            expires_at: Timestamp::MAX,
            ended: None,
        }
    }

    #[test]
    fn what_a_token_lent_and_what_that_lent_ends_with_it_and_nothing_else() {
        let root = token(None);
        let child = token(Some(Maker::Token { id: root.id }));
        let grandchild = token(Some(Maker::Token { id: child.id }));
        let (other, far) = (token(None), login(Some(grandchild.id), None));
        let by_other = token(Some(Maker::Token { id: other.id }));
        let tokens = [&grandchild, &other, &by_other, &root, &child];
        let found = chain(&Roots::token(root.id), tokens.into_iter(), &[&far], NOW);
        assert_eq!(found.tokens, [grandchild.id, child.id], "the last one first");
        assert_eq!(found.logins, [far]);
    }

    #[test]
    fn what_was_made_in_a_browser_ends_with_it_only_where_it_is_mistrusted() {
        let captain = login(None, None);
        let made = token(Some(Maker::Login { id: captain.id }));
        let invited = login(None, Some(captain.id));
        let by_invited = token(Some(Maker::Login { id: invited.id }));
        let tokens = [&made, &by_invited].into_iter();
        let logins = [&captain, &invited];
        let out = chain(&Roots::login(&captain, false), tokens.clone(), &logins, NOW);
        assert_eq!(out, Chain::default(), "it signed out by itself");
        let out = chain(&Roots::login(&captain, true), tokens, &logins, NOW);
        assert_eq!((out.logins, out.tokens), (vec![invited], vec![by_invited.id, made.id]));
    }

    /// Has a login take the place of another one, at that second.
    fn again(old: &mut Login, made_by: Option<LoginId>, second: i64) -> Login {
        let at = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second);
        old.ended = Some(LoginEnded { at, why: LoginEnd::Again });
        Login { made_at: at, ..login(None, made_by) }
    }

    #[test]
    fn a_browser_is_the_same_one_after_it_signed_in_again() {
        let made = |login: &Login| token(Some(Maker::Login { id: login.id }));
        let mut first = login(None, None);
        let id = first.id;
        let mut second = again(&mut first, Some(id), 1);
        let third = again(&mut second, None, 2);
        let other = login(None, None);
        let mut invited = login(None, Some(first.id));
        invited.ended = Some(LoginEnded { at: NOW, why: LoginEnd::SignedOut });
        let (by_first, by_third) = (made(&first), made(&third));
        let (by_invited, by_other) = (made(&invited), made(&other));
        let tokens = [&by_first, &by_third, &by_other, &by_invited].into_iter();
        let logins = [&third, &other, &invited, &second, &first];
        let of = |root: &Login| {
            let found = chain(&Roots::login(root, true), tokens.clone(), &logins, NOW);
            let ended: HashSet<TokenId> = found.tokens.into_iter().collect();
            (found.logins, ended == HashSet::from([by_first.id, by_third.id, by_invited.id]))
        };
        assert_eq!(of(&third), (vec![], true), "what it made before, and what was made by that");
        assert_eq!(of(&first), (vec![third.clone()], true), "what it is now");
        let out = chain(&Roots::login(&third, false), tokens, &logins, NOW);
        assert_eq!(out, Chain::default(), "it signed out by itself");
    }

    proptest! {
        #[test]
        fn nothing_is_left_whose_maker_ended(makers in proptest::collection::vec(any::<prop::sample::Index>(), 1..40)) {
            let mut tokens = vec![token(None), token(None)];
            for maker in &makers {
                let id = tokens[maker.index(tokens.len())].id;
                tokens.push(token(Some(Maker::Token { id })));
            }
            let found = chain(&Roots::token(tokens[0].id), tokens.iter(), &[], NOW);
            let ended = |id: TokenId| id == tokens[0].id || found.tokens.contains(&id);
            for token in &tokens[1..] {
                let by_ended = matches!(token.made_by, Some(Maker::Token { id }) if ended(id));
                prop_assert_eq!(ended(token.id), by_ended);
            }
        }
    }
}
