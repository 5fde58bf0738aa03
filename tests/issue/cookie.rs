//! A front-end in a browser, whose refresh token is in a cookie.

use axum::Router;
use axum::extract::Request;
use cookie_attributes::SetCookie;
use futures::FutureExt as _;
use perennial::adapters::axum::{
    AuthorizationServer, CookieConfig, CookieError, RefreshCookie, RegisteredClient,
};
use perennial::issue::{Issued, Login};
use perennial::rotation::{Policy, RawPolicy, Reuse};
use perennial::token::Secret;
use tower::ServiceExt as _;

use super::http::{Answer, post, send};
use super::support::{DAY, HOUR, Rig, SECOND, WINDOW, Watched, block_on, policies, refresh_token};

const URL: &str = "https://auth.example.com";
const NAME: &str = "__Secure-refresh";

/// Reads a `Set-Cookie` header by the letter.
mod cookie_attributes {
    use std::collections::BTreeMap;

    use super::Answer;

    #[derive(Debug)]
    pub(super) struct SetCookie {
        pub(super) name: String,
        pub(super) value: String,
        pub(super) attributes: BTreeMap<String, String>,
    }

    impl SetCookie {
        pub(super) fn of(answer: &Answer) -> Option<Self> {
            let mut all = answer.headers.get_all("set-cookie").iter();
            let header = all.next()?.to_str().expect("a text");
            assert_eq!(all.next(), None, "there is one at most");
            Some(Self::parsed(header))
        }

        pub(super) fn parsed(header: &str) -> Self {
            let mut parts = header.split("; ");
            let (name, value) = parts.next().and_then(|it| it.split_once('=')).expect("a cookie");
            let attribute = |it: &str| {
                let (name, value) = it.split_once('=').unwrap_or((it, ""));
                (name.to_owned(), value.to_owned())
            };
            let attributes = parts.map(attribute).collect();
            Self { name: name.into(), value: value.into(), attributes }
        }

        pub(super) fn get(&self, attribute: &str) -> Option<&str> {
            self.attributes.get(attribute).map(String::as_str)
        }

        pub(super) fn is_removal(&self) -> bool {
            self.value.is_empty() && self.get("Max-Age") == Some("0")
        }
    }
}

fn server(rig: &Rig) -> AuthorizationServer<Watched> {
    AuthorizationServer::builder(rig.issuer.clone(), URL)
        .client(RegisteredClient::public("web"))
        .client(RegisteredClient::public("eager").rate_limit(1, HOUR))
        .client(RegisteredClient::confidential("shop", "the secret of shops"))
        .build()
        .expect("each setting is allowed")
}

fn cookie(rig: &Rig) -> RefreshCookie<Watched> {
    server(rig).refresh_cookie(CookieConfig::new("web")).expect("it can be set")
}

fn router(rig: &Rig) -> Router {
    cookie(rig).router()
}

/// A request of the server's own page with these `Cookie` headers.
fn request(path: &str, cookies: &[&str]) -> Request {
    let mut request = post(path, "");
    request.headers_mut().remove("content-type");
    request.headers_mut().insert("origin", URL.parse().expect("a header"));
    for cookie in cookies {
        request.headers_mut().append("cookie", cookie.parse().expect("a header"));
    }
    request
}

fn named(token: &Secret) -> String {
    format!("{NAME}={}", token.expose())
}

async fn present(router: &Router, token: &Secret) -> Answer {
    send(router, request("/session/refresh", &[&named(token)])).await
}

/// The successor that an answer sets.
fn successor(answer: &Answer) -> Secret {
    Secret::from(SetCookie::of(answer).expect("a cookie").value)
}

// Rule D9.
#[tokio::test]
async fn a_refresh_answers_with_an_access_token_and_its_refresh_token_is_in_the_cookie_alone() {
    let rig = Rig::new(Policy::default());
    let router = router(&rig);
    let first = refresh_token(&rig.log_in());
    rig.time.advance(HOUR);
    let answer = present(&router, &first).await;
    assert_eq!(answer.status, 200);
    let set = SetCookie::of(&answer).expect("a cookie");
    assert_eq!(set.name, NAME);
    let expected = [
        ("HttpOnly", ""),
        ("Max-Age", "7776000"), // the idle lifetime: 90 days
        ("Path", "/session"),
        ("SameSite", "Strict"),
        ("Secure", ""),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(set.attributes, expected.into_iter().collect());
    let body = answer.json();
    assert!(rig.works(&Secret::from(body["access_token"].as_str().expect("a token"))));
    assert!(body.get("refresh_token").is_none(), "{body}");
    assert_eq!(body["refresh_token_expires_in"], 7_776_000);
    assert!(!answer.body.contains("prt1_"), "{}", answer.body);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let second = successor(&answer);
    assert_ne!(second, first);
    assert_eq!(present(&router, &second).await.status, 200);
}

// Rule D9.
#[tokio::test]
async fn a_login_is_answered_in_the_same_way() {
    let rig = Rig::new(Policy::default());
    let cookie = cookie(&rig);
    let login = rig.log_in();
    let routes = Router::new().route(
        "/login",
        axum::routing::post({
            let (cookie, login) = (cookie.clone(), login.clone());
            async move || cookie.response(&login)
        }),
    );
    let answer = send(&routes, post("/login", "")).await;
    assert_eq!(successor(&answer), refresh_token(&login));
    assert!(!answer.body.contains("prt1_"), "{}", answer.body);
    assert_eq!(present(&cookie.router(), &successor(&answer)).await.status, 200);
    // For a response of the program's own.
    let header = cookie.set_cookie(&login).expect("there is a refresh token");
    assert!(header.is_sensitive());
    let set = SetCookie::parsed(header.to_str().expect("a text"));
    assert_eq!(Secret::from(set.value), refresh_token(&login));
    let client = rig.issuer.client_credentials("shop", None).await.expect("it is issued");
    assert_eq!(cookie.set_cookie(&client), None);
}

// Rule D9.
#[tokio::test]
async fn name_path_and_same_site_are_the_programs_and_a_host_cookie_has_every_path() {
    let rig = Rig::new(Policy::default());
    for (config, endpoint, path, same_site) in [
        (
            CookieConfig::new("web").path("/auth/me.v1"),
            "/auth/me.v1/refresh",
            "/auth/me.v1",
            "Strict",
        ),
        (CookieConfig::new("web").path("/"), "/refresh", "/", "Strict"),
        (CookieConfig::new("web").same_site_lax(), "/session/refresh", "/session", "Lax"),
        (CookieConfig::new("web").name("__Host-rt"), "/session/refresh", "/", "Strict"),
        (CookieConfig::new("web").name("__host-rt"), "/session/refresh", "/", "Strict"),
        (CookieConfig::new("web").name("rt"), "/session/refresh", "/session", "Strict"),
    ] {
        let shown = format!("{config:?}");
        let cookie = server(&rig).refresh_cookie(config).expect("it can be set");
        let login = rig.log_in();
        let header = cookie.set_cookie(&login).expect("there is a refresh token");
        let pair = header.to_str().expect("a text").split(';').next().expect("a cookie");
        let answer = send(&cookie.router(), request(endpoint, &[pair])).await;
        assert_eq!(answer.status, 200, "{shown}");
        let set = SetCookie::of(&answer).expect("a cookie");
        assert_eq!(
            (set.get("Path"), set.get("SameSite")),
            (Some(path), Some(same_site)),
            "{shown}"
        );
        assert_eq!((set.get("Secure"), set.get("HttpOnly")), (Some(""), Some("")), "{shown}");
        assert_eq!(set.get("Domain"), None, "{shown}");
    }
}

#[test]
fn a_cookie_that_cannot_be_set_or_whose_client_is_unknown_is_an_error() {
    let rig = Rig::new(Policy::default());
    let error = |config| server(&rig).refresh_cookie(config).expect_err("it cannot be used");
    let unknown = CookieError::UnknownClient("nobody".to_owned());
    assert_eq!(error(CookieConfig::new("nobody")), unknown);
    for path in [
        "",
        "session",
        "/session/",
        "//",
        "/a//b",
        "/..",
        "/a/./b",
        "/{x}",
        "/a;b",
        "/a b",
        "/ä",
        "/a?b",
    ] {
        let invalid = CookieError::InvalidPath(path.to_owned());
        assert_eq!(error(CookieConfig::new("web").path(path)), invalid);
    }
    for name in ["", "a b", "a=b", "a;b", "a,b", "\"a\"", "ä", "a\r\nSet-Cookie: b"] {
        let invalid = CookieError::InvalidName(name.to_owned());
        assert_eq!(error(CookieConfig::new("web").name(name)), invalid);
    }
}

// Rules D4, D9.
#[tokio::test]
async fn a_refresh_token_that_does_not_work_is_removed_and_all_are_answered_alike() {
    let rig = Rig::new(Policy::new(Reuse::Strict));
    let router = router(&rig);
    let spent = refresh_token(&rig.log_in());
    rig.present(&spent).expect("it rotates");
    let revoked = rig.log_in();
    rig.issuer.revoke("web", &revoked.access_token).await.expect("a store");
    let login = Login::new("shop", "alice");
    let foreign = refresh_token(&rig.issuer.login(login).await.expect("a store"));
    let over = refresh_token(&rig.log_in());
    rig.time.advance(90 * DAY);
    let tokens = [spent, refresh_token(&revoked), foreign, over, Secret::from("nonsense")];
    let mut bodies = Vec::new();
    for token in tokens.into_iter().chain([Secret::from("")]) {
        let answer = present(&router, &token).await;
        assert_eq!(answer.error(), (400, "invalid_grant".to_owned()));
        let set = SetCookie::of(&answer).expect("a cookie");
        assert!(set.is_removal(), "{set:?}");
        // With another path or without `Secure` the browser would keep it.
        assert_eq!((set.name.as_str(), set.get("Path")), (NAME, Some("/session")));
        assert_eq!(set.get("Secure"), Some(""));
        bodies.push(answer.body);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
}

// Rule D9.
#[tokio::test]
async fn without_a_cookie_the_page_must_log_in_and_no_cookie_is_removed() {
    let rig = Rig::new(Policy::default());
    for cookies in [&[][..], &["other=x; refresh=y"], &["__secure-refresh=x"], &["; ;=;x"]] {
        let answer = send(&router(&rig), request("/session/refresh", cookies)).await;
        assert_eq!(answer.error(), (400, "invalid_grant".to_owned()), "{cookies:?}");
        assert!(SetCookie::of(&answer).is_none(), "{cookies:?}");
    }
}

// Rule D9.
#[tokio::test]
async fn of_two_cookies_of_the_name_none_is_presented_wherever_they_are() {
    let rig = Rig::new(Policy::new(Reuse::Strict));
    let router = router(&rig);
    let login = rig.log_in();
    let (ours, writes) = (named(&refresh_token(&login)), rig.store.writes());
    let theirs = format!("{NAME}=tossed");
    let (one, other) = (format!("{ours}; {theirs}"), format!("{theirs}; x=y; {ours}"));
    let twice = format!("{ours}; {ours}");
    let cases =
        [&[&*one][..], &[&*other], &[&*twice], &[&*ours, &*theirs], &[&*theirs, "x=y", &*ours]];
    for cookies in cases {
        let answer = send(&router, request("/session/refresh", cookies)).await;
        assert_eq!(answer.error(), (400, "invalid_request".to_owned()), "{cookies:?}");
        assert!(SetCookie::of(&answer).is_none(), "{cookies:?}");
    }
    // Nor does a value that is no text hide ours from us.
    let mut odd = request("/session/refresh", &[]);
    let bytes = [theirs.as_bytes(), b"\xff; ", ours.as_bytes()].concat();
    odd.headers_mut().insert("cookie", bytes.as_slice().try_into().expect("a header"));
    assert_eq!(send(&router, odd).await.error(), (400, "invalid_request".to_owned()));
    assert_eq!(rig.store.writes(), writes);
    let split = send(&router, request("/session/refresh", &["x=y", &ours, "z=a"])).await;
    assert_eq!(split.status, 200, "HTTP/2 may split the header");
}

// Rules D6, D9.
#[tokio::test]
async fn while_the_store_is_down_the_cookie_stays() {
    let rig = Rig::new(Policy::default());
    let router = router(&rig);
    let token = refresh_token(&rig.log_in());
    rig.store.set_down(true);
    for path in ["/session/refresh", "/session/logout"] {
        let answer = send(&router, request(path, &[&named(&token)])).await;
        assert_eq!(answer.error(), (503, "temporarily_unavailable".to_owned()), "{path}");
        assert_eq!(answer.header("retry-after"), Some("1"), "{path}");
        assert!(SetCookie::of(&answer).is_none(), "{path}");
    }
    rig.store.set_down(false);
    assert_eq!(present(&router, &token).await.status, 200);
}

// Rules D3, D9.
#[tokio::test]
async fn a_logout_revokes_the_family_and_removes_the_cookie_also_of_what_does_not_work() {
    let rig = Rig::new(Policy::default());
    let router = router(&rig);
    let (one, other) = (rig.log_in(), rig.log_in());
    let both = format!("{}; {}", named(&refresh_token(&one)), named(&refresh_token(&other)));
    for cookies in [&[&*both][..], &["__Secure-refresh=nonsense"], &[]] {
        let answer = send(&router, request("/session/logout", cookies)).await;
        assert_eq!((answer.status.as_u16(), &*answer.body), (204, ""), "{cookies:?}");
        assert!(SetCookie::of(&answer).expect("a cookie").is_removal(), "{cookies:?}");
    }
    for login in [one, other] {
        assert!(!rig.works(&login.access_token));
        assert_eq!(present(&router, &refresh_token(&login)).await.status, 400);
    }
}

// Rules D2, D9.
#[tokio::test]
async fn two_tabs_that_refresh_at_once_keep_the_login_under_every_policy_but_strict() {
    for policy in policies() {
        let rig = Rig::new(policy);
        let router = router(&rig);
        let token = refresh_token(&rig.log_in());
        let first = present(&router, &token).await;
        rig.time.advance(SECOND);
        let second = present(&router, &token).await;
        // A browser keeps the cookie that it has where a response sets none.
        let newest = SetCookie::of(&second).or_else(|| SetCookie::of(&first)).expect("a cookie");
        let is_strict = policy == Policy::new(Reuse::Strict);
        assert_eq!(newest.is_removal(), is_strict, "{policy:?}");
        if !is_strict {
            assert_eq!(second.status, 200, "{policy:?}");
            let newest = Secret::from(newest.value);
            assert_eq!(present(&router, &newest).await.status, 200, "{policy:?}");
        }
    }
}

// Rule D9.
#[tokio::test]
async fn refreshes_by_cookie_count_against_the_limit_of_their_login() {
    let rig = Rig::new(Policy::default());
    let config = CookieConfig::new("eager");
    let router = server(&rig).refresh_cookie(config).expect("it can be set").router();
    let login = rig.issuer.login(Login::new("eager", "alice")).await.expect("a login");
    let first = present(&router, &refresh_token(&login)).await;
    assert_eq!(first.status, 200);
    let second = Secret::from(SetCookie::of(&first).expect("a cookie").value);
    let answer = present(&router, &second).await;
    assert_eq!(answer.error(), (429, "temporarily_unavailable".to_owned()));
    assert!(SetCookie::of(&answer).is_none());
}

// Rule D6. What was begun is finished, though its browser has hung up.
#[tokio::test]
async fn a_refresh_whose_page_has_gone_is_finished_before_the_server_is() {
    let rig = Rig::new(Policy::default());
    let server = server(&rig);
    let cookie = server.refresh_cookie(CookieConfig::new("web")).expect("it can be set");
    let login = rig.log_in();
    let request = request("/session/refresh", &[&named(&refresh_token(&login))]);
    let mut answer = Box::pin(cookie.router().oneshot(request));
    assert!((&mut answer).now_or_never().is_none());
    drop(answer);
    assert_eq!(rig.store.newest(login.family), 1);
    server.finish().await;
    assert_eq!(rig.store.newest(login.family), 2);
}

// Rule G1.
#[tokio::test]
async fn what_is_printed_of_a_cookie_has_no_token() {
    let rig = Rig::new(Policy::default());
    let (cookie, login) = (cookie(&rig), rig.log_in());
    let shown = format!("{cookie:?} {:?}", cookie.set_cookie(&login));
    assert!(shown.contains(NAME) && !shown.contains("prt1_"), "{shown}");
    let response = cookie.response(&login);
    assert!(!format!("{response:?}").contains("prt1_"));
}

/// When the refresh token of what was issued expires.
fn left(issued: &Issued) -> Option<u64> {
    issued.refresh_expires_in.map(|it| it.as_secs())
}

// Rule D4.
#[test]
fn the_refresh_token_says_how_long_it_lives_if_it_is_not_used_and_using_it_moves_that() {
    let (hour, day) = (HOUR.as_secs(), DAY.as_secs());
    let policy = Policy::default().idle_lifetime(DAY).absolute_lifetime(2 * DAY);
    let rig = Rig::new(policy);
    let first = rig.log_in();
    assert_eq!(left(&first), Some(day));
    rig.time.advance(23 * HOUR);
    let second = rig.present(&refresh_token(&first)).expect("it rotates");
    assert_eq!(left(&second), Some(day), "it was used");
    rig.time.advance(23 * HOUR);
    let third = rig.present(&refresh_token(&second)).expect("it rotates");
    assert_eq!(left(&third), Some(2 * hour), "the absolute lifetime comes first");
    // The same successor again, a second later.
    rig.time.advance(SECOND);
    let again = rig.present(&refresh_token(&second)).expect("within the window");
    assert_eq!(left(&again), Some(2 * hour - 1));
    rig.time.advance(again.refresh_expires_in.expect("there is a limit"));
    assert!(rig.present(&refresh_token(&third)).is_err(), "that was the end");
    let raw = RawPolicy { reuse: Reuse::Strict, absolute: None, idle: None };
    let endless = Policy::from(raw);
    assert_eq!(left(&Rig::new(endless).log_in()), None, "there is no limit");
    let robot = block_on(rig.issuer.client_credentials("robot", None)).expect("it is issued");
    assert_eq!(left(&robot), None, "there is no refresh token");
    let access_only = Rig::new(Policy::new(Reuse::overlap_access_only(WINDOW)));
    let token = refresh_token(&access_only.log_in());
    assert!(left(&access_only.present(&token).expect("it rotates")).is_some());
    let renewed = access_only.present(&token).expect("within the window");
    assert_eq!((renewed.refresh_token.is_some(), left(&renewed)), (false, None));
}
