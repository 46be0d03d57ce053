//! The words of a script's command.

use std::collections::VecDeque;
use std::error::Error;
use std::str::FromStr;

use goldenscript::{Argument, Command};
use holdfast_model::{
    Amount, DeadLetterId, HoldId, ItemId, Line, OrderId, PaymentId, Quantity, RowKey, Secret, StoreId,
    SubscriptionId, TransferId,
};
use uuid::Uuid;

pub type Failure = Box<dyn Error>;

/// Arguments that are taken one by one; any that is left over is a mistake in the script.
pub struct Args {
    words: VecDeque<String>,
    pairs: Vec<(String, String)>,
}

impl Args {
    pub fn of(command: &Command) -> Self {
        let mut args = Self { words: VecDeque::new(), pairs: Vec::new() };
        for argument in &command.args {
            match argument {
                Argument::KeyValue(key, value) => args.pairs.push((key.clone(), value.clone())),
                other => args.words.push_back(match other {
                    Argument::Positional(word) => word.clone(),
                    unknown => unknown.to_string(),
                }),
            }
        }
        args
    }

    /// Refuses what no one took.
    pub fn finish(self) -> Result<(), Failure> {
        let pairs = self.pairs.into_iter().map(|(key, value)| format!("{key}={value}"));
        match self.words.into_iter().chain(pairs).next() {
            Some(word) => Err(format!("{word} means nothing here").into()),
            None => Ok(()),
        }
    }

    pub fn word(&mut self, what: &str) -> Result<String, Failure> {
        self.words.pop_front().ok_or_else(|| format!("{what} is missing").into())
    }

    /// The next word, when it is there.
    pub fn more(&mut self) -> Option<String> {
        self.words.pop_front()
    }

    /// Whether `word` is among the words.
    pub fn flag(&mut self, word: &str) -> bool {
        let place = self.words.iter().position(|other| other == word);
        place.is_some_and(|place| self.words.remove(place).is_some())
    }

    /// The value of `key=`, when it is there.
    pub fn take(&mut self, key: &str) -> Option<String> {
        let place = self.pairs.iter().position(|(other, _)| other == key)?;
        Some(self.pairs.remove(place).1)
    }

    /// The value of `key=` as what is wanted.
    pub fn parse<T: FromStr<Err: Error + 'static>>(&mut self, key: &str) -> Result<Option<T>, Failure> {
        Ok(self.take(key).map(|value| value.parse()).transpose()?)
    }

    pub fn number(&mut self, what: &str) -> Result<u64, Failure> {
        Ok(self.word(what)?.parse()?)
    }

    pub fn signed(&mut self, what: &str) -> Result<i64, Failure> {
        Ok(self.word(what)?.parse()?)
    }

    pub fn millis(&mut self, what: &str) -> Result<u64, Failure> {
        millis(&self.word(what)?)
    }

    pub fn quantity(&mut self) -> Result<Quantity, Failure> {
        quantity(&self.word("a quantity")?)
    }

    pub fn hold(&mut self) -> Result<HoldId, Failure> {
        Ok(hold(self.number("a hold")?))
    }

    pub fn transfer(&mut self) -> Result<TransferId, Failure> {
        Ok(TransferId::from_uuid(Uuid::from_u128(u128::from(self.number("a transfer")?))))
    }

    pub fn order(&mut self) -> Result<OrderId, Failure> {
        Ok(order(self.number("an order")?))
    }

    /// The hold of `hold=`, or the usual one of an order.
    pub fn hold_or(&mut self, usual: u64) -> Result<HoldId, Failure> {
        Ok(hold(self.parse("hold")?.unwrap_or(usual)))
    }

    pub fn subscription(&mut self) -> Result<SubscriptionId, Failure> {
        Ok(SubscriptionId::from_uuid(Uuid::from_u128(self.number("a subscription")?.into())))
    }

    pub fn letter(&mut self) -> Result<DeadLetterId, Failure> {
        Ok(DeadLetterId::from_uuid(Uuid::from_u128(self.number("a dead letter")?.into())))
    }

    /// A secret that is called by a letter, which it consists of.
    pub fn secret(&mut self) -> Result<Secret, Failure> {
        let name = self.take("secret").ok_or("secret= is missing")?;
        Ok(format!("whsec_{}", name.repeat(32)).parse()?)
    }

    pub fn payment(&mut self) -> Result<PaymentId, Failure> {
        Ok(self.word("a payment")?.parse()?)
    }

    /// An amount as minor units and currency: `1999EUR`.
    pub fn amount(&mut self) -> Result<Option<Amount>, Failure> {
        let Some(text) = self.take("amount") else { return Ok(None) };
        let (units, currency) = text.split_at(text.len().saturating_sub(3));
        Ok(Some(Amount::new(number(units)?, currency.parse()?)?))
    }

    pub fn row(&mut self) -> Result<RowKey, Failure> {
        row(&self.word("a row")?)
    }

    /// Every `store/item=quantity`.
    pub fn lines(&mut self) -> Result<Vec<Line>, Failure> {
        let (lines, pairs) = self.pairs.drain(..).partition(|(key, _)| key.contains('/'));
        self.pairs = pairs;
        lines.into_iter().map(|(key, value): (String, String)| line(&key, &value)).collect()
    }
}

pub fn hold(number: u64) -> HoldId {
    HoldId::from_uuid(Uuid::from_u128(u128::from(number)))
}

pub fn order(number: u64) -> OrderId {
    OrderId::from_uuid(Uuid::from_u128(u128::from(number)))
}

fn line(key: &str, value: &str) -> Result<Line, Failure> {
    let RowKey { store, item } = row(key)?;
    Ok(Line { store, item, qty: quantity(value)? })
}

fn row(text: &str) -> Result<RowKey, Failure> {
    let (store, item) = text.split_once('/').ok_or("a row is store/item")?;
    Ok(RowKey { store: StoreId::new(store)?, item: ItemId::new(item)? })
}

/// A quantity; `max` is the largest.
fn quantity(text: &str) -> Result<Quantity, Failure> {
    Ok(Quantity::new(number(text)?)?)
}

/// A number; `max` is the largest total.
pub fn number(text: &str) -> Result<u64, Failure> {
    if text == "max" { Ok(holdfast_model::MAX_TOTAL) } else { Ok(text.parse()?) }
}

/// A time as a number of days, hours, minutes, seconds or milliseconds: `30d`, `24h`, `5m`, `60s`, `1500ms`.
pub fn millis(text: &str) -> Result<u64, Failure> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        other => return Err(format!("{other:?} is no unit of time").into()),
    };
    Ok(digits.parse::<u64>()? * unit)
}
