//! What all handles of a session share: its ports, and its state behind a lock.

use core::panic::AssertUnwindSafe;
use core::task::Waker;
use std::collections::BTreeMap;
use std::panic::{catch_unwind, resume_unwind};
use std::prelude::rust_2024::*;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Ports;
use super::error::{Error, Kind};
use super::exchange::{Ended, Orders, Unsaved, fly};
use super::flight::{Aloft, Craft, Deck, WaiterId, discard, poll_all, wake_all};
use crate::lifecycle::{Effect, FlightId, Lifecycle, Start};
use crate::store::{Version, times_of_answer};
use crate::time::{Draw, Timestamp};
use crate::token::{AccessToken, Grant};

/// What all handles of one session share.
pub(super) struct Shared {
    pub(super) ports: Arc<Ports>,
    inner: Mutex<Inner>,
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
    /// Which flights are of an epoch that has ended.
    pub(super) ended: Arc<Ended>,
    /// The last attempt that failed, and how: told to all who waited for it.
    pub(super) last_failure: Option<(FlightId, Error)>,
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
    pub(super) wakers: Vec<Waker>,
    pub(super) orphans: Vec<Grant>,
    /// To be dropped; their destructors are the program's code.
    pub(super) crafts: Vec<Aloft>,
    pub(super) errors: Vec<Error>,
    pub(super) replaced: Option<Waker>,
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
            token = seed.and_then(|seed| super::landing::published(&lifecycle, effect, seed));
        }
        Arc::new_cyclic(|shared| {
            let inner = Inner {
                lifecycle,
                token,
                grant,
                version: None,
                unsaved: None,
                deck: Deck::new(shared.clone()),
                ended: Arc::default(),
                last_failure: None,
                watchers: Watchers::default(),
            };
            Self { ports: Arc::new(ports), inner: Mutex::new(inner) }
        })
    }

    /// Takes the lock. It is never poisoned for long: nothing under it can panic but by a bug, and
    /// what it guards is whole between statements (rule C5).
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Polls once what is woken and unattended in the air. True where something landed.
    pub(super) fn drive(&self, driver: Option<WaiterId>, blocking: bool) -> bool {
        let Some(mut crafts) = self.lock().deck.take_off(driver) else {
            return false;
        };
        let landed = poll_all(&mut crafts, &self.ports.home, blocking);
        let any = !landed.is_empty();
        // A clock that panics must not leave the air attended for ever.
        let moment = any.then(|| catch_unwind(AssertUnwindSafe(|| self.ports.moment())));
        let mut afterwards = Afterwards::default();
        {
            let mut inner = self.lock();
            inner.deck.put_back(crafts);
            if let Some(Ok(moment)) = moment {
                for (flight, report) in landed.into_iter().flatten() {
                    inner.settle(&self.ports, flight, report, moment, &mut afterwards);
                }
            }
            if any {
                // Also those who only wait until the air is clear.
                afterwards.wakers.extend(inner.deck.everybody());
            } else {
                afterwards.wakers.extend(inner.deck.hand_over());
            }
        }
        self.finish(afterwards);
        if let Some(Err(panic)) = moment {
            resume_unwind(panic);
        }
        any
    }

    /// Does what had to wait for the lock's release.
    pub(super) fn finish(&self, afterwards: Afterwards) {
        wake_all(afterwards.wakers);
        discard(afterwards.crafts);
        discard(afterwards.errors);
        discard(afterwards.replaced);
        if let Some(on_orphan) = &self.ports.hooks.on_orphan {
            for orphan in afterwards.orphans {
                let _ = catch_unwind(AssertUnwindSafe(|| on_orphan(orphan)));
            }
        }
    }

    /// Forgets a waiter, and hands over what it may have been woken for (rule C4).
    pub(super) fn leave(&self, waiter: WaiterId) {
        let (waker, successor) = {
            let mut inner = self.lock();
            (inner.deck.leave(waiter), inner.deck.hand_over())
        };
        wake_all(successor);
        discard(waker);
    }

    /// Judges the flight's deadline, where it has passed. What is in the air is polled once more
    /// before: an answer wins (rule B13).
    pub(super) fn judge(&self, driver: Option<WaiterId>) {
        self.lock().deck.arouse();
        self.drive(driver, false);
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
            flight: start.flight,
            cause: start.cause,
            deadline: start.deadline,
            grant: self.grant.clone(),
            version: self.version,
            unsaved: self.unsaved.clone(),
            ended: Arc::clone(&self.ended),
        };
        let flight = Box::pin(fly(Arc::clone(ports), orders));
        let crowded_out = self.deck.launch(Craft::Flight(start.flight, flight), start.deadline);
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
        afterwards.wakers.extend(self.deck.everybody());
        afterwards.wakers.extend(core::mem::take(&mut self.watchers.wakers).into_values());
    }
}
