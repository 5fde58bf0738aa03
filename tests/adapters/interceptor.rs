//! Reading challenges and origins, and the interceptor that an adapter asks.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use perennial::interceptor::{
    Interceptor, InterceptorBuilder, InterceptorError, Origin, OriginError, Refused, RequestTarget,
    ResponseHead, Target, classify_grpc, read_challenges,
};
use perennial::refresh::{RefreshError, Request};
use perennial::session::Session;
use perennial::testing::VirtualTime;
use perennial::time::Timestamp;
use perennial::token::Grant;
use perennial::verdict::{
    Attempt, Body, Challenge, Classification, Feedback, ResponseOrigin, Verdict,
};

fn session() -> Session {
    Session::builder(|_: Request| async {
        Ok::<_, RefreshError>(Grant::new("at-2", "rt-2", Duration::from_secs(3600)))
    })
    .grant(Grant::new("at-1", "rt-1", Duration::from_secs(3600)))
    .build()
    .expect("a session")
}

fn builder() -> InterceptorBuilder {
    Interceptor::builder(session())
}

fn headers(values: &[&str]) -> HeaderMap {
    let values = values.iter().map(|value| HeaderValue::from_bytes(value.as_bytes()));
    values.map(|value| (WWW_AUTHENTICATE, value.expect("a header"))).collect()
}

// Rule E4. Cases X22, X23.
#[test]
fn a_401_is_read_as_its_challenges_mean_it() {
    use Challenge::{
        Absent, Bearer, DpopNonce, InsufficientScope, InsufficientUserAuthentication, OtherScheme,
        Unreadable,
    };
    let cases: &[(&[&str], Challenge)] = &[
        (&[], Absent),
        (&[""], Unreadable),
        (&["Bearer"], Bearer),
        (&["bearer"], Bearer),
        (&[r#"Bearer realm="a, b", error="invalid_token""#], Bearer),
        (&["Bearer error=invalid_token"], Bearer),
        (&[r#"Bearer error="insufficient_scope", scope="write""#], InsufficientScope),
        (&[r#"BEARER ERROR="insufficient\_scope""#], InsufficientScope),
        (
            &["Bearer error=\"insufficient_user_authentication\", max_age=5"],
            InsufficientUserAuthentication,
        ),
        (&[r#"OAuth realm="x""#], OtherScheme),
        (&[r#"Basic realm="x""#], OtherScheme),
        (&["Negotiate"], OtherScheme),
        (&["Token"], OtherScheme),
        // Among several any Bearer counts, in one field or in two, whatever the order.
        (&[r#"Basic realm="Bearer", Bearer realm="x""#], Bearer),
        (&[r#"Basic realm="x""#, "Bearer"], Bearer),
        (&["Bearer", r#"Basic realm="x""#], Bearer),
        // And of several the one that says that another token would not help.
        (&[r#"Bearer error="insufficient_scope", Bearer realm="other""#], InsufficientScope),
        (&["Bearer", r#"Bearer error="insufficient_scope""#], InsufficientScope),
        // The word in a parameter is no scheme.
        (&[r#"Basic realm="Bearer""#], OtherScheme),
        // Of another scheme it says nothing of a bearer token.
        (&[r#"OAuth error="insufficient_scope""#], OtherScheme),
        // Duende: a DPoP-nonce 401 is not a token 401.
        (&[r#"DPoP error="use_dpop_nonce""#], DpopNonce),
        (&[r#"DPoP algs="ES256", error="use_dpop_nonce", Basic realm="x""#], DpopNonce),
        (&[r#"DPoP error="use_dpop_nonce", Bearer"#], DpopNonce),
        (&[r#"DPoP error="invalid_token""#], OtherScheme),
    ];
    for (values, expected) in cases {
        assert_eq!(read_challenges(&headers(values)), *expected, "{values:?}");
    }
}

// Rule E4.
#[test]
fn a_damaged_challenge_is_read_as_browsers_read_it() {
    use Challenge::{
        Bearer, DpopNonce, InsufficientScope, InsufficientUserAuthentication, OtherScheme,
        Unreadable,
    };
    let cases: &[(&str, Challenge)] = &[
        // No comma between parameters, a semicolon, a comma too many.
        (r#"Bearer realm="x" error="insufficient_scope""#, InsufficientScope),
        (r#"Bearer realm="x"; error="insufficient_scope""#, InsufficientScope),
        (r#"Bearer, realm="x",, error="insufficient_scope","#, InsufficientScope),
        // Quotes that are never closed, of the other kind, or none.
        (r#"Bearer error="insufficient_scope"#, InsufficientScope),
        ("Bearer error='insufficient_scope', realm='x'", InsufficientScope),
        ("Bearer realm=a b, error=insufficient_scope", InsufficientScope),
        // Spaces, and a value that is a sentence.
        (r#"Bearer error = "insufficient_user_authentication" "#, InsufficientUserAuthentication),
        (
            "Bearer error_description=Sorry, no luck today, error=insufficient_scope",
            InsufficientScope,
        ),
        ("Bearer realm=https://x/y?z=1, error=\"use_dpop_nonce\"", DpopNonce),
        // Letters beyond ASCII.
        ("Bearer realm=\"\u{e9}\", error=\"insufficient_scope\"", InsufficientScope),
        ("Bearer realm=\u{e9}", Bearer),
        // A token68, and a second challenge after it.
        ("Negotiate YII=", OtherScheme),
        ("Negotiate YII=, Bearer error=insufficient_scope", InsufficientScope),
        ("Bearer error", Bearer),
        // Nothing that could be a scheme.
        ("\"unterminated", Unreadable),
        ("=", Unreadable),
        (",,;", Unreadable),
        ("\u{e9}", Unreadable),
        (r#"error="insufficient_scope""#, Unreadable),
    ];
    for (value, expected) in cases {
        assert_eq!(read_challenges(&headers(&[value])), *expected, "{value:?}");
    }
    assert_eq!(read_challenges(&headers(&["\u{e9}", "Bearer"])), Bearer);
}

#[test]
fn an_origin_is_scheme_host_and_port_and_what_follows_is_of_no_account() {
    let same = ["https://a.b", "https://a.b:443/", "HTTPS://A.B/x?y=z", "https://A.b:443/?q"];
    let origin = Origin::parse(same[0]).expect("an origin");
    assert_eq!(origin.to_string(), "https://a.b:443");
    for url in same {
        assert_eq!(Origin::parse(url), Ok(origin.clone()), "{url}");
        let uri: Uri = url.parse().expect("a URI");
        assert!(origin.is(Target::from_uri(&uri).expect("a target")), "{url}");
    }
    for url in ["http://a.b", "https://a.b:444", "https://b", "https://a.b.c", "https://x@c.d"] {
        let uri: Uri = url.parse().expect("a URI");
        assert!(!origin.is(Target::from_uri(&uri).expect("a target")), "{url}");
    }
}

// Rule E5. Case X25: a client may write an address otherwise than the program does.
#[test]
fn an_address_of_ipv6_is_the_same_however_it_is_written() {
    let origin = Origin::parse("https://[0:0:0:0:0:0:0:1]").expect("an origin");
    for (url, same) in
        [("https://[::1]/", true), ("https://[::0:1]:443/", true), ("https://[::2]/", false)]
    {
        let uri: Uri = url.parse().expect("a URI");
        assert_eq!(origin.is(Target::from_uri(&uri).expect("a target")), same, "{url}");
    }
}

#[test]
fn what_is_no_origin_is_refused_by_name_and_tells_the_fix() {
    for (url, expected) in [
        ("", OriginError::Malformed),
        ("/things", OriginError::Malformed),
        ("https://", OriginError::Malformed),
        ("ftp://host/", OriginError::Scheme),
        ("host", OriginError::Scheme),
        // Nothing could match these: no token would go out, and no word be said.
        ("https://*.example.com", OriginError::Wildcard),
        ("https://api.example.com:99999", OriginError::Malformed),
        ("https://127.1", OriginError::Malformed),
        ("https://2130706433", OriginError::Malformed),
    ] {
        let found = builder().origin(url).build().err();
        assert_eq!(found, Some(InterceptorError::Origin(expected)), "{url}");
    }
    let nowhere = builder().build().expect_err("sends the token nowhere");
    assert_eq!(
        nowhere.to_string(),
        "no origin is named: call `origin` with the API's URL, or `any_origin`"
    );
    let plain = builder().origin("http://api.example.com/v1").build().expect_err("in the clear");
    assert_eq!(
        plain.to_string(),
        "the origin http://api.example.com:80 is plain http beyond this machine: use https, or \
         `allow_plain_http`"
    );
}

#[test]
fn an_interceptor_for_another_session_has_the_same_origins_and_that_sessions_token() {
    let first = builder().origin("https://api.example.com").build().expect("built");
    let refresher = |_: Request| async { Err::<Grant, _>(RefreshError::declined("none")) };
    let grant = Grant::new("at-9", "rt-9", Duration::from_secs(3600));
    let other = Session::builder(refresher).grant(grant).build().expect("a session");
    let second = first.for_session(other);
    assert_eq!(attaches(&second, "https://api.example.com/"), Ok(true));
    assert_eq!(attaches(&second, "https://example.com/"), Ok(false));
    assert_eq!(second.token().wait().expect("it is fresh").expose(), "at-9");
    assert_eq!(first.token().wait().expect("it is fresh").expose(), "at-1");
}

fn attaches(interceptor: &Interceptor, url: &str) -> Result<bool, String> {
    let uri: Uri = url.parse().expect("a URI");
    let attached = interceptor.attaches(RequestTarget::from_uri(&uri), &HeaderMap::new());
    attached.map_err(|refused| refused.to_string())
}

// Rule E5.
#[test]
fn a_token_goes_to_the_origins_that_it_was_given_for_and_to_no_other() {
    let interceptor =
        builder().origin("https://a.b/v1").origin("http://localhost:80").build().expect("built");
    for (url, expected) in [
        ("https://a.b/v2", true),
        ("https://a.b:443", true),
        ("http://localhost/x", true),
        ("http://a.b/", false),
        ("https://a.b:8443/", false),
        ("https://evil/a.b", false),
        ("https://a.b.evil/", false),
        ("https://a.b@evil/", false),
        ("ftp://a.b/", false),
        ("a.b:443", false),
    ] {
        assert_eq!(attaches(&interceptor, url), Ok(expected), "{url}");
    }
}

// Rule E5. Case X25.
#[test]
fn a_request_that_names_no_host_goes_to_the_only_origin_and_is_refused_where_there_are_several() {
    let one = || builder().origin("https://a.b");
    assert_eq!(attaches(&one().build().expect("built"), "/grpc.health.v1.Health/Check"), Ok(true));
    assert_eq!(attaches(&builder().any_origin().build().expect("built"), "/x"), Ok(true));
    let several = one().origin("https://c.d").build().expect("built");
    let refused = attaches(&several, "/x?secret=hush").expect_err("which of them is not known");
    assert!(refused.contains("name the host in its URI") && !refused.contains("hush"), "{refused}");
    // A caller's own credentials are the caller's business.
    let own = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static("Basic x"))]);
    assert!(matches!(several.attaches(RequestTarget::OriginForm, &own), Ok(false)));
}

// Rule E5.
#[test]
fn plain_http_beyond_this_machine_is_refused_unless_it_is_allowed() {
    let anywhere = builder().any_origin().build().expect("built");
    for url in ["https://a.b/", "http://127.0.0.1:1/", "http://[::1]:1/", "http://LocalHost/"] {
        assert_eq!(attaches(&anywhere, url), Ok(true), "{url}");
    }
    for url in ["http://a.b/x?secret=hush", "http://localhost.evil/", "http://128.0.0.1/"] {
        let refused = attaches(&anywhere, url).expect_err(url);
        assert!(refused.contains("plain http beyond this machine") && !refused.contains("hush"));
    }
    let allowed = builder().any_origin().allow_plain_http().build().expect("built");
    assert_eq!(attaches(&allowed, "http://a.b/"), Ok(true));
    let allowed = builder().origin("http://a.b").allow_plain_http().build().expect("built");
    assert_eq!(attaches(&allowed, "http://a.b/"), Ok(true));
    // A caller's own credentials are the caller's business.
    let own = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static("Basic x"))]);
    let uri = Uri::from_static("http://a.b/");
    assert!(matches!(anywhere.attaches(RequestTarget::from_uri(&uri), &own), Ok(false)));
}

fn answered(status: u16, challenges: &[&str]) -> (StatusCode, HeaderMap) {
    (StatusCode::from_u16(status).expect("a status"), headers(challenges))
}

// Rules E2, E4, E5, B8.
#[test]
fn the_session_is_told_what_the_answer_says_of_the_token_that_was_sent() {
    let judged = |status, challenges: &[&str], origin, body| {
        let interceptor = builder().any_origin().build().expect("built");
        let token = interceptor.session().token_blocking().expect("a token");
        let (status, headers) = answered(status, challenges);
        let answer = ResponseHead { status, headers: &headers };
        let verdict = interceptor.handle_response(&token, answer, origin, body, Attempt::First);
        let next = interceptor.session().token_blocking().expect("a token");
        (verdict, next.expose().to_owned())
    };
    let kept = |tell| (Verdict::Deliver(tell), "at-1".to_owned());
    let (home, again) = (ResponseOrigin::SameOrigin, Body::Replayable);
    assert_eq!(judged(200, &[], home, again), kept(Feedback::Accepted));
    assert_eq!(judged(401, &[], home, again), (Verdict::Replay, "at-2".to_owned()));
    let (rejected, at_2) = (Verdict::Deliver(Feedback::Rejected), "at-2".to_owned());
    assert_eq!(judged(401, &[], home, Body::OneShot), (rejected, at_2));
    assert_eq!(judged(401, &[], ResponseOrigin::CrossOrigin, again), kept(Feedback::Nothing));
    let scope = r#"Bearer error="insufficient_scope""#;
    assert_eq!(judged(401, &[scope], home, again), kept(Feedback::Nothing));
    assert_eq!(judged(419, &[], home, again), kept(Feedback::Nothing));
}

// Rule E4.
#[test]
fn what_counts_as_a_rejection_is_the_programs_to_say() {
    let interceptor = builder()
        .any_origin()
        .classify(|answer| match answer.status.as_u16() {
            419 => Classification::Rejected,
            _ => answer.classify(),
        })
        .build()
        .expect("built");
    let token = interceptor.session().token_blocking().expect("a token");
    for (status, expected) in [
        (200, Verdict::Deliver(Feedback::Accepted)),
        (403, Verdict::Deliver(Feedback::Nothing)),
        (419, Verdict::Replay),
        (401, Verdict::Replay),
    ] {
        let (status, headers) = answered(status, &[]);
        let answer = ResponseHead { status, headers: &headers };
        let verdict = interceptor.handle_response(
            &token,
            answer,
            ResponseOrigin::SameOrigin,
            Body::Replayable,
            Attempt::First,
        );
        assert_eq!(verdict, expected, "{status}");
    }
}

// Rule E4.
#[test]
fn grpc_says_by_a_header_that_it_does_not_like_the_token() {
    for (status, grpc, expected) in [
        (200, Some("16"), Classification::Rejected),
        (200, Some("0"), Classification::Accepted),
        (200, None, Classification::Accepted),
        (200, Some("7"), Classification::Silent),
        (401, None, Classification::Rejected),
    ] {
        let (status, mut headers) = answered(status, &[]);
        headers.extend(grpc.map(|code| {
            (http::HeaderName::from_static("grpc-status"), HeaderValue::from_static(code))
        }));
        assert_eq!(classify_grpc(ResponseHead { status, headers: &headers }), expected, "{grpc:?}");
    }
}

// Rules E1, G1.
#[test]
fn an_error_of_the_interceptor_names_its_reason_and_holds_no_secret() {
    let error =
        Session::builder(|_: Request| async { Err::<Grant, _>(RefreshError::declined("no")) })
            .grant(Grant::of_refresh_token("hush-rt"))
            .build()
            .expect("a session")
            .token_blocking()
            .expect_err("declined");
    let refused = Refused::NoToken { error, retry_in: None };
    let text = format!("{refused} {refused:?} {:?}", std::error::Error::source(&refused));
    assert!(text.contains("no access token for this request: "), "{text}");
    assert!(text.contains("log in again") && !text.contains("hush"), "{text}");
}

// Rules B8, B9, E2.
#[test]
fn a_rejection_that_cannot_be_paid_for_is_delivered_and_the_token_stays_in_use() {
    let (time, minted) = (VirtualTime::at(Timestamp::UNIX_EPOCH), AtomicUsize::new(1));
    let session = Session::builder(move |_: Request| {
        let number = 1 + minted.fetch_add(1, Ordering::Relaxed);
        let grant = Grant::of_access_token(format!("at-{number}"), Duration::from_secs(3600));
        async { Ok(grant) }
    })
    .clock(time.clone())
    .grant(Grant::new("at-1", "rt-1", Duration::from_secs(3600)));
    let session = session.build().expect("a session");
    let interceptor = Interceptor::builder(session).any_origin().build().expect("built");
    let judged = |status, attempt| {
        let token = interceptor.session().token_blocking().expect("a token");
        let (status, headers) = answered(status, &[]);
        let answer = ResponseHead { status, headers: &headers };
        interceptor.handle_response(
            &token,
            answer,
            ResponseOrigin::SameOrigin,
            Body::Replayable,
            attempt,
        )
    };
    for _ in 0..3 {
        assert_eq!(judged(200, Attempt::First), Verdict::Deliver(Feedback::Accepted));
        assert_eq!(judged(401, Attempt::First), Verdict::Replay);
        assert_eq!(judged(401, Attempt::Second), Verdict::Deliver(Feedback::Nothing));
    }
    assert_eq!(judged(200, Attempt::First), Verdict::Deliver(Feedback::Accepted));
    for _ in 0..1000 {
        assert_eq!(judged(401, Attempt::First), Verdict::Deliver(Feedback::Nothing));
    }
    // A replay that succeeds gives one back.
    time.advance(Duration::from_secs(1));
    assert_eq!(judged(200, Attempt::Second), Verdict::Deliver(Feedback::Recovered));
    assert_eq!(judged(401, Attempt::First), Verdict::Replay);
}
