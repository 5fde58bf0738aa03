//! Two copies of a command-line program that share a grant in a file, at an expired token, against a
//! server that revokes the grant where a refresh token comes twice.
//!
//! The programs are this very program, run again for `child_program` alone.
#![cfg(unix)]

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use futures::executor::block_on;
use perennial::adapters::file::FileStore;
use perennial::adapters::ureq::refresh_grant;
use perennial::session::Session;
use perennial::store::{Store, StoredGrant, Version};
use perennial::time::Timestamp;
use perennial::token::Grant;
use perennial::wire::Client;

const PATH: &str = "PERENNIAL_TEST_SHARED_PATH";
const SERVER: &str = "PERENNIAL_TEST_SHARED_SERVER";

/// Rounds with each latency; `.ci/fleet` runs more.
const ROUNDS: usize = 4;

/// A server with one family of refresh tokens, under strict rotation.
struct Server {
    url: String,
    family: Arc<Mutex<Family>>,
}

#[derive(Default)]
struct Family {
    newest: usize,
    revoked: bool,
    rotations: usize,
}

impl Server {
    /// Serves from now on; each answer takes `latency`, once the token was rotated.
    fn start(latency: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/token", listener.local_addr().expect("an address"));
        let family = Arc::new(Mutex::new(Family::default()));
        let shared = Arc::clone(&family);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let family = Arc::clone(&shared);
                thread::spawn(move || answer(stream, &family, latency));
            }
        });
        Self { url, family }
    }
}

fn answer(mut stream: TcpStream, family: &Mutex<Family>, latency: Duration) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = String::from_utf8(body).ok()?;
    let presented = body.split('&').find_map(|pair| pair.strip_prefix("refresh_token=rt-"))?;
    let (status, content) = {
        let mut family = family.lock().expect("nobody panics");
        if family.revoked || presented.parse() != Ok(family.newest) {
            family.revoked = true;
            ("400 Bad Request", r#"{"error":"invalid_grant"}"#.to_owned())
        } else {
            family.newest += 1;
            family.rotations += 1;
            let newest = family.newest;
            let granted = format!(
                r#"{{"access_token":"at-{newest}","token_type":"bearer","refresh_token":"rt-{newest}","expires_in":600}}"#
            );
            ("200 OK", granted)
        }
    };
    thread::sleep(latency);
    let head = "Content-Type: application/json\r\nCache-Control: no-store\r\nConnection: close";
    let length = content.len();
    write!(stream, "HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {length}\r\n\r\n{content}").ok()
}

/// A command-line program as anybody would write it: no settings but the file.
#[test]
fn child_program() {
    let (Some(path), Ok(server)) = (env::var_os(PATH), env::var(SERVER)) else { return };
    let client = Client::builder(&server, "a-client").build().expect("a client");
    let session = Session::builder_blocking(refresh_grant(client))
        .store(FileStore::open(path).expect("a store"))
        .build()
        .expect("a session");
    // Both begin at once.
    std::io::stdin().read_line(&mut String::new()).expect("the word to begin");
    let told = match session.token_blocking() {
        Ok(token) => token.expose().to_owned(),
        Err(error) => format!("failed: {error}: {:?}", std::error::Error::source(&error)),
    };
    writeln!(std::io::stderr(), "{told}").expect("somebody who listens");
}

fn spawn_program(path: &Path, server: &str) -> Child {
    Command::new(env::current_exe().expect("this program"))
        .args(["--exact", "child_program", "--nocapture"])
        .env(PATH, path)
        .env(SERVER, server)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a child")
}

// Rules F3, F4. Cases X30, X35.
#[test]
fn two_copies_of_a_program_at_an_expired_token_make_one_refresh_and_both_get_it() {
    let rounds = env::var("SHARED_ROUNDS").map_or(ROUNDS, |it| it.parse().expect("a number"));
    let mut lost = Vec::new();
    for latency in [5, 50, 300, 1000].map(Duration::from_millis) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("grant.json");
        let store = FileStore::open(&path).expect("a store");
        let server = Server::start(latency);
        for round in 0..rounds {
            // What the last round has left, expired.
            let newest = server.family.lock().expect("nobody panics").newest;
            let grant = Grant::new(format!("at-{newest}"), format!("rt-{newest}"), Duration::ZERO);
            let expired = StoredGrant::new(grant, Timestamp::from_secs(1_700_000_000));
            let version = block_on(store.load()).expect("readable").version;
            let _ = block_on(store.swap(version, Some(expired))).expect("writable");
            assert!(version == Version::EMPTY || version.number() > 0);

            let mut programs = [(); 2].map(|()| spawn_program(&path, &server.url));
            // Each waits for a line before it asks.
            thread::sleep(Duration::from_millis(100));
            for program in &mut programs {
                program.stdin.take().expect("a pipe").write_all(b"\n").expect("it listens");
            }
            let told = programs.map(|program| {
                let output = program.wait_with_output().expect("it ends");
                String::from_utf8_lossy(&output.stderr).trim().to_owned()
            });
            let family = server.family.lock().expect("nobody panics");
            let good = format!("at-{}", newest + 1);
            if family.revoked || family.newest != newest + 1 || told.iter().any(|it| *it != good) {
                lost.push(format!(
                    "{latency:?}, round {round}: revoked {}, {} rotations, {told:?}",
                    family.revoked, family.rotations
                ));
                break;
            }
        }
    }
    eprintln!("SHARED {{\"rounds\":{},\"lost\":{}}}", 4 * rounds, lost.len());
    assert!(lost.is_empty(), "{}", lost.join("\n"));
}
