//! Asking a running engine.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use gateway::{Answer, Client, ClientError, Problem};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use model::clock::{Clock as _, SystemClock};
use model::id::{CorrelationId, SystemDraw};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::Failure;

/// How often to look for the engine when it went away over a request.
const AGAIN_AFTER: Duration = Duration::from_millis(200);
/// How long to look for it.
const AGAIN_FOR: Duration = Duration::from_secs(2);

/// Which workspace, and under which key to change it.
#[derive(Debug)]
pub(crate) struct Place {
    /// The data directory.
    pub(crate) data_dir: PathBuf,
    /// The idempotency key that was given; one is drawn otherwise.
    pub(crate) key: Option<String>,
}

/// A running engine.
pub(crate) struct Remote {
    client: Client,
    data_dir: PathBuf,
    key: String,
}

impl Remote {
    /// Finds the engine of a workspace; `operation` is what it is wanted for.
    pub(crate) fn find(place: &Place, operation: &str) -> Result<Self, Failure> {
        let client = Client::for_data_dir(&place.data_dir)
            .map_err(|error| Failure::unasked(operation, &error))?;
        let draw = || CorrelationId::draw(SystemClock.now(), &mut SystemDraw).to_string();
        let key = place.key.clone().unwrap_or_else(draw);
        Ok(Self { client, data_dir: place.data_dir.clone(), key })
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

    /// Asks with a body for something that changes nothing, so that no key is needed.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        operation: &str,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T, Failure> {
        let body =
            serde_json::to_vec(body).map_err(|error| Failure::new(operation).because(&error))?;
        let answer = self
            .client
            .request(Method::POST, path, Some(body))
            .await
            .map_err(|error| Failure::unasked(operation, &error))?;
        parse(operation, &accepted(operation, answer)?)
    }

    /// Changes something and reads what it is now.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        operation: &str,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T, Failure> {
        self.send(operation, Method::POST, path, body).await
    }

    /// Changes something in the way the method says, and reads what it is now.
    pub(crate) async fn send<T: DeserializeOwned>(
        &self,
        operation: &str,
        method: Method,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T, Failure> {
        let body =
            serde_json::to_vec(body).map_err(|error| Failure::new(operation).because(&error))?;
        let answer = self.change(operation, method, path, Some(body)).await?;
        parse(operation, &answer)
    }

    /// As [`Self::send`], provided that what was read under this tag is still as it was.
    pub(crate) async fn send_for<T: DeserializeOwned>(
        &self,
        operation: &str,
        method: Method,
        path: &str,
        (tag, body): (Option<HeaderValue>, &(impl Serialize + Sync)),
    ) -> Result<T, Failure> {
        let body =
            serde_json::to_vec(body).map_err(|error| Failure::new(operation).because(&error))?;
        let answer = self.change_for(operation, method, path, (tag, Some(body))).await?;
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
        self.change_for(operation, method, path, (None, body)).await
    }

    async fn change_for(
        &self,
        operation: &str,
        method: Method,
        path: &str,
        (tag, body): (Option<HeaderValue>, Option<Vec<u8>>),
    ) -> Result<Answer, Failure> {
        let key = HeaderValue::from_str(&self.key)
            .map_err(|error| Failure::new(operation).because(&error))?;
        let mut headers = HeaderMap::from_iter([(HeaderName::from_static("idempotency-key"), key)]);
        headers.extend(tag.map(|tag| (header::IF_MATCH, tag)));
        let request = Request { method, path, headers, body };
        match request.send(&self.client).await {
            Ok(answer) => accepted(operation, answer),
            // It may have been carried out: the key makes a second time harmless.
            Err(error @ ClientError::Broken(_)) => match self.once_more(&request).await {
                // What was to go is gone, whichever of the two requests did it.
                Some(answer)
                    if request.method == Method::DELETE
                        && answer.status == StatusCode::NOT_FOUND =>
                {
                    Ok(answer)
                }
                Some(answer) => accepted(operation, answer),
                None => Err(self.unknown(operation, &error)),
            },
            Err(error) if error.is_outcome_unknown() => Err(self.unknown(operation, &error)),
            Err(error) => Err(Failure::unasked(operation, &error)),
        }
    }

    /// Sends a request again as soon as an engine is there, which may be a new one.
    async fn once_more(&self, request: &Request<'_>) -> Option<Answer> {
        let until = Instant::now() + AGAIN_FOR;
        while Instant::now() < until {
            tokio::time::sleep(AGAIN_AFTER).await;
            let Ok(client) = Client::for_data_dir(&self.data_dir) else {
                continue;
            };
            match request.send(&client).await {
                Err(error) if error.is_no_engine() => {}
                answer => return answer.ok(),
            }
        }
        None
    }

    fn unknown(&self, operation: &str, error: &ClientError) -> Failure {
        Failure::unasked(operation, error).kind("outcome_unknown").hint(format!(
            "look whether it is there before you repeat it; repeating with --idempotency-key {} \
             is safe",
            self.key
        ))
    }
}

/// A change, as it is sent once or twice.
struct Request<'a> {
    method: Method,
    path: &'a str,
    headers: HeaderMap,
    body: Option<Vec<u8>>,
}

impl Request<'_> {
    async fn send(&self, client: &Client) -> Result<Answer, ClientError> {
        client.request_with(self.method.clone(), self.path, &self.headers, self.body.clone()).await
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
