//! Orders and their payments, in the words that commands, events and views share.

use std::fmt;
use std::str::FromStr;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{MAX_TOTAL, PaymentId};

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum OrderStatus {
    /// Its hold reserves the goods; the buyer may pay.
    Placed,
    /// A payment was accepted, and the goods are sold.
    Paid,
    /// It was taken back before it was paid.
    Cancelled,
    /// Its hold was over before it was paid.
    Expired,
}

impl OrderStatus {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Placed, Self::Paid, Self::Cancelled, Self::Expired];
}

/// How a payment went, as its provider says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PaymentOutcome {
    /// The money came in.
    Succeeded,
    /// It did not; the buyer may try again.
    Failed,
}

/// What became of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PaymentState {
    /// The money did not come in.
    Failed,
    /// The goods were sold for it.
    Accepted,
    /// The money came in, and there was nothing to sell for it: it is owed to the buyer.
    RefundDue,
    /// What was owed was given back.
    Refunded,
}

/// A payment of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// The provider's id of it.
    pub id: PaymentId,
    /// What became of it.
    pub state: PaymentState,
    /// How much it was, where that was said. It decides nothing.
    pub amount: Option<Amount>,
}

/// An amount of money, as the payment's provider tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "(u64, Currency)", into = "(u64, Currency)")]
pub struct Amount {
    minor_units: u64,
    currency: Currency,
}

/// An amount above [`MAX_TOTAL`] minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an amount must be 0 to 9007199254740991 minor units, got {0}")]
pub struct AmountError(pub u64);

impl Amount {
    /// So many of a currency's minor units, such as cents.
    ///
    /// # Errors
    /// When there are more than [`MAX_TOTAL`].
    pub const fn new(minor_units: u64, currency: Currency) -> Result<Self, AmountError> {
        if minor_units > MAX_TOTAL {
            Err(AmountError(minor_units))
        } else {
            Ok(Self { minor_units, currency })
        }
    }

    /// How many of the currency's minor units.
    #[must_use]
    pub const fn minor_units(self) -> u64 {
        self.minor_units
    }

    /// The currency.
    #[must_use]
    pub const fn currency(self) -> Currency {
        self.currency
    }
}

impl TryFrom<(u64, Currency)> for Amount {
    type Error = AmountError;
    fn try_from((minor_units, currency): (u64, Currency)) -> Result<Self, AmountError> {
        Self::new(minor_units, currency)
    }
}

impl From<Amount> for (u64, Currency) {
    fn from(amount: Amount) -> (u64, Currency) {
        (amount.minor_units, amount.currency)
    }
}

/// A currency by its code of three capital letters (ISO 4217).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// A text that is no currency's code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a currency must be three capital letters, such as EUR")]
pub struct CurrencyError;

impl Currency {
    /// The code.
    ///
    /// # Panics
    /// Never: its constructor takes capital letters alone.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("three capital letters")
    }
}

impl FromStr for Currency {
    type Err = CurrencyError;
    fn from_str(text: &str) -> Result<Self, CurrencyError> {
        let code: [u8; 3] = text.as_bytes().try_into().map_err(|_| CurrencyError)?;
        if code.iter().all(u8::is_ascii_uppercase) { Ok(Self(code)) } else { Err(CurrencyError) }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;

    #[test]
    fn an_amount_is_checked_when_it_is_made_and_when_it_is_read() {
        let euro: Currency = "EUR".parse().unwrap();
        let amount = Amount::new(1999, euro).unwrap();
        assert_eq!(codec::decode::<Amount>(&codec::encode(&amount)).unwrap(), amount);
        assert_eq!(Amount::new(MAX_TOTAL + 1, euro), Err(AmountError(MAX_TOTAL + 1)));
        assert!(codec::decode::<Amount>(&codec::encode(&(MAX_TOTAL + 1, "EUR"))).is_err());
        for bad in ["", "eur", "EURO", "E1R", "€"] {
            assert!(bad.parse::<Currency>().is_err(), "{bad:?}");
            assert!(codec::decode::<Amount>(&codec::encode(&(1_u64, bad))).is_err(), "{bad:?}");
        }
    }
}
