//! A window on an engine that was started by another program goes on when that is started again, and
//! what it says of an edit arrives.

use engine::live::{Frame, LiveFrom, LiveTopic, Payload};
use futures::StreamExt as _;
use gateway::{Client, ClientError, Reattaching};
use http::{HeaderMap, Method, header};
use tokio::sync::mpsc;

use crate::{House, PATIENCE};

const SETTINGS: &str = "/api/v1/settings";

async fn status(client: &Reattaching, path: &str) -> Result<u16, ClientError> {
    let none = HeaderMap::new();
    client.request_with(Method::GET, path, &none, None).await.map(|it| it.status.as_u16())
}

/// Listens until everything of now was told.
async fn listens(client: &Reattaching) {
    let from = LiveFrom { topics: vec![LiveTopic::Agents], ..LiveFrom::default() };
    let (_wishes, asked) = mpsc::channel(1);
    let mut frames = Box::pin(client.converse(&from, asked).await.unwrap());
    let told = async {
        loop {
            let frame: Frame = serde_json::from_str(&frames.next().await.unwrap()).unwrap();
            if matches!(frame.payload, Payload::CaughtUp { .. }) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, told).await.expect("everything is told");
}

#[tokio::test]
async fn an_attached_window_goes_on_after_the_engine_was_started_again() {
    let house = House::open().await;
    let data = house.engine.data_dir().to_owned();
    let client = Reattaching::new(Client::for_data_dir(&data).unwrap());
    assert_eq!(status(&client, "/api/v1/whoami").await.unwrap(), 200);
    listens(&client).await;

    let house = house.reopen().await;
    assert_eq!(status(&client, "/api/v1/whoami").await.unwrap(), 200, "the token is another one");
    let house = house.reopen().await;
    listens(&client).await;

    house.close().await;
    assert!(status(&client, "/api/v1/whoami").await.unwrap_err().is_no_engine());
}

#[tokio::test]
async fn an_engine_that_has_not_said_yet_how_it_is_spoken_to_signs_no_window_out() {
    let house = House::open().await;
    let data = house.engine.data_dir().to_owned();
    let client = Reattaching::new(Client::for_data_dir(&data).unwrap());
    let house = house.reopen().await;
    std::fs::remove_file(data.join("endpoint.json")).unwrap();
    let error = status(&client, "/api/v1/whoami").await.unwrap_err();
    assert!(error.is_no_engine(), "{error}");
    house.close().await;
}

#[tokio::test]
async fn an_attached_window_does_not_undo_what_somebody_else_changed_meanwhile() {
    let house = House::open().await;
    let data = house.engine.data_dir().to_owned();
    let client = Reattaching::new(Client::for_data_dir(&data).unwrap());
    let none = HeaderMap::new();
    let read = client.request_with(Method::GET, SETTINGS, &none, None).await.unwrap();
    let mut settings: serde_json::Value = serde_json::from_slice(&read.body).unwrap();
    settings["trash_days"] = 29.into();
    let (status, _, _) = house.ask("PUT", SETTINGS, &settings.to_string()).await;
    assert_eq!(status, 200);

    settings["trash_days"] = 28.into();
    let mut headers = HeaderMap::new();
    headers.insert(header::IF_MATCH, read.headers[header::ETAG].clone());
    let body = Some(settings.to_string().into_bytes());
    let answer = client.request_with(Method::PUT, SETTINGS, &headers, body).await.unwrap();
    assert_eq!(answer.status, 412);
    assert_eq!(house.ask("GET", SETTINGS, "").await.2["trash_days"], 29);
    house.close().await;
}
