//! Asking a running engine.

use std::path::Path;
use std::time::Duration;

use gateway::{Answer, Client, ClientError, Problem};
use http::{HeaderMap, HeaderValue, Method};
use model::clock::{Clock as _, SystemClock};
use model::id::{CorrelationId, SystemDraw};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::Failure;

/// How long to wait before a request is sent again that may not have arrived.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// A running engine.
pub(crate) struct Remote {
    client: Client,
}

impl Remote {
    /// Finds the engine of a workspace; `operation` is what it is wanted for.
    pub(crate) fn find(data_dir: &Path, operation: &str) -> Result<Self, Failure> {
        Client::for_data_dir(data_dir)
            .map(|client| Self { client })
            .map_err(|error| Failure::unasked(operation, &error))
    }

    /// The client itself.
    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    /// Reads something.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        operation: &str,
        path: &str,
    ) -> Result<T, Failure> {
        let answer = self.get_raw(operation, path).await?;
        parse(operation, &answer)
    }

    /// Reads something as it is.
    pub(crate) async fn get_raw(&self, operation: &str, path: &str) -> Result<Answer, Failure> {
        let answer = self
            .client
            .request(Method::GET, path, None)
            .await
            .map_err(|error| Failure::unasked(operation, &error))?;
        accepted(operation, answer)
    }

    /// Changes something and reads what it is now.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        operation: &str,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T, Failure> {
        let body =
            serde_json::to_vec(body).map_err(|error| Failure::new(operation).because(&error))?;
        let answer = self.change(operation, Method::POST, path, Some(body)).await?;
        parse(operation, &answer)
    }

    /// Changes something without saying more than what.
    pub(crate) async fn change(
        &self,
        operation: &str,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Answer, Failure> {
        let mut headers = HeaderMap::new();
        let key = CorrelationId::draw(SystemClock.now(), &mut SystemDraw).to_string();
        if let Ok(key) = HeaderValue::from_str(&key) {
            headers.insert("idempotency-key", key);
        }
        let send = || self.client.request_with(method.clone(), path, &headers, body.clone());
        let answer = match send().await {
            // It may have been carried out: the key makes a second time harmless.
            Err(ClientError::Talk(_)) => {
                tokio::time::sleep(AGAIN_AFTER).await;
                send().await
            }
            answer => answer,
        };
        let answer = answer.map_err(|error| Failure::unasked(operation, &error))?;
        accepted(operation, answer)
    }
}

fn accepted(operation: &str, answer: Answer) -> Result<Answer, Failure> {
    if answer.status.is_success() {
        return Ok(answer);
    }
    match serde_json::from_slice::<Problem>(&answer.body) {
        Ok(problem) => Err(Failure::refused(operation, problem)),
        Err(_) => Err(Failure::new(operation).since(format!("the engine answered {}", answer.status))
            .hint("another program may listen where the engine of this workspace did: see endpoint.json")),
    }
}

fn parse<T: DeserializeOwned>(operation: &str, answer: &Answer) -> Result<T, Failure> {
    serde_json::from_slice(&answer.body).map_err(|error| {
        Failure::new(operation)
            .because(&error)
            .hint("the engine may be of another version than this program")
    })
}
