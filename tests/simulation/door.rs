//! What a session may not send, and may not write: judged at the server's door and at the store's.

use perennial::lifecycle::Cause;

use super::ledger::Ledger;
use super::log::Corner;
use super::network::{Call, Outcome};
use super::server::{Number, Reuse};
use super::world::World;

/// The budget's defaults: one refresh every interval, and a window's worth at once.
const INTERVAL: i64 = 6_000;
const BUCKET: i64 = 30_000;

impl World {
    /// Judges a request before it is sent.
    pub(crate) fn may_send(&mut self, session: usize, call: &Call) {
        let ledger = &self.ledgers[session];
        let crooked = ledger.crooked;
        if ledger.let_go {
            self.broken(session, "C9", "it sends a request after its last handle was dropped");
        }
        if self.ledgers[session].out {
            self.broken(session, "B11", "it sends a request after it was logged out");
        }
        if !crooked && call.sent < self.ledgers[session].not_before {
            self.broken(session, "B7", "it sends a request before its backoff is over");
        }
        let ledger = &self.ledgers[session];
        let out = ledger.calls.iter().map(|index| &self.calls[*index]).any(|other| {
            other.listening
                && other.outcome == Outcome::Out
                && other.epoch == ledger.epoch
                && call.sent < other.deadline
        });
        if out && !crooked {
            self.broken(session, "B3", "it sends a request while another is out");
        }
        if self.ledgers[session].store.is_some() && self.ledgers[session].noted != Some(call.shown)
        {
            self.broken(session, "F2", "it sends a refresh token whose intent is not in the store");
        }
        self.may_show(session, call);
        self.may_show_again(session, call);
        self.is_paid(session, call);
        if self.plan.calm {
            self.has_cause(session, call);
        }
    }

    /// Rule B14: what was received is what is presented.
    fn may_show(&mut self, session: usize, call: &Call) {
        let ledger = &self.ledgers[session];
        let lost = ledger.newest().is_some_and(|newest| {
            // Overlapping answers are all good; a store keeps the one that it was given first.
            let twins = ledger.store.is_some() && self.server.are_twins(newest.renewal, call.shown);
            newest.renewal != call.shown && !twins && !ledger.shown.contains(&call.shown)
        });
        if lost {
            self.broken(session, "B14", "it presents another refresh token than the newest it has");
        }
        // What is presented was kept for as long as it could be of use.
        for one in &mut self.ledgers[session].received {
            one.settled |= one.renewal == call.shown;
        }
    }

    /// Rule B6: a refresh token is presented again only as the server is declared to bear.
    fn may_show_again(&mut self, session: usize, call: &Call) {
        let ledger = &self.ledgers[session];
        if ledger.crooked || ledger.shown.contains(&call.shown) && self.is_shared(session) {
            return;
        }
        let before = ledger.calls.iter().map(|index| &self.calls[*index]);
        let before =
            before.filter(|other| other.epoch == ledger.epoch && other.shown == call.shown);
        let doubts: Vec<(i64, i64)> = ledger
            .intents
            .get(&call.shown)
            .map(|sent| (*sent, i64::MIN))
            .into_iter()
            .chain(
                before
                    .clone()
                    .filter(|other| other.is_in_doubt())
                    // Its flight may have begun earlier, with a look into the store.
                    .map(|other| (other.sent.min(other.deadline - self.plan.deadline), other.sent)),
            )
            .collect();
        // Beyond its deadline a refresh may have been superseded, and says nothing any more.
        let declined =
            before.clone().any(|other| other.outcome == Outcome::Declined && !other.was_late);
        if declined && !self.was_contested(session) {
            self.broken(session, "B6", "it presents a grant that was declined");
        }
        let Some((first, _)) = doubts.first().copied() else { return };
        let closed = match (self.plan.reuse, self.window()) {
            (Reuse::Confirm | Reuse::Unrotated, _) => return,
            (_, Some(window)) => first + window,
            (_, None) => first,
        };
        if call.sent < closed && self.window().is_some() {
            if call.deadline > closed {
                self.broken(session, "B6", "its retry does not end within the declared window");
            }
            return;
        }
        // As with refuse, from here on.
        let resorts = doubts.iter().filter(|(_, sent)| *sent >= closed).count();
        let resorts = if self.window().is_none() { doubts.len() - 1 } else { resorts };
        if resorts > 0 {
            self.broken(session, "B6", "it presents a refresh token again after its last resort");
        }
        let ledger = &self.ledgers[session];
        // The store may show another access token than the one that is held.
        let usable = call.with.is_some_and(|access| {
            ledger.handed.contains(&access) && is_usable(ledger, access, call.sent)
        });
        if usable {
            self.broken(session, "B6", "it presents a doubted refresh token while its token works");
        }
    }

    /// Rule B9: a refresh that nothing made due is paid from the budget.
    fn is_paid(&mut self, session: usize, call: &Call) {
        // Another holder may have stored a newer access token than the one that was due.
        if self.is_shared(session) {
            return;
        }
        // Within a declared window the deadline does not tell when the refresh was started.
        let (start, exact) = (call.deadline - self.plan.deadline, self.window().is_none());
        let ledger = &mut self.ledgers[session];
        let Some(access) = call.with else { return };
        let Some(reckoning) = ledger.reckonings.get(&access).copied() else { return };
        let paid = match call.cause {
            Cause::NoToken | Cause::Lapsed => false,
            Cause::Due => {
                // The store may show another access token than the one that is held and due.
                let held = ledger.held.is_some_and(|held| held.access == access);
                if start < reckoning.due && held && !ledger.crooked && exact {
                    self.broken(session, "B1", "it refreshes a token as due that is not");
                }
                false
            }
            Cause::TooBrief => start < reckoning.due,
            Cause::Rejected => {
                let free = ledger.accepted.contains(&access) && ledger.tried.insert(access);
                start < reckoning.due && !free && ledger.rejected.contains(&access)
            }
        };
        if !paid || !exact {
            return;
        }
        let ledger = &mut self.ledgers[session];
        ledger.full_at = ledger.full_at.max(start) + INTERVAL;
        if ledger.full_at - start > BUCKET && !ledger.crooked {
            self.broken(session, "B9", "it refreshes past its budget");
        }
    }

    /// In a world without faults: one refresh for each token that came to its end, and no other.
    fn has_cause(&mut self, session: usize, call: &Call) {
        let ledger = &self.ledgers[session];
        let again = ledger.calls.iter().any(|index| self.calls[*index].shown == call.shown);
        if again && self.plan.reuse != Reuse::Unrotated {
            self.broken(
                session,
                "B3",
                "it refreshes the same token twice, in a world without faults",
            );
        }
        let ledger = &self.ledgers[session];
        let caused = call.with.is_none_or(|access| {
            let due = ledger.reckonings.get(&access).is_some_and(|one| call.sent >= one.due);
            due || ledger.rejected.contains(&access)
        });
        if !caused {
            self.broken(session, "B9", "it refreshes without a cause, in a world without faults");
        }
    }

    /// Judges what was just written. `before` and `after` are refresh tokens.
    pub(crate) fn may_write(
        &mut self,
        session: usize,
        before: Option<Number>,
        after: Option<(Option<Number>, Option<Number>)>,
    ) {
        let Some((access, renewal)) = after else { return };
        let Some(renewal) = renewal else {
            self.broken(session, "F1", "it writes a grant without its refresh token");
            return;
        };
        if !self.server.granted(access, renewal) {
            self.broken(session, "F1", "it writes tokens that were not granted together");
        }
        let older = before.is_some_and(|before| self.server.descends(before, renewal));
        if older {
            self.broken(session, "F1", "it writes a refresh token over one that came of it");
        }
    }

    /// Whether other sessions use the same store.
    pub(crate) fn is_shared(&self, session: usize) -> bool {
        let store = self.ledgers[session].store;
        store.is_some()
            && self
                .ledgers
                .iter()
                .enumerate()
                .any(|(index, other)| index != session && other.store == store && other.alive)
    }

    /// Whether anybody else has written to the session's store, an earlier life of it included.
    fn was_contested(&self, session: usize) -> bool {
        self.is_shared(session)
            || self.ledgers[session].store.is_some() && {
                self.counts.of(Corner::StoreLate) + self.counts.of(Corner::StoreHung) > 0
            }
    }
}

/// Whether the session certainly may hand out the token now.
pub(crate) fn is_usable(ledger: &Ledger, access: Number, now: i64) -> bool {
    let alive = ledger.reckonings.get(&access).is_some_and(|one| now < one.usable);
    alive && !ledger.rejected.contains(&access)
}
