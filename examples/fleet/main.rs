//! Several processes share one grant, and are killed: one refresh per expiry all the same, and no request
//! fails.
//!
//! Starts an authorization server made with this crate, and copies of itself as holders: each has a
//! session on the same store, and many callers, who ask for a token all the time and check it at the
//! server. Every now and then a holder is killed with SIGKILL, and another takes its place. At the end: a
//! table, `target/fleet.svg`, and one line of JSON.
//!
//! A kill between the server's rotation and the store's write leaves a refresh token that may be spent. A
//! server that is declared idempotent answers it again. Under strict rotation it revokes the grant, and no
//! holder can know before: then somebody logs in again, and the account says which kill it was.

#![allow(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]

mod accounts;
#[path = "../support/drawing.rs"]
mod drawing;
mod fleet;
#[path = "../support/grant_store.rs"]
mod grant_store;
mod holder;
mod picture;
#[path = "../support/place.rs"]
mod place;
mod server;
mod store;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Shows one grant that many processes share and refresh, while they are killed.
///
/// Exits with 1 unless each expiry had one refresh, each further one and each grant that is lost has a kill
/// that explains it, and nothing failed.
#[derive(Clone, Parser)]
#[command(version)]
struct Arguments {
    /// Where the grant is kept: `file:PATH`, or, with the features of these names, `redis://…` or `postgres://…`
    /// [default: a file in a directory of its own]
    #[arg(long, env = "FLEET_STORE", hide_env_values = true)]
    store: Option<String>,
    /// How many processes share the grant
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=64))]
    processes: u32,
    /// How many callers each process has
    #[arg(long, value_name = "N", default_value_t = 32)]
    callers: u32,
    /// After how many expiries of the access token to end
    #[arg(long, value_name = "N", default_value_t = 10)]
    expiries: usize,
    /// How long access tokens live
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = humantime::parse_duration)]
    ttl: Duration,
    /// How often a process is killed; 0s for never
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = humantime::parse_duration)]
    kill_every: Duration,
    /// How long the server takes to answer a refresh, once it has rotated the token
    #[arg(long, value_name = "TIME", default_value = "50ms", value_parser = humantime::parse_duration)]
    latency: Duration,
    /// What the server does with a refresh token that it sees again
    #[arg(long, value_enum, default_value = "idempotent")]
    rotation: Rotation,
    /// The picture [default: fleet.svg in the target directory]
    #[arg(long, value_name = "PATH")]
    picture: Option<std::path::PathBuf>,
    /// Runs as a holder of the grant, of the server at this address
    #[arg(long, hide = true)]
    holder_of: Option<String>,
}

/// How refresh tokens rotate.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Rotation {
    /// Seeing one again revokes the grant
    Strict,
    /// For 30 s one that is seen again gets the same answer
    Idempotent,
}

/// How long a refresh token that is seen again gets the same answer.
const WINDOW: Duration = Duration::from_secs(30);

/// How long a refresh may take. A lease that does not end with its process ends after twice as long.
const REFRESH_DEADLINE: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let run = match arguments.holder_of.clone() {
        Some(url) => holder::run(&arguments, &url).await.map(|()| true),
        None => fleet::run(&arguments).await,
    };
    match run {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("fleet: {error}");
            ExitCode::from(2)
        }
    }
}
