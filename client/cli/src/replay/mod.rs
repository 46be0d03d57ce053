//! `holdfast replay`: sells real baskets and accounts for every unit, whatever happens to the cluster meanwhile.

mod account;
mod baskets;
mod buyers;
mod tally;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use holdfast_sdk::api::Problem;
use holdfast_sdk::{Client, Options};
use serde_json::Value;

use self::account::Account;
use self::baskets::{Baskets, RowName, Share};
use self::buyers::Market;
use self::tally::Report;
use crate::Done;
use crate::audit::{agree, audit_all, check, show, value};
use crate::csv_file::Rejects;
use crate::failure::Failure;
use crate::import::{BATCH, create};
use crate::output::Output;

/// How long the nodes may take to come to the same state once everything is sold, in seconds.
const AGREE_WITHIN: u64 = 60;

/// Sells real baskets.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// CSV with the columns basket_id,store_id,product_id,quantity, in order of sale; plain or gzipped
    file: PathBuf,
    /// Opening stock of each row as a share of what the baskets ask for, rounded up
    #[arg(long, default_value = "0.9")]
    share: Share,
    /// Buyers at the same time
    #[arg(long, default_value_t = 16, value_parser = buyers)]
    buyers: usize,
    /// Percent of the holds that are released instead of confirmed
    #[arg(long, default_value_t = 5.0, value_name = "PERCENT", value_parser = percent)]
    release_percent: f64,
    /// Decides which holds are released
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Play only the first so many baskets, and open stock for these
    #[arg(long, value_name = "COUNT")]
    baskets: Option<usize>,
    /// Where lines that cannot be sold are told, with number and reason [default: in the present directory, the
    /// file's name ending in .rejects.csv]
    #[arg(long, value_name = "FILE")]
    reject_file: Option<PathBuf>,
    /// Shell command to run once when half of the baskets have been played; the buyers go on meanwhile
    #[arg(long, value_name = "COMMAND")]
    at_half: Option<String>,
    /// Order service to play the baskets through, each as an order that is paid or cancelled
    #[arg(long, value_name = "HOST:PORT")]
    orders: Option<String>,
}

fn buyers(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|count| (1..=10_000).contains(count))
        .ok_or_else(|| "must be 1 to 10000".to_owned())
}

fn percent(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|percent| (0.0..=100.0).contains(percent))
        .ok_or_else(|| "must be 0 to 100".to_owned())
}

impl ReplayArgs {
    /// Does it.
    pub async fn run(self, client: &Client, out: &Output) -> Done {
        let (mut found, rejects) = self.read(out)?;
        found.baskets.truncate(self.baskets.unwrap_or(usize::MAX));
        let opening = found.opening(self.share);
        let orders =
            self.orders.as_ref().map(|address| Client::new([address], Options::default())).transpose()?;
        open_rows(client, out, &opening).await?;

        let count = found.baskets.len() as u64;
        let mut market = Market::new(client.clone(), found.baskets, out.progress(count, "baskets"));
        market.release_percent = self.release_percent;
        market.seed = self.seed;
        market.at_half = self.at_half;
        market.orders = orders;
        let (bar, trade) = (market.bar.clone(), market.trade());
        let started = Instant::now();
        let tally = Arc::new(market).sell(self.buyers).await;
        bar.finish_and_clear();
        let report = Report {
            tally: tally?,
            lines: found.lines,
            lines_rejected: rejects.count(),
            baskets: count,
            baskets_rejected: found.rejected,
            elapsed: started.elapsed(),
            trade,
        };
        settle(client, out, &report, &opening).await
    }

    fn read(&self, out: &Output) -> Result<(Baskets, Rejects), Failure> {
        let path = self.reject_file.clone().unwrap_or_else(|| default_reject_file(&self.file));
        if path == self.file {
            return Err(Failure::Usage("the reject file must be another file".to_owned()));
        }
        let bar = out.byte_progress(0, "reading");
        let mut rejects = Rejects::create(&path)?;
        let found = Baskets::read(&self.file, &bar, &mut rejects)?;
        bar.finish_and_clear();
        if rejects.count() > 0 {
            out.line(&format!("{} lines cannot be sold, see {}", rejects.count(), path.display()))?;
        }
        Ok((found, rejects))
    }
}

/// A name in the present directory: that of the file may be one that nobody should write to.
fn default_reject_file(file: &Path) -> PathBuf {
    let name = file.file_name().unwrap_or_else(|| "baskets".as_ref());
    Path::new(name).with_extension("rejects.csv")
}

async fn open_rows(client: &Client, out: &Output, opening: &BTreeMap<RowName, u64>) -> Done {
    let bar = out.progress(opening.len() as u64, "opening");
    let rows: Vec<_> = opening.iter().collect();
    for part in rows.chunks(BATCH) {
        let commands = part.iter().map(|((store, item), units)| create(store, item, **units)).collect();
        for reply in client.batch(commands).await? {
            if let Err(refusal) = reply.result {
                let why = Problem::from(&refusal).detail;
                return Err(Failure::Check(format!(
                    "opening stock was refused: {why}. A replay needs a cluster without these rows"
                )));
            }
        }
        bar.inc(part.len() as u64);
    }
    bar.finish_and_clear();
    Ok(())
}

/// Tells what was done, and checks it: the account of every row, then the invariants on the nodes that answer. One
/// that was killed on the way need not be back, but a majority must be there.
async fn settle(client: &Client, out: &Output, report: &Report, opening: &BTreeMap<RowName, u64>) -> Done {
    for table in report.tables() {
        out.line(&format!("{table}\n"))?;
    }
    let account = Account::of(client, opening, &report.tally.sold).await;
    if let Ok(account) = &account {
        out.line(&format!("{}\n", account.table()))?;
    }
    let majority = client.endpoints().len() / 2 + 1;
    let agreed = agree(client, majority, AGREE_WITHIN).await;
    let audited = audit_all(client).await;
    if out.is_json() {
        let mut told = report.value();
        told["account"] = account.as_ref().map_or(Value::Null, Account::value);
        told["audit"] = value(&audited, agreed.as_ref().ok());
        out.json(&told)?;
    } else {
        show(out, &audited, agreed.as_ref().ok())?;
    }
    account?.check()?;
    check(&audited, majority)?;
    agreed.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_are_told_here_unless_told_otherwise() {
        assert_eq!(
            default_reject_file(Path::new("/data/week.csv.gz")),
            PathBuf::from("week.csv.rejects.csv")
        );
    }

    #[test]
    fn percentages_and_counts_have_bounds() {
        assert_eq!((percent("0"), percent("100"), buyers("1")), (Ok(0.0), Ok(100.0), Ok(1)));
        for bad in ["-1", "100.1", "NaN", "x", ""] {
            assert!(percent(bad).is_err(), "{bad}");
        }
        for bad in ["0", "10001", "-1", "x"] {
            assert!(buyers(bad).is_err(), "{bad}");
        }
    }
}
