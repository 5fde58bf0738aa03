//! Sessions on a server that fails: valid tokens are served, nothing is refreshed twice, and all
//! recovers by itself.

use std::time::Duration;

use perennial::adapters::redis::RedisStore;

use crate::on_a_server;
use crate::server::{Server, connection};
use crate::server_support::Fleet;
use crate::server_support::proxy::Proxy;

async fn due(server: &Server) -> Fleet {
    Fleet::due([server.store("grant:alice"), server.store("grant:alice")]).await
}

// Rule F5.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_server_is_stopped_valid_tokens_are_served_and_nothing_is_sent_twice() {
    on_a_server!(server);
    let fleet = due(&server).await;
    server.stop();
    fleet.is_served_meanwhile().await;
    server.restart().await;
    fleet.recovers().await;
}

// Rules F2, F5.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_that_a_stopped_server_could_not_store_is_used_and_stored_once_it_is_back() {
    on_a_server!(server);
    let fleet = due(&server).await;
    fleet.is_sent_and_cannot_be_stored(async || server.stop()).await;
    server.restart().await;
    fleet.recovers().await;
}

// Rule F5.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_server_does_not_answer_valid_tokens_are_served_and_nothing_is_sent_twice() {
    on_a_server!(server);
    let fleet = due(&server).await;
    server.command(&["CLIENT", "PAUSE", "60000"]).await;
    fleet.is_served_meanwhile().await;
    server.restart().await;
    fleet.recovers().await;
}

// Rule F5.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_slow_for_a_moment_costs_nothing() {
    on_a_server!(server);
    let fleet = due(&server).await;
    server.command(&["CLIENT", "PAUSE", "300"]).await;
    fleet.recovers().await;
}

// Rule F5.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_has_lost_all_gets_the_grant_back_and_nothing_is_sent_twice() {
    on_a_server!(server);
    let fleet = due(&server).await;
    server.command(&["FLUSHALL"]).await;
    fleet.recovers().await;
}

// Rule F5.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_takes_no_writes_is_unreachable_until_it_does() {
    on_a_server!(server);
    let fleet = due(&server).await;
    let nowhere = crate::server_support::free_port().to_string();
    server.command(&["REPLICAOF", "127.0.0.1", &nowhere]).await;
    fleet.is_served_meanwhile().await;
    server.command(&["REPLICAOF", "NO", "ONE"]).await;
    fleet.recovers().await;
}

// Rule F5.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_are_opened_again() {
    on_a_server!(server);
    let fleet = due(&server).await;
    for _ in 0..3 {
        server.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    fleet.recovers().await;
}

// Rule F5.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_fall_silent_are_replaced() {
    on_a_server!(server);
    let proxy = Proxy::to(server.port()).await;
    let store = || RedisStore::new(&connection(proxy.port()), "grant:alice");
    let fleet = Fleet::due([store(), store()]).await;
    proxy.silence();
    fleet.recovers().await;
}
