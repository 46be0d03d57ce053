//! The baskets of a file, and what each row must open with so that they meet too little of some things.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::str::FromStr;

use holdfast_sdk::api::LineBody;
use holdfast_sdk::model::{ItemId, Quantity, StoreId};
use indicatif::ProgressBar;

use crate::csv_file::{Rejects, Sheet};
use crate::failure::Failure;

/// Millionths in a whole: shares are kept as a count of these, so that no rounding of a float decides a unit.
const MILLION: u64 = 1_000_000;
/// Digits after the point of a share.
const MAX_DECIMALS: usize = 6;
/// The largest share.
const MAX_SHARE: u64 = 1000;

/// One row by its names.
pub type RowName = (StoreId, ItemId);

/// What one customer buys together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Basket {
    /// Its id in the file.
    pub id: String,
    /// Its lines that can be sold.
    pub lines: Vec<LineBody>,
}

/// Everything that a file of baskets says.
#[derive(Debug, Default)]
pub struct Baskets {
    /// The baskets with anything that can be sold, in order of sale.
    pub baskets: Vec<Basket>,
    /// How many baskets have nothing that can be sold.
    pub rejected: u64,
    /// All lines.
    pub lines: u64,
}

impl Baskets {
    /// Reads a file with the columns `basket_id`, `store_id`, `product_id` and `quantity`; tells `rejects` of the lines
    /// that cannot be sold.
    pub fn read(path: &Path, bar: &ProgressBar, rejects: &mut Rejects) -> Result<Self, Failure> {
        let mut sheet = Sheet::open(path, ["basket_id", "store_id", "product_id", "quantity"], bar)?;
        let mut found = Self::default();
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        let mut not_sold: BTreeSet<String> = BTreeSet::new();
        while let Some(line) = sheet.next_line()? {
            found.lines += 1;
            let fields = match line.fields {
                Ok(fields) => fields,
                Err(reason) => {
                    rejects.add(line.number, &reason, &line.text)?;
                    continue;
                }
            };
            let id = fields[0].clone();
            match parse(fields) {
                Ok(body) => {
                    let baskets = &mut found.baskets;
                    let place = *places.entry(id).or_insert_with_key(|id| {
                        baskets.push(Basket { id: id.clone(), lines: Vec::new() });
                        baskets.len() - 1
                    });
                    baskets[place].lines.push(body);
                }
                Err(reason) => {
                    rejects.add(line.number, &reason, &line.text)?;
                    not_sold.insert(id);
                }
            }
        }
        found.rejected =
            not_sold.iter().filter(|id| !id.is_empty() && !places.contains_key(*id)).count() as u64;
        rejects.flush()?;
        Ok(found)
    }

    /// What each row opens with: a share of what the baskets ask for, rounded up.
    pub fn opening(&self, share: Share) -> BTreeMap<RowName, u64> {
        let mut rows: BTreeMap<RowName, u64> = BTreeMap::new();
        for line in self.baskets.iter().flat_map(|basket| &basket.lines) {
            let units = rows.entry((line.store_id.clone(), line.item_id.clone())).or_default();
            *units = units.saturating_add(line.qty.get());
        }
        rows.values_mut().for_each(|units| *units = share.of(*units));
        rows
    }
}

fn parse([basket, store, item, quantity]: [String; 4]) -> Result<LineBody, String> {
    if basket.is_empty() {
        return Err("the basket has no id".to_owned());
    }
    let units: u64 =
        quantity.parse().map_err(|_| format!("the quantity is not a whole number: {quantity:?}"))?;
    if units == 0 {
        return Err("the quantity is 0: nothing was sold".to_owned());
    }
    let qty = Quantity::new(units).map_err(|error| error.to_string())?;
    let store_id = StoreId::new(store).map_err(|error| error.to_string())?;
    let item_id = ItemId::new(item).map_err(|error| error.to_string())?;
    Ok(LineBody { store_id, item_id, qty })
}

/// A share of a demand, exact to the millionth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share(u64);

impl Share {
    /// The share of so many units, rounded up; never above the largest `u64`.
    fn of(self, units: u64) -> u64 {
        let millionths = u128::from(units) * u128::from(self.0);
        u64::try_from(millionths.div_ceil(u128::from(MILLION))).unwrap_or(u64::MAX)
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || {
            format!(
                "must be 0 to {MAX_SHARE} with at most {MAX_DECIMALS} digits after the point, got {text:?}"
            )
        };
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !is_digits(whole) || !is_digits(decimals) || decimals.len() > MAX_DECIMALS {
            return Err(bad());
        }
        let whole: u64 = whole.parse().map_err(|_| bad())?;
        let millionths: u64 = format!("{decimals:0<MAX_DECIMALS$}").parse().map_err(|_| bad())?;
        let share = whole.checked_mul(MILLION).and_then(|whole| whole.checked_add(millionths));
        share.filter(|share| *share <= MAX_SHARE * MILLION).map(Self).ok_or_else(bad)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Baskets, String) {
        let dir = tempfile::tempdir().unwrap();
        let (path, rejects) = (dir.path().join("baskets.csv"), dir.path().join("rejects.csv"));
        std::fs::write(&path, text).unwrap();
        let mut file = Rejects::create(&rejects).ok().unwrap();
        let found = Baskets::read(&path, &ProgressBar::hidden(), &mut file).ok().unwrap();
        (found, std::fs::read_to_string(rejects).unwrap())
    }

    #[test]
    fn lines_become_baskets_in_order_of_sale_and_what_cannot_be_sold_is_told() {
        let (found, rejects) = read(
            "sold_at,basket_id,store_id,product_id,quantity\n\
             t,2,S1,A,2\nt,1,S1,A,3\nt,2,S1,B,1\nt,1,S2,A,0\nt,3,S1,A,x\nt,4,S1\nt,5,S1,A,0\nt,,S1,A,1\n",
        );
        let ids: Vec<_> =
            found.baskets.iter().map(|basket| (basket.id.as_str(), basket.lines.len())).collect();
        assert_eq!(ids, [("2", 2), ("1", 1)]);
        assert_eq!((found.lines, found.rejected), (8, 2));
        let lines: Vec<_> = rejects.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
        assert_eq!(lines, ["5", "6", "7", "8", "9"]);
        assert!(rejects.contains("5,the quantity is 0: nothing was sold,\"t,1,S2,A,0\""), "{rejects}");
    }

    #[test]
    fn rows_open_with_their_share_rounded_up() {
        let (found, _) =
            read("basket_id,store_id,product_id,quantity\n1,S1,A,2\n2,S1,A,3\n1,S1,B,1\n3,S2,A,10\n");
        let opening = |share: &str| found.opening(share.parse().unwrap()).into_values().collect::<Vec<_>>();
        assert_eq!(opening("0.9"), [5, 1, 9]);
        assert_eq!(opening("1"), [5, 1, 10]);
        assert_eq!(opening("0"), [0, 0, 0]);
        assert_eq!(opening("1.1"), [6, 2, 11]);
    }

    #[test]
    fn a_share_is_exact() {
        assert_eq!("0.1".parse::<Share>().unwrap().of(30), 3);
        assert_eq!("1.1".parse::<Share>().unwrap().of(10), 11);
        assert_eq!("1000".parse::<Share>().unwrap().of(u64::MAX), u64::MAX);
        for bad in ["", "-1", ".5", "1.", "0.1234567", "1e3", "1000.1", "x", "99999999999999999999"] {
            assert!(bad.parse::<Share>().is_err(), "{bad}");
        }
    }
}
