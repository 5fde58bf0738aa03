//! Calls an API through expiries, with any OAuth 2.0 token endpoint behind it, and says what the
//! caller noticed: nothing, if all is well.
//!
//! Try it against `cargo run --example authorization_server`, which prints what this one needs.

#[path = "../support/counting.rs"]
mod counting;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::{Parser, ValueEnum};
use perennial::adapters::oauth2::RefreshGrant;
use perennial::adapters::reqwest::Bearer;
use perennial::adapters::tokio::Tokio;
use perennial::interceptor::Interceptor;
use perennial::lifecycle::{Cause, MissingLifetime, Policy, Remedy, Reuse, State};
use perennial::session::Session;
use perennial::time::Lifetime;
use perennial::token::Grant;
use perennial::wire::Client;
use reqwest_middleware::ClientWithMiddleware;

use counting::{Observe, Observed, Outcome};

/// Calls an API through the expiries of its access tokens.
///
/// Prints one line of JSON at the end, and exits with 1 if the caller saw any failure. The HTTP
/// client of this example is built without TLS.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where refresh tokens are exchanged.
    #[arg(long, value_name = "URL")]
    token_endpoint: String,
    /// What is called, by GET.
    #[arg(long, value_name = "URL")]
    api_url: String,
    /// The client's identifier at the authorization server.
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    client_id: String,
    /// The client's secret, if it has one.
    #[arg(long, value_name = "S", allow_hyphen_values = true)]
    client_secret: Option<String>,
    /// The refresh token to start from. Like any token it may begin with a hyphen.
    #[arg(long, value_name = "RT", allow_hyphen_values = true)]
    refresh_token: String,
    /// An access token to start with; it is used until it is rejected.
    #[arg(long, value_name = "AT", allow_hyphen_values = true)]
    access_token: Option<String>,
    /// How many requests to make in all.
    #[arg(long, value_name = "N", default_value_t = 200)]
    requests: u64,
    /// How many of them at once.
    #[arg(long, value_name = "C", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..))]
    concurrency: u64,
    /// Over how many seconds they are spread.
    #[arg(long, value_name = "S", default_value = "10", value_parser = seconds)]
    seconds: Duration,
    /// The HTTP client to use.
    #[arg(long, value_enum, default_value_t = Http::Reqwest)]
    http: Http,
    /// What the server does with a refresh token that it sees twice.
    #[arg(long, value_enum, default_value_t = Declared::Refuse)]
    reuse: Declared,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().map_err(|error| error.to_string())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

#[derive(Copy, Clone, ValueEnum)]
enum Http {
    Reqwest,
}

#[derive(Copy, Clone, ValueEnum)]
enum Declared {
    Refuse,
    Overlap,
    Idempotent,
    ConfirmByUse,
    Unrotated,
}

impl Declared {
    fn reuse(self) -> Reuse {
        let window = Duration::from_secs(30);
        match self {
            Self::Refuse => Reuse::Refuse,
            Self::Overlap => Reuse::overlap(window),
            Self::Idempotent => Reuse::idempotent(window),
            Self::ConfirmByUse => Reuse::ConfirmByUse,
            Self::Unrotated => Reuse::Unrotated,
        }
    }
}

#[derive(Default)]
struct Counts {
    ok: AtomicU64,
    failed: AtomicU64,
    unauthorized: AtomicU64,
    refreshes: AtomicU64,
    refresh_failed: AtomicU64,
}

impl Observe for Counts {
    fn started(&self, _: Cause, _: Option<&str>) {}

    fn ended(&self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Granted => &self.refreshes,
            Outcome::Declined | Outcome::Unavailable | Outcome::Unknown => &self.refresh_failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("silent_client: {error}");
            ExitCode::from(2)
        }
    }
}

async fn run(arguments: Arguments) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let counts = Arc::new(Counts::default());
    let session = session(&arguments, Arc::clone(&counts))?;
    let Http::Reqwest = arguments.http;
    let interceptor = Interceptor::builder(session.clone()).origin(&arguments.api_url).build()?;
    let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::builder().build()?)
        .with(Bearer::new(interceptor))
        .build();
    let url = reqwest::Url::parse(&arguments.api_url)
        .map_err(|error| format!("--api-url is not a valid URL: {error}"))?;

    let requests = u32::try_from(arguments.requests.max(1)).unwrap_or(u32::MAX);
    let apart = arguments.seconds / requests;
    let tasks: Vec<_> = (0..arguments.concurrency)
        .map(|task| {
            let share = Share {
                first: task,
                step: arguments.concurrency,
                count: arguments.requests,
                apart,
            };
            tokio::spawn(call(client.clone(), url.clone(), share, Arc::clone(&counts)))
        })
        .collect();
    for task in tasks {
        task.await?;
    }
    session.close().await?;
    let failed = counts.failed.load(Ordering::Relaxed);
    let lost = matches!(session.state(), State::Expired(Remedy::LogIn));
    println!("{}", report(&counts, arguments.requests, lost));
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn session(
    arguments: &Arguments,
    counts: Arc<Counts>,
) -> Result<Session, Box<dyn std::error::Error>> {
    let mut client = Client::builder(&arguments.token_endpoint, &arguments.client_id);
    if let Some(secret) = &arguments.client_secret {
        client = client.client_secret(secret.as_str());
    }
    let grant = match &arguments.access_token {
        Some(access) => {
            Grant::new(access.as_str(), arguments.refresh_token.as_str(), Lifetime::Unstated)
        }
        None => Grant::of_refresh_token(arguments.refresh_token.as_str()),
    };
    let policy = Policy::builder()
        .missing_lifetime(MissingLifetime::UntilRejected)
        .reuse(arguments.reuse.reuse())
        .build()?;
    let tokio = Tokio::current()?;
    Ok(Session::builder_with(Observed::new(RefreshGrant::new(client.build()?)?, counts))
        .grant(grant)
        .policy(policy)
        .timer(tokio.clone())
        .spawner(tokio.spawner())
        .build()?)
}

/// Which of all requests one task makes: every `step`th from `first`, each at its own time.
struct Share {
    first: u64,
    step: u64,
    count: u64,
    apart: Duration,
}

async fn call(client: ClientWithMiddleware, url: reqwest::Url, share: Share, counts: Arc<Counts>) {
    let start = tokio::time::Instant::now();
    let mut number = share.first;
    while number < share.count {
        let nth = u32::try_from(number).unwrap_or(u32::MAX);
        tokio::time::sleep_until(start + share.apart.saturating_mul(nth)).await;
        let answered = client.get(url.clone()).send().await;
        let counter = match &answered {
            Ok(response) if response.status().is_success() => &counts.ok,
            Ok(response) => {
                if response.status() == reqwest::StatusCode::UNAUTHORIZED {
                    counts.unauthorized.fetch_add(1, Ordering::Relaxed);
                }
                eprintln!("silent_client: request {number} was answered {}", response.status());
                &counts.failed
            }
            Err(error) => {
                eprintln!("silent_client: request {number} failed: {error}");
                &counts.failed
            }
        };
        counter.fetch_add(1, Ordering::Relaxed);
        number += share.step;
    }
}

fn report(counts: &Counts, requests: u64, lost: bool) -> serde_json::Value {
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    serde_json::json!({
        "requests": requests,
        "ok": count(&counts.ok),
        "failed": count(&counts.failed),
        "unauthorized_seen_by_caller": count(&counts.unauthorized),
        "refreshes": count(&counts.refreshes),
        "refresh_failed": count(&counts.refresh_failed),
        "session_lost": u64::from(lost),
    })
}
