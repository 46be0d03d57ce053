//! The view: what the cluster's feed has said, kept so that it can be asked without the cluster.
//!
//! It holds nothing that exists nowhere else. One that does not open, that is damaged, or that the feed cannot move on is
//! replaced by another, which is built beside it from a snapshot; until that is done the old one goes on answering, when
//! it can.

mod error;
#[cfg(test)]
mod fuzz;
mod generation;
mod record;
#[cfg(test)]
mod tests;
mod write;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use holdfast_api::Epoch;
use parking_lot::RwLock;
use tokio::sync::watch;

pub use error::ViewError;
pub use generation::{Entries, Generation, Page};
pub use record::{Entry, Mark, Position, ResetReason, Row};
pub use write::Fed;

use error::Unopened;

/// What the directory of a view is called, before its number.
const PREFIX: &str = "view-";

/// The view in use. Cheap to clone: a handle.
#[derive(Clone)]
pub struct Views(Arc<Inner>);

struct Inner {
    dir: PathBuf,
    current: RwLock<Option<Arc<Generation>>>,
    /// The number of the view in use, 0 while there is none: tells those who wait that it is another one.
    number: watch::Sender<u64>,
    /// The number of a view that was found damaged.
    damaged: watch::Sender<u64>,
}

impl Views {
    /// Opens the newest whole view in a directory; removes those whose building was interrupted, and sets damaged ones
    /// aside. Says what it did, for the log.
    ///
    /// # Errors
    /// When a view may be whole but cannot be opened, or the directory cannot be used; in words.
    pub fn open(dir: &Path) -> Result<(Self, Vec<String>), String> {
        std::fs::create_dir_all(dir).map_err(|error| format!("cannot make {}: {error}", dir.display()))?;
        let mut numbers = numbers(dir).map_err(|error| format!("cannot read {}: {error}", dir.display()))?;
        numbers.sort_unstable();
        let (mut current, mut notes) = (None, Vec::new());
        for number in numbers.into_iter().rev() {
            let path = path_of(dir, number);
            if current.is_some() {
                remove(&path)?;
                continue;
            }
            match Generation::open(&path, number) {
                Ok(view) => current = Some(Arc::new(view)),
                Err(Unopened::Unfinished) => {
                    notes.push(format!("the building of {} was interrupted; it is removed", path.display()));
                    remove(&path)?;
                }
                Err(Unopened::Broken(error)) => {
                    let aside = set_aside(&path)?;
                    notes.push(format!("the view did not open, and lies at {}: {error}", aside.display()));
                }
                Err(Unopened::Blocked(error)) => {
                    return Err(format!("the view at {} cannot be opened: {error}", path.display()));
                }
            }
        }
        let number = current.as_ref().map_or(0, |view| view.number);
        let inner = Inner {
            dir: dir.to_owned(),
            current: RwLock::new(current),
            number: watch::Sender::new(number),
            damaged: watch::Sender::new(0),
        };
        Ok((Self(Arc::new(inner)), notes))
    }

    /// The view in use; none while the first one is being built.
    pub fn current(&self) -> Option<Arc<Generation>> {
        self.0.current.read().clone()
    }

    /// Tells when another view is in use.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.number.subscribe()
    }

    /// Says that a view was found damaged; whoever moves it on builds another.
    pub fn report(&self, view: &Generation, error: &ViewError) {
        tracing::error!(%error, "the view cannot be used");
        if matches!(error, ViewError::Damaged(_)) {
            self.0.damaged.send_replace(view.number);
        }
    }

    /// Tells the number of the view that was found damaged last.
    pub fn damaged(&self) -> watch::Receiver<u64> {
        self.0.damaged.subscribe()
    }

    /// Starts a view beside the one in use, of a snapshot that was taken right after a record. Blocks.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn begin(&self, epoch: Epoch, seq: u64, at_ms: i64) -> Result<Generation, ViewError> {
        let mark = Mark { epoch, seq, at_ms, base: seq, rows: 0, checksum: 0 };
        let blocked = |error: String| ViewError::Blocked(error);
        let newest = numbers(&self.0.dir).map_err(|error| blocked(error.to_string()))?;
        let number = newest.into_iter().max().unwrap_or(0) + 1;
        match Generation::create(&path_of(&self.0.dir, number), number, mark) {
            Ok(view) => Ok(view),
            Err(Unopened::Broken(error) | Unopened::Blocked(error)) => Err(blocked(error)),
            Err(Unopened::Unfinished) => Err(blocked("a new view is unfinished".to_owned())),
        }
    }

    /// Puts a view that was built into use; the one before it goes, once nobody reads it any more, or is set aside when it
    /// is damaged.
    pub fn switch(&self, view: Generation) {
        let number = view.number;
        let old = self.0.current.write().replace(Arc::new(view));
        if let Some(old) = old {
            if *self.0.damaged.borrow() == old.number {
                match set_aside(&old.dir) {
                    Ok(aside) => tracing::warn!(aside = %aside.display(), "the damaged view was set aside"),
                    Err(error) => tracing::warn!(error, "the damaged view cannot be set aside"),
                }
            } else {
                old.replace();
            }
        }
        self.0.number.send_replace(number);
    }

    /// Gives up a view that could not be built.
    pub fn abandon(view: Generation) {
        view.replace();
        drop(view);
    }
}

fn numbers(dir: &Path) -> std::io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        numbers.extend(name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse::<u64>().ok()));
    }
    Ok(numbers)
}

fn path_of(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{PREFIX}{number}"))
}

fn remove(path: &Path) -> Result<(), String> {
    std::fs::remove_dir_all(path).map_err(|error| format!("cannot remove {}: {error}", path.display()))
}

/// Moves a damaged view to a name that nothing has yet.
fn set_aside(path: &Path) -> Result<PathBuf, String> {
    let name = |number: u32| path.with_extension(format!("damaged-{number}"));
    let aside = (1..).map(name).find(|aside| !aside.exists()).unwrap_or_else(|| name(0));
    std::fs::rename(path, &aside).map_err(|error| format!("cannot set {} aside: {error}", path.display()))?;
    Ok(aside)
}
