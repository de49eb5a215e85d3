//! Why a request ends without a complete answer.

use crate::llm::error::ApiError;
use crate::metrics::events::AbortStage;

/// Why a request ends without a complete answer.
#[derive(Debug)]
pub(super) enum Stop {
    /// The client is told why.
    Refused(ApiError),
    /// Nobody is there to tell.
    ClientGone(AbortStage),
    /// The answer broke off and its framing cannot say so: the connection is closed instead.
    CutOff,
}

impl From<ApiError> for Stop {
    fn from(error: ApiError) -> Self {
        Self::Refused(error)
    }
}
