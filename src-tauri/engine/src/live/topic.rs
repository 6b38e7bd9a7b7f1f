//! What a listener can ask to be told about, and how it asks.

use std::fmt;
use std::str::FromStr;

use model::id::AttemptId;
use model::refusal::{Code, Refusal};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The most topics of one listener.
pub const TOPICS_MAX: usize = 64;
/// The longest name of a correlation that a listener may give, in bytes.
pub const CORRELATION_BYTES_MAX: usize = 128;

/// Something a listener can be told about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum LiveTopic {
    /// The agents with their status.
    Agents,
    /// The missions as a list shows them.
    Missions,
    /// What is measured and counted: the swarm at a glance.
    Signals,
    /// Everything that is recorded in the ledger.
    Events,
    /// What agents ask the captain.
    Inbox,
    /// What passes between an attempt and its agent.
    Transcript(AttemptId),
}

impl LiveTopic {
    /// The topics that are always there.
    pub const STANDING: [Self; 5] =
        [Self::Agents, Self::Missions, Self::Signals, Self::Events, Self::Inbox];
    /// What a topic may be called, in words.
    pub const NAMES: [&str; 6] =
        ["agents", "missions", "signals", "events", "inbox", "transcript:ATTEMPT"];

    /// Reads a list of topics, each once, in the order they are named.
    ///
    /// # Errors
    /// When one is unknown, or there are too many.
    pub fn read_all<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Vec<Self>, Refusal> {
        let mut topics = Vec::new();
        for name in names {
            let topic: Self = name.parse()?;
            if !topics.contains(&topic) {
                topics.push(topic);
            }
            if topics.len() > TOPICS_MAX {
                return Err(too_many());
            }
        }
        Ok(topics)
    }
}

/// The refusal of more topics than one listener can have.
pub(super) fn too_many() -> Refusal {
    Refusal::new(Code::InvalidInput, format!("more than {TOPICS_MAX} topics for one listener"))
        .hint("unsubscribe from some first; what was subscribed to goes on")
}

impl fmt::Display for LiveTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Agents => "agents",
            Self::Missions => "missions",
            Self::Signals => "signals",
            Self::Events => "events",
            Self::Inbox => "inbox",
            Self::Transcript(id) => return write!(f, "transcript:{id}"),
        })
    }
}

impl FromStr for LiveTopic {
    type Err = Refusal;

    fn from_str(name: &str) -> Result<Self, Refusal> {
        let standing = Self::STANDING.into_iter().find(|topic| topic.to_string() == name);
        let transcript = || {
            let id = name.strip_prefix("transcript:")?;
            id.parse().ok().map(Self::Transcript)
        };
        standing.or_else(transcript).ok_or_else(|| {
            let shown: String = name.chars().take(80).collect();
            Refusal::new(Code::InvalidInput, format!("there is no topic '{shown}'"))
                .allowed(Self::NAMES.map(str::to_owned).into())
        })
    }
}

impl From<LiveTopic> for String {
    fn from(topic: LiveTopic) -> Self {
        topic.to_string()
    }
}

impl TryFrom<String> for LiveTopic {
    type Error = Refusal;

    fn try_from(name: String) -> Result<Self, Refusal> {
        name.parse()
    }
}

/// What a listener sends over its connection, as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LiveAsk {
    /// Topics to be told about from now on; each begins with a snapshot.
    pub subscribe: Vec<String>,
    /// Topics to be told about no more.
    pub unsubscribe: Vec<String>,
    /// A name of the listener's making, which the answer carries.
    #[schema(max_length = 128)]
    pub correlation_id: Option<String>,
}

/// What a listener wants changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Topics to be told about from now on.
    pub subscribe: Vec<LiveTopic>,
    /// Topics to be told about no more.
    pub unsubscribe: Vec<LiveTopic>,
    /// What the answer carries.
    pub correlation_id: Option<String>,
    /// Why it is not granted; the listener is told and goes on as it was.
    pub refused: Option<Refusal>,
}

impl Wish {
    /// Reads what a listener sent, which may only name topics that `may` lets it see.
    #[must_use]
    pub fn read(text: &str, may: impl Fn(&LiveTopic) -> bool) -> Self {
        let none = Self {
            subscribe: Vec::new(),
            unsubscribe: Vec::new(),
            correlation_id: None,
            refused: None,
        };
        let ask: LiveAsk = match serde_json::from_str(text) {
            Ok(ask) => ask,
            Err(error) => {
                let why = format!("the frame is not one that is understood: {error}");
                let refused = Refusal::new(Code::InvalidInput, why)
                    .hint(r#"send {"subscribe":["agents"],"correlation_id":"1"}"#);
                return Self { refused: Some(refused), ..none };
            }
        };
        Self::of(ask, may)
    }

    /// Takes a wish that was read already.
    #[must_use]
    pub fn of(ask: LiveAsk, may: impl Fn(&LiveTopic) -> bool) -> Self {
        let LiveAsk { subscribe, unsubscribe, correlation_id } = ask;
        let kept = correlation_id.filter(|id| id.len() <= CORRELATION_BYTES_MAX);
        let names = |names: Vec<String>| LiveTopic::read_all(names.iter().map(String::as_str));
        let (subscribe, unsubscribe, refused) = match (names(subscribe), names(unsubscribe)) {
            (Ok(subscribe), Ok(unsubscribe)) => match subscribe.iter().find(|topic| !may(topic)) {
                None => (subscribe, unsubscribe, None),
                Some(topic) => (Vec::new(), Vec::new(), Some(not_yours(topic))),
            },
            (Err(refused), _) | (_, Err(refused)) => (Vec::new(), Vec::new(), Some(refused)),
        };
        Self { subscribe, unsubscribe, correlation_id: kept, refused }
    }
}

/// The refusal of a topic that somebody may not see.
#[must_use]
pub fn not_yours(topic: &LiveTopic) -> Refusal {
    Refusal::new(Code::Forbidden, format!("your role may not listen to '{topic}'"))
}

#[cfg(test)]
mod tests {
    use model::id::SystemDraw;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_topic_reads_back_as_it_is_written_and_an_unknown_one_names_those_there_are() {
        let id = AttemptId::draw(jiff::Timestamp::UNIX_EPOCH, &mut SystemDraw);
        for topic in LiveTopic::STANDING.into_iter().chain([LiveTopic::Transcript(id)]) {
            assert_eq!(topic.to_string().parse::<LiveTopic>().unwrap(), topic);
        }
        for name in ["", "alerts", "agents ", "transcript:", "transcript:x", "Agents"] {
            let refused = name.parse::<LiveTopic>().unwrap_err();
            assert_eq!(refused.allowed.len(), LiveTopic::NAMES.len(), "{name}");
        }
    }

    #[test]
    fn a_wish_names_topics_once_and_only_those_the_listener_may_see() {
        let all = |_: &LiveTopic| true;
        let wish =
            Wish::read(r#"{"subscribe":["events","agents","events"],"correlation_id":"7"}"#, all);
        assert_eq!(wish.subscribe, [LiveTopic::Events, LiveTopic::Agents]);
        assert_eq!((wish.correlation_id.as_deref(), wish.refused), (Some("7"), None));
        let check = |text: &str, part: &str| {
            let wish = Wish::read(text, |topic| *topic != LiveTopic::Inbox);
            assert!(wish.subscribe.is_empty() && wish.unsubscribe.is_empty(), "{text}");
            assert!(wish.refused.unwrap().message.contains(part), "{text}");
        };
        check(r#"{"subscribe":["events","inbox"]}"#, "may not listen");
        check(r#"{"subscribe":["alerts"]}"#, "no topic 'alerts'");
        check(r#"{"subscribed":["events"]}"#, "unknown field");
        check("[", "not one that is understood");
        check(r#"{"unsubscribe":"events"}"#, "not one that is understood");
    }

    proptest! {
        #[test]
        fn whatever_a_listener_sends_is_a_wish_or_is_refused(text in ".{0,200}") {
            let wish = Wish::read(&text, |_| true);
            prop_assert!(wish.refused.is_some() || serde_json::from_str::<LiveAsk>(&text).is_ok());
        }

        #[test]
        fn any_text_is_a_topic_by_its_own_name_or_none(text in "[a-z:0-9-]{0,60}") {
            if let Ok(topic) = text.parse::<LiveTopic>() {
                prop_assert_eq!(topic.to_string().to_lowercase(), text);
            }
        }
    }
}
