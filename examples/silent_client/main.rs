//! Calls an API through expiries, with any OAuth 2.0 token endpoint behind it, and says what the
//! caller noticed: nothing, if all is well.
//!
//! Try it against `cargo run --example authorization_server`, which prints what this one needs.

#[path = "../support/counting.rs"]
mod counting;
mod counts;
mod over_reqwest;
mod over_tower;
mod over_ureq;
mod schedule;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use perennial::adapters::oauth2::RefreshGrant;
use perennial::adapters::tokio::Tokio;
use perennial::interceptor::Interceptor;
use perennial::lifecycle::{MissingLifetime, Policy, Remedy, Reuse, State};
use perennial::session::{Builder, Session};
use perennial::time::Lifetime;
use perennial::token::Grant;
use perennial::wire::Client;

use counting::Observed;
use counts::Counts;
use schedule::Schedule;

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
    #[arg(long, value_enum, default_value_t = Declared::Strict)]
    reuse: Declared,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().map_err(|error| error.to_string())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

#[derive(Copy, Clone, ValueEnum)]
enum Http {
    /// Requests and refreshes over reqwest.
    Reqwest,
    /// Requests and refreshes over ureq, on plain threads, without a runtime.
    Ureq,
    /// Requests over hyper as a tower service, refreshes over reqwest.
    Tower,
}

#[derive(Copy, Clone, ValueEnum)]
enum Declared {
    #[value(alias = "refuse")]
    Strict,
    OverlapAccessOnly,
    #[value(alias = "overlap")]
    OverlapSuccessors,
    Idempotent,
    ConfirmByUse,
    Unrotated,
}

impl Declared {
    fn reuse(self) -> Reuse {
        let window = Duration::from_secs(30);
        match self {
            Self::Strict => Reuse::Strict,
            Self::OverlapAccessOnly => Reuse::overlap_access_only(window),
            Self::OverlapSuccessors => Reuse::overlap_successors(window),
            Self::Idempotent => Reuse::idempotent(window),
            Self::ConfirmByUse => Reuse::ConfirmByUse,
            Self::Unrotated => Reuse::Unrotated,
        }
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("silent_client: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let counts = Arc::new(Counts::default());
    let session = match arguments.http {
        Http::Ureq => call_on_threads(arguments, &counts)?,
        Http::Reqwest | Http::Tower => {
            let runtime = tokio::runtime::Runtime::new()?;
            runtime.block_on(call_on_tasks(arguments, &counts))?
        }
    };
    let lost = matches!(session.state(), State::Expired(Remedy::LogIn));
    println!("{}", counts.report(arguments.requests, lost));
    Ok(if counts.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn call_on_tasks(
    arguments: &Arguments,
    counts: &Arc<Counts>,
) -> Result<Session, Box<dyn Error>> {
    let tokio = Tokio::current()?;
    let refresher = Observed::new(RefreshGrant::new(client(arguments)?)?, Arc::clone(counts));
    let builder = Session::builder_with(refresher).timer(tokio.clone()).spawner(tokio.spawner());
    let session = session(arguments, builder)?;
    let interceptor = interceptor(arguments, &session)?;
    let (url, schedule) = (&arguments.api_url, Schedule::of(arguments));
    match arguments.http {
        Http::Tower => over_tower::call(interceptor, url, schedule, counts).await?,
        Http::Reqwest | Http::Ureq => {
            over_reqwest::call(interceptor, url, schedule, counts).await?;
        }
    }
    session.close().await?;
    Ok(session)
}

fn call_on_threads(arguments: &Arguments, counts: &Arc<Counts>) -> Result<Session, Box<dyn Error>> {
    let session = session(arguments, over_ureq::session(client(arguments)?, counts))?;
    let interceptor = interceptor(arguments, &session)?;
    over_ureq::call(interceptor, &arguments.api_url, Schedule::of(arguments), counts);
    session.close_blocking()?;
    Ok(session)
}

fn client(arguments: &Arguments) -> Result<Client, Box<dyn Error>> {
    let client = Client::builder(&arguments.token_endpoint, &arguments.client_id);
    Ok(match &arguments.client_secret {
        Some(secret) => client.client_secret(secret.as_str()).build()?,
        None => client.build()?,
    })
}

fn session(arguments: &Arguments, builder: Builder) -> Result<Session, Box<dyn Error>> {
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
    Ok(builder.grant(grant).policy(policy).build()?)
}

fn interceptor(arguments: &Arguments, session: &Session) -> Result<Interceptor, Box<dyn Error>> {
    let interceptor = Interceptor::builder(session.clone()).origin(&arguments.api_url).build();
    Ok(interceptor.map_err(|error| format!("--api-url: {error}"))?)
}
