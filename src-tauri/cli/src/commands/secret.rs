//! `hivekeeper secret`.

use engine::view::{SecretPlace, SecretValue, SecretView, SecretsView};
use http::Method;

use crate::args::Secret;
use crate::failure::Failure;
use crate::input::Source;
use crate::out::{Out, quotable, time};
use crate::remote::{Place, Remote};
use crate::selector::encode;

/// Where the secrets are.
const PATH: &str = "/api/v1/secrets";
/// The largest value that is read, in bytes.
const VALUE_BYTES_MAX: usize = 64 * 1024 + 1;

/// Carries it out.
pub(crate) async fn run(command: Secret, place: &Place, out: &mut Out) -> Result<(), Failure> {
    match command {
        Secret::List => list(place, out).await,
        Secret::Set { name, value } => set(&name, &value, place, out).await,
        Secret::Remove { name } => {
            const OPERATION: &str = "remove a secret";
            let remote = Remote::find(place, OPERATION)?;
            let path = format!("{PATH}/{}", encode(&name));
            remote.change(OPERATION, Method::DELETE, &path, None).await?;
            if out.is_json() {
                return out.value(&serde_json::json!({"removed": name}));
            }
            out.line(&format!("the secret '{}' is gone", quotable(&name)))
        }
    }
}

async fn list(place: &Place, out: &mut Out) -> Result<(), Failure> {
    const OPERATION: &str = "list the secrets";
    let remote = Remote::find(place, OPERATION)?;
    let all: SecretsView = remote.get(OPERATION, PATH).await?;
    if out.is_json() {
        return out.value(&all);
    }
    if all.items.is_empty() {
        out.line("no secrets: keep one with 'hivekeeper secret set NAME'")?;
    } else {
        let row = |it: &SecretView| vec![it.name.clone(), time(it.kept_at), it.used_by.join(", ")];
        let rows: Vec<Vec<String>> = all.items.iter().map(row).collect();
        out.table(&["NAME", "KEPT", "USED BY"], &rows)?;
    }
    match all.kept_in {
        SecretPlace::Keychain => out.line("they are in the system's keychain"),
        SecretPlace::File => out.line(&format!(
            "they are in secrets.json of the data directory, not encrypted, for you alone to read: {}",
            all.because.unwrap_or_default()
        )),
    }
}

async fn set(name: &str, value: &str, place: &Place, out: &mut Out) -> Result<(), Failure> {
    const OPERATION: &str = "keep a secret";
    let source = Source {
        what: "the secret",
        given: value,
        bytes_max: VALUE_BYTES_MAX,
        too_large: "a secret has 64 KiB at most",
    };
    let text = source.read()?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let value = SecretValue { value: text.strip_suffix('\r').unwrap_or(text).to_owned() };
    let remote = Remote::find(place, OPERATION)?;
    let path = format!("{PATH}/{}", encode(name));
    let kept: SecretView = remote.send(OPERATION, Method::PUT, &path, &value).await?;
    if out.is_json() {
        return out.value(&kept);
    }
    out.line(&format!(
        "kept; an agent has it where its environment says NAME=secret:{}",
        quotable(&kept.name)
    ))
}
