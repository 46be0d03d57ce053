//! Holds: made, sold, given back, extended.

use clap::{Args, Subcommand};
use holdfast_sdk::Client;
use holdfast_sdk::api::{ConfirmHold, LineBody, NewHold, ReleaseHold};
use holdfast_sdk::model::{HoldId, Owner, Reason};

use crate::Done;
use crate::output::Output;
use crate::sku::quantity;

/// Hold stock.
#[derive(Debug, Args)]
pub struct Reserve {
    /// STORE/ITEM=QTY
    #[arg(required = true, value_parser = line)]
    lines: Vec<LineBody>,
    /// Seconds that the hold lasts; no end when absent
    #[arg(long)]
    ttl: Option<u64>,
    /// Take what there is of each line instead of refusing
    #[arg(long)]
    allow_partial: bool,
    /// Whom it is for
    #[arg(long)]
    owner: Option<Owner>,
    /// The hold's id; made when absent
    #[arg(long)]
    id: Option<HoldId>,
}

/// Sell a hold.
#[derive(Debug, Args)]
pub struct Confirm {
    /// The hold
    hold: HoldId,
    /// STORE/ITEM=QTY; everything that is reserved when absent
    #[arg(value_parser = line)]
    lines: Vec<LineBody>,
    /// When the hold has expired, take the stock again
    #[arg(long)]
    reacquire: bool,
}

/// Give back a hold.
#[derive(Debug, Args)]
pub struct Release {
    /// The hold
    hold: HoldId,
    /// STORE/ITEM=QTY; everything that is reserved when absent
    #[arg(value_parser = line)]
    lines: Vec<LineBody>,
    /// Why
    #[arg(long)]
    reason: Option<Reason>,
}

/// Let a hold last longer.
#[derive(Debug, Args)]
pub struct Extend {
    /// The hold
    hold: HoldId,
    /// Seconds from now
    ttl: u64,
}

/// Look at holds.
#[derive(Debug, Subcommand)]
pub enum HoldCommand {
    /// Look at a hold
    Get {
        /// The hold
        hold: HoldId,
    },
}

/// A line of the command line.
fn line(text: &str) -> Result<LineBody, String> {
    let expected = || format!("expected STORE/ITEM=QTY, got {text:?}");
    let (row, qty) = text.rsplit_once('=').ok_or_else(expected)?;
    let (store, item) = row.split_once('/').ok_or_else(expected)?;
    let store_id = store.parse().map_err(|error| format!("{error}"))?;
    let item_id = item.parse().map_err(|error| format!("{error}"))?;
    Ok(LineBody { store_id, item_id, qty: quantity(qty)? })
}

impl Reserve {
    /// Does it.
    pub async fn run(self, client: &Client, out: &Output) -> Done {
        let Self { lines, ttl, allow_partial, owner, id } = self;
        let body = NewHold { lines, ttl_seconds: ttl, hold_id: id, owner, allow_partial };
        out.hold(&client.hold(body).await?);
        Ok(())
    }
}

impl Confirm {
    /// Does it.
    pub async fn run(self, client: &Client, out: &Output) -> Done {
        let lines = (!self.lines.is_empty()).then_some(self.lines);
        let body = ConfirmHold { lines, reacquire: self.reacquire };
        out.hold(&client.confirm(self.hold, &body).await?);
        Ok(())
    }
}

impl Release {
    /// Does it.
    pub async fn run(self, client: &Client, out: &Output) -> Done {
        let lines = (!self.lines.is_empty()).then_some(self.lines);
        let body = ReleaseHold { lines, reason: self.reason };
        out.hold(&client.release(self.hold, &body).await?);
        Ok(())
    }
}

impl Extend {
    /// Does it.
    pub async fn run(self, client: &Client, out: &Output) -> Done {
        out.hold(&client.extend(self.hold, self.ttl).await?);
        Ok(())
    }
}

impl HoldCommand {
    /// Does it.
    pub async fn run(self, client: &Client, out: &Output) -> Done {
        let Self::Get { hold } = self;
        out.hold(&client.get_hold(hold).await?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_store_item_and_quantity() {
        let read = line("S1/A=B=3").unwrap();
        assert_eq!((read.store_id.as_str(), read.item_id.as_str(), read.qty.get()), ("S1", "A=B", 3));
        for bad in ["", "S1", "S1/A", "S1/A=", "S1/A=0", "S1/A=-1", "/A=1", "S1/=1", "S1/A B=1"] {
            assert!(line(bad).is_err(), "{bad}");
        }
    }
}
