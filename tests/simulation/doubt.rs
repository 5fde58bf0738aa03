//! What is known of requests whose outcome is not: the windows, the late answers, and the client.

use super::ledger::Ledger;
use super::log::Corner;
use super::network::{Call, Outcome};
use super::server::{Number, Reuse};
use super::world::World;

/// For how long nobody asks at least, once the server has refused the client.
const REFUSED: i64 = 30_000;

impl World {
    /// When each request of this epoch whose outcome is not known, and which presented `shown`, was
    /// started at the earliest, and was sent.
    pub(crate) fn doubts(&self, session: usize, shown: Number) -> Vec<(i64, i64)> {
        let ledger = &self.ledgers[session];
        let calls = ledger.calls.iter().map(|index| &self.calls[*index]);
        let calls = calls
            .filter(|call| call.epoch == ledger.epoch && call.shown == shown && call.is_in_doubt());
        // Its flight may have begun earlier, with a look into the store.
        let calls =
            calls.map(|call| (call.sent.min(call.deadline - self.plan.deadline), call.sent));
        let intent = ledger.intents.get(&shown).map(|sent| (*sent, *sent));
        intent.into_iter().chain(calls).collect()
    }

    /// The longest backoff within the declared window, where a refresh is in doubt and that may still
    /// be open.
    pub(crate) fn longest_in_window(&self, session: usize, index: usize) -> Option<i64> {
        let window = self.window()?;
        let ledger = &self.ledgers[session];
        let (_, latest) = *self.doubts(session, self.calls[index].shown).first()?;
        (ledger.now() < latest + window).then_some(window / 8)
    }

    /// The window that the server declares, if it does.
    pub(crate) fn window(&self) -> Option<i64> {
        match self.plan.reuse {
            Reuse::OverlapSuccessors(window) | Reuse::Idempotent(window) => Some(window),
            Reuse::Strict | Reuse::Confirm | Reuse::Unrotated => None,
        }
    }

    /// Rule B6: "on a backoff of [30 s to 10 min], which all sessions of the client share". With a
    /// store the session learns of it later, once that is told, too.
    pub(crate) fn client_heard(
        &mut self,
        session: usize,
        outcome: Outcome,
        counts: bool,
        now: i64,
    ) {
        let ledger = &mut self.ledgers[session];
        let (process, sure) = (ledger.process, ledger.store.is_none() && counts);
        match outcome {
            // Where it was refused before, others may have been accepted since.
            Outcome::Misconfigured if std::mem::replace(&mut ledger.refused, true) => {}
            Outcome::Misconfigured if sure => self.barred[process] = now + REFUSED,
            Outcome::Granted => {
                ledger.refused = false;
                self.barred[process] = i64::MIN;
            }
            Outcome::Declined => self.barred[process] = i64::MIN,
            _ => {}
        }
    }

    /// Whether no refresh without a store can have failed that was never sent: one that a task was to
    /// drive, or whose client had been refused.
    pub(crate) fn all_is_seen(&self, session: usize) -> bool {
        let Ledger { process, spawns, .. } = self.ledgers[session];
        let refused = |call: &Call| {
            call.outcome == Outcome::Misconfigured && self.ledgers[call.session].process == process
        };
        !spawns && !self.calls.iter().any(refused)
    }

    /// Whether the newest request has met its deadline, or may have: no answer to it was heard.
    pub(crate) fn may_be_overdue(&self, session: usize) -> bool {
        let ledger = &self.ledgers[session];
        ledger.calls.last().is_some_and(|newest| self.calls[*newest].outcome == Outcome::Out)
    }

    /// Another request is sent: where the newest was not answered, its outcome is unknown, which ends a row
    /// of refusals without a reason (rule B6); what it held back has landed at its deadline.
    pub(crate) fn gave_up(&mut self, session: usize) {
        if self.may_be_overdue(session) {
            self.ledgers[session].held_back = false;
            self.ledgers[session].unexplained = None;
            self.ledgers[session].unsure = false;
        }
    }

    /// Whether a refresh may have failed since the token that is held has come.
    pub(crate) fn may_be_held_off(&self, session: usize) -> bool {
        let ledger = &self.ledgers[session];
        let newest = ledger.calls.last().map(|newest| self.calls[*newest].outcome);
        let sound = ledger.failures == 0 && !ledger.same_again;
        let renewed = sound && newest.is_none_or(|it| it == Outcome::Granted);
        !renewed || ledger.store.is_some() || !self.all_is_seen(session)
    }

    /// A grant came after its deadline.
    pub(crate) fn saw_late(&mut self, session: usize, index: usize, now: i64) {
        let newest = self.ledgers[session].calls.last().copied();
        let newest = newest.map(|newest| (newest, &self.calls[newest]));
        match newest {
            Some((newest, _)) if newest == index => self.saw(Corner::LateUsed),
            Some((_, call))
                if self.plan.reuse == Reuse::Confirm
                    && call.epoch == self.calls[index].epoch
                    && call.outcome == Outcome::Out
                    && call.listening =>
            {
                let is_out = now < call.deadline;
                // Where nobody has noticed its deadline yet, it is out all the same.
                self.ledgers[session].held_back = true;
                if is_out {
                    self.saw(Corner::HeldBack);
                }
            }
            _ => {}
        }
    }

    /// Rule B6, strict and after a window: a refresh token in doubt is presented again only once the
    /// old access token is nearly over, and once no late answer is waited for any more.
    pub(crate) fn may_show_doubted(&mut self, session: usize, call: &Call, doubts: usize) {
        self.saw(Corner::AskedAgain);
        if doubts > 2 {
            self.saw(Corner::AskedOften);
        }
        let waited = |other: &Call| {
            other.listening
                && other.outcome == Outcome::Out
                && call.sent < other.deadline + self.plan.deadline
        };
        let waited = self.told_before(session, call).any(waited);
        if waited {
            self.broken(session, "B6", "it asks again while a late answer is waited for");
        }
        let Some(access) = self.working(session, call) else { return };
        if call.sent < self.ledgers[session].reckonings[&access].chance {
            self.broken(session, "B6", "it presents a doubted refresh token while its token works");
        }
        self.saw(Corner::LastChance);
    }

    /// The requests of this epoch that have presented the same refresh token.
    pub(crate) fn told_before<'a>(
        &'a self,
        session: usize,
        call: &'a Call,
    ) -> impl Iterator<Item = &'a Call> {
        let ledger = &self.ledgers[session];
        let calls = ledger.calls.iter().map(|index| &self.calls[*index]);
        calls.filter(move |other| other.epoch == ledger.epoch && other.shown == call.shown)
    }
}
