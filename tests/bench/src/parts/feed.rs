//! Reservations while the feed is read: by nobody, by ten who take everything, and by a thousand for whom there is nothing.

use std::time::{Duration, Instant};

use futures_util::FutureExt;

use super::peers::{ROWS, reserve};
use super::{Figures, Goal, Part};
use crate::failure::{During, Result, fail};
use crate::holdfast::Holdfast;
use crate::room::Room;
use crate::rounds::{Case, Sample, Series, alternate};
use crate::subscribers::Subscribers;

const READERS: usize = 10;
const IDLE: usize = 1000;
/// How long readers may take to have the last record.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at how far readers are.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// Measures it.
pub async fn measure(room: &Room) -> Result<Figures> {
    let mut holdfast = Holdfast::start(room, 0, ROWS).await?;
    let cases = [
        Case::rate("no subscriber", |holdfast: &mut Holdfast| reserve(holdfast, ROWS, 64).boxed_local()),
        Case::rate("10 subscribers", |holdfast: &mut Holdfast| read_along(holdfast).boxed_local()),
        Case::rate("1,000 idle subscribers", |holdfast: &mut Holdfast| {
            async move {
                let path = "/feed?storeId=NOBODY";
                let _idle = Subscribers::start(&holdfast.address(holdfast.leader), path, IDLE).await?;
                reserve(holdfast, ROWS, 64).await
            }
            .boxed_local()
        }),
    ];
    let mut series = alternate(room.rounds, &mut holdfast, &cases).await?;
    series.push(lag(&series[1]));
    let mut figures = Figures::new(Part::Feed, series, vec![holdfast.check().await?]);
    figures.compare("10 subscribers", "no subscriber", None);
    figures.compare("1,000 idle subscribers", "no subscriber", Some(Goal::AtLeast(0.95)));
    Ok(figures)
}

async fn read_along(holdfast: &mut Holdfast) -> Result<Sample> {
    let address = holdfast.address(holdfast.leader);
    let readers = Subscribers::start(&address, "/feed", READERS).await?;
    let mut sample = reserve(holdfast, ROWS, 64).await?;
    let ended = Instant::now();
    let last = holdfast.status(holdfast.leader).await?["appliedSeq"].as_u64().during("a sequence")?;
    while readers.all_have() < last {
        if ended.elapsed() > PATIENCE {
            return fail(format!("a subscriber has {} of {last} records", readers.all_have()));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    sample.note("lagMs", ended.elapsed().as_secs_f64() * 1000.0);
    Ok(sample)
}

/// How long after the last reservation all had its record.
fn lag(read: &Series) -> Series {
    let lag = |sample: &Sample| Sample::of(sample.beside.get("lagMs").copied().unwrap_or_default());
    Series {
        samples: read.samples.iter().map(lag).collect(),
        ..Series::new("10 subscribers, lag at the end", "ms")
    }
}
