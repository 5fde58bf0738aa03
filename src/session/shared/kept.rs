//! Which refresh token is held once an answer has come, where another one came before it (rule B14).

use crate::lifecycle::FlightId;
use crate::session::exchange::received::Received;
use crate::session::ports::Ports;
use crate::session::shared::inner::Inner;
use crate::time::{Span, Timestamp};
use crate::token::Grant;

impl Inner {
    /// The grant that `received` brought, with the refresh token to hold once it has landed. Where the answer brought
    /// none, it has the one that was presented, which a late answer may have replaced since. Where there
    /// is a store, that has decided it, and the one presented may be newer than the one held here.
    pub(crate) fn keeping_refresh_token(
        &self,
        ports: &Ports,
        flight: FlightId,
        received: &Received,
    ) -> Grant {
        let answer = received.record.grant.clone();
        let decided = ports.store.is_some() || self.epoch_fence.includes(flight);
        match &self.grant {
            Some(held)
                if !decided && !brought_one(received) && !self.holds_presented_by(received) =>
            {
                answer.with_refresh_token_of(held)
            }
            Some(_) | None => answer,
        }
    }

    /// A newer refresh has landed before `received`. Rule B14: "A refresh token that was received MUST NOT be
    /// thrown away while its grant is installed", unless the newer one brought another.
    pub(crate) fn keep_refresh_token_of(&mut self, received: &Received) {
        if brought_one(received) && self.holds_presented_by(received) {
            let held = self.grant.take();
            self.grant = held.map(|held| held.with_refresh_token_of(&received.record.grant));
        }
    }

    /// Whether `stored` is what this session has stored last, and it holds another grant by now, which could
    /// not be stored.
    pub(crate) fn has_outgrown(&self, stored: &Grant) -> bool {
        self.last_stored.as_ref() == Some(stored)
            && self.unsaved.is_some()
            && self.grant.as_ref() != Some(stored)
    }

    /// When the refresh token of `grant`, which is held, was sent by the newest refresh, if that has no
    /// answer and may take `longest`. Rather too early: a window counts from it.
    pub(crate) fn sent_of(&self, grant: &Grant, longest: Span) -> Option<Timestamp> {
        let newest = self.lifecycle.newest_flight();
        let out = self.flights.has_in_flight(newest) && !self.epoch_fence.includes(newest);
        if !out || !self.stage.is_sent() || !self.holds_refresh_token_of(grant) {
            return None;
        }
        let deadline = self.flights.deadline_of(newest).or(self.lifecycle.refresh_deadline());
        deadline.map(|deadline| deadline.saturating_sub(longest))
    }

    /// Whether the refresh token that the request for `received` presented is still the one that is held.
    pub(crate) fn holds_presented_by(&self, received: &Received) -> bool {
        received.renewed.as_ref().is_some_and(|presented| self.holds_refresh_token_of(presented))
    }

    /// Whether `received` came with the refresh token that is held, in exchange for another: an answer
    /// that the server has given before.
    pub(crate) fn repeats(&self, received: &Received) -> bool {
        self.holds_refresh_token_of(&received.record.grant) && brought_one(received)
    }

    pub(crate) fn holds_refresh_token_of(&self, grant: &Grant) -> bool {
        let held = self.grant.as_ref().and_then(Grant::refresh_token);
        held.is_some_and(|held| grant.refresh_token() == Some(held))
    }
}

/// Whether the answer brought a refresh token other than the one that was presented for it.
fn brought_one(received: &Received) -> bool {
    let presented = received.renewed.as_ref().and_then(Grant::refresh_token);
    received.record.grant.refresh_token() != presented
}
