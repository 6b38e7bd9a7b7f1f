//! Who gets in: the token of this run, one-time codes, and the browsers signed in.
//!
//! Secrets are kept as SHA-256 only, live as long as the process and are compared in constant time.
//! A paired browser is none of these: it holds an access token of its own, in a cookie that its page
//! cannot read, so that it is listed, revoked and remembered as every token is.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::Caller;
use model::token::TokenRole;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::time::Instant;

/// How long a login link works, in seconds.
pub const LOGIN_CODE_S: u64 = 600;
/// How long a browser stays signed in, in seconds: a week.
pub const LOGIN_S: u64 = 7 * 24 * 3_600;
/// How long a browser stays paired, in days.
pub(crate) const PAIRED_DAYS: u32 = 30;
/// Wrong login codes per minute before every code is refused.
pub const WRONG_CODES_MAX: usize = 5;
/// The most login codes that wait at once; the oldest gives way.
const CODES_MAX: usize = 16;
/// The most browsers signed in at once; the oldest gives way.
const LOGINS_MAX: usize = 64;
/// The time wrong codes are counted over.
const WRONG_CODES_WINDOW: Duration = Duration::from_secs(60);
/// What every token starts with, so that leaked ones can be found.
const TOKEN_PREFIX: &str = "hk_";

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The operating system gave no random numbers.
    #[error("draw random numbers for a token: {0}")]
    Random(String),
}

/// Why a browser was not signed in.
#[derive(Debug)]
pub(crate) enum LoginRefused {
    /// The code is wrong, used or too old.
    Wrong,
    /// Too many wrong codes.
    TooMany {
        /// When to try again.
        retry_after_s: u32,
    },
    /// It could not be done.
    Broken(AccessError),
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

struct Code {
    hash: Hash,
    until: Instant,
    grant: Grant,
}

/// What a one-time code gives.
#[derive(Debug, Clone)]
pub(crate) enum Grant {
    /// A login as the captain, for this run of the engine.
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

/// What a one-time code gave.
#[derive(Debug)]
pub(crate) enum Redeemed {
    /// A login as the captain.
    Captain(BrowserLogin),
    /// The browser is to get an access token.
    Pairing(Pairing),
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

struct Login {
    session: Hash,
    csrf: Hash,
    until: Instant,
}

#[derive(Default)]
struct State {
    /// The door on this machine, first.
    doors: Vec<Door>,
    codes: VecDeque<Code>,
    logins: VecDeque<Login>,
    wrong: VecDeque<Instant>,
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

/// What a browser gets when it signs in.
pub(crate) struct BrowserLogin {
    session: String,
    csrf: String,
    seconds: u64,
}

impl std::fmt::Debug for BrowserLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BrowserLogin").finish_non_exhaustive()
    }
}

impl BrowserLogin {
    /// The login of a paired browser, which holds this access token.
    pub(crate) fn paired(secret: String) -> Self {
        let csrf = csrf_of(&secret);
        Self { session: secret, csrf, seconds: u64::from(PAIRED_DAYS) * 24 * 3_600 }
    }

    /// The cookies that sign it in, for the door with this port. Their names carry the port, because
    /// cookies do not tell ports apart and several engines may run on one machine.
    pub(crate) fn cookies(&self, port: u16, tls: bool) -> [String; 2] {
        let secure = if tls { "; Secure" } else { "" };
        let rest = format!("Path=/; SameSite=Strict; Max-Age={}{secure}", self.seconds);
        [
            format!("{}={}; HttpOnly; {rest}", session_cookie(port), self.session),
            format!("{}={}; {rest}", csrf_cookie(port), self.csrf),
        ]
    }
}

/// What the page of a paired browser proves itself with: it follows from the token, and the token
/// does not follow from it.
fn csrf_of(secret: &str) -> String {
    hex(&hash(&format!("csrf of {secret}")))
}

/// Whether a value is the one that the page of a paired browser was given.
pub(crate) fn is_csrf_of(secret: &str, csrf: &str) -> bool {
    same(&hash(csrf), &hash(&csrf_of(secret)))
}

/// The name of the cookie a page reads and sends back as a header.
pub(crate) fn csrf_cookie(port: u16) -> String {
    format!("hivekeeper_csrf_{port}")
}

/// The name of the cookie a page cannot read.
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

    /// What this engine is called, without its port, each name with whether it is encrypted there.
    pub(crate) fn own_names(&self) -> Vec<(String, bool)> {
        let usual = ["127.0.0.1", "localhost", "[::1]"].map(|name| (name.to_owned(), false));
        let state = self.state();
        let own = state.doors.iter().flat_map(|door| {
            door.names.iter().map(|name| (name.clone(), door.tls)).collect::<Vec<_>>()
        });
        usual.into_iter().chain(own).collect()
    }

    /// Whether `authority` (a `Host`, without scheme) is a name of this engine.
    pub(crate) fn is_here(&self, authority: &str) -> bool {
        self.is_at(authority, |_| true)
    }

    /// Whether `origin` is the page of this engine.
    pub(crate) fn is_own_page(&self, origin: &str) -> bool {
        match origin.split_once("://") {
            Some(("http", authority)) => self.is_at(authority, |door| !door.tls),
            Some(("https", authority)) => self.is_at(authority, |door| door.tls),
            _ => false,
        }
    }

    fn is_at(&self, authority: &str, which: impl Fn(&Door) -> bool) -> bool {
        let authority = authority.to_ascii_lowercase();
        self.state().doors.iter().any(|door| which(door) && door.is_called(&authority))
    }

    /// Whether a bearer token is this run's.
    pub(crate) fn knows_token(&self, token: &str) -> bool {
        same(&hash(token), &self.token)
    }

    /// Whether a session is signed in.
    pub(crate) fn knows_session(&self, session: &str, now: Instant) -> bool {
        self.find(session, now, |_| true)
    }

    /// Whether a session is signed in and the value is the one its page was given.
    pub(crate) fn knows_csrf(&self, session: &str, csrf: &str, now: Instant) -> bool {
        let csrf = hash(csrf);
        self.find(session, now, |login| same(&login.csrf, &csrf))
    }

    fn find(&self, session: &str, now: Instant, fits: impl Fn(&Login) -> bool) -> bool {
        let session = hash(session);
        self.state()
            .logins
            .iter()
            .filter(|login| now < login.until)
            .any(|login| same(&login.session, &session) & fits(login))
    }

    /// A new link that signs one browser in; nothing when this engine listens nowhere.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn login_link(&self, now: Instant) -> Result<Option<String>, AccessError> {
        self.link(now, Grant::Captain)
    }

    /// A new link that gives something once; it leads to where other machines reach this engine, if
    /// they do.
    pub(crate) fn link(&self, now: Instant, grant: Grant) -> Result<Option<String>, AccessError> {
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
        state.codes.push_back(Code { hash: hash(&code), until, grant });
        Ok(Some(link))
    }

    /// Where other machines reach this engine; nothing when they cannot.
    #[must_use]
    pub fn outer_url(&self) -> Option<String> {
        self.state().doors.iter().find(|door| door.tls).map(url_of)
    }

    /// Takes a one-time code, once.
    pub(crate) fn log_in(&self, code: &str, now: Instant) -> Result<Redeemed, LoginRefused> {
        let mut state = self.state();
        while state.wrong.front().is_some_and(|at| now.duration_since(*at) >= WRONG_CODES_WINDOW) {
            state.wrong.pop_front();
        }
        if state.wrong.len() >= WRONG_CODES_MAX {
            let oldest = state.wrong.front().copied().unwrap_or(now);
            let wait = WRONG_CODES_WINDOW.saturating_sub(now.duration_since(oldest));
            let retry_after_s = u32::try_from(wait.as_secs() + 1).unwrap_or(u32::MAX);
            return Err(LoginRefused::TooMany { retry_after_s });
        }
        state.codes.retain(|code| now < code.until);
        let wanted = hash(code);
        let found = state.codes.iter().position(|code| same(&code.hash, &wanted));
        let Some(taken) = found.and_then(|at| state.codes.remove(at)) else {
            state.wrong.push_back(now);
            return Err(LoginRefused::Wrong);
        };
        let pairing = match taken.grant {
            Grant::Captain => None,
            Grant::Pairing(pairing) => Some(pairing),
        };
        if let Some(pairing) = pairing {
            return Ok(Redeemed::Pairing(pairing));
        }
        let login = BrowserLogin {
            session: draw("").map_err(LoginRefused::Broken)?,
            csrf: draw("").map_err(LoginRefused::Broken)?,
            seconds: LOGIN_S,
        };
        state.logins.retain(|login| now < login.until);
        if state.logins.len() >= LOGINS_MAX {
            state.logins.pop_front();
        }
        state.logins.push_back(Login {
            session: hash(&login.session),
            csrf: hash(&login.csrf),
            until: now + Duration::from_secs(LOGIN_S),
        });
        Ok(Redeemed::Captain(login))
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

    fn log_in(access: &Access, code: &str, now: Instant) -> Result<BrowserLogin, LoginRefused> {
        access.log_in(code, now).map(|redeemed| match redeemed {
            Redeemed::Captain(login) => login,
            Redeemed::Pairing(_) => panic!("is no pairing"),
        })
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
        let login = log_in(&access, &first, now).unwrap();
        assert!(access.knows_session(&login.session, now));
        assert!(access.knows_csrf(&login.session, &login.csrf, now));
        assert!(!access.knows_csrf(&login.session, "x", now));
        assert!(matches!(access.log_in(&first, now), Err(LoginRefused::Wrong)));
        let late = code(&access, now);
        let after = now + Duration::from_secs(LOGIN_CODE_S);
        assert!(matches!(access.log_in(&late, after), Err(LoginRefused::Wrong)));
        let week = now + Duration::from_secs(LOGIN_S);
        assert!(!access.knows_session(&login.session, week));
    }

    #[test]
    fn after_five_wrong_codes_in_a_minute_even_the_right_one_waits() {
        let access = here();
        let now = Instant::now();
        let right = code(&access, now);
        for _ in 0..WRONG_CODES_MAX {
            assert!(matches!(access.log_in("wrong", now), Err(LoginRefused::Wrong)));
        }
        match access.log_in(&right, now + Duration::from_secs(20)) {
            Err(LoginRefused::TooMany { retry_after_s }) => assert_eq!(retry_after_s, 41),
            _ => panic!("was not refused"),
        }
        assert!(access.log_in(&right, now + Duration::from_secs(60)).is_ok());
    }

    #[test]
    fn codes_and_logins_are_bounded_and_the_oldest_gives_way() {
        let access = here();
        let now = Instant::now();
        let oldest = code(&access, now);
        let newer: Vec<_> = (0..CODES_MAX).map(|_| code(&access, now)).collect();
        assert!(access.log_in(&oldest, now).is_err());
        let first = log_in(&access, &newer[0], now).unwrap();
        for _ in 0..LOGINS_MAX {
            let code = code(&access, now);
            access.log_in(&code, now).unwrap();
        }
        assert!(!access.knows_session(&first.session, now));
    }

    #[test]
    fn only_the_names_of_this_engine_on_its_port_are_here() {
        let access = here();
        let check = |authority: &str, here: bool| {
            assert_eq!(access.is_here(authority), here, "{authority}");
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
        assert!(!Access::generate().unwrap().0.is_here("127.0.0.1:80"));
    }

    #[test]
    fn both_cookies_name_their_engine_and_a_page_reads_only_one_of_them() {
        let access = here();
        let now = Instant::now();
        let login = log_in(&access, &code(&access, now), now).unwrap();
        let [session, csrf] = login.cookies(7171, false);
        assert!(session.starts_with("hivekeeper_login_7171="));
        assert!(session.contains("; HttpOnly; Path=/; SameSite=Strict"));
        assert!(csrf.starts_with("hivekeeper_csrf_7171="));
        assert!(!csrf.contains("HttpOnly"));
        assert!(![session, csrf].iter().any(|cookie| cookie.contains("Secure")));
        assert!(login.cookies(7172, true).iter().all(|cookie| cookie.ends_with("; Secure")));
    }

    #[test]
    fn a_paired_browsers_page_proves_itself_with_what_follows_from_its_token_only() {
        let secret = format!("hk_t_{}", "0".repeat(64));
        let csrf = BrowserLogin::paired(secret.clone()).csrf;
        assert!(is_csrf_of(&secret, &csrf));
        assert!(!is_csrf_of(&secret, ""));
        assert!(!is_csrf_of(&secret, &secret));
        assert!(!is_csrf_of(&format!("hk_t_{}", "1".repeat(64)), &csrf));
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
            assert_eq!(access.is_here(authority), here, "{authority}");
        }
        for (origin, own) in [
            ("https://build.example", true),
            ("http://build.example", false),
            ("http://127.0.0.1:7171", true),
            ("https://127.0.0.1:7171", false),
            ("build.example", false),
        ] {
            assert_eq!(access.is_own_page(origin), own, "{origin}");
        }
        let link = access.login_link(Instant::now()).unwrap().unwrap();
        assert!(link.starts_with("https://build.example:443/#login="), "{link}");
        assert_eq!(access.outer_url().unwrap(), "https://build.example:443");
    }
}
