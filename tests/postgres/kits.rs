//! The conformance kits on a real server.

use std::sync::atomic::{AtomicUsize, Ordering};

use perennial::adapters::postgres::{PostgresFamilies, PostgresStore};
use perennial::testing::{LeaseConformance, StoreConformance, family_store_conforms};

use crate::on_a_server;
use crate::server::unreachable;

// Rule F1.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lease_of_postgres_conforms() {
    on_a_server!(server);
    let nowhere = unreachable();
    let connections: Vec<_> = (0..4).map(|_| server.connection()).collect();
    let next = AtomicUsize::new(0);
    LeaseConformance::new(move || {
        // As processes do: several stores on each of several pools.
        let turn = next.fetch_add(1, Ordering::Relaxed);
        PostgresStore::new(&connections[turn % connections.len()], "grant:kit")
    })
    .unreachable(move || PostgresStore::new(&nowhere, "grant:kit"))
    .check()
    .await
    .expect("it conforms");
    println!("kit: the lease of PostgresStore");
}

// Rules D1, D3.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_families_of_postgres_conform() {
    on_a_server!(server);
    family_store_conforms(&PostgresFamilies::new(&server.connection())).await;
    println!("kit: PostgresFamilies");
}

// Rules F1, F5.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_conforms() {
    on_a_server!(server);
    let (server, nowhere) = (std::sync::Arc::new(server), unreachable());
    let connection = server.connection().timeout(std::time::Duration::from_secs(5));
    let runtime = tokio::runtime::Handle::current();
    StoreConformance::new(move || PostgresStore::new(&connection, "grant:kit"))
        .unreachable(move || PostgresStore::new(&nowhere, "grant:kit"))
        .damaged(move || {
            tokio::task::block_in_place(|| {
                runtime.block_on(async {
                    server.sql("UPDATE perennial_grants SET record = 'no grant'").await;
                });
            });
        })
        .check()
        .await
        .expect("it conforms");
    println!("kit: PostgresStore");
}
