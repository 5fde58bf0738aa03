//! A caller's wait for a refresh, and when it has ended without a token.

use core::fmt;
use core::num::NonZeroU64;
use core::time::Duration;

use crate::events::EventKind;
use crate::lifecycle::Requested;
use crate::offload::blocking;
use crate::primitives::contained;
use crate::session::error::{Error, Kind};
use crate::session::handle::acquire::{Acquire, Next};
use crate::session::handle::options::Limits;
use crate::session::handle::turn::{Caller, WaitStep};
use crate::session::shared::aside::Eagerness;
use crate::session::shared::deferred::Deferred;
use crate::session::shared::inner::Inner;
use crate::session::shared::side_job::Due;
use crate::time::{Span, Timestamp};
use crate::token::AccessToken;

impl Acquire<'_> {
    /// Waits for the refresh in flight, until its deadline.
    pub(super) fn joins(&mut self, inner: &Inner, deadline: Timestamp) -> Next {
        self.joined = NonZeroU64::new(inner.lifecycle.newest_flight().number());
        if let Some(options) =
            self.options.as_mut().filter(|options| options.usable_for > Span::ZERO)
        {
            options.too_brief.get_or_insert(inner.lifecycle.published());
        }
        Next::Join(deadline)
    }

    /// Waits for the attempt, and drives it where it is `woken` and nobody else does.
    pub(crate) fn join(
        &self,
        limits: Limits,
        deadline: Timestamp,
        woken: bool,
        caller: Caller,
        now: Timestamp,
    ) -> WaitStep<Result<AccessToken, Error>> {
        let mut now = now;
        if woken {
            let until = limits.within.map_or(deadline, |within| within.min(deadline));
            let may_block = match caller {
                Caller::Thread => until.since(now).to_duration(),
                Caller::Task => Duration::ZERO,
            };
            if blocking(may_block, || self.session.shared.drive(self.key)) {
                return WaitStep::Again;
            }
            now = self.session.shared.now();
        }
        if now >= deadline {
            self.session.shared.expire(self.key);
            return WaitStep::Again;
        }
        match limits.within {
            Some(within) => WaitStep::Pending(Some(deadline.min(within))),
            None => WaitStep::Parked(deadline),
        }
    }

    /// Returns how this caller, who would be told to log in, waits for another look at the store, unless
    /// it has waited for one. Rule F4: "its answer is waited for, for at most an eighth of one".
    pub(super) fn look_again(
        &mut self,
        inner: &mut Inner,
        limits: Limits,
        now: Timestamp,
        deferred: &mut Deferred,
    ) -> Option<Next> {
        let look = self.options.as_ref().and_then(|options| options.look);
        if look.is_some_and(|look| !inner.looks.is_in_flight(look, now)) {
            return None;
        }
        let due = self.session.shared.look(inner, Eagerness::Caller, now, deferred);
        let (Due::InFlight(until) | Due::Launched(until)) = due else {
            return None;
        };
        self.options().look = Some(inner.looks.last());
        let until = limits.within.map_or(until, |within| until.min(within));
        (now < until).then_some(Next::Look(until))
    }

    /// Returns why this caller's wait has ended, if it has; that includes a new token that lives no
    /// longer than the old one. Rule B7: "A failed attempt MUST end the waiting only of callers whose
    /// patience is spent". Rule C8: "A caller's own time limit MUST end its wait and not the flight."
    pub(crate) fn spent(&self, inner: &Inner, limits: Limits, now: Timestamp) -> Option<Error> {
        // A caller that has not waited for anything yet has not waited in vain.
        let joined = self.joined?;
        let usable = inner.token_works(now);
        if usable && self.usable_for() == Span::ZERO {
            return None;
        }
        if let Some((failed, error)) = &inner.last_failure {
            if failed.number() >= joined.get() && now >= limits.retry_for {
                let retry_at = self.retry_at(inner, now);
                return Some(error.clone().retry_at(retry_at).seen_in(inner.lifecycle.state(now)));
            }
        }
        if limits.within.is_some_and(|within| now >= within) {
            return Some(Error::new(Kind::TimedOut).retry_at(self.retry_at(inner, now)));
        }
        if let Some(before) = self.options.as_ref().and_then(|options| options.too_brief) {
            let renewed = inner.lifecycle.published() != before;
            if usable && renewed && !self.ask(inner, now).hands_out() {
                return Some(Error::new(Kind::TooBrief));
            }
        }
        None
    }

    /// Notes when the wait began, where waits are reported as events.
    pub(super) fn begin(&mut self, now: Timestamp) {
        // Not among the options: a hook must change nothing, and whoever has options waits otherwise.
        if self.session.shared.ports.hooks.events.is_some() && self.began == Timestamp::MIN {
            self.began = now;
        }
    }

    /// Reports a wait that has ended, unless it had nothing to wait for.
    #[inline]
    pub(super) fn ended(&self, result: &Result<AccessToken, Error>) {
        if self.began > Timestamp::MIN {
            self.report(result);
        }
    }

    #[cold]
    fn report(&self, result: &Result<AccessToken, Error>) {
        let shared = &self.session.shared;
        // A hook must change nothing: a clock that panics here costs no token.
        let Ok(now) = contained(|| shared.now()) else { return };
        if result.is_err() || self.key.is_some() || now > self.began {
            let waited = now.since(self.began).to_duration();
            let error = result.as_ref().err().map(Into::into);
            shared.report(now, || EventKind::TokenWaited { waited, error });
        }
    }

    /// Returns what the lifecycle would have this caller do.
    pub(crate) fn ask(&self, inner: &Inner, now: Timestamp) -> Requested<Timestamp> {
        let mut next = inner.lifecycle;
        next.handle_requested_for(self.session.shared.policy(), self.usable_for(), now)
    }

    /// Returns when the lifecycle would have a caller like this one do something else.
    pub(crate) fn retry_at(&self, inner: &Inner, now: Timestamp) -> Option<Timestamp> {
        let requested = self.ask(inner, now);
        if let Requested::Wait { until } | Requested::BackOff { until, .. } = requested {
            Some(until)
        } else {
            requested.start().map(|_| now)
        }
    }
}

impl fmt::Debug for Acquire<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Acquire").finish_non_exhaustive()
    }
}
