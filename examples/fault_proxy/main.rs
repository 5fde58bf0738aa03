//! Stands between a client and a token endpoint, and does to the answers what networks, gateways
//! and captive portals do, by name and in a given order.
//!
//! ```text
//! cargo run --example fault_proxy -- --before http://127.0.0.1:8080/token \
//!     --fault pass --fault 'reset*2' --fault gateway=502
//! ```
//!
//! It prints one line of JSON with the `token_endpoint` that the client is to be given instead,
//! which differs in its host and port alone. What the faults are is listed by `--help`. It is the
//! [`FaultProxy`] of `perennial::testing`, on the command line: one request a connection, plain
//! http, no TLS.

mod script;
#[path = "../support/signals.rs"]
#[allow(dead_code, reason = "silent_client tells signals apart")]
mod signals;

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::str::FromStr;

use clap::Parser;
use perennial::testing::FaultProxy;
use serde_json::{Value, json};

use script::{FAULTS, Played, Times};

/// Stands before a token endpoint and plays faults.
///
/// Prints one line of JSON with the token endpoint to use instead. Serves until ctrl-c or SIGTERM, or
/// until standard input ends if that is a pipe, and then prints a second line with what was played.
#[derive(Parser, Debug)]
#[command(name = "fault_proxy", after_help = FAULTS)]
struct Arguments {
    /// The token endpoint: an http URL. Every other path of its host is passed on as well.
    #[arg(long, value_name = "URL")]
    before: Endpoint,
    /// Address to listen on; port 0 takes any free port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// A fault of those below; may be given several times
    #[arg(long = "fault", value_name = "FAULT")]
    faults: Vec<Played>,
}

/// Where a token endpoint is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Endpoint {
    /// Its host and port.
    authority: String,
    /// What comes behind them.
    path: String,
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "it must be a URL such as http://127.0.0.1:8080/token".to_owned();
        let uri: http::Uri = text.parse().map_err(|_| wrong())?;
        let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host()) else {
            return Err(wrong());
        };
        if scheme != "http" {
            return Err("only http can be passed on: this proxy has no TLS".to_owned());
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { authority: format!("{host}:{}", uri.port_u16().unwrap_or(80)), path })
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("fault_proxy: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let Endpoint { authority, path } = &arguments.before;
    // Whoever reads the line may send a signal at once, so the signals are caught before it is
    // printed.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let runtime = runtime.map_err(|error| format!("cannot catch signals: {error}"))?;
    let mut signals = {
        let _entered = runtime.enter();
        signals::signals().map_err(|error| format!("cannot catch signals: {error}"))?
    };
    let proxy = FaultProxy::between(arguments.listen, authority)
        .map_err(|error| format!("cannot stand before {authority}: {error}"))?;
    let faults = play(&proxy, &arguments.faults)?;
    print(&json!({ "token_endpoint": format!("http://{}{path}", proxy.address()) }))?;
    runtime.block_on(async {
        tokio::select! {
            _ = signals.recv() => {}
            () = input_ends() => {}
        }
    });
    let connections = proxy.connections();
    print(&json!({
        "connections": connections,
        "forwarded": proxy.forwarded(),
        "unplayed": faults.saturating_sub(connections),
    }))
}

/// Gives the proxy its script; says how many connections that is about.
fn play(proxy: &FaultProxy, faults: &[Played]) -> Result<usize, String> {
    let mut number = 0;
    for (index, Played { fault, times }) in faults.iter().enumerate() {
        match times {
            Times::These(times) => {
                (0..*times).for_each(|_| proxy.next(fault.clone()));
                number += times;
            }
            Times::All if index + 1 == faults.len() => {
                proxy.otherwise(fault.clone());
                number += 1;
            }
            Times::All => return Err("`*all` must be with the last fault".to_owned()),
        }
    }
    Ok(number)
}

fn print(line: &Value) -> Result<(), String> {
    let mut output = io::stdout().lock();
    let written = writeln!(output, "{line}").and_then(|()| output.flush());
    written.map_err(|error| format!("cannot write to standard output: {error}"))
}

/// Ends when whoever holds the other end of standard input is gone; never, if it is no pipe.
async fn input_ends() {
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    if is_pipe() {
        std::thread::spawn(move || {
            // Nothing that is read matters, nor why it ends.
            let _ = io::stdin().lock().bytes().find(Result::is_err);
            drop(end);
        });
        drop(ended.await);
    } else {
        std::future::pending::<()>().await;
    }
}

#[cfg(unix)]
fn is_pipe() -> bool {
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::FileTypeExt as _;

    let input = io::stdin().as_fd().try_clone_to_owned().map(std::fs::File::from);
    let kind = input.and_then(|input| input.metadata()).map(|metadata| metadata.file_type());
    kind.is_ok_and(|kind| kind.is_fifo() || kind.is_socket())
}

#[cfg(not(unix))]
fn is_pipe() -> bool {
    false
}
