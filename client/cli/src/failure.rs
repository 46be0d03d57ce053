//! Why a command did not succeed, and the exit code that tells scripts so.

use std::fmt::Display;
use std::path::Path;

use holdfast_sdk::Error;
use holdfast_sdk::api::Problem;
use serde_json::{Value, json};

/// The cluster said no, or a check did not hold.
const REFUSED: u8 = 1;
/// The command, or a file that it names, cannot be used.
const USAGE: u8 = 2;
/// No node took the request: nothing was changed.
const UNAVAILABLE: u8 = 3;
/// It is not known whether the request was carried out.
const UNKNOWN: u8 = 4;

/// How many lines of a refusal are told one by one.
const LINES_TOLD: usize = 20;

/// Why a command did not succeed.
pub enum Failure {
    /// The cluster, or the way to it.
    Sdk(Error),
    /// A check did not hold; what was found has been printed.
    Check(String),
    /// The command or a file cannot be used.
    Usage(String),
    /// Another program, which has told why itself, ended with this code.
    Program(u8),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Sdk(error)
    }
}

impl Failure {
    /// A file that cannot be used.
    pub fn file(path: &Path, error: &dyn Display) -> Self {
        Self::Usage(format!("{}: {error}", path.display()))
    }

    /// What the process ends with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Sdk(Error::Refused(_)) | Self::Check(_) => REFUSED,
            Self::Sdk(Error::Invalid(_)) | Self::Usage(_) => USAGE,
            Self::Sdk(Error::Unavailable { .. }) => UNAVAILABLE,
            // An answer outside the contract may come from a node that did what it was asked for.
            Self::Sdk(Error::OutcomeUnknown(_) | Error::Protocol(_)) => UNKNOWN,
            Self::Program(code) => *code,
        }
    }

    /// What people are told.
    pub fn text(&self) -> String {
        match self {
            Self::Sdk(Error::Refused(problem)) => refused(problem),
            Self::Sdk(error) => error.to_string(),
            Self::Check(text) | Self::Usage(text) => text.clone(),
            Self::Program(code) => format!("the program ended with {code}"),
        }
    }

    /// What programs are told.
    pub fn value(&self) -> Value {
        let kind = match self {
            Self::Sdk(Error::Refused(_)) => "refused",
            Self::Sdk(Error::Invalid(_)) | Self::Usage(_) => "usage",
            Self::Sdk(Error::Unavailable { .. }) => "unavailable",
            Self::Sdk(Error::OutcomeUnknown(_)) => "outcomeUnknown",
            Self::Sdk(Error::Protocol(_)) => "protocol",
            Self::Check(_) => "check",
            Self::Program(_) => "program",
        };
        let problem = match self {
            Self::Sdk(error) => error.problem(),
            Self::Check(_) | Self::Usage(_) | Self::Program(_) => None,
        };
        json!({"error": kind, "detail": self.text(), "exitCode": self.exit_code(), "problem": problem})
    }
}

/// A refusal with every line that it names.
fn refused(problem: &Problem) -> String {
    let mut text = format!("{}: {}", problem.code.as_str(), problem.detail);
    let lines = problem.more.get("lines").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for line in lines.iter().take(LINES_TOLD) {
        let name = |field: &str| line[field].as_str().unwrap_or("?").to_owned();
        text.push_str(&format!(
            "\n  {}/{}: {} asked, {} to be had",
            name("storeId"),
            name("itemId"),
            line["requested"],
            line["available"]
        ));
    }
    if lines.len() > LINES_TOLD {
        text.push_str(&format!("\n  and {} lines more", lines.len() - LINES_TOLD));
    }
    text
}

#[cfg(test)]
mod tests {
    use holdfast_sdk::api::ErrorCode;

    use super::*;

    #[test]
    fn each_end_has_its_own_code() {
        let problem = || Box::new(Problem::new(ErrorCode::UnknownHold, "there is no hold"));
        for (failure, code) in [
            (Failure::Sdk(Error::Refused(problem())), 1),
            (Failure::Check("no".to_owned()), 1),
            (Failure::Usage("no".to_owned()), 2),
            (Failure::Sdk(Error::Invalid("no".to_owned())), 2),
            (Failure::Sdk(Error::Unavailable { detail: "no".to_owned(), problem: None }), 3),
            (Failure::Sdk(Error::OutcomeUnknown("no".to_owned())), 4),
            (Failure::Sdk(Error::Protocol("no".to_owned())), 4),
            (Failure::Program(7), 7),
        ] {
            assert_eq!(failure.exit_code(), code);
            assert_eq!(failure.value()["exitCode"], code);
        }
    }

    #[test]
    fn a_refusal_names_every_short_line() {
        let line = json!({"storeId": "S1", "itemId": "A", "requested": 5, "available": 2});
        let problem = Problem::new(ErrorCode::InsufficientStock, "short of: S1/A").with("lines", vec![line]);
        let failure = Failure::Sdk(Error::Refused(Box::new(problem)));
        assert_eq!(failure.text(), "insufficient_stock: short of: S1/A\n  S1/A: 5 asked, 2 to be had");
        assert_eq!(failure.value()["problem"]["code"], "insufficient_stock");
    }
}
