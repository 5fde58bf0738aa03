//! Landing: how the report of a flight, a login and a logout change the state.

use std::prelude::rust_2024::*;
use std::sync::Arc;

use crate::events::GrantOrigin;
use crate::lifecycle::{
    Failed, Failure, FlightId, Lifecycle, Novelty, Refreshed, Reuse, TokenTimes,
};
use crate::refresh::Refused;
use crate::session::error::{Error, Kind};
use crate::session::exchange::ask::{not_sent, outrun};
use crate::session::exchange::received::{Granted, Outcome, Report, Stored, Unsaved};
use crate::session::ports::{Ports, Sample};
use crate::session::shared::deferred::Deferred;
use crate::session::shared::inner::{HeldBack, Inner, access_token};
use crate::store::times_of_grant;
use crate::time::{Draw, Timestamp};
use crate::token::{AccessToken, Grant};

/// Whether the session keeps a grant that was received.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Landed {
    Kept,
    /// A newer refresh has landed.
    Late,
    /// Its epoch has ended.
    Orphaned,
}

impl Inner {
    /// Applies the report of a flight.
    pub(crate) fn settle(
        &mut self,
        ports: &Arc<Ports>,
        flight: FlightId,
        report: Report,
        sample: Sample,
        deferred: &mut Deferred,
    ) {
        self.apply_report(ports, flight, report, sample, deferred);
        if self.unsaved.is_some() {
            // It was tried just now.
            self.saves.is_done(sample.now);
        }
        self.release_held_back(ports, sample, deferred);
    }

    fn apply_report(
        &mut self,
        ports: &Arc<Ports>,
        flight: FlightId,
        report: Report,
        sample: Sample,
        deferred: &mut Deferred,
    ) {
        let Sample { now, wall, jitter, .. } = sample;
        let of_this_epoch = !self.epoch_fence.includes(flight);
        // Superseded by a newer flight, it may still bring a grant, and changes nothing else (B3).
        let newest = of_this_epoch && flight == self.lifecycle.newest_flight();
        let from_store = (Some(flight), GrantOrigin::Store);
        if newest {
            self.version = report.version.or(self.version);
            // An earlier flight may have brought another one since.
            self.unsaved.take_if(|unsaved| report.saved.as_ref() == Some(&unsaved.received.record));
            if report.outcome.shows_grant() {
                self.held_at = self.version;
            }
        }
        match report.outcome {
            // Rule B3: "A superseded result MUST change nothing but what B14 says": the refresh token
            // that it has received is held already, and what a later refresh has shown of it stands.
            Outcome::Granted(Granted { received, stored, .. })
                if of_this_epoch && !newest && self.repeats(&received) =>
            {
                // Its source is the program's, and is dropped outside of the lock (rule C6).
                if let Stored::Failed(error) = stored {
                    deferred.errors.push(error.into());
                }
            }
            // A login with the very refresh token that was in flight: the response renews what the
            // login installed.
            Outcome::Granted(Granted { received, over, .. })
                if !of_this_epoch && self.holds_presented_by(&received) =>
            {
                let via = (Some(flight), GrantOrigin::Response);
                self.install(ports, received.record.clone(), via, sample, deferred);
                self.unsaved = over.map(|over| Unsaved { received, over, published: true });
            }
            Outcome::Granted(granted) => {
                self.granted(ports, flight, granted, sample, deferred);
            }
            // The store holds what this session wrote last, and the session has a newer grant by now.
            Outcome::Adopted { stored, .. }
                if of_this_epoch && self.has_outgrown(&stored.grant) =>
            {
                let error = outrun().into();
                let failure = Failure::Unavailable { retry_after: None };
                self.refuse(ports, flight, failure, error, sample, deferred);
            }
            // A login that has not returned yet: what was received belongs to the grant that it
            // replaces.
            Outcome::Adopted { stored, received }
                if of_this_epoch && self.precedence.finds_login(&stored.grant) =>
            {
                self.version = report.version.or(self.version);
                self.install(ports, stored, from_store, sample, deferred);
                self.orphan(ports, received, now, deferred);
            }
            // What the store holds concerns the newest flight only, which reads the store itself.
            Outcome::Adopted { stored, received }
                if of_this_epoch
                    && !newest
                    && (received.is_none() || self.holds_refresh_token_of(&stored.grant)) => {}
            Outcome::Adopted { stored, received } if of_this_epoch => {
                // The received grant belongs to one that another holder has renewed meanwhile.
                drop(received);
                self.last_stored = None;
                let nothing = times_of_grant(&stored.grant, now, wall, jitter);
                let times = stored.times(now, wall, jitter).unwrap_or(nothing);
                let grant = (stored.grant, GrantOrigin::Store);
                self.land(ports, flight, grant, times, sample, deferred);
            }
            Outcome::Adopted { received, .. } => self.orphan(ports, received, now, deferred),
            Outcome::Loaded(stored) if newest => {
                let _ = self.precedence.finds_login(&stored.grant);
                self.install(ports, stored, from_store, sample, deferred);
            }
            Outcome::Loaded(_) => {}
            // While a token works that the store does not show, callers have it.
            Outcome::InDoubt(stored) if newest && self.works_and_is_not_in(&stored.grant, now) => {
                let failure = Failure::Unavailable { retry_after: None };
                self.refuse(ports, flight, failure, Error::busy(None), sample, deferred);
            }
            Outcome::InDoubt(stored) if newest => {
                // Rule B2: nor is a token handed out "once a rejection withdrew it".
                let stored = if self.token_works(now) { stored } else { stored.lapsed() };
                self.install(ports, stored, from_store, sample, deferred);
            }
            Outcome::InDoubt(_) => {}
            Outcome::Busy(remaining) => {
                let failure = Failure::Unavailable { retry_after: None };
                self.refuse(ports, flight, failure, Error::busy(remaining), sample, deferred);
            }
            Outcome::Empty { received } => {
                if newest {
                    self.clear(&ports.settings.policy, now, deferred);
                }
                // Only now, after `clear`: it may be the very grant that was held until now.
                self.orphan(ports, received, now, deferred);
            }
            Outcome::Failed(error) => {
                let failure = error.failure();
                // A request that was not sent, since the client was refused before, waits as long as
                // that refusal says.
                let waits = newest && !self.stage.is_sent();
                let draw = match failure {
                    Failure::Misconfigured { .. } if waits => Draw::NONE,
                    Failure::Misconfigured { .. }
                    | Failure::Declined
                    | Failure::Unavailable { .. }
                    | Failure::Unexplained { .. }
                    | Failure::Unknown => sample.draw,
                };
                let sample = Sample { draw, ..sample };
                self.refuse(ports, flight, failure, error.into(), sample, deferred);
            }
            // Rule F5: "what needs the store MUST fail with a clear error and recover by itself".
            Outcome::StoreFailed(error) => {
                let failure = Failure::Unavailable { retry_after: None };
                self.refuse(ports, flight, failure, error.into(), sample, deferred);
            }
        }
    }

    /// Judges the flight's deadline, where it has expired. Rule B13: "A refresh MUST have a deadline
    /// [30 s], after which it is *unknown* if it was sent, and unavailable if not."
    pub(crate) fn expire(&mut self, ports: &Arc<Ports>, sample: Sample, deferred: &mut Deferred) {
        let Sample { now, draw, .. } = sample;
        let policy = &ports.settings.policy;
        let newest = self.lifecycle.newest_flight();
        let over = self.lifecycle.refresh_deadline().is_some_and(|deadline| now >= deadline);
        if over && self.stage.call_off() {
            let why = "nobody polled it before its deadline, or the store did not answer";
            let failure = Failure::Unavailable { retry_after: None };
            self.refuse(ports, newest, failure, not_sent(why).into(), sample, deferred);
        } else if self.lifecycle.handle_timeout(policy, draw, now) == Failed::EndAttempt {
            self.fail(newest, Error::new(Kind::Unknown), deferred);
        }
        self.release_held_back(ports, sample, deferred);
    }

    /// Lands the held-back grant, if its time has come. Rule B14: "is handed out once the repetition
    /// has landed or has met its deadline".
    pub(crate) fn release_held_back(
        &mut self,
        ports: &Arc<Ports>,
        sample: Sample,
        deferred: &mut Deferred,
    ) {
        if self.lifecycle.refresh_deadline().is_none() {
            if let Some(HeldBack { flight, grant, times }) = self.held_back.take() {
                let grant = (grant, GrantOrigin::Response);
                self.land(ports, flight, grant, times, sample, deferred);
            }
        }
    }

    /// Applies the failure of a flight that ended without a grant.
    fn refuse(
        &mut self,
        ports: &Ports,
        flight: FlightId,
        failure: Failure<Timestamp>,
        error: Error,
        Sample { now, draw, .. }: Sample,
        deferred: &mut Deferred,
    ) {
        let policy = &ports.settings.policy;
        let failed = self.lifecycle.handle_refresh_failed(policy, flight, failure, draw, now);
        if failed == Failed::EndAttempt {
            // Rule B6: "which all sessions of the client share".
            match (failure, self.stage.is_sent(), self.lifecycle.backoff_until()) {
                (Failure::Misconfigured { .. }, true, Some(until)) => {
                    self.refused =
                        ports.client_backoff.hold(self.refused, until, now, &ports.settings.policy);
                }
                // The refresh token was refused, and not the client that presented it.
                (Failure::Declined, true, _) => ports.client_backoff.lift(),
                _ => {}
            }
            if failure == Failure::Declined {
                self.looks.is_done(now);
            }
            self.fail(flight, error, deferred);
        } else {
            deferred.errors.push(error);
        }
    }

    /// Applies a grant that a refresh has received, stored or not.
    fn granted(
        &mut self,
        ports: &Arc<Ports>,
        flight: FlightId,
        Granted { mut received, over, stored }: Granted,
        sample: Sample,
        deferred: &mut Deferred,
    ) {
        ports.client_backoff.lift();
        self.refused = Refused::Never;
        let grant = self.keeping_refresh_token(ports, flight, &received);
        let acquired_at = received.record.acquired_at;
        let times = times_of_grant(&grant, received.sent, acquired_at, sample.jitter);
        let error = match stored {
            Stored::Done | Stored::NotNeeded => {
                if let Stored::Done = stored {
                    self.last_stored = Some(received.record.grant.clone());
                }
                let grant = (grant, GrantOrigin::Response);
                match self.land(ports, flight, grant, times, sample, deferred) {
                    Landed::Kept => self.unsaved = None,
                    Landed::Late => self.keep_refresh_token_of(&received),
                    Landed::Orphaned => {}
                }
                return;
            }
            Stored::Failed(error) => error,
        };
        // It is to be stored over what is there, which may be another response to the same refresh
        // token.
        received.renewed = self.last_stored.clone().or(received.renewed);
        let mut next = self.lifecycle;
        let keeps = match self.refreshed(&mut next, ports, flight, &grant, times, sample) {
            Refreshed::Publish { .. } | Refreshed::KeepRefreshToken | Refreshed::HoldBack => true,
            Refreshed::ReleaseOrphan | Refreshed::Discard => false,
        };
        if keeps && ports.settings.policy.reuse() == Reuse::ConfirmByUse {
            // Rule F2: "the old token serves until the new grant is safe".
            self.unsaved = over.map(|over| Unsaved { received, over, published: false });
            self.note_unsaved(&error);
            let error = error.into();
            let failure = Failure::Unavailable { retry_after: None };
            self.refuse(ports, flight, failure, error, sample, deferred);
            return;
        }
        let grant = (grant, GrantOrigin::Response);
        if self.land(ports, flight, grant, times, sample, deferred) == Landed::Kept {
            self.unsaved = over.map(|over| Unsaved { received, over, published: true });
            self.note_unsaved(&error);
        }
        deferred.errors.push(error.into());
    }

    /// Lands a grant that a flight has received or found.
    fn land(
        &mut self,
        ports: &Arc<Ports>,
        flight: FlightId,
        (grant, origin): (Grant, GrantOrigin),
        times: TokenTimes<Timestamp>,
        sample: Sample,
        deferred: &mut Deferred,
    ) -> Landed {
        let mut next = self.lifecycle;
        let refreshed = self.refreshed(&mut next, ports, flight, &grant, times, sample);
        self.lifecycle = next;
        match refreshed {
            Refreshed::Publish { generation } => {
                self.token = access_token(&self.lifecycle, generation, &grant);
                self.grant = Some(grant);
                self.note_arrived(Some(flight), origin);
                self.notify_all(deferred);
                Landed::Kept
            }
            Refreshed::KeepRefreshToken => {
                let error = match grant.unusable_because() {
                    Some(because) => Error::new(Kind::Unusable).with_source(Arc::new(because)),
                    None => Error::new(Kind::DeadOnArrival),
                };
                self.grant = Some(grant);
                self.fail(flight, error, deferred);
                Landed::Kept
            }
            Refreshed::ReleaseOrphan => {
                self.orphan(ports, Some(grant), sample.now, deferred);
                Landed::Orphaned
            }
            Refreshed::HoldBack => {
                // Of several grants received for one refresh token, the newest lives longest.
                if self.held_back.as_ref().is_none_or(|held| held.flight < flight) {
                    // One from the future, by a clock that went back, ages from now on (rule A5).
                    let times = TokenTimes { sent: times.sent.min(sample.now), ..times };
                    self.held_back = Some(HeldBack { flight, grant, times });
                }
                Landed::Kept
            }
            Refreshed::Discard => Landed::Late,
        }
    }

    /// Returns how `lifecycle` takes a grant that a refresh has received, and changes it accordingly.
    fn refreshed(
        &self,
        lifecycle: &mut Lifecycle,
        ports: &Ports,
        flight: FlightId,
        grant: &Grant,
        times: TokenTimes<Timestamp>,
        Sample { now, draw, .. }: Sample,
    ) -> Refreshed {
        let held = self.token.as_ref().map(AccessToken::secret);
        let same = held.is_some() && held == grant.access_token();
        let novelty = if same { Novelty::Same } else { Novelty::New };
        lifecycle.handle_refreshed(&ports.settings.policy, flight, times, novelty, draw, now)
    }
}
