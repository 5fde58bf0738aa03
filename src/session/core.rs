//! The session's state behind its lock, and how each outcome changes it.

use core::panic::AssertUnwindSafe;
use core::task::Waker;
use std::panic::catch_unwind;
use std::prelude::rust_2024::*;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Wake;

use super::Ports;
use super::error::{Error, Kind};
use super::exchange::{Orders, Outcome, Report, Unsaved, fly};
use super::flight::{Craft, Deck, WaiterId, poll_all, wake_all};
use crate::lifecycle::{
    Effect, Event, FlightId, Lifecycle, Novelty, Policy, Reuse, Start, TokenTimes,
};
use crate::refresh::RefreshError;
use crate::store::{StoredGrant, Version, times_of_answer};
use crate::time::{Draw, Timestamp};
use crate::token::{AccessToken, Grant};

/// What all handles of one session share.
pub(super) struct Shared {
    pub(super) ports: Arc<Ports>,
    inner: Mutex<Inner>,
    /// Wakes whoever should poll what is in the air.
    waker: Waker,
}

/// The state under the lock. No user code runs while it is held (rule C6).
pub(super) struct Inner {
    pub(super) lifecycle: Lifecycle,
    /// The newest published token, usable or not; the lifecycle says which.
    pub(super) token: Option<AccessToken>,
    /// The grant to renew.
    pub(super) grant: Option<Grant>,
    /// The store's version, once it was read.
    pub(super) version: Option<Version>,
    pub(super) unsaved: Option<Unsaved>,
    pub(super) deck: Deck,
    /// The last attempt that failed, and how: told to all who waited for it.
    pub(super) last_failure: Option<(FlightId, Error)>,
    /// Counts the changes that are told to `changed()`.
    pub(super) changes: u64,
    pub(super) watchers: Vec<Waker>,
}

/// What is to be done once the lock is released: wake, drop, and call the user's code.
#[derive(Default)]
pub(super) struct Afterwards {
    wakers: Vec<Waker>,
    orphans: Vec<Grant>,
    dropped: (Option<Craft>, Option<AccessToken>, Option<Grant>, Option<Waker>),
}

/// What the clocks show, and numbers drawn, for one change of state: had before the lock is taken,
/// since both are the program's code.
#[derive(Copy, Clone)]
pub(super) struct Moment {
    pub(super) now: Timestamp,
    pub(super) wall: Timestamp,
    /// For a delay.
    pub(super) draw: Draw,
    /// For a new token.
    pub(super) jitter: Draw,
}

struct AirWaker(Weak<Shared>);

impl Wake for AirWaker {
    fn wake(self: Arc<Self>) {
        if let Some(shared) = self.0.upgrade() {
            let wakers = shared.lock().deck.wake();
            wake_all(wakers.into_iter().flatten());
        }
    }
}

impl Shared {
    pub(super) fn new(ports: Ports, session: u64, grant: Option<Grant>) -> Arc<Self> {
        let Moment { now, wall, jitter, .. } = ports.moment();
        let mut lifecycle = Lifecycle::new(session);
        let mut token = None;
        if ports.store.is_some() || !ports.needs_grant || grant.is_some() {
            // With a store, the first flight reads it; what it holds comes before this grant.
            let seed = grant.as_ref().filter(|_| ports.store.is_none());
            let times = seed
                .filter(|seed| seed.access_token().is_some())
                .map(|seed| times_of_answer(seed, now, wall, jitter));
            let effect = lifecycle.handle_installed(&ports.policy, times, now);
            token = seed.and_then(|seed| published(&lifecycle, effect, seed));
        }
        let inner = Inner {
            lifecycle,
            token,
            grant,
            version: None,
            unsaved: None,
            deck: Deck::default(),
            last_failure: None,
            changes: 0,
            watchers: Vec::new(),
        };
        Arc::new_cyclic(|shared| Self {
            ports: Arc::new(ports),
            inner: Mutex::new(inner),
            waker: Arc::new(AirWaker(Weak::clone(shared))).into(),
        })
    }

    /// Takes the lock. It is never poisoned for long: nothing under it can panic but by a bug, and
    /// what it guards is whole between statements (rule C5).
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Polls what is in the air once, if it is woken and unattended. True where something landed.
    pub(super) fn drive(&self, driver: Option<WaiterId>, blocking: bool) -> bool {
        let Some(mut crafts) = self.lock().deck.take_off(driver) else {
            return false;
        };
        let landed = poll_all(&mut crafts, &self.ports.home, &self.waker, blocking);
        let any = !landed.is_empty();
        let landed: Vec<_> =
            landed.into_iter().map(|landing| (landing, self.ports.moment())).collect();
        let mut afterwards = Afterwards::default();
        {
            let mut inner = self.lock();
            afterwards.wakers.extend(inner.deck.put_back(crafts));
            for ((flight, report), moment) in landed {
                inner.settle(&self.ports, flight, report, moment, &mut afterwards);
            }
        }
        self.finish(afterwards);
        any
    }

    /// Does what had to wait for the lock's release.
    pub(super) fn finish(&self, afterwards: Afterwards) {
        wake_all(afterwards.wakers);
        let _ = catch_unwind(AssertUnwindSafe(|| drop(afterwards.dropped)));
        for orphan in afterwards.orphans {
            self.release(orphan);
        }
    }

    /// A grant that belongs to nobody any more: the program's hook, else its revocation.
    fn release(&self, orphan: Grant) {
        if let Some(on_orphan) = &self.ports.hooks.on_orphan {
            let _ = catch_unwind(AssertUnwindSafe(|| on_orphan(orphan)));
            return;
        }
        let made = catch_unwind(AssertUnwindSafe(|| self.ports.refresher.revoke(orphan)));
        if let Ok(revocation) = made {
            let mut afterwards = Afterwards::default();
            {
                let mut inner = self.lock();
                afterwards.dropped.0 = inner.deck.launch(Craft::Revocation(revocation));
                afterwards.wakers.extend(inner.deck.hand_over());
            }
            self.finish(afterwards);
        }
    }

    /// Forgets a waiter, and hands over what it may have been woken for (rule C4).
    pub(super) fn leave(&self, waiter: WaiterId) {
        let (waker, successor) = {
            let mut inner = self.lock();
            (inner.deck.leave(waiter), inner.deck.hand_over())
        };
        drop(waker);
        wake_all(successor);
    }

    /// Judges the flight's deadline, where it has passed (rule B13). Poll the air first.
    pub(super) fn judge(&self) {
        let (now, draw) = (self.ports.clock.now(), self.ports.draw());
        let mut afterwards = Afterwards::default();
        {
            let mut inner = self.lock();
            let effect = inner.lifecycle.handle_timeout(&self.ports.policy, draw, now);
            if effect == Effect::EndAttempt {
                let overdue = inner.lifecycle.newest_flight();
                inner.fail(overdue, Error::new(Kind::Unknown), &mut afterwards);
            }
        }
        self.finish(afterwards);
    }
}

impl Drop for Shared {
    /// The last handle is gone: what only watches is told, and ends.
    fn drop(&mut self) {
        let wakers = self.lock().deck.everybody();
        wake_all(wakers);
    }
}

impl Inner {
    /// Launches the flight that the lifecycle ordered. The future is built when first polled.
    pub(super) fn launch(
        &mut self,
        ports: &Arc<Ports>,
        start: Start<Timestamp>,
        afterwards: &mut Afterwards,
    ) {
        let orders = Orders {
            cause: start.cause,
            deadline: start.deadline,
            grant: self.grant.clone(),
            version: self.version,
            unsaved: self.unsaved.clone(),
        };
        let flight = Box::pin(fly(Arc::clone(ports), orders));
        afterwards.dropped.0 = self.deck.launch(Craft::Flight(start.flight, flight));
    }

    /// Takes in what a flight brought back.
    fn settle(
        &mut self,
        ports: &Ports,
        flight: FlightId,
        report: Report,
        moment: Moment,
        afterwards: &mut Afterwards,
    ) {
        let Moment { now, wall, jitter, .. } = moment;
        self.version = report.version.or(self.version);
        if report.saved {
            self.unsaved = None;
        }
        match report.outcome {
            Outcome::Granted { grant, stored: Err(error) }
                if ports.policy.reuse() == Reuse::ConfirmByUse =>
            {
                // The old token serves until the new grant is safe (rule F2).
                self.unsaved = Some(grant);
                self.refuse(ports, flight, error.into(), moment, afterwards);
            }
            Outcome::Granted { mut grant, stored } => {
                grant.published = true;
                let answer = grant.stored.grant.clone();
                let wall_sent = grant.stored.acquired_at;
                let times = times_of_answer(&answer, grant.sent, wall_sent, jitter);
                if let Err(_unsaved) = stored {
                    self.unsaved = Some(grant);
                }
                self.land(ports, flight, answer, times, moment, afterwards);
            }
            Outcome::Adopted(stored) => {
                let nothing = times_of_answer(&stored.grant, now, wall, jitter);
                let times = stored.times(now, wall, jitter).unwrap_or(nothing);
                self.land(ports, flight, stored.grant, times, moment, afterwards);
            }
            Outcome::Loaded(stored) => {
                self.install(ports, stored, moment, afterwards);
            }
            Outcome::Empty => self.clear(&ports.policy, now, afterwards),
            Outcome::Failed(error) => {
                let failure = error.failure();
                let event = Event::RefreshFailed { flight, failure, draw: moment.draw };
                if self.lifecycle.handle(&ports.policy, event, now) == Effect::EndAttempt {
                    self.fail(flight, error.into(), afterwards);
                }
            }
            Outcome::StoreFailed(error) => {
                self.refuse(ports, flight, error.into(), moment, afterwards);
            }
        }
    }

    /// A flight that ended without a grant, for a reason that may pass.
    fn refuse(
        &mut self,
        ports: &Ports,
        flight: FlightId,
        error: Error,
        Moment { now, draw, .. }: Moment,
        afterwards: &mut Afterwards,
    ) {
        let failure = RefreshError::unavailable("").failure();
        let event = Event::RefreshFailed { flight, failure, draw };
        if self.lifecycle.handle(&ports.policy, event, now) == Effect::EndAttempt {
            self.fail(flight, error, afterwards);
        }
    }

    /// A grant has come by a flight.
    fn land(
        &mut self,
        ports: &Ports,
        flight: FlightId,
        answer: Grant,
        token: TokenTimes<Timestamp>,
        Moment { now, draw, .. }: Moment,
        afterwards: &mut Afterwards,
    ) {
        let held = self.token.as_ref().map(AccessToken::secret);
        let novelty = if held.is_some() && held == answer.access_token() {
            Novelty::Same
        } else {
            Novelty::New
        };
        let event = Event::Refreshed { flight, token, novelty, draw };
        let effect = self.lifecycle.handle(&ports.policy, event, now);
        match effect {
            Effect::Publish { .. } => {
                let token = published(&self.lifecycle, effect, &answer);
                afterwards.dropped.1 = core::mem::replace(&mut self.token, token);
                afterwards.dropped.2 = self.grant.replace(answer);
                self.tell_all(afterwards);
            }
            Effect::KeepRefreshToken => {
                afterwards.dropped.2 = self.grant.replace(answer);
                self.fail(flight, Error::new(Kind::Stillborn), afterwards);
            }
            Effect::ReleaseOrphan => {
                let held = self.grant.as_ref().and_then(Grant::refresh_token);
                // A server that answers twice may have given the very grant that is held.
                if held.is_none() || held != answer.refresh_token() {
                    afterwards.orphans.push(answer);
                }
            }
            Effect::Discard
            | Effect::Nothing
            | Effect::Use
            | Effect::UseAndStartRefresh(_)
            | Effect::StartRefresh(_)
            | Effect::Wait { .. }
            | Effect::BackOff { .. }
            | Effect::LogIn(_)
            | Effect::Withdraw
            | Effect::EndAttempt => afterwards.dropped.2 = Some(answer),
        }
    }

    /// A grant has come from outside: a login, or what the store held at the start.
    pub(super) fn install(
        &mut self,
        ports: &Ports,
        stored: StoredGrant,
        Moment { now, wall, jitter, .. }: Moment,
        afterwards: &mut Afterwards,
    ) {
        let token = stored.times(now, wall, jitter);
        let intent = stored.intent.map(|sent| crate::store::on_timeline(sent, now, wall));
        let effect = self.lifecycle.handle(&ports.policy, Event::Installed { token, intent }, now);
        let token = published(&self.lifecycle, effect, &stored.grant);
        afterwards.dropped.1 = core::mem::replace(&mut self.token, token);
        afterwards.dropped.2 = self.grant.replace(stored.grant);
        self.unsaved = None;
        self.last_failure = None;
        self.tell_all(afterwards);
    }

    /// The grant is gone: a logout, here or elsewhere (rule B11).
    pub(super) fn clear(&mut self, policy: &Policy, now: Timestamp, afterwards: &mut Afterwards) {
        let _ = self.lifecycle.handle_cleared(policy, now);
        afterwards.dropped.1 = self.token.take();
        afterwards.dropped.2 = self.grant.take();
        self.unsaved = None;
        self.last_failure = None;
        self.tell_all(afterwards);
    }

    /// Ends the attempt for those who wait for it.
    fn fail(&mut self, flight: FlightId, error: Error, afterwards: &mut Afterwards) {
        self.last_failure = Some((flight, error));
        self.tell_all(afterwards);
    }

    /// The new state is in place; all who wait or watch are to look at it (rule C3).
    pub(super) fn tell_all(&mut self, afterwards: &mut Afterwards) {
        self.changes += 1;
        afterwards.wakers.extend(self.deck.everybody());
        afterwards.wakers.append(&mut self.watchers);
    }
}

impl Afterwards {
    pub(super) fn drop_waker(&mut self, waker: Option<Waker>) {
        self.dropped.3 = waker;
    }
}

/// The token that `effect` publishes, out of `grant`.
fn published(
    lifecycle: &Lifecycle,
    effect: Effect<Timestamp>,
    grant: &Grant,
) -> Option<AccessToken> {
    match (effect, grant.access_token(), lifecycle.schedule()) {
        (Effect::Publish { generation }, Some(secret), Some(schedule)) => {
            Some(AccessToken::new(secret.clone(), generation, schedule))
        }
        _ => None,
    }
}
