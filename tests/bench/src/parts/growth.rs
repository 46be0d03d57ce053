//! Many rows against few: throughput, memory, bytes on disk, and how long a restart takes.

use std::fs;
use std::path::Path;
use std::time::Instant;

use futures_util::FutureExt;

use super::peers::{ROWS, reserve};
use super::{Figures, Goal, Part};
use crate::failure::{During, Result};
use crate::holdfast::Holdfast;
use crate::process::resident_bytes;
use crate::room::Room;
use crate::rounds::{Case, Sample, Series, alternate};

/// A cluster with few rows and one with many.
struct Two {
    few: Holdfast,
    many: Holdfast,
}

/// Measures it.
pub async fn measure(room: &Room) -> Result<Figures> {
    let few = Holdfast::start(room, 0, ROWS).await?;
    let many = Holdfast::start(room, 1, room.growth_rows).await?;
    let mut two = Two { few, many };
    let mut single = vec![memory_per_row(&two, room.growth_rows)?];
    let before = Footprint::of(&two.few)?;
    let cases = [
        Case::rate("few rows", |two: &mut Two| reserve(&mut two.few, ROWS, 64).boxed_local()),
        Case::rate("many rows", |two: &mut Two| {
            let rows = room.growth_rows;
            reserve(&mut two.many, rows, 64).boxed_local()
        }),
    ];
    let rates = alternate(room.rounds, &mut two, &cases).await?;
    let after = Footprint::of(&two.few)?;
    single.extend(after.since(&before));
    let began = Instant::now();
    two.many.restart().await?;
    single.push(one("restart with many rows and all holds", "ms", began.elapsed().as_secs_f64() * 1000.0));
    let checks = vec![two.few.check().await?, two.many.check().await?];
    let mut figures = Figures::new(Part::Growth, rates.into_iter().chain(single).collect(), checks);
    figures.compare("many rows", "few rows", Some(Goal::AtLeast(0.8)));
    figures.hold("memory for a row", Goal::AtMost(150.0));
    figures.hold("memory for an open hold", Goal::AtMost(250.0));
    figures.hold("disk for a reservation, leader", Goal::AtMost(300.0));
    figures.hold("restart with many rows and all holds", Goal::AtMost(15_000.0));
    Ok(figures)
}

fn one(name: &str, unit: &'static str, value: f64) -> Series {
    Series { samples: vec![Sample::of(value)], ..Series::new(name, unit) }
}

/// What the second cluster's leader has more than the first one's, for each row that it has more.
fn memory_per_row(two: &Two, rows: u64) -> Result<Series> {
    let resident = |cluster: &Holdfast| cluster.pid(cluster.leader).map(resident_bytes).during("a leader");
    let more = resident(&two.many)?.saturating_sub(resident(&two.few)?);
    Ok(one("memory for a row", "bytes", more as f64 / rows.saturating_sub(ROWS).max(1) as f64))
}

/// What a leader takes at a time.
struct Footprint {
    reservations: u64,
    memory: u64,
    disk: u64,
}

impl Footprint {
    fn of(cluster: &Holdfast) -> Result<Self> {
        let memory = cluster.pid(cluster.leader).map(resident_bytes).during("a leader")?;
        let disk = bytes_under(&cluster.node_dir(cluster.leader))?;
        Ok(Self { reservations: cluster.acknowledged, memory, disk })
    }

    fn since(&self, before: &Self) -> Vec<Series> {
        let reservations = (self.reservations - before.reservations).max(1) as f64;
        let each = |after: u64, before: u64| after.saturating_sub(before) as f64 / reservations;
        vec![
            one("memory for an open hold", "bytes", each(self.memory, before.memory)),
            one("disk for a reservation, leader", "bytes", each(self.disk, before.disk)),
        ]
    }
}

/// Bytes of all files in a directory, as they are allotted.
fn bytes_under(dir: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for entry in fs::read_dir(dir).during(dir.display())?.flatten() {
        // One that was removed a moment ago takes nothing.
        let Ok(metadata) = entry.metadata() else { continue };
        bytes += if metadata.is_dir() { bytes_under(&entry.path())? } else { metadata.blocks() * 512 };
    }
    Ok(bytes)
}
