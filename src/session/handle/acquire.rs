//! Acquiring a token: one caller's wait, asynchronous or blocking.

mod ends;

use core::future::Future;
use core::num::NonZeroU64;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use crate::clock::Timer;
use crate::lifecycle::{Delay, Requested};
use crate::session::alarm::Alarm;
use crate::session::error::{Error, Kind};
use crate::session::handle::drive::spawn;
use crate::session::handle::options::{Limits, Options, Pace};
use crate::session::handle::session::Session;
use crate::session::handle::turn::{self, Caller, Wait, WaitStep};
use crate::session::ports::Ports;
use crate::session::shared::Shared;
use crate::session::shared::deferred::Deferred;
use crate::session::shared::inner::Inner;
use crate::session::singleflight::waiters::WaiterKey;
use crate::time::{Span, Timestamp};
use crate::token::AccessToken;

impl Session {
    /// Returns a usable token: at once while there is one, otherwise after the refresh, which this
    /// caller joins or starts. Await it, or call [`Acquire::wait`] on a plain thread.
    ///
    /// # Errors
    /// See [`Error`]. By default the first refresh that fails ends the wait; see
    /// [`Acquire::retry_for`]. Before reporting that a login is needed, the session rereads the store (at
    /// most about once a second), since another process may have logged in ([F4](crate::spec#f-storage)).
    ///
    /// # Cancellation
    /// Dropping the future neither cancels nor repeats the refresh.
    pub fn token(&self) -> Acquire<'_> {
        Acquire::new(self)
    }

    /// Returns a usable token, and blocks this thread until there is one. The same as `token().wait()`.
    ///
    /// # Errors
    /// As for [`token`](Session::token).
    pub fn token_blocking(&self) -> Result<AccessToken, Error> {
        self.token().wait()
    }

    /// Returns a usable token within `limit`, and keeps waiting through failures and backoff until
    /// then. The limit ends the wait, not the refresh.
    ///
    /// When awaited without a timer, neither the limit nor the end of a backoff wakes the caller.
    pub fn token_within(&self, limit: Duration) -> Acquire<'_> {
        self.token().retry_for(limit).within(limit)
    }

    /// Returns a token that stays usable for at least `duration`, after a refresh where the current one
    /// does not. Such an early refresh counts against
    /// [`budget`](crate::lifecycle::PolicyBuilder::budget); once that is spent, the error says when to retry.
    pub fn token_valid_for(&self, duration: Duration) -> Acquire<'_> {
        self.token().valid_for(duration)
    }
}

/// A wait for a token: await it, or call [`wait`](Acquire::wait) on a plain thread.
///
/// Created by [`Session::token`]. Choose its settings before the first poll. It
/// borrows the session; a task that outlives its creator owns a clone of the session: `async move {
/// session.token().await }`.
///
/// # Cancellation
/// Dropping it at any point neither cancels nor repeats the refresh.
#[must_use = "a wait does nothing until it is awaited, or `wait` is called"]
pub struct Acquire<'a> {
    session: &'a Session,
    key: Option<WaiterKey>,
    /// The number of the attempt that this caller waits for, or waited for last.
    joined: Option<NonZeroU64>,
    retry_for: Span,
    within: Option<Duration>,
    /// When the wait began, where waits are reported; otherwise the first instant.
    began: Timestamp,
    /// The timer for the limit, where the session has none.
    fallback: Option<&'a Arc<dyn Timer>>,
    /// Created when first needed: most callers need none, and there may be very many.
    options: Option<Box<Options>>,
}

/// What a caller does after one look at the session.
enum Next {
    Done(Result<AccessToken, Error>),
    /// Poll what is in flight once, and leave with this token (rule C7). An overdue refresh is judged
    /// as well (rule B13), since nobody else may be waiting for it.
    Leave {
        token: AccessToken,
        overdue: bool,
    },
    /// Wait for the attempt, until its deadline.
    Join(Timestamp),
    /// Wait until the next attempt may start.
    Pause(Timestamp),
    /// Wait while the store is looked at, until then.
    Look(Timestamp),
}

impl<'a> Acquire<'a> {
    pub(crate) fn new(session: &'a Session) -> Self {
        Self {
            session,
            key: None,
            joined: None,
            retry_for: Span::ZERO,
            within: None,
            began: Timestamp::MIN,
            fallback: None,
            options: None,
        }
    }

    /// Keeps waiting through failed refreshes for this long: the first one that fails later ends the
    /// wait. Default: zero; the first failure is returned.
    ///
    /// When awaited, it needs a timer; without one the next attempt is not waited for, and the error
    /// says when it may start.
    pub fn retry_for(mut self, retry_for: Duration) -> Self {
        self.retry_for = retry_for.into();
        self
    }

    /// Ends the wait after this long. The refresh continues. When awaited without a timer, the limit is
    /// noticed only when something else wakes the wait. Default: none.
    pub fn within(mut self, limit: Duration) -> Self {
        self.within = Some(limit);
        self
    }

    /// Uses this timer for the limit, where the session has none.
    #[cfg(feature = "http")]
    pub(crate) fn alarmed_by(mut self, timer: &'a Arc<dyn Timer>) -> Self {
        self.fallback = Some(timer);
        self
    }

    /// Requires a token that stays usable for at least this long. Default: zero.
    pub fn valid_for(mut self, duration: Duration) -> Self {
        self.options().usable_for = duration.into();
        self
    }

    /// Blocks this thread until the wait ends.
    ///
    /// # Errors
    /// As for awaiting it.
    pub fn wait(mut self) -> Result<AccessToken, Error> {
        let now = self.session.shared.now();
        if let Some(token) = self.read(now) {
            return Ok(token);
        }
        self.begin(now);
        let result = turn::wait(&mut self, now);
        self.ended(&result);
        result
    }

    fn options(&mut self) -> &mut Options {
        let timer = self.session.shared.ports.settings.timer.as_ref().or(self.fallback);
        self.options.get_or_insert_with(|| {
            Box::new(Options {
                usable_for: Span::ZERO,
                limits: None,
                too_brief: None,
                look: None,
                alarm: Alarm::new(timer.cloned()),
                pace: Pace::default(),
            })
        })
    }

    /// Returns the caller's limits, which count from the first call.
    fn limits(&mut self, now: Timestamp) -> Limits {
        if self.options.is_none() && self.retry_for == Span::ZERO && self.within.is_none() {
            return Limits::NONE;
        }
        let retry_for = now.saturating_add(self.retry_for);
        let within = self.within.map(|within| now.saturating_add(within.into()));
        let options = self.options();
        *options.limits.get_or_insert(Limits { retry_for, within })
    }

    fn usable_for(&self) -> Span {
        self.options.as_ref().map_or(Span::ZERO, |options| options.usable_for)
    }

    /// Returns the token, where it can be had without asking the lifecycle (rule C1).
    #[inline]
    fn read(&self, now: Timestamp) -> Option<AccessToken> {
        if self.usable_for() > Span::ZERO {
            return None;
        }
        self.session.shared.slot.read_at(now, AccessToken::clone)
    }

    /// Asks the lifecycle, and decides what this caller does.
    fn look(
        &mut self,
        inner: &mut Inner,
        limits: Limits,
        now: Timestamp,
        caller: Caller,
        deferred: &mut Deferred,
    ) -> Next {
        let ports: &Arc<Ports> = &self.session.shared.ports;
        if let Some(error) = self.spent(inner, limits, now) {
            inner.lifecycle.observe(&ports.settings.policy, now);
            return Next::Done(Err(error));
        }
        if inner.flights.is_reentrant() {
            // Rule C6: it "MUST get an error at once", since what it would wait for waits for it.
            return Next::Done(match &inner.token {
                Some(token) if self.ask(inner, now).hands_out() => Ok(token.clone()),
                Some(_) | None => Err(Error::new(Kind::Reentrant)),
            });
        }
        match self.handle(inner, now) {
            Requested::Use => match inner.token.clone() {
                Some(token) => {
                    let deadline = inner.lifecycle.refresh_deadline();
                    Next::Leave { token, overdue: deadline.is_some_and(|deadline| now >= deadline) }
                }
                None => Next::Done(Err(Error::new(Kind::NotReady))),
            },
            Requested::UseAndStartRefresh(start) => {
                inner.launch(ports, start, now, deferred);
                match inner.token.clone() {
                    Some(token) => Next::Leave { token, overdue: false },
                    None => Next::Join(start.deadline),
                }
            }
            Requested::StartRefresh(start) => {
                if let Some(options) = &mut self.options {
                    options.pace.start(now);
                }
                inner.launch(ports, start, now, deferred);
                self.joins(inner, start.deadline)
            }
            Requested::Wait { until } => self.joins(inner, until),
            Requested::BackOff { until, reason } => {
                let last = inner.last_failure.as_ref().map(|(_, error)| error);
                let error = Error::from_delay(reason, last, until, inner.lifecycle.state(now));
                let enough = limits.within.is_none_or(|within| until < within);
                let can_wait = caller == Caller::Thread || ports.settings.timer.is_some();
                if until <= limits.retry_for && enough && can_wait {
                    Next::Pause(until)
                } else {
                    Next::Done(Err(error))
                }
            }
            Requested::LogIn(ending) => {
                if let Some(next) = self.look_again(inner, limits, now, deferred) {
                    return next;
                }
                let told = inner.last_failure.as_ref().map(|(_, error)| error);
                let told = told.filter(|error| error.is_login_required()).cloned();
                Next::Done(Err(told.unwrap_or_else(|| Error::from_ending(ending))))
            }
        }
    }

    /// Asks the lifecycle, but starts no refresh within a millisecond of this caller's last one,
    /// however short the backoff was.
    fn handle(&mut self, inner: &mut Inner, now: Timestamp) -> Requested<Timestamp> {
        let policy = self.session.shared.policy();
        let mut next = inner.lifecycle;
        let requested = next.handle_requested_for(policy, self.usable_for(), now);
        let rest = self.options.as_mut().and_then(|options| options.pace.rest(now));
        match (requested, rest) {
            (Requested::StartRefresh(_), Some(until)) => {
                inner.lifecycle.observe(policy, now);
                Requested::BackOff { until, reason: Delay::Failure }
            }
            (Requested::UseAndStartRefresh(_), Some(_)) => {
                inner.lifecycle.observe(policy, now);
                Requested::Use
            }
            (requested, _) => {
                inner.lifecycle = next;
                requested
            }
        }
    }
}

impl Wait for Acquire<'_> {
    type Output = Result<AccessToken, Error>;

    /// Looks at the session once, and acts on it.
    fn turn(&mut self, waker: &Waker, caller: Caller, now: Timestamp) -> WaitStep<Self::Output> {
        let shared = &self.session.shared;
        let limits = self.limits(now);
        let clone = waker.clone();
        let mut deferred = Deferred::default();
        let (look, launched, woken) = {
            let mut inner = shared.lock_after_draining(self.key);
            let before = inner.lifecycle.newest_flight();
            let look = self.look(&mut inner, limits, now, caller, &mut deferred);
            let started = inner.lifecycle.newest_flight() != before;
            match look {
                Next::Join(_) | Next::Pause(_) | Next::Look(_) => {
                    let waiters = &mut inner.flights.waiters;
                    deferred.replaced = waiters.register(&mut self.key, clone);
                }
                Next::Done(_) | Next::Leave { .. } => {}
            }
            if matches!(look, Next::Leave { .. }) {
                let _ = shared.save(&mut inner, now, &mut deferred);
            }
            // A caller that only joins has changed nothing that readers may see.
            if started || matches!(look, Next::Leave { .. }) {
                inner.publish(&shared.slot, &shared.ports.settings, now, &mut deferred);
            }
            (look, started || deferred.launched, inner.flights.has_woken())
        };
        shared.finish(deferred);
        if launched {
            spawn(shared);
        }
        match look {
            Next::Done(Err(error)) if !error.is_reentrant() => {
                // The late response of an abandoned refresh may still be in flight.
                if woken && shared.drive(self.key) {
                    WaitStep::Again
                } else {
                    WaitStep::Ready(Err(error))
                }
            }
            Next::Done(result) => WaitStep::Ready(result),
            Next::Leave { token, overdue } => {
                // Rule C7: "While the old token is usable nobody MUST wait".
                if overdue {
                    shared.expire(self.key);
                } else if woken {
                    shared.drive(self.key);
                }
                WaitStep::Ready(Ok(token))
            }
            Next::Join(deadline) => self.join(limits, deadline, woken, caller, now),
            Next::Pause(until) => {
                if woken {
                    shared.drive(self.key);
                }
                WaitStep::Pending(Some(until))
            }
            // The next turn polls it.
            Next::Look(_) if woken => WaitStep::Again,
            Next::Look(until) => WaitStep::Pending(Some(until)),
        }
    }

    fn shared(&self) -> &Shared {
        &self.session.shared
    }

    fn alarm(&mut self) -> &mut Alarm {
        &mut self.options().alarm
    }
}

impl Future for Acquire<'_> {
    type Output = Result<AccessToken, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let now = self.session.shared.now();
        if let Some(token) = self.read(now) {
            return Poll::Ready(Ok(token));
        }
        self.begin(now);
        let polled = turn::poll(&mut *self, cx, now);
        if let Poll::Ready(result) = &polled {
            self.ended(result);
        }
        polled
    }
}

impl Drop for Acquire<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.session.shared.leave(key);
        }
    }
}
