//! What an attacker costs honest clients of the token endpoint, over real connections. The server, that of the
//! example `token_server`, is a process of its own; the attacker has another loopback address than the honest clients,
//! and then the same one.
//!
//! 1. 100 honest clients, each with a login and a connection, refresh ten times a second; beside them 100
//!    connections send garbage as refresh tokens under the same public client's id, as fast as they can. Every honest
//!    refresh must succeed. Reported: the 99th percentile with and without the attacker.
//! 2. 5,000 wrong secrets of a confidential client: 429 from the first dozen on, and the client is served elsewhere.
//! 3. 100 bodies that stall: the server's memory, and how long its end takes.
//!
//! `cargo bench --bench attack`, or `-- --quick`. Linux.

#[path = "../tests/interop/ours.rs"]
mod ours;
#[path = "../tests/interop/start.rs"]
#[allow(dead_code, reason = "the tests use another part of it")]
mod start;

use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::join_all;
use ours::server::{CLIENT, Config, SERVICE};
use perennial::rotation::{Policy, Reuse};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

const CLIENTS: usize = 100;
const ATTACKERS: usize = 100;
const SECRET: &str = "a secret of the service";
const HONEST: Ipv4Addr = Ipv4Addr::LOCALHOST;
const ATTACKER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 66);

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    if has("--serve") {
        return serve();
    }
    let span = Duration::from_secs(if has("--quick") || has("--test") { 2 } else { 10 });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(attack(span));
}

/// This program again, as the server: until its standard input is closed.
fn serve() {
    let policy = Policy::new(Reuse::idempotent(Duration::from_secs(30)));
    let secret = Some(SECRET.into());
    // As many as a login may by default.
    let config =
        Config { policy, service_secret: secret, requests_a_second: 100, ..ours::strict(3600) };
    ours::serve(config, |url| {
        println!("{}", json!({ "url": url }));
        std::io::stdin().read_to_end(&mut Vec::new()).expect("its end");
    });
}

async fn attack(span: Duration) {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    let (mut server, told) =
        start::serving("attack", command.arg("--serve")).expect("what is ours is not skipped");
    let url = told["url"].as_str().expect("an address");
    let address: SocketAddr = url.trim_start_matches("http://").parse().expect("an address");

    let mut logins = join_all((0..CLIENTS).map(async |number| {
        let mut connection = Connection::from(HONEST, address).await;
        let form = format!("client_id={CLIENT}&scope=read&subject=user-{number}");
        let (status, told) = connection.post("/dev-login", &form, "").await;
        assert_eq!(status, 200, "{told}");
        (connection, refresh_token(&told))
    }))
    .await;
    for (what, attacker) in [
        ("nobody attacks", None),
        ("garbage from elsewhere", Some(ATTACKER)),
        ("garbage from the clients' address", Some(HONEST)),
    ] {
        let garbage = attacker.map(|it| tokio::spawn(send_garbage(it, address, span)));
        let clients: JoinSet<_> =
            std::mem::take(&mut logins).into_iter().map(|it| refresh(it, span)).collect();
        let mut latencies = Vec::new();
        for (login, taken) in clients.join_all().await {
            logins.push(login);
            latencies.extend(taken);
        }
        let (sent, held_off) = match garbage {
            Some(garbage) => garbage.await.expect("no panic"),
            None => (0, 0),
        };
        latencies.sort();
        let percentile = |hundredths: usize| latencies[latencies.len() * hundredths / 100];
        println!(
            "{{\"bench\":\"attack\",\"what\":\"{what}\",\"refreshes\":{},\"refused\":0,\"p50_ms\":{:.1},\"p99_ms\":{:.1},\"garbage\":{sent},\"garbage_429\":{held_off}}}",
            latencies.len(),
            percentile(50).as_secs_f64() * 1e3,
            percentile(99).as_secs_f64() * 1e3,
        );
    }
    guess(address).await;
    stall(address, &mut server).await;
}

/// Refreshes ten times a second. Panics where one is refused.
async fn refresh(
    (mut connection, mut token): (Connection, String),
    span: Duration,
) -> ((Connection, String), Vec<Duration>) {
    let mut latencies = Vec::new();
    let mut ticks = interval(Duration::from_millis(100));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let begun = now();
    while begun.elapsed() < span {
        ticks.tick().await;
        let form = format!("grant_type=refresh_token&client_id={CLIENT}&refresh_token={token}");
        let sent = now();
        let (status, told) = connection.post("/token", &form, "").await;
        latencies.push(sent.elapsed());
        assert_eq!(status, 200, "an honest refresh was refused: {told}");
        token = refresh_token(&told);
    }
    ((connection, token), latencies)
}

/// Returns how many requests were sent, and how many were answered with 429.
async fn send_garbage(from: Ipv4Addr, address: SocketAddr, span: Duration) -> (u32, u32) {
    let begun = now();
    let attackers: JoinSet<_> = (0..ATTACKERS)
        .map(|number| async move {
            let mut connection = Connection::from(from, address).await;
            let (mut sent, mut held_off) = (0, 0);
            while begun.elapsed() < span {
                let form = format!(
                    "grant_type=refresh_token&client_id={CLIENT}&refresh_token=prt1_{number}x{sent}"
                );
                let (status, _) = connection.post("/token", &form, "").await;
                assert!(matches!(status, 400 | 429), "{status}");
                sent += 1;
                held_off += u32::from(status == 429);
            }
            (sent, held_off)
        })
        .collect();
    let all = attackers.join_all().await;
    all.into_iter().fold((0, 0), |(sent, held_off), one| (sent + one.0, held_off + one.1))
}

/// Guesses the secret of a client, which is served at its own address meanwhile.
async fn guess(address: SocketAddr) {
    let mut attacker = Connection::from(ATTACKER, address).await;
    let mut honest = Connection::from(HONEST, address).await;
    let form = "grant_type=client_credentials";
    let (mut before, mut held_off) = (None, 0);
    for number in 0..5000 {
        let (status, _) = attacker.post("/token", form, &basic(&format!("wrong {number}"))).await;
        assert!(matches!(status, 401 | 429), "{status}");
        if status == 429 {
            before.get_or_insert(number);
            held_off += 1;
        }
        if number % 500 == 0 {
            let (status, told) = honest.post("/token", form, &basic(SECRET)).await;
            assert_eq!(status, 200, "the client is not served: {told}");
        }
    }
    let before = before.expect("it is held off");
    assert!(before <= 12, "{before} guesses at once");
    println!(
        "{{\"bench\":\"attack\",\"what\":\"wrong secrets\",\"sent\":5000,\"before_the_first_429\":{before},\"answered_429\":{held_off},\"honest_refused\":0}}"
    );
}

/// Sends half of a hundred requests, and ends the server.
async fn stall(address: SocketAddr, server: &mut Child) {
    let before = resident(server);
    let stalled = join_all((0..ATTACKERS).map(async |_| {
        let mut connection = Connection::from(ATTACKER, address).await;
        let head = "POST /token HTTP/1.1\r\nhost: x\r\ncontent-length: 16000\r\n\
            content-type: application/x-www-form-urlencoded\r\n\r\ngrant_type=";
        connection.stream.write_all(head.as_bytes()).await.expect("it is sent");
        connection
    }))
    .await;
    sleep(Duration::from_millis(500)).await;
    let during = resident(server);
    let begun = now();
    drop(server.stdin.take());
    // Nothing else is left to run.
    let status = server.wait().expect("it ends").success();
    let took = begun.elapsed();
    assert!(status, "the server failed");
    drop(stalled);
    let grown = during.zip(before).map_or(0, |(during, before)| during.saturating_sub(before));
    println!(
        "{{\"bench\":\"attack\",\"what\":\"stalled bodies\",\"connections\":{ATTACKERS},\"grown_kib\":{grown},\"end_s\":{:.1}}}",
        took.as_secs_f64()
    );
}

/// The memory of a process in KiB, where Linux tells.
fn resident(process: &Child) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().split(' ').next()?.parse().ok()
}

fn basic(secret: &str) -> String {
    let encoded = STANDARD.encode(format!("{SERVICE}:{secret}"));
    format!("authorization: Basic {encoded}\r\n")
}

fn refresh_token(told: &Value) -> String {
    told["refresh_token"].as_str().expect("a refresh token").into()
}

/// A connection that is kept open.
struct Connection {
    stream: TcpStream,
}

impl Connection {
    async fn from(from: Ipv4Addr, to: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((from, 0).into()).expect("an address of this machine");
        let stream = socket.connect(to).await.expect("it listens");
        stream.set_nodelay(true).expect("a socket");
        Self { stream }
    }

    /// Sends a form. Returns the status, and the body as JSON.
    async fn post(&mut self, path: &str, form: &str, headers: &str) -> (u16, Value) {
        let length = form.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n{headers}\
             content-type: application/x-www-form-urlencoded\r\n\r\n{form}"
        );
        let answered = async {
            self.stream.write_all(request.as_bytes()).await.expect("it is sent");
            let mut read = Vec::with_capacity(1024);
            loop {
                let length = self.stream.read_buf(&mut read).await.expect("an answer");
                assert_ne!(length, 0, "the server hung up: {}", String::from_utf8_lossy(&read));
                if let Some(answer) = whole(&read) {
                    return answer;
                }
            }
        };
        timeout(Duration::from_secs(30), answered).await.expect("it is answered")
    }
}

/// The status and the body of an answer, once all of it is there.
fn whole(read: &[u8]) -> Option<(u16, Value)> {
    let end = read.windows(4).position(|it| it == b"\r\n\r\n")?;
    let (head, body) = (std::str::from_utf8(&read[..end]).expect("a text"), &read[end + 4..]);
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let mut fields = lines.filter_map(|line| line.split_once(": "));
    let length = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: usize = length.expect("a length").1.parse().expect("a number");
    let body = (body.len() >= length).then_some(body)?;
    Some((status.expect("a status"), serde_json::from_slice(body).expect("JSON")))
}

#[expect(clippy::disallowed_methods, reason = "it measures")]
fn now() -> Instant {
    Instant::now()
}
