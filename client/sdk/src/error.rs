//! What can come of a call that did not succeed.

use holdfast_api::Problem;

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client was set up wrongly; nothing was sent.
    #[error("{0}")]
    Invalid(String),
    /// The cluster said no. Nothing was changed, and asking again changes nothing either.
    #[error("{}: {}", .0.code.as_str(), .0.detail)]
    Refused(Box<Problem>),
    /// No node took the request in the time that it had. Nothing was changed.
    #[error("the cluster is not available: {detail}")]
    Unavailable {
        /// What the last attempt met with.
        detail: String,
        /// What the last node to answer said, when one did.
        problem: Option<Box<Problem>>,
    },
    /// The request was sent, and it is not known whether it was carried out. Repeating it under the same id or key is
    /// safe.
    #[error("it is not known whether the request was carried out: {0}")]
    OutcomeUnknown(String),
    /// A node answered what the contract does not provide for. Whether anything was changed is not known.
    #[error("the answer makes no sense: {0}")]
    Protocol(String),
}

impl Error {
    /// What the cluster said, when it said something.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused(problem) => Some(problem),
            Self::Unavailable { problem, .. } => problem.as_deref(),
            Self::Invalid(_) | Self::OutcomeUnknown(_) | Self::Protocol(_) => None,
        }
    }

    /// The same, with what the caller can do about an outcome that is not known.
    #[must_use]
    pub fn about(self, advice: &str) -> Self {
        match self {
            Self::OutcomeUnknown(detail) => Self::OutcomeUnknown(format!("{detail}; {advice}")),
            other => other,
        }
    }

    /// Whether the same call may succeed later: no node took it, or its outcome is not known.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::OutcomeUnknown(_) => true,
            Self::Invalid(_) | Self::Refused(_) | Self::Protocol(_) => false,
        }
    }
}
