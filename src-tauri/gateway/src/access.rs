//! Who gets in: the token of this run, one-time codes, and the names this engine goes by.
//!
//! Secrets are kept as SHA-256 only, live as long as the process and are compared in constant time.
//! Browsers that used a code are none of these: their logins are the engine's, so that they are
//! listed, ended and remembered.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::Caller;
use model::id::LoginId;
use model::token::TokenRole;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::time::Instant;

use crate::door::Via;

/// How long a login link works, in seconds.
pub const LOGIN_CODE_S: u64 = 600;
/// The most login codes that wait at once; the oldest gives way.
const CODES_MAX: usize = 16;
/// What every token starts with, so that leaked ones can be found.
const TOKEN_PREFIX: &str = "hk_";

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The operating system gave no random numbers.
    #[error("draw random numbers for a token: {0}")]
    Random(String),
}

type Hash = [u8; 32];

fn hash(secret: &str) -> Hash {
    Sha256::digest(secret.as_bytes()).into()
}

/// An address as it stands in a URL.
fn host_of(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

fn same(a: &Hash, b: &Hash) -> bool {
    a.ct_eq(b).into()
}

/// 256 random bits as text.
fn draw(prefix: &str) -> Result<String, AccessError> {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| AccessError::Random(error.to_string()))?;
    Ok(format!("{prefix}{}", hex(&bytes)))
}

fn hex(bytes: &[u8; 32]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// A one-time code that waits for its browser.
pub(crate) struct Code {
    hash: Hash,
    until: Instant,
    grant: Grant,
    /// The browser it was asked for by; it is worth nothing once that is signed out.
    by: Option<LoginId>,
}

impl Code {
    /// What it gives.
    pub(crate) fn grant(&self) -> &Grant {
        &self.grant
    }

    /// The browser it was asked for by.
    pub(crate) fn by(&self) -> Option<LoginId> {
        self.by
    }
}

/// What a one-time code gives.
#[derive(Debug, Clone)]
pub(crate) enum Grant {
    /// A login as the captain.
    Captain,
    /// An access token of the browser's own.
    Pairing(Pairing),
}

/// A browser that is to be paired.
#[derive(Debug, Clone)]
pub(crate) struct Pairing {
    /// Its name.
    pub(crate) name: String,
    /// What it may do.
    pub(crate) role: TokenRole,
    /// Who lets it in.
    pub(crate) caller: Caller,
}

/// Where this engine is reached.
#[derive(Debug, Clone)]
struct Door {
    address: SocketAddr,
    names: Vec<String>,
    tls: bool,
}

impl Door {
    /// Whether `authority` is one of its names with its port.
    fn is_called(&self, authority: &str) -> bool {
        let default = if self.tls { 443 } else { 80 };
        self.names.iter().any(|name| {
            authority == format!("{name}:{}", self.address.port())
                || (self.address.port() == default && authority == *name)
        })
    }
}

#[derive(Default)]
struct State {
    /// The door on this machine, first.
    doors: Vec<Door>,
    codes: VecDeque<Code>,
}

/// The keys of this run.
pub struct Access {
    token: Hash,
    state: Mutex<State>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").finish_non_exhaustive()
    }
}

/// The name of the cookie of a login. It carries the port, because cookies do not tell ports apart and
/// several engines may run on one machine.
pub(crate) fn session_cookie(port: u16) -> String {
    format!("hivekeeper_login_{port}")
}

impl Access {
    /// Draws the keys of this run; the token is given out here and nowhere else.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn generate() -> Result<(Self, String), AccessError> {
        let token = draw(TOKEN_PREFIX)?;
        let access = Self { token: hash(&token), state: Mutex::default() };
        Ok((access, token))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says where this engine listens on this machine; requests for any other name are refused.
    pub fn listening_on(&self, address: SocketAddr) {
        let mut names: Vec<String> =
            ["127.0.0.1", "localhost", "[::1]"].map(str::to_owned).to_vec();
        names.push(host_of(address.ip()));
        let door = Door { address, names, tls: false };
        let mut state = self.state();
        state.doors.retain(|door| door.tls);
        state.doors.insert(0, door);
    }

    /// Says where this engine listens for other machines, encrypted, and by which names they know
    /// this one. Its own addresses need not be among them.
    pub fn listening_for_others(&self, address: SocketAddr, names: Vec<String>) {
        let mut names: Vec<String> =
            names.into_iter().map(|name| name.to_ascii_lowercase()).collect();
        if !address.ip().is_unspecified() {
            names.push(host_of(address.ip()));
        }
        self.state().doors.push(Door { address, names, tls: true });
    }

    /// The port this engine listens on.
    pub(crate) fn port(&self) -> Option<u16> {
        self.state().doors.first().map(|door| door.address.port())
    }

    /// Whether `authority` (a `Host`, without scheme) is a name of this engine at the door that was
    /// come through; at any door where that is not known.
    pub(crate) fn is_here(&self, authority: &str, via: Option<&Via>) -> bool {
        via.is_some_and(|via| via.is_called(authority)) || self.is_at(authority, via, None)
    }

    /// Whether `origin` is the page of this engine behind that door.
    pub(crate) fn is_own_page(&self, origin: &str, via: Option<&Via>) -> bool {
        let named = match origin.split_once("://") {
            Some(("http", authority)) => self.is_at(authority, via, Some(false)),
            Some(("https", authority)) => self.is_at(authority, via, Some(true)),
            _ => false,
        };
        named || via.is_some_and(|via| via.is_own_page(origin))
    }

    fn is_at(&self, authority: &str, via: Option<&Via>, tls: Option<bool>) -> bool {
        let authority = authority.to_ascii_lowercase();
        self.state().doors.iter().any(|door| {
            tls.is_none_or(|tls| tls == door.tls)
                && via.is_none_or(|via| via.is_through(door.address.port(), door.tls))
                && door.is_called(&authority)
        })
    }

    /// Whether a bearer token is this run's.
    pub(crate) fn knows_token(&self, token: &str) -> bool {
        same(&hash(token), &self.token)
    }

    /// A new link that signs one browser in; nothing when this engine listens nowhere.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn login_link(&self, now: Instant) -> Result<Option<String>, AccessError> {
        self.link(now, Grant::Captain, None)
    }

    /// A new link that gives something once; it leads to where other machines reach this engine, if
    /// they do.
    pub(crate) fn link(
        &self,
        now: Instant,
        grant: Grant,
        by: Option<LoginId>,
    ) -> Result<Option<String>, AccessError> {
        let code = draw("")?;
        let mut state = self.state();
        let Some(door) = state.doors.iter().find(|door| door.tls).or(state.doors.first()) else {
            return Ok(None);
        };
        let link = format!("{}/#login={code}", url_of(door));
        if state.codes.len() >= CODES_MAX {
            state.codes.pop_front();
        }
        let until = now + Duration::from_secs(LOGIN_CODE_S);
        state.codes.push_back(Code { hash: hash(&code), until, grant, by });
        Ok(Some(link))
    }

    /// Where other machines reach this engine; nothing when they cannot.
    #[must_use]
    pub fn outer_url(&self) -> Option<String> {
        self.state().doors.iter().find(|door| door.tls).map(url_of)
    }

    /// Takes a one-time code, once; nothing where it is wrong, used or too old.
    pub(crate) fn take(&self, code: &str, now: Instant) -> Option<Code> {
        let mut state = self.state();
        state.codes.retain(|code| now < code.until);
        let wanted = hash(code);
        let found = state.codes.iter().position(|code| same(&code.hash, &wanted));
        found.and_then(|at| state.codes.remove(at))
    }

    /// Lets a code be used that was taken for nothing.
    pub(crate) fn give_back(&self, code: Code) {
        let mut state = self.state();
        if state.codes.len() < CODES_MAX {
            state.codes.push_front(code);
        }
    }

    /// Forgets the codes that a browser asked for.
    pub(crate) fn forget_codes_of(&self, id: LoginId) {
        self.state().codes.retain(|code| code.by != Some(id));
    }
}

/// What to open to come through a door: the first name it was given, or its address. Where it listens
/// on every address, that of the way out of this machine.
fn url_of(door: &Door) -> String {
    let port = door.address.port();
    if !door.tls {
        return format!("http://{}", door.address);
    }
    match door.names.first() {
        Some(name) => format!("https://{name}:{port}"),
        None => format!("https://{}:{port}", host_of(way_out().unwrap_or(door.address.ip()))),
    }
}

/// The address of this machine that others see; nothing is sent to find it.
fn way_out() -> Option<IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    // An address that is reserved for documentation.
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> Access {
        let (access, _) = Access::generate().unwrap();
        access.listening_on("127.0.0.1:7171".parse().unwrap());
        access
    }

    fn code(access: &Access, now: Instant) -> String {
        let link = access.login_link(now).unwrap().unwrap();
        link.split_once("#login=").unwrap().1.to_owned()
    }

    #[test]
    fn a_token_has_a_prefix_and_256_bits_and_only_itself_is_known() {
        let (access, token) = Access::generate().unwrap();
        assert!(token.starts_with("hk_"));
        assert_eq!(token.len(), 3 + 64);
        assert!(access.knows_token(&token));
        assert!(!access.knows_token(&token[..66]));
        assert!(!access.knows_token(""));
        assert!(!access.knows_token(&Access::generate().unwrap().1));
    }

    #[test]
    fn a_login_code_works_once_and_for_ten_minutes() {
        let access = here();
        let now = Instant::now();
        let first = code(&access, now);
        assert!(access.take("wrong", now).is_none());
        assert!(access.take(&first, now).is_some());
        assert!(access.take(&first, now).is_none());
        let late = code(&access, now);
        let after = now + Duration::from_secs(LOGIN_CODE_S);
        assert!(access.take(&late, after).is_none());
    }

    #[test]
    fn a_code_that_was_taken_for_nothing_still_works_until_its_time_is_over() {
        let access = here();
        let now = Instant::now();
        let it = code(&access, now);
        access.give_back(access.take(&it, now).unwrap());
        let after = now + Duration::from_secs(LOGIN_CODE_S);
        assert!(access.take(&it, now).is_some());
        access.give_back(Code { hash: hash("x"), until: after, grant: Grant::Captain, by: None });
        assert!(access.take("x", after).is_none());
    }

    #[test]
    fn codes_are_bounded_and_the_oldest_gives_way() {
        let access = here();
        let now = Instant::now();
        let oldest = code(&access, now);
        let newer: Vec<_> = (0..CODES_MAX).map(|_| code(&access, now)).collect();
        assert!(access.take(&oldest, now).is_none());
        assert!(access.take(&newer[0], now).is_some());
    }

    #[test]
    fn the_codes_a_browser_asked_for_go_with_it() {
        let access = here();
        let now = Instant::now();
        let id = || LoginId::draw(model::Timestamp::UNIX_EPOCH, &mut model::id::SystemDraw);
        let (one, other) = (id(), id());
        let ask = |by| {
            let link = access.link(now, Grant::Captain, Some(by)).unwrap().unwrap();
            link.split_once("#login=").unwrap().1.to_owned()
        };
        let (gone, left) = (ask(one), ask(other));
        access.forget_codes_of(one);
        assert!(access.take(&gone, now).is_none());
        assert!(access.take(&left, now).is_some());
    }

    #[test]
    fn only_the_names_of_this_engine_on_its_port_are_here() {
        let access = here();
        let check = |authority: &str, here: bool| {
            assert_eq!(access.is_here(authority, None), here, "{authority}");
        };
        check("127.0.0.1:7171", true);
        check("localhost:7171", true);
        check("LOCALHOST:7171", true);
        check("[::1]:7171", true);
        check("127.0.0.1", false);
        check("127.0.0.1:7172", false);
        check("127.0.0.1:71711", false);
        check("127.0.0.2:7171", false);
        check("evil.example:7171", false);
        check("localhost.evil.example:7171", false);
        check("127.0.0.1.nip.io:7171", false);
        check("0.0.0.0:7171", false);
        check("user@127.0.0.1:7171", false);
        check("", false);
        assert!(!Access::generate().unwrap().0.is_here("127.0.0.1:80", None));
    }

    #[test]
    fn the_door_for_other_machines_has_its_own_names_scheme_and_link() {
        let access = here();
        access.listening_for_others("0.0.0.0:443".parse().unwrap(), vec!["Build.example".into()]);
        for (authority, here) in [
            ("build.example", true),
            ("build.example:443", true),
            ("build.example:7171", false),
            ("other.example:443", false),
            ("0.0.0.0:443", false),
            ("127.0.0.1:7171", true),
        ] {
            assert_eq!(access.is_here(authority, None), here, "{authority}");
        }
        for (origin, own) in [
            ("https://build.example", true),
            ("http://build.example", false),
            ("http://127.0.0.1:7171", true),
            ("https://127.0.0.1:7171", false),
            ("build.example", false),
        ] {
            assert_eq!(access.is_own_page(origin, None), own, "{origin}");
        }
        // Each name is good at its own door.
        let peer = "127.0.0.1:50000".parse().unwrap();
        let local = |text: &str| Some(text.parse().unwrap());
        let plain = Via::network(peer, local("127.0.0.1:7171"), false);
        let outer = Via::network(peer, local("192.168.1.2:443"), true);
        for (authority, at_plain, at_outer) in [
            ("127.0.0.1:7171", true, false),
            ("build.example", false, true),
            ("192.168.1.2", false, true),
        ] {
            assert_eq!(access.is_here(authority, Some(&plain)), at_plain, "{authority}");
            assert_eq!(access.is_here(authority, Some(&outer)), at_outer, "{authority}");
            let page = |scheme: &str| format!("{scheme}://{authority}");
            assert_eq!(access.is_own_page(&page("http"), Some(&plain)), at_plain, "{authority}");
            assert_eq!(access.is_own_page(&page("https"), Some(&outer)), at_outer, "{authority}");
            assert!(!access.is_own_page(&page("https"), Some(&plain)), "{authority}");
        }
        assert!(access.is_here("127.0.0.1:7171", Some(&Via::unix())));
        assert!(access.is_here("localhost", Some(&Via::unix())));
        assert!(!access.is_here("build.example", Some(&Via::unix())));
        let link = access.login_link(Instant::now()).unwrap().unwrap();
        assert!(link.starts_with("https://build.example:443/#login="), "{link}");
        assert_eq!(access.outer_url().unwrap(), "https://build.example:443");
    }
}
