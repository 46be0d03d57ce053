//! Every bound on what clients may cost, with its unit and its reason.

use std::time::Duration;

/// Connections at the same time, unless it is set: more than the readers of a feed, and at the size of
/// [`MAX_HEAD_BYTES`] and its buffers less than 400 MiB when every one of them is abused.
pub const DEFAULT_CONNECTIONS: usize = 8192;

/// The most connections that can be set: each takes a descriptor, and no process has more by default.
pub const MAX_CONNECTIONS: usize = 1_000_000;

/// The line and the headers of a request may have as many bytes: the longest ids, keys and cursors take 2 KiB.
pub const MAX_HEAD_BYTES: usize = 32 << 10;

/// A connection is closed when its reader has taken nothing for as long, unless it is set otherwise.
pub const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Bodies that are being read or worked on, and what is made of them where that can be much more, may have as many bytes
/// together: some of the largest batches.
pub const BODIES_BYTES: usize = 256 << 20;

/// Answers above 16 KiB that are being sent may have as many bytes together: some dozens of the largest
/// pages, whose readers may be slow.
pub const ANSWERS_BYTES: usize = 128 << 20;

/// Answers up to this many bytes are sent whatever else is being sent: there is one for each connection at most, and it
/// fits into the buffers that a connection has anyway.
pub const SMALL_ANSWER_BYTES: u64 = 16 << 10;

/// How long a connection whose last answer was given before everything was read is read further: what is still on its way
/// would break the connection off, and the answer with it.
pub const LINGER: Duration = Duration::from_secs(5);

/// It is not read further when nothing has come for as long.
pub const LINGER_SILENCE: Duration = Duration::from_secs(1);

/// It is not read further than this either, in bytes: as much as the largest body.
pub const LINGER_BYTES: usize = 64 << 20;

/// Connections beyond the limit that are told so at the same time; the others are closed without a word.
pub const TURNED_AWAY_AT_ONCE: usize = 64;

/// How long one that is turned away may take to read why.
pub const TURNED_AWAY_WITHIN: Duration = Duration::from_secs(1);

/// It is logged once in as long that connections are turned away.
pub const TOLD_EVERY: Duration = Duration::from_secs(10);

/// How long a pause is when no connection can be accepted: time for those that are open to end.
pub const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// The bounds that are settings.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at the same time.
    pub connections: usize,
    /// How long a reader may take nothing.
    pub stall: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: DEFAULT_CONNECTIONS, stall: STALL_TIMEOUT }
    }
}
