//! The door: every request passes here before it reaches a handler.
//!
//! Three questions in this order: was it meant for this engine (`Host`), does it come from this
//! engine's own page or from no page at all (`Origin`), and may its sender do this (token or login,
//! and the table of rights). A request that the window passes in within the process is the captain's.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use engine::Speaker;
use http::{HeaderMap, Method, StatusCode, Uri, header};
use model::refusal::Code;
use tokio::time::Instant;

use crate::Gate;
use crate::access::{Access, session_cookie};
use crate::problem::Problem;
use crate::rights::{Role, Rule, Verdict, look_up};

/// Marks a request as passed in by the window itself, within the process.
///
/// It is a request extension: nothing that comes over a socket can carry one.
#[derive(Debug, Clone, Copy)]
pub struct InProcess;

/// The header in which a page sends back the value of its readable cookie.
pub(crate) const CSRF_HEADER: &str = "x-hivekeeper-csrf";
/// What the tokens of attempts start with.
const ATTEMPT_PREFIX: &str = "hk_a_";

/// Lets a request pass or answers it with a problem. A handler finds the [`Speaker`] whose token
/// opened the door among the request's extensions, and nowhere else.
pub(crate) async fn guard(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let in_process = request.extensions().get::<InProcess>().is_some();
    let meant = in_process || is_meant(&gate.access, request.uri(), request.headers()).is_ok();
    // Nothing is looked up for a request that was sent by another page, or to another name.
    let speaker = match attempts_token(request.headers()).filter(|_| meant && !in_process) {
        Some(token) => gate.engine.speaker(token).await,
        None => None,
    };
    let asked = Asked {
        method: request.method(),
        uri: request.uri(),
        headers: request.headers(),
        in_process,
        speaker: speaker.as_ref(),
    };
    if let Err(problem) = admit(&gate.access, &asked, Instant::now()) {
        return problem.into_response();
    }
    if let Some(speaker) = speaker {
        request.extensions_mut().insert(speaker);
    }
    next.run(request).await
}

/// A token that looks like an attempt's.
fn attempts_token(headers: &HeaderMap) -> Option<&str> {
    let value = single(headers, header::AUTHORIZATION.as_str()).ok()??;
    bearer(value).filter(|token| token.starts_with(ATTEMPT_PREFIX))
}

/// What is looked at.
struct Asked<'a> {
    method: &'a Method,
    uri: &'a Uri,
    headers: &'a HeaderMap,
    in_process: bool,
    /// Whose attempt's token it carries.
    speaker: Option<&'a Speaker>,
}

impl Asked<'_> {
    fn changes(&self) -> bool {
        !matches!(*self.method, Method::GET | Method::HEAD)
    }
}

fn admit(access: &Access, asked: &Asked<'_>, now: Instant) -> Result<(), Problem> {
    if !asked.in_process {
        is_meant(access, asked.uri, asked.headers)?;
    }
    let path = asked.uri.path();
    if !crate::is_api(path) {
        return if asked.changes() { Err(wrong_method(asked.method, "GET, HEAD")) } else { Ok(()) };
    }
    let verdict = look_up(asked.method, path);
    if verdict == Verdict::Rule(Rule::Anybody) {
        return Ok(());
    }
    let role = if asked.in_process { Role::Admin } else { who(access, asked, now)? };
    match verdict {
        Verdict::Rule(Rule::Anybody) => Ok(()),
        Verdict::Rule(Rule::Needs(right)) if role.may(right) => Ok(()),
        Verdict::Rule(Rule::Needs(_)) => {
            Err(Problem::forbidden("your role does not have this right"))
        }
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
fn is_meant(access: &Access, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    check_host(access, uri, headers)?;
    check_origin(access, headers)
}

/// Refuses what was meant for another name: a page elsewhere that made its name point here.
fn check_host(access: &Access, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    let refused = || {
        Problem::forbidden("the request is not addressed to this engine")
            .hint("use the address that 'hivekeeper serve' printed")
    };
    let host = single(headers, header::HOST.as_str())
        .map_err(|Repeated| refused())?
        .ok_or_else(refused)?;
    let authority_fits = uri.authority().is_none_or(|authority| access.is_here(authority.as_str()));
    if access.is_here(host) && authority_fits { Ok(()) } else { Err(refused()) }
}

/// Refuses what another page sent.
fn check_origin(access: &Access, headers: &HeaderMap) -> Result<(), Problem> {
    let refused = || Problem::forbidden("the request was sent by a page that is not this engine's");
    let origin = single(headers, header::ORIGIN.as_str()).map_err(|Repeated| refused())?;
    match origin {
        None => Ok(()),
        Some(origin) => match origin.strip_prefix("http://") {
            Some(authority) if access.is_here(authority) => Ok(()),
            _ => Err(refused()),
        },
    }
}

/// Finds out who sent it: whoever holds the token, or a browser that signed in.
fn who(access: &Access, asked: &Asked<'_>, now: Instant) -> Result<Role, Problem> {
    let authorization = single(asked.headers, header::AUTHORIZATION.as_str())
        .map_err(|Repeated| Problem::unauthorized("several Authorization headers"))?;
    if asked.speaker.is_some() {
        return Ok(Role::Agent);
    }
    if let Some(value) = authorization {
        return match bearer(value) {
            Some(token) if access.knows_token(token) => Ok(Role::Admin),
            // It is not told where the captain's token is.
            Some(token) if token.starts_with(ATTEMPT_PREFIX) => {
                Err(Problem::unauthorized("the attempt of this token has come to its end")
                    .hint("stop working"))
            }
            _ => Err(Problem::unauthorized("the token is not this engine's")
                .hint("the token of this run is in endpoint.json of the data directory")),
        };
    }
    let session = access.port().and_then(|port| cookie(asked.headers, &session_cookie(port)));
    let Some(session) = session.filter(|session| access.knows_session(session, now)) else {
        return Err(Problem::unauthorized("no valid token and not signed in")
            .hint("run 'hivekeeper login' for a link that signs a browser in"));
    };
    if from_own_page(access, asked, session, now) {
        Ok(Role::Admin)
    } else {
        Err(Problem::forbidden("the request does not prove that this engine's page sent it")
            .hint("send the value of the cookie hivekeeper_csrf_PORT as X-Hivekeeper-CSRF"))
    }
}

/// A cookie alone proves nothing, because a browser sends it for any page. What changes something
/// needs the value that only our own page can read; what only reads needs that, an `Origin`
/// (checked before), or the browser's word that the page is ours or that the captain typed it.
fn from_own_page(access: &Access, asked: &Asked<'_>, session: &str, now: Instant) -> bool {
    let proved = single(asked.headers, CSRF_HEADER)
        .ok()
        .flatten()
        .is_some_and(|csrf| access.knows_csrf(session, csrf, now));
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
        let cookies = access.log_in(code, now).ok().unwrap().cookies();
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
                speaker: None,
            };
            match admit(&self.access, &asked, self.now) {
                Ok(()) => 200,
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
                speaker: None,
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
                speaker: None,
            };
            admit(&access, &asked, Instant::now()).map_err(|problem| problem.status)
        };
        assert_eq!(ask(Method::POST, "/api/v1/demo"), Ok(()));
        assert_eq!(ask(Method::GET, "/api/v1/nope"), Err(404));
        assert_eq!(ask(Method::PATCH, "/api/v1/demo"), Err(405));
    }
}
