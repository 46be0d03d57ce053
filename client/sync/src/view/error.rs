//! Why a view cannot be used.

use std::io;

use holdfast_sdk::model::codec::CodecError;

/// Why a view cannot be read or moved on.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// It is damaged; it is to be built again.
    #[error("the view is damaged: {0}")]
    Damaged(String),
    /// It cannot be written, which building it again would not change: the disk may be full.
    #[error("the view cannot be written: {0}")]
    Blocked(String),
    /// What came does not follow from what is there: it is to be built again.
    #[error("the view does not fit the feed: {0}")]
    Unfit(String),
}

impl ViewError {
    pub(super) fn damaged(detail: impl Into<String>) -> Self {
        Self::Damaged(detail.into())
    }
}

impl From<CodecError> for ViewError {
    fn from(error: CodecError) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl From<sled::Error> for ViewError {
    fn from(error: sled::Error) -> Self {
        let text = format!("sled: {error}");
        if is_damage(&error) { Self::Damaged(text) } else { Self::Blocked(text) }
    }
}

/// Whether an error says that the files are not as they were written, and not that they cannot be reached.
fn is_damage(error: &sled::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, IsADirectory, NotADirectory, NotFound, UnexpectedEof};
    match error {
        sled::Error::Io(error) => matches!(
            error.kind(),
            InvalidData | InvalidInput | IsADirectory | NotADirectory | NotFound | UnexpectedEof
        ),
        _ => true,
    }
}

/// Why a database did not open as a view.
pub(super) enum Unopened {
    /// It is damaged, and can be built again.
    Broken(String),
    /// It may be whole: another process uses it, the disk is full, or its files may not be read.
    Blocked(String),
    /// Its building was interrupted.
    Unfinished,
}

impl Unopened {
    pub fn of(error: ViewError) -> Self {
        match error {
            ViewError::Damaged(text) | ViewError::Unfit(text) => Self::Broken(text),
            ViewError::Blocked(text) => Self::Blocked(text),
        }
    }
}
