//! What programs do with a session: they ask, use, give back; log in, log out and close.

use std::future::poll_fn;
use std::mem::replace;
use std::pin::pin;
use std::time::Duration;

use perennial::clock::Clock;
use perennial::lifecycle::{Meanwhile, State};
use perennial::session::{Error, Rejection, Session};
use perennial::token::AccessToken;

use super::ledger::Received;
use super::log::Corner;
use super::network::Outcome;
use super::server::number;
use super::store::numbers;
use super::told::Manner;
use super::world::{Shared, World};

/// Where a token is used.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Sound,
    /// It answers 401, whatever the request carries.
    Broken,
}

/// Whether a request is the first, or its replay after a 401.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    First,
    Replay,
}

/// What came of using a token.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Response {
    Accepted,
    /// Rejected; another token is or will be there.
    Again,
    /// Rejected, and the caller gets its 401.
    Refused,
}

/// One session, as the program's tasks hold it.
#[derive(Clone)]
pub(crate) struct User {
    pub(crate) shared: Shared,
    pub(crate) session: Session,
    pub(crate) id: usize,
}

fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(seconds.unsigned_abs())
}

impl User {
    /// Asks for a token, waits as its manner is, and uses it; after a 401 once more.
    pub(crate) async fn visit(self, manner: Manner) {
        let endpoint = self.shared.lock().endpoint();
        for attempt in [Attempt::First, Attempt::Replay] {
            let Ok(token) = self.ask(manner).await else { return };
            if self.uses(&token, endpoint, attempt) != Response::Again {
                return;
            }
        }
    }

    pub(crate) async fn ask(&self, manner: Manner) -> Result<AccessToken, Error> {
        let wait = match manner {
            Manner::Bare => self.session.token(),
            Manner::Patient(limit) => self.session.token().retry_for(seconds(limit)),
            Manner::Within(limit) => self.session.token_within(seconds(limit)),
            Manner::Lasting(limit) => self.session.token_valid_for(seconds(limit)),
            Manner::Try => {
                let saved = self.session.is_saved();
                return self.told(manner, self.session.try_token(), saved);
            }
        };
        let mut wait = pin!(wait);
        let (mut first, mut saved) = (true, true);
        let result = poll_fn(|cx| {
            saved = self.session.is_saved();
            let polled = wait.as_mut().poll(cx);
            if polled.is_pending() && replace(&mut first, false) {
                self.shared.lock().waits(self.id, manner);
            }
            polled
        });
        let result = result.await;
        self.told(manner, result, saved)
    }

    /// A caller has been told something. Whether all was `saved` before: by now another grant may
    /// have landed.
    pub(crate) fn told(
        &self,
        manner: Manner,
        result: Result<AccessToken, Error>,
        saved: bool,
    ) -> Result<AccessToken, Error> {
        let saved = saved && self.session.is_saved();
        let mut world = self.shared.lock();
        match &result {
            Ok(token) => world.hands_out(self.id, manner, token, saved),
            Err(error) => world.refuses(self.id, manner, error),
        }
        result
    }

    /// Uses a token at a resource server, and tells the session what came of it.
    pub(crate) fn uses(
        &self,
        token: &AccessToken,
        endpoint: Endpoint,
        attempt: Attempt,
    ) -> Response {
        let (accepted, tells) =
            self.shared.lock().resource(self.id, number(token.secret()), endpoint, attempt);
        match (accepted, attempt) {
            (true, Attempt::First) => self.session.accept(token),
            (true, Attempt::Replay) => self.session.recovered(token),
            (false, Attempt::First | Attempt::Replay) => {
                return if tells { self.rejects(token) } else { Response::Refused };
            }
        }
        self.shared.lock().accepted(self.id, token, attempt);
        Response::Accepted
    }

    fn rejects(&self, token: &AccessToken) -> Response {
        let before = self.session.state();
        let rejection = self.session.reject(token);
        // Where another token works already, what was rejected is not the one that is held.
        let works = match self.session.state() {
            State::Refreshing(Meanwhile::Wait) | State::Expired(_) => false,
            State::Valid | State::Expiring | State::Refreshing(Meanwhile::UseOld) => true,
        };
        self.shared.lock().rejected(self.id, token, rejection, before, works);
        match rejection {
            Rejection::Withdrawn | Rejection::Stale => Response::Again,
            Rejection::Kept => Response::Refused,
        }
    }

    /// Waits until something changes.
    pub(crate) async fn watch(self) {
        self.session.changed().await;
        let _ = self.session.state();
    }

    pub(crate) async fn log_in(self) {
        let (answer, wall) = {
            let mut world = self.shared.lock();
            let (terms, truth) = (world.terms(), world.truth);
            let answer = world.server.login(terms, truth);
            (answer, world.ledgers[self.id].watch.wall().as_millis())
        };
        let before = self.settled();
        if let Err(error) = self.session.install(answer.grant()).await {
            return self.came_to_nothing(&error);
        }
        let held = self.session.grant().and_then(|grant| numbers(&grant).1);
        let mut world = self.shared.lock();
        world.saw(Corner::LoggedIn);
        world.note("logged in", self.id, answer.renewal);
        // Its flight may have found the login in the store before this did.
        let family = world.server.family_of(answer.renewal);
        let ledger = &world.ledgers[self.id];
        let of_login = |one: &Received| world.server.family_of(one.renewal) == family;
        let adopted =
            ledger.shown.contains(&answer.renewal) || ledger.received.iter().any(of_login);
        // What another has stored after it may have been found, and stays (rule B11).
        let held = held.map(|held| world.server.family_of(held));
        let shown: Vec<_> = ledger.shown.iter().map(|one| world.server.family_of(*one)).collect();
        let later = held.filter(|held| shown.contains(held));
        if !adopted {
            world.ends_epoch(self.id, before);
        }
        let call = world.calls.len();
        let ledger = &mut world.ledgers[self.id];
        (ledger.out, ledger.bare, ledger.since_login) = (false, false, call);
        ledger.leaving = false;
        ledger.families = later.into_iter().chain([family]).collect();
        let (now, wall_now) = (ledger.now(), ledger.watch.wall().as_millis());
        let sent = (now - (wall_now - wall)).min(now);
        ledger.reckon(answer.access, sent, answer.lifetime, answer.hint);
        ledger.latest = Some(answer.access);
        let (epoch, renewal) = (ledger.epoch, answer.renewal);
        // By now that flight may have renewed it, too.
        if !adopted {
            ledger.received.push(Received { call, renewal, epoch, settled: true });
        }
    }

    pub(crate) async fn log_out(self) {
        let before = self.settled();
        let held = self.session.grant().and_then(|grant| numbers(&grant).1);
        let logout = {
            let mut world = self.shared.lock();
            let in_flight = world.is_out(self.id);
            world.saw(if in_flight { Corner::LoggedOutInFlight } else { Corner::LoggedOut });
            world.note("logs out", self.id, 0);
            world.ends_epoch(self.id, before);
            let ledger = &mut world.ledgers[self.id];
            (ledger.out, ledger.bare, ledger.leaving) = (true, true, true);
            ledger.left = held.or(ledger.left);
            ledger.logouts += 1;
            ledger.logouts
        };
        if let Err(error) = self.session.logout().await {
            return self.came_to_nothing(&error);
        }
        let mut world = self.shared.lock();
        // Unless a later one has begun.
        let ledger = &mut world.ledgers[self.id];
        ledger.leaving &= ledger.logouts != logout;
        let store = world.ledgers[self.id].store;
        let keep = store.map(|store| &world.stores[store]);
        let left = keep.is_some_and(|keep| keep.grant().is_some() && keep.writer == Some(self.id));
        if left && world.ledgers[self.id].out {
            world.broken(self.id, "B11", "its store holds a grant after it was logged out");
        }
    }

    /// A login or a logout has failed.
    fn came_to_nothing(&self, error: &Error) {
        let mut world = self.shared.lock();
        world.saw(if error.is_superseded() { Corner::Superseded } else { Corner::GivenUp });
        world.note("comes to nothing", self.id, i64::from(error.is_superseded()));
        if !error.is_superseded() && !error.is_store() {
            world.broken(self.id, "B11", &format!("a login or logout fails: {error}"));
        }
    }

    pub(crate) async fn close(self) {
        let closed = self.session.close().await;
        let mut world = self.shared.lock();
        world.saw(Corner::Closed);
        world.note("closed", self.id, i64::from(closed.is_ok()));
    }

    /// The newest call whose grant the session has taken in for certain.
    fn settled(&self) -> Option<usize> {
        let held = self.session.grant().and_then(|grant| numbers(&grant).1);
        let world = self.shared.lock();
        let received = &world.ledgers[self.id].received;
        received.iter().filter(|one| Some(one.renewal) == held).map(|one| one.call).max()
    }
}

impl World {
    /// Whether a request of the session is out.
    pub(crate) fn is_out(&self, session: usize) -> bool {
        let calls = self.ledgers[session].calls.iter().map(|index| &self.calls[*index]);
        calls.rev().take(6).any(|call| call.listening && call.outcome == Outcome::Out)
    }

    /// An epoch ends; what had come by the call `settled` or before it was taken in.
    pub(crate) fn ends_epoch(&mut self, session: usize, settled: Option<usize>) {
        let ledger = &mut self.ledgers[session];
        // Whoever adopts what another has stored drops what came to itself: it may be of one family.
        let adopted = !ledger.shown.is_empty();
        let (epoch, newest) = (ledger.epoch, ledger.newest().map(|newest| newest.call));
        for one in &mut ledger.received {
            // It may have been outrun before, where both came while a login was being stored.
            let outrun = one.epoch == epoch && Some(one.call) != newest;
            one.settled |= adopted || outrun || settled.is_some_and(|call| one.call <= call);
        }
        ledger.new_epoch();
        ledger.dirty = true;
    }
}
