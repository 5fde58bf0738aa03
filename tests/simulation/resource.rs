//! Resource servers: what they say of a token, and what may become of it then (rules B8, B9).

use perennial::lifecycle::State;
use perennial::session::Rejection;
use perennial::token::AccessToken;

use super::callers::{Attempt, Endpoint};
use super::log::Corner;
use super::server::{Number, number};
use super::world::World;

impl World {
    /// Where the next request goes.
    pub(crate) fn endpoint(&mut self) -> Endpoint {
        let odds = if self.plan.sour { 1 } else { 8 };
        if self.fault(2, odds) == 1 { Endpoint::Broken } else { Endpoint::Sound }
    }

    /// A token is used: whether it is accepted, and else whether the session is told.
    pub(crate) fn resource(
        &mut self,
        session: usize,
        access: Number,
        endpoint: Endpoint,
        attempt: Attempt,
    ) -> (bool, bool) {
        let broken = endpoint == Endpoint::Broken && !self.healed;
        if broken {
            self.saw(Corner::EndpointBroken);
        }
        let live = !broken && self.server.accepts(access, self.truth);
        let mood = self.moody && !self.healed && self.choices.below(3) == 1;
        if live && mood {
            self.saw(Corner::RejectedAtWill);
        }
        let accepted = live && !mood;
        self.note("used", session, i64::from(accepted));
        // Interceptors do not tell of a replay's 401; programs may.
        let tells = attempt == Attempt::First || self.choices.below(4) == 1;
        (accepted, tells)
    }

    /// The session was told that a token was accepted.
    pub(crate) fn accepted(&mut self, session: usize, token: &AccessToken, attempt: Attempt) {
        let ledger = &mut self.ledgers[session];
        ledger.accepted.insert(token.generation().number());
        if attempt == Attempt::Replay {
            let now = ledger.now();
            ledger.purse.give_back(now);
            self.saw(Corner::Recovered);
        }
    }

    /// The session was told that a token was rejected.
    pub(crate) fn rejected(
        &mut self,
        session: usize,
        token: &AccessToken,
        rejection: Rejection,
        before: State,
        works: bool,
    ) {
        let what = match rejection {
            Rejection::Withdrawn => "withdraws",
            Rejection::Kept => "keeps, though rejected",
            Rejection::Stale => "was told too late of",
        };
        self.note(what, session, number(token.secret()));
        self.saw(Corner::Rejected);
        if self.is_out(session) {
            self.saw(Corner::RejectedInFlight);
        }
        match rejection {
            Rejection::Withdrawn => self.withdrawn(session, token, before, works),
            Rejection::Kept => self.kept(session, token, before),
            Rejection::Stale => self.stale(session, token),
        }
    }

    /// Rule B8: "a current one MUST make the token unusable at once where rule B9 pays for its
    /// replacement".
    fn withdrawn(&mut self, session: usize, token: &AccessToken, before: State, works: bool) {
        if works {
            self.broken(
                session,
                "B8",
                "a rejected token was withdrawn, and there is one that works",
            );
        }
        let (access, generation) = (number(token.secret()), token.generation().number());
        let ledger = &mut self.ledgers[session];
        let now = ledger.now();
        ledger.rejected.insert(access);
        ledger.held = None;
        // Nothing is paid where a refresh is free, or out.
        let reckoning = ledger.reckonings.get(&access).copied();
        let Some(reckoning) = reckoning.filter(|one| before == State::Valid && now < one.due)
        else {
            return;
        };
        ledger.prepaid.insert(access);
        let accepted = ledger.accepted.contains(&generation);
        let paid = if accepted {
            ledger.purse.pay_for_rejection(reckoning.lifetime, now)
        } else {
            ledger.purse.may_have_paid(now);
            ledger.purse.pay(now)
        };
        let crooked = ledger.crooked;
        self.saw(Corner::RejectionPaid);
        if !paid && !crooked {
            self.broken(session, "B9", "it withdraws a rejected token past what can be paid");
        }
    }

    /// Rules B8, B9: it stays in use only where its replacement cannot be paid for, or is held off.
    fn kept(&mut self, session: usize, token: &AccessToken, before: State) {
        self.saw(Corner::KeptDespiteRejection);
        let ledger = &self.ledgers[session];
        let now = ledger.now();
        let accepted = ledger.accepted.contains(&token.generation().number());
        // Rule B8: "nor is a token withdrawn that has worked, while the backoff holds its replacement
        // off". Not each failure is seen here.
        if accepted && self.may_be_held_off(session) {
            return;
        }
        // What failed before it was sent may have been paid for, too.
        let payable = if accepted {
            !ledger.purse.may_lack_rejections(now)
        } else {
            !ledger.purse.may_lack_budget(now) && ledger.store.is_none()
        };
        if payable && !ledger.crooked {
            self.broken(session, "B9", "a rejected token stays in use that could be replaced");
        }
        if before != State::Valid {
            self.broken(
                session,
                "B9",
                "a rejected token stays in use whose refresh is free or out",
            );
        }
    }

    /// Rule B4: a newer one has come, or it was withdrawn before: it is not handed out again.
    fn stale(&mut self, session: usize, token: &AccessToken) {
        self.saw(Corner::RejectionStale);
        // The very same token may have come again, as another generation.
        let again = self.is_shared(session) || self.counts.of(Corner::SameToken) > 0;
        let (access, generation) = (number(token.secret()), token.generation().number());
        let ledger = &mut self.ledgers[session];
        let (held, now) = (ledger.held.take_if(|held| held.access == access), ledger.now());
        ledger.outlived.insert(access, generation);
        let present = held.is_some_and(|held| now < held.usable) && !again;
        if present && generation == ledger.generation {
            self.broken(session, "B8", "the present token was rejected, and that was called stale");
        }
    }
}
