//! Any request to the token endpoint: an answer that nobody on the way may keep, tokens or an error of
//! RFC 6749 that tells no secret; what is no success writes nothing but a revocation. Rules D3, D6, G1.
#![cfg_attr(not(test), no_main)]

use perennial_fuzz::Issued;
use serde_json::{Value, from_slice};

#[cfg(not(test))]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property(bytes));

pub(crate) fn property(bytes: &[u8]) {
    Issued::with(|issued| holds(issued, bytes));
}

fn holds(issued: &Issued, bytes: &[u8]) {
    let Some(request) = issued.request(bytes) else { return };
    let before = issued.writes();
    let (status, headers, body) = issued.answer(request);
    assert_eq!(headers["cache-control"], "no-store");
    let told: Value = from_slice(&body).expect("JSON");
    if status == 200 {
        assert!(told["access_token"].is_string() && told["token_type"] == "Bearer");
        return assert_ne!(issued.writes(), before);
    }
    // All of it is known beforehand, so none of it was in the request.
    let [code, why] = ["error", "error_description"].map(|name| told[name].as_str().expect(name));
    let among = |all: &str, one: &str| all.split("; ").any(|known| known == one);
    assert!(among(CODES, &format!("{} {code}", status.as_u16())), "{status} {code}");
    assert!(among(REASONS, why) && told.as_object().is_some_and(|it| it.len() == 2), "{told}");
    assert_eq!(headers.contains_key("www-authenticate"), status == 401);
    assert_eq!(issued.writes() != before, issued.is_revoked() && bytes.contains(&2));
}

const CODES: &str = "400 invalid_request; 400 invalid_client; 400 invalid_grant; 400 invalid_scope; \
    400 unauthorized_client; 400 unsupported_grant_type; 401 invalid_client; 403 invalid_request; 413 invalid_request";

const REASONS: &str = "the content type must be application/x-www-form-urlencoded; \
    the form is too long or incomplete; a parameter is repeated; grant_type is missing; \
    client_id is missing; refresh_token is missing; the client authenticates in two ways; \
    the client gives itself two names; client authentication failed; \
    the refresh token does not work; this client may not use this grant type; \
    the scope exceeds what was granted, or what a token can hold; \
    requests from this origin are not allowed; \
    the metadata of the server names the grant types that it supports; \
    there is more than one Authorization header; there is more than one Content-Type header";
