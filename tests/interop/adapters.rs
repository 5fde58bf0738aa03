//! A session at the door of each HTTP client, called from plain threads.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use http_body_util::Empty;
use hyper_util::client::legacy::Client as Hyper;
use hyper_util::rt::TokioExecutor;
use perennial::adapters::oauth2::{ClientCredentials, RefreshGrant};
use perennial::adapters::thread::ThreadTimer;
use perennial::adapters::tokio::Tokio;
use perennial::adapters::tower::BearerLayer;
use perennial::adapters::{reqwest as over_reqwest, ureq as over_ureq};
use perennial::interceptor::Interceptor;
use perennial::lifecycle::{MissingLifetime, Policy};
use perennial::refresh::{PollIn, Refresh, RefreshError, Request};
use perennial::session::Session;
use perennial::time::{Lifetime, Span};
use perennial::token::Grant;
use perennial::wire::Client;
use tokio::runtime::Runtime;
use tower::{Layer as _, ServiceExt as _};

use crate::servers::Login;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

/// The adapters for requests; refreshes go out over the same client, but tower's over reqwest.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Adapter {
    Reqwest,
    Tower,
    Ureq,
}

impl Adapter {
    pub(crate) const ALL: [Self; 3] = [Self::Reqwest, Self::Tower, Self::Ureq];
}

/// Whether the session hears how long its tokens live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifetimes {
    /// It refreshes ahead.
    Told,
    /// It uses a token until that is rejected.
    Untold,
}

/// Where a session's grants come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Login { seconds: u64 },
    ClientCredentials,
}

/// A session, and a client that sends with its token.
pub(crate) struct Caller {
    pub(crate) session: Session,
    refreshes: Arc<AtomicU64>,
    get: Box<dyn Fn() -> Answered + Send + Sync>,
}

type Answered = Result<u16, Box<dyn Error + Send + Sync>>;

impl Caller {
    pub(crate) fn new(
        adapter: Adapter,
        login: &Login,
        source: Source,
        lifetimes: Lifetimes,
    ) -> Self {
        let refreshes = Arc::new(AtomicU64::new(0));
        let heard = Heard { lifetimes, refreshes: Arc::clone(&refreshes) };
        let session = session(adapter, login, source, heard);
        let url = login.text("api_url");
        let interceptor = Interceptor::builder(session.clone()).origin(&url).build();
        let interceptor = interceptor.expect("an interceptor");
        let get = match adapter {
            Adapter::Reqwest => reqwest_get(interceptor, url),
            Adapter::Tower => tower_get(interceptor, url),
            Adapter::Ureq => ureq_get(interceptor, url),
        };
        Self { session, refreshes, get }
    }

    /// The status of the API's answer.
    pub(crate) fn get(&self) -> Answered {
        (self.get)()
    }

    /// How many refreshes have ended well.
    pub(crate) fn refreshes(&self) -> u64 {
        self.refreshes.load(Ordering::Relaxed)
    }
}

fn session(adapter: Adapter, login: &Login, source: Source, heard: Heard) -> Session {
    let lifetimes = heard.lifetimes;
    let client = Client::builder(login.text("token_endpoint"), login.text("client_id"))
        .client_secret(login.text("client_secret"))
        .build()
        .expect("a client");
    let handle = RUNTIME.handle().clone();
    let builder = match (adapter, source) {
        (Adapter::Ureq, Source::Login { .. }) => {
            let refresh = over_ureq::refresh_grant(client);
            Session::builder_blocking(move |request| heard.hear(refresh(request)))
        }
        (Adapter::Ureq, Source::ClientCredentials) => {
            let ask = over_ureq::client_credentials(client);
            Session::builder_blocking(move |request| heard.hear(ask(request)))
        }
        (Adapter::Reqwest | Adapter::Tower, Source::Login { .. }) => {
            let refresher = RefreshGrant::on(client, handle).expect("a refresher");
            Session::builder_with(Hearing { refresher, heard })
        }
        (Adapter::Reqwest | Adapter::Tower, Source::ClientCredentials) => {
            let refresher = ClientCredentials::on(client, handle).expect("a refresher");
            Session::builder_with(Hearing { refresher, heard })
        }
    };
    let builder = match (adapter, Tokio::new(RUNTIME.handle().clone())) {
        (Adapter::Ureq, _) => builder.timer(ThreadTimer::new()),
        (Adapter::Reqwest | Adapter::Tower, tokio) => {
            builder.timer(tokio.clone()).spawner(tokio.spawner())
        }
    };
    let lifetime = |seconds| match lifetimes {
        Lifetimes::Told => Lifetime::For(Span::from_secs(seconds)),
        Lifetimes::Untold => Lifetime::Unstated,
    };
    let builder = match source {
        Source::Login { seconds } => {
            let (access, refresh) = (login.text("access_token"), login.text("refresh_token"));
            builder.grant(Grant::new(access, refresh, lifetime(seconds)))
        }
        Source::ClientCredentials => builder.without_grant(),
    };
    let policy = Policy::builder().missing_lifetime(MissingLifetime::UntilRejected).build();
    builder.policy(policy.expect("a policy")).build().expect("a session")
}

fn reqwest_get(interceptor: Interceptor, url: String) -> Box<dyn Fn() -> Answered + Send + Sync> {
    let http = reqwest::Client::builder().no_proxy();
    let client =
        over_reqwest::BearerMiddleware::client(interceptor, http).expect("a client").build();
    Box::new(move || {
        let sent = client.get(&url).send();
        RUNTIME.block_on(async { Ok(tokio::spawn(sent).await??.status().as_u16()) })
    })
}

fn tower_get(interceptor: Interceptor, url: String) -> Box<dyn Fn() -> Answered + Send + Sync> {
    let hyper = Hyper::builder(TokioExecutor::new()).build_http::<Empty<bytes::Bytes>>();
    let client = BearerLayer::new(interceptor).layer(hyper);
    Box::new(move || {
        let request = http::Request::get(&url).body(Empty::new()).expect("a request");
        let sent = client.clone().oneshot(request);
        RUNTIME.block_on(async { Ok(tokio::spawn(sent).await??.status().as_u16()) })
    })
}

fn ureq_get(interceptor: Interceptor, url: String) -> Box<dyn Fn() -> Answered + Send + Sync> {
    let bearer = over_ureq::BlockingBearerMiddleware::new(interceptor).http_status_as_error(false);
    let config = ureq::Agent::config_builder().middleware(bearer).proxy(None);
    let agent: ureq::Agent = config.http_status_as_error(false).build().into();
    Box::new(move || Ok(agent.get(&url).call()?.status().as_u16()))
}

/// Counts refreshes, and withholds what it is to withhold.
#[derive(Clone)]
struct Heard {
    lifetimes: Lifetimes,
    refreshes: Arc<AtomicU64>,
}

impl Heard {
    fn hear(&self, result: Result<Grant, RefreshError>) -> Result<Grant, RefreshError> {
        let grant = result?;
        self.refreshes.fetch_add(1, Ordering::Relaxed);
        if self.lifetimes == Lifetimes::Told {
            return Ok(grant);
        }
        let access = grant.access_token().expect("an access token").clone();
        let untold = Grant::of_access_token(access, Lifetime::Unstated);
        Ok(match grant.refresh_token() {
            Some(refresh) => untold.with_refresh_token(refresh.clone()),
            None => untold,
        })
    }
}

struct Hearing<R> {
    refresher: R,
    heard: Heard,
}

impl<R: Refresh> Refresh for Hearing<R> {
    fn refresh(
        &self,
        request: Request,
    ) -> impl Future<Output = Result<Grant, RefreshError>> + Send + 'static {
        let (refresh, heard) = (self.refresher.refresh(request), self.heard.clone());
        async move { heard.hear(refresh.await) }
    }

    fn poll_in(&self) -> PollIn {
        self.refresher.poll_in()
    }
}
