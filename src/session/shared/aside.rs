//! What a session asks its store beside its refreshes: whether another process has logged in, and to store
//! what could not be stored before.

use std::prelude::rust_2024::*;
use std::sync::Arc;

use crate::events::GrantOrigin;
use crate::lifecycle::Requested;
use crate::refresh::BoxFuture;
use crate::session::exchange::persist::{Persisted, persist};
use crate::session::exchange::received::{Unsaved, same_credential};
use crate::session::exchange::revoke::woken_at;
use crate::session::exchange::timed_store::TimedStore;
use crate::session::panics::FirstPanic;
use crate::session::ports::{Ports, Sample};
use crate::session::shared::Shared;
use crate::session::shared::deferred::Deferred;
use crate::session::shared::inner::Inner;
use crate::session::shared::side_job::Due;
use crate::session::singleflight::flights::Job;
use crate::store::{Version, Versioned};
use crate::time::{Span, Time, Timestamp};

/// Who wants the store to be looked at.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) enum Eagerness {
    /// A caller, who would be told to log in.
    Caller,
    /// A task that keeps the token fresh, without a caller.
    Keeper,
}

impl Eagerness {
    /// Rule F4: "a store that was not read for [1/32 of a refresh deadline] MUST be read again, and its
    /// answer is waited for, for at most an eighth of one".
    fn pause(self, longest: Span) -> Span {
        match self {
            Self::Caller => Timestamp::halved(longest, 5),
            Self::Keeper => longest,
        }
    }
}

impl Shared {
    /// Looks at the store again, where no grant can be renewed. Rule F4: "what another process has stored
    /// since MUST be adopted".
    pub(crate) fn look(
        self: &Arc<Self>,
        inner: &mut Inner,
        eagerness: Eagerness,
        now: Timestamp,
        deferred: &mut Deferred,
    ) -> Due {
        // A store that this session has not read is read by a refresh. What could not be stored belongs
        // there first. Rule F4: "but not after a logout that could not be stored", which leaves no version.
        let Some(known) = inner.version.filter(|_| inner.unsaved.is_none()) else {
            return Due::Never;
        };
        let longest = self.ports.settings.longest();
        // A request that is still in flight may bring a grant, which adopting another would make an
        // orphan. After a logout it is one already.
        let ended = inner.epoch_fence.includes(inner.lifecycle.newest_flight());
        let open = inner.flights.deadline(self.longest(now)).filter(|_| !ended);
        let due = inner.looks.due(eagerness.pause(longest), longest, open, now);
        if let Due::Launched(until) = due {
            let shared = Arc::downgrade(self);
            let ports = Arc::clone(&self.ports);
            let number = inner.looks.last();
            let look = async move {
                let panic = FirstPanic::default();
                let content = match timed(&ports, until, &panic) {
                    Some(store) => store.load().await,
                    None => return,
                };
                let Some(shared) = shared.upgrade() else { return };
                let sample = ports.settings.sample();
                shared.change(sample.now, |inner, deferred| {
                    inner.looks.has_landed(number, sample.now);
                    if let Ok(content) = content {
                        inner.looked_at(&shared, known, content, sample, deferred);
                    }
                });
            };
            self.launch_aside(inner, Box::pin(look), until, deferred);
        }
        due
    }

    /// Stores the grant that could not be stored before, where there is one and no refresh is in flight,
    /// which does so first. Rule F2: "A grant that was rotated but could not be persisted MUST be kept,
    /// reported, and retried each refresh deadline while the session is in use".
    pub(crate) fn save(
        self: &Arc<Self>,
        inner: &mut Inner,
        now: Timestamp,
        deferred: &mut Deferred,
    ) -> Due {
        // Rule F2: "under confirm by use, where the old token serves until the new grant is safe", the next
        // refresh stores it, which is not far away.
        let Some(unsaved) = inner.unsaved.as_ref().filter(|unsaved| unsaved.published) else {
            return Due::Never;
        };
        let longest = self.ports.settings.longest();
        let open = inner.flights.deadline(self.longest(now));
        let due = inner.saves.due(longest, longest, open, now);
        if let Due::Launched(until) = due {
            let shared = Arc::downgrade(self);
            let ports = Arc::clone(&self.ports);
            let (unsaved, number) = (unsaved.clone(), inner.saves.last());
            let save = async move {
                let panic = FirstPanic::default();
                let persisted = match timed(&ports, until, &panic) {
                    Some(store) => persist(store, &unsaved.received, unsaved.over).await,
                    None => return,
                };
                let Some(shared) = shared.upgrade() else { return };
                let now = ports.settings.sample().now;
                shared.change(now, |inner, _| {
                    inner.saves.has_landed(number, now);
                    match persisted {
                        Ok(Persisted::Done(version)) => inner.has_saved(&unsaved, version),
                        // What another holder has stored is for the next refresh to adopt.
                        Ok(Persisted::Outpaced(..) | Persisted::Presented { .. }) => {}
                        Err(error) => inner.note_unsaved(&error),
                    }
                });
            };
            self.launch_aside(inner, Box::pin(save), until, deferred);
        }
        due
    }

    fn launch_aside(
        &self,
        inner: &mut Inner,
        job: BoxFuture<()>,
        until: Timestamp,
        deferred: &mut Deferred,
    ) {
        let job = Job::Unreported(Box::pin(woken_at(until, Arc::clone(&self.ports), job)));
        deferred.jobs.extend(inner.flights.launch(job, until));
        deferred.launched = true;
    }
}

/// Returns the store of a session, which has until `deadline`, if there is one.
fn timed<'a>(
    ports: &'a Ports,
    deadline: Timestamp,
    panic: &'a FirstPanic,
) -> Option<TimedStore<'a>> {
    let store = ports.store.as_deref()?;
    Some(TimedStore { store, ports, deadline, panic })
}

impl Inner {
    /// Notes that `unsaved` is stored at `version` now, unless another grant was received meanwhile.
    pub(crate) fn has_saved(&mut self, unsaved: &Unsaved, version: Version) {
        let saved = &unsaved.received.record;
        if self.unsaved.take_if(|present| present.received.record == *saved).is_some() {
            (self.version, self.held_at) = (Some(version), Some(version));
        }
    }

    /// Adopts what another process has stored since the store was at the version `known`.
    fn looked_at(
        &mut self,
        shared: &Shared,
        known: Version,
        content: Versioned,
        sample: Sample,
        deferred: &mut Deferred,
    ) {
        let mut next = self.lifecycle;
        // The old token may still work, for callers who do not ask for one that lives longer.
        let requested = next.handle_requested_for(shared.policy(), Span::MAX, sample.now);
        // Otherwise a login, a logout or a refresh has come first.
        let stands = self.version == Some(known) && matches!(requested, Requested::LogIn(_));
        let Some(stored) = content.grant.filter(|_| stands && content.version != known) else {
            return;
        };
        (self.version, self.held_at) = (Some(content.version), Some(content.version));
        // What was declined or logged out stays so, whoever has written it again: a late response, another
        // holder's note that it presents the same, or one that starts with it.
        let ended = self.grant.as_ref().or(self.removed.as_ref());
        if ended.is_some_and(|ended| same_credential(ended, &stored.grant)) {
            return;
        }
        let _ = self.precedence.finds_login(&stored.grant);
        self.install(&shared.ports, stored, (None, GrantOrigin::Store), sample, deferred);
    }
}
