//! What is no bearer token is not sent as one (RFC 6749, section 7.1).

use perennial::lifecycle::Failure;
use perennial::token::Unusable;

use crate::{JSON, MISCONFIGURED, client, read, read_by, refused, tokens};

fn typed(kind: &str) -> String {
    format!(
        r#"{{"access_token":"at-2","refresh_token":"rt-2","expires_in":600,"token_type":{kind}}}"#
    )
}

// Rule B14. Case X17.
#[test]
fn a_token_of_another_type_is_not_handed_out_and_its_refresh_token_is_kept() {
    for (kind, because) in [
        ("DPoP", Unusable::Dpop),
        ("dpop ", Unusable::Dpop),
        ("mac", Unusable::TokenType),
        ("N_A", Unusable::TokenType),
        ("PoP", Unusable::TokenType),
        ("Basic", Unusable::TokenType),
        ("hush", Unusable::TokenType),
        ("bearer mac", Unusable::TokenType),
    ] {
        let grant = read(200, &[JSON], &typed(&format!("{kind:?}"))).expect("half a grant");
        assert_eq!(tokens(&grant), (None, Some("rt-2")), "{kind}");
        assert_eq!(grant.unusable_because(), Some(because), "{kind}");
        let text = because.to_string();
        assert!(text.contains("bearer token") && !text.contains("hush"), "{text}");
        let alone = format!(r#"{{"access_token":"at-2","token_type":"{kind}"}}"#);
        let error = refused(200, &[JSON], &alone);
        assert_eq!((error.failure(), error.to_string()), (MISCONFIGURED, text), "{kind}");
    }
}

// Case X17.
#[test]
fn a_bearer_token_is_one_by_whatever_name_it_is_known() {
    for kind in [
        r#""Bearer""#,
        r#""bearer ""#,
        r#""BEARER""#,
        r#""bot""#,
        r#""user""#,
        r#""BearerToken""#,
        r#""User Access Token""#,
        r#""Application Access Token""#,
        "null",
        r#""""#,
        "17",
    ] {
        let grant = read(200, &[JSON], &typed(kind)).expect("a grant");
        assert_eq!(tokens(&grant), (Some("at-2"), Some("rt-2")), "{kind}");
        assert_eq!(grant.unusable_because(), None);
    }
}

#[test]
fn a_program_can_name_a_type_that_is_sent_as_a_bearer_token() {
    let client = client().accept_token_type("jwt");
    let grant = read_by(client, 200, &[JSON], typed(r#""JWT""#).as_bytes()).expect("a grant");
    assert_eq!(tokens(&grant), (Some("at-2"), Some("rt-2")));
}

#[test]
fn an_answer_without_an_access_token_says_so() {
    let grant = read(200, &[JSON], r#"{"refresh_token":"rt-2"}"#).expect("half a grant");
    assert_eq!(grant.unusable_because(), Some(Unusable::Missing));
    let error = refused(200, &[JSON], r#"{"access_token":"at 2"}"#);
    assert_eq!(error.failure(), Failure::Unknown);
    assert_eq!(error.to_string(), "the access token contains characters that no header can carry");
}
