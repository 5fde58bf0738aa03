//! Rotations that are claimed a second, by this crate and by `pgbench`, with the same statements.

use std::env;
use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use perennial::adapters::postgres::PostgresFamilies;
use perennial::issue::{FamilyId, FamilyRecord, FamilyStore, FamilySwap, OwnClaims};
use perennial::rotation::{Family, Row, Tolerance};

use crate::on_a_server;
use crate::server::Server;
use crate::server_support::{START, eventually};

/// What the crate itself includes.
const FIND: &str = include_str!("../../src/adapters/postgres/find.sql");
const CLAIM: &str = include_str!("../../src/adapters/postgres/claim.sql");

/// The names of the parameters of [`CLAIM`]; all but the identifier are columns that [`FIND`] returns.
const NAMES: [&str; 10] = [
    "began",
    "used",
    "newest",
    "tolerance",
    "overlap_until",
    "overlap_uses",
    "revoked",
    "forget_at",
    "id",
    "version",
];

/// How many claim at once, each of a family of its own, on a connection of its own.
const CLIENTS: u32 = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pgbench_runs_the_very_statements_that_claim_a_rotation() {
    on_a_server!(server);
    let seconds = if env::var("FULL").is_ok_and(|full| full == "1") { 20 } else { 2 };
    let connection = server.connection().timeout(Duration::from_secs(60));
    let families = PostgresFamilies::new(&connection.max_connections(8));
    for number in 0..CLIENTS {
        families.insert(id(number), record()).await.expect("it is new");
    }

    let sent = statements(&server, "application_name = ''");
    let (crate_claims, sent) = tokio::join!(crate_claims(&families, seconds), sent);
    assert_eq!(rotations(&server).await, crate_claims, "each claim is one rotation");

    let (bench_claims, per_second, bench_sent) = pgbench(&server, seconds).await;
    let all = crate_claims + bench_claims;
    assert_eq!(rotations(&server).await, all, "each transaction is one rotation");

    assert_eq!(sent, [FIND.trim_end(), CLAIM.trim_end()], "what this crate sends");
    assert_eq!(bench_sent, sent, "pgbench sends the same");
    let crate_per_second = crate_claims / seconds;
    println!(
        "claims: {{\"connections\":{CLIENTS},\"crate_per_second\":{crate_per_second},\
         \"pgbench_per_second\":{per_second},\"claims\":{all}}}"
    );
}

/// Claims for so many seconds. Returns how many rotations that were.
async fn crate_claims(families: &PostgresFamilies, seconds: u64) -> u64 {
    let until = now() + Duration::from_secs(seconds);
    let tasks: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let families = families.clone();
            tokio::spawn(async move {
                let mut claims = 0;
                while now() < until {
                    claim(&families, id(number)).await;
                    claims += 1;
                }
                claims
            })
        })
        .collect();
    let mut claims = 0;
    for task in tasks {
        claims += task.await.expect("no panic");
    }
    claims
}

async fn claim(families: &PostgresFamilies, id: FamilyId) {
    let found = families.find(id).await.expect("it is well").expect("it is there");
    let FamilyRecord { family, forget_at, .. } = found.record;
    let family = Row { newest: family.newest + 1, ..family };
    let swapped = families.swap(id, found.version, family, forget_at).await.expect("it is well");
    assert_eq!(swapped, FamilySwap::Done, "nobody else claims this family's rotations");
}

/// Has pgbench claim on. Returns how many rotations that were, how many a second by its own account, and
/// which statements it has sent.
async fn pgbench(server: &Server, seconds: u64) -> (u64, u64, Vec<String>) {
    let script = server.folder().join("claim.pgbench");
    // It fails where a statement does not return one row.
    let text = format!(
        "\\set id 1000000000000000 + :client_id\n{} \\gset\n\\set newest :newest + 1\n{} \\gset\n",
        FIND.trim_end().replace("$1", ":id"),
        with_names(CLAIM.trim_end()),
    );
    fs::write(&script, text).expect("it is the test's folder");
    let mut bench = server.command("pgbench");
    bench.args(["-h", "127.0.0.1", "-p", &server.port().to_string(), "-U", "postgres", "-n"]);
    // As the crate has it: each statement is parsed by the server, and its parameters are sent beside it.
    bench.args(["-M", "extended", "-c", &CLIENTS.to_string(), "-T", &seconds.to_string()]);
    bench.arg("-f").arg(script).arg("postgres").stdout(Stdio::piped()).stderr(Stdio::piped());
    let bench = bench.spawn().expect("it comes with the server");
    let sent = statements(server, "application_name = 'pgbench'").await;
    let output = bench.wait_with_output().expect("it is a child of this");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let number = |before: &str| -> u64 {
        let after = said.split_once(before).expect("it says so").1;
        let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect("a number")
    };
    (number("transactions actually processed: "), number("tps = "), sent)
}

/// The statement with names in place of numbers.
fn with_names(statement: &str) -> String {
    // From the highest on: `$10` begins with `$1`.
    (0..NAMES.len()).rev().fold(statement.to_owned(), |text, place| {
        text.replace(&format!("${}", place + 1), &format!(":{}", NAMES[place]))
    })
}

/// The two statements on families that were last run on such connections: what finds, and what claims.
async fn statements(server: &Server, connections: &str) -> Vec<String> {
    let client = server.client().await;
    let query = format!(
        "SELECT DISTINCT rtrim(query, E' \\n;') FROM pg_stat_activity
        WHERE {connections} AND query ~ '^(SELECT|UPDATE)' AND query LIKE '%perennial_families%'
        AND pid <> pg_backend_pid()"
    );
    let mut seen = std::collections::BTreeSet::new();
    eventually("both statements are seen", async || {
        let rows = client.query(&query, &[]).await.expect("it can be asked");
        seen.extend(rows.iter().map(|row| row.get::<_, String>(0)));
        (seen.len() == 2).then(|| seen.iter().cloned().collect())
    })
    .await
}

/// How many rotations there have been, by the rows.
async fn rotations(server: &Server) -> u64 {
    let count = "SELECT sum(newest - 1)::text FROM perennial_families";
    server.text(count).await.expect("there are some").parse().expect("a number")
}

/// As pgbench names them: sixteen digits.
fn id(number: u32) -> FamilyId {
    let digits = (1_000_000_000_000_000 + u64::from(number)).to_string();
    FamilyId::from_bytes(digits.as_bytes().try_into().expect("sixteen digits"))
}

/// In none of its columns is a null, which pgbench cannot send.
fn record() -> FamilyRecord {
    let tolerance = Tolerance::Open { until: START, uses: 1 };
    let family = Row { tolerance, ..Family::new(START).to_row() };
    let (client, subject) = ("web".into(), "alice".into());
    FamilyRecord {
        client,
        subject,
        scope: Some("read".into()),
        device: None,
        claims: OwnClaims::new(),
        family,
        forget_at: Some(START),
    }
}

#[allow(clippy::disallowed_methods, reason = "a measurement reads the real clock")]
fn now() -> Instant {
    Instant::now()
}
