//! The conformance kits on a real server.

use std::sync::Arc;

use perennial::adapters::redis::{RedisFamilies, RedisStore};
use perennial::testing::{LeaseConformance, StoreConformance, family_store_conforms};

use crate::on_a_server;
use crate::server::unreachable;

// Rule F1.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lease_of_redis_conforms() {
    on_a_server!(server);
    let (server, nowhere) = (Arc::new(server), unreachable());
    let connections: Vec<_> = (0..4).map(|_| server.connection()).collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    LeaseConformance::new(move || {
        // As processes do: several stores on each of several connections.
        let turn = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        RedisStore::new(&connections[turn % connections.len()], "grant:kit")
    })
    .unreachable(move || RedisStore::new(&nowhere, "grant:kit"))
    .check()
    .await
    .expect("it conforms");
    println!("kit: the lease of RedisStore");
}

// Rules D1, D3.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_families_of_redis_conform() {
    on_a_server!(server);
    family_store_conforms(&RedisFamilies::new(&server.connection(), "auth")).await;
    println!("kit: RedisFamilies");
}

// Rules D1, F1.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_conform_on_a_node_of_a_cluster() {
    let Some(server) = crate::server::Server::start_cluster().await else { return };
    family_store_conforms(&RedisFamilies::new(&server.connection(), "auth")).await;
    let connection = server.connection();
    let store = move || RedisStore::new(&connection, "grant:{kit}");
    LeaseConformance::new(store).check().await.expect("it conforms");
    println!("kit: RedisFamilies, on a cluster");
    println!("kit: the lease of RedisStore, on a cluster");
}

// Rules F1, F5.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_conforms() {
    on_a_server!(server);
    let (server, nowhere) = (Arc::new(server), unreachable());
    let connection = server.connection().timeout(std::time::Duration::from_secs(5));
    let runtime = tokio::runtime::Handle::current();
    StoreConformance::new(move || RedisStore::new(&connection, "grant:kit"))
        .unreachable(move || RedisStore::new(&nowhere, "grant:kit"))
        .damaged(move || {
            tokio::task::block_in_place(|| {
                runtime.block_on(async {
                    server.command(&["HSET", "grant:kit", "record", "no grant"]).await;
                });
            });
        })
        .check()
        .await
        .expect("it conforms");
    println!("kit: RedisStore");
}
