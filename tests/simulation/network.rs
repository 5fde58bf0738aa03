//! The refresher port: a network between the session and the authorization server, which loses,
//! delays, doubles and garbles.

use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use perennial::lifecycle::Cause;
use perennial::refresh::{ClientBackoff, Refresh, RefreshError, Request};
use perennial::token::Grant;

use super::fate::{FATES, Fate};
use super::log::Corner;
use super::server::{Answer, Number, number, renewal_text};
use super::world::{Happening, Shared, World};

/// What the client knows of a request's outcome.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Out,
    Granted,
    Declined,
    Unavailable,
    Misconfigured,
    Unexplained,
    Unknown,
}

/// What comes back.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Granted(Answer),
    Half(Answer),
    Failed(RefreshError, Outcome, Option<i64>),
    Panic,
}

/// One request to the authorization server.
pub(crate) struct Call {
    pub(crate) session: usize,
    /// The session's epoch when it was sent.
    pub(crate) epoch: u32,
    pub(crate) shown: Number,
    /// The access token of the grant that it would renew.
    pub(crate) with: Option<Number>,
    /// By the session's clock.
    pub(crate) sent: i64,
    pub(crate) deadline: i64,
    pub(crate) cause: Cause,
    pub(crate) outcome: Outcome,
    /// Whether the session still listens.
    pub(crate) listening: bool,
    /// Its answer was heard after the deadline.
    pub(crate) was_late: bool,
    fate: Fate,
    arrived: bool,
    reply: Option<Reply>,
    /// Whether the reply has come to where the client can hear it.
    here: bool,
    waker: Option<Waker>,
}

impl Call {
    /// Whether the refresh token may have been spent, for all that the client knows.
    pub(crate) fn is_in_doubt(&self) -> bool {
        match self.outcome {
            Outcome::Unknown | Outcome::Out => true,
            // Too late: it had been taken for unknown by then.
            Outcome::Declined => self.was_late,
            Outcome::Granted
            | Outcome::Unavailable
            | Outcome::Misconfigured
            | Outcome::Unexplained => false,
        }
    }
}

/// The refresher of one session.
pub(crate) struct Network {
    pub(crate) shared: Shared,
    pub(crate) session: usize,
    /// Its client's, where the refresher brings it and not the builder.
    pub(crate) client: Option<ClientBackoff>,
}

impl Refresh for Network {
    fn client_backoff(&self) -> Option<ClientBackoff> {
        self.client.clone()
    }

    fn refresh(
        &self,
        request: Request,
    ) -> impl Future<Output = Result<Grant, RefreshError>> + Send + 'static {
        let mut wakers = Vec::new();
        let call = self.shared.lock().send(self.session, &request, &mut wakers);
        wakers.into_iter().for_each(Waker::wake);
        Listening { shared: self.shared.clone(), call }
    }

    fn revoke(&self, grant: Grant) -> impl Future<Output = ()> + Send + 'static {
        if let Some(renewal) = grant.refresh_token().map(number) {
            let mut world = self.shared.lock();
            world.orphaned(self.session, renewal);
            if world.ledgers[self.session].alive {
                let family = world.server.family_of(renewal);
                world.server.revoke_family(family);
            }
        }
        async {}
    }
}

struct Listening {
    shared: Shared,
    call: Option<usize>,
}

impl Future for Listening {
    type Output = Result<Grant, RefreshError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let waker = cx.waker().clone();
        let Some(call) = self.call else { return Poll::Pending };
        let reply = {
            let mut world = self.shared.lock();
            let one = &mut world.calls[call];
            match one.reply.clone().filter(|_| one.here) {
                None => {
                    one.waker = Some(waker);
                    return Poll::Pending;
                }
                Some(reply) => {
                    world.heard(call, &reply);
                    reply
                }
            }
        };
        let call = self.call.take();
        if let Some(call) = call {
            self.shared.lock().calls[call].listening = false;
        }
        Poll::Ready(match reply {
            Reply::Granted(answer) => Ok(answer.grant()),
            Reply::Half(answer) => Ok(Grant::of_refresh_token(renewal_text(answer.renewal))),
            Reply::Failed(error, ..) => Err(error),
            // No panic hook is called: the trace stays readable.
            Reply::Panic => resume_unwind(Box::new("the refresher panics, as it was told")),
        })
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Some(call) = self.call {
            let mut world = self.shared.lock();
            let one = &mut world.calls[call];
            one.listening = false;
            one.waker = None;
            world.saw(Corner::Straggler);
        }
    }
}

impl World {
    /// A session sends a request. What it may not do is found out here, at the server's door.
    fn send(
        &mut self,
        session: usize,
        request: &Request,
        wakers: &mut Vec<Waker>,
    ) -> Option<usize> {
        let ledger = &self.ledgers[session];
        if !ledger.alive {
            return None;
        }
        let sent = ledger.watch.millis();
        let left = i64::try_from(request.time_left().as_millis()).unwrap_or(i64::MAX);
        let shown = request.refresh_token().cloned().map(|one| number(&one));
        let call = Call {
            session,
            epoch: ledger.epoch,
            shown: shown.expect("every grant of this world has a refresh token"),
            with: request.grant().and_then(Grant::access_token).map(number),
            sent,
            deadline: sent.saturating_add(left),
            cause: request.cause(),
            outcome: Outcome::Out,
            listening: true,
            was_late: false,
            fate: self.fate(),
            arrived: false,
            reply: None,
            here: false,
            waker: None,
        };
        self.note("sends", session, call.shown);
        self.may_send(session, &call);
        self.gave_up(session);
        let (fate, index) = (call.fate, self.calls.len());
        self.calls.push(call);
        self.ledgers[session].calls.push(index);
        let latency = self.plan.latency;
        let unavailable = |message: &str| RefreshError::unavailable(message);
        match fate {
            Fate::Refused => {
                self.saw(Corner::Refused);
                let error = unavailable("connection refused");
                self.reply(index, Reply::Failed(error, Outcome::Unavailable, None), 0, wakers);
            }
            Fate::Busy => {
                self.saw(Corner::Busy);
                let seconds = [1, 7, 60, 600, 7200][self.choices.below(5) as usize];
                let delay = Duration::from_secs(seconds);
                let error = unavailable("503").retry_after(delay);
                let asked = i64::try_from(seconds * 1000).ok();
                let reply = Reply::Failed(error, Outcome::Unavailable, asked);
                self.reply(index, reply, latency, wakers);
            }
            Fate::Lost => self.saw(Corner::RequestLost),
            Fate::ResetBefore => {
                self.saw(Corner::Reset);
                self.fail(index, latency, wakers);
            }
            Fate::GatewayBefore => {
                self.saw(Corner::Gateway);
                self.fail(index, latency, wakers);
            }
            Fate::PanicsBefore => self.reply(index, Reply::Panic, 0, wakers),
            Fate::SlowThere => {
                let delay = self.delay();
                self.later(delay, Happening::Arrives(index), wakers);
            }
            Fate::Doubled | Fate::DoubledBack => {
                self.saw(Corner::Doubled);
                let delay = self.delay();
                self.later(latency, Happening::Arrives(index), wakers);
                self.later(delay, Happening::Arrives(index), wakers);
            }
            Fate::Fine
            | Fate::SlowBack
            | Fate::AnswerLost
            | Fate::ResetAfter
            | Fate::Garbage
            | Fate::Half
            | Fate::GatewayAfter
            | Fate::Misconfigured
            | Fate::Unexplained
            | Fate::PanicsAfter => self.later(latency, Happening::Arrives(index), wakers),
        }
        Some(index)
    }

    fn fate(&mut self) -> Fate {
        let slow = self.plan.slow && !self.healed;
        match if slow { self.choices.below(4) } else { 0 } {
            2 => Fate::SlowThere,
            3 => Fate::SlowBack,
            _ => FATES[self.fault(FATES.len(), self.plan.odds) as usize],
        }
    }

    fn delay(&mut self) -> i64 {
        [30, 400, 3_000, 7_900, 12_000, 29_900, 31_000, 100_000][self.choices.below(8) as usize]
    }

    /// A request is at the server, which does what its way of reuse says.
    pub(crate) fn arrives(&mut self, index: usize, wakers: &mut Vec<Waker>) {
        let Call { session, shown, fate, arrived, .. } = self.calls[index];
        self.calls[index].arrived = true;
        if let Some(reply) = self.refusal(fate) {
            let latency = self.plan.latency;
            return self.reply(index, reply, latency, wakers);
        }
        let terms = self.terms();
        let before = (self.server.revoked_for_reuse, self.server.answered_again);
        let answer = self.server.present(shown, terms, self.truth);
        if self.server.revoked_for_reuse > before.0 {
            self.saw(Corner::Revoked);
            self.note("revoked for reuse", session, shown);
        }
        if self.server.answered_again > before.1 {
            self.saw(Corner::AnsweredAgain);
        }
        self.note("served", session, answer.map_or(-1, |answer| i64::from(answer.renewal)));
        if fate == Fate::DoubledBack && !arrived {
            return;
        }
        let latency = self.plan.latency;
        let back = if fate == Fate::SlowBack { self.delay() } else { latency };
        let Some(answer) = answer else {
            if fate == Fate::AnswerLost {
                return;
            }
            let declined = RefreshError::declined("invalid_grant");
            let reply = Reply::Failed(declined, Outcome::Declined, None);
            self.reply(index, reply, back, wakers);
            return;
        };
        match fate {
            Fate::AnswerLost => self.saw(Corner::AnswerLost),
            Fate::ResetAfter => {
                self.saw(Corner::Reset);
                self.fail(index, back, wakers);
            }
            Fate::GatewayAfter => {
                self.saw(Corner::Gateway);
                self.fail(index, back, wakers);
            }
            Fate::Garbage => {
                self.saw(Corner::Garbage);
                self.fail(index, back, wakers);
            }
            Fate::PanicsAfter => self.reply(index, Reply::Panic, back, wakers),
            Fate::Half if !answer.silent => {
                self.saw(Corner::Half);
                self.reply(index, Reply::Half(answer), back, wakers);
            }
            _ => self.reply(index, Reply::Granted(answer), back, wakers),
        }
    }

    fn fail(&mut self, index: usize, delay: i64, wakers: &mut Vec<Waker>) {
        let error = RefreshError::unknown("no response was understood");
        self.reply(index, Reply::Failed(error, Outcome::Unknown, None), delay, wakers);
    }

    fn reply(&mut self, index: usize, reply: Reply, delay: i64, wakers: &mut Vec<Waker>) {
        // A client hears one answer to a request.
        if self.calls[index].reply.is_none() {
            self.calls[index].reply = Some(reply);
            self.later(delay, Happening::Answers(index), wakers);
        }
    }

    /// An answer has come.
    pub(crate) fn answers(&mut self, index: usize, wakers: &mut Vec<Waker>) {
        self.calls[index].here = true;
        wakers.extend(self.calls[index].waker.take());
    }
}
