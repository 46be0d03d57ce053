//! Many reservations a request, in the compact encoding and as JSON, against PostgreSQL's single ones.

use futures_util::FutureExt;

use super::peers::ROWS;
use super::{Figures, Goal, Part};
use crate::failure::Result;
use crate::holdfast::Holdfast;
use crate::load::holdfast_bench;
use crate::postgres::Postgres;
use crate::room::Room;
use crate::rounds::{Case, Sample, Series, alternate, with_cpu};

const SIZES: [u64; 2] = [1000, 8000];
const CLIENTS: [u64; 2] = [1, 4];

/// Both systems: Holdfast's cluster is a new one in each round, so that the holds of millions of commands do not add up.
struct Both {
    holdfast: Holdfast,
    postgres: Postgres,
}

/// Measures it.
pub async fn measure(room: &Room) -> Result<Figures> {
    // A second is enough for half a million commands.
    let room = Room { seconds: 1, ..room.clone() };
    let mut servers = Both {
        holdfast: Holdfast::start(&room, 0, ROWS).await?,
        postgres: Postgres::start(&room, ROWS).await?,
    };
    let mut cases = vec![Case::rate("PostgreSQL, 64", |servers: &mut Both| {
        async move {
            let processes = servers.postgres.processes();
            Ok(with_cpu(processes, servers.postgres.load("spread", 64)).await?.1)
        }
        .boxed_local()
    })];
    for (place, (size, clients)) in SIZES.into_iter().flat_map(|size| CLIENTS.map(|c| (size, c))).enumerate()
    {
        let [compact_name, json_name] = NAMES[place];
        cases.push(Case::rate(compact_name, move |servers: &mut Both| {
            compact(&mut servers.holdfast, size, clients).boxed_local()
        }));
        cases.push(Case::rate(json_name, move |servers: &mut Both| {
            json(&mut servers.holdfast, size, clients).boxed_local()
        }));
    }
    let mut all: Vec<Series> = Vec::new();
    let mut check = String::new();
    for round in 0..room.rounds {
        if round > 0 {
            servers.holdfast = Holdfast::start(&room, u8::from(round % 2 == 1), ROWS).await?;
        }
        merge(&mut all, alternate(1, &mut servers, &cases).await?);
        check = servers.holdfast.check().await?;
    }
    let mut figures = Figures::new(Part::Batch, all, vec![check, servers.postgres.check()?]);
    for [compact, json] in NAMES {
        figures.compare(compact, "PostgreSQL, 64", Some(Goal::AtLeast(45.0)));
        figures.compare(json, compact, Some(Goal::AtLeast(0.6)));
    }
    Ok(figures)
}

/// Names of the cases, by size and then by clients.
const NAMES: [[&str; 2]; 4] = [
    ["1,000 by 1 client, bincode", "1,000 by 1 client, JSON"],
    ["1,000 by 4 clients, bincode", "1,000 by 4 clients, JSON"],
    ["8,000 by 1 client, bincode", "8,000 by 1 client, JSON"],
    ["8,000 by 4 clients, bincode", "8,000 by 4 clients, JSON"],
];

/// From the sdk.
async fn compact(holdfast: &mut Holdfast, size: u64, clients: u64) -> Result<Sample> {
    let (size, connections) = (size.to_string(), clients.to_string());
    let arguments = ["bench", "batch", "--size", &size, "--connections", &connections, "--seconds", "1"];
    let load = async { holdfast_bench(holdfast.command(&arguments)).await?.checked("batch") };
    let (ran, sample) = with_cpu(holdfast.processes(), load).await?;
    holdfast.count(&ran, 0);
    Ok(sample)
}

/// From wrk, which sends the same few bodies again and again: the leader makes the ids.
async fn json(holdfast: &mut Holdfast, size: u64, clients: u64) -> Result<Sample> {
    let leader = holdfast.address(holdfast.leader);
    let load = holdfast.wrk_of_size(&leader, "batch", ROWS, clients, size);
    let (ran, sample) = with_cpu(holdfast.processes(), load).await?;
    holdfast.count(&ran, clients * size);
    Ok(sample)
}

fn merge(all: &mut Vec<Series>, round: Vec<Series>) {
    if all.is_empty() {
        *all = round;
        return;
    }
    for (series, more) in all.iter_mut().zip(round) {
        series.samples.extend(more.samples);
    }
}
