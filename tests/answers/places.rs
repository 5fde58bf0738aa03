//! A known code is heard wherever an answer that refuses is documented to name it (rule B6).

use perennial::lifecycle::Failure;

use crate::{HTML, JSON, MISCONFIGURED, UNAVAILABLE, UNEXPLAINED, refused};

// Rule B6.
#[test]
fn a_known_code_is_found_in_each_place_where_servers_put_it() {
    for body in [
        r#"{"error":["invalid_grant"]}"#,
        r#"{"errors":["invalid_grant"]}"#,
        r#"{"errors":{"code":"invalid_grant"}}"#,
        r#"{"errors":[{"status":"400","code":"invalid_grant","title":"x"}]}"#,
        r#"{"error":[{"code":"invalid_grant"}]}"#,
        r#"{"error":{"error":{"code":"invalid_grant"}}}"#,
        r#"{"error":{"errors":[{"reason":"invalid_grant"}],"code":400}}"#,
        r#"{"detail":{"error":"invalid_grant"}}"#,
        r#"{"detail":[{"type":"invalid_grant"}]}"#,
        r#"{"detail":"invalid_grant"}"#,
        r#"{"statusCode":400,"message":"invalid_grant","error":"Bad Request"}"#,
        r#"{"error":"invalid_grant","error":null}"#,
        r#"{"error":{"code":"invalid_grant"},"error":{}}"#,
    ] {
        for status in [400, 500] {
            let error = refused(status, &[JSON], body);
            assert_eq!(error.failure(), Failure::Declined, "{status} {body}");
            assert!(error.to_string().contains("invalid_grant"), "{error}");
        }
    }
    let google = r#"{"error":{"errors":[{"domain":"usageLimits","reason":"userRateLimitExceeded",
        "message":"User Rate Limit Exceeded"}],"code":403,"message":"User Rate Limit Exceeded"}}"#;
    assert_eq!(refused(403, &[JSON], google).failure(), UNAVAILABLE);
    let noticed = r#"<br>Notice {"error_code":"session_not_found","msg":"x"}"#;
    assert_eq!(refused(400, &[HTML], noticed).failure(), Failure::Declined);
    // A log line in front is no second answer.
    let logged = r#"{"code":7}{"error":"invalid_grant"}"#;
    assert_eq!(refused(400, &[JSON], logged).failure(), Failure::Declined);
}

// Rule B6.
#[test]
fn a_code_within_a_longer_text_or_deeper_than_three_is_not_heard() {
    for body in [
        r#"{"message":"this is no invalid_grant"}"#,
        r#"{"detail":"invalid_grant: the token is dead"}"#,
        r#"{"error":{"error":{"error":{"error":{"code":"invalid_grant"}}}}}"#,
        r#"{"hush":{"error":"invalid_grant"}}"#,
        r#"{"error":{"hush":"invalid_grant"}}"#,
    ] {
        assert_eq!(refused(400, &[JSON], body).failure(), UNEXPLAINED, "{body}");
    }
}

// Rule B6.
#[test]
fn codes_that_further_providers_document_are_known() {
    for (status, code, failure) in [
        (400, "invalid_resource", MISCONFIGURED),
        (400, "invalid_client_credentials", MISCONFIGURED),
        (400, "inactive_user", Failure::Declined),
        (400, "inactive_org", Failure::Declined),
        (200, "application_suspended", MISCONFIGURED),
    ] {
        let error = refused(status, &[JSON], &format!(r#"{{"error":"{code}"}}"#));
        assert_eq!(error.failure(), failure, "{code}");
        assert!(error.to_string().contains(code), "{error}");
    }
}
