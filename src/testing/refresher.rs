//! A refresher whose results are set by the test, one by one.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::collections::VecDeque;
use std::format;
use std::string::{String, ToString};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::Vec;

use crate::refresh::{Refresh, RefreshError, Request};
use crate::token::{Grant, Secret};

/// What a scripted refresher does with one request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Response {
    /// Returns this grant.
    Grant(Grant),
    /// Returns this error.
    Fail(RefreshError),
    /// Stays pending until [`Scripted::release`] sets the result.
    Hang,
    /// Panics.
    Panic,
}

/// A refresher that follows a script. Beyond the script it grants `at-2`, `at-3` and so on, for an
/// hour each. Clones share one script.
///
/// It records each request, and counts those that were dropped before they completed.
#[derive(Clone, Default)]
pub struct Scripted(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    responses: VecDeque<Response>,
    presented: Vec<Option<String>>,
    dropped: usize,
    revoked: Vec<String>,
    /// Results for which no request is pending yet.
    released: VecDeque<Response>,
    /// The pending requests, oldest first.
    hanging: Vec<Hanging>,
}

struct Hanging {
    request: usize,
    response: Option<Response>,
    waker: Option<Waker>,
}

impl Scripted {
    /// Creates a refresher with an empty script.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a step to the script.
    #[must_use]
    pub fn then(self, response: Response) -> Self {
        self.lock().responses.push_back(response);
        self
    }

    /// Returns the default grant for the `n`th request: `at-{n+1}` and `rt-{n+1}`.
    pub fn grant(n: usize) -> Grant {
        let next = n + 1;
        Grant::new(format!("at-{next}"), format!("rt-{next}"), Duration::from_secs(3600))
    }

    /// Completes the oldest pending request. If there is none, the result is kept for the next
    /// request that hangs.
    pub fn release(&self, response: Response) {
        let waker = {
            let mut script = self.lock();
            let hanging = script.hanging.iter_mut().find(|hanging| hanging.response.is_none());
            if let Some(hanging) = hanging {
                hanging.response = Some(response);
                hanging.waker.take()
            } else {
                script.released.push_back(response);
                None
            }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Returns how many requests were made.
    pub fn requests(&self) -> usize {
        self.lock().presented.len()
    }

    /// Returns the refresh tokens that were presented, in order.
    pub fn presented(&self) -> Vec<Option<String>> {
        self.lock().presented.clone()
    }

    /// Returns how many requests were dropped before they completed.
    pub fn dropped(&self) -> usize {
        self.lock().dropped
    }

    /// Returns the refresh tokens of the grants that were revoked.
    pub fn revoked(&self) -> Vec<String> {
        self.lock().revoked.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Script> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Scripted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let script = self.lock();
        formatter
            .debug_struct("Scripted")
            .field("requests", &script.presented.len())
            .field("dropped", &script.dropped)
            .field("revoked", &script.revoked.len())
            .finish_non_exhaustive()
    }
}

impl Refresh for Scripted {
    fn refresh(
        &self,
        request: Request,
    ) -> impl Future<Output = Result<Grant, RefreshError>> + Send + 'static {
        let mut script = self.lock();
        script.presented.push(request.refresh_token().map(|token| token.expose().to_string()));
        let number = script.presented.len();
        let response = script.responses.pop_front().unwrap_or(Response::Grant(Self::grant(number)));
        if matches!(response, Response::Hang) {
            let response = script.released.pop_front();
            script.hanging.push(Hanging { request: number, response, waker: None });
        }
        Responding { script: self.clone(), number, response: Some(response) }
    }

    fn revoke(&self, grant: Grant) -> impl Future<Output = ()> + Send + 'static {
        let token = grant.refresh_token().map(Secret::expose).unwrap_or_default().to_string();
        self.lock().revoked.push(token);
        async {}
    }
}

/// One request; `response` is taken once it was returned.
struct Responding {
    script: Scripted,
    number: usize,
    response: Option<Response>,
}

impl Responding {
    /// Returns the result that was released to it, if it hung. Otherwise `waker` is kept.
    fn released(&self, waker: Waker) -> Option<Response> {
        let mut script = self.script.lock();
        let index = script.hanging.iter().position(|it| it.request == self.number)?;
        let hanging = &mut script.hanging[index];
        let replaced = hanging.waker.replace(waker);
        let response = hanging.response.take();
        if response.is_some() {
            script.hanging.remove(index);
        }
        drop(script);
        drop(replaced);
        response
    }
}

impl Future for Responding {
    type Output = Result<Grant, RefreshError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if matches!(self.response, Some(Response::Hang)) {
            let Some(response) = self.released(cx.waker().clone()) else { return Poll::Pending };
            self.response = Some(response);
        }
        match self.response.take() {
            Some(Response::Grant(grant)) => Poll::Ready(Ok(grant)),
            Some(Response::Fail(error)) => Poll::Ready(Err(error)),
            Some(Response::Panic) => panic!("the script says to panic"),
            Some(Response::Hang) | None => Poll::Pending,
        }
    }
}

impl Drop for Responding {
    fn drop(&mut self) {
        if self.response.is_some() {
            let mut script = self.script.lock();
            script.dropped += 1;
            let index = script.hanging.iter().position(|it| it.request == self.number);
            let gone = index.map(|index| script.hanging.remove(index));
            drop(script);
            drop(gone);
        }
    }
}
