//! The engine of a data directory, whichever run of it there is: one that was started again has another
//! token, and may listen elsewhere.

use std::sync::{Mutex, MutexGuard, PoisonError};

use engine::live::{LiveFrom, Wish};
use futures::stream::Stream;
use http::{HeaderMap, Method, StatusCode};
use tokio::sync::mpsc;

use super::{Answer, Client, ClientError};

/// A client that goes on with the next run of its engine. What no run has taken is asked of the next
/// one; what one may have taken is not repeated.
#[derive(Debug)]
pub struct Reattaching(Mutex<Client>);

impl Reattaching {
    /// Begins with a run.
    #[must_use]
    pub const fn new(client: Client) -> Self {
        Self(Mutex::new(client))
    }

    fn now(&self) -> MutexGuard<'_, Client> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The run that came after this one, where there is one by now.
    fn after(&self, before: &Client) -> Option<Client> {
        let mut now = self.now();
        let is_later = |found: &Client| found.endpoint.token != before.endpoint.token;
        if !is_later(&now) {
            *now = Client::for_data_dir(&before.data_dir).ok().filter(is_later)?;
            tracing::info!(engine = %now.authority, "attached to the next run of the engine");
        }
        Some(now.clone())
    }

    /// Sends a request as [`Client::request_with`] does.
    ///
    /// # Errors
    /// As [`Client::request_with`]; a run that does not know this client is no engine for it.
    pub async fn request_with(
        &self,
        method: Method,
        path: &str,
        headers: &HeaderMap,
        body: Option<Vec<u8>>,
    ) -> Result<Answer, ClientError> {
        let client = self.now().clone();
        let answer = client.request_with(method.clone(), path, headers, body.clone()).await;
        let untaken = match &answer {
            Ok(answer) => answer.status == StatusCode::UNAUTHORIZED,
            Err(error) => error.is_no_engine(),
        };
        if !untaken {
            return answer;
        }
        match self.after(&client) {
            Some(next) => next.request_with(method, path, headers, body).await,
            // Its next run answers already, and has not said yet how it is spoken to.
            None => Err(ClientError::NoEngine(client.data_dir)),
        }
    }

    /// Listens as [`Client::converse`] does.
    ///
    /// # Errors
    /// As [`Client::converse`].
    pub async fn converse(
        &self,
        from: &LiveFrom,
        wishes: mpsc::Receiver<Wish>,
    ) -> Result<impl Stream<Item = String> + Send + use<>, ClientError> {
        let client = self.now().clone();
        let dialled = match client.dial(from).await {
            Ok(dialled) => dialled,
            Err(error) if !is_untaken(&error) => return Err(error),
            Err(error) => match self.after(&client) {
                Some(next) => next.dial(from).await?,
                None => return Err(error),
            },
        };
        Ok(dialled.talk(wishes))
    }
}

fn is_untaken(error: &ClientError) -> bool {
    error.is_no_engine() || matches!(error, ClientError::NoStream(StatusCode::UNAUTHORIZED))
}
