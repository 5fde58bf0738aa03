//! An issuer's machine, as a resource server sees it: what it answers, and how often it was asked.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use futures::channel::oneshot;
use http::{HeaderValue, Request, Response};
use perennial::adapters::jwt::{Jwt, SigningKey};
use perennial::adapters::resource_server::{
    HttpClient, JwtVerifier, JwtVerifierBuilder, SendError,
};
use perennial::issue::{
    AccessTokens, AuthenticationError, Claims, FamilyId, Identity, TokenVerifier,
};
use perennial::refresh::BoxFuture;
use perennial::testing::VirtualTime;
use perennial::time::{Span, Timestamp};
use perennial::token::Secret;

use crate::support::{HOUR, START};

pub(crate) const ISSUER: &str = "https://auth.example.com";
pub(crate) const API: &str = "https://api.example.com";

/// What the machine does with the next request.
#[derive(Clone)]
pub(crate) enum Reply {
    Body(String),
    Whole(u16, Vec<(&'static str, &'static str)>, String),
    Unreachable,
    /// Nothing, until the test answers.
    Hang,
}

#[derive(Default)]
struct State {
    /// For the next requests; the last one stays.
    replies: VecDeque<Reply>,
    seen: Vec<String>,
    hanging: Vec<oneshot::Sender<Reply>>,
}

/// An HTTP client whose server the test plays.
#[derive(Clone, Default)]
pub(crate) struct Machine(Arc<Mutex<State>>);

impl Machine {
    pub(crate) fn new(reply: Reply) -> Self {
        let machine = Self::default();
        machine.reply(reply);
        machine
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics with it")
    }

    /// From now on each request is answered with this.
    pub(crate) fn reply(&self, reply: Reply) {
        self.lock().replies = [reply].into();
    }

    /// How many requests there were.
    pub(crate) fn count(&self) -> usize {
        self.lock().seen.len()
    }

    /// The requests, as they are printed, and their bodies.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.lock().seen.clone()
    }

    /// Answers the request that hangs longest.
    pub(crate) fn answer(&self, reply: Reply) {
        let hanging = self.lock().hanging.remove(0);
        drop(hanging.send(reply));
    }
}

fn respond(reply: Reply) -> Result<Response<Vec<u8>>, SendError> {
    let (status, headers, body) = match reply {
        Reply::Body(body) => (200, Vec::new(), body),
        Reply::Whole(status, headers, body) => (status, headers, body),
        Reply::Unreachable => return Err("no route to it".into()),
        Reply::Hang => panic!("a reply"),
    };
    let mut response = Response::new(body.into_bytes());
    *response.status_mut() = status.try_into().expect("a status");
    for (name, value) in headers {
        response.headers_mut().append(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

impl HttpClient for Machine {
    fn send(
        &self,
        request: Request<Secret>,
    ) -> impl Future<Output = Result<Response<Vec<u8>>, SendError>> + Send + 'static {
        let mut state = self.lock();
        state.seen.push(format!("{request:?} {}", request.body().expose()));
        let reply = if state.replies.len() > 1 {
            state.replies.pop_front()
        } else {
            state.replies.front().cloned()
        };
        let reply = match reply.expect("the test says what follows") {
            Reply::Hang => {
                let (sender, receiver) = oneshot::channel();
                state.hanging.push(sender);
                Err(receiver)
            }
            reply @ (Reply::Body(_) | Reply::Whole(..) | Reply::Unreachable) => Ok(reply),
        };
        async move {
            match reply {
                Ok(reply) => respond(reply),
                Err(receiver) => respond(receiver.await.expect("the test answers")),
            }
        }
    }
}

/// The keys of an issuer.
pub(crate) fn key(number: u8) -> SigningKey {
    SigningKey::ed25519([number; 32])
}

/// A set of keys, as their issuer publishes it.
pub(crate) fn set(keys: impl IntoIterator<Item = u8>) -> String {
    let mut keys = keys.into_iter().map(key);
    let first = Jwt::new(ISSUER, API, keys.next().expect("a key"));
    keys.fold(first, Jwt::and_older).jwks().to_string()
}

/// A token that key `number` has signed, good for a day.
pub(crate) fn token(number: u8) -> Secret {
    token_for(API, number, START)
}

pub(crate) fn token_for(audience: &str, number: u8, now: Timestamp) -> Secret {
    let claims = Claims {
        family: FamilyId::from_bytes([1; 16]),
        number: 1,
        issued_at: now,
        expires_at: now.saturating_add(Span::from_secs(4 * 24 * 3600)),
        id: 1,
    };
    let mut identity = Identity::new("alice", "web");
    identity.scope = Some("read".into());
    Jwt::new(ISSUER, audience, key(number)).mint(&claims, &identity).expect("it signs")
}

/// A resource server in virtual time.
pub(crate) struct Server {
    pub(crate) machine: Machine,
    pub(crate) time: VirtualTime,
    pub(crate) verifier: JwtVerifier,
}

impl Server {
    pub(crate) fn new(reply: Reply) -> Self {
        Self::with(reply, |builder| builder)
    }

    pub(crate) fn with(
        reply: Reply,
        more: impl FnOnce(JwtVerifierBuilder) -> JwtVerifierBuilder,
    ) -> Self {
        let (machine, time) = (Machine::new(reply), VirtualTime::at(START));
        let (clock, timer) = (time.clone(), time.clone());
        let url = "https://auth.example.com/jwks.json";
        let builder = JwtVerifier::builder(ISSUER, API, url, machine.clone()).clock(clock);
        let builder = builder.session(|session| session.timer(timer));
        let verifier = more(builder).build().expect("an https URL");
        Self { machine, time, verifier }
    }

    /// One that has the set of key 1, for an hour.
    pub(crate) fn ready() -> Self {
        let server = Self::new(Reply::Body(set([1])));
        server.now(&token(1)).expect("known");
        server
    }

    /// Verifies a token without waiting.
    pub(crate) fn now(&self, token: &Secret) -> Result<Identity, AuthenticationError> {
        let mut pending = self.start(token);
        pending.poll().unwrap_or_else(|| panic!("it waits"))
    }

    /// Begins to verify a token.
    pub(crate) fn start(&self, token: &Secret) -> Verifying {
        verifying(&self.verifier, token)
    }

    /// Moves on in steps of which each wakes whoever is due.
    pub(crate) fn advance(&self, by: std::time::Duration) {
        self.time.advance(by);
    }
}

pub(crate) struct Verifying(BoxFuture<Result<Identity, AuthenticationError>>);

pub(crate) fn verifying(verifier: &(impl TokenVerifier + Clone), token: &Secret) -> Verifying {
    let (verifier, token) = (verifier.clone(), token.clone());
    Verifying(Box::pin(async move { verifier.authenticate(&token).await }))
}

impl Verifying {
    pub(crate) fn poll(&mut self) -> Option<Result<Identity, AuthenticationError>> {
        match Pin::new(&mut self.0).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => Some(result),
            Poll::Pending => None,
        }
    }
}

pub(crate) fn is_unverified(result: &Result<Identity, AuthenticationError>) -> bool {
    matches!(result, Err(AuthenticationError::Unverified))
}

pub(crate) fn is_unchecked(result: &Result<Identity, AuthenticationError>) -> bool {
    matches!(result, Err(AuthenticationError::Unchecked(_)))
}

/// How long a set lives whose response states nothing.
pub(crate) const LIFETIME: std::time::Duration = HOUR;
