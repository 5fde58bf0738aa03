//! What this crate takes the place of: a front-end with axios interceptors, from npm, through
//! expiries of this crate's own authorization server. Its access tokens live for a second, on the real
//! clock, as node's is.

#[allow(dead_code, reason = "the example uses another part of it")]
#[path = "../examples/token_server/server.rs"]
mod server;

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Output};
use std::time::Duration;

use perennial::adapters::jwt::SigningKey;
use perennial::rotation::{Policy, Reuse};
use serde_json::Value;
use server::{Config, Server, web};

/// What npm has put beside the page; where that cannot be had, a line says so.
fn axios() -> bool {
    if web().join("node_modules/axios").is_dir() {
        return true;
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(web());
    let installed = npm.output().is_ok_and(|output| output.status.success());
    if !installed {
        // Past the capture of a test's output: a skipped test is to be seen.
        let told = "\nSKIPPED axios: `npm ci` does not work in examples/token_server/web";
        writeln!(std::io::stderr(), "{told}").expect("standard error");
    }
    installed
}

/// Serves in this process, and drives the page's script against it in node.
fn drive(policy: Policy, signing: Option<SigningKey>) -> Value {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let output: Output = runtime.block_on(async {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let config = Config { policy, access_lifetime: Duration::from_secs(1), signing };
        let server = Server::listen(address, config).await.expect("a port is free");
        let url = server.url.clone();
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let serving = tokio::spawn(server.serve(async { drop(ended.await) }));
        let node = tokio::task::spawn_blocking(move || {
            let drive = ["drive.mjs", &url, "21", "210", "1000"];
            Command::new("node").args(drive).current_dir(web()).output().expect("node")
        });
        let output = node.await.expect("no panic");
        end.send(()).expect("it serves");
        serving.await.expect("no panic").expect("it ends well");
        output
    });
    let (told, noise) = (&output.stdout, String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{noise}");
    serde_json::from_slice(told).unwrap_or_else(|error| panic!("{error}: {told:?} {noise}"))
}

// Rules D1, D2, D6.
#[test]
fn a_page_that_refreshes_with_axios_sees_no_failure_through_twenty_expiries() {
    if !axios() {
        return;
    }
    let policies = [
        (Policy::new(Reuse::Strict), None),
        (Policy::default(), Some(SigningKey::ed25519([3; 32]))),
        (Policy::new(Reuse::ConfirmByUse), None),
    ];
    std::thread::scope(|scope| {
        for (policy, signing) in policies {
            scope.spawn(move || {
                let told = drive(policy, signing);
                assert_eq!(told["requests"], 210, "{told}");
                assert_eq!(told["failed"], 0, "{policy:?}: {told}");
                assert!(told["tokens"].as_u64() > Some(20), "{told}");
                assert!(told["replays"].as_u64() > Some(0), "{told}");
            });
        }
    });
}
