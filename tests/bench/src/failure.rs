//! Why a measurement could not be made, in one line.

use std::fmt;

/// What a step of the benchmark ends with.
pub type Result<T> = std::result::Result<T, Failure>;

/// Why it did not succeed.
#[derive(Debug)]
pub struct Failure(pub String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A failure with these words.
pub fn fail<T>(text: impl Into<String>) -> Result<T> {
    Err(Failure(text.into()))
}

/// Says what was being done when something failed.
pub trait During<T> {
    /// The value, or `what` and the reason.
    ///
    /// # Errors
    /// When there is no value.
    fn during(self, what: impl fmt::Display) -> Result<T>;
}

impl<T, E: fmt::Display> During<T> for std::result::Result<T, E> {
    fn during(self, what: impl fmt::Display) -> Result<T> {
        self.map_err(|error| Failure(format!("{what}: {error}")))
    }
}

impl<T> During<T> for Option<T> {
    fn during(self, what: impl fmt::Display) -> Result<T> {
        self.ok_or_else(|| Failure(format!("{what}: there is nothing")))
    }
}
