//! What can come of a call that did not succeed.

use holdfast_api::Problem;

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cluster said no. Nothing was changed, and asking again changes nothing either.
    #[error("{0}")]
    Refused(Box<Problem>),
    /// No node could take the request in the time that it had. Nothing was changed.
    #[error("the cluster is not available: {0}")]
    Unavailable(String),
    /// The request was sent, and it is not known whether it was carried out. Repeating it with the same id or key is safe.
    #[error("it is not known whether the request was carried out: {0}")]
    OutcomeUnknown(String),
    /// A node answered what the contract does not provide for.
    #[error("the answer makes no sense: {0}")]
    Protocol(String),
}

impl Error {
    /// The problem, when the cluster said no.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused(problem) => Some(problem),
            Self::Unavailable(_) | Self::OutcomeUnknown(_) | Self::Protocol(_) => None,
        }
    }
}
