//! PostgreSQL: a primary and two standbys of which one must have each commit on disk before it is acknowledged.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use crate::failure::{During, Failure, Result, fail};
use crate::http::eventually;
use crate::load::{Ran, pgbench};
use crate::process::Daemon;
use crate::room::Room;

const SCHEMA: &str = include_str!("schema.sql");
/// Sockets alone are used, in a directory of the run: the port is but a part of their names.
const PORT: u16 = 6500;
/// What a row has at the start: more than any run takes.
const OPENING: u64 = 1_000_000_000;

/// What differs from the defaults; the report shows it.
pub const SETTINGS: &str = "synchronous_commit = on, synchronous_standby_names = 'ANY 1 (s1, s2)', shared_buffers = 1GB, \
                            max_wal_size = 4GB, max_connections = 200";

/// A user of the system that the servers run as.
#[derive(Debug, Clone, Copy)]
struct User {
    uid: u32,
    gid: u32,
}

/// A primary and its standbys, until it is dropped.
pub struct Postgres {
    dir: PathBuf,
    programs: PathBuf,
    user: Option<User>,
    seconds: u64,
    servers: Vec<Daemon>,
    /// Reservations that were acknowledged.
    pub acknowledged: u64,
}

impl Postgres {
    /// Starts it with `rows` rows.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(room: &Room, rows: u64) -> Result<Self> {
        let dir = room.dir.join("postgres");
        fs::create_dir_all(&dir).during(dir.display())?;
        let (programs, user, seconds) = (programs()?, user()?, room.seconds);
        if let Some(user) = user {
            chown(&dir, Some(user.uid), Some(user.gid)).during(dir.display())?;
        }
        let mut cluster = Self { dir, programs, user, seconds, servers: Vec::new(), acknowledged: 0 };
        cluster.start_primary(room).await?;
        for standby in 1..=2 {
            cluster.start_standby(room, standby).await?;
        }
        cluster.make_rows(rows)?;
        Ok(cluster)
    }

    async fn start_primary(&mut self, room: &Room) -> Result<()> {
        let data = self.dir.join("primary");
        let data_dir = data.display().to_string();
        self.run("initdb", ["-D", &data_dir, "-A", "trust", "-U", "postgres"])?;
        let settings = SETTINGS.replace(", ", "\n").replace("(s1\n", "(s1, ");
        self.configure(&data, &format!("{settings}\nport = {PORT}\n"))?;
        self.serve(room, &data, "primary")?;
        self.wait_for(PORT).await
    }

    async fn start_standby(&mut self, room: &Room, number: u16) -> Result<()> {
        let data = self.dir.join(format!("standby-{number}"));
        let source =
            format!("host={} port={PORT} user=postgres application_name=s{number}", self.dir.display());
        self.run("pg_basebackup", ["-R", "-c", "fast", "-D", &data.display().to_string(), "-d", &source])?;
        self.configure(&data, &format!("port = {}\nprimary_conninfo = '{source}'\n", PORT + number))?;
        // The name that pg_basebackup writes there is its own.
        self.overwrite(&data.join("postgresql.auto.conf"), "")?;
        self.serve(room, &data, &format!("standby-{number}"))?;
        self.wait_for(PORT + number).await
    }

    fn configure(&self, data: &Path, settings: &str) -> Result<()> {
        let file = data.join("postgresql.conf");
        let was = fs::read_to_string(&file).during(file.display())?;
        let place = format!("listen_addresses = ''\nunix_socket_directories = '{}'\n", self.dir.display());
        self.overwrite(&file, &format!("{was}\n{place}{settings}"))
    }

    /// A file keeps its owner when it is written again.
    fn overwrite(&self, file: &Path, text: &str) -> Result<()> {
        fs::write(file, text).during(file.display())
    }

    fn serve(&mut self, room: &Room, data: &Path, name: &str) -> Result<()> {
        let mut command = self.program("postgres");
        command.arg("-D").arg(data);
        let output = self.dir.join(format!("{name}.log"));
        // SIGQUIT ends it without a checkpoint, which nobody needs any more.
        self.servers.push(Daemon::start(command, &output, Signal::QUIT, &room.register)?);
        Ok(())
    }

    async fn wait_for(&mut self, port: u16) -> Result<()> {
        eventually("PostgreSQL", async || {
            let (host, port) = (self.dir.display().to_string(), port.to_string());
            self.run("pg_isready", ["-q", "-h", &host, "-p", &port]).map(drop)
        })
        .await
    }

    fn make_rows(&self, rows: u64) -> Result<()> {
        self.sql(SCHEMA)?;
        self.sql(&format!("insert into stock select i, {OPENING} from generate_series(1, {rows}) i"))?;
        self.sql("vacuum analyze stock")?;
        for (name, last) in [("spread", rows), ("hot", 1)] {
            let script = format!("\\set r random(1, {last})\nselect reserve(:r, 1);\n");
            self.write_script(name, &script)?;
        }
        self.write_script("read", &format!("\\set r random(1, {rows})\nselect * from stock where id = :r;\n"))
    }

    fn write_script(&self, name: &str, text: &str) -> Result<()> {
        let file = self.dir.join(format!("{name}.sql"));
        fs::write(&file, text).during(file.display())
    }

    /// Runs one of the scripts `spread`, `hot` and `read` with so many clients.
    ///
    /// # Errors
    /// When a transaction fails.
    pub async fn load(&mut self, script: &str, clients: u64) -> Result<Ran> {
        let mut command = self.program("pgbench");
        command.args(["-n", "-M", "prepared", "-j", "2", "-U", "postgres", "-p", &PORT.to_string()]);
        // Every client's server prepares and compiles first: a second more, so that this does not weigh.
        command.args(["-c", &clients.to_string(), "-T", &(self.seconds + 1).to_string()]);
        command
            .arg("-h")
            .arg(&self.dir)
            .arg("-f")
            .arg(self.dir.join(format!("{script}.sql")))
            .arg("postgres");
        let ran = pgbench(command.into()).await?.checked("pgbench")?;
        self.acknowledged += if script == "read" { 0 } else { ran.ok };
        Ok(ran)
    }

    /// What runs, by its part in the work.
    pub fn processes(&self) -> Vec<(String, u32)> {
        let roles = ["leader", "follower", "follower"].map(str::to_owned);
        roles.into_iter().zip(self.servers.iter().map(Daemon::pid)).collect()
    }

    /// Checks that every acknowledged reservation is there, with its hold and its movement.
    ///
    /// # Errors
    /// When that is not so.
    pub fn check(&self) -> Result<String> {
        let found = self.sql(&format!(
            "select (select sum({OPENING} - available) from stock), (select sum(reserved) from stock), \
             (select count(*) from hold), (select count(*) from movement)"
        ))?;
        let counts: Vec<u64> = found.trim().split('|').filter_map(|count| count.parse().ok()).collect();
        if counts.len() != 4 || counts.iter().any(|&count| count != self.acknowledged) {
            return fail(format!(
                "PostgreSQL has {found:?} of {} acknowledged reservations",
                self.acknowledged
            ));
        }
        Ok(format!("PostgreSQL: {} reservations acknowledged, all there", self.acknowledged))
    }

    fn sql(&self, text: &str) -> Result<String> {
        let (host, port) = (self.dir.display().to_string(), PORT.to_string());
        let place = ["-h", &host, "-p", &port, "-U", "postgres"];
        let how = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", text, "postgres"];
        self.run("psql", place.into_iter().chain(how))
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.current_dir(&self.dir).env("LC_ALL", "C");
        if let Some(user) = self.user {
            command.uid(user.uid).gid(user.gid);
        }
        command
    }

    fn run(&self, name: &str, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<String> {
        let output = self.program(name).args(arguments).output().during(name)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        fail(format!("{name}: {} {}", output.status, String::from_utf8_lossy(&output.stderr).trim()))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Standbys first: a primary that ends waits for none then.
        while let Some(server) = self.servers.pop() {
            drop(server);
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// The directory of the newest release that is installed.
///
/// # Errors
/// When there is none.
pub fn programs() -> Result<PathBuf> {
    let releases = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut dirs: Vec<PathBuf> = releases.map(|release| release.path().join("bin")).collect();
    dirs.retain(|dir| dir.join("postgres").exists());
    dirs.sort();
    dirs.pop().ok_or_else(|| Failure("PostgreSQL is missing: apt-get install postgresql".to_owned()))
}

/// Whom the servers run as: root they refuse.
fn user() -> Result<Option<User>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").during("/etc/passwd")?;
    let line = users.lines().find(|line| line.starts_with("postgres:")).during("a user named postgres")?;
    let ids: Vec<u32> = line.split(':').skip(2).take(2).filter_map(|id| id.parse().ok()).collect();
    match ids[..] {
        [uid, gid] => Ok(Some(User { uid, gid })),
        _ => fail("the user postgres has no number"),
    }
}
