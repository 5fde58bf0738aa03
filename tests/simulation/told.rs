//! What a caller may not be told: judged at the moment when it is told.

use perennial::session::Error;
use perennial::token::AccessToken;

use super::door::is_usable;
use super::ledger::Held;
use super::log::Corner;
use super::network::Outcome;
use super::server::{Number, Reuse, number};
use super::world::World;

/// What a caller asks for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Bare,
    /// It waits through failures for so many seconds.
    Patient(i64),
    /// The same, and no longer than that.
    Within(i64),
    /// It wants a token that lasts so many seconds.
    Lasting(i64),
    /// It does not wait: `try_token`, `with_token`, a reader.
    Try,
}

impl Manner {
    /// Whether any usable token will do.
    fn is_easy(self) -> bool {
        match self {
            Self::Bare | Self::Patient(_) | Self::Within(_) | Self::Try => true,
            Self::Lasting(_) => false,
        }
    }
}

impl World {
    /// A caller has to wait.
    pub(crate) fn waits(&mut self, session: usize, manner: Manner) {
        if manner.is_easy() && self.holds(session) {
            self.broken(session, "C7", "a caller waits while the old token works");
        }
    }

    /// Whether the session certainly holds a token that works.
    fn holds(&self, session: usize) -> bool {
        let ledger = &self.ledgers[session];
        ledger.held.is_some_and(|held| ledger.now() < held.usable)
    }

    /// A caller gets a token.
    pub(crate) fn hands_out(
        &mut self,
        session: usize,
        manner: Manner,
        token: &AccessToken,
        saved: bool,
    ) {
        let access = number(token.secret());
        let family = self.server.family_of_access(access);
        let (truth, shared) = (self.truth, self.is_shared(session));
        self.note("hands out", session, access);
        let ledger = &mut self.ledgers[session];
        let now = ledger.now();
        let Some(reckoning) = ledger.reckonings.get(&access).copied() else {
            return self.broken(session, "B4", "it hands out a token that never came to it");
        };
        let generation = token.generation().number();
        // Another holder of the store may bring back one that this one rejected long ago.
        let rejected = !shared && ledger.rejected.contains(&access)
            || ledger.outlived.get(&access).is_some_and(|before| generation <= *before);
        ledger.handed.insert(access);
        let regressed = generation < std::mem::replace(&mut ledger.generation, generation);
        let expiry = token.expires_at().map(perennial::time::Timestamp::as_millis);
        let wanted = match manner {
            Manner::Lasting(seconds) => now + seconds * 1000,
            Manner::Bare | Manner::Patient(_) | Manner::Within(_) | Manner::Try => now,
        };
        let wrongs = [
            (ledger.out, "B11", "it hands out a token after it was logged out"),
            (rejected, "B2", "it hands out a token that was rejected"),
            (now >= reckoning.unusable, "B2", "it hands out a token at or after `unusable_from`"),
            (ledger.lapsed.contains(&access), "A5", "it hands out a token that was seen lapsed"),
            (wanted >= reckoning.unusable, "B2", "a token lasts less than the caller was promised"),
            (!ledger.families.contains(&family), "B4", "it hands out a token of an earlier login"),
            (regressed, "B4", "a generation is less than one before it"),
            (expiry.is_none_or(|at| at > reckoning.expires), "B1", "a token's expiry is too late"),
        ];
        let sure = Held { access, usable: reckoning.usable };
        // Another may have landed, or been found gone, while this one was on its way out.
        let certain =
            !ledger.bare && !ledger.crooked && ledger.latest.is_none_or(|latest| latest == access);
        ledger.emptied = false;
        ledger.held = Some(sure).filter(|_| certain && is_usable(ledger, access, now));
        let store = ledger.store;
        for (_, rule, how) in wrongs.into_iter().filter(|(wrong, ..)| *wrong) {
            self.broken(session, rule, how);
        }
        // What another holder has stored may be adopted while this one is on its way out.
        if let Some(store) = store.filter(|_| !shared) {
            let stored = self.stores[store].has_held(access);
            // All may be saved again after a login: what could not be stored is nobody's then.
            let tried = self.was_not_stored(session, access);
            if !stored && saved && !tried {
                let how = format!("it hands out a{access}, whose grant was never stored");
                self.broken(session, "F2", &how);
            } else if !stored && self.plan.reuse == Reuse::Confirm {
                self.broken(session, "F2", "it confirms by use a grant that is not safe");
            }
        }
        if !saved {
            self.saw(Corner::Unsaved);
        }
        if !self.skewed && self.server.is_out_of_date(access, truth) {
            self.broken(session, "B2", "the server has forgotten the token that is handed out");
        }
        let newest = self.ledgers[session].calls.last().map(|index| self.calls[*index].outcome);
        if newest.is_some_and(|newest| !matches!(newest, Outcome::Out | Outcome::Granted)) {
            self.saw(Corner::ServedDespiteFailure);
        }
    }

    /// A caller gets an error.
    pub(crate) fn refuses(&mut self, session: usize, manner: Manner, error: &Error) {
        self.note("refuses", session, i64::from(error.is_login_required()));
        let excused = matches!(manner, Manner::Try | Manner::Lasting(_)) || error.is_timeout();
        if self.plan.calm && !excused {
            self.broken(session, "B5", &format!("an error in a world without faults: {error}"));
        }
        if manner.is_easy() && self.holds(session) {
            self.broken(session, "B5", &format!("an error while the old token works: {error}"));
        }
        if error.is_login_required() {
            self.may_ask_for_login(session, &error.to_string());
        }
        self.says_why(session, error);
        let kinds = [
            (error.is_timeout(), Corner::TimedOut),
            (error.is_too_brief(), Corner::TooBrief),
            (error.is_not_ready(), Corner::NotReady),
            (error.is_over_budget(), Corner::OverBudget),
        ];
        for (_, corner) in kinds.into_iter().filter(|(so, _)| *so) {
            self.saw(corner);
        }
        let ledger = &mut self.ledgers[session];
        let now = ledger.now();
        let lapsed = ledger.reckonings.iter().filter(|(_, one)| now >= one.unusable);
        let lapsed = lapsed.map(|(access, _)| *access);
        let lapsed: Vec<Number> = lapsed.filter(|access| ledger.handed.contains(access)).collect();
        ledger.lapsed.extend(lapsed);
    }

    /// Rule B6: only a login helps where the server has declined, or where there is no grant.
    fn may_ask_for_login(&mut self, session: usize, error: &str) {
        let ledger = &self.ledgers[session];
        let calls = ledger.calls.iter().map(|index| &self.calls[*index]);
        let mut calls = calls.filter(|call| call.epoch == ledger.epoch);
        if error.contains("declined") {
            self.counts.saw(Corner::LogInDeclined);
            if !calls.any(|call| call.outcome == Outcome::Declined) {
                self.broken(session, "B6", "declined, a caller is told, and nobody has declined");
            }
        } else {
            self.counts.saw(Corner::LogInNoGrant);
            if !ledger.bare && !ledger.emptied {
                self.broken(session, "B6", "no grant, a caller is told, and there is one");
            }
        }
    }
}
