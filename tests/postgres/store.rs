//! What the store keeps, loses, and says.

use std::time::Duration;

use perennial::adapters::postgres::{PURGE, PostgresConnection, PostgresStore, SCHEMA};
use perennial::store::{Store, StoreError, StoredGrant, Swap, Version, Versioned};
use perennial::token::Grant;
use tokio_postgres::{Config, NoTls};

use crate::on_a_server;
use crate::server::unreachable;
use crate::server_support::{HOUR, START};

const KEY: &str = "grant:alice";

fn grant(access: &str) -> StoredGrant {
    StoredGrant::new(Grant::new(access, "rt-p1ant3d", HOUR), START)
}

async fn put(store: &impl Store, expected: Version, access: &str) -> Version {
    match store.swap(expected, Some(grant(access))).await.expect("the server is well") {
        Swap::Done(version) => version,
        Swap::Conflict(found) => panic!("it is at {:?}", found.version),
    }
}

fn plain(error: &StoreError) -> String {
    let text = format!("{error} {error:?}");
    assert!(!text.contains("p1ant3d"), "{text}");
    error.to_string()
}

// Rule F1.
#[tokio::test]
async fn a_grant_is_one_row_and_a_logout_keeps_its_version() {
    on_a_server!(server);
    let store = server.store(KEY);
    assert_eq!(store.load().await.expect("it is well"), Versioned::EMPTY);
    let first = put(&store, Version::EMPTY, "at-1").await;
    let Swap::Done(out) = store.swap(first, None).await.expect("it is well") else {
        panic!("a conflict")
    };
    assert!(out > first);
    let found = server.store(KEY).load().await.expect("it is well");
    assert_eq!(found, Versioned { version: out, grant: None });
    let count = server.text("SELECT count(*)::text FROM perennial_grants").await;
    assert_eq!(count.as_deref(), Some("1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tables_are_created_once_whoever_creates_them() {
    on_a_server!(server);
    server.sql("DROP TABLE perennial_grants, perennial_families").await;
    let error = server.store(KEY).load().await.expect_err("there is no table");
    assert!(plain(&error).contains("migrate"), "{error}");
    let all: Vec<_> = (0..4).map(|_| tokio::spawn(server.connection().migrate())).collect();
    for one in all {
        one.await.expect("no panic").expect("it is created, or there");
    }
    put(&server.store(KEY), Version::EMPTY, "at-1").await;
    server.sql(SCHEMA).await;
}

/// The statements of the documentation that begin so, up to the next that is in a block of its own.
fn documented(beginning: &str) -> String {
    let page = include_str!("../../src/adapters/postgres.rs");
    let docs: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("//! ")).collect();
    let from = docs.iter().position(|line| line.starts_with(beginning)).expect("it is there");
    let block = docs[from..].iter().take_while(|line| **line != "```");
    block.copied().collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn the_documented_statements_alter_an_older_table_and_move_grants_from_another() {
    on_a_server!(server);
    let (old, moved) = (server.store(KEY), server.store("grant:bob"));
    put(&old, Version::EMPTY, "at-1").await;
    server.sql("ALTER TABLE perennial_grants DROP COLUMN record_sum").await;
    let later = "DROP COLUMN device, DROP COLUMN claims, DROP COLUMN over_at";
    server.sql(&format!("ALTER TABLE perennial_families {later}")).await;
    server.sql(&documented("ALTER TABLE")).await;
    let found = old.load().await.expect("it is as it was");
    assert_eq!(found.grant, Some(grant("at-1")));
    server.sql(SCHEMA).await;

    let record = Versioned { version: Version::new(1), grant: Some(grant("at-2")) }.to_json();
    let create = format!(
        "CREATE TABLE sessions (name text, record text);
        INSERT INTO sessions VALUES ('{KEY}', '{0}'), ('grant:bob', '{0}')",
        record.expose(),
    );
    server.sql(&create).await;
    server.sql(&documented("INSERT INTO")).await;
    let found = moved.load().await.expect("it is moved");
    assert_eq!(found.grant, Some(grant("at-2")));
    put(&moved, found.version, "at-3").await;
    let found = old.load().await.expect("it was there before");
    assert_eq!(found.grant, Some(grant("at-1")));
}

#[test]
fn the_documented_purge_is_the_one_that_is_run() {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(words(&documented("WITH instant")), format!("{};", words(PURGE)));
}

// Rule F1.
#[tokio::test]
async fn a_server_restarted_holds_what_was_answered() {
    on_a_server!(server);
    let version = put(&server.store(KEY), Version::EMPTY, "at-1").await;
    server.restart().await;
    let found = server.store(KEY).load().await.expect("it is well");
    assert_eq!(found, Versioned { version, grant: Some(grant("at-1")) });
}

// Rules F1, F5.
#[tokio::test]
async fn a_row_that_is_gone_is_emptied_for_who_has_seen_it_and_is_written_with_a_version_above_all()
{
    on_a_server!(server);
    let (connection, stranger) = (server.connection(), server.store(KEY));
    let store = PostgresStore::new(&connection, KEY);
    let version = put(&store, Version::EMPTY, "at-1").await;
    server.sql("DELETE FROM perennial_grants").await;
    // A store that is made for the key later, as keyed sessions do, knows it as well.
    let later = PostgresStore::new(&connection, KEY);
    for store in [&store, &later] {
        assert!(store.load().await.expect_err("its content is gone").is_emptied());
        let acquired = store.lease().expect("it has one").acquire(Duration::from_secs(1)).await;
        assert!(acquired.expect_err("its content is gone").is_emptied());
    }
    let elsewhere = PostgresStore::new(&connection, "grant:bob").load().await.expect("it is well");
    assert_eq!(elsewhere, Versioned::EMPTY);
    assert_eq!(stranger.load().await.expect("it is well"), Versioned::EMPTY);
    let again = put(&store, Version::new(3), "at-1").await;
    assert!(again > version, "{again:?} after {version:?}");
    let from_nothing = put(&server.store("grant:new"), Version::EMPTY, "at-1").await;
    assert!(from_nothing > version, "no version is used twice");
}

// Rules F1, F5.
#[tokio::test]
async fn a_replica_that_is_behind_is_emptied_for_who_has_seen_more() {
    on_a_server!(server);
    let store = server.store(KEY);
    let first = put(&store, Version::EMPTY, "at-1").await;
    server.sql("CREATE TABLE before AS SELECT * FROM perennial_grants").await;
    let second = put(&store, first, "at-2").await;
    server
        .sql("TRUNCATE perennial_grants; INSERT INTO perennial_grants SELECT * FROM before")
        .await;
    assert!(store.load().await.expect_err("its latest state is lost").is_emptied());
    let lease = store.lease().expect("it has one");
    let acquired = lease.acquire(Duration::from_secs(1)).await;
    assert!(acquired.expect_err("its latest state is lost").is_emptied());
    let third = put(&store, second, "at-2").await;
    assert!(third > second);
    let found = server.store(KEY).load().await.expect("it is well");
    assert_eq!(found, Versioned { version: third, grant: Some(grant("at-2")) });
}

// Rules F5, G1.
#[tokio::test]
async fn damaged_content_is_replaced_by_a_login_alone_which_keeps_a_copy() {
    on_a_server!(server);
    let store = server.store(KEY);
    let version = put(&store, Version::EMPTY, "at-1").await;
    server.sql("UPDATE perennial_grants SET record = 'rt-p1ant3d'").await;
    let error = store.load().await.expect_err("it is damaged");
    assert!(error.is_damaged() && !error.is_emptied(), "{error}");
    assert!(plain(&error).contains("log in again"), "{error}");
    let swap = store.swap(version, Some(grant("at-3"))).await;
    assert!(swap.is_err_and(|error| error.is_damaged()), "no swap replaces what is damaged");
    let acquired = store.lease().expect("it has one").acquire(Duration::from_millis(1)).await;
    assert!(acquired.is_err_and(|error| error.is_damaged()));
    let swap = store.replace_damaged(Some(grant("at-2"))).await.expect("it is replaced");
    let Swap::Done(after) = swap else { panic!("a conflict") };
    assert!(after > version);
    let found = server.store(KEY).load().await.expect("it is well");
    assert_eq!(found, Versioned { version: after, grant: Some(grant("at-2")) });
    let spared = store.replace_damaged(None).await.expect("it is well");
    assert_eq!(spared, Swap::Conflict(found), "what can be understood is not replaced");
    let copy = server.text("SELECT damaged FROM perennial_grants").await;
    assert_eq!(copy.as_deref(), Some("rt-p1ant3d"));
    server.sql("UPDATE perennial_grants SET record = '', damaged = NULL").await;
    store.replace_damaged(None).await.expect("it is replaced");
    assert_eq!(
        server.text("SELECT damaged FROM perennial_grants").await,
        None,
        "a logout keeps none"
    );
}

// Rules F5, G1.
#[tokio::test]
async fn a_database_that_refuses_is_named_by_what_to_do_and_quotes_nothing() {
    on_a_server!(server);
    let store = server.store(KEY);
    let version = put(&store, Version::EMPTY, "at-1").await;
    let nowhere = PostgresStore::new(&unreachable(), KEY).load().await.expect_err("nobody listens");
    assert!(plain(&nowhere).contains("nobody listens"), "{nowhere}");
    server.sql("ALTER TABLE perennial_grants ADD CHECK (record NOT LIKE '%at-2%') NOT VALID").await;
    let error = store.swap(version, Some(grant("at-2"))).await.expect_err("it is forbidden");
    assert!(plain(&error).contains("23514"), "{error}");
    server.sql("CREATE ROLE app LOGIN PASSWORD 'p1ant3d'").await;
    for (user, database, words) in [
        ("app", "postgres", "grant SELECT"),
        ("app", "elsewhere", "no such database"),
        ("somebody", "postgres", "password"),
    ] {
        let mut config = server.config();
        config.user(user).dbname(database);
        let connection = PostgresConnection::open(config, NoTls).expect("this is a runtime");
        let error = PostgresStore::new(&connection, KEY).load().await.expect_err("it may not read");
        assert!(plain(&error).contains(words), "{error}");
    }
    server.sql("UPDATE perennial_grants SET version = 9223372036854775807").await;
    let last = Version::new(u64::MAX >> 1);
    let error = server.store(KEY).swap(last, None).await.expect_err("it is the last");
    assert!(error.is_damaged() && plain(&error).contains("increased"), "{error}");
}

// Rule G1.
#[tokio::test]
async fn nothing_shows_the_configuration_which_may_have_a_password() {
    let connection = unreachable();
    let store = PostgresStore::new(&connection, KEY);
    for text in
        [format!("{connection:?}"), format!("{store:?}"), format!("{:?}", store.load().await)]
    {
        assert!(!text.contains("p1ant3d"), "{text}");
    }
}

#[test]
fn connections_outside_a_runtime_are_an_error_that_says_so() {
    let error = PostgresConnection::open(Config::new(), NoTls).expect_err("there is no runtime");
    assert!(error.to_string().contains("runtime"), "{error}");
}

// Rule C2.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thread_without_a_runtime_uses_the_store() {
    on_a_server!(server);
    let store = server.store(KEY);
    let loaded = std::thread::spawn(move || futures::executor::block_on(store.load()));
    assert_eq!(loaded.join().expect("no panic").expect("it is well"), Versioned::EMPTY);
}

// Rule F1.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_writers_under_serializable_isolation_none_fails_and_one_wins() {
    on_a_server!(server);
    server.sql("ALTER DATABASE postgres SET default_transaction_isolation = 'serializable'").await;
    let store = server.store(KEY);
    let mut version = put(&store, Version::EMPTY, "at-0").await;
    let mut failed = 0;
    for _ in 0..10 {
        let all: Vec<_> = (0..4)
            .map(|_| tokio::spawn(server.store(KEY).swap(version, Some(grant("at-1")))))
            .collect();
        let mut done = Vec::new();
        for one in all {
            match one.await.expect("no panic") {
                Ok(Swap::Done(version)) => done.push(version),
                Ok(Swap::Conflict(_)) => {}
                Err(_) => failed += 1,
            }
        }
        assert_eq!(done.len(), 1, "one of four is done");
        version = done[0];
    }
    assert_eq!(failed, 0, "what another transaction makes fail is repeated");
}
