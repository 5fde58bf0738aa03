//! Clients that are not ours, `openid-client` and Authlib, against our own server. It is strict, so
//! each that was renewed with anything but its newest refresh token would be logged out.

use serde_json::{Value, json};

use crate::ours::server::{Config, SERVICE};
use crate::ours::{serve, strict};
use crate::start::{program, told_by};

/// What the client of that name has to tell of a server with access tokens that live for `seconds`,
/// where it shows `secret`.
fn told(name: &str, secret: &str, seconds: u64) -> Option<Value> {
    let config = Config { service_secret: Some(secret.into()), ..strict(seconds) };
    serve(config, |url| told_by(program(name).args([url, SERVICE, secret])))
}

/// That in each way in which clients say who they are it went as it should: renewed five times,
/// logged out by reuse, logged out by a revocation, and with a token of its own if it has a secret.
fn assert_well(told: &Value) {
    let ways = told.as_object().expect("an object");
    assert_eq!(ways.len(), 3, "{told}");
    for (way, told) in ways {
        let own = if way == "none" { json!("unauthorized_client") } else { json!([200, true]) };
        for (part, expected) in [
            ("renewed", json!(5)),
            ("failed", json!(0)),
            ("reuse", json!(["invalid_grant", "invalid_grant"])),
            ("revocation", json!([200, "invalid_grant"])),
            ("own", own),
        ] {
            assert_eq!(told[part], expected, "{way}, {part}: {told}");
        }
    }
}

// Rules D2, D3, D6.
#[test]
fn openid_client_finds_our_endpoints_renews_and_is_refused_what_was_spent_or_revoked() {
    // What a header may not hold as it is (RFC 6749, section 2.3.1).
    let Some(told) = told("openid_client", "hush: 100 % \u{fc}ber+all&=", 600) else { return };
    assert_well(&told);
    for told in told.as_object().expect("an object").values() {
        assert_eq!(told["ended"], json!([401, 401]), "{told}");
    }
}

// Rules D2, D6.
#[test]
fn authlibs_session_renews_by_itself_at_each_expiry_and_is_refused_what_was_spent_or_revoked() {
    // Authlib puts a secret into a header as it is, so there must be nothing in it to encode.
    let Some(told) = told("authlib_client", "hush", 1) else { return };
    assert_well(&told);
}
