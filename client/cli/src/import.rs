//! `holdfast import`: many rows from a file.

use std::path::PathBuf;

use clap::Args;
use holdfast_sdk::Client;
use holdfast_sdk::api::WireRequest;
use holdfast_sdk::model::{Command, ItemId, Refusal, StoreId};
use serde_json::json;

use crate::baskets::{Reject, open, unusable, write_rejects};
use crate::output::{Output, table};
use crate::{Done, Failure};

/// Rows in one request.
pub const BATCH: usize = 1000;

/// Many rows from a file. Running it again goes on where it stopped: rows that exist are left as they are.
#[derive(Debug, Args)]
pub struct Import {
    /// CSV with the columns storeId,itemId,available; plain or gzipped
    file: PathBuf,
    /// Where lines that cannot be used are told, with the reason [default: FILE.rejects.csv]
    #[arg(long)]
    reject_file: Option<PathBuf>,
}

impl Import {
    /// Does it.
    pub async fn run(self, client: &Client, out: &Output) -> Done {
        let mut csv = csv::Reader::from_reader(open(&self.file)?);
        let headers = csv.headers().map_err(|error| unusable(&self.file, &error))?.clone();
        let mut rows: Vec<(u64, (StoreId, ItemId, u64))> = Vec::new();
        let mut rejects = Vec::new();
        for record in csv.records() {
            let read =
                record.map_err(|error| (error.position().map_or(0, csv::Position::line), error.to_string()));
            let parsed = read.and_then(|record| {
                let line = record.position().map_or(0, csv::Position::line);
                parse(&record, &headers).map(|row| (line, row)).map_err(|reason| (line, reason))
            });
            match parsed {
                Ok(row) => rows.push(row),
                Err((line, reason)) => rejects.push(Reject { line, reason }),
            }
        }
        let (mut created, mut existed) = (0_u64, 0_u64);
        let bar = out.progress(rows.len() as u64, "import");
        for part in rows.chunks(BATCH) {
            let commands = part.iter().map(|(_, row)| create(row)).collect();
            for ((line, _), reply) in part.iter().zip(client.batch(commands).await?) {
                match reply.result {
                    Ok(_) => created += 1,
                    Err(Refusal::SkuExists { .. }) => existed += 1,
                    Err(refusal) => rejects.push(Reject { line: *line, reason: format!("{refusal:?}") }),
                }
            }
            bar.inc(part.len() as u64);
        }
        bar.finish_and_clear();
        let reject_file = self.reject_file.unwrap_or_else(|| self.file.with_extension("rejects.csv"));
        if !rejects.is_empty() {
            write_rejects(&reject_file, &rejects)?;
        }
        let done = json!({"created": created, "existed": existed, "rejected": rejects.len()});
        out.print(&done, |_| {
            let mut table = table(&["created", "existed", "rejected"]);
            table.add_row(vec![created.to_string(), existed.to_string(), rejects.len().to_string()]);
            table
        });
        if rejects.is_empty() {
            Ok(())
        } else {
            Err(Failure::Check(format!(
                "{} lines were rejected, see {}",
                rejects.len(),
                reject_file.display()
            )))
        }
    }
}

/// The command that makes a row.
pub fn create((store, item, available): &(StoreId, ItemId, u64)) -> WireRequest {
    let command = Command::CreateSku { store: store.clone(), item: item.clone(), opening: *available };
    WireRequest { command, idempotency_key: None }
}

fn parse(record: &csv::StringRecord, headers: &csv::StringRecord) -> Result<(StoreId, ItemId, u64), String> {
    let field = |name: &str| {
        let place = headers.iter().position(|header| header == name);
        place.and_then(|place| record.get(place)).ok_or_else(|| format!("there is no {name}"))
    };
    let store = StoreId::new(field("storeId")?).map_err(|error| error.to_string())?;
    let item = ItemId::new(field("itemId")?).map_err(|error| error.to_string())?;
    let available = field("available")?;
    let available =
        available.parse().map_err(|_| format!("available must be a whole number, got {available:?}"))?;
    Ok((store, item, available))
}
