//! Where a run takes place: a directory, addresses of its own, programs, and how long and often it measures.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::failure::{During, Result};
use crate::load::SCRIPT;
use crate::process::Register;

/// What all parts of a run share.
#[derive(Debug, Clone)]
pub struct Room {
    /// Data, logs and sockets of everything that is started.
    pub dir: PathBuf,
    /// Where Holdfast's programs lie.
    pub bin: PathBuf,
    /// Rounds of each part.
    pub rounds: usize,
    /// Seconds of one measurement.
    pub seconds: u64,
    /// Rows of the larger cluster of `growth`.
    pub growth_rows: u64,
    /// Where processes are noted.
    pub register: Register,
}

impl Room {
    /// Prepares the directory: other users' servers need to pass through it.
    ///
    /// # Errors
    /// What the file system says.
    pub fn prepare(&self) -> Result<()> {
        let what = self.dir.display();
        fs::create_dir_all(&self.dir).during(what)?;
        fs::set_permissions(&self.dir, fs::Permissions::from_mode(0o755)).during(self.dir.display())?;
        fs::write(self.script(), SCRIPT).during(self.dir.display())
    }

    /// wrk's script.
    pub fn script(&self) -> PathBuf {
        self.dir.join("load.lua")
    }

    /// An address of 127.0.0.0/8 that nothing else of this run has, and no other run that goes on at the same time.
    pub fn address(&self, number: u8) -> String {
        let process = std::process::id();
        format!("127.{}.{}.{number}", 1 + (process >> 8) % 254, process & 0xff)
    }
}
