//! Which records a subscriber wants.

use axum::extract::Query;
use axum::http::Uri;
use holdfast_api::Problem;
use holdfast_model::{ItemId, StoreId};

use super::record::{self, Record};
use crate::read::id;
use crate::reply::malformed;

/// The most values of one filter: a subscriber that wants more wants everything.
const MAX_VALUES: usize = 1000;

/// The stores, items and kinds that a subscriber wants; an empty list stands for all.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Stores.
    pub stores: Vec<StoreId>,
    /// Items.
    pub items: Vec<ItemId>,
    /// Kinds of records, as the contract names them.
    pub kinds: Vec<&'static str>,
}

/// The parameters of a subscription.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The text of a cursor.
    pub after: Option<String>,
    /// What it wants.
    pub filter: Filter,
}

impl Asked {
    /// Reads a query. `storeId`, `itemId` and `kind` may come again and again; kinds may also be separated by commas, which
    /// ids may contain.
    ///
    /// # Errors
    /// When a parameter is not known, not what it should be, or comes too often.
    pub fn of(uri: &Uri) -> Result<Self, Problem> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|error| malformed(format!("the query cannot be read: {error}")))?;
        let mut asked = Self::default();
        for (name, value) in pairs {
            match name.as_str() {
                "after" if asked.after.is_none() => asked.after = Some(value),
                "after" => return Err(malformed("after is given twice")),
                "storeId" => add(&mut asked.filter.stores, id(&value)?, &name)?,
                "itemId" => add(&mut asked.filter.items, id(&value)?, &name)?,
                "kind" => {
                    for text in value.split(',') {
                        add(&mut asked.filter.kinds, kind(text)?, &name)?;
                    }
                }
                _ => return Err(malformed(format!("there is no parameter {name:?} here"))),
            }
        }
        Ok(asked)
    }
}

fn kind(text: &str) -> Result<&'static str, Problem> {
    record::kinds().find(|&known| known == text).ok_or_else(|| {
        let known: Vec<&str> = record::kinds().collect();
        malformed(format!("kind must be one of {}, got {text:?}", known.join(", ")))
    })
}

fn add<T: PartialEq>(values: &mut Vec<T>, value: T, name: &str) -> Result<(), Problem> {
    if !values.contains(&value) {
        values.push(value);
    }
    if values.len() > MAX_VALUES {
        return Err(malformed(format!("{name} may have up to {MAX_VALUES} values")));
    }
    Ok(())
}

impl Filter {
    /// Whether it wants everything.
    pub fn is_open(&self) -> bool {
        self.stores.is_empty() && self.items.is_empty() && self.kinds.is_empty()
    }

    /// Whether it wants a record.
    pub fn wants(&self, record: &Record) -> bool {
        let among = |wanted: bool, is_any: bool| is_any || wanted;
        among(self.kinds.contains(&record::kind(record)), self.kinds.is_empty())
            && among(record::store(record).is_some_and(|id| self.stores.contains(id)), self.stores.is_empty())
            && among(record::item(record).is_some_and(|id| self.items.contains(id)), self.items.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::movement;
    use super::*;

    fn asked(query: &str) -> Result<Asked, Problem> {
        Asked::of(&format!("/feed?{query}").parse().unwrap())
    }

    #[test]
    fn filters_are_repeated_and_kinds_are_separated_by_commas_too() {
        let read =
            asked("storeId=S1&storeId=S%2B2&storeId=S1&itemId=a,b&kind=SOLD,RECEIVED&kind=SOLD&after=7")
                .unwrap();
        assert_eq!(read.after.as_deref(), Some("7"));
        assert_eq!(read.filter.stores.iter().map(StoreId::as_str).collect::<Vec<_>>(), ["S1", "S+2"]);
        assert_eq!(
            read.filter.items.iter().map(ItemId::as_str).collect::<Vec<_>>(),
            ["a,b"],
            "an id may have commas"
        );
        assert_eq!(read.filter.kinds, ["SOLD", "RECEIVED"]);
        assert!(asked("").unwrap().filter.is_open());
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for bad in [
            "storeId=",
            "storeId=a%20b",
            "itemId=%00",
            "kind=",
            "kind=sold",
            "kind=SOLD,",
            "typo=1",
            "after=1&after=2",
        ] {
            assert!(asked(bad).is_err(), "{bad}");
        }
        let many: Vec<String> = (0..=MAX_VALUES).map(|number| format!("storeId=S{number}")).collect();
        assert!(asked(&many[1..].join("&")).is_ok());
        assert!(asked(&many.join("&")).is_err());
    }

    #[test]
    fn each_list_must_have_the_record_s_own() {
        let record = movement(1, "S1", "A");
        for (query, wanted) in [
            ("", true),
            ("storeId=S1", true),
            ("storeId=S2", false),
            ("storeId=S2&storeId=S1&itemId=A&kind=SOLD", true),
            ("storeId=S1&itemId=B", false),
            ("itemId=A&kind=RECEIVED", false),
        ] {
            assert_eq!(asked(query).unwrap().filter.wants(&record), wanted, "{query}");
        }
    }
}
