//! Both verifiers over `reqwest`, against this crate's own server.

use perennial::adapters::axum::{AuthorizationServer, RegisteredClient};
use perennial::adapters::jwt::Jwt;
use perennial::adapters::resource_server::{Introspection, JwtVerifier, ReqwestClient};
use perennial::issue::{
    AuthenticationError, Issuer, Keys, Login, MemoryFamilies, TokenVerifier as _,
};
use tokio::net::TcpListener;

use super::support::{API, ISSUER, key};

#[test]
fn outside_a_runtime_the_client_cannot_be_built() {
    assert!(ReqwestClient::new().is_err());
}

// Rule D8.
#[tokio::test]
async fn a_token_is_verified_on_another_machine_by_keys_and_by_introspection() {
    let tokens = Jwt::new(ISSUER, API, key(1));
    let keys = tokens.jwks();
    let families = MemoryFamilies::new();
    let builder = Issuer::builder(Keys::new([7; 32]).expect("long enough"), families);
    let issuer = builder.access_tokens(tokens).build();
    let server = AuthorizationServer::builder(issuer.clone(), ISSUER)
        .client(RegisteredClient::confidential("api", "the secret of the API").introspection())
        .jwks(keys)
        .build()
        .expect("each setting is allowed");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = format!("http://{}", listener.local_addr().expect("bound"));
    let serving = tokio::spawn(axum::serve(listener, server.router()).into_future());

    let login = issuer.login(Login::new("web", "alice").scope("read")).await.expect("a login");
    let http = ReqwestClient::new().expect("in a runtime");
    let keys = format!("{at}/jwks.json");
    let by_keys = JwtVerifier::builder(ISSUER, API, keys, http.clone()).build().expect("local");
    let url = format!("{at}/introspect");
    let asking =
        Introspection::builder(&url, "api", "the secret of the API", http.clone()).audience(API);
    let asking = asking.issuer(ISSUER).build().expect("local");
    assert_eq!(by_keys.authenticate(&login.access_token).await.expect("good").subject, "alice");
    assert_eq!(asking.authenticate(&login.access_token).await.expect("good").subject, "alice");
    let refused = Introspection::builder(url, "api", "wrong", http).build().expect("local");
    let refused = refused.authenticate(&login.access_token).await;
    let Err(AuthenticationError::Unchecked(why)) = refused else { panic!("{refused:?}") };
    assert!(why.to_string().contains("does not accept this client"), "{why}");
    serving.abort();
    drop(serving.await);

    by_keys.authenticate(&login.access_token).await.expect("the keys are here");
}
