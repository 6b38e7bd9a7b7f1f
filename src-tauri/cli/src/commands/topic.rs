//! `hivekeeper topic`.

use engine::view::{CloseTopic, Listing, NewTopic, NewVote, TopicView};

use crate::args::Topic;
use crate::failure::Failure;
use crate::input::Source;
use crate::out::{Out, time};
use crate::remote::{Place, Remote};
use crate::selector::encode;

/// The longest text of a topic, in bytes.
const TEXT_BYTES_MAX: usize = 256 * 1024;

/// Carries it out.
pub(crate) async fn run(command: Topic, place: &Place, out: &mut Out) -> Result<(), Failure> {
    match command {
        Topic::List => list(place, out).await,
        Topic::Show { topic } => {
            let operation = format!("show the topic {topic}");
            let remote = Remote::find(place, &operation)?;
            let view: TopicView = remote.get(&operation, &path(&topic)).await?;
            show(&view, out)
        }
        Topic::Open { title, text, options } => {
            const OPERATION: &str = "open the topic";
            let text = Source {
                what: "the text",
                given: &text,
                bytes_max: TEXT_BYTES_MAX,
                too_large: "put the long part into a file of the repository and name it",
            }
            .read()?;
            let remote = Remote::find(place, OPERATION)?;
            let body = NewTopic { title, text, options };
            let view: TopicView = remote.post(OPERATION, "/api/v1/topics", &body).await?;
            show(&view, out)
        }
        Topic::Vote { topic, agent, option, because } => {
            let operation = format!("vote on the topic {topic}");
            let remote = Remote::find(place, &operation)?;
            let body = NewVote { agent, option, rationale: because };
            let to = format!("{}/votes", path(&topic));
            let view: TopicView = remote.post(&operation, &to, &body).await?;
            show(&view, out)
        }
        Topic::Close { topic, option, note } => {
            let operation = format!("close the topic {topic}");
            let remote = Remote::find(place, &operation)?;
            let to = format!("{}/close", path(&topic));
            let view: TopicView =
                remote.post(&operation, &to, &CloseTopic { option, note }).await?;
            show(&view, out)
        }
    }
}

fn path(topic: &str) -> String {
    format!("/api/v1/topics/{}", encode(topic))
}

/// How it was decided, in one line.
fn decided(view: &TopicView) -> String {
    match &view.topic.decision {
        None => "open".to_owned(),
        Some(decision) => {
            let option = decision.option.as_deref().unwrap_or("nothing");
            format!("{option}: {}", decision.because)
        }
    }
}

async fn list(place: &Place, out: &mut Out) -> Result<(), Failure> {
    const OPERATION: &str = "list the topics";
    let remote = Remote::find(place, OPERATION)?;
    let topics: Listing<TopicView> = remote.get(OPERATION, "/api/v1/topics").await?;
    if out.is_json() {
        return out.value(&topics);
    }
    if topics.items.is_empty() {
        return out.line("no topics: open one with 'hivekeeper topic open'");
    }
    let rows: Vec<Vec<String>> = topics
        .items
        .iter()
        .map(|view| {
            vec![
                view.topic.id.to_string(),
                time(view.topic.opened_at),
                view.votes.len().to_string(),
                decided(view),
                view.topic.title.clone(),
            ]
        })
        .collect();
    out.table(&["ID", "OPENED", "VOTES", "DECISION", "QUESTION"], &rows)
}

fn show(view: &TopicView, out: &mut Out) -> Result<(), Failure> {
    if out.is_json() {
        return out.value(view);
    }
    let topic = &view.topic;
    let at = topic.decision.as_ref().map(|decision| time(decision.at));
    out.pairs(&[
        ("topic", topic.title.clone()),
        ("id", topic.id.to_string()),
        ("opened", time(topic.opened_at)),
        ("decision", decided(view)),
        ("decided", at.unwrap_or_default()),
    ])?;
    for line in topic.text.lines() {
        out.line(line)?;
    }
    for option in &topic.options {
        let votes: Vec<_> = view.votes.iter().filter(|vote| vote.option == *option).collect();
        out.line(&format!("{option}: {} votes", votes.len()))?;
        for vote in votes {
            let agent = vote.agent_name.as_deref().unwrap_or("a removed agent");
            out.line(&format!("  {agent}: {}", vote.rationale))?;
        }
    }
    Ok(())
}
