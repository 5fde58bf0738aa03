//! The authorization server, made with this crate, which keeps an account of the token requests.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use perennial::adapters::axum::{AuthorizationServer, RegisteredClient, RequireBearer};
use perennial::events::{Event, EventKind, IssuerOutcome};
use perennial::issue::{Issuer, Keys, Login, MemoryFamilies};
use perennial::rotation::{Policy, Reuse};
use perennial::token::Grant;
use tokio::net::TcpListener;

use crate::{Arguments, Result, Rotation, WINDOW};

pub(crate) const CLIENT: &str = "fleet";

/// A request to the token endpoint.
#[derive(Clone)]
pub(crate) struct TokenRequest {
    /// Who has sent it.
    pub(crate) holder: u64,
    pub(crate) presented: String,
    pub(crate) at: Duration,
    /// Once it was handled.
    pub(crate) granted: Option<bool>,
}

/// What the server has seen.
pub(crate) struct Seen {
    started: Instant,
    requests: Mutex<Vec<TokenRequest>>,
    pub(crate) rotations: AtomicU64,
    pub(crate) repeats: AtomicU64,
    pub(crate) refusals: AtomicU64,
    pub(crate) families_revoked: AtomicU64,
    latency: Duration,
}

impl Seen {
    /// Returns the time since the server has started.
    #[allow(clippy::disallowed_methods, reason = "a demonstration on the real clock")]
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn requests(&self) -> Vec<TokenRequest> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<TokenRequest>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A server that serves on loopback until the program ends.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) seen: Arc<Seen>,
    issuer: Issuer<MemoryFamilies>,
}

impl Server {
    /// Returns the grant of another login.
    pub(crate) async fn log_in(&self) -> Result<Grant> {
        let login = self.issuer.login(Login::new(CLIENT, "somebody")).await?;
        let mut grant = Grant::of_access_token(login.access_token, login.expires_in);
        if let Some(refresh_token) = login.refresh_token {
            grant = grant.with_refresh_token(refresh_token);
        }
        Ok(grant)
    }
}

/// Starts the server.
#[allow(clippy::disallowed_methods, reason = "a demonstration on the real clock")]
pub(crate) async fn start(arguments: &Arguments) -> Result<Server> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let seen = Arc::new(Seen {
        started: Instant::now(),
        requests: Mutex::default(),
        rotations: AtomicU64::default(),
        repeats: AtomicU64::default(),
        refusals: AtomicU64::default(),
        families_revoked: AtomicU64::default(),
        latency: arguments.latency,
    });
    let mut secret = [0; 32];
    getrandom::fill(&mut secret)?;
    let reuse = match arguments.rotation {
        Rotation::Strict => Reuse::Strict,
        Rotation::Idempotent => Reuse::idempotent(WINDOW),
    };
    let counts = Arc::clone(&seen);
    let issuer = Issuer::builder(Keys::new(secret)?, MemoryFamilies::new())
        .policy(Policy::new(reuse))
        .access_lifetime(arguments.ttl)
        .on_event(move |event| count(&counts, event))
        .build();
    let server = AuthorizationServer::builder(issuer.clone(), &*url)
        .client(RegisteredClient::public(CLIENT).rate_limit(100_000, Duration::from_secs(1)))
        .build()?;
    let api = Router::new()
        .route("/api", get(async || "a thing"))
        .layer(RequireBearer::new(issuer.clone()));
    let tokens = server.router().layer(from_fn_with_state(Arc::clone(&seen), account));
    tokio::spawn(async move { axum::serve(listener, tokens.merge(api)).await });
    Ok(Server { url, seen, issuer })
}

fn count(seen: &Seen, event: &Event) {
    let EventKind::Issuer(notice) = &event.kind else { return };
    let counter = match &notice.outcome {
        IssuerOutcome::Refreshed { .. } => &seen.rotations,
        IssuerOutcome::Repeated { .. } | IssuerOutcome::AccessRenewed => &seen.repeats,
        IssuerOutcome::Revoked => &seen.families_revoked,
        IssuerOutcome::Denied(error) => {
            if error.name() == "reused" {
                seen.families_revoked.fetch_add(1, Ordering::SeqCst);
            }
            &seen.refusals
        }
        IssuerOutcome::LoggedIn { .. } | IssuerOutcome::ClientCredentials | _ => return,
    };
    counter.fetch_add(1, Ordering::SeqCst);
}

/// Notes a token request and its outcome, and answers late.
async fn account(State(seen): State<Arc<Seen>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, 64 * 1024).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let field = |form: &[u8], name: &str| {
        url::form_urlencoded::parse(form)
            .find_map(|(key, value)| (key == name).then(|| value.into_owned()))
    };
    let holder = field(parts.uri.query().unwrap_or_default().as_bytes(), "holder");
    let presented = field(&body, "refresh_token").unwrap_or_default();
    let index = {
        let mut requests = seen.lock();
        requests.push(TokenRequest {
            holder: holder.and_then(|it| it.parse().ok()).unwrap_or_default(),
            presented,
            at: seen.now(),
            granted: None,
        });
        requests.len() - 1
    };
    let handled = next.run(Request::from_parts(parts, Body::from(body)));
    // On a task of its own: the account is right also where its sender has died.
    let (noted, latency) = (Arc::clone(&seen), seen.latency);
    let response = tokio::spawn(async move {
        let response = handled.await;
        noted.lock()[index].granted = Some(response.status().is_success());
        tokio::time::sleep(latency).await;
        response
    });
    response.await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}
