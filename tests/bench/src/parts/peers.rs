//! Holdfast and its peers side by side: what the parts that compare them share.

use futures_util::FutureExt;

use crate::etcd::Etcd;
use crate::failure::Result;
use crate::holdfast::Holdfast;
use crate::postgres::Postgres;
use crate::room::Room;
use crate::rounds::{Case, Sample, with_cpu};

/// Rows that work is spread over.
pub const ROWS: u64 = 10_000;

/// The three systems. They run at the same time, and are asked by turns.
pub struct Peers {
    /// Holdfast.
    pub holdfast: Holdfast,
    /// PostgreSQL.
    pub postgres: Postgres,
    /// etcd.
    pub etcd: Etcd,
}

impl Peers {
    /// Starts all of them.
    ///
    /// # Errors
    /// When one does not start.
    pub async fn start(room: &Room) -> Result<Self> {
        let holdfast = Holdfast::start(room, 0, ROWS).await?;
        let postgres = Postgres::start(room, ROWS).await?;
        Ok(Self { holdfast, postgres, etcd: Etcd::start(room, ROWS).await? })
    }

    /// Checks what each has done.
    ///
    /// # Errors
    /// When something that was acknowledged is missing, or something else is there.
    pub async fn check(&self) -> Result<Vec<String>> {
        Ok(vec![self.holdfast.check().await?, self.postgres.check()?, self.etcd.check().await?])
    }
}

/// Reservations of Holdfast's leader over so many rows and connections.
pub async fn reserve(holdfast: &mut Holdfast, rows: u64, connections: u64) -> Result<Sample> {
    let leader = holdfast.address(holdfast.leader);
    let load = holdfast.wrk(&leader, "reserve", rows, connections);
    let (ran, sample) = with_cpu(holdfast.processes(), load).await?;
    holdfast.count(&ran, connections);
    Ok(sample)
}

/// Rows looked at on a node.
pub async fn read(holdfast: &Holdfast, node: usize, kind: &str) -> Result<Sample> {
    let address = holdfast.address(node);
    Ok(with_cpu(holdfast.processes(), holdfast.wrk(&address, kind, ROWS, 64)).await?.1)
}

/// Holdfast's reservations as a case.
pub fn holdfast_case<'a>(name: &'static str, rows: u64, connections: u64) -> Case<'a, Peers> {
    Case::rate(name, move |peers: &mut Peers| reserve(&mut peers.holdfast, rows, connections).boxed_local())
}

/// A script of PostgreSQL as a case.
pub fn postgres_case<'a>(name: &'static str, script: &'static str, clients: u64) -> Case<'a, Peers> {
    Case::rate(name, move |peers: &mut Peers| {
        async move {
            let processes = peers.postgres.processes();
            Ok(with_cpu(processes, peers.postgres.load(script, clients)).await?.1)
        }
        .boxed_local()
    })
}

/// A kind of request to etcd as a case.
pub fn etcd_case<'a>(name: &'static str, kind: &'static str, connections: u64) -> Case<'a, Peers> {
    Case::rate(name, move |peers: &mut Peers| {
        async move {
            let processes = peers.etcd.processes();
            Ok(with_cpu(processes, peers.etcd.load(kind, connections)).await?.1)
        }
        .boxed_local()
    })
}
