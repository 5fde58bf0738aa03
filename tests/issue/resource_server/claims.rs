//! What of a token is checked.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::crypto::{self, rust_crypto};
use jsonwebtoken::{Algorithm, EncodingKey};
use perennial::issue::{AuthenticationError, Identity};
use perennial::time::Timestamp;
use perennial::token::Secret;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::support::{API, ISSUER, Reply, Server, is_unverified, key, set, token};
use crate::support::{MILLI, SECOND, START, just_before};

/// An RSA key of 2048 bits for these tests, in PKCS #1.
const RSA: &str = "\
    MIIEowIBAAKCAQEAsh987ynB46+GU6LJevyZuN1uscSy9b0uK4+6aMbwxT94uzSBz1zlMmt6SCkjkxSyxMkG6oRe\
    v9nltYlpNjONJupjnuyIvpcQLLCnqSeiD8srVwPxvSxRe2vcmSWBFOkR/QW95cQZd+/uKL1ZS6HVW58OtCh3a3rF\
    Uws2QOTGq6A553yrsm4YAYJ69SJq0YW/tqQUZDWNRP0bx0EeQEHAHrK4M1Y7ouqQFecenoHEqKnjW6GldVbnNsad\
    AWVcj2U4sVnJvOlSluJL69jQ6Sw0+LjRy3AjTEJhgH/zwkrOiJrQzrCRnWCnPHZZQiWrw/lh4wTLw3ITK/JIFnKz\
    8Ee67wIDAQABAoIBACynWy0jxUEcmCqwZR0pZSokjOMQ4iJb1k7CXeN1eBei1VPtElvXOHge3I1pjssJBdXyZYL2\
    Q0CKUh1kANW/L7QhT28gchmBimMBuE5eKrEV6FwMl5YqnZS40hksf0MsOL+7KEOJGS9pnUVmTpP40qGA6vE8Mc/m\
    e8BZT7UOBUYx3ZzWDCl1DM4eEOvIXLJCcR1i2kAt0p14N+AoVLMTAe1sRjoMD5cP+PrvIyOxxp+3DT8ASvl5+MVg\
    JD0Bs7UnXLSbQgJu8SXMthKckAV8RpawDLbdedPrPVfzL2csX8EympocMhHBy8OsQ3n1MP3gJtTnqOgM4M6nP4FA\
    lDUeU8UCgYEA7PJWMijQD0+8zovUrWuask7/0kZpfzQSJdSF3dcdi6nBbCTTW7L+J27nTlpMYh1YZYrCyrUyDWmt\
    o9DEVC9ubDmL4yJRPsoRQLqXj4LTA9ZMJ7WjxHuBS1RW5PgLx3uDXnL78YNdeY+gyUHBn7sM9euuQg3yQDivzWTK\
    q+uEub0CgYEAwHI855laAANGPtnMoUVtmRkESUyQgzh1hBAxeu3q+yH5eaTQ3fDZf+zTs1VzdyK3J7HiuhhIZ4jx\
    xpoAW79Ew5o7kiva/+X/tIeTWIG6iaGnqIk9iZbECwVUjHV4MLMx7FYhZg14ohYyi0zZBROaQY1D+6emiABq51Jt\
    Zd1A9BsCgYA3IsTv8xNHHNTgcyVQHWPn7f4VXhEaanF2oBduYaocX6oEkiUkh2ggoOvuDZEMm6uAJWPia3t0J40i\
    O2gT9t2JDXMBrXCeXcLZ/xFZcaXMlMcvzlKHW/3gG4YEzbtf9dvB1JvPvTO5H7TYYBbAJnSDnQ31jO08CHTQJI4M\
    p0dBOQKBgDeRBKruqYD1cRP2uVIbhOC+y3EKrXNmGvBt6IuRJNcsYSdRgomC4JpCXIIce0F8AZxxjYCkQEu8y+rH\
    TrEvEgDUiLzU8uAOnf2XY+EbXCwfRBSyw9T1dlekS1xfErwlEZYm7G/WFe3fMOrt3n/LwC+LRYTlTH1aeYOfVj0i\
    XH3fAoGBAM0hCkln/PQBA0AQY63/T9nF2RL0HyhPTGn0035O9AOfZX8qqySRAY5OVAmVJXjIHLb/MZpATOmt389M\
    WamWPwuTd6KNIsXNYKyVjPo7FhIWHiAdaz3DM9eZZDDKjar8UNExeEqxjxfawSUlc/n2wDAyY0Fg0mY6L8Iyjg/3\
    Qz4c";

/// A key on P-256 for these tests, in PKCS #8.
const EC: &str = "\
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgxA+JaeWx4MId8zb2YA6vMinXsYBvalX+6Dx0Auro\
    eyGhRANCAAR6DxpCwjlxzoXltqAlIdQ08n3d+cPYyDz68qz0ph5MFMBD6W8R8Rfypx2ukXcgF4IeuPGX3TYOA31w\
    iSJifSAc";

/// A signer with the key of `support::key(1)`.
fn ed25519() -> EncodingKey {
    let prefix = [48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32];
    EncodingKey::from_ed_der(&[&prefix[..], &[1; 32]].concat())
}

fn signed(algorithm: Algorithm, key: &EncodingKey, header: &Value, claims: &Value) -> Secret {
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let message = format!("{header}.{claims}");
    let signature = crypto::sign(message.as_bytes(), key, algorithm).expect("it signs");
    Secret::from(format!("{message}.{signature}"))
}

fn header() -> Value {
    json!({ "typ": "at+jwt", "alg": "EdDSA", "kid": key(1).name() })
}

fn now() -> i64 {
    START.as_millis() / 1000
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": API, "sub": "alice", "client_id": "web", "scope": "read",
        "iat": now(), "exp": now() + 3600, "jti": "x",
    })
}

fn with(mut object: Value, member: &str, value: Value) -> Value {
    object[member] = value;
    object
}

fn without(mut object: Value, member: &str) -> Value {
    object.as_object_mut().expect("an object").remove(member);
    object
}

fn made(header: &Value, claims: &Value) -> Secret {
    signed(Algorithm::EdDSA, &ed25519(), header, claims)
}

// Rule D8. RFC 9068, section 4.
#[test]
fn a_token_of_another_issuer_audience_or_kind_is_rejected_and_causes_no_fetch() {
    let server = Server::ready();
    server.now(&made(&header(), &claims())).expect("as it is");
    for typ in ["application/at+jwt", "AT+JWT"] {
        server.now(&made(&with(header(), "typ", json!(typ)), &claims())).expect("the same type");
    }
    for audience in [json!([API]), json!(["https://other.example.com", API])] {
        let claims = with(claims(), "aud", audience);
        server.now(&made(&header(), &claims)).expect("it is for this resource server as well");
    }
    let others = [json!("https://else.example.com"), json!(null), json!(7), json!([]), json!({})];
    for member in ["iss", "aud"] {
        let mut wrong: Vec<_> =
            others.iter().map(|value| with(claims(), member, value.clone())).collect();
        wrong.push(without(claims(), member));
        wrong.push(with(claims(), member, json!(format!("{API}/"))));
        for claims in wrong {
            // With the key, and with one that is not known.
            for header in [header(), with(header(), "kid", json!("unknown"))] {
                assert!(is_unverified(&server.now(&made(&header, &claims))), "{claims}");
            }
        }
    }
    for typ in [json!("JWT"), json!("id+jwt"), json!("logout+jwt"), json!(""), json!(null)] {
        let header = with(header(), "typ", typ);
        assert!(is_unverified(&server.now(&made(&header, &claims()))), "{header}");
    }
    for member in ["sub", "client_id", "exp"] {
        let claims = without(claims(), member);
        assert!(is_unverified(&server.now(&made(&header(), &claims))), "without {member}");
    }
    assert_eq!(server.machine.count(), 1);
}

#[test]
fn another_type_and_another_name_of_the_client_are_accepted_where_the_program_says_so() {
    let server = Server::with(Reply::Body(set([1])), |builder| builder.accept_type("JWT"));
    let foreign = with(without(claims(), "client_id"), "azp", json!("web"));
    let identity = server.now(&made(&with(header(), "typ", json!("JWT")), &foreign));
    assert_eq!(identity.expect("accepted").client, "web");
    assert!(is_unverified(&server.now(&made(&with(header(), "typ", json!("id+jwt")), &foreign))));
}

// Rule D8. RFC 8725, section 3.1.
#[test]
fn the_algorithm_is_that_of_the_key_whatever_the_header_says() {
    let server = Server::ready();
    let good = made(&header(), &claims());
    let (message, signature) = good.expose().rsplit_once('.').expect("three parts");
    let body = message.split_once('.').expect("three parts").1;
    for algorithm in ["none", "None", "HS256", "RS256", "ES256", "", "eddsa"] {
        let header = with(header(), "alg", json!(algorithm));
        let head = URL_SAFE_NO_PAD.encode(header.to_string());
        for forged in [
            made(&header, &claims()),
            Secret::from(format!("{head}.{body}.")),
            Secret::from(format!("{head}.{body}.{signature}")),
        ] {
            assert!(is_unverified(&server.now(&forged)), "{algorithm}");
        }
    }
    // By HMAC, with the public key for a secret.
    let set: Value = serde_json::from_str(&set([1])).expect("JSON");
    let public = set["keys"][0]["x"].as_str().expect("a text");
    for secret in [public.as_bytes(), &URL_SAFE_NO_PAD.decode(public).expect("base64")] {
        let header = with(header(), "alg", json!("HS256"));
        let key = EncodingKey::from_secret(secret);
        assert!(is_unverified(&server.now(&signed(Algorithm::HS256, &key, &header, &claims()))));
    }
    server.now(&made(&with(header(), "alg", json!("Ed25519")), &claims())).expect("RFC 9864");
}

#[test]
fn a_changed_token_a_foreign_signature_and_a_critical_extension_are_rejected() {
    let server = Server::ready();
    let good = made(&header(), &claims());
    server.now(&good).expect("as it is");
    let [head, body, signature] =
        good.expose().split('.').collect::<Vec<_>>().try_into().expect("three parts");
    let more = URL_SAFE_NO_PAD.encode(with(claims(), "scope", json!("admin")).to_string());
    for changed in [
        format!("{head}.{more}.{signature}"),
        format!("{head}.{body}.{}", URL_SAFE_NO_PAD.encode([0; 64])),
        format!("{head}.{body}.{signature}A"),
        format!("{head}.{body}.{signature}="),
        format!("{head}.{body}.{signature}.{signature}"),
        format!(".{body}.{signature}"),
    ] {
        assert!(is_unverified(&server.now(&Secret::from(changed.clone()))), "{changed}");
    }
    for critical in [json!(["exp"]), json!([]), json!(["b64"])] {
        let header = with(header(), "crit", critical);
        assert!(is_unverified(&server.now(&made(&header, &claims()))), "{header}");
    }
    // A key in the header is not one of the issuer's.
    let header = with(with(header(), "jwk", json!({"kty": "OKP"})), "jku", json!("https://x/"));
    server.now(&made(&header, &claims())).expect("both are ignored");
    assert_eq!(server.machine.count(), 1);
}

// Rule D8.
#[test]
fn a_token_is_good_between_its_times_give_or_take_the_leeway_and_not_a_millisecond_more() {
    for leeway in [0, 5, 60_u32].map(|seconds| seconds * SECOND) {
        let start = |builder: perennial::adapters::resource_server::JwtVerifierBuilder| {
            builder.leeway(leeway)
        };
        let server = Server::with(Reply::Body(set([1])), start);
        let token = made(&header(), &claims());
        server.advance(3600 * SECOND + leeway);
        server.advance(just_before(SECOND));
        let ended = server.now(&token);
        assert!(matches!(ended, Err(AuthenticationError::Expired)), "{ended:?}");
        let server = Server::with(Reply::Body(set([1])), start);
        server.advance(just_before(3600 * SECOND + leeway));
        server.now(&token).expect("the last millisecond");
        server.advance(MILLI);
        assert!(matches!(server.now(&token), Err(AuthenticationError::Expired)));
        for member in ["nbf", "iat"] {
            let server = Server::with(Reply::Body(set([1])), start);
            let later = made(&header(), &with(claims(), member, json!(now() + 100)));
            server.advance(just_before((100 * SECOND).saturating_sub(leeway)));
            let early = server.now(&later);
            assert!(matches!(early, Err(AuthenticationError::NotYetValid)), "{member}: {early:?}");
            server.advance(MILLI);
            server.now(&later).expect("from now on");
        }
    }
    // No leeway is longer than a minute.
    let server = Server::with(Reply::Body(set([1])), |builder| builder.leeway(3600 * SECOND));
    server.advance(3600 * SECOND + 60 * SECOND);
    assert!(server.now(&made(&header(), &claims())).is_err());
}

#[test]
fn odd_times_neither_panic_nor_let_a_token_live_for_ever() {
    let server = Server::ready();
    for odd in [json!("soon"), json!(null), json!([]), json!(-1e300), json!(0), json!(i64::MIN)] {
        let result = server.now(&made(&header(), &with(claims(), "exp", odd.clone())));
        assert!(result.is_err(), "{odd}");
    }
    for far in [json!(1e300), json!(i64::MAX), json!(u64::MAX)] {
        server.now(&made(&header(), &with(claims(), "exp", far.clone()))).expect("it says so");
        let later = server.now(&made(&header(), &with(claims(), "nbf", far)));
        assert!(matches!(later, Err(AuthenticationError::NotYetValid)));
    }
    let fraction = json!(1_700_003_600.5);
    server.now(&made(&header(), &with(claims(), "exp", fraction))).expect("RFC 7519 allows it");
    assert_eq!(Timestamp::from_secs(now()), START);
}

#[test]
fn what_is_no_token_is_rejected_before_anything_is_fetched() {
    let server = Server::new(Reply::Unreachable);
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let nested = "[".repeat(4000);
    for odd in [
        String::new(),
        ".".into(),
        "..".into(),
        "a.b.c".into(),
        "\u{1f980}.\u{1f980}.\u{1f980}".into(),
        format!("{}.{}.", part("{}"), part("{}")),
        format!("{}.{}.AA", part("null"), part("null")),
        format!("{}.{}.AA", part("[]"), part("[]")),
        format!("{}.{}.AA", part(&nested), part(&nested)),
        format!("{}.{}.AA", part(r#"{"alg":1}"#), part(r#"{"iss":2}"#)),
        "x".repeat(1 << 20),
    ] {
        assert!(is_unverified(&server.now(&Secret::from(odd.clone()))), "{odd:.40}");
    }
    assert_eq!(server.machine.count(), 0);
}

#[test]
fn a_token_of_sixteen_kibibytes_is_read_and_a_longer_one_is_not() {
    let server = Server::ready();
    let padded =
        |padding: usize| made(&header(), &with(claims(), "pad", json!("x".repeat(padding))));
    let least = padded(0).expose().len();
    let most = (16 * 1024 - least) * 3 / 4;
    let (fits, longer) = (padded(most - 2), padded(most + 2));
    assert!(fits.expose().len() <= 16 * 1024 && longer.expose().len() > 16 * 1024);
    server.now(&fits).expect("it fits");
    assert!(is_unverified(&server.now(&longer)));
}

#[test]
fn a_token_that_names_no_key_is_verified_where_there_is_only_one() {
    let nameless = made(&without(header(), "kid"), &claims());
    Server::ready().now(&nameless).expect("there is one key");
    let server = Server::new(Reply::Body(set([1, 2])));
    assert!(is_unverified(&server.now(&nameless)));
    assert_eq!(server.machine.count(), 1, "and no other fetch is made for it");
}

// With the feature `jwt-rust-crypto`.
#[test]
fn tokens_of_rsa_and_elliptic_keys_are_verified_by_the_algorithm_of_their_key() {
    let rsa = EncodingKey::from_rsa_der(&STANDARD.decode(RSA).expect("base64"));
    let ec = EncodingKey::from_ec_der(&STANDARD.decode(EC).expect("base64"));
    let utils = &rust_crypto::DEFAULT_PROVIDER.jwk_utils;
    let encoded = |part: Vec<u8>| URL_SAFE_NO_PAD.encode(part);
    let (n, e) = (utils.extract_rsa_public_key_components)(rsa.inner()).expect("a key");
    let rsa_key = json!({ "kty": "RSA", "kid": "rsa", "n": encoded(n), "e": encoded(e) });
    let (_, x, y) =
        (utils.extract_ec_public_key_coordinates)(ec.inner(), Algorithm::ES256).expect("a key");
    let (x, y) = (encoded(x), encoded(y));
    let ec_key = json!({ "kty": "EC", "crv": "P-256", "kid": "ec", "x": x, "y": y });
    let token = |algorithm: Algorithm, kid: &str| {
        let key = if kid == "ec" { &ec } else { &rsa };
        let header = json!({ "typ": "at+jwt", "alg": format!("{algorithm:?}"), "kid": kid });
        signed(algorithm, key, &header, &claims())
    };
    let server = |keys: &[&Value]| Server::new(Reply::Body(json!({ "keys": keys }).to_string()));
    let both = server(&[&rsa_key, &ec_key]);
    let accepted = |result: Result<Identity, AuthenticationError>| result.expect("good").subject;
    assert_eq!(accepted(both.now(&token(Algorithm::RS256, "rsa"))), "alice");
    assert_eq!(accepted(both.now(&token(Algorithm::ES256, "ec"))), "alice");
    for other in [Algorithm::RS512, Algorithm::PS256] {
        assert!(is_unverified(&both.now(&token(other, "rsa"))), "an RSA key that states none");
        let stated = with(rsa_key.clone(), "alg", json!(format!("{other:?}")));
        server(&[&stated]).now(&token(other, "rsa")).expect("what the key states");
        assert!(is_unverified(&server(&[&stated]).now(&token(Algorithm::RS256, "rsa"))));
    }
    let changed = token(Algorithm::ES256, "ec").expose().replace("eyJ", "eyI");
    assert!(is_unverified(&both.now(&Secret::from(changed))));
    // A modulus of 1024 bits is too short to trust.
    let short = with(rsa_key, "n", json!(URL_SAFE_NO_PAD.encode([0xff; 128])));
    assert!(
        !is_unverified(&server(&[&short]).now(&token(Algorithm::RS256, "rsa"))),
        "no usable key"
    );
}

// Rule G1.
#[test]
fn nothing_that_is_printed_holds_a_token() {
    let server = Server::new(Reply::Unreachable);
    let good = token(1);
    let error = server.now(&good).expect_err("there are no keys");
    let shown = format!("{:?} {error} {error:?} {:?}", server.verifier, server.machine.seen());
    assert!(shown.contains(ISSUER) && !shown.contains(good.expose()), "{shown}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn whatever_is_shown_for_a_token_is_rejected_without_a_panic(
        text in "\\PC{0,300}",
        parts in prop::array::uniform3(prop::collection::vec(any::<u8>(), 0..80)),
        head in r#"\{"(alg|typ|kid|crit)":("EdDSA"|"at\+jwt"|null|[0-9]{1,3}|\[\])\}"#,
        body in r#"\{"(iss|aud|exp|sub)":("x"|null|-?[0-9]{1,25}(\.[0-9])?|\[[0-9]?\])\}"#,
    ) {
        let server = Server::new(Reply::Unreachable);
        let three = parts.map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
        let signed = [head, body].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".") + ".AA";
        for token in [text, three, signed] {
            prop_assert!(is_unverified(&server.now(&Secret::from(token))));
        }
        prop_assert_eq!(server.machine.count(), 0);
    }

    #[test]
    fn whatever_is_answered_for_a_key_set_is_a_failed_fetch_without_a_panic(
        text in "\\PC{0,300}",
        member in "(kty|crv|x|use|alg|key_ops|n)",
        value in r#"("OKP"|"RSA"|"EC"|"Ed25519"|"AA"|null|[0-9]{1,3}|\[\]|\{\})"#,
    ) {
        let key = format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"a","{member}":{value}}}"#);
        for body in [text, format!(r#"{{"keys":[{key}]}}"#)] {
            let result = Server::new(Reply::Body(body)).now(&token(1));
            prop_assert!(matches!(result, Err(AuthenticationError::Unchecked(_))));
        }
    }
}
