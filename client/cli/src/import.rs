//! `holdfast import`: many rows from a file.

use std::collections::HashMap;
use std::path::PathBuf;

use clap::Args;
use holdfast_sdk::Client;
use holdfast_sdk::api::{Problem, WireRequest};
use holdfast_sdk::model::{Command, ItemId, Refusal, StoreId};
use serde_json::json;

use crate::Done;
use crate::csv_file::{Rejects, Sheet, SheetLine};
use crate::failure::Failure;
use crate::output::Output;
use crate::tables::one_row;

/// Rows in one request.
pub const BATCH: usize = 1000;

/// Many rows from a file.
#[derive(Debug, Args)]
pub struct Import {
    /// CSV with the columns storeId,itemId,available; plain or gzipped
    file: PathBuf,
    /// Where lines that cannot be used are told, with number and reason [default: beside the file, ending in .rejects.csv]
    #[arg(long)]
    reject_file: Option<PathBuf>,
}

/// A row to be made, and the line that asks for it.
struct NewRow {
    number: u64,
    text: String,
    store: StoreId,
    item: ItemId,
    available: u64,
}

/// What became of the lines that could be used.
#[derive(Default)]
struct Counts {
    created: u64,
    existed: u64,
}

impl Import {
    /// Does it.
    pub async fn run(self, client: &Client, out: &Output) -> Done {
        let reject_path = self.reject_file.unwrap_or_else(|| self.file.with_extension("rejects.csv"));
        if reject_path == self.file {
            return Err(Failure::Usage("the reject file must be another file".to_owned()));
        }
        let bar = out.byte_progress(0, "import");
        let mut sheet = Sheet::open(&self.file, ["storeId", "itemId", "available"], &bar)?;
        let mut rejects = Rejects::create(&reject_path)?;
        let done = import(client, &mut sheet, &mut rejects).await;
        rejects.flush()?;
        bar.finish_and_clear();
        report(out, &done?, &rejects)
    }
}

async fn import(client: &Client, sheet: &mut Sheet<3>, rejects: &mut Rejects) -> Result<Counts, Failure> {
    let mut counts = Counts::default();
    let mut part = Vec::with_capacity(BATCH);
    let mut lines: HashMap<(StoreId, ItemId), u64> = HashMap::new();
    while let Some(line) = sheet.next_line()? {
        let number = line.number;
        let text = line.text.clone();
        let parsed = parse(line).and_then(|row| match lines.get(&(row.store.clone(), row.item.clone())) {
            Some(earlier) => Err(format!("line {earlier} makes the same row")),
            None => Ok(row),
        });
        match parsed {
            Ok(row) => {
                lines.insert((row.store.clone(), row.item.clone()), number);
                part.push(row);
            }
            Err(reason) => rejects.add(number, &reason, &text)?,
        }
        if part.len() == BATCH {
            send(client, std::mem::take(&mut part), &mut counts, rejects).await?;
        }
    }
    send(client, part, &mut counts, rejects).await?;
    Ok(counts)
}

async fn send(client: &Client, part: Vec<NewRow>, counts: &mut Counts, rejects: &mut Rejects) -> Done {
    if part.is_empty() {
        return Ok(());
    }
    let commands = part.iter().map(|row| create(&row.store, &row.item, row.available)).collect();
    for (row, reply) in part.iter().zip(client.batch(commands).await?) {
        match reply.result {
            Ok(_) => counts.created += 1,
            Err(Refusal::SkuExists { .. }) => counts.existed += 1,
            Err(refusal) => rejects.add(row.number, &Problem::from(&refusal).detail, &row.text)?,
        }
    }
    rejects.flush()
}

fn report(out: &Output, counts: &Counts, rejects: &Rejects) -> Done {
    let Counts { created, existed } = counts;
    let (rejected, path) = (rejects.count(), rejects.path().display());
    let value = json!({
        "created": created, "existed": existed, "rejected": rejected, "rejectFile": path.to_string(),
    });
    out.print(&value, |_| {
        one_row(
            &["created", "existed", "rejected"],
            [*created, *existed, rejected].map(|count| count.to_string()).to_vec(),
        )
    })?;
    if rejected == 0 {
        Ok(())
    } else {
        Err(Failure::Check(format!("{rejected} lines were rejected, see {path}")))
    }
}

/// The command that makes a row.
pub fn create(store: &StoreId, item: &ItemId, available: u64) -> WireRequest {
    let command = Command::CreateSku { store: store.clone(), item: item.clone(), opening: available };
    WireRequest { command, idempotency_key: None }
}

fn parse(line: SheetLine<3>) -> Result<NewRow, String> {
    let SheetLine { number, fields, text } = line;
    let [store, item, available] = fields?;
    let store = StoreId::new(store).map_err(|error| error.to_string())?;
    let item = ItemId::new(item).map_err(|error| error.to_string())?;
    let available = available
        .parse()
        .map_err(|_| format!("available must be a whole number from 0, got {available:?}"))?;
    Ok(NewRow { number, text, store, item, available })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(fields: [&str; 3]) -> Result<u64, String> {
        let line = SheetLine { number: 2, fields: Ok(fields.map(str::to_owned)), text: String::new() };
        parse(line).map(|row| row.available)
    }

    #[test]
    fn a_line_is_a_row_or_has_a_reason() {
        assert_eq!(parsed(["S1", "A", "0"]), Ok(0));
        assert!(parsed(["S 1", "A", "0"]).unwrap_err().contains("storeId"));
        assert!(parsed(["S1", "", "0"]).unwrap_err().contains("itemId"));
        for bad in ["", "-1", "1.5", "many"] {
            assert!(parsed(["S1", "A", bad]).unwrap_err().contains("available"), "{bad}");
        }
    }
}
