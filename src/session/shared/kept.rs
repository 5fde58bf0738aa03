//! Which refresh token is kept once a response has come, where another one came before it, and what
//! becomes of one that is not.

use std::prelude::rust_2024::*;
use std::sync::Arc;

use crate::events::EventKind;
use crate::lifecycle::{Failed, Failure, FlightId, Meanwhile, Policy, Rejected, State};
use crate::session::exchange::received::Received;
use crate::session::exchange::revoke::revoke;
use crate::session::ports::Ports;
use crate::session::shared::deferred::Deferred;
use crate::session::shared::inner::Inner;
use crate::session::singleflight::flights::Job;
use crate::time::{Draw, Span, Timestamp};
use crate::token::{AccessToken, Grant};

impl Inner {
    /// Returns the received grant with the refresh token to keep once it has landed.
    ///
    /// A response without a refresh token has left the presented one in the grant, which a late
    /// response may have replaced since. With a store, the store has decided already, and the presented
    /// one may be newer than the one held here.
    pub(crate) fn keeping_refresh_token(
        &self,
        ports: &Ports,
        flight: FlightId,
        received: &Received,
    ) -> Grant {
        let grant = received.record.grant.clone();
        let decided = ports.store.is_some() || self.epoch_fence.includes(flight);
        match &self.grant {
            Some(held)
                if !decided && !brought_one(received) && !self.holds_presented_by(received) =>
            {
                grant.with_refresh_token_of(held)
            }
            Some(_) | None => grant,
        }
    }

    /// Keeps the refresh token of `received`, which a newer refresh has overtaken. Rule B14: "A refresh
    /// token that was received MUST NOT be thrown away while its grant is installed", unless the newer
    /// one brought another.
    pub(crate) fn keep_refresh_token_of(&mut self, received: &Received) {
        if brought_one(received) && self.holds_presented_by(received) {
            let held = self.grant.take();
            self.grant = held.map(|held| held.with_refresh_token_of(&received.record.grant));
        }
    }

    /// Returns whether `stored` is what this session has stored last, while it holds another grant by
    /// now that is still to be stored.
    pub(crate) fn has_outgrown(&self, stored: &Grant) -> bool {
        self.last_stored.as_ref() == Some(stored)
            && self.unsaved.is_some()
            && self.grant.as_ref() != Some(stored)
    }

    /// Returns whether the token that is held can be handed out at `now`.
    pub(crate) fn token_works(&self, now: Timestamp) -> bool {
        match self.lifecycle.state(now) {
            State::Valid | State::Expiring | State::Refreshing(Meanwhile::UseOld) => true,
            State::Refreshing(Meanwhile::Wait) | State::Expired(_) => false,
        }
    }

    /// Returns whether the token that is held can be handed out at `now`, and `stored` holds another
    /// access token, or none.
    pub(crate) fn works_and_is_not_in(&self, stored: &Grant, now: Timestamp) -> bool {
        let held = self.token.as_ref().map(AccessToken::secret);
        held != stored.access_token() && self.token_works(now)
    }

    /// Returns when the refresh token of `grant` was sent by the newest refresh, where that refresh was
    /// sent and is still in flight. It may have found the refresh token in the store, and may be one from
    /// before a logout, whose response the session does not wait for. `longest` is how long a refresh may
    /// take. Rather too early than too late, since a window counts from it.
    pub(crate) fn sent_of(&self, grant: &Grant, longest: Span) -> Option<Timestamp> {
        let newest = self.lifecycle.newest_flight();
        let deadline = self.flights.deadline_of(newest).or(self.lifecycle.refresh_deadline());
        let deadline = deadline.filter(|_| self.stage.presents(grant));
        deadline.map(|deadline| deadline.saturating_sub(longest))
    }

    /// Makes `grant` the one that is held, where the refresh that presents it has not met
    /// its deadline: the response belongs to it, and nobody presents it again meanwhile (rule B6). Returns
    /// whether that is so.
    pub(crate) fn is_joined_by(
        &mut self,
        grant: &Grant,
        policy: &Policy,
        now: Timestamp,
        deferred: &mut Deferred,
    ) -> bool {
        if self.lifecycle.refresh_deadline().is_none() {
            return false;
        }
        // The token that is held is of an earlier login (rule B4).
        let mut next = self.lifecycle;
        if let Some(token) = &self.token {
            if next.handle_rejected(policy, token.generation(), now) == Rejected::KeepUsing {
                return false;
            }
        }
        self.lifecycle = next;
        self.grant = Some(grant.clone());
        (self.unsaved, self.last_stored) = (None, None);
        self.notify_all(deferred);
        true
    }

    /// Returns whether the refresh token that the request for `received` presented is still the one
    /// held.
    pub(crate) fn holds_presented_by(&self, received: &Received) -> bool {
        received.renewed.as_ref().is_some_and(|presented| self.holds_refresh_token_of(presented))
    }

    /// Returns whether `received` holds the refresh token that is held, in exchange for another: the
    /// server has repeated an earlier response.
    pub(crate) fn repeats(&self, received: &Received) -> bool {
        self.holds_refresh_token_of(&received.record.grant) && brought_one(received)
    }

    /// Releases a grant that belongs to nobody any more. Rule B14: "A grant that lands after a logout
    /// or a login MUST be offered to `on_orphan`, or else revoked; a revocation has [one refresh
    /// deadline]."
    pub(crate) fn orphan(
        &mut self,
        ports: &Arc<Ports>,
        grant: Option<Grant>,
        now: Timestamp,
        deferred: &mut Deferred,
    ) {
        let held = self.grant.as_ref().and_then(Grant::refresh_token);
        // A server that repeats a response may have sent the very grant that is held.
        let grant = grant.filter(|grant| held.is_none() || held != grant.refresh_token());
        if grant.is_some() {
            self.note(|| EventKind::GrantOrphaned);
        }
        if ports.hooks.on_orphan.is_some() {
            deferred.calls().orphans.extend(grant);
        } else if let Some(grant) = grant {
            let deadline = now.saturating_add(ports.settings.longest());
            let revocation = Box::pin(revoke(Arc::clone(ports), grant, deadline));
            deferred.jobs.extend(self.flights.launch(Job::Unreported(revocation), deadline));
        }
    }

    /// Keeps the backoff of a refresh that presented the grant before it was installed: to the lifecycle, a
    /// refresh of it starts, and is not honoured.
    pub(crate) fn hold_off_until(
        &mut self,
        backoff: Option<Timestamp>,
        policy: &Policy,
        now: Timestamp,
    ) {
        let Some(until) = backoff else { return };
        let mut next = self.lifecycle;
        if let Some(start) = next.handle_requested(policy, now).start() {
            let failure = Failure::Unavailable { retry_after: Some(until.since(now)) };
            let failed = next.handle_refresh_failed(policy, start.flight, failure, Draw::NONE, now);
            if failed == Failed::EndAttempt {
                self.lifecycle = next;
            }
        }
    }

    pub(crate) fn holds_refresh_token_of(&self, grant: &Grant) -> bool {
        let held = self.grant.as_ref().and_then(Grant::refresh_token);
        held.is_some_and(|held| grant.refresh_token() == Some(held))
    }
}

/// Returns whether the response held a refresh token other than the one presented for it.
fn brought_one(received: &Received) -> bool {
    let presented = received.renewed.as_ref().and_then(Grant::refresh_token);
    received.record.grant.refresh_token() != presented
}
