//! One face for three HTTP clients with their adapters, so that a scenario is written once.

use std::error::Error as StdError;
use std::fmt;
use std::io::{self, Read};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Extensions, HeaderMap, HeaderValue, Method};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper_util::rt::TokioExecutor;
use perennial::adapters::tower::{Ahead, BearerLayer};
use perennial::adapters::{reqwest as on_reqwest, ureq as on_ureq};
use perennial::interceptor::{Interceptor, Refused};
use perennial::token::AccessToken;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use tokio::task::JoinHandle;
use tower::util::BoxCloneService;
use tower::{ServiceBuilder, ServiceExt};
use tower_http::follow_redirect::FollowRedirectLayer;
use ureq::middleware::MiddlewareNext;
use ureq::{Agent, SendBody};

/// Which adapter a scenario runs on.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Adapter {
    Reqwest,
    Tower,
    Ureq,
}

/// How much of a body the adapters read ahead here: those of tower and ureq alike.
pub(crate) const READ_AHEAD: usize = 65_536;

/// A request, for whichever client.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    method: Method,
    url: String,
    headers: Vec<(&'static str, String)>,
    body: Payload,
}

#[derive(Clone, Debug)]
enum Payload {
    None,
    Whole(String),
    /// Each chunk is to be had once.
    Stream(Vec<Bytes>),
}

impl Call {
    pub(crate) fn get(url: impl Into<String>) -> Self {
        Self { method: Method::GET, url: url.into(), headers: Vec::new(), body: Payload::None }
    }

    pub(crate) fn method(self, method: Method) -> Self {
        Self { method, ..self }
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// A body that is in memory.
    pub(crate) fn whole(self, body: &str) -> Self {
        Self { body: Payload::Whole(body.to_owned()), ..self }
    }

    /// A body that can be read once.
    pub(crate) fn stream(self, chunks: impl IntoIterator<Item = Bytes>) -> Self {
        Self { body: Payload::Stream(chunks.into_iter().collect()), ..self }
    }
}

/// What a request carries by the time that it leaves the adapter.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spy(Arc<Mutex<Vec<HeaderValue>>>);

impl Spy {
    fn look(&self, headers: &HeaderMap) {
        if let Some(value) = headers.get(AUTHORIZATION) {
            self.0.lock().expect("a spy").push(value.clone());
        }
    }

    pub(crate) fn seen(&self) -> Vec<HeaderValue> {
        self.0.lock().expect("a spy").clone()
    }
}

#[async_trait::async_trait]
impl Middleware for Spy {
    async fn handle(
        &self,
        request: reqwest::Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        self.look(request.headers());
        next.run(request, extensions).await
    }
}

impl ureq::middleware::Middleware for Spy {
    fn handle(
        &self,
        request: http::Request<SendBody<'_>>,
        next: MiddlewareNext<'_>,
    ) -> Result<http::Response<ureq::Body>, ureq::Error> {
        self.look(request.headers());
        next.handle(request)
    }
}

pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;
pub(crate) type TowerBody = UnsyncBoxBody<Bytes, io::Error>;
type TowerAnswer = http::Response<TowerBody>;
type TowerClient = BoxCloneService<http::Request<TowerBody>, TowerAnswer, BoxError>;

/// A client, with its adapter or without.
#[derive(Clone)]
pub(crate) enum Client {
    Reqwest(ClientWithMiddleware),
    Tower(TowerClient),
    Ureq(Agent),
}

impl Client {
    /// A client whose requests `interceptor` prepares, and `spy` sees afterwards.
    pub(crate) fn new(on: Adapter, interceptor: Interceptor, spy: Spy) -> Self {
        match on {
            Adapter::Reqwest => {
                let client =
                    on_reqwest::BearerMiddleware::client(interceptor, reqwest::Client::builder());
                Self::Reqwest(client.expect("a client").with(spy).build())
            }
            Adapter::Tower => {
                let ahead = Ahead::new(READ_AHEAD, TowerBody::new);
                let layer = BearerLayer::new(interceptor).replaying(ahead);
                let client = ServiceBuilder::new()
                    .layer(layer.following_redirects())
                    .map_request(move |request: http::Request<TowerBody>| {
                        spy.look(request.headers());
                        request
                    })
                    .service(hyper_client().map_response(boxed));
                Self::Tower(BoxCloneService::new(client))
            }
            Adapter::Ureq => {
                let replayer: Agent = ureq_config().middleware(spy.clone()).build().into();
                let bearer = on_ureq::BlockingBearerMiddleware::new(interceptor)
                    .http_status_as_error(false)
                    .replay_through(replayer);
                Self::Ureq(ureq_config().middleware(bearer).middleware(spy).build().into())
            }
        }
    }

    /// A client without any adapter.
    pub(crate) fn bare(on: Adapter) -> Self {
        match on {
            Adapter::Reqwest => Self::Reqwest(ClientBuilder::new(reqwest::Client::new()).build()),
            Adapter::Tower => {
                let client = ServiceBuilder::new().layer(FollowRedirectLayer::new());
                let client =
                    client.service(hyper_client().map_response(boxed).map_err(BoxError::from));
                Self::Tower(BoxCloneService::new(client))
            }
            Adapter::Ureq => Self::Ureq(ureq_config().build().into()),
        }
    }

    /// A request that is on its way.
    pub(crate) fn send(&self, call: Call) -> JoinHandle<Result<Answered, Failed>> {
        match self {
            Self::Reqwest(client) => tokio::spawn(by_reqwest(client.clone(), call)),
            Self::Tower(client) => tokio::spawn(by_tower(client.clone(), call)),
            Self::Ureq(agent) => {
                let agent = agent.clone();
                tokio::task::spawn_blocking(move || by_ureq(&agent, call))
            }
        }
    }
}

type HyperClient = hyper_util::client::legacy::Client<
    hyper_util::client::legacy::connect::HttpConnector,
    TowerBody,
>;

fn hyper_client() -> HyperClient {
    hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build_http()
}

fn boxed<B>(response: http::Response<B>) -> TowerAnswer
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    response.map(|body| body.map_err(io::Error::other).boxed_unsync())
}

fn ureq_config() -> ureq::config::ConfigBuilder<ureq::typestate::AgentScope> {
    Agent::config_builder().http_status_as_error(false).proxy(None)
}

async fn by_reqwest(client: ClientWithMiddleware, call: Call) -> Result<Answered, Failed> {
    let mut request = client.request(call.method, call.url);
    for (name, value) in call.headers {
        request = request.header(name, value);
    }
    let request = match call.body {
        Payload::None => request,
        Payload::Whole(body) => request.body(body),
        Payload::Stream(chunks) => {
            let chunks = chunks.into_iter().map(Ok::<_, io::Error>);
            request.body(reqwest::Body::wrap_stream(futures::stream::iter(chunks)))
        }
    };
    let mut response = request.send().await.map_err(|error| Failed(error.into()))?;
    Ok(Answered {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        token: response.extensions_mut().remove(),
        body: Incoming::Reqwest(response),
    })
}

async fn by_tower(client: TowerClient, call: Call) -> Result<Answered, Failed> {
    let body = match call.body {
        Payload::None => TowerBody::default(),
        Payload::Whole(body) => Full::from(body).map_err(|never| match never {}).boxed_unsync(),
        Payload::Stream(chunks) => {
            let frames = chunks.into_iter().map(|chunk| Ok(http_body::Frame::data(chunk)));
            StreamBody::new(futures::stream::iter(frames)).boxed_unsync()
        }
    };
    let mut request = http::Request::builder().method(call.method).uri(call.url);
    for (name, value) in call.headers {
        request = request.header(name, value);
    }
    let request = request.body(body).expect("a request");
    let mut response = client.oneshot(request).await.map_err(Failed)?;
    Ok(Answered {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        token: response.extensions_mut().remove(),
        body: Incoming::Tower(response.into_body()),
    })
}

fn by_ureq(agent: &Agent, call: Call) -> Result<Answered, Failed> {
    let mut request = http::Request::builder().method(call.method).uri(call.url);
    for (name, value) in call.headers {
        request = request.header(name, value);
    }
    let response = match call.body {
        Payload::None => agent.run(request.body(()).expect("a request")),
        Payload::Whole(body) => agent.run(request.body(body).expect("a request")),
        Payload::Stream(chunks) => {
            let body = SendBody::from_owned_reader(Chunks(chunks.into()));
            agent.run(request.body(body).expect("a request"))
        }
    };
    let mut response = response.map_err(|error| Failed(error.into()))?;
    Ok(Answered {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        token: response.extensions_mut().remove(),
        body: Incoming::Ureq(Some(Box::new(response.into_body().into_reader()))),
    })
}

/// Gives a chunk a read.
struct Chunks(std::collections::VecDeque<Bytes>);

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(chunk) = self.0.front_mut() else { return Ok(0) };
        let read = chunk.len().min(buffer.len());
        buffer[..read].copy_from_slice(&chunk.split_to(read));
        if chunk.is_empty() {
            self.0.pop_front();
        }
        Ok(read)
    }
}

/// An answer, whose body is still to be read.
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// The token among its extensions.
    pub(crate) token: Option<AccessToken>,
    body: Incoming,
}

enum Incoming {
    Reqwest(reqwest::Response),
    Tower(TowerBody),
    /// `None` only while a thread reads it.
    Ureq(Option<Box<dyn Read + Send>>),
}

impl fmt::Debug for Answered {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "an answer: {} {:?}", self.status, self.headers)
    }
}

impl Answered {
    /// What comes next of the body; nothing at its end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, BoxError> {
        match &mut self.body {
            Incoming::Reqwest(response) => Ok(response.chunk().await?),
            Incoming::Tower(body) => match body.frame().await {
                Some(frame) => Ok(frame?.into_data().ok()),
                None => Ok(None),
            },
            Incoming::Ureq(reader) => {
                let mut taken = reader.take().expect("a reader");
                let read = tokio::task::spawn_blocking(move || {
                    let mut buffer = vec![0; 8192];
                    let read = taken.read(&mut buffer).map(|read| buffer[..read].to_vec());
                    (taken, read)
                });
                let (taken, read) = read.await?;
                *reader = Some(taken);
                let read = read?;
                Ok((!read.is_empty()).then(|| read.into()))
            }
        }
    }

    /// The body, read to its end.
    pub(crate) async fn text(mut self) -> Result<String, BoxError> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            body.extend_from_slice(&chunk);
        }
        Ok(String::from_utf8_lossy(&body).into_owned())
    }
}

/// A request that came to no answer: the client's own error.
#[derive(Debug)]
pub(crate) struct Failed(BoxError);

impl Failed {
    /// The interceptor's refusal, where it was one.
    pub(crate) fn refused(&self) -> Option<&Refused> {
        let error = &*self.0;
        if let Some(reqwest_middleware::Error::Middleware(error)) = error.downcast_ref() {
            return error.downcast_ref();
        }
        if let Some(ureq::Error::Other(error)) = error.downcast_ref() {
            return error.downcast_ref();
        }
        error.downcast_ref()
    }

    /// The session's error within.
    pub(crate) fn found(&self) -> Option<&perennial::session::Error> {
        perennial::session::Error::find(&*self.0)
    }

    /// All that it says, and all that is underneath says.
    pub(crate) fn says(&self) -> Vec<String> {
        let mut says = Vec::new();
        let mut error: Option<&(dyn StdError + 'static)> = Some(&*self.0);
        while let Some(this) = error {
            says.push(this.to_string());
            error = this.source();
        }
        says
    }

    /// All that could be shown of it.
    pub(crate) fn shown(&self) -> String {
        format!("{:?} {:?} {:#?}", self.says(), self.0, self.0)
    }
}
