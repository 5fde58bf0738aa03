//! Answers that refuse: by their words first, and final only from enough.

use std::time::Duration;

use perennial::lifecycle::Failure;
use perennial::provider;
use perennial::time::Span;
use perennial::wire::ErrorResponse;

use crate::{
    FORM, HTML, JSON, MISCONFIGURED, UNAVAILABLE, UNEXPLAINED, after, client, read_by, refused,
};

// Rule B6. Case X1.
#[test]
fn a_refusal_without_an_error_of_oauth_is_unexplained_and_not_final() {
    for status in [400, 401, 403, 404, 405, 422, 451] {
        for (headers, body) in [(HTML, "<html>no</html>"), (HTML, ""), (JSON, "{}"), (JSON, "[]")] {
            assert_eq!(refused(status, &[headers], body).failure(), UNEXPLAINED, "{status} {body}");
        }
    }
    let told = refused(400, &[HTML, ("retry-after", "7")], "<html>");
    assert_eq!(told.failure(), Failure::Unexplained { retry_after: Some(Span::from_secs(7)) });
}

// Rule B6. Case X3.
#[test]
fn a_client_that_is_refused_is_misconfigured_and_the_error_names_the_setting_and_the_host() {
    for (status, code, setting) in [
        (401, "invalid_client", "the client secret"),
        (400, "unauthorized_client", "grant type"),
        (400, "unsupported_grant_type", "grant type"),
        (400, "invalid_scope", "the scope"),
        (400, "invalid_request", "fields"),
        (400, "invalid_target", "the resource"),
        (400, "use_dpop_nonce", "DPoP"),
        (200, "incorrect_client_credentials", "the client secret"),
        (200, "bad_client_secret", "the client secret"),
        (200, "invalid_client_id", "the client id"),
    ] {
        let error = refused(status, &[JSON], &format!(r#"{{"error":"{code}"}}"#));
        assert_eq!(error.failure(), MISCONFIGURED, "{code}");
        let text = error.to_string();
        assert!(text.starts_with("the token endpoint at auth.example.com answered"), "{text}");
        assert!(text.contains(code) && text.contains("check") && text.contains(setting), "{text}");
    }
    let challenge = ("www-authenticate", "Basic realm=\"hush\"");
    let error = refused(401, &[HTML, challenge], "<html>");
    assert_eq!(error.failure(), MISCONFIGURED, "the header's credentials were refused");
    let other = refused(401, &[HTML, ("www-authenticate", "Negotiate")], "<html>");
    assert_eq!(other.failure(), UNEXPLAINED);
}

// Rule B6. Case X4.
#[test]
fn a_code_that_names_passing_trouble_is_unavailable_whatever_the_status() {
    for code in [
        "temporarily_unavailable",
        "server_error",
        "slow_down",
        "internal_error",
        "fatal_error",
        "service_unavailable",
        "request_timeout",
        "ratelimited",
        "too_many_requests",
        "rate_limit_exceeded",
        "TooManyRequestsException",
        "ThrottlingException",
        "over_request_rate_limit",
    ] {
        for status in [200, 400, 401, 403, 409, 500, 502] {
            let body = format!(r#"{{"ok":false,"error":"{code}"}}"#);
            assert_eq!(refused(status, &[JSON], &body).failure(), UNAVAILABLE, "{status} {code}");
        }
    }
}

// Rule B6. Case X5.
#[test]
fn passing_trouble_is_heard_wherever_a_dialect_says_it_and_so_is_retry_after() {
    let wait = ("retry-after", "120");
    for body in [
        r#"{"error":{"is_transient":true,"code":4}}"#,
        r#"{"error":"too_many_requests"}"#,
        r#"{"error":"invalid_grant","error_codes":[90033]}"#,
        r#"{"error":{"code":400,"status":"RESOURCE_EXHAUSTED","message":"quota"}}"#,
        r#"{"__type":"com.amazon.coral.service#ThrottlingException:http://x/","message":"slow"}"#,
        r#"{"errorCode":"E0000047","errorSummary":"too many"}"#,
        r#"{"fault":{"detail":{"errorcode":"policies.ratelimit.SpikeArrestViolation"}}}"#,
        r#"{"errors":[{"errorType":"slow_down"}],"success":false}"#,
        r#"{"code":"over_request_rate_limit","message":"slow"}"#,
    ] {
        assert_eq!(refused(400, &[JSON, wait], body).failure(), after(120), "{body}");
    }
    let in_the_body = r#"{"error":"slow_down","retry_after":1.5}"#;
    let failure = refused(400, &[JSON], in_the_body).failure();
    assert_eq!(failure, Failure::Unavailable { retry_after: Some(Span::from_millis(1500)) });
}

// Rule B6. Case X6.
#[test]
fn a_server_error_that_says_nothing_may_have_been_honoured() {
    for status in [500, 501, 502, 504, 505, 520, 599] {
        for (headers, body) in [(HTML, "<html>bad gateway</html>"), (JSON, "{}"), (HTML, "")] {
            let failure = refused(status, &[headers], body).failure();
            assert_eq!(failure, Failure::Unknown, "{status} {body}");
        }
        let spring = r#"{"status":500,"error":"Internal Server Error","path":"/token"}"#;
        assert_eq!(refused(status, &[JSON], spring).failure(), Failure::Unknown, "{status}");
    }
    assert_eq!(refused(503, &[HTML], "<html>").failure(), Failure::Unknown);
    assert_eq!(refused(503, &[JSON], r#"{"status":503}"#).failure(), Failure::Unknown);
    assert_eq!(refused(503, &[HTML, ("retry-after", "9")], "").failure(), after(9));
    assert_eq!(refused(503, &[JSON], r#"{"error":"maintenance"}"#).failure(), UNAVAILABLE);
    assert_eq!(refused(503, &[JSON], r#"{"error":"invalid_grant"}"#).failure(), UNAVAILABLE);
}

// Rule B6.
#[test]
fn what_was_not_taken_up_is_unavailable() {
    for status in [408, 421, 425, 429, 511] {
        assert_eq!(refused(status, &[HTML], "<html>").failure(), UNAVAILABLE, "{status}");
    }
    let limited = refused(429, &[JSON], r#"{"error":"invalid_grant"}"#);
    assert_eq!(limited.failure(), UNAVAILABLE, "a limiter judges no grant");
    assert_eq!(refused(407, &[HTML], "").failure(), MISCONFIGURED);
}

// Rule B6. Case X11.
#[test]
fn a_code_that_says_the_refresh_token_is_dead_is_final_whatever_its_status_and_form() {
    for code in [
        "invalid_grant",
        "bad_refresh_token",
        "interaction_required",
        "login_required",
        "consent_required",
        "account_selection_required",
        "invalid_refresh_token",
        "token_revoked",
        "token_expired",
        "refresh_token_not_found",
        "refresh_token_already_used",
        "session_not_found",
        "session_expired",
    ] {
        for status in [200, 400, 401, 403, 409, 422, 500, 502] {
            for body in [
                format!(r#"{{"error":"{code}"}}"#),
                format!(r#"{{"error":{{"code":"{code}","message":"no"}}}}"#),
                format!(r#"{{"code":400,"error_code":"{code}","msg":"no"}}"#),
                format!(r#"{{"code":"{code}","message":"no"}}"#),
                format!(r#"{{"errors":[{{"errorType":"{code}","message":"no"}}]}}"#),
                format!("error={code}&error_description=The+refresh+token+is+dead."),
            ] {
                // A success without an `error` in it is not said to be a refusal.
                if status == 200 && !body.contains(r#""error":"#) && !body.starts_with("error=") {
                    continue;
                }
                let failure = refused(status, &[FORM], &body).failure();
                assert_eq!(failure, Failure::Declined, "{status} {body}");
            }
        }
    }
}

// Rule B6.
#[test]
fn an_error_that_nobody_knows_is_not_final() {
    for body in [
        r#"{"error":"hush"}"#,
        r#"{"error":"access_denied"}"#,
        r#"{"error":true}"#,
        r#"{"error":17}"#,
        r#"{"error":{"message":"hush"}}"#,
        r#"{"error":["hush"]}"#,
        "error=hush&error_description=hush",
    ] {
        for status in [200, 400, 401, 403] {
            let error = refused(status, &[JSON], body);
            assert_eq!(error.failure(), UNEXPLAINED, "{status} {body}");
        }
        assert_eq!(refused(500, &[JSON], body).failure(), Failure::Unknown, "{body}");
    }
}

// Rule B6.
#[test]
fn an_error_that_says_nothing_is_none() {
    for error in ["null", r#""""#, "false", "0", "{}", "[]", r#"" ""#] {
        let body = format!(r#"{{"access_token":"at-2","expires_in":600,"error":{error}}}"#);
        let grant = read_by(client(), 200, &[JSON], body.as_bytes()).expect("a grant");
        assert!(grant.access_token().is_some(), "{error}");
        let body = format!(r#"{{"refresh_token":"rt-2","error":{error}}}"#);
        let grant = read_by(client(), 200, &[JSON], body.as_bytes()).expect("half a grant");
        assert!(grant.refresh_token().is_some(), "{error}");
    }
}

// Rule B6.
#[test]
fn what_a_providers_codes_mean_comes_before_what_is_known_everywhere() {
    for (provider, status, body, failure) in [
        (provider::LINKEDIN, 400, r#"{"error":"invalid_request"}"#, Failure::Declined),
        (provider::ZOHO, 400, r#"{"error":"Access Denied","status":"failure"}"#, UNAVAILABLE),
        (provider::ZOHO, 200, r#"{"error":"invalid_code"}"#, Failure::Declined),
        (provider::HUBSPOT, 400, r#"{"status":"BAD_REFRESH_TOKEN"}"#, Failure::Declined),
        (provider::LARK, 400, r#"{"code":20037,"msg":"expired"}"#, Failure::Declined),
        (provider::LARK, 400, r#"{"code":20002,"msg":"secret"}"#, MISCONFIGURED),
        (provider::LARK, 400, r#"{"code":20050,"msg":"again"}"#, UNAVAILABLE),
        (provider::SUPABASE, 409, r#"{"code":"conflict"}"#, UNAVAILABLE),
        (provider::SUPABASE, 403, r#"{"error_code":"user_banned"}"#, Failure::Declined),
        (
            provider::FIREBASE,
            400,
            r#"{"error":{"code":400,"message":"TOKEN_EXPIRED","status":"INVALID_ARGUMENT"}}"#,
            Failure::Declined,
        ),
        (
            provider::META,
            400,
            r#"{"error":{"message":"no","type":"OAuthException","code":190}}"#,
            Failure::Declined,
        ),
        (
            provider::META,
            400,
            r#"{"error":{"message":"slow","type":"OAuthException","code":4}}"#,
            UNAVAILABLE,
        ),
    ] {
        let error = read_by(client().provider(&provider), status, &[JSON], body.as_bytes());
        assert_eq!(error.expect_err(body).failure(), failure, "{}: {body}", provider.name());
    }
}

// Rule B6. A refusal by a success: Lark's older endpoint says it by a number alone.
#[test]
fn a_success_that_holds_a_providers_code_and_no_token_is_a_refusal() {
    let body = br#"{"code":20037,"msg":"expired"}"#;
    let error = read_by(client().provider(&provider::LARK), 200, &[JSON], body);
    assert_eq!(error.expect_err("no grant").failure(), Failure::Declined);
    let error = read_by(client(), 200, &[JSON], body).expect_err("no grant");
    assert_eq!(error.failure(), Failure::Unknown);
    let body = br#"{"code":"refresh_token_not_found"}"#;
    let error = read_by(client(), 200, &[JSON], body).expect_err("no grant");
    assert_eq!(error.failure(), Failure::Declined);
}

// Rule B6. Case X18.
#[test]
fn a_programs_own_judgement_overrides_the_standards() {
    let body = br#"{"error":"invalid_grant","error_description":"it is already being processed",
                    "error_uri":"https://hush.example"}"#;
    let standard = read_by(client(), 400, &[JSON], body).expect_err("refused");
    assert_eq!(standard.failure(), Failure::Declined);
    let judge = |refusal: &ErrorResponse<'_>| {
        assert_eq!((refusal.status(), refusal.error()), (400, Some("invalid_grant")));
        assert_eq!(refusal.error_uri(), Some("https://hush.example"));
        assert_eq!(refusal.retry_after(), Some(Duration::from_secs(3)));
        assert!(!format!("{refusal:?}").contains("hush"), "{refusal:?}");
        let description = refusal.error_description()?;
        description.contains("being processed").then_some(UNAVAILABLE)
    };
    let wait = ("retry-after", "3");
    let judged = read_by(client().classify(judge), 400, &[JSON, wait], body);
    assert_eq!(judged.expect_err("refused").failure(), after(3));
    let own_delay = client().classify(|_| Some(after(60)));
    let judged = read_by(own_delay, 400, &[JSON, wait], body).expect_err("refused");
    assert_eq!(judged.failure(), after(60));
    let undecided = read_by(client().classify(|_| None), 400, &[JSON], body);
    assert_eq!(undecided.expect_err("refused").failure(), Failure::Declined);
}

// Rules B6, E6. Case X19: what a redirect brings is not looked at.
#[test]
fn the_body_of_a_redirect_is_nobodys_word() {
    for status in [300, 301, 302, 303, 304, 307, 308] {
        for body in [crate::GOOD, r#"{"error":"invalid_grant"}"#, "<html>"] {
            let location = ("location", "https://user:hush@new.example:8443/hush?hush#hush");
            let error = refused(status, &[JSON, location], body);
            assert_eq!(error.failure(), UNAVAILABLE, "{status} {body}");
            let text = error.to_string();
            assert!(text.contains("its URL has moved to https://new.example:8443)"), "{text}");
            assert!(text.contains("redirects are not followed"), "{text}");
        }
    }
}

// Rules E6, G1. Case X19.
#[test]
fn where_a_redirect_leads_is_told_by_its_origin_where_it_has_another() {
    for (location, told) in [
        ("//new.example/hush", Some("https://new.example")),
        ("http://auth.example.com/hush", Some("http://auth.example.com")),
        ("/hush", None),
        ("hush", None),
        ("mailto:hush", None),
        ("http://[::1", None),
    ] {
        let text = refused(307, &[("location", location)], "").to_string();
        let moved = told.map_or("(its URL has moved)".into(), |it| format!("has moved to {it})"));
        assert!(text.contains(&moved), "{location}: {text}");
    }
    assert!(!refused(307, &[], "").to_string().contains("moved"));
}
