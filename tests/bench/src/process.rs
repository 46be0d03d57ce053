//! Processes that a measurement needs: each is ended by its id when its guard is dropped, and its processor time is read
//! from `/proc`.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::failure::{During, Result};

/// How long a process may take to end when it is asked to, before it is killed.
const PATIENCE: Duration = Duration::from_secs(10);
/// Microseconds in a tick of `/proc`: the kernel counts a hundred a second for programs, whatever it counts itself.
const TICK_MICROS: u64 = 10_000;

/// Where processes are noted, so that whoever started this program can end them when it cannot itself.
#[derive(Debug, Clone)]
pub struct Register(PathBuf);

impl Register {
    /// Notes processes in this file, a line each: process id, and when it started in ticks since the machine did.
    pub fn new(file: PathBuf) -> Self {
        Self(file)
    }

    fn note(&self, pid: u32) -> std::io::Result<()> {
        let started = Stat::of(pid).map_or(0, |stat| stat.started);
        writeln!(File::options().create(true).append(true).open(&self.0)?, "{pid} {started}")
    }
}

/// A process that runs until this is dropped.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    stop: Signal,
}

impl Daemon {
    /// Starts it, with what it writes going to `output`. Dropping it sends `stop`, and kills it when that does not help.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(mut command: Command, output: &Path, stop: Signal, register: &Register) -> Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let file = File::options().create(true).append(true).open(output).during(output.display())?;
        let errors = file.try_clone().during(output.display())?;
        // A group of its own: an interrupt from the keyboard reaches this program alone, which ends the rest in order.
        command.stdin(Stdio::piped()).stdout(file).stderr(errors).process_group(0);
        let daemon = Self { child: command.spawn().during(format!("{program} does not start"))?, stop };
        register.note(daemon.pid()).during("the list of processes")?;
        Ok(daemon)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it at once, as `kill -9` does.
    ///
    /// # Errors
    /// When the system does not let it.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill().during("kill")?;
        self.child.wait().during("wait").map(drop)
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.pid()).ok().and_then(Pid::from_raw) {
            // It may have ended already.
            let _ = kill_process(pid, signal);
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.has_ended() {
            return;
        }
        self.signal(self.stop);
        let deadline = Instant::now() + PATIENCE;
        while !self.has_ended() {
            if Instant::now() > deadline {
                self.signal(Signal::KILL);
                let _ = self.child.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// What `/proc/PID/stat` says.
struct Stat {
    parent: u32,
    own_ticks: u64,
    reaped_ticks: u64,
    started: u64,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        // The name in parentheses may have anything in it; the fields after it are numbered from 3 by proc(5).
        let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
        let field = |number: usize| fields.get(number - 3).and_then(|field| field.trim().parse::<u64>().ok());
        Some(Self {
            parent: u32::try_from(field(4)?).ok()?,
            own_ticks: field(14)? + field(15)?,
            reaped_ticks: field(16)? + field(17)?,
            started: field(22)?,
        })
    }
}

/// Processor time of a process, and of its children that live or were waited for, in microseconds.
pub fn cpu_micros(pid: u32) -> u64 {
    let Some(stat) = Stat::of(pid) else { return 0 };
    let mut ticks = stat.own_ticks + stat.reaped_ticks;
    for child in children(pid) {
        ticks += Stat::of(child).map_or(0, |stat| stat.own_ticks + stat.reaped_ticks);
    }
    ticks * TICK_MICROS
}

/// Processor time of the children of this process that were waited for, in microseconds.
pub fn reaped_micros() -> u64 {
    Stat::of(std::process::id()).map_or(0, |stat| stat.reaped_ticks * TICK_MICROS)
}

/// Memory of a process that is not shared with files, in bytes.
pub fn resident_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn children(pid: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|&other| Stat::of(other).is_some_and(|stat| stat.parent == pid)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_is_read_whatever_the_name() {
        let line = "42 (a ) b (c)) S 7 42 42 0 -1 4194560 1 2 3 4 11 22 33 44 20 0 1 0 999 1 2";
        let stat = Stat::parse(line).unwrap();
        assert_eq!((stat.parent, stat.own_ticks, stat.reaped_ticks, stat.started), (7, 33, 77, 999));
        assert!(Stat::parse("42 (short) S 7").is_none());
    }

    #[test]
    fn a_daemon_ends_with_its_guard() {
        let dir = std::env::temp_dir().join(format!("holdfast-bench-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let register = Register::new(dir.join("processes"));
        let mut command = Command::new("sleep");
        command.arg("600");
        let daemon = Daemon::start(command, &dir.join("output"), Signal::TERM, &register).unwrap();
        let pid = daemon.pid();
        assert!(fs::read_to_string(dir.join("processes")).unwrap().starts_with(&format!("{pid} ")));
        assert!(Stat::of(pid).is_some());
        drop(daemon);
        assert!(Stat::of(pid).is_none());
        fs::remove_dir_all(&dir).unwrap();
    }
}
