//! Rows that are looked at: up to date on the leader and on a follower, as a node has them, and as the peers give them.

use futures_util::FutureExt;

use super::peers::{Peers, etcd_case, postgres_case, read};
use super::{Figures, Goal, Part};
use crate::failure::Result;
use crate::room::Room;
use crate::rounds::{Case, alternate};

/// Measures it.
pub async fn measure(room: &Room) -> Result<Figures> {
    let mut peers = Peers::start(room).await?;
    let cases = [
        Case::rate("Holdfast leader", |peers: &mut Peers| {
            read(&peers.holdfast, peers.holdfast.leader, "linearizable").boxed_local()
        }),
        Case::rate("Holdfast follower", |peers: &mut Peers| {
            read(&peers.holdfast, peers.holdfast.follower(), "linearizable").boxed_local()
        }),
        Case::rate("Holdfast local", |peers: &mut Peers| {
            read(&peers.holdfast, peers.holdfast.leader, "local").boxed_local()
        }),
        etcd_case("etcd linearizable", "range", 64),
        postgres_case("PostgreSQL primary", "read", 64),
    ];
    let series = alternate(room.rounds, &mut peers, &cases).await?;
    let mut figures = Figures::new(Part::Read, series, peers.check().await?);
    figures.compare("Holdfast leader", "Holdfast local", Some(Goal::AtLeast(0.7)));
    figures.compare("Holdfast leader", "etcd linearizable", Some(Goal::AtLeast(5.0)));
    figures.compare("Holdfast follower", "Holdfast leader", Some(Goal::AtLeast(0.5)));
    figures.compare("Holdfast leader", "PostgreSQL primary", None);
    Ok(figures)
}
