//! What only looks like a token is taken for none, and never for the one that is held (rule B14).

use perennial::lifecycle::Failure;
use perennial::token::{Leniency, Secret};

use crate::{
    FORM, GOOD, HTML, JSON, MISCONFIGURED, UNAVAILABLE, UNEXPLAINED, after, assert_good, client,
    read, read_by, refused, tokens,
};

// Rules B6, B14.
#[test]
fn a_refusal_that_only_mentions_a_refresh_token_brings_none() {
    for (status, body, failure) in [
        (422, r#"{"refresh_token":"must not be blank"}"#, UNEXPLAINED),
        (422, r#"{"refresh_token":"required"}"#, UNEXPLAINED),
        (400, r#"{"refresh_token":"must_not_be_blank","token_type":"required"}"#, UNEXPLAINED),
        (400, r#"{"access_token":"required","refresh_token":"required"}"#, UNEXPLAINED),
        (400, r#"{"refresh_token":["This field may not be blank."],"expires_in":1}"#, UNEXPLAINED),
        (401, r#"{"error":"invalid_client","refresh_token":"expired"}"#, MISCONFIGURED),
        (
            400,
            r#"{"error":"invalid_grant","refresh_token":"rt-2","expires_in":0}"#,
            Failure::Declined,
        ),
        (400, r#"{"error":"invalid_grant","refresh_token":"rt-2"}"#, Failure::Declined),
        (200, r#"{"error":"invalid_grant","refresh_token":"rt-2"}"#, Failure::Declined),
        (400, r#"{"error":"slow_down","refresh_token":"rt-2","expires_in":5}"#, UNAVAILABLE),
        (
            500,
            r#"{"message":"oops","refresh_token":"[REDACTED]","expires_in":600}"#,
            Failure::Unknown,
        ),
        (500, r#"{"message":"oops","refresh_token":"rt-...","expires_in":600}"#, Failure::Unknown),
        (500, r#"{"refresh_token":"<1234>","expires_in":600}"#, Failure::Unknown),
        (503, r#"{"error":"maintenance","refresh_token":"rt-…","expires_in":600}"#, UNAVAILABLE),
        (500, r#"{"refresh_token":"rt-2"}"#, Failure::Unknown),
        (502, r#"{"refresh_token":"rt-2","access_tok"#, Failure::Unknown),
        (400, "refresh_token=rt-2", UNEXPLAINED),
    ] {
        assert_eq!(refused(status, &[JSON], body).failure(), failure, "{status} {body}");
    }
    for status in [429, 503] {
        for token in ["****", "rt-2"] {
            let body = format!(r#"{{"refresh_token":"{token}","expires_in":600}}"#);
            let error = refused(status, &[JSON, ("retry-after", "9")], &body);
            assert_eq!(error.failure(), after(9), "its Retry-After is heard: {status} {body}");
        }
    }
}

// Rule B14.
#[test]
fn a_refresh_token_in_half_of_a_token_response_is_kept_whatever_the_status() {
    for (status, body) in [
        (500, r#"{"refresh_token":"rt-2","expires_in":600}"#),
        (500, r#"{"refresh_token":"rt-2","token_type":"Bearer"}"#),
        (400, r#"{"refresh_token":"rt-2","access_token":"at 2"}"#),
        (502, r#"{"refresh_token":"rt-2","token_type":"bearer","access_tok"#),
        (400, r#"{"error":"hush","refresh_token":"rt-2","expires_in":600}"#),
        (200, r#"{"error":"hush","refresh_token":"rt-2","expires_in":600}"#),
        (502, r#"{"refresh_token":"AbcdefghijKlmnopqrstUv","expires_in":600}"#),
    ] {
        let grant = read(status, &[JSON], body).unwrap_or_else(|error| panic!("{body}: {error}"));
        assert!(grant.access_token().is_none() && grant.refresh_token().is_some(), "{body}");
    }
}

// Rule B14.
#[test]
fn an_echo_of_the_presented_token_is_that_one_in_whatever_encoding() {
    for echo in [
        "rt-1",
        " rt-1",
        "rt%2D1",
        "rt%2d1",
        "%72t-1",
        "rt&#45;1",
        "rt&#x2d;1",
        r"rt\\u002d1",
        "rt%252D1",
    ] {
        for status in [400, 500] {
            let body = format!(r#"{{"refresh_token":"{echo}","expires_in":600}}"#);
            let failure = refused(status, &[JSON], &body).failure();
            let expected = if status == 400 { UNEXPLAINED } else { Failure::Unknown };
            assert_eq!(failure, expected, "{echo}");
        }
    }
}

// Rules B6, B14.
#[test]
fn an_access_token_beside_a_final_code_or_alone_by_an_error_status_is_no_grant() {
    for (status, body, failure) in [
        (401, r#"{"access_token":"expired"}"#, UNEXPLAINED),
        (401, r#"{"access_token":"expired","token_type":"Bearer"}"#, UNEXPLAINED),
        (400, r#"{"access_token":"at-2"}"#, UNEXPLAINED),
        (400, r#"{"error":"invalid_grant","access_token":"invalid"}"#, Failure::Declined),
        (200, r#"{"error":"invalid_grant","access_token":"invalid"}"#, Failure::Declined),
        (
            400,
            r#"{"error":"invalid_grant","access_token":"at-2","refresh_token":"rt-2","expires_in":1}"#,
            Failure::Declined,
        ),
        (
            401,
            r#"{"error":"invalid_client","access_token":"at-2","token_type":"bearer"}"#,
            MISCONFIGURED,
        ),
    ] {
        assert_eq!(refused(status, &[JSON], body).failure(), failure, "{status} {body}");
    }
    let grant = read(400, &[JSON], r#"{"access_token":"at-2","token_type":"Bearer"}"#);
    assert_eq!(tokens(&grant.expect("a grant")), (Some("at-2"), None));
    // One's own access token is good, and what stands beside it is none.
    let masked = r#"{"access_token":"at-2","token_type":"Bearer","refresh_token":"****"}"#;
    for status in [200, 500] {
        assert_eq!(tokens(&read(status, &[JSON], masked).expect("a grant")), (Some("at-2"), None));
    }
    let echoed = r#"{"access_token":"at-2","expires_in":600,"refresh_token":"rt%2D1"}"#;
    assert_eq!(tokens(&read(500, &[JSON], echoed).expect("a grant")), (Some("at-2"), None));
}

// Rules B6, B14.
#[test]
fn a_web_page_is_no_grant_whatever_its_scripts_and_examples_hold() {
    let example = r#"{"access_token":"MTQ0","token_type":"Bearer","expires_in":3600,"refresh_token":"IwOG1"}"#;
    let half = r#"{"refresh_token":"IwOG1","expires_in":3600}"#;
    let refusal = r#"{"error":"invalid_grant"}"#;
    for object in [example, half, r#"{"access_token":"pk.eyJ"}"#, refusal] {
        for (before, behind) in [
            ("<html><pre>", "</pre></html>"),
            ("<html>", "</html>"),
            ("\u{FEFF}\r\n<!-- gw-7 --> <!DOCTYPE html><p>", ""),
            ("<?xml version=\"1.0\"?><html><body>", "</body></html>"),
            ("<!doctype html><script>window.cfg=", ";</script>"),
            ("<script>window.cfg=", "</script>"),
            ("<p>For example:</p><PRE class=\"json\">", "</PRE>"),
            ("<code>", "</code>"),
            ("<textarea name=x>", "</textarea>"),
            ("<div data-cfg='", "'>"),
            ("<div data-cfg=", ">"),
        ] {
            let page = format!("{before}{object}{behind}");
            for (status, failure) in
                [(200, Failure::Unknown), (404, UNEXPLAINED), (502, Failure::Unknown)]
            {
                let error = refused(status, &[HTML], &page);
                assert_eq!(error.failure(), failure, "{status} {page}");
            }
        }
    }
}

// Rules B6, B14. Case X13.
#[test]
fn of_what_stands_in_a_frame_only_a_success_lets_more_than_a_refusal_be_heard() {
    let framed = format!("<br /><b>Notice</b>: x\n{GOOD}");
    assert_good(read(200, &[HTML], &framed), &[Leniency::Framed]);
    assert_eq!(refused(404, &[HTML], &framed).failure(), UNEXPLAINED);
    assert_eq!(refused(500, &[HTML], &framed).failure(), Failure::Unknown);
    let half = r#"<br />x {"error":"hush","refresh_token":"rt-2","expires_in":600}"#;
    for status in [200, 400] {
        assert_eq!(refused(status, &[HTML], half).failure(), UNEXPLAINED, "{status}");
    }
    let noticed = r#"<br />Notice: x {"error":"invalid_grant"}"#;
    assert_eq!(refused(400, &[HTML], noticed).failure(), Failure::Declined);
    // A script that is over veils nothing, nor does a word that only begins like one.
    for before in ["<script>f()</script>", "<precious>", "a < b ", "<br>"] {
        assert_good(read(200, &[HTML], &format!("{before}{GOOD}")), &[Leniency::Framed]);
    }
    // Of two, the one that is shown as an example does not count.
    let both = format!("<pre>{{\"access_token\":\"at-9\"}}</pre>{GOOD}");
    assert_good(read(200, &[HTML], &both), &[Leniency::Framed]);
}

// Rule B14.
#[test]
fn a_word_for_nothing_is_no_token() {
    for nothing in [
        "undefined",
        "null",
        "None",
        "none",
        "nil",
        "NaN",
        "(null)",
        "false",
        "[object Object]",
        "****",
        "-",
        "…",
    ] {
        let as_refresh =
            format!(r#"{{"access_token":"at-9","refresh_token":"{nothing}","expires_in":600}}"#);
        let grant = read(200, &[JSON], &as_refresh).expect("a grant");
        assert_eq!(tokens(&grant), (Some("at-9"), None), "{nothing}");
        assert_eq!(grant.leniencies().count(), 0, "nor is it one elsewhere: {nothing}");
        let as_access = format!(r#"{{"access_token":"{nothing}","refresh_token":"rt-2"}}"#);
        let grant = read(200, &[JSON], &as_access).expect("half a grant");
        assert_eq!(tokens(&grant), (None, Some("rt-2")), "{nothing}");
        let neither = format!(r#"{{"access_token":"{nothing}","refresh_token":"{nothing}"}}"#);
        let error = refused(200, &[JSON], &neither);
        assert_eq!(error.failure(), Failure::Unknown, "{nothing}");
        assert_eq!(error.to_string(), "the response holds no usable access token", "{nothing}");
    }
    let form = "access_token=at-9&refresh_token=undefined&expires_in=600";
    assert_eq!(tokens(&read(200, &[FORM], form).expect("a grant")), (Some("at-9"), None));
    let twice =
        r#"{"access_token":"at-2","refresh_token":"rt-2","refresh_token":"null","expires_in":600}"#;
    assert_good(read(200, &[JSON], twice), &[]);
}

// Rule B14.
#[test]
fn the_word_bearer_before_an_access_token_is_no_part_of_it() {
    for prefix in ["Bearer ", "bearer ", "BEARER "] {
        let body = GOOD.replace("at-2", &format!("{prefix}at-2"));
        assert_good(read(200, &[JSON], &body), &[Leniency::Prefixed]);
    }
    for odd in
        ["Bearer", "Bearer  at-2", "Bearer at 2", "Basic at-2", "Bearer undefined", "Bearer null"]
    {
        let grant = read(200, &[JSON], &GOOD.replace("at-2", odd)).expect("a grant");
        assert_ne!(grant.access_token().map(Secret::expose), Some("at-2"), "{odd}");
        assert_ne!(grant.access_token().map(Secret::expose), Some("undefined"), "{odd}");
        assert_ne!(grant.access_token().map(Secret::expose), Some("null"), "{odd}");
    }
}

// Rule B14: nobody need be asked twice about a body of a million brackets.
#[test]
#[expect(clippy::disallowed_methods, reason = "real time is what it is about")]
fn hostile_bodies_are_read_in_bounded_time() {
    let begun = std::time::Instant::now();
    for body in [
        "<pre>{}</pre>".repeat(80_000),
        "<script {\"error\":1}".repeat(50_000),
        "{\"error\":1}".repeat(90_000),
        "{\"error\":1}".repeat(1000),
        "{}".repeat(500_000),
        format!("{{\"error\":{}1{}}}", "{\"error\":".repeat(50_000), "}".repeat(50_000)),
        format!("{{\"error\":{}1{}}}", "[".repeat(400_000), "]".repeat(400_000)),
        format!("{{\"errors\":[{}1]}}", "{\"code\":1},".repeat(90_000)),
        format!("{{\"a\":{}\"{}", "\"\\\"".repeat(100), "x".repeat(900_000)),
        format!("{{\"refresh_token\":\"{}\",\"expires_in\":1}}", "%25".repeat(300_000)),
        format!("{{\"refresh_token\":\"{}\",\"expires_in\":1}}", "&#3".repeat(300_000)),
        format!("access_token=a;{}", "b=c;".repeat(200_000)),
        format!("{{\"expires_in\":\"{}\"}}", "1h".repeat(400_000)),
        "<!--".repeat(200_000),
        "<!-- -->".repeat(100_000),
    ] {
        for status in [200, 400] {
            let _ = read_by(client(), status, &[HTML], body.as_bytes());
        }
    }
    // Thirty readings, in a build without optimisation.
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
}
