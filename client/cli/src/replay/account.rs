//! Every unit is accounted for: each row has sold what the buyers confirmed, holds nothing, and has the rest.

use std::collections::BTreeMap;

use comfy_table::Table;
use futures_util::TryStreamExt;
use holdfast_sdk::Client;
use holdfast_sdk::api::Row;
use holdfast_sdk::model::{ItemId, StoreId};
use serde_json::{Value, json};

use super::baskets::RowName;
use crate::Done;
use crate::failure::Failure;
use crate::tables::one_row;

/// How many rows that do not balance are told.
const ROWS_TOLD: usize = 20;

/// What the cluster says of the rows, against what the buyers know.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Account {
    rows: u64,
    opened: u64,
    confirmed: u64,
    sold: u64,
    left: i64,
    wrong: Vec<String>,
}

impl Account {
    /// Looks at every row of the replay.
    pub async fn of(
        client: &Client,
        opening: &BTreeMap<RowName, u64>,
        sold: &BTreeMap<RowName, u64>,
    ) -> Result<Self, Failure> {
        let mut stores: Vec<&StoreId> = opening.keys().map(|(store, _)| store).collect();
        stores.dedup();
        let mut rows: BTreeMap<RowName, Row> = BTreeMap::new();
        for store in stores {
            let found: Vec<Row> = client.rows_of_store(store).try_collect().await?;
            rows.extend(found.into_iter().filter_map(|row| {
                let item = ItemId::new(&row.item_id).ok()?;
                Some(((store.clone(), item), row))
            }));
        }
        Ok(Self::settle(opening, sold, &rows))
    }

    fn settle(
        opening: &BTreeMap<RowName, u64>,
        sold: &BTreeMap<RowName, u64>,
        rows: &BTreeMap<RowName, Row>,
    ) -> Self {
        let mut account = Self { confirmed: sold.values().sum(), ..Self::default() };
        for (name, &units) in opening {
            let sold = sold.get(name).copied().unwrap_or_default();
            account.rows += 1;
            account.opened = account.opened.saturating_add(units);
            match rows.get(name) {
                None => account.wrong.push(format!("{}/{}: the row is gone", name.0, name.1)),
                Some(row) => account.add(row, units, sold),
            }
        }
        account
    }

    fn add(&mut self, row: &Row, opened: u64, confirmed: u64) {
        self.sold = self.sold.saturating_add(row.sold);
        self.left = self.left.saturating_add(row.on_hand);
        let left = i128::from(opened) - i128::from(confirmed);
        let balances = row.opening == opened
            && row.sold == confirmed
            && row.reserved == 0
            && i128::from(row.available) == left
            && i128::from(row.on_hand) == left;
        if !balances {
            self.wrong.push(format!(
                "{}/{}: opened {opened}, buyers confirmed {confirmed}; the cluster says opening {}, sold {}, reserved {}, \
                 available {}",
                row.store_id, row.item_id, row.opening, row.sold, row.reserved, row.available
            ));
        }
    }

    /// For programs.
    pub fn value(&self) -> Value {
        json!({
            "rows": self.rows, "unitsOpened": self.opened, "unitsConfirmed": self.confirmed, "unitsSold": self.sold,
            "unitsLeft": self.left, "rowsWrong": self.wrong.len(),
        })
    }

    /// For people.
    pub fn table(&self) -> Table {
        let header = ["rows", "units opened", "confirmed by buyers", "sold", "left", "rows wrong"];
        let counts = [self.rows, self.opened, self.confirmed, self.sold];
        let mut cells: Vec<String> = counts.iter().map(u64::to_string).collect();
        cells.extend([self.left.to_string(), self.wrong.len().to_string()]);
        one_row(&header, cells)
    }

    /// Whether it balances.
    pub fn check(&self) -> Done {
        if self.wrong.is_empty() {
            return Ok(());
        }
        let told: Vec<String> = self.wrong.iter().take(ROWS_TOLD).map(|line| format!("\n  {line}")).collect();
        Err(Failure::Check(format!("{} rows do not balance:{}", self.wrong.len(), told.concat())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(item: &str) -> RowName {
        (StoreId::new("S1").unwrap(), ItemId::new(item).unwrap())
    }

    fn row(item: &str, opening: u64, sold: u64, reserved: u64, available: i64) -> Row {
        serde_json::from_value(json!({
            "storeId": "S1", "itemId": item, "available": available, "reserved": reserved,
            "onHand": available + i64::try_from(reserved).unwrap(), "sellable": available, "version": 1, "lastSeq": 1,
            "safetyStock": 0, "backorderLimit": 0, "oversold": false, "retired": false, "opening": opening,
            "received": 0, "adjusted": 0, "counted": 0, "transferredIn": 0, "transferredOut": 0, "sold": sold
        }))
        .unwrap()
    }

    fn settled(row: Option<Row>) -> Account {
        let rows = row.into_iter().map(|row| (name("A"), row)).collect();
        Account::settle(&[(name("A"), 10)].into(), &[(name("A"), 4)].into(), &rows)
    }

    #[test]
    fn a_row_that_sold_what_was_confirmed_balances() {
        let account = settled(Some(row("A", 10, 4, 0, 6)));
        assert_eq!(
            account,
            Account { rows: 1, opened: 10, confirmed: 4, sold: 4, left: 6, wrong: Vec::new() }
        );
        assert!(account.check().is_ok());
    }

    #[test]
    fn a_lost_a_doubled_and_a_held_unit_are_each_seen() {
        for wrong in [
            Some(row("A", 10, 3, 0, 7)),
            Some(row("A", 10, 5, 0, 5)),
            Some(row("A", 10, 4, 1, 5)),
            Some(row("A", 10, 4, 0, 5)),
            Some(row("A", 11, 4, 0, 7)),
            None,
        ] {
            assert!(settled(wrong.clone()).check().is_err(), "{wrong:?}");
        }
    }
}
