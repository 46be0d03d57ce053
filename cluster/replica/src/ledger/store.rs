//! What a ledger is kept in: blocks by their first sequence, and a few notes. A seam for the simulator, which puts a
//! database below that loses and damages what it should keep.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use holdfast_model::Seq;

/// Blocks in order, or what went wrong with them.
pub type Blocks = Box<dyn Iterator<Item = io::Result<(Seq, Bytes)>> + Send>;

/// A database of blocks and notes. What was written may be lost in a crash until it was flushed, the newest first.
pub trait Store: Send + Sync {
    /// The block with the lowest sequence.
    ///
    /// # Errors
    /// When the database cannot be read.
    fn first(&self) -> io::Result<Option<(Seq, Bytes)>>;

    /// The last block that begins at or before `seq`.
    ///
    /// # Errors
    /// When the database cannot be read.
    fn upto(&self, seq: Seq) -> io::Result<Option<(Seq, Bytes)>>;

    /// Blocks that begin at `seq` or later, in order.
    fn from(&self, seq: Seq) -> Blocks;

    /// Puts a block there, in place of the one that begins with the same sequence.
    ///
    /// # Errors
    /// When the database cannot be written.
    fn insert(&self, first: Seq, block: &[u8]) -> io::Result<()>;

    /// Takes a block away.
    ///
    /// # Errors
    /// When the database cannot be written.
    fn remove(&self, first: Seq) -> io::Result<()>;

    /// A note.
    ///
    /// # Errors
    /// When the database cannot be read.
    fn note(&self, name: &str) -> io::Result<Option<Bytes>>;

    /// Writes notes, all of them or none.
    ///
    /// # Errors
    /// When the database cannot be written.
    fn put_notes(&self, notes: &[(&str, Vec<u8>)]) -> io::Result<()>;

    /// Makes everything durable. Blocks.
    ///
    /// # Errors
    /// What the file system says; it is never tried again.
    fn flush(&self) -> io::Result<()>;

    /// Bytes on disk.
    fn size_bytes(&self) -> u64;
}

/// Where a member's database is.
pub trait Place: Send + Sync {
    /// Opens the database, or makes one.
    ///
    /// # Errors
    /// Of a kind that says so when it is damaged (see `is_broken`), and of another when it may be whole.
    fn open(&self) -> io::Result<Arc<dyn Store>>;

    /// Moves a damaged database out of the way; returns where to.
    ///
    /// # Errors
    /// What the file system says.
    fn set_aside(&self) -> io::Result<String>;
}

/// Whether a database that did not open with `error` is damaged and can be rebuilt. Otherwise the disk may be full, or its
/// files may not be read.
pub fn is_broken(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, IsADirectory, NotADirectory, NotFound, UnexpectedEof};
    matches!(
        error.kind(),
        InvalidData | InvalidInput | IsADirectory | NotADirectory | NotFound | UnexpectedEof
    )
}
