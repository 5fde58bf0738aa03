//! The server of the example: the crate's endpoints, an API that asks for tokens, and a page.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use perennial::adapters::axum::{AuthorizationServer, RegisteredClient, RequireBearer};
use perennial::adapters::jwt::{Jwt, SigningKey};
use perennial::events::{Event, EventKind};
use perennial::issue::{FamilyStore, Identity, Issuer, Keys, MemoryFamilies};
use perennial::rotation::Policy;
use tokio::net::TcpListener;

/// Takes a line.
pub(crate) type Log = Box<dyn Fn(&str) + Send + Sync>;

/// How the server behaves.
pub(crate) struct Config<S = MemoryFamilies> {
    pub(crate) policy: Policy,
    pub(crate) access_lifetime: Duration,
    /// Signs access tokens; without it they are opaque.
    pub(crate) signing: Option<SigningKey>,
    /// The secret of a second client, which may act for itself and introspect tokens; without one there is no
    /// such client.
    pub(crate) service_secret: Option<String>,
    /// Where families are kept.
    pub(crate) families: S,
    /// The same for all servers that share the families.
    pub(crate) keys: Keys,
    /// Where a line goes for each thing that is issued or refused.
    pub(crate) log: Option<Log>,
    /// How many requests the page's client may make.
    pub(crate) requests_a_second: u32,
    /// Whether anybody can log in without a password.
    pub(crate) dev_login: bool,
    /// The origins of pages that are served elsewhere.
    pub(crate) origins: Vec<String>,
}

const SECOND: Duration = Duration::from_secs(1);

/// The id of the page's client, which is public.
pub(crate) const CLIENT: &str = "web";

/// The id of the client that has a secret.
pub(crate) const SERVICE: &str = "service";

/// A server that listens, and what it is made of.
pub(crate) struct Server<S: FamilyStore = MemoryFamilies> {
    pub(crate) url: String,
    pub(crate) issuer: Issuer<S>,
    pub(crate) endpoints: AuthorizationServer<S>,
    /// What else it serves.
    more: Router,
    listener: TcpListener,
}

impl<S: FamilyStore> Server<S> {
    pub(crate) async fn listen(address: SocketAddr, config: Config<S>) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let issuer = Issuer::builder(config.keys, config.families)
            .policy(config.policy)
            .access_lifetime(config.access_lifetime);
        let issuer = match config.log {
            Some(log) => issuer.on_event(move |event| log(&line(event))),
            None => issuer,
        };
        let jwt = config.signing.map(|key| Jwt::new(&*url, "things", key));
        let issuer = match &jwt {
            Some(jwt) => issuer.access_tokens(jwt.clone()),
            None => issuer,
        };
        let issuer = issuer.build();
        let endpoints = AuthorizationServer::builder(issuer.clone(), &*url)
            .client(RegisteredClient::public(CLIENT).rate_limit(config.requests_a_second, SECOND));
        let endpoints = if config.dev_login { endpoints.with_dev_login() } else { endpoints };
        let endpoints = config.origins.iter().try_fold(endpoints, |it, one| it.allow_origin(one));
        let endpoints = endpoints.map_err(io::Error::other)?;
        let endpoints = match config.service_secret {
            Some(secret) => endpoints.client(
                RegisteredClient::confidential(SERVICE, secret)
                    .client_credentials(["read"])
                    .introspection(),
            ),
            None => endpoints,
        };
        let endpoints = match jwt {
            Some(jwt) => endpoints.jwks(jwt.jwks()),
            None => endpoints,
        };
        let endpoints = endpoints.build().map_err(io::Error::other)?;
        Ok(Self { url, issuer, endpoints, more: Router::new(), listener })
    }

    /// Adds routes.
    pub(crate) fn add(&mut self, routes: Router) {
        self.more = std::mem::take(&mut self.more).merge(routes);
    }

    /// Serves until `ended`, and finishes what was begun.
    pub(crate) async fn serve(
        self,
        ended: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let things = Router::new()
            .route("/things/{number}", get(thing))
            .route_layer(RequireBearer::new(self.issuer).realm("things"));
        let app = self
            .endpoints
            .router()
            .merge(things)
            .merge(self.more)
            .route("/", get(page))
            .route("/web/{file}", get(file));
        let app = app.into_make_service_with_connect_info::<SocketAddr>();
        axum::serve(self.listener, app).with_graceful_shutdown(ended).await?;
        self.endpoints.finish().await;
        Ok(())
    }
}

/// When it was, and what.
fn line(event: &Event) -> String {
    let at = event.at.to_system_time().expect("a clock that shows a time");
    let at = humantime::format_rfc3339_millis(at);
    let EventKind::Issuer(event) = &event.kind else { return format!("{at} {event}") };
    format!("{at} {event}")
}

/// A thing, for whoever may see it.
async fn thing(Path(number): Path<u64>, request: Request) -> String {
    let who = request.extensions().get::<Identity>().map_or("nobody", |it| &it.subject);
    format!("thing {number} of {who}")
}

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

async fn page() -> Response {
    ([(CONTENT_TYPE, HTML)], include_str!("web/index.html")).into_response()
}

async fn file(Path(name): Path<String>) -> Response {
    match &*name {
        "page.mjs" => ([(CONTENT_TYPE, SCRIPT)], include_str!("web/page.mjs")).into_response(),
        "session.mjs" => {
            ([(CONTENT_TYPE, SCRIPT)], include_str!("web/session.mjs")).into_response()
        }
        // As npm has put it there.
        "axios.js" => {
            let script = std::fs::read(web().join("node_modules/axios/dist/esm/axios.js"));
            script.map_or_else(
                |_| {
                    (StatusCode::NOT_FOUND, "run `npm ci` in examples/token_server/web first")
                        .into_response()
                },
                |script| ([(CONTENT_TYPE, SCRIPT)], script).into_response(),
            )
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Where the page's files are.
pub(crate) fn web() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/token_server/web"))
}
