//! What the kit does not see of the lease: how waiters hear of its end, and what a clock that is set
//! back does.

use std::time::Duration;

use deadpool_postgres::{Manager, Pool};
use perennial::adapters::postgres::{PostgresConnection, PostgresStore};
use perennial::store::{Acquired, Lease, Store, StoredGrant, Swap, Version};
use perennial::token::Grant;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::on_a_server;
use crate::server_support::{HOUR, START, eventually};

const KEY: &str = "grant:alice";
const TERM: Duration = Duration::from_secs(20);

async fn held(lease: &PostgresStore, term: Duration) -> Version {
    match lease.acquire(term).await.expect("the server is well") {
        Acquired::Held(content) => content.version,
        Acquired::Busy { .. } => panic!("nobody else holds it"),
    }
}

async fn is_busy(lease: &PostgresStore) -> bool {
    matches!(lease.acquire(TERM).await.expect("the server is well"), Acquired::Busy { .. })
}

async fn write(store: &PostgresStore) {
    let grant = StoredGrant::new(Grant::new("at-2", "rt-2", HOUR), START);
    let version = store.load().await.expect("the server is well").version;
    let swap = store.swap(version, Some(grant)).await.expect("the server is well");
    assert!(matches!(swap, Swap::Done(_)));
}

/// Waits until the listener has its subscription, which it says by a hint.
async fn listening(store: &PostgresStore) {
    assert!(is_busy(store).await);
    timeout(Duration::from_secs(10), store.changed()).await.expect("a subscription is a hint");
}

/// Begins to wait, and is past its first look.
async fn waiting(store: &PostgresStore) -> JoinHandle<()> {
    let waits = tokio::spawn(store.changed());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!waits.is_finished(), "nothing has changed yet");
    waits
}

/// What is heard of is heard of before it is looked for.
async fn heard(waits: JoinHandle<()>, what: &str) {
    let heard = timeout(Duration::from_millis(500), waits).await;
    heard.unwrap_or_else(|_| panic!("{what} is not heard of")).expect("no panic");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiter_hears_of_a_release_and_of_a_write_at_once_and_of_nothing_else() {
    on_a_server!(server);
    let (holder, waiter) = (server.store(KEY), server.store(KEY));
    let fence = held(&holder, TERM).await;
    listening(&waiter).await;
    assert!(is_busy(&waiter).await);
    let nothing = timeout(Duration::from_millis(1500), waiter.changed()).await;
    assert!(nothing.is_err(), "nothing has changed");
    let waits = waiting(&waiter).await;
    write(&holder).await;
    heard(waits, "a write").await;
    assert!(is_busy(&waiter).await);
    let waits = waiting(&waiter).await;
    holder.release(fence).await.expect("the server is well");
    heard(waits, "a release").await;
    held(&waiter, TERM).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_between_the_attempt_and_the_wait_is_not_missed() {
    on_a_server!(server);
    let (holder, waiter) = (server.store(KEY), server.store(KEY));
    let fence = held(&holder, TERM).await;
    listening(&waiter).await;
    assert!(is_busy(&waiter).await);
    holder.release(fence).await.expect("the server is well");
    timeout(Duration::from_millis(800), waiter.changed()).await.expect("it is looked for");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_that_is_lost_is_opened_again_and_a_change_meanwhile_is_noticed() {
    on_a_server!(server);
    let (holder, waiter) = (server.store(KEY), server.store(KEY));
    held(&holder, TERM).await;
    listening(&waiter).await;
    assert!(is_busy(&waiter).await);
    let waits = waiter.changed();
    let listens = "FROM pg_stat_activity WHERE query = 'LISTEN perennial_changed'";
    server.sql(&format!("SELECT pg_terminate_backend(pid) {listens}")).await;
    write(&holder).await;
    timeout(Duration::from_secs(5), waits).await.expect("it is noticed");
    eventually("it is subscribed again", async || {
        let count = server.text(&format!("SELECT count(*)::text {listens}")).await;
        (count.as_deref() == Some("1")).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_subscription_changes_are_noticed_by_looking() {
    on_a_server!(server);
    let manager = Manager::new(server.config(), tokio_postgres::NoTls);
    let pool = Pool::builder(manager).build().expect("it needs no runtime");
    let connection = PostgresConnection::from_pool(pool).expect("this is a runtime");
    let (holder, waiter) = (server.store(KEY), PostgresStore::new(&connection, KEY));
    let fence = held(&holder, TERM).await;
    assert!(is_busy(&waiter).await);
    let waits = waiter.changed();
    holder.release(fence).await.expect("the server is well");
    timeout(Duration::from_secs(5), waits).await.expect("it is noticed");
}

// Rule A5.
#[tokio::test]
async fn a_clock_of_the_server_that_was_set_back_prolongs_no_lease_beyond_its_term() {
    on_a_server!(server);
    let store = server.store(KEY);
    held(&store, Duration::from_millis(300)).await;
    // As if the lease had been acquired an hour later than it is now.
    server.sql("UPDATE perennial_grants SET lease_until = lease_until + interval '1 hour'").await;
    let other = server.store(KEY);
    match other.acquire(TERM).await.expect("the server is well") {
        Acquired::Busy { remaining: Some(remaining) } => {
            assert!(remaining <= Duration::from_millis(300), "{remaining:?}");
        }
        found @ (Acquired::Held(_) | Acquired::Busy { .. }) => panic!("it is held: {found:?}"),
    }
    // Not after an hour.
    eventually("it ends", async || (!is_busy(&other).await).then_some(())).await;
}

#[tokio::test]
async fn a_holder_that_dies_is_replaced_within_its_term() {
    on_a_server!(server);
    let holder = server.store(KEY);
    let first = held(&holder, Duration::from_millis(400)).await;
    drop(holder);
    let other = server.store(KEY);
    let Acquired::Busy { remaining: Some(remaining) } =
        other.acquire(TERM).await.expect("the server is well")
    else {
        panic!("it is held")
    };
    assert!(remaining <= Duration::from_millis(400));
    tokio::time::sleep(remaining + Duration::from_millis(5)).await;
    assert!(held(&other, TERM).await > first);
}

#[tokio::test]
async fn a_lease_whose_term_is_over_is_not_renewed_though_nobody_has_taken_it() {
    on_a_server!(server);
    let holder = server.store(KEY);
    let fence = held(&holder, Duration::from_millis(100)).await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!(!holder.renew(fence, TERM).await.expect("the server is well"));
    assert!(held(&server.store(KEY), TERM).await > fence);
}
