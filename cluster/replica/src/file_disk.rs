//! Real files in one directory.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

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

/// A thread that runs jobs in order; it ends when the lane is dropped and its queue is empty.
#[derive(Debug)]
pub struct FileLane {
    jobs: Sender<Job>,
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
        builder.spawn(work).expect("the operating system gives a thread at start");
        FileLane { jobs }
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        tokio::task::spawn_blocking(work).await.expect("work on files does not panic and is not cancelled")
    }
}

impl Lane for FileLane {
    fn push(&self, job: Job) {
        // The thread ends only with this sender.
        let _ = self.jobs.send(job);
    }
}

impl DiskFile for OpenFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes).map_err(named("write", &self.path))
    }

    fn sync(&mut self) -> io::Result<()> {
        // fdatasync makes the size durable too, where it is needed to read the data.
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

    fn truncate(&mut self, size: u64) -> io::Result<()> {
        self.file.set_len(size).map_err(named("cut", &self.path))
    }
}
