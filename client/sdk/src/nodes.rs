//! Which node is asked next: the leader while one is known, otherwise each in turn. The client calls it; nothing here
//! sends anything.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::Error;

/// The nodes of a cluster, and what is known of who leads.
#[derive(Debug)]
pub struct Nodes {
    endpoints: Vec<String>,
    leader: Mutex<Option<String>>,
    turn: AtomicUsize,
}

impl Nodes {
    /// Nodes at `endpoints`, each `host:port`; `http://` before it is accepted.
    ///
    /// # Errors
    /// When there is none, or one is not an address.
    pub fn new(endpoints: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, Error> {
        let endpoints =
            endpoints.into_iter().map(|text| address(text.as_ref())).collect::<Result<Vec<_>, _>>()?;
        if endpoints.is_empty() {
            return Err(Error::Invalid("no endpoint was given".to_owned()));
        }
        Ok(Self { endpoints, leader: Mutex::default(), turn: AtomicUsize::default() })
    }

    /// All of them.
    pub fn all(&self) -> &[String] {
        &self.endpoints
    }

    /// The one to ask now.
    pub fn target(&self) -> String {
        let leader = self.leader.lock().unwrap_or_else(PoisonError::into_inner).clone();
        leader.unwrap_or_else(|| {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            self.endpoints[turn % self.endpoints.len()].clone()
        })
    }

    /// A node said that `leader` leads.
    pub fn heard_of(&self, leader: &str) {
        let mut known = self.leader.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_deref() != Some(leader) {
            *known = Some(leader.to_owned());
        }
    }

    /// `node` did not take a request. What a node other than the known leader fails at says nothing about the leader.
    pub fn failed(&self, node: &str) {
        let mut known = self.leader.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_deref() == Some(node) {
            *known = None;
        }
    }
}

/// The address in a text.
///
/// # Errors
/// When it is not `host:port`.
pub fn address(text: &str) -> Result<String, Error> {
    let plain = text.trim();
    let plain = plain.strip_prefix("http://").unwrap_or(plain);
    let plain = plain.strip_suffix('/').unwrap_or(plain);
    let is_address = plain.rsplit_once(':').is_some_and(|(host, port)| {
        let is_host = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || "/@?#".contains(c));
        is_host && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    if is_address {
        Ok(plain.to_owned())
    } else {
        Err(Error::Invalid(format!("an endpoint must be host:port, such as 127.0.0.1:8082, got {text:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_host_and_port() {
        for (text, read) in [
            ("127.0.0.1:8082", "127.0.0.1:8082"),
            (" http://stock.example:80/ ", "stock.example:80"),
            ("[::1]:8082", "[::1]:8082"),
        ] {
            assert_eq!(address(text).unwrap(), read);
        }
        for bad in
            ["", "127.0.0.1", ":8082", "host:0", "host:70000", "https://host:1", "a b:1", "host:1/path"]
        {
            assert!(address(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_leader_is_asked_while_it_is_known_and_each_in_turn_otherwise() {
        let nodes = Nodes::new(["a:1", "b:2"]).unwrap();
        assert_eq!([nodes.target(), nodes.target(), nodes.target()], ["a:1", "b:2", "a:1"]);
        nodes.heard_of("c:3");
        nodes.failed("a:1");
        assert_eq!([nodes.target(), nodes.target()], ["c:3", "c:3"]);
        nodes.failed("c:3");
        assert_eq!(nodes.target(), "b:2");
    }

    #[test]
    fn a_client_without_nodes_is_not_made() {
        assert!(matches!(Nodes::new(Vec::<String>::new()), Err(Error::Invalid(_))));
    }
}
