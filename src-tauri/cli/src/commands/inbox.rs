//! `hivekeeper inbox` and `hivekeeper rule`.

use engine::view::{
    AnswerWord, InboxView, Listing, NewRule, NewScope, RequestAnswer, RequestView, ScopeWord,
};
use http::Method;
use model::inbox::{ANSWER_BYTES_MAX, Ask, RiskLevel, Rule, Scope};

use super::message;
use crate::args::{self, AnswerRequest, Inbox, InboxCommand};
use crate::failure::Failure;
use crate::input::Source;
use crate::out::{Out, span, time, word};
use crate::remote::{Place, Remote};
use crate::selector::encode;

/// Carries it out.
pub(crate) async fn run(args: Inbox, place: &Place, out: &mut Out) -> Result<(), Failure> {
    match args.command {
        None | Some(InboxCommand::List) => list(place, out).await,
        Some(InboxCommand::Answer(args)) => answer(args, place, out).await,
    }
}

async fn list(place: &Place, out: &mut Out) -> Result<(), Failure> {
    const OPERATION: &str = "show the inbox";
    let remote = Remote::find(place, OPERATION)?;
    let inbox: InboxView = remote.get(OPERATION, "/api/v1/inbox").await?;
    if out.is_json() {
        return out.value(&inbox);
    }
    if inbox.counts.total == 0 {
        return out.line("nothing waits for you");
    }
    for view in &inbox.requests {
        show(view, out)?;
    }
    for review in &inbox.reviews {
        let since = time(review.since);
        out.line(&format!("review  {} '{}', since {since}", review.short_id, review.title))?;
    }
    if !inbox.quarantined.is_empty() {
        out.line("in quarantine: 'hivekeeper message retry ID' or 'discard ID'")?;
        message::table(&inbox.quarantined, out)?;
    }
    Ok(())
}

fn show(view: &RequestView, out: &mut Out) -> Result<(), Failure> {
    let request = &view.request;
    let agent = view.agent.as_deref().unwrap_or("a removed agent");
    let mission = view.short_id.as_ref().map(ToString::to_string).unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "an age is shown in two units")]
    let age = span(view.age_s as f64);
    let title = request.ask.title();
    out.line(&format!("{}  {agent} ({mission}), {age} ago: {title}", request.id))?;
    match &request.ask {
        Ask::Permission { permission } => {
            if let Some(command) = &permission.command {
                out.line(&format!("    $ {command}"))?;
            }
            for change in &permission.changes {
                out.line(&format!("    changes {}", change.path))?;
            }
            let risk = &permission.risk;
            if risk.level > RiskLevel::Low {
                let level = word(&risk.level);
                out.line(&format!("    risk {level}: {}", risk.reasons.join("; ")))?;
            }
            out.line(&format!("    always would allow '{}'", permission.pattern))
        }
        Ask::Question { text, options } => {
            for line in text.lines().skip(1) {
                out.line(&format!("    {line}"))?;
            }
            for option in options {
                out.line(&format!("    - {option}"))?;
            }
            Ok(())
        }
    }
}

async fn answer(args: AnswerRequest, place: &Place, out: &mut Out) -> Result<(), Failure> {
    let operation = format!("answer the request {}", args.request);
    let (word_, text) = match (args.answer, args.text) {
        (Some(given), None) => match given.as_str() {
            "once" => (AnswerWord::Once, None),
            "always" => (AnswerWord::Always, None),
            "deny" => (AnswerWord::Deny, None),
            "not-now" | "not_now" => (AnswerWord::NotNow, None),
            _ => (AnswerWord::Text, Some(given)),
        },
        (_, text) => (AnswerWord::Text, text),
    };
    let read = |given: String| {
        let too_large = "make it shorter";
        let (what, bytes_max) = ("the answer", ANSWER_BYTES_MAX);
        Source { what, given: &given, bytes_max, too_large }.read()
    };
    let body = RequestAnswer {
        answer: word_,
        scope: args.scope.map(Into::into),
        pattern: args.pattern,
        note: args.note,
        text: text.map(read).transpose()?,
    };
    let remote = Remote::find(place, &operation)?;
    let to = format!("/api/v1/requests/{}/answer", encode(&args.request));
    let view: RequestView = remote.post(&operation, &to, &body).await?;
    if out.is_json() {
        return out.value(&view);
    }
    let agent = view.agent.as_deref().unwrap_or("the agent");
    match view.request.waits() {
        true => out.line("put off for a quarter of an hour"),
        false => out.line(&format!("{agent} is being told")),
    }
}

/// Carries out what is asked of rules.
pub(crate) async fn rule(command: args::Rule, place: &Place, out: &mut Out) -> Result<(), Failure> {
    match command {
        args::Rule::List => rules(place, out).await,
        args::Rule::Add { pattern, forbid, agent, mission } => {
            const OPERATION: &str = "make the rule";
            let (kind, id) = match (agent, mission) {
                (Some(agent), _) => (ScopeWord::Agent, Some(agent)),
                (None, Some(mission)) => (ScopeWord::Mission, Some(mission)),
                (None, None) => (ScopeWord::Workspace, None),
            };
            let body = NewRule { pattern, allow: !forbid, scope: NewScope { kind, id } };
            let remote = Remote::find(place, OPERATION)?;
            let rule: Rule = remote.post(OPERATION, "/api/v1/rules", &body).await?;
            if out.is_json() {
                return out.value(&rule);
            }
            out.line(&format!("made rule {}", rule.id))
        }
        args::Rule::Remove { rule } => {
            let operation = format!("remove the rule {rule}");
            let remote = Remote::find(place, &operation)?;
            let to = format!("/api/v1/rules/{}", encode(&rule));
            remote.change(&operation, Method::DELETE, &to, None).await?;
            if out.is_json() {
                return out.value(&serde_json::json!({"removed": true, "id": rule}));
            }
            out.line(&format!("removed rule {rule}"))
        }
    }
}

async fn rules(place: &Place, out: &mut Out) -> Result<(), Failure> {
    const OPERATION: &str = "list the rules";
    let remote = Remote::find(place, OPERATION)?;
    let rules: Listing<Rule> = remote.get(OPERATION, "/api/v1/rules").await?;
    if out.is_json() {
        return out.value(&rules);
    }
    if rules.items.is_empty() {
        return out.line("no rules: make one with 'hivekeeper rule add'");
    }
    let rows: Vec<Vec<String>> = rules
        .items
        .iter()
        .map(|rule| {
            let scope = match rule.scope {
                Scope::Mission { id } => format!("mission {id}"),
                Scope::Agent { id } => format!("agent {id}"),
                Scope::Workspace => "workspace".to_owned(),
            };
            let does = if rule.allow { "allows" } else { "forbids" };
            vec![rule.id.to_string(), does.to_owned(), rule.pattern.clone(), scope]
        })
        .collect();
    out.table(&["ID", "DOES", "PATTERN", "FOR"], &rows)
}
