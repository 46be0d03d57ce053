//! Reservations through the order service, against the same sent to the leader itself.

use futures_util::FutureExt;

use super::peers::{ROWS, reserve};
use super::{Figures, Goal, Part};
use crate::failure::Result;
use crate::holdfast::Holdfast;
use crate::room::Room;
use crate::rounds::{Case, alternate, with_cpu};

const CONNECTIONS: u64 = 64;

/// Measures it.
pub async fn measure(room: &Room) -> Result<Figures> {
    let mut holdfast = Holdfast::start(room, 0, ROWS).await?;
    let order = holdfast.start_order().await?;
    let cases = [
        Case::rate("order service", |holdfast: &mut Holdfast| {
            let order = order.clone();
            async move {
                let load = holdfast.wrk(&order, "reserve", ROWS, CONNECTIONS);
                let (ran, sample) = with_cpu(holdfast.processes(), load).await?;
                holdfast.count(&ran, CONNECTIONS);
                Ok(sample)
            }
            .boxed_local()
        }),
        Case::rate("leader", |holdfast: &mut Holdfast| reserve(holdfast, ROWS, CONNECTIONS).boxed_local()),
    ];
    let series = alternate(room.rounds, &mut holdfast, &cases).await?;
    let mut figures = Figures::new(Part::Order, series, vec![holdfast.check().await?]);
    figures.compare("order service", "leader", Some(Goal::AtLeast(0.5)));
    Ok(figures)
}
