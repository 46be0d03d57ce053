//! The files of one data directory, as far as the log, the snapshots and the identity need them: a seam for the
//! simulator, which puts a disk below that loses, tears and damages what was not synced.
//!
//! Every name is a plain file name in the directory: there are no subdirectories.

use std::future::Future;
use std::io;

/// Work that runs off the executor, in order with other work of its lane.
pub type Job = Box<dyn FnOnce() + Send>;

/// The files of one directory.
pub trait Disk: Clone + Send + Sync + 'static {
    /// An open file.
    type File: DiskFile;
    /// Runs work one after another.
    type Lane: Lane;

    /// Makes an empty file, or empties the one that is there.
    ///
    /// # Errors
    /// What the file system says, with the file's name.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// Makes an empty file where there is none. Of two who do so at once, one is refused.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] when there is one; else what the file system says, with the file's name.
    fn create_new(&self, name: &str) -> io::Result<Self::File>;

    /// Opens a file that is there.
    ///
    /// # Errors
    /// What the file system says, with the file's name.
    fn open(&self, name: &str) -> io::Result<Self::File>;

    /// The names of all files, sorted.
    ///
    /// # Errors
    /// What the file system says.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Removes a file.
    ///
    /// # Errors
    /// What the file system says, with the file's name.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Gives a file another name, replacing what had it.
    ///
    /// # Errors
    /// What the file system says, with the file's name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Makes names durable: files made, renamed and removed before this stay so.
    ///
    /// # Errors
    /// What the file system says. An error means that nothing is known about what is durable.
    fn sync_dir(&self) -> io::Result<()>;

    /// A new lane: its jobs run in order, off the executor.
    fn lane(&self) -> Self::Lane;

    /// Runs one piece of work off the executor, at the same time as others.
    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send;
}

/// An open file. Its calls may block: use them in a [`Lane`] or in [`Disk::run`], or before serving starts.
pub trait DiskFile: Send + Sync + 'static {
    /// Writes at the end.
    ///
    /// # Errors
    /// What the file system says; a part may have been written.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes all that was written durable.
    ///
    /// # Errors
    /// What the file system says. It must never be tried again: the kernel may have dropped the pages.
    fn sync(&mut self) -> io::Result<()>;

    /// Reads up to `buffer.len()` bytes from `offset`; fewer only at the end of the file.
    ///
    /// # Errors
    /// What the file system says.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Bytes in the file.
    ///
    /// # Errors
    /// What the file system says.
    fn size(&self) -> io::Result<u64>;
}

/// Runs work one after another, off the executor.
pub trait Lane: Send + Sync + 'static {
    /// Queues `job` behind the ones before it.
    fn push(&self, job: Job);
}

/// Reads a whole file.
///
/// # Errors
/// What the file system says.
pub fn read_whole<D: Disk>(disk: &D, name: &str) -> io::Result<Vec<u8>> {
    let file = disk.open(name)?;
    let size = usize::try_from(file.size()?).map_err(io::Error::other)?;
    let mut bytes = vec![0; size];
    let read = file.read_at(0, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Writes a small file so that after a crash it has either its old content or its new one.
///
/// # Errors
/// What the file system says; the old content is still there then.
pub fn replace<D: Disk>(disk: &D, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = format!("{name}.partial");
    let mut file = disk.create(&temporary)?;
    file.append(bytes)?;
    file.sync()?;
    drop(file);
    disk.rename(&temporary, name)?;
    disk.sync_dir()
}
