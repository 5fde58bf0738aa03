//! What the store keeps, loses, and says.

use std::time::Duration;

use perennial::adapters::redis::{RedisConnection, RedisStore};
use perennial::keyed::Sessions;
use perennial::refresh::{RefreshError, Request};
use perennial::store::{Store, StoreError, StoredGrant, Swap, Version, Versioned};
use perennial::token::{Grant, Secret};
use redis::Value;

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
async fn a_grant_is_one_hash_and_a_logout_keeps_its_version() {
    on_a_server!(server);
    let store = server.store(KEY);
    assert_eq!(store.load().await.expect("it is well"), Versioned::EMPTY);
    let first = put(&store, Version::EMPTY, "at-1").await;
    let Swap::Done(out) = store.swap(first, None).await.expect("it is well") else {
        panic!("a conflict")
    };
    assert!(out > first);
    let other = server.store(KEY);
    assert_eq!(other.load().await.expect("it is well"), Versioned { version: out, grant: None });
    let Value::Array(keys) = server.command(&["KEYS", "*"]).await else { panic!("a list") };
    assert_eq!(keys, [Value::BulkString(KEY.into())]);
    assert_eq!(server.command(&["PTTL", KEY]).await, Value::Int(-1), "it is never deleted");
}

// Rule F1.
#[tokio::test]
async fn a_server_restarted_holds_what_was_answered() {
    on_a_server!(server);
    let store = server.store(KEY);
    let version = put(&store, Version::EMPTY, "at-1").await;
    server.restart().await;
    let found = server.store(KEY).load().await.expect("it is well");
    assert_eq!(found, Versioned { version, grant: Some(grant("at-1")) });
}

// Rules F1, F5.
#[tokio::test]
async fn a_key_that_is_gone_is_emptied_for_who_has_seen_it_and_is_written_with_a_version_above_all()
{
    on_a_server!(server);
    let (connection, stranger) = (server.connection(), server.store(KEY));
    let store = RedisStore::new(&connection, KEY);
    let version = put(&store, Version::EMPTY, "at-1").await;
    server.command(&["DEL", KEY]).await;
    // A store that is made for the key later, as keyed sessions do, knows it as well.
    let later = RedisStore::new(&connection, KEY);
    for store in [&store, &later] {
        let error = store.load().await.expect_err("its content is gone");
        assert!(error.is_emptied(), "{error}");
    }
    let elsewhere = RedisStore::new(&connection, "grant:bob").load().await.expect("it is well");
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
    server.command(&["COPY", KEY, "before"]).await;
    let second = put(&store, first, "at-2").await;
    server.command(&["COPY", "before", KEY, "REPLACE"]).await;
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
    let damages: [&[&str]; 5] = [
        &["HSET", KEY, "record", "rt-p1ant3d"],
        &["HSET", KEY, "record", r#"{"format":2,"version":1,"grant":null}"#],
        &["HDEL", KEY, "record"],
        &["HDEL", KEY, "version"],
        &["HSET", KEY, "version", "seven p1ant3d"],
    ];
    for damage in damages {
        let store = server.store(KEY);
        let before = store.load().await.expect("it is well");
        let version = put(&store, before.version, "at-1").await;
        server.command(damage).await;
        let error = store.load().await.expect_err("it is damaged");
        assert!(error.is_damaged() && !error.is_emptied(), "{error}");
        assert!(plain(&error).contains("log in again"), "{error}");
        let swap = store.swap(version, Some(grant("at-3"))).await;
        assert!(swap.is_err_and(|error| error.is_damaged()), "no swap replaces what is damaged");
        let acquired = store.lease().expect("it has one").acquire(Duration::from_millis(1)).await;
        assert!(acquired.is_err_and(|error| error.is_damaged()), "{damage:?}");
        let swap = store.replace_damaged(Some(grant("at-2"))).await.expect("it is replaced");
        let Swap::Done(after) = swap else { panic!("a conflict after {damage:?}") };
        assert!(after > version);
        let found = server.store(KEY).load().await.expect("it is well");
        assert_eq!(found, Versioned { version: after, grant: Some(grant("at-2")) });
        let spared = store.replace_damaged(None).await.expect("it is well");
        assert_eq!(spared, Swap::Conflict(found), "what can be understood is not replaced");
    }
    let Value::BulkString(copy) = server.command(&["HGET", KEY, "damaged"]).await else {
        panic!("there is a copy")
    };
    assert!(String::from_utf8_lossy(&copy).contains("at-1"));
}

// Rule F5.
#[tokio::test]
async fn a_key_of_another_program_is_left_alone() {
    on_a_server!(server);
    server.command(&["SET", KEY, "of somebody else"]).await;
    let store = server.store(KEY);
    for error in [
        store.load().await.map(drop),
        store.swap(Version::EMPTY, None).await.map(drop),
        store.replace_damaged(Some(grant("at-1"))).await.map(drop),
    ] {
        let error = error.expect_err("it is no grant");
        assert!(plain(&error).contains("choose another key"), "{error}");
    }
    assert_eq!(server.command(&["GET", KEY]).await, Value::BulkString("of somebody else".into()));
}

// Rules F5, G1.
#[tokio::test]
async fn a_server_that_refuses_is_named_by_what_to_do_and_quotes_nothing() {
    on_a_server!(server);
    let store = server.store(KEY);
    let version = put(&store, Version::EMPTY, "at-1").await;
    let nowhere = RedisStore::new(&unreachable(), KEY).load().await.expect_err("nobody listens");
    assert!(plain(&nowhere).contains("nobody listens"), "{nowhere}");
    server.command(&["ACL", "SETUSER", "default", "-evalsha"]).await;
    let error = store.swap(version, Some(grant("at-2"))).await.expect_err("it is forbidden");
    assert!(plain(&error).contains("EVALSHA"), "{error}");
    server.command(&["ACL", "SETUSER", "default", "+evalsha"]).await;
    server.command(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let error = store.swap(version, Some(grant("at-2"))).await.expect_err("it is full");
    assert!(plain(&error).contains("out of memory"), "{error}");
    server.command(&["CONFIG", "SET", "maxmemory", "0"]).await;
    server.command(&["CONFIG", "SET", "requirepass", "p1ant3d"]).await;
    let error = server.store(KEY).load().await.expect_err("there is a password");
    assert!(plain(&error).contains("password"), "{error}");
}

// Rule G1.
#[tokio::test]
async fn nothing_shows_the_address_which_may_have_a_password() {
    let connection = unreachable();
    let store = RedisStore::new(&connection, KEY);
    for text in
        [format!("{connection:?}"), format!("{store:?}"), format!("{:?}", store.load().await)]
    {
        assert!(!text.contains("p1ant3d"), "{text}");
    }
}

#[test]
fn a_connection_outside_a_runtime_is_an_error_that_says_so() {
    let client = redis::Client::open("redis://127.0.0.1/").expect("the address is well-formed");
    let error = RedisConnection::open(client).expect_err("there is no runtime");
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

/// Of a cluster's connection the stores need no more than of this one.
#[tokio::test]
async fn a_connection_of_the_programs_own_is_used_as_it_is() {
    on_a_server!(server);
    let own = server.client().get_multiplexed_async_connection().await.expect("it listens");
    let connection = RedisConnection::from_connection(own).expect("this is a runtime");
    let store = RedisStore::new(&connection, KEY);
    let version = put(&store, Version::EMPTY, "at-1").await;
    assert_eq!(server.store(KEY).load().await.expect("it is well").version, version);
}

// Rule F1.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_grants_share_one_connection() {
    on_a_server!(server);
    let connection = server.connection();
    let sessions = Sessions::builder(|_: &u32, _request: Request| async {
        Err::<Grant, _>(RefreshError::unavailable("not asked"))
    })
    .stores(move |user| RedisStore::new(&connection, format!("grant:{user}")))
    .build();
    for user in 0..500 {
        let grant = Grant::new(format!("at-{user}"), "rt", HOUR);
        sessions.install(&user, grant).await.expect("it is stored");
    }
    let Value::Int(keys) = server.command(&["DBSIZE"]).await else { panic!("a number") };
    assert_eq!(keys, 500);
    let Value::BulkString(clients) = server.command(&["CLIENT", "LIST"]).await else {
        panic!("a text")
    };
    let clients = String::from_utf8_lossy(&clients).lines().count();
    assert!(clients <= 3, "{clients} with the one that asks and the one that began");
    let other = RedisStore::new(&server.connection(), "grant:77").load().await.expect("it is well");
    let stored = other.grant.expect("it was stored").grant;
    assert_eq!(stored.access_token().map(Secret::expose), Some("at-77"));
}
