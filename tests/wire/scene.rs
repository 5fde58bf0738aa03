//! One session in virtual time against one scripted authorization server, and what every bad
//! answer is put through.

use std::error::Error as StdError;
use std::time::Duration;

use perennial::adapters::oauth2::RefreshGrant;
use perennial::adapters::tokio::Tokio;
use perennial::lifecycle::Failure;
use perennial::refresh::RefreshError;
use perennial::session::{Builder, Error, Session};
use perennial::testing::VirtualTime;
use perennial::time::Timestamp;
use perennial::token::{AccessToken, Grant, Secret};
use perennial::wire::{Client, ClientBuilder};

use super::{Exchange, GOOD, Server, assert_mannered, soon};

/// When every scene begins: `Tue, 14 Nov 2023 22:13:20 GMT`.
pub(crate) const START: Timestamp = Timestamp::from_secs(1_700_000_000);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// A session, its authorization server, and its time.
pub(crate) struct Scene {
    pub(crate) server: Server,
    pub(crate) time: VirtualTime,
    pub(crate) session: Session,
}

/// A public client of `server`'s token endpoint.
pub(crate) fn client_of(server: &Server) -> ClientBuilder {
    Client::builder(server.url("/token?tenant=hush-url"), "app")
}

/// A refresher of the runtime that this is called in.
pub(crate) fn refresher(client: ClientBuilder) -> RefreshGrant {
    RefreshGrant::new(client.build().expect("a client")).expect("a refresher")
}

/// A session in virtual time whose refreshes a task drives; no draw is left to chance.
pub(crate) fn builder(refresher: RefreshGrant, time: &VirtualTime) -> Builder {
    in_virtual_time(Session::builder_with(refresher), time)
}

/// The same for any refresher.
pub(crate) fn in_virtual_time(builder: Builder, time: &VirtualTime) -> Builder {
    builder
        .clock(time.clone())
        .timer(time.clone())
        .spawner(Tokio::current().expect("a runtime").spawner())
        .without_jitter()
        .random(|| u32::MAX)
}

impl Scene {
    /// A session that holds `grant`.
    pub(crate) async fn of(grant: Grant) -> Self {
        Self::on(Server::start().await, grant)
    }

    pub(crate) fn on(server: Server, grant: Grant) -> Self {
        let time = VirtualTime::at(START);
        let session =
            builder(refresher(client_of(&server)), &time).grant(grant).build().expect("a session");
        Self { server, time, session }
    }

    /// A session that holds a token for an hour, and a refresh token.
    pub(crate) async fn logged_in() -> Self {
        Self::of(Grant::new("access-1", "refresh-1", HOUR)).await
    }

    /// The same, once the token has become due for refresh.
    pub(crate) async fn due() -> Self {
        let scene = Self::logged_in().await;
        scene.time.advance(Duration::from_secs(3301));
        scene
    }

    /// A session that holds a refresh token alone.
    pub(crate) async fn without_token() -> Self {
        Self::of(Grant::of_refresh_token("refresh-1")).await
    }

    /// A token that must come.
    pub(crate) async fn token(&self) -> AccessToken {
        soon(self.session.token()).await.expect("a token")
    }

    /// The token of a caller that waits for one refresh, which `answer` answers.
    pub(crate) async fn refresh(
        &mut self,
        answer: impl AsyncFn(Exchange),
    ) -> Result<AccessToken, Error> {
        let caller = tokio::spawn(token_of(&self.session));
        let exchange = self.server.next().await;
        answer(exchange).await;
        soon(caller).await.expect("a caller that does not panic")
    }

    /// The refresh token that the session holds.
    pub(crate) fn held(&self) -> String {
        let grant = self.session.grant().expect("a grant");
        grant.refresh_token().map(Secret::expose).expect("a refresh token").to_owned()
    }

    /// Long after, the server is well again: a caller gets a new token, for `presented`.
    pub(crate) async fn recovers(&mut self, presented: &str) {
        self.time.advance(HOUR);
        let token = self.refresh(async |exchange| {
            assert_eq!(exchange.received.field("refresh_token").as_deref(), Some(presented));
            exchange.json(GOOD).await;
        });
        let token = token.await.expect("a token, once the server is well again");
        assert_eq!(token.expose(), "access-2");
        assert_eq!(self.held(), "refresh-2");
    }
}

/// A due refresh gets `bad`. No caller notices (rule B5), and the session holds `kept` afterwards.
pub(crate) async fn while_the_old_token_works(bad: impl AsyncFn(Exchange), kept: &str) -> Scene {
    let mut scene = Scene::due().await;
    let changed = scene.session.changed();
    assert_eq!(scene.token().await.expose(), "access-1", "when it becomes due");
    let exchange = scene.server.next().await;
    assert_eq!(exchange.received.field("refresh_token").as_deref(), Some("refresh-1"));
    assert_eq!(scene.token().await.expose(), "access-1", "while the refresh is out");
    bad(exchange).await;
    soon(changed).await;
    assert_eq!(scene.token().await.expose(), "access-1", "after it has failed");
    assert_eq!(scene.held(), kept);
    scene
}

/// A caller that has to wait gets `bad`. Gives what it sees.
pub(crate) async fn where_there_is_no_token(
    bad: impl AsyncFn(Exchange),
    kept: &str,
) -> (Scene, Error) {
    let mut scene = Scene::without_token().await;
    let error = scene.refresh(bad).await.expect_err("a failure");
    assert_mannered(&error);
    assert_eq!(scene.held(), kept);
    (scene, error)
}

/// Both of these, and that the next good answer mends it, for which `kept` is presented.
pub(crate) async fn mends_after(bad: impl AsyncFn(Exchange), kept: &str) -> Error {
    while_the_old_token_works(&bad, kept).await.recovers(kept).await;
    let (mut scene, error) = where_there_is_no_token(&bad, kept).await;
    assert!(error.is_unavailable(), "{error:?}");
    assert!(!error.is_login_required(), "{error:?}");
    let retry = error.when_to_retry().expect("an instant to come back at");
    assert!(retry > START, "{retry:?} is no later than now");
    scene.recovers(kept).await;
    error
}

/// The refresher's own error underneath.
pub(crate) fn underneath(error: &Error) -> &RefreshError {
    let source = error.source().expect("a source");
    source.downcast_ref::<RefreshError>().expect("the refresher's error")
}

/// How it failed, and in which words.
pub(crate) fn told(error: &Error) -> (Failure<Timestamp>, String) {
    let error = underneath(error);
    (error.failure(), error.to_string())
}

/// A caller that lives on without the scene.
pub(crate) fn token_of(
    session: &Session,
) -> impl Future<Output = Result<AccessToken, Error>> + Send + use<> {
    let session = session.clone();
    async move { session.token().await }
}
