//! Pages as streams: the next one is fetched when its first record is asked for.

use std::collections::VecDeque;

use futures_util::stream::{self, Stream};
use holdfast_api::{
    DeadLetter, DeadLetterPage, MovementPage, Order, OrderPage, Record, Row, RowPage, Subscription,
    SubscriptionPage,
};
use holdfast_model::{ItemId, StoreId};
use serde::de::DeserializeOwned;

use crate::{Client, Error};

/// Records in a page.
const PAGE: usize = 1000;

/// Records in a page where one may be large.
const FEW: usize = 20;

/// Where a stream is.
struct Cursor<T> {
    ready: VecDeque<T>,
    /// Where the next page starts; none when this was the last.
    next: Option<Option<u64>>,
}

/// A page, as its records and where the next one starts.
trait Paged: DeserializeOwned {
    type Record;
    fn split(self) -> (Vec<Self::Record>, Option<u64>);
}

impl Paged for RowPage {
    type Record = Row;
    fn split(self) -> (Vec<Row>, Option<u64>) {
        (self.rows, self.next)
    }
}

impl Paged for MovementPage {
    type Record = Record;
    fn split(self) -> (Vec<Record>, Option<u64>) {
        (self.movements, self.next)
    }
}

impl Paged for OrderPage {
    type Record = Order;
    fn split(self) -> (Vec<Order>, Option<u64>) {
        (self.orders, self.next)
    }
}

impl Paged for SubscriptionPage {
    type Record = Subscription;
    fn split(self) -> (Vec<Subscription>, Option<u64>) {
        (self.subscriptions, self.next)
    }
}

impl Paged for DeadLetterPage {
    type Record = DeadLetter;
    fn split(self) -> (Vec<DeadLetter>, Option<u64>) {
        (self.dead_letters, self.next)
    }
}

/// A parameter of a query. What an id may have stands for itself there, but for the plus sign; nothing else does.
pub(crate) fn parameter(name: &str, value: &str) -> String {
    let mut text = format!("&{name}=");
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.:~@=,".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

impl Client {
    /// A store's rows, in the order in which they came to be.
    pub fn rows_of_store(&self, store: &StoreId) -> impl Stream<Item = Result<Row, Error>> + Unpin + use<> {
        self.pages::<RowPage>(format!("/inventory/{store}/items?limit={PAGE}"), "after", None)
    }

    /// An item's rows in all stores.
    pub fn rows_of_item(&self, item: &ItemId) -> impl Stream<Item = Result<Row, Error>> + Unpin + use<> {
        self.pages::<RowPage>(format!("/items/{item}?limit={PAGE}"), "after", None)
    }

    /// Orders, in the order in which they were placed; only those of a status, or of `REFUND_DUE`, when one is given.
    pub fn orders(&self, status: Option<&str>) -> impl Stream<Item = Result<Order, Error>> + Unpin + use<> {
        let status = status.map(|status| parameter("status", status)).unwrap_or_default();
        self.pages::<OrderPage>(format!("/orders?limit={PAGE}{status}"), "after", None)
    }

    /// Webhook subscriptions, of a store when one is given; with their secrets for whoever is to sign with them.
    pub fn subscriptions(
        &self,
        store: Option<&StoreId>,
        with_secrets: bool,
    ) -> impl Stream<Item = Result<Subscription, Error>> + Unpin + use<> {
        let store = store.map(|store| parameter("storeId", store.as_str())).unwrap_or_default();
        let secrets = if with_secrets { "&secrets=1" } else { "" };
        let path = format!("/subscriptions?limit={PAGE}{store}{secrets}");
        self.pages::<SubscriptionPage>(path, "after", None)
    }

    /// Some dead letters, of a store when one is given, in the order in which they came; `after` is the `next` of the page
    /// before.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn dead_letter_page(
        &self,
        store: Option<&StoreId>,
        after: Option<u64>,
        limit: usize,
    ) -> Result<DeadLetterPage, Error> {
        let store = store.map(|store| parameter("storeId", store.as_str())).unwrap_or_default();
        let after = after.map(|after| format!("&after={after}")).unwrap_or_default();
        self.get(&format!("/dead-letters?limit={limit}{store}{after}")).await
    }

    /// Dead letters, of a store when one is given, in the order in which they came.
    pub fn dead_letters(
        &self,
        store: Option<&StoreId>,
    ) -> impl Stream<Item = Result<DeadLetter, Error>> + Unpin + use<> {
        let store = store.map(|store| parameter("storeId", store.as_str())).unwrap_or_default();
        self.pages::<DeadLetterPage>(format!("/dead-letters?limit={FEW}{store}"), "after", None)
    }

    /// Records of the ledger after a sequence, oldest first, up to the last one that has happened; only a store's, or an item's,
    /// when one is given.
    pub fn movements(
        &self,
        after: u64,
        store: Option<&StoreId>,
        item: Option<&ItemId>,
    ) -> impl Stream<Item = Result<Record, Error>> + Unpin + use<> {
        let store = store.map(|store| parameter("storeId", store.as_str())).unwrap_or_default();
        let item = item.map(|item| parameter("itemId", item.as_str())).unwrap_or_default();
        self.pages::<MovementPage>(format!("/movements?limit={PAGE}{store}{item}"), "after", Some(after))
    }

    /// A row's movements, newest first.
    pub fn history(
        &self,
        store: &StoreId,
        item: &ItemId,
    ) -> impl Stream<Item = Result<Record, Error>> + Unpin + use<> {
        let path = format!("/inventory/{store}/items/{item}/movements?limit={PAGE}");
        self.pages::<MovementPage>(path, "before", None)
    }

    fn pages<P: Paged>(
        &self,
        path: String,
        parameter: &'static str,
        start: Option<u64>,
    ) -> impl Stream<Item = Result<P::Record, Error>> + Unpin + use<P> {
        let client = self.clone();
        let cursor = Cursor { ready: VecDeque::new(), next: Some(start) };
        Box::pin(stream::try_unfold((client, path, cursor), move |(client, path, mut cursor)| async move {
            while cursor.ready.is_empty() {
                let Some(place) = cursor.next else { return Ok(None) };
                let place = place.map(|place| format!("&{parameter}={place}")).unwrap_or_default();
                let (records, next) = client.get::<P>(&format!("{path}{place}")).await?.split();
                cursor = Cursor { ready: records.into(), next: next.map(Some) };
            }
            let record = cursor.ready.pop_front();
            Ok(record.map(|record| (record, (client, path, cursor))))
        }))
    }
}
