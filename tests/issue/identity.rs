//! What a verified access token says of its holder: own claims, the device, the family, a leeway.

use perennial::adapters::jwt::{Jwt, SigningKey};
use perennial::issue::{AccessTokens as _, ClaimError, GrantError, Login, OwnClaims, Principal};
use perennial::rotation::Policy;
use serde_json::json;

use super::support::{HOUR, MILLI, Rig, SECOND, block_on, just_before, refresh_token};

fn claims() -> OwnClaims {
    let claims = OwnClaims::new().with("roles", json!(["editor", "admin"]));
    claims.and_then(|it| it.with("tenant", "acme")).expect("names of the program's own")
}

fn jwt() -> Jwt {
    Jwt::new("https://auth.example.com", "api", SigningKey::ed25519([3; 32]))
}

fn rigs() -> [Rig; 2] {
    [
        Rig::new(Policy::default()),
        Rig::with(Policy::default(), |builder| builder.access_tokens(jwt())),
    ]
}

// Rule D11.
#[test]
fn the_program_s_claims_and_the_device_are_in_each_token_of_a_login() {
    for rig in rigs() {
        let login = Login::new("web", "alice").device("phone").claims(claims());
        let login = block_on(rig.issuer.login(login)).expect("a login");
        let next = rig.present(&refresh_token(&login)).expect("it works");
        for token in [&login.access_token, &next.access_token] {
            let identity = block_on(rig.issuer.authenticate(token)).expect("it works");
            assert_eq!(identity.claims, claims());
            assert_eq!(identity.device.as_deref(), Some("phone"));
            assert_eq!((identity.family, identity.is_client()), (Some(login.family), false));
        }
        let robot = block_on(rig.issuer.client_credentials("robot", None)).expect("a token");
        let identity = block_on(rig.issuer.authenticate(&robot.access_token)).expect("it works");
        assert!(identity.is_client() && identity.claims.is_empty());
    }
}

#[test]
fn a_resource_server_reads_the_claims_from_the_token_alone() {
    let [_, rig] = rigs();
    let login = Login::new("web", "alice").claims(claims());
    let login = block_on(rig.issuer.login(login)).expect("a login");
    let (_, principal) = jwt().verify(login.access_token.expose()).expect("it is good");
    let Principal::Identity(identity) = principal else { panic!("a JWT holds the identity") };
    assert_eq!(identity.claims.get("tenant"), Some(&json!("acme")));
}

#[test]
fn a_claim_of_the_issuer_s_cannot_be_set_and_claims_are_bounded() {
    for name in [
        "iss",
        "sub",
        "aud",
        "exp",
        "nbf",
        "iat",
        "jti",
        "client_id",
        "scope",
        "sid",
        "cnf",
        "scp",
        "azp",
    ] {
        let refused = OwnClaims::new().with(name, 1);
        assert_eq!(refused, Err(ClaimError::Reserved(name.into())));
    }
    let long = |length| OwnClaims::new().with("x", "x".repeat(length));
    assert!(long(2040).is_ok(), "2,048 bytes as JSON");
    assert_eq!(long(2041), Err(ClaimError::TooLong(2049)));
    assert!(OwnClaims::from_json("[1]").is_err());
    let kept = OwnClaims::from_json(&claims().to_json().expect("there are some"));
    assert_eq!(kept, Ok(claims()));
}

// RFC 9068.
#[test]
fn a_jwt_is_bounded_whatever_it_is_to_hold() {
    let [_, rig] = rigs();
    let log_in = |login| block_on(rig.issuer.login(login));
    let long = log_in(Login::new("web", "a".repeat(4000)));
    assert!(matches!(long, Err(GrantError::TooLong)), "{long:?}");
    let long = log_in(Login::new("web", "alice").scope("s".repeat(4000)));
    assert!(matches!(long, Err(GrantError::InvalidScope)), "{long:?}");
    let most = log_in(Login::new("web", "alice").scope("s".repeat(2500))).expect("it fits");
    assert!(most.access_token.expose().len() <= 4096);
    assert_eq!(rig.store.len(), 1, "what cannot be issued is not kept");
    assert!(jwt().verify(&"a".repeat(1 << 20)).is_err());
}

// Rule D4.
#[test]
fn a_leeway_bears_clocks_that_differ_and_is_bounded() {
    let rig = Rig::with(Policy::default(), |builder| builder.leeway(30 * SECOND));
    let login = rig.log_in();
    rig.time.advance(just_before(HOUR + 30 * SECOND));
    assert!(rig.works(&login.access_token));
    rig.time.advance(MILLI);
    assert!(!rig.works(&login.access_token));
    let rig = Rig::with(Policy::default(), |builder| builder.leeway(HOUR));
    let login = rig.log_in();
    rig.time.advance(HOUR + 300 * SECOND);
    assert!(!rig.works(&login.access_token), "no more than 5 min");
}
