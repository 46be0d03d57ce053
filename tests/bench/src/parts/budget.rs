//! What a reservation costs along its way: processor time, bytes and calls of the kernel, on the leader, a follower and the
//! load. Counting the calls slows them down, so they are counted in runs of their own.

use std::path::PathBuf;

use tokio::process::Command;

use super::peers::{ROWS, reserve};
use super::{Figures, Part};
use crate::failure::{During, Result, fail};
use crate::holdfast::Holdfast;
use crate::load::holdfast_bench;
use crate::room::Room;
use crate::rounds::{Sample, Series, tell};

const CONNECTIONS: u64 = 64;
/// What perf counts, and what it is called here.
const EVENTS: [(&str, &str); 2] =
    [("raw_syscalls:sys_enter", "system calls"), ("context-switches", "context switches")];

/// Series by name, in the order in which they came up.
#[derive(Default)]
struct Book(Vec<Series>);

impl Book {
    fn note(&mut self, round: usize, name: &str, unit: &'static str, value: f64) {
        let place = self.0.iter().position(|series| series.name == name).unwrap_or_else(|| {
            self.0.push(Series::new(name, unit));
            self.0.len() - 1
        });
        let sample = Sample::of(value);
        tell(round, &self.0[place], &sample);
        self.0[place].samples.push(sample);
    }
}

/// Measures it.
pub async fn measure(room: &Room) -> Result<Figures> {
    let mut holdfast = Holdfast::start(room, 0, ROWS).await?;
    let mut book = Book::default();
    let mut counts = "system calls and context switches: by perf, in runs of their own".to_owned();
    for round in 0..room.rounds {
        costs(&mut holdfast, round, &mut book).await?;
        if let Err(failure) = calls(&mut holdfast, room, round, &mut book).await {
            counts = format!("system calls were not counted: {failure}");
        }
    }
    Ok(Figures::new(Part::Budget, book.0, vec![counts, holdfast.check().await?]))
}

/// Processor time, bytes and commands in an entry.
async fn costs(holdfast: &mut Holdfast, round: usize, book: &mut Book) -> Result<()> {
    let other = other_load(holdfast).await?;
    let before = Counters::of(holdfast).await?;
    let sample = reserve(holdfast, ROWS, CONNECTIONS).await?;
    let after = Counters::of(holdfast).await?;
    let seen = |name: &str| sample.beside.get(name).copied().unwrap_or_default();
    let (leader, follower, load) = (seen("leaderMicros"), seen("followerMicros"), seen("loadMicros"));
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    book.note(round, "leader", "µs", leader);
    book.note(round, "each follower", "µs", follower);
    book.note(round, "load (wrk)", "µs", load);
    book.note(round, "load (holdfast bench)", "µs", other);
    book.note(round, "sum: leader, 2 followers, load", "µs", leader + 2.0 * follower + load);
    book.note(round, "all cores, for each reservation", "µs", cores * 1e6 / sample.value);
    let commands = (after.seq - before.seq).max(1) as f64;
    let each = |after: u64, before: u64| after.saturating_sub(before) as f64 / commands;
    book.note(round, "reservations in an entry", "", commands / (after.index - before.index).max(1) as f64);
    // A snapshot in between may have cut the log.
    if before.snapshot == after.snapshot {
        book.note(round, "log, each node", "bytes", each(after.log, before.log));
    }
    book.note(round, "ledger, each node", "bytes", each(after.ledger, before.ledger));
    // A connection that was made anew counts from 0.
    if let (Some(before), Some(after)) = (before.sent, after.sent)
        && before < after
    {
        book.note(round, "leader to both followers", "bytes", each(after, before));
    }
    book.note(round, "answer to the client", "bytes", seen("answerBytes"));
    Ok(())
}

/// Processor time that `holdfast bench` takes for a request in a closed loop.
async fn other_load(holdfast: &mut Holdfast) -> Result<f64> {
    let connections = CONNECTIONS.to_string();
    let command = holdfast.command(&["bench", "reserve", "--connections", &connections, "--seconds", "2"]);
    let ran = holdfast_bench(command).await?.checked("holdfast bench")?;
    holdfast.count(&ran, 0);
    Ok(ran.cpu_micros as f64 / ran.ok as f64)
}

/// What the leader has counted.
struct Counters {
    seq: u64,
    index: u64,
    snapshot: u64,
    log: u64,
    ledger: u64,
    sent: Option<u64>,
}

impl Counters {
    async fn of(holdfast: &Holdfast) -> Result<Self> {
        let status = holdfast.status(holdfast.leader).await?;
        let number = |name: &str| status[name].as_u64().during(name);
        Ok(Self {
            seq: number("appliedSeq")?,
            index: number("appliedIndex")?,
            snapshot: number("snapshotIndex")?,
            log: number("logSizeBytes")?,
            ledger: number("ledgerSizeBytes")?,
            sent: bytes_sent(holdfast).await,
        })
    }
}

/// Bytes that the leader has sent to its peers, as the kernel counts them for each connection; none without `ss`.
async fn bytes_sent(holdfast: &Holdfast) -> Option<u64> {
    let leader = holdfast.pid(holdfast.leader)?;
    let output = Command::new("ss").args(["-tinpHO"]).output().await.ok()?;
    sum_of_sent(&String::from_utf8_lossy(&output.stdout), leader, holdfast.peer_port())
}

/// The sum over the connections of a process to or from a port.
fn sum_of_sent(connections: &str, pid: u32, port: u16) -> Option<u64> {
    let mine = connections.lines().filter(|line| line.contains(&format!("pid={pid},")));
    let peers = mine.filter(|line| {
        line.split_whitespace().skip(3).take(2).any(|address| address.ends_with(&format!(":{port}")))
    });
    let sent = peers.map(|line| {
        let field = line.split_whitespace().find_map(|field| field.strip_prefix("bytes_sent:"));
        field.and_then(|bytes| bytes.parse::<u64>().ok()).unwrap_or(0)
    });
    let all: Vec<u64> = sent.collect();
    (!all.is_empty()).then(|| all.iter().sum())
}

/// What the leader and a follower ask of the kernel.
async fn calls(holdfast: &mut Holdfast, room: &Room, round: usize, book: &mut Book) -> Result<()> {
    for (role, node) in [("leader", holdfast.leader), ("follower", holdfast.follower())] {
        let pid = holdfast.pid(node).during("a node")?;
        let file = room.dir.join("perf.csv");
        let perf = count(pid, room.seconds, file.clone());
        let (counted, ran) = tokio::join!(perf, reserve(holdfast, ROWS, CONNECTIONS));
        let commands = ran?.value * room.seconds as f64;
        let counted = counted?;
        for (event, name) in EVENTS {
            let number = of_perf(&counted, event).during(event)?;
            book.note(round, &format!("{role}, {name}"), "", number / commands);
        }
    }
    Ok(())
}

/// Lets perf count what a process does for some seconds.
async fn count(pid: u32, seconds: u64, file: PathBuf) -> Result<String> {
    let events: Vec<&str> = EVENTS.iter().map(|(event, _)| *event).collect();
    let mut command = Command::new("perf");
    command.args(["stat", "-x", ",", "-e", &events.join(","), "-p", &pid.to_string()]);
    command.arg("-o").arg(&file).args(["--", "sleep", &seconds.to_string()]).kill_on_drop(true);
    let output = command.output().await.during("perf")?;
    if !output.status.success() {
        return fail(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    std::fs::read_to_string(&file).during(file.display())
}

fn of_perf(text: &str, event: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.split(',').nth(2) == Some(event))?;
    line.split(',').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_perf_counted_is_read() {
        let text = "# started on Tue\n\n1234,,raw_syscalls:sys_enter,100,100.00,,\n<not counted>,,context-switches,0,,\n";
        assert_eq!(of_perf(text, "raw_syscalls:sys_enter"), Some(1234.0));
        assert_eq!(of_perf(text, "context-switches"), None);
    }

    #[test]
    fn bytes_of_the_right_connections_add_up() {
        let text = "ESTAB 0 0 127.1.1.1:8087 127.1.1.2:40000 users:((\"holdfast-node\",pid=7,fd=9)) cubic bytes_sent:10\n\
                    ESTAB 0 0 127.1.1.1:5000 127.1.1.2:8087 users:((\"holdfast-node\",pid=7,fd=8)) cubic bytes_sent:5\n\
                    ESTAB 0 0 127.1.1.1:8082 127.1.1.2:9000 users:((\"holdfast-node\",pid=7,fd=7)) cubic bytes_sent:99\n\
                    ESTAB 0 0 127.1.1.1:5000 127.1.1.2:8087 users:((\"holdfast-node\",pid=70,fd=8)) cubic bytes_sent:3\n";
        assert_eq!(sum_of_sent(text, 7, 8087), Some(15));
        assert_eq!(sum_of_sent("", 7, 8087), None);
    }
}
