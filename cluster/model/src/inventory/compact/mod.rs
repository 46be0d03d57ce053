//! Outcomes and refusals in 32 bytes, as the tables of keys and events remember them.
//!
//! A repeat brings the same command again, so only what the command does not say is kept: numbers, and the ids of what
//! is concerned. Everything else is told from the command and from the state.

mod done;
mod parts;
mod refused;

use serde::{Deserialize, Serialize};

use self::done::Done;
use self::refused::Refused;
use super::Inventory;
use crate::{Command, Reply, Seq};

const _: () = assert!(size_of::<Compact>() <= 32);

/// A stored outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compact(Result<Done, Refused>);

impl Default for Compact {
    fn default() -> Self {
        Self(Ok(Done::Ticked))
    }
}

impl Compact {
    /// What is remembered of `reply` to `command`; none of what only says that nothing could be remembered.
    pub fn of(reply: &Reply, command: &Command, inventory: &Inventory) -> Option<Self> {
        match &reply.result {
            Ok(outcome) => Some(Self(Ok(Done::of(outcome, reply.seq)))),
            Err(refusal) => Refused::of(refusal, command, &inventory.rows_named(command))
                .map(|refused| Self(Err(refused))),
        }
    }

    /// The reply to a repeat of `command`; none when this cannot have been the reply to it.
    pub fn reply(&self, command: &Command, inventory: &Inventory) -> Option<Reply> {
        let (result, seq) = match &self.0 {
            Ok(done) => {
                let (outcome, seq) = done.outcome(command, inventory)?;
                (Ok(outcome), seq)
            }
            Err(refused) => (Err(refused.refusal(command, inventory)?), Seq(0)),
        };
        Some(Reply { result, seq, replayed: true })
    }
}
