//! Every hop counts: where a token goes once a redirect leads somewhere, and what an answer there says.

use bytes::Bytes;
use http::Method;

use crate::client::{Call, READ_AHEAD};
use crate::table::{Host, Row, Rules, any, declared, found, get, holds, moved};
use crate::wire::answer;
use crate::world::{UNAUTHORIZED, run};

fn ok() -> String {
    answer("200 OK", &[], "done")
}

fn unauthorized() -> String {
    answer(UNAUTHORIZED, &[], "no")
}

const fn row(case: &'static str, rules: Rules, expected: &'static str) -> Row {
    Row { case, call: get, rules, origins: declared, expected }
}

// Rules E2, E5. Cases X26, X27.
#[test]
fn a_token_goes_nowhere_that_a_foreign_host_led_to_and_no_answer_there_rejects_anything() {
    let rows = [
        row(
            "X26: home, foreign, home, which answers 401 as there is no token",
            |host, received, urls| match (host, received.line()) {
                (Host::Home, "GET /start") => found(&urls.of(Host::Foreign, "/there")),
                (Host::Foreign, _) => found(&urls.home("/end")),
                _ => unauthorized(),
            },
            "401 no: H/start+1 F/there- H/end-; 0 refreshes",
        ),
        row(
            "X26: the same, back to the very URL that was asked for",
            |host, received, urls| match (host, received.bearer()) {
                (Host::Home, "access-1") => found(&urls.of(Host::Foreign, "/there")),
                (Host::Foreign, _) => found(&urls.home("/start")),
                _ => unauthorized(),
            },
            "401 no: H/start+1 F/there- H/start-; 0 refreshes",
        ),
        row(
            "X27: home, foreign, home, where the token would do something",
            |host, received, urls| match (host, received.line(), received.bearer()) {
                (Host::Home, "GET /start", _) => found(&urls.of(Host::Foreign, "/there")),
                (Host::Foreign, ..) => found(&urls.home("/delete-everything")),
                (_, _, "no authorization") => unauthorized(),
                _ => ok(),
            },
            "401 no: H/start+1 F/there- H/delete-everything-; 0 refreshes",
        ),
        row(
            "the second hop at home after a foreign one",
            |host, received, urls| match (host, received.line()) {
                (Host::Home, "GET /start") => found(&urls.of(Host::Foreign, "/there")),
                (Host::Foreign, _) => found(&urls.home("/1")),
                (_, "GET /1") => found("/2"),
                _ => ok(),
            },
            "200 done: H/start+1 F/there- H/1- H/2-; 0 refreshes",
        ),
        row(
            "the second hop at a foreign host",
            |host, received, urls| match (host, received.line()) {
                (Host::Home, _) => found(&urls.of(Host::Foreign, "/1")),
                (_, "GET /1") => found("/2"),
                _ => ok(),
            },
            "200 done: H/start+1 F/1- F/2-; 0 refreshes",
        ),
        row(
            "a foreign host answers 401",
            |host, _, urls| match host {
                Host::Home => found(&urls.of(Host::Foreign, "/there")),
                Host::Other | Host::Foreign => unauthorized(),
            },
            "401 no: H/start+1 F/there-; 0 refreshes",
        ),
        Row {
            call: |urls| Call::get(urls.of(Host::Foreign, "/start")),
            ..row(
                "a call that begins at a foreign host",
                |host, _, urls| match host {
                    Host::Foreign => found(&urls.home("/end")),
                    Host::Home | Host::Other => unauthorized(),
                },
                "401 no: F/start- H/end-; 0 refreshes",
            )
        },
        Row {
            origins: any,
            ..row(
                "any origin: a hop to another one than the call's own",
                |host, _, urls| match host {
                    Host::Home => found(&urls.of(Host::Foreign, "/there")),
                    Host::Other | Host::Foreign => unauthorized(),
                },
                "401 no: H/start+1 F/there-; 0 refreshes",
            )
        },
    ];
    run(async move { holds("Hops beyond the declared origins", &rows).await });
}

// Rules E1, E5.
#[test]
fn what_is_the_callers_own_goes_to_no_other_origin_and_no_token_goes_in_its_place() {
    let rows = [
        Row {
            call: |urls| get(urls).header("cookie", "a=b"),
            ..row(
                "a cookie of the caller's",
                |host, received, urls| match (host, received.line()) {
                    (Host::Home, "GET /start") => found("/next"),
                    (Host::Home, _) => found(&urls.of(Host::Foreign, "/there")),
                    _ => ok(),
                },
                "200 done: H/start+1 with a cookie H/next+1 with a cookie F/there-; 0 refreshes",
            )
        },
        Row {
            call: |urls| get(urls).header("authorization", "Basic bWluZQ=="),
            ..row(
                "credentials of the caller's own",
                |host, _, urls| match host {
                    Host::Home => found(&urls.of(Host::Foreign, "/there")),
                    Host::Foreign => found(&urls.of(Host::Other, "/end")),
                    Host::Other => unauthorized(),
                },
                "401 no: H/start!Basic bWluZQ== F/there- O/end-; 0 refreshes",
            )
        },
    ];
    run(async move { holds("Credentials of the caller's own", &rows).await });
}

// Rules E1, E2, E5.
#[test]
fn a_redirect_within_the_declared_origins_arrives_with_the_token_and_is_replayed_once() {
    let rows = [
        row(
            "within the origin, each hop wants the token",
            |_, received, _| match (received.line(), received.bearer()) {
                (_, "no authorization") => unauthorized(),
                ("GET /start", _) => found("/1"),
                ("GET /1", _) => found("/2?q"),
                _ => ok(),
            },
            "200 done: H/start+1 H/1+1 H/2?q+1; 0 refreshes",
        ),
        row(
            "to another origin that the token is for",
            |host, received, urls| match (host, received.bearer()) {
                (Host::Home, _) => found(&urls.of(Host::Other, "/end")),
                (_, "access-1") => ok(),
                _ => unauthorized(),
            },
            "200 done: H/start+1 O/end+1; 0 refreshes",
        ),
        row(
            "rejected behind a redirect",
            |_, received, _| match (received.line(), received.bearer()) {
                ("GET /start", _) => found("/end"),
                (_, "access-1") => unauthorized(),
                _ => ok(),
            },
            "200 done: H/start+1 H/end+1 H/end+2; 1 refreshes",
        ),
        row(
            "rejected before a redirect",
            |_, received, _| match (received.line(), received.bearer()) {
                (_, "access-1") => unauthorized(),
                ("GET /start", _) => found("/end"),
                _ => ok(),
            },
            "200 done: H/start+1 H/start+2 H/end+2; 1 refreshes",
        ),
        row(
            "rejected before and behind it",
            |_, received, _| match (received.line(), received.bearer()) {
                ("GET /start", "access-2") => found("/end"),
                _ => unauthorized(),
            },
            "401 no: H/start+1 H/start+2 H/end+2; 1 refreshes",
        ),
        row(
            "a relative path, and a scheme that is left out",
            |_, received, urls| match received.line() {
                "GET /start" => found("a/../b"),
                "GET /b" => found(urls.home("/end").trim_start_matches("http:")),
                _ => ok(),
            },
            "200 done: H/start+1 H/b+1 H/end+1; 0 refreshes",
        ),
        row(
            "credentials in the URL are not taken",
            |_, received, urls| match received.line() {
                "GET /start" => found(&urls.home("/end").replace("http://", "http://user:word@")),
                _ => ok(),
            },
            "200 done: H/start+1 H/end+1; 0 refreshes",
        ),
        row(
            "another name of the same host is another origin",
            |_, received, urls| match received.line() {
                "GET /start" => found(&urls.named("localhost", "/end")),
                _ => unauthorized(),
            },
            "401 no: H/start+1 H/end-; 0 refreshes",
        ),
        Row {
            call: |urls| Call::get(urls.named("localhost", "/start")),
            origins: |builder, urls| builder.origin(urls.named("LocalHost", "")),
            ..row(
                "a host's case is of no account",
                |_, received, urls| match received.line() {
                    "GET /start" => found(&urls.named("LOCALHOST", "/end")),
                    _ => ok(),
                },
                "200 done: H/start+1 H/end+1; 0 refreshes",
            )
        },
    ];
    run(async move { holds("Hops within the declared origins", &rows).await });
}

fn posted(body: &'static str) -> impl Fn(&crate::table::Urls) -> Call {
    move |urls| get(urls).method(Method::POST).whole(body)
}

// Rules E3, E5.
#[test]
fn a_redirect_keeps_method_and_body_as_the_status_says_or_is_the_callers() {
    let post: fn(&crate::table::Urls) -> Call = |urls| posted("all")(urls);
    let rows = [
        Row {
            call: post,
            ..row(
                "303 after a POST",
                |_, received, _| match received.line() {
                    "POST /start" => moved("303 See Other", "/end"),
                    _ => ok(),
                },
                "200 done: H POST /start+1 with 3 bytes H/end+1; 0 refreshes",
            )
        },
        Row {
            call: post,
            ..row(
                "302 after a POST",
                |_, received, _| match received.line() {
                    "POST /start" => found("/end"),
                    _ => ok(),
                },
                "200 done: H POST /start+1 with 3 bytes H/end+1; 0 refreshes",
            )
        },
        Row {
            call: post,
            ..row(
                "307 after a POST, rejected behind it",
                |_, received, _| match (received.line(), received.bearer()) {
                    ("POST /start", _) => moved("307 Temporary Redirect", "/end"),
                    (_, "access-1") => unauthorized(),
                    _ => ok(),
                },
                "200 done: H POST /start+1 with 3 bytes H POST /end+1 with 3 bytes \
                 H POST /end+2 with 3 bytes; 1 refreshes",
            )
        },
        Row {
            call: post,
            ..row(
                "308 after a POST, to a foreign host",
                |host, _, urls| match host {
                    Host::Home => moved("308 Permanent Redirect", &urls.of(Host::Foreign, "/end")),
                    Host::Other | Host::Foreign => ok(),
                },
                "200 done: H POST /start+1 with 3 bytes F POST /end- with 3 bytes; 0 refreshes",
            )
        },
        Row {
            call: |urls| {
                let chunks = [Bytes::from(vec![b'x'; READ_AHEAD]), Bytes::from_static(b"x")];
                get(urls).method(Method::POST).stream(chunks)
            },
            ..row(
                "307 after a body that can be sent once",
                |_, received, _| match received.line() {
                    "POST /start" => moved("307 Temporary Redirect", "/end"),
                    _ => ok(),
                },
                "307 moved: H POST /start+1 with 65537 bytes; 0 refreshes",
            )
        },
        row(
            "no Location",
            |_, _, _| answer("302 Found", &[], "where"),
            "302 where: H/start+1; 0 refreshes",
        ),
        row(
            "a Location of another scheme",
            |_, _, _| found("mailto:a@b.example"),
            "302 moved: H/start+1; 0 refreshes",
        ),
        row(
            "a Location that is no URL",
            |_, _, _| found("http://[::1"),
            "302 moved: H/start+1; 0 refreshes",
        ),
        row(
            "not modified",
            |_, _, _| answer("304 Not Modified", &[("location", "/end")], ""),
            "304 : H/start+1; 0 refreshes",
        ),
        row(
            "redirects without end",
            |_, _, _| found("/start"),
            "error: more than 10 redirects in a row: see `max_redirects`: H/start+1 H/start+1 \
             H/start+1 H/start+1 H/start+1 H/start+1 H/start+1 H/start+1 H/start+1 H/start+1 \
             H/start+1; 0 refreshes",
        ),
        Row {
            origins: |builder, urls| declared(builder, urls).max_redirects(0),
            ..row(
                "none is to be followed",
                |_, _, _| found("/end"),
                "302 moved: H/start+1; 0 refreshes",
            )
        },
    ];
    run(async move { holds("What a redirect makes of a request", &rows).await });
}

// Rules E2, E4. Cases X22, X23.
#[test]
fn a_challenge_is_read_alike() {
    fn challenged(challenge: &str, bearer: &str) -> String {
        match bearer {
            "access-1" => answer(UNAUTHORIZED, &[("www-authenticate", challenge)], "no"),
            _ => ok(),
        }
    }
    let replayed = "200 done: H/start+1 H/start+2; 1 refreshes";
    let delivered = "401 no: H/start+1; 0 refreshes";
    let rows = [
        row("Bearer", |_, it, _| challenged("Bearer", it.bearer()), replayed),
        row("X22: OAuth", |_, it, _| challenged("OAuth realm=\"x\"", it.bearer()), replayed),
        row("X22: Basic", |_, it, _| challenged("Basic realm=\"x\"", it.bearer()), replayed),
        row("X22: Negotiate", |_, it, _| challenged("Negotiate", it.bearer()), replayed),
        row("X22: Token", |_, it, _| challenged("Token", it.bearer()), replayed),
        row("damaged", |_, it, _| challenged("\"Bearer", it.bearer()), replayed),
        row(
            "the scope is not enough",
            |_, it, _| challenged("Bearer error=\"insufficient_scope\"", it.bearer()),
            delivered,
        ),
        row(
            "X23: the login is not enough",
            |_, it, _| challenged("Bearer error=\"insufficient_user_authentication\"", it.bearer()),
            delivered,
        ),
        row(
            "a nonce is wanted",
            |_, it, _| challenged("DPoP error=\"use_dpop_nonce\"", it.bearer()),
            delivered,
        ),
    ];
    run(async move { holds("Challenges", &rows).await });
}
