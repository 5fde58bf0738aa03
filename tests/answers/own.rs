//! A client that asks for itself: nobody can log in, and it is never told to.

use perennial::lifecycle::Failure;
use perennial::refresh::RefreshError;
use perennial::token::Grant;

use crate::{HTML, JSON, MISCONFIGURED, UNAVAILABLE, client};

fn read(status: u16, headers: &[(&str, &str)], body: &str) -> Result<Grant, RefreshError> {
    let client = client().build().expect("a client");
    let headers = headers.iter().map(|(name, value)| (*name, value.as_bytes()));
    client.client_credentials().read_response(status, headers, body.as_bytes())
}

// Rule B6. Case X2.
#[test]
fn whatever_refuses_a_clients_own_grant_is_misconfigured_and_names_the_setting() {
    for (status, headers, body) in [
        (401, JSON, r#"{"error":"invalid_client"}"#),
        (401, HTML, "<html>401</html>"),
        (400, JSON, ""),
        (400, HTML, "<html>400</html>"),
        (403, HTML, "<html>403</html>"),
        (400, JSON, r#"{"error":"invalid_grant"}"#),
        (400, JSON, r#"{"error":"login_required"}"#),
        (400, JSON, r#"{"error":"hush"}"#),
        (200, JSON, r#"{"error":"hush"}"#),
    ] {
        let error = read(status, &[headers], body).expect_err(body);
        assert_eq!(error.failure(), MISCONFIGURED, "{status} {body}");
        let text = error.to_string();
        assert!(text.contains("auth.example.com") && text.contains("the client secret"), "{text}");
        assert!(!text.contains("log in") && !text.contains("hush"), "{text}");
    }
}

// Rule B6. Case X2.
#[test]
fn a_judgement_that_would_have_a_client_log_in_has_it_look_at_its_settings() {
    let client = client().classify(|_| Some(Failure::Declined)).build().expect("a client");
    let form = client.client_credentials();
    let error = form.read_response(400, [], b"").expect_err("refused");
    assert_eq!(error.failure(), MISCONFIGURED);
}

// Rule B6.
#[test]
fn passing_trouble_is_passing_for_a_client_as_well() {
    let error = read(429, &[], "").expect_err("limited");
    assert_eq!(error.failure(), UNAVAILABLE);
    let error = read(400, &[JSON], r#"{"error":"slow_down"}"#).expect_err("slow");
    assert_eq!(error.failure(), UNAVAILABLE);
    let error = read(502, &[HTML], "<html>").expect_err("a gateway");
    assert_eq!(error.failure(), Failure::Unknown);
    let grant = read(200, &[JSON], r#"{"access_token":"at-2","expires_in":600}"#);
    assert!(grant.expect("a grant").access_token().is_some());
}
