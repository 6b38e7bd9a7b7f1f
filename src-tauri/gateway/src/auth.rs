//! The door: every request passes here before it reaches a handler.
//!
//! Three questions in this order: was it meant for this engine (`Host`), does it come from this
//! engine's own page or from no page at all (`Origin`), and may its sender do this (token or login,
//! and the table of rights). A request that the window passes in within the process is the captain's.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use engine::{Bearer, Speaker};
use http::{HeaderMap, Method, StatusCode, Uri, header};
use model::refusal::Code;
use model::token::TOKEN_PREFIX;
use tokio::time::Instant;

use crate::Gate;
use crate::access::{Access, is_csrf_of, session_cookie};
use crate::door::Via;
use crate::problem::Problem;
use crate::rights::{Role, Rule, Verdict, area_of, look_up, object_of};

/// Marks a request as passed in by the window itself, within the process.
///
/// It is a request extension: nothing that comes over a socket can carry one.
#[derive(Debug, Clone, Copy)]
pub struct InProcess;

/// The header in which a page sends back the value of its readable cookie.
pub(crate) const CSRF_HEADER: &str = "x-hivekeeper-csrf";
/// What the tokens of attempts start with.
const ATTEMPT_PREFIX: &str = "hk_a_";

/// Lets a request pass or answers it with a problem. A handler finds the [`Speaker`] or [`Bearer`]
/// whose token opened the door, and the [`Role`], among the request's extensions and nowhere else.
pub(crate) async fn guard(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    match pass(&gate, &mut request).await {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

async fn pass(gate: &Gate, request: &mut Request) -> Result<(), Problem> {
    let in_process = request.extensions().get::<InProcess>().is_some();
    let via = request.extensions().get::<Via>().copied();
    let mut asked = Asked {
        method: request.method(),
        uri: request.uri(),
        headers: request.headers(),
        in_process,
        via,
        speaker: None,
        bearer: None,
    };
    // Nothing is looked up for a request that was sent by another page, or to another name.
    if !in_process {
        is_meant(&gate.access, &asked)?;
    }
    let speaker = match attempts_token(asked.headers).filter(|_| !in_process) {
        Some(token) => gate.engine.speaker(token).await,
        None => None,
    };
    let shown = if in_process { None } else { access_token(&gate.access, &asked) };
    let bearer = shown.and_then(|secret| gate.engine.bearer(secret));
    asked.speaker = speaker.as_ref();
    asked.bearer = bearer.as_ref();
    let role = match admit(&gate.access, &asked, Instant::now()) {
        Ok(role) => role,
        Err(problem) if problem.status == StatusCode::UNAUTHORIZED.as_u16() => {
            via.and_then(|via| via.peer).map_or(Ok(()), |peer| gate.limits.stranger(peer))?;
            return Err(problem);
        }
        Err(problem) => return Err(problem),
    };
    match &bearer {
        Some(bearer) => {
            gate.limits.token(bearer.id)?;
            is_within(gate, bearer, asked.uri.path()).await?;
        }
        // The window and the captain's token; attempts have measures of their own.
        None if role == Some(Role::Admin) && !in_process => gate.limits.captain()?,
        None => {}
    }
    let extensions = request.extensions_mut();
    if let Some(speaker) = speaker {
        extensions.insert(speaker);
    }
    if let Some(bearer) = bearer {
        extensions.insert(bearer);
    }
    if let Some(role) = role {
        extensions.insert(role);
    }
    Ok(())
}

/// A token that looks like an attempt's.
fn attempts_token(headers: &HeaderMap) -> Option<&str> {
    let value = single(headers, header::AUTHORIZATION.as_str()).ok()??;
    bearer(value).filter(|token| token.starts_with(ATTEMPT_PREFIX))
}

/// An access token, as a program shows it, or as a paired browser does.
fn access_token<'a>(access: &Access, asked: &Asked<'a>) -> Option<&'a str> {
    let shown = match single(asked.headers, header::AUTHORIZATION.as_str()).ok()? {
        Some(value) => bearer(value),
        None => session_of(access, asked),
    };
    shown.filter(|token| token.starts_with(TOKEN_PREFIX))
}

/// Refuses a token what lies outside of its scopes.
async fn is_within(gate: &Gate, bearer: &Bearer, path: &str) -> Result<(), Problem> {
    let object = object_of(path);
    if !crate::is_api(path)
        || path == crate::rights::WHO_AM_I
        || gate.engine.is_within(bearer, area_of(path), object).await
    {
        return Ok(());
    }
    Err(Problem::forbidden("this lies outside of the scopes of your token")
        .hint("GET /api/v1/whoami lists them; an agent or mission is named by its id"))
}

/// What is looked at.
struct Asked<'a> {
    method: &'a Method,
    uri: &'a Uri,
    headers: &'a HeaderMap,
    in_process: bool,
    /// The door it came through.
    via: Option<Via>,
    /// Whose attempt's token it carries.
    speaker: Option<&'a Speaker>,
    /// Whose access token it carries.
    bearer: Option<&'a Bearer>,
}

impl Asked<'_> {
    fn changes(&self) -> bool {
        !matches!(*self.method, Method::GET | Method::HEAD)
    }
}

/// Finds out who it is and whether they may; nobody in particular where anybody may.
fn admit(access: &Access, asked: &Asked<'_>, now: Instant) -> Result<Option<Role>, Problem> {
    if !asked.in_process {
        is_meant(access, asked)?;
    }
    let path = asked.uri.path();
    if !crate::is_api(path) {
        let wrong = asked.changes();
        return if wrong { Err(wrong_method(asked.method, "GET, HEAD")) } else { Ok(None) };
    }
    let verdict = look_up(asked.method, path);
    if verdict == Verdict::Rule(Rule::Anybody) {
        return Ok(None);
    }
    let role = if asked.in_process { Role::Admin } else { who(access, asked, now)? };
    match verdict {
        Verdict::Rule(Rule::Anybody) => Ok(None),
        Verdict::Rule(Rule::Needs(right)) if role.may(right) => Ok(Some(role)),
        Verdict::Rule(Rule::Needs(_)) => Err(Problem::forbidden(format!(
            "the role '{}' does not have this right",
            role.as_str()
        ))
        .hint("GET /api/v1/whoami says what you may do")),
        Verdict::OtherMethods(methods) => Err(wrong_method(asked.method, &methods)),
        Verdict::Unknown => Err(Problem::no_such_path(path)),
    }
}

fn wrong_method(method: &Method, allowed: &str) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        Code::InvalidInput,
        format!("this path does not take {method}"),
    )
    .hint(format!("it takes {allowed}"))
    .allow(allowed)
}

/// Refuses what was not meant for this engine, or what another page sent.
fn is_meant(access: &Access, asked: &Asked<'_>) -> Result<(), Problem> {
    check_host(access, asked)?;
    check_origin(access, asked)
}

/// Refuses what was meant for another name: a page elsewhere that made its name point here.
fn check_host(access: &Access, asked: &Asked<'_>) -> Result<(), Problem> {
    let refused = || {
        Problem::forbidden("the request is not addressed to this engine").hint(
            "use the address that 'hivekeeper serve' printed; --name says by which other names \
             this machine is known",
        )
    };
    let is_here =
        |name: &str| access.is_here(name) || asked.via.is_some_and(|via| via.is_called(name));
    let host = single(asked.headers, header::HOST.as_str())
        .map_err(|Repeated| refused())?
        .ok_or_else(refused)?;
    let authority_fits = asked.uri.authority().is_none_or(|it| is_here(it.as_str()));
    if is_here(host) && authority_fits { Ok(()) } else { Err(refused()) }
}

/// Refuses what another page sent.
fn check_origin(access: &Access, asked: &Asked<'_>) -> Result<(), Problem> {
    let refused = || Problem::forbidden("the request was sent by a page that is not this engine's");
    let origin = single(asked.headers, header::ORIGIN.as_str()).map_err(|Repeated| refused())?;
    let own = |origin: &str| {
        access.is_own_page(origin) || asked.via.is_some_and(|via| via.is_own_page(origin))
    };
    match origin {
        None => Ok(()),
        Some(origin) if own(origin) => Ok(()),
        Some(_) => Err(refused()),
    }
}

/// Finds out who sent it: whoever holds a token, or a browser that signed in.
fn who(access: &Access, asked: &Asked<'_>, now: Instant) -> Result<Role, Problem> {
    let authorization = single(asked.headers, header::AUTHORIZATION.as_str())
        .map_err(|Repeated| Problem::unauthorized("several Authorization headers"))?;
    if asked.speaker.is_some() {
        return Ok(Role::Agent);
    }
    if let Some(value) = authorization {
        return match (bearer(value), asked.bearer) {
            (_, Some(bearer)) => Ok(bearer.role.into()),
            (Some(token), None) if access.knows_token(token) => Ok(Role::Admin),
            (token, None) => Err(not_known(token)),
        };
    }
    let session = session_of(access, asked);
    let role = match (session, asked.bearer) {
        (Some(_), Some(bearer)) => Some(bearer.role.into()),
        (Some(session), None) if access.knows_session(session, now) => Some(Role::Admin),
        _ => None,
    };
    let (Some(session), Some(role)) = (session, role) else {
        return Err(Problem::unauthorized("no valid token and not signed in")
            .hint("run 'hivekeeper login' for a link that signs a browser in, or pair it again"));
    };
    if from_own_page(access, asked, session, now) {
        Ok(role)
    } else {
        Err(Problem::forbidden("the request does not prove that this engine's page sent it")
            .hint("send the value of the cookie hivekeeper_csrf_PORT as X-Hivekeeper-CSRF"))
    }
}

/// Why a token that was shown is none. Where the captain's token is, is not told to an agent.
fn not_known(token: Option<&str>) -> Problem {
    match token {
        Some(token) if token.starts_with(ATTEMPT_PREFIX) => {
            Problem::unauthorized("the attempt of this token has come to its end")
                .hint("stop working")
        }
        Some(token) if token.starts_with(TOKEN_PREFIX) => {
            Problem::unauthorized("the token is unknown, expired or revoked")
                .hint("ask for another: 'hivekeeper token add NAME --role ROLE' makes one")
        }
        _ => Problem::unauthorized("the token is not this engine's")
            .hint("the token of this run is in endpoint.json of the data directory"),
    }
}

/// What the cookie of a login holds, of the engine behind this door.
fn session_of<'a>(access: &Access, asked: &Asked<'a>) -> Option<&'a str> {
    let port = asked.via.and_then(|via| via.port()).or(access.port())?;
    cookie(asked.headers, &session_cookie(port))
}

/// A cookie alone proves nothing, because a browser sends it for any page. What changes something
/// needs the value that only our own page can read; what only reads needs that, an `Origin`
/// (checked before), or the browser's word that the page is ours or that the captain typed it.
fn from_own_page(access: &Access, asked: &Asked<'_>, session: &str, now: Instant) -> bool {
    let proved =
        single(asked.headers, CSRF_HEADER).ok().flatten().is_some_and(|csrf| match asked.bearer {
            Some(_) => is_csrf_of(session, csrf),
            None => access.knows_csrf(session, csrf, now),
        });
    if proved || asked.changes() {
        return proved;
    }
    let site = single(asked.headers, "sec-fetch-site").ok().flatten();
    asked.headers.contains_key(header::ORIGIN) || matches!(site, Some("same-origin" | "none"))
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

struct Repeated;

/// The one value of a header; several are as suspicious as an unreadable one.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Repeated> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Repeated);
    }
    first.map(|value| value.to_str().map_err(|_| Repeated)).transpose()
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;
    use crate::access::Redeemed;

    struct Door {
        access: Access,
        token: String,
        session: String,
        csrf: String,
        now: Instant,
    }

    fn door() -> Door {
        let (access, token) = Access::generate().unwrap();
        access.listening_on("127.0.0.1:7171".parse().unwrap());
        let now = Instant::now();
        let link = access.login_link(now).unwrap().unwrap();
        let code = link.split_once("#login=").unwrap().1;
        let Ok(Redeemed::Captain(login)) = access.log_in(code, now) else {
            panic!("is no login");
        };
        let cookies = login.cookies(7171, false);
        let value = |cookie: &str| {
            let (_, rest) = cookie.split_once('=').unwrap();
            rest.split(';').next().unwrap().to_owned()
        };
        Door { session: value(&cookies[0]), csrf: value(&cookies[1]), access, token, now }
    }

    impl Door {
        fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                let value = value
                    .replace("TOKEN", &self.token)
                    .replace("SESSION", &self.session)
                    .replace("CSRF", &self.csrf);
                map.append(
                    HeaderName::from_bytes(name.as_bytes()).unwrap(),
                    HeaderValue::from_str(&value).unwrap(),
                );
            }
            let asked = Asked {
                method: &method.parse().unwrap(),
                uri: &path.parse().unwrap(),
                headers: &map,
                in_process: false,
                via: None,
                speaker: None,
                bearer: None,
            };
            match admit(&self.access, &asked, self.now) {
                Ok(_) => 200,
                Err(problem) => problem.status,
            }
        }
    }

    const HERE: (&str, &str) = ("host", "127.0.0.1:7171");
    const TOKEN: (&str, &str) = ("authorization", "Bearer TOKEN");
    const LOGIN: (&str, &str) = ("cookie", "a=b; hivekeeper_login_7171=SESSION");

    #[test]
    fn only_requests_addressed_to_this_engine_pass_whatever_token_they_carry() {
        let door = door();
        let check = |host: &[&str], status: u16| {
            let mut headers: Vec<_> = host.iter().map(|host| ("host", *host)).collect();
            headers.push(TOKEN);
            assert_eq!(door.ask("GET", "/api/v1/agents", &headers), status, "{host:?}");
            assert_eq!(door.ask("GET", "/", &headers), status, "{host:?} /");
        };
        check(&["127.0.0.1:7171"], 200);
        check(&["localhost:7171"], 200);
        check(&["[::1]:7171"], 200);
        check(&[], 403);
        check(&[""], 403);
        check(&["127.0.0.1"], 403);
        check(&["127.0.0.1:7172"], 403);
        check(&["0.0.0.0:7171"], 403);
        check(&["attacker.example:7171"], 403);
        check(&["127.0.0.1.nip.io:7171"], 403);
        check(&["localhost.attacker.example:7171"], 403);
        check(&["localhost:7171", "attacker.example"], 403);
    }

    #[test]
    fn a_request_line_that_names_another_host_is_refused() {
        let door = door();
        let there = "http://attacker.example:7171/api/v1/agents";
        let here = "http://localhost:7171/api/v1/agents";
        assert_eq!(door.ask("GET", there, &[HERE, TOKEN]), 403);
        assert_eq!(door.ask("GET", here, &[HERE, TOKEN]), 200);
    }

    #[test]
    fn only_this_engines_own_page_may_ask() {
        let door = door();
        let check = |origin: &[&str], status: u16| {
            let mut headers: Vec<_> = origin.iter().map(|origin| ("origin", *origin)).collect();
            headers.extend([HERE, TOKEN]);
            assert_eq!(door.ask("POST", "/api/v1/demo", &headers), status, "{origin:?}");
        };
        check(&[], 200);
        check(&["http://127.0.0.1:7171"], 200);
        check(&["http://localhost:7171"], 200);
        check(&["http://[::1]:7171"], 200);
        check(&["null"], 403);
        check(&[""], 403);
        check(&["https://127.0.0.1:7171"], 403);
        check(&["http://127.0.0.1"], 403);
        check(&["http://127.0.0.1:7172"], 403);
        check(&["http://attacker.example"], 403);
        check(&["http://attacker.example:7171"], 403);
        check(&["http://127.0.0.1:7171.attacker.example"], 403);
        check(&["file://"], 403);
        check(&["http://127.0.0.1:7171", "http://attacker.example"], 403);
    }

    #[test]
    fn every_route_but_the_public_ones_needs_a_proof() {
        let door = door();
        for (method, template, rule) in crate::rights::RULES {
            let path = template.replace("{id}", "x").replace("{day}", "2026-01-01");
            let bare = door.ask(method.as_str(), &path, &[HERE]);
            let with_token = door.ask(method.as_str(), &path, &[HERE, TOKEN]);
            let wrong = ("authorization", "Bearer hk_00");
            let public = *rule == Rule::Anybody;
            assert_eq!(bare, if public { 200 } else { 401 }, "{method} {path}");
            assert_eq!(with_token, 200, "{method} {path}");
            if !public {
                assert_eq!(door.ask(method.as_str(), &path, &[HERE, wrong]), 401);
            }
        }
        assert_eq!(door.ask("GET", "/", &[HERE]), 200);
        assert_eq!(door.ask("GET", "/assets/index.js", &[HERE]), 200);
    }

    #[test]
    fn what_is_not_in_the_table_says_nothing_to_strangers() {
        let door = door();
        assert_eq!(door.ask("GET", "/api/v1/nope", &[HERE]), 401);
        assert_eq!(door.ask("GET", "/api/v1/nope", &[HERE, TOKEN]), 404);
        assert_eq!(door.ask("GET", "/api", &[HERE, TOKEN]), 404);
        assert_eq!(door.ask("PUT", "/api/v1/agents", &[HERE, TOKEN]), 405);
        assert_eq!(door.ask("OPTIONS", "/api/v1/agents", &[HERE]), 401);
        assert_eq!(door.ask("POST", "/", &[HERE]), 405);
        assert_eq!(door.ask("POST", "/index.html", &[HERE, TOKEN]), 405);
    }

    #[test]
    fn a_login_reads_with_the_browsers_word_and_changes_only_with_the_pages_proof() {
        let door = door();
        let check = |method: &str, extra: &[(&str, &str)], status: u16| {
            let mut headers = vec![HERE, LOGIN];
            headers.extend_from_slice(extra);
            let seen = door.ask(method, "/api/v1/agents", &headers);
            assert_eq!(seen, status, "{method} {extra:?}");
        };
        let origin = ("origin", "http://127.0.0.1:7171");
        let csrf = ("x-hivekeeper-csrf", "CSRF");
        check("GET", &[], 403);
        check("GET", &[origin], 200);
        check("GET", &[csrf], 200);
        check("GET", &[("sec-fetch-site", "same-origin")], 200);
        check("GET", &[("sec-fetch-site", "none")], 200);
        check("GET", &[("sec-fetch-site", "cross-site")], 403);
        check("GET", &[("sec-fetch-site", "same-site")], 403);
        check("POST", &[], 403);
        check("POST", &[origin], 403);
        check("POST", &[("sec-fetch-site", "same-origin")], 403);
        check("POST", &[origin, ("x-hivekeeper-csrf", "wrong")], 403);
        check("POST", &[origin, csrf], 200);
        check("POST", &[origin, csrf, csrf], 403);
        let other = [HERE, ("cookie", "hivekeeper_login_7171=guess"), csrf];
        assert_eq!(door.ask("POST", "/api/v1/agents", &other), 401);
        let other = [HERE, ("cookie", "hivekeeper_login_7172=SESSION"), csrf];
        assert_eq!(door.ask("POST", "/api/v1/agents", &other), 401);
    }

    #[test]
    fn an_agent_whose_attempt_has_ended_is_not_told_where_the_captains_token_is() {
        let (access, _) = Access::generate().unwrap();
        access.listening_on("127.0.0.1:7171".parse().unwrap());
        let ask = |token: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("host", HeaderValue::from_static("127.0.0.1:7171"));
            headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
            let asked = Asked {
                method: &Method::POST,
                uri: &Uri::from_static("/mcp"),
                headers: &headers,
                in_process: false,
                via: None,
                speaker: None,
                bearer: None,
            };
            admit(&access, &asked, Instant::now()).unwrap_err()
        };
        let ended = ask("hk_a_0198c0de000070008000000000000001_00");
        assert_eq!(ended.status, 401);
        assert!(!format!("{ended:?}").contains("endpoint.json"), "{ended:?}");
        assert!(format!("{:?}", ask("hk_00")).contains("endpoint.json"));
    }

    #[test]
    fn a_wrong_token_is_not_saved_by_a_login() {
        let door = door();
        let headers =
            [HERE, LOGIN, ("x-hivekeeper-csrf", "CSRF"), ("authorization", "Bearer nope")];
        assert_eq!(door.ask("GET", "/api/v1/agents", &headers), 401);
        assert_eq!(door.ask("GET", "/api/v1/agents", &[HERE, TOKEN, TOKEN]), 401);
    }

    #[test]
    fn the_window_needs_no_address_and_no_token() {
        let (access, _) = Access::generate().unwrap();
        let ask = |method: Method, path: &str| {
            let asked = Asked {
                method: &method,
                uri: &path.parse().unwrap(),
                headers: &HeaderMap::new(),
                in_process: true,
                via: None,
                speaker: None,
                bearer: None,
            };
            admit(&access, &asked, Instant::now()).map_err(|problem| problem.status).map(drop)
        };
        assert_eq!(ask(Method::POST, "/api/v1/demo"), Ok(()));
        assert_eq!(ask(Method::GET, "/api/v1/nope"), Err(404));
        assert_eq!(ask(Method::PATCH, "/api/v1/demo"), Err(405));
    }
}
