//! What the engine shows: facts from the ledger with the status derived from them.

mod about;
mod agent;
mod attached;
mod backup;
mod config;
mod efficiency;
mod health;
mod hook;
mod house;
mod login;
mod mission;
mod mission_input;
mod preset;
mod secret;
mod swarm;
mod talk;
mod token;
mod work;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use about::*;
pub use agent::*;
pub use attached::*;
pub use backup::*;
pub use config::*;
pub use efficiency::*;
pub use health::*;
pub use hook::*;
pub use house::*;
pub use login::*;
pub use mission::*;
use mission_input::given;
pub use mission_input::*;
pub use preset::*;
pub use secret::*;
pub use swarm::*;
pub use talk::*;
pub use token::*;
pub use work::*;

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Listing<T> {
    /// The items of this page.
    pub items: Vec<T>,
    /// What to pass as `cursor` for the next page; nothing at the end.
    pub next: Option<String>,
}
