//! Numbers in the text format of Prometheus.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

/// The content type of the text format, version 0.0.4.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Numbers as text.
#[derive(Debug, Default)]
pub struct Text(String);

impl Text {
    /// Something that only grows.
    pub fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.metric(name, "counter", help, value);
    }

    /// Something that goes up and down.
    pub fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.metric(name, "gauge", help, value);
    }

    /// All of them.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }

    fn metric(&mut self, name: &str, kind: &str, help: &str, value: u64) {
        let help = help.trim();
        let written = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
        written.expect("a string takes any text");
    }
}

/// Counts one.
pub fn one(counter: &AtomicU64) {
    add(counter, 1);
}

/// Counts some.
pub fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

/// Makes `Counters`: numbers that are counted since the service started, each with what it says and its name.
#[macro_export]
macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal;)*) => {
        /// What has been counted since the service started.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $name: std::sync::atomic::AtomicU64,)*
        }

        impl Counters {
            fn write(&self, out: &mut $crate::metrics::Text) {
                $(out.counter(
                    $text,
                    concat!($($doc),+),
                    self.$name.load(std::sync::atomic::Ordering::Relaxed),
                );)*
            }
        }
    };
}
