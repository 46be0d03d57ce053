//! What is printed: tables for people, JSON for programs. Only what was asked for goes to standard output.

use std::io::{ErrorKind, Write};

use clap::ValueEnum;
use comfy_table::Table;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::Done;
use crate::failure::Failure;

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Prints in one of the ways.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    format: Format,
}

impl Output {
    /// Prints in this way.
    pub fn new(format: Format) -> Self {
        Self { format }
    }

    /// Whether programs read along.
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Prints a value as JSON, or what `table` makes of it.
    pub fn print<T: Serialize + ?Sized>(&self, value: &T, table: impl FnOnce(&T) -> Table) -> Done {
        if self.is_json() { self.json(value) } else { self.raw(format!("{}\n", table(value)).as_bytes()) }
    }

    /// Prints a value as JSON.
    pub fn json<T: Serialize + ?Sized>(&self, value: &T) -> Done {
        let mut text = serde_json::to_vec_pretty(value).expect("what this program prints has plain keys");
        text.push(b'\n');
        self.raw(&text)
    }

    /// Prints a line, for people alone.
    pub fn line(&self, text: &str) -> Done {
        if self.is_json() { Ok(()) } else { self.raw(format!("{text}\n").as_bytes()) }
    }

    /// Prints bytes as they are. A reader that has seen enough and gone is no failure.
    pub fn raw(&self, bytes: &[u8]) -> Done {
        self.stream(bytes).map(drop)
    }

    /// Prints a part of what has no end; false when the reader has gone.
    pub fn stream(&self, text: impl AsRef<[u8]>) -> Result<bool, Failure> {
        let mut stdout = std::io::stdout().lock();
        match stdout.write_all(text.as_ref()).and_then(|()| stdout.flush()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(Failure::Usage(format!("the output cannot be written: {error}"))),
        }
    }

    /// Tells on standard error why a command did not succeed.
    pub fn failure(&self, failure: &Failure) {
        match failure {
            Failure::Program(_) if !self.is_json() => {}
            failure if self.is_json() => eprintln!("{}", failure.value()),
            failure => eprintln!("holdfast: {}", failure.text()),
        }
    }

    /// A progress bar on standard error; silent when programs read along.
    pub fn progress(&self, total: u64, what: &'static str) -> ProgressBar {
        self.bar(total, what, "{msg:<10} {wide_bar} {pos}/{len} {per_sec} {eta}")
    }

    /// A progress bar that counts bytes.
    pub fn byte_progress(&self, total: u64, what: &'static str) -> ProgressBar {
        self.bar(total, what, "{msg:<10} {wide_bar} {bytes}/{total_bytes} {eta}")
    }

    fn bar(&self, total: u64, what: &'static str, template: &str) -> ProgressBar {
        if self.is_json() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new(total).with_message(what);
        match ProgressStyle::with_template(template) {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        }
    }
}
