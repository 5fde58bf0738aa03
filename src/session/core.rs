//! What all handles of a session share: its ports, its published snapshot, and its state behind a
//! lock.

use core::task::Waker;
use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::prelude::rust_2024::*;
use std::sync::{Arc, PoisonError};

use super::answered::Answered;
use super::error::Error;
use super::exchange::{Ended, Orders, fly};
use super::flight::{Aloft, Craft, Deck, discard, poll_all, wake_all};
use super::landing::HeldBack;
use super::ports::{Moment, Ports, Settings};
use super::precedence::Precedence;
use super::received::{Panic, PanicKept, Unsaved};
use super::slot::{Slot, Snapshot};
use super::stage::Stage;
use super::waiters::Ticket;
use crate::lifecycle::{Effect, Event, FlightId, Lifecycle, Policy, Start, apply};
use crate::primitives::{Mutex, MutexGuard, contained};
use crate::refresh::Refused;
use crate::store::{Version, times_of_answer};
use crate::time::{Span, Timestamp};
use crate::token::{AccessToken, Grant};

/// What all handles of one session share.
pub(super) struct Shared {
    /// What readers see.
    pub(super) slot: Slot,
    pub(super) ports: Arc<Ports>,
    inner: Mutex<Inner>,
}

/// The state under the lock. No user code runs while it is held (rule C6).
pub(super) struct Inner {
    pub(super) lifecycle: Lifecycle,
    /// The newest published token, usable or not; the lifecycle says which.
    pub(super) token: Option<AccessToken>,
    /// Whether the slot holds a token now.
    exposed: bool,
    /// The grant to renew.
    pub(super) grant: Option<Grant>,
    /// The store's version, once it was read.
    pub(super) version: Option<Version>,
    pub(super) unsaved: Option<Unsaved>,
    /// What a refresh of this epoch has stored last, if nothing else was found there since.
    pub(super) last_stored: Option<Grant>,
    pub(super) deck: Deck,
    /// Which flights are of an epoch that has ended.
    pub(super) ended: Arc<Ended>,
    /// The answers that have come to flights of this epoch.
    pub(super) answered: Arc<Answered>,
    /// How far the newest flight has come.
    pub(super) stage: Arc<Stage>,
    /// An answer whose repetition is out.
    pub(super) held_back: Option<HeldBack>,
    /// The last attempt that failed, and how: told to all who waited for it.
    pub(super) last_failure: Option<(FlightId, Error)>,
    /// What the refusals of its client tell (rule B6).
    pub(super) refused: Refused,
    pub(super) precedence: Precedence,
    pub(super) watchers: Watchers,
}

/// Who watches for changes.
#[derive(Default)]
pub(super) struct Watchers {
    /// Counts the changes.
    pub(super) changes: u64,
    pub(super) wakers: BTreeMap<u64, Waker>,
    pub(super) next: u64,
}

/// What is to be done once the lock is released: wake, drop, and call the user's code.
#[derive(Default)]
pub(super) struct Afterwards {
    wakers: Vec<Option<Waker>>,
    pub(super) orphans: Vec<Grant>,
    /// To be dropped; their destructors are the program's code.
    pub(super) crafts: Vec<Aloft>,
    pub(super) errors: Vec<Error>,
    pub(super) replaced: Option<Waker>,
    snapshots: Vec<Arc<Snapshot>>,
    /// Of the program's clocks and hooks. The first goes on, once all else is done.
    panics: Vec<Panic>,
}

impl Afterwards {
    /// Whether there is nothing to do, as for most of those who come while a refresh is out.
    fn is_empty(&self) -> bool {
        self.wakers.is_empty()
            && self.orphans.is_empty()
            && self.crafts.is_empty()
            && self.errors.is_empty()
            && self.replaced.is_none()
            && self.snapshots.is_empty()
            && self.panics.is_empty()
    }

    /// Wakes all of `wakers`.
    pub(super) fn wake(&mut self, mut wakers: Vec<Option<Waker>>) {
        if self.wakers.is_empty() {
            self.wakers = wakers;
        } else {
            self.wakers.append(&mut wakers);
        }
    }
}

impl Shared {
    pub(super) fn new(ports: Ports, session: u64, grant: Option<Grant>) -> Arc<Self> {
        let settings = &ports.settings;
        let (lifecycle, token) =
            Self::begin(settings, ports.store.is_some(), session, grant.as_ref());
        let now = settings.dial.now();
        Self::resume(ports, &lifecycle, token, grant, None, Refused::Never, now)
    }

    /// The state that a session begins in. With a store, the first flight reads it; what it holds
    /// comes before `grant`.
    pub(super) fn begin(
        settings: &Settings,
        store: bool,
        session: u64,
        grant: Option<&Grant>,
    ) -> (Lifecycle, Option<AccessToken>) {
        let policy = &settings.policy;
        let Moment { now, wall, jitter, .. } = settings.moment();
        let mut lifecycle = Lifecycle::new(session);
        let mut token = None;
        if store || !settings.needs_grant || grant.is_some() {
            let seed = grant.filter(|_| !store);
            let times = seed
                .filter(|seed| seed.access_token().is_some())
                .map(|seed| times_of_answer(seed, now, wall, jitter));
            let effect = lifecycle.handle_installed(policy, times, now);
            token = seed.and_then(|seed| super::landing::published(&lifecycle, effect, seed));
        }
        (lifecycle, token)
    }

    /// A session in some state.
    pub(super) fn resume(
        ports: Ports,
        lifecycle: &Lifecycle,
        token: Option<AccessToken>,
        grant: Option<Grant>,
        version: Option<Version>,
        refused: Refused,
        now: Timestamp,
    ) -> Arc<Self> {
        let shared = Arc::new_cyclic(|shared| {
            let inner = Inner {
                lifecycle: *lifecycle,
                token,
                exposed: false,
                grant,
                version,
                unsaved: None,
                last_stored: None,
                deck: Deck::new(shared.clone()),
                ended: Arc::default(),
                answered: Arc::default(),
                stage: Arc::default(),
                held_back: None,
                last_failure: None,
                refused,
                precedence: Precedence::default(),
                watchers: Watchers::default(),
            };
            let slot = Slot::new(ports.settings.dial.clone());
            Self { slot, ports: Arc::new(ports), inner: Mutex::new(inner) }
        });
        shared.change(now, |_, _| {});
        shared
    }

    /// Takes the lock, once what was given up and still lies in the air has been heard, where it
    /// wants to be: its answer comes before another try with the same refresh token (rule B14).
    pub(super) fn lock_having_heard(&self, driver: Option<Ticket>) -> MutexGuard<'_, Inner> {
        let mut inner = self.lock();
        if inner.lifecycle.refresh_deadline().is_some() {
            return inner;
        }
        if inner.answered.is_landing() {
            // A store that hangs wakes nobody, and the time that it has may be over.
            inner.deck.arouse();
        }
        if !inner.deck.is_called() {
            return inner;
        }
        drop(inner);
        self.drive(driver);
        self.lock()
    }

    /// Changes the state under the lock, publishes what readers may see of it, and only then wakes
    /// and drops. Rule C3: "New state MUST be published before anybody is woken."
    pub(super) fn change<R>(
        &self,
        now: Timestamp,
        change: impl FnOnce(&mut Inner, &mut Afterwards) -> R,
    ) -> R {
        let mut afterwards = Afterwards::default();
        let result = {
            let mut inner = self.lock();
            let result = change(&mut inner, &mut afterwards);
            inner.publish(self, now, &mut afterwards);
            result
        };
        self.finish(afterwards);
        result
    }

    /// When what is launched `now` should have landed.
    pub(super) fn longest(&self, now: Timestamp) -> Timestamp {
        now.saturating_add(self.ports.settings.longest())
    }

    /// Takes the lock. It is never poisoned for long: nothing under it can panic but by a bug, and
    /// what it guards is whole between statements (rule C5: "No lock stays poisoned").
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Polls once what is woken and unattended in the air. True where something landed.
    pub(super) fn drive(&self, driver: Option<Ticket>) -> bool {
        let Some(mut crafts) = self.lock().deck.take_off(driver) else {
            return false;
        };
        let landed = poll_all(&mut crafts, &self.ports);
        if landed.is_empty() {
            let successor = {
                let mut inner = self.lock();
                inner.deck.put_back(crafts);
                inner.deck.hand_over()
            };
            wake_all([successor]);
            return false;
        }
        // A clock that panics costs no grant, and does not leave the air attended for ever.
        let panic = PanicKept::default();
        let moment = panic.call(|| self.ports.settings.moment());
        let set_out = landed.iter().flatten().map(|(_, report)| report.set_out.now).max();
        let now = moment.map(|moment| moment.now).or(set_out).unwrap_or(Timestamp::MIN);
        self.change(now, |inner, afterwards| {
            inner.deck.put_back(crafts);
            for (flight, mut report) in landed.into_iter().flatten() {
                afterwards.panics.extend(report.panic.take());
                let moment = moment.unwrap_or(Moment::of(report.set_out));
                inner.settle(&self.ports, flight, report, moment, afterwards);
            }
            // Also those who only wait until the air is clear.
            afterwards.wake(inner.deck.waiters.call_all());
            afterwards.panics.extend(panic.take());
        });
        true
    }

    /// Does what had to wait for the lock's release. Rule C6: "No user code may run under a lock."
    #[inline]
    pub(super) fn finish(&self, afterwards: Afterwards) {
        if !afterwards.is_empty() {
            self.finish_all(afterwards);
        }
    }

    fn finish_all(&self, mut afterwards: Afterwards) {
        wake_all(afterwards.wakers);
        discard(afterwards.crafts);
        discard(afterwards.errors);
        discard(afterwards.replaced);
        discard(afterwards.snapshots);
        if let Some(on_orphan) = &self.ports.hooks.on_orphan {
            for orphan in afterwards.orphans {
                afterwards.panics.extend(contained(|| on_orphan(orphan)).err());
            }
        }
        let mut panics = afterwards.panics.into_iter();
        if let Some(panic) = panics.next() {
            discard(panics);
            resume_unwind(panic);
        }
    }

    /// Forgets a waiter, and hands over what it may have been woken for. Rule C4: "Dropping any
    /// caller, at any await point, or all of them, MUST neither cancel nor repeat the flight."
    pub(super) fn leave(&self, waiter: Ticket) {
        let (waker, successor) = {
            let mut inner = self.lock();
            (inner.deck.leave(waiter), inner.deck.hand_over())
        };
        if successor.is_some() {
            wake_all([successor]);
        }
        if waker.is_some() {
            discard(waker);
        }
    }

    /// Judges the flight's deadline, where it has passed. Rule B13: "A refresh MUST be polled once
    /// more before its deadline is judged: an answer wins."
    pub(super) fn judge(&self, driver: Option<Ticket>) {
        self.lock().deck.arouse();
        self.drive(driver);
        let moment = self.ports.settings.moment();
        self.change(moment.now, |inner, afterwards| {
            inner.judge(&self.ports, moment, afterwards);
        });
    }
}

impl Drop for Shared {
    /// The last handle is gone: what only watches is told, and ends.
    fn drop(&mut self) {
        let wakers = self.lock().deck.waiters.call_all();
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
        self.stage = Arc::default();
        let orders = Orders {
            stage: Arc::clone(&self.stage),
            flight: start.flight,
            cause: start.cause,
            deadline: start.deadline,
            grant: self.grant.clone(),
            version: self.version,
            unsaved: self.unsaved.clone(),
            refused: self.refused,
            ended: Arc::clone(&self.ended),
            answered: Arc::clone(&self.answered),
            landed: self.answered.landed(),
        };
        let answer = Box::pin(fly(Arc::clone(ports), orders));
        let craft = Craft::flight(start.flight, answer, start.deadline, Arc::clone(&self.stage));
        let crowded_out = self.deck.launch(craft, start.deadline);
        afterwards.crafts.extend(crowded_out);
    }

    /// Ends the attempt for those who wait for it.
    pub(super) fn fail(&mut self, flight: FlightId, error: Error, afterwards: &mut Afterwards) {
        let before = self.last_failure.replace((flight, error));
        afterwards.errors.extend(before.map(|(_, error)| error));
        self.tell_all(afterwards);
    }

    /// The new state is in place; all who wait or watch are to look at it (rule C3).
    pub(super) fn tell_all(&mut self, afterwards: &mut Afterwards) {
        self.watchers.changes += 1;
        afterwards.wake(self.deck.waiters.call_all());
        let watchers = core::mem::take(&mut self.watchers.wakers);
        afterwards.wake(watchers.into_values().map(Some).collect());
    }

    /// Publishes the token, where it can be handed out with no question asked, and for how long;
    /// withdraws it otherwise (rules B2, C1).
    pub(super) fn publish(&mut self, shared: &Shared, now: Timestamp, afterwards: &mut Afterwards) {
        let settings = &shared.ports.settings;
        // What is in the air and has no task of its own is polled by whoever comes (rule C4).
        let attended = settings.spawner.is_some() || self.deck.is_over(now, shared.longest(now));
        let token = self.token.clone().filter(|_| attended);
        let snapshot = token.and_then(|token| {
            let until = undisturbed_until(&self.lifecycle, &settings.policy, now)?;
            Some(Snapshot::new(token, now, until))
        });
        if self.exposed || snapshot.is_some() {
            self.exposed = snapshot.is_some();
            afterwards.snapshots.extend(shared.slot.publish(snapshot));
        }
    }
}

/// Until when callers are simply given the token; `None` where one that comes now is not.
fn undisturbed_until(lifecycle: &Lifecycle, policy: &Policy, now: Timestamp) -> Option<Timestamp> {
    let request = Event::Requested { usable_for: Span::ZERO };
    let (_, effect) = apply(policy, *lifecycle, request, now);
    // Nothing visible changes before the timeout, and that answer is visible (rule B12).
    let until = lifecycle.poll_timeout(policy, now).map_or(Timestamp::MAX, |timeout| timeout.at);
    (effect == Effect::Use).then_some(until)
}
