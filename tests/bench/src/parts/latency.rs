//! Latency: of one connection, and of requests at fixed times that ask for half of what is possible.

use futures_util::FutureExt;

use super::peers::{Peers, ROWS, reserve};
use super::{Figures, Goal, Part};
use crate::failure::Result;
use crate::load::holdfast_bench;
use crate::room::Room;
use crate::rounds::{Case, Sample, Series, alternate, with_cpu};

/// Connections at half load: more than are ever busy, so that none waits for another.
const OPEN: &str = "256";

/// The latency that a load saw, as the figure itself.
fn latency(quantile: &str, sample: Sample) -> Sample {
    let value = sample.beside.get(quantile).copied().unwrap_or_default();
    let mut latency = Sample { value, ..sample.clone() };
    latency.note("perSecond", sample.value);
    latency
}

/// Measures it.
pub async fn measure(room: &Room) -> Result<Figures> {
    let mut peers = Peers::start(room).await?;
    let cases = [
        Case::millis("Holdfast, one connection, p50", |peers: &mut Peers| {
            async move { Ok(latency("p50Ms", reserve(&mut peers.holdfast, ROWS, 1).await?)) }.boxed_local()
        }),
        Case::millis("etcd put, one connection, p50", |peers: &mut Peers| {
            async move { Ok(latency("p50Ms", Sample::rate(&peers.etcd.load("put", 1).await?))) }.boxed_local()
        }),
        Case::millis("etcd swap, one connection, p50", |peers: &mut Peers| {
            async move { Ok(latency("p50Ms", Sample::rate(&peers.etcd.load("swap", 1).await?))) }
                .boxed_local()
        }),
        Case::millis("PostgreSQL, one client, mean", |peers: &mut Peers| {
            async move { Ok(latency("p50Ms", Sample::rate(&peers.postgres.load("spread", 1).await?))) }
                .boxed_local()
        }),
        Case::millis("Holdfast, half load, p99", |peers: &mut Peers| half_load(peers).boxed_local()),
    ];
    let mut series = alternate(room.rounds, &mut peers, &cases).await?;
    series.push(median_of(&series[4]));
    let mut figures = Figures::new(Part::Latency, series, peers.check().await?);
    let one = "Holdfast, one connection, p50";
    figures.compare(one, "etcd put, one connection, p50", Some(Goal::AtMost(1.0)));
    figures.compare(one, "etcd swap, one connection, p50", None);
    figures.compare(one, "PostgreSQL, one client, mean", None);
    figures.hold("Holdfast, half load, p99", Goal::AtMost(5.0));
    Ok(figures)
}

/// Half of what the same client reaches in a closed loop just before.
async fn half_load(peers: &mut Peers) -> Result<Sample> {
    let holdfast = &mut peers.holdfast;
    let seconds = "1";
    let closed = holdfast.command(&["bench", "reserve", "--connections", "64", "--seconds", seconds]);
    let closed = holdfast_bench(closed).await?.checked("closed loop")?;
    holdfast.count(&closed, 0);
    let rate = format!("{:.0}", (closed.per_second() / 2.0).max(1.0));
    let open = ["bench", "reserve", "--connections", OPEN, "--seconds", "3", "--rate", &rate];
    let load = async { holdfast_bench(holdfast.command(&open)).await?.checked("open loop") };
    let (ran, sample) = with_cpu(holdfast.processes(), load).await?;
    holdfast.count(&ran, 0);
    Ok(latency("p99Ms", sample))
}

/// The medians beside the 99th percentiles.
fn median_of(tail: &Series) -> Series {
    let median = |sample: &Sample| Sample::of(sample.beside.get("p50Ms").copied().unwrap_or_default());
    Series {
        samples: tail.samples.iter().map(median).collect(),
        ..Series::new("Holdfast, half load, p50", "ms")
    }
}
