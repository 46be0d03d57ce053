//! How clients' connections are taken, by the node and by the services: so many, each for so long, and for so much memory.
//! Whoever holds on to one, sends without end or never reads costs a known amount, and keeps nobody else from being
//! served.
//!
//! It knows nothing of what is served, and no bound is anywhere but in `limits`.

mod answers;
mod descriptors;
mod door;
mod limits;
mod room;
mod stall;
mod turned_away;

pub use descriptors::{RESERVED_DESCRIPTORS, connections_within_reach};
pub use door::{listen, serve};
pub use limits::{
    ANSWERS_BYTES, BODIES_BYTES, DEFAULT_CONNECTIONS, Limits, MAX_CONNECTIONS, MAX_HEAD_BYTES, STALL_TIMEOUT,
};
pub use room::{Held, Room, Unread};
