//! What a session may not send, and may not write: judged at the server's door and at the store's.

use perennial::lifecycle::Cause;

use super::ledger::Ledger;
use super::log::Corner;
use super::network::{Call, Outcome};
use super::server::{Number, Reuse};
use super::world::World;

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
        // A login that a refresh has found in the store before it ended supersedes that refresh.
        let of_login = ledger.calls.iter().filter(|index| **index >= ledger.since_login);
        let out = of_login.map(|index| &self.calls[*index]).any(|other| {
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

    /// Rule B6: a refresh token is presented again only as the server is declared to tolerate.
    fn may_show_again(&mut self, session: usize, call: &Call) {
        let ledger = &self.ledgers[session];
        if ledger.crooked || ledger.shown.contains(&call.shown) && self.is_shared(session) {
            return;
        }
        // Beyond its deadline a refresh may have been superseded, and says nothing any more.
        let declined = self
            .told_before(session, call)
            .any(|one| one.outcome == Outcome::Declined && !one.was_late);
        if declined && !self.was_contested(session) {
            self.broken(session, "B6", "it presents a grant that was declined");
        }
        self.is_accepted_client(session, call);
        let doubts = self.doubts(session, call.shown);
        let Some((first, _)) = doubts.first().copied() else { return };
        match (self.plan.reuse, self.window()) {
            (Reuse::Confirm | Reuse::Unrotated, _) => {}
            (_, Some(window)) if call.sent < first + window => {
                // A refusal that came late may have been taken for unknown before, and the window of
                // that may be over.
                let earlier = self.told_before(session, call).any(|one| {
                    one.was_late && one.sent.min(one.deadline - self.plan.deadline) < first
                });
                if call.deadline > first + window && !earlier {
                    let how = "its retry does not end within the declared window";
                    self.broken(session, "B6", how);
                }
            }
            // Once the window is over, as with strict.
            (_, Some(_) | None) => self.may_show_doubted(session, call, doubts.len()),
        }
    }

    /// Rule B6: after `invalid_client` nothing is presented to a strict server while the old token
    /// works, nor anywhere before the client's backoff is over.
    fn is_accepted_client(&mut self, session: usize, call: &Call) {
        let ledger = &self.ledgers[session];
        if call.sent < self.barred[ledger.process] {
            self.broken(session, "B6", "it asks although the server has just refused its client");
        }
        let last = self.told_before(session, call).last();
        let refused =
            last.is_some_and(|one| one.outcome == Outcome::Misconfigured && !one.was_late);
        if refused && self.plan.reuse == Reuse::Strict && self.working(session, call).is_some() {
            let how = "it presents a refresh token of a refused client while its token works";
            self.broken(session, "B6", how);
        }
    }

    /// The access token that the request would replace, where it certainly works. The store may show
    /// another one than the one that is held.
    pub(crate) fn working(&self, session: usize, call: &Call) -> Option<Number> {
        let ledger = &self.ledgers[session];
        call.with.filter(|access| {
            ledger.handed.contains(access) && is_usable(ledger, *access, call.sent)
        })
    }

    /// Rule B9: a refresh that nothing made due is paid from the budget.
    fn is_paid(&mut self, session: usize, call: &Call) {
        // Another holder may have stored a newer access token than the one that was due.
        if self.is_shared(session) {
            return;
        }
        // Within a declared window the deadline does not tell when the refresh was started.
        let ledger = &mut self.ledgers[session];
        let exact = self.plan.reuse == Reuse::Strict || ledger.store.is_none();
        let started = call.deadline - self.plan.deadline;
        let start = if ledger.store.is_none() { call.sent } else { started };
        let Some(access) = call.with else { return };
        let Some(reckoning) = ledger.reckonings.get(&access).copied() else { return };
        if matches!(call.cause, Cause::TooBrief | Cause::Rejected) {
            ledger.purse.may_have_paid(start);
        }
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
                let free = ledger.prepaid.remove(&access);
                start < reckoning.due && !free && ledger.rejected.contains(&access)
            }
        };
        let ledger = &mut self.ledgers[session];
        if paid && exact && !ledger.purse.pay(start) && !ledger.crooked {
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
