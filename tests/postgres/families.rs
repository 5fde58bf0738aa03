//! An authorization server's families on a real server.

use perennial::adapters::postgres::{PURGE, PostgresFamilies};
use perennial::issue::{FamilyId, FamilyRecord, FamilyStore, OwnClaims};
use perennial::rotation::{Family, Row};
use perennial::time::Timestamp;

use crate::on_a_server;
use crate::server_support::START;
use crate::server_support::families::many_processes_rotate_each_token_once;

fn id(number: u8) -> FamilyId {
    FamilyId::from_bytes([number; FamilyId::BYTES])
}

fn record(forget_at: Option<Timestamp>) -> FamilyRecord {
    let family: Row = Family::new(START).to_row();
    FamilyRecord {
        client: "web".into(),
        subject: "alice".into(),
        scope: None,
        device: None,
        claims: OwnClaims::new(),
        family,
        forget_at,
    }
}

// Rules D1, D3.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_processes_one_rotates_each_token() {
    on_a_server!(server);
    many_processes_rotate_each_token_once(|| PostgresFamilies::new(&server.connection())).await;
}

#[tokio::test]
async fn a_purge_deletes_what_an_earlier_one_found_over_and_nothing_else() {
    on_a_server!(server);
    let families = PostgresFamilies::new(&server.connection());
    let query = "SELECT (extract(epoch FROM now()) * 1000)::bigint::text";
    let now: i64 = server.text(query).await.expect("a text").parse().expect("a number");
    let minutes = |minutes: i64| Some(Timestamp::from_millis(now + 60_000 * minutes));
    let forgettable = [None, minutes(-5), minutes(-59), minutes(10)];
    for (number, forget_at) in (0..).zip(forgettable) {
        families.insert(id(number), record(forget_at)).await.expect("it is well");
    }
    let brief = record(minutes(-2));
    let brief = FamilyRecord { family: Row { newest: 0, ..brief.family }, ..brief };
    families.insert(id(4), brief).await.expect("it is well");
    let left = async || {
        let mut left = Vec::new();
        for number in 0..5 {
            left.extend(families.find(id(number)).await.expect("it is well").map(|_| number));
        }
        left
    };
    // What the documentation has for `pg_cron`.
    server.sql(PURGE).await;
    assert_eq!(left().await, [0, 1, 2, 3], "one without a refresh token is gone at once");
    let hour = Timestamp::from_millis(now + 3_600_000 + 60_000);
    let used = families.find(id(2)).await.expect("it is well").expect("it is there");
    let (family, version) = (used.record.family, used.version);
    families.swap(id(2), version, family, minutes(90)).await.expect("it is well");
    assert_eq!(families.purge(hour).await.expect("it is well"), 1);
    assert_eq!(left().await, [0, 2, 3]);
}

#[tokio::test]
async fn a_damaged_family_is_an_error_and_stays() {
    on_a_server!(server);
    let families = PostgresFamilies::new(&server.connection());
    families.insert(id(1), record(None)).await.expect("it is well");
    for damage in ["tolerance = 'open'", "tolerance = 'closed', newest = -1"] {
        server.sql(&format!("UPDATE perennial_families SET {damage}")).await;
        let found = families.find(id(1)).await;
        assert!(found.is_err_and(|error| error.is_damaged()), "{damage}");
    }
    server.sql("UPDATE perennial_families SET newest = 1").await;
    assert!(families.find(id(1)).await.expect("it is well").is_some());
}
