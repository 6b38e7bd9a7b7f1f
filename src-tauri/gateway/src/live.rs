//! The live stream, over a WebSocket or as server-sent events: the same frames either way.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Extension, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use engine::live::{Frame, LiveFrom, LiveTopic, SentFrame, Wish, not_yours};
use engine::{Bearer, SignedIn};
use futures::{Stream, StreamExt as _};
use http::{HeaderMap, Method, StatusCode, header};
use model::refusal::{Code, Refusal};
use model::token::{TokenArea, TokenScope};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use crate::Gate;
use crate::auth::LIVE_PROTOCOL;
use crate::crowd::Place;
use crate::limits::{Listener, ListenerPlace};
use crate::params::Params;
use crate::problem::Problem;
use crate::rights::{Role, Rule, Verdict, look_up};

/// How often something is sent although there is nothing to say.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long a listener may take for one frame over a WebSocket.
const SEND_MAX: Duration = Duration::from_secs(10);
/// The longest message of a listener, in bytes.
const ASK_BYTES_MAX: usize = 16 * 1024;
/// Wishes of one listener that wait; the next one is read when there is room.
const WISHES_MAX: usize = 16;
/// How many messages a listener may send at once.
const MESSAGES_AT_ONCE: u32 = 40;
/// After how long it may send another one; one that comes earlier is read only then.
const MESSAGE_EVERY: Duration = Duration::from_millis(100);
/// What a WebSocket is closed with when its listener was too slow: try again later.
const TRY_AGAIN: u16 = 1013;
/// What a WebSocket is closed with when the engine ends.
const GOING_AWAY: u16 = 1001;
/// What a WebSocket is closed with when its listener may listen no longer.
const NOT_ALLOWED: u16 = 1008;

/// Listens to what happens.
///
/// The same frames as server-sent events or, where the request asks for it, over a WebSocket, which
/// takes a `LiveAsk` at any time. A listener that comes back with `Last-Event-ID`, or with `epoch`
/// and `since`, gets everything about its topics after that, once; what cannot be told without a gap
/// begins with `reset`, a snapshot, and `caught_up`. One that is too slow is told `lagging` and
/// dropped. At most one frame in 100 ms comes about each topic. The schema of the frames is at
/// /api/v1/live/schema.json.
#[utoipa::path(
    get, path = "/api/v1/live", tag = "events",
    params(
        ("topics" = Option<String>, Query, description = "What to be told about, with commas in between: agents, missions, signals, events, inbox, transcript:ATTEMPT. The first five unless given."),
        ("epoch" = Option<String>, Query, description = "The epoch of the last frame seen."),
        ("since" = Option<u64>, Query, description = "The number of the last frame seen."),
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last frame seen, EPOCH:SEQ."),
    ),
    responses(
        (status = 200, description = "The stream.", body = Frame, content_type = "text/event-stream"),
        (status = 101, description = "The WebSocket."),
        (status = 503, description = "Too many listen already."),
    ),
)]
#[expect(clippy::too_many_arguments, reason = "each is read from the request by its type")]
pub(crate) async fn listen(
    State(gate): State<Gate>,
    role: Option<Extension<Role>>,
    bearer: Option<Extension<Bearer>>,
    login: Option<Extension<SignedIn>>,
    place: Option<Extension<Place>>,
    headers: HeaderMap,
    params: Params,
    socket: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let from = beginning(&headers, params)?;
    // Whoever got here may see; a role that is not known may do nothing else.
    let role = role.map_or(Role::Viewer, |Extension(role)| role);
    let bearer = bearer.map(|Extension(bearer)| bearer);
    let login = login.map(|Extension(login)| login);
    let scopes = bearer.iter().flat_map(|bearer| bearer.scopes.iter().cloned()).collect();
    let ears = Ears { role, scopes };
    if let Some(topic) = from.topics.iter().find(|topic| !ears.may_hear(topic)) {
        return Err(not_yours(topic).into());
    }
    let seat = match (&login, &bearer) {
        (Some(login), _) => Some(Listener::Login(login.id)),
        (None, Some(bearer)) => Some(Listener::Token(bearer.id)),
        // Who came over no connection is the window itself.
        (None, None) => place.as_ref().map(|_| Listener::Captain),
    };
    let seat = seat.map(|who| gate.limits.listener(who)).transpose()?;
    let ended = until_ended(&gate, bearer, login);
    let (wish, wishes) = mpsc::channel(WISHES_MAX);
    if !headers.contains_key(header::UPGRADE) {
        drop(wish);
        return Ok(events(&gate, from, wishes, ended, seat).into_response());
    }
    let socket = socket.map_err(|rejection| {
        Problem::new(StatusCode::BAD_REQUEST, Code::InvalidInput, rejection.body_text())
            .hint("ask without Upgrade for server-sent events")
    })?;
    let shut = Arc::new(AtomicBool::new(false));
    let ended = noted(ended, Arc::clone(&shut));
    let frames = Box::pin(gate.engine.live(from, wishes).take_until(ended));
    Ok(socket
        .protocols([LIVE_PROTOCOL])
        .max_message_size(ASK_BYTES_MAX)
        .max_frame_size(ASK_BYTES_MAX)
        .write_buffer_size(0)
        .on_upgrade(move |socket| async move {
            // What speaks on is still a connection, and a listener of its key.
            let _places = (place, seat);
            converse(socket, frames, wish, ears, &shut).await;
        }))
}

/// Describes the frames of the live stream.
///
/// A JSON Schema (2020-12) of what the stream sends; `$defs/LiveAsk` is what it takes.
#[utoipa::path(
    get, path = "/api/v1/live/schema.json", tag = "events",
    responses((status = 200, description = "The schema.", body = serde_json::Value)),
)]
pub(crate) async fn get_live_schema() -> Response {
    // As it is committed, which is that of this program: a test of the engine says so.
    const SCHEMA: &str = include_str!("../../../docs/live.schema.json");
    ([(header::CONTENT_TYPE, "application/json")], SCHEMA).into_response()
}

/// What somebody may listen to.
#[derive(Debug, Clone)]
struct Ears {
    role: Role,
    /// Of an access token; without any it is good for everything its role may see.
    scopes: Vec<TokenScope>,
}

impl Ears {
    /// Whether this may see what a topic tells: as the table says of the same by request.
    fn may_hear(&self, topic: &LiveTopic) -> bool {
        let area = area_of(topic);
        let within =
            |scope: &TokenScope| matches!(scope, TokenScope::Area { area: it } if *it == area);
        // A token for one agent or mission alone is for requests: a topic is about all of them.
        if !self.scopes.is_empty() && !self.scopes.iter().any(within) {
            return false;
        }
        match look_up(&Method::GET, &path_of(topic)) {
            Verdict::Rule(Rule::Needs(right)) => self.role.may(right),
            Verdict::Rule(Rule::Anybody) => true,
            Verdict::OtherMethods(_) | Verdict::Unknown => false,
        }
    }
}

/// The part of the API a topic belongs to.
const fn area_of(topic: &LiveTopic) -> TokenArea {
    match topic {
        LiveTopic::Agents => TokenArea::Agents,
        LiveTopic::Missions | LiveTopic::Transcript(_) => TokenArea::Missions,
        LiveTopic::Signals => TokenArea::Swarm,
        LiveTopic::Events => TokenArea::Events,
        LiveTopic::Inbox => TokenArea::Talk,
    }
}

/// Where the same can be read by request.
fn path_of(topic: &LiveTopic) -> String {
    match topic {
        LiveTopic::Agents => "/api/v1/agents".to_owned(),
        LiveTopic::Missions => "/api/v1/missions".to_owned(),
        LiveTopic::Signals => "/api/v1/overview".to_owned(),
        LiveTopic::Events => "/api/v1/events".to_owned(),
        LiveTopic::Inbox => "/api/v1/inbox".to_owned(),
        LiveTopic::Transcript(id) => format!("/api/v1/attempts/{id}/conversation"),
    }
}

fn beginning(headers: &HeaderMap, mut params: Params) -> Result<LiveFrom, Problem> {
    let named = params.all("topics");
    let epoch = params.text("epoch")?;
    let since = params.number("since", 0..=u64::MAX)?;
    params.done()?;
    let topics = if named.is_empty() {
        LiveTopic::STANDING.to_vec()
    } else {
        LiveTopic::read_all(named.iter().flat_map(|names| names.split(',')))?
    };
    if since.is_some() != epoch.is_some() {
        return Err(Problem::invalid("'since' counts within an 'epoch': give both, or none")
            .hint("both are in every frame"));
    }
    Ok(match last_event_id(headers) {
        Some((epoch, since)) => LiveFrom { topics, epoch: Some(epoch), since: Some(since) },
        None => LiveFrom { topics, epoch, since },
    })
}

/// Whoever listens by an access token or as a browser listens no longer than that holds.
fn until_ended(
    gate: &Gate,
    bearer: Option<Bearer>,
    login: Option<SignedIn>,
) -> impl Future<Output = ()> + Send + use<> {
    let signed_out = login.map(|login| gate.engine.until_signed_out(login.id));
    let revoked = bearer.map(|bearer| gate.engine.until_ended(bearer.id));
    async move {
        match (signed_out, revoked) {
            // A browser's token ends with its login, and its login with the token.
            (Some(ended), _) => ended.await,
            (None, Some(ended)) => ended.await,
            (None, None) => std::future::pending().await,
        }
    }
}

/// Notes that it was this that ended a stream.
async fn noted(ended: impl Future<Output = ()>, shut: Arc<AtomicBool>) {
    ended.await;
    shut.store(true, Ordering::Release);
}

fn events<E: Future<Output = ()> + Send + 'static>(
    gate: &Gate,
    from: LiveFrom,
    wishes: mpsc::Receiver<Wish>,
    ended: E,
    seat: Option<ListenerPlace>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>> + Send + use<E>> {
    let epoch = gate.engine.epoch().to_owned();
    let frames = gate.engine.live(from, wishes).take_until(ended).map(move |frame| {
        let _seat = &seat;
        let event = Event::default().data(&*frame.json);
        // A number from inside of a snapshot is none to come back with.
        Ok(match frame.seq.filter(|_| frame.whole) {
            Some(seq) => event.id(format!("{epoch}:{seq}")),
            None => event,
        })
    });
    Sse::new(frames).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

/// The frame a browser saw last before it lost the connection.
fn last_event_id(headers: &HeaderMap) -> Option<(String, u64)> {
    let id = headers.get("last-event-id")?.to_str().ok()?;
    let (epoch, seq) = id.rsplit_once(':')?;
    Some((epoch.to_owned(), seq.parse().ok()?))
}

/// Speaks with one listener over a WebSocket until one of them ends it. Where it is `shut` by then, the
/// listener's key or login has ended.
async fn converse(
    mut socket: WebSocket,
    mut frames: impl Stream<Item = SentFrame> + Unpin,
    wish: mpsc::Sender<Wish>,
    ears: Ears,
    shut: &AtomicBool,
) {
    let mut alive = interval(KEEP_ALIVE);
    alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut slow = false;
    let mut pace = Pace::default();
    let mut wait = None;
    loop {
        let message = tokio::select! {
            frame = frames.next() => match frame {
                Some(frame) => {
                    slow = frame.seq.is_none() && frame.json.contains(r#""kind":"lagging""#);
                    Message::Text((&*frame.json).into())
                }
                None => break,
            },
            () = sleep_until(wait.unwrap_or_else(Instant::now)), if wait.is_some() => {
                wait = None;
                continue;
            }
            heard = socket.recv(), if wish.capacity() > 0 && wait.is_none() => match heard {
                Some(Ok(heard)) => {
                    wait = pace.heard(Instant::now());
                    if let Some(asked) = wish_in(&heard, &ears) {
                        // There is room: it was looked at before.
                        drop(wish.try_send(asked));
                    }
                    continue;
                }
                Some(Err(_)) | None => return,
            },
            _ = alive.tick() => Message::Ping(Vec::new().into()),
        };
        if !matches!(timeout(SEND_MAX, socket.send(message)).await, Ok(Ok(()))) {
            return;
        }
    }
    let (code, reason) = if slow {
        (TRY_AGAIN, "too slow for what happens; come back to be told afresh")
    } else if shut.load(Ordering::Acquire) {
        (NOT_ALLOWED, "signed out or revoked: what let this listener in opens nothing any more")
    } else {
        (GOING_AWAY, "the engine ends")
    };
    let farewell = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
    drop(timeout(SEND_MAX, socket.send(farewell)).await);
}

/// How fast a listener talks: so much at once, and then one message after the other.
#[derive(Debug, Default)]
struct Pace {
    /// When all that was heard would have been said at the pace that is allowed.
    through: Option<Instant>,
}

impl Pace {
    /// Counts a message; until when no other is read, where it is one too many.
    fn heard(&mut self, now: Instant) -> Option<Instant> {
        let through = self.through.map_or(now, |through| through.max(now)) + MESSAGE_EVERY;
        self.through = Some(through);
        let on = through.checked_sub(MESSAGE_EVERY * MESSAGES_AT_ONCE)?;
        (on > now).then_some(on)
    }
}

/// What a message of a listener asks for, where it asks for anything.
fn wish_in(message: &Message, ears: &Ears) -> Option<Wish> {
    match message {
        Message::Text(text) => Some(Wish::read(text, |topic| ears.may_hear(topic))),
        Message::Binary(_) => {
            let refused =
                Refusal::new(Code::InvalidInput, "the message is binary").hint("send JSON as text");
            Some(Wish {
                subscribe: Vec::new(),
                unsubscribe: Vec::new(),
                correlation_id: None,
                refused: Some(refused),
            })
        }
        Message::Ping(_) | Message::Pong(_) | Message::Close(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use model::id::{AttemptId, SystemDraw};

    use super::*;

    #[test]
    fn the_last_event_id_names_epoch_and_number_or_nothing() {
        let check = |id: &'static str, read: Option<(&str, u64)>| {
            let mut headers = HeaderMap::new();
            headers.insert("last-event-id", http::HeaderValue::from_static(id));
            let seen = last_event_id(&headers);
            assert_eq!(seen.as_ref().map(|(epoch, seq)| (epoch.as_str(), *seq)), read, "{id}");
        };
        check("e1:7", Some(("e1", 7)));
        check("a:b:7", Some(("a:b", 7)));
        check("7", None);
        check("e1:x", None);
        check("e1:-1", None);
    }

    #[test]
    fn a_listener_that_talks_too_fast_is_heard_at_a_pace() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        for n in 0..MESSAGES_AT_ONCE {
            assert_eq!(pace.heard(now), None, "{n}");
        }
        let on = pace.heard(now).unwrap();
        assert_eq!(on, now + MESSAGE_EVERY);
        assert_eq!(pace.heard(on), Some(on + MESSAGE_EVERY), "one after the other");
        let later = on + MESSAGE_EVERY * (MESSAGES_AT_ONCE + 9);
        assert_eq!(pace.heard(later), None, "after a rest it may talk again");
    }

    #[test]
    fn a_role_may_listen_to_what_the_table_lets_it_read_and_to_nothing_else() {
        let id = AttemptId::draw(model::Timestamp::UNIX_EPOCH, &mut SystemDraw);
        for topic in LiveTopic::STANDING.into_iter().chain([LiveTopic::Transcript(id)]) {
            let rule = look_up(&Method::GET, &path_of(&topic));
            assert!(matches!(rule, Verdict::Rule(Rule::Needs(_))), "{topic} is not in the table");
            for role in Role::ALL {
                let sees = matches!(role, Role::Viewer | Role::Operator | Role::Admin);
                let ears = Ears { role, scopes: Vec::new() };
                assert_eq!(ears.may_hear(&topic), sees, "{role:?} {topic}");
            }
            let text = format!(r#"{{"subscribe":["{topic}"]}}"#);
            let ears = Ears { role: Role::Worker, scopes: Vec::new() };
            let wish = wish_in(&Message::Text(text.into()), &ears).unwrap();
            assert!(wish.refused.is_some() && wish.subscribe.is_empty());
        }
    }

    #[test]
    fn a_token_for_parts_of_the_api_hears_these_parts_and_one_for_a_single_thing_none() {
        let id = model::id::MissionId::draw(model::Timestamp::UNIX_EPOCH, &mut SystemDraw);
        let hears = |scopes: &[TokenScope]| {
            let ears = Ears { role: Role::Viewer, scopes: scopes.to_vec() };
            let heard = LiveTopic::STANDING.into_iter().filter(|topic| ears.may_hear(topic));
            heard.collect::<Vec<_>>()
        };
        assert_eq!(hears(&[]), LiveTopic::STANDING);
        let talk = TokenScope::Area { area: TokenArea::Talk };
        assert_eq!(hears(std::slice::from_ref(&talk)), [LiveTopic::Inbox]);
        assert!(hears(&[TokenScope::Mission { id }]).is_empty());
    }

    /// A stream of frames over a real WebSocket; where it is `shut`, to one that may listen no longer.
    async fn told(
        frames: Vec<SentFrame>,
        shut: bool,
    ) -> Vec<tokio_tungstenite::tungstenite::Message> {
        let (wish, _wishes) = mpsc::channel(1);
        let frames = std::sync::Mutex::new(Some((frames, wish)));
        let serve = move |socket: WebSocketUpgrade| {
            let (frames, wish) = frames.lock().unwrap().take().unwrap();
            let frames = futures::stream::iter(frames);
            let ears = Ears { role: Role::Viewer, scopes: Vec::new() };
            let shut = AtomicBool::new(shut);
            async move {
                socket.on_upgrade(move |it| async move {
                    converse(it, frames, wish, ears, &shut).await;
                })
            }
        };
        let serve = std::sync::Arc::new(serve);
        let router = axum::Router::new()
            .route("/", axum::routing::get(move |socket: WebSocketUpgrade| serve(socket)));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut served = tokio::task::JoinSet::new();
        served.spawn(async move { axum::serve(listener, router).await });
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let url = format!("ws://{address}/");
        let (socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
        socket.filter_map(|message| std::future::ready(message.ok())).collect().await
    }

    fn frame(json: &str) -> SentFrame {
        SentFrame { seq: None, topic: None, whole: true, json: json.into() }
    }

    #[tokio::test]
    async fn a_lagging_client_is_dropped_with_notice() {
        use tokio_tungstenite::tungstenite::Message;
        let notice = r#"{"payload":{"kind":"lagging","missed":3}}"#;
        let told = told(vec![frame("{}"), frame(notice)], false).await;
        let text: Vec<_> = told.iter().filter_map(|it| it.to_text().ok()).collect();
        assert!(text.contains(&notice), "{told:?}");
        let Some(Message::Close(Some(close))) = told.last() else { panic!("{told:?}") };
        assert_eq!(u16::from(close.code), TRY_AGAIN);
        assert!(close.reason.contains("too slow"));
    }

    #[tokio::test]
    async fn an_engine_that_ends_says_so() {
        use tokio_tungstenite::tungstenite::Message;
        let told = told(vec![frame("{}")], false).await;
        let Some(Message::Close(Some(close))) = told.last() else { panic!("{told:?}") };
        assert_eq!(u16::from(close.code), GOING_AWAY);
    }

    #[tokio::test]
    async fn a_listener_that_is_signed_out_is_told_so_and_not_that_the_engine_ends() {
        use tokio_tungstenite::tungstenite::Message;
        let told = told(vec![frame("{}")], true).await;
        let Some(Message::Close(Some(close))) = told.last() else { panic!("{told:?}") };
        assert_eq!(u16::from(close.code), NOT_ALLOWED);
        assert!(close.reason.contains("signed out or revoked"), "{close:?}");
    }
}
