//! The pages of a user's account: login, devices, logout everywhere. The refresh token is in a cookie; the page has
//! the access token alone.

use std::sync::Arc;

use axum::extract::{Form, Path, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, USER_AGENT,
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

use crate::devices::{Devices, label};
use crate::server::CLIENT;
use crate::users::Users;

struct Account<S: FamilyStore> {
    issuer: Issuer<S>,
    cookie: RefreshCookie<S>,
    users: Users,
    devices: Devices<S>,
}

/// The routes under `/account`, and under `/session` those of the cookie.
pub(crate) fn router<S: FamilyStore>(
    server: &AuthorizationServer<S>,
    issuer: Issuer<S>,
    users: Users,
    devices: Devices<S>,
) -> Result<Router, CookieError> {
    let cookie = server.refresh_cookie(CookieConfig::new(CLIENT))?;
    let account = Account { issuer: issuer.clone(), cookie: cookie.clone(), users, devices };
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
    headers: HeaderMap,
    Form(Entered { name, password }): Form<Entered>,
) -> Response {
    if !account.users.verify(&name, Secret::from(password)).await {
        let body = json!({ "error": "invalid_grant", "error_description": "The name or the password is wrong." });
        return (StatusCode::BAD_REQUEST, Json(body)).into_response();
    }
    // Whoever was logged in in this browser before is no longer.
    if account.cookie.revoke(&headers).await.is_err() {
        return unavailable();
    }
    let Ok(issued) = account.issuer.login(Login::new(CLIENT, &name).scope("account")).await else {
        return unavailable();
    };
    let agent = headers.get(USER_AGENT).and_then(|it| it.to_str().ok()).unwrap_or_default();
    account.devices.add(&name, issued.family, &label(agent));
    let mut response = account.cookie.response(&issued);
    // So that the page can say which of the devices it is on.
    let device = issued.family.to_string().parse().expect("digits and letters");
    response.headers_mut().insert("x-device", device);
    response
}

async fn devices_of<S: FamilyStore>(
    State(account): State<Arc<Account<S>>>,
    Extension(who): Extension<Identity>,
) -> Result<Json<Value>, Response> {
    let devices = account.devices.of(&who.subject).await.map_err(refused)?;
    Ok(Json(json!({ "subject": who.subject, "devices": devices })))
}

async fn log_device_out<S: FamilyStore>(
    State(account): State<Arc<Account<S>>>,
    Extension(who): Extension<Identity>,
    Path(id): Path<String>,
) -> Result<StatusCode, Response> {
    let id = FamilyId::parse(&id).ok_or(StatusCode::NOT_FOUND.into_response())?;
    account.devices.revoke(&who.subject, id).await.map_err(refused)?;
    Ok(StatusCode::NO_CONTENT)
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
