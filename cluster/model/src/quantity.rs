//! How many of something: whole units, grams or millilitres.

use std::fmt;

use serde::{Deserialize, Serialize};

/// No quantity and no total passes this, so that every JSON reader can hold it: 2^53 − 1 (RFC 8259, section 6).
pub const MAX_TOTAL: u64 = (1 << 53) - 1;

/// A quantity that is outside 1 to [`MAX_TOTAL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a quantity must be a whole number from 1 to 9007199254740991, got {0}")]
pub struct QuantityError(pub u64);

/// A quantity of stock: 1 to [`MAX_TOTAL`], in the item's own smallest unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Quantity(u64);

impl Quantity {
    /// Checks `units`.
    ///
    /// # Errors
    /// When it is 0 or above [`MAX_TOTAL`].
    pub const fn new(units: u64) -> Result<Self, QuantityError> {
        if units == 0 || units > MAX_TOTAL { Err(QuantityError(units)) } else { Ok(Self(units)) }
    }

    /// The number of units.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl TryFrom<u64> for Quantity {
    type Error = QuantityError;
    fn try_from(units: u64) -> Result<Self, QuantityError> {
        Self::new(units)
    }
}

impl From<Quantity> for u64 {
    fn from(quantity: Quantity) -> u64 {
        quantity.0
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
