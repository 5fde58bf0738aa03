//! What all handles of a session share: its ports, its published snapshot, and its state behind a lock.

pub(super) mod aside;
pub(super) mod deferred;
pub(super) mod inner;
mod kept;
mod landing;
pub(super) mod precedence;
mod replace;
mod report;
mod reporting;
pub(super) mod side_job;
pub(super) mod snapshot;

use std::panic::resume_unwind;
use std::prelude::rust_2024::*;
use std::sync::{Arc, PoisonError, Weak};

use crate::lifecycle::{Installed, Lifecycle, Policy};
use crate::primitives::{Mutex, MutexGuard, contained, discard, wake_all};
use crate::refresh::Refused;
use crate::session::exchange::received::Report;
use crate::session::panics::FirstPanic;
use crate::session::ports::{Ports, Sample, Settings};
use crate::session::shared::deferred::{Calls, Deferred};
use crate::session::shared::inner::{Inner, Watchers, access_token};
use crate::session::shared::precedence::Precedence;
use crate::session::shared::reporting::Reporting;
use crate::session::shared::side_job::SideJob;
use crate::session::shared::snapshot::Slot;
use crate::session::singleflight::flights::{Flights, Host, poll_all};
use crate::session::singleflight::waiters::WaiterKey;
use crate::store::{Version, times_of_grant};
use crate::time::Timestamp;
use crate::token::{AccessToken, Grant};

/// What all handles of one session share.
pub(crate) struct Shared {
    /// The published snapshot, which readers see.
    pub(crate) slot: Slot,
    pub(crate) ports: Arc<Ports>,
    inner: Mutex<Inner>,
}

impl Shared {
    pub(crate) fn new(ports: Ports, session: u64, grant: Option<Grant>) -> Arc<Self> {
        let settings = &ports.settings;
        let (lifecycle, token) =
            Self::begin(settings, ports.store.is_some(), session, grant.as_ref());
        let now = settings.clock.now();
        let shared = Self::resume(ports, &lifecycle, token, grant, None, Refused::Never, now);
        // Not for one that `keyed` resumes under a lock: that is reported with its next event.
        if shared.ports.hooks.events.is_some() {
            shared.change(now, |_, _| {});
        }
        shared
    }

    /// Returns the state that a session starts in. With a store, the first flight reads the store, and
    /// what it holds takes precedence over `grant`.
    pub(crate) fn begin(
        settings: &Settings,
        store: bool,
        session: u64,
        grant: Option<&Grant>,
    ) -> (Lifecycle, Option<AccessToken>) {
        let policy = &settings.policy;
        let Sample { now, wall, jitter, .. } = settings.sample();
        let mut lifecycle = Lifecycle::new(session);
        let mut token = None;
        if store || !settings.needs_grant || grant.is_some() {
            let seed = grant.filter(|_| !store);
            let times = seed
                .filter(|seed| seed.access_token().is_some())
                .map(|seed| times_of_grant(seed, now, wall, jitter));
            token = match (lifecycle.handle_installed(policy, times, None, now), seed) {
                (Installed::Publish { generation }, Some(seed)) => {
                    access_token(&lifecycle, generation, seed)
                }
                (Installed::Publish { .. } | Installed::KeepRefreshToken, _) => None,
            };
        }
        (lifecycle, token)
    }

    /// Creates a session in the given state. Calls none of the program's code.
    pub(crate) fn resume(
        ports: Ports,
        lifecycle: &Lifecycle,
        token: Option<AccessToken>,
        grant: Option<Grant>,
        version: Option<Version>,
        refused: Refused,
        now: Timestamp,
    ) -> Arc<Self> {
        let shared = Arc::new_cyclic(|shared| {
            let host: Weak<dyn Host<Report>> = Weak::<Self>::clone(shared);
            let inner = Inner {
                lifecycle: *lifecycle,
                token,
                exposed: false,
                grant,
                version,
                held_at: version,
                launched: None,
                seen_note: Arc::default(),
                unsaved: None,
                last_stored: None,
                flights: Flights::new(host),
                epoch_fence: Arc::default(),
                grants: Arc::default(),
                stage: Arc::default(),
                held_back: None,
                last_failure: None,
                refused,
                precedence: Precedence::default(),
                watchers: Watchers::default(),
                looks: SideJob::default(),
                saves: SideJob::default(),
                removed: None,
                reporting: Reporting::new(&ports, lifecycle),
            };
            let slot = Slot::new(ports.settings.clock.clone());
            Self { slot, ports: Arc::new(ports), inner: Mutex::new(inner) }
        });
        let mut deferred = Deferred::default();
        shared.lock().expose(&shared.slot, &shared.ports.settings, now, &mut deferred);
        shared.finish(deferred);
        shared
    }

    /// Takes the lock, after it has polled abandoned refreshes that are still in flight and have been
    /// woken: their responses come before another request with the same refresh token (rule B14).
    pub(crate) fn lock_after_draining(&self, driver: Option<WaiterKey>) -> MutexGuard<'_, Inner> {
        let mut inner = self.lock();
        if inner.lifecycle.refresh_deadline().is_some() {
            return inner;
        }
        if inner.grants.is_landing() {
            // A store that hangs wakes nobody, and its deadline may have expired.
            inner.flights.mark_all_woken();
        }
        if !inner.flights.has_woken() {
            return inner;
        }
        drop(inner);
        self.drive(driver);
        self.lock()
    }

    /// Changes the state under the lock, publishes what readers may see of it, and only then wakes and
    /// drops. Rule C3: "New state MUST be published before anybody is woken."
    pub(crate) fn change<R>(
        &self,
        now: Timestamp,
        change: impl FnOnce(&mut Inner, &mut Deferred) -> R,
    ) -> R {
        let mut deferred = Deferred::default();
        let result = {
            let mut inner = self.lock();
            let result = change(&mut inner, &mut deferred);
            inner.publish(&self.slot, &self.ports.settings, now, &mut deferred);
            result
        };
        self.finish(deferred);
        result
    }

    /// Returns the time on the session's clock.
    #[inline]
    pub(crate) fn now(&self) -> Timestamp {
        self.slot.clock.now()
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.ports.settings.policy
    }

    /// Returns by when a refresh that is launched `now` should have landed.
    pub(crate) fn longest(&self, now: Timestamp) -> Timestamp {
        now.saturating_add(self.ports.settings.longest())
    }

    /// Takes the lock. A poisoned lock is used as it is: nothing under it can panic but by a bug, and
    /// what it guards is consistent between statements (rule C5: "No lock stays poisoned").
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Polls once whatever is in flight, woken and unattended. Returns true where something landed.
    pub(crate) fn drive(&self, driver: Option<WaiterKey>) -> bool {
        let Some(mut jobs) = self.lock().flights.take_woken(driver) else {
            return false;
        };
        let landed = poll_all(&mut jobs, &self.ports);
        if landed.is_empty() {
            let successor = {
                let mut inner = self.lock();
                inner.flights.put_back(jobs);
                inner.flights.hand_over()
            };
            wake_all([successor]);
            return false;
        }
        // A clock that panics costs no grant, and does not leave the flights attended for ever.
        let panic = FirstPanic::default();
        let sample = panic.call(|| self.ports.settings.sample());
        let launched = landed.iter().flatten().map(|(_, report)| report.launched.now).max();
        let now = sample.map(|sample| sample.now).or(launched).unwrap_or(Timestamp::MIN);
        self.change(now, |inner, deferred| {
            inner.flights.put_back(jobs);
            for (flight, mut report) in landed.into_iter().flatten() {
                if let Some(panic) = report.panic.take() {
                    deferred.calls().panics.push(panic);
                }
                let sample = sample.unwrap_or(Sample::of(report.launched));
                inner.settle(&self.ports, flight, report, sample, deferred);
            }
            // This includes those who only wait until nothing is in flight.
            deferred.wake(inner.flights.waiters.take_all());
            if let Some(panic) = panic.take() {
                deferred.calls().panics.push(panic);
            }
        });
        true
    }

    /// Does the deferred work. Rule C6: "No user code may run under a lock."
    #[inline]
    pub(crate) fn finish(&self, deferred: Deferred) {
        if !deferred.is_empty() {
            self.finish_all(deferred);
        }
    }

    fn finish_all(&self, deferred: Deferred) {
        wake_all(deferred.wakers);
        if let Some(calls) = &deferred.calls {
            self.report_all(&calls.events);
        }
        discard(deferred.jobs);
        discard(deferred.errors);
        discard(deferred.replaced);
        discard(deferred.snapshots);
        let Some(calls) = deferred.calls else { return };
        let Calls { orphans, mut panics, .. } = *calls;
        if let Some(on_orphan) = &self.ports.hooks.on_orphan {
            for orphan in orphans {
                panics.extend(contained(|| on_orphan(orphan)).err());
            }
        }
        let mut panics = panics.into_iter();
        if let Some(panic) = panics.next() {
            discard(panics);
            resume_unwind(panic);
        }
    }

    /// Removes a waiter, and passes on the wake-up that it may have got. Rule C4: "Dropping any caller,
    /// at any await point, or all of them, MUST neither cancel nor repeat the flight."
    pub(crate) fn leave(&self, waiter: WaiterKey) {
        let (waker, successor) = {
            let mut inner = self.lock();
            (inner.flights.leave(waiter), inner.flights.hand_over())
        };
        if successor.is_some() {
            wake_all([successor]);
        }
        if waker.is_some() {
            discard(waker);
        }
    }

    /// Judges the flight's deadline, where it has expired. Rule B13: "A refresh MUST be polled once
    /// more before its deadline is judged: an answer wins."
    pub(crate) fn expire(&self, driver: Option<WaiterKey>) {
        self.lock().flights.mark_all_woken();
        self.drive(driver);
        let sample = self.ports.settings.sample();
        self.change(sample.now, |inner, deferred| {
            inner.expire(&self.ports, sample, deferred);
        });
    }
}

impl Drop for Shared {
    /// Wakes those who only watch, since the last handle is gone: they end.
    fn drop(&mut self) {
        let wakers = self.lock().flights.waiters.take_all();
        wake_all(wakers);
        self.report_end();
    }
}

impl Host<Report> for Shared {
    fn with_flights(&self, change: &mut dyn FnMut(&mut Flights<Report>)) {
        change(&mut self.lock().flights);
    }
}
