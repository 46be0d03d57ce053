//! Holds: made, sold, given back, extended.

use clap::{Args, Subcommand};
use holdfast_sdk::Client;
use holdfast_sdk::api::{ConfirmHold, Hold, LineBody, NewHold, ReleaseHold};
use holdfast_sdk::model::{HoldId, Owner, Reason};
use uuid::Uuid;

use crate::output::Output;
use crate::sku::quantity;
use crate::{Done, tables};

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
pub fn line(text: &str) -> Result<LineBody, String> {
    let expected = || format!("expected STORE/ITEM=QTY, got {text:?}");
    let (row, qty) = text.rsplit_once('=').ok_or_else(expected)?;
    let (store, item) = row.split_once('/').ok_or_else(expected)?;
    let store_id = store.parse().map_err(|error| format!("{error}"))?;
    let item_id = item.parse().map_err(|error| format!("{error}"))?;
    Ok(LineBody { store_id, item_id, qty: quantity(qty)? })
}

fn print(out: &Output, hold: &Hold) -> Done {
    out.print(hold, tables::hold)?;
    let left = match (hold.status.as_str(), hold.expires_in_ms) {
        ("HELD", Some(ms)) => format!(", {ms} ms left"),
        ("HELD", None) => ", without end".to_owned(),
        _ => String::new(),
    };
    out.line(&format!("{} {}{left}", hold.hold_id, hold.status))
}

impl Reserve {
    /// Does it.
    pub async fn run(self, client: &Client, out: &Output) -> Done {
        let Self { lines, ttl, allow_partial, owner, id } = self;
        let id = id.unwrap_or_else(|| HoldId::from_uuid(Uuid::now_v7()));
        let body = NewHold { lines, ttl_seconds: ttl, hold_id: Some(id), owner, allow_partial };
        let held =
            client.hold(body).await.map_err(|error| error.about(&format!("repeat it with --id {id}")))?;
        print(out, &held)
    }
}

impl Confirm {
    /// Does it.
    pub async fn run(self, client: &Client, out: &Output) -> Done {
        let lines = (!self.lines.is_empty()).then_some(self.lines);
        let body = ConfirmHold { lines, reacquire: self.reacquire };
        print(out, &client.confirm(self.hold, &body).await?)
    }
}

impl Release {
    /// Does it.
    pub async fn run(self, client: &Client, out: &Output) -> Done {
        let lines = (!self.lines.is_empty()).then_some(self.lines);
        let body = ReleaseHold { lines, reason: self.reason };
        print(out, &client.release(self.hold, &body).await?)
    }
}

impl Extend {
    /// Does it.
    pub async fn run(self, client: &Client, out: &Output) -> Done {
        print(out, &client.extend(self.hold, self.ttl).await?)
    }
}

impl HoldCommand {
    /// Does it.
    pub async fn run(self, client: &Client, out: &Output) -> Done {
        let Self::Get { hold } = self;
        print(out, &client.get_hold(hold).await?)
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
