//! What a dialect's answers hold is read as leniently as what stands at the top (rules B6, B14).

use perennial::lifecycle::{Failure, Reuse};
use perennial::provider::{self, Code, Dialect, Provider};
use perennial::token::{Grant, Leniency};

use crate::{
    GOOD, JSON, UNAVAILABLE, UNEXPLAINED, assert_good, client, read, read_by, refused, tokens,
};

const IN_DATA: Dialect = Dialect::new().inside(&["data"]);

// Rule B14. Case X12.
#[test]
fn an_envelope_is_read_as_leniently_as_the_top() {
    for (data, tolerated) in [
        (
            r#"{"access_token":"at-2","n":NaN,"refresh_token":"rt-2","expires_in":600}"#,
            &[Leniency::Unreadable][..],
        ),
        (
            r#"{"access_token":"at-2","refresh_token":"rt-2","expires_in":600,}"#,
            &[Leniency::Unreadable],
        ),
        (
            "{\"access_token\":\"at-2\",\"refresh_token\":\"rt-2\",\"expires_in\":600,\"name\":\"a\tb\"}",
            &[Leniency::Unreadable],
        ),
        (
            r#"[{"access_token":"at-2","refresh_token":"rt-2","expires_in":600}]"#,
            &[Leniency::Framed],
        ),
        (
            r#""{\"access_token\":\"at-2\",\"refresh_token\":\"rt-2\",\"expires_in\":600}""#,
            &[Leniency::Framed],
        ),
    ] {
        let body = format!(r#"{{"code":0,"data":{data}}}"#);
        let read = read_by(client().provider(&provider::LARK), 200, &[JSON], body.as_bytes());
        assert!(read.is_ok(), "{body}: {read:?}");
        assert_good(read, tolerated);
    }
    let body = [
        br#"{"ok":true,"authed_user":{"name":"f"#.as_slice(),
        &[0xFC],
        br#"r","access_token":"at-2","refresh_token":"rt-2","expires_in":600}}"#,
    ]
    .concat();
    let read = read_by(client().provider(&provider::SLACK), 200, &[JSON], &body);
    assert_good(read, &[Leniency::Charset, Leniency::Unreadable]);
    let lambda = format!(r#"{{"statusCode":200,"body":{GOOD:?}}}"#);
    let dialect = Dialect::new().inside(&["body"]);
    assert_good(
        read_by(client().dialect(dialect), 200, &[JSON], lambda.as_bytes()),
        &[Leniency::Framed],
    );
}

// Rule B14: two in one list are none.
#[test]
fn nothing_is_made_of_a_fragment_or_of_one_of_several_in_an_envelope() {
    for data in [
        r#"[{"access_token":"at-2"},{"access_token":"at-3"}]"#,
        r#""{\"access_token\":\"at-2\"""#,
        r#""access_token=at-2""#,
        r#"[[{"access_token":"at-2"}]]"#,
        "\"at-2\"",
        "[]",
    ] {
        let body = format!(r#"{{"code":0,"data":{data}}}"#);
        let read = read_by(client().dialect(IN_DATA), 200, &[JSON], body.as_bytes());
        assert_eq!(read.expect_err(data).failure(), Failure::Unknown, "{data}");
    }
}

// Rule B14. Case X12.
#[test]
fn a_standard_name_that_says_nothing_hides_no_other() {
    for nothing in ["null", r#""""#, r#"" ""#, r#""undefined""#] {
        let body = format!(
            r#"{{"access_token":{nothing},"accessToken":"at-2","refresh_token":{nothing},
                "refreshToken":"rt-2","expires_in":{nothing},"expireIn":600}}"#
        );
        let read = read_by(client().provider(&provider::DINGTALK), 200, &[JSON], body.as_bytes());
        assert_good(read, &[]);
        // Nor does one in the envelope hide what the top says.
        let body = format!(
            r#"{{"expires_in":600,"data":{{"access_token":"at-2","refresh_token":"rt-2",
                "expires_in":{nothing}}}}}"#
        );
        assert_good(read_by(client().dialect(IN_DATA), 200, &[JSON], body.as_bytes()), &[]);
    }
    let both =
        r#"{"access_token":"at-2","accessToken":"at-9","refresh_token":"rt-2","expires_in":600}"#;
    assert_good(
        read_by(client().provider(&provider::DINGTALK), 200, &[JSON], both.as_bytes()),
        &[],
    );
}

// Rule B6. Case X12.
#[test]
fn a_refusal_is_looked_for_where_the_grants_are() {
    const TIKTOK: Provider = Provider::new("TikTok", Reuse::Strict)
        .with_codes(&[Code::declined("10010", "its page"), Code::passing("10002", "its page")])
        .with_dialect(IN_DATA);
    for (status, body, failure) in [
        (
            200,
            r#"{"data":{"error_code":10010,"description":"refresh_token is invalid"},"message":"error"}"#,
            Failure::Declined,
        ),
        (200, r#"{"data":{"error_code":10002},"message":"error"}"#, UNAVAILABLE),
        (400, r#"{"data":{"error":"invalid_grant"}}"#, Failure::Declined),
        (200, r#"{"data":{"error":"invalid_grant"},"code":1}"#, Failure::Declined),
        (200, r#"{"data":{"error":"invalid_grant","refresh_token":"rt-2"}}"#, Failure::Declined),
        (200, r#"{"data":"{\"error\":\"invalid_grant\"}"}"#, Failure::Declined),
        (400, r#"{"data":{"error":"hush"}}"#, UNEXPLAINED),
        (200, r#"{"data":{}}"#, Failure::Unknown),
    ] {
        let read = read_by(client().provider(&TIKTOK), status, &[JSON], body.as_bytes());
        assert_eq!(read.expect_err(body).failure(), failure, "{body}");
    }
    // Without the dialect nobody knows what lies there.
    let error = refused(400, &[JSON], r#"{"data":{"error":"invalid_grant"}}"#);
    assert_eq!(error.failure(), UNEXPLAINED);
}

// Rules B6, B14. Case X12.
#[test]
fn an_error_by_which_a_success_says_that_there_is_none_refuses_nothing() {
    for error in [
        r#"{"code":"ok","message":"","log_id":"x"}"#,
        r#"{"code":0,"message":""}"#,
        r#"{"code":"0"}"#,
        r#""0""#,
        r#""none""#,
        r#""OK""#,
        r#""success""#,
        r#""null""#,
        "0",
        "false",
        "[]",
        "[null]",
        "{}",
    ] {
        let body = format!(
            r#"{{"data":{{"access_token":"at-2","refresh_token":"rt-2","expires_in":600}},"error":{error}}}"#
        );
        let read = read_by(client().dialect(IN_DATA), 200, &[JSON], body.as_bytes());
        assert!(read.is_ok(), "{body}: {read:?}");
        assert_good(read, &[]);
    }
    for error in [r#"{"code":1}"#, r#"{"message":"no"}"#, r#""1""#, r#""okay""#] {
        let body = format!(r#"{{"data":{{"access_token":"at-2"}},"error":{error}}}"#);
        let read = read_by(client().dialect(IN_DATA), 200, &[JSON], body.as_bytes());
        assert_eq!(read.expect_err(error).failure(), UNEXPLAINED, "{error}");
    }
}

// Rule B14. Case X12: a success that brings an access token loses no refresh token in silence.
#[test]
fn a_refresh_token_by_another_name_beside_the_access_token_is_taken_and_said() {
    for name in ["refreshToken", "RefreshToken"] {
        let body = format!(r#"{{"access_token":"at-2","{name}":"rt-2","expires_in":600}}"#);
        assert_good(read(200, &[JSON], &body), &[Leniency::Renamed]);
    }
    // The standard's own name counts, and of two others that differ neither.
    let own =
        r#"{"access_token":"at-2","refresh_token":"rt-2","refreshToken":"rt-9","expires_in":600}"#;
    assert_good(read(200, &[JSON], own), &[]);
    let two = r#"{"access_token":"at-2","refreshToken":"rt-8","RefreshToken":"rt-9"}"#;
    let grant = read(200, &[JSON], two).expect("a grant");
    assert_eq!(tokens(&grant), (Some("at-2"), None));
    assert!(grant.leniencies().any(|it| it == Leniency::Elsewhere));
    // A refusal brings none by any name.
    let refusal = r#"{"error":"hush","refreshToken":"rt-2","expires_in":600}"#;
    assert_eq!(refused(400, &[JSON], refusal).failure(), UNEXPLAINED);
}

// Rule B14. Case X12.
#[test]
fn a_refresh_token_in_another_place_is_not_taken_and_its_place_is_named() {
    for (body, place) in [
        (r#"{"access_token":"at-2","data":{"refresh_token":"rt-2"}}"#, "`refresh_token` in `data`"),
        (
            r#"{"access_token":"at-2","hush":{"refresh_token":"rt-2"}}"#,
            "`refresh_token` in another member",
        ),
    ] {
        let grant = read(200, &[JSON], body).expect("a grant");
        assert_eq!(tokens(&grant), (Some("at-2"), None), "{body}");
        assert_eq!(grant.leniencies().collect::<Vec<_>>(), [Leniency::Elsewhere], "{body}");
        let said = grant.found_elsewhere().expect("a word of it");
        assert!(said.contains(place) && said.contains("ClientBuilder::dialect"), "{said}");
        assert!(!said.contains("hush") && !said.contains("rt-2"), "{said}");
    }
    for body in [GOOD, r#"{"access_token":"at-2","data":{"x":1},"id_token":"e.y.J"}"#] {
        let grant = read(200, &[JSON], body).expect("a grant");
        assert_eq!((grant.leniencies().count(), grant.found_elsewhere()), (0, None), "{body}");
    }
}

// Rule B14.
#[test]
fn a_refresh_token_that_is_a_number_or_alone_in_a_list_is_kept() {
    let read_of = |value: &str| {
        let body = format!(r#"{{"access_token":"at-2","refresh_token":{value},"expires_in":600}}"#);
        read(200, &[JSON], &body).expect("a grant")
    };
    let refresh_token = |grant: &Grant| tokens(grant).1.map(str::to_owned);
    for (value, held) in [
        ("987654321", "987654321"),
        (r#"["rt-2"]"#, "rt-2"),
        ("12345678901234567890123", "12345678901234567890123"),
    ] {
        let grant = read_of(value);
        assert_eq!(refresh_token(&grant).as_deref(), Some(held), "{value}");
        assert_eq!(grant.leniencies().collect::<Vec<_>>(), [Leniency::Shaped], "{value}");
    }
    for value in [
        "0",
        "17",
        "1234567",
        "-987654321",
        "1.5",
        "1e9",
        "true",
        "{}",
        "[]",
        r#"["rt-2","rt-3"]"#,
        r#"[["rt-2"]]"#,
        "[null]",
    ] {
        assert_eq!(refresh_token(&read_of(value)), None, "{value}");
    }
    // A number is no access token, which is sent as it is.
    let error = refused(200, &[JSON], r#"{"access_token":987654321}"#);
    assert_eq!(error.failure(), Failure::Unknown);
    assert_eq!(error.to_string(), "the response holds no usable access token");
}
