//! Odd answers of little weight: each costs as little as it can (rules A3, B6, B14).

use perennial::lifecycle::Failure;
use perennial::time::{Span, Timestamp};
use perennial::token::{Leniency, Unusable};

use crate::{
    FORM, HTML, JSON, MISCONFIGURED, UNAVAILABLE, UNEXPLAINED, after, assert_good, client, read,
    refused, tokens,
};

const DATE: (&str, &str) = ("date", "Tue, 14 Nov 2023 22:13:20 GMT");

// Rule B14.
#[test]
fn of_two_objects_that_differ_neither_is_the_answer() {
    for body in [
        r#"{"access_token":"at-1","refresh_token":"rt-0"}{"access_token":"at-2","refresh_token":"rt-2"}"#,
        r#"{"refresh_token":"rt-0"} {"refresh_token":"rt-2"}"#,
    ] {
        assert_eq!(refused(200, &[JSON], body).failure(), Failure::Unknown, "{body}");
    }
}

// Rule B14. Case X10.
#[test]
fn a_form_that_was_made_sloppily_loses_no_token_and_makes_none_up() {
    for body in [
        "access_token=at-2&refresh_token=rt-2&scope=read write&expires_in=600",
        "access_token=at-2&refresh_token=rt-2&user={\"id\":1}&expires_in=600",
        "?access_token=at-2&refresh_token=rt-2&expires_in=600",
        "#access_token=at-2&refresh_token=rt-2&expires_in=600",
        "access_token=at-2;refresh_token=rt-2;expires_in=600",
        "access_token=at-2&amp;refresh_token=rt-2&amp;expires_in=600",
    ] {
        assert_good(read(200, &[FORM], body), &[Leniency::Form]);
    }
    for body in [
        "access_token=at-2;refresh_token=rt-2&expires_in=600",
        "access_token=at 2&refresh_token=rt-2",
        "access_token=at-2\nrefresh_token=rt-2",
        "access_token={at-2}",
    ] {
        assert_eq!(refused(200, &[FORM], body).failure(), Failure::Unknown, "{body}");
    }
}

// Rule B6.
#[test]
fn a_wait_is_heard_in_each_form_in_which_it_is_said() {
    let waits = |headers: &[(&str, &str)], body: &str| {
        let wait = match refused(429, headers, body).failure() {
            Failure::Unavailable { retry_after } => retry_after,
            other @ (Failure::Declined
            | Failure::Misconfigured { .. }
            | Failure::Unexplained { .. }
            | Failure::Unknown) => panic!("{other:?}"),
        };
        wait.map(Span::as_millis)
    };
    for (header, millis) in [
        ("120", 120_000),
        ("1.5", 1500),
        ("120s", 120_000),
        ("1700000010", 10_000),
        ("99999999999999999999", u64::MAX / 1000),
    ] {
        let told = waits(&[JSON, DATE, ("retry-after", header)], "").expect(header);
        assert!(told == millis || millis > 1 << 40 && told > 1 << 40, "{header}: {told}");
    }
    assert_eq!(waits(&[JSON, DATE, ("retry-after", "hush")], ""), None);
    assert_eq!(waits(&[JSON, DATE, ("retry-after", "-1")], ""), None);
    for body in [
        r#"{"retry_after":30}"#,
        r#"{"retry_after":"30"}"#,
        r#"{"retryAfter":30}"#,
        r#"{"error":{"retry_after":30}}"#,
        r#"{"error":{"code":1,"retryAfter":"30"}}"#,
        r#"{"retry_after":1700000030}"#,
    ] {
        assert_eq!(waits(&[JSON, DATE], body), Some(30_000), "{body}");
    }
}

// Rule B6.
#[test]
fn a_challenge_for_basic_is_seen_among_others() {
    for headers in [
        &[HTML, ("www-authenticate", "Negotiate, Basic realm=\"hush\"")][..],
        &[HTML, ("www-authenticate", "Negotiate"), ("www-authenticate", "basic")],
    ] {
        assert_eq!(refused(401, headers, "<html>").failure(), MISCONFIGURED, "{headers:?}");
    }
    let other = [HTML, ("www-authenticate", "Bearer realm=\"a, Basic b\"")];
    assert_eq!(refused(401, &other, "<html>").failure(), UNEXPLAINED);
}

// Rule B6. Case X2.
#[test]
fn a_clients_own_request_to_a_wrong_address_has_its_url_looked_at() {
    let client = client().build().expect("a client");
    for (status, setting) in [(404, "URL"), (405, "URL"), (400, "the client secret")] {
        let form = client.client_credentials();
        let error = form.read_response(status, [], b"<html>").expect_err("refused");
        assert_eq!(error.failure(), MISCONFIGURED);
        assert!(error.to_string().contains(setting), "{status}: {error}");
    }
}

// Rule B6. Case X5.
#[test]
fn metas_word_for_what_may_pass_is_heard_as_a_text_too() {
    let body =
        r#"{"error":{"message":"x","type":"OAuthException","is_transient":"true","code":2}}"#;
    assert_eq!(refused(400, &[JSON], body).failure(), UNAVAILABLE);
}

// Rule B6.
#[test]
fn an_answer_that_came_compressed_is_said_to_be() {
    let read = crate::read_by(client(), 200, &[JSON], &[0x1f, 0x8b, 8, 0, 0, 0]);
    let text = read.expect_err("no grant").to_string();
    assert_eq!(
        text,
        "the response is not a token response: 6 compressed bytes of application/json"
    );
}

// Case X17.
#[test]
fn a_type_of_token_counts_in_a_list_and_in_whichever_spelling() {
    for kind in [r#""Bearer Token""#, r#""bearer_token""#, r#""Bearer,Bearer""#, r#"["Bearer"]"#] {
        let body =
            format!(r#"{{"access_token":"at-2","refresh_token":"rt-2","token_type":{kind}}}"#);
        let grant = read(200, &[JSON], &body).expect("a grant");
        assert_eq!(tokens(&grant), (Some("at-2"), Some("rt-2")), "{kind}");
    }
    for (kind, because) in [
        (r#"["DPoP"]"#, Unusable::Dpop),
        (r#"["Bearer","DPoP"]"#, Unusable::TokenType),
        (r#""Bearer,DPoP""#, Unusable::TokenType),
        (r#"",""#, Unusable::TokenType),
    ] {
        let body =
            format!(r#"{{"access_token":"at-2","refresh_token":"rt-2","token_type":{kind}}}"#);
        let grant = read(200, &[JSON], &body).expect("half a grant");
        assert_eq!(tokens(&grant), (None, Some("rt-2")), "{kind}");
        assert_eq!(grant.unusable_because(), Some(because), "{kind}");
    }
}

// Rule A3.
#[test]
fn a_date_that_no_clock_of_today_shows_is_ignored() {
    let stale = ("date", "Thu, 01 Jan 1970 00:00:00 GMT");
    let body = r#"{"access_token":"at-2","expires_at":1700000600}"#;
    let grant = read(200, &[JSON, stale], body).expect("a grant");
    let here = Timestamp::from_secs(1_700_000_000);
    assert_eq!(grant.lifetime().span(here), Some(Span::from_secs(600)));
    let wait = ("retry-after", "Tue, 14 Nov 2023 22:13:20 GMT");
    assert_eq!(refused(429, &[JSON, stale, wait], "").failure(), after(0), "it is long over");
}
