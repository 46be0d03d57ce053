//! Runs a script against the model.
//!
//! Behind each script's back, every entry is also applied to a second state, which goes through a snapshot before each
//! one: both must answer alike and have the same digest. The state is audited after every entry, and at the end the
//! ledger is replayed.

mod args;
mod requests;
mod show;

use std::error::Error;
use std::fmt::Write as _;

use goldenscript::{Command, Context, Runner};
use holdfast_model::{
    Applied, ClusterTime, Entry, Frozen, Inventory, Key, Movement, OrderStatus, Record, Replay, Request,
    RowKey, Seq, codec,
};

use args::{Args, Failure};
use show::Show;

/// Of many records or replies of one entry, those at each end are shown; those between are counted.
const SHOWN_AT_EACH_END: usize = 3;

/// The state that a script plays with, and all that it did.
pub struct Shop {
    live: Inventory,
    /// The same, but written and read again before every entry.
    restored: Inventory,
    ledger: Vec<Record>,
    stamp: ClusterTime,
    utc_offset_ms: Option<i64>,
    /// The requests of an entry that was begun and not yet ended.
    begun: Option<Vec<Request>>,
}

impl Runner for Shop {
    type Command = Command;

    fn run(&mut self, command: &Command, _context: &Context) -> Result<String, Failure> {
        let mut args = Args::of(command);
        let output = match self.request(&command.name, &mut args)? {
            Some(requests) => self.take(requests),
            None => self.direct(&command.name, &mut args),
        }?;
        args.finish()?;
        Ok(output)
    }

    fn end_script(&mut self) -> Result<(), Failure> {
        if self.begun.is_some() {
            return Err("an entry was begun and not ended".into());
        }
        if self.replay(Seq(1))?.stock_digest() != self.live.digest().stock {
            return Err("the ledger does not give the stock part of the state".into());
        }
        let kept = self.replay(self.live.ledger_start())?;
        clean(&self.live.freeze().audit_with(&kept).violations)
    }
}

impl Shop {
    pub fn new() -> Self {
        Self {
            live: Inventory::new(),
            restored: Inventory::new(),
            ledger: Vec::new(),
            stamp: ClusterTime(0),
            utc_offset_ms: None,
            begun: None,
        }
    }

    /// What the ledger tells from `first` on.
    fn replay(&self, first: Seq) -> Result<Replay, Failure> {
        let mut replay = Replay::starting_at(first);
        for record in self.ledger.iter().filter(|record| record.seq() >= first) {
            replay.apply(record).map_err(|violation| violation.detail)?;
        }
        Ok(replay)
    }

    /// Applies requests as one entry, or keeps them for the entry that was begun.
    fn take(&mut self, requests: Vec<Request>) -> Result<String, Failure> {
        if let Some(begun) = &mut self.begun {
            begun.extend(requests);
            return Ok(String::new());
        }
        let entry = Entry { stamp: self.stamp, utc_offset_ms: self.utc_offset_ms.take(), requests };
        let applied = self.apply(&entry)?;
        Ok(show_applied(&applied))
    }

    fn apply(&mut self, entry: &Entry) -> Result<Applied, Failure> {
        self.restored = through_snapshot(&self.restored.freeze())?;
        let applied = self.live.apply(entry);
        if self.restored.apply(entry) != applied {
            return Err("a state that went through a snapshot answers otherwise".into());
        }
        if self.restored.digest() != self.live.digest() {
            return Err("a state that went through a snapshot has another digest".into());
        }
        if codec::decode::<Entry>(&codec::encode(entry))? != *entry {
            return Err("the entry is not what its bytes say".into());
        }
        clean(&self.live.freeze().audit().violations)?;
        self.ledger.extend(applied.records.iter().cloned());
        Ok(applied)
    }

    /// What changes no stock by itself: time, the bounds of an entry, and reading.
    fn direct(&mut self, name: &str, args: &mut Args) -> Result<String, Failure> {
        match name {
            "at" => self.stamp = ClusterTime(args.millis("a time")?),
            "utc" => self.utc_offset_ms = Some(args.signed("an offset in milliseconds")?),
            "begin" => self.begun = Some(Vec::new()),
            "end" => {
                let requests = self.begun.take().ok_or("no entry was begun")?;
                return self.take(requests);
            }
            "restart" => self.live = through_snapshot(&self.live.freeze())?,
            _ => return self.read(name, args),
        }
        Ok(String::new())
    }

    fn read(&self, name: &str, args: &mut Args) -> Result<String, Failure> {
        Ok(match name {
            "row" => {
                let row = args.row()?;
                self.live.row(&row.store, &row.item).map_or_else(nothing, |row| show::full_row(&row))
            }
            "hold" => self.live.hold(args.hold()?).map_or_else(nothing, |hold| hold.show()),
            "transfer" => self.live.transfer(args.transfer()?).map_or_else(nothing, |it| it.show()),
            "order" => self.live.order(args.order()?).map_or_else(nothing, |order| order.show()),
            "orders" => self.orders(args)?,
            "subscription" => {
                self.live.subscription(args.subscription()?).map_or_else(nothing, |it| it.show())
            }
            "dead_letter" => self.live.dead_letter(args.letter()?).map_or_else(nothing, |it| it.show()),
            "subscriptions" | "dead_letters" => self.registry(name, args)?,
            "rows" => self.rows(args)?,
            "history" => self.history(&args.row()?),
            "settings" => self.live.config().show(),
            "stats" => show::stats(&self.live.stats()),
            "now" => show::time(self.live.now().0),
            "next_deadline" => self.live.next_deadline().map_or_else(nothing, |at| show::time(at.0)),
            "ledger_start" => self.live.ledger_start().show(),
            _ => return Err(format!("no such command: {name}").into()),
        })
    }

    fn rows(&self, args: &mut Args) -> Result<String, Failure> {
        let after = args.take("after").map(|after| after.parse()).transpose()?;
        let limit = args.take("limit").map_or(Ok(100), |limit| limit.parse())?;
        let page = match (args.take("store"), args.take("item")) {
            (Some(store), None) => self.live.rows_of_store(&store.parse()?, after, limit),
            (None, Some(item)) => self.live.rows_of_item(&item.parse()?, after, limit),
            _ => return Err("rows takes store= or item=".into()),
        };
        let mut lines: Vec<String> = page.items.iter().map(Show::show).collect();
        lines.extend(page.next.map(|next| format!("more after {next}")));
        Ok(lines.join("\n"))
    }

    /// What is kept for all stores, or for that of `store=`, in pages.
    fn registry(&self, name: &str, args: &mut Args) -> Result<String, Failure> {
        let store = args.parse("store")?;
        let after = args.take("after").map(|after| after.parse()).transpose()?;
        let limit = args.take("limit").map_or(Ok(100), |limit| limit.parse())?;
        let (mut lines, next) = if name == "subscriptions" {
            let page = self.live.subscriptions(store.as_ref(), after, limit);
            (page.items.iter().map(Show::show).collect::<Vec<String>>(), page.next)
        } else {
            let page = self.live.dead_letters(store.as_ref(), after, limit);
            (page.items.iter().map(Show::show).collect(), page.next)
        };
        lines.extend(next.map(|next| format!("more after {next}")));
        Ok(if lines.is_empty() { nothing() } else { lines.join("\n") })
    }

    /// Orders in pages; those of a status, or those for which money is owed, when it is named.
    fn orders(&self, args: &mut Args) -> Result<String, Failure> {
        let after = args.take("after").map(|after| after.parse()).transpose()?;
        let limit = args.take("limit").map_or(Ok(100), |limit| limit.parse())?;
        let page = match args.more().as_deref() {
            None => self.live.orders(None, after, limit),
            Some("refund_due") => self.live.orders_with_refund_due(after, limit),
            Some(word) => {
                let is_named = |status: &OrderStatus| format!("{status:?}").eq_ignore_ascii_case(word);
                let status = OrderStatus::ALL.into_iter().find(is_named).ok_or("no such status")?;
                self.live.orders(Some(status), after, limit)
            }
        };
        let mut lines: Vec<String> = page.items.iter().map(Show::show).collect();
        lines.extend(page.next.map(|next| format!("more after {next}")));
        Ok(if lines.is_empty() { nothing() } else { lines.join("\n") })
    }

    /// A row's movements, newest first, found from the row's last one by following the links.
    fn history(&self, key: &RowKey) -> String {
        let mut output = String::new();
        let mut seq = self.live.row(&key.store, &key.item).map_or(Seq(0), |row| row.last_seq);
        while let Some(movement) = self.movements().find(|movement| movement.seq == seq) {
            let _ = writeln!(output, "{}", movement.show());
            seq = movement.prev_seq;
        }
        output
    }

    fn movements(&self) -> impl Iterator<Item = &Movement> {
        self.ledger.iter().filter_map(Record::movement)
    }

    /// On hand of a row right after a movement, as a leader looks it up in the ledger.
    fn on_hand_at(&self, row: &RowKey, seq: Seq) -> Option<i64> {
        let of_row = |movement: &&Movement| movement.store == row.store && movement.item == row.item;
        let then = self.movements().filter(of_row).take_while(|movement| movement.seq <= seq);
        then.last().map(Movement::on_hand)
    }
}

fn through_snapshot(frozen: &Frozen) -> Result<Inventory, Box<dyn Error>> {
    Ok(Inventory::restore(frozen.chunks())?)
}

fn clean(violations: &[holdfast_model::Violation]) -> Result<(), Failure> {
    match violations {
        [] => Ok(()),
        [first, ..] => Err(format!("invariant {}: {}", first.invariant, first.detail).into()),
    }
}

fn nothing() -> String {
    "none".to_owned()
}

fn show_applied(applied: &Applied) -> String {
    let records = applied.records.iter().map(|record| format!("  {}", record.show()));
    let replies = applied.replies.iter().map(Show::show);
    let dropped = applied.trim_before.map(|seq| format!("the ledger drops what is before {}", seq.show()));
    let lines: Vec<String> = ends_of(records).into_iter().chain(ends_of(replies)).chain(dropped).collect();
    lines.join("\n")
}

/// The first and last lines of many, and how many there are between.
fn ends_of(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = lines.collect();
    let hidden = lines.len().saturating_sub(2 * SHOWN_AT_EACH_END);
    if hidden > 1 {
        let between = SHOWN_AT_EACH_END..SHOWN_AT_EACH_END + hidden;
        lines.splice(between, [format!("  … {hidden} more …")]);
    }
    lines
}

/// The key that a script calls `text`.
fn key(text: &str, fingerprint: u64) -> Key {
    Key::new("script", None, text, fingerprint)
}
