//! A caller that wants a token: one wait, asynchronous or blocking.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use super::Handle;
use super::alarm::Alarm;
use super::core::{Afterwards, Inner, Shared};
use super::error::{Error, Kind};
use super::flight::WaiterId;
use super::turn::{self, Step, Turns};
use crate::lifecycle::{Effect, Event, FlightId, Meanwhile, State, apply};
use crate::time::{Span, Timestamp};
use crate::token::AccessToken;

/// A wait for a token: await it, or [`wait`](Acquire::wait) on a plain thread.
///
/// Made by [`Session::token`](super::Session::token). Settings are chosen before the first poll.
///
/// # Cancellation
/// Dropping it at any point neither cancels nor repeats the refresh (rule C4).
#[must_use = "a wait does nothing until it is awaited, or `wait` is called"]
pub struct Acquire {
    shared: Arc<Shared>,
    _handle: Arc<Handle>,
    wishes: Wishes,
    limits: Option<Limits>,
    waiter: Option<WaiterId>,
    /// The attempt that this caller waits for, or waited for last.
    joined: Option<FlightId>,
    /// How many tokens there had been when a longer-lived one was asked for.
    too_brief: Option<u64>,
    blocking: bool,
    alarm: Alarm,
}

#[derive(Copy, Clone, Default)]
struct Wishes {
    patience: Duration,
    within: Option<Duration>,
    usable_for: Span,
}

/// The caller's limits as instants, from its first poll on.
#[derive(Copy, Clone)]
struct Limits {
    patience: Timestamp,
    within: Option<Timestamp>,
}

/// What one look at the session came to.
enum Look {
    Done(Result<AccessToken, Error>),
    /// Poll what is in the air once, and leave with this token (rule C7). Where the refresh is
    /// overdue it is judged by the way (rule B13): nobody may be waiting for it.
    Leave {
        token: AccessToken,
        overdue: bool,
    },
    /// Wait for the attempt, until its deadline.
    Join(Timestamp),
    /// Wait until the next attempt may start.
    Pause(Timestamp),
}

impl Acquire {
    pub(super) fn new(shared: Arc<Shared>, handle: Arc<Handle>) -> Self {
        let alarm = Alarm::new(shared.ports.timer.clone());
        Self {
            shared,
            _handle: handle,
            wishes: Wishes::default(),
            limits: None,
            waiter: None,
            joined: None,
            too_brief: None,
            blocking: false,
            alarm,
        }
    }

    /// How long failures are waited through \[none\]: the first attempt that fails after this ends
    /// the wait (rule B7). Async, it needs a timer; without one the next attempt is not waited
    /// for, and the error says when it may start.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.wishes.patience = patience;
        self
    }

    /// Ends the wait after this long, and not the refresh (rule C8). Async without a timer, the
    /// limit is noticed only when something else wakes the wait.
    pub fn within(mut self, limit: Duration) -> Self {
        self.wishes.within = Some(limit);
        self
    }

    /// Asks for a token that stays usable for at least this long.
    pub fn valid_for(mut self, duration: Duration) -> Self {
        self.wishes.usable_for = duration.into();
        self
    }

    /// Waits on this thread.
    ///
    /// # Errors
    /// As for awaiting it.
    pub fn wait(mut self) -> Result<AccessToken, Error> {
        self.blocking = true;
        turn::wait(&mut self)
    }

    /// Waits for the attempt, driving it where nobody else does.
    fn join(&self, limits: Limits, deadline: Timestamp) -> Step<Result<AccessToken, Error>> {
        // A limit of one's own must not be overrun by a refresher that blocks this thread.
        let leave_to_block = self.blocking && limits.within.is_none();
        if self.shared.drive(self.waiter, leave_to_block) {
            return Step::Again;
        }
        let now = self.shared.ports.clock.now();
        if now >= deadline {
            self.shared.judge(self.waiter);
            return Step::Again;
        }
        Step::Pending(Some(limits.within.map_or(deadline, |within| deadline.min(within))))
    }

    /// Asks the lifecycle, and takes its answer for this caller.
    fn look(
        &mut self,
        inner: &mut Inner,
        limits: Limits,
        now: Timestamp,
        afterwards: &mut Afterwards,
    ) -> Look {
        if let Some(error) = self.spent(inner, limits, now) {
            return Look::Done(Err(error));
        }
        let ports = &Arc::clone(&self.shared.ports);
        if inner.deck.is_reentrant() {
            // The refresher asks its own session: what would be waited for waits for this.
            return Look::Done(match &inner.token {
                Some(token) if self.ask(inner, now).hands_out() => Ok(token.clone()),
                Some(_) | None => Err(Error::new(Kind::Reentrant)),
            });
        }
        match inner.lifecycle.handle(&ports.policy, self.request(), now) {
            Effect::Use => match inner.token.clone() {
                Some(token) => {
                    let deadline = inner.lifecycle.refresh_deadline();
                    Look::Leave { token, overdue: deadline.is_some_and(|deadline| now >= deadline) }
                }
                None => Look::Done(Err(Error::new(Kind::NotReady))),
            },
            Effect::UseAndStartRefresh(start) => {
                inner.launch(ports, start, afterwards);
                match inner.token.clone() {
                    Some(token) => Look::Leave { token, overdue: false },
                    None => Look::Join(start.deadline),
                }
            }
            Effect::StartRefresh(start) => {
                inner.launch(ports, start, afterwards);
                self.joins(inner, start.deadline)
            }
            Effect::Wait { until } => self.joins(inner, until),
            Effect::BackOff { until, reason } => {
                let last = inner.last_failure.as_ref().map(|(_, error)| error);
                let error = Error::from_delay(reason, last, until);
                let enough = limits.within.is_none_or(|within| until < within);
                let can_wait = self.blocking || ports.timer.is_some();
                if until <= limits.patience && enough && can_wait {
                    Look::Pause(until)
                } else {
                    Look::Done(Err(error))
                }
            }
            Effect::LogIn(ending) => {
                let told = inner.last_failure.as_ref().map(|(_, error)| error);
                let told = told.filter(|error| error.is_login_required()).cloned();
                Look::Done(Err(told.unwrap_or_else(|| Error::from_ending(ending))))
            }
            // The lifecycle answers a request in no other way.
            Effect::Nothing
            | Effect::Publish { .. }
            | Effect::KeepRefreshToken
            | Effect::ReleaseOrphan
            | Effect::Discard
            | Effect::Withdraw
            | Effect::EndAttempt => Look::Done(Err(Error::new(Kind::NotReady))),
        }
    }

    /// What the lifecycle would answer this caller.
    fn ask(&self, inner: &Inner, now: Timestamp) -> Effect<Timestamp> {
        apply(&self.shared.ports.policy, inner.lifecycle, self.request(), now).1
    }

    fn request(&self) -> Event<Timestamp> {
        Event::Requested { usable_for: self.wishes.usable_for }
    }

    /// Waits for the refresh that is out, until its deadline.
    fn joins(&mut self, inner: &Inner, deadline: Timestamp) -> Look {
        self.joined = Some(inner.lifecycle.newest_flight());
        if self.wishes.usable_for > Span::ZERO && self.too_brief.is_none() {
            self.too_brief = Some(inner.lifecycle.published());
        }
        Look::Join(deadline)
    }

    /// Whether this caller's wait has ended: the attempt that it waited for has failed and its
    /// patience is spent (rule B7), its own limit has passed (rule C8), or the new token is no
    /// longer-lived than the old one was.
    fn spent(&self, inner: &Inner, limits: Limits, now: Timestamp) -> Option<Error> {
        let usable = match inner.lifecycle.state(now) {
            State::Valid | State::Expiring | State::Refreshing(Meanwhile::UseOld) => true,
            State::Refreshing(Meanwhile::Wait) | State::Expired(_) => false,
        };
        if usable && self.wishes.usable_for == Span::ZERO {
            return None;
        }
        if let (Some(joined), Some((failed, error))) = (self.joined, &inner.last_failure) {
            if *failed >= joined && now >= limits.patience {
                let answer = self.ask(inner, now);
                let retry_at = if let Effect::BackOff { until, .. } = answer {
                    Some(until)
                } else {
                    answer.start().map(|_| now)
                };
                return Some(error.clone().retry_at(retry_at));
            }
        }
        if limits.within.is_some_and(|within| now >= within) && self.joined.is_some() {
            return Some(Error::new(Kind::TimedOut));
        }
        if let Some(before) = self.too_brief {
            let renewed = inner.lifecycle.published() != before;
            if usable && renewed && !self.ask(inner, now).hands_out() {
                return Some(Error::new(Kind::TooBrief));
            }
        }
        None
    }
}

impl Turns for Acquire {
    type Output = Result<AccessToken, Error>;

    /// Looks at the session, and does what a caller must.
    fn turn(&mut self, waker: &Waker) -> Step<Self::Output> {
        let now = self.shared.ports.clock.now();
        let limits = *self.limits.get_or_insert_with(|| Limits {
            patience: now.saturating_add(self.wishes.patience.into()),
            within: self.wishes.within.map(|within| now.saturating_add(within.into())),
        });
        let clone = waker.clone();
        let mut afterwards = Afterwards::default();
        let (look, started) = {
            let shared = Arc::clone(&self.shared);
            let mut inner = shared.lock();
            let before = inner.lifecycle.newest_flight();
            let look = self.look(&mut inner, limits, now, &mut afterwards);
            match look {
                Look::Join(_) | Look::Pause(_) => {
                    afterwards.replaced = inner.deck.wait(&mut self.waiter, clone);
                }
                Look::Done(_) | Look::Leave { .. } => {}
            }
            (look, inner.lifecycle.newest_flight() != before)
        };
        self.shared.finish(afterwards);
        if started {
            super::keep::spawn(&self.shared);
        }
        match look {
            Look::Done(Err(error)) if !error.is_reentrant() => {
                // The late answer of a refresh that was given up may lie in the air.
                if self.shared.drive(self.waiter, false) {
                    Step::Again
                } else {
                    Step::Ready(Err(error))
                }
            }
            Look::Done(result) => Step::Ready(result),
            Look::Leave { token, overdue } => {
                // Leave to block is not given: nobody waits while the old token works.
                if overdue {
                    self.shared.judge(self.waiter);
                } else {
                    self.shared.drive(self.waiter, false);
                }
                Step::Ready(Ok(token))
            }
            Look::Join(deadline) => self.join(limits, deadline),
            Look::Pause(until) => {
                self.shared.drive(self.waiter, false);
                Step::Pending(Some(until))
            }
        }
    }

    fn parts(&mut self) -> (&Shared, &mut Alarm) {
        (&self.shared, &mut self.alarm)
    }
}

impl Future for Acquire {
    type Output = Result<AccessToken, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        turn::poll(&mut *self, cx)
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter {
            self.shared.leave(waiter);
        }
    }
}

impl fmt::Debug for Acquire {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Acquire").finish_non_exhaustive()
    }
}
