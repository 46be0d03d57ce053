//! A disk that is soon full: a small file system in memory, which only those processes see that are started inside.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Mounts on `$1` what holds `$2` MiB, says so, and keeps it until its standard input closes.
const KEEPER: &str = r#"mount -t tmpfs -o size="$2"m holdfast-test "$1" && echo mounted && read -r _"#;

/// A small file system in a mount namespace of its own. It goes with the processes inside.
pub struct SmallDisk {
    keeper: Child,
    dir: PathBuf,
}

impl SmallDisk {
    /// Mounts one of `mib` MiB at `dir`. None, and a line that says why, when this user may not mount, or the machine
    /// has no namespaces.
    ///
    /// # Panics
    /// When there is no room for a directory.
    pub async fn mount(dir: &Path, mib: u32) -> Option<Self> {
        std::fs::create_dir_all(dir).expect("a directory to mount at");
        let keeper = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", KEEPER, "sh"])
            .arg(dir)
            .arg(mib.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let skipped = |why: &str| {
            eprintln!("skipped: no small disk can be mounted here: {}", why.trim());
            None
        };
        let mut keeper = match keeper {
            Ok(keeper) => keeper,
            Err(error) => return skipped(&format!("unshare: {error}")),
        };
        let stdout = keeper.stdout.take().expect("its output is a pipe");
        let mut said = String::new();
        let told = BufReader::new(stdout).read_line(&mut said).await;
        if told.is_ok() && said.trim() == "mounted" {
            return Some(Self { keeper, dir: dir.to_owned() });
        }
        drop(keeper.stdin.take());
        match keeper.wait_with_output().await {
            Ok(Output { stderr, .. }) => skipped(&String::from_utf8_lossy(&stderr)),
            Err(error) => skipped(&error.to_string()),
        }
    }

    /// What a command line begins with that is to run inside.
    ///
    /// # Panics
    /// When the keeper has ended, which it does not before this is dropped.
    #[must_use]
    pub fn inside(&self) -> Vec<String> {
        let keeper = self.keeper.id().expect("the keeper runs");
        vec!["nsenter".to_owned(), format!("--mount=/proc/{keeper}/ns/mnt"), "--".to_owned()]
    }

    /// Makes it hold `mib` MiB from now on.
    ///
    /// # Panics
    /// When that cannot be done.
    pub async fn resize(&self, mib: u32) {
        let inside = self.inside();
        let status = Command::new(&inside[0])
            .args(&inside[1..])
            .args(["mount", "-o", &format!("remount,size={mib}m")])
            .arg(&self.dir)
            .status()
            .await;
        assert!(status.expect("nsenter runs").success(), "{} cannot be made larger", self.dir.display());
    }
}
