//! Why a caller gets no token: what it is told is what has happened.

use std::error::Error as _;

use perennial::session::Error;

use super::log::Corner;
use super::network::Outcome;
use super::world::World;

impl World {
    pub(crate) fn says_why(&mut self, session: usize, error: &Error) {
        let told = error.to_string();
        let source = error.source().map(ToString::to_string).unwrap_or_default();
        if error.is_misconfigured() {
            self.is_told_of_client(session, &source);
        } else if error.may_need_login() && !error.is_login_required() {
            self.is_told_to_try_login(session);
        } else if told.contains("without saying why") {
            self.is_told_of_refusal(session, &told);
        } else if told.contains("its outcome is unknown") {
            self.saw(Corner::ToldUnknown);
            self.was_sent(session, "unknown");
        } else if told.contains("may have been used") {
            self.saw(Corner::ToldInDoubt);
            if !self.ledgers[session].saw_intent {
                self.was_sent(session, "in doubt");
            }
        }
        if source.contains("the refresh was not sent") {
            self.saw(Corner::ToldUnsent);
        }
    }

    /// Rule B6: "What was never sent is never unknown."
    fn was_sent(&mut self, session: usize, what: &str) {
        let ledger = &self.ledgers[session];
        let calls = ledger.calls.iter().map(|index| &self.calls[*index]);
        // A login is noted here once it has ended, and what is sent meanwhile is of its epoch.
        let mut calls = calls.filter(|call| call.epoch + 1 >= ledger.epoch);
        let sent = calls.any(|call| call.is_in_doubt() || call.was_late);
        if !sent && !self.ledgers[session].crooked {
            self.broken(session, "B6", &format!("{what}, a caller is told, and all is known"));
        }
    }

    /// Only where the server has refused a session of this client.
    fn is_told_of_client(&mut self, session: usize, source: &str) {
        self.saw(Corner::ToldMisconfigured);
        if source.contains("not sent") {
            self.saw(Corner::Barred);
        }
        let process = self.ledgers[session].process;
        let refused = self.calls.iter().any(|call| {
            call.outcome == Outcome::Misconfigured && self.ledgers[call.session].process == process
        });
        if !refused {
            self.broken(
                session,
                "B6",
                "misconfigured, a caller is told, and no client was refused",
            );
        }
    }

    /// Rule B6: "after [3] in a row over [5 min] with nothing usable callers MUST be told that a
    /// login may be needed".
    fn is_told_to_try_login(&mut self, session: usize) {
        self.saw(Corner::LogInMayHelp);
        let ledger = &self.ledgers[session];
        if !ledger.refused_for_long() && !ledger.crooked {
            self.broken(session, "B6", "a login may help, a caller is told, and that is too early");
        }
    }

    fn is_told_of_refusal(&mut self, session: usize, told: &str) {
        let ledger = &self.ledgers[session];
        // One that wants a token for longer is told while the old one works.
        let now = ledger.now();
        let usable = ledger.reckonings.values().any(|one| now < one.unusable);
        // What failed without being sent, in between, is not seen here.
        let sure = !usable
            && ledger.store.is_none()
            && !ledger.unsure
            && !self.may_be_overdue(session)
            && !ledger.crooked
            && self.all_is_seen(session);
        if sure && ledger.refused_for_long() {
            let how = format!("a caller is not told that a login may help: {told}");
            self.broken(session, "B6", &how);
        }
    }
}
