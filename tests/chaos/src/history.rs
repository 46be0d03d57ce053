//! What happened, in the order in which the harness saw it: one JSON value a line, the first of them the format.
//!
//! Times are nanoseconds of the harness's steady clock since the history began. A call is written before its request is
//! sent and its end after the answer was read, so that the operation took effect between the two.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::op::{Answer, Op};

/// Version of the format; raised when a reader of the one before would misread it.
const FORMAT: u32 = 1;

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum End {
    /// It was answered.
    Answered {
        /// With what.
        answer: Answer,
        /// The last movement that the node had applied when it answered.
        applied_seq: u64,
    },
    /// It may have been done, now or later.
    Unknown,
    /// It was certainly not done: the code, or what failed before it was sent.
    NotDone(String),
    /// The answer is none that the contract knows.
    Senseless(String),
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Event {
    /// The first line.
    History {
        /// The version of what follows.
        format: u32,
        /// Where the schedule of faults and the load came from.
        seed: u64,
    },
    /// A request is about to be sent.
    Call {
        /// When.
        at: u64,
        /// Number of the call.
        call: u64,
        /// The shelf.
        shelf: u64,
        /// The node, from 0.
        node: usize,
        /// How often the node had been started before.
        life: u64,
        /// What is asked.
        op: Op,
    },
    /// A call has ended.
    End {
        /// When.
        at: u64,
        /// Number of the call.
        call: u64,
        /// The node's lives by then: another than at the call when it was started in between.
        life: u64,
        /// How.
        end: End,
    },
    /// A fault begins or ends.
    Fault {
        /// When.
        at: u64,
        /// Which, in words.
        what: String,
    },
    /// Records that the feed delivered, each with its sequence and a hash of it.
    Feed {
        /// Who reads.
        consumer: String,
        /// From which node.
        node: usize,
        /// What came.
        records: Vec<(u64, u64)>,
    },
    /// The feed refused a cursor that it had given before.
    FeedRefused {
        /// Who reads.
        consumer: String,
        /// From which node.
        node: usize,
        /// The code.
        code: String,
    },
}

/// A history that is being written. Shared by all who take part.
pub struct History {
    start: Instant,
    calls: AtomicU64,
    file: Mutex<BufWriter<File>>,
}

impl History {
    /// Begins one in a new file.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(path: &Path, seed: u64) -> io::Result<Self> {
        let file = Mutex::new(BufWriter::new(File::create_new(path)?));
        let history = Self { start: Instant::now(), calls: AtomicU64::new(0), file };
        history.write(&Event::History { format: FORMAT, seed });
        Ok(history)
    }

    /// Nanoseconds since it began.
    ///
    /// # Panics
    /// After 584 years.
    #[must_use]
    pub fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).expect("a run is short")
    }

    /// Writes that a call begins; returns its number.
    pub fn call(&self, shelf: u64, node: usize, life: u64, op: Op) -> u64 {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        self.write(&Event::Call { at: self.now(), call, shelf, node, life, op });
        call
    }

    /// Writes that a call has ended.
    pub fn end(&self, call: u64, life: u64, end: End) {
        self.write(&Event::End { at: self.now(), call, life, end });
    }

    /// Writes what happened to the cluster.
    pub fn fault(&self, what: &str) {
        self.write(&Event::Fault { at: self.now(), what: what.to_owned() });
    }

    /// Writes one line.
    ///
    /// # Panics
    /// When it cannot be written: a history with a hole proves nothing.
    pub fn write(&self, event: &Event) {
        let mut line = serde_json::to_vec(event).expect("an event is JSON");
        line.push(b'\n');
        self.file.lock().expect("no writer panics").write_all(&line).expect("the history can be written");
    }

    /// Hands everything to the file.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn flush(&self) {
        self.file.lock().expect("no writer panics").flush().expect("the history can be written");
    }
}

/// Reads a history.
///
/// # Errors
/// When it cannot be read, is no history, or one of another format.
pub fn read(path: &Path) -> io::Result<Vec<Event>> {
    let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
    let mut events = Vec::new();
    for (number, line) in BufReader::new(File::open(path)?).lines().enumerate() {
        let event = serde_json::from_str(&line?);
        let event = event.map_err(|error| invalid(format!("line {}: {error}", number + 1)))?;
        match (number, &event) {
            (0, Event::History { format: FORMAT, .. }) => {}
            (0, Event::History { format, .. }) => {
                return Err(invalid(format!("format {format}, but {FORMAT} is known here")));
            }
            (0, _) => return Err(invalid("the first line does not name the format".to_owned())),
            _ => {}
        }
        events.push(event);
    }
    if events.is_empty() { Err(invalid("it is empty".to_owned())) } else { Ok(events) }
}
