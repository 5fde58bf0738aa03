//! The pages of a user's account: login, devices, logout everywhere. The refresh token is in a cookie; the page has
//! the access token alone.

use std::cmp::Reverse;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Form, Path, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER, USER_AGENT,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use perennial::adapters::axum::{
    AuthorizationServer, CookieConfig, CookieError, RefreshCookie, RequireBearer,
};
use perennial::issue::{FamilyId, FamilyStore, Identity, Issuer, Login};
use perennial::store::StoreError;
use perennial::token::Secret;
use serde_json::{Value, json};

use crate::attempts::TooMany;
use crate::label::label;
use crate::server::CLIENT;
use crate::users::Users;

struct Account<S: FamilyStore> {
    issuer: Issuer<S>,
    cookie: RefreshCookie<S>,
    users: Users,
}

/// The routes under `/account`, and under `/session` those of the cookie.
pub(crate) fn router<S: FamilyStore>(
    server: &AuthorizationServer<S>,
    issuer: Issuer<S>,
    users: Users,
) -> Result<Router, CookieError> {
    let cookie = server.refresh_cookie(CookieConfig::new(CLIENT))?;
    let account = Account { issuer: issuer.clone(), cookie: cookie.clone(), users };
    let account = Arc::new(account);
    let login = Router::new().route("/session/login", post(login)).with_state(account.clone());
    let api = Router::new()
        .route("/account/devices", get(devices_of))
        .route("/account/devices/{id}/logout", post(log_device_out))
        .route("/account/logout-everywhere", post(log_out_everywhere))
        .layer(RequireBearer::new(issuer).realm("account"))
        .with_state(account);
    Ok(Router::new()
        .route("/account", get(async || file("text/html", include_str!("web/account.html"))))
        .route("/account/page.css", get(async || file("text/css", include_str!("web/account.css"))))
        .route(
            "/account/page.mjs",
            get(async || file("text/javascript", include_str!("web/account.mjs"))),
        )
        .merge(cookie.router())
        .merge(cookie.protect(login))
        .merge(api))
}

#[derive(serde::Deserialize)]
struct Entered {
    name: String,
    password: String,
}

/// Compares name and password, and begins a session in the cookie.
async fn login<S: FamilyStore>(
    State(account): State<Arc<Account<S>>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Form(Entered { name, password }): Form<Entered>,
) -> Response {
    match account.users.verify(&name, Secret::from(password), peer.ip()).await {
        Ok(true) => {}
        Ok(false) => {
            let body = json!({ "error": "invalid_grant", "error_description": "The name or the password is wrong." });
            return (StatusCode::BAD_REQUEST, Json(body)).into_response();
        }
        Err(TooMany { seconds }) => {
            let text = format!("Too many wrong passwords. Try again in {seconds} s.");
            let body = json!({ "error": "temporarily_unavailable", "error_description": text });
            let after = [(RETRY_AFTER, seconds.to_string())];
            return (StatusCode::TOO_MANY_REQUESTS, after, Json(body)).into_response();
        }
    }
    // Whoever was logged in in this browser before is no longer.
    if account.cookie.revoke(&headers).await.is_err() {
        return unavailable();
    }
    let agent = headers.get(USER_AGENT).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let login = Login::new(CLIENT, &name).scope("account").device(label(agent));
    let Ok(issued) = account.issuer.login(login).await else {
        return unavailable();
    };
    account.cookie.response(&issued)
}

/// The devices where the user is logged in, the newest login first: this order stays while they refresh.
async fn devices_of<S: FamilyStore>(
    State(account): State<Arc<Account<S>>>,
    Extension(who): Extension<Identity>,
) -> Result<Json<Value>, Response> {
    let mut logins = account.issuer.families_of(&who.subject).await.map_err(refused)?;
    logins.sort_by_key(|login| Reverse((login.began, login.family)));
    let devices = logins.into_iter().map(|login| {
        json!({
            "id": login.family.to_string(),
            "label": login.device.as_deref().unwrap_or("unknown device"),
            "began": login.began.as_millis(),
            "used": login.used.as_millis(),
            "here": who.family == Some(login.family),
        })
    });
    let devices: Vec<_> = devices.collect();
    Ok(Json(json!({ "subject": who.subject, "devices": devices })))
}

/// Logs a device of the user out; one of somebody else is not found.
async fn log_device_out<S: FamilyStore>(
    State(account): State<Arc<Account<S>>>,
    Extension(who): Extension<Identity>,
    Path(id): Path<String>,
) -> Result<StatusCode, Response> {
    let Some(id) = FamilyId::parse(&id) else { return Ok(StatusCode::NOT_FOUND) };
    let is_theirs = account.issuer.revoke_family(&who.subject, id).await.map_err(refused)?;
    Ok(if is_theirs { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND })
}

async fn log_out_everywhere<S: FamilyStore>(
    State(account): State<Arc<Account<S>>>,
    Extension(who): Extension<Identity>,
    _request: Request,
) -> Result<StatusCode, Response> {
    account.issuer.revoke_subject(&who.subject).await.map_err(refused)?;
    Ok(StatusCode::NO_CONTENT)
}

fn refused(_: StoreError) -> Response {
    unavailable()
}

fn unavailable() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "1")]).into_response()
}

/// A file of the page. No script but its own runs in it, and no other page can frame it.
fn file(kind: &'static str, text: &'static str) -> Response {
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                  base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let headers = [
        (CONTENT_TYPE, kind),
        (CONTENT_SECURITY_POLICY, policy),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use serde_json::Value;

    use super::{RETRY_AFTER, SocketAddr, StatusCode, USER_AGENT, router};
    use crate::attempts::OF_A_NAME;
    use crate::log_tests::config;
    use crate::server::Server;
    use crate::users::Users;

    /// The server with the users alice and bob.
    struct Rig {
        url: String,
        http: reqwest::Client,
    }

    impl Rig {
        async fn start() -> Self {
            let mut users = Users::default();
            users.add("alice:correct-horse").expect("a user");
            users.add("bob:battery-staple").expect("a user");
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let mut server = Server::listen(address, config()).await.expect("a port is free");
            let routes = router(&server.endpoints, server.issuer.clone(), users);
            server.add(routes.expect("the client is registered"));
            let url = server.url.clone();
            tokio::spawn(server.serve(std::future::pending()));
            let http = reqwest::Client::builder().no_proxy().build().expect("a client");
            Self { url, http }
        }

        async fn login(&self, name: &str, password: &str, agent: &str) -> reqwest::Response {
            let request = self.http.post(format!("{}/session/login", self.url));
            let request = request.header("origin", &self.url).header(USER_AGENT, agent);
            let request = request.form(&[("name", name), ("password", password)]);
            request.send().await.expect("an answer")
        }

        async fn token(&self, name: &str, password: &str, agent: &str) -> String {
            let answer = self.login(name, password, agent).await;
            assert_eq!(answer.status(), StatusCode::OK);
            let answer: Value = answer.json().await.expect("JSON");
            answer["access_token"].as_str().expect("a token").to_owned()
        }

        async fn devices(&self, token: &str) -> Option<Vec<Value>> {
            let request = self.http.get(format!("{}/account/devices", self.url)).bearer_auth(token);
            let answer = request.send().await.expect("an answer");
            if answer.status() == StatusCode::UNAUTHORIZED {
                return None;
            }
            let answer: Value = answer.json().await.expect("JSON");
            Some(answer["devices"].as_array().expect("a list").clone())
        }

        async fn log_out(&self, token: &str, path: &str) -> StatusCode {
            let request = self.http.post(format!("{}/account/{path}", self.url));
            request.bearer_auth(token).send().await.expect("an answer").status()
        }
    }

    fn labels(devices: &[Value]) -> Vec<&str> {
        let mut labels: Vec<_> =
            devices.iter().map(|it| it["label"].as_str().expect("a text")).collect();
        labels.sort_unstable();
        labels
    }

    // Rule D3.
    #[tokio::test]
    async fn a_device_is_listed_until_it_is_logged_out_and_only_by_its_user() {
        let rig = Rig::start().await;
        let phone = rig.token("alice", "correct-horse", "Firefox/1 (Android)").await;
        let laptop = rig.token("alice", "correct-horse", "Firefox/1 (Linux)").await;
        let bobs = rig.token("bob", "battery-staple", "curl/8").await;
        let devices = rig.devices(&phone).await.expect("she is logged in");
        assert_eq!(labels(&devices), ["Firefox on Android", "Firefox on Linux"]);
        let here: Vec<_> = devices.iter().filter(|it| it["here"] == true).collect();
        assert_eq!((here.len(), &here[0]["label"]), (1, &Value::from("Firefox on Android")));
        assert_eq!(labels(&rig.devices(&bobs).await.expect("he is logged in")), ["curl"]);

        let path = format!("devices/{}/logout", here[0]["id"].as_str().expect("a text"));
        assert_eq!(rig.log_out(&bobs, &path).await, StatusCode::NOT_FOUND);
        assert!(rig.devices(&phone).await.is_some(), "it is not his");
        assert_eq!(rig.log_out(&laptop, "devices/x/logout").await, StatusCode::NOT_FOUND);
        assert_eq!(rig.log_out(&laptop, &path).await, StatusCode::NO_CONTENT);
        assert_eq!(rig.devices(&phone).await, None);
        let devices = rig.devices(&laptop).await.expect("she is logged in");
        assert_eq!(labels(&devices), ["Firefox on Linux"]);

        assert_eq!(rig.log_out(&laptop, "logout-everywhere").await, StatusCode::NO_CONTENT);
        assert_eq!(rig.devices(&laptop).await, None);
        assert_eq!(labels(&rig.devices(&bobs).await.expect("he is logged in")), ["curl"]);
    }

    #[tokio::test]
    async fn after_too_many_wrong_passwords_of_a_user_the_answer_says_when_to_try_again() {
        let rig = Rig::start().await;
        for name in ["alice", "mallory"] {
            for _ in 0..OF_A_NAME.get() {
                let answer = rig.login(name, "wrong", "").await;
                assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{name}");
            }
            let answer = rig.login(name, "correct-horse", "").await;
            assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS, "{name}");
            let after = answer.headers()[RETRY_AFTER].to_str().expect("digits").parse::<u64>();
            assert!((1..=30).contains(&after.expect("seconds")), "{name}");
        }
        rig.token("bob", "battery-staple", "").await;
    }
}
