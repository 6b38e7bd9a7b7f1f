//! Agents that run elsewhere: when each was heard of last, and what it is told with its next
//! heartbeat.
//!
//! Nothing here is kept. After a restart of the engine everybody is listened for anew; what they work
//! on, and under which lease, stands in the ledger.

mod waits;

pub use waits::{NewsLook, Poll};

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use model::agent::Agent;
use model::attempt::{Attempt, AttemptState};
use model::clock::SharedClock;
use model::id::{AgentId, AttemptId, MissionId};
use tokio::sync::Notify;
use tokio::time::Instant;

/// The most requests of one agent that wait for a mission at the same time: its program, and the one
/// before whose end is not noticed yet.
const POLLS_MAX: u32 = 2;
/// The most of all agents together; each holds one of the connections that everybody shares.
const ALL_POLLS_MAX: u32 = 128;

/// What an agent that runs elsewhere is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Say {
    /// Go on.
    Nothing,
    /// Take the mission that waits for it.
    Lease,
    /// Look at its messages: there may be some.
    Messages,
    /// Hold still until it is told otherwise.
    Hold,
    /// Stop, and say when it has.
    Stop,
}

/// What an agent that was heard of is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// What it is to do.
    pub say: Say,
    /// The attempt that is meant; nothing where it has none.
    pub attempt: Option<Standing>,
    /// Whether it was not heard of for so long before that it got no missions.
    pub came_back: bool,
    /// After how much silence it is lost.
    pub lost_after: Duration,
}

/// The attempt of an agent that runs elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Which one.
    pub id: AttemptId,
    /// Its mission.
    pub mission_id: MissionId,
    /// The lease's fencing number.
    pub n: u32,
    /// Whether the agent took it.
    pub taken: bool,
    /// Whether it was asked to stop.
    pub stopping: bool,
}

/// What is known of agents that run elsewhere.
#[derive(Debug)]
pub struct Attached {
    clock: SharedClock,
    since: Timestamp,
    began: Instant,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    posts: HashMap<AgentId, Post>,
    seats: HashMap<AttemptId, Seat>,
    /// How many requests of all agents wait for a mission.
    polls: u32,
}

/// An agent.
#[derive(Debug)]
struct Post {
    lost_after: Duration,
    heard: Option<(Instant, Timestamp)>,
    /// How many of its requests wait for a mission: while one does, it is there.
    polls: u32,
    seat: Option<AttemptId>,
    /// The attempt it said it stopped working on. It may say so before anybody waits for that.
    left: Option<AttemptId>,
    /// Rung when a mission waits for it.
    bell: Arc<Notify>,
}

/// An attempt.
#[derive(Debug)]
struct Seat {
    agent: AgentId,
    /// How it stands; nothing before that is known.
    standing: Option<Standing>,
    frozen: bool,
    /// When it was told to stop.
    told: Option<Instant>,
    /// Whether there may be messages.
    news: bool,
    /// The token of our tools that its agent was given.
    tools: Option<Unwritten>,
    sat: Instant,
    change: Arc<Notify>,
}

/// A token, which nothing may print.
struct Unwritten(String);

impl std::fmt::Debug for Unwritten {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Unwritten")
    }
}

/// How an attempt of an agent that runs elsewhere stands, for whoever waits for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    pub(crate) taken: bool,
    /// Since when nothing was heard of its agent.
    pub(crate) silent_since: Instant,
    /// Since when the attempt waits for its agent.
    pub(crate) sat: Instant,
    pub(crate) told: Option<Instant>,
    pub(crate) left: bool,
}

impl Post {
    const fn new(lost_after: Duration, bell: Arc<Notify>) -> Self {
        Self { lost_after, heard: None, polls: 0, seat: None, left: None, bell }
    }

    fn is_there(&self, now: Instant) -> bool {
        let heard = self.heard.is_some_and(|(at, _)| now.duration_since(at) < self.lost_after);
        heard || self.polls > 0
    }
}

impl Attached {
    pub(crate) fn new(clock: SharedClock) -> Self {
        let since = clock.now();
        Self { clock, since, began: Instant::now(), known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens for an agent.
    pub fn expect(&self, agent: AgentId, lost_after: Duration) {
        let new = || Post::new(lost_after, Arc::default());
        self.known().posts.entry(agent).or_insert_with(new).lost_after = lost_after;
    }

    /// Listens for an agent no more.
    pub fn dismiss(&self, agent: AgentId) {
        self.known().posts.remove(&agent);
    }

    /// An agent was heard of; gives what it is to do, and nothing where nobody listens for it.
    #[must_use]
    pub fn heard(&self, agent: AgentId, halted: bool) -> Option<Word> {
        let (now, at) = (Instant::now(), self.clock.now());
        let mut known = self.known();
        let Known { posts, seats, .. } = &mut *known;
        let post = posts.get_mut(&agent)?;
        let (came_back, lost_after) = (!post.is_there(now), post.lost_after);
        post.heard = Some((now, at));
        let seat = post.seat.and_then(|id| seats.get(&id));
        let Some((seat, standing)) = seat.and_then(|it| it.standing.map(|standing| (it, standing)))
        else {
            return Some(Word { say: Say::Nothing, attempt: None, came_back, lost_after });
        };
        let say = if standing.stopping || halted {
            Say::Stop
        } else if !standing.taken {
            Say::Lease
        } else if seat.frozen {
            Say::Hold
        } else if seat.news {
            Say::Messages
        } else {
            Say::Nothing
        };
        Some(Word { say, attempt: Some(standing), came_back, lost_after })
    }

    /// The agent of an attempt was told to stop: from now on it has its grace.
    pub fn told(&self, id: AttemptId) {
        self.change(id, |seat| {
            seat.told.get_or_insert_with(Instant::now);
        });
    }

    /// Waits for a mission with a request of an agent; while it does, the agent is there. Where too
    /// many wait already, it does not.
    #[must_use]
    pub fn poll(self: &Arc<Self>, agent: AgentId) -> Option<Poll> {
        let mut known = self.known();
        let Known { posts, polls, .. } = &mut *known;
        let post = posts.get_mut(&agent)?;
        let waits = post.polls < POLLS_MAX && *polls < ALL_POLLS_MAX;
        post.polls += u32::from(waits);
        *polls += u32::from(waits);
        let bell = Arc::clone(&post.bell);
        drop(known);
        Some(Poll { of: Arc::clone(self), agent, waits, bell })
    }

    /// The attempt of an agent.
    #[must_use]
    pub fn standing(&self, agent: AgentId) -> Option<Standing> {
        let known = self.known();
        let id = known.posts.get(&agent)?.seat?;
        known.seats.get(&id)?.standing
    }

    /// When an agent was heard of last, and since when it is listened for.
    #[must_use]
    pub fn last(&self, agent: AgentId) -> (Option<Timestamp>, Timestamp) {
        let known = self.known();
        let post = known.posts.get(&agent);
        let waits = post.is_some_and(|post| post.polls > 0).then(|| self.clock.now());
        let heard = post.and_then(|post| post.heard).map(|(_, at)| at);
        (waits.or(heard), self.since)
    }

    /// Those of the agents that run elsewhere and are not heard of.
    #[must_use]
    pub fn absent<'a>(&self, agents: impl Iterator<Item = &'a Agent>) -> Arc<BTreeSet<AgentId>> {
        let (now, known) = (Instant::now(), self.known());
        let absent = |agent: &&Agent| {
            agent.runtime.lost_after_s().is_some()
                && !known.posts.get(&agent.id).is_some_and(|post| post.is_there(now))
        };
        Arc::new(agents.filter(absent).map(|agent| agent.id).collect())
    }

    /// An attempt waits for its agent, or is under way there; gives what tells of a change.
    pub(crate) fn sit(&self, agent: AgentId, lost_after: Duration, id: AttemptId) -> Arc<Notify> {
        let mut known = self.known();
        let Known { posts, seats, .. } = &mut *known;
        let post = posts.entry(agent).or_insert_with(|| Post::new(lost_after, Arc::default()));
        post.seat = Some(id);
        let seat = seats.entry(id).or_insert_with(|| Seat {
            agent,
            standing: None,
            frozen: false,
            told: None,
            news: true,
            tools: None,
            sat: Instant::now(),
            change: Arc::default(),
        });
        Arc::clone(&seat.change)
    }

    /// How an attempt stands by the ledger; the agent hears of it.
    pub(crate) fn settle(&self, attempt: &Attempt) {
        let mut known = self.known();
        let Known { posts, seats, .. } = &mut *known;
        let Some(seat) = seats.get_mut(&attempt.id) else {
            return;
        };
        seat.frozen = attempt.frozen;
        seat.standing = Some(Standing {
            id: attempt.id,
            mission_id: attempt.mission_id,
            n: attempt.n,
            taken: attempt.state == AttemptState::Running,
            stopping: attempt.stopping,
        });
        if let Some(post) = posts.get(&seat.agent) {
            post.bell.notify_waiters();
        }
    }

    /// An attempt was taken by its agent, maybe once more: it works on it, whatever it was told and
    /// said before.
    pub fn took(&self, id: AttemptId) {
        let mut known = self.known();
        let Known { posts, seats, .. } = &mut *known;
        let Some(seat) = seats.get_mut(&id) else {
            return;
        };
        if let Some(standing) = &mut seat.standing {
            standing.taken = true;
        }
        seat.told = None;
        if let Some(post) = posts.get_mut(&seat.agent)
            && post.left == Some(id)
        {
            post.left = None;
        }
        seat.change.notify_one();
    }

    /// The token of our tools that the agent of an attempt was given since the engine started.
    #[must_use]
    pub fn tools(&self, id: AttemptId) -> Option<String> {
        self.known().seats.get(&id)?.tools.as_ref().map(|token| token.0.clone())
    }

    /// The agent of an attempt was given a token of our tools.
    pub fn gave_tools(&self, id: AttemptId, token: String) {
        if let Some(seat) = self.known().seats.get_mut(&id) {
            seat.tools = Some(Unwritten(token));
        }
    }

    /// An attempt is to hold still, or to go on.
    pub(crate) fn hold(&self, id: AttemptId, frozen: bool) {
        self.change(id, |seat| seat.frozen = frozen);
    }

    /// An agent says that it stopped working on an attempt; that holds also where nobody waits for it
    /// yet.
    pub fn left(&self, agent: AgentId, id: AttemptId) {
        let mut known = self.known();
        if let Some(post) = known.posts.get_mut(&agent) {
            post.left = Some(id);
        }
        if let Some(seat) = known.seats.get(&id) {
            seat.change.notify_one();
        }
    }

    /// There may be messages for the agent of an attempt; for all of them where it is not known which.
    pub(crate) fn news(&self, id: Option<AttemptId>) {
        let mut known = self.known();
        match id {
            Some(id) => {
                if let Some(seat) = known.seats.get_mut(&id) {
                    seat.news = true;
                }
            }
            None => known.seats.values_mut().for_each(|seat| seat.news = true),
        }
    }

    /// Somebody looks whether messages wait for the agent of an attempt. What comes from now on is
    /// told of again.
    pub fn look_for_news(&self, id: AttemptId) -> NewsLook<'_> {
        self.change(id, |seat| seat.news = false);
        NewsLook { of: self, id, none_wait: false }
    }

    /// An attempt is under way no more.
    pub(crate) fn leave(&self, id: AttemptId) {
        let mut known = self.known();
        let Some(seat) = known.seats.remove(&id) else {
            return;
        };
        if let Some(post) = known.posts.get_mut(&seat.agent)
            && post.seat == Some(id)
        {
            post.seat = None;
        }
        seat.change.notify_one();
    }

    /// How an attempt stands; nothing where it is under way no more.
    pub(crate) fn look(&self, id: AttemptId) -> Option<Look> {
        let known = self.known();
        let seat = known.seats.get(&id)?;
        let post = known.posts.get(&seat.agent);
        let heard = post.and_then(|post| post.heard).map(|(at, _)| at);
        let waits = post.is_some_and(|post| post.polls > 0).then(Instant::now);
        Some(Look {
            taken: seat.standing.is_some_and(|standing| standing.taken),
            // Who takes it is given as much time as one that was just heard of.
            silent_since: waits.or(heard).unwrap_or(self.began).max(seat.sat),
            sat: seat.sat,
            told: seat.told,
            left: post.is_some_and(|post| post.left == Some(id)),
        })
    }

    fn change(&self, id: AttemptId, change: impl FnOnce(&mut Seat)) {
        if let Some(seat) = self.known().seats.get_mut(&id) {
            change(seat);
            seat.change.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use model::agent::{Conduct, Runtime};
    use model::clock::SystemClock;
    use model::id::SystemDraw;

    use super::*;

    const LOST_AFTER: Duration = Duration::from_secs(60);

    fn agent() -> Agent {
        let now = Timestamp::UNIX_EPOCH;
        Agent {
            id: AgentId::draw(now, &mut SystemDraw),
            name: "far".into(),
            role: String::new(),
            skills: Vec::new(),
            runtime: Runtime::Attached { lost_after_s: 60 },
            directory: None,
            grace_s: 1,
            conduct: Conduct::default(),
            paused: false,
            demo: false,
            created_at: now,
        }
    }

    fn attempt(agent: &Agent, state: AttemptState) -> Attempt {
        let (now, draw) = (Timestamp::UNIX_EPOCH, &mut SystemDraw);
        let (id, mission) = (AttemptId::draw(now, draw), MissionId::draw(now, draw));
        Attempt { state, ..Attempt::leased(id, mission, agent.id, 3, now) }
    }

    fn board() -> Arc<Attached> {
        Arc::new(Attached::new(Arc::new(SystemClock)))
    }

    #[tokio::test]
    async fn an_agent_is_there_while_it_is_heard_of_or_waits_for_a_mission() {
        let (board, agent) = (board(), agent());
        let absent = || !board.absent([&agent].into_iter()).is_empty();
        assert_eq!(board.heard(agent.id, false), None, "nobody listens for it");
        board.expect(agent.id, LOST_AFTER);
        assert!(absent());
        assert!(board.heard(agent.id, false).unwrap().came_back);
        assert!(!absent() && !board.heard(agent.id, false).unwrap().came_back);
        // Any silence is too long for it.
        board.expect(agent.id, Duration::ZERO);
        assert!(absent());
        let poll = board.poll(agent.id).unwrap();
        assert!(!absent(), "it waits");
        drop(poll);
        board.expect(agent.id, LOST_AFTER);
        assert!(!absent(), "it has just waited");
        board.dismiss(agent.id);
        assert!(absent() && board.poll(agent.id).is_none());
    }

    #[tokio::test]
    async fn a_heartbeat_is_told_what_is_to_be_done_the_most_urgent_first() {
        let (board, agent) = (board(), agent());
        let attempt = attempt(&agent, AttemptState::Starting);
        board.expect(agent.id, LOST_AFTER);
        let say = |halted| board.heard(agent.id, halted).unwrap().say;
        assert_eq!(say(false), Say::Nothing);
        board.sit(agent.id, LOST_AFTER, attempt.id);
        board.settle(&attempt);
        assert_eq!(say(false), Say::Lease);
        board.took(attempt.id);
        assert_eq!(say(false), Say::Messages, "there may be some");
        board.look_for_news(attempt.id).none_wait();
        assert_eq!(say(false), Say::Nothing);
        board.news(Some(attempt.id));
        board.hold(attempt.id, true);
        assert_eq!(say(false), Say::Hold);
        assert_eq!(say(true), Say::Stop, "everything is stopped");
        board.settle(&Attempt { stopping: true, ..attempt.clone() });
        assert_eq!(say(false), Say::Stop);
        let look = board.look(attempt.id).unwrap();
        assert!(look.told.is_none() && !look.left, "what it was told is known by who told it");
        board.told(attempt.id);
        assert!(board.look(attempt.id).unwrap().told.is_some());
        board.left(agent.id, attempt.id);
        assert!(board.look(attempt.id).unwrap().left);
        board.took(attempt.id);
        let look = board.look(attempt.id).unwrap();
        assert!(look.told.is_none() && !look.left, "it works on it again");
        board.leave(attempt.id);
        assert!(board.look(attempt.id).is_none() && board.standing(agent.id).is_none());
        assert_eq!(say(false), Say::Nothing);
    }

    #[tokio::test]
    async fn who_waits_for_a_mission_is_woken_by_it() {
        let (board, agent) = (board(), agent());
        let attempt = attempt(&agent, AttemptState::Starting);
        board.expect(agent.id, LOST_AFTER);
        let poll = board.poll(agent.id).unwrap();
        let bell = poll.bell();
        board.sit(agent.id, LOST_AFTER, attempt.id);
        board.settle(&attempt);
        tokio::time::timeout(LOST_AFTER, bell).await.unwrap();
        let standing = board.standing(agent.id).unwrap();
        assert_eq!((standing.id, standing.n, standing.taken), (attempt.id, 3, false));
    }

    #[tokio::test]
    async fn an_agent_may_say_that_it_stopped_before_anybody_waits_for_that() {
        let (board, agent) = (board(), agent());
        let attempt = attempt(&agent, AttemptState::Running);
        board.expect(agent.id, LOST_AFTER);
        board.left(agent.id, attempt.id);
        board.sit(agent.id, LOST_AFTER, attempt.id);
        assert!(board.look(attempt.id).unwrap().left);
    }

    #[tokio::test]
    async fn a_message_that_comes_while_the_others_are_counted_is_told_of() {
        let (board, agent) = (board(), agent());
        let attempt = attempt(&agent, AttemptState::Running);
        board.expect(agent.id, LOST_AFTER);
        board.sit(agent.id, LOST_AFTER, attempt.id);
        board.settle(&attempt);
        let say = || board.heard(agent.id, false).unwrap().say;
        let look = board.look_for_news(attempt.id);
        board.news(Some(attempt.id));
        look.none_wait();
        assert_eq!(say(), Say::Messages, "it came after they were counted");
        drop(board.look_for_news(attempt.id));
        assert_eq!(say(), Say::Messages, "nobody found that none waits");
        board.look_for_news(attempt.id).none_wait();
        assert_eq!(say(), Say::Nothing);
    }

    #[tokio::test]
    async fn only_so_many_requests_wait_for_a_mission_at_the_same_time() {
        let board = board();
        let of = |agent: &Agent| {
            board.expect(agent.id, LOST_AFTER);
            board.poll(agent.id).unwrap()
        };
        let one = agent();
        let polls: Vec<_> = (0..3).map(|_| of(&one)).collect();
        let waits: Vec<_> = polls.iter().map(Poll::may_wait).collect();
        assert_eq!(waits, [true, true, false]);
        drop(polls);
        let mut all: Vec<_> = (0..ALL_POLLS_MAX).map(|_| of(&agent())).collect();
        assert!(all.iter().all(Poll::may_wait) && !of(&one).may_wait());
        all.pop();
        assert!(of(&one).may_wait(), "there is room again");
    }
}
