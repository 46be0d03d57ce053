//! Baskets of a retail chain, read from CSV, plain or gzipped.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;

use holdfast_sdk::api::LineBody;
use holdfast_sdk::model::{ItemId, Quantity, StoreId};
use serde::Deserialize;

use crate::Failure;

/// The first bytes of a gzip file (RFC 1952, section 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// One transaction line.
#[derive(Debug, Deserialize)]
struct Record {
    basket_id: String,
    store_id: String,
    product_id: String,
    quantity: String,
}

/// Everything that a file of baskets says.
#[derive(Debug, Default)]
pub struct Baskets {
    /// The lines of each basket that has any, in order of sale.
    pub baskets: Vec<Vec<LineBody>>,
    /// Units of each row over all baskets.
    pub demand: BTreeMap<(StoreId, ItemId), u64>,
    /// Lines that cannot be sold.
    pub rejects: Vec<Reject>,
    /// All lines.
    pub lines: u64,
}

/// A line that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Its number in the file, from 1.
    pub line: u64,
    /// Why.
    pub reason: String,
}

/// Opens a file for reading, unpacking it when it is gzipped.
pub fn open(path: &Path) -> Result<Box<dyn Read>, Failure> {
    let file = File::open(path).map_err(|error| unusable(path, &error))?;
    let mut reader = BufReader::new(file);
    let start = reader.fill_buf().map_err(|error| unusable(path, &error))?;
    if start.starts_with(&GZIP) {
        Ok(Box::new(flate2::bufread::MultiGzDecoder::new(reader)))
    } else {
        Ok(Box::new(reader))
    }
}

/// A file that cannot be used.
pub fn unusable(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::Usage(format!("{}: {error}", path.display()))
}

/// Writes lines that cannot be used, with the reason of each.
pub fn write_rejects(path: &Path, rejects: &[Reject]) -> Result<(), Failure> {
    let mut text = String::from("line,reason\n");
    for reject in rejects {
        text.push_str(&format!("{},{:?}\n", reject.line, reject.reason));
    }
    File::create(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| unusable(path, &error))
}

impl Baskets {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        Self::read_from(open(path)?).map_err(|error| unusable(path, &error))
    }

    fn read_from(reader: impl Read) -> Result<Self, String> {
        let mut csv = csv::ReaderBuilder::new().flexible(true).from_reader(reader);
        let headers = csv.headers().map_err(|error| error.to_string())?.clone();
        for name in ["basket_id", "store_id", "product_id", "quantity"] {
            if !headers.iter().any(|header| header == name) {
                return Err(format!("there is no column {name}"));
            }
        }
        let mut found = Self::default();
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        let mut record = csv::StringRecord::new();
        loop {
            let line = csv.position().line();
            match csv.read_record(&mut record) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    found.reject(line, error.to_string());
                    continue;
                }
            }
            let line = record.position().map_or(line, csv::Position::line);
            found.lines += 1;
            match record
                .deserialize::<Record>(Some(&headers))
                .map_err(|error| error.to_string())
                .and_then(parse)
            {
                Ok((basket, body)) => {
                    let place = *places.entry(basket).or_insert_with(|| {
                        found.baskets.push(Vec::new());
                        found.baskets.len() - 1
                    });
                    let row = (body.store_id.clone(), body.item_id.clone());
                    *found.demand.entry(row).or_default() += body.qty.get();
                    found.baskets[place].push(body);
                }
                Err(reason) => found.reject(line, reason),
            }
        }
        Ok(found)
    }

    fn reject(&mut self, line: u64, reason: String) {
        self.rejects.push(Reject { line, reason });
    }

    /// What each row opens with: a share of what will be asked for, rounded up.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a demand far below 2^53"
    )]
    pub fn opening(&self, share: f64) -> Vec<((StoreId, ItemId), u64)> {
        self.demand
            .iter()
            .map(|(row, &demand)| (row.clone(), (share * demand as f64).ceil() as u64))
            .collect()
    }
}

fn parse(record: Record) -> Result<(String, LineBody), String> {
    let units: u64 = record
        .quantity
        .parse()
        .map_err(|_| format!("the quantity is not a whole number: {}", record.quantity))?;
    if units == 0 {
        return Err("the quantity is 0: nothing was sold".to_owned());
    }
    let qty = Quantity::new(units).map_err(|error| error.to_string())?;
    let store_id = StoreId::new(&record.store_id).map_err(|error| error.to_string())?;
    let item_id = ItemId::new(&record.product_id).map_err(|error| error.to_string())?;
    Ok((record.basket_id, LineBody { store_id, item_id, qty }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_baskets_and_what_cannot_be_sold_is_told() {
        let text = "sold_at,basket_id,store_id,product_id,quantity\n\
                    t,1,S1,A,2\nt,2,S1,A,3\nt,1,S1,B,1\nt,2,S2,A,0\nt,3,S1,A,x\nt,4,S1\n";
        let found = Baskets::read_from(text.as_bytes()).unwrap();
        assert_eq!(found.baskets.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(found.rejects.iter().map(|reject| reject.line).collect::<Vec<_>>(), [5, 6, 7]);
        assert_eq!(found.lines, 6);
        let opening: Vec<u64> = found.opening(0.9).into_iter().map(|(_, units)| units).collect();
        assert_eq!(opening, [5, 1]);
        assert!(Baskets::read_from("a,b\n1,2\n".as_bytes()).unwrap_err().contains("basket_id"));
    }
}
