//! How many refreshes a second `/token` answers, each with a rotation, beside node's `oidc-provider`:
//! ours is the server of the example `token_server`, in memory, with opaque access tokens and then with JWTs that
//! both sign with `EdDSA`; what the other does for each is in `tests/interop/oidc_token_endpoint.mjs`. Each is a process of its own, and
//! one and the same generator of load drives both, in turns: connections that are kept open, each
//! with a login of its own, which present their newest refresh token as soon as they have it.
//!
//! Requests a second and microseconds of processor time a request, of the server alone, are medians
//! of the rounds; the ratios, of requests and of processor time, are medians of those within each
//! round. Of the two cores ours has what the generator leaves; node runs the other one on one of them.
//!
//! `cargo bench --bench token_endpoint`, or `-- --quick`. The other one's packages are fetched by npm;
//! where they cannot be had, a line that begins with `SKIPPED` says so.

#[path = "../tests/interop/ours.rs"]
mod ours;
#[path = "../tests/interop/start.rs"]
#[allow(dead_code, reason = "the tests use another part of it")]
mod start;

use std::io::Read as _;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use futures::future::join_all;

use ours::server::{CLIENT, Config};
use perennial::adapters::jwt::SigningKey;
use perennial::rotation::{Policy, Reuse};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Connections at once, each with a login of its own.
const CONNECTIONS: usize = 16;

/// How much longer than it should a round may take.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    if has("--serve") {
        return serve(has("jwt"));
    }
    let quick = has("--quick") || has("--test");
    let (rounds, seconds) = if quick { (3, 2.0) } else { (7, 5.0) };
    let span = Duration::from_secs_f64(seconds);
    compare("opaque", rounds, span);
    compare("jwt", rounds, span);
}

/// Drives both servers in turns, with access tokens of this kind.
fn compare(kind: &str, rounds: usize, span: Duration) {
    let mut perennial = Server::ours(kind);
    let mut other = Server::oidc_provider(kind);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    // A warm-up, which node needs to compile what it runs often.
    for server in [Some(&mut perennial), other.as_mut()].into_iter().flatten() {
        server.drive(span);
    }
    for _ in 0..rounds {
        ours.push(perennial.drive(span));
        theirs.extend(other.as_mut().map(|other| other.drive(span)));
    }
    report("perennial", kind, &ours);
    if !theirs.is_empty() {
        report("oidc-provider", kind, &theirs);
        let ratio = |of: fn(&Round, &Round) -> Option<f64>| {
            let ratios: Vec<_> = ours.iter().zip(&theirs).filter_map(|(a, b)| of(a, b)).collect();
            (!ratios.is_empty()).then(|| median(ratios))
        };
        let rps = ratio(|ours, theirs| Some(ours.rps / theirs.rps)).expect("there are rounds");
        let cpu = ratio(|ours, theirs| Some(theirs.cpu? / ours.cpu?));
        let cpu = cpu.map(|cpu| format!(",\"cpu_ratio\":{cpu:.1}")).unwrap_or_default();
        println!(
            "{{\"bench\":\"token_endpoint\",\"access_tokens\":\"{kind}\",\"ratio\":{rps:.1}{cpu}}}"
        );
    }
}

/// This program again, as our server: until its standard input is closed.
fn serve(jwt: bool) {
    let signing = jwt.then(|| SigningKey::ed25519([7; 32]));
    let policy = Policy::new(Reuse::idempotent(Duration::from_secs(30)));
    // More than there can be: what is measured is not to be what turns requests away.
    let config = Config { policy, signing, requests_a_second: 10_000_000, ..ours::strict(3600) };
    ours::serve(config, |url| {
        println!("{}", json!({ "url": url }));
        std::io::stdin().read_to_end(&mut Vec::new()).expect("its end");
    });
}

/// A server, and the newest refresh token of each connection.
struct Server {
    /// `127.0.0.1` and a port.
    address: String,
    newest: Vec<String>,
    process: Child,
}

/// What came of one round.
struct Round {
    rps: f64,
    /// Microseconds of the server's processor time for each request; not known everywhere.
    cpu: Option<f64>,
}

impl Server {
    fn ours(kind: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        let (process, told) = start::serving("token_endpoint", command.args(["--serve", kind]))
            .expect("what is ours is not skipped");
        let address = address(&told);
        let newest = runtime().block_on(join_all((0..CONNECTIONS).map(async |number| {
            let form = format!("client_id={CLIENT}&scope=read&subject=user-{number}");
            Connection::to(&address).await.post("/dev-login", &form).await
        })));
        Self { address, newest, process }
    }

    fn oidc_provider(kind: &str) -> Option<Self> {
        let mut command = start::program("oidc_token_endpoint");
        let command = command.args([&CONNECTIONS.to_string(), kind]).env("NODE_ENV", "production");
        let (process, told) = start::serving("oidc_token_endpoint", command)?;
        let newest = told["refresh_tokens"].as_array().expect("a list").iter();
        let newest = newest.map(|it| it.as_str().expect("a text").to_owned()).collect();
        Some(Self { newest, address: address(&told), process })
    }

    /// Presents refresh tokens for `span`.
    fn drive(&mut self, span: Duration) -> Round {
        let Self { address, newest, process } = self;
        runtime().block_on(async {
            let connections = join_all((0..CONNECTIONS).map(|_| Connection::to(address))).await;
            let (begun, before) = (now(), cpu(process));
            let pairs = connections.into_iter().zip(std::mem::take(newest));
            // A task for each, so that an answer wakes one of them and not all.
            let tasks: JoinSet<_> =
                pairs.map(|(it, token)| refresh(it, token, begun, span)).collect();
            let ended = timeout(span + PATIENCE, tasks.join_all()).await.expect("all are answered");
            let took = begun.elapsed();
            let (tokens, answered): (_, Vec<u32>) = ended.into_iter().unzip();
            *newest = tokens;
            let requests = f64::from(answered.into_iter().sum::<u32>());
            let spent = cpu(process).zip(before).map(|(after, before)| after - before);
            Round {
                rps: requests / took.as_secs_f64(),
                cpu: spent.map(|seconds| seconds * 1e6 / requests),
            }
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        // It may be one that has failed already.
        drop(self.process.wait());
    }
}

/// One thread for all connections: one for each would spend more on being woken than on requests.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// The newest refresh token of one connection when `span` was over, and how many it had.
async fn refresh(
    mut connection: Connection,
    mut newest: String,
    begun: Instant,
    span: Duration,
) -> (String, u32) {
    let mut answered = 0;
    while begun.elapsed() < span {
        let form = format!("grant_type=refresh_token&client_id={CLIENT}&refresh_token={newest}");
        let next = connection.post("/token", &form).await;
        assert_ne!(next, newest, "it was not rotated");
        newest = next;
        answered += 1;
    }
    (newest, answered)
}

/// A connection that is kept open. What it reads of HTTP is what these two servers write: a client
/// that can do more would cost more than the server that is measured.
struct Connection {
    stream: TcpStream,
    address: String,
    /// What was read last.
    read: Vec<u8>,
}

#[derive(Deserialize)]
struct Answer {
    refresh_token: String,
}

impl Connection {
    async fn to(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.expect("it listens");
        stream.set_nodelay(true).expect("a socket");
        Self { stream, address: address.into(), read: Vec::with_capacity(4096) }
    }

    /// Sends `form`; the refresh token in the answer, which must be a 200.
    async fn post(&mut self, path: &str, form: &str) -> String {
        let (host, length) = (&self.address, form.len());
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {length}\r\n\
             content-type: application/x-www-form-urlencoded\r\n\r\n{form}"
        );
        self.stream.write_all(request.as_bytes()).await.expect("it is sent");
        self.read.clear();
        loop {
            let length = self.stream.read_buf(&mut self.read).await.expect("an answer");
            assert_ne!(length, 0, "the server hung up: {}", String::from_utf8_lossy(&self.read));
            if let Some(body) = whole(&self.read) {
                let answer: Answer = serde_json::from_slice(body).expect("a refresh token");
                return answer.refresh_token;
            }
        }
    }
}

/// The body of an answer, once all of it is there.
fn whole(read: &[u8]) -> Option<&[u8]> {
    let end = read.windows(4).position(|it| it == b"\r\n\r\n")?;
    let (head, body) = (std::str::from_utf8(&read[..end]).expect("a text"), &read[end + 4..]);
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    assert_eq!(status, Some("200"), "{}", String::from_utf8_lossy(read));
    let mut fields = lines.filter_map(|line| line.split_once(": "));
    let length = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: usize = length.expect("a length").1.parse().expect("a number");
    (body.len() >= length).then_some(body)
}

fn address(told: &Value) -> String {
    let url = told["url"].as_str().expect("an address");
    url.strip_prefix("http://").expect("no TLS").to_owned()
}

/// The processor time that a process has had, in seconds, where Linux tells: it counts hundredths.
fn cpu(process: &Child) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.id())).ok()?;
    // The name, in parentheses, may hold anything; the times are the 12th and 13th fields after it.
    let fields = stat.rsplit_once(") ")?.1.split(' ').skip(11).take(2);
    Some(fields.filter_map(|it| it.parse::<f64>().ok()).sum::<f64>() / 100.0)
}

#[expect(clippy::disallowed_methods, reason = "it measures")]
fn now() -> Instant {
    Instant::now()
}

fn report(server: &str, kind: &str, rounds: &[Round]) {
    let cpu: Vec<_> = rounds.iter().filter_map(|round| round.cpu).collect();
    let cpu =
        if cpu.is_empty() { String::new() } else { format!(",\"cpu_us\":{:.1}", median(cpu)) };
    let rps = median(rounds.iter().map(|round| round.rps));
    println!(
        "{{\"bench\":\"token_endpoint\",\"access_tokens\":\"{kind}\",\"server\":\"{server}\",\"rps\":{rps:.0}{cpu}}}"
    );
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
