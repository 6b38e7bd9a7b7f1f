//! Who gets in: the token of this run, one-time login codes, and the browsers signed in.
//!
//! Secrets are kept as SHA-256 only, live as long as the process and are compared in constant time.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::time::Instant;

/// How long a login link works, in seconds.
pub const LOGIN_CODE_S: u64 = 600;
/// How long a browser stays signed in, in seconds: a week.
pub const LOGIN_S: u64 = 7 * 24 * 3_600;
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
    let mut text = String::with_capacity(prefix.len() + 64);
    text.push_str(prefix);
    for byte in bytes {
        text.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
        text.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
    }
    Ok(text)
}

struct Code {
    hash: Hash,
    until: Instant,
}

struct Login {
    session: Hash,
    csrf: Hash,
    until: Instant,
}

#[derive(Default)]
struct State {
    listening: Option<SocketAddr>,
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
    port: u16,
}

impl BrowserLogin {
    /// The cookies that sign it in. Their names carry the port, because cookies do not tell ports
    /// apart and several engines may run on one machine.
    pub(crate) fn cookies(&self) -> [String; 2] {
        let rest = format!("Path=/; SameSite=Strict; Max-Age={LOGIN_S}");
        [
            format!("{}={}; HttpOnly; {rest}", session_cookie(self.port), self.session),
            format!("{}={}; {rest}", csrf_cookie(self.port), self.csrf),
        ]
    }
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

    /// Says where this engine listens; requests for any other name are refused.
    pub fn listening_on(&self, address: SocketAddr) {
        self.state().listening = Some(address);
    }

    /// The port this engine listens on.
    pub(crate) fn port(&self) -> Option<u16> {
        self.state().listening.map(|address| address.port())
    }

    /// What this engine is called, without its port.
    pub(crate) fn own_names(&self) -> impl Iterator<Item = String> {
        let own = self.state().listening.map(|address| host_of(address.ip()));
        let usual = ["127.0.0.1", "localhost", "[::1]"].map(str::to_owned);
        usual.into_iter().chain(own)
    }

    /// Whether `authority` (a `Host`, without scheme) is a name of this engine.
    pub(crate) fn is_here(&self, authority: &str) -> bool {
        let Some(address) = self.state().listening else {
            return false;
        };
        let own = host_of(address.ip());
        let authority = authority.to_ascii_lowercase();
        ["127.0.0.1", "localhost", "[::1]", &own].iter().any(|name| {
            authority == format!("{name}:{}", address.port())
                || (address.port() == 80 && authority == *name)
        })
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
        let code = draw("")?;
        let mut state = self.state();
        let Some(address) = state.listening else {
            return Ok(None);
        };
        if state.codes.len() >= CODES_MAX {
            state.codes.pop_front();
        }
        state
            .codes
            .push_back(Code { hash: hash(&code), until: now + Duration::from_secs(LOGIN_CODE_S) });
        Ok(Some(format!("http://{address}/#login={code}")))
    }

    /// Takes a login code, once.
    pub(crate) fn log_in(&self, code: &str, now: Instant) -> Result<BrowserLogin, LoginRefused> {
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
        let before = state.codes.len();
        state.codes.retain(|code| !same(&code.hash, &wanted));
        if state.codes.len() == before {
            state.wrong.push_back(now);
            return Err(LoginRefused::Wrong);
        }
        let port = state.listening.map_or(0, |address| address.port());
        let login = BrowserLogin {
            session: draw("").map_err(LoginRefused::Broken)?,
            csrf: draw("").map_err(LoginRefused::Broken)?,
            port,
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
        Ok(login)
    }
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
        let login = access.log_in(&first, now).unwrap();
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
        let first = access.log_in(&newer[0], now).unwrap();
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
        let login = access.log_in(&code(&access, now), now).unwrap();
        let [session, csrf] = login.cookies();
        assert!(session.starts_with("hivekeeper_login_7171="));
        assert!(session.contains("; HttpOnly; Path=/; SameSite=Strict"));
        assert!(csrf.starts_with("hivekeeper_csrf_7171="));
        assert!(!csrf.contains("HttpOnly"));
    }
}
