//! The words of a script as commands of the model.

use holdfast_model::{
    Command, ConfigChange, CountBasis, Direction, Event, HoldId, LetterAction, LetterBody, Line, OrderAction,
    OrderId, PaymentOutcome, ReceiptKind, Request, RowKey, Seq, Setting, SubscriptionAction, UtcMillis,
    fingerprint,
};
use uuid::Uuid;

use super::args::{self, Args, Failure, millis, number};
use super::{Shop, key};

/// What a script does not name: the hold of order 1 is 101, and the next one 201.
const ORDER_HOLDS: u64 = 100;
const REPLACED_HOLDS: u64 = 200;

impl Shop {
    /// The requests that a word of the script stands for; none when it is no command of the model.
    pub(super) fn request(&self, name: &str, args: &mut Args) -> Result<Option<Vec<Request>>, Failure> {
        if name == "crowd" {
            return crowd(args).map(Some);
        }
        // An id that the leader would generate does not count for the fingerprint.
        let generated = args.take("generated").map(|id| number(&id)).transpose()?;
        let Some(mut command) = self.command(name, generated.is_some(), args)? else { return Ok(None) };
        let seen = fingerprint(&as_asked(&command));
        match (&mut command, generated) {
            (Command::Reserve { hold, .. }, Some(id)) => *hold = args::hold(id),
            (Command::Order { order, action: OrderAction::Place { hold, .. } }, Some(id)) => {
                (*order, *hold) = (args::order(id), args::hold(ORDER_HOLDS + id));
            }
            _ => {}
        }
        let key = args.take("key").map(|text| key(&text, seen));
        let actor = args.parse("by")?;
        Ok(Some(vec![Request { command, key, actor }]))
    }

    fn command(&self, name: &str, generated: bool, args: &mut Args) -> Result<Option<Command>, Failure> {
        Ok(Some(match name {
            "tick" => Command::Tick,
            "reserve" => reserve(generated, args)?,
            "confirm" => {
                let reacquire = args.flag("reacquire");
                Command::Confirm { hold: args.hold()?, lines: part(args)?, reacquire }
            }
            "release" => {
                Command::Release { hold: args.hold()?, lines: part(args)?, reason: args.parse("reason")? }
            }
            "extend" => Command::Extend { hold: args.hold()?, ttl_ms: args.millis("how long")? },
            "create" | "adjust" | "count" | "sale" | "receive" | "policy" | "retire" | "remove" => {
                let row = args.row()?;
                self.row_command(name, row, args)?
            }
            "place" => place(generated, args)?,
            "lines" | "pay" | "cancel_order" | "refund" => order_command(name, args)?,
            "subscribe" | "unsubscribe" => subscription_command(name, args)?,
            "keep" | "requeue" | "drop" => letter_command(name, args)?,
            "ship" | "arrive" | "close" | "cancel" => transfer_command(name, args)?,
            "configure" => Command::Configure { changes: changes(args)? },
            "trim" => Command::TrimLedger { before: Seq(args.number("a sequence")?) },
            "raise" => Command::RaiseModelVersion { to: u32::try_from(args.number("a version")?)? },
            _ => return Ok(None),
        }))
    }

    fn row_command(&self, name: &str, row: RowKey, args: &mut Args) -> Result<Command, Failure> {
        let expected_version = args.parse("version")?;
        let RowKey { store, item } = row.clone();
        Ok(match name {
            "create" => {
                let opening = args.word("the opening stock")?;
                Command::CreateSku { store, item, opening: number(&opening)? }
            }
            "adjust" => Command::Adjust {
                store,
                item,
                delta: delta(args)?,
                reason: args.take("reason").as_deref().unwrap_or("shrinkage").parse()?,
                reference: args.parse("ref")?,
                expected_version,
            },
            "count" => Command::Count {
                store,
                item,
                counted: number(&args.word("what was counted")?)?,
                as_of: self.basis(&row, args)?,
                reason: args.parse("reason")?,
                reference: args.parse("ref")?,
                event: event(args)?,
            },
            "sale" => {
                let (qty, reason, reference) = (args.quantity()?, args.parse("reason")?, args.parse("ref")?);
                Command::RecordSale { store, item, qty, reason, reference, event: event(args)? }
            }
            "receive" => {
                let kind = if args.flag("return") { ReceiptKind::Return } else { ReceiptKind::Delivery };
                let (qty, reason, reference) = (args.quantity()?, args.parse("reason")?, args.parse("ref")?);
                Command::Receive { store, item, qty, kind, reason, reference, event: event(args)? }
            }
            "policy" => {
                let units = |text: Option<String>| text.map(|text| number(&text)).transpose();
                let safety_stock = units(args.take("safety"))?;
                let backorder_limit = units(args.take("backorder"))?;
                Command::SetPolicy { store, item, safety_stock, backorder_limit, expected_version }
            }
            _ => Command::RetireSku { store, item, remove: name == "remove" },
        })
    }

    /// `as_of=` a sequence, with what the ledger says that was on hand then; `said=` tells something else.
    fn basis(&self, row: &RowKey, args: &mut Args) -> Result<Option<CountBasis>, Failure> {
        let Some(seq) = args.parse("as_of")?.map(Seq) else { return Ok(None) };
        let on_hand = match args.parse("said")? {
            Some(said) => Some(said),
            None => self.on_hand_at(row, seq),
        };
        Ok(Some(CountBasis { seq, on_hand }))
    }
}

/// The command before the leader looked anything up for it.
fn as_asked(command: &Command) -> Command {
    let mut asked = command.clone();
    if let Command::Count { as_of: Some(basis), .. } = &mut asked {
        basis.on_hand = None;
    }
    asked
}

fn place(generated: bool, args: &mut Args) -> Result<Command, Failure> {
    let nil = (OrderId::from_uuid(Uuid::nil()), HoldId::from_uuid(Uuid::nil()));
    let (order, hold) = if generated {
        nil
    } else {
        let number = args.number("an order")?;
        (args::order(number), args.hold_or(ORDER_HOLDS + number)?)
    };
    let ttl_ms = args.take("ttl").map(|ttl| millis(&ttl)).transpose()?;
    let (owner, reference) = (args.parse("owner")?, args.parse("ref")?);
    let action = OrderAction::Place { hold, lines: args.lines()?, ttl_ms, owner, reference };
    Ok(Command::Order { order, action })
}

fn order_command(name: &str, args: &mut Args) -> Result<Command, Failure> {
    let number = args.number("an order")?;
    let action = match name {
        "lines" => {
            let hold = args.hold_or(REPLACED_HOLDS + number)?;
            OrderAction::ReplaceLines { hold, lines: args.lines()? }
        }
        "pay" => {
            let (is_failed, reacquire) = (args.flag("failed"), args.flag("reacquire"));
            let outcome = if is_failed { PaymentOutcome::Failed } else { PaymentOutcome::Succeeded };
            OrderAction::Pay { payment: args.payment()?, outcome, amount: args.amount()?, reacquire }
        }
        "cancel_order" => OrderAction::Cancel { reason: args.parse("reason")? },
        _ => OrderAction::Refund { payment: args.payment()? },
    };
    Ok(Command::Order { order: args::order(number), action })
}

fn subscription_command(name: &str, args: &mut Args) -> Result<Command, Failure> {
    let subscription = args.subscription()?;
    let action = if name == "unsubscribe" {
        SubscriptionAction::Unsubscribe
    } else {
        let store = args.word("a store")?.parse()?;
        let url = args.take("url").as_deref().unwrap_or("http://store/hook").parse()?;
        let (secret, description) = (args.secret()?, args.parse("description")?);
        SubscriptionAction::Subscribe { store, url, secret, description }
    };
    Ok(Command::Subscription { subscription, action })
}

/// A letter `to=` or `from=` a store, with a text as its body or one of `bytes=` bytes.
fn letter_command(name: &str, args: &mut Args) -> Result<Command, Failure> {
    let letter = args.letter()?;
    let action = match name {
        "requeue" => LetterAction::Requeue,
        "drop" => LetterAction::Remove,
        _ => {
            let (direction, store) = match (args.take("to"), args.take("from")) {
                (Some(store), None) => (Direction::ToStore, store.parse()?),
                (None, Some(store)) => (Direction::FromStore, store.parse()?),
                _ => return Err("keep takes to= or from=".into()),
            };
            let reason = args.take("reason").as_deref().unwrap_or("refused").parse()?;
            let body = match args.parse("bytes")? {
                Some(bytes) => LetterBody::new(vec![0; bytes]),
                None => LetterBody::new(args.word("a text")?.into_bytes()),
            };
            LetterAction::Keep { store, direction, reason, body }
        }
    };
    Ok(Command::DeadLetter { letter, action })
}

fn reserve(generated: bool, args: &mut Args) -> Result<Command, Failure> {
    let allow_partial = args.flag("partial");
    let hold = if generated { HoldId::from_uuid(Uuid::nil()) } else { args.hold()? };
    let ttl_ms = args.take("ttl").map(|ttl| millis(&ttl)).transpose()?;
    let owner = args.parse("owner")?;
    Ok(Command::Reserve { hold, lines: args.lines()?, ttl_ms, allow_partial, owner })
}

/// The same reserve for many holds, in one entry: `crowd FIRST LAST STORE/ITEM=QTY ttl=…`.
fn crowd(args: &mut Args) -> Result<Vec<Request>, Failure> {
    let (first, last) = (args.number("the first hold")?, args.number("the last hold")?);
    let ttl_ms = args.take("ttl").map(|ttl| millis(&ttl)).transpose()?;
    let lines = args.lines()?;
    let reserve = |id: u64| {
        let (hold, lines) = (args::hold(id), lines.clone());
        let command = Command::Reserve { hold, lines, ttl_ms, allow_partial: false, owner: None };
        Request { command, key: None, actor: None }
    };
    Ok((first..=last).map(reserve).collect())
}

/// The lines of a part; `nothing` is a part with none, and no lines mean the whole.
fn part(args: &mut Args) -> Result<Option<Vec<Line>>, Failure> {
    let is_empty_part = args.flag("nothing");
    let lines = args.lines()?;
    Ok((is_empty_part || !lines.is_empty()).then_some(lines))
}

fn delta(args: &mut Args) -> Result<i64, Failure> {
    let signed = |text: String| Ok::<_, Failure>(i64::try_from(number(&text)?)?);
    match (args.take("add"), args.take("take")) {
        (Some(add), None) => signed(add),
        (None, Some(take)) => Ok(-signed(take)?),
        _ => Err("adjust takes add= or take=".into()),
    }
}

fn event(args: &mut Args) -> Result<Option<Event>, Failure> {
    let occurred_at = UtcMillis(args.parse("occurred")?.unwrap_or_default());
    Ok(args.parse("event")?.map(|id| Event { id, occurred_at }))
}

fn transfer_command(name: &str, args: &mut Args) -> Result<Command, Failure> {
    let transfer = args.transfer()?;
    let at_once = args.flag("at_once");
    Ok(match name {
        "ship" => {
            let (item, qty) = (args.word("an item")?.parse()?, args.quantity()?);
            let from = args.take("from").ok_or("from= is missing")?.parse()?;
            let to = args.take("to").ok_or("to= is missing")?.parse()?;
            let (reason, reference) = (args.parse("reason")?, args.parse("ref")?);
            Command::Transfer { transfer, item, from, to, qty, at_once, reason, reference }
        }
        "arrive" => {
            let qty = args.more().map(|qty| qty.parse::<u64>()).transpose()?;
            Command::ReceiveTransfer { transfer, qty: qty.map(TryInto::try_into).transpose()? }
        }
        "close" => {
            let reason = args.take("reason").as_deref().unwrap_or("lost").parse()?;
            Command::CloseTransfer { transfer, reason }
        }
        _ => Command::CancelTransfer { transfer, reason: args.parse("reason")? },
    })
}

/// `NAME=VALUE` for each setting: a number, or a time.
fn changes(args: &mut Args) -> Result<Vec<ConfigChange>, Failure> {
    let mut changes = Vec::new();
    for setting in Setting::ALL {
        if let Some(value) = args.take(setting.name()) {
            let value = value.parse().or_else(|_| millis(&value))?;
            changes.push(ConfigChange { setting, value });
        }
    }
    Ok(changes)
}
