//! Those who send garbage, guess secrets or stall are held off, and nobody else is.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request};
use futures::StreamExt as _;
use perennial::adapters::axum::{
    AuthorizationServer, AuthorizationServerBuilder, BuildError, GrantRefusal, GrantRequest,
    PeerAddress, RegisteredClient,
};
use perennial::events::{Event, EventKind};
use perennial::rotation::{Policy, Reuse};
use perennial::token::Secret;

use super::http::{post, refresh_form, send, with_basic};
use super::support::{HOUR, Rig, SECOND, Watched, refresh_token};

const ATTACKER: [u8; 4] = [6, 6, 6, 6];
const HONEST: [u8; 4] = [10, 0, 0, 1];
const SECRET: &str = "the secret of the shop";

fn from(peer: impl Into<IpAddr>, mut request: Request) -> Request {
    request.extensions_mut().insert(ConnectInfo(SocketAddr::new(peer.into(), 50_000)));
    request
}

fn server(rig: &Rig) -> AuthorizationServer<Watched> {
    AuthorizationServer::builder(rig.issuer.clone(), "https://auth.example.com")
        .client(RegisteredClient::public("web").rate_limit(3, HOUR))
        .client(RegisteredClient::confidential("shop", SECRET).client_credentials(["read"]))
        .build()
        .expect("each setting is allowed")
}

fn router(rig: &Rig) -> Router {
    server(rig).router()
}

fn garbage() -> Request {
    post("/token", "grant_type=refresh_token&client_id=web&refresh_token=prt1_garbage")
}

// Rule D10. Case X47.
#[tokio::test]
async fn garbage_is_charged_to_its_peer_and_holds_nobody_else_off() {
    let rig = Rig::new(Policy::default());
    let router = router(&rig);
    let writes = rig.store.writes();
    let mut answers = Vec::new();
    for _ in 0..1000 {
        answers.push(send(&router, from(ATTACKER, garbage())).await.status.as_u16());
    }
    assert_eq!(answers.iter().filter(|it| **it == 400).count(), 30 + late(&answers, 30));
    assert_eq!(answers.last(), Some(&429));
    assert_eq!(rig.store.writes(), writes);
    for peer in [HONEST, ATTACKER] {
        // Also at the attacker's address, such as a company's.
        let login = rig.log_in();
        let honest = from(peer, post("/token", &refresh_form(&refresh_token(&login))));
        assert_eq!(send(&router, honest).await.status, 200);
    }
    assert_eq!(send(&router, from(HONEST, garbage())).await.status, 400);
}

/// How many answers after the first that were allowed anew: one a second, however long a test takes.
fn late(answers: &[u16], burst: usize) -> usize {
    answers.iter().skip(burst).filter(|it| **it == 400).count()
}

// Rule D10. Unknown clients, and others' tokens that verify.
#[tokio::test]
async fn whoever_makes_up_clients_is_held_off_and_a_token_that_verifies_is_charged_to_its_family() {
    let rig = Rig::new(Policy::default());
    let router = router(&rig);
    let unknown = |one: usize| {
        let form = format!("grant_type=refresh_token&client_id=made-up-{one}&refresh_token=x");
        from(ATTACKER, post("/token", &form))
    };
    for one in 0..30 {
        assert_eq!(send(&router, unknown(one)).await.status, 400);
    }
    let mut held_off = 0;
    for one in 30..60 {
        held_off += usize::from(send(&router, unknown(one)).await.status == 429);
    }
    assert!(held_off >= 20, "{held_off}");
    let (mine, other) = (rig.log_in(), rig.log_in());
    let mut token = refresh_token(&mine);
    for _ in 0..3 {
        let answer = send(&router, from(HONEST, post("/token", &refresh_form(&token)))).await;
        token = Secret::from(answer.json()["refresh_token"].as_str().expect("a successor"));
    }
    let answer = send(&router, from(HONEST, post("/token", &refresh_form(&token)))).await;
    assert_eq!(answer.error(), (429, "temporarily_unavailable".to_owned()));
    let seconds: u64 = answer.header("retry-after").expect("told").parse().expect("a number");
    assert!((1190..=1201).contains(&seconds), "{seconds}");
    assert_eq!(rig.store.newest(mine.family), 4, "what is beyond the limit rotates nothing");
    let answer = send(&router, from(HONEST, post("/token", &refresh_form(&refresh_token(&other)))));
    assert_eq!(answer.await.status, 200, "another login of the same client at the same address");
}

// Rules D3, D10.
#[tokio::test]
async fn reuse_revokes_a_family_that_is_beyond_its_limit() {
    let rig = Rig::new(Policy::new(Reuse::Strict));
    let router = router(&rig);
    let login = rig.log_in();
    let first = refresh_token(&login);
    let mut token = first.clone();
    for _ in 0..3 {
        let answer = send(&router, post("/token", &refresh_form(&token))).await;
        token = Secret::from(answer.json()["refresh_token"].as_str().expect("a successor"));
    }
    assert_eq!(send(&router, post("/token", &refresh_form(&token))).await.status, 429);
    let answer = send(&router, post("/token", &refresh_form(&first))).await;
    assert_eq!(answer.error(), (400, "invalid_grant".to_owned()));
    assert!(!rig.works(&login.access_token));
}

// Rule D10. RFC 6749, section 2.3.1.
#[tokio::test]
async fn wrong_secrets_are_held_off_from_the_first_dozen_on_and_the_client_is_served_elsewhere() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&told);
    let rig = Rig::with(Policy::default(), move |builder| {
        builder.on_event(move |event: &Event| {
            let EventKind::Issuer(event) = &event.kind else { return };
            listener.lock().expect("no panic").push(event.to_string());
        })
    });
    let router = router(&rig);
    let ask = "grant_type=client_credentials";
    let mut answers = Vec::new();
    for one in 0..5000 {
        let guess = with_basic(post("/token", ask), "shop", &format!("a wrong secret, {one}"));
        answers.push(send(&router, from(ATTACKER, guess)).await.status.as_u16());
    }
    assert_eq!(answers[..12], [401; 12]);
    assert!(answers[12..].iter().filter(|it| **it == 429).count() > 4900);
    // A right guess is not told from a wrong one.
    let right = || with_basic(post("/token", ask), "shop", SECRET);
    assert_eq!(send(&router, from(ATTACKER, right())).await.status, 429);
    assert_eq!(send(&router, from(HONEST, right())).await.status, 200);
    let told = told.lock().expect("no panic");
    assert_eq!(told.len(), 5002);
    assert_eq!(
        told[0],
        "client refused: client shop, from 6.6.6.6: the client is not known, or its authentication failed"
    );
    assert_eq!(told[5000], "throttled: client shop, from 6.6.6.6: too many requests");
}

#[tokio::test]
async fn a_peer_is_taken_from_the_header_of_a_proxy_where_the_operator_says_so() {
    let rig = Rig::new(Policy::default());
    let router = AuthorizationServer::builder(rig.issuer.clone(), "https://auth.example.com")
        .client(RegisteredClient::public("web"))
        .peer_address(PeerAddress::Header("x-forwarded-for".parse().expect("a name")))
        .build()
        .expect("each setting is allowed")
        .router();
    let through = async |peer: &str| {
        let mut request = from(HONEST, garbage());
        request.headers_mut().insert("x-forwarded-for", peer.parse().expect("a header"));
        send(&router, request).await.status.as_u16()
    };
    for one in 0..100 {
        // Of an address of version 6 the first half counts; what a client sets itself does not.
        let forged = format!("10.0.0.{one}, 2001:db8::{one}");
        assert_eq!(through(&forged).await, if one < 30 { 400 } else { 429 }, "{one}");
    }
    assert_eq!(through("6.6.6.6, 2001:db8:0:1::1").await, 400);
}

// Rule D10.
#[tokio::test]
async fn a_guess_at_a_grant_of_the_program_s_is_not_looked_at_beyond_the_limit() {
    let rig = Rig::new(Policy::default());
    let looked_at = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&looked_at);
    let exchange = move |request: GrantRequest| {
        *counter.lock().expect("no panic") += 1;
        async move {
            request.parameter("code")?;
            Err(GrantRefusal::InvalidGrant)
        }
    };
    let server = AuthorizationServer::builder(rig.issuer.clone(), "https://auth.example.com")
        .client(RegisteredClient::public("web"))
        .grant("authorization_code", exchange);
    let router = server.build().expect("each setting is allowed").router();
    let guess = || post("/token", "grant_type=authorization_code&client_id=web&code=guess");
    for _ in 0..500 {
        send(&router, from(ATTACKER, guess())).await;
    }
    let seen = *looked_at.lock().expect("no panic");
    assert!((30..60).contains(&seen), "{seen} of 500 guesses");
    assert_eq!(send(&router, from(HONEST, guess())).await.status, 400);
}

// Rule D10.
#[tokio::test]
async fn a_revocation_is_charged_as_a_refresh_is_and_writes_once() {
    let rig = Rig::new(Policy::default());
    let router = router(&rig);
    let (login, other) = (rig.log_in(), rig.log_in());
    let writes = rig.store.writes();
    let revoke = |token: &str| post("/revoke", &format!("client_id=web&token={token}"));
    let token = refresh_token(&login);
    let mut statuses = Vec::new();
    for token in [token.expose(), login.access_token.expose(), token.expose(), token.expose()] {
        statuses.push(send(&router, from(HONEST, revoke(token))).await.status.as_u16());
    }
    assert_eq!(statuses, [200, 200, 200, 429]);
    assert_eq!(rig.store.writes(), writes + 1, "what is revoked is not revoked again");
    for _ in 0..40 {
        send(&router, from(ATTACKER, revoke("nothing"))).await;
    }
    assert_eq!(send(&router, from(ATTACKER, revoke("nothing"))).await.status, 429);
    let works = send(&router, from(ATTACKER, revoke(other.access_token.expose()))).await;
    assert_eq!(works.status, 200);
    assert!(!rig.works(&other.access_token));
}

// Rule D10. Whose secret is wrong is not known, so nobody is held off for it.
#[tokio::test]
async fn a_client_is_not_held_off_where_peers_are_not_known() {
    let rig = Rig::new(Policy::default());
    let router = router(&rig);
    let ask = "grant_type=client_credentials";
    for _ in 0..100 {
        let guess = with_basic(post("/token", ask), "shop", "a wrong secret");
        assert_eq!(send(&router, guess).await.status, 401);
    }
    assert_eq!(send(&router, with_basic(post("/token", ask), "shop", SECRET)).await.status, 200);
}

// Rule D10.
#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_is_given_up_and_never_holds_up_the_end() {
    let rig = Rig::new(Policy::default());
    let server = server(&rig);
    let router = server.router();
    for path in ["/token", "/revoke"] {
        let first = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from("grant_type="))]);
        let stalled = Body::from_stream(first.chain(futures::stream::pending()));
        let request =
            Request::post(path).header("content-type", "application/x-www-form-urlencoded");
        let answer = tokio::spawn({
            let (router, request) = (router.clone(), request.body(stalled).expect("a request"));
            async move { send(&router, request).await }
        });
        tokio::task::yield_now().await;
        tokio::time::timeout(SECOND, server.finish()).await.expect("nothing is claimed yet");
        assert!(!answer.is_finished());
        let answer = answer.await.expect("no panic");
        assert_eq!(answer.error(), (408, "invalid_request".to_owned()), "{path}");
    }
    let status = format!("{:?}", tokio::runtime::Handle::current().metrics().num_alive_tasks());
    assert_eq!(status, "0", "nothing is left");
}

// Rule D10.
#[test]
fn what_would_be_unsafe_in_operation_is_refused_where_the_server_is_built() {
    let rig = Rig::new(Policy::default());
    let built = |clients: Vec<RegisteredClient>| {
        let builder = AuthorizationServer::builder(rig.issuer.clone(), "https://auth.example.com");
        clients.into_iter().fold(builder, AuthorizationServerBuilder::client).build()
    };
    let (public, confidential) = (RegisteredClient::public, |id: &str, secret: &str| {
        RegisteredClient::confidential(id, secret)
    });
    let refused = |clients| built(clients).err();
    assert_eq!(
        refused(vec![confidential("shop", "fifteen bytes..")]),
        Some(BuildError::ShortSecret("shop".into()))
    );
    assert_eq!(
        refused(vec![confidential("shop", SECRET).and_secret("short")]),
        Some(BuildError::ShortSecret("shop".into()))
    );
    assert_eq!(
        refused(vec![confidential("web", SECRET), public("web")]),
        Some(BuildError::RepeatedClient("web".into()))
    );
    for (encoded, decoded) in [("a+b", "a b"), ("a%20b", "a b"), ("%61", "a")] {
        assert_eq!(
            refused(vec![public(encoded), confidential(decoded, SECRET)]),
            Some(BuildError::CollidingClients(encoded.into(), decoded.into()))
        );
    }
    assert!(built(vec![confidential("shop", "sixteen bytes...")]).is_ok());
    let builder = || AuthorizationServer::builder(rig.issuer.clone(), "https://auth.example.com");
    let computed = builder().metadata("token_endpoint", "https://elsewhere").build().err();
    assert_eq!(computed, Some(BuildError::ComputedMetadata("token_endpoint".into())));
    let grant = async |_| Err(GrantRefusal::InvalidGrant);
    let repeated = builder().grant("refresh_token", grant).build().err();
    assert_eq!(repeated, Some(BuildError::RepeatedGrantType("refresh_token".into())));
}
