//! Answers that refuse: declined, or unavailable (rule B6).

use std::time::Duration;

use perennial::lifecycle::{Failure, State};
use perennial::session::{Error, Session};
use perennial::time::Span;
use perennial::token::Grant;

use crate::wire::scene::{
    HOUR, START, Scene, client_of, mends_after, refresher, token_of, told, where_there_is_no_token,
    while_the_old_token_works,
};
use crate::wire::{Exchange, Server, assert_mannered, soon};

const JSON: (&str, &str) = ("content-type", "application/json");

/// Every form in which servers say that a grant is over.
const DECLINED: [(&str, &str, &str); 5] = [
    ("400 Bad Request", r#"{"error":"invalid_grant"}"#, "400 Bad Request: invalid_grant"),
    ("403 Forbidden", r#"{"error":"invalid_grant"}"#, "403 Forbidden: invalid_grant"),
    (
        "500 Internal Server Error",
        r#"{"error":"invalid_grant"}"#,
        "500 Internal Server Error: invalid_grant",
    ),
    // One large provider refuses with a 200.
    ("200 OK", r#"{"error":"bad_refresh_token"}"#, "200 OK: bad_refresh_token"),
    ("200 OK", r#"{"error":"invalid_grant"}"#, "200 OK: invalid_grant"),
];

// Rules B6, G1.
#[tokio::test]
async fn a_declined_grant_asks_for_a_login_and_is_never_presented_again() {
    for (status, body, text) in DECLINED {
        let bad = async |exchange: Exchange| exchange.answer(status, &[JSON], body).await;
        let (scene, error) = where_there_is_no_token(bad, "refresh-1").await;
        assert!(error.is_login_required() && !error.is_unavailable(), "{error:?}");
        assert_eq!(error.to_string(), "the authorization server declined the grant: log in again");
        assert_eq!(error.when_to_retry(), None, "no retry helps");
        let told = told(&error);
        assert_eq!(told, (Failure::Declined, format!("the token endpoint answered {text}")));
        for _ in 0..200 {
            scene.time.advance(Duration::from_secs(600));
            let error = soon(scene.session.token()).await.expect_err("declined");
            assert!(error.is_login_required(), "{error:?}");
        }
        soon(scene.session.close()).await.expect("nothing in the air");
        assert_eq!(scene.server.requests(), 1, "{status} {body}");
    }
}

// Rules B5, B6.
#[tokio::test]
async fn a_declined_grant_serves_its_token_to_the_end_and_sends_nothing_more() {
    for (status, body, _) in DECLINED {
        let bad = async |exchange: Exchange| exchange.answer(status, &[JSON], body).await;
        let mut scene = while_the_old_token_works(bad, "refresh-1").await;
        while scene.time.next_alarm().is_some() || scene.session.state() == State::Expiring {
            assert_eq!(scene.token().await.expose(), "access-1");
            scene.time.advance(Duration::from_secs(10));
        }
        let error = soon(scene.session.token()).await.expect_err("lapsed");
        assert!(error.is_login_required(), "{error:?}");
        assert_mannered(&error);
        soon(scene.session.close()).await.expect("nothing in the air");
        assert_eq!(scene.server.requests(), 1, "{status} {body}");
        // Only a login helps, and does.
        let grant = Grant::of_refresh_token("refresh-2");
        soon(scene.session.install(grant)).await.expect("a login");
        scene.recovers("refresh-2").await;
    }
}

// Rules B5, B6.
#[tokio::test]
async fn an_answer_that_refuses_for_now_is_unavailable_and_costs_nothing() {
    let answers = [
        ("408 Request Timeout", "", "408 Request Timeout"),
        ("425 Too Early", "<html>hush-url</html>", "425 Too Early"),
        (
            "429 Too Many Requests",
            r#"{"error":"invalid_grant"}"#,
            "429 Too Many Requests: invalid_grant",
        ),
        ("503 Service Unavailable", r#"{"error":"hush-url"}"#, "503 Service Unavailable"),
        ("400 Bad Request", r#"{"error":"slow_down"}"#, "400 Bad Request: slow_down"),
        (
            "400 Bad Request",
            r#"{"error":"temporarily_unavailable"}"#,
            "400 Bad Request: temporarily_unavailable",
        ),
    ];
    for (status, body, text) in answers {
        let bad = async |exchange: Exchange| exchange.answer(status, &[JSON], body).await;
        let error = mends_after(bad, "refresh-1").await;
        assert_eq!(
            error.to_string(),
            "the authorization server could not be reached or is unavailable"
        );
        let unavailable = Failure::Unavailable { retry_after: None };
        assert_eq!(told(&error), (unavailable, format!("the token endpoint answered {text}")));
    }
}

/// What a caller without a token sees of an answer with `headers`.
async fn told_to_wait(status: &str, headers: &[(&str, &str)], body: &str) -> Error {
    let bad = async |exchange: Exchange| exchange.answer(status, headers, body).await;
    mends_after(bad, "refresh-1").await
}

fn seconds_to_wait(error: &Error) -> f64 {
    error.when_to_retry().expect("an instant").since(START).to_duration().as_secs_f64()
}

// Rule B6.
#[tokio::test]
async fn retry_after_is_honoured_in_both_its_forms_up_to_an_hour() {
    let date = ("date", "Wed, 21 Oct 2015 07:28:00 GMT");
    let cases: [(&[(&str, &str)], f64); 8] = [
        (&[("retry-after", "120")], 120.0),
        (&[("retry-after", "119.5")], 119.5),
        (&[("retry-after", " 120 ")], 120.0),
        // Counted by the server's clock, which is years behind this session's.
        (&[date, ("retry-after", "Wed, 21 Oct 2015 07:30:00 GMT")], 120.0),
        (&[date, ("retry-after", "Wednesday, 21-Oct-15 07:30:00 GMT")], 120.0),
        (&[("retry-after", "86400")], 3600.0),
        (&[("retry-after", "99999999999999999999999")], 3600.0),
        (&[date, ("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT")], 3600.0),
    ];
    for (headers, seconds) in cases {
        for status in ["503 Service Unavailable", "429 Too Many Requests"] {
            let error = told_to_wait(status, headers, "").await;
            assert!((seconds_to_wait(&error) - seconds).abs() < 1e-6, "{headers:?}: {error:?}");
        }
    }
}

// Rule B6.
#[tokio::test]
async fn a_retry_after_that_says_nothing_of_use_leaves_the_usual_backoff() {
    let date = ("date", "Wed, 21 Oct 2015 07:28:00 GMT");
    for told in ["soon", "-5", "", "0", "Wed, 21 Oct 2015 07:00:00 GMT"] {
        let headers = [date, ("retry-after", told)];
        let error = told_to_wait("503 Service Unavailable", &headers, "").await;
        let waits = seconds_to_wait(&error);
        assert!(waits > 0.9 && waits <= 1.0, "`{told}`: {waits}");
    }
}

// Rule B6.
#[tokio::test]
async fn retry_after_is_honoured_on_whatever_is_unavailable() {
    let headers = [JSON, ("retry-after", "120"), ("location", "/elsewhere")];
    for (status, body) in [
        ("307 Temporary Redirect", ""),
        ("400 Bad Request", r#"{"error":"slow_down"}"#),
        ("403 Forbidden", "blocked"),
        ("500 Internal Server Error", r#"{"error":"server_error"}"#),
    ] {
        let error = told_to_wait(status, &headers, body).await;
        assert!((seconds_to_wait(&error) - 120.0).abs() < 1e-6, "{status}: {error:?}");
    }
}

// Rules B6, B7.
#[tokio::test]
async fn nobody_asks_before_the_time_that_the_server_named() {
    let bad = async |exchange: Exchange| {
        exchange.answer("503 Service Unavailable", &[("retry-after", "120")], "").await;
    };
    let (mut scene, _) = where_there_is_no_token(bad, "refresh-1").await;
    for _ in 0..119 {
        scene.time.advance(Duration::from_secs(1));
        let error = soon(scene.session.token()).await.expect_err("too early");
        assert_eq!(error.when_to_retry(), Some(START.saturating_add(Span::from_secs(120))));
        assert_mannered(&error);
    }
    assert_eq!(scene.server.requests(), 1);
    scene.recovers("refresh-1").await;
}

// Rules E6, G1.
#[tokio::test]
async fn a_redirect_is_not_followed_and_its_target_sees_nothing() {
    let target = Server::answering(|_| crate::wire::answer("200 OK", &[JSON], crate::wire::GOOD));
    let target = target.await;
    for status in [
        "301 Moved Permanently",
        "302 Found",
        "303 See Other",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ] {
        let location = target.url("/token?hush-url");
        let headers = [("location", location.as_str())];
        let bad = async |exchange: Exchange| exchange.answer(status, &headers, "").await;
        let (failure, text) = told(&mends_after(bad, "refresh-1").await);
        assert_eq!(failure, Failure::Unavailable { retry_after: None });
        assert!(text.contains("redirects are not followed with a refresh token"), "{text}");
    }
    assert_eq!(target.requests(), 0);
}

// Rule B6.
#[tokio::test]
async fn a_refusal_counts_also_where_its_body_never_ends_well() {
    let bad = async |mut exchange: Exchange| {
        let head = "HTTP/1.1 400 Bad Request\r\ncontent-length: 100\r\n\r\n";
        let _ = exchange.write(format!("{head}{{\"error\":\"invalid_grant\",").as_bytes()).await;
    };
    let (_, error) = where_there_is_no_token(bad, "refresh-1").await;
    assert!(error.is_login_required(), "{error:?}");
}

// Rules B6, B13.
#[tokio::test]
async fn a_refusal_whose_body_never_ends_counts_before_the_deadline() {
    for (head, failure) in [
        ("429 Too Many Requests\r\nretry-after: 120", {
            Failure::Unavailable { retry_after: Some(Span::from_secs(120)) }
        }),
        ("404 Not Found", Failure::Unexplained { retry_after: None }),
    ] {
        let mut server = Server::start().await;
        let session = Session::builder_with(refresher(client_of(&server)))
            .clock(|| START)
            .grant(Grant::of_refresh_token("refresh-1"))
            .build()
            .expect("a session");
        let caller = tokio::spawn(token_of(&session));
        let mut exchange = server.next().await;
        let head = format!("HTTP/1.1 {head}\r\ncontent-length: 100\r\n\r\n<html>");
        exchange.write(head.as_bytes()).await.expect("a client that listens");
        // Tokio's time, which from here on goes by only while nothing else is to be done.
        tokio::time::pause();
        let begun = tokio::time::Instant::now();
        let error = soon(caller).await.expect("a caller").expect_err("refused");
        assert_eq!(told(&error).0, failure);
        assert!(begun.elapsed().as_secs() <= 15, "{:?}", begun.elapsed());
        tokio::time::resume();
        drop(exchange);
    }
}

// Rules B5, B6. Case X1, X3: a refusal in no words of OAuth, and one of the client, cost no grant.
#[tokio::test]
async fn a_refusal_that_says_nothing_of_the_grant_is_not_final_and_the_next_good_answer_mends_it() {
    let html = ("content-type", "text/html");
    for (status, headers, body) in [
        ("400 Bad Request", html, "<html>hush-url</html>"),
        ("401 Unauthorized", html, "<html>hush-url</html>"),
        ("400 Bad Request", html, ""),
        ("401 Unauthorized", JSON, r#"{"code":"hush-url","message":"expired"}"#),
        ("403 Forbidden", html, "<html>hush-url</html>"),
        ("404 Not Found", html, ""),
    ] {
        let bad = async |exchange: Exchange| exchange.answer(status, &[headers], body).await;
        let error = mends_after(bad, "refresh-1").await;
        let unexplained = Failure::Unexplained { retry_after: None };
        assert_eq!(told(&error), (unexplained, format!("the token endpoint answered {status}")));
    }
    for status in ["400 Bad Request", "401 Unauthorized"] {
        let bad = async |exchange: Exchange| {
            exchange.answer(status, &[JSON], r#"{"error":"invalid_client"}"#).await;
        };
        let (mut scene, error) = where_there_is_no_token(bad, "refresh-1").await;
        assert!(!error.is_login_required(), "{error:?}");
        let (failure, text) = told(&error);
        assert_eq!(failure, Failure::Misconfigured { retry_after: None });
        assert!(text.contains("127.0.0.1") && text.contains("check the client id"), "{text}");
        scene.recovers("refresh-1").await;
        while_the_old_token_works(bad, "refresh-1").await.recovers("refresh-1").await;
    }
}

// Rules B5, B6. Case X6: a gateway's word is not the server's.
#[tokio::test]
async fn a_gateways_failure_leaves_the_outcome_unknown_and_costs_nothing() {
    for status in ["500 Internal Server Error", "502 Bad Gateway", "504 Gateway Timeout"] {
        let bad = async |exchange: Exchange| exchange.answer(status, &[], "<html>").await;
        let error = mends_after(bad, "refresh-1").await;
        assert_eq!(told(&error).0, Failure::Unknown, "{status}");
    }
}

// Rule G1.
#[tokio::test]
async fn what_a_server_echoes_is_shown_in_no_error() {
    let echo = r#"{"error":"refresh-1","error_description":"hush-client refresh-1 access-1"}"#;
    for status in ["400 Bad Request", "403 Forbidden", "500 Internal Server Error", "200 OK"] {
        let server = Server::start().await;
        let refresher = refresher(client_of(&server).client_secret("hush-client"));
        let time = perennial::testing::VirtualTime::at(START);
        let session = crate::wire::scene::builder(refresher, &time)
            .grant(Grant::new("access-1", "refresh-1", HOUR))
            .build()
            .expect("a session");
        let mut scene = Scene { server, time, session };
        scene.time.advance(HOUR);
        let headers = [("content-type", "text/refresh-1"), ("www-authenticate", "refresh-1")];
        let error = scene.refresh(async |it| it.answer(status, &headers, echo).await).await;
        let error = error.expect_err("a failure");
        assert_mannered(&error);
        assert_mannered(&soon(scene.session.token()).await.expect_err("a failure"));
    }
}
