//! A little OAuth 2.0 authorization server with a resource server, for trying out token refresh.
//!
//! `cargo run --example authorization_server -- --listen 127.0.0.1:0 --access-ttl 2s`
//!
//! Without `--store` it does not use this crate, so that a client made with the crate is not judged by it, and
//! keeps everything in memory. With `--store` it is a server made with this crate, whose families of refresh
//! tokens are in Redis or PostgreSQL; `/expire` and `/stats` are not there then.
//!
//! # Two servers behind one database
//! ```text
//! openssl rand -out key 32
//! export AUTHORIZATION_SERVER_STORE=postgres://me:secret@localhost/app
//! cargo run --features postgres --example authorization_server -- \
//!     --key-file key --access-ttl 2s --listen 127.0.0.1:8080
//! cargo run --features postgres --example authorization_server -- \
//!     --key-file key --access-ttl 2s --listen 127.0.0.1:8081
//! ```
//! Each refreshes and accepts what the other has issued; of two that are presented one refresh token at once,
//! one rotates it.

#[path = "../support/families.rs"]
mod families;
#[cfg(test)]
mod http_tests;
#[path = "../support/place.rs"]
mod place;
mod server;
mod stored;

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::{StringValueParser, TypedValueParser as _};
use clap::{Parser, ValueEnum};
use perennial::token::Secret;
use serde_json::{Value, json};

use server::{Config, Faults, Rotation, Running, Server};
use stored::Stored;

/// An OAuth 2.0 authorization server with a resource server, for demonstrations and tests.
///
/// It logs one demo user in, prints one line of JSON with all addresses and the first tokens, and
/// serves until it is ended with ctrl-c or SIGTERM.
#[derive(Parser)]
#[command(name = "authorization_server", after_long_help = ENDPOINTS, after_help = ENDPOINTS)]
struct Arguments {
    /// Address to listen on, such as 127.0.0.1:8080; port 0 takes any free port
    #[arg(long, value_name = "ADDR")]
    listen: SocketAddr,

    /// How long an access token works, such as 2s or 5min
    #[arg(long, value_name = "DUR", value_parser = lifetime)]
    access_ttl: Duration,

    /// How long a refresh token works if it is not used [default: for ever]
    #[arg(long, value_name = "DUR", value_parser = lifetime)]
    refresh_ttl: Option<Duration>,

    /// How refresh tokens rotate
    #[arg(long, value_enum, default_value_t = RotationName::Strict)]
    rotation: RotationName,

    /// How long a rotated refresh token stays usable, counted from its first rotation; no effect
    /// if strict or confirm-by-use
    #[arg(long, value_name = "DUR", default_value = "30s", value_parser = humantime::parse_duration)]
    overlap: Duration,

    /// Id of the one client that the server knows
    #[arg(long, value_name = "ID", default_value = "perennial-demo", value_parser = non_empty, allow_hyphen_values = true)]
    client_id: String,

    /// Secret of that client; without it the client is public and only names itself
    #[arg(long, value_name = "S", value_parser = non_empty, allow_hyphen_values = true)]
    client_secret: Option<String>,

    /// Where families of refresh tokens are kept, which servers may share: with the features of these names
    /// `redis://…` or `postgres://…`, without TLS; or `memory`, for a server made with this crate all the same
    /// [default: everything in memory]
    #[arg(long, value_name = "STORE", value_parser = StringValueParser::new().map(Secret::new))]
    #[arg(env = "AUTHORIZATION_SERVER_STORE", hide_env_values = true)]
    store: Option<Secret>,

    /// With --store: the key that seals tokens, the same for all servers that share it: a file of 32 random
    /// bytes, made by `openssl rand -out FILE 32`
    #[arg(long, value_name = "FILE", requires = "store")]
    key_file: Option<PathBuf>,
}

const ENDPOINTS: &str = "\
Endpoints:
  POST /token   grant_type=refresh_token (RFC 6749); the client authenticates by HTTP Basic
                or by client_id and client_secret in the body, a public client by client_id alone
  ANY  /api     and everything below: needs a bearer token (RFC 6750), answers with method,
                path, length and SHA-256 of what it was sent

For tests and demos only, open to anybody who can reach the server:
  POST /seed    logs in without asking: a new family of refresh tokens, a full token response
  POST /expire  makes every access token issued so far stop working; not with --store
  GET  /stats   counts what happened; not with --store

The line of JSON holds token_endpoint, api_url, seed_url, expire_url, stats_url, client_id,
client_secret (null for a public client), access_token and refresh_token. It contains secrets.";

/// The rotations by their names on the command line.
#[derive(Clone, Copy, ValueEnum)]
enum RotationName {
    /// A refresh token works once; seeing it again revokes its family
    Strict,
    /// The direct predecessor works during the overlap and gives a new successor each time
    #[value(alias = "overlap")]
    OverlapSuccessors,
    /// The direct predecessor works during the overlap and gives the very same successor again
    Idempotent,
    /// The same, until the successor, or an access token that came with it, is first used
    ConfirmByUse,
}

impl From<RotationName> for Rotation {
    fn from(name: RotationName) -> Self {
        match name {
            RotationName::Strict => Self::Strict,
            RotationName::OverlapSuccessors => Self::OverlapSuccessors,
            RotationName::Idempotent => Self::Idempotent,
            RotationName::ConfirmByUse => Self::ConfirmByUse,
        }
    }
}

fn lifetime(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if duration.is_zero() {
        return Err("it must be longer than nothing".to_owned());
    }
    Ok(duration)
}

fn non_empty(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("it must not be empty".to_owned());
    }
    Ok(text.to_owned())
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("authorization_server: {message}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), String> {
    let config = Config {
        access_ttl: arguments.access_ttl,
        refresh_ttl: arguments.refresh_ttl,
        rotation: arguments.rotation.into(),
        overlap: arguments.overlap,
        client_id: arguments.client_id,
        client_secret: arguments.client_secret,
        faults: Faults::none(),
    };
    // Whoever reads the line may send a signal at once, so the signals are caught before it is
    // printed.
    let ended = end_signal().map_err(|error| format!("cannot catch signals: {error}"))?;
    if let Some(store) = &arguments.store {
        let keys = families::keys(store.expose(), arguments.key_file.as_deref());
        let keys = keys.map_err(|error| format!("--store and --key-file: {error}"))?;
        let families = families::open(store.expose()).await;
        let families = families.map_err(|error| format!("--store: {error}"))?;
        let server = Stored::listen(arguments.listen, &config, (families, keys)).await?;
        print(&server.line).map_err(unwritable)?;
        return server.serve(ended).await.map_err(|error| error.to_string());
    }
    let running = Server::start(arguments.listen, config.clone())
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", arguments.listen))?;
    announce(&running, &config).map_err(unwritable)?;
    ended.await;
    running.shutdown().await;
    Ok(())
}

/// Prints the line that tells everything a client needs.
fn announce(running: &Running, config: &Config) -> io::Result<()> {
    let urls = running.urls();
    let login = running.seed();
    let line = json!({
        "token_endpoint": urls.token_endpoint,
        "api_url": urls.api,
        "seed_url": urls.seed,
        "expire_url": urls.expire,
        "stats_url": urls.stats,
        "client_id": config.client_id,
        "client_secret": config.client_secret,
        "access_token": login.access_token,
        "refresh_token": login.refresh_token,
    });
    print(&line)
}

#[allow(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn unwritable(error: io::Error) -> String {
    format!("cannot write to standard output: {error}")
}

fn print(line: &Value) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{line}")?;
    output.flush()
}

/// Catches ctrl-c and SIGTERM from now on; the future returned ends when one of them arrives.
#[cfg(unix)]
fn end_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Catches ctrl-c.
#[cfg(not(unix))]
fn end_signal() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        // Without a way to be told, serve for ever: the process can still be ended by force.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::Arguments;
    use clap::Parser as _;

    const REQUIRED: [&str; 3] = ["authorization_server", "--listen=127.0.0.1:0", "--access-ttl=2s"];

    fn read(more: &[&str]) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(REQUIRED.iter().chain(more))
    }

    // Rule G1.
    #[test]
    fn a_store_is_taken_as_it_is_and_shown_by_no_error_and_no_help() {
        let given = "--store=postgres://u:planted@a/d";
        let arguments = read(&[given, "--key-file=key"]).expect("arguments");
        let store = arguments.store.expect("it is there");
        assert_eq!(store.expose(), "postgres://u:planted@a/d");
        assert!(!format!("{store:?}").contains("planted"));
        for slip in ["--overlap=x", "--rotation=x", "--help", "--stor=x"] {
            let error = read(&[given, slip]).err().expect("no arguments").to_string();
            assert!(!error.contains("planted"), "{error}");
        }
        assert!(read(&["--key-file=key"]).is_err(), "a key is for a store");
        assert!(read(&[]).expect("in memory").store.is_none());
    }
}
