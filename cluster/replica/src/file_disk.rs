//! Real files in one directory: what [`crate::Live`] runs on. Decides nothing about what is written, and when it is
//! synced.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use crate::disk::{Disk, DiskFile, Job, Lane};

/// The files of one directory of the operating system.
#[derive(Debug, Clone)]
pub struct FileDisk {
    dir: Arc<Path>,
}

/// An open file, and its path for error texts.
#[derive(Debug)]
pub struct OpenFile {
    file: File,
    path: PathBuf,
}

/// A thread that runs jobs in order. Dropping the lane waits until its queue is empty and the thread has ended, so that
/// nothing touches the directory afterwards.
#[derive(Debug)]
pub struct FileLane {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// Adds what was done and to which file; keeps the kind, so that a full disk can still be told from others.
fn named<'a>(doing: &'a str, path: &'a Path) -> impl Fn(io::Error) -> io::Error + use<'a> {
    move |error| io::Error::new(error.kind(), format!("cannot {doing} {}: {error}", path.display()))
}

impl FileDisk {
    /// The files of `dir`, which must exist.
    ///
    /// # Errors
    /// When it is not a directory that can be read.
    pub fn open(dir: &Path) -> io::Result<Self> {
        std::fs::read_dir(dir).map_err(named("read directory", dir))?;
        Ok(Self { dir: dir.into() })
    }

    fn open_with(&self, name: &str, options: &OpenOptions) -> io::Result<OpenFile> {
        let path = self.dir.join(name);
        let file = options.open(&path).map_err(named("open", &path))?;
        Ok(OpenFile { file, path })
    }
}

impl Disk for FileDisk {
    type File = OpenFile;
    type Lane = FileLane;

    fn create(&self, name: &str) -> io::Result<OpenFile> {
        // Truncated first, then opened to append: the two do not go together.
        drop(self.open_with(name, OpenOptions::new().write(true).create(true).truncate(true))?);
        self.open(name)
    }

    fn create_new(&self, name: &str) -> io::Result<OpenFile> {
        self.open_with(name, OpenOptions::new().read(true).append(true).create_new(true))
    }

    fn open(&self, name: &str) -> io::Result<OpenFile> {
        self.open_with(name, OpenOptions::new().read(true).append(true))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.dir).map_err(named("read directory", &self.dir))? {
            let entry = entry.map_err(named("read directory", &self.dir))?;
            if entry.file_type().is_ok_and(|kind| kind.is_file())
                && let Ok(name) = entry.file_name().into_string()
            {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.dir.join(name);
        std::fs::remove_file(&path).map_err(named("remove", &path))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let path = self.dir.join(from);
        std::fs::rename(&path, self.dir.join(to)).map_err(named("rename", &path))
    }

    fn sync_dir(&self) -> io::Result<()> {
        let dir = File::open(&self.dir).map_err(named("open", &self.dir))?;
        dir.sync_all().map_err(named("sync", &self.dir))
    }

    fn lane(&self) -> FileLane {
        let (jobs, queue) = channel::<Job>();
        let work = move || {
            for job in queue {
                job();
            }
        };
        let builder = std::thread::Builder::new().name("holdfast-disk".to_owned());
        let thread = builder.spawn(work).expect("the operating system gives a thread at start");
        FileLane { jobs: Some(jobs), thread: Some(thread) }
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is ending, and with it whoever waits here.
                Err(_) => std::future::pending().await,
            },
        }
    }
}

impl Lane for FileLane {
    fn push(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            // The thread ends only with this sender.
            let _ = jobs.send(job);
        }
    }
}

impl Drop for FileLane {
    fn drop(&mut self) {
        drop(self.jobs.take());
        // A job that drops its own lane must not wait for itself.
        let is_elsewhere = |thread: &JoinHandle<()>| thread.thread().id() != std::thread::current().id();
        if let Some(thread) = self.thread.take().filter(is_elsewhere) {
            // A job that panicked has said so already.
            let _ = thread.join();
        }
    }
}

impl DiskFile for OpenFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes).map_err(named("write", &self.path))
    }

    fn sync(&mut self) -> io::Result<()> {
        // Files only grow, and fdatasync makes the size durable too where it has grown.
        self.file.sync_data().map_err(named("sync", &self.path))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            let read = self.file.read_at(&mut buffer[filled..], offset + filled as u64);
            match read.map_err(named("read", &self.path))? {
                0 => break,
                count => filled += count,
            }
        }
        Ok(filled)
    }

    fn size(&self) -> io::Result<u64> {
        self.file.metadata().map(|metadata| metadata.len()).map_err(named("look at", &self.path))
    }
}
