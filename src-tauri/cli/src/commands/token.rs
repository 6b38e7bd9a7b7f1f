//! `hivekeeper token`.

use engine::view::{AgentView, Listing, MadeToken, MissionDetail, NewToken, TokenState, TokenView};
use http::Method;
use model::id::TokenId;
use model::token::{TokenArea, TokenRole, TokenScope};
use serde::{Deserialize, Serialize};

use crate::args::Token;
use crate::failure::Failure;
use crate::out::{Out, quotable, time, word};
use crate::remote::{Place, Remote};
use crate::selector::encode;

/// Where the tokens are.
const PATH: &str = "/api/v1/tokens";

/// Carries it out.
pub(crate) async fn run(command: Token, place: &Place, out: &mut Out) -> Result<(), Failure> {
    match command {
        Token::List { revoked } => list(revoked, place, out).await,
        Token::Add { name, role, scopes, days } => {
            let remote = Remote::find(place, MAKE)?;
            let mut read = Vec::with_capacity(scopes.len());
            for text in &scopes {
                read.push(scope(text, &remote).await?);
            }
            add(NewToken { name, role: role.into(), scopes: read, days }, &remote, out).await
        }
        Token::Revoke { token } => revoke(&token, place, out).await,
        Token::Pair { role, name } => pair(role.into(), name, place, out).await,
    }
}

const MAKE: &str = "make a token";

/// Reads a scope as it is typed.
async fn scope(text: &str, remote: &Remote) -> Result<TokenScope, Failure> {
    match text.split_once(':') {
        Some(("agent", name)) => {
            let path = format!("/api/v1/agents/{}", encode(name));
            let view: AgentView = remote.get(MAKE, &path).await?;
            Ok(TokenScope::Agent { id: view.agent.id })
        }
        Some(("mission", name)) => {
            let path = format!("/api/v1/missions/{}", encode(name));
            let view: MissionDetail = remote.get(MAKE, &path).await?;
            Ok(TokenScope::Mission { id: view.view.mission.id })
        }
        _ => {
            let area = TokenArea::ALL.into_iter().find(|area| area.as_str() == text);
            area.map(|area| TokenScope::Area { area }).ok_or_else(|| {
                let areas = TokenArea::ALL.map(|area| area.as_str().to_owned());
                Failure::usage(MAKE)
                    .exit(2)
                    .since(format!("'{}' is no scope", quotable(text)))
                    .hint("write an area, agent:NAME or mission:ID")
                    .allowed(areas.to_vec())
            })
        }
    }
}

async fn add(new: NewToken, remote: &Remote, out: &mut Out) -> Result<(), Failure> {
    let made: MadeToken = remote.post(MAKE, PATH, &new).await?;
    if out.is_json() {
        return out.value(&made);
    }
    let token = &made.token.token;
    let role = word(&token.role);
    match &made.secret {
        Some(secret) => {
            out.line(&format!(
                "made the token '{}' ({role}); its secret, shown once:",
                token.name
            ))?;
            out.line(secret)
        }
        None => out.line(&format!(
            "the token '{}' ({role}) was made before; its secret is shown once and kept nowhere: \
             revoke it and make another if it is lost",
            token.name
        )),
    }
}

fn scope_word(scope: &TokenScope) -> String {
    match scope {
        TokenScope::Area { area } => area.as_str().to_owned(),
        TokenScope::Agent { id } => format!("agent:{id}"),
        TokenScope::Mission { id } => format!("mission:{id}"),
    }
}

async fn list(revoked: bool, place: &Place, out: &mut Out) -> Result<(), Failure> {
    const OPERATION: &str = "list the tokens";
    let remote = Remote::find(place, OPERATION)?;
    let path = if revoked { format!("{PATH}?revoked=true") } else { PATH.to_owned() };
    let tokens: Listing<TokenView> = remote.get(OPERATION, &path).await?;
    if out.is_json() {
        return out.value(&tokens);
    }
    if tokens.items.is_empty() {
        return out.line("no tokens: make one with 'hivekeeper token add'");
    }
    let rows: Vec<Vec<String>> = tokens
        .items
        .iter()
        .map(|view| {
            let token = &view.token;
            let scopes: Vec<String> = token.scopes.iter().map(scope_word).collect();
            vec![
                token.name.clone(),
                format!("{}…", token.prefix),
                word(&token.role),
                if scopes.is_empty() { "everywhere".to_owned() } else { scopes.join(" ") },
                word(&view.state),
                view.used_at.map_or_else(|| "never".to_owned(), time),
                token.expires_at.map_or_else(|| "—".to_owned(), time),
                token.id.to_string(),
            ]
        })
        .collect();
    out.table(&["NAME", "BEGINS", "ROLE", "SCOPES", "STATE", "LAST USE", "ENDS", "ID"], &rows)
}

async fn revoke(wanted: &str, place: &Place, out: &mut Out) -> Result<(), Failure> {
    let operation = format!("revoke the token {wanted}");
    let remote = Remote::find(place, &operation)?;
    let tokens: Listing<TokenView> = remote.get(&operation, PATH).await?;
    let is_it = |view: &&TokenView| {
        view.token.id.to_string() == wanted
            || view.token.name.to_lowercase() == wanted.trim().to_lowercase()
    };
    // One that expired may have the name of one that is valid.
    let found = tokens.items.iter().filter(is_it).min_by_key(|it| it.state != TokenState::Valid);
    // A list does not show every token there is.
    let (id, name) = match (found, wanted.trim().parse::<TokenId>()) {
        (Some(found), _) => (found.token.id, found.token.name.clone()),
        (None, Ok(id)) => (id, id.to_string()),
        (None, Err(_)) => {
            return Err(Failure::new(operation)
                .since("there is no token by that name or id")
                .hint("'hivekeeper token list' names them"));
        }
    };
    remote.change(&operation, Method::DELETE, &format!("{PATH}/{id}"), None).await?;
    if out.is_json() {
        return out.value(&serde_json::json!({"id": id, "state": "revoked"}));
    }
    out.line(&format!("the token '{name}' opens nothing any more"))
}

#[derive(Deserialize, Serialize)]
struct Pairing {
    url: String,
    expires_in_s: u64,
    name: String,
    role: TokenRole,
    qr: serde_json::Value,
    reachable: bool,
}

async fn pair(
    role: TokenRole,
    name: Option<String>,
    place: &Place,
    out: &mut Out,
) -> Result<(), Failure> {
    const OPERATION: &str = "pair a browser";
    let remote = Remote::find(place, OPERATION)?;
    let body = serde_json::json!({"role": role, "name": name});
    let pairing: Pairing = remote.post(OPERATION, "/api/v1/pairings", &body).await?;
    if out.is_json() {
        return out.value(&pairing);
    }
    out.line(&format!(
        "open {} to pair a browser as {} (once, within {} minutes)",
        pairing.url,
        word(&pairing.role),
        pairing.expires_in_s / 60
    ))?;
    if !pairing.reachable {
        out.line(
            "only browsers on this machine get there: 'hivekeeper serve --listen ADDR --tls-cert \
             FILE --tls-key FILE' opens a door for others",
        )?;
    }
    Ok(())
}
