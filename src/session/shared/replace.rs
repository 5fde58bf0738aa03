//! Replacing the grant: by that of a login, by what the store holds, or by none.

use std::prelude::rust_2024::*;
use std::sync::Arc;

use crate::events::GrantOrigin;
use crate::lifecycle::{FlightId, Installed, Policy};
use crate::session::ports::{Ports, Sample};
use crate::session::shared::deferred::Deferred;
use crate::session::shared::inner::{Inner, access_token};
use crate::store::{StoredGrant, on_timeline};
use crate::time::Timestamp;

impl Inner {
    /// Installs a grant that no flight requested: of a login, or what the store held. `flight` has found it
    /// there, if it was a refresh.
    pub(crate) fn install(
        &mut self,
        ports: &Ports,
        stored: StoredGrant,
        (flight, origin): (Option<FlightId>, GrantOrigin),
        Sample { now, wall, jitter, .. }: Sample,
        deferred: &mut Deferred,
    ) {
        let token = stored.times(now, wall, jitter);
        let intent = stored.intent.map(|intent| on_timeline(intent.since, now, wall));
        let policy = &ports.settings.policy;
        self.token = match self.lifecycle.handle_installed(policy, token, intent, now) {
            Installed::Publish { generation } => {
                access_token(&self.lifecycle, generation, &stored.grant)
            }
            Installed::KeepRefreshToken => None,
        };
        self.grant = Some(stored.grant);
        self.removed = None;
        self.note_arrived(flight, origin);
        self.end_epoch(deferred);
    }

    /// Removes the grant, after a logout here or elsewhere.
    pub(crate) fn clear(&mut self, policy: &Policy, now: Timestamp, deferred: &mut Deferred) {
        // Rule B11: "nothing of it is handed out any more, waiters are told, and nothing of it comes
        // back".
        self.lifecycle.handle_cleared(policy, now);
        self.looks.is_done(now);
        self.token = None;
        if self.grant.is_some() {
            self.note_removed();
        }
        self.removed = self.grant.take().or(self.removed.take());
        self.end_epoch(deferred);
    }

    fn end_epoch(&mut self, deferred: &mut Deferred) {
        self.last_stored = None;
        self.epoch_fence.through(self.lifecycle.newest_flight());
        // Grants received by earlier flights do not concern the grant to come.
        self.grants = Arc::default();
        self.unsaved = None;
        self.note_unsaved_ended();
        deferred.errors.extend(self.last_failure.take().map(|(_, error)| error));
        self.notify_all(deferred);
    }
}
