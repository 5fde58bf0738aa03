//! Our own server, the one of the example `token_server`, for clients that are not ours.

#[allow(dead_code, reason = "the example uses another part of it")]
#[path = "../../examples/token_server/server.rs"]
pub(crate) mod server;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use perennial::issue::{Keys, MemoryFamilies};
use perennial::rotation::{Policy, Reuse};
use server::{Config, Server};

/// A server that tolerates no reuse, whose access tokens are opaque and live for `seconds`.
pub(crate) fn strict(seconds: u64) -> Config {
    Config {
        policy: Policy::new(Reuse::Strict),
        access_lifetime: Duration::from_secs(seconds),
        signing: None,
        service_secret: None,
        families: MemoryFamilies::new(),
        keys: Keys::new([7; 32]).expect("it is long enough"),
        log: None,
        requests_a_second: 10_000,
        dev_login: true,
        origins: Vec::new(),
    }
}

/// Serves in this process while `client` runs, which is given the server's address.
pub(crate) fn serve<T>(config: Config, client: impl FnOnce(&str) -> T) -> T {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let server = runtime.block_on(Server::listen(address, config)).expect("a port is free");
    let url = server.url.clone();
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let serving = runtime.spawn(server.serve(async { drop(ended.await) }));
    let told = client(&url);
    end.send(()).expect("it serves");
    runtime.block_on(serving).expect("no panic").expect("it ends well");
    told
}
