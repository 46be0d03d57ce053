//! Client of a Holdfast cluster.
//!
//! It asks once who leads and then talks to the leader; it finds the next one when that dies, and tries again only what
//! is safe to repeat. Every change carries an id or an idempotency key that it keeps over retries, so a change that was
//! sent twice has one effect.

mod calls;
mod client;
mod error;
mod pages;

pub use client::{Client, Options};
pub use error::Error;
pub use holdfast_api as api;
pub use holdfast_model as model;
