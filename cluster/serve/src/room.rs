//! Memory that many requests share: who finds no room is refused, rather than that the process grows.

use std::sync::Arc;

use axum::body::{Body, Bytes, HttpBody};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Room is given in pieces of this size, in bytes, so that a permit counts more than a body has.
const PIECE_BYTES: usize = 1 << 10;

/// A body is read into a buffer that is first as large as the body is said to be, up to this, in bytes: what is only
/// said takes no memory.
const FIRST_BYTES: usize = 64 << 10;

/// Room for so many bytes. Cheap to clone: a handle.
#[derive(Debug, Clone)]
pub struct Room(Arc<Semaphore>);

/// Room that is taken until this is dropped.
#[derive(Debug)]
pub struct Held(Option<OwnedSemaphorePermit>);

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    /// It is longer than it may be.
    TooLong,
    /// It ended too early.
    CutShort,
    /// There is no room for it now.
    NoRoom,
}

impl Room {
    /// Room for `bytes`.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes / PIECE_BYTES)))
    }

    /// Takes room for `bytes`; none when there is not as much.
    #[must_use]
    pub fn take(&self, bytes: usize) -> Option<Held> {
        let pieces = u32::try_from(bytes.div_ceil(PIECE_BYTES)).ok()?;
        self.0.clone().try_acquire_many_owned(pieces).ok().map(|permit| Held(Some(permit)))
    }

    /// Reads a body of up to `max_bytes`. It takes room as it comes, and keeps it until what is returned with it is
    /// dropped.
    ///
    /// # Errors
    /// When it is too long, ends too early, or there is no room.
    pub async fn read(&self, mut body: Body, max_bytes: usize) -> Result<(Bytes, Held), Unread> {
        let told = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        if told > max_bytes {
            return Err(Unread::TooLong);
        }
        let mut held = Held(None);
        let (mut only, mut rest) = (Bytes::new(), Vec::new());
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| Unread::CutShort)?.into_data() else { continue };
            let length = only.len() + rest.len() + data.len();
            if length > max_bytes {
                return Err(Unread::TooLong);
            }
            held.grow(self, length).ok_or(Unread::NoRoom)?;
            if only.is_empty() && rest.is_empty() {
                // Most bodies come in one piece, which is not copied.
                only = data;
                continue;
            }
            if rest.is_empty() {
                rest.reserve(told.min(FIRST_BYTES).max(length));
                rest.extend_from_slice(&std::mem::take(&mut only));
            }
            rest.extend_from_slice(&data);
        }
        Ok((if rest.is_empty() { only } else { rest.into() }, held))
    }
}

impl Held {
    /// Makes it as much as `bytes` need; none when there is no room for that.
    fn grow(&mut self, room: &Room, bytes: usize) -> Option<()> {
        let has = self.0.as_ref().map_or(0, |permit| permit.num_permits() * PIECE_BYTES);
        let Held(more) = room.take(bytes.saturating_sub(has))?;
        match (&mut self.0, more) {
            (Some(held), Some(more)) => held.merge(more),
            (held @ None, more) => *held = more,
            (Some(_), None) => {}
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn chunks(count: usize, bytes: usize) -> Body {
        let chunk = Bytes::from(vec![7; bytes]);
        Body::from_stream(stream::iter((0..count).map(move |_| Ok::<_, std::io::Error>(chunk.clone()))))
    }

    #[tokio::test]
    async fn a_body_is_read_whole_and_its_room_given_back() {
        let room = Room::new(10 << 10);
        for (count, bytes) in [(0, 0), (1, 10), (3, 1000), (10, 1024), (5000, 1)] {
            let (read, held) = room.read(chunks(count, bytes), 10 << 10).await.unwrap();
            assert_eq!(read, vec![7; count * bytes]);
            drop(held);
            assert!(room.take(10 << 10).is_some(), "{count} chunks of {bytes}");
        }
    }

    #[tokio::test]
    async fn what_is_too_long_finds_no_room_or_breaks_off_is_refused_and_keeps_nothing() {
        let room = Room::new(4 << 10);
        let broken = stream::iter([Ok(Bytes::from_static(b"x")), Err(std::io::Error::other("gone"))]);
        assert_eq!(room.read(chunks(3, 1000), 2999).await.unwrap_err(), Unread::TooLong);
        assert_eq!(room.read(Body::from(vec![0; 3000]), 2999).await.unwrap_err(), Unread::TooLong);
        assert_eq!(room.read(chunks(5, 1000), 1 << 20).await.unwrap_err(), Unread::NoRoom);
        assert_eq!(room.read(Body::from_stream(broken), 100).await.unwrap_err(), Unread::CutShort);
        let (_, held) = room.read(chunks(3, 1024), 1 << 20).await.unwrap();
        assert_eq!(room.read(chunks(2, 1024), 1 << 20).await.unwrap_err(), Unread::NoRoom);
        drop(held);
        assert!(room.take(4 << 10).is_some());
    }
}
