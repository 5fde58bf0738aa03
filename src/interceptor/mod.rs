//! Attaching a session's token to HTTP requests: what the adapters for HTTP clients have in common.
//!
//! ```
//! # use perennial::refresh::{RefreshError, Request};
//! # use perennial::session::Session;
//! # use perennial::token::Grant;
//! use perennial::interceptor::Interceptor;
//!
//! # fn example(session: Session) -> Result<(), Box<dyn std::error::Error>> {
//! let interceptor = Interceptor::builder(session).origin("https://api.example.com").build()?;
//! // `adapters::reqwest::BearerMiddleware::client(interceptor, ..)`, or tower's, or ureq's.
//! # let _ = interceptor;
//! # Ok(())
//! # }
//! # let refresher = |_: Request| async { Err::<Grant, _>(RefreshError::declined("none")) };
//! # example(Session::builder(refresher).build()?)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! An adapter for another client is short: ask [`Interceptor::attaches`] whether to attach a token,
//! [`Interceptor::token`] for one, send the request, and do what [`Interceptor::handle_response`]
//! returns. Turn off the client's own redirects: many clients drop the token on the hop that leaves
//! its origins, and send it again on a later one.
//!
//! # In a service
//! A service in axum that calls an API, with the features `oauth2`, `reqwest`, `tokio` and `file`. The
//! feature `axum` of this crate is not needed for that: it is for authorization servers and the APIs
//! that accept their tokens.
//!
//! ```no_run
//! use axum::http::{StatusCode, header::RETRY_AFTER};
//! use axum::response::{IntoResponse, Response};
//! use axum::{Router, extract::State, routing::get};
//! use perennial::adapters::{file::FileStore, oauth2::RefreshGrant, reqwest::BearerMiddleware, tokio::Tokio};
//! use perennial::time::{Lifetime, Timestamp};
//! use perennial::{interceptor::Interceptor, session, session::Session, token::Grant, wire::Client};
//! use reqwest_middleware::ClientWithMiddleware;
//! use std::time::{Duration, SystemTime};
//!
//! #[derive(Clone)]
//! struct App {
//!     session: Session,
//!     http: ClientWithMiddleware,
//! }
//!
//! /// Converts the `oauth2` crate's `TokenResponse`: its `access_token().secret()`, the secret of its
//! /// `refresh_token()`, and its `expires_in()`. After a login: `app.session.install(grant).await`.
//! fn grant(access: &str, refresh: &str, expires_in: Option<Duration>) -> Grant {
//!     Grant::new(access, refresh, expires_in.map_or(Lifetime::Unstated, Lifetime::from))
//! }
//!
//! async fn things(State(app): State<App>) -> Response {
//!     match app.http.get("https://api.example.com/things").send().await {
//!         Ok(response) => response.status().into_response(), // or `response.json().await`
//!         Err(error) => failed(&error),
//!     }
//! }
//!
//! fn failed(error: &reqwest_middleware::Error) -> Response {
//!     match session::Error::find(error) {
//!         // The network, or the API.
//!         None => StatusCode::BAD_GATEWAY.into_response(),
//!         Some(error) if error.is_login_required() => StatusCode::UNAUTHORIZED.into_response(),
//!         Some(error) => {
//!             let at = error.when_to_retry().and_then(Timestamp::to_system_time);
//!             let delay = at.and_then(|at| at.duration_since(SystemTime::now()).ok()).unwrap_or_default();
//!             let seconds = (delay.as_secs() + 1).to_string();
//!             (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, seconds)]).into_response()
//!         }
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let auth = Client::builder("https://auth.example.com/token", "my-client")
//!         .client_secret(std::env::var("CLIENT_SECRET")?)
//!         .build()?;
//!     let tokio = Tokio::current()?;
//!     let session = Session::builder_with(RefreshGrant::new(auth)?)
//!         .store(FileStore::open("grant.json")?)
//!         .timer(tokio.clone())
//!         .spawner(tokio.spawner())
//!         .build()?;
//!     tokio::spawn(session.keep_fresh(tokio));
//!     let interceptor = Interceptor::builder(session.clone()).origin("https://api.example.com").build()?;
//!     let http = BearerMiddleware::client(interceptor, reqwest::Client::builder())?.build();
//!     let app = App { session: session.clone(), http };
//!     let router = Router::new().route("/things", get(things)).with_state(app);
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//!     let stop = async { drop(tokio::signal::ctrl_c().await) };
//!     axum::serve(listener, router).with_graceful_shutdown(stop).await?;
//!     session.close().await?; // waits for a refresh in flight, and stores what is not stored yet
//!     Ok(())
//! }
//! ```
//!
//! - *State.* Clones of a `Session`, an `Interceptor` and a `ClientWithMiddleware` are cheap, and share
//!   one session. `ClientWithMiddleware` is from the crate `reqwest-middleware`, version 0.5; its
//!   feature `json` adds `.json(..)` to requests and responses.
//! - *Starting.* With a store, the grant of the last run is used. Before the first login there is none,
//!   and `things` returns 401. To start from a refresh token in the configuration instead, add
//!   [`grant`](crate::session::Builder::grant): it is used only while the store is empty.
//! - *Service to service.* With client credentials there is no login: replace `RefreshGrant` by
//!   `ClientCredentials`, the store by [`without_grant`](crate::session::Builder::without_grant), and
//!   declare [`Reuse::Unrotated`](crate::lifecycle::Reuse::Unrotated).
//! - *Without traffic.* [`keep_fresh`](crate::session::Session::keep_fresh) refreshes also while no
//!   request comes. It holds no handle itself: it ends once the last handle of the session, the
//!   interceptor or the client is dropped. Leave it out if the first request after a quiet time may
//!   wait for a refresh.
//! - *Spawner.* With a [`spawner`](crate::session::Builder::spawner) a refresh that has started is
//!   completed, and its grant stored, also if no further request comes. Without one the next request,
//!   `keep_fresh` or `close` does that.
//! - *Logs.* Nothing is logged. To record failed refreshes, wrap the refresher:
//!   [`Refresh`](crate::refresh::Refresh).
//!
//! # Waiting
//! A request waits for tokens no longer than its [`wait_limit`](InterceptorBuilder::wait_limit),
//! even if the authorization server hangs. The text of the error says why there was no token;
//! `session::Error::find` finds the session's own error in that of any client.
//!
//! # Invariants
//! - All decisions are made in [`crate::verdict`]; this module reads headers and reports to the
//!   session.
//! - A token is sent only to the configured origins ([E5](crate::spec#e-requests)).
//! - A refresh does not affect a request in flight or its response (rule E7: "it keeps the token
//!   that it began with").
//!
//! # Out of scope
//! Sending requests. [`LocalSession`](crate::session::LocalSession): an interceptor takes a
//! [`Session`](crate::session::Session). Reading bodies: a program that finds an error there
//! (GraphQL's, say) takes the [`AccessToken`](crate::token::AccessToken) from the response's
//! extensions, and calls [`Session::reject`](crate::session::Session::reject).

mod attach;
mod builder;
mod challenge;
mod origin;
mod reason;
#[cfg(any(feature = "reqwest", feature = "tower", feature = "ureq"))]
pub(crate) mod redirect;
mod refused;
mod response;

pub use attach::Interceptor;
pub use builder::{
    DEFAULT_MAX_REDIRECTS, DEFAULT_RETRY_FOR, DEFAULT_WAIT_LIMIT, InterceptorBuilder,
    InterceptorError,
};
pub use challenge::read as read_challenges;
pub use origin::{Origin, OriginError, RequestTarget, Target};
pub use refused::Refused;
pub use response::{ResponseHead, classify_grpc};
