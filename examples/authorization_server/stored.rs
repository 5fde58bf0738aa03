//! The server with `--store`: the endpoints of this crate, over families that other servers share.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use axum::{Json, Router};
use perennial::adapters::axum::{AuthorizationServer, RegisteredClient, RequireBearer};
use perennial::issue::{FamilyStore, GrantError, Issued, Issuer, Keys, Login};
use perennial::rotation::{Policy, Reuse};
use perennial::token::Secret;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::server::{Config, Rotation, Urls, echo};

/// As many requests as anybody makes.
const UNLIMITED: (u32, Duration) = (1_000_000, Duration::from_secs(1));

/// A server that listens.
pub(crate) struct Stored<S: FamilyStore> {
    listener: TcpListener,
    endpoints: AuthorizationServer<S>,
    router: Router,
    /// What tells a client everything.
    pub(crate) line: Value,
}

/// Returns the policy of this rotation.
///
/// # Errors
/// If this crate's servers do not rotate so.
pub(crate) fn policy(config: &Config) -> Result<Policy, String> {
    let reuse = match config.rotation {
        Rotation::Strict => Reuse::Strict,
        Rotation::Idempotent => Reuse::idempotent(config.overlap),
        Rotation::ConfirmByUse => Reuse::ConfirmByUse,
        Rotation::OverlapSuccessors => {
            return Err(
                "--rotation overlap-successors is for families in memory: with --store the \
                        rotations are strict, idempotent and confirm-by-use"
                    .into(),
            );
        }
    };
    let policy = Policy::new(reuse);
    Ok(match config.refresh_ttl {
        Some(lifetime) => policy.idle_lifetime(lifetime),
        None => policy,
    })
}

impl<S: FamilyStore> Stored<S> {
    /// Listens, and logs the demo user in.
    pub(crate) async fn listen(
        address: SocketAddr,
        config: &Config,
        (families, keys): (S, Keys),
    ) -> Result<Self, String> {
        let issuer = Issuer::builder(keys, families)
            .policy(policy(config)?)
            .access_lifetime(config.access_ttl)
            .build();
        let failed = |error: io::Error| format!("cannot listen on {address}: {error}");
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let urls = Urls::at(listener.local_addr().map_err(failed)?);
        let client = match &config.client_secret {
            Some(secret) => RegisteredClient::confidential(&config.client_id, &**secret),
            None => RegisteredClient::public(&config.client_id),
        };
        let url = urls.token_endpoint.trim_end_matches("/token");
        let endpoints = AuthorizationServer::builder(issuer.clone(), url)
            .client(client.rate_limit(UNLIMITED.0, UNLIMITED.1))
            .build()
            .map_err(|error| error.to_string())?;
        let tokens = log_in(&issuer, &config.client_id).await;
        let tokens = tokens.map_err(|error| format!("--store: {error}"))?;
        let line = json!({
            "token_endpoint": urls.token_endpoint,
            "api_url": urls.api,
            "seed_url": urls.seed,
            "expire_url": null,
            "stats_url": null,
            "client_id": config.client_id,
            "client_secret": config.client_secret,
            "access_token": tokens["access_token"],
            "refresh_token": tokens["refresh_token"],
        });
        let api = Router::new()
            .route("/api", any(echo))
            .route("/api/{*rest}", any(echo))
            .layer(RequireBearer::new(issuer.clone()));
        let id = config.client_id.clone();
        let seed = move || async move { seed(&issuer, &id).await };
        let router = endpoints.router().merge(api).route("/seed", post(seed));
        Ok(Self { listener, endpoints, router, line })
    }

    /// Serves until `ended`, and finishes what was begun.
    pub(crate) async fn serve(
        self,
        ended: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        axum::serve(self.listener, self.router).with_graceful_shutdown(ended).await?;
        self.endpoints.finish().await;
        Ok(())
    }
}

async fn seed<S: FamilyStore>(issuer: &Issuer<S>, client: &str) -> Response {
    match log_in(issuer, client).await {
        Ok(body) => ([("cache-control", "no-store")], Json(body)).into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// Starts a family; returns the token response.
async fn log_in<S: FamilyStore>(issuer: &Issuer<S>, client: &str) -> Result<Value, GrantError> {
    let Issued { access_token, expires_in, refresh_token, .. } =
        issuer.login(Login::new(client, "demo")).await?;
    Ok(json!({
        "access_token": access_token.expose(),
        "token_type": "Bearer",
        "expires_in": expires_in.as_secs_f64(),
        "refresh_token": refresh_token.as_ref().map(Secret::expose),
    }))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use perennial::issue::MemoryFamilies;

    use super::*;

    async fn start(families: &MemoryFamilies) -> Value {
        let config = Config::new(Duration::from_secs(60));
        let keys = Keys::new([7; 32]).expect("it is long enough");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = Stored::listen(address, &config, (families.clone(), keys)).await;
        let server = server.expect("a port is free");
        let line = server.line.clone();
        tokio::spawn(server.serve(std::future::pending()));
        line
    }

    async fn refresh(server: &Value, token: &Value) -> Value {
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", "perennial-demo"),
            ("refresh_token", token.as_str().expect("a token")),
        ];
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let url = server["token_endpoint"].as_str().expect("a URL");
        http.post(url).form(&form).send().await.expect("a response").json().await.expect("JSON")
    }

    // Rule D1.
    #[tokio::test]
    async fn two_servers_of_one_store_take_each_others_tokens_and_rotate_each_once() {
        let families = MemoryFamilies::new();
        let (one, other) = (start(&families).await, start(&families).await);
        let next = refresh(&other, &one["refresh_token"]).await;
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let access = next["access_token"].as_str().expect("a token");
        for (server, token, status) in
            [(&one, access, 200), (&other, access, 200), (&one, "x", 401)]
        {
            let url = server["api_url"].as_str().expect("a URL");
            let response = http.get(url).bearer_auth(token).send().await.expect("a response");
            assert_eq!(response.status(), status);
        }
        let again = refresh(&one, &one["refresh_token"]).await;
        assert_eq!(again["error"], "invalid_grant");
        let revoked = refresh(&other, &next["refresh_token"]).await;
        assert_eq!(revoked["error"], "invalid_grant");
    }

    #[test]
    fn a_rotation_that_this_crate_does_not_have_is_refused() {
        let mut config = Config::new(Duration::from_secs(60));
        assert!(policy(&config).is_ok());
        config.rotation = Rotation::OverlapSuccessors;
        assert!(policy(&config).is_err_and(|error| error.contains("strict, idempotent")));
    }
}
