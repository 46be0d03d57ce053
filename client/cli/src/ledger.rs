//! `holdfast ledger`: how far back the ledger reaches.

use clap::Subcommand;
use holdfast_sdk::Client;

use crate::Done;
use crate::output::Output;
use crate::tables::one_row;

/// How far back the ledger reaches.
#[derive(Debug, Subcommand)]
pub enum LedgerCommand {
    /// Drop movements before a sequence, on every node alike. They cannot be brought back
    Trim {
        /// The oldest sequence to keep
        before: u64,
    },
}

impl LedgerCommand {
    /// Does it.
    pub async fn run(self, client: &Client, out: &Output) -> Done {
        let Self::Trim { before } = self;
        let trimmed = client.trim_ledger(before).await?;
        out.print(&trimmed, |trimmed| one_row(&["oldest sequence"], vec![trimmed["oldestSeq"].to_string()]))
    }
}
