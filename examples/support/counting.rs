//! A refresher around a refresher, that tells what it saw.

use std::future::Future;
use std::sync::Arc;

use perennial::lifecycle::{Cause, Failure};
use perennial::refresh::{ClientBackoff, PollIn, Refresh, RefreshError, Request};
use perennial::token::{Grant, Secret};

/// What became of one refresh.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Granted,
    Declined,
    Unavailable,
    Unknown,
}

impl Outcome {
    /// What a refresh came to.
    pub(crate) fn of(result: &Result<Grant, RefreshError>) -> Self {
        match result.as_ref().map_err(RefreshError::failure) {
            Ok(_) => Self::Granted,
            Err(Failure::Declined) => Self::Declined,
            Err(
                Failure::Unavailable { .. }
                | Failure::Misconfigured { .. }
                | Failure::Unexplained { .. },
            ) => Self::Unavailable,
            Err(Failure::Unknown) => Self::Unknown,
        }
    }
}

/// Told before and after each refresh.
pub(crate) trait Observe: Send + Sync + 'static {
    /// A refresh is about to be sent, for this cause, to replace the access token with this text.
    fn started(&self, cause: Cause, replaced: Option<&str>);
    /// It ended with this error.
    fn erred(&self, _error: &RefreshError) {}
    /// It ended.
    fn ended(&self, outcome: Outcome);
}

/// `refresher`, observed. A refresh whose future is dropped is told as unknown.
pub(crate) struct Observed<R, O> {
    refresher: R,
    observer: Arc<O>,
}

impl<R, O> Observed<R, O> {
    pub(crate) fn new(refresher: R, observer: Arc<O>) -> Self {
        Self { refresher, observer }
    }
}

impl<R: Refresh, O: Observe> Refresh for Observed<R, O> {
    fn refresh(
        &self,
        request: Request,
    ) -> impl Future<Output = Result<Grant, RefreshError>> + Send + 'static {
        let replaced = request.grant().and_then(Grant::access_token);
        self.observer.started(request.cause(), replaced.map(Secret::expose));
        let ending = Ending { observer: Arc::clone(&self.observer), outcome: Outcome::Unknown };
        let refresh = self.refresher.refresh(request);
        async move {
            // The whole of it is moved in, so that dropping this future tells its end.
            let mut ending = ending;
            let result = refresh.await;
            if let Err(error) = &result {
                ending.observer.erred(error);
            }
            ending.outcome = Outcome::of(&result);
            result
        }
    }

    fn revoke(&self, grant: Grant) -> impl Future<Output = ()> + Send + 'static {
        self.refresher.revoke(grant)
    }

    fn poll_in(&self) -> PollIn {
        self.refresher.poll_in()
    }

    fn client_backoff(&self) -> Option<ClientBackoff> {
        self.refresher.client_backoff()
    }
}

struct Ending<O: Observe> {
    observer: Arc<O>,
    outcome: Outcome,
}

impl<O: Observe> Drop for Ending<O> {
    fn drop(&mut self) {
        self.observer.ended(self.outcome);
    }
}
