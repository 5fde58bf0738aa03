//! Faults that a test may inject at the token endpoint, one decision per request.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What a fault decision gets to see of a token request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Presentation {
    /// The family of the presented refresh token; `None` if there was none or it is unknown.
    pub(crate) family: Option<u64>,
    /// Which token request of that family this is, from 1. Requests of no family are numbered
    /// together.
    pub(crate) request: u64,
}

/// What shall go wrong with one token request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// Answer 503 without handling the request, with this `Retry-After` in seconds if any.
    Unavailable {
        /// The value of the `Retry-After` header.
        retry_after: Option<u64>,
    },
    /// Handle the request, so that the rotation happens, then break the connection instead of
    /// answering.
    LoseResponse,
    /// Handle the request, keep the client waiting for this long, then break the connection.
    Hang(Duration),
}

/// Decides the fault of each token request.
///
/// It is called without any lock held, so it may ask the running server for its counters.
#[derive(Clone)]
pub(crate) struct Faults(Arc<dyn Fn(&Presentation) -> Fault + Send + Sync>);

impl Faults {
    /// No request ever fails on purpose.
    pub(crate) fn none() -> Self {
        Self::new(|_| Fault::None)
    }

    /// Asks `decide` for each request.
    pub(crate) fn new(decide: impl Fn(&Presentation) -> Fault + Send + Sync + 'static) -> Self {
        Self(Arc::new(decide))
    }

    /// The fault for this request.
    pub(crate) fn decide(&self, presentation: &Presentation) -> Fault {
        (self.0)(presentation)
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Faults(..)")
    }
}
