//! No grant is lost to its wrapping, and none is made of what is no grant (rule B14).

use perennial::lifecycle::Failure;
use perennial::provider::{self, Dialect};
use perennial::token::{Leniency, Unusable};

use crate::{FORM, GOOD, HTML, JSON, assert_good, client, read, read_by, refused, tokens};

fn read_bytes(body: &[u8]) -> Result<perennial::token::Grant, perennial::refresh::RefreshError> {
    read_by(client(), 200, &[JSON], body)
}

fn utf_16(text: &str, little: bool) -> Vec<u8> {
    let bytes = |unit: u16| if little { unit.to_le_bytes() } else { unit.to_be_bytes() };
    text.encode_utf16().flat_map(bytes).collect()
}

// Rule B14. Case X9.
#[test]
fn a_byte_order_mark_and_a_wider_charset_cost_no_grant() {
    let marked = format!("\u{FEFF}{GOOD}");
    assert_good(read_bytes(marked.as_bytes()), &[Leniency::ByteOrderMark]);
    let with_a_replacement = format!("\u{FEFF}{{\"scope\":\"\u{FFFD}\",{}", &GOOD[1..]);
    assert_good(read_bytes(with_a_replacement.as_bytes()), &[Leniency::ByteOrderMark]);
    let twice = format!("\u{FEFF}\u{FEFF}{GOOD}\n");
    assert_good(read_bytes(twice.as_bytes()), &[Leniency::ByteOrderMark]);
    for little in [true, false] {
        assert_good(read_bytes(&utf_16(&marked, little)), &[Leniency::Charset]);
        assert_good(read_bytes(&utf_16(GOOD, little)), &[Leniency::Charset]);
        let form = "\u{FEFF}access_token=at-2&refresh_token=rt-2&expires_in=600";
        let read = read_bytes(&utf_16(form, little));
        assert_good(read, &[Leniency::Charset, Leniency::Form]);
    }
}

// Rule B14: bytes of another charset in one member are no harm to the others.
#[test]
fn a_member_of_no_charset_costs_only_itself() {
    let body = [
        br#"{"scope":"f"#.as_slice(),
        &[0xFC],
        br#"r","access_token":"at-2","refresh_token":"rt-2","expires_in":600}"#,
    ]
    .concat();
    assert_good(read_bytes(&body), &[Leniency::Charset, Leniency::Unreadable]);
    let latin = ("content-type", "application/json; charset=ISO-8859-1");
    let read = read_by(client(), 200, &[latin], &body).expect("a grant");
    assert_eq!(read.field("scope").map(perennial::token::Secret::expose), Some("für"));
    let in_the_token =
        [br#"{"access_token":"at-2","refresh_token":"rt"#.as_slice(), &[0xFC, b'"', b'}']];
    let grant = read_bytes(&in_the_token.concat()).expect("a grant");
    assert_eq!(tokens(&grant), (Some("at-2"), None), "no byte of a token is guessed");
    let cut = [br#"{"refresh_token":"rt-2","scope":"f"#.as_slice(), &[0xFC], br#"","acc"#].concat();
    assert_eq!(tokens(&read_bytes(&cut).expect("half a grant")), (None, Some("rt-2")));
}

// Rule B14. Case X10.
#[test]
fn a_form_is_read_whatever_it_is_said_to_be() {
    for kind in [FORM, JSON, HTML, ("content-type", "text/plain")] {
        for body in [
            "access_token=at-2&refresh_token=rt-2&expires_in=600",
            "expires_in=600&access_token=at-2&refresh_token=rt-2&token_type=bearer",
            "scope=&token_type=bearer&refresh_token=rt%2D2&access_token=%61t-2&expires_in=600\r\n",
        ] {
            assert_good(read(200, &[kind], body), &[Leniency::Form]);
        }
    }
    for body in [
        "q=1&access_token=at-2",
        "see access_token=at-2",
        "access_token",
        "<a>access_token=at-2",
        "access_token=at-2\"}",
        "access_token=at-2<br />",
    ] {
        assert_eq!(refused(200, &[FORM], body).failure(), Failure::Unknown, "{body}");
    }
    let unreadable = read(200, &[FORM], "access_token=at-2&refresh_token=rt%FF").expect("a grant");
    assert_eq!(tokens(&unreadable), (Some("at-2"), None));
}

// Rule B14. Case X12.
#[test]
fn a_dialect_says_where_the_tokens_are() {
    for (provider, body) in [
        (
            provider::SLACK,
            r#"{"ok":true,"authed_user":{"access_token":"at-2","refresh_token":"rt-2","expires_in":600}}"#,
        ),
        (
            provider::LARK,
            r#"{"code":0,"msg":"ok","data":{"access_token":"at-2","refresh_token":"rt-2","expires_in":600}}"#,
        ),
        (provider::LARK, GOOD),
        (provider::DINGTALK, r#"{"accessToken":"at-2","refreshToken":"rt-2","expireIn":600}"#),
    ] {
        let read = read_by(client().provider(&provider), 200, &[JSON], body.as_bytes());
        assert_good(read, &[]);
        let marked = format!("\u{FEFF}{body}");
        let read = read_by(client().provider(&provider), 200, &[JSON], marked.as_bytes());
        assert_good(read, &[Leniency::ByteOrderMark]);
        let noticed = format!("<br />Notice: x{body}");
        let read = read_by(client().provider(&provider), 200, &[JSON], noticed.as_bytes());
        assert_good(read, &[Leniency::Framed]);
    }
    let deep = Dialect::new()
        .inside(&["nothing", "result.tokens"])
        .named(&[("access_token", "jwt"), ("refresh_token", "renewal")]);
    let body = br#"{"result":{"tokens":{"jwt":"at-2","renewal":"rt-2"}},"expires_in":600}"#;
    assert_good(read_by(client().dialect(deep), 200, &[JSON], body), &[]);
}

// Rule B14. Case X12.
#[test]
fn tokens_that_are_elsewhere_are_an_error_that_says_what_was_found_where_and_nothing_else() {
    for (body, found) in [
        (r#"{"ok":true,"authed_user":{"access_token":"at-2"}}"#, "`access_token` in `authed_user`"),
        (r#"{"code":0,"data":{"refresh_token":"rt-2"}}"#, "`refresh_token` in `data`"),
        (r#"{"accessToken":"at-2","expireIn":7200}"#, "`accessToken`"),
        (r#"{"hush":{"access_token":"at-2"}}"#, "`access_token` in another member"),
    ] {
        let error = refused(200, &[JSON], body);
        assert_eq!(error.failure(), Failure::Unknown, "{body}");
        let text = error.to_string();
        assert!(text.contains(found) && text.contains("dialect"), "{text}");
    }
    let error = refused(200, &[JSON], r#"{"hush":{"hush":"at-2"}}"#).to_string();
    assert_eq!(error, "the response holds no usable access token");
}

// Rule B14. Case X13.
#[test]
fn what_stands_around_the_one_object_costs_no_grant() {
    for (before, after) in [
        (
            "<br />\n<b>Notice</b>: Undefined index: {x} in <b>/a.php</b> on line <b>7</b><br />\n",
            "",
        ),
        ("", "<!-- served by gw-7 {\"in\": 3} -->"),
        (")]}',\n", ""),
        ("for(;;);", ""),
        ("while(1);", ""),
        ("/*-secure-\n", "*/"),
        ("callback(", ");"),
        ("[", "]"),
        ("\0\0", "\0"),
        ("{\"notice\":\"deprecated\"}\n", ""),
        ("Warning: {{template}} ", "\n\n"),
        ("", GOOD),
    ] {
        let body = format!("{before}{GOOD}{after}");
        assert_good(read(200, &[HTML], &body), &[Leniency::Framed]);
    }
    let quoted = format!("{GOOD:?}");
    assert_good(read(200, &[JSON], &quoted), &[Leniency::Framed]);
}

// Rule B14.
#[test]
fn one_member_that_cannot_be_read_costs_only_itself() {
    for odd in [
        r#""exp":0x10"#,
        r#""n":NaN"#,
        r#""n":None"#,
        r#""n":01.2.3"#,
        r#""n":"\x41""#,
        r#""n":"\ud800""#,
        r#""n":'x'"#,
        r#""n":"a "quoted" word""#,
        r#""n""#,
        "\"n\":\"a\u{1}b\"",
    ] {
        for body in [
            format!(r#"{{{odd},"access_token":"at-2","refresh_token":"rt-2","expires_in":600}}"#),
            format!(r#"{{"access_token":"at-2","refresh_token":"rt-2",{odd},"expires_in":600}}"#),
            format!(r#"{{"access_token":"at-2","refresh_token":"rt-2","expires_in":600,{odd}}}"#),
        ] {
            let grant = read(200, &[JSON], &body).unwrap_or_else(|error| panic!("{body}: {error}"));
            assert_eq!(tokens(&grant), (Some("at-2"), Some("rt-2")), "{body}");
        }
    }
    for comment in ["// x\n", "/* x */", "// x\n // y\n", "/**/ // x\r\n"] {
        let body = GOOD.replace(r#""refresh"#, &format!("{comment}\"refresh"));
        assert_good(read(200, &[JSON], &body), &[]);
    }
    let comma = format!("{},}}", &GOOD[..GOOD.len() - 1]);
    assert_good(read(200, &[JSON], &comma), &[]);
}

// Rule B14.
#[test]
fn of_two_members_with_one_name_the_last_that_says_something_counts() {
    for body in [
        r#"{"access_token":"old","access_token":"at-2","refresh_token":"rt-2","expires_in":600}"#,
        r#"{"access_token":"at-2","access_token":null,"refresh_token":"rt-2","expires_in":600}"#,
        r#"{"access_token":"at-2","refresh_token":"rt-2","refresh_token":"","expires_in":600}"#,
        r#"{"access_token":"at-2","refresh_token":"rt-2","expires_in":600,"expires_in":"soon"}"#,
    ] {
        assert_good(read(200, &[JSON], body), &[]);
    }
}

// Rule B14.
#[test]
fn white_space_around_a_token_is_no_part_of_it() {
    for body in [
        r#"{"access_token":"at-2\n","refresh_token":" rt-2\r\n","expires_in":" 600 "}"#,
        "{\"access_token\":\"\tat-2\",\"refresh_token\":\"rt-2\n\",\"expires_in\":600}",
    ] {
        let grant = read(200, &[JSON], body).expect("a grant");
        assert_eq!(tokens(&grant), (Some("at-2"), Some("rt-2")));
        assert!(grant.leniencies().any(|it| it == Leniency::Padded));
    }
    let inside = read(200, &[JSON], r#"{"access_token":"at\n-2","refresh_token":"rt-2"}"#);
    let grant = inside.expect("half a grant");
    assert_eq!(tokens(&grant), (None, Some("rt-2")));
    assert_eq!(grant.unusable_because(), Some(Unusable::NotSendable));
}

// Rule B14.
#[test]
fn a_grant_is_a_grant_whatever_the_status() {
    for status in [200, 201, 202, 203, 206, 226, 400, 401, 409, 429, 500, 502, 503, 504] {
        let tolerated: &[_] = if status < 300 { &[] } else { &[Leniency::Status] };
        assert_good(read(status, &[JSON], GOOD), tolerated);
    }
}

// Rule B14.
#[test]
fn a_token_that_cannot_be_used_makes_a_refusal_no_grant() {
    for body in [
        r#"{"access_token":"at 2"}"#,
        r#"{"access_token":"at-2","token_type":"DPoP"}"#,
        r#"{"access_token":"at 2","refresh_token":"rt-1"}"#,
    ] {
        assert_eq!(refused(400, &[JSON], body).failure(), crate::UNEXPLAINED, "{body}");
        let grant = read(400, &[JSON], &body.replace('}', r#","refresh_token":"rt-2"}"#));
        assert_eq!(tokens(&grant.expect("half a grant")), (None, Some("rt-2")));
    }
}

// Rule B14.
#[test]
fn a_refusal_is_one_whatever_is_nested_in_it() {
    let nested =
        r#"{"error":"invalid_grant","authed_user":{"access_token":"at-2","refresh_token":"rt-2"}}"#;
    for status in [200, 400, 500] {
        let slack = client().provider(&provider::SLACK);
        let error = read_by(slack, status, &[JSON], nested.as_bytes()).expect_err("a refusal");
        assert_eq!(error.failure(), Failure::Declined, "{status}");
    }
}

// Rule B14.
#[test]
fn a_refresh_token_equal_to_the_one_presented_was_not_received_by_a_refusal() {
    for (status, body) in [
        (400, r#"{"error":"invalid_grant","refresh_token":"rt-1"}"#),
        (200, r#"{"error":"invalid_grant","refresh_token":"rt-1"}"#),
        (401, "error=invalid_grant&refresh_token=rt-1"),
        (400, r#"{"error":"invalid_grant","refresh_token":" rt-1 "}"#),
    ] {
        assert_eq!(refused(status, &[JSON], body).failure(), Failure::Declined, "{body}");
    }
    let echo = refused(500, &[JSON], r#"{"refresh_token":"rt-1","message":"oops"}"#);
    assert_eq!(echo.failure(), Failure::Unknown);
    for (status, body) in [
        (400, r#"{"error":"hush","refresh_token":"rt-2","token_type":"bearer"}"#),
        (500, r#"{"refresh_token":"rt-2","expires_in":600}"#),
        (502, r#"{"refresh_token":"rt-2","expires_in":600,"access_tok"#),
    ] {
        let grant = read(status, &[JSON], body).expect("a half");
        assert_eq!(tokens(&grant), (None, Some("rt-2")), "another one was received: {body}");
    }
    // Who does not say what was presented has presented none of these, for all that is known.
    let unsaid = br#"{"error":"hush","refresh_token":"rt-1","expires_in":600}"#;
    let error = perennial::wire::read_response(400, [], unsaid).expect_err("a refusal");
    assert_eq!(error.failure(), crate::UNEXPLAINED);
    let grant = perennial::wire::read_response(500, [], GOOD.as_bytes()).expect("a grant");
    assert_eq!(tokens(&grant), (Some("at-2"), Some("rt-2")));
}

// Rule B14.
#[test]
fn nothing_is_made_of_a_fragment() {
    for body in [
        // The outer object is not closed: what is closed within is part of it.
        r#"{"a":{"access_token":"at-2","refresh_token":"rt-2"}"#,
        r#"<p>{"a":[{"access_token":"at-2","refresh_token":"rt-2"}]"#,
        r#"<p>{"access_token":"at-2","refresh_token":"rt-2""#,
        r#"{"a":"{\"access_token\":\"at-2\"}"}"#,
        r#"{"a":["#,
        // Two that differ.
        r#"{"access_token":"at-2"} {"access_token":"at-3"}"#,
        "access",
        "\u{FEFF}",
    ] {
        let error = refused(200, &[JSON], body);
        assert_eq!(error.failure(), Failure::Unknown, "{body}");
    }
}

// Rule B14: as before the second reading, what came whole at the top is not thrown away.
#[test]
fn an_answer_that_breaks_off_behind_its_refresh_token_is_kept_for_that() {
    let first = r#"{"refresh_token":"rt-2","access_token":"at"#;
    for body in [first.into(), format!("\u{FEFF}{first}"), r#"{"refresh_token":"rt-2",]}"#.into()] {
        let grant = read(200, &[JSON], &body).expect("a half");
        assert_eq!(tokens(&grant), (None, Some("rt-2")), "{body}");
        assert!(grant.leniencies().any(|it| it == Leniency::CutShort));
        assert_eq!(grant.unusable_because(), Some(Unusable::CutShort));
    }
}

// Rule B14. Case X15.
#[test]
fn escapes_are_read_as_what_they_stand_for() {
    let body =
        r#"{"access_token":"at\u002d2","refresh_token":"rt\u002d2","expires_in":"\u0036\u00300"}"#;
    assert_good(read(200, &[JSON], body), &[]);
    let names = r#"{"access\u005ftoken":"at-2","refresh\u005ftoken":"rt-2","expires\u005fin":600}"#;
    assert_good(read(200, &[JSON], names), &[]);
}
