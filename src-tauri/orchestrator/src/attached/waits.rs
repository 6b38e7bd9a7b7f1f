//! What lasts for as long as a request about an agent that runs elsewhere.

use std::sync::Arc;

use model::id::{AgentId, AttemptId};
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;
use tokio::time::Instant;

use super::{Attached, Known};

/// A request that waits for a mission.
#[derive(Debug)]
pub struct Poll {
    pub(super) of: Arc<Attached>,
    pub(super) agent: AgentId,
    pub(super) waits: bool,
    pub(super) bell: Arc<Notify>,
}

impl Poll {
    /// Whether it may wait: no, where too many do already.
    #[must_use]
    pub const fn may_wait(&self) -> bool {
        self.waits
    }

    /// Rings when there may be one from now on.
    pub fn bell(&self) -> OwnedNotified {
        Arc::clone(&self.bell).notified_owned()
    }
}

impl Drop for Poll {
    fn drop(&mut self) {
        let (now, at) = (Instant::now(), self.of.clock.now());
        let mut known = self.of.known();
        let Known { posts, polls, .. } = &mut *known;
        *polls = polls.saturating_sub(u32::from(self.waits));
        if let Some(post) = posts.get_mut(&self.agent) {
            post.polls = post.polls.saturating_sub(u32::from(self.waits));
            post.heard = Some((now, at));
        }
    }
}

/// A look at whether messages wait. Unless it finds that none do, there may be some, also where it is
/// given up halfway.
#[derive(Debug)]
#[must_use = "it counts as done at once otherwise"]
pub struct NewsLook<'a> {
    pub(super) of: &'a Attached,
    pub(super) id: AttemptId,
    pub(super) none_wait: bool,
}

impl NewsLook<'_> {
    /// None waits.
    pub fn none_wait(mut self) {
        self.none_wait = true;
    }
}

impl Drop for NewsLook<'_> {
    fn drop(&mut self) {
        if !self.none_wait {
            self.of.news(Some(self.id));
        }
    }
}
