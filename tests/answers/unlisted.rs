//! Cases that no list had: more of each kind, gathered from documentation and from reports.

use perennial::lifecycle::Failure;
use perennial::provider;
use perennial::token::Leniency;

use crate::{
    HTML, JSON, MISCONFIGURED, UNAVAILABLE, UNEXPLAINED, after, assert_good, client, read, read_by,
    refused,
};

// Rule B6.
#[test]
fn refusals_from_the_documentation_of_others() {
    for (what, status, headers, body, failure) in [
        // Passing trouble that looks like a refusal.
        ("a network that wants a login", 511, HTML, "<html>", UNAVAILABLE),
        ("a limiter of Discord's", 429, JSON, r#"{"message":"x","retry_after":64.57}"#, after(64)),
        (
            "Auth0's limiter",
            429,
            JSON,
            r#"{"error":"access_denied","error_description":"Too many logins"}"#,
            UNAVAILABLE,
        ),
        (
            "Google's quota",
            403,
            JSON,
            r#"{"error":{"code":403,"errors":[],"status":"RESOURCE_EXHAUSTED"}}"#,
            UNAVAILABLE,
        ),
        (
            "Entra ID, throttled, beside invalid_grant",
            400,
            JSON,
            r#"{"error":"invalid_grant","error_codes":[90055]}"#,
            UNAVAILABLE,
        ),
        // A person must act, or the token is dead.
        ("Auth0", 403, JSON, r#"{"error":"mfa_required","mfa_token":"hush"}"#, Failure::Declined),
        (
            "Fitbit",
            400,
            JSON,
            r#"{"errors":[{"errorType":"invalid_grant","message":"x"}],"success":false}"#,
            Failure::Declined,
        ),
        (
            "Monzo",
            401,
            JSON,
            r#"{"code":"unauthorized.bad_refresh_token.evicted","message":"x"}"#,
            Failure::Declined,
        ),
        (
            "Entra ID, expired",
            400,
            JSON,
            r#"{"error":"invalid_grant","error_codes":[700082],"suberror":"token_expired"}"#,
            Failure::Declined,
        ),
        ("in capitals", 400, JSON, r#"{"error":"INVALID_GRANT"}"#, Failure::Declined),
        ("with space", 400, JSON, r#"{"error":" invalid_grant\n"}"#, Failure::Declined),
        // Settings.
        ("a proxy", 407, HTML, "", MISCONFIGURED),
        (
            "Entra ID, a secret that has expired",
            401,
            JSON,
            r#"{"error":"invalid_client","error_codes":[7000222]}"#,
            MISCONFIGURED,
        ),
        ("RFC 9396", 400, JSON, r#"{"error":"invalid_authorization_details"}"#, MISCONFIGURED),
        // Nobody knows.
        ("Twitch", 400, JSON, r#"{"error":"Bad Request","status":400,"message":"x"}"#, UNEXPLAINED),
        (
            "Strava",
            400,
            JSON,
            r#"{"message":"Bad Request","errors":[{"code":"invalid"}]}"#,
            UNEXPLAINED,
        ),
        ("a firewall", 406, HTML, "<html>blocked</html>", UNEXPLAINED),
        ("a problem (RFC 9457)", 400, JSON, r#"{"type":"about:blank","status":400}"#, UNEXPLAINED),
        // It may have been honoured.
        ("Cloudflare", 520, HTML, "<html>", Failure::Unknown),
        ("a problem of the server's", 500, JSON, r#"{"type":"x","status":500}"#, Failure::Unknown),
    ] {
        let told = refused(status, &[headers], body).failure();
        // To the second.
        let told = match told {
            Failure::Unavailable { retry_after: Some(span) } => after(span.as_millis() / 1000),
            whole @ (Failure::Unavailable { retry_after: None }
            | Failure::Declined
            | Failure::Misconfigured { .. }
            | Failure::Unexplained { .. }
            | Failure::Unknown) => whole,
        };
        assert_eq!(told, failure, "{what}: {status} {body}");
    }
}

// Rule B6.
#[test]
fn a_web_page_by_a_success_leaves_the_outcome_unknown() {
    for (headers, body) in [
        // Case X7: a captive portal.
        (HTML, "<html><form action=\"/login\"><input name=access_token></form></html>"),
        (HTML, "<script>var settings = {\"theme\":\"dark\"};</script>"),
        (JSON, ""),
        (JSON, "OK"),
        (JSON, "true"),
        (HTML, "<html>&quot;access_token&quot;:&quot;at-2&quot;</html>"),
    ] {
        for status in [200, 202, 204] {
            assert_eq!(refused(status, &[headers], body).failure(), Failure::Unknown, "{body}");
        }
    }
}

// Rule B14.
#[test]
fn wrappings_from_the_reports_of_others() {
    let tokens = r#""access_token":"at-2","refresh_token":"rt-2","expires_in":600"#;
    for (what, body, tolerated) in [
        ("JSON Lines", format!("{{\"level\":\"warn\"}}\n{{{tokens}}}\n"), &[Leniency::Framed][..]),
        ("an event stream", format!("data: {{{tokens}}}\n\n"), &[Leniency::Framed]),
        ("chunks left in", format!("4b\r\n{{{tokens}}}\r\n0\r\n\r\n"), &[Leniency::Framed]),
        (
            "a mark and a notice",
            format!("\u{FEFF}Deprecated: x\n{{{tokens}}}"),
            &[Leniency::ByteOrderMark, Leniency::Framed],
        ),
        ("a comma too many", format!("{{{tokens},}}"), &[]),
        ("two commas", format!("{{{tokens},,\"scope\":\"\"}}"), &[]),
        ("Python's None", format!("{{\"scope\":None,{tokens}}}"), &[Leniency::Unreadable]),
        (
            "a tab within a text",
            format!("{{\"scope\":\"a\tb\",{tokens}}}"),
            &[Leniency::Unreadable],
        ),
        ("said twice", format!("{{{tokens}}}{{{tokens}}}"), &[Leniency::Framed]),
        ("a log in front", format!("{{\"error\":\"debug\"}}{{{tokens}}}"), &[Leniency::Framed]),
    ] {
        let read = read(200, &[JSON], &body);
        assert!(read.is_ok(), "{what}: {read:?}");
        assert_good(read, tolerated);
    }
}

// Rule A4, B14: whole answers, as documentation shows them.
#[test]
fn grants_from_the_documentation_of_others() {
    for (what, client, body) in [
        (
            "Zoho",
            client().provider(&provider::ZOHO),
            r#"{"access_token":"at-2","refresh_token":"rt-2","expires_in_sec":600,"expires_in":600000}"#,
        ),
        (
            "Firebase",
            client().provider(&provider::FIREBASE),
            r#"{"expires_in":"600","token_type":"Bearer","refresh_token":"rt-2","access_token":"at-2"}"#,
        ),
        (
            "eBay",
            client(),
            r#"{"access_token":"at-2","refresh_token":"rt-2","expires_in":600,"token_type":"User Access Token"}"#,
        ),
        (
            "Apigee",
            client(),
            r#"{"access_token":"at-2","refresh_token":"rt-2","expires_in":"600","token_type":"BearerToken","refresh_token_status":"approved"}"#,
        ),
        (
            "Slack, a bot",
            client().provider(&provider::SLACK),
            r#"{"ok":true,"access_token":"at-2","refresh_token":"rt-2","expires_in":600,"token_type":"bot","authed_user":{"id":"U1","access_token":"of a user"}}"#,
        ),
        (
            "Lark, the newer endpoint",
            client().provider(&provider::LARK),
            r#"{"code":0,"access_token":"at-2","refresh_token":"rt-2","expires_in":600,"token_type":"Bearer"}"#,
        ),
    ] {
        let read = read_by(client, 200, &[JSON], body.as_bytes());
        assert!(read.is_ok(), "{what}: {read:?}");
        assert_good(read, &[]);
    }
}
