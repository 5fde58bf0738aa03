//! A page that shows sessions live: what each token's state is, which refreshes fail and why, when the next one
//! is tried, and whether callers still get tokens.
//!
//! `cargo run --example live_page`, and open the address that it prints. The program runs two authorization
//! servers with an API each, eight sessions that refresh there, and callers that send requests with their
//! tokens, all over HTTP on this machine. The buttons of the page, or `POST /outage`, make a token endpoint
//! answer 503 or nothing, or make an API reject tokens.
//!
//! All that the page shows comes from `on_event`, but for the counts of requests. To use it for sessions of your
//! own, take [`feed`] and [`web`], and call [`feed::Feed::event`] from their hooks.
//!
//! | path | what it is |
//! |---|---|
//! | `/` | the page |
//! | `/events` | server-sent events: a snapshot, then each event as JSON |
//! | `/metrics` | the metrics of `adapters::metrics`, in Prometheus's text format |
//! | `POST /outage?status=503&for=60s` | starts an outage; `/outage?end` ends it |

#[path = "../authorization_server/server/mod.rs"]
mod server;

mod callers;
mod facts;
mod feed;
#[cfg(test)]
mod feed_tests;
mod outage;
mod web;
mod world;
#[cfg(test)]
mod world_tests;

use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use metrics_exporter_prometheus::PrometheusBuilder;
use perennial::token::Secret;
use tokio::net::TcpListener;

use world::World;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// A page that shows sessions live: states, refreshes, failures, and what they mean for callers.
///
/// An outage of the token endpoints: POST /outage?status=503&for=60s, with `retry-after=10` for that header,
/// `status=none` for no response, `status=401` for an API that rejects tokens, and `client=billing` or
/// `client=mail` for one of the two; POST /outage?end ends it. Or use the page's buttons.
#[derive(Parser)]
#[command(name = "live_page")]
struct Arguments {
    /// Port of the page on 127.0.0.1; 0 takes any free port
    #[arg(long, value_name = "PORT", default_value_t = 8090)]
    port: u16,

    /// How long access tokens live, from 4s on; they are refreshed after half of that, or a little earlier
    #[arg(long, value_name = "DUR", default_value = "20s", value_parser = lifetime)]
    lifetime: Duration,

    /// The secret of the client `billing` [default: a random one]
    #[arg(long, env = "LIVE_PAGE_CLIENT_SECRET", hide_env_values = true, value_parser = secret)]
    client_secret: Option<Secret>,
}

fn lifetime(text: &str) -> Result<Duration, String> {
    let lifetime = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if lifetime < Duration::from_secs(4) {
        return Err("it is at least 4s".to_owned());
    }
    Ok(lifetime)
}

#[allow(clippy::unnecessary_wraps, reason = "clap wants a result")]
fn secret(text: &str) -> Result<Secret, String> {
    Ok(Secret::new(text))
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("live_page: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Error> {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    metrics::set_global_recorder(recorder)?;
    perennial::adapters::metrics::describe();

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, arguments.port)).await;
    let listener = listener.map_err(|error| format!("port {}: {error}", arguments.port))?;
    let secret = arguments.client_secret.unwrap_or_else(random_secret);
    let world = Arc::new(World::start(arguments.lifetime, &secret).await?);
    let _callers = callers::start(&world)?;
    println!("http://{}  open this in a browser; end it with ctrl-c", listener.local_addr()?);
    tokio::select! {
        served = web::serve(listener, world, metrics) => served?,
        ended = tokio::signal::ctrl_c() => ended?,
    }
    Ok(())
}

fn random_secret() -> Secret {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    Secret::new(format!("{:032x}", u128::from_ne_bytes(bytes)))
}
