//! Access tokens as JWT: what they say, and which are not taken.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use perennial::adapters::jwt::{Jwt, SigningKey, SigningKeyError};
use perennial::issue::{AuthenticationError, Issued};
use perennial::rotation::Policy;
use perennial::token::Secret;
use serde_json::{Value, json};

use super::support::{HOUR, MILLI, Rig, SECOND, block_on, just_before, refresh_token};

const ISSUER: &str = "https://auth.example.com";
const AUDIENCE: &str = "https://api.example.com";
const SHARED: [u8; 32] = [5; 32];

fn asymmetric() -> SigningKey {
    SigningKey::ed25519([3; 32])
}

fn shared() -> SigningKey {
    SigningKey::hs256(SHARED).expect("long enough")
}

fn tokens(key: SigningKey) -> Jwt {
    Jwt::new(ISSUER, AUDIENCE, key)
}

fn rig(tokens: Jwt) -> Rig {
    Rig::with(Policy::default(), |builder| builder.access_tokens(tokens))
}

/// One of the three parts of a token, read.
fn part(token: &Secret, index: usize) -> Value {
    let part = token.expose().split('.').nth(index).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("JSON")
}

fn encoded(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}

fn claims(issued: &Issued) -> Value {
    part(&issued.access_token, 1)
}

fn is_refused(rig: &Rig, token: impl Into<Secret>) -> bool {
    matches!(block_on(rig.issuer.authenticate(&token.into())), Err(AuthenticationError::Unverified))
}

// RFC 9068, section 2.
#[test]
fn a_token_says_what_the_profile_of_access_tokens_asks_for_and_names_its_family() {
    for (key, algorithm) in [(asymmetric(), "EdDSA"), (shared(), "HS256")] {
        let name = key.name().to_owned();
        let rig = rig(tokens(key));
        let login = rig.log_in();
        let header = part(&login.access_token, 0);
        assert_eq!(header, json!({"typ": "at+jwt", "alg": algorithm, "kid": name}));
        let mut claims = claims(&login);
        let id = claims["jti"].take();
        assert_eq!(id.as_str().map(str::len), Some(32));
        assert_eq!(
            claims,
            json!({
                "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "client_id": "web",
                "scope": "read write", "iat": 1_700_000_000, "exp": 1_700_003_600, "jti": null,
                "sid": login.family.to_string(), "rtn": 1,
            })
        );
        let next = rig.present(&refresh_token(&login)).expect("it rotates");
        assert_eq!(part(&next.access_token, 1)["rtn"], 2);
        let identity = block_on(rig.issuer.authenticate(&next.access_token)).expect("good");
        assert_eq!((&*identity.subject, identity.scope.as_deref()), ("alice", Some("read write")));
    }
}

// Rule D3.
#[test]
fn a_token_expires_and_is_refused_with_its_family() {
    let rig = rig(tokens(asymmetric()));
    let login = rig.log_in();
    rig.time.advance(just_before(HOUR));
    assert!(rig.works(&login.access_token));
    block_on(rig.issuer.revoke("web", &login.access_token)).expect("in memory");
    let rejected = block_on(rig.issuer.authenticate(&login.access_token));
    assert!(matches!(rejected, Err(AuthenticationError::Revoked(_))), "{rejected:?}");
    rig.time.advance(MILLI);
    let rejected = block_on(rig.issuer.authenticate(&login.access_token));
    assert!(matches!(rejected, Err(AuthenticationError::Expired)), "{rejected:?}");
}

// RFC 6749, section 5.1: `expires_in`, of a token whose own claim knows whole seconds alone.
#[test]
fn a_token_works_as_long_as_was_told_and_less_than_a_second_longer_whenever_it_was_issued() {
    for into_the_second in [0, 1, 500, 999].map(Duration::from_millis) {
        let rig = rig(tokens(asymmetric()));
        rig.time.advance(into_the_second);
        let login = rig.log_in();
        rig.time.advance(just_before(login.expires_in));
        assert!(rig.works(&login.access_token), "issued {into_the_second:?} into a second");
        rig.time.advance(SECOND);
        assert!(!rig.works(&login.access_token), "issued {into_the_second:?} into a second");
    }
}

// RFC 8725, sections 3.1 and 3.2.
#[test]
fn no_other_algorithm_than_the_keys_own_is_taken_whatever_the_token_says() {
    let key = asymmetric();
    let name = key.name().to_owned();
    let rig = rig(tokens(key).and_older(shared()));
    let login = rig.log_in();
    let token = login.access_token.expose();
    let (_, rest) = token.split_once('.').expect("three parts");
    let (body, signature) = rest.split_once('.').expect("three parts");
    for algorithm in ["none", "None", "NONE", "HS256", "ES256", "RS256", "", "EdDSA2"] {
        let header = encoded(&json!({"typ": "at+jwt", "alg": algorithm, "kid": name}));
        assert!(is_refused(&rig, format!("{header}.{body}.")), "{algorithm}, unsigned");
        assert!(is_refused(&rig, format!("{header}.{body}.{signature}")), "{algorithm}");
    }
    // Signed by HMAC, with the public key for a secret.
    let public = tokens(asymmetric()).jwks()["keys"][0]["x"].as_str().expect("a text").to_owned();
    let public = URL_SAFE_NO_PAD.decode(public).expect("base64");
    let header =
        Header { typ: Some("at+jwt".into()), kid: Some(name), ..Header::new(Algorithm::HS256) };
    let forged = encode(&header, &claims(&login), &EncodingKey::from_secret(&public));
    assert!(is_refused(&rig, forged.expect("signed")));
    assert!(rig.works(&login.access_token));
}

#[test]
fn a_token_that_is_for_somebody_else_or_for_something_else_is_not_taken() {
    let rig = rig(tokens(shared()));
    let login = rig.log_in();
    let key = EncodingKey::from_secret(&SHARED);
    let name = shared().name().to_owned();
    let sign = |typ: Option<&str>, kid: Option<&str>, claims: &Value| {
        let (typ, kid) = (typ.map(String::from), kid.map(String::from));
        encode(&Header { typ, kid, ..Header::new(Algorithm::HS256) }, claims, &key).expect("signed")
    };
    let good = claims(&login);
    assert!(rig.works(&Secret::from(sign(Some("at+jwt"), Some(&name), &good))), "as it is");
    assert!(rig.works(&Secret::from(sign(Some("application/AT+JWT"), Some(&name), &good))));
    for typ in [None, Some("JWT"), Some("id+jwt"), Some("")] {
        assert!(is_refused(&rig, sign(typ, Some(&name), &good)), "{typ:?}");
    }
    for kid in [None, Some("another"), Some("")] {
        assert!(is_refused(&rig, sign(Some("at+jwt"), kid, &good)), "{kid:?}");
    }
    let odd = [json!(null), json!("https://else.example.com"), json!([]), json!(7), json!({})];
    for member in ["iss", "aud", "sub", "client_id", "iat", "exp", "jti", "sid", "rtn"] {
        let mut less = good.clone();
        less.as_object_mut().expect("an object").remove(member);
        assert!(is_refused(&rig, sign(Some("at+jwt"), Some(&name), &less)), "without {member}");
        let texts = ["sub", "client_id"];
        let numbers = ["iat", "exp", "rtn"];
        for value in &odd {
            let plausible = value.is_string() && texts.contains(&member)
                || value.is_number() && numbers.contains(&member);
            let mut other = good.clone();
            other[member] = value.clone();
            let signed = sign(Some("at+jwt"), Some(&name), &other);
            assert!(plausible || is_refused(&rig, signed), "{member}: {value}");
        }
    }
}

#[test]
fn tokens_outlive_a_change_of_keys_as_long_as_the_older_one_is_kept() {
    let rig = rig(tokens(asymmetric()));
    let login = rig.log_in();
    let others = SigningKey::ed25519([4; 32]);
    let kept = tokens(others.clone()).and_older(asymmetric());
    assert_eq!(kept.jwks()["keys"].as_array().map(Vec::len), Some(2));
    let verify = |tokens: &Jwt| {
        perennial::issue::AccessTokens::verify(tokens, login.access_token.expose()).is_ok()
    };
    assert!(verify(&kept));
    assert!(!verify(&tokens(others)));
}

// RFC 8037, appendix A: its key, its public part, its thumbprint.
#[test]
fn the_key_of_the_rfc_is_published_as_the_rfc_has_it() {
    let seed =
        URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").expect("base64");
    let key = SigningKey::ed25519(seed.try_into().expect("32 bytes"));
    let expected = json!({"keys": [{
        "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA",
        "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    }]});
    assert_eq!(tokens(key).jwks(), expected);
}

#[test]
fn a_key_is_read_from_pem_and_what_is_none_is_refused() {
    let pem = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIAMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMD\n\
        -----END PRIVATE KEY-----\n";
    let key = SigningKey::ed25519_pem(pem).expect("a key");
    assert_eq!(key.name(), asymmetric().name());
    for wrong in
        ["", "-----BEGIN PRIVATE KEY-----", &pem.replace("MC4CAQAwBQYDK2Vw", "MC4CAQAwBQYDK2Vx")]
    {
        let error = SigningKey::ed25519_pem(wrong).expect_err("no key");
        assert_eq!(error, SigningKeyError::NotEd25519);
        assert!(error.to_string().contains("openssl"));
    }
    assert_eq!(SigningKey::hs256([1; 31]).map(|_| ()), Err(SigningKeyError::TooShort(31)));
}

// Rule G1.
#[test]
fn no_key_is_published_that_is_shared_and_none_shows() {
    let jwt = tokens(shared()).and_older(asymmetric());
    assert_eq!(jwt.jwks()["keys"].as_array().map(Vec::len), Some(1));
    let shown = format!("{jwt:?} {:?} {}", shared(), jwt.jwks());
    let told = [shared().name().to_owned(), asymmetric().name().to_owned()];
    assert!(told.iter().all(|name| format!("{jwt:?}").contains(name)), "which keys there are");
    assert!(format!("{:?}", shared()).contains(shared().name()));
    for secret in [[5_u8; 32], [3; 32]] {
        assert!(!shown.contains(&URL_SAFE_NO_PAD.encode(secret)));
        assert!(!shown.contains(&format!("{secret:?}")), "{shown}");
    }
}
