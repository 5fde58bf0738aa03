//! An authorization server's families on a real server.

use perennial::adapters::postgres::PostgresFamilies;
use perennial::issue::{FamilyId, FamilyRecord, FamilyStore};
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
    FamilyRecord { client: "web".into(), subject: "alice".into(), scope: None, family, forget_at }
}

// Rules D1, D3.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_processes_one_rotates_each_token() {
    on_a_server!(server);
    many_processes_rotate_each_token_once(|| PostgresFamilies::new(&server.connection())).await;
}

#[tokio::test]
async fn a_purge_deletes_what_may_be_forgotten_for_an_hour_and_nothing_else() {
    on_a_server!(server);
    let families = PostgresFamilies::new(&server.connection());
    let query = "SELECT (extract(epoch FROM now()) * 1000)::bigint::text";
    let now: i64 = server.text(query).await.expect("a text").parse().expect("a number");
    let minutes = |minutes: i64| Some(Timestamp::from_millis(now + 60_000 * minutes));
    let forgettable = [None, minutes(-61), minutes(-59), minutes(10)];
    for (number, forget_at) in (0..).zip(forgettable) {
        families.insert(id(number), record(forget_at)).await.expect("it is well");
    }
    families.purge().await.expect("it is well");
    for (number, expected) in (0..).zip([true, false, true, true]) {
        let found = families.find(id(number)).await.expect("it is well").is_some();
        assert_eq!(found, expected, "family {number}");
    }
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
