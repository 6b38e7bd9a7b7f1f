//! Listening to an engine of another program as to one's own: one connection for all topics, which
//! takes wishes. One connection has one order, so that its last number is a place to come back to.

use std::collections::VecDeque;

use engine::live::{FRAME_VERSION, Frame, LiveAsk, LiveFrom, Payload, Wish};
use futures::stream::{self, Stream};
use futures::{SinkExt as _, StreamExt as _};
use http::header;
use model::refusal::Refusal;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::{ANSWER_TIMEOUT, CONNECT_TIMEOUT, Client, ClientError, FRAME_BYTES_MAX, SILENCE_MAX};

/// A connection through the socket of this account or over loopback.
trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// A listener that may change its mind.
struct Talking {
    socket: WebSocketStream<Box<dyn Duplex>>,
    wishes: mpsc::Receiver<Wish>,
    /// Whether somebody can still send wishes.
    hears_wishes: bool,
    /// The run of the engine, as its first frame names it.
    epoch: String,
    /// Frames that were made here.
    own: VecDeque<String>,
}

/// A connection on which nothing was wished for yet.
pub(super) struct Dialled(WebSocketStream<Box<dyn Duplex>>);

impl Dialled {
    /// The frames that come, each as JSON, until anything goes wrong.
    pub(super) fn talk(
        self,
        wishes: mpsc::Receiver<Wish>,
    ) -> impl Stream<Item = String> + Send + use<> {
        let talking = Talking {
            socket: self.0,
            wishes,
            hears_wishes: true,
            epoch: String::new(),
            own: VecDeque::new(),
        };
        stream::unfold(talking, Talking::next)
    }
}

/// What came next.
enum Heard {
    Text(String),
    Nothing,
    End,
}

impl Client {
    /// Listens to topics from where `from` says, each frame as JSON; wishes change what is listened
    /// to. When anything goes wrong the stream ends: whoever comes back is told what it missed.
    ///
    /// # Errors
    /// When there is no engine any more, or it refuses to be listened to.
    pub async fn converse(
        &self,
        from: &LiveFrom,
        wishes: mpsc::Receiver<Wish>,
    ) -> Result<impl Stream<Item = String> + Send + use<>, ClientError> {
        Ok(self.dial(from).await?.talk(wishes))
    }

    /// Opens a connection that tells what happens from there on.
    pub(super) async fn dial(&self, from: &LiveFrom) -> Result<Dialled, ClientError> {
        let names: Vec<String> = from.topics.iter().map(ToString::to_string).collect();
        let mut path = format!("/api/v1/live?topics={}", names.join(","));
        if let (Some(epoch), Some(since)) = (&from.epoch, from.since)
            && epoch.bytes().all(|byte| byte.is_ascii_alphanumeric())
        {
            path.push_str(&format!("&epoch={epoch}&since={since}"));
        }
        let url = format!("ws://{}{path}", self.authority);
        let mut request = url.into_client_request().map_err(of_socket)?;
        let bearer = format!("Bearer {}", self.endpoint.token);
        let bearer = bearer.parse().map_err(|error: header::InvalidHeaderValue| error.into());
        request.headers_mut().insert(header::AUTHORIZATION, bearer.map_err(ClientError::Request)?);
        let config = WebSocketConfig::default()
            .max_message_size(Some(FRAME_BYTES_MAX))
            .max_frame_size(Some(FRAME_BYTES_MAX));
        let opened = client_async_with_config(request, self.reach().await?, Some(config));
        let (socket, _) = tokio::time::timeout(ANSWER_TIMEOUT, opened)
            .await
            .map_err(|_| ClientError::TooSlow(ANSWER_TIMEOUT))?
            .map_err(of_socket)?;
        Ok(Dialled(socket))
    }

    async fn reach(&self) -> Result<Box<dyn Duplex>, ClientError> {
        if let Some(socket) = &self.endpoint.socket
            && let Ok(stream) = UnixStream::connect(socket).await
        {
            return Ok(Box::new(stream));
        }
        let gone = || ClientError::NoEngine(self.data_dir.clone());
        let stream = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(&self.authority))
            .await
            .map_err(|_| gone())?
            .map_err(|_| gone())?;
        let _ = stream.set_nodelay(true);
        Ok(Box::new(stream))
    }
}

impl Talking {
    async fn next(mut self) -> Option<(String, Self)> {
        loop {
            if let Some(text) = self.own.pop_front() {
                return Some((text, self));
            }
            match self.hear().await {
                Heard::Text(text) => {
                    if self.epoch.is_empty() {
                        self.epoch = epoch_of(&text);
                    }
                    return Some((text, self));
                }
                Heard::Nothing => {}
                Heard::End => return None,
            }
        }
    }

    async fn hear(&mut self) -> Heard {
        let wish = tokio::select! {
            message = tokio::time::timeout(SILENCE_MAX, self.socket.next()) => {
                return match message {
                    Ok(Some(Ok(Message::Text(text)))) => Heard::Text(text.as_str().to_owned()),
                    Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => Heard::Nothing,
                    // Closed, broken, or silent for longer than an engine is.
                    _ => Heard::End,
                };
            }
            wish = self.wishes.recv(), if self.hears_wishes => wish,
        };
        match wish {
            None => self.hears_wishes = false,
            Some(Wish { refused: Some(refusal), correlation_id, .. }) => {
                self.own.extend(self.refusal(&refusal, correlation_id));
            }
            Some(wish) => {
                let Ok(text) = serde_json::to_string(&ask_of(wish)) else { return Heard::Nothing };
                if self.socket.send(Message::text(text)).await.is_err() {
                    return Heard::End;
                }
            }
        }
        Heard::Nothing
    }

    /// The frame that says why a wish was not even sent, as the engine would have written it.
    fn refusal(&self, refusal: &Refusal, correlation_id: Option<String>) -> Option<String> {
        let payload = Payload::Refused {
            problem: refusal.message.clone(),
            hint: refusal.hint.clone(),
            allowed: refusal.allowed.clone(),
        };
        let epoch = self.epoch.clone();
        let version = FRAME_VERSION;
        let frame = Frame { version, epoch, seq: None, topic: None, correlation_id, payload };
        serde_json::to_string(&frame).ok()
    }
}

fn ask_of(wish: Wish) -> LiveAsk {
    let names = |topics: Vec<engine::live::LiveTopic>| {
        topics.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    LiveAsk {
        subscribe: names(wish.subscribe),
        unsubscribe: names(wish.unsubscribe),
        correlation_id: wish.correlation_id,
    }
}

fn epoch_of(frame: &str) -> String {
    let frame: serde_json::Value = serde_json::from_str(frame).unwrap_or_default();
    frame["epoch"].as_str().unwrap_or_default().to_owned()
}

fn of_socket(error: tungstenite::Error) -> ClientError {
    match error {
        tungstenite::Error::Http(answer) => ClientError::NoStream(answer.status()),
        error => ClientError::Socket(Box::new(error)),
    }
}
