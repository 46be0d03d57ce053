//! Single reservations, all of one row, against the same spread over many.

use super::peers::{Peers, ROWS, holdfast_case, postgres_case};
use super::{Figures, Goal, Part};
use crate::failure::Result;
use crate::room::Room;
use crate::rounds::alternate;

/// Measures it.
pub async fn measure(room: &Room) -> Result<Figures> {
    let mut peers = Peers::start(room).await?;
    let cases = [
        holdfast_case("Holdfast hot", 1, 64),
        holdfast_case("Holdfast spread", ROWS, 64),
        postgres_case("PostgreSQL hot", "hot", 64),
        postgres_case("PostgreSQL spread", "spread", 64),
        postgres_case("PostgreSQL hot, 16", "hot", 16),
    ];
    let series = alternate(room.rounds, &mut peers, &cases).await?;
    let mut figures = Figures::new(Part::Hot, series, peers.check().await?);
    figures.compare("Holdfast hot", "Holdfast spread", Some(Goal::AtLeast(0.95)));
    figures.compare("PostgreSQL hot", "PostgreSQL spread", None);
    figures.compare("Holdfast hot", "PostgreSQL hot", None);
    figures.compare("Holdfast hot", "PostgreSQL hot, 16", None);
    Ok(figures)
}
