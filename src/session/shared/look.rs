//! Another look at the store by a session without a grant that can be renewed: another process may have
//! logged in.

use std::prelude::rust_2024::*;
use std::sync::Arc;

use crate::lifecycle::Requested;
use crate::session::exchange::received::same_credential;
use crate::session::exchange::timed_store::TimedStore;
use crate::session::panics::FirstPanic;
use crate::session::ports::Sample;
use crate::session::shared::Shared;
use crate::session::shared::deferred::Deferred;
use crate::session::shared::inner::Inner;
use crate::session::shared::looked::{Eagerness, Look};
use crate::session::singleflight::flights::Job;
use crate::store::{Version, Versioned};
use crate::time::Timestamp;

impl Shared {
    /// Looks at the store again, where no grant can be renewed. Rule F4: "what another process has stored
    /// since MUST be adopted".
    pub(crate) fn look(
        self: &Arc<Self>,
        inner: &mut Inner,
        eagerness: Eagerness,
        now: Timestamp,
        deferred: &mut Deferred,
    ) -> Look {
        // A store that this session has not read is read by a refresh. What could not be stored belongs
        // there first.
        let Some(known) = inner.version.filter(|_| inner.unsaved.is_none()) else {
            return Look::Done;
        };
        if self.ports.store.is_none() {
            return Look::Done;
        }
        let open = inner.flights.deadline(self.longest(now));
        let look = inner.looked.look(eagerness, self.ports.settings.longest(), open, now);
        let Look::Launched(until) = look else { return look };
        let (ports, shared) = (Arc::clone(&self.ports), Arc::downgrade(self));
        let job = Box::pin(async move {
            let panic = FirstPanic::default();
            let content = match &ports.store {
                Some(store) => {
                    let (store, deadline) = (&**store, until);
                    TimedStore { store, ports: &ports, deadline, panic: &panic }.load().await
                }
                None => return,
            };
            let Some(shared) = shared.upgrade() else { return };
            let sample = ports.settings.sample();
            shared.change(sample.now, |inner, deferred| {
                inner.looked.has_landed();
                if let Ok(content) = content {
                    inner.looked_at(&shared, known, content, sample, deferred);
                }
            });
        });
        deferred.jobs.extend(inner.flights.launch(Job::Unreported(job), until));
        look
    }
}

impl Inner {
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
        let requested = next.handle_requested(shared.policy(), sample.now);
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
        self.install(&shared.ports, stored, sample, deferred);
    }
}
