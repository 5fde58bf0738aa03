//! Four processes of an authorization server behind one database, and two hundred clients.

use std::collections::BTreeSet;
use std::env;
use std::io;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use perennial::adapters::axum::{AuthorizationServer, RegisteredClient};
use perennial::adapters::postgres::PostgresFamilies;
use perennial::issue::{Issuer, Keys};
use perennial::rotation::{Policy, Reuse};
use reqwest::StatusCode;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};

use crate::on_a_server;
use crate::server::{Server, connection};
use crate::server_support::{eventually, free_port};

/// The port of the database, the server's own, and the rotation, for a child process.
const SETTINGS: &str = "PERENNIAL_TEST_SERVER";
const STRICT: &str = "strict";
const IDEMPOTENT: &str = "idempotent";

const CLIENT: &str = "web";
const SERVERS: usize = 4;
const CLIENTS: usize = 200;

/// Longer than any of this takes.
const LONG: Duration = Duration::from_secs(600);

/// Notes each rotation and each revocation as the database does it, whichever server asked for it.
const NOTES: &str = "
CREATE TABLE rotations (family bytea, subject text, before bigint, after bigint);
CREATE TABLE revocations (subject text);
CREATE TABLE repeats (subject text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.newest <> OLD.newest THEN
        INSERT INTO rotations VALUES (NEW.id, NEW.subject, OLD.newest, NEW.newest);
    END IF;
    IF NEW.revoked AND NOT OLD.revoked THEN
        INSERT INTO revocations VALUES (NEW.subject);
    END IF;
    IF NEW.newest = OLD.newest AND NEW.revoked = OLD.revoked THEN
        INSERT INTO repeats VALUES (NEW.subject);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER note AFTER UPDATE ON perennial_families FOR EACH ROW EXECUTE FUNCTION note()";

/// How often each client refreshes.
fn rounds() -> usize {
    if env::var("FULL").is_ok_and(|full| full == "1") { 50 } else { 4 }
}

// Rules D1, D3.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_four_strict_servers_one_rotates_each_token_and_only_reuse_revokes() {
    on_a_server!(server);
    let servers = Servers::start(&server, STRICT).await;
    let (rotated, reused) = servers.clients(strict_client).await;
    servers.judge(&server, STRICT, &rotated, &reused).await;
}

// Rules D1, D4.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_four_idempotent_servers_one_rotates_each_token_and_both_give_its_successor() {
    on_a_server!(server);
    let servers = Servers::start(&server, IDEMPOTENT).await;
    let (rotated, reused) = servers.clients(idempotent_client).await;
    servers.judge(&server, IDEMPOTENT, &rotated, &reused).await;
}

/// Refreshes at one server after the other; each fourth client then presents one token at two at once.
async fn strict_client(servers: Arc<Servers>, number: usize) -> (u64, bool) {
    let mut token = servers.log_in(number).await;
    let mut rotated = 0;
    for round in 0..rounds() {
        token = servers.refresh(number + round, &token).await.expect("it is the newest");
        rotated += 1;
    }
    if number % 4 != 0 {
        return (rotated, false);
    }
    let both = tokio::join!(servers.refresh(number, &token), servers.refresh(number + 1, &token));
    let successors: Vec<_> = [both.0, both.1].into_iter().flatten().collect();
    assert_eq!(
        successors.len(),
        1,
        "client {number}: one presentation rotates, the other is reuse"
    );
    for at in 0..SERVERS {
        let again = servers.refresh(at, &successors[0]).await;
        assert_eq!(again, None, "client {number}: the family is revoked at server {at}");
    }
    (rotated + 1, true)
}

/// Refreshes at one server after the other, each fourth client at two at once; each eighth one presents the
/// token of its login at the end.
async fn idempotent_client(servers: Arc<Servers>, number: usize) -> (u64, bool) {
    let first = servers.log_in(number).await;
    let mut token = first.clone();
    let mut rotated = 0;
    for round in 0..rounds() {
        let at = number + round;
        let next = servers.refresh(at, &token);
        token = if number % 4 == 0 {
            let both = tokio::join!(next, servers.refresh(at + 1, &token));
            assert_eq!(both.0, both.1, "client {number}: both get the same successor");
            both.0
        } else {
            next.await
        }
        .expect("it is the newest, or its predecessor");
        rotated += 1;
    }
    let reuses = number % 8 == 0;
    if reuses {
        assert_eq!(
            servers.refresh(number, &first).await,
            None,
            "client {number}: it is long spent"
        );
    }
    (rotated, reuses)
}

/// Four server processes, which end with this.
struct Servers {
    urls: Vec<String>,
    children: Vec<Child>,
    http: reqwest::Client,
    presentations: AtomicU64,
}

impl Servers {
    async fn start(server: &Server, rotation: &str) -> Arc<Self> {
        server.sql(NOTES).await;
        let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(16).timeout(LONG);
        let http = http.build().expect("a client");
        let presentations = AtomicU64::new(0);
        let mut servers = Self { urls: Vec::new(), children: Vec::new(), http, presentations };
        for _ in 0..SERVERS {
            let port = free_port();
            let mut child = Command::new(env::current_exe().expect("this program"));
            child.args(["--exact", "servers::child_server", "--nocapture"]);
            child.env(SETTINGS, format!("{} {port} {rotation}", server.port()));
            child.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
            servers.children.push(child.spawn().expect("a child"));
            servers.urls.push(format!("http://127.0.0.1:{port}"));
            eventually("the server listens", async || {
                TcpStream::connect(("127.0.0.1", port)).await.ok().map(drop)
            })
            .await;
        }
        Arc::new(servers)
    }

    /// Runs all clients at once. Returns how often each has rotated, and which have reused a token.
    async fn clients<F>(
        self: &Arc<Self>,
        client: impl Fn(Arc<Self>, usize) -> F,
    ) -> (Vec<u64>, BTreeSet<String>)
    where
        F: Future<Output = (u64, bool)> + Send + 'static,
    {
        let tasks: Vec<_> =
            (0..CLIENTS).map(|number| tokio::spawn(client(Arc::clone(self), number))).collect();
        let (mut rotated, mut reused) = (Vec::new(), BTreeSet::new());
        for (number, task) in tasks.into_iter().enumerate() {
            let (rotations, has_reused) = task.await.expect("no client panics");
            rotated.push(rotations);
            if has_reused {
                reused.insert(subject(number));
            }
        }
        (rotated, reused)
    }

    /// Compares what the clients have seen with the database's rows.
    async fn judge(
        &self,
        server: &Server,
        rotation: &str,
        rotated: &[u64],
        reused: &BTreeSet<String>,
    ) {
        let client = server.client().await;
        let twice = "SELECT count(*) FROM (SELECT FROM rotations GROUP BY family, before \
            HAVING count(*) > 1 OR min(after) <> before + 1) AS wrong";
        let twice: i64 = client.query_one(twice, &[]).await.expect("one row").get(0);
        assert_eq!(twice, 0, "each refresh token is rotated once, to the next");

        if rotation == STRICT {
            let repeats: i64 = client
                .query_one("SELECT count(*) FROM repeats", &[])
                .await
                .expect("one row")
                .get(0);
            assert_eq!(repeats, 0, "a strict server writes nothing but rotations and revocations");
        }

        let newest = "SELECT subject, newest - 1, (SELECT count(*) FROM rotations
            WHERE family = id) FROM perennial_families";
        let rows = client.query(newest, &[]).await.expect("the families");
        assert_eq!(rows.len(), CLIENTS, "a family for each login");
        for row in rows {
            let (name, newest, noted): (String, i64, i64) = (row.get(0), row.get(1), row.get(2));
            let number: usize = name.trim_start_matches("client-").parse().expect("a number");
            let expected = i64::try_from(rotated[number]).expect("a small number");
            assert_eq!((newest, noted), (expected, expected), "{name}: as the client has seen it");
        }

        let revoked = "SELECT subject FROM revocations UNION ALL
            SELECT subject FROM perennial_families WHERE revoked";
        let rows = client.query(revoked, &[]).await.expect("the revocations");
        let revoked: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(revoked.len(), 2 * reused.len(), "each is revoked once, and stays revoked");
        assert_eq!(&BTreeSet::from_iter(revoked), reused, "reuse alone revokes");

        let rotations: u64 = rotated.iter().sum();
        let presentations = self.presentations.load(Ordering::Relaxed);
        println!(
            "servers: {{\"servers\":{SERVERS},\"clients\":{CLIENTS},\"rotation\":\"{rotation}\",\
             \"presentations\":{presentations},\"rotations\":{rotations},\
             \"rotated_twice\":{twice},\"reused\":{},\"revoked\":{}}}",
            reused.len(),
            reused.len(),
        );
    }

    async fn post(&self, at: usize, path: &str, form: &[(&str, &str)]) -> (StatusCode, Value) {
        let url = format!("{}{path}", self.urls[at % SERVERS]);
        let response = self.http.post(url).form(form).send().await.expect("a response");
        let status = response.status();
        (status, response.json().await.expect("JSON"))
    }

    async fn log_in(&self, number: usize) -> String {
        let form = [("client_id", CLIENT), ("subject", &*subject(number))];
        let (status, body) = self.post(number, "/dev-login", &form).await;
        assert_eq!(status, StatusCode::OK, "{}", body["error"]);
        body["refresh_token"].as_str().expect("a refresh token").into()
    }

    /// Presents the token; `None` if the server says that it does not work.
    async fn refresh(&self, at: usize, token: &str) -> Option<String> {
        self.presentations.fetch_add(1, Ordering::Relaxed);
        let form =
            [("client_id", CLIENT), ("grant_type", "refresh_token"), ("refresh_token", token)];
        let (status, body) = self.post(at, "/token", &form).await;
        if status == StatusCode::BAD_REQUEST && body["error"] == "invalid_grant" {
            return None;
        }
        assert_eq!(status, StatusCode::OK, "{}", body["error"]);
        body["refresh_token"].as_str().map(String::from)
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn subject(number: usize) -> String {
    format!("client-{number}")
}

/// One of the servers, where it is started as such; it ends with who has started it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_server() {
    let Ok(settings) = env::var(SETTINGS) else { return };
    thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        std::process::exit(0);
    });
    let words: Vec<_> = settings.split(' ').collect();
    let [database, port, rotation] = words[..] else { panic!("three words") };
    let (database, port): (u16, u16) =
        (database.parse().expect("a port"), port.parse().expect("a port"));
    let reuse = if rotation == STRICT { Reuse::Strict } else { Reuse::idempotent(LONG) };
    let families = PostgresFamilies::new(&connection(database).timeout(LONG).max_connections(8));
    // The same in every process, so that each reads what the others have issued.
    let keys = Keys::new([7; 32]).expect("it is long enough");
    let issuer = Issuer::builder(keys, families).policy(Policy::new(reuse)).build();
    let client = RegisteredClient::public(CLIENT).rate_limit(1_000_000, Duration::from_secs(1));
    let server = AuthorizationServer::builder(issuer, format!("http://127.0.0.1:{port}"));
    let server =
        server.client(client).with_dev_login().build().expect("its URL is of this machine");
    let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the port is free");
    axum::serve(listener, server.router()).await.expect("it serves until it is killed");
}
