//! Reading a token endpoint's answer without an HTTP client: what the adapter's tests, which come over
//! a socket, cannot send.

use std::time::Duration;

use perennial::lifecycle::Failure;
use perennial::refresh::RefreshError;
use perennial::time::Span;
use perennial::token::{Grant, Secret};
use perennial::wire::read_response;

fn read(status: u16, headers: &[(&str, &[u8])], body: &str) -> Result<Grant, RefreshError> {
    read_response(status, headers.iter().copied(), body.as_bytes())
}

/// After how long an unavailable server wants to be asked again.
fn told_to_wait(headers: &[(&str, &[u8])]) -> Option<Span> {
    let error = read(429, headers, "").expect_err("it is busy");
    match error.failure() {
        Failure::Unavailable { retry_after } => retry_after,
        other @ (Failure::Declined
        | Failure::Misconfigured { .. }
        | Failure::Unexplained { .. }
        | Failure::Unknown) => panic!("{other:?}"),
    }
}

// Rule B6.
#[test]
fn headers_are_known_by_name_in_any_case_and_the_first_of_a_name_counts() {
    let seconds = |seconds: u64| Some(Duration::from_secs(seconds).into());
    assert_eq!(told_to_wait(&[("RETRY-after", b"5")]), seconds(5));
    assert_eq!(told_to_wait(&[("retry-after", b"5"), ("Retry-After", b"6")]), seconds(5));
    // Also where the first is no text at all.
    assert_eq!(told_to_wait(&[("retry-after", b"\xff"), ("Retry-After", b"6")]), None);
    assert_eq!(told_to_wait(&[("retry-after-that", b"5")]), None);
    let date = ("Date", &b"Wed, 21 Oct 2015 07:28:00 GMT"[..]);
    let until = ("Retry-After", &b"Wed, 21 Oct 2015 07:29:00 GMT"[..]);
    assert_eq!(told_to_wait(&[until, date]), seconds(60));
}

// Rule B6.
#[test]
fn a_status_that_is_none_of_http_leaves_the_outcome_unknown() {
    for status in [0, 99, 1000, u16::MAX] {
        let error = read(status, &[], r#"{"access_token":"at-2"}"#).expect_err("no answer of HTTP");
        assert_eq!(error.failure(), Failure::Unknown);
    }
}

// Rule B6.
#[test]
fn the_body_of_an_answer_that_may_pass_makes_it_no_final_one() {
    for status in [302, 429, 503] {
        let error = read(status, &[], r#"{"error":"invalid_grant"}"#).expect_err("no grant");
        assert_eq!(error.failure(), Failure::Unavailable { retry_after: None }, "{status}");
    }
}

// Rule B14.
#[test]
fn a_body_that_broke_off_is_kept_for_its_refresh_token() {
    let whole = r#"{"refresh_token":"rt-2","access_token":"at-2"}"#;
    for cut in 24..whole.len() {
        let grant = read(200, &[], &whole[..cut]).expect("understood in half");
        assert_eq!(grant.refresh_token(), Some(&Secret::from("rt-2")));
        assert_eq!(grant.access_token(), None);
    }
}

// Rule G1.
#[test]
fn a_content_type_that_is_no_text_is_not_shown() {
    let error =
        read(200, &[("content-type", "text/hüsh".as_bytes())], "hush").expect_err("no grant");
    let text = "the response is not a token response: 4 bytes of no content type";
    assert_eq!(error.to_string(), text);
}
