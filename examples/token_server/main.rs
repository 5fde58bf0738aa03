//! An authorization server made with this crate, an API behind it, and a page whose script keeps
//! its tokens fresh with axios interceptors.
//!
//! `cargo run --example token_server -- --listen 127.0.0.1:8080`, and open that address; for the page
//! run `npm ci` in `examples/token_server/web` first. What is issued and what is refused it tells on
//! standard error, a line each, without a token.
//!
//! # A small identity provider
//! With users it has a login page, silent refresh by a cookie, a page of the devices that are logged in, and a
//! logout everywhere, under `/account`; and nobody can log in without a password:
//!
//! ```text
//! cargo run --example token_server -- --user alice:correct-horse --access-ttl 10s
//! ```
//!
//! # Two servers
//! They share families of refresh tokens in Redis or PostgreSQL, and the keys, so that each refreshes and accepts
//! what the other has issued, and of two that are presented one token at once one rotates it:
//!
//! ```text
//! openssl rand -out key 32
//! export TOKEN_SERVER_STORE=postgres://me:secret@localhost/app
//! cargo run --features postgres --example token_server -- --key-file key --listen 127.0.0.1:8080
//! cargo run --features postgres --example token_server -- --key-file key --listen 127.0.0.1:8081
//! ```

mod account;
mod attempts;
#[path = "../support/families.rs"]
mod families;
mod label;
#[cfg(test)]
mod log_tests;
#[path = "../support/place.rs"]
mod place;
mod server;
mod users;

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::{StringValueParser, TypedValueParser as _};
use clap::{Parser, ValueEnum};
use perennial::adapters::jwt::SigningKey;
use perennial::rotation::{Policy, Reuse};
use perennial::token::Secret;

use server::{CLIENT, Config, Log, Server};
use users::Users;

/// An authorization server with an API and a page.
///
/// Without users anybody can log in, by POST /dev-login with a client and a subject: for development only.
/// With users there is a login page, /account, and passwords are asked for.
#[derive(Parser)]
#[command(name = "token_server")]
struct Arguments {
    /// Address to listen on; port 0 takes any free port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,

    /// How long an access token works, such as 10s or 5min
    #[arg(long, value_name = "DUR", default_value = "1min", value_parser = humantime::parse_duration)]
    access_ttl: Duration,

    /// What is done with a refresh token that was used before
    #[arg(long, value_enum, default_value_t = Rotation::Idempotent)]
    rotation: Rotation,

    /// How long such a token is tolerated, for overlap and idempotent
    #[arg(long, value_name = "DUR", default_value = "30s", value_parser = humantime::parse_duration)]
    overlap: Duration,

    /// Where families of refresh tokens are kept: `memory`, or with the features of these names `redis://…`
    /// or `postgres://…`, without TLS
    #[arg(long, value_name = "STORE", default_value = "memory", hide_default_value = true)]
    #[arg(env = "TOKEN_SERVER_STORE", hide_env_values = true, value_parser = StringValueParser::new().map(Secret::new))]
    store: Secret,

    /// The key that seals tokens, the same for all servers that share a store: a file of 32 random bytes,
    /// made by `openssl rand -out FILE 32` [default: a new one, for families in memory]
    #[arg(long, value_name = "FILE")]
    key_file: Option<std::path::PathBuf>,

    /// A user who can log in at /account, for a demonstration: others on this machine can read arguments
    #[arg(long, value_name = "NAME:PASSWORD")]
    user: Vec<String>,

    /// The users who can log in at /account: a file with a line NAME:HASH for each, as --print-users prints it
    #[arg(long, value_name = "FILE")]
    users_file: Option<std::path::PathBuf>,

    /// Prints the users of --user as lines for --users-file, and ends
    #[arg(long)]
    print_users: bool,

    /// Allows pages of this origin, such as `http://localhost:5173`, to use the endpoints
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<String>,

    /// Does not tell, on standard error, what is issued and what is refused
    #[arg(long)]
    quiet: bool,

    /// Signs access tokens as JWT with the Ed25519 key in this PEM file, made by `openssl genpkey
    /// -algorithm ed25519`; without it they are opaque
    #[arg(long, value_name = "FILE")]
    signing: Option<std::path::PathBuf>,

    /// Adds the client `service`, which shows this secret of 16 bytes or more, may act for itself, for "read", and
    /// may introspect tokens
    #[arg(long, value_name = "SECRET")]
    service_secret: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Rotation {
    /// Its family is revoked
    Strict,
    /// It renews the access token and stays what it is; the response has no refresh token
    OverlapAccessOnly,
    /// It gets another refresh token, with the number of the newest
    #[value(alias = "overlap")]
    OverlapSuccessors,
    /// It gets the very same successor again
    Idempotent,
    /// The same, until the successor is used
    ConfirmByUse,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("token_server: {message}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), String> {
    let mut users = Users::default();
    if let Some(path) = &arguments.users_file {
        let lines = std::fs::read_to_string(path);
        let lines = lines.map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        users.read(&lines).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    for user in &arguments.user {
        users.add(user).map_err(|error| format!("--user: {error}"))?;
    }
    if arguments.print_users {
        print!("{users}");
        return Ok(());
    }
    let reuse = match arguments.rotation {
        Rotation::Strict => Reuse::Strict,
        Rotation::OverlapAccessOnly => Reuse::overlap_access_only(arguments.overlap),
        Rotation::OverlapSuccessors => Reuse::overlap_successors(arguments.overlap),
        Rotation::Idempotent => Reuse::idempotent(arguments.overlap),
        Rotation::ConfirmByUse => Reuse::ConfirmByUse,
    };
    let signing = match &arguments.signing {
        Some(path) => {
            let pem = std::fs::read_to_string(path);
            let pem = pem.map_err(|error| format!("cannot read {}: {error}", path.display()))?;
            let key = SigningKey::ed25519_pem(&pem);
            Some(key.map_err(|error| format!("{}: {error}", path.display()))?)
        }
        None => None,
    };
    let store = arguments.store.expose();
    let keys = families::keys(store, arguments.key_file.as_deref());
    let keys = keys.map_err(|error| format!("--store and --key-file: {error}"))?;
    let families = families::open(store).await.map_err(|error| format!("--store: {error}"))?;
    let (policy, access_lifetime) = (Policy::new(reuse), arguments.access_ttl);
    let log = (!arguments.quiet).then(|| -> Log {
        // Whoever closes standard error does not want to be told.
        Box::new(|line| drop(writeln!(std::io::stderr(), "{line}")))
    });
    let config = Config {
        policy,
        access_lifetime,
        signing,
        service_secret: arguments.service_secret,
        families,
        keys,
        log,
        requests_a_second: 10_000,
        dev_login: users.is_empty(),
        origins: arguments.allow_origin,
    };
    let server = Server::listen(arguments.listen, config).await;
    let mut server = server.map_err(|error| match error.get_ref() {
        // A setting that the server refuses.
        Some(refused) => refused.to_string(),
        None => format!("cannot listen on {}: {error}", arguments.listen),
    })?;
    if !users.is_empty() {
        let account = account::router(&server.endpoints, server.issuer.clone(), users);
        server.add(account.map_err(|error| error.to_string())?);
    }
    println!("{}  client_id={CLIENT}; end it with ctrl-c", server.url);
    let ended = async {
        // Without a way to be told, serve for ever.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    server.serve(ended).await.map_err(|error| error.to_string())
}
