//! The model's rules as golden scripts: each file under `scripts/` is a test, and its path says what it shows.
//!
//! A script is data: commands in words, and what came of them. `script/` is the only code that knows both the words
//! and the model. After a change of the rules, `UPDATE_GOLDENFILES=1` writes the answers anew, to be read before they
//! are kept.

mod script;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

use script::Shop;

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let trials = match scripts_in(&root) {
        Ok(paths) => paths.into_iter().map(|path| trial(&root, path)).collect(),
        Err(error) => vec![Trial::test("scripts", move || {
            Err(Failed::from(format!("{} cannot be read: {error}", root.display())))
        })],
    };
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Every file in the folders of `root`, in order.
fn scripts_in(root: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for family in std::fs::read_dir(root)? {
        for script in std::fs::read_dir(family?.path())? {
            paths.push(script?.path());
        }
    }
    paths.sort();
    Ok(paths)
}

fn trial(root: &Path, path: PathBuf) -> Trial {
    let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
    Trial::test(name, move || Ok(goldenscript::run(&mut Shop::new(), path)?))
}
