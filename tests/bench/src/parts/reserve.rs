//! Single reservations, spread over ten thousand rows.

use futures_util::FutureExt;

use super::peers::{Peers, ROWS, etcd_case, holdfast_case, postgres_case, read};
use super::{Figures, Goal, Part};
use crate::failure::Result;
use crate::room::Room;
use crate::rounds::{Case, alternate};

/// Measures it.
pub async fn measure(room: &Room) -> Result<Figures> {
    let mut peers = Peers::start(room).await?;
    let cases = [
        holdfast_case("Holdfast, 64", ROWS, 64),
        postgres_case("PostgreSQL, 64", "spread", 64),
        etcd_case("etcd put, 64", "put", 64),
        etcd_case("etcd swap, 64", "swap", 64),
        Case::rate("Holdfast local read, 64", |peers: &mut Peers| {
            let holdfast = &peers.holdfast;
            read(holdfast, holdfast.leader, "local").boxed_local()
        }),
        holdfast_case("Holdfast, 256", ROWS, 256),
        holdfast_case("Holdfast, 1024", ROWS, 1024),
        postgres_case("PostgreSQL, 16", "spread", 16),
        etcd_case("etcd put, 256", "put", 256),
        etcd_case("etcd swap, 256", "swap", 256),
    ];
    let series = alternate(room.rounds, &mut peers, &cases).await?;
    let mut figures = Figures::new(Part::Reserve, series, peers.check().await?);
    figures.compare("Holdfast, 64", "PostgreSQL, 64", Some(Goal::AtLeast(5.0)));
    figures.compare("Holdfast, 64", "PostgreSQL, 16", None);
    figures.compare("Holdfast, 64", "etcd put, 64", Some(Goal::AtLeast(7.0)));
    figures.compare("Holdfast, 64", "etcd swap, 64", None);
    figures.compare("Holdfast, 64", "Holdfast local read, 64", Some(Goal::AtLeast(0.5)));
    figures.compare("Holdfast, 256", "Holdfast, 64", Some(Goal::AtLeast(1.2)));
    figures.compare("Holdfast, 1024", "Holdfast, 64", Some(Goal::AtLeast(1.0)));
    figures.compare("Holdfast, 256", "etcd put, 256", None);
    figures.compare("Holdfast, 256", "etcd swap, 256", None);
    Ok(figures)
}
