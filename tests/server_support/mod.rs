//! What the tests on real servers share: a server that ends with its test, a token endpoint that
//! rotates strictly, and two sessions of one grant, as two processes have them.
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod families;
pub(crate) mod proxy;

use std::io::Write;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use perennial::adapters::tokio::Tokio;
use perennial::lifecycle::{Policy, State};
use perennial::refresh::{RefreshError, Request};
use perennial::session::Session;
use perennial::store::Store;
use perennial::testing::VirtualTime;
use perennial::time::Timestamp;
use perennial::token::Grant;
use tokio::time::timeout;

pub(crate) const START: Timestamp = Timestamp::from_secs(1_700_000_000);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// Into the hour: the token is due, and still works.
pub(crate) const DUE: Duration = Duration::from_secs(3400);

/// A process that is killed, by its id, when this is dropped.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().expect("the server's program is there"))
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.0.try_wait().expect("it is a child of this").is_some()
    }

    pub(crate) fn wait(&mut self) {
        self.0.wait().expect("it is a child of this");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port of this machine that nobody listens on.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    listener.local_addr().expect("it is bound").port()
}

/// Says why a test has shown nothing. Not captured, as the macros are.
pub(crate) fn skipped(why: &str) {
    let text = format!("SKIPPED: {why}\n");
    std::io::stderr().write_all(text.as_bytes()).expect("somebody who listens");
}

/// Repeats `attempt` until it returns something, for a minute or so at most.
pub(crate) async fn eventually<T>(what: &str, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..1200 {
        if let Some(found) = attempt().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}: not within a minute")
}

/// A token endpoint that rotates strictly, and notes which refresh tokens were presented.
#[derive(Clone, Default)]
pub(crate) struct Endpoint {
    presented: Arc<Mutex<Vec<String>>>,
    /// A response waits while a test holds this.
    responses: Arc<tokio::sync::Mutex<()>>,
}

impl Endpoint {
    pub(crate) fn presented(&self) -> Vec<String> {
        self.presented.lock().expect("nobody panics under it").clone()
    }

    fn grant(number: usize) -> Grant {
        Grant::new(format!("at-{number}"), format!("rt-{number}"), HOUR)
    }

    async fn respond(&self, request: &Request) -> Result<Grant, RefreshError> {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let response = self.answer(request);
        let _ = self.responses.lock().await;
        response
    }

    fn answer(&self, request: &Request) -> Result<Grant, RefreshError> {
        let mut presented = self.presented.lock().expect("nobody panics under it");
        let token = request.refresh_token().map(|it| it.expose().to_owned()).unwrap_or_default();
        let newest = format!("rt-{}", presented.len() + 1);
        presented.push(token.clone());
        if token != newest {
            return Err(RefreshError::declined("a spent refresh token"));
        }
        Ok(Self::grant(presented.len() + 1))
    }
}

/// Two sessions of one grant, each with a store of its own, as two processes have them, on virtual
/// time.
pub(crate) struct Fleet {
    pub(crate) time: VirtualTime,
    pub(crate) endpoint: Endpoint,
    pub(crate) sessions: [Session; 2],
}

impl Fleet {
    /// Both hold the first grant, and it is due.
    pub(crate) async fn due<S: Store>(stores: [S; 2]) -> Self {
        let (time, endpoint) = (VirtualTime::at(START), Endpoint::default());
        let tokio = Tokio::current().expect("this is a runtime");
        // A lease that a lost connection leaves behind lasts a quarter longer, on the server's own clock.
        let policy = Policy::builder().refresh_deadline(Duration::from_secs(4)).build();
        let policy = policy.expect("there is nothing wrong with it");
        let sessions = stores.map(|store| {
            let endpoint = endpoint.clone();
            Session::builder(move |request: Request| {
                let endpoint = endpoint.clone();
                async move { endpoint.respond(&request).await }
            })
            .store(store)
            .clock(time.clone())
            .timer(time.clone())
            .policy(policy)
            .spawner(tokio.spawner())
            .without_jitter()
            .build()
            .expect("there is nothing wrong with it")
        });
        sessions[0].install(Endpoint::grant(1)).await.expect("it is stored");
        let adopted = sessions[1].token().await.expect("it is in the store");
        assert_eq!(adopted.expose(), "at-1");
        time.advance(DUE);
        Self { time, endpoint, sessions }
    }

    /// While the store fails: the valid token is served, for a while, and nothing is sent.
    pub(crate) async fn is_served_meanwhile(&self) {
        for _ in 0..5 {
            for session in &self.sessions {
                let token = session.token().await.expect("a valid token is served");
                assert_eq!(token.expose(), "at-1");
                eventually("the refresh fails", async || is_idle(session).then_some(())).await;
            }
            self.time.advance(Duration::from_secs(5));
        }
        assert_eq!(
            self.endpoint.presented(),
            Vec::<String>::new(),
            "nothing is sent without a note"
        );
    }

    /// While the store fails, which it does from when the first session's request is sent: what the
    /// token endpoint responds is used at once, and the other session is served the old token.
    pub(crate) async fn is_sent_and_cannot_be_stored(&self, gone: impl AsyncFnOnce()) {
        let responses = self.endpoint.responses.lock().await;
        // The old token still works, so nobody waits.
        let token = self.sessions[0].token().await.expect("a valid token is served");
        assert_eq!(token.expose(), "at-1");
        let sent = async || (!self.endpoint.presented().is_empty()).then_some(());
        eventually("the request is sent", sent).await;
        gone().await;
        drop(responses);
        eventually("the response is used", async || {
            self.time.advance(Duration::from_secs(1));
            let token = self.sessions[0].token().await.expect("a valid token is served");
            (token.expose() == "at-2").then_some(())
        })
        .await;
        for _ in 0..5 {
            let token = self.sessions[1].token().await.expect("a valid token is served");
            assert_eq!(token.expose(), "at-1");
            eventually("the refresh fails", async || is_idle(&self.sessions[1]).then_some(()))
                .await;
            self.time.advance(Duration::from_secs(5));
        }
    }

    /// Once the store works again, both get the next grant, and one of them asks for it.
    pub(crate) async fn recovers(&self) {
        // Both are in use: what one could not store, it stores then.
        eventually("a new token", async || {
            // The server answers in real time: virtual time does not run away from what is in flight.
            let all_idle = self.sessions.iter().all(is_idle);
            self.time.advance(Duration::from_millis(if all_idle { 1_000 } else { 100 }));
            let mut renewed = 0;
            for session in &self.sessions {
                // Virtual time goes on while somebody waits.
                let token = timeout(Duration::from_millis(50), session.token().into_future()).await;
                renewed += usize::from(matches!(token, Ok(Ok(token)) if token.expose() == "at-2"));
            }
            (renewed == 2).then_some(())
        })
        .await;
        assert_eq!(self.endpoint.presented(), ["rt-1"], "each refresh token is presented once");
    }
}

fn is_idle(session: &Session) -> bool {
    !matches!(session.state(), State::Refreshing(_))
}
