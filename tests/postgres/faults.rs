//! Sessions on a database that fails: valid tokens are served, nothing is refreshed twice, and all
//! recovers by itself.

use std::time::Duration;

use perennial::adapters::postgres::PostgresStore;

use crate::on_a_server;
use crate::server::{Server, connection};
use crate::server_support::Fleet;
use crate::server_support::proxy::Proxy;

async fn due(server: &Server) -> Fleet {
    Fleet::due([server.store("grant:alice"), server.store("grant:alice")]).await
}

const CUT: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
    WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'";

// Rule F5.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_database_is_stopped_valid_tokens_are_served_and_nothing_is_sent_twice() {
    on_a_server!(server);
    let fleet = due(&server).await;
    server.stop();
    fleet.is_served_meanwhile().await;
    server.restart().await;
    fleet.recovers().await;
}

// Rules F2, F5.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_that_a_stopped_database_could_not_store_is_used_and_stored_once_it_is_back() {
    on_a_server!(server);
    let fleet = due(&server).await;
    fleet.is_sent_and_cannot_be_stored(async || server.stop()).await;
    server.restart().await;
    fleet.recovers().await;
}

// Rule F5.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_database_takes_no_writes_valid_tokens_are_served_and_nothing_is_sent_twice() {
    on_a_server!(server);
    let fleet = due(&server).await;
    server.sql("ALTER SYSTEM SET default_transaction_read_only = on").await;
    server.sql("SELECT pg_reload_conf()").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    fleet.is_served_meanwhile().await;
    server.sql("ALTER SYSTEM RESET default_transaction_read_only").await;
    server.sql("SELECT pg_reload_conf()").await;
    fleet.recovers().await;
}

// Rule F5.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_row_is_locked_valid_tokens_are_served_and_nothing_is_sent_twice() {
    on_a_server!(server);
    let fleet = due(&server).await;
    let other = server.client().await;
    other.batch_execute("BEGIN; SELECT FROM perennial_grants FOR UPDATE").await.expect("it locks");
    fleet.is_served_meanwhile().await;
    let waiting = "SELECT count(*)::text FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    crate::server_support::eventually("what was given up ends there", async || {
        (server.text(waiting).await.as_deref() == Some("0")).then_some(())
    })
    .await;
    other.batch_execute("ROLLBACK").await.expect("it ends");
    fleet.recovers().await;
}

// Rule F5.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_are_opened_again() {
    on_a_server!(server);
    let fleet = due(&server).await;
    for _ in 0..3 {
        server.sql(CUT).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    fleet.recovers().await;
}

// Rule F5.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_has_lost_all_gets_the_grant_back_and_nothing_is_sent_twice() {
    on_a_server!(server);
    let fleet = due(&server).await;
    server.sql("TRUNCATE perennial_grants").await;
    fleet.recovers().await;
}

// Rule F5.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_fall_silent_are_replaced() {
    on_a_server!(server);
    let proxy = Proxy::to(server.port()).await;
    let store = || PostgresStore::new(&connection(proxy.port()), "grant:alice");
    let fleet = Fleet::due([store(), store()]).await;
    proxy.silence();
    fleet.recovers().await;
}
