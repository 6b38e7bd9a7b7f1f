//! Agents that run elsewhere: by plain HTTP, and by the example clients.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on says where it stopped"
)]

mod examples;
mod leases;

#[path = "../hosted/mod.rs"]
mod hosted;

use gateway::Client;
use http::Method;
use serde_json::Value;

use hosted::{House, PATIENCE, caller};

impl House {
    fn client(&self, token: &str) -> Client {
        Client::for_data_dir(self.engine.data_dir()).unwrap().with_token(token.to_owned())
    }

    /// Posts JSON with a token; gives the status and what was answered.
    async fn say(&self, token: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = Some(body.to_string().into_bytes());
        let answer = self.client(token).request(Method::POST, path, body).await.unwrap();
        (answer.status.as_u16(), serde_json::from_slice(&answer.body).unwrap_or(Value::Null))
    }
}
