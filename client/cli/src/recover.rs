//! `holdfast recover`: hands over to `holdfast-node recover`, which alone touches a node's directory.

use std::path::PathBuf;
use std::process::Stdio;

use clap::Args;
use serde_json::json;
use tokio::process::Command;

use crate::Done;
use crate::failure::Failure;
use crate::output::Output;

/// The node's program, which is looked for beside this one, then in the search path.
const NODE_PROGRAM: &str = "holdfast-node";

const EXPLANATION: &str = "\
A cluster goes on by itself while a majority of its voters can be reached. When a majority is lost for good, going on
is a person's decision: what the lost nodes acknowledged and the survivor never heard of is gone.

  1. Make sure that the lost nodes will never start again with their old directories.
  2. Choose the survivor that has applied most (holdfast status), and stop it.
  3. On its machine:  holdfast recover --id ID --dir DIR --peer HOST:PORT --http HOST:PORT
     It says what will happen. It does it when --accept-data-loss is added: the survivor becomes the only member of a
     new cluster, with a new id and a new epoch.
  4. Start it, and add new nodes with empty directories: holdfast cluster add.";

/// Make the only survivor of a lost majority a cluster of its own. Without --id and --dir it explains how.
#[derive(Debug, Args)]
pub struct Recover {
    /// The survivor's number
    #[arg(long, requires = "dir")]
    id: Option<u64>,
    /// Its data directory; its node must not run
    #[arg(long, requires = "id")]
    dir: Option<PathBuf>,
    /// Its address for peers from now on, host:port
    #[arg(long, requires = "id")]
    peer: Option<String>,
    /// Its address for clients from now on, host:port
    #[arg(long, requires = "id")]
    http: Option<String>,
    /// Do it
    #[arg(long, requires = "id")]
    accept_data_loss: bool,
}

impl Recover {
    /// Does it.
    pub async fn run(self, out: &Output) -> Done {
        let (Some(id), Some(dir)) = (self.id, &self.dir) else {
            return if out.is_json() {
                out.json(&json!({"explanation": EXPLANATION}))
            } else {
                out.line(EXPLANATION)
            };
        };
        let program = node_program();
        let mut command = Command::new(&program);
        command.arg("recover").arg("--id").arg(id.to_string()).arg("--dir").arg(dir).stdin(Stdio::null());
        for (flag, value) in [("--peer", &self.peer), ("--http", &self.http)] {
            command.args(value.iter().flat_map(|value| [flag, value.as_str()]));
        }
        if self.accept_data_loss {
            command.arg("--accept-data-loss");
        }
        let status = command
            .status()
            .await
            .map_err(|error| Failure::Usage(format!("{} cannot be run: {error}", program.display())))?;
        match status.code() {
            Some(0) => Ok(()),
            Some(code) => Err(Failure::Program(u8::try_from(code).unwrap_or(1))),
            None => Err(Failure::Check(format!("{} was ended by a signal", program.display()))),
        }
    }
}

fn node_program() -> PathBuf {
    let beside = std::env::current_exe().ok().map(|path| path.with_file_name(NODE_PROGRAM));
    beside.filter(|path| path.is_file()).unwrap_or_else(|| PathBuf::from(NODE_PROGRAM))
}
