//! `hivekeeper login`: the browsers that get in.

use engine::view::{Listing, LoginState, LoginView};
use http::Method;
use serde::{Deserialize, Serialize};

use crate::args::{Login, LoginCommand};
use crate::failure::Failure;
use crate::out::{Out, time, word};
use crate::remote::{Place, Remote};

/// Where the logins are.
const PATH: &str = "/api/v1/logins";

/// Carries it out.
pub(crate) async fn run(args: Login, place: &Place, out: &mut Out) -> Result<(), Failure> {
    match args.command {
        None => link(place, out).await,
        Some(LoginCommand::List { ended }) => list(ended, place, out).await,
        Some(LoginCommand::End { login: Some(wanted), .. }) => end(&wanted, place, out).await,
        Some(LoginCommand::End { login: None, .. }) => end_all(place, out).await,
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct LoginLink {
    url: String,
    expires_in_s: u64,
}

/// Prints a link that signs a browser in.
async fn link(place: &Place, out: &mut Out) -> Result<(), Failure> {
    const OPERATION: &str = "make a login link";
    let remote = Remote::find(place, OPERATION)?;
    let nothing = serde_json::json!({});
    let link: LoginLink = remote.post(OPERATION, "/api/v1/login/links", &nothing).await?;
    if out.is_json() {
        return out.value(&link);
    }
    out.line(&format!(
        "open {} to sign in (once, within {} minutes)",
        link.url,
        link.expires_in_s / 60
    ))
}

async fn list(ended: bool, place: &Place, out: &mut Out) -> Result<(), Failure> {
    const OPERATION: &str = "list the logins";
    let remote = Remote::find(place, OPERATION)?;
    let path = if ended { format!("{PATH}?ended=true") } else { PATH.to_owned() };
    let logins: Listing<LoginView> = remote.get(OPERATION, &path).await?;
    if out.is_json() {
        return out.value(&logins);
    }
    if logins.items.is_empty() {
        return out.line("no browser is signed in: 'hivekeeper login' prints a link");
    }
    let rows: Vec<Vec<String>> = logins
        .items
        .iter()
        .map(|view| {
            let login = &view.login;
            vec![
                view.name.clone().unwrap_or_else(|| "you".to_owned()),
                word(&view.role),
                word(&view.state),
                time(login.made_at),
                view.used_at.map_or_else(|| "never".to_owned(), time),
                time(login.expires_at),
                login.from.clone().unwrap_or_else(|| "—".to_owned()),
                login.agent.chars().take(40).collect(),
                login.id.to_string(),
            ]
        })
        .collect();
    let head = ["WHO", "ROLE", "STATE", "SINCE", "LAST USE", "ENDS", "FROM", "BROWSER", "ID"];
    out.table(&head, &rows)
}

async fn standing(operation: &str, remote: &Remote) -> Result<Vec<LoginView>, Failure> {
    let logins: Listing<LoginView> = remote.get(operation, PATH).await?;
    Ok(logins.items.into_iter().filter(|view| view.state == LoginState::Valid).collect())
}

async fn end(wanted: &str, place: &Place, out: &mut Out) -> Result<(), Failure> {
    let operation = format!("sign out {wanted}");
    let remote = Remote::find(place, &operation)?;
    let is_it = |view: &LoginView| {
        view.login.id.to_string() == wanted
            || view.name.as_ref().is_some_and(|it| it.to_lowercase() == wanted.to_lowercase())
    };
    let Some(found) = standing(&operation, &remote).await?.into_iter().find(is_it) else {
        return Err(Failure::new(operation)
            .since("no browser is signed in by that name or id")
            .hint("'hivekeeper login list' names them"));
    };
    let path = format!("{PATH}/{}", found.login.id);
    remote.change(&operation, Method::DELETE, &path, None).await?;
    if out.is_json() {
        return out.value(&serde_json::json!({"id": found.login.id, "state": "ended"}));
    }
    out.line("the browser is signed out; its pages and what it listens to have ended")
}

async fn end_all(place: &Place, out: &mut Out) -> Result<(), Failure> {
    const OPERATION: &str = "sign every browser out";
    let remote = Remote::find(place, OPERATION)?;
    let all = standing(OPERATION, &remote).await?;
    for view in &all {
        let id = view.login.id;
        // Each is a change of its own.
        let key = place.key.as_ref().map(|key| format!("{key} {id}"));
        let remote = Remote::find(&Place { key, data_dir: place.data_dir.clone() }, OPERATION)?;
        let path = format!("{PATH}/{id}");
        remote.change(OPERATION, Method::DELETE, &path, None).await?;
    }
    if out.is_json() {
        let ids: Vec<String> = all.iter().map(|view| view.login.id.to_string()).collect();
        return out.value(&serde_json::json!({ "ended": ids }));
    }
    out.line(&match all.len() {
        1 => "1 browser is signed out".to_owned(),
        n => format!("{n} browsers are signed out"),
    })
}
