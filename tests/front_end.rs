//! What this crate takes the place of: a front-end with axios interceptors, from npm, through
//! expiries of this crate's own authorization server, in node and in Chromium. Its access tokens live
//! for a second, on the real clock, as theirs is.

#[path = "interop/ours.rs"]
mod ours;
#[path = "interop/start.rs"]
#[allow(dead_code, reason = "other tests use another part of it")]
mod start;

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use ours::server::{Config, web};
use ours::{serve, strict};
use perennial::adapters::jwt::SigningKey;
use perennial::rotation::{Policy, Reuse};
use start::{is_skipped, program, told_by};

/// What npm has put beside the page; where that cannot be had, a line says so.
static AXIOS: LazyLock<bool> = LazyLock::new(|| {
    if web().join("node_modules/axios").is_dir() {
        return true;
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(web());
    npm.output().is_ok_and(|output| output.status.success())
        || !is_skipped("SKIPPED axios: `npm ci` does not work in examples/token_server/web")
});

// Rules D1, D2, D6.
#[test]
fn a_page_that_refreshes_with_axios_sees_no_failure_through_twenty_expiries() {
    if !*AXIOS {
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
                let told = serve(Config { policy, signing, ..strict(1) }, |url| {
                    let drive = ["drive.mjs", url, "21", "210", "1000"];
                    told_by(Command::new("node").args(drive).current_dir(web()))
                });
                let told = told.expect("node skips nothing");
                assert_eq!(told["requests"], 210, "{told}");
                assert_eq!(told["failed"], 0, "{policy:?}: {told}");
                assert!(told["tokens"].as_u64() > Some(20), "{told}");
                assert!(told["replays"].as_u64() > Some(0), "{told}");
            });
        }
    });
}

// Rules D2, D6.
#[test]
fn the_page_in_chromium_shows_no_failure_through_twenty_expiries_though_its_clock_is_set_back() {
    /// Ten at once, ten times a second: they take 25 seconds at least.
    const REQUESTS: u64 = 2500;
    if !*AXIOS {
        return;
    }
    let screenshot = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("front_end.png");
    let told = serve(strict(1), |url| {
        let mut browser = program("browser");
        told_by(browser.args([url, &REQUESTS.to_string()]).arg(&screenshot))
    });
    let Some(told) = told else { return };
    let (shown, network) = (&told["shown"], &told["network"]);
    let number = |key: &str| shown[key].as_u64().unwrap_or_else(|| panic!("no {key} in {told}"));
    assert_eq!((number("requests"), number("failed")), (REQUESTS, 0), "{told}");
    assert_eq!(told["errors"].as_array().map(Vec::len), Some(0), "{told}");
    assert!(number("refreshes") >= 20, "{told}");
    // A refresh is asked for by what is fired at once, and each brings a new token.
    assert!(number("waits") >= 5 * number("refreshes"), "{told}");
    assert_eq!(number("tokens"), number("refreshes") + 1, "{told}");
    // What the page says of itself is what went over the network.
    assert_eq!((&network["answers"], &network["other"]), (&REQUESTS.into(), &0.into()), "{told}");
    assert_eq!(network["token_requests"], shown["refreshes"], "{told}");
    assert_eq!(network["token_refused"], 0, "{told}");
    assert_eq!(network["unauthorized"], shown["replays"], "{told}");
    // The server had to say so of some tokens, and of most it did not come to that.
    let lapsed = network["lapsed"].as_u64().expect("a number");
    assert!(lapsed > 0 && 2 * lapsed < number("refreshes"), "{told}");
}
