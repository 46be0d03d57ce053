//! The invariants of the model after every entry: those of its own tests, each of which is a file of its own there.

use std::panic::{AssertUnwindSafe, catch_unwind};

use holdfast_model::{Applied, Entry, Inventory};

use crate::model_invariants::Witness;
use crate::process::said;

/// They are looked at from outside, one entry after the other.
#[derive(Default)]
pub struct Invariants {
    witness: Witness,
    is_over: bool,
}

impl Invariants {
    /// The state after the next entry.
    pub fn check(&mut self, inventory: &Inventory, entry: &Entry, applied: &Applied) -> Result<(), String> {
        if self.is_over {
            return Ok(());
        }
        let look = AssertUnwindSafe(|| self.witness.look(inventory, entry, applied));
        catch_unwind(look).map_err(|panic| {
            self.is_over = true;
            said(panic.as_ref())
        })
    }
}
