//! Faults at the token endpoint, before a server that really rotates. While the old token works no
//! caller sees any of them; and the grant survives wherever the server's declared behaviour lets it.

use std::net::SocketAddr;
use std::time::Duration;

use perennial::adapters::oauth2::RefreshGrant;
use perennial::adapters::ureq::refresh_grant;
use perennial::interceptor::Interceptor;
use perennial::lifecycle::{Failure, Policy, Reuse};
use perennial::session::Session;
use perennial::testing::{Fault, FaultProxy, VirtualTime};
use perennial::token::Grant;
use tokio::task::JoinHandle;

use super::authorization::{Config, Login, Rotation, Running, Server};
use crate::client::{Adapter, Answered, Call, Client, Failed, Spy};
use crate::wire::scene::{HOUR, START, in_virtual_time, underneath};
use crate::wire::{SECRETS, soon};
use crate::world::{answered, client, on_every_adapter, refusal};

/// How an answer that was lost or garbled is taken (rule B6).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Taken {
    /// The server has not honoured the request.
    Unavailable,
    /// Nobody knows, but this test: whether it has handled the request.
    Unknown { handled: bool },
}

fn faults() -> Vec<(Fault, Taken)> {
    use Taken::{Unavailable, Unknown};
    let slowly = "HTTP/1.1 429 Fault\r\ndate: Tue, 14 Nov 2023 22:13:20 GMT\r\n\
        retry-after: Tue, 14 Nov 2023 22:14:20 GMT\r\ncontent-length: 0\r\n\r\n";
    vec![
        (Fault::LoseResponse, Unknown { handled: true }),
        (Fault::ResetAfter, Unknown { handled: true }),
        (Fault::Truncate(20), Unknown { handled: true }),
        (Fault::ResetBefore, Unknown { handled: false }),
        (Fault::Respond(Vec::new()), Unknown { handled: false }),
        (Fault::garbage(), Unknown { handled: false }),
        (Fault::html(), Unknown { handled: false }),
        (Fault::Flood(100_000_000), Unknown { handled: false }),
        // X6: whether the server has handled it is not known.
        (Fault::responding(500, None, "oops"), Unknown { handled: false }),
        (Fault::responding(502, None, ""), Unknown { handled: false }),
        (Fault::responding(503, Some(("retry-after", "7")), ""), Unavailable),
        (Fault::Respond(slowly.as_bytes().to_vec()), Unavailable),
    ]
}

/// What the server does with a refresh token that it sees twice, and what it is declared to do.
pub(crate) fn behaviours() -> [(Rotation, Reuse); 4] {
    let window = Duration::from_secs(30);
    [
        (Rotation::Strict, Reuse::Strict),
        (Rotation::OverlapSuccessors, Reuse::overlap_successors(window)),
        (Rotation::Idempotent, Reuse::idempotent(window)),
        (Rotation::ConfirmByUse, Reuse::ConfirmByUse),
    ]
}

/// Whether the grant is lost: the server has handled the request, nobody has its successor, and the
/// old refresh token is worth nothing.
fn is_lost(taken: Taken, rotation: Rotation) -> bool {
    taken == (Taken::Unknown { handled: true }) && rotation == Rotation::Strict
}

pub(crate) struct Scene {
    pub(crate) server: Running,
    pub(crate) proxy: FaultProxy,
    pub(crate) time: VirtualTime,
    pub(crate) session: Session,
    client: Client,
    pub(crate) login: Login,
}

#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) enum Holding {
    /// A token for an hour.
    Token,
    /// A refresh token alone.
    RefreshToken,
}

impl Scene {
    pub(crate) async fn new(
        on: Adapter,
        (rotation, reuse): (Rotation, Reuse),
        holding: Holding,
    ) -> Self {
        // The server's time is real: nothing of its own ends within a test.
        let config = Config { rotation, overlap: HOUR, ..Config::new(HOUR) };
        let id = config.client_id.clone();
        let server = Server::start(SocketAddr::from(([127, 0, 0, 1], 0)), config).await;
        let server = server.expect("a server");
        let address = server.urls().token_endpoint.trim_start_matches("http://").to_owned();
        let address = address.trim_end_matches("/token").parse().expect("an address");
        let proxy = FaultProxy::before(address).expect("a proxy");
        let endpoint = format!("http://{}/token", proxy.address());
        let oauth = perennial::wire::Client::builder(endpoint, id).build().expect("a client");
        let builder = match on {
            Adapter::Reqwest | Adapter::Tower => {
                Session::builder_with(RefreshGrant::new(oauth).expect("a refresher"))
            }
            Adapter::Ureq => Session::builder_blocking(refresh_grant(oauth)),
        };
        let login = server.seed();
        let grant = match holding {
            Holding::Token => {
                Grant::new(login.access_token.as_str(), login.refresh_token.as_str(), HOUR)
            }
            Holding::RefreshToken => Grant::of_refresh_token(login.refresh_token.as_str()),
        };
        let time = VirtualTime::at(START);
        let policy = Policy::builder().reuse(reuse).build().expect("a policy");
        let session = in_virtual_time(builder, &time).policy(policy).grant(grant);
        let session = session.build().expect("a session");
        let interceptor = Interceptor::builder(session.clone()).origin(&server.urls().api);
        let client = client(on, interceptor.retry_for(Duration::ZERO), &Spy::default());
        Self { server, proxy, time, session, client, login }
    }

    pub(crate) fn get(&self) -> JoinHandle<Result<Answered, Failed>> {
        self.client.send(Call::get(self.server.urls().api.clone()))
    }

    /// The token that a request goes out with, and is answered well for.
    pub(crate) async fn works(&self) -> String {
        let answered = answered(self.get()).await;
        assert_eq!(answered.status, 200);
        answered.token.expect("a token").expose().to_owned()
    }

    /// The grant is whole: it gives another token, and the server has nothing to complain of.
    pub(crate) async fn has_survived(&self) {
        let before = self.works().await;
        self.time.advance(HOUR);
        assert_ne!(self.works().await, before);
        assert_eq!(self.server.stats_of(self.login.family).expect("counters").invalid_grant, 0);
    }

    /// One more refresh is all that it took to find out.
    async fn is_over(&self) {
        let connections = self.proxy.connections();
        for _ in 0..5 {
            assert!(refusal(self.get()).await.is_login_required());
            self.time.advance(HOUR);
        }
        assert_eq!(self.proxy.connections(), connections);
    }
}

// Rules B5, B6, C7.
async fn no_fault_at_the_token_endpoint_is_a_callers_concern_while_the_old_token_works(
    on: Adapter,
) {
    for behaviour in behaviours() {
        for (fault, taken) in faults() {
            let scene = Scene::new(on, behaviour, Holding::Token).await;
            let old = scene.login.access_token.clone();
            scene.time.advance(Duration::from_secs(3301));
            scene.proxy.next(fault.clone());
            let failing = scene.session.changed();
            assert_eq!(scene.works().await, old, "{fault:?}");
            soon(failing).await;
            assert_eq!(scene.works().await, old, "{fault:?}");
            assert_eq!(scene.proxy.connections(), 1, "{fault:?}");
            let doubtful = taken != Taken::Unavailable && behaviour.1 == Reuse::Strict;
            if doubtful {
                // What may be spent is not presented again while there is no need to.
                scene.time.advance(Duration::from_secs(60));
                assert_eq!(scene.works().await, old, "{fault:?}");
                assert_eq!(scene.proxy.connections(), 1, "{fault:?}");
                scene.time.advance(HOUR);
            } else {
                let later = if taken == Taken::Unavailable { 70 } else { 10 };
                scene.time.advance(Duration::from_secs(later));
                let mending = scene.session.changed();
                assert_eq!(scene.works().await, old, "{fault:?}");
                soon(mending).await;
                assert_ne!(scene.works().await, old, "{fault:?}");
            }
            if is_lost(taken, behaviour.0) {
                assert!(refusal(scene.get()).await.is_login_required(), "{fault:?}");
                assert_eq!(scene.proxy.connections(), 2, "{fault:?}");
                scene.is_over().await;
            } else {
                scene.has_survived().await;
            }
        }
    }
}

// Rules B6, B7, G1.
async fn a_fault_at_the_token_endpoint_is_told_as_what_it_is_where_there_is_no_token(on: Adapter) {
    for behaviour in behaviours() {
        for (fault, taken) in faults() {
            let scene = Scene::new(on, behaviour, Holding::RefreshToken).await;
            scene.proxy.next(fault.clone());
            let error = refusal(scene.get()).await;
            assert!(error.is_unavailable() && !error.is_login_required(), "{fault:?}: {error:?}");
            let failure = underneath(&error).failure();
            match taken {
                Taken::Unavailable => {
                    assert!(matches!(failure, Failure::Unavailable { .. }), "{fault:?}: {error:?}");
                }
                Taken::Unknown { .. } => {
                    assert_eq!(failure, Failure::Unknown, "{fault:?}: {error:?}");
                }
            }
            let shown = format!("{error:?} {error:#?}");
            for secret in SECRETS.into_iter().chain([scene.login.refresh_token.as_str()]) {
                assert!(!shown.contains(secret), "{shown}");
            }
            let retry = error.when_to_retry().expect("an instant");
            assert!(retry > START, "{fault:?}");
            scene.time.set(retry);
            if is_lost(taken, behaviour.0) {
                assert!(refusal(scene.get()).await.is_login_required(), "{fault:?}");
                scene.is_over().await;
            } else {
                scene.works().await;
                assert_eq!(scene.proxy.connections(), 2, "{fault:?}");
                scene.has_survived().await;
            }
        }
    }
}

// Rules B3, C7, E7.
async fn an_answer_that_is_late_holds_up_only_those_who_need_it(on: Adapter) {
    for behaviour in behaviours() {
        let scene = Scene::new(on, behaviour, Holding::Token).await;
        let old = scene.login.access_token.clone();
        scene.time.advance(Duration::from_secs(3301));
        scene.proxy.next(Fault::Hold);
        assert_eq!(scene.works().await, old);
        let changed = scene.session.changed();
        // Rotated already, and the answer not here.
        scene.proxy.wait_until_held();
        for _ in 0..3 {
            assert_eq!(scene.works().await, old);
        }
        scene.proxy.release();
        soon(changed).await;
        assert_ne!(scene.works().await, old);
        assert_eq!(scene.proxy.connections(), 1);
        scene.has_survived().await;
    }
}

// Rules B6, B13, B14, C8.
async fn an_answer_that_comes_behind_the_deadline_is_taken_all_the_same(on: Adapter) {
    let scene = Scene::new(on, behaviours()[0], Holding::RefreshToken).await;
    scene.proxy.next(Fault::Hold);
    let waiting = scene.get();
    scene.proxy.wait_until_held();
    scene.time.advance(Duration::from_secs(10));
    let error = refusal(waiting).await;
    assert!(error.is_timeout() && !error.is_login_required(), "{error:?}");
    // What was rotated is not lost: it is only late.
    let judged = scene.session.changed();
    scene.time.advance(Duration::from_secs(21));
    soon(judged).await;
    let landing = scene.session.changed();
    scene.proxy.release();
    soon(landing).await;
    scene.works().await;
    assert_eq!(scene.proxy.connections(), 1);
    scene.has_survived().await;
}

// Rules B6, A4.
async fn an_answer_that_comes_byte_by_byte_is_an_answer(on: Adapter) {
    let scene = Scene::new(on, behaviours()[0], Holding::RefreshToken).await;
    scene.proxy.next(Fault::Drip(Duration::ZERO));
    scene.works().await;
    assert_eq!(scene.proxy.connections(), 1);
    scene.has_survived().await;
}

on_every_adapter!(
    no_fault_at_the_token_endpoint_is_a_callers_concern_while_the_old_token_works,
    a_fault_at_the_token_endpoint_is_told_as_what_it_is_where_there_is_no_token,
    an_answer_that_is_late_holds_up_only_those_who_need_it,
    an_answer_that_comes_behind_the_deadline_is_taken_all_the_same,
    an_answer_that_comes_byte_by_byte_is_an_answer,
);
