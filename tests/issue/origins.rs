//! Which pages may use the endpoints, and which may read the responses.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use http::HeaderMap;
use perennial::adapters::axum::{
    AuthorizationServer, AuthorizationServerBuilder, CookieConfig, OriginError, RegisteredClient,
};
use perennial::issue::Login;
use perennial::rotation::{Policy, Reuse};
use serde_json::json;

use super::http::{post, refresh_form, send};
use super::support::{HOUR, Rig, Watched, refresh_token};

const APP: &str = "https://app.example.com";
const OWN: &str = "https://auth.example.com";

fn builder(rig: &Rig) -> AuthorizationServerBuilder<Watched> {
    AuthorizationServer::builder(rig.issuer.clone(), OWN)
        .client(RegisteredClient::public("web"))
        .client(RegisteredClient::public("eager").rate_limit(1, HOUR))
}

fn server(rig: &Rig) -> AuthorizationServer<Watched> {
    let builder = builder(rig).allow_origin(APP).expect("it is an origin");
    builder
        .allow_origin("http://localhost:5173")
        .expect("it is an origin")
        .build()
        .expect("each setting is allowed")
}

/// The endpoints, and those of the cookie.
fn router(rig: &Rig) -> Router {
    let server = server(rig);
    let cookie = server.refresh_cookie(CookieConfig::new("web")).expect("it can be set");
    server.router().merge(cookie.router())
}

fn with(mut request: Request, headers: &[(&'static str, &str)]) -> Request {
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().expect("a header"));
    }
    request
}

fn of(origin: &str, request: Request) -> Request {
    with(request, &[("origin", origin)])
}

/// What is not the origin of an allowed page, though it may look like it.
const OTHERS: [&str; 21] = [
    "https://evil.example.com",
    "https://example.com",
    "https://app.example.com.evil.test",
    "https://evilapp.example.com",
    "https://a.app.example.com",
    "https://app.example.com:8443",
    "https://app.example.com:443",
    "http://app.example.com",
    "HTTPS://APP.EXAMPLE.COM",
    "https://App.example.com",
    "https://app.example.com.",
    "https://app.example.com/",
    "https://app.example.com/login",
    "https://user@app.example.com",
    "https://app.example.com, https://app.example.com",
    "http://localhost",
    "http://127.0.0.1:5173",
    "http://auth.example.com",
    "null",
    "*",
    "",
];

/// The form of a login that may refresh once an hour. Under strict rotation its token is good once.
async fn eager(rig: &Rig) -> String {
    let login = rig.issuer.login(Login::new("eager", "bob")).await.expect("a login");
    refresh_form(&refresh_token(&login)).replace("client_id=web", "client_id=eager")
}

// Rule D9. Case X49.
#[tokio::test]
async fn a_page_of_another_origin_is_refused_before_anything_is_rotated_read_or_counted() {
    let rig = Rig::new(Policy::new(Reuse::Strict));
    let router = router(&rig);
    let login = rig.log_in();
    let token = refresh_token(&login);
    let eager = eager(&rig).await;
    let writes = rig.store.writes();
    rig.store.set_down(true); // who reads it is answered with 503
    let revoke = format!("client_id=web&token={}", token.expose());
    for origin in OTHERS {
        for request in [
            post("/token", &refresh_form(&token)),
            post("/token", &eager),
            post("/revoke", &revoke),
            with(post("/session/refresh", ""), &[("cookie", &cookie(token.expose()))]),
            with(post("/session/logout", ""), &[("cookie", &cookie(token.expose()))]),
        ] {
            let path = request.uri().clone();
            let answer = send(&router, of(origin, request)).await;
            assert_eq!(answer.error(), (403, "invalid_request".to_owned()), "{path} {origin}");
            assert_eq!(cors(&answer.headers).len(), 0, "{path} {origin}");
            assert_eq!(answer.header("set-cookie"), None, "{path} {origin}");
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{path} {origin}");
        }
    }
    rig.store.set_down(false);
    assert_eq!(rig.store.writes(), writes);
    assert_eq!(send(&router, post("/token", &eager)).await.status, 200, "none was counted");
    rig.present(&token).expect("it was never presented");
}

fn cookie(token: &str) -> String {
    format!("__Secure-refresh={token}")
}

/// The names of the headers of CORS.
fn cors(headers: &HeaderMap) -> Vec<&str> {
    headers
        .keys()
        .map(http::HeaderName::as_str)
        .filter(|it| it.starts_with("access-control"))
        .collect()
}

// Rule D9.
#[tokio::test]
async fn two_origins_are_none_although_both_are_allowed() {
    let rig = Rig::new(Policy::default());
    let router = router(&rig);
    let token = refresh_token(&rig.log_in());
    for path in ["/token", "/revoke", "/session/refresh", "/session/logout"] {
        let twice = [("origin", APP), ("origin", APP), ("sec-fetch-site", "same-origin")];
        let answer = send(&router, with(post(path, &refresh_form(&token)), &twice)).await;
        assert_eq!(answer.status, 403, "{path}");
        assert_eq!(cors(&answer.headers).len(), 0, "{path}");
    }
}

// Rule D9.
#[tokio::test]
async fn an_allowed_page_the_servers_own_and_a_program_without_an_origin_get_their_tokens() {
    let rig = Rig::new(Policy::default());
    let router = router(&rig);
    for (origin, readable) in [
        (Some(APP), true),
        (Some("http://localhost:5173"), true),
        (Some(OWN), false),
        (None, false),
    ] {
        let form = refresh_form(&refresh_token(&rig.log_in()));
        let request = post("/token", &form);
        let request = origin.into_iter().fold(request, |request, origin| of(origin, request));
        let answer = send(&router, request).await;
        assert_eq!(answer.status, 200, "{origin:?}");
        let allowed = origin.filter(|_| readable);
        assert_eq!(answer.header("access-control-allow-origin"), allowed, "{origin:?}");
        assert_eq!(answer.header("vary"), Some("origin"), "{origin:?}");
        assert_eq!(answer.header("access-control-allow-credentials"), None, "{origin:?}");
    }
    // Only where a cookie is sent does it matter more whose page it is than who can read the response.
    let sandboxed = [("origin", "null"), ("sec-fetch-site", "same-origin")];
    let request = post("/token", &refresh_form(&refresh_token(&rig.log_in())));
    assert_eq!(send(&router, with(request, &sandboxed)).await.status, 403);
}

fn preflight(path: &str, origin: &str) -> Request {
    let request = Request::options(path)
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type");
    request.body(Body::empty()).expect("a request")
}

// Rule D9.
#[tokio::test]
async fn a_preflight_of_an_allowed_origin_is_answered_and_one_of_another_is_refused() {
    let router = router(&Rig::new(Policy::default()));
    for (path, credentials) in [
        ("/token", None),
        ("/revoke", None),
        ("/session/refresh", Some("true")),
        ("/session/logout", Some("true")),
    ] {
        let answer = send(&router, preflight(path, APP)).await;
        assert!(answer.status.is_success(), "{path}");
        let expected = [
            ("access-control-allow-origin", Some(APP)),
            ("access-control-allow-methods", Some("POST")),
            ("access-control-allow-headers", Some("content-type,authorization")),
            ("access-control-max-age", Some("7200")),
            ("access-control-allow-credentials", credentials),
            ("vary", Some("origin")),
        ];
        for (name, value) in expected {
            assert_eq!(answer.header(name), value, "{path} {name}");
        }
        for origin in OTHERS {
            let answer = send(&router, preflight(path, origin)).await;
            assert_eq!((answer.status.as_u16(), cors(&answer.headers)), (403, vec![]), "{origin}");
        }
        // The server's own page needs no permission, and gets no credentials by this.
        let answer = send(&router, preflight(path, OWN)).await;
        assert_eq!(answer.header("access-control-allow-origin"), None, "{path}");
        assert_eq!(answer.header("access-control-allow-credentials"), None, "{path}");
    }
}

// Rule D9.
#[tokio::test]
async fn an_allowed_page_can_read_each_error_and_when_to_try_again() {
    let rig = Rig::new(Policy::default());
    let router = router(&rig);
    let form = refresh_form(&refresh_token(&rig.log_in()));
    let eager = eager(&rig).await;
    let long = format!("client_id=web&pad={}", "x".repeat(20_000));
    let get = Request::get("/token").body(Body::empty()).expect("a request");
    let mut seen = Vec::new();
    let asked = [post("/token", "client_id=web"), post("/token", &eager), post("/token", &eager)];
    for request in
        asked.into_iter().chain([post("/token", &long), get, post("/session/refresh", "")])
    {
        seen.push(send(&router, of(APP, request)).await);
    }
    rig.store.set_down(true);
    seen.push(send(&router, of(APP, post("/token", &form))).await);
    let statuses: Vec<_> = seen.iter().map(|it| it.status.as_u16()).collect();
    assert_eq!(statuses, [400, 200, 429, 413, 405, 400, 503]);
    for answer in seen {
        let status = answer.status;
        assert_eq!(answer.header("access-control-allow-origin"), Some(APP), "{status}");
        let exposed = answer.header("access-control-expose-headers").expect("some are");
        assert!(exposed.contains("retry-after"), "{status}: {exposed}");
    }
}

// Rule D9.
#[tokio::test]
async fn the_cookies_endpoints_ask_the_browser_whose_page_it_is_where_no_origin_says_it() {
    for (headers, passes) in [
        (&[][..], false),
        (&[("sec-fetch-site", "cross-site")], false),
        (&[("sec-fetch-site", "same-site")], false),
        (&[("sec-fetch-site", "none")], false),
        (&[("sec-fetch-site", "same-origin")], true),
        (&[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "same-origin")], false),
        (&[("origin", "null")], false),
        (&[("origin", "null"), ("sec-fetch-site", "cross-site")], false),
        (&[("origin", "null"), ("sec-fetch-site", "same-origin")], true),
        (&[("origin", "https://evil.example.com"), ("sec-fetch-site", "same-origin")], false),
        (&[("origin", APP)], true),
        (&[("origin", APP), ("sec-fetch-site", "same-site")], true),
        (&[("origin", OWN)], true),
    ] {
        for (path, status) in [("/session/refresh", 200), ("/session/logout", 204)] {
            let rig = Rig::new(Policy::default());
            let login = rig.log_in();
            let token = refresh_token(&login);
            let request = with(post(path, ""), &[("cookie", &cookie(token.expose()))]);
            let answer = send(&router(&rig), with(request, headers)).await;
            let expected = if passes { status } else { 403 };
            assert_eq!(answer.status, expected, "{path} {headers:?}");
            let listed = headers.contains(&("origin", APP));
            let credentials = listed.then_some("true");
            assert_eq!(
                answer.header("access-control-allow-credentials"),
                credentials,
                "{path} {headers:?}"
            );
        }
    }
}

// Rule D9.
#[tokio::test]
async fn a_login_behind_the_same_guard_cannot_be_called_by_other_pages() {
    let rig = Rig::new(Policy::default());
    let cookie = server(&rig).refresh_cookie(CookieConfig::new("web")).expect("it can be set");
    let login = Router::new().route("/login", axum::routing::post(async || "in"));
    let login = cookie.protect(login);
    assert_eq!(send(&login, of(APP, post("/login", ""))).await.status, 200);
    assert_eq!(send(&login, of("https://evil.example.com", post("/login", ""))).await.status, 403);
    assert_eq!(send(&login, post("/login", "")).await.status, 403);
    assert_eq!(send(&cookie.protect(Router::new()), post("/login", "")).await.status, 404);
}

// Rule D9.
#[tokio::test]
async fn metadata_and_keys_may_be_read_by_any_page_and_without_credentials() {
    let rig = Rig::new(Policy::default());
    let router = builder(&rig)
        .jwks(json!({ "keys": [] }))
        .build()
        .expect("each setting is allowed")
        .router();
    for path in ["/.well-known/oauth-authorization-server", "/jwks.json"] {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let answer = send(&router, of("https://evil.example.com", request)).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{path}");
        assert_eq!(answer.header("access-control-allow-credentials"), None, "{path}");
    }
}

#[test]
fn an_origin_that_no_browser_sends_or_that_stands_for_many_is_refused_when_the_server_is_built() {
    let rig = Rig::new(Policy::default());
    let allow = |origin: &str| builder(&rig).allow_origin(origin).map(drop);
    for good in [
        APP,
        "https://app.example.com:8443",
        "https://xn--bcher-kva.example",
        "http://localhost:5173",
        "http://app.localhost",
        "http://127.0.0.1",
        "http://[::1]:8080",
        "capacitor://localhost",
        "chrome-extension://abcdefghijklmnop",
    ] {
        assert_eq!(allow(good), Ok(()), "{good}");
    }
    for bad in [
        "",
        "*",
        "null",
        "app.example.com",
        "app.example.com:443",
        "//app.example.com",
        "https://",
        "https://*.example.com",
        "https://app.example.com/",
        "https://app.example.com/app",
        "https://app.example.com?x",
        "https://app.example.com#x",
        "https://me@app.example.com",
        "file:///tmp/page.html",
        "file://",
        "data:text/html,x",
        "javascript:1",
    ] {
        assert_eq!(allow(bad), Err(OriginError::NotAnOrigin(bad.to_owned())), "{bad}");
    }
    for (written, canonical) in [
        ("https://App.Example.com", APP),
        ("HTTPS://app.example.com", APP),
        ("https://app.example.com:443", APP),
        (" https://app.example.com", APP),
        ("https:app.example.com", APP),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("http://127.1", "http://127.0.0.1"),
    ] {
        let error = allow(written).expect_err(written);
        let (written, canonical) = (written.to_owned(), canonical.to_owned());
        assert_eq!(error, OriginError::NotCanonical { written, canonical });
    }
    for plain in ["http://app.example.com", "http://192.168.0.1:3000", "http://localhost.evil.test"]
    {
        assert_eq!(allow(plain), Err(OriginError::Insecure(plain.to_owned())));
    }
}

// A server whose URL is none, or is no tuple, has no origin of its own.
#[tokio::test]
async fn a_server_without_an_origin_of_its_own_still_serves_programs_and_allowed_pages() {
    let rig = Rig::new(Policy::default());
    for url in ["", "auth", "urn:auth"] {
        let server = AuthorizationServer::builder(rig.issuer.clone(), url)
            .client(RegisteredClient::public("web"))
            .allow_origin(APP)
            .expect("it is an origin");
        let router = server.build().expect("each setting is allowed").router();
        let form = || refresh_form(&refresh_token(&rig.log_in()));
        assert_eq!(send(&router, post("/token", &form())).await.status, 200, "{url}");
        assert_eq!(send(&router, of(APP, post("/token", &form()))).await.status, 200, "{url}");
        assert_eq!(send(&router, of("null", post("/token", &form()))).await.status, 403, "{url}");
    }
}
