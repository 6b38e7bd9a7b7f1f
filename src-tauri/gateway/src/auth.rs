//! The door: every request passes here before it reaches a handler.
//!
//! Three questions in this order: was it meant for this engine (`Host`), does it come from this
//! engine's own page or from no page at all (`Origin`), and may its sender do this (token or login,
//! and the table of rights). A request that the window passes in within the process is the captain's.
//!
//! A login is a cookie, which a browser sends to every port of its host, whoever listens there, and a
//! secret that the page keeps and shows. The cookie alone is worth nothing, and neither is a token.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use engine::{Bearer, COOKIE_PREFIX, PAGE_PREFIX, SignedIn, Speaker};
use http::{HeaderMap, Method, StatusCode, Uri, header};
use model::refusal::Code;
use model::token::{TOKEN_PREFIX, TokenRole};

use crate::Gate;
use crate::access::{Access, session_cookie};
use crate::crowd::Place;
use crate::door::Via;
use crate::problem::Problem;
use crate::rights::{Object, Role, Rule, Verdict, area_of, look_up, object_of};

/// Marks a request as passed in by the window itself, within the process.
///
/// It is a request extension: nothing that comes over a socket can carry one.
#[derive(Debug, Clone, Copy)]
pub struct InProcess;

/// The header in which a page shows its secret.
pub(crate) const PAGE_HEADER: &str = "x-hivekeeper-page";
/// What the live stream is called where a page asks for it over a WebSocket; the page's secret is
/// beside it, as a page cannot send headers of its own there.
pub(crate) const LIVE_PROTOCOL: &str = "hivekeeper.live";
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
        login: None,
    };
    // Nothing is looked up for a request that was sent by another page, or to another name.
    if !in_process {
        is_meant(&gate.access, &asked)?;
    }
    let peer = via.and_then(|via| via.peer);
    let speaker = match attempts_token(asked.headers).filter(|_| !in_process) {
        Some(token) => gate.speaker(token).await,
        None => None,
    };
    let shown = access_token(asked.headers).filter(|_| !in_process);
    let held = shown.and_then(|secret| gate.engine.bearer(secret));
    let cookie = session_of(&gate.access, &asked).filter(|_| !in_process);
    let login = cookie.and_then(|cookie| gate.engine.signed_in(cookie));
    let bearer = held.or_else(|| login.as_ref().and_then(|login| login.bearer.clone()));
    asked.speaker = speaker.as_ref();
    asked.bearer = bearer.as_ref();
    asked.login = login.as_ref();
    let role = match admit(&gate.access, &asked) {
        Ok(role) => role,
        Err(problem) if problem.status == StatusCode::UNAUTHORIZED.as_u16() => {
            peer.map_or(Ok(()), |peer| gate.limits.stranger(peer))?;
            return Err(problem);
        }
        Err(problem) => return Err(problem),
    };
    if role.is_some()
        && let Some(place) = request.extensions().get::<Place>()
    {
        place.prove();
    }
    match (&bearer, role) {
        // Anybody may ask for these, and nobody for all of them.
        (_, None) => {
            peer.map_or(Ok(()), |peer| gate.limits.anybody(peer))?;
            return Ok(());
        }
        (Some(bearer), _) => {
            gate.limits.token(bearer.id)?;
            is_within(gate, bearer, asked.uri.path()).await?;
        }
        // The window and the captain's token; attempts have measures of their own.
        (None, Some(Role::Admin)) if !in_process => gate.limits.captain()?,
        (None, Some(_)) => {}
    }
    let extensions = request.extensions_mut();
    if let Some(login) = login {
        gate.engine.login_used(&login);
        extensions.insert(login);
    }
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

impl Gate {
    /// Whose attempt's token this is. To find that out takes a look at a file; few are looked at at once
    /// for tokens that were not seen before. Who shows wrong ones does not keep an agent out that comes
    /// from the same address for the first time, as all on this machine do.
    async fn speaker(&self, token: &str) -> Option<Speaker> {
        let _turn = self.limits.turn_of(token).await;
        let speaker = self.engine.speaker(token).await;
        if speaker.is_some() {
            self.limits.prove(token);
        }
        speaker
    }
}

/// A token that looks like an attempt's.
fn attempts_token(headers: &HeaderMap) -> Option<&str> {
    let value = single(headers, header::AUTHORIZATION.as_str()).ok()??;
    bearer(value).filter(|token| token.starts_with(ATTEMPT_PREFIX))
}

/// An access token, as a program shows it.
fn access_token(headers: &HeaderMap) -> Option<&str> {
    let value = single(headers, header::AUTHORIZATION.as_str()).ok()??;
    bearer(value).filter(|token| token.starts_with(TOKEN_PREFIX))
}

/// Refuses a token what lies outside of its scopes.
async fn is_within(gate: &Gate, bearer: &Bearer, path: &str) -> Result<(), Problem> {
    let object = object_of(path);
    let named = object.as_ref().map(Object::named);
    if !crate::is_api(path)
        || [crate::rights::WHO_AM_I, crate::rights::LOG_OUT].contains(&path)
        || bearer.role == TokenRole::Worker && crate::rights::is_attached(path)
        || gate.engine.is_within(bearer, area_of(path), named).await
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
    /// Whose access token it carries, or that of the browser.
    bearer: Option<&'a Bearer>,
    /// Which login its cookie is of.
    login: Option<&'a SignedIn>,
}

impl Asked<'_> {
    fn changes(&self) -> bool {
        !matches!(*self.method, Method::GET | Method::HEAD)
    }
}

/// Finds out who it is and whether they may; nobody in particular where anybody may.
fn admit(access: &Access, asked: &Asked<'_>) -> Result<Option<Role>, Problem> {
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
    let role = if asked.in_process { Role::Admin } else { who(access, asked)? };
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
    let is_here = |name: &str| access.is_here(name, asked.via.as_ref());
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
    let own = |origin: &str| access.is_own_page(origin, asked.via.as_ref());
    match origin {
        None => Ok(()),
        Some(origin) if own(origin) => Ok(()),
        Some(_) => Err(refused()),
    }
}

/// Finds out who sent it: whoever holds a token, or a browser that signed in.
fn who(access: &Access, asked: &Asked<'_>) -> Result<Role, Problem> {
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
    let Some(login) = asked.login else {
        return Err(Problem::unauthorized("no valid token and not signed in")
            .hint("run 'hivekeeper login' for a link that signs a browser in, or pair it again"));
    };
    if !is_own_page(asked, login) {
        let detail = "the browser shows its login and not the secret of the page it was made for";
        return Err(Problem::unauthorized(detail)
            .hint("sign in again: 'hivekeeper login' prints a link, or pair the browser again"));
    }
    Ok(login.bearer.as_ref().map_or(Role::Admin, |bearer| bearer.role.into()))
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
        Some(token) if [COOKIE_PREFIX, PAGE_PREFIX].iter().any(|it| token.starts_with(it)) => {
            Problem::unauthorized("what a browser signs in with is no token")
                .hint("'hivekeeper token add NAME --role ROLE' makes one for a program")
        }
        _ => Problem::unauthorized("the token is not this engine's")
            .hint("the token of this run is in endpoint.json of the data directory"),
    }
}

/// What the cookie of a login holds, of the engine behind this door; nothing where a token is shown.
fn session_of<'a>(access: &Access, asked: &Asked<'a>) -> Option<&'a str> {
    if asked.headers.contains_key(header::AUTHORIZATION) {
        return None;
    }
    let port = asked.via.and_then(|via| via.port()).or(access.port())?;
    cookie(asked.headers, &session_cookie(port))
}

/// The login a browser has now, by its cookie alone; for what ends it.
pub(crate) fn login_of(gate: &Gate, headers: &HeaderMap, via: Option<&Via>) -> Option<SignedIn> {
    let port = via.and_then(Via::port).or(gate.access.port())?;
    gate.engine.signed_in(cookie(headers, &session_cookie(port))?)
}

/// Whether the page that a login was made for sent this: it shows its secret, it is where it was then,
/// and the browser does not say that it is another one.
fn is_own_page(asked: &Asked<'_>, login: &SignedIn) -> bool {
    let origin = single(asked.headers, header::ORIGIN.as_str()).ok().flatten();
    let here = origin_of(asked.headers, asked.via.as_ref());
    let shown = match single(asked.headers, PAGE_HEADER) {
        Ok(Some(secret)) => Some(secret),
        // A page cannot send headers with a WebSocket; its browser says which page it is.
        Ok(None) if origin.is_some() => page_among_protocols(asked.headers),
        _ => None,
    };
    here.is_some_and(|here| here == login.origin)
        && origin.is_none_or(|origin| origin == login.origin)
        && shown.is_some_and(|secret| login.is_page(secret))
}

/// The page that a request to this name comes from, unless another one sent it.
pub(crate) fn origin_of(headers: &HeaderMap, via: Option<&Via>) -> Option<String> {
    let host = single(headers, header::HOST.as_str()).ok()??;
    let scheme = if via.is_some_and(|via| via.tls) { "https" } else { "http" };
    Some(format!("{scheme}://{}", host.to_ascii_lowercase()))
}

/// The secret of a page, where it is shown among the protocols of a WebSocket.
fn page_among_protocols(headers: &HeaderMap) -> Option<&str> {
    let offered = single(headers, header::SEC_WEBSOCKET_PROTOCOL.as_str()).ok()??;
    let mut secrets =
        offered.split(',').map(str::trim).filter(|name| name.starts_with(PAGE_PREFIX));
    secrets.next().filter(|_| secrets.next().is_none())
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
    }

    fn door() -> Door {
        let (access, token) = Access::generate().unwrap();
        access.listening_on("127.0.0.1:7171".parse().unwrap());
        Door { access, token }
    }

    impl Door {
        fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                let value = value.replace("TOKEN", &self.token);
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
                login: None,
            };
            match admit(&self.access, &asked) {
                Ok(_) => 200,
                Err(problem) => problem.status,
            }
        }
    }

    const HERE: (&str, &str) = ("host", "127.0.0.1:7171");
    const TOKEN: (&str, &str) = ("authorization", "Bearer TOKEN");

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
                login: None,
            };
            admit(&access, &asked).unwrap_err()
        };
        let ended = ask("hk_a_0198c0de000070008000000000000001_00");
        assert_eq!(ended.status, 401);
        assert!(!format!("{ended:?}").contains("endpoint.json"), "{ended:?}");
        assert!(format!("{:?}", ask("hk_00")).contains("endpoint.json"));
    }

    #[test]
    fn several_tokens_are_as_good_as_none() {
        assert_eq!(door().ask("GET", "/api/v1/agents", &[HERE, TOKEN, TOKEN]), 401);
    }

    #[test]
    fn what_a_browser_signs_in_with_is_no_token() {
        let door = door();
        for secret in ["hk_l_00", "hk_p_00"] {
            let shown = ("authorization", format!("Bearer {secret}"));
            let headers = [HERE, (shown.0, shown.1.as_str())];
            assert_eq!(door.ask("GET", "/api/v1/agents", &headers), 401);
        }
        assert!(format!("{:?}", not_known(Some("hk_l_00"))).contains("is no token"));
    }

    #[test]
    fn a_page_shows_one_secret_among_the_protocols_of_a_websocket() {
        let shown = |offered: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("sec-websocket-protocol", offered.parse().unwrap());
            page_among_protocols(&headers).map(str::to_owned)
        };
        assert_eq!(shown("hivekeeper.live, hk_p_0").as_deref(), Some("hk_p_0"));
        assert_eq!(shown("hk_p_0,hivekeeper.live").as_deref(), Some("hk_p_0"));
        assert_eq!(shown("hk_p_0, hk_p_1"), None);
        assert_eq!(shown("hivekeeper.live"), None);
        assert_eq!(shown(""), None);
    }

    #[test]
    fn the_page_behind_an_address_is_named_as_browsers_do() {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("Build.example:7171"));
        let peer = "192.168.1.9:50000".parse().unwrap();
        let via = Via::network(peer, Some("192.168.1.2:7171".parse().unwrap()), true);
        let name = |via| origin_of(&headers, via).unwrap();
        assert_eq!(name(Some(&via)), "https://build.example:7171");
        assert_eq!(name(None), "http://build.example:7171");
        assert_eq!(origin_of(&HeaderMap::new(), None), None);
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
                login: None,
            };
            admit(&access, &asked).map_err(|problem| problem.status).map(drop)
        };
        assert_eq!(ask(Method::POST, "/api/v1/demo"), Ok(()));
        assert_eq!(ask(Method::GET, "/api/v1/nope"), Err(404));
        assert_eq!(ask(Method::PATCH, "/api/v1/demo"), Err(405));
    }
}
