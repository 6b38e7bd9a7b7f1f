//! Questions to the agents: one vote per agent, and a decision that is kept.

use model::id::{SystemDraw, TopicId};
use model::refusal::{Code, Refusal};
use model::topic::{Topic, Vote};
use orchestrator::Input;

use crate::missions::{names, text_line};
use crate::resolve::{self, unreadable};
use crate::view::{CloseTopic, Listing, NewTopic, NewVote, TopicView, VoteView};
use crate::{Caller, Engine};

/// How many topics a list shows.
const TOPICS_SHOWN: u32 = 100;
/// The longest question or option, in characters.
const LINE_CHARS_MAX: usize = 200;
/// The longest text about a question, in characters.
const TEXT_CHARS_MAX: usize = 20_000;

impl Engine {
    /// The newest topics with their votes.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn topics(&self) -> Result<Listing<TopicView>, Refusal> {
        let topics = self.0.ledger.topics(TOPICS_SHOWN).await.map_err(unreadable)?;
        let mut items = Vec::with_capacity(topics.len());
        for topic in topics {
            items.push(self.topic_view(topic).await?);
        }
        Ok(Listing { items, next: None })
    }

    /// One topic with its votes.
    ///
    /// # Errors
    /// When there is no such topic.
    pub async fn topic(&self, id: TopicId) -> Result<TopicView, Refusal> {
        let found = self.0.ledger.topic(id).await.map_err(unreadable)?;
        let topic = found.ok_or_else(|| {
            Refusal::new(Code::NotFound, format!("there is no topic '{id}'"))
                .hint("list the topics to see their ids")
        })?;
        self.topic_view(topic).await
    }

    async fn topic_view(&self, topic: Topic) -> Result<TopicView, Refusal> {
        let votes = self.0.ledger.votes_of(topic.id).await.map_err(unreadable)?;
        let names = names(&self.0.ledger.agents().await.map_err(unreadable)?);
        let votes = votes.into_iter().map(|vote| VoteView {
            agent_name: names.get(&vote.agent_id).cloned(),
            agent_id: vote.agent_id,
            option: vote.option,
            rationale: vote.rationale,
            at: vote.at,
        });
        Ok(TopicView { votes: votes.collect(), topic })
    }

    /// Asks the agents a question.
    ///
    /// # Errors
    /// When it has fewer than two options, or something is out of bounds.
    pub async fn open_topic(&self, caller: &Caller, new: NewTopic) -> Result<TopicView, Refusal> {
        let now = self.0.clock.now();
        let option = |option: &String| text_line("option", option, LINE_CHARS_MAX);
        let text: String = new.text;
        if text.chars().count() > TEXT_CHARS_MAX || text.contains('\0') {
            return Err(crate::missions::invalid("the text is too long or holds a NUL character")
                .hint(format!("at most {TEXT_CHARS_MAX} characters")));
        }
        let topic = Topic {
            id: TopicId::draw(now, &mut SystemDraw),
            title: text_line("question", &new.title, LINE_CHARS_MAX)?,
            text,
            options: new.options.iter().map(option).collect::<Result<_, _>>()?,
            opened_at: now,
            decision: None,
        };
        let id = topic.id.as_uuid();
        let id = self.tell_creation(caller, Input::OpenTopic(topic), id).await?;
        self.topic(TopicId::from_uuid(id)).await
    }

    /// Takes an agent's vote; a second one replaces the first.
    ///
    /// # Errors
    /// When the topic is decided, or there is no such agent or option.
    pub async fn vote(
        &self,
        caller: &Caller,
        id: TopicId,
        new: NewVote,
    ) -> Result<TopicView, Refusal> {
        self.topic(id).await?;
        let agent_id = resolve::agent(&self.0.ledger, &new.agent).await?.id;
        let (option, rationale) = (new.option.trim().to_owned(), new.rationale);
        let vote = Vote { topic_id: id, agent_id, option, rationale, at: self.0.clock.now() };
        self.tell(caller, Input::Vote(vote)).await?;
        self.topic(id).await
    }

    /// Decides a topic: by the votes, or as the captain says.
    ///
    /// # Errors
    /// When it is decided already, or the votes are even and the captain names no option.
    pub async fn close_topic(
        &self,
        caller: &Caller,
        id: TopicId,
        close: CloseTopic,
    ) -> Result<TopicView, Refusal> {
        self.topic(id).await?;
        let CloseTopic { option, note } = close;
        self.tell(caller, Input::CloseTopic { id, option, note }).await?;
        self.topic(id).await
    }
}
